//! TIMEOUTS (RFC 9293 3.10.8; requirements 2.15): what the connection's timers do, and when they are set.

use super::Ctx;
use super::outcome::{End, Outcome, PathNews, Soft, SynAgain};
use super::path_mtu::Change;
use super::recovery::Recovery;
use super::state::State;
use super::tcb::{Owed, Tcb, Waiting, fact};
use crate::base::time::Tick;

impl Tcb {
    /// Time has passed: whatever is due happens. Called at or after [`Tcb::deadline`]; harmless before.
    pub fn timeout(&mut self, rec: Option<&mut Recovery>, ctx: Ctx<'_>) -> Outcome {
        let mut out = Outcome::default();
        let now = ctx.now.tick();
        if self.timers.ack_at.is_some_and(|at| at.is_due(now)) {
            //= TMR-4
            self.timers.ack_at = None;
            out.ack_delayed = true;
            self.owe_ack();
        }
        self.cork_timeout(now);
        if self.timers.pace_at.is_some_and(|at| at.is_due(now)) {
            self.timers.pace_at = None;
            self.owed.0 |= Owed::SEND;
        }
        if self.timers.waiting != Waiting::Nothing && self.timers.retransmit_at.is_due(now) {
            match self.timers.waiting {
                Waiting::Nothing => {}
                Waiting::Retransmit if self.state() == State::SynReceived => {
                    self.syn_ack_timeout(ctx, &mut out);
                }
                Waiting::Retransmit if self.state() == State::SynSent => {
                    self.syn_timeout(ctx, &mut out);
                }
                Waiting::Retransmit => self.retransmission_timeout(rec, ctx, &mut out),
                Waiting::Reorder if self.timers.rto_at.is_due(now) => {
                    self.retransmission_timeout(rec, ctx, &mut out);
                }
                //= TMR-9
                Waiting::Reorder => self.look_again(rec, ctx, &mut out),
                Waiting::TailProbe => self.probe_tail(rec, ctx, &mut out),
                Waiting::Persist | Waiting::Override => self.persist_timeout(ctx, &mut out),
                Waiting::KeepAlive => self.keep_alive_timeout(ctx, &mut out),
            }
        }
        if self.timers.life_at.is_some_and(|at| at.is_due(now)) {
            let why = match self.state() {
                //= TMR-6
                //= TMW-10
                State::TimeWait => End::Finished,
                //= TMR-11
                //= FW2-6
                _ => End::FinWait2TimedOut,
            };
            self.end(why, &mut out);
        }
        out
    }

    /// The SYN-ACK was not acknowledged (TMR-3).
    fn syn_ack_timeout(&mut self, ctx: Ctx<'_>, out: &mut Outcome) {
        //= SYNQ-5
        //= SYNQ-6
        let active = self.facts.has(fact::ACTIVE);
        let repeats = if active { ctx.cfg.syn_repeats } else { ctx.cfg.syn_ack_repeats };
        if self.timers.expiries >= repeats {
            //= SYNQ-3
            return self.end(if active { End::SynTimedOut } else { End::HalfOpenExpired }, out);
        }
        out.syn_again = Some(SynAgain::SynAck);
        self.repeat_syn(ctx);
    }

    /// The SYN was not answered (TMR-2).
    fn syn_timeout(&mut self, ctx: Ctx<'_>, out: &mut Outcome) {
        //= TMR-2
        //= MUST-22
        //= MUST-23
        let opened_ms = ctx.now.tick().since(self.opened_at);
        let given_up = self.settings.own_timeout_ms().is_some_and(|limit_ms| opened_ms >= limit_ms);
        if self.timers.expiries >= ctx.cfg.syn_repeats || given_up {
            return self.end(End::SynTimedOut, out);
        }
        self.report_r1(self.timers.expiries.saturating_add(1), ctx, out);
        //= ECN-5
        self.facts.clear(fact::ECN);
        out.syn_again = Some(SynAgain::Syn);
        self.repeat_syn(ctx);
    }

