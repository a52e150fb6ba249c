//! Floods over the memory link whose other end is made by hand: what is sent when, and how what comes back counts.

use super::*;
use crate::link::memory::{MemoryQueue, Plan as Link, pair};
use crate::wire::checksum::{self, Sum};
use crate::wire::ipv4::Ipv4Fields;
use crate::wire::tcp::{Header, Segment};
use crate::wire::tcp_options::{self, Options, Timestamps};

const TARGET: Target = Target { address: [198, 18, 0, 1], port: 80, mac: Mac([2, 0, 0, 0, 0, 9]) };
const SECOND: u64 = 1_000_000_000;

fn plan() -> Plan {
    Plan {
        target: TARGET,
        sources: Sources { first: [10, 0, 0, 1], addresses: 4, ports: 1_000..=1_999 },
        beside: None,
        gateway: Some([198, 18, 0, 254]),
        count: 4_000,
        rate: None,
        burst: 32,
        seed: 7,
    }
}

fn flood(link: Link, plan: Plan) -> (Flood<MemoryQueue>, MemoryQueue) {
    let (a, b) = pair(link);
    (Flood::new(a, plan).unwrap(), b)
}

/// What the other end receives: source, source port, and the segment.
fn received(end: &mut MemoryQueue) -> Vec<([u8; 4], u16, Segment)> {
    let mut all = Vec::new();
    loop {
        let mut frames = Burst::new();
        end.rx_burst(&mut frames, 64);
        if frames.is_empty() {
            return all;
        }
        for frame in frames {
            let packet = ipv4::parse(&frame.bytes()[14..], false).unwrap();
            let ((port, _), segment, _) = tcp::parse(packet.payload).unwrap();
            all.push((packet.source, port, segment));
            end.recycle(frame);
        }
    }
}

fn send(end: &mut MemoryQueue, bytes: &[u8]) {
    let mut frame = end.alloc().unwrap();
    frame.set_len(bytes.len());
    frame.bytes_mut().copy_from_slice(bytes);
    let mut frames = Burst::new();
    frames.push(frame);
    end.tx_burst(&mut frames);
}

/// A segment from the target.
fn segment(to: [u8; 4], ports: (u16, u16), ack: Seq, flags: Flags) -> Vec<u8> {
    let mut bytes = vec![0; 54];
    ethernet::emit(bytes.first_chunk_mut().unwrap(), Mac([2; 6]), TARGET.mac, ETHERTYPE_IPV4);
    let fields = Ipv4Fields {
        source: TARGET.address,
        destination: to,
        protocol: ipv4::PROTOCOL_TCP,
        ttl: 64,
        tos: 0,
        payload_len: 20,
        id: 0,
        dont_fragment: true,
    };
    ipv4::emit(bytes[14..34].first_chunk_mut().unwrap(), &fields, true);
    let header = Header { ports, seq: Seq(1), ack, flags, wnd: 1, up: 0 };
    header.emit(bytes[34..].first_chunk_mut().unwrap(), 20);
    bytes
}

fn request(target: [u8; 4]) -> Vec<u8> {
    let packet = ArpPacket {
        operation: Operation::Request,
        sender_mac: TARGET.mac,
        sender: TARGET.address,
        target_mac: Mac([0; 6]),
        target,
    };
    let mut bytes = vec![0; 42];
    ethernet::emit(bytes.first_chunk_mut().unwrap(), Mac::BROADCAST, TARGET.mac, ETHERTYPE_ARP);
    arp::emit(bytes[14..].first_chunk_mut().unwrap(), &packet);
    bytes
}

#[test]
fn every_tuple_sends_one_syn_and_then_no_more_comes() {
    let (mut flood, mut end) = flood(Link::default(), plan());
    let mut seen = Vec::new();
    while !flood.is_done() {
        assert!((1..=32).contains(&flood.pass(5 * SECOND)), "a burst at most");
        seen.extend(received(&mut end));
    }
    assert_eq!((flood.pass(9 * SECOND), seen.len(), flood.tally().syns), (0, 4_000, 4_000));
    assert!(seen.iter().all(|(source, port, syn)| {
        syn.flags == Flags::SYN
            && source[3] <= 4
            && source[..3] == [10, 0, 0]
            && (1_000..2_000).contains(port)
    }));
    assert!(seen.iter().all(|(.., syn)| syn.options.timestamps.map(|time| time.val) == Some(5_000)));
    let mut tuples: Vec<_> = seen.iter().map(|(source, port, _)| (*source, *port)).collect();
    tuples.sort_unstable();
    tuples.dedup();
    assert_eq!(tuples.len(), 4_000);
    let mut numbers: Vec<_> = seen.iter().map(|(.., syn)| syn.seq.0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 4_000, "sequence numbers tell tuples apart");
}

