//! A connection that is awake: the key and the hot part of the TCB on the first cache line, the rest behind it. How it
//! is kept between events stands in `slots`.

use super::api::{ListenerId, Unreachable, Unsent};
use crate::base::bytes::Queue;
use crate::flow::key::Key;
use crate::tcp::state::State;
use crate::tcp::tcb::{HOT_BYTES, Tcb};

/// Where a connection stands with its application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(super) enum Owner {
    /// Not ESTABLISHED yet: the application knows nothing of it.
    Nobody,
    /// Not ESTABLISHED yet: the application opens it.
    Opener,
    /// In the listener's accept queue.
    Waiting,
    /// The application has it.
    Taken,
    /// The application has closed it for good and hears only of its end.
    Finished,
}

/// Where a connection comes from (MUST-11).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// A listener took its SYN.
    Listener(ListenerId),
    /// The application opened it.
    Active,
}

/// How far the first SYN that we send has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Syn {
    /// It is its turn at the end of the pass.
    Due,
    /// It could not be built.
    Kept(Unsent),
    /// It waits for the neighbour's MAC address, or was lost for want of it. Not remembered beyond the handshake.
    WithoutNeighbour,
    /// It was given to the port, as the frame of this number.
    Queued(u32),
}

/// One connection.
#[derive(Clone, Debug)]
#[repr(C, align(64))]
pub(super) struct Slot {
    pub key: Key,
    pub generation: u32,
    pub tcb: Tcb,
    /// What the application queued, from SND.UNA on.
    pub outgoing: Queue,
    /// What arrived and the application did not take.
    pub incoming: Queue,
    /// What came before its turn, in a slab of its own.
    pub held: Option<u32>,
    /// What is known of what is in flight, in a store of its own.
    pub recovery: Option<u32>,
    pub origin: Origin,
    pub owner: Owner,
    /// The peer's FIN came; the application is told when it has taken everything before it.
    pub peer_closed: bool,
    /// The application asked to be offered again what it did not take.
    pub resume: bool,
    /// Both directions are finished and nothing names the connection any more, but its application has not read
    /// everything yet.
    pub unread: bool,
    /// The application has left it without a word.
    pub abandoned: bool,
    /// Where the neighbour's MAC address was found last.
    pub neighbour: crate::base::ids::NeighbourIdx,
    pub syn: Syn,
    /// The connection's number.
    pub index: u32,
}

const _: () = assert!(std::mem::offset_of!(Slot, tcb) + HOT_BYTES == 64);

impl Slot {
    /// The application has the connection and has not ended it.
    pub fn hears(&self) -> bool {
        self.owner == Owner::Taken && (self.unread || self.tcb.state() != State::Closed)
    }

    /// Our SYN was neither acknowledged nor refused.
    pub fn opens(&self) -> bool {
        matches!(self.tcb.state(), State::SynSent | State::SynReceived)
    }

    /// Remembers what became of a SYN; the first that was given to the port counts.
    pub fn note_syn(&mut self, syn: Syn) {
        if !matches!(self.syn, Syn::Queued(_)) {
            self.syn = syn;
        }
    }

    /// The last trouble on the way to the peer since something was acknowledged (ICMPR-5).
    pub fn soft_error(&self) -> Option<Unreachable> {
        match self.syn {
            Syn::WithoutNeighbour => self.tcb.soft_error().or(Some(Unreachable::Neighbour)),
            Syn::Due | Syn::Kept(_) | Syn::Queued(_) => self.tcb.soft_error(),
        }
    }

    /// There is something that the application has to be told before the connection may be forgotten.
    pub fn has_more_to_tell(&self) -> bool {
        let listens = matches!(self.owner, Owner::Taken | Owner::Waiting);
        listens && (self.peer_closed || !self.incoming.is_empty())
    }
}
