//! From a segment to a frame: headers, text, checksums. One layout for all, written front to back.

use crate::link::{Caps, Frame, TxOffload};
use crate::tcp::segment::SegmentOut;
use crate::tcp::settings::ForIp;
use crate::wire::checksum::{self, Sum};
use crate::wire::ethernet::{self, ETHERTYPE_IPV4, Mac};
use crate::wire::ipv4::{self, Ipv4Fields};
use crate::wire::tcp::{self, Flags, Header};
use crate::wire::tcp_options;

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

/// Writes the frame of one segment. `text` fills in the octets that the segment carries from an offset on; what the
/// frame has no room for goes into those that `more` gives, where the device is to cut the segment. False when there
/// is not enough room; nothing is sent then.
#[must_use]
pub(super) fn segment<F: Frame>(
    frame: &mut F,
    caps: &Caps,
    to: &Addressing,
    segment: &SegmentOut,
    text: impl Fn(usize, &mut [u8]),
    mut more: impl FnMut() -> Option<F>,
) -> bool {
    match tcp_options::timestamps_alone(&segment.options) {
        Some(options) => segment_with(frame, caps, to, segment, &options, text, &mut more),
        None => {
            segment_with(frame, caps, to, segment, &tcp_options::words(&segment.options), text, &mut more)
        }
    }
}

/// As [`segment`], with the options in words. It is put in place for each kind of them, so that those whose number is
/// known take no loop.
#[inline(always)]
fn segment_with<F: Frame>(
    frame: &mut F,
    caps: &Caps,
    to: &Addressing,
    segment: &SegmentOut,
    options: &[u32],
    text: impl Fn(usize, &mut [u8]),
    more: &mut impl FnMut() -> Option<F>,
) -> bool {
    let header_len = tcp::HEADER_LEN + 4 * options.len();
    let headers_len = ethernet::HEADER_LEN + ipv4::HEADER_LEN + header_len;
    frame.reset();
    let room = frame.capacity().saturating_sub(headers_len);
    let first = usize::from(segment.text_len).min(room);
    if frame.capacity() < headers_len || (first < usize::from(segment.text_len) && segment.cut == 0) {
        return false;
    }
    frame.set_len(headers_len + first);
    if write(frame.bytes_mut(), caps, to, segment, options, |place| text(0, place)).is_none() {
        return false;
    }
    if segment.cut > 0 {
        let cut = cut_of(caps, segment.cut, headers_len);
        ask_to_cut(frame, header_len, cut, to);
    } else if caps.tx_ip_checksum || caps.tx_tcp_checksum {
        ask_to_sum(frame, caps, header_len);
    }
    let mut done = first;
    while done < usize::from(segment.text_len) {
        let Some(mut next) = more() else { return false };
        next.reset();
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

/// Writes headers and text into the bytes of a frame that has room for exactly those; `None` when it has too little for
/// the headers.
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
    let tcp_len = header_len + usize::from(segment.text_len);
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
        payload_len: tcp_len as u16,
        id: 0,
        dont_fragment: true,
    };
    //= PMTU-1
    ipv4::emit(ip, &fields, !caps.tx_ip_checksum);
    let (fixed, behind) = rest.split_first_chunk_mut::<{ tcp::HEADER_LEN }>()?;
    let header = Header {
        ports: to.ports,
        seq: segment.seq,
        ack: segment.ack,
        flags: segment.flags,
        wnd: segment.wnd,
        up: segment.up,
    };
    let fixed_sum = header.emit(fixed, header_len);
    let (option_place, text_place) = behind.split_at_mut_checked(4 * options.len())?;
    tcp_options::put(option_place, options);
    if !text_place.is_empty() {
        text(text_place);
    }
    //= MUST-2
    //= OFF-1
    let pseudo = checksum::pseudo_v4(to.source, to.destination, ipv4::PROTOCOL_TCP, tcp_len as u16);
    let sum = if caps.tx_tcp_checksum {
        pseudo.fold()
    } else {
        (pseudo + fixed_sum + Sum::of_words(options) + Sum::of(text_place)).finish()
    };
    fixed[tcp::CHECKSUM_AT..tcp::CHECKSUM_AT + 2].copy_from_slice(&sum.to_be_bytes());
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
