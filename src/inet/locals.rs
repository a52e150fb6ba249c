//! The addresses that a shard owns. Connections name them by number.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use thiserror::Error;

use crate::base::ids::LocalIdx;

/// One address of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Local {
    /// The address.
    pub addr: IpAddr,
    /// The length of its subnet's prefix in bits.
    pub prefix: u8,
    /// The interface that it belongs to.
    pub interface: u8,
}

impl Local {
    /// The address's bytes; zeros for an IPv6 address.
    pub fn v4(&self) -> [u8; 4] {
        match self.addr {
            IpAddr::V4(v4) => v4.octets(),
            IpAddr::V6(_) => [0; 4],
        }
    }

    fn mask(&self) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0)
    }

    /// `other` is in this address's subnet.
    pub fn is_on_link(&self, other: IpAddr) -> bool {
        matches!(other, IpAddr::V4(other) if self.shares_subnet(other.into()))
    }

    fn shares_subnet(&self, other: u32) -> bool {
        let behind_prefix = 32 - u32::from(self.prefix.min(32));
        matches!(self.addr, IpAddr::V4(own) if u64::from(u32::from(own) ^ other) >> behind_prefix == 0)
    }

    /// It stands for its subnet as a whole.
    fn is_network(&self) -> bool {
        match self.addr {
            IpAddr::V4(own) => self.prefix <= 30 && u32::from(own) & !self.mask() == 0,
            IpAddr::V6(_) => false,
        }
    }

    /// The subnet's broadcast address, where it has one.
    fn directed_broadcast(&self) -> Option<u32> {
        match self.addr {
            IpAddr::V4(own) if self.prefix <= 30 => Some(u32::from(own) | !self.mask()),
            _ => None,
        }
    }
}

/// Why an address cannot be ours.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum LocalError {
    /// It is there already.
    #[error("{0} is given twice; give each address once")]
    Duplicate(IpAddr),
    /// It cannot be a host's.
    #[error("{0} cannot be a host's address; choose one inside its subnet")]
    NotAHost(IpAddr),
    /// A range goes on beyond its subnet.
    #[error("the range that begins with {0} leaves its subnet; give a shorter one, or each subnet's apart")]
    LeavesSubnet(IpAddr),
    /// IPv6.
    #[error("{0} is an IPv6 address; only IPv4 is served in this version")]
    NotServed(IpAddr),
    /// There are too many.
    #[error("more than {0} addresses; give fewer")]
    TooMany(usize),
}

/// Addresses one after the other, or a single one.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    first: u32,
    /// At least 1, but where there is none.
    count: u32,
    /// The first one's number; the others' follow it.
    number: u16,
    prefix: u8,
    interface: u8,
    /// Added by itself, and not as part of a range.
    primary: bool,
}

impl Entry {
    /// The address at this distance from the first.
    fn at(&self, offset: u32) -> Local {
        let addr = IpAddr::V4((self.first + offset).into());
        Local { addr, prefix: self.prefix, interface: self.interface }
    }

    /// How far `address` is from the first, if it is one of these.
    fn offset_of(&self, address: u32) -> Option<u32> {
        let offset = address.wrapping_sub(self.first);
        (offset < self.count).then_some(offset)
    }
}

/// All addresses of a shard: single ones, and ranges. What is looked for is looked for among entries, not at each
/// address.
#[derive(Clone, Debug, Default)]
pub struct Locals {
    /// In the order of their numbers.
    entries: Vec<Entry>,
    /// The same in the order of their addresses.
    by_address: Vec<Entry>,
    /// The broadcast addresses of all subnets, in order.
    broadcasts: Vec<u32>,
    /// The complement of the bits that all broadcast addresses have.
    not_in_broadcasts: u32,
    /// The lowest address, and how far the highest is from it: most strangers' are not between them.
    lowest: u32,
    span: u32,
    /// The entry with the most addresses, for which most of what is looked for is meant.
    widest: Entry,
    len: usize,
}

const NOBODY: Local = Local { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 32, interface: 0 };
const LOCALS_MAX: usize = u16::MAX as usize;

impl Locals {
    /// Adds an address, which is announced, and may be chosen for connections that do not name one.
    ///
    /// # Errors
    /// See [`LocalError`].
    pub fn add(&mut self, addr: IpAddr, prefix: u8, interface: u8) -> Result<LocalIdx, LocalError> {
        let IpAddr::V4(v4) = addr else { return Err(LocalError::NotServed(addr)) };
        let local = Local { addr, prefix, interface };
        if local.is_network() || local.directed_broadcast() == Some(u32::from(v4)) {
            return Err(LocalError::NotAHost(addr));
        }
        let number = self.len as u16;
        let entry = Entry { first: u32::from(v4), count: 1, number, prefix, interface, primary: true };
        self.push(entry)?;
        Ok(LocalIdx(number))
    }

