//! What a loop hands over once a second: its counts so far, and the latencies since the last time. The boxes are
//! made at the start and go back and forth, so that the loop allocates nothing and never waits.

use std::sync::{Mutex, TryLockError};

use super::account::Tally;
use super::latency::Latencies;
use super::snapshot::Snapshot;
use super::syns::Syns;

/// Stages of a pass, as `engine::meter` names them, and how many there are.
pub const STAGES: [&str; 7] = ["rx", "classify", "lookup", "process", "timers", "pay", "tx"];

/// Where a loop's cycles went so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Work {
    /// Cycles of passes that received, sent, opened, closed or expired anything.
    pub busy_cycles: u64,
    /// Cycles of all other passes.
    pub idle_cycles: u64,
    /// Passes that did something.
    pub busy_passes: u64,
    /// Passes that did nothing.
    pub idle_passes: u64,
    /// Cycles of each of [`STAGES`] in those busy passes whose stages were timed.
    pub stages: [u64; STAGES.len()],
    /// Cycles of these passes.
    pub timed_cycles: u64,
}

impl Work {
    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Work) -> Work {
        Work {
            busy_cycles: self.busy_cycles.saturating_sub(earlier.busy_cycles),
            idle_cycles: self.idle_cycles.saturating_sub(earlier.idle_cycles),
            busy_passes: self.busy_passes.saturating_sub(earlier.busy_passes),
            idle_passes: self.idle_passes.saturating_sub(earlier.idle_passes),
            stages: std::array::from_fn(|i| self.stages[i].saturating_sub(earlier.stages[i])),
            timed_cycles: self.timed_cycles.saturating_sub(earlier.timed_cycles),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Work) -> Work {
        Work {
            busy_cycles: self.busy_cycles + other.busy_cycles,
            idle_cycles: self.idle_cycles + other.idle_cycles,
            busy_passes: self.busy_passes + other.busy_passes,
            idle_passes: self.idle_passes + other.idle_passes,
            stages: std::array::from_fn(|i| self.stages[i] + other.stages[i]),
            timed_cycles: self.timed_cycles + other.timed_cycles,
        }
    }

    /// The share of busy cycles in all, 0 to 1.
    pub fn busy_share(&self) -> f64 {
        let all = self.busy_cycles + self.idle_cycles;
        if all == 0 { 0.0 } else { self.busy_cycles as f64 / all as f64 }
    }
}

/// One loop's state at one moment.
#[derive(Clone, Debug, Default)]
pub struct Interval {
    /// Nanoseconds on the run's clock: since when latencies were collected.
    pub from_ns: u64,
    /// Nanoseconds on the run's clock: the moment of all counts.
    pub to_ns: u64,
    /// The moment for which the counts were wanted: each whole second, and each end of a measured time. Intervals
    /// of several loops with the same mark belong together.
    pub mark_ns: u64,
    /// The client's account so far; zeros on a server.
    pub account: Tally,
    /// What became of a flood's SYNs so far; zeros where this loop sends none.
    pub syns: Syns,
    /// The engine's counters so far; zeros without one.
    pub counters: Snapshot,
    /// Cycles so far.
    pub work: Work,
    /// Connections now, half-open ones included, TIME-WAIT not.
    pub connections: u32,
    /// TIME-WAIT records now.
    pub time_wait: u32,
    /// Latencies of measured connections in this interval.
    pub latencies: Latencies,
}

/// Hands intervals from a loop to whoever reports, and empty ones back.
#[derive(Debug, Default)]
pub struct Mailbox {
    full: Mutex<Option<Box<Interval>>>,
    clean: Mutex<Option<Box<Interval>>>,
}

impl Mailbox {
    /// A mailbox with one clean interval in it; the loop has another.
    pub fn new() -> Self {
        Mailbox { full: Mutex::new(None), clean: Mutex::new(Some(Box::default())) }
    }

    /// The loop's side: hands `current` over and puts a clean one in its place. False when the reporter has not
    /// fetched the last one yet, or is at it: try again later. Never waits.
    pub fn post(&self, current: &mut Box<Interval>) -> bool {
        let (Some(mut full), Some(mut clean)) = (try_lock(&self.full), try_lock(&self.clean)) else {
            return false;
        };
        if full.is_some() {
            return false;
        }
        let Some(fresh) = clean.take() else { return false };
        *full = Some(std::mem::replace(current, fresh));
        true
    }

    /// The loop's side: [`Mailbox::post`] would succeed, unless the reporter is at it just then.
    pub fn is_free(&self) -> bool {
        let full = try_lock(&self.full).is_some_and(|full| full.is_none());
        full && try_lock(&self.clean).is_some_and(|clean| clean.is_some())
    }

    /// Something waits for the reporter.
    pub fn is_full(&self) -> bool {
        lock(&self.full).is_some()
    }

    /// The reporter's side: what was handed over. To be given back by [`Mailbox::give_back`].
    pub fn fetch(&self) -> Option<Box<Interval>> {
        lock(&self.full).take()
    }

    /// Cleans an interval and lets the loop have it again.
    pub fn give_back(&self, mut interval: Box<Interval>) {
        interval.latencies.reset();
        *lock(&self.clean) = Some(interval);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<std::sync::MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::latency::Phase;

    #[test]
    fn intervals_go_back_and_forth_and_come_back_clean() {
        let mailbox = Mailbox::new();
        let mut current: Box<Interval> = Box::default();
        current.latencies.record(Phase::Syn, 5);
        assert!(mailbox.post(&mut current));
        assert_eq!(current.latencies.of(Phase::Syn).len(), 0);
        current.to_ns = 7;
        assert!(!mailbox.post(&mut current), "the first one is still there");
        let first = mailbox.fetch().unwrap();
        assert_eq!(first.latencies.of(Phase::Syn).len(), 1);
        assert!(!mailbox.post(&mut current), "there is no clean one");
        mailbox.give_back(first);
        assert!(mailbox.post(&mut current));
        assert_eq!(mailbox.fetch().unwrap().to_ns, 7);
        assert!(mailbox.fetch().is_none());
    }

    #[test]
    fn cycles_are_added_up_and_shares_taken() {
        let one = Work { busy_cycles: 30, idle_cycles: 70, stages: [1; 7], ..Work::default() };
        let two = one.plus(&one);
        assert_eq!((two.busy_cycles, two.stages[6], two.since(&one)), (60, 2, one));
        assert!((two.busy_share() - 0.3).abs() < 1e-9 && Work::default().busy_share() == 0.0);
    }
}
