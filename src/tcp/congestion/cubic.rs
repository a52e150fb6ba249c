//! CUBIC's congestion avoidance (RFC 9438): the window is a cubic function of the time since the last
//! reduction, flat around the size at which the loss came. The functions take windows in the unit of `mss`:
//! octets, or segments if `mss` is 1. Times are seconds.

use crate::base::time::Instant;

/// C, in segments per second cubed.
const C: f64 = 0.4;
/// beta_cubic: what a reduction leaves.
const BETA: f64 = 0.7;
/// alpha_cubic: growth like Reno's after a smaller reduction, 3 (1 - beta) / (1 + beta).
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
/// Stands in for SRTT as long as there is none: the first RTO (RTO-1).
const SRTT_UNKNOWN_US: u32 = 1_000_000;

/// K: the time from the start of an epoch to the plateau at `w_max`.
fn k(w_max: f64, cwnd_epoch: f64, mss: f64) -> f64 {
    //= CUBIC-1
    //= CUBIC-2
    if cwnd_epoch >= w_max { 0.0 } else { ((w_max - cwnd_epoch) / (C * mss)).cbrt() }
}

/// W_cubic(t).
fn w_cubic(t: f64, k: f64, w_max: f64, mss: f64) -> f64 {
    //= CUBIC-1
    //= CUBIC-2
    C * mss * (t - k).powi(3) + w_max
}

/// The window wanted one round trip from now, of W_cubic(t + RTT).
fn target(w_ahead: f64, cwnd: f64) -> f64 {
    //= CUBIC-3
    w_ahead.clamp(cwnd, 1.5 * cwnd)
}

/// What `acked` octets add to the window on the way to `target`.
fn increment(target: f64, cwnd: f64, acked: f64) -> f64 {
    //= CUBIC-4
    (target - cwnd) / cwnd * acked.min(cwnd)
}

/// What `acked` octets add to W_est.
fn est_increment(alpha: f64, cwnd: f64, acked: f64, mss: f64) -> f64 {
    //= CUBIC-5
    alpha * mss * acked / cwnd
}

/// SSTHRESH after a congestion event, before its floor, in octets.
pub fn ssthresh(flight: u32) -> u32 {
    //= CUBIC-7
    (f64::from(flight) * BETA) as u32
}

/// A stage of congestion avoidance.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Epoch {
    /// In seconds.
    k: f64,
    /// The window that Reno would have by now.
    w_est: f64,
    /// The part of the window below one octet.
    fraction: f64,
    /// t, in microseconds, and when it was last taken further.
    t_us: u64,
    at: Instant,
}

/// What CUBIC remembers. Windows are in octets.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Cubic {
    /// Unknown before a first loss and after a timeout.
    w_max: Option<f64>,
    /// The window when SSTHRESH was last set.
    cwnd_prior: f64,
    /// None between a reduction and the next acknowledgment in congestion avoidance.
    epoch: Option<Epoch>,
}

impl Cubic {
    /// A congestion event other than a timeout reduces `cwnd`.
    pub fn on_congestion(&mut self, cwnd: u32) {
        let cwnd = f64::from(cwnd);
        //= CUBIC-8
        let converges = self.w_max.is_some_and(|w_max| cwnd < w_max);
        self.w_max = Some(if converges { cwnd * (1.0 + BETA) / 2.0 } else { cwnd });
        //= CUBIC-7
        self.cwnd_prior = cwnd;
        self.epoch = None;
    }

    /// A timeout reduces `cwnd` to one segment.
    pub fn on_timeout(&mut self, cwnd: u32) {
        //= CUBIC-9
        self.w_max = None;
        self.cwnd_prior = f64::from(cwnd);
        self.epoch = None;
    }

