//! Ports and memory of a command over DPDK: every port that EAL found is configured and started, dealt out to EAL's
//! cores with its addresses, and closed at the end, when all frames must have come back.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Failure;
use super::cores::{CoreRequest, CpuSet};
use super::plan::Cores;
use super::watch::WatchedPort;
use crate::base::hash::Secrets;
use crate::base::time::Instant;
use crate::config::assign::{self, Assigned, PortName};
use crate::config::stack::StackOptions;
use crate::dpdk::eal::Eal;
use crate::dpdk::lcore::{self, Ended, Lcore};
use crate::dpdk::mbuf::Mbuf;
use crate::dpdk::mempool::{Mempool, PoolPlan};
use crate::dpdk::port::{self, Port, PortConfig, PortInfo};
use crate::dpdk::queue::Queue;
use crate::engine::host::{FixedNeighbour, Host};
use crate::inet::locals::Locals;
use crate::inet::route::Routes;
use crate::load::tuples::Addresses;
use crate::stats::counters::Counters;
use crate::stats::losses::Losses;
use crate::telemetry::run::Device;
use crate::wire::ethernet::Mac;

/// Frames that wait for neighbours, in each loop.
const WAITING_FOR_NEIGHBOURS: u32 = 768;

/// The prefix of source addresses that lie in no port's subnet: they are in none.
const ALONE: u8 = 32;

/// Ports, their addresses and memory, and the cores that there are.
pub(super) struct Session {
    ports: Vec<Port>,
    names: Vec<PortName>,
    assigned: Assigned,
    pool: Arc<Mempool>,
    lcores: Vec<Lcore>,
    cores: Cores,
    secrets: Secrets,
    /// Queues of loops that have ended, by the places of their ports.
    kept: Mutex<BTreeMap<usize, Queue>>,
}

/// What a loop stands on: its queues and what its host knows.
pub(super) struct Ground {
    pub queues: Vec<Queue>,
    pub host: Host<Mbuf>,
    pub locals: Locals,
    pub secrets: Secrets,
}

/// A core with the ports that it polls, by their places.
pub(super) struct Seat<'a> {
    pub lcore: u32,
    pub places: &'a [usize],
}

impl Session {
    /// Finds, configures and starts every port.
    pub fn open(eal: &Eal, stack: &StackOptions) -> Result<Session, Failure> {
        let infos = port::ports(eal);
        if infos.is_empty() {
            return Err(Failure::run(
                "EAL found no port: bind a network card with scripts/bind, or give a virtual device as in \
                 --vdev net_tap0",
            ));
        }
        let names: Vec<_> =
            infos.iter().map(|info| PortName { index: info.id, name: info.name.clone() }).collect();
        let assigned = assign::assign(&stack.addresses, &names).map_err(Failure::usage)?;
        if let Some(gateway) = stack.gateway {
            assign::on_link(&assigned, gateway, "--gateway").map_err(Failure::usage)?;
        }
        for (address, _) in &stack.neighbours {
            assign::on_link(&assigned, *address, "--neighbour").map_err(Failure::usage)?;
        }
        let lcores = lcore::lcores(eal);
        let cores = Cores::deal(lcores.len(), infos.len());
        let pool = pool(eal, &infos, lcores.len(), stack)?;
        let mut ports = Vec::new();
        for info in &infos {
            let config = PortConfig { queues: 1, mtu: Some(stack.mtu), offloads: true, tso: !stack.no_tso };
            let mut port = Port::configure(eal, info, config, &pool).map_err(Failure::run)?;
            port.start().map_err(Failure::run)?;
            ports.push(port);
        }
        let secrets = secrets()?;
        let kept = Mutex::default();
        Ok(Session { ports, names, assigned, pool, lcores, cores, secrets, kept })
    }

