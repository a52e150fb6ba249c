//! What a run is expected to show, `established>=99.99%` or `p99.syn<2ms`, and whether it did.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::{ConfigError, units};
use crate::base::text::thousands;
use crate::stats::latency::{Latencies, Phase};

/// Why an expectation cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ExpectError {
    /// Without an operator.
    #[error(
        "this expects nothing; write it like 'established>=99.99%' or 'p99.syn<2ms', in quotes, and targets before it"
    )]
    Form,
    /// Not a metric.
    #[error(
        "'{0}' cannot be expected; take established, failed, broken, rate, retransmitted, cycles, or a latency such \
         as p99.syn, max.established or mean.first_byte (phases: syn, established, first_byte, last_byte, closed)"
    )]
    Metric(String),
    /// Not a percentile.
    #[error("'{0}' is not a percentile; take one above 0 and up to 100, as in p99.9.syn")]
    Percentile(String),
    /// More than all of them.
    #[error("{metric} cannot be {share} of all, and a share is at most 100%; give a smaller one, or a count")]
    Share {
        /// The metric.
        metric: String,
        /// The share.
        share: String,
    },
    /// A value that could not be read.
    #[error("the value of {metric}: {error}")]
    Value {
        /// The metric.
        metric: String,
        /// What is wrong.
        error: units::UnitError,
    },
}

/// Where in a distribution.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Point {
    /// At so many millionths, from 1 to 1,000,000.
    Percentile(u64),
    Max,
    Mean,
}

/// What is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Metric {
    Established,
    Failed,
    Broken,
    Rate,
    Retransmitted,
    Cycles,
    Latency(Point, Phase),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operator {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Limit {
    Count(u64),
    /// Millionths.
    Share(u64),
    /// Thousandths.
    Number(u64),
    Nanoseconds(u64),
}

/// One expectation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expectation {
    text: String,
    metric: Metric,
    operator: Operator,
    limit: Limit,
}

/// What a run has shown. Counts are those of the whole run.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Connections that were begun.
    pub attempted: u64,
    /// Those that became ESTABLISHED.
    pub established: u64,
    /// Those that failed before.
    pub failed: u64,
    /// Established ones that did not end as planned.
    pub broken: u64,
    /// Segments that were sent again in the measured time, where they are counted.
    pub retransmitted: Option<u64>,
    /// Connections closed a second, in the measured time; `None` where nothing was measured.
    pub rate: Option<f64>,
    /// Busy cycles of the client a connection, where they are counted.
    pub cycles: Option<f64>,
    /// Latencies of measured connections.
    pub latencies: &'a Latencies,
}

/// Whether an expectation held, and what was found instead.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub struct Verdict {
    /// It held. What could not be told does not hold.
    pub held: bool,
    /// What was found, for people.
    pub actual: String,
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// Reads an expectation: a metric, one of `< <= > >= =`, and a value.
///
/// # Errors
/// Not of that form, or a metric or value that does not exist.
pub fn expectation(text: &str) -> Result<Expectation, ConfigError> {
    let at = text.find(['<', '>', '=']).ok_or(ExpectError::Form)?;
    let (name, rest) = text.split_at(at);
    let operators = [
        ("<=", Operator::AtMost),
        (">=", Operator::AtLeast),
        ("<", Operator::Less),
        (">", Operator::More),
        ("=", Operator::Equal),
    ];
    let found = operators.iter().find_map(|(sign, operator)| Some((rest.strip_prefix(sign)?, *operator)));
    let (value, operator) = found.ok_or(ExpectError::Form)?;
    let (name, value) = (name.trim(), value.trim());
    let metric = metric(name)?;
    let limit =
        limit(metric, value).map_err(|error| ExpectError::Value { metric: name.to_owned(), error })?;
    if matches!(limit, Limit::Share(1_000_001..)) {
        return Err(ExpectError::Share { metric: name.to_owned(), share: value.to_owned() }.into());
    }
    Ok(Expectation { text: text.to_owned(), metric, operator, limit })
}

fn metric(name: &str) -> Result<Metric, ConfigError> {
    let unknown = || ExpectError::Metric(name.to_owned());
    Ok(match name {
        "established" => Metric::Established,
        "failed" => Metric::Failed,
        "broken" => Metric::Broken,
        "rate" => Metric::Rate,
        "retransmitted" => Metric::Retransmitted,
        "cycles" => Metric::Cycles,
        _ => {
            // A percentile may have a point of its own.
            let (point, phase) = name.rsplit_once('.').ok_or_else(unknown)?;
            let phase = Phase::ALL.into_iter().find(|p| p.name() == phase).ok_or_else(unknown)?;
            let point = match (point, point.strip_prefix('p')) {
                ("max", _) => Point::Max,
                ("mean", _) => Point::Mean,
                (_, Some(number)) => percentile(number)?,
                _ => return Err(unknown().into()),
            };
            Metric::Latency(point, phase)
        }
    })
}

