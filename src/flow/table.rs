//! The index from endpoints to connections and TIME-WAIT records: buckets of one cache line with tags, so that
//! one probe finds either. It knows hashes and numbers only; what it finds is a hint until the key in the
//! connection's own line confirms it (law 4).

use super::bucket::Bucket;
use crate::base::pages;
use crate::base::prefetch::prefetch;

/// Entries of so many buckets in a table that holds as many as it was made for: 25 of 36 places are taken then, and 2
/// entries in 100 are not in the bucket that their hash names.
const BUCKETS: usize = 3;
const ENTRIES: usize = 25;

/// What an entry points at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// A connection's slot.
    Connection(u32),
    /// A TIME-WAIT record.
    TimeWait(u32),
}

/// What a look into the bucket that a look-up begins with says of an entry. Good until an entry is added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hint {
    /// It may be this one; the key decides.
    At(Place),
    /// There is none.
    Nowhere,
    /// It may be in another bucket.
    Elsewhere,
}

/// The table. Never grows, never shrinks, leaves no tombstones.
///
/// The upper half of a hash chooses the bucket, however many there are; its lowest byte is the entry's tag. The value
/// of an entry holds the place, and in the bits that no place needs as many more of the hash's lower half: an
/// entry with the same tag that stands for another key is seen to be one before its line is fetched.
pub struct Table {
    buckets: pages::Table<Bucket>,
    len: u32,
    /// Entries that were added since the start; wraps.
    added: u32,
    /// The bit of a value that tells a TIME-WAIT record from a connection; below it is the place's number.
    time_wait: u32,
    /// The bits of a value above that one, which are the hash's.
    hashed: u32,
}

fn tag(hash: u64) -> u8 {
    // Zero marks a free place.
    (hash as u8).max(1)
}

impl Table {
    /// A table for `entries` entries, seven tenths full with them, that point at places below `places`.
    pub fn new(entries: u32, places: u32) -> Self {
        let time_wait = places.checked_next_power_of_two().unwrap_or(1 << 31);
        Table {
            buckets: pages::table(Self::buckets_for(entries), |_| Bucket::EMPTY),
            len: 0,
            added: 0,
            time_wait,
            hashed: !(time_wait | (time_wait - 1)),
        }
    }

    fn buckets_for(entries: u32) -> usize {
        (entries as usize * BUCKETS).div_ceil(ENTRIES).max(1)
    }

    /// Bytes of memory that a table for `entries` entries takes.
    pub fn memory(entries: u32) -> usize {
        Self::buckets_for(entries) * size_of::<Bucket>()
    }

    /// Entries in the table.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Entries that were added since the start; wraps.
    pub fn added(&self) -> u32 {
        self.added
    }

    /// There is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of an entry; `None` for a place beyond those that the table was made for.
    #[inline]
    fn encode(&self, hash: u64, place: Place) -> Option<u32> {
        let (number, kind) = match place {
            Place::Connection(number) => (number, 0),
            Place::TimeWait(number) => (number, self.time_wait),
        };
        (number < self.time_wait).then_some(number | kind | hash as u32 & self.hashed)
    }

    #[inline]
    fn decode(&self, value: u32) -> Place {
        let number = value & (self.time_wait - 1);
        if value & self.time_wait == 0 { Place::Connection(number) } else { Place::TimeWait(number) }
    }

    /// The upper half of the hash as a fraction of all buckets.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        (((hash >> 32) * self.buckets.len() as u64) >> 32) as usize
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.buckets.len() { 0 } else { at + 1 }
    }

    /// Asks for the line that a look-up begins with.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        if let Some(bucket) = self.buckets.get(self.home(hash)) {
            prefetch(bucket);
        }
    }

    /// The first entry that may be this hash's; only a hint, and only from the bucket that a look-up begins with. Where
    /// the look-up will go on behind that, the next line is asked for, and others may have their turn meanwhile.
    #[inline]
    pub fn hint(&self, hash: u64) -> Hint {
        let at = self.home(hash);
        let Some(bucket) = self.buckets.get(at) else { return Hint::Nowhere };
        let hint = bucket.tagged(tag(hash)).find(|value| (value ^ hash as u32) & self.hashed == 0);
        match hint {
            Some(value) => Hint::At(self.decode(value)),
            None if bucket.overflow() == 0 => Hint::Nowhere,
            None => {
                self.buckets.get(self.after(at)).into_iter().for_each(prefetch);
                Hint::Elsewhere
            }
        }
    }

    /// The first entry that may be this hash's and that `confirm` accepts.
    #[inline]
    pub fn find(&self, hash: u64, mut confirm: impl FnMut(Place) -> bool) -> Option<Place> {
        let mut at = self.home(hash);
        for _ in 0..self.buckets.len() {
            let bucket = self.buckets.get(at)?;
            for value in bucket.tagged(tag(hash)) {
                if (value ^ hash as u32) & self.hashed == 0 && confirm(self.decode(value)) {
                    return Some(self.decode(value));
                }
            }
            if bucket.overflow() == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }

    /// Adds an entry. The caller has made sure that there is none for the same key (TRN-13).
    ///
    /// # Errors
    /// Every bucket is full, or the place is beyond those that the table was made for.
    pub fn insert(&mut self, hash: u64, place: Place) -> Result<(), Place> {
        let Some(value) = self.encode(hash, place) else { return Err(place) };
        let mut at = self.home(hash);
        for steps in 0..self.buckets.len() {
            let Some(bucket) = self.buckets.get_mut(at) else { return Err(place) };
            if bucket.put(tag(hash), value) {
                self.len += 1;
                self.added = self.added.wrapping_add(1);
                self.passed(hash, steps, |overflow| overflow + 1);
                return Ok(());
            }
            at = self.after(at);
        }
        Err(place)
    }

    /// Changes how many entries went past each of the first `steps` buckets from this hash's home on.
    fn passed(&mut self, hash: u64, steps: usize, change: impl Fn(u32) -> u32) {
        let mut at = self.home(hash);
        for _ in 0..steps {
            if let Some(bucket) = self.buckets.get_mut(at) {
                bucket.set_overflow(change(bucket.overflow()));
            }
            at = self.after(at);
        }
    }

    /// Removes the entry for `place`; false when there is none.
    pub fn remove(&mut self, hash: u64, place: Place) -> bool {
        let Some((steps, bucket, at)) = self.entry(hash, place) else { return false };
        bucket.free(at);
        self.len -= 1;
        self.passed(hash, steps, |overflow| overflow - 1);
        true
    }

    /// Lets the entry for `old` point at `new`; false when there is none, or `new` is beyond the table's places.
    pub fn replace(&mut self, hash: u64, old: Place, new: Place) -> bool {
        let Some(value) = self.encode(hash, new) else { return false };
        let cell = self.entry(hash, old).and_then(|(_, bucket, at)| bucket.values.get_mut(at));
        cell.map(|cell| *cell = value).is_some()
    }

    /// The entry for a place: how many buckets behind its home, in which, and where in that.
    fn entry(&mut self, hash: u64, place: Place) -> Option<(usize, &mut Bucket, usize)> {
        let value = self.encode(hash, place)?;
        let mut at = self.home(hash);
        for steps in 0..self.buckets.len() {
            let bucket = self.buckets.get(at)?;
            if let Some(cell) = bucket.position(tag(hash), value) {
                return self.buckets.get_mut(at).map(|bucket| (steps, bucket, cell));
            }
            if bucket.overflow() == 0 {
                return None;
            }
            at = self.after(at);
        }
        None
    }
}

#[cfg(test)]
mod tests;
