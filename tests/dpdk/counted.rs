//! Counts what pools of frames do with the rings that their lcores share: operations of our own for pools, which hand
//! every call on to DPDK's. A distribution's DPDK counts none.

#![allow(unsafe_code, reason = "functions that DPDK calls")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use dpdk_sys::{rte_mempool, rte_mempool_ops};

/// To be given to `--mbuf-pool-ops-name`.
pub const NAME: &str = "counted";
/// What a pool is made of where nobody says otherwise.
const USUAL: &CStr = c"ring_mp_mc";

/// The usual ones.
static BENEATH: OnceLock<rte_mempool_ops> = OnceLock::new();
static PUT: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
static TAKEN: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];

/// One way between lcores and the ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moves {
    /// Operations on the ring.
    pub calls: u64,
    /// Frames that they moved.
    pub frames: u64,
}

impl Moves {
    fn read([calls, frames]: &[AtomicU64; 2]) -> Moves {
        Moves { calls: calls.load(Ordering::Relaxed), frames: frames.load(Ordering::Relaxed) }
    }

    fn since(self, before: Moves) -> Moves {
        Moves { calls: self.calls - before.calls, frames: self.frames - before.frames }
    }
}

/// Both ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// To the ring.
    pub put: Moves,
    /// From it.
    pub taken: Moves,
}

impl Traffic {
    /// All so far, of all pools.
    pub fn now() -> Traffic {
        Traffic { put: Moves::read(&PUT), taken: Moves::read(&TAKEN) }
    }

    pub fn since(self, before: Traffic) -> Traffic {
        Traffic { put: self.put.since(before.put), taken: self.taken.since(before.taken) }
    }
}

fn count([calls, frames]: &[AtomicU64; 2], n: c_uint) {
    calls.fetch_add(1, Ordering::Relaxed);
    frames.fetch_add(u64::from(n), Ordering::Relaxed);
}

unsafe extern "C" fn enqueue(pool: *mut rte_mempool, frames: *const *mut c_void, n: c_uint) -> c_int {
    count(&PUT, n);
    let beneath = BENEATH.get().and_then(|ops| ops.enqueue).expect("they are set before any pool is made");
    // SAFETY: DPDK's own call, with all that it was given.
    unsafe { beneath(pool, frames, n) }
}

unsafe extern "C" fn dequeue(pool: *mut rte_mempool, frames: *mut *mut c_void, n: c_uint) -> c_int {
    count(&TAKEN, n);
    let beneath = BENEATH.get().and_then(|ops| ops.dequeue).expect("they are set before any pool is made");
    // SAFETY: as above.
    unsafe { beneath(pool, frames, n) }
}

/// Makes the counting operations known to DPDK, once in a process, when EAL has loaded the usual ones and before a pool
/// is made.
pub fn register() {
    // SAFETY: EAL fills the table when it starts, and nobody changes it meanwhile.
    let table = unsafe { (&raw const dpdk_sys::rte_mempool_ops_table).read() };
    let known = table.ops.iter().take(table.num_ops as usize);
    let is_usual = |ops: &&rte_mempool_ops| {
        // SAFETY: DPDK's names end in a zero byte.
        unsafe { CStr::from_ptr(ops.name.as_ptr()) == USUAL }
    };
    let usual = known.into_iter().find(is_usual).expect("DPDK has the usual ones");
    assert!(BENEATH.set(*usual).is_ok(), "once in a process");
    let mut counted = rte_mempool_ops { enqueue: Some(enqueue), dequeue: Some(dequeue), ..*usual };
    counted.name = [0; _];
    counted.name.iter_mut().zip(NAME.bytes()).for_each(|(place, byte)| *place = byte as c_char);
    // SAFETY: the structure is copied; its functions are DPDK's own and the two above, which keep to their contract.
    let index = unsafe { dpdk_sys::rte_mempool_register_ops(&raw const counted) };
    assert!(index >= 0, "{index}");
}
