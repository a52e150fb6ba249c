//! The final report to read: each plan with the rate of its repeats, both sides beside each other, latencies, the
//! account with a sentence for each reason, losses, warnings; the table of a sweep; whether expectations held. At most
//! 100 columns.

pub(super) mod account;
mod flood;

use std::fmt::Write;

use super::collect::Role;
use super::run::{Flood, Histogram, Run, Side, Tables, Verdict};
use super::spread::Spread;
use super::text::thousands;
use super::units::{COLUMNS, nanos, percent, seconds, whole, wrap};
use crate::stats::interval::STAGES;
use crate::stats::latency::Phase;

const BOLD: &str = "1";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// Paints, if anything is to be painted.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, colour: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// The report of all runs of a command. With `colour` headings and verdicts are painted by ANSI codes.
pub fn report(runs: &[Run], verdicts: &[Verdict], colour: bool) -> String {
    let paint = Paint(colour);
    let mut text = String::new();
    let plans = plans(runs);
    for repeats in &plans {
        plan(&mut text, paint, repeats);
        text.push('\n');
    }
    sweeps(&mut text, paint, &plans);
    for verdict in verdicts {
        let word = if verdict.held { paint.with(GREEN, "held") } else { paint.with(RED, "failed") };
        let line = format!("{}  ({})", verdict.text, verdict.actual);
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "expected {line}: {word}");
    }
    text
}

/// Runs that repeat each other, in the order of their first.
pub(super) fn plans(runs: &[Run]) -> Vec<Vec<&Run>> {
    let mut plans: Vec<Vec<&Run>> = Vec::new();
    for run in runs {
        let same = plans.iter_mut().find(|plan| plan.first().is_some_and(|first| first.repeats(run)));
        match same {
            Some(plan) => plan.push(run),
            None => plans.push(vec![run]),
        }
    }
    plans
}

fn rate(run: &Run) -> f64 {
    let closed = || run.leading().map_or(0.0, |side| side.connections_per_second);
    run.flood.as_ref().map_or_else(closed, Flood::units_per_second)
}

/// The repeat whose rate is the median, or the lower of the two in the middle.
pub(super) fn typical<'a>(repeats: &[&'a Run]) -> Option<&'a Run> {
    let mut sorted = repeats.to_vec();
    sorted.sort_by(|a, b| rate(a).total_cmp(&rate(b)));
    sorted.get(sorted.len().saturating_sub(1) / 2).copied()
}

fn plan(text: &mut String, paint: Paint, repeats: &[&Run]) {
    let Some(run) = typical(repeats) else { return };
    heading(text, paint, repeats, run);
    match &run.flood {
        Some(figures) => {
            flood::figures(text, paint, run, figures);
            flood::account(text, paint, repeats);
        }
        None => {
            time_wait(text, run);
            stream(text, run);
            sides(text, paint, run);
            if let Some(client) = run.client.as_ref().filter(|client| !client.histograms.is_empty()) {
                latencies(text, paint, client);
            }
            account::accounts(text, paint, repeats);
        }
    }
    tables(text, run);
    let mut said: Vec<&String> = Vec::new();
    for warning in repeats.iter().flat_map(|run| &run.warnings) {
        if !said.contains(&warning) {
            said.push(warning);
            hanging(text, &format!("  {}  ", paint.with(YELLOW, "!")), 5, warning);
        }
    }
}

/// What was done, and the rate that came out.
fn heading(text: &mut String, paint: Paint, repeats: &[&Run], run: &Run) {
    let mut line = run.title();
    let each = seconds(run.duration_s);
    let measured = match repeats.len() {
        1 => format!(", measured for {each}"),
        n => format!(", {n} repeats of {each}"),
    };
    line += &measured;
    if run.warm_up_s > 0.0 {
        line += &format!(" after {} of warm-up", seconds(run.warm_up_s));
    }
    line += &match run.cores {
        1 => ", on 1 core".to_owned(),
        n => format!(", on {n} cores"),
    };
    for line in wrap(&line, COLUMNS) {
        let _ = writeln!(text, "{}", paint.with(BOLD, &line));
    }
    let rates: Vec<_> = repeats.iter().map(|run| rate(run)).collect();
    let spread = Spread::of(&rates);
    let unit = match &run.flood {
        Some(Flood { closed: true, .. }) => "SYNs/s",
        Some(_) => "SYNs answered/s",
        None => "connections/s",
    };
    let number = whole(spread.median);
    let width = 2 + number.chars().count() + 1 + unit.len() + 1;
    let before = format!("  {} {unit} ", paint.with(BOLD, &number));
    let among = match repeats.len() {
        1 => String::new(),
        _ => format!(
            "(median; {} to {}, {} of it; the figures below are of repeat {})",
            whole(spread.least),
            whole(spread.most),
            percent(spread.width()),
            run.repeat
        ),
    };
    hanging(text, &before, width, &among);
}

