//! The usual way of a connection that is kept in brief: the segments, calls and answers of which nearly all handshakes
//! and teardowns consist, done on the few words that there are. Each function either does exactly what the whole
//! machine would do to the whole TCB, or says `None` and has changed nothing; tests compare the two.

mod arrives;
mod calls;
mod open;
mod output;
#[cfg(test)]
mod tests;

pub use arrives::Quick;
pub use output::Paid;

use super::brief::{Bits, Brief, Common, moment};
use super::{Waiting, fact};
use crate::base::time::Tick;
use crate::tcp::Ctx;
use crate::tcp::recovery::tail_probe;
use crate::tcp::{rto, settings::Settings};
use crate::wire::seq::Seq;

/// Nothing that is sent alone is sent again within this time, or asked for by a probe, unless the configuration has
/// shorter timers: the peer may delay its acknowledgment for so long (TLP-3). Where a round trip takes longer, the timer
/// is looked at once more than it would have to be.
const PATIENCE_MS: u32 = tail_probe::MAX_ACK_DELAY_MS;

impl Brief {
    /// Octets queued and not yet sent once.
    fn unsent(&self) -> u32 {
        if self.nxt.after(self.end) { 0 } else { self.end.since(self.nxt) }
    }

    /// A FIN is queued and has not left.
    fn fin_pending(&self) -> bool {
        self.facts.has(fact::FIN_QUEUED) && !self.facts.has(fact::FIN_SENT)
    }

    /// Sequence numbers in flight.
    fn flight(&self) -> u32 {
        self.nxt.since(self.una)
    }

    /// Octets that the peer may still send.
    fn rcv_wnd(&self) -> u32 {
        self.edge.since(self.rcv_nxt)
    }

    /// Waits for nothing any more.
    fn stop_waiting(&mut self) {
        self.bits.clear(Bits::WAITING);
        self.stop_other(Bits::RTO);
    }

    /// The one other timer does not run any more, if it is this one.
    fn stop_other(&mut self, which: u8) {
        if self.bits.other() == which {
            self.bits.clear(Bits::OTHER);
            self.other_at = Tick(0);
        }
    }

    /// As [`super::Tcb::arm`] where nothing is in flight and nothing waits, or something is in flight and the peer's
    /// window is open.
    #[inline(always)]
    fn arm(&mut self, fresh: bool, common: Common<'_>, ctx: Ctx<'_>) {
        if self.flight() == 0 { self.stop_waiting() } else { self.arm_for_flight(fresh, common, ctx) }
    }

    /// As [`Brief::arm`] behind what left now, with nothing in flight before it. Most often the acknowledgment comes long
    /// before the timer, and then nobody has to know for how long that would have run.
    #[inline(always)]
    fn arm_when_sent(&mut self, common: Common<'_>, ctx: Ctx<'_>) {
        let shortest = ctx.cfg.rto_min_ms.min(ctx.cfg.rto_initial_ms).min(ctx.cfg.rto_max_ms);
        let limited = common.settings.user_timeout_ms(ctx.cfg).is_some_and(|ms| ms < PATIENCE_MS);
        if shortest < PATIENCE_MS
            || limited
            || !self.facts.has(fact::SACK)
            || self.flight() > u32::from(self.mss)
        {
            return self.arm_for_flight(true, common, ctx);
        }
        // As much as a start of the timer says, sending has said already.
        debug_assert_eq!(self.progress_at, ctx.now.tick());
        self.retransmit_at = ctx.now.tick().plus(PATIENCE_MS);
        self.bits.clear(Bits::WAITING | Bits::OTHER);
        self.bits.set(Bits::JUST_SENT | Bits::RTO);
    }

    /// Finds out how long the timers run that were only begun when something was sent. What that follows from has not
    /// changed since: an acknowledgment stops them, and whatever changes settings or the path wakes the connection first, for
    /// which they are found out.
    pub fn find_deadlines(&mut self, common: Common<'_>, ctx: Ctx<'_>) {
        if !self.bits.is_just_sent() {
            return;
        }
        let sent_at = moment(self.sent_at, ctx.now);
        let rto_at = self.within_r2(Tick::after_ms(sent_at, self.rto_ms(ctx)), common.settings, ctx);
        let at = Tick::after_ms(sent_at, tail_probe::timeout_ms(self.rtt.srtt_us(), true));
        //= TLP-2
        self.retransmit_at = if rto_at.before(at) { rto_at } else { at };
        self.other_at = rto_at;
        self.bits.clear(Bits::WAITING);
        self.bits.set(Bits::TAIL_PROBE);
    }

    fn arm_for_flight(&mut self, fresh: bool, common: Common<'_>, ctx: Ctx<'_>) {
        // What was acknowledged stops it, and nothing more is sent before that.
        debug_assert!(!(fresh && self.bits.is_just_sent()), "two segments left");
        if self.bits.is_just_sent() {
            return;
        }
        let before = self.bits.waiting();
        let probes = before == Waiting::TailProbe;
        if !before.is_for_flight() {
            self.progress_at = ctx.now.tick();
        }
        let rto_at = match before {
            Waiting::TailProbe => self.other_at,
            Waiting::Retransmit => self.retransmit_at,
            _ => self.within_r2(Tick::after_ms(ctx.now, self.rto_ms(ctx)), common.settings, ctx),
        };
        self.stop_waiting();
        if !self.facts.has(fact::SACK) {
            self.retransmit_at = rto_at;
            return self.bits.set(Bits::RETRANSMIT);
        }
        let alone = self.flight() <= u32::from(self.mss);
        let at = match probes && !fresh {
            true => self.retransmit_at,
            false => Tick::after_ms(ctx.now, tail_probe::timeout_ms(self.rtt.srtt_us(), alone)),
        };
        //= TLP-2
        self.retransmit_at = if rto_at.before(at) { rto_at } else { at };
        self.other_at = rto_at;
        self.bits.set(Bits::TAIL_PROBE | Bits::RTO);
    }

    /// The timer can be set as [`Brief::arm`] sets it. `una` is what will be acknowledged.
    fn may_arm(&self, una: Seq) -> bool {
        let in_flight = una != self.nxt;
        let waits = self.unsent() > 0 || self.fin_pending();
        let one_timer = matches!(self.bits.other(), 0 | Bits::RTO);
        self.bits.may_wait_on() && if in_flight { one_timer } else { !waits }
    }

    fn rto_ms(&self, ctx: Ctx<'_>) -> u32 {
        rto::backed_off_ms(self.rtt.rto_ms(ctx.cfg), self.expiries, ctx.cfg.rto_max_ms)
    }

    fn within_r2(&self, at: Tick, settings: &Settings, ctx: Ctx<'_>) -> Tick {
        match settings.user_timeout_ms(ctx.cfg).map(|ms| self.progress_at.plus(ms + 1)) {
            Some(until) if self.state().is_synchronized() && until.before(at) => until,
            _ => at,
        }
    }
}
