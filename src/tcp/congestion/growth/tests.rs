//! An algorithm's memory: events one by one, and whole connections as fluids.

use super::*;

const MSS: u32 = 1_000;

fn acked(octets: u32, at_us: u64) -> Acked {
    Acked {
        octets,
        mss: MSS,
        ack: Seq(1),
        snd_nxt: Seq(1_000_000),
        now: Instant(at_us),
        srtt_us: Some(100_000),
        rtt_sample_us: None,
    }
}

/// A connection that has seen a loss and is in congestion avoidance at `segments`.
fn avoiding(algorithm: Algorithm, segments: u32) -> (Growth, Congestion) {
    let mut growth = Growth::new(algorithm, Instant(0));
    let mut c = Congestion::new(MSS, 0);
    growth.on_loss(&mut c, 4 * MSS, MSS);
    (c.cwnd, c.ssthresh) = (segments * MSS, 2 * MSS);
    (growth, c)
}

#[test]
fn cubic_leaves_seven_tenths_and_reno_half_of_the_flight() {
    //= CC-5
    //= CUBIC-7
    for (algorithm, left) in [(Algorithm::Cubic, 70_000), (Algorithm::Reno, 50_000)] {
        let (mut growth, mut c) = avoiding(algorithm, 120);
        growth.on_loss(&mut c, 100 * MSS, MSS);
        assert_eq!((c.cwnd, c.ssthresh), (left, left), "of the flight, not of the window");
        growth.on_loss(&mut c, MSS, MSS);
        assert_eq!((c.cwnd, c.ssthresh), (2 * MSS, 2 * MSS));
    }
    assert_eq!(Algorithm::default(), Algorithm::Cubic);
}

#[test]
fn a_second_loss_reduces_again() {
    //= CC-12
    let (mut growth, mut c) = avoiding(Algorithm::Reno, 100);
    growth.on_loss(&mut c, 100 * MSS, MSS);
    growth.on_loss(&mut c, 50 * MSS, MSS);
    assert_eq!(c.ssthresh, 25 * MSS);
}

#[test]
fn a_loss_in_recovery_counts_from_the_window_that_recovery_aims_at() {
    //= CC-12
    //= CUBIC-8
    // Whatever PRR had made of the window when a retransmission was lost.
    let [low, high] = [MSS, 90 * MSS].map(|cwnd| {
        let (mut growth, mut c) = avoiding(Algorithm::Cubic, 100);
        growth.on_loss(&mut c, 100 * MSS, MSS);
        c.cwnd = cwnd;
        growth.on_loss(&mut c, 70 * MSS, MSS);
        (growth, c)
    });
    assert_eq!(low, high);
    // Between two recoveries the window is the sender's own.
    let (mut growth, mut c) = low;
    c.exit_recovery();
    growth.on_ack(&mut c, &acked(MSS, 1));
    c.cwnd = 60 * MSS;
    let other = c;
    growth.on_loss(&mut c, 60 * MSS, MSS);
    assert!(growth.undo(&mut c));
    assert_eq!(c, other);
}

#[test]
fn a_mark_leaves_one_segment_where_a_loss_leaves_two() {
    //= CUBIC-7
    //= ECN-8
    //= ECN-10
    for (algorithm, left) in [(Algorithm::Cubic, 70_000), (Algorithm::Reno, 50_000)] {
        let (mut growth, mut c) = avoiding(algorithm, 100);
        assert_eq!(growth.on_mark(&mut c, 100 * MSS, MSS), Marked::Reduced);
        assert_eq!((c.cwnd, c.ssthresh), (left, left));
        assert_eq!(growth.on_mark(&mut c, MSS, MSS), Marked::Reduced);
        assert_eq!((c.cwnd, c.ssthresh), (MSS, 2 * MSS));
        assert_eq!(growth.on_mark(&mut c, MSS, MSS), Marked::Held);
        growth.on_ack(&mut c, &acked(MSS, 1));
        assert!(c.is_held());
        growth.on_timeout(&mut c, MSS, MSS, true);
        assert_eq!(c.cwnd, MSS);
    }
}

