//! A stack on a wire in virtual time, and a peer whose every segment the test makes by hand. States are
//! reached by real exchange; no test writes a state.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::engine::api::{Accept, App, CloseReason, Conn, ConnId, ListenerId};
use dpdk_tcp::engine::control::Control;
use dpdk_tcp::engine::host::{FixedNeighbour, Host};
use dpdk_tcp::engine::limits::Limits;
use dpdk_tcp::engine::shard::Shard;
use dpdk_tcp::engine::worker::{Pass, Worker};
use dpdk_tcp::inet::locals::Locals;
use dpdk_tcp::inet::route::Routes;
use dpdk_tcp::link::{Caps, Frame, QueuePair, Tso};
use dpdk_tcp::sim::faults::Faults;
use dpdk_tcp::sim::frame::FramePool;
use dpdk_tcp::sim::pair::{End, SimClock, wire};
use dpdk_tcp::stats::counters::{Counter, Counters};
use dpdk_tcp::tcp::config::Config;
use dpdk_tcp::tcp::outcome::Soft;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::checksum::{Sum, pseudo_v4};
use dpdk_tcp::wire::ethernet::{self, ETHERTYPE_IPV4, Mac};
use dpdk_tcp::wire::ipv4::{self, Ipv4Fields};
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::{self, Flags, Header};
use dpdk_tcp::wire::tcp_options::{self, Options, Timestamps};

use crate::expect::{Out, Sent, read};

pub const OUR_MAC: Mac = Mac([2, 0, 0, 0, 0, 1]);
pub const PEER_MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);
pub const OURS: [u8; 4] = [198, 18, 0, 1];
pub const PEERS: [u8; 4] = [198, 18, 0, 2];
pub const PORT: u16 = 80;
pub const PEER_PORT: u16 = 40_000;

pub fn caps(mac: Mac, mtu: u16) -> Caps {
    Caps { mac: mac.0, mtu, ..Caps::default() }
}

/// A port that sums what it sends and cuts large segments. Its buffers hold a jumbo frame each.
pub fn caps_with_tso(mac: Mac, mtu: u16) -> Caps {
    let tso = Some(Tso { text_max: 32_000, frame_max: mtu + 14, frames: 4 });
    Caps { tx_ip_checksum: true, tx_tcp_checksum: true, tso, ..caps(mac, mtu) }
}

/// `DPDK_TCP_TSO=1` lets every test run over such a port.
fn tso_is_asked_for() -> bool {
    std::env::var_os("DPDK_TCP_TSO").is_some()
}

/// What an application was told, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Told {
    Open,
    Connected,
    Data(Vec<u8>),
    Writable,
    PeerClose,
    Urgent(u32),
    Trouble(Soft),
    Closed(CloseReason),
    Drain,
}

