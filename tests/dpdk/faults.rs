//! A queue pair that treats frames as a bad network does: it loses some, sends some twice, flips a bit, and holds
//! some back so that others overtake them. What it does follows from its seed and the order of the frames; it has
//! bounds, and whoever takes it apart gets every frame back.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use dpdk_tcp::base::burst::{BURST_MAX, Burst};
use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::dpdk::tsc::TscClock;
use dpdk_tcp::link::{Caps, Frame, QueuePair};
use dpdk_tcp::wire::checksum::Sum;
use dpdk_tcp::wire::ethernet::{self, ETHERTYPE_ARP, ETHERTYPE_IPV4};
use dpdk_tcp::wire::ipv4;
use dpdk_tcp::wire::tcp::Flags;

/// Frames of one direction that wait at once; those beyond are not held back and not doubled.
const HELD_MAX: usize = 512;

/// What happens to frames of one direction. All zero is a perfect link.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Frames lost, in parts per million.
    pub loss_ppm: u32,
    /// Frames that come twice, in parts per million.
    pub duplicate_ppm: u32,
    /// Frames with one bit flipped, in parts per million. ARP, which has no checksum, is spared.
    pub corrupt_ppm: u32,
    /// Frames held back, in parts per million.
    pub hold_ppm: u32,
    /// How long they are held back, in microseconds: between half of it and all of it.
    pub hold_us: u32,
    /// Packets of hosts that understand it marked as having met congestion (RFC 3168), in parts per million.
    pub mark_ppm: u32,
}

/// What happened to the frames of one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Frames that came in.
    pub came: u64,
    /// Frames that were passed on.
    pub went: u64,
    pub lost: u64,
    pub doubled: u64,
    pub corrupted: u64,
    pub held: u64,
    pub marked: u64,
    /// Segments that came in and say that their sender has reduced its window (CWR), SYNs left out.
    pub reduced: u64,
    /// The longest frame that came in, in bytes.
    pub longest: usize,
}

/// The faults of frames received and of frames sent, to be changed while it runs.
pub type Weather = Arc<Mutex<[Faults; 2]>>;

/// What happens to one frame.
struct Fate {
    lost: bool,
    /// A copy, taken before anything else happens to it, goes on at once.
    twice: bool,
    /// The bit to be flipped, modulo the frame's bits.
    bit: Option<u64>,
    marked: bool,
    delay_us: Option<u32>,
}

/// One direction: the frames in it, by the time at which they go on.
struct Way<F> {
    waiting: VecDeque<(Instant, F)>,
    rng: Rng,
    tally: Tally,
}

impl<F: Frame> Way<F> {
    fn new(seed: u64) -> Self {
        Way { waiting: VecDeque::with_capacity(2 * HELD_MAX), rng: Rng::new(seed), tally: Tally::default() }
    }

    /// Draws a frame's fate; always as many numbers, so that one kind of fault does not move the others.
    fn fate(&mut self, faults: &Faults) -> Fate {
        let [lost, twice, flipped, held, marked] =
            [faults.loss_ppm, faults.duplicate_ppm, faults.corrupt_ppm, faults.hold_ppm, faults.mark_ppm]
                .map(|ppm| self.rng.chance_ppm(ppm));
        let (bit, delay) = (self.rng.next_u64(), faults.hold_us / 2 + self.rng.below(faults.hold_us / 2 + 1));
        let room = self.waiting.len() < HELD_MAX;
        let delay_us = (held && room).then_some(delay);
        Fate { lost, twice: twice && room, bit: flipped.then_some(bit), marked, delay_us }
    }

    fn wait(&mut self, frame: F, until: Instant) {
        let place = self.waiting.partition_point(|(other, _)| *other <= until);
        self.waiting.insert(place, (until, frame));
    }

