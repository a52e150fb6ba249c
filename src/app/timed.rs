//! Any application with a stopwatch for each connection that came through a listener: from ESTABLISHED to the peer's
//! first octet, and from the first FIN to the end. What a server can tell of latencies.

use crate::base::pages::{self, Table};
use crate::base::time::Instant;
use crate::engine::api::{Accept, Api, App, CloseReason, Conn, ConnId, ListenerId, Soft, State};
use crate::stats::latency::{Latencies, Phase};

/// One connection's times, in microseconds of the loop's clock; 0 before they come.
#[derive(Clone, Copy, Default)]
struct Times {
    opened_us: u64,
    fin_us: u64,
    heard: bool,
}

/// Bytes of memory for so many slots.
pub const fn memory(slots: usize) -> usize {
    slots * size_of::<Times>()
}

/// An application that is timed.
pub struct Timed<A> {
    app: A,
    times: Table<Times>,
    latencies: Latencies,
    now: Instant,
}

impl<A: App> Timed<A> {
    /// Around an application of a shard with so many slots.
    pub fn new(app: A, slots: usize) -> Self {
        Timed {
            app,
            times: pages::table(slots, |_| Times::default()),
            latencies: Latencies::default(),
            now: Instant::ZERO,
        }
    }

    /// Latencies since they were last taken out, to be exchanged for empty ones.
    pub fn latencies(&mut self) -> &mut Latencies {
        &mut self.latencies
    }

    fn record(&mut self, phase: Phase, since_us: u64) {
        self.latencies.record(phase, self.now.0.saturating_sub(since_us) * 1_000);
    }

    /// After a callback: the application may have closed.
    fn look(&mut self, conn: &Conn<'_>) {
        let now_us = conn.now().0.max(1);
        if let Some(times) = self.times.get_mut(conn.id().index as usize)
            && times.fin_us == 0
            && !matches!(conn.state(), State::Established | State::SynReceived)
        {
            times.fin_us = now_us;
        }
    }
}

impl<A: App> App for Timed<A> {
    fn poll(&mut self, api: &mut Api<'_>) {
        self.now = api.now();
        self.app.poll(api);
    }

    fn next_due(&mut self, now: Instant) -> Option<ConnId> {
        self.now = now;
        self.app.next_due(now)
    }

    fn on_due(&mut self, conn: &mut Conn<'_>) {
        self.app.on_due(conn);
        self.look(conn);
    }

    fn on_connected(&mut self, conn: &mut Conn<'_>) {
        self.app.on_connected(conn);
    }

    fn on_open(&mut self, conn: &mut Conn<'_>, listener: ListenerId) -> Accept {
        if let Some(times) = self.times.get_mut(conn.id().index as usize) {
            *times = Times { opened_us: conn.now().0, ..Times::default() };
        }
        let answer = self.app.on_open(conn, listener);
        self.look(conn);
        answer
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, data: &[u8]) -> usize {
        self.now = conn.now();
        if let Some(times) = self.times.get_mut(conn.id().index as usize).filter(|times| !times.heard) {
            times.heard = true;
            let opened_us = times.opened_us;
            self.record(Phase::FirstByte, opened_us);
        }
        let taken = self.app.on_data(conn, data);
        self.look(conn);
        taken
    }

    fn on_writable(&mut self, conn: &mut Conn<'_>) {
        self.app.on_writable(conn);
        self.look(conn);
    }

    fn on_peer_close(&mut self, conn: &mut Conn<'_>) {
        self.look(conn);
        self.app.on_peer_close(conn);
    }

    fn on_urgent(&mut self, conn: &mut Conn<'_>) {
        self.app.on_urgent(conn);
    }

    fn on_trouble(&mut self, conn: &mut Conn<'_>, trouble: Soft) {
        self.app.on_trouble(conn, trouble);
    }

    fn on_drain(&mut self, conn: &mut Conn<'_>) {
        self.app.on_drain(conn);
        self.look(conn);
    }

    fn on_closed(&mut self, id: ConnId, reason: CloseReason) {
        let fin_us = self.times.get(id.index as usize).map_or(0, |times| times.fin_us);
        if fin_us > 0 && reason == CloseReason::Finished {
            self.record(Phase::Closed, fin_us);
        }
        self.app.on_closed(id, reason);
    }
}
