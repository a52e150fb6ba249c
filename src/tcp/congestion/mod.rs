//! How much may be in flight. [`Congestion`] is the small part that every connection carries: slow start and
//! congestion avoidance by RFC 5681, the initial window by RFC 6928. What an algorithm remembers beside it is
//! a [`growth::Growth`], for connections that have a record for loss recovery. Windows are in octets.
//!
//! Pure: no clock and no timer. Which segments are lost is decided elsewhere.

pub mod cubic;
pub mod growth;
pub mod hystart;
pub mod prr;

/// A sender's congestion state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Congestion {
    /// The congestion window.
    pub cwnd: u32,
    /// The slow start threshold.
    pub ssthresh: u32,
    /// Octets acknowledged in congestion avoidance towards the next segment of growth.
    credit: u32,
    /// What was sent last made use of the window.
    used: bool,
}

/// How windows grow and shrink.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Algorithm {
    /// RFC 9438, with HyStart++ (RFC 9406) in the first slow start.
    #[default]
    Cubic,
    /// RFC 5681.
    Reno,
}

/// What a sender does about a congestion mark.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Marked {
    /// The window is smaller now.
    Reduced,
    /// The window could not become smaller: nothing may be sent until the retransmission timer, which starts
    /// anew, expires (ECN-10).
    Held,
}

/// No window grows beyond what sequence numbers can tell apart (SEQ-3). SSTHRESH starts here (CC-4).
pub const CWND_MAX: u32 = 1 << 30;

/// IW-1: min(10 * MSS, max(2 * MSS, 14600)).
pub fn initial_window(mss: u32) -> u32 {
    (10 * mss).min((2 * mss).max(14_600))
}

/// RFC 5681 (4): half of what is in flight, at least two segments.
pub fn reno_ssthresh(flight: u32, mss: u32) -> u32 {
    //= CC-5
    (flight / 2).max(2 * mss)
}

impl Congestion {
    /// At the start of a connection whose handshake lost `handshake_losses` SYNs or SYN-ACKs (IW-3).
    pub fn new(mss: u32, handshake_losses: u8) -> Self {
        //= IW-3
        let cwnd = if handshake_losses > 1 { mss } else { initial_window(mss) };
        //= CC-4
        Congestion { cwnd, ssthresh: CWND_MAX, credit: 0, used: true }
    }

    /// The window, and whether it was used, where that is all there is to know.
    pub(in crate::tcp) fn brief(&self) -> Option<(u32, bool)> {
        (self.credit == 0 && self.in_first_slow_start()).then_some((self.cwnd, self.used))
    }

    /// Forgets what there is no room for: a window that is no larger than one after an idle time, and no threshold.
    pub(super) fn forget(&mut self, mss: u32) {
        if !self.is_held() {
            let cwnd = self.cwnd.min(self.ssthresh).min(initial_window(mss));
            *self = Congestion { cwnd, ssthresh: CWND_MAX, credit: 0, used: self.used };
        }
    }

    /// What [`Congestion::brief`] told.
    pub(in crate::tcp) const fn from_brief(cwnd: u32, used: bool) -> Self {
        Congestion { cwnd, ssthresh: CWND_MAX, credit: 0, used }
    }

    /// No loss has been seen: SSTHRESH is still where it started.
    pub fn in_first_slow_start(&self) -> bool {
        self.ssthresh == CWND_MAX
    }

    /// New text was sent, and `flight` octets are in flight with it. A window of which less than half is used does
    /// not grow (CWV-1): until new text is sent again, that is settled, however the acknowledgments come.
    pub fn on_sent(&mut self, flight: u32) {
        //= CWV-1
        self.used = flight >= self.cwnd / 2;
    }

    /// `acked` new octets were acknowledged. Growth counts octets, not ACKs (ATK-9).
    pub fn on_ack(&mut self, acked: u32, mss: u32) {
        if self.cwnd < self.ssthresh {
            self.slow_start(acked, mss);
        } else {
            self.avoid(acked, mss);
        }
    }

    /// Slow start: at most a segment for each acknowledgment.
    fn slow_start(&mut self, acked: u32, mss: u32) {
        //= CC-2
        //= ABC-1
        self.grow(acked.min(mss));
    }

    /// Congestion avoidance: a segment for each window acknowledged.
    fn avoid(&mut self, acked: u32, mss: u32) {
        //= CC-3
        if !self.used {
            return;
        }
        self.credit += acked;
        if self.credit >= self.cwnd {
            self.credit -= self.cwnd;
            self.grow(mss);
        }
    }

    /// A window that is held (ECN-10) waits for the timer.
    fn grow(&mut self, octets: u32) {
        //= CWV-1
        if self.used && !self.is_held() {
            self.cwnd = self.cwnd.saturating_add(octets).min(CWND_MAX);
        }
    }

