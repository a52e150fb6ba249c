//! The command `check`: looks at the machine before EAL does and says of each thing that it is all right or what
//! to type to mend it. Facts are gathered first ([`Facts::gather`]), judged by a pure function ([`findings`]) and
//! then printed; nothing is changed.

mod facts;

pub use facts::{Directory, Facts, Nic, PageSize, Tun, available_bytes};

use std::fmt;
use std::io::{self, Write};

use super::cores::{self, CpuSet};
use super::eal_args;

/// Kernel drivers that hand a NIC to DPDK as a whole.
const HANDED_OVER: &[&str] = &["vfio-pci", "igb_uio", "uio_pci_generic"];
/// Kernel drivers that DPDK works beside, without a binding.
const SHARED: &[&str] = &["mlx4_core", "mlx5_core", "mana"];
/// Virtual devices that carry the packets of any Ethernet, and no larger ones.
const SHORT_FRAMES: &[&str] = &["net_tap", "net_af_packet"];
/// The largest IP packet that any Ethernet carries, in bytes.
const MTU_ETHERNET: u16 = 1_500;
/// Memory that EAL takes where neither -m nor --socket-mem says otherwise: with `--no-huge`.
const NO_HUGE_DEFAULT_MB: u64 = 64;
/// Pages of 2 MB that are proposed: frames of a port or two.
const PAGES_PROPOSED: u64 = 512;

/// What is going to be asked of the machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    /// EAL's options.
    pub eal: Vec<String>,
    /// The value of `--max-connections`.
    pub max_connections: u64,
    /// The value of `--mtu`, in bytes.
    pub mtu: u16,
    /// Memory for the tables of so many connections, in bytes, in ordinary memory.
    pub needed_bytes: u64,
}

impl Asked {
    fn has(&self, option: &str) -> bool {
        self.values(option).next().is_some()
    }

    fn values<'a>(&'a self, option: &str) -> impl Iterator<Item = &'a str> {
        let found = eal_args::options(&self.eal).into_iter().filter(move |(name, _)| *name == option);
        found.map(|(_, value)| value.unwrap_or_default()).collect::<Vec<_>>().into_iter()
    }

    fn vdev_of(&self, driver: &str) -> bool {
        self.values("vdev").any(|vdev| vdev.starts_with(driver))
    }
}

/// One line of the answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What was looked at, in a word.
    pub subject: &'static str,
    /// What was found.
    pub found: String,
    /// What to do; `None` when all is well.
    pub cure: Option<String>,
}

impl Finding {
    fn ok(subject: &'static str, found: impl Into<String>) -> Finding {
        Finding { subject, found: found.into(), cure: None }
    }

