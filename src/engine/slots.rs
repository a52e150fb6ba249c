//! A shard's connections. Between events most are kept in brief, in two cache lines each; an event wakes one, which is
//! then a whole [`Slot`], and lays it down again when nothing unusual is left. Few are awake at a time, so that those
//! places stay in the cache; those of which more has to be remembered stay awake.

use super::api::{ListenerId, Unsent};
use super::slot::{Origin, Owner, Slot, Syn};
use crate::base::bytes::Queue;
use crate::base::ids::NeighbourIdx;
use crate::base::slab::Slab;
use crate::base::time::{Instant, Tick};
use crate::flow::key::Key;
use crate::tcp::Ctx;
use crate::tcp::config::Config;
use crate::tcp::mss;
use crate::tcp::settings::Settings;
use crate::tcp::tcb::brief::{Brief, Common};

/// Different settings that connections at rest can have.
const SETTINGS_MAX: usize = 256;

/// So many may be awake in any case.
const AWAKE_LEAST: u32 = 65_536;

/// Of more connections than that, one in so many.
const AWAKE_SHARE: u32 = 32;

/// What is kept of each connection. While it is awake only the key, the generation and the link count.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Entry {
    key: Key,
    generation: u32,
    brief: Brief,
    /// The slot of one that is awake; before ESTABLISHED the number of the frame with our SYN; later the first and only
    /// piece of what waits for an acknowledgment.
    link: u32,
    neighbour: NeighbourIdx,
    /// The listener's number.
    origin: u16,
    bits: Bits,
    settings: u8,
}

#[cfg(not(debug_assertions))]
const _: () = assert!(Slab::<Entry>::slot_bytes() == 128);

/// In the place of a listener's number where the application opened the connection.
const OPENED: u16 = u16::MAX;

/// What takes a few bits. The lowest three are the owner, the next three say what became of our SYN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Bits(u16);

impl Bits {
    const AWAKE: u16 = 1 << 6;
    const PEER_CLOSED: u16 = 1 << 7;
    const RESUME: u16 = 1 << 8;
    /// A piece waits for its acknowledgment.
    const QUEUED: u16 = 1 << 9;
    /// It is lent.
    const LENT: u16 = 1 << 10;

    const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    const fn when(condition: bool, bit: u16) -> u16 {
        if condition { bit } else { 0 }
    }

    fn owner(self) -> Owner {
        const OWNERS: [Owner; 5] =
            [Owner::Nobody, Owner::Opener, Owner::Waiting, Owner::Taken, Owner::Finished];
        OWNERS.get(usize::from(self.0 % 8)).copied().unwrap_or(Owner::Finished)
    }

    fn syn(self, number: u32) -> Syn {
        match self.0 / 8 % 8 {
            0 => Syn::Due,
            1 => Syn::Kept(Unsent::NoFrame),
            2 => Syn::Kept(Unsent::TxFull),
            3 => Syn::WithoutNeighbour,
            _ => Syn::Queued(number),
        }
    }
}

/// The bits of a SYN, and the number that goes with them.
fn syn_bits(syn: Syn) -> (u16, u32) {
    let (kind, number) = match syn {
        Syn::Due => (0, 0),
        Syn::Kept(Unsent::NoFrame) => (1, 0),
        Syn::Kept(Unsent::TxFull) => (2, 0),
        Syn::WithoutNeighbour => (3, 0),
        Syn::Queued(number) => (4, number),
    };
    (kind * 8, number)
}

/// The connections of a shard, by their numbers.
pub(super) struct Slots {
    entries: Slab<Entry>,
    awake: Slab<Slot>,
    /// The settings that connections at rest have.
    settings: Vec<Settings>,
    cfg: Config,
    /// The time of this pass.
    pub now: Instant,
    /// Where the search for connections that could be laid down goes on.
    hand: u32,
}

impl Slots {
    /// Room for `capacity` connections.
    pub fn new(capacity: u32, cfg: &Config, now: Instant) -> Self {
        let mut settings = Vec::with_capacity(SETTINGS_MAX);
        settings.push(cfg.settings);
        Slots {
            entries: Slab::new(capacity),
            awake: Slab::new(Self::awake_for(capacity)),
            settings,
            cfg: cfg.clone(),
            now,
            hand: 0,
        }
    }

    /// Of so many connections this many can be awake.
    fn awake_for(capacity: u32) -> u32 {
        capacity.min(AWAKE_LEAST.max(capacity / AWAKE_SHARE))
    }