#[test]
fn a_tuple_that_comes_again_has_the_same_number_and_another_seed_another() {
    let numbers = |seed: u64| {
        let (mut flood, mut end) = flood(Link::default(), Plan { count: 8_000, seed, ..plan() });
        let mut seen = Vec::new();
        while !flood.is_done() {
            flood.pass(0);
            seen.extend(received(&mut end).into_iter().map(|(source, port, syn)| (source, port, syn.seq)));
        }
        seen
    };
    let seen = numbers(7);
    assert_eq!(seen[..4_000], seen[4_000..]);
    let other = numbers(8);
    assert!(seen.iter().filter(|one| other.contains(one)).count() < 10);
}

#[test]
fn a_rate_is_kept_from_the_first_pass_on_and_made_up_for_after_a_pause() {
    let rate = NonZeroU32::new(10_000);
    let (mut flood, mut end) = flood(Link::default(), Plan { rate, ..plan() });
    let start = 77 * SECOND;
    assert_eq!(flood.pass(start), 0);
    assert_eq!((flood.pass(start + 99_999), flood.pass(start + 100_000)), (0, 1));
    for us in (200..=100_000).step_by(100) {
        assert_eq!(flood.pass(start + us * 1_000), 1, "one each 100 us, not in bursts");
    }
    assert_eq!((flood.tally().syns, received(&mut end).len()), (1_000, 1_000));
    // Nothing for 10 ms: what was missed follows in bursts.
    let late = start + 110_000_000;
    let moved: Vec<_> = (0..5).map(|_| flood.pass(late)).collect();
    assert_eq!(moved, [32, 32, 32, 4, 0]);
    while !flood.is_done() {
        received(&mut end);
        flood.pass(start + 60 * SECOND);
    }
    assert_eq!((flood.tally().syns, flood.due(u64::MAX)), (4_000, 4_000));
}

#[test]
fn what_a_full_link_does_not_take_waits_and_is_not_counted() {
    let (mut flood, mut end) = flood(Link { slots: 40, ..Link::default() }, plan());
    assert_eq!([0; 4].map(|now| flood.pass(now)), [32, 8, 0, 0]);
    assert_eq!((flood.tally().syns, received(&mut end).len()), (40, 40));
    // What waited goes first; a burst more is built behind it.
    assert_eq!((flood.pass(0), flood.tally().syns), (40, 80));
    let pool = end.pool();
    drop((flood.into_queue(), end));
    assert_eq!(pool.in_use(), 0);
}

#[test]
fn an_exhausted_pool_stops_no_flood() {
    let (mut flood, mut end) = flood(Link { frames: 20, ..Link::default() }, plan());
    let mut seen = 0;
    while !flood.is_done() {
        flood.pass(0);
        let mut frames = Burst::new();
        end.rx_burst(&mut frames, 64);
        assert!(frames.len() <= 20);
        seen += frames.len();
    }
    assert_eq!(seen, 4_000);
}

