//! Congestion marks (RFC 3168 6.1): the peer's echo of those on what we sent, and ours of those on what it sent.

use super::steps::Arrival;
use crate::tcp::congestion::Marked;
use crate::tcp::tcb::{Tcb, fact};
use crate::wire::tcp::Flags;

impl Tcb {
    /// The segment echoes a congestion mark.
    pub(super) fn is_marked(&self, a: &Arrival<'_>) -> bool {
        a.seg.flags.has(Flags::ECE) && self.facts.has(fact::ECN)
    }

    /// The peer echoes a congestion mark on one of the `flight` octets that were in flight when it came: less goes
    /// out, and nothing goes again; once in a window (ECN-8).
    pub(super) fn take_congestion_echo(&mut self, a: &mut Arrival<'_>, flight: u32) {
        if !self.is_marked(a) || flight == 0 || !self.cwr_end.before(self.snd.una) {
            return;
        }
        //= ECN-8
        let mss = u32::from(self.mss);
        let marked = match a.rec.as_deref_mut() {
            Some(rec) if rec.is_open() => rec.marked(&mut self.congestion, flight, mss),
            Some(_) => Marked::Reduced,
            None => self.congestion.on_mark(flight, mss),
        };
        if marked == Marked::Held {
            //= ECN-10
            // Nothing more until the timer says so: see `Tcb::arm`.
            let delay = self.rto_ms(a.ctx);
            self.restart_rto(delay, a.ctx);
        }
        self.cwr_end = self.snd.nxt;
        self.facts.set(fact::CWR_DUE);
    }

    /// A packet was marked on its way here, or the peer has reacted to our telling it (ECN-6).
    pub(super) fn take_congestion_mark(&mut self, a: &Arrival<'_>) {
        if !self.facts.has(fact::ECN) {
            return;
        }
        if a.seg.flags.has(Flags::CWR) {
            //= ECN-6
            self.facts.clear(fact::ECHO_CONGESTION);
        }
        if a.seg.congested && a.seg.text_len > 0 {
            //= ECN-6
            //= ECN-7
            if !self.facts.has(fact::ECHO_CONGESTION) {
                self.owe_ack();
            }
            self.facts.set(fact::ECHO_CONGESTION);
        }
    }
}
