//! The transmission control block: everything the protocol remembers of one connection. Only `Tcb::enter`
//! writes the state (law 1).

pub mod brief;
mod open;
pub mod quick;

use super::Ctx;
use super::congestion::Congestion;
use super::cork::Cork;
use super::outcome::{End, Outcome, Unreachable};
use super::path::Path;
use super::path_mtu::PathMtu;
use super::rto::{self, RttEstimator};
use super::settings::Settings;
use super::state::State;
use super::window;
use crate::base::time::{Instant, Tick};
use crate::wire::seq::Seq;
use crate::wire::tcp::Flags;

/// Send sequence variables (RFC 9293 3.3.1).
#[derive(Clone, Copy, Debug)]
pub struct SendSpace {
    /// SND.UNA: the oldest unacknowledged number.
    pub una: Seq,
    /// SND.NXT: the number after the last one sent.
    pub nxt: Seq,
    /// SND.WND: the peer's window, scaled.
    pub wnd: u32,
    /// SND.WL1: the segment number of the last window update.
    pub wl1: Seq,
    /// SND.WL2: the acknowledgment number of the last window update.
    pub wl2: Seq,
    /// The number after the last queued octet: where our FIN stands or will stand.
    pub end: Seq,
}

/// Receive sequence variables.
#[derive(Clone, Copy, Debug)]
pub struct ReceiveSpace {
    /// RCV.NXT: the next number expected.
    pub nxt: Seq,
    /// The right edge of every window ever offered: RCV.NXT + RCV.WND.
    pub edge: Seq,
    /// The last acknowledgment sent (Last.ACK.sent of RFC 7323 4.3).
    pub acked: Seq,
}

impl ReceiveSpace {
    /// RCV.WND.
    pub fn wnd(&self) -> u32 {
        self.edge.since(self.nxt)
    }
}

/// What the connection must still say. The low bits stand where the segment's flags stand.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Owed(pub(super) u8);

impl Owed {
    /// The SYN-ACK.
    pub(super) const SYN: u8 = Flags::SYN.0;
    /// Whatever the send queue and the windows allow: data, FIN.
    pub(super) const SEND: u8 = Flags::PSH.0;
    /// An acknowledgment now.
    pub(super) const ACK: u8 = Flags::ACK.0;
    /// A keep-alive probe.
    pub(super) const KEEP_ALIVE: u8 = Flags::URG.0;
    /// A zero-window probe, or a small segment after the override timer.
    pub(super) const PROBE: u8 = 0x40;
    /// A tail loss probe.
    pub(super) const TAIL: u8 = 0x80;

    pub(super) const fn has(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

/// Facts about the connection, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts(u16);

/// The bits of [`Facts`].
pub mod fact {
    /// Timestamps are in use.
    pub const TIMESTAMPS: u16 = 1 << 0;
    /// SACK was agreed to.
    pub const SACK: u16 = 1 << 1;
    /// ECN was agreed to.
    pub const ECN: u16 = 1 << 2;
    /// The receiver must echo congestion until CWR comes (ECN-6).
    pub const ECHO_CONGESTION: u16 = 1 << 3;
    /// The next new data carries CWR (ECN-9).
    pub const CWR_DUE: u16 = 1 << 4;
    /// The application has closed our direction: a FIN follows the queue.
    pub const FIN_QUEUED: u16 = 1 << 5;
    /// Our FIN is within SND.NXT.
    pub const FIN_SENT: u16 = 1 << 6;
    /// Nobody will ever read what arrives; new data is answered by a reset (SHLD-3).
    pub const DEAF: u16 = 1 << 7;
    /// Nobody will ever read what arrives; it is acknowledged and thrown away.
    pub const DISCARDS: u16 = 1 << 8;
    /// Nagle's rule is off (MUST-17).
    pub const NODELAY: u16 = 1 << 9;
    /// A segment's round trip is being measured.
    pub const TIMING: u16 = 1 << 10;
    /// There is urgent data ahead of what was delivered.
    pub const URGENT: u16 = 1 << 11;
    /// Octets from `resend` to SND.NXT are sent again.
    pub const RESENDING: u16 = 1 << 12;
    /// Window scaling is in use.
    pub const SCALED: u16 = 1 << 13;
    /// TS.Recent holds a value.
    pub const TS_RECENT: u16 = 1 << 14;
    /// We opened the connection (MUST-11).
    pub const ACTIVE: u16 = 1 << 15;
}

impl Facts {
    pub(super) const fn has(self, bits: u16) -> bool {
        self.0 & bits != 0
    }

    pub(super) const fn set(&mut self, bits: u16) {
        self.0 |= bits;
    }

    pub(super) const fn clear(&mut self, bits: u16) {
        self.0 &= !bits;
    }
}

/// What the one retransmission-like timer waits for (TMR-12: they exclude one another).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Waiting {
    //= TMR-12
    /// Nothing.
    Nothing,
    /// The acknowledgment of what is in flight (TMR-1, TMR-3).
    Retransmit,
    /// The same, and sends one segment to ask for it before that (RFC 8985 7).
    TailProbe,
    /// Segments that may only be late (RFC 8985 6.2).
    Reorder,
    /// The peer's window to open (TMR-5).
    Persist,
    /// Company for a small segment (TMR-10).
    Override,
    /// A word from a silent peer (TMR-7).
    KeepAlive,
}

impl Waiting {
    /// It is about what is in flight.
    pub(super) const fn is_for_flight(self) -> bool {
        matches!(self, Waiting::Retransmit | Waiting::TailProbe | Waiting::Reorder)
    }
}

/// The connection's timers. Deadlines are ticks; the engine keeps one entry for each connection, at the earliest.
#[derive(Clone, Copy, Debug)]
pub struct Timers {
    /// What `retransmit_at` is for.
    pub waiting: Waiting,
    /// When it expires.
    pub retransmit_at: Tick,
    /// When the retransmission timer of RFC 6298 expires, while something is in flight.
    pub rto_at: Tick,
    /// The delayed acknowledgment (TMR-4).
    pub ack_at: Option<Tick>,
    /// The end of FIN-WAIT-2 (TMR-11) or TIME-WAIT (TMR-6).
    pub life_at: Option<Tick>,
    /// When pacing lets more go (PACE-1).
    pub pace_at: Option<Tick>,
    /// How often `waiting` expired without progress.
    pub expiries: u8,
    /// Doublings of RTO that stay until the next sample, though there was progress (RTO-11).
    pub kept: u8,
}

/// The shifts of both windows, in one byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shifts(u8);

impl Shifts {
    /// The peer's shift and ours; both at most 14.
    pub(super) const fn new(snd: u8, rcv: u8) -> Self {
        Shifts(snd << 4 | rcv)
    }

