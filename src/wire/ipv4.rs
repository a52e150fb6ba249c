//! IPv4 headers (RFC 791, RFC 1122 3.2.1): checked once, cut to their length.

use super::checksum::{self, Sum, WordSum};
use crate::base::drop_reason::DropReason;

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Most bytes of a packet.
pub const PACKET_MAX: usize = 65_535;
/// ICMP.
pub const PROTOCOL_ICMP: u8 = 1;
/// TCP.
pub const PROTOCOL_TCP: u8 = 6;

const DONT_FRAGMENT: u16 = 0x4000;
const MORE_FRAGMENTS: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;
const OPTION_END: u8 = 0;
const OPTION_NOP: u8 = 1;
const OPTION_LSRR: u8 = 131;
const OPTION_SSRR: u8 = 137;

/// What a fragment says of its place in the datagram that it is a piece of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// The datagram's identification.
    pub id: u16,
    /// Where in the datagram's payload this piece begins, in bytes; a multiple of 8.
    pub offset: u16,
    /// It is not the datagram's last piece.
    pub more: bool,
}

/// A packet, cut to its total length.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv4Packet<'a> {
    /// The source address.
    pub source: [u8; 4],
    /// The destination address.
    pub destination: [u8; 4],
    /// What it carries.
    pub protocol: u8,
    /// Time to live.
    pub ttl: u8,
    /// The type of service: Diffserv field and, in the lower two bits, ECN.
    pub tos: u8,
    /// The packet is a piece of a larger one.
    pub fragment: Option<Fragment>,
    /// The header with its options.
    pub header: &'a [u8],
    /// What follows the header, without padding of the link (PRE-8).
    pub payload: &'a [u8],
}

/// Reads a packet. `checksum_known_good`: the device has verified the header.
///
/// # Errors
/// The reason for which the packet must be dropped: see the requirements' rows PRE-1, PRE-5, IP4-1, 2, 6, 8.
pub fn parse(bytes: &[u8], checksum_known_good: bool) -> Result<Ipv4Packet<'_>, DropReason> {
    let fixed: &[u8; HEADER_LEN] = bytes.first_chunk().ok_or(DropReason::IpTruncated)?;
    //= IP4-1
    if fixed[0] >> 4 != 4 {
        return Err(DropReason::IpVersion);
    }
    //= IP4-2
    let header_len = usize::from(fixed[0] & 0xf) * 4;
    let total_len = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if header_len < HEADER_LEN || total_len < header_len {
        return Err(DropReason::IpTruncated);
    }
    //= PRE-8
    let packet = bytes.get(..total_len).ok_or(DropReason::IpTruncated)?;
    let (header, payload) = packet.split_at_checked(header_len).ok_or(DropReason::IpTruncated)?;
    let options = header.get(HEADER_LEN..).unwrap_or_default();
    //= PRE-1
    if !checksum_known_good && (Sum::of(fixed) + Sum::of(options)).finish() != 0 {
        return Err(DropReason::IpChecksum);
    }
    let source = [fixed[12], fixed[13], fixed[14], fixed[15]];
    //= PRE-5
    //= IP4-6
    if !may_be_a_source(source) {
        return Err(DropReason::IpInvalidSource);
    }
    //= IP4-8
    if has_source_route(options) {
        return Err(DropReason::IpSourceRoute);
    }
    let place = u16::from_be_bytes([fixed[6], fixed[7]]);
    let fragment = Fragment {
        id: u16::from_be_bytes([fixed[4], fixed[5]]),
        offset: (place & OFFSET) << 3,
        more: place & MORE_FRAGMENTS != 0,
    };
    Ok(Ipv4Packet {
        source,
        destination: [fixed[16], fixed[17], fixed[18], fixed[19]],
        protocol: fixed[9],
        ttl: fixed[8],
        tos: fixed[1],
        fragment: (place & (MORE_FRAGMENTS | OFFSET) != 0).then_some(fragment),
        header,
        payload,
    })
}

