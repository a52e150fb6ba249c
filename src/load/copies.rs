//! What a stream is measured against: a loop that copies text into full frames and sums them, and another one that sums
//! what comes and throws it away. That is what a TCP cannot do without, where no device sums; the rest is the stack's.
//!
//! There are no acknowledgments: the receiver counts in shared memory, and the sender has no more on the way than a
//! window allows. The link must lose nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use thiserror::Error;

use crate::base::burst::{BURST_MAX, Burst};
use crate::link::{Frame, QueuePair};
use crate::wire::checksum::{Sum, checksum};
use crate::wire::ethernet::{self, Mac};

/// Set aside for local experiments (IEEE 802): no host takes it for its own.
const ETHERTYPE: u16 = 0x88b6;
/// Bytes of IP's and TCP's headers, the latter with timestamps.
const HEADERS: usize = 52;
/// Bytes of them that are written: a sum, and the frame's number; the others are zeros.
const HEAD: usize = ethernet::HEADER_LEN + HEADERS;

/// What both sides are to do; they must be told the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Frames in all.
    pub frames: u64,
    /// Octets of text that may be on their way, as a connection's window allows; there are as many that are copied, one
    /// after the other and then again. At least a frame's.
    pub window: u32,
    /// Frames that one call moves at most; 1 to 64.
    pub burst: usize,
}

/// Why a plan cannot be carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PlanError {
    /// Nothing fits.
    #[error("a packet of {0} bytes has no room for text behind headers of {HEADERS}")]
    Mtu(u16),
    /// The window has no room for a frame.
    #[error("a window of {0} octets, and a frame has {1}")]
    Window(u32, u16),
    /// A burst of none, or of more than a burst.
    #[error("bursts are of 1 to {BURST_MAX} frames, not {0}")]
    Burst(usize),
}

/// Octets of text in a full frame of a device with this MTU in bytes.
pub const fn text_len(mtu: u16) -> u16 {
    mtu.saturating_sub(HEADERS as u16)
}

impl Plan {
    /// Whether both sides can carry it out over devices with this MTU in bytes.
    ///
    /// # Errors
    /// They cannot.
    pub fn check(&self, mtu: u16) -> Result<(), PlanError> {
        let text = text_len(mtu);
        if text == 0 {
            return Err(PlanError::Mtu(mtu));
        }
        if self.window < u32::from(text) {
            return Err(PlanError::Window(self.window, text));
        }
        if (1..=BURST_MAX).contains(&self.burst) { Ok(()) } else { Err(PlanError::Burst(self.burst)) }
    }
}

/// Frames that the receiver has seen and that were right.
pub type Arrived = Arc<AtomicU64>;

/// The side that copies.
pub struct Sender<Q: QueuePair> {
    queue: Q,
    plan: Plan,
    /// Frames that may be on their way.
    window: u64,
    head: [u8; HEAD],
    text: usize,
    /// What is copied, and as much again as a frame takes, so that each finds its text in one piece.
    source: Box<[u8]>,
    /// Where the next frame's text begins.
    at: usize,
    sums: bool,
    built: u64,
    tx: Burst<Q::Frame>,
    arrived: Arrived,
}

impl<Q: QueuePair> Sender<Q> {
    /// A sender to the device with the address `peer`.
    ///
    /// # Errors
    /// The plan cannot be carried out over this device.
    pub fn new(queue: Q, peer: Mac, plan: Plan, arrived: Arrived) -> Result<Self, PlanError> {
        let caps = queue.caps();
        plan.check(caps.mtu)?;
        let text = usize::from(text_len(caps.mtu));
        let mut head = [0; HEAD];
        if let Some(place) = head.first_chunk_mut() {
            ethernet::emit(place, peer, Mac(caps.mac), ETHERTYPE);
        }
        Ok(Sender {
            window: u64::from(plan.window) / text as u64,
            source: (0..plan.window as usize + text).map(|n| (n % 251) as u8).collect(),
            at: 0,
            sums: !caps.tx_tcp_checksum,
            built: 0,
            tx: Burst::new(),
            queue,
            plan,
            head,
            text,
            arrived,
        })
    }

