//! Where both sides of a bench meet: a link with two ends, counters for each, and cores to run jobs on.

use std::sync::{Arc, Mutex, PoisonError};

use crate::cli::{Failure, threads};
use crate::link::QueuePair;
use crate::stats::counters::Counters;
use crate::stats::losses::Losses;
use crate::telemetry::run::Device;

/// What one core runs.
pub(super) type Job = threads::Job<'static>;

/// What a job leaves behind.
pub(super) type Left<T> = Arc<Mutex<Option<T>>>;

/// Leaves it.
pub(super) fn put<T>(place: &Left<T>, what: T) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
}

/// Takes it, when the job is over.
pub(super) fn take<T>(place: &Left<T>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// A link and its cores.
pub(super) trait Arena {
    /// Its queue pairs.
    type Queue: QueuePair<Frame: Send> + Send + 'static;

    /// Both ends, the client's first.
    ///
    /// # Errors
    /// They were taken out and not given back.
    fn queues(&mut self) -> Result<[Self::Queue; 2], Failure>;

    /// Puts them back for the next run.
    fn give_back(&mut self, queues: [Self::Queue; 2]);

    /// The counters of both ends, which begin at zero for each run.
    fn counters(&self) -> [Arc<Counters>; 2];

    /// Runs the jobs, each on a core of its own, to their end.
    ///
    /// # Errors
    /// One panicked, or could not be started.
    fn run(&self, jobs: Vec<Job>) -> Result<(), Failure>;

    /// What the device lost at both ends so far.
    fn losses(&self) -> [Losses; 2];

    /// What the report says of it.
    fn device(&self) -> Device;

    /// The pages under its frames.
    fn pages(&self) -> String;

    /// Those are pages of hugetlb, so that tables may lie on some too.
    fn has_hugepages(&self) -> bool {
        false
    }

    /// Ends it, and sees that every frame has come back.
    ///
    /// # Errors
    /// Some are missing.
    fn close(self) -> Result<String, Failure>;
}
