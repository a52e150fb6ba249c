//! Any bytes into the parsers: nothing panics, what is read lies inside what was given, another walk reads the same,
//! and what was read can be written and is read again as the same.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::wire::ethernet::{self, ETHERTYPE_ARP, ETHERTYPE_IPV4};
use dpdk_tcp::wire::ipv4::{self, Ipv4Packet};
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::{self, Flags, HEADER_LEN, Header};
use dpdk_tcp::wire::tcp_options::{self, LEN_MAX, Options, SackBlocks, Timestamps};
use dpdk_tcp::wire::{arp, icmpv4};

use super::frames::mend;

/// A frame, its checksums mended or not by the first octet.
///
/// # Panics
/// A parser did something that it must not.
pub fn frame(data: &[u8]) {
    let Some((shape, rest)) = data.split_first() else { return };
    let mut frame = rest.to_vec();
    if shape & 1 == 0 {
        mend(&mut frame);
    }
    let Some((header, payload)) = ethernet::parse(&frame) else {
        assert!(frame.len() < ethernet::HEADER_LEN);
        return;
    };
    let mut written = [0; ethernet::HEADER_LEN];
    ethernet::emit(&mut written, header.destination, header.source, header.ethertype);
    assert_eq!(frame[..ethernet::HEADER_LEN], written);
    match header.ethertype {
        ETHERTYPE_ARP => arp_packet(payload),
        ETHERTYPE_IPV4 => ipv4_packet(payload),
        _ => {}
    }
}

fn arp_packet(bytes: &[u8]) {
    let Ok(packet) = arp::parse(bytes) else { return };
    let mut written = [0; 28];
    arp::emit(&mut written, &packet);
    assert_eq!(bytes[..28], written);
}

fn ipv4_packet(bytes: &[u8]) {
    let packet = ipv4::parse(bytes, false);
    // The link's padding belongs to nobody (PRE-8).
    let padded = [bytes, &[0xa5; 9]].concat();
    if packet.is_ok() {
        assert_eq!(ipv4::parse(&padded, false), packet);
    }
    let Ok(packet) = packet else { return };
    let len = packet.header.len() + packet.payload.len();
    assert!(packet.header.len() >= 20 && len <= bytes.len());
    assert!(ipv4::may_be_a_source(packet.source));
    match packet.protocol {
        ipv4::PROTOCOL_TCP => segment(&packet),
        1 => drop(icmpv4::parse(packet.payload)),
        _ => {}
    }
}

fn segment(packet: &Ipv4Packet<'_>) {
    let bytes = packet.payload;
    let (ports, segment, text_at) = match tcp::parse(bytes) {
        Ok(read) => read,
        Err(DropReason::TcpBadOptions) => return assert!(Flags(bytes[13]).has(Flags::SYN)),
        Err(reason) => {
            return assert!(matches!(reason, DropReason::TcpMalformed | DropReason::TcpPortZero));
        }
    };
    assert_eq!(text_at + usize::from(segment.text_len), bytes.len());
    assert!((HEADER_LEN..=60).contains(&text_at));
    assert_eq!(segment.options, by_another_walk(&bytes[HEADER_LEN..text_at]));
    assert!(segment.flags.has(Flags::ACK) || segment.ack == Seq(0));
    assert!(segment.flags.has(Flags::URG) || segment.up == 0);
    let mut written = bytes[..text_at].to_vec();
    let header = Header {
        ports,
        seq: segment.seq,
        ack: segment.ack,
        flags: segment.flags,
        wnd: segment.wnd,
        up: segment.up,
    };
    header.emit(written.first_chunk_mut().unwrap(), text_at);
    let again = [&written, &bytes[text_at..]].concat();
    assert_eq!(tcp::parse(&again), Ok((ports, segment, text_at)));
}

/// The options of a header, and nothing else.
///
/// # Panics
/// The parser did something that it must not.
pub fn options(data: &[u8]) {
    let bytes = &data[..data.len().min(LEN_MAX)];
    let read = tcp_options::parse(bytes);
    assert_eq!(read, by_another_walk(bytes));
    let mut room = [0xff; LEN_MAX];
    let len = tcp_options::emit(&read, &mut room);
    assert!(len.is_multiple_of(4), "{len} octets of options");
    let again = tcp_options::parse(&room[..len]);
    let fits = len > 0 || read.sack.is_empty();
    let sack = if again.sack.is_empty() && fits { SackBlocks::default() } else { read.sack };
    assert_eq!(again, Options { sack, broken: false, ..read });
    let others = Options { sack: SackBlocks::default(), ..read };
    let left = LEN_MAX - tcp_options::emit(&others, &mut [0; LEN_MAX]);
    assert_eq!(again.sack.is_empty(), read.sack.is_empty() || read.sack.option_len() > left);
}

/// The same rules once more, by index instead of by slices.
fn by_another_walk(bytes: &[u8]) -> Options {
    let mut options = Options::default();
    let word = |at: usize| u32::from_be_bytes(std::array::from_fn(|n| bytes[at + n]));
    let mut at = 0;
    while at < bytes.len() && bytes[at] != 0 {
        if bytes[at] == 1 {
            at += 1;
            continue;
        }
        let len = bytes.get(at + 1).map_or(0, |len| usize::from(*len));
        if len < 2 || at + len > bytes.len() {
            options.broken = true;
            break;
        }
        match (bytes[at], len) {
            (2, 4) if options.mss.is_none() => {
                options.mss = Some(u16::from(bytes[at + 2]) << 8 | u16::from(bytes[at + 3]));
            }
            (3, 3) if options.window_scale.is_none() => options.window_scale = Some(bytes[at + 2]),
            (4, 2) => options.sack_permitted = true,
            (5, 10 | 18 | 26 | 34) if options.sack.is_empty() => {
                for block in (at + 2..at + len).step_by(8) {
                    options.sack.push(Seq(word(block)), Seq(word(block + 4)));
                }
            }
            (8, 10) if options.timestamps.is_none() => {
                options.timestamps = Some(Timestamps { val: word(at + 2), ecr: word(at + 6) });
            }
            _ => {}
        }
        at += len;
    }
    options
}
