//! What runs were expected to show: each is judged by its figures and its latencies, the verdicts are reported and
//! written with the figures, and the exit status says whether all held.

use std::process::ExitCode;

use super::{Failure, say, sink};
use crate::config::expect::{Expectation, Facts};
use crate::config::output::Output;
use crate::stats::latency::Latencies;
use crate::telemetry::json;
use crate::telemetry::report::report;
use crate::telemetry::run::{Document, Run, Verdict};

/// Judges a run, and writes the verdicts into it. `latencies` are those behind its histograms.
pub(super) fn judge(run: &mut Run, expect: &[Expectation], latencies: &Latencies) {
    let Some(side) = run.leading() else { return };
    let account = &side.account;
    let counted = || run.sides().map(|(_, side)| side).filter(|side| side.counts_segments());
    let facts = Facts {
        attempted: account.attempted,
        established: account.established,
        failed: account.failed_all(),
        broken: account.broken_all(),
        retransmitted: counted().next().map(|_| counted().map(|side| side.retransmitted).sum()),
        rate: (run.duration_s > 0.0).then_some(side.connections_per_second),
        cycles: Some(side.cycles_per_connection).filter(|cycles| *cycles > 0.0),
        latencies,
    };
    let verdict = |expectation: &Expectation| {
        let judged = expectation.judge(&facts);
        Verdict { text: expectation.to_string(), held: judged.held, actual: judged.actual }
    };
    run.expected = expect.iter().map(verdict).collect();
}

/// The verdicts of all runs; where there are several, each says which run it is about.
fn verdicts(runs: &[Run]) -> Vec<Verdict> {
    let of = |run: &Run| match runs.len() {
        1 => String::new(),
        _ => format!("of {}, repeat {}: ", run.title(), run.repeat),
    };
    let each = |run: &Run| {
        let of = of(run);
        let name =
            move |verdict: &Verdict| Verdict { text: format!("{of}{}", verdict.text), ..verdict.clone() };
        run.expected.iter().map(name).collect::<Vec<_>>()
    };
    runs.iter().flat_map(each).collect()
}

/// The report of all runs, with their verdicts.
pub(super) fn text(runs: &[Run]) -> String {
    report(runs, &verdicts(runs), false)
}

/// Prints it.
pub(super) fn show(runs: &[Run]) {
    say(&format!("{}\n", text(runs)));
}

/// Writes the document where it is wanted, and ends the command: well, where everything held that was expected.
///
/// # Errors
/// The file cannot be written, or something did not hold.
pub(super) fn conclude(document: &Document, output: &Output) -> Result<ExitCode, Failure> {
    if let Some(path) = &output.json {
        json::write(document, sink::create(path)?).map_err(Failure::run)?;
    }
    held(&document.runs)
}

/// Whether everything held that was expected.
///
/// # Errors
/// Something did not.
pub(super) fn held(runs: &[Run]) -> Result<ExitCode, Failure> {
    let all = verdicts(runs);
    let failed: Vec<_> = all.iter().filter(|verdict| !verdict.held).collect();
    match failed.first() {
        None => Ok(ExitCode::SUCCESS),
        Some(first) => Err(Failure::run(format!(
            "{} of {} expectations did not hold: {} ({})",
            failed.len(),
            all.len(),
            first.text,
            first.actual
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::expect::expectation;
    use crate::stats::latency::Phase;
    use crate::telemetry::run::Side;

    fn run(established: u64) -> Run {
        let mut client = Side { connections_per_second: 50.0, ..Side::default() };
        (client.account.attempted, client.account.established) = (100, established);
        Run { profile: "crr".to_owned(), repeat: 1, duration_s: 2.0, client: Some(client), ..Run::default() }
    }

    fn judged(mut run: Run, expect: &[&str]) -> Run {
        let expect: Vec<_> = expect.iter().map(|text| expectation(text).unwrap()).collect();
        let mut latencies = Latencies::default();
        (1..=1_000).for_each(|n| latencies.record(Phase::Syn, n * 1_000_000));
        judge(&mut run, &expect, &latencies);
        run
    }

    fn document(runs: Vec<Run>) -> Document {
        Document {
            schema: String::new(),
            command: Vec::new(),
            versions: Default::default(),
            machine: Default::default(),
            device: Default::default(),
            runs,
            random_line: None,
            flatness: Vec::new(),
        }
    }

    #[test]
    fn percentiles_are_those_of_the_whole_histogram() {
        let run = judged(run(100), &["p99.7.syn<996ms", "p99.7.syn<998.5ms", "rate=50"]);
        let held: Vec<_> = run.expected.iter().map(|verdict| verdict.held).collect();
        assert_eq!(held, [false, true, true], "{:?}", run.expected);
    }

    #[test]
    fn what_the_run_did_not_count_does_not_hold() {
        let run = judged(Run { duration_s: 0.0, ..run(100) }, &["retransmitted=0", "cycles>0", "rate>=0"]);
        let actual: Vec<_> = run.expected.iter().map(|verdict| verdict.actual.as_str()).collect();
        assert_eq!(actual, ["not counted", "not measured", "not measured"]);
        let mut counting = self::run(100);
        counting.server = Some(Side { packets_per_connection: 6.0, retransmitted: 2, ..Side::default() });
        assert!(judged(counting, &["retransmitted=2"]).expected[0].held);
    }

    #[test]
    fn one_that_does_not_hold_ends_the_command_with_a_sentence_that_names_it() {
        let expect = ["established>=100%", "failed=0"];
        let good = document(vec![judged(run(100), &expect)]);
        assert_eq!(conclude(&good, &Output::default()), Ok(ExitCode::SUCCESS));
        let bad = document(vec![judged(run(100), &expect), judged(run(99), &expect)]);
        let Err(Failure { status: 1, sentence }) = conclude(&bad, &Output::default()) else { panic!() };
        assert_eq!(
            sentence,
            "1 of 4 expectations did not hold: of crr, repeat 1: established>=100% (99% (99 of 100))"
        );
        assert_eq!(conclude(&document(Vec::new()), &Output::default()), Ok(ExitCode::SUCCESS));
    }
}