#[test]
fn a_timeout_leaves_one_segment_and_a_threshold() {
    //= CC-6
    //= CC-7
    //= CUBIC-9
    for (algorithm, ssthresh) in [(Algorithm::Cubic, 70_000), (Algorithm::Reno, 50_000)] {
        let (mut growth, mut c) = avoiding(algorithm, 100);
        growth.on_timeout(&mut c, 100 * MSS, MSS, true);
        assert_eq!((c.cwnd, c.ssthresh), (MSS, ssthresh));
        growth.on_timeout(&mut c, MSS, MSS, false);
        assert_eq!((c.cwnd, c.ssthresh), (MSS, ssthresh));
    }
}

#[test]
fn slow_start_lasts_while_the_window_is_not_above_the_threshold() {
    //= CUBIC-12
    //= ABC-1
    let (mut growth, mut c) = avoiding(Algorithm::Cubic, 10);
    growth.on_timeout(&mut c, 10 * MSS, MSS, true);
    // However much is acknowledged, a segment each time: this is not the first slow start.
    for segments in 2..=8 {
        growth.on_ack(&mut c, &acked(5 * MSS, 1));
        assert_eq!(c.cwnd, segments * MSS);
    }
    growth.on_ack(&mut c, &acked(MSS, 1));
    assert!(c.cwnd > 8 * MSS && c.cwnd < 9 * MSS, "congestion avoidance: {}", c.cwnd);
}

/// Rounds of 20 acknowledgments of a segment, with a round trip of so many milliseconds each.
fn rounds(growth: &mut Growth, c: &mut Congestion, rtts_ms: &[u32]) {
    let mut una = Seq(0);
    for &rtt_ms in rtts_ms {
        for _ in 0..20 {
            una += MSS;
            let snd_nxt = una + 20 * MSS;
            let ack = Acked { ack: una, snd_nxt, rtt_sample_us: Some(rtt_ms * 1_000), ..acked(MSS, 1) };
            growth.on_ack(c, &ack);
        }
    }
}

#[test]
fn long_round_trips_end_the_first_slow_start_and_no_other() {
    //= HS-4
    //= HS-5
    let mut growth = Growth::new(Algorithm::Cubic, Instant(0));
    let mut c = Congestion::new(MSS, 0);
    let long = [100, 100, 120, 120, 120, 120, 120, 120, 120];
    rounds(&mut growth, &mut c, &long);
    assert!(!c.in_first_slow_start() && c.ssthresh <= c.cwnd);
    // Two rounds, the second ended by the first long trip, and eight trips of the third grow by a segment each;
    // the rest of the third and four more rounds by a quarter.
    let initial = Congestion::new(MSS, 0).cwnd;
    assert_eq!(c.ssthresh, initial + 49 * MSS + (12 + 80) * MSS / 4);
    // After a loss the same round trips do nothing.
    growth.on_timeout(&mut c, 1_000 * MSS, MSS, true);
    rounds(&mut growth, &mut c, &long);
    assert_eq!(c.cwnd, MSS + 20 * 9 * MSS);
    // RFC 5681 knows nothing of it.
    let mut growth = Growth::new(Algorithm::Reno, Instant(0));
    let mut c = Congestion::new(MSS, 0);
    rounds(&mut growth, &mut c, &long);
    assert_eq!(c.cwnd, initial + 20 * 9 * MSS);
}

#[test]
fn a_reduction_for_nothing_is_taken_back_once() {
    //= CUBIC-11
    //= EIFEL-2
    for algorithm in [Algorithm::Cubic, Algorithm::Reno] {
        let (mut growth, mut c) = avoiding(algorithm, 100);
        (0..50).for_each(|n| growth.on_ack(&mut c, &acked(MSS, n * 1_000)));
        let (before, grown) = (c, growth);
        growth.on_loss(&mut c, 100 * MSS, MSS);
        assert!(growth.undo(&mut c));
        assert_eq!((c, growth.cubic), (before, grown.cubic), "window, W_max, K, W_est and the epoch");
        assert!(!growth.undo(&mut c));

        growth.on_timeout(&mut c, 100 * MSS, MSS, true);
        growth.on_timeout(&mut c, MSS, MSS, false);
        assert!(growth.undo(&mut c), "back to before the first of both timeouts");
        assert_eq!((c, growth.cubic), (before, grown.cubic));
    }
}