    /// Builds as many frames as window and burst allow, and hands them to the device. Returns how many it took.
    pub fn pass(&mut self) -> usize {
        let on_their_way = self.built - self.arrived.load(Ordering::Acquire).min(self.built);
        let allowed = self.window.saturating_sub(on_their_way).min(self.plan.frames - self.built);
        let room = self.plan.burst.saturating_sub(self.tx.len()) as u64;
        let wanted = allowed.min(room) as usize;
        let ready = if wanted > 0 { self.queue.stock(wanted) } else { 0 };
        for _ in 0..wanted.min(ready) {
            let Some(mut frame) = self.queue.alloc() else { break };
            self.build(&mut frame);
            self.tx.push(frame);
        }
        let before = self.tx.len();
        if before > 0 {
            self.queue.tx_burst(&mut self.tx);
        }
        before - self.tx.len()
    }

    fn build(&mut self, frame: &mut Q::Frame) {
        frame.set_len(HEAD + self.text);
        let Some((head, text)) = frame.bytes_mut().split_first_chunk_mut::<HEAD>() else { return };
        *head = self.head;
        head[16..24].copy_from_slice(&self.built.to_be_bytes());
        if let Some(from) = self.source.get(self.at..self.at + text.len()) {
            text.copy_from_slice(from);
        }
        if self.sums {
            let sum = Sum::of(&head[ethernet::HEADER_LEN..]) + Sum::of(text);
            head[14..16].copy_from_slice(&sum.finish().to_be_bytes());
        }
        self.built += 1;
        self.at += self.text;
        if self.at >= self.plan.window as usize {
            self.at -= self.plan.window as usize;
        }
    }

    /// All frames have arrived.
    pub fn is_done(&self) -> bool {
        self.arrived.load(Ordering::Acquire) >= self.plan.frames
    }

    /// Gives up all frames and the queue.
    pub fn into_queue(mut self) -> Q {
        self.queue.recycle_all(&mut self.tx);
        self.queue
    }
}

/// The side that looks at what comes.
pub struct Receiver<Q: QueuePair> {
    queue: Q,
    plan: Plan,
    verifies: bool,
    rx: Burst<Q::Frame>,
    received: u64,
    wrong: u64,
    arrived: Arrived,
}

impl<Q: QueuePair> Receiver<Q> {
    /// # Errors
    /// The plan cannot be carried out over this device.
    pub fn new(queue: Q, plan: Plan, arrived: Arrived) -> Result<Self, PlanError> {
        let caps = queue.caps();
        plan.check(caps.mtu)?;
        let verifies = !caps.rx_checksum;
        Ok(Receiver { queue, plan, verifies, rx: Burst::new(), received: 0, wrong: 0, arrived })
    }

    /// Receives a burst, sums it, and gives it back. Returns how many frames came.
    pub fn pass(&mut self) -> usize {
        self.queue.rx_burst(&mut self.rx, self.plan.burst);
        let frames = self.rx.len();
        if frames > 0 {
            let (mut right, mut wrong) = (0, 0);
            for verdict in self.rx.iter().filter_map(|frame| self.is_right(frame.bytes())) {
                right += u64::from(verdict);
                wrong += u64::from(!verdict);
            }
            (self.received, self.wrong) = (self.received + right, self.wrong + wrong);
            self.queue.recycle_all(&mut self.rx);
            self.arrived.store(self.received, Ordering::Release);
        }
        frames
    }

    /// `None` for a frame that no sender of this kind sent: a connection's last one may still have been on its way.
    fn is_right(&self, frame: &[u8]) -> Option<bool> {
        let (_, packet) = ethernet::parse(frame).filter(|(header, _)| header.ethertype == ETHERTYPE)?;
        Some(!self.verifies || checksum(packet) == 0)
    }

    /// All frames have arrived.
    pub fn is_done(&self) -> bool {
        self.received >= self.plan.frames
    }

    /// Frames whose sum was wrong.
    pub fn wrong(&self) -> u64 {
        self.wrong
    }

