//! Any bytes as a program for the other end of a client's connections: what a server that means harm says, and time.
//! Whatever comes, nothing panics, the client's account balances and agrees with its shard after each pass, every
//! connection ends in one place of it once the client was told to stop, and at the end all memory is back.

use dpdk_tcp::app::client::{Client, Order, Plan};
use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::link::{Frame, QueuePair};
use dpdk_tcp::load::closing::{Close, Closes};
use dpdk_tcp::load::schedule::{Schedule, Share, Stage};
use dpdk_tcp::load::talk::{Reply, Request, Talk};
use dpdk_tcp::load::tuples::{Addresses, Ports, Target, Tuples};
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use super::frames::{OFFSETS, Program, mend};
use crate::expect::{Out, Sent, read};
use crate::reach::{OURS, PEERS, PORT, Seg, Setup, Stack, seg};

/// Steps of one program; more input is left.
const STEPS_MAX: usize = 300;
/// Connections that the peer remembers.
const KNOWN_MAX: usize = 8;
const CONNECT_MS: u32 = 300;
const REPLY_MS: u32 = 400;
const DRAIN_MS: u32 = 500;
const WAITS_MS: [u64; 8] = [0, 1, 1, 5, 40, 250, 450, 1_100];
const WINDOWS: [u16; 4] = [0xffff, 2_000, 1, 0];
const ISS: Seq = Seq(0xffff_ff00);

const RAW: Talk = Talk { request: Request::Whole(b"say it"), reply: Reply::Octets(5), requests: 1 };
const HTTP: Talk =
    Talk { request: Request::Whole(b"GET / HTTP/1.1\r\n\r\n"), reply: Reply::Http, requests: 2 };
const TALKS: [Talk; 8] = [
    Talk::SILENT,
    HTTP,
    HTTP,
    RAW,
    Talk { reply: Reply::PeerClose, ..RAW },
    Talk { request: Request::Payload { len: 40, seed: Some(9) }, reply: Reply::Same, requests: 3 },
    Talk { request: Request::Payload { len: 9_000, seed: None }, reply: Reply::Same, requests: 1 },
    Talk { request: Request::Payload { len: 9_000, seed: None }, reply: Reply::None, requests: 1 },
];
/// What the peer may say, whole or in part.
const TEXTS: [&[u8]; 10] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n",
    b"5;a=b\r\nhello\r\n",
    b"0\r\na: b\r\n\r\n",
    b"hello",
    &[b'x'; 1_400],
    b"\r\n",
];

/// One connection, as the peer knows it.
#[derive(Clone, Debug)]
struct Known {
    last: Sent,
    /// What it would say next.
    next: Seq,
    /// What the client would.
    theirs: Seq,
}

struct Fuzz {
    stack: Stack<Client>,
    started: Instant,
    known: Vec<Known>,
}

/// Runs a program.
///
/// # Panics
/// The client did something that it must not.
pub fn run(data: &[u8]) {
    let mut program = Program(data);
    let mut fuzz = Fuzz::new(&mut program);
    for _ in 0..STEPS_MAX {
        if program.0.is_empty() {
            break;
        }
        fuzz.step(&mut program);
    }
    fuzz.end();
}

/// What the client does is the program's choice.
fn plan(program: &mut Program<'_>) -> Plan {
    let choice = program.octet();
    let (concurrency, duration_ns) = (Some(1 + u32::from(choice & 3)), 3_600_000_000_000);
    let rate = (choice & 4 != 0).then_some(100.0);
    let stage = Stage { rate, concurrency, duration_ns, ..Stage::default() };
    let closes = Close::ALL.map(|close| (close, 1));
    Plan {
        schedule: Schedule { stages: vec![stage], ..Schedule::default() },
        share: Share::WHOLE,
        talk: program.pick(&TALKS),
        closes: match usize::from(choice >> 3) % 8 {
            // All of them, in turn.
            n @ 5.. => Closes::weighted(&closes[n % 2..]).expect("weights"),
            n => Closes::only(Close::ALL[n]),
        },
        connect_timeout_ms: CONNECT_MS,
        reply_timeout_ms: REPLY_MS,
        think_ms: program.pick(&[0, 0, 5]),
        hold_ms: program.pick(&[0, 0, 20, u32::MAX]),
        drain_ms: DRAIN_MS,
        order: if choice & 64 == 0 {
            Order::Own
        } else {
            Order::Random { active: 1 + u32::from(choice >> 7) }
        },
        seed: u64::from(choice),
    }
}

