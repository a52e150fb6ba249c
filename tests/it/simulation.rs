//! Worlds of two to a thousand of our own hosts, clients and servers both, on a network that loses, repeats,
//! reorders, delays and corrupts frames and is gone for a while: every octet arrives once and in order, every
//! connection ends within its timers, and nothing is left. A world follows from its seed. One that fails prints
//! it and writes down what went over the network; `scripts/sim --seed N` replays it.

mod actor;
mod coverage;
pub mod fleet;
mod forge;
mod hostile;
mod ledger;
pub mod plan;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use coverage::Coverage;
use fleet::Fleet;
use plan::Plan;

/// Worlds of an ordinary run.
const WORLDS: u64 = 1_000;
/// Threads that run them.
const THREADS: usize = 2;

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not '{text}'")))
}

/// Where the capture of a world goes.
fn capture_path(seed: u64) -> PathBuf {
    let folder = std::env::var_os("DPDK_TCP_PCAP").map_or_else(std::env::temp_dir, PathBuf::from);
    folder.join(format!("world-{seed}.pcap"))
}

fn live(seed: u64, coverage: &mut Coverage) {
    let mut fleet = Fleet::new(Plan::draw(seed));
    fleet.run();
    fleet.assert_quiet(coverage);
}

/// Runs a world again and writes down what goes over its network, even when it fails.
fn replay(seed: u64) {
    let plan = Plan::draw(seed);
    eprintln!("{plan:#?}");
    let mut fleet = Fleet::new(plan);
    fleet.world.start_capture();
    let result = catch_unwind(AssertUnwindSafe(|| fleet.run()));
    let path = capture_path(seed);
    std::fs::write(&path, fleet.world.take_capture().unwrap().bytes()).unwrap();
    eprintln!("seed {seed}: the capture is in {}", path.display());
    if let Err(failure) = result {
        resume_unwind(failure);
    }
    let ledger = fleet.ledger.clone();
    let mut coverage = Coverage::default();
    fleet.assert_quiet(&mut coverage);
    for talk in 0..ledger.borrow().logs.len() {
        eprintln!("talk {talk}: {}", ledger.borrow().story(talk));
    }
    eprintln!("{}", coverage.table());
}

/// Lives through a world; when it fails, once more to keep the capture.
fn live_or_tell(seed: u64, coverage: &mut Coverage) {
    let first = catch_unwind(AssertUnwindSafe(|| live(seed, coverage)));
    let Err(failure) = first else {
        return;
    };
    let _ = catch_unwind(AssertUnwindSafe(|| replay(seed)));
    let path = capture_path(seed);
    eprintln!("the world of seed {seed} failed; {} shows it, and this replays it:", path.display());
    eprintln!("scripts/sim --seed {seed}");
    resume_unwind(failure);
}

/// Runs the worlds of the seeds from `first` on, in threads.
fn worlds(first: u64, count: u64) -> Coverage {
    let next = AtomicU64::new(first);
    let all = Mutex::new(Coverage::default());
    let work = || {
        let mut coverage = Coverage::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= first + count {
                return all.lock().unwrap().merge(&coverage);
            }
            live_or_tell(seed, &mut coverage);
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            if let Err(failure) = thread.join() {
                resume_unwind(failure);
            }
        }
    });
    all.into_inner().unwrap()
}

#[test]
fn worlds_keep_their_streams_and_see_everything() {
    if let Some(seed) = number("DPDK_TCP_SEED") {
        return replay(seed);
    }
    let count = number("DPDK_TCP_WORLDS").unwrap_or(WORLDS);
    let coverage = worlds(number("DPDK_TCP_FIRST").unwrap_or(0), count);
    if std::env::var_os("DPDK_TCP_TABLE").is_some() {
        eprintln!("{}", coverage.table());
    }
    if count >= WORLDS {
        coverage.check();
    }
}

/// Worlds in which something went wrong once, by what it was.
const FOUND: &[(u64, &str)] = &[
    (610, "a segment out of order passed for the third ACK of a cookie whose hash had too few bits"),
    (8, "the second segment after a SYN cookie overtook the first and was answered by a reset"),
    (56, "a slow reader lost the end of the stream when TIME-WAIT was over"),
    (221, "text behind a FIN was delivered when the FIN was not held itself"),
    (363, "a SYN that reopened TIME-WAIT took what was not read yet"),
];

#[test]
fn what_was_found_once_is_not_found_again() {
    for (seed, what) in FOUND {
        let result = catch_unwind(|| live(*seed, &mut Coverage::default()));
        assert!(result.is_ok(), "seed {seed}: {what}");
    }
}

#[test]
fn the_same_seed_gives_the_same_world() {
    let run = |seed| {
        let mut fleet = Fleet::new(Plan::draw(seed));
        fleet.world.start_capture();
        fleet.run();
        fleet.world.take_capture().unwrap().bytes().to_vec()
    };
    let first = run(5);
    assert!(first.len() > 1_000);
    assert_eq!(first, run(5));
    assert_ne!(first, run(6));
}

#[test]
fn a_thousand_hosts_talk() {
    let mut plan = Plan::crowd(1, 1_000);
    plan.hostile = 0;
    let mut fleet = Fleet::new(plan);
    fleet.run();
    fleet.assert_quiet(&mut Coverage::default());
}