    /// Gives up the queue.
    pub fn into_queue(self) -> Q {
        self.queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::memory::{Checksums, MemoryQueue, Plan as Link, pair};

    const PLAN: Plan = Plan { frames: 1_000, window: 20_000, burst: 32 };

    fn sides(link: Link, plan: Plan) -> (Sender<MemoryQueue>, Receiver<MemoryQueue>) {
        let (near, far) = pair(link);
        let (peer, arrived) = (Mac(far.caps().mac), Arrived::default());
        let sender = Sender::new(near, peer, plan, arrived.clone()).unwrap();
        (sender, Receiver::new(far, plan, arrived).unwrap())
    }

    #[test]
    fn all_frames_arrive_with_right_sums_and_come_back() {
        for checksums in [Checksums::Software, Checksums::Marked] {
            for (burst, slots, window) in [(1, 1_024, 1_448), (32, 1_024, 20_000), (64, 8, 262_144)] {
                let plan = Plan { burst, window, ..PLAN };
                let (mut sender, mut receiver) = sides(Link { slots, checksums, ..Link::default() }, plan);
                let mut moved = (0, 0);
                while !sender.is_done() {
                    let now = (sender.pass(), receiver.pass());
                    assert!(now.0 + now.1 > 0, "stuck after {moved:?} of {plan:?}");
                    moved = (moved.0 + now.0, moved.1 + now.1);
                }
                assert_eq!((moved, receiver.wrong()), ((1_000, 1_000), 0), "{plan:?}");
                let pool = sender.queue.pool();
                drop((sender.into_queue(), receiver.into_queue()));
                assert_eq!(pool.in_use(), 0);
            }
        }
    }

    #[test]
    fn no_more_is_on_the_way_than_the_window_allows() {
        let (mut sender, mut receiver) = sides(Link::default(), PLAN);
        // 13 frames of 1,448 octets are 18,824.
        assert_eq!((sender.pass(), sender.pass()), (13, 0));
        assert_eq!((receiver.pass(), sender.pass()), (13, 13));
    }

    #[test]
    fn text_is_copied_from_all_of_the_window_and_then_again() {
        let (mut sender, receiver) = sides(Link::default(), PLAN);
        let mut frames = Burst::new();
        let mut queue = receiver.into_queue();
        sender.pass();
        queue.rx_burst(&mut frames, 64);
        sender.arrived.store(13, Ordering::Release);
        sender.pass();
        queue.rx_burst(&mut frames, 64);
        assert_eq!(frames.len(), 26);
        for (n, frame) in frames.iter().enumerate() {
            assert_eq!(frame.bytes().len(), 1_514);
            let from = n * 1_448 % 20_000;
            assert_eq!(frame.bytes()[HEAD..], sender.source[from..from + 1_448], "{n}");
        }
    }

    #[test]
    fn a_frame_that_was_changed_is_not_counted() {
        let (mut sender, mut receiver) = sides(Link::default(), Plan { window: 1_448, ..PLAN });
        let mut frames = Burst::new();
        assert_eq!(sender.pass(), 1);
        receiver.queue.rx_burst(&mut frames, 1);
        let mut frame = frames.pop().unwrap();
        assert_eq!(receiver.is_right(frame.bytes()), Some(true));
        frame.bytes_mut()[1_000] ^= 1;
        assert_eq!(receiver.is_right(frame.bytes()), Some(false));
        frame.bytes_mut()[1_000] ^= 1;
        frame.bytes_mut()[12] = 0x08;
        assert_eq!(receiver.is_right(frame.bytes()), None);
    }

    #[test]
    fn a_plan_that_cannot_be_carried_out_is_refused() {
        assert_eq!(PLAN.check(52), Err(PlanError::Mtu(52)));
        assert_eq!(Plan { window: 1_447, ..PLAN }.check(1_500), Err(PlanError::Window(1_447, 1_448)));
        assert_eq!(Plan { burst: 0, ..PLAN }.check(1_500), Err(PlanError::Burst(0)));
        assert_eq!(Plan { burst: 65, ..PLAN }.check(1_500), Err(PlanError::Burst(65)));
    }
}