/// Whether TIME-WAIT lasted.
fn time_wait(text: &mut String, run: &Run) {
    let evicted: u64 = run.sides().map(|(_, side)| side.time_wait_evicted).sum();
    let _ = match run.time_wait_shortened_s {
        Some(lasted_s) => writeln!(
            text,
            "  TIME-WAIT of {} shortened to {} at worst ({} entries evicted)",
            seconds(run.time_wait_s),
            seconds(lasted_s),
            thousands(evicted)
        ),
        None => writeln!(text, "  TIME-WAIT of {} honoured", seconds(run.time_wait_s)),
    };
}

/// What the tables lay on.
fn tables(text: &mut String, run: &Run) {
    if let Some(tables) = &run.tables {
        let _ = writeln!(text, "  tables on {}", tables.text());
    }
}

impl Tables {
    /// In words, with the share that lies on huge pages.
    pub fn text(&self) -> String {
        let all = format!("{} MiB", thousands(self.bytes >> 20));
        match self.huge_share {
            0.0 => format!("{} ({all})", self.pages),
            share => format!("{} ({:.0} % of {all})", self.pages, share * 100.0),
        }
    }
}

/// How much text went over, beside a loop that only copies and sums it.
fn stream(text: &mut String, run: &Run) {
    let Some(stream) = &run.stream else { return };
    let giga = |bits: f64| format!("{:.2}", bits / 1e9);
    let _ = write!(text, "  {} Gbit/s of text", giga(stream.bits_per_second));
    if let (Some(copied), Some(ratio)) = (stream.copied_bits_per_second, stream.ratio_to_copies) {
        let _ = write!(text, ", {ratio:.2} of the {} of a loop that copies and sums it", giga(copied));
    }
    text.push('\n');
}

/// A line of two columns.
type Row = (String, fn(&Side) -> String);

/// All figures of both sides.
fn sides(text: &mut String, paint: Paint, run: &Run) {
    let rows: [Row; 11] = [
        ("connections/s".into(), |side| whole(side.connections_per_second)),
        ("packets a connection".into(), |side| counted(side, format!("{:.2}", side.packets_per_connection))),
        ("busy cycles a connection".into(), |side| whole(side.cycles_per_connection)),
        ("floor, and the ratio to it".into(), floor),
        ("cycles passed a connection".into(), |side| whole(side.elapsed_cycles_per_connection)),
        ("busy share".into(), |side| percent(side.busy_share)),
        ("frames a call, rx and tx".into(), |side| counted(side, batches(side))),
        ("connections at a time".into(), |side| whole(side.connections)),
        ("TIME-WAIT entries".into(), |side| counted(side, whole(side.time_wait))),
        ("bytes: connection, TIME-WAIT".into(), |side| {
            let bytes = [side.bytes_per_connection, side.bytes_per_time_wait].map(thousands);
            counted(side, bytes.join(", "))
        }),
        ("sent again".into(), |side| counted(side, thousands(side.retransmitted))),
    ];
    let columns: Vec<_> = run.sides().collect();
    columns_of(text, paint, "", columns.iter().map(|(role, _)| role.name().to_owned()));
    for (name, of) in &rows {
        columns_of(text, Paint(false), name, columns.iter().map(|(_, side)| of(side)));
    }
    let stages = STAGES.iter().copied().chain(["other", "idle"]);
    for stage in stages.filter(|stage| columns.iter().any(|(_, side)| side.stages.contains_key(*stage))) {
        let cycles = columns.iter().map(|(_, side)| match side.stages.get(stage) {
            Some(cycles) => format!("{cycles:.1}"),
            None => "-".to_owned(),
        });
        columns_of(text, Paint(false), &format!("  cycles in {stage}"), cycles);
    }
}

/// A figure of our own stack: the kernel does not tell its.
fn counted(side: &Side, figure: String) -> String {
    if side.counts_segments() { figure } else { "-".to_owned() }
}

fn floor(side: &Side) -> String {
    let Some(floor) = side.floor_cycles_per_connection.filter(|floor| *floor > 0.0) else {
        return "-".to_owned();
    };
    format!("{}, {:.2}x", whole(floor), side.cycles_per_connection / floor)
}

fn batches(side: &Side) -> String {
    format!("{:.1}, {:.1}", side.rx_batch, side.tx_batch)
}

fn columns_of(text: &mut String, paint: Paint, name: &str, values: impl Iterator<Item = String>) {
    let mut line = format!("  {name:<28}");
    for value in values {
        let _ = write!(line, "{value:>22}");
    }
    let _ = writeln!(text, "{}", paint.with(BOLD, line.trim_end()));
}

/// One line a phase.
fn latencies(text: &mut String, paint: Paint, client: &Side) {
    const AT: [(&str, &str); 6] = [
        ("p50", "50"),
        ("p90", "90"),
        ("p99", "99"),
        ("p99.9", "99.9"),
        ("p99.99", "99.99"),
        ("p99.999", "99.999"),
    ];
    let mut head = format!("  {:<12}{:>14}", "latency", "samples");
    AT.iter().map(|(name, _)| *name).chain(["max"]).for_each(|name| {
        let _ = write!(head, "{name:>10}");
    });
    let _ = writeln!(text, "{}", paint.with(BOLD, &head));
    let known = Phase::ALL.iter().filter_map(|p| Some((p.name(), client.histograms.get(p.name())?)));
    for (name, histogram) in known {
        let Histogram { count, maximum, percentiles, .. } = histogram;
        let _ = write!(text, "  {name:<12}{:>14}", thousands(*count));
        for (_, at) in AT {
            let _ = write!(text, "{:>10}", percentiles.get(at).copied().map_or("-".to_owned(), nanos));
        }
        let _ = writeln!(text, "{:>10}", nanos(*maximum));
    }
}

