//! Connections that are opened before a flood, and then left as they are. Nothing is remembered of them: whoever answers a
//! SYN of theirs says all that the ACK needs which completes the handshake.

use std::ops::RangeInclusive;

use super::syn::{Series, ip_fields};
use super::{Beside, Plan, PlanError, Sources, Target};
use crate::base::burst::Burst;
use crate::link::{Caps, Frame, QueuePair};
use crate::wire::checksum::{self, Sum};
use crate::wire::ethernet::{self, ETHERTYPE_IPV4, Mac};
use crate::wire::ipv4;
use crate::wire::tcp::{self, Flags, Header, Ports, Segment};
use crate::wire::tcp_options::{self, Options, Timestamps};

/// SYNs that wait for their answers at most: fewer than a link's ring has places, since what finds none is lost, and nothing
/// is sent again. An answer that comes twice counts twice; cookies, with which the server answers here, are not repeated.
const WAITING_MAX: u64 = 256;
/// Of the window field, not scaled.
const WINDOW: u16 = 512;

impl Beside {
    /// Whether it goes together with a flood from these ports.
    pub(super) fn check(&self, flooding: &RangeInclusive<u16>) -> Result<(), PlanError> {
        if self.ports.is_empty() {
            return Err(PlanError::NoSources);
        }
        if *self.ports.start() == 0 || self.port == 0 {
            return Err(PlanError::PortZero);
        }
        let apart = self.ports.end() < flooding.start() || flooding.end() < self.ports.start();
        if apart { Ok(()) } else { Err(PlanError::SharedPorts) }
    }
}

/// Opens them.
pub(super) struct Opening {
    plan: Beside,
    series: Series,
}

impl Opening {
    /// As `beside` says, from the addresses of the flood's `plan`.
    pub fn new(beside: &Beside, plan: &Plan, caps: &Caps) -> Opening {
        let target = Target { port: beside.port, ..plan.target };
        let sources = Sources { ports: beside.ports.clone(), ..plan.sources.clone() };
        Opening { plan: beside.clone(), series: Series::new(&target, &sources, plan.seed, caps) }
    }

    /// Builds the next SYNs, `room` at most; of those before, so many were `answered`.
    pub fn build<Q: QueuePair>(
        &mut self,
        queue: &mut Q,
        to: &mut Burst<Q::Frame>,
        room: usize,
        answered: u64,
        now_ns: u64,
    ) {
        let due = self.plan.count.min(answered.saturating_add(WAITING_MAX));
        let left = due.saturating_sub(self.series.built());
        self.series.build(queue, to, left.min(room as u64) as usize, now_ns);
    }

    /// A segment from and to these ports belongs to one of them.
    pub fn has(&self, (from, to): Ports) -> bool {
        from == self.plan.port && self.plan.ports.contains(&to)
    }
}

/// A SYN-ACK for one of them.
pub(super) struct Answer {
    /// Who answers; the port does not count.
    pub target: Target,
    /// Which of our addresses.
    pub to: [u8; 4],
    /// From and to which port.
    pub ports: Ports,
    /// The segment.
    pub segment: Segment,
}

impl Answer {
    /// Makes the frame that brought it the ACK that completes the handshake. It is summed here, whoever else could.
    pub fn write(&self, frame: &mut impl Frame, mac: Mac) {
        let Answer { target, to, ports, segment } = self;
        // The clock that went out with the SYN has come back: it serves again.
        let timestamps =
            segment.options.timestamps.map(|theirs| Timestamps { val: theirs.ecr, ecr: theirs.val });
        let mut options = [0; tcp_options::LEN_MAX];
        let len = tcp_options::emit(&Options { timestamps, ..Options::default() }, &mut options);
        let options = options.get(..len).unwrap_or_default();
        let segment_len = tcp::HEADER_LEN + options.len();
        let fields = ip_fields(*to, target.address, segment_len);
        let header = Header {
            ports: (ports.1, ports.0),
            seq: segment.ack,
            ack: segment.end(),
            flags: Flags::ACK,
            wnd: WINDOW,
            up: 0,
        };
        frame.reset();
        frame.set_len(ethernet::HEADER_LEN + ipv4::HEADER_LEN + segment_len);
        let bytes = frame.bytes_mut();
        let Some((link, bytes)) = bytes.split_first_chunk_mut() else { return };
        let Some((packet, bytes)) = bytes.split_first_chunk_mut() else { return };
        let Some((fixed, rest)) = bytes.split_first_chunk_mut() else { return };
        ethernet::emit(link, target.mac, mac, ETHERTYPE_IPV4);
        ipv4::emit(packet, &fields, true);
        let pseudo = checksum::pseudo_v4(*to, target.address, ipv4::PROTOCOL_TCP, segment_len as u16);
        header.emit_summed(fixed, segment_len, |sum| (pseudo + Sum::of(options) + sum.sum()).finish());
        rest.iter_mut().zip(options).for_each(|(to, from)| *to = *from);
    }
}
