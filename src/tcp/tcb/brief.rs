//! A connection in brief: what has to be kept of a TCB in which nothing unusual is going on, in 100 bytes. It says the
//! same in fewer words: what follows from something else is left out, and a TCB of which more would have to be said is
//! not told in brief at all. Events work on the TCB; between them most connections are kept like this.

use super::{Facts, Owed, ReceiveSpace, SendSpace, Shifts, Tcb, Timers, Waiting, fact};
use crate::base::time::{Instant, Tick};
use crate::tcp::congestion::Congestion;
use crate::tcp::cork::Cork;
use crate::tcp::path::Path;
use crate::tcp::path_mtu::{self, PathMtu};
use crate::tcp::rto::RttEstimator;
use crate::tcp::settings::Settings;
use crate::tcp::state::State;
use crate::tcp::time_wait::{Manner, TimeWait};
use crate::tcp::{Ctx, config, mss, output, window};
use crate::wire::seq::Seq;

/// A TCB in brief.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Brief {
    pub(super) una: Seq,
    pub(super) nxt: Seq,
    pub(super) wnd: u32,
    pub(super) wl1: Seq,
    pub(super) end: Seq,
    pub(super) rcv_nxt: Seq,
    pub(super) edge: Seq,
    pub(super) ts_recent: u32,
    pub(super) ts_offset: u32,
    pub(super) retransmit_at: Tick,
    /// The one other timer that runs, by its bit.
    pub(super) other_at: Tick,
    /// When text or FIN left last: the lower bits of its microseconds.
    pub(super) sent_at: u32,
    pub(super) heard_at: Tick,
    pub(super) rtt: RttEstimator,
    pub(super) cwnd: u32,
    pub(super) ack_floor: Seq,
    pub(super) max_snd_wnd: u32,
    pub(super) opened_at: Tick,
    pub(super) progress_at: Tick,
    pub(super) facts: Facts,
    /// Before the peer's SYN has come: the path's MTU.
    pub(super) mss: u16,
    /// Octets received since the last acknowledgment was sent.
    pub(super) unacked: u16,
    /// When TS.Recent was taken, in units of 2^32 microseconds.
    pub(super) ts_recent_at: u16,
    pub(super) mss_sent: u16,
    pub(super) max_sent: u16,
    pub(super) max_acked: u16,
    state: State,
    pub(super) owed: Owed,
    pub(super) shifts: Shifts,
    pub(super) expiries: u8,
    pub(super) bits: Bits,
    /// Acknowledgments to be sent at once, and above them segments that wait for one.
    pub(super) acks: u8,
    pub(super) path: Path,
}

#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<Brief>() == 100);

/// Where the count of unacknowledged segments begins in [`Brief::acks`].
pub(super) const UNACKED: u8 = 5;

/// What takes a bit or two. The lowest three say what the retransmission-like timer waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Bits(u8);

impl Bits {
    pub(super) const WAITING: u8 = 7;
    /// Numbers of [`WAITING`]; the last two stand for the same.
    pub(super) const RETRANSMIT: u8 = 1;
    pub(super) const TAIL_PROBE: u8 = 5;
    /// As that one, begun when text or FIN left last; [`Brief::find_deadlines`] says for how long.
    pub(super) const JUST_SENT: u8 = 6;
    /// The one other timer is that of the delayed acknowledgment.
    pub(super) const ACK_TIMER: u8 = 1 << 3;
    /// It is that of the state.
    pub(super) const LIFE_TIMER: u8 = 2 << 3;
    /// It is the retransmission timer, before which a tail loss probe comes.
    pub(super) const RTO: u8 = 3 << 3;
    pub(super) const OTHER: u8 = 3 << 3;
    /// A packet of the largest size waits for its acknowledgment.
    pub(super) const MARKED: u8 = 1 << 5;
    /// The last text was no full segment and ends at SND.NXT.
    pub(super) const SHORT: u8 = 1 << 6;
    /// The congestion window is made use of.
    pub(super) const USED: u8 = 1 << 7;

