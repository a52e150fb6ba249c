//! Pays what a connection owes that is kept in brief, where one segment pays all of it.

use super::super::brief::{Bits, Brief, Common, UNACKED, overhead, window_of};
use super::super::{Owed, fact};
use crate::tcp::Ctx;
use crate::tcp::congestion::initial_window;
use crate::tcp::output::agreed;
use crate::tcp::segment::SegmentOut;
use crate::tcp::state::State;
use crate::tcp::{timestamps, window};
use crate::wire::seq::Seq;
use crate::wire::tcp::Flags;
use crate::wire::tcp_options::{Options, Timestamps};

/// How a debt was paid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paid {
    /// Nothing has to be sent.
    Nothing,
    /// One segment.
    One,
}

/// A segment says nothing but what [`Brief::output`] writes of each.
fn is_plain(segment: &SegmentOut) -> bool {
    let SegmentOut { seq, ack, flags, wnd, text_len, options: Options { timestamps, .. }, .. } = *segment;
    let options = Options { timestamps, ..Options::default() };
    *segment == SegmentOut { seq, ack, flags, wnd, text_len, options, ..SegmentOut::default() }
}

impl Brief {
    /// Pays all that is owed, by one segment in `out` or none. `None` when that is not enough, or something is unusual;
    /// then nothing was done.
    ///
    /// `out` is lent as [`SegmentOut::default`] makes it, or as this function left it the last time, unless that was a
    /// SYN: all other segments have the same few fields, and only those are written.
    #[inline(always)]
    pub fn output(&mut self, common: Common<'_>, ctx: Ctx<'_>, out: &mut SegmentOut) -> Option<Paid> {
        match self.state() {
            State::SynSent if self.owed.0 == Owed::SYN => {
                self.syn(common, ctx, out);
                self.owed.0 = 0;
                Some(Paid::One)
            }
            State::SynReceived if self.owed.0 == Owed::SYN => {
                self.syn_ack(common, ctx, out);
                self.owed.0 = 0;
                Some(Paid::One)
            }
            State::Closed | State::Listen | State::SynSent | State::SynReceived => None,
            _ => self.output_synchronized(common, ctx, out),
        }
    }

    #[inline(always)]
    fn output_synchronized(
        &mut self,
        common: Common<'_>,
        ctx: Ctx<'_>,
        out: &mut SegmentOut,
    ) -> Option<Paid> {
        let (unsent, fin) = (self.unsent(), self.fin_pending());
        let octets = unsent + u32::from(fin);
        let sends = self.owed.has(Owed::SEND);
        let usual = self.owed.0 & !(Owed::SEND | Owed::ACK) == 0
            && !self.facts.has(fact::ECN | fact::ECHO_CONGESTION)
            && common.settings.keep_alive.is_none()
            && self.cwnd > 0
            && self.wnd > 0
            // More than one segment's worth should have a record of what is in flight.
            && self.queued() <= u32::from(self.mss)
            && (octets == 0 || !sends || self.may_go(unsent, octets, common))
            && self.may_be_armed_after(octets);
        if !usual {
            return None;
        }
        if sends {
            self.restart_after_idle(ctx);
            let goes = octets > 0;
            if goes {
                self.segment(unsent as u16, fin, common, ctx, out);
                self.book(unsent, octets, common, ctx);
            }
            self.owed.0 &= !Owed::SEND;
            if goes {
                self.arm_when_sent(common, ctx);
                return Some(Paid::One);
            }
            if self.state() != State::TimeWait {
                self.arm(false, common, ctx);
            }
        }
        if !self.owed.has(Owed::ACK) {
            return Some(Paid::Nothing);
        }
        self.segment(0, false, common, ctx, out);
        Some(Paid::One)
    }

    /// All that is left goes into one segment, and both windows have room for it.
    fn may_go(&self, unsent: u32, octets: u32, common: Common<'_>) -> bool {
        //= CC-1
        let packet = unsent + u32::from(overhead(common.ip_header, self.state(), self.facts));
        let rested = self.cwnd.min(initial_window(u32::from(self.mss)));
        self.flight() == 0
            && unsent <= u32::from(self.mss)
            && octets <= self.wnd
            && octets <= rested
            && !self.facts.has(fact::TIMING)
            && !self.bits.has(Bits::MARKED)
            && matches!(
                self.state(),
                State::Established | State::CloseWait | State::FinWait1 | State::LastAck | State::Closing
            )
            // A packet that waits to be the largest that got through is also the largest that was sent.
            && (packet <= u32::from(self.max_acked) || packet >= u32::from(self.max_sent))
    }

    /// One timer beside the first is enough once `octets` more are in flight.
    fn may_be_armed_after(&self, octets: u32) -> bool {
        if octets > 0 {
            // What waits for an acknowledgment of ours is paid by the segment.
            return self.bits.other() != Bits::LIFE_TIMER && !self.bits.has(Bits::WAITING);
        }
        self.state() == State::TimeWait || self.may_arm(self.una)
    }

