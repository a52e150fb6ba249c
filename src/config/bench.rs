//! The options of `bench` and `bench max-rate` as checked values.

use std::time::Duration;

use thiserror::Error;

use super::ConfigError;
use super::bounds::{Bounds, HOUR_US, Notation};
use super::connect::ConnectOptions;
use super::expect::Expectation;
use super::load::LoadOptions;
use super::output::Output;
use super::shape;
use super::stack::{Backend, CONNECTIONS_MAX};
use super::talk::Profile;
use super::units::rate_text;

/// What carries frames between client and server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Link {
    /// DPDK's rings, with real mbufs.
    #[default]
    Ring,
    /// Memory, without DPDK's devices.
    Memory,
}

/// Who sums packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Checksums {
    /// The loops, in software.
    #[default]
    Software,
    /// Nobody: frames are marked as a network card would have summed and verified them.
    Marked,
}

/// Everything that `bench` can be told.
#[derive(Clone, PartialEq, Debug)]
pub struct BenchOptions {
    /// The runs: by concurrency, and for each by profile.
    pub loads: Vec<LoadOptions>,
    /// `--repeats`: how often each is run.
    pub repeats: u32,
    /// `--link`.
    pub link: Link,
    /// `--cores`: 1 runs both sides in turn on one core, 2 each on its own.
    pub cores: u32,
    /// `--checksums`.
    pub checksums: Checksums,
    /// `--beside`: established connections that the server has all the time while it is flooded.
    pub beside: u32,
    /// `--closed`: nobody listens on the port that is flooded.
    pub closed: bool,
    /// `--backend`: whose TCP both sides are.
    pub backend: Backend,
    /// `--time-wait`: 2 MSL. Each run warms up for so long.
    pub time_wait: Duration,
    /// `--burst`: frames asked for at once, 1 to [`BURST_MAX`](crate::base::burst::BURST_MAX).
    pub burst: usize,
    /// `--tx-burst`: frames handed over at once, 1 to [`BURST_MAX`](crate::base::burst::BURST_MAX).
    pub tx_burst: usize,
    /// `--stats-interval`: time between reports; `None` reports only at the end.
    pub stats_interval: Option<Duration>,
    /// `--json`, `--csv`, `--hdr-log`.
    pub output: Output,
    /// `--expect`, of each run.
    pub expect: Vec<Expectation>,
}

/// Whose highest rate is searched for. The load's schedule is one stage at [`MaxRateOptions::from`]: the ramp settles,
/// the duration measures, and the search changes the rate.
#[derive(Clone, PartialEq, Debug)]
pub enum Against {
    /// Our own server in this process; one load.
    Ourselves(Box<BenchOptions>),
    /// Other hosts.
    Others(Box<ConnectOptions>),
}

/// Everything that `bench max-rate` can be told.
#[derive(Clone, PartialEq, Debug)]
pub struct MaxRateOptions {
    /// What is measured.
    pub against: Against,
    /// `--loss-max`: connections that may fail or break, as a share of those attempted, 0 to 1.
    pub loss_max: f64,
    /// `--latency-max`: what 99 of 100 connections are established within.
    pub latency_max: Duration,
    /// `--from`: the lowest rate tried, in connections a second.
    pub from: f64,
    /// `--to`: the highest.
    pub to: f64,
}

/// A search that cannot begin.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum BenchError {
    /// The range of rates is empty.
    #[error("--from {} is not below --to {}; give a lower one to begin with", rate_text(*.from), rate_text(*.to))]
    Rates {
        /// Thousandths.
        from: u64,
        /// Thousandths.
        to: u64,
    },
    /// Neither targets nor `self`.
    #[error(
        "bench max-rate needs what to measure: TARGETs such as 198.18.0.2:80, or self for our own server"
    )]
    NothingToMeasure,
    /// An option of a flood where there is none.
    #[error("{0} is for --profile flood; leave it out, or take that profile")]
    NoFlood(&'static str),
    /// Both.
    #[error("'self' is our own server and stands alone; leave it out, or the targets beside it")]
    SelfAndOthers,
}

impl BenchOptions {
    /// Checks what concerns several options at once.
    ///
    /// # Errors
    /// Files given twice, segments beyond the MTU, what is for a flood where there is none, or what the kernel cannot do.
    pub fn checked(self) -> Result<Self, ConfigError> {
        self.output.check()?;
        let of_a_flood = [("--beside", self.beside > 0), ("--closed", self.closed)];
        let given = of_a_flood.into_iter().find(|(_, given)| *given);
        if let Some((option, _)) = given
            && !self.loads.iter().any(|load| load.profile == Profile::Flood)
        {
            return Err(BenchError::NoFlood(option).into());
        }
        for load in &self.loads {
            load.check_backend(self.backend)?;
            if self.backend == Backend::Dpdk {
                load.imitate.check_mtu(MTU)?;
            }
        }
        Ok(self)
    }
}

