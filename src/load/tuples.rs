//! Pairs of endpoints, each once before any comes again: the target changes fastest, then the source address, then
//! the source port, so that a pair that has just been used rests for as long as possible.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};

/// Consecutive addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// The first.
    pub first: Ipv4Addr,
    /// How many, from 1.
    pub count: u32,
}

impl Addresses {
    /// A single one.
    pub const fn one(address: Ipv4Addr) -> Self {
        Addresses { first: address, count: 1 }
    }

    /// The n-th, from 0.
    pub fn get(&self, n: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.first).wrapping_add(n))
    }

    /// Whether an address is among them.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address).wrapping_sub(u32::from(self.first)) < self.count
    }
}

/// Consecutive ports, both ends included; none is 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last, not below the first.
    pub last: u16,
}

impl Ports {
    /// Those that a host takes by itself (RFC 6056).
    pub const EPHEMERAL: Ports = Ports { first: 1_024, last: 65_535 };

    /// A single one.
    pub const fn one(port: u16) -> Self {
        Ports { first: port, last: port }
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::from(self.last.saturating_sub(self.first)) + 1
    }
}

/// Where connections go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// Addresses.
    pub addresses: Addresses,
    /// Ports, on each address.
    pub ports: Ports,
}

/// Both endpoints of a connection to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tuple {
    /// Our address.
    pub source: Ipv4Addr,
    /// Our port.
    pub source_port: u16,
    /// The other endpoint.
    pub target: SocketAddrV4,
}

/// Pairs of some sources and some targets.
#[derive(Clone, Debug)]
struct Group {
    sources: Vec<Addresses>,
    ports: Ports,
    targets: Vec<Target>,
    /// The next to be given, as digits, that which changes fastest first: the target's port and address, the target; the
    /// source's address, the source; the source port.
    at: [u32; 6],
    /// So many values has each digit where the others stand now.
    limits: [u32; 6],
}

impl Group {
    fn pairs(&self) -> u64 {
        let sources: u64 = self.sources.iter().map(|s| u64::from(s.count)).sum();
        let targets: u64 =
            self.targets.iter().map(|t| u64::from(t.addresses.count) * u64::from(t.ports.count())).sum();
        sources.saturating_mul(targets).saturating_mul(u64::from(self.ports.count()))
    }

    /// How many values each digit has; 1 where there is none.
    fn limits(&self) -> [u32; 6] {
        let [_, _, target, _, source, _] = self.at;
        let to = self.targets.get(target as usize);
        let from = self.sources.get(source as usize);
        [
            to.map_or(1, |to| to.ports.count()),
            to.map_or(1, |to| to.addresses.count),
            self.targets.len() as u32,
            from.map_or(1, |from| from.count),
            self.sources.len() as u32,
            self.ports.count(),
        ]
    }

    fn next(&mut self) -> Option<Tuple> {
        let [port, address, target, source_address, source, source_port] = self.at;
        let to = self.targets.get(target as usize)?;
        let from = self.sources.get(source as usize)?;
        let tuple = Tuple {
            source: from.get(source_address),
            source_port: self.ports.first.wrapping_add(source_port as u16),
            target: SocketAddrV4::new(to.addresses.get(address), to.ports.first.wrapping_add(port as u16)),
        };
        for (digit, limit) in self.at.iter_mut().zip(self.limits) {
            *digit += 1;
            if *digit < limit {
                break;
            }
            *digit = 0;
        }
        if self.targets.len() > 1 || self.sources.len() > 1 {
            self.limits = self.limits();
        }
        Some(tuple)
    }
}

/// Walks over all pairs, for ever.
#[derive(Clone, Debug)]
pub struct Tuples {
    groups: Vec<Group>,
    turn: usize,
}

impl Tuples {
    /// All pairs of these; none of the lists is empty. `start` chooses the source port to begin with.
    pub fn new(sources: &[Addresses], ports: Ports, targets: &[Target], start: u32) -> Self {
        let at = [0, 0, 0, 0, 0, start % ports.count()];
        let mut group =
            Group { sources: sources.to_vec(), ports, targets: targets.to_vec(), at, limits: [1; 6] };
        group.limits = group.limits();
        Tuples { groups: vec![group], turn: 0 }
    }

    /// The pairs of all of these, taken in turn: not every source leads to every target.
    pub fn join(all: Vec<Tuples>) -> Self {
        Tuples { groups: all.into_iter().flat_map(|one| one.groups).collect(), turn: 0 }
    }

    /// How many pairs there are.
    pub fn pairs(&self) -> u64 {
        self.groups.iter().map(Group::pairs).sum()
    }
}

impl Iterator for Tuples {
    type Item = Tuple;

    /// The next pair; `None` only where there is none.
    fn next(&mut self) -> Option<Tuple> {
        let tuple = self.groups.get_mut(self.turn)?.next();
        self.turn += 1;
        if self.turn == self.groups.len() {
            self.turn = 0;
        }
        tuple
    }
}

/// So many pairs at least are known before they are used; so many more become known together.
const AHEAD: usize = 8;

