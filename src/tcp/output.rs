//! The one place where segments of a connection are built (style guide, section 3): pays what the TCB owes,
//! as far as the windows and the frames allow.

use super::Ctx;
use super::cork::Cork;
use super::recovery::Recovery;
use super::segment::SegmentOut;
use super::state::State;
use super::tcb::{Facts, Owed, Shifts, Tcb, Waiting, fact};
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
    /// Octets of text of each packet that a device makes of it; 0 when it is one packet.
    cut: u16,
}

/// A SYN-ACK that says what was agreed to; its numbers and its window are the caller's.
pub(super) fn agreed(
    facts: Facts,
    shifts: Shifts,
    mss_sent: u16,
    timestamps: Option<Timestamps>,
) -> SegmentOut {
    SegmentOut {
        flags: Flags::SYN | Flags::ACK | Flags::when(facts.has(fact::ECN), Flags::ECE),
        options: Options {
            mss: Some(mss_sent),
            window_scale: facts.has(fact::SCALED).then_some(shifts.rcv()),
            sack_permitted: facts.has(fact::SACK),
            timestamps,
            ..Options::default()
        },
        ..SegmentOut::default()
    }
}

impl Tcb {
    /// Appends what is owed to `out`, within `budget`; what does not fit stays owed. `held` are the
    /// blocks above RCV.NXT that acknowledgments report, `rec` is the connection's record of what is in flight,
    /// if it has one.
    pub fn output(
        &mut self,
        rec: Option<&mut Recovery>,
        ctx: Ctx<'_>,
        budget: Budget,
        held: &SackBlocks,
        out: &mut Burst<SegmentOut>,
    ) {
        let limit = out.len() + budget.segments.min(out.remaining_capacity());
        if matches!(self.state(), State::SynReceived | State::SynSent) {
            return self.output_half_open(ctx, limit, held, out);
        }
        while self.duplicates_owed > 0 && out.len() < limit {
            let left = self.duplicates_owed - 1;
            out.push(self.pure_ack(ctx, held));
            self.duplicates_owed = left;
        }
        self.pay_stream(rec, ctx, Budget { segments: limit, ..budget }, held, out);
        if self.owed.has(Owed::ACK) && out.len() < limit {
            out.push(self.pure_ack(ctx, held));
        }
        if self.owed.has(Owed::KEEP_ALIVE) && out.len() < limit {
            out.extend(self.keep_alive_probe(ctx, held));
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

    /// Probes, what must go again, new text, FIN. The budget's segments are the length that `out` may have.
    fn pay_stream(
        &mut self,
        mut rec: Option<&mut Recovery>,
        ctx: Ctx<'_>,
        Budget { segments: limit, text_max }: Budget,
        held: &SackBlocks,
        out: &mut Burst<SegmentOut>,
    ) {
        if !self.owed.has(Owed::SEND | Owed::PROBE | Owed::TAIL) {
            return;
        }
        let before = out.len();
        self.restart_after_idle(rec.as_deref_mut(), ctx);
        if let Some(rec) = rec.as_deref_mut() {
            self.begin_pace(rec, ctx);
        }
        if self.owed.has(Owed::PROBE | Owed::TAIL) && out.len() < limit {
            let tail = self.owed.has(Owed::TAIL);
            self.owed.0 &= !(Owed::PROBE | Owed::TAIL);
            let span = if tail { self.tail_probe(rec.as_deref_mut()) } else { self.probe() };
            if let Some(span) = span {
                out.push(self.segment(span, rec.as_deref_mut(), ctx, held));
            }
        }
        while out.len() < limit {
            let done = rec.is_none() && self.has_sent_all();
            let next = if done { None } else { self.next_span(rec.as_deref(), ctx) };
            let Some(span) = next else {
                if rec.as_deref_mut().is_some_and(|rec| rec.stop_holding_back(self.snd.nxt)) {
                    continue;
                }
                self.owed.0 &= !Owed::SEND;
                break;
            };
            let span = self.widened(span, rec.as_deref(), text_max, ctx);
            out.push(self.segment(span, rec.as_deref_mut(), ctx, held));
        }
        self.mind_cork(ctx);
        if let Some(rec) = rec.as_deref_mut() {
            self.keep_pace(rec, ctx);
        }
        self.arm(rec.as_deref(), out.len() > before, ctx);
    }

    /// After an idle time the window is no measure of the path any more (RFC 5681 4.1).
    fn restart_after_idle(&mut self, rec: Option<&mut Recovery>, ctx: Ctx<'_>) {
        //= CC-13
        let idle_us = ctx.now.since_us(self.sent_at);
        // RTO is never below the smaller of these two.
        let rto_least_ms = ctx.cfg.rto_min_ms.min(ctx.cfg.rto_initial_ms);
        if self.flight() > 0 || idle_us <= 1_000 * u64::from(rto_least_ms) {
            return;
        }
        if idle_us / 1_000 <= u64::from(self.rto_ms(ctx)) {
            return;
        }
        let mss = u32::from(self.mss);
        match rec {
            Some(rec) => rec.after_idle(&mut self.congestion, mss),
            None => self.congestion.after_idle(mss),
        }
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
                window_scale: ctx.cfg.window_scale.then(|| window::shift_of(self.receive_buffer, ctx.cfg)),
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
        let agreed = agreed(self.facts, self.shifts, self.mss_sent, self.timestamps(ctx));
        SegmentOut { seq: self.snd.una, ack: self.rcv.nxt, wnd: free as u16, ..agreed }
    }

    /// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`: R-ACK.
    fn pure_ack(&mut self, ctx: Ctx<'_>, held: &SackBlocks) -> SegmentOut {
        self.dataless(self.snd.nxt, ctx, held)
    }

    /// `<SEQ=seq><ACK=RCV.NXT><CTL=ACK>`.
    pub(super) fn dataless(&mut self, seq: Seq, ctx: Ctx<'_>, held: &SackBlocks) -> SegmentOut {
        self.segment(Span { seq, text_len: 0, fin: false, repeated: false, cut: 0 }, None, ctx, held)
    }

    fn timestamps(&self, ctx: Ctx<'_>) -> Option<Timestamps> {
        //= TS-3
        //= TS-4
        let val = timestamps::clock(ctx.now, self.ts_offset);
        self.facts.has(fact::TIMESTAMPS).then_some(Timestamps { val, ecr: self.ts_recent })
    }

    /// Builds any segment but the SYN-ACK, and keeps the books of what left.
    fn segment(
        &mut self,
        span: Span,
        rec: Option<&mut Recovery>,
        ctx: Ctx<'_>,
        held: &SackBlocks,
    ) -> SegmentOut {
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
        let up = self.urgent_pointer(span.seq);
        flags = flags | Flags::when(up > 0, Flags::URG);
        let wnd = self.offer();
        if octets > 0 {
            self.book(span, end, rec, ctx);
        }
        self.acks_are_paid();
        let sack = self.report(span.text_len, held);
        SegmentOut {
            seq: span.seq,
            ack: self.rcv.nxt,
            flags,
            wnd,
            up,
            text_len: span.text_len,
            cut: span.cut,
            repeated: span.repeated,
            path_probe: span.text_len > self.mss && span.cut == 0,
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
        let nothing = self.duplicate.is_none() && held.is_empty();
        if nothing || !self.facts.has(fact::SACK) {
            return SackBlocks::NONE;
        }
        let mut blocks = SackBlocks::NONE;
        if let Some((left, right)) = self.duplicate {
            blocks.push(left, right);
        }
        held.as_slice().iter().for_each(|(left, right)| blocks.push(*left, *right));
        let blocks = blocks.first(if self.facts.has(fact::TIMESTAMPS) { 3 } else { SackBlocks::MAX });
        if usize::from(text_len) + blocks.option_len() > usize::from(self.mss) {
            return SackBlocks::NONE;
        }
        self.duplicate = None;
        blocks
    }

    /// The urgent pointer of a segment at `seq`: how far the urgent data reaches, as far as the field can say; 0
    /// behind it.
    fn urgent_pointer(&self, seq: Seq) -> u16 {
        //= MUST-30
        //= MUST-62
        //= URG-2
        let ahead = self.urgent_out.filter(|end| end.after(seq)).map_or(0, |end| end.since(seq));
        ahead.min(0xffff) as u16
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
    fn book(&mut self, span: Span, end: Seq, rec: Option<&mut Recovery>, ctx: Ctx<'_>) {
        self.sent_at = ctx.now;
        if span.repeated {
            return self.book_repeated(span, end, rec, ctx);
        }
        if self.flight() == 0 {
            self.progress_at = ctx.now.tick();
        }
        // Of what a device cuts into packets the first is looked at, as if it had been sent alone.
        let (first_end, first_len) =
            if span.cut > 0 { (span.seq + u32::from(span.cut), span.cut) } else { (end, span.text_len) };
        self.path_mtu.sent(first_end, first_len);
        if span.text_len > 0 && span.text_len < self.mss {
            //= NAG-2
            self.short_end = end;
        }
        if span.fin {
            self.facts.set(fact::FIN_SENT);
        }
        self.snd.nxt = end;
        self.congestion.on_sent(self.flight());
        let repairing = rec.as_ref().is_some_and(|rec| !rec.is_open());
        if !repairing && !self.facts.has(fact::TIMING | fact::RESENDING) {
            self.facts.set(fact::TIMING);
            self.timed_end = first_end;
            self.timed_at = ctx.now;
        }
        if let Some(rec) = rec {
            rec.sent(self, span.seq, end, ctx);
        }
    }

    fn book_repeated(&mut self, span: Span, end: Seq, rec: Option<&mut Recovery>, ctx: Ctx<'_>) {
        //= RTO-9
        self.facts.clear(fact::TIMING);
        if let Some(rec) = rec {
            rec.sent_again(self, span.seq, end, ctx);
            if span.seq == self.snd.una && self.timers.waiting.is_for_flight() {
                //= RTO-6
                let delay = self.rto_ms(ctx);
                self.restart_rto(delay, ctx);
            }
            return;
        }
        self.resend = self.resend.later(end);
        if self.resend.at_or_after(self.snd.nxt) {
            self.facts.clear(fact::RESENDING);
        }
    }

    /// What may be in flight: the right edge of the smaller of both windows (CC-1).
    fn send_edge(&self) -> Seq {
        //= CC-1
        self.snd.una + self.snd.wnd.min(self.congestion_window())
    }

    /// The congestion window; a single segment after one was too big for the path, until an acknowledgment comes.
    pub(super) fn congestion_window(&self) -> u32 {
        //= PMTU-5
        if self.path_mtu.creeps() {
            u32::from(self.mss).min(self.congestion.cwnd)
        } else {
            self.congestion.cwnd
        }
    }

    /// Octets that may be sent beyond SND.NXT: what both windows leave.
    fn allowed(&self, rec: Option<&Recovery>, ctx: Ctx<'_>) -> u32 {
        //= CC-1
        let pipe = rec.map_or(self.flight(), |rec| rec.pipe(self));
        let paced = rec.map_or(u32::MAX, |rec| rec.paced(self, ctx));
        self.usable().min(self.congestion_window().saturating_sub(pipe)).min(paced)
    }

    /// What the peer's window leaves.
    fn usable(&self) -> u32 {
        //= MUST-34
        //= SHLD-15
        let window_edge = self.snd.una + self.snd.wnd;
        if self.snd.nxt.before(window_edge) { window_edge.since(self.snd.nxt) } else { 0 }
    }

    /// Nothing is left that could go, be it again or for the first time, as far as that can be told without a record.
    fn has_sent_all(&self) -> bool {
        !self.facts.has(fact::RESENDING) && self.unsent() == 0 && !self.fin_pending()
    }

    /// What goes next: what must go again, a probe of the path, new text.
    fn next_span(&mut self, rec: Option<&Recovery>, ctx: Ctx<'_>) -> Option<Span> {
        let again = self.next_repeated(rec);
        again.or_else(|| self.next_path_probe(rec, ctx)).or_else(|| self.next_new(rec, ctx))
    }

    /// A new segment larger than the path's MTU so far (RFC 4821 7.4): only while all goes well, and with three
    /// full segments behind it, so that its loss shows at once.
    fn next_path_probe(&mut self, rec: Option<&Recovery>, ctx: Ctx<'_>) -> Option<Span> {
        //= PLPMTUD-3
        if self.unsent() <= 3 * u32::from(self.mss) { None } else { self.path_probe(rec, ctx) }
    }

    #[inline(never)]
    fn path_probe(&mut self, rec: Option<&Recovery>, ctx: Ctx<'_>) -> Option<Span> {
        let text_len = self.path_mtu.probe_text(ctx.now, ctx.cfg)?;
        let all = u32::from(text_len) + 3 * u32::from(self.mss);
        let healthy = !self.facts.has(fact::RESENDING)
            && self.timers.expiries == 0
            && self.state().is_synchronized()
            && rec.is_none_or(Recovery::misses_nothing);
        let fits = healthy && self.unsent() >= all && self.allowed(rec, ctx) >= all;
        fits.then_some(Span { seq: self.snd.nxt, text_len, fin: false, repeated: false, cut: 0 })
    }

    /// Text and FIN of `[seq, end)`, both sent before, as far as the peer's window reaches.
    fn span_again(&self, seq: Seq, end: Seq) -> Option<Span> {
        //= SHLD-16
        //= WS-10
        let window_edge = self.snd.una + self.snd.wnd;
        let text_end = end.earlier(self.snd.end).earlier(window_edge);
        let text_len = if seq.before(text_end) { text_end.since(seq) } else { 0 };
        let fin =
            end.after(self.snd.end) && seq + text_len == self.snd.end && self.snd.end.before(window_edge);
        (text_len > 0 || fin).then_some(Span { seq, text_len: text_len as u16, fin, repeated: true, cut: 0 })
    }

    /// The next piece of what must go again, if the windows allow.
    fn next_repeated(&self, rec: Option<&Recovery>) -> Option<Span> {
        if let Some(rec) = rec {
            let (seq, end) = rec.next_lost(self)?;
            return self.span_again(seq, end);
        }
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
        (text_len > 0 || fin).then_some(Span { seq, text_len: text_len as u16, fin, repeated: true, cut: 0 })
    }

    /// The next piece of new text, or the FIN, if the windows, Nagle and the silly window rules allow.
    fn next_new(&self, rec: Option<&Recovery>, ctx: Ctx<'_>) -> Option<Span> {
        if !matches!(
            self.state(),
            State::Established | State::CloseWait | State::FinWait1 | State::LastAck | State::Closing
        ) || self.facts.has(fact::RESENDING)
        {
            return None;
        }
        let seq = self.snd.nxt;
        let (usable, allowed, unsent) = (self.usable(), self.allowed(rec, ctx), self.unsent());
        if unsent == 0 {
            let fin = self.fin_pending() && allowed > 0;
            return fin.then_some(Span { seq, text_len: 0, fin: true, repeated: false, cut: 0 });
        }
        //= SHLD-28
        let text_len = unsent.min(usable).min(u32::from(self.mss));
        if text_len > allowed || !self.worth_sending(text_len, unsent) {
            return None;
        }
        //= NAG-4
        let fin = self.fin_pending() && text_len == unsent && allowed > text_len;
        (text_len > 0).then_some(Span { seq, text_len: text_len as u16, fin, repeated: false, cut: 0 })
    }

    /// A full segment of new text with those that would follow it, for a device that cuts them apart: as many
    /// whole ones as there are text, windows and `text_max` for. What is left goes the usual way.
    fn widened(&self, span: Span, rec: Option<&Recovery>, text_max: u16, ctx: Ctx<'_>) -> Span {
        //= OFF-2
        let mss = u32::from(self.mss);
        let is_full = !span.repeated && !span.fin && span.text_len == self.mss;
        // The urgent pointer is another one in each packet; a device copies the first.
        if !is_full || u32::from(text_max) < 2 * mss || self.urgent_out.is_some() {
            return span;
        }
        let allowed = self.allowed(rec, ctx);
        let text = self.unsent().min(allowed).min(u32::from(text_max));
        let text_len = text - text % mss;
        let fin = self.fin_pending() && text_len == self.unsent() && allowed > text_len;
        if text_len > mss { Span { text_len: text_len as u16, cut: self.mss, fin, ..span } } else { span }
    }

    /// The sender's side of silly window avoidance (RFC 9293 3.8.6.2.1), with Nagle's rule in Minshall's form.
    fn worth_sending(&self, text_len: u32, unsent: u32) -> bool {
        //= MUST-38
        //= SWS-1
        if text_len == u32::from(self.mss) {
            return true;
        }
        //= NAG-5
        if self.is_corked() {
            return false;
        }
        //= SHLD-7
        //= NAG-1
        //= NAG-2
        let alone = !self.short_end.after(self.snd.una);
        let nagle_permits =
            alone || self.facts.has(fact::NODELAY | fact::FIN_QUEUED) || self.cork == Cork::Over;
        //= SWS-2
        nagle_permits && (text_len == unsent || text_len >= (self.max_snd_wnd / 2).max(1))
    }

    /// A tail loss probe: new text if there is any and the peer's window takes it, else the last segment again. It
    /// may exceed the congestion window by one segment (TLP-7).
    fn tail_probe(&self, rec: Option<&mut Recovery>) -> Option<Span> {
        //= TLP-5
        //= TLP-7
        let rec = rec.filter(|_| self.flight() > 0)?;
        let window_edge = self.snd.una + self.snd.wnd;
        let room = if self.snd.nxt.before(window_edge) { window_edge.since(self.snd.nxt) } else { 0 };
        let text_len = self.unsent().min(u32::from(self.mss));
        let span = if text_len > 0 && text_len <= room {
            Span { seq: self.snd.nxt, text_len: text_len as u16, fin: false, repeated: false, cut: 0 }
        } else {
            let (seq, end) = rec.last_sent(self);
            self.span_again(seq, end)?
        };
        let end = span.seq + u32::from(span.text_len) + u32::from(span.fin);
        rec.sent_probe(end, span.repeated);
        Some(span)
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
            let span = Span { seq: self.snd.una, text_len, fin, repeated: true, cut: 0 };
            return (text_len > 0 || fin).then_some(span);
        }
        let unsent = self.unsent();
        let text_len = unsent.min(self.snd.wnd.max(1)).min(u32::from(self.mss)) as u16;
        let fin = text_len == 0 && self.fin_pending();
        (text_len > 0 || fin).then_some(Span { seq: self.snd.nxt, text_len, fin, repeated: false, cut: 0 })
    }
}
