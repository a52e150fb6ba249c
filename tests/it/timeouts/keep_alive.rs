//! Keep-alive: silence is probed where the application asks for it, and nowhere else.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::settings::{KeepAlive, TIME_MAX_MS};
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::tcp::Flags;

use crate::reach::{PEER_PORT, Seg, Told, World};
use crate::states::{Reached, Start, reach};

const ACK: Flags = Flags::ACK;

fn watch(world: &mut World, keep_alive: KeepAlive) {
    world.call(|conn| conn.set_keep_alive(Some(keep_alive)));
    world.silent();
}

/// Probes after 10 s, every second, three times.
fn short() -> KeepAlive {
    KeepAlive::new(10_000, 1_000, 3).unwrap()
}

/// Seconds, rounded, at which something left.
fn seconds(seen: &[(u64, crate::expect::Sent)]) -> Vec<u64> {
    seen.iter().map(|(at, _)| (at + 50) / 1_000).collect()
}

#[test]
fn a_silent_peer_is_probed_after_two_hours_and_given_up_after_nine_misses() {
    //= KA-1
    //= KA-2
    //= MUST-28
    //= MUST-29
    //= SHLD-12
    //= TMR-7
    //= VEC-KA-1
    for state in [State::Established, State::CloseWait, State::FinWait2] {
        let mut reached: Reached = reach(Start::AtWrap, state);
        let (world, peer) = (&mut reached.world, &reached.peer);
        watch(world, KeepAlive::default());
        let seen = world.watch_ms(8_000_000);
        let expected: Vec<_> = (0..10).map(|n| 7_200 + n * 75).collect();
        assert_eq!(seconds(&seen), expected, "{}", state.name());
        for (_, probe) in &seen[..9] {
            probe.flags(ACK).seq(peer.ack - 1).ack(peer.seq).text(b"");
        }
        seen[9].1.flags(Flags::RST).seq(peer.ack);
        assert_eq!(world.told(), [Told::Closed(CloseReason::Silent)]);
        assert_eq!((world.count(Counter::KeepAlives), world.count(Counter::Silent)), (9, 1));
        reached.world.assert_quiet();
    }
}

#[test]
fn an_idle_connection_is_silent_for_ever_unless_asked() {
    //= MUST-24
    //= MUST-25
    let mut reached = reach(Start::Plain, State::Established);
    let world = &mut reached.world;
    world.idle_hours(48);
    watch(world, short());
    assert_eq!(world.watch_ms(500).len(), 1, "the silence until now counts");
    world.call(|conn| conn.set_keep_alive(None));
    world.idle_hours(48);
    assert_eq!(world.state(PEER_PORT), State::Established);
}

#[test]
fn whoever_answers_lives_and_any_segment_is_an_answer() {
    //= KA-1
    //= MUST-26
    //= MUST-27
    let mut reached = reach(Start::BelowWrap, State::Established);
    let (world, peer) = (&mut reached.world, &mut reached.peer);
    watch(world, short());
    for round in 0..20 {
        let seen = world.watch_ms(12_500);
        assert_eq!(seconds(&seen), [10, 11, 12], "round {round}");
        world.inject(&[peer.seg(ACK)]);
        world.silent();
    }
    // What the peer sends by itself puts the probe off.
    world.watch_ms(9_000);
    world.inject(&[peer.seg(ACK).text(b"x")]);
    peer.seq += 1;
    world.sent();
    assert!(world.watch_ms(9_900).is_empty());
    assert_eq!(world.watch_ms(500).len(), 1);
    assert_eq!(world.state(PEER_PORT), State::Established);
}

#[test]
fn nothing_is_probed_while_something_is_in_flight_or_waits() {
    //= MUST-26
    //= TMR-12
    let mut reached = reach(Start::Plain, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    watch(world, KeepAlive::new(100, 100, 3).unwrap());
    world.call(|conn| assert_eq!(conn.send(b"data"), 4));
    world.one();
    let seen = world.watch_ms(40_000);
    assert_eq!(seconds(&seen), [1, 3, 7, 15, 31], "the retransmission timer alone");
    assert_eq!(world.count(Counter::KeepAlives), 0);
    // Acknowledged, with a closed window: the next octet waits for it.
    let shut = Seg { ack: peer.ack + 4, ..peer.seg(ACK).wnd(0) };
    world.inject(std::slice::from_ref(&shut));
    world.call(|conn| assert_eq!(conn.send(b"more"), 4));
    for (_, probe) in world.watch_ms(20_000) {
        probe.seq(peer.ack + 4).text(b"m");
        world.inject(std::slice::from_ref(&shut));
        world.sent();
    }
    assert_eq!(world.count(Counter::KeepAlives), 0);
}

#[test]
fn misses_do_not_slow_down_what_is_sent_next() {
    //= KA-1
    //= RTO-7
    let mut reached = reach(Start::Plain, State::Established);
    let world = &mut reached.world;
    watch(world, short());
    assert_eq!(world.watch_ms(12_500).len(), 3);
    world.call(|conn| assert_eq!(conn.send(b"data"), 4));
    world.one();
    assert_eq!(seconds(&world.watch_ms(8_000)), [1, 3, 7]);
    // R2 counts from the sending, not from the last answer.
    assert_eq!(world.state(PEER_PORT), State::Established);
}

#[test]
fn keep_alive_of_a_listener_starts_with_the_connection() {
    //= MUST-24
    let mut setup = crate::reach::Setup::default();
    setup.cfg.settings.keep_alive = Some(short());
    let mut world = World::with(setup);
    let peer = world.establish(PEER_PORT);
    let seen = world.watch_ms(10_500);
    assert_eq!(seconds(&seen), [10]);
    seen[0].1.flags(ACK).seq(peer.ack - 1);
    // The peer's own probe is answered, with or without an octet (KA-4).
    let own = Seg { seq: peer.seq - 1, ..peer.seg(ACK) };
    for octet in [&b""[..], b"g"] {
        world.inject(&[own.clone().text(octet)]);
        world.one().flags(ACK).ack(peer.seq);
    }
    assert_eq!(world.dropped(DropReason::OutsideWindow) + world.dropped(DropReason::DataDuplicate), 2);
}

#[test]
fn intervals_that_mean_nothing_are_refused() {
    //= MUST-27
    //= MUST-29
    assert!(KeepAlive::new(1, 1, 2).is_some() && KeepAlive::new(TIME_MAX_MS, TIME_MAX_MS, 255).is_some());
    for (idle_ms, interval_ms, probes) in
        [(0, 1, 2), (1, 0, 2), (1, 1, 0), (1, 1, 1), (TIME_MAX_MS + 1, 1, 2), (1, u32::MAX, 2)]
    {
        assert_eq!(KeepAlive::new(idle_ms, interval_ms, probes), None);
    }
}
