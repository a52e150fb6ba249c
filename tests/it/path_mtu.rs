//! Path MTU discovery through the whole stack: reports, what goes again and how fast, black holes, probes.

mod narrowing;
mod probing;

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::ethernet;
use dpdk_tcp::wire::ipv4;
use dpdk_tcp::wire::tcp::Flags;

use crate::expect::Sent;
use crate::icmp_errors::Quote;
use crate::reach::{PEER_PORT, Peer, Seg, World};
use crate::states::{Start, reach};

const ACK: Flags = Flags::ACK;

/// A connection that has sent `octets`, and the segments; nothing is acknowledged.
fn sending(octets: usize) -> (World, Peer, Vec<Sent>) {
    let reached = reach(Start::BelowWrap, State::Established);
    let (mut world, peer) = (reached.world, reached.peer);
    world.call(|conn| assert_eq!(conn.send(&vec![7; octets]), octets));
    let sent = world.sent();
    (world, peer, sent)
}

/// The same, of which the peer has acknowledged `acked` octets; what was sent since.
fn proven(octets: usize, acked: u32) -> (World, Peer, Vec<Sent>) {
    let (mut world, peer, _) = sending(octets);
    world.inject(&[acks(&peer, acked)]);
    let sent = world.sent();
    world.told();
    (world, peer, sent)
}

fn acks(peer: &Peer, octets: u32) -> Seg {
    Seg { ack: peer.ack + octets, ..peer.seg(ACK) }
}

fn sizes(sent: &[Sent]) -> Vec<usize> {
    sent.iter().map(|sent| sent.text.len()).collect()
}

/// The peer takes everything up to `until` octets, answering each time; the largest segments that it saw.
fn drink(world: &mut World, peer: &Peer, from: u32, until: u32) -> Vec<usize> {
    let mut got = from;
    let mut seen = Vec::new();
    while got < until {
        world.inject(&[acks(peer, got)]);
        for sent in world.sent() {
            seen.push(sent.text.len());
            got = got.max(sent.segment.seq.since(peer.ack) + sent.text.len() as u32);
        }
        assert!(seen.len() < 100_000);
    }
    world.inject(&[acks(peer, got)]);
    world.sent();
    seen
}

#[test]
fn no_segment_may_be_fragmented() {
    //= PMTU-1
    let reached = reach(Start::Plain, State::Established);
    let mut world = reached.world;
    world.call(|conn| assert_eq!(conn.send(&[7; 5_000]), 5_000));
    for frame in world.drain_frames() {
        let (_, packet) = ethernet::parse(&frame).unwrap();
        assert_eq!(ipv4::parse(packet, false).unwrap().header[6..8], [0x40, 0]);
    }
}

#[test]
fn a_report_makes_what_was_too_big_go_again_in_smaller_pieces_and_one_at_a_time() {
    //= PMTU-1
    //= PMTU-5
    //= PMTU-7
    let (mut world, peer, sent) = sending(8_760);
    assert_eq!(sizes(&sent), [1_460; 6]);
    world.too_big(1_280, &Quote::of(&sent[0]));
    let again = world.one();
    again.seq(peer.ack).text(&[7; 1_240]);
    for other in &sent[1..] {
        world.too_big(1_280, &Quote::of(other));
    }
    world.silent();
    assert_eq!(world.dropped(DropReason::IcmpNoSmaller), 5, "a storm draws one retransmission");
    world.inject(&[acks(&peer, 1_240)]);
    let rest = world.sent();
    assert_eq!(sizes(&rest), [1_240, 1_240, 1_240, 1_240, 1_240, 1_240, 80]);
    rest[0].seq(peer.ack + 1_240);
    assert_eq!(world.count(Counter::PathMtuChanged), 1);
    assert_eq!(world.count(Counter::RtoExpired), 0);
}

