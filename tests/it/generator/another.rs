//! The client against another TCP as the server, smoltcp: whatever a connection is and however it is closed, both count
//! the same octets, requests and connections, and the server sees the close that was asked for.

use dpdk_tcp::app::client::{Client, Plan};
use dpdk_tcp::base::rng::Rng;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::link::Caps;
use dpdk_tcp::load::closing::Close;
use dpdk_tcp::load::talk::{Reply, Request, Talk};
use dpdk_tcp::load::tuples::Ports;
use dpdk_tcp::sim::faults::Faults;
use dpdk_tcp::sim::pair::wire;
use dpdk_tcp::stats::account::Way;
use dpdk_tcp::stats::counters::Counter;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::{Socket, State};

use super::lab::{Lab, Peer, setup, tuples};
use super::{HTTP, plan};
use crate::reach::{PORT, Stack};
use crate::smol::{Client as Host, Habits};

const CONNECTIONS: u64 = 20;
const AT_ONCE: u32 = 5;
/// Sockets that wait for a connection; another takes the place of each that has one.
const LISTENING: usize = 8;
const BULK: u64 = 60_000;

const ECHO: Talk =
    Talk { request: Request::Payload { len: 300, seed: Some(5) }, reply: Reply::Same, requests: 1 };
const RAW: Talk = Talk { request: Request::Whole(b"five!"), reply: Reply::Octets(700), requests: 1 };
const UNTIL_CLOSE: Talk = Talk { reply: Reply::PeerClose, ..RAW };
const UP: Talk =
    Talk { request: Request::Payload { len: BULK, seed: Some(6) }, reply: Reply::None, requests: 1 };
const DOWN: Talk = Talk { reply: Reply::Octets(BULK), ..RAW };
const BOTH: Talk = Talk { reply: Reply::Same, ..UP };

/// What the server says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Speech {
    /// Nothing.
    Sink,
    /// What it hears.
    Echo,
    /// A response of 400 octets to each request of HTTP.
    Http,
    /// So many octets for each five.
    Octets(usize),
}

/// One connection of the server.
struct Guest {
    handle: SocketHandle,
    /// Each state that was seen, one after the other.
    states: Vec<State>,
    from_port: u16,
    heard: Vec<u8>,
    /// What of it belongs to requests that were answered.
    answered: usize,
    requests: u64,
    waiting: Vec<u8>,
    said: u64,
    closed: bool,
}

impl Guest {
    fn look(&mut self, socket: &Socket<'_>) {
        let state = socket.state();
        if matches!(state, State::Listen) {
            // A reset in SYN-RECEIVED: it waits for another.
            self.states.clear();
        } else if state != State::SynReceived && self.states.last() != Some(&state) {
            self.states.push(state);
            self.from_port = socket.remote_endpoint().map_or(self.from_port, |end| end.port);
        }
    }

    fn is_taken(&self) -> bool {
        !self.states.is_empty()
    }

    /// Answers what it can, and closes behind the client, or behind so many requests.
    fn serve(&mut self, socket: &mut Socket<'_>, speech: Speech, closes_after: Option<u64>) {
        let mut buffer = [0; 4_096];
        while let (true, Ok(len)) = (socket.can_recv(), socket.recv_slice(&mut buffer)) {
            self.heard.extend(&buffer[..len]);
        }
        while let Some((len, answer)) = self.next_answer(speech) {
            (self.answered, self.requests) = (self.answered + len, self.requests + 1);
            self.waiting.extend(answer);
        }
        if socket.can_send() && !self.waiting.is_empty() {
            let sent = socket.send_slice(&self.waiting).unwrap();
            self.waiting.drain(..sent);
            self.said += sent as u64;
        }
        let open = matches!(socket.state(), State::Established | State::CloseWait);
        let left = socket.state() == State::CloseWait;
        let done = closes_after.is_some_and(|requests| self.requests >= requests);
        if open && !self.closed && self.waiting.is_empty() && (left || done) {
            self.closed = true;
            socket.close();
        }
    }

    /// How long the next request is, and what is said to it.
    fn next_answer(&self, speech: Speech) -> Option<(usize, Vec<u8>)> {
        let rest = &self.heard[self.answered..];
        match speech {
            Speech::Sink => None,
            Speech::Echo => (!rest.is_empty()).then(|| (rest.len(), rest.to_vec())),
            Speech::Http => {
                let end = rest.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
                let head = b"HTTP/1.1 200 OK\r\nServer: another\r\nContent-Length: 400\r\n\r\n";
                Some((end, [&head[..], &[b'.'; 400]].concat()))
            }
            Speech::Octets(octets) => (rest.len() >= 5).then(|| (5, vec![b'x'; octets])),
        }
    }
}

/// The server.
struct Server {
    host: Host,
    speech: Speech,
    closes_after: Option<u64>,
    guests: Vec<Guest>,
}

