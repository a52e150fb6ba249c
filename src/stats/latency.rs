//! Latencies of a client's connections, phase by phase, in histograms of fixed memory (HdrHistogram, Gil Tene):
//! nanoseconds from 1 to an hour, three digits. A loop only counts, in the places that HdrHistogram would count in; who
//! reports makes histograms of the counts.

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

/// Places of one phase: 2,048 of one nanosecond each, and 1,024 for each time that their width doubles, up to an hour.
const PLACES: usize = (doublings(LONGEST_NS) + 2) << HALF_BITS;
/// Half of the places that tell three digits apart, as a power of two.
const HALF_BITS: u32 = 10;

/// How often the width of a place has doubled for a value.
const fn doublings(ns: u64) -> usize {
    (u64::BITS - HALF_BITS - 1 - (ns | ((2 << HALF_BITS) - 1)).leading_zeros()) as usize
}

/// The place of a value.
const fn place_of(ns: u64) -> usize {
    let doublings = doublings(ns);
    (doublings << HALF_BITS) + (ns >> doublings) as usize
}

/// A value that belongs to a place.
fn value_of(place: usize) -> u64 {
    let doublings = (place >> HALF_BITS).saturating_sub(1);
    ((place - (doublings << HALF_BITS)) as u64) << doublings
}

/// Counts for each phase.
#[derive(Clone, Debug)]
pub struct Latencies {
    phases: [Box<[u64]>; 5],
}

impl Default for Latencies {
    fn default() -> Self {
        Latencies { phases: std::array::from_fn(|_| vec![0; PLACES].into()) }
    }
}

impl Latencies {
    /// Records one latency. Allocates nothing.
    #[inline]
    pub fn record(&mut self, phase: Phase, ns: u64) {
        let counts = &mut self.phases[phase as usize];
        // The last places are of more than an hour: beyond them is an hour.
        let place = Some(place_of(ns.max(1))).filter(|place| *place < PLACES);
        if let Some(counted) = counts.get_mut(place.unwrap_or(const { place_of(LONGEST_NS) })) {
            *counted += 1;
        }
    }

    /// The histogram of one phase.
    #[expect(clippy::expect_used, reason = "the bounds are constants, and a test makes one")]
    pub fn of(&self, phase: Phase) -> Histogram<u64> {
        let mut all = Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).expect("bounds that are right");
        for (place, counted) in self.phases[phase as usize].iter().enumerate().filter(|(_, n)| **n > 0) {
            all.saturating_record_n(value_of(place), *counted);
        }
        all
    }

    /// Adds what another one holds.
    pub fn add(&mut self, other: &Latencies) {
        for (into, from) in self.phases.iter_mut().zip(&other.phases) {
            into.iter_mut().zip(from).for_each(|(into, from)| *into += from);
        }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.phases.iter_mut().for_each(|counts| counts.fill(0));
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

    #[test]
    fn what_was_counted_is_what_hdrhistogram_records_itself() {
        let mut rng = crate::base::rng::Rng::new(8);
        let word = |rng: &mut crate::base::rng::Rng| {
            u64::from(rng.below(u32::MAX)) << 32 | u64::from(rng.below(u32::MAX))
        };
        let edges = (0..64).flat_map(|bit| [-1, 0, 1].map(|near| (1u64 << bit).wrapping_add_signed(near)));
        let random: Vec<u64> = (0..100_000).map(|_| word(&mut rng) >> rng.below(64)).collect();
        let (mut counted, mut all) = (Latencies::default(), Vec::new());
        for ns in edges.chain([LONGEST_NS - 1, LONGEST_NS, LONGEST_NS + 1, u64::MAX]).chain(random) {
            all.push(ns);
            counted.record(Phase::Syn, ns);
            // The largest decides what `max` says, and the least `min`.
            if all.len() % 20_000 == 1 {
                let mut recorded = Histogram::<u64>::new_with_bounds(1, LONGEST_NS, DIGITS).unwrap();
                all.iter().for_each(|ns| recorded.saturating_record((*ns).max(1)));
                let ours = counted.of(Phase::Syn);
                assert_eq!(ours, recorded);
                assert_eq!(ours.mean().to_bits(), recorded.mean().to_bits());
                let at = |h: &Histogram<u64>| {
                    [0.0, 0.1, 0.5, 0.9, 0.99, 0.9999, 1.0].map(|q| h.value_at_quantile(q))
                };
                assert_eq!(
                    (at(&ours), ours.min(), ours.max()),
                    (at(&recorded), recorded.min(), recorded.max())
                );
                assert!(ours.iter_recorded().eq(recorded.iter_recorded()));
            }
        }
        assert_eq!(all.len(), counted.of(Phase::Syn).len() as usize);
    }

    #[test]
    fn every_value_that_can_be_told_apart_has_a_place_of_its_own() {
        assert!((1..PLACES).all(|place| place_of(value_of(place)) == place));
        assert!(place_of(LONGEST_NS) < PLACES);
    }
}
