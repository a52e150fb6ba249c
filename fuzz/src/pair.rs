//! Any bytes as a program for two engines of our own and the network between them: frames are delivered, lost,
//! repeated, turned around, damaged or forged; applications on both sides open, send, close, abort; time passes.
//! Whatever comes, nothing panics and every invariant holds on both sides; while nothing was forged no application
//! ever reads an octet that the other did not write there, and who is told of the end has all of it; and when the
//! network has become good again, nothing is left anywhere.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::engine::api::{Accept, App, CloseReason, Conn, ConnId, ListenerId};
use dpdk_tcp::engine::control::Control;
use dpdk_tcp::engine::host::{FixedNeighbour, Host};
use dpdk_tcp::engine::limits::Limits;
use dpdk_tcp::engine::shard::Shard;
use dpdk_tcp::engine::worker::Worker;
use dpdk_tcp::inet::locals::Locals;
use dpdk_tcp::inet::route::Routes;
use dpdk_tcp::link::{Frame, QueuePair};
use dpdk_tcp::sim::faults::Faults;
use dpdk_tcp::sim::frame::FramePool;
use dpdk_tcp::sim::pair::{End, SimClock, wire};
use dpdk_tcp::stats::counters::Counters;
use dpdk_tcp::tcp::arrives::listen::CookieMode;
use dpdk_tcp::tcp::config::Config;
use dpdk_tcp::wire::ethernet::Mac;

use super::frames::{Program, mend};
use crate::reach::{OUR_MAC, OURS, PEER_MAC, PEERS, PORT, caps};

const STEPS_MAX: usize = 300;
/// Connections of one program.
const OPENS_MAX: u16 = 8;
const FIRST_PORT: u16 = 50_000;
const WAITS_MS: [u64; 8] = [1, 5, 40, 200, 1_000, 3_000, 20_000, 70_000];
const LENGTHS: [usize; 8] = [1, 10, 100, 1_000, 1_461, 5_000, 20_000, 60_000];
/// Longer than every timer and its back-off.
const PATIENCE_US: u64 = 1_500_000_000;

/// One side of one connection.
#[derive(Clone, Copy, Default)]
struct Half {
    id: Option<ConnId>,
    written: usize,
    read: usize,
    /// The application reads to the end.
    reads: bool,
}

/// All connections: by the client's port, and by the side.
type Halves = BTreeMap<u16, [Half; 2]>;

/// What both applications know.
#[derive(Default)]
struct Book {
    halves: Halves,
    ports: BTreeMap<(usize, u32, u32), u16>,
    /// Something was forged: streams prove nothing any more.
    forged: bool,
    /// Octets that `on_data` takes at most.
    take: [usize; 2],
}

/// The octet of a stream.
fn octet(port: u16, side: usize, at: usize) -> u8 {
    (at ^ (at >> 8) ^ usize::from(port) ^ (side << 7)) as u8
}

/// An application of one side.
#[derive(Clone)]
struct Side {
    side: usize,
    book: Rc<RefCell<Book>>,
}

impl Side {
    /// The client's port, whichever end is the client.
    fn port(&self, conn: &Conn<'_>) -> u16 {
        if self.side == 0 { conn.remote().port() } else { conn.local().port() }
    }

    fn meet(&self, conn: &Conn<'_>) {
        let mut book = self.book.borrow_mut();
        let (port, id) = (self.port(conn), conn.id());
        book.ports.insert((self.side, id.index, id.generation), port);
        let half = &mut book.halves.entry(port).or_default()[self.side];
        // A client whose half-open entry was forgotten may come twice; nobody has written then.
        *half = Half { id: Some(id), reads: true, ..*half };
    }
}

impl App for Side {
    fn on_connected(&mut self, conn: &mut Conn<'_>) {
        self.meet(conn);
    }

    fn on_open(&mut self, conn: &mut Conn<'_>, _listener: ListenerId) -> Accept {
        self.meet(conn);
        Accept::Take
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, data: &[u8]) -> usize {
        let mut book = self.book.borrow_mut();
        let taken = data.len().min(book.take[self.side]);
        let (port, forged) = (self.port(conn), book.forged);
        let halves = book.halves.entry(port).or_default();
        let from = halves[self.side].read;
        halves[self.side].read += taken;
        if !forged {
            let other = 1 - self.side;
            assert!(from + data.len() <= halves[other].written, "more was read than written");
            let right = data.iter().enumerate().all(|(n, found)| *found == octet(port, other, from + n));
            assert!(right, "the stream of port {port} differs within {} octets from {from}", data.len());
        }
        taken
    }

