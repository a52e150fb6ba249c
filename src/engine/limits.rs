//! A shard's limits (requirements 4.1) and the memory that follows from them, all of it taken at start.

use super::api::ConnId;
use super::recoveries::Recoveries;
use super::slots::Slots;
use super::timers::{self, Timers};
use crate::base::burst::BURST_MAX;
use crate::base::bytes::Pool;
use crate::base::index_queue::IndexQueue;
use crate::base::list::IndexList;
use crate::base::slab::Slab;
use crate::flow::per_address::PerAddress;
use crate::flow::table::Table;
use crate::flow::time_wait_ring::TimeWaitRing;
use crate::inet::reassembly;
use crate::tcp::arrives::listen::CookieMode;
use crate::tcp::reassembly::Reassembly;
use crate::tcp::time_wait::TimeWait;
use crate::wire::ipv4;

/// Answers outside connections' own output that one pass can hold.
pub(super) const REPLIES_MAX: usize = 512;

/// Timers and records looked at in one pass (LIM-13).
pub(super) const EXPIRE_MAX: usize = 256;

/// Timers that leave their queue, or change their level on the wheel, in one pass (LIM-13).
pub(super) const MOVES_MAX: usize = 1_024;

/// A full burst of so many frames or more says that there are more than can be worked on. A smaller one is soon full, and what
/// happens must not depend on the size of bursts; so with `--burst` below it nothing is a backlog.
pub(super) const BACKLOG_MIN: usize = 32;

/// Connections about to be opened for which lines are asked for together.
pub(super) const EXPECTED_MAX: usize = 16;

/// TIME-WAIT records that leave together, so that the lines of the index that they stand in are fetched together.
pub(super) const EXPIRE_BURST: usize = 16;

/// Connections that are offered to applications again in one pass (LIM-13).
pub(super) const OFFERS_MAX: usize = 256;

/// Places for connections that are awake that are looked at, once a millisecond and where they are short.
pub(super) const TIDY_MAX: u32 = 64;

/// How long a connection may take more memory than an idle one without getting forward, where that is short.
pub(super) const STUCK_MS: u32 = 10_000;

/// Connections without memory that try again in one pass: few, since most of them will fail again.
pub(super) const FEED_MAX: usize = 8;

/// How long a connection that nobody waits for may stand still before it can be reset to make room (LIM-8).
pub(super) const CLOSING_MS: u32 = 1_000;

/// Connections that pay in one pass (LIM-13).
pub(super) const PAY_MAX: usize = 256;

/// Packets that a device is asked to make of one segment (OFF-2): net_tap makes no more than 64, and other
/// connections want their turn.
pub(super) const CUTS_MAX: u16 = 44;

/// The limits of one shard.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Established and closing connections (LIM-4).
    pub connections: u32,
    /// Listeners at a time, before the loop starts and while it runs.
    pub listeners: u16,
    /// Connections of each remote address that listeners take (LIM-3); any number without it.
    pub per_address: Option<u32>,
    /// Most connections of one listener that wait for the application; twice as many may be half-open.
    pub backlog: u32,
    /// TIME-WAIT records (LIM-7).
    pub time_wait_max: u32,
    /// Bytes of memory for data that waits to be acknowledged, or to be taken by applications.
    pub buffers: usize,
    /// Octets that one connection may have queued for sending (LIM-5).
    pub send_buffer: u32,
    /// Resets a second, and at once (LIM-12).
    pub resets_per_second: u32,
    /// Resets at once after a quiet time.
    pub reset_burst: u32,
    /// Challenge ACKs a second for all connections together (LIM-11).
    pub challenges_per_second: u32,
    /// When listeners answer by SYN cookies.
    pub syn_cookies: CookieMode,
    /// Fragments that wait for the rest of their datagrams (LIM-9).
    pub reassembly: reassembly::Limits,
    /// Connections that only wait for their peers to close are reset where places are scarce (LIM-8). Not so where
    /// each is measured.
    pub closing_limited: bool,
    /// Connections about which more can be remembered at a time than about an idle one; `None` for as many as
    /// [`Limits::awake`] says.
    pub awake: Option<u32>,
    /// From so many connections on, those for which nothing is due have no timer.
    pub rest_from: u32,
    /// Frames that one call receives at most; 1 to 64.
    pub burst: usize,
    /// Frames that one call sends: so many are handed over as soon as they are built, the rest at the end of the pass;
    /// 1 to 64.
    pub tx_burst: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 262_144,
            listeners: 16,
            per_address: None,
            backlog: 4_096,
            time_wait_max: 4 * 262_144,
            buffers: 64 << 20,
            send_buffer: 256 << 10,
            resets_per_second: 20_000,
            reset_burst: 4_000,
            challenges_per_second: 1_000,
            syn_cookies: CookieMode::Auto,
            reassembly: reassembly::Limits::default(),
            closing_limited: true,
            awake: None,
            rest_from: timers::REST_FROM,
            burst: 32,
            tx_burst: BURST_MAX,
        }
    }
}

