//! The command `serve` over DPDK: devices and memory first, then a loop on each core, then everything given back
//! and counted.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use super::args::Serve;
use super::cores::{CoreRequest, CpuSet};
use super::gather::Gather;
use super::session::{self, Session};
use super::sink::{self, Sink};
use super::tables::{self, Needed};
use super::watch::{self, Figures, Run, Watched};
use super::{Failure, banner, machine, plan};
use crate::app::http::responses::Responses;
use crate::app::tally::Tally;
use crate::app::timed::Timed;
use crate::app::{Services, reply};
use crate::base::cycles::Cycles;
use crate::dpdk::eal::Eal;
use crate::dpdk::lcore::{self, Job};
use crate::dpdk::queue::Queue;
use crate::engine::control::Control;
use crate::engine::shard::Shard;
use crate::engine::worker::Worker;
use crate::measure::runner::Runner;
use crate::measure::side::{Engine, Measured};
use crate::stats::counters::Counters;
use crate::stats::interval::Mailbox;
use crate::telemetry::collect::{Facts, Plan as Collecting, Role, SidePlan};
use crate::telemetry::csv::RunId;
use crate::telemetry::figures::SideFacts;
use crate::telemetry::run::{Document, SCHEMA, Tables};
use crate::telemetry::{json, text};

/// What a run's loops are: as they are watched, their mailboxes, their jobs.
type Loops = (Vec<Watched>, Vec<Arc<Mailbox>>, Jobs);
/// Jobs, each with its core.
type Jobs = Vec<(u32, Job)>;

/// Runs the command. `cores` are those asked for on the command line, `online` the machine's CPUs.
pub(super) fn run(
    eal_words: Vec<String>,
    options: &Serve,
    command: Vec<String>,
    cores: Option<&CoreRequest>,
    online: &CpuSet,
) -> Result<ExitCode, Failure> {
    needed(options, 1).fits(&eal_words)?;
    let sink = options.output.is_wanted().then(|| Sink::open(&options.output, None)).transpose()?;
    let (send_run, runs) = mpsc::channel();
    let control = watch::start(session::control_cpu(cores, online), runs).map_err(Failure::run)?;
    let eal = Eal::init(eal_words).map_err(Failure::run)?;
    let session = Session::open(&eal, &options.stack)?;
    needed(options, session.loops()).place(eal.has_hugepages())?;
    let resident = tables::resident();
    let leave = Arc::new(AtomicBool::new(false));
    let status = Arc::new(AtomicU8::new(0));
    let clock = Cycles::start();
    let (loops, mailboxes, jobs) = jobs(&session, options, &clock, &leave)?;
    let figures = sink.map(|mut sink| {
        let boxes = mailboxes.into_iter().zip(0..).map(|(mailbox, n)| (Role::Server, n, mailbox)).collect();
        Figures { gather: Gather::new(&RunId::default(), collecting(loops.len()), boxes, &mut sink), sink }
    });
    let lie = tables::found();
    let mut facts = banner(&session, options, resident);
    facts.memory.extend(lie.iter().map(|tables| format!("tables on {}", tables.text())));
    banner::print(&facts);
    let started = Instant::now();
    let run = Run {
        loops: loops.clone(),
        ports: session.watched(),
        duration: options.duration,
        stats_interval: options.stats_interval,
        drain: options.drain,
        leave,
        status: status.clone(),
        figures,
    };
    // The control thread waits for it and cannot be gone.
    let _ = send_run.send(run);
    let ended = lcore::launch(&eal, jobs).map_err(Failure::run)?;
    loops.iter().for_each(|one| one.control.set_ended());
    let gathered = control.join().ok().flatten();
    let left_at_once = status.load(Ordering::SeqCst) != 0;
    if !left_at_once {
        let (all, levels) = (watch::snapshot(&loops), watch::levels(&loops));
        super::say(&text::account(started.elapsed(), &all, levels, options.stack.time_wait));
        for port in session.watched() {
            super::say(&text::port_account(&port.name, &port.losses()));
        }
        text::advice(&all).iter().for_each(|sentence| super::say(&format!("  {sentence}\n")));
    }
    if let (Some(path), Some(gathered)) = (&options.output.json, gathered) {
        let document = document((&session, &eal), options, command, (gathered, lie), &clock, online)?;
        json::write(&document, sink::create(path)?).map_err(Failure::run)?;
    }
    session.close(eal)?;
    session::failures_of(&ended)?;
    let code = status.load(Ordering::SeqCst);
    if left_at_once {
        return Err(Failure::run("a second signal came: left without waiting for open connections"));
    }
    Ok(ExitCode::from(code))
}

/// All loops are one run, from the start to the end.
fn collecting(loops: usize) -> Collecting {
    Collecting { server: Some(SidePlan { loops: loops as u32, engine: true }), ..Collecting::default() }
}

fn document(
    (session, eal): (&Session, &Eal),
    options: &Serve,
    command: Vec<String>,
    (gathered, tables): (Gather, Option<Tables>),
    clock: &Cycles,
    online: &CpuSet,
) -> Result<Document, Failure> {
    let loops = session.loops();
    let memory = plan::limits(options, loops).memory();
    let facts = Facts {
        profile: "serve".to_owned(),
        repeat: 1,
        cores: loops as u32,
        tsc_hz: clock.hz(),
        time_wait_s: options.stack.time_wait.as_secs_f64(),
        tables,
        server: SideFacts {
            bytes_per_connection: memory.per_connection as u64,
            bytes_per_time_wait: memory.per_time_wait as u64,
            floor_cycles_per_connection: None,
            losses: session.losses(),
        },
        ..Facts::default()
    };
    let run = gathered.finish().map_err(Failure::run)?.finish(&facts);
    Ok(Document {
        schema: SCHEMA.to_owned(),
        command,
        versions: machine::versions(),
        machine: machine::machine(online.len(), clock.hz(), machine::pages(eal)),
        device: session.device(),
        runs: vec![run],
        random_line: None,
        flatness: Vec::new(),
    })
}

