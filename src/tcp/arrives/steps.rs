//! The steps of SEGMENT ARRIVES for SYN-RECEIVED and the synchronized states, one function each. RST and SYN
//! are looked at before the window test because RFC 5961 gives them windows of their own.

use super::synchronized::Room;
use crate::base::drop_reason::DropReason;
use crate::tcp::Ctx;
use crate::tcp::config::{RTO_AFTER_SYN_LOSS_MS, TS_RECENT_AGE_US};
use crate::tcp::congestion::Congestion;
use crate::tcp::outcome::{End, Outcome, PathNews, SynAgain};
use crate::tcp::recovery::Recovery;
use crate::tcp::recovery::delivery::Before;
use crate::tcp::segment::reset_for;
use crate::tcp::state::State;
use crate::tcp::tcb::{Owed, Tcb, Waiting, fact};
use crate::tcp::{timestamps, window};
use crate::wire::tcp::{Flags, Segment};

/// A segment on its way through the steps.
pub(in crate::tcp) struct Arrival<'a> {
    /// The segment; trimmed to the window by `check_sequence`.
    pub seg: Segment,
    /// What the rest of the stack says.
    pub room: Room,
    /// Time and settings.
    pub ctx: Ctx<'a>,
    /// What is known of what is in flight.
    pub rec: Option<&'a mut Recovery>,
    /// What the segment did.
    pub out: Outcome,
    /// Octets cut from the front of the text.
    pub text_at: u16,
    /// Why text or FIN was thrown away though the rest of the segment counts.
    pub refused: Option<DropReason>,
}

impl Tcb {
    /// PAWS (RFC 7323 5.3), before everything but a reset.
    pub(super) fn check_timestamps(&mut self, a: &mut Arrival<'_>) -> Result<(), DropReason> {
        if !self.facts.has(fact::TIMESTAMPS) || a.seg.flags.has(Flags::RST) {
            return Ok(());
        }
        let Some(ts) = a.seg.options.timestamps else {
            //= COM-1
            //= TS-6
            let syn = a.seg.flags.has(Flags::SYN);
            return if syn { Ok(()) } else { Err(DropReason::TimestampMissing) };
        };
        if !timestamps::older(ts.val, self.ts_recent) {
            return Ok(());
        }
        if a.ctx.now.since_us(self.ts_recent_at) > TS_RECENT_AGE_US {
            //= PAWS-3
            self.facts.clear(fact::TS_RECENT);
            return Ok(());
        }
        //= COM-2
        //= PAWS-1
        let _ = self.answer_out_of_window(a.seg.text_len > 0, a.ctx);
        Err(DropReason::Paws)
    }

    /// RST: exact, near, or outside (RFC 5961 3.2).
    pub(super) fn check_rst(&mut self, a: &mut Arrival<'_>) -> Result<(), DropReason> {
        if !a.seg.flags.has(Flags::RST) {
            return Ok(());
        }
        if a.seg.seq == self.rcv.nxt {
            //= COM-5
            //= BA-1
            //= MUST-66
            //= SHLD-2
            let why = match self.state() {
                //= SYR-2
                State::SynReceived if self.facts.has(fact::ACTIVE) => End::Refused,
                //= SYR-1
                State::SynReceived => End::HalfOpenReset,
                //= EST-1
                //= CLG-1
                //= LAK-1
                _ => End::Reset,
            };
            self.end(why, &mut a.out);
            return Ok(());
        }
        if a.seg.seq.is_in(self.rcv.nxt, self.rcv.wnd()) {
            //= COM-6
            self.challenge(a.ctx, &mut a.out);
            return Err(DropReason::RstNotExact);
        }
        //= COM-3
        Err(DropReason::RstOutsideWindow)
    }

    /// SYN: the peer's own again, or one that must be challenged (RFC 5961 4.2).
    pub(super) fn check_syn(&mut self, a: &mut Arrival<'_>) -> Result<(), DropReason> {
        if !a.seg.flags.has(Flags::SYN) {
            return Ok(());
        }
        let repeated = self.state() == State::SynReceived
            && !a.seg.flags.has(Flags::ACK)
            && a.seg.seq + 1 == self.rcv.nxt;
        if repeated {
            //= SYR-3
            //= SYNQ-8
            self.owed.0 |= Owed::SYN;
            a.out.syn_again = Some(SynAgain::SynRepeated);
            return Err(DropReason::SynRepeated);
        }
        let other_half = self.state() == State::SynReceived
            && self.facts.has(fact::ACTIVE)
            && a.seg.flags.has(Flags::ACK)
            && a.seg.seq + 1 == self.rcv.nxt
            && a.seg.ack == self.snd.nxt;
        if other_half {
            //= SYR-8
            //= DBT-13
            a.seg.seq = self.rcv.nxt;
            a.seg.flags = a.seg.flags.without(Flags::SYN);
            self.owe_ack();
            return Ok(());
        }
        //= COM-7
        //= SYR-4
        //= BA-2
        self.challenge(a.ctx, &mut a.out);
        Err(DropReason::SynInConnection)
    }

