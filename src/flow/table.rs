//! The index from endpoints to connections and TIME-WAIT records: buckets of one cache line with tags, so that
//! one probe finds either. It knows hashes and numbers only; what it finds is a hint until the key in the
//! connection's own line confirms it (law 4).

use crate::base::pages;
use crate::base::prefetch::prefetch;

const SLOTS: usize = 8;
const EMPTY: u32 = u32::MAX;
const TIME_WAIT: u32 = 1 << 31;

/// What an entry points at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A connection's slot; below 2^31 - 1.
    Connection(u32),
    /// A TIME-WAIT record; below 2^31 - 1.
    TimeWait(u32),
}

impl Place {
    fn encode(self) -> u32 {
        match self {
            Place::Connection(index) => index,
            Place::TimeWait(index) => index | TIME_WAIT,
        }
    }

    fn decode(value: u32) -> Place {
        if value & TIME_WAIT == 0 { Place::Connection(value) } else { Place::TimeWait(value & !TIME_WAIT) }
    }
}

/// One cache line: eight tags, eight values, and how many entries that wanted this bucket or one before it
/// went further on because it was full.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u16; SLOTS],
    values: [u32; SLOTS],
    overflow: u32,
}

const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    /// A bit for each entry with this tag. All are compared at once, by what vectors the machine has.
    #[inline]
    fn tagged(&self, tag: u16) -> u32 {
        let bit = |at: usize| u32::from(self.tags[at] == tag && self.values[at] != EMPTY) << at;
        (0..SLOTS).fold(0, |bits, at| bits | bit(at))
    }
}

/// The table. Never grows, never shrinks, leaves no tombstones.
pub struct Table {
    buckets: Vec<Bucket>,
    mask: usize,
    len: u32,
}

fn tag(hash: u64) -> u16 {
    (hash >> 48) as u16
}

impl Table {
    /// A table for `entries` entries, at most three quarters full.
    pub fn new(entries: u32) -> Self {
        let count = Self::buckets_for(entries);
        let empty = Bucket { tags: [0; SLOTS], values: [EMPTY; SLOTS], overflow: 0 };
        Table { buckets: pages::table(count, |_| empty), mask: count - 1, len: 0 }
    }

    fn buckets_for(entries: u32) -> usize {
        (entries as usize).div_ceil(SLOTS * 3 / 4).next_power_of_two()
    }

    /// Bytes of memory that a table for `entries` entries takes.
    pub fn memory(entries: u32) -> usize {
        Self::buckets_for(entries) * size_of::<Bucket>()
    }