fn percentile(number: &str) -> Result<Point, ConfigError> {
    match units::percent(number) {
        Ok(millionths @ 1..=1_000_000) if !number.ends_with('%') => Ok(Point::Percentile(millionths)),
        _ => Err(ExpectError::Percentile(number.to_owned()).into()),
    }
}

fn limit(metric: Metric, value: &str) -> Result<Limit, units::UnitError> {
    match metric {
        Metric::Established | Metric::Failed | Metric::Broken if value.ends_with('%') => {
            units::percent(value).map(Limit::Share)
        }
        Metric::Established | Metric::Failed | Metric::Broken | Metric::Retransmitted => {
            units::count(value).map(Limit::Count)
        }
        Metric::Rate | Metric::Cycles => units::rate(value).map(Limit::Number),
        Metric::Latency(..) => units::duration(value)
            .map(|time| Limit::Nanoseconds(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))),
    }
}

impl Operator {
    fn holds<T: PartialOrd>(self, actual: &T, limit: &T) -> bool {
        match self {
            Operator::Less => actual < limit,
            Operator::AtMost => actual <= limit,
            Operator::More => actual > limit,
            Operator::AtLeast => actual >= limit,
            Operator::Equal => actual == limit,
        }
    }
}

impl Verdict {
    fn unknown(why: &str) -> Self {
        Verdict { held: false, actual: why.to_owned() }
    }
}

impl Expectation {
    /// Holds it against what a run has shown.
    pub fn judge(&self, facts: &Facts<'_>) -> Verdict {
        match self.metric {
            Metric::Established => self.judge_count(facts.established, facts.attempted),
            Metric::Failed => self.judge_count(facts.failed, facts.attempted),
            Metric::Broken => self.judge_count(facts.broken, facts.established),
            Metric::Retransmitted => match facts.retransmitted {
                Some(count) => self.judge_count(count, 0),
                None => Verdict::unknown("not counted"),
            },
            Metric::Rate => self.judge_number(facts.rate, "/s"),
            Metric::Cycles => self.judge_number(facts.cycles, ""),
            Metric::Latency(point, phase) => self.judge_latency(point, phase, facts.latencies),
        }
    }

    fn judge_count(&self, count: u64, of: u64) -> Verdict {
        match self.limit {
            Limit::Share(_) if of == 0 => Verdict::unknown("nothing to take a share of"),
            Limit::Share(millionths) => {
                // Both sides times the whole, so that nothing is rounded.
                let (actual, limit) =
                    (u128::from(count) * 1_000_000, u128::from(millionths) * u128::from(of));
                let shown = u64::try_from(actual / u128::from(of)).unwrap_or(u64::MAX);
                let actual_text =
                    format!("{} ({} of {})", units::percent_text(shown), thousands(count), thousands(of));
                Verdict { held: self.operator.holds(&actual, &limit), actual: actual_text }
            }
            Limit::Count(limit) => {
                Verdict { held: self.operator.holds(&count, &limit), actual: thousands(count) }
            }
            Limit::Number(_) | Limit::Nanoseconds(_) => Verdict::unknown("not a count"),
        }
    }

    fn judge_number(&self, actual: Option<f64>, unit: &str) -> Verdict {
        match (actual, self.limit) {
            (Some(actual), Limit::Number(thousandths)) => {
                let held = self.operator.holds(&actual, &(thousandths as f64 / 1e3));
                let shown =
                    if actual < 1_000.0 { format!("{actual:.3}") } else { thousands(actual.round() as u64) };
                Verdict { held, actual: format!("{shown}{unit}") }
            }
            _ => Verdict::unknown("not measured"),
        }
    }

