//! Checksum, header parser, index, wheel.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use dpdk_tcp::base::hash::siphash13;
use dpdk_tcp::base::ids::LocalIdx;
use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::base::time::Tick;
use dpdk_tcp::engine::wheel::Wheel;
use dpdk_tcp::flow::key::Key;
use dpdk_tcp::flow::table::{Place, Table};
use dpdk_tcp::wire::checksum::checksum;
use dpdk_tcp::wire::tcp;

pub fn all(c: &mut Criterion) {
    sums(c);
    parser(c);
    index(c);
    wheel(c);
}

fn sums(c: &mut Criterion) {
    let mut group = c.benchmark_group("checksum");
    for len in [20usize, 64, 1460] {
        let bytes: Vec<u8> = (0..len).map(|i| i as u8).collect();
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_with_input(BenchmarkId::from_parameter(len), &bytes, |b, bytes| {
            b.iter(|| checksum(black_box(bytes)));
        });
    }
    group.finish();
}

fn parser(c: &mut Criterion) {
    let mut syn = vec![0u8; 40];
    syn[..4].copy_from_slice(&[0x0d, 0x09, 0x1e, 0x6c]);
    (syn[12], syn[13]) = (0xa0, 0x02);
    syn[20..].copy_from_slice(&[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 3, 0xe8, 0, 0, 0, 0, 1, 3, 3, 7]);
    let mut ack = vec![0u8; 20];
    ack[..4].copy_from_slice(&[0x0d, 0x09, 0x1e, 0x6c]);
    (ack[12], ack[13]) = (0x50, 0x10);
    let mut group = c.benchmark_group("parse");
    group.bench_function("syn with options", |b| b.iter(|| tcp::parse(black_box(&syn))));
    group.bench_function("ack", |b| b.iter(|| tcp::parse(black_box(&ack))));
    group.finish();
}

fn key(n: u32) -> Key {
    Key {
        remote: 0xc612_0000 + n / 60_000,
        remote_port: (n % 60_000) as u16,
        local_port: 80,
        local: LocalIdx(0),
    }
}

/// Finding random keys among a thousand to a million, the hash included; one at a time.
fn index(c: &mut Criterion) {
    let secret = [7; 16];
    let mut group = c.benchmark_group("index");
    group.bench_function("siphash-1-3 of a tuple", |b| b.iter(|| siphash13(&secret, black_box(&[1u8; 10]))));
    for count in [1_000u32, 100_000, 1_000_000] {
        let mut table = Table::new(count);
        for n in 0..count {
            table.insert(key(n).hash(&secret), Place::Connection(n)).unwrap();
        }
        let mut rng = Rng::new(1);
        group.bench_with_input(BenchmarkId::new("hit", count), &count, |b, count| {
            b.iter(|| {
                let n = rng.below(*count);
                table.find(key(n).hash(&secret), |place| place == Place::Connection(n))
            });
        });
        group.bench_with_input(BenchmarkId::new("miss", count), &count, |b, count| {
            b.iter(|| table.find(key(count + rng.below(*count)).hash(&secret), |_| false));
        });
        group.bench_with_input(BenchmarkId::new("remove and insert", count), &count, |b, count| {
            b.iter(|| {
                let n = rng.below(*count);
                let hash = key(n).hash(&secret);
                table.remove(hash, Place::Connection(n));
                table.insert(hash, Place::Connection(n))
            });
        });
    }
    group.finish();
}

fn wheel(c: &mut Criterion) {
    let mut group = c.benchmark_group("wheel");
    for count in [1_000u32, 1_000_000] {
        let mut wheel = Wheel::new(count, Tick(0));
        let (mut now, mut rng) = (Tick(0), Rng::new(1));
        (0..count).for_each(|n| wheel.arm(n, Tick(1 + rng.below(60_000))));
        group.bench_with_input(BenchmarkId::new("expire and arm again", count), &count, |b, _| {
            b.iter(|| {
                loop {
                    if let Some(index) = wheel.pop_due(now, &mut { usize::MAX }) {
                        wheel.arm(index, now.plus(1 + rng.below(60_000)));
                        break;
                    }
                    now = now.plus(1);
                }
            });
        });
    }
    group.finish();
}