    /// The window test; what passes is trimmed to the window.
    pub(super) fn check_sequence(&mut self, a: &mut Arrival<'_>) -> Result<(), DropReason> {
        let (nxt, wnd) = (self.rcv.nxt, self.rcv.wnd());
        if window::acceptable(a.seg.seq, a.seg.len(), nxt, wnd) {
            self.trim(a);
            return Ok(());
        }
        if a.seg.is_empty() && a.seg.seq == self.rcv.edge && self.state() != State::SynReceived {
            //= COM-4
            // A peer that has filled our window acknowledges from there. Nothing of it is out of the window, and
            // its acknowledgment may be all that our own data waits for (decision 10).
            return Ok(());
        }
        let has_text = a.seg.text_len > 0;
        let _ = self.answer_out_of_window(has_text, a.ctx);
        if wnd == 0 && a.seg.seq.is_in(nxt, 2) {
            //= COM-4
            //= EST-5
            // No room: the acknowledgment and the urgent pointer count all the same. Also behind the octet of a
            // probe of the peer's that we did not take, or two closed windows could never learn of each
            // other's opening (RFC 9293 A.2).
            if !a.seg.is_empty() {
                a.refused = Some(DropReason::OutsideWindow);
            }
            a.seg.text_len = 0;
            a.seg.flags = a.seg.flags.without(Flags::FIN);
            return Ok(());
        }
        if self.state() == State::Closing && a.seg.flags.has(Flags::FIN) && a.seg.ack == self.snd.nxt {
            //= CLG-4
            a.seg.text_len = 0;
            a.seg.flags = a.seg.flags.without(Flags::FIN);
            return Ok(());
        }
        //= COM-4
        //= EST-7
        let old = has_text && a.seg.end().at_or_before(nxt);
        if old {
            //= DSACK-1
            self.note_duplicate((a.seg.seq, a.seg.seq + u32::from(a.seg.text_len)));
        }
        Err(if old { DropReason::DataDuplicate } else { DropReason::OutsideWindow })
    }

    /// Cuts what was received before and what lies beyond the window.
    fn trim(&mut self, a: &mut Arrival<'_>) {
        //= X-5
        if a.seg.seq.before(self.rcv.nxt) {
            if a.seg.text_len > 0 {
                //= DSACK-4
                let text_end = a.seg.seq + u32::from(a.seg.text_len);
                self.note_duplicate((a.seg.seq, self.rcv.nxt.earlier(text_end)));
            }
            let old = self.rcv.nxt.since(a.seg.seq) as u16;
            a.seg.seq = self.rcv.nxt;
            a.seg.text_len -= old.min(a.seg.text_len);
            a.text_at = old;
        }
        let room = self.rcv.edge.since(a.seg.seq);
        if u32::from(a.seg.text_len) > room {
            a.seg.text_len = room as u16;
        }
        if a.seg.len() > room {
            a.seg.flags = a.seg.flags.without(Flags::FIN);
        }
    }

    /// The acknowledgment: first whether it can be one, then what it does.
    pub(super) fn check_ack(&mut self, a: &mut Arrival<'_>) -> Result<(), DropReason> {
        if !a.seg.flags.has(Flags::ACK) {
            //= COM-9
            //= PRE-12
            return Err(DropReason::NoAck);
        }
        if self.state() == State::SynReceived {
            self.establish(a)?;
        } else {
            self.refuse_impossible_ack(a)?;
        }
        self.take_timestamp(a);
        self.heard(a.ctx);
        let (una, wnd) = (self.snd.una, self.snd.wnd);
        let advances = a.seg.ack.after(una);
        let measured = advances && self.acknowledge(a);
        self.take_window(a);
        if let Some(rec) = a.rec.take() {
            self.take_delivery(rec, a, Before { una, wnd, measured });
            a.rec = Some(rec);
        } else if advances && !a.out.opened && !self.is_marked(a) {
            //= CC-14
            self.congestion.on_ack(self.snd.una.since(una), u32::from(self.mss));
        }
        // The SYN-ACK is no packet that could have been marked.
        let flight = if a.out.opened { 0 } else { self.snd.nxt.since(una) };
        self.take_congestion_echo(a, flight);
        self.take_congestion_mark(a);
        self.arm(a.rec.as_deref(), advances, a.ctx);
        self.fin_acknowledged(a);
        Ok(())
    }

