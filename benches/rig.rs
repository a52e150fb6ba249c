//! A server of ours behind a link in memory, and 32 clients whose segments are made by hand: everything before the
//! burst that is counted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dpdk_tcp::app::http::responses::Responses;
use dpdk_tcp::app::{Service, Services, reply};
use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::engine::api::ConnId;
use dpdk_tcp::link::memory::{self, MemoryQueue};
use dpdk_tcp::link::{Frame, QueuePair};
use dpdk_tcp::measure::pair::{self, Flooded, PORT, SERVER, Spec};
use dpdk_tcp::measure::side::Engine;
use dpdk_tcp::stats::counters::{Counter, Counters};
use dpdk_tcp::tcp::arrives::listen::CookieMode;
use dpdk_tcp::tcp::config::Config;
use dpdk_tcp::wire::checksum::{Sum, pseudo_v4};
use dpdk_tcp::wire::ethernet::{self, ETHERTYPE_IPV4, Mac};
use dpdk_tcp::wire::ipv4::{self, Ipv4Fields};
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::{self, Flags, Header, Segment};
use dpdk_tcp::wire::tcp_options::{self, Options, Timestamps};

/// Each has a segment in the burst.
pub const CLIENTS: u32 = 32;
const CLIENT: [u8; 4] = [198, 19, 0, 1];
/// What a client asks, and the octets that it is answered.
pub const REQUEST: &[u8] = &[b'x'; 85];
pub const REPLY: usize = 128;

/// What is to be counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// SYNs arrive, and are answered.
    Syn,
    /// The handshake's last segment, with the request, is answered by a reply with FIN.
    Request,
    /// What was sent is acknowledged.
    Ack,
    /// The first data arrives, in order, and is acknowledged.
    Data,
    /// The same data again.
    Duplicate,
    /// The last FIN arrives, and is acknowledged.
    Fin,
    /// An established connection is reset.
    Rst,
    /// Connections that were opened send their SYN.
    Open,
    /// Established connections send data.
    Send,
}

impl Kind {
    fn service(self) -> Service {
        match self {
            Kind::Ack => Service::Echo,
            Kind::Data | Kind::Duplicate | Kind::Rst => Service::Discard,
            _ => Service::Reply,
        }
    }
}

/// What client and server are at.
#[derive(Clone, Copy)]
pub struct Talk {
    pub port: u16,
    local_port: u16,
    seq: Seq,
    ack: Seq,
    echo: u32,
}

impl Talk {
    /// The `n`-th client, before it has said anything.
    pub fn new(n: u32, port: u16) -> Talk {
        Talk { port, local_port: PORT, seq: Seq(n * 1_000_003), ack: Seq(0), echo: 0 }
    }
}

pub struct Rig {
    kind: Kind,
    server: Engine<MemoryQueue, Services>,
    counters: Arc<Counters>,
    peer: MemoryQueue,
    pub talks: Vec<Talk>,
    /// The server's and the clients'.
    macs: [Mac; 2],
    pub now: Instant,
}

impl Rig {
    /// Everything up to the burst of that kind, which is on the link or is owed.
    pub fn before(kind: Kind) -> Rig {
        let mut rig = Rig::new(kind);
        rig.prepare();
        rig
    }

    /// The same for clients that have said nothing yet.
    pub fn prepare(&mut self) {
        match self.kind {
            Kind::Open => drop(self.open()),
            Kind::Send => self.before_send(),
            kind => self.before_arrival(kind),
        }
        self.now = Instant(self.now.0 + 10);
    }

    fn new(kind: Kind) -> Rig {
        let (near, peer) = memory::pair(memory::Plan::default());
        let spec = spec(kind.service());
        let (counters, now) = (Arc::new(Counters::default()), Instant(1_000_000));
        let macs = [Mac(near.caps().mac), Mac(peer.caps().mac)];
        let server = pair::server(near, macs[1], &spec, &counters, now, Secrets::from_seed(2)).unwrap();
        let talks = (0..CLIENTS).map(|n| Talk::new(n, 5_000 + n as u16)).collect();
        let mut rig = Rig { kind, server, counters, peer, talks, macs, now };
        // The first pass announces our address.
        rig.pass();
        let mut announced = Burst::new();
        rig.peer.rx_burst(&mut announced, 64);
        announced.drain(..).for_each(|frame| rig.peer.recycle(frame));
        rig
    }

    /// What is counted.
    #[inline(never)]
    pub fn pass(&mut self) {
        self.server.worker().pass(self.now);
    }

    /// Each connection was answered, or none where there is nothing to say yet.
    pub fn check(mut self) {
        let mut frames = Burst::new();
        self.peer.rx_burst(&mut frames, 64);
        let is_quiet = matches!(self.kind, Kind::Ack | Kind::Rst);
        assert_eq!(frames.len() as u32, if is_quiet { 0 } else { CLIENTS }, "{:?}", self.kind);
        let resets = if self.kind == Kind::Rst { CLIENTS } else { 0 };
        assert_eq!(self.counters.get(Counter::ResetByPeer), u64::from(resets));
    }

    fn before_arrival(&mut self, kind: Kind) {
        let (syn, ack, psh) = (Flags::SYN, Flags::ACK, Flags::ACK | Flags::PSH);
        if kind == Kind::Syn {
            return self.put(syn, b"");
        }
        self.exchange(syn, b"");
        match kind {
            Kind::Request => return self.put(psh, REQUEST),
            Kind::Fin | Kind::Ack => self.exchange(psh, REQUEST),
            _ => self.exchange(ack, b""),
        }
        match kind {
            Kind::Fin => self.put(ack | Flags::FIN, b""),
            Kind::Ack => self.put(ack, b""),
            Kind::Rst => self.put(Flags::RST, b""),
            Kind::Data => self.put(psh, REQUEST),
            _ => {
                let before = self.talks.clone();
                self.exchange(psh, REQUEST);
                self.talks = before;
                self.put(psh, REQUEST);
            }
        }
    }

