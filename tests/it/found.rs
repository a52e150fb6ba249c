//! What simulations, the fuzz target and the tidiness test found, as short stories of their own.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::settings::KeepAlive;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::Options;

use crate::reach::{OURS, PEER_PORT, Peer, Seg, Setup, Told, World, seg};

const ACK: Flags = Flags::ACK;

#[test]
fn a_window_closed_beyond_a_hole_is_opened_by_whoever_acknowledges_more() {
    //= COM-16
    let mut world = World::new();
    let peer = world.establish(PEER_PORT);
    let mut beyond = peer.seg(ACK).text(b"x").wnd(0);
    beyond.seq += 100;
    world.inject(&[beyond]);
    world.sent();
    world.call(|conn| assert_eq!(conn.send(b"ab"), 2));
    world.silent();
    world.pass_ms(1_100);
    world.one().seq(peer.ack).text(b"a");
    assert_eq!(world.count(Counter::Probes), 1);
    // The peer repeats what is missing; it stands below what told the closed window.
    let mut repeated = peer.seg(ACK).text(b"y").wnd(1_000);
    repeated.ack = peer.ack + 1;
    world.inject(&[repeated]);
    let sent = world.sent();
    assert!(sent.iter().any(|sent| sent.text == b"b"), "the rest follows at once: {sent:?}");
}

#[test]
fn a_connection_that_found_no_memory_is_told_when_there_is_some() {
    let mut setup = Setup::default();
    setup.limits.buffers = 4_096;
    let mut world = World::with(setup);
    let hog = world.establish(PEER_PORT);
    static PIECE: [u8; 512] = [7; 512];
    world.call(|conn| (0..8).for_each(|_| assert!(conn.send_static(&PIECE))));
    let sent: usize = world.sent().iter().map(|sent| sent.text.len()).sum();
    assert_eq!(sent, 4_096);
    world.establish(PEER_PORT + 1);
    world.call(|conn| assert_eq!(conn.send(b"hungry"), 0));
    world.pass_ms(5);
    assert_eq!(world.told(), []);
    let mut acknowledged = hog.seg(ACK);
    acknowledged.ack = hog.ack + 4_096;
    world.probe.0.borrow_mut().next = None;
    world.inject(&[acknowledged]);
    // The one whose data was acknowledged, and the hungry one.
    assert_eq!(world.told(), [Told::Writable, Told::Writable]);
    world.call(|conn| assert_eq!(conn.send(b"hungry"), 6));
}

#[test]
fn connections_that_hoard_memory_leave_some_for_others() {
    //= ATK-12
    //= LIM-5
    let mut setup = Setup::default();
    setup.limits.buffers = 256 << 10;
    let mut world = World::with(setup);
    for port in 0..40 {
        // None of them reads, and each is sent all that the stack takes.
        world.establish(PEER_PORT + port);
        world.call(|conn| assert!(conn.send(&[7; 200_000]) > 0));
        world.sent();
    }
    let (client, _) = world.half_open(50_000, Seq(7), Options::default());
    world.inject(&[client.seg(ACK).text(&[b'x'; 1_400])]);
    assert!(world.told().contains(&Told::Data(vec![b'x'; 1_400])));
    world.call(|conn| assert!(conn.send(b"an answer of some length") > 20));
}

/// The application reads nothing, and both sides close, we first.
fn finished_unread_in_time_wait() -> World {
    let mut world = World::new();
    let peer = world.establish(PEER_PORT);
    world.probe.0.borrow_mut().take = Some(0);
    world.call(|conn| conn.shutdown());
    world.inject(&[Peer { ack: peer.ack + 1, ..peer }.seg(Flags::FIN | ACK).text(b"late")]);
    assert_eq!(world.state(PEER_PORT), State::TimeWait);
    world.sent();
    world.told();
    world
}

