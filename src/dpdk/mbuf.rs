//! One frame of a device: an `rte_mbuf` that is ours alone. Fields are read and written in place, by offsets
//! from the C compiler, because a call into C for each of them would cost more than the field.

use std::ptr::NonNull;

use dpdk_sys::{
    DT_FOREIGN_BUFFER, DT_MBUF_BUF_ADDR, DT_MBUF_BUF_LEN, DT_MBUF_DATA_LEN, DT_MBUF_DATA_OFF,
    DT_MBUF_NB_SEGS, DT_MBUF_OL_FLAGS, DT_MBUF_PKT_LEN, DT_MBUF_REFCNT, DT_MBUF_TX_OFFLOAD,
    RTE_PKTMBUF_HEADROOM, rte_mbuf,
};

use crate::base::prefetch::prefetch;
use crate::link::{Frame, RxChecksums, TxOffload};

use super::offload;

/// A frame. Dropping it returns it to its pool. A frame in the hands of anybody outside this layer has one
/// segment, unless others were appended to it.
///
/// Its representation is the pointer that DPDK uses, so that an array of frames is an array of pointers.
#[repr(transparent)]
#[derive(Debug)]
pub struct Mbuf(NonNull<rte_mbuf>);

// SAFETY: an Mbuf is the only owner of its rte_mbuf, and pools may be used from any thread.
unsafe impl Send for Mbuf {}

impl Mbuf {
    /// Reads a field.
    ///
    /// # Safety
    /// A field of type `T` lies at `offset`.
    unsafe fn get<T: Copy>(&self, offset: u32) -> T {
        // SAFETY: the rte_mbuf is valid while self lives; the caller vouches for place and type, and the C
        // compiler has aligned it.
        unsafe { self.0.as_ptr().byte_add(offset as usize).cast::<T>().read() }
    }

    /// Writes a field.
    ///
    /// # Safety
    /// A field of type `T` lies at `offset`, and the value is one that DPDK allows there.
    unsafe fn set<T: Copy>(&mut self, offset: u32, value: T) {
        // SAFETY: as in `get`; nobody else refers to the rte_mbuf.
        unsafe { self.0.as_ptr().byte_add(offset as usize).cast::<T>().write(value) }
    }

    fn data_off(&self) -> u16 {
        // SAFETY: a uint16_t by shim.h.
        unsafe { self.get(DT_MBUF_DATA_OFF) }
    }

    fn buf_len(&self) -> u16 {
        // SAFETY: a uint16_t by shim.h.
        unsafe { self.get(DT_MBUF_BUF_LEN) }
    }

    fn data_len(&self) -> u16 {
        // SAFETY: a uint16_t by shim.h.
        unsafe { self.get(DT_MBUF_DATA_LEN) }
    }

    fn flags(&self) -> u64 {
        // SAFETY: a uint64_t by shim.h.
        unsafe { self.get(DT_MBUF_OL_FLAGS) }
    }

    /// Where the frame begins.
    fn start(&self) -> *mut u8 {
        // SAFETY: a pointer by shim.h.
        let buffer: *mut u8 = unsafe { self.get(DT_MBUF_BUF_ADDR) };
        // SAFETY: data_off is never beyond the buffer's length.
        unsafe { buffer.add(usize::from(self.data_off())) }
    }

    /// What the frame asks of a device for its sums counts as done, and as verified by whoever receives it.
    pub(super) fn mark_as_summed(&mut self) {
        let flags = offload::done(self.flags());
        // SAFETY: a uint64_t by shim.h; the flags are DPDK's own.
        unsafe { self.set(DT_MBUF_OL_FLAGS, flags) }
    }

    /// Buffers that the frame is spread over.
    pub(super) fn segments(&self) -> u16 {
        // SAFETY: a uint16_t by shim.h.
        unsafe { self.get(DT_MBUF_NB_SEGS) }
    }

