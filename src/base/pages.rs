//! Large tables, on huge pages where the system gives them: whoever goes to a random place of a table on pages of 4 KiB
//! waits for the page's entry before waiting for the line. Pages of hugetlb, which an operator has reserved, where that is
//! allowed ([`allow_hugetlb`]); transparent ones otherwise.

#![allow(unsafe_code)]

use std::fmt;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

/// From so many bytes on huge pages are asked for. Smaller tables keep their pages' entries in the processor anyway.
const HUGE_FROM: usize = 1 << 20;
/// The smallest page of any machine, in bytes: what is asked for begins and ends at a multiple of it.
const PAGE: usize = 4_096;
/// A page of hugetlb, in bytes.
pub const HUGETLB_PAGE: usize = 2 << 20;

/// That of all tables of this process.
static BUDGET: Budget = Budget::new();

/// From now on, tables may take so many bytes of hugetlb's pages of 2 MiB, all of them together: each is rounded up to
/// whole pages, and gives them back when it goes. 0 at first. Where the system has none left a table does without.
pub fn allow_hugetlb(bytes: usize) {
    BUDGET.allowed.store(bytes, Ordering::Relaxed);
}

/// So many bytes of hugetlb's pages could be had now: nobody else has a right to them, and the kernel gives one. A group's
/// limit may still be lower than that; a table that finds none then does without.
pub fn can_have_hugetlb(bytes: usize) -> bool {
    let Some(bytes) = bytes.checked_next_multiple_of(HUGETLB_PAGE).filter(|bytes| *bytes > 0) else {
        return false;
    };
    let Some(begin) = map_hugetlb(bytes) else { return false };
    let is_there = populate(begin, HUGETLB_PAGE);
    unmap(begin, bytes);
    is_there
}

/// Bytes of hugetlb's pages that tables have now.
pub fn on_hugetlb() -> usize {
    BUDGET.taken.load(Ordering::Relaxed)
}

/// What tables may take of hugetlb, and what they have.
struct Budget {
    allowed: AtomicUsize,
    taken: AtomicUsize,
}

impl Budget {
    const fn new() -> Budget {
        Budget { allowed: AtomicUsize::new(0), taken: AtomicUsize::new(0) }
    }

    /// False, with nothing taken, when that is more than is allowed.
    fn take(&self, bytes: usize) -> bool {
        let allowed = self.allowed.load(Ordering::Relaxed);
        let more = |taken: usize| taken.checked_add(bytes).filter(|all| *all <= allowed);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A table: a slice that owns its memory.
pub struct Table<T> {
    begin: NonNull<T>,
    len: usize,
    /// Where the memory is not the allocator's.
    mapping: Option<Mapping>,
}

// SAFETY: it owns its entries, as a vector does, and nothing else refers to them.
unsafe impl<T: Send> Send for Table<T> {}
// SAFETY: through a shared table entries can only be looked at.
unsafe impl<T: Sync> Sync for Table<T> {}

/// A table of `count` entries, each made from its number. Its only allocation, and all of its memory is touched.
pub fn table<T>(count: usize, make: impl FnMut(usize) -> T) -> Table<T> {
    table_of(&BUDGET, count, make)
}

fn table_of<T>(budget: &'static Budget, count: usize, mut make: impl FnMut(usize) -> T) -> Table<T> {
    const { assert!(align_of::<T>() <= HUGETLB_PAGE) };
    let Some(mapping) = Mapping::new(budget, count.saturating_mul(size_of::<T>())) else {
        return Table::from(vec(count, make));
    };
    let begin = mapping.begin.cast::<T>();
    for at in 0..count {
        // SAFETY: the mapping has room for `count` entries, begins at a multiple of 2 MiB, beyond which the type
        // is not aligned, and nothing else refers to it.
        unsafe { begin.add(at).write(make(at)) };
    }
    Table { begin, len: count, mapping: Some(mapping) }
}

/// As [`table`], on what the allocator gives, which is on transparent huge pages at best.
pub fn vec<T>(count: usize, make: impl FnMut(usize) -> T) -> Vec<T> {
    let mut entries = Vec::with_capacity(count);
    ask_for_huge(entries.spare_capacity_mut());
    entries.extend((0..count).map(make));
    entries
}

impl<T> From<Vec<T>> for Table<T> {
    fn from(entries: Vec<T>) -> Table<T> {
        let entries = Box::leak(entries.into_boxed_slice());
        Table { len: entries.len(), begin: NonNull::from(entries).cast(), mapping: None }
    }
}

impl<T> Deref for Table<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        // SAFETY: so many entries from there on are initialized and owned by this table.
        unsafe { std::slice::from_raw_parts(self.begin.as_ptr(), self.len) }
    }
}

impl<T> DerefMut for Table<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`; whoever has the table for itself has its entries so.
        unsafe { std::slice::from_raw_parts_mut(self.begin.as_ptr(), self.len) }
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        let entries = std::ptr::slice_from_raw_parts_mut(self.begin.as_ptr(), self.len);
        // SAFETY: the entries are this table's and are not used again. Those of the allocator's memory were leaked by a
        // box of this very length; the others' memory goes with the mapping, behind this.
        unsafe {
            match self.mapping {
                None => drop(Box::from_raw(entries)),
                Some(_) => std::ptr::drop_in_place(entries),
            }
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Memory on hugetlb's pages, all of it there.
struct Mapping {
    begin: NonNull<u8>,
    bytes: usize,
    budget: &'static Budget,
}

impl Mapping {
    /// Memory for so many bytes. `None` for few, and where that is not allowed or the system has too few pages.
    fn new(budget: &'static Budget, bytes: usize) -> Option<Mapping> {
        if bytes < HUGE_FROM {
            return None;
        }
        let bytes = bytes.checked_next_multiple_of(HUGETLB_PAGE)?;
        if !budget.take(bytes) {
            return None;
        }
        let Some(begin) = map_hugetlb(bytes) else {
            budget.give_back(bytes);
            return None;
        };
        let mapping = Mapping { begin, bytes, budget };
        populate(begin, bytes).then_some(mapping)
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        unmap(self.begin, self.bytes);
        self.budget.give_back(self.bytes);
    }
}

/// New memory of so many bytes, whole pages of hugetlb, to which nobody else has a right. `None` where there are too few.
#[cfg(target_os = "linux")]
fn map_hugetlb(bytes: usize) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB | libc::MAP_HUGE_2MB;
    // SAFETY: a new mapping at a place of the kernel's choice changes nothing that there is.
    let begin =
        unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    NonNull::new(begin).filter(|begin| begin.as_ptr() != libc::MAP_FAILED).map(NonNull::cast)
}

/// Sees that every page of the first so many bytes of such memory is there; false where one cannot be had. To touch one
/// then would end the process (a group's limit, pages of another node). Linux 5.14 knows the question.
#[cfg(target_os = "linux")]
fn populate(begin: NonNull<u8>, bytes: usize) -> bool {
    // SAFETY: the range lies in a mapping of `map_hugetlb`, whose owner asks.
    unsafe { libc::madvise(begin.as_ptr().cast(), bytes, libc::MADV_POPULATE_WRITE) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn map_hugetlb(_bytes: usize) -> Option<NonNull<u8>> {
    None
}

#[cfg(not(target_os = "linux"))]
fn populate(_begin: NonNull<u8>, _bytes: usize) -> bool {
    false
}

fn unmap(begin: NonNull<u8>, bytes: usize) {
    // SAFETY: the range is a whole mapping of `map_hugetlb`, whose owner is done with it.
    unsafe { libc::munmap(begin.as_ptr().cast(), bytes) };
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
mod tests;
