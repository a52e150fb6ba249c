//! Law 2: a burst is not observable. The same arrivals, cut into bursts of 1, 2, 7 and 32, give the same states,
//! the same octets in both directions, and the same SYN, FIN and RST. What may differ: pure acknowledgments
//! merge, text is cut into other segments, and with them TS.Recent and the window that the last acknowledgment
//! told (`rcv.acked`, `rcv.edge`, `ts_recent`, `unacked_segments`, `quick_acks`, `ack_at`).

mod cases;
mod random;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::engine::api::{Accept, App, CloseReason, Conn, ConnId, ListenerId};
use dpdk_tcp::link::{Frame, QueuePair};
use dpdk_tcp::tcp::isn;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use crate::expect::{Out, read};
use crate::reach::{OURS, PEERS, PORT, Seg, Setup, Stack};

const CUTS: [usize; 4] = [32, 1, 2, 7];

/// What an application was told of the connections with one port of the peer.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Event {
    Open,
    Data(Vec<u8>),
    PeerClose,
    Closed(CloseReason),
}

/// Does what the peer's octets say, one by one: lower case is sent back, `C` half-closes, `F` closes for good,
/// `X` resets if nothing is under way, anything else is only read.
#[derive(Default, Clone)]
struct Puppet(Rc<RefCell<Told>>);

#[derive(Default)]
struct Told {
    events: BTreeMap<u16, Vec<Event>>,
    ports: BTreeMap<u32, u16>,
}

impl Puppet {
    fn tell(&self, conn: &Conn<'_>, event: Event) {
        let mut told = self.0.borrow_mut();
        let events = told.events.entry(conn.remote().port()).or_default();
        match (events.last_mut(), event) {
            (Some(Event::Data(before)), Event::Data(more)) => before.extend(more),
            (_, event) => events.push(event),
        }
        told.ports.insert(conn.id().index, conn.remote().port());
    }
}

impl App for Puppet {
    fn on_open(&mut self, conn: &mut Conn<'_>, _listener: ListenerId) -> Accept {
        conn.set_nodelay(true);
        self.tell(conn, Event::Open);
        Accept::Take
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, data: &[u8]) -> usize {
        self.tell(conn, Event::Data(data.to_vec()));
        for octet in data {
            match octet {
                b'a'..=b'z' => {
                    conn.send(&[*octet]);
                }
                b'C' => conn.shutdown(),
                b'F' => conn.finish(),
                b'X' if conn.unacknowledged() == 0 => conn.abort(),
                _ => {}
            }
        }
        data.len()
    }

    fn on_writable(&mut self, _conn: &mut Conn<'_>) {}

    fn on_peer_close(&mut self, conn: &mut Conn<'_>) {
        self.tell(conn, Event::PeerClose);
    }

    fn on_closed(&mut self, id: ConnId, reason: CloseReason) {
        let mut told = self.0.borrow_mut();
        let port = told.ports[&id.index];
        told.events.entry(port).or_default().push(Event::Closed(reason));
    }
}

/// What the peer can tell of one of its ports.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Seen {
    /// SYN-ACKs: their SEQ and ACK.
    syns: BTreeSet<(u32, u32)>,
    /// Resets in order: SEQ, ACK, flags.
    resets: Vec<(u32, u32, u8)>,
    /// Where a FIN stood.
    fins: BTreeSet<u32>,
    text: BTreeMap<u32, u8>,
}

/// Everything that must not depend on how arrivals were cut: states and events up to now, and what was seen
/// since the last snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Snapshot {
    states: BTreeMap<u16, State>,
    events: BTreeMap<u16, Vec<Event>>,
    seen: BTreeMap<u16, Seen>,
    counts: (u32, u32, u32),
}

/// Segments that arrive at one instant.
#[derive(Clone, Debug)]
struct Round {
    /// Milliseconds after the round before.
    after_ms: u64,
    segments: Vec<Seg>,
}

/// A stack that takes its arrivals in bursts of a fixed size.
struct Rig {
    stack: Stack<Puppet>,
    puppet: Puppet,
    seen: BTreeMap<u16, Seen>,
    ports: BTreeSet<u16>,
    setup: Setup,
    /// Pure acknowledgments since the last look: port and ACK.
    acks: Vec<(u16, Seq)>,
}

impl Rig {
    fn new(burst: usize) -> Rig {
        let mut setup = Setup::default();
        setup.limits.burst = burst;
        // Few, so that slots and records are used again and again.
        (setup.limits.connections, setup.limits.time_wait_max) = (12, 4);
        let puppet = Puppet::default();
        let app = puppet.clone();
        let stack = setup.stack(&[PORT], |_| app);
        Rig { stack, puppet, seen: BTreeMap::new(), ports: BTreeSet::new(), setup, acks: Vec::new() }
    }

    /// The ISS that the stack will choose at this instant for a connection with this port.
    fn iss(&self, port: u16) -> Seq {
        let secrets = Secrets::from_seed(self.setup.seed);
        let end = |ip: [u8; 4], port| (IpAddr::V4(ip.into()), port);
        isn::initial(&secrets.isn, self.stack.clock.now(), end(OURS, PORT), end(PEERS, port))
    }