    pub(super) const fn has(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// Of a connection whose SYN waits for its answer.
    pub(super) const fn opened() -> Bits {
        Bits(Bits::RETRANSMIT | Bits::USED)
    }

    pub(super) const fn set(&mut self, bits: u8) {
        self.0 |= bits;
    }

    pub(super) const fn clear(&mut self, bits: u8) {
        self.0 &= !bits;
    }

    pub(super) const fn other(self) -> u8 {
        self.0 & Self::OTHER
    }

    pub(super) const fn is_just_sent(self) -> bool {
        self.0 & Self::WAITING == Self::JUST_SENT
    }

    /// Nothing is waited for, or an acknowledgment of what was sent.
    pub(super) const fn may_wait_on(self) -> bool {
        const USUAL: u8 = 1 | 1 << Bits::RETRANSMIT | 1 << Bits::TAIL_PROBE | 1 << Bits::JUST_SENT;
        USUAL >> (self.0 & Self::WAITING) & 1 != 0
    }

    pub(super) fn waiting(self) -> Waiting {
        WAITING.get(usize::from(self.0 & Self::WAITING)).copied().unwrap_or(Waiting::Nothing)
    }

    const fn when(condition: bool, bit: u8) -> u8 {
        if condition { bit } else { 0 }
    }
}

/// The kinds of waiting that a connection without a record of what is in flight knows.
const WAITING: [Waiting; 7] = [
    Waiting::Nothing,
    Waiting::Retransmit,
    Waiting::Persist,
    Waiting::Override,
    Waiting::KeepAlive,
    Waiting::TailProbe,
    Waiting::TailProbe,
];

/// Bytes of a packet that are no text.
pub(super) fn overhead(ip_header: u16, in_state: State, facts: Facts) -> u16 {
    let options = if facts.has(fact::TIMESTAMPS) { output::TIMESTAMPS_LEN } else { 0 };
    let agreed = if in_state == State::SynSent { 0 } else { mss::TCP_HEADER + options };
    ip_header + agreed
}

/// Where the end of the last reduced flight stands while there was none.
fn unreduced(una: Seq, state: State) -> Seq {
    if matches!(state, State::SynSent | State::SynReceived) { una } else { una - 1 }
}

/// The moment not after `now` with these lower bits, in microseconds.
pub(super) fn moment(lower: u32, now: Instant) -> Instant {
    Instant(now.0.saturating_sub(u64::from((now.0 as u32).wrapping_sub(lower))))
}

/// What of a TCB does not change by itself, and is not kept with each.
#[derive(Clone, Copy, Debug)]
pub struct Common<'a> {
    /// What the application chose.
    pub settings: &'a Settings,
    /// Length of the fixed IP header: 20 or 40.
    pub ip_header: u16,
}

