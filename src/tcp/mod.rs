//! The protocol, pure: RFC 9293 and what extends it, as functions from events to states and debts.
//!
//! What is absent: no device, no table, no clock, no counter, no allocation. Three kinds of event come in
//! (segments in [`arrives`], calls in [`calls`], timeouts in [`timeouts`]); each changes one [`tcb::Tcb`] and
//! marks what it *owes*. One function pays: [`output`]. Segments for which there is no connection are answered
//! by values (`arrives::closed`, `arrives::listen`, `time_wait`).

#![forbid(unsafe_code)]

pub mod ack_policy;
pub mod arrives;
pub mod calls;
pub mod config;
pub mod congestion;
pub mod cork;
pub mod icmp;
pub mod isn;
pub mod keep_alive;
pub mod mss;
pub mod outcome;
pub mod output;
pub mod path;
pub mod path_mtu;
pub mod reassembly;
pub mod recovery;
pub mod rto;
pub mod segment;
pub mod settings;
pub mod state;
pub mod status;
pub mod syn_cookie;
pub mod tcb;
pub mod time_wait;
pub mod timeouts;
pub mod timestamps;
pub mod window;

use crate::base::time::Instant;

/// What every event is told besides itself.
#[derive(Clone, Copy)]
pub struct Ctx<'a> {
    /// The time, read once per pass of the loop.
    pub now: Instant,
    /// The settings.
    pub cfg: &'a config::Config,
}
