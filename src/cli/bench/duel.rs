//! One run of a client against a server of ours over whatever joins them, on one core or two, and the floor of the
//! same frames over the same link behind it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::arena::{Arena, Job};
use crate::app::Services;
use crate::app::client::{Client, Plan};
use crate::base::cycles::Cycles;
use crate::base::hash::Secrets;
use crate::cli::Failure;
use crate::cli::desk::{Desk, hand_over};
use crate::link::QueuePair;
use crate::load::floor::{self, Exchange};
use crate::measure::drive::{self, Signals};
use crate::measure::pair::{self, Spec};
use crate::measure::runner::Runner;
use crate::measure::side::{Engine, Readiness};
use crate::stats::interval::Mailbox;
use crate::telemetry::collect::{Collector, Plan as Collecting, Role, SidePlan};
use crate::telemetry::csv::RunId;
use crate::wire::ethernet::Mac;

/// Conversations of a floor, and how long they may take: a device that loses a frame never ends.
const FLOOR_CONVERSATIONS: u64 = 200_000;
const FLOOR_PATIENCE: Duration = Duration::from_secs(5);

/// What one run is.
pub(super) struct Experiment {
    pub plan: Plan,
    pub spec: Spec,
    /// Lengths of a conversation's frames, the client's and the server's; none where there is no floor.
    pub frames: Option<[Vec<u16>; 2]>,
    /// Both sides in turn on one core, or each on its own.
    pub cores: u32,
    /// Clients reset as planned.
    pub peer_resets: bool,
}

/// What came out of it.
pub(super) struct Outcome {
    pub collector: Collector,
    /// Cycles a conversation, of the client's and the server's side.
    pub floor: Option<[f64; 2]>,
    /// The shortest TIME-WAIT that an eviction left on either side, in milliseconds.
    pub time_wait_shortened_ms: Option<u32>,
    /// Bytes for each connection and TIME-WAIT entry; of the client's own state besides.
    pub memory: [usize; 3],
}

type Ends<Q> = (Runner<Engine<Q, Client>>, Runner<Engine<Q, Services>>);

/// What a job leaves behind.
type Left<T> = Arc<Mutex<Option<T>>>;

fn put<T>(place: &Left<T>, what: T) {
    *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
}

