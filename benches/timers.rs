//! The wheel of timers beside a binary heap, from a thousand timers to ten million: what a connection does to its timer
//! (arm, move, cancel), and what time does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use criterion::{BenchmarkId, Criterion};
use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::base::time::Tick;
use dpdk_tcp::engine::wheel::Wheel;

const SIZES: [u32; 4] = [1_000, 100_000, 1_000_000, 10_000_000];
/// Deadlines lie within a minute, as those of connections do.
const FAR_MS: u32 = 60_000;

pub fn all(c: &mut Criterion) {
    let mut group = c.benchmark_group("timers");
    for count in SIZES {
        let mut rng = Rng::new(1);
        let mut wheel = Wheel::new(count, Tick(0));
        (0..count).for_each(|n| wheel.arm(n, Tick(1 + rng.below(FAR_MS))));
        group.bench_with_input(BenchmarkId::new("wheel, arm again", count), &count, |b, count| {
            b.iter(|| wheel.arm(rng.below(*count), Tick(1 + rng.below(FAR_MS))));
        });
        group.bench_with_input(BenchmarkId::new("wheel, cancel and arm", count), &count, |b, count| {
            b.iter(|| {
                let n = rng.below(*count);
                wheel.cancel(n);
                wheel.arm(n, Tick(1 + rng.below(FAR_MS)));
            });
        });
        let mut now = Tick(0);
        group.bench_with_input(BenchmarkId::new("wheel, expire and arm", count), &count, |b, _| {
            b.iter(|| {
                loop {
                    if let Some(index) = wheel.pop_due(now, &mut { usize::MAX }) {
                        wheel.arm(index, now.plus(1 + rng.below(FAR_MS)));
                        break;
                    }
                    now = now.plus(1);
                }
            });
        });
        let mut heap: BinaryHeap<_> = (0..count).map(|n| Reverse((1 + rng.below(FAR_MS), n))).collect();
        group.bench_with_input(BenchmarkId::new("binary heap, expire and arm", count), &count, |b, _| {
            b.iter(|| {
                // The clock stands where the earliest deadline is.
                if let Some(Reverse((at, index))) = heap.pop() {
                    heap.push(Reverse((at + 1 + rng.below(FAR_MS), index)));
                }
            });
        });
    }
    group.finish();
}
