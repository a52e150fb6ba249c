//! What a packet for us that is not TCP draws: an echo reply, an error, or nothing; or the error that it is about a
//! packet of ours (RFC 1122 3.2.2).

use crate::base::drop_reason::DropReason;
use crate::wire::icmp_error::{Cause, Quoted};
use crate::wire::icmpv4::{self, Message};
use crate::wire::ipv4::{self, Ipv4Packet};

/// The answer to a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The same message as an echo reply.
    EchoReply,
    /// "Protocol unreachable", quoting the packet.
    ProtocolUnreachable,
    /// "Fragment reassembly time exceeded", quoting the first fragment.
    ReassemblyTimedOut,
}

/// What a packet is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is answered.
    Answer(Answer),
    /// It tells of a segment that was sent from the address which it came to.
    Error(Cause, Quoted),
}

/// Decides about a packet for one of our addresses, from a source that can be a host.
///
/// # Errors
/// Nothing is to be done, for this reason.
pub fn arrives(packet: &Ipv4Packet<'_>) -> Result<Verdict, DropReason> {
    if packet.protocol == ipv4::PROTOCOL_ICMP {
        return match icmpv4::parse(packet.payload)? {
            //= ICMP4-1
            Message::EchoRequest => Ok(Verdict::Answer(Answer::EchoReply)),
            //= ICMPR-2
            Message::Error(_, quoted) if quoted.source != packet.destination => {
                Err(DropReason::IcmpNotSentByUs)
            }
            //= MUST-54
            Message::Error(cause, quoted) => Ok(Verdict::Error(cause, quoted)),
        };
    }
    //= ICMP4-3
    //= ICMP4-5
    Ok(Verdict::Answer(Answer::ProtocolUnreachable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_echo_requests_and_unknown_protocols_are_answered() {
        //= ICMP4-1
        //= ICMP4-4
        //= ICMP4-5
        //= MUST-55
        let packet = |protocol, payload: &'static [u8]| Ipv4Packet {
            source: [198, 18, 0, 2],
            destination: [198, 18, 0, 1],
            protocol,
            ttl: 64,
            tos: 0,
            fragment: None,
            header: &[],
            payload,
        };
        let echo = b"\x08\x00\x54\x35\x12\x34\x00\x01abcdefgh";
        assert_eq!(arrives(&packet(1, echo)), Ok(Verdict::Answer(Answer::EchoReply)));
        assert_eq!(arrives(&packet(17, b"")), Ok(Verdict::Answer(Answer::ProtocolUnreachable)));
        let quench = b"\x04\x00\xfb\xff\x00\x00\x00\x00";
        assert_eq!(arrives(&packet(1, quench)), Err(DropReason::IcmpSourceQuench));
        assert_eq!(arrives(&packet(1, b"\x08\x00\x00\x00\x00\x00\x00\x00")), Err(DropReason::IcmpMalformed));
    }
}
