//! What an event did to a connection, for the engine to carry out: what to deliver, what to free, what to
//! answer, what to count.

use super::segment::SegmentOut;
use crate::base::drop_reason::DropReason;
pub use crate::wire::icmp_error::Unreachable;
use crate::wire::seq::Seq;

/// How a connection left the tables.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Our FIN was acknowledged in LAST-ACK, or 2 MSL are over.
    Finished,
    /// A reset arrived for an established connection (EST-1).
    Reset,
    /// A reset arrived for a half-open one (SYR-1).
    HalfOpenReset,
    /// The last SYN-ACK was not acknowledged (SYNQ-5).
    HalfOpenExpired,
    /// A reset answered our SYN (SYS-3), or ended the other half of a simultaneous open (SYR-2).
    Refused,
    /// The last SYN was not answered (MUST-23).
    SynTimedOut,
    /// An ICMP error came before the connection was open (SHLD-26).
    Unreachable(Unreachable),
    /// R2 without progress (UT-3).
    TimedOut,
    /// No keep-alive probe was answered (KA-2).
    Silent,
    /// FIN-WAIT-2 for too long (FW2-6).
    FinWait2TimedOut,
    /// Data came for an application that has closed (SHLD-3).
    DataAfterClose,
    /// The application aborted.
    Aborted,
    /// The application left it without a word.
    Abandoned,
}

/// A soft error: trouble of a connection that goes on all the same (MUST-47, MUST-56).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Soft {
    /// R1 is passed: the same numbers were sent again so often, and nothing was acknowledged (SHLD-9).
    Retransmitting,
    /// An ICMP error message about one of our segments came.
    Unreachable(Unreachable),
}

/// What became known of the path's MTU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PathNews {
    /// It is so many bytes from now on: a report or a probe says so.
    Mtu(u16),
    /// Large packets seem to be swallowed in silence: so many bytes are used from now on (PLPMTUD-6).
    BlackHole(u16),
    /// A report of a smaller one waits until its segment has timed out (PMTU-7).
    Held,
}

/// What an arriving segment, a timeout or a call did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use]
pub struct Outcome {
    /// The segment, or the rest of it, was thrown away for this reason.
    pub dropped: Option<DropReason>,
    /// Answer with this segment, outside the connection's own output.
    pub reply: Option<SegmentOut>,
    /// A challenge ACK is due, if the limit for all connections allows it (LIM-11).
    pub challenge: bool,
    /// The connection became ESTABLISHED.
    pub opened: bool,
    /// Octets that may leave the front of the send queue.
    pub acked: u32,
    /// Where new in-order text begins in the segment's text, in octets.
    pub text_at: u16,
    /// How much of it there is.
    pub text_len: u16,
    /// The text is not in order: it is to be held at this number instead of delivered.
    pub hold_at: Option<Seq>,
    /// The peer's FIN stands at this number, behind a hole.
    pub hold_fin: Option<Seq>,
    /// Urgent data began or the pointer advanced (MUST-32).
    pub urgent: bool,
    /// The peer's FIN was taken: after this text nothing follows.
    pub peer_closed: bool,
    /// The SYN or SYN-ACK is owed again: by its timer, or because the SYN came again.
    pub syn_again: Option<SynAgain>,
    /// A retransmission timeout happened.
    pub rto: bool,
    /// A zero window is probed.
    pub probe: bool,
    /// The peer is asked whether it is there.
    pub keep_alive: bool,
    /// The application is to be told of this trouble.
    pub soft: Option<Soft>,
    /// What became known of the path to the peer.
    pub path_mtu: Option<PathNews>,
    /// A small segment has waited long enough for company.
    pub override_expired: bool,
    /// An acknowledgment has waited long enough for data.
    pub ack_delayed: bool,
    /// What loss recovery did.
    pub repairs: Repairs,
    /// The connection is over; its state is CLOSED.
    pub end: Option<End>,
}

/// What loss recovery may do at one event; each is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Repair {
    /// RACK took something for lost (RFC 8985 6.2).
    RackLoss,
    /// RACK's reordering timer expired.
    RackTimer,
    /// Fast recovery began.
    FastRecovery,
    /// New data went out on one of the first duplicate acknowledgments (RFC 3042).
    LimitedTransmit,
    /// PRR let something go in recovery (RFC 6937).
    Prr,
    /// A tail loss probe is due (RFC 8985 7.3).
    TailProbe,
    /// A tail loss probe repaired a loss.
    TailRepaired,
    /// F-RTO began: the first segment after a timeout was acknowledged (RFC 5682).
    ForwardRto,
    /// F-RTO found a timeout to be spurious.
    ForwardRtoUndo,
    /// Eifel found a retransmission to be spurious (RFC 3522).
    EifelUndo,
    /// All that was sent again came twice (RFC 3708).
    DuplicateUndo,
    /// The peer reported a duplicate (RFC 2883).
    DuplicateReported,
    /// The peer threw away what it had reported (RFC 2018 8).
    Reneged,
}

/// A set of [`Repair`]s.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Repairs(u16);

impl Repair {
    /// All of them, in the order of their names above.
    pub const ALL: [Repair; 13] = [
        Repair::RackLoss,
        Repair::RackTimer,
        Repair::FastRecovery,
        Repair::LimitedTransmit,
        Repair::Prr,
        Repair::TailProbe,
        Repair::TailRepaired,
        Repair::ForwardRto,
        Repair::ForwardRtoUndo,
        Repair::EifelUndo,
        Repair::DuplicateUndo,
        Repair::DuplicateReported,
        Repair::Reneged,
    ];
}

impl Repairs {
    /// Adds one.
    pub const fn add(&mut self, repair: Repair) {
        self.0 |= 1 << repair as u8;
    }

    /// It is in the set.
    pub const fn has(self, repair: Repair) -> bool {
        self.0 & 1 << repair as u8 != 0
    }

    /// The set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Why a SYN or SYN-ACK is sent again (SYR-3: the reasons are counted apart).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SynAgain {
    /// The SYN's timer expired.
    Syn,
    /// The SYN-ACK's timer expired.
    SynAck,
    /// The peer's SYN came again.
    SynRepeated,
}
