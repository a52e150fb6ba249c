//! The control thread: signals, reports, the run's end. It never touches a connection; it reads counters and
//! gauges and gives orders.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::gather::Gather;
use super::say;
use super::sink::Sink;
use crate::dpdk::port::{Link, Watch};
use crate::engine::control::Control;
use crate::stats::counters::Counters;
use crate::stats::losses::Losses;
use crate::stats::snapshot::Snapshot;
use crate::telemetry::text::{self, Levels};

/// How often signals and gauges are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How often links are looked at: a card's answer is in its memory, a tap's is a call of the kernel.
const LOOK_AT_LINKS: Duration = Duration::from_millis(100);
/// How long loops may take to leave after a second signal.
const LEAVE: Duration = Duration::from_secs(1);

/// Exit status after a second signal, or a failure while running.
const FAILED: u8 = 1;

/// One loop, as seen from outside.
#[derive(Clone)]
pub struct Watched {
    /// Orders and gauges.
    pub control: Arc<Control>,
    /// Its counters.
    pub counters: Arc<Counters>,
    /// What to print when it serves: a line for each port.
    pub ready: Vec<String>,
}

/// One port, as seen from outside.
pub struct WatchedPort {
    /// The device's name.
    pub name: String,
    /// Its link and its own counts.
    pub watch: Watch,
}

impl WatchedPort {
    /// What it lost so far.
    pub fn losses(&self) -> Losses {
        self.watch.look().map(|(_, stats)| stats.losses).unwrap_or_default()
    }
}

/// What is watched, and for how long.
pub struct Run {
    /// The loops.
    pub loops: Vec<Watched>,
    /// The ports.
    pub ports: Vec<WatchedPort>,
    /// Serve for so long.
    pub duration: Option<Duration>,
    /// Report so often.
    pub stats_interval: Option<Duration>,
    /// What open connections have at the end.
    pub drain: Duration,
    /// All loops leave at once when it is set.
    pub leave: Arc<AtomicBool>,
    /// The exit status so far.
    pub status: Arc<AtomicU8>,
    /// Figures for files, where they are wanted.
    pub figures: Option<Figures>,
}

/// What is gathered for files.
pub struct Figures {
    /// Of all loops.
    pub gather: Gather,
    /// The files that are written second by second.
    pub sink: Sink,
}

/// Fill levels of all loops.
pub fn levels(loops: &[Watched]) -> Levels {
    let mut levels = Levels::default();
    for one in loops {
        let gauges = one.control.gauges();
        levels.open += u64::from(gauges.connections.saturating_sub(gauges.half_open));
        levels.half_open += u64::from(gauges.half_open);
        levels.time_wait += u64::from(gauges.time_wait);
        let both = [levels.time_wait_shortened_ms, gauges.time_wait_shortened_ms];
        levels.time_wait_shortened_ms = both.into_iter().flatten().min();
    }
    levels
}

/// The counters of all loops.
pub fn snapshot(loops: &[Watched]) -> Snapshot {
    Snapshot::of(loops.iter().map(|one| &*one.counters))
}

/// Starts the control thread. To be called before EAL pins the calling thread, whose CPUs it would inherit. It
/// keeps to `cpu` where one is given, and begins when it gets a [`Run`]. What it gathered comes out at its end.
///
/// # Errors
/// Signals cannot be caught, or no thread can be started.
pub fn start(cpu: Option<usize>, runs: Receiver<Run>) -> io::Result<thread::JoinHandle<Option<Gather>>> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("control".to_owned()).spawn(move || {
        if let Some(id) = cpu {
            // A machine that does not let us is no reason to stop.
            let _ = core_affinity::set_for_current(core_affinity::CoreId { id });
        }
        let mut run = wait(&runs, &mut signals)?;
        watch(&mut run, &mut signals);
        let mut figures = run.figures?;
        figures.gather.look(&mut figures.sink);
        Some(figures.gather)
    })
}

