//! The words of `bench` and `bench max-rate`.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::connect::SourceArgs;
use super::given::Given;
use super::load::{ShapeArgs, TalkArgs};
use super::stack::{BackendArgs, BurstArgs, ExpectArgs, OutputArgs, RunArgs, StackArgs, TimeWaitArgs};
use super::{Command, Outside, wire};
use crate::config::ConfigError;
use crate::config::bench::{self, Against, BenchError, BenchOptions, Checksums, Link, MaxRateOptions};
use crate::config::load::Asked;
use crate::config::output::Output;
use crate::config::shape::{Shape, ShapeDefaults, Turns};
use crate::config::{serve, shape, targets};

/// The target that is our own server.
const SELF: &str = "self";
/// What HTTP calls it.
const HOST: &str = "bench";

const RAMP: Duration = Duration::from_millis(500);
const TIME_WAIT: Duration = Duration::from_secs(1);

/// How long each rate is measured.
const STEP: &str = "2s";

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct BenchWords {
    #[command(subcommand)]
    search: Option<Search>,

    #[command(flatten)]
    bench: BenchArgs,
}

#[derive(Subcommand)]
enum Search {
    #[command(
        about = "Search for the highest rate within limits of loss and latency",
        before_help = super::MAX_RATE_ABOUT,
        help_template = super::COMMAND_PAGE,
        override_usage = "dpdk-tcp [EAL options] -- bench max-rate TARGET... [options]\n       \
                          dpdk-tcp bench max-rate self [options]",
        after_help = super::AFTER_CLIENT
    )]
    MaxRate(MaxRateArgs),
}

#[derive(Args)]
struct BenchArgs {
    #[command(flatten)]
    shape: ShapeArgs,

    #[command(flatten)]
    talk: TalkArgs,

    #[command(flatten)]
    here: HereArgs,

    #[arg(long, value_name = "COUNT", help_heading = "Bench", default_value = "0")]
    #[arg(value_parser = bench::beside)]
    #[arg(help = "Flood a server that has so many established connections, opened\n\
                  before and left as they are, up to 64M")]
    beside: u32,

    #[arg(long, help_heading = "Bench")]
    #[arg(help = "Flood a port that nobody listens on")]
    closed: bool,

    #[arg(long, value_name = "COUNT", help_heading = "Bench", default_value = "1")]
    #[arg(value_parser = bench::repeats)]
    #[arg(help = "Run everything so often, and report median and spread")]
    repeats: u32,

    #[command(flatten)]
    time_wait: TimeWaitArgs,

    #[command(flatten)]
    burst: BurstArgs,

    #[command(flatten)]
    backend: BackendArgs,

    #[command(flatten)]
    run: RunArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    expect: ExpectArgs,
}

/// Both ends in one process.
#[derive(Args)]
struct HereArgs {
    #[arg(long, value_name = "WHICH", help_heading = "Bench", default_value = "ring")]
    #[arg(value_parser = bench::link)]
    #[arg(help = "What carries frames between both sides: ring, DPDK's rings with\n\
                  its buffers; memory, without DPDK's devices")]
    link: Link,

    #[arg(long, value_name = "COUNT", help_heading = "Bench", value_parser = bench::cores)]
    #[arg(help = "1 runs both sides in turn on one core, 2 each on its own\n\
                  [default: 2 where there are two]")]
    cores: Option<u32>,

    #[arg(long, value_name = "HOW", help_heading = "Bench", default_value = "software")]
    #[arg(value_parser = bench::checksums)]
    #[arg(help = "Who sums packets: software, the loops; marked, nobody, as if a\n\
                  network card had")]
    checksums: Checksums,
}

impl HereArgs {
    fn cores(&self, outside: &Outside<'_>) -> u32 {
        self.cores.unwrap_or(if outside.cpus > 1 { 2 } else { 1 })
    }
}

#[derive(Args)]
struct MaxRateArgs {
    #[arg(value_name = "TARGET")]
    #[arg(help = "What is measured: targets as for connect, or self, a server of ours in this process")]
    targets: Vec<String>,

    #[arg(long, value_name = "PERCENT", help_heading = "Search", default_value = "0.01%")]
    #[arg(value_parser = bench::loss_max)]
    #[arg(help = "Connections that may fail or break, 0% to 50%")]
    loss_max: f64,

    #[arg(long, value_name = "DURATION", help_heading = "Search", value_parser = bench::latency_max)]
    #[arg(help = "What 99 of 100 connections are established within\n\
                  [default: 10ms, for self 1ms]")]
    latency_max: Option<Duration>,

    #[arg(long, value_name = "RATE", help_heading = "Search", default_value = "1k")]
    #[arg(value_parser = bench::bound)]
    #[arg(help = "Lowest rate that is tried")]
    from: f64,

    #[arg(long, value_name = "RATE", help_heading = "Search", default_value = "100M")]
    #[arg(value_parser = bench::bound)]
    #[arg(help = "Highest rate that is tried")]
    to: f64,

    #[arg(long, value_name = "DURATION", help_heading = "Search", default_value = STEP)]
    #[arg(value_parser = serve::duration)]
    #[arg(help = "How long each rate is measured")]
    duration: Duration,

    #[arg(long, value_name = "DURATION", help_heading = "Search", default_value = "500ms")]
    #[arg(value_parser = shape::ramp)]
    #[arg(help = "How long each rate settles before")]
    ramp: Duration,

