//! Fetches what the loops of a run hand over, puts it together, and shows every moment that is complete.

use std::sync::Arc;

use crate::stats::interval::Mailbox;
use crate::telemetry::collect::{CollectError, Collector, Plan, Ready, Role};
use crate::telemetry::csv::RunId;

/// Is shown every moment that all loops have reached.
pub trait Show: Send {
    /// A run begins that takes so many seconds, as far as that is known.
    fn begin(&mut self, run: &RunId, length_s: Option<f64>);

    /// One moment.
    fn moment(&mut self, ready: &Ready);

    /// A run is over, or was never begun: what stands on the screen may be wiped.
    fn over(&mut self) {}
}

/// A mailbox, and whose it is.
pub type Box = (Role, u32, Arc<Mailbox>);

/// What was gathered so far.
pub struct Gather {
    collector: Collector,
    mailboxes: Vec<Box>,
    failed: Option<CollectError>,
    latest_ns: u64,
}

impl Gather {
    /// Of a run that begins.
    pub fn new(run: &RunId, plan: Plan, mailboxes: Vec<Box>, show: &mut dyn Show) -> Gather {
        let end_ns = plan.schedule.end_ns();
        show.begin(run, (end_ns > 0).then_some(end_ns as f64 / 1e9));
        Gather { collector: Collector::new(plan), mailboxes, failed: None, latest_ns: 0 }
    }

    /// Fetches what there is. To be called often: loops do not wait.
    pub fn look(&mut self, show: &mut dyn Show) {
        for (role, number, mailbox) in &self.mailboxes {
            if let Some(interval) = mailbox.fetch() {
                self.latest_ns = interval.to_ns.max(self.latest_ns);
                match self.collector.add(*role, *number, &interval) {
                    Ok(ready) => ready.iter().for_each(|moment| show.moment(moment)),
                    Err(error) => self.failed = self.failed.take().or(Some(error)),
                }
                mailbox.give_back(interval);
            }
        }
    }

    /// The run was stopped before its time: what follows is not measured.
    pub fn stop(&mut self) {
        self.collector.stop(self.latest_ns);
    }

    /// What came out of it, when the last was fetched.
    ///
    /// # Errors
    /// The run cannot be trusted.
    pub fn finish(self) -> Result<Collector, CollectError> {
        self.failed.map_or(Ok(self.collector), Err)
    }
}
