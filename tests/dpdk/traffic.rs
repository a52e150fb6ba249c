//! Frames that were received become those of answers: what a load of `crr` asks of the ring that a pool's lcores share.
//! A client and a server of ours over rings, as `bench` runs them, on one core and on two.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dpdk_sys::RTE_MEMPOOL_CACHE_MAX_SIZE;
use dpdk_tcp::app::Service;
use dpdk_tcp::app::client::{Client, Order, Plan};
use dpdk_tcp::app::http::responses::Responses;
use dpdk_tcp::app::reply::text;
use dpdk_tcp::base::cycles::Cycles;
use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::dpdk::lcore::{self, Ended, Job};
use dpdk_tcp::dpdk::queue::Queue;
use dpdk_tcp::link::QueuePair;
use dpdk_tcp::load::closing::{Close, Closes};
use dpdk_tcp::load::schedule::{Schedule, Share, Stage};
use dpdk_tcp::load::talk::{Reply, Request, Talk};
use dpdk_tcp::measure::drive::{self, Signals};
use dpdk_tcp::measure::pair::{self, Flooded, Spec};
use dpdk_tcp::measure::runner::{Laps, Runner};
use dpdk_tcp::measure::side::{Engine, Now, Readiness, Side};
use dpdk_tcp::stats::counters::{Counter, Counters};
use dpdk_tcp::stats::interval::{Interval, Mailbox};
use dpdk_tcp::tcp::arrives::listen::CookieMode;
use dpdk_tcp::tcp::config::Config;
use dpdk_tcp::wire::ethernet::Mac;

use crate::child;
use crate::counted::{self, Traffic};
use crate::rig::Ends;

/// Connections of one run: those before anything is looked at, those that are looked at, and some behind them.
const BEFORE: u64 = 30_000;
const LOOKED_AT: u64 = 60_000;
const BEHIND: u64 = 10_000;
/// Connections that are opened, talk or close at a time, as in `bench`.
const ACTIVE_MAX: u32 = 256;
const TALK: Talk = Talk { request: Request::Whole(&[b'x'; 85]), reply: Reply::PeerClose, requests: 1 };

/// The client, with a look at the pool's ring when so many connections have ended.
struct Watched {
    client: Engine<Queue, Client>,
    counters: Arc<Counters>,
    /// Connections and traffic at both looks.
    seen: Vec<(u64, Traffic)>,
}

impl Side for Watched {
    fn pass(&mut self, now: Now, laps: &mut Laps) -> bool {
        let busy = self.client.pass(now, laps);
        let ended = self.counters.get(Counter::Finished);
        let next = [BEFORE, BEFORE + LOOKED_AT].get(self.seen.len());
        if next.is_some_and(|next| ended >= *next) {
            self.seen.push((ended, Traffic::now()));
        }
        busy
    }

    fn fill(&mut self, interval: &mut Interval) {
        self.client.fill(interval);
    }

    fn is_done(&self) -> bool {
        self.client.is_done()
    }

    fn stop(&mut self) {
        self.client.stop();
    }
}

fn plan(concurrency: u32) -> Plan {
    let stage = Stage { concurrency: Some(concurrency), duration_ns: 600_000_000_000, ..Stage::default() };
    let connections = Some(BEFORE + LOOKED_AT + BEHIND);
    Plan {
        schedule: Schedule { stages: vec![stage], warm_up_ns: 0, connections },
        share: Share::WHOLE,
        talk: TALK,
        closes: Closes::only(Close::Peer),
        connect_timeout_ms: 60_000,
        reply_timeout_ms: 60_000,
        think_ms: 0,
        hold_ms: 0,
        drain_ms: 60_000,
        order: Order::Random { active: concurrency.min(ACTIVE_MAX) },
        seed: 1,
    }
}

fn spec(concurrency: u32) -> Spec {
    Spec {
        concurrency,
        rate_max: 1e6,
        config: Config::default().with_time_wait(Duration::from_millis(100)),
        responses: Box::leak(Box::new(Responses::new(100))),
        reply: Box::leak(text(256).into()),
        service: Service::Reply,
        burst: 32,
        tx_burst: 32,
        cookies: CookieMode::Auto,
        flood: Flooded::default(),
    }
}

/// What was seen of a run.
#[derive(Debug)]
struct Seen {
    /// Connections between both looks.
    connections: u64,
    traffic: Traffic,
    /// Segments that went again in the whole run: a machine with something else to do makes some.
    again: u64,
}

