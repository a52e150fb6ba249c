//! Keep-alive (RFC 9293 3.8.4; requirements 1.11, KA-1 to KA-4): a peer that says nothing while nothing is in flight
//! is asked whether it is there. Shares the one retransmission-like timer, since it only runs when that has nothing
//! else to wait for (TMR-12).

use super::Ctx;
use super::outcome::{End, Outcome};
use super::segment::SegmentOut;
use super::settings::KeepAlive;
use super::state::State;
use super::tcb::{Owed, Tcb, Waiting};
use crate::wire::tcp_options::SackBlocks;

impl Tcb {
    /// An acceptable segment of the peer's arrived: it is alive.
    pub(super) fn heard(&mut self, ctx: Ctx<'_>) {
        self.heard_at = ctx.now.tick();
    }

    /// Switches keep-alive (MUST-24), with its intervals (MUST-27).
    pub fn set_keep_alive(&mut self, keep_alive: Option<KeepAlive>, ctx: Ctx<'_>) {
        //= MUST-24
        //= MUST-27
        //= MAY-5
        self.settings.keep_alive = keep_alive;
        if self.timers.waiting == Waiting::KeepAlive {
            self.timers.waiting = Waiting::Nothing;
            self.timers.expiries = 0;
        }
        if self.flight() == 0 {
            self.arm(None, false, ctx);
        }
    }

    /// How long the peer may stay silent from now on, in milliseconds, where that is watched.
    pub(super) fn silence_ms(&self, ctx: Ctx<'_>) -> Option<u32> {
        let watched = matches!(self.state(), State::Established | State::CloseWait | State::FinWait2);
        let idle_ms = self.settings.keep_alive.filter(|_| watched)?.idle_ms;
        Some(idle_ms.saturating_sub(ctx.now.tick().since(self.heard_at)))
    }

    /// The time without a segment may be over (TMR-7). Arrivals do not move the timer; it is looked at here.
    pub(super) fn keep_alive_timeout(&mut self, ctx: Ctx<'_>, out: &mut Outcome) {
        //= TMR-7
        //= MUST-26
        let (Some(keep_alive), Some(left_ms)) = (self.settings.keep_alive, self.silence_ms(ctx)) else {
            self.timers.waiting = Waiting::Nothing;
            return;
        };
        if ctx.now.tick().since(self.heard_at) <= keep_alive.interval_ms {
            // Since the last probe, also where that is longer ago than a peer may be silent.
            self.timers.expiries = 0;
        }
        if left_ms > 0 {
            return self.wait_for(Waiting::KeepAlive, left_ms, ctx);
        }
        if self.timers.expiries >= keep_alive.probes.get() {
            //= KA-2
            out.reply = Some(self.reset(ctx));
            return self.end(End::Silent, out);
        }
        self.timers.expiries += 1;
        self.owed.0 |= Owed::KEEP_ALIVE;
        out.keep_alive = true;
        self.wait_for(Waiting::KeepAlive, keep_alive.interval_ms, ctx);
    }

    /// The probe that is owed: a number that the peer has seen, which it can only answer. None when something was
    /// sent meanwhile that must be answered anyway.
    pub(super) fn keep_alive_probe(&mut self, ctx: Ctx<'_>, held: &SackBlocks) -> Option<SegmentOut> {
        //= KA-1
        //= SHLD-12
        self.owed.0 &= !Owed::KEEP_ALIVE;
        (self.flight() == 0).then(|| self.dataless(self.snd.nxt - 1, ctx, held))
    }
}
