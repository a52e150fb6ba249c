//! A client of ours alone at one end of a wire, in virtual time; what is at the other end is the test's. After each
//! pass its account balances, agrees with its shard, and nothing was allocated.

use dpdk_tcp::app::client::{Client, Plan};
use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::engine::worker::Pass;
use dpdk_tcp::link::{Frame, QueuePair};
use dpdk_tcp::load::tuples::{Addresses, Ports, Target, Tuples};
use dpdk_tcp::stats::account::{Broken, Failed, Tally, Way};
use dpdk_tcp::stats::latency::Latencies;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use crate::expect::{Out, Sent, read};
use crate::no_alloc::counted;
use crate::reach::{OURS, PEERS, PORT, Seg, Setup, Stack, seg};

/// Time between two passes of which the first did something.
pub const STEP_US: u64 = 10;
/// The longest time between two passes: a tick of the client's timers.
const IDLE_US: u64 = 1_000;
/// The first number of a peer's stream.
pub const ISS: Seq = Seq(0xffff_ff00);

/// Where in the account a connection may end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    Failed(Failed),
    Closed(Way),
    Broken(Broken),
}

impl Place {
    /// How many connections ended there.
    pub fn of(self, tally: &Tally) -> u64 {
        match self {
            Place::Failed(why) => tally.failed[why as usize],
            Place::Closed(way) => tally.closed[way as usize],
            Place::Broken(why) => tally.broken[why as usize],
        }
    }
}

/// Whoever is at the other end.
pub trait Peer {
    /// Does what can be done now; says when the next thing is due.
    fn turn(&mut self, lab: &mut Stack<Client>) -> Option<Instant>;
}

/// Up to a burst of frames that have arrived at the other end.
pub fn received(stack: &mut Stack<Client>) -> Vec<Vec<u8>> {
    let mut frames = Burst::new();
    stack.peer.rx_burst(&mut frames, 32);
    frames.iter().map(|frame| frame.bytes().to_vec()).collect()
}

/// Sends a frame from the other end.
pub fn send(stack: &mut Stack<Client>, frame: &[u8]) {
    let mut out = Burst::new();
    out.extend(stack.pool.frame(frame));
    stack.peer.tx_burst(&mut out);
}

/// A peer that is a function: it is told of each segment, and says what to send after how many microseconds.
pub struct Scripted<F> {
    hear: F,
    later: Vec<(Instant, Vec<u8>)>,
}

impl<F: FnMut(&Sent, &mut Vec<(u64, Vec<u8>)>)> Scripted<F> {
    pub fn new(hear: F) -> Self {
        Scripted { hear, later: Vec::new() }
    }
}

impl<F: FnMut(&Sent, &mut Vec<(u64, Vec<u8>)>)> Peer for Scripted<F> {
    fn turn(&mut self, stack: &mut Stack<Client>) -> Option<Instant> {
        let now = stack.clock.now();
        let mut answers = Vec::new();
        for frame in received(stack) {
            if let Out::Tcp(sent) = read(&frame) {
                (self.hear)(&sent, &mut answers);
            }
        }
        self.later.extend(answers.into_iter().map(|(after, frame)| (Instant(now.0 + after), frame)));
        // Stable: what is due at the same time leaves in order.
        self.later.sort_by_key(|(due, _)| *due);
        let due = self.later.partition_point(|(due, _)| *due <= now);
        self.later.drain(..due).for_each(|(_, frame)| send(stack, &frame));
        self.later.first().map(|(due, _)| *due)
    }
}

/// What a polite peer without memory says next: its numbers are those that the segment acknowledges.
pub fn back(sent: &Sent, flags: Flags) -> Seg {
    let theirs = &sent.segment;
    let seq = if theirs.flags.has(Flags::SYN) { ISS } else { theirs.ack };
    Seg {
        source: sent.destination,
        destination: sent.source,
        ports: (sent.ports.1, sent.ports.0),
        ..seg(flags, seq, theirs.end())
    }
}

/// A client and its wire.
pub struct Lab {
    pub stack: Stack<Client>,
    started: Instant,
    /// The longest time without a launch or an end while there was a connection, in microseconds.
    pub longest_rest_us: u64,
    last_change: (Instant, u64),
}

