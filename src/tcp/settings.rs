//! What an application may choose for one connection (RFC 9293 3.8.3, 3.8.4, 3.9.1.9, 3.9.2): given with OPEN, where
//! a listener's settings hold for all connections that it accepts, and changed while the connection lives.

use std::num::NonZeroU8;

use super::Ctx;
use super::config::Config;
use super::congestion::Algorithm;
use super::tcb::{Owed, Tcb, Waiting, fact};
use super::window;
use crate::base::time::Tick;

/// Longest time that can be set, in milliseconds: about 12 days. Timers compare ticks serially, which holds for
/// less than 2^31 of them.
pub const TIME_MAX_MS: u32 = 1 << 30;

/// Largest receive buffer: what the largest shift can offer (WS-7).
pub const RECEIVE_BUFFER_MAX: u32 = 0xffff << window::SHIFT_MAX;

/// A Diffserv codepoint (RFC 2474): 0 to 63. The two bits below it in the IP header are ECN's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Dscp(u8);

impl Dscp {
    /// A codepoint; `None` above 63.
    pub const fn new(value: u8) -> Option<Dscp> {
        if value < 64 { Some(Dscp(value)) } else { None }
    }

    /// The codepoint in the upper six bits of the traffic class, the lower two zero.
    pub const fn in_traffic_class(self) -> u8 {
        //= SHLD-22
        //= ECN-11
        self.0 << 2
    }
}

/// What TCP asks of IP for each packet of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ForIp {
    /// The Diffserv field (MUST-48).
    pub dscp: Dscp,
    /// Time to live, or hop limit (MUST-49).
    pub ttl: NonZeroU8,
}

impl Default for ForIp {
    fn default() -> Self {
        //= IP4-9
        ForIp { dscp: Dscp::default(), ttl: NonZeroU8::MIN.saturating_add(63) }
    }
}

/// Keep-alive of one connection (RFC 9293 3.8.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeepAlive {
    pub(super) idle_ms: u32,
    pub(super) interval_ms: u32,
    pub(super) probes: NonZeroU8,
}

impl KeepAlive {
    /// After `idle_ms` without a segment from the peer it is probed, up to `probes` times, every `interval_ms`; the
    /// connection ends when none was answered. Times are 1 to [`TIME_MAX_MS`]; `None` for others, and for fewer than
    /// 2 probes, since one that was lost means nothing (MUST-29).
    pub const fn new(idle_ms: u32, interval_ms: u32, probes: u8) -> Option<KeepAlive> {
        //= MUST-29
        let Some(count) = NonZeroU8::new(probes) else { return None };
        let fits = idle_ms > 0 && idle_ms <= TIME_MAX_MS && interval_ms > 0 && interval_ms <= TIME_MAX_MS;
        if fits && probes > 1 { Some(KeepAlive { idle_ms, interval_ms, probes: count }) } else { None }
    }
}

impl Default for KeepAlive {
    /// Two hours (MUST-28), then 9 probes every 75 s (KA-2).
    fn default() -> Self {
        //= MUST-28
        //= KA-1
        //= KA-2
        KeepAlive { idle_ms: 7_200_000, interval_ms: 75_000, probes: NonZeroU8::MIN.saturating_add(8) }
    }
}

/// R2 as the application sets it (MUST-21).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserTimeout {
    /// The connection is given up after so many milliseconds without progress; 1 to [`TIME_MAX_MS`].
    AfterMs(u32),
    /// It is never given up for that.
    Never,
}

/// The settings of a connection. The default is what the RFC and [`Config`] say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Small segments leave at once: Nagle's rule is off (MUST-17).
    pub nodelay: bool,
    /// Soft errors are reported (MUST-47); SHLD-20 wants the switch.
    pub reports: bool,
    /// Keep-alive; off by default (MUST-25).
    pub keep_alive: Option<KeepAlive>,
    /// R2; [`Config::user_timeout_ms`] without it. One that is set covers closed windows too, and the wait in
    /// FIN-WAIT-2 after a full close (UT-4); one below 243 s also the SYN's.
    pub user_timeout: Option<UserTimeout>,
    /// How the congestion window grows; [`Config::congestion`] without it.
    pub congestion: Option<Algorithm>,
    /// The Diffserv field and the time to live.
    pub ip: ForIp,
    /// Octets that the connection may hold for its application, at most [`RECEIVE_BUFFER_MAX`];
    /// [`Config::receive_buffer`] without it. The window scale follows from it.
    pub receive_buffer: Option<u32>,
    /// Octets that the connection may have queued for sending; the shard's limit without it (LIM-5).
    pub send_buffer: Option<u32>,
}

