//! The bench's link over DPDK: two ports joined by rings, with real mbufs, and EAL's cores.

use std::sync::Arc;

use super::arena::{Arena, Job};
use crate::cli::cores::CpuSet;
use crate::cli::{Failure, machine};
use crate::config::bench::Checksums;
use crate::dpdk::cable::create_ring_pair;
use crate::dpdk::eal::Eal;
use crate::dpdk::lcore::{self, Ended, Lcore};
use crate::dpdk::mempool::{Mempool, PoolPlan};
use crate::dpdk::port::{self, Port, PortConfig};
use crate::dpdk::queue::Queue;
use crate::stats::counters::Counters;
use crate::stats::losses::Losses;
use crate::telemetry::run::Device;

/// Places of a ring; one stays empty.
const SLOTS: u32 = 1_024;

/// Two ports with their queues.
pub(super) struct Rings {
    queues: Option<[Queue; 2]>,
    counters: [Arc<Counters>; 2],
    ports: [Port; 2],
    pool: Arc<Mempool>,
    lcores: Vec<Lcore>,
    checksums: Checksums,
    eal: Eal,
}

impl Rings {
    /// Starts EAL with these words, and makes the link.
    pub fn open(words: Vec<String>, mtu: u16, checksums: Checksums) -> Result<Rings, Failure> {
        let eal = Eal::init(words).map_err(Failure::run)?;
        let lcores = lcore::lcores(&eal);
        create_ring_pair(&eal, "bench", SLOTS).map_err(Failure::run)?;
        let plan = PoolPlan {
            descriptors: 2 * SLOTS,
            queues: 2,
            lcores: lcores.len() as u32,
            in_flight: 2 * SLOTS,
            mtu,
        };
        let pool = Mempool::create(&eal, "frames", &plan, -1).map_err(Failure::run)?;
        let open = |end: &str| -> Result<Port, Failure> {
            let name = format!("net_ring_bench{end}");
            let info = port::find(&eal, &name).map_err(Failure::run)?;
            let config = PortConfig { mtu: Some(mtu), offloads: false, ..PortConfig::default() };
            let mut port = Port::configure(&eal, &info, config, &pool).map_err(Failure::run)?;
            port.start().map_err(Failure::run)?;
            Ok(port)
        };
        let ports = [open("a")?, open("b")?];
        let counters: [Arc<Counters>; 2] = Default::default();
        let queue = |n: usize| ports[n].queue(0, counters[n].clone()).map_err(Failure::run);
        let mark = |queue: Queue| if checksums == Checksums::Marked { queue.with_marks() } else { queue };
        let queues = Some([mark(queue(0)?), mark(queue(1)?)]);
        Ok(Rings { queues, counters, ports, pool, lcores, checksums, eal })
    }

    /// Cores that there are.
    pub fn cores(&self) -> u32 {
        self.lcores.len() as u32
    }
}

impl Arena for Rings {
    type Queue = Queue;

    fn queues(&mut self) -> Result<[Queue; 2], Failure> {
        self.counters = Default::default();
        let mut queues = self
            .queues
            .take()
            .ok_or_else(|| Failure::run("the ports' queues are in use: please report it"))?;
        for (queue, counters) in queues.iter_mut().zip(&self.counters) {
            queue.count_in(counters.clone());
        }
        Ok(queues)
    }

    fn give_back(&mut self, queues: [Queue; 2]) {
        self.queues = Some(queues);
    }

    fn counters(&self) -> [Arc<Counters>; 2] {
        self.counters.clone()
    }

    fn run(&self, jobs: Vec<Job>) -> Result<(), Failure> {
        let jobs: Vec<(u32, lcore::Job)> = jobs
            .into_iter()
            .zip(&self.lcores)
            .map(|(job, lcore)| {
                let job: lcore::Job = Box::new(move || {
                    job();
                    0
                });
                (lcore.id, job)
            })
            .collect();
        for (core, ended) in lcore::launch(&self.eal, jobs).map_err(Failure::run)? {
            match ended {
                Ended::With(_) => {}
                Ended::Panicked(message) => {
                    return Err(Failure::run(format!(
                        "the loop on core {core} failed: {message}; please report it"
                    )));
                }
                Ended::NotStarted => {
                    return Err(Failure::run(format!("the loop on core {core} did not start")));
                }
            }
        }
        Ok(())
    }

    fn losses(&self) -> [Losses; 2] {
        self.ports.each_ref().map(|port| port.stats().losses)
    }

    fn device(&self) -> Device {
        let checksums = match self.checksums {
            Checksums::Software => "software",
            Checksums::Marked => "marked as done by the link",
        };
        Device {
            name: "net_ring".to_owned(),
            driver: "net_ring".to_owned(),
            mtu: u32::from(self.ports[0].caps().mtu),
            checksums: checksums.to_owned(),
        }
    }

    fn pages(&self) -> String {
        machine::pages(&self.eal)
    }

    fn has_hugepages(&self) -> bool {
        self.eal.has_hugepages()
    }

    fn close(self) -> Result<String, Failure> {
        drop(self.queues);
        for port in self.ports {
            port.close().map_err(Failure::run)?;
        }
        let returned = self.pool.check_returned().map_err(Failure::run)?;
        drop(self.pool);
        self.eal.cleanup().map_err(Failure::run)?;
        Ok(returned.to_string())
    }
}

/// EAL's words where nobody gave any: no device, memory of its own, and as many cores as are used.
pub(super) fn words(cores: u32, online: &CpuSet) -> Vec<String> {
    let list: Vec<String> = online.iter().take(cores as usize).map(|cpu| cpu.to_string()).collect();
    let memory: &[&str] =
        if free_hugepages() >= PAGES { &["--in-memory"] } else { &["--no-huge", "--no-shconf", "-m", "128"] };
    let fixed = ["--no-pci", "--no-telemetry"].iter().chain(memory).map(|word| (*word).to_owned());
    ["-l".to_owned(), list.join(",")].into_iter().chain(fixed).collect()
}

/// Pages of 2 MiB that the pool of frames and EAL itself take.
const PAGES: u64 = 64;

fn free_hugepages() -> u64 {
    let text = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}
