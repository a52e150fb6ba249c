//! What an ICMP error says of a packet: the cause, and the packet's beginning as it is quoted (RFC 792, RFC 1191
//! 4, RFC 1812 5.2.7.1, RFC 6633).

use super::ipv4;
use super::seq::Seq;
use crate::base::drop_reason::DropReason;

/// Bytes of a quoted TCP header that every error has: ports and sequence number.
const TCP_QUOTE_LEN: usize = 8;
/// The fixed TCP header; no packet of ours is shorter.
const TCP_HEADER_LEN: usize = 20;
const OFFSET: u16 = 0x1fff;

/// What an ICMP error message, or our own host, says of the way to the peer (RFC 9293 3.9.2.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unreachable {
    /// The network (codes 0, 6, 11), or (IPv6) there is no route.
    Network,
    /// The host (codes 1, 7, 8, 12), or (IPv6) the address.
    Host,
    /// The protocol (code 2); hard by its letter.
    Protocol,
    /// The port (code 3); hard by its letter.
    Port,
    /// The source route failed (code 5).
    SourceRoute,
    /// A filter forbids it (codes 9, 10, 13, 14, 15).
    Prohibited,
    /// The time to live, or the time for reassembly, was over.
    TimeExceeded,
    /// A field of the header was not understood.
    ParameterProblem,
    /// Our own link layer found no MAC address for the next hop. Never on the wire.
    Neighbour,
}

/// Why a packet did not arrive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// It is larger than the next hop takes (code 4).
    TooBig {
        /// The next hop's MTU in bytes; 0 where the router does not say.
        mtu: u16,
    },
    /// Anything else.
    Unreachable(Unreachable),
}

impl Cause {
    /// The cause that a destination unreachable message names; `None` for codes that nobody has defined.
    pub(super) const fn unreachable_v4(code: u8, mtu: u16) -> Option<Cause> {
        Some(Cause::Unreachable(match code {
            0 | 6 | 11 => Unreachable::Network,
            1 | 7 | 8 | 12 => Unreachable::Host,
            2 => Unreachable::Protocol,
            3 => Unreachable::Port,
            4 => return Some(Cause::TooBig { mtu }),
            5 => Unreachable::SourceRoute,
            9 | 10 | 13..=15 => Unreachable::Prohibited,
            _ => return None,
        }))
    }
}

/// The packet that an error is about, as far as it is quoted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Quoted {
    /// Who sent it.
    pub source: [u8; 4],
    /// Where to.
    pub destination: [u8; 4],
    /// Source and destination port.
    pub ports: (u16, u16),
    /// SEG.SEQ.
    pub seq: Seq,
    /// The packet's total length in bytes, as its header says.
    pub len: u16,
}

impl Quoted {
    /// Reads the beginning of a TCP segment's packet. Its checksum is not looked at: routers count TTL down and
    /// need not mend it before they quote.
    ///
    /// # Errors
    /// It is cut off before the sequence number, a later fragment, or no TCP segment.
    pub fn parse_v4(bytes: &[u8]) -> Result<Quoted, DropReason> {
        //= ICMPR-1
        //= ICMPR-3
        let fixed: &[u8; ipv4::HEADER_LEN] = bytes.first_chunk().ok_or(DropReason::IcmpQuote)?;
        let header_len = usize::from(fixed[0] & 0xf) * 4;
        let len = u16::from_be_bytes([fixed[2], fixed[3]]);
        let offset = u16::from_be_bytes([fixed[6], fixed[7]]) & OFFSET;
        let sound = fixed[0] >> 4 == 4
            && header_len >= ipv4::HEADER_LEN
            && usize::from(len) >= header_len + TCP_HEADER_LEN
            && offset == 0
            && fixed[9] == ipv4::PROTOCOL_TCP;
        let start = bytes.get(header_len..).and_then(|rest| rest.first_chunk::<TCP_QUOTE_LEN>());
        let (true, Some(tcp)) = (sound, start) else { return Err(DropReason::IcmpQuote) };
        Ok(Quoted {
            source: [fixed[12], fixed[13], fixed[14], fixed[15]],
            destination: [fixed[16], fixed[17], fixed[18], fixed[19]],
            ports: (u16::from_be_bytes([tcp[0], tcp[1]]), u16::from_be_bytes([tcp[2], tcp[3]])),
            seq: Seq(u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]])),
            len,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quote() -> Vec<u8> {
        let ip = [0x45, 0, 0x05, 0xdc, 0, 0, 0x40, 0, 63, 6, 0xde, 0xad, 198, 18, 0, 1, 198, 18, 0, 2];
        [&ip[..], &[0, 80, 0x9c, 0x40, 0x12, 0x34, 0x56, 0x78]].concat()
    }

    #[test]
    fn eight_octets_of_the_segment_are_enough() {
        //= ICMPR-1
        let read = Quoted::parse_v4(&quote()).unwrap();
        let expected = Quoted {
            source: [198, 18, 0, 1],
            destination: [198, 18, 0, 2],
            ports: (80, 40_000),
            seq: Seq(0x1234_5678),
            len: 1_500,
        };
        assert_eq!(read, expected);
        let mut with_options = quote();
        with_options[0] = 0x46;
        with_options.splice(20..20, [148, 4, 0, 0]);
        assert_eq!(Quoted::parse_v4(&with_options), Ok(expected));
    }

    #[test]
    fn what_is_cut_off_or_not_the_first_piece_is_refused() {
        //= ICMPR-3
        let whole = quote();
        for len in 0..whole.len() {
            assert_eq!(Quoted::parse_v4(&whole[..len]), Err(DropReason::IcmpQuote), "{len}");
        }
        let wrong: [(usize, u8); 6] = [(0, 0x65), (0, 0x44), (0, 0x47), (2, 0), (7, 1), (9, 17)];
        for (at, value) in wrong {
            let mut bytes = whole.clone();
            bytes[at] = value;
            if at == 2 {
                bytes[3] = 39;
            }
            assert_eq!(Quoted::parse_v4(&bytes), Err(DropReason::IcmpQuote), "{at}: {value}");
        }
        let mut first_fragment = whole;
        first_fragment[6] = 0x20;
        assert!(Quoted::parse_v4(&first_fragment).is_ok());
    }

    #[test]
    fn every_defined_code_has_a_cause() {
        //= MUST-56
        let causes = [
            (Cause::Unreachable(Unreachable::Network), &[0, 6, 11][..]),
            (Cause::Unreachable(Unreachable::Host), &[1, 7, 8, 12]),
            (Cause::Unreachable(Unreachable::Protocol), &[2]),
            (Cause::Unreachable(Unreachable::Port), &[3]),
            (Cause::TooBig { mtu: 1_400 }, &[4]),
            (Cause::Unreachable(Unreachable::SourceRoute), &[5]),
            (Cause::Unreachable(Unreachable::Prohibited), &[9, 10, 13, 14, 15]),
        ];
        for (cause, codes) in causes {
            for code in codes {
                assert_eq!(Cause::unreachable_v4(*code, 1_400), Some(cause), "code {code}");
            }
        }
        assert_eq!(Cause::unreachable_v4(16, 0), None);
    }
}