    /// Bytes of memory for so many connections.
    pub fn memory(capacity: u32) -> usize {
        capacity as usize * Slab::<Entry>::slot_bytes()
            + Self::awake_for(capacity) as usize * Slab::<Slot>::slot_bytes()
    }

    /// Connections in all.
    pub fn capacity(&self) -> u32 {
        self.entries.capacity()
    }

    /// Connections now.
    pub fn len(&self) -> u32 {
        self.entries.len()
    }

    /// How many more can be awake.
    pub fn awake_left(&self) -> u32 {
        self.awake.capacity() - self.awake.len()
    }

    /// There is a place for each to be awake.
    pub fn all_may_wake(&self) -> bool {
        self.awake.capacity() == self.entries.capacity()
    }

    /// The next number from `from` on that names a connection.
    pub fn next_used(&self, from: u32) -> Option<u32> {
        self.entries.next_used(from)
    }

    /// Asks for the lines of a connection.
    #[inline]
    pub fn prefetch(&self, index: u32) {
        self.entries.prefetch(index);
    }

    /// A new connection, awake; `None` when there is no room.
    pub fn insert(&mut self, slot: Slot) -> Option<u32> {
        let (key, generation) = (slot.key, slot.generation);
        let link = self.awake.insert(slot).ok()?;
        let entry = Entry {
            key,
            generation,
            brief: Brief::NONE,
            link,
            neighbour: NeighbourIdx::default(),
            origin: OPENED,
            bits: Bits(Bits::AWAKE),
            settings: 0,
        };
        let index = self.entries.insert(entry).ok();
        match (index, self.awake.get_mut(link)) {
            (Some(index), Some(slot)) => slot.index = index,
            _ => _ = self.awake.free(link),
        }
        index
    }

    /// Forgets a connection.
    pub fn free(&mut self, index: u32) {
        let Some(entry) = self.entries.get(index) else { return };
        if entry.bits.has(Bits::AWAKE) {
            self.awake.free(entry.link);
        }
        self.entries.free(index);
    }

    /// The connection's endpoints.
    #[inline]
    pub fn key(&self, index: u32) -> Option<Key> {
        self.entries.get(index).map(|entry| entry.key)
    }

    /// Which of those that had this number, one after the other, the connection is.
    #[inline]
    pub fn generation(&self, index: u32) -> Option<u32> {
        self.entries.get(index).map(|entry| entry.generation)
    }

    /// Where the connection stands with its application.
    pub fn owner(&self, index: u32) -> Option<Owner> {
        let entry = self.entries.get(index)?;
        match self.awake.get(entry.link).filter(|_| entry.bits.has(Bits::AWAKE)) {
            Some(slot) => Some(slot.owner),
            None => Some(entry.bits.owner()),
        }
    }

    /// The connection's earliest deadline.
    pub fn deadline(&self, index: u32) -> Option<Tick> {
        let entry = self.entries.get(index)?;
        match self.awake.get(entry.link).filter(|_| entry.bits.has(Bits::AWAKE)) {
            Some(slot) => slot.tcb.deadline(),
            None => entry.brief.deadline(),
        }
    }

    /// A connection that is awake.
    #[inline]
    pub fn awake(&self, index: u32) -> Option<&Slot> {
        let entry = self.entries.get(index).filter(|entry| entry.bits.has(Bits::AWAKE))?;
        self.awake.get(entry.link)
    }

    /// A connection as it would be awake.
    pub fn seen(&self, index: u32) -> Option<Slot> {
        self.awake(index).cloned().or_else(|| self.entries.get(index).map(|entry| self.whole(index, entry)))
    }

