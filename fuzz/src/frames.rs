//! Any bytes as a program: frames that a peer sends to a running engine, and time that passes. Whatever comes,
//! nothing panics, every invariant holds after each pass, every frame sent is well formed, and at the end all
//! memory is back. Numbers are told relative to what the engine said last, so that few bytes lead far.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use dpdk_tcp::app::http::responses::Responses;
use dpdk_tcp::app::tally::Tally;
use dpdk_tcp::app::{Service, Services};
use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::link::{Frame, QueuePair};
use dpdk_tcp::wire::arp::{self, ArpPacket, Operation};
use dpdk_tcp::wire::checksum::{Sum, checksum, pseudo_v4};
use dpdk_tcp::wire::ethernet::{self, ETHERTYPE_ARP, Mac};
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use crate::expect::{Out, read};
use crate::reach::{OUR_MAC, OURS, PEER_MAC, PEERS, Seg, Setup, Stack, seg};

const PORTS: [u16; 4] = [7, 9, 19, 80];
const SERVICES: [Service; 4] = [Service::Echo, Service::Discard, Service::Chargen, Service::Http];
/// The peer's ports, and one of ours that nobody listens on.
const PEER_PORTS: u16 = 4;
const CLOSED_PORT: u16 = 81;
/// Steps of one program; more input is left.
const STEPS_MAX: usize = 400;
/// How far from the expected a number is told to be.
pub const OFFSETS: [u32; 16] = [
    0,
    0,
    0,
    0,
    0,
    1,
    1,
    5,
    100,
    1_460,
    65_535,
    1 << 30,
    1 << 31,
    u32::MAX,
    u32::MAX - 99,
    u32::MAX - 70_000,
];
const WINDOWS: [u16; 8] = [0xffff, 0xffff, 0xffff, 2_000, 536, 1, 0, 0];
const WAITS_MS: [u64; 8] = [0, 1, 40, 250, 1_100, 5_000, 61_000, 301_000];
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// The rest of the program; reads zeros at its end.
pub struct Program<'a>(pub &'a [u8]);

impl<'a> Program<'a> {
    pub fn octet(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn octets(&mut self, len: usize) -> &'a [u8] {
        let (now, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        now
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.octet()) % choices.len()]
    }
}

/// What both sides of a connection said last.
#[derive(Clone, Copy, Default)]
struct Numbers {
    peer_nxt: Seq,
    our_nxt: Seq,
    timestamp: u32,
}

struct Fuzz {
    stack: Stack<Services>,
    /// By our port and the peer's.
    numbers: BTreeMap<(u16, u16), Numbers>,
}

fn responses() -> &'static Responses {
    static RESPONSES: OnceLock<Responses> = OnceLock::new();
    RESPONSES.get_or_init(|| Responses::new(3_000))
}

/// Runs a program.
///
/// # Panics
/// The engine did something that it must not.
pub fn run(data: &[u8]) {
    let mut program = Program(data);
    let mut fuzz = Fuzz::new(program.octet());
    for _ in 0..STEPS_MAX {
        if program.0.is_empty() {
            break;
        }
        fuzz.step(&mut program);
    }
    fuzz.end();
}

impl Fuzz {
    /// The first octet of a program decides how scarce everything is.
    fn new(shape: u8) -> Fuzz {
        let mut setup = Setup { frames: 200, fixed: shape & 1 == 0, ..Setup::default() };
        setup.limits.connections = if shape & 2 == 0 { 16 } else { 4 };
        setup.limits.backlog = 4;
        setup.limits.time_wait_max = if shape & 4 == 0 { 16 } else { 2 };
        setup.limits.buffers = if shape & 8 == 0 { 1 << 16 } else { 4_096 };
        setup.limits.reassembly.datagrams = if shape & 8 == 0 { 1_024 } else { 2 };
        setup.limits.burst = if shape & 16 == 0 { 32 } else { 3 };
        setup.cfg.receive_buffer = if shape & 32 == 0 { 65_536 } else { 900 };
        setup.tx_room = if shape & 64 == 0 { usize::MAX } else { 2 };
        // Shortly before the ticks wrap.
        setup.start_us = if shape & 128 == 0 { 1_000_000_000 } else { (1 << 32) * 1_000 - 5_000_000 };
        let tally = Arc::new(Tally::default());
        let services = |slots: u32| Services::new(&SERVICES, slots as usize, responses(), tally);
        Fuzz { stack: setup.stack(&PORTS, services), numbers: BTreeMap::new() }
    }

