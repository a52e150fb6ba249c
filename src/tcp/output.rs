//! The one place where segments of a connection are built (style guide, section 3): pays what the TCB owes,
//! as far as the windows and the frames allow.

use super::Ctx;
use super::segment::SegmentOut;
use super::state::State;
use super::tcb::{Owed, Tcb, Waiting, fact};
use super::{timestamps, window};
use crate::base::burst::Burst;
use crate::wire::seq::Seq;
use crate::wire::tcp::Flags;
use crate::wire::tcp_options::{Options, SackBlocks, Timestamps};

/// Bytes that the timestamps option takes on a segment without SYN (OPT-8).
pub const TIMESTAMPS_LEN: u16 = 12;

/// What one call of [`Tcb::output`] may build.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Segments.
    pub segments: usize,
    /// Octets of text of a segment that the device cuts into packets; less than two packets' is none at all.
    pub text_max: u16,
}

/// Which octets a segment carries.
#[derive(Clone, Copy)]
struct Span {
    seq: Seq,
    text_len: u16,
    fin: bool,
    repeated: bool,
}

impl Tcb {
    /// Appends what is owed to `out`, within `budget`; what does not fit stays owed. `held` are the
    /// blocks above RCV.NXT that acknowledgments report.
    pub fn output(&mut self, ctx: Ctx<'_>, budget: Budget, held: &SackBlocks, out: &mut Burst<SegmentOut>) {
        let limit = out.len() + budget.segments.min(out.remaining_capacity());
        if matches!(self.state(), State::SynReceived | State::SynSent) {
            return self.output_half_open(ctx, limit, held, out);
        }
        while self.duplicates_owed > 0 && out.len() < limit {
            let left = self.duplicates_owed - 1;
            out.push(self.pure_ack(ctx, held));
            self.duplicates_owed = left;
        }
        self.pay_stream(ctx, limit, budget.text_max, held, out);
        if self.owed.has(Owed::ACK) && out.len() < limit {
            out.push(self.pure_ack(ctx, held));
        }
    }

    /// SYN-SENT and SYN-RECEIVED: the SYN or SYN-ACK, or an acknowledgment alone; text and FIN wait.
    fn output_half_open(
        &mut self,
        ctx: Ctx<'_>,
        limit: usize,
        held: &SackBlocks,
        out: &mut Burst<SegmentOut>,
    ) {
        if out.len() < limit {
            if self.owed.has(Owed::SYN) && self.state() == State::SynSent {
                out.push(self.syn(ctx));
            } else if self.owed.has(Owed::SYN) {
                out.push(self.syn_ack(ctx));
            } else if self.owed.has(Owed::ACK) {
                out.push(self.pure_ack(ctx, held));
            }
            self.owed = Owed::default();
        }
    }

    /// Probes, what must go again, new text, FIN.
    fn pay_stream(
        &mut self,
        ctx: Ctx<'_>,
        limit: usize,
        text_max: u16,
        held: &SackBlocks,
        out: &mut Burst<SegmentOut>,
    ) {
        if !self.owed.has(Owed::SEND | Owed::PROBE) {
            return;
        }
        if self.owed.has(Owed::PROBE) && out.len() < limit {
            self.owed.0 &= !Owed::PROBE;
            if let Some(span) = self.probe() {
                out.push(self.segment(span, ctx, held));
            }
        }
        while out.len() < limit {
            let Some(span) = self.next_repeated().or_else(|| self.next_new()) else {
                self.owed.0 &= !Owed::SEND;
                break;
            };
            let wide = self.widened(span, text_max);
            let cut = if wide.text_len > span.text_len { self.mss } else { 0 };
            out.push(SegmentOut { cut, ..self.segment(wide, ctx, held) });
        }
        self.arm(ctx);
    }

    /// `<SEQ=ISS><CTL=SYN>` with all that we offer (CALL-2, OPT-7).
    fn syn(&self, ctx: Ctx<'_>) -> SegmentOut {
        //= SYN-1
        //= MUST-14
        //= SHLD-5
        let val = timestamps::clock(ctx.now, self.ts_offset);
        let ecn = Flags::when(self.facts.has(fact::ECN), Flags::ECE | Flags::CWR);
        SegmentOut {
            seq: self.snd.una,
            flags: Flags::SYN | ecn,
            //= WS-3
            wnd: self.receive_buffer.min(0xffff) as u16,
            options: Options {
                mss: Some(self.mss_sent),
                //= WS-2
                window_scale: ctx.cfg.window_scale.then(|| window::shift_for(self.receive_buffer)),
                sack_permitted: ctx.cfg.sack,
                //= TS-2
                timestamps: ctx.cfg.timestamps.then_some(Timestamps { val, ecr: 0 }),
                ..Options::default()
            },
            ..SegmentOut::default()
        }
    }

