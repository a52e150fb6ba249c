//! Ethernet II headers.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Bytes of the header.
pub const HEADER_LEN: usize = 14;
/// IPv4.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// ARP (ARP-1).
pub const ETHERTYPE_ARP: u16 = 0x0806;

/// A MAC address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
#[repr(transparent)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// All stations.
    pub const BROADCAST: Mac = Mac([0xff; 6]);

    /// Broadcast or multicast.
    #[inline]
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// All zeros: no station's address.
    pub fn is_zero(self) -> bool {
        self.0 == [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A text that is no MAC address.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("'{0}' is not a MAC address; write six hexadecimal bytes as in 02:00:00:00:00:01")]
pub struct NotAMac(String);

impl FromStr for Mac {
    type Err = NotAMac;

    fn from_str(text: &str) -> Result<Self, NotAMac> {
        let wrong = || NotAMac(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().filter(|part| part.len() == 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() { Err(wrong()) } else { Ok(Mac(bytes)) }
    }
}

/// A header's fields.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Who shall receive the frame.
    pub destination: Mac,
    /// Who sent it.
    pub source: Mac,
    /// What it carries.
    pub ethertype: u16,
}

/// Splits a frame into its header and the rest.
#[inline]
pub fn parse(frame: &[u8]) -> Option<(Header, &[u8])> {
    let (header, rest) = frame.split_first_chunk::<HEADER_LEN>()?;
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] = *header;
    let header = Header {
        destination: Mac([d0, d1, d2, d3, d4, d5]),
        source: Mac([s0, s1, s2, s3, s4, s5]),
        ethertype: u16::from_be_bytes([t0, t1]),
    };
    Some((header, rest))
}

/// Writes a header.
pub fn emit(to: &mut [u8; HEADER_LEN], destination: Mac, source: Mac, ethertype: u16) {
    to[..6].copy_from_slice(&destination.0);
    to[6..12].copy_from_slice(&source.0);
    to[12..].copy_from_slice(&ethertype.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let mut frame = [0u8; 20];
        let (to, from) = (Mac([1, 2, 3, 4, 5, 6]), Mac([2, 0, 0, 0, 0, 9]));
        emit(frame.first_chunk_mut().unwrap(), to, from, ETHERTYPE_ARP);
        let (header, rest) = parse(&frame).unwrap();
        assert_eq!(header, Header { destination: to, source: from, ethertype: ETHERTYPE_ARP });
        assert_eq!(rest.len(), 6);
        assert!(parse(&frame[..13]).is_none());
        assert!(to.is_group() && !from.is_group());
    }

    #[test]
    fn addresses_are_read_and_shown_as_people_write_them() {
        let mac: Mac = "02:00:5e:10:0A:ff".parse().unwrap();
        assert_eq!(mac.to_string(), "02:00:5e:10:0a:ff");
        for wrong in ["", "02:00:5e:10:0a", "02:00:5e:10:0a:ff:00", "2:0:0:0:0:1", "zz:00:00:00:00:01"] {
            assert!(wrong.parse::<Mac>().is_err(), "{wrong}");
        }
    }
}
