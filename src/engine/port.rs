//! One port of a loop: its queue pair, the burst it received, the frames that wait to be sent, and spare ones.

use super::api::Unsent;
use super::emit;
use crate::base::burst::{BURST_MAX, Burst};
use crate::base::drop_reason::DropReason;
use crate::base::prefetch::prefetch;
use crate::link::{Caps, Frame, QueuePair, Tso};
use crate::stats::counters::{Counter, Counters};
use crate::tcp::output::Budget;
use crate::wire::ethernet::Mac;
use crate::wire::tcp::Flags;

/// A queue pair with its bursts.
pub(super) struct Port<Q: QueuePair> {
    queue: Q,
    pub caps: Caps,
    burst: usize,
    /// From so many waiting frames on they are handed over at once, and not at the pass's end.
    tx_burst: usize,
    /// What waits to be sent.
    tx: Burst<Q::Frame>,
    /// Frames that the device has taken since the start; wraps.
    taken: u32,
    /// What `tx` holds, in numbers.
    waiting: Tally,
    /// How the port cuts segments, where that takes no more frames than a burst has.
    tso: Option<Tso>,
}

/// What waits to be sent, in numbers beside that of frames: what the device has taken is the difference of two of them.
#[derive(Clone, Copy, Default)]
struct Tally {
    bytes: u64,
    segments: u64,
    resets: u64,
}

impl Tally {
    /// With one more frame, whose control bits are these if it is a segment.
    #[inline(always)]
    fn with<F: Frame>(self, frame: &F, flags: Option<Flags>) -> Tally {
        Tally {
            bytes: self.bytes + frame.total_len() as u64,
            segments: self.segments + u64::from(flags.is_some()),
            resets: self.resets + u64::from(flags.is_some_and(|flags| flags.has(Flags::RST))),
        }
    }

    fn of<F: Frame>(waiting: &[F]) -> Tally {
        waiting.iter().fold(Tally::default(), |sum, frame| sum.with(frame, emit::tcp_flags(frame.bytes())))
    }
}

/// Asks for the lines of a frame's headers; gives its length.
fn expect_headers<F: Frame>(frame: &F) -> u64 {
    let bytes = frame.bytes();
    for byte in [bytes.first(), bytes.get(emit::USUAL_HEADERS_LEN - 1)].into_iter().flatten() {
        prefetch(byte);
    }
    bytes.len() as u64
}

impl<Q: QueuePair> Port<Q> {
    pub fn new(queue: Q, burst: usize, tx_burst: usize) -> Self {
        let caps = queue.caps();
        let tso = caps.tso.filter(|tso| (1..=BURST_MAX).contains(&tso.frames));
        Port { queue, caps, burst, tx_burst, tx: Burst::new(), taken: 0, waiting: Tally::default(), tso }
    }

    pub fn mac(&self) -> Mac {
        Mac(self.caps.mac)
    }

    /// Receives a burst into an empty place. The frames are to be given back by [`Port::recycle`].
    pub fn receive(&mut self, frames: &mut Burst<Q::Frame>, counters: &Counters) {
        self.queue.rx_burst(frames, self.burst);
        if !frames.is_empty() {
            // With many on their way they are not in the cache any more.
            frames.iter().for_each(Frame::expect);
            let bytes = frames.iter().map(expect_headers).sum();
            counters.add(Counter::RxBursts, 1);
            counters.add(Counter::RxFrames, frames.len() as u64);
            counters.add(Counter::RxBytes, bytes);
        }
    }

    /// Frames that are asked for at once.
    pub fn burst(&self) -> usize {
        self.burst
    }

    /// Gives back the frames of a burst that was processed: they are the first that answers are written into.
    pub fn recycle(&mut self, frames: &mut Burst<Q::Frame>) {
        self.queue.recycle_all(frames);
    }