    /// The third ACK of the handshake.
    fn establish(&mut self, a: &mut Arrival<'_>) -> Result<(), DropReason> {
        let good = a.seg.ack.after(self.snd.una) && a.seg.ack.at_or_before(self.snd.nxt);
        if !good {
            //= SYR-6
            a.out.reply = reset_for(&a.seg);
            return Err(DropReason::AckInHandshake);
        }
        if a.room.accept_full && !self.facts.has(fact::ACTIVE) {
            //= SYR-10
            return Err(DropReason::AcceptQueueFull);
        }
        //= SYR-5
        //= SYR-7
        self.become_established(a);
        Ok(())
    }

    /// Both SYNs are acknowledged.
    pub(super) fn become_established(&mut self, a: &mut Arrival<'_>) {
        self.congestion = Congestion::new(u32::from(self.mss), self.timers.expiries);
        self.enter(State::Established);
        if self.facts.has(fact::FIN_QUEUED) {
            self.enter(State::FinWait1);
        }
        self.owed.0 &= !Owed::SYN;
        a.out.opened = true;
    }

    /// Acknowledgments of what was never sent, or too old to be true (RFC 5961 5.2).
    fn refuse_impossible_ack(&mut self, a: &mut Arrival<'_>) -> Result<(), DropReason> {
        let reason = if a.seg.ack.after(self.snd.nxt) {
            //= COM-11
            //= EST-11
            DropReason::AckUnsent
        } else {
            //= COM-10
            //= BA-6
            //= BA-8
            let back = self.snd.una.since(self.ack_floor).min(self.max_snd_wnd);
            if a.seg.ack.at_or_after(self.snd.una - back) {
                return Ok(());
            }
            DropReason::AckTooOld
        };
        let _ = self.answer_out_of_window(a.seg.text_len > 0, a.ctx);
        Err(reason)
    }

    /// TS.Recent follows segments that begin at or before what we last acknowledged (RFC 7323 4.3).
    fn take_timestamp(&mut self, a: &Arrival<'_>) {
        let Some(ts) = a.seg.options.timestamps.filter(|_| self.facts.has(fact::TIMESTAMPS)) else { return };
        let void = !self.facts.has(fact::TS_RECENT);
        // The segment may have been trimmed: its own first number counts.
        let seq = a.seg.seq - u32::from(a.text_at);
        if void || (!timestamps::older(ts.val, self.ts_recent) && seq.at_or_before(self.rcv.acked)) {
            //= COM-12
            //= TS-7
            self.ts_recent = ts.val;
            self.ts_recent_at = a.ctx.now;
            self.facts.set(fact::TS_RECENT);
        }
    }

    /// SND.UNA advances (COM-13). Says whether a round trip was measured.
    pub(super) fn acknowledge(&mut self, a: &mut Arrival<'_>) -> bool {
        //= COM-13
        let queued_before = self.queued();
        let handshake = a.out.opened;
        let measured = self.measure(a);
        if measured || handshake {
            self.timers.kept = 0;
        } else if self.timers.waiting.is_for_flight() {
            //= RTO-11
            self.timers.kept = self.timers.kept.saturating_add(self.timers.expiries);
        }
        self.snd.una = a.seg.ack;
        if self.snd.una.since(self.ack_floor) > 1 << 30 {
            self.ack_floor = self.snd.una - (1 << 30);
        }
        a.out.acked = if handshake { 0 } else { queued_before - self.queued() };
        self.resend = self.resend.later(self.snd.una);
        if self.resend.at_or_after(self.snd.nxt) {
            self.facts.clear(fact::RESENDING);
        }
        self.short_end = self.short_end.later(self.snd.una);
        self.urgent_out = self.urgent_out.filter(|end| end.after(self.snd.una));
        self.cwr_end = self.cwr_end.later(self.snd.una - 1);
        self.timers.expiries = 0;
        self.progress_at = a.ctx.now.tick();
        self.soft_error = None;
        if self.path_mtu.acknowledged(self.snd.una, a.ctx.now, a.ctx.cfg) {
            //= PLPMTUD-9
            self.mss = self.path_mtu.text();
            a.out.path_mtu = Some(PathNews::Mtu(self.path_mtu.current()));
        }
        self.owed.0 |= Owed::SEND;
        //= RTO-8
        self.timers.waiting = Waiting::Nothing;
        measured
    }

