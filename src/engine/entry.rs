//! A connection at rest: its endpoints, its TCB in brief and its few words with the engine, in two cache lines.

use super::api::{ListenerId, Unreachable, Unsent};
use super::slot::{Origin, Owner, Slot, Syn};
use crate::base::bytes::{CHUNK, Pool, Queue};
use crate::base::ids::NeighbourIdx;
use crate::flow::key::Key;
use crate::tcp::state::State;
use crate::tcp::tcb::brief::Brief;

/// What is kept of each connection. While it is awake only the key, the generation and the link count.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(super) struct Entry {
    pub key: Key,
    pub generation: u32,
    pub brief: Brief,
    /// The slot of one that is awake; before ESTABLISHED the number of the frame with our SYN; later the first and only
    /// piece of what waits for an acknowledgment.
    pub link: u32,
    pub neighbour: NeighbourIdx,
    /// The listener's number.
    pub origin: u16,
    pub bits: Bits,
    pub settings: u8,
}

#[cfg(not(debug_assertions))]
const _: () = assert!(crate::base::slab::Slab::<Entry>::slot_bytes() == 128);

/// In the place of a listener's number where the application opened the connection.
pub(super) const OPENED: u16 = u16::MAX;

/// What takes a few bits. The lowest three are the owner, the next three say what became of our SYN.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bits(pub u16);

impl Bits {
    const OWNER: u16 = 7;
    const SYN: u16 = 7 << 3;
    /// It is not at rest: what there is of it stands in a slot.
    pub const AWAKE: u16 = 1 << 6;
    pub const PEER_CLOSED: u16 = 1 << 7;
    pub const RESUME: u16 = 1 << 8;
    /// A piece waits for its acknowledgment.
    pub const QUEUED: u16 = 1 << 9;
    /// It is lent.
    pub const LENT: u16 = 1 << 10;

    pub const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    pub const fn when(condition: bool, bit: u16) -> u16 {
        if condition { bit } else { 0 }
    }

    pub fn set(&mut self, bit: u16, on: bool) {
        self.0 = if on { self.0 | bit } else { self.0 & !bit };
    }

    pub fn owner(self) -> Owner {
        const OWNERS: [Owner; 5] =
            [Owner::Nobody, Owner::Opener, Owner::Waiting, Owner::Taken, Owner::Finished];
        OWNERS.get(usize::from(self.0 % 8)).copied().unwrap_or(Owner::Finished)
    }

