//! Any segment is laid out at once as it is header by header, summed by us or left to a device.

use super::*;
use crate::base::rng::Rng;
use crate::link::QueuePair;
use crate::link::memory::{Checksums, Plan, pair};
use crate::tcp::settings::Dscp;
use crate::wire::checksum::Sum;
use crate::wire::seq::Seq;
use crate::wire::tcp_options::{Options, Timestamps};

fn any_options(rng: &mut Rng) -> Options {
    let mut some = |one_in: u32| (rng.below(one_in) == 0).then(|| rng.next_u64() as u32);
    let (syn, odd) = (some(3).is_some(), some(4).is_some());
    let mut maybe = || if odd { some(2) } else { Some(5).filter(|_| syn) };
    let mut options = Options {
        mss: maybe().map(|mss| mss as u16),
        window_scale: maybe().map(|shift| (shift % 15) as u8),
        sack_permitted: maybe().is_some(),
        timestamps: some(2).map(|val| Timestamps { val, ecr: val.rotate_left(9) }),
        ..Options::default()
    };
    for left in (0..some(8).map_or(0, |n| n % 3)).map(|n| Seq(n * 0x1234_5678)) {
        options.sack.push(left, left + 9);
    }
    options
}

fn any_segment(rng: &mut Rng) -> SegmentOut {
    let lengths = [0, 0, 1, 2, 7, 64, 255, 301, 1_400];
    SegmentOut {
        seq: Seq(rng.next_u64() as u32),
        ack: Seq(rng.next_u64() as u32),
        flags: Flags(rng.next_u64() as u8),
        wnd: rng.next_u64() as u16,
        up: rng.next_u64() as u16,
        text_len: lengths[rng.below(lengths.len() as u32) as usize],
        ect: rng.below(2) == 0,
        options: any_options(rng),
        ..SegmentOut::default()
    }
}

fn anywhere(rng: &mut Rng) -> Addressing {
    let ttl = std::num::NonZeroU8::new(rng.next_u64() as u8).unwrap_or(std::num::NonZeroU8::MIN);
    Addressing {
        next_hop: Mac(std::array::from_fn(|_| rng.next_u64() as u8)),
        source_mac: Mac(std::array::from_fn(|_| rng.next_u64() as u8)),
        source: (rng.next_u64() as u32).to_be_bytes(),
        destination: (rng.next_u64() as u32).to_be_bytes(),
        ports: (rng.next_u64() as u16, rng.next_u64() as u16),
        ip: ForIp { dscp: Dscp::new(rng.below(64) as u8).unwrap(), ttl },
    }
}

/// Header by header, as the general parts write them, and summed as bytes.
fn expected(to: &Addressing, segment: &SegmentOut, text: &[u8], caps: &Caps) -> Vec<u8> {
    let mut options = [0; tcp_options::LEN_MAX];
    let options_len = tcp_options::emit(&segment.options, &mut options);
    let mut tcp = vec![0; tcp::HEADER_LEN];
    let SegmentOut { seq, ack, flags, wnd, up, .. } = *segment;
    let header = Header { ports: to.ports, seq, ack, flags, wnd, up };
    header.emit(tcp.first_chunk_mut().unwrap(), tcp::HEADER_LEN + options_len);
    tcp.extend(&options[..options_len]);
    tcp.extend(text);
    let pseudo = checksum::pseudo_v4(to.source, to.destination, ipv4::PROTOCOL_TCP, tcp.len() as u16);
    let sum = if caps.tx_tcp_checksum { pseudo.fold() } else { (pseudo + Sum::of(&tcp)).finish() };
    tcp[tcp::CHECKSUM_AT..][..2].copy_from_slice(&sum.to_be_bytes());
    let fields = Ipv4Fields {
        source: to.source,
        destination: to.destination,
        protocol: ipv4::PROTOCOL_TCP,
        ttl: to.ip.ttl.get(),
        tos: to.ip.dscp.in_traffic_class() | if segment.ect { 2 } else { 0 },
        payload_len: tcp.len() as u16,
        id: 0,
        dont_fragment: true,
    };
    let mut frame = vec![0; ethernet::HEADER_LEN + ipv4::HEADER_LEN];
    ethernet::emit(frame.first_chunk_mut().unwrap(), to.next_hop, to.source_mac, ETHERTYPE_IPV4);
    let ip = &mut frame[ethernet::HEADER_LEN..];
    ipv4::emit(ip.first_chunk_mut().unwrap(), &fields, false);
    if !caps.tx_ip_checksum {
        let sum = checksum::checksum(ip);
        ip[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    frame.extend(tcp);
    frame
}

#[test]
fn a_segment_is_laid_out_as_header_by_header() {
    //= MUST-2
    let mut rng = Rng::new(9);
    for checksums in [Checksums::Software, Checksums::Marked] {
        let (mut queue, _other) = pair(Plan { checksums, frames: 64, ..Plan::default() });
        let caps = queue.caps();
        for round in 0..20_000 {
            let (to, segment_out) = (anywhere(&mut rng), any_segment(&mut rng));
            let text: Vec<u8> =
                (0..segment_out.text_len).map(|n| n.wrapping_mul(37) as u8 ^ round as u8).collect();
            // A frame that was used before.
            let mut frame = queue.alloc().unwrap();
            let place = |place: &mut [u8]| place.copy_from_slice(&text);
            assert!(segment(&mut frame, &caps, &to, &segment_out, place));
            assert_eq!(frame.bytes(), expected(&to, &segment_out, &text, &caps), "{round}: {segment_out:?}");
            queue.recycle(frame);
        }
    }
}

#[test]
fn a_segment_that_finds_no_room_is_refused() {
    let (mut queue, _other) = pair(Plan { frames: 4, ..Plan::default() });
    let mut rng = Rng::new(1);
    let to = anywhere(&mut rng);
    let mut frame = queue.alloc().unwrap();
    let room = (frame.capacity() - HEADERS_LEN) as u16;
    for (text_len, fits) in [(room, true), (room + 1, false), (u16::MAX, false)] {
        let segment_out = SegmentOut { text_len, ..SegmentOut::default() };
        assert_eq!(segment(&mut frame, &queue.caps(), &to, &segment_out, |_| ()), fits, "{text_len}");
    }
}