    fn repeat_syn(&mut self, ctx: Ctx<'_>) {
        self.timers.expiries += 1;
        //= RTO-9
        self.facts.clear(fact::TIMING);
        self.owed.0 |= Owed::SYN;
        let mut delay = self.rto_ms(ctx);
        if let Some(limit_ms) = self.settings.own_timeout_ms().filter(|_| self.state() == State::SynSent) {
            //= MUST-21
            delay = delay.min(limit_ms.saturating_sub(ctx.now.tick().since(self.opened_at)).max(1));
        }
        self.wait_for(Waiting::Retransmit, delay, ctx);
    }

    /// R1: what was sent so often and is not acknowledged is news for the application, and for IP (MUST-20).
    fn report_r1(&self, repeats: u8, ctx: Ctx<'_>, out: &mut Outcome) {
        //= MUST-20
        //= MUST-22
        //= SHLD-9
        //= SHLD-10
        //= UT-1
        if repeats == ctx.cfg.r1_repeats {
            out.soft = Some(Soft::Retransmitting);
        }
    }

    /// Nothing got forward for R2 (UT-3): the connection is given up, and the peer is told.
    fn gave_up(&mut self, ctx: Ctx<'_>, out: &mut Outcome) -> bool {
        //= MUST-20
        //= TMR-8
        //= SHLD-11
        //= UT-3
        let stuck = self.given_up_at(ctx).is_some_and(|at| at.is_due(ctx.now.tick()));
        if stuck {
            out.reply = Some(self.reset(ctx));
            self.end(End::TimedOut, out);
        }
        stuck
    }

    /// RTO (RFC 6298 5.4 to 5.6): the oldest goes again, slowly; the rest follows as acknowledgments allow.
    fn retransmission_timeout(&mut self, rec: Option<&mut Recovery>, ctx: Ctx<'_>, out: &mut Outcome) {
        if self.flight() == 0 {
            return self.window_held_long_enough(ctx);
        }
        //= TMR-1
        //= LAK-3
        if self.gave_up(ctx, out) {
            return;
        }
        out.rto = true;
        let oversized = self.path_timeout(ctx, out) == Change::Reported;
        match rec {
            //= PMTU-5
            Some(rec) if oversized => rec.resend_all(),
            Some(rec) => self.lose_by_timeout(rec, ctx),
            None => {
                if !oversized {
                    //= CC-5
                    //= CC-6
                    let first = self.timers.expiries == 0;
                    self.congestion.on_timeout(self.flight(), u32::from(self.mss), first);
                }
                self.resend = self.snd.una;
                self.facts.set(fact::RESENDING);
            }
        }
        self.timers.expiries = self.timers.expiries.saturating_add(1);
        self.report_r1(self.timers.expiries, ctx, out);
        //= RTO-9
        self.facts.clear(fact::TIMING);
        self.owed.0 |= Owed::SEND;
        //= RTO-7
        let delay = self.rto_ms(ctx);
        self.wait_for(Waiting::Retransmit, delay, ctx);
    }

    /// Perhaps it was too large for the path.
    fn path_timeout(&mut self, ctx: Ctx<'_>, out: &mut Outcome) -> Change {
        let text = self.snd.end.since(self.snd.una.earlier(self.snd.end)).min(self.flight());
        let text = text.min(u32::from(self.mss));
        //= PLPMTUD-4
        self.path_mtu.probe_lost(self.probe_pause_ms(5), ctx.now, ctx.cfg);
        let expiries = self.timers.expiries.saturating_add(1);
        let change = self.path_mtu.timed_out(self.snd.una, text, expiries, ctx.now, ctx.cfg);
        self.mss = self.path_mtu.text();
        match change {
            Change::Reported => out.path_mtu = Some(PathNews::Mtu(self.path_mtu.current())),
            Change::BlackHole => out.path_mtu = Some(PathNews::BlackHole(self.path_mtu.current())),
            Change::Nothing | Change::Held | Change::ProbeFailed => {}
        }
        change
    }

