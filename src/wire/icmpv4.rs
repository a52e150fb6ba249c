//! ICMP for IPv4 (RFC 792): echo, and the two errors that a TCP host sends.

use super::checksum;
use crate::base::drop_reason::DropReason;

/// Bytes of every message's header.
pub const HEADER_LEN: usize = 8;
/// Most bytes of a packet that an error quotes: a header with all options and 8 bytes (ICMP4-6).
pub const QUOTE_MAX: usize = 68;

const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const CODE_PROTOCOL: u8 = 2;
const CODE_REASSEMBLY: u8 = 1;

/// A message, as far as a host here looks at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message {
    /// An echo request.
    EchoRequest,
    /// Anything else.
    Other,
}

/// The message is an echo request; nothing is verified.
pub fn is_echo_request(bytes: &[u8]) -> bool {
    matches!(bytes, [ECHO_REQUEST, 0, ..])
}

/// Reads a message and verifies its checksum.
///
/// # Errors
/// It is too short or its checksum is wrong.
pub fn parse(bytes: &[u8]) -> Result<Message, DropReason> {
    if bytes.len() < HEADER_LEN || checksum::checksum(bytes) != 0 {
        return Err(DropReason::IcmpMalformed);
    }
    Ok(match bytes {
        [ECHO_REQUEST, 0, ..] => Message::EchoRequest,
        _ => Message::Other,
    })
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

/// Writes "protocol unreachable" about a packet; `to` has room for the header and as much of the packet as is
/// quoted. Returns the message's length.
pub fn emit_protocol_unreachable(to: &mut [u8], packet: &[u8]) -> usize {
    //= ICMP4-5
    emit_error(to, UNREACHABLE, CODE_PROTOCOL, packet)
}

/// Writes "fragment reassembly time exceeded" about a packet's first fragment, as
/// [`emit_protocol_unreachable`] does.
pub fn emit_reassembly_timed_out(to: &mut [u8], packet: &[u8]) -> usize {
    //= IP4-5
    emit_error(to, TIME_EXCEEDED, CODE_REASSEMBLY, packet)
}

fn emit_error(to: &mut [u8], kind: u8, code: u8, packet: &[u8]) -> usize {
    //= ICMP4-6
    let quoted = packet.get(..packet.len().min(QUOTE_MAX)).unwrap_or_default();
    let len = HEADER_LEN + quoted.len();
    let Some(message) = to.get_mut(..len) else { return 0 };
    let Some((header, quote)) = message.split_first_chunk_mut::<HEADER_LEN>() else { return 0 };
    *header = [kind, code, 0, 0, 0, 0, 0, 0];
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
        assert_eq!(parse(&message), Ok(Message::Other));
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
        let len = emit_protocol_unreachable(&mut message, &packet);
        assert_eq!(len, 76);
        assert_eq!((&message[..2], &message[8..76]), (&[3, 2][..], &packet[..68]));
        assert_eq!(checksum::checksum(&message[..len]), 0);
    }
}
