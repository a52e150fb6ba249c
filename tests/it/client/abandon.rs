//! Connections that are left without a word (`Conn::abandon`).

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::engine::active::OpenError;
use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use crate::active::{LOCAL, SERVER, remote, syn_sent};
use crate::expect::Sent;
use crate::inet::says;
use crate::reach::{PEER_MAC, PEER_PORT, PEERS, Peer, Seg, Setup, Told, World, seg};

const ACK: Flags = Flags::ACK;
const SYN: Flags = Flags::SYN;
const FIN: Flags = Flags::FIN;

const CLOSED: Told = Told::Closed(CloseReason::Abandoned);

/// Whatever the peer says, of the connection or to open a new one, is not answered, and so counted.
#[track_caller]
fn is_mute(world: &mut World, like: &Seg) {
    let flags = [ACK, ACK | FIN, SYN, SYN | ACK, Flags::RST, Flags::RST | ACK, Flags(0)];
    let before = world.dropped(DropReason::Abandoned);
    for (n, flags) in flags.into_iter().enumerate() {
        for ahead in [0, 1, 500_000_000] {
            let mut segment = like.clone().text(b"who is there?");
            (segment.flags, segment.seq) = (flags, segment.seq + ahead);
            world.inject(&[segment.clone(), segment.ts(1, 1)]);
            world.silent();
        }
        assert_eq!(world.dropped(DropReason::Abandoned), before + 6 * (n as u64 + 1));
    }
}

/// An established connection in a state of the test's choice.
fn established(world: &mut World, change: impl FnOnce(&mut World, &mut Peer)) -> Seg {
    let mut peer = world.establish(PEER_PORT);
    change(world, &mut peer);
    world.sent();
    world.told();
    peer.seg(ACK)
}

#[test]
fn an_abandoned_connection_is_silent_whatever_state_it_was_in() {
    let close = |world: &mut World| world.call(|conn| conn.shutdown());
    let fin = |world: &mut World, peer: &Peer| world.inject(&[peer.seg(ACK | FIN)]);
    type Change<'a> = &'a dyn Fn(&mut World, &mut Peer);
    let rows: [(State, Change<'_>); 6] = [
        (State::Established, &|world, _| world.call(|conn| assert_eq!(conn.send(&[7; 3_000]), 3_000))),
        (State::FinWait1, &|world, _| close(world)),
        (State::FinWait2, &|world, peer| {
            close(world);
            peer.ack += 1;
            world.inject(&[peer.seg(ACK)]);
        }),
        (State::CloseWait, &|world, peer| fin(world, peer)),
        (State::Closing, &|world, peer| {
            close(world);
            fin(world, peer);
        }),
        (State::LastAck, &|world, peer| {
            fin(world, peer);
            close(world);
        }),
    ];
    for (state, change) in rows {
        let mut world = World::new();
        let segment = established(&mut world, change);
        assert_eq!(world.state(PEER_PORT), state);
        world.call(|conn| conn.abandon());
        assert_eq!(world.told(), [CLOSED], "{state:?}");
        assert_eq!((world.count(Counter::Abandoned), world.worker.shard().connections()), (1, 0));
        world.silent();
        is_mute(&mut world, &segment);
        // No timer of the connection is left, and 2 MSL are not prolonged by what comes.
        world.pass_ms(59_900);
        world.silent();
        is_mute(&mut world, &segment);
        world.pass_ms(200);
        assert_eq!(world.count(Counter::TimeWaitExpired), 1);
        world.inject(&[segment]);
        world.one().flags(Flags::RST);
        world.assert_quiet();
    }
}

#[test]
fn a_tuple_of_an_abandoned_connection_is_taken_until_2_msl_are_over() {
    //= TMW-9
    let (mut world, syn) = syn_sent();
    let mut answer = seg(SYN | ACK, Seq(300), syn.segment.seq + 1).ts(7, 0);
    answer.ports = (SERVER, LOCAL);
    world.inject(std::slice::from_ref(&answer));
    world.one().flags(ACK);
    world.call(|conn| conn.abandon());
    assert_eq!(world.told(), [Told::Connected, CLOSED]);
    for ms in [0, 5, 30_000, 29_000] {
        world.pass_ms(ms);
        assert_eq!(world.worker.open(None, Some(LOCAL), remote()), Err(OpenError::TimeWait));
    }
    is_mute(&mut world, &answer);
    world.pass_ms(1_000);
    assert!(world.worker.open(None, Some(LOCAL), remote()).is_ok());
    world.run();
    world.one().flags(SYN);
}

#[test]
fn a_connection_that_is_being_opened_can_be_abandoned() {
    let (mut world, syn) = syn_sent();
    world.call(|conn| conn.abandon());
    assert_eq!((world.told(), world.count(Counter::SynAborted)), (vec![CLOSED], 1));
    world.pass_ms(10_000);
    world.silent();
    let mut answer = seg(SYN | ACK, Seq(300), syn.segment.seq + 1);
    answer.ports = (SERVER, LOCAL);
    is_mute(&mut world, &answer);
    world.pass_ms(51_000);
    world.assert_quiet();
}

#[test]
fn what_waits_for_a_neighbour_does_not_leave_after_it() {
    let mut world = World::with(Setup { fixed: false, ..Setup::default() });
    let id = world.worker.open(None, Some(LOCAL), remote()).unwrap();
    let other = world.worker.open(None, Some(LOCAL + 1), remote()).unwrap();
    world.run();
    world.worker.call(id, |conn| conn.abandon());
    world.send_frame(&says(PEERS, PEER_MAC));
    world.run();
    let ports: Vec<_> = world.sent().iter().map(|Sent { ports, .. }| ports.0).collect();
    assert_eq!((ports, world.dropped(DropReason::Abandoned)), (vec![LOCAL + 1], 1));
    assert_ne!(id, other);
}

#[test]
fn a_reset_that_was_not_sent_yet_is_taken_back() {
    let mut world = World::new();
    world.establish(PEER_PORT);
    world.call(|conn| {
        conn.abort();
        conn.abandon();
    });
    world.silent();
    assert_eq!(world.told(), [CLOSED]);
}

#[test]
fn a_callback_may_abandon_its_connection() {
    let mut world = World::new();
    let peer = world.establish(PEER_PORT);
    world.probe.0.borrow_mut().next = Some(Box::new(|conn| conn.abandon()));
    world.inject(&[peer.seg(ACK | FIN).text(b"last words")]);
    world.silent();
    assert_eq!(world.told(), [Told::Data(b"last words".to_vec()), CLOSED]);
    world.pass_ms(60_100);
    world.assert_quiet();
}

#[test]
fn where_no_more_records_are_kept_the_oldest_goes() {
    //= LIM-7
    let mut setup = Setup::default();
    setup.limits.time_wait_max = 2;
    let mut world = World::with(setup);
    for port in 1..=3 {
        world.establish(port);
        world.call(|conn| conn.abandon());
        world.told();
    }
    assert_eq!((world.worker.shard().in_time_wait(), world.count(Counter::TimeWaitEvicted)), (2, 1));
    world.check();
}
