//! HyStart++ (RFC 9406): the first slow start slows down when round trips become longer, and ends when they
//! stay so, before it overruns the path by a whole window.

use crate::wire::seq::Seq;

/// MIN_RTT_THRESH, in microseconds.
const RTT_THRESH_US_MIN: u32 = 4_000;
/// MAX_RTT_THRESH, in microseconds.
const RTT_THRESH_US_MAX: u32 = 16_000;
/// MIN_RTT_DIVISOR.
const RTT_DIVISOR: u32 = 8;
/// N_RTT_SAMPLE: a round with fewer samples decides nothing.
const RTT_SAMPLES: u8 = 8;
/// CSS_GROWTH_DIVISOR.
const CSS_GROWTH_DIVISOR: u32 = 4;
/// CSS_ROUNDS.
const CSS_ROUNDS: u8 = 5;
/// L without pacing: at most so many segments count for one acknowledgment.
const SEGMENTS_PER_ACK: u32 = 8;

/// How much longer than the last round's the shortest round trip must be to mean a queue, in microseconds.
fn rtt_thresh_us(last_round_min_us: u32) -> u32 {
    //= HS-1
    //= HS-3
    (last_round_min_us / RTT_DIVISOR).clamp(RTT_THRESH_US_MIN, RTT_THRESH_US_MAX)
}

/// Conservative slow start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Css {
    /// cssBaselineMinRtt, in microseconds.
    baseline_us: u32,
    /// Rounds that have ended, that in which it began included.
    rounds: u8,
}

/// What is remembered of the rounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HyStart {
    /// windowEnd: SND.NXT when the round began.
    window_end: Option<Seq>,
    /// lastRoundMinRTT, in microseconds.
    last_min_us: Option<u32>,
    /// currentRoundMinRTT, in microseconds.
    current_min_us: Option<u32>,
    /// rttSampleCount.
    samples: u8,
    css: Option<Css>,
}

/// The effect of one acknowledgment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Octets by which the window grows.
    pub growth: u32,
    /// Slow start ends here: SSTHRESH is the window.
    pub over: bool,
}

impl HyStart {
    /// `acked` octets, up to `ack`, were acknowledged in slow start, while text up to `snd_nxt` was sent. The
    /// acknowledgment may have measured a round trip, in microseconds.
    pub fn on_ack(&mut self, acked: u32, mss: u32, rtt_us: Option<u32>, ack: Seq, snd_nxt: Seq) -> Step {
        let counted = acked.min(SEGMENTS_PER_ACK * mss);
        //= HS-4
        let growth = if self.css.is_some() { counted / CSS_GROWTH_DIVISOR } else { counted };
        let window_end = *self.window_end.get_or_insert(snd_nxt);
        if let Some(rtt_us) = rtt_us {
            self.sample(rtt_us);
        }
        //= HS-2
        let over = ack.at_or_after(window_end) && self.end_round(snd_nxt);
        Step { growth, over }
    }

    fn sample(&mut self, rtt_us: u32) {
        let current = self.current_min_us.map_or(rtt_us, |min| min.min(rtt_us));
        self.current_min_us = Some(current);
        self.samples = self.samples.saturating_add(1);
        if self.samples < RTT_SAMPLES {
            return;
        }
        match (self.css, self.last_min_us) {
            //= HS-4
            (Some(css), _) if current < css.baseline_us => self.css = None,
            //= HS-3
            (None, Some(last)) if current >= last.saturating_add(rtt_thresh_us(last)) => {
                self.css = Some(Css { baseline_us: current, rounds: 0 });
            }
            _ => {}
        }
    }