    /// Adds `count` addresses from `first` on, without those that stand for their subnet as a whole or for all hosts in
    /// it. They are answered for as any address of ours, but they are not announced, and are used only by who names
    /// them. With a prefix of 32 bits they are in no subnet. Returns the addresses that were added, as numbers.
    ///
    /// # Errors
    /// See [`LocalError`].
    pub fn add_range(
        &mut self,
        first: IpAddr,
        count: u32,
        prefix: u8,
        interface: u8,
    ) -> Result<Range<u32>, LocalError> {
        let IpAddr::V4(v4) = first else { return Err(LocalError::NotServed(first)) };
        let local = Local { addr: first, prefix, interface };
        let last = u32::from(v4).checked_add(count.saturating_sub(1)).ok_or(LocalError::NotAHost(first))?;
        if prefix < 32 && !local.is_on_link(IpAddr::V4(last.into())) {
            return Err(LocalError::LeavesSubnet(first));
        }
        let begin = u32::from(v4) + u32::from(count > 0 && local.is_network());
        let end = u32::from(v4).saturating_add(count)
            - u32::from(count > 0 && local.directed_broadcast() == Some(last));
        if begin >= end {
            return Err(LocalError::NotAHost(first));
        }
        let (count, number) = (end - begin, self.len as u16);
        self.push(Entry { first: begin, count, number, prefix, interface, primary: false })?;
        Ok(begin..end)
    }

    fn push(&mut self, entry: Entry) -> Result<(), LocalError> {
        let last = entry.first + (entry.count - 1);
        for end in [entry.first, last] {
            if !crate::wire::ipv4::may_be_a_source(end.to_be_bytes()) {
                return Err(LocalError::NotAHost(IpAddr::V4(end.into())));
            }
        }
        let overlaps = |other: &Entry| {
            other
                .offset_of(entry.first)
                .map(|_| entry.first)
                .or(entry.offset_of(other.first).map(|_| other.first))
        };
        if let Some(shared) = self.entries.iter().find_map(overlaps) {
            return Err(LocalError::Duplicate(IpAddr::V4(shared.into())));
        }
        let len = self.len + entry.count as usize;
        if len > LOCALS_MAX {
            return Err(LocalError::TooMany(LOCALS_MAX));
        }
        self.entries.push(entry);
        let at = self.by_address.partition_point(|other| other.first < entry.first);
        self.by_address.insert(at, entry);
        let highest = self.by_address.last().map_or(last, |other| other.first + (other.count - 1));
        self.lowest = self.by_address.first().map_or(entry.first, |other| other.first);
        self.span = highest - self.lowest;
        self.widest = if entry.count > self.widest.count { entry } else { self.widest };
        if let Some(broadcast) = entry.at(0).directed_broadcast()
            && let Err(at) = self.broadcasts.binary_search(&broadcast)
        {
            self.broadcasts.insert(at, broadcast);
            self.not_in_broadcasts |= !broadcast;
        }
        self.len = len;
        Ok(())
    }

    /// The number of an address.
    #[inline]
    pub fn find_v4(&self, address: [u8; 4]) -> Option<LocalIdx> {
        self.find(address).map(|(number, _)| number)
    }

    /// The number of an address that belongs to this interface.
    #[inline]
    pub fn find_v4_at(&self, interface: u8, address: [u8; 4]) -> Option<LocalIdx> {
        self.find(address).filter(|(_, entry)| entry.interface == interface).map(|(number, _)| number)
    }

    #[inline]
    fn find(&self, address: [u8; 4]) -> Option<(LocalIdx, &Entry)> {
        let wanted = u32::from_be_bytes(address);
        if wanted.wrapping_sub(self.lowest) > self.span {
            return None;
        }
        if let Some(offset) = self.widest.offset_of(wanted) {
            return Some((LocalIdx(self.widest.number + offset as u16), &self.widest));
        }
        let behind = self.by_address.partition_point(|entry| entry.first <= wanted);
        let entry = self.by_address.get(behind.checked_sub(1)?)?;
        Some((LocalIdx(entry.number + entry.offset_of(wanted)? as u16), entry))
    }

    /// The address behind a number.
    #[inline]
    pub fn get(&self, index: LocalIdx) -> Local {
        let at = |entry: &Entry| {
            let offset = u32::from(index.0.wrapping_sub(entry.number));
            (offset < entry.count).then(|| entry.at(offset))
        };
        at(&self.widest).unwrap_or_else(|| self.search(index))
    }

