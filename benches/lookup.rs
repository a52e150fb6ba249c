//! Look-ups of random keys in tables of ten million, side by side in one run: the index as the loop asks it, DPDK's
//! `rte_hash_lookup_bulk`, a general hash table, and a bare array of lines at places that need no search. They take
//! turns, so that what else the machine does meets them all; what counts are the ratios.
//!
//! Each hashes its keys and says where the connection is: ours by the tags and hash bits in one line, the others by
//! the keys that they keep. With `line` the line of the connection is fetched too, ahead where that can be known, and
//! the key in it confirmed. All tables are on the same pages. A bare line holds eight keys, about as many as one of the
//! index does, or one.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "benches")]

#[cfg(feature = "dpdk")]
mod rte_hash;

use std::collections::HashMap;
use std::hint::black_box;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::LazyLock;

use dpdk_tcp::base::cycles::Cycles;
use dpdk_tcp::base::hash::BlockHash;
use dpdk_tcp::base::ids::LocalIdx;
use dpdk_tcp::base::pages;
use dpdk_tcp::base::prefetch::prefetch;
use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::flow::key::Key;
use dpdk_tcp::flow::table::{Hint, Place, Table};

const COUNT: u32 = 10_000_000;
const BURST: usize = 32;
/// Bursts of one turn, and turns of each: short ones, so that most of them pass without another program on the CPU.
const BURSTS: usize = 200;
const TURNS: usize = 2_001;
static SECRET: LazyLock<BlockHash> = LazyLock::new(|| BlockHash::new(&[7; 16]));
/// Lets the C library ask for huge pages, as our own tables do.
const HUGE: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");

/// The line of a connection, of which only the key counts here.
#[repr(align(64))]
struct Line {
    key: Key,
}

#[repr(align(64))]
struct Bare([u64; 8]);

fn key(n: u32) -> Key {
    let (remote, remote_port) = (0xc612_0000 + n / 60_000, 1 + (n % 60_000) as u16);
    Key { remote, remote_port, local_port: 80, local: LocalIdx(0) }
}

fn packed(key: &Key) -> u128 {
    let addresses = u128::from(key.remote) << 16 | u128::from(key.local.0);
    addresses << 32 | u128::from(key.remote_port) << 16 | u128::from(key.local_port)
}

/// The index as the loop asks it: all keys are hashed, and what each needs next is asked for before any is used.
struct Ours {
    table: Table,
}

impl Ours {
    fn new() -> Self {
        let mut table = Table::new(COUNT, COUNT);
        (0..COUNT).for_each(|n| table.insert(key(n).hash(&SECRET), Place::Connection(n)).unwrap());
        Ours { table }
    }

    fn hashes(&self, keys: &[Key; BURST]) -> [u64; BURST] {
        keys.each_ref().map(|key| {
            let hash = key.hash(&SECRET);
            self.table.prefetch(hash);
            hash
        })
    }

    fn hint(&self, hash: u64) -> Option<Place> {
        if let Hint::At(place) = self.table.hint(hash) { Some(place) } else { None }
    }

    fn numbers(&self, keys: &[Key; BURST]) -> u32 {
        let hashes = self.hashes(keys);
        let hints = hashes.map(|hash| self.hint(hash));
        hashes.iter().zip(hints).fold(0, |sum, (hash, hint)| {
            match hint.or_else(|| self.table.find(*hash, |_| true)) {
                Some(Place::Connection(n)) => sum ^ n,
                _ => panic!("a key is missing"),
            }
        })
    }

    fn lines(&self, keys: &[Key; BURST], lines: &[Line]) -> u32 {
        let hashes = self.hashes(keys);
        let hints = hashes.map(|hash| {
            let hint = self.hint(hash);
            if let Some(Place::Connection(n)) = hint {
                prefetch(&lines[n as usize]);
            }
            hint
        });
        let mut sum = 0;
        for ((key, hash), hint) in keys.iter().zip(hashes).zip(hints) {
            let holds =
                |place: &Place| matches!(place, Place::Connection(n) if lines[*n as usize].key == *key);
            let found = hint.filter(holds).or_else(|| self.table.find(hash, |place| holds(&place)));
            let Some(Place::Connection(n)) = found else { panic!("a key is missing") };
            sum ^= n;
        }
        sum
    }
}

/// One of those that take turns: what it is called, and what it does with a burst of numbers.
type Entrant<'a> = (&'static str, Box<dyn Fn(&[u32; BURST]) -> u32 + 'a>);

