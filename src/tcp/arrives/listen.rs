//! A segment for a listener (RFC 9293 3.10.7.2; requirements 2.3). Decides only; creates nothing.

use crate::base::drop_reason::DropReason;
use crate::tcp::segment::{SegmentOut, reset_for};
use crate::wire::tcp::{Flags, Segment};

/// How full a listener's queues are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listener {
    /// Half-open entries now.
    pub half_open: u32,
    /// Most half-open entries (LIM-1).
    pub half_open_max: u32,
    /// Connections that wait for the application.
    pub waiting: u32,
    /// The backlog: most connections that may wait (LIM-2).
    pub backlog: u32,
    /// The listener takes new connections.
    pub open: bool,
}

/// What is to be done with the segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// Nothing is answered.
    Ignore(DropReason),
    /// A reset is answered.
    Reset(SegmentOut, DropReason),
    /// A half-open connection is opened.
    Open,
}

impl Listener {
    /// The listener's accept queue is full (LIS-9, SYR-10).
    pub fn is_full(&self) -> bool {
        self.waiting >= self.backlog
    }

    /// Decides about a segment.
    pub fn segment_arrives(&self, segment: &Segment) -> Disposition {
        if segment.flags.has(Flags::RST) {
            //= LIS-1
            return Disposition::Ignore(DropReason::ListenRst);
        }
        if segment.flags.has(Flags::ACK) {
            //= LIS-2
            return reset_for(segment).map_or(Disposition::Ignore(DropReason::ListenAck), |reset| {
                Disposition::Reset(reset, DropReason::ListenAck)
            });
        }
        if !segment.flags.has(Flags::SYN) {
            //= LIS-12
            return Disposition::Ignore(DropReason::ListenOther);
        }
        if !self.open {
            return Disposition::Ignore(DropReason::ListenNotAccepting);
        }
        if self.is_full() {
            //= LIS-9
            return Disposition::Ignore(DropReason::AcceptQueueFull);
        }
        if self.half_open >= self.half_open_max {
            //= LIS-8
            return Disposition::Ignore(DropReason::SynQueueFull);
        }
        //= LIS-4
        Disposition::Open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::seq::Seq;

    const ROOMY: Listener = Listener { half_open: 0, half_open_max: 8, waiting: 0, backlog: 4, open: true };

    fn segment(flags: Flags) -> Segment {
        Segment {
            seq: Seq(100),
            ack: Seq(if flags.has(Flags::ACK) { 7 } else { 0 }),
            flags,
            ..Segment::default()
        }
    }

    #[test]
    fn flags_decide_in_the_order_of_the_rfc() {
        //= LIS-1
        //= LIS-2
        //= LIS-4
        //= LIS-12
        let fin = Flags::FIN;
        let rows = [
            (Flags::RST | Flags::SYN | Flags::ACK, Disposition::Ignore(DropReason::ListenRst)),
            (Flags::SYN, Disposition::Open),
            (Flags::SYN | fin, Disposition::Open),
            (Flags::SYN | Flags::ECE | Flags::CWR, Disposition::Open),
            (Flags(0), Disposition::Ignore(DropReason::ListenOther)),
            (fin, Disposition::Ignore(DropReason::ListenOther)),
        ];
        for (flags, expected) in rows {
            assert_eq!(ROOMY.segment_arrives(&segment(flags)), expected, "{flags:?}");
        }
        for flags in [Flags::ACK, Flags::ACK | Flags::SYN, Flags::ACK | fin] {
            let found = ROOMY.segment_arrives(&segment(flags));
            let Disposition::Reset(reset, DropReason::ListenAck) = found else {
                panic!("{flags:?} {found:?}")
            };
            assert_eq!((reset.seq, reset.flags), (Seq(7), Flags::RST));
        }
    }

    #[test]
    fn full_queues_drop_the_syn_silently() {
        //= LIS-8
        //= LIS-9
        let syn = segment(Flags::SYN);
        let half_open = Listener { half_open: 8, ..ROOMY };
        assert_eq!(half_open.segment_arrives(&syn), Disposition::Ignore(DropReason::SynQueueFull));
        let waiting = Listener { waiting: 4, ..ROOMY };
        assert_eq!(waiting.segment_arrives(&syn), Disposition::Ignore(DropReason::AcceptQueueFull));
        let closing = Listener { open: false, ..ROOMY };
        assert_eq!(closing.segment_arrives(&syn), Disposition::Ignore(DropReason::ListenNotAccepting));
    }
}
