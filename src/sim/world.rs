//! A small switch: any number of hosts, each on a faulty line of its own. A frame reaches the host whose MAC
//! address it names, a broadcast reaches all. What one host sends, the switch may show to another as well.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::clock::SimClock;
use super::faults::Faults;
use super::frame::{FramePool, MemFrame};
use super::line::{Flying, Line};
use super::nic;
use super::pcap::Pcap;
use crate::base::burst::Burst;
use crate::base::time::Instant;
use crate::link::{Caps, Frame, QueuePair};
use crate::wire::arp;
use crate::wire::ethernet::{self, ETHERTYPE_ARP};

/// What happened to the frames of all hosts together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Account {
    /// Frames that hosts sent.
    pub sent: u64,
    /// Frames that the lines lost, frames for nobody, and the originals of broadcasts.
    pub lost: u64,
    /// Copies beside the frame itself: by a line that repeats, of broadcasts, for who is shown everything.
    pub copied: u64,
    /// Frames that hosts received.
    pub received: u64,
}

impl Account {
    /// Every frame that was sent or copied was received or lost.
    pub fn is_balanced(&self) -> bool {
        self.sent + self.copied == self.received + self.lost
    }
}

/// One host's place.
struct Place {
    line: Line,
    inbox: Flying,
}

struct Switch {
    places: Vec<Place>,
    by_mac: HashMap<[u8; 6], usize>,
    /// Whom a broadcast that asks for an address reaches, where not everybody is to hear it.
    by_address: HashMap<[u8; 4], usize>,
    quiet: bool,
    shown_to: Option<usize>,
    pool: FramePool,
    capture: Option<Pcap>,
    account: Account,
}

/// The switch and all its lines. Clones name the same one.
#[derive(Clone)]
pub struct World {
    switch: Rc<RefCell<Switch>>,
    clock: SimClock,
}

/// A host's queue pair on the switch.
pub struct Plug {
    world: World,
    place: usize,
    caps: Caps,
    pool: FramePool,
    /// How many frames one call to send takes at most; fewer than a burst make the engine keep the rest.
    pub tx_room: usize,
}

impl World {
    /// A switch without hosts. A quiet one shows a broadcast ARP request only to the host whose address it asks
    /// for, as switches do that suppress ARP: with a thousand hosts nothing else could be heard. `pool` is for
    /// copies: of broadcasts, of what a line repeats, of what is shown to others.
    pub fn new(clock: &SimClock, pool: &FramePool, quiet: bool) -> World {
        let switch = Switch {
            places: Vec::new(),
            by_mac: HashMap::new(),
            by_address: HashMap::new(),
            quiet,
            shown_to: None,
            pool: pool.clone(),
            capture: None,
            account: Account::default(),
        };
        World { switch: Rc::new(RefCell::new(switch)), clock: clock.clone() }
    }

    /// One more host, which sends frames out of `pool`. `faults` are those of what it sends, drawn from `seed`.
    pub fn plug(&self, caps: Caps, address: [u8; 4], pool: &FramePool, faults: Faults, seed: u64) -> Plug {
        let mut switch = self.switch.borrow_mut();
        let place = switch.places.len();
        switch.by_mac.insert(caps.mac, place);
        switch.by_address.insert(address, place);
        let line = Line::new(faults, seed);
        switch.places.push(Place { line, inbox: Flying::default() });
        Plug { world: self.clone(), place, caps, pool: pool.clone(), tx_room: usize::MAX }
    }

    /// Everything that is sent is shown to the host in this place too.
    pub fn show_to(&self, place: usize) {
        self.switch.borrow_mut().shown_to = Some(place);
    }

    /// When the next frame arrives at the host in a place.
    pub fn next_arrival(&self, place: usize) -> Option<Instant> {
        self.switch.borrow().places.get(place)?.inbox.next_arrival()
    }

    /// Changes the faults of what the host in a place sends.
    pub fn set_faults(&self, place: usize, faults: Faults) {
        if let Some(place) = self.switch.borrow_mut().places.get_mut(place) {
            place.line.faults = faults;
        }
    }

