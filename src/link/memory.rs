//! A link in memory between two loops, which may run on two threads: a ring each way, and one pool of frames that
//! both ends share. Frames move by pointer and are never copied. Nothing is lost here: a full ring takes less.
//!
//! Between each end and the pool, which both ends write to, stands a stash.

use std::sync::{Arc, Weak};

use crossbeam_queue::ArrayQueue;
use rtrb::chunks::ChunkError;
use rtrb::{Consumer, Producer, RingBuffer};

use super::stash::{self, REFILL, Stash};
use super::{Caps, Frame, QueuePair, RxChecksums, TxOffload, Verdict};
use crate::base::burst::Burst;
use crate::base::prefetch::prefetch;

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;
/// Bytes that a frame holds: the usual, one for jumbo frames, and one for the largest packet that there is.
const USUAL: usize = 2_048;
const JUMBO: usize = 9_216;
const LARGEST: usize = 65_552;

/// Who sums.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Checksums {
    /// Senders and receivers, in software.
    #[default]
    Software,
    /// The link, as a network card would: it offers to sum what is sent, and a sum that it was asked for is
    /// taken as done and arrives as verified. What a sender has summed by itself arrives as not looked at.
    Marked,
}

/// What a link is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Frames in the pool of both ends; at least 1.
    pub frames: usize,
    /// Frames that each direction holds; at least 1.
    pub slots: usize,
    /// Largest IP packet in bytes. A frame holds it with its Ethernet header, and at least 2,048 bytes.
    pub mtu: u16,
    /// Who sums.
    pub checksums: Checksums,
}

impl Default for Plan {
    /// Room for both rings full, both stashes, and what two loops hold; 8.6 MB with the usual MTU.
    fn default() -> Self {
        Plan { frames: 4_096, slots: 1_024, mtu: 1_500, checksums: Checksums::Software }
    }
}

/// The two ends of a link, with all its memory.
pub fn pair(plan: Plan) -> (MemoryQueue, MemoryQueue) {
    let pool = MemoryPool::new(plan.frames.max(1), usize::from(plan.mtu) + ETHERNET);
    let (there_tx, there_rx) = RingBuffer::new(plan.slots.max(1));
    let (back_tx, back_rx) = RingBuffer::new(plan.slots.max(1));
    let end = |side: u8, tx, rx| {
        let marked = plan.checksums == Checksums::Marked;
        let caps = Caps {
            mac: generated_mac(side),
            mtu: plan.mtu,
            tx_ip_checksum: marked,
            tx_tcp_checksum: marked,
            rx_checksum: marked,
            tso: None,
        };
        MemoryQueue { caps, tx, rx, stash: Stash::new(), pool: pool.clone() }
    };
    (end(0, there_tx, back_rx), end(1, back_tx, there_rx))
}

/// As `dpdk/port.rs` generates addresses; the fifth byte is one that no port's number has.
const fn generated_mac(side: u8) -> [u8; 6] {
    [0x02, 0x64, 0x74, 0x63, 0x6d, side]
}

/// A frame's memory. It begins a cache line, and what is said of the frame shares that line with its first bytes.
#[repr(align(64))]
struct Buffer<B: ?Sized> {
    /// Where it goes back to. Buffers that wait there must not keep it alive.
    pool: Weak<ArrayQueue<Box<Buffer<[u8]>>>>,
    len: u32,
    checksums: RxChecksums,
    bytes: B,
}

impl Buffer<[u8]> {
    /// A buffer of `N` bytes.
    fn boxed<const N: usize>(pool: Weak<ArrayQueue<Box<Self>>>) -> Box<Self> {
        Box::new(Buffer { pool, len: 0, checksums: RxChecksums::default(), bytes: [0; N] })
    }

    fn forget(&mut self) {
        self.len = 0;
        self.checksums = RxChecksums::default();
    }
}

/// The pool of a link's frames; clones name the same pool. It outlives the link's ends, so that it can be asked
/// afterwards whether all is back.
#[derive(Clone)]
pub struct MemoryPool(Arc<ArrayQueue<Box<Buffer<[u8]>>>>);

impl MemoryPool {
    fn new(frames: usize, frame_bytes: usize) -> MemoryPool {
        let make = match frame_bytes {
            0..=USUAL => Buffer::boxed::<USUAL>,
            n if n <= JUMBO => Buffer::boxed::<JUMBO>,
            _ => Buffer::boxed::<LARGEST>,
        };
        let pool = MemoryPool(Arc::new(ArrayQueue::new(frames)));
        for _ in 0..frames {
            // There is room for exactly so many.
            let _ = pool.0.push(make(Arc::downgrade(&pool.0)));
        }
        pool
    }

    /// Frames of the pool.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Moves frames into a stash, as far as there are any.
    #[inline(never)]
    fn refill(&self, stash: &mut Stash<MemoryFrame>) {
        let room = stash.remaining_capacity().min(REFILL);
        stash.extend(std::iter::from_fn(|| self.0.pop()).take(room).map(|buffer| MemoryFrame(Some(buffer))));
    }

