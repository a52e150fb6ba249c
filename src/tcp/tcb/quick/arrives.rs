//! SEGMENT ARRIVES for the usual segment: in order, in the window, acknowledging what was sent.

use super::super::brief::{Bits, Brief, Common, UNACKED};
use super::super::{Owed, fact};
use crate::base::time::Tick;
use crate::tcp::Ctx;
use crate::tcp::arrives::synchronized::Room;
use crate::tcp::config::{Config, RTO_AFTER_SYN_LOSS_MS};
use crate::tcp::congestion::{CWND_MAX, Congestion};
use crate::tcp::rto::RttEstimator;
use crate::tcp::state::State;
use crate::tcp::timestamps;
use crate::wire::seq::Seq;
use crate::wire::tcp::{Flags, Segment};

/// What a usual segment did. Its text, if it has any, is all taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub struct Quick {
    /// The connection is ESTABLISHED now.
    pub opened: bool,
    /// Octets of ours that it acknowledged.
    pub acked: u32,
    /// The peer has closed its direction.
    pub peer_closed: bool,
    /// The connection is over: it finished.
    pub finished: bool,
}

/// The bits that a usual segment may have besides ACK.
const USUAL: Flags = Flags(Flags::ACK.0 | Flags::PSH.0 | Flags::FIN.0);

impl Brief {
    /// A segment arrives. `None` when it is not the usual one, or the connection is not in a usual state; then nothing
    /// was done.
    #[inline(always)]
    pub fn segment_arrives(
        &mut self,
        seg: &Segment,
        room: Room,
        common: Common<'_>,
        ctx: Ctx<'_>,
    ) -> Option<Quick> {
        if self.state() == State::SynSent {
            return self.answered(seg, common, ctx);
        }
        if !self.is_usual(seg, room, common) {
            return None;
        }
        let opened = self.state() == State::SynReceived;
        if opened {
            self.cwnd = Congestion::new(u32::from(self.mss), self.expiries).cwnd;
            self.bits.set(Bits::USED);
            self.enter(State::Established);
            self.owed.0 &= !Owed::SYN;
        }
        self.take_timestamp(seg, ctx);
        self.heard_at = ctx.now.tick();
        let (una, queued) = (self.una, self.queued());
        let advances = seg.ack != una;
        if advances {
            self.acknowledge(seg, opened, ctx);
        }
        let acked = if opened { 0 } else { queued - self.queued() };
        self.take_window(seg, una);
        if advances && !opened && self.bits.has(Bits::USED) {
            //= CC-2
            //= CC-14
            let grown = self.una.since(una).min(u32::from(self.mss));
            self.cwnd = self.cwnd.saturating_add(grown).min(CWND_MAX);
        }
        self.arm(advances, common, ctx);
        let mut quick = Quick { opened, acked, peer_closed: false, finished: false };
        if self.facts.has(fact::FIN_SENT) && self.una.after(self.end) {
            quick.finished = self.fin_acknowledged(common, ctx);
            if quick.finished {
                return Some(quick);
            }
        }
        if seg.text_len > 0 {
            self.take_text(u32::from(seg.text_len), ctx);
        }
        if seg.flags.has(Flags::FIN) {
            quick.peer_closed = true;
            self.take_fin(ctx);
        }
        Some(quick)
    }

