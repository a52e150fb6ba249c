//! What a client does with one connection, and what it must see.

use dpdk_tcp::app::http::request::{Answer, Reuse, Status};
use dpdk_tcp::app::http::responses::Responses;
use smoltcp::socket::tcp::{Socket, State};

/// A connection's purpose.
#[derive(Clone, Copy, Debug)]
pub enum Plan {
    /// Sends octets to echo and wants them back. With `half_close` it closes as soon as they are sent.
    Echo { octets: usize, half_close: bool },
    /// Sends octets to discard.
    Discard { octets: usize },
    /// Reads so many octets from chargen, then closes or resets.
    Chargen { octets: usize, abort: bool },
    /// Sends so many requests to http, all at once; the last one asks for the connection to be closed.
    Http { requests: usize },
    /// Connects to echo and closes.
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum CloseWhen {
    Sent,
    Received,
    PeerClosed,
    ReceivedThenAbort,
}

/// One connection of a client.
pub struct Task {
    pub plan: Plan,
    out: Vec<u8>,
    sent: usize,
    expected: Vec<u8>,
    received: usize,
    close_when: CloseWhen,
    /// The server goes on sending after what was expected.
    endless: bool,
    closed: bool,
}

fn text(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(31) ^ (i >> 8) ^ seed) as u8).collect()
}

/// RFC 864's lines, written down anew.
fn chargen(len: usize) -> Vec<u8> {
    let line = |n: usize| {
        let chars = (0..72).map(move |column| b' ' + ((n + column) % 95) as u8);
        chars.chain(*b"\r\n")
    };
    (0..).flat_map(line).take(len).collect()
}

fn requests(count: usize) -> Vec<u8> {
    let keep = "GET / HTTP/1.1\r\nHost: sim\r\n\r\n".repeat(count - 1);
    format!("{keep}GET /last HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n").into_bytes()
}

fn answers(count: usize, responses: &Responses) -> Vec<u8> {
    let answer = |reuse| responses.bytes(Answer { status: Status::Ok, head_only: false, reuse });
    [answer(Reuse::Implied).repeat(count - 1), answer(Reuse::Close).to_vec()].concat()
}

impl Plan {
    /// The server's port.
    pub fn port(self) -> u16 {
        match self {
            Plan::Echo { .. } | Plan::Nothing => 7,
            Plan::Discard { .. } => 9,
            Plan::Chargen { .. } => 19,
            Plan::Http { .. } => 80,
        }
    }
}

impl Task {
    /// A task; `seed` makes its octets its own, `responses` are the server's.
    pub fn new(plan: Plan, seed: usize, responses: &Responses) -> Task {
        let task = |out: Vec<u8>, expected: Vec<u8>, close_when| Task {
            plan,
            out,
            sent: 0,
            expected,
            received: 0,
            close_when,
            endless: matches!(plan, Plan::Chargen { .. }),
            closed: false,
        };
        match plan {
            Plan::Echo { octets, half_close } => {
                let when = if half_close { CloseWhen::Sent } else { CloseWhen::Received };
                task(text(octets, seed), text(octets, seed), when)
            }
            Plan::Discard { octets } => task(text(octets, seed), Vec::new(), CloseWhen::Sent),
            Plan::Chargen { octets, abort: false } => task(Vec::new(), chargen(octets), CloseWhen::Received),
            Plan::Chargen { octets, abort: true } => {
                task(Vec::new(), chargen(octets), CloseWhen::ReceivedThenAbort)
            }
            Plan::Http { requests: count } => {
                task(requests(count), answers(count, responses), CloseWhen::PeerClosed)
            }
            Plan::Nothing => task(Vec::new(), Vec::new(), CloseWhen::Sent),
        }
    }

    /// Does what can be done now. True when the connection is over as it should be.
    ///
    /// # Panics
    /// The peer saw something else than it must.
    pub fn step(&mut self, socket: &mut Socket<'_>) -> bool {
        self.read(socket);
        if socket.can_send() && self.sent < self.out.len() {
            self.sent += socket.send_slice(&self.out[self.sent..]).unwrap();
        }
        let connected = !matches!(socket.state(), State::SynSent | State::SynReceived | State::Closed);
        if connected && !self.closed && self.wants_to_close(socket) {
            self.closed = true;
            match self.close_when {
                CloseWhen::ReceivedThenAbort => socket.abort(),
                _ => socket.close(),
            }
        }
        let over = matches!(socket.state(), State::Closed | State::TimeWait);
        if over {
            assert!(self.closed, "the server ended the connection first: {}", self.progress());
            assert!(self.is_complete(), "the connection ended too early: {}", self.progress());
        }
        over
    }

    fn read(&mut self, socket: &mut Socket<'_>) {
        let mut buffer = [0; 4_096];
        while socket.can_recv() {
            let Ok(len) = socket.recv_slice(&mut buffer) else { return };
            let rest = &self.expected[self.received..];
            let known = len.min(rest.len());
            assert_eq!(&buffer[..known], &rest[..known], "octets from {} on", self.received);
            assert!(known == len || self.endless, "more octets than expected: {}", self.progress());
            self.received += known;
        }
    }

    fn is_complete(&self) -> bool {
        self.sent == self.out.len() && self.received == self.expected.len()
    }

    fn wants_to_close(&self, socket: &Socket<'_>) -> bool {
        match self.close_when {
            CloseWhen::Sent => self.sent == self.out.len(),
            CloseWhen::Received | CloseWhen::ReceivedThenAbort => self.is_complete(),
            CloseWhen::PeerClosed => self.is_complete() && socket.state() == State::CloseWait,
        }
    }

    /// How far it came, for people.
    pub fn progress(&self) -> String {
        let Task { plan, sent, received, closed, .. } = self;
        format!(
            "{plan:?}: sent {sent} of {}, received {received} of {}, closed {closed}",
            self.out.len(),
            self.expected.len()
        )
    }
}