    /// Keeps a copy of everything that hosts send from now on, before any fault.
    pub fn start_capture(&self) {
        self.switch.borrow_mut().capture = Some(Pcap::default());
    }

    /// What was sent since the capture began, if one did; it ends.
    pub fn take_capture(&self) -> Option<Pcap> {
        self.switch.borrow_mut().capture.take()
    }

    /// What happened to all frames so far.
    pub fn account(&self) -> Account {
        let switch = self.switch.borrow();
        let lines = || switch.places.iter().map(|place| &place.line);
        Account {
            lost: switch.account.lost + lines().map(|line| line.lost).sum::<u64>(),
            copied: switch.account.copied + lines().map(|line| line.repeated).sum::<u64>(),
            ..switch.account
        }
    }
}

impl Switch {
    /// A host sends a frame: to one, to all, or to nobody.
    fn send(&mut self, from: usize, frame: MemFrame, now: Instant) {
        self.account.sent += 1;
        if let Some(capture) = &mut self.capture {
            capture.record(now, frame.bytes());
        }
        if let Some(shown) = self.shown_to.filter(|shown| *shown != from) {
            self.copy(shown, &frame, now);
        }
        self.refuse(from, &frame, now);
        match self.destination(&frame) {
            Some(to) => match self.turn(from, &frame, now) {
                Some(leaves) => self.deliver(from, to, frame, leaves),
                None => self.account.lost += 1,
            },
            None if is_group(&frame) => self.flood(from, frame, now),
            None => self.account.lost += 1,
        }
    }

    fn destination(&self, frame: &MemFrame) -> Option<usize> {
        let to = frame.bytes().first_chunk::<6>()?;
        if self.quiet
            && is_group(frame)
            && let Some(target) = asked_for(frame)
        {
            return self.by_address.get(&target).copied();
        }
        self.by_mac.get(to).copied()
    }

    fn flood(&mut self, from: usize, frame: MemFrame, now: Instant) {
        self.account.lost += 1;
        let Some(leaves) = self.turn(from, &frame, now) else { return };
        for to in 0..self.places.len() {
            if to == from {
                continue;
            }
            if let Some(copy) = self.pool.frame(frame.bytes()) {
                self.account.copied += 1;
                self.deliver(from, to, copy, leaves);
            }
        }
    }

    /// Shows a frame to a host at once and without a fault.
    fn copy(&mut self, to: usize, frame: &MemFrame, now: Instant) {
        if let (Some(copy), Some(place)) = (self.pool.frame(frame.bytes()), self.places.get_mut(to)) {
            self.account.copied += 1;
            place.inbox.add(now, copy);
        }
    }

    /// When a frame has left its sender; a broadcast leaves once.
    fn turn(&mut self, from: usize, frame: &MemFrame, now: Instant) -> Option<Instant> {
        self.places.get_mut(from)?.line.turn(now, frame.bytes().len())
    }

    fn deliver(&mut self, from: usize, to: usize, frame: MemFrame, leaves: Instant) {
        let Ok([sender, receiver]) = self.places.get_disjoint_mut([from, to]) else {
            self.account.lost += 1;
            return;
        };
        let capacity = sender.line.faults.capacity;
        let inbox = &mut receiver.inbox;
        sender.line.deliver(frame, leaves, &self.pool, |arrives, frame| {
            let room = capacity == 0 || inbox.len() < capacity;
            if room {
                inbox.add(arrives, frame);
            }
            room
        });
    }

    /// What the sender of a frame that is too big for its line may be told.
    fn refuse(&mut self, from: usize, frame: &MemFrame, now: Instant) {
        let Some(place) = self.places.get_mut(from) else { return };
        if let Some((arrives, answer)) = place.line.refusal(frame, now, &self.pool) {
            self.account.copied += 1;
            place.inbox.add(arrives, answer);
        }
    }
}

fn is_group(frame: &MemFrame) -> bool {
    frame.bytes().first().is_some_and(|first| first & 1 == 1)
}

/// The address that an ARP packet asks for.
fn asked_for(frame: &MemFrame) -> Option<[u8; 4]> {
    let (header, body) = ethernet::parse(frame.bytes())?;
    let packet = (header.ethertype == ETHERTYPE_ARP).then(|| arp::parse(body).ok())??;
    Some(packet.target)
}