impl Fuzz {
    fn new(program: &mut Program<'_>) -> Fuzz {
        let plan = plan(program);
        let shape = program.octet();
        let mut setup = Setup { frames: 64, ..Setup::default() };
        setup.cfg.time_wait_ms = 1_000;
        setup.cfg.timestamps = shape & 1 == 0;
        setup.limits.connections = if shape & 2 == 0 { 16 } else { 2 };
        setup.limits.time_wait_max = if shape & 4 == 0 { 16 } else { 2 };
        setup.limits.buffers = if shape & 8 == 0 { 1 << 16 } else { 4_096 };
        setup.limits.burst = if shape & 16 == 0 { 32 } else { 3 };
        setup.cfg.receive_buffer = if shape & 32 == 0 { 65_536 } else { 900 };
        setup.tx_room = if shape & 64 == 0 { usize::MAX } else { 2 };
        // Shortly before the ticks wrap.
        setup.start_us = if shape & 128 == 0 { 1_000_000_000 } else { (1 << 32) * 1_000 - 2_000_000 };
        // Few pairs of endpoints, so that they come again.
        let ports = Ports { first: 1_024, last: 1_024 + 15 };
        let target = Target { addresses: Addresses::one(PEERS.into()), ports: Ports::one(PORT) };
        let tuples = Tuples::new(&[Addresses::one(OURS.into())], ports, &[target], 0);
        let started = Instant(setup.start_us);
        let stack = setup.stack(&[], |slots| Client::new(plan, tuples, slots, started));
        let mut fuzz = Fuzz { stack, started, known: Vec::new() };
        fuzz.passes(3);
        fuzz
    }

    fn step(&mut self, program: &mut Program<'_>) {
        match program.octet() % 16 {
            0..4 => {
                let which = usize::from(program.octet());
                self.answer(which, program);
            }
            4..6 => (0..self.known.len()).for_each(|which| self.answer(which, program)),
            6..10 => self.segment(program),
            10 => self.mutated(program),
            11 => self.icmp_error(program),
            12..14 => self.wait(program.pick(&WAITS_MS)),
            14 => {
                let len = usize::from(program.octet()).min(program.0.len());
                let (frame, rest) = program.0.split_at(len);
                program.0 = rest;
                self.send(frame);
            }
            _ => self.passes(3),
        }
    }

    /// What the peer says next on a connection, at its current numbers.
    fn next(&mut self, which: usize, flags: Flags) -> Option<Seg> {
        let count = self.known.len().max(1);
        let known = self.known.get(which % count)?;
        let (from, to) = known.last.ports;
        let segment = seg(flags, known.next, known.theirs);
        Some(Seg { ports: (to, from), ..segment })
    }

    /// Sends it, and goes on behind it.
    fn say(&mut self, which: usize, segment: &Seg) {
        let count = self.known.len().max(1);
        if let Some(known) = self.known.get_mut(which % count) {
            let control = u32::from(segment.flags.has(Flags::SYN)) + u32::from(segment.flags.has(Flags::FIN));
            known.next = segment.seq + (segment.text.len() as u32 + control);
        }
        self.send(&segment.frame());
    }

    /// As a server would that knows its manners, nearly.
    fn answer(&mut self, which: usize, program: &mut Program<'_>) {
        let Some(mut segment) = self.next(which, Flags::ACK) else { return };
        let last = &self.known[which % self.known.len()].last;
        let (syn, fin, asked) =
            (last.segment.flags.has(Flags::SYN), last.segment.flags.has(Flags::FIN), last.text.clone());
        let choice = program.octet();
        if syn && last.segment.ack == Seq(0) {
            segment.seq = ISS;
            segment.flags = if choice < 230 { Flags::SYN | Flags::ACK } else { Flags::SYN };
            segment.wnd = if choice % 8 == 7 { 0 } else { 0xffff };
        }
        if !asked.is_empty() || choice % 16 == 15 {
            segment.text = match choice % 8 {
                0..3 => asked,
                _ => text(program),
            };
        }
        if fin || choice % 32 == 31 {
            segment.flags = segment.flags | Flags::FIN;
        }
        self.say(which, &segment);
        self.passes(2);
    }

    /// A segment about where a connection stands.
    fn segment(&mut self, program: &mut Program<'_>) {
        let (which, shape) = (usize::from(program.octet()), program.octet());
        let flags = program.pick(&[
            Flags::ACK,
            Flags::ACK,
            Flags::ACK | Flags::FIN,
            Flags::RST,
            Flags::RST | Flags::ACK,
            Flags::SYN | Flags::ACK,
            Flags::SYN,
            Flags::ACK | Flags::URG,
            Flags(0),
            Flags(0xff),
        ]);
        let Some(mut segment) = self.next(which, flags) else { return };
        segment.seq += OFFSETS[usize::from(shape >> 4)];
        segment.ack += OFFSETS[usize::from(shape & 15)];
        let more = program.octet();
        segment.wnd = WINDOWS[usize::from(more & 3)];
        segment.up = u16::from(more >> 2);
        if more & 64 != 0 {
            segment.text = text(program);
        }
        if more & 128 != 0 {
            segment = segment.ts(u32::from(shape), 0);
        }
        if shape >> 4 < 5 {
            self.say(which, &segment);
        } else {
            self.send(&segment.frame());
        }
    }

    fn mutated(&mut self, program: &mut Program<'_>) {
        let which = usize::from(program.octet());
        let Some(segment) = self.next(which, Flags::ACK) else { return };
        let mut frame = segment.text(&text(program)).frame();
        let shape = program.octet();
        for _ in 0..=shape & 3 {
            let (at, value) = (usize::from(program.octet()), program.octet());
            let len = frame.len();
            frame[at % len] ^= value;
        }
        if shape & 4 != 0 {
            mend(&mut frame);
        }
        self.send(&frame);
    }

