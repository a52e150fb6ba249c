//! Header prediction (style guide, law 3): a proof that the checks before the acknowledgment would do nothing to
//! this segment. It shortens the way of in-order text and of pure acknowledgments; the steps are the same ones.

use super::steps::Arrival;
use crate::tcp::state::State;
use crate::tcp::tcb::{Tcb, fact};
use crate::tcp::timestamps;
use crate::wire::tcp::Flags;

impl Tcb {
    /// The checks of timestamps, RST, SYN and sequence number would pass this segment untouched: its only flags
    /// are ACK and perhaps PSH, its timestamp is not old, it begins at RCV.NXT, and the window has room for it.
    pub(super) fn predicts(&self, a: &Arrival<'_>) -> bool {
        //= PAWS-5
        let seg = &a.seg;
        let plain = seg.flags.without(Flags::PSH) == Flags::ACK;
        let in_order = seg.seq == self.rcv.nxt && u32::from(seg.text_len) <= self.rcv.wnd();
        plain && in_order && self.state() == State::Established && self.timestamp_is_recent(a)
    }

    fn timestamp_is_recent(&self, a: &Arrival<'_>) -> bool {
        !self.facts.has(fact::TIMESTAMPS)
            || a.seg.options.timestamps.is_some_and(|ts| !timestamps::older(ts.val, self.ts_recent))
    }
}
