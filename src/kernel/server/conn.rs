//! One connection of a server, and what its service does with what arrives.

use mio::event::Event;
use mio::net::TcpStream;
use nix::errno::Errno;

use super::Serve;
use crate::app::chargen;
use crate::app::http::responses::Responses;
use crate::app::http::{self, HttpConn, Mode};
use crate::kernel::socket::{self, Follow};
use crate::kernel::{PIECE, PIECES_PER_PASS, Ready};
use crate::stats::account::{Broken, Tally, Way};

/// What all connections of a server share.
pub(super) struct Run {
    pub(super) mode: Mode,
    pub(super) tally: Tally,
    reply: &'static [u8],
    responses: &'static Responses,
    scratch: Box<[u8]>,
}

impl Run {
    pub(super) fn new(reply: &'static [u8], responses: &'static Responses) -> Self {
        let scratch = vec![0; PIECE].into();
        Run { mode: Mode::Serving, tally: Tally::default(), reply, responses, scratch }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Over {
    Closed(Way),
    Broken(Broken),
}

/// A connection.
pub(super) struct Conn {
    stream: TcpStream,
    serial: u32,
    serve: Serve,
    ready: Ready,
    http: HttpConn,
    /// What is to be sent and was prepared long ago.
    output: &'static [u8],
    /// What echo has to send back; what http has of requests that are not whole, or wait for room.
    held: Vec<u8>,
    /// What http has is no whole request.
    is_partial: bool,
    /// Nothing more is said behind `output` and, with echo, `held`.
    is_last_word: bool,
    /// Our FIN is sent.
    is_finished: bool,
    /// The other end's FIN came.
    is_peer_closed: bool,
    /// It came before ours.
    is_peer_first: bool,
}

impl Conn {
    pub(super) fn new(stream: TcpStream, serial: u32, serve: Serve) -> Self {
        Conn {
            stream,
            serial,
            serve,
            // Nothing was sent yet; whether something came is told by an event.
            ready: Ready { writable: true, ..Ready::default() },
            http: HttpConn::default(),
            output: &[],
            held: Vec::new(),
            is_partial: false,
            is_last_word: false,
            is_finished: false,
            is_peer_closed: false,
            is_peer_first: false,
        }
    }

    pub(super) fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub(super) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Tells its events from those of the connection that had its place before.
    pub(super) fn serial(&self) -> u32 {
        self.serial
    }

    /// The socket is ready for something.
    pub(super) fn on_event(&mut self, event: &Event) {
        self.ready.add(event);
    }

    /// Sends and receives what can be, a bounded number of pieces; true when there is more to do at once.
    pub(super) fn advance(&mut self, run: &mut Run) -> Result<bool, Over> {
        let mut moves = true;
        let mut pieces = 0;
        while moves && pieces < PIECES_PER_PASS {
            moves = self.receive(run)?;
            moves |= self.go_on(run);
            moves |= self.send(run)?;
            self.come_to_an_end(run)?;
            pieces += 1;
        }
        Ok(moves)
    }

    /// Octets that must leave before more are read: a peer that does not read closes its own window.
    fn is_behind(&self) -> bool {
        match self.serve {
            Serve::Echo => !self.held.is_empty(),
            Serve::Http => !self.output.is_empty(),
            Serve::Discard | Serve::Chargen | Serve::Reply => false,
        }
    }

    /// Reads a piece; true when there may be more.
    fn receive(&mut self, run: &mut Run) -> Result<bool, Over> {
        if !self.ready.readable || self.is_peer_closed || self.is_behind() {
            return Ok(false);
        }
        let Some(count) = socket::read(&self.stream, &mut run.scratch).map_err(broken)? else {
            self.ready.readable = false;
            return Ok(false);
        };
        if count == 0 {
            self.is_peer_closed = true;
            self.is_peer_first |= !self.is_finished;
            return Ok(true);
        }
        self.ready.was_read(count);
        run.tally.octets_received += count as u64;
        let octets = run.scratch.get(..count).unwrap_or_default();
        match self.serve {
            Serve::Echo => self.held.extend_from_slice(octets),
            Serve::Http if !self.is_last_word => {
                self.held.extend_from_slice(octets);
                self.is_partial = false;
            }
            Serve::Reply if !self.is_last_word => {
                (self.output, self.is_last_word) = (run.reply, true);
                run.tally.requests += 1;
                run.tally.replies += 1;
            }
            Serve::Discard | Serve::Chargen | Serve::Http | Serve::Reply => {}
        }
        Ok(true)
    }

    /// Finds what is to be said next; true when there is something.
    fn go_on(&mut self, run: &mut Run) -> bool {
        if self.is_last_word || !self.output.is_empty() {
            return false;
        }
        match self.serve {
            Serve::Chargen if !self.is_peer_closed && run.mode == Mode::Serving => {
                self.output = &chargen::CYCLE;
                self.ready.writable
            }
            Serve::Http if !self.held.is_empty() && !self.is_partial => self.answer(run),
            _ => false,
        }
    }

    /// Answers one request, if a whole one is there. Those behind it wait until the answer is sent.
    fn answer(&mut self, run: &mut Run) -> bool {
        let mut answer = None;
        let (taken, end) = self.http.consume(&self.held, run.mode, |next| {
            let is_first = answer.is_none();
            answer.get_or_insert(next);
            is_first
        });
        self.held.drain(..taken.min(self.held.len()));
        self.is_last_word = end == http::End::Close;
        self.is_partial = end == http::End::Wait;
        let Some(answer) = answer else { return false };
        self.output = run.responses.bytes(answer);
        run.tally.requests += 1;
        run.tally.replies += 1;
        true
    }

    /// Sends a piece; true when that may be tried again.
    fn send(&mut self, run: &mut Run) -> Result<bool, Over> {
        let echoes = self.serve == Serve::Echo;
        let octets = if echoes { self.held.as_slice() } else { self.output };
        if octets.is_empty() || !self.ready.writable {
            return Ok(false);
        }
        let follow = if self.is_last_word { Follow::Fin } else { Follow::Anything };
        let sent = socket::write(&self.stream, octets, follow).map_err(broken)?.unwrap_or(0);
        self.ready.writable = sent == octets.len();
        run.tally.octets_sent += sent as u64;
        if echoes {
            self.held.drain(..sent.min(self.held.len()));
        } else {
            self.output = self.output.get(sent..).unwrap_or_default();
        }
        Ok(sent > 0)
    }

    /// Closes our direction when all is said, and ends where both are closed.
    fn come_to_an_end(&mut self, run: &Run) -> Result<(), Over> {
        let is_idle = self.output.is_empty() && (self.held.is_empty() || self.is_partial);
        let drains = run.mode == Mode::Draining
            && match self.serve {
                Serve::Http => self.held.is_empty(),
                Serve::Chargen => true,
                Serve::Echo | Serve::Discard | Serve::Reply => false,
            };
        self.is_last_word |= is_idle && (self.is_peer_closed || drains);
        if !is_idle || !self.is_last_word {
            return Ok(());
        }
        if self.is_peer_closed {
            return Err(Over::Closed(if self.is_peer_first { Way::Peer } else { Way::Fin }));
        }
        if !self.is_finished {
            self.is_finished = true;
            self.is_peer_first = self.ready.hung_up;
            socket::finish(&self.stream).map_err(broken)?;
        }
        Ok(())
    }
}

fn broken(error: Errno) -> Over {
    Over::Broken(socket::broken(error))
}
