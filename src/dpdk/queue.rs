//! One receive and one transmit queue of a port: the border's [`QueuePair`] over DPDK. Used by one loop.
//! Between the loop and the pool stands a stash.

use std::sync::Arc;

use super::mbuf::Mbuf;
use super::port::PortShared;
use crate::base::burst::Burst;
use crate::base::drop_reason::DropReason;
use crate::link::stash::{self, REFILL, STASH, Stash};
use crate::link::{Caps, Frame, QueuePair};
use crate::stats::counters::Counters;

/// A queue pair. It keeps its port open; dropping it returns the frames of its stash.
pub struct Queue {
    port: Arc<PortShared>,
    id: u16,
    number: u16,
    caps: Caps,
    stash: Stash<Mbuf>,
    counters: Arc<Counters>,
    /// Frames that ask for sums leave marked as summed and verified.
    marks: bool,
}

impl Queue {
    pub(super) fn new(port: Arc<PortShared>, number: u16, caps: Caps, counters: Arc<Counters>) -> Queue {
        let id = port.id();
        Queue { port, id, number, caps, stash: Stash::new(), counters, marks: false }
    }

    /// A queue of a cable whose frames are taken for summed and verified at the other end, as network cards at both
    /// ends would have done it: for measurements. Frames must not leave the process.
    #[must_use]
    pub fn with_marks(mut self) -> Queue {
        self.marks = true;
        self.caps.tx_ip_checksum = true;
        self.caps.tx_tcp_checksum = true;
        self.caps.rx_checksum = true;
        self
    }

    /// From now on drops are counted elsewhere.
    pub fn count_in(&mut self, counters: Arc<Counters>) {
        self.counters = counters;
    }

    /// Makes frames of several segments, which a driver may give, into frames of one; those that do not fit
    /// are dropped and counted.
    fn join_segments(&self, frames: &mut Burst<Mbuf>, first: usize) {
        let mut index = first;
        while let Some(frame) = frames.get_mut(index) {
            if frame.segments() == 1 || frame.linearize() {
                index += 1;
            } else {
                frames.remove(index);
                self.counters.drop_one(DropReason::FrameChained);
            }
        }
    }

    /// Lets the driver check and complete frames that ask something of the device; says how many may be sent now.
    /// The first frame that it refuses is dropped, since it would stay in everybody's way.
    fn prepare(&self, frames: &mut Burst<Mbuf>) -> usize {
        if self.marks {
            frames.iter_mut().for_each(Mbuf::mark_as_summed);
            return frames.len();
        }
        if !self.caps.tx_ip_checksum && !self.caps.tx_tcp_checksum {
            return frames.len();
        }
        // SAFETY: Mbuf has the representation of a pointer to rte_mbuf, so the burst is an array of so many such
        // pointers; they stay ours.
        let good = unsafe {
            let first = frames.as_mut_ptr().cast();
            dpdk_sys::dt_tx_prepare(self.id, self.number, first, frames.len() as u16)
        };
        let good = usize::from(good).min(frames.len());
        if good < frames.len() {
            frames.remove(good);
            self.counters.drop_one(DropReason::TxRefused);
        }
        good
    }

    /// Returns the `n` frames that have been in the stash for longest.
    fn give_back(&mut self, n: usize) {
        let len = self.stash.len();
        let n = n.min(len);
        // SAFETY: Mbuf has the representation of a pointer to rte_mbuf. The stash owns nothing while its length
        // is 0; the first n frames are given to their pools, the others move to the front and are owned again.
        unsafe {
            self.stash.set_len(0);
            let first = self.stash.as_mut_ptr();
            dpdk_sys::dt_free_bulk(first.cast(), n as u32);
            std::ptr::copy(first.add(n), first, len - n);
            self.stash.set_len(len - n);
        }
    }
}

impl QueuePair for Queue {
    type Frame = Mbuf;

    fn caps(&self) -> Caps {
        self.caps
    }

    fn rx_burst(&mut self, frames: &mut Burst<Mbuf>, limit: usize) {
        let first = frames.len();
        let limit = limit.min(frames.remaining_capacity());
        // SAFETY: Mbuf has the representation of a pointer to rte_mbuf, so the burst's free places are an array
        // of at least `limit` such pointers (64 at most, which fits 16 bits). The device sets as many as it
        // returns to frames that nobody else owns. The port is open while self lives, and this is the only
        // Queue of that number.
        unsafe {
            let free = frames.as_mut_ptr().add(first).cast();
            let received = dpdk_sys::dt_rx_burst(self.id, self.number, free, limit as u16);
            frames.set_len(first + usize::from(received).min(limit));
        }
        self.join_segments(frames, first);
    }

    fn tx_burst(&mut self, frames: &mut Burst<Mbuf>) {
        let len = frames.len();
        if len == 0 {
            return;
        }
        let len = self.prepare(frames);
        // SAFETY: Mbuf has the representation of a pointer to rte_mbuf, so the burst is an array of `len` such
        // pointers (64 at most) or more. The burst owns nothing while its length is 0; the device owns the frames that
        // it takes from the front, and the others move there and are owned again.
        let all = frames.len();
        unsafe {
            frames.set_len(0);
            let first = frames.as_mut_ptr();
            let sent = dpdk_sys::dt_tx_burst(self.id, self.number, first.cast(), len as u16);
            let sent = usize::from(sent).min(len);
            std::ptr::copy(first.add(sent), first, all - sent);
            frames.set_len(all - sent);
        }
    }

    #[inline]
    fn stock(&mut self, wanted: usize) -> usize {
        stash::stock(&mut self.stash, wanted, |stash| self.port.pool().refill(stash))
    }

    #[inline]
    fn alloc(&mut self) -> Option<Mbuf> {
        stash::take(&mut self.stash, |stash| self.port.pool().refill(stash))
    }

    #[inline]
    fn recycle(&mut self, mut frame: Mbuf) {
        if !frame.is_reusable() {
            return;
        }
        if self.stash.is_full() {
            self.give_back(REFILL);
        }
        frame.reset();
        self.stash.push(frame);
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.give_back(STASH);
    }
}
