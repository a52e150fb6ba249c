//! Timers of what is in flight: the retransmission timeout (RFC 6298 5.4), RACK's second look (RFC 8985 6.2 step 5),
//! the tail loss probe's (7.3).

use super::delivery::Flight;
use super::spurious::ForwardRto;
use super::{Phase, Recovery};
use crate::tcp::Ctx;
use crate::tcp::congestion::prr::recover_flight;
use crate::tcp::outcome::{Outcome, Repair};
use crate::tcp::tcb::{Owed, Tcb, Waiting, fact};

impl Tcb {
    /// RTO: the oldest goes again, slowly; what is not old enough to be lost stays in flight.
    pub(in crate::tcp) fn lose_by_timeout(&mut self, rec: &mut Recovery, ctx: Ctx<'_>) {
        let mss = u32::from(self.mss);
        let first_time = self.timers.expiries == 0;
        if rec.phase == Phase::Open {
            rec.remember();
        }
        //= CC-5
        //= CC-6
        //= CC-7
        //= CUBIC-9
        let flight = self.flight().saturating_sub(rec.limited);
        rec.growth.on_timeout(&mut self.congestion, flight, mss, first_time);
        if rec.board.is_reneged() {
            rec.board.nothing_sacked();
        }
        if self.facts.has(fact::SACK) {
            //= SACK-8
            let c = rec.circumstances(self, ctx);
            let _ = rec.rack.detect_on_timeout(&mut rec.board, c, mss);
        } else {
            let _ = rec.board.lose(|_| true);
            rec.reported = 0;
        }
        //= FRTO-3
        let fresh = rec.phase == Phase::Open || rec.phase == Phase::Loss && !first_time;
        rec.quiet();
        rec.probe = None;
        let first_end = rec.board.first_lost().map(|piece| piece.end.earlier(piece.start + mss));
        rec.forward_rto = match first_end {
            Some(end) if fresh => ForwardRto::First(end),
            _ => ForwardRto::Off,
        };
        rec.phase = Phase::Loss;
        //= NR-4
        //= SR-6
        rec.point = self.snd.nxt;
        rec.must_resend = true;
        self.congestion_was_reduced();
    }

    /// The window was reduced: the peer is told where ECN was agreed to (ECN-9), and marks of what is in flight
    /// reduce it no more.
    pub(super) fn congestion_was_reduced(&mut self) {
        //= ECN-9
        if self.facts.has(fact::ECN) {
            self.facts.set(fact::CWR_DUE);
        }
        self.cwr_end = self.snd.nxt;
    }

    /// RACK's timer: what was given time to arrive did not.
    pub(in crate::tcp) fn look_again(&mut self, rec: Option<&mut Recovery>, ctx: Ctx<'_>, out: &mut Outcome) {
        let Some(rec) = rec else { return self.wait_for_rto() };
        //= RACK-8
        out.repairs.add(Repair::RackTimer);
        let octets = self.flight();
        let recover_fs = recover_flight(octets, rec.board.sacked(), 0);
        let was_open = rec.phase == Phase::Open;
        self.detect_losses(rec, Flight { octets, recover_fs }, ctx, out);
        if was_open && rec.phase == Phase::Recovery {
            //= PRR-4
            self.begin_reduction(rec, out);
        }
        self.owed.0 |= Owed::SEND;
        self.arm(Some(rec), false, ctx);
    }

    /// PTO: one segment asks for an acknowledgment.
    pub(in crate::tcp) fn probe_tail(&mut self, rec: Option<&mut Recovery>, ctx: Ctx<'_>, out: &mut Outcome) {
        if let Some(rec) = rec {
            // Also if the peer's window lets no probe go: the next timer is the RTO's.
            rec.unmeasured = true;
            //= TLP-6
            out.repairs.add(Repair::TailProbe);
            self.owed.0 |= Owed::TAIL;
            let rto_ms = self.rto_ms(ctx);
            self.restart_rto(rto_ms, ctx);
        }
        self.wait_for_rto();
    }

    fn wait_for_rto(&mut self) {
        self.timers.waiting = Waiting::Retransmit;
        self.timers.retransmit_at = self.timers.rto_at;
    }
}
