//! Somebody else on the network, who sees everything and injects what he likes, as long as a correct host loses no
//! octet to it: old segments again, segments of a connection with something wrong about them, and frames that
//! belong to nothing. What no host can survive (the exact reset, an octet more in order) he leaves alone.

use std::collections::VecDeque;

use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::link::{Frame, QueuePair};
use dpdk_tcp::sim::faults::{Faults, Spells};
use dpdk_tcp::sim::world::Plug;
use dpdk_tcp::wire::checksum::{Sum, pseudo_v4};
use dpdk_tcp::wire::ethernet::{self, ETHERTYPE_IPV4};
use dpdk_tcp::wire::ipv4;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::{self, Flags};

use super::actor::address;
use super::fleet::mac;
use super::forge::{arp_frame, broken_options, echo_request, icmp_error, malformed, stray, wrong_header};
use super::plan::{HostPlan, LISTENED, Plan};
use crate::expect::Sent;
use crate::reach::{Seg, seg};

const ACK: Flags = Flags::ACK;
/// Frames that he remembers, and for how long he repeats them: shorter than the shortest TIME-WAIT, as a network
/// forgets frames within MSL.
const SEEN_MAX: usize = 200;
const SEEN_US: u64 = 900_000;
/// So far from anything that a window covers.
const FAR: u32 = 1 << 30;
/// Where he may be on the network, far behind the last host.
pub const OWN_NUMBER: usize = 5_000;

/// A frame that a host sent.
struct Seen {
    at: Instant,
    frame: Vec<u8>,
}

/// The one who injects.
pub struct Hostile {
    plug: Plug,
    rng: Rng,
    left: u32,
    next: Instant,
    every_us: u32,
    seen: VecDeque<Seen>,
    /// The last segments with a FIN.
    fins: VecDeque<(Sent, [u8; 6])>,
    hosts: usize,
    /// When the ring of each host takes nothing.
    stalls: Vec<Spells>,
    /// Hosts whose frames leave when they are made.
    prompt: Vec<bool>,
}

/// A segment on the wire as one that can be changed and sent again.
fn again(sent: &Sent) -> Seg {
    Seg {
        source: sent.source,
        destination: sent.destination,
        ports: sent.ports,
        seq: sent.segment.seq,
        ack: sent.segment.ack,
        flags: sent.segment.flags,
        wnd: sent.segment.wnd,
        up: sent.segment.up,
        options: sent.segment.options,
        text: sent.text.clone(),
        tos: sent.tos,
    }
}

/// A TCP segment that was seen, with the MAC address it went to. What reached him broken is none.
fn segment_of(frame: &[u8]) -> Option<(Sent, [u8; 6])> {
    let (header, payload) = ethernet::parse(frame)?;
    let packet = ipv4::parse(payload, false).ok().filter(|_| header.ethertype == ETHERTYPE_IPV4)?;
    if packet.protocol != ipv4::PROTOCOL_TCP {
        return None;
    }
    let pseudo = pseudo_v4(packet.source, packet.destination, 6, packet.payload.len() as u16);
    let (ports, segment, text_at) = tcp::parse(packet.payload).ok()?;
    if (pseudo + Sum::of(packet.payload)).finish() != 0 {
        return None;
    }
    let sent = Sent {
        source: packet.source,
        destination: packet.destination,
        ports,
        segment,
        text: packet.payload[text_at..].to_vec(),
        tos: packet.tos,
        ttl: packet.ttl,
    };
    Some((sent, header.destination.0))
}

/// The number of the host with an address.
fn number_of(source: [u8; 4]) -> Option<usize> {
    let number = u32::from_be_bytes(source).checked_sub(u32::from_be_bytes(address(0)))?;
    Some(number as usize)
}

impl Hostile {
    pub fn new(plug: Plug, plan: &Plan, now: Instant) -> Hostile {
        let mut rng = Rng::new(plan.seed ^ 0xbad);
        let every_us = 500 + rng.below(60_000);
        let stalls: Vec<_> = plan.hosts.iter().map(|host| host.faults.stalls).collect();
        let never = Spells::default();
        let is_prompt = |host: &HostPlan| {
            let Faults { stalls, shortages, .. } = host.faults;
            (stalls, shortages, host.tx_room) == (never, never, usize::MAX)
        };
        let prompt = plan.hosts.iter().map(is_prompt).collect();
        let (seen, fins, left) = (VecDeque::new(), VecDeque::new(), plan.hostile);
        Hostile { plug, rng, left, next: now, every_us, seen, fins, hosts: stalls.len(), stalls, prompt }
    }

