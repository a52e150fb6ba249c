//! STATUS (RFC 9293 3.9.1.6): what the application may know of its connection, as it is at one moment.

use super::Ctx;
use super::settings::Settings;
use super::state::State;
use super::tcb::{Tcb, Waiting, fact};
use crate::base::time::Tick;

/// A connection at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Status {
    /// The state.
    pub state: State,
    /// SND.WND: octets that the peer takes beyond what it has acknowledged.
    pub send_window: u32,
    /// RCV.WND: octets that we offered to take.
    pub receive_window: u32,
    /// Octets queued and not acknowledged.
    pub unacknowledged: u32,
    /// Of these, octets that were never sent.
    pub unsent: u32,
    /// Octets that arrived and were not taken.
    pub unread: u32,
    /// Octets of text in a full segment.
    pub mss: u16,
    /// The congestion window in octets.
    pub congestion_window: u32,
    /// The smoothed round-trip time in microseconds, once there was a sample.
    pub round_trip_us: Option<u32>,
    /// The retransmission timeout in milliseconds, back-off included.
    pub retransmission_timeout_ms: u32,
    /// Retransmission timeouts, or probes, since something was acknowledged.
    pub expiries: u8,
    /// When the next timer expires.
    pub deadline: Option<Tick>,
    /// R2 in milliseconds; `None` when it is infinite.
    pub user_timeout_ms: Option<u32>,
    /// Octets of the peer's up to the end of urgent data.
    pub urgent: Option<u32>,
    /// Timestamps are in use.
    pub timestamps: bool,
    /// SACK is in use.
    pub sack: bool,
    /// ECN is in use.
    pub ecn: bool,
    /// The shifts of the peer's window and of ours, where window scaling is in use.
    pub window_shifts: Option<(u8, u8)>,
    /// The settings in force.
    pub settings: Settings,
}

impl Tcb {
    /// The STATUS call.
    pub fn status(&self, ctx: Ctx<'_>) -> Status {
        //= CALL-7
        let retransmits = self.timers.waiting.is_for_flight() || self.timers.waiting == Waiting::Persist;
        Status {
            state: self.state(),
            send_window: self.snd.wnd,
            receive_window: self.rcv.wnd(),
            unacknowledged: self.queued(),
            unsent: self.unsent(),
            unread: self.held(),
            mss: self.effective_mss(),
            congestion_window: self.congestion.cwnd,
            round_trip_us: self.rtt.srtt_us(),
            retransmission_timeout_ms: self.rto_ms(ctx),
            expiries: if retransmits { self.timers.expiries } else { 0 },
            deadline: self.deadline(),
            user_timeout_ms: self.settings.user_timeout_ms(ctx.cfg),
            urgent: self.urgent(),
            timestamps: self.facts.has(fact::TIMESTAMPS),
            sack: self.facts.has(fact::SACK),
            ecn: self.facts.has(fact::ECN),
            window_shifts: self.facts.has(fact::SCALED).then(|| (self.shifts.snd(), self.shifts.rcv())),
            settings: self.settings,
        }
    }
}
