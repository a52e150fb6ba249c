//! A flood of SYNs: from all addresses and ports of a range, in an order that jumps, to one endpoint. Nothing is
//! remembered of a SYN: its sequence number follows from its tuple, so that what comes back can be checked. Before it,
//! connections can be opened from other tuples, to stand beside it.

mod opening;
mod syn;
mod walk;

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use thiserror::Error;

use crate::base::burst::{BURST_MAX, Burst};
use crate::link::{Frame, QueuePair};
use crate::stats::syns::Syns;
use crate::wire::arp::{self, ArpPacket, Operation};
use crate::wire::ethernet::{self, ETHERTYPE_ARP, ETHERTYPE_IPV4, Mac};
use crate::wire::ipv4;
use crate::wire::seq::Seq;
use crate::wire::tcp::{self, Flags};

use opening::{Answer, Opening};
use syn::Series;

/// Smallest MTU that carries a SYN with its options.
const MTU_MIN: u16 = 68;

/// Who is flooded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Target {
    /// Its address.
    pub address: [u8; 4],
    /// Its port; not 0.
    pub port: u16,
    /// The MAC address that its frames go to.
    pub mac: Mac,
}

/// Whom the SYNs claim to come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sources {
    /// The first address.
    pub first: [u8; 4],
    /// How many addresses follow each other; at least 1.
    pub addresses: u32,
    /// Ports of each address; without 0.
    pub ports: RangeInclusive<u16>,
}

/// Connections that are opened before a flood and left as they are: idle, and established.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beside {
    /// How many.
    pub count: u64,
    /// The target's port that takes them; not 0.
    pub port: u16,
    /// Ports of the source addresses, of which the flood uses none.
    pub ports: RangeInclusive<u16>,
}

/// What a flood is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Who is flooded.
    pub target: Target,
    /// Whom the SYNs claim to come from. When all tuples have been used, they come again.
    pub sources: Sources,
    /// What [`Flood::open`] opens.
    pub beside: Option<Beside>,
    /// An address that is answered for too: the target's gateway to the sources.
    pub gateway: Option<[u8; 4]>,
    /// SYNs in all.
    pub count: u64,
    /// SYNs a second; as fast as the link takes them without it.
    pub rate: Option<NonZeroU32>,
    /// Frames that one call sends or receives at most; 1 to 64.
    pub burst: usize,
    /// What the sequence numbers and the order follow from.
    pub seed: u64,
}

/// Why a plan cannot be carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum PlanError {
    /// There is nobody to send from.
    #[error("the flood has no source address or no source port")]
    NoSources,
    /// The range runs over the end of all addresses.
    #[error("there are no {0} addresses from the first source address on")]
    TooManyAddresses(u32),
    /// Port 0 is not used on the wire.
    #[error("port 0 can be neither a source nor the target")]
    PortZero,
    /// The target would answer itself.
    #[error("the target is one of the source addresses")]
    TargetIsASource,
    /// What comes back could belong to either.
    #[error("the flood uses source ports of the connections beside it")]
    SharedPorts,
    /// A burst of none, or of more than a burst.
    #[error("bursts are of 1 to {BURST_MAX} frames, not {0}")]
    Burst(usize),
    /// A SYN does not fit.
    #[error("an MTU of {0} carries no SYN with options, which takes at least {MTU_MIN}")]
    Mtu(u16),
}

impl Plan {
    fn check(&self, mtu: u16) -> Result<(), PlanError> {
        let Sources { first, addresses, ports } = &self.sources;
        if *addresses == 0 || ports.is_empty() {
            return Err(PlanError::NoSources);
        }
        let first = u32::from_be_bytes(*first);
        if first.checked_add(addresses - 1).is_none() {
            return Err(PlanError::TooManyAddresses(*addresses));
        }
        if *ports.start() == 0 || self.target.port == 0 {
            return Err(PlanError::PortZero);
        }
        self.beside.as_ref().map_or(Ok(()), |beside| beside.check(ports))?;
        if u32::from_be_bytes(self.target.address).wrapping_sub(first) < *addresses {
            return Err(PlanError::TargetIsASource);
        }
        if !(1..=BURST_MAX).contains(&self.burst) {
            return Err(PlanError::Burst(self.burst));
        }
        if mtu < MTU_MIN { Err(PlanError::Mtu(mtu)) } else { Ok(()) }
    }

    /// Which of the source addresses this is, counted from the first.
    fn source(&self, address: [u8; 4]) -> Option<u32> {
        let number = u32::from_be_bytes(address).wrapping_sub(u32::from_be_bytes(self.sources.first));
        (number < self.sources.addresses).then_some(number)
    }
}

/// What was sent, and what came back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// SYNs that the device has taken.
    pub syns: u64,
    /// SYN-ACKs that acknowledge the SYN of their tuple; those that were sent again count again.
    pub syn_acks: u64,
    /// Resets that acknowledge the SYN of their tuple.
    pub resets: u64,
    /// Other segments from the target to a source.
    pub wrong: u64,
    /// SYN-ACKs of the connections beside the flood, each answered by an ACK.
    pub opened: u64,
    /// Requests for our addresses, all of them answered.
    pub arp_requests: u64,
    /// All other frames.
    pub others: u64,
}

