//! A list of small numbers, each on it at most once, from which any one can be taken at once: who waits, who closes.
//! The links of all numbers are one allocation.

use super::pages::{self, Table};

const NONE: u32 = u32::MAX;
/// Stands in `next` for a number that is not on the list.
const ABSENT: u32 = u32::MAX - 1;

#[derive(Clone, Copy)]
struct Links {
    next: u32,
    prev: u32,
}

/// The list. Numbers are below its capacity.
pub struct IndexList {
    links: Table<Links>,
    first: u32,
    last: u32,
    len: u32,
}

impl IndexList {
    /// An empty list for numbers below `capacity`.
    pub fn new(capacity: u32) -> Self {
        let links = pages::table(capacity as usize, |_| Links { next: ABSENT, prev: NONE });
        IndexList { links, first: NONE, last: NONE, len: 0 }
    }

    /// Bytes per number.
    pub const fn link_bytes() -> usize {
        size_of::<Links>()
    }

    /// Numbers on the list.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Nothing is on the list.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number at the front.
    pub fn first(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// The number is on the list.
    pub fn contains(&self, index: u32) -> bool {
        // An empty list is not worth the fetch of a line.
        self.len > 0 && self.links.get(index as usize).is_some_and(|links| links.next != ABSENT)
    }

    /// Puts a number at the end, unless it is on the list.
    pub fn push_back(&mut self, index: u32) {
        let before = self.last;
        if self.insert(index, before, NONE) {
            self.last = index;
        }
    }

    /// Puts a number at the front, unless it is on the list.
    pub fn push_front(&mut self, index: u32) {
        let after = self.first;
        if self.insert(index, NONE, after) {
            self.first = index;
        }
    }

    /// Links a number between two neighbours at an end of the list; false if it is there or out of range.
    fn insert(&mut self, index: u32, prev: u32, next: u32) -> bool {
        let Some(links) = self.links.get_mut(index as usize).filter(|links| links.next == ABSENT) else {
            return false;
        };
        *links = Links { next, prev };
        match self.links.get_mut(prev as usize) {
            Some(before) => before.next = index,
            None => self.first = index,
        }
        match self.links.get_mut(next as usize) {
            Some(after) => after.prev = index,
            None => self.last = index,
        }
        self.len += 1;
        true
    }

    /// The number at the front.
    pub fn front(&self) -> Option<u32> {
        (self.first != NONE).then_some(self.first)
    }

    /// Takes the number at the front.
    pub fn pop_front(&mut self) -> Option<u32> {
        let index = self.first;
        self.remove(index).then_some(index)
    }

    /// Takes a number from wherever it is; false if it was not on the list.
    pub fn remove(&mut self, index: u32) -> bool {
        if self.len == 0 {
            return false;
        }
        let Some(links) = self.links.get_mut(index as usize).filter(|links| links.next != ABSENT) else {
            return false;
        };
        let Links { next, prev } = std::mem::replace(links, Links { next: ABSENT, prev: NONE });
        match self.links.get_mut(prev as usize) {
            Some(before) => before.next = next,
            None => self.first = next,
        }
        match self.links.get_mut(next as usize) {
            Some(after) => after.prev = prev,
            None => self.last = prev,
        }
        self.len -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn the_list_behaves_like_a_queue_without_repetitions() {
        let mut rng = crate::base::rng::Rng::new(1);
        let mut list = IndexList::new(8);
        let mut model: VecDeque<u32> = VecDeque::new();
        for _ in 0..10_000 {
            let index = rng.below(10);
            let there = model.contains(&index);
            match rng.below(4) {
                0 => {
                    list.push_back(index);
                    if !there && index < 8 {
                        model.push_back(index);
                    }
                }
                1 => {
                    list.push_front(index);
                    if !there && index < 8 {
                        model.push_front(index);
                    }
                }
                2 => assert_eq!(list.pop_front(), model.pop_front()),
                _ => {
                    assert_eq!(list.remove(index), there);
                    model.retain(|other| *other != index);
                }
            }
            assert_eq!((list.len(), list.is_empty()), (model.len(), model.is_empty()));
            assert_eq!(list.first(), model.front().copied());
            assert!((0..10).all(|n| list.contains(n) == model.contains(&n)));
        }
    }
}