/// The application reads nothing, and both sides close: the peer first, or we.
fn finished_unread(peer_first: bool) -> World {
    let mut world = World::new();
    let peer = world.establish(PEER_PORT);
    world.probe.0.borrow_mut().take = Some(0);
    let fin = |ack| Peer { ack, ..peer }.seg(Flags::FIN | ACK).text(b"late");
    if peer_first {
        world.inject(&[fin(peer.ack)]);
        world.call(|conn| conn.shutdown());
    } else {
        world.call(|conn| conn.shutdown());
        world.inject(&[fin(peer.ack + 1)]);
    }
    world.inject(&[Peer { seq: peer.seq + 5, ack: peer.ack + 1, ..peer }.seg(ACK)]);
    world.pass_ms(61_000);
    assert_eq!(world.state(PEER_PORT), State::Closed);
    world.sent();
    world.told();
    world
}

#[test]
fn what_was_received_can_be_read_after_both_sides_have_closed() {
    for peer_first in [true, false] {
        let mut world = finished_unread(peer_first);
        assert_eq!(world.worker.shard().connections(), 1, "it keeps its slot");
        world.probe.0.borrow_mut().take = None;
        world.call(|conn| conn.resume());
        let closed = Told::Closed(CloseReason::Finished);
        let told = world.told();
        assert_eq!(told[0], Told::Data(b"late".to_vec()));
        assert_eq!(told.last(), Some(&closed));
        // A new connection between the same endpoints was never in the way.
        world.assert_quiet();
    }
}

#[test]
fn the_endpoints_of_a_connection_that_is_only_read_are_free() {
    let mut world = finished_unread(true);
    world.inject(&[seg(Flags::SYN, Seq(77), Seq(0)).from_port(PEER_PORT)]);
    world.one().flags(Flags::SYN | ACK).ack(Seq(78));
    world.call(|conn| conn.abort());
    assert_eq!(world.told(), [Told::Closed(CloseReason::Finished)]);
    world.inject(&[seg(Flags::RST, Seq(78), Seq(0)).from_port(PEER_PORT)]);
    world.assert_quiet();
}

#[test]
fn one_that_is_only_read_gets_nothing_more_of_the_burst_that_ended_it() {
    for flags in [Flags::SYN, Flags::RST] {
        let mut world = World::new();
        let peer = world.establish(PEER_PORT);
        world.probe.0.borrow_mut().take = Some(0);
        world.inject(&[peer.seg(Flags::FIN | ACK).text(b"late")]);
        world.call(|conn| conn.shutdown());
        world.sent();
        world.told();
        let end = Peer { seq: peer.seq + 5, ack: peer.ack + 1, ..peer };
        world.inject(&[end.seg(ACK), seg(flags, end.seq, Seq(0)).from_port(PEER_PORT)]);
        if flags == Flags::SYN {
            world.one().flags(Flags::SYN | ACK).ack(end.seq + 1);
        } else {
            world.silent();
            assert_eq!(world.dropped(DropReason::ListenRst), 1);
        }
        world.probe.0.borrow_mut().take = None;
        world.call(|conn| conn.resume());
        let told = world.told();
        assert_eq!(told[0], Told::Data(b"late".to_vec()), "{flags:?}");
        assert_eq!(told.last(), Some(&Told::Closed(CloseReason::Finished)), "{flags:?}");
        if flags == Flags::SYN {
            world.inject(&[seg(Flags::RST, end.seq + 1, Seq(0)).from_port(PEER_PORT)]);
        }
        world.assert_quiet();
    }
}

#[test]
fn text_behind_the_fin_that_came_first_is_thrown_away() {
    //= COM-20
    let mut world = World::new();
    let peer = world.establish(PEER_PORT);
    let mut behind = peer.seg(Flags::FIN | ACK).text(b"never sent");
    behind.seq += 4;
    world.inject(&[behind, peer.seg(Flags::FIN | ACK).text(b"end")]);
    assert_eq!(world.told(), [Told::Data(b"end".to_vec()), Told::PeerClose]);
    let last = world.sent().pop().unwrap();
    last.flags(ACK).ack(peer.seq + 4);
}

