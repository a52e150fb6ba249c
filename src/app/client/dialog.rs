//! What a client remembers of one connection, and how the engine's words for an end are accounted for.

use crate::base::time::Tick;
use crate::engine::api::{CloseReason, Unreachable, Unsent};
use crate::load::closing::Close;
use crate::load::talk::Conversation;
use crate::stats::account::{Broken, Failed, Way};

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Stage {
    /// There is none in this slot.
    #[default]
    Free,
    /// It is being opened.
    Opening,
    /// A request is on its way out, or its reply on its way in.
    Talking,
    /// Between a reply and what follows.
    Thinking,
    /// Everything is said; it stays open for a while.
    Holding,
    /// It is open and waits for its turn.
    Parked,
    /// Its turn has come.
    Called,
    /// It says nothing, and the ACK that completes its handshake is on its way out.
    Acknowledging,
    /// It has left.
    Acknowledged,
    /// Everything is said; the other end is to close first.
    AwaitingPeer,
    /// We have closed it; the other end has not.
    Closing,
}

/// How a connection will be accounted for, once it is known before its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Failed(Failed),
    Closed(Way),
    Broken(Broken),
}

/// One connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialog {
    pub number: u64,
    pub intended_ns: u64,
    /// When the first FIN was sent or came; 0 before.
    pub fin_ns: u64,
    pub conversation: Conversation,
    pub generation: u32,
    /// When its timer is due.
    pub deadline: Tick,
    /// Its place among the parked ones.
    pub place: u32,
    pub stage: Stage,
    pub close: Close,
    pub measured: bool,
    /// The first octet has come.
    pub heard: bool,
    pub peer_closed: bool,
    /// We closed before the other end did.
    pub ours_first: bool,
    pub verdict: Option<Verdict>,
}

impl Default for Dialog {
    fn default() -> Self {
        Dialog {
            number: 0,
            intended_ns: 0,
            fin_ns: 0,
            conversation: Conversation::default(),
            generation: 0,
            deadline: Tick(0),
            place: 0,
            stage: Stage::Free,
            close: Close::Fin,
            measured: false,
            heard: false,
            peer_closed: false,
            ours_first: false,
            verdict: None,
        }
    }
}

/// Why a connection that was never established ended.
pub(super) fn failed(reason: CloseReason) -> Failed {
    match reason {
        CloseReason::Refused | CloseReason::Reset => Failed::Refused,
        CloseReason::TimedOut | CloseReason::Silent => Failed::SynTimedOut,
        CloseReason::Unreachable(why) => unreachable(why),
        CloseReason::Aborted => Failed::Cut,
        CloseReason::Finished | CloseReason::DataAfterClose | CloseReason::Abandoned => Failed::Else,
    }
}

fn unreachable(why: Unreachable) -> Failed {
    if why == Unreachable::Neighbour { Failed::Neighbour } else { Failed::Unreachable }
}

/// Why a connection could not be opened within the client's own time.
pub(super) fn timed_out(unsent: Option<Unsent>, soft: Option<Unreachable>) -> Failed {
    match (unsent, soft) {
        (Some(Unsent::NoFrame), _) => Failed::NoFrame,
        (Some(Unsent::TxFull), _) => Failed::TxFull,
        (None, Some(why)) => unreachable(why),
        (None, None) => Failed::SynTimedOut,
    }
}

/// How an established connection ended that nobody had a verdict on.
pub(super) fn ended(reason: CloseReason, way: Way) -> Verdict {
    match reason {
        CloseReason::Finished => Verdict::Closed(way),
        CloseReason::Abandoned => Verdict::Closed(Way::Abandon),
        CloseReason::Reset | CloseReason::Refused => Verdict::Broken(Broken::Reset),
        CloseReason::TimedOut | CloseReason::Silent => Verdict::Broken(Broken::RetransmissionTimedOut),
        CloseReason::Unreachable(_) => Verdict::Broken(Broken::Unreachable),
        CloseReason::Aborted => Verdict::Broken(Broken::Cut),
        CloseReason::DataAfterClose => Verdict::Broken(Broken::WrongData),
    }
}
