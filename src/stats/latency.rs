//! Latencies of a client's connections, phase by phase, in histograms of fixed memory (HdrHistogram, Gil Tene):
//! nanoseconds from 1 to an hour, three digits.

use hdrhistogram::Histogram;

/// The largest latency told apart: an hour, in nanoseconds. Longer ones are counted as this.
pub const LONGEST_NS: u64 = 3_600_000_000_000;
/// Significant digits.
const DIGITS: u8 = 3;

/// What is measured of a connection. All but the last begin at its intended launch, so that a stall of the client
/// or its loop is in the numbers (no coordinated omission).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Phase {
    /// To the SYN-ACK.
    Syn,
    /// To ESTABLISHED; later than the SYN-ACK only after a simultaneous open.
    Established,
    /// To the first octet of the first reply.
    FirstByte,
    /// To the last octet of the last reply.
    LastByte,
    /// From the first FIN, ours or the other end's, to closed or TIME-WAIT.
    Closed,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Phase; 5] =
        [Phase::Syn, Phase::Established, Phase::FirstByte, Phase::LastByte, Phase::Closed];

    /// Its name in reports and expectations.
    pub const fn name(self) -> &'static str {
        match self {
            Phase::Syn => "syn",
            Phase::Established => "established",
            Phase::FirstByte => "first_byte",
            Phase::LastByte => "last_byte",
            Phase::Closed => "closed",
        }
    }

    /// What it is, for people.
    pub const fn sentence(self) -> &'static str {
        match self {
            Phase::Syn => "intended launch to SYN-ACK",
            Phase::Established => "intended launch to ESTABLISHED",
            Phase::FirstByte => "intended launch to the reply's first byte",
            Phase::LastByte => "intended launch to the last reply's last byte",
            Phase::Closed => "first FIN to closed",
        }
    }
}

/// A histogram for each phase.
#[derive(Clone, Debug)]
pub struct Latencies {
    phases: [Histogram<u64>; 5],
}

impl Default for Latencies {
    #[expect(clippy::expect_used, reason = "the bounds are constants, and a test makes one")]
    fn default() -> Self {
        let empty = || Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).expect("bounds that are right");
        Latencies { phases: std::array::from_fn(|_| empty()) }
    }
}

impl Latencies {
    /// Records one latency. Allocates nothing.
    pub fn record(&mut self, phase: Phase, ns: u64) {
        self.phases[phase as usize].saturating_record(ns.max(1));
    }

    /// The histogram of one phase.
    pub fn of(&self, phase: Phase) -> &Histogram<u64> {
        &self.phases[phase as usize]
    }

    /// Adds what another one holds.
    pub fn add(&mut self, other: &Latencies) {
        for (into, from) in self.phases.iter_mut().zip(&other.phases) {
            // Both have the same bounds.
            let _ = into.add(from);
        }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.phases.iter_mut().for_each(Histogram::reset);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_has_a_histogram_of_its_own_to_three_digits() {
        let mut one = Latencies::default();
        one.record(Phase::Syn, 1_234_567);
        one.record(Phase::Closed, 0);
        one.record(Phase::Closed, u64::MAX);
        let mut all = Latencies::default();
        all.add(&one);
        all.add(&one);
        assert_eq!((all.of(Phase::Syn).len(), all.of(Phase::FirstByte).len()), (2, 0));
        assert!(all.of(Phase::Syn).equivalent(all.of(Phase::Syn).max(), 1_234_567));
        assert_eq!(all.of(Phase::Closed).min(), 1);
        assert!(all.of(Phase::Closed).max() >= LONGEST_NS);
        all.reset();
        assert_eq!(all.of(Phase::Closed).len(), 0);
    }
}
