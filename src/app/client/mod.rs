//! The client: an application that opens connections by a schedule, talks on them, closes them as it was told, and
//! accounts for each. Everything that it decides stands in `load`; here it is joined with the engine's callbacks.
//! Time is what [`Client::at`] was told before the pass, so that latencies are finer than the engine's microseconds.

mod callbacks;
mod dialog;
mod talking;
mod turns;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use self::dialog::{Dialog, End, Stage, UNMEASURED};
use crate::base::bag::Bag;
use crate::base::pages::{self, Table};
use crate::base::rng::Rng;
use crate::base::time::{Instant, Tick};
use crate::engine::api::{Api, Conn, ConnId, OpenError};
use crate::engine::timers::{REST_FROM, Timers};
use crate::load::closing::Closes;
use crate::load::schedule::{Launch, Launches, Schedule, Share};
use crate::load::talk::Talk;
use crate::load::tuples::{Ahead, Tuples};
use crate::stats::account::{Failed, Tally};
use crate::stats::latency::{Latencies, Phase};

/// Launches in one pass at most (LIM-13); the rest comes in the next one, with the launch times that it had.
const LAUNCHES_MAX: u32 = 64;
/// Frames that come for a short connection, and one more.
const FRAMES_OF_ONE: u32 = 4;
/// Connections that the end of the run closes or resets in one pass: what they send has to find room on the way.
const ENDINGS_MAX: u32 = 16;
/// Pairs of endpoints that are tried for one connection before it fails for want of one.
const TUPLES_TRIED_MAX: u32 = 16;
/// How long a closed loop waits after a connection that failed here, in nanoseconds: the next would fail too.
const PAUSE_NS: u64 = 1_000_000;
/// Timers that leave their queue, or change their level on the wheel, in one pass (LIM-13).
const MOVES_MAX: usize = 1_024;
/// Octets of a payload that are made at once.
const PIECE: usize = 4_096;
/// Parked connections that are drawn ahead, so that their lines are there when their turn comes.
const DRAWN_MAX: usize = 16;
/// So many draws ahead the place of the list is chosen.
const PLACES: usize = 8;

/// In which order connections go on once they are ESTABLISHED.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Each at once.
    Own,
    /// In random order, so that the tables are not walked in the order of creation: of those that there are, all but
    /// `active` are open and wait for their turn to make their request, or to be closed where they say nothing.
    Random {
        /// Connections that are being opened, talk or close.
        active: u32,
    },
}

/// What the client does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// When connections are launched.
    pub schedule: Schedule,
    /// This loop's part of them.
    pub share: Share,
    /// What is said on each.
    pub talk: Talk,
    /// How each is closed.
    pub closes: Closes,
    /// Time for a SYN to be answered, in milliseconds.
    pub connect_timeout_ms: u32,
    /// Time without a reply, or without the other end's FIN, in milliseconds.
    pub reply_timeout_ms: u32,
    /// Time between a reply and the next request or the close, in milliseconds.
    pub think_ms: u32,
    /// How long a connection that has said everything stays open; until the end of the run where it is
    /// `u32::MAX`.
    pub hold_ms: u32,
    /// Time for connections to finish when the last was launched, in milliseconds; then they are reset.
    pub drain_ms: u32,
    /// In which order they go on.
    pub order: Order,
    /// What random choices follow from.
    pub seed: u64,
}

/// The end of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    /// Connections are still launched.
    Running,
    /// Those that wait are let go, slot by slot; what is left at the tick is reset.
    Releasing { from: u32, cut_at: Tick },
    /// Connections finish by themselves.
    Waiting { cut_at: Tick },
    /// What is left is reset, slot by slot.
    Cutting { from: u32 },
}

/// One loop's client.
pub struct Client {
    plan: Plan,
    launches: Launches,
    tuples: Ahead,
    dialogs: Table<Dialog>,
    /// The number of each connection; empty where nothing follows from it.
    numbers: Table<u64>,
    timers: Timers,
    moves: usize,
    /// Connections that are parked, and when the last one was.
    parked: u32,
    parked_at: Tick,
    /// Their slots, in no order, each once; some may have left it since.
    listed: Bag,
    /// Slots that were taken from the list, to be next.
    drawn: VecDeque<u32>,
    /// Places in the list that were chosen for the next draws, and the number of draws so far.
    places: [u32; PLACES],
    draws: usize,
    /// So many connections are meant to be held, or can be.
    full: u64,
    /// Slots of connections that say nothing and whose handshake's last ACK leaves in this pass, oldest first.
    acknowledging: VecDeque<u32>,
    /// So many of them have sent it.
    acknowledged: usize,
    /// So many more may be brought to an end in this pass.
    endings: u32,
    rng: Rng,
    ending: Ending,
    now_ns: u64,
    tick: Tick,
    paused_until_ns: u64,
    tally: Tally,
    piece: Box<[u8]>,
    latencies: Latencies,
    started: bool,
    stopped: bool,
}

