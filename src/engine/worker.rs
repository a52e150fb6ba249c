//! The poll loop of one core, over any link. A pass reads like the picture in `docs/ARCHITECTURE.md`: receive,
//! classify, look up, process; expire; pay; transmit. Nothing here waits, and nothing allocates.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::api::{Api, App};
use super::arrivals::{Arrivals, Next, Other, Place};
use super::classify::{self, Class, Ingress, Received};
use super::control::{Control, Drain};
use super::fragments::{Fragments, Join};
use super::host::Host;
use super::limits::{BACKLOG_MIN, TIDY_MAX};
use super::meter::{Meter, Stage};
use super::pay::Way;
use super::port::Port;
use super::shard::Shard;
use super::usual;
use crate::base::burst::Burst;
use crate::base::drop_reason::DropReason;
use crate::base::time::Instant;
use crate::flow::key::Key;
use crate::flow::table::{self, Hint};
pub use crate::inet::neighbour::Resolution;
use crate::link::{Frame, QueuePair};
use crate::stats::counters::Counter;
use crate::tcp::segment::SegmentOut;

/// What a pass did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pass {
    /// Frames came or went, or timers expired.
    Busy,
    /// Nothing happened.
    Idle,
}

/// One core's loop: its ports, its connections, its application.
pub struct Worker<Q: QueuePair, A: App> {
    pub(super) ports: Vec<Port<Q>>,
    pub(super) host: Host<Q::Frame>,
    pub(super) shard: Shard,
    pub(super) app: A,
    control: Arc<Control>,
    drain: Drain,
    fragments: Fragments,
    /// What was received last.
    frames: Burst<Q::Frame>,
    arrivals: Arrivals,
    segments: Burst<SegmentOut>,
}

impl<Q: QueuePair, A: App> Worker<Q, A> {
    /// A loop over `ports`, whose addresses `host` and `shard` know.
    pub fn new(ports: Vec<Q>, host: Host<Q::Frame>, mut shard: Shard, app: A, control: Arc<Control>) -> Self {
        let (burst, tx_burst) = (shard.limits.burst, shard.limits.tx_burst);
        let ports: Vec<_> = ports.into_iter().map(|queue| Port::new(queue, burst, tx_burst)).collect();
        shard.mtus = ports.iter().map(|port| port.caps.mtu).collect();
        shard.frames_left = vec![0; ports.len()];
        let fragments = Fragments::new(&shard.limits.reassembly, shard.secrets.table);
        Worker {
            ports,
            host,
            shard,
            app,
            control,
            drain: Drain::default(),
            fragments,
            frames: Burst::new(),
            arrivals: Arrivals::default(),
            segments: Burst::new(),
        }
    }

    /// The connections.
    pub fn shard(&self) -> &Shard {
        &self.shard
    }

    /// The application.
    pub fn app(&self) -> &A {
        &self.app
    }

    /// The application, to be changed between passes.
    pub fn app_mut(&mut self) -> &mut A {
        &mut self.app
    }

    /// Lets `call` act on a connection between passes, as its application would in a callback. False when there
    /// is no such connection (any more).
    pub fn call(&mut self, id: super::api::ConnId, call: impl FnOnce(&mut super::api::Conn<'_>)) -> bool {
        self.shard.call(&mut self.app, id, call)
    }

    /// Opens a connection between passes, as the application would in [`App::poll`].
    ///
    /// # Errors
    /// See [`super::active::OpenError`].
    pub fn open(
        &mut self,
        local: Option<IpAddr>,
        local_port: Option<u16>,
        remote: SocketAddr,
    ) -> Result<super::api::ConnId, super::active::OpenError> {
        self.shard.open_active(local, local_port, remote, None)
    }

    /// The shard between passes, as the application has it in [`App::poll`].
    pub fn api(&mut self) -> Api<'_> {
        Api { shard: &mut self.shard }
    }

    /// Asks for the next hop towards `remote`, if its MAC address is not known, before there is anything to send:
    /// called again and again between passes, until it is known or has failed. Requests leave in passes, three of
    /// them a second apart.
    pub fn resolve(&mut self, remote: IpAddr, now: Instant) -> Resolution {
        match remote {
            IpAddr::V4(v4) if self.shard.may_be_opened(v4) => self.host.resolve(&self.shard, remote, now),
            _ => Resolution::NoRoute,
        }
    }