    /// Marks had closed the congestion window of a sender with nothing in flight.
    fn window_held_long_enough(&mut self, ctx: Ctx<'_>) {
        //= ECN-10
        self.congestion.release(u32::from(self.mss));
        self.timers.waiting = Waiting::Nothing;
        self.owed.0 |= Owed::SEND;
        self.arm(None, true, ctx);
    }

    /// The window stays closed (TMR-5), or a small segment has waited long enough for company (TMR-10).
    fn persist_timeout(&mut self, ctx: Ctx<'_>, out: &mut Outcome) {
        if self.gave_up(ctx, out) {
            return;
        }
        self.owed.0 |= Owed::PROBE;
        if self.timers.waiting == Waiting::Persist {
            out.probe = true;
            self.timers.expiries = self.timers.expiries.saturating_add(1);
        } else {
            out.override_expired = true;
        }
        //= SHLD-30
        //= ZWP-1
        let delay = self.rto_ms(ctx);
        self.wait_for(self.timers.waiting, delay, ctx);
    }

    /// Sets the one retransmission-like timer as the send space wants it; leaves one that fits already alone
    /// (RFC 6298 5.1, TMR-12). `fresh`: something new was sent or acknowledged.
    pub(super) fn arm(&mut self, rec: Option<&Recovery>, fresh: bool, ctx: Ctx<'_>) {
        if !self.state().is_synchronized() || self.state() == State::TimeWait {
            return;
        }
        //= ECN-10
        let held = self.congestion.is_held() && self.snd.wnd > 0;
        let in_flight = self.flight() > 0 || held;
        let waits = self.unsent() > 0 || self.fin_pending();
        let silence_ms = self.silence_ms(ctx);
        if self.timers.waiting == Waiting::KeepAlive && (in_flight || waits) {
            // Probes that were not answered slow nothing down.
            self.timers.expiries = 0;
        }
        let wanted = match (in_flight || waits, self.snd.wnd == 0, in_flight) {
            //= MUST-26
            (false, _, _) if silence_ms.is_some() => Waiting::KeepAlive,
            (false, _, _) => Waiting::Nothing,
            //= ECN-10
            _ if held && self.flight() == 0 => Waiting::Retransmit,
            //= MUST-36
            //= FW1-8
            //= CLW-7
            (true, true, _) => Waiting::Persist,
            (true, false, true) => return self.arm_for_flight(rec, fresh, ctx),
            (true, false, false) => Waiting::Override,
        };
        if wanted == self.timers.waiting {
            return;
        }
        match wanted {
            Waiting::Nothing => self.timers.waiting = Waiting::Nothing,
            // The wheel is past this tick already.
            Waiting::KeepAlive => self.wait_for(wanted, silence_ms.unwrap_or(0).max(1), ctx),
            //= SWS-3
            Waiting::Override => self.wait_for(wanted, ctx.cfg.override_ms, ctx),
            //= SHLD-29
            _ => {
                let delay = self.rto_ms(ctx);
                self.wait_for(wanted, delay, ctx);
            }
        }
    }

    /// Something is in flight: RACK's timer, the tail loss probe's, or the retransmission timer alone; never
    /// later than the last (TLP-2).
    fn arm_for_flight(&mut self, rec: Option<&Recovery>, fresh: bool, ctx: Ctx<'_>) {
        //= RTO-8
        if !self.timers.waiting.is_for_flight() {
            let delay = self.rto_ms(ctx);
            self.wait_for(Waiting::Retransmit, delay, ctx);
        }
        let rto_at = self.timers.rto_at;
        let (waiting, at) = if let Some(at) = rec.and_then(Recovery::reorder_at) {
            (Waiting::Reorder, at)
        } else if let Some(ms) = self.probe_timeout_ms(rec) {
            let kept = self.timers.waiting == Waiting::TailProbe && !fresh;
            let at = if kept { self.timers.retransmit_at } else { Tick::after_ms(ctx.now, ms) };
            (Waiting::TailProbe, at)
        } else {
            (Waiting::Retransmit, rto_at)
        };
        //= TLP-2
        self.timers.waiting = waiting;
        self.timers.retransmit_at = if rto_at.before(at) { rto_at } else { at };
    }
}