impl Client {
    /// A client for a shard with `slots` connections. Allocates all it needs.
    pub fn new(plan: Plan, tuples: Tuples, slots: u32, now: Instant) -> Client {
        Client {
            launches: Launches::new(&plan.schedule, plan.share),
            dialogs: pages::table(slots as usize, |_| Dialog::default()),
            numbers: pages::table(if plan.talk.is_random() { slots as usize } else { 0 }, |_| 0),
            timers: Timers::new(slots, now.tick(), REST_FROM),
            moves: MOVES_MAX,
            parked: 0,
            parked_at: now.tick(),
            listed: Bag::new(if plan.order == Order::Own { 0 } else { slots as usize }),
            drawn: VecDeque::with_capacity(DRAWN_MAX),
            places: [u32::MAX; PLACES],
            draws: 0,
            full: plan.share.part(plan.schedule.concurrency_max().map_or(0, u64::from)),
            acknowledging: VecDeque::with_capacity(if plan.talk.requests > 0 { 0 } else { slots as usize }),
            acknowledged: 0,
            endings: ENDINGS_MAX,
            rng: Rng::new(plan.seed),
            ending: Ending::Running,
            now_ns: 0,
            tick: now.tick(),
            paused_until_ns: 0,
            tally: Tally::default(),
            piece: vec![0; PIECE].into(),
            latencies: Latencies::default(),
            started: false,
            stopped: false,
            plan,
            tuples: Ahead::new(tuples),
        }
    }

    /// Bytes of memory for so many connections that say this, in this order.
    pub fn memory(talk: &Talk, order: Order, slots: usize) -> usize {
        let number = if talk.is_random() { size_of::<u64>() } else { 0 };
        let listed = if order == Order::Own { 0 } else { Bag::memory(slots) };
        let acknowledging = if talk.requests > 0 { 0 } else { slots * size_of::<u32>() };
        slots * (size_of::<Dialog>() + number) + listed + acknowledging + Timers::memory(slots)
    }

    /// Tells the time of the pass that follows, in nanoseconds on the run's clock. The first time begins the run:
    /// nothing is launched before.
    pub fn at(&mut self, now_ns: u64) {
        self.started = true;
        self.now_ns = now_ns;
    }

    /// Latencies since they were last taken out, to be exchanged for empty ones.
    pub fn latencies(&mut self) -> &mut Latencies {
        &mut self.latencies
    }

    /// Launches nothing more; what is open is brought to an end as planned.
    pub fn stop(&mut self) {
        self.launches.stop();
        self.stopped = true;
    }

    /// The last was launched by number, and connections are still held for the time that was asked for; the run's own
    /// time ends that.
    fn is_held(&self) -> bool {
        let holds = self.plan.hold_ms > 0 && self.plan.hold_ms < u32::MAX;
        holds && !self.stopped && self.level() > 0 && self.now_ns < self.launches.end_ns()
    }

    /// The account so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Nothing will be launched any more, and nothing is open.
    pub fn is_done(&self) -> bool {
        self.ending != Ending::Running && self.tally.in_flight + self.tally.open == 0
    }

    fn level(&self) -> u32 {
        (self.tally.in_flight + self.tally.open) as u32
    }

    /// Opens one connection, from the first pair of endpoints that is free.
    fn open(&mut self, api: &mut Api<'_>, launch: Launch) {
        self.tally.attempt();
        let mut error = OpenError::NoPort;
        for _ in 0..TUPLES_TRIED_MAX {
            let Some(tuple) = self.tuples.next() else { break };
            let (local, remote) = (IpAddr::V4(tuple.source), SocketAddr::V4(tuple.target));
            match api.open(Some(local), Some(tuple.source_port), remote) {
                Ok(id) => {
                    api.expect(self.tuples.new_ones().map(|later| {
                        let local = SocketAddrV4::new(later.source, later.source_port);
                        (SocketAddr::V4(local), SocketAddr::V4(later.target))
                    }));
                    return self.begin(id, launch);
                }
                Err(why) => error = why,
            }
            if !matches!(error, OpenError::Exists | OpenError::TimeWait) {
                break;
            }
        }
        self.paused_until_ns = self.now_ns + PAUSE_NS;
        self.tally.fail(match error {
            OpenError::Exists | OpenError::TimeWait | OpenError::NoPort => Failed::NoTuple,
            OpenError::NoTcb => Failed::NoTcb,
            OpenError::InvalidRemote(_) | OpenError::NoLocalAddress(_) => Failed::Else,
        });
    }

    fn begin(&mut self, id: ConnId, launch: Launch) {
        let Some(dialog) = self.dialogs.get_mut(id.index as usize) else { return };
        *dialog = dialog.succeeded_by(Dialog {
            intended_ns: if launch.measured { launch.intended_ns } else { UNMEASURED },
            generation: id.generation,
            end: End::Planned(self.plan.closes.of(launch.number)),
            ..Dialog::default()
        });
        if let Some(number) = self.numbers.get_mut(id.index as usize) {
            *number = launch.number;
        }
        self.enter(id.index, Stage::Opening, self.plan.connect_timeout_ms);
    }

    fn dialog(&mut self, conn: &Conn<'_>) -> Option<(u32, &mut Dialog)> {
        let index = conn.id().index;
        self.dialogs.get_mut(index as usize).filter(|d| d.stage != Stage::Free).map(|d| (index, d))
    }

    fn record(&mut self, phase: Phase, intended_ns: u64) {
        if intended_ns != UNMEASURED {
            self.latencies.record(phase, self.now_ns.saturating_sub(intended_ns));
        }
    }

    /// Puts a connection into a stage that may last for so long.
    fn enter(&mut self, index: u32, stage: Stage, at_most_ms: u32) {
        let Some(dialog) = self.dialogs.get_mut(index as usize) else { return };
        dialog.stage = stage;
        dialog.deadline = self.tick.plus(at_most_ms.saturating_add(1).min(1 << 30));
        self.timers.arm(index, dialog.deadline);
    }

    /// Puts a connection into a stage that lasts until something else ends it.
    fn rest(&mut self, index: u32, stage: Stage) {
        if let Some(dialog) = self.dialogs.get_mut(index as usize) {
            dialog.stage = stage;
        }
    }
}
