//! One cache line of the index: twelve entries, and how many more went past it.

use crate::base::simd::equal_bytes;

/// Entries of a bucket.
pub(super) const SLOTS: usize = 12;

/// Twelve entries.
#[derive(Clone, Copy, PartialEq, Debug)]
#[repr(C, align(64))]
pub(super) struct Bucket {
    /// Twelve tags, of which zero marks a free place, and in the last four bytes how many entries that wanted this
    /// bucket or one before it went further on because it was full: a vector of tags is loaded at once.
    head: [u8; 16],
    pub values: [u32; SLOTS],
}

const _: () = assert!(size_of::<Bucket>() == 64);

impl Bucket {
    /// No entry.
    pub const EMPTY: Bucket = Bucket { head: [0; 16], values: [0; SLOTS] };

    /// How many entries went past this bucket.
    #[inline(always)]
    pub fn overflow(&self) -> u32 {
        let [.., a, b, c, d] = self.head;
        u32::from_le_bytes([a, b, c, d])
    }

    pub fn set_overflow(&mut self, count: u32) {
        let [.., a, b, c, d] = &mut self.head;
        [*a, *b, *c, *d] = count.to_le_bytes();
    }

    /// A bit for each entry with this tag.
    #[inline(always)]
    fn matches(&self, tag: u8) -> u32 {
        equal_bytes(&self.head, tag) & ((1 << SLOTS) - 1)
    }

    /// The values of the entries with this tag, which is not zero.
    #[inline(always)]
    pub fn tagged(&self, tag: u8) -> impl Iterator<Item = u32> {
        ones(self.matches(tag)).filter_map(|at| self.values.get(at).copied())
    }

    /// Where the entry with this tag and this value stands.
    #[inline]
    pub fn position(&self, tag: u8, value: u32) -> Option<usize> {
        ones(self.matches(tag)).find(|at| self.values.get(*at) == Some(&value))
    }

    /// Adds an entry; false when all places are taken.
    #[inline]
    pub fn put(&mut self, tag: u8, value: u32) -> bool {
        let at = self.matches(0).trailing_zeros() as usize;
        let (Some(tag_cell), Some(value_cell)) = (self.head.get_mut(at), self.values.get_mut(at)) else {
            return false;
        };
        (*tag_cell, *value_cell) = (tag, value);
        true
    }

    /// Takes an entry out.
    #[inline]
    pub fn free(&mut self, at: usize) {
        if let (Some(tag), Some(value)) = (self.head.get_mut(at), self.values.get_mut(at)) {
            (*tag, *value) = (0, 0);
        }
    }
}

/// The numbers of the bits that are set, the lowest first.
#[inline(always)]
fn ones(mut bits: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = (bits != 0).then_some(bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
        Some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_takes_twelve() {
        let mut bucket = Bucket::EMPTY;
        for n in 0..12 {
            assert!(bucket.put(1 + n as u8 % 2, n));
        }
        assert!(!bucket.put(1, 99));
        bucket.set_overflow(0x0101_0101);
        assert_eq!(bucket.tagged(2).collect::<Vec<_>>(), [1, 3, 5, 7, 9, 11]);
        assert_eq!((bucket.position(1, 10), bucket.position(2, 10)), (Some(10), None));
        bucket.free(4);
        assert!(bucket.put(9, 100) && bucket.position(9, 100) == Some(4));
        assert_eq!(bucket.overflow(), 0x0101_0101);
        bucket.set_overflow(0);
        (0..12).for_each(|at| bucket.free(at));
        assert_eq!(bucket, Bucket::EMPTY);
    }
}