    /// `<SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>` with what was negotiated (LIS-4).
    fn syn_ack(&mut self, ctx: Ctx<'_>) -> SegmentOut {
        //= LIS-4
        //= LIS-10
        //= MUST-14
        //= SHLD-5
        //= WS-3
        let free = self.receive_buffer.min(0xffff);
        self.rcv.edge = self.rcv.edge.later(self.rcv.nxt + free);
        self.rcv.acked = self.rcv.nxt;
        SegmentOut {
            seq: self.snd.una,
            ack: self.rcv.nxt,
            flags: Flags::SYN | Flags::ACK | Flags::when(self.facts.has(fact::ECN), Flags::ECE),
            wnd: free as u16,
            options: Options {
                mss: Some(self.mss_sent),
                window_scale: self.facts.has(fact::SCALED).then_some(self.shifts.rcv()),
                sack_permitted: self.facts.has(fact::SACK),
                timestamps: self.timestamps(ctx),
                ..Options::default()
            },
            ..SegmentOut::default()
        }
    }

    /// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`: R-ACK.
    fn pure_ack(&mut self, ctx: Ctx<'_>, held: &SackBlocks) -> SegmentOut {
        self.segment(Span { seq: self.snd.nxt, text_len: 0, fin: false, repeated: false }, ctx, held)
    }

    fn timestamps(&self, ctx: Ctx<'_>) -> Option<Timestamps> {
        //= TS-3
        //= TS-4
        let val = timestamps::clock(ctx.now, self.ts_offset);
        self.facts.has(fact::TIMESTAMPS).then_some(Timestamps { val, ecr: self.ts_recent })
    }

    /// Builds any segment but the SYN-ACK, and keeps the books of what left.
    fn segment(&mut self, span: Span, ctx: Ctx<'_>, held: &SackBlocks) -> SegmentOut {
        let octets = u32::from(span.text_len) + u32::from(span.fin);
        let end = span.seq + octets;
        let new_text = span.text_len > 0 && !span.repeated;
        let mut flags = Flags::ACK | Flags::when(span.fin, Flags::FIN);
        //= MUST-61
        let emptied = span.text_len > 0 && span.seq + u32::from(span.text_len) == self.snd.end;
        flags = flags | Flags::when(emptied, Flags::PSH);
        if self.facts.has(fact::ECHO_CONGESTION) {
            flags = flags | Flags::ECE;
        }
        if new_text && self.facts.has(fact::CWR_DUE) {
            //= ECN-9
            self.facts.clear(fact::CWR_DUE);
            flags = flags | Flags::CWR;
        }
        let wnd = self.offer();
        if octets > 0 {
            self.book(span, end, ctx);
        }
        self.acks_are_paid();
        let sack = self.report(span.text_len, held);
        SegmentOut {
            seq: span.seq,
            ack: self.rcv.nxt,
            flags,
            wnd,
            text_len: span.text_len,
            cut: 0,
            repeated: span.repeated,
            //= ECN-3
            ect: new_text && self.facts.has(fact::ECN) && self.snd.wnd > 0,
            options: Options { timestamps: self.timestamps(ctx), sack, ..Options::default() },
        }
    }

    /// The blocks to report: a duplicate first, once, then what is held, as far as the header and a full segment
    /// have room (SACK-2, OPT-9).
    fn report(&mut self, text_len: u16, held: &SackBlocks) -> SackBlocks {
        //= SACK-1
        //= SACK-2
        //= DSACK-1
        //= DSACK-2
        //= OPT-9
        let mut blocks = SackBlocks::default();
        if !self.facts.has(fact::SACK) {
            return blocks;
        }
        if let Some((left, right)) = self.duplicate {
            blocks.push(left, right);
        }
        held.as_slice().iter().for_each(|(left, right)| blocks.push(*left, *right));
        let blocks = blocks.first(if self.facts.has(fact::TIMESTAMPS) { 3 } else { SackBlocks::MAX });
        if usize::from(text_len) + blocks.option_len() > usize::from(self.mss) {
            return SackBlocks::default();
        }
        self.duplicate = None;
        blocks
    }

    /// The window field, and the right edge that it promises.
    fn offer(&mut self) -> u16 {
        let free = self.receive_buffer.saturating_sub(self.held);
        let threshold = window::threshold(self.receive_buffer, u32::from(self.mss));
        let offer = window::offer(self.rcv.nxt, self.rcv.edge, free, threshold, self.shifts.rcv());
        self.rcv.edge = offer.edge;
        offer.field
    }

    /// Moves the send variables over what leaves.
    fn book(&mut self, span: Span, end: Seq, ctx: Ctx<'_>) {
        if span.repeated {
            //= RTO-9
            self.facts.clear(fact::TIMING);
            self.resend = self.resend.later(end);
            if self.resend.at_or_after(self.snd.nxt) {
                self.facts.clear(fact::RESENDING);
            }
            return;
        }
        if self.flight() == 0 {
            self.progress_at = ctx.now.tick();
        }
        if span.text_len > 0 && span.text_len < self.mss {
            //= NAG-2
            self.short_end = end;
        }
        if span.fin {
            self.facts.set(fact::FIN_SENT);
        }
        self.snd.nxt = end;
        if !self.facts.has(fact::TIMING | fact::RESENDING) {
            self.facts.set(fact::TIMING);
            // Of what a device cuts into packets, the first is timed.
            self.timed_end = if span.text_len > self.mss { span.seq + u32::from(self.mss) } else { end };
            self.timed_at = ctx.now;
        }
    }

