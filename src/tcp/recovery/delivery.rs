//! What an acknowledgment says about what is in flight, and what follows from it: delivered, lost, late (RFC 2018,
//! 2883, 5681, 6582, 8985).

use super::scoreboard::{Loss, Piece};
use super::tail_probe::Verdict;
use super::{Phase, Recovery, micros};
use crate::base::time::{Instant, Tick};
use crate::tcp::arrives::steps::Arrival;
use crate::tcp::congestion::growth::Acked;
use crate::tcp::congestion::prr::{Progress, Prr, recover_flight};
use crate::tcp::outcome::{Outcome, Repair};
use crate::tcp::tcb::{Owed, Tcb, fact};
use crate::tcp::{Ctx, timestamps};
use crate::wire::seq::Seq;
use crate::wire::tcp::Flags;

/// How things stood before the segment.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Before {
    /// SND.UNA.
    pub una: Seq,
    /// SND.WND.
    pub wnd: u32,
    /// The segment gave a round-trip sample.
    pub measured: bool,
}

/// What one acknowledgment delivered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivery {
    /// SND.UNA advanced.
    pub advanced: bool,
    /// By so many octets.
    pub acked: u32,
    /// Octets not known to be delivered before (PRR's DeliveredData).
    pub octets: u32,
    /// What the peer says came twice (D-SACK).
    pub duplicate: Option<(Seq, Seq)>,
    /// A duplicate acknowledgment by the letter of RFC 5681 2.
    pub is_duplicate_ack: bool,
    /// The round trip of something that was sent once, in microseconds.
    pub rtt_us: Option<u32>,
}

/// What was in flight when a loss was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flight {
    /// FlightSize, before the acknowledgment that found it.
    pub octets: u32,
    /// PRR's RecoverFS.
    pub recover_fs: u32,
}

impl Tcb {
    /// Carries an acknowledgment out on what is in flight. SND.UNA and SND.WND have been updated.
    pub(in crate::tcp) fn take_delivery(&mut self, rec: &mut Recovery, a: &mut Arrival<'_>, before: Before) {
        let flight = self.snd.nxt.since(before.una);
        rec.unmeasured &= !before.measured;
        let delivery = self.deliver(rec, a, before);
        if rec.board.is_reneged() {
            return self.reneged(rec, a.ctx, &mut a.out);
        }
        if delivery.duplicate.is_some() {
            rec.rack.duplicate_reported(self.snd.una, self.snd.nxt);
            a.out.repairs.add(Repair::DuplicateReported);
        }
        if let Some(how) = rec.was_spurious(self, &a.seg, &delivery, &mut a.out) {
            self.undo(rec, how, &mut a.out);
        }
        self.judge_probe(rec, &delivery, flight, &mut a.out);
        let was_repaired = self.leave_recovery(rec);
        let recover_fs = recover_flight(self.flight(), rec.board.sacked(), delivery.octets);
        self.find_losses(rec, &delivery, Flight { octets: flight, recover_fs }, a.ctx, &mut a.out);
        if delivery.advanced {
            //= CC-5
            rec.limited = 0;
        }
        let marked = a.seg.flags.has(Flags::ECE) && self.facts.has(fact::ECN);
        //= CC-14
        let grows = delivery.advanced && !was_repaired && !marked && !a.out.opened;
        self.adjust_window(rec, &delivery, grows, a);
        if self.flight() == 0 {
            rec.rack.idle();
            rec.reported = 0;
            rec.quiet();
        } else if delivery.octets > 0 || delivery.is_duplicate_ack {
            self.owed.0 |= Owed::SEND;
        }
    }

