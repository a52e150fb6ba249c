//! The headers of a usual frame, read at once at fixed places: Ethernet, IPv4 without options and in one piece, TCP with
//! the usual options. What was read once serves for both sums. Nothing is refused here: `None` says nothing of what is
//! there; otherwise it is what the general way finds, header by header.

use super::checksum::WordSum;
use super::ethernet::{self, ETHERTYPE_IPV4, Mac};
use super::ipv4::{self, PROTOCOL_TCP};
use super::seq::Seq;
use super::tcp::{self, Flags, Ports, Segment};
use super::tcp_options;

/// Bytes of the headers without options.
const HEADERS_LEN: usize = ethernet::HEADER_LEN + ipv4::HEADER_LEN + tcp::HEADER_LEN;
const IP: usize = ethernet::HEADER_LEN;
const TCP: usize = IP + ipv4::HEADER_LEN;

/// Where the EtherType stands, and behind it version and length of the IP header, and the type of service.
const KIND: usize = IP - 2;
const KIND_MASK: u32 = u32::from_ne_bytes([0xff, 0xff, 0xff, 0]);
const IPV4: u32 = (((ETHERTYPE_IPV4 as u32) << 16) | 0x4500).to_be();
const CONGESTED: u32 = u32::from_ne_bytes([0, 0, 0, 0b11]);
/// Of place, time to live and protocol: the bits that only fragments have, and the protocol.
const PLACE_AND_PROTOCOL: u32 = u32::from_ne_bytes([0x3f, 0xff, 0, 0xff]);
const WHOLE_TCP: u32 = u32::from_ne_bytes([0, 0, 0, PROTOCOL_TCP]);

/// The endpoints of a segment.
#[derive(Clone, Copy, Default)]
pub struct Endpoints {
    /// The source address.
    pub source: [u8; 4],
    /// The destination address.
    pub destination: [u8; 4],
    /// Source and destination port.
    pub ports: Ports,
}

/// Checksums that a device has found right, and that are not looked at again.
#[derive(Clone, Copy)]
pub struct KnownGood {
    /// That of the IPv4 header.
    pub ip: bool,
    /// That of the TCP segment.
    pub tcp: bool,
}

/// Reads a frame for this station. The segment, with what IP says of congestion, goes into a place that is lent, and is
/// anything when there is none: each field is written when it is read, so that few of them are in the machine's
/// registers at a time. Returns its endpoints, and where its text begins in the frame.
#[inline(always)]
pub fn read(
    frame: &[u8],
    station: Mac,
    known_good: KnownGood,
    segment: &mut Segment,
) -> Option<(Endpoints, u16)> {
    let headers: &[u8; HEADERS_LEN] = frame.first_chunk()?;
    let kind = word(headers, KIND);
    if bytes(headers, 0) != station.0 || station.is_group() || kind & KIND_MASK != IPV4 {
        return None;
    }
    let ip: [u32; 5] = words(headers, IP);
    let [.., source, destination] = ip.map(u32::to_ne_bytes);
    if word(headers, IP + 6) & PLACE_AND_PROTOCOL != WHOLE_TCP
        || !(known_good.ip || WordSum::of(&ip).sum().finish() == 0)
        || !ipv4::may_be_a_source(source)
    {
        return None;
    }
    segment.congested = kind & CONGESTED == CONGESTED;
    let total_len = u16::from_be_bytes(bytes(headers, IP + 2));
    let behind = frame.get(HEADERS_LEN..IP + usize::from(total_len))?;
    let pseudo = u32::from(PROTOCOL_TCP) << 16 | (u32::from(total_len) - ipv4::HEADER_LEN as u32);
    let fixed = words(headers, TCP);
    let sum = WordSum::of(&[ip[3], ip[4], pseudo.to_be()]) + WordSum::of(&fixed);
    let [ports, seq, ack, offset_to_wnd, sum_and_up] = fixed.map(u32::from_be);
    segment.flags = Flags((offset_to_wnd >> 16) as u8);
    segment.seq = Seq(seq);
    segment.ack = Seq(if segment.flags.has(Flags::ACK) { ack } else { 0 });
    segment.wnd = offset_to_wnd as u16;
    segment.up = if segment.flags.has(Flags::URG) { sum_and_up as u16 } else { 0 };
    let header_len = (offset_to_wnd >> 28) as usize * 4;
    let (options, text) = behind.split_at_checked(header_len.checked_sub(tcp::HEADER_LEN)?)?;
    segment.text_len = text.len() as u16;
    let sum = tcp_options::read_usual(options, sum, &mut segment.options)?;
    let ports = ((ports >> 16) as u16, ports as u16);
    let good = known_good.tcp || sum.with_text(text).finish() == 0;
    let right = good && ports.0 != 0 && ports.1 != 0;
    right.then_some((Endpoints { source, destination, ports }, (TCP + header_len) as u16))
}

/// Bytes of the headers, from a place on that has so many behind it.
#[inline(always)]
fn bytes<const N: usize>(headers: &[u8; HEADERS_LEN], at: usize) -> [u8; N] {
    headers.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
}

/// The same as a word, in memory's order.
#[inline(always)]
fn word(headers: &[u8; HEADERS_LEN], at: usize) -> u32 {
    u32::from_ne_bytes(bytes(headers, at))
}

/// The same as words, in memory's order.
#[inline(always)]
fn words<const N: usize>(headers: &[u8; HEADERS_LEN], at: usize) -> [u32; N] {
    std::array::from_fn(|number| word(headers, at + 4 * number))
}
