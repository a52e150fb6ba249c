//! Limits of a shard (requirements 4.1), each with its victim.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::engine::api::{CloseReason, ConnId};
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::arrives::listen::CookieMode;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use crate::reach::{PEER_PORT, Peer, Seg, Setup, Told, World, seg};
use crate::states::plain;

const SYN: Flags = Flags::SYN;
const ACK: Flags = Flags::ACK;

fn of_each(per_address: u32) -> Setup {
    let mut setup = Setup::default();
    setup.limits.per_address = Some(per_address);
    setup
}

#[test]
fn an_address_that_has_its_share_is_ignored_and_others_are_not() {
    //= LIM-3
    //= ATK-15
    let mut world = World::with(of_each(2));
    let first = world.establish(PEER_PORT);
    world.establish(PEER_PORT + 1);
    world.inject(&[seg(SYN, Seq(7), Seq(0)).from_port(PEER_PORT + 2).options(plain())]);
    world.silent();
    assert_eq!(world.dropped(DropReason::AddressFull), 1);
    // Another address; it is answered, though nobody knows the neighbour yet.
    let other = Seg { source: [198, 18, 0, 77], ..seg(SYN, Seq(7), Seq(0)) };
    world.inject(&[other]);
    assert_eq!((world.dropped(DropReason::AddressFull), world.worker.shard().half_open()), (1, 1));
    // One ends, another may come.
    world.inject(&[first.seg(Flags::RST)]);
    assert_eq!(world.told(), [Told::Closed(CloseReason::Reset)]);
    world.establish(PEER_PORT + 3);
}

#[test]
fn a_share_is_kept_to_by_those_who_ask_at_the_same_time_too() {
    //= LIM-3
    for cookies in [CookieMode::Never, CookieMode::Always] {
        let mut setup = of_each(3);
        setup.limits.syn_cookies = cookies;
        let mut world = World::with(setup);
        let syns: Vec<_> =
            (0..6).map(|n| seg(SYN, Seq(7), Seq(0)).from_port(PEER_PORT + n).options(plain())).collect();
        world.inject(&syns);
        let acks: Vec<_> = world
            .sent()
            .iter()
            .map(|sent| seg(ACK, Seq(8), sent.segment.seq + 1).from_port(sent.ports.1))
            .collect();
        assert_eq!(acks.len(), 6, "half-open ones may be forged, and do not count");
        world.inject(&acks);
        assert_eq!(world.told(), vec![Told::Open; 3], "{cookies:?}");
        assert_eq!(world.count(Counter::Established), 3);
        let refused = world.dropped(DropReason::AddressFull) + world.dropped(DropReason::AcceptQueueFull);
        assert_eq!(refused, 3, "{cookies:?}");
    }
}

#[test]
fn where_places_are_scarce_the_oldest_that_nobody_waits_for_goes() {
    //= LIM-8
    //= ATK-14
    let mut setup = Setup::default();
    setup.limits.connections = 12;
    let mut world = World::with(setup);
    let all: Vec<_> = (0..10).map(|n| open(&mut world, PEER_PORT + n)).collect();
    // An application that only half-closes has its connection still, and it does not count.
    world.call(|conn| conn.shutdown());
    let finish = |world: &mut World, n: usize| {
        world.worker.call(all[n].1, |conn| conn.finish());
        world.run();
    };
    (0..4).for_each(|n| finish(&mut world, n));
    assert_eq!(world.count(Counter::ClosingReset), 0, "as long as there are places they harm nobody");
    world.sent();
    let (early, _) = world.half_open(PEER_PORT + 30, Seq(7), plain());
    world.inject(&[early.seg(ACK)]);
    assert_eq!(world.count(Counter::ClosingReset), 0, "nor if they closed a moment ago");
    world.inject(&[early.seg(Flags::RST)]);
    world.pass_ms(1_100);
    world.sent();
    world.told();
    let (last, _) = world.half_open(PEER_PORT + 10, Seq(7), plain());
    world.inject(&[last.seg(ACK)]);
    let sent = world.sent();
    assert_eq!((sent.len(), sent[0].ports.1), (1, PEER_PORT), "the oldest, and no other");
    sent[0].flags(Flags::RST);
    assert_eq!(world.count(Counter::ClosingReset), 1);
    assert_eq!(world.told(), [Told::Open, Told::Closed(CloseReason::Aborted)]);
    // One that ends by itself makes room among them.
    let (peer, _) = all[1];
    world.inject(&[Seg { ack: peer.ack + 1, ..peer.seg(ACK | Flags::FIN) }]);
    assert_eq!(world.state(PEER_PORT + 1), State::TimeWait);
    world.sent();
    for n in 11..13 {
        world.told();
        world.establish(PEER_PORT + n);
    }
    finish(&mut world, 4);
    assert_eq!(world.count(Counter::ClosingReset), 1);
    finish(&mut world, 5);
    assert_eq!((world.count(Counter::ClosingReset), world.state(PEER_PORT + 2)), (2, State::Closed));
    assert_eq!(world.state(PEER_PORT + 9), State::FinWait1, "the half-closed one is left alone");
}

/// A connection, and its name.
fn open(world: &mut World, port: u16) -> (Peer, ConnId) {
    let peer = world.establish(port);
    let id = world.probe.0.borrow().conn.unwrap();
    (peer, id)
}