    /// Takes the acknowledgment and its blocks into the scoreboard.
    fn deliver(&mut self, rec: &mut Recovery, a: &Arrival<'_>, before: Before) -> Delivery {
        let una = self.snd.una;
        let mut d =
            Delivery { acked: una.since(before.una), advanced: una != before.una, ..Delivery::default() };
        let now_us = micros(a.ctx.now);
        let mss = u32::from(self.mss).max(1);
        let Recovery { board, rack, reported, .. } = rec;
        let echo = a.seg.options.timestamps.filter(|_| self.facts.has(fact::TIMESTAMPS));
        let is_older = |sent_us: u32| {
            let sent = Instant(a.ctx.now.0.saturating_sub(u64::from(now_us.wrapping_sub(sent_us))));
            let clock = timestamps::clock(sent, self.ts_offset);
            echo.is_some_and(|echo| timestamps::older(echo.ecr, clock))
        };
        let sacked_before = board.sacked();
        let mut rtt_us = None;
        d.octets = board.acknowledge(una, |piece| {
            rack.delivered(piece, piece.repeated && is_older(piece.sent_us), now_us);
            if !piece.repeated {
                rtt_us = Some(now_us.wrapping_sub(piece.sent_us));
            }
        });
        if self.facts.has(fact::SACK) {
            let passed = (sacked_before - board.sacked()).div_ceil(mss);
            *reported = if board.sacked() == 0 { 0 } else { reported.saturating_sub(passed).max(1) };
            let (duplicate, mut blocks) = self.sort_blocks(a.seg.ack, a.seg.options.sack.as_slice());
            d.duplicate = duplicate;
            // In order, so that blocks of which the lower one was not reported before are no reordering.
            blocks.sort_unstable_by_key(|(left, _)| left.since(una));
            for (left, right) in blocks {
                d.octets += board.sack(left, right, |piece| {
                    rack.delivered(piece, piece.repeated && is_older(piece.sent_us), now_us);
                    *reported = reported.saturating_add(piece.len().div_ceil(mss));
                    if !piece.repeated {
                        rtt_us = Some(now_us.wrapping_sub(piece.sent_us));
                    }
                });
            }
        }
        d.rtt_us = rtt_us;
        //= CC-9
        //= COM-14
        d.is_duplicate_ack = !d.advanced
            && a.seg.ack == una
            && a.seg.text_len == 0
            && a.text_at == 0
            && !a.seg.flags.has(Flags::FIN)
            && self.flight() > 0
            && self.snd.wnd == before.wnd;
        d
    }

    /// Tells the report of a duplicate from blocks above SND.UNA, and leaves out what cannot be true.
    fn sort_blocks(&self, ack: Seq, blocks: &[(Seq, Seq)]) -> (Option<(Seq, Seq)>, Blocks) {
        //= SACK-10
        //= DSACK-3
        let una = self.snd.una;
        let mut above = Blocks::new();
        let mut duplicate = None;
        for (number, (left, right)) in blocks.iter().copied().enumerate() {
            let sane = left.before(right) && right.at_or_before(self.snd.nxt);
            if number == 0 && sane {
                let within =
                    blocks.get(1).is_some_and(|(l, r)| l.at_or_before(left) && right.at_or_before(*r));
                let recent = una.since(left) <= self.max_snd_wnd || left.at_or_after(una);
                if (right.at_or_before(ack) && recent) || (within && left.at_or_after(una)) {
                    duplicate = Some((left, right));
                    continue;
                }
            }
            if sane && left.at_or_after(una) {
                let _ = above.try_push((left, right));
            }
        }
        (duplicate, above)
    }

    /// The peer has thrown away what it said it had: nothing it said counts any more (SACK-9).
    fn reneged(&mut self, rec: &mut Recovery, ctx: Ctx<'_>, out: &mut Outcome) {
        //= SACK-9
        out.repairs.add(Repair::Reneged);
        rec.board.nothing_sacked();
        self.lose_by_timeout(rec, ctx);
        self.owed.0 |= Owed::SEND;
        let rto_ms = self.rto_ms(ctx);
        self.restart_rto(rto_ms, ctx);
    }

    fn judge_probe(&mut self, rec: &mut Recovery, delivery: &Delivery, flight: u32, out: &mut Outcome) {
        let Some(probe) = rec.probe else { return };
        match probe.judge(self.snd.una, delivery) {
            Verdict::Open => return,
            Verdict::NothingLost => {}
            Verdict::Repaired if rec.phase == Phase::Open => {
                //= TLP-8
                out.repairs.add(Repair::TailRepaired);
                rec.growth.on_loss(&mut self.congestion, flight, u32::from(self.mss));
                self.congestion_was_reduced();
            }
            Verdict::Repaired => {}
        }
        rec.probe = None;
    }

