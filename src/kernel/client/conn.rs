//! One connection of a client: opening, talking, thinking, holding, closing. It says what it waits for, or how it
//! ended; counting the end and the timers are its table's.

use mio::event::Event;
use mio::net::TcpStream;
use nix::errno::Errno;

use crate::kernel::socket::{self, Follow};
use crate::kernel::timers::Wait;
use crate::kernel::{PIECES_PER_PASS, Ready};
use crate::load::closing::Close;
use crate::load::schedule::Launch;
use crate::load::talk::{Conversation, Heard, Reply, Talk};
use crate::stats::account::{Broken, Failed, Tally, Way};
use crate::stats::latency::{Latencies, Phase};

/// What all connections of a run share.
pub(super) struct Run {
    pub(super) talk: Talk,
    pub(super) thinks: bool,
    pub(super) holds: bool,
    pub(super) now_ns: u64,
    pub(super) tally: Tally,
    pub(super) latencies: Latencies,
    pub(super) scratch: Box<[u8]>,
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Failed(Failed),
    Closed(Way),
    Broken(Broken),
}

impl End {
    /// The other end is told by a reset, and not by a FIN.
    pub(super) fn is_by_reset(self) -> bool {
        use Broken::{Cut, ReplyTimedOut, WrongData};
        matches!(self, End::Closed(Way::Rst) | End::Broken(Cut | ReplyTimedOut | WrongData))
    }
}

/// What follows from an act that did not end the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Done {
    /// It waits for this from now on.
    pub(super) wait: Option<Wait>,
    /// It has more to do at once.
    pub(super) again: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Connecting,
    Talking,
    Thinking,
    Holding,
    /// All is said: the other end's FIN is waited for.
    Closing,
}

/// A connection.
pub(super) struct Conn {
    stream: TcpStream,
    serial: u32,
    launch: Launch,
    close: Close,
    stage: Stage,
    ready: Ready,
    said: Conversation,
    /// Requests before the current one.
    requests_before: u32,
    /// The current request is sent.
    is_asked: bool,
    /// When we sent our FIN.
    fin_ns: Option<u64>,
    /// The other end's FIN came.
    is_peer_closed: bool,
    /// What came and could not be understood without more: the beginning of an HTTP head.
    held: Vec<u8>,
}

