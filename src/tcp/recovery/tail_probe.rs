//! Tail loss probes (RFC 8985 7): when acknowledgments stop, one segment asks for another.

use super::Recovery;
use super::delivery::Delivery;
use crate::tcp::tcb::{Tcb, fact};
use crate::wire::seq::Seq;

/// How long the peer may delay an acknowledgment (TLP-3), in milliseconds.
pub(in crate::tcp) const MAX_ACK_DELAY_MS: u32 = 200;

/// The shortest PTO, in milliseconds. On a path of microseconds a shorter one would mostly find that the peer's
/// loop is busy, and add to its work.
const PTO_MIN_MS: u32 = 10;

/// PTO before there is a round trip (TLP-2), in milliseconds.
const PTO_WITHOUT_SRTT_MS: u32 = 1_000;

/// A probe that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Probe {
    /// TLP.end_seq: the number after the probe's last octet.
    pub end: Seq,
    /// The probe was a retransmission.
    pub repeated: bool,
}

/// The probe's timeout in milliseconds; `alone`: at most one segment is in flight.
pub(in crate::tcp) fn timeout_ms(srtt_us: Option<u32>, alone: bool) -> u32 {
    //= TLP-2
    let Some(srtt_us) = srtt_us else { return PTO_WITHOUT_SRTT_MS };
    let two = srtt_us.saturating_mul(2).div_ceil(1_000).max(PTO_MIN_MS);
    if alone { two + MAX_ACK_DELAY_MS } else { two }
}

/// What became of a probe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// Not known yet.
    Open,
    /// Nothing had been lost.
    NothingLost,
    /// It repaired a loss.
    Repaired,
}

impl Probe {
    /// What an acknowledgment tells of the probe.
    pub fn judge(self, una: Seq, delivery: &Delivery) -> Verdict {
        //= TLP-8
        if una.before(self.end) {
            return Verdict::Open;
        }
        let reported = delivery.duplicate.is_some_and(|(_, right)| right == self.end);
        if !self.repeated || reported {
            Verdict::NothingLost
        } else if una.after(self.end) {
            Verdict::Repaired
        } else if delivery.is_duplicate_ack {
            Verdict::NothingLost
        } else {
            Verdict::Open
        }
    }
}

impl Tcb {
    /// Milliseconds until a probe goes out, if acknowledgments stop; `None` when there is to be none.
    pub(in crate::tcp) fn probe_timeout_ms(&self, rec: Option<&Recovery>) -> Option<u32> {
        //= TLP-1
        //= TLP-4
        let allowed = rec.is_none_or(|rec| {
            rec.phase == super::Phase::Open
                && rec.board.sacked() == 0
                && rec.probe.is_none()
                && !rec.unmeasured
        });
        let allowed = allowed && self.facts.has(fact::SACK);
        allowed.then(|| timeout_ms(self.rtt.srtt_us(), self.flight() <= u32::from(self.mss)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_follows_the_vectors() {
        //= TLP-2
        //= TLP-3
        // VEC-TLP-1; the clipping by the RTO is `Tcb::arm`'s.
        assert_eq!(timeout_ms(Some(100_000), false), 200);
        assert_eq!(timeout_ms(Some(100_000), true), 400);
        assert_eq!(timeout_ms(None, false), 1_000);
    }
}
