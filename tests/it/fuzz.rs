//! The fuzz target's harness with random programs, a bounded number of them, and with every program that once
//! broke something (`fuzz/regressions`). `scripts/fuzz` lets coverage guide it, for as long as one likes.
//! `DPDK_TCP_FUZZ=file` replays one program.

#[path = "../../fuzz/src/frames.rs"]
mod frames;

use std::path::Path;

use dpdk_tcp::base::rng::Rng;

/// Random programs of an ordinary run.
const PROGRAMS: u64 = 8_000;

/// Prints what ran when something broke.
struct Guilty(String);

impl Drop for Guilty {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the program was {}", self.0);
        }
    }
}

fn random_program(seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let len = 1 + rng.below(1 << (4 + rng.clone().below(7)));
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

#[test]
fn random_programs_break_nothing() {
    for seed in 0..PROGRAMS {
        let _guilty = Guilty(format!("made of seed {seed}"));
        frames::run(&random_program(seed));
    }
}

#[test]
fn programs_that_once_broke_something_do_so_no_more() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/regressions");
    let kept = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let asked = std::env::var_os("DPDK_TCP_FUZZ").map(Into::into);
    for path in kept.chain(asked) {
        let _guilty = Guilty(path.display().to_string());
        frames::run(&std::fs::read(&path).unwrap());
    }
}