    fn mend(subject: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Finding {
        Finding { subject, found: found.into(), cure: Some(cure.into()) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cure {
            None => write!(f, "OK    {:<12} {}", self.subject, self.found),
            Some(cure) => write!(f, "MEND  {:<12} {}: {cure}", self.subject, self.found),
        }
    }
}

/// Writes a line for each finding.
///
/// # Errors
/// The output takes no more.
pub fn print(findings: &[Finding], out: &mut impl Write) -> io::Result<()> {
    findings.iter().try_for_each(|finding| writeln!(out, "{finding}"))?;
    out.flush()
}

/// 0 when all is well, 1 when something must be mended.
pub fn exit_status(findings: &[Finding]) -> u8 {
    u8::from(findings.iter().any(|finding| finding.cure.is_some()))
}

/// What is to be said of the machine in view of what is asked of it.
pub fn findings(facts: &Facts, asked: &Asked) -> Vec<Finding> {
    let mut found = vec![hugepages(facts, asked)];
    found.extend(huge_mount(facts, asked));
    found.push(run_time_directory(facts));
    found.extend(device_rights(facts, asked));
    found.extend(ports(facts, asked));
    found.push(mtu(asked));
    found.push(cpus(facts, asked));
    found.push(memory(facts, asked));
    found
}

fn hugepages(facts: &Facts, asked: &Asked) -> Finding {
    const SUBJECT: &str = "hugepages";
    if asked.has("no-huge") {
        return Finding::ok(SUBJECT, "not used (--no-huge): good for trials, slow under load");
    }
    let total: u64 = facts.page_sizes.iter().map(|size| size.total).sum();
    let free: u64 = facts.page_sizes.iter().map(|size| size.free).sum();
    let cure = format!("scripts/hugepages {PAGES_PROPOSED}");
    if total == 0 {
        return Finding::mend(
            SUBJECT,
            "none are reserved",
            format!("{cure}   (or add --no-huge --no-shconf -m 512)"),
        );
    }
    if free == 0 {
        let more = total + PAGES_PROPOSED;
        return Finding::mend(
            SUBJECT,
            format!("all {total} are in use"),
            format!("scripts/hugepages {more}"),
        );
    }
    let wanted_bytes = eal_megabytes(asked).unwrap_or(0) << 20;
    let free_bytes: u64 = facts.page_sizes.iter().map(|size| (size.free * size.kilobytes) << 10).sum();
    let sizes = facts.page_sizes.iter().filter(|size| size.total > 0);
    let shown: Vec<_> =
        sizes.map(|s| format!("{} free of {} of {} kB", s.free, s.total, s.kilobytes)).collect();
    if wanted_bytes > free_bytes {
        let pages = (wanted_bytes - free_bytes).div_ceil(2 << 20) + total;
        let found = format!("{}, but {} are asked for", shown.join(", "), megabytes(wanted_bytes));
        return Finding::mend(SUBJECT, found, format!("scripts/hugepages {pages}"));
    }
    Finding::ok(SUBJECT, shown.join(", "))
}

/// The file system that EAL keeps its pages in, where it needs one.
fn huge_mount(facts: &Facts, asked: &Asked) -> Option<Finding> {
    const SUBJECT: &str = "hugetlbfs";
    if asked.has("no-huge") || asked.has("in-memory") {
        return None;
    }
    let wanted = asked.values("huge-dir").last();
    let matching = |mount: &&Directory| wanted.is_none_or(|dir| mount.path == dir);
    Some(match facts.huge_mounts.iter().find(matching) {
        None => {
            let place = wanted.map_or_else(String::new, |dir| format!(" at {dir}"));
            Finding::mend(SUBJECT, format!("not mounted{place}"), "scripts/hugepages   (or add --in-memory)")
        }
        Some(mount) if mount.writable => {
            Finding::ok(SUBJECT, format!("mounted at {}, may be written", mount.path))
        }
        Some(mount) => {
            let found = format!("{} may not be written by this user", mount.path);
            Finding::mend(SUBJECT, found, "run as root   (or add --in-memory)")
        }
    })
}

fn run_time_directory(facts: &Facts) -> Finding {
    const SUBJECT: &str = "run-time dir";
    let Directory { path, writable } = &facts.run_time;
    if *writable {
        return Finding::ok(SUBJECT, format!("{path}, may be written"));
    }
    Finding::mend(SUBJECT, format!("{path} may not be written"), "export RUNTIME_DIRECTORY=$(mktemp -d)")
}

/// Whether the virtual devices that are asked for will be allowed to reach the kernel.
fn device_rights(facts: &Facts, asked: &Asked) -> Vec<Finding> {
    const SUBJECT: &str = "permissions";
    const CURE: &str = "run as root, or inside `unshare -r -n`";
    let mut found = Vec::new();
    if asked.vdev_of("net_tap") || asked.vdev_of("net_virtio_user") {
        found.push(match (facts.tun, facts.cap_net_admin) {
            (Tun::Missing, _) => Finding::mend(SUBJECT, "there is no /dev/net/tun", "modprobe tun"),
            (Tun::Closed, _) => Finding::mend(SUBJECT, "/dev/net/tun may not be opened by this user", CURE),
            (Tun::Usable, false) => Finding::mend(SUBJECT, "a tap needs CAP_NET_ADMIN", CURE),
            (Tun::Usable, true) => Finding::ok(SUBJECT, "taps may be made"),
        });
    }
    if ["net_af_packet", "net_af_xdp", "net_pcap"].iter().any(|driver| asked.vdev_of(driver)) {
        found.push(if facts.cap_net_raw {
            Finding::ok(SUBJECT, "interfaces of the kernel may be read")
        } else {
            Finding::mend(SUBJECT, "a device over an interface of the kernel needs CAP_NET_RAW", CURE)
        });
    }
    if found.is_empty() {
        let user = if facts.root { "root" } else { "not root, which no device asked for needs" };
        found.push(Finding::ok(SUBJECT, user));
    }
    found
}

fn ports(facts: &Facts, asked: &Asked) -> Vec<Finding> {
    const SUBJECT: &str = "port";
    let mut found = Vec::new();
    for vdev in asked.values("vdev") {
        found.push(Finding::ok(SUBJECT, format!("virtual device {vdev}")));
    }
    let usable = |nic: &&Nic| {
        let driver = nic.driver.as_deref().unwrap_or_default();
        HANDED_OVER.contains(&driver) || SHARED.contains(&driver)
    };
    if !asked.has("no-pci") {
        for nic in facts.nics.iter().filter(usable) {
            let driver = nic.driver.as_deref().unwrap_or_default();
            found.push(Finding::ok(SUBJECT, format!("{} ({driver})", nic.address)));
        }
    }
    if !found.is_empty() {
        return found;
    }
    let tap = "add --vdev net_tap0";
    let candidate = facts.nics.iter().find(|nic| nic.interface.is_none()).or(facts.nics.first());
    vec![match candidate.filter(|_| !asked.has("no-pci")) {
        None => Finding::mend(SUBJECT, "no NIC and no virtual device", tap),
        Some(nic) => {
            let who = match (&nic.driver, &nic.interface) {
                (_, Some(interface)) => format!("{} is the kernel's {interface}", nic.address),
                (Some(driver), None) => format!("{} is bound to {driver}", nic.address),
                (None, None) => format!("{} is bound to no driver", nic.address),
            };
            let found = format!("no NIC is bound for DPDK ({who}) and no virtual device is given");
            let bind = format!("scripts/bind {}", nic.address);
            // A card that the kernel uses may be the one over which the machine is reached.
            let cure = if nic.interface.is_some() {
                format!("{tap}   (or {bind})")
            } else {
                format!("{bind}   (or {tap})")
            };
            Finding::mend(SUBJECT, found, cure)
        }
    }]
}

/// Virtual devices whose frames are too short for the MTU; what a card can do is known when EAL has found it.
fn mtu(asked: &Asked) -> Finding {
    const SUBJECT: &str = "mtu";
    let short = SHORT_FRAMES.iter().find(|driver| asked.mtu > MTU_ETHERNET && asked.vdev_of(driver));
    match short {
        None => Finding::ok(SUBJECT, format!("packets of up to {} bytes, each in one buffer", asked.mtu)),
        Some(driver) => Finding::mend(
            SUBJECT,
            format!("{driver} carries packets of {MTU_ETHERNET} bytes at most"),
            format!("--mtu {MTU_ETHERNET}"),
        ),
    }
}

fn cpus(facts: &Facts, asked: &Asked) -> Finding {
    const SUBJECT: &str = "cores";
    let online = match CpuSet::parse(&facts.online) {
        Ok(online) => online,
        Err(_) => {
            return Finding::ok(SUBJECT, "the kernel does not say which CPUs are online; EAL will look");
        }
    };
    let request = match cores::request(&asked.eal) {
        Ok(Some(request)) => request,
        Ok(None) => return Finding::ok(SUBJECT, format!("all CPUs that the process may use, of {online}")),
        Err(cause) => return Finding::mend(SUBJECT, "the list is wrong", cause.to_string()),
    };
    match request.check(&online) {
        Ok(()) => Finding::ok(
            SUBJECT,
            format!("lcores {} on CPUs {}, of {online}", request.lcore_ids(), request.cpus()),
        ),
        Err(cause) => Finding::mend(SUBJECT, "not all are there", cause.to_string()),
    }
}

fn memory(facts: &Facts, asked: &Asked) -> Finding {
    const SUBJECT: &str = "memory";
    let for_eal =
        if asked.has("no-huge") { eal_megabytes(asked).unwrap_or(NO_HUGE_DEFAULT_MB) << 20 } else { 0 };
    let free = facts.available_bytes.saturating_sub(for_eal);
    let found = format!(
        "{} connections need {}, {} are available",
        asked.max_connections,
        megabytes(asked.needed_bytes),
        megabytes(free)
    );
    if asked.needed_bytes <= free {
        return Finding::ok(SUBJECT, found);
    }
    // With a tenth to spare, since not all of the need grows with the connections.
    let share = u128::from(asked.max_connections) * u128::from(free) / u128::from(asked.needed_bytes.max(1));
    let fits = share * 9 / 10;
    Finding::mend(SUBJECT, found, format!("--max-connections {fits} or less"))
}

/// What -m or --socket-mem ask for, in megabytes.
fn eal_megabytes(asked: &Asked) -> Option<u64> {
    let by_m = asked.values("m").chain(asked.values("memory-size")).last().and_then(|text| text.parse().ok());
    let sum = |text: &str| text.split(',').filter_map(|part| part.parse::<u64>().ok()).sum();
    by_m.or_else(|| asked.values("socket-mem").last().map(sum))
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1 << 20))
}

#[cfg(test)]
mod tests;