    fn on_writable(&mut self, _conn: &mut Conn<'_>) {}

    fn on_peer_close(&mut self, conn: &mut Conn<'_>) {
        let book = self.book.borrow();
        let halves = &book.halves[&self.port(conn)];
        if !book.forged && halves[self.side].reads && conn.unread() == 0 {
            assert_eq!(halves[self.side].read, halves[1 - self.side].written, "all of it before the end");
        }
    }

    fn on_closed(&mut self, id: ConnId, _reason: CloseReason) {
        let mut book = self.book.borrow_mut();
        let Some(port) = book.ports.remove(&(self.side, id.index, id.generation)) else { return };
        book.halves.entry(port).or_default()[self.side].id = None;
    }
}

/// One engine and the network's end of its wire.
struct Node {
    worker: Worker<End, Side>,
    far: End,
    control: Arc<Control>,
    /// Frames that left it and are under way.
    under_way: VecDeque<Vec<u8>>,
}

struct Pair {
    clock: SimClock,
    pool: FramePool,
    nodes: [Node; 2],
    book: Rc<RefCell<Book>>,
    opened: u16,
}

/// Runs a program.
///
/// # Panics
/// One of the engines did something that it must not.
pub fn run(data: &[u8]) {
    let mut program = Program(data);
    let mut pair = Pair::new([program.octet(), program.octet()]);
    pair.open(1);
    for _ in 0..STEPS_MAX {
        if program.0.is_empty() {
            break;
        }
        pair.step(&mut program);
    }
    pair.end();
}

/// An octet of the program decides what a side agrees to and how scarce things are.
fn settings(shape: u8) -> (Config, Limits) {
    let cfg = Config {
        timestamps: shape & 1 == 0,
        sack: shape & 2 == 0,
        window_scale: shape & 4 == 0,
        ecn_ask: shape & 8 != 0,
        receive_buffer: if shape & 16 == 0 { 100_000 } else { 3_000 },
        ..Config::default()
    };
    let limits = Limits {
        connections: 16,
        backlog: 8,
        time_wait_max: 16,
        buffers: if shape & 32 == 0 { 1 << 20 } else { 16_384 },
        burst: if shape & 64 == 0 { 32 } else { 2 },
        syn_cookies: if shape & 128 == 0 { CookieMode::Auto } else { CookieMode::Always },
        ..Limits::default()
    };
    (cfg, limits)
}

const ADDRESSES: [([u8; 4], Mac); 2] = [(OURS, OUR_MAC), (PEERS, PEER_MAC)];

impl Node {
    fn new(side: usize, shape: u8, clock: &SimClock, pool: &FramePool, book: &Rc<RefCell<Book>>) -> Node {
        let (cfg, limits) = settings(shape);
        let ((addr, mac), (other, other_mac)) = (ADDRESSES[side], ADDRESSES[1 - side]);
        let (near, far) = wire(clock, pool, [caps(mac, 1_500); 2], [Faults::default(); 2], 1);
        let secrets = Secrets::from_seed(side as u64 + 1);
        let mut locals = Locals::default();
        locals.add(IpAddr::V4(addr.into()), 24, 0).unwrap();
        let neighbour = FixedNeighbour { interface: 0, ip: IpAddr::V4(other.into()), mac: other_mac };
        let host = Host::new(&locals, Routes::default(), &[neighbour], false, &secrets, clock.now());
        let counters = Arc::new(Counters::default());
        let control = Arc::new(Control::default());
        let mut shard = Shard::new(limits, cfg, secrets, locals, counters, clock.now());
        if side == 0 {
            shard.listen(None, PORT).unwrap();
        }
        let app = Side { side, book: book.clone() };
        let worker = Worker::new(vec![near], host, shard, app, control.clone());
        Node { worker, far, control, under_way: VecDeque::new() }
    }

