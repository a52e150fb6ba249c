//! How many connections each remote address has (LIM-3): one table of counts, made at start, with room for an
//! address of its own for every connection. Not there at all where nobody asks for the limit.

use crate::base::hash::{Key, siphash13_short};
use crate::base::pages::{self, Table};

/// A remote address as it is counted: an IPv4 address.
pub type Address = u32;

#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    address: Address,
    /// 0: the place is free.
    count: u32,
}

const FREE: Place = Place { address: 0, count: 0 };

/// The counts. Linear probing; a removal closes its gap, so that there are no graves.
pub struct PerAddress {
    limit: u32,
    places: Table<Place>,
    secret: Key,
}

impl PerAddress {
    /// Counts up to `limit` connections for each address, `connections` in all; without a limit nothing is counted.
    pub fn new(limit: Option<u32>, connections: u32, secret: Key) -> Self {
        let len = limit.map_or(0, |_| Self::len_for(connections));
        PerAddress { limit: limit.unwrap_or(u32::MAX), places: pages::table(len, |_| FREE), secret }
    }

    fn len_for(connections: u32) -> usize {
        (connections.max(1) as usize * 2).next_power_of_two()
    }

    /// Bytes of memory for so many connections.
    pub fn memory(limit: Option<u32>, connections: u32) -> usize {
        limit.map_or(0, |_| Self::len_for(connections) * size_of::<Place>())
    }

    fn home(&self, address: Address) -> usize {
        siphash13_short(&self.secret, &address.to_be_bytes()) as usize & self.mask()
    }

    fn mask(&self) -> usize {
        self.places.len().wrapping_sub(1)
    }

    /// The address's place, or the free one where it would stand.
    fn find(&self, address: Address) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        let home = self.home(address);
        let mut probes = (0..self.places.len()).map(|step| (home + step) & self.mask());
        probes
            .find(|at| self.places.get(*at).is_some_and(|place| place.count == 0 || place.address == address))
    }

    /// The address has as many connections as it may have.
    pub fn is_full(&self, address: Address) -> bool {
        //= LIM-3
        let found = self.find(address).and_then(|at| self.places.get(at));
        found.is_some_and(|place| place.count >= self.limit)
    }

    /// One connection more.
    pub fn add(&mut self, address: Address) {
        if let Some(place) = self.find(address).and_then(|at| self.places.get_mut(at)) {
            *place = Place { address, count: place.count + 1 };
        }
    }

    /// One connection less.
    pub fn remove(&mut self, address: Address) {
        let Some(at) = self.find(address) else { return };
        let Some(place) = self.places.get_mut(at).filter(|place| place.count > 0) else { return };
        place.count -= 1;
        if place.count == 0 {
            self.close_gap(at);
        }
    }

    /// A place became free: whoever stands behind it and would have liked to stand there or before moves up.
    fn close_gap(&mut self, mut gap: usize) {
        let mask = self.mask();
        let mut at = gap;
        for _ in 0..self.places.len() {
            at = (at + 1) & mask;
            let Some(place) = self.places.get(at).copied().filter(|place| place.count > 0) else { return };
            let from_home = at.wrapping_sub(self.home(place.address)) & mask;
            if from_home >= at.wrapping_sub(gap) & mask {
                self.places[gap] = place;
                self.places[at] = FREE;
                gap = at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn counts_are_those_of_a_map() {
        //= LIM-3
        let mut rng = Rng::new(5);
        let mut counts = PerAddress::new(Some(3), 40, [9; 16]);
        let mut model: HashMap<Address, u32> = HashMap::new();
        let mut open: Vec<Address> = Vec::new();
        for _ in 0..20_000 {
            let address = rng.below(30);
            if open.len() < 40 && rng.below(2) == 0 {
                counts.add(address);
                *model.entry(address).or_default() += 1;
                open.push(address);
            } else if !open.is_empty() {
                let gone = open.swap_remove(rng.below(open.len() as u32) as usize);
                counts.remove(gone);
                *model.get_mut(&gone).unwrap() -= 1;
            }
            for address in 0..30 {
                let full = model.get(&address).is_some_and(|count| *count >= 3);
                assert_eq!(counts.is_full(address), full);
            }
        }
    }

    #[test]
    fn without_a_limit_nobody_is_full_and_nothing_is_kept() {
        let mut counts = PerAddress::new(None, 1 << 20, [9; 16]);
        (0..1_000).for_each(|_| counts.add(7));
        counts.remove(7);
        assert!(!counts.is_full(7));
        assert_eq!(PerAddress::memory(None, 1 << 20), 0);
        assert_eq!(PerAddress::memory(Some(1), 1_000), 2_048 * 8);
    }
}
