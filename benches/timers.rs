//! The wheel of timers beside a binary heap and a wheel as tokio's, from a thousand timers to ten million: what a
//! connection does to its timer (arm, arm again, cancel), and what time does.
//!
//! Ours and the heap leave an entry that moves later where it is, and look at it again when it comes up; tokio's moves
//! it at once. What is armed again here moves earlier as often as later.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion};
use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::base::time::Tick;
use dpdk_tcp::engine::timers::{self, REST_FROM};
use dpdk_tcp::engine::wheel::Wheel;

use crate::blocks::Blocks;
use crate::tokio_wheel::TokioWheel;

const SIZES: [u32; 4] = [1_000, 100_000, 1_000_000, 10_000_000];
/// Deadlines lie within a minute, as those of connections do.
const FAR_MS: u32 = 60_000;
/// Timers with which each is tried before it is measured.
const CHECKED: u32 = 1_000;

pub fn all(c: &mut Criterion) {
    let mut group = c.benchmark_group("timers");
    [
        &mut Wheel::new(CHECKED, Tick(0)) as &mut dyn Timers,
        &mut Queued::new(CHECKED),
        &mut TokioWheel::new(CHECKED),
        &mut Heap::new(CHECKED),
    ]
    .into_iter()
    .for_each(check);
    for count in SIZES {
        bench(&mut group, "wheel", count, Wheel::new(count, Tick(0)));
        bench(&mut group, "queue and wheel", count, Queued::new(count));
        bench(&mut group, "tokio-style wheel", count, TokioWheel::new(count));
        bench(&mut group, "binary heap", count, Heap::new(count));
    }
    group.finish();
}

/// What they have in common. Deadlines are milliseconds.
trait Timers {
    fn arm(&mut self, index: u32, at: u32);
    fn cancel(&mut self, index: u32);
    /// An entry that is due.
    fn expire(&mut self, now: u32) -> Option<u32>;
}

impl Timers for Wheel {
    fn arm(&mut self, index: u32, at: u32) {
        Wheel::arm(self, index, Tick(at));
    }

    fn cancel(&mut self, index: u32) {
        Wheel::cancel(self, index);
    }

    fn expire(&mut self, now: u32) -> Option<u32> {
        self.pop_due(Tick(now), &mut { usize::MAX })
    }
}

/// The engine's timers, with the deadlines that their connections keep: most entries are looked at before they are due.
struct Queued {
    timers: timers::Timers,
    due: Vec<u32>,
}

impl Queued {
    fn new(count: u32) -> Queued {
        Queued { timers: timers::Timers::new(count, Tick(0), REST_FROM), due: vec![0; count as usize] }
    }
}

impl Timers for Queued {
    fn arm(&mut self, index: u32, at: u32) {
        self.due[index as usize] = at;
        self.timers.arm(index, Tick(at));
    }

    fn cancel(&mut self, index: u32) {
        self.timers.cancel(index);
    }

    fn expire(&mut self, now: u32) -> Option<u32> {
        loop {
            let index = self.timers.pop_due(Tick(now), &mut { usize::MAX })?;
            let at = self.due[index as usize];
            if at <= now {
                return Some(index);
            }
            self.timers.look_again(index, Tick(at));
        }
    }
}

impl Timers for TokioWheel {
    fn arm(&mut self, index: u32, at: u32) {
        TokioWheel::arm(self, index, at.into());
    }

    fn cancel(&mut self, index: u32) {
        TokioWheel::cancel(self, index);
    }

    fn expire(&mut self, now: u32) -> Option<u32> {
        self.pop_due(now.into())
    }
}

/// A heap from which nothing is taken out of turn: what is cancelled or moved is known by its deadline, which is no
/// longer the entry's, and goes when it comes up, or when half of all are such.
struct Heap {
    heap: BinaryHeap<Reverse<(u32, u32)>>,
    /// Deadlines; 0 where there is none.
    due: Vec<u32>,
}

impl Heap {
    fn new(count: u32) -> Heap {
        Heap { heap: BinaryHeap::with_capacity(2 * count as usize + 1), due: vec![0; count as usize] }
    }
}

impl Timers for Heap {
    fn arm(&mut self, index: u32, at: u32) {
        self.due[index as usize] = at;
        if self.heap.len() >= 2 * self.due.len() {
            let due = &self.due;
            self.heap.retain(|Reverse((at, index))| due[*index as usize] == *at);
        }
        self.heap.push(Reverse((at, index)));
    }

    fn cancel(&mut self, index: u32) {
        self.due[index as usize] = 0;
    }

    fn expire(&mut self, now: u32) -> Option<u32> {
        while let Some(Reverse((at, index))) = self.heap.peek().copied() {
            if at > now {
                return None;
            }
            self.heap.pop();
            if self.due[index as usize] == at {
                self.due[index as usize] = 0;
                return Some(index);
            }
        }
        None
    }
}

/// Each entry comes up when it is due, and one that was cancelled does not.
fn check(timers: &mut dyn Timers) {
    let mut rng = Rng::new(3);
    let mut due: Vec<_> = (0..CHECKED).map(|n| Some((n, 1 + rng.below(FAR_MS)))).collect();
    due.iter().flatten().for_each(|(n, at)| timers.arm(*n, *at));
    for n in (0..CHECKED).step_by(3) {
        timers.cancel(n);
        due[n as usize] = None;
    }
    for now in 0..=FAR_MS {
        while let Some(index) = timers.expire(now) {
            assert_eq!(due[index as usize].take(), Some((index, now)));
        }
    }
    assert!(due.iter().all(Option::is_none));
}

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, count: u32, mut timers: impl Timers) {
    let mut rng = Rng::new(1);
    let mut later = Rng::new(2);
    (0..count).for_each(|n| timers.arm(n, 1 + rng.below(FAR_MS)));
    let mut blocks = Blocks::new(count);
    for (timed, what) in ["cancel", "arm"].into_iter().enumerate() {
        group.bench_with_input(BenchmarkId::new(format!("{name}, {what}"), count), &count, |b, _| {
            b.iter_custom(|times| {
                let cancel = |timers: &mut _, n| Timers::cancel(timers, n);
                let arm = |timers: &mut _, n| Timers::arm(timers, n, 1 + later.below(FAR_MS));
                blocks.in_turn(&mut timers, times, cancel, arm)[timed]
            });
        });
    }
    blocks.back(&mut timers, |timers, n| timers.arm(n, 1 + later.below(FAR_MS)));
    group.bench_with_input(BenchmarkId::new(format!("{name}, arm again"), count), &count, |b, _| {
        b.iter(|| timers.arm(rng.below(count), 1 + later.below(FAR_MS)));
    });
    let mut now = 0;
    group.bench_with_input(BenchmarkId::new(format!("{name}, expire and arm"), count), &count, |b, _| {
        b.iter(|| {
            loop {
                if let Some(index) = timers.expire(now) {
                    timers.arm(index, now + 1 + later.below(FAR_MS));
                    break;
                }
                now += 1;
            }
        });
    });
}
