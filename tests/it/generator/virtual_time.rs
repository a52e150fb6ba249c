//! The client in virtual time: launches are kept, stalls are seen, and closed loops hold their number.

use std::sync::Arc;

use dpdk_tcp::app::client::{Client, Order, Plan};
use dpdk_tcp::app::{Service, Services};
use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::engine::worker::Pass;
use dpdk_tcp::link::Caps;
use dpdk_tcp::load::closing::Close;
use dpdk_tcp::load::schedule::{Schedule, Stage};
use dpdk_tcp::load::talk::{Reply, Request, Talk};
use dpdk_tcp::measure::pair::{self, Spec};
use dpdk_tcp::measure::side::Engine;
use dpdk_tcp::sim::faults::Faults;
use dpdk_tcp::sim::frame::FramePool;
use dpdk_tcp::sim::pair::{End, SimClock, wire};
use dpdk_tcp::stats::account::{Failed, Tally, Way};
use dpdk_tcp::stats::counters::{Counter, Counters};
use dpdk_tcp::stats::latency::{Latencies, Phase};
use dpdk_tcp::wire::ethernet::Mac;

use super::{HTTP, plan, spec};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
/// Between two looks at the wire, while there is anything on it.
const STEP_US: u32 = 50;
/// How long that may be.
const WIRE_US: u32 = 100;
const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

/// A client and a server on a wire.
struct World {
    clock: SimClock,
    pool: FramePool,
    client: Engine<End, Client>,
    server: Engine<End, Services>,
    counters: [Arc<Counters>; 2],
    /// The server is polled; a server that is not has stalled.
    serves: bool,
    started: Instant,
    /// From one launch of an open loop to the next; 0 without a rate.
    period_us: u64,
    /// Passes one after the other in which nothing was done.
    idle: u32,
    /// How many connections the client had after each pass.
    levels: Vec<u64>,
}

impl World {
    fn new(plan: Plan, service: Service, faults: Faults) -> World {
        let room = spec(&plan, service).concurrency;
        World::with_room(plan, service, faults, room)
    }

    /// As [`World::new`], with a server that has room for so many connections, and some.
    fn with_room(plan: Plan, service: Service, faults: Faults, room: u32) -> World {
        let (clock, pool) = (SimClock::default(), FramePool::sized(8_000, 1_600));
        let started = Instant(1_000_000);
        clock.advance_to(started);
        let caps = |mac: [u8; 6]| Caps { mac, mtu: 1_500, ..Caps::default() };
        let (near, far) = wire(&clock, &pool, MACS.map(caps), [faults; 2], 1);
        let spec = spec(&plan, service);
        let period_us = plan.schedule.rate_max().map_or(0, |rate| (1e6 / rate) as u64);
        let counters: [Arc<Counters>; 2] = Default::default();
        let secrets = |n| Secrets::from_seed(n);
        let client =
            pair::client(near, Mac(MACS[1]), &spec, plan, &counters[0], started, secrets(1)).unwrap();
        let spec = Spec { concurrency: room, ..spec };
        let server = pair::server(far, Mac(MACS[0]), &spec, &counters[1], started, secrets(2)).unwrap();
        let levels = Vec::new();
        World { clock, pool, client, server, counters, serves: true, started, period_us, idle: 0, levels }
    }

    fn run_ns(&self) -> u64 {
        (self.clock.now().0 - self.started.0) * 1_000
    }

    /// Time passes, in steps of 50 microseconds while anything is done or on the wire, and in longer ones up to the
    /// next launch when it is not.
    fn until(&mut self, end_ns: u64) {
        while self.run_ns() < end_ns && !self.client.worker().app().is_done() {
            let now = self.clock.now();
            let run_ns = self.run_ns();
            let mut passes = [Pass::Idle; 2];
            if self.serves {
                passes[1] = self.server.worker().pass(now);
            }
            self.client.worker().app_mut().at(run_ns);
            passes[0] = self.client.worker().pass(now);
            let tally = self.tally();
            assert_eq!(tally.check(), Ok(()));
            assert_eq!(tally.in_flight + tally.open, u64::from(self.client.worker().shard().connections()));
            self.levels.push(tally.in_flight + tally.open);
            self.idle = if passes == [Pass::Idle; 2] { self.idle + 1 } else { 0 };
            self.clock.advance_to(Instant(now.0 + self.step_us(end_ns / 1_000)));
        }
    }