    fn pass(&mut self) {
        let now = self.stack.clock.now();
        self.stack.worker.pass(now);
        self.stack.worker.shard().check_invariants().unwrap();
        self.collect();
    }

    fn wait(&mut self, ms: u64) {
        let end = self.stack.clock.now().0 + ms * 1_000;
        while self.stack.clock.now().0 < end {
            self.stack.clock.advance_to(Instant((self.stack.clock.now().0 + 20_000).min(end)));
            self.pass();
        }
    }

    /// Everything of a round arrives at once.
    fn play(&mut self, round: &Round) {
        self.wait(round.after_ms);
        for segment in &round.segments {
            self.ports.insert(segment.ports.0);
            let mut out = Burst::new();
            out.push(self.stack.pool.frame(&segment.frame()).unwrap());
            self.stack.peer.tx_burst(&mut out);
        }
        for _ in 0..round.segments.len() + 4 {
            self.pass();
        }
    }

    fn collect(&mut self) {
        loop {
            let mut frames = Burst::new();
            self.stack.peer.rx_burst(&mut frames, 32);
            if frames.is_empty() {
                return;
            }
            frames.iter().for_each(|frame| self.look(frame.bytes()));
        }
    }

    fn look(&mut self, frame: &[u8]) {
        let Out::Tcp(sent) = read(frame) else { return };
        let port = sent.ports.1;
        let seen = self.seen.entry(port).or_default();
        let segment = sent.segment;
        if segment.flags.has(Flags::RST) {
            return seen.resets.push((segment.seq.0, segment.ack.0, segment.flags.0));
        }
        if segment.flags.has(Flags::SYN) {
            seen.syns.insert((segment.seq.0, segment.ack.0));
            return;
        }
        for (n, octet) in sent.text.iter().enumerate() {
            let before = seen.text.insert((segment.seq + n as u32).0, *octet);
            assert!(before.is_none_or(|before| before == *octet), "an octet changed");
        }
        if segment.flags.has(Flags::FIN) {
            seen.fins.insert((segment.seq + sent.text.len() as u32).0);
        } else if sent.text.is_empty() {
            self.acks.push((port, segment.ack));
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        let mut seen = std::mem::take(&mut self.seen);
        seen.retain(|_, seen| *seen != Seen::default());
        let shard = self.stack.worker.shard();
        let state = |port: u16| {
            let end = |ip: [u8; 4], port| SocketAddr::new(IpAddr::V4(ip.into()), port);
            shard.state_of(end(OURS, PORT), end(PEERS, port)).unwrap_or(State::Closed)
        };
        Snapshot {
            states: self.ports.iter().map(|port| (*port, state(*port))).collect(),
            events: self.puppet.0.borrow().events.clone(),
            seen,
            counts: (shard.connections(), shard.half_open(), shard.in_time_wait()),
        }
    }
}

/// A segment in a line.
fn brief(segment: &Seg) -> String {
    let Seg { ports, seq, ack, flags, options, text, .. } = segment;
    let text = String::from_utf8_lossy(text);
    format!("{} {flags:?} {} {} {text:?} {:?}", ports.0, seq.0, ack.0, options.timestamps)
}

/// Of what a reset ended, a SYN-ACK or FIN that was owed in the same burst is not sent any more. Takes what is
/// excused by that out of what the finer cut saw.
fn excuse(coarse: &Snapshot, fine: &mut Snapshot, round: &Round) {
    let reset = |port: u16| round.segments.iter().any(|s| s.ports.0 == port && s.flags.has(Flags::RST));
    for (port, seen) in &mut fine.seen {
        if reset(*port) {
            let coarse = coarse.seen.get(port).cloned().unwrap_or_default();
            seen.syns.retain(|syn| coarse.syns.contains(syn));
            seen.fins.retain(|fin| coarse.fins.contains(fin));
        }
    }
    fine.seen.retain(|_, seen| *seen != Seen::default());
}

/// Plays the rounds in every cut; what is seen after each round is the same. A round fits into the largest burst.
#[track_caller]
fn same_in_every_cut(rounds: &[Round]) -> Vec<Snapshot> {
    assert!(rounds.iter().all(|round| round.segments.len() <= CUTS[0]));
    let mut all = CUTS.iter().map(|cut| {
        let mut rig = Rig::new(*cut);
        let play = |round| {
            rig.play(round);
            rig.snapshot()
        };
        rounds.iter().map(play).collect::<Vec<_>>()
    });
    let first = all.next().unwrap();
    for (snapshots, cut) in all.zip(&CUTS[1..]) {
        for ((coarse, mut fine), round) in first.iter().zip(snapshots).zip(rounds) {
            excuse(coarse, &mut fine, round);
            let arrivals: Vec<_> = round.segments.iter().map(brief).collect();
            assert_eq!(*coarse, fine, "bursts of {} and of {cut} after {arrivals:#?}", CUTS[0]);
        }
    }
    first
}