    /// The shift of the peer's window field (Snd.Wind.Shift).
    pub(super) const fn snd(self) -> u8 {
        self.0 >> 4
    }

    /// The shift of our window field (Rcv.Wind.Shift).
    pub(super) const fn rcv(self) -> u8 {
        self.0 & 0xf
    }
}

/// One connection. What most segments touch comes first; the engine puts it on the line of the key.
#[derive(Clone, Debug)]
#[repr(C)]
pub struct Tcb {
    /// Send sequence space.
    pub snd: SendSpace,
    /// Receive sequence space.
    pub rcv: ReceiveSpace,
    /// TS.Recent.
    pub(super) ts_recent: u32,
    pub(super) facts: Facts,
    /// Eff.snd.MSS: text of a full segment.
    pub(super) mss: u16,
    state: State,
    pub(super) owed: Owed,
    /// Duplicate acknowledgments owed; each goes out by itself so that the sender can count three.
    pub(super) duplicates_owed: u8,
    pub(super) shifts: Shifts,
    // --- the hot part ends here (HOT_BYTES) ---
    /// The MSS that we sent in our SYN.
    pub(super) mss_sent: u16,
    /// The path's MTU, as far as we know it.
    pub(super) path_mtu: PathMtu,
    /// The last ICMP error since something was acknowledged.
    pub(super) soft_error: Option<Unreachable>,
    /// RCV.UP: the end of urgent data, while there is any ahead.
    pub(super) urgent_end: Seq,
    /// When TS.Recent was taken; not a tick, because it may be longer ago than ticks can tell.
    pub(super) ts_recent_at: Instant,
    pub(super) ts_offset: u32,
    /// No acknowledgment below this can be ours (BA-8). Follows SND.UNA at a distance of at most 2^30.
    pub(super) ack_floor: Seq,
    /// MAX.SND.WND.
    pub(super) max_snd_wnd: u32,
    /// The end of the last segment that was not full-sized (NAG-2).
    pub(super) short_end: Seq,
    /// The next number to be sent again, while `RESENDING`.
    pub(super) resend: Seq,
    /// The end of the flight in which the window was last reduced for a mark: up to here acknowledgments repeat
    /// the same mark (ECN-8: once per window).
    pub(super) cwr_end: Seq,
    /// The end of the segment whose round trip is measured, and when it left.
    pub(super) timed_end: Seq,
    pub(super) timed_at: Instant,
    /// When text or FIN left last.
    pub(super) sent_at: Instant,
    pub(super) rtt: RttEstimator,
    pub(super) congestion: Congestion,
    pub(super) timers: Timers,
    /// When the connection was opened, and when it last got forward.
    pub(super) opened_at: Tick,
    pub(super) progress_at: Tick,
    /// Octets that came twice, to be reported once (DSACK-1).
    pub(super) duplicate: Option<(Seq, Seq)>,
    /// Data segments since the last acknowledgment, and how many more are acknowledged at once (DACK-3).
    pub(super) unacked_segments: u8,
    pub(super) quick_acks: u8,
    /// Challenge ACKs in the window that began at `challenges_since` (BA-9).
    pub(super) challenges: u8,
    pub(super) challenges_since: Tick,
    /// When a dataless segment outside the window was last answered (BA-12).
    pub(super) out_of_window_at: Option<Tick>,
    /// Octets that the engine holds for the application.
    pub(super) held: u32,
    /// The largest window that may be offered.
    pub(super) receive_buffer: u32,
    /// The number after the last urgent octet of ours, until it is acknowledged (SND.UP).
    pub(super) urgent_out: Option<Seq>,
    /// When the peer was heard last.
    pub(super) heard_at: Tick,
    pub(super) cork: Cork,
    pub(super) settings: Settings,
    path: Path,
}

impl Tcb {
    /// The connection's state.
    pub fn state(&self) -> State {
        self.state
    }