    /// Takes a round-trip sample, at most one in a round trip (RTO-9, TS-8); says whether it did.
    fn measure(&mut self, a: &Arrival<'_>) -> bool {
        if self.facts.has(fact::TIMING) {
            let covered = a.seg.ack.at_or_after(self.timed_end);
            if covered {
                self.facts.clear(fact::TIMING);
                self.rtt.sample(u32::try_from(a.ctx.now.since_us(self.timed_at)).unwrap_or(u32::MAX));
            }
            return covered;
        }
        let age_ms = a.ctx.now.tick().since(self.opened_at).saturating_add(1);
        let echo = a.seg.options.timestamps.filter(|_| self.facts.has(fact::TIMESTAMPS));
        let sample = echo.and_then(|ts| timestamps::round_trip_ms(a.ctx.now, self.ts_offset, ts.ecr, age_ms));
        if let Some(ms) = sample {
            //= TS-8
            //= TS-14
            //= TS-13
            // One in a round trip, so that the estimator's weights are right.
            let due_us = u64::from(self.rtt.srtt_us().unwrap_or(0));
            if a.out.opened || a.ctx.now.since_us(self.timed_at) >= due_us {
                self.rtt.sample(ms.saturating_mul(1_000));
                self.timed_at = a.ctx.now;
            }
        } else if a.out.opened && self.rtt.srtt_us().is_none() {
            //= RTO-10
            self.rtt = crate::tcp::rto::RttEstimator::starting_at(RTO_AFTER_SYN_LOSS_MS);
        }
        sample.is_some()
    }

    /// SND.WND (COM-16). A window that opens sends; one that closes is probed.
    fn take_window(&mut self, a: &mut Arrival<'_>) {
        let (seq, ack) = (a.seg.seq - u32::from(a.text_at), a.seg.ack);
        if self.timers.waiting == Waiting::Persist && self.settings.own_timeout_ms().is_none() {
            //= MUST-37
            //= ZWP-4
            //= UT-4
            self.progress_at = a.ctx.now.tick();
        }
        // Whoever acknowledges more speaks later, also in a repeated segment below WL1. Without this a closed
        // window that was told beyond a hole could not be opened until the hole is filled.
        let newer = self.snd.wl1.before(seq)
            || self.snd.wl2.before(ack)
            || (self.snd.wl1, self.snd.wl2) == (seq, ack);
        if ack.before(self.snd.una) || !newer {
            //= COM-15
            return;
        }
        //= COM-16
        //= WS-4
        let before = self.snd.wnd;
        self.snd.wnd = u32::from(a.seg.wnd) << self.shifts.snd();
        self.snd.wl1 = seq;
        self.snd.wl2 = ack;
        self.max_snd_wnd = self.max_snd_wnd.max(self.snd.wnd);
        if self.snd.wnd == before {
            return;
        }
        //= SWS-2
        let worth = u32::from(self.mss).min(self.max_snd_wnd / 2).min(self.queued());
        if before == 0 && self.flight() > 0 && self.snd.wnd >= worth {
            // Whatever was sent as a probe was refused; it goes again as data. Into a silly window it goes by
            // the timer, so that one that flaps draws no stream of small segments (ATK-29).
            match a.rec.as_deref_mut() {
                Some(rec) => rec.resend_all(),
                None => {
                    self.resend = self.snd.una;
                    self.facts.set(fact::RESENDING);
                }
            }
        }
        if before == 0 || self.snd.wnd == 0 {
            self.timers.waiting = Waiting::Nothing;
            self.timers.expiries = 0;
        }
        //= EST-8
        self.owed.0 |= Owed::SEND;
    }

    /// What the acknowledgment of our FIN means in each state.
    fn fin_acknowledged(&mut self, a: &mut Arrival<'_>) {
        if !self.fin_acked() {
            return;
        }
        match self.state() {
            State::FinWait1 => {
                //= FW1-3
                self.enter(State::FinWait2);
                self.limit_fin_wait_2(a.ctx);
            }
            //= CLG-2
            State::Closing => self.enter_time_wait(a.ctx),
            //= LAK-2
            State::LastAck => self.end(End::Finished, &mut a.out),
            _ => {}
        }
    }

