//! A queue of so many things at most, in one allocation that never grows.

use super::pages::{self, Table};

/// The queue.
#[derive(Debug)]
pub struct Ring<T> {
    places: Table<T>,
    first: usize,
    len: usize,
}

impl<T: Copy + Default> Ring<T> {
    /// An empty queue with room for `capacity` things.
    pub fn new(capacity: usize) -> Self {
        Ring { places: pages::table(capacity, |_| T::default()), first: 0, len: 0 }
    }

    /// Bytes of memory for so many things.
    pub const fn memory(capacity: usize) -> usize {
        capacity * size_of::<T>()
    }

    /// Things that the queue has room for.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.places.len()
    }

    /// Things in the queue.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nothing is in the queue.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// There is no room for another one.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.len == self.capacity()
    }

    /// Where the thing stands that has so many before it, or will stand.
    #[inline]
    fn place(&self, before: usize) -> usize {
        let at = self.first + before;
        if at < self.places.len() { at } else { at - self.places.len() }
    }

    /// Puts a thing at the end; false, with nothing done, when there is no room.
    #[inline]
    pub fn push_back(&mut self, thing: T) -> bool {
        if self.is_full() {
            return false;
        }
        let at = self.place(self.len);
        let Some(place) = self.places.get_mut(at) else { return false };
        *place = thing;
        self.len += 1;
        true
    }

    /// The thing that has so many before it.
    #[inline]
    pub fn get(&self, before: usize) -> Option<T> {
        if before < self.len { self.places.get(self.place(before)).copied() } else { None }
    }

    /// Takes the first thing.
    #[inline]
    pub fn pop_front(&mut self) -> Option<T> {
        let rest = self.len.checked_sub(1)?;
        let thing = *self.places.get(self.first)?;
        let next = self.first + 1;
        self.first = if next < self.places.len() { next } else { 0 };
        self.len = rest;
        Some(thing)
    }

    /// All things, the first one first.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        (0..self.len).filter_map(|before| self.get(before))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn it_does_as_a_queue_that_grows() {
        let mut rng = Rng::new(5);
        for capacity in [0, 1, 2, 7, 300] {
            let (mut ring, mut model) = (Ring::new(capacity), VecDeque::new());
            for n in 0..5_000u32 {
                if rng.below(5) < 3 {
                    let fits = model.len() < capacity;
                    assert_eq!(ring.push_back(n), fits);
                    if fits {
                        model.push_back(n);
                    }
                } else {
                    assert_eq!(ring.pop_front(), model.pop_front());
                }
                let at = rng.below(8) as usize;
                assert_eq!(ring.get(at), model.get(at).copied());
                assert_eq!(
                    (ring.len(), ring.is_empty(), ring.is_full()),
                    (model.len(), model.is_empty(), model.len() == capacity)
                );
            }
            assert!(ring.iter().eq(model.iter().copied()));
        }
    }
}