    /// A connection, which is awake from now on until it is laid down.
    #[inline]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut Slot> {
        let entry = self.entries.get(index)?;
        let link = if entry.bits.has(Bits::AWAKE) { entry.link } else { self.wake(index)? };
        self.awake.get_mut(link)
    }

    fn wake(&mut self, index: u32) -> Option<u32> {
        let slot = self.whole(index, self.entries.get(index)?);
        let link = self.awake.insert(slot).ok()?;
        let entry = self.entries.get_mut(index)?;
        entry.link = link;
        entry.bits = Bits(Bits::AWAKE);
        Some(link)
    }

    /// Lays a connection down, if it can be told in brief.
    pub fn lay_down(&mut self, index: u32) -> bool {
        let Some(entry) = self.entries.get(index).filter(|entry| entry.bits.has(Bits::AWAKE)) else {
            return true;
        };
        let (link, settings) = (entry.link, usize::from(entry.settings));
        let Some(chosen) = self.awake.get(link).map(|slot| *slot.tcb.settings()) else { return true };
        let Some(settings) = self.known(&chosen, settings) else { return false };
        let Some(slot) = self.awake.get(link) else { return true };
        let Some(at_rest) = self.in_brief(slot, settings) else { return false };
        if let Some(entry) = self.entries.get_mut(index) {
            *entry = at_rest;
        }
        self.awake.free(link);
        true
    }

    /// Looks at so many of the places for those that are awake, and lays down whoever needs none any more. Returns the
    /// number of one that does, if there is one.
    pub fn tidy(&mut self, places: u32) -> Option<u32> {
        let mut stays = None;
        for _ in 0..places {
            self.hand = if self.hand < self.awake.capacity() { self.hand + 1 } else { 0 };
            let Some(index) = self.awake.get(self.hand).map(|slot| slot.index) else { continue };
            if !self.lay_down(index) {
                stays = Some(index);
            }
        }
        stays
    }

    /// The number of settings among those that connections at rest can have; most likely it is `guess`. New ones are
    /// remembered as long as there is room.
    fn known(&mut self, settings: &Settings, guess: usize) -> Option<usize> {
        if self.settings.get(guess) == Some(settings) {
            return Some(guess);
        }
        let known = self.settings.iter().position(|known| known == settings);
        if known.is_none() && self.settings.len() < SETTINGS_MAX {
            self.settings.push(*settings);
            return Some(self.settings.len() - 1);
        }
        known
    }

    /// A connection in brief, if nothing is lost by it.
    fn in_brief(&self, slot: &Slot, settings: usize) -> Option<Entry> {
        let (syn, number) = syn_bits(slot.syn);
        let (queue, link) = match slot.outgoing.only_piece() {
            _ if slot.outgoing.is_empty() => (0, number),
            Some((piece, lent)) if !slot.opens() => (Bits::QUEUED | Bits::when(lent, Bits::LENT), piece),
            _ => return None,
        };
        let plain = slot.held.is_none()
            && slot.recovery.is_none()
            && slot.incoming.is_empty()
            && !slot.unread
            && !slot.abandoned;
        let brief = slot.tcb.brief(self.common(settings), self.ctx()).filter(|_| plain)?;
        Some(Entry {
            key: slot.key,
            generation: slot.generation,
            brief,
            link,
            neighbour: slot.neighbour,
            origin: match slot.origin {
                Origin::Listener(listener) => listener.0,
                Origin::Active => OPENED,
            },
            bits: Bits(
                slot.owner as u16
                    | syn
                    | queue
                    | Bits::when(slot.peer_closed, Bits::PEER_CLOSED)
                    | Bits::when(slot.resume, Bits::RESUME),
            ),
            settings: settings as u8,
        })
    }

    /// The whole of a connection that is told in brief.
    fn whole(&self, index: u32, entry: &Entry) -> Slot {
        let Entry { bits, brief, link, .. } = *entry;
        let queue = Queue::of_piece(link, bits.has(Bits::LENT), brief.queued());
        Slot {
            key: entry.key,
            generation: entry.generation,
            tcb: brief.tcb(self.common(usize::from(entry.settings)), self.ctx()),
            outgoing: if bits.has(Bits::QUEUED) { queue } else { Queue::default() },
            incoming: Queue::default(),
            held: None,
            recovery: None,
            origin: match entry.origin {
                OPENED => Origin::Active,
                listener => Origin::Listener(ListenerId(listener)),
            },
            owner: bits.owner(),
            peer_closed: bits.has(Bits::PEER_CLOSED),
            resume: bits.has(Bits::RESUME),
            unread: false,
            abandoned: false,
            neighbour: entry.neighbour,
            syn: bits.syn(link),
            index,
        }
    }

    fn ctx(&self) -> Ctx<'_> {
        Ctx { now: self.now, cfg: &self.cfg }
    }

    fn common(&self, settings: usize) -> Common<'_> {
        let settings = self.settings.get(settings).unwrap_or(&self.cfg.settings);
        Common { settings, ip_header: mss::IPV4_HEADER }
    }
}
