//! Frames in memory out of a pool that counts: at the end of a test all must be back.

use std::cell::RefCell;
use std::rc::Rc;

use arrayvec::ArrayVec;

use crate::link::{Frame, RxChecksums, TxOffload};

/// Bytes that a buffer can hold: a jumbo frame with its Ethernet header.
pub const FRAME_BYTES: usize = 9_018;
/// Buffers of one frame, besides the first.
const MORE_MAX: usize = 7;

/// A pool of frames; clones name the same pool.
#[derive(Clone)]
pub struct FramePool {
    free: Rc<RefCell<Vec<Box<[u8]>>>>,
    capacity: usize,
}

impl FramePool {
    /// A pool of `capacity` frames.
    pub fn new(capacity: usize) -> Self {
        FramePool::sized(capacity, FRAME_BYTES)
    }

    /// A pool of `capacity` frames of at most `frame_bytes` bytes.
    pub fn sized(capacity: usize, frame_bytes: usize) -> Self {
        let free = (0..capacity).map(|_| vec![0; frame_bytes].into_boxed_slice()).collect();
        FramePool { free: Rc::new(RefCell::new(free)), capacity }
    }

    /// A fresh frame of length 0, if there is one.
    pub fn alloc(&self) -> Option<MemFrame> {
        let bytes = self.free.borrow_mut().pop()?;
        Some(MemFrame {
            bytes: Some(bytes),
            len: 0,
            more: ArrayVec::new(),
            checksums: RxChecksums::default(),
            offload: TxOffload::default(),
            pool: self.clone(),
        })
    }

    /// A frame that holds `bytes`, if there is one and they fit.
    pub fn frame(&self, bytes: &[u8]) -> Option<MemFrame> {
        let mut frame = self.alloc()?;
        frame.set_len(bytes.len());
        frame.bytes_mut().get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(frame)
    }

    /// Frames that are here.
    pub fn free(&self) -> usize {
        self.free.borrow().len()
    }

    /// Frames that are somewhere else.
    pub fn in_use(&self) -> usize {
        self.capacity - self.free.borrow().len()
    }
}

/// A frame of a [`FramePool`]; goes back when dropped.
pub struct MemFrame {
    bytes: Option<Box<[u8]>>,
    len: usize,
    /// Further buffers with their lengths.
    more: ArrayVec<(Box<[u8]>, usize), MORE_MAX>,
    checksums: RxChecksums,
    offload: TxOffload,
    pool: FramePool,
}

impl MemFrame {
    /// What the sender asked its device to do.
    pub fn offload(&self) -> TxOffload {
        self.offload
    }

    /// Copies bytes of all buffers, from an offset on.
    pub(super) fn copy_out(&self, mut offset: usize, to: &mut [u8]) {
        let more = self.more.iter().map(|(bytes, len)| bytes.get(..*len).unwrap_or_default());
        let mut done = 0;
        for part in std::iter::once(self.bytes()).chain(more) {
            let from = part.get(offset.min(part.len())..).unwrap_or_default();
            let len = from.len().min(to.len() - done);
            if let (Some(place), Some(from)) = (to.get_mut(done..done + len), from.get(..len)) {
                place.copy_from_slice(from);
            }
            done += len;
            offset = offset.saturating_sub(part.len());
        }
    }

    /// Lets the frame carry a device's verdict.
    pub fn set_rx_checksums(&mut self, checksums: RxChecksums) {
        self.checksums = checksums;
    }
}

impl Drop for MemFrame {
    fn drop(&mut self) {
        let more = self.more.drain(..).map(|(bytes, _)| bytes);
        self.pool.free.borrow_mut().extend(self.bytes.take().into_iter().chain(more));
    }
}

impl Frame for MemFrame {
    fn bytes(&self) -> &[u8] {
        self.bytes.as_deref().and_then(|bytes| bytes.get(..self.len)).unwrap_or_default()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        let len = self.len;
        self.bytes.as_deref_mut().and_then(|bytes| bytes.get_mut(..len)).unwrap_or_default()
    }

    fn capacity(&self) -> usize {
        self.bytes.as_deref().map_or(0, <[u8]>::len)
    }

    fn set_len(&mut self, len: usize) {
        self.len = len.min(self.capacity());
    }

    fn append(&mut self, mut next: MemFrame) -> Option<MemFrame> {
        if self.more.is_full() || !next.more.is_empty() {
            return Some(next);
        }
        let bytes = next.bytes.take()?;
        self.more.push((bytes, next.len));
        None
    }

    fn total_len(&self) -> usize {
        self.len + self.more.iter().map(|(_, len)| len).sum::<usize>()
    }

    fn rx_checksums(&self) -> RxChecksums {
        self.checksums
    }

    fn reset(&mut self) {
        self.len = 0;
        let more = self.more.drain(..).map(|(bytes, _)| bytes);
        self.pool.free.borrow_mut().extend(more);
        self.checksums = RxChecksums::default();
        self.offload = TxOffload::default();
    }

    fn set_tx_offload(&mut self, offload: TxOffload) {
        self.offload = offload;
    }
}