    /// The next frame whose time has come.
    fn next(&mut self, now: Instant) -> Option<F> {
        let (until, _) = self.waiting.front()?;
        if *until > now {
            return None;
        }
        self.tally.went += 1;
        self.waiting.pop_front().map(|(_, frame)| frame)
    }
}

/// Flips one of the frame's bits; false for ARP.
fn flip(bytes: &mut [u8], bit: u64) -> bool {
    if ethernet::parse(bytes).is_none_or(|(header, _)| header.ethertype == ETHERTYPE_ARP) {
        return false;
    }
    let bit = (bit % (bytes.len() as u64 * 8)) as usize;
    bytes[bit / 8] ^= 1 << (bit % 8);
    true
}

/// Where the TCP header of an IPv4 packet begins; `None` for other frames.
fn tcp_at(bytes: &[u8]) -> Option<usize> {
    let (header, packet) = ethernet::parse(bytes)?;
    let is_tcp = header.ethertype == ETHERTYPE_IPV4 && *packet.get(9)? == ipv4::PROTOCOL_TCP;
    is_tcp.then(|| ethernet::HEADER_LEN + usize::from(packet[0] & 15) * 4)
}

/// Marks a packet as having met congestion; false where its sender did not say that it understands that.
fn mark(bytes: &mut [u8]) -> bool {
    const IP: usize = ethernet::HEADER_LEN;
    let Some(end) = tcp_at(bytes).filter(|_| bytes[IP + 1] & 3 != 0) else { return false };
    bytes[IP + 1] |= 3;
    bytes[IP + 10..IP + 12].fill(0);
    let sum = Sum::of(&bytes[IP..end]).finish().to_be_bytes();
    bytes[IP + 10..IP + 12].copy_from_slice(&sum);
    true
}

fn is_reduced(bytes: &[u8]) -> bool {
    let flags = tcp_at(bytes).and_then(|at| bytes.get(at + 13)).map_or(Flags(0), |flags| Flags(*flags));
    flags.has(Flags::CWR) && !flags.has(Flags::SYN)
}

/// A queue pair behind a bad network. Checksums must be the engine's own affair: a device that sums what it sends
/// and verifies what it receives would do so on the wrong side of the faults.
pub struct Faulty<Q: QueuePair> {
    inner: Q,
    ways: [Way<Q::Frame>; 2],
    weather: Weather,
    clock: TscClock,
    mtu: u16,
    /// Frames on their way to the device.
    out: Burst<Q::Frame>,
}

const RECEIVED: usize = 0;
const SENT: usize = 1;

impl<Q: QueuePair> Faulty<Q> {
    pub fn new(inner: Q, weather: Weather, clock: TscClock, seed: u64) -> Self {
        let caps = inner.caps();
        assert!(!(caps.rx_checksum || caps.tx_ip_checksum || caps.tx_tcp_checksum));
        let ways = [Way::new(2 * seed), Way::new(2 * seed + 1)];
        Faulty { inner, ways, weather, clock, mtu: caps.mtu, out: Burst::new() }
    }

    /// Says that the device carries packets of so many octets, where it does and cannot be told to.
    #[must_use]
    pub fn with_mtu(mut self, mtu: u16) -> Self {
        self.mtu = mtu;
        self
    }

    /// What happened to frames received and to frames sent so far.
    pub fn tallies(&self) -> [Tally; 2] {
        [self.ways[RECEIVED].tally, self.ways[SENT].tally]
    }

    /// Gives back the frames that wait, and the queue pair.
    pub fn into_inner(mut self) -> Q {
        for way in &mut self.ways {
            for (_, frame) in way.waiting.drain(..) {
                self.inner.recycle(frame);
            }
        }
        for frame in self.out.drain(..) {
            self.inner.recycle(frame);
        }
        self.inner
    }

