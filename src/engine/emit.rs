//! From a segment to a frame: headers, text, checksums. One layout for all, written front to back.

use crate::link::{Caps, Frame, TxOffload};
use crate::tcp::segment::SegmentOut;
use crate::tcp::settings::ForIp;
use crate::wire::checksum::{self, WordSum};
use crate::wire::ethernet::{self, ETHERTYPE_IPV4, Mac};
use crate::wire::ipv4::{self, Ipv4Fields};
use crate::wire::tcp::{self, Flags, Header};
use crate::wire::tcp_options::{self, Layout};

/// Bytes of all headers without TCP's options.
const HEADERS_LEN: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN + tcp::HEADER_LEN;
/// Bytes of all headers with the options that most segments have: timestamps.
pub(super) const USUAL_HEADERS_LEN: usize = HEADERS_LEN + 12;
/// The codepoint ECT(0) in the lower two bits of the traffic class.
const ECT_0: u8 = 0b10;

/// Who sends a segment to whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addressing {
    /// Zeros where whoever knows it will fill it in.
    pub next_hop: Mac,
    pub source_mac: Mac,
    pub source: [u8; 4],
    pub destination: [u8; 4],
    /// Source and destination port.
    pub ports: (u16, u16),
    /// What the connection asks of IP.
    pub ip: ForIp,
}

/// Writes the frame of one segment into a fresh one; `text` fills in the octets that it carries. False when there is not
/// enough room; nothing is sent then.
#[must_use]
#[inline(always)]
pub(super) fn segment<F: Frame>(
    frame: &mut F,
    caps: &Caps,
    to: &Addressing,
    segment: &SegmentOut,
    text: impl FnOnce(&mut [u8]),
) -> bool {
    match Layout::of(&segment.options) {
        Layout::Timestamps(words) => segment_with(frame, caps, to, segment, &words, text),
        Layout::None => segment_with(frame, caps, to, segment, &[], text),
        Layout::Syn(words) => segment_with(frame, caps, to, segment, &words, text),
        Layout::Other => segment_with(frame, caps, to, segment, &tcp_options::words(&segment.options), text),
    }
}

/// As [`segment`], with the options in words. It is put in place for each layout, so that those whose number is known
/// take no loop.
#[inline(always)]
fn segment_with<F: Frame>(
    frame: &mut F,
    caps: &Caps,
    to: &Addressing,
    segment: &SegmentOut,
    options: &[u32],
    text: impl FnOnce(&mut [u8]),
) -> bool {
    let len = HEADERS_LEN + 4 * options.len() + usize::from(segment.text_len);
    frame.set_len(len);
    let bytes = frame.bytes_mut();
    if bytes.len() < len || write(bytes, caps, to, segment, options, text).is_none() {
        return false;
    }
    if caps.tx_ip_checksum || caps.tx_tcp_checksum {
        ask_to_sum(frame, caps, tcp::HEADER_LEN + 4 * options.len());
    }
    true
}

/// As [`segment`], for one that the device is to cut. `text` fills in octets from an offset on; what the frame has no
/// room for goes into those that `more` gives.
#[must_use]
#[cold]
#[inline(never)]
pub(super) fn large<F: Frame>(
    frame: &mut F,
    caps: &Caps,
    to: &Addressing,
    segment: &SegmentOut,
    text: impl Fn(usize, &mut [u8]),
    mut more: impl FnMut() -> Option<F>,
) -> bool {
    let options = tcp_options::words(&segment.options);
    let headers_len = HEADERS_LEN + 4 * options.len();
    frame.set_len(headers_len + usize::from(segment.text_len));
    let bytes = frame.bytes_mut();
    let Some(mut done) = bytes.len().checked_sub(headers_len) else { return false };
    if write(bytes, caps, to, segment, &options, |place| text(0, place)).is_none() {
        return false;
    }
    ask_to_cut(frame, tcp::HEADER_LEN + 4 * options.len(), cut_of(caps, segment.cut, headers_len), to);
    while done < usize::from(segment.text_len) {
        let Some(mut next) = more() else { return false };
        next.set_len(usize::from(segment.text_len) - done);
        text(done, next.bytes_mut());
        let len = next.bytes().len();
        if len == 0 || frame.append(next).is_some() {
            return false;
        }
        done += len;
    }
    true
}