/// One target, and all ports of one source.
pub fn tuples(ports: Ports) -> Tuples {
    let target = Target { addresses: Addresses::one(PEERS.into()), ports: Ports::one(PORT) };
    Tuples::new(&[Addresses::one(OURS.into())], ports, &[target], 0)
}

/// TIME-WAIT of a second, so that the end does not take long.
pub fn setup() -> Setup {
    let mut setup = Setup { frames: 600, ..Setup::default() };
    setup.cfg.time_wait_ms = 1_000;
    setup
}

impl Lab {
    pub fn new(plan: Plan) -> Lab {
        Lab::with(plan, &setup(), tuples(Ports::EPHEMERAL))
    }

    pub fn with(plan: Plan, setup: &Setup, tuples: Tuples) -> Lab {
        let started = Instant(setup.start_us);
        let stack = setup.stack(&[], |slots| Client::new(plan, tuples, slots, started));
        Lab { stack, started, longest_rest_us: 0, last_change: (started, 0) }
    }

    pub fn tally(&self) -> Tally {
        *self.stack.worker.app().tally()
    }

    pub fn latencies(&mut self) -> &mut Latencies {
        self.stack.worker.app_mut().latencies()
    }

    /// Since the start, in microseconds.
    pub fn run_us(&self) -> u64 {
        self.stack.clock.now().0 - self.started.0
    }

    fn pass(&mut self) -> Pass {
        let (now, run_ns) = (self.stack.clock.now(), self.run_us() * 1_000);
        let worker = &mut self.stack.worker;
        let (pass, allocations) = counted(|| {
            worker.app_mut().at(run_ns);
            worker.pass(now)
        });
        assert_eq!(allocations, 0, "at {now:?}");
        worker.shard().check_invariants().unwrap();
        let tally = self.tally();
        assert_eq!(tally.check(), Ok(()), "{tally:?}");
        let level = tally.in_flight + tally.open;
        assert_eq!(level, u64::from(self.stack.worker.shard().connections()), "{tally:?}");
        let (since, changes) = self.last_change;
        let changed = tally.attempted + tally.closed_all() + tally.failed_all() + tally.broken_all();
        if changed != changes || level == 0 {
            self.last_change = (now, changed);
        } else {
            self.longest_rest_us = self.longest_rest_us.max(now.0 - since.0);
        }
        pass
    }

    /// One turn of both, and the time up to the next.
    pub fn turn(&mut self, peer: &mut impl Peer) {
        let due = peer.turn(&mut self.stack);
        let now = self.stack.clock.now();
        let next = match self.pass() {
            Pass::Busy => Instant(now.0 + STEP_US),
            Pass::Idle => {
                let timer = self.stack.worker.shard().next_deadline();
                let timer = timer.map(|at| Instant((now.millis() + u64::from(at.since(now.tick()))) * 1_000));
                let all = [self.stack.peer.next_arrival(), timer, due, Some(Instant(now.0 + IDLE_US))];
                all.into_iter().flatten().min().unwrap_or(now).max(Instant(now.0 + STEP_US))
            }
        };
        self.stack.clock.advance_to(next);
    }

    /// To the end of the run, within so many milliseconds.
    #[track_caller]
    pub fn run(&mut self, peer: &mut impl Peer, at_most_ms: u64) {
        while !self.stack.worker.app().is_done() {
            self.turn(peer);
            assert!(self.run_us() <= at_most_ms * 1_000, "it never ends: {:?}", self.tally());
        }
    }

    /// What is still on the wire arrives, and then nothing is left: no connection, record, buffer or frame.
    pub fn quiet(mut self, mut peer: impl Peer) -> Tally {
        let end = self.run_us() + 5_000_000;
        while self.stack.worker.shard().index_len() > 0 || self.stack.peer.next_arrival().is_some() {
            self.turn(&mut peer);
            assert!(self.run_us() < end, "something is left");
        }
        let tally = self.tally();
        assert_eq!((tally.in_flight, tally.open), (0, 0));
        let shard = self.stack.worker.shard();
        assert_eq!((shard.connections(), shard.in_time_wait(), shard.buffers_in_use()), (0, 0, 0));
        let Stack { pool, worker, peer: end, .. } = self.stack;
        drop((worker, end, peer));
        assert_eq!(pool.in_use(), 0, "every frame is back");
        tally
    }
}
