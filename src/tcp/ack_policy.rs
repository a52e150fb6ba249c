//! When an acknowledgment leaves: at once, later, or not at all because too many would (RFC 9293 3.8.6.3,
//! RFC 5681 4.2, RFC 5961 7).

use super::Ctx;
use super::config::CHALLENGE_WINDOW_MS;
use super::outcome::Outcome;
use super::tcb::{Owed, Tcb, fact};
use crate::base::time::Tick;
use crate::wire::seq::Seq;

/// Whether an answer outside the normal exchange is granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Grant {
    /// It may go out.
    Granted,
    /// The connection's limit is reached.
    Limited,
}

impl Tcb {
    /// In-order text was taken: acknowledge at once at the beginning of a connection (DACK-3) and for every
    /// second segment (DACK-2), after a delay otherwise (DACK-1).
    pub(super) fn ack_text(&mut self, ctx: Ctx<'_>) {
        self.unacked_segments = self.unacked_segments.saturating_add(1);
        if self.quick_acks > 0 {
            //= DACK-3
            self.quick_acks -= 1;
            self.owe_ack();
        } else if self.unacked_segments >= 2 {
            //= SHLD-19
            //= DACK-2
            self.owe_ack();
        } else if self.timers.ack_at.is_none() {
            //= SHLD-18
            //= DACK-1
            self.timers.ack_at = Some(Tick::after_ms(ctx.now, ctx.cfg.delayed_ack_ms));
        }
    }

    /// A segment above RCV.NXT arrived: one duplicate acknowledgment (CC-15), none of which may be merged away
    /// below the three that a sender counts.
    pub(super) fn ack_duplicate(&mut self) {
        //= CC-15
        self.duplicates_owed = self.duplicates_owed.saturating_add(1);
    }

    /// Octets came twice: the next acknowledgment says which (DSACK-1).
    pub fn note_duplicate(&mut self, octets: (Seq, Seq)) {
        //= DSACK-1
        if self.facts.has(fact::SACK) {
            self.duplicate = Some(octets);
        }
    }

    /// A reset or SYN that must not be believed wants a challenge ACK (RFC 5961 3.2, 4.2). The limit per
    /// connection is checked here, the one for all connections by the engine.
    pub(super) fn challenge(&mut self, ctx: Ctx<'_>, out: &mut Outcome) {
        //= BA-9
        //= BA-10
        let now = ctx.now.tick();
        if now.since(self.challenges_since) >= CHALLENGE_WINDOW_MS {
            self.challenges_since = now;
            self.challenges = 0;
        }
        if self.challenges < ctx.cfg.challenges_per_window {
            self.challenges += 1;
            out.challenge = true;
        }
    }

    /// A segment outside the window wants an acknowledgment. With text it is a retransmission and always
    /// gets one; without, at most one each half second, so that two confused ends fall silent (BA-12).
    pub(super) fn answer_out_of_window(&mut self, has_text: bool, ctx: Ctx<'_>) -> Grant {
        //= BA-12
        let now = ctx.now.tick();
        let recently = self.out_of_window_at.is_some_and(|at| now.since(at) < ctx.cfg.out_of_window_ms);
        if recently && !has_text {
            return Grant::Limited;
        }
        if !has_text {
            self.out_of_window_at = Some(now);
        }
        self.owe_ack();
        Grant::Granted
    }

    /// The engine's limit allowed the challenge ACK that [`Outcome::challenge`] asked for.
    pub fn grant_challenge(&mut self) {
        self.owe_ack();
    }

    /// A segment with the ACK bit leaves: it carries what was pending (DACK-4).
    pub(super) fn acks_are_paid(&mut self) {
        //= DACK-4
        self.owed.0 &= !Owed::ACK;
        self.duplicates_owed = 0;
        self.unacked_segments = 0;
        self.timers.ack_at = None;
        self.rcv.acked = self.rcv.nxt;
    }
}
