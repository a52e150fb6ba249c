//! Law 5: nothing is allocated after start. The tests' allocator counts what a thread does in sections that it
//! marks; every pass of a simulated loop is such a section.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use dpdk_tcp::stats::counters::Counter;

use crate::differential::net::{Net, Terms};
use crate::differential::task::Plan;

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    static MARKED: Cell<bool> = const { Cell::new(false) };
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    if MARKED.get() {
        COUNT.set(COUNT.get() + 1);
    }
}

// SAFETY: every call is handed on to the system's allocator as it came.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are those of this call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count();
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Runs `section`; says how often it allocated, freed or resized memory.
pub fn counted<T>(section: impl FnOnce() -> T) -> (T, u64) {
    COUNT.set(0);
    MARKED.set(true);
    let result = section();
    MARKED.set(false);
    (result, COUNT.get())
}

#[test]
fn the_counter_sees_what_is_allocated_freed_and_resized() {
    assert_eq!(counted(|| 1 + 1).1, 0);
    assert_eq!(counted(|| std::hint::black_box(Box::new(7))).1, 1);
    let mut text = vec![0u8; 8];
    assert_eq!(counted(|| text.extend_from_slice(&[0; 100])).1, 1);
    assert_eq!(counted(move || drop(text)).1, 1);
    let elsewhere = || std::thread::spawn(|| vec![0u8; 1 << 20].len()).join().unwrap();
    let (_, own) = counted(|| ());
    assert_eq!((elsewhere(), own), (1 << 20, 0), "other threads do not count");
}

#[test]
fn thousands_of_connections_are_served_without_an_allocation() {
    //= LIM-13
    let plans = (0..3_000).map(|n| match n % 4 {
        0 => Plan::Http { requests: 1 + n % 3 },
        1 => Plan::Echo { octets: 100 + n, half_close: n % 8 == 1 },
        2 => Plan::Discard { octets: n },
        _ => Plan::Chargen { octets: 200, abort: n % 8 == 3 },
    });
    let mut terms = Terms { at_once: 48, ..Terms::perfect(1) };
    // In shorter ones the accept queues overflow, and a service that speaks first must not lose a third
    // acknowledgment of a SYN cookie (SYNC-8).
    terms.setup.limits.burst = 32;
    let mut net = Net::new(terms, plans.collect());
    // Every pass is counted by the net; one allocation fails the test.
    net.run();
    assert_eq!(net.counters.get(Counter::Established), 3_000);
    net.assert_quiet();
}
