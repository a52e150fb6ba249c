//! The reporter of a measurement: a thread of its own, off the loops' cores where the machine has others, that fetches
//! what loops hand over, shows it as it comes, and passes signals on. Loops never wait for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Caught;

use crate::measure::drive::Signals;
use crate::measure::runner::Runner;
use crate::measure::side::Side;
use crate::stats::interval::Mailbox;
use crate::telemetry::collect::{CollectError, Collector, Plan, Ready, Role};
use crate::telemetry::csv::RunId;

/// How often mailboxes and signals are looked at.
const LOOK: Duration = Duration::from_millis(2);

/// How long the last interval of a loop may wait for the reporter.
const PATIENCE: Duration = Duration::from_secs(2);

/// A loop hands over its last interval, when the reporter has fetched the one before.
pub fn hand_over<S: Side>(runner: &mut Runner<S>) {
    let started = Instant::now();
    while !runner.finish() && started.elapsed() < PATIENCE {
        thread::yield_now();
    }
}

/// Is shown every moment that all loops have reached.
pub trait Show: Send {
    /// A run begins that takes so many seconds, as far as that is known.
    fn begin(&mut self, run: &RunId, length_s: Option<f64>);

    /// One moment.
    fn moment(&mut self, ready: &Ready);

    /// A run is over, or was never begun: what stands on the screen may be wiped.
    fn over(&mut self) {}
}

/// A run to be reported.
struct Assignment {
    run: RunId,
    plan: Plan,
    mailboxes: Vec<(Role, u32, Arc<Mailbox>)>,
    signals: Arc<Signals>,
    /// All loops have handed over their last.
    over: Arc<AtomicBool>,
    result: Sender<Result<Collector, CollectError>>,
}

/// The reporter, as a command sees it.
pub struct Desk {
    assignments: Sender<Assignment>,
    thread: Option<JoinHandle<()>>,
    interrupted: Arc<AtomicBool>,
}

/// A run that is being reported.
pub struct Reporting {
    over: Arc<AtomicBool>,
    result: Receiver<Result<Collector, CollectError>>,
}

impl Reporting {
    /// All loops have handed over their last. What was gathered; `None` when the reporter is gone.
    pub fn finish(self) -> Option<Result<Collector, CollectError>> {
        self.over.store(true, Ordering::Release);
        self.result.recv().ok()
    }
}

impl Desk {
    /// Starts the reporter; to be called before EAL pins the calling thread, whose CPUs it would inherit. It keeps to
    /// `cpu` where one is given.
    ///
    /// # Errors
    /// Signals cannot be caught, or no thread can be started.
    pub fn open(cpu: Option<usize>, show: Box<dyn Show>) -> io::Result<Desk> {
        let caught = Caught::new([SIGINT, SIGTERM])?;
        let (assignments, received) = channel();
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = interrupted.clone();
        let thread = thread::Builder::new().name("report".to_owned()).spawn(move || {
            if let Some(id) = cpu {
                // A machine that does not let us is no reason to stop.
                let _ = core_affinity::set_for_current(core_affinity::CoreId { id });
            }
            Reporter { caught, show, interrupted: flag }.serve(&received);
        })?;
        Ok(Desk { assignments, thread: Some(thread), interrupted })
    }

    /// Reports a run from now on.
    pub fn report(
        &self,
        run: RunId,
        plan: Plan,
        mailboxes: Vec<(Role, u32, Arc<Mailbox>)>,
        signals: Arc<Signals>,
    ) -> Reporting {
        let (result, receiver) = channel();
        let over = Arc::new(AtomicBool::new(false));
        // The thread lives as long as the desk; should it be gone, there is no result either.
        let _ =
            self.assignments.send(Assignment { run, plan, mailboxes, signals, over: over.clone(), result });
        Reporting { over, result: receiver }
    }

    /// A signal came: what is planned beyond the run under way is left out.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let (closed, _) = channel();
        self.assignments = closed;
        if let Some(thread) = self.thread.take() {
            // It has nothing left to say.
            let _ = thread.join();
        }
    }
}

struct Reporter {
    caught: Caught,
    show: Box<dyn Show>,
    interrupted: Arc<AtomicBool>,
}

impl Reporter {
    fn serve(mut self, assignments: &Receiver<Assignment>) {
        loop {
            match assignments.recv_timeout(LOOK) {
                Ok(assignment) => self.report(assignment),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    // Nothing runs that would have to be brought to an end.
                    for signal in self.caught.pending() {
                        let _ = signal_hook::low_level::emulate_default_handler(signal);
                    }
                }
            }
        }
    }

    fn report(&mut self, assignment: Assignment) {
        let Assignment { run, plan, mailboxes, signals, over, result } = assignment;
        let end_ns = plan.schedule.end_ns();
        self.show.begin(&run, (end_ns > 0).then_some(end_ns as f64 / 1e9));
        let mut collector = Collector::new(plan);
        let mut failed = None;
        let (mut caught, mut latest_ns) = (0, 0);
        loop {
            let last = over.load(Ordering::Acquire);
            for (role, number, mailbox) in &mailboxes {
                if let Some(interval) = mailbox.fetch() {
                    latest_ns = interval.to_ns.max(latest_ns);
                    match collector.add(*role, *number, &interval) {
                        Ok(ready) => ready.iter().for_each(|moment| self.show.moment(moment)),
                        Err(error) => failed = failed.or(Some(error)),
                    }
                    mailbox.give_back(interval);
                }
            }
            if last {
                break;
            }
            let before = caught;
            caught += self.caught.pending().count();
            if before == 0 && caught > 0 {
                self.interrupted.store(true, Ordering::Release);
                collector.stop(latest_ns);
                signals.stop();
            }
            if caught > 1 {
                signals.leave();
            }
            thread::sleep(LOOK);
        }
        self.show.over();
        // A command that does not wait for it wants it no more.
        let _ = result.send(failed.map_or(Ok(collector), Err));
    }
}