impl Tally {
    /// Frames that were received.
    pub fn received(&self) -> u64 {
        self.syn_acks + self.resets + self.wrong + self.opened + self.arp_requests + self.others
    }

    /// What became of the SYNs.
    pub fn of_syns(&self) -> Syns {
        Syns { sent: self.syns, answered: self.syn_acks, refused: self.resets, wrong: self.wrong }
    }
}

/// What a frame is that came back.
enum Reply {
    SynAck,
    Reset,
    Opened(Answer),
    Wrong,
    Arp(ArpPacket),
    Other,
}

/// The flooding side of a link.
pub struct Flood<Q: QueuePair> {
    queue: Q,
    plan: Plan,
    mac: Mac,
    series: Series,
    opening: Option<Opening>,
    /// When the first pass was, in nanoseconds.
    started: Option<u64>,
    /// SYNs that wait to be sent; ARP replies, and what opens the connections beside the flood.
    syns: Burst<Q::Frame>,
    replies: Burst<Q::Frame>,
    /// Calls by which the device took anything.
    tx_calls: u64,
    tally: Tally,
}

impl<Q: QueuePair> Flood<Q> {
    /// A flood over a link.
    ///
    /// # Errors
    /// The plan cannot be carried out over this link.
    pub fn new(queue: Q, plan: Plan) -> Result<Self, PlanError> {
        let caps = queue.caps();
        plan.check(caps.mtu)?;
        Ok(Flood {
            series: Series::new(&plan.target, &plan.sources, plan.seed, &caps),
            opening: plan.beside.as_ref().map(|beside| Opening::new(beside, &plan, &caps)),
            mac: Mac(caps.mac),
            queue,
            plan,
            started: None,
            syns: Burst::new(),
            replies: Burst::new(),
            tx_calls: 0,
            tally: Tally::default(),
        })
    }

    /// Receives a burst and counts it, answers who asks for our addresses, and sends a burst of the SYNs that are
    /// due. `now_ns` is the time in nanoseconds from any origin; the flood begins with the first pass. Returns how
    /// many frames were moved, received and sent ones together.
    pub fn pass(&mut self, now_ns: u64) -> usize {
        let started = *self.started.get_or_insert(now_ns);
        let due = self.due(now_ns.saturating_sub(started));
        self.pass_up_to(now_ns, due)
    }

    /// As [`Flood::pass`], but whoever calls says how many SYNs in all are due, up to the plan's number; its rate does
    /// not count.
    pub fn pass_up_to(&mut self, now_ns: u64, due: u64) -> usize {
        let moved = self.receive();
        self.build(now_ns, due.min(self.plan.count));
        moved + self.transmit()
    }

    /// A pass before the flood: opens the connections that shall stand beside it, a burst at most. Returns how many
    /// frames were moved.
    pub fn open(&mut self, now_ns: u64) -> usize {
        let moved = self.receive();
        if let Some(opening) = &mut self.opening {
            // Half of the room stays for what completes handshakes.
            let room = self.plan.burst.min(self.replies.remaining_capacity() / 2);
            opening.build(&mut self.queue, &mut self.replies, room, self.tally.opened, now_ns);
        }
        moved + self.transmit()
    }

    /// Hands over what waits, and sees to a burst of what has come.
    fn receive(&mut self) -> usize {
        let moved = self.transmit();
        // Every frame may ask for an answer.
        let limit = self.plan.burst.min(self.replies.remaining_capacity());
        let mut frames = Burst::new();
        self.queue.rx_burst(&mut frames, limit);
        let received = frames.len();
        for frame in frames {
            self.arrives(frame);
        }
        moved + received
    }

    /// Hands what waits to the device; says how many frames it took.
    fn transmit(&mut self) -> usize {
        let (syns, replies) = (self.syns.len(), self.replies.len());
        if replies > 0 {
            self.queue.tx_burst(&mut self.replies);
        }
        if syns > 0 {
            self.queue.tx_burst(&mut self.syns);
        }
        let (taken, answered) = (syns - self.syns.len(), replies - self.replies.len());
        self.tally.syns += taken as u64;
        self.tx_calls += u64::from(taken > 0) + u64::from(answered > 0);
        taken + answered
    }

    /// Builds the SYNs that are due, a burst at most and as far as there are frames.
    fn build(&mut self, now_ns: u64, due: u64) {
        let room = self.plan.burst.saturating_sub(self.syns.len()) as u64;
        let count = room.min(due.saturating_sub(self.series.built()));
        self.series.build(&mut self.queue, &mut self.syns, count as usize, now_ns);
    }

