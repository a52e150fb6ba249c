//! One run of a client against a server of ours over whatever joins them, on one core or two, and the floor of the
//! same frames over the same link behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::arena::{Arena, Job, Left, put, take};
use super::floor::{self, Floor, Found, Frames, Ways};
use crate::app::Services;
use crate::app::client::{Client, Plan};
use crate::base::burst::{BURST_MAX, Burst};
use crate::base::cycles::Cycles;
use crate::base::hash::Secrets;
use crate::cli::Failure;
use crate::cli::desk::Desk;
use crate::cli::tables;
use crate::link::QueuePair;
use crate::measure::drive::{self, Signals};
use crate::measure::flood::Flooder;
use crate::measure::pair::{self, Spec};
use crate::measure::runner::Runner;
use crate::measure::side::{Engine, Measured, Readiness, Side};
use crate::stats::counters::Counters;
use crate::stats::interval::Mailbox;
use crate::telemetry::collect::{Collector, Plan as Collecting, Role, SidePlan};
use crate::telemetry::csv::RunId;
use crate::telemetry::run::Tables;
use crate::wire::ethernet::Mac;

/// What one run is.
pub(super) struct Experiment {
    pub plan: Plan,
    pub spec: Spec,
    /// What moves in the stack's place afterwards; none where there is no floor.
    pub frames: Option<Frames>,
    /// Both sides in turn on one core, or each on its own.
    pub cores: u32,
    /// Clients reset as planned.
    pub peer_resets: bool,
    /// SYNs alone, instead of connections.
    pub flood: bool,
}

/// What came out of it.
pub(super) struct Outcome {
    pub collector: Collector,
    /// What the same frames cost without a stack.
    pub floor: Option<Found>,
    /// The shortest TIME-WAIT that an eviction left on either side, in milliseconds.
    pub time_wait_shortened_ms: Option<u32>,
    /// Bytes for each connection and TIME-WAIT entry; of the client's own state besides.
    pub memory: [usize; 3],
    /// What both sides' tables lay on.
    pub tables: Option<Tables>,
}

/// What a duel needs of a side besides that it can be driven.
trait Duellist<Q>: Side {
    /// The shortest TIME-WAIT that an eviction left, in milliseconds.
    fn time_wait_shortened_ms(&mut self) -> Option<u32>;

    /// Ends it; `None` where it had no queue.
    fn into_queue(self) -> Option<Q>;
}

impl<Q: QueuePair, A: Measured> Duellist<Q> for Engine<Q, A> {
    fn time_wait_shortened_ms(&mut self) -> Option<u32> {
        self.worker().shard().time_wait_shortened_ms()
    }

    fn into_queue(self) -> Option<Q> {
        self.into_queues().pop()
    }
}

impl<Q: QueuePair> Duellist<Q> for Flooder<Q> {
    fn time_wait_shortened_ms(&mut self) -> Option<u32> {
        None
    }

    fn into_queue(self) -> Option<Q> {
        Some(Flooder::into_queue(self))
    }
}

/// Runs it.
pub(super) fn run<A: Arena>(
    arena: &mut A,
    experiment: &Experiment,
    clock: &Cycles,
    desk: &Desk,
    id: RunId,
) -> Result<Outcome, Failure> {
    let mut queues = arena.queues()?;
    queues.iter_mut().for_each(drain);
    let macs = queues.each_ref().map(|queue| Mac(queue.caps().mac));
    let mtu = queues[0].caps().mtu;
    let limits = experiment.spec.limits();
    let slots = limits.slots() as usize;
    let client = Client::memory(&experiment.plan.talk, experiment.plan.order, slots).div_ceil(slots.max(1));
    let memory = [limits.memory().per_connection, limits.memory().per_time_wait, client];
    let mailboxes = [Arc::new(Mailbox::new()), Arc::new(Mailbox::new())];
    // On one core both begin together.
    let signals = Arc::new(Signals::with_servers(if experiment.cores > 1 { 1 } else { 0 }));
    let engine = Some(SidePlan { loops: 1, engine: true });
    let collecting = Collecting {
        schedule: experiment.plan.schedule.clone(),
        client: Some(SidePlan { loops: 1, engine: !experiment.flood }),
        server: engine,
        peer_resets: experiment.peer_resets,
        flood: experiment.flood,
    };
    let ends = Ends::new(arena, experiment, clock, &mailboxes)?;
    let [near, far] = queues;
    let server = ends.server(far, macs[0])?;
    let caller = if experiment.flood {
        Caller::Flood(Box::new(ends.flooder(near, macs[1])?))
    } else {
        Caller::Client(Box::new(ends.client(near, macs[1])?))
    };
    let [to_client, to_server] = mailboxes;
    let tables = tables::found();
    let boxes = vec![(Role::Client, 0, to_client), (Role::Server, 0, to_server)];
    let reporting = desk.report(id, collecting, boxes, signals.clone());
    let bout = Bout { clock: clock.clone(), signals, floor: experiment.floor(macs, mtu) };
    let ended = match caller {
        Caller::Client(client) => fight(arena, bout, experiment.cores, *client, server),
        Caller::Flood(flooder) => fight(arena, bout, experiment.cores, *flooder, server),
    };
    let gathered = reporting.finish();
    let End { queues, readiness, floor, time_wait_shortened_ms } = ended?;
    arena.give_back(queues);
    ready(readiness)?;
    let collector = gathered
        .ok_or_else(|| Failure::run("the reporter ended before the run did: please report it"))?
        .map_err(Failure::run)?;
    Ok(Outcome { collector, floor, time_wait_shortened_ms, memory, tables })
}

