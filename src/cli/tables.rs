//! What tables lie on: pages of hugetlb where enough of them are free, and what the system says of all of them.

use std::fs;
use std::path::Path;

use super::Failure;
use super::check::available_bytes;
use crate::base::pages::{self, HUGETLB_PAGE};
use crate::telemetry::run::Tables;

/// Tables of a loop, each of which may need a page more than its bytes say.
const TABLES_MAX: usize = 32;

/// Memory for tables that are to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Needed<'a> {
    /// Bytes, of all loops.
    pub bytes: usize,
    /// Loops that make tables of their own.
    pub loops: usize,
    /// Connections that it is for.
    pub connections: u32,
    /// What makes it less.
    pub cure: &'a str,
}

impl Needed<'_> {
    /// Refuses what would not fit into memory, rather than to be ended by the kernel half-way, before EAL is started with
    /// these words. Decides nothing yet.
    ///
    /// # Errors
    /// More is needed than is available.
    #[cfg(any(test, feature = "dpdk"))]
    pub fn fits(&self, eal: &[String]) -> Result<(), Failure> {
        let may_be_huge = !eal.iter().any(|word| word == "--no-huge");
        let is_huge = may_be_huge && self.hugetlb(free_hugetlb(Path::new("/"))).is_some();
        if is_huge { Ok(()) } else { self.fits_without_hugetlb() }
    }

    /// As [`Needed::allow_hugetlb`], and refuses what would not fit into memory.
    ///
    /// # Errors
    /// More is needed than is available.
    pub fn place(&self, eal_has_hugepages: bool) -> Result<(), Failure> {
        if self.allow_hugetlb(eal_has_hugepages) { Ok(()) } else { self.fits_without_hugetlb() }
    }

    /// Lets the tables that are made next lie on pages of hugetlb, if EAL uses some and enough are free.
    pub fn allow_hugetlb(&self, eal_has_hugepages: bool) -> bool {
        let free = if eal_has_hugepages { free_hugetlb(Path::new("/")) } else { 0 };
        let hugetlb = self.hugetlb(free).filter(|bytes| pages::can_have_hugetlb(*bytes));
        pages::allow_hugetlb(hugetlb.unwrap_or(0));
        hugetlb.is_some()
    }

    /// Bytes of hugetlb that the tables may take where so many are free: all that they need, unless less than as much again
    /// would be left for others, EAL and other programs. `None` where they are to do without.
    fn hugetlb(&self, free: usize) -> Option<usize> {
        let rounded = self.bytes.checked_add(TABLES_MAX * HUGETLB_PAGE * self.loops.max(1))?;
        (rounded <= free / 2).then_some(rounded)
    }

    fn fits_without_hugetlb(&self) -> Result<(), Failure> {
        let (needed, connections, cure) = (self.bytes as u64, self.connections, self.cure);
        match available_bytes(Path::new("/")).filter(|available| needed > *available) {
            None => Ok(()),
            Some(available) => Err(Failure::run(format!(
                "{connections} connections and their data need {} MB and {} MB are available: {cure}",
                needed.div_ceil(1 << 20),
                available >> 20
            ))),
        }
    }
}

/// Bytes of hugetlb's pages of 2 MiB that nobody has, or has a right to.
fn free_hugetlb(root: &Path) -> usize {
    let folder = root.join("sys/kernel/mm/hugepages/hugepages-2048kB");
    let pages = |name| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<usize>().ok();
    let free = pages("free_hugepages").unwrap_or(0).saturating_sub(pages("resv_hugepages").unwrap_or(0));
    free.saturating_mul(HUGETLB_PAGE)
}

/// Bytes of memory that this process has now, hugetlb's included; `None` where the system does not tell.
#[cfg(feature = "dpdk")]
pub(super) fn resident() -> Option<u64> {
    resident_in(&fs::read_to_string("/proc/self/status").ok()?)
}

/// As [`resident`], from the text of proc(5)'s status.
#[cfg(any(test, feature = "dpdk"))]
fn resident_in(status: &str) -> Option<u64> {
    let kib_of = |name| {
        status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
    };
    let kib: u64 = kib_of("VmRSS:")?;
    Some((kib + kib_of("HugetlbPages:").unwrap_or(0)) << 10)
}

/// Of all tables that this process has now, which are known by what they asked for; `None` where the system does not
/// tell. To be called where nobody waits: the system walks through all of their pages.
pub(super) fn found() -> Option<Tables> {
    of(&fs::read_to_string("/proc/self/smaps").ok()?, pages::on_hugetlb() as u64)
}

/// As [`found`], from the text of smaps (proc(5)). Only tables ask for transparent huge pages, and `hg` marks what did; of
/// hugetlb EAL has some too, so that its bytes are told.
fn of(text: &str, hugetlb: u64) -> Option<Tables> {
    let mut all = Kib { hugetlb: hugetlb >> 10, ..Kib::default() };
    let mut mapping = Kib::default();
    let mut is_known = false;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.next() else { continue };
        match name {
            "Rss:" => mapping.resident = kib(words.next()),
            "AnonHugePages:" => mapping.transparent = kib(words.next()),
            // The last line of each mapping.
            "VmFlags:" => {
                is_known = true;
                if words.any(|flag| flag == "hg") {
                    all.resident += mapping.resident;
                    all.transparent += mapping.transparent;
                }
                mapping = Kib::default();
            }
            _ => {}
        }
    }
    is_known.then(|| all.tables())
}

