//! What the frames of a run cost without a stack, over the same link and on the same cores, right behind it: frames of
//! conversations that are only moved, or full frames of a stream whose text is copied and summed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::base::cycles::Cycles;
use crate::link::QueuePair;
use crate::load::copies::{self, Arrived};
use crate::load::floor::{self, Exchange};
use crate::wire::ethernet::Mac;

/// Conversations of a floor.
const CONVERSATIONS: u64 = 200_000;
/// Frames of a stream.
const COPIES: u64 = 250_000;
/// How long either may take: a device that loses a frame never ends.
const PATIENCE: Duration = Duration::from_secs(5);
/// Passes between two looks at the time.
const PASSES: u32 = 100;

/// Which frames.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Frames {
    /// Those of conversations, with these lengths: of the client's, and of the server's answer to each, 0 where there
    /// is none.
    Conversations([Vec<u16>; 2]),
    /// Full ones, from the client to the server, or the other way.
    Copies {
        /// From the client.
        up: bool,
    },
}

/// On which way, and how many at a time.
#[derive(Clone, Copy)]
pub(super) struct Ways {
    /// Conversations at a time.
    pub in_flight: u32,
    /// Octets of a stream that are on their way at most.
    pub window: u32,
    /// Frames that one call moves at most.
    pub burst: usize,
    /// Of the client's and of the server's end.
    pub macs: [Mac; 2],
}

/// What was found.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Found {
    /// Cycles a conversation, of the client's and the server's side.
    Conversations([f64; 2]),
    /// Octets of text that were copied and summed in each cycle that passed.
    Copies(f64),
}

/// A floor to be measured. Either end is told by itself how to run, with what it found: cycles a conversation, or those
/// that passed while the frames of a stream arrived.
pub(super) struct Floor {
    frames: Frames,
    ways: Ways,
    /// Octets in each full frame.
    text: u16,
    arrived: Arrived,
}

/// A queue, and what was found at its end, where it came to an end in time; `None` where nothing could be begun.
type Moved<Q, T = f64> = Option<(Q, Option<T>)>;

impl Floor {
    /// `None` where the link cannot carry these frames.
    pub fn new(frames: Frames, ways: Ways, mtu: u16) -> Option<Floor> {
        let floor = Floor { frames, ways, text: copies::text_len(mtu), arrived: Arrived::default() };
        let is_possible = match &floor.frames {
            Frames::Conversations(lengths) => floor.conversations(lengths).check(mtu).is_ok(),
            Frames::Copies { .. } => floor.copies().check(mtu).is_ok(),
        };
        is_possible.then_some(floor)
    }