    fn admit(&mut self, direction: usize, mut frame: Q::Frame, now: Instant) {
        let faults = self.weather.lock().unwrap()[direction];
        let way = &mut self.ways[direction];
        let fate = way.fate(&faults);
        way.tally.came += 1;
        way.tally.reduced += u64::from(is_reduced(frame.bytes()));
        way.tally.longest = way.tally.longest.max(frame.bytes().len());
        if fate.lost {
            way.tally.lost += 1;
            return self.inner.recycle(frame);
        }
        if fate.twice
            && let Some(mut copy) = self.inner.alloc()
        {
            copy.set_len(frame.bytes().len());
            copy.bytes_mut().copy_from_slice(frame.bytes());
            way.tally.doubled += 1;
            way.wait(copy, now);
        }
        way.tally.marked += u64::from(fate.marked && mark(frame.bytes_mut()));
        let flipped = fate.bit.is_some_and(|bit| flip(frame.bytes_mut(), bit));
        way.tally.corrupted += u64::from(flipped);
        way.tally.held += u64::from(fate.delay_us.is_some());
        way.wait(frame, Instant(now.0 + u64::from(fate.delay_us.unwrap_or(0))));
    }

    /// Hands the device what is due.
    fn pump(&mut self, now: Instant) {
        loop {
            while !self.out.is_full()
                && let Some(frame) = self.ways[SENT].next(now)
            {
                self.out.push(frame);
            }
            let before = self.out.len();
            self.inner.tx_burst(&mut self.out);
            if self.out.len() == before || !self.out.is_empty() {
                return;
            }
        }
    }
}

impl<Q: QueuePair> QueuePair for Faulty<Q> {
    type Frame = Q::Frame;

    fn caps(&self) -> Caps {
        Caps { mtu: self.mtu, ..self.inner.caps() }
    }

    fn rx_burst(&mut self, frames: &mut Burst<Q::Frame>, limit: usize) {
        let now = self.clock.now();
        self.pump(now);
        let mut came = Burst::new();
        if self.ways[RECEIVED].waiting.len() <= 2 * HELD_MAX - 2 * BURST_MAX {
            self.inner.rx_burst(&mut came, limit);
        }
        for frame in came {
            self.admit(RECEIVED, frame, now);
        }
        for _ in 0..limit.min(frames.remaining_capacity()) {
            let Some(frame) = self.ways[RECEIVED].next(now) else { break };
            frames.push(frame);
        }
    }

    fn tx_burst(&mut self, frames: &mut Burst<Q::Frame>) {
        let now = self.clock.now();
        while self.ways[SENT].waiting.len() <= 2 * HELD_MAX - 2
            && let Some(frame) = frames.pop_at(0)
        {
            self.admit(SENT, frame, now);
        }
        self.pump(now);
    }

    fn stock(&mut self, wanted: usize) -> usize {
        self.inner.stock(wanted)
    }

    fn alloc(&mut self) -> Option<Q::Frame> {
        self.inner.alloc()
    }

