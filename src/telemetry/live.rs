//! What is shown while a run goes on, second by second: on a terminal a block of lines that is drawn again in place,
//! otherwise one line a second.

use std::collections::VecDeque;
use std::fmt::Write;

use super::run::Second;
use super::text::thousands;
use super::units::{cut, nanos, whole};

/// Seconds of which the sparkline tells.
const HISTORY: usize = 30;
/// Heights of a second's rate.
const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns of the progress bar.
const BAR: usize = 30;

/// How it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Screen {
    /// A terminal with so many columns.
    Terminal {
        /// Columns.
        columns: usize,
    },
    /// A file or a pipe: nothing is drawn twice.
    Lines,
}

/// What has been shown of a run.
#[derive(Clone, Debug)]
pub struct Live {
    screen: Screen,
    title: String,
    length_s: Option<f64>,
    rates: VecDeque<f64>,
    failed: u64,
    drawn: usize,
}

impl Live {
    /// Nothing yet of a run that is called `title` and takes `length_s` seconds, drain left out, where that is known.
    pub fn new(screen: Screen, title: &str, length_s: Option<f64>) -> Self {
        let rates = VecDeque::with_capacity(HISTORY);
        Live { screen, title: title.to_owned(), length_s, rates, failed: 0, drawn: 0 }
    }

    /// What is to be written for a second.
    pub fn second(&mut self, second: &Second) -> String {
        if self.rates.len() == HISTORY {
            self.rates.pop_front();
        }
        self.rates.push_back(rate(second));
        self.failed += second.failed;
        match self.screen {
            Screen::Lines => line(second),
            Screen::Terminal { columns } => self.block(second, columns),
        }
    }

    /// Something else is printed below the block: it stays where it is, and the next one is drawn anew.
    pub fn leave(&mut self) {
        self.drawn = 0;
    }

    fn block(&mut self, second: &Second, columns: usize) -> String {
        let opening = latency(second) + &busy(second);
        let lines = [self.progress(second), self.rate(second), self.levels(second), opening];
        let mut text = String::new();
        // Writing to a String cannot fail.
        if self.drawn > 0 {
            let _ = write!(text, "\x1b[{}A", self.drawn);
        }
        for line in &lines {
            let _ = writeln!(text, "\r\x1b[2K{}", cut(line, columns));
        }
        self.drawn = lines.len();
        text
    }

    fn progress(&self, second: &Second) -> String {
        let at_s = second.at_s;
        let Some(length_s) = self.length_s.filter(|length_s| *length_s > 0.0) else {
            return format!("{}  {}  {at_s:.1} s", self.title, second.phase);
        };
        let done = (at_s / length_s).clamp(0.0, 1.0);
        let full = (done * BAR as f64).round() as usize;
        let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR.saturating_sub(full)));
        format!("{}  {bar}  {:.1} of {length_s:.1} s  {}", self.title, at_s.min(length_s), second.phase)
    }

    fn rate(&self, second: &Second) -> String {
        let most = self.rates.iter().copied().fold(0.0, f64::max);
        let spark = |rate: &f64| {
            let share = if most > 0.0 { rate / most } else { 0.0 };
            let step = (share * (SPARKS.len() - 1) as f64).round() as usize;
            SPARKS.get(step).copied().unwrap_or(' ')
        };
        let sparks: String = self.rates.iter().map(spark).collect();
        let of = if second.syns.is_some() { "SYNs answered/s" } else { "connections/s" };
        format!("  {:>12} {of}  {sparks}", whole(rate(second)))
    }

    fn levels(&self, second: &Second) -> String {
        if let Some(syns) = second.syns {
            return format!(
                "  SYNs sent {}  answered {}",
                thousands(syns),
                thousands(second.answered.unwrap_or(0))
            );
        }
        format!(
            "  open {}  in flight {}  failed {} ({} in all)",
            thousands(second.open),
            thousands(second.in_flight),
            thousands(second.failed),
            thousands(self.failed)
        )
    }
}

/// What happened a second: connections closed, or in a flood SYNs answered.
fn rate(second: &Second) -> f64 {
    match second.answered {
        Some(answered) if second.len_s > 0.0 => answered as f64 / second.len_s,
        Some(_) => 0.0,
        None => second.connections_per_second,
    }
}

/// Latencies of opening, where any was measured.
fn latency(second: &Second) -> String {
    if second.established_p99_ns == 0 {
        return String::new();
    }
    format!(
        "  established p50 {}  p99 {}",
        nanos(second.established_p50_ns),
        nanos(second.established_p99_ns)
    )
}

/// Shares of busy cycles of the sides that are ours.
fn busy(second: &Second) -> String {
    let mut text = String::new();
    for (name, share) in [("client", second.client_busy), ("server", second.server_busy)] {
        if let Some(share) = share {
            let _ = write!(text, "  {name} busy {:.0} %", share * 100.0);
        }
    }
    text
}

/// A second in one line.
fn line(second: &Second) -> String {
    if let Some(syns) = second.syns {
        let (sent, answered) = (thousands(syns), thousands(second.answered.unwrap_or(0)));
        return format!(
            "{:>7.1}s  {:<7}  {}/s  SYNs sent {sent}  answered {answered}{}\n",
            second.at_s,
            second.phase,
            whole(rate(second)),
            busy(second)
        );
    }
    format!(
        "{:>7.1}s  {:<7}  {}/s  opened {}  open {}  in flight {}  failed {}{}{}\n",
        second.at_s,
        second.phase,
        whole(second.connections_per_second),
        thousands(second.established),
        thousands(second.open),
        thousands(second.in_flight),
        thousands(second.failed),
        latency(second),
        busy(second)
    )
}

#[cfg(test)]
#[path = "live/tests.rs"]
mod tests;
