//! The client: launches connections when they are due, carries their talk, closes them as planned, and counts what
//! became of each. Latencies are those of the pass that saw the event, from the intended launch on.

mod conn;
mod table;

use std::io;
use std::time::Duration;

use mio::{Events, Interest, Poll};
use thiserror::Error;

use super::{EVENTS_PER_PASS, Options, Pass, Source, socket, token};
use crate::load::closing::{Close, Closes};
use crate::load::schedule::{Launch, Launches};
use crate::load::talk::Talk;
use crate::load::tuples::Tuples;
use crate::stats::account::{Failed, Tally};
use crate::stats::interval::Interval;
use crate::stats::latency::Latencies;
use conn::Conn;
use table::Table;

/// Launches in a pass. More than can end in one, so that a closed loop is full again after each pass; bounded, since
/// launches that fail at once would be replaced for ever.
const LAUNCHES_PER_PASS: usize = 4 * EVENTS_PER_PASS;

/// Octets of data that every path carries in one segment: a longer request would wait for acknowledgments (Nagle).
const SEGMENT: u64 = 536;

/// How long a client waits for what, in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Times {
    /// For the handshake.
    pub connect_ns: u64,
    /// For the reply since the last octet went or came, and for the other end's FIN since the reply or our FIN.
    pub reply_ns: u64,
    /// Between a reply and the next request.
    pub think_ns: u64,
    /// Between the last reply, or ESTABLISHED where nothing is said, and the close. Over early when the run's time is.
    pub hold_ns: u64,
    /// For all that is open when the run's time is over. What is still there then is reset. Where the last launch was
    /// the last by number, what is open has the rest of the run's time, too.
    pub drain_ns: u64,
}

/// What a client does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// When connections are launched.
    pub launches: Launches,
    /// Between whom.
    pub tuples: Tuples,
    /// What of our own endpoint is taken from the tuple.
    pub source: Source,
    /// What sockets are told.
    pub options: Options,
    /// What is said.
    pub talk: Talk,
    /// Who closes. `Close::Abandon` is impossible.
    pub closes: Closes,
    /// How long it waits.
    pub times: Times,
    /// Connections at a time at most; those beyond are counted as [`Failed::NoTcb`]. All memory for them is taken at
    /// the start.
    pub sockets_max: u32,
}

/// Why there is no client.
#[derive(Debug, Error)]
pub enum ClientError {
    /// `Close::Abandon` was asked for.
    #[error(
        "a kernel socket cannot be left without a word: take another way to close, or the engine's own client"
    )]
    Abandon,
    /// There is no epoll instance.
    #[error("epoll: {0}")]
    Poll(#[from] io::Error),
}

/// The client of one loop.
pub struct Client {
    poll: Poll,
    events: Events,
    launches: Launches,
    tuples: Tuples,
    source: Source,
    options: Options,
    nodelay: bool,
    closes: Closes,
    table: Table,
    drain_ns: u64,
    drain_until_ns: Option<u64>,
    is_stopped: bool,
    now_ns: u64,
    serial: u32,
}

impl Client {
    /// A client whose clock starts at 0, as its launches do.
    ///
    /// # Errors
    /// The plan cannot be carried out on kernel sockets, or the kernel has no epoll instance left.
    pub fn new(plan: Plan) -> Result<Self, ClientError> {
        if plan.closes.has(Close::Abandon) {
            return Err(ClientError::Abandon);
        }
        Ok(Client {
            poll: Poll::new()?,
            events: Events::with_capacity(EVENTS_PER_PASS),
            launches: plan.launches,
            tuples: plan.tuples,
            source: plan.source,
            options: plan.options,
            nodelay: plan.talk.requests > 1 || plan.talk.request_len() > SEGMENT,
            closes: plan.closes,
            table: Table::new(plan.talk, plan.times, plan.sockets_max),
            drain_ns: plan.times.drain_ns,
            drain_until_ns: None,
            is_stopped: false,
            now_ns: 0,
            serial: 0,
        })
    }

    /// One turn of the loop, at `now_ns` on the run's clock, which never goes back.
    pub fn pass(&mut self, now_ns: u64) -> Pass {
        self.now_ns = now_ns;
        self.table.begin(now_ns);
        let mut work = self.drain(now_ns);
        work += self.take_events();
        work += self.table.go_on();
        work += self.table.expire();
        work += self.launch(now_ns);
        Pass::of(work)
    }

    /// Launches nothing more: what is open is finished within the drain's time.
    pub fn stop(&mut self) {
        self.launches.stop();
        self.is_stopped = true;
    }

    /// No launch is to follow, and no connection is left.
    pub fn is_done(&self) -> bool {
        self.launches.is_over(self.now_ns) && self.table.len() == 0
    }

    /// The account so far.
    pub fn account(&self) -> &Tally {
        self.table.account()
    }

    /// Connections that are open or being opened.
    pub fn connections(&self) -> u32 {
        self.table.len()
    }

    /// Writes account and level.
    pub fn fill(&self, interval: &mut Interval) {
        interval.account = *self.account();
        interval.connections = self.connections();
    }

    /// The latencies of measured connections: to be swapped with an interval's empty ones, and back where the
    /// interval finds its mailbox full. After a close by the other end [`Phase::Closed`] is left out: the kernel does
    /// not tell when our FIN was acknowledged.
    ///
    /// [`Phase::Closed`]: crate::stats::latency::Phase::Closed
    pub fn latencies(&mut self) -> &mut Latencies {
        self.table.latencies()
    }

    /// Notices the end of the run's time, and resets what is left when the drain's time is over, too.
    fn drain(&mut self, now_ns: u64) -> usize {
        let is_over = self.is_stopped || now_ns >= self.launches.end_ns();
        match self.drain_until_ns {
            None if is_over && self.launches.is_over(now_ns) => {
                self.drain_until_ns = Some(now_ns.saturating_add(self.drain_ns));
                self.table.hold_no_longer()
            }
            Some(until_ns) if now_ns >= until_ns => self.table.cut_all(),
            _ => 0,
        }
    }

    fn take_events(&mut self) -> usize {
        // It fails only when a signal comes first (EINTR), and then the events come next time.
        if self.poll.poll(&mut self.events, Some(Duration::ZERO)).is_err() {
            return 0;
        }
        let mut count = 0;
        for event in &self.events {
            self.table.on_event(event);
            count += 1;
        }
        count
    }

    fn launch(&mut self, now_ns: u64) -> usize {
        let mut count = 0;
        while count < LAUNCHES_PER_PASS {
            let Some(launch) = self.launches.next(now_ns, self.table.len()) else { break };
            count += 1;
            self.table.tally().attempt();
            if let Err(why) = self.open(launch) {
                self.table.tally().fail(why);
            }
        }
        let missed = self.launches.give_up(now_ns, self.drain_ns);
        self.table.tally().miss(missed);
        count
    }

    fn open(&mut self, launch: Launch) -> Result<(), Failed> {
        let tuple = self.tuples.next().ok_or(Failed::NoTuple)?;
        if self.table.is_full() {
            return Err(Failed::NoTcb);
        }
        let stream =
            socket::open(&tuple, self.source, &self.options, self.nodelay).map_err(socket::failed)?;
        self.serial = self.serial.wrapping_add(1);
        let conn = Conn::new(stream, self.serial, launch, self.closes.of(launch.number));
        let registry = self.poll.registry();
        self.table.insert(conn, |conn, index| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            let token = token(index, conn.serial());
            registry.register(conn.stream(), token, interest)
        })
    }
}
