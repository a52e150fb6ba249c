//! ICMP errors about a segment of a connection (RFC 9293 3.9.2.2, RFC 5461, RFC 5927): who may be believed, what
//! ends a connection that is not open yet, what is only remembered, and what makes packets smaller.

use super::Ctx;
use super::outcome::{End, Outcome, PathNews, Soft, Unreachable};
use super::path_mtu::{Change, Report};
use super::recovery::Recovery;
use super::state::State;
use super::tcb::{Owed, Tcb, Waiting, fact};
use crate::base::drop_reason::DropReason;
use crate::wire::icmp_error::Cause;
use crate::wire::seq::Seq;

/// An error about one packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IcmpError {
    /// What went wrong.
    pub cause: Cause,
    /// SEG.SEQ of the packet.
    pub seq: Seq,
    /// The packet's total length in bytes.
    pub len: u16,
}

/// No probe of the path waits longer than this after one that was lost.
const PROBE_PAUSE_MAX_MS: u32 = 600_000;

/// Trying again is of no use (SHLD-26; prohibition as ICMPR-7 has it for IPv6).
const fn is_hard(why: Unreachable) -> bool {
    matches!(why, Unreachable::Protocol | Unreachable::Port | Unreachable::Prohibited)
}

impl Tcb {
    /// An ICMP error arrives about a segment of this connection.
    /// `rec` is the connection's record of what is in flight, if it has one.
    pub fn icmp_arrives(&mut self, error: &IcmpError, rec: Option<&mut Recovery>, ctx: Ctx<'_>) -> Outcome {
        let mut out = Outcome::default();
        out.dropped = self.heed(error, rec, ctx, &mut out).err();
        out
    }

    fn heed(
        &mut self,
        error: &IcmpError,
        rec: Option<&mut Recovery>,
        ctx: Ctx<'_>,
        out: &mut Outcome,
    ) -> Result<(), DropReason> {
        if matches!(self.state(), State::Closed | State::Listen | State::TimeWait) {
            return Err(DropReason::IcmpNoConnection);
        }
        //= ICMPR-1
        //= PMTU-6
        //= ATK-24
        if !error.seq.is_in(self.snd.una, self.flight()) {
            return Err(DropReason::IcmpNotInFlight);
        }
        let why = match error.cause {
            Cause::TooBig { mtu } => return self.too_big(mtu, error, rec, ctx, out),
            Cause::Unreachable(why) => why,
        };
        if is_hard(why) && !self.state().is_synchronized() {
            //= SHLD-26
            //= ICMPR-4
            self.end(End::Unreachable(why), out);
        } else {
            //= MUST-56
            //= SHLD-25
            //= ICMPR-4
            //= ICMPR-5
            out.soft = (self.soft_error != Some(why)).then_some(Soft::Unreachable(why));
            self.soft_error = Some(why);
        }
        Ok(())
    }

    /// The last ICMP error since something was acknowledged: it explains a connection that times out (ICMPR-5).
    pub fn soft_error(&self) -> Option<Unreachable> {
        self.soft_error
    }

    fn too_big(
        &mut self,
        mtu: u16,
        error: &IcmpError,
        rec: Option<&mut Recovery>,
        ctx: Ctx<'_>,
        out: &mut Outcome,
    ) -> Result<(), DropReason> {
        let oldest = error.seq.since(self.snd.una) < u32::from(self.mss);
        let timed_out = oldest && self.timers.expiries > 0 && self.timers.waiting.is_for_flight();
        let probe = self.path_mtu.probe_in_flight();
        let report = Report { mtu, seq: error.seq, len: error.len, timed_out };
        match self.path_mtu.reported(report, ctx.now, ctx.cfg) {
            Change::Nothing | Change::BlackHole => return Err(DropReason::IcmpNoSmaller),
            Change::Held => out.path_mtu = Some(PathNews::Held),
            Change::ProbeFailed => self.send_again(probe, rec, ctx),
            Change::Reported => {
                self.mss = self.path_mtu.text();
                out.path_mtu = Some(PathNews::Mtu(self.path_mtu.current()));
                self.send_again(None, rec, ctx);
            }
        }
        Ok(())
    }

    /// How long the next probe of the path waits after one was lost: a round trip for each segment of the
    /// congestion window, `times` over, in milliseconds (PLPMTUD-4).
    pub(super) fn probe_pause_ms(&self, times: u32) -> u32 {
        let round_trip_ms = self.rtt.srtt_us().map_or(1_000, |us| us.div_ceil(1_000));
        let segments = self.congestion.cwnd / u32::from(self.mss.max(1));
        round_trip_ms.saturating_mul(segments.max(1)).saturating_mul(times).min(PROBE_PAUSE_MAX_MS)
    }

    /// A probe of the path, or without one everything in flight, was too big and goes again. The congestion window
    /// stays as it is.
    pub(super) fn send_again(&mut self, probe: Option<(Seq, u16)>, rec: Option<&mut Recovery>, ctx: Ctx<'_>) {
        //= PMTU-5
        //= RTO-9
        self.facts.clear(fact::TIMING);
        self.owed.0 |= Owed::SEND;
        match (rec, probe) {
            (Some(rec), Some((start, text_len))) => rec.resend_path_probe(start, text_len),
            (Some(rec), None) => rec.resend_all(),
            (None, _) => {
                let seq = probe.map_or(self.snd.una, |(start, _)| start);
                self.resend = if self.facts.has(fact::RESENDING) { self.resend.earlier(seq) } else { seq };
                self.facts.set(fact::RESENDING);
                if self.timers.waiting == Waiting::Retransmit {
                    self.timers.waiting = Waiting::Nothing;
                    self.arm(None, true, ctx);
                }
            }
        }
    }
}