/// Throws away what came when nobody looked any more: answers to a floor that ran out of patience.
fn drain<Q: QueuePair>(queue: &mut Q) {
    let mut frames = Burst::new();
    loop {
        queue.rx_burst(&mut frames, BURST_MAX);
        if frames.is_empty() {
            return;
        }
        frames.drain(..).for_each(|frame| queue.recycle(frame));
    }
}

/// Who calls.
enum Caller<Q: QueuePair> {
    Client(Box<Runner<Engine<Q, Client>>>),
    Flood(Box<Runner<Flooder<Q>>>),
}

/// Makes both ends.
struct Ends<'a> {
    experiment: &'a Experiment,
    counters: [Arc<Counters>; 2],
    clock: &'a Cycles,
    mailboxes: &'a [Arc<Mailbox>; 2],
    /// Ends of the measured times.
    marks: Vec<u64>,
    secrets: [Secrets; 2],
}

impl<'a> Ends<'a> {
    fn new<A: Arena>(
        arena: &A,
        experiment: &'a Experiment,
        clock: &'a Cycles,
        mailboxes: &'a [Arc<Mailbox>; 2],
    ) -> Result<Ends<'a>, Failure> {
        let secrets = || {
            Secrets::random().map_err(|error| {
                Failure::run(format!("the system gives no random numbers ({error}): look at /dev/urandom"))
            })
        };
        let measured = experiment.plan.schedule.measured();
        let marks = measured.into_iter().flat_map(|range| [range.start, range.end]).collect();
        let secrets = [secrets()?, secrets()?];
        Ok(Ends { experiment, counters: arena.counters(), clock, mailboxes, marks, secrets })
    }

    fn runner<S: Side>(&self, side: S, mailbox: &Arc<Mailbox>) -> Runner<S> {
        let runner = Runner::new(side, self.clock.clone(), &self.marks, mailbox.clone());
        if self.experiment.cores > 1 { runner.pausing() } else { runner }
    }

    fn client<Q: QueuePair>(&self, queue: Q, peer: Mac) -> Result<Runner<Engine<Q, Client>>, Failure> {
        let Experiment { spec, plan, .. } = self.experiment;
        let (now, secrets) = (self.clock.instant(), self.secrets[0].clone());
        let client = pair::client(queue, peer, spec, plan.clone(), &self.counters[0], now, secrets);
        Ok(self.runner(client.map_err(Failure::run)?, &self.mailboxes[0]))
    }

    fn flooder<Q: QueuePair>(&self, queue: Q, peer: Mac) -> Result<Runner<Flooder<Q>>, Failure> {
        let Experiment { spec, plan, .. } = self.experiment;
        let of = [u64::from(plan.drain_ms) * 1_000_000, plan.seed];
        let flooder = pair::flooder(queue, peer, spec, &plan.schedule, of, &self.counters);
        Ok(self.runner(flooder.map_err(Failure::run)?, &self.mailboxes[0]))
    }

    fn server<Q: QueuePair>(&self, queue: Q, peer: Mac) -> Result<Runner<Engine<Q, Services>>, Failure> {
        let (now, secrets) = (self.clock.instant(), self.secrets[1].clone());
        let server = pair::server(queue, peer, &self.experiment.spec, &self.counters[1], now, secrets);
        Ok(self.runner(server.map_err(Failure::run)?, &self.mailboxes[1]))
    }
}

/// Whether a run could begin.
fn ready(readiness: Readiness) -> Result<(), Failure> {
    match readiness {
        Readiness::Ready => Ok(()),
        Readiness::Waiting => Err(Failure::run("interrupted before it began")),
        Readiness::Unopened { open, wanted } => Err(Failure::run(format!(
            "only {open} of the {wanted} connections that were to stand beside the flood could be opened, and for some \
             seconds no more of them: give a smaller --beside, or the program a CPU for itself"
        ))),
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
    floor: Option<Found>,
    time_wait_shortened_ms: Option<u32>,
}

/// Runs both ends on one core or two.
fn fight<A: Arena, C: Duellist<A::Queue> + Send + 'static>(
    arena: &A,
    bout: Bout,
    cores: u32,
    client: Runner<C>,
    server: Runner<Engine<A::Queue, Services>>,
) -> Result<End<A::Queue>, Failure> {
    if cores > 1 { two_cores(arena, bout, client, server) } else { one_core(arena, bout, client, server) }
}

