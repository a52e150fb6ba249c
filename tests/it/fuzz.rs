//! The fuzz targets' harnesses with random programs, a bounded number of them, with the small corpus that coverage
//! has found (`fuzz/corpus`), and with every program that once broke something (`fuzz/regressions`). `scripts/fuzz`
//! lets coverage guide them, for as long as one likes. `DPDK_TCP_FUZZ=file` replays one program in all targets.

#[path = "../../fuzz/src/client.rs"]
mod client;
#[path = "../../fuzz/src/frames.rs"]
mod frames;
#[path = "../../fuzz/src/pair.rs"]
mod pair;
#[path = "../../fuzz/src/parsers.rs"]
mod parsers;

use std::path::{Path, PathBuf};

use dpdk_tcp::base::rng::Rng;

/// A target: its name, what runs a program, random programs of an ordinary run, and their longest length as a
/// power of two.
type Target = (&'static str, fn(&[u8]), u64, u32);

const TARGETS: [Target; 5] = [
    ("client", client::run, 2_000, 10),
    ("frames", frames::run, 8_000, 10),
    ("pair", pair::run, 400, 9),
    ("parse", parsers::frame, 20_000, 7),
    ("options", parsers::options, 20_000, 6),
];

/// Prints what ran when something broke.
struct Guilty(String);

impl Drop for Guilty {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the program was {}", self.0);
        }
    }
}

fn random_program(seed: u64, len_max: u32) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let len = 1 + rng.below(1 << (4 + rng.clone().below(len_max - 3)));
    (0..len).map(|_| rng.next_u64() as u8).collect()
}

fn random_programs(name: &str) {
    let (_, run, programs, len_max) = TARGETS.into_iter().find(|target| target.0 == name).unwrap();
    // Whoever has freed so much once keeps what is freed from then on (glibc): a world is a few megabytes, and giving
    // them back each time costs more than the world.
    drop(std::hint::black_box(vec![0u8; 30 << 20]));
    for seed in 0..programs {
        let _guilty = Guilty(format!("{name}, made of seed {seed}"));
        run(&random_program(seed, len_max));
    }
}

#[test]
fn random_programs_break_nothing() {
    random_programs("frames");
}

#[test]
fn random_programs_for_a_server_of_a_client_break_nothing() {
    random_programs("client");
}

#[test]
fn random_programs_for_two_engines_break_nothing() {
    random_programs("pair");
}

#[test]
fn random_bytes_break_no_parser() {
    //= MUST-7
    //= OPT-2
    //= OPT-5
    random_programs("parse");
    random_programs("options");
}

/// What is kept in a folder below `fuzz`.
fn kept(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
    std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn programs_that_once_broke_something_do_so_no_more() {
    let asked = std::env::var_os("DPDK_TCP_FUZZ").map(PathBuf::from);
    for (name, run, _, _) in TARGETS {
        let folders = [format!("corpus/{name}"), format!("regressions/{name}")];
        let programs: Vec<_> = folders.iter().flat_map(|folder| kept(folder)).chain(asked.clone()).collect();
        assert!(!programs.is_empty(), "{name} keeps some programs");
        for path in programs {
            let _guilty = Guilty(format!("{name}, {}", path.display()));
            run(&std::fs::read(&path).unwrap());
        }
    }
}