    /// When he does something next, unless he sees something before.
    pub fn next(&self) -> Instant {
        if self.left == 0 { Instant(u64::MAX) } else { self.next }
    }

    /// He looks, and injects if it is time.
    pub fn run(&mut self, now: Instant) {
        self.look(now);
        if now < self.next() {
            return;
        }
        self.left -= 1;
        self.next = Instant(now.0 + 1 + u64::from(self.rng.below(self.every_us)));
        if let Some(host) = self.stalls.iter().position(|stalls| stalls.are_on(now))
            && self.rng.below(3) == 0
        {
            return self.floods(host);
        }
        match self.rng.below(200) {
            0..60 => self.repeats(),
            60..125 => self.changes(),
            125..140 => self.reports(),
            140..155 => self.says_more(),
            155..195 => self.invents(),
            195..199 => self.fragments(),
            _ => {
                let host = self.rng.below(self.hosts as u32) as usize;
                self.pings(host);
            }
        }
    }

    fn look(&mut self, now: Instant) {
        loop {
            let mut frames = Burst::new();
            self.plug.rx_burst(&mut frames, 32);
            if frames.is_empty() {
                break;
            }
            for frame in &frames {
                self.sees(frame.bytes(), now);
            }
        }
        self.refuses_ecn(now);
        self.seen.retain(|seen| now.since_us(seen.at) < SEEN_US);
    }

    fn sees(&mut self, frame: &[u8], now: Instant) {
        if self.seen.len() >= SEEN_MAX {
            self.seen.pop_front();
        }
        self.seen.push_back(Seen { at: now, frame: frame.to_vec() });
        if self.left == 0 {
            return;
        }
        let Some((sent, to)) = segment_of(frame) else { return };
        if sent.segment.flags.has(Flags::FIN) {
            self.fins.truncate(7);
            self.fins.push_front((sent.clone(), to));
        }
        if self.rng.below(4) > 0 {
            return;
        }
        if !sent.text.is_empty() && self.rng.below(8) == 0 {
            // While it is in flight: about its size, which is none too large or much too large, and its host.
            let kind = 5 + self.rng.below(3);
            let error = icmp_error(kind, frame, address(OWN_NUMBER));
            return self.inject(&error);
        }
        // What neither opens nor resets is nothing.
        if sent.segment.flags == Flags::SYN {
            self.answers(&sent, Flags::PSH);
        }
    }

    /// A SYN that asks for ECN and was seen just now is refused: it must go again without (SYS-5). Not when there
    /// are several by now, or may be on the host: the second is one without, and no host survives its refusal.
    fn refuses_ecn(&mut self, now: Instant) {
        let syns = self.seen.iter().filter_map(|seen| Some((seen.at, segment_of(&seen.frame)?.0)));
        let syns: Vec<_> = syns.filter(|(_, sent)| sent.segment.flags.has(Flags::SYN)).collect();
        let asks = Flags::SYN | Flags::ECE | Flags::CWR;
        for (_, syn) in syns.iter().filter(|(at, syn)| *at == now && syn.segment.flags == asks) {
            let same =
                syns.iter().filter(|(_, other)| (other.source, other.ports) == (syn.source, syn.ports));
            let prompt = number_of(syn.source).and_then(|host| self.prompt.get(host));
            if self.left > 0 && same.count() == 1 && prompt == Some(&true) && self.rng.below(3) == 0 {
                self.answers(syn, Flags::RST | ACK);
            }
        }
    }

    fn pick(&mut self) -> Option<Vec<u8>> {
        let count = self.seen.len() as u32;
        (count > 0).then(|| self.seen[self.rng.below(count) as usize].frame.clone())
    }

    /// Something that was on the network before, as it was.
    fn repeats(&mut self) {
        if let Some(frame) = self.pick() {
            self.inject(&frame);
        }
    }

