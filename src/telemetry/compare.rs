//! Two documents beside each other: which figures of which runs differ, by how much, how sure that is over their
//! repeats, and whether it is for the better or the worse.

use std::fmt::Write;

use thiserror::Error;

use super::collect::Role;
use super::run::{Document, Flood, Run, SCHEMA, Side};
use super::spread::{Spread, bootstrap, difference};
use super::units::{COLUMNS, cut, nanos, percent, whole};
use crate::base::rng::Rng;
use crate::stats::latency::Phase;

/// How two documents are compared.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options {
    /// The confidence of intervals, between 0 and 1.
    pub confidence: f64,
    /// Relative differences up to this are none: 0.02 for 2 %.
    pub threshold: f64,
    /// Where the resampling begins; the same seed gives the same intervals.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { confidence: 0.95, threshold: 0.02, seed: 1 }
    }
}

/// What a difference means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Surely more than the threshold to the better.
    Better,
    /// Surely more than the threshold to the worse.
    Worse,
    /// Within the threshold, or not sure.
    Same,
}

impl Verdict {
    /// Its words in the table.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Better => "better",
            Verdict::Worse => "WORSE",
            Verdict::Same => "no difference",
        }
    }
}

/// One figure of one side of the runs that repeat each other.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// The runs: profile and load, in words.
    pub runs: String,
    /// The side.
    pub role: Role,
    /// Its name: `connections_per_second`, `p99.syn`...
    pub figure: String,
    /// The median over the first document's repeats.
    pub a: f64,
    /// Over the second one's.
    pub b: f64,
    /// Relative to `a`.
    pub difference: f64,
    /// Where the difference lies; `None` where a document has a single repeat.
    pub interval: Option<(f64, f64)>,
    /// What it means.
    pub verdict: Verdict,
}

/// All of it.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Comparison {
    /// Ordered as the first document's runs.
    pub rows: Vec<Row>,
    /// Sentences on runs that only one document has.
    pub alone: Vec<String>,
    /// Something got worse.
    pub worse: bool,
}

/// Why two documents cannot be compared.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CompareError {
    /// One of them is of another format.
    #[error("the {which} document's format is `{schema}`, and only `{SCHEMA}` can be compared")]
    Unknown {
        /// `first` or `second`.
        which: &'static str,
        /// What it says it is.
        schema: String,
    },
    /// They have no run in common.
    #[error("the documents have no run with the same profile, concurrency and rate in common")]
    NothingInCommon,
}

