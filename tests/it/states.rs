//! States reached by real exchange at chosen sequence numbers, and time that passes from deadline to deadline.

use std::net::{IpAddr, SocketAddr};

use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::tcp::isn;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::Options;

use crate::expect::Sent;
use crate::reach::{OURS, PEER_PORT, PEERS, PORT, Peer, Seg, Setup, World};

const ACK: Flags = Flags::ACK;
const FIN_ACK: Flags = Flags(Flags::FIN.0 | Flags::ACK.0);

/// Where both ends' sequence numbers start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// Far from any wrap.
    Plain,
    /// 1000 octets below 2^32 (ATK-45).
    BelowWrap,
    /// SYN and FIN themselves step over 2^32.
    AtWrap,
    /// SYN and FIN themselves step over 2^31.
    AtHalf,
}

impl Start {
    pub const ALL: [Start; 4] = [Start::Plain, Start::BelowWrap, Start::AtWrap, Start::AtHalf];

    /// Our ISS and the peer's.
    pub fn numbers(self) -> (Seq, Seq) {
        match self {
            Start::Plain => (Seq(0x1234_5678), Seq(5_000)),
            Start::BelowWrap => (Seq(0xffff_fc18), Seq(0xffff_fc18)),
            Start::AtWrap => (Seq(0xffff_ffff), Seq(0xffff_fffe)),
            Start::AtHalf => (Seq(0x7fff_ffff), Seq(0x7fff_fffe)),
        }
    }

    /// A set-up whose clock makes our ISS towards [`PEER_PORT`] the wanted one.
    pub fn setup(self) -> Setup {
        self.of(Setup::default())
    }

    /// `setup` with a clock that makes our ISS the wanted one.
    pub fn of(self, setup: Setup) -> Setup {
        let key = Secrets::from_seed(setup.seed).isn;
        let local = (IpAddr::V4(OURS.into()), PORT);
        let remote = (IpAddr::V4(PEERS.into()), PEER_PORT);
        let hashed = isn::initial(&key, Instant::ZERO, local, remote);
        let ticks = u64::from(self.numbers().0.since(hashed));
        Setup { start_us: 4 * (ticks + (1 << 32)), ..setup }
    }
}

/// Which side opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opening {
    /// The peer.
    Passive,
    /// We, from the port that we also listen on (MUST-42).
    Active,
}

/// A connection in a state, and what the peer knows of it.
pub struct Reached {
    pub world: World,
    /// `seq` is our RCV.NXT, in SYN-SENT the peer's ISS; `ack` is our SND.NXT.
    pub peer: Peer,
    /// The right edge of the window that we offered last.
    pub edge: Seq,
}

/// The right edge of the window that a segment offers, without window scaling.
fn edge_of(sent: &Sent) -> Seq {
    sent.segment.ack + u32::from(sent.segment.wnd)
}

/// The options of a peer that offers nothing but its MSS.
pub fn plain() -> Options {
    Options { mss: Some(1460), ..Options::default() }
}

/// Leads a connection into `state` by the exchange that a real peer would have with us.
#[track_caller]
pub fn reach(start: Start, state: State) -> Reached {
    reach_with(start.setup(), start.numbers().1, state)
}

#[track_caller]
pub fn reach_with(setup: Setup, peer_iss: Seq, state: State) -> Reached {
    reach_by(Opening::Passive, setup, peer_iss, state)
}

/// Leads a connection into `state`, opened by the one side or the other.
#[track_caller]
pub fn reach_by(opening: Opening, setup: Setup, peer_iss: Seq, state: State) -> Reached {
    let world = World::with(setup);
    if matches!(state, State::Closed | State::Listen) {
        let peer = Peer { port: PEER_PORT, seq: peer_iss, ack: Seq(5_000) };
        return Reached { world, peer, edge: peer_iss + 0xffff };
    }
    let mut reached = match opening {
        Opening::Passive => opened_by_peer(world, peer_iss, state),
        Opening::Active => opened_by_us(world, peer_iss, state),
    };
    let peer = reached.peer;
    match state {
        State::FinWait1 => reached.we_close(),
        State::FinWait2 => {
            reached.we_close();
            reached.world.inject(&[reached.peer.seg(ACK)]);
        }
        State::TimeWait => {
            reached.we_close();
            reached.peer_closes(reached.peer.seg(FIN_ACK));
        }
        State::CloseWait => reached.peer_closes(peer.seg(FIN_ACK)),
        State::LastAck => {
            reached.peer_closes(peer.seg(FIN_ACK));
            reached.we_close();
        }
        State::Closing => {
            reached.we_close();
            reached.peer_closes(peer.seg(FIN_ACK));
        }
        _ => {}
    }
    assert_eq!(reached.world.state(PEER_PORT), state);
    reached.world.told();
    reached
}