impl Plug {
    /// Which of the switch's places it is, in the order of [`World::plug`].
    pub fn place(&self) -> usize {
        self.place
    }
}

impl QueuePair for Plug {
    type Frame = MemFrame;

    fn caps(&self) -> Caps {
        self.caps
    }

    fn rx_burst(&mut self, frames: &mut Burst<MemFrame>, limit: usize) {
        let now = self.world.clock.now();
        let mut switch = self.world.switch.borrow_mut();
        let Some(place) = switch.places.get_mut(self.place) else { return };
        let before = frames.len();
        while frames.len() < before + limit && !frames.is_full() {
            let Some(frame) = place.inbox.take(now) else { break };
            frames.push(frame);
        }
        switch.account.received += (frames.len() - before) as u64;
    }

    fn tx_burst(&mut self, frames: &mut Burst<MemFrame>) {
        let now = self.world.clock.now();
        let mut switch = self.world.switch.borrow_mut();
        let stalls = switch.places.get(self.place).map(|place| place.line.faults.stalls);
        if stalls.is_some_and(|stalls| stalls.are_on(now)) {
            return;
        }
        let pool = switch.pool.clone();
        let taken = frames.len().min(self.tx_room);
        for frame in frames.drain(..taken) {
            nic::transmit(frame, &pool, |frame| switch.send(self.place, frame, now));
        }
    }

    fn stock(&mut self, _wanted: usize) -> usize {
        let switch = self.world.switch.borrow();
        let shortages = switch.places.get(self.place).map(|place| place.line.faults.shortages);
        let short = shortages.is_none_or(|shortages| shortages.are_on(self.world.clock.now()));
        if short { 0 } else { self.pool.free() }
    }

    fn alloc(&mut self) -> Option<MemFrame> {
        let switch = self.world.switch.borrow();
        let shortages = switch.places.get(self.place)?.line.faults.shortages;
        if shortages.are_on(self.world.clock.now()) { None } else { self.pool.alloc() }
    }

    fn recycle(&mut self, frame: MemFrame) {
        drop(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn mac(number: u8) -> [u8; 6] {
        [2, 0, 0, 0, 0, number]
    }

    fn caps(number: u8) -> Caps {
        Caps {
            mac: mac(number),
            mtu: 1500,
            tx_ip_checksum: false,
            tx_tcp_checksum: false,
            rx_checksum: false,
            tso: None,
        }
    }

    fn send(plug: &mut Plug, to: [u8; 6]) {
        let mut frame = plug.alloc().unwrap();
        frame.set_len(60);
        frame.bytes_mut().fill(0);
        frame.bytes_mut()[..6].copy_from_slice(&to);
        let mut burst = Burst::new();
        burst.push(frame);
        plug.tx_burst(&mut burst);
    }

    fn received(plug: &mut Plug) -> usize {
        let mut frames = Burst::new();
        plug.rx_burst(&mut frames, 32);
        frames.len()
    }

    #[test]
    fn frames_reach_whom_they_name_and_broadcasts_reach_all() {
        let (clock, pool) = (SimClock::default(), FramePool::sized(64, 100));
        let world = World::new(&clock, &pool, false);
        let plug = |n: u8| world.plug(caps(n), [198, 18, 0, n], &pool, Faults::default(), u64::from(n));
        let mut plugs: Vec<_> = (0..4).map(plug).collect();
        send(&mut plugs[0], mac(2));
        assert_eq!([0, 1, 2, 3].map(|n| received(&mut plugs[n])), [0, 0, 1, 0]);
        send(&mut plugs[0], [0xff; 6]);
        assert_eq!([0, 1, 2, 3].map(|n| received(&mut plugs[n])), [0, 1, 1, 1]);
        send(&mut plugs[0], mac(9));
        world.show_to(3);
        send(&mut plugs[1], mac(0));
        assert_eq!([0, 1, 2, 3].map(|n| received(&mut plugs[n])), [1, 0, 0, 1]);
        assert!(world.account().is_balanced(), "{:?}", world.account());
        assert_eq!(pool.in_use(), 0);
    }
}
