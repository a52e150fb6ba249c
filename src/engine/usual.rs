//! The usual frame, read at once at fixed places: for our own address, IPv4 without options and in one piece, TCP with
//! the usual options, and nothing wrong with it. Nothing is refused here: what is not usual, or not right, is for
//! `classify`, which knows all that a frame can be and names the reasons. What is seen here is what that would see.

use super::classify::{self, Ingress, Received};
use crate::link::{RxChecksums, Verdict};
use crate::wire::checksum::{self, Sum};
use crate::wire::{ethernet, ipv4, tcp};

const HEADERS: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN + tcp::HEADER_LEN;

/// The segment in a usual frame.
#[inline(always)]
pub(super) fn usual(frame: &[u8], verdicts: RxChecksums, ingress: Ingress<'_>) -> Option<Received> {
    let (headers, behind) = frame.split_first_chunk::<HEADERS>()?;
    let (link, rest) = headers.split_first_chunk()?;
    let (ip, rest) = rest.split_first_chunk()?;
    let header = rest.first_chunk()?;
    if !ethernet::is_ipv4_for(link, ingress.mac) || verdicts.ip == Verdict::Bad {
        return None;
    }
    let packet = ipv4::usual(ip, verdicts.ip == Verdict::Good)?;
    let behind = behind.get(..usize::from(packet.payload_len).checked_sub(tcp::HEADER_LEN)?)?;
    let local = ingress.locals.find_v4_at(ingress.interface, packet.destination)?;
    // No address of ours is a group's, but it may be another subnet's broadcast address.
    if ingress.locals.is_directed_broadcast(packet.destination)
        || ingress.locals.is_directed_broadcast(packet.source)
        || ingress.locals.find_v4(packet.source).is_some()
    {
        return None;
    }
    let (ports, mut segment, header_len) = tcp::usual(header, behind)?;
    let good = match verdicts.l4 {
        Verdict::Good => true,
        Verdict::Bad => false,
        Verdict::Unknown => {
            let ipv4::Usual { source, destination, payload_len, .. } = packet;
            let pseudo = checksum::pseudo_v4(source, destination, ipv4::PROTOCOL_TCP, payload_len);
            (pseudo + Sum::of(header) + Sum::of(behind)).finish() == 0
        }
    };
    segment.congested = packet.tos & 0b11 == 0b11;
    let text_at = (ethernet::HEADER_LEN + ipv4::HEADER_LEN + header_len) as u16;
    good.then(|| Received { key: classify::key(packet.source, ports, local), segment, text_at })
}

#[cfg(test)]
mod tests;
