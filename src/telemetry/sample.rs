//! Documents for the tests of this layer: one with everything in it, and one of its runs with other figures.

use std::collections::BTreeMap;

use super::run::{
    Account, Device, Document, Flatness, Flood, FloodAccount, Histogram, Loss, Machine, RandomLine, Run,
    SCHEMA, Second, Side, Stream, Tables, Trial, Verdict,
};

fn map<T: Copy>(entries: &[(&str, T)]) -> BTreeMap<String, T> {
    entries.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

fn histogram(p50: u64) -> Histogram {
    let percentiles = map(&[
        ("50", p50),
        ("90", 2 * p50),
        ("99", 4 * p50),
        ("99.9", 8 * p50),
        ("99.99", 16 * p50),
        ("99.999", 32 * p50),
    ]);
    Histogram { count: 2_000_000, minimum: p50 / 2, mean: p50 as f64 * 1.25, maximum: 40 * p50, percentiles }
}

fn side(rate: f64, cycles: f64) -> Side {
    Side {
        established: 1_000_010,
        closed: 1_000_000,
        connections_per_second: rate,
        cycles_per_connection: cycles,
        elapsed_cycles_per_connection: cycles * 1.5,
        floor_cycles_per_connection: Some(cycles / 4.0),
        packets_per_connection: 6.0,
        busy_share: 0.75,
        stages: map(&[
            ("rx", 100.0),
            ("classify", 150.0),
            ("lookup", 50.0),
            ("process", 800.0),
            ("timers", 20.0),
            ("pay", 500.0),
            ("tx", 80.5),
            ("other", 4.0),
            ("idle", 600.0),
        ]),
        rx_batch: 17.5,
        tx_batch: 9.25,
        bytes_per_connection: 512,
        bytes_per_time_wait: 32,
        retransmitted: 3,
        time_wait_evicted: 2,
        connections: 1_000.5,
        time_wait: 250_000.0,
        account: Account::default(),
        dropped: map(&[("syn_repeated", 4)]),
        histograms: BTreeMap::new(),
    }
}

/// A run of `crr` at this concurrency, in which everything happened.
pub fn run(concurrency: u64, repeat: u32, rate: f64) -> Run {
    let mut client = side(rate, 2.0e9 / rate);
    client.account = Account {
        attempted: 3_000_100,
        established: 3_000_060,
        in_flight: 15,
        open: 20,
        failed: map(&[("no_tuple", 20), ("syn_timeout", 5)]),
        closed: map(&[("peer", 3_000_000)]),
        broken: map(&[("reset", 40)]),
        requests: 3_000_060,
        replies: 3_000_001,
        octets_sent: 255_005_100,
        octets_received: 3_000_001_000,
    };
    let phases = ["syn", "established", "first_byte", "last_byte", "closed"];
    client.histograms =
        phases.iter().zip(1..).map(|(name, n)| ((*name).to_owned(), histogram(10_000 * n))).collect();
    let mut server = side(rate, 1.5e9 / rate);
    server.account = Account {
        attempted: 3_000_075,
        established: 3_000_060,
        in_flight: 15,
        open: 60,
        closed: map(&[("finished", 3_000_000)]),
        ..Account::default()
    };
    let second = |at: u32, phase: &str| Second {
        at_s: f64::from(at),
        len_s: 1.0,
        phase: phase.to_owned(),
        attempted: 500_010,
        established: 500_005,
        closed: 500_000,
        failed: 5,
        in_flight: 15,
        open: 985,
        connections_per_second: rate,
        established_p50_ns: 20_000,
        established_p99_ns: 80_000,
        syns: None,
        answered: None,
        client_busy: Some(0.75),
        server_busy: Some(0.5),
    };
    Run {
        profile: "crr".to_owned(),
        concurrency: Some(concurrency),
        rate: None,
        repeat,
        cores: 2,
        duration_s: 2.0,
        warm_up_s: 2.0,
        time_wait_s: 1.0,
        time_wait_shortened_s: Some(0.5),
        tables: Some(tables()),
        series: vec![second(1, "ramp"), second(2, "warm-up"), second(3, "measure"), second(4, "measure")],
        client: Some(client),
        server: Some(server),
        flood: None,
        stream: None,
        trial: None,
        expected: vec![missed()],
        losses: vec![Loss { place: "server".to_owned(), reason: "rx_missed".to_owned(), count: 7 }],
        warnings: vec!["TIME-WAIT was shortened to 0.5 s instead of 1.0 s: there was no room.".to_owned()],
    }
}

fn missed() -> Verdict {
    Verdict {
        text: "established>=100%".to_owned(),
        held: false,
        actual: "99.99% (3,000,060 of 3,000,100)".to_owned(),
    }
}

/// A flood as fast as the link takes it, so many of whose SYNs are answered a second.
pub fn flood(repeat: u32, rate: f64) -> Run {
    let idle = |busy_share| Side { busy_share, rx_batch: 31.5, tx_batch: 30.0, ..Side::default() };
    let account = FloodAccount {
        syns: 4_000_000,
        answered: 3_999_000,
        refused: 0,
        dropped: 0,
        unanswered: 1_000,
        wrong: 2,
        answered_by_server: 3_999_000,
        refused_by_server: 0,
    };
    let flood = Flood {
        closed: false,
        beside: 0,
        syns: 2_000_500,
        answered: 2_000_000,
        syns_per_second: rate * 1.000_25,
        answered_per_second: rate,
        answered_share: 0.999_75,
        cycles_per_syn: 1e9 / rate,
        elapsed_cycles_per_syn: 2e9 / rate,
        floor_cycles_per_syn: Some(2.5e8 / rate),
        stages: map(&[("rx", 20.0), ("process", 300.0), ("idle", 5.0)]),
        account,
    };
    let mut run = Run {
        profile: "flood".to_owned(),
        concurrency: None,
        client: Some(idle(0.5)),
        server: Some(idle(0.99)),
        flood: Some(flood),
        time_wait_shortened_s: None,
        warnings: Vec::new(),
        ..run(1, repeat, 0.0)
    };
    for second in &mut run.series {
        (second.established_p50_ns, second.established_p99_ns) = (0, 0);
        (second.syns, second.answered) = (Some(rate as u64 + 500), Some(rate as u64));
    }
    run
}

/// A flood of a port that nobody listens on, of a server with connections.
pub fn closed_flood() -> Run {
    let mut run = flood(1, 1e6);
    if let Some(flood) = &mut run.flood {
        (flood.closed, flood.beside) = (true, 1_000_000);
        (flood.answered, flood.answered_per_second, flood.answered_share) = (0, 0.0, 0.0);
        let FloodAccount { syns, .. } = flood.account;
        let (refused, unanswered) = (80_000, 1_000);
        flood.account = FloodAccount {
            syns,
            refused,
            refused_by_server: refused,
            dropped: syns - refused - unanswered,
            unanswered,
            ..FloodAccount::default()
        };
    }
    run
}

/// A stream at so many bits a second.
pub fn stream(bits_per_second: f64) -> Run {
    let stream = Stream {
        bits_per_second,
        copied_bits_per_second: Some(2.0 * bits_per_second),
        ratio_to_copies: Some(0.5),
    };
    Run { profile: "stream".to_owned(), stream: Some(stream), ..run(1, 1, 2.0) }
}

/// A trial of a search that did not hold.
pub fn trial(rate: f64) -> Run {
    let trial = Trial {
        purpose: "grow".to_owned(),
        held: false,
        loss: 15e-6,
        established_p99_ns: Some(80_000),
        limited_by: vec!["the server's core was busy.".to_owned()],
    };
    Run { concurrency: None, rate: Some(rate), trial: Some(trial), ..run(1, 1, rate) }
}

/// Pages under tables, most of them huge.
pub fn tables() -> Tables {
    Tables { pages: "transparent huge pages".to_owned(), bytes: 3_973 << 20, huge_share: 0.94 }
}

/// A line that was measured.
pub fn random_line() -> RandomLine {
    RandomLine { cycles: 40.0, ahead: 32, bytes: 2_000 << 20, tables: Some(tables()) }
}

/// What many connections cost more than a few.
pub fn flatness() -> Flatness {
    Flatness {
        profile: "crr".to_owned(),
        least: 1_000,
        most: 1_000_000,
        cycles_per_connection: 240.0,
        random_lines: Some(6.0),
    }
}

/// A document of these runs.
pub fn document(runs: Vec<Run>) -> Document {
    let machine = Machine {
        cpu: "Some CPU @ 2.00GHz".to_owned(),
        cpus: 2,
        tsc_hz: 2_000_000_000,
        kernel: "6.1.0".to_owned(),
        pages: "4 KiB".to_owned(),
    };
    let device = Device {
        name: "net_ring".to_owned(),
        driver: "net_ring".to_owned(),
        mtu: 1_500,
        checksums: "software".to_owned(),
    };
    let versions = [("dpdk-tcp", "0.1.0"), ("dpdk", "22.11")];
    Document {
        schema: SCHEMA.to_owned(),
        command: vec!["dpdk-tcp".to_owned(), "bench".to_owned()],
        versions: versions.iter().map(|(name, v)| ((*name).to_owned(), (*v).to_owned())).collect(),
        machine,
        device,
        runs,
        random_line: None,
        flatness: Vec::new(),
    }
}