    fn step(&mut self, program: &mut Program<'_>) {
        match program.octet() % 17 {
            0..8 => self.segment(program),
            8 => self.handshake(program),
            9 => self.mutated(program),
            10 => self.raw(program),
            11 => self.arp(program),
            12 => self.icmp(program),
            13 => self.wait(program.pick(&WAITS_MS)),
            14 => self.fragments(program),
            15 => self.icmp_error(program),
            _ => self.passes(4),
        }
    }

    fn endpoints(program: &mut Program<'_>) -> (u16, u16) {
        let choice = program.octet();
        let peer_port = 40_000 + u16::from(choice >> 4) % PEER_PORTS;
        let ours = PORTS.get(usize::from(choice & 7) % 5).copied().unwrap_or(CLOSED_PORT);
        (ours, peer_port)
    }

    /// A segment about where the connection stands.
    fn segment(&mut self, program: &mut Program<'_>) {
        let ends = Self::endpoints(program);
        let numbers = self.numbers.entry(ends).or_default();
        let flags = match program.octet() {
            common @ 0..192 => program_flags(common),
            any => Flags(any.rotate_left(3)),
        };
        let near = program.octet();
        let mut segment = seg(
            flags,
            numbers.peer_nxt + OFFSETS[usize::from(near >> 4)],
            numbers.our_nxt + OFFSETS[usize::from(near & 15)],
        );
        segment.ports = (ends.1, ends.0);
        let shape = program.octet();
        segment.wnd = WINDOWS[usize::from(shape & 7)];
        segment.tos = shape >> 6;
        if shape & 8 != 0 {
            numbers.timestamp = numbers.timestamp.wrapping_add(u32::from(shape));
            segment = segment.ts(numbers.timestamp, 0);
        }
        if shape & 16 != 0 {
            segment.options.mss = Some(u16::from(program.octet()) * 8);
            segment.options.window_scale = Some(shape >> 3);
            segment.options.sack_permitted = true;
        }
        if shape & 32 != 0 {
            segment.up = u16::from(program.octet()) * 4;
        }
        segment.text = text(program);
        if near >> 4 < 5 {
            numbers.peer_nxt += segment.text.len() as u32;
            numbers.peer_nxt += u32::from(flags.has(Flags::SYN)) + u32::from(flags.has(Flags::FIN));
        }
        self.send(&segment.frame());
    }

    /// A connection from nothing to ESTABLISHED.
    fn handshake(&mut self, program: &mut Program<'_>) {
        let ends = Self::endpoints(program);
        let iss = Seq(u32::from_be_bytes([program.octet(), 0xff, 0xff, 0xf0]));
        let syn = Seg { ports: (ends.1, ends.0), ..seg(Flags::SYN, iss, Seq(0)) };
        self.numbers.insert(ends, Numbers { peer_nxt: iss + 1, ..Numbers::default() });
        self.send(&syn.frame());
        self.passes(2);
        let numbers = self.numbers[&ends];
        let ack = seg(Flags::ACK, numbers.peer_nxt, numbers.our_nxt);
        self.send(&Seg { ports: (ends.1, ends.0), ..ack }.frame());
    }

    /// A good segment with some octets changed, and its checksums mended or not.
    fn mutated(&mut self, program: &mut Program<'_>) {
        let ends = Self::endpoints(program);
        let numbers = self.numbers.get(&ends).copied().unwrap_or_default();
        let whole = seg(Flags::ACK | Flags::PSH, numbers.peer_nxt, numbers.our_nxt).ts(numbers.timestamp, 0);
        let mut frame = Seg { ports: (ends.1, ends.0), ..whole.text(text(program).as_slice()) }.frame();
        let shape = program.octet();
        for _ in 0..=shape & 3 {
            let (at, value) = (usize::from(program.octet()), program.octet());
            let len = frame.len();
            frame[at % len] ^= value;
        }
        if shape & 4 != 0 {
            frame.truncate(14 + usize::from(program.octet()));
        }
        if shape & 8 == 0 {
            mend(&mut frame);
        }
        self.send(&frame);
    }

    fn raw(&mut self, program: &mut Program<'_>) {
        let len = usize::from(program.octet());
        let mut frame = program.octets(len).to_vec();
        if len & 1 == 0 && frame.len() >= 6 {
            frame[..6].copy_from_slice(&OUR_MAC.0);
        }
        self.send(&frame);
    }

