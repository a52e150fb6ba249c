//! What one connection gets through a network that loses frames at random, against what theory says: Mathis,
//! Semke, Mahdavi and Ott (1997) for Reno, RFC 9438 5.1 for CUBIC. Virtual time, no limit but the loss.

use dpdk_tcp::engine::limits::Limits;
use dpdk_tcp::sim::faults::Faults;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::config::Config;
use dpdk_tcp::tcp::congestion::Algorithm;

use crate::simulation::fleet::Fleet;
use crate::simulation::plan::{Climate, Close, HostPlan, Kind, Plan, Side, Talk};

/// Octets of text in a full segment: 1500 without headers and timestamps.
const MSS: f64 = 1_448.0;
const LOSSES_PPM: [u32; 5] = [100, 300, 1_000, 3_000, 10_000];
const RTTS_MS: [u32; 4] = [10, 30, 100, 300];

/// One place in the table.
#[derive(Clone, Copy)]
struct Cell {
    algorithm: Algorithm,
    loss_ppm: u32,
    rtt_ms: u32,
}

/// Reno's window in segments. The constant is that of an acknowledgment for each segment: acknowledgments are
/// delayed here, but the window grows by the octets that they acknowledge (RFC 3465), so that it makes no
/// difference. A sender that counted acknowledgments would have sqrt(3/4) instead.
fn mathis(loss: f64) -> f64 {
    (1.5 / loss).sqrt()
}

/// CUBIC's window in segments: that of its curve, or Reno's where that is larger (RFC 9438 4.3, 5.1).
fn cubic(loss: f64, rtt_s: f64) -> f64 {
    let (c, beta) = (0.4, 0.7_f64);
    let curve = (c * (3.0 + beta) / (4.0 * (1.0 - beta))).powf(0.25) * (rtt_s / loss).powf(0.75);
    curve.max(mathis(loss))
}

impl Cell {
    /// Mbit/s by theory.
    fn expected(self) -> f64 {
        let (loss, rtt_s) = (f64::from(self.loss_ppm) / 1e6, f64::from(self.rtt_ms) / 1e3);
        let window = match self.algorithm {
            Algorithm::Reno => mathis(loss),
            Algorithm::Cubic => cubic(loss, rtt_s),
        };
        window * MSS * 8.0 / rtt_s / 1e6
    }

    fn host(self, loss_ppm: u32) -> HostPlan {
        let cfg = Config { congestion: self.algorithm, receive_buffer: 16 << 20, ..Config::default() };
        let limits = Limits {
            connections: 4,
            backlog: 4,
            time_wait_max: 4,
            buffers: 256 << 20,
            send_buffer: 16 << 20,
            ..Limits::default()
        };
        let faults = Faults { loss_ppm, delay_us: self.rtt_ms * 500, ..Faults::default() };
        HostPlan { cfg, limits, mtu: 1_500, frames: 40_000, tx_room: usize::MAX, cuts: false, faults }
    }

    /// Mbit/s as simulated, over so many losses, and how many timeouts there were. The first fifth of the stream
    /// does not count: it begins by slow start.
    fn measured(self, losses: u64) -> (f64, u64) {
        let octets = losses * 1_000_000 / u64::from(self.loss_ppm) * MSS as u64;
        let talks = vec![Talk {
            kind: Kind::Ordinary,
            hosts: [0, 1],
            ports: (None, 80),
            starts_us: 0,
            follows: false,
            sides: [Side::plain(octets, Close::Sent), Side::plain(0, Close::AfterPeer)],
        }];
        let plan = Plan {
            seed: u64::from(self.loss_ppm * 1_000 + self.rtt_ms),
            climate: Climate::Mild,
            start_us: 1_000_000_000,
            hosts: vec![self.host(self.loss_ppm), self.host(0)],
            talks,
            hostile: 0,
        };
        let mut fleet = Fleet::new(plan);
        fleet.unchecked = true;
        let begun = fleet.run_until_received(octets / 5);
        let ended = fleet.run_until_received(octets);
        let seconds = ended.since_us(begun) as f64 / 1e6;
        ((octets - octets / 5) as f64 * 8.0 / seconds / 1e6, fleet.counted(0, Counter::RtoExpired))
    }

    #[track_caller]
    fn assert_within(self, low: f64, high: f64) {
        let (expected, (measured, timeouts)) = (self.expected(), self.measured(300));
        let ratio = measured / expected;
        assert!(
            (low..high).contains(&ratio),
            "{} ppm, {} ms: {measured:.2} Mbit/s, {expected:.2} expected, {timeouts} timeouts",
            self.loss_ppm,
            self.rtt_ms
        );
    }
}

#[test]
fn reno_gets_what_mathis_says() {
    for (loss_ppm, rtt_ms) in [(10_000, 10), (10_000, 100), (3_000, 30), (1_000, 10), (1_000, 100)] {
        Cell { algorithm: Algorithm::Reno, loss_ppm, rtt_ms }.assert_within(0.75, 1.25);
    }
}

#[test]
fn cubic_gets_at_least_what_reno_does_and_more_where_its_curve_is_higher() {
    for (loss_ppm, rtt_ms) in [(10_000, 10), (10_000, 100), (3_000, 100), (1_000, 100)] {
        Cell { algorithm: Algorithm::Cubic, loss_ppm, rtt_ms }.assert_within(0.75, 1.4);
    }
}

/// Prints the table of docs/PERFORMANCE.md: `scripts/sim --throughput`.
#[test]
#[ignore = "minutes; scripts/sim --throughput runs it"]
fn table() {
    for algorithm in [Algorithm::Reno, Algorithm::Cubic] {
        eprintln!("\n| {algorithm:?}: loss | {} |", RTTS_MS.map(|rtt| format!("{rtt} ms")).join(" | "));
        eprintln!("|---|---|---|---|---|");
        for loss_ppm in LOSSES_PPM {
            let cell = |rtt_ms| {
                let cell = Cell { algorithm, loss_ppm, rtt_ms };
                let losses = if loss_ppm < 1_000 { 150 } else { 400 };
                let (expected, (measured, timeouts)) = (cell.expected(), cell.measured(losses));
                format!("{measured:.2} ({:.2}, {timeouts})", measured / expected)
            };
            eprintln!("| {} % | {} |", f64::from(loss_ppm) / 1e4, RTTS_MS.map(cell).join(" | "));
        }
    }
}
