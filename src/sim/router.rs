//! What a router says that may not fragment (RFC 1191 4): a packet is too big for the next hop.

use super::frame::{FramePool, MemFrame};
use crate::link::Frame;
use crate::wire::ethernet::{self, ETHERTYPE_IPV4};
use crate::wire::icmpv4::{self, Undelivered};
use crate::wire::ipv4::{self, Ipv4Fields};

/// The router's address; no host has it.
const ADDRESS: [u8; 4] = [198, 18, 255, 254];
const TTL: u8 = 64;

/// The answer to the sender of a frame whose packet is larger than `mtu` bytes.
pub(super) fn too_big(frame: &MemFrame, mtu: u16, pool: &FramePool) -> Option<MemFrame> {
    let (header, bytes) = ethernet::parse(frame.bytes())?;
    if header.ethertype != ETHERTYPE_IPV4 {
        return None;
    }
    let packet = ipv4::parse(bytes, true).ok()?;
    let payload_len = icmpv4::HEADER_LEN + bytes.len().min(icmpv4::QUOTE_MAX);
    let mut answer = pool.alloc()?;
    answer.set_len(ethernet::HEADER_LEN + ipv4::HEADER_LEN + payload_len);
    let (link, rest) = answer.bytes_mut().split_first_chunk_mut()?;
    ethernet::emit(link, header.source, header.destination, ETHERTYPE_IPV4);
    let (ip, message) = rest.split_first_chunk_mut()?;
    let fields = Ipv4Fields {
        source: ADDRESS,
        destination: packet.source,
        protocol: ipv4::PROTOCOL_ICMP,
        ttl: TTL,
        tos: 0,
        payload_len: payload_len as u16,
        id: 0,
        dont_fragment: false,
    };
    ipv4::emit(ip, &fields, true);
    icmpv4::emit_unreachable(message, Undelivered::FragmentationNeeded { mtu }, bytes);
    Some(answer)
}
