//! Connections in TIME-WAIT: compact records in the order in which they expire. All wait equally long, so a
//! queue is enough; one that starts again (TMW-3) goes to its end. When there is no room the oldest goes before
//! its time, and how early is remembered (LIM-7).

use super::key::Key;
use crate::base::slab::Slab;
use crate::base::time::Tick;

const NONE: u32 = u32::MAX;

/// One connection in TIME-WAIT. What the protocol remembers is the protocol's (`R`).
#[derive(Clone, Copy, Debug)]
pub struct Record<R> {
    /// The endpoints.
    pub key: Key,
    /// What the protocol remembers.
    pub rest: R,
    /// When it may go.
    pub deadline: Tick,
    older: u32,
    newer: u32,
}

/// All connections of a shard that are in TIME-WAIT.
pub struct TimeWaitRing<R> {
    records: Slab<Record<R>>,
    oldest: u32,
    newest: u32,
}

impl<R: Copy> TimeWaitRing<R> {
    /// Room for `capacity` records.
    pub fn new(capacity: u32) -> Self {
        TimeWaitRing { records: Slab::new(capacity), oldest: NONE, newest: NONE }
    }

    /// Bytes per record.
    pub const fn record_bytes() -> usize {
        Slab::<Record<R>>::slot_bytes()
    }

    /// Records now.
    pub fn len(&self) -> u32 {
        self.records.len()
    }

    /// There is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// There is no room for another record.
    pub fn is_full(&self) -> bool {
        self.len() == self.records.capacity()
    }

    /// Adds a record at the end of the queue.
    ///
    /// # Errors
    /// There is no room; make some with [`TimeWaitRing::remove`].
    pub fn push(&mut self, key: Key, rest: R, deadline: Tick) -> Result<u32, R> {
        let record = Record { key, rest, deadline, older: NONE, newer: NONE };
        let index = self.records.insert(record).map_err(|record| record.rest)?;
        self.link_newest(index);
        Ok(index)
    }

    fn link_newest(&mut self, index: u32) {
        let before = std::mem::replace(&mut self.newest, index);
        if let Some(record) = self.records.get_mut(index) {
            record.older = before;
            record.newer = NONE;
        }
        match self.records.get_mut(before) {
            Some(record) => record.newer = index,
            None => self.oldest = index,
        }
    }

    fn unlink(&mut self, index: u32) {
        let Some(&Record { older, newer, .. }) = self.records.get(index) else { return };
        match self.records.get_mut(older) {
            Some(record) => record.newer = newer,
            None => self.oldest = newer,
        }
        match self.records.get_mut(newer) {
            Some(record) => record.older = older,
            None => self.newest = older,
        }
    }

    /// Asks for the line that a record begins with.
    #[inline]
    pub fn prefetch(&self, index: u32) {
        self.records.prefetch(index);
    }

    /// The records that are due, the oldest first, each with its number.
    pub fn due(&self, now: Tick) -> impl Iterator<Item = (u32, &Record<R>)> {
        let next = |index: u32| self.records.get(index).map(|record| (index, record));
        std::iter::successors(next(self.oldest), move |(_, record)| next(record.newer))
            .take_while(move |(_, record)| record.deadline.is_due(now))
    }

    /// A record.
    pub fn get(&self, index: u32) -> Option<&Record<R>> {
        self.records.get(index)
    }

    /// 2 MSL start again: the record goes to the end of the queue.
    pub fn restart(&mut self, index: u32, deadline: Tick) {
        if self.records.get(index).is_none() {
            return;
        }
        self.unlink(index);
        self.link_newest(index);
        if let Some(record) = self.records.get_mut(index) {
            record.deadline = deadline;
        }
    }

    /// Removes a record.
    pub fn remove(&mut self, index: u32) -> Option<Record<R>> {
        self.unlink(index);
        self.records.remove(index)
    }

    /// The number of the oldest record.
    pub fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// When the next record is due.
    pub fn deadline(&self) -> Option<Tick> {
        self.records.get(self.oldest).map(|record| record.deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ids::LocalIdx;

    fn key(n: u16) -> Key {
        Key { remote: 1, remote_port: n, local_port: 80, local: LocalIdx(0) }
    }

    fn drain(ring: &mut TimeWaitRing<u32>, now: u32) -> Vec<u32> {
        std::iter::from_fn(|| {
            let (index, _) = ring.due(Tick(now)).next()?;
            ring.remove(index).map(|record| record.rest)
        })
        .collect()
    }

    #[test]
    fn records_leave_in_the_order_of_their_deadlines() {
        //= TMW-3
        //= TMW-10
        let mut ring = TimeWaitRing::new(4);
        let indices: Vec<_> =
            (0..4).map(|n| ring.push(key(n), u32::from(n), Tick(100 + u32::from(n))).unwrap()).collect();
        assert!(ring.is_full() && ring.push(key(9), 9, Tick(104)).is_err());
        assert_eq!(drain(&mut ring, 99), [0; 0]);
        let due = |now| ring.due(Tick(now)).map(|(_, record)| record.rest).collect::<Vec<_>>();
        assert_eq!((due(99), due(101), due(200)), (vec![], vec![0, 1], vec![0, 1, 2, 3]));
        ring.restart(indices[0], Tick(110));
        assert_eq!(ring.remove(indices[2]).unwrap().rest, 2);
        assert_eq!(drain(&mut ring, 109), [1, 3]);
        assert_eq!((ring.len(), ring.deadline()), (1, Some(Tick(110))));
        assert_eq!(drain(&mut ring, 110), [0]);
        assert!(ring.is_empty() && ring.oldest().is_none());
        ring.push(key(1), 5, Tick(200)).unwrap();
        assert_eq!(drain(&mut ring, 200), [5]);
    }
}
