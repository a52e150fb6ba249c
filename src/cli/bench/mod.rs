//! The command `bench`: a client and a server of ours in one process, over a link that has no device behind it.

mod arena;
mod duel;
pub(super) mod experiment;
mod floor;
pub(super) mod max_rate;
mod memory;
#[cfg(feature = "dpdk")]
mod rings;

use std::fs::File;
use std::io::BufWriter;
use std::process::ExitCode;

use arena::{Arena, Job, Left, put, take};
use experiment::Common;
use floor::Found;
use max_rate::Scope;
use memory::Memory;

use super::cores::CpuSet;
use super::desk::Desk;
use super::sink::{self, Sink};
use super::tables::{self, Needed};
use super::{Failure, machine, verdict};
use crate::base::cycles::Cycles;
use crate::config::bench::{BenchOptions, Checksums, Link, MTU, MaxRateOptions};
use crate::config::load::LoadOptions;
use crate::config::talk::Profile;
use crate::link::memory::Checksums as MemoryChecksums;
use crate::measure::lines::{AHEAD, Lines};
use crate::stats::latency::Latencies;
use crate::telemetry::collect::Facts;
use crate::telemetry::csv::RunId;
use crate::telemetry::figures::SideFacts;
use crate::telemetry::run::{Document, RandomLine, Run, SCHEMA};
use crate::telemetry::{flat, json};

/// Runs the command; `command` is the whole command line.
pub(super) fn run(
    eal: Vec<String>,
    options: &BenchOptions,
    command: Vec<String>,
    online: &CpuSet,
) -> Result<ExitCode, Failure> {
    start(eal, options, None, command, online)
}

/// Opens the link, and runs what was asked for on it: each load, or a search.
fn start(
    eal: Vec<String>,
    options: &BenchOptions,
    search: Option<&MaxRateOptions>,
    command: Vec<String>,
    online: &CpuSet,
) -> Result<ExitCode, Failure> {
    let sink = Sink::open(&options.output, options.stats_interval)?;
    // Before anything starts: nobody shall measure for an hour and have nowhere to write.
    let file = options.output.json.as_deref().map(sink::create).transpose()?;
    let cpus: Vec<usize> = online.iter().map(|cpu| cpu as usize).collect();
    let desk = Desk::open(cpus.get(options.cores as usize).copied(), Box::new(sink)).map_err(Failure::run)?;
    let bench = Bench { options, search, command, online, desk: &desk, file };
    match options.link {
        Link::Memory => {
            let checksums = match options.checksums {
                Checksums::Software => MemoryChecksums::Software,
                Checksums::Marked => MemoryChecksums::Marked,
            };
            let arena = Memory::open(MTU, checksums, cpus);
            bench.on(arena)
        }
        Link::Ring => over_rings(eal, bench),
    }
}

/// A command, but for its link.
struct Bench<'a> {
    options: &'a BenchOptions,
    search: Option<&'a MaxRateOptions>,
    command: Vec<String>,
    online: &'a CpuSet,
    desk: &'a Desk,
    /// The document's.
    file: Option<BufWriter<File>>,
}

/// What came out of a command.
pub(super) struct Results {
    /// For the document.
    pub runs: Vec<Run>,
    /// Likewise, where it was measured.
    pub random_line: Option<RandomLine>,
    /// To read.
    pub text: String,
    /// The exit status says so too.
    pub good: bool,
}

#[cfg(feature = "dpdk")]
fn over_rings(eal: Vec<String>, bench: Bench<'_>) -> Result<ExitCode, Failure> {
    let Bench { options, online, .. } = bench;
    let words = if eal.is_empty() { rings::words(options.cores, online) } else { eal };
    let arena = rings::Rings::open(words, MTU, options.checksums)?;
    if !arena.has_hugepages() {
        super::say("bench runs without hugepages, which is slower: scripts/hugepages reserves some\n");
    }
    if arena.cores() < options.cores {
        return Err(Failure::usage(format!(
            "--cores {} needs as many lcores, and EAL has {}: give it more with -l, or --cores {}",
            options.cores,
            arena.cores(),
            arena.cores()
        )));
    }
    bench.on(arena)
}

#[cfg(not(feature = "dpdk"))]
fn over_rings(_eal: Vec<String>, _bench: Bench<'_>) -> Result<ExitCode, Failure> {
    Err(Failure::run(
        "this program was built without devices: give --link memory, or build it with the feature `dpdk`",
    ))
}