    /// Cores that have ports.
    pub fn seats(&self) -> impl Iterator<Item = Seat<'_>> {
        let all = self.lcores.iter().zip(&self.cores.ports);
        all.filter(|(_, places)| !places.is_empty()).map(|(lcore, places)| Seat { lcore: lcore.id, places })
    }

    /// Loops that there are.
    pub fn loops(&self) -> usize {
        self.cores.busy()
    }

    /// The ports, for whoever watches them.
    pub fn watched(&self) -> Vec<WatchedPort> {
        let watched = |port: &Port| WatchedPort { name: port.name().to_owned(), watch: port.watch() };
        self.ports.iter().map(watched).collect()
    }

    /// What all ports lost so far.
    pub fn losses(&self) -> Losses {
        let mut losses = Losses::default();
        self.ports.iter().for_each(|port| losses.add(&port.stats().losses));
        losses
    }

    /// What documents say of the ports: the first one's, since all are configured alike.
    pub fn device(&self) -> Device {
        let Some(port) = self.ports.first() else { return Device::default() };
        let caps = port.caps();
        let checksums = match (caps.tx_tcp_checksum, caps.rx_checksum) {
            (true, true) => "device, both ways",
            (true, false) => "device, sent",
            (false, true) => "device, received",
            (false, false) => "software",
        };
        Device {
            name: port.name().to_owned(),
            driver: port.driver().to_owned(),
            mtu: u32::from(caps.mtu),
            checksums: checksums.to_owned(),
        }
    }

    /// `ready PORT ADDR`, a line an address.
    pub fn ready_lines(&self, place: usize) -> String {
        let name = self.names.get(place).map_or("", |name| &name.name);
        self.addresses(place).map(|(address, _)| format!("ready {name} {address}\n")).collect()
    }

    /// The addresses of a port, with the lengths of their prefixes.
    pub fn addresses(&self, place: usize) -> impl Iterator<Item = (IpAddr, u8)> {
        self.assigned.get(place).into_iter().flatten().copied()
    }

    /// The place of the port whose subnet an address lies in.
    pub fn place_of(&self, address: IpAddr) -> Option<usize> {
        let lies_in = |(own, prefix): (IpAddr, u8)| on_link(own, prefix, address);
        (0..self.assigned.len()).find(|place| self.addresses(*place).any(lies_in))
    }

    /// What a loop over some ports stands on. `sources` are further addresses of ours, each on the first of these
    /// ports whose subnet it lies in, or on the first of all, in no subnet.
    pub fn ground(
        &self,
        places: &[usize],
        stack: &StackOptions,
        sources: &[Addresses],
        counters: &Arc<Counters>,
        now: Instant,
    ) -> Result<Ground, Failure> {
        let mut locals = Locals::default();
        let mut queues = Vec::new();
        for (interface, place) in places.iter().enumerate() {
            for (address, prefix) in self.addresses(*place) {
                locals.add(address, prefix, interface as u8).map_err(Failure::usage)?;
            }
            if let Some(port) = self.ports.get(*place) {
                queues.push(match self.kept().remove(place) {
                    Some(mut queue) => {
                        queue.count_in(counters.clone());
                        queue
                    }
                    None => port.queue(0, counters.clone()).map_err(Failure::run)?,
                });
            }
        }
        for range in sources {
            let first = IpAddr::V4(range.first);
            let home = locals.subnets().find(|local| local.is_on_link(first));
            let (prefix, interface) = home.map_or((ALONE, 0), |local| (local.prefix, local.interface));
            // One that is a port's own address is there already.
            if range.count > 1 || locals.find_v4(range.first.octets()).is_none() {
                locals.add_range(first, range.count, prefix, interface).map_err(Failure::usage)?;
            }
        }
        let on_link =
            |ip: IpAddr| locals.subnets().find(|local| local.is_on_link(ip)).map(|local| local.interface);
        let routes = match stack.gateway.filter(|gateway| on_link(*gateway).is_some()) {
            Some(gateway) => Routes::with_gateway(gateway, &locals).map_err(Failure::usage)?,
            None => Routes::default(),
        };
        let neighbours = stack.neighbours.iter().filter_map(|(ip, mac)| {
            Some(FixedNeighbour { interface: on_link(*ip)?, ip: *ip, mac: Mac(*mac) })
        });
        let neighbours: Vec<_> = neighbours.collect();
        let host = Host::new(&locals, routes, &neighbours, stack.dad, &self.secrets, now);
        Ok(Ground { queues, host, locals, secrets: self.secrets.clone() })
    }

    /// Keeps the queues of these ports for the next loop over them.
    pub fn keep(&self, places: &[usize], queues: Vec<Queue>) {
        self.kept().extend(places.iter().copied().zip(queues));
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<usize, Queue>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lines for the banner: the ports.
    pub fn port_lines(&self) -> Vec<String> {
        let ports = self.ports.iter().zip(&self.assigned).map(|(port, addresses)| {
            let addresses: Vec<_> = addresses.iter().map(|(a, prefix)| format!("{a}/{prefix}")).collect();
            format!("{}, {}", addresses.join(" "), port.describe())
        });
        ports.collect()
    }

    /// Lines for the banner: the cores.
    pub fn core_lines(&self) -> Vec<String> {
        let cores = self.lcores.iter().zip(&self.cores.ports).map(|(lcore, places)| {
            let cpus: CpuSet = lcore.cpus.iter().copied().collect();
            let names: Vec<_> = places.iter().filter_map(|place| self.names.get(*place)).collect();
            let names: Vec<_> = names.iter().map(|name| name.name.as_str()).collect();
            match names.is_empty() {
                true => format!("{} (CPU {cpus}) idles: one queue a port in this version", lcore.id),
                false => format!("{} (CPU {cpus}) polls {}", lcore.id, names.join(", ")),
            }
        });
        cores.collect()
    }

    /// A line for the banner: the pool.
    pub fn pool_line(&self) -> String {
        format!("{} frames of up to {} bytes in the pool", self.pool.size(), self.pool.buffer_room())
    }

    /// Closes the ports and sees that every frame has come back.
    pub fn close(self, eal: Eal) -> Result<(), Failure> {
        self.kept().clear();
        for port in self.ports {
            port.close().map_err(Failure::run)?;
        }
        let returned = self.pool.check_returned().map_err(Failure::run)?;
        super::say(&format!("  {returned}\n"));
        drop(self.pool);
        eal.cleanup().map_err(Failure::run)
    }
}