#[test]
fn a_report_leaves_the_congestion_window_alone() {
    //= PMTU-5
    let (mut world, peer, sent) = sending(60_000);
    assert_eq!(sizes(&sent), [1_460; 10], "the initial window");
    world.too_big(1_280, &Quote::of(&sent[0]));
    world.one();
    world.inject(&[acks(&peer, 1_240)]);
    let flight: usize = sizes(&world.sent()).iter().sum();
    assert!((14_600..=14_600 + 2 * 1_240).contains(&flight), "{flight}");
}

#[test]
fn reports_about_what_is_not_in_flight_or_impossible_change_nothing() {
    //= PMTU-1
    //= PMTU-2
    //= PMTU-6
    //= PMTU-7
    //= ATK-25
    let (mut world, peer, sent) = sending(2_920);
    let good = Quote::of(&sent[0]);
    for (mtu, quote) in [
        (1_280, Quote { seq: peer.ack - 1, ..good.clone() }),
        (1_280, Quote { seq: peer.ack + 2_920, ..good.clone() }),
        (1_500, good.clone()),
        (1_501, good.clone()),
        (9_000, good.clone()),
        (65_535, good),
    ] {
        world.too_big(mtu, &quote);
        world.silent();
    }
    assert_eq!(world.dropped(DropReason::IcmpNotInFlight), 2);
    assert_eq!(world.dropped(DropReason::IcmpNoSmaller), 4);
    assert_eq!(world.count(Counter::PathMtuChanged), 0);
}

#[test]
fn a_tiny_mtu_is_taken_as_the_floor() {
    //= PMTU-2
    for mtu in [1, 67, 68, 300, 551, 552] {
        let (mut world, _, sent) = sending(2_920);
        world.too_big(mtu, &Quote::of(&sent[0]));
        assert_eq!(sizes(&world.sent()), [512], "{mtu}");
    }
}

#[test]
fn an_old_router_means_the_next_lower_plateau() {
    //= PMTU-4
    let (mut world, _, sent) = sending(2_920);
    world.too_big(0, &Quote::of(&sent[0]));
    assert_eq!(sizes(&world.sent()), [1_452]);
    let (mut world, _, sent) = sending(2_920);
    world.too_big(0, &Quote { len: 1_492, ..Quote::of(&sent[0]) });
    assert_eq!(sizes(&world.sent()), [966]);
}

#[test]
fn a_forged_tiny_mtu_during_progress_is_ignored() {
    //= ATK-25
    //= PMTU-7
    let (mut world, peer, sent) = proven(40_000, 14_600);
    world.too_big(68, &Quote::of(&sent[0]));
    world.too_big(1_400, &Quote::of(&sent[0]));
    world.silent();
    assert_eq!(world.count(Counter::PathMtuHeld), 2);
    let seen = drink(&mut world, &peer, 16_060, 40_000);
    assert!(seen.iter().all(|size| *size == 1_460 || *size == 40_000 % 1_460), "{seen:?}");
    assert_eq!(world.count(Counter::PathMtuChanged), 0);
}

#[test]
fn a_report_that_was_held_counts_when_its_segment_has_timed_out() {
    //= PMTU-7
    //= PMTU-5
    let (mut world, peer, sent) = proven(40_000, 14_600);
    let first = sent[0].segment.seq;
    world.too_big(1_280, &Quote::of(&sent[0]));
    world.silent();
    let seen = world.watch_ms(1_100);
    assert_eq!(seen.len(), 1, "one segment at a time");
    seen[0].1.seq(first).text(&[7; 1_240]);
    assert_eq!(world.count(Counter::PathMtuChanged), 1);
    world.inject(&[acks(&peer, 14_600 + 1_240)]);
    let flight: usize = sizes(&world.sent()).iter().sum();
    assert!(flight > 14_600, "no sign of congestion: {flight}");
}

#[test]
fn a_report_after_the_timeout_counts_at_once() {
    //= PMTU-7
    let (mut world, peer, sent) = proven(40_000, 14_600);
    let again = world.watch_ms(1_100);
    assert_eq!(sizes(&[again[0].1.clone()]), [1_460]);
    world.too_big(1_280, &Quote::of(&sent[0]));
    world.one().seq(peer.ack + 14_600).text(&[7; 1_240]);
}

