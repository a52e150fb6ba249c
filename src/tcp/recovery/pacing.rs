//! Pacing (RFC 7661 4.4.2): a sender that was idle has a window and no acknowledgments to clock it. What exceeds the
//! initial window is spread over a round trip, a piece a tick.

use super::{Recovery, micros};
use crate::base::time::Tick;
use crate::tcp::Ctx;
use crate::tcp::congestion::initial_window;
use crate::tcp::tcb::Tcb;
use crate::wire::seq::Seq;

/// Below so many microseconds a round trip is too short for ticks to divide it.
const ROUND_TRIP_MIN_US: u32 = 2_000;

/// A flight that began without acknowledgments to clock it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pace {
    from: Seq,
    began_us: u32,
    /// What may leave at once, and what within the round trip, in octets.
    at_once: u32,
    window: u32,
    round_trip_us: u32,
}

impl Pace {
    /// Octets from `seq` on that may have left by now; `None` when the round trip is over.
    fn room(&self, seq: Seq, now_us: u32) -> Option<u32> {
        let passed = u64::from(now_us.wrapping_sub(self.began_us));
        if passed >= u64::from(self.round_trip_us) {
            return None;
        }
        let more = u64::from(self.window - self.at_once) * passed / u64::from(self.round_trip_us);
        Some((self.at_once + more as u32).saturating_sub(seq.since(self.from)))
    }
}

impl Recovery {
    /// Octets of new text from SND.NXT on that pacing lets go now; all of them when nothing is paced.
    pub(in crate::tcp) fn paced(&self, tcb: &Tcb, ctx: Ctx<'_>) -> u32 {
        self.pace.and_then(|pace| pace.room(tcb.snd.nxt, micros(ctx.now))).unwrap_or(u32::MAX)
    }
}

impl Tcb {
    /// A flight begins: it is paced if the window is larger than the initial one and there is text to fill it.
    pub(in crate::tcp) fn begin_pace(&self, rec: &mut Recovery, ctx: Ctx<'_>) {
        //= PACE-1
        let at_once = initial_window(u32::from(self.mss));
        let window = self.congestion.cwnd;
        let round_trip_us = self.rtt.srtt_us().unwrap_or(0);
        let paced = self.flight() == 0 && self.unsent() > at_once && window > at_once;
        if paced && round_trip_us >= ROUND_TRIP_MIN_US {
            let began_us = micros(ctx.now);
            rec.pace = Some(Pace { from: self.snd.nxt, began_us, at_once, window, round_trip_us });
        }
    }

    /// After sending: what pacing holds back goes on at the next tick.
    pub(in crate::tcp) fn keep_pace(&mut self, rec: &mut Recovery, ctx: Ctx<'_>) {
        let Some(pace) = rec.pace else { return };
        let room = pace.room(self.snd.nxt, micros(ctx.now)).filter(|_| self.unsent() > 0);
        if room.is_none() {
            rec.pace = None;
        }
        let held_back = room.is_some_and(|room| room < u32::from(self.mss));
        self.timers.pace_at = held_back.then(|| Tick::after_ms(ctx.now, 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_leaves_within_a_round_trip_and_the_initial_one_at_once() {
        //= PACE-1
        let pace = Pace {
            from: Seq(u32::MAX - 5_000),
            began_us: u32::MAX - 10,
            at_once: 10_000,
            window: 30_000,
            round_trip_us: 20_000,
        };
        let after = |us: u32, sent: u32| pace.room(pace.from + sent, pace.began_us.wrapping_add(us));
        assert_eq!(after(0, 0), Some(10_000));
        assert_eq!(after(0, 10_000), Some(0));
        assert_eq!(after(1_000, 10_000), Some(1_000));
        assert_eq!(after(19_000, 10_000), Some(19_000));
        assert_eq!(after(19_000, 30_000), Some(0));
        assert_eq!(after(20_000, 10_000), None);
    }
}