    /// Entries in the table.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// There is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn home(&self, hash: u64) -> usize {
        hash as usize & self.mask
    }

    /// Asks for the line that a look-up begins with.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        if let Some(bucket) = self.buckets.get(self.home(hash)) {
            prefetch(bucket);
        }
    }

    /// The first entry with this hash's tag; only a hint, and only from the bucket that a look-up begins with.
    #[inline]
    pub fn hint(&self, hash: u64) -> Option<Place> {
        let bucket = self.buckets.get(self.home(hash))?;
        let at = bucket.tagged(tag(hash)).trailing_zeros() as usize;
        bucket.values.get(at).map(|value| Place::decode(*value))
    }

    /// The first entry with this hash's tag that `confirm` accepts.
    pub fn find(&self, hash: u64, mut confirm: impl FnMut(Place) -> bool) -> Option<Place> {
        let wanted = tag(hash);
        let mut at = self.home(hash);
        for _ in 0..=self.mask {
            let bucket = self.buckets.get(at)?;
            let mut tagged = bucket.tagged(wanted);
            while let Some(value) = bucket.values.get(tagged.trailing_zeros() as usize) {
                if confirm(Place::decode(*value)) {
                    return Some(Place::decode(*value));
                }
                tagged &= tagged - 1;
            }
            if bucket.overflow == 0 {
                return None;
            }
            at = (at + 1) & self.mask;
        }
        None
    }

    /// Adds an entry. The caller has made sure that there is none for the same key (TRN-13).
    ///
    /// # Errors
    /// Every bucket is full: the table was made for fewer entries.
    pub fn insert(&mut self, hash: u64, place: Place) -> Result<(), Place> {
        let Some(steps) = self.steps_to_room(hash) else { return Err(place) };
        let home = self.home(hash);
        for step in 0..=steps {
            let Some(bucket) = self.buckets.get_mut((home + step) & self.mask) else { return Err(place) };
            if step < steps {
                bucket.overflow += 1;
                continue;
            }
            let cells = bucket.tags.iter_mut().zip(bucket.values.iter_mut());
            for (tag_cell, value) in cells {
                if *value == EMPTY {
                    (*tag_cell, *value) = (tag(hash), place.encode());
                    self.len += 1;
                    return Ok(());
                }
            }
        }
        Err(place)
    }

    fn steps_to_room(&self, hash: u64) -> Option<usize> {
        let home = self.home(hash);
        (0..=self.mask).find(|step| {
            let bucket = self.buckets.get((home + step) & self.mask);
            bucket.is_some_and(|bucket| bucket.values.contains(&EMPTY))
        })
    }

    /// Removes the entry for `place`; false when there is none.
    pub fn remove(&mut self, hash: u64, place: Place) -> bool {
        let (home, value) = (self.home(hash), place.encode());
        let Some(steps) = self.steps_to(hash, value) else { return false };
        for step in 0..=steps {
            let Some(bucket) = self.buckets.get_mut((home + step) & self.mask) else { return false };
            if step < steps {
                bucket.overflow -= 1;
            } else if let Some(cell) = bucket.values.iter_mut().find(|cell| **cell == value) {
                *cell = EMPTY;
                self.len -= 1;
                return true;
            }
        }
        false
    }

    /// Lets the entry for `old` point at `new`; false when there is none.
    pub fn replace(&mut self, hash: u64, old: Place, new: Place) -> bool {
        let (home, value) = (self.home(hash), old.encode());
        let Some(steps) = self.steps_to(hash, value) else { return false };
        let bucket = self.buckets.get_mut((home + steps) & self.mask);
        let cell = bucket.and_then(|bucket| bucket.values.iter_mut().find(|cell| **cell == value));
        cell.map(|cell| *cell = new.encode()).is_some()
    }

    /// How many buckets behind its home the entry with this value stands.
    fn steps_to(&self, hash: u64, value: u32) -> Option<usize> {
        let home = self.home(hash);
        for step in 0..=self.mask {
            let bucket = self.buckets.get((home + step) & self.mask)?;
            if bucket.values.contains(&value) {
                return Some(step);
            }
            if bucket.overflow == 0 {
                return None;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use std::collections::HashMap;

    #[test]
    fn the_table_behaves_like_a_map_when_full_and_when_hashes_collide() {
        for hash_bits in [64, 9, 4] {
            let mut rng = Rng::new(hash_bits);
            let entries = 200u32;
            let mut table = Table::new(entries);
            let mut model: HashMap<u32, u64> = HashMap::new();
            for step in 0..20_000 {
                let number = rng.below(entries);
                let place = if number.is_multiple_of(3) {
                    Place::TimeWait(number)
                } else {
                    Place::Connection(number)
                };
                if let Some(hash) = model.remove(&number) {
                    assert_eq!(table.find(hash, |found| found == place), Some(place));
                    if step % 7 == 0 {
                        assert!(table.replace(hash, place, Place::Connection(number + 1_000)));
                        assert!(table.replace(hash, Place::Connection(number + 1_000), place));
                    }
                    assert!(table.remove(hash, place) && !table.remove(hash, place));
                    assert_eq!(table.find(hash, |found| found == place), None);
                } else {
                    let hash = rng.next_u64() >> (64 - hash_bits);
                    table.insert(hash, place).unwrap();
                    model.insert(number, hash);
                }
                assert_eq!(table.len() as usize, model.len());
            }
            for (number, hash) in model.drain() {
                let place = if number.is_multiple_of(3) {
                    Place::TimeWait(number)
                } else {
                    Place::Connection(number)
                };
                assert!(table.remove(hash, place));
            }
            assert!(table.buckets.iter().all(|b| b.overflow == 0 && b.values == [EMPTY; SLOTS]));
        }
    }

    #[test]
    fn a_table_that_is_full_refuses() {
        let mut table = Table::new(1);
        for number in 0..SLOTS as u32 {
            table.insert(7, Place::Connection(number)).unwrap();
        }
        assert!(table.insert(7, Place::Connection(99)).is_err());
    }
}
