//! Counts what each thread asks of the allocators: Rust's, and C's `malloc` and its relatives, whose names this
//! program takes over for itself and for every library in the process, DPDK's included.

#![allow(unsafe_code, reason = "allocators")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::{c_int, c_void};

/// Calls of one thread, frees included: a loop that frees has allocated, or makes another thread do so.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Calls {
    pub rust: u64,
    pub c: u64,
}

thread_local! {
    static CALLS: Cell<Calls> = const { Cell::new(Calls { rust: 0, c: 0 }) };
    /// What C's allocator is asked for now, it is asked for by Rust's.
    static FROM_RUST: Cell<bool> = const { Cell::new(false) };
}

/// What `work` asks of the allocators on this thread.
pub fn calls<T>(work: impl FnOnce() -> T) -> (T, Calls) {
    let before = CALLS.get();
    let result = work();
    let after = CALLS.get();
    (result, Calls { rust: after.rust - before.rust, c: after.c - before.c })
}

fn note_c() {
    if !FROM_RUST.get() {
        let calls = CALLS.get();
        CALLS.set(Calls { c: calls.c + 1, ..calls });
    }
}

struct Counting;

impl Counting {
    fn counted<T>(work: impl FnOnce() -> T) -> T {
        let calls = CALLS.get();
        CALLS.set(Calls { rust: calls.rust + 1, ..calls });
        FROM_RUST.set(true);
        let result = work();
        FROM_RUST.set(false);
        result
    }
}

// SAFETY: every call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps to the same contract.
        Counting::counted(|| unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        Counting::counted(|| unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        Counting::counted(|| unsafe { System.realloc(place, layout, size) })
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        Counting::counted(|| unsafe { System.dealloc(place, layout) });
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// C's allocator under the names that glibc keeps for those who take over the usual ones.
mod glibc {
    use super::c_void;

    unsafe extern "C" {
        pub fn __libc_malloc(size: usize) -> *mut c_void;
        pub fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
        pub fn __libc_realloc(place: *mut c_void, size: usize) -> *mut c_void;
        pub fn __libc_memalign(align: usize, size: usize) -> *mut c_void;
        pub fn __libc_free(place: *mut c_void);
    }
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    note_c();
    // SAFETY: the caller keeps to the contract, here and below.
    unsafe { glibc::__libc_malloc(size) }
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    note_c();
    // SAFETY: as above.
    unsafe { glibc::__libc_calloc(count, size) }
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(place: *mut c_void, size: usize) -> *mut c_void {
    note_c();
    // SAFETY: as above.
    unsafe { glibc::__libc_realloc(place, size) }
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memalign(align: usize, size: usize) -> *mut c_void {
    note_c();
    // SAFETY: as above.
    unsafe { glibc::__libc_memalign(align, size) }
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aligned_alloc(align: usize, size: usize) -> *mut c_void {
    // SAFETY: as above.
    unsafe { memalign(align, size) }
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(to: *mut *mut c_void, align: usize, size: usize) -> c_int {
    // SAFETY: as above; `to` is a place for a pointer.
    unsafe {
        *to = memalign(align, size);
        if (*to).is_null() { libc::ENOMEM } else { 0 }
    }
}

/// # Safety
/// As C's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(place: *mut c_void) {
    note_c();
    // SAFETY: as above.
    unsafe { glibc::__libc_free(place) }
}