    /// Another round begins; true if it is one too many in conservative slow start.
    fn end_round(&mut self, snd_nxt: Seq) -> bool {
        self.window_end = Some(snd_nxt);
        self.last_min_us = self.current_min_us.take();
        self.samples = 0;
        //= HS-4
        self.css.as_mut().is_some_and(|css| {
            css.rounds += 1;
            css.rounds >= CSS_ROUNDS
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MSS: u32 = 1_000;

    /// A sender whose rounds are `round` segments each, and whose every acknowledgment is one segment.
    struct Sender {
        hystart: HyStart,
        una: Seq,
        round: u32,
    }

    impl Sender {
        fn new() -> Self {
            Sender { hystart: HyStart::default(), una: Seq(u32::MAX - 20_000), round: 10 }
        }

        fn ack(&mut self, rtt_us: u32) -> Step {
            self.measured(Some(rtt_us))
        }

        fn measured(&mut self, rtt_us: Option<u32>) -> Step {
            self.una += MSS;
            self.hystart.on_ack(MSS, MSS, rtt_us, self.una, self.una + self.round * MSS)
        }

        /// The effects of a round's acknowledgments.
        fn round(&mut self, rtt_us: u32) -> Vec<Step> {
            (0..self.round).map(|_| self.ack(rtt_us)).collect()
        }

        /// A round of 100 ms has ended.
        fn started() -> Self {
            let mut sender = Sender::new();
            // The first acknowledgment says where the first round ends.
            sender.measured(None);
            sender.round(100_000);
            sender
        }
    }

    fn grown(steps: &[Step]) -> Vec<u32> {
        steps.iter().map(|step| step.growth).collect()
    }

    #[test]
    fn the_threshold_follows_the_vectors() {
        //= HS-1
        //= HS-3
        // VEC-HS-1.
        for (round_ms, thresh_ms) in [(10, 4), (32, 4), (64, 8), (128, 16), (400, 16)] {
            assert_eq!(rtt_thresh_us(round_ms * 1_000), thresh_ms * 1_000);
        }
    }

    #[test]
    fn a_steady_round_trip_leaves_slow_start_alone() {
        //= HS-3
        let mut sender = Sender::started();
        for rtt_us in [100_000, 112_000, 124_000, 100_000] {
            // Each below the last plus an eighth.
            let steps = sender.round(rtt_us);
            assert!(steps.iter().all(|step| step.growth == MSS && !step.over));
        }
    }

    #[test]
    fn a_longer_round_trip_slows_growth_to_a_quarter_after_eight_samples() {
        //= HS-1
        //= HS-2
        //= HS-3
        //= HS-4
        let mut sender = Sender::started();
        let growth = grown(&sender.round(112_500));
        assert_eq!(growth, [1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000, 250, 250]);
    }

    #[test]
    fn seven_samples_decide_nothing() {
        //= HS-1
        let mut sender = Sender::new();
        sender.round = 7;
        sender.measured(None);
        for rtt_us in [150_000, 200_000, 300_000] {
            assert_eq!(grown(&sender.round(rtt_us)), [MSS; 7]);
        }
    }

    #[test]
    fn five_rounds_of_long_trips_end_slow_start() {
        //= HS-1
        //= HS-4
        let mut sender = Sender::started();
        let mut steps = sender.round(112_500);
        (0..4).for_each(|_| steps.extend(sender.round(112_500)));
        let over = steps.iter().position(|step| step.over);
        // The round in which it began counts.
        assert_eq!(over, Some(49));
        assert!(steps[8..].iter().all(|step| step.growth == MSS / 4));
    }

    #[test]
    fn slow_start_resumes_when_the_queue_was_none() {
        //= HS-4
        let mut sender = Sender::started();
        sender.round(112_500);
        let growth = grown(&sender.round(112_499));
        assert_eq!(growth, [250, 250, 250, 250, 250, 250, 250, 250, 1_000, 1_000]);
        // And slows down again.
        let growth = grown(&sender.round(130_000));
        assert_eq!(growth[8..], [250, 250]);
    }

    #[test]
    fn an_acknowledgment_of_many_segments_counts_as_eight() {
        //= HS-1
        let step = HyStart::default().on_ack(100 * MSS, MSS, None, Seq(0), Seq(1));
        assert_eq!(step, Step { growth: 8 * MSS, over: false });
    }

    #[test]
    fn a_round_without_samples_is_no_measure_for_the_next() {
        //= HS-3
        let mut sender = Sender::started();
        (0..10).for_each(|_| {
            sender.measured(None);
        });
        assert_eq!(grown(&sender.round(500_000)), [MSS; 10]);
    }
}