    /// The states so far.
    pub fn path(&self) -> Path {
        self.path
    }

    /// Goes to another state. The only place that writes it.
    pub(super) fn enter(&mut self, next: State) {
        debug_assert!(self.state.may_become(next), "{} -> {}", self.state.name(), next.name());
        self.state = next;
        self.path.enter(next);
    }

    /// Ends the connection: nothing is owed, no timer runs (TRN-12).
    pub(super) fn end(&mut self, why: End, out: &mut Outcome) {
        self.enter(State::Closed);
        self.owed = Owed::default();
        self.duplicates_owed = 0;
        self.timers.waiting = Waiting::Nothing;
        self.timers.ack_at = None;
        self.timers.life_at = None;
        self.timers.pace_at = None;
        self.cork = Cork::Off;
        out.end = Some(why);
    }

    /// The earliest moment at which [`Tcb::timeout`] has something to do.
    pub fn deadline(&self) -> Option<Tick> {
        let retransmit = (self.timers.waiting != Waiting::Nothing).then_some(self.timers.retransmit_at);
        let others = Tick::earliest(self.timers.ack_at, self.timers.life_at);
        let others = Tick::earliest(others, self.timers.pace_at);
        Tick::earliest(Tick::earliest(retransmit, self.cork_at()), others)
    }

    /// Something new was acknowledged, or the connection began, within the last `ms` milliseconds, and R1 is not
    /// passed.
    pub fn progressed_within(&self, ms: u32, ctx: Ctx<'_>) -> bool {
        let stuck = self.timers.waiting.is_for_flight() && self.timers.expiries >= ctx.cfg.r1_repeats;
        !stuck && ctx.now.tick().since(self.progress_at) < ms
    }

    /// The peer's FIN was taken.
    pub fn peer_closed(&self) -> bool {
        matches!(self.state, State::CloseWait | State::Closing | State::LastAck | State::TimeWait)
    }

    /// The application has closed both directions: nobody will read what arrives.
    pub fn is_forsaken(&self) -> bool {
        self.facts.has(fact::DEAF | fact::DISCARDS)
    }

    /// The connection has something to say.
    pub fn owes(&self) -> bool {
        self.owed.0 != 0 || self.duplicates_owed != 0
    }

    /// Octets queued and not acknowledged, the FIN not counted.
    pub fn queued(&self) -> u32 {
        // SND.UNA stands one past `end` once our FIN is acknowledged.
        if self.snd.una.after(self.snd.end) { 0 } else { self.snd.end.since(self.snd.una) }
    }

    /// Sequence numbers in flight: sent and not acknowledged.
    pub fn flight(&self) -> u32 {
        self.snd.nxt.since(self.snd.una)
    }

    /// Text of a full segment.
    pub fn effective_mss(&self) -> u16 {
        self.mss
    }

    /// What is added to the clock in our timestamps (TS-10).
    pub fn timestamp_offset(&self) -> u32 {
        self.ts_offset
    }

    /// Octets up to the end of urgent data that the application has not taken yet (MUST-33).
    pub fn urgent(&self) -> Option<u32> {
        //= MUST-33
        let taken = self.rcv.nxt - self.held;
        let ahead = self.facts.has(fact::URGENT) && self.urgent_end.after(taken);
        ahead.then(|| self.urgent_end.since(taken))
    }

    /// Our FIN was sent and acknowledged.
    pub(super) fn fin_acked(&self) -> bool {
        self.facts.has(fact::FIN_SENT) && self.snd.una.after(self.snd.end)
    }

    /// Octets queued and not yet sent once.
    pub(super) fn unsent(&self) -> u32 {
        if self.snd.nxt.after(self.snd.end) { 0 } else { self.snd.end.since(self.snd.nxt) }
    }

