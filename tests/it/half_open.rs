//! The half-open queue and the accept queue: schedules, limits, and what happens when they are full.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::arrives::listen::CookieMode;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::{Options, Timestamps};

use crate::reach::{PEER_PORT, Seg, Setup, Told, World, seg};
use crate::states::{Start, plain, reach};

const ACK: Flags = Flags::ACK;
const SYN_ACK: Flags = Flags(Flags::SYN.0 | Flags::ACK.0);

fn syns(count: u16) -> Vec<Seg> {
    (0..count).map(|n| seg(Flags::SYN, Seq(1_000), Seq(0)).from_port(1_024 + n)).collect()
}

#[test]
fn a_syn_ack_goes_again_five_times_and_the_entry_dies_at_63_seconds() {
    //= SYNQ-3
    //= SYNQ-5
    //= SYNQ-6
    //= SYNQ-8
    //= TMR-3
    //= LIM-15
    //= ATK-16
    let mut world = World::new();
    let options =
        Options { timestamps: Some(Timestamps { val: 1, ecr: 0 }), sack_permitted: true, ..plain() };
    let (peer, first) = world.half_open(PEER_PORT, Seq(0xffff_ffff), options);
    let seen = world.watch_ms(62_900);
    let seconds: Vec<_> = seen.iter().map(|(at, _)| (at + 50) / 1_000).collect();
    assert_eq!(seconds, [1, 3, 7, 15, 31]);
    for (_, again) in &seen {
        again.flags(SYN_ACK).seq(first.segment.seq).ack(peer.seq);
        assert_eq!((again.segment.options.mss, again.segment.options.sack_permitted), (Some(1_460), true));
        assert_eq!(again.segment.wnd, first.segment.wnd);
    }
    assert_eq!(world.state(PEER_PORT), State::SynReceived);
    assert!(world.watch_ms(200).is_empty(), "it dies silently");
    assert_eq!((world.state(PEER_PORT), world.told()), (State::Closed, vec![]));
    assert_eq!((world.count(Counter::SynAckRepeated), world.count(Counter::HalfOpenExpired)), (5, 1));
    world.assert_quiet();
}

#[test]
fn the_lifetime_is_the_sum_of_all_waits() {
    //= SYNQ-6
    //= VEC-SYN-2
    // n = 0..5 with T = 1 s and n = 5 with T = 3 s, without a ceiling.
    for (repeats, first_s, life_s) in
        [(0, 1, 1), (1, 1, 3), (2, 1, 7), (3, 1, 15), (4, 1, 31), (5, 1, 63), (5, 3, 189)]
    {
        let mut setup = Setup::default();
        (setup.cfg.syn_ack_repeats, setup.cfg.rto_initial_ms) = (repeats, first_s * 1_000);
        setup.cfg.rto_max_ms = 1_000_000;
        let mut world = World::with(setup);
        world.half_open(PEER_PORT, Seq(7), plain());
        let seen = world.watch_ms(life_s * 1_000 - 50);
        assert_eq!((seen.len(), world.state(PEER_PORT)), (usize::from(repeats), State::SynReceived));
        world.watch_ms(100);
        assert_eq!(world.state(PEER_PORT), State::Closed, "n = {repeats}");
    }
}

#[test]
fn a_repeated_syn_is_answered_at_once_and_leaves_the_timer_alone() {
    //= SYR-3
    //= SYNQ-8
    let mut world = World::with(Setup::in_bursts());
    let (peer, first) = world.half_open(PEER_PORT, Seq(50), plain());
    world.pass_ms(900);
    world.inject(&[seg(Flags::SYN, Seq(50), Seq(0)).options(plain())]);
    world.one().flags(SYN_ACK).seq(first.segment.seq).ack(peer.seq);
    assert_eq!(world.count(Counter::SynAckAnswered), 1);
    let seen = world.watch_ms(150);
    assert_eq!(seen.len(), 1, "the timer still runs out after one second");
    assert_eq!(world.count(Counter::SynAckRepeated), 1);
    // A burst of the same SYN is one answer.
    let syn = seg(Flags::SYN, Seq(50), Seq(0)).options(plain());
    world.inject(&[syn.clone(), syn.clone(), syn]);
    world.one().flags(SYN_ACK);
}

