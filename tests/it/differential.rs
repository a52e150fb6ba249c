//! The real loop, with the real services, against another TCP on a wire with faults: every octet arrives once
//! and in order, every connection ends, and nothing is left. A world follows from its seed; one that fails
//! prints it. `DPDK_TCP_SEED=n` replays one world and writes `world-n.pcap` into the directory for temporary
//! files.

pub mod net;
mod roles;
pub mod task;

use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::sim::faults::Faults;
use dpdk_tcp::stats::counters::Counter;

use crate::reach::Setup;
use crate::smol::Habits;
use net::{BODIES, Net, Terms};
use task::Plan;

/// Worlds of an ordinary run.
const WORLDS: u64 = 600;

/// Points at which the clock begins: far from anything, and shortly before its ticks and sequence numbers wrap.
const STARTS_US: [u64; 4] =
    [1_000_000_000, (1 << 32) * 1_000 - 2_000_000, (1 << 31) * 1_000 - 2_000_000, (1 << 34) - 3_000_000];

fn pick<T: Copy>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.below(choices.len() as u32) as usize]
}

fn plan(rng: &mut Rng) -> Plan {
    let octets = pick(rng, &[0, 1, 100, 1_460, 5_000, 40_000]) + rng.below(3) as usize;
    match rng.below(8) {
        0..3 => Plan::Echo { octets, half_close: rng.below(2) == 0 },
        3 => Plan::Discard { octets },
        4 => Plan::Chargen { octets, abort: rng.below(2) == 0 },
        5..7 => Plan::Http { requests: 1 + rng.below(5) as usize },
        _ => Plan::Nothing,
    }
}

/// The faults of one direction: each kind is absent in some worlds.
fn faults(rng: &mut Rng) -> Faults {
    Faults {
        loss_ppm: pick(rng, &[0, 0, 10_000, 50_000, 100_000]),
        duplicate_ppm: pick(rng, &[0, 20_000, 100_000]),
        corrupt_ppm: pick(rng, &[0, 0, 10_000, 30_000]),
        delay_us: pick(rng, &[0, 100, 5_000, 60_000]),
        jitter_us: pick(rng, &[0, 0, 500, 20_000]),
        capacity: pick(rng, &[0, 0, 24, 100]),
        ..Faults::default()
    }
}

fn setup(rng: &mut Rng, seed: u64) -> Setup {
    let mut setup = Setup { seed, fixed: rng.below(2) == 0, ..Setup::default() };
    setup.start_us = pick(rng, &STARTS_US);
    setup.mtu = pick(rng, &[576, 1_500, 1_500, 9_000]);
    setup.frames = pick(rng, &[48, 100, 2_048]);
    setup.tx_room = pick(rng, &[1, 3, usize::MAX, usize::MAX]);
    setup.faults = [faults(rng), faults(rng)];
    setup.limits.burst = pick(rng, &[1, 2, 7, 32]);
    setup.limits.buffers = pick(rng, &[32 << 10, 1 << 20]);
    setup.limits.send_buffer = pick(rng, &[2_000, 16 << 10, 256 << 10]);
    setup.cfg.receive_buffer = pick(rng, &[2_000, 16 << 10, 256 << 10]);
    setup.cfg.timestamps = rng.below(3) > 0;
    setup.cfg.window_scale = rng.below(3) > 0;
    setup.tso |= seed.is_multiple_of(3);
    setup.cfg.rto_min_ms = pick(rng, &[200, 1_000]);
    setup
}

/// The world of a seed.
fn world(seed: u64) -> Net {
    let mut rng = Rng::new(seed);
    let body = pick(&mut rng, &BODIES);
    let habits = Habits {
        receive_buffer: pick(&mut rng, &[600, 4_096, 65_535, 200_000]),
        send_buffer: pick(&mut rng, &[600, 4_096, 65_535]),
        timestamps: rng.below(3) > 0,
        nagle: rng.below(2) == 0,
        ack_delay_ms: pick(&mut rng, &[0, 10, 200]),
    };
    let terms = Terms {
        setup: setup(&mut rng, seed),
        habits,
        at_once: 1 + rng.below(8) as usize,
        port_uses: pick(&mut rng, &[1, 1, 2]),
        body,
    };
    let count = 4 + rng.below(8);
    let plans = (0..count).map(|_| plan(&mut rng)).collect();
    Net::new(terms, plans)
}

/// Prints the seed of a world that fails.
struct Guilty(u64);

impl Drop for Guilty {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the world of seed {0} failed; DPDK_TCP_SEED={0} replays it", self.0);
        }
    }
}

fn live(seed: u64) {
    let _guilty = Guilty(seed);
    let mut net = world(seed);
    net.run();
    net.assert_quiet();
}

/// Replays one world, and writes down what went over its wire even when it fails.
fn replay(seed: u64) {
    let mut net = world(seed);
    net.start_capture();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| net.run()));
    let path = std::env::temp_dir().join(format!("world-{seed}.pcap"));
    let capture = net.take_capture().unwrap();
    std::fs::write(&path, capture.bytes()).unwrap();
    eprintln!("seed {seed}: {} octets in {}", capture.bytes().len(), path.display());
    if let Err(failure) = result {
        std::panic::resume_unwind(failure);
    }
    net.assert_quiet();
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not '{text}'")))
}

/// Worlds of one thread: every second seed. `DPDK_TCP_WORLDS` is their number in all.
fn worlds(first: u64) {
    match number("DPDK_TCP_SEED") {
        Some(seed) => replay(seed),
        None => (first..number("DPDK_TCP_WORLDS").unwrap_or(WORLDS)).step_by(2).for_each(live),
    }
}

#[test]
fn connections_survive_a_bad_wire_even_seeds() {
    worlds(0);
}

#[test]
fn connections_survive_a_bad_wire_odd_seeds() {
    worlds(1);
}

#[test]
fn the_same_seed_gives_the_same_world() {
    let run = |seed| {
        let mut net = world(seed);
        net.start_capture();
        net.run();
        net.take_capture().unwrap().bytes().to_vec()
    };
    let first = run(5);
    assert!(first.len() > 1_000);
    assert_eq!(first, run(5));
    assert_ne!(first, run(6));
}

#[test]
fn a_perfect_wire_needs_no_repetition() {
    let plans = (0..200).map(|n| Plan::Echo { octets: n * 50, half_close: n % 2 == 0 });
    let mut net = Net::new(Terms::perfect(3), plans.collect());
    net.run();
    let repeated = [Counter::Retransmissions, Counter::RtoExpired, Counter::SynAckRepeated];
    assert_eq!(repeated.map(|counter| net.counters.get(counter)), [0; 3]);
    let counters = net.counters.clone();
    net.assert_quiet();
    assert_eq!(counters.get(Counter::Finished), 200);
}

#[test]
fn a_drain_ends_what_is_open() {
    for seed in 0..6 {
        let _guilty = Guilty(seed);
        let mut net = world(seed);
        net.run_for_us(400_000);
        net.drain(3_000_000);
    }
}
