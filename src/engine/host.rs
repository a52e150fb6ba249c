//! What the loop does besides TCP: neighbours and the frames that wait for them, ARP, announcements, ICMP. Joins
//! the decisions of `inet` with ports and frames.

use std::net::IpAddr;

use super::emit;
use super::errors::{self, Reported};
use super::port::Port;
use super::shard::{Doubt, Shard};
use crate::base::burst::Burst;
use crate::base::drop_reason::DropReason;
use crate::base::hash::Secrets;
use crate::base::ids::{LocalIdx, NeighbourIdx};
use crate::base::rate::TokenBucket;
use crate::base::rng::Rng;
use crate::base::time::{Instant, Tick};
use crate::inet::claim::{Claim, Conflict, Say};
use crate::inet::icmp::{self, Answer, Verdict};
use crate::inet::locals::Locals;
use crate::inet::neighbour::{Ask, Heard, Neighbours, Resolution, Waiting};
use crate::inet::route::Routes;
use crate::link::{Frame, QueuePair, TxOffload};
use crate::stats::counters::Counter;
use crate::wire::arp::{self, ArpPacket, Operation};
use crate::wire::ethernet::{self, ETHERTYPE_ARP, ETHERTYPE_IPV4, Mac};
use crate::wire::icmp_error::Unreachable;
use crate::wire::icmpv4::{self, Undelivered};
use crate::wire::ipv4::{self, Ipv4Fields, Ipv4Packet};

/// ICMP messages a second, and at once (ICMP4-7).
const ICMP_PER_SECOND: u32 = 1_000;
const ICMP_BURST: u32 = 50;

/// A neighbour that the operator gave.
#[derive(Clone, Copy, Debug)]
pub struct FixedNeighbour {
    /// The interface it is on.
    pub interface: u8,
    /// Its address.
    pub ip: IpAddr,
    /// Its MAC address.
    pub mac: Mac,
}

/// Where a packet goes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NextHop {
    /// To the neighbour in this place, which has this MAC address.
    Known(NeighbourIdx, Mac),
    /// To a neighbour whose MAC address is not known.
    Unknown(IpAddr),
    /// Nothing leads there.
    NoRoute,
}

impl NextHop {
    /// The MAC address; zeros where it is not known.
    pub fn mac(self) -> Mac {
        match self {
            NextHop::Known(_, mac) => mac,
            NextHop::Unknown(_) | NextHop::NoRoute => Mac::default(),
        }
    }
}

/// A host on its links.
pub struct Host<F> {
    neighbours: Neighbours<F>,
    routes: Routes,
    /// One for each address that was added by itself, in the order of their numbers. Those of ranges are ours
    /// without being claimed.
    claims: Vec<(LocalIdx, Claim)>,
    icmp: TokenBucket,
    /// What connections are still to be told of packets that could not be sent.
    undelivered: Burst<Reported>,
    /// Where a neighbour was found last.
    latest: NeighbourIdx,
    rng: Rng,
    polled: Option<Tick>,
    ready: bool,
    /// Nobody objects to any of the addresses: none need be looked at by itself.
    all_ours: bool,
}

impl<F: Frame> Host<F> {
    /// A host with these routes and fixed neighbours. With `probe_first` each address is probed for before it
    /// is used (RFC 5227 2.1).
    pub fn new(
        locals: &Locals,
        routes: Routes,
        fixed: &[FixedNeighbour],
        probe_first: bool,
        secrets: &Secrets,
        now: Instant,
    ) -> Self {
        let mut neighbours = Neighbours::new(secrets.table);
        for one in fixed {
            // There is room: a few thousand places, and this comes first.
            let _ = neighbours.fix(one.interface, one.ip, one.mac);
        }
        let seed = u64::from_le_bytes(secrets.timestamp[..8].try_into().unwrap_or([0; 8]));
        let claims: Vec<_> =
            locals.primary().map(|(number, _)| (number, Claim::new(probe_first, now))).collect();
        Host {
            neighbours,
            routes,
            all_ours: are_ours(&claims),
            claims,
            icmp: TokenBucket::new(ICMP_PER_SECOND, ICMP_BURST),
            undelivered: Burst::new(),
            latest: NeighbourIdx::default(),
            rng: Rng::new(seed),
            polled: None,
            ready: false,
        }
    }

    /// Every address is in use by us or lost to another.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Another host had one of the addresses first.
    pub(super) fn has_lost(&self) -> bool {
        self.claims.iter().any(|(_, claim)| claim.is_lost())
    }

