//! What the outside may tell a running loop, and how it ends: stop listening, let the application finish, reset
//! what is left.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::api::App;
use super::shard::Shard;
use crate::base::time::Instant;

/// Connections looked at in one step of the drain.
const DRAIN_STEP: usize = 1_024;

/// How long a device may take for the last frames.
const FLUSH_US: u64 = 100_000;

/// Orders for one loop, and its gauges. Written by one side each, read by the other.
#[derive(Default)]
pub struct Control {
    drain: AtomicBool,
    drain_us: AtomicU64,
    drained: AtomicBool,
    ready: AtomicBool,
    ended: AtomicBool,
    /// Connections, half-open ones, TIME-WAIT records, and the shortest TIME-WAIT in ms plus one (0: none).
    gauges: [AtomicU32; 4],
}

/// A shard's fill levels, as last published.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Gauges {
    /// Connections, half-open ones included.
    pub connections: u32,
    /// Half-open connections.
    pub half_open: u32,
    /// TIME-WAIT records.
    pub time_wait: u32,
    /// To how many milliseconds TIME-WAIT was shortened, if it was.
    pub time_wait_shortened_ms: Option<u32>,
}

impl Control {
    /// Asks the loop to take no new connections and to end those there are; what is open after `patience_us`
    /// microseconds is reset.
    pub fn drain(&self, patience_us: u64) {
        self.drain_us.store(patience_us, Ordering::Relaxed);
        self.drain.store(true, Ordering::Release);
    }

    /// The loop has nothing open any more.
    pub fn is_drained(&self) -> bool {
        self.drained.load(Ordering::Acquire)
    }

    /// The loop serves frames.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// The loop's thread has left the loop.
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// To be called by the loop's thread when it has left the loop.
    pub fn set_ended(&self) {
        self.ended.store(true, Ordering::Release);
    }

    pub(super) fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    pub(super) fn publish(&self, shard: &Shard) {
        let shortened = shard.time_wait_shortened_ms().map_or(0, |ms| ms.saturating_add(1));
        let values = [shard.connections(), shard.half_open(), shard.in_time_wait(), shortened];
        for (gauge, value) in self.gauges.iter().zip(values) {
            gauge.store(value, Ordering::Relaxed);
        }
    }

    /// The fill levels, as last published.
    pub fn gauges(&self) -> Gauges {
        let [connections, half_open, time_wait, shortened] =
            std::array::from_fn(|i| self.gauges[i].load(Ordering::Relaxed));
        Gauges { connections, half_open, time_wait, time_wait_shortened_ms: shortened.checked_sub(1) }
    }
}

/// How far the end of a loop has come.
#[derive(Default)]
pub(super) struct Drain {
    phase: Phase,
}

#[derive(Default, Clone, Copy)]
enum Phase {
    #[default]
    Running,
    /// The application is told, slot by slot.
    Telling {
        from: u32,
        deadline: Instant,
    },
    /// It is waited for.
    Waiting {
        deadline: Instant,
    },
    /// What is left is reset, slot by slot.
    Resetting {
        from: u32,
    },
    Done {
        since: Instant,
    },
}

impl Drain {
    /// One step, bounded. Returns how much was done.
    pub fn step<A: App>(&mut self, control: &Control, shard: &mut Shard, app: &mut A) -> usize {
        let now = shard.now;
        // A reset for each, at most: none must be lost.
        let limit = DRAIN_STEP.min(shard.replies_room());
        self.phase = match self.phase {
            Phase::Running if control.drain.load(Ordering::Acquire) => {
                shard.stop_listening();
                let patience = control.drain_us.load(Ordering::Relaxed);
                Phase::Telling { from: 0, deadline: Instant(now.0.saturating_add(patience)) }
            }
            Phase::Telling { from, deadline } => match shard.drain(app, from, limit) {
                Some(from) => Phase::Telling { from, deadline },
                None => Phase::Waiting { deadline },
            },
            Phase::Waiting { .. } if shard.connections() == 0 => Phase::Done { since: now },
            Phase::Waiting { deadline } if now >= deadline => Phase::Resetting { from: 0 },
            Phase::Resetting { from } => match shard.abort_all(app, from, limit) {
                Some(from) => Phase::Resetting { from },
                None => Phase::Done { since: now },
            },
            phase => phase,
        };
        usize::from(!matches!(self.phase, Phase::Running | Phase::Waiting { .. } | Phase::Done { .. }))
    }

    /// Everything has ended, and the last frames have left, or their device has not taken them for long enough.
    pub fn is_over(&self, flushed: bool, now: Instant) -> bool {
        matches!(self.phase, Phase::Done { since } if flushed || now.since_us(since) >= FLUSH_US)
    }
}

impl Control {
    pub(super) fn set_drained(&self) {
        self.drained.store(true, Ordering::Release);
    }
}