    pub fn syn(self, number: u32) -> Syn {
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
pub(super) fn syn_bits(syn: Syn) -> (u16, u32) {
    let (kind, number) = match syn {
        Syn::Due => (0, 0),
        Syn::Kept(Unsent::NoFrame) => (1, 0),
        Syn::Kept(Unsent::TxFull) => (2, 0),
        Syn::WithoutNeighbour => (3, 0),
        Syn::Queued(number) => (4, number),
    };
    (kind * 8, number)
}

impl Entry {
    /// Where it comes from.
    pub fn origin(&self) -> Origin {
        match self.origin {
            OPENED => Origin::Active,
            listener => Origin::Listener(ListenerId(listener)),
        }
    }

    /// Our SYN was neither acknowledged nor refused.
    pub fn opens(&self) -> bool {
        matches!(self.brief.state(), State::SynSent | State::SynReceived)
    }

    /// What waits to be acknowledged.
    pub fn outgoing(&self) -> Queue {
        if self.bits.has(Bits::QUEUED) {
            Queue::of_piece(self.link, self.bits.has(Bits::LENT), self.brief.queued())
        } else {
            Queue::default()
        }
    }

    /// Queues the first piece: bytes that live for ever. False, with nothing done, when there is one already, or no
    /// place for it.
    pub fn queue_static(&mut self, pool: &mut Pool, bytes: &'static [u8]) -> bool {
        if !self.may_queue(bytes.len()) {
            return false;
        }
        let Some(piece) = pool.lend(bytes) else { return false };
        self.link = piece;
        self.bits.set(Bits::QUEUED | Bits::LENT, true);
        self.brief.send(bytes.len() as u32)
    }

    /// Queues the first piece: a copy of few bytes. False, with nothing done, as with [`Entry::queue_static`], or when
    /// they are too many for one piece.
    pub fn queue_copy(&mut self, pool: &mut Pool, bytes: &[u8]) -> bool {
        let mut queue = Queue::default();
        let fits = bytes.len() <= CHUNK && pool.free_chunks() > 0;
        fits && self.may_queue(bytes.len()) && {
            pool.push(&mut queue, bytes);
            self.take_queue(&queue)
        }
    }

    fn may_queue(&self, len: usize) -> bool {
        len > 0
            && !self.bits.has(Bits::QUEUED)
            && u32::try_from(len).is_ok_and(|len| self.brief.may_send(len))
    }

    fn take_queue(&mut self, queue: &Queue) -> bool {
        let Some((piece, lent)) = queue.only_piece() else { return false };
        self.link = piece;
        self.bits.set(Bits::QUEUED, true);
        self.bits.set(Bits::LENT, lent);
        self.brief.send(queue.len())
    }

    /// So many octets more were acknowledged, and are forgotten.
    pub fn pop(&mut self, pool: &mut Pool, octets: u32) {
        if self.bits.has(Bits::QUEUED) && self.brief.queued() == 0 {
            pool.take_back(self.link);
            self.bits.set(Bits::QUEUED | Bits::LENT, false);
            self.link = 0;
        } else if self.bits.has(Bits::QUEUED) {
            let lent = self.bits.has(Bits::LENT);
            pool.pop(&mut Queue::of_piece(self.link, lent, self.brief.queued() + octets), octets);
        }
    }

    /// The last trouble on the way to the peer.
    fn soft_error(&self) -> Option<Unreachable> {
        (self.bits.syn(self.link) == Syn::WithoutNeighbour).then_some(Unreachable::Neighbour)
    }

    /// As [`Slot::note_syn`].
    pub fn note_syn(&mut self, syn: Syn) {
        if !matches!(self.bits.syn(self.link), Syn::Queued(_)) {
            let (bits, number) = syn_bits(syn);
            self.bits.set(Bits::SYN, false);
            self.bits.set(bits, true);
            self.link = number;
        }
    }
}

/// A connection in either form, for what has to be known or changed of both.
pub(super) enum Form<'a> {
    /// At rest.
    Rests(&'a mut Entry),
    /// Awake.
    Awake(&'a mut Slot),
}

impl Form<'_> {
    pub fn owner(&self) -> Owner {
        match self {
            Form::Rests(entry) => entry.bits.owner(),
            Form::Awake(slot) => slot.owner,
        }
    }

    pub fn set_owner(&mut self, owner: Owner) {
        match self {
            Form::Rests(entry) => {
                entry.bits.set(Bits::OWNER, false);
                entry.bits.set(owner as u16, true);
            }
            Form::Awake(slot) => slot.owner = owner,
        }
    }

    pub fn origin(&self) -> Origin {
        match self {
            Form::Rests(entry) => entry.origin(),
            Form::Awake(slot) => slot.origin,
        }
    }

    pub fn generation(&self) -> u32 {
        match self {
            Form::Rests(entry) => entry.generation,
            Form::Awake(slot) => slot.generation,
        }
    }

    pub fn state(&self) -> State {
        match self {
            Form::Rests(entry) => entry.brief.state(),
            Form::Awake(slot) => slot.tcb.state(),
        }
    }

    /// As [`Slot::hears`].
    pub fn hears(&self) -> bool {
        match self {
            // One at rest is not CLOSED.
            Form::Rests(entry) => entry.bits.owner() == Owner::Taken,
            Form::Awake(slot) => slot.hears(),
        }
    }

    /// Nobody will read what arrives.
    pub fn is_forsaken(&self) -> bool {
        match self {
            Form::Rests(entry) => entry.brief.is_forsaken(),
            Form::Awake(slot) => slot.tcb.is_forsaken(),
        }
    }

    /// What is kept is to be offered again.
    pub fn set_resume(&mut self, resume: bool) {
        match self {
            Form::Rests(entry) => entry.bits.set(Bits::RESUME, resume),
            Form::Awake(slot) => slot.resume = resume,
        }
    }

    /// The application has to be told of the peer's FIN.
    pub fn peer_closed(&self) -> bool {
        match self {
            Form::Rests(entry) => entry.bits.has(Bits::PEER_CLOSED),
            Form::Awake(slot) => slot.peer_closed,
        }
    }

    /// As [`Slot::has_more_to_tell`].
    pub fn has_more_to_tell(&self) -> bool {
        match self {
            Form::Rests(entry) => {
                let listens = matches!(entry.bits.owner(), Owner::Taken | Owner::Waiting);
                listens && entry.bits.has(Bits::PEER_CLOSED)
            }
            Form::Awake(slot) => slot.has_more_to_tell(),
        }
    }

    pub fn set_peer_closed(&mut self, closed: bool) {
        match self {
            Form::Rests(entry) => entry.bits.set(Bits::PEER_CLOSED, closed),
            Form::Awake(slot) => slot.peer_closed = closed,
        }
    }

    /// Nothing is remembered any more of our SYN.
    pub fn forget_syn(&mut self) {
        match self {
            Form::Rests(entry) => {
                if entry.bits.has(Bits::SYN) {
                    entry.bits.set(Bits::SYN, false);
                    entry.link = 0;
                }
            }
            Form::Awake(slot) => slot.syn = Syn::Due,
        }
    }

    pub fn note_syn(&mut self, syn: Syn) {
        match self {
            Form::Rests(entry) if entry.opens() => entry.note_syn(syn),
            Form::Rests(_) => {}
            Form::Awake(slot) => slot.note_syn(syn),
        }
    }

    pub fn set_neighbour(&mut self, neighbour: NeighbourIdx) {
        match self {
            Form::Rests(entry) => entry.neighbour = neighbour,
            Form::Awake(slot) => slot.neighbour = neighbour,
        }
    }

    pub fn soft_error(&self) -> Option<Unreachable> {
        match self {
            Form::Rests(entry) => entry.soft_error(),
            Form::Awake(slot) => slot.soft_error(),
        }
    }

    /// So many octets were acknowledged, and are forgotten.
    pub fn pop(&mut self, pool: &mut Pool, octets: u32) {
        match self {
            Form::Rests(entry) => entry.pop(pool, octets),
            Form::Awake(slot) => pool.pop(&mut slot.outgoing, octets),
        }
    }
}
