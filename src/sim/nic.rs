//! The transmit side of a network card in software: it fills in the checksums that it is asked for, and cuts large
//! segments into packets as cards do (OFF-2).

use super::frame::{FramePool, MemFrame};
use crate::link::{Frame, TxOffload};
use crate::wire::checksum::{self, Sum};
use crate::wire::{ipv4, tcp};

/// Where flags stand in a TCP header, and those that are not on every packet of a segment.
const FLAGS_AT: usize = 13;
const FIN_PSH: u8 = 0x01 | 0x08;
const CWR: u8 = 0x80;

/// Gives `send` the frames that leave the card for one that was handed to it: none when the pool is exhausted or
/// the headers are not where they were said to be.
pub(super) fn transmit(mut frame: MemFrame, pool: &FramePool, mut send: impl FnMut(MemFrame)) {
    let offload = frame.offload();
    if offload.cut == 0 {
        complete(frame.bytes_mut(), offload);
        return send(frame);
    }
    let headers_len = usize::from(offload.l2_len) + usize::from(offload.l3_len) + usize::from(offload.l4_len);
    let text_len = frame.total_len().saturating_sub(headers_len);
    let starts = (0..text_len).step_by(usize::from(offload.cut));
    for (number, at) in starts.enumerate() {
        let len = usize::from(offload.cut).min(text_len - at);
        let Some(mut packet) = pool.alloc() else { return };
        packet.set_len(headers_len + len);
        let Some((headers, text)) = packet.bytes_mut().split_at_mut_checked(headers_len) else { return };
        frame.copy_out(0, headers);
        frame.copy_out(headers_len + at, text);
        cut_header(packet.bytes_mut(), offload, Place { at, number, last: at + len == text_len });
        complete(packet.bytes_mut(), offload);
        send(packet);
    }
}

/// A packet's place in its segment.
#[derive(Clone, Copy)]
struct Place {
    /// Octets of text before it.
    at: usize,
    number: usize,
    last: bool,
}

/// Makes the segment's headers those of one packet, but for the checksums.
fn cut_header(frame: &mut [u8], offload: TxOffload, place: Place) {
    //= OFF-2
    let Some(packet) = frame.get_mut(usize::from(offload.l2_len)..) else { return };
    let total = packet.len() as u16;
    let Some((ip, tcp)) = packet.split_at_mut_checked(usize::from(offload.l3_len)) else { return };
    if let Some(fixed) = ip.first_chunk_mut::<{ ipv4::HEADER_LEN }>() {
        fixed[2..4].copy_from_slice(&total.to_be_bytes());
        let id = u16::from_be_bytes([fixed[4], fixed[5]]).wrapping_add(place.number as u16);
        fixed[4..6].copy_from_slice(&id.to_be_bytes());
    }
    let len = tcp.len() as u16;
    if let Some(fixed) = tcp.first_chunk_mut::<{ tcp::HEADER_LEN }>() {
        let seq = u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]).wrapping_add(place.at as u32);
        fixed[4..8].copy_from_slice(&seq.to_be_bytes());
        if !place.last {
            fixed[FLAGS_AT] &= !FIN_PSH;
        }
        if place.number > 0 {
            fixed[FLAGS_AT] &= !CWR;
        }
        // The pseudo-header's sum in the field is that of a segment of length 0.
        let sum = u16::from_be_bytes([fixed[16], fixed[17]]);
        let with_len = (Sum::of(&sum.to_be_bytes()) + Sum::of(&len.to_be_bytes())).fold();
        fixed[16..18].copy_from_slice(&with_len.to_be_bytes());
    }
}

/// Fills in the checksums that are asked for.
fn complete(frame: &mut [u8], offload: TxOffload) {
    //= OFF-1
    let Some(packet) = frame.get_mut(usize::from(offload.l2_len)..) else { return };
    let Some((ip, tcp)) = packet.split_at_mut_checked(usize::from(offload.l3_len)) else { return };
    let put = |place: Option<&mut [u8]>, sum: u16| {
        if let Some(place) = place {
            place.copy_from_slice(&sum.to_be_bytes());
        }
    };
    if offload.ip_checksum {
        let sum = checksum::checksum(ip);
        put(ip.get_mut(10..12), sum);
    }
    if offload.tcp_checksum {
        // The field holds the pseudo-header's sum, so that the sum over all is the whole one.
        let sum = checksum::checksum(tcp);
        put(tcp.get_mut(tcp::CHECKSUM_AT..tcp::CHECKSUM_AT + 2), sum);
    }
}
