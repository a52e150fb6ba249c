//! Two ends of a wire. What one end sends, the other receives when virtual time has come for it; in between
//! the wire's faults are drawn from its seed.

use std::cell::RefCell;
use std::rc::Rc;

pub use super::clock::SimClock;
use super::faults::Faults;
use super::frame::{FramePool, MemFrame};
use super::line::{Flying, Line};
use super::nic;
use super::pcap::Pcap;
use crate::base::burst::Burst;
use crate::base::time::Instant;
use crate::link::{Caps, Frame, QueuePair};

/// One direction of a wire, and what is on it.
struct Direction {
    flying: Flying,
    line: Line,
}

impl Direction {
    fn send(&mut self, frame: MemFrame, now: Instant, pool: &FramePool) {
        let Direction { flying, line } = self;
        let capacity = line.faults.capacity;
        line.carry(frame, now, pool, |arrives, frame| {
            let room = capacity == 0 || flying.len() < capacity;
            if room {
                flying.add(arrives, frame);
            }
            room
        });
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
        flying: Flying::with_capacity(4_096),
        line: Line::new(faults[side], seed.wrapping_mul(2).wrapping_add(side as u64)),
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
        wire.directions.iter().filter_map(|way| way.flying.next_arrival()).min()
    }

    /// Changes the faults of what this end sends.
    pub fn set_faults(&self, faults: Faults) {
        self.wire.borrow_mut().directions[self.side].line.faults = faults;
    }

    /// Changes the faults of what the other end sends.
    pub fn set_faults_of_other(&self, faults: Faults) {
        self.wire.borrow_mut().directions[1 - self.side].line.faults = faults;
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
        self.wire.borrow().directions[self.side].line.lost
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
            let Some(frame) = flying.take(now) else { break };
            frames.push(frame);
        }
    }

    fn tx_burst(&mut self, frames: &mut Burst<MemFrame>) {
        let now = self.clock.now();
        let mut wire = self.wire.borrow_mut();
        if wire.directions[self.side].line.faults.stalls.are_on(now) {
            return;
        }
        let pool = wire.pool.clone();
        let taken = frames.len().min(self.tx_room);
        let Wire { directions, capture, .. } = &mut *wire;
        for frame in frames.drain(..taken) {
            nic::transmit(frame, &pool, |frame| {
                if let Some(capture) = capture {
                    capture.record(now, frame.bytes());
                }
                if let Some((arrives, answer)) = directions[self.side].line.refusal(&frame, now, &pool) {
                    directions[1 - self.side].flying.add(arrives, answer);
                }
                directions[self.side].send(frame, now, &pool);
            });
        }
    }

    fn stock(&mut self, _wanted: usize) -> usize {
        let wire = self.wire.borrow();
        let shortages = wire.directions[self.side].line.faults.shortages;
        if shortages.are_on(self.clock.now()) { 0 } else { wire.pool.free() }
    }

    fn alloc(&mut self) -> Option<MemFrame> {
        let wire = self.wire.borrow();
        let shortages = wire.directions[self.side].line.faults.shortages;
        if shortages.are_on(self.clock.now()) { None } else { wire.pool.alloc() }
    }

    fn recycle(&mut self, frame: MemFrame) {
        drop(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ethernet::{self, ETHERTYPE_IPV4, Mac};
    use crate::wire::icmp_error::Cause;
    use crate::wire::icmpv4;
    use crate::wire::ipv4::{self, Ipv4Fields};

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
    fn what_is_too_big_is_lost_and_the_sender_may_be_told() {
        //= PMTU-1
        for tells_mtu in [false, true] {
            let (clock, pool) = (SimClock::default(), FramePool::new(10));
            let faults = Faults { mtu: 576, tells_mtu, delay_us: 50, ..Faults::default() };
            let (mut a, mut b) = wire(&clock, &pool, [CAPS; 2], [faults; 2], 1);
            let mut packet = [0u8; 14 + 577];
            ethernet::emit(
                packet[..14].first_chunk_mut().unwrap(),
                Mac([9; 6]),
                Mac(CAPS.mac),
                ETHERTYPE_IPV4,
            );
            let fields = Ipv4Fields {
                source: [198, 18, 0, 1],
                destination: [198, 18, 0, 2],
                protocol: 6,
                ttl: 64,
                tos: 0,
                payload_len: 557,
                id: 0,
                dont_fragment: true,
            };
            ipv4::emit(packet[14..34].first_chunk_mut().unwrap(), &fields, true);
            let mut out = Burst::new();
            out.push(pool.frame(&packet).unwrap());
            out.push(pool.frame(&packet[..14 + 576]).unwrap());
            a.tx_burst(&mut out);
            clock.advance_to(Instant(50));
            let (mut there, mut back) = (Burst::new(), Burst::new());
            b.rx_burst(&mut there, 9);
            a.rx_burst(&mut back, 9);
            assert_eq!((there.len(), back.len(), a.lost()), (1, usize::from(tells_mtu), 1));
            for answer in &back {
                let ip = ipv4::parse(&answer.bytes()[14..], false).unwrap();
                let told = icmpv4::parse(ip.payload).unwrap();
                assert!(
                    matches!(told, icmpv4::Message::Error(Cause::TooBig { mtu: 576 }, quoted) if quoted.len == 577)
                );
            }
        }
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
