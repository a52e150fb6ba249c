//! Why a connection does not get on, as its opener can find it out.

use dpdk_tcp::engine::api::{CloseReason, Conn, ConnId, Soft, State, Unreachable, Unsent};
use dpdk_tcp::sim::faults::{Faults, Spells};
use dpdk_tcp::wire::icmp_error::Unreachable::Neighbour;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use crate::active::{LOCAL, SERVER, remote};
use crate::reach::{PEER_MAC, PEERS, Setup, Told, World, seg};

/// Always.
const ALWAYS: Spells = Spells { every_us: 1, for_us: 1 };

fn open(world: &mut World) -> ConnId {
    let id = world.worker.open(None, Some(LOCAL), remote()).unwrap();
    world.probe.0.borrow_mut().conn = Some(id);
    id
}

/// What a connection says of itself.
fn ask<T>(world: &mut World, id: ConnId, ask: impl FnOnce(&mut Conn<'_>) -> T) -> T {
    let mut answer = None;
    assert!(world.worker.call(id, |conn| answer = Some(ask(conn))));
    answer.unwrap()
}

fn unsent(world: &mut World, id: ConnId) -> Option<Unsent> {
    ask(world, id, |conn| conn.unsent())
}

fn soft_error(world: &mut World, id: ConnId) -> Option<Unreachable> {
    ask(world, id, |conn| conn.soft_error())
}

/// Answers the SYN that the stack has sent last.
fn answer(world: &mut World, syn: Seq) {
    let mut answer = seg(Flags::SYN | Flags::ACK, Seq(300), syn + 1);
    answer.ports = (SERVER, LOCAL);
    world.inject(&[answer]);
}

#[test]
fn a_syn_that_finds_no_frame_says_so_until_it_has_left() {
    let mut world = World::new();
    world.peer.set_faults_of_other(Faults { shortages: ALWAYS, ..Faults::default() });
    let id = open(&mut world);
    assert_eq!(unsent(&mut world, id), None, "its turn has not come");
    world.run();
    assert_eq!(unsent(&mut world, id), Some(Unsent::NoFrame));
    world.pass_ms(1_500);
    assert_eq!(unsent(&mut world, id), Some(Unsent::NoFrame));
    world.peer.set_faults_of_other(Faults::default());
    world.run();
    assert_eq!((unsent(&mut world, id), soft_error(&mut world, id)), (None, None));
    world.one().flags(Flags::SYN);
}

#[test]
fn a_syn_that_the_device_does_not_take_says_so_until_it_has_left() {
    let mut setup = Setup::in_bursts();
    setup.limits.connections = 200;
    let mut world = World::with(setup);
    let early = open(&mut world);
    world.run();
    assert_eq!((world.sent().len(), unsent(&mut world, early)), (1, None));
    world.peer.set_faults_of_other(Faults { stalls: ALWAYS, ..Faults::default() });
    // More than lie in the port's burst.
    let late: Vec<_> = (0..60u16)
        .chain(1_000..1_040)
        .map(|n| world.worker.open(None, Some(n + 1), remote()).unwrap())
        .collect();
    world.run();
    for id in &late {
        assert_eq!(unsent(&mut world, *id), Some(Unsent::TxFull), "{id:?}");
    }
    // The first SYN of this one has left; that its repetition has not does not matter.
    world.pass_ms(1_500);
    assert_eq!(unsent(&mut world, early), None);
    world.peer.set_faults_of_other(Faults::default());
    world.run();
    for id in &late {
        assert_eq!(unsent(&mut world, *id), None, "{id:?}");
    }
    let mut ports: Vec<_> = world.sent().iter().map(|sent| sent.ports.0).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 101);
}

#[test]
fn an_open_connection_and_one_that_came_to_us_have_no_syn_to_send() {
    let mut world = World::new();
    world.establish(7);
    let passive = world.probe.0.borrow().conn.unwrap();
    let id = open(&mut world);
    world.run();
    let syn = world.one();
    answer(&mut world, syn.segment.seq);
    world.one().flags(Flags::ACK);
    world.peer.set_faults_of_other(Faults { stalls: ALWAYS, ..Faults::default() });
    world.call(|conn| assert_eq!(conn.send(b"x"), 1));
    world.pass_ms(1_500);
    assert_eq!((unsent(&mut world, passive), unsent(&mut world, id)), (None, None));
}

/// A world that knows no neighbour.
fn stranger() -> World {
    let mut world = World::with(Setup { fixed: false, ..Setup::default() });
    world.pass_ms(3_000);
    world.drain_frames();
    world
}

#[test]
fn a_neighbour_that_is_not_found_is_no_host_that_a_router_misses() {
    //= ARP-4
    //= ICMPR-5
    let mut world = stranger();
    let id = open(&mut world);
    world.run();
    assert_eq!((soft_error(&mut world, id), unsent(&mut world, id)), (Some(Neighbour), None));
    assert_eq!(world.told(), []);
    world.pass_ms(3_500);
    assert_eq!(world.told(), [Told::Trouble(Soft::Unreachable(Neighbour))]);
    world.pass_ms(300_000);
    assert_eq!(world.told(), [Told::Closed(CloseReason::Unreachable(Neighbour))]);
    world.drain_frames();
    world.assert_quiet();
}

#[test]
fn each_of_many_that_wait_for_a_neighbour_knows_it_at_once_and_forgets_it_when_it_is_open() {
    let mut world = stranger();
    let ids: Vec<_> = (0..40u16).map(|n| world.worker.open(None, Some(n + 1), remote()).unwrap()).collect();
    let last = open(&mut world);
    world.run();
    for id in ids.iter().chain([&last]) {
        assert_eq!(soft_error(&mut world, *id), Some(Neighbour), "{id:?}");
    }
    world.send_frame(&crate::inet::says(PEERS, PEER_MAC));
    world.run();
    let syns = world.sent();
    assert_eq!(syns.last().map(|syn| syn.ports.0), Some(LOCAL), "the latest are sent");
    let syn = syns.last().unwrap().segment.seq;
    answer(&mut world, syn);
    assert_eq!(ask(&mut world, last, |conn| (conn.state(), conn.soft_error())), (State::Established, None));
    // The others know better when their SYNs have left.
    world.pass_ms(1_100);
    assert_eq!(soft_error(&mut world, ids[0]), None);
}
