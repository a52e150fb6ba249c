//! The server: the services of [`crate::app`] on the kernel's sockets, with an account of the connections that were
//! accepted.

mod conn;
mod table;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll};
use nix::errno::Errno;
use thiserror::Error;

use super::{EVENTS_PER_PASS, Options, Pass, socket, token, untoken};
use crate::app::Service;
use crate::app::http::responses::Responses;
use crate::stats::account::Tally;
use crate::stats::interval::Interval;
use conn::{Conn, Run};
use table::Table;

/// Connections of a listener that are accepted in a pass.
const ACCEPTS_PER_PASS: usize = EVENTS_PER_PASS;

/// For how long nothing is accepted after the kernel had no descriptor or memory for it.
const PAUSE_NS: u64 = 10_000_000;

/// What is served at an endpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Serve {
    /// Sends back what arrives.
    Echo,
    /// Throws away what arrives.
    Discard,
    /// Sends lines of characters, for ever.
    Chargen,
    /// Answers GET and HEAD.
    Http,
    /// Answers the first data with fixed octets and FIN, and throws away what else comes.
    Reply,
}

impl From<Service> for Serve {
    fn from(service: Service) -> Self {
        match service {
            Service::Echo => Serve::Echo,
            Service::Discard => Serve::Discard,
            Service::Chargen => Serve::Chargen,
            Service::Http => Serve::Http,
            Service::Reply => Serve::Reply,
        }
    }
}

/// What a server does.
#[derive(Clone, Copy)]
pub struct Plan<'a> {
    /// Endpoints, and what is served at each; port 0 lets the kernel choose.
    pub listen: &'a [(SocketAddr, Serve)],
    /// Other loops listen at the same endpoints (SO_REUSEPORT).
    pub shared: bool,
    /// Connections that may wait to be accepted at each endpoint, as far as the kernel allows.
    pub backlog: u32,
    /// What sockets are told.
    pub options: Options,
    /// What [`Serve::Reply`] answers.
    pub reply: &'static [u8],
    /// What [`Serve::Http`] answers.
    pub responses: &'static Responses,
    /// Connections at a time at most; those beyond wait to be accepted. All memory for them is taken at the start,
    /// but what echo and http keep of a peer that is slow.
    pub sockets_max: u32,
}

/// Why there is no server.
#[derive(Debug, Error)]
pub enum ServerError {
    /// An endpoint cannot be listened at.
    #[error("{address}: {error}")]
    Listen {
        /// The endpoint.
        address: SocketAddr,
        /// What the kernel said.
        error: io::Error,
    },
    /// There is no epoll instance.
    #[error("epoll: {0}")]
    Poll(#[from] io::Error),
}

struct Listener {
    socket: TcpListener,
    serve: Serve,
    /// Connections may be waiting.
    ready: bool,
    /// Nothing is accepted before.
    pause_until_ns: u64,
}

/// The server of one loop.
pub struct Server {
    poll: Poll,
    events: Events,
    listeners: Vec<Listener>,
    table: Table,
    serial: u32,
    now_ns: u64,
    drain_until_ns: Option<u64>,
    accept_failures: u64,
}

impl Server {
    /// A server that listens.
    ///
    /// # Errors
    /// An endpoint is in use or not ours, or the kernel has nothing left.
    pub fn new(plan: Plan<'_>) -> Result<Self, ServerError> {
        let poll = Poll::new()?;
        let mut listeners = Vec::with_capacity(plan.listen.len());
        for (number, &(address, serve)) in (0u32..).zip(plan.listen) {
            let listen = || {
                let mut socket = socket::listen_at(address, plan.shared, plan.backlog, &plan.options)?;
                poll.registry().register(&mut socket, token(u32::MAX - number, 0), Interest::READABLE)?;
                Ok(Listener { socket, serve, ready: false, pause_until_ns: 0 })
            };
            listeners.push(listen().map_err(|error| ServerError::Listen { address, error })?);
        }
        Ok(Server {
            poll,
            events: Events::with_capacity(EVENTS_PER_PASS),
            listeners,
            table: Table::new(Run::new(plan.reply, plan.responses), plan.sockets_max),
            serial: 0,
            now_ns: 0,
            drain_until_ns: None,
            accept_failures: 0,
        })
    }

