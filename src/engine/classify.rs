//! From a frame to what it is: headers are checked once, from the outside in, and every frame gets a class or
//! the reason for which it is dropped (requirements 2.1).

use crate::base::drop_reason::DropReason;
use crate::base::ids::LocalIdx;
use crate::flow::key::Key;
use crate::inet::locals::Locals;
use crate::link::{RxChecksums, Verdict};
use crate::wire::arp::ArpPacket;
use crate::wire::checksum::{self, Sum};
use crate::wire::ethernet::{self, ETHERTYPE_ARP, ETHERTYPE_IPV4, Mac};
use crate::wire::ipv4::{self, Ipv4Packet};
use crate::wire::tcp::{self, Segment};

/// A TCP segment for one of our addresses, its checksum verified.
#[cfg_attr(test, derive(PartialEq, Debug))]
pub(super) struct Received {
    pub key: Key,
    pub segment: Segment,
    /// Where its text begins in the frame.
    pub text_at: u16,
}

/// What a frame is.
pub(super) enum Class<'a> {
    /// A segment.
    Tcp(Received),
    /// An ARP packet.
    Arp(ArpPacket),
    /// Another IPv4 packet for one of our addresses.
    Ipv4 { local: LocalIdx, packet: Ipv4Packet<'a> },
    /// A piece of an IPv4 packet for this address of ours.
    Fragment { local: LocalIdx },
}

/// The interface a frame came in through.
#[derive(Clone, Copy)]
pub(super) struct Ingress<'a> {
    pub interface: u8,
    pub mac: Mac,
    pub locals: &'a Locals,
}

/// Classifies one frame. Most frames need not come here: see [`super::usual`].
#[cold]
pub(super) fn classify<'a>(
    frame: &'a [u8],
    verdicts: RxChecksums,
    ingress: Ingress<'_>,
) -> Result<Class<'a>, DropReason> {
    let (header, payload) = ethernet::parse(frame).ok_or(DropReason::FrameTooShort)?;
    match header.ethertype {
        ETHERTYPE_IPV4 => {
            if header.destination.is_group() {
                //= MUST-57
                //= PRE-4
                return Err(DropReason::IpGroupDestination);
            }
            if header.destination != ingress.mac {
                return Err(DropReason::EtherNotOurs);
            }
            ipv4_packet(frame, payload, verdicts, ingress)
        }
        ETHERTYPE_ARP if header.destination == ingress.mac || header.destination.is_group() => {
            crate::wire::arp::parse(payload).map(Class::Arp)
        }
        ETHERTYPE_ARP => Err(DropReason::EtherNotOurs),
        _ => Err(DropReason::EtherType),
    }
}

/// Classifies a packet that was made of fragments, each of which was classified before: its header is known to be
/// right, and nobody has looked at the rest.
pub(super) fn whole<'a>(packet: &'a [u8], ingress: Ingress<'_>) -> Result<Class<'a>, DropReason> {
    let verdicts = RxChecksums { ip: Verdict::Good, l4: Verdict::Unknown };
    ipv4_packet(packet, packet, verdicts, ingress)
}

fn ipv4_packet<'a>(
    frame: &'a [u8],
    payload: &'a [u8],
    verdicts: RxChecksums,
    ingress: Ingress<'_>,
) -> Result<Class<'a>, DropReason> {
    if verdicts.ip == Verdict::Bad {
        return Err(DropReason::IpChecksum);
    }
    //= IP4-1
    let packet = ipv4::parse(payload, verdicts.ip == Verdict::Good)?;
    if ipv4::is_group(packet.destination) || ingress.locals.is_directed_broadcast(packet.destination) {
        //= MUST-57
        return Err(DropReason::IpGroupDestination);
    }
    //= IP4-3
    let local =
        ingress.locals.find_v4_at(ingress.interface, packet.destination).ok_or(DropReason::IpNotOurs)?;
    if ingress.locals.is_directed_broadcast(packet.source) {
        //= MUST-63
        //= PRE-5
        return Err(DropReason::IpInvalidSource);
    }
    if packet.fragment.is_some() {
        return Ok(Class::Fragment { local });
    }
    if packet.protocol != ipv4::PROTOCOL_TCP {
        //= IP4-6
        let own = ingress.locals.find_v4(packet.source).is_some();
        return if own { Err(DropReason::IpInvalidSource) } else { Ok(Class::Ipv4 { local, packet }) };
    }
    tcp_segment(frame, &packet, local, verdicts, ingress.locals)
}

/// The name of the connection that a segment belongs to.
#[inline]
pub(super) fn key(source: [u8; 4], ports: tcp::Ports, local: LocalIdx) -> Key {
    Key { remote: u32::from_be_bytes(source), remote_port: ports.0, local_port: ports.1, local }
}

fn pseudo_sum(packet: &Ipv4Packet<'_>) -> Sum {
    let len = packet.payload.len() as u16;
    checksum::pseudo_v4(packet.source, packet.destination, ipv4::PROTOCOL_TCP, len)
}

/// What kind of wrong checksum it is. Hosts leave to their device what they can, and a virtual one passes it on as it
/// is: then the field holds the pseudo-header's sum alone.
fn wrong_checksum(packet: &Ipv4Packet<'_>) -> DropReason {
    let field = packet.payload.get(tcp::CHECKSUM_AT..tcp::CHECKSUM_AT + 2);
    let partial = field.is_some_and(|field| field == pseudo_sum(packet).fold().to_be_bytes());
    if partial { DropReason::TcpChecksumPartial } else { DropReason::TcpChecksum }
}

fn tcp_segment<'a>(
    frame: &'a [u8],
    packet: &Ipv4Packet<'a>,
    local: LocalIdx,
    verdicts: RxChecksums,
    locals: &Locals,
) -> Result<Class<'a>, DropReason> {
    let (ports, mut segment, text_in_payload) = tcp::parse(packet.payload)?;
    let good = match verdicts.l4 {
        Verdict::Good => true,
        //= PRE-3
        Verdict::Bad => false,
        Verdict::Unknown => (pseudo_sum(packet) + Sum::of(packet.payload)).finish() == 0,
    };
    //= MUST-3
    if !good {
        return Err(wrong_checksum(packet));
    }
    let own = locals.find_v4(packet.source).is_some();
    if own && ports.0 == ports.1 && packet.source == packet.destination {
        //= PRE-6
        return Err(DropReason::TcpLand);
    }
    if own {
        //= PRE-5
        return Err(DropReason::IpInvalidSource);
    }
    segment.congested = packet.tos & 0b11 == 0b11;
    let payload_at = packet.payload.as_ptr() as usize - frame.as_ptr() as usize;
    let key = key(packet.source, ports, local);
    Ok(Class::Tcp(Received { key, segment, text_at: (payload_at + text_in_payload) as u16 }))
}
