//! Tables on both kinds of huge pages.

use std::rc::Rc;

use super::*;

fn budget(bytes: usize) -> &'static Budget {
    let budget = Box::leak(Box::new(Budget::new()));
    budget.allowed.store(bytes, Ordering::Relaxed);
    budget
}

fn taken(budget: &Budget) -> usize {
    budget.taken.load(Ordering::Relaxed)
}

/// Pages of hugetlb that nobody has; they may be taken meanwhile.
fn free_pages() -> usize {
    let text = std::fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

#[test]
fn a_table_has_what_was_made_for_each_place() {
    for (allowed, count) in [(0, 0), (0, 1), (usize::MAX, 1_000), (0, 300_000), (usize::MAX, 300_000)] {
        let budget = budget(allowed);
        let mut table = table_of(budget, count, |at| at as u64 * 3);
        assert_eq!(table.len(), count);
        table.iter_mut().for_each(|value| *value += 1);
        assert!(table.iter().enumerate().all(|(at, value)| *value == at as u64 * 3 + 1));
        drop(table);
        assert_eq!(taken(budget), 0);
    }
}

#[test]
fn entries_are_dropped_once_with_their_table() {
    // With and without pages of hugetlb, where there are some.
    for allowed in [0, usize::MAX] {
        let shared = Rc::new(());
        let table = table_of(budget(allowed), 200_000, |_| shared.clone());
        assert_eq!(Rc::strong_count(&shared), 200_001);
        drop(table);
        assert_eq!(Rc::strong_count(&shared), 1);
    }
}

#[test]
fn a_table_takes_whole_pages_of_hugetlb_where_they_are_allowed_and_there() {
    let budget = budget(3 * HUGETLB_PAGE);
    let two = table_of(budget, HUGETLB_PAGE + 1, |at| at as u8);
    assert_eq!((two.first(), two.last().copied()), (Some(&0), Some(HUGETLB_PAGE as u8)));
    if taken(budget) == 0 {
        // There are some, but another test has them now, or they may not be had.
        return println!("no pages of hugetlb can be had; {} are free", free_pages());
    }
    assert_eq!(taken(budget), 2 * HUGETLB_PAGE);
    let refused = table_of(budget, HUGETLB_PAGE + 1, |at| at as u8);
    assert_eq!(taken(budget), 2 * HUGETLB_PAGE, "no more than is allowed");
    let small = table_of(budget, HUGE_FROM - 1, |_| 7u8);
    assert_eq!(taken(budget), 2 * HUGETLB_PAGE, "small ones take none");
    drop((two, refused, small));
    assert_eq!(taken(budget), 0);
}

#[test]
fn what_can_be_had_is_found_without_taking_it() {
    assert!(!can_have_hugetlb(0) && !can_have_hugetlb(1 << 46) && !can_have_hugetlb(usize::MAX));
    let before = free_pages();
    // Others may take or free some meanwhile, but all of them no machine gives twice.
    if can_have_hugetlb(HUGETLB_PAGE) {
        assert!(before > 0 || free_pages() > 0);
    }
}

#[test]
fn more_than_the_system_has_is_done_without() {
    // No machine has reserved so much; a table of it is not made here.
    let budget = budget(usize::MAX);
    assert!(Mapping::new(budget, 1 << 46).is_none());
    assert!(Mapping::new(budget, usize::MAX).is_none());
    assert_eq!(taken(budget), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_large_one_is_on_huge_pages_where_the_system_gives_them() {
    let setting = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    if !(setting.contains("[madvise]") || setting.contains("[always]")) {
        println!("the system gives no transparent huge pages: {setting}");
        return;
    }
    let table = table_of(budget(0), 64 << 20, |at| at as u8);
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