    /// A segment that was seen, with something wrong about it, to the same host.
    fn changes(&mut self) {
        let Some((sent, to)) = self.pick().and_then(|frame| segment_of(&frame)) else { return };
        let mut wrong = again(&sent);
        let synchronized = !sent.segment.flags.any(Flags::SYN | Flags::RST);
        match self.rng.below(13) {
            // Not to who listens: a SYN cookie remembers by its timestamp alone that there are any.
            0 if synchronized && !LISTENED.contains(&sent.ports.1) => wrong.options.timestamps = None,
            1 if synchronized && wrong.options.timestamps.is_some() => {
                wrong.options.timestamps = wrong.options.timestamps.map(|mut ts| {
                    ts.val = ts.val.wrapping_sub(1_000_000);
                    ts
                });
            }
            2 if !sent.segment.flags.has(Flags::RST) => {
                wrong = seg(Flags::RST, sent.segment.seq + FAR, Seq(0));
            }
            3 if synchronized => return self.nearly_resets(&sent),
            // Whoever opens takes any SYN for the other's: only those who listen can tell.
            4 if synchronized && LISTENED.contains(&sent.ports.1) => {
                wrong = seg(Flags::SYN, sent.segment.seq + FAR, Seq(0));
            }
            5 => wrong.flags = wrong.flags.without(ACK | Flags::SYN),
            6 if synchronized => wrong.ack = wrong.ack - FAR,
            7 => wrong.ack += FAR,
            8 if synchronized => wrong.seq += FAR,
            9 if synchronized => {
                wrong.flags = wrong.flags.with(Flags::URG);
                wrong.up = self.rng.below(3_000) as u16;
            }
            10 if synchronized => {
                // A FIN that was never sent must stand where nobody takes it.
                (wrong.flags, wrong.text) = (ACK | Flags::FIN, Vec::new());
                wrong.seq += FAR;
            }
            11 => {
                let mut bytes = self.frame_of(&wrong, to);
                let last = bytes.len() - 1;
                bytes[last] ^= 0x55;
                return self.inject(&bytes);
            }
            _ => {}
        }
        (wrong.source, wrong.destination, wrong.ports) = (sent.source, sent.destination, sent.ports);
        self.send(&wrong, to);
    }

    /// An ICMP error about something that was seen: a false one, or one that comes too late. None about a SYN,
    /// since a host may well believe those (ICMPR-4).
    fn reports(&mut self) {
        let Some(frame) = self.pick() else { return };
        let is_fair = segment_of(&frame).is_some_and(|(sent, _)| !sent.segment.flags.has(Flags::SYN));
        if is_fair && frame.len() >= 54 {
            let error = icmp_error(self.rng.below(7), &frame, address(OWN_NUMBER));
            self.inject(&error);
        }
    }

    /// Something to whoever sent this, as if from the other end.
    fn answers(&mut self, sent: &Sent, flags: Flags) {
        let mut answer = seg(flags, Seq(7), sent.segment.seq + 1);
        (answer.source, answer.destination) = (sent.destination, sent.source);
        answer.ports = (sent.ports.1, sent.ports.0);
        if let Some(host) = number_of(sent.source).filter(|host| *host < self.hosts) {
            self.send(&answer, mac(host));
        }
    }

    /// A reset in the window of whoever sent this, at its last number but one, where RCV.NXT is not.
    fn nearly_resets(&mut self, sent: &Sent) {
        let wnd = u32::from(sent.segment.wnd);
        let Some(frame) = self.seen.iter().rev().find(|seen| {
            segment_of(&seen.frame).is_some_and(|(other, _)| {
                (other.source, other.ports) == (sent.source, sent.ports)
                    && other.segment.ack == sent.segment.ack
            })
        }) else {
            return;
        };
        let back = *frame.frame[6..].first_chunk().unwrap();
        if wnd < 100 || sent.segment.flags.has(Flags::SYN) {
            return;
        }
        let mut reset = seg(Flags::RST, sent.segment.ack + (wnd - 2), Seq(0));
        (reset.source, reset.destination) = (sent.destination, sent.source);
        reset.ports = (sent.ports.1, sent.ports.0);
        self.send(&reset, back);
    }