impl Server {
    /// Takes the other end of the client's wire.
    fn new(stack: &mut Stack<Client>, row: &Row, seed: u64) -> Server {
        let habits = Habits {
            receive_buffer: 16_384,
            send_buffer: 16_384,
            timestamps: seed.is_multiple_of(2),
            nagle: !seed.is_multiple_of(3),
            ack_delay_ms: [10, 0, 200][seed as usize % 3],
        };
        let (unused, _) = wire(&stack.clock, &stack.pool, [Caps::default(); 2], Default::default(), 0);
        let end = std::mem::replace(&mut stack.peer, unused);
        let host = Host::new(end, habits, seed, stack.clock.now());
        let (speech, closes_after) = (row.speech, row.server_closes.then_some(u64::from(row.talk.requests)));
        Server { host, speech, closes_after, guests: Vec::new() }
    }

    fn accepted(&self) -> impl Iterator<Item = &Guest> {
        self.guests.iter().filter(|guest| guest.is_taken())
    }
}

impl Peer for Server {
    fn turn(&mut self, stack: &mut Stack<Client>) -> Option<Instant> {
        let now = stack.clock.now();
        while self.guests.iter().filter(|guest| !guest.is_taken()).count() < LISTENING {
            let handle = self.host.listen(PORT);
            self.guests.push(Guest {
                handle,
                states: Vec::new(),
                from_port: 0,
                heard: Vec::new(),
                answered: 0,
                requests: 0,
                waiting: Vec::new(),
                said: 0,
                closed: false,
            });
        }
        for round in 0..2 {
            self.host.poll(now);
            for guest in &mut self.guests {
                let socket = self.host.socket(guest.handle);
                guest.look(socket);
                if round == 0 && guest.is_taken() {
                    guest.serve(socket, self.speech, self.closes_after);
                    guest.look(socket);
                }
            }
        }
        [self.host.end().next_arrival(), self.host.next(now)].into_iter().flatten().min()
    }
}

/// What a connection is, and how the server sees it end.
#[derive(Clone, Copy)]
struct Row {
    talk: Talk,
    close: Close,
    speech: Speech,
    server_closes: bool,
    way: Way,
    seen: &'static [State],
}

/// The client closes first.
const BEHIND: &[State] = &[State::Established, State::CloseWait, State::LastAck, State::Closed];
/// The client's FIN comes with its only request, on the ACK of the handshake.
const WITH: &[State] = &[State::CloseWait, State::LastAck, State::Closed];
/// The server does, and the client's FIN comes with its ACK.
const BEFORE: &[State] = &[State::Established, State::FinWait1, State::TimeWait];
const BETWEEN: &[State] = &[State::Established, State::FinWait1, State::FinWait2, State::TimeWait];
/// A reset.
const CUT: &[State] = &[State::Established, State::Closed];
/// Nobody.
const LEFT: &[State] = &[State::Established];

const fn row(talk: Talk, close: Close, speech: Speech) -> Row {
    let (way, server_closes, seen) = match close {
        Close::Fin => (Way::Fin, false, BEHIND),
        Close::Peer => (Way::Peer, true, BEFORE),
        Close::Rst => (Way::Rst, false, CUT),
        Close::HalfClose => (Way::HalfClose, false, WITH),
        Close::Abandon => (Way::Abandon, false, LEFT),
    };
    Row { talk, close, speech, server_closes, way, seen }
}

const ROWS: [Row; 27] = [
    row(Talk::SILENT, Close::Rst, Speech::Sink),
    row(Talk::SILENT, Close::Fin, Speech::Sink),
    // The server's FIN crosses the ACK of its handshake, which leaves first.
    Row { seen: BETWEEN, ..row(Talk::SILENT, Close::Peer, Speech::Sink) },
    row(Talk::SILENT, Close::Abandon, Speech::Sink),
    row(HTTP, Close::Fin, Speech::Http),
    row(HTTP, Close::Peer, Speech::Http),
    row(HTTP, Close::Rst, Speech::Http),
    row(HTTP, Close::HalfClose, Speech::Http),
    row(HTTP, Close::Abandon, Speech::Http),
    row(ECHO, Close::Fin, Speech::Echo),
    row(ECHO, Close::Rst, Speech::Echo),
    row(ECHO, Close::HalfClose, Speech::Echo),
    row(ECHO, Close::Abandon, Speech::Echo),
    row(RAW, Close::Fin, Speech::Octets(700)),
    row(RAW, Close::Peer, Speech::Octets(700)),
    row(RAW, Close::HalfClose, Speech::Octets(700)),
    row(UNTIL_CLOSE, Close::Peer, Speech::Octets(5_000)),
    row(Talk { requests: 7, ..HTTP }, Close::Fin, Speech::Http),
    Row { seen: BEHIND, ..row(Talk { requests: 7, ..HTTP }, Close::HalfClose, Speech::Http) },
    row(Talk { requests: 7, ..ECHO }, Close::Fin, Speech::Echo),
    row(Talk { requests: 7, ..RAW }, Close::Peer, Speech::Octets(700)),
    row(UP, Close::Fin, Speech::Sink),
    Row { seen: BEHIND, ..row(UP, Close::HalfClose, Speech::Sink) },
    row(DOWN, Close::Fin, Speech::Octets(BULK as usize)),
    row(DOWN, Close::Peer, Speech::Octets(BULK as usize)),
    row(BOTH, Close::Fin, Speech::Echo),
    Row { seen: BEHIND, ..row(BOTH, Close::HalfClose, Speech::Echo) },
];