    /// SYNs that are due so many nanoseconds after the start: SYN `i` at `(i + 1) / rate`.
    fn due(&self, passed_ns: u64) -> u64 {
        let Some(rate) = self.plan.rate else { return self.plan.count };
        let due = u128::from(passed_ns) * u128::from(rate.get()) / 1_000_000_000;
        u64::try_from(due).unwrap_or(u64::MAX).min(self.plan.count)
    }

    fn arrives(&mut self, mut frame: Q::Frame) {
        let reply = self.read(frame.bytes());
        let count = match &reply {
            Reply::SynAck => &mut self.tally.syn_acks,
            Reply::Reset => &mut self.tally.resets,
            Reply::Opened(_) => &mut self.tally.opened,
            Reply::Wrong => &mut self.tally.wrong,
            Reply::Arp(_) => &mut self.tally.arp_requests,
            Reply::Other => &mut self.tally.others,
        };
        *count += 1;
        match reply {
            Reply::Opened(answer) => answer.write(&mut frame, self.mac),
            Reply::Arp(request) => write_arp_reply(&mut frame, self.mac, &request),
            _ => return self.queue.recycle(frame),
        }
        if let Err(refused) = self.replies.try_push(frame) {
            self.queue.recycle(refused.element());
        }
    }

    /// Says what a frame is. Sums are not looked at: whether an answer is one shows by its numbers.
    fn read(&self, frame: &[u8]) -> Reply {
        let Some((header, payload)) = ethernet::parse(frame) else { return Reply::Other };
        match header.ethertype {
            ETHERTYPE_IPV4 => self.read_packet(payload).unwrap_or(Reply::Other),
            ETHERTYPE_ARP => match arp::parse(payload) {
                Ok(packet) if self.is_asked_for(&packet) => Reply::Arp(packet),
                _ => Reply::Other,
            },
            _ => Reply::Other,
        }
    }

    fn is_asked_for(&self, packet: &ArpPacket) -> bool {
        let ours = self.plan.source(packet.target).is_some() || self.plan.gateway == Some(packet.target);
        packet.operation == Operation::Request && ours
    }

    /// `None` for what is no segment from the target to a source.
    fn read_packet(&self, payload: &[u8]) -> Option<Reply> {
        let packet = ipv4::parse(payload, true).ok()?;
        let number = self.plan.source(packet.destination)?;
        if packet.source != self.plan.target.address || packet.protocol != ipv4::PROTOCOL_TCP {
            return None;
        }
        let (ports, segment, _) = tcp::parse(packet.payload).ok()?;
        let is_beside = self.opening.as_ref().is_some_and(|opening| opening.has(ports));
        if !is_beside && (ports.0 != self.plan.target.port || !self.plan.sources.ports.contains(&ports.1)) {
            return None;
        }
        let flags = segment.flags;
        let is_answer = flags.has(Flags::ACK) && segment.ack == sequence(self.plan.seed, number, ports.1) + 1;
        Some(match (flags.has(Flags::SYN), flags.has(Flags::RST)) {
            (true, false) if is_answer && !flags.has(Flags::FIN) => match is_beside {
                true => {
                    Reply::Opened(Answer { target: self.plan.target, to: packet.destination, ports, segment })
                }
                false => Reply::SynAck,
            },
            (false, true) if is_answer && !is_beside => Reply::Reset,
            _ => Reply::Wrong,
        })
    }

    /// What was sent, and what came back.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Calls by which the device took at least one frame.
    pub fn tx_calls(&self) -> u64 {
        self.tx_calls
    }

    /// SYNs that were built and that the device has not taken yet.
    pub fn waiting(&self) -> u64 {
        self.syns.len() as u64
    }

    /// All SYNs are sent. Answers may still come.
    pub fn is_done(&self) -> bool {
        self.tally.syns == self.plan.count
    }

    /// Gives up all frames and the queue.
    pub fn into_queue(mut self) -> Q {
        for frame in self.syns.drain(..).chain(self.replies.drain(..)) {
            self.queue.recycle(frame);
        }
        self.queue
    }
}

/// The sequence number of a tuple's SYN: bits of a product in which those of the whole tuple are mixed.
fn sequence(seed: u64, number: u32, port: u16) -> Seq {
    let tuple = u64::from(number) << 16 | u64::from(port);
    let mixed = (tuple ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Seq(((mixed ^ (mixed >> 29)) >> 16) as u32)
}

/// Makes a request that was received its own answer.
fn write_arp_reply(frame: &mut impl Frame, mac: Mac, request: &ArpPacket) {
    let reply = ArpPacket {
        operation: Operation::Reply,
        sender_mac: mac,
        sender: request.target,
        target_mac: request.sender_mac,
        target: request.sender,
    };
    frame.reset();
    frame.set_len(ethernet::HEADER_LEN + arp::PACKET_LEN);
    if let Some((header, rest)) = frame.bytes_mut().split_first_chunk_mut()
        && let Some(body) = rest.first_chunk_mut()
    {
        ethernet::emit(header, request.sender_mac, mac, ETHERTYPE_ARP);
        arp::emit(body, &reply);
    }
}

#[cfg(test)]
mod tests;
