//! One place of the neighbour cache: its state, and what it is worth when another wants the place.

use std::net::{IpAddr, Ipv4Addr};

use crate::base::time::Instant;
use crate::wire::ethernet::Mac;

/// How long an answer counts without confirmation (ARP-3).
pub(super) const CONFIRMED_US: u64 = 60_000_000;
/// A neighbour that nobody looked up for this long after its last confirmation gives its place back.
const IDLE_US: u64 = 2 * CONFIRMED_US;
/// Between two requests for the same address (ARP-3).
const ASK_INTERVAL_US: u64 = 1_000_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Free,
    /// Not known, and forgotten as soon as it may be asked for again.
    Quiet,
    /// It answered no request; known as that for a second.
    Failed,
    /// Asked for by broadcast; `asked` times.
    Incomplete {
        asked: u8,
    },
    /// Known.
    Reachable,
    /// Known for long without confirmation: asked by unicast, used meanwhile.
    Probing {
        asked: u8,
    },
    /// Given by the operator.
    Fixed,
}

#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub ip: IpAddr,
    pub interface: u8,
    pub state: State,
    pub mac: Mac,
    /// We sent to it, so that it is worth more than one that only spoke to us.
    pub used: bool,
    /// When it was confirmed last; while it has no address or is asked for, when it was asked for last
    /// ([`NEVER`]: not yet).
    pub at: Instant,
}

pub(super) const NEVER: Instant = Instant::ZERO;

pub(super) const FREE: Entry = Entry {
    ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    interface: 0,
    state: State::Free,
    mac: Mac([0; 6]),
    used: false,
    at: NEVER,
};

/// What an entry is worth when another wants its place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Worth {
    Nothing,
    Unused,
    Used,
}

impl Entry {
    pub fn is_for(&self, interface: u8, ip: IpAddr) -> bool {
        self.state != State::Free && self.interface == interface && self.ip == ip
    }

    /// Known, and not to be asked for again.
    #[inline]
    pub fn is_fresh(&self, now: Instant) -> bool {
        match self.state {
            State::Fixed => true,
            State::Reachable => now.since_us(self.at) < CONFIRMED_US,
            _ => false,
        }
    }

    pub fn may_be_asked(&self, now: Instant) -> bool {
        self.at == NEVER || now.since_us(self.at) >= ASK_INTERVAL_US
    }

    /// Nobody needs it any more.
    pub fn has_aged(&self, now: Instant) -> bool {
        match self.state {
            State::Quiet => self.may_be_asked(now),
            // It failed when the last request was an interval old.
            State::Failed => now.since_us(self.at) >= 2 * ASK_INTERVAL_US,
            State::Reachable => now.since_us(self.at) >= IDLE_US,
            State::Free | State::Incomplete { .. } | State::Probing { .. } | State::Fixed => false,
        }
    }

    /// What would be lost with this entry, the longest unconfirmed first; `None` where it must stay.
    pub fn worth(&self) -> Option<(Worth, Instant)> {
        let worth = match self.state {
            State::Quiet | State::Failed => Worth::Nothing,
            State::Reachable if !self.used => Worth::Unused,
            State::Reachable => Worth::Used,
            State::Free | State::Incomplete { .. } | State::Probing { .. } | State::Fixed => return None,
        };
        Some((worth, self.at))
    }
}