    /// Lets the loop run, and takes what it sent onto the way.
    fn pass(&mut self, now: Instant) {
        for _ in 0..3 {
            self.worker.pass(now);
        }
        self.worker.shard().check_invariants().unwrap();
        loop {
            let mut frames = Burst::new();
            self.far.rx_burst(&mut frames, 32);
            if frames.is_empty() {
                return;
            }
            self.under_way.extend(frames.iter().map(|frame| frame.bytes().to_vec()));
        }
    }
}

impl Pair {
    fn new(shapes: [u8; 2]) -> Pair {
        let clock = SimClock::default();
        clock.advance_to(Instant(((1 << 32) - 100_000) * 1_000));
        let pool = FramePool::new(1_024);
        let book = Rc::new(RefCell::new(Book { take: [usize::MAX; 2], ..Book::default() }));
        let nodes = [0, 1].map(|side| Node::new(side, shapes[side], &clock, &pool, &book));
        let mut pair = Pair { clock, pool, nodes, book, opened: 0 };
        // The announcements of addresses are of no interest.
        pair.pass();
        pair.nodes.iter_mut().for_each(|node| node.under_way.clear());
        pair
    }

    fn pass(&mut self) {
        let now = self.clock.now();
        self.nodes.iter_mut().for_each(|node| node.pass(now));
    }

    /// A new connection: the client's port is new. Side 0 opens towards a port where nobody listens, or where the
    /// other side is opening at the same time.
    fn open(&mut self, side: usize) {
        let fresh = FIRST_PORT + self.opened;
        if side == 1 && self.opened == OPENS_MAX {
            return;
        }
        let (remote, local_port, port) = match side {
            0 => (PEERS, PORT, FIRST_PORT + self.opened.saturating_sub(1)),
            _ => (OURS, fresh, PORT),
        };
        let remote = SocketAddr::new(IpAddr::V4(remote.into()), port);
        let opened = self.nodes[side].worker.open(None, Some(local_port), remote);
        self.opened += u16::from(side == 1);
        if let Ok(id) = opened {
            let mut book = self.book.borrow_mut();
            let client = if side == 0 { port } else { local_port };
            book.ports.insert((side, id.index, id.generation), client);
            book.halves.entry(client).or_default()[side].id = Some(id);
        }
        self.pass();
    }

    fn step(&mut self, program: &mut Program<'_>) {
        let choice = program.octet();
        let side = usize::from(choice >> 7);
        match choice & 31 {
            0..8 => self.deliver(side, usize::from(choice & 7) + 1),
            8 => drop(self.nodes[side].under_way.pop_front()),
            9 => self.repeat(side),
            10 => self.nodes[side].under_way.rotate_left(usize::from(self.nodes[side].under_way.len() > 1)),
            11 => self.damage(side, program),
            12 => self.forge(side, program),
            13..17 => self.wait(program.pick(&WAITS_MS)),
            17 => self.open(side),
            18..26 => self.write(side, program),
            26 => self.call(side, program, |conn| conn.shutdown()),
            27 => {
                let octets = program.pick(&[1, 100, 5_000, usize::MAX]);
                self.book.borrow_mut().take[side] = octets;
            }
            28 => self.close(side, program),
            _ => {
                self.deliver(0, 64);
                self.deliver(1, 64);
            }
        }
        self.pass();
    }

    /// Hands the oldest frames that left `side` to the other side.
    fn deliver(&mut self, side: usize, count: usize) {
        for _ in 0..count {
            let Some(bytes) = self.nodes[side].under_way.pop_front() else { return };
            self.arrive(1 - side, &bytes);
        }
    }

    fn arrive(&mut self, side: usize, bytes: &[u8]) {
        let Some(frame) = self.pool.frame(bytes) else { return };
        let mut out = Burst::new();
        out.push(frame);
        self.nodes[side].far.tx_burst(&mut out);
    }

    fn repeat(&mut self, side: usize) {
        let first = self.nodes[side].under_way.front().cloned();
        self.nodes[side].under_way.extend(first);
    }

    /// One octet is changed: checksums see that always.
    fn damage(&mut self, side: usize, program: &mut Program<'_>) {
        let (at, value) = (usize::from(program.octet()), program.octet());
        if let Some(frame) = self.nodes[side].under_way.front_mut() {
            let len = frame.len() - 14;
            frame[14 + at % len] ^= value;
        }
    }

    /// A frame is changed as somebody would who knows how to mend checksums; the right one may go on too.
    fn forge(&mut self, side: usize, program: &mut Program<'_>) {
        let Some(mut frame) = self.nodes[side].under_way.front().cloned() else { return };
        for _ in 0..=program.octet() & 3 {
            let at = 34 + usize::from(program.octet()) % (frame.len() - 34);
            frame[at] = frame[at].wrapping_add(program.octet());
        }
        mend(&mut frame);
        self.book.borrow_mut().forged = true;
        self.arrive(1 - side, &frame);
    }