    /// A loss was found by acknowledgments, while `flight` octets were in flight (CC-5).
    pub fn on_loss(&mut self, flight: u32, mss: u32) {
        self.reduce(reno_ssthresh(flight, mss), mss);
    }

    /// SSTHRESH falls to `ssthresh`, and the window with it; at least two segments.
    fn reduce(&mut self, ssthresh: u32, mss: u32) {
        self.ssthresh = ssthresh.max(2 * mss);
        self.resize(self.ssthresh);
    }

    /// The window becomes another one, that follows from what was in flight and so is used.
    fn resize(&mut self, cwnd: u32) {
        self.cwnd = cwnd;
        self.credit = 0;
        self.used = true;
    }

    /// Loss recovery is over: the window is SSTHRESH (PRR, and the simpler choice of NR-3).
    pub fn exit_recovery(&mut self) {
        self.resize(self.ssthresh);
    }

    /// The retransmission timer expired for a segment that was sent once (CC-5, CC-7) or again (CC-6).
    pub fn on_timeout(&mut self, flight: u32, mss: u32, first_time: bool) {
        self.lose_all(first_time.then(|| reno_ssthresh(flight, mss)), mss);
    }

    /// A timeout: one segment may be sent, whatever the initial window is.
    fn lose_all(&mut self, ssthresh: Option<u32>, mss: u32) {
        //= CC-6
        if let Some(ssthresh) = ssthresh {
            self.ssthresh = ssthresh.max(2 * mss);
        }
        //= CC-7
        //= IW-4
        self.resize(mss);
    }

    /// The network marked a packet (ECN-8): a loss without a retransmission.
    pub fn on_mark(&mut self, flight: u32, mss: u32) -> Marked {
        self.shrink(flight / 2, mss)
    }

    /// SSTHRESH falls to `ssthresh`, at least two segments, and the window to the same, at least one.
    fn shrink(&mut self, ssthresh: u32, mss: u32) -> Marked {
        self.ssthresh = ssthresh.max(2 * mss);
        if self.cwnd <= mss {
            //= ECN-10
            self.resize(0);
            return Marked::Held;
        }
        //= ECN-8
        self.resize(ssthresh.max(mss).min(self.cwnd));
        Marked::Reduced
    }

    /// Marks came at a window of one segment: only the retransmission timer opens the window again (ECN-10).
    pub fn is_held(&self) -> bool {
        self.cwnd == 0
    }

    /// The retransmission timer expired with nothing in flight that could be lost: one segment may leave.
    pub fn release(&mut self, mss: u32) {
        //= ECN-10
        self.cwnd = self.cwnd.max(mss);
    }