#[test]
fn a_window_that_came_as_far_by_itself_is_left_alone() {
    //= CUBIC-11
    let (mut growth, mut c) = avoiding(Algorithm::Cubic, 100);
    growth.on_loss(&mut c, 100 * MSS, MSS);
    c.cwnd = 100 * MSS;
    assert!(!growth.undo(&mut c));
    assert_eq!(c.ssthresh, 70 * MSS);
}

#[test]
fn marks_and_silence_are_not_taken_back() {
    //= CUBIC-11
    //= ECN-8
    //= CC-13
    let (mut growth, mut c) = avoiding(Algorithm::Cubic, 100);
    growth.on_loss(&mut c, 100 * MSS, MSS);
    assert_eq!(growth.on_mark(&mut c, 70 * MSS, MSS), Marked::Reduced);
    assert!(!growth.undo(&mut c));
    growth.on_loss(&mut c, 49 * MSS, MSS);
    growth.after_idle(&mut c, MSS);
    assert_eq!(c.cwnd, initial_window(MSS));
    assert!(!growth.undo(&mut c));
}

#[test]
fn a_window_that_is_not_used_does_not_grow_and_falls_after_five_minutes() {
    //= CWV-1
    //= CWV-3
    let minute = 60_000_000;
    for algorithm in [Algorithm::Cubic, Algorithm::Reno] {
        let (mut growth, mut c) = avoiding(algorithm, 100);
        growth.on_ack(&mut c, &acked(MSS, minute));
        c.on_sent(10 * MSS);
        let before = c;
        let little = |at_us| acked(MSS, at_us);
        for at_us in [minute, 2 * minute, 6 * minute] {
            growth.on_ack(&mut c, &little(at_us));
            assert_eq!(c, before);
        }
        growth.on_ack(&mut c, &little(6 * minute + 1));
        assert_eq!((c.cwnd, c.ssthresh), (before.cwnd / 2, before.cwnd / 4 * 3));
        growth.on_ack(&mut c, &little(11 * minute + 1));
        assert_eq!(c.cwnd, before.cwnd / 2, "five minutes anew");
        (0..10).for_each(|n| growth.on_ack(&mut c, &little((20 + 10 * n) * minute)));
        assert_eq!(c.cwnd, initial_window(MSS), "not below");
        c.cwnd = 2 * MSS;
        c.on_sent(MSS - 1);
        growth.on_ack(&mut c, &little(200 * minute));
        assert_eq!(c.cwnd, 2 * MSS, "and not up to it");
    }
}

/// A sender on a path without a queue: in each round trip of `rtt_us` a window is acknowledged, segment by
/// segment.
struct Fluid {
    growth: Growth,
    c: Congestion,
    rtt_us: f64,
    now_us: f64,
}

impl Fluid {
    fn new(algorithm: Algorithm, segments: u32, rtt_us: f64) -> Self {
        let (growth, c) = avoiding(algorithm, segments);
        Fluid { growth, c, rtt_us, now_us: 0.0 }
    }

    fn ack(&mut self) {
        self.now_us += self.rtt_us * f64::from(MSS) / f64::from(self.c.cwnd);
        let srtt_us = Some(self.rtt_us as u32);
        self.growth.on_ack(&mut self.c, &Acked { srtt_us, ..acked(MSS, self.now_us as u64) });
    }

    /// A segment is lost, and repaired a round trip later.
    fn lose(&mut self) {
        let flight = self.c.cwnd;
        self.growth.on_loss(&mut self.c, flight, MSS);
        self.now_us += self.rtt_us;
        self.c.exit_recovery();
    }

