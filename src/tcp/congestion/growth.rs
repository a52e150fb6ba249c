//! What a congestion control algorithm remembers of a connection beside its [`Congestion`], and how it moves
//! the window: RFC 9438 with RFC 9406, or RFC 5681. Lives in the bounded record of loss recovery.

use crate::base::time::Instant;
use crate::wire::seq::Seq;

use super::cubic::{self, Cubic};
use super::hystart::HyStart;
use super::{Algorithm, Congestion, Marked, initial_window, reno_ssthresh};

/// How long a window that is not used is kept, in microseconds (RFC 7661 4.4: five minutes).
const NOT_USED_US_MAX: u64 = 300_000_000;

/// An acknowledgment of new octets outside of loss recovery.
#[derive(Clone, Copy, Debug)]
pub struct Acked {
    /// Octets newly acknowledged.
    pub octets: u32,
    /// Octets of text in a full segment.
    pub mss: u32,
    /// The acknowledgment number.
    pub ack: Seq,
    /// SND.NXT.
    pub snd_nxt: Seq,
    /// When it came.
    pub now: Instant,
    /// The smoothed round-trip time, in microseconds.
    pub srtt_us: Option<u32>,
    /// The round trip that this acknowledgment measured, in microseconds.
    pub rtt_sample_us: Option<u32>,
}

/// What one reduction changed.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Before {
    congestion: Congestion,
    cubic: Cubic,
}

/// An algorithm's memory of one connection.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Growth {
    algorithm: Algorithm,
    cubic: Cubic,
    hystart: HyStart,
    /// For when the last loss turns out to have been none.
    before: Option<Before>,
    /// No acknowledgment outside of recovery came since the last loss was found.
    recovering: bool,
    /// When the window was last used.
    used_at: Instant,
}

impl Growth {
    /// A memory that begins now; the connection may have begun before.
    pub fn new(algorithm: Algorithm, now: Instant) -> Self {
        Growth {
            algorithm,
            cubic: Cubic::default(),
            hystart: HyStart::default(),
            before: None,
            recovering: false,
            used_at: now,
        }
    }

    /// SSTHRESH after a loss found while `flight` octets were in flight; the floor is the caller's.
    fn ssthresh(&self, flight: u32, mss: u32) -> u32 {
        match self.algorithm {
            Algorithm::Cubic => cubic::ssthresh(flight),
            Algorithm::Reno => reno_ssthresh(flight, mss),
        }
    }

    /// New octets were acknowledged outside of loss recovery.
    pub fn on_ack(&mut self, c: &mut Congestion, acked: &Acked) {
        self.recovering = false;
        if !c.used {
            return self.on_ack_of_little(c, acked);
        }
        self.used_at = acked.now;
        match self.algorithm {
            Algorithm::Reno => c.on_ack(acked.octets, acked.mss),
            //= HS-5
            Algorithm::Cubic if c.in_first_slow_start() => self.first_slow_start(c, acked),
            //= CUBIC-12
            Algorithm::Cubic if c.cwnd <= c.ssthresh => c.slow_start(acked.octets, acked.mss),
            Algorithm::Cubic => {
                let Acked { octets, mss, now, srtt_us, .. } = *acked;
                c.grow(self.cubic.on_ack(c.cwnd, octets, mss, now, srtt_us));
            }
        }
    }

    fn first_slow_start(&mut self, c: &mut Congestion, acked: &Acked) {
        //= HS-5
        let Acked { octets, mss, rtt_sample_us, ack, snd_nxt, .. } = *acked;
        let step = self.hystart.on_ack(octets, mss, rtt_sample_us, ack, snd_nxt);
        c.grow(step.growth);
        if step.over {
            //= HS-4
            c.ssthresh = c.cwnd;
        }
    }

    /// The window was not used: it does not grow (CWV-1), and after five minutes it falls (CWV-3).
    fn on_ack_of_little(&mut self, c: &mut Congestion, acked: &Acked) {
        //= CWV-1
        self.cubic.pause(acked.now);
        if acked.now.since_us(self.used_at) > NOT_USED_US_MAX {
            //= CWV-3
            c.ssthresh = c.ssthresh.max(c.cwnd / 4 * 3);
            c.cwnd = (c.cwnd / 2).max(initial_window(acked.mss)).min(c.cwnd);
            self.used_at = acked.now;
        }
    }

    fn remember(&mut self, c: &Congestion) {
        self.before = Some(Before { congestion: *c, cubic: self.cubic });
    }

    /// Loss recovery begins, or a retransmission was lost in it (CC-12): SSTHRESH falls, and the window to it.
    /// `flight` leaves out what limited transmit sent (CC-5). Within recovery the window may be any; what
    /// recovery was to end with counts instead.
    pub fn on_loss(&mut self, c: &mut Congestion, flight: u32, mss: u32) {
        //= CC-12
        if self.recovering {
            c.exit_recovery();
        }
        self.recovering = true;
        self.remember(c);
        self.cubic.on_congestion(c.cwnd);
        //= CUBIC-7
        c.reduce(self.ssthresh(flight, mss), mss);
    }

    /// The network marked a packet (ECN-8). A mark is not taken back.
    pub fn on_mark(&mut self, c: &mut Congestion, flight: u32, mss: u32) -> Marked {
        self.before = None;
        self.recovering = false;
        match self.algorithm {
            Algorithm::Cubic => {
                self.cubic.on_congestion(c.cwnd);
                //= CUBIC-7
                c.shrink(cubic::ssthresh(flight), mss)
            }
            Algorithm::Reno => c.on_mark(flight, mss),
        }
    }

    /// The retransmission timer expired for a segment that was sent once, or again (CC-6).
    pub fn on_timeout(&mut self, c: &mut Congestion, flight: u32, mss: u32, first_time: bool) {
        let ssthresh = first_time.then(|| self.ssthresh(flight, mss));
        self.recovering = false;
        if first_time {
            self.remember(c);
            //= CUBIC-9
            self.cubic.on_timeout(c.cwnd);
        }
        c.lose_all(ssthresh, mss);
    }

    /// The last loss was none (D-SACK, F-RTO, Eifel): its reduction is taken back, once. False if there was
    /// nothing to take back, or the window has come as far by itself. The window may be far larger than what is
    /// in flight then; the caller sees to it that no burst follows (RFC 4015 4).
    pub fn undo(&mut self, c: &mut Congestion) -> bool {
        //= CUBIC-11
        //= EIFEL-2
        match self.before.take() {
            Some(before) if c.cwnd < before.congestion.cwnd => {
                *c = before.congestion;
                self.cubic = before.cubic;
                self.recovering = false;
                true
            }
            _ => false,
        }
    }

    /// Nothing was sent for longer than RTO (CC-13). What was learnt of round trips is as old as the window.
    pub fn after_idle(&mut self, c: &mut Congestion, mss: u32) {
        self.hystart = HyStart::default();
        self.before = None;
        self.recovering = false;
        c.after_idle(mss);
    }
}

#[cfg(test)]
mod tests;
