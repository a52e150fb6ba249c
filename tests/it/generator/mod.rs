//! The client against our own server over a link in memory: what both count is the same, whatever a connection is
//! and however it is closed.

mod allocation;
mod another;
mod delays;
mod hostile;
mod lab;
mod reasons;
mod virtual_time;

use std::sync::Arc;
use std::time::Duration;

use dpdk_tcp::app::client::{Client, Order, Plan};
use dpdk_tcp::app::http::responses::Responses;
use dpdk_tcp::app::reply::text;
use dpdk_tcp::app::{Service, Services};
use dpdk_tcp::base::cycles::Cycles;
use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::link::QueuePair;
use dpdk_tcp::link::memory::{self, MemoryPool, MemoryQueue};
use dpdk_tcp::load::closing::{Close, Closes};
use dpdk_tcp::load::schedule::{Schedule, Share, Stage};
use dpdk_tcp::load::talk::{Reply, Request, Talk};
use dpdk_tcp::measure::drive::{self, Signals};
use dpdk_tcp::measure::pair::{self, Flooded, Spec};
use dpdk_tcp::measure::runner::Runner;
use dpdk_tcp::measure::side::{Engine, Readiness, Side};
use dpdk_tcp::stats::account::{Broken, Tally, Way};
use dpdk_tcp::stats::counters::{Counter, Counters};
use dpdk_tcp::stats::interval::Mailbox;
use dpdk_tcp::tcp::arrives::listen::CookieMode;
use dpdk_tcp::tcp::config::Config;
use dpdk_tcp::wire::ethernet::Mac;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

pub const HTTP: Talk = Talk { request: Request::Whole(GET), reply: Reply::Http, requests: 1 };

pub fn plan(talk: Talk, close: Close, concurrency: u32, connections: u64) -> Plan {
    let stage = Stage { concurrency: Some(concurrency), duration_ns: 60_000_000_000, ..Stage::default() };
    Plan {
        schedule: Schedule { stages: vec![stage], warm_up_ns: 0, connections: Some(connections) },
        share: Share::WHOLE,
        talk,
        closes: Closes::only(close),
        connect_timeout_ms: 3_000,
        reply_timeout_ms: 10_000,
        think_ms: 0,
        hold_ms: 0,
        drain_ms: 5_000,
        order: Order::Own,
        seed: 1,
    }
}

/// What is common to both ends of a run of this plan.
fn spec(plan: &Plan, service: Service) -> Spec {
    Spec {
        concurrency: plan.schedule.concurrency_max().unwrap_or(4_096),
        rate_max: 100_000.0,
        config: Config::default().with_time_wait(Duration::from_secs(1)),
        responses: Box::leak(Box::new(Responses::new(100))),
        reply: Box::leak(text(100).into()),
        service,
        burst: 32,
        tx_burst: 64,
        cookies: CookieMode::Auto,
        flood: Flooded::default(),
    }
}

/// What both sides counted, and the client's account.
struct Seen {
    client: Arc<Counters>,
    server: Arc<Counters>,
    tally: Tally,
}

/// A client and a server of ours at both ends of a link in memory, each in its runner.
struct Pair {
    client: Runner<Engine<MemoryQueue, Client>>,
    server: Runner<Engine<MemoryQueue, Services>>,
    clock: Cycles,
    pool: MemoryPool,
    counters: [Arc<Counters>; 2],
    mailboxes: [Arc<Mailbox>; 2],
}

