//! Pools of frames: sized by a plan before anything runs, counted when everything has ended.

use std::ffi::CString;
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, PoisonError};

use dpdk_sys::{RTE_MEMPOOL_CACHE_MAX_SIZE, RTE_PKTMBUF_HEADROOM, rte_mempool};

use super::eal::Eal;
use super::error::{LeakError, PoolError, errno, strerror};
use super::mbuf::Mbuf;
use crate::base::burst::BURST_MAX;
use crate::link::stash::{REFILL, STASH, Stash};

/// Bytes of a frame's buffer behind its headroom, unless the MTU asks for more: DPDK's default, which takes an
/// Ethernet frame and leaves a power of two.
const DATA_ROOM: u32 = 2_048;
/// Ethernet header, two VLAN tags and the frame check sequence, which some devices leave in the buffer.
const LINK_OVERHEAD: u32 = 14 + 8 + 4;
/// `struct rte_mbuf`, the pool's own header and trailer, and rounding.
const BYTES_BESIDE_BUFFER: u64 = 128 + 128;

/// What a pool must be able to hold at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PoolPlan {
    /// Receive and transmit descriptors of all queues of all ports.
    pub descriptors: u32,
    /// Queues, each with a [`super::queue::Queue`] of its own.
    pub queues: u32,
    /// Threads that take and return frames: lcores, each with a cache.
    pub lcores: u32,
    /// Frames that somebody may hold besides: waiting for a neighbour, being built, in the rings of a cable.
    pub in_flight: u32,
    /// Largest IP packet in bytes.
    pub mtu: u16,
}

impl PoolPlan {
    /// Frames that the pool must have: each place that can hold frames is full, and one more burst a queue can
    /// still be allocated.
    pub const fn mbufs(&self) -> u32 {
        // A cache holds up to one and a half times its nominal size before it gives back.
        let caches = self.lcores.saturating_mul(RTE_MEMPOOL_CACHE_MAX_SIZE + RTE_MEMPOOL_CACHE_MAX_SIZE / 2);
        let in_queues = self.queues.saturating_mul((STASH + 2 * BURST_MAX) as u32);
        self.descriptors.saturating_add(caches).saturating_add(in_queues).saturating_add(self.in_flight)
    }

    /// Bytes of one frame's buffer, headroom included.
    pub const fn buffer_bytes(&self) -> u16 {
        let wanted = self.mtu as u32 + LINK_OVERHEAD;
        let room = if wanted > DATA_ROOM { wanted.next_multiple_of(128) } else { DATA_ROOM };
        let all = room + RTE_PKTMBUF_HEADROOM;
        if all > u16::MAX as u32 { u16::MAX } else { all as u16 }
    }

    /// Bytes of the whole pool, rounded up a little.
    pub const fn bytes(&self) -> u64 {
        self.mbufs() as u64 * (self.buffer_bytes() as u64 + BYTES_BESIDE_BUFFER)
    }
}

/// Frames that a driver is known not to give back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// The device's name.
    pub device: String,
    /// At most so many.
    pub mbufs: u32,
    /// Why, as a part of a sentence.
    pub why: &'static str,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keeps up to {}, {}", self.device, self.mbufs, self.why)
    }
}

/// How a pool stands when everything has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Returned {
    /// Every frame is back.
    All,
    /// Some are not, and drivers are known to keep as many.
    ButForKept {
        /// Frames that are out.
        mbufs: u32,
        /// Who keeps them.
        by: Vec<Kept>,
    },
}

impl fmt::Display for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Returned::All => write!(f, "all frames are back in their pool"),
            Returned::ButForKept { mbufs, by } => {
                write!(f, "all frames are back in their pool but for {mbufs} ({})", join(by))
            }
        }
    }
}

fn join(kept: &[Kept]) -> String {
    kept.iter().map(Kept::to_string).collect::<Vec<_>>().join("; ")
}

