//! Counters of several workers added up at one moment, and what changed between two moments.

use super::counters::{Counter, Counters};
use crate::base::drop_reason::DropReason;

/// The sums.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    events: Vec<u64>,
    drops: Vec<u64>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Snapshot { events: vec![0; Counter::ALL.len()], drops: vec![0; DropReason::ALL.len()] }
    }
}

impl Snapshot {
    /// The counters of all workers now.
    pub fn of<'a>(workers: impl Iterator<Item = &'a Counters> + Clone) -> Self {
        let sum = |of: &dyn Fn(&Counters) -> u64| workers.clone().map(of).sum();
        Snapshot {
            events: Counter::ALL.iter().map(|counter| sum(&|c| c.get(*counter))).collect(),
            drops: DropReason::ALL.iter().map(|reason| sum(&|c| c.dropped(*reason))).collect(),
        }
    }

    /// Takes over one worker's counters now, without allocating.
    pub fn read(&mut self, worker: &Counters) {
        for (place, counter) in self.events.iter_mut().zip(Counter::ALL) {
            *place = worker.get(*counter);
        }
        for (place, reason) in self.drops.iter_mut().zip(DropReason::ALL) {
            *place = worker.dropped(*reason);
        }
    }

    /// Adds what another one holds.
    pub fn add(&mut self, other: &Snapshot) {
        let pairs = self.events.iter_mut().zip(&other.events);
        pairs.chain(self.drops.iter_mut().zip(&other.drops)).for_each(|(into, from)| *into += from);
    }

    /// A counter's sum.
    pub fn get(&self, counter: Counter) -> u64 {
        self.events.get(counter as usize).copied().unwrap_or(0)
    }

    /// How often this reason was counted.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason as usize).copied().unwrap_or(0)
    }

    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Snapshot) -> Snapshot {
        let difference = |now: &[u64], then: &[u64]| {
            now.iter().zip(then).map(|(now, then)| now.saturating_sub(*then)).collect()
        };
        Snapshot {
            events: difference(&self.events, &earlier.events),
            drops: difference(&self.drops, &earlier.drops),
        }
    }

    /// Reasons that were counted at all, in their order.
    pub fn drops(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL.iter().copied().map(|reason| (reason, self.dropped(reason))).filter(|(_, n)| *n > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_added_up_and_differences_taken() {
        let workers = [Counters::default(), Counters::default()];
        workers[0].add(Counter::Syn, 3);
        workers[1].add(Counter::Syn, 4);
        workers[1].drop_one(DropReason::Paws);
        let before = Snapshot::of(workers.iter());
        assert_eq!((before.get(Counter::Syn), before.dropped(DropReason::Paws)), (7, 1));
        workers[0].add(Counter::Syn, 1);
        let change = Snapshot::of(workers.iter()).since(&before);
        assert_eq!((change.get(Counter::Syn), change.drops().count()), (1, 0));
    }
}
