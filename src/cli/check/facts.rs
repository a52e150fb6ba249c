//! What `check` reads of the machine. All paths are under a root, so that a test can put a tree of files in its
//! place. Whatever cannot be read counts as not there.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

/// Hugepages of one size.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PageSize {
    /// The size of a page, in kilobytes of 1024 bytes.
    pub kilobytes: u64,
    /// Pages that are reserved.
    pub total: u64,
    /// Pages that nobody uses yet.
    pub free: u64,
}

/// A directory in which EAL makes files.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Directory {
    /// Where it is, as seen from the root.
    pub path: String,
    /// A file could be made in it, or it itself in its parent.
    pub writable: bool,
}

/// The kernel's device for taps.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tun {
    /// There is none.
    #[default]
    Missing,
    /// It may not be opened by this user.
    Closed,
    /// It may be opened.
    Usable,
}

/// A network card.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nic {
    /// Its PCI address.
    pub address: String,
    /// The kernel driver that it is bound to.
    pub driver: Option<String>,
    /// The kernel's interface on it.
    pub interface: Option<String>,
}

/// The machine as it was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Hugepages of each size.
    pub page_sizes: Vec<PageSize>,
    /// Where hugetlbfs is mounted.
    pub huge_mounts: Vec<Directory>,
    /// EAL's directory for files of its run.
    pub run_time: Directory,
    /// The user is root, at least in a namespace.
    pub root: bool,
    /// The process may change interfaces (CAP_NET_ADMIN).
    pub cap_net_admin: bool,
    /// The process may read them raw (CAP_NET_RAW).
    pub cap_net_raw: bool,
    /// The device for taps.
    pub tun: Tun,
    /// Network cards on the PCI bus, in the order of their addresses.
    pub nics: Vec<Nic>,
    /// The kernel's list of CPUs that are online.
    pub online: String,
    /// Memory that could be had without swapping, in bytes; hugepages are not part of it.
    pub available_bytes: u64,
}

/// Bits of `CapEff` in `/proc/self/status` (capability.h).
const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;

impl Facts {
    /// Looks at the machine whose files are under `root`; `variable` reads the environment. Only to see whether
    /// a directory may be written, an empty file is made there and taken away at once.
    pub fn gather(root: &Path, variable: &dyn Fn(&str) -> Option<String>) -> Facts {
        let tree = Tree { root };
        let status = tree.text("proc/self/status");
        let capabilities =
            field(&status, "CapEff:").and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0);
        let is_root = field(&status, "Uid:").and_then(|ids| ids.split_whitespace().nth(1)) == Some("0");
        Facts {
            page_sizes: tree.page_sizes(),
            huge_mounts: tree.huge_mounts(),
            run_time: tree.run_time(is_root, variable),
            root: is_root,
            cap_net_admin: capabilities >> CAP_NET_ADMIN & 1 == 1,
            cap_net_raw: capabilities >> CAP_NET_RAW & 1 == 1,
            tun: tree.tun(),
            nics: tree.nics(),
            online: tree.text("sys/devices/system/cpu/online"),
            available_bytes: available_bytes(root).unwrap_or(0),
        }
    }
}

struct Tree<'a> {
    root: &'a Path,
}

impl Tree<'_> {
    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// The names in a directory, sorted.
    fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort_unstable();
        names
    }

    fn page_sizes(&self) -> Vec<PageSize> {
        const PLACE: &str = "sys/kernel/mm/hugepages";
        let sizes = self.names(PLACE).into_iter().filter_map(|name| {
            let kilobytes = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            let count = |file: &str| first_number(&self.text(&format!("{PLACE}/{name}/{file}"))).unwrap_or(0);
            Some(PageSize { kilobytes, total: count("nr_hugepages"), free: count("free_hugepages") })
        });
        sizes.collect()
    }

    fn huge_mounts(&self) -> Vec<Directory> {
        let mounts = self.text("proc/mounts");
        let lines = mounts.lines().filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            let path = words.next()?;
            (words.next()? == "hugetlbfs").then(|| path.to_owned())
        });
        lines.map(|path| Directory { writable: self.can_write(&path), path }).collect()
    }

    /// The directory that EAL will choose (`eal_create_runtime_dir`).
    fn run_time(&self, is_root: bool, variable: &dyn Fn(&str) -> Option<String>) -> Directory {
        let base = match variable("RUNTIME_DIRECTORY") {
            Some(dir) => dir,
            None if is_root => "/var/run".to_owned(),
            None => variable("XDG_RUNTIME_DIR").unwrap_or_else(|| "/tmp".to_owned()),
        };
        let path = format!("{base}/dpdk");
        // EAL makes the last directory itself, but not the one above.
        let place = if self.path(&path).is_dir() { &path } else { &base };
        Directory { writable: self.can_write(place), path }
    }

    /// Permission bits do not tell: the file system may be read-only, or belong to another user namespace.
    fn can_write(&self, dir: &str) -> bool {
        let probe = self.path(dir).join(format!(".dpdk-tcp-check-{}", std::process::id()));
        let made = OpenOptions::new().write(true).create_new(true).open(&probe).is_ok();
        made && fs::remove_file(&probe).is_ok()
    }

    fn tun(&self) -> Tun {
        let path = self.path("dev/net/tun");
        if !path.exists() {
            Tun::Missing
        } else if OpenOptions::new().read(true).write(true).open(path).is_ok() {
            // To open it makes no interface yet.
            Tun::Usable
        } else {
            Tun::Closed
        }
    }

    fn nics(&self) -> Vec<Nic> {
        const PLACE: &str = "sys/bus/pci/devices";
        let cards = self.names(PLACE).into_iter().filter(|address| {
            // Class 02: network controllers.
            self.text(&format!("{PLACE}/{address}/class")).starts_with("0x02")
        });
        cards
            .map(|address| {
                let driver = fs::read_link(self.path(&format!("{PLACE}/{address}/driver"))).ok();
                let driver = driver.and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned()));
                Nic { driver, interface: self.interface(&format!("{PLACE}/{address}")), address }
            })
            .collect()
    }

    /// The kernel's interface on a card; a virtio card has it one level further down.
    fn interface(&self, card: &str) -> Option<String> {
        let below = self.names(card).into_iter().filter(|name| name.starts_with("virtio"));
        let places = std::iter::once(card.to_owned()).chain(below.map(|name| format!("{card}/{name}")));
        places.flat_map(|place| self.names(&format!("{place}/net"))).next()
    }
}

/// Memory that could be had without swapping, in bytes, where the kernel under `root` says it.
pub fn available_bytes(root: &Path) -> Option<u64> {
    let text = Tree { root }.text("proc/meminfo");
    field(&text, "MemAvailable:").and_then(first_number).map(|kilobytes| kilobytes << 10)
}

/// The rest of the line that begins with this name.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}