#[test]
fn a_second_hop_lowers_it_again() {
    //= PMTU-5
    //= PMTU-7
    let (mut world, peer, sent) = sending(8_760);
    world.too_big(1_400, &Quote::of(&sent[0]));
    let again = world.one();
    again.text(&[7; 1_360]);
    world.too_big(1_280, &Quote::of(&sent[3]));
    world.silent();
    world.too_big(1_280, &Quote::of(&again));
    world.one().seq(peer.ack).text(&[7; 1_240]);
}

#[test]
fn the_next_connection_to_the_host_begins_with_what_is_known() {
    //= PMTU-3
    //= MSS-2
    let (mut world, peer, sent) = sending(2_920);
    world.too_big(1_280, &Quote::of(&sent[0]));
    world.one();
    world.inject(&[acks(&peer, 2_920)]);
    world.told();
    world.sent();
    let mss = dpdk_tcp::wire::tcp_options::Options { mss: Some(1_460), ..Default::default() };
    let open = |world: &mut World, port: u16| {
        let (next, syn_ack) = world.half_open(port, peer.seq, mss);
        assert_eq!(syn_ack.segment.options.mss, Some(1_460), "the interface's size is offered");
        world.inject(&[next.seg(ACK)]);
        world.call(|conn| assert_eq!(conn.send(&[7; 1_460]), 1_460));
        let first = world.sent()[0].text.len();
        world.inject(&[acks(&next, 1_460)]);
        world.sent();
        first
    };
    assert_eq!(open(&mut world, PEER_PORT + 1), 1_240);
    world.watch_ms(600_001);
    assert_eq!(open(&mut world, PEER_PORT + 2), 1_460, "ten minutes later it is forgotten");
}

#[test]
fn a_larger_size_is_tried_after_ten_minutes() {
    //= PMTU-3
    //= PLPMTUD-1
    //= PLPMTUD-3
    //= PLPMTUD-9
    let (mut world, peer, sent) = sending(2_920);
    world.too_big(1_280, &Quote::of(&sent[0]));
    world.one();
    world.inject(&[acks(&peer, 2_920)]);
    world.sent();
    world.told();
    world.watch_ms(599_000);
    world.call(|conn| assert_eq!(conn.send(&[7; 12_400]), 12_400));
    assert!(world.sent().iter().all(|sent| sent.text.len() <= 1_240), "not yet");
    world.inject(&[acks(&peer, 15_320)]);
    world.sent();
    world.watch_ms(2_000);
    world.call(|conn| assert_eq!(conn.send(&[7; 3_000]), 3_000));
    assert!(sizes(&world.sent())[0] <= 1_240, "not enough behind it");
    world.inject(&[acks(&peer, 18_320)]);
    world.sent();
    world.call(|conn| assert_eq!(conn.send(&[7; 12_000]), 12_000));
    let sent = world.sent();
    assert_eq!(sizes(&sent)[..3], [1_460, 1_240, 1_240], "one probe, and ordinary segments behind it");
    assert_eq!(world.count(Counter::PathMtuProbes), 1);
    world.inject(&[acks(&peer, 18_320 + 12_000)]);
    world.call(|conn| assert_eq!(conn.send(&[7; 8_760]), 8_760));
    assert_eq!(sizes(&world.sent()), [1_460; 6]);
}

#[test]
fn a_probe_that_is_reported_goes_again_at_once_and_costs_nothing() {
    //= PMTU-1
    //= PLPMTUD-4
    let (mut world, peer, sent) = sending(2_920);
    world.too_big(1_280, &Quote::of(&sent[0]));
    world.one();
    world.inject(&[acks(&peer, 2_920)]);
    world.sent();
    world.watch_ms(601_000);
    world.call(|conn| assert_eq!(conn.send(&[7; 12_000]), 12_000));
    let sent = world.sent();
    assert_eq!(sizes(&sent)[0], 1_460);
    world.too_big(1_280, &Quote::of(&sent[0]));
    let again = world.sent();
    again[0].seq(sent[0].segment.seq).text(&[7; 1_240]);
    world.inject(&[acks(&peer, 2_920 + 12_000)]);
    world.told();
    world.call(|conn| assert_eq!(conn.send(&vec![7; 50_000]), 50_000));
    let flight: usize = sizes(&world.sent()).iter().sum();
    assert!(flight >= 14_600, "{flight}");
    assert_eq!((world.count(Counter::PathMtuProbes), world.count(Counter::RtoExpired)), (1, 0));
}

