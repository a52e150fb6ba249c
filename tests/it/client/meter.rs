//! The stages of a pass, as a meter is told of them.

use dpdk_tcp::engine::meter::{Meter, Stage};
use dpdk_tcp::engine::worker::Pass;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use crate::inet::asks;
use crate::reach::{OURS, PEER_MAC, Setup, World, seg};

#[derive(Default)]
struct Laps(Vec<Stage>);

impl Meter for Laps {
    fn lap(&mut self, stage: Stage) {
        self.0.push(stage);
    }
}

#[test]
fn each_stage_ends_once_in_the_order_of_the_picture_and_the_last_is_tx() {
    use Stage::{Classify, Lookup, Pay, Process, Rx, Timers, Tx};
    let mut world = World::with(Setup::in_bursts());
    let pass = |world: &mut World| {
        let mut laps = Laps::default();
        let pass = world.worker.pass_with(world.clock.now(), &mut laps);
        (pass, laps.0)
    };
    let after = [Timers, Process, Pay, Tx];
    assert_eq!(pass(&mut world), (Pass::Idle, [&[Rx][..], &after].concat()));
    world.send_frame(&seg(Flags::SYN, Seq(1), Seq(0)).frame());
    world.send_frame(&seg(Flags::SYN, Seq(1), Seq(0)).from_port(7).frame());
    let burst = [Rx, Classify, Lookup, Process, Tx];
    assert_eq!(pass(&mut world), (Pass::Busy, [&burst[..], &after].concat()));
    // What is not TCP is no classification.
    world.send_frame(&asks(OURS));
    let burst = [Rx, Classify, Timers, Classify, Lookup, Process, Tx];
    assert_eq!(pass(&mut world), (Pass::Busy, [&burst[..], &after].concat()));
    assert_eq!(world.drain_frames()[2][..6], PEER_MAC.0);
}

#[test]
fn stages_have_names_of_their_own() {
    let names = Stage::ALL.map(Stage::name);
    assert_eq!(names, ["rx", "classify", "lookup", "process", "timers", "pay", "tx"]);
    for (place, stage) in Stage::ALL.into_iter().enumerate() {
        assert_eq!(stage as usize, place);
    }
}

#[test]
fn only_calls_that_move_frames_count_as_bursts() {
    let mut world = World::with(Setup::in_bursts());
    let counts = |world: &World| (world.count(Counter::RxBursts), world.count(Counter::TxBursts));
    let before = counts(&world);
    world.run();
    assert_eq!(counts(&world), before);
    for port in 1..=3 {
        world.send_frame(&seg(Flags::SYN, Seq(1), Seq(0)).from_port(port).frame());
    }
    world.run();
    assert_eq!(counts(&world), (before.0 + 1, before.1 + 1));
    assert_eq!(world.sent().len(), 3);
}
