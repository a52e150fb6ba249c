//! The command `bench max-rate`: trials at one rate after the other, each a run, until the highest that holds is found.

use std::process::ExitCode;
use std::time::Duration;

use super::Results;
use crate::cli::Failure;
use crate::cli::cores::CpuSet;
use crate::config::bench::{Against, MaxRateOptions};
use crate::config::load::LoadOptions;
use crate::load::schedule::{Schedule, Stage};
use crate::load::search::{Next, Search};
use crate::telemetry::limit::{self, Limits};
use crate::telemetry::report::report;
use crate::telemetry::run::Run;

/// Runs the command; `command` is the whole command line.
pub(in crate::cli) fn run(
    eal: Vec<String>,
    options: &MaxRateOptions,
    command: Vec<String>,
    online: &CpuSet,
) -> Result<ExitCode, Failure> {
    match &options.against {
        Against::Ourselves(bench) => super::start(eal, bench, Some(options), command, online),
        Against::Others(connect) => {
            let scope = Scope::of(options, &connect.load);
            crate::cli::search(eal, connect, &scope, command, online)
        }
    }
}

/// The load of a trial: that of the search, at this rate and so long.
pub(in crate::cli) fn trial(load: &LoadOptions, rate: f64, length: Duration) -> LoadOptions {
    LoadOptions { schedule: at(&load.schedule, rate, length), ..load.clone() }
}

fn at(schedule: &Schedule, rate: f64, length: Duration) -> Schedule {
    let duration_ns = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
    let stages = schedule.stages.iter().map(|stage| Stage { rate: Some(rate), duration_ns, ..*stage });
    Schedule { stages: stages.collect(), ..schedule.clone() }
}

/// What a search looks at.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::cli) struct Scope {
    /// The lowest and the highest rate, in connections a second.
    pub rates: [f64; 2],
    /// What each has to stay within.
    pub limits: Limits,
    /// How long the shortest trial is measured.
    pub length: Duration,
}

impl Scope {
    /// As it was asked for, with this load.
    pub fn of(options: &MaxRateOptions, load: &LoadOptions) -> Self {
        let latency_max_ns = u64::try_from(options.latency_max.as_nanos()).unwrap_or(u64::MAX);
        let length_ns = load.schedule.stages.first().map_or(0, |stage| stage.duration_ns);
        Scope {
            rates: [options.from, options.to],
            limits: Limits { loss_max: options.loss_max, latency_max_ns },
            length: Duration::from_nanos(length_ns),
        }
    }
}

/// Searches. `run` makes a trial at a rate, measured for so long; `is_interrupted` ends the search behind the trial that
/// is under way. `tell` gets a line for each trial when it is over.
///
/// # Errors
/// Those of `run`.
pub(in crate::cli) fn search(
    scope: &Scope,
    is_interrupted: impl Fn() -> bool,
    mut tell: impl FnMut(&str),
    mut run: impl FnMut(f64, Duration) -> Result<Run, Failure>,
) -> Result<Results, Failure> {
    let Scope { rates: [from, to], limits, length } = *scope;
    let mut search = Search::new(from, to);
    let mut runs: Vec<Run> = Vec::new();
    while let Next::Try { rate, purpose } = search.next() {
        let mut tried = run(rate, length * purpose.length())?;
        // What was cut short says nothing.
        if is_interrupted() {
            break;
        }
        let trial = limit::judge(&tried, purpose, limits);
        search.tried(trial.held);
        tried.trial = Some(trial);
        runs.push(tried);
        if let Some(last) = runs.last() {
            tell(&limit::line(runs.len(), last));
        }
    }
    let next = search.next();
    let is_found = matches!(next, Next::Found { .. });
    // The last trial of a search that found something is the one that confirmed it.
    let confirmed =
        runs.last().filter(|_| is_found).map(|last| report(std::slice::from_ref(last), &[], false));
    let text = format!("\n{}{}", confirmed.unwrap_or_default(), limit::outcome(next, &runs, limits));
    Ok(Results { runs, random_line: None, text, good: is_found })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::run::{Account, Histogram, Side};

    const SCOPE: Scope = Scope {
        rates: [1e3, 1e6],
        limits: Limits { loss_max: 0.0, latency_max_ns: 1_000_000 },
        length: Duration::from_secs(2),
    };

    /// A run against a server that takes so many a second; where there are more they come late.
    fn taking(rate_max: f64, rate: f64, length: Duration) -> Run {
        let p99 = if rate > rate_max { 50_000_000 } else { 20_000 };
        let histogram = Histogram { percentiles: [("99".to_owned(), p99)].into(), ..Histogram::default() };
        let account = Account { attempted: 1_000, ..Account::default() };
        let histograms = [("established".to_owned(), histogram)].into();
        let client = Side { account, histograms, ..Side::default() };
        let duration_s = length.as_secs_f64();
        Run { rate: Some(rate), duration_s, client: Some(client), ..Run::default() }
    }

    #[test]
    fn every_trial_is_a_run_and_the_last_one_confirms_what_was_found() {
        let mut lines = String::new();
        let results = search(
            &SCOPE,
            || false,
            |line| lines.push_str(line),
            |rate, length| Ok(taking(54_321.0, rate, length)),
        )
        .unwrap();
        assert_eq!(lines.lines().count(), results.runs.len(), "{lines}");
        assert!(results.good && results.text.contains("highest rate: 5"), "{}", results.text);
        let trials: Vec<_> = results.runs.iter().filter_map(|run| run.trial.as_ref()).collect();
        assert_eq!(trials.len(), results.runs.len());
        let last = results.runs.last().unwrap();
        assert!((53_200.0..=54_321.0).contains(&last.rate.unwrap()), "{:?}", last.rate);
        assert_eq!((last.duration_s, trials.last().unwrap().purpose.as_str()), (4.0, "confirm"));
        assert!(results.runs.iter().rev().skip(1).all(|run| run.duration_s == 2.0));
    }

    #[test]
    fn nothing_that_holds_is_no_success_and_a_trial_that_fails_to_run_ends_it() {
        let results =
            search(&SCOPE, || false, |_| {}, |rate, length| Ok(taking(10.0, rate, length))).unwrap();
        assert_eq!((results.good, results.runs.len()), (false, 1));
        assert!(results.text.contains("none, since --from did not hold"), "{}", results.text);
        let broken = search(&SCOPE, || false, |_| {}, |_, _| Err(Failure::run("no link")));
        assert_eq!(broken.err(), Some(Failure::run("no link")));
    }

    #[test]
    fn an_interrupted_search_keeps_what_was_tried_before() {
        let count = std::cell::Cell::new(0);
        let run = |rate, length| {
            count.set(count.get() + 1);
            Ok(taking(1e6, rate, length))
        };
        let results = search(&SCOPE, || count.get() == 3, |_| {}, run).unwrap();
        assert_eq!((results.good, results.runs.len()), (false, 2));
        assert!(results.text.contains("interrupted"), "{}", results.text);
    }

    #[test]
    fn a_trial_changes_rate_and_length_alone() {
        let stage = Stage { rate: Some(5.0), ramp_ns: 7, duration_ns: 9, concurrency: None };
        let schedule = Schedule { stages: vec![stage], warm_up_ns: 3, connections: None };
        let changed = at(&schedule, 50.0, Duration::from_nanos(18));
        let wanted = Stage { rate: Some(50.0), duration_ns: 18, ..stage };
        assert_eq!(changed, Schedule { stages: vec![wanted], ..schedule });
    }
}
