//! The command `bench`: a client and a server of ours in one process, over a link that has no device behind it.

mod arena;
mod duel;
pub(super) mod experiment;
mod memory;
#[cfg(feature = "dpdk")]
mod rings;

use std::process::ExitCode;

use arena::Arena;
use experiment::Common;
use memory::Memory;

use super::cores::CpuSet;
use super::desk::Desk;
use super::sink::Sink;
use super::{Failure, machine, verdict};
use crate::base::cycles::Cycles;
use crate::config::bench::{BenchOptions, Checksums, Link, MTU};
use crate::config::load::LoadOptions;
use crate::link::memory::Checksums as MemoryChecksums;
use crate::stats::latency::Latencies;
use crate::telemetry::collect::Facts;
use crate::telemetry::csv::RunId;
use crate::telemetry::figures::SideFacts;
use crate::telemetry::run::{Document, Run, SCHEMA};

/// Runs the command; `command` is the whole command line.
pub(super) fn run(
    eal: Vec<String>,
    options: &BenchOptions,
    command: Vec<String>,
    online: &CpuSet,
) -> Result<ExitCode, Failure> {
    let sink = Sink::open(&options.output, options.stats_interval.is_some())?;
    let cpus: Vec<usize> = online.iter().map(|cpu| cpu as usize).collect();
    let desk = Desk::open(cpus.get(options.cores as usize).copied(), Box::new(sink)).map_err(Failure::run)?;
    match options.link {
        Link::Memory => {
            let checksums = match options.checksums {
                Checksums::Software => MemoryChecksums::Software,
                Checksums::Marked => MemoryChecksums::Marked,
            };
            let arena = Memory::open(MTU, checksums, cpus);
            on(arena, options, command, online, &desk)
        }
        Link::Ring => over_rings(eal, options, command, online, &desk),
    }
}

#[cfg(feature = "dpdk")]
fn over_rings(
    eal: Vec<String>,
    options: &BenchOptions,
    command: Vec<String>,
    online: &CpuSet,
    desk: &Desk,
) -> Result<ExitCode, Failure> {
    let words = if eal.is_empty() { rings::words(options.cores, online) } else { eal };
    let arena = rings::Rings::open(words, MTU, options.checksums)?;
    if arena.cores() < options.cores {
        return Err(Failure::usage(format!(
            "--cores {} needs as many lcores, and EAL has {}: give it more with -l, or --cores {}",
            options.cores,
            arena.cores(),
            arena.cores()
        )));
    }
    on(arena, options, command, online, desk)
}

#[cfg(not(feature = "dpdk"))]
fn over_rings(
    _eal: Vec<String>,
    _options: &BenchOptions,
    _command: Vec<String>,
    _online: &CpuSet,
    _desk: &Desk,
) -> Result<ExitCode, Failure> {
    Err(Failure::run(
        "this program was built without devices: give --link memory, or build it with the feature `dpdk`",
    ))
}

/// All runs on one link.
fn on<A: Arena>(
    mut arena: A,
    options: &BenchOptions,
    command: Vec<String>,
    online: &CpuSet,
    desk: &Desk,
) -> Result<ExitCode, Failure> {
    let clock = Cycles::start();
    let common = Common::new(options.burst, options.tx_burst, options.cores, options.time_wait);
    let mut runs = Vec::new();
    for load in &options.loads {
        for repeat in 1..=options.repeats {
            if !desk.is_interrupted() {
                let (mut run, latencies) = one(&mut arena, load, &common, repeat, &clock, desk)?;
                verdict::judge(&mut run, &options.expect, &latencies);
                runs.push(run);
            }
        }
    }
    let document = Document {
        schema: SCHEMA.to_owned(),
        command,
        versions: machine::versions(),
        machine: machine::machine(online.len(), clock.hz(), arena.pages()),
        device: arena.device(),
        runs,
    };
    verdict::show(&document.runs);
    super::say(&format!("{}\n", arena.close()?));
    verdict::conclude(&document, &options.output)
}

/// One run, its figures, and the latencies behind them.
fn one<A: Arena>(
    arena: &mut A,
    load: &LoadOptions,
    common: &Common,
    repeat: u32,
    clock: &Cycles,
    desk: &Desk,
) -> Result<(Run, Latencies), Failure> {
    let experiment = experiment::of(load, common);
    let (concurrency, rate) = (load.schedule.concurrency_max().map(u64::from), load.schedule.rate_max());
    let id = RunId { profile: load.profile.name().to_owned(), concurrency, rate, repeat };
    let before = arena.losses();
    let outcome = duel::run(arena, &experiment, clock, desk, id)?;
    let losses = arena.losses();
    let side = |n: usize| SideFacts {
        bytes_per_connection: outcome.memory[0] as u64,
        bytes_per_time_wait: outcome.memory[1] as u64,
        floor_cycles_per_connection: outcome.floor.map(|both| both[n]),
        losses: losses[n].since(&before[n]),
    };
    let facts = Facts {
        profile: load.profile.name().to_owned(),
        concurrency,
        rate,
        repeat,
        cores: common.cores,
        tsc_hz: clock.hz(),
        time_wait_s: common.time_wait.as_secs_f64(),
        time_wait_shortened_s: outcome.time_wait_shortened_ms.map(|ms| f64::from(ms) / 1e3),
        client: side(0),
        server: side(1),
    };
    Ok(outcome.collector.results(&facts))
}
