//! The seconds of runs as a table: one line a second, a line with the columns' names before (RFC 4180).

use std::io::{self, Write};

use serde::Serialize;

use super::run::{Run, Second};

/// Which run a line belongs to; its first columns.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct RunId {
    /// What one connection was.
    pub profile: String,
    /// Connections at a time, in a closed loop; empty otherwise.
    pub concurrency: Option<u64>,
    /// Launches a second, in an open loop; empty otherwise.
    pub rate: Option<f64>,
    /// The number of the repeat, from 1.
    pub repeat: u32,
}

impl RunId {
    /// The run in words.
    pub fn title(&self) -> String {
        let RunId { profile, concurrency, rate, .. } = self.clone();
        Run { profile, concurrency, rate, ..Run::default() }.title()
    }
}

/// Writes lines.
pub struct Table<W: Write>(csv::Writer<W>);

impl<W: Write> Table<W> {
    /// A table; its first line is written with the first second.
    pub fn new(out: W) -> Self {
        let writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
        Table(writer)
    }

    /// Writes a line, and hands it on at once, so that whoever follows the file sees it.
    ///
    /// # Errors
    /// `out` takes no more.
    pub fn second(&mut self, run: &RunId, second: &Second) -> io::Result<()> {
        self.0.serialize((run, second)).map_err(io::Error::from)?;
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::sample;

    fn table(run: &RunId) -> String {
        let mut text = Vec::new();
        let mut table = Table::new(&mut text);
        let mut seconds = sample::run(1_000, 1, 500_000.5).series;
        seconds[1].server_busy = None;
        seconds.iter().for_each(|second| table.second(run, second).unwrap());
        drop(table);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn each_second_is_a_line_under_the_names_of_all_its_fields() {
        let run = RunId { profile: "crr".to_owned(), concurrency: Some(1_000), rate: None, repeat: 1 };
        let text = table(&run);
        let lines: Vec<Vec<_>> =
            text.split_terminator("\r\n").map(|line| line.split(',').collect()).collect();
        assert_eq!(lines.len(), 5);
        let mut names = vec!["profile", "concurrency", "rate", "repeat"];
        let second = serde_json::to_string(&Second::default()).unwrap();
        let fields: Vec<_> = second.split('"').skip(1).step_by(2).filter(|name| !name.is_empty()).collect();
        names.extend(fields);
        assert_eq!(lines[0], names);
        assert_eq!(lines[1][..7], ["crr", "1000", "", "1", "1.0", "1.0", "ramp"]);
        let busy = |line: usize| lines[line][names.len() - 2..].to_vec();
        assert_eq!((busy(1), busy(2)), (vec!["0.75", "0.5"], vec!["0.75", ""]));
        let rate = names.iter().position(|name| *name == "connections_per_second").unwrap();
        assert_eq!(lines[3][rate], "500000.5");
    }

    #[test]
    fn what_would_break_a_line_is_quoted() {
        let run = RunId { profile: "a,\"b\"".to_owned(), rate: Some(0.5), repeat: 2, ..RunId::default() };
        let text = table(&run);
        assert!(text.contains("\r\n\"a,\"\"b\"\"\",,0.5,2,"), "{text}");
    }
}
