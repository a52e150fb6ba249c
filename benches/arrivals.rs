//! What a burst of 32 segments of one kind costs the server, from its arrival to what is sent for it, and what 32
//! connections cost that have something to send. Only the pass is timed in which that happens.

use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use dpdk_tcp::wire::tcp::Flags;

use crate::rig::{CLIENTS, Kind, Rig, Talk};

const ARRIVALS: [(&str, Kind); 7] = [
    ("syn", Kind::Syn),
    ("ack with request", Kind::Request),
    ("bare ack", Kind::Ack),
    ("data", Kind::Data),
    ("duplicate", Kind::Duplicate),
    ("fin", Kind::Fin),
    ("rst", Kind::Rst),
];
const OUTPUTS: [(&str, Kind); 2] = [("syn", Kind::Open), ("data", Kind::Send)];
/// From one burst to the next: endpoints come again after more than the second that TIME-WAIT lasts here.
const ROUND_US: u64 = 1_000;
const FIRST_PORT: u16 = 1_024;

pub fn all(c: &mut Criterion) {
    for (name, kinds) in [("arrives", &ARRIVALS[..]), ("output", &OUTPUTS)] {
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(CLIENTS.into()));
        for (kind_name, kind) in kinds {
            let mut once = Rig::before(*kind);
            once.pass();
            once.check();
            let mut rig = Rig::before(*kind);
            group.bench_function(*kind_name, |b| b.iter_custom(|count| rig.rounds(count)));
        }
        group.finish();
    }
}

impl Rig {
    fn rounds(&mut self, count: u64) -> Duration {
        let mut spent = Duration::ZERO;
        for _ in 0..count {
            let begun = Instant::now();
            self.pass();
            spent += begun.elapsed();
            self.again();
        }
        spent
    }

    /// Resets what is open, and brings other connections to the same point.
    fn again(&mut self) {
        self.hear();
        self.exchange(Flags::RST | Flags::ACK, b"");
        let next = self.talks.iter().map(|talk| talk.port).max().and_then(|port| port.checked_add(1));
        let first = next.filter(|port| port.checked_add(CLIENTS as u16).is_some()).unwrap_or(FIRST_PORT);
        self.talks = (0..CLIENTS).map(|n| Talk::new(n, first + n as u16)).collect();
        self.now.0 += ROUND_US;
        self.prepare();
    }
}
