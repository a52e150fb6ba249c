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