    /// A frame that belongs to nothing.
    fn invents(&mut self) {
        let host = self.rng.below(self.hosts as u32) as usize;
        let own = address(OWN_NUMBER + self.rng.below(4) as usize);
        let port = LISTENED[self.rng.below(2) as usize];
        let number = self.rng.next_u64() as u32;
        let kind = self.rng.below(25);
        let mut blind = seg(Flags::SYN, Seq(number), Seq(number.wrapping_mul(3)));
        (blind.source, blind.destination) = (own, address(host));
        blind.ports = (1_024 + (number >> 20) as u16, port);
        let frame = match kind {
            0..11 => self.frame_of(&stray(kind, blind), mac(host)),
            11..21 => malformed(kind, self.frame_of(&blind, mac(host)), number),
            21 => broken_options(blind, mac(host)),
            kind => arp_frame(kind, host, own),
        };
        self.inject(&frame);
    }

    /// Text behind a FIN that was sent.
    fn says_more(&mut self) {
        let count = self.fins.len() as u32;
        if count == 0 {
            return;
        }
        let (sent, to) = self.fins[self.rng.below(count) as usize].clone();
        let mut more = again(&sent);
        more.seq += sent.text.len() as u32 + 1;
        more.text = b"behind the end".to_vec();
        self.send(&more, to);
    }

    /// More stray segments than fit into a ring that takes nothing, each to be answered by a reset.
    fn floods(&mut self, host: usize) {
        let mut stray = seg(ACK, Seq(0), Seq(0));
        (stray.source, stray.destination) = (address(OWN_NUMBER), address(host));
        stray.ports = (1_024, 9);
        let stray = self.frame_of(&stray, mac(host));
        // He asks for the host first: it then knows where to send its answers.
        let mut question = arp_frame(0, host, address(OWN_NUMBER));
        question[21] = 1;
        self.inject(&question);
        (0..100).for_each(|_| self.inject(&stray));
    }

    /// Pieces of datagrams that never become whole: repeated, at odds with each other, too many of one, of too
    /// many.
    fn fragments(&mut self) {
        let host = self.rng.below(self.hosts as u32) as usize;
        let mut whole = seg(ACK, Seq(0), Seq(0));
        (whole.source, whole.destination) = (address(OWN_NUMBER), address(host));
        let whole = self.frame_of(&whole.text(&[7; 28]), mac(host));
        let id = self.rng.below(60_000) as u16;
        // Identification, and offset in units of eight octets; more follow each.
        let pieces: Vec<(u16, u16)> = match self.rng.below(4) {
            0 => vec![(id, 0), (id, 0)],
            1 => vec![(id, 0), (id, 3)],
            2 => (0..70).map(|n| (id, 6 * n)).collect(),
            _ => (0..20).map(|n| (id + n, 0)).collect(),
        };
        for (id, offset) in pieces {
            let mut piece = whole.clone();
            piece[18..20].copy_from_slice(&id.to_be_bytes());
            self.inject(&wrong_header(piece, 20, &(0x2000 | offset).to_be_bytes()));
        }
    }

    /// More echo requests at once than anybody answers.
    fn pings(&mut self, host: usize) {
        let mut ping = seg(ACK, Seq(0), Seq(0));
        (ping.source, ping.destination) = (address(OWN_NUMBER), address(host));
        let ping = echo_request(self.frame_of(&ping, mac(host)), true, true);
        (0..80).for_each(|_| self.inject(&ping));
    }

    fn frame_of(&self, segment: &Seg, to: [u8; 6]) -> Vec<u8> {
        let mut frame = segment.frame();
        frame[..6].copy_from_slice(&to);
        frame[6..12].copy_from_slice(&self.plug.caps().mac);
        frame
    }

    fn send(&mut self, segment: &Seg, to: [u8; 6]) {
        let frame = self.frame_of(segment, to);
        self.inject(&frame);
    }

    fn inject(&mut self, bytes: &[u8]) {
        let Some(mut frame) = self.plug.alloc() else { return };
        frame.set_len(bytes.len());
        let len = frame.bytes().len();
        frame.bytes_mut().copy_from_slice(&bytes[..len]);
        let mut burst = Burst::new();
        burst.push(frame);
        self.plug.tx_burst(&mut burst);
    }
}