    /// Sends until the window is above `limit` segments; the time in seconds that took, and the average
    /// window in segments over it.
    fn fill(&mut self, limit: u32) -> (f64, f64) {
        let (start_us, mut acks) = (self.now_us, 0);
        while self.c.cwnd <= limit * MSS {
            self.ack();
            acks += 1;
        }
        // What went beyond the limit was never in flight.
        self.c.cwnd = limit * MSS;
        let took_us = self.now_us - start_us;
        (took_us / 1e6, f64::from(acks) * self.rtt_us / took_us)
    }
}

#[track_caller]
fn within(value: f64, expected: f64, part: f64) {
    assert!((value / expected - 1.0).abs() < part, "{value} is not {expected}");
}

#[test]
fn reno_saws_as_mathis_says() {
    //= CC-3
    //= CC-5
    // One segment of each 1/p is lost: the average window is sqrt(3/2) / sqrt(p) segments.
    for period in [100, 1_000, 10_000] {
        let mut fluid = Fluid::new(Algorithm::Reno, 10, 100_000.0);
        let mut acks = 0_u32;
        let mut measure = |fluid: &mut Fluid, losses| {
            let (start_us, start) = (fluid.now_us, acks);
            for _ in 0..losses * period {
                acks += 1;
                if acks.is_multiple_of(period) {
                    fluid.lose();
                } else {
                    fluid.ack();
                }
            }
            f64::from(acks - start) * fluid.rtt_us / (fluid.now_us - start_us)
        };
        measure(&mut fluid, 10);
        let average = measure(&mut fluid, 20);
        within(average, (1.5 * f64::from(period)).sqrt(), 0.25);
    }
}

#[test]
fn cubic_comes_back_to_where_the_loss_was_after_k() {
    //= CUBIC-2
    //= CUBIC-4
    //= CUBIC-10
    // A path that holds 100, 400 and 1000 segments, round trips long enough for the cubic region.
    for (limit, rtt_us) in [(100, 100_000.0), (400, 100_000.0), (1_000, 50_000.0)] {
        let mut fluid = Fluid::new(Algorithm::Cubic, limit, rtt_us);
        fluid.fill(limit);
        for _ in 0..5 {
            fluid.lose();
            let (seconds, average) = fluid.fill(limit);
            within(seconds, (f64::from(limit) * 0.3 / 0.4).cbrt(), 0.15);
            // The mean of the curve from 0.7 to 1 is 0.925.
            within(average, 0.925 * f64::from(limit), 0.03);
        }
    }
}

#[test]
fn cubic_is_no_slower_than_reno_where_round_trips_are_short() {
    //= CUBIC-5
    //= CUBIC-6
    let mut fluid = Fluid::new(Algorithm::Cubic, 100, 1_000.0);
    fluid.fill(100);
    fluid.lose();
    let (seconds, _) = fluid.fill(100);
    // VEC-CUBIC-5: 56.67 round trips, where K would be 4.2 seconds.
    within(seconds, 0.056_67, 0.05);
}

#[test]
fn two_flows_on_a_path_come_to_share_it() {
    //= CUBIC-8
    // One has nearly all; both lose when the path is full.
    for algorithm in [Algorithm::Cubic, Algorithm::Reno] {
        let mut rich = Fluid::new(algorithm, 180, 50_000.0);
        let mut poor = Fluid::new(algorithm, 10, 50_000.0);
        for _ in 0..4_000 {
            for fluid in [&mut rich, &mut poor] {
                let end_us = fluid.now_us + fluid.rtt_us;
                while fluid.now_us < end_us {
                    fluid.ack();
                }
            }
            if rich.c.cwnd + poor.c.cwnd > 200 * MSS {
                rich.lose();
                poor.lose();
            }
        }
        let share = f64::from(rich.c.cwnd) / f64::from(poor.c.cwnd);
        assert!((0.8..1.25).contains(&share), "{share}");
    }
}
