//! The retransmission timer's length (RFC 6298), in integers: SRTT scaled by 8 and RTTVAR by 4, microseconds.

use super::config::Config;

/// The timer's granularity G: one tick of the wheel, in microseconds (RTO-14).
const GRANULARITY_US: u32 = 1_000;

/// In the place of RTTVAR before the first sample.
const UNSAMPLED: u32 = u32::MAX;

/// Smoothed round-trip time and its variation, in eight bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RttEstimator {
    /// SRTT; before the first sample the least RTO in milliseconds, where it is not the configured one.
    srtt_times_8_us: u32,
    rttvar_times_4_us: u32,
}

impl Default for RttEstimator {
    fn default() -> Self {
        RttEstimator::starting_at(0)
    }
}

impl RttEstimator {
    /// An estimator without samples whose RTO starts at `ms` milliseconds (RTO-10).
    pub const fn starting_at(ms: u32) -> Self {
        RttEstimator { srtt_times_8_us: ms, rttvar_times_4_us: UNSAMPLED }
    }

    const fn sampled(&self) -> bool {
        self.rttvar_times_4_us != UNSAMPLED
    }

    /// Takes one measured round trip, in microseconds (at most 60 s counts).
    pub fn sample(&mut self, rtt_us: u32) {
        let rtt = rtt_us.min(60_000_000);
        if self.sampled() {
            //= RTO-3
            let srtt = self.srtt_times_8_us / 8;
            let error = srtt.abs_diff(rtt);
            self.rttvar_times_4_us = self.rttvar_times_4_us - self.rttvar_times_4_us / 4 + error;
            self.srtt_times_8_us = self.srtt_times_8_us - self.srtt_times_8_us / 8 + rtt;
        } else {
            //= RTO-2
            self.srtt_times_8_us = rtt * 8;
            self.rttvar_times_4_us = rtt * 2;
        }
    }

    /// The smoothed round-trip time in microseconds, once there was a sample.
    pub fn srtt_us(&self) -> Option<u32> {
        self.sampled().then_some(self.srtt_times_8_us / 8)
    }

    /// SRTT + max(G, 4 * RTTVAR) in microseconds, without the bounds.
    pub fn rto_us(&self) -> u32 {
        //= RTO-13
        self.srtt_times_8_us / 8 + self.rttvar_times_4_us.max(GRANULARITY_US)
    }

    /// The timer's length in milliseconds within the bounds, before any back-off.
    pub fn rto_ms(&self, cfg: &Config) -> u32 {
        if self.sampled() {
            //= ATK-37
            self.rto_us().div_ceil(1_000).clamp(cfg.rto_min_ms, cfg.rto_max_ms)
        } else {
            cfg.rto_initial_ms.max(self.srtt_times_8_us)
        }
    }
}

/// `base_ms` doubled `times` times, at most `max_ms` (RTO-7).
pub fn backed_off_ms(base_ms: u32, times: u8, max_ms: u32) -> u32 {
    let doubled = u64::from(base_ms) << times.min(31);
    u32::try_from(doubled).unwrap_or(u32::MAX).min(max_ms.max(base_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimator_follows_the_vectors() {
        //= RTO-2
        //= RTO-3
        //= RTO-4
        //= VEC-RTO-1..6
        // Sample in ms, then SRTT, RTTVAR and RTO in us.
        let rows = [
            (100, 100_000, 50_000, 300_000),
            (120, 102_500, 42_500, 272_500),
            (80, 99_687, 37_500, 249_687),
            (300, 124_726, 78_203, 437_539),
            (100, 121_635, 64_834, 380_971),
            (100, 118_931, 54_034, 335_068),
        ];
        let mut rtt = RttEstimator::default();
        let cfg = Config::default();
        assert_eq!(rtt.rto_ms(&cfg), 1_000);
        for (row, (sample_ms, srtt, rttvar, rto)) in rows.into_iter().enumerate() {
            rtt.sample(sample_ms * 1_000);
            let found = (rtt.srtt_us().unwrap(), rtt.rttvar_times_4_us / 4, rtt.rto_us());
            let close =
                found.0.abs_diff(srtt) <= 1 && found.1.abs_diff(rttvar) <= 1 && found.2.abs_diff(rto) <= 3;
            assert!(close, "VEC-RTO-{}: {found:?}", row + 1);
            assert_eq!(rtt.rto_ms(&cfg), 1_000);
        }
    }

    #[test]
    fn a_constant_round_trip_narrows_to_the_granularity() {
        //= RTO-13
        //= VEC-RTO-7
        let mut rtt = RttEstimator::default();
        let mut seen = Vec::new();
        for _ in 0..40 {
            rtt.sample(100_000);
            seen.push(rtt.rto_us());
        }
        assert_eq!(seen[..4], [300_000, 250_000, 212_500, 184_375]);
        assert_eq!(seen[39], 101_000);
    }

    #[test]
    fn back_off_doubles_up_to_the_ceiling() {
        //= RTO-7
        //= VEC-RTO-8
        // Retransmissions after 1, 3, 7, 15, 31, 63 s.
        let waits: Vec<_> = (0..8).map(|n| backed_off_ms(1_000, n, 60_000)).collect();
        assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(backed_off_ms(1_000, 200, 60_000), 60_000);
    }
}