/// A line whose text goes on in further lines below its beginning. `width` is what `before` takes on a screen.
fn hanging(text: &mut String, before: &str, width: usize, sentence: &str) {
    let lines = wrap(sentence, COLUMNS.saturating_sub(width));
    for (number, line) in lines.iter().enumerate() {
        let line = if number == 0 { format!("{before}{line}") } else { format!("{:width$}{line}", "") };
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// A table for each profile that ran at several concurrencies.
fn sweeps(text: &mut String, paint: Paint, plans: &[Vec<&Run>]) {
    let mut profiles: Vec<&str> = Vec::new();
    for run in plans.iter().flatten() {
        if !profiles.contains(&run.profile.as_str()) {
            profiles.push(&run.profile);
        }
    }
    for profile in profiles {
        let of_profile = |plan: &&Vec<&Run>| {
            plan.first().is_some_and(|run| run.profile == profile && run.concurrency.is_some())
        };
        let steps: Vec<_> = plans.iter().filter(of_profile).collect();
        if steps.len() > 1 {
            sweep(text, paint, profile, &steps);
        }
    }
}

fn sweep(text: &mut String, paint: Paint, profile: &str, steps: &[&Vec<&Run>]) {
    let _ = writeln!(text, "{}", paint.with(BOLD, &format!("{profile} by connections at a time")));
    let heads =
        ["at a time", "connections/s", "spread", "client", "x floor", "server", "x floor", "p99 open"];
    let widths = [13, 15, 9, 13, 9, 13, 9, 12];
    let mut line = |cells: [String; 8]| {
        for (cell, width) in cells.iter().zip(widths) {
            let _ = write!(text, "{cell:>width$}");
        }
        text.push('\n');
    };
    line(heads.map(str::to_owned));
    for repeats in steps {
        let Some(run) = typical(repeats) else { continue };
        let rates: Vec<_> = repeats.iter().map(|run| rate(run)).collect();
        let spread = Spread::of(&rates);
        let cycles = |side: Option<&Side>| {
            let Some(side) = side else { return ["-".to_owned(), "-".to_owned()] };
            let floor = side.floor_cycles_per_connection.filter(|floor| *floor > 0.0);
            let ratio = floor.map(|floor| format!("{:.2}", side.cycles_per_connection / floor));
            [whole(side.cycles_per_connection), ratio.unwrap_or("-".to_owned())]
        };
        let [client, client_ratio] = cycles(run.client.as_ref());
        let [server, server_ratio] = cycles(run.server.as_ref());
        let opened = run.client.as_ref().and_then(|side| side.histograms.get(Phase::Established.name()));
        let p99 = opened.and_then(|histogram| histogram.percentiles.get("99"));
        line([
            run.concurrency.map_or("-".to_owned(), thousands),
            whole(spread.median),
            if repeats.len() > 1 { percent(spread.width()) } else { "-".to_owned() },
            client,
            client_ratio,
            server,
            server_ratio,
            p99.map_or("-".to_owned(), |ns| nanos(*ns)),
        ]);
    }
    let _ = writeln!(
        text,
        "  (client, server: busy cycles a connection; open: intended launch to ESTABLISHED)\n"
    );
}

impl Run {
    /// It repeats the other run.
    pub fn repeats(&self, other: &Run) -> bool {
        let key = |run: &Run| (run.concurrency, run.rate.map(f64::to_bits));
        let flood = |run: &Run| run.flood.as_ref().map(|flood| (flood.closed, flood.beside));
        self.profile == other.profile && key(self) == key(other) && flood(self) == flood(other)
    }

    /// Its profile and load, in words.
    pub fn title(&self) -> String {
        let mut title = self.profile.clone();
        if let Some(concurrency) = self.concurrency {
            title += &format!(", {} at a time", thousands(concurrency));
        }
        if let Some(flood) = &self.flood {
            title += if flood.closed { " of a closed port" } else { "" };
            if flood.beside > 0 {
                title += &format!(" beside {} connections", thousands(flood.beside));
            }
        }
        if let Some(rate) = self.rate {
            title += &format!(", {}/s", if rate.fract() == 0.0 { whole(rate) } else { rate.to_string() });
        }
        title
    }

    /// The sides that were ours.
    pub fn sides(&self) -> impl Iterator<Item = (Role, &Side)> {
        let client = self.client.iter().map(|side| (Role::Client, side));
        client.chain(self.server.iter().map(|side| (Role::Server, side)))
    }

    /// The side whose rate is the run's: the client, where it is ours.
    pub fn leading(&self) -> Option<&Side> {
        self.client.as_ref().or(self.server.as_ref())
    }
}

#[cfg(test)]
#[path = "report/tests.rs"]
mod tests;
