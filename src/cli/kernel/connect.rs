//! `connect --backend kernel`: the client alone, on the kernel's sockets, over whatever its routes lead to.

use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::Arc;

use super::netstat::Counts;
use super::refuse_to_tell;
use super::{TIME_WAIT, client, descriptors, device, document, explain, marks, options, places, refuse_eal};
use crate::base::cycles::Cycles;
use crate::cli::cores::CpuSet;
use crate::cli::desk::Desk;
use crate::cli::sink::Sink;
use crate::cli::{Failure, say, threads, verdict};
use crate::config::connect::ConnectOptions;
use crate::kernel::Source;
use crate::kernel::client::{Client, Plan};
use crate::load::tuples::{Addresses, Tuples};
use crate::measure::drive::{self, Signals};
use crate::measure::runner::Runner;
use crate::measure::sockets::KernelClient;
use crate::stats::interval::Mailbox;
use crate::telemetry::collect::{Collector, Facts, Plan as Collecting, Role, SidePlan};
use crate::telemetry::csv::RunId;

/// Runs the command; `command` is the whole command line.
///
/// # Errors
/// EAL's words, files or sockets that cannot be had, or an expectation that did not hold.
pub(in crate::cli) fn run(
    eal: &[String],
    asked: &ConnectOptions,
    command: Vec<String>,
    online: &CpuSet,
) -> Result<ExitCode, Failure> {
    refuse_eal("connect", eal)?;
    let load = &asked.load;
    let sink = Sink::open(&asked.output, asked.stats_interval)?;
    // Who runs the other end on this machine may choose CPUs for both (taskset); we do not.
    let desk = Desk::open(None, Box::new(sink)).map_err(Failure::run)?;
    let clock = Cycles::start();
    let before = Counts::now();
    let plan = plan(asked)?;
    say(&format!("connect over the kernel's sockets, seed {}\n", load.seed));
    let (concurrency, rate) = (load.schedule.concurrency_max().map(u64::from), load.schedule.rate_max());
    let id = RunId { profile: load.profile.name().to_owned(), concurrency, rate, repeat: 1 };
    let collector = measure(asked, plan, &clock, &desk, id)?;
    let counts = Counts::now().since(&before);
    let facts = Facts {
        profile: load.profile.name().to_owned(),
        concurrency,
        rate,
        repeat: 1,
        cores: 1,
        tsc_hz: clock.hz(),
        time_wait_s: TIME_WAIT.as_secs_f64(),
        time_wait_shortened_s: counts.time_wait_shortened_s(),
        ..Facts::default()
    };
    let (mut run, latencies) = collector.results(&facts);
    explain(&mut run, &counts);
    verdict::judge(&mut run, &asked.expect, &latencies);
    let document = document(command, online, &clock, device("sockets", 0), vec![run]);
    verdict::show(&document.runs);
    verdict::conclude(&document, &asked.output)
}

/// What the client does. Without sources the kernel chooses address and port.
fn plan(asked: &ConnectOptions) -> Result<Plan, Failure> {
    let load = &asked.load;
    let needed = load.schedule.concurrency_max().map_or(1, u64::from);
    let sockets = descriptors(u64::from(asked.stack.max_connections), needed)?;
    let (sources, source) = match &asked.sources.addresses[..] {
        [] => (&[Addresses::one(Ipv4Addr::UNSPECIFIED)][..], Source::Kernel),
        given => (given, Source::Pair),
    };
    let tuples = Tuples::new(sources, asked.sources.ports, &asked.targets, load.seed as u32);
    let told = options(Some(load), asked.stack.ttl.get(), asked.stack.dscp)?;
    Ok(client(load, tuples, source, told, places(sockets)))
}

fn measure(
    asked: &ConnectOptions,
    plan: Plan,
    clock: &Cycles,
    desk: &Desk,
    id: RunId,
) -> Result<Collector, Failure> {
    let schedule = &asked.load.schedule;
    let side = KernelClient(Client::new(plan).map_err(Failure::run)?);
    let mailbox = Arc::new(Mailbox::new());
    let mut runner = Runner::new(side, clock.clone(), &marks(schedule), mailbox.clone());
    let collecting = Collecting {
        schedule: schedule.clone(),
        client: Some(SidePlan { loops: 1, engine: false }),
        ..Collecting::default()
    };
    let signals = Arc::new(Signals::default());
    let reporting = desk.report(id, collecting, vec![(Role::Client, 0, mailbox)], signals.clone());
    let job = || {
        drive::client(&mut runner, clock, &signals, 1);
        runner.hand_over();
    };
    let ended = threads::run(vec![Box::new(job)], &[]);
    let gathered = reporting.finish();
    ended?;
    refuse_to_tell(&signals)?;
    gathered
        .ok_or_else(|| Failure::run("the reporter ended before the run did: please report it"))?
        .map_err(Failure::run)
}
