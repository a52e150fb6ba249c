//! What a run leaves to read: the document, the table, the latency log, lines second by second, the block on a terminal.

use std::collections::BTreeMap;
use std::fs;

use base64::Engine as _;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::peer::{self, Server};
use super::{PORT, Scratch, TARGET, connect};
use crate::child;
use crate::lab::{self, TAP};

const LOAD: &[&str] = &[TARGET, "--talk", "echo", "--rate", "200", "--duration", "1500ms"];

#[test]
fn the_document_keeps_to_its_schema_and_agrees_with_itself() {
    lab::in_namespace("connect::output::the_document_keeps_to_its_schema_and_agrees_with_itself", || {
        super::tap();
        let server = Server::start(&[PORT], peer::echo);
        let left = connect(LOAD);
        let schema = include_str!("../../../docs/schema/run.schema.json");
        let schema = serde_json::from_str(schema).unwrap();
        let value = serde_json::to_value(&left.document).unwrap();
        if let Err(error) = jsonschema::draft202012::validate(&schema, &value) {
            panic!("{error} at {}", error.instance_path());
        }
        let (device, machine) = (&left.document.device, &left.document.machine);
        assert_eq!(
            (device.name.as_str(), device.driver.as_str(), device.mtu),
            ("net_tap0", "net_tap", 1_500)
        );
        assert!(machine.tsc_hz > 0 && machine.cpus > 0 && !machine.kernel.is_empty());
        assert!(left.document.command.iter().any(|word| word == "connect"));
        let (run, client, account) = (left.run(), left.client(), left.account());
        assert_eq!((run.rate, run.concurrency, run.cores), (Some(200.0), None, 1));
        assert!(run.server.is_none() && (1.4..2.5).contains(&run.duration_s), "{}", run.duration_s);
        let sum = |of: fn(&super::Second) -> u64| left.series().iter().map(of).sum::<u64>();
        assert_eq!(sum(|second| second.attempted), account.attempted);
        assert_eq!(sum(|second| second.established), account.established);
        assert_eq!(sum(|second| second.closed), account.closed_all());
        for phase in ["syn", "established", "first_byte", "last_byte", "closed"] {
            assert_eq!(client.histograms[phase].count, account.established, "{phase}");
        }
        assert!(client.histograms["syn"].minimum > 0);
        assert_eq!(server.accepted(), account.established);
    });
}

#[test]
fn the_table_has_a_line_a_second_that_says_what_the_document_says() {
    lab::in_namespace(
        "connect::output::the_table_has_a_line_a_second_that_says_what_the_document_says",
        || {
            super::tap();
            let _server = Server::start(&[PORT], peer::echo);
            let scratch = Scratch::new();
            let file = scratch.file("run.csv");
            let left = connect(&[LOAD, &["--csv", &file]].concat());
            let text = fs::read_to_string(file).unwrap();
            let mut lines = text.split_terminator("\r\n").map(|line| line.split(',').collect::<Vec<_>>());
            let names = lines.next().unwrap();
            let column = |name: &str| names.iter().position(|one| *one == name).unwrap();
            let (attempted, closed, phase) = (column("attempted"), column("closed"), column("phase"));
            let rows: Vec<_> = lines.collect();
            assert!(rows.len() >= 2, "{text}");
            assert_eq!(rows.len(), left.series().len());
            for (row, second) in rows.iter().zip(left.series()) {
                assert_eq!(row.len(), names.len());
                assert_eq!(row[attempted].parse(), Ok(second.attempted));
                assert_eq!(row[closed].parse(), Ok(second.closed));
                assert_eq!(row[phase], second.phase);
            }
        },
    );
}

