//! Headers, keys, an index and timers, each prepared up to the piece of work that is counted.

use std::sync::LazyLock;

use dpdk_tcp::base::hash::BlockHash;
use dpdk_tcp::base::ids::LocalIdx;
use dpdk_tcp::base::time::Tick;
use dpdk_tcp::engine::timers;
use dpdk_tcp::engine::wheel::Wheel;
use dpdk_tcp::flow::key::Key;
use dpdk_tcp::flow::table::{Place, Table};

/// What keys are hashed with.
pub static SECRET: LazyLock<BlockHash> = LazyLock::new(|| BlockHash::new(&[7; 16]));
/// A key and what it is hashed with.
pub fn hashing() -> (Key, BlockHash) {
    (key(1), SECRET.clone())
}

/// Entries of the index, and timers.
pub const COUNT: u32 = 10_000;
/// How often the piece is done.
const TIMES: u32 = 32;

/// A SYN with the options that hosts send.
pub fn syn() -> &'static [u8] {
    let mut syn = vec![0u8; 40];
    syn[..4].copy_from_slice(&[0x0d, 0x09, 0x1e, 0x6c]);
    (syn[12], syn[13]) = (0xa0, 0x02);
    syn[20..].copy_from_slice(&[2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 3, 0xe8, 0, 0, 0, 0, 1, 3, 3, 7]);
    syn.leak()
}

/// An acknowledgment with timestamps.
pub fn ack() -> &'static [u8] {
    let mut ack = vec![0u8; 32];
    ack[..4].copy_from_slice(&[0x0d, 0x09, 0x1e, 0x6c]);
    (ack[12], ack[13]) = (0x80, 0x10);
    ack[20..].copy_from_slice(&[1, 1, 8, 10, 0, 0, 3, 0xe8, 0, 0, 0, 1]);
    ack.leak()
}

/// So many bytes.
pub fn bytes(len: usize) -> &'static [u8] {
    (0..len).map(|i| i as u8).collect::<Vec<_>>().leak()
}

/// The `n`-th key.
pub fn key(n: u32) -> Key {
    Key {
        remote: 0xc612_0000 + n / 60_000,
        remote_port: 1 + (n % 60_000) as u16,
        local_port: 80,
        local: LocalIdx(0),
    }
}

/// The index with [`COUNT`] keys, and the hashes of 32 keys.
pub struct Index {
    table: Table,
    asked: Vec<(u32, u64)>,
}

impl Index {
    /// Asked for are the keys from `first` on; from [`COUNT`] on none is there.
    pub fn new(first: u32) -> Index {
        let mut table = Table::new(2 * COUNT, 2 * COUNT);
        (0..COUNT).for_each(|n| table.insert(key(n).hash(&SECRET), Place::Connection(n)).unwrap());
        let asked = (first..first + TIMES).map(|n| (n, key(n).hash(&SECRET))).collect();
        Index { table, asked }
    }

    /// How many are there.
    #[inline(always)]
    pub fn find(&self) -> usize {
        let found = |(n, hash): &&(u32, u64)| {
            self.table.find(*hash, |place| place == Place::Connection(*n)).is_some()
        };
        self.asked.iter().filter(found).count()
    }

    #[inline(always)]
    pub fn insert(&mut self) {
        for (n, hash) in &self.asked {
            self.table.insert(*hash, Place::Connection(*n)).unwrap();
        }
    }

    #[inline(always)]
    pub fn remove(&mut self) {
        for (n, hash) in &self.asked {
            assert!(self.table.remove(*hash, Place::Connection(*n)));
        }
    }
}

/// Timers of connections, none of them armed.
pub fn queue() -> timers::Timers {
    timers::Timers::new(COUNT, Tick(0), 0)
}

/// Arms 32 that are due in 200 ms and more, and forgets them.
#[inline(always)]
pub fn await_in_queue(timers: &mut timers::Timers) {
    (0..TIMES).for_each(|n| timers.arm(37 * n, Tick(timers::WAIT_MS + n)));
    (0..TIMES).for_each(|n| timers.cancel(37 * n));
}

/// Timers, of which 32 are to be armed or are due.
pub struct Timers {
    wheel: Wheel,
    is_armed: bool,
}

impl Timers {
    /// All timers are armed, one every millisecond, or all but the 32.
    pub fn new(is_armed: bool) -> Timers {
        let mut wheel = Wheel::new(COUNT, Tick(0));
        let first = if is_armed { 0 } else { TIMES };
        (first..COUNT).for_each(|n| wheel.arm(n, Tick(1 + n)));
        Timers { wheel, is_armed }
    }

    /// Arms the 32; those that are armed already move on.
    #[inline(always)]
    pub fn arm(&mut self) {
        let later = if self.is_armed { 200 } else { 100 };
        (0..TIMES).for_each(|n| self.wheel.arm(n, Tick(later + 37 * n)));
    }

    /// Time passes until 32 were due.
    #[inline(always)]
    pub fn expire(&mut self) -> usize {
        (1..=TIMES).filter(|ms| self.wheel.pop_due(Tick(*ms), &mut { usize::MAX }).is_some()).count()
    }
}