impl Tcb {
    /// The TCB in brief; `None` when it takes more to say.
    pub fn brief(&self, common: Common<'_>, ctx: Ctx<'_>) -> Option<Brief> {
        let path = self.path_mtu.brief(self.snd.nxt)?;
        let (cwnd, used) = self.congestion.brief()?;
        let probes = self.timers.waiting == Waiting::TailProbe;
        let (timer, other_at) = match (self.timers.ack_at, self.timers.life_at, probes) {
            (None, None, false) => (0, Tick(0)),
            (Some(at), None, false) => (Bits::ACK_TIMER, at),
            (None, Some(at), false) => (Bits::LIFE_TIMER, at),
            (None, None, true) => (Bits::RTO, self.timers.rto_at),
            _ => return None,
        };
        let waiting = WAITING.iter().position(|waiting| *waiting == self.timers.waiting)?;
        let short = self.short_end.after(self.snd.una);
        let state = self.state();
        let usual = self.follows(common, ctx)
            && (!short || self.short_end == self.snd.nxt)
            && path.ceiling == self.mtu_by_mss(common.ip_header)
            && self.path_mtu.overhead() == overhead(common.ip_header, state, self.facts);
        usual.then(|| Brief {
            una: self.snd.una,
            nxt: self.snd.nxt,
            wnd: self.snd.wnd,
            wl1: self.snd.wl1,
            end: self.snd.end,
            rcv_nxt: self.rcv.nxt,
            edge: self.rcv.edge,
            ts_recent: self.ts_recent,
            ts_offset: self.ts_offset,
            retransmit_at: self.timers.retransmit_at,
            other_at,
            sent_at: self.sent_at.0 as u32,
            heard_at: self.heard_at,
            rtt: self.rtt,
            cwnd,
            ack_floor: self.ack_floor,
            max_snd_wnd: self.max_snd_wnd,
            opened_at: self.opened_at,
            progress_at: self.progress_at,
            facts: self.facts,
            mss: if state == State::SynSent { path.ceiling } else { self.mss },
            unacked: self.rcv.nxt.since(self.rcv.acked) as u16,
            ts_recent_at: (self.ts_recent_at.0 >> 32) as u16,
            mss_sent: self.mss_sent,
            max_sent: path.max_sent,
            max_acked: path.max_acked,
            state,
            owed: self.owed,
            shifts: self.shifts,
            expiries: self.timers.expiries,
            bits: Bits(
                waiting as u8
                    | timer
                    | Bits::when(path.marked, Bits::MARKED)
                    | Bits::when(short, Bits::SHORT)
                    | Bits::when(used, Bits::USED),
            ),
            acks: self.quick_acks | self.unacked_segments << UNACKED,
            path: self.path(),
        })
    }

    /// Forgets what can be done without, where memory is short: what was learnt of the path, and limits of answers
    /// that are not in use. Only of a connection with nothing in flight; what it has to say it still says.
    pub fn forget(&mut self) {
        if self.flight() > 0 {
            return;
        }
        self.congestion.forget(u32::from(self.mss));
        self.path_mtu.forget();
        self.soft_error = None;
        self.challenges = 0;
        self.out_of_window_at = None;
        self.duplicate = None;
        self.timers.kept = 0;
        self.cwr_end = unreduced(self.snd.una, self.state());
    }

    /// The path's MTU that the segment size says.
    fn mtu_by_mss(&self, ip_header: u16) -> u16 {
        match self.state() {
            State::SynSent => self.path_mtu.current(),
            state => self.mss + overhead(ip_header, state, self.facts),
        }
    }

    /// All that is left out follows from what is kept.
    fn follows(&self, common: Common<'_>, ctx: Ctx<'_>) -> bool {
        let now = ctx.now.tick();
        let timers = &self.timers;
        let timing = self.facts.has(fact::TIMING);
        let nobody_asked =
            self.challenges == 0 || now.since(self.challenges_since) >= config::CHALLENGE_WINDOW_MS;
        let nothing_strange =
            self.out_of_window_at.is_none_or(|at| now.since(at) >= ctx.cfg.out_of_window_ms);
        self.state() != State::Closed
            && self.settings == *common.settings
            && self.receive_buffer == window_of(self.state(), self.facts, self.shifts, common, ctx)
            && self.snd.wl2 == self.snd.una
            && !self.facts.has(fact::RESENDING | fact::URGENT)
            && (!self.facts.has(fact::ECN) || !self.cwr_end.after(unreduced(self.snd.una, self.state())))
            && (!timing || (self.timed_end == self.snd.nxt && self.timed_at == self.sent_at))
            && self.rcv.nxt.since(self.rcv.acked) <= u32::from(u16::MAX)
            && (matches!(timers.waiting, Waiting::Nothing | Waiting::TailProbe)
                || timers.rto_at == timers.retransmit_at)
            && timers.pace_at.is_none()
            && timers.kept == 0
            && self.quick_acks < 1 << UNACKED
            && self.unacked_segments < 1 << (8 - UNACKED)
            && self.duplicates_owed == 0
            && self.soft_error.is_none()
            && self.duplicate.is_none()
            && self.held == 0
            && self.urgent_out.is_none()
            && self.cork == Cork::Off
            && nobody_asked
            && nothing_strange
    }
}