    /// The addresses that another host had first.
    pub fn lost<'a>(&'a self, locals: &'a Locals) -> impl Iterator<Item = IpAddr> + 'a {
        let lost = self.claims.iter().filter(|(_, claim)| claim.is_lost());
        lost.map(|(number, _)| locals.get(*number).addr)
    }

    /// An address of ours is used: nobody objected to it.
    #[inline]
    pub(super) fn is_ours(&self, local: LocalIdx) -> bool {
        self.all_ours || self.is_claimed(local)
    }

    fn is_claimed(&self, local: LocalIdx) -> bool {
        match self.claims.binary_search_by_key(&local.0, |(number, _)| number.0) {
            Ok(at) => self.claims.get(at).is_some_and(|(_, claim)| claim.is_ours()),
            Err(_) => true,
        }
    }

    /// A millisecond has passed since the last poll.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let tick = Some(now.tick());
        let due = self.polled != tick;
        self.polled = tick;
        due
    }

    /// A connection gets no answer (R1): whether its next hop is there is asked again (RFC 1122 2.3.2.1).
    pub(super) fn doubt(&mut self, locals: &Locals, doubt: &Doubt) {
        //= MUST-20
        let remote = IpAddr::V4(doubt.remote.into());
        if let Some(hop) = self.routes.next_hop(locals, doubt.interface, remote) {
            self.neighbours.doubt(doubt.neighbour, doubt.interface, hop);
        }
    }

    /// Sees that the next hop towards `remote` is asked for if it is not known.
    pub(super) fn resolve(&mut self, shard: &Shard, remote: IpAddr, now: Instant) -> Resolution {
        let Some((interface, hop)) = self.routes.first_hop(&shard.locals, remote) else {
            return Resolution::NoRoute;
        };
        let (resolution, gone) = self.neighbours.ask_for(interface, hop, now);
        gone.iter().for_each(|_| shard.drop_one(DropReason::NeighbourQueueFull));
        resolution
    }

    /// Announcements, and requests for neighbours.
    pub(super) fn poll<Q: QueuePair<Frame = F>>(&mut self, ports: &mut [Port<Q>], shard: &Shard) {
        for (number, claim) in &mut self.claims {
            let local = shard.locals.get(*number);
            let say = claim.poll(shard.now, &mut self.rng);
            let sender = match say {
                None => continue,
                Some(Say::Probe) => [0; 4],
                Some(Say::Announce) => local.v4(),
            };
            if let Some(port) = ports.get_mut(usize::from(local.interface)) {
                let packet = ArpPacket {
                    operation: Operation::Request,
                    sender_mac: port.mac(),
                    sender,
                    target_mac: Mac([0; 6]),
                    target: local.v4(),
                };
                send_arp(port, shard, Mac::BROADCAST, &packet);
            }
        }
        self.all_ours = are_ours(&self.claims);
        self.ready = self.claims.iter().all(|(_, claim)| claim.is_ours() || claim.is_lost());
        let ask = |ask: Ask| send_request(ports, shard, &ask);
        let undelivered = &mut self.undelivered;
        self.neighbours.poll(shard.now, ask, |frame| {
            shard.drop_one(DropReason::NeighbourUnresolved);
            note_undelivered(undelivered, shard, &frame, Unreachable::Neighbour);
        });
    }

    /// The next connection to be told that a packet of its could not be sent.
    pub(super) fn next_undelivered(&mut self) -> Option<Reported> {
        self.undelivered.pop()
    }

    /// An ARP packet (ARP-2, ARP-5, ARP-7).
    pub(super) fn arp_arrives<Q: QueuePair<Frame = F>>(
        &mut self,
        ports: &mut [Port<Q>],
        shard: &Shard,
        interface: usize,
        packet: &ArpPacket,
    ) {
        let Some(port) = ports.get_mut(interface) else { return };
        let on_interface = |address| {
            let found = shard.locals.find_v4(address)?;
            (usize::from(shard.locals.get(found).interface) == interface).then_some(found)
        };
        let probed = packet.sender == [0; 4] && packet.operation == Operation::Request;
        // The kernel's end of a tap has the port's own MAC address: only what speaks of our addresses is an echo.
        if packet.sender_mac == port.mac() && (probed || on_interface(packet.sender).is_some()) {
            return shard.drop_one(DropReason::ArpEcho);
        }
        if ipv4::is_group(packet.sender) || shard.locals.is_directed_broadcast(packet.sender) {
            //= ARP-5
            return shard.drop_one(DropReason::ArpMalformed);
        }
        if let Some(local) = on_interface(packet.sender) {
            shard.drop_one(DropReason::ArpConflict);
            return self.defend(port, shard, local);
        }
        let target = on_interface(packet.target);
        if probed
            && let Some(local) = target
            && !self.is_ours(local)
        {
            // Another host probes for what we are probing for ourselves (RFC 5227 2.1.1).
            shard.drop_one(DropReason::ArpConflict);
            return self.defend(port, shard, local);
        }
        let asks = packet.operation == Operation::Request && target.is_some_and(|local| self.is_ours(local));
        if !probed && ipv4::may_be_a_source(packet.sender) {
            self.heard(port, shard, interface, packet, asks);
        }
        match target {
            Some(local) if asks => {
                //= ARP-2
                shard.count(Counter::ArpRequestsAnswered);
                let reply = ArpPacket {
                    operation: Operation::Reply,
                    sender_mac: port.mac(),
                    sender: shard.locals.get(local).v4(),
                    target_mac: packet.sender_mac,
                    target: packet.sender,
                };
                send_arp(port, shard, packet.sender_mac, &reply);
            }
            None if packet.operation == Operation::Request => shard.drop_one(DropReason::ArpNotOurs),
            _ => {}
        }
    }

    fn heard<Q: QueuePair<Frame = F>>(
        &mut self,
        port: &mut Port<Q>,
        shard: &Shard,
        interface: usize,
        packet: &ArpPacket,
        asks: bool,
    ) {
        let ip = IpAddr::V4(packet.sender.into());
        let mut own = shard.locals.subnets().filter(|local| usize::from(local.interface) == interface);
        let on_link = own.any(|local| local.is_on_link(ip));
        let how = if asks && on_link { Heard::AsksForUs } else { Heard::Else };
        match self.neighbours.heard(interface as u8, ip, packet.sender_mac, how, shard.now) {
            Ok(waiting) => {
                for mut frame in waiting {
                    if shard.is_abandoned(frame.bytes()) {
                        shard.drop_one(DropReason::Abandoned);
                        continue;
                    }
                    emit::set_destination(&mut frame, packet.sender_mac);
                    port.send(frame, &shard.counters);
                }
            }
            Err(reason) if packet.operation == Operation::Reply => shard.drop_one(reason),
            Err(_) => {}
        }
    }

    fn defend<Q: QueuePair<Frame = F>>(&mut self, port: &mut Port<Q>, shard: &Shard, local: LocalIdx) {
        //= ARP-7
        let claim = self.claims.iter_mut().find(|(number, _)| *number == local);
        let Some((_, claim)) = claim else { return };
        let conflict = claim.conflict(shard.now);
        self.all_ours = are_ours(&self.claims);
        if conflict == Conflict::Defend {
            let own = shard.locals.get(local).v4();
            let packet = ArpPacket {
                operation: Operation::Request,
                sender_mac: port.mac(),
                sender: own,
                target_mac: Mac([0; 6]),
                target: own,
            };
            send_arp(port, shard, Mac::BROADCAST, &packet);
        }
    }

    /// A packet for us that is not TCP: it is answered, or it is an error about a segment of a connection's.
    pub(super) fn ipv4_arrives<Q: QueuePair<Frame = F>>(
        &mut self,
        ports: &mut [Port<Q>],
        shard: &Shard,
        local: LocalIdx,
        packet: &Ipv4Packet<'_>,
    ) -> Option<Reported> {
        match icmp::arrives(packet) {
            Err(reason) => shard.drop_one(reason),
            Ok(Verdict::Error(cause, quoted)) => return Some(Reported::new(local, cause, &quoted)),
            Ok(Verdict::Answer(answer)) => {
                if answer == Answer::ProtocolUnreachable {
                    shard.drop_one(DropReason::IpProtocol);
                }
                if self.is_ours(local) {
                    self.answer(ports, shard, local, packet, answer);
                } else {
                    shard.drop_one(DropReason::IpNotOurs);
                }
            }
        }
        None
    }

    /// The rest of a packet did not come; its first fragment is `packet`.
    pub(super) fn reassembly_timed_out<Q: QueuePair<Frame = F>>(
        &mut self,
        ports: &mut [Port<Q>],
        shard: &Shard,
        packet: &Ipv4Packet<'_>,
    ) {
        //= IP4-5
        if let Some(local) = shard.locals.find_v4(packet.destination).filter(|local| self.is_ours(*local)) {
            self.answer(ports, shard, local, packet, Answer::ReassemblyTimedOut);
        }
    }

    fn answer<Q: QueuePair<Frame = F>>(
        &mut self,
        ports: &mut [Port<Q>],
        shard: &Shard,
        local: LocalIdx,
        packet: &Ipv4Packet<'_>,
        answer: Answer,
    ) {
        //= ICMP4-7
        if !self.icmp.take(shard.now) {
            return shard.drop_one(DropReason::IcmpRateLimited);
        }
        let interface = usize::from(shard.locals.get(local).interface);
        let Some(port) = ports.get_mut(interface) else { return };
        let Some(mut frame) = port.alloc() else { return shard.drop_one(DropReason::NoFrame) };
        if !icmp_frame(&mut frame, port, packet, answer) {
            return shard.drop_one(DropReason::NoFrame);
        }
        match answer {
            Answer::EchoReply => shard.count(Counter::EchoAnswered),
            Answer::ReassemblyTimedOut => shard.count(Counter::ReassemblyTimedOut),
            Answer::ProtocolUnreachable => {}
        }
        self.send_to(ports, shard, interface, u32::from_be_bytes(packet.source), frame);
    }

    /// Sends a frame that lacks only its destination MAC address.
    pub(super) fn send_to<Q: QueuePair<Frame = F>>(
        &mut self,
        ports: &mut [Port<Q>],
        shard: &Shard,
        interface: usize,
        remote: u32,
        mut frame: F,
    ) {
        let hop = self.next_hop(&shard.locals, shard.now, interface, remote, NeighbourIdx(0), || false);
        match (hop, ports.get_mut(interface)) {
            (NextHop::Known(_, mac), Some(port)) => {
                emit::set_destination(&mut frame, mac);
                port.send(frame, &shard.counters);
            }
            (hop, _) => self.keep(shard, interface, hop, frame),
        }
    }

    /// Where packets towards `remote` go. `hint` is where the neighbour was found the last time; `progress` says whether a
    /// connection through it got forward within the last minute.
    #[inline(always)]
    pub(super) fn next_hop(
        &mut self,
        locals: &Locals,
        now: Instant,
        interface: usize,
        remote: u32,
        hint: NeighbourIdx,
        progress: impl FnOnce() -> bool,
    ) -> NextHop {
        let remote = IpAddr::V4(remote.into());
        // Most new connections, which remember nothing, go where somebody went just now.
        let hint = if hint == NeighbourIdx::default() { self.latest } else { hint };
        let leads = |hop: IpAddr| {
            // All in the cache are on the link of their interface, and so their own next hops.
            hop == remote || self.routes.next_hop(locals, interface as u8, remote) == Some(hop)
        };
        if let Some(mac) = self.neighbours.known(hint, interface as u8, now, leads) {
            self.latest = hint;
            return NextHop::Known(hint, mac);
        }
        self.routed(locals, now, interface, remote, hint, progress)
    }

    #[inline(never)]
    fn routed(
        &mut self,
        locals: &Locals,
        now: Instant,
        interface: usize,
        remote: IpAddr,
        hint: NeighbourIdx,
        progress: impl FnOnce() -> bool,
    ) -> NextHop {
        let Some(hop) = self.routes.next_hop(locals, interface as u8, remote) else {
            return NextHop::NoRoute;
        };
        let found = self.neighbours.lookup(hint, interface as u8, hop, progress, now);
        self.latest = found.map_or(self.latest, |(place, _)| place);
        found.map_or(NextHop::Unknown(hop), |(place, mac)| NextHop::Known(place, mac))
    }

    /// Keeps a frame until its next hop is known; without a way there it is lost.
    pub(super) fn keep(&mut self, shard: &Shard, interface: usize, hop: NextHop, frame: F) {
        match hop {
            NextHop::Unknown(hop) => {
                let gone: Waiting<F> = self.neighbours.resolve(interface as u8, hop, frame);
                gone.iter().for_each(|_| shard.drop_one(DropReason::NeighbourQueueFull));
            }
            NextHop::Known(..) | NextHop::NoRoute => {
                shard.drop_one(DropReason::NoRoute);
                note_undelivered(&mut self.undelivered, shard, &frame, Unreachable::Network);
            }
        }
    }
}