    /// The urgent pointer only moves forward (COM-17, URG-3).
    pub(super) fn check_urg(&mut self, a: &mut Arrival<'_>) {
        if !a.seg.flags.has(Flags::URG) || !self.state().receives() {
            return;
        }
        //= COM-17
        //= MUST-31
        //= MUST-62
        let up = a.seg.seq - u32::from(a.text_at) + u32::from(a.seg.up);
        let known = if self.facts.has(fact::URGENT) { self.urgent_end } else { self.rcv.nxt };
        if up.after(known) && up.after(self.rcv.nxt) {
            self.urgent_end = up;
            self.facts.set(fact::URGENT);
            a.out.urgent = true;
        }
    }

    /// Text, in order or not at all.
    pub(super) fn process_text(&mut self, a: &mut Arrival<'_>) -> Result<(), DropReason> {
        if a.seg.text_len == 0 {
            let hole = a.seg.flags.has(Flags::FIN) && a.seg.seq != self.rcv.nxt;
            if hole && self.state().receives() {
                self.hold(a);
            }
            return Ok(());
        }
        if !self.state().receives() {
            //= COM-20
            //= COM-23
            //= CLW-5
            self.owe_ack();
            return Err(DropReason::DataAfterFin);
        }
        if self.facts.has(fact::DEAF) {
            //= SHLD-3
            //= FW1-6
            //= FW2-5
            a.out.reply = reset_for(&a.seg);
            self.end(End::DataAfterClose, &mut a.out);
            return Err(DropReason::DataAfterClose);
        }
        if !self.facts.has(fact::DISCARDS) && a.room.octets < u32::from(a.seg.text_len) {
            //= ATK-43
            self.owe_ack();
            return Err(DropReason::NoBuffer);
        }
        if a.seg.seq != self.rcv.nxt {
            self.hold(a);
            return Ok(());
        }
        self.take_text(a);
        Ok(())
    }

    /// Text or FIN behind a hole: kept for its turn, and a duplicate acknowledgment tells of the hole.
    fn hold(&mut self, a: &mut Arrival<'_>) {
        //= COM-19
        //= COM-22
        self.ack_duplicate();
        if a.seg.flags.has(Flags::FIN) {
            a.out.hold_fin = Some(a.seg.seq + u32::from(a.seg.text_len));
            a.seg.flags = a.seg.flags.without(Flags::FIN);
        }
        if a.seg.text_len > 0 {
            a.out.hold_at = Some(a.seg.seq);
            a.out.text_at = a.text_at;
            a.out.text_len = a.seg.text_len;
        }
    }

    /// In-order text within the window (COM-18).
    fn take_text(&mut self, a: &mut Arrival<'_>) {
        //= COM-18
        //= EST-4
        if !self.facts.has(fact::DISCARDS) {
            a.out.text_at = a.text_at;
            a.out.text_len = a.seg.text_len;
        }
        self.advance(u32::from(a.seg.text_len));
        self.ack_text(a.ctx);
    }

    fn advance(&mut self, octets: u32) {
        // Forgotten long after its turn, before the numbers wrap round: until then text that the application does not
        // have yet may lie behind it, more than the caller has said.
        let behind = self.rcv.nxt.since(self.urgent_end);
        if (1 << 30..1 << 31).contains(&behind) {
            self.facts.clear(fact::URGENT);
        }
        self.rcv.nxt += octets;
        self.rcv.edge = self.rcv.edge.later(self.rcv.nxt);
    }

    /// The hole is filled: as many held octets have their turn now (EST-6).
    pub fn fill(&mut self, octets: u32) {
        //= EST-6
        //= CC-15
        self.advance(octets);
        self.owe_ack();
    }

    /// The held FIN has its turn.
    pub fn fill_fin(&mut self, ctx: Ctx<'_>) {
        if self.state().receives() {
            self.take_fin(ctx);
        }
    }

    /// The peer's FIN, with everything before it received.
    pub(super) fn check_fin(&mut self, a: &mut Arrival<'_>) -> Result<(), DropReason> {
        if !a.seg.flags.has(Flags::FIN) {
            return Ok(());
        }
        if !self.state().receives() {
            //= COM-23
            self.owe_ack();
            return Err(DropReason::DataAfterFin);
        }
        a.out.peer_closed = true;
        self.take_fin(a.ctx);
        Ok(())
    }

    fn take_fin(&mut self, ctx: Ctx<'_>) {
        //= COM-21
        self.advance(1);
        // RCV.NXT counts the FIN, and the FIN is no octet that the application reads.
        self.urgent_end += 1;
        self.owe_ack();
        match self.state() {
            //= EST-9
            //= SYR-9
            State::Established => self.enter(State::CloseWait),
            //= FW1-4
            State::FinWait1 => self.enter(State::Closing),
            //= FW1-5
            //= FW2-4
            _ => self.enter_time_wait(ctx),
        }
    }
}
