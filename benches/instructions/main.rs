//! How many instructions fixed pieces of work take, counted by callgrind: the counts do not depend on what else the
//! machine does. `scripts/instructions` runs them and compares with `baseline.csv` beside this file.
#![allow(missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "benches")]

#[path = "../both.rs"]
mod both;
mod pieces;
#[path = "../rig.rs"]
mod rig;
mod whole;

use std::hint::black_box;

use both::Both;
use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::base::hash::BlockHash;
use dpdk_tcp::engine;
use dpdk_tcp::flow::key::Key;
use dpdk_tcp::wire::checksum::checksum;
use dpdk_tcp::wire::tcp::{self, Ports, Segment};
use gungraun::prelude::*;
use gungraun::{Callgrind, library_benchmark, library_benchmark_group};
use pieces::{Index, Timers};
use rig::{Kind, Rig};

#[library_benchmark]
#[bench::syn(pieces::syn())]
#[bench::ack(pieces::ack())]
fn parse(header: &[u8]) -> Result<(Ports, Segment, usize), DropReason> {
    tcp::parse(black_box(header))
}

#[library_benchmark]
#[bench::of_64(pieces::bytes(64))]
#[bench::of_1460(pieces::bytes(1_460))]
fn sum(bytes: &[u8]) -> u16 {
    checksum(black_box(bytes))
}

#[library_benchmark]
#[bench::of_a_tuple(pieces::hashing())]
fn hash((key, secret): (Key, BlockHash)) -> u64 {
    black_box(key).hash(&secret)
}

#[library_benchmark]
#[bench::hits_32(args = (0), setup = Index::new)]
#[bench::misses_32(args = (pieces::COUNT), setup = Index::new)]
fn find(index: Index) -> (Index, usize) {
    let found = index.find();
    (index, found)
}

#[library_benchmark]
#[bench::of_32(args = (pieces::COUNT), setup = Index::new)]
fn insert(mut index: Index) -> Index {
    index.insert();
    index
}

#[library_benchmark]
#[bench::of_32(args = (0), setup = Index::new)]
fn remove(mut index: Index) -> Index {
    index.remove();
    index
}

#[library_benchmark]
#[bench::of_32(args = (false), setup = Timers::new)]
#[bench::again_32(args = (true), setup = Timers::new)]
fn arm(mut timers: Timers) -> Timers {
    timers.arm();
    timers
}

#[library_benchmark]
#[bench::of_32(args = (), setup = pieces::queue)]
fn await_200_ms(mut timers: engine::timers::Timers) -> engine::timers::Timers {
    pieces::await_in_queue(&mut timers);
    timers
}

#[library_benchmark]
#[bench::of_32(args = (true), setup = Timers::new)]
fn expire(mut timers: Timers) -> (Timers, usize) {
    let due = timers.expire();
    (timers, due)
}

// A burst of 32 arrives, and what is owed for it leaves.
#[library_benchmark]
#[bench::syn(args = (Kind::Syn), setup = Rig::before, teardown = Rig::check)]
#[bench::ack_with_request(args = (Kind::Request), setup = Rig::before, teardown = Rig::check)]
#[bench::bare_ack(args = (Kind::Ack), setup = Rig::before, teardown = Rig::check)]
#[bench::data(args = (Kind::Data), setup = Rig::before, teardown = Rig::check)]
#[bench::duplicate(args = (Kind::Duplicate), setup = Rig::before, teardown = Rig::check)]
#[bench::fin(args = (Kind::Fin), setup = Rig::before, teardown = Rig::check)]
#[bench::rst(args = (Kind::Rst), setup = Rig::before, teardown = Rig::check)]
fn arrives_32(mut rig: Rig) -> Rig {
    rig.pass();
    rig
}

// Nothing arrives, and 32 connections have something to send.
#[library_benchmark]
#[bench::syn(args = (Kind::Open), setup = Rig::before, teardown = Rig::check)]
#[bench::data(args = (Kind::Send), setup = Rig::before, teardown = Rig::check)]
fn output_32(mut rig: Rig) -> Rig {
    rig.pass();
    rig
}

// From SYN to the last acknowledgment, through the client's shard and the server's.
#[library_benchmark]
#[bench::crr_1000(args = (true), setup = Both::new, teardown = Both::check)]
#[bench::open_close_1000(args = (false), setup = Both::new, teardown = Both::check)]
fn connections(mut both: Both) -> Both {
    both.run();
    both
}

library_benchmark_group!(name = wire, benchmarks = [parse, sum, hash]);
library_benchmark_group!(name = tables, benchmarks = [find, insert, remove, arm, await_200_ms, expire]);
library_benchmark_group!(name = shard, benchmarks = [arrives_32, output_32, connections]);

gungraun::main!(
    // The caches that callgrind can simulate are no machine's.
    config = LibraryBenchmarkConfig::default().tool(Callgrind::with_args(["--cache-sim=no"])),
    library_benchmark_groups = [wire, tables, shard]
);