/// Largest IP packet on bench's link, in bytes.
pub const MTU: u16 = 1_500;

impl MaxRateOptions {
    /// Checks the range of rates.
    ///
    /// # Errors
    /// It is empty.
    pub fn checked(self) -> Result<Self, ConfigError> {
        if self.from < self.to {
            return Ok(self);
        }
        let [from, to] = [self.from, self.to].map(|rate| (rate * 1e3).round() as u64);
        Err(BenchError::Rates { from, to }.into())
    }
}

const REPEATS: Bounds = Bounds::of("the number of repeats", Notation::Count, 1, 1_000, "5");
const CORES: Bounds = Bounds::of("the number of cores", Notation::Count, 1, 2, "2")
    .because(", because there are two sides and each runs on one");
const BESIDE: Bounds =
    Bounds::of("the number of connections beside a flood", Notation::Count, 0, CONNECTIONS_MAX, "10M");
const LOSS_MAX: Bounds = Bounds::of("the loss", Notation::Percent, 0, 500_000, "0.01%");
const LATENCY_MAX: Bounds = Bounds::of("the latency", Notation::Duration, 1, HOUR_US, "10ms");

/// Reads `--link`.
///
/// # Errors
/// Another word than the two.
pub fn link(text: &str) -> Result<Link, ConfigError> {
    match text {
        "ring" => Ok(Link::Ring),
        "memory" => Ok(Link::Memory),
        _ => Err(ConfigError::word("a link", text, "ring or memory")),
    }
}

/// Reads `--checksums`.
///
/// # Errors
/// Another word than the two.
pub fn checksums(text: &str) -> Result<Checksums, ConfigError> {
    match text {
        "software" => Ok(Checksums::Software),
        "marked" => Ok(Checksums::Marked),
        _ => Err(ConfigError::word("a way to sum packets", text, "software or marked")),
    }
}

/// Reads `--repeats`, 1 to 1000.
///
/// # Errors
/// Not a count, or out of range.
pub fn repeats(text: &str) -> Result<u32, ConfigError> {
    REPEATS.read(text)
}

/// Reads `--cores`, 1 or 2.
///
/// # Errors
/// Not a count, or out of range.
pub fn cores(text: &str) -> Result<u32, ConfigError> {
    CORES.read(text)
}

/// Reads `--beside`, 0 to 2^26.
///
/// # Errors
/// Not a count, or out of range.
pub fn beside(text: &str) -> Result<u32, ConfigError> {
    BESIDE.read(text)
}

/// Reads `--loss-max`, 0% to 50%, as a share.
///
/// # Errors
/// Not a percentage, or out of range.
pub fn loss_max(text: &str) -> Result<f64, ConfigError> {
    LOSS_MAX.read::<u64>(text).map(|millionths| millionths as f64 / 1e6)
}

/// Reads `--latency-max`, a microsecond to an hour.
///
/// # Errors
/// Not a duration, or out of range.
pub fn latency_max(text: &str) -> Result<Duration, ConfigError> {
    LATENCY_MAX.read_duration(text)
}

/// Reads `--from` and `--to`, as `--rate`.
///
/// # Errors
/// Not a rate, or out of range.
pub fn bound(text: &str) -> Result<f64, ConfigError> {
    shape::rate(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_are_read() {
        assert_eq!((link("ring"), link("memory")), (Ok(Link::Ring), Ok(Link::Memory)));
        assert_eq!(
            (checksums("software"), checksums("marked")),
            (Ok(Checksums::Software), Ok(Checksums::Marked))
        );
        assert_eq!((repeats("5"), cores("1")), (Ok(5), Ok(1)));
        assert_eq!((beside("0"), beside("10M"), beside("67108864")), (Ok(0), Ok(10_000_000), Ok(1 << 26)));
        assert_eq!((loss_max("0.01%"), latency_max("50us")), (Ok(0.0001), Ok(Duration::from_micros(50))));
        for (error, part) in [
            (link("wire").unwrap_err(), "'wire' is not a link; take ring or memory"),
            (checksums("none").unwrap_err(), "take software or marked"),
            (repeats("0").unwrap_err(), "1 to 1000"),
            (cores("3").unwrap_err(), "1 to 2, because there are two sides"),
            (beside("68M").unwrap_err(), "connections beside a flood must be 0 to 67108864"),
            (loss_max("51%").unwrap_err(), "the loss must be 0% to 50%; the usual value is 0.01%"),
            (latency_max("0").unwrap_err(), "1us to 1h"),
            (bound("0").unwrap_err(), "0.001 to 100M"),
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
