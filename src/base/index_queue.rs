//! A queue of small numbers, each in it at most once: who owes something. What is known of a number by itself is one bit,
//! so that neither to come nor to go fetches a line of its own; none can be taken out of the middle.

use super::pages::{self, Table};
use super::prefetch::prefetch;
use super::ring::Ring;

/// The queue. Numbers are below its capacity.
pub struct IndexQueue {
    ring: Ring<u32>,
    /// A bit for each number that is in the queue.
    there: Table<u64>,
}

impl IndexQueue {
    /// An empty queue for numbers below `capacity`.
    pub fn new(capacity: u32) -> Self {
        let words = (capacity as usize).div_ceil(64);
        IndexQueue { ring: Ring::new(capacity as usize), there: pages::table(words, |_| 0) }
    }

    /// Bytes of memory for so many numbers.
    pub const fn memory(capacity: usize) -> usize {
        Ring::<u32>::memory(capacity) + capacity.div_ceil(64) * size_of::<u64>()
    }

    /// Numbers in the queue.
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Nothing is in the queue.
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// The number is in the queue.
    pub fn contains(&self, index: u32) -> bool {
        self.there.get(index as usize / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Asks for the line that says whether a number is in the queue.
    #[inline]
    pub fn prefetch(&self, index: u32) {
        self.there.get(index as usize / 64).into_iter().for_each(prefetch);
    }

    /// Puts a number at the end, unless it is in the queue or beyond the capacity.
    #[inline]
    pub fn push_back(&mut self, index: u32) {
        let Some(word) = self.there.get_mut(index as usize / 64) else { return };
        let is_there = *word >> (index % 64) & 1 == 1;
        if !is_there && (index as usize) < self.ring.capacity() && self.ring.push_back(index) {
            *word |= 1 << (index % 64);
        }
    }

    /// Takes the number at the front.
    #[inline]
    pub fn pop_front(&mut self) -> Option<u32> {
        let index = self.ring.pop_front()?;
        if let Some(word) = self.there.get_mut(index as usize / 64) {
            *word &= !(1 << (index % 64));
        }
        Some(index)
    }

    /// The number that is `behind` places behind the front, if the queue is so long.
    #[inline]
    pub fn ahead(&self, behind: usize) -> Option<u32> {
        self.ring.get(behind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use std::collections::VecDeque;

    #[test]
    fn a_queue_is_in_order_and_has_each_number_once() {
        let mut rng = Rng::new(5);
        for capacity in [1, 2, 63, 64, 65, 200] {
            let mut queue = IndexQueue::new(capacity);
            let mut model = VecDeque::new();
            for _ in 0..5_000 {
                if rng.below(5) < 3 {
                    let index = rng.below(capacity + 2);
                    queue.push_back(index);
                    if index < capacity && !model.contains(&index) {
                        model.push_back(index);
                    }
                } else {
                    assert_eq!(queue.pop_front(), model.pop_front());
                }
                assert_eq!((queue.len(), queue.is_empty()), (model.len(), model.is_empty()));
                let behind = rng.below(capacity + 2) as usize;
                assert_eq!(queue.ahead(behind), model.get(behind).copied());
                let asked = rng.below(capacity + 2);
                assert_eq!(queue.contains(asked), model.contains(&asked));
            }
        }
    }
}