fn main() {
    if std::env::var_os(HUGE.0).is_none() {
        let own = std::env::current_exe().unwrap();
        panic!("{}", Command::new(own).env(HUGE.0, HUGE.1).exec());
    }
    let ours = Ours::new();
    let lines = pages::table(COUNT as usize, |n| Line { key: key(n as u32) });
    let bare = pages::table(COUNT as usize / 8, |n| Bare([n as u64; 8]));
    let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
    let mut general = HashMap::with_capacity_and_hasher(COUNT as usize, hasher);
    general.extend((0..COUNT).map(|n| (packed(&key(n)), n)));
    let is_at = |n: u32, key: &Key| assert!(lines[n as usize].key == *key);
    #[cfg(feature = "dpdk")]
    let peer = peer();
    let mut entrants: Vec<Entrant<'_>> = Vec::new();
    entrants.push((
        "bare lines, eight keys each",
        Box::new(|numbers| {
            numbers.iter().for_each(|n| prefetch(&bare[*n as usize / 8]));
            numbers.iter().fold(0, |sum, n| sum ^ bare[*n as usize / 8].0[3] as u32)
        }),
    ));
    entrants.push((
        "bare lines, one a key",
        Box::new(|numbers| {
            numbers.iter().for_each(|n| prefetch(&lines[*n as usize]));
            numbers.iter().fold(0, |sum, n| sum ^ lines[*n as usize].key.remote)
        }),
    ));
    entrants.push(("ours", Box::new(|numbers| ours.numbers(&numbers.map(key)))));
    entrants.push((
        "hashbrown and ahash, one at a time",
        Box::new(|numbers| numbers.iter().fold(0, |sum, n| sum ^ general[&packed(&key(*n))])),
    ));
    entrants.push(("ours, line", Box::new(|numbers| ours.lines(&numbers.map(key), &lines))));
    entrants.push((
        "hashbrown and ahash, one at a time, line",
        Box::new(|numbers| {
            numbers.map(key).iter().fold(0, |sum, key| {
                let n = general[&packed(key)];
                is_at(n, key);
                sum ^ n
            })
        }),
    ));
    #[cfg(feature = "dpdk")]
    for (name, with_line) in [("rte_hash", false), ("rte_hash, line", true)] {
        let (peer, lines) = (&peer, &lines);
        entrants.push((
            name,
            Box::new(move |numbers| {
                let found = peer.lookup(&numbers.map(|n| packed(&key(n)).to_le_bytes()));
                if with_line {
                    found.iter().for_each(|n| prefetch(&lines[*n as usize]));
                    found.iter().zip(numbers).for_each(|(at, n)| is_at(*at as u32, &key(*n)));
                }
                found.iter().fold(0, |sum, n| sum ^ *n as u32)
            }),
        ));
    }
    report(&take_turns(&entrants));
}

/// DPDK's table, in which the positions are the numbers.
#[cfg(feature = "dpdk")]
fn peer() -> rte_hash::RteHash {
    let mut table = rte_hash::RteHash::new(COUNT);
    (0..COUNT).for_each(|n| assert_eq!(table.add(&packed(&key(n)).to_le_bytes()), n as i32));
    table
}

/// The cycles that each took for a key, in each of its turns.
fn take_turns<'a>(entrants: &[Entrant<'a>]) -> Vec<(&'static str, Vec<f64>)> {
    let clock = Cycles::start();
    let mut rng = Rng::new(1);
    let mut cycles: Vec<_> = entrants.iter().map(|(name, _)| (*name, Vec::new())).collect();
    let mut numbers = vec![[0; BURST]; BURSTS];
    for _ in 0..TURNS {
        for ((_, entrant), (_, cycles)) in entrants.iter().zip(&mut cycles) {
            numbers.iter_mut().flatten().for_each(|n| *n = rng.below(COUNT));
            let begun = clock.now();
            for numbers in &numbers {
                black_box(entrant(black_box(numbers)));
            }
            cycles.push((clock.now() - begun) as f64 / (BURSTS * BURST) as f64);
        }
    }
    cycles
}

/// The median, and the quarters that it stands between.
fn quartiles(mut of: Vec<f64>) -> [f64; 3] {
    of.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| of[of.len() * quarter / 4])
}

fn report(all: &[(&'static str, Vec<f64>)]) {
    println!("look-ups of random keys among {COUNT} in bursts of {BURST}, {TURNS} turns of {BURSTS} bursts");
    println!("{:<42} {:>22}   {:>22}", "", "cycles a key", "ours to it, in turn");
    for (name, cycles) in all {
        let ours = if name.ends_with("line") { "ours, line" } else { "ours" };
        let ours = all.iter().find(|(name, _)| *name == ours).map(|(_, cycles)| cycles).unwrap();
        let [low, median, high] = quartiles(cycles.clone());
        let [least, ratio, most] = quartiles(ours.iter().zip(cycles).map(|(a, b)| a / b).collect());
        println!(
            "{name:<42} {median:>7.1} [{low:>5.1}, {high:>5.1}]   {ratio:>7.2} [{least:>5.2}, {most:>5.2}]"
        );
    }
}