/// What an application does once with a connection.
pub type Once = Box<dyn FnOnce(&mut Conn<'_>)>;

/// What the test's application is to do, and what it was told.
#[derive(Default)]
pub struct Script {
    pub told: Vec<Told>,
    /// The soft errors that were reported.
    pub troubles: Vec<Soft>,
    /// Refuses new connections for now.
    pub refuse: bool,
    /// How many bytes `on_data` takes; all of them without a number.
    pub take: Option<usize>,
    /// How many bytes `on_data` takes in all from now on; no limit without a number.
    pub credit: Option<usize>,
    /// The connection that was opened last.
    pub conn: Option<ConnId>,
    /// Called once, at the next chance, with the connection.
    pub next: Option<Once>,
}

/// An application that writes down what it is told and does what the script says.
#[derive(Clone, Default)]
pub struct Probe(pub Rc<RefCell<Script>>);

impl Probe {
    fn act(&self, conn: &mut Conn<'_>) {
        let next = self.0.borrow_mut().next.take();
        if let Some(next) = next {
            next(conn);
        }
    }

    fn tell(&self, told: Told) {
        self.0.borrow_mut().told.push(told);
    }
}

impl App for Probe {
    fn on_connected(&mut self, conn: &mut Conn<'_>) {
        self.0.borrow_mut().conn = Some(conn.id());
        self.tell(Told::Connected);
        self.act(conn);
    }

    fn on_open(&mut self, conn: &mut Conn<'_>, _listener: ListenerId) -> Accept {
        if self.0.borrow().refuse {
            return Accept::Later;
        }
        self.0.borrow_mut().conn = Some(conn.id());
        self.tell(Told::Open);
        self.act(conn);
        Accept::Take
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, data: &[u8]) -> usize {
        let mut script = self.0.borrow_mut();
        let taken =
            script.take.unwrap_or(data.len()).min(script.credit.unwrap_or(data.len())).min(data.len());
        script.credit = script.credit.map(|credit| credit - taken);
        drop(script);
        self.tell(Told::Data(data[..taken].to_vec()));
        self.act(conn);
        taken
    }

    fn on_writable(&mut self, conn: &mut Conn<'_>) {
        self.tell(Told::Writable);
        self.act(conn);
    }

    fn on_peer_close(&mut self, conn: &mut Conn<'_>) {
        self.tell(Told::PeerClose);
        self.act(conn);
    }

    fn on_urgent(&mut self, conn: &mut Conn<'_>) {
        self.tell(Told::Urgent(conn.urgent().unwrap_or(0)));
    }

    fn on_trouble(&mut self, _conn: &mut Conn<'_>, trouble: Soft) {
        self.0.borrow_mut().troubles.push(trouble);
        // Repetitions are in `troubles` alone: most tests are not about them.
        if trouble != Soft::Retransmitting {
            self.tell(Told::Trouble(trouble));
        }
    }

    fn on_drain(&mut self, conn: &mut Conn<'_>) {
        self.tell(Told::Drain);
        conn.finish();
    }

    fn on_closed(&mut self, _id: ConnId, reason: CloseReason) {
        self.tell(Told::Closed(reason));
    }
}

/// What a run of all tests sets differently: `DPDK_TCP_BURST` (1 to 64), `DPDK_TCP_PREDICTION` (true, false),
/// `DPDK_TCP_REST_FROM` (a number of connections).
#[allow(clippy::disallowed_methods, reason = "the environment says how the tests are run")]
fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is no such setting")))
}

/// How a stack is set up.
#[derive(Clone)]
pub struct Setup {
    pub cfg: Config,
    pub limits: Limits,
    pub mtu: u16,
    /// The clock at the start, in microseconds.
    pub start_us: u64,
    pub seed: u64,
    pub faults: [Faults; 2],
    /// Our addresses, all with a prefix of 24 bits.
    pub addrs: Vec<[u8; 4]>,
    /// Ranges of our addresses in a subnet of 15 bits: the first, and how many.
    pub ranges: Vec<([u8; 4], u32)>,
    pub gateway: Option<[u8; 4]>,
    /// The peer's MAC address is known without ARP.
    pub fixed: bool,
    /// Addresses are probed for before they are used.
    pub probe_first: bool,
    /// Frames in the pool of both ends.
    pub frames: usize,
    /// Our port sums what it sends and cuts large segments.
    pub tso: bool,
    /// Frames that our end takes at once.
    pub tx_room: usize,
}

/// A stack with any application, and the other end of its wire.
pub struct Stack<A: App> {
    pub clock: SimClock,
    pub pool: FramePool,
    pub worker: Worker<End, A>,
    pub peer: End,
    pub counters: Arc<Counters>,
    pub control: Arc<Control>,
}

impl Setup {
    /// With bursts of 32, however the tests are run: for what is about one burst.
    pub fn in_bursts() -> Setup {
        let mut setup = Setup::default();
        setup.limits.burst = 32;
        setup
    }