    fn recycle(&mut self, frame: Q::Frame) {
        self.inner.recycle(frame);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::child;
    use crate::rig::Ends;

    const COUNT: u16 = 2_000;

    /// Sends numbered frames into a cable whose one end is `Faulty`, from that end or to it. Returns the numbers in
    /// the order in which they arrive, corrupt ones without theirs, and the tally.
    fn through(ends: &Ends, out: bool, faults: Faults, seed: u64) -> (Vec<Option<u16>>, Tally) {
        let weather: Weather = Arc::new(Mutex::new([faults; 2]));
        let clock = TscClock::new(&ends.eal);
        let (near, _) = ends.queue(0);
        let (mut far, _) = ends.queue(1);
        let mut faulty = Faulty::new(near, weather, clock, seed);
        let mut arrived = Vec::new();
        let mut burst = Burst::new();
        let mut look = |burst: &mut Burst<_>, queue: &mut dyn FnMut(_)| {
            for frame in burst.drain(..) {
                let frame: dpdk_tcp::dpdk::mbuf::Mbuf = frame;
                let bytes = frame.bytes();
                let number = [bytes[14], bytes[15]];
                let whole = (14..60).step_by(2).all(|at| bytes[at..at + 2] == number)
                    && bytes[..14] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0];
                arrived.push(whole.then(|| u16::from_be_bytes(number)));
                queue(frame);
            }
        };
        for number in 0..COUNT {
            let mut frame = if out { faulty.alloc() } else { far.alloc() }.unwrap();
            frame.set_len(60);
            frame.bytes_mut().fill(0);
            frame.bytes_mut()[12] = 8;
            for at in (14..60).step_by(2) {
                frame.bytes_mut()[at..at + 2].copy_from_slice(&number.to_be_bytes());
            }
            let mut one = Burst::new();
            one.push(frame);
            if out {
                faulty.tx_burst(&mut one)
            } else {
                far.tx_burst(&mut one)
            }
            assert!(one.is_empty());
            if out {
                far.rx_burst(&mut burst, 32);
                look(&mut burst, &mut |frame| far.recycle(frame));
            } else {
                faulty.rx_burst(&mut burst, 32);
                look(&mut burst, &mut |frame| faulty.recycle(frame));
            }
        }
        // What is held at the end stays there, with a frame of each direction.
        thread::sleep(Duration::from_millis(3));
        if out {
            faulty.rx_burst(&mut burst, 0);
            far.rx_burst(&mut burst, 64);
            look(&mut burst, &mut |frame| far.recycle(frame));
        } else {
            faulty.rx_burst(&mut burst, 64);
            look(&mut burst, &mut |frame| faulty.recycle(frame));
        }
        let tally = faulty.tallies()[usize::from(out)];
        drop((faulty.into_inner(), far));
        (arrived, tally)
    }

    #[test]
    fn frames_are_lost_doubled_corrupted_and_overtaken_and_all_come_back() {
        child::run(
            "faults::tests::frames_are_lost_doubled_corrupted_and_overtaken_and_all_come_back",
            || {
                let eal = child::eal(&["-l", "0"]);
                for (round, out) in [true, false].into_iter().enumerate() {
                    let ends = Ends::named(eal.clone(), &format!("f{round}"), 64);
                    let faults = Faults {
                        loss_ppm: 50_000,
                        duplicate_ppm: 20_000,
                        corrupt_ppm: 30_000,
                        hold_ppm: 20_000,
                        hold_us: 1_000,
                        mark_ppm: 0,
                    };
                    let (arrived, tally) = through(&ends, out, faults, 7);
                    assert_eq!(tally.came, u64::from(COUNT));
                    assert_eq!(tally.came + tally.doubled, tally.went + tally.lost, "{tally:?}");
                    assert_eq!(arrived.len() as u64, tally.went);
                    for (count, ppm) in [
                        (tally.lost, 50_000),
                        (tally.doubled, 20_000),
                        (tally.corrupted, 30_000),
                        (tally.held, 20_000),
                    ] {
                        let expected = u64::from(COUNT) * ppm / 1_000_000;
                        assert!(count > expected / 2 && count < expected * 2, "{tally:?}");
                    }
                    assert_eq!(
                        arrived.iter().filter(|number| number.is_none()).count() as u64,
                        tally.corrupted
                    );
                    let numbers: Vec<u16> = arrived.iter().copied().flatten().collect();
                    assert!(!numbers.is_sorted());
                    ends.close();
                }
            },
        );
    }

    #[test]
    fn without_faults_every_frame_goes_at_once_and_in_order() {
        child::run("faults::tests::without_faults_every_frame_goes_at_once_and_in_order", || {
            let ends = Ends::new(child::eal(&["-l", "0"]), 64);
            let (arrived, tally) = through(&ends, true, Faults::default(), 1);
            assert_eq!(arrived, (0..COUNT).map(Some).collect::<Vec<_>>());
            assert_eq!((tally.lost, tally.doubled, tally.corrupted, tally.held), (0, 0, 0, 0));
            ends.close();
        });
    }
}
