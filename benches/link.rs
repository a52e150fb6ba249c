//! The memory link's hop, the floor of a conversation over it, and what a flood's SYN costs.

use criterion::{BenchmarkId, Criterion, Throughput};
use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::link::QueuePair;
use dpdk_tcp::link::memory::{Plan, pair};
use dpdk_tcp::load::flood::{Flood, Target};
use dpdk_tcp::load::floor::{self, Client, Exchange, Server};
use dpdk_tcp::wire::ethernet::Mac;

const BURST: u64 = 32;

pub fn all(c: &mut Criterion) {
    hop(c);
    conversation(c);
    syn(c);
}

/// A burst to the other end and back, between two ends on one core.
fn hop(c: &mut Criterion) {
    let mut group = c.benchmark_group("memory link");
    group.throughput(Throughput::Elements(2 * BURST));
    let (mut a, mut b) = pair(Plan::default());
    let mut frames: Burst<_> = (0..BURST).filter_map(|_| a.alloc()).collect();
    assert_eq!(frames.len() as u64, BURST);
    group.bench_function(BenchmarkId::new("there and back", BURST), |bench| {
        bench.iter(|| {
            a.tx_burst(&mut frames);
            b.rx_burst(&mut frames, 64);
            b.tx_burst(&mut frames);
            a.rx_burst(&mut frames, 64);
        });
    });
    group.finish();
}

/// Six packets, by both sides together.
fn conversation(c: &mut Criterion) {
    let exchange = Exchange { client: &[74, 151, 66], server: &[74, 166, 66] };
    let plan = floor::Plan { exchange, in_flight: 256, conversations: u64::MAX, burst: BURST as usize };
    let (a, b) = pair(Plan::default());
    let macs = [a.caps(), b.caps()].map(|caps| Mac(caps.mac));
    let (mut client, mut server) =
        (Client::new(a, macs[1], plan).unwrap(), Server::new(b, macs[0], plan).unwrap());
    let mut group = c.benchmark_group("floor");
    group.throughput(Throughput::Elements(1));
    group.bench_function("conversation of six packets", |bench| {
        bench.iter_custom(|count| {
            let until = client.conversations_done() + count;
            let start = std::time::Instant::now();
            while client.conversations_done() < until {
                client.pass();
                server.pass();
            }
            start.elapsed()
        });
    });
    group.finish();
}

/// A burst of SYNs that is built, sent, received and given back; the link is in the number.
fn syn(c: &mut Criterion) {
    let (a, mut b) = pair(Plan::default());
    let target = Target { address: [198, 18, 0, 1], port: 80, mac: Mac(b.caps().mac) };
    let mut flood = Flood::new(a, crate::flood::plan(target)).unwrap();
    let mut group = c.benchmark_group("flood");
    group.throughput(Throughput::Elements(BURST));
    group.bench_function(BenchmarkId::new("syns", BURST), |bench| {
        bench.iter(|| {
            let moved = flood.pass(0);
            let mut frames = Burst::new();
            b.rx_burst(&mut frames, 64);
            // They come back as the frames of the next burst.
            b.tx_burst(&mut frames);
            moved
        });
    });
    group.finish();
}
