//! Large tables, on huge pages where the system gives them: whoever goes to a random place of a table on pages of 4 KiB
//! waits for the page's entry before waiting for the line.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;

/// From so many bytes on huge pages are asked for. Smaller tables keep their pages' entries in the processor anyway.
const HUGE_FROM: usize = 1 << 20;
/// The smallest page of any machine, in bytes: what is asked for begins and ends at a multiple of it.
const PAGE: usize = 4_096;

/// A table of `count` entries, each made from its number. Its only allocation, and all of its memory is touched.
pub fn table<T>(count: usize, make: impl FnMut(usize) -> T) -> Vec<T> {
    let mut table = Vec::with_capacity(count);
    ask_for_huge(table.spare_capacity_mut());
    table.extend((0..count).map(make));
    table
}

/// Asks that this memory, which nobody has touched, be made of huge pages (transparent ones, Linux's
/// `MADV_HUGEPAGE`). Where the system does not want to, nothing changes.
fn ask_for_huge<T>(memory: &mut [MaybeUninit<T>]) {
    let bytes = size_of_val(memory);
    if bytes < HUGE_FROM {
        return;
    }
    let begin = memory.as_mut_ptr().cast::<u8>();
    let skipped = begin.align_offset(PAGE);
    let len = bytes.saturating_sub(skipped) / PAGE * PAGE;
    #[cfg(target_os = "linux")]
    // SAFETY: the range lies within memory that is borrowed for writing, and begins and ends at page boundaries. The
    // advice changes what the memory is made of, never what is in it. A refusal changes nothing, so that it is ignored.
    unsafe {
        libc::madvise(begin.wrapping_add(skipped).cast(), len, libc::MADV_HUGEPAGE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = len;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_what_was_made_for_each_place() {
        for count in [0, 1, 1_000, 300_000] {
            let table = table(count, |at| at as u64 * 3);
            assert!(table.len() == count && table.capacity() == count);
            assert!(table.iter().enumerate().all(|(at, value)| *value == at as u64 * 3));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_large_one_is_on_huge_pages_where_the_system_gives_them() {
        let setting =
            std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
        if !(setting.contains("[madvise]") || setting.contains("[always]")) {
            println!("the system gives no transparent huge pages: {setting}");
            return;
        }
        let table = table(64 << 20, |at| at as u8);
        let begin = table.as_ptr() as usize;
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        let mut flagged = false;
        for line in maps.lines() {
            let range = line.split_once(' ').and_then(|(range, _)| range.split_once('-'));
            if let Some((from, to)) = range
                && let (Ok(from), Ok(to)) = (usize::from_str_radix(from, 16), usize::from_str_radix(to, 16))
            {
                // The middle: the first page may be another mapping.
                inside = (from..to).contains(&(begin + (32 << 20)));
            }
            flagged |= inside && line.starts_with("VmFlags:") && line.split(' ').any(|flag| flag == "hg");
        }
        assert!(flagged, "the table's memory is advised");
    }
}
