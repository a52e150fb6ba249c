//! ICMP for IPv4 (RFC 792): echo, the errors that a TCP host heeds, and the two that it sends.

use super::checksum;
use super::icmp_error::{Cause, Quoted, Unreachable};
use crate::base::drop_reason::DropReason;

/// Bytes of every message's header.
pub const HEADER_LEN: usize = 8;
/// Most bytes of a packet that an error quotes: a header with all options and 8 bytes (ICMP4-6).
pub const QUOTE_MAX: usize = 68;

const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const SOURCE_QUENCH: u8 = 4;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

/// The codes of "destination unreachable" that are sent here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Undelivered {
    /// The protocol is not served (ICMP4-5).
    Protocol,
    /// The packet is larger than the next hop's MTU; hosts never send it, the simulated router does.
    FragmentationNeeded {
        /// The next hop's MTU in bytes; 0 for a router older than RFC 1191.
        mtu: u16,
    },
}
const CODE_REASSEMBLY: u8 = 1;

/// A message, as far as a host here looks at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// An echo request.
    EchoRequest,
    /// An error about a TCP segment.
    Error(Cause, Quoted),
}

/// The message is an echo request; nothing is verified.
pub fn is_echo_request(bytes: &[u8]) -> bool {
    matches!(bytes, [ECHO_REQUEST, 0, ..])
}

/// Reads a message and verifies its checksum.
///
/// # Errors
/// It is too short, its checksum is wrong, it quotes nothing that can be a TCP segment of ours, or nobody here
/// acts upon it.
pub fn parse(bytes: &[u8]) -> Result<Message, DropReason> {
    if checksum::checksum(bytes) != 0 {
        return Err(DropReason::IcmpMalformed);
    }
    let (header, quote) = bytes.split_first_chunk::<HEADER_LEN>().ok_or(DropReason::IcmpMalformed)?;
    let cause = match *header {
        [ECHO_REQUEST, 0, ..] => return Ok(Message::EchoRequest),
        //= MUST-55
        //= ICMPR-6
        //= ATK-26
        [SOURCE_QUENCH, ..] => return Err(DropReason::IcmpSourceQuench),
        [UNREACHABLE, code, _, _, _, _, high, low] => {
            Cause::unreachable_v4(code, u16::from_be_bytes([high, low]))
        }
        [TIME_EXCEEDED, 0 | 1, ..] => Some(Cause::Unreachable(Unreachable::TimeExceeded)),
        [PARAMETER_PROBLEM, ..] => Some(Cause::Unreachable(Unreachable::ParameterProblem)),
        _ => None,
    };
    //= ICMP4-4
    let cause = cause.ok_or(DropReason::IcmpIgnored)?;
    Quoted::parse_v4(quote).map(|quoted| Message::Error(cause, quoted))
}

/// Turns an echo request, in place, into its reply (ICMP4-2). `cut`: some of its data was left out.
pub fn turn_into_reply(message: &mut [u8], cut: bool) {
    //= ICMP4-2
    if cut {
        message.iter_mut().take(4).for_each(|octet| *octet = 0);
        let sum = checksum::checksum(message);
        if let Some(place) = message.get_mut(2..4) {
            place.copy_from_slice(&sum.to_be_bytes());
        }
        return;
    }
    if let Some([kind, _, high, low]) = message.first_chunk_mut() {
        let old = u16::from_be_bytes([*kind, 0]);
        *kind = ECHO_REPLY;
        let sum = checksum::update(u16::from_be_bytes([*high, *low]), old, 0);
        // Where all the rest is zeros, only 0xffff is right; everywhere else both are.
        let sum = if sum == 0 { 0xffff } else { sum };
        [*high, *low] = sum.to_be_bytes();
    }
}

/// Writes "destination unreachable" about a packet; `to` has room for the header and as much of the packet as
/// is quoted. Returns the message's length.
pub fn emit_unreachable(to: &mut [u8], why: Undelivered, packet: &[u8]) -> usize {
    let (code, mtu) = match why {
        //= ICMP4-5
        Undelivered::Protocol => (2, 0),
        Undelivered::FragmentationNeeded { mtu } => (4, mtu),
    };
    emit_error(to, (UNREACHABLE, code), mtu, packet)
}

/// Writes "fragment reassembly time exceeded" about a packet's first fragment, as
/// [`emit_unreachable`] does.
pub fn emit_reassembly_timed_out(to: &mut [u8], packet: &[u8]) -> usize {
    //= IP4-5
    emit_error(to, (TIME_EXCEEDED, CODE_REASSEMBLY), 0, packet)
}