fn take<T>(place: &Left<T>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Runs it.
pub(super) fn run<A: Arena>(
    arena: &mut A,
    experiment: &Experiment,
    clock: &Cycles,
    desk: &Desk,
    id: RunId,
) -> Result<Outcome, Failure> {
    let queues = arena.queues()?;
    let macs = queues.each_ref().map(|queue| Mac(queue.caps().mac));
    let mtu = queues[0].caps().mtu;
    let limits = experiment.spec.limits().memory();
    let memory = [limits.per_connection, limits.per_time_wait, Client::bytes_per_connection()];
    let mailboxes = [Arc::new(Mailbox::new()), Arc::new(Mailbox::new())];
    let (client, server) = ends(arena, experiment, queues, macs, clock, &mailboxes)?;
    let signals = Arc::new(Signals::default());
    let side = Some(SidePlan { loops: 1, engine: true });
    let collecting = Collecting {
        schedule: experiment.plan.schedule.clone(),
        client: side,
        server: side,
        peer_resets: experiment.peer_resets,
    };
    let [to_client, to_server] = mailboxes;
    let boxes = vec![(Role::Client, 0, to_client), (Role::Server, 0, to_server)];
    let reporting = desk.report(id, collecting, boxes, signals.clone());
    let bout = Bout { clock: clock.clone(), signals, floor: experiment.floor(macs, mtu) };
    let ended = if experiment.cores > 1 {
        two_cores(arena, bout, client, server)
    } else {
        one_core(arena, bout, client, server)
    };
    let gathered = reporting.finish();
    let End { queues, readiness, floor, time_wait_shortened_ms } = ended?;
    arena.give_back(queues);
    ready(readiness)?;
    let collector = gathered
        .ok_or_else(|| Failure::run("the reporter ended before the run did: please report it"))?
        .map_err(Failure::run)?;
    Ok(Outcome { collector, floor, time_wait_shortened_ms, memory })
}

fn ends<A: Arena>(
    arena: &A,
    experiment: &Experiment,
    queues: [A::Queue; 2],
    macs: [Mac; 2],
    clock: &Cycles,
    mailboxes: &[Arc<Mailbox>; 2],
) -> Result<Ends<A::Queue>, Failure> {
    let [near, far] = queues;
    let counters = arena.counters();
    let secrets = || {
        Secrets::random().map_err(|error| {
            Failure::run(format!("the system gives no random numbers ({error}): look at /dev/urandom"))
        })
    };
    let (spec, plan, now) = (&experiment.spec, experiment.plan.clone(), clock.instant());
    let client =
        pair::client(near, macs[1], spec, plan, &counters[0], now, secrets()?).map_err(Failure::run)?;
    let server = pair::server(far, macs[0], spec, &counters[1], now, secrets()?).map_err(Failure::run)?;
    let marks: Vec<u64> =
        experiment.plan.schedule.measured().into_iter().flat_map(|range| [range.start, range.end]).collect();
    Ok((
        Runner::new(client, clock.clone(), &marks, mailboxes[0].clone()),
        Runner::new(server, clock.clone(), &marks, mailboxes[1].clone()),
    ))
}

/// Whether a run could begin.
fn ready(readiness: Readiness) -> Result<(), Failure> {
    match readiness {
        Readiness::Ready => Ok(()),
        Readiness::Waiting => Err(Failure::run("interrupted before it began")),
        other => Err(Failure::run(format!(
            "the link between both sides does not work: {other:?}; please report it"
        ))),
    }
}

/// What both jobs of a run need.
struct Bout {
    clock: Cycles,
    signals: Arc<Signals>,
    floor: Option<Floor>,
}

/// What they leave.
struct End<Q> {
    queues: [Q; 2],
    readiness: Readiness,
    floor: Option<[f64; 2]>,
    time_wait_shortened_ms: Option<u32>,
}

fn one_core<A: Arena>(
    arena: &A,
    bout: Bout,
    mut client: Runner<Engine<A::Queue, Client>>,
    mut server: Runner<Engine<A::Queue, Services>>,
) -> Result<End<A::Queue>, Failure> {
    let left = Left::default();
    let place = left.clone();
    let job: Job = Box::new(move || {
        let readiness = drive::in_turn(&mut client, &mut server, &bout.clock, &bout.signals);
        hand_over(&mut client);
        hand_over(&mut server);
        let shortened = shortest(&mut client, &mut server);
        let (near, far) = (client.into_side().into_queues().pop(), server.into_side().into_queues().pop());
        let (Some(near), Some(far)) = (near, far) else { return };
        let moved = match bout.floor {
            Some(floor) => floor.in_turn([near, far], &bout.clock),
            None => Some(([near, far], None)),
        };
        let Some((queues, floor)) = moved else { return };
        put(&place, End { queues, readiness, floor, time_wait_shortened_ms: shortened });
    });
    arena.run(vec![job])?;
    take(&left).ok_or_else(broken)
}

fn two_cores<A: Arena>(
    arena: &A,
    bout: Bout,
    mut client: Runner<Engine<A::Queue, Client>>,
    mut server: Runner<Engine<A::Queue, Services>>,
) -> Result<End<A::Queue>, Failure> {
    let (near_left, far_left) = (Left::default(), Left::default());
    let (near_place, far_place) = (near_left.clone(), far_left.clone());
    let bout = Arc::new(bout);
    let (near_bout, far_bout) = (bout.clone(), bout);
    let over = Arc::new(AtomicBool::new(false));
    let is_over = over.clone();
    let near: Job = Box::new(move || {
        let bout = near_bout;
        let readiness = drive::client(&mut client, &bout.clock, &bout.signals);
        hand_over(&mut client);
        let shortened = client.side().worker().shard().time_wait_shortened_ms();
        let Some(queue) = client.into_side().into_queues().pop() else { return };
        let moved = match &bout.floor {
            Some(floor) => floor.client(queue, &bout.clock),
            None => Some((queue, None)),
        };
        let Some((queue, cycles)) = moved else { return over.store(true, Ordering::Release) };
        over.store(true, Ordering::Release);
        put(&near_place, (queue, readiness, cycles, shortened));
    });
    let far: Job = Box::new(move || {
        let bout = far_bout;
        drive::server(&mut server, &bout.clock, &bout.signals, 1);
        hand_over(&mut server);
        let shortened = server.side().worker().shard().time_wait_shortened_ms();
        let Some(queue) = server.into_side().into_queues().pop() else { return };
        let moved = match &bout.floor {
            Some(floor) => floor.server(queue, &bout.clock, &is_over),
            None => Some((queue, None)),
        };
        let Some((queue, cycles)) = moved else { return };
        put(&far_place, (queue, cycles, shortened));
    });
    arena.run(vec![near, far])?;
    let (near, readiness, of_client, of_client_ms) = take(&near_left).ok_or_else(broken)?;
    let (far, of_server, of_server_ms) = take(&far_left).ok_or_else(broken)?;
    let floor = of_client.zip(of_server).map(|(client, server)| [client, server]);
    let time_wait_shortened_ms = [of_client_ms, of_server_ms].into_iter().flatten().min();
    Ok(End { queues: [near, far], readiness, floor, time_wait_shortened_ms })
}

fn broken() -> Failure {
    Failure::run("a loop ended without its queues: please report it")
}

fn shortest<Q: QueuePair>(
    client: &mut Runner<Engine<Q, Client>>,
    server: &mut Runner<Engine<Q, Services>>,
) -> Option<u32> {
    let both = [
        client.side().worker().shard().time_wait_shortened_ms(),
        server.side().worker().shard().time_wait_shortened_ms(),
    ];
    both.into_iter().flatten().min()
}

/// How the floor is measured.
struct Floor {
    frames: [Vec<u16>; 2],
    in_flight: u32,
    burst: usize,
    macs: [Mac; 2],
}

impl Experiment {
    /// `None` where this profile's frames cannot be moved without a stack.
    fn floor(&self, macs: [Mac; 2], mtu: u16) -> Option<Floor> {
        let frames = self.frames.clone()?;
        let in_flight = self.spec.concurrency.min(super::experiment::ACTIVE_MAX);
        let floor = Floor { frames, in_flight, burst: self.spec.burst, macs };
        floor.plan().check(mtu).is_ok().then_some(floor)
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
}

impl Floor {
    fn plan(&self) -> floor::Plan<'_> {
        floor::Plan {
            exchange: Exchange { client: &self.frames[0], server: &self.frames[1] },
            in_flight: self.in_flight,
            conversations: FLOOR_CONVERSATIONS,
            burst: self.burst,
        }
    }

    /// Both sides in turn; cycles a conversation, where they came to an end in time.
    fn in_turn<Q: QueuePair>(&self, queues: [Q; 2], clock: &Cycles) -> Option<([Q; 2], Option<[f64; 2]>)> {
        let [near, far] = queues;
        let mut client = floor::Client::new(near, self.macs[1], self.plan()).ok()?;
        let mut server = floor::Server::new(far, self.macs[0], self.plan()).ok()?;
        let started = Instant::now();
        let mut busy = Busy { clock, at: clock.now(), cycles: [0; 2] };
        while !client.is_done() && started.elapsed() < FLOOR_PATIENCE {
            for _ in 0..1_000 {
                busy.count(1, server.pass());
                busy.count(0, client.pass());
            }
        }
        // The last frames, which nobody answers.
        (0..100).for_each(|_| {
            server.pass();
        });
        let each = |cycles| cycles as f64 / FLOOR_CONVERSATIONS as f64;
        let cycles = client.is_done().then(|| busy.cycles.map(each));
        Some(([client.into_queue(), server.into_queue()], cycles))
    }

    /// The client's side on a core of its own.
    fn client<Q: QueuePair>(&self, queue: Q, clock: &Cycles) -> Option<(Q, Option<f64>)> {
        let mut client = floor::Client::new(queue, self.macs[1], self.plan()).ok()?;
        let started = Instant::now();
        let mut busy = Busy { clock, at: clock.now(), cycles: [0; 2] };
        while !client.is_done() && started.elapsed() < FLOOR_PATIENCE {
            (0..1_000).for_each(|_| busy.count(0, client.pass()));
        }
        let cycles = client.is_done().then(|| busy.cycles[0] as f64 / FLOOR_CONVERSATIONS as f64);
        Some((client.into_queue(), cycles))
    }

    /// The server's, until the client's is over.
    fn server<Q: QueuePair>(&self, queue: Q, clock: &Cycles, over: &AtomicBool) -> Option<(Q, Option<f64>)> {
        let mut server = floor::Server::new(queue, self.macs[0], self.plan()).ok()?;
        let mut busy = Busy { clock, at: clock.now(), cycles: [0; 2] };
        while !over.load(Ordering::Acquire) {
            (0..1_000).for_each(|_| busy.count(0, server.pass()));
        }
        (0..100).for_each(|_| {
            server.pass();
        });
        let cycles = server.is_done().then(|| busy.cycles[0] as f64 / FLOOR_CONVERSATIONS as f64);
        Some((server.into_queue(), cycles))
    }
}
