//! Whole connections between a client and a server of ours, in virtual time.

use std::sync::Arc;

use dpdk_tcp::app::Service;
use dpdk_tcp::app::Services;
use dpdk_tcp::app::client::{Client, Order, Plan};
use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::link::QueuePair;
use dpdk_tcp::link::memory::{self, MemoryQueue};
use dpdk_tcp::load::closing::{Close, Closes};
use dpdk_tcp::load::schedule::{Schedule, Share, Stage};
use dpdk_tcp::load::talk::{Reply, Request, Talk};
use dpdk_tcp::measure::pair;
use dpdk_tcp::measure::side::Engine;
use dpdk_tcp::stats::account::Way;
use dpdk_tcp::stats::counters::{Counter, Counters};
use dpdk_tcp::wire::ethernet::Mac;

use crate::rig::spec;

const CONNECTIONS: u64 = 1_000;
/// At a time.
const CONCURRENCY: u32 = 64;
const REQUEST: &[u8] = &[b'x'; 85];
/// From one turn of both to the next.
const TURN_US: u64 = 20;

pub struct Both {
    client: Engine<MemoryQueue, Client>,
    server: Engine<MemoryQueue, Services>,
    counters: [Arc<Counters>; 2],
    talks: bool,
    begun: Instant,
}

impl Both {
    /// With a request and its reply in each connection, or only opened and closed.
    pub fn new(talks: bool) -> Both {
        let (near, far) = memory::pair(memory::Plan::default());
        let macs = [Mac(near.caps().mac), Mac(far.caps().mac)];
        let spec = spec(if talks { Service::Reply } else { Service::Discard });
        let counters: [Arc<Counters>; 2] = Default::default();
        let (begun, secrets) = (Instant(1_000_000), Secrets::from_seed);
        let client =
            pair::client(near, macs[1], &spec, plan(talks), &counters[0], begun, secrets(1)).unwrap();
        let server = pair::server(far, macs[0], &spec, &counters[1], begun, secrets(2)).unwrap();
        Both { client, server, counters, talks, begun }
    }

    /// What is counted: to the end of the last connection.
    #[inline(never)]
    pub fn run(&mut self) {
        let mut now = self.begun;
        while !self.client.worker().app().is_done() {
            now = Instant(now.0 + TURN_US);
            self.client.worker().app_mut().at((now.0 - self.begun.0) * 1_000);
            self.client.worker().pass(now);
            self.server.worker().pass(now);
        }
    }

    /// All ended as planned, in as few packets as are possible.
    pub fn check(mut self) {
        let tally = *self.client.worker().app().tally();
        let way = if self.talks { Way::Peer } else { Way::Fin };
        assert_eq!(tally.closed[way as usize], CONNECTIONS, "{tally:?}");
        let [client, server] = &self.counters;
        let segments = client.get(Counter::TxSegments) + server.get(Counter::TxSegments);
        assert_eq!(segments, 6 * CONNECTIONS);
    }
}

fn plan(talks: bool) -> Plan {
    let stage = Stage { concurrency: Some(CONCURRENCY), duration_ns: 60_000_000_000, ..Stage::default() };
    let talk = Talk { request: Request::Whole(REQUEST), reply: Reply::PeerClose, requests: 1 };
    Plan {
        schedule: Schedule { stages: vec![stage], warm_up_ns: 0, connections: Some(CONNECTIONS) },
        share: Share::WHOLE,
        talk: if talks { talk } else { Talk::SILENT },
        closes: Closes::only(if talks { Close::Peer } else { Close::Fin }),
        connect_timeout_ms: 3_000,
        reply_timeout_ms: 10_000,
        think_ms: 0,
        hold_ms: 0,
        drain_ms: 5_000,
        order: Order::Own,
        seed: 1,
    }
}
