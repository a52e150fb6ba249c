//! The command `serve` over DPDK: devices and memory first, then a loop on each core, then everything given back
//! and counted.

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use super::args::Serve;
use super::cores::{CoreRequest, CpuSet};
use super::plan::{self, Cores};
use super::watch::{self, Run, Watched, WatchedPort};
use super::{Failure, banner, check};
use crate::app::http::responses::Responses;
use crate::app::tally::Tally;
use crate::app::{Service, Services, reply};
use crate::base::hash::Secrets;
use crate::config::assign::{self, Assigned, PortName};
use crate::dpdk::eal::Eal;
use crate::dpdk::lcore::{self, Ended, Job};
use crate::dpdk::mempool::{Mempool, PoolPlan};
use crate::dpdk::port::{self, Port, PortConfig, PortInfo};
use crate::dpdk::queue::Queue;
use crate::dpdk::tsc::TscClock;
use crate::engine::control::Control;
use crate::engine::host::{FixedNeighbour, Host};
use crate::engine::shard::Shard;
use crate::engine::worker::Worker;
use crate::inet::locals::Locals;
use crate::inet::route::Routes;
use crate::stats::counters::Counters;
use crate::telemetry::text;
use crate::wire::ethernet::Mac;

type Loop = Worker<Queue, Services>;
/// Jobs, each with its core.
type Jobs = Vec<(u32, Job)>;

/// Frames that wait for neighbours, in each loop.
const WAITING_FOR_NEIGHBOURS: u32 = 768;

/// Runs the command. `cores` are those asked for on the command line, `online` the machine's CPUs.
pub(super) fn run(
    eal_words: Vec<String>,
    options: &Serve,
    cores: Option<&CoreRequest>,
    online: &CpuSet,
) -> Result<ExitCode, Failure> {
    enough_memory(options)?;
    let (send_run, runs) = mpsc::channel();
    let control = watch::start(control_cpu(cores, online), runs).map_err(Failure::run)?;
    let eal = Eal::init(eal_words).map_err(Failure::run)?;
    let session = Session::open(&eal, options)?;
    let leave = Arc::new(AtomicBool::new(false));
    let status = Arc::new(AtomicU8::new(0));
    let (loops, jobs) = session.jobs(options, &leave)?;
    banner::print(&session.banner(options));
    let started = Instant::now();
    let run = Run {
        loops: loops.clone(),
        ports: session.watched(),
        duration: options.duration,
        stats_interval: options.stats_interval,
        drain: options.drain,
        leave,
        status: status.clone(),
    };
    // The control thread waits for it and cannot be gone.
    let _ = send_run.send(run);
    let ended = lcore::launch(&eal, jobs).map_err(Failure::run)?;
    loops.iter().for_each(|one| one.control.set_ended());
    let _ = control.join();
    let left_at_once = status.load(Ordering::SeqCst) != 0;
    if !left_at_once {
        let (all, levels) = (watch::snapshot(&loops), watch::levels(&loops));
        super::say(&text::account(started.elapsed(), &all, levels, options.stack.time_wait));
        for port in session.watched() {
            super::say(&text::port_account(&port.name, &port.losses()));
        }
        text::advice(&all).iter().for_each(|sentence| super::say(&format!("  {sentence}\n")));
    }
    session.close(eal)?;
    failures_of(&ended)?;
    let code = status.load(Ordering::SeqCst);
    if left_at_once {
        return Err(Failure::run("a second signal came: left without waiting for open connections"));
    }
    Ok(ExitCode::from(code))
}

/// Refuses what would not fit into memory, rather than to be ended by the kernel half-way.
fn enough_memory(options: &Serve) -> Result<(), Failure> {
    let needed = plan::limits(options, 1).memory().total as u64;
    match check::available_bytes(Path::new("/")).filter(|available| needed > *available) {
        None => Ok(()),
        Some(available) => Err(Failure::run(format!(
            "{} connections and their data need {} MB and {} MB are available: give a smaller --max-connections, \
             --time-wait-max or --buffers",
            options.stack.max_connections,
            needed.div_ceil(1 << 20),
            available >> 20
        ))),
    }
}

/// A CPU for the control thread outside of the loops' cores, where there is one.
fn control_cpu(cores: Option<&CoreRequest>, online: &CpuSet) -> Option<usize> {
    let taken = cores?.cpus();
    online.iter().find(|cpu| !taken.contains(*cpu)).map(|cpu| cpu as usize)
}