    fn step_us(&self, end_us: u64) -> u64 {
        if self.idle <= WIRE_US / STEP_US {
            return u64::from(STEP_US);
        }
        let run_us = self.clock.now().0 - self.started.0;
        let launch_us = run_us.checked_div(self.period_us).map_or(u64::MAX, |n| (n + 1) * self.period_us);
        let next_us = launch_us.min(end_us).saturating_sub(run_us);
        // On a step of 50 microseconds all the same.
        next_us.next_multiple_of(u64::from(STEP_US)).clamp(u64::from(STEP_US), 1_000)
    }

    fn tally(&mut self) -> Tally {
        *self.client.worker().app().tally()
    }

    fn latencies(&mut self) -> Latencies {
        self.client.worker().app_mut().latencies().clone()
    }

    /// To the client's end; what it accounts for.
    fn finish(mut self) -> (Tally, [Arc<Counters>; 2]) {
        self.until(600 * SECOND);
        assert!(self.client.worker().app().is_done(), "{:?}", self.tally());
        let tally = self.tally();
        // What is on the wire still arrives.
        for _ in 0..20 {
            let now = self.clock.now();
            self.server.worker().pass(now);
            self.clock.advance_to(Instant(now.0 + 50));
        }
        drop((self.client.into_queues(), self.server.into_queues()));
        assert_eq!(self.pool.in_use(), 0, "every frame is back");
        (tally, self.counters)
    }
}

fn open_loop(rate: f64, duration_ns: u64) -> Plan {
    let stage = Stage { rate: Some(rate), duration_ns, ..Stage::default() };
    Plan { schedule: Schedule { stages: vec![stage], ..Schedule::default() }, ..plan(HTTP, Close::Fin, 1, 1) }
}

fn closed_loop(concurrency: u32, duration_ns: u64) -> Plan {
    let stage = Stage { concurrency: Some(concurrency), duration_ns, ..Stage::default() };
    Plan { schedule: Schedule { stages: vec![stage], ..Schedule::default() }, ..plan(HTTP, Close::Fin, 1, 1) }
}

/// A tenth of a millisecond away.
fn near() -> Faults {
    Faults { delay_us: WIRE_US, ..Faults::default() }
}

#[test]
fn an_open_loop_attempts_rate_times_duration_and_measures_the_way_there_and_back() {
    for rate in [7.0, 100.0, 2_500.0] {
        let mut world = World::new(open_loop(rate, 2 * SECOND), Service::Http, near());
        world.until(3 * SECOND);
        let latencies = world.latencies();
        let (tally, counters) = world.finish();
        assert_eq!(tally.attempted, (2.0 * rate) as u64, "{rate}");
        assert_eq!(tally.closed[Way::Fin as usize], tally.attempted);
        assert_eq!(counters[1].get(Counter::Established), tally.attempted);
        for phase in Phase::ALL {
            assert_eq!(latencies.of(phase).len(), tally.attempted, "{}", phase.name());
        }
        // 100 microseconds each way, looked at every 50.
        let syn = latencies.of(Phase::Syn);
        assert!(syn.min() >= 199_000 && syn.max() <= 320_000, "{} to {}", syn.min(), syn.max());
        let byte = latencies.of(Phase::LastByte);
        assert!(byte.min() >= 399_000 && byte.max() <= 620_000, "{} to {}", byte.min(), byte.max());
    }
}

#[test]
fn a_server_that_stalls_is_seen_by_every_launch_that_fell_into_the_stall() {
    let mut world = World::new(open_loop(1_000.0, 4 * SECOND), Service::Http, near());
    world.until(2 * SECOND);
    world.serves = false;
    world.until(2 * SECOND + 200 * MS);
    world.serves = true;
    world.until(10 * SECOND);
    let latencies = world.latencies();
    let established = latencies.of(Phase::Established);
    assert_eq!(established.len(), 4_000);
    // 200 of 4,000 launches fell into 200 ms: 5 % waited, 100 ms on average.
    let waited = established.count_between(MS, SECOND);
    assert!((195..=210).contains(&waited), "{waited}");
    assert!(established.value_at_quantile(0.99) > 150 * MS, "{}", established.value_at_quantile(0.99));
    assert!(established.value_at_quantile(0.9) < MS);
    assert_eq!(world.finish().0.attempted, 4_000);
}

