//! A flooding side over the memory link, whose other end takes what comes and answers nothing, or all.

use std::ops::Range;

use super::*;
use crate::base::burst::Burst;
use crate::link::memory::{MemoryQueue, Plan as Link, pair};
use crate::load::schedule::Stage;
use crate::wire::ethernet::Mac;

const SECOND: u64 = 1_000_000_000;

fn plan(rate: Option<f64>, connections: Option<u64>) -> FloodPlan {
    let concurrency = if rate.is_none() { Some(1) } else { None };
    let stage = Stage { rate, concurrency, ramp_ns: 0, duration_ns: SECOND };
    FloodPlan {
        target: Target { address: [198, 18, 0, 1], port: 80, mac: Mac([2, 0, 0, 0, 0, 9]) },
        sources: Sources { first: [198, 19, 0, 1], addresses: 4, ports: 1_024..=65_535 },
        beside: None,
        schedule: Schedule { stages: vec![stage], warm_up_ns: 0, connections },
        drain_ns: SECOND / 2,
        burst: 32,
        seed: 3,
    }
}

struct World {
    flooder: Flooder<MemoryQueue>,
    end: MemoryQueue,
    seen: u64,
}

impl World {
    fn new(plan: &FloodPlan) -> World {
        let (near, end) = pair(Link::default());
        World { flooder: Flooder::new(near, plan, Default::default()).unwrap(), end, seen: 0 }
    }

    /// Passes at each of these milliseconds.
    fn run(&mut self, ms: Range<u64>) {
        for now in ms {
            self.flooder.pass_at(Some(now * 1_000_000));
            let mut frames = Burst::new();
            self.end.rx_burst(&mut frames, 64);
            self.seen += frames.len() as u64;
            frames.into_iter().for_each(|frame| self.end.recycle(frame));
        }
    }
}

#[test]
fn a_rate_is_sent_for_as_long_as_the_schedule_lasts_and_answers_are_waited_for() {
    let mut world = World::new(&plan(Some(2_500.0), None));
    assert!(!world.flooder.pass_at(None), "nothing goes before the run begins");
    world.run(0..500);
    assert!((1_248..=1_250).contains(&world.seen), "{}", world.seen);
    world.run(500..1_499);
    assert_eq!((world.seen, world.flooder.is_done()), (2_500, false));
    world.run(1_499..1_501);
    assert!(world.flooder.is_done(), "the drain is over");
    let mut interval = Interval::default();
    world.flooder.fill(&mut interval);
    assert_eq!((interval.syns.sent, interval.syns.answered), (2_500, 0));
    let count = |counter| interval.counters.get(counter);
    assert_eq!((count(Counter::TxFrames), count(Counter::RxFrames)), (2_500, 0));
    assert_eq!(count(Counter::TxBursts), 1_001, "two or three a call");
}

#[test]
fn without_a_rate_the_link_paces_until_the_schedule_ends() {
    let mut world = World::new(&plan(None, None));
    world.run(0..1_000);
    assert_eq!(world.seen, 32_000, "a burst in each pass");
    world.run(1_000..1_400);
    assert_eq!((world.seen, world.flooder.is_done()), (32_000, false));
}

#[test]
fn a_number_of_syns_ends_it_early_and_so_does_an_order() {
    let mut world = World::new(&plan(None, Some(100)));
    world.run(0..600);
    assert_eq!((world.seen, world.flooder.is_done()), (100, true));
    let mut world = World::new(&plan(Some(1_000.0), None));
    world.run(0..100);
    world.flooder.stop();
    world.run(100..700);
    assert_eq!((world.seen, world.flooder.is_done()), (100, true));
}

#[test]
fn what_became_due_before_the_end_goes_after_it() {
    let mut world = World::new(&plan(Some(2_500.0), None));
    world.run(0..900);
    // Nobody came back for a tenth of a second: 250 are due and a burst takes 32.
    world.run(1_001..1_002);
    assert!(world.seen < 2_400 && !world.flooder.is_done(), "{}", world.seen);
    world.run(1_002..1_010);
    assert_eq!(world.seen, 2_500);
}

#[test]
fn the_run_begins_when_all_stand_beside_it_and_never_where_no_more_of_them_come() {
    let beside = Beside { count: 100, port: 80, ports: 1_000..=1_023 };
    let mut world = World::new(&FloodPlan { beside: Some(beside), ..plan(None, None) });
    let server = Arc::new(Counters::default());
    world.flooder.server = server.clone();
    let at = Instant::from_millis;
    assert_eq!(world.flooder.readiness(at(10_000)), Readiness::Waiting);
    server.add(Counter::Established, 60);
    // They become more: that may take as long as it takes.
    assert_eq!(world.flooder.readiness(at(14_999)), Readiness::Waiting);
    server.add(Counter::Established, 39);
    assert_eq!(world.flooder.readiness(at(19_998)), Readiness::Waiting);
    assert_eq!(world.flooder.readiness(at(24_997)), Readiness::Waiting);
    let mut hopeful = world.flooder.beside;
    assert_eq!(world.flooder.readiness(at(24_998)), Readiness::Unopened { open: 99, wanted: 100 });
    assert_eq!(hopeful.is(100, at(24_998)), Readiness::Ready);
    let mut alone = World::new(&plan(None, None));
    assert_eq!(alone.flooder.readiness(at(0)), Readiness::Ready);
}

#[test]
fn what_a_server_leaves_without_an_answer_by_intent_is_not_waited_for() {
    let mut world = World::new(&plan(None, Some(100)));
    let server = Arc::new(Counters::default());
    world.flooder.server = server.clone();
    world.run(0..10);
    assert_eq!((world.seen, world.flooder.is_done()), (100, false));
    (0..99).for_each(|_| server.drop_one(DropReason::RstRateLimited));
    assert!(!world.flooder.is_done());
    server.drop_one(DropReason::RstRateLimited);
    assert!(world.flooder.is_done());
}
