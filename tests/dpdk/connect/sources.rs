//! Where connections come from and where they go.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::peer::{self, Seen, Server};
use super::{Client, OWN, PORT, TARGET, against, connect};
use crate::lab::{self, Program, TAP};

/// How many connections came from each address.
fn by_source(seen: &[Seen]) -> BTreeMap<IpAddr, u64> {
    let mut sources = BTreeMap::new();
    seen.iter().for_each(|one| *sources.entry(one.from.ip()).or_default() += 1);
    sources
}

/// Addresses that the kernel has resolved, on the tap.
fn resolved() -> usize {
    let text = lab::run(&format!("ip neigh show dev {TAP}"));
    text.lines().filter(|line| line.contains("lladdr")).count()
}

#[test]
fn without_sources_connections_come_from_the_port_s_own_address() {
    lab::in_namespace(
        "connect::sources::without_sources_connections_come_from_the_port_s_own_address",
        || {
            super::tap();
            let (left, seen) = against(peer::echo, &["--talk", "echo", "--connections", "30"]);
            left.assert_closed(30, &[("fin", 30)]);
            assert_eq!(by_source(&seen), BTreeMap::from([(IpAddr::V4(OWN), 30)]));
        },
    );
}

#[test]
fn every_address_of_a_prefix_connects_and_is_resolved_by_the_peer() {
    lab::in_namespace(
        "connect::sources::every_address_of_a_prefix_connects_and_is_resolved_by_the_peer",
        || {
            super::tap();
            let ours = ["--source", "198.18.0.64/27:2000-2009", "--talk", "echo", "--connections", "300"];
            let (left, seen) = against(peer::echo, &ours);
            left.assert_closed(300, &[("fin", 300)]);
            let sources = by_source(&seen);
            assert_eq!(sources.len(), 30, "{sources:?}");
            assert!(sources.values().all(|count| *count == 10), "{sources:?}");
            assert!(seen.iter().all(|one| (2_000..=2_009).contains(&one.from.port())));
            assert!(left.ended.out.contains("30 sources × 10 ports × 1 target"), "{}", left.ended.out);
        },
    );
}

#[test]
fn sources_at_a_time_are_as_many_neighbours_of_the_peer() {
    lab::in_namespace("connect::sources::sources_at_a_time_are_as_many_neighbours_of_the_peer", || {
        super::tap();
        let server = Server::start(&[PORT], peer::echo);
        let shape = ["--concurrency", "30", "--duration", "1500ms", "--hold"];
        let ours = [&[TARGET, "--talk", "echo", "--source", "198.18.0.64/27"], &shape[..]].concat();
        let client = Client::start(&ours);
        lab::wait_until("30 connections", || server.level() == 30);
        // The port's own address, whose request the kernel has answered, is one more.
        let resolved = resolved();
        client.end().assert_closed(30, &[("fin", 30)]);
        assert!((30..=31).contains(&resolved), "{resolved}");
        assert_eq!(by_source(&server.stop(0)).len(), 30);
    });
}

#[test]
fn sources_outside_of_the_subnet_answer_arp_too() {
    lab::in_namespace("connect::sources::sources_outside_of_the_subnet_answer_arp_too", || {
        super::tap();
        lab::run(&format!("ip route add 10.7.0.0/24 dev {TAP}"));
        let ours = ["--source", "10.7.0.0/29", "--talk", "echo", "--connections", "60"];
        let (left, seen) = against(peer::echo, &ours);
        left.assert_closed(60, &[("fin", 60)]);
        let sources = by_source(&seen);
        let inside = |ip: &IpAddr| matches!(ip, IpAddr::V4(ip) if ip.octets()[..3] == [10, 7, 0]);
        assert!(sources.len() == 6 && sources.keys().all(inside), "{sources:?}");
    });
}

#[test]
fn targets_and_their_ports_are_taken_in_turn() {
    lab::in_namespace("connect::sources::targets_and_their_ports_are_taken_in_turn", || {
        super::tap();
        lab::run(&format!("ip address add 198.18.0.5/24 dev {TAP}"));
        lab::run(&format!("ip address add 198.18.0.6/24 dev {TAP}"));
        let server = Server::start(&[7_000, 7_001, 7_002], peer::echo);
        let targets = ["198.18.0.2:7000-7002", "198.18.0.4/30:7001"];
        let left = connect(&[&targets[..], &["--talk", "echo", "--connections", "100"]].concat());
        left.assert_closed(100, &[("fin", 100)]);
        let mut counts: BTreeMap<(IpAddr, u16), u64> = BTreeMap::new();
        for one in server.stop(0) {
            *counts.entry((one.to.ip(), one.to.port())).or_default() += 1;
        }
        let at = |last, port| ((IpAddr::V4(Ipv4Addr::new(198, 18, 0, last)), port), 20);
        assert_eq!(
            counts,
            BTreeMap::from([at(2, 7_000), at(2, 7_001), at(2, 7_002), at(5, 7_001), at(6, 7_001)])
        );
    });
}

#[test]
fn a_target_behind_a_router_is_reached_through_it() {
    lab::in_namespace("connect::sources::a_target_behind_a_router_is_reached_through_it", || {
        super::tap();
        lab::run("ip address add 203.0.113.9/32 dev lo");
        let server = Server::start(&[PORT], peer::echo);
        let left = connect(&[
            "203.0.113.9:7000",
            "--gateway",
            "198.18.0.2",
            "--talk",
            "echo",
            "--connections",
            "30",
        ]);
        left.assert_closed(30, &[("fin", 30)]);
        assert_eq!(server.stop(0).len(), 30);
    });
}

#[test]
fn a_plan_for_which_there_are_too_few_pairs_is_refused_with_the_numbers() {
    lab::in_namespace(
        "connect::sources::a_plan_for_which_there_are_too_few_pairs_is_refused_with_the_numbers",
        || {
            let ours = ["connect", TARGET, "--source", "198.18.0.100:2000-2009", "--concurrency", "11"];
            let device = format!("net_tap0,iface={TAP}");
            let ended = Program::start(&["-l", "0", "--vdev", &device], &ours).end();
            assert_eq!((ended.status.code(), ended.out.as_str()), (Some(2), ""), "{}", ended.err);
            for part in ["11 pairs", "10 = 1 source × 10 ports × 1 target", "--source"] {
                assert!(ended.err.contains(part), "{part}: {}", ended.err);
            }
            assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        },
    );
}

#[test]
fn a_pair_in_time_wait_is_used_again_with_timestamps_and_not_without() {
    //= TMW-9
    lab::in_namespace(
        "connect::sources::a_pair_in_time_wait_is_used_again_with_timestamps_and_not_without",
        || {
            super::tap();
            // While a connection thinks, the clock of the timestamps goes on.
            let source = ["--source", "198.18.0.100:2000-2003"];
            let few = [&source[..], &["--talk", "echo", "--think", "3ms", "--connections", "20"]].concat();
            let (left, _) = against(peer::echo, &few);
            left.assert_closed(20, &[("fin", 20)]);
            // Of four pairs each is used once; the rest finds none, and sends nothing.
            let (left, seen) = against(peer::echo, &[&few[..], &["--no-timestamps"]].concat());
            let account = left.account();
            assert_eq!((account.attempted, account.established, seen.len()), (20, 4, 4));
            assert_eq!(account.failed, super::named(&[("no_tuple", 16)]));
        },
    );
}