/// What connections ask of the ring with so many at a time, on these lcores: one or two.
fn look(cores: &str, concurrency: u32) -> Seen {
    let eal = child::eal(&["--lcores", cores, "--mbuf-pool-ops-name", counted::NAME]);
    counted::register();
    let ends = Ends::new(eal, 1_024);
    // The pool was filled through the operations that count.
    assert_eq!(Traffic::now().put.frames, u64::from(ends.pool.size()));
    let [(near, client_counters), (far, server_counters)] = [ends.queue(0), ends.queue(1)];
    let macs = [Mac(near.caps().mac), Mac(far.caps().mac)];
    let (clock, spec) = (Cycles::start(), spec(concurrency));
    let now = clock.instant();
    let secrets = Secrets::from_seed;
    let client =
        pair::client(near, macs[1], &spec, plan(concurrency), &client_counters, now, secrets(1)).unwrap();
    let server = pair::server(far, macs[0], &spec, &server_counters, now, secrets(2)).unwrap();
    let client = Watched { client, counters: client_counters.clone(), seen: Vec::with_capacity(2) };
    let mut client = Runner::new(client, clock.clone(), &[], Arc::<Mailbox>::default()).unreported();
    let mut server = Runner::new(server, clock.clone(), &[], Arc::<Mailbox>::default()).unreported();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let place = seen.clone();
    let leave = move |client: Runner<Watched>| {
        let Watched { client, seen, .. } = client.into_side();
        place.lock().unwrap().extend(seen);
        drop(client.into_queues());
    };
    let jobs: Vec<(u32, Job)> = if cores == "0" {
        let signals = Signals::default();
        let both = move || {
            assert_eq!(drive::in_turn(&mut client, &mut server, &clock, &signals), Readiness::Ready);
            leave(client);
            0
        };
        vec![(0, Box::new(both))]
    } else {
        let signals = Arc::new(Signals::with_servers(1));
        let (far_signals, far_clock) = (signals.clone(), clock.clone());
        let near = move || {
            assert_eq!(drive::client(&mut client, &clock, &signals, 1), Readiness::Ready);
            leave(client);
            0
        };
        let far = move || {
            drive::server(&mut server, &far_clock, &far_signals, 1);
            0
        };
        vec![(0, Box::new(near)), (1, Box::new(far))]
    };
    for (core, ended) in lcore::launch(&ends.eal, jobs).unwrap() {
        assert_eq!(ended, Ended::With(0), "{core}");
    }
    ends.close();
    let seen = seen.lock().unwrap();
    let [(first, before), (last, after)] = seen[..] else { panic!("{} looks", seen.len()) };
    assert_eq!(server_counters.get(Counter::Finished), BEFORE + LOOKED_AT + BEHIND);
    let again = [Counter::Retransmissions, Counter::SynRepeated, Counter::SynAckRepeated];
    let again =
        again.iter().map(|counter| client_counters.get(*counter) + server_counters.get(*counter)).sum();
    let seen = Seen { connections: last - first, traffic: after.since(before), again };
    println!("{concurrency} at a time on {cores}: {seen:?}");
    seen
}

#[test]
fn on_one_core_nothing_is_asked_of_the_ring() {
    child::run("traffic::on_one_core_nothing_is_asked_of_the_ring", || {
        assert_eq!(look("0", 64).traffic, Traffic::default());
    });
}

#[test]
fn on_one_core_nothing_is_asked_with_many_open_either() {
    child::run("traffic::on_one_core_nothing_is_asked_with_many_open_either", || {
        assert_eq!(look("0", 10_000).traffic, Traffic::default());
    });
}

/// At most one frame a connection went each way, and many in one operation.
#[track_caller]
fn assert_bulk(seen: &Seen) {
    // A look may come in the middle of what a cache gives back or takes at once.
    let most = seen.connections + seen.again + u64::from(RTE_MEMPOOL_CACHE_MAX_SIZE) * 3 / 2;
    for way in [seen.traffic.put, seen.traffic.taken] {
        assert!(way.frames <= most, "{seen:?}");
        assert!(way.frames >= 256 * way.calls, "{seen:?}");
    }
}

#[test]
fn across_cores_frames_are_moved_in_bulk_if_at_all() {
    child::run("traffic::across_cores_frames_are_moved_in_bulk_if_at_all", || {
        assert_bulk(&look("(0,1)", 64));
    });
}

#[test]
fn across_cores_one_frame_a_connection_is_moved_where_one_side_sends_more_of_them() {
    const NAME: &str =
        "traffic::across_cores_one_frame_a_connection_is_moved_where_one_side_sends_more_of_them";
    child::run(NAME, || {
        // The last ACK of a handshake leaves alone: the client sends four frames and receives three.
        let seen = look("(0,1)", 10_000);
        assert_bulk(&seen);
        let least = seen.connections / 2;
        assert!(seen.traffic.put.frames > least && seen.traffic.taken.frames > least, "{seen:?}");
    });
}