/// Compares what is out with what is known to be kept.
fn judge(pool: &str, size: u32, in_use: u32, kept: &[Kept]) -> Result<Returned, LeakError> {
    let allowed: u32 = kept.iter().map(|kept| kept.mbufs).sum();
    if in_use == 0 {
        Ok(Returned::All)
    } else if in_use <= allowed {
        Ok(Returned::ButForKept { mbufs: in_use, by: kept.to_vec() })
    } else {
        let allowed_words =
            if kept.is_empty() { String::new() } else { format!(", besides: {}", join(kept)) };
        Err(LeakError { pool: pool.to_owned(), missing: in_use - allowed, size, allowed: allowed_words })
    }
}

/// A pool of frames. May be used from any thread.
///
/// A pool that is dropped while frames are out is not freed, and then EAL is never cleaned up: the frames would
/// be pointers to nowhere.
#[derive(Debug)]
pub struct Mempool {
    pool: NonNull<rte_mempool>,
    name: String,
    size: u32,
    /// Bytes of a frame's buffer behind its headroom.
    room: u16,
    kept: Mutex<Vec<Kept>>,
    eal: Eal,
}

// SAFETY: an rte_mempool may be used from several threads: its ring is multi-producer and multi-consumer, and
// each lcore has a cache of its own.
unsafe impl Send for Mempool {}
// SAFETY: as above; everything else in here is shared safely by itself.
unsafe impl Sync for Mempool {}

impl Mempool {
    /// Makes a pool. Names are unique in the process and have at most 25 bytes; `socket` is a NUMA node, or -1
    /// for any.
    ///
    /// # Errors
    /// There is not enough memory, or the name is taken or too long.
    pub fn create(eal: &Eal, name: &str, plan: &PoolPlan, socket: i32) -> Result<Arc<Mempool>, PoolError> {
        let size = plan.mbufs();
        let refused = |reason: String| PoolError::Refused { name: name.to_owned(), mbufs: size, reason };
        let c_name = CString::new(name).map_err(|_| refused("a zero byte in its name".to_owned()))?;
        // DPDK wants a cache of at most two thirds of the pool.
        let cache = RTE_MEMPOOL_CACHE_MAX_SIZE.min(size / 3 * 2);
        // SAFETY: EAL is started; the name ends in a zero byte and is copied.
        let pool = unsafe {
            dpdk_sys::rte_pktmbuf_pool_create(c_name.as_ptr(), size, cache, 0, plan.buffer_bytes(), socket)
        };
        let Some(pool) = NonNull::new(pool) else {
            let number = errno();
            if number == libc::ENOMEM || number == libc::ENOBUFS {
                let megabytes = (plan.bytes() >> 20) + 64;
                let pages = megabytes.div_ceil(2);
                return Err(PoolError::NoMemory { name: name.to_owned(), mbufs: size, megabytes, pages });
            }
            return Err(refused(strerror(number)));
        };
        let room = plan.buffer_bytes() - RTE_PKTMBUF_HEADROOM as u16;
        let kept = Mutex::default();
        Ok(Arc::new(Mempool { pool, name: name.to_owned(), size, room, kept, eal: eal.clone() }))
    }

    /// Frames that the pool has.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// Bytes that one buffer holds.
    pub fn buffer_room(&self) -> u16 {
        self.room
    }

    /// The largest IP packet that one buffer holds, with all that a device may put around it.
    pub fn mtu_max(&self) -> u16 {
        self.room.saturating_sub(LINK_OVERHEAD as u16)
    }

    /// Frames that are out. Exact only while nobody takes or returns frames.
    pub fn in_use(&self) -> u32 {
        // SAFETY: the pool is valid as long as self; counting only reads.
        unsafe { dpdk_sys::rte_mempool_in_use_count(self.pool.as_ptr()) }
    }