    fn search(&self, index: LocalIdx) -> Local {
        let behind = self.entries.partition_point(|entry| entry.number <= index.0);
        let entry = behind.checked_sub(1).and_then(|at| self.entries.get(at));
        let found = entry.map(|entry| (entry, u32::from(index.0 - entry.number)));
        found
            .filter(|(entry, offset)| *offset < entry.count)
            .map_or(NOBODY, |(entry, offset)| entry.at(offset))
    }

    /// The addresses that were added one by one, with their numbers.
    pub fn primary(&self) -> impl Iterator<Item = (LocalIdx, Local)> + Clone {
        self.entries.iter().filter(|entry| entry.primary).map(|entry| (LocalIdx(entry.number), entry.at(0)))
    }

    /// One address of each entry, which stands for its subnet and its interface.
    pub fn subnets(&self) -> impl Iterator<Item = Local> + Clone {
        self.entries.iter().map(|entry| entry.at(0))
    }

    /// `address` is in a subnet of an address on this interface.
    #[inline]
    pub fn is_on_link(&self, interface: u8, address: u32) -> bool {
        let leads_there = |entry: &Entry| entry.interface == interface && entry.at(0).shares_subnet(address);
        self.entries.iter().any(leads_there)
    }

    /// The broadcast address of one of our subnets.
    #[inline]
    pub fn is_directed_broadcast(&self, address: [u8; 4]) -> bool {
        let wanted = u32::from_be_bytes(address);
        wanted | self.not_in_broadcasts == u32::MAX && self.broadcasts.binary_search(&wanted).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn addresses_are_found_and_their_subnets_known() {
        //= IP4-6
        let mut locals = Locals::default();
        let a = locals.add(ip("198.18.0.1"), 24, 0).unwrap();
        let b = locals.add(ip("198.19.0.1"), 16, 1).unwrap();
        assert_eq!((locals.find_v4([198, 18, 0, 1]), locals.find_v4([198, 19, 0, 1])), (Some(a), Some(b)));
        assert_eq!(locals.find_v4([198, 18, 0, 2]), None);
        assert!(locals.is_directed_broadcast([198, 18, 0, 255]));
        assert!(locals.is_directed_broadcast([198, 19, 255, 255]));
        assert!(!locals.is_directed_broadcast([198, 19, 0, 255]));
        assert!(locals.get(b).is_on_link(ip("198.19.7.7")) && !locals.get(a).is_on_link(ip("198.18.1.2")));
    }

    #[test]
    fn what_cannot_be_a_hosts_address_is_refused() {
        let mut locals = Locals::default();
        locals.add(ip("198.18.0.1"), 24, 0).unwrap();
        assert_eq!(locals.add(ip("198.18.0.1"), 24, 1), Err(LocalError::Duplicate(ip("198.18.0.1"))));
        for (wrong, prefix) in [("198.18.0.0", 24), ("198.18.0.255", 24), ("224.0.0.1", 24), ("0.0.0.0", 0)] {
            assert_eq!(locals.add(ip(wrong), prefix, 0), Err(LocalError::NotAHost(ip(wrong))), "{wrong}");
        }
        assert!(locals.add(ip("198.18.0.0"), 31, 0).is_ok());
        assert!(locals.add(ip("198.18.0.255"), 32, 0).is_ok());
        assert_eq!(locals.add(ip("fd00::1"), 64, 0), Err(LocalError::NotServed(ip("fd00::1"))));
    }

    fn numbers(range: Range<u32>) -> (IpAddr, usize) {
        (IpAddr::V4(range.start.into()), range.len())
    }

    #[test]
    fn a_range_is_found_address_by_address_beside_single_ones() {
        let mut locals = Locals::default();
        let one = locals.add(ip("198.18.0.1"), 15, 0).unwrap();
        let added = locals.add_range(ip("198.18.4.0"), 1_024, 15, 0).unwrap();
        assert_eq!(numbers(added), (ip("198.18.4.0"), 1_024), "neither is an end of the subnet");
        let other = locals.add(ip("198.18.0.2"), 15, 1).unwrap();
        assert_eq!(numbers(locals.add_range(ip("203.0.113.0"), 256, 32, 1).unwrap()).1, 256);
        for (address, interface) in
            [("198.18.4.0", 0), ("198.18.5.1", 0), ("198.18.7.255", 0), ("203.0.113.255", 1)]
        {
            let IpAddr::V4(v4) = ip(address) else { panic!() };
            let found = locals.get(locals.find_v4(v4.octets()).unwrap());
            assert_eq!((found.addr, found.interface), (ip(address), interface));
        }
        for absent in [[198, 18, 3, 255], [198, 18, 8, 0], [203, 0, 112, 255], [203, 0, 114, 0]] {
            assert_eq!(locals.find_v4(absent), None, "{absent:?}");
        }
        let all: Vec<_> = (0..1_282).map(|number| locals.get(LocalIdx(number)).addr).collect();
        let mut distinct = all.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), all.len(), "each number names another address");
        assert_eq!(locals.get(LocalIdx(1_282)), NOBODY);
        assert!(locals.primary().map(|(number, _)| number).eq([one, other]));
        assert_eq!(locals.subnets().count(), 4);
        for wanted in (0..=0x3ffff).map(|low| 0xc612_0000 | low).chain(0xcb00_7000..0xcb00_7300) {
            let of = |entry: &Entry| Some(LocalIdx(entry.number + entry.offset_of(wanted)? as u16));
            let (found, at_1) =
                (locals.find_v4(wanted.to_be_bytes()), locals.find_v4_at(1, wanted.to_be_bytes()));
            assert_eq!(found, locals.entries.iter().find_map(of), "{wanted:x}");
            assert_eq!(at_1, found.filter(|number| locals.get(*number).interface == 1), "{wanted:x}");
            let broadcast = locals.subnets().any(|local| local.directed_broadcast() == Some(wanted));
            assert_eq!(locals.is_directed_broadcast(wanted.to_be_bytes()), broadcast, "{wanted:x}");
        }
        assert!(
            locals.is_directed_broadcast([198, 19, 255, 255])
                && !locals.is_directed_broadcast([203, 0, 113, 255])
        );
    }

    #[test]
    fn a_range_leaves_out_the_ends_of_its_subnet() {
        let add = |first: &str, count, prefix| {
            Locals::default().add_range(ip(first), count, prefix, 0).map(numbers)
        };
        assert_eq!(add("198.18.0.0", 256, 24), Ok((ip("198.18.0.1"), 254)));
        assert_eq!(add("198.18.0.0", 255, 24), Ok((ip("198.18.0.1"), 254)));
        assert_eq!(add("198.18.0.1", 255, 24), Ok((ip("198.18.0.1"), 254)));
        assert_eq!(add("198.18.0.0", 2, 31), Ok((ip("198.18.0.0"), 2)));
        for (nothing, count) in [("198.18.0.0", 1), ("198.18.0.255", 1), ("198.18.0.7", 0), ("198.18.0.0", 0)]
        {
            assert_eq!(add(nothing, count, 24), Err(LocalError::NotAHost(ip(nothing))), "{nothing} {count}");
        }
        assert_eq!(add("198.18.0.9", 248, 24), Err(LocalError::LeavesSubnet(ip("198.18.0.9"))));
    }

    #[test]
    fn overlaps_and_too_many_addresses_are_refused_and_change_nothing() {
        let mut locals = Locals::default();
        locals.add(ip("198.18.0.9"), 15, 0).unwrap();
        locals.add_range(ip("198.18.1.0"), 256, 15, 0).unwrap();
        let rows = [
            ("198.18.0.0", 11, ip("198.18.0.9")),
            ("198.18.1.255", 9, ip("198.18.1.255")),
            ("198.18.0.200", 57, ip("198.18.1.0")),
            ("198.18.1.7", 2, ip("198.18.1.7")),
        ];
        for (first, count, shared) in rows {
            assert_eq!(locals.add_range(ip(first), count, 15, 0), Err(LocalError::Duplicate(shared)));
        }
        assert_eq!(locals.add(ip("198.18.1.7"), 15, 0), Err(LocalError::Duplicate(ip("198.18.1.7"))));
        assert_eq!(locals.add_range(ip("198.19.0.0"), 65_535, 15, 0), Err(LocalError::TooMany(65_535)));
        assert_eq!(
            locals.add_range(ip("255.255.255.255"), 2, 32, 0),
            Err(LocalError::NotAHost(ip("255.255.255.255")))
        );
        assert_eq!(
            locals.add_range(ip("126.255.255.0"), 512, 32, 0),
            Err(LocalError::NotAHost(ip("127.0.0.255")))
        );
        assert_eq!(locals.subnets().count(), 2);
        // With the 257 that there are.
        assert_eq!(numbers(locals.add_range(ip("198.19.0.0"), 65_278, 15, 0).unwrap()).1, 65_278);
        assert_eq!(locals.get(LocalIdx(65_534)).addr, ip("198.19.254.253"));
    }
}