#[test]
fn what_comes_back_is_told_apart() {
    let (mut flood, mut end) = flood(Link::default(), Plan { count: 1, ..plan() });
    flood.pass(0);
    let (source, port, syn) = received(&mut end)[0];
    let (right, ports) = (syn.seq + 1, (80, port));
    let syn_ack = Flags::SYN | Flags::ACK;
    let tally = Tally { syns: 1, ..Tally::default() };
    let rows: [(&str, Vec<u8>, Tally); 14] = [
        ("SYN-ACK", segment(source, ports, right, syn_ack), Tally { syn_acks: 1, ..tally }),
        ("refusal", segment(source, ports, right, Flags::RST | Flags::ACK), Tally { resets: 1, ..tally }),
        ("ACK of another", segment(source, ports, right + 1, syn_ack), Tally { wrong: 1, ..tally }),
        ("of the SYN itself", segment(source, ports, syn.seq, syn_ack), Tally { wrong: 1, ..tally }),
        ("no ACK", segment(source, ports, right, Flags::SYN), Tally { wrong: 1, ..tally }),
        (
            "SYN-ACK with FIN",
            segment(source, ports, right, syn_ack | Flags::FIN),
            Tally { wrong: 1, ..tally },
        ),
        ("bare reset", segment(source, ports, right, Flags::RST), Tally { wrong: 1, ..tally }),
        ("ACK", segment(source, ports, right, Flags::ACK), Tally { wrong: 1, ..tally }),
        ("other port of theirs", segment(source, (81, port), right, syn_ack), Tally { others: 1, ..tally }),
        ("other port of ours", segment(source, (80, 999), right, syn_ack), Tally { others: 1, ..tally }),
        ("other address", segment([10, 0, 0, 5], ports, right, syn_ack), Tally { others: 1, ..tally }),
        ("request for a source", request([10, 0, 0, 4]), Tally { arp_requests: 1, ..tally }),
        ("request for the gateway", request([198, 18, 0, 254]), Tally { arp_requests: 1, ..tally }),
        ("request for another", request([10, 0, 0, 5]), Tally { others: 1, ..tally }),
    ];
    for (name, frame, expected) in rows {
        flood.tally = tally;
        send(&mut end, &frame);
        flood.pass(0);
        assert_eq!(flood.tally(), expected, "{name}");
        end.rx_burst(&mut Burst::new(), 64);
    }
    for frame in [&[0u8; 5][..], &[0; 14], &[0; 60]] {
        flood.tally = tally;
        send(&mut end, frame);
        flood.pass(0);
        assert_eq!(flood.tally(), Tally { others: 1, ..tally });
    }
}

#[test]
fn who_asks_for_an_address_of_ours_gets_our_mac() {
    let (mut flood, mut end) = flood(Link::default(), Plan { count: 0, ..plan() });
    send(&mut end, &request([10, 0, 0, 2]));
    assert_eq!(flood.pass(0), 2);
    let mut frames = Burst::new();
    end.rx_burst(&mut frames, 64);
    let (header, payload) = ethernet::parse(frames[0].bytes()).unwrap();
    assert_eq!((header.destination, header.ethertype), (TARGET.mac, ETHERTYPE_ARP));
    let reply = arp::parse(payload).unwrap();
    assert_eq!(
        reply,
        ArpPacket {
            operation: Operation::Reply,
            sender_mac: flood.mac,
            sender: [10, 0, 0, 2],
            target_mac: TARGET.mac,
            target: TARGET.address,
        }
    );
}

#[test]
fn a_plan_that_cannot_be_carried_out_is_refused() {
    let sources = |first, addresses, ports| Plan { sources: Sources { first, addresses, ports }, ..plan() };
    let none = RangeInclusive::new(2, 1);
    let rows = [
        (sources([10, 0, 0, 1], 0, 1..=2), PlanError::NoSources),
        (sources([10, 0, 0, 1], 1, none), PlanError::NoSources),
        (sources([255, 255, 255, 254], 3, 1..=2), PlanError::TooManyAddresses(3)),
        (sources([10, 0, 0, 1], 1, 0..=2), PlanError::PortZero),
        (Plan { target: Target { port: 0, ..TARGET }, ..plan() }, PlanError::PortZero),
        (sources([198, 18, 0, 0], 2, 1..=2), PlanError::TargetIsASource),
        (Plan { burst: 0, ..plan() }, PlanError::Burst(0)),
        (Plan { burst: 65, ..plan() }, PlanError::Burst(65)),
    ];
    for (wrong, why) in rows {
        let (a, _) = pair(Link { frames: 1, ..Link::default() });
        assert_eq!(Flood::new(a, wrong).err(), Some(why));
    }
    let (a, _) = pair(Link { frames: 1, mtu: 67, ..Link::default() });
    assert_eq!(Flood::new(a, plan()).err(), Some(PlanError::Mtu(67)));
}

fn with_beside(count: u64) -> Plan {
    Plan { beside: Some(Beside { count, port: 443, ports: 2_000..=2_999 }), ..plan() }
}

