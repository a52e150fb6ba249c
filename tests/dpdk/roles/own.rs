//! Two of our own engines on links that carry more than a tap does: 9000 octets a packet, over rings and over
//! memif.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use dpdk_tcp::dpdk::cable::create_ring_pair;
use dpdk_tcp::dpdk::eal::Eal;
use dpdk_tcp::dpdk::mempool::{Mempool, PoolPlan, Returned};
use dpdk_tcp::dpdk::port::{self, Port, PortConfig};
use dpdk_tcp::dpdk::tsc::TscClock;
use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::stats::counters::Counters;
use dpdk_tcp::tcp::config::Config;

use super::app::{Conduct, Log, OURS, THEIRS};
use super::host::{Engine, Plan, limits};
use super::{PORT, ours};
use crate::child;
use crate::faults::{Faults, Faulty, Tally};
use crate::rig::{CLIENT, SERVER};

const MTU: u16 = 9_000;
const LEN: usize = 20_000_000;
const PATIENCE: Duration = Duration::from_secs(50);

/// One end: its engine and what its connection has seen.
struct End {
    engine: Engine,
    log: Log,
    clock: TscClock,
}

impl End {
    /// An engine on the port, behind faults; whoever listens sends the text [`OURS`].
    fn new(eal: &Eal, port: &Port, faults: Faults, listen: Vec<(u16, Conduct)>) -> End {
        let (clock, counters, log) = (TscClock::new(eal), Arc::new(Counters::default()), Log::default());
        let queue = port.queue(0, counters.clone()).unwrap();
        let queue =
            Faulty::new(queue, Arc::new(Mutex::new([Faults::default(), faults])), clock, 1).with_mtu(MTU);
        let (address, texts) =
            if listen.is_empty() { (CLIENT, [THEIRS, OURS]) } else { (SERVER, [OURS, THEIRS]) };
        let cfg = Config::default().with_time_wait(Duration::from_millis(100));
        let plan = Plan { address, gateway: None, limits: limits(), cfg, listen, texts };
        End { engine: plan.build(queue, &log, &counters, clock), log, clock }
    }

    fn pass(&mut self) {
        self.engine.pass(self.clock.now());
    }

    fn is_closed(&self) -> bool {
        self.log.lock().unwrap().first().is_some_and(|seen| seen.closed.is_some())
    }

    /// Everything was sent, everything came, in order, and both directions were closed. What it sent.
    #[track_caller]
    fn end(self) -> Tally {
        let seen = self.log.lock().unwrap()[0];
        assert_eq!((seen.sent, seen.received, seen.wrong_at), (LEN, LEN, None));
        assert_eq!(seen.closed, Some(CloseReason::Finished));
        let queue = self.engine.into_queues().pop().unwrap();
        let [_, sent] = queue.tallies();
        drop(queue.into_inner());
        sent
    }
}

/// A pool whose frames hold such packets.
fn pool(eal: &Eal) -> Arc<Mempool> {
    let plan = PoolPlan { descriptors: 4_096, queues: 2, lcores: 1, in_flight: 1_024, mtu: MTU };
    Mempool::create(eal, "jumbo", &plan, -1).unwrap()
}

fn open(eal: &Eal, name: &str, pool: &Arc<Mempool>) -> Port {
    let config = PortConfig { offloads: false, ..PortConfig::default() };
    let mut port = Port::configure(eal, &port::find(eal, name).unwrap(), config, pool).unwrap();
    port.start().unwrap();
    port
}

/// Data both ways at once between engines on both ports.
fn exchange(eal: &Eal, ports: [Port; 2], pool: &Arc<Mempool>, loss_ppm: u32) {
    let faults = Faults {
        loss_ppm,
        duplicate_ppm: 2_000,
        corrupt_ppm: loss_ppm.min(2_000),
        hold_ppm: 10_000,
        hold_us: 1_000,
        mark_ppm: 0,
    };
    let conduct = Conduct::send(LEN);
    let mut server = End::new(eal, &ports[0], faults, vec![(PORT, conduct)]);
    let mut client = End::new(eal, &ports[1], faults, Vec::new());
    let started = Instant::now();
    let id = client.engine.open(None, None, ours()).unwrap();
    client.engine.app_mut().begin(id, conduct);
    while !(server.is_closed() && client.is_closed()) {
        assert!(started.elapsed() < PATIENCE, "{:?} {:?}", server.log.lock(), client.log.lock());
        server.pass();
        client.pass();
    }
    let took = started.elapsed().as_secs_f64();
    println!("# {LEN} octets each way in {took:.2} s, {:.0} Mbit/s each", LEN as f64 * 8e-6 / took);
    for sent in [server.end(), client.end()] {
        assert_eq!(sent.longest, usize::from(MTU) + 14);
        // Nearly all are full.
        assert!(sent.came < 3 * LEN as u64 / u64::from(MTU), "{sent:?}");
    }
    for port in ports {
        port.close().unwrap();
    }
    assert_eq!(pool.check_returned(), Ok(Returned::All));
}

#[test]
fn packets_of_9000_octets_over_rings() {
    child::run("roles::own::packets_of_9000_octets_over_rings", || {
        let eal = child::eal(&["-l", "0"]);
        let pool = pool(&eal);
        for (name, loss_ppm) in [("p", 0), ("q", 10_000)] {
            create_ring_pair(&eal, name, 256).unwrap();
            let ports = ["a", "b"].map(|end| open(&eal, &format!("net_ring_{name}{end}"), &pool));
            exchange(&eal, ports, &pool, loss_ppm);
        }
    });
}

/// Each buffer holds a packet. Where it takes several (bsize=2048, the default), memif's driver in DPDK 22.11
/// delivers old buffers again and again.
fn over_memif(loss_ppm: u32) {
    let common = format!("id=0,socket=dpdk-tcp-{},bsize=9216", std::process::id());
    let vdevs = ["server", "client"].iter().enumerate();
    let vdevs: Vec<_> = vdevs.map(|(n, role)| format!("net_memif{n},role={role},{common}")).collect();
    let eal = child::eal(&["-l", "0", "--vdev", &vdevs[0], "--vdev", &vdevs[1]]);
    let pool = pool(&eal);
    let ports = ["net_memif0", "net_memif1"].map(|name| open(&eal, name, &pool));
    let started = Instant::now();
    while !ports.iter().all(|port| port.link().up) {
        assert!(started.elapsed() < PATIENCE, "the link stays down");
        thread::sleep(Duration::from_millis(5));
    }
    exchange(&eal, ports, &pool, loss_ppm);
}

#[test]
fn packets_of_9000_octets_over_memif() {
    child::run("roles::own::packets_of_9000_octets_over_memif", || over_memif(0));
}

#[test]
fn packets_of_9000_octets_over_memif_that_loses_some() {
    child::run("roles::own::packets_of_9000_octets_over_memif_that_loses_some", || over_memif(10_000));
}
