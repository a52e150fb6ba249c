//! Trials of a search for the highest rate: whether one stayed within its limits, what limited it where it did not, and
//! what the search came to, in words.

use std::fmt::Write;

use super::report::account::sentence;
use super::run::{Run, Side, Trial};
use super::units::{COLUMNS, nanos, percent, seconds, whole, wrap};
use crate::load::search::{Next, Purpose};
use crate::stats::latency::Phase;

/// From this share of busy cycles on a core is what limits.
const BUSY: f64 = 0.95;
/// What takes connections away; other drops are answers to what a peer did.
const TAKES: [&str; 15] = [
    "rx_missed",
    "rx_no_frame",
    "rx_errors",
    "tx_errors",
    "tx_full",
    "no_frame",
    "no_tcb",
    "syn_queue_full",
    "accept_queue_full",
    "address_full",
    "no_buffer",
    "tcp_checksum",
    "tcp_checksum_partial",
    "client_to_server",
    "server_to_client",
];

/// Within what a rate has to stay.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Limits {
    /// Connections that may fail or break, as a share of those attempted, 0 to 1.
    pub loss_max: f64,
    /// What 99 of 100 connections are established within, in nanoseconds.
    pub latency_max_ns: u64,
}

/// Judges a run that was a trial.
pub fn judge(run: &Run, purpose: Purpose, limits: Limits) -> Trial {
    let account = run.client.as_ref().map(|client| &client.account);
    let attempted = account.map_or(0, |account| account.attempted);
    let lost = account.map_or(0, |account| account.failed_all() + account.broken_all());
    let loss = if attempted > 0 { lost as f64 / attempted as f64 } else { 0.0 };
    let established = run.client.as_ref().and_then(|side| side.histograms.get(Phase::Established.name()));
    let p99 = established.and_then(|histogram| histogram.percentiles.get("99")).copied();
    // Where nothing was established nothing held.
    let slow = p99.is_none_or(|ns| ns > limits.latency_max_ns);
    let held = loss <= limits.loss_max && !slow;
    let limited_by = if held { Vec::new() } else { causes(run, p99) };
    Trial { purpose: purpose.name().to_owned(), held, loss, established_p99_ns: p99, limited_by }
}

/// What may have limited a run, in sentences: cores that were busy, then what was lost, by reason; and where neither is
/// the case, that connections waited.
fn causes(run: &Run, p99: Option<u64>) -> Vec<String> {
    let mut causes = busy(run);
    let client = run.client.as_ref();
    for (reason, count) in client.iter().flat_map(|side| &side.account.failed) {
        causes.push(format!("{} failed by {reason}: {}", whole(*count as f64), sentence("failed", reason)));
    }
    for (reason, count) in client.iter().flat_map(|side| &side.account.broken) {
        causes.push(format!("{} broke by {reason}: {}", whole(*count as f64), sentence("broken", reason)));
    }
    for (place, reason, count) in taken(run) {
        let why = sentence("lost", reason);
        causes.push(format!("{place}: {} frames lost by {reason}: {why}", whole(count as f64)));
    }
    match p99 {
        None if causes.is_empty() => causes.push("No connection was established in the measured time.".to_owned()),
        Some(ns) if causes.is_empty() => causes.push(format!(
            "99 of 100 connections were established within {} although no core was busy and nothing was lost: they \
             waited in queues, or for a core that something else had.",
            nanos(ns)
        )),
        _ => {}
    }
    causes
}

/// Frames that were lost where that takes connections away.
fn taken(run: &Run) -> Vec<(&str, &str, u64)> {
    let mut taken: Vec<(&str, &str, u64)> =
        run.losses.iter().map(|loss| (loss.place.as_str(), loss.reason.as_str(), loss.count)).collect();
    // One side alone has no losses in between, but drops of its own.
    if taken.is_empty() {
        for (role, side) in run.sides() {
            taken.extend(side.dropped.iter().map(|(reason, count)| (role.name(), reason.as_str(), *count)));
        }
    }
    taken.retain(|(_, reason, _)| TAKES.contains(reason));
    taken
}