    /// Everything that [`Brief::segment_arrives`] relies on.
    #[inline(always)]
    fn is_usual(&self, seg: &Segment, room: Room, common: Common<'_>) -> bool {
        let text_len = u32::from(seg.text_len);
        let fin = seg.flags.has(Flags::FIN);
        let advances = seg.ack != self.una;
        let in_order = seg.flags.has(Flags::ACK)
            && !seg.flags.any(Flags(!USUAL.0))
            && seg.seq == self.rcv_nxt
            && text_len + u32::from(fin) <= self.rcv_wnd()
            && seg.ack.at_or_after(self.una)
            && seg.ack.at_or_before(self.nxt);
        let on_time = match seg.options.timestamps {
            _ if !self.facts.has(fact::TIMESTAMPS) => true,
            Some(ts) => !timestamps::older(ts.val, self.ts_recent),
            None => false,
        };
        let windows = self.wnd > 0 && seg.wnd > 0 && self.cwnd > 0 && self.cwnd < CWND_MAX;
        let plain = !self.facts.has(fact::ECN) && common.settings.keep_alive.is_none();
        in_order
            && on_time
            && windows
            && plain
            && self.may_arm(seg.ack)
            && match self.state() {
                State::SynReceived => {
                    const CLOSED: u16 = fact::FIN_QUEUED | fact::DEAF | fact::DISCARDS;
                    let room = !room.accept_full || self.facts.has(fact::ACTIVE);
                    advances && room && !self.facts.has(CLOSED)
                }
                State::Established
                | State::FinWait1
                | State::FinWait2
                | State::CloseWait
                | State::LastAck
                | State::Closing => (!advances || self.expiries == 0) && self.has_room_for_life(),
                _ => false,
            }
            && (text_len == 0 || self.takes_text(text_len, room, seg.ack))
            && (!fin || self.takes_fin())
    }

    fn takes_text(&self, text_len: u32, room: Room, ack: Seq) -> bool {
        let unacked = self.acks >> UNACKED;
        let at_once = self.quick_acks() > 0 || unacked > 0;
        // Its acknowledgment may be delayed, if there is room for that timer.
        let timer_fits = match self.bits.other() {
            Bits::ACK_TIMER => true,
            Bits::LIFE_TIMER => false,
            _ => ack == self.nxt,
        };
        matches!(self.state(), State::SynReceived | State::Established | State::FinWait1)
            && !self.facts.has(fact::DEAF | fact::DISCARDS)
            && text_len <= room.octets
            && u32::from(self.unacked) + text_len < u32::from(u16::MAX)
            && unacked < 7
            && (at_once || timer_fits)
    }

    /// Where nobody will read any more, a timer of the state may have to be set (FW2-6).
    fn has_room_for_life(&self) -> bool {
        !self.facts.has(fact::DEAF | fact::DISCARDS) || self.bits.other() != Bits::ACK_TIMER
    }

    fn takes_fin(&self) -> bool {
        let receives = self.state().receives() || self.state() == State::SynReceived;
        receives && self.unacked < u16::MAX
    }

    fn take_timestamp(&mut self, seg: &Segment, ctx: Ctx<'_>) {
        let Some(ts) = seg.options.timestamps.filter(|_| self.facts.has(fact::TIMESTAMPS)) else { return };
        if self.unacked == 0 || !self.facts.has(fact::TS_RECENT) {
            //= TS-7
            self.ts_recent = ts.val;
            self.ts_recent_at = (ctx.now.0 >> 32) as u16;
            self.facts.set(fact::TS_RECENT);
        }
    }

    #[inline]
    pub(super) fn acknowledge(&mut self, seg: &Segment, opened: bool, ctx: Ctx<'_>) {
        //= COM-13
        self.measure(seg, opened, ctx);
        self.una = seg.ack;
        if self.una.since(self.ack_floor) > 1 << 30 {
            self.ack_floor = self.una - (1 << 30);
        }
        if self.una == self.nxt {
            self.bits.clear(Bits::SHORT);
            if self.bits.has(Bits::MARKED) {
                self.bits.clear(Bits::MARKED);
                self.max_acked = self.max_acked.max(self.max_sent);
            }
        }
        self.expiries = 0;
        self.progress_at = ctx.now.tick();
        self.owed.0 |= Owed::SEND;
        //= RTO-8
        self.stop_waiting();
    }

    /// Takes a round-trip sample, if there is one.
    fn measure(&mut self, seg: &Segment, opened: bool, ctx: Ctx<'_>) {
        if self.facts.has(fact::TIMING) {
            if seg.ack == self.nxt {
                self.facts.clear(fact::TIMING);
                let us = (ctx.now.0 as u32).wrapping_sub(self.sent_at);
                self.rtt.sample(us);
            }
            return;
        }
        let age_ms = ctx.now.tick().since(self.opened_at).saturating_add(1);
        let echo = seg.options.timestamps.filter(|_| self.facts.has(fact::TIMESTAMPS));
        let sample = echo.and_then(|ts| timestamps::round_trip_ms(ctx.now, self.ts_offset, ts.ecr, age_ms));
        if let Some(ms) = sample {
            //= TS-8
            self.rtt.sample(ms.saturating_mul(1_000));
        } else if opened && self.rtt.srtt_us().is_none() {
            //= RTO-10
            self.rtt = RttEstimator::starting_at(RTO_AFTER_SYN_LOSS_MS);
        }
    }

