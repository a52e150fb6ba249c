//! Losses that were none: found by the echo of an older timestamp (Eifel, RFC 3522), by acknowledgments of what was
//! not sent again (F-RTO, RFC 5682), or by the peer's report that everything sent again came twice (RFC 3708).
//! What the loss changed is restored (RFC 4015, RFC 9438 4.9).

use super::delivery::Delivery;
use super::{Phase, Recovery};
use crate::tcp::outcome::{Outcome, Repair};
use crate::tcp::tcb::{Tcb, fact};
use crate::tcp::timestamps;
use crate::wire::seq::Seq;
use crate::wire::tcp::Segment;

/// What a loss changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Undo {
    /// The timestamp of the first retransmission, once it left.
    first_echo: Option<u32>,
    /// Octets sent again that the peer has not reported as duplicates.
    unreported: u32,
    /// Something was sent again.
    repeated: bool,
    /// The peer reported a duplicate.
    was_reported: bool,
    /// After the recovery: until this is acknowledged a report may still come.
    until: Option<Seq>,
}

/// Where F-RTO stands (RFC 5682 2.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum ForwardRto {
    /// Not at work.
    #[default]
    Off,
    /// Step 2: the first segment was sent again; it ends here.
    First(Seq),
    /// Step 3: its acknowledgment came, and new segments went out.
    Second,
}

impl Recovery {
    /// A loss was found: what follows can be taken back.
    pub(super) fn remember(&mut self) {
        self.undo =
            Some(Undo { first_echo: None, unreported: 0, repeated: false, was_reported: false, until: None });
    }

    /// `octets` are sent again; `clock` is the timestamp that they carry.
    pub(super) fn remember_repeated(&mut self, octets: u32, clock: u32) {
        if let Some(undo) = self.undo.as_mut().filter(|undo| undo.until.is_none()) {
            undo.unreported = undo.unreported.saturating_add(octets);
            undo.repeated = true;
            undo.first_echo.get_or_insert(clock);
        }
    }

    /// The recovery is over. A report of duplicates may come until what is in flight now is acknowledged.
    pub(super) fn remember_until(&mut self, nxt: Seq) {
        if let Some(undo) = &mut self.undo {
            undo.until = Some(nxt);
        }
    }

    /// F-RTO holds the rest back until it knows.
    pub(super) fn holds_back(&self) -> bool {
        self.forward_rto == ForwardRto::Second
    }

    /// Nothing new may be sent, up to `nxt`, that would draw an acknowledgment: F-RTO cannot find out, and what is
    /// lost goes again as ever. True if it was held back.
    pub(in crate::tcp) fn stop_holding_back(&mut self, nxt: Seq) -> bool {
        //= FRTO-1
        let blind = self.holds_back() && nxt == self.point;
        if blind {
            self.forward_rto = ForwardRto::Off;
        }
        blind
    }

    /// The acknowledgment shows that the last loss was none.
    pub(super) fn was_spurious(
        &mut self,
        tcb: &Tcb,
        seg: &Segment,
        delivery: &Delivery,
        out: &mut Outcome,
    ) -> Option<Repair> {
        let una = tcb.snd.una;
        if let (Some((left, right)), Some(undo)) = (delivery.duplicate, &mut self.undo) {
            undo.unreported = undo.unreported.saturating_sub(right.since(left));
            undo.was_reported = true;
            if undo.repeated && undo.unreported == 0 {
                //= DSACK-5
                return Some(Repair::DuplicateUndo);
            }
        }
        if self.undo.is_some_and(|undo| undo.until.is_some_and(|until| una.at_or_after(until))) {
            self.undo = None;
        }
        if self.phase == Phase::Open {
            return None;
        }
        if delivery.advanced && self.echo_is_older(tcb, seg, delivery) {
            return Some(Repair::EifelUndo);
        }
        self.forward_rto(tcb, delivery, out)
    }

    /// Eifel: the acknowledgment was drawn by the first transmission.
    fn echo_is_older(&self, tcb: &Tcb, seg: &Segment, delivery: &Delivery) -> bool {
        //= EIFEL-1
        let Some(undo) = self.undo else { return false };
        let echo = seg.options.timestamps.filter(|_| tcb.facts.has(fact::TIMESTAMPS));
        let (Some(first), Some(echo)) = (undo.first_echo, echo) else { return false };
        let everything = tcb.snd.una.at_or_after(self.point);
        timestamps::older(echo.ecr, first)
            && delivery.duplicate.is_none()
            && (!everything || undo.was_reported)
    }

    /// F-RTO, one acknowledgment.
    fn forward_rto(&mut self, tcb: &Tcb, delivery: &Delivery, out: &mut Outcome) -> Option<Repair> {
        //= FRTO-1
        //= FRTO-2
        //= FRTO-4
        let una = tcb.snd.una;
        match self.forward_rto {
            ForwardRto::Off => None,
            ForwardRto::First(end) => {
                let more = tcb.unsent() > 0 && tcb.snd.nxt.before(una + tcb.snd.wnd);
                if delivery.advanced && una.before(self.point) && una.at_or_after(end) && more {
                    out.repairs.add(Repair::ForwardRto);
                    self.forward_rto = ForwardRto::Second;
                } else {
                    self.forward_rto = ForwardRto::Off;
                }
                None
            }
            ForwardRto::Second => {
                self.forward_rto = ForwardRto::Off;
                delivery.advanced.then_some(Repair::ForwardRtoUndo)
            }
        }
    }
}

impl Tcb {
    /// Takes the last loss back.
    pub(super) fn undo(&mut self, rec: &mut Recovery, how: Repair, out: &mut Outcome) {
        //= EIFEL-2
        //= CUBIC-11
        if rec.undo.take().is_none() {
            return;
        }
        out.repairs.add(how);
        let _ = rec.growth.undo(&mut self.congestion);
        rec.board.nothing_lost();
        rec.quiet();
        if !self.facts.has(fact::SACK) {
            rec.reported = 0;
        }
        rec.probe = None;
        // What was sent again looked like the last one delivered, and was not.
        rec.rack.idle();
        rec.rack.saw_reordering();
        rec.phase = Phase::Open;
        //= FRTO-2
        rec.point = self.snd.una - 1;
        self.facts.clear(fact::CWR_DUE);
    }
}