    /// A stack that listens on `ports`; the application is made for the number of slots it is told.
    pub fn stack<A: App>(&self, ports: &[u16], app: impl FnOnce(u32) -> A) -> Stack<A> {
        let clock = SimClock::default();
        clock.advance_to(Instant(self.start_us));
        let pool = FramePool::new(self.frames);
        let ours = if self.tso { caps_with_tso(OUR_MAC, self.mtu) } else { caps(OUR_MAC, self.mtu) };
        let both = [ours, caps(PEER_MAC, self.mtu)];
        let (mut ours, peer) = wire(&clock, &pool, both, self.faults, self.seed);
        ours.tx_room = self.tx_room;
        let secrets = Secrets::from_seed(self.seed);
        let mut locals = Locals::default();
        for addr in &self.addrs {
            locals.add(IpAddr::V4((*addr).into()), 24, 0).unwrap();
        }
        for (first, count) in &self.ranges {
            locals.add_range(IpAddr::V4((*first).into()), *count, 15, 0).unwrap();
        }
        let gateway = self.gateway.map(|gateway| IpAddr::V4(gateway.into()));
        let routes = gateway.map(|gateway| Routes::with_gateway(gateway, &locals).unwrap());
        let peers = FixedNeighbour { interface: 0, ip: IpAddr::V4(PEERS.into()), mac: PEER_MAC };
        let fixed = &[peers][..usize::from(self.fixed)];
        let host =
            Host::new(&locals, routes.unwrap_or_default(), fixed, self.probe_first, &secrets, clock.now());
        let counters = Arc::new(Counters::default());
        let control = Arc::new(Control::default());
        let (limits, cfg) = (self.limits.clone(), self.cfg.clone());
        let mut shard = Shard::new(limits, cfg, secrets, locals, counters.clone(), clock.now());
        for port in ports {
            shard.listen(None, *port).unwrap();
        }
        let app = app(shard.slots());
        let worker = Worker::new(vec![ours], host, shard, app, control.clone());
        Stack { clock, pool, worker, peer, counters, control }
    }
}

impl Default for Setup {
    fn default() -> Self {
        let mut limits =
            Limits { connections: 64, backlog: 16, time_wait_max: 64, buffers: 4 << 20, ..Limits::default() };
        limits.burst = from_environment("DPDK_TCP_BURST").unwrap_or(limits.burst);
        limits.rest_from = from_environment("DPDK_TCP_REST_FROM").unwrap_or(limits.rest_from);
        let prediction = from_environment("DPDK_TCP_PREDICTION").unwrap_or(true);
        Setup {
            cfg: Config { prediction, ..Config::default() },
            limits,
            mtu: 1500,
            start_us: 1_000_000_000,
            seed: 1,
            faults: [Faults::default(); 2],
            addrs: vec![OURS],
            ranges: Vec::new(),
            gateway: None,
            fixed: true,
            probe_first: false,
            frames: 2_048,
            tso: tso_is_asked_for(),
            tx_room: usize::MAX,
        }
    }
}

/// A stack, its wire, and the peer's end of it.
pub struct World {
    pub clock: SimClock,
    pub pool: FramePool,
    pub worker: Worker<End, Probe>,
    pub peer: End,
    pub probe: Probe,
    pub counters: Arc<Counters>,
    pub control: Arc<Control>,
    burst: usize,
}

impl World {
    pub fn new() -> World {
        World::with(Setup::default())
    }

    pub fn with(setup: Setup) -> World {
        let mut world = World::cold(setup);
        world.run();
        world.drain_frames();
        world
    }

    /// A world whose loop has not begun.
    pub fn cold(setup: Setup) -> World {
        let probe = Probe::default();
        let app = probe.clone();
        let burst = setup.limits.burst;
        let Stack { clock, pool, worker, peer, counters, control } = setup.stack(&[PORT], |_| app);
        World { clock, pool, worker, peer, probe, counters, control, burst }
    }

    /// The limits that the stack was made with.
    pub fn setup_limits(&self) -> Limits {
        Setup::default().limits
    }

    /// Runs the loop until nothing more happens at this instant.
    pub fn run(&mut self) {
        // Enough for what one test sends at once.
        for _ in 0..64.max(2_048 / self.burst) {
            self.worker.pass(self.clock.now());
        }
        self.check();
    }

    /// Lets the loop take what has come; twice and more often only while its bursts are too short for it.
    pub fn pass(&mut self) {
        for _ in 0..32_usize.div_ceil(self.burst) {
            if self.worker.pass(self.clock.now()) == Pass::Idle {
                return;
            }
        }
    }