    fn judge_latency(&self, point: Point, phase: Phase, latencies: &Latencies) -> Verdict {
        let histogram = latencies.of(phase);
        let Limit::Nanoseconds(limit) = self.limit else { return Verdict::unknown("not a latency") };
        if histogram.is_empty() {
            return Verdict::unknown("no sample");
        }
        let actual = match point {
            Point::Percentile(millionths) => histogram.value_at_quantile(millionths as f64 / 1e6),
            Point::Max => histogram.max(),
            Point::Mean => histogram.mean().round() as u64,
        };
        let shown = format!("{:.3?}", Duration::from_nanos(actual));
        Verdict { held: self.operator.holds(&actual, &limit), actual: shown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latencies() -> Latencies {
        let mut latencies = Latencies::default();
        for _ in 0..99 {
            latencies.record(Phase::Syn, 1_000_000);
        }
        latencies.record(Phase::Syn, 5_000_000);
        latencies
    }

    fn facts(latencies: &Latencies) -> Facts<'_> {
        Facts {
            attempted: 100_000,
            established: 99_990,
            failed: 10,
            broken: 0,
            retransmitted: Some(3),
            rate: Some(12_345.6),
            cycles: None,
            latencies,
        }
    }

    #[track_caller]
    fn judged(text: &str, held: bool, actual: &str) {
        let latencies = latencies();
        let verdict = expectation(text).unwrap().judge(&facts(&latencies));
        assert_eq!((verdict.held, verdict.actual.as_str()), (held, actual), "{text}");
    }

    #[test]
    fn counts_are_judged_by_number_and_by_share_without_rounding() {
        judged("established>=99.99%", true, "99.99% (99,990 of 100,000)");
        judged("established > 99.99%", false, "99.99% (99,990 of 100,000)");
        judged("established=99990", true, "99,990");
        judged("failed<=0.01%", true, "0.01% (10 of 100,000)");
        judged("failed<10", false, "10");
        judged("broken=0%", true, "0% (0 of 99,990)");
        judged("retransmitted<3", false, "3");
        let latencies = latencies();
        let close = Facts { attempted: 3_000_000_000, established: 2_999_999_999, ..facts(&latencies) };
        let verdict = expectation("established>=100%").unwrap().judge(&close);
        assert_eq!((verdict.held, verdict.actual.starts_with("99.9999% (")), (false, true), "{verdict:?}");
    }

    #[test]
    fn rates_and_latencies_are_judged() {
        judged("rate>=12.3k", true, "12,346/s");
        judged("rate<0.5", false, "12,346/s");
        judged("p50.syn<2ms", true, "1.000ms");
        judged("p99.9.syn<2ms", false, "5.001ms");
        judged("max.syn<=6ms", true, "5.001ms");
        judged("mean.syn<1041us", true, "1.040ms");
    }

    #[test]
    fn what_cannot_be_told_does_not_hold() {
        judged("cycles<1000", false, "not measured");
        judged("p99.closed<1h", false, "no sample");
        let latencies = Latencies::default();
        let nothing =
            Facts { attempted: 0, established: 0, retransmitted: None, rate: None, ..facts(&latencies) };
        for text in
            ["established>=0%", "failed<=100%", "broken=0%", "retransmitted=0", "rate>0", "max.syn<1h"]
        {
            assert!(!expectation(text).unwrap().judge(&nothing).held, "{text}");
        }
    }

    #[test]
    fn a_wrong_expectation_says_what_can_be_expected() {
        for (text, part) in [
            ("established", "this expects nothing; write it like 'established>=99.99%'"),
            ("198.18.0.2:80", "and targets before it"),
            ("opened>5", "'opened' cannot be expected; take established,"),
            ("p99.opened<1ms", "phases: syn, established, first_byte, last_byte, closed"),
            ("q99.syn<1ms", "'q99.syn' cannot be expected"),
            ("p0.syn<1ms", "'0' is not a percentile"),
            ("p101.syn<1ms", "'101' is not a percentile"),
            ("p.syn<1ms", "'' is not a percentile"),
            ("p99%.syn<1ms", "not a percentile"),
            ("p99.syn<2", ""),
            ("p99.syn<fast", "the value of p99.syn: this is not a duration"),
            ("established>=many", "the value of established: this is not a count"),
            ("rate==5", "the value of rate: this is not a rate"),
            ("retransmitted<1%", "the value of retransmitted: '%' is not a unit"),
        ] {
            match expectation(text) {
                Ok(read) => assert!(part.is_empty() && read.to_string() == text, "{text}"),
                Err(error) => {
                    assert!(!part.is_empty() && error.to_string().contains(part), "{text}: {error}")
                }
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "[a-z0-9.<>=%]{0,16}|.{0,12}") {
            if let Ok(read) = expectation(&text) {
                let latencies = latencies();
                let _ = read.judge(&facts(&latencies));
            }
        }
    }
}