/// A figure that is compared.
#[derive(Clone, Copy)]
enum Figure {
    /// One for which less is better, or more.
    Plain { name: &'static str, more_is_better: bool, of: fn(&Side) -> f64 },
    /// One of a flood, counted to its server.
    Flood { name: &'static str, more_is_better: bool, of: fn(&Flood) -> f64 },
    /// A percentile of a phase.
    Latency { phase: Phase, percentile: &'static str },
}

impl Figure {
    fn all() -> Vec<Figure> {
        let plain = |name, more_is_better, of| Figure::Plain { name, more_is_better, of };
        let mut all = vec![
            plain("connections_per_second", true, |side| side.connections_per_second),
            plain("cycles_per_connection", false, |side| side.cycles_per_connection),
            plain("packets_per_connection", false, |side| side.packets_per_connection),
        ];
        let flood = |name, more_is_better, of| Figure::Flood { name, more_is_better, of };
        all.push(flood("answered_per_second", true, |flood| flood.answered_per_second));
        all.push(flood("cycles_per_syn", false, |flood| flood.cycles_per_syn));
        for phase in Phase::ALL {
            all.extend(["50", "99"].map(|percentile| Figure::Latency { phase, percentile }));
        }
        all
    }

    fn name(self) -> String {
        match self {
            Figure::Plain { name, .. } | Figure::Flood { name, .. } => name.to_owned(),
            Figure::Latency { phase, percentile } => format!("p{percentile}.{}", phase.name()),
        }
    }

    fn more_is_better(self) -> bool {
        matches!(
            self,
            Figure::Plain { more_is_better: true, .. } | Figure::Flood { more_is_better: true, .. }
        )
    }

    fn of(self, run: &Run, role: Role, side: &Side) -> Option<f64> {
        match self {
            // What costs nothing was not counted, or nothing was closed.
            Figure::Plain { of, more_is_better, .. } => {
                Some(of(side)).filter(|value| more_is_better || *value > 0.0)
            }
            Figure::Flood { of, .. } => run.flood.as_ref().filter(|_| role == Role::Server).map(of),
            Figure::Latency { phase, percentile } => {
                let histogram = side.histograms.get(phase.name())?;
                histogram.percentiles.get(percentile).map(|ns| *ns as f64)
            }
        }
    }
}

/// Compares the second document with the first.
///
/// # Errors
/// A format is unknown, or they have nothing in common.
pub fn compare(a: &Document, b: &Document, options: &Options) -> Result<Comparison, CompareError> {
    for (which, document) in [("first", a), ("second", b)] {
        if document.schema != SCHEMA {
            return Err(CompareError::Unknown { which, schema: document.schema.clone() });
        }
    }
    let mut comparison = Comparison::default();
    let mut rng = Rng::new(options.seed);
    let mut common = 0;
    for (first, ours) in groups(a) {
        let theirs: Vec<_> = b.runs.iter().filter(|run| run.repeats(first)).collect();
        if theirs.is_empty() {
            comparison.alone.push(format!("only the first document has {}", first.title()));
        } else {
            common += 1;
            rows(&mut comparison.rows, &first.title(), [&ours, &theirs], options, &mut rng);
        }
    }
    for (first, _) in groups(b) {
        if !a.runs.iter().any(|run| run.repeats(first)) {
            comparison.alone.push(format!("only the second document has {}", first.title()));
        }
    }
    if common == 0 {
        return Err(CompareError::NothingInCommon);
    }
    comparison.worse = comparison.rows.iter().any(|row| row.verdict == Verdict::Worse);
    Ok(comparison)
}

/// Runs that repeat each other, under the first of them.
fn groups(document: &Document) -> Vec<(&Run, Vec<&Run>)> {
    let mut groups: Vec<(&Run, Vec<&Run>)> = Vec::new();
    for run in &document.runs {
        match groups.iter_mut().find(|(first, _)| first.repeats(run)) {
            Some((_, all)) => all.push(run),
            None => groups.push((run, vec![run])),
        }
    }
    groups
}

fn rows(into: &mut Vec<Row>, runs: &str, both: [&[&Run]; 2], options: &Options, rng: &mut Rng) {
    for role in Role::BOTH {
        for figure in Figure::all() {
            let [a, b] = both.map(|repeats| values(repeats, role, figure));
            let medians = [&a, &b].map(|values| Spread::of(values).median);
            // A figure that a side does not have is 0 in it.
            let Some(difference) = difference(medians[0], medians[1]).filter(|_| !b.is_empty()) else {
                continue;
            };
            let interval = bootstrap(&a, &b, options.confidence, rng);
            into.push(Row {
                runs: runs.to_owned(),
                role,
                figure: figure.name(),
                a: medians[0],
                b: medians[1],
                difference,
                interval,
                verdict: verdict(difference, interval, figure.more_is_better(), options.threshold),
            });
        }
    }
}

fn values(repeats: &[&Run], role: Role, figure: Figure) -> Vec<f64> {
    let sides = repeats.iter().flat_map(|run| run.sides().map(move |(role, side)| (run, role, side)));
    let ours = sides.filter(|(_, side, _)| *side == role);
    ours.filter_map(|(run, role, side)| figure.of(run, role, side)).collect()
}

/// Beyond the threshold, and no chance where that can be told: the interval does not hold 0.
fn verdict(difference: f64, interval: Option<(f64, f64)>, more_is_better: bool, threshold: f64) -> Verdict {
    let sure = interval.is_none_or(|(low, high)| low > 0.0 || high < 0.0);
    if difference.abs() <= threshold || !sure {
        Verdict::Same
    } else if (difference > 0.0) == more_is_better {
        Verdict::Better
    } else {
        Verdict::Worse
    }
}

impl Comparison {
    /// A table to read, of at most 100 columns.
    pub fn text(&self, options: &Options) -> String {
        let mut text = String::new();
        let mut runs = "";
        for row in &self.rows {
            if row.runs != runs {
                runs = &row.runs;
                // Writing to a String cannot fail, here and below.
                let _ = writeln!(text, "{}", cut(runs, COLUMNS));
                let sure = format!("{:.4}", options.confidence * 100.0);
                let sure = sure.trim_end_matches('0').trim_end_matches('.');
                let heads = ["first", "second", "change", &format!("{sure} % interval")];
                let [a, b, change, interval] = heads;
                let _ = writeln!(text, "  {:<29}{a:>11}{b:>12}{change:>10}  {interval:>18}", "");
            }
            let _ = writeln!(text, "{}", line(row).trim_end());
        }
        for sentence in &self.alone {
            let _ = writeln!(text, "{sentence}");
        }
        if self.rows.iter().any(|row| row.interval.is_none()) {
            let _ = writeln!(text, "A single repeat has no interval: its differences may be chance.");
        }
        text
    }
}

fn line(row: &Row) -> String {
    let shown = |value: f64| {
        if row.figure.starts_with('p') && row.figure.contains('.') {
            nanos(value.round() as u64)
        } else if value < 100.0 {
            format!("{value:.2}")
        } else {
            whole(value)
        }
    };
    let signed = |share: f64| format!("{}{}", if share > 0.0 { "+" } else { "" }, percent(share));
    let interval = row.interval.map_or("none".to_owned(), |(low, high)| {
        format!("{} to {}", signed(low).trim_end_matches(" %"), signed(high).trim_end_matches(" %"))
    });
    let (a, b, change) = (shown(row.a), shown(row.b), signed(row.difference));
    let name = format!("{} {}", row.role.name(), row.figure);
    format!("  {name:<29}{a:>11}{b:>12}{change:>10}  {interval:>18}  {}", row.verdict.name())
}

#[cfg(test)]
#[path = "compare/tests.rs"]
mod tests;
