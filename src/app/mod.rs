//! The services behind listeners, over the engine's [`App`] and [`Conn`]. What is remembered of a connection
//! stands in arrays that have a place for every slot from the start. Must not know wire formats or devices.

#![forbid(unsafe_code)]

pub mod chargen;
pub mod client;
mod discard;
mod echo;
pub mod http;
pub mod reply;
pub mod tally;
pub mod timed;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::base::pages::{self, Table};
use crate::base::prefetch::prefetch;
use crate::engine::api::{Accept, App, CloseReason, Conn, ConnId, ListenerId};
use http::responses::Responses;
use http::{HttpConn, Mode};
use tally::Tally;

/// What a listener can serve.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum Service {
    /// RFC 862: sends back what arrives.
    Echo,
    /// RFC 863: throws away what arrives.
    Discard,
    /// RFC 864: sends lines of characters.
    Chargen,
    /// Answers GET and HEAD.
    Http,
    /// Answers the first data by a fixed text and the end.
    Reply,
}

impl Service {
    /// Every service, in order.
    pub const ALL: [Service; 5] =
        [Service::Echo, Service::Discard, Service::Chargen, Service::Http, Service::Reply];

    /// The name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Service::Echo => "echo",
            Service::Discard => "discard",
            Service::Chargen => "chargen",
            Service::Http => "http",
            Service::Reply => "reply",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A service that does not exist.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("'{0}' is not a service; take echo, discard, chargen, http or reply")]
pub struct UnknownService(String);

impl FromStr for Service {
    type Err = UnknownService;

    fn from_str(name: &str) -> Result<Self, UnknownService> {
        let found = Service::ALL.into_iter().find(|service| service.name() == name);
        found.ok_or_else(|| UnknownService(name.to_owned()))
    }
}

/// The services of one loop.
pub struct Services {
    /// The service of each listener, by [`ListenerId`].
    listeners: Box<[Service]>,
    /// The service of each connection, by [`ConnId::index`].
    serving: Table<Service>,
    /// What http remembers of each connection; empty where no listener is http's.
    http: Table<HttpConn>,
    responses: &'static Responses,
    /// What reply answers.
    reply: &'static [u8],
    tally: Arc<Tally>,
    mode: Mode,
}

impl Services {
    /// Services for a shard with `slots` connections, whose listeners are added in the order of `listeners`.
    /// Allocates all it needs: a byte a slot, and 8 more where http is served.
    pub fn new(
        listeners: &[Service],
        slots: usize,
        responses: &'static Responses,
        tally: Arc<Tally>,
    ) -> Self {
        let http_slots = if listeners.contains(&Service::Http) { slots } else { 0 };
        Services {
            listeners: listeners.into(),
            serving: pages::table(slots, |_| Service::Discard),
            http: pages::table(http_slots, |_| HttpConn::default()),
            responses,
            reply: chargen::CYCLE.get(..reply::LEN).unwrap_or_default(),
            tally,
            mode: Mode::Serving,
        }
    }

    /// Bytes of memory for so many connections of such listeners.
    pub fn memory(listeners: &[Service], slots: usize) -> usize {
        let http = if listeners.contains(&Service::Http) { size_of::<HttpConn>() } else { 0 };
        slots * (size_of::<Service>() + http)
    }

    /// With another answer of reply than 256 characters; [`reply::text`] makes one of any size. At least one octet.
    #[must_use]
    pub fn with_reply(self, reply: &'static [u8]) -> Self {
        Services { reply, ..self }
    }

    fn service(&self, conn: &Conn<'_>) -> Option<Service> {
        self.serving.get(conn.id().index as usize).copied()
    }

    /// Remembers who serves a connection. `None` where the listener or the slot is not one of this shard's.
    fn assign(&mut self, index: u32, listener: ListenerId) -> Option<Service> {
        let service = *self.listeners.get(usize::from(listener.0))?;
        *self.serving.get_mut(index as usize)? = service;
        if service == Service::Http {
            *self.http.get_mut(index as usize)? = HttpConn::default();
        }
        self.tally.opened_one(service);
        Some(service)
    }
}

impl App for Services {
    #[inline]
    fn expect(&self, index: u32) {
        if let Some(service) = self.serving.get(index as usize) {
            prefetch(service);
        }
        if let Some(state) = self.http.get(index as usize) {
            prefetch(state);
        }
    }

