//! A flood of SYNs against the engine, over the link in memory: each SYN is answered as the server's settings say.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::engine::control::Control;
use dpdk_tcp::engine::host::{FixedNeighbour, Host};
use dpdk_tcp::engine::limits::Limits;
use dpdk_tcp::engine::shard::Shard;
use dpdk_tcp::engine::worker::{Pass, Worker};
use dpdk_tcp::inet::locals::Locals;
use dpdk_tcp::inet::route::Routes;
use dpdk_tcp::link::QueuePair;
use dpdk_tcp::link::memory::{Checksums, MemoryPool, MemoryQueue, Plan as Link, pair};
use dpdk_tcp::load::flood::{Beside, Flood, Plan, Sources, Tally, Target};
use dpdk_tcp::stats::counters::{Counter, Counters};
use dpdk_tcp::tcp::arrives::listen::CookieMode;
use dpdk_tcp::tcp::config::Config;
use dpdk_tcp::wire::ethernet::Mac;

use crate::no_alloc::counted;
use crate::reach::{OURS, PORT, Probe};

/// On our link; the sources that the flood claims to be are behind it.
const GATEWAY: [u8; 4] = [198, 18, 0, 254];
const CONNECTIONS: u32 = 1_024;
/// Connections that may be half-open, a quarter of all.
const HALF_OPEN: u64 = 256;

/// How a world differs from the usual one.
#[derive(Clone, Copy)]
struct Setup {
    cookies: CookieMode,
    checksums: Checksums,
    port: u16,
    first: [u8; 4],
    /// The server knows the gateway's MAC address.
    fixed: bool,
    rate: Option<NonZeroU32>,
    /// Connections that are opened before.
    beside: u64,
}

const USUAL: Setup = Setup {
    cookies: CookieMode::Always,
    checksums: Checksums::Software,
    port: PORT,
    first: [10, 0, 0, 1],
    fixed: true,
    rate: None,
    beside: 0,
};

/// A server, and the flood at the other end of its link.
struct World {
    flood: Flood<MemoryQueue>,
    worker: Worker<MemoryQueue, Probe>,
    counters: Arc<Counters>,
    pool: MemoryPool,
    now_us: u64,
}

impl World {
    fn new(setup: Setup, count: u64) -> World {
        let now_us = 1_000_000_000;
        let (ours, theirs) = pair(Link { checksums: setup.checksums, ..Link::default() });
        let (pool, target_mac, mac) = (ours.pool(), Mac(ours.caps().mac), Mac(theirs.caps().mac));
        let mut locals = Locals::default();
        locals.add(IpAddr::V4(OURS.into()), 24, 0).unwrap();
        let gateway = IpAddr::V4(GATEWAY.into());
        let routes = Routes::with_gateway(gateway, &locals).unwrap();
        let fixed = [FixedNeighbour { interface: 0, ip: gateway, mac }];
        let fixed = &fixed[..usize::from(setup.fixed)];
        let secrets = Secrets::from_seed(1);
        let host = Host::new(&locals, routes, fixed, false, &secrets, Instant(now_us));
        let limits = Limits {
            connections: CONNECTIONS,
            syn_cookies: setup.cookies,
            time_wait_max: 64,
            buffers: 1 << 20,
            ..Limits::default()
        };
        let counters = Arc::new(Counters::default());
        let cfg = Config::default();
        let mut shard = Shard::new(limits, cfg, secrets, locals, counters.clone(), Instant(now_us));
        shard.listen(None, PORT).unwrap();
        let control = Arc::new(Control::default());
        let worker = Worker::new(vec![ours], host, shard, Probe::default(), control);
        let plan = Plan {
            target: Target { address: OURS, port: setup.port, mac: target_mac },
            sources: Sources { first: setup.first, addresses: 16, ports: 1_024..=65_535 },
            beside: Some(Beside { count: setup.beside, port: PORT, ports: 1..=1_023 }),
            gateway: Some(GATEWAY),
            count,
            rate: setup.rate,
            burst: 32,
            seed: 99,
        };
        World { flood: Flood::new(theirs, plan).unwrap(), worker, counters, pool, now_us }
    }

    /// Both loops in turn, `us` microseconds.
    fn run_us(&mut self, us: u64) {
        for _ in 0..us.div_ceil(10) {
            self.now_us += 10;
            while self.flood.pass(self.now_us * 1_000) > 0
                || self.worker.pass(Instant(self.now_us)) == Pass::Busy
            {}
        }
    }

    /// What was counted in the end; every frame must be back.
    fn end(self) -> Tally {
        let tally = self.flood.tally();
        self.worker.shard().check_invariants().unwrap();
        drop((self.flood.into_queue(), self.worker.into_queues()));
        assert_eq!(self.pool.in_use(), 0, "frames");
        tally
    }
}

#[test]
fn every_syn_is_answered_by_a_cookie_and_leaves_nothing() {
    //= SYNC-1
    //= ATK-1
    for checksums in [Checksums::Software, Checksums::Marked] {
        let mut world = World::new(Setup { checksums, ..USUAL }, 50_000);
        world.run_us(10);
        assert!(world.flood.is_done());
        assert_eq!((world.worker.shard().connections(), world.worker.shard().half_open()), (0, 0));
        assert_eq!(world.counters.get(Counter::CookiesSent), 50_000);
        let tally = world.end();
        assert_eq!((tally.syns, tally.syn_acks, tally.resets, tally.wrong), (50_000, 50_000, 0, 0));
    }
}