fn are_ours(claims: &[(LocalIdx, Claim)]) -> bool {
    claims.iter().all(|(_, claim)| claim.is_ours())
}

/// Remembers to tell a connection; when there are too many, some hear of it at their next attempt.
fn note_undelivered(list: &mut Burst<Reported>, shard: &Shard, frame: &impl Frame, why: Unreachable) {
    if let Some(reported) = errors::undelivered(&shard.locals, frame.bytes(), why) {
        let _ = list.try_push(reported);
    }
}

fn send_request<Q: QueuePair>(ports: &mut [Port<Q>], shard: &Shard, ask: &Ask) {
    let Some(port) = ports.get_mut(usize::from(ask.interface)) else { return };
    let IpAddr::V4(target) = ask.ip else { return };
    let own = shard.locals.subnets().filter(|local| local.interface == ask.interface);
    let Some(sender) = own.clone().find(|l| l.is_on_link(ask.ip)).or_else(|| own.clone().next()) else {
        return;
    };
    shard.count(Counter::ArpRequestsSent);
    let packet = ArpPacket {
        operation: Operation::Request,
        sender_mac: port.mac(),
        sender: sender.v4(),
        target_mac: Mac([0; 6]),
        target: target.octets(),
    };
    send_arp(port, shard, ask.unicast.unwrap_or(Mac::BROADCAST), &packet);
}