    /// Frames that are somewhere else: with a loop, in a ring, or in the stash of an end. Exact while nothing
    /// moves.
    pub fn in_use(&self) -> usize {
        self.0.capacity() - self.0.len()
    }
}

/// A frame of a [`MemoryPool`]; goes back when dropped.
pub struct MemoryFrame(Option<Box<Buffer<[u8]>>>);

impl Drop for MemoryFrame {
    fn drop(&mut self) {
        if let Some(mut buffer) = self.0.take()
            && let Some(pool) = buffer.pool.upgrade()
        {
            buffer.forget();
            // There is room: a pool holds all the buffers that it has made.
            let _ = pool.push(buffer);
        }
    }
}

impl Frame for MemoryFrame {
    fn bytes(&self) -> &[u8] {
        self.0.as_ref().and_then(|buffer| buffer.bytes.get(..buffer.len as usize)).unwrap_or_default()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        let place = self.0.as_mut().and_then(|buffer| {
            let len = buffer.len as usize;
            buffer.bytes.get_mut(..len)
        });
        place.unwrap_or_default()
    }

    fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |buffer| buffer.bytes.len())
    }

    fn set_len(&mut self, len: usize) {
        if let Some(buffer) = &mut self.0 {
            buffer.len = len.min(buffer.bytes.len()) as u32;
        }
    }

    fn expect(&self) {
        if let Some(buffer) = &self.0 {
            prefetch(&buffer.len);
        }
    }

    /// There are no frames of several buffers, since the link cuts nothing.
    fn append(&mut self, next: MemoryFrame) -> Option<MemoryFrame> {
        Some(next)
    }

    fn total_len(&self) -> usize {
        self.bytes().len()
    }

    fn rx_checksums(&self) -> RxChecksums {
        self.0.as_ref().map_or_else(RxChecksums::default, |buffer| buffer.checksums)
    }

    /// The frame is empty afterwards.
    fn reset(&mut self) {
        if let Some(buffer) = &mut self.0 {
            buffer.forget();
        }
    }

    /// What is asked for here is done by saying so to the receiver.
    fn set_tx_offload(&mut self, offload: TxOffload) {
        let verdict = |asked: bool| if asked { Verdict::Good } else { Verdict::Unknown };
        if let Some(buffer) = &mut self.0 {
            buffer.checksums =
                RxChecksums { ip: verdict(offload.ip_checksum), l4: verdict(offload.tcp_checksum) };
        }
    }
}

/// One end of a link. Dropping it returns the frames of its stash; those on their way go back when both ends are
/// gone. To an end that is gone frames are sent until the ring is full, as to a port without a cable.
pub struct MemoryQueue {
    caps: Caps,
    tx: Producer<MemoryFrame>,
    rx: Consumer<MemoryFrame>,
    stash: Stash<MemoryFrame>,
    pool: MemoryPool,
}

impl MemoryQueue {
    /// The pool that both ends share.
    pub fn pool(&self) -> MemoryPool {
        self.pool.clone()
    }
}

impl QueuePair for MemoryQueue {
    type Frame = MemoryFrame;

    fn caps(&self) -> Caps {
        self.caps
    }

    fn rx_burst(&mut self, frames: &mut Burst<MemoryFrame>, limit: usize) {
        let wanted = limit.min(frames.remaining_capacity());
        // What the other end has written is looked at only where what is known of it does not do.
        let ready = match self.rx.read_chunk(wanted) {
            Ok(chunk) => return frames.extend(chunk),
            Err(ChunkError::TooFewSlots(ready)) => ready,
        };
        if ready > 0
            && let Ok(chunk) = self.rx.read_chunk(ready)
        {
            frames.extend(chunk);
        }
    }

    fn tx_burst(&mut self, frames: &mut Burst<MemoryFrame>) {
        let room = match self.tx.write_chunk_uninit(frames.len()) {
            Ok(chunk) => {
                chunk.fill_from_iter(frames.drain(..));
                return;
            }
            Err(ChunkError::TooFewSlots(room)) => room,
        };
        if room > 0
            && let Ok(chunk) = self.tx.write_chunk_uninit(room)
        {
            chunk.fill_from_iter(frames.drain(..room));
        }
    }

    #[inline]
    fn stock(&mut self, wanted: usize) -> usize {
        stash::stock(&mut self.stash, wanted, |stash| self.pool.refill(stash))
    }

    #[inline]
    fn alloc(&mut self) -> Option<MemoryFrame> {
        stash::take(&mut self.stash, |stash| self.pool.refill(stash))
    }

    fn recycle(&mut self, mut frame: MemoryFrame) {
        if self.stash.is_full() {
            // Those that have been here for longest: the others are still in the cache.
            self.stash.drain(..REFILL);
        }
        frame.reset();
        self.stash.push(frame);
    }
}

#[cfg(test)]
mod tests;