    /// What must hold between any two passes.
    #[track_caller]
    pub fn check(&self) {
        self.worker.shard().check_invariants().unwrap();
    }

    /// Lets time pass in steps of a millisecond.
    pub fn pass_ms(&mut self, ms: u64) {
        for _ in 0..ms {
            self.clock.advance_to(Instant(self.clock.now().0 + 1_000));
            self.pass();
        }
        self.check();
    }

    /// Sends a raw frame to the stack; it is processed by the next `run`.
    pub fn send_frame(&mut self, bytes: &[u8]) {
        let mut out = Burst::new();
        out.push(self.pool.frame(bytes).expect("a frame"));
        self.peer.tx_burst(&mut out);
    }

    /// All frames that the stack sent since the last look.
    pub fn drain_frames(&mut self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            let mut frames = Burst::new();
            self.peer.rx_burst(&mut frames, 32);
            if frames.is_empty() {
                return all;
            }
            all.extend(frames.iter().map(|frame| frame.bytes().to_vec()));
        }
    }

    /// All segments that the stack sent since the last look; anything else is left out.
    #[track_caller]
    pub fn sent(&mut self) -> Vec<Sent> {
        let frames = self.drain_frames();
        let tcp = frames.iter().filter_map(|frame| match read(frame) {
            Out::Tcp(sent) => Some(sent),
            _ => None,
        });
        tcp.collect()
    }

    /// The one segment that the stack sent since the last look.
    #[track_caller]
    pub fn one(&mut self) -> Sent {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1, "one segment, not {sent:#?}");
        sent.remove(0)
    }

    /// The stack sent nothing since the last look.
    #[track_caller]
    pub fn silent(&mut self) {
        let sent = self.sent();
        assert!(sent.is_empty(), "silence, not {sent:#?}");
    }

    pub fn told(&self) -> Vec<Told> {
        std::mem::take(&mut self.probe.0.borrow_mut().told)
    }

    /// The soft errors that were reported since the last look.
    pub fn troubles(&self) -> Vec<Soft> {
        std::mem::take(&mut self.probe.0.borrow_mut().troubles)
    }

    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.counters.dropped(reason)
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.counters.get(counter)
    }

    /// The state of the connection with the peer's port.
    pub fn state(&self, peer_port: u16) -> State {
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::from(OURS)), PORT);
        let remote = SocketAddr::new(IpAddr::V4(Ipv4Addr::from(PEERS)), peer_port);
        self.worker.shard().state_of(local, remote).unwrap_or(State::Closed)
    }

    /// Lets `call` run on the connection that was opened last, as its application would.
    pub fn call(&mut self, call: impl FnOnce(&mut Conn<'_>)) {
        let id = self.probe.0.borrow().conn.expect("a connection");
        self.worker.call(id, call);
        self.run();
    }

    /// Everything is over: no connection, no record, no buffer, no frame (TRN-12).
    #[track_caller]
    pub fn assert_quiet(mut self) {
        let shard = self.worker.shard();
        assert_eq!((shard.connections(), shard.half_open()), (0, 0), "connections");
        assert_eq!(shard.in_time_wait(), 0, "TIME-WAIT records");
        assert_eq!(shard.buffers_in_use(), 0, "buffers");
        assert_eq!(shard.index_len(), 0, "index entries");
        assert_eq!(self.worker.datagrams_in_pieces(), 0, "datagrams in pieces");
        self.drain_frames();
        drop(self.worker);
        drop(self.peer);
        assert_eq!(self.pool.in_use(), 0, "frames");
    }
}

/// A segment that the peer sends.
#[derive(Clone, Debug)]
pub struct Seg {
    pub source: [u8; 4],
    pub destination: [u8; 4],
    pub ports: (u16, u16),
    pub seq: Seq,
    pub ack: Seq,
    pub flags: Flags,
    pub wnd: u16,
    pub up: u16,
    pub options: Options,
    pub text: Vec<u8>,
    pub tos: u8,
}

