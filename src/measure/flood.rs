//! A flood of SYNs as a side of a measurement: it opens what shall stand beside it, sends what its schedule says is due,
//! or what the link takes, and waits at the end for the answers that are still on their way.

use std::sync::Arc;
use std::time::Duration;

use super::runner::Laps;
use super::side::{Now, Readiness, Side};
use crate::base::drop_reason::DropReason;
use crate::base::time::Instant;
use crate::link::QueuePair;
use crate::load::flood::{Beside, Flood, Plan, PlanError, Sources, Tally, Target};
use crate::load::schedule::{Dues, Schedule};
use crate::stats::counters::{Counter, Counters};
use crate::stats::interval::Interval;

/// How long the server may count no further connection while those beside the flood are opened.
const STANDSTILL: Duration = Duration::from_secs(5);

/// What a flood is to be.
#[derive(Clone, Debug)]
pub struct FloodPlan {
    /// Who is flooded.
    pub target: Target,
    /// Whom the SYNs claim to come from.
    pub sources: Sources,
    /// What is opened before, if anything, and stays.
    pub beside: Option<Beside>,
    /// When they are sent; as fast as the link takes them where a stage has no rate.
    pub schedule: Schedule,
    /// How long answers are waited for at the end, in nanoseconds.
    pub drain_ns: u64,
    /// Frames that one call sends or receives at most.
    pub burst: usize,
    /// What the sequence numbers and the order follow from.
    pub seed: u64,
}

/// The flooding side.
pub struct Flooder<Q: QueuePair> {
    flood: Flood<Q>,
    dues: Dues,
    due: u64,
    /// It is over at the end of its schedule, or when it was stopped.
    over_at_ns: Option<u64>,
    stopped: bool,
    drain_ns: u64,
    now_ns: u64,
    beside: Growth,
    counters: Arc<Counters>,
    server: Arc<Counters>,
}

/// How the connections that are to stand beside a flood become more.
#[derive(Clone, Copy, Debug)]
struct Growth {
    wanted: u64,
    open: u64,
    /// Since when there are so many.
    since: Option<Instant>,
}

impl Growth {
    /// So many are open at this time.
    fn is(&mut self, open: u64, now: Instant) -> Readiness {
        if open >= self.wanted {
            return Readiness::Ready;
        }
        let since = match self.since {
            Some(since) if open <= self.open => since,
            _ => *self.since.insert(now),
        };
        self.open = open;
        if now < since + STANDSTILL {
            return Readiness::Waiting;
        }
        Readiness::Unopened { open, wanted: self.wanted }
    }
}

impl<Q: QueuePair> Flooder<Q> {
    /// A flood over a link, which counts frames in the first `counters`; the second are the server's.
    ///
    /// # Errors
    /// The plan cannot be carried out over this link.
    pub fn new(
        queue: Q,
        plan: &FloodPlan,
        [counters, server]: [Arc<Counters>; 2],
    ) -> Result<Self, PlanError> {
        let of = Plan {
            target: plan.target,
            sources: plan.sources.clone(),
            beside: plan.beside.clone(),
            gateway: None,
            count: u64::MAX,
            rate: None,
            burst: plan.burst,
            seed: plan.seed,
        };
        Ok(Flooder {
            flood: Flood::new(queue, of)?,
            dues: Dues::new(&plan.schedule),
            due: 0,
            over_at_ns: None,
            stopped: false,
            drain_ns: plan.drain_ns,
            now_ns: 0,
            beside: Growth {
                wanted: plan.beside.as_ref().map_or(0, |beside| beside.count),
                open: 0,
                since: None,
            },
            counters,
            server,
        })
    }

    /// Ends it.
    pub fn into_queue(self) -> Q {
        self.flood.into_queue()
    }

    /// How many SYNs are due in all. What became due before the end still goes after it; what the link alone would
    /// pace does not.
    fn due(&mut self, now_ns: u64) -> u64 {
        if self.over_at_ns.is_none() {
            let ended = self.dues.is_over(now_ns);
            self.due = if self.stopped || ended && !self.dues.is_open() { 0 } else { self.dues.by(now_ns) };
            if ended || self.stopped || self.flood.tally().syns >= self.dues.in_all() {
                self.over_at_ns = Some(now_ns);
            }
        }
        self.due
    }

    /// A pass at this time of the run, if it has begun. True when it sent or received anything.
    fn pass_at(&mut self, run_ns: Option<u64>) -> bool {
        let (before, calls) = (self.flood.tally(), self.flood.tx_calls());
        let moved = match run_ns {
            // What stands beside the flood comes before the run, and who asks for an address is answered.
            None => self.flood.open(0),
            Some(now_ns) => {
                let due = self.due(now_ns);
                self.now_ns = now_ns;
                self.flood.pass_up_to(now_ns, due)
            }
        };
        self.count(&before, calls, moved);
        moved > 0
    }

    fn count(&self, before: &Tally, calls: u64, moved: usize) {
        let received = self.flood.tally().received() - before.received();
        let sent = (moved as u64).saturating_sub(received);
        self.counters.add(Counter::RxFrames, received);
        self.counters.add(Counter::RxBursts, u64::from(received > 0));
        self.counters.add(Counter::TxFrames, sent);
        self.counters.add(Counter::TxBursts, self.flood.tx_calls() - calls);
    }
}

impl<Q: QueuePair> Side for Flooder<Q> {
    fn pass(&mut self, now: Now, _laps: &mut Laps) -> bool {
        self.pass_at(now.run_ns)
    }

    fn fill(&mut self, interval: &mut Interval) {
        interval.syns = self.flood.tally().of_syns();
        interval.counters.read(&self.counters);
    }

    fn readiness(&mut self, now: Instant) -> Readiness {
        self.beside.is(self.server.get(Counter::Established), now)
    }

    fn is_done(&self) -> bool {
        let Some(over_at_ns) = self.over_at_ns else { return false };
        let syns = self.flood.tally().of_syns();
        // A port that nobody listens on leaves the most without an answer.
        let in_silence = self.server.dropped(DropReason::RstRateLimited);
        let all_are_back =
            self.flood.waiting() == 0 && syns.sent >= self.due && syns.unanswered() <= in_silence;
        all_are_back || self.now_ns.saturating_sub(over_at_ns) >= self.drain_ns
    }

    fn stop(&mut self) {
        self.stopped = true;
    }
}

#[cfg(test)]
mod tests;
