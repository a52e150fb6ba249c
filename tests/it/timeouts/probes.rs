//! The persist timer: a closed window is probed for as long as the peer answers.

use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::tcp::Flags;

use crate::reach::{PEER_PORT, Peer, Seg, Told, World};
use crate::states::{Start, plain, reach};

const ACK: Flags = Flags::ACK;

/// A connection whose peer offers nothing, with data waiting.
fn blocked(octets: usize) -> (World, Peer) {
    let mut world = World::new();
    let (peer, _) = world.establish_with(plain(), 0xffff);
    world.inject(&[peer.seg(ACK).wnd(0)]);
    world.call(|conn| assert_eq!(conn.send(&vec![7; octets]), octets));
    world.silent();
    (world, peer)
}

#[test]
fn probes_follow_at_doubling_intervals_up_to_a_minute() {
    //= ZWP-1
    //= ZWP-2
    //= TMR-5
    //= MUST-36
    //= SHLD-29
    //= SHLD-30
    //= VEC-ZWP-1
    let (mut world, peer) = blocked(100);
    let mut at = 0;
    let mut times = Vec::new();
    while times.len() < 8 {
        let seen = world.watch_ms(1_000);
        for (_, probe) in &seen {
            times.push(at / 1_000 + 1);
            probe.seq(peer.ack).text(&[7]);
            // Answered, and refused.
            world.inject(&[peer.seg(ACK).wnd(0)]);
            world.silent();
        }
        at += 1_000;
        assert!(at < 300_000, "probes at {times:?}");
    }
    let exact: Vec<_> = times.iter().map(|second| second / 2 * 2 + 1).collect();
    assert_eq!(exact, [1, 3, 7, 15, 31, 63, 123, 183], "{times:?}");
}

#[test]
fn a_peer_that_answers_may_keep_its_window_closed_for_hours() {
    //= MUST-37
    //= ZWP-4
    //= MUST-35
    let (mut world, peer) = blocked(100);
    let mut probes = 0;
    for _ in 0..3_600 {
        for _ in world.watch_ms(2_000) {
            probes += 1;
            world.inject(&[peer.seg(ACK).wnd(0)]);
        }
    }
    assert!((110..=130).contains(&probes), "{probes} probes in two hours");
    assert_eq!(world.state(PEER_PORT), State::Established);
    world.inject(&[peer.seg(ACK).wnd(1_000)]);
    let sent: usize = world.sent().iter().map(|sent| sent.text.len()).sum();
    assert!(sent >= 1);
    world.inject(&[Seg { ack: peer.ack + sent as u32, ..peer.seg(ACK).wnd(1_000) }]);
    let rest: usize = world.sent().iter().map(|sent| sent.text.len()).sum();
    assert_eq!(sent + rest, 100);
}

#[test]
fn unanswered_probes_end_at_r2() {
    //= ZWP-4
    //= ATK-12
    let (mut world, _) = blocked(100);
    let seen = world.watch_ms(400_000);
    let (at, last) = seen.last().unwrap();
    last.flags(Flags::RST);
    assert!((300_000..=365_000).contains(at), "given up after {at} ms");
    assert_eq!(world.told(), [Told::Closed(CloseReason::TimedOut)]);
    world.assert_quiet();
}

#[test]
fn with_nothing_to_send_a_closed_window_is_not_probed() {
    //= ZWP-2
    //= MUST-25
    let mut reached = reach(Start::Plain, State::Established);
    reached.world.inject(&[reached.peer.seg(ACK).wnd(0)]);
    assert!(reached.world.watch_ms(600_000).is_empty());
}

#[test]
fn a_fin_behind_a_closed_window_is_the_probe() {
    //= FW1-8
    //= CLW-7
    //= ZWP-2
    for state in [State::Established, State::CloseWait] {
        let mut reached = reach(Start::AtWrap, state);
        let (world, peer) = (&mut reached.world, &reached.peer);
        world.inject(&[peer.seg(ACK).wnd(0)]);
        world.call(|conn| conn.shutdown());
        world.silent();
        let seen = world.watch_ms(1_500);
        assert_eq!(seen.len(), 1);
        seen[0].1.flags(ACK | Flags::FIN).seq(peer.ack);
        world.inject(&[Seg { ack: peer.ack + 1, ..peer.seg(ACK).wnd(0) }]);
        let next = if state == State::Established { State::FinWait2 } else { State::Closed };
        assert_eq!(world.state(PEER_PORT), next);
    }
}

#[test]
fn a_probe_that_was_repeated_measures_no_round_trip() {
    //= RTO-9
    let (mut world, peer) = blocked(1);
    assert_eq!(world.watch_ms(8_000).len(), 3);
    world.inject(&[Seg { ack: peer.ack + 1, ..peer.seg(ACK) }]);
    world.silent();
    world.call(|conn| assert_eq!(conn.send(&[1; 10]), 10));
    world.one();
    let seen = world.watch_ms(2_500);
    assert!(
        !seen.is_empty() && seen[0].0 <= 1_010,
        "RTO is still one second: {:?}",
        seen.first().map(|s| s.0)
    );
}

#[test]
fn a_window_shrunk_to_zero_under_data_in_flight_is_probed_too() {
    //= MUST-35
    //= SHLD-17
    let mut world = World::new();
    let (peer, _) = world.establish_with(plain(), 0xffff);
    world.call(|conn| assert_eq!(conn.send(&[7; 2_920]), 2_920));
    assert_eq!(world.sent().len(), 2);
    world.inject(&[peer.seg(ACK).wnd(0)]);
    let seen = world.watch_ms(4_000);
    assert!(!seen.is_empty());
    for (_, probe) in &seen {
        probe.seq(peer.ack);
        assert!(probe.text.len() <= 1, "nothing but a probe: {}", probe.text.len());
    }
    world.inject(&[peer.seg(ACK).wnd(60_000)]);
    assert_eq!(world.sent().iter().map(|sent| sent.text.len()).sum::<usize>(), 2_920);
}