    /// Nothing was sent for longer than RTO: the window says nothing about the path any more.
    pub fn after_idle(&mut self, mss: u32) {
        //= CC-13
        //= IW-4
        self.cwnd = self.cwnd.min(initial_window(mss));
        self.credit = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(cwnd: u32, ssthresh: u32) -> Congestion {
        Congestion { cwnd, ssthresh, credit: 0, used: true }
    }

    #[test]
    fn the_initial_window_follows_the_vectors() {
        //= IW-1
        //= IW-2
        //= VEC-IW-1..8
        // MSS, IW10, and the older bounds of RFC 3390 and RFC 5681, which it replaces.
        let rows = [
            (536, 5_360, 2_144, 2_144),
            (1_095, 10_950, 4_380, 4_380),
            (1_220, 12_200, 4_380, 3_660),
            (1_440, 14_400, 4_380, 4_320),
            (1_460, 14_600, 4_380, 4_380),
            (2_191, 14_600, 4_382, 4_382),
            (4_380, 14_600, 8_760, 8_760),
            (8_960, 17_920, 17_920, 17_920),
        ];
        for (mss, window, rfc_3390, rfc_5681) in rows {
            assert_eq!(initial_window(mss), window);
            assert!(window >= rfc_3390 && window >= rfc_5681);
        }
    }

    #[test]
    fn a_second_lost_syn_costs_the_initial_window() {
        //= IW-3
        //= CC-4
        assert_eq!(Congestion::new(1460, 0).cwnd, 14_600);
        assert_eq!(Congestion::new(1460, 1).cwnd, 14_600);
        assert_eq!(Congestion::new(1460, 2).cwnd, 1_460);
        assert!(Congestion::new(1460, 2).ssthresh >= 65_535 << 14, "as high as any window");
    }

    #[test]
    fn loss_halves_what_is_in_flight_and_a_second_timeout_does_not() {
        //= CC-5
        //= CC-6
        //= CC-7
        //= IW-4
        //= VEC-CC-1
        let mut c = Congestion::new(1460, 0);
        c.on_timeout(30_000, 1460, true);
        assert_eq!((c.cwnd, c.ssthresh), (1460, 15_000));
        c.on_timeout(1_460, 1460, false);
        assert_eq!((c.cwnd, c.ssthresh), (1460, 15_000));
        c.on_timeout(2_000, 1460, true);
        assert_eq!(c.ssthresh, 2_920);
        let mut c = Congestion { credit: 7, ..at(50_000, CWND_MAX) };
        c.on_loss(30_000, 1460);
        assert_eq!(c, at(15_000, 15_000));
        c.on_loss(2_000, 1460);
        assert_eq!((c.cwnd, c.ssthresh), (2_920, 2_920));
    }

    #[test]
    fn recovery_ends_at_ssthresh() {
        let mut c = Congestion { credit: 7, ..at(20_000, 15_000) };
        c.exit_recovery();
        assert_eq!(c, at(15_000, 15_000));
    }

    #[test]
    fn growth_counts_octets() {
        //= CC-2
        //= CC-3
        //= ABC-1
        //= VEC-CC-2
        // And ATK-9: a hundred ACKs of 10 octets grow as one of 1000.
        let mut c = Congestion::new(1460, 0);
        for (acked, grown) in [(2_920, 1_460), (1_460, 1_460), (100, 100)] {
            let before = c.cwnd;
            c.on_ack(acked, 1460);
            assert_eq!(c.cwnd - before, grown);
        }
        c.ssthresh = c.cwnd;
        let (mut divided, mut whole) = (c, c);
        (0..100).for_each(|_| divided.on_ack(10, 1460));
        whole.on_ack(1_000, 1460);
        assert_eq!(divided, whole);
        let before = c.cwnd;
        c.on_ack(before, 1460);
        assert_eq!(c.cwnd, before + 1460);
    }

    #[test]
    fn windows_stop_where_sequence_numbers_do() {
        //= SEQ-3
        let mut c = at(CWND_MAX - 1, CWND_MAX);
        c.on_ack(1_460, 1460);
        assert_eq!(c.cwnd, CWND_MAX);
        c.on_ack(CWND_MAX, 1460);
        assert_eq!(c.cwnd, CWND_MAX);
    }

    #[test]
    fn a_window_grows_only_if_half_of_it_was_in_flight() {
        //= CWV-1
        for ssthresh in [CWND_MAX, 2_000] {
            let mut c = at(20_000, ssthresh);
            c.on_sent(9_999);
            (0..100).for_each(|_| c.on_ack(1_000, 1_000));
            assert_eq!(c.cwnd, 20_000);
            c.on_sent(10_000);
            (0..20).for_each(|_| c.on_ack(1_000, 1_000));
            assert_eq!(c.cwnd, if ssthresh == CWND_MAX { 40_000 } else { 21_000 });
        }
        // A window that was reduced to what is in flight is used.
        let mut c = at(20_000, 2_000);
        c.on_sent(1_000);
        c.on_timeout(1_000, 1_000, true);
        c.on_ack(1_000, 1_000);
        assert_eq!(c.cwnd, 2_000);
    }

    #[test]
    fn a_mark_halves_the_window_and_holds_one_segment_until_the_timer() {
        //= ECN-8
        //= ECN-10
        let mut c = Congestion { credit: 7, ..at(20_000, CWND_MAX) };
        assert_eq!(c.on_mark(20_000, 1460), Marked::Reduced);
        assert_eq!(c, at(10_000, 10_000));
        assert_eq!(c.on_mark(2_000, 1460), Marked::Reduced);
        assert_eq!((c.cwnd, c.ssthresh), (1_460, 2_920), "one segment, not two");
        assert_eq!(c.on_mark(1_460, 1460), Marked::Held);
        assert!(c.is_held());
        c.on_ack(1_460, 1460);
        assert_eq!(c.cwnd, 0, "an acknowledgment opens nothing");
        let mut expired = c;
        expired.on_timeout(1_460, 1460, true);
        assert_eq!(expired.cwnd, 1_460);
        c.release(1460);
        assert_eq!((c.cwnd, c.ssthresh), (1_460, 2_920));
    }

    #[test]
    fn silence_costs_the_window_beyond_the_initial_one() {
        //= CC-13
        //= IW-4
        let mut c = Congestion { credit: 7, ..at(200_000, 100_000) };
        c.after_idle(1460);
        assert_eq!(c, at(14_600, 100_000));
        c.cwnd = 2_920;
        c.after_idle(1460);
        assert_eq!(c.cwnd, 2_920);
    }
}
