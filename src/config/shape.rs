//! The shape of a load as options: launches a second, connections at a time, ramps, durations, and for how long a
//! connection is held. What a schedule does with them is `load::schedule`'s.

use std::time::Duration;

use thiserror::Error;

use super::ConfigError;
use super::bounds::{Bounds, HOUR_US, Notation};
use super::stack::CONNECTIONS_MAX;
use crate::load::schedule::{Schedule, Stage};

/// How long a load lasts where nobody says so.
pub const DURATION_DEFAULT: Duration = Duration::from_secs(10);

/// Options on a load's shape that do not go together.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ShapeError {
    /// Both loops at once.
    #[error(
        "--rate and --concurrency exclude one another where connections are not held; leave one of the two out, \
         or add --hold"
    )]
    RateAndConcurrency,
    /// Several concurrencies where there is one run.
    #[error("--concurrency takes one number here; a list is for bench, which runs one after the other")]
    OneConcurrency,
    /// A concurrency twice in a list.
    #[error("--concurrency names {0} twice; leave one of the two out, or take --repeats 2 to run it twice")]
    ConcurrencyTwice(u32),
    /// A file of stages and what stands in it.
    #[error("--stages says itself what {0} would; leave one of the two out")]
    Stages(&'static str),
    /// A target where a duration should be.
    #[error("--hold takes '{0}' for its duration; write the targets first, and --hold behind them")]
    HoldsTarget(String),
    /// Another word than those for `--order`.
    #[error("--order takes 'own' or 'random', not '{0}'")]
    Order(String),
    /// A random order where nothing waits.
    #[error(
        "--order random draws among the open connections of a closed loop: give one --concurrency, the same number all \
         the time, and leave --rate and --hold out"
    )]
    RandomOrder,
}

/// How long a connection stays open after its last reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hold {
    /// For so long.
    For(Duration),
    /// Until no more connections are opened.
    ToTheEnd,
}

/// Which of the open connections of a closed loop goes on next.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Turns {
    /// Each at once.
    #[default]
    Own,
    /// Any of those that are open, drawn at random, so that all stay open for about as long.
    Random,
}

/// What was said about the shape.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Shape {
    /// `--rate`: launches a second.
    pub rate: Option<f64>,
    /// `--concurrency`: connections at a time, one number a run; empty where nothing was said.
    pub concurrency: Vec<u32>,
    /// `--hold`: how long each stays open.
    pub hold: Option<Hold>,
    /// `--ramp`: time to get there.
    pub ramp: Option<Duration>,
    /// `--duration`: time to stay there.
    pub duration: Option<Duration>,
    /// `--connections`: launches in all.
    pub connections: Option<u64>,
    /// `--stages`, read; empty where nothing was said.
    pub stages: Vec<Stage>,
}

/// What holds where nothing was said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShapeDefaults {
    /// Connections at a time, where no rate is given either.
    pub concurrency: u32,
    /// Time to get there.
    pub ramp: Duration,
    /// Time at the first level before anything is measured.
    pub warm_up: Duration,
}

impl Shape {
    /// The schedules of the runs: one for each concurrency.
    ///
    /// # Errors
    /// Options that do not go together.
    pub fn schedules(&self, defaults: ShapeDefaults) -> Result<Vec<Schedule>, ConfigError> {
        self.refuse_both_loops()?;
        let with = |stages| Schedule {
            stages,
            warm_up_ns: nanoseconds(defaults.warm_up),
            connections: self.connections,
        };
        if !self.stages.is_empty() {
            self.refuse_beside_stages()?;
            return Ok(vec![with(self.stages.clone())]);
        }
        let stage = |concurrency| Stage {
            rate: self.rate,
            concurrency,
            ramp_ns: nanoseconds(self.ramp.unwrap_or(defaults.ramp)),
            duration_ns: nanoseconds(self.duration.unwrap_or(DURATION_DEFAULT)),
        };
        if self.concurrency.is_empty() {
            let concurrency = if self.rate.is_none() { Some(defaults.concurrency) } else { None };
            return Ok(vec![with(vec![stage(concurrency)])]);
        }
        Ok(self.concurrency.iter().map(|level| with(vec![stage(Some(*level))])).collect())
    }