    /// Where it listens, in the order of the plan; nowhere once it drains.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|listener| listener.socket.local_addr().ok()).collect()
    }

    /// One turn of the loop, at `now_ns` on the run's clock, which never goes back.
    pub fn pass(&mut self, now_ns: u64) -> Pass {
        self.now_ns = now_ns;
        let mut work = self.take_events();
        work += self.table.go_on();
        work += self.accept_all();
        if self.drain_until_ns.is_some_and(|until_ns| now_ns >= until_ns) {
            work += self.table.cut_all();
        }
        Pass::of(work)
    }

    /// Accepts what waits, listens no more, lets connections end within this time, and resets what is left then.
    pub fn drain(&mut self, patience_ns: u64) {
        self.listeners.iter_mut().for_each(|listener| listener.ready = true);
        while self.accept_all() > 0 {}
        // A request that is here already is answered.
        for _ in 0..=self.table.len() as usize / EVENTS_PER_PASS {
            self.take_events();
        }
        self.listeners.clear();
        self.table.drain();
        self.drain_until_ns = Some(self.now_ns.saturating_add(patience_ns));
    }

    /// It drains, and no connection is left.
    pub fn is_drained(&self) -> bool {
        self.drain_until_ns.is_some() && self.table.len() == 0
    }

    /// The account so far: accepted connections are attempted and established, requests and replies are those of
    /// reply and http, and a connection is closed as [`fin`](crate::stats::account::Way::Fin) where
    /// this end closed first, and as `peer` otherwise.
    pub fn account(&self) -> &Tally {
        self.table.account()
    }

    /// How often the kernel could not hand over a connection that waited: no descriptors or memory were left, or it
    /// was gone already. Those that are still there are tried again.
    pub fn accept_failures(&self) -> u64 {
        self.accept_failures
    }

    /// Connections that are open.
    pub fn connections(&self) -> u32 {
        self.table.len()
    }

    /// Writes account and level.
    pub fn fill(&self, interval: &mut Interval) {
        interval.account = *self.account();
        interval.connections = self.connections();
    }

    fn take_events(&mut self) -> usize {
        // It fails only when a signal comes first (EINTR), and then the events come next time.
        if self.poll.poll(&mut self.events, Some(Duration::ZERO)).is_err() {
            return 0;
        }
        let mut count = 0;
        for event in &self.events {
            count += 1;
            let (index, _) = untoken(event.token());
            match self.listeners.get_mut((u32::MAX - index) as usize) {
                Some(listener) => listener.ready = true,
                None => self.table.on_event(event),
            }
        }
        count
    }

    fn accept_all(&mut self) -> usize {
        let mut count = 0;
        for number in 0..self.listeners.len() {
            for _ in 0..ACCEPTS_PER_PASS {
                if !self.accept(number) {
                    break;
                }
                count += 1;
            }
        }
        count
    }

    /// Accepts one connection; false when there is none, or no place for it.
    fn accept(&mut self, number: usize) -> bool {
        let Some(listener) = self.listeners.get_mut(number) else { return false };
        if !listener.ready || self.table.is_full() || self.now_ns < listener.pause_until_ns {
            return false;
        }
        let stream = match listener.socket.accept() {
            Ok((stream, _)) => stream,
            Err(error) => return self.could_not_accept(number, socket::errno(&error)),
        };
        self.serial = self.serial.wrapping_add(1);
        let conn = Conn::new(stream, self.serial, listener.serve);
        let registry = self.poll.registry();
        self.table.insert(conn, |conn, index| {
            let interest = Interest::READABLE | Interest::WRITABLE;
            let token = token(index, conn.serial());
            registry.register(conn.stream(), token, interest)
        });
        true
    }

    /// The kernel could not hand a connection over; true when another one may be there.
    fn could_not_accept(&mut self, number: usize, error: Errno) -> bool {
        let Some(listener) = self.listeners.get_mut(number) else { return false };
        match error {
            Errno::EAGAIN => {
                listener.ready = false;
                return false;
            }
            Errno::EINTR => return true,
            Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM => {
                listener.pause_until_ns = self.now_ns.saturating_add(PAUSE_NS);
            }
            _ => {}
        }
        self.accept_failures += 1;
        self.now_ns >= listener.pause_until_ns
    }
}
