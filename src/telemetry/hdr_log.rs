//! Latencies over time in HdrHistogram's log format, its histograms compressed in V2: what HistogramLogProcessor,
//! HistogramLogAnalyzer and the like read. One line for each interval and phase; the phase is the tag.

use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, IntervalLogWriterError, Tag};

use crate::stats::latency::{Latencies, Phase};

/// Writes intervals.
pub struct HdrLog<W: Write> {
    out: W,
    serializer: V2DeflateSerializer,
    /// When the run began of which intervals are written, on the log's clock, in nanoseconds.
    begun_ns: u64,
}

impl<W: Write> HdrLog<W> {
    /// Begins a log of what starts `started` after the Unix epoch: times of intervals count from there. `comments` say
    /// what was measured.
    ///
    /// # Errors
    /// `out` takes nothing.
    pub fn begin(mut out: W, started: Duration, comments: &[&str]) -> io::Result<Self> {
        let mut serializer = V2DeflateSerializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        // The tools look for the version first.
        builder.add_comment("[Histogram log format version 1.3]");
        comments.iter().for_each(|comment| {
            builder.add_comment(comment);
        });
        let phases = Phase::ALL.map(|phase| format!("{}: {}", phase.name(), phase.sentence())).join("; ");
        builder.add_comment(&format!("Nanoseconds, maxima included. Tags: {phases}."));
        builder.with_start_time(UNIX_EPOCH + started).with_base_time(UNIX_EPOCH + started);
        builder.begin_log_with(&mut out, &mut serializer)?;
        Ok(HdrLog { out, serializer, begun_ns: 0 })
    }

    /// A run begins, so long after the log: a comment says which, and times of its intervals count from now. So they go
    /// on where several runs share a log, and tools can cut out one of them.
    ///
    /// # Errors
    /// `out` takes no more.
    pub fn run(&mut self, title: &str, after: Duration) -> io::Result<()> {
        self.begun_ns = after.as_nanos() as u64;
        writeln!(self.out, "#From {:.3} s: {title}", after.as_secs_f64())
    }

    /// Writes the latencies of an interval between two times on the run's clock, in nanoseconds; a line for each phase,
    /// also where nothing was recorded.
    ///
    /// # Errors
    /// `out` takes no more.
    pub fn interval(&mut self, from_ns: u64, to_ns: u64, latencies: &Latencies) -> io::Result<()> {
        let (start, length) = (
            Duration::from_nanos(self.begun_ns + from_ns),
            Duration::from_nanos(to_ns.saturating_sub(from_ns)),
        );
        // Without comments a log has no head: lines are added to what is there.
        let builder = IntervalLogWriterBuilder::new();
        let mut lines = builder.begin_log_with(&mut self.out, &mut self.serializer)?;
        for phase in Phase::ALL {
            let written = lines.write_histogram(&latencies.of(phase), start, length, Tag::new(phase.name()));
            written.map_err(|error| match error {
                IntervalLogWriterError::IoError(error) => error,
                other => io::Error::other(other),
            })?;
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use base64::Engine as _;

    use super::*;

    fn latencies(ms: u64) -> Latencies {
        let mut latencies = Latencies::default();
        (1..=100).for_each(|n| latencies.record(Phase::Syn, n * ms * 10_000));
        latencies.record(Phase::Closed, 7_000);
        latencies
    }

    #[test]
    fn what_is_written_is_read_again_with_its_times_tags_and_values() {
        let mut text = Vec::new();
        let mut log = HdrLog::begin(&mut text, Duration::from_millis(1_700_000_000_250), &["crr"]).unwrap();
        log.interval(0, 1_000_000_000, &latencies(1)).unwrap();
        log.interval(1_000_000_000, 2_500_000_000, &latencies(2)).unwrap();
        let head: Vec<_> = std::str::from_utf8(&text).unwrap().lines().take(5).collect();
        assert_eq!(head[..2], ["#[Histogram log format version 1.3]", "#crr"]);
        assert_eq!(head[3], "#[StartTime: 1700000000.250 (seconds since epoch)]");
        assert_eq!(head[4], "#[BaseTime: 1700000000.250 (seconds since epoch)]");

        let mut intervals = Vec::new();
        for entry in IntervalLogIterator::new(&text) {
            if let LogEntry::Interval(interval) = entry.unwrap() {
                intervals.push(interval);
            }
        }
        let tags: Vec<_> = intervals.iter().map(|line| line.tag().unwrap().as_str()).collect();
        let names = Phase::ALL.map(Phase::name);
        assert_eq!(tags, [names, names].concat());
        let second = &intervals[5];
        assert_eq!(second.start_timestamp(), Duration::from_secs(1));
        assert_eq!(second.duration(), Duration::from_millis(1_500));
        let bytes = base64::engine::general_purpose::STANDARD.decode(second.encoded_histogram()).unwrap();
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut &bytes[..]).unwrap();
        assert_eq!(read, latencies(2).of(Phase::Syn));
        assert_eq!(second.max(), read.max() as f64);
        assert_eq!(intervals[7].max(), 0.0, "nothing was recorded of the first byte");
    }

    #[test]
    fn a_second_run_is_named_and_its_times_go_on() {
        let mut text = Vec::new();
        let mut log = HdrLog::begin(&mut text, Duration::ZERO, &[]).unwrap();
        for (title, after_ms) in [("open", 2), ("crr", 3_500)] {
            log.run(title, Duration::from_millis(after_ms)).unwrap();
            log.interval(0, 1_000_000_000, &latencies(1)).unwrap();
        }
        let text = std::str::from_utf8(&text).unwrap();
        let runs: Vec<_> = text.lines().filter(|line| line.starts_with("#From")).collect();
        assert_eq!(runs, ["#From 0.002 s: open", "#From 3.500 s: crr"]);
        let starts = text.lines().filter(|line| line.starts_with("Tag=syn"));
        let starts: Vec<_> = starts.map(|line| line.split(',').nth(1).unwrap()).collect();
        assert_eq!(starts, ["0.002", "3.500"]);
    }
}