    fn open(&mut self) -> Vec<ConnId> {
        let local = Some(IpAddr::V4(SERVER));
        let mut opened = Vec::new();
        for talk in &mut self.talks {
            talk.local_port = PORT + 1;
            let remote = SocketAddr::new(IpAddr::V4(Ipv4Addr::from(CLIENT)), talk.port);
            opened.push(self.server.worker().open(local, Some(talk.local_port), remote).unwrap());
        }
        opened
    }

    fn before_send(&mut self) {
        let before = self.counters.get(Counter::Established);
        let opened = self.open();
        self.pass();
        self.hear();
        self.exchange(Flags::SYN | Flags::ACK, b"");
        assert_eq!(self.counters.get(Counter::Established) - before, u64::from(CLIENTS));
        for id in opened {
            assert!(self.server.worker().call(id, |conn| assert_eq!(conn.send(REQUEST), REQUEST.len())));
        }
    }

    /// Sends a segment of each client, and hears what comes back.
    pub fn exchange(&mut self, flags: Flags, text: &[u8]) {
        self.put(flags, text);
        self.now = Instant(self.now.0 + 10);
        self.pass();
        self.hear();
    }

    /// A segment of each client is put on the link.
    fn put(&mut self, flags: Flags, text: &[u8]) {
        let val = (self.now.0 / 1_000) as u32;
        let mut burst = Burst::new();
        for talk in &mut self.talks {
            let bytes = segment(talk, self.macs, flags, text, val);
            let mut frame = self.peer.alloc().unwrap();
            frame.set_len(bytes.len());
            frame.bytes_mut().copy_from_slice(&bytes);
            burst.push(frame);
            talk.seq += text.len() as u32 + u32::from(flags.any(Flags::SYN | Flags::FIN));
        }
        self.peer.tx_burst(&mut burst);
        assert!(burst.is_empty());
    }

    /// Takes what the server sent.
    pub fn hear(&mut self) {
        loop {
            let mut frames = Burst::new();
            self.peer.rx_burst(&mut frames, 64);
            if frames.is_empty() {
                return;
            }
            for frame in frames {
                let (header, packet) = ethernet::parse(frame.bytes()).unwrap();
                // Our address is announced again after a while.
                if header.ethertype == ETHERTYPE_IPV4 {
                    let packet = ipv4::parse(packet, true).unwrap();
                    let (ports, segment, _) = tcp::parse(packet.payload).unwrap();
                    self.heard(ports.1, &segment);
                }
                self.peer.recycle(frame);
            }
        }
    }

    fn heard(&mut self, port: u16, segment: &Segment) {
        let talk = self.talks.iter_mut().find(|talk| talk.port == port).unwrap();
        talk.ack = segment.end();
        talk.echo = segment.options.timestamps.map_or(0, |timestamps| timestamps.val);
    }
}

/// A server that is small enough to be made for each count.
pub fn spec(service: Service) -> Spec {
    Spec {
        concurrency: 64,
        rate_max: 1e3,
        config: Config::default().with_time_wait(Duration::from_secs(1)),
        responses: Box::leak(Box::new(Responses::new(100))),
        reply: reply::text(REPLY).leak(),
        service,
        burst: 32,
        tx_burst: 32,
        cookies: CookieMode::Auto,
        flood: Flooded::default(),
    }
}

fn options(flags: Flags, timestamps: Timestamps) -> Options {
    let timed = Options { timestamps: Some(timestamps), ..Options::default() };
    if flags.has(Flags::SYN) {
        return Options { mss: Some(1_460), window_scale: Some(7), sack_permitted: true, ..timed };
    }
    timed
}

fn segment(talk: &Talk, macs: [Mac; 2], flags: Flags, text: &[u8], val: u32) -> Vec<u8> {
    let mut words = [0; tcp_options::LEN_MAX];
    let used = tcp_options::emit(&options(flags, Timestamps { val, ecr: talk.echo }), &mut words);
    let len = 20 + used + text.len();
    let mut bytes = vec![0; 34 + len];
    ethernet::emit(bytes[..14].first_chunk_mut().unwrap(), macs[0], macs[1], ETHERTYPE_IPV4);
    let fields = Ipv4Fields {
        source: CLIENT,
        destination: SERVER.octets(),
        protocol: ipv4::PROTOCOL_TCP,
        ttl: 64,
        tos: 0,
        payload_len: len as u16,
        id: 0,
        dont_fragment: true,
    };
    ipv4::emit(bytes[14..34].first_chunk_mut().unwrap(), &fields, true);
    let ack = if flags.has(Flags::ACK) { talk.ack } else { Seq(0) };
    let header =
        Header { ports: (talk.port, talk.local_port), seq: talk.seq, ack, flags, wnd: 65_535, up: 0 };
    header.emit(bytes[34..].first_chunk_mut().unwrap(), 20 + used);
    bytes[54..54 + used].copy_from_slice(&words[..used]);
    bytes[54 + used..].copy_from_slice(text);
    let sum = (pseudo_v4(CLIENT, SERVER.octets(), 6, len as u16) + Sum::of(&bytes[34..])).finish();
    bytes[50..52].copy_from_slice(&sum.to_be_bytes());
    bytes
}