    fn chosen(&self, side: usize, choice: u8) -> Option<(u16, ConnId)> {
        let book = self.book.borrow();
        let open: Vec<_> =
            book.halves.iter().filter_map(|(port, halves)| Some((*port, halves[side].id?))).collect();
        let count = open.len();
        (count > 0).then(|| open[usize::from(choice) % count])
    }

    fn call(&mut self, side: usize, program: &mut Program<'_>, call: impl FnOnce(&mut Conn<'_>)) {
        if let Some((_, id)) = self.chosen(side, program.octet()) {
            self.nodes[side].worker.call(id, call);
        }
    }

    fn write(&mut self, side: usize, program: &mut Program<'_>) {
        let shape = program.octet();
        let Some((port, id)) = self.chosen(side, shape >> 3) else { return };
        let from = self.book.borrow().halves[&port][side].written;
        let text: Vec<u8> =
            (from..from + LENGTHS[usize::from(shape & 7)]).map(|at| octet(port, side, at)).collect();
        let mut taken = 0;
        self.nodes[side].worker.call(id, |conn| taken = conn.send(&text));
        self.book.borrow_mut().halves.entry(port).or_default()[side].written += taken;
    }

    /// Ways to end after which this side reads no more; or a change of habits.
    fn close(&mut self, side: usize, program: &mut Program<'_>) {
        let shape = program.octet();
        let Some((port, id)) = self.chosen(side, shape >> 3) else { return };
        if shape & 7 < 4 {
            self.nodes[side].worker.call(id, |conn| conn.set_nodelay(shape & 1 == 0));
            return;
        }
        self.book.borrow_mut().halves.entry(port).or_default()[side].reads = false;
        self.nodes[side].worker.call(id, |conn| match shape & 7 {
            4 => conn.abort(),
            5 => conn.close(),
            _ => conn.finish(),
        });
    }

    fn next_deadline_ms(&self) -> u64 {
        let tick = self.clock.now().tick();
        let next = |node: &Node| node.worker.shard().next_deadline().map(|at| u64::from(at.since(tick)));
        self.nodes.iter().filter_map(next).min().unwrap_or(u64::MAX).clamp(1, 20_000)
    }

    /// Time passes from deadline to deadline; nothing is delivered.
    fn wait(&mut self, ms: u64) {
        let end = Instant(self.clock.now().0 + ms * 1_000);
        while self.clock.now() < end {
            let step = self.next_deadline_ms() * 1_000;
            self.clock.advance_to(Instant((self.clock.now().0 + step).min(end.0)));
            self.pass();
        }
    }

    /// The network becomes good, both sides close, and nothing may be left.
    fn end(mut self) {
        self.book.borrow_mut().take = [usize::MAX; 2];
        for (side, node) in self.nodes.iter_mut().enumerate() {
            let halves: Vec<_> =
                self.book.borrow().halves.values().filter_map(|half| half[side].id).collect();
            for id in halves {
                node.worker.call(id, |conn| {
                    conn.resume();
                    conn.shutdown();
                });
            }
        }
        let patience = Instant(self.clock.now().0 + PATIENCE_US);
        let mut draining = false;
        loop {
            self.pass();
            while self.nodes.iter().any(|node| !node.under_way.is_empty()) {
                self.deliver(0, 64);
                self.deliver(1, 64);
                self.pass();
            }
            let left: u32 = self.nodes.iter().map(|node| node.worker.shard().connections()).sum();
            let waiting: usize =
                self.nodes.iter().map(|node| node.worker.shard().in_time_wait() as usize).sum();
            if left == 0 && waiting == 0 {
                break;
            }
            assert!(self.clock.now() < patience, "{left} connections are stuck");
            if !draining && self.clock.now().0 + PATIENCE_US / 2 > patience.0 {
                // Whoever only waits for the other side's data is told to end.
                self.nodes.iter().for_each(|node| node.control.drain(1_000_000));
                draining = true;
            }
            let step = self.next_deadline_ms() * 1_000;
            self.clock.advance_to(Instant(self.clock.now().0 + step));
        }
        for node in &self.nodes {
            let shard = node.worker.shard();
            assert_eq!((shard.index_len(), shard.buffers_in_use()), (0, 0));
        }
        let Pair { pool, nodes, .. } = self;
        drop(nodes);
        assert_eq!(pool.in_use(), 0, "frames");
    }
}