    /// Datagrams of which only some fragments have come.
    pub fn datagrams_in_pieces(&self) -> u32 {
        self.fragments.len()
    }

    /// Addresses are announced and, where that was asked for, found free: frames are served.
    pub fn is_ready(&self) -> bool {
        self.host.is_ready()
    }

    /// The addresses that other hosts had first (`--dad`); they are not served.
    pub fn lost_addresses(&self) -> Vec<IpAddr> {
        self.host.lost(&self.shard.locals).collect()
    }

    /// One turn of the loop.
    pub fn pass(&mut self, now: Instant) -> Pass {
        self.pass_with(now, &mut ())
    }

    /// As [`Worker::pass`]; `meter` is told of the end of each stage.
    pub fn pass_with(&mut self, now: Instant, meter: &mut impl Meter) -> Pass {
        self.shard.now = now;
        self.shard.slots.now = now;
        let mut work = 0;
        self.shard.backlog = 0;
        for interface in 0..self.ports.len() {
            let count = self.receive(interface, meter);
            let burst = self.ports.get(interface).map_or(0, Port::burst);
            self.shard.backlog += if count >= burst.max(BACKLOG_MIN) { count as u32 } else { 0 };
            work += count;
        }
        work += self.shard.expire(&mut self.app);
        while let Some(doubt) = self.shard.doubts.pop() {
            self.host.doubt(&self.shard.locals, &doubt);
        }
        work += self.housekeeping(now);
        meter.lap(Stage::Timers);
        work += self.shard.call_due(&mut self.app);
        let opened = self.shard.next_generation;
        self.app.poll(&mut Api { shard: &mut self.shard });
        work += usize::from(self.shard.next_generation != opened);
        meter.lap(Stage::Process);
        let way = Way { ports: &mut self.ports, host: &mut self.host, shard: &mut self.shard };
        way.pay(&mut self.segments);
        meter.lap(Stage::Pay);
        for (port, left) in self.ports.iter_mut().zip(&mut self.shard.frames_left) {
            work += port.transmit(&self.shard.counters);
            *left = port.numbers().1;
        }
        meter.lap(Stage::Tx);
        if work > 0 { Pass::Busy } else { Pass::Idle }
    }

    /// One burst from one port: classify all, look up all, process all in the order of arrival.
    fn receive(&mut self, interface: usize, meter: &mut impl Meter) -> usize {
        let Some(port) = self.ports.get_mut(interface) else { return 0 };
        port.receive(&mut self.frames, &self.shard.counters);
        meter.lap(Stage::Rx);
        let count = self.frames.len();
        if count == 0 {
            return 0;
        }
        self.classify(interface, meter);
        meter.lap(Stage::Classify);
        self.shard.added_before_burst = self.shard.table.added();
        for Place { arrived, .. } in self.arrivals.segments() {
            arrived.hint = self.shard.hint(arrived.hash);
            if let Hint::At(table::Place::Connection(index)) = arrived.hint {
                self.app.expect(index);
            }
        }
        meter.lap(Stage::Lookup);
        let bytes = |frame: &u16| self.frames.get(usize::from(*frame)).map(Frame::bytes).unwrap_or_default();
        for next in self.arrivals.in_order() {
            match next {
                Next::Segment(Place { arrived, frame, text_at, .. }) => {
                    self.shard.segment_arrives(&mut self.app, arrived, arrived.text(bytes(frame), *text_at));
                }
                Next::Other(Other::Error(reported)) => self.shard.icmp_arrives(&mut self.app, reported),
                Next::Other(Other::Fragment { frame }) => {
                    let join = Join {
                        ports: &mut self.ports,
                        host: &mut self.host,
                        shard: &mut self.shard,
                        app: &mut self.app,
                    };
                    self.fragments.arrives(join, interface, bytes(frame));
                }
            }
        }
        meter.lap(Stage::Process);
        if let Some(port) = self.ports.get_mut(interface) {
            port.recycle(&mut self.frames);
        }
        meter.lap(Stage::Tx);
        count
    }

    /// Classifies a burst: runs of usual frames, and each frame between them by itself.
    fn classify(&mut self, interface: usize, meter: &mut impl Meter) {
        self.arrivals.clear();
        let mut done = 0;
        while done < self.frames.len() {
            done += self.usual_run(interface, done);
            if done < self.frames.len() {
                self.unusual(interface, done as u16, meter);
                done += 1;
            }
        }
    }

