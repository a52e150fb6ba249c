//! All connections of a server, and the end of each, which is counted here and nowhere else.

use std::io;

use mio::event::Event;

use super::conn::{Conn, Over, Run};
use crate::app::http::Mode;
use crate::base::list::IndexList;
use crate::base::slab::Slab;
use crate::kernel::{EVENTS_PER_PASS, socket, untoken};
use crate::stats::account::{Broken, Tally};

/// The connections, by the place that their events name.
pub(super) struct Table {
    conns: Slab<Conn>,
    /// Connections that have more to do than fits into one pass.
    again: IndexList,
    run: Run,
}

impl Table {
    pub(super) fn new(run: Run, sockets_max: u32) -> Self {
        Table { conns: Slab::new(sockets_max), again: IndexList::new(sockets_max), run }
    }

    pub(super) fn len(&self) -> u32 {
        self.conns.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.conns.len() >= self.conns.capacity()
    }

    pub(super) fn account(&self) -> &Tally {
        &self.run.tally
    }

    /// Takes a connection that was accepted; `register` asks for its events.
    pub(super) fn insert(&mut self, conn: Conn, register: impl FnOnce(&mut Conn, u32) -> io::Result<()>) {
        let Ok(index) = self.conns.insert(conn) else { return };
        self.run.tally.attempt();
        let registered = self.conns.get_mut(index).map(|conn| register(conn, index));
        if let Some(Err(error)) = registered {
            self.conns.remove(index);
            return self.run.tally.fail(socket::failed(socket::errno(&error)));
        }
        self.run.tally.establish();
    }

    /// Something happened to a socket.
    pub(super) fn on_event(&mut self, event: &Event) {
        let (index, serial) = untoken(event.token());
        // One of the connection that had the place before may have waited in the same batch.
        let Some(conn) = self.conns.get_mut(index).filter(|conn| conn.serial() == serial) else { return };
        conn.on_event(event);
        self.advance(index);
    }

    /// Lets those go on that had more to do.
    pub(super) fn go_on(&mut self) -> usize {
        let count = self.again.len().min(EVENTS_PER_PASS);
        for _ in 0..count {
            if let Some(index) = self.again.pop_front() {
                self.advance(index);
            }
        }
        count
    }

    /// From now on connections are closed as soon as their service allows.
    pub(super) fn drain(&mut self) {
        self.run.mode = Mode::Draining;
        let mut from = 0;
        while let Some(index) = self.conns.next_used(from) {
            self.again.push_back(index);
            from = index + 1;
        }
    }

    /// Resets all that is left; says how many that were.
    pub(super) fn cut_all(&mut self) -> usize {
        let count = self.conns.len() as usize;
        let mut from = 0;
        while let Some(index) = self.conns.next_used(from) {
            self.end(index, Over::Broken(Broken::Cut));
            from = index + 1;
        }
        count
    }

    fn advance(&mut self, index: u32) {
        let Some(conn) = self.conns.get_mut(index) else { return };
        match conn.advance(&mut self.run) {
            Ok(true) => self.again.push_back(index),
            Ok(false) => {}
            Err(over) => self.end(index, over),
        }
    }

    /// A connection is over.
    fn end(&mut self, index: u32, over: Over) {
        let Some(conn) = self.conns.remove(index) else { return };
        self.again.remove(index);
        match over {
            Over::Closed(way) => self.run.tally.close(way),
            Over::Broken(why) => self.run.tally.lose(why),
        }
        if over == Over::Broken(Broken::Cut) {
            socket::reset(conn.into_stream());
        }
    }
}
