//! Two ends of a wire. What one end sends, the other receives when virtual time has come for it; in between
//! the wire's faults are drawn from its seed.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::faults::Faults;
use super::frame::{FramePool, MemFrame};
use super::nic;
use super::pcap::Pcap;
use crate::base::burst::Burst;
use crate::base::rng::Rng;
use crate::base::time::Instant;
use crate::link::{Caps, Frame, QueuePair};
use crate::wire::ethernet::{self, ETHERTYPE_ARP};

/// Virtual time, common to all who hold it.
#[derive(Clone, Default)]
pub struct SimClock(Rc<Cell<Instant>>);

impl SimClock {
    /// The time.
    pub fn now(&self) -> Instant {
        self.0.get()
    }

    /// Lets time pass up to `now`; never back.
    pub fn advance_to(&self, now: Instant) {
        self.0.set(self.now().max(now));
    }
}

struct Flying {
    arrives: Instant,
    frame: MemFrame,
}

/// One direction of a wire.
struct Direction {
    flying: VecDeque<Flying>,
    faults: Faults,
    rng: Rng,
    lost: u64,
}

impl Direction {
    fn send(&mut self, mut frame: MemFrame, now: Instant, pool: &FramePool) {
        let fate = self.faults.fate(&mut self.rng);
        if let Some(bit) = fate.flip {
            flip(frame.bytes_mut(), bit);
        }
        let copy = fate.copies[1].and_then(|delay| Some((delay, pool.frame(frame.bytes())?)));
        match fate.copies[0] {
            Some(delay) => self.launch(frame, now, delay),
            None => self.lost += 1,
        }
        if let Some((delay, frame)) = copy {
            self.launch(frame, now, delay);
        }
    }

    fn launch(&mut self, frame: MemFrame, now: Instant, delay_us: u32) {
        if self.faults.capacity != 0 && self.flying.len() >= self.faults.capacity {
            self.lost += 1;
            return;
        }
        let arrives = Instant(now.0 + u64::from(delay_us));
        let place = self.flying.partition_point(|other| other.arrives <= arrives);
        self.flying.insert(place, Flying { arrives, frame });
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

struct Wire {
    directions: [Direction; 2],
    pool: FramePool,
    capture: Option<Pcap>,
}

/// One end of a wire: a link with one queue pair.
pub struct End {
    wire: Rc<RefCell<Wire>>,
    clock: SimClock,
    side: usize,
    caps: Caps,
    /// How many frames one call to send takes at most; fewer than a burst make the engine keep the rest.
    pub tx_room: usize,
}

/// A wire between two ends with the given MAC addresses. `faults` are those of frames sent by the first and by
/// the second end.
pub fn wire(
    clock: &SimClock,
    pool: &FramePool,
    caps: [Caps; 2],
    faults: [Faults; 2],
    seed: u64,
) -> (End, End) {
    let direction = |side: usize| Direction {
        flying: VecDeque::with_capacity(4_096),
        faults: faults[side],
        rng: Rng::new(seed.wrapping_mul(2).wrapping_add(side as u64)),
        lost: 0,
    };
    let wire = Wire { directions: [direction(0), direction(1)], pool: pool.clone(), capture: None };
    let wire = Rc::new(RefCell::new(wire));
    let end = |side: usize| End {
        wire: wire.clone(),
        clock: clock.clone(),
        side,
        caps: caps[side],
        tx_room: usize::MAX,
    };
    (end(0), end(1))
}

impl End {
    /// When the next frame arrives at either end.
    pub fn next_arrival(&self) -> Option<Instant> {
        let wire = self.wire.borrow();
        wire.directions.iter().filter_map(|way| way.flying.front()).map(|flying| flying.arrives).min()
    }

    /// Changes the faults of what this end sends.
    pub fn set_faults(&self, faults: Faults) {
        self.wire.borrow_mut().directions[self.side].faults = faults;
    }

    /// Keeps a copy of everything that both ends send from now on, before the wire's faults.
    pub fn start_capture(&self) {
        self.wire.borrow_mut().capture = Some(Pcap::default());
    }

    /// What was sent since the capture began, if one did; it ends.
    pub fn take_capture(&self) -> Option<Pcap> {
        self.wire.borrow_mut().capture.take()
    }

    /// Frames that this end sent and that the wire lost.
    pub fn lost(&self) -> u64 {
        self.wire.borrow().directions[self.side].lost
    }
}

impl QueuePair for End {
    type Frame = MemFrame;

    fn caps(&self) -> Caps {
        self.caps
    }

    fn rx_burst(&mut self, frames: &mut Burst<MemFrame>, limit: usize) {
        let now = self.clock.now();
        let mut wire = self.wire.borrow_mut();
        let flying = &mut wire.directions[1 - self.side].flying;
        for _ in 0..limit.min(frames.remaining_capacity()) {
            if flying.front().is_none_or(|first| first.arrives > now) {
                break;
            }
            if let Some(first) = flying.pop_front() {
                frames.push(first.frame);
            }
        }
    }

    fn tx_burst(&mut self, frames: &mut Burst<MemFrame>) {
        let now = self.clock.now();
        let mut wire = self.wire.borrow_mut();
        let pool = wire.pool.clone();
        let taken = frames.len().min(self.tx_room);
        let Wire { directions, capture, .. } = &mut *wire;
        for frame in frames.drain(..taken) {
            nic::transmit(frame, &pool, |frame| {
                if let Some(capture) = capture {
                    capture.record(now, frame.bytes());
                }
                directions[self.side].send(frame, now, &pool);
            });
        }
    }

    fn alloc(&mut self) -> Option<MemFrame> {
        self.wire.borrow().pool.alloc()
    }

    fn recycle(&mut self, frame: MemFrame) {
        drop(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps {
        mac: [2, 0, 0, 0, 0, 1],
        mtu: 1500,
        tx_ip_checksum: false,
        tx_tcp_checksum: false,
        rx_checksum: false,
        tso: None,
    };

    fn arrivals(faults: Faults, seed: u64) -> Vec<u8> {
        let (clock, pool) = (SimClock::default(), FramePool::new(300));
        let (mut a, mut b) = wire(&clock, &pool, [CAPS; 2], [faults; 2], seed);
        let mut seen = Vec::new();
        for n in 0..100u8 {
            let mut out = Burst::new();
            out.push(pool.frame(&[n; 60]).unwrap());
            a.tx_burst(&mut out);
        }
        clock.advance_to(Instant(1_000_000));
        loop {
            let mut frames = Burst::new();
            b.rx_burst(&mut frames, 7);
            if frames.is_empty() {
                break;
            }
            seen.extend(frames.iter().map(|frame| frame.bytes()[0]));
        }
        assert_eq!(pool.in_use(), 0, "every frame is back");
        seen
    }

    #[test]
    fn a_perfect_wire_keeps_number_and_order() {
        assert_eq!(arrivals(Faults::default(), 1), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn faults_follow_from_the_seed() {
        let faults = Faults {
            loss_ppm: 200_000,
            duplicate_ppm: 100_000,
            jitter_us: 500,
            delay_us: 100,
            ..Faults::default()
        };
        let seen = arrivals(faults, 7);
        assert_eq!(seen, arrivals(faults, 7));
        assert_ne!(seen, arrivals(faults, 8));
        assert!(seen.len() < 100 && !seen.is_sorted());
    }
}