/// Pairs that are known some time before they are used, so that what will be looked at for them can be fetched.
#[derive(Clone, Debug)]
pub struct Ahead {
    tuples: Tuples,
    known: VecDeque<Tuple>,
    /// The last ones that became known, as long as nobody asked for them.
    new: usize,
}

impl Ahead {
    /// The same pairs in the same order.
    pub fn new(mut tuples: Tuples) -> Self {
        let mut known = VecDeque::with_capacity(2 * AHEAD);
        known.extend(tuples.by_ref().take(AHEAD));
        Ahead { known, tuples, new: 0 }
    }

    /// The pairs that became known since they were asked for last: some together from time to time, so that what is
    /// fetched for them is under way together.
    pub fn new_ones(&mut self) -> impl Iterator<Item = &Tuple> {
        let new = std::mem::take(&mut self.new);
        self.known.range(self.known.len() - new.min(self.known.len())..)
    }
}

impl Iterator for Ahead {
    type Item = Tuple;

    fn next(&mut self) -> Option<Tuple> {
        let tuple = self.known.pop_front()?;
        if self.known.len() < AHEAD {
            let before = self.known.len();
            self.known.extend(self.tuples.by_ref().take(AHEAD));
            self.new += self.known.len() - before;
        }
        Some(tuple)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn addresses(last: u8, count: u32) -> Addresses {
        Addresses { first: Ipv4Addr::new(198, 18, 0, last), count }
    }

    #[test]
    fn pairs_are_known_before_they_are_used() {
        let target = Target { addresses: addresses(9, 1), ports: Ports { first: 1, last: 20 } };
        let tuples = Tuples::new(&[addresses(1, 3)], Ports { first: 1_000, last: 1_002 }, &[target], 1);
        let mut ahead = Ahead::new(tuples.clone());
        let mut expected = tuples.skip(AHEAD);
        let mut told = 0;
        let same = Tuples::new(&[addresses(1, 3)], Ports { first: 1_000, last: 1_002 }, &[target], 1);
        for (taken, tuple) in (1..=400).zip(same) {
            assert_eq!(ahead.next(), Some(tuple));
            let new: Vec<_> = ahead.new_ones().copied().collect();
            assert!(new.iter().all(|tuple| expected.next() == Some(*tuple)));
            told += new.len();
            assert!((taken..taken + 2 * AHEAD).contains(&(AHEAD + told)) && ahead.new_ones().count() == 0);
        }
    }

    #[test]
    fn every_pair_comes_once_before_any_comes_again() {
        let sources = [addresses(1, 3), addresses(100, 1)];
        let targets = [
            Target { addresses: addresses(200, 2), ports: Ports { first: 80, last: 82 } },
            Target { addresses: addresses(210, 1), ports: Ports::one(443) },
        ];
        let mut tuples = Tuples::new(&sources, Ports { first: 65_533, last: 65_535 }, &targets, 5);
        assert_eq!(tuples.pairs(), 4 * 3 * 7);
        let first = tuples.clone().next().unwrap();
        assert_eq!(first.source_port, 65_535);
        let mut seen = HashSet::new();
        for _ in 0..tuples.pairs() {
            let tuple = tuples.next().unwrap();
            assert!(tuple.source_port >= 65_533);
            assert!(seen.insert((tuple.source, tuple.source_port, tuple.target)), "{tuple:?}");
        }
        assert_eq!(tuples.next(), Some(first));
    }

    #[test]
    fn groups_take_turns() {
        let to = |last| Target { addresses: addresses(last, 1), ports: Ports::one(80) };
        let group =
            |from, last| Tuples::new(&[addresses(from, 1)], Ports { first: 7, last: 8 }, &[to(last)], 0);
        let tuples = Tuples::join(vec![group(1, 9), group(2, 10)]);
        assert_eq!(tuples.pairs(), 4);
        let seen: Vec<_> =
            tuples.take(4).map(|t| (t.source.octets()[3], t.target.ip().octets()[3])).collect();
        assert_eq!(seen, [(1, 9), (2, 10), (1, 9), (2, 10)]);
        assert!(Tuples::join(Vec::new()).next().is_none());
    }

    #[test]
    fn one_source_and_one_target_walk_over_the_ports() {
        let target = Target { addresses: addresses(9, 1), ports: Ports::one(80) };
        let mut tuples = Tuples::new(&[addresses(1, 1)], Ports::EPHEMERAL, &[target], 0);
        assert_eq!(tuples.pairs(), 64_512);
        let ports: Vec<_> = (0..3).filter_map(|_| tuples.next()).map(|tuple| tuple.source_port).collect();
        assert_eq!(ports, [1_024, 1_025, 1_026]);
        assert!(Tuples::new(&[], Ports::EPHEMERAL, &[target], 0).next().is_none());
        assert!(addresses(7, 2).contains(Ipv4Addr::new(198, 18, 0, 8)));
        assert!(!addresses(7, 2).contains(Ipv4Addr::new(198, 18, 0, 9)));
    }
}