pub fn seg(flags: Flags, seq: Seq, ack: Seq) -> Seg {
    Seg {
        source: PEERS,
        destination: OURS,
        ports: (PEER_PORT, PORT),
        seq,
        ack,
        flags,
        wnd: 0xffff,
        up: 0,
        options: Options::default(),
        text: Vec::new(),
        tos: 0,
    }
}

impl Seg {
    pub fn text(mut self, text: &[u8]) -> Seg {
        self.text = text.to_vec();
        self
    }

    pub fn wnd(mut self, wnd: u16) -> Seg {
        self.wnd = wnd;
        self
    }

    pub fn from_port(mut self, port: u16) -> Seg {
        self.ports.0 = port;
        self
    }

    pub fn options(mut self, options: Options) -> Seg {
        self.options = options;
        self
    }

    pub fn ts(mut self, val: u32, ecr: u32) -> Seg {
        self.options.timestamps = Some(Timestamps { val, ecr });
        self
    }

    /// The frame, with right checksums.
    pub fn frame(&self) -> Vec<u8> {
        let mut options = [0; tcp_options::LEN_MAX];
        let options_len = tcp_options::emit(&self.options, &mut options);
        let tcp_len = tcp::HEADER_LEN + options_len + self.text.len();
        let mut bytes = vec![0; 34 + tcp_len];
        ethernet::emit(bytes[..14].first_chunk_mut().unwrap(), OUR_MAC, PEER_MAC, ETHERTYPE_IPV4);
        let fields = Ipv4Fields {
            source: self.source,
            destination: self.destination,
            protocol: ipv4::PROTOCOL_TCP,
            ttl: 64,
            tos: self.tos,
            payload_len: tcp_len as u16,
            id: 0,
            dont_fragment: true,
        };
        ipv4::emit(bytes[14..34].first_chunk_mut().unwrap(), &fields, true);
        let header = Header {
            ports: self.ports,
            seq: self.seq,
            ack: self.ack,
            flags: self.flags,
            wnd: self.wnd,
            up: self.up,
        };
        header.emit(bytes[34..].first_chunk_mut().unwrap(), tcp::HEADER_LEN + options_len);
        bytes[54..54 + options_len].copy_from_slice(&options[..options_len]);
        bytes[54 + options_len..].copy_from_slice(&self.text);
        let sum =
            (pseudo_v4(self.source, self.destination, 6, tcp_len as u16) + Sum::of(&bytes[34..])).finish();
        bytes[50..52].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

/// A hand-driven peer of one connection: what it would send next.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub port: u16,
    /// The peer's SND.NXT.
    pub seq: Seq,
    /// The peer's RCV.NXT: our SND.NXT as far as it saw.
    pub ack: Seq,
}

impl World {
    /// Sends segments in one burst and lets the stack answer.
    pub fn inject(&mut self, segments: &[Seg]) {
        for segment in segments {
            self.send_frame(&segment.frame());
        }
        self.run();
    }

    /// SYN and SYN-ACK: the stack is in SYN-RECEIVED.
    #[track_caller]
    pub fn half_open(&mut self, port: u16, iss: Seq, options: Options) -> (Peer, Sent) {
        self.inject(&[seg(Flags::SYN, iss, Seq(0)).from_port(port).options(options)]);
        let syn_ack = self.one();
        syn_ack.flags(Flags::SYN | Flags::ACK).ack(iss + 1);
        assert_eq!(self.state(port), State::SynReceived);
        (Peer { port, seq: iss + 1, ack: syn_ack.segment.seq + 1 }, syn_ack)
    }

    /// The whole handshake, without options: the stack is in ESTABLISHED.
    #[track_caller]
    pub fn establish(&mut self, port: u16) -> Peer {
        let mss = Options { mss: Some(1460), ..Options::default() };
        let (peer, _) = self.half_open(port, Seq(0xffff_fc18), mss);
        self.inject(&[peer.seg(Flags::ACK)]);
        self.silent();
        assert_eq!(self.state(port), State::Established);
        assert_eq!(self.told(), [Told::Open]);
        peer
    }
}

impl Peer {
    /// A segment at the peer's current numbers.
    pub fn seg(&self, flags: Flags) -> Seg {
        seg(flags, self.seq, self.ack).from_port(self.port)
    }
}