/// What a shard's memory is made of, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryPlan {
    /// For each connection: slot, timer, place in the index and in the lists of those that owe, starve or close.
    pub per_connection: usize,
    /// For each half-open connection; it is the same slot.
    pub per_half_open: usize,
    /// For each TIME-WAIT record where there are many: record and place in the index.
    pub per_time_wait: usize,
    /// For data of all connections.
    pub buffers: usize,
    /// All together.
    pub total: usize,
}

impl Limits {
    /// Half-open connections of one listener (LIM-1).
    pub fn half_open_per_listener(&self) -> u32 {
        //= SYNQ-2
        self.backlog.saturating_mul(2).max(128)
    }

    /// Half-open connections in all (LIM-1): a quarter of the connections.
    pub fn half_open_total(&self) -> u32 {
        (self.connections / 4).max(1)
    }

    /// Connections that their applications have closed for good and that are not over, where places are scarce
    /// (LIM-8): a quarter of all.
    pub fn closing(&self) -> u32 {
        //= LIM-8
        (self.connections / 4).max(1)
    }

    /// From so many connections on places are scarce: seven eighths of all.
    pub fn crowded(&self) -> u32 {
        self.connections - self.connections / 8
    }

    /// Slots: half-open connections have some of their own, so that a flood of SYNs takes none away from
    /// established ones.
    pub fn slots(&self) -> u32 {
        self.connections.saturating_add(self.half_open_total())
    }

    /// Connections about which more can be remembered at a time than about an idle one, unless that is chosen: all up
    /// to 524,288, and one in 32 of more.
    pub fn awake(&self) -> u32 {
        let slots = self.slots();
        self.awake.unwrap_or_else(|| 524_288.max(slots / 32)).clamp(slots.clamp(1, 4), slots.max(1))
    }

    /// Connections that can hold text which came before its turn: one in sixteen, and no more than 65536 (LIM-6).
    pub fn reassemblies(&self) -> u32 {
        (self.connections / 16).clamp(64, 65_536)
    }

    /// Connections that may have more than one segment in flight with loss recovery beyond a timeout: one in
    /// sixteen, and no more than 16384.
    pub fn recoveries(&self) -> u32 {
        (self.connections / 16).clamp(64, 16_384)
    }

    /// Entries that the index must hold.
    pub fn table_entries(&self) -> u32 {
        self.slots().saturating_add(self.time_wait_max)
    }

    /// Numbers of connections' slots and of TIME-WAIT records are below this.
    pub fn places(&self) -> u32 {
        self.slots().max(TimeWaitRing::<TimeWait>::places_for(self.time_wait_max))
    }

    /// The memory that a shard with these limits takes.
    pub fn memory(&self) -> MemoryPlan {
        let index = Table::memory(self.table_entries());
        let per = |bytes: usize, count: u32| bytes as f64 / f64::from(count.max(1));
        let index_entry = per(index, self.table_entries());
        let slots = Slots::memory(self.slots(), self.awake());
        let links = 2 * IndexList::link_bytes() * self.slots() as usize;
        let timers = Timers::memory(self.slots() as usize);
        let owing = IndexQueue::memory(self.slots() as usize);
        let own = per(slots + links + timers + owing, self.slots());
        let slot_and_entry = (own + index_entry).ceil() as usize;
        let records = TimeWaitRing::<TimeWait>::memory(self.time_wait_max);
        let buffers = Pool::memory(self.buffers);
        let held = self.reassemblies() as usize * Slab::<Reassembly>::slot_bytes();
        let waiting = usize::from(self.listeners) * self.backlog as usize * size_of::<ConnId>();
        let counts = PerAddress::memory(self.per_address, self.slots());
        let recoveries = self.recoveries() as usize * Recoveries::record_bytes();
        let total = recoveries
            + self.reassembly.memory()
            + ipv4::PACKET_MAX
            + held
            + waiting
            + counts
            + slots
            + links
            + timers
            + owing
            + records
            + index
            + buffers;
        MemoryPlan {
            per_connection: slot_and_entry,
            per_half_open: slot_and_entry,
            per_time_wait: (TimeWaitRing::<TimeWait>::record_bytes() + index_entry).ceil() as usize,
            buffers,
            total,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::entry::Entry;

    #[test]
    fn ten_million_connections_and_fifty_million_records() {
        //= TW-2
        let limits =
            Limits { connections: 10_000_000, time_wait_max: 50_000_000, buffers: 0, ..Limits::default() };
        let plan = limits.memory();
        assert_eq!(plan.per_time_wait, 32);
        // A build with debug assertions keeps the states of each connection.
        let surplus = Slab::<Entry>::slot_bytes() - 128;
        assert!(plan.per_connection - surplus <= 192, "{} bytes", plan.per_connection - surplus);
        let all = Limits { buffers: Limits::default().buffers, ..limits.clone() }.memory().total;
        let all = all - surplus * limits.slots() as usize;
        assert!(all <= 4 << 30, "{} MiB", all >> 20);
        let (records, index) =
            (TimeWaitRing::<TimeWait>::memory(50_000_000), Table::memory(limits.table_entries()));
        assert!(records + index * 4 / 5 <= 32 * 50_000_000, "{records} and four fifths of {index}");
    }
}
