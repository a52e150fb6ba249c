//! Neighbours: from an address on a link to a MAC address (RFC 826, RFC 1122 2.3.2). A bounded cache in which
//! only what we asked for, or what speaks to us, finds a place; frames for an unresolved neighbour wait, a few
//! of each. All memory is taken at construction.

use std::net::{IpAddr, Ipv4Addr};

use arrayvec::ArrayVec;

use crate::base::drop_reason::DropReason;
use crate::base::hash::{Key as Secret, siphash13};
use crate::base::ids::NeighbourIdx;
use crate::base::time::Instant;
use crate::wire::ethernet::Mac;

/// Most neighbours (LIM-10).
pub const NEIGHBOURS_MAX: usize = 4_096;
/// Most neighbours that are being asked for (LIM-10).
pub const UNRESOLVED_MAX: usize = 256;
/// Frames that wait for one neighbour (ARP-4).
pub const WAITING_MAX: usize = 3;

const WAYS: usize = 8;
const SETS: usize = 4 * NEIGHBOURS_MAX / WAYS;
/// How long an answer counts without confirmation (ARP-3).
const CONFIRMED_US: u64 = 60_000_000;
/// Between two requests for the same address (ARP-3).
const ASK_INTERVAL_US: u64 = 1_000_000;
/// Requests before a neighbour is given up.
const ASKS_MAX: u8 = 3;

/// Frames that wait for one neighbour.
pub type Waiting<F> = ArrayVec<F, WAITING_MAX>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Free,
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
struct Entry {
    ip: IpAddr,
    interface: u8,
    state: State,
    mac: Mac,
    /// When it was confirmed last, or asked for last while it is asked for.
    at: Instant,
}

const FREE: Entry = Entry {
    ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    interface: 0,
    state: State::Free,
    mac: Mac([0; 6]),
    at: Instant::ZERO,
};

/// A neighbour to be asked for its MAC address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ask {
    /// On which interface.
    pub interface: u8,
    /// Whom.
    pub ip: IpAddr,
    /// The address it had, to be asked by unicast; everybody is asked without it.
    pub unicast: Option<Mac>,
}

/// How a sender's address pair came to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// It asks for us: it will be answered and needs a place (ARP-2).
    AsksForUs,
    /// Anything else: known neighbours are updated, no others take a place (ARP-6).
    Else,
}

/// The cache. `F` is the link's frame.
pub struct Neighbours<F> {
    entries: Vec<Entry>,
    used: usize,
    /// Entries that are being asked for, oldest first, each with the frames that wait for it.
    asked: Vec<(NeighbourIdx, Waiting<F>)>,
    secret: Secret,
}

impl<F> Neighbours<F> {
    /// An empty cache. The secret keeps others from choosing who shares a set.
    pub fn new(secret: Secret) -> Self {
        Neighbours {
            entries: vec![FREE; SETS * WAYS],
            used: 0,
            asked: Vec::with_capacity(UNRESOLVED_MAX),
            secret,
        }
    }

    /// Neighbours in the cache.
    pub fn len(&self) -> usize {
        self.used
    }

    /// No neighbour is in the cache.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    fn set_of(&self, interface: u8, ip: IpAddr) -> std::ops::Range<usize> {
        let mut bytes = [0u8; 17];
        match ip {
            IpAddr::V4(v4) => bytes[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => bytes[..16].copy_from_slice(&v6.octets()),
        }
        bytes[16] = interface;
        let set = siphash13(&self.secret, &bytes) as usize % SETS;
        set * WAYS..(set + 1) * WAYS
    }

    fn find(&self, interface: u8, ip: IpAddr) -> Option<NeighbourIdx> {
        let mut set = self.set_of(interface, ip);
        set.find(|at| self.entries.get(*at).is_some_and(|e| is_for(e, interface, ip)))
            .map(|at| NeighbourIdx(at as u16))
    }

