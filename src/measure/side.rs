//! What can be driven and measured: an engine with its application, or whatever else opens or accepts connections.

use std::net::IpAddr;
use std::sync::Arc;

use super::runner::Laps;
use crate::app::Services;
use crate::app::client::Client;
use crate::app::timed::Timed;
use crate::base::time::Instant;
use crate::engine::api::App;
use crate::engine::worker::{Pass, Worker};
use crate::inet::neighbour::Resolution;
use crate::link::QueuePair;
use crate::stats::account::Tally;
use crate::stats::counters::Counters;
use crate::stats::interval::Interval;
use crate::stats::latency::Latencies;

/// The moment of a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Now {
    /// On the loop's monotonic clock.
    pub instant: Instant,
    /// On the run's clock, in nanoseconds; `None` until the run has begun.
    pub run_ns: Option<u64>,
}

/// Whether a side could begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// It could.
    Ready,
    /// Something is still being asked for.
    Waiting,
    /// Another host has one of its addresses.
    Lost,
    /// Nobody says that this address, or the router on the way to it, is his.
    Unresolved(IpAddr),
    /// No way leads there.
    NoRoute(IpAddr),
    /// Connections that had to be there before it begins did not come.
    Unopened {
        /// Those that did.
        open: u64,
        /// Those that had to.
        wanted: u64,
    },
}

/// One side of a measurement.
pub trait Side {
    /// One turn of its loop. True when it received, sent, opened, closed or expired anything.
    fn pass(&mut self, now: Now, laps: &mut Laps) -> bool;

    /// Writes its counts so far into an interval, and exchanges the interval's empty latencies for its own.
    fn fill(&mut self, interval: &mut Interval);

    /// Whether it could begin. Asked between turns, until it can.
    fn readiness(&mut self, _now: Instant) -> Readiness {
        Readiness::Ready
    }

    /// It has done what it had to do, and nothing of it is open any more.
    fn is_done(&self) -> bool;

    /// Begins nothing more, and brings what is open to an end.
    fn stop(&mut self);
}

/// An application with an account.
pub trait Measured: App {
    /// Tells the time of the pass that follows.
    fn at(&mut self, _run_ns: u64) {}

    /// The account so far.
    fn tally(&self) -> Tally {
        Tally::default()
    }

    /// Exchanges latencies.
    fn exchange(&mut self, _latencies: &mut Latencies) {}

    /// Everything that was planned is done.
    fn is_done(&self) -> bool {
        true
    }

    /// Begins nothing more.
    fn stop(&mut self) {}
}

impl Measured for Client {
    fn at(&mut self, run_ns: u64) {
        Client::at(self, run_ns);
    }

    fn tally(&self) -> Tally {
        *Client::tally(self)
    }

    fn exchange(&mut self, latencies: &mut Latencies) {
        std::mem::swap(self.latencies(), latencies);
    }

    fn is_done(&self) -> bool {
        Client::is_done(self)
    }

    fn stop(&mut self) {
        Client::stop(self);
    }
}

impl Measured for Services {}

impl Measured for Timed<Services> {
    fn exchange(&mut self, latencies: &mut Latencies) {
        std::mem::swap(self.latencies(), latencies);
    }
}

/// The engine, with its application.
pub struct Engine<Q: QueuePair, A: Measured> {
    worker: Worker<Q, A>,
    counters: Arc<Counters>,
    /// Whose next hops must be known before it begins.
    targets: Vec<IpAddr>,
    /// Connections that stay until its end.
    kept: u32,
}

impl<Q: QueuePair, A: Measured> Engine<Q, A> {
    /// Around a loop that counts in `counters`.
    pub fn new(worker: Worker<Q, A>, counters: Arc<Counters>) -> Self {
        Engine { worker, counters, targets: Vec::new(), kept: 0 }
    }

    /// So many connections are left as they are: it is done with them open, and they end with its tables.
    #[must_use]
    pub fn keeping(mut self, kept: u32) -> Self {
        self.kept = kept;
        self
    }

    /// It begins when the ways to all these are known.
    #[must_use]
    pub fn towards(mut self, targets: Vec<IpAddr>) -> Self {
        self.targets = targets;
        self
    }

    /// The loop.
    pub fn worker(&mut self) -> &mut Worker<Q, A> {
        &mut self.worker
    }

    /// Ends it.
    pub fn into_queues(self) -> Vec<Q> {
        self.worker.into_queues()
    }
}

impl<Q: QueuePair, A: Measured> Side for Engine<Q, A> {
    fn pass(&mut self, now: Now, laps: &mut Laps) -> bool {
        if let Some(run_ns) = now.run_ns {
            self.worker.app_mut().at(run_ns);
        }
        self.worker.pass_with(now.instant, laps) == Pass::Busy
    }

    fn fill(&mut self, interval: &mut Interval) {
        interval.account = self.worker.app().tally();
        interval.counters.read(&self.counters);
        interval.connections = self.worker.shard().connections();
        interval.time_wait = self.worker.shard().in_time_wait();
        self.worker.app_mut().exchange(&mut interval.latencies);
    }

    fn readiness(&mut self, now: Instant) -> Readiness {
        if !self.worker.is_ready() {
            return Readiness::Waiting;
        }
        if !self.worker.lost_addresses().is_empty() {
            return Readiness::Lost;
        }
        while let Some(target) = self.targets.last().copied() {
            match self.worker.resolve(target, now) {
                Resolution::Resolved => self.targets.pop(),
                Resolution::Asking => return Readiness::Waiting,
                Resolution::NoRoute => return Readiness::NoRoute(target),
                Resolution::Failed => return Readiness::Unresolved(target),
            };
        }
        Readiness::Ready
    }

    fn is_done(&self) -> bool {
        self.worker.app().is_done() && self.worker.shard().connections() <= self.kept
    }

    fn stop(&mut self) {
        self.worker.app_mut().stop();
    }
}
