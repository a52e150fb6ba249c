//! Neighbours: from an address on a link to a MAC address (RFC 826, RFC 1122 2.3.2). A bounded cache in which
//! only what we asked for, or what speaks to us, finds a place; frames for an unresolved neighbour wait, a few
//! of each. Who fills the cache, by asking us or by making us ask, pushes out others of that kind, and never a
//! neighbour that we send to. All memory is taken at construction.

use std::net::IpAddr;

use arrayvec::ArrayVec;

use self::entry::{CONFIRMED_US, Entry, FREE, NEVER, State, Worth};
use crate::base::drop_reason::DropReason;
use crate::base::hash::{Key as Secret, siphash13_short};
use crate::base::ids::NeighbourIdx;
use crate::base::time::Instant;
use crate::wire::ethernet::Mac;

mod entry;

/// Most neighbours (LIM-10).
pub const NEIGHBOURS_MAX: usize = 4_096;
/// Most neighbours that are being asked for (LIM-10).
pub const UNRESOLVED_MAX: usize = 256;
/// Frames that wait for one neighbour (ARP-4).
pub const WAITING_MAX: usize = 3;

const WAYS: usize = 8;
const SETS: usize = 4 * NEIGHBOURS_MAX / WAYS;
/// Requests before a neighbour is given up.
const ASKS_MAX: u8 = 3;
/// Places that one poll looks at for what has aged; all of them pass in about a quarter of a second.
const SWEPT_PER_POLL: usize = 64;
/// Places that are looked at for one to be given away when the cache is full.
const SEARCHED_MAX: usize = 256;

/// Frames that wait for one neighbour.
pub type Waiting<F> = ArrayVec<F, WAITING_MAX>;

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

/// How far asking for a neighbour has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// Its MAC address is known.
    Resolved,
    /// It is being asked for.
    Asking,
    /// Nothing leads there.
    NoRoute,
    /// It did not answer, or there are too many to be asked for. It may be asked for again a second later.
    Failed,
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
    taken: usize,
    /// Where the next look for aged entries begins.
    swept: usize,
    /// Entries that are being asked for, oldest first, each with the frames that wait for it.
    asked: Vec<(NeighbourIdx, Waiting<F>)>,
    secret: Secret,
}

impl<F> Neighbours<F> {
    /// An empty cache. The secret keeps others from choosing who shares a set.
    pub fn new(secret: Secret) -> Self {
        Neighbours {
            entries: vec![FREE; SETS * WAYS],
            taken: 0,
            swept: 0,
            asked: Vec::with_capacity(UNRESOLVED_MAX),
            secret,
        }
    }

    /// Neighbours in the cache.
    pub fn len(&self) -> usize {
        self.taken
    }

    /// No neighbour is in the cache.
    pub fn is_empty(&self) -> bool {
        self.taken == 0
    }

