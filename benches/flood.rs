//! What a SYN of a flood costs the server, in bursts of 32: answered by a cookie, or dropped because the queue of
//! half-open entries is full and cookies are off. Only the server's pass is timed.

use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use dpdk_tcp::app::Service;
use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::link::QueuePair;
use dpdk_tcp::link::memory;
use dpdk_tcp::load::flood::{Flood, Plan, Sources, Target};
use dpdk_tcp::measure::pair::{self, PORT, SERVER, Spec};
use dpdk_tcp::stats::counters::{Counter, Counters};
use dpdk_tcp::tcp::arrives::listen::CookieMode;
use dpdk_tcp::wire::ethernet::Mac;

use crate::rig::spec;

const BURST: u64 = 32;
const TURN_US: u64 = 10;

/// A burst of SYNs in each pass, for ever, from so many sources that none comes again.
pub fn plan(target: Target) -> Plan {
    Plan {
        target,
        sources: Sources { first: [10, 0, 0, 1], addresses: 1_000_000, ports: 1_024..=65_535 },
        beside: None,
        gateway: None,
        count: u64::MAX,
        rate: None,
        burst: BURST as usize,
        seed: 1,
    }
}

pub fn all(c: &mut Criterion) {
    let mut group = c.benchmark_group("flood");
    group.throughput(Throughput::Elements(BURST));
    for (name, cookies) in
        [("server, cookies on", CookieMode::Always), ("server, cookies off", CookieMode::Never)]
    {
        let (near, far) = memory::pair(memory::Plan::default());
        let macs = [Mac(near.caps().mac), Mac(far.caps().mac)];
        let target = Target { address: SERVER.octets(), port: PORT, mac: macs[1] };
        let mut flood = Flood::new(near, plan(target)).unwrap();
        let spec = Spec { cookies, ..spec(Service::Discard) };
        let (counters, mut now) = (Arc::new(Counters::default()), Instant(1_000_000));
        let mut server = pair::server(far, macs[0], &spec, &counters, now, Secrets::from_seed(2)).unwrap();
        group.bench_function(name, |b| {
            b.iter_custom(|count| {
                let mut spent = Duration::ZERO;
                for _ in 0..count {
                    now.0 += TURN_US;
                    flood.pass(now.0 * 1_000);
                    let begun = std::time::Instant::now();
                    server.worker().pass(now);
                    spent += begun.elapsed();
                }
                spent
            });
        });
        let answered = counters.get(Counter::CookiesSent);
        assert!((answered > 0) == (cookies == CookieMode::Always) || flood.tally().syns == 0);
    }
    group.finish();
}
