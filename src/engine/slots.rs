//! A shard's connections. Between events most are kept in brief, in two cache lines each; an event wakes one, which is
//! then a whole [`Slot`], and lays it down again when nothing unusual is left. Few are awake at a time, so that those
//! places stay in the cache; those of which more has to be remembered stay awake.

use super::entry::{Bits, Entry, Form, OPENED, syn_bits};
use super::slot::{Origin, Owner, Slot};
use crate::base::bytes::Queue;
use crate::base::ids::NeighbourIdx;
use crate::base::slab::Slab;
use crate::base::time::{Instant, Tick};
use crate::flow::key::Key;
use crate::tcp::Ctx;
use crate::tcp::config::Config;
use crate::tcp::mss;
use crate::tcp::settings::{ForIp, Settings};
use crate::tcp::state::State;
use crate::tcp::tcb::brief::{Brief, Common};

/// Different settings that connections at rest can have.
const SETTINGS_MAX: usize = 256;

/// So many must be able to wake in a pass at any time: those of its bursts, its timers and its launches.
const AWAKE_RESERVE: u32 = 4_096;

/// The number of settings that connections at rest can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Known(u8);

impl Known {
    /// Those of the stack.
    pub const DEFAULT: Known = Known(0);
}

/// The listener's number, in an entry.
fn number_of(origin: Origin) -> u16 {
    match origin {
        Origin::Listener(listener) => listener.0,
        Origin::Active => OPENED,
    }
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
    pub fn new(capacity: u32, awake: u32, cfg: &Config, now: Instant) -> Self {
        let mut settings = Vec::with_capacity(SETTINGS_MAX);
        settings.push(cfg.settings);
        Slots {
            entries: Slab::new(capacity),
            awake: Slab::new(awake),
            settings,
            cfg: cfg.clone(),
            now,
            hand: 0,
        }
    }

    /// Bytes of memory for so many connections, of which so many can be awake.
    pub fn memory(capacity: u32, awake: u32) -> usize {
        capacity as usize * Slab::<Entry>::slot_bytes() + awake as usize * Slab::<Slot>::slot_bytes()
    }

    /// Connections in all.
    pub fn capacity(&self) -> u32 {
        self.entries.capacity()
    }

    /// Connections now.
    pub fn len(&self) -> u32 {
        self.entries.len()
    }

    /// So few more can be awake that those of the next pass might find no place.
    pub fn are_short(&self) -> bool {
        let places = self.awake.capacity();
        places < self.entries.capacity() && places - self.awake.len() < AWAKE_RESERVE.min(places / 2)
    }

    /// The next number from `from` on that names a connection.
    pub fn next_used(&self, from: u32) -> Option<u32> {
        self.entries.next_used(from)
    }

    /// The number that the next connection will have.
    #[inline]
    pub fn next_free(&self) -> Option<u32> {
        self.entries.next_free()
    }

    /// Asks for the lines of a connection.
    #[inline]
    pub fn prefetch(&self, index: u32) {
        self.entries.prefetch(index);
    }

    /// A new connection in brief; `None` when there is no room.
    #[inline(always)]
    pub fn insert_at_rest(
        &mut self,
        key: Key,
        generation: u32,
        brief: Brief,
        settings: Known,
        origin: Origin,
        owner: Owner,
    ) -> Option<u32> {
        let entry = Entry {
            key,
            generation,
            brief,
            link: 0,
            neighbour: NeighbourIdx::default(),
            origin: number_of(origin),
            bits: Bits(owner as u16),
            settings: settings.0,
        };
        self.entries.insert(entry).ok()
    }

    /// A new connection; `None` when there is no room.
    pub fn insert(&mut self, mut slot: Slot) -> Option<u32> {
        let settings = self.known(slot.tcb.settings(), Known::DEFAULT);
        if let Some(entry) = settings.and_then(|settings| self.in_brief(&slot, settings)) {
            return self.entries.insert(entry).ok();
        }
        let entry = Entry {
            key: slot.key,
            generation: slot.generation,
            brief: Brief::NONE,
            link: 0,
            neighbour: NeighbourIdx::default(),
            origin: OPENED,
            bits: Bits(Bits::AWAKE),
            settings: 0,
        };
        let index = self.entries.insert(entry).ok()?;
        slot.index = index;
        let link = self.awake.insert(slot).ok();
        match (link, self.entries.get_mut(index)) {
            (Some(link), Some(entry)) => entry.link = link,
            _ => {
                self.entries.free(index);
                return None;
            }
        }
        Some(index)
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

    /// What one of either kind says: what `rests` makes of one at rest, or `awake` of one that is not.
    #[inline]
    fn says<T>(
        &self,
        index: u32,
        rests: impl FnOnce(&Entry) -> T,
        awake: impl FnOnce(&Slot) -> T,
    ) -> Option<T> {
        let entry = self.entries.get(index)?;
        if entry.bits.has(Bits::AWAKE) { self.awake.get(entry.link).map(awake) } else { Some(rests(entry)) }
    }

    /// Where the connection stands with its application.
    pub fn owner(&self, index: u32) -> Option<Owner> {
        self.says(index, |entry| entry.bits.owner(), |slot| slot.owner)
    }

    /// Where the connection comes from.
    pub fn origin(&self, index: u32) -> Option<Origin> {
        self.says(index, Entry::origin, |slot| slot.origin)
    }

    /// The connection's state.
    pub fn state(&self, index: u32) -> Option<State> {
        self.says(index, |entry| entry.brief.state(), |slot| slot.tcb.state())
    }

    /// The peer's FIN was taken.
    pub fn peer_closed(&self, index: u32) -> bool {
        self.says(index, |entry| entry.brief.peer_closed(), |slot| slot.tcb.peer_closed()).unwrap_or(false)
    }

    /// What waits to be acknowledged.
    pub fn outgoing(&self, index: u32) -> Queue {
        self.says(index, Entry::outgoing, |slot| slot.outgoing).unwrap_or_default()
    }

    /// The connection has these endpoints, and is not over but for what its application has not read.
    #[inline]
    pub fn holds(&self, index: u32, key: &Key) -> bool {
        let Some(entry) = self.entries.get(index).filter(|entry| entry.key == *key) else { return false };
        !entry.bits.has(Bits::AWAKE) || self.awake.get(entry.link).is_some_and(|slot| !slot.unread)
    }

    /// Octets that the application has not taken yet.
    pub fn unread(&self, index: u32) -> u32 {
        self.says(index, |_| 0, |slot| slot.incoming.len()).unwrap_or(0)
    }

    /// An octet more may be queued, as far as the protocol goes.
    pub fn may_send(&self, index: u32) -> bool {
        let may = self.says(index, |entry| entry.brief.may_queue(1), |slot| slot.tcb.may_send(1));
        may.unwrap_or(false)
    }

    /// The connection has something to say.
    pub fn owes(&self, index: u32) -> bool {
        self.says(index, |entry| entry.brief.owes(), |slot| slot.tcb.owes()).unwrap_or(false)
    }

    /// What the application chose for the connection.
    pub fn settings(&self, index: u32) -> Settings {
        let rests = |entry: &Entry| *self.common(Known(entry.settings)).settings;
        self.says(index, rests, |slot| *slot.tcb.settings()).unwrap_or(self.cfg.settings)
    }

    /// What the connection asks of IP.
    pub fn for_ip(&self, index: u32) -> Option<ForIp> {
        self.says(
            index,
            |entry| self.common(Known(entry.settings)).settings.ip,
            |slot| slot.tcb.settings().ip,
        )
    }

    /// As [`crate::tcp::tcb::Tcb::progressed_within`].
    pub fn progressed_within(&self, index: u32, ms: u32) -> bool {
        let ctx = self.ctx();
        let rests = |entry: &Entry| entry.brief.progressed_within(ms, ctx);
        self.says(index, rests, |slot| slot.tcb.progressed_within(ms, ctx)).unwrap_or(false)
    }

    /// As [`Slots::deadline`]; one that was only said to be no earlier is found out.
    pub fn find_deadline(&mut self, index: u32) -> Option<Tick> {
        if let Some((entry, common, ctx)) = self.resting(index) {
            entry.brief.find_deadlines(common, ctx);
        }
        self.deadline(index)
    }

    /// The connection's earliest deadline, or a moment before it.
    pub fn deadline(&self, index: u32) -> Option<Tick> {
        self.says(index, |entry| entry.brief.deadline(), |slot| slot.tcb.deadline()).flatten()
    }

    /// A connection at rest, to be worked on where it is, with what its kind has in common.
    #[inline]
    pub fn resting(&mut self, index: u32) -> Option<(&mut Entry, Common<'_>, Ctx<'_>)> {
        let Slots { entries, settings, cfg, now, .. } = self;
        let entry = entries.get_mut(index).filter(|entry| !entry.bits.has(Bits::AWAKE))?;
        let settings = settings.get(usize::from(entry.settings)).unwrap_or(&cfg.settings);
        Some((entry, Common { settings, ip_header: mss::IPV4_HEADER }, Ctx { now: *now, cfg }))
    }

    /// A connection in the form that it has.
    #[inline]
    pub fn form(&mut self, index: u32) -> Option<Form<'_>> {
        let entry = self.entries.get_mut(index)?;
        if entry.bits.has(Bits::AWAKE) {
            self.awake.get_mut(entry.link).map(Form::Awake)
        } else {
            Some(Form::Rests(entry))
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

    /// A connection, which is awake from now on until it is laid down; `None` also where it finds no place to wake.
    #[inline]
    pub fn get_mut(&mut self, index: u32) -> Option<&mut Slot> {
        let entry = self.entries.get(index)?;
        let link = match entry.bits.has(Bits::AWAKE) {
            true => entry.link,
            false if self.can_wake() => self.wake(index)?,
            false => return None,
        };
        self.awake.get_mut(link)
    }

    /// As [`Slots::get_mut`], for a connection that will be gone when the event is over: there is always a place for it.
    pub fn get_mut_to_end(&mut self, index: u32) -> Option<&mut Slot> {
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
        let (link, settings) = (entry.link, Known(entry.settings));
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

    /// One more can be awake. The last place is for those that are to end.
    pub fn can_wake(&self) -> bool {
        let places = self.awake.capacity();
        places == self.entries.capacity() || self.awake.len() + 1 < places
    }

    /// The next of those that are awake, by the places: they come round. `None` where the next place is free.
    pub fn next_awake(&mut self) -> Option<&mut Slot> {
        self.hand = if self.hand < self.awake.capacity() { self.hand + 1 } else { 0 };
        self.awake.get_mut(self.hand)
    }

    /// Looks at so many of the places for those that are awake, and lays down whoever needs none any more.
    pub fn tidy(&mut self, places: u32) {
        for _ in 0..places {
            if let Some(index) = self.next_awake().map(|slot| slot.index) {
                self.lay_down(index);
            }
        }
    }

    /// The number of settings among those that connections at rest can have; most likely it is `guess`. New ones are
    /// remembered as long as there is room.
    #[inline]
    pub fn known(&mut self, settings: &Settings, guess: Known) -> Option<Known> {
        if self.settings.get(usize::from(guess.0)) == Some(settings) {
            return Some(guess);
        }
        let known = self.settings.iter().position(|known| known == settings);
        let number = known.unwrap_or(self.settings.len());
        if number == self.settings.len() && number < SETTINGS_MAX {
            self.settings.push(*settings);
        }
        (number < self.settings.len()).then_some(Known(number as u8))
    }

    /// A connection in brief, if nothing is lost by it.
    fn in_brief(&self, slot: &Slot, settings: Known) -> Option<Entry> {
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
            origin: number_of(slot.origin),
            bits: Bits(
                slot.owner as u16
                    | syn
                    | queue
                    | Bits::when(slot.peer_closed, Bits::PEER_CLOSED)
                    | Bits::when(slot.resume, Bits::RESUME),
            ),
            settings: settings.0,
        })
    }

    /// The whole of a connection that is told in brief.
    fn whole(&self, index: u32, entry: &Entry) -> Slot {
        let Entry { bits, brief, link, .. } = *entry;
        Slot {
            key: entry.key,
            generation: entry.generation,
            tcb: brief.tcb(self.common(Known(entry.settings)), self.ctx()),
            outgoing: entry.outgoing(),
            incoming: Queue::default(),
            held: None,
            recovery: None,
            origin: entry.origin(),
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

    fn common(&self, settings: Known) -> Common<'_> {
        let settings = self.settings.get(usize::from(settings.0)).unwrap_or(&self.cfg.settings);
        Common { settings, ip_header: mss::IPV4_HEADER }
    }
}
