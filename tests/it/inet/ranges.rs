//! Ranges of addresses that are ours without being announced.

use std::net::{IpAddr, SocketAddr};

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::engine::active::OpenError;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::wire::arp::Operation;
use dpdk_tcp::wire::ethernet::Mac;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use super::{Packet, arp_frame, ask, asks, seen};
use crate::active::{SERVER, remote};
use crate::reach::{OURS, PEER_MAC, PEERS, Setup, World, seg};

/// Far from the first and from the last.
const MINE: [u8; 4] = [198, 19, 77, 5];
const LAST: [u8; 4] = [198, 19, 234, 95];
const BEHIND: [u8; 4] = [198, 19, 234, 96];
const OTHER_MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);

fn setup() -> Setup {
    Setup { ranges: vec![([198, 19, 0, 0], 60_000), ([198, 18, 64, 0], 5_000)], ..Setup::default() }
}

#[test]
fn only_addresses_that_were_given_one_by_one_are_announced_or_probed_for() {
    //= ARP-7
    for (probe_first, frames) in [(false, 2), (true, 5)] {
        let mut world = World::cold(Setup { probe_first, ..setup() });
        let mut said = Vec::new();
        for _ in 0..12_000 {
            world.worker.pass(world.clock.now());
            world.clock.advance_to(dpdk_tcp::base::time::Instant(world.clock.now().0 + 1_000));
            said.extend(seen(&mut world));
        }
        assert!(world.worker.is_ready());
        assert!(said.iter().all(|seen| seen.arp().1.target == OURS), "{said:?}");
        assert_eq!(said.len(), frames);
    }
}

#[test]
fn an_address_of_a_range_answers_arp_and_pings() {
    //= ARP-2
    //= ICMP4-1
    let mut world = World::with(setup());
    for own in [MINE, LAST] {
        let (to, reply) = ask(&mut world, &asks(own))[0].arp();
        assert_eq!(
            (to, reply.operation, reply.sender, reply.target),
            (PEER_MAC, Operation::Reply, own, PEERS)
        );
        let replies = ask(&mut world, &Packet::echo(b"x").to(own).frame());
        let (to, reply) = replies[0].ip();
        assert_eq!((to, reply.source, reply.payload[0]), (PEER_MAC, own, 0));
    }
    assert!(ask(&mut world, &asks(BEHIND)).is_empty());
    assert!(ask(&mut world, &Packet::echo(b"x").to(BEHIND).frame()).is_empty());
    assert_eq!((world.dropped(DropReason::ArpNotOurs), world.dropped(DropReason::IpNotOurs)), (1, 1));
}

#[test]
fn who_claims_an_address_of_a_range_is_counted_and_not_fought() {
    let mut world = World::with(setup());
    assert!(ask(&mut world, &arp_frame(Operation::Request, OTHER_MAC, MINE, MINE)).is_empty());
    assert_eq!(world.dropped(DropReason::ArpConflict), 1);
    assert_eq!(ask(&mut world, &asks(MINE)).len(), 1, "the address stays ours");
}

#[test]
fn listeners_take_connections_on_every_address_of_a_range() {
    let mut world = World::with(setup());
    let mut syn = seg(Flags::SYN, Seq(9), Seq(0));
    for (destination, answers) in [(MINE, 1), (LAST, 1), (BEHIND, 0)] {
        syn.destination = destination;
        world.inject(&[syn.clone()]);
        let sent = world.sent();
        assert_eq!(sent.len(), answers, "{destination:?}");
        assert!(sent.iter().all(|sent| sent.source == destination));
    }
    assert_eq!((world.count(Counter::Syn), world.dropped(DropReason::IpNotOurs)), (2, 1));
}

#[test]
fn a_connection_leaves_from_the_address_that_was_named_and_otherwise_from_a_single_one() {
    //= MUST-43
    //= MUST-44
    let mut world = World::with(setup());
    for (named, source) in [(Some(MINE), MINE), (None, OURS), (Some(OURS), OURS)] {
        world.worker.open(named.map(|v4| IpAddr::V4(v4.into())), Some(7), remote()).unwrap();
        world.run();
        let syn = world.one();
        assert_eq!((syn.source, syn.ports), (source, (7, SERVER)));
        let mut reset = seg(Flags::RST | Flags::ACK, Seq(0), syn.segment.seq + 1);
        (reset.ports, reset.destination) = ((SERVER, 7), source);
        world.inject(&[reset]);
        world.silent();
    }
    let nobodys = Some(IpAddr::V4(BEHIND.into()));
    let refused = world.worker.open(nobodys, None, remote());
    assert_eq!(refused, Err(OpenError::NoLocalAddress(remote())));
    let own = SocketAddr::new(IpAddr::V4(MINE.into()), 80);
    assert_eq!(world.worker.open(None, None, own), Err(OpenError::InvalidRemote(own)));
    assert_eq!(world.count(Counter::Refused), 3);
    world.assert_quiet();
}