    /// Congestion avoidance begins with a window of `cwnd`.
    fn begin(&mut self, cwnd: f64, mss: f64, now: Instant) -> Epoch {
        if self.w_max.is_none() && self.cwnd_prior == 0.0 {
            // Slow start ended without a loss (section 4.10).
            self.cwnd_prior = cwnd;
        }
        //= CUBIC-9
        let w_max = *self.w_max.get_or_insert(cwnd);
        //= CUBIC-5
        Epoch { k: k(w_max, cwnd, mss), w_est: cwnd, fraction: 0.0, t_us: 0, at: now }
    }

    /// Octets by which `cwnd` grows in congestion avoidance for `acked` octets of a flight that used the window.
    /// Time counts up to one SRTT (microseconds) for each acknowledgment, so that pauses do not (CUBIC-10).
    pub fn on_ack(&mut self, cwnd: u32, acked: u32, mss: u32, now: Instant, srtt_us: Option<u32>) -> u32 {
        let (window, acked, mss) = (f64::from(cwnd), f64::from(acked), f64::from(mss));
        let mut epoch = match self.epoch {
            Some(epoch) => epoch,
            None => self.begin(window, mss, now),
        };
        let srtt_us = srtt_us.unwrap_or(SRTT_UNKNOWN_US);
        //= CUBIC-10
        epoch.t_us += now.since_us(epoch.at).min(u64::from(srtt_us));
        epoch.at = now;
        let exact = window + epoch.fraction;
        //= CUBIC-5
        let alpha = if epoch.w_est >= self.cwnd_prior { 1.0 } else { ALPHA };
        epoch.w_est += est_increment(alpha, exact, acked, mss);
        let (t, rtt) = (epoch.t_us as f64 / 1e6, f64::from(srtt_us) / 1e6);
        let w_max = self.w_max.unwrap_or(exact);
        let next = if w_cubic(t, epoch.k, w_max, mss) < epoch.w_est {
            //= CUBIC-6
            epoch.w_est.max(exact)
        } else {
            //= CUBIC-4
            exact + increment(target(w_cubic(t + rtt, epoch.k, w_max, mss), exact), exact, acked)
        };
        epoch.fraction = next.fract();
        self.epoch = Some(epoch);
        (next - next.fract() - window) as u32
    }