#[test]
fn without_cookies_only_half_open_entries_are_answered() {
    //= LIS-8
    //= SYNQ-7
    let mut world = World::new(Setup { cookies: CookieMode::Never, ..USUAL }, 50_000);
    world.run_us(10);
    assert_eq!(world.counters.dropped(DropReason::SynQueueFull), 50_000 - HALF_OPEN);
    let tally = world.flood.tally();
    assert_eq!((tally.syns, tally.syn_acks, tally.wrong), (50_000, HALF_OPEN, 0));
    // What nobody acknowledges is sent again, and counts again.
    world.run_us(1_100_000);
    assert_eq!(world.end().syn_acks, 2 * HALF_OPEN);
}

#[test]
fn a_closed_port_answers_by_resets_as_far_as_their_limit_goes() {
    //= CLD-5
    let mut world = World::new(Setup { port: 81, ..USUAL }, 10_000);
    world.run_us(10);
    let tally = world.flood.tally();
    assert_eq!((tally.syns, tally.resets, tally.syn_acks, tally.wrong), (10_000, 4_000, 0, 0));
    assert_eq!(world.counters.dropped(DropReason::RstRateLimited), 6_000);
    world.end();
}

#[test]
fn connections_that_were_opened_before_a_flood_stand_beside_it() {
    for (checksums, cookies) in
        [(Checksums::Software, CookieMode::Always), (Checksums::Marked, CookieMode::Auto)]
    {
        let mut world = World::new(Setup { checksums, cookies, beside: 700, port: 81, ..USUAL }, 10_000);
        while world.flood.open(world.now_us * 1_000) > 0
            || world.worker.pass(Instant(world.now_us)) == Pass::Busy
        {}
        assert_eq!((world.flood.tally().opened, world.flood.tally().syns), (700, 0));
        assert_eq!(world.counters.get(Counter::Established), 700);
        world.run_us(10);
        assert_eq!((world.worker.shard().connections(), world.worker.shard().half_open()), (700, 0));
        // They are left alone, however long.
        world.run_us(5_000_000);
        assert_eq!(world.worker.shard().connections(), 700);
        let tally = world.end();
        assert_eq!((tally.syns, tally.resets, tally.wrong), (10_000, 4_000, 0));
    }
}

#[test]
fn a_server_that_knows_no_neighbour_asks_and_is_told() {
    // Behind a gateway, and on the link itself: the flood is all of its sources.
    for (first, asked) in [(USUAL.first, 1), ([198, 18, 0, 16], 16)] {
        // Neighbours are asked for once a millisecond, and only a few frames wait for each.
        let rate = NonZeroU32::new(2_000);
        let mut world = World::new(Setup { fixed: false, first, rate, ..USUAL }, 1_000);
        world.run_us(510_000);
        assert!(world.flood.is_done());
        let tally = world.end();
        assert_eq!((tally.arp_requests, tally.syn_acks), (asked, 1_000));
    }
}

#[test]
fn a_flood_at_a_rate_sends_what_is_due() {
    let mut world = World::new(Setup { rate: NonZeroU32::new(20_000), ..USUAL }, 50_000);
    world.run_us(500_010);
    assert_eq!((world.flood.tally().syns, world.flood.is_done()), (10_000, false));
    assert_eq!(world.end().syn_acks, 10_000);
}

#[test]
fn neither_flood_nor_server_allocates() {
    //= LIM-13
    let mut world = World::new(USUAL, 20_000);
    let ((), allocations) = counted(|| world.run_us(10));
    assert_eq!((world.flood.tally().syn_acks, allocations), (20_000, 0));
    world.end();
}

#[test]
fn flood_and_server_meet_from_two_threads() {
    const COUNT: u64 = 100_000;
    // So long both find nothing to do when all is over.
    const QUIET: u32 = 2_000;
    let World { mut flood, worker, counters, pool, now_us } = World::new(USUAL, COUNT);
    let served = Arc::new(AtomicBool::new(false));
    let is_served = served.clone();
    // A worker stays where it is; the flood may be anywhere.
    let flooding = std::thread::spawn(move || {
        let mut quiet = 0;
        while quiet < QUIET {
            if flood.pass(now_us * 1_000) > 0 {
                quiet = 0;
            } else {
                // The server may be slow: only what it has left behind can be the last.
                quiet += u32::from(flood.is_done() && is_served.load(Ordering::Acquire));
                std::thread::yield_now();
            }
        }
        (flood.tally(), flood.into_queue())
    });
    let mut worker = worker;
    while !flooding.is_finished() {
        if worker.pass(Instant(now_us)) == Pass::Idle {
            served.store(counters.get(Counter::RxSegments) == COUNT, Ordering::Release);
            std::thread::yield_now();
        }
    }
    let (tally, queue) = flooding.join().unwrap();
    // An answer for which the flood's ring has no room is lost, as on any wire, and counted.
    let lost = counters.dropped(DropReason::TxFull);
    assert_eq!((tally.syns, tally.syn_acks + lost, tally.wrong), (COUNT, COUNT, 0));
    drop((queue, worker.into_queues()));
    assert_eq!(pool.in_use(), 0);
}