/// Cores that had no time left.
fn busy(run: &Run) -> Vec<String> {
    if let (Some(client), Some(server), 1) = (&run.client, &run.server, run.cores) {
        // Each side's share is of its own turns.
        let (busy, passed) = (
            client.cycles_per_connection + server.cycles_per_connection,
            client.elapsed_cycles_per_connection,
        );
        let share = if passed > 0.0 { busy / passed } else { 0.0 };
        let sentence =
            format!("The core that both sides share was busy {} of its time.", percent(share.min(1.0)));
        return if share >= BUSY { vec![sentence] } else { Vec::new() };
    }
    let mut sentences = Vec::new();
    let share =
        |side: &Option<Side>| side.as_ref().map(|side| side.busy_share).filter(|share| *share >= BUSY);
    if let Some(share) = share(&run.server) {
        sentences.push(format!("The server's core was busy {} of its time.", percent(share)));
    }
    if let Some(share) = share(&run.client) {
        let busy = percent(share);
        sentences.push(format!(
            "The client's core was busy {busy} of its time: more clients may show that the server takes more."
        ));
    }
    sentences
}

/// A trial in a line.
pub fn line(number: usize, run: &Run) -> String {
    let rate = whole(run.rate.unwrap_or(0.0));
    let Some(trial) = &run.trial else { return String::new() };
    let verdict = if trial.held { "held" } else { "failed" };
    let (opened, shares) = (figures(trial, "  "), shares(run));
    format!("trial {number:<3} {:<8}{:>13}/s  {verdict:<6}  {opened}{shares}\n", trial.purpose, rate)
}

fn figures(trial: &Trial, between: &str) -> String {
    let p99 = trial.established_p99_ns.map_or("-".to_owned(), nanos);
    format!("loss {}{between}established p99 {p99}", loss(trial.loss))
}

/// As exact as limits are given.
fn loss(share: f64) -> String {
    format!("{:.4} %", share * 100.0)
}

fn shares(run: &Run) -> String {
    run.sides()
        .map(|(role, side)| format!("  {} busy {:.0} %", role.name(), side.busy_share * 100.0))
        .collect()
}

/// What the search came to: the rate that was found, and what the next one was limited by.
pub fn outcome(next: Next, runs: &[Run], limits: Limits) -> String {
    let mut text = String::new();
    let limit = format!(
        "loss up to {}, established p99 up to {}",
        loss(limits.loss_max),
        nanos(limits.latency_max_ns)
    );
    let mut say = |sentence: &str| {
        wrap(sentence, COLUMNS).iter().for_each(|line| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{line}");
        });
    };
    let worst = match next {
        Next::Found { rate, failed } => {
            let of =
                |run: &&Run| run.rate == Some(rate) && run.trial.as_ref().is_some_and(|trial| trial.held);
            let confirmed = runs.iter().rev().find(of);
            let seen = confirmed.and_then(|run| {
                Some(format!(" ({}, in {})", figures(run.trial.as_ref()?, ", "), seconds(run.duration_s)))
            });
            say(&format!("highest rate: {}/s{}", whole(rate), seen.unwrap_or_default()));
            say(&format!("within: {limit}"));
            if failed.is_none() {
                say("limited by: --to, which was reached and held; a higher one may hold too.");
            }
            failed
        }
        Next::Nothing => {
            say(&format!("highest rate: none, since --from did not hold within {limit}"));
            runs.iter().rev().find_map(|run| run.rate)
        }
        Next::Try { .. } => {
            say("highest rate: not known, since the search was interrupted");
            None
        }
    };
    let failed = worst.and_then(|rate| {
        let of = |run: &&Run| run.rate == Some(rate) && run.trial.as_ref().is_some_and(|trial| !trial.held);
        runs.iter().rev().find(of)
    });
    if let Some((run, trial)) = failed.and_then(|run| Some((run, run.trial.as_ref()?))) {
        let rate = whole(run.rate.unwrap_or(0.0));
        trial.limited_by.iter().for_each(|cause| say(&format!("limited by, at {rate}/s: {cause}")));
    }
    text
}

#[cfg(test)]
#[path = "limit/tests.rs"]
mod tests;
