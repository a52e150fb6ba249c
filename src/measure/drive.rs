//! Sides that run until they are done: one alone, or a client and its server, in turn on one core or each on its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::runner::Runner;
use super::side::{Readiness, Side};
use crate::base::cycles::Cycles;

/// Turns that a server runs on after its last connection has ended, so that its last frames leave.
const LAST_TURNS: u32 = 64;

/// What the loops of a run tell each other, and what they are told.
#[derive(Debug, Default)]
pub struct Signals {
    /// Begin nothing more, and bring what is open to an end.
    stop: AtomicBool,
    /// Leave at once.
    leave: AtomicBool,
    /// The counter when the run began; 0 before.
    origin: AtomicU64,
    /// Clients that are done.
    done: AtomicU64,
}

impl Signals {
    /// Brings the run to an end: nothing more is begun.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Ends all loops at once.
    pub fn leave(&self) {
        self.leave.store(true, Ordering::Release);
    }

    /// The run has begun.
    pub fn has_begun(&self) -> bool {
        self.origin.load(Ordering::Acquire) != 0
    }

    /// So many clients are done.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// All loops end at once.
    pub fn must_leave(&self) -> bool {
        self.leave.load(Ordering::Relaxed)
    }
}

/// Turns until a side can begin. The last answer: [`Readiness::Waiting`] where it had to leave before.
fn prepare<S: Side>(
    runner: &mut Runner<S>,
    clock: &Cycles,
    signals: &Signals,
    mut also: impl FnMut(u64) -> u64,
) -> Readiness {
    let mut at = clock.now();
    loop {
        at = also(runner.turn(at));
        let readiness = runner.side().readiness(clock.scale().at(at));
        if readiness != Readiness::Waiting || signals.must_leave() || signals.stop.load(Ordering::Relaxed) {
            return readiness;
        }
    }
}

/// Runs a client to its end. `clients` begin together: the first that is ready waits for the others.
pub fn client<S: Side>(runner: &mut Runner<S>, clock: &Cycles, signals: &Signals) -> Readiness {
    let readiness = prepare(runner, clock, signals, |at| at);
    if readiness == Readiness::Ready {
        let origin = begin(clock, signals);
        runner.begin(origin);
        let mut at = clock.now();
        let mut stopped = false;
        while !runner.side().is_done() && !signals.must_leave() {
            at = runner.turn(at);
            stopped = stopped || stop(runner, signals);
        }
        linger(runner, at, |at| at);
    } else {
        signals.leave();
    }
    signals.done.fetch_add(1, Ordering::Release);
    readiness
}

/// Runs a server until `clients` are done and nothing of it is open any more.
pub fn server<S: Side>(runner: &mut Runner<S>, clock: &Cycles, signals: &Signals, clients: u64) {
    let mut at = clock.now();
    while !signals.must_leave() {
        if signals.done() >= clients && runner.side().is_done() {
            break;
        }
        at = runner.turn(at);
        if !runner.has_begun() {
            let origin = signals.origin.load(Ordering::Acquire);
            if origin != 0 {
                runner.begin(origin);
            }
        }
    }
    linger(runner, at, |at| at);
}

/// Runs both in turn on this core until the client is done.
pub fn in_turn<C: Side, S: Side>(
    client: &mut Runner<C>,
    server: &mut Runner<S>,
    clock: &Cycles,
    signals: &Signals,
) -> Readiness {
    let readiness = prepare(client, clock, signals, |at| server.turn(at));
    if readiness == Readiness::Ready {
        let origin = begin(clock, signals);
        client.begin(origin);
        server.begin(origin);
        let mut at = clock.now();
        let mut stopped = false;
        while !signals.must_leave() {
            if client.side().is_done() && server.side().is_done() {
                break;
            }
            at = server.turn(at);
            at = client.turn(at);
            stopped = stopped || stop(client, signals);
        }
        linger(client, at, |at| server.turn(at));
    }
    signals.done.fetch_add(1, Ordering::Release);
    readiness
}

/// The run begins now, or has begun.
fn begin(clock: &Cycles, signals: &Signals) -> u64 {
    let now = clock.now().max(1);
    match signals.origin.compare_exchange(0, now, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => now,
        Err(before) => before,
    }
}

/// Passes the order to stop on; true when that is done.
fn stop<S: Side>(runner: &mut Runner<S>, signals: &Signals) -> bool {
    let stop = signals.stop.load(Ordering::Relaxed);
    if stop {
        runner.side().stop();
    }
    stop
}

/// The last frames leave.
fn linger<S: Side>(runner: &mut Runner<S>, mut at: u64, mut also: impl FnMut(u64) -> u64) {
    for _ in 0..LAST_TURNS {
        at = also(runner.turn(at));
    }
}
