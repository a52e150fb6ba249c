//! What tables lie on, as the system says: huge pages or small ones.

use crate::telemetry::run::Tables;

/// Of all tables that this process has now, which are known by what they asked for; `None` where the system does not
/// tell. To be called where nobody waits: the system walks through all of their pages.
pub(super) fn tables() -> Option<Tables> {
    of(&std::fs::read_to_string("/proc/self/smaps").ok()?)
}

/// As [`tables`], from the text of smaps (proc(5)). Only tables ask for huge pages, and `hg` marks what did.
fn of(text: &str) -> Option<Tables> {
    let mut all = Kib::default();
    let mut mapping = Kib::default();
    let mut is_known = false;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.next() else { continue };
        match name {
            "Rss:" => mapping.resident = kib(words.next()),
            "AnonHugePages:" => mapping.transparent = kib(words.next()),
            "Private_Hugetlb:" => mapping.hugetlb = kib(words.next()),
            // The last line of each mapping.
            "VmFlags:" => {
                is_known = true;
                if words.any(|flag| flag == "hg") {
                    all.add(&mapping);
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

/// KiB of a mapping, or of several.
#[derive(Clone, Copy, Default)]
struct Kib {
    /// Pages of hugetlb are not among them.
    resident: u64,
    transparent: u64,
    hugetlb: u64,
}

impl Kib {
    fn add(&mut self, other: &Kib) {
        self.resident += other.resident;
        self.transparent += other.transparent;
        self.hugetlb += other.hugetlb;
    }

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

    fn mapping(rss: u64, transparent: u64, hugetlb: u64, flags: &str) -> String {
        format!(
            "7f0000000000-7f0040000000 rw-p 00000000 00:00 0 \nSize:   1048576 kB\nRss:     {rss} kB\n\
             AnonHugePages:    {transparent} kB\nPrivate_Hugetlb:   {hugetlb} kB\nVmFlags: rd wr mr {flags}\n"
        )
    }

    fn found(text: &str) -> (String, u64, f64) {
        let Tables { pages, bytes, huge_share } = of(text).unwrap();
        (pages, bytes, huge_share)
    }

    #[test]
    fn what_asked_for_huge_pages_is_told_by_what_it_got() {
        // What did not ask does not count, whatever it lies on.
        let others = mapping(4_000, 4_000, 0, "ac sd") + &mapping(0, 0, 8_192, "ht sd");
        let most = others.clone() + &mapping(1_000, 900, 0, "ac hg") + &mapping(3_096, 2_172, 0, "hg");
        assert_eq!(found(&most), ("transparent huge pages".to_owned(), 4 << 20, 0.75));
        let none = others.clone() + &mapping(1_024, 0, 0, "ac hg");
        assert_eq!(found(&none), ("small pages".to_owned(), 1 << 20, 0.0));
        let hugetlb = others.clone() + &mapping(0, 0, 2_048, "ht hg");
        assert_eq!(found(&hugetlb), ("hugetlb".to_owned(), 2 << 20, 1.0));
        let both = hugetlb + &mapping(4_096, 2_048, 0, "hg");
        let share = 2.0 / 3.0;
        assert_eq!(found(&both), ("hugetlb and transparent huge pages".to_owned(), 6 << 20, share));
        assert_eq!(found(&others), ("small pages".to_owned(), 0, 0.0), "small tables ask for nothing");
    }

    #[test]
    fn a_system_that_does_not_tell_is_not_guessed_at() {
        assert_eq!(of(""), None);
        assert_eq!(of("7f0000000000-7f0040000000 rw-p 00000000 00:00 0\nRss: 5 kB\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_table_of_this_process_is_found() {
        let table = crate::base::pages::table(8 << 20, |at| at as u8);
        // Where the kernel has no huge pages nothing is marked; the pages at both ends are not its own.
        let marked = std::fs::metadata("/sys/kernel/mm/transparent_hugepage").is_ok();
        let Some(found) = tables() else { return println!("the system does not tell") };
        assert!(found.bytes >= 7 << 20 && table.len() == 8 << 20 || !marked, "{found:?}");
    }
}