/// Not 0/8, 127/8, 224/4, 240/4 or 255.255.255.255 (IP4-6). A subnet's broadcast address is for those who
/// know the subnets.
#[inline]
pub const fn may_be_a_source(address: [u8; 4]) -> bool {
    // One comparison for 0 and for what is above 223.
    address[0].wrapping_sub(1) < 223 && address[0] != 127
}

/// Multicast, or the limited broadcast.
pub const fn is_group(address: [u8; 4]) -> bool {
    address[0] >> 4 == 0xe || u32::from_be_bytes(address) == u32::MAX
}

/// Makes the header of a first fragment that of the whole packet, which is `total_len` bytes long and has these
/// two ECN bits. False, with nothing changed, when there is no whole header.
#[must_use]
pub fn make_whole(header: &mut [u8], total_len: u16, ecn: u8) -> bool {
    let Some(fixed) = header.first_chunk_mut::<HEADER_LEN>() else { return false };
    fixed[1] = fixed[1] & !0b11 | ecn & 0b11;
    fixed[2..4].copy_from_slice(&total_len.to_be_bytes());
    let place = u16::from_be_bytes([fixed[6], fixed[7]]) & DONT_FRAGMENT;
    fixed[6..8].copy_from_slice(&place.to_be_bytes());
    fixed[10..12].fill(0);
    let sum = checksum::checksum(header);
    if let Some(place) = header.get_mut(10..12) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    true
}

/// Walks the options, each of which takes at least a byte (IP4-11), in search of a source route.
fn has_source_route(mut options: &[u8]) -> bool {
    while let Some((&kind, rest)) = options.split_first() {
        match kind {
            OPTION_END => return false,
            OPTION_NOP => options = rest,
            OPTION_LSRR | OPTION_SSRR => return true,
            _ => {
                let len = rest.first().map_or(0, |len| usize::from(*len));
                match options.get(len..) {
                    Some(next) if len >= 2 => options = next,
                    _ => return false,
                }
            }
        }
    }
    false
}

/// A header to be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ipv4Fields {
    /// The source address: one of ours (IP4-4).
    pub source: [u8; 4],
    /// The destination address.
    pub destination: [u8; 4],
    /// What it carries.
    pub protocol: u8,
    /// Time to live; not 0 (IP4-9).
    pub ttl: u8,
    /// The type of service.
    pub tos: u8,
    /// Bytes behind the header, at most 65515.
    pub payload_len: u16,
    /// Identification; anything where the packet may not be fragmented (IP4-10).
    pub id: u16,
    /// The packet may not be fragmented.
    pub dont_fragment: bool,
}