/// A loop for each core that serves a port.
fn jobs(
    session: &Session,
    options: &Serve,
    clock: &Cycles,
    leave: &Arc<AtomicBool>,
) -> Result<Loops, Failure> {
    let responses: &'static Responses = Box::leak(Box::new(Responses::new(options.http_body)));
    let reply: &'static [u8] = reply::text(options.reply_size).leak();
    let (mut loops, mut mailboxes, mut jobs) = (Vec::new(), Vec::new(), Vec::new());
    for seat in session.seats() {
        let watched = Watched {
            control: Arc::new(Control::default()),
            counters: Arc::new(Counters::default()),
            ready: seat.places.iter().map(|place| session.ready_lines(*place)).collect(),
        };
        let mailbox = Arc::new(Mailbox::new());
        let now = clock.instant();
        let ground = session.ground(seat.places, &options.stack, &[], &watched.counters, now)?;
        let limits = plan::limits(options, session.loops());
        let (config, counters) = (plan::config(options), watched.counters.clone());
        let mut shard = Shard::new(limits, config, ground.secrets, ground.locals, counters, now);
        let services = plan::served(options);
        for listen in &options.listen {
            shard.listen(None, listen.port).map_err(Failure::usage)?;
        }
        let slots = shard.slots() as usize;
        let app = Services::new(&services, slots, responses, Arc::new(Tally::default())).with_reply(reply);
        let place = Place { clock: clock.clone(), leave: leave.clone(), watched: watched.clone() };
        let control = watched.control.clone();
        let job: Job = if options.output.is_wanted() {
            let app = Timed::new(app, slots);
            let worker = Worker::new(ground.queues, ground.host, shard, app, control);
            place.job(worker, Some(mailbox.clone()))
        } else {
            place.job(Worker::new(ground.queues, ground.host, shard, app, control), None)
        };
        jobs.push((seat.lcore, job));
        loops.push(watched);
        mailboxes.push(mailbox);
    }
    Ok((loops, mailboxes, jobs))
}

/// What so many loops need.
fn needed(options: &Serve, loops: usize) -> Needed<'static> {
    let limits = plan::limits(options, loops);
    Needed {
        bytes: (limits.memory().total + plan::services_memory(options, &limits)) * loops,
        loops,
        connections: options.stack.max_connections,
        cure: plan::SMALLER,
    }
}

fn banner(session: &Session, options: &Serve, resident: Option<u64>) -> banner::Banner {
    let loops = session.loops();
    let services = options.listen.iter().map(|listen| format!("{}={}", listen.port, listen.service));
    let limits = plan::limits(options, loops);
    let own = ("services", plan::services_memory(options, &limits), limits.slots());
    let mut memory = plan::memory_lines(&limits.memory(), own, &options.stack, loops, resident);
    memory.push(session.pool_line());
    banner::Banner {
        dpdk: Eal::version(),
        ports: session.port_lines(),
        cores: session.core_lines(),
        memory,
        last: ("services", services.collect::<Vec<_>>().join(" ")),
    }
}

/// Ends all loops when one ends that was not asked to.
struct LeaveTogether<'a> {
    control: &'a Control,
    leave: &'a AtomicBool,
}

impl Drop for LeaveTogether<'_> {
    fn drop(&mut self) {
        if !self.control.is_drained() {
            self.leave.store(true, Ordering::SeqCst);
        }
        self.control.set_ended();
    }
}

/// Where a loop runs.
struct Place {
    clock: Cycles,
    leave: Arc<AtomicBool>,
    watched: Watched,
}

impl Place {
    fn job<A: Measured + Send + 'static>(
        self,
        worker: Worker<Queue, A>,
        mailbox: Option<Arc<Mailbox>>,
    ) -> Job {
        let engine = Engine::new(worker, self.watched.counters.clone());
        let reported = mailbox.is_some();
        let runner = Runner::new(engine, self.clock.clone(), &[], mailbox.unwrap_or_default()).pausing();
        let runner = if reported { runner } else { runner.unreported() };
        Box::new(move || self.poll(runner))
    }

    /// One core's life. Returns 0, or 1 when an address turned out to be another host's.
    fn poll<A: Measured>(&self, mut runner: Runner<Engine<Queue, A>>) -> i32 {
        let (control, leave) = (&self.watched.control, &self.leave);
        // Whatever ends this loop before its time, a panic included, ends the others too.
        let _others = LeaveTogether { control, leave };
        let mut looked_at_claims = false;
        let mut status = 0;
        let mut at = self.clock.now();
        runner.begin(at);
        while !leave.load(Ordering::Relaxed) && !control.is_drained() {
            at = runner.turn(at);
            if !looked_at_claims && runner.side().worker().is_ready() {
                looked_at_claims = true;
                if !runner.side().worker().lost_addresses().is_empty() {
                    status = 1;
                    break;
                }
            }
        }
        runner.hand_over();
        drop(runner.into_side().into_queues());
        status
    }
}