    fn arp(&mut self, program: &mut Program<'_>) {
        let shape = program.octet();
        let operation = if shape & 1 == 0 { Operation::Request } else { Operation::Reply };
        let sender = match shape >> 1 & 3 {
            0 => [198, 18, 0, program.octet()],
            1 => OURS,
            2 => [0; 4],
            _ => PEERS,
        };
        let target = if shape & 8 == 0 { OURS } else { [198, 18, 0, program.octet()] };
        let sender_mac = if shape & 16 == 0 { PEER_MAC } else { Mac([2, 0, 0, 0, 1, program.octet()]) };
        let mut frame = vec![0; 42];
        let (link, body) = frame.split_at_mut(14);
        ethernet::emit(link.first_chunk_mut().unwrap(), Mac::BROADCAST, sender_mac, ETHERTYPE_ARP);
        let packet = ArpPacket { operation, sender_mac, sender, target_mac: OUR_MAC, target };
        arp::emit(body.first_chunk_mut().unwrap(), &packet);
        self.send(&frame);
    }

    /// An IPv4 packet that is not TCP: a message or another protocol, with options or without.
    fn icmp(&mut self, program: &mut Program<'_>) {
        let mut frame = seg(Flags::ACK, Seq(0), Seq(0)).frame();
        frame.truncate(34);
        frame[23] = program.pick(&[1, 1, 1, 17, 47]);
        let len = usize::from(program.octet());
        frame.extend(program.octets(len));
        mend(&mut frame);
        self.send(&frame);
    }

    /// An ICMP error about a segment that the engine sent, or nearly.
    fn icmp_error(&mut self, program: &mut Program<'_>) {
        let ends = Self::endpoints(program);
        let numbers = self.numbers.get(&ends).copied().unwrap_or_default();
        let back = program.pick(&[1, 1, 1, 74, 500, 536, 1_000, 1_448, 1_460, 3_000, 14_600, 0]);
        let octets = usize::from(program.octet()) * 6;
        let segment = seg(Flags::ACK, numbers.our_nxt - back, numbers.peer_nxt);
        let quoted = Seg { source: OURS, destination: PEERS, ports: ends, ..segment };
        let quoted = quoted.text(&vec![0; octets]).frame();
        let (kind, code) = program.pick(&[(3, 4), (3, 4), (3, 4), (3, 1), (3, 3), (3, 13), (11, 0), (12, 0)]);
        let mtu = [program.octet(), program.octet()];
        let mut frame = seg(Flags::ACK, Seq(0), Seq(0)).frame();
        frame.truncate(34);
        frame[23] = 1;
        frame.extend([kind, code, 0, 0, 0, 0, mtu[0] & 7, mtu[1]]);
        frame.extend(&quoted[14..14 + 28]);
        mend(&mut frame);
        self.send(&frame);
    }

    /// A good segment or echo request in pieces, some of which may be missing, doubled, or in each other's way.
    fn fragments(&mut self, program: &mut Program<'_>) {
        let ends = Self::endpoints(program);
        let numbers = self.numbers.entry(ends).or_default();
        let mut frame = if ends.0 == CLOSED_PORT {
            let mut echo = seg(Flags::ACK, Seq(0), Seq(0)).frame();
            echo.truncate(34);
            echo[23] = 1;
            echo.extend([&[8, 0, 0, 0, 0, 1, 0, 1][..], &text(program)].concat());
            echo
        } else {
            let segment = seg(Flags::ACK, numbers.peer_nxt, numbers.our_nxt).text(&text(program));
            numbers.peer_nxt += segment.text.len() as u32;
            Seg { ports: (ends.1, ends.0), ..segment }.frame()
        };
        mend(&mut frame);
        let (header, payload) = frame.split_at(34);
        let (unit, shape) = (8 * (1 + usize::from(program.octet() % 64)), program.octet());
        for (n, piece) in payload.chunks(unit).enumerate() {
            let wrong = program.octet();
            let offset = n * unit / 8 + usize::from(wrong == 1);
            let more = (n + 1) * unit < payload.len() && wrong != 2;
            let mut bytes = [header, piece].concat();
            bytes[16..18].copy_from_slice(&(20 + piece.len() as u16).to_be_bytes());
            bytes[18..20].copy_from_slice(&[0, shape & 3]);
            bytes[20..22].copy_from_slice(&(offset as u16 | u16::from(more) << 13).to_be_bytes());
            bytes[24..26].fill(0);
            let sum = checksum(&bytes[14..34]);
            bytes[24..26].copy_from_slice(&sum.to_be_bytes());
            for _ in 0..[1, 1, 1, 1, 1, 1, 2, 0][usize::from(wrong >> 5)] {
                self.send(&bytes);
            }
        }
    }