impl Bench<'_> {
    /// All of it on one link.
    fn on<A: Arena>(self, mut arena: A) -> Result<ExitCode, Failure> {
        let clock = Cycles::start();
        let options = self.options;
        let common = Common::new(options);
        let results = match self.search {
            None => self.each(&mut arena, &common, &clock)?,
            Some(search) => self.search(search, &mut arena, &common, &clock)?,
        };
        let flatness = flat::flatness(&results.runs, results.random_line.as_ref());
        let told = flat::text(results.random_line.as_ref(), &flatness);
        let document = Document {
            schema: SCHEMA.to_owned(),
            command: self.command,
            versions: machine::versions(),
            machine: machine::machine(self.online.len(), clock.hz(), arena.pages()),
            device: arena.device(),
            runs: results.runs,
            random_line: results.random_line,
            flatness,
        };
        super::say(&format!("{}{told}\n", results.text));
        super::say(&format!("{}\n", arena.close()?));
        if let Some(file) = self.file {
            json::write(&document, file).map_err(Failure::run)?;
        }
        self.desk.finished()?;
        if results.good { verdict::held(&document.runs) } else { Ok(ExitCode::FAILURE) }
    }

    /// Every load as often as it is to be repeated.
    fn each<A: Arena>(&self, arena: &mut A, common: &Common, clock: &Cycles) -> Result<Results, Failure> {
        let mut runs = Vec::new();
        for load in &self.options.loads {
            for repeat in 1..=self.options.repeats {
                if !self.desk.is_interrupted() {
                    let (mut run, latencies) = one(arena, load, common, repeat, clock, self.desk)?;
                    verdict::judge(&mut run, &self.options.expect, &latencies);
                    runs.push(run);
                }
            }
        }
        let text = verdict::text(&runs);
        let random_line = self.random_line(arena, common, clock)?;
        Ok(Results { runs, random_line, text, good: true })
    }

    /// What a random line costs among as many bytes as the largest tables of all runs, which are gone by now. `None` where
    /// there is no memory for them any more, or nobody waits for it.
    fn random_line<A: Arena>(
        &self,
        arena: &A,
        common: &Common,
        clock: &Cycles,
    ) -> Result<Option<RandomLine>, Failure> {
        let largest = self.options.loads.iter().map(|load| experiment::of(load, common));
        let Some(largest) = largest.max_by_key(duel::Experiment::table_bytes) else { return Ok(None) };
        let bytes = largest.table_bytes();
        // On hugetlb where that experiment's tables were.
        let needed = Needed { bytes: largest.bytes(), loops: 2, connections: 0, cure: "" };
        if self.desk.is_interrupted() || needed.place(arena.has_hugepages()).is_err() {
            return Ok(None);
        }
        let (found, clock) = (Left::default(), clock.clone());
        let place = found.clone();
        let job: Job = Box::new(move || {
            let lines = Lines::new(bytes);
            let tables = tables::found();
            let (cycles, bytes) = (lines.price(&clock), lines.bytes() as u64);
            put(&place, RandomLine { cycles, ahead: AHEAD as u32, bytes, tables });
        });
        arena.run(vec![job])?;
        Ok(take(&found))
    }

    /// The highest rate of the only load.
    fn search<A: Arena>(
        &self,
        search: &MaxRateOptions,
        arena: &mut A,
        common: &Common,
        clock: &Cycles,
    ) -> Result<Results, Failure> {
        let load =
            self.options.loads.first().ok_or_else(|| Failure::run("there is no load to search with"))?;
        let mut tried: Vec<f64> = Vec::new();
        let trial = |rate: f64, length| {
            tried.push(rate);
            let repeat = tried.iter().filter(|before| before.total_cmp(&rate).is_eq()).count() as u32;
            let trial = max_rate::trial(load, rate, length);
            one(arena, &trial, common, repeat, clock, self.desk).map(|(run, _)| run)
        };
        max_rate::search(&Scope::of(search, load), || self.desk.is_interrupted(), super::say, trial)
    }
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
    let needed = Needed {
        bytes: experiment.bytes(),
        loops: 2,
        connections: experiment.spec.concurrency.saturating_add(experiment.spec.flood.beside),
        cure: "give a smaller --concurrency, --rate or --beside, or a shorter --time-wait",
    };
    needed.place(arena.has_hugepages())?;
    let rate = load.schedule.rate_max();
    let connections = load.schedule.concurrency_max().filter(|_| load.profile != Profile::Flood);
    let concurrency = connections.map(u64::from);
    let id = RunId { profile: load.profile.name().to_owned(), concurrency, rate, repeat };
    let before = arena.losses();
    let outcome = duel::run(arena, &experiment, clock, desk, id)?;
    let losses = arena.losses();
    let (conversation, copied) = match outcome.floor {
        Some(Found::Conversations(cycles)) => (Some(cycles), None),
        Some(Found::Copies(octets_per_cycle)) => (None, Some(octets_per_cycle * 8.0 * clock.hz() as f64)),
        None => (None, None),
    };
    let side = |n: usize| SideFacts {
        bytes_per_connection: outcome.memory[0] as u64,
        bytes_per_time_wait: outcome.memory[1] as u64,
        floor_cycles_per_connection: conversation.map(|both| both[n] / experiment.syns_of_floor()),
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
        tables: outcome.tables,
        closed: experiment.spec.flood.closed,
        copied_bits_per_second: copied,
        client: side(0),
        server: side(1),
    };
    Ok(outcome.collector.results(&facts))
}
