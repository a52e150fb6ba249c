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
use dpdk_tcp::measure::pair::{self, Spec};
use dpdk_tcp::measure::side::Engine;
use dpdk_tcp::stats::account::Way;
use dpdk_tcp::stats::counters::{Counter, Counters};
use dpdk_tcp::wire::ethernet::Mac;

use crate::rig::{REQUEST, spec};

/// From one turn of both to the next.
const TURN_US: u64 = 20;

/// What connections are, and how many.
#[derive(Clone, Copy)]
pub struct Shape {
    /// With a request and its reply in each, or only opened and closed.
    pub talks: bool,
    /// At a time.
    pub concurrency: u32,
    /// In all.
    pub connections: Option<u64>,
    /// A second, that tables are made for.
    pub rate_max: f64,
    /// How they go on once they are established.
    pub order: Order,
}

pub struct Both {
    pub client: Engine<MemoryQueue, Client>,
    pub server: Engine<MemoryQueue, Services>,
    counters: [Arc<Counters>; 2],
    talks: bool,
    begun: Instant,
    now: Instant,
}

impl Both {
    /// Of any shape.
    pub fn of(shape: &Shape) -> Both {
        let (near, far) = memory::pair(memory::Plan::default());
        let macs = [Mac(near.caps().mac), Mac(far.caps().mac)];
        let talks = shape.talks;
        let spec = spec(if talks { Service::Reply } else { Service::Discard });
        let spec = Spec { concurrency: shape.concurrency, rate_max: shape.rate_max, ..spec };
        let counters: [Arc<Counters>; 2] = Default::default();
        let (begun, secrets) = (Instant(1_000_000), Secrets::from_seed);
        let client =
            pair::client(near, macs[1], &spec, plan(shape), &counters[0], begun, secrets(1)).unwrap();
        let server = pair::server(far, macs[0], &spec, &counters[1], begun, secrets(2)).unwrap();
        Both { client, server, counters, talks, begun, now: begun }
    }

    /// A pass of the client and one of the server.
    #[inline(always)]
    pub fn turn(&mut self) {
        self.now = Instant(self.now.0 + TURN_US);
        self.client.worker().app_mut().at((self.now.0 - self.begun.0) * 1_000);
        self.client.worker().pass(self.now);
        self.server.worker().pass(self.now);
    }

    /// Connections that ended as planned.
    pub fn closed(&mut self) -> u64 {
        let way = if self.talks { Way::Peer } else { Way::Fin };
        self.client.worker().app().tally().closed[way as usize]
    }

    /// Segments that both sides have sent.
    pub fn segments(&self) -> u64 {
        self.counters.iter().map(|counters| counters.get(Counter::TxSegments)).sum()
    }
}

fn plan(shape: &Shape) -> Plan {
    let talks = shape.talks;
    let stage = Stage { concurrency: Some(shape.concurrency), duration_ns: u64::MAX / 4, ..Stage::default() };
    let talk = Talk { request: Request::Whole(REQUEST), reply: Reply::PeerClose, requests: 1 };
    Plan {
        schedule: Schedule { stages: vec![stage], warm_up_ns: 0, connections: shape.connections },
        share: Share::WHOLE,
        talk: if talks { talk } else { Talk::SILENT },
        closes: Closes::only(if talks { Close::Peer } else { Close::Fin }),
        connect_timeout_ms: 3_000,
        reply_timeout_ms: 10_000,
        think_ms: 0,
        hold_ms: 0,
        drain_ms: 5_000,
        order: shape.order,
        seed: 1,
    }
}