    fn send(&mut self, frame: &[u8]) {
        let Some(frame) = self.stack.pool.frame(frame) else { return self.passes(4) };
        let mut out = Burst::new();
        out.push(frame);
        self.stack.peer.tx_burst(&mut out);
    }

    fn passes(&mut self, count: usize) {
        for _ in 0..count {
            self.stack.worker.pass(self.stack.clock.now());
            self.stack.worker.shard().check_invariants().unwrap();
            self.listen();
        }
    }

    /// Takes what the engine sent, and remembers where it stands.
    fn listen(&mut self) {
        loop {
            let mut frames = Burst::new();
            self.stack.peer.rx_burst(&mut frames, 32);
            if frames.is_empty() {
                return;
            }
            for frame in &frames {
                let Out::Tcp(sent) = read(frame.bytes()) else { continue };
                let segment = sent.segment;
                let numbers = self.numbers.entry(sent.ports).or_default();
                if !segment.flags.has(Flags::RST) {
                    numbers.our_nxt = segment.end();
                    numbers.peer_nxt = segment.ack;
                }
            }
        }
    }

    /// Time passes from deadline to deadline.
    fn wait(&mut self, ms: u64) {
        let end = Instant(self.stack.clock.now().0 + ms * 1_000);
        self.passes(2);
        while self.stack.clock.now() < end {
            let now = self.stack.clock.now();
            let next = self
                .stack
                .worker
                .shard()
                .next_deadline()
                .map_or(u64::MAX, |at| u64::from(at.since(now.tick())));
            let step = next.clamp(1, 1_000) * 1_000;
            self.stack.clock.advance_to(Instant((now.0 + step).min(end.0)));
            self.passes(1);
        }
    }

    /// The program ends, and nothing may be left.
    fn end(mut self) {
        self.wait(10);
        self.stack.control.drain(1_000_000);
        // The drain takes a step at each pass of another millisecond.
        (0..60).for_each(|_| self.wait(50));
        assert!(self.stack.control.is_drained(), "the drain is over");
        // TIME-WAIT, and neighbours that never answer.
        self.wait(70_000);
        let shard = self.stack.worker.shard();
        assert_eq!((shard.connections(), shard.in_time_wait(), shard.index_len()), (0, 0, 0));
        assert_eq!(shard.buffers_in_use(), 0);
        assert_eq!(self.stack.worker.datagrams_in_pieces(), 0);
        let Stack { pool, worker, peer, .. } = self.stack;
        drop((worker, peer));
        assert_eq!(pool.in_use(), 0, "frames");
    }
}

/// The flags of common segments.
fn program_flags(choice: u8) -> Flags {
    match choice % 8 {
        0..3 => Flags::ACK,
        3 => Flags::ACK | Flags::PSH,
        4 => Flags::ACK | Flags::FIN,
        5 => Flags::SYN,
        6 => Flags::RST,
        _ => Flags::ACK | Flags::URG,
    }
}

fn text(program: &mut Program<'_>) -> Vec<u8> {
    match program.octet() {
        0..96 => Vec::new(),
        some @ 96..160 => program.octets(usize::from(some - 95)).to_vec(),
        160..200 => REQUEST.to_vec(),
        200..210 => REQUEST[..REQUEST.len() / 2].to_vec(),
        some => vec![some; usize::from(some - 209) * 31],
    }
}

/// Mends the lengths and checksums that can be mended.
pub fn mend(frame: &mut [u8]) {
    let Some(ip) = frame.get_mut(14..) else { return };
    let header_len = usize::from(ip.first().map_or(0, |first| first & 15)) * 4;
    if header_len < 20 || ip.len() < header_len {
        return;
    }
    let total = (ip.len() as u16).to_be_bytes();
    ip[2..4].copy_from_slice(&total);
    ip[10..12].fill(0);
    let sum = checksum(&ip[..header_len]);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    let (header, payload) = ip.split_at_mut(header_len);
    let address = |at: usize| -> [u8; 4] { std::array::from_fn(|i| header[at + i]) };
    match header[9] {
        6 if payload.len() >= 20 => {
            payload[16..18].fill(0);
            let pseudo = pseudo_v4(address(12), address(16), 6, payload.len() as u16);
            let sum = (pseudo + Sum::of(payload)).finish();
            payload[16..18].copy_from_slice(&sum.to_be_bytes());
        }
        1 if payload.len() >= 8 => {
            payload[2..4].fill(0);
            let sum = checksum(payload);
            payload[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        _ => {}
    }
}
