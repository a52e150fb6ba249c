//! All connections of a client: which one an event or a timer belongs to, and the end of each, which is counted here
//! and nowhere else.

use std::io;

use mio::event::Event;

use super::Times;
use super::conn::{Conn, Done, End, Run};
use crate::base::list::IndexList;
use crate::base::slab::Slab;
use crate::kernel::timers::{Timers, Wait};
use crate::kernel::{EVENTS_PER_PASS, PIECE, socket, untoken};
use crate::load::talk::Talk;
use crate::stats::account::{Broken, Failed, Tally};
use crate::stats::latency::{Latencies, Phase};

/// The connections, by the place that their events name.
pub(super) struct Table {
    conns: Slab<Conn>,
    timers: Timers,
    /// Connections that have more to do than fits into one pass.
    again: IndexList,
    run: Run,
}

impl Table {
    pub(super) fn new(talk: Talk, times: Times, sockets_max: u32) -> Self {
        let delays_ns = [times.connect_ns, times.reply_ns, times.think_ns, times.hold_ns];
        Table {
            conns: Slab::new(sockets_max),
            timers: Timers::new(sockets_max, delays_ns),
            again: IndexList::new(sockets_max),
            run: Run {
                talk,
                thinks: times.think_ns > 0,
                holds: times.hold_ns > 0,
                now_ns: 0,
                tally: Tally::default(),
                latencies: Latencies::default(),
                scratch: vec![0; PIECE].into(),
            },
        }
    }

    /// A pass begins.
    pub(super) fn begin(&mut self, now_ns: u64) {
        self.run.now_ns = now_ns;
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

    pub(super) fn tally(&mut self) -> &mut Tally {
        &mut self.run.tally
    }

    pub(super) fn latencies(&mut self) -> &mut Latencies {
        &mut self.run.latencies
    }

    /// Takes a connection that is being opened; `register` asks for its events.
    pub(super) fn insert(
        &mut self,
        conn: Conn,
        register: impl FnOnce(&mut Conn, u32) -> io::Result<()>,
    ) -> Result<(), Failed> {
        let index = self.conns.insert(conn).map_err(|_| Failed::NoTcb)?;
        let registered = self.conns.get_mut(index).map(|conn| register(conn, index));
        if let Some(Err(error)) = registered {
            self.conns.remove(index);
            return Err(socket::failed(socket::errno(&error)));
        }
        self.timers.set(index, Wait::Connect, self.run.now_ns);
        Ok(())
    }

    /// Something happened to a socket.
    pub(super) fn on_event(&mut self, event: &Event) {
        let (index, serial) = untoken(event.token());
        self.with(index, |conn, run| {
            // One of the connection that had the place before may have waited in the same batch.
            if conn.serial() == serial { conn.on_event(event, run) } else { Ok(Done::default()) }
        });
    }

    /// Lets those go on that had more to do.
    pub(super) fn go_on(&mut self) -> usize {
        let count = self.again.len().min(EVENTS_PER_PASS);
        for _ in 0..count {
            if let Some(index) = self.again.pop_front() {
                self.with(index, Conn::advance);
            }
        }
        count
    }

    /// What was waited for did not come, or its time has.
    pub(super) fn expire(&mut self) -> usize {
        let mut count = 0;
        while count < EVENTS_PER_PASS {
            let Some((index, wait)) = self.timers.pop_due(self.run.now_ns) else { break };
            count += 1;
            self.with(index, |conn, run| conn.expire(wait, run));
        }
        count
    }

    /// The run ends: who only holds on closes now; says how many that are.
    pub(super) fn hold_no_longer(&mut self) -> usize {
        self.run.holds = false;
        let mut count = 0;
        while let Some(index) = self.timers.pop(Wait::Hold) {
            count += 1;
            self.with(index, |conn, run| conn.expire(Wait::Hold, run));
        }
        count
    }

    /// Resets all that is left; says how many that were.
    pub(super) fn cut_all(&mut self) -> usize {
        let count = self.conns.len() as usize;
        let mut from = 0;
        while let Some(index) = self.conns.next_used(from) {
            let is_open = self.conns.get(index).is_some_and(Conn::is_open);
            self.end(index, if is_open { End::Broken(Broken::Cut) } else { End::Failed(Failed::Cut) });
            from = index + 1;
        }
        count
    }

    /// Lets a connection act, and draws the consequences.
    fn with(&mut self, index: u32, act: impl FnOnce(&mut Conn, &mut Run) -> Result<Done, End>) {
        let Some(conn) = self.conns.get_mut(index) else { return };
        match act(conn, &mut self.run) {
            Ok(done) => {
                if let Some(wait) = done.wait {
                    self.timers.set(index, wait, self.run.now_ns);
                }
                if done.again {
                    self.again.push_back(index);
                }
            }
            Err(end) => self.end(index, end),
        }
    }

    /// A connection is over.
    fn end(&mut self, index: u32, end: End) {
        let Some(conn) = self.conns.remove(index) else { return };
        self.timers.clear(index);
        self.again.remove(index);
        match end {
            End::Failed(why) => self.run.tally.fail(why),
            End::Closed(way) => {
                self.run.tally.close(way);
                if let Some(fin_ns) = conn.measured_fin_ns() {
                    self.run.latencies.record(Phase::Closed, self.run.now_ns.saturating_sub(fin_ns));
                }
            }
            End::Broken(why) => self.run.tally.lose(why),
        }
        if end.is_by_reset() {
            socket::reset(conn.into_stream());
        }
    }
}
