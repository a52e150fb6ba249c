//! R1 and R2: whom the connection tells when nothing gets forward, and when it is given up.

use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::outcome::Soft;
use dpdk_tcp::tcp::settings::{Settings, UserTimeout};
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::tcp::Flags;

use crate::reach::{PEER_PORT, Seg, Setup, Told, World};
use crate::states::{Start, reach};

const ACK: Flags = Flags::ACK;

fn limit(world: &mut World, timeout: Option<UserTimeout>) {
    world.call(|conn| conn.set_user_timeout(timeout));
}

fn send(world: &mut World, octets: usize) {
    world.call(|conn| assert_eq!(conn.send(&vec![7; octets]), octets));
    world.sent();
}

#[test]
fn the_application_hears_of_r1_once_and_not_before_the_third_repetition() {
    //= MUST-47
    //= SHLD-9
    //= SHLD-10
    //= MUST-20
    //= UT-1
    //= UT-3
    let mut reached = reach(Start::BelowWrap, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    send(world, 10);
    assert_eq!(world.watch_ms(5_000).len(), 2);
    assert_eq!(world.troubles(), []);
    assert_eq!(world.watch_ms(100_000).len(), 4);
    assert_eq!(world.troubles(), [Soft::Retransmitting]);
    assert_eq!(world.state(PEER_PORT), State::Established);
    // It got better, and worse again.
    world.inject(&[Seg { ack: peer.ack + 10, ..peer.seg(ACK) }]);
    send(world, 10);
    world.watch_ms(290_000);
    assert_eq!(world.troubles(), [Soft::Retransmitting]);
}

#[test]
fn reports_can_be_switched_off() {
    //= SHLD-20
    let mut reached = reach(Start::Plain, State::Established);
    let world = &mut reached.world;
    world.call(|conn| conn.set_reports(false));
    send(world, 10);
    world.watch_ms(60_000);
    assert_eq!(world.troubles(), []);
    let mut setup = Setup::default();
    setup.cfg.settings.reports = false;
    let mut world = World::with(setup);
    world.establish(PEER_PORT);
    send(&mut world, 10);
    world.watch_ms(60_000);
    assert_eq!(world.troubles(), []);
}

#[test]
fn at_r1_the_neighbour_is_asked_for_again() {
    //= MUST-20
    let mut world = World::with(Setup { fixed: false, ..Setup::default() });
    world.send_frame(&crate::inet::asks(crate::reach::OURS));
    world.run();
    world.drain_frames();
    world.establish(PEER_PORT);
    world.drain_frames();
    // Long enough ago that nothing else confirms or doubts it; the last progress is younger than a minute.
    let asked = world.count(Counter::ArpRequestsSent);
    send(&mut world, 10);
    world.watch_ms(6_000);
    assert_eq!(world.count(Counter::ArpRequestsSent), asked, "before R1 nobody doubts it");
    world.watch_ms(3_000);
    assert!(world.count(Counter::ArpRequestsSent) > asked);
}

#[test]
fn the_chosen_time_is_kept_to_the_tick() {
    //= MUST-21
    //= TMR-8
    for ms in [1, 50, 2_500, 10_000, 100_000, 500_000] {
        let mut reached = reach(Start::AtWrap, State::Established);
        let world = &mut reached.world;
        limit(world, Some(UserTimeout::AfterMs(ms)));
        send(world, 10);
        let seen = world.watch_ms(u64::from(ms) + 5_000);
        let (at, last) = seen.last().unwrap();
        last.flags(Flags::RST);
        assert!((u64::from(ms)..=u64::from(ms) + 2).contains(at), "{ms} ms: given up after {at}");
        assert_eq!(world.told(), [Told::Closed(CloseReason::TimedOut)]);
        reached.world.assert_quiet();
    }
}

#[test]
fn a_time_set_while_it_runs_counts_from_the_last_progress() {
    //= MUST-21
    let mut reached = reach(Start::Plain, State::Established);
    let world = &mut reached.world;
    send(world, 10);
    world.watch_ms(20_000);
    limit(world, Some(UserTimeout::AfterMs(25_000)));
    let seen = world.watch_ms(20_000);
    assert!((4_990..5_010).contains(&seen.last().unwrap().0), "{:?}", seen.last());
    reached.world.assert_quiet();
}

#[test]
fn r2_can_be_infinite() {
    //= MUST-21
    let mut reached = reach(Start::Plain, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    limit(world, Some(UserTimeout::Never));
    send(world, 10);
    let seen = world.watch_ms(7_200_000);
    assert!(seen.len() > 110, "every minute for two hours: {}", seen.len());
    world.inject(&[Seg { ack: peer.ack + 10, ..peer.seg(ACK) }]);
    assert_eq!(world.told(), [Told::Writable]);
    // And the stack's own again.
    limit(world, None);
    send(world, 10);
    assert_eq!(world.watch_ms(400_000).last().map(|(at, _)| at / 1_000), Some(300));
}

#[test]
fn a_time_that_was_set_covers_a_closed_window_that_is_answered() {
    //= UT-4
    for (timeout, lives) in
        [(Some(UserTimeout::AfterMs(60_000)), false), (Some(UserTimeout::Never), true), (None, true)]
    {
        let mut reached = reach(Start::Plain, State::Established);
        let (world, peer) = (&mut reached.world, &reached.peer);
        world.inject(&[peer.seg(ACK).wnd(0)]);
        limit(world, timeout);
        send(world, 10);
        for _ in 0..600 {
            if !world.watch_ms(1_000).is_empty() && world.state(PEER_PORT) == State::Established {
                world.inject(&[peer.seg(ACK).wnd(0)]);
            }
        }
        assert_eq!(world.state(PEER_PORT) == State::Established, lives, "{timeout:?}");
    }
}

#[test]
fn a_time_that_was_set_covers_the_wait_for_the_peer_s_fin() {
    //= UT-4
    //= FW2-6
    for (timeout, seconds) in
        [(None, 60), (Some(UserTimeout::AfterMs(5_000)), 5), (Some(UserTimeout::Never), 60)]
    {
        let mut reached = reach(Start::Plain, State::Established);
        let (world, peer) = (&mut reached.world, &reached.peer);
        limit(world, timeout);
        world.call(|conn| conn.finish());
        world.one();
        world.inject(&[Seg { ack: peer.ack + 1, ..peer.seg(ACK) }]);
        assert_eq!(world.state(PEER_PORT), State::FinWait2);
        world.watch_ms(seconds * 1_000 - 100);
        assert_eq!(world.state(PEER_PORT), State::FinWait2, "{timeout:?}");
        world.watch_ms(200);
        assert_eq!(world.state(PEER_PORT), State::Closed, "{timeout:?}");
    }
}

#[test]
fn an_open_that_is_not_answered_is_reported_and_ends_by_the_time_that_was_set() {
    //= MUST-21
    //= MUST-22
    //= MUST-23
    use crate::reach::PEERS;
    use std::net::{IpAddr, SocketAddr};
    for (timeout, ends_ms) in [
        (None, 243_000),
        (Some(UserTimeout::AfterMs(4_500)), 4_500),
        (Some(UserTimeout::AfterMs(9_000)), 9_000),
    ] {
        let mut world = World::new();
        let remote = SocketAddr::new(IpAddr::V4(PEERS.into()), 8_080);
        let settings = Settings { user_timeout: timeout, ..Settings::default() };
        world.worker.api().open_with(None, None, remote, settings).unwrap();
        world.run();
        world.one().flags(Flags::SYN);
        let before_ms = ends_ms - 100;
        world.watch_ms(before_ms);
        let troubles = world.troubles();
        assert_eq!(troubles.len(), usize::from(ends_ms > 7_000), "{timeout:?}: {troubles:?}");
        assert_eq!(world.told(), [], "{timeout:?}");
        world.watch_ms(200);
        assert_eq!(world.told(), [Told::Closed(CloseReason::TimedOut)], "{timeout:?}");
        world.assert_quiet();
    }
}