fn emit_error(to: &mut [u8], (kind, code): (u8, u8), mtu: u16, packet: &[u8]) -> usize {
    //= ICMP4-6
    let quoted = packet.get(..packet.len().min(QUOTE_MAX)).unwrap_or_default();
    let len = HEADER_LEN + quoted.len();
    let Some(message) = to.get_mut(..len) else { return 0 };
    let Some((header, quote)) = message.split_first_chunk_mut::<HEADER_LEN>() else { return 0 };
    let [high, low] = mtu.to_be_bytes();
    *header = [kind, code, 0, 0, 0, 0, high, low];
    quote.copy_from_slice(quoted);
    let sum = checksum::checksum(message);
    if let Some(place) = message.get_mut(2..4) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_becomes_its_reply() {
        //= ICMP4-1
        //= ICMP4-2
        //= VEC-CK-16
        let mut message = *b"\x08\x00\x54\x35\x12\x34\x00\x01abcdefgh";
        assert_eq!(parse(&message), Ok(Message::EchoRequest));
        turn_into_reply(&mut message, false);
        assert_eq!(&message, b"\x00\x00\x5c\x35\x12\x34\x00\x01abcdefgh");
        assert_eq!(parse(&message), Err(DropReason::IcmpIgnored));
        message[2] ^= 1;
        assert_eq!(parse(&message), Err(DropReason::IcmpMalformed));
        assert_eq!(parse(&message[..7]), Err(DropReason::IcmpMalformed));
    }

    #[test]
    fn a_reply_of_zeros_has_a_checksum_that_verifies() {
        //= ICMP4-2
        for mut message in
            [*b"\x08\x00\xf7\xff\x00\x00\x00\x00\x00\x00", *b"\x08\x00\xf7\xff\xff\xff\x00\x00\x00\x00"]
        {
            assert_eq!(parse(&message), Ok(Message::EchoRequest));
            turn_into_reply(&mut message, false);
            assert_eq!(checksum::checksum(&message), 0, "{message:x?}");
        }
    }

    #[test]
    fn an_error_quotes_the_packet_unchanged() {
        //= ICMP4-6
        let packet: Vec<u8> = (0..100).collect();
        let mut message = [0; 200];
        let len = emit_unreachable(&mut message, Undelivered::Protocol, &packet);
        assert_eq!(len, 76);
        assert_eq!((&message[..2], &message[8..76]), (&[3, 2][..], &packet[..68]));
        assert_eq!(checksum::checksum(&message[..len]), 0);
    }
    #[test]
    fn errors_about_segments_are_read() {
        //= ICMPR-6
        //= ICMP4-4
        let ip = [0x45, 0, 0x05, 0xdc, 0, 0, 0x40, 0, 63, 6, 0xde, 0xad, 198, 18, 0, 1, 198, 18, 0, 2];
        let packet = [&ip[..], &[0, 80, 0x9c, 0x40, 0, 0, 0, 7]].concat();
        let mut big = [0; 40];
        let len = emit_unreachable(&mut big, Undelivered::FragmentationNeeded { mtu: 1_280 }, &packet);
        assert_eq!(len, 36);
        let quoted = Quoted::parse_v4(&packet).unwrap();
        assert_eq!(parse(&big[..len]), Ok(Message::Error(Cause::TooBig { mtu: 1_280 }, quoted)));
        let error = |kind, code, quote: &[u8]| {
            let mut message = [&[kind, code, 0, 0, 9, 9, 0, 0][..], quote].concat();
            let sum = checksum::checksum(&message);
            message[2..4].copy_from_slice(&sum.to_be_bytes());
            parse(&message)
        };
        for (kind, code, cause) in [
            (3, 4, Cause::TooBig { mtu: 0 }),
            (11, 0, Cause::Unreachable(Unreachable::TimeExceeded)),
            (11, 1, Cause::Unreachable(Unreachable::TimeExceeded)),
            (12, 0, Cause::Unreachable(Unreachable::ParameterProblem)),
            (12, 1, Cause::Unreachable(Unreachable::ParameterProblem)),
        ] {
            assert_eq!(error(kind, code, &packet), Ok(Message::Error(cause, quoted)), "{kind}/{code}");
            assert_eq!(error(kind, code, &packet[..27]), Err(DropReason::IcmpQuote), "{kind}/{code}");
        }
        assert_eq!(error(4, 0, &packet), Err(DropReason::IcmpSourceQuench));
        for (kind, code) in [(3, 16), (11, 2), (5, 0), (13, 0), (17, 0), (42, 0), (0, 0)] {
            assert_eq!(error(kind, code, &packet), Err(DropReason::IcmpIgnored), "{kind}/{code}");
        }
    }
}
