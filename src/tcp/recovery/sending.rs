//! What recovery has to send, and what it remembers of what was sent.

use super::tail_probe::Probe;
use super::{Phase, Recovery, micros};
use crate::base::time::Tick;
use crate::tcp::congestion::{Congestion, Marked};
use crate::tcp::tcb::Tcb;
use crate::tcp::{Ctx, timestamps};
use crate::wire::seq::Seq;

/// The part of a round trip in which segments count as sent at once (RACK-1 wants it finer than a quarter).
const QUANTA_IN_RTT: u32 = 32;

impl Recovery {
    /// The next octets to be sent again, as far as the congestion window allows: `[start, end)`, at most `mss`.
    pub(in crate::tcp) fn next_lost(&self, tcb: &Tcb) -> Option<(Seq, Seq)> {
        //= SR-4
        if self.holds_back() {
            return None;
        }
        let piece = self.board.first_lost()?;
        let end = piece.end.earlier(piece.start + u32::from(tcb.mss));
        let fits = self.pipe(tcb) + end.since(piece.start) <= tcb.congestion_window();
        (fits || self.must_resend).then_some((piece.start, end))
    }

    /// Octets of the last segment sent.
    pub(in crate::tcp) fn last_sent(&self, tcb: &Tcb) -> (Seq, Seq) {
        let nxt = tcb.snd.nxt;
        let last = self.board.around(nxt - 1).map_or(tcb.snd.una, |piece| piece.start);
        let most = u32::from(tcb.mss);
        (if nxt.since(last) > most { nxt - most } else { last }, nxt)
    }

    /// `[start, end)` leaves for the first time.
    pub(in crate::tcp) fn sent(&mut self, tcb: &Tcb, start: Seq, end: Seq, ctx: Ctx<'_>) {
        let quantum = tcb.rtt.srtt_us().unwrap_or(0) / QUANTA_IN_RTT;
        self.board.append(end, micros(ctx.now), quantum);
        if self.phase == Phase::Recovery {
            self.prr.on_sent(end.since(start));
        } else if self.reported > 0 {
            self.limited += end.since(start);
        }
    }

    /// `[start, end)` leaves again.
    pub(in crate::tcp) fn sent_again(&mut self, tcb: &Tcb, start: Seq, end: Seq, ctx: Ctx<'_>) {
        self.board.sent_again(start, end, micros(ctx.now));
        self.must_resend = false;
        self.remember_repeated(end.since(start), timestamps::clock(ctx.now, tcb.ts_offset));
        if self.phase == Phase::Recovery {
            self.prr.on_sent(end.since(start));
        }
    }

    /// A tail loss probe leaves that ends at `end`.
    pub(in crate::tcp) fn sent_probe(&mut self, end: Seq, repeated: bool) {
        //= TLP-4
        self.probe = Some(Probe { end, repeated });
    }

    /// Everything in flight was refused, or was too big: it goes again, and nobody is to blame.
    pub(in crate::tcp) fn resend_all(&mut self) {
        let _ = self.board.lose(|_| true);
    }

    /// A probe of the path was too big (RFC 4821 7.6): it goes again, and nobody is to blame.
    pub(in crate::tcp) fn resend_path_probe(&mut self, start: Seq, text_len: u16) {
        let _ = self.board.lose_range(start, start + u32::from(text_len));
    }

    /// Everything in flight may still arrive, and nothing arrived before its turn.
    pub(in crate::tcp) fn misses_nothing(&self) -> bool {
        self.is_open() && self.board.lost() == 0 && self.board.sacked() == 0 && self.reported == 0
    }

    /// When RACK looks again.
    pub(in crate::tcp) fn reorder_at(&self) -> Option<Tick> {
        self.reorder_at
    }

    /// The sender was idle for longer than its RTO.
    pub(in crate::tcp) fn after_idle(&mut self, congestion: &mut Congestion, mss: u32) {
        //= CC-13
        self.growth.after_idle(congestion, mss);
    }

    /// Nothing is being repaired.
    pub(in crate::tcp) fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// The network marked a packet.
    pub(in crate::tcp) fn marked(&mut self, congestion: &mut Congestion, flight: u32, mss: u32) -> Marked {
        //= ECN-8
        self.growth.on_mark(congestion, flight, mss)
    }
}