    /// What may be in flight: the right edge of the smaller of both windows (CC-1).
    fn send_edge(&self) -> Seq {
        //= CC-1
        self.snd.una + self.snd.wnd.min(self.congestion.cwnd)
    }

    /// The next piece of what must go again, if the windows allow.
    fn next_repeated(&self) -> Option<Span> {
        if !self.facts.has(fact::RESENDING) || !self.resend.before(self.snd.nxt) {
            return None;
        }
        //= SHLD-16
        let (seq, edge) = (self.resend, self.send_edge());
        let text = if seq.after(self.snd.end) { 0 } else { self.snd.end.since(seq) };
        let sent_text = text.min(self.snd.nxt.since(seq));
        let allowed = if seq.before(edge) { edge.since(seq) } else { 0 };
        let full = sent_text.min(u32::from(self.mss));
        // At the left edge whatever fits goes; behind it only what is worth a segment.
        let text_len = if allowed >= full || seq == self.snd.una { full.min(allowed) } else { return None };
        let fin = self.facts.has(fact::FIN_SENT) && text_len == text && allowed > text_len;
        (text_len > 0 || fin).then_some(Span { seq, text_len: text_len as u16, fin, repeated: true })
    }

    /// The next piece of new text, or the FIN, if the windows, Nagle and the silly window rules allow.
    fn next_new(&self) -> Option<Span> {
        if !matches!(
            self.state(),
            State::Established | State::CloseWait | State::FinWait1 | State::LastAck | State::Closing
        ) || self.facts.has(fact::RESENDING)
        {
            return None;
        }
        let seq = self.snd.nxt;
        let window_edge = self.snd.una + self.snd.wnd;
        //= MUST-34
        //= SHLD-15
        let usable = if seq.before(window_edge) { window_edge.since(seq) } else { 0 };
        let edge = self.send_edge();
        let allowed = if seq.before(edge) { edge.since(seq) } else { 0 };
        let unsent = self.unsent();
        if unsent == 0 {
            let fin = self.fin_pending() && allowed > 0;
            return fin.then_some(Span { seq, text_len: 0, fin: true, repeated: false });
        }
        //= SHLD-28
        let text_len = unsent.min(usable).min(u32::from(self.mss));
        if text_len > allowed || !self.worth_sending(text_len, unsent) {
            return None;
        }
        //= NAG-4
        let fin = self.fin_pending() && text_len == unsent && allowed > text_len;
        (text_len > 0).then_some(Span { seq, text_len: text_len as u16, fin, repeated: false })
    }

    /// A full segment of new text with those that would follow it, for a device that cuts them apart: as many
    /// whole ones as there are text, windows and `text_max` for. What is left goes the usual way.
    fn widened(&self, span: Span, text_max: u16) -> Span {
        //= OFF-2
        let mss = u32::from(self.mss);
        if span.repeated || span.fin || span.text_len != self.mss || u32::from(text_max) < 2 * mss {
            return span;
        }
        let edge = self.send_edge();
        let allowed = if span.seq.before(edge) { edge.since(span.seq) } else { 0 };
        let text = self.unsent().min(allowed).min(u32::from(text_max));
        let text_len = text - text % mss;
        let fin = self.fin_pending() && text_len == self.unsent() && allowed > text_len;
        if text_len > mss { Span { text_len: text_len as u16, fin, ..span } } else { span }
    }

    /// The sender's side of silly window avoidance (RFC 9293 3.8.6.2.1), with Nagle's rule in Minshall's form.
    fn worth_sending(&self, text_len: u32, unsent: u32) -> bool {
        //= MUST-38
        //= SWS-1
        if text_len == u32::from(self.mss) {
            return true;
        }
        //= SHLD-7
        //= NAG-1
        //= NAG-2
        let alone = !self.short_end.after(self.snd.una);
        let nagle_permits = alone || self.facts.has(fact::NODELAY) || self.facts.has(fact::FIN_QUEUED);
        //= SWS-2
        nagle_permits && (text_len == unsent || text_len >= (self.max_snd_wnd / 2).max(1))
    }

    /// One octet beyond a closed window, or what fits after the override timer (RFC 9293 3.8.6.1).
    fn probe(&self) -> Option<Span> {
        //= MUST-35
        //= MUST-36
        //= ZWP-2
        if self.timers.waiting == Waiting::Nothing {
            return None;
        }
        if self.flight() > 0 {
            let text = if self.snd.una.after(self.snd.end) { 0 } else { self.snd.end.since(self.snd.una) };
            let text_len = text.min(1) as u16;
            let fin = text_len == 0 && self.facts.has(fact::FIN_SENT);
            let span = Span { seq: self.snd.una, text_len, fin, repeated: true };
            return (text_len > 0 || fin).then_some(span);
        }
        let unsent = self.unsent();
        let text_len = unsent.min(self.snd.wnd.max(1)).min(u32::from(self.mss)) as u16;
        let fin = text_len == 0 && self.fin_pending();
        (text_len > 0 || fin).then_some(Span { seq: self.snd.nxt, text_len, fin, repeated: false })
    }
}