    /// SND.WND; `una` is SND.UNA, and so SND.WL2, before the segment.
    fn take_window(&mut self, seg: &Segment, una: Seq) {
        let newer = self.wl1.before(seg.seq) || una.before(seg.ack) || self.wl1 == seg.seq;
        if !newer {
            //= COM-15
            return;
        }
        //= COM-16
        //= WS-4
        let wnd = u32::from(seg.wnd) << self.shifts.snd();
        self.wl1 = seg.seq;
        self.max_snd_wnd = self.max_snd_wnd.max(wnd);
        if wnd != self.wnd {
            self.wnd = wnd;
            //= EST-8
            self.owed.0 |= Owed::SEND;
        }
    }

    /// What the acknowledgment of our FIN means. True when that ends the connection.
    fn fin_acknowledged(&mut self, common: Common<'_>, ctx: Ctx<'_>) -> bool {
        match self.state() {
            State::FinWait1 => {
                //= FW1-3
                self.enter(State::FinWait2);
                //= FW2-6
                if self.facts.has(fact::DEAF | fact::DISCARDS) && self.bits.other() != Bits::LIFE_TIMER {
                    let wait_ms = common.settings.own_timeout_ms().unwrap_or(ctx.cfg.fin_wait_2_ms);
                    self.live_until(Tick::after_ms(ctx.now, wait_ms));
                }
            }
            //= CLG-2
            State::Closing => self.enter_time_wait(ctx.cfg, ctx),
            //= LAK-2
            State::LastAck => {
                self.enter(State::Closed);
                return true;
            }
            _ => {}
        }
        false
    }

    fn live_until(&mut self, at: Tick) {
        self.bits.clear(Bits::OTHER);
        self.bits.set(Bits::LIFE_TIMER);
        self.other_at = at;
    }

    fn enter_time_wait(&mut self, cfg: &Config, ctx: Ctx<'_>) {
        //= MUST-13
        self.enter(State::TimeWait);
        self.bits.clear(Bits::WAITING);
        self.owed.0 &= Owed::ACK;
        self.live_until(Tick::after_ms(ctx.now, cfg.time_wait_ms));
    }

    fn advance(&mut self, octets: u32) {
        self.rcv_nxt += octets;
        self.edge = self.edge.later(self.rcv_nxt);
        self.unacked = self.unacked.saturating_add(octets as u16);
    }

    fn take_text(&mut self, octets: u32, ctx: Ctx<'_>) {
        //= COM-18
        self.advance(octets);
        let unacked = (self.acks >> UNACKED) + 1;
        self.acks += 1 << UNACKED;
        if self.quick_acks() > 0 {
            //= DACK-3
            self.acks -= 1;
            self.owed.0 |= Owed::ACK;
        } else if unacked >= 2 {
            //= DACK-2
            self.owed.0 |= Owed::ACK;
        } else if self.bits.other() != Bits::ACK_TIMER {
            //= DACK-1
            self.bits.set(Bits::ACK_TIMER);
            self.other_at = Tick::after_ms(ctx.now, ctx.cfg.delayed_ack_ms);
        }
    }

    fn take_fin(&mut self, ctx: Ctx<'_>) {
        //= COM-21
        self.advance(1);
        self.owed.0 |= Owed::ACK;
        match self.state() {
            //= EST-9
            State::Established => self.enter(State::CloseWait),
            //= FW1-4
            State::FinWait1 => self.enter(State::Closing),
            //= FW1-5
            //= FW2-4
            _ => self.enter_time_wait(ctx.cfg, ctx),
        }
    }
}
