//! The bench's link in memory: no device, no hugepages, no privileges; threads that are pinned where they may be.

use std::sync::Arc;

use super::arena::{Arena, Job};
use crate::cli::{Failure, threads};
use crate::link::memory::{self, Checksums, MemoryPool, MemoryQueue, Plan};
use crate::stats::counters::Counters;
use crate::stats::losses::Losses;
use crate::telemetry::run::Device;

/// Two ends in memory.
pub(super) struct Memory {
    ends: Option<[MemoryQueue; 2]>,
    counters: [Arc<Counters>; 2],
    pool: MemoryPool,
    plan: Plan,
    cpus: Vec<usize>,
}

impl Memory {
    /// A link whose jobs run on these CPUs.
    pub fn open(mtu: u16, checksums: Checksums, cpus: Vec<usize>) -> Memory {
        let plan = Plan { mtu, checksums, ..Plan::default() };
        let (near, far) = memory::pair(plan);
        let pool = near.pool();
        Memory { ends: Some([near, far]), counters: Default::default(), pool, plan, cpus }
    }
}

impl Arena for Memory {
    type Queue = MemoryQueue;

    fn queues(&mut self) -> Result<[MemoryQueue; 2], Failure> {
        self.counters = Default::default();
        self.ends.take().ok_or_else(|| Failure::run("the link's ends are in use: please report it"))
    }

    fn give_back(&mut self, queues: [MemoryQueue; 2]) {
        self.ends = Some(queues);
    }

    fn counters(&self) -> [Arc<Counters>; 2] {
        self.counters.clone()
    }

    fn run(&self, jobs: Vec<Job>) -> Result<(), Failure> {
        threads::run(jobs, &self.cpus)
    }

    fn losses(&self) -> [Losses; 2] {
        [Losses::default(); 2]
    }

    fn device(&self) -> Device {
        let checksums = match self.plan.checksums {
            Checksums::Software => "software",
            Checksums::Marked => "marked as done by the link",
        };
        Device {
            name: "memory".to_owned(),
            driver: "memory".to_owned(),
            mtu: u32::from(self.plan.mtu),
            checksums: checksums.to_owned(),
        }
    }

    fn pages(&self) -> String {
        "4 KiB".to_owned()
    }

    fn close(self) -> Result<String, Failure> {
        drop(self.ends);
        match self.pool.in_use() {
            0 => Ok("all frames are back in their pool".to_owned()),
            missing => Err(Failure::run(format!(
                "{missing} of {} frames did not come back to their pool: please report it",
                self.pool.capacity()
            ))),
        }
    }
}