fn kib(word: Option<&str>) -> u64 {
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// KiB of a mapping, or of all.
#[derive(Clone, Copy, Default)]
struct Kib {
    /// Pages of hugetlb are not among them.
    resident: u64,
    transparent: u64,
    hugetlb: u64,
}

impl Kib {
    fn tables(&self) -> Tables {
        let all = self.resident + self.hugetlb;
        let huge = self.transparent + self.hugetlb;
        let pages = match (self.hugetlb, self.transparent) {
            (0, 0) => "small pages",
            (0, _) => "transparent huge pages",
            (_, 0) => "hugetlb",
            _ => "hugetlb and transparent huge pages",
        };
        let huge_share = if all == 0 { 0.0 } else { huge as f64 / all as f64 };
        Tables { pages: pages.to_owned(), bytes: all << 10, huge_share }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(rss: u64, transparent: u64, flags: &str) -> String {
        format!(
            "7f0000000000-7f0040000000 rw-p 00000000 00:00 0 \nSize:   1048576 kB\nRss:     {rss} kB\n\
             AnonHugePages:    {transparent} kB\nPrivate_Hugetlb:   8192 kB\nVmFlags: rd wr mr {flags}\n"
        )
    }

    fn found_in(text: &str, hugetlb: u64) -> (String, u64, f64) {
        let Tables { pages, bytes, huge_share } = of(text, hugetlb).unwrap();
        (pages, bytes, huge_share)
    }

    #[test]
    fn what_asked_for_huge_pages_is_told_by_what_it_got() {
        // What did not ask does not count, whatever it lies on.
        let others = mapping(4_000, 4_000, "ac sd") + &mapping(0, 0, "ht sd");
        let most = others.clone() + &mapping(1_000, 900, "ac hg") + &mapping(3_096, 2_172, "hg");
        assert_eq!(found_in(&most, 0), ("transparent huge pages".to_owned(), 4 << 20, 0.75));
        let none = others.clone() + &mapping(1_024, 0, "ac hg");
        assert_eq!(found_in(&none, 0), ("small pages".to_owned(), 1 << 20, 0.0));
        assert_eq!(found_in(&others, 2 << 20), ("hugetlb".to_owned(), 2 << 20, 1.0));
        let both = others.clone() + &mapping(4_096, 2_048, "hg");
        let share = 2.0 / 3.0;
        assert_eq!(
            found_in(&both, 2 << 20),
            ("hugetlb and transparent huge pages".to_owned(), 6 << 20, share)
        );
        assert_eq!(found_in(&others, 0), ("small pages".to_owned(), 0, 0.0), "small tables ask for nothing");
    }

    #[test]
    fn a_system_that_does_not_tell_is_not_guessed_at() {
        assert_eq!(of("", 0), None);
        assert_eq!(of("7f0000000000-7f0040000000 rw-p 00000000 00:00 0\nRss: 5 kB\n", 0), None);
        assert_eq!(resident_in("Name:\tx\nVmSize:\t 5 kB\n"), None);
    }

    #[test]
    fn what_is_resident_is_all_that_the_process_has() {
        assert_eq!(resident_in("Name:\tx\nVmRSS:\t   1024 kB\nHugetlbPages:\t    2048 kB\n"), Some(3 << 20));
        assert_eq!(resident_in("VmRSS:\t   1024 kB\n"), Some(1 << 20));
    }

    fn needed(bytes: usize, loops: usize) -> Needed<'static> {
        Needed { bytes, loops, connections: 1_000, cure: "want less" }
    }

    #[test]
    fn tables_take_hugetlb_where_as_much_again_is_left() {
        const MIB: usize = 1 << 20;
        // 64 MiB of each loop are for the last page of each table.
        assert_eq!(needed(100 * MIB, 1).hugetlb(328 * MIB), Some(164 * MIB));
        assert_eq!(needed(100 * MIB, 1).hugetlb(326 * MIB), None);
        assert_eq!(needed(100 * MIB, 2).hugetlb(456 * MIB), Some(228 * MIB));
        assert_eq!(needed(100 * MIB, 2).hugetlb(328 * MIB), None);
        for none in [needed(0, 1).hugetlb(0), needed(usize::MAX, 1).hugetlb(usize::MAX)] {
            assert_eq!(none, None);
        }
    }

    #[test]
    fn free_pages_are_read_and_none_are_guessed() {
        let root = std::env::temp_dir().join(format!("dpdk-tcp-tables-{}", std::process::id()));
        let folder = root.join("sys/kernel/mm/hugepages/hugepages-2048kB");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("free_hugepages"), "12\n").unwrap();
        let (all, none) = (free_hugetlb(&root), free_hugetlb(&folder));
        fs::write(folder.join("resv_hugepages"), "5\n").unwrap();
        let without_reserved = free_hugetlb(&root);
        fs::remove_dir_all(&root).unwrap();
        assert_eq!((all, without_reserved, none), (24 << 20, 14 << 20, 0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_does_not_fit_is_refused_with_its_cure() {
        let words = ["--no-huge".to_owned()];
        assert!(needed(1 << 20, 1).fits(&words).is_ok() && needed(1 << 20, 1).place(false).is_ok());
        for refused in [needed(1 << 60, 1).fits(&[]), needed(1 << 60, 1).place(true)] {
            let sentence = refused.unwrap_err().sentence;
            assert!(sentence.contains("1000 connections") && sentence.ends_with("want less"), "{sentence}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_table_of_this_process_is_found() {
        let table = crate::base::pages::table(8 << 20, |at| at as u8);
        // Where the kernel has no huge pages nothing is marked; the pages at both ends are not its own.
        let marked = std::fs::metadata("/sys/kernel/mm/transparent_hugepage").is_ok();
        let Some(found) = found() else { return println!("the system does not tell") };
        assert!(found.bytes >= 7 << 20 && table.len() == 8 << 20 || !marked, "{found:?}");
    }
}