    /// The MAC address of a neighbour, and its place for the next time. `progress`: a connection with it got
    /// forward within the last minute, which confirms it as well as an answer would (ARP-8).
    pub fn lookup(
        &mut self,
        hint: NeighbourIdx,
        interface: u8,
        ip: IpAddr,
        progress: bool,
        now: Instant,
    ) -> Option<(NeighbourIdx, Mac)> {
        let hinted = self.entries.get(usize::from(hint.0)).is_some_and(|e| is_for(e, interface, ip));
        let index = if hinted { hint } else { self.find(interface, ip)? };
        let entry = self.entries.get_mut(usize::from(index.0))?;
        match entry.state {
            State::Free | State::Incomplete { .. } => return None,
            State::Fixed | State::Probing { .. } => {}
            State::Reachable if now.since_us(entry.at) < CONFIRMED_US => {}
            //= ARP-8
            State::Reachable if progress => entry.at = now,
            //= ARP-3
            State::Reachable => {
                if self.asked.len() < UNRESOLVED_MAX {
                    entry.state = State::Probing { asked: 0 };
                    entry.at = Instant::ZERO;
                    self.asked.push((index, Waiting::new()));
                }
            }
        }
        let mac = self.entries.get(usize::from(index.0))?.mac;
        Some((index, mac))
    }

    /// Keeps a frame for a neighbour that [`Neighbours::lookup`] does not know, and sees that it is asked for.
    /// Returns what has to go instead: the oldest of too many frames, or those of a neighbour that made room.
    pub fn resolve(&mut self, interface: u8, ip: IpAddr, frame: F) -> Waiting<F> {
        let mut gone = Waiting::new();
        let index = match self.find(interface, ip) {
            Some(index) => index,
            None => match self.insert(interface, ip, &mut gone) {
                Some(index) => index,
                None => {
                    gone.truncate(WAITING_MAX - 1);
                    gone.push(frame);
                    return gone;
                }
            },
        };
        if let Some((_, waiting)) = self.asked.iter_mut().find(|(at, _)| *at == index) {
            //= ARP-4
            if waiting.is_full()
                && let Some(oldest) = waiting.pop_at(0)
                && !gone.is_full()
            {
                gone.push(oldest);
            }
            waiting.push(frame);
        } else if !gone.is_full() {
            gone.push(frame);
        }
        gone
    }

    /// A place for a neighbour to be asked for; the oldest one that is asked for goes if there is no room.
    fn insert(&mut self, interface: u8, ip: IpAddr, gone: &mut Waiting<F>) -> Option<NeighbourIdx> {
        //= ATK-34
        if self.asked.len() >= UNRESOLVED_MAX {
            let oldest = self.asked.iter().position(|(at, _)| self.is_incomplete(*at))?;
            let (index, waiting) = self.asked.remove(oldest);
            self.free(index);
            *gone = waiting;
        }
        let index = self.place(interface, ip, State::Incomplete { asked: 0 })?;
        self.asked.push((index, Waiting::new()));
        Some(index)
    }

    fn is_incomplete(&self, index: NeighbourIdx) -> bool {
        let entry = self.entries.get(usize::from(index.0));
        entry.is_some_and(|entry| matches!(entry.state, State::Incomplete { .. }))
    }

    fn free(&mut self, index: NeighbourIdx) {
        if let Some(entry) = self.entries.get_mut(usize::from(index.0)) {
            entry.state = State::Free;
            self.used -= 1;
        }
    }

    /// Takes a free way of the set, or that of the neighbour confirmed longest ago.
    fn place(&mut self, interface: u8, ip: IpAddr, state: State) -> Option<NeighbourIdx> {
        let full = self.used >= NEIGHBOURS_MAX;
        let set = self.set_of(interface, ip);
        let ways = self.entries.get(set.clone())?;
        let free = ways.iter().position(|entry| entry.state == State::Free).filter(|_| !full);
        let reachable = ways.iter().enumerate().filter(|(_, entry)| entry.state == State::Reachable);
        let way = free.or_else(|| reachable.min_by_key(|(_, entry)| entry.at).map(|(way, _)| way))?;
        let index = set.start + way;
        let entry = self.entries.get_mut(index)?;
        self.used += usize::from(entry.state == State::Free);
        *entry = Entry { ip, interface, state, mac: Mac([0; 6]), at: Instant::ZERO };
        Some(NeighbourIdx(index as u16))
    }

