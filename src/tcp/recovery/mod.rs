//! Loss recovery: what a connection with more than one segment in flight remembers beside its TCB, in a record
//! that it borrows from a bounded store. RACK-TLP (RFC 8985) with SACK, NewReno (RFC 6582) without; PRR
//! (RFC 6937); F-RTO and Eifel (RFC 5682, 3522). A connection without a record (one segment at a time, or none to
//! be had) has its retransmission timer alone.

pub(super) mod delivery;
mod pacing;
pub mod rack;
pub mod scoreboard;
mod sending;
mod spurious;
pub(in crate::tcp) mod tail_probe;
mod timeout;

use pacing::Pace;
use rack::{Circumstances, Rack};
use scoreboard::Scoreboard;
use spurious::{ForwardRto, Undo};
use tail_probe::Probe;

use super::Ctx;
use super::congestion::Algorithm;
use super::congestion::growth::Growth;
use super::congestion::prr::Prr;
use super::tcb::{Tcb, fact};
use crate::base::time::{Instant, Tick};
use crate::wire::seq::Seq;

/// Where recovery stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Phase {
    /// Nothing is known to be lost.
    #[default]
    Open,
    /// Fast recovery (RFC 5681 3.2): something was lost, and acknowledgments keep coming.
    Recovery,
    /// After a retransmission timeout.
    Loss,
}

//= SR-7
/// The record. Which connection has it, and how long, is the engine's to say.
#[derive(Clone, Debug)]
pub struct Recovery {
    board: Scoreboard,
    rack: Rack,
    growth: Growth,
    prr: Prr,
    phase: Phase,
    /// RecoveryPoint (RFC 6675 5), "recover" (RFC 6582): what was sent last when the loss was found.
    point: Seq,
    /// Segments that SACK blocks reported above a hole; without SACK, duplicate acknowledgments.
    reported: u32,
    /// Octets sent by limited transmit since the last acknowledgment that got forward (CC-5).
    limited: u32,
    /// When RACK looks again.
    reorder_at: Option<Tick>,
    /// The first lost segment goes again whatever the window says.
    must_resend: bool,
    /// When the window was last reduced because of a retransmission that was lost, in microseconds.
    reduced_us: u32,
    /// What to restore if the loss was none.
    undo: Option<Undo>,
    forward_rto: ForwardRto,
    probe: Option<Probe>,
    pace: Option<Pace>,
    /// No round trip was measured since the last tail loss probe (TLP-4).
    unmeasured: bool,
}

/// Microseconds modulo 2^32, as the record keeps times.
fn micros(now: Instant) -> u32 {
    now.0 as u32
}

impl Default for Recovery {
    fn default() -> Self {
        Recovery {
            board: Scoreboard::default(),
            rack: Rack::default(),
            growth: Growth::new(Algorithm::default(), Instant::ZERO),
            prr: Prr::enter(0),
            phase: Phase::Open,
            point: Seq(0),
            reported: 0,
            limited: 0,
            reorder_at: None,
            must_resend: false,
            reduced_us: 0,
            undo: None,
            forward_rto: ForwardRto::Off,
            probe: None,
            pace: None,
            unmeasured: false,
        }
    }
}

impl Recovery {
    /// Makes the record that of a connection which has none: what is in flight counts as sent when its last
    /// segment was.
    pub fn attach(&mut self, tcb: &Tcb, ctx: Ctx<'_>) {
        let snd = &tcb.snd;
        self.board.reset(snd.una);
        if tcb.flight() > 0 {
            self.board.append(snd.nxt, micros(tcb.sent_at), 1);
        }
        self.rack = Rack::default();
        let algorithm = tcb.settings().congestion.unwrap_or(ctx.cfg.congestion);
        self.growth = Growth::new(algorithm, ctx.now);
        self.prr = Prr::enter(0);
        self.phase = Phase::Open;
        //= NR-1
        self.point = snd.una - 1;
        self.reported = 0;
        self.quiet();
        self.undo = None;
        self.probe = None;
        self.pace = None;
        self.unmeasured = false;
    }

    /// What is in flight is to be judged anew.
    fn quiet(&mut self) {
        self.limited = 0;
        self.reorder_at = None;
        self.must_resend = false;
        self.forward_rto = ForwardRto::Off;
    }

    /// Where recovery stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Octets believed to be on their way. Without SACK each duplicate acknowledgment says that one segment has
    /// left the network (RFC 5681 3.2; CC-10's inflation, seen from the other side).
    pub(super) fn pipe(&self, tcb: &Tcb) -> u32 {
        //= CC-10
        //= CC-11
        let pipe = self.board.pipe();
        if tcb.facts.has(fact::SACK) {
            return pipe;
        }
        let mss = u32::from(tcb.mss);
        pipe.saturating_sub(self.reported.saturating_mul(mss).min(pipe.saturating_sub(mss)))
    }

    fn circumstances(&self, tcb: &Tcb, ctx: Ctx<'_>) -> Circumstances {
        Circumstances {
            now_us: micros(ctx.now),
            srtt_us: tcb.rtt.srtt_us().unwrap_or(1_000_000),
            in_recovery: self.phase != Phase::Open,
            sacked_segments: self.reported,
        }
    }

    /// What no event may ever break; for tests.
    ///
    /// # Errors
    /// The name of the broken rule.
    pub fn invariants(&self, tcb: &Tcb) -> Result<(), &'static str> {
        if self.board.end() != tcb.snd.nxt && tcb.state().is_synchronized() {
            return Err("the scoreboard ends at SND.NXT");
        }
        self.board.invariants()
    }
}

impl Tcb {
    /// The connection is about to have more in flight than one segment: it should have a record.
    pub fn wants_recovery(&self) -> bool {
        self.state().is_synchronized()
            && !self.facts.has(fact::RESENDING)
            && self.queued() > u32::from(self.mss)
    }

    /// A timer that concerns what is in flight is about to expire: it should have a record.
    pub fn wants_recovery_on_timeout(&self) -> bool {
        self.state().is_synchronized()
            && !self.facts.has(fact::RESENDING)
            && self.flight() > 0
            && self.timers.waiting.is_for_flight()
    }
}
