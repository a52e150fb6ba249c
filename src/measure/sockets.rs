//! The client and the server on kernel sockets as sides of a measurement.

use super::runner::Laps;
use super::side::{Now, Side};
use crate::kernel::Pass;
use crate::kernel::client::Client;
use crate::kernel::server::Server;
use crate::stats::interval::Interval;

/// The kernel's client: nothing is launched before the run begins.
pub struct KernelClient(pub Client);

impl Side for KernelClient {
    fn pass(&mut self, now: Now, _laps: &mut Laps) -> bool {
        now.run_ns.is_some_and(|run_ns| self.0.pass(run_ns) == Pass::Busy)
    }

    fn fill(&mut self, interval: &mut Interval) {
        self.0.fill(interval);
        std::mem::swap(self.0.latencies(), &mut interval.latencies);
    }

    fn is_done(&self) -> bool {
        self.0.is_done()
    }

    fn stop(&mut self) {
        self.0.stop();
    }
}

/// The kernel's server.
pub struct KernelServer {
    server: Server,
    patience_ns: u64,
}

impl KernelServer {
    /// Around a server whose connections have so long to end when it is stopped.
    pub fn new(server: Server, patience_ns: u64) -> Self {
        KernelServer { server, patience_ns }
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

impl Side for KernelServer {
    fn pass(&mut self, now: Now, _laps: &mut Laps) -> bool {
        self.server.pass(now.instant.0.saturating_mul(1_000)) == Pass::Busy
    }

    fn fill(&mut self, interval: &mut Interval) {
        self.server.fill(interval);
    }

    fn is_done(&self) -> bool {
        self.server.connections() == 0
    }

    fn stop(&mut self) {
        self.server.drain(self.patience_ns);
    }
}

/// The kernel's server by itself: it is done when it has been stopped, or its time is over, and nothing is open.
pub struct KernelService {
    server: KernelServer,
    until_ns: Option<u64>,
    stopped: bool,
}

impl KernelService {
    /// Around a server that serves up to this moment of the run, or until it is stopped.
    pub fn new(server: KernelServer, until_ns: Option<u64>) -> Self {
        KernelService { server, until_ns, stopped: false }
    }

    /// The server.
    pub fn server(&self) -> &Server {
        self.server.server()
    }
}

impl Side for KernelService {
    fn pass(&mut self, now: Now, laps: &mut Laps) -> bool {
        let busy = self.server.pass(now, laps);
        if self.until_ns.zip(now.run_ns).is_some_and(|(until_ns, now_ns)| now_ns >= until_ns) {
            self.stop();
        }
        busy
    }

    fn fill(&mut self, interval: &mut Interval) {
        self.server.fill(interval);
    }

    fn is_done(&self) -> bool {
        self.server().is_drained()
    }

    fn stop(&mut self) {
        // Its patience begins once.
        if !std::mem::replace(&mut self.stopped, true) {
            self.server.stop();
        }
    }
}