    /// An ICMP error about the last segment of a connection.
    fn icmp_error(&mut self, program: &mut Program<'_>) {
        let which = usize::from(program.octet());
        let Some(known) = self.known.get(which % self.known.len().max(1)) else { return };
        let last = &known.last;
        let quoted = Seg {
            source: OURS,
            destination: PEERS,
            ports: last.ports,
            ..seg(last.segment.flags, last.segment.seq, last.segment.ack)
        };
        let quoted = quoted.text(&last.text).frame();
        let (kind, code) = program.pick(&[(3, 4), (3, 1), (3, 3), (3, 13), (11, 0), (12, 0)]);
        let mut frame = seg(Flags::ACK, Seq(0), Seq(0)).frame();
        frame.truncate(34);
        frame[23] = 1;
        frame.extend([kind, code, 0, 0, 0, 0, program.octet() & 7, program.octet()]);
        frame.extend(&quoted[14..14 + 28]);
        mend(&mut frame);
        self.send(&frame);
    }

    fn send(&mut self, frame: &[u8]) {
        let Some(frame) = self.stack.pool.frame(frame) else { return self.passes(3) };
        let mut out = Burst::new();
        out.push(frame);
        self.stack.peer.tx_burst(&mut out);
    }

    fn passes(&mut self, count: usize) {
        for _ in 0..count {
            let now = self.stack.clock.now();
            let worker = &mut self.stack.worker;
            worker.app_mut().at((now.0 - self.started.0) * 1_000);
            worker.pass(now);
            worker.shard().check_invariants().unwrap();
            let tally = *worker.app().tally();
            assert_eq!(tally.check(), Ok(()), "{tally:?}");
            assert_eq!(tally.in_flight + tally.open, u64::from(worker.shard().connections()), "{tally:?}");
            self.listen();
        }
    }

    /// Takes what the client sent, and remembers the connections that it spoke on last.
    fn listen(&mut self) {
        loop {
            let mut frames = Burst::new();
            self.stack.peer.rx_burst(&mut frames, 32);
            if frames.is_empty() {
                return;
            }
            for frame in &frames {
                let Out::Tcp(sent) = read(frame.bytes()) else { continue };
                let before = self.known.iter().position(|known| known.last.ports == sent.ports);
                if sent.segment.flags.has(Flags::RST) {
                    before.map(|place| self.known.remove(place));
                    continue;
                }
                let next = if sent.segment.flags.has(Flags::ACK) { sent.segment.ack } else { ISS };
                let known = Known { next, theirs: sent.segment.end(), last: sent };
                match before {
                    Some(place) => self.known[place] = known,
                    None => self.known.push(known),
                }
                if self.known.len() > KNOWN_MAX {
                    self.known.remove(0);
                }
            }
        }
    }

    /// Time passes, in steps of which none is longer than those of the client's timers matter.
    fn wait(&mut self, ms: u64) {
        let end = Instant(self.stack.clock.now().0 + ms * 1_000);
        self.passes(2);
        while self.stack.clock.now() < end {
            let now = self.stack.clock.now();
            let next = self.stack.worker.shard().next_deadline();
            let next = next.map_or(u64::MAX, |at| u64::from(at.since(now.tick())));
            self.stack.clock.advance_to(Instant((now.0 + next.clamp(1, 20) * 1_000).min(end.0)));
            self.passes(1);
        }
    }

    /// The client is told to stop; nothing is left then.
    fn end(mut self) {
        self.stack.worker.app_mut().stop();
        let patience = u64::from(DRAIN_MS) + 200;
        self.wait(patience);
        let app = self.stack.worker.app();
        assert!(app.is_done(), "{:?}", app.tally());
        let tally = *app.tally();
        assert_eq!(
            tally.attempted,
            tally.failed_all() + tally.closed_all() + tally.broken_all(),
            "{tally:?}"
        );
        // TIME-WAIT, and fragments whose rest never comes.
        self.wait(1_100);
        (0..70).for_each(|_| {
            self.stack.clock.advance_to(Instant(self.stack.clock.now().0 + 1_000_000));
            self.passes(1);
        });
        let shard = self.stack.worker.shard();
        assert_eq!((shard.connections(), shard.in_time_wait(), shard.index_len()), (0, 0, 0));
        assert_eq!((shard.buffers_in_use(), self.stack.worker.datagrams_in_pieces()), (0, 0));
        let Stack { pool, worker, peer, .. } = self.stack;
        drop((worker, peer));
        assert_eq!(pool.in_use(), 0, "frames");
    }
}

fn text(program: &mut Program<'_>) -> Vec<u8> {
    let whole = program.pick(&TEXTS);
    match program.octet() {
        0..160 => whole.to_vec(),
        part => whole[usize::from(part) % whole.len()..].to_vec(),
    }
}
