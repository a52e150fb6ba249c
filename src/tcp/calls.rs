//! What an application asks of a connection: SEND, CLOSE, ABORT (RFC 9293 3.10.2 to 3.10.5; requirements
//! 2.14). The octets themselves are kept elsewhere; here they are only numbers.

use thiserror::Error;

use super::Ctx;
use super::outcome::{End, Outcome};
use super::segment::SegmentOut;
use super::state::State;
use super::tcb::{Owed, Tcb, fact};
use super::timestamps;
use crate::base::time::Tick;
use crate::wire::tcp::Flags;
use crate::wire::tcp_options::{Options, Timestamps};

/// Why a call cannot be carried out, in the RFC's words.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum CallError {
    /// There is no such connection.
    #[error("connection does not exist")]
    DoesNotExist,
    /// The sending direction is closed already.
    #[error("connection closing")]
    Closing,
    /// More octets would be queued than sequence numbers can tell apart.
    #[error("insufficient resources")]
    InsufficientResources,
}

/// What becomes of data that arrives after CLOSE.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AfterClose {
    /// It is delivered: only our direction is closed (half-close, MAY-1).
    Deliver,
    /// It is acknowledged and thrown away.
    Discard,
    /// It is answered by a reset: nobody can read it (SHLD-3).
    Reset,
}

/// Most octets that may be queued and unacknowledged at once (SEQ-3).
//= SEQ-3
pub const QUEUE_MAX: u32 = 1 << 30;

impl Tcb {
    /// SEND would take `octets` more.
    pub fn may_send(&self, octets: u32) -> bool {
        self.refuses(octets).is_none()
    }

    fn refuses(&self, octets: u32) -> Option<CallError> {
        match self.state() {
            State::Closed | State::Listen => Some(CallError::DoesNotExist),
            state if !state.sends() || self.facts.has(fact::FIN_QUEUED) => Some(CallError::Closing),
            _ if octets > QUEUE_MAX.saturating_sub(self.queued()) => Some(CallError::InsufficientResources),
            _ => None,
        }
    }

    /// SEND: `octets` more are at the end of the send queue.
    ///
    /// # Errors
    /// The sending direction is closed, or the queue would become longer than [`QUEUE_MAX`].
    pub fn send(&mut self, octets: u32) -> Result<(), CallError> {
        //= CALL-3
        if let Some(error) = self.refuses(octets) {
            return Err(error);
        }
        self.snd.end += octets;
        self.owed.0 |= Owed::SEND;
        Ok(())
    }

    /// SEND with the URGENT flag: the `octets` more are urgent, and the peer is told of it even through a closed
    /// window.
    ///
    /// # Errors
    /// As [`Tcb::send`].
    pub fn send_urgent(&mut self, octets: u32) -> Result<(), CallError> {
        //= MUST-30
        self.send(octets)?;
        if octets > 0 {
            self.urgent_out = Some(self.snd.end);
            self.owe_ack();
        }
        Ok(())
    }

    /// CLOSE: a FIN follows what is queued. A second call can only make `after` stricter.
    ///
    /// # Errors
    /// There is no connection, or it is past closing.
    pub fn close(&mut self, after: AfterClose, ctx: Ctx<'_>) -> Result<(), CallError> {
        //= CALL-5
        match after {
            AfterClose::Deliver => {}
            AfterClose::Discard => self.facts.set(fact::DISCARDS),
            AfterClose::Reset => self.facts.set(fact::DEAF),
        }
        match self.state() {
            State::Closed | State::Listen => return Err(CallError::DoesNotExist),
            State::Closing | State::LastAck | State::TimeWait => return Err(CallError::Closing),
            State::FinWait1 => return Ok(()),
            State::FinWait2 => {
                self.limit_fin_wait_2(ctx);
                return Ok(());
            }
            State::Established => self.enter(State::FinWait1),
            State::CloseWait => self.enter(State::LastAck),
            // Nobody knows of it yet: it is forgotten.
            State::SynSent => {
                self.end(End::Aborted, &mut Outcome::default());
                return Ok(());
            }
            // The FIN waits for the end of the handshake.
            State::SynReceived => {}
        }
        //= X-7
        self.facts.set(fact::FIN_QUEUED);
        self.owed.0 |= Owed::SEND;
        Ok(())
    }

    /// ABORT: the connection is gone at once. Returns the reset to be sent, if the peer must be told.
    pub fn abort(&mut self, ctx: Ctx<'_>) -> (Option<SegmentOut>, Outcome) {
        //= CALL-6
        //= CALL-8
        let mut out = Outcome::default();
        let tells = match self.state() {
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait => true,
            // Until its FIN goes out the RFC's connection is in CLOSE-WAIT (3.10.4), and data is lost with it.
            State::LastAck => self.fin_pending(),
            _ => false,
        };
        let reset = tells.then(|| self.reset(ctx));
        if self.state() != State::Closed {
            self.end(End::Aborted, &mut out);
        }
        (reset, out)
    }

    /// The connection is gone at once, and the peer is not told.
    pub fn abandon(&mut self) {
        if self.state() != State::Closed {
            self.end(End::Abandoned, &mut Outcome::default());
        }
    }

    /// `<SEQ=SND.NXT><CTL=RST>`.
    pub(super) fn reset(&self, ctx: Ctx<'_>) -> SegmentOut {
        //= TS-2
        //= TS-3
        //= TS-11
        let val = timestamps::clock(ctx.now, self.ts_offset);
        let timestamps = self.facts.has(fact::TIMESTAMPS).then_some(Timestamps { val, ecr: 0 });
        SegmentOut {
            seq: self.snd.nxt,
            flags: Flags::RST,
            options: Options { timestamps, ..Options::default() },
            ..SegmentOut::default()
        }
    }

    /// A connection that nobody reads any more does not wait for the peer's FIN for ever (FW2-6).
    pub(super) fn limit_fin_wait_2(&mut self, ctx: Ctx<'_>) {
        //= FW2-6
        if self.facts.has(fact::DEAF | fact::DISCARDS) && self.timers.life_at.is_none() {
            //= UT-4
            let wait_ms = self.settings.own_timeout_ms().unwrap_or(ctx.cfg.fin_wait_2_ms);
            self.timers.life_at = Some(Tick::after_ms(ctx.now, wait_ms));
        }
    }
}