    /// Moves the content of all segments into the first one; false, and the frame is as it was, if it does not
    /// fit.
    pub(super) fn linearize(&mut self) -> bool {
        // SAFETY: the rte_mbuf is valid and nobody else refers to it or to its segments.
        unsafe { dpdk_sys::dt_linearize(self.0.as_ptr()) == 0 }
    }

    /// The frame lies in one buffer of its own pool that nobody shares, so that it can carry another one.
    pub(super) fn is_reusable(&self) -> bool {
        // SAFETY: a uint16_t by shim.h.
        let owners: u16 = unsafe { self.get(DT_MBUF_REFCNT) };
        owners == 1 && self.segments() == 1 && self.flags() & DT_FOREIGN_BUFFER == 0
    }
}

impl Drop for Mbuf {
    fn drop(&mut self) {
        // SAFETY: this is the only owner, and the pool is not freed while frames are out (see `mempool`).
        unsafe { dpdk_sys::dt_free(self.0.as_ptr()) }
    }
}

impl Frame for Mbuf {
    fn bytes(&self) -> &[u8] {
        // SAFETY: data_len bytes from the start lie within the buffer, which was mapped with content by EAL and
        // lives as long as self; nobody writes to it while self is borrowed.
        unsafe { std::slice::from_raw_parts(self.start(), usize::from(self.data_len())) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; self is borrowed exclusively and is the only owner.
        unsafe { std::slice::from_raw_parts_mut(self.start(), usize::from(self.data_len())) }
    }

    fn capacity(&self) -> usize {
        usize::from(self.buf_len().saturating_sub(self.data_off()))
    }

    fn set_len(&mut self, len: usize) {
        let len = len.min(self.capacity()) as u16;
        let behind = self.total_len().saturating_sub(usize::from(self.data_len()));
        // SAFETY: a uint16_t and a uint32_t by shim.h; the length is within the buffer, and the whole length is
        // this and that of the segments behind it.
        unsafe {
            self.set(DT_MBUF_DATA_LEN, len);
            self.set(DT_MBUF_PKT_LEN, u32::from(len) + behind as u32);
        }
    }

    fn expect(&self) {
        // SAFETY: the mbuf is valid as long as self; nothing of it is read.
        prefetch(unsafe { self.0.as_ref() });
    }

    fn append(&mut self, next: Mbuf) -> Option<Mbuf> {
        // SAFETY: both are valid and of one owner; where it succeeds, next belongs to the chain from now on.
        if unsafe { dpdk_sys::dt_chain(self.0.as_ptr(), next.0.as_ptr()) } != 0 {
            return Some(next);
        }
        std::mem::forget(next);
        None
    }

    fn total_len(&self) -> usize {
        // SAFETY: a uint32_t by shim.h.
        let len: u32 = unsafe { self.get(DT_MBUF_PKT_LEN) };
        len as usize
    }

    fn rx_checksums(&self) -> RxChecksums {
        offload::rx_verdicts(self.flags())
    }

    /// The frame is empty afterwards. The lengths of what a device was asked for stay where they are: without the flags
    /// that ask, they mean nothing, and they are on a line that is otherwise not touched.
    fn reset(&mut self) {
        let kept = self.flags() & DT_FOREIGN_BUFFER;
        let start = (RTE_PKTMBUF_HEADROOM as u16).min(self.buf_len());
        // SAFETY: types by shim.h; the start is within the buffer, and the flags that say whose buffer it is stay.
        unsafe {
            self.set(DT_MBUF_DATA_OFF, start);
            self.set(DT_MBUF_OL_FLAGS, kept);
        }
        self.set_len(0);
    }

    /// Replaces what was asked for before. A frame that was received must be reset first.
    fn set_tx_offload(&mut self, offload: TxOffload) {
        let kept = self.flags() & DT_FOREIGN_BUFFER;
        let (flags, lengths) = offload::tx_request(offload);
        // SAFETY: both are uint64_t by shim.h; flags and lengths are DPDK's own.
        unsafe {
            self.set(DT_MBUF_OL_FLAGS, kept | flags);
            self.set(DT_MBUF_TX_OFFLOAD, lengths);
        }
    }
}
