//! The same streams over the same faulty wire, three times: our server with smoltcp's client, our client with
//! smoltcp's server, and ours with ours. Each time either side gets what the other sent, and all end alike.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::engine::api::{Accept, App, CloseReason, Conn, ConnId, ListenerId};
use dpdk_tcp::engine::control::Control;
use dpdk_tcp::engine::host::Host;
use dpdk_tcp::engine::limits::Limits;
use dpdk_tcp::engine::shard::Shard;
use dpdk_tcp::engine::worker::Worker;
use dpdk_tcp::inet::locals::Locals;
use dpdk_tcp::inet::route::Routes;
use dpdk_tcp::sim::clock::SimClock;
use dpdk_tcp::sim::faults::Faults;
use dpdk_tcp::sim::frame::FramePool;
use dpdk_tcp::sim::pair::{End, wire};
use dpdk_tcp::stats::counters::Counters;
use dpdk_tcp::tcp::config::Config;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;

use super::{faults, pick};
use crate::reach::{OUR_MAC, OURS, PEER_MAC, PEERS, caps};
use crate::smol::{Client, Habits};

const PORT: u16 = 7_000;
const FROM: u16 = 41_000;
/// Longer than any of it takes.
const PATIENCE_US: u64 = 7_200_000_000;
const STEP_US: u64 = 20_000;

/// What a side sends, what it got, and how it ended.
#[derive(Default)]
struct Tape {
    out: Vec<u8>,
    sent: usize,
    got: Vec<u8>,
    closed: bool,
    end: Option<CloseReason>,
}

/// Our application: it sends its tape, closes, and keeps what comes.
struct Player(Rc<RefCell<Tape>>);

impl Player {
    fn play(&self, conn: &mut Conn<'_>) {
        let mut tape = self.0.borrow_mut();
        let sent = conn.send(&tape.out[tape.sent..]);
        tape.sent += sent;
        if tape.sent == tape.out.len() && !tape.closed {
            tape.closed = true;
            conn.shutdown();
        }
    }
}

impl App for Player {
    fn on_connected(&mut self, conn: &mut Conn<'_>) {
        self.play(conn);
    }

    fn on_open(&mut self, conn: &mut Conn<'_>, _listener: ListenerId) -> Accept {
        self.play(conn);
        Accept::Take
    }

    fn on_data(&mut self, _conn: &mut Conn<'_>, data: &[u8]) -> usize {
        self.0.borrow_mut().got.extend(data);
        data.len()
    }

    fn on_writable(&mut self, conn: &mut Conn<'_>) {
        self.play(conn);
    }

    fn on_peer_close(&mut self, _conn: &mut Conn<'_>) {}

    fn on_closed(&mut self, _id: ConnId, reason: CloseReason) {
        self.0.borrow_mut().end = Some(reason);
    }
}

/// Either implementation at one end of the wire.
enum Side {
    Ours(Box<Worker<End, Player>>),
    Theirs(Box<Client>, SocketHandle),
}

/// What both have in common: the streams, the wire, the habits.
struct Terms {
    seed: u64,
    faults: [Faults; 2],
    texts: [Vec<u8>; 2],
    habits: Habits,
    cfg: Config,
}

impl Terms {
    fn draw(seed: u64) -> Terms {
        let mut rng = Rng::new(seed ^ 0xd1ff);
        let rng = &mut rng;
        let text = |rng: &mut Rng| {
            let len = pick(rng, &[0, 1, 1_000, 30_000, 100_000]) + rng.below(3) as usize;
            (0..len).map(|_| rng.below(256) as u8).collect()
        };
        let buffer = pick(rng, &[2_000, 16_384, 65_535]);
        Terms {
            seed,
            faults: [faults(rng), faults(rng)],
            texts: [text(rng), text(rng)],
            habits: Habits {
                receive_buffer: buffer,
                send_buffer: buffer,
                timestamps: rng.below(2) == 0,
                nagle: rng.below(2) == 0,
                ack_delay_ms: pick(rng, &[0, 10, 200]),
            },
            cfg: Config {
                receive_buffer: buffer as u32,
                syn_repeats: 30,
                syn_ack_repeats: 20,
                ..Config::default()
            },
        }
    }