#[test]
fn the_latency_log_holds_every_sample_of_the_document() {
    lab::in_namespace("connect::output::the_latency_log_holds_every_sample_of_the_document", || {
        super::tap();
        let _server = Server::start(&[PORT], peer::echo);
        let scratch = Scratch::new();
        let file = scratch.file("run.hlog");
        let left = connect(&[LOAD, &["--hdr-log", &file]].concat());
        let text = fs::read(file).unwrap();
        let mut phases: BTreeMap<String, Histogram<u64>> = BTreeMap::new();
        for entry in IntervalLogIterator::new(&text) {
            let LogEntry::Interval(line) = entry.unwrap() else { continue };
            let octets = base64::engine::general_purpose::STANDARD.decode(line.encoded_histogram()).unwrap();
            let read: Histogram<u64> = Deserializer::new().deserialize(&mut &octets[..]).unwrap();
            let tag = line.tag().unwrap().as_str().to_owned();
            phases.entry(tag).or_insert_with(|| Histogram::new(3).unwrap()).add(read).unwrap();
        }
        let documented = &left.client().histograms;
        assert_eq!(phases.len(), 5);
        for (name, recorded) in &phases {
            let said = &documented[name];
            assert_eq!((recorded.len(), said.count > 0), (said.count, true), "{name}");
            assert!(recorded.max() >= said.maximum, "{name}");
        }
    });
}

#[test]
fn a_reader_of_lines_gets_one_a_second_and_the_report_at_the_end() {
    lab::in_namespace(
        "connect::output::a_reader_of_lines_gets_one_a_second_and_the_report_at_the_end",
        || {
            super::tap();
            let _server = Server::start(&[PORT], peer::echo);
            let left = connect(LOAD);
            let out = &left.ended.out;
            let lines = out.lines().filter(|line| line.contains("/s  opened ")).count();
            assert_eq!(lines, left.series().len(), "{out}");
            assert!(!out.contains('\x1b'), "{out}");
            assert!(out.contains("account of the client"), "{out}");
            let quiet = connect(&[LOAD, &["--stats-interval", "0"]].concat()).ended.out;
            assert!(!quiet.contains("/s  opened ") && quiet.contains("account of the client"), "{quiet}");
        },
    );
}

#[test]
fn a_terminal_gets_a_block_that_is_drawn_again_in_place() {
    lab::in_namespace("connect::output::a_terminal_gets_a_block_that_is_drawn_again_in_place", || {
        super::tap();
        let _server = Server::start(&[PORT], peer::echo);
        let device = format!("net_tap0,iface={TAP},mac={}", super::MAC);
        let eal = child::options(&["-l", "0", "--vdev", &device, "--log-level=*:error"]);
        let line = [
            &[env!("CARGO_BIN_EXE_dpdk-tcp").to_owned()][..],
            &eal,
            &["--".to_owned(), "connect".to_owned()],
            &LOAD.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(),
        ]
        .concat()
        .join(" ");
        let scratch = Scratch::new();
        // script gives the program a terminal.
        let shown = std::process::Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .env("RUNTIME_DIRECTORY", scratch.file(""))
            .env("TERM", "xterm")
            .stdin(std::process::Stdio::null())
            .output();
        let Ok(shown) = shown else { return println!("it is left out: there is no `script`") };
        let text = String::from_utf8_lossy(&shown.stdout);
        assert!(shown.status.success(), "{text}");
        assert!(text.contains("connections/s  "), "{text}");
        assert!(text.contains("\x1b[4A") && text.contains('█'), "{text}");
        assert!(text.contains("account of the client"), "{text}");
    });
}

#[test]
fn a_file_that_cannot_be_made_is_refused_before_anything_starts() {
    lab::in_namespace(
        "connect::output::a_file_that_cannot_be_made_is_refused_before_anything_starts",
        || {
            for option in ["--json", "--csv", "--hdr-log"] {
                let words = ["connect", TARGET, option, "/nowhere/at/all"];
                let ended = lab::Program::start(&["-l", "0", "--vdev", "net_null0"], &words).end();
                assert_eq!((ended.status.code(), ended.out.as_str()), (Some(1), ""), "{}", ended.err);
                assert!(ended.err.contains("/nowhere/at/all cannot be written"), "{}", ended.err);
            }
        },
    );
}
