//! TIME-WAIT records of a shard: how they come into the index, start again, and leave.

use super::shard::Shard;
use crate::base::hash::BlockHash;
use crate::base::time::Tick;
use crate::flow::key::Key;
use crate::flow::table::{Place, Table};
use crate::flow::time_wait_ring::{Record, Rest};
use crate::stats::counters::Counter;
use crate::tcp::time_wait::TimeWait;

impl Rest for TimeWait {
    fn pack(self) -> ([u32; 3], u8) {
        TimeWait::pack(self)
    }

    fn unpack(words: [u32; 3], kind: u8) -> Self {
        TimeWait::unpack(words, kind)
    }
}

/// Lets the index follow a record that gets another number.
fn follow<'a>(table: &'a mut Table, placing: &'a BlockHash) -> impl FnMut(&Key, u32, u32) + 'a {
    |key, old, new| {
        table.replace(key.hash(placing), Place::TimeWait(old), Place::TimeWait(new));
    }
}

impl Shard {
    /// A record takes a connection's place in the index, if there may be any.
    pub(super) fn record(&mut self, index: u32, key: &Key, rest: TimeWait, deadline: Tick) {
        let (hash, old) = (self.hash_again(key), Place::Connection(index));
        match self.queue_record(key, rest, deadline) {
            Some(record) => {
                self.table.replace(hash, old, Place::TimeWait(record));
                self.count(Counter::TimeWaitEntered);
            }
            None => {
                self.table.remove(hash, old);
            }
        }
    }

    /// 2 MSL start again: the record goes to the end of the queue.
    pub(super) fn restart_record(&mut self, index: u32, hash: u64) {
        //= TMW-3
        let Some(Record { key, rest, .. }) = self.forget_record(index, hash) else { return };
        let deadline = Tick::after_ms(self.now, self.cfg.time_wait_ms);
        if let Some(record) = self.queue_record(&key, rest, deadline)
            && self.table.insert(hash, Place::TimeWait(record)).is_err()
        {
            self.take_record(record);
        }
    }

    /// Puts a record at the end of the queue. Others make room for it where there is none, the oldest first (LIM-7);
    /// `None` when there can be no record.
    fn queue_record(&mut self, key: &Key, rest: TimeWait, deadline: Tick) -> Option<u32> {
        loop {
            let moved = follow(&mut self.table, &self.placing);
            if let Ok(record) = self.time_wait.push(*key, rest, deadline, moved) {
                return Some(record);
            }
            self.evict_oldest()?;
        }
    }

    /// LIM-7: the oldest record goes before its time; `None` when there is none.
    fn evict_oldest(&mut self) -> Option<()> {
        //= LIM-7
        let left_ms = self.drop_record(self.time_wait.oldest()?)?;
        if left_ms > 0 {
            self.count(Counter::TimeWaitEvicted);
            let lasted = self.cfg.time_wait_ms.saturating_sub(left_ms);
            let worst = self.time_wait_shortened_ms.map_or(lasted, |before| before.min(lasted));
            self.time_wait_shortened_ms = Some(worst);
        }
        Some(())
    }

    /// Removes a TIME-WAIT record; returns how many milliseconds it had left.
    pub(super) fn drop_record(&mut self, index: u32) -> Option<u32> {
        let key = self.time_wait.get(index)?.key;
        let record = self.forget_record(index, self.hash(&key))?;
        Some(record.deadline.since(self.now.tick()))
    }

    /// Removes a TIME-WAIT record whose key's hash is known.
    pub(super) fn forget_record(&mut self, index: u32, hash: u64) -> Option<Record<TimeWait>> {
        self.table.remove(hash, Place::TimeWait(index));
        self.take_record(index)
    }

    /// As [`Shard::forget_record`], where nobody asks what the record was.
    pub(super) fn expire_record(&mut self, index: u32, hash: u64) {
        self.table.remove(hash, Place::TimeWait(index));
        self.time_wait.forget(index, follow(&mut self.table, &self.placing));
    }

    fn take_record(&mut self, index: u32) -> Option<Record<TimeWait>> {
        self.time_wait.remove(index, follow(&mut self.table, &self.placing))
    }
}
