//! Proportional rate reduction (RFC 9937, before it RFC 6937): how much each acknowledgment in loss recovery
//! may send, so that the flight shrinks to SSTHRESH smoothly and never stops. Counts are octets.

/// The state of one recovery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prr {
    /// prr_delivered: octets that arrived since recovery began.
    delivered: u32,
    /// prr_out: octets sent since then, new and again.
    out: u32,
    /// RecoverFS: the flight when recovery began.
    recover_fs: u32,
}

/// How recovery went with one acknowledgment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// SND.UNA advanced and nothing more was found lost ("SafeACK").
    Safe,
    /// Anything else.
    Doubtful,
}

/// RecoverFS where an acknowledgment that delivered `delivered` octets leaves `flight` octets in flight and `sacked`
/// of them SACKed: what can be delivered in this recovery, from this acknowledgment on. 0 is delivered where a timer
/// finds the loss.
pub fn recover_flight(flight: u32, sacked: u32, delivered: u32) -> u32 {
    //= PRR-4
    flight.saturating_sub(sacked).saturating_add(delivered)
}

impl Prr {
    /// Recovery begins with `recover_fs` octets in flight.
    pub fn enter(recover_fs: u32) -> Self {
        //= PRR-1
        Prr { delivered: 0, out: 0, recover_fs: recover_fs.max(1) }
    }

    /// Octets that may be sent now, retransmissions first. `delivered` octets were newly acknowledged or
    /// SACKed (PRR-2; 0 for a look without an acknowledgment), and `pipe` octets are estimated in flight. The
    /// congestion window is `pipe` plus the result. What is not used stays allowed.
    pub fn on_ack(&mut self, delivered: u32, pipe: u32, ssthresh: u32, mss: u32, progress: Progress) -> u32 {
        //= PRR-2
        self.delivered = self.delivered.saturating_add(delivered);
        let sndcnt = if pipe > ssthresh {
            let share = u64::from(self.delivered) * u64::from(ssthresh);
            let share = share.div_ceil(u64::from(self.recover_fs));
            u32::try_from(share).unwrap_or(u32::MAX).saturating_sub(self.out)
        } else {
            //= PRR-3
            //= PRR-4
            let kept = self.delivered.saturating_sub(self.out).max(delivered);
            let catch_up = if progress == Progress::Safe { mss } else { 0 };
            kept.saturating_add(catch_up).min(ssthresh - pipe)
        };
        //= PRR-4
        if self.out == 0 { sndcnt.max(mss) } else { sndcnt }
    }

    /// `octets` were sent or sent again.
    pub fn on_sent(&mut self, octets: u32) {
        self.out = self.out.saturating_add(octets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each acknowledgment delivers one segment of one octet, and what may be sent is sent.
    fn sent(prr: &mut Prr, pipe: u32, ssthresh: u32, progress: Progress) -> u32 {
        let sndcnt = prr.on_ack(1, pipe, ssthresh, 1, progress);
        prr.on_sent(sndcnt);
        sndcnt
    }

    #[test]
    fn the_flight_shrinks_in_proportion() {
        //= PRR-1
        //= PRR-2
        // VEC-PRR-1, in segments.
        let mut prr = Prr::enter(20);
        let counts: Vec<u32> = (0..4).map(|_| sent(&mut prr, 15, 10, Progress::Doubtful)).collect();
        assert_eq!(counts, [1, 0, 1, 0]);
    }

    #[test]
    fn heavy_loss_is_made_up_for_one_more_segment_at_a_time_if_that_is_safe() {
        //= PRR-3
        //= PRR-4
        // VEC-PRR-2: 20 in flight, the first 15 lost, two sent by limited transmit.
        for (progress, expected) in [(Progress::Doubtful, [1, 1, 1]), (Progress::Safe, [2, 2, 2])] {
            let mut prr = Prr::enter(20);
            let mut pipe = 4;
            let counts = [(); 3].map(|()| {
                let sndcnt = sent(&mut prr, pipe, 10, progress);
                pipe = pipe + sndcnt - 1;
                sndcnt
            });
            assert_eq!(counts, expected);
        }
    }

    #[test]
    fn the_bound_never_overshoots_ssthresh() {
        //= PRR-3
        let mut prr = Prr::enter(20_000);
        prr.on_sent(1);
        assert_eq!(prr.on_ack(9_000, 9_500, 10_000, 1_460, Progress::Safe), 500);
        assert_eq!(prr.on_ack(0, 10_000, 10_000, 1_460, Progress::Safe), 0);
    }

    #[test]
    fn recovery_begins_with_a_segment_in_any_case() {
        //= PRR-4
        let mut prr = Prr::enter(20_000);
        assert_eq!(prr.on_ack(0, 20_000, 10_000, 1_460, Progress::Doubtful), 1_460, "found by a timer");
        assert_eq!(prr.on_ack(100, 20_000, 10_000, 1_460, Progress::Doubtful), 1_460);
        prr.on_sent(1_460);
        assert_eq!(prr.on_ack(100, 20_000, 10_000, 1_460, Progress::Doubtful), 0);
    }

    #[test]
    fn what_was_not_sent_stays_allowed() {
        //= PRR-2
        let mut prr = Prr::enter(20_000);
        prr.on_sent(1_000);
        let once = prr.on_ack(6_000, 14_000, 10_000, 1_000, Progress::Doubtful);
        assert_eq!(once, 2_000);
        assert_eq!(prr.on_ack(0, 14_000, 10_000, 1_000, Progress::Doubtful), once);
        prr.on_sent(once);
        assert_eq!(prr.on_ack(0, 14_000, 10_000, 1_000, Progress::Doubtful), 0);
    }

    #[test]
    fn a_recovery_ends_with_ssthresh_sent_for_each_flight_delivered() {
        //= PRR-2
        // Any cut of the same deliveries sends the same in all.
        for cut in [1, 500, 1_460, 4_000, 20_000] {
            let mut prr = Prr::enter(20_000);
            let (mut delivered, mut total) = (0, 0);
            while delivered < 20_000 {
                let part = cut.min(20_000 - delivered);
                delivered += part;
                let sndcnt = prr.on_ack(part, 20_000, 14_000, 1, Progress::Safe);
                prr.on_sent(sndcnt);
                total += sndcnt;
            }
            assert_eq!(total, 14_000, "cut into {cut}");
        }
    }

    #[test]
    fn what_arrived_before_is_no_part_of_the_flight() {
        //= PRR-4
        assert_eq!(recover_flight(20_000, 0, 0), 20_000);
        // 3000 SACKed, 1000 of them by the acknowledgment that begins recovery.
        assert_eq!(recover_flight(20_000, 3_000, 1_000), 18_000);
        // Which may also have moved SND.UNA.
        assert_eq!(recover_flight(19_500, 3_000, 1_500), 18_000);
        assert_eq!(Prr::enter(0), Prr::enter(1));
    }
}