    fn set_of(&self, interface: u8, ip: IpAddr) -> std::ops::Range<usize> {
        let mut bytes = [0u8; 17];
        match ip {
            IpAddr::V4(v4) => bytes[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => bytes[..16].copy_from_slice(&v6.octets()),
        }
        bytes[16] = interface;
        let set = siphash13_short(&self.secret, &bytes) as usize % SETS;
        set * WAYS..(set + 1) * WAYS
    }

    fn find(&self, interface: u8, ip: IpAddr) -> Option<NeighbourIdx> {
        let mut set = self.set_of(interface, ip);
        set.find(|at| self.entries.get(*at).is_some_and(|e| e.is_for(interface, ip)))
            .map(|at| NeighbourIdx(at as u16))
    }

    /// The MAC address of a neighbour that is known well enough, and is the one that is wanted.
    #[inline(always)]
    pub fn known(
        &mut self,
        hint: NeighbourIdx,
        interface: u8,
        now: Instant,
        wanted: impl FnOnce(IpAddr) -> bool,
    ) -> Option<Mac> {
        let entry = self.entries.get_mut(usize::from(hint.0))?;
        if !entry.is_fresh(now) || entry.interface != interface || !wanted(entry.ip) {
            return None;
        }
        entry.used = true;
        Some(entry.mac)
    }

    /// The MAC address of a neighbour, and its place for the next time. `progress`: a connection with it got
    /// forward within the last minute, which confirms it as well as an answer would (ARP-8).
    ///
    /// Most neighbours are where they were, and known well enough; all else is for the general way.
    #[inline(always)]
    pub fn lookup(
        &mut self,
        hint: NeighbourIdx,
        interface: u8,
        ip: IpAddr,
        progress: impl FnOnce() -> bool,
        now: Instant,
    ) -> Option<(NeighbourIdx, Mac)> {
        match self.known(hint, interface, now, |found| found == ip) {
            Some(mac) => Some((hint, mac)),
            None => self.look_up(hint, interface, ip, progress, now),
        }
    }

    #[inline(never)]
    fn look_up(
        &mut self,
        hint: NeighbourIdx,
        interface: u8,
        ip: IpAddr,
        progress: impl FnOnce() -> bool,
        now: Instant,
    ) -> Option<(NeighbourIdx, Mac)> {
        let hinted = self.entries.get(usize::from(hint.0)).is_some_and(|e| e.is_for(interface, ip));
        let index = if hinted { hint } else { self.find(interface, ip)? };
        let entry = self.entries.get_mut(usize::from(index.0))?;
        match entry.state {
            State::Free | State::Quiet | State::Failed | State::Incomplete { .. } => return None,
            State::Fixed => {}
            //= ARP-8
            State::Probing { .. } => {
                if progress() {
                    (entry.state, entry.at) = (State::Reachable, now);
                    self.asked.retain(|(at, _)| *at != index);
                }
            }
            State::Reachable if now.since_us(entry.at) < CONFIRMED_US => {}
            //= ARP-3
            State::Reachable => {
                //= ARP-8
                if progress() {
                    entry.at = now;
                } else if self.asked.len() < UNRESOLVED_MAX {
                    (entry.state, entry.at) = (State::Probing { asked: 0 }, NEVER);
                    self.asked.push((index, Waiting::new()));
                }
            }
        }
        entry.used = true;
        Some((index, entry.mac))
    }

    /// Somebody gets no answer through a neighbour: it is asked for again, before its time, while its address still
    /// counts (RFC 1122 2.3.2.1: advice from above).
    pub fn doubt(&mut self, hint: NeighbourIdx, interface: u8, ip: IpAddr) {
        let hinted = self.entries.get(usize::from(hint.0)).is_some_and(|e| e.is_for(interface, ip));
        let found = if hinted { Some(hint) } else { self.find(interface, ip) };
        let Some(index) = found else { return };
        if let Some(entry) = self.entries.get_mut(usize::from(index.0))
            && entry.state == State::Reachable
            && self.asked.len() < UNRESOLVED_MAX
        {
            (entry.state, entry.at) = (State::Probing { asked: 0 }, NEVER);
            self.asked.push((index, Waiting::new()));
        }
    }

    /// Sees that a neighbour is asked for if it is not known, without a frame that waits for it. Returns how far that
    /// has come, and the frames of another neighbour that made room. One that did not answer is not asked for again
    /// before a second has passed.
    pub fn ask_for(&mut self, interface: u8, ip: IpAddr, now: Instant) -> (Resolution, Waiting<F>) {
        let mut gone = Waiting::new();
        let known = self.find(interface, ip).and_then(|index| self.entries.get(usize::from(index.0)));
        let resolution = match known.map(|entry| (entry.state, entry.has_aged(now))) {
            Some((State::Reachable | State::Probing { .. } | State::Fixed, _)) => Resolution::Resolved,
            Some((State::Failed, false)) => Resolution::Failed,
            Some((State::Free | State::Quiet | State::Failed | State::Incomplete { .. }, _)) | None => {
                let asked = self.asked_for(interface, ip, &mut gone);
                asked.map_or(Resolution::Failed, |_| Resolution::Asking)
            }
        };
        (resolution, gone)
    }

    /// Keeps a frame for a neighbour that [`Neighbours::lookup`] does not know, and sees that it is asked for.
    /// Returns what has to go instead: the oldest of too many frames, or those of a neighbour that made room.
    pub fn resolve(&mut self, interface: u8, ip: IpAddr, frame: F) -> Waiting<F> {
        let mut gone = Waiting::new();
        let Some(index) = self.asked_for(interface, ip, &mut gone) else {
            gone.truncate(WAITING_MAX - 1);
            gone.push(frame);
            return gone;
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

    /// A neighbour's place, where it is or will be asked for. If there are too many, the oldest one that is
    /// asked for in vain goes.
    fn asked_for(&mut self, interface: u8, ip: IpAddr, gone: &mut Waiting<F>) -> Option<NeighbourIdx> {
        let known = self.find(interface, ip);
        if let Some(entry) = known.and_then(|index| self.entries.get(usize::from(index.0)))
            && !matches!(entry.state, State::Quiet | State::Failed)
        {
            return known;
        }
        //= ATK-34
        //= LIM-10
        let full = known.is_none() && !self.has_room(Worth::Unused);
        let crowded = self.asked.len() >= UNRESOLVED_MAX;
        if full || crowded {
            match self.take_oldest() {
                Some((index, waiting)) => {
                    *gone = waiting;
                    if full { self.free(index) } else { self.silence(index, State::Quiet) }
                }
                None if crowded => return None,
                None => {}
            }
        }
        let index = match known {
            Some(index) => index,
            None if self.has_room(Worth::Used) => self.place(interface, ip, Worth::Used)?,
            None => return None,
        };
        let entry = self.entries.get_mut(usize::from(index.0))?;
        entry.state = State::Incomplete { asked: 0 };
        entry.used = true;
        self.asked.push((index, Waiting::new()));
        Some(index)
    }

    /// The oldest neighbour that is asked for by broadcast, and the frames that waited for it.
    fn take_oldest(&mut self) -> Option<(NeighbourIdx, Waiting<F>)> {
        let entries = &self.entries;
        let incomplete = |index: NeighbourIdx| {
            let entry = entries.get(usize::from(index.0));
            entry.is_some_and(|entry| matches!(entry.state, State::Incomplete { .. }))
        };
        let oldest = self.asked.iter().position(|(index, _)| incomplete(*index))?;
        Some(self.asked.remove(oldest))
    }

    fn free(&mut self, index: NeighbourIdx) {
        if let Some(entry) = self.entries.get_mut(usize::from(index.0)) {
            *entry = FREE;
            self.taken -= 1;
        }
    }

    /// A neighbour has no address and is not asked for any more. It stays known by name until it may be asked
    /// for again (ARP-3).
    fn silence(&mut self, index: NeighbourIdx, state: State) {
        match self.entries.get_mut(usize::from(index.0)) {
            Some(entry) if entry.at != NEVER => entry.state = state,
            _ => self.free(index),
        }
    }

    /// There is room for one more neighbour, if need be by giving up one that is worth at most `limit`: the
    /// least of a few hundred.
    fn has_room(&mut self, limit: Worth) -> bool {
        if self.taken < NEIGHBOURS_MAX {
            return true;
        }
        let start = self.swept;
        self.swept = (start + SEARCHED_MAX) % (SETS * WAYS);
        let places = (start..start + SEARCHED_MAX).map(|at| at % (SETS * WAYS));
        let worth = places.filter_map(|at| Some((self.entries.get(at)?.worth()?, at)));
        let least = worth.filter(|((worth, _), _)| *worth <= limit).min();
        least.map(|(_, at)| self.free(NeighbourIdx(at as u16))).is_some()
    }

    /// Takes a free way of the set while there is room, or that of the least neighbour worth at most `limit`.
    /// The entry is quiet until the caller says what it is.
    fn place(&mut self, interface: u8, ip: IpAddr, limit: Worth) -> Option<NeighbourIdx> {
        let full = self.taken >= NEIGHBOURS_MAX;
        let set = self.set_of(interface, ip);
        let ways = self.entries.get(set.clone())?;
        let free = ways.iter().position(|entry| entry.state == State::Free).filter(|_| !full);
        let worth = ways.iter().enumerate().filter_map(|(way, entry)| Some((entry.worth()?, way)));
        let least = worth.filter(|((worth, _), _)| *worth <= limit).min();
        let index = set.start + free.or(least.map(|(_, way)| way))?;
        let entry = self.entries.get_mut(index)?;
        self.taken += usize::from(entry.state == State::Free);
        *entry = Entry { ip, interface, state: State::Quiet, ..FREE };
        Some(NeighbourIdx(index as u16))
    }

    /// Sets a neighbour for good (`--neighbour`). False when there is no room for it.
    #[must_use]
    pub fn fix(&mut self, interface: u8, ip: IpAddr, mac: Mac) -> bool {
        let index = self.find(interface, ip).or_else(|| self.place(interface, ip, Worth::Used));
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
            //= ATK-34
            // Whoever only speaks to us takes no place from those to whom we send.
            (None, Heard::AsksForUs) if self.has_room(Worth::Unused) => {
                self.place(interface, ip, Worth::Unused).ok_or(DropReason::ArpUnsolicited)?
            }
            (None, Heard::AsksForUs | Heard::Else) => return Err(DropReason::ArpUnsolicited),
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
                    self.silence(index, State::Failed);
                    let (_, waiting) = self.asked.remove(at);
                    waiting.into_iter().for_each(&mut failed);
                }
            }
        }
        self.sweep(now);
    }

    /// Frees some of the places whose time has passed.
    fn sweep(&mut self, now: Instant) {
        let start = self.swept;
        self.swept = (start + SWEPT_PER_POLL) % (SETS * WAYS);
        for entry in self.entries.iter_mut().skip(start).take(SWEPT_PER_POLL) {
            //= ARP-3
            if entry.has_aged(now) {
                *entry = FREE;
                self.taken -= 1;
            }
        }
    }

    /// What is due for a neighbour that is asked for.
    fn due(&mut self, index: NeighbourIdx, now: Instant) -> Due {
        let Some(entry) = self.entries.get_mut(usize::from(index.0)) else { return Due::No };
        let (asked, unicast) = match entry.state {
            State::Incomplete { asked } => (asked, None),
            State::Probing { asked } => (asked, Some(entry.mac)),
            State::Free | State::Quiet | State::Failed | State::Reachable | State::Fixed => return Due::No,
        };
        if !entry.may_be_asked(now) {
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

#[cfg(test)]
mod tests;