    /// After an idle time the window is no measure of the path any more (RFC 5681 4.1).
    fn restart_after_idle(&mut self, ctx: Ctx<'_>) {
        //= CC-13
        let idle_us = u64::from((ctx.now.0 as u32).wrapping_sub(self.sent_at));
        let rto_least_ms = ctx.cfg.rto_min_ms.min(ctx.cfg.rto_initial_ms);
        if self.flight() == 0
            && idle_us > 1_000 * u64::from(rto_least_ms)
            && idle_us / 1_000 > u64::from(self.rto_ms(ctx))
        {
            self.cwnd = self.cwnd.min(initial_window(u32::from(self.mss)));
        }
    }

    /// `<SEQ=ISS><CTL=SYN>` with all that we offer.
    #[inline(always)]
    fn syn(&self, common: Common<'_>, ctx: Ctx<'_>, out: &mut SegmentOut) {
        debug_assert!(is_plain(out), "what a SYN said is still there: {out:?}");
        let val = timestamps::clock(ctx.now, self.ts_offset);
        let ecn = Flags::when(self.facts.has(fact::ECN), Flags::ECE | Flags::CWR);
        let buffer = window_of(self.state(), self.facts, self.shifts, common, ctx);
        (out.seq, out.ack, out.flags) = (self.una, Seq(0), Flags::SYN | ecn);
        //= WS-3
        (out.wnd, out.text_len) = (buffer.min(0xffff) as u16, 0);
        out.options.mss = Some(self.mss_sent);
        //= WS-2
        out.options.window_scale = ctx.cfg.window_scale.then(|| window::shift_of(buffer, ctx.cfg));
        out.options.sack_permitted = ctx.cfg.sack;
        //= TS-2
        out.options.timestamps = ctx.cfg.timestamps.then_some(Timestamps { val, ecr: 0 });
    }

    /// `<SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>` with what was negotiated.
    #[inline(always)]
    fn syn_ack(&mut self, common: Common<'_>, ctx: Ctx<'_>, out: &mut SegmentOut) {
        debug_assert!(is_plain(out), "what a SYN said is still there: {out:?}");
        //= WS-3
        let free = window_of(self.state(), self.facts, self.shifts, common, ctx).min(0xffff);
        self.edge = self.edge.later(self.rcv_nxt + free);
        self.unacked = 0;
        let agreed = agreed(self.facts, self.shifts, self.mss_sent, self.timestamps(ctx));
        (out.seq, out.ack, out.flags) = (self.una, self.rcv_nxt, agreed.flags);
        (out.wnd, out.text_len) = (free as u16, 0);
        out.options.mss = agreed.options.mss;
        out.options.window_scale = agreed.options.window_scale;
        out.options.sack_permitted = agreed.options.sack_permitted;
        out.options.timestamps = agreed.options.timestamps;
    }

    fn timestamps(&self, ctx: Ctx<'_>) -> Option<Timestamps> {
        let val = timestamps::clock(ctx.now, self.ts_offset);
        self.facts.has(fact::TIMESTAMPS).then_some(Timestamps { val, ecr: self.ts_recent })
    }

    /// A segment with all the text that is left, the FIN perhaps, and the acknowledgment of what came.
    #[inline(always)]
    fn segment(&mut self, text_len: u16, fin: bool, common: Common<'_>, ctx: Ctx<'_>, out: &mut SegmentOut) {
        let buffer = window_of(self.state(), self.facts, self.shifts, common, ctx);
        let threshold = window::threshold(buffer, u32::from(self.mss));
        let offer = window::offer(self.rcv_nxt, self.edge, buffer, threshold, self.shifts.rcv());
        self.edge = offer.edge;
        //= DACK-4
        self.owed.0 &= !Owed::ACK;
        self.acks %= 1 << UNACKED;
        self.unacked = 0;
        self.stop_other(Bits::ACK_TIMER);
        debug_assert!(is_plain(out), "what a SYN said is still there: {out:?}");
        (out.seq, out.ack) = (self.nxt, self.rcv_nxt);
        out.flags = Flags::ACK | Flags::when(fin, Flags::FIN) | Flags::when(text_len > 0, Flags::PSH);
        (out.wnd, out.text_len) = (offer.field, text_len);
        out.options.timestamps = self.timestamps(ctx);
    }

    /// Moves the send variables over what leaves: all that was left.
    #[inline(always)]
    fn book(&mut self, text_len: u32, octets: u32, common: Common<'_>, ctx: Ctx<'_>) {
        self.sent_at = ctx.now.0 as u32;
        self.progress_at = ctx.now.tick();
        let len = text_len as u16 + overhead(common.ip_header, self.state(), self.facts);
        self.max_sent = self.max_sent.max(len);
        if len > self.max_acked {
            self.bits.set(Bits::MARKED);
        }
        self.bits.clear(Bits::SHORT | Bits::USED);
        if text_len > 0 && text_len < u32::from(self.mss) {
            //= NAG-2
            self.bits.set(Bits::SHORT);
        }
        if octets > text_len {
            self.facts.set(fact::FIN_SENT);
        }
        self.nxt += octets;
        //= CWV-1
        if self.flight() >= self.cwnd / 2 {
            self.bits.set(Bits::USED);
        }
        self.facts.set(fact::TIMING);
    }
}