    /// Classifies usual frames from a place on, up to the first that is not usual; returns how many there were.
    #[inline(never)]
    fn usual_run(&mut self, interface: usize, first: usize) -> usize {
        let Some(port) = self.ports.get(interface) else { return 0 };
        let station = port.mac();
        let mut read = 0;
        for (place, frame) in self.arrivals.free().iter_mut().zip(self.frames.iter().skip(first)) {
            let segment = &mut place.arrived.segment;
            let found = usual::read(frame.bytes(), frame.rx_checksums(), station, segment);
            let Some((endpoints, text_at)) = found else { break };
            (place.endpoints, place.text_at, place.frame) = (endpoints, text_at, (first + read) as u16);
            read += 1;
        }
        // Hashes by themselves: each is a long chain of steps, and the machine works on several chains at once.
        let ingress = Ingress { interface: interface as u8, mac: station, locals: &self.shard.locals };
        let mut count = 0;
        for Place { endpoints, arrived, .. } in self.arrivals.free().iter_mut().take(read) {
            let key = usual::key(endpoints, ingress).filter(|key| self.host.is_ours(key.local));
            let Some(key) = key else { break };
            arrived.key = key;
            arrived.hash = self.shard.hash(&key);
            self.shard.table.prefetch(arrived.hash);
            count += 1;
        }
        self.arrivals.take(count);
        self.shard.counters.add(Counter::RxSegments, count as u64);
        count
    }

    /// Classifies any frame; what is not TCP is answered on the spot.
    #[cold]
    #[inline(never)]
    fn unusual(&mut self, interface: usize, number: u16, meter: &mut impl Meter) {
        let Some(port) = self.ports.get(interface) else { return };
        let Some(frame) = self.frames.get(usize::from(number)) else { return };
        let ingress = Ingress { interface: interface as u8, mac: port.mac(), locals: &self.shard.locals };
        match classify::classify(frame.bytes(), frame.rx_checksums(), ingress) {
            Err(reason) => self.shard.drop_one(reason),
            Ok(Class::Tcp(Received { key: Key { local, .. }, .. }) | Class::Fragment { local })
                if !self.host.is_ours(local) =>
            {
                self.shard.drop_one(DropReason::IpNotOurs);
            }
            Ok(Class::Tcp(received)) => {
                self.shard.count(Counter::RxSegments);
                let hash = self.shard.hash(&received.key);
                self.shard.table.prefetch(hash);
                self.arrivals.push(number, received, hash);
            }
            Ok(Class::Fragment { .. }) => self.arrivals.push_other(Other::Fragment { frame: number }),
            Ok(Class::Arp(packet)) => {
                meter.lap(Stage::Classify);
                self.host.arp_arrives(&mut self.ports, &self.shard, interface, &packet);
                meter.lap(Stage::Timers);
            }
            Ok(Class::Ipv4 { local, packet }) => {
                meter.lap(Stage::Classify);
                if let Some(reported) = self.host.ipv4_arrives(&mut self.ports, &self.shard, local, &packet) {
                    self.arrivals.push_other(Other::Error(reported));
                }
                meter.lap(Stage::Timers);
            }
        }
    }

    /// Every millisecond: neighbours, announcements, the drain.
    fn housekeeping(&mut self, now: Instant) -> usize {
        if !self.host.is_due(now) {
            return 0;
        }
        self.host.poll(&mut self.ports, &self.shard);
        while let Some(reported) = self.host.next_undelivered() {
            self.shard.icmp_arrives(&mut self.app, &reported);
        }
        self.fragments.expire(&mut self.ports, &mut self.host, &self.shard, now);
        if self.host.is_ready() && !self.host.has_lost() {
            self.control.set_ready();
        }
        self.shard.slots.tidy(TIDY_MAX);
        let work = self.drain.step(&self.control, &mut self.shard, &mut self.app);
        // After the drain's step, since the last one may be the loop's end.
        self.control.publish(&self.shard);
        let flushed = self.ports.iter().all(Port::is_flushed);
        if self.drain.is_over(flushed, now) {
            self.control.set_drained();
        }
        work
    }

    /// Ends the loop: all frames that it held are given back with the queues.
    pub fn into_queues(self) -> Vec<Q> {
        let counters = &self.shard.counters;
        self.ports.into_iter().map(|port| port.into_queue(counters)).collect()
    }
}
