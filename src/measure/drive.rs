//! Sides that run until they are done: one alone, or a client and its server, in turn on one core or each on its own.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::runner::Runner;
use super::side::{Readiness, Side};
use crate::base::cycles::Cycles;

/// How long a server may have connections when all clients are done, in microseconds: of those that were left without a
/// word, or whose last reset was lost, it hears nothing any more.
const PATIENCE_US: u64 = 3_000_000;
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
    /// Clients that could begin.
    ready: AtomicU64,
    /// Servers that have seen the run begin, and how many there are.
    begun: AtomicU64,
    servers: u64,
    /// Clients that are done.
    done: AtomicU64,
}

impl Signals {
    /// Of a run with so many servers, each driven by [`server`]. Clients wait for them, so that servers count what
    /// clients send from the first frame on.
    pub fn with_servers(servers: u64) -> Self {
        Signals { servers, ..Signals::default() }
    }

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

    /// Waits until all servers have seen the run begin.
    fn await_servers(&self) {
        while self.begun.load(Ordering::Acquire) < self.servers && !self.must_leave() {
            thread::yield_now();
        }
    }

    /// All loops end at once.
    pub fn must_leave(&self) -> bool {
        self.leave.load(Ordering::Relaxed)
    }
}

/// Turns until a side and all `clients` can begin. The last answer: [`Readiness::Waiting`] where it had to leave before.
fn prepare<S: Side>(
    runner: &mut Runner<S>,
    clock: &Cycles,
    signals: &Signals,
    clients: u64,
    mut also: impl FnMut(u64) -> u64,
) -> Readiness {
    let mut at = clock.now();
    let mut ready = false;
    loop {
        at = also(runner.turn(at));
        if signals.must_leave() || signals.stop.load(Ordering::Relaxed) {
            return Readiness::Waiting;
        }
        if !ready {
            match runner.side().readiness(clock.scale().at(at)) {
                Readiness::Waiting => {}
                Readiness::Ready => {
                    ready = true;
                    signals.ready.fetch_add(1, Ordering::AcqRel);
                }
                never => return never,
            }
        }
        if ready && signals.ready.load(Ordering::Acquire) >= clients {
            return Readiness::Ready;
        }
    }
}

/// Runs a client to its end. All `clients` begin together: those that are ready wait for the others, and when one
/// cannot begin none does.
pub fn client<S: Side>(runner: &mut Runner<S>, clock: &Cycles, signals: &Signals, clients: u64) -> Readiness {
    let readiness = prepare(runner, clock, signals, clients, |at| at);
    if readiness == Readiness::Ready {
        let origin = begin(clock, signals);
        runner.begin(origin);
        signals.await_servers();
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
    let mut patience = Patience::default();
    while !signals.must_leave() {
        if signals.done() >= clients && (runner.side().is_done() || patience.is_over(at, clock)) {
            break;
        }
        at = runner.turn(at);
        if !runner.has_begun() {
            let origin = signals.origin.load(Ordering::Acquire);
            if origin != 0 {
                runner.begin(origin);
                signals.begun.fetch_add(1, Ordering::Release);
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
    let readiness = prepare(client, clock, signals, 1, |at| server.turn(at));
    if readiness == Readiness::Ready {
        let origin = begin(clock, signals);
        client.begin(origin);
        server.begin(origin);
        let mut at = clock.now();
        let mut stopped = false;
        let mut patience = Patience::default();
        while !signals.must_leave() {
            if client.side().is_done() && (server.side().is_done() || patience.is_over(at, clock)) {
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

/// Begins to run when it is asked for the first time.
#[derive(Default)]
struct Patience {
    since: Option<u64>,
}

impl Patience {
    fn is_over(&mut self, at: u64, clock: &Cycles) -> bool {
        let since = *self.since.get_or_insert(at);
        clock.scale().to_us(at.saturating_sub(since)) > PATIENCE_US
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::runner::Laps;
    use super::super::side::Now;
    use super::*;
    use crate::stats::interval::{Interval, Mailbox};

    /// Sends one thing in each pass of the run, of a hundred; or counts what the other one has sent.
    struct Wire {
        sent: Arc<AtomicU64>,
        sends: bool,
    }

    impl Side for Wire {
        fn pass(&mut self, now: Now, _laps: &mut Laps) -> bool {
            if self.sends && now.run_ns.is_some() {
                self.sent.fetch_add(1, Ordering::SeqCst);
            }
            true
        }

        fn fill(&mut self, interval: &mut Interval) {
            interval.syns.sent = self.sent.load(Ordering::SeqCst);
        }

        fn is_done(&self) -> bool {
            self.sent.load(Ordering::SeqCst) >= 100
        }

        fn stop(&mut self) {}
    }

    #[test]
    fn a_server_s_run_begins_before_anything_is_sent_to_it() {
        for _ in 0..200 {
            let (clock, sent) = (Cycles::start(), Arc::new(AtomicU64::new(0)));
            let signals = Signals::with_servers(1);
            let mailbox = Arc::new(Mailbox::new());
            let side = |sends| Wire { sent: sent.clone(), sends };
            let mut near = Runner::new(side(true), clock.clone(), &[], Arc::default());
            let mut far = Runner::new(side(false), clock.clone(), &[], mailbox.clone());
            thread::scope(|scope| {
                scope.spawn(|| server(&mut far, &clock, &signals, 1));
                assert_eq!(client(&mut near, &clock, &signals, 1), Readiness::Ready);
            });
            let base = mailbox.fetch().unwrap();
            assert_eq!((base.mark_ns, base.syns.sent), (0, 0));
        }
    }
}