    /// Everything that was in flight when the loss was found is acknowledged. True where that ends fast recovery: the
    /// window is what recovery aimed at, and this acknowledgment lets it grow no further.
    fn leave_recovery(&mut self, rec: &mut Recovery) -> bool {
        //= SR-6
        if rec.phase == Phase::Open || self.snd.una.before(rec.point) {
            return false;
        }
        let c = &mut self.congestion;
        let was_fast = rec.phase == Phase::Recovery;
        if was_fast {
            c.cwnd = if self.facts.has(fact::SACK) {
                c.ssthresh
            } else {
                //= NR-3
                let mss = u32::from(self.mss);
                c.ssthresh.min(self.snd.nxt.since(self.snd.una).max(mss) + mss)
            };
        }
        rec.phase = Phase::Open;
        rec.forward_rto = super::ForwardRto::Off;
        rec.rack.recovered();
        rec.remember_until(self.snd.nxt);
        if !self.facts.has(fact::SACK) {
            rec.reported = 0;
        }
        was_fast
    }

    fn find_losses(
        &mut self,
        rec: &mut Recovery,
        delivery: &Delivery,
        flight: Flight,
        ctx: Ctx<'_>,
        out: &mut Outcome,
    ) {
        if self.facts.has(fact::SACK) {
            if delivery.octets > 0 {
                self.detect_losses(rec, flight, ctx, out);
            }
            if rec.phase == Phase::Open && rec.board.sacked() > 0 && self.unsent() > 0 {
                //= LT-1
                out.repairs.add(Repair::LimitedTransmit);
            }
        } else {
            self.count_duplicates(rec, delivery, flight, ctx, out);
        }
    }

    /// RACK: marks what is lost, and enters recovery if something is.
    pub(super) fn detect_losses(
        &mut self,
        rec: &mut Recovery,
        flight: Flight,
        ctx: Ctx<'_>,
        out: &mut Outcome,
    ) {
        let c = rec.circumstances(self, ctx);
        let (loss, again_us) = rec.rack.detect(&mut rec.board, c);
        rec.reorder_at = again_us.map(|us| Tick::after_ms(ctx.now, us.div_ceil(1_000)));
        if loss.octets > 0 && !self.only_the_path_probe_is_lost(rec, loss, ctx) {
            out.repairs.add(Repair::RackLoss);
            self.lost(rec, loss, flight, ctx, out);
        }
    }

    /// Only a probe of the path is lost: it was too big, and that is no sign of congestion (RFC 4821 7.6). Where
    /// others are lost too, its loss says nothing of its size.
    fn only_the_path_probe_is_lost(&mut self, rec: &mut Recovery, loss: Loss, ctx: Ctx<'_>) -> bool {
        let Some((start, text_len)) = self.path_mtu.probe_in_flight() else { return false };
        let is_it = |first: Piece| first.start == start && first.len() == u32::from(text_len);
        let alone = rec.phase == Phase::Open
            && rec.board.lost() == loss.octets
            && loss.octets == u32::from(text_len)
            && rec.board.first_lost().is_some_and(is_it);
        let pause_ms = self.probe_pause_ms(1);
        if alone {
            //= PLPMTUD-4
            self.path_mtu.probe_lost(pause_ms, ctx.now, ctx.cfg);
            self.owed.0 |= Owed::SEND;
        } else {
            //= PLPMTUD-5
            self.path_mtu.probe_inconclusive(pause_ms, ctx.now);
        }
        alone
    }

    /// Without SACK: what is missing is a probe of the path. That others are missing too shows later, if they are.
    fn first_is_path_probe(&mut self, rec: &mut Recovery, ctx: Ctx<'_>) -> bool {
        let probe = self.path_mtu.probe_in_flight().filter(|(start, _)| *start == self.snd.una);
        let Some((start, text_len)) = probe else { return false };
        //= PLPMTUD-4
        rec.resend_path_probe(start, text_len);
        rec.point = self.snd.nxt;
        let pause_ms = self.probe_pause_ms(1);
        self.path_mtu.probe_lost(pause_ms, ctx.now, ctx.cfg);
        self.owed.0 |= Owed::SEND;
        true
    }