    fn refuse_both_loops(&self) -> Result<(), ConfigError> {
        let in_stages = self.stages.iter().any(|stage| stage.rate.is_some() && stage.concurrency.is_some());
        let both = in_stages || (self.rate.is_some() && !self.concurrency.is_empty());
        if both && self.hold.is_none() { Err(ShapeError::RateAndConcurrency.into()) } else { Ok(()) }
    }

    fn refuse_beside_stages(&self) -> Result<(), ConfigError> {
        let said = [
            ("--rate", self.rate.is_some()),
            ("--concurrency", !self.concurrency.is_empty()),
            ("--ramp", self.ramp.is_some()),
            ("--duration", self.duration.is_some()),
        ];
        match said.into_iter().find(|(_, said)| *said) {
            Some((option, _)) => Err(ShapeError::Stages(option).into()),
            None => Ok(()),
        }
    }
}

/// A schedule counts in nanoseconds.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The slowest is a connection in a quarter of an hour; the fastest is beyond what a link of 100 Gbit/s carries.
const RATE: Bounds = Bounds::of("the rate", Notation::Rate, 1, 100_000_000_000, "10k");
const CONCURRENCY: Bounds =
    Bounds::of("the number of connections at a time", Notation::Count, 1, CONNECTIONS_MAX, "64");
const CONNECTIONS: Bounds = Bounds::of("the number of connections in all", Notation::Count, 1, 1 << 48, "1M");
const RAMP: Bounds = Bounds::of("the ramp", Notation::Duration, 0, 24 * HOUR_US, "500ms");
const HOLD: Bounds = Bounds::of("the time to hold", Notation::Duration, 1_000, 3_650 * 24 * HOUR_US, "10s");

/// Reads `--rate`, 0.001 to 100M launches a second; `/s` may follow.
///
/// # Errors
/// Not a rate, or out of range.
pub fn rate(text: &str) -> Result<f64, ConfigError> {
    RATE.read_rate(text.strip_suffix("/s").unwrap_or(text))
}

/// Reads `--order`: `own` or `random`.
///
/// # Errors
/// Another word.
pub fn order(text: &str) -> Result<Turns, ConfigError> {
    match text {
        "own" => Ok(Turns::Own),
        "random" => Ok(Turns::Random),
        other => Err(ShapeError::Order(other.to_owned()).into()),
    }
}

/// Reads one number of `--concurrency`, 1 to 2^26.
///
/// # Errors
/// Not a count, or out of range.
pub fn concurrency(text: &str) -> Result<u32, ConfigError> {
    CONCURRENCY.read(text)
}

/// Reads `--connections`, 1 to 2^48.
///
/// # Errors
/// Not a count, or out of range.
pub fn connections(text: &str) -> Result<u64, ConfigError> {
    CONNECTIONS.read(text)
}

/// Reads `--ramp`, 0 to a day.
///
/// # Errors
/// Not a duration, or out of range.
pub fn ramp(text: &str) -> Result<Duration, ConfigError> {
    RAMP.read_duration(text)
}

/// The word that stands for [`Hold::ToTheEnd`]: `--hold` without a value means it.
pub const HOLD_TO_THE_END: &str = "end";