#[test]
fn waiting_connections_are_offered_so_many_a_pass() {
    //= LIM-13
    let mut setup = Setup::default();
    (setup.limits.connections, setup.limits.backlog) = (1_000, 1_000);
    let mut world = World::with(setup);
    world.probe.0.borrow_mut().refuse = true;
    for n in 0..600 {
        let peer = world.half_open(10_000 + n, Seq(7), plain()).0;
        world.inject(&[peer.seg(ACK)]);
    }
    assert_eq!(world.told(), []);
    world.probe.0.borrow_mut().refuse = false;
    let mut passes = Vec::new();
    while passes.iter().sum::<usize>() < 600 && passes.len() < 10 {
        world.worker.pass(world.clock.now());
        passes.push(world.told().len());
    }
    assert_eq!(passes, [256, 256, 88]);
}

#[test]
fn where_few_may_be_awake_they_forget_what_they_can_and_one_that_cannot_is_reset() {
    let mut setup = Setup::default();
    (setup.limits.connections, setup.limits.awake) = (12, Some(4));
    let mut world = World::with(setup);
    let peers: Vec<_> = (0..10).map(|n| open(&mut world, PEER_PORT + n).0).collect();
    world.sent();
    world.told();
    // A reset that must not be believed: so many answers to such are counted for five seconds.
    for peer in &peers {
        world.inject(&[Seg { seq: peer.seq + 1, ..peer.seg(Flags::RST) }]);
        world.pass_ms(2);
    }
    assert!(world.count(Counter::AwakeForgot) > 5);
    assert_eq!((world.count(Counter::AwakeReset), world.told()), (0, vec![]));
    // Text behind a hole has to be kept.
    for peer in &peers {
        world.inject(&[Seg { seq: peer.seq + 5, ..peer.seg(ACK) }.text(b"later")]);
        world.pass_ms(2);
    }
    let reset = world.count(Counter::AwakeReset);
    assert_eq!(reset, 8, "all but those that fit beside what the next pass may wake");
    assert_eq!(world.told(), vec![Told::Closed(CloseReason::Aborted); reset as usize]);
    let states = (0..10).map(|n| world.state(PEER_PORT + n));
    assert_eq!(states.filter(|state| *state == State::Established).count() as u64, 10 - reset);
}

/// Connections of which four may be awake.
fn few_awake(count: u16, mut setup: Setup) -> (World, Vec<(Peer, ConnId)>) {
    (setup.limits.connections, setup.limits.awake) = (24, Some(4));
    let mut world = World::with(setup);
    let all = (0..count).map(|n| open(&mut world, PEER_PORT + n)).collect();
    world.sent();
    world.told();
    (world, all)
}

#[test]
fn where_few_may_be_awake_a_record_that_is_not_in_use_keeps_nobody_awake() {
    static TWO_SEGMENTS: [u8; 2_000] = [7; 2_000];
    let (mut world, all) = few_awake(10, Setup::default());
    for (peer, id) in &all {
        world.worker.call(*id, |conn| assert!(conn.send_static(&TWO_SEGMENTS)));
        world.run();
        world.inject(&[Seg { ack: peer.ack + 2_000, ..peer.seg(ACK) }]);
        world.pass_ms(5);
    }
    assert_eq!(world.count(Counter::AwakeReset), 0);
    assert!(world.count(Counter::AwakeForgot) > 5);
}

#[test]
fn where_none_can_wake_text_is_not_acknowledged_and_timers_wait() {
    let (mut world, all) = few_awake(8, Setup::in_bursts());
    world.probe.0.borrow_mut().take = Some(0);
    let behind_a_hole =
        |(peer, _): &(Peer, ConnId)| Seg { seq: peer.seq + 5, ..peer.seg(ACK) }.text(b"later");
    let mut segments: Vec<_> = all[..4].iter().map(behind_a_hole).collect();
    let (untaken, id) = all[5];
    segments.push(untaken.seg(ACK).text(b"first"));
    segments.iter().for_each(|segment| world.send_frame(&segment.frame()));
    world.worker.pass(world.clock.now());
    assert!(world.dropped(DropReason::NoPlace) >= 1);
    assert!(world.sent().iter().all(|sent| sent.ports.1 != PEER_PORT + 5), "nothing of it is acknowledged");
    world.worker.call(id, |conn| assert_eq!(conn.unread(), 0));
    assert_eq!(world.worker.shard().check_invariants(), Ok(()));

    let (mut world, all) = few_awake(10, Setup::default());
    all.iter().for_each(|(_, id)| _ = world.worker.call(*id, |conn| assert_eq!(conn.send(b"hi"), 2)));
    world.run();
    world.sent();
    for _ in 0..20 {
        world.pass_ms(500);
        assert_eq!(world.worker.shard().check_invariants(), Ok(()));
    }
}

#[test]
fn who_finishes_before_the_application_knows_of_the_peer_s_fin_is_told_and_gone() {
    let mut world = World::new();
    world.probe.0.borrow_mut().refuse = true;
    let peer = world.half_open(PEER_PORT, Seq(7), plain()).0;
    world.inject(&[peer.seg(ACK)]);
    world.inject(&[peer.seg(ACK | Flags::FIN)]);
    assert!(world.worker.call(ConnId { index: 0, generation: 0 }, |conn| conn.shutdown()));
    world.run();
    assert_eq!(world.state(PEER_PORT), State::LastAck);
    world.inject(&[Seg { seq: peer.seq + 1, ack: peer.ack + 1, ..peer.seg(ACK) }]);
    world.probe.0.borrow_mut().refuse = false;
    world.pass_ms(1);
    assert_eq!(world.told(), [Told::Open, Told::PeerClose, Told::Closed(CloseReason::Finished)]);
    assert_eq!(world.worker.shard().connections(), 0);
}