    /// How many segments can be built and queued now, at least one, and how large ones. Where the port cuts segments
    /// there is a frame for every buffer of each; with too few left, it is asked for none.
    ///
    /// # Errors
    /// None can be, for this reason.
    pub fn budget(&mut self, counters: &Counters) -> Result<Budget, Unsent> {
        if self.tx.len() >= self.tx_burst {
            self.transmit(counters);
        }
        let room = self.tx.remaining_capacity();
        if room == 0 {
            return Err(Unsent::TxFull);
        }
        let wanted = room.min(self.burst).max(self.tso.map_or(0, |tso| tso.frames));
        let ready = self.queue.stock(wanted);
        if ready == 0 {
            return Err(Unsent::NoFrame);
        }
        let large = self.tso.filter(|tso| ready >= tso.frames);
        let (text_max, segments) = large.map_or((0, ready), |tso| (tso.text_max, ready / tso.frames));
        Ok(Budget { segments: room.min(segments), text_max })
    }

    /// Sees that one segment can be built and queued.
    ///
    /// # Errors
    /// It cannot, for this reason.
    #[inline]
    pub fn make_ready(&mut self, counters: &Counters) -> Result<(), Unsent> {
        if self.tx.len() >= self.tx_burst {
            self.transmit(counters);
        }
        if self.tx.is_full() {
            return Err(Unsent::TxFull);
        }
        if self.queue.stock(1) > 0 { Ok(()) } else { Err(Unsent::NoFrame) }
    }

    /// A fresh, empty frame.
    #[inline]
    pub fn alloc(&mut self) -> Option<Q::Frame> {
        self.queue.alloc()
    }

    /// Queues a complete frame. One that finds no room is lost, as on any wire.
    pub fn send(&mut self, frame: Q::Frame, counters: &Counters) {
        let flags = emit::tcp_flags(frame.bytes());
        self.queue_up(frame, flags, counters);
    }

    /// As [`Port::send`], for a segment with these control bits.
    #[inline]
    pub fn send_segment(&mut self, frame: Q::Frame, flags: Flags, counters: &Counters) {
        self.queue_up(frame, Some(flags), counters);
    }

    #[inline(always)]
    fn queue_up(&mut self, frame: Q::Frame, flags: Option<Flags>, counters: &Counters) {
        if self.tx.len() >= self.tx_burst {
            self.transmit(counters);
        }
        let waiting = self.waiting.with(&frame, flags);
        match self.tx.try_push(frame) {
            Ok(()) => self.waiting = waiting,
            Err(refused) => self.refuse(refused.element(), counters),
        }
    }

    #[cold]
    fn refuse(&mut self, frame: Q::Frame, counters: &Counters) {
        counters.drop_one(DropReason::TxFull);
        self.queue.recycle(frame);
    }

    /// The number of the next frame that is queued, and of how many frames before it the device has taken; both wrap.
    pub fn numbers(&self) -> (u32, u32) {
        (self.taken.wrapping_add(self.tx.len() as u32), self.taken)
    }

    /// Hands what waits to the device; what it does not take waits on. Returns how many frames left.
    pub fn transmit(&mut self, counters: &Counters) -> usize {
        if self.tx.is_empty() {
            return 0;
        }
        let (before, frames) = (self.waiting, self.tx.len());
        self.queue.tx_burst(&mut self.tx);
        let frames = frames - self.tx.len();
        let left = Tally::of(&self.tx);
        self.waiting = left;
        self.taken = self.taken.wrapping_add(frames as u32);
        counters.add(Counter::TxBursts, u64::from(frames > 0));
        counters.add(Counter::TxFrames, frames as u64);
        counters.add(Counter::TxBytes, before.bytes - left.bytes);
        counters.add(Counter::TxSegments, before.segments - left.segments);
        counters.add(Counter::RstSent, before.resets - left.resets);
        frames
    }

    /// Nothing waits to be sent.
    pub fn is_flushed(&self) -> bool {
        self.tx.is_empty()
    }

    /// Gives up all frames and the queue. What the device did not take is lost, and counted.
    pub fn into_queue(mut self, counters: &Counters) -> Q {
        self.tx.iter().for_each(|_| counters.drop_one(DropReason::TxFull));
        self.queue.recycle_all(&mut self.tx);
        self.queue
    }
}
