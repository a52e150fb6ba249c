//! The addresses that a shard owns. Connections name them by number.

use std::net::{IpAddr, Ipv4Addr};

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
        match (self.addr, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (u32::from(own) ^ u32::from(other)) & self.mask() == 0,
            _ => false,
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
    /// IPv6.
    #[error("{0} is an IPv6 address; only IPv4 is served in this version")]
    NotServed(IpAddr),
    /// There are too many.
    #[error("more than {0} addresses; give fewer")]
    TooMany(usize),
}

/// All addresses of a shard.
#[derive(Clone, Debug, Default)]
pub struct Locals {
    entries: Vec<Local>,
    /// The addresses again, close together for the look-up.
    v4: Vec<u32>,
}

const NOBODY: Local = Local { addr: IpAddr::V4(Ipv4Addr::UNSPECIFIED), prefix: 32, interface: 0 };
const LOCALS_MAX: usize = u16::MAX as usize;

impl Locals {
    /// Adds an address.
    ///
    /// # Errors
    /// See [`LocalError`].
    pub fn add(&mut self, addr: IpAddr, prefix: u8, interface: u8) -> Result<LocalIdx, LocalError> {
        let IpAddr::V4(v4) = addr else { return Err(LocalError::NotServed(addr)) };
        let local = Local { addr, prefix, interface };
        let octets = v4.octets();
        let is_network = prefix <= 30 && u32::from(v4) & !local.mask() == 0;
        let is_broadcast = local.directed_broadcast() == Some(u32::from(v4));
        if !crate::wire::ipv4::may_be_a_source(octets) || is_network || is_broadcast {
            return Err(LocalError::NotAHost(addr));
        }
        if self.v4.contains(&u32::from(v4)) {
            return Err(LocalError::Duplicate(addr));
        }
        if self.entries.len() >= LOCALS_MAX {
            return Err(LocalError::TooMany(LOCALS_MAX));
        }
        self.entries.push(local);
        self.v4.push(u32::from(v4));
        Ok(LocalIdx(self.entries.len() as u16 - 1))
    }

    /// The number of an address.
    pub fn find_v4(&self, address: [u8; 4]) -> Option<LocalIdx> {
        let wanted = u32::from_be_bytes(address);
        self.v4.iter().position(|own| *own == wanted).map(|index| LocalIdx(index as u16))
    }

    /// The address behind a number.
    pub fn get(&self, index: LocalIdx) -> &Local {
        self.entries.get(usize::from(index.0)).unwrap_or(&NOBODY)
    }

    /// All addresses with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (LocalIdx, &Local)> + Clone {
        self.entries.iter().enumerate().map(|(index, local)| (LocalIdx(index as u16), local))
    }

    /// The broadcast address of one of our subnets.
    pub fn is_directed_broadcast(&self, address: [u8; 4]) -> bool {
        let wanted = u32::from_be_bytes(address);
        self.entries.iter().any(|local| local.directed_broadcast() == Some(wanted))
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
}
