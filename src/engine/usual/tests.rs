//! Any frame is to both ways the same, as far as the short one sees anything in it.

use super::*;
use crate::base::rng::Rng;
use crate::engine::classify::{Class, Received};
use crate::inet::locals::Locals;
use crate::wire::checksum::{self, Sum};
use crate::wire::ethernet;
use crate::wire::ipv4::{self, Ipv4Fields};
use crate::wire::seq::Seq;
use crate::wire::tcp::{self, Flags, Header};
use crate::wire::tcp_options::{self, Options, Timestamps};

const OURS: [u8; 4] = [198, 18, 0, 1];
const BROADCAST: [u8; 4] = [198, 18, 0, 255];
const MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);

/// Two interfaces, a range, and an address that is another subnet's broadcast address.
fn locals() -> Locals {
    let mut locals = Locals::default();
    locals.add(std::net::Ipv4Addr::from(OURS).into(), 24, 0).unwrap();
    locals.add("198.19.0.1".parse().unwrap(), 16, 1).unwrap();
    locals.add_range("203.0.113.0".parse().unwrap(), 256, 32, 0).unwrap();
    locals.add(std::net::Ipv4Addr::from(BROADCAST).into(), 32, 0).unwrap();
    locals
}

fn one_of<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    all[rng.below(all.len() as u32) as usize]
}

/// Mostly the first, sometimes one of the others.
fn mostly<T: Copy>(rng: &mut Rng, all: &[T]) -> T {
    if rng.below(8) > 0 { all[0] } else { one_of(rng, all) }
}

fn options(rng: &mut Rng) -> Vec<u8> {
    let syn = rng.below(3) == 0;
    let mut options = Options {
        mss: syn.then_some(1460),
        window_scale: (syn && rng.below(2) == 0).then_some(7),
        sack_permitted: syn && rng.below(2) == 0,
        timestamps: (rng.below(2) == 0)
            .then_some(Timestamps { val: rng.next_u64() as u32, ecr: rng.next_u64() as u32 }),
        ..Options::default()
    };
    if rng.below(8) == 0 {
        options.sack.push(Seq(rng.next_u64() as u32), Seq(7));
    }
    let mut bytes = [0; tcp_options::LEN_MAX];
    let len = tcp_options::emit(&options, &mut bytes);
    bytes[..len].to_vec()
}

/// A frame that is right, as far as addresses and ports are.
fn frame(rng: &mut Rng) -> Vec<u8> {
    let options = options(rng);
    let text = one_of(rng, &[0, 0, 1, 6, 64, 301, 1_400]);
    let ip_options = mostly(rng, &[0, 4, 8]);
    let (header_len, segment_len) = (20 + options.len(), 20 + options.len() + text);
    let mut segment = vec![0u8; segment_len];
    segment[header_len..].fill_with(|| rng.next_u64() as u8);
    segment[20..header_len].copy_from_slice(&options);
    let header = Header {
        ports: (mostly(rng, &[4_000, 80, 0]), mostly(rng, &[80, 0])),
        seq: Seq(rng.next_u64() as u32),
        ack: Seq(rng.next_u64() as u32),
        flags: Flags(rng.next_u64() as u8),
        wnd: rng.next_u64() as u16,
        up: rng.next_u64() as u16,
    };
    header.emit(segment.first_chunk_mut().unwrap(), header_len);
    let source = mostly(
        rng,
        &[[198, 18, 0, 2], OURS, [203, 0, 113, 9], BROADCAST, [198, 19, 255, 255], [127, 0, 0, 1]],
    );
    let destination = mostly(
        rng,
        &[OURS, [203, 0, 113, 9], [198, 19, 0, 1], BROADCAST, [198, 18, 0, 3], [224, 0, 0, 1], [255; 4]],
    );
    let pseudo = checksum::pseudo_v4(source, destination, ipv4::PROTOCOL_TCP, segment_len as u16);
    let sum = (pseudo + Sum::of(&segment)).finish();
    segment[tcp::CHECKSUM_AT..][..2].copy_from_slice(&sum.to_be_bytes());
    let fields = Ipv4Fields {
        source,
        destination,
        protocol: mostly(rng, &[ipv4::PROTOCOL_TCP, ipv4::PROTOCOL_ICMP, 17]),
        ttl: 64,
        tos: rng.next_u64() as u8,
        payload_len: (segment_len + ip_options) as u16,
        id: rng.next_u64() as u16,
        dont_fragment: rng.below(2) == 0,
    };
    let mut bytes = vec![0; ethernet::HEADER_LEN + ipv4::HEADER_LEN];
    let to = mostly(rng, &[MAC, Mac([2, 0, 0, 0, 0, 2]), Mac::BROADCAST, Mac([3, 0, 0, 0, 0, 1])]);
    let carries = mostly(rng, &[ethernet::ETHERTYPE_IPV4, ethernet::ETHERTYPE_ARP, 0x86dd]);
    ethernet::emit(bytes.first_chunk_mut().unwrap(), to, Mac([2, 0, 0, 0, 0, 9]), carries);
    ipv4::emit(bytes[ethernet::HEADER_LEN..].first_chunk_mut().unwrap(), &fields, false);
    bytes[14] += ip_options as u8 / 4;
    bytes[20] |= mostly(rng, &[0, 0x20, 0x80, 0x1f]);
    bytes.extend(std::iter::repeat_n(1, ip_options));
    let sum = checksum::checksum(&bytes[ethernet::HEADER_LEN..]);
    bytes[24..26].copy_from_slice(&sum.to_be_bytes());
    bytes.extend(segment);
    bytes.extend(std::iter::repeat_n(0xaa, mostly(rng, &[0, 1, 6])));
    bytes
}

fn verdict(rng: &mut Rng) -> Verdict {
    mostly(rng, &[Verdict::Unknown, Verdict::Good, Verdict::Bad])
}

#[test]
fn what_is_usual_is_what_the_general_way_sees() {
    let locals = locals();
    let mut rng = Rng::new(11);
    let (mut right, mut short) = (0, 0);
    // What the place held before must not show.
    let mut segment = Segment::default();
    for round in 0..100_000 {
        let mut bytes = frame(&mut rng);
        match rng.below(4) {
            0 => {
                // A header's byte, for the most part.
                let len = bytes.len().min(if rng.below(4) == 0 { bytes.len() } else { 80 });
                bytes[rng.below(len as u32) as usize] ^= 1 << rng.below(8);
            }
            1 => bytes.truncate(rng.below(bytes.len() as u32 + 1) as usize),
            _ => {}
        }
        let verdicts = RxChecksums { ip: verdict(&mut rng), l4: verdict(&mut rng) };
        let mac = mostly(&mut rng, &[MAC, Mac([3, 0, 0, 0, 0, 1])]);
        let ingress = Ingress { interface: mostly(&mut rng, &[0, 1]), mac, locals: &locals };
        let general = match classify::classify(&bytes, verdicts, ingress) {
            Ok(Class::Tcp(received)) => Some(received),
            _ => None,
        };
        let found = read(&bytes, verdicts, mac, &mut segment).and_then(|(endpoints, text_at)| {
            Some(Received { key: key(&endpoints, ingress)?, segment, text_at })
        });
        right += u32::from(general.is_some());
        short += u32::from(found.is_some());
        if found.is_some() {
            assert_eq!(found, general, "round {round}: {bytes:x?}");
        }
    }
    assert!(right > 20_000 && short * 4 > right * 3, "{short} of {right} right ones are usual");
}