fn send_arp<Q: QueuePair>(port: &mut Port<Q>, shard: &Shard, to: Mac, packet: &ArpPacket) {
    let Some(mut frame) = port.alloc() else { return shard.drop_one(DropReason::NoFrame) };
    let from = port.mac();
    frame.reset();
    frame.set_len(ethernet::HEADER_LEN + arp::PACKET_LEN);
    if let Some((header, rest)) = frame.bytes_mut().split_first_chunk_mut()
        && let Some(body) = rest.first_chunk_mut()
    {
        ethernet::emit(header, to, from, ETHERTYPE_ARP);
        arp::emit(body, packet);
        port.send(frame, &shard.counters);
    }
}

/// Builds an ICMP answer to `packet`; the destination MAC address is left open.
fn icmp_frame<Q: QueuePair>(
    frame: &mut Q::Frame,
    port: &Port<Q>,
    packet: &Ipv4Packet<'_>,
    answer: Answer,
) -> bool {
    const TTL: u8 = 64;
    let quoted = (packet.header.len() + packet.payload.len()).min(icmpv4::QUOTE_MAX);
    // We send no fragments: an echo reply that would need them is cut (RFC 1122 3.2.2.6).
    let room = usize::from(port.caps.mtu).saturating_sub(ipv4::HEADER_LEN);
    let echoed = packet.payload.get(..packet.payload.len().min(room)).unwrap_or_default();
    let payload_len = match answer {
        Answer::EchoReply => echoed.len(),
        Answer::ProtocolUnreachable | Answer::ReassemblyTimedOut => icmpv4::HEADER_LEN + quoted,
    };
    let total = ethernet::HEADER_LEN + ipv4::HEADER_LEN + payload_len;
    frame.reset();
    if frame.capacity() < total {
        return false;
    }
    frame.set_len(total);
    let Some((link, rest)) = frame.bytes_mut().split_first_chunk_mut() else { return false };
    ethernet::emit(link, Mac([0; 6]), port.mac(), ETHERTYPE_IPV4);
    let Some((ip, message)) = rest.split_first_chunk_mut() else { return false };
    let fields = Ipv4Fields {
        source: packet.destination,
        destination: packet.source,
        protocol: ipv4::PROTOCOL_ICMP,
        ttl: TTL,
        tos: packet.tos & !0b11,
        payload_len: payload_len as u16,
        id: 0,
        dont_fragment: true,
    };
    ipv4::emit(ip, &fields, true);
    match answer {
        Answer::EchoReply => {
            message.copy_from_slice(echoed);
            icmpv4::turn_into_reply(message, echoed.len() < packet.payload.len());
        }
        Answer::ProtocolUnreachable | Answer::ReassemblyTimedOut => {
            let mut quote = [0; icmpv4::QUOTE_MAX];
            let (head, tail) = quote.split_at_mut(packet.header.len().min(60));
            head.copy_from_slice(packet.header.get(..head.len()).unwrap_or_default());
            let body = tail.len().min(packet.payload.len()).min(quoted - head.len());
            if let (Some(to), Some(from)) = (tail.get_mut(..body), packet.payload.get(..body)) {
                to.copy_from_slice(from);
            }
            let quote = quote.get(..quoted).unwrap_or_default();
            if answer == Answer::ReassemblyTimedOut {
                icmpv4::emit_reassembly_timed_out(message, quote);
            } else {
                icmpv4::emit_unreachable(message, Undelivered::Protocol, quote);
            }
        }
    }
    frame.set_tx_offload(TxOffload::default());
    true
}
