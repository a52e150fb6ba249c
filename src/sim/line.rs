//! One direction of a wire: which of the frames sent into it come out, when, and in what shape.

use std::collections::VecDeque;

use super::faults::Faults;
use super::frame::{FramePool, MemFrame};
use super::router;
use crate::base::rng::Rng;
use crate::base::time::Instant;
use crate::link::Frame;
use crate::wire::ethernet::{self, ETHERTYPE_ARP};

/// Frames on their way to one place, in the order of their arrival.
#[derive(Default)]
pub(super) struct Flying(VecDeque<(Instant, MemFrame)>);

impl Flying {
    /// Room for so many without asking for memory.
    pub fn with_capacity(frames: usize) -> Self {
        Flying(VecDeque::with_capacity(frames))
    }

    /// Frames on their way.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// When the next one arrives.
    pub fn next_arrival(&self) -> Option<Instant> {
        self.0.front().map(|(arrives, _)| *arrives)
    }

    /// One more; behind those that arrive at the same time.
    pub fn add(&mut self, arrives: Instant, frame: MemFrame) {
        let place = self.0.partition_point(|(other, _)| *other <= arrives);
        self.0.insert(place, (arrives, frame));
    }

    /// The next one, if it has arrived.
    pub fn take(&mut self, now: Instant) -> Option<MemFrame> {
        if self.next_arrival()? > now {
            return None;
        }
        self.0.pop_front().map(|(_, frame)| frame)
    }
}

/// What one end sends into.
pub(super) struct Line {
    pub faults: Faults,
    rng: Rng,
    in_burst: bool,
    /// When the last frame that waited for its turn has left.
    free_at: Instant,
    /// Frames that did not come out.
    pub lost: u64,
    /// Frames that came out a second time.
    pub repeated: u64,
}

impl Line {
    pub fn new(faults: Faults, seed: u64) -> Self {
        let rng = Rng::new(seed);
        Line { faults, rng, in_burst: false, free_at: Instant::ZERO, lost: 0, repeated: 0 }
    }

    /// Carries a frame that is sent at `now`. `arrive` is called for each copy that comes out, and says whether
    /// there is room for it.
    pub fn carry(
        &mut self,
        frame: MemFrame,
        now: Instant,
        pool: &FramePool,
        arrive: impl FnMut(Instant, MemFrame) -> bool,
    ) {
        match self.turn(now, frame.bytes().len()) {
            Some(leaves) => self.deliver(frame, leaves, pool, arrive),
            None => self.lost += 1,
        }
    }

    /// What becomes of a frame that has left at `leaves`; also of each copy of one that goes to several.
    pub fn deliver(
        &mut self,
        mut frame: MemFrame,
        leaves: Instant,
        pool: &FramePool,
        mut arrive: impl FnMut(Instant, MemFrame) -> bool,
    ) {
        let fate = self.faults.fate(&mut self.rng);
        self.in_burst = self.faults.is_in_burst(self.in_burst, &mut self.rng);
        if self.in_burst || self.faults.outages.are_on(leaves) || self.is_too_big(&frame) {
            self.lost += 1;
            return;
        }
        if let Some(bit) = fate.flip {
            flip(frame.bytes_mut(), bit);
        }
        let at = |delay_us: u32| {
            let arrives = Instant(leaves.0 + u64::from(delay_us));
            self.faults.holds.last_until(arrives).unwrap_or(arrives)
        };
        let copy = fate.copies[1].and_then(|delay| Some((at(delay), pool.frame(frame.bytes())?)));
        match fate.copies[0] {
            Some(delay) => self.lost += u64::from(!arrive(at(delay), frame)),
            None => self.lost += 1,
        }
        if let Some((when, frame)) = copy {
            self.repeated += u64::from(arrive(when, frame));
        }
    }

    fn is_too_big(&self, frame: &MemFrame) -> bool {
        let mtu = usize::from(self.faults.mtu);
        mtu != 0 && frame.bytes().len() > ethernet::HEADER_LEN + mtu
    }

    /// What the sender of a frame is told that does not get through because of its size, and when.
    pub fn refusal(&self, frame: &MemFrame, now: Instant, pool: &FramePool) -> Option<(Instant, MemFrame)> {
        let tells = self.faults.tells_mtu && self.is_too_big(frame) && !self.faults.outages.are_on(now);
        let answer = tells.then(|| router::too_big(frame, self.faults.mtu, pool)).flatten()?;
        Some((Instant(now.0 + u64::from(self.faults.delay_us)), answer))
    }

    /// When the frame has left, if there is room for it in the queue.
    pub fn turn(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        if self.faults.bits_per_s == 0 {
            return Some(now);
        }
        let begins = self.free_at.max(now);
        if begins.since_us(now) > u64::from(self.faults.queue_us) {
            return None;
        }
        self.free_at = Instant(begins.0 + self.faults.busy_us(bytes));
        Some(self.free_at)
    }
}

/// Flips one bit. ARP is spared: it has no checksum but the link's, which lets no single bit through, and both
/// hosts would believe a wrong address for a minute.
fn flip(bytes: &mut [u8], bit: u32) {
    if ethernet::parse(bytes).is_some_and(|(header, _)| header.ethertype == ETHERTYPE_ARP) {
        return;
    }
    let at = bit as usize % (bytes.len() * 8).max(1);
    if let Some(byte) = bytes.get_mut(at / 8) {
        *byte ^= 1 << (at % 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::faults::Spells;

    fn arrivals(faults: Faults, sent_at: &[u64]) -> Vec<u64> {
        let pool = FramePool::new(300);
        let mut line = Line::new(faults, 3);
        let mut flying = Flying::default();
        for us in sent_at {
            line.carry(pool.frame(&[0; 125]).unwrap(), Instant(*us), &pool, |at, frame| {
                flying.add(at, frame);
                true
            });
        }
        assert_eq!(line.lost as usize + flying.len(), sent_at.len() + line.repeated as usize);
        std::iter::from_fn(|| {
            let at = flying.next_arrival()?;
            flying.take(at).map(|_| at.0)
        })
        .collect()
    }

    #[test]
    fn frames_wait_for_their_turn_and_what_would_wait_too_long_is_lost() {
        // 125 bytes at 1 Mbit/s: a frame takes a millisecond.
        let slow = Faults { bits_per_s: 1_000_000, queue_us: 2_000, delay_us: 10, ..Faults::default() };
        assert_eq!(arrivals(slow, &[0, 0, 0, 0, 0, 5_000]), [1_010, 2_010, 3_010, 6_010]);
    }

    #[test]
    fn nothing_gets_through_during_an_outage() {
        let outages = Spells { every_us: 1_000, for_us: 400 };
        let seen = arrivals(Faults { outages, ..Faults::default() }, &[0, 599, 600, 999, 1_000]);
        assert_eq!(seen, [0, 599, 1_000]);
    }

    #[test]
    fn a_frame_that_is_held_back_is_overtaken() {
        let faults = Faults { reorder_ppm: 1_000_000, reorder_us: 50, ..Faults::default() };
        assert_eq!(arrivals(faults, &[7]), [57]);
    }
}