#[test]
fn a_client_that_stalls_measures_from_the_launch_that_was_meant() {
    let mut world = World::new(open_loop(1_000.0, 2 * SECOND), Service::Http, near());
    world.until(SECOND);
    world.clock.advance_to(Instant(world.started.0 + 1_300_000));
    world.until(10 * SECOND);
    let latencies = world.latencies();
    let waited = latencies.of(Phase::Established).count_between(MS, SECOND);
    assert!((295..=305).contains(&waited), "{waited}");
    assert_eq!(world.finish().0.attempted, 2_000);
}

#[test]
fn who_is_behind_its_rate_takes_what_comes_before_it_opens_more() {
    let mut world = World::new(open_loop(20_000.0, 300 * MS), Service::Http, near());
    world.until(100 * MS);
    // Two thousand launches are due at once.
    world.clock.advance_to(Instant(world.started.0 + 200_000));
    let mut full = 0;
    while world.run_ns() < 250 * MS {
        let seen = |world: &mut World| (world.tally().attempted, world.counters[0].get(Counter::RxFrames));
        let (attempted, received) = seen(&mut world);
        // One pass.
        world.until(world.run_ns() + 1);
        let after = seen(&mut world);
        let (opened, came) = (after.0 - attempted, after.1 - received);
        assert!(came < 32 || opened <= 8, "{opened} opened while there was more to be received");
        full += u64::from(came == 32 && opened == 8);
    }
    assert!(full > 20, "{full} passes were full");
    assert_eq!(world.finish().0.attempted, 6_000);
}

#[test]
fn a_closed_loop_holds_exactly_its_number() {
    for concurrency in [1, 7, 100] {
        let mut world = World::new(closed_loop(concurrency, 300 * MS), Service::Http, near());
        world.until(299 * MS);
        // All but the first two looks: a pass launches 64 at most.
        assert!(world.levels.iter().skip(2).all(|level| *level == u64::from(concurrency)), "{concurrency}");
        let (tally, counters) = world.finish();
        assert_eq!(tally.closed_all(), tally.attempted);
        assert_eq!(counters[1].get(Counter::Established), tally.attempted);
        assert!(tally.attempted > 300 * u64::from(concurrency));
    }
}

#[test]
fn connections_that_are_held_stay_open_for_so_long() {
    let stage =
        Stage { rate: Some(100.0), concurrency: Some(50), duration_ns: 10 * SECOND, ..Stage::default() };
    let schedule = Schedule { stages: vec![stage], ..Schedule::default() };
    let held = Plan { schedule, hold_ms: 2_000, ..plan(HTTP, Close::Fin, 1, 1) };
    let mut world = World::new(held.clone(), Service::Http, near());
    world.until(SECOND);
    assert!((45..=50).contains(&world.levels.last().copied().unwrap()));
    world.until(9 * SECOND);
    assert!(world.levels.iter().rev().take(1_000).all(|level| (48..=50).contains(level)));
    let (tally, _) = world.finish();
    // Each lives for two seconds: 50 of them in ten.
    assert!((240..=255).contains(&tally.attempted), "{}", tally.attempted);
    let mut world = World::new(Plan { hold_ms: u32::MAX, ..held }, Service::Http, near());
    world.until(9 * SECOND);
    assert_eq!(world.tally().attempted, 50, "{:?}", world.tally());
    assert_eq!(world.finish().0.closed[Way::Fin as usize], 50);
}

#[test]
fn the_last_by_number_are_held_as_long_as_the_others() {
    let held = Plan { hold_ms: 3_000, ..plan(HTTP, Close::Fin, 10, 15) };
    let mut world = World::new(held.clone(), Service::Http, near());
    world.until(2 * SECOND + 900 * MS);
    assert_eq!((world.tally().attempted, world.tally().open), (10, 10));
    world.until(5 * SECOND + 900 * MS);
    assert_eq!((world.tally().attempted, world.tally().open), (15, 5));
    world.until(7 * SECOND);
    assert_eq!(world.tally().closed[Way::Fin as usize], 15);
    // Whoever is told to stop holds nothing any more.
    let mut world = World::new(held, Service::Http, near());
    world.until(SECOND);
    world.client.worker().app_mut().stop();
    world.until(SECOND + 100 * MS);
    assert_eq!((world.tally().attempted, world.tally().closed[Way::Fin as usize]), (10, 10));
}