    /// A FIN is queued and has not left.
    pub(super) fn fin_pending(&self) -> bool {
        self.facts.has(fact::FIN_QUEUED) && !self.facts.has(fact::FIN_SENT)
    }

    /// The retransmission timer's length now, back-off included.
    pub(super) fn rto_ms(&self, ctx: Ctx<'_>) -> u32 {
        let doublings = self.timers.expiries.saturating_add(self.timers.kept);
        rto::backed_off_ms(self.rtt.rto_ms(ctx.cfg), doublings, ctx.cfg.rto_max_ms)
    }

    /// Starts the retransmission-like timer.
    pub(super) fn wait_for(&mut self, what: Waiting, delay_ms: u32, ctx: Ctx<'_>) {
        let (idle, at) = (Waiting::KeepAlive, Tick::after_ms(ctx.now, delay_ms));
        if matches!(self.timers.waiting, Waiting::Nothing | Waiting::KeepAlive) && what != idle {
            self.progress_at = ctx.now.tick();
        }
        self.timers.waiting = what;
        self.timers.retransmit_at = if what == idle { at } else { self.within_r2(at, ctx) };
        self.timers.rto_at = self.timers.retransmit_at;
    }

    /// Starts the retransmission timer of RFC 6298 anew; what comes before it keeps its time.
    pub(super) fn restart_rto(&mut self, delay_ms: u32, ctx: Ctx<'_>) {
        self.timers.rto_at = self.within_r2(Tick::after_ms(ctx.now, delay_ms), ctx);
        if self.timers.waiting == Waiting::Retransmit {
            self.timers.retransmit_at = self.timers.rto_at;
        }
    }

    /// An acknowledgment is due now.
    pub(super) fn owe_ack(&mut self) {
        self.owed.0 |= Owed::ACK;
    }

    /// Tells how many octets the engine holds because the application did not take them, and says so to the
    /// peer when that opens the window enough (DACK-2).
    pub fn set_held(&mut self, octets: u32) {
        let freed = self.held.saturating_sub(octets);
        self.held = octets;
        if freed == 0 {
            return;
        }
        self.tell_if_opened();
    }

    /// Owes an acknowledgment when the window that could be offered is enough wider than the one that is.
    pub(super) fn tell_if_opened(&mut self) {
        if !self.state.receives() {
            return;
        }
        let free = self.receive_buffer.saturating_sub(self.held);
        let opens = free.saturating_sub(self.rcv.wnd());
        let worth = window::threshold(self.receive_buffer, 2 * u32::from(self.mss));
        if opens >= worth {
            self.owe_ack();
        }
    }

    /// Octets that the engine holds for the application, as last told by [`Tcb::set_held`].
    pub fn held(&self) -> u32 {
        self.held
    }

    /// What no event may ever break (TRN-14); for tests.
    ///
    /// # Errors
    /// The name of the broken rule.
    pub fn invariants(&self) -> Result<(), &'static str> {
        let rules = [
            (self.snd.una.at_or_before(self.snd.nxt), "SND.UNA =< SND.NXT"),
            (self.rcv.nxt.at_or_before(self.rcv.edge), "RCV.NXT is within the window"),
            (self.rcv.acked.at_or_before(self.rcv.nxt), "what was acknowledged was received"),
            (self.snd.nxt.at_or_before(self.snd.end + 1), "nothing is sent beyond the FIN"),
            (
                self.facts.has(fact::FIN_SENT) == (self.snd.nxt == self.snd.end + 1),
                "a FIN was sent exactly when SND.NXT is past the queue",
            ),
            (self.state != State::Closed || (!self.owes() && self.deadline().is_none()), "CLOSED is quiet"),
            (
                self.flight() == 0
                    || self.timers.waiting != Waiting::Nothing
                    || self.owes()
                    || matches!(self.state, State::Closed | State::TimeWait),
                "what is in flight has a timer",
            ),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(rule))
    }
}

/// Bytes of the part of a [`Tcb`] that most segments touch.
pub const HOT_BYTES: usize = 48;
const _: () = assert!(std::mem::offset_of!(Tcb, mss_sent) == HOT_BYTES);

/// What the tables and secrets contribute to a new connection.
#[derive(Clone, Copy, Debug)]
pub struct Seed<'a> {
    /// ISS, by RFC 6528.
    pub iss: Seq,
    /// The offset of our timestamps (TS-10).
    pub ts_offset: u32,
    /// The link's MTU in bytes.
    pub mtu: u16,
    /// The path's MTU in bytes, where it is known to be smaller.
    pub path_mtu: u16,
    /// Length of the fixed IP header: 20 or 40.
    pub ip_header: u16,
    /// What the listener or the opener wants.
    pub settings: &'a Settings,
}