    /// NewReno: three duplicate acknowledgments, or a part of what was in flight when the loss was found.
    fn count_duplicates(
        &mut self,
        rec: &mut Recovery,
        delivery: &Delivery,
        flight: Flight,
        ctx: Ctx<'_>,
        out: &mut Outcome,
    ) {
        let mss = u32::from(self.mss);
        if delivery.advanced {
            rec.reported = match rec.phase {
                //= NR-2
                Phase::Recovery => rec.reported.saturating_sub((delivery.acked / mss).saturating_sub(1)),
                _ => 0,
            };
            if rec.phase == Phase::Recovery {
                //= NR-2
                let _ = rec.board.lose_first(mss);
                rec.must_resend = true;
            } else if rec.phase == Phase::Open {
                // It follows, or after 2^31 octets without a loss it would seem to be ahead.
                rec.point = rec.point.later(self.snd.una - 1);
            }
        } else if delivery.is_duplicate_ack {
            rec.reported = rec.reported.saturating_add(1);
            //= CC-8
            //= NR-1
            if rec.phase == Phase::Open && rec.reported >= 3 {
                if self.snd.una.after(rec.point) && !self.first_is_path_probe(rec, ctx) {
                    let loss = rec.board.lose_first(mss);
                    return self.lost(rec, loss, flight, ctx, out);
                }
                rec.reported = 2;
            } else if rec.phase == Phase::Open && self.unsent() > 0 {
                //= LT-1
                out.repairs.add(Repair::LimitedTransmit);
            }
        }
    }

    /// Something is lost: recovery begins, or what was repaired was lost again.
    fn lost(&mut self, rec: &mut Recovery, loss: Loss, flight: Flight, ctx: Ctx<'_>, out: &mut Outcome) {
        let now_us = micros(ctx.now);
        self.owed.0 |= Owed::SEND;
        if rec.phase == Phase::Open {
            //= SR-5
            rec.remember();
            rec.phase = Phase::Recovery;
            rec.must_resend = true;
            out.repairs.add(Repair::FastRecovery);
        } else {
            //= CC-12
            //= RACK-10
            let patience = self.rtt.srtt_us().unwrap_or(1_000_000);
            if !loss.repeated || now_us.wrapping_sub(rec.reduced_us) < patience {
                return;
            }
        }
        rec.reduced_us = now_us;
        rec.point = self.snd.nxt;
        let lost_of = flight.octets.saturating_sub(rec.limited);
        let cwnd = self.congestion.cwnd;
        rec.growth.on_loss(&mut self.congestion, lost_of, u32::from(self.mss));
        if rec.phase == Phase::Loss {
            self.congestion.cwnd = cwnd.min(self.congestion.ssthresh);
        }
        rec.prr = Prr::enter(flight.recover_fs);
        rec.limited = 0;
        self.congestion_was_reduced();
    }

    /// The congestion window where a timer began recovery: one segment goes again, and what it draws lets the rest
    /// go (PRR), however much was found lost at once.
    pub(super) fn begin_reduction(&mut self, rec: &mut Recovery, out: &mut Outcome) {
        //= PRR-3
        //= PRR-4
        let (pipe, ssthresh, mss) = (rec.board.pipe(), self.congestion.ssthresh, u32::from(self.mss));
        self.congestion.cwnd = pipe + rec.prr.on_ack(0, pipe, ssthresh, mss, Progress::Doubtful);
        out.repairs.add(Repair::Prr);
    }

    /// The congestion window after an acknowledgment.
    fn adjust_window(&mut self, rec: &mut Recovery, delivery: &Delivery, grows: bool, a: &mut Arrival<'_>) {
        let mss = u32::from(self.mss);
        let c = &mut self.congestion;
        if rec.phase == Phase::Recovery {
            if !self.facts.has(fact::SACK) {
                //= CC-10
                c.cwnd = c.ssthresh;
            } else if delivery.octets > 0 {
                //= PRR-2
                //= PRR-3
                let pipe = rec.board.pipe();
                let safe = delivery.advanced && !a.out.repairs.has(Repair::RackLoss);
                let progress = if safe { Progress::Safe } else { Progress::Doubtful };
                let more = rec.prr.on_ack(delivery.octets, pipe, c.ssthresh, mss, progress);
                c.cwnd = pipe + more;
                if more > 0 {
                    a.out.repairs.add(Repair::Prr);
                }
            }
            return;
        }
        if !grows {
            return;
        }
        let acked = Acked {
            octets: delivery.acked,
            mss,
            ack: self.snd.una,
            snd_nxt: self.snd.nxt,
            now: a.ctx.now,
            srtt_us: self.rtt.srtt_us(),
            rtt_sample_us: delivery.rtt_us,
        };
        rec.growth.on_ack(c, &acked);
    }
}

/// Blocks above SND.UNA.
type Blocks = arrayvec::ArrayVec<(Seq, Seq), 4>;