    #[command(flatten)]
    talk: TalkArgs,

    #[command(flatten)]
    here: HereArgs,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    stack: StackArgs,

    #[command(flatten)]
    backend: BackendArgs,

    #[command(flatten)]
    run: RunArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    expect: ExpectArgs,
}

impl BenchWords {
    pub(super) fn checked(self, given: &Given, outside: &Outside<'_>) -> Result<Command, ConfigError> {
        match self.search {
            Some(Search::MaxRate(args)) => args.checked(given, outside).map(Command::MaxRate),
            None => self.bench.checked(given, outside).map(Command::Bench),
        }
    }
}

impl BenchArgs {
    fn checked(self, given: &Given, outside: &Outside<'_>) -> Result<BenchOptions, ConfigError> {
        given.refuse_with(self.backend.backend, &[])?;
        let time_wait = self.time_wait.or(TIME_WAIT);
        // Entries go into TIME-WAIT and out of it at the same pace from then on.
        let defaults = ShapeDefaults { concurrency: 64, ramp: RAMP, warm_up: time_wait };
        let asked = self.talk.asked(self.shape.shape(outside)?, self.run.drain, outside)?;
        BenchOptions {
            loads: asked.each(HOST, defaults)?,
            repeats: self.repeats,
            link: self.here.link,
            cores: self.here.cores(outside),
            checksums: self.here.checksums,
            beside: self.beside,
            closed: self.closed,
            backend: self.backend.backend,
            time_wait,
            burst: self.burst.burst,
            tx_burst: self.burst.tx_burst,
            stats_interval: self.run.stats_interval(),
            output: self.output.output(),
            expect: self.expect.expect,
        }
        .checked()
    }
}

/// Options for targets, which a server in the same process does not have.
pub(super) const OF_THE_WIRE: &[&str] = &[
    "addr",
    "gateway",
    "neighbour",
    "dad",
    "mtu",
    "no-tso",
    "source",
    "max-connections",
    "time-wait-max",
    "buffers",
    "send-buffer",
    "rto-min",
    "ttl",
    "dscp",
    "congestion",
];

/// Options for both ends in one process.
pub(super) const OF_HERE: &[&str] = &["link", "cores", "checksums"];

impl MaxRateArgs {
    fn checked(self, given: &Given, outside: &Outside<'_>) -> Result<MaxRateOptions, ConfigError> {
        given.refuse_with(self.backend.backend, &[])?;
        let of_ours = self.targets.iter().any(|word| word == SELF);
        let usual = Duration::from_millis(if of_ours { 1 } else { 10 });
        let (loss_max, latency_max) = (self.loss_max, self.latency_max.unwrap_or(usual));
        let (from, to) = (self.from, self.to);
        let against = match &self.targets[..] {
            [] => return Err(BenchError::NothingToMeasure.into()),
            [_] if of_ours => self.ourselves(given, outside)?,
            _ if of_ours => return Err(BenchError::SelfAndOthers.into()),
            _ => self.others(given, outside)?,
        };
        MaxRateOptions { against, loss_max, latency_max, from, to }.checked()
    }

    fn ourselves(self, given: &Given, outside: &Outside<'_>) -> Result<Against, ConfigError> {
        given.refuse(OF_THE_WIRE, "is for targets on the wire, and self is none")?;
        let time_wait = self.stack.time_wait.or(TIME_WAIT);
        let (shape, defaults) = (self.shape(), defaults(time_wait));
        let asked: Asked = self.talk.asked(shape, self.run.drain, outside)?;
        let options = BenchOptions {
            loads: vec![asked.one_of_ours(HOST, defaults)?],
            repeats: 1,
            link: self.here.link,
            cores: self.here.cores(outside),
            checksums: self.here.checksums,
            beside: 0,
            closed: false,
            backend: self.backend.backend,
            time_wait,
            burst: self.stack.burst.burst,
            tx_burst: self.stack.burst.tx_burst,
            stats_interval: self.run.stats_interval(),
            output: self.output.output(),
            expect: self.expect.expect,
        };
        Ok(Against::Ourselves(Box::new(options.checked()?)))
    }

    fn others(self, given: &Given, outside: &Outside<'_>) -> Result<Against, ConfigError> {
        given.refuse(OF_HERE, "is for both ends in one process, as with self")?;
        let targets = self.targets.iter().map(|word| targets::target(word)).collect::<Result<_, _>>()?;
        let shape = self.shape();
        let output: Output = self.output.output();
        let parts = wire::Parts {
            targets,
            source: self.source,
            asked: self.talk.asked(shape, self.run.drain, outside)?,
            turns: Turns::Own,
            defaults: defaults(Duration::ZERO),
            stack: self.stack,
            backend: self.backend.backend,
            stats_interval: self.run.stats_interval(),
            output,
            expect: self.expect.expect,
        };
        Ok(Against::Others(Box::new(parts.checked()?)))
    }

    /// One stage, at the rate with which the search begins.
    fn shape(&self) -> Shape {
        Shape {
            rate: Some(self.from),
            ramp: Some(self.ramp),
            duration: Some(self.duration),
            ..Shape::default()
        }
    }
}

fn defaults(warm_up: Duration) -> ShapeDefaults {
    ShapeDefaults { concurrency: 64, ramp: RAMP, warm_up }
}