impl Pair {
    /// For this plan; `ends` are those of what is measured.
    fn new(plan: Plan, service: Service, ends: &[u64]) -> Pair {
        let (near, far) = memory::pair(memory::Plan::default());
        let pool = near.pool();
        let clock = Cycles::start();
        let macs = [Mac(near.caps().mac), Mac(far.caps().mac)];
        let spec = spec(&plan, service);
        let counters: [Arc<Counters>; 2] = Default::default();
        let mailboxes = [(); 2].map(|()| Arc::new(Mailbox::new()));
        let (now, secrets) = (clock.instant(), Secrets::from_seed);
        let client = pair::client(near, macs[1], &spec, plan, &counters[0], now, secrets(1)).unwrap();
        let server = pair::server(far, macs[0], &spec, &counters[1], now, secrets(2)).unwrap();
        let client = Runner::new(client, clock.clone(), ends, mailboxes[0].clone());
        let server = Runner::new(server, clock.clone(), ends, mailboxes[1].clone());
        Pair { client, server, clock, pool, counters, mailboxes }
    }
}

/// Runs a plan to its end on one core; every frame comes back.
fn run(plan: Plan, service: Service) -> Seen {
    let Pair { mut client, mut server, clock, pool, counters, .. } = Pair::new(plan, service, &[]);
    let signals = Signals::default();
    assert_eq!(drive::in_turn(&mut client, &mut server, &clock, &signals), Readiness::Ready);
    let tally = *client.side().worker().app().tally();
    assert_eq!(tally.check(), Ok(()));
    assert_eq!((tally.in_flight, tally.open), (0, 0));
    // On a busy machine round trips look long, and who was left without a word asks again later than a run waits.
    let (mut at, since) = (clock.now(), clock.instant());
    while !server.side().is_done() && clock.instant().since_us(since) < 60_000_000 {
        at = client.turn(server.turn(at));
    }
    assert!(client.side().is_done() && server.side().is_done());
    drop((client.into_side().into_queues(), server.into_side().into_queues()));
    assert_eq!(pool.in_use(), 0, "every frame is back");
    let [client, server] = counters;
    Seen { client, server, tally }
}

#[track_caller]
fn equal(seen: &Seen, counts: &[Counter]) {
    for count in counts {
        assert_eq!(seen.client.get(*count), seen.server.get(*count), "{}", count.name());
    }
}

#[test]
fn what_waits_for_its_turn_is_reset_a_few_at_a_time() {
    let (talk, all) = (HTTP, 4_000);
    let plan =
        Plan { order: Order::Random { active: 1 }, drain_ms: 0, ..plan(talk, Close::Fin, all, all.into()) };
    let seen = run(plan, Service::Http);
    let (cut, finished) = (seen.tally.broken[Broken::Cut as usize], seen.tally.closed[Way::Fin as usize]);
    assert!(cut > 2_000 && cut + finished == u64::from(all), "{:?}", seen.tally);
    assert_eq!((seen.server.get(Counter::ResetByPeer), seen.client.dropped(DropReason::TxFull)), (cut, 0));
}

#[test]
fn each_way_to_close_is_accounted_for_on_both_sides() {
    let silent = Talk::SILENT;
    for (talk, close, way) in [
        (silent, Close::Rst, Way::Rst),
        (silent, Close::Fin, Way::Fin),
        (HTTP, Close::Fin, Way::Fin),
        (HTTP, Close::Rst, Way::Rst),
        (HTTP, Close::HalfClose, Way::HalfClose),
        (HTTP, Close::Abandon, Way::Abandon),
    ] {
        let seen = run(plan(talk, close, 20, 500), Service::Http);
        let Tally { attempted, established, closed, .. } = seen.tally;
        assert_eq!((attempted, established, closed[way as usize]), (500, 500, 500), "{close:?}");
        assert_eq!(
            (seen.tally.requests, seen.tally.replies),
            (500 * u64::from(talk.requests), 500 * u64::from(talk.requests))
        );
        equal(&seen, &[Counter::Established]);
        // Who was left without a word asks again, and hears of it when TIME-WAIT is over.
        let resets = if matches!(way, Way::Rst | Way::Abandon) { 500 } else { 0 };
        assert_eq!(seen.server.get(Counter::ResetByPeer), resets, "{close:?}");
        assert_eq!(seen.client.get(Counter::Retransmissions), 0);
    }
}
