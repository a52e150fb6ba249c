//! The index of connections, from a thousand to ten million of them: alone, in bursts as the loop asks it, and beside two
//! others: a general hash table one key at a time, and the least that any table can cost, one line for each key at a
//! place that needs no search.
//!
//! Every look-up ends in the line of the connection, where its key stands: a table that only says where that is has not
//! found anything yet. All tables are on the same pages.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::LazyLock;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use dpdk_tcp::base::hash::BlockHash;
use dpdk_tcp::base::ids::LocalIdx;
use dpdk_tcp::base::pages;
use dpdk_tcp::base::prefetch::prefetch;
use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::flow::key::Key;
use dpdk_tcp::flow::table::{Hint, Place, Table};

use crate::blocks::Blocks;

const BURST: usize = 32;
static SECRET: LazyLock<BlockHash> = LazyLock::new(|| BlockHash::new(&[7; 16]));
const SIZES: [u32; 4] = [1_000, 100_000, 1_000_000, 10_000_000];

pub fn all(c: &mut Criterion) {
    let mut group = c.benchmark_group("index");
    group.throughput(Throughput::Elements(1));
    group.bench_function("hash of a tuple", |b| b.iter(|| SECRET.hash(black_box(1))));
    for count in SIZES {
        ours(&mut group, count);
        general(&mut group, count);
        least(&mut group, count);
    }
    group.finish();
}

/// The line of a connection, of which only the key counts here.
#[repr(align(64))]
struct Line {
    key: Key,
}

fn key(n: u32) -> Key {
    Key {
        remote: 0xc612_0000 + n / 60_000,
        remote_port: 1 + (n % 60_000) as u16,
        local_port: 80,
        local: LocalIdx(0),
    }
}

fn lines(count: u32) -> Vec<Line> {
    pages::vec(count as usize, |n| Line { key: key(n as u32) })
}

/// Keys of a burst, chosen at random among so many.
fn draw(rng: &mut Rng, count: u32) -> [Key; BURST] {
    std::array::from_fn(|_| key(rng.below(count)))
}

fn holds(lines: &[Line], place: Place, key: &Key) -> bool {
    matches!(place, Place::Connection(n) if lines.get(n as usize).is_some_and(|line| line.key == *key))
}

fn ours(group: &mut BenchmarkGroup<'_, WallTime>, count: u32) {
    let lines = lines(count);
    let mut table = Table::new(count, count);
    (0..count).for_each(|n| table.insert(key(n).hash(&SECRET), Place::Connection(n)).unwrap());
    let mut rng = Rng::new(1);
    group.throughput(Throughput::Elements(1));
    group.bench_with_input(BenchmarkId::new("hit", count), &count, |b, count| {
        b.iter(|| {
            let key = key(rng.below(*count));
            table.find(key.hash(&SECRET), |place| holds(&lines, place, &key)).unwrap()
        });
    });
    group.bench_with_input(BenchmarkId::new("miss", count), &count, |b, count| {
        b.iter(|| {
            let key = key(count + rng.below(*count));
            table.find(key.hash(&SECRET), |place| holds(&lines, place, &key))
        });
    });
    let mut blocks = Blocks::new(count);
    let insert = |table: &mut Table, n| table.insert(key(n).hash(&SECRET), Place::Connection(n)).unwrap();
    for (timed, name) in ["remove", "insert"].into_iter().enumerate() {
        group.bench_with_input(BenchmarkId::new(name, count), &count, |b, _| {
            let remove = |table: &mut Table, n| {
                assert!(table.remove(key(n).hash(&SECRET), Place::Connection(n)));
            };
            b.iter_custom(|times| blocks.in_turn(&mut table, times, remove, insert)[timed]);
        });
    }
    blocks.back(&mut table, insert);
    group.throughput(Throughput::Elements(BURST as u64));
    group.bench_with_input(BenchmarkId::new("hits in bursts of 32", count), &count, |b, count| {
        b.iter(|| {
            let keys = draw(&mut rng, *count);
            let hashes = keys.map(|key| {
                let hash = key.hash(&SECRET);
                table.prefetch(hash);
                hash
            });
            for hash in hashes {
                if let Hint::At(Place::Connection(n)) = table.hint(hash) {
                    prefetch(&lines[n as usize]);
                }
            }
            let mut found = 0;
            for (key, hash) in keys.iter().zip(hashes) {
                found += usize::from(table.find(hash, |place| holds(&lines, place, key)).is_some());
            }
            assert_eq!(found, BURST);
        });
    });
}

/// std's table, hashbrown, with a fast keyed hash; its entries hold the keys themselves.
fn general(group: &mut BenchmarkGroup<'_, WallTime>, count: u32) {
    let lines = lines(count);
    let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
    let mut table = HashMap::with_capacity_and_hasher(count as usize, hasher);
    table.extend((0..count).map(|n| (packed(&key(n)), n)));
    let mut rng = Rng::new(1);
    group.throughput(Throughput::Elements(1));
    group.bench_with_input(BenchmarkId::new("hit, hashbrown and ahash", count), &count, |b, count| {
        b.iter(|| {
            let key = key(rng.below(*count));
            let n = table[&packed(&key)];
            assert!(holds(&lines, Place::Connection(n), &key));
        });
    });
}

fn packed(key: &Key) -> u128 {
    let addresses = u128::from(key.remote) << 16 | u128::from(key.local.0);
    addresses << 32 | u128::from(key.remote_port) << 16 | u128::from(key.local_port)
}

/// Buckets of one line at places that are known without a search, in bursts: what is left is the way to memory.
fn least(group: &mut BenchmarkGroup<'_, WallTime>, count: u32) {
    let buckets = pages::table(count.next_multiple_of(8) as usize / 8, |n| Bucket([n as u64; 8]));
    let mut rng = Rng::new(1);
    group.throughput(Throughput::Elements(BURST as u64));
    group.bench_with_input(BenchmarkId::new("bare lines in bursts of 32", count), &count, |b, count| {
        b.iter(|| {
            let places: [u32; BURST] = std::array::from_fn(|_| rng.below(*count) / 8);
            places.iter().for_each(|place| prefetch(&buckets[*place as usize]));
            places.iter().map(|place| buckets[*place as usize].0[3]).fold(0, u64::wrapping_add)
        });
    });
}

#[repr(align(64))]
struct Bucket([u64; 8]);