    fn on_open(&mut self, conn: &mut Conn<'_>, listener: ListenerId) -> Accept {
        match self.assign(conn.id().index, listener) {
            Some(Service::Echo) => echo::on_open(conn),
            Some(Service::Http) => http::on_open(conn),
            Some(Service::Chargen) => chargen::generate(conn),
            Some(Service::Discard | Service::Reply) => {}
            None => conn.abort(),
        }
        Accept::Take
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, data: &[u8]) -> usize {
        match self.service(conn) {
            Some(Service::Echo) => echo::on_data(conn, data),
            Some(Service::Chargen) => chargen::on_data(data),
            Some(Service::Http) => {
                let Some(state) = self.http.get_mut(conn.id().index as usize) else { return data.len() };
                let tally = &self.tally;
                http::on_data(conn, state, (self.mode, self.responses), data, |answer| {
                    tally.answered_one(answer.status)
                })
            }
            Some(Service::Reply) => reply::on_data(conn, self.reply, data),
            Some(Service::Discard) | None => discard::on_data(data),
        }
    }

    /// Echo, http and reply need no call to go on: what they have left is offered to them again.
    fn on_writable(&mut self, conn: &mut Conn<'_>) {
        match self.service(conn) {
            Some(Service::Chargen) => chargen::generate(conn),
            Some(Service::Http) if self.mode == Mode::Draining => http::on_drain(conn),
            _ => {}
        }
    }

    fn on_peer_close(&mut self, conn: &mut Conn<'_>) {
        match self.service(conn) {
            Some(Service::Echo) => echo::on_peer_close(conn),
            Some(Service::Chargen) => chargen::on_peer_close(conn),
            Some(Service::Http) => http::on_peer_close(conn),
            Some(Service::Reply) => reply::on_peer_close(conn),
            Some(Service::Discard) | None => discard::on_peer_close(conn),
        }
    }

    /// Chargen would never end, and reply waits for a first word; echo and discard are ended by their peers, or reset when patience is over.
    fn on_drain(&mut self, conn: &mut Conn<'_>) {
        self.mode = Mode::Draining;
        match self.service(conn) {
            Some(Service::Http) => http::on_drain(conn),
            Some(Service::Echo | Service::Discard) => {}
            Some(Service::Chargen | Service::Reply) | None => conn.finish(),
        }
    }

    /// Nothing to give back: the next connection in the slot overwrites what is remembered.
    fn on_closed(&mut self, _id: ConnId, _reason: CloseReason) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_read_by_the_name_it_is_written_with() {
        for service in Service::ALL {
            assert_eq!(service.to_string().parse(), Ok(service));
        }
        assert_eq!(format!("{:>8}", Service::Echo), "    echo");
        let error = "ftp".parse::<Service>().unwrap_err().to_string();
        assert_eq!(error, "'ftp' is not a service; take echo, discard, chargen, http or reply");
    }

    #[test]
    fn a_connection_is_served_by_its_listener_s_service_and_begins_anew() {
        let responses = Box::leak(Box::new(Responses::new(0)));
        let tally = Arc::new(Tally::default());
        let mut services = Services::new(&[Service::Http, Service::Echo], 2, responses, Arc::clone(&tally));
        assert_eq!(services.assign(1, ListenerId(0)), Some(Service::Http));
        // The content of this request never comes, and must not be missed by the slot's next connection.
        let request = b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n";
        let (taken, _) = services.http[1].consume(request, Mode::Serving, |_| true);
        assert_eq!(taken, request.len());
        assert_ne!(services.http[1], HttpConn::default());
        assert_eq!(services.assign(1, ListenerId(0)), Some(Service::Http));
        assert_eq!(services.http[1], HttpConn::default());
        assert_eq!(services.assign(1, ListenerId(1)), Some(Service::Echo));
        assert_eq!(services.serving[1], Service::Echo);
        assert_eq!(services.assign(1, ListenerId(2)), None);
        assert_eq!(services.assign(2, ListenerId(0)), None);
        assert_eq!((tally.opened(Service::Http), tally.opened(Service::Echo)), (2, 1));
    }
}
