//! The reporter of a measurement: a thread of its own, off the loops' cores where the machine has others, that fetches
//! what loops hand over, shows it as it comes, and passes signals on. Loops never wait for it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals as Caught;

use super::Failure;
use super::gather::{self, Gather, Show};
use crate::measure::drive::Signals;
use crate::telemetry::collect::{CollectError, Collector, Plan};
use crate::telemetry::csv::RunId;

/// How often mailboxes and signals are looked at.
const LOOK: Duration = Duration::from_millis(2);

/// A run to be reported.
struct Assignment {
    run: RunId,
    plan: Plan,
    mailboxes: Vec<gather::Box>,
    signals: Arc<Signals>,
    /// All loops have handed over their last.
    over: Arc<AtomicBool>,
    result: Sender<Result<Collector, CollectError>>,
}

/// The reporter, as a command sees it.
pub struct Desk {
    assignments: Sender<Assignment>,
    thread: Option<JoinHandle<()>>,
    /// Signals that came in the run under way, or in the last one.
    caught: Arc<AtomicUsize>,
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
        let count = Arc::new(AtomicUsize::new(0));
        let ours = count.clone();
        let thread = thread::Builder::new().name("report".to_owned()).spawn(move || {
            if let Some(id) = cpu {
                // A machine that does not let us is no reason to stop.
                let _ = core_affinity::set_for_current(core_affinity::CoreId { id });
            }
            Reporter { caught, show, count: ours }.serve(&received);
        })?;
        Ok(Desk { assignments, thread: Some(thread), caught: count })
    }

    /// Reports a run from now on.
    pub fn report(
        &self,
        run: RunId,
        plan: Plan,
        mailboxes: Vec<gather::Box>,
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
        self.caught.load(Ordering::Acquire) > 0
    }

    /// What a second signal makes of a run that has otherwise come to its end.
    ///
    /// # Errors
    /// One came: connections were left as they were.
    pub fn finished(&self) -> Result<(), Failure> {
        match self.caught.load(Ordering::Acquire) {
            0 | 1 => Ok(()),
            _ => Err(Failure::run("a second signal came: left without waiting for open connections")),
        }
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
    /// Signals that came in a run.
    count: Arc<AtomicUsize>,
}

impl Reporter {
    fn serve(mut self, assignments: &Receiver<Assignment>) {
        let mut idle = 0;
        loop {
            match assignments.recv_timeout(LOOK) {
                Ok(assignment) => self.report(assignment),
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    // Nothing runs: the next run ends before it begins. Who asks again does not want to wait for that.
                    for signal in self.caught.pending() {
                        idle += 1;
                        self.count.fetch_max(1, Ordering::AcqRel);
                        if idle > 1 {
                            let _ = signal_hook::low_level::emulate_default_handler(signal);
                        }
                    }
                }
            }
        }
    }

    fn report(&mut self, assignment: Assignment) {
        let Assignment { run, plan, mailboxes, signals, over, result } = assignment;
        let mut gather = Gather::new(&run, plan, mailboxes, &mut *self.show);
        let mut caught = self.count.load(Ordering::Acquire);
        if caught > 0 {
            signals.stop();
        }
        loop {
            let last = over.load(Ordering::Acquire);
            gather.look(&mut *self.show);
            if last {
                break;
            }
            let before = caught;
            caught += self.caught.pending().count();
            self.count.store(caught, Ordering::Release);
            if before == 0 && caught > 0 {
                gather.stop();
                signals.stop();
            }
            if caught > 1 {
                signals.leave();
            }
            thread::sleep(LOOK);
        }
        self.show.over();
        // A command that does not wait for it wants it no more.
        let _ = result.send(gather.finish());
    }
}