    fn ours(&self, end: End, own: [u8; 4], tape: &Rc<RefCell<Tape>>, now: Instant) -> Worker<End, Player> {
        let secrets = Secrets::from_seed(self.seed ^ u64::from(own[3]));
        let mut locals = Locals::default();
        locals.add(IpAddr::V4(own.into()), 24, 0).unwrap();
        let host = Host::new(&locals, Routes::default(), &[], false, &secrets, now);
        let limits =
            Limits { connections: 8, backlog: 8, time_wait_max: 8, buffers: 1 << 20, ..Limits::default() };
        let counters = Arc::new(Counters::default());
        let mut shard = Shard::new(limits, self.cfg.clone(), secrets, locals, counters, now);
        shard.listen(None, PORT).unwrap();
        Worker::new(vec![end], host, shard, Player(tape.clone()), Arc::new(Control::default()))
    }

    fn theirs(&self, end: End, opens: bool, now: Instant) -> Side {
        let mut client = Client::new(end, self.habits, self.seed, now);
        let handle = if opens { client.connect(FROM, PORT) } else { client.listen(PORT) };
        Side::Theirs(Box::new(client), handle)
    }

    /// Carries the streams from one side to the other and back; says what each got.
    fn carry(&self, ours_opens: bool, both_ours: bool) -> [Vec<u8>; 2] {
        let clock = SimClock::default();
        clock.advance_to(Instant(1_000_000_000));
        let pool = FramePool::new(2_048);
        let both = [caps(OUR_MAC, 1_500), caps(PEER_MAC, 1_500)];
        let (end, other) = wire(&clock, &pool, both, self.faults, self.seed);
        let tapes: [_; 2] = std::array::from_fn(|n| {
            Rc::new(RefCell::new(Tape { out: self.texts[n].clone(), ..Tape::default() }))
        });
        let now = clock.now();
        let mut worker = self.ours(end, OURS, &tapes[0], now);
        let mut second = match both_ours {
            true => Side::Ours(Box::new(self.ours(other, PEERS, &tapes[1], now))),
            false => self.theirs(other, !ours_opens, now),
        };
        if ours_opens {
            worker.pass(now);
            let to = SocketAddr::new(IpAddr::V4(PEERS.into()), PORT);
            worker.open(None, None, to).unwrap();
        } else if let Side::Ours(opener) = &mut second {
            opener.pass(now);
            let to = SocketAddr::new(IpAddr::V4(OURS.into()), PORT);
            opener.open(None, None, to).unwrap();
        }
        let mut first = Side::Ours(Box::new(worker));
        while !(first.step(&tapes[0], clock.now()) & second.step(&tapes[1], clock.now())) {
            clock.advance_to(Instant(clock.now().0 + STEP_US / 20));
            assert!(clock.now().0 < 1_000_000_000 + PATIENCE_US, "seed {}: it never ends", self.seed);
        }
        tapes.map(|tape| std::mem::take(&mut tape.borrow_mut().got))
    }
}

impl Side {
    /// Does what can be done now. True when the connection is over.
    fn step(&mut self, tape: &Rc<RefCell<Tape>>, now: Instant) -> bool {
        match self {
            Side::Ours(worker) => {
                worker.pass(now);
                let end = tape.borrow().end;
                let fine = matches!(end, None | Some(CloseReason::Finished));
                assert!(fine, "it ended by {end:?}");
                end.is_some()
            }
            Side::Theirs(client, handle) => {
                client.poll(now);
                let over = play(client, *handle, &mut tape.borrow_mut());
                client.poll(now);
                over
            }
        }
    }
}

/// What our application does, for smoltcp.
fn play(client: &mut Client, handle: SocketHandle, tape: &mut Tape) -> bool {
    let socket = client.socket(handle);
    let mut buffer = [0; 4_096];
    while let (true, Ok(len)) = (socket.can_recv(), socket.recv_slice(&mut buffer)) {
        tape.got.extend(&buffer[..len]);
    }
    if socket.can_send() && tape.sent < tape.out.len() {
        tape.sent += socket.send_slice(&tape.out[tape.sent..]).unwrap();
    }
    let open = matches!(socket.state(), State::Established | State::CloseWait);
    if open && tape.sent == tape.out.len() && !tape.closed {
        tape.closed = true;
        socket.close();
    }
    tape.closed && matches!(socket.state(), State::Closed | State::TimeWait)
}

#[test]
fn the_same_streams_arrive_whoever_is_at_the_other_end_and_whoever_opens() {
    for seed in 0..60 {
        let terms = Terms::draw(seed);
        let expected = [terms.texts[1].clone(), terms.texts[0].clone()];
        let rows =
            [("our server", false, false), ("our client", true, false), ("ours with ours", true, true)];
        for (who, ours_opens, both_ours) in rows {
            let got = terms.carry(ours_opens, both_ours);
            assert!(got == expected, "seed {seed}, {who}: {:?} octets", got.map(|text| text.len()));
        }
    }
}