/// The receive buffer as it is after the handshake, or before it.
pub(super) fn window_of(
    in_state: State,
    facts: Facts,
    shifts: Shifts,
    common: Common<'_>,
    ctx: Ctx<'_>,
) -> u32 {
    let wanted = common.settings.receive_buffer(ctx.cfg);
    let shift = if facts.has(fact::SCALED) { shifts.rcv() } else { 0 };
    if in_state == State::SynSent { wanted } else { window::within(wanted, shift) }
}

impl Brief {
    /// Of no connection.
    pub const NONE: Brief = Brief::in_state(State::Closed);

    /// Nothing but the state.
    pub(super) const fn in_state(state: State) -> Brief {
        Brief {
            una: Seq(0),
            nxt: Seq(0),
            wnd: 0,
            wl1: Seq(0),
            end: Seq(0),
            rcv_nxt: Seq(0),
            edge: Seq(0),
            ts_recent: 0,
            ts_offset: 0,
            retransmit_at: Tick(0),
            other_at: Tick(0),
            sent_at: 0,
            heard_at: Tick(0),
            rtt: RttEstimator::starting_at(0),
            cwnd: 0,
            ack_floor: Seq(0),
            max_snd_wnd: 0,
            opened_at: Tick(0),
            progress_at: Tick(0),
            facts: Facts(0),
            mss: 0,
            unacked: 0,
            ts_recent_at: 0,
            mss_sent: 0,
            max_sent: 0,
            max_acked: 0,
            state,
            owed: Owed(0),
            shifts: Shifts(0),
            expiries: 0,
            bits: Bits(0),
            acks: 0,
            path: Path::from(state),
        }
    }

    /// The state.
    #[inline]
    pub const fn state(&self) -> State {
        self.state
    }

    /// The connection has something to say.
    pub const fn owes(&self) -> bool {
        self.owed.0 != 0
    }

    /// The application has closed both directions: nobody will read what arrives.
    pub const fn is_forsaken(&self) -> bool {
        self.facts.has(fact::DEAF | fact::DISCARDS)
    }

    /// The states so far.
    pub const fn path(&self) -> Path {
        self.path
    }

    /// The peer's FIN was taken.
    pub const fn peer_closed(&self) -> bool {
        matches!(self.state, State::CloseWait | State::Closing | State::LastAck | State::TimeWait)
    }

    /// How many more acknowledgments are sent at once.
    pub(super) const fn quick_acks(&self) -> u8 {
        self.acks & ((1 << UNACKED) - 1)
    }

    /// SND.UNA.
    pub const fn una(&self) -> Seq {
        self.una
    }

    /// What is added to the clock in our timestamps (TS-10).
    pub const fn timestamp_offset(&self) -> u32 {
        self.ts_offset
    }

    /// As [`Tcb::time_wait`].
    pub fn time_wait(&self) -> TimeWait {
        let stamped = self.facts.has(fact::TIMESTAMPS);
        let manner = if stamped { Manner::Stamped(self.ts_recent) } else { Manner::Plain };
        TimeWait { snd_nxt: self.nxt, rcv_nxt: self.rcv_nxt, manner }
    }

    /// As [`Tcb::progressed_within`].
    pub fn progressed_within(&self, ms: u32, ctx: Ctx<'_>) -> bool {
        let stuck = self.bits.waiting().is_for_flight() && self.expiries >= ctx.cfg.r1_repeats;
        !stuck && ctx.now.tick().since(self.progress_at) < ms
    }

    /// Octets queued and not acknowledged, the FIN not counted.
    pub fn queued(&self) -> u32 {
        if self.una.after(self.end) { 0 } else { self.end.since(self.una) }
    }