#[test]
fn a_lost_third_acknowledgment_is_made_up_for_by_data() {
    //= SYR-7
    //= SYR-11
    //= SYN-3
    let mut world = World::new();
    let (peer, _) = world.half_open(PEER_PORT, Seq(0xffff_fff0), plain());
    world.pass_ms(500);
    world.inject(&[peer.seg(ACK | Flags::PSH).text(b"GET / HTTP/1.0\r\n\r\n")]);
    assert_eq!(world.told(), [Told::Open, Told::Data(b"GET / HTTP/1.0\r\n\r\n".to_vec())]);
    world.one().ack(peer.seq + 18);
    assert!(world.watch_ms(5_000).is_empty(), "no SYN-ACK goes again");
}

#[test]
fn text_of_the_syn_is_neither_kept_nor_told() {
    //= LIS-5
    //= LIS-6
    //= X-3
    //= ATK-42
    let mut world = World::new();
    world.inject(&[seg(Flags::SYN | Flags::FIN, Seq(10), Seq(0)).text(&[9; 1_000])]);
    let ack = world.one().segment.seq + 1;
    assert_eq!(world.worker.shard().buffers_in_use(), 0);
    world.inject(&[seg(ACK, Seq(11), ack)]);
    assert_eq!((world.told(), world.state(PEER_PORT)), (vec![Told::Open], State::Established));
    world.silent();
}

#[test]
fn a_reset_or_a_wrong_acknowledgment_does_what_it_may_to_a_half_open_entry() {
    //= SYR-1
    //= SYR-6
    //= MUST-11
    //= ATK-16
    let mut reached = reach(Start::AtWrap, State::SynReceived);
    let wrong = Seg { ack: reached.peer.ack + 5, ..reached.peer.seg(ACK) };
    reached.world.inject(&[wrong]);
    reached.world.one().flags(Flags::RST).seq(reached.peer.ack + 5);
    assert_eq!(reached.world.state(PEER_PORT), State::SynReceived);
    reached.world.inject(&[reached.peer.seg(Flags::RST)]);
    assert_eq!(reached.world.count(Counter::HalfOpenReset), 1);
    assert!(reached.world.watch_ms(100_000).is_empty(), "after the reset nothing goes out");
    assert_eq!(reached.world.told(), []);
    reached.world.assert_quiet();
}

#[test]
fn the_old_syn_of_a_client_does_not_stop_its_new_one() {
    //= VEC-FSM-3
    // With us as B.
    //= SYR-1
    let mut world = World::new();
    world.inject(&[seg(Flags::SYN, Seq(90), Seq(0))]);
    let syn_ack = world.one();
    syn_ack.flags(SYN_ACK).ack(Seq(91));
    world.inject(&[seg(Flags::RST, Seq(91), Seq(0))]);
    world.silent();
    assert_eq!(world.state(PEER_PORT), State::Closed);
    world.inject(&[seg(Flags::SYN, Seq(100), Seq(0))]);
    let ack = world.one().segment.seq + 1;
    world.inject(&[seg(ACK, Seq(101), ack)]);
    assert_eq!(world.told(), [Told::Open]);
}

#[test]
fn half_open_entries_are_bounded_in_all() {
    //= LIS-8
    //= LIM-1
    //= SYNQ-4
    //= SYNQ-7
    //= ATK-1
    let mut setup = Setup::default();
    setup.limits.syn_cookies = CookieMode::Never;
    let mut world = World::with(setup);
    // 64 connections: a quarter may be half-open.
    world.inject(&syns(40));
    assert_eq!(world.sent().len(), 16);
    assert_eq!(world.worker.shard().half_open(), 16);
    assert_eq!(world.dropped(DropReason::SynQueueFull), 24);
    assert!(world.sent().is_empty(), "never a reset");
    world.watch_ms(63_100);
    assert_eq!(world.worker.shard().half_open(), 0);
    world.establish(PEER_PORT);
}

