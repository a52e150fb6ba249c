//! How much may be in flight: slow start and congestion avoidance by RFC 5681, initial window by RFC 6928.
//! Windows are in octets.

/// A sender's congestion state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Congestion {
    /// The congestion window.
    pub cwnd: u32,
    /// The slow start threshold.
    pub ssthresh: u32,
    /// Octets acknowledged in congestion avoidance towards the next segment of growth.
    credit: u32,
}

/// No window grows beyond what sequence numbers can tell apart (SEQ-3).
const CWND_MAX: u32 = 1 << 30;

/// IW-1: min(10 * MSS, max(2 * MSS, 14600)).
pub fn initial_window(mss: u32) -> u32 {
    (10 * mss).min((2 * mss).max(14_600))
}

impl Congestion {
    /// At the start of a connection whose handshake lost `handshake_losses` SYNs or SYN-ACKs (IW-3).
    pub fn new(mss: u32, handshake_losses: u8) -> Self {
        //= IW-3
        let cwnd = if handshake_losses > 1 { mss } else { initial_window(mss) };
        //= CC-4
        Congestion { cwnd, ssthresh: CWND_MAX, credit: 0 }
    }

    /// `acked` new octets were acknowledged. Growth counts octets, not ACKs (ATK-9).
    pub fn on_ack(&mut self, acked: u32, mss: u32) {
        if self.cwnd < self.ssthresh {
            //= CC-2
            self.cwnd += acked.min(mss);
        } else {
            //= CC-3
            self.credit += acked;
            if self.credit >= self.cwnd {
                self.credit -= self.cwnd;
                self.cwnd += mss;
            }
        }
        self.cwnd = self.cwnd.min(CWND_MAX);
    }

    /// The retransmission timer expired for a segment that was sent once (CC-5, CC-7) or again (CC-6).
    pub fn on_timeout(&mut self, flight: u32, mss: u32, first_time: bool) {
        if first_time {
            //= CC-5
            self.ssthresh = (flight / 2).max(2 * mss);
        }
        //= CC-7
        self.cwnd = mss;
        self.credit = 0;
    }

    /// The network marked a packet (ECN-8): a loss without a retransmission.
    pub fn on_mark(&mut self, flight: u32, mss: u32) {
        //= ECN-8
        self.ssthresh = (flight / 2).max(2 * mss);
        self.cwnd = self.ssthresh.min(self.cwnd);
        self.credit = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_initial_window_follows_the_vectors() {
        //= IW-1
        // VEC-IW-1..8, column IW10.
        let rows = [
            (536, 5360),
            (1095, 10950),
            (1220, 12200),
            (1440, 14400),
            (1460, 14600),
            (2191, 14600),
            (4380, 14600),
            (8960, 17920),
        ];
        for (mss, window) in rows {
            assert_eq!(initial_window(mss), window);
        }
        assert_eq!(Congestion::new(1460, 1).cwnd, 14_600);
        assert_eq!(Congestion::new(1460, 2).cwnd, 1_460);
    }

    #[test]
    fn loss_halves_what_is_in_flight_and_a_second_timeout_does_not() {
        //= CC-5
        //= CC-6
        //= CC-7
        // VEC-CC-1.
        let mut c = Congestion::new(1460, 0);
        c.on_timeout(30_000, 1460, true);
        assert_eq!((c.cwnd, c.ssthresh), (1460, 15_000));
        c.on_timeout(1_460, 1460, false);
        assert_eq!((c.cwnd, c.ssthresh), (1460, 15_000));
        c.on_timeout(2_000, 1460, true);
        assert_eq!(c.ssthresh, 2_920);
    }

    #[test]
    fn growth_counts_octets() {
        //= CC-2
        //= CC-3
        // VEC-CC-2, and ATK-9: a hundred ACKs of 10 octets grow as one of 1000.
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
}