/// Loops that ended otherwise than by the run's end.
fn failures_of(ended: &[(u32, Ended)]) -> Result<(), Failure> {
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

/// Ports, addresses and memory of a run.
struct Session {
    ports: Vec<Port>,
    names: Vec<PortName>,
    assigned: Assigned,
    pool: Arc<Mempool>,
    lcores: Vec<lcore::Lcore>,
    cores: Cores,
    clock: TscClock,
    secrets: Secrets,
}

impl Session {
    /// Finds, configures and starts every port.
    fn open(eal: &Eal, options: &Serve) -> Result<Session, Failure> {
        let infos = port::ports(eal);
        if infos.is_empty() {
            return Err(Failure::run(
                "EAL found no port: bind a network card with scripts/bind, or give a virtual device as in \
                 --vdev net_tap0",
            ));
        }
        let names: Vec<_> =
            infos.iter().map(|info| PortName { index: info.id, name: info.name.clone() }).collect();
        let assigned = assign::assign(&options.stack.addresses, &names).map_err(Failure::usage)?;
        if let Some(gateway) = options.stack.gateway {
            assign::on_link(&assigned, gateway, "--gateway").map_err(Failure::usage)?;
        }
        for (address, _) in &options.stack.neighbours {
            assign::on_link(&assigned, *address, "--neighbour").map_err(Failure::usage)?;
        }
        let lcores = lcore::lcores(eal);
        let cores = Cores::deal(lcores.len(), infos.len());
        let pool = pool(eal, &infos, lcores.len(), options)?;
        let mut ports = Vec::new();
        for info in &infos {
            let config = PortConfig {
                queues: 1,
                mtu: Some(options.stack.mtu),
                offloads: true,
                tso: !options.stack.no_tso,
            };
            let mut port = Port::configure(eal, info, config, &pool).map_err(Failure::run)?;
            port.start().map_err(Failure::run)?;
            ports.push(port);
        }
        let secrets = Secrets::random().map_err(|error| {
            Failure::run(format!("the system gives no random numbers ({error}): look at /dev/urandom"))
        })?;
        Ok(Session { ports, names, assigned, pool, lcores, cores, clock: TscClock::new(eal), secrets })
    }

    /// A loop for each core that serves a port.
    fn jobs(&self, options: &Serve, leave: &Arc<AtomicBool>) -> Result<(Vec<Watched>, Jobs), Failure> {
        let responses: &'static Responses = Box::leak(Box::new(Responses::new(options.http_body)));
        let reply: &'static [u8] = reply::text(options.reply_size).leak();
        let (mut loops, mut jobs) = (Vec::new(), Vec::new());
        for (lcore, places) in self.lcores.iter().zip(&self.cores.ports) {
            if places.is_empty() {
                continue;
            }
            let watched = Watched {
                control: Arc::new(Control::default()),
                counters: Arc::new(Counters::default()),
                ready: places.iter().map(|place| self.ready_lines(*place)).collect(),
            };
            let worker = self.worker(places, options, (responses, reply), &watched)?;
            let (control, clock, leave) = (watched.control.clone(), self.clock, leave.clone());
            jobs.push((lcore.id, Box::new(move || poll(worker, &control, clock, &leave)) as Job));
            loops.push(watched);
        }
        Ok((loops, jobs))
    }

    fn watched(&self) -> Vec<WatchedPort> {
        let watched = |port: &Port| WatchedPort { name: port.name().to_owned(), watch: port.watch() };
        self.ports.iter().map(watched).collect()
    }

    fn ready_lines(&self, place: usize) -> String {
        let name = self.names.get(place).map_or("", |name| &name.name);
        let addresses = self.assigned.get(place).into_iter().flatten();
        addresses.map(|(address, _)| format!("ready {name} {address}\n")).collect()
    }

    /// The loop over some ports: its addresses, listeners and memory.
    fn worker(
        &self,
        places: &[usize],
        options: &Serve,
        (responses, reply): (&'static Responses, &'static [u8]),
        watched: &Watched,
    ) -> Result<Loop, Failure> {
        let now = self.clock.now();
        let mut locals = Locals::default();
        let mut queues = Vec::new();
        for (interface, place) in places.iter().enumerate() {
            for (address, prefix) in self.assigned.get(*place).into_iter().flatten() {
                locals.add(*address, *prefix, interface as u8).map_err(Failure::usage)?;
            }
            if let Some(port) = self.ports.get(*place) {
                queues.push(port.queue(0, watched.counters.clone()).map_err(Failure::run)?);
            }
        }
        let on_link =
            |ip: IpAddr| locals.subnets().find(|local| local.is_on_link(ip)).map(|local| local.interface);
        let routes = match options.stack.gateway.filter(|gateway| on_link(*gateway).is_some()) {
            Some(gateway) => Routes::with_gateway(gateway, &locals).map_err(Failure::usage)?,
            None => Routes::default(),
        };
        let neighbours = options.stack.neighbours.iter().filter_map(|(ip, mac)| {
            Some(FixedNeighbour { interface: on_link(*ip)?, ip: *ip, mac: Mac(*mac) })
        });
        let neighbours: Vec<_> = neighbours.collect();
        let host = Host::new(&locals, routes, &neighbours, options.stack.dad, &self.secrets, now);
        let limits = plan::limits(options, self.cores.busy());
        let (config, secrets) = (plan::config(options), self.secrets.clone());
        let mut shard = Shard::new(limits, config, secrets, locals, watched.counters.clone(), now);
        let services: Vec<Service> = options.listen.iter().map(|listen| listen.service).collect();
        for listen in &options.listen {
            shard.listen(None, listen.port).map_err(Failure::usage)?;
        }
        let tally = Arc::new(Tally::default());
        let app = Services::new(&services, shard.slots() as usize, responses, tally).with_reply(reply);
        Ok(Worker::new(queues, host, shard, app, watched.control.clone()))
    }

    fn banner(&self, options: &Serve) -> banner::Banner {
        let loops = self.cores.busy();
        let limits = plan::limits(options, loops);
        let ports = self.ports.iter().zip(&self.assigned).map(|(port, addresses)| {
            let addresses: Vec<_> = addresses.iter().map(|(a, prefix)| format!("{a}/{prefix}")).collect();
            format!("{}, {}", addresses.join(" "), port.describe())
        });
        let cores = self.lcores.iter().zip(&self.cores.ports).map(|(lcore, places)| {
            let cpus: CpuSet = lcore.cpus.iter().copied().collect();
            let names: Vec<_> = places.iter().filter_map(|place| self.names.get(*place)).collect();
            let names: Vec<_> = names.iter().map(|name| name.name.as_str()).collect();
            match names.is_empty() {
                true => format!("{} (CPU {cpus}) idles: one queue a port in this version", lcore.id),
                false => format!("{} (CPU {cpus}) polls {}", lcore.id, names.join(", ")),
            }
        });
        let services = options.listen.iter().map(|listen| format!("{}={}", listen.port, listen.service));
        let mut memory = plan::memory_lines(&limits.memory(), options, loops);
        let room = self.pool.buffer_room();
        memory.push(format!("{} frames of up to {room} bytes in the pool", self.pool.size()));
        banner::Banner {
            dpdk: Eal::version(),
            ports: ports.collect(),
            cores: cores.collect(),
            memory,
            services: services.collect::<Vec<_>>().join(" "),
        }
    }

    /// Closes the ports and sees that every frame has come back.
    fn close(self, eal: Eal) -> Result<(), Failure> {
        for port in self.ports {
            port.close().map_err(Failure::run)?;
        }
        let returned = self.pool.check_returned().map_err(Failure::run)?;
        super::say(&format!("  {returned}\n"));
        drop(self.pool);
        eal.cleanup().map_err(Failure::run)
    }
}

fn pool(eal: &Eal, infos: &[PortInfo], lcores: usize, options: &Serve) -> Result<Arc<Mempool>, Failure> {
    let descriptors =
        infos.iter().map(|info| u32::from(info.rx_descriptors) + u32::from(info.tx_descriptors));
    let cut: u32 = infos.iter().filter(|_| !options.stack.no_tso).map(PortInfo::frames_to_cut).sum();
    let plan = PoolPlan {
        descriptors: descriptors.sum(),
        queues: infos.len() as u32,
        lcores: lcores as u32,
        in_flight: WAITING_FOR_NEIGHBOURS * infos.len() as u32 + cut,
        mtu: options.stack.mtu,
    };
    Mempool::create(eal, "frames", &plan, -1).map_err(Failure::run)
}

/// Ends all loops when one ends that was not asked to.
struct LeaveTogether<'a> {
    control: &'a Control,
    leave: &'a AtomicBool,
}

impl Drop for LeaveTogether<'_> {
    fn drop(&mut self) {
        if !self.control.is_drained() {
            self.leave.store(true, Ordering::SeqCst);
        }
        self.control.set_ended();
    }
}

/// One core's life. Returns 0, or 1 when an address turned out to be another host's.
fn poll(mut worker: Loop, control: &Control, clock: TscClock, leave: &AtomicBool) -> i32 {
    // Whatever ends this loop before its time, a panic included, ends the others too.
    let _others = LeaveTogether { control, leave };
    let mut looked_at_claims = false;
    let mut status = 0;
    while !leave.load(Ordering::Relaxed) && !control.is_drained() {
        worker.pass(clock.now());
        if !looked_at_claims && worker.is_ready() {
            looked_at_claims = true;
            if !worker.lost_addresses().is_empty() {
                status = 1;
                break;
            }
        }
    }
    drop(worker.into_queues());
    status
}