#[test]
fn half_open_entries_are_bounded_for_each_listener() {
    //= LIS-8
    //= LIM-1
    //= SYNQ-2
    let mut setup = Setup::default();
    (setup.limits.connections, setup.limits.backlog) = (4_096, 10);
    setup.limits.syn_cookies = CookieMode::Never;
    let mut world = World::with(setup);
    world.inject(&syns(200));
    assert_eq!(world.sent().len(), 128, "max(128, 2 * backlog)");
    assert_eq!(world.dropped(DropReason::SynQueueFull), 72);
    // One that completes makes room for one more.
    let first = syns(1).remove(0);
    world.inject(std::slice::from_ref(&first));
    let ack = world.one().segment.seq + 1;
    world.inject(&[Seg { ack, seq: first.seq + 1, flags: ACK, ..first }]);
    world.inject(&[seg(Flags::SYN, Seq(1), Seq(0)).from_port(9_999)]);
    world.one().flags(SYN_ACK);
}

#[test]
fn a_full_accept_queue_drops_syns_and_lets_the_handshake_wait() {
    //= LIS-9
    //= SYR-10
    //= LIM-2
    //= ATK-15
    let mut setup = Setup::default();
    setup.limits.backlog = 2;
    let mut world = World::with(setup);
    world.probe.0.borrow_mut().refuse = true;
    let peers: Vec<_> = (1..=3).map(|port| world.half_open(port, Seq(100), plain()).0).collect();
    for peer in &peers {
        world.inject(&[peer.seg(ACK).text(b"hello")]);
    }
    let states: Vec<_> = peers.iter().map(|peer| world.state(peer.port)).collect();
    assert_eq!(states, [State::Established, State::Established, State::SynReceived]);
    assert_eq!(world.dropped(DropReason::AcceptQueueFull), 1);
    world.sent();
    world.inject(&[seg(Flags::SYN, Seq(1), Seq(0)).from_port(4)]);
    world.silent();
    assert_eq!(world.dropped(DropReason::AcceptQueueFull), 2);
    assert_eq!(world.told(), []);
    // The application comes back: those that wait are taken in order, with what they have sent meanwhile.
    world.probe.0.borrow_mut().refuse = false;
    world.run();
    let hello = Told::Data(b"hello".to_vec());
    assert_eq!(world.told(), [Told::Open, hello.clone(), Told::Open, hello.clone()]);
    // The SYN-ACK's timer does the rest.
    let seen = world.watch_ms(1_500);
    assert!(seen.iter().any(|(_, sent)| sent.segment.flags == SYN_ACK && sent.ports.1 == 3));
    world.inject(&[peers[2].seg(ACK).text(b"hello")]);
    assert_eq!(world.told(), [Told::Open, hello]);
}

#[test]
fn a_connection_that_waits_may_end_before_it_is_taken() {
    //= LIS-9
    //= EST-1
    let mut world = World::new();
    world.probe.0.borrow_mut().refuse = true;
    let peers: Vec<_> = (1..=3).map(|port| world.half_open(port, Seq(100), plain()).0).collect();
    for peer in &peers {
        world.inject(&[peer.seg(ACK)]);
    }
    world.inject(&[peers[0].seg(Flags::RST)]);
    let goodbye = peers[1].seg(ACK | Flags::FIN).text(b"bye");
    world.inject(&[goodbye]);
    assert_eq!((world.told(), world.state(1)), (vec![], State::Closed));
    world.probe.0.borrow_mut().refuse = false;
    world.run();
    let bye = Told::Data(b"bye".to_vec());
    assert_eq!(world.told(), [Told::Open, bye, Told::PeerClose, Told::Open]);
    assert_eq!(world.worker.shard().connections(), 2);
}

#[test]
fn connections_are_bounded_and_others_are_not_harmed() {
    //= LIM-4
    //= ATK-15
    let mut setup = Setup::default();
    (setup.limits.connections, setup.limits.backlog) = (8, 100);
    let mut world = World::with(setup);
    for port in 1..=8 {
        let (peer, _) = world.half_open(port, Seq(100), plain());
        world.inject(&[peer.seg(ACK)]);
    }
    world.told();
    world.inject(&[seg(Flags::SYN, Seq(1), Seq(0)).from_port(100)]);
    world.silent();
    assert_eq!(world.dropped(DropReason::NoTcb), 1);
    world.call(|conn| assert_eq!(conn.send(b"alive"), 5));
    world.one().text(b"alive");
    world.call(|conn| conn.abort());
    world.one().flags(Flags::RST);
    world.inject(&[seg(Flags::SYN, Seq(1), Seq(0)).from_port(100)]);
    world.one().flags(SYN_ACK);
}
