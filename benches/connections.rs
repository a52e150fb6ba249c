//! Whole connections between a client's shard and a server's, in turn on one core and in virtual time: opened and
//! closed, or with a request and its reply, with a thousand to ten million open; and beside smoltcp with a thousand
//! sockets a side. Both sides and the memory link are in the number.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use dpdk_tcp::app::client::Order;
use dpdk_tcp::base::cycles::Cycles;

use crate::both::{Both, Shape};
use crate::smol::{Drive, Smol};

const SIZES: [u32; 4] = [1_000, 100_000, 1_000_000, 10_000_000];
/// Connections that are being opened, talk or close at a time; what is open beyond waits for its turn.
const ACTIVE: u32 = 256;
/// A second of virtual time, that tables are made for.
const RATE_MAX: f64 = 1e6;
/// Connections before anything is timed, beside those that are opened first: TIME-WAIT lasts a second, and is full.
const BEFORE: u64 = 500_000;
const THOUSAND: u32 = 1_000;
/// Turns that ours and smoltcp take, and connections of each.
const TURNS: usize = 21;
const TURN: u64 = 20_000;

pub fn all(c: &mut Criterion) {
    let mut group = c.benchmark_group("connections");
    group.throughput(Throughput::Elements(1)).sample_size(20).measurement_time(Duration::from_secs(4));
    for concurrency in SIZES {
        for (name, talks) in [("open-close", false), ("crr", true)] {
            // Made where it is measured at all, and once.
            let mut made = None;
            group.bench_with_input(BenchmarkId::new(name, concurrency), &concurrency, |b, _| {
                let order = Order::Random { active: ACTIVE };
                let both = made.get_or_insert_with(|| ours(talks, concurrency, order));
                b.iter_custom(|count| time(|| both.until(count)));
            });
        }
    }
    group.finish();
    beside_smoltcp(c);
}

/// With all connections open, and TIME-WAIT full.
fn ours(talks: bool, concurrency: u32, order: Order) -> Both {
    let mut both = Both::of(&Shape { talks, concurrency, connections: None, rate_max: RATE_MAX, order });
    both.until(BEFORE);
    both
}

impl Both {
    /// Until so many more connections have ended.
    fn until(&mut self, count: u64) {
        let until = self.closed() + count;
        while self.closed() < until {
            self.turn();
        }
    }
}

/// The same connections by both; a thousand are on their way at a time. What differs: for each segment and in each turn
/// smoltcp looks through all of its sockets, so that its cost grows with their number, and ours does not; it moves all
/// thousand a turn, and ours 32 frames. Its sockets leave TIME-WAIT at once, and its windows are 512 octets.
fn beside_smoltcp(c: &mut Criterion) {
    let mut group = c.benchmark_group("a thousand connections a side");
    group.throughput(Throughput::Elements(1)).sample_size(20).measurement_time(Duration::from_secs(4));
    let (mut made, mut driven) = (None, None);
    group.bench_function("crr, ours", |b| {
        let both = made.get_or_insert_with(|| ours(true, THOUSAND, Order::Own));
        b.iter_custom(|count| time(|| both.until(count)));
    });
    let mut peers = Vec::new();
    for (name, drive) in [("smoltcp", Drive::Between), ("smoltcp by poll", Drive::Poll)] {
        group.bench_function(format!("crr, {name}"), |b| {
            let both = driven.get_or_insert_with(|| Smol::new(THOUSAND as usize, drive));
            b.iter_custom(|count| time(|| both.until(count)));
        });
        peers.extend(driven.take().map(|both| (name, both)));
    }
    group.finish();
    if let Some(ours) = &mut made {
        println!("ours: {:.2} packets a connection", ours.segments() as f64 / ours.closed() as f64);
        peers.iter_mut().for_each(|(name, smoltcp)| in_turn(ours, name, smoltcp));
    }
}

/// Both take turns, so that what else the machine does meets both.
fn in_turn(ours: &mut Both, name: &str, smoltcp: &mut Smol) {
    let clock = Cycles::start();
    let cycles = |work: &mut dyn FnMut()| {
        let begun = clock.now();
        work();
        (clock.now() - begun) as f64 / TURN as f64
    };
    let turns: Vec<_> =
        (0..TURNS).map(|_| (cycles(&mut || ours.until(TURN)), cycles(&mut || smoltcp.until(TURN)))).collect();
    let [of_ours, of_smoltcp, ratio] = [
        turns.iter().map(|turn| turn.0).collect(),
        turns.iter().map(|turn| turn.1).collect(),
        turns.iter().map(|(ours, smoltcp)| smoltcp / ours).collect(),
    ]
    .map(quartiles);
    println!(
        "cycles a connection, both sides: {of_ours:.0?} ours, {of_smoltcp:.0?} {name} in {:.2} packets",
        smoltcp.packets()
    );
    println!("times ours: {ratio:.1?}; quarters of {TURNS} turns of {TURN} connections each");
}

fn time(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

/// The median, and the quarters that it stands between.
fn quartiles(mut of: Vec<f64>) -> [f64; 3] {
    of.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| of[of.len() * quarter / 4])
}
