//! Where a measurement goes second by second: the terminal, a CSV file, an HdrHistogram log.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::Failure;
use super::gather::Show;
use crate::config::output::Output;
use crate::telemetry::collect::Ready;
use crate::telemetry::csv::{RunId, Table};
use crate::telemetry::hdr_log::HdrLog;
use crate::telemetry::live::{Live, Screen};

/// The places.
pub struct Sink {
    csv: Option<Table<BufWriter<File>>>,
    hdr_log: Option<HdrLog<BufWriter<File>>>,
    /// When the log's time began.
    opened: Instant,
    run: RunId,
    /// How it is shown, if it is, and how often.
    screen: Option<Screen>,
    interval_s: f64,
    /// When it was shown last, on the run's clock.
    shown_s: f64,
    live: Live,
}

/// Makes a file of results.
///
/// # Errors
/// It cannot be made.
pub fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    File::create(path).map(BufWriter::new).map_err(|error| unwritable(path, &error))
}

/// A file that is written when all is over can be made then; what it holds until then stays.
fn check(path: &Path) -> Result<(), Failure> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map(drop).map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::run(format!("{} cannot be written: {error}; name another file", path.display()))
}

impl Sink {
    /// Makes the files, but for the JSON's, of which it only finds out that it can be made. `live` is the time between what is shown on the terminal, of the last second each; nothing is
    /// without it. More often than once a second there is nothing new.
    ///
    /// # Errors
    /// One cannot be made.
    pub fn open(output: &Output, live: Option<Duration>) -> Result<Sink, Failure> {
        output.json.as_deref().map(check).transpose()?;
        let csv = output.csv.as_deref().map(create).transpose()?.map(Table::new);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let opened = Instant::now();
        let begin = |out| HdrLog::begin(out, now, &[concat!("dpdk-tcp ", env!("CARGO_PKG_VERSION"))]);
        let hdr_log = output.hdr_log.as_deref().map(create).transpose()?.map(begin).transpose();
        let hdr_log = hdr_log.map_err(Failure::run)?;
        let run = RunId { profile: String::new(), concurrency: None, rate: None, repeat: 0 };
        let interval_s = live.map_or(0.0, |interval| interval.as_secs_f64());
        let screen = live.map(|_| screen());
        let live = Live::new(Screen::Lines, "", None);
        Ok(Sink { csv, hdr_log, opened, run, screen, interval_s, shown_s: 0.0, live })
    }
}

/// How the run is shown: on a terminal in as many columns as it has, or as most have.
fn screen() -> Screen {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).unwrap_or(80);
    if io::stdout().is_terminal() { Screen::Terminal { columns } } else { Screen::Lines }
}

impl Show for Sink {
    fn begin(&mut self, run: &RunId, length_s: Option<f64>) {
        self.run = run.clone();
        if let Some(log) = &mut self.hdr_log {
            let title = format!("{}, repeat {}", run.title(), run.repeat);
            let _ = log.run(&title, self.opened.elapsed());
        }
        if let Some(screen) = self.screen {
            self.live = Live::new(screen, &run.title(), length_s);
        }
        self.shown_s = 0.0;
    }

    fn moment(&mut self, ready: &Ready) {
        if let Some(csv) = &mut self.csv {
            // A full disk ends no measurement; the file is short then.
            let _ = csv.second(&self.run, &ready.second);
        }
        if let Some(log) = &mut self.hdr_log {
            let _ = log.interval(ready.from_ns, ready.to_ns, &ready.latencies);
        }
        // Moments come a little early or late, and every one of them is shown where nobody asked for less.
        let is_due = self.interval_s <= 1.0 || ready.second.at_s - self.shown_s > self.interval_s - 0.5;
        if self.screen.is_some() && is_due {
            self.shown_s = ready.second.at_s;
            super::say(&self.live.second(&ready.second));
        }
    }

    fn over(&mut self) {
        self.live.leave();
    }
}