/// Reads `--hold`, a millisecond to ten years, or `end`.
///
/// # Errors
/// Not a duration, out of range, or the target that stands behind `--hold`.
pub fn hold(text: &str) -> Result<Hold, ConfigError> {
    if text == HOLD_TO_THE_END {
        return Ok(Hold::ToTheEnd);
    }
    if text.contains(':') || text == "self" {
        return Err(ShapeError::HoldsTarget(text.to_owned()).into());
    }
    HOLD.read_duration(text).map(Hold::For)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECT: ShapeDefaults =
        ShapeDefaults { concurrency: 1, ramp: Duration::ZERO, warm_up: Duration::ZERO };

    #[track_caller]
    fn refused(shape: &Shape, part: &str) {
        let error = shape.schedules(CONNECT).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn without_a_shape_one_connection_follows_another_for_ten_seconds() {
        let schedules = Shape::default().schedules(CONNECT).unwrap();
        let stage = Stage { concurrency: Some(1), duration_ns: 10_000_000_000, ..Stage::default() };
        assert_eq!(schedules, [Schedule { stages: vec![stage], ..Schedule::default() }]);
    }

    #[test]
    fn a_shape_becomes_a_schedule_for_each_concurrency() {
        let shape = Shape { concurrency: vec![10, 1_000], connections: Some(5), ..Shape::default() };
        let second = Duration::from_secs(1);
        let bench = ShapeDefaults { concurrency: 64, ramp: second, warm_up: second };
        let schedules = shape.schedules(bench).unwrap();
        let levels: Vec<_> = schedules.iter().map(Schedule::concurrency_max).collect();
        assert_eq!(levels, [Some(10), Some(1_000)]);
        assert!(schedules.iter().all(|s| s.connections == Some(5) && s.measured()[0].start == 2_000_000_000));
        let open = Shape { rate: Some(0.5), ramp: Some(Duration::ZERO), ..Shape::default() };
        let schedule = open.schedules(bench).unwrap().remove(0);
        assert_eq!((schedule.rate_max(), schedule.concurrency_max()), (Some(0.5), None));
        assert_eq!((schedule.measured()[0].start, schedule.end_ns()), (1_000_000_000, 11_000_000_000));
    }

    #[test]
    fn both_loops_go_together_only_where_connections_are_held() {
        let both = Shape { rate: Some(10.0), concurrency: vec![5], ..Shape::default() };
        refused(&both, "exclude one another where connections are not held");
        assert!(Shape { hold: Some(Hold::ToTheEnd), ..both }.schedules(CONNECT).is_ok());
        let stage = Stage { rate: Some(1.0), concurrency: Some(1), ..Stage::default() };
        refused(&Shape { stages: vec![stage], ..Shape::default() }, "add --hold");
    }

    #[test]
    fn stages_stand_alone() {
        let stages = vec![Stage { rate: Some(1.0), duration_ns: 1, ..Stage::default() }];
        let shape = Shape { stages: stages.clone(), connections: Some(9), ..Shape::default() };
        let schedule = shape.schedules(CONNECT).unwrap().remove(0);
        assert_eq!((schedule.stages, schedule.connections), (stages, Some(9)));
        refused(&Shape { rate: Some(1.0), ..shape.clone() }, "says itself what --rate would");
        refused(&Shape { concurrency: vec![1], ..shape.clone() }, "what --concurrency would");
        refused(&Shape { ramp: Some(Duration::ZERO), ..shape.clone() }, "what --ramp would");
        refused(&Shape { duration: Some(Duration::ZERO), ..shape }, "what --duration would");
    }

    #[test]
    fn numbers_have_ranges() {
        assert_eq!((rate("0.001"), rate("1.5k/s"), rate("100M")), (Ok(0.001), Ok(1_500.0), Ok(1e8)));
        assert_eq!((concurrency("1k"), concurrency("67108864")), (Ok(1_000), Ok(1 << 26)));
        assert_eq!((connections("1M"), ramp("0")), (Ok(1_000_000), Ok(Duration::ZERO)));
        assert_eq!(hold("10s"), Ok(Hold::For(Duration::from_secs(10))));
        assert_eq!((order("own"), order("random")), (Ok(Turns::Own), Ok(Turns::Random)));
        assert_eq!(hold("end"), Ok(Hold::ToTheEnd));
        for (error, part) in [
            (rate("0").unwrap_err(), "the rate must be 0.001 to 100M; the usual value is 10k"),
            (rate("1G").unwrap_err(), "0.001 to 100M"),
            (concurrency("0").unwrap_err(), "1 to 67108864"),
            (connections("0").unwrap_err(), "the number of connections in all must be 1 to"),
            (order("any").unwrap_err(), "'own' or 'random', not 'any'"),
            (ramp("25h").unwrap_err(), "0s to 1d"),
            (hold("0").unwrap_err(), "1ms to 3650d"),
            (hold("198.18.0.2:80").unwrap_err(), "write the targets first"),
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