impl Default for Settings {
    fn default() -> Self {
        //= MUST-25
        //= SHLD-7
        Settings {
            nodelay: false,
            reports: true,
            keep_alive: None,
            user_timeout: None,
            congestion: None,
            ip: ForIp::default(),
            receive_buffer: None,
            send_buffer: None,
        }
    }
}

impl Settings {
    /// Octets that the connection may hold for its application.
    pub(super) fn receive_buffer(&self, cfg: &Config) -> u32 {
        self.receive_buffer.unwrap_or(cfg.receive_buffer).clamp(1, RECEIVE_BUFFER_MAX)
    }

    /// R2 in milliseconds; `None` when the connection waits for ever.
    pub(super) fn user_timeout_ms(&self, cfg: &Config) -> Option<u32> {
        //= MUST-21
        //= UT-2
        match self.user_timeout {
            None => Some(cfg.user_timeout_ms),
            Some(UserTimeout::AfterMs(ms)) => Some(ms.clamp(1, TIME_MAX_MS)),
            Some(UserTimeout::Never) => None,
        }
    }

    /// The user timeout, where the application has set one.
    pub(super) fn own_timeout_ms(&self) -> Option<u32> {
        match self.user_timeout {
            Some(UserTimeout::AfterMs(ms)) => Some(ms.clamp(1, TIME_MAX_MS)),
            Some(UserTimeout::Never) | None => None,
        }
    }
}

impl Tcb {
    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes the Diffserv field and the time to live of what follows (SHLD-21).
    pub fn set_for_ip(&mut self, ip: ForIp) {
        //= SHLD-21
        self.settings.ip = ip;
    }

    /// Switches the reports of soft errors (SHLD-20).
    pub fn set_reports(&mut self, reports: bool) {
        //= SHLD-20
        self.settings.reports = reports;
    }

    /// Sets how many octets may be queued for sending; the engine keeps to it.
    pub fn set_send_buffer(&mut self, octets: u32) {
        self.settings.send_buffer = Some(octets);
    }

    /// Sets how the congestion window grows, from the next time on that the connection begins to send: what is in
    /// flight is judged by the rules under which it left.
    pub fn set_congestion(&mut self, algorithm: Algorithm) {
        //= MAY-18
        self.settings.congestion = Some(algorithm);
    }

    /// Switches Nagle's rule (MUST-17).
    pub fn set_nodelay(&mut self, nodelay: bool) {
        //= MUST-17
        //= NAG-3
        self.settings.nodelay = nodelay;
        if nodelay {
            self.facts.set(fact::NODELAY);
            self.owed.0 |= Owed::SEND;
        } else {
            self.facts.clear(fact::NODELAY);
        }
    }

    /// Sets R2. What waits already is given up by the new one.
    pub fn set_user_timeout(&mut self, timeout: Option<UserTimeout>, ctx: Ctx<'_>) {
        //= MUST-21
        self.settings.user_timeout = timeout;
        if self.timers.waiting != Waiting::KeepAlive {
            self.timers.retransmit_at = self.within_r2(self.timers.retransmit_at, ctx);
            self.timers.rto_at = self.within_r2(self.timers.rto_at, ctx);
        }
        if self.timers.life_at.is_some() && self.state() == super::state::State::FinWait2 {
            self.timers.life_at = None;
            self.limit_fin_wait_2(ctx);
        }
    }

    /// When R2 is over if nothing gets forward; `None` when the connection waits for ever. Never early: the progress
    /// was made within its tick.
    pub(super) fn given_up_at(&self, ctx: Ctx<'_>) -> Option<Tick> {
        self.settings.user_timeout_ms(ctx.cfg).map(|ms| self.progress_at.plus(ms + 1))
    }

    /// A time for the retransmission timer, or the end of R2 where that comes first: a user timeout is kept to the
    /// tick, not to the next doubling (MUST-21).
    pub(super) fn within_r2(&self, at: Tick, ctx: Ctx<'_>) -> Tick {
        match self.given_up_at(ctx) {
            Some(until) if self.state().is_synchronized() && until.before(at) => until,
            _ => at,
        }
    }

    /// Sets how many octets the connection may hold, 1 to what the agreed window scale can offer. What was offered
    /// before stays offered (SHLD-14).
    pub fn set_receive_buffer(&mut self, octets: u32) {
        let shift = if self.facts.has(fact::SCALED) { self.shifts.rcv() } else { 0 };
        self.receive_buffer = window::within(octets, shift);
        self.settings.receive_buffer = Some(self.receive_buffer);
        self.tell_if_opened();
    }
}