    /// Sets a neighbour for good (`--neighbour`). False when there is no room for it.
    #[must_use]
    pub fn fix(&mut self, interface: u8, ip: IpAddr, mac: Mac) -> bool {
        let index = self.find(interface, ip).or_else(|| self.place(interface, ip, State::Fixed));
        let entry = index.and_then(|index| self.entries.get_mut(usize::from(index.0)));
        entry.map(|entry| (entry.state, entry.mac) = (State::Fixed, mac)).is_some()
    }

    /// A neighbour showed its address pair. Returns the frames that waited for it.
    ///
    /// # Errors
    /// It has no place here and gets none.
    pub fn heard(
        &mut self,
        interface: u8,
        ip: IpAddr,
        mac: Mac,
        how: Heard,
        now: Instant,
    ) -> Result<Waiting<F>, DropReason> {
        //= ARP-2
        //= ARP-6
        let index = match (self.find(interface, ip), how) {
            (Some(index), _) => index,
            (None, Heard::AsksForUs) => {
                self.place(interface, ip, State::Reachable).ok_or(DropReason::ArpUnsolicited)?
            }
            (None, Heard::Else) => return Err(DropReason::ArpUnsolicited),
        };
        if let Some(entry) = self.entries.get_mut(usize::from(index.0))
            && entry.state != State::Fixed
        {
            (entry.state, entry.mac, entry.at) = (State::Reachable, mac, now);
        }
        let waiting = self.asked.iter().position(|(at, _)| *at == index);
        Ok(waiting.map_or_else(Waiting::new, |at| self.asked.remove(at).1))
    }

    /// Time passes: says whom to ask now, and gives back the frames of neighbours that did not answer.
    pub fn poll(&mut self, now: Instant, mut ask: impl FnMut(Ask), mut failed: impl FnMut(F)) {
        let mut at = 0;
        while let Some((index, _)) = self.asked.get(at) {
            let index = *index;
            match self.due(index, now) {
                Due::No => at += 1,
                Due::Ask(whom) => {
                    ask(whom);
                    at += 1;
                }
                Due::Failed => {
                    self.free(index);
                    let (_, waiting) = self.asked.remove(at);
                    waiting.into_iter().for_each(&mut failed);
                }
            }
        }
    }

    /// What is due for a neighbour that is asked for.
    fn due(&mut self, index: NeighbourIdx, now: Instant) -> Due {
        let Some(entry) = self.entries.get_mut(usize::from(index.0)) else { return Due::No };
        let (asked, unicast) = match entry.state {
            State::Incomplete { asked } => (asked, None),
            State::Probing { asked } => (asked, Some(entry.mac)),
            State::Free | State::Reachable | State::Fixed => return Due::No,
        };
        if asked > 0 && now.since_us(entry.at) < ASK_INTERVAL_US {
            return Due::No;
        }
        if asked >= ASKS_MAX {
            return Due::Failed;
        }
        //= ARP-3
        entry.at = now;
        entry.state = match unicast {
            None => State::Incomplete { asked: asked + 1 },
            Some(_) => State::Probing { asked: asked + 1 },
        };
        Due::Ask(Ask { interface: entry.interface, ip: entry.ip, unicast })
    }
}

enum Due {
    No,
    Ask(Ask),
    Failed,
}

fn is_for(entry: &Entry, interface: u8, ip: IpAddr) -> bool {
    entry.state != State::Free && entry.interface == interface && entry.ip == ip
}

#[cfg(test)]
mod tests;