#[test]
fn a_syn_that_reopens_leaves_what_is_unread_to_its_application() {
    //= TMW-5
    let mut world = finished_unread_in_time_wait();
    world.inject(&[seg(Flags::SYN, Seq(0x4000_0000), Seq(0)).from_port(PEER_PORT)]);
    world.one().flags(Flags::SYN | ACK).ack(Seq(0x4000_0001));
    world.probe.0.borrow_mut().take = None;
    world.call(|conn| conn.resume());
    assert_eq!(world.told()[0], Told::Data(b"late".to_vec()));
    world.inject(&[seg(Flags::RST, Seq(0x4000_0001), Seq(0)).from_port(PEER_PORT)]);
    world.assert_quiet();
}

#[test]
fn an_acknowledgment_from_exactly_the_right_edge_counts() {
    //= COM-4
    // VEC-ACC-1 refuses (1100,0); decision 10 says why the acknowledgment is used all the same.
    let mut setup = Setup::default();
    setup.cfg.receive_buffer = 1_000;
    let mut world = World::with(setup);
    let peer = world.establish(PEER_PORT);
    world.call(|conn| assert_eq!(conn.send(b"abc"), 3));
    world.one();
    // The peer has sent all that it may, and that was lost; it acknowledges from where it stands now.
    let at = |beyond: u32| Seg { seq: peer.seq + 1_000 + beyond, ack: peer.ack + 3, ..peer.seg(ACK) };
    world.inject(&[at(1)]);
    assert_eq!((world.told(), world.dropped(DropReason::OutsideWindow)), (vec![], 1));
    world.sent();
    world.inject(&[at(0)]);
    world.silent();
    assert_eq!((world.told(), world.dropped(DropReason::OutsideWindow)), (vec![Told::Writable], 1));
    // An octet there is beyond the window.
    world.inject(&[at(0).text(b"x")]);
    world.one().ack(peer.seq);
    assert_eq!(world.dropped(DropReason::OutsideWindow), 2);
}

#[test]
fn segments_and_resets_are_counted_when_they_have_left() {
    let mut world = World::with(Setup { fixed: false, ..Setup::default() });
    let stray = seg(ACK, Seq(7), Seq(7)).from_port(PEER_PORT + 1);
    world.inject(&[stray]);
    assert_eq!((world.count(Counter::TxSegments), world.count(Counter::RstSent)), (0, 0), "no neighbour yet");
    world.send_frame(&crate::inet::asks(OURS));
    world.run();
    assert_eq!((world.count(Counter::TxSegments), world.count(Counter::RstSent)), (1, 1));
    assert_eq!(world.sent().len(), 1);
    // A device that takes nothing for a while: what waits is not counted yet, what is lost never.
    let mut world = World::with(Setup { tx_room: 0, ..Setup::default() });
    let strays: Vec<_> = (0..100).map(|n| seg(ACK, Seq(7), Seq(7)).from_port(PEER_PORT + n)).collect();
    world.inject(&strays[..32]);
    world.inject(&strays[32..]);
    assert_eq!((world.count(Counter::TxSegments), world.count(Counter::RstSent)), (0, 0));
    assert!(world.dropped(DropReason::TxFull) > 0);
}

#[test]
fn a_peer_that_answers_every_probe_is_alive_also_when_probes_are_rarer_than_silences() {
    //= KA-2
    let mut world = World::new();
    let peer = world.establish(PEER_PORT);
    world.call(|conn| conn.set_keep_alive(KeepAlive::new(500, 2_000, 3)));
    for n in 0..10 {
        world.pass_ms(if n == 0 { 500 } else { 2_000 });
        world.one().flags(ACK).seq(peer.ack - 1);
        world.inject(&[peer.seg(ACK)]);
    }
    assert_eq!((world.told(), world.state(PEER_PORT)), (vec![], State::Established));
    world.pass_ms(8_001);
    assert_eq!(world.told(), [Told::Closed(CloseReason::Silent)]);
}