#[test]
fn requests_follow_one_another_after_the_time_to_think() {
    let talk = Talk { requests: 5, ..HTTP };
    let plan = Plan { think_ms: 100, ..plan(talk, Close::Fin, 10, 20) };
    let mut world = World::new(plan, Service::Http, near());
    world.until(2 * SECOND);
    let last = world.latencies().of(Phase::LastByte).min();
    assert!((400 * MS..450 * MS).contains(&last), "{last}");
    let (tally, _) = world.finish();
    assert_eq!((tally.requests, tally.replies, tally.closed[Way::Fin as usize]), (100, 100, 20));
}

#[test]
fn random_order_closes_everything_all_the_same() {
    for (talk, close, service) in
        [(HTTP, Close::Fin, Service::Http), (Talk::SILENT, Close::Rst, Service::Discard)]
    {
        let mut plan = closed_loop(500, 500 * MS);
        (plan.talk, plan.order) = (talk, Order::Random { active: 20 });
        plan.closes = dpdk_tcp::load::closing::Closes::only(close);
        let mut world = World::new(plan, service, near());
        world.until(499 * MS);
        assert!(world.levels.iter().rev().take(5_000).all(|level| *level == 500));
        let (tally, counters) = world.finish();
        assert_eq!((tally.closed_all(), tally.failed_all()), (tally.attempted, 0), "{tally:?}");
        assert_eq!(counters[1].get(Counter::Established), tally.attempted);
        assert!(tally.attempted > 3_000, "{}", tally.attempted);
    }
}

#[test]
fn those_that_wait_go_on_where_no_more_can_be_opened() {
    let mut plan = closed_loop(6_000, 6 * SECOND);
    plan.order = Order::Random { active: 20 };
    // 4,096 more are always there.
    let mut world = World::with_room(plan, Service::Http, near(), 1);
    world.until(900 * MS);
    let early = world.tally();
    assert!(early.established >= 4_000 && early.closed_all() == 0, "all that are open wait: {early:?}");
    world.until(5 * SECOND);
    let late = world.tally();
    assert!(late.closed_all() > 1_000, "{late:?}");
    let (tally, _) = world.finish();
    assert_eq!(tally.established, tally.closed_all() + tally.broken_all());
}

#[test]
fn each_way_of_a_mixture_comes_as_often_as_its_weight() {
    let mut mixed = plan(HTTP, Close::Fin, 10, 1_000);
    let weights = [(Close::Fin, 7), (Close::Rst, 2), (Close::HalfClose, 1)];
    mixed.closes = dpdk_tcp::load::closing::Closes::weighted(&weights).unwrap();
    let (tally, counters) = World::new(mixed, Service::Http, near()).finish();
    let closed = |way| tally.closed[way as usize];
    assert_eq!((closed(Way::Fin), closed(Way::Rst), closed(Way::HalfClose)), (700, 200, 100));
    assert_eq!(counters[1].get(Counter::ResetByPeer), 200);
}

#[test]
fn a_peer_that_closes_first_is_told_apart() {
    let raw = Talk { request: Request::Whole(b"hello"), reply: Reply::PeerClose, requests: 1 };
    let (tally, counters) = World::new(plan(raw, Close::Peer, 10, 300), Service::Reply, near()).finish();
    assert_eq!(tally.closed[Way::Peer as usize], 300);
    // SYN, ACK with the request, FIN with the last ACK; and three back.
    assert_eq!((counters[0].get(Counter::TxSegments), counters[0].get(Counter::RxSegments)), (900, 900));
    assert_eq!(counters[1].get(Counter::TimeWaitEntered), 300);
}

#[test]
fn a_server_that_dies_leaves_an_account_that_balances() {
    let mut world = World::new(closed_loop(50, 10 * SECOND), Service::Http, near());
    world.until(100 * MS);
    world.serves = false;
    world.until(9 * SECOND);
    let (tally, _) = world.finish();
    assert_eq!(tally.attempted, tally.established + tally.failed_all());
    assert_eq!(tally.established, tally.closed_all() + tally.broken_all());
    assert!(tally.failed[Failed::SynTimedOut as usize] > 0, "{tally:?}");
}