fn on_link(own: IpAddr, prefix: u8, other: IpAddr) -> bool {
    let (IpAddr::V4(own), IpAddr::V4(other)) = (own, other) else { return false };
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
    (u32::from(own) ^ u32::from(other)) & mask == 0
}

fn pool(eal: &Eal, infos: &[PortInfo], lcores: usize, stack: &StackOptions) -> Result<Arc<Mempool>, Failure> {
    let descriptors =
        infos.iter().map(|info| u32::from(info.rx_descriptors) + u32::from(info.tx_descriptors));
    let cut: u32 = infos.iter().filter(|_| !stack.no_tso).map(PortInfo::frames_to_cut).sum();
    let plan = PoolPlan {
        descriptors: descriptors.sum(),
        queues: infos.len() as u32,
        lcores: lcores as u32,
        in_flight: WAITING_FOR_NEIGHBOURS * infos.len() as u32 + cut,
        mtu: stack.mtu,
    };
    Mempool::create(eal, "frames", &plan, -1).map_err(Failure::run)
}

/// Secrets that nobody knows.
pub(super) fn secrets() -> Result<Secrets, Failure> {
    Secrets::random().map_err(|error| {
        Failure::run(format!("the system gives no random numbers ({error}): look at /dev/urandom"))
    })
}

/// A CPU for whoever reports, outside of the loops' cores, where there is one.
pub(super) fn control_cpu(cores: Option<&CoreRequest>, online: &CpuSet) -> Option<usize> {
    let taken = cores?.cpus();
    online.iter().find(|cpu| !taken.contains(*cpu)).map(|cpu| cpu as usize)
}

/// Loops that ended otherwise than by the run's end.
pub(super) fn failures_of(ended: &[(u32, Ended)]) -> Result<(), Failure> {
    for (core, how) in ended {
        match how {
            Ended::With(0) => {}
            Ended::With(_) => {
                return Err(Failure::run(
                    "an address is used by another host already: give this one another --addr, or leave out --dad",
                ));
            }
            Ended::Panicked(message) => {
                return Err(Failure::run(format!(
                    "the loop on core {core} failed: {message}; please report it"
                )));
            }
            Ended::NotStarted => return Err(Failure::run(format!("the loop on core {core} did not start"))),
        }
    }
    Ok(())
}