    /// Whether all frames came back. To be asked when ports are closed and queues, cables and frames dropped.
    ///
    /// # Errors
    /// Frames are missing beyond what drivers are known to keep; the sentence names both.
    pub fn check_returned(&self) -> Result<Returned, LeakError> {
        judge(&self.name, self.size, self.in_use(), &self.kept())
    }

    /// Moves frames into a stash: all that are moved at once, or a single one where the pool has not that many.
    #[inline(never)]
    pub(super) fn refill(&self, stash: &mut Stash<Mbuf>) {
        let (pool, first) = (self.as_ptr(), stash.len());
        let n = REFILL.min(stash.remaining_capacity());
        // SAFETY: Mbuf has the representation of a pointer to rte_mbuf, so the stash's free places are an array of n
        // such pointers. The pool is valid as long as self. On success all n are set to frames that nobody else owns;
        // otherwise none is.
        unsafe {
            let free = stash.as_mut_ptr().add(first).cast();
            if dpdk_sys::dt_alloc_bulk(pool, free, n as u32) == 0 {
                stash.set_len(first + n);
            } else if n > 1 && dpdk_sys::dt_alloc_bulk(pool, free, 1) == 0 {
                stash.set_len(first + 1);
            }
        }
    }

    /// Notes that a driver is known to keep frames.
    pub(super) fn expect_kept(&self, kept: Kept) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
    }

    fn kept(&self) -> Vec<Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn as_ptr(&self) -> *mut rte_mempool {
        self.pool.as_ptr()
    }
}

impl Drop for Mempool {
    fn drop(&mut self) {
        if self.check_returned().is_err() {
            self.eal.keep_for_ever();
            return;
        }
        // SAFETY: the ports that used the pool are closed, since each holds it by an Arc; no frame is out, but
        // for those that a closed driver keeps and nobody looks at.
        unsafe { dpdk_sys::rte_mempool_free(self.pool.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> PoolPlan {
        PoolPlan { descriptors: 2_048, queues: 1, lcores: 1, in_flight: 100, mtu: 1_500 }
    }

    #[test]
    fn a_plan_covers_every_place_that_holds_frames() {
        let mbufs = plan().mbufs();
        assert!(mbufs >= 2_048 + 768 + STASH as u32 + 100 + BURST_MAX as u32, "{mbufs}");
        assert_eq!(PoolPlan { lcores: 2, ..plan() }.mbufs() - mbufs, 768);
        assert_eq!(PoolPlan { descriptors: u32::MAX, ..plan() }.mbufs(), u32::MAX);
    }

    #[test]
    fn buffers_grow_with_the_mtu() {
        assert_eq!(plan().buffer_bytes(), 2_176);
        let jumbo = PoolPlan { mtu: 9_000, ..plan() }.buffer_bytes();
        assert!((9_000 + 26 + 128..9_500).contains(&jumbo), "{jumbo}");
        assert_eq!(PoolPlan { mtu: u16::MAX, ..plan() }.buffer_bytes(), u16::MAX);
    }

    #[test]
    fn missing_frames_are_a_leak_unless_a_driver_is_known_to_keep_them() {
        let kept = Kept { device: "net_af_xdp0".to_owned(), mbufs: 2_080, why: "in its fill ring" };
        assert_eq!(judge("p", 8_191, 0, std::slice::from_ref(&kept)), Ok(Returned::All));
        let allowed = judge("p", 8_191, 2_080, std::slice::from_ref(&kept)).unwrap().to_string();
        assert!(allowed.contains("2080") && allowed.contains("net_af_xdp0"), "{allowed}");
        let leak = judge("p", 8_191, 2_083, &[kept]).unwrap_err();
        assert_eq!(leak.missing, 3);
        assert!(leak.to_string().contains("net_af_xdp0"), "{leak}");
        let plain = judge("p", 8_191, 1, &[]).unwrap_err().to_string();
        assert!(plain.starts_with("1 of the 8191 frames of the pool `p` did not come back:"), "{plain}");
    }
}