    fn conversations<'a>(&self, [client, server]: &'a [Vec<u16>; 2]) -> floor::Plan<'a> {
        floor::Plan {
            exchange: Exchange { client, server },
            in_flight: self.ways.in_flight,
            conversations: CONVERSATIONS,
            burst: self.ways.burst,
        }
    }

    fn copies(&self) -> copies::Plan {
        copies::Plan { frames: COPIES, window: self.ways.window, burst: self.ways.burst }
    }

    fn copied(&self, cycles: f64) -> Found {
        Found::Copies(f64::from(self.text) * COPIES as f64 / cycles.max(1.0))
    }

    /// Both ends in turn on one core.
    pub fn in_turn<Q: QueuePair>(&self, [near, far]: [Q; 2], clock: &Cycles) -> Moved<[Q; 2], Found> {
        match &self.frames {
            Frames::Conversations(lengths) => self.talk_in_turn([near, far], lengths, clock),
            Frames::Copies { up: true } => self.copy_in_turn([near, far], self.ways.macs[1], clock),
            Frames::Copies { up: false } => {
                let ([far, near], found) = self.copy_in_turn([far, near], self.ways.macs[0], clock)?;
                Some(([near, far], found))
            }
        }
    }

    /// The client's end on a core of its own.
    pub fn near<Q: QueuePair>(&self, queue: Q, clock: &Cycles) -> Moved<Q> {
        match &self.frames {
            Frames::Conversations(lengths) => self.ask(queue, lengths, clock),
            Frames::Copies { up: true } => self.send(queue, self.ways.macs[1]),
            Frames::Copies { up: false } => self.receive(queue, clock),
        }
    }

    /// The server's. Where it answers, it does so until the client's is over.
    pub fn far<Q: QueuePair>(&self, queue: Q, clock: &Cycles, over: &AtomicBool) -> Moved<Q> {
        match &self.frames {
            Frames::Conversations(lengths) => self.answer(queue, lengths, clock, over),
            Frames::Copies { up: true } => self.receive(queue, clock),
            Frames::Copies { up: false } => self.send(queue, self.ways.macs[0]),
        }
    }

    /// What both ends found together.
    pub fn found(&self, [near, far]: [f64; 2]) -> Found {
        match self.frames {
            Frames::Conversations(_) => Found::Conversations([near, far]),
            Frames::Copies { up } => self.copied(if up { far } else { near }),
        }
    }

    fn talk_in_turn<Q: QueuePair>(
        &self,
        [near, far]: [Q; 2],
        lengths: &[Vec<u16>; 2],
        clock: &Cycles,
    ) -> Moved<[Q; 2], Found> {
        let plan = self.conversations(lengths);
        let mut client = floor::Client::new(near, self.ways.macs[1], plan).ok()?;
        let mut server = floor::Server::new(far, self.ways.macs[0], plan).ok()?;
        let started = Instant::now();
        let mut busy = Busy { clock, at: clock.now(), cycles: [0; 2] };
        while !client.is_done() && started.elapsed() < PATIENCE {
            for _ in 0..PASSES {
                busy.count(1, server.pass());
                busy.count(0, client.pass());
            }
        }
        // The last frames, which nobody answers.
        for _ in 0..PASSES {
            server.pass();
        }
        let found = client.is_done().then(|| Found::Conversations([busy.each(0), busy.each(1)]));
        Some(([client.into_queue(), server.into_queue()], found))
    }

    fn ask<Q: QueuePair>(&self, queue: Q, lengths: &[Vec<u16>; 2], clock: &Cycles) -> Moved<Q> {
        let mut client = floor::Client::new(queue, self.ways.macs[1], self.conversations(lengths)).ok()?;
        let started = Instant::now();
        let mut busy = Busy { clock, at: clock.now(), cycles: [0; 2] };
        while !client.is_done() && started.elapsed() < PATIENCE {
            (0..PASSES).for_each(|_| busy.count(0, client.pass()));
        }
        let cycles = client.is_done().then(|| busy.each(0));
        Some((client.into_queue(), cycles))
    }

    fn answer<Q: QueuePair>(
        &self,
        queue: Q,
        lengths: &[Vec<u16>; 2],
        clock: &Cycles,
        over: &AtomicBool,
    ) -> Moved<Q> {
        let mut server = floor::Server::new(queue, self.ways.macs[0], self.conversations(lengths)).ok()?;
        let mut busy = Busy { clock, at: clock.now(), cycles: [0; 2] };
        while !over.load(Ordering::Acquire) {
            (0..PASSES).for_each(|_| busy.count(0, server.pass()));
        }
        for _ in 0..PASSES {
            server.pass();
        }
        let cycles = server.is_done().then(|| busy.each(0));
        Some((server.into_queue(), cycles))
    }

    /// From the first of both queues to the second.
    fn copy_in_turn<Q: QueuePair>(
        &self,
        [from, to]: [Q; 2],
        peer: Mac,
        clock: &Cycles,
    ) -> Moved<[Q; 2], Found> {
        let mut sender = copies::Sender::new(from, peer, self.copies(), self.arrived.clone()).ok()?;
        let mut receiver = copies::Receiver::new(to, self.copies(), self.arrived.clone()).ok()?;
        let (started, from) = (Instant::now(), clock.now());
        while !sender.is_done() && started.elapsed() < PATIENCE {
            for _ in 0..PASSES {
                sender.pass();
                receiver.pass();
            }
        }
        let cycles = clock.now().saturating_sub(from) as f64;
        let found = (sender.is_done() && receiver.wrong() == 0).then(|| self.copied(cycles));
        Some(([sender.into_queue(), receiver.into_queue()], found))
    }

    /// How long it takes is for who receives to say.
    fn send<Q: QueuePair>(&self, queue: Q, peer: Mac) -> Moved<Q> {
        let mut sender = copies::Sender::new(queue, peer, self.copies(), self.arrived.clone()).ok()?;
        let started = Instant::now();
        while !sender.is_done() && started.elapsed() < PATIENCE {
            for _ in 0..PASSES {
                sender.pass();
            }
        }
        let found = sender.is_done().then_some(0.0);
        Some((sender.into_queue(), found))
    }

    fn receive<Q: QueuePair>(&self, queue: Q, clock: &Cycles) -> Moved<Q> {
        let mut receiver = copies::Receiver::new(queue, self.copies(), self.arrived.clone()).ok()?;
        let started = Instant::now();
        let mut from = None;
        while !receiver.is_done() && started.elapsed() < PATIENCE {
            for _ in 0..PASSES {
                if receiver.pass() > 0 && from.is_none() {
                    from = Some(clock.now());
                }
            }
        }
        let to = clock.now();
        let is_good = receiver.is_done() && receiver.wrong() == 0;
        let cycles = from.filter(|_| is_good).map(|from| to.saturating_sub(from) as f64);
        Some((receiver.into_queue(), cycles))
    }
}

/// Cycles of passes that moved something.
struct Busy<'a> {
    clock: &'a Cycles,
    at: u64,
    cycles: [u64; 2],
}

impl Busy<'_> {
    fn count(&mut self, side: usize, moved: usize) {
        let now = self.clock.now();
        if moved > 0 {
            self.cycles[side] += now.saturating_sub(self.at);
        }
        self.at = now;
    }

    /// Cycles a conversation.
    fn each(&self, side: usize) -> f64 {
        self.cycles[side] as f64 / CONVERSATIONS as f64
    }
}

/// Waits for another core, which may have failed.
pub(super) fn comes_true(flag: &AtomicBool) -> bool {
    let started = Instant::now();
    while !flag.load(Ordering::Acquire) && started.elapsed() < PATIENCE {
        std::hint::spin_loop();
    }
    flag.load(Ordering::Acquire)
}