impl Conn {
    pub(super) fn new(stream: TcpStream, serial: u32, launch: Launch, close: Close) -> Self {
        Conn {
            stream,
            serial,
            launch,
            close,
            stage: Stage::Connecting,
            ready: Ready::default(),
            said: Conversation::default(),
            requests_before: 0,
            is_asked: false,
            fin_ns: None,
            is_peer_closed: false,
            held: Vec::new(),
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

    pub(super) fn is_open(&self) -> bool {
        self.stage != Stage::Connecting
    }

    /// When our FIN was sent, on a connection that is measured.
    pub(super) fn measured_fin_ns(&self) -> Option<u64> {
        self.fin_ns.filter(|_| self.launch.measured)
    }

    /// The socket is ready for something.
    pub(super) fn on_event(&mut self, event: &Event, run: &mut Run) -> Result<Done, End> {
        self.ready.add(event);
        if self.stage == Stage::Connecting {
            if event.is_error() {
                self.fail_to_open(run)?;
            }
            if !event.is_writable() {
                return Ok(Done::default());
            }
            self.establish(run);
        }
        self.advance(run)
    }

    /// An error came before we knew that the connection is open.
    fn fail_to_open(&mut self, run: &mut Run) -> Result<(), End> {
        match socket::pending_error(&self.stream) {
            // A reset that answers a SYN is a refusal: this one came later.
            Some(error @ (Errno::ECONNRESET | Errno::EPIPE)) => {
                self.establish(run);
                Err(End::Broken(socket::broken(error)))
            }
            Some(error) => Err(End::Failed(socket::failed(error))),
            None => Ok(()),
        }
    }

    fn establish(&mut self, run: &mut Run) {
        self.stage = Stage::Talking;
        run.tally.establish();
        self.record(Phase::Syn, run);
        self.record(Phase::Established, run);
    }

    fn record(&self, phase: Phase, run: &mut Run) {
        if self.launch.measured {
            run.latencies.record(phase, run.now_ns.saturating_sub(self.launch.intended_ns));
        }
    }

    /// A wait is over.
    pub(super) fn expire(&mut self, wait: Wait, run: &mut Run) -> Result<Done, End> {
        match wait {
            Wait::Connect => Err(End::Failed(Failed::SynTimedOut)),
            Wait::Reply => Err(End::Broken(Broken::ReplyTimedOut)),
            Wait::Think => {
                self.ask_next(run);
                self.advance(run).map(|done| Done { wait: Some(self.waits_for()), ..done })
            }
            Wait::Hold => {
                self.begin_to_close(run)?;
                self.advance(run).map(|done| Done { wait: Some(self.waits_for()), ..done })
            }
        }
    }

    /// Sends and receives what can be, a bounded number of pieces.
    pub(super) fn advance(&mut self, run: &mut Run) -> Result<Done, End> {
        let before = self.stage;
        let mut pieces = 0;
        let mut moves = true;
        while moves && pieces < PIECES_PER_PASS {
            moves = self.send(run)?;
            moves |= self.receive(run)?;
            moves |= self.turn(run)?;
            pieces += usize::from(moves);
        }
        // Whoever talks and makes progress is patient again; who only waits for a FIN is not.
        let renewed = self.stage != before || (self.stage == Stage::Talking && pieces > 0);
        Ok(Done { wait: renewed.then(|| self.waits_for()), again: moves })
    }

    fn waits_for(&self) -> Wait {
        match self.stage {
            Stage::Connecting => Wait::Connect,
            Stage::Talking | Stage::Closing => Wait::Reply,
            Stage::Thinking => Wait::Think,
            Stage::Holding => Wait::Hold,
        }
    }

    fn is_last_request(&self, talk: &Talk) -> bool {
        self.requests_before.saturating_add(1) >= talk.requests
    }

    /// Sends a piece of the current request; true when that may be tried again.
    fn send(&mut self, run: &mut Run) -> Result<bool, End> {
        let left = self.said.to_send(&run.talk);
        if self.stage != Stage::Talking || self.is_asked || (left > 0 && !self.ready.writable) {
            return Ok(false);
        }
        if left > 0 {
            let is_end = self.close == Close::HalfClose && self.is_last_request(&run.talk);
            let octets = piece(&run.talk, self.launch.number, self.said.sent(), left, &mut run.scratch);
            let follow = if is_end && octets.len() as u64 == left { Follow::Fin } else { Follow::Anything };
            let sent = socket::write(&self.stream, octets, follow).map_err(broken)?.unwrap_or(0);
            self.ready.writable = sent == octets.len();
            run.tally.octets_sent += sent as u64;
            if !self.said.queued(&run.talk, sent as u64) {
                return Ok(sent > 0);
            }
        }
        self.is_asked = true;
        run.tally.requests += u64::from(run.talk.requests > 0);
        if self.close == Close::HalfClose && self.is_last_request(&run.talk) {
            self.finish(run)?;
        }
        Ok(true)
    }

    /// Our FIN follows what was sent.
    fn finish(&mut self, run: &mut Run) -> Result<(), End> {
        self.fin_ns = Some(run.now_ns);
        socket::finish(&self.stream).map_err(broken)
    }

    /// Reads a piece; true when there may be more.
    fn receive(&mut self, run: &mut Run) -> Result<bool, End> {
        if !self.ready.readable || self.is_peer_closed {
            return Ok(false);
        }
        let Some(count) = socket::read(&self.stream, &mut run.scratch).map_err(broken)? else {
            self.ready.readable = false;
            return Ok(false);
        };
        if count == 0 {
            return self.peer_closed(run);
        }
        self.ready.was_read(count);
        run.tally.octets_received += count as u64;
        let scratch = std::mem::take(&mut run.scratch);
        let heard = self.hear(scratch.get(..count).unwrap_or_default(), run);
        run.scratch = scratch;
        heard.map(|()| true)
    }

    fn hear(&mut self, octets: &[u8], run: &mut Run) -> Result<(), End> {
        if self.said.is_first() && self.held.is_empty() {
            self.record(Phase::FirstByte, run);
        }
        let was_complete = self.said.is_complete();
        let heard = if self.held.is_empty() {
            let (taken, heard) = self.said.receive(&run.talk, self.launch.number, octets);
            self.held.extend_from_slice(octets.get(taken..).unwrap_or_default());
            heard
        } else {
            self.held.extend_from_slice(octets);
            let (taken, heard) = self.said.receive(&run.talk, self.launch.number, &self.held);
            self.held.drain(..taken.min(self.held.len()));
            heard
        };
        match heard {
            Heard::Complete if !was_complete => self.is_answered(run),
            Heard::Complete | Heard::Waiting => {}
            Heard::WrongData => return Err(End::Broken(Broken::WrongData)),
            Heard::Short => return Err(End::Broken(Broken::ShortReply)),
        }
        Ok(())
    }

    /// The reply to the current request is complete.
    fn is_answered(&self, run: &mut Run) {
        run.tally.replies += 1;
        if self.is_last_request(&run.talk) {
            self.record(Phase::LastByte, run);
        }
    }

    /// The other end's FIN: in order where all was said but the rest of our request, and short otherwise.
    fn peer_closed(&mut self, run: &mut Run) -> Result<bool, End> {
        self.is_peer_closed = true;
        let was_complete = self.said.is_complete();
        let heard = self.said.peer_closed(&run.talk);
        if heard != Heard::Complete || !self.is_last_request(&run.talk) {
            return Err(End::Broken(Broken::ShortReply));
        }
        if expects(&run.talk) && !was_complete {
            self.is_answered(run);
        }
        if self.is_asked { Err(End::Closed(self.way())) } else { Ok(true) }
    }

    /// How a connection ends whose other end has closed, too.
    fn way(&self) -> Way {
        match (self.close, self.fin_ns) {
            (Close::HalfClose, _) => Way::HalfClose,
            (Close::Rst | Close::Abandon, _) => Way::Rst,
            (Close::Fin, Some(_)) => Way::Fin,
            (Close::Fin | Close::Peer, _) => Way::Peer,
        }
    }

    /// Goes on where a request and its reply are over; true when there is another request.
    fn turn(&mut self, run: &mut Run) -> Result<bool, End> {
        let is_over = self.is_asked && (!expects(&run.talk) || self.said.is_complete());
        if self.stage != Stage::Talking || !is_over {
            return Ok(false);
        }
        if !self.is_last_request(&run.talk) {
            if run.thinks {
                self.stage = Stage::Thinking;
                return Ok(false);
            }
            self.ask_next(run);
            return Ok(true);
        }
        if self.is_peer_closed {
            return Err(End::Closed(self.way()));
        }
        if run.holds {
            self.stage = Stage::Holding;
        } else {
            self.begin_to_close(run)?;
        }
        Ok(false)
    }

    fn ask_next(&mut self, run: &mut Run) {
        self.said.next(&run.talk);
        self.requests_before += 1;
        self.is_asked = false;
        self.stage = Stage::Talking;
    }

    fn begin_to_close(&mut self, run: &mut Run) -> Result<(), End> {
        self.stage = Stage::Closing;
        match self.close {
            Close::Fin if !self.ready.hung_up => self.finish(run),
            // Where the other end was first, its FIN is the next that is read.
            Close::Fin | Close::Peer | Close::HalfClose => Ok(()),
            // Nobody is left without a word: a client with such a plan is not made.
            Close::Rst | Close::Abandon => Err(End::Closed(Way::Rst)),
        }
    }
}

/// A request has a reply.
fn expects(talk: &Talk) -> bool {
    talk.requests > 0 && talk.reply != Reply::None
}

/// The next octets of a request: its own where they are the same for all, or written into `place`.
fn piece<'a>(talk: &Talk, number: u64, at: u64, left: u64, place: &'a mut [u8]) -> &'a [u8] {
    if let Some(lent) = talk.lent(at) {
        return lent;
    }
    let len = place.len().min(usize::try_from(left).unwrap_or(usize::MAX));
    let place = place.get_mut(..len).unwrap_or_default();
    talk.fill(number, at, place);
    place
}

fn broken(error: Errno) -> End {
    End::Broken(socket::broken(error))
}