#[track_caller]
fn opened_by_peer(mut world: World, peer_iss: Seq, state: State) -> Reached {
    let (peer, syn_ack) = world.half_open(PEER_PORT, peer_iss, plain());
    if state != State::SynReceived {
        world.inject(&[peer.seg(ACK)]);
        world.silent();
    }
    Reached { world, peer, edge: edge_of(&syn_ack) }
}

#[track_caller]
fn opened_by_us(mut world: World, peer_iss: Seq, state: State) -> Reached {
    let remote = SocketAddr::new(IpAddr::V4(PEERS.into()), PEER_PORT);
    let id = world.worker.open(None, Some(PORT), remote).unwrap();
    world.probe.0.borrow_mut().conn = Some(id);
    world.run();
    let syn = world.one();
    syn.flags(Flags::SYN);
    let mut peer = Peer { port: PEER_PORT, seq: peer_iss, ack: syn.segment.seq + 1 };
    if state == State::SynSent {
        return Reached { world, peer, edge: peer_iss + 0xffff };
    }
    // By crossing SYNs into SYN-RECEIVED, by a SYN-ACK beyond.
    let flags = if state == State::SynReceived { Flags::SYN } else { Flags::SYN | ACK };
    let syn = peer.seg(flags).options(plain());
    world.inject(&[Seg { ack: if flags.has(ACK) { syn.ack } else { Seq(0) }, ..syn }]);
    peer.seq += 1;
    let answer = world.one();
    answer.ack(peer.seq);
    Reached { world, peer, edge: edge_of(&answer) }
}

impl Reached {
    #[track_caller]
    fn we_close(&mut self) {
        self.world.call(|conn| conn.shutdown());
        let fin = self.world.one();
        fin.flags(FIN_ACK).seq(self.peer.ack).ack(self.peer.seq);
        self.edge = edge_of(&fin);
        self.peer.ack += 1;
    }

    #[track_caller]
    fn peer_closes(&mut self, fin: Seg) {
        self.world.inject(&[fin]);
        self.peer.seq += 1;
        let ack = self.world.one();
        ack.flags(ACK).seq(self.peer.ack).ack(self.peer.seq);
        self.edge = edge_of(&ack);
    }
}

impl World {
    /// A connection whose SYN carries `options`; what we answered to it.
    #[track_caller]
    pub fn establish_with(&mut self, options: Options, wnd: u16) -> (Peer, Sent) {
        let (peer, syn_ack) = self.half_open(PEER_PORT, Seq(0xffff_fc18), options);
        let mut third = peer.seg(ACK).wnd(wnd);
        third.options.timestamps = options.timestamps;
        if let (Some(ours), Some(own)) = (syn_ack.segment.options.timestamps, &mut third.options.timestamps) {
            own.ecr = ours.val;
        }
        self.inject(&[third]);
        self.silent();
        assert_eq!(self.state(PEER_PORT), State::Established);
        self.told();
        (peer, syn_ack)
    }

    /// Lets time pass from one deadline to the next; returns what was sent, each with the milliseconds since
    /// the start.
    #[track_caller]
    pub fn watch_ms(&mut self, ms: u64) -> Vec<(u64, Sent)> {
        let start = self.clock.now();
        let end = Instant(start.0 + ms * 1_000);
        let mut seen = Vec::new();
        while self.clock.now() < end {
            let now = self.clock.now();
            let deadline = self.worker.shard().next_deadline();
            let wait = deadline.map_or(u64::MAX, |at| u64::from(at.since(now.tick())) * 1_000).max(1_000);
            let tick_start = now.0 / 1_000 * 1_000;
            let next = Instant(tick_start.saturating_add(wait)).min(end);
            self.clock.advance_to(next.max(Instant(now.0 + 1)));
            for _ in 0..3 {
                self.worker.pass(self.clock.now());
            }
            let at = self.clock.now().since_us(start) / 1_000;
            seen.extend(self.sent().into_iter().map(|sent| (at, sent)));
        }
        seen
    }

    /// Lets days pass on a connection that nobody uses.
    #[track_caller]
    pub fn idle_hours(&mut self, hours: u64) {
        for _ in 0..hours {
            self.clock.advance_to(Instant(self.clock.now().0 + 3_600_000_000));
            self.worker.pass(self.clock.now());
        }
        self.silent();
    }
}