/// Waits for the run. Until then nothing is served that would have to be ended, and signals do what they do to any
/// program: EAL may take long to start, or for ever.
fn wait(runs: &Receiver<Run>, signals: &mut Signals) -> Option<Run> {
    loop {
        match runs.recv_timeout(LOOK) {
            Ok(run) => return Some(run),
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => {}
        }
        for signal in signals.pending() {
            // Where it cannot be done nothing is lost but the signal.
            let _ = signal_hook::low_level::emulate_default_handler(signal);
        }
    }
}

fn watch(run: &mut Run, signals: &mut Signals) {
    let started = Instant::now();
    let mut announced = vec![false; run.loops.len()];
    let mut reported = Reported::now(run);
    let mut links = Links::now(run);
    let mut draining = false;
    while !run.loops.iter().all(|one| one.control.has_ended()) {
        thread::sleep(LOOK);
        if let Some(figures) = &mut run.figures {
            figures.gather.look(&mut figures.sink);
        }
        announce(run, &mut announced);
        links.tell_changes(run);
        let signalled = signals.pending().count();
        let over = run.duration.is_some_and(|duration| started.elapsed() >= duration);
        if draining && signalled > 0 || signalled > 1 {
            return leave_at_once(run);
        }
        if !draining && (signalled > 0 || over) {
            draining = true;
            let patience_us = u64::try_from(run.drain.as_micros()).unwrap_or(u64::MAX);
            run.loops.iter().for_each(|one| one.control.drain(patience_us));
        }
        if run.stats_interval.is_some_and(|interval| reported.at.elapsed() >= interval) {
            reported = report(run, started, &reported);
        }
    }
}

/// `ready PORT ADDR`, a line a port, as soon as its frames are served.
fn announce(run: &Run, announced: &mut [bool]) {
    for (one, done) in run.loops.iter().zip(announced) {
        if !*done && one.control.is_ready() {
            *done = true;
            say(&one.ready.concat());
        }
    }
}

/// The links as they were last told.
struct Links {
    looked: Instant,
    states: Vec<Option<Link>>,
}

impl Links {
    fn now(run: &Run) -> Links {
        let states = run.ports.iter().map(|port| port.watch.look().map(|(link, _)| link));
        Links { looked: Instant::now(), states: states.collect() }
    }

    /// `link PORT down` or `link PORT up SPEED`, when it changed.
    fn tell_changes(&mut self, run: &Run) {
        if self.looked.elapsed() < LOOK_AT_LINKS {
            return;
        }
        let now = Links::now(run);
        for (port, (before, now)) in run.ports.iter().zip(self.states.iter().zip(&now.states)) {
            if let Some(link) = now.filter(|link| before.is_none_or(|before| before.up != link.up)) {
                say(&format!("link {} {link}\n", port.name));
            }
        }
        *self = now;
    }
}

/// What the last block was about.
struct Reported {
    at: Instant,
    counts: Snapshot,
    losses: Vec<Losses>,
}

impl Reported {
    fn now(run: &Run) -> Reported {
        let losses = run.ports.iter().map(WatchedPort::losses);
        Reported { at: Instant::now(), counts: snapshot(&run.loops), losses: losses.collect() }
    }
}

fn report(run: &Run, started: Instant, before: &Reported) -> Reported {
    let now = Reported::now(run);
    let change = now.counts.since(&before.counts);
    let mut block = text::interval(now.at - started, now.at - before.at, &change, levels(&run.loops));
    for (port, (now, before)) in run.ports.iter().zip(now.losses.iter().zip(&before.losses)) {
        block += &text::port_lost(&port.name, &now.since(before));
    }
    say(&block);
    now
}

/// A second signal: no drain, no account, status 1.
fn leave_at_once(run: &Run) {
    run.status.store(FAILED, Ordering::SeqCst);
    run.leave.store(true, Ordering::SeqCst);
    let deadline = Instant::now() + LEAVE;
    while !run.loops.iter().all(|one| one.control.has_ended()) {
        if Instant::now() > deadline {
            std::process::exit(i32::from(FAILED));
        }
        thread::sleep(LOOK);
    }
}