fn one_core<A: Arena, C: Duellist<A::Queue> + Send + 'static>(
    arena: &A,
    bout: Bout,
    mut client: Runner<C>,
    mut server: Runner<Engine<A::Queue, Services>>,
) -> Result<End<A::Queue>, Failure> {
    let left = Left::default();
    let place = left.clone();
    let job: Job = Box::new(move || {
        let readiness = drive::in_turn(&mut client, &mut server, &bout.clock, &bout.signals);
        client.hand_over();
        server.hand_over();
        let both = [client.side().time_wait_shortened_ms(), server.side().time_wait_shortened_ms()];
        let shortened = both.into_iter().flatten().min();
        let (Some(near), Some(far)) = (client.into_side().into_queue(), server.into_side().into_queue())
        else {
            return;
        };
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

fn two_cores<A: Arena, C: Duellist<A::Queue> + Send + 'static>(
    arena: &A,
    bout: Bout,
    mut client: Runner<C>,
    mut server: Runner<Engine<A::Queue, Services>>,
) -> Result<End<A::Queue>, Failure> {
    let (near_left, far_left) = (Left::default(), Left::default());
    let (near_place, far_place) = (near_left.clone(), far_left.clone());
    let bout = Arc::new(bout);
    let (near_bout, far_bout) = (bout.clone(), bout.clone());
    let over = Arc::new(AtomicBool::new(false));
    let is_over = over.clone();
    let served = Arc::new(AtomicBool::new(false));
    let is_served = served.clone();
    let near: Job = Box::new(move || {
        let bout = near_bout;
        let readiness = drive::client(&mut client, &bout.clock, &bout.signals, 1);
        client.hand_over();
        let shortened = client.side().time_wait_shortened_ms();
        let Some(queue) = client.into_side().into_queue() else { return };
        let moved = match &bout.floor {
            // Before that the floor's frames would be the server's.
            Some(floor) if floor::comes_true(&is_served) => floor.near(queue, &bout.clock),
            _ => Some((queue, None)),
        };
        let Some((queue, cycles)) = moved else { return over.store(true, Ordering::Release) };
        over.store(true, Ordering::Release);
        put(&near_place, (queue, readiness, cycles, shortened));
    });
    let far: Job = Box::new(move || {
        let bout = far_bout;
        drive::server(&mut server, &bout.clock, &bout.signals, 1);
        server.hand_over();
        let shortened = server.side().time_wait_shortened_ms();
        let Some(queue) = server.into_side().into_queue() else { return };
        served.store(true, Ordering::Release);
        let moved = match &bout.floor {
            Some(floor) => floor.far(queue, &bout.clock, &is_over),
            None => Some((queue, None)),
        };
        let Some((queue, cycles)) = moved else { return };
        put(&far_place, (queue, cycles, shortened));
    });
    arena.run(vec![near, far])?;
    let (near, readiness, of_client, of_client_ms) = take(&near_left).ok_or_else(broken)?;
    let (far, of_server, of_server_ms) = take(&far_left).ok_or_else(broken)?;
    let floor = bout
        .floor
        .as_ref()
        .zip(of_client.zip(of_server))
        .map(|(floor, (near, far))| floor.found([near, far]));
    let time_wait_shortened_ms = [of_client_ms, of_server_ms].into_iter().flatten().min();
    Ok(End { queues: [near, far], readiness, floor, time_wait_shortened_ms })
}

fn broken() -> Failure {
    Failure::run("a loop ended without its queues: please report it")
}

impl Experiment {
    /// Bytes of both sides' memory and of their applications' own state; who floods has neither.
    pub fn bytes(&self) -> usize {
        self.sides() * self.spec.limits().memory().total + self.own_bytes()
    }

    /// As [`Experiment::bytes`], without the memory for data: what connections are found and kept in.
    pub fn table_bytes(&self) -> usize {
        let memory = self.spec.limits().memory();
        self.sides() * memory.total.saturating_sub(memory.buffers) + self.own_bytes()
    }

    fn sides(&self) -> usize {
        if self.flood { 1 } else { 2 }
    }

    fn own_bytes(&self) -> usize {
        let slots = self.spec.limits().slots() as usize;
        let client = if self.flood { 0 } else { Client::memory(&self.plan.talk, self.plan.order, slots) };
        client + Services::memory(&[self.spec.service], slots)
    }

    /// SYNs that one conversation of the floor stands for: the first frame is one, and those up to an answer are.
    pub fn syns_of_floor(&self) -> f64 {
        match &self.frames {
            Some(Frames::Conversations([client, _])) if self.flood => client.len() as f64,
            _ => 1.0,
        }
    }

    /// `None` where this profile's frames cannot be moved without a stack.
    fn floor(&self, macs: [Mac; 2], mtu: u16) -> Option<Floor> {
        let limits = self.spec.limits();
        let ways = Ways {
            in_flight: self.spec.concurrency.min(super::experiment::ACTIVE_MAX),
            window: limits.send_buffer.min(self.spec.config.receive_buffer),
            burst: self.spec.burst,
            macs,
        };
        Floor::new(self.frames.clone()?, ways, mtu)
    }
}