#[test]
fn connections_beside_a_flood_are_opened_before_it_and_nothing_else_is_done_for_them() {
    let (mut flood, mut end) = flood(Link::default(), with_beside(1_000));
    let mut seen = Vec::new();
    for _ in 0..1_000 {
        flood.open(7_000_000);
        for (source, port, syn) in received(&mut end) {
            if syn.flags == Flags::SYN {
                let answer = segment(source, (443, port), syn.seq + 1, Flags::SYN | Flags::ACK);
                send(&mut end, &answer);
                seen.push((source, port, syn));
            } else {
                // The SYN-ACK had the number 1.
                assert_eq!((syn.flags, syn.ack, syn.text_len), (Flags::ACK, Seq(2), 0));
                assert!(seen.iter().any(|(.., open)| open.seq + 1 == syn.seq), "{syn:?}");
            }
        }
    }
    assert_eq!(flood.tally(), Tally { opened: 1_000, ..Tally::default() });
    seen.sort_unstable_by_key(|(source, port, _)| (*source, *port));
    seen.dedup_by_key(|(source, port, _)| (*source, *port));
    assert_eq!(seen.len(), 1_000);
    assert!(seen.iter().all(|(_, port, _)| (2_000..3_000).contains(port)));
    flood.pass(0);
    let syns = received(&mut end);
    assert!(syns.iter().all(|(_, port, _)| (1_000..2_000).contains(port)) && syns.len() == 32);
}

#[test]
fn the_ack_of_such_a_connection_returns_what_the_syn_ack_says() {
    let (mut flood, mut end) = flood(Link::default(), with_beside(1));
    flood.open(7_000_000);
    let (source, port, syn) = received(&mut end)[0];
    let echo = syn.options.timestamps.unwrap();
    let theirs = Options { timestamps: Some(Timestamps { val: 99, ecr: echo.val }), ..Options::default() };
    let mut answer = segment(source, (443, port), syn.seq + 1, Flags::SYN | Flags::ACK);
    let mut options = [0; tcp_options::LEN_MAX];
    let len = tcp_options::emit(&theirs, &mut options);
    answer.extend(&options[..len]);
    // Total length and data offset, with the options.
    answer[16..18].copy_from_slice(&(40 + len as u16).to_be_bytes());
    answer[46] = ((20 + len as u8) / 4) << 4;
    send(&mut end, &answer);
    flood.open(9_000_000);
    let mut frames = Burst::new();
    end.rx_burst(&mut frames, 64);
    let (header, payload) = ethernet::parse(frames[0].bytes()).unwrap();
    assert_eq!((header.destination, header.source), (TARGET.mac, flood.mac));
    let packet = ipv4::parse(payload, false).unwrap();
    assert_eq!((packet.source, packet.destination), (source, TARGET.address));
    let len = packet.payload.len() as u16;
    let pseudo = checksum::pseudo_v4(source, TARGET.address, ipv4::PROTOCOL_TCP, len);
    assert_eq!((pseudo + Sum::of(packet.payload)).finish(), 0);
    let (ports, ack, _) = tcp::parse(packet.payload).unwrap();
    assert_eq!((ports, ack.seq, ack.ack), ((port, 443), syn.seq + 1, Seq(2)));
    assert_eq!((echo.val, ack.options.timestamps), (7, Some(Timestamps { val: 7, ecr: 99 })));
}

#[test]
fn no_more_syns_of_such_connections_wait_than_a_ring_has_places() {
    let (mut flood, mut end) = flood(Link::default(), with_beside(1_000));
    let moved: usize = (0..100).map(|_| flood.open(0)).sum();
    assert_eq!(moved, 256);
    // A refusal makes no room for another one.
    let (source, port, syn) = received(&mut end)[0];
    send(&mut end, &segment(source, (443, port), syn.seq + 1, Flags::RST | Flags::ACK));
    assert_eq!((flood.open(0), flood.tally()), (1, Tally { wrong: 1, ..Tally::default() }));
}

#[test]
fn connections_beside_a_flood_have_ports_of_their_own() {
    let beside = |port, ports| Plan { beside: Some(Beside { count: 1, port, ports }), ..plan() };
    let rows = [
        (beside(0, 2_000..=2_000), PlanError::PortZero),
        (beside(1, 0..=5), PlanError::PortZero),
        (beside(1, RangeInclusive::new(2, 1)), PlanError::NoSources),
        (beside(1, 1_999..=2_000), PlanError::SharedPorts),
        (beside(1, 900..=1_000), PlanError::SharedPorts),
        (beside(1, 1_200..=1_300), PlanError::SharedPorts),
    ];
    for (wrong, why) in rows {
        let (a, _) = pair(Link { frames: 1, ..Link::default() });
        assert_eq!(Flood::new(a, wrong).err(), Some(why));
    }
    let (a, _) = pair(Link { frames: 1, ..Link::default() });
    assert!(Flood::new(a, beside(80, 1..=999)).is_ok());
}
