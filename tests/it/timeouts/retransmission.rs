//! The retransmission timer: schedule, back-off, Karn's rule, R2.

use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::{Options, Timestamps};

use crate::reach::{PEER_PORT, Peer, Seg, Told, World};
use crate::states::{Reached, Start, plain, reach};

const ACK: Flags = Flags::ACK;

fn send(world: &mut World, octets: usize) {
    world.call(|conn| assert_eq!(conn.send(&vec![7; octets]), octets));
    world.sent();
}

fn acked(peer: &Peer, octets: u32) -> Seg {
    Seg { ack: peer.ack + octets, ..peer.seg(ACK) }
}

/// Seconds, rounded, at which segments with text or FIN left.
fn seconds(seen: &[(u64, crate::expect::Sent)]) -> Vec<u64> {
    seen.iter().map(|(at, _)| (at + 50) / 1_000).collect()
}

#[test]
fn what_is_lost_goes_again_after_1_3_7_15_31_and_63_seconds() {
    //= RTO-1
    //= RTO-6
    //= RTO-7
    //= RTO-8
    //= TMR-1
    //= MUST-18
    //= MUST-19
    //= VEC-RTO-8
    let mut reached = reach(Start::BelowWrap, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    send(world, 100);
    let seen = world.watch_ms(70_000);
    assert_eq!(seconds(&seen), [1, 3, 7, 15, 31, 63]);
    for (at, sent) in &seen {
        sent.flags(ACK | Flags::PSH).seq(peer.ack).text(&[7; 100]);
        assert!(at % 1_000 <= 2, "neither early nor late by more than a tick: {at} ms");
    }
    assert_eq!(world.count(Counter::Retransmissions), 6);
}

#[test]
fn only_the_oldest_goes_again_until_it_is_acknowledged() {
    //= RTO-7
    //= CC-5
    //= CC-7
    //= MUST-19
    let mut reached = reach(Start::AtWrap, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    send(world, 5 * 1_460);
    let first = world.watch_ms(1_100);
    assert_eq!(first.len(), 1);
    first[0].1.seq(peer.ack);
    world.inject(&[acked(peer, 1_460)]);
    let more = world.sent();
    assert_eq!(more.len(), 2, "slow start from one segment");
    more[0].seq(peer.ack + 1_460);
    world.inject(&[acked(peer, 5 * 1_460)]);
    world.silent();
    assert!(world.watch_ms(10_000).is_empty());
}

#[test]
fn the_timer_starts_again_with_each_new_acknowledgment() {
    //= RTO-8
    let mut reached = reach(Start::Plain, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    send(world, 3 * 1_460);
    world.pass_ms(800);
    world.inject(&[acked(peer, 1_460)]);
    world.sent();
    assert!(world.watch_ms(900).is_empty());
    // The round trip of 800 ms makes RTO 800 + 4 * 400.
    assert_eq!(world.watch_ms(2_000).len(), 1);
}

#[test]
fn the_back_off_stays_until_a_segment_that_was_sent_once_is_acknowledged() {
    //= RTO-9
    //= RTO-11
    //= MUST-18
    let mut reached = reach(Start::Plain, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    send(world, 100);
    assert_eq!(seconds(&world.watch_ms(3_500)), [1, 3]);
    world.inject(&[acked(peer, 100)]);
    send(world, 100);
    assert_eq!(seconds(&world.watch_ms(5_000)), [4], "two doublings of one second");
    world.inject(&[acked(peer, 200)]);
    send(world, 100);
    world.inject(&[acked(peer, 300)]);
    send(world, 100);
    assert_eq!(seconds(&world.watch_ms(1_500)), [1], "a sample ends the back-off");
}

#[test]
fn an_echoed_timestamp_ends_the_back_off_at_once() {
    //= RTO-9
    //= RTO-11
    //= TS-8
    let mut world = World::new();
    let options = Options { timestamps: Some(Timestamps { val: 1, ecr: 0 }), ..plain() };
    let (peer, _) = world.establish_with(options, 0xffff);
    send(&mut world, 100);
    let seen = world.watch_ms(1_500);
    let val = seen[0].1.segment.options.timestamps.unwrap().val;
    world.inject(&[acked(&peer, 100).ts(1, val)]);
    send(&mut world, 100);
    let again = world.watch_ms(4_000);
    assert!(again[0].0 < 2_900, "after {} ms", again[0].0);
}

#[test]
fn an_echo_of_what_we_never_sent_measures_nothing() {
    //= TS-15
    //= ATK-8
    let mut world = World::new();
    let options = Options { timestamps: Some(Timestamps { val: 1, ecr: 0 }), ..plain() };
    let (peer, _) = world.establish_with(options, 0xffff);
    send(&mut world, 100);
    let seen = world.watch_ms(1_500);
    let val = seen[0].1.segment.options.timestamps.unwrap().val;
    world.inject(&[acked(&peer, 100).ts(1, val.wrapping_sub(50_000))]);
    send(&mut world, 100);
    let again = world.watch_ms(6_000);
    assert!((1_900..=2_200).contains(&again[0].0), "the back-off stays: {} ms", again[0].0);
}

#[test]
fn a_lossy_handshake_starts_data_with_three_seconds_unless_a_timestamp_measures() {
    //= RTO-10
    //= TS-14
    //= VEC-SYN-3
    for stamped in [false, true] {
        let mut world = World::new();
        let timestamps = stamped.then_some(Timestamps { val: 1, ecr: 0 });
        let (peer, _) = world.half_open(PEER_PORT, Seq(0xffff_fc18), Options { timestamps, ..plain() });
        let again = world.watch_ms(1_200);
        assert_eq!(again.len(), 1);
        let mut third = peer.seg(ACK);
        if let Some(ts) = again[0].1.segment.options.timestamps {
            third = third.ts(2, ts.val);
        }
        world.inject(&[third]);
        send(&mut world, 100);
        let seen = world.watch_ms(3_500);
        assert_eq!(seconds(&seen)[0], if stamped { 1 } else { 3 }, "timestamps {stamped}");
    }
}

#[test]
fn after_r2_without_progress_the_connection_is_given_up_and_the_peer_told() {
    //= MUST-20
    //= SHLD-11
    //= UT-3
    //= TMR-8
    //= LAK-3
    //= RTO-5
    for state in [State::Established, State::FinWait1, State::CloseWait, State::Closing, State::LastAck] {
        let mut reached: Reached = reach(Start::BelowWrap, state);
        if matches!(state, State::Established | State::CloseWait) {
            send(&mut reached.world, 10);
        }
        let seen = reached.world.watch_ms(400_000);
        let (at, last) = seen.last().unwrap();
        last.flags(Flags::RST);
        assert!((300_000..=361_000).contains(at), "{}: given up after {at} ms", state.name());
        assert_eq!(seconds(&seen)[..8], [1, 3, 7, 15, 31, 63, 123, 183]);
        assert_eq!(reached.world.state(PEER_PORT), State::Closed);
        assert_eq!(reached.world.told(), [Told::Closed(CloseReason::TimedOut)]);
        assert_eq!(reached.world.count(Counter::TimedOut), 1);
        reached.world.assert_quiet();
    }
}

#[test]
fn progress_starts_r2_again() {
    //= MUST-20
    //= UT-3
    let mut reached = reach(Start::Plain, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    for n in 0..5u32 {
        send(world, 100);
        world.watch_ms(200_000);
        world.inject(&[acked(peer, (n + 1) * 100)]);
        assert_eq!(world.state(PEER_PORT), State::Established);
    }
    // An idle connection lives for ever (MUST-25).
    assert!(world.watch_ms(100_000_000).is_empty());
    assert_eq!(world.state(PEER_PORT), State::Established);
}
