//! What a document says of the machine and the programs.

use std::collections::BTreeMap;
use std::fs;

#[cfg(feature = "dpdk")]
use crate::dpdk::eal::Eal;
use crate::telemetry::run::Machine;

/// The machine, as far as the system tells.
pub fn machine(cpus: usize, tsc_hz: u64, pages: String) -> Machine {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = text("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    Machine {
        cpu: model.map(|(_, name)| name.trim().to_owned()).unwrap_or_default(),
        cpus: cpus as u32,
        tsc_hz,
        kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        pages,
    }
}

/// The pages that EAL has for frames.
#[cfg(feature = "dpdk")]
pub fn pages(eal: &Eal) -> String {
    let reserved = fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
    let any = reserved.is_ok_and(|text| text.trim() != "0");
    match (eal.has_hugepages(), any) {
        (true, true) => "hugetlb 2 MiB",
        (true, false) => "hugetlb",
        (false, _) => "4 KiB",
    }
    .to_owned()
}

/// Programs and libraries with their versions.
pub fn versions() -> BTreeMap<String, String> {
    let pairs = [("dpdk-tcp", env!("CARGO_PKG_VERSION")), ("dpdk", env!("DPDK_TCP_DPDK_VERSION"))];
    pairs.into_iter().map(|(name, version)| (name.to_owned(), version.to_owned())).collect()
}