#[test]
fn a_path_that_swallows_large_segments_is_found_out() {
    //= PLPMTUD-6
    let (mut world, peer, _) = sending(5_000);
    let seen = world.watch_ms(16_000);
    let tries: Vec<_> = seen.iter().map(|(at, sent)| (at / 1_000, sent.text.len())).collect();
    assert_eq!(tries, [(1, 1_460), (3, 1_460), (7, 984), (15, 512)]);
    assert!(seen.iter().all(|(_, sent)| sent.segment.seq == peer.ack));
    assert_eq!(world.count(Counter::BlackHoles), 2);
    world.inject(&[acks(&peer, 512)]);
    let more = world.sent();
    assert!(more.iter().all(|sent| sent.text.len() <= 512), "{:?}", sizes(&more));
}

#[test]
fn small_segments_that_are_lost_are_no_black_hole() {
    //= PLPMTUD-6
    let (mut world, _, _) = sending(900);
    world.watch_ms(70_000);
    assert_eq!(world.count(Counter::BlackHoles), 0);
}

/// A peer behind a path that swallows large segments.
struct Sink {
    peer: Peer,
    /// Largest text that gets through.
    limit: usize,
    /// Octets in order.
    got: u32,
    held: Vec<(u32, u32)>,
    /// Sizes that did not get through.
    lost: Vec<usize>,
}

impl Sink {
    fn take(&mut self, sent: &Sent) {
        let at = sent.segment.seq.since(self.peer.ack);
        if sent.text.len() > self.limit {
            return self.lost.push(sent.text.len());
        }
        self.held.push((at, at + sent.text.len() as u32));
        self.held.sort_unstable();
        for (from, to) in &self.held {
            self.got = if *from <= self.got { self.got.max(*to) } else { self.got };
        }
    }

    /// Takes everything up to `end` octets, acknowledging it all the time.
    #[track_caller]
    fn drink(&mut self, world: &mut World, end: u32) {
        let mut sent = world.sent();
        for _ in 0..10_000 {
            sent.iter().for_each(|sent| self.take(sent));
            world.inject(&[acks(&self.peer, self.got)]);
            if self.got == end {
                world.told();
                world.silent();
                return;
            }
            sent = world.sent();
            sent.extend(world.watch_ms(20).into_iter().map(|(_, sent)| sent));
        }
        panic!("{} of {end} octets", self.got);
    }
}

#[test]
fn after_a_black_hole_the_size_is_searched_by_probes() {
    //= PLPMTUD-1
    //= PLPMTUD-2
    //= PLPMTUD-4
    //= PLPMTUD-6
    // The path takes 1300 bytes and says nothing.
    let reached = reach(Start::BelowWrap, State::Established);
    let (mut world, peer) = (reached.world, reached.peer);
    let mut sink = Sink { peer, limit: 1_260, got: 0, held: Vec::new(), lost: Vec::new() };
    let mut end = 0;
    for _ in 0..12 {
        world.call(|conn| assert_eq!(conn.send(&[7; 30_000]), 30_000));
        end += 30_000;
        sink.drink(&mut world, end);
        world.watch_ms(60_000);
    }
    let first = sink.lost.iter().position(|size| *size != 1_460).unwrap();
    assert_eq!(sink.lost[first..], [1_341, 1_281, 1_266], "what is lost is not tried again");
    assert_eq!(world.count(Counter::BlackHoles), 1);
    world.call(|conn| assert_eq!(conn.send(&[7; 1_460]), 1_460));
    let size = sizes(&world.sent())[0];
    assert!((1_252..=1_260).contains(&size), "{size}");
}
