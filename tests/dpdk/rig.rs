//! Loops in the test's own process, put together as the program does it, and a pair of ports for them.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use dpdk_tcp::app::Services;
use dpdk_tcp::app::http::responses::Responses;
use dpdk_tcp::app::{Service, tally::Tally};
use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::dpdk::cable::create_ring_pair;
use dpdk_tcp::dpdk::eal::Eal;
use dpdk_tcp::dpdk::mempool::{Mempool, Returned};
use dpdk_tcp::dpdk::port::{self, Port, PortConfig};
use dpdk_tcp::dpdk::queue::Queue;
use dpdk_tcp::dpdk::tsc::TscClock;
use dpdk_tcp::engine::api::App;
use dpdk_tcp::engine::control::Control;
use dpdk_tcp::engine::host::Host;
use dpdk_tcp::engine::limits::Limits;
use dpdk_tcp::engine::shard::Shard;
use dpdk_tcp::engine::worker::Worker;
use dpdk_tcp::inet::locals::Locals;
use dpdk_tcp::inet::route::Routes;
use dpdk_tcp::link::QueuePair;
use dpdk_tcp::stats::counters::Counters;
use dpdk_tcp::tcp::config::Config;

use crate::child::plan;

/// The address of the server, and that of whoever is at the other end.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);

/// The default services and their ports.
pub const SERVICES: [(u16, Service); 4] =
    [(7, Service::Echo), (9, Service::Discard), (19, Service::Chargen), (80, Service::Http)];

/// Limits of a small host.
pub fn limits() -> Limits {
    Limits { connections: 1_024, backlog: 64, time_wait_max: 512, buffers: 4 << 20, ..Limits::default() }
}

/// A loop over one queue.
pub struct Loop<Q: QueuePair, A: App> {
    pub worker: Worker<Q, A>,
    pub counters: Arc<Counters>,
    pub clock: TscClock,
}

/// What a loop is made with.
pub struct Plan {
    pub address: Ipv4Addr,
    pub limits: Limits,
    pub cfg: Config,
}

impl Plan {
    pub fn of(address: Ipv4Addr) -> Plan {
        Plan { address, limits: limits(), cfg: Config::default() }
    }

    /// A loop that listens on `ports`; `app` is made for the number of slots.
    pub fn build<Q: QueuePair, A: App>(
        self,
        eal: &Eal,
        queue: Q,
        counters: Arc<Counters>,
        ports: &[u16],
        app: impl FnOnce(u32) -> A,
    ) -> Loop<Q, A> {
        let clock = TscClock::new(eal);
        let mut locals = Locals::default();
        locals.add(IpAddr::V4(self.address), 24, 0).unwrap();
        let secrets = Secrets::random().unwrap();
        let host = Host::new(&locals, Routes::default(), &[], false, &secrets, clock.now());
        let mut shard = Shard::new(self.limits, self.cfg, secrets, locals, counters.clone(), clock.now());
        for port in ports {
            shard.listen(None, *port).unwrap();
        }
        let app = app(shard.slots());
        let worker = Worker::new(vec![queue], host, shard, app, Arc::<Control>::default());
        Loop { worker, counters, clock }
    }

    /// A loop with the default services.
    pub fn serve<Q: QueuePair>(self, eal: &Eal, queue: Q, counters: Arc<Counters>) -> Loop<Q, Services> {
        let ports = SERVICES.map(|(port, _)| port);
        self.build(eal, queue, counters, &ports, |slots| {
            let responses = Box::leak(Box::new(Responses::new(1_024)));
            let services = SERVICES.map(|(_, service)| service);
            Services::new(&services, slots as usize, responses, Arc::<Tally>::default())
        })
    }
}

/// Two ports, joined by a cable.
pub struct Ends {
    pub eal: Eal,
    pub pool: Arc<Mempool>,
    ports: [Port; 2],
}

impl Ends {
    pub fn new(eal: Eal, slots: u32) -> Ends {
        Ends::named(eal, "c", slots)
    }

    /// One of several cables of a process.
    pub fn named(eal: Eal, name: &str, slots: u32) -> Ends {
        create_ring_pair(&eal, name, slots).unwrap();
        let pool = Mempool::create(&eal, name, &plan(), -1).unwrap();
        let ports = ["a", "b"].map(|end| open(&eal, &format!("net_ring_{name}{end}"), &pool));
        Ends { eal, pool, ports }
    }

    /// The queue at one end, with the counters that its loop is to use.
    pub fn queue(&self, end: usize) -> (Queue, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        (self.ports[end].queue(0, counters.clone()).unwrap(), counters)
    }

    /// Closes both ports; every frame must be back in the pool.
    #[track_caller]
    pub fn close(self) {
        for port in self.ports {
            port.close().unwrap();
        }
        assert_eq!(self.pool.check_returned(), Ok(Returned::All));
    }
}

/// A port, started.
pub fn open(eal: &Eal, name: &str, pool: &Arc<Mempool>) -> Port {
    let info = port::find(eal, name).unwrap();
    let mut port = Port::configure(eal, &info, PortConfig::default(), pool).unwrap();
    port.start().unwrap();
    port
}