    /// An acknowledgment came that the window does not grow by: the time until it does not count.
    pub fn pause(&mut self, now: Instant) {
        //= CUBIC-10
        if let Some(epoch) = &mut self.epoch {
            epoch.at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(value: f64, expected: f64) {
        assert!((value - expected).abs() < 1e-6, "{value} is not {expected}");
    }

    /// Segments of a million octets, so that octets are fine enough to be compared with segments.
    const MSS: u32 = 1_000_000;

    fn segments(count: u32) -> u32 {
        count * MSS
    }

    #[test]
    fn a_loss_at_100_segments_follows_the_vectors() {
        //= CUBIC-1
        //= CUBIC-2
        //= CUBIC-7
        // VEC-CUBIC-1 and VEC-CUBIC-2.
        assert_eq!(ssthresh(segments(100)), segments(70));
        let k = k(100.0, 70.0, 1.0);
        near(k, 4.217_163);
        let rows = [
            (0.0, 70.0),
            (0.5, 79.455_531),
            (1.0, 86.680_764),
            (2.0, 95.640_336),
            (3.0, 99.278_716),
            (k, 100.0),
            (5.0, 100.191_899),
            (6.0, 102.266_703),
            (8.0, 121.652_735),
        ];
        for (t, w) in rows {
            near(w_cubic(t, k, 100.0, 1.0), w);
        }
    }

    #[test]
    fn the_target_is_one_round_trip_ahead_and_clamped() {
        //= CUBIC-3
        //= CUBIC-4
        // VEC-CUBIC-3 and VEC-CUBIC-4.
        let ahead = w_cubic(2.1, k(100.0, 70.0, 1.0), 100.0, 1.0);
        near(target(ahead, 95.0), 96.204_027);
        near(increment(target(ahead, 95.0), 95.0, 1.0), 0.012_674);
        near(target(ahead, 60.0), 90.0);
        near(target(ahead, 97.0), 97.0);
    }

    #[test]
    fn the_estimate_of_reno_follows_the_vectors() {
        //= CUBIC-5
        //= CUBIC-6
        // VEC-CUBIC-5 and VEC-CUBIC-6.
        near(ALPHA, 0.529_412);
        near(70.0 + est_increment(ALPHA, 70.0, 1.0, 1.0), 70.007_563);
        let (mut w_est, mut round_trips) = (70.0, 0.0);
        while w_est < 100.0 {
            // A window acknowledged.
            w_est += est_increment(ALPHA, w_est, w_est, 1.0);
            round_trips += 1.0;
        }
        assert!((56.0..58.0).contains(&round_trips), "{round_trips}");
        let cubic = w_cubic(0.1, k(100.0, 70.0, 1.0), 100.0, 1.0);
        near(cubic, 72.083_930);
        let mut w_est: f64 = 70.0;
        (0..10).for_each(|_| w_est += est_increment(ALPHA, w_est, w_est, 1.0));
        assert!((w_est - 75.294).abs() < 0.01 && w_est > cubic, "{w_est}");
    }

    #[test]
    fn further_losses_follow_the_vectors() {
        //= CUBIC-2
        //= CUBIC-7
        //= CUBIC-8
        // VEC-CUBIC-7, VEC-CUBIC-8 and VEC-CUBIC-9.
        for (cwnd, w_max, reduced, expected_k) in
            [(80, 68.0, 56, 3.107_233), (120, 120.0, 84, 4.481_405), (100, 100.0, 70, 4.217_163)]
        {
            let mut cubic = Cubic::default();
            cubic.on_congestion(100);
            cubic.on_congestion(cwnd);
            near(cubic.w_max.unwrap(), w_max);
            near(cubic.cwnd_prior, f64::from(cwnd));
            assert_eq!(ssthresh(cwnd), reduced);
            near(k(w_max, f64::from(reduced), 1.0), expected_k);
        }
        for (w_max, expected) in [(10.0, 1.957_434), (20.0, 2.466_212), (1_000.0, 9.085_603)] {
            near(k(w_max, w_max * BETA, 1.0), expected);
        }
        near(k(70.0, 71.0, 1.0), 0.0);
    }

    #[test]
    fn octets_are_segments_times_the_mss() {
        //= CUBIC-1
        // VEC-CUBIC-10.
        near(w_cubic(1.0, 0.0, 0.0, 1_460.0), 584.0);
        near(k(100.0 * 1_460.0, 70.0 * 1_460.0, 1_460.0), k(100.0, 70.0, 1.0));
    }

    /// One acknowledgment of a segment after `after_ms`, and the octets it adds.
    fn ack(cubic: &mut Cubic, cwnd: u32, now: &mut Instant, after_ms: u64, srtt_us: u32) -> f64 {
        *now = Instant(now.0 + after_ms * 1_000);
        f64::from(cubic.on_ack(cwnd, MSS, MSS, *now, Some(srtt_us))) / f64::from(MSS)
    }

    #[test]
    fn an_acknowledgment_at_two_seconds_grows_as_the_vector_says() {
        //= CUBIC-3
        //= CUBIC-4
        // VEC-CUBIC-3, once more through the state.
        let (mut cubic, mut now) = (Cubic::default(), Instant(5));
        cubic.on_congestion(segments(100));
        ack(&mut cubic, segments(70), &mut now, 0, 100_000);
        (0..19).for_each(|_| {
            ack(&mut cubic, segments(95), &mut now, 100, 100_000);
        });
        cubic.epoch.as_mut().unwrap().fraction = 0.0;
        let grown = ack(&mut cubic, segments(95), &mut now, 100, 100_000);
        assert!((grown - 0.012_674).abs() < 2e-6, "{grown}");
    }

    #[test]
    fn the_friendly_region_follows_the_estimate() {
        //= CUBIC-5
        //= CUBIC-6
        let (mut cubic, mut now) = (Cubic::default(), Instant(5));
        cubic.on_congestion(segments(100));
        let mut cwnd = segments(70);
        for _ in 0..5 {
            // Ten round trips of 10 ms, each a window acknowledged in segments: the curve would be below.
            for _ in 0..70 {
                now = Instant(now.0 + 10_000 / 70);
                cwnd += cubic.on_ack(cwnd, MSS, MSS, now, Some(10_000));
            }
        }
        let w_est = cubic.epoch.unwrap().w_est;
        assert!((f64::from(cwnd) - w_est).abs() < 1.0);
        assert!(w_est > f64::from(segments(72)) && w_est < f64::from(segments(73)), "{w_est}");
    }

    #[test]
    fn the_estimate_grows_like_reno_once_it_is_where_the_loss_was() {
        //= CUBIC-5
        let (mut cubic, now) = (Cubic::default(), Instant(5));
        cubic.on_congestion(segments(100));
        cubic.on_ack(segments(70), MSS, MSS, now, Some(100));
        let estimate = |cubic: &Cubic| cubic.epoch.unwrap().w_est;
        cubic.epoch.as_mut().unwrap().w_est = f64::from(segments(100));
        let before = estimate(&cubic);
        cubic.on_ack(segments(100), segments(1), MSS, now, Some(100));
        near((estimate(&cubic) - before) / f64::from(MSS), 0.01);
    }

    #[test]
    fn after_a_timeout_the_curve_begins_at_its_plateau() {
        //= CUBIC-9
        let mut cubic = Cubic::default();
        cubic.on_congestion(segments(100));
        cubic.on_timeout(segments(80));
        cubic.on_ack(segments(40), MSS, MSS, Instant(5), Some(100_000));
        assert_eq!(cubic.w_max, Some(f64::from(segments(40))));
        near(cubic.epoch.unwrap().k, 0.0);
        near(cubic.cwnd_prior, f64::from(segments(80)));
        // The same where slow start ended without a loss; growth is Reno's at least.
        let mut cubic = Cubic::default();
        cubic.on_ack(segments(40), MSS, MSS, Instant(5), Some(100_000));
        near(cubic.epoch.unwrap().k, 0.0);
        near(cubic.cwnd_prior, f64::from(segments(40)));
    }

    #[test]
    fn time_without_growth_is_not_counted() {
        //= CUBIC-10
        let (mut busy, mut now) = (Cubic::default(), Instant(5));
        busy.on_congestion(segments(100));
        ack(&mut busy, segments(70), &mut now, 0, 100_000);
        let mut idle = busy;
        let mut later = Instant(now.0 + 60_000_000);
        // A minute of acknowledgments that do not use the window, or of silence.
        let mut silent = busy;
        let mut after_silence = later;
        idle.pause(later);
        ack(&mut busy, segments(70), &mut now, 50, 100_000);
        ack(&mut idle, segments(70), &mut later, 50, 100_000);
        ack(&mut silent, segments(70), &mut after_silence, 50, 100_000);
        let t_us = |cubic: &Cubic| cubic.epoch.unwrap().t_us;
        assert_eq!((t_us(&busy), t_us(&idle), t_us(&silent)), (50_000, 50_000, 100_000));
    }

    #[test]
    fn a_window_never_shrinks_for_an_acknowledgment() {
        //= CUBIC-3
        let (mut cubic, mut now) = (Cubic::default(), Instant(5));
        cubic.on_congestion(segments(100));
        ack(&mut cubic, segments(70), &mut now, 0, 100_000);
        // Far above the curve.
        near(ack(&mut cubic, segments(150), &mut now, 100, 100_000), 0.0);
        // Far below it: half a window for a window acknowledged.
        let grown = cubic.on_ack(segments(20), segments(20), MSS, now, Some(100_000));
        assert!(grown.abs_diff(segments(10)) <= 1, "{grown}");
    }
}