/// Writes headers, and as much text as there is room for, into the bytes of a frame; `None` when it has too few of them
/// for the headers.
#[inline(always)]
fn write(
    bytes: &mut [u8],
    caps: &Caps,
    to: &Addressing,
    segment: &SegmentOut,
    options: &[u32],
    text: impl FnOnce(&mut [u8]),
) -> Option<()> {
    let header_len = tcp::HEADER_LEN + 4 * options.len();
    let tcp_len = (header_len + usize::from(segment.text_len)) as u16;
    let (link, packet) = bytes.split_first_chunk_mut()?;
    ethernet::emit(link, to.next_hop, to.source_mac, ETHERTYPE_IPV4);
    let (ip, rest) = packet.split_first_chunk_mut()?;
    let fields = Ipv4Fields {
        source: to.source,
        destination: to.destination,
        protocol: ipv4::PROTOCOL_TCP,
        //= MUST-48
        //= MUST-49
        ttl: to.ip.ttl.get(),
        tos: to.ip.dscp.in_traffic_class() | if segment.ect { ECT_0 } else { 0 },
        payload_len: tcp_len,
        id: 0,
        dont_fragment: true,
    };
    //= PMTU-1
    ipv4::emit(ip, &fields, !caps.tx_ip_checksum);
    let (fixed, behind) = rest.split_first_chunk_mut::<{ tcp::HEADER_LEN }>()?;
    let (option_place, text_place) = behind.split_at_mut_checked(4 * options.len())?;
    tcp_options::put(option_place, options);
    let header = Header {
        ports: to.ports,
        seq: segment.seq,
        ack: segment.ack,
        flags: segment.flags,
        wnd: segment.wnd,
        up: segment.up,
    };
    if !text_place.is_empty() {
        text(text_place);
    }
    //= MUST-2
    //= OFF-1
    let pseudo = WordSum::pseudo_v4(to.source, to.destination, ipv4::PROTOCOL_TCP, tcp_len);
    let summed = if caps.tx_tcp_checksum { None } else { Some(&*text_place) };
    header.emit_summed(fixed, header_len, |fixed| match summed {
        Some(text) => (pseudo + fixed + WordSum::of(options)).sum().with_text(text).finish(),
        None => pseudo.sum().fold(),
    });
    Some(())
}

/// Octets of text of each packet: those of a full segment, or fewer where the device makes shorter frames.
fn cut_of(caps: &Caps, cut: u16, headers_len: usize) -> u16 {
    let frame_max = caps.tso.map_or(0, |tso| usize::from(tso.frame_max));
    frame_max.saturating_sub(headers_len).clamp(1, usize::from(cut)) as u16
}

/// Leaves everything that differs from packet to packet to the device (OFF-2).
fn ask_to_cut<F: Frame>(frame: &mut F, header_len: usize, cut: u16, to: &Addressing) {
    //= OFF-1
    //= OFF-2
    let pseudo = checksum::pseudo_v4(to.source, to.destination, ipv4::PROTOCOL_TCP, 0).fold();
    let at = ethernet::HEADER_LEN + ipv4::HEADER_LEN + tcp::CHECKSUM_AT;
    if let Some(place) = frame.bytes_mut().get_mut(at..at + 2) {
        place.copy_from_slice(&pseudo.to_be_bytes());
    }
    frame.set_tx_offload(TxOffload {
        l2_len: ethernet::HEADER_LEN as u8,
        l3_len: ipv4::HEADER_LEN as u8,
        l4_len: header_len as u8,
        ip_checksum: true,
        tcp_checksum: true,
        cut,
        ipv6: false,
    });
}

/// Leaves to the device the sums that it makes (OFF-1).
fn ask_to_sum<F: Frame>(frame: &mut F, caps: &Caps, header_len: usize) {
    //= OFF-1
    frame.set_tx_offload(TxOffload {
        l2_len: ethernet::HEADER_LEN as u8,
        l3_len: ipv4::HEADER_LEN as u8,
        l4_len: header_len as u8,
        ip_checksum: caps.tx_ip_checksum,
        tcp_checksum: caps.tx_tcp_checksum,
        cut: 0,
        ipv6: false,
    });
}

/// The control bits of a frame that [`segment`] built; `None` for any other frame of ours.
pub(super) fn tcp_flags(frame: &[u8]) -> Option<Flags> {
    const IP: usize = ethernet::HEADER_LEN;
    let ethertype = frame.get(IP - 2..IP)?;
    let is_tcp = ethertype == ETHERTYPE_IPV4.to_be_bytes() && *frame.get(IP + 9)? == ipv4::PROTOCOL_TCP;
    let flags = frame.get(IP + ipv4::HEADER_LEN + tcp::FLAGS_AT).copied();
    flags.filter(|_| is_tcp).map(Flags)
}

/// Fills in the destination MAC address of a frame that is otherwise complete.
pub(super) fn set_destination<F: Frame>(frame: &mut F, mac: Mac) {
    if let Some(place) = frame.bytes_mut().first_chunk_mut::<6>() {
        *place = mac.0;
    }
}

#[cfg(test)]
mod tests;