/// Writes a header without options, with its checksum or with zero in its place.
#[inline]
pub fn emit(to: &mut [u8; HEADER_LEN], fields: &Ipv4Fields, with_checksum: bool) {
    let total = u32::from((HEADER_LEN as u16).saturating_add(fields.payload_len));
    let fragment = if fields.dont_fragment { DONT_FRAGMENT } else { 0 };
    let mut words = [
        (0x4500_0000 | u32::from(fields.tos) << 16 | total).to_be(),
        (u32::from(fields.id) << 16 | u32::from(fragment)).to_be(),
        (u32::from(fields.ttl) << 24 | u32::from(fields.protocol) << 16).to_be(),
        u32::from_ne_bytes(fields.source),
        u32::from_ne_bytes(fields.destination),
    ];
    if with_checksum {
        words[2] |= u32::from(WordSum::of(&words).sum().finish()).to_be();
    }
    super::put_words(to, &words);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: Ipv4Fields = Ipv4Fields {
        source: [198, 18, 0, 2],
        destination: [198, 18, 0, 1],
        protocol: PROTOCOL_TCP,
        ttl: 64,
        tos: 0,
        payload_len: 4,
        id: 0,
        dont_fragment: true,
    };

    fn packet(change: impl FnOnce(&mut [u8])) -> Vec<u8> {
        let mut bytes = vec![0u8; 30];
        emit(bytes.first_chunk_mut().unwrap(), &FIELDS, false);
        change(&mut bytes);
        let header_len = (usize::from(bytes[0] & 0xf) * 4).clamp(20, 30);
        let sum = checksum::checksum(&bytes[..header_len]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes
    }

    fn fate(change: impl FnOnce(&mut [u8])) -> Result<usize, DropReason> {
        parse(&packet(change), false).map(|p| p.payload.len())
    }

    #[test]
    fn a_packet_is_cut_to_its_length_or_dropped() {
        //= PRE-1
        //= PRE-8
        //= IP4-1
        //= IP4-2
        assert_eq!(fate(|_| {}), Ok(4));
        assert_eq!(fate(|b| b[0] = 0x65), Err(DropReason::IpVersion));
        assert_eq!(fate(|b| b[0] = 0x44), Err(DropReason::IpTruncated));
        assert_eq!(fate(|b| b[3] = 19), Err(DropReason::IpTruncated));
        assert_eq!(fate(|b| b[3] = 31), Err(DropReason::IpTruncated));
        assert_eq!(parse(&[0x45; 19], false), Err(DropReason::IpTruncated));
        let mut broken = packet(|_| {});
        broken[10] ^= 1;
        assert_eq!(parse(&broken, false), Err(DropReason::IpChecksum));
        assert!(parse(&broken, true).is_ok());
    }

    #[test]
    fn fragments_say_where_they_belong() {
        //= IP4-7
        let fragment = |high: u8, low: u8| {
            let bytes = packet(|b| b[4..8].copy_from_slice(&[0x12, 0x34, high, low]));
            parse(&bytes, false).unwrap().fragment
        };
        let id = 0x1234;
        assert_eq!(fragment(0x40, 0), None);
        assert_eq!(fragment(0x80, 0), None, "the reserved bit says nothing");
        assert_eq!(fragment(0x20, 0), Some(Fragment { id, offset: 0, more: true }));
        assert_eq!(fragment(0, 1), Some(Fragment { id, offset: 8, more: false }));
        assert_eq!(fragment(0x3f, 0xff), Some(Fragment { id, offset: 65_528, more: true }));
    }

    #[test]
    fn impossible_sources_are_named() {
        //= PRE-5
        //= IP4-6
        //= MUST-63
        for source in [[0, 1, 2, 3], [127, 0, 0, 1], [224, 0, 0, 1], [240, 0, 0, 1], [255; 4]] {
            assert_eq!(fate(|b| b[12..16].copy_from_slice(&source)), Err(DropReason::IpInvalidSource));
        }
        assert!(is_group([239, 1, 1, 1]) && is_group([255; 4]) && !is_group([198, 18, 0, 255]));
    }

    #[test]
    fn options_are_skipped_but_source_routes_refused() {
        //= MUST-50
        //= IP4-8
        //= IP4-11
        let with = |options: &'static [u8]| {
            fate(move |b| {
                b[0] = 0x40 | (5 + options.len().div_ceil(4)) as u8;
                b[20..20 + options.len()].copy_from_slice(options);
                b[3] = 30;
            })
        };
        assert_eq!(with(&[0x94, 4, 0, 0]), Ok(6), "router alert");
        assert_eq!(with(&[1, 1, 1, 0]), Ok(6));
        assert_eq!(with(&[1, 131, 3, 4]), Err(DropReason::IpSourceRoute));
        assert_eq!(with(&[0x94, 4, 0, 0, 137, 3, 4, 0]), Err(DropReason::IpSourceRoute));
        assert_eq!(with(&[0x44, 0, 0, 0]), Ok(6), "a length of 0 ends the walk");
        assert_eq!(with(&[0x44, 1, 131, 0]), Ok(6), "a length of 1 ends the walk");
        assert_eq!(with(&[0x44, 9, 0, 0]), Ok(6), "past the end ends the walk");
    }
}
