//! Settings of the protocol, with the section that chose each default. Never changed while connections live.

use std::time::Duration;

use super::congestion::Algorithm;
use super::settings::Settings;

/// Settings shared by all connections of a shard.
#[derive(Clone, Debug)]
pub struct Config {
    /// Octets that a connection may hold for its application; the largest window it offers (LIM-6).
    pub receive_buffer: u32,
    /// Window scaling is agreed to (RFC 7323 2.2).
    pub window_scale: bool,
    /// The shift that we offer where window scaling is agreed to, 0 to 14; without it the smallest with which the
    /// receive buffer can be offered (WS-8). Less is offered than the buffer where the shift cannot express it; a
    /// buffer below one unit of the shift counts as one.
    pub window_shift: Option<u8>,
    /// The largest MSS that we announce, and the largest segment that we send, its options included; 60 or more.
    /// Without it both follow from the MTUs.
    pub mss_max: Option<u16>,
    /// Timestamps are agreed to (RFC 7323 3.2).
    pub timestamps: bool,
    /// SACK is agreed to (RFC 2018).
    pub sack: bool,
    /// ECN is agreed to (RFC 3168 6.1.1).
    pub ecn: bool,
    /// ECN is asked for on an active open.
    pub ecn_ask: bool,
    /// In-order segments of an established connection skip the checks that would pass them untouched. Off only to
    /// prove that it makes no difference.
    pub prediction: bool,
    /// How congestion windows grow (RFC 9438, RFC 5681).
    pub congestion: Algorithm,
    /// RTO before any sample, in milliseconds (RTO-1).
    pub rto_initial_ms: u32,
    /// Smallest RTO, in milliseconds (RTO-4).
    pub rto_min_ms: u32,
    /// Largest RTO, in milliseconds (RTO-5); the ceiling of probes too (ZWP-1).
    pub rto_max_ms: u32,
    /// How often a SYN-ACK is repeated before its half-open entry dies (SYNQ-5).
    pub syn_ack_repeats: u8,
    /// How often a SYN is repeated before an active open is given up (UT-3: 8 reach MUST-23's three minutes).
    pub syn_repeats: u8,
    /// Delay of acknowledgments, in milliseconds; below 500 (DACK-1).
    pub delayed_ack_ms: u32,
    /// How long a sender waits before it sends a small segment against SWS-1 all the same (SWS-3).
    pub override_ms: u32,
    /// R1: the application is told, and the neighbour doubted, when the same number was sent again so often; at
    /// least 3 (SHLD-10, UT-3).
    pub r1_repeats: u8,
    /// R2 and user timeout: the time without progress after which a connection is given up (UT-3).
    pub user_timeout_ms: u32,
    /// How long a connection closed for good waits in FIN-WAIT-2 for the peer's FIN (FW2-6).
    pub fin_wait_2_ms: u32,
    /// 2 MSL (TW-1).
    pub time_wait_ms: u32,
    /// Challenge ACKs per connection in a window of 5 s (BA-9).
    pub challenges_per_window: u8,
    /// The smallest MTU of a path that is believed, in bytes (PMTU-2); 68 to 1280. A path with less is not served,
    /// since packets are never fragmented.
    pub path_mtu_min: u16,
    /// How long a lowered path MTU stays before a larger one is tried, in milliseconds; at least 5 minutes (RFC
    /// 1191 6.3: 10 minutes; PMTU-3, PLPMTUD-7).
    pub path_mtu_raise_ms: u32,
    /// How long after a successful increase the next is tried, in milliseconds; at least 1 minute (RFC 1191 6.3: 2
    /// minutes; PMTU-3).
    pub path_mtu_step_ms: u32,
    /// Least time between answers to segments outside the window that carry no data (BA-12).
    pub out_of_window_ms: u32,
    /// What a connection starts with where neither its listener nor its opener says otherwise.
    pub settings: Settings,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            receive_buffer: 256 * 1024,
            window_scale: true,
            window_shift: None,
            mss_max: None,
            timestamps: true,
            sack: true,
            ecn: true,
            ecn_ask: false,
            prediction: true,
            congestion: Algorithm::default(),
            rto_initial_ms: 1_000,
            rto_min_ms: 1_000,
            rto_max_ms: 60_000,
            syn_ack_repeats: 5,
            syn_repeats: 8,
            delayed_ack_ms: 40,
            override_ms: 200,
            r1_repeats: 3,
            user_timeout_ms: 300_000,
            fin_wait_2_ms: 60_000,
            time_wait_ms: 60_000,
            challenges_per_window: 10,
            path_mtu_min: 552,
            path_mtu_raise_ms: 600_000,
            path_mtu_step_ms: 120_000,
            out_of_window_ms: 500,
            settings: Settings::default(),
        }
    }
}

impl Config {
    /// Sets 2 MSL.
    #[must_use]
    pub fn with_time_wait(mut self, time_wait: Duration) -> Self {
        self.time_wait_ms = u32::try_from(time_wait.as_millis()).unwrap_or(u32::MAX / 4);
        self
    }
}

/// Where the search for a path's MTU begins below which packets hardly ever get lost for their size (RFC 4821 7.2).
pub const PATH_MTU_BASE: u16 = 1_024;

/// The window in which challenge ACKs are counted (RFC 5961 7: 10 in 5 seconds).
pub const CHALLENGE_WINDOW_MS: u32 = 5_000;

/// Segments at the beginning of a connection that are acknowledged at once (DACK-3).
pub const QUICK_ACKS: u8 = 16;

/// RTO at the start of data transfer after the SYN-ACK had to be repeated (RTO-10).
pub const RTO_AFTER_SYN_LOSS_MS: u32 = 3_000;

/// After so long without a segment TS.Recent means nothing any more (PAWS-3: 24 days).
pub const TS_RECENT_AGE_US: u64 = 24 * 86_400 * 1_000_000;
