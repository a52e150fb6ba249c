//! The command `serve` over DPDK: devices and memory first, then a loop on each core, then everything given back
//! and counted.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use super::args::Serve;
use super::cores::{CoreRequest, CpuSet};
use super::session::{self, Session};
use super::watch::{self, Run, Watched};
use super::{Failure, banner, plan};
use crate::app::http::responses::Responses;
use crate::app::tally::Tally;
use crate::app::{Service, Services, reply};
use crate::base::cycles::Cycles;
use crate::dpdk::eal::Eal;
use crate::dpdk::lcore::{self, Job};
use crate::dpdk::queue::Queue;
use crate::engine::control::Control;
use crate::engine::shard::Shard;
use crate::engine::worker::Worker;
use crate::stats::counters::Counters;
use crate::telemetry::text;

type Loop = Worker<Queue, Services>;
/// Jobs, each with its core.
type Jobs = Vec<(u32, Job)>;

/// Runs the command. `cores` are those asked for on the command line, `online` the machine's CPUs.
pub(super) fn run(
    eal_words: Vec<String>,
    options: &Serve,
    cores: Option<&CoreRequest>,
    online: &CpuSet,
) -> Result<ExitCode, Failure> {
    session::enough_memory(&plan::limits(options, 1).memory(), options.stack.max_connections)?;
    let (send_run, runs) = mpsc::channel();
    let control = watch::start(session::control_cpu(cores, online), runs).map_err(Failure::run)?;
    let eal = Eal::init(eal_words).map_err(Failure::run)?;
    let session = Session::open(&eal, &options.stack)?;
    let leave = Arc::new(AtomicBool::new(false));
    let status = Arc::new(AtomicU8::new(0));
    let (loops, jobs) = jobs(&session, options, &leave)?;
    banner::print(&banner(&session, options));
    let started = Instant::now();
    let run = Run {
        loops: loops.clone(),
        ports: session.watched(),
        duration: options.duration,
        stats_interval: options.stats_interval,
        drain: options.drain,
        leave,
        status: status.clone(),
    };
    // The control thread waits for it and cannot be gone.
    let _ = send_run.send(run);
    let ended = lcore::launch(&eal, jobs).map_err(Failure::run)?;
    loops.iter().for_each(|one| one.control.set_ended());
    let _ = control.join();
    let left_at_once = status.load(Ordering::SeqCst) != 0;
    if !left_at_once {
        let (all, levels) = (watch::snapshot(&loops), watch::levels(&loops));
        super::say(&text::account(started.elapsed(), &all, levels, options.stack.time_wait));
        for port in session.watched() {
            super::say(&text::port_account(&port.name, &port.losses()));
        }
        text::advice(&all).iter().for_each(|sentence| super::say(&format!("  {sentence}\n")));
    }
    session.close(eal)?;
    session::failures_of(&ended)?;
    let code = status.load(Ordering::SeqCst);
    if left_at_once {
        return Err(Failure::run("a second signal came: left without waiting for open connections"));
    }
    Ok(ExitCode::from(code))
}

/// A loop for each core that serves a port.
fn jobs(
    session: &Session,
    options: &Serve,
    leave: &Arc<AtomicBool>,
) -> Result<(Vec<Watched>, Jobs), Failure> {
    let clock = Cycles::start();
    let responses: &'static Responses = Box::leak(Box::new(Responses::new(options.http_body)));
    let reply: &'static [u8] = reply::text(options.reply_size).leak();
    let (mut loops, mut jobs) = (Vec::new(), Vec::new());
    for seat in session.seats() {
        let watched = Watched {
            control: Arc::new(Control::default()),
            counters: Arc::new(Counters::default()),
            ready: seat.places.iter().map(|place| session.ready_lines(*place)).collect(),
        };
        let now = clock.instant();
        let ground = session.ground(seat.places, &options.stack, &[], &watched.counters, now)?;
        let limits = plan::limits(options, session.loops());
        let (config, counters) = (plan::config(options), watched.counters.clone());
        let mut shard = Shard::new(limits, config, ground.secrets, ground.locals, counters, now);
        let services: Vec<Service> = options.listen.iter().map(|listen| listen.service).collect();
        for listen in &options.listen {
            shard.listen(None, listen.port).map_err(Failure::usage)?;
        }
        let tally = Arc::new(Tally::default());
        let app = Services::new(&services, shard.slots() as usize, responses, tally).with_reply(reply);
        let worker = Worker::new(ground.queues, ground.host, shard, app, watched.control.clone());
        let (control, clock, leave) = (watched.control.clone(), clock.clone(), leave.clone());
        jobs.push((seat.lcore, Box::new(move || poll(worker, &control, &clock, &leave)) as Job));
        loops.push(watched);
    }
    Ok((loops, jobs))
}

fn banner(session: &Session, options: &Serve) -> banner::Banner {
    let loops = session.loops();
    let services = options.listen.iter().map(|listen| format!("{}={}", listen.port, listen.service));
    let mut memory = plan::memory_lines(&plan::limits(options, loops).memory(), &options.stack, loops);
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

/// One core's life. Returns 0, or 1 when an address turned out to be another host's.
fn poll(mut worker: Loop, control: &Control, clock: &Cycles, leave: &AtomicBool) -> i32 {
    // Whatever ends this loop before its time, a panic included, ends the others too.
    let _others = LeaveTogether { control, leave };
    let mut looked_at_claims = false;
    let mut status = 0;
    while !leave.load(Ordering::Relaxed) && !control.is_drained() {
        worker.pass(clock.instant());
        if !looked_at_claims && worker.is_ready() {
            looked_at_claims = true;
            if !worker.lost_addresses().is_empty() {
                status = 1;
                break;
            }
        }
    }
    drop(worker.into_queues());
    status
}
