//! Numbers in no order, of which any can be taken: so many at most, in one allocation.

use super::pages::{self, Table};
use super::prefetch::prefetch;

/// The numbers.
#[derive(Debug)]
pub struct Bag {
    places: Table<u32>,
    len: u32,
}

impl Bag {
    /// An empty one with room for `capacity` numbers.
    pub fn new(capacity: usize) -> Self {
        Bag { places: pages::table(capacity, |_| 0), len: 0 }
    }

    /// Bytes of memory for so many numbers.
    pub const fn memory(capacity: usize) -> usize {
        capacity * size_of::<u32>()
    }

    /// Numbers in it.
    #[inline]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// It has none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a number; false, with nothing done, when there is no room.
    #[inline]
    pub fn push(&mut self, number: u32) -> bool {
        let Some(place) = self.places.get_mut(self.len as usize) else { return false };
        *place = number;
        self.len += 1;
        true
    }

    /// Asks for the line that a number stands on: the one that [`Bag::take`] takes at this place, if nothing else is
    /// taken meanwhile.
    #[inline]
    pub fn prefetch(&self, at: u32) {
        self.places.get(at as usize).into_iter().for_each(prefetch);
    }

    /// Takes the number at a place below [`Bag::len`]; the last one comes there.
    #[inline]
    pub fn take(&mut self, at: u32) -> Option<u32> {
        let rest = self.len.checked_sub(1).filter(|last| at <= *last)?;
        let last = self.places.get(rest as usize).copied()?;
        let place = self.places.get_mut(at as usize)?;
        self.len = rest;
        Some(std::mem::replace(place, last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn what_was_put_in_comes_out_once() {
        let mut rng = Rng::new(9);
        for capacity in [0usize, 1, 40] {
            let (mut bag, mut model) = (Bag::new(capacity), Vec::new());
            for n in 0..3_000 {
                if rng.below(2) == 0 {
                    let fits = model.len() < capacity;
                    assert_eq!(bag.push(n), fits);
                    if fits {
                        model.push(n);
                    }
                } else {
                    let at = rng.below(1 + model.len() as u32);
                    bag.prefetch(at);
                    let expected = (at < model.len() as u32).then(|| model.swap_remove(at as usize));
                    assert_eq!(bag.take(at), expected);
                }
                assert_eq!((bag.len(), bag.is_empty()), (model.len() as u32, model.is_empty()));
            }
        }
    }
}