    /// The earliest moment at which a timer has something to do, or one before it: see [`Brief::find_deadlines`].
    pub fn deadline(&self) -> Option<Tick> {
        let retransmit = self.bits.has(Bits::WAITING).then_some(self.retransmit_at);
        match self.bits.other() {
            Bits::ACK_TIMER | Bits::LIFE_TIMER => Tick::earliest(retransmit, Some(self.other_at)),
            _ => retransmit,
        }
    }

    /// Goes to another state. The only place that writes it.
    pub(super) fn enter(&mut self, next: State) {
        debug_assert!(self.state.may_become(next), "{} -> {}", self.state.name(), next.name());
        self.state = next;
        self.path.enter(next);
    }

    fn send_space(&self) -> SendSpace {
        let Brief { una, nxt, wnd, wl1, end, .. } = *self;
        SendSpace { una, nxt, wnd, wl1, wl2: una, end }
    }

    fn receive_space(&self) -> ReceiveSpace {
        let acked = self.rcv_nxt - u32::from(self.unacked);
        ReceiveSpace { nxt: self.rcv_nxt, edge: self.edge, acked }
    }

    fn timers(&self) -> Timers {
        let timer = |which| (self.bits.other() == which).then_some(self.other_at);
        Timers {
            waiting: self.bits.waiting(),
            retransmit_at: self.retransmit_at,
            rto_at: timer(Bits::RTO).unwrap_or(self.retransmit_at),
            ack_at: timer(Bits::ACK_TIMER),
            life_at: timer(Bits::LIFE_TIMER),
            pace_at: None,
            expiries: self.expiries,
            kept: 0,
        }
    }

    /// The whole TCB again.
    pub fn tcb(&self, common: Common<'_>, ctx: Ctx<'_>) -> Tcb {
        let mut timed = *self;
        timed.find_deadlines(common, ctx);
        timed.whole(common, ctx)
    }

    fn whole(&self, common: Common<'_>, ctx: Ctx<'_>) -> Tcb {
        let (bits, now) = (self.bits, ctx.now);
        let overhead = overhead(common.ip_header, self.state, self.facts);
        let opens = self.state == State::SynSent;
        let path = path_mtu::Brief {
            ceiling: if opens { self.mss } else { self.mss + overhead },
            max_sent: self.max_sent,
            max_acked: self.max_acked,
            marked: bits.has(Bits::MARKED),
        };
        let sent_at = moment(self.sent_at, now);
        Tcb {
            snd: self.send_space(),
            rcv: self.receive_space(),
            ts_recent: self.ts_recent,
            facts: self.facts,
            mss: if opens { 0 } else { self.mss },
            state: self.state,
            owed: self.owed,
            duplicates_owed: 0,
            shifts: self.shifts,
            mss_sent: self.mss_sent,
            path_mtu: PathMtu::from_brief(path, overhead, self.nxt, now),
            soft_error: None,
            urgent_end: self.rcv_nxt,
            ts_recent_at: Instant(u64::from(self.ts_recent_at) << 32),
            ts_offset: self.ts_offset,
            ack_floor: self.ack_floor,
            max_snd_wnd: self.max_snd_wnd,
            short_end: if bits.has(Bits::SHORT) { self.nxt } else { self.una },
            resend: self.una,
            cwr_end: unreduced(self.una, self.state),
            timed_end: self.nxt,
            timed_at: if self.facts.has(fact::TIMING) { sent_at } else { Instant::ZERO },
            sent_at,
            rtt: self.rtt,
            congestion: Congestion::from_brief(self.cwnd, bits.has(Bits::USED)),
            timers: self.timers(),
            opened_at: self.opened_at,
            progress_at: self.progress_at,
            duplicate: None,
            unacked_segments: self.acks >> UNACKED,
            quick_acks: self.quick_acks(),
            challenges: 0,
            challenges_since: now.tick(),
            out_of_window_at: None,
            held: 0,
            receive_buffer: window_of(self.state, self.facts, self.shifts, common, ctx),
            urgent_out: None,
            heard_at: self.heard_at,
            cork: Cork::Off,
            settings: *common.settings,
            path: self.path,
        }
    }
}