/// Runs a row over a wire with these faults to its end.
#[track_caller]
fn meet(number: usize, faults: [Faults; 2], seed: u64) {
    let row = &ROWS[number];
    let name = format!("row {number}, seed {seed}: {:?}, {:?}", row.talk, row.close);
    let mut setup = setup();
    (setup.faults, setup.seed) = (faults, seed);
    setup.cfg.receive_buffer = 32_768;
    let (connect_timeout_ms, reply_timeout_ms) = (60_000, 120_000);
    let plan = plan(row.talk, row.close, AT_ONCE, CONNECTIONS);
    let mut lab = Lab::with(
        Plan { connect_timeout_ms, reply_timeout_ms, drain_ms: 300_000, ..plan },
        &setup,
        tuples(Ports { first: 1_024, last: 2_000 }),
    );
    let mut server = Server::new(&mut lab.stack, row, seed);
    lab.run(&mut server, 600_000);
    let tally = lab.tally();
    assert_eq!((tally.attempted, tally.established), (CONNECTIONS, CONNECTIONS), "{name}: {tally:?}");
    assert_eq!(tally.closed[row.way as usize], CONNECTIONS, "{name}: {tally:?}");
    let requests = CONNECTIONS * u64::from(row.talk.requests);
    assert_eq!((tally.requests, tally.replies), (requests, requests), "{name}");
    let perfect = faults == [Faults::default(); 2];
    if perfect {
        assert_eq!(lab.stack.counters.get(Counter::Retransmissions), 0, "{name}");
    }
    // The last frames arrive.
    for _ in 0..20 {
        lab.turn(&mut server);
    }
    // A lossy wire may lose the only reset, and who leaves without a word repeats nothing.
    let comes_to_an_end = !matches!(row.close, Close::Rst | Close::Abandon);
    if perfect || comes_to_an_end {
        both_agree(&name, row, &server, &tally);
    }
    if perfect {
        // Whether our ACK and our FIN are one segment, and FIN-WAIT-2 is seen, depends on how bursts are cut.
        let seen =
            |states: &[State]| states.iter().copied().filter(|s| *s != State::FinWait2).collect::<Vec<_>>();
        server.accepted().for_each(|guest| assert_eq!(seen(&guest.states), seen(row.seen), "{name}"));
    }
    lab.quiet(server);
}

#[track_caller]
fn both_agree(name: &str, row: &Row, server: &Server, tally: &dpdk_tcp::stats::account::Tally) {
    let sum = |count: fn(&Guest) -> u64| server.accepted().map(count).sum::<u64>();
    assert_eq!(server.accepted().count() as u64, tally.established, "{name}");
    assert_eq!(sum(|guest| guest.heard.len() as u64), tally.octets_sent, "{name}");
    assert_eq!(sum(|guest| guest.said), tally.octets_received, "{name}");
    if matches!(row.speech, Speech::Http | Speech::Octets(_)) {
        assert_eq!(sum(|guest| guest.requests), tally.requests, "{name}");
    }
    // What the server heard is what the client of this number was to say; numbers follow the ports.
    for guest in server.accepted() {
        let one = row.talk.request_len() as usize;
        let mut request = vec![0; one];
        row.talk.fill(u64::from(guest.from_port - 1_024), 0, &mut request);
        let requests = row.talk.requests as usize;
        assert_eq!(guest.heard, request.repeat(requests), "{name}, port {}", guest.from_port);
    }
}

#[test]
fn every_profile_and_every_close_over_a_perfect_wire_is_seen_alike_by_both() {
    for number in 0..ROWS.len() {
        meet(number, Default::default(), 1);
    }
}

#[test]
fn every_profile_and_every_close_survives_a_bad_wire() {
    for seed in 0..2 * ROWS.len() as u64 {
        let mut rng = Rng::new(seed);
        let mut draw = || Faults {
            loss_ppm: 20_000 * rng.below(3),
            duplicate_ppm: 20_000 * rng.below(3),
            delay_us: 300,
            jitter_us: 500 * rng.below(3),
            reorder_ppm: 10_000 * rng.below(3),
            reorder_us: 3_000,
            ..Faults::default()
        };
        meet(seed as usize % ROWS.len(), [draw(), draw()], seed);
    }
}
