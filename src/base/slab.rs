//! Things of one kind in one allocation, named by index, handed out last-freed first so that they are warm.

use super::pages::{self, Table};
use super::prefetch::prefetch_at;

/// A fixed number of slots, each free or in use.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Table<Slot<T>>,
    free: Option<u32>,
    used: u32,
}

#[derive(Debug)]
enum Slot<T> {
    Free { next: Option<u32> },
    Used(T),
}

impl<T> Slab<T> {
    /// A slab of `capacity` free slots. This is the only allocation, and it touches all of its memory.
    pub fn new(capacity: u32) -> Self {
        let slots = pages::table(capacity as usize, |at| {
            let next = at as u32 + 1;
            Slot::Free { next: (next < capacity).then_some(next) }
        });
        Slab { slots, free: (capacity > 0).then_some(0), used: 0 }
    }

    /// Bytes per slot.
    pub const fn slot_bytes() -> usize {
        size_of::<Slot<T>>()
    }

    /// Slots in all.
    pub fn capacity(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Slots in use.
    pub fn len(&self) -> u32 {
        self.used
    }

    /// No slot is in use.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Puts `value` into a free slot. Gives it back when there is none.
    ///
    /// # Errors
    /// All slots are in use.
    #[inline]
    pub fn insert(&mut self, value: T) -> Result<u32, T> {
        let Some(index) = self.free else { return Err(value) };
        let Some(slot) = self.slots.get_mut(index as usize) else { return Err(value) };
        if let Slot::Free { next } = *slot {
            self.free = next;
        }
        *slot = Slot::Used(value);
        self.used += 1;
        Ok(index)
    }

    /// Frees a slot and returns what was in it.
    pub fn remove(&mut self, index: u32) -> Option<T> {
        let slot = self.slots.get_mut(index as usize)?;
        if matches!(slot, Slot::Free { .. }) {
            return None;
        }
        let old = std::mem::replace(slot, Slot::Free { next: self.free });
        self.free = Some(index);
        self.used -= 1;
        match old {
            Slot::Used(value) => Some(value),
            Slot::Free { .. } => None,
        }
    }

    /// Frees a slot, and forgets what was in it without moving it; false when it was free.
    pub fn free(&mut self, index: u32) -> bool {
        let Some(slot @ Slot::Used(_)) = self.slots.get_mut(index as usize) else { return false };
        *slot = Slot::Free { next: self.free };
        self.free = Some(index);
        self.used -= 1;
        true
    }

    /// The slot that will be given out next.
    #[inline]
    pub fn next_free(&self) -> Option<u32> {
        self.free
    }

    /// Asks for the line that a slot begins with, and the one behind it.
    #[inline]
    pub fn prefetch(&self, index: u32) {
        if let Some(slot) = self.slots.get(index as usize) {
            prefetch_at(slot, 0);
            prefetch_at(slot, 64);
        }
    }

    /// What is in a slot.
    pub fn get(&self, index: u32) -> Option<&T> {
        match self.slots.get(index as usize) {
            Some(Slot::Used(value)) => Some(value),
            _ => None,
        }
    }

    /// What is in a slot, to be changed.
    pub fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        match self.slots.get_mut(index as usize) {
            Some(Slot::Used(value)) => Some(value),
            _ => None,
        }
    }

    /// The first slot in use at or after `from`.
    pub fn next_used(&self, from: u32) -> Option<u32> {
        let rest = self.slots.get(from as usize..)?;
        rest.iter().position(|slot| matches!(slot, Slot::Used(_))).map(|offset| from + offset as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_freed_last_is_given_out_first() {
        let mut slab = Slab::new(3);
        let indices: Vec<_> = (0..3).map(|n| slab.insert(n).unwrap()).collect();
        assert_eq!(slab.insert(9), Err(9));
        assert_eq!(slab.remove(indices[1]), Some(1));
        assert_eq!(slab.remove(indices[1]), None);
        assert_eq!((slab.len(), slab.insert(7)), (2, Ok(indices[1])));
        assert!(slab.free(indices[1]) && !slab.free(indices[1]));
        assert_eq!((slab.len(), slab.insert(7)), (2, Ok(indices[1])));
        assert_eq!(slab.get(indices[1]), Some(&7));
        assert_eq!(slab.next_used(1), Some(1));
        assert_eq!(slab.next_used(3), None);
    }
}
