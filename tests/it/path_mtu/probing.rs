//! Probes of the path that are lost, alone and among others.

use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::{Options, SackBlocks};

use super::sizes;
use crate::expect::Sent;
use crate::icmp_errors::Quote;
use crate::reach::{Peer, Seg, Told, World};

const ACK: Flags = Flags::ACK;
const ROUND_TRIP_MS: u64 = 20;

/// A connection over a path that was narrow ten minutes ago, and that now sends: the probe and what follows.
struct Probing {
    world: World,
    peer: Peer,
    sent: Vec<Sent>,
}

impl Probing {
    fn new(sack_permitted: bool) -> Probing {
        let mut world = World::new();
        let options = Options { mss: Some(1_460), sack_permitted, ..Options::default() };
        let (mut peer, _) = world.establish_with(options, 0xffff);
        for _ in 0..20 {
            // So that the round trip is known to take so long.
            world.call(|conn| assert_eq!(conn.send(&[7; 100]), 100));
            world.pass_ms(ROUND_TRIP_MS);
            peer.ack += 100;
            world.inject(&[peer.seg(ACK)]);
        }
        world.sent();
        world.call(|conn| assert_eq!(conn.send(&[7; 1_460]), 1_460));
        let first = world.one();
        world.too_big(1_280, &Quote::of(&first));
        peer.ack += 1_460;
        world.inject(&[peer.seg(ACK)]);
        world.watch_ms(601_000);
        world.call(|conn| assert_eq!(conn.send(&[7; 30_000]), 30_000));
        let sent = world.sent();
        assert_eq!(sizes(&sent)[..2], [1_460, 1_240]);
        assert!(sent.len() >= 8);
        world.pass_ms(ROUND_TRIP_MS);
        Probing { world, peer, sent }
    }

    /// One acknowledgment for each segment in `range` behind a hole, as SACK blocks or without.
    fn arrive(&mut self, range: std::ops::RangeInclusive<usize>, sack: bool) {
        let from = self.sent[*range.start()].segment.seq;
        for at in range {
            let mut segment: Seg = self.peer.seg(ACK);
            if sack {
                let mut blocks = SackBlocks::default();
                blocks.push(from, self.sent[at].segment.end());
                segment.options.sack = blocks;
            }
            self.world.inject(&[segment]);
            self.world.pass_ms(1);
        }
    }

    /// Octets flow for so many round trips, and everything arrives; the segments' sizes.
    fn flow(&mut self, round_trips: usize) -> Vec<usize> {
        let mut seen = Vec::new();
        for _ in 0..round_trips {
            self.world.call(|conn| {
                let _ = conn.send(&[7; 10_000]);
            });
            let sent = self.world.sent();
            seen.extend(sizes(&sent));
            self.world.pass_ms(ROUND_TRIP_MS);
            let ends = sent.iter().map(|sent| sent.segment.end());
            self.peer.ack = ends.fold(self.peer.ack, |last, end| last.later(end));
            self.world.inject(&[self.peer.seg(ACK)]);
        }
        seen
    }

    /// The peer has everything up to and with a segment.
    fn acknowledge(&mut self, at: usize) {
        self.peer.ack = self.sent[at].segment.end();
        self.world.inject(&[self.peer.seg(ACK)]);
    }
}

#[test]
fn a_probe_that_alone_is_lost_is_no_sign_of_congestion() {
    //= PLPMTUD-4
    for sack in [true, false] {
        let mut probing = Probing::new(sack);
        probing.arrive(1..=3, sack);
        let probe = probing.sent[0].clone();
        let again: Vec<_> = probing
            .world
            .sent()
            .into_iter()
            .filter(|sent| sent.segment.seq.before(probe.segment.end()))
            .collect();
        assert_eq!(sizes(&again), [1_240, 220], "sack {sack}: in pieces that get through");
        again[0].seq(probe.segment.seq);
        probing.acknowledge(probing.sent.len() - 1);
        let flight: usize = sizes(&probing.world.sent()).iter().sum();
        assert!(flight >= sizes(&probing.sent).iter().sum(), "sack {sack}: {flight}");
        let counts = [Counter::FastRecoveries, Counter::RtoExpired, Counter::PathMtuProbes];
        assert_eq!(counts.map(|counter| probing.world.count(counter)), [0, 0, 1], "sack {sack}");
    }
}

#[test]
fn a_size_that_failed_is_not_tried_again() {
    //= PLPMTUD-4
    let mut probing = Probing::new(true);
    probing.arrive(1..=3, true);
    probing.world.sent();
    probing.acknowledge(probing.sent.len() - 1);
    let sizes = probing.flow(60);
    // Half way between 1280 and 1499.
    assert_eq!(sizes.into_iter().max(), Some(1_350));
}

#[test]
fn a_probe_lost_among_others_says_nothing_of_its_size() {
    //= PLPMTUD-5
    let mut probing = Probing::new(true);
    // The second segment is lost too.
    probing.arrive(2..=5, true);
    assert_eq!(probing.world.count(Counter::FastRecoveries), 1);
    probing.world.sent();
    probing.acknowledge(probing.sent.len() - 1);
    let probes = probing.flow(60).into_iter().find(|size| *size > 1_240);
    assert_eq!(probes, Some(1_460), "the same size again");
}

#[test]
fn a_probe_that_times_out_waits_five_times_as_long() {
    //= PLPMTUD-4
    let mut probing = Probing::new(true);
    let again = probing.world.watch_ms(1_500);
    assert!(again.iter().all(|(_, sent)| sent.text.len() <= 1_240));
    assert!(probing.world.count(Counter::RtoExpired) > 0, "nothing arrived: that is congestion");
    probing.acknowledge(probing.sent.len() - 1);
    assert!(probing.world.told().contains(&Told::Writable));
    assert!(sizes(&probing.world.sent()).into_iter().all(|size| size <= 1_240));
}
