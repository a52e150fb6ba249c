//! A segment for which there is neither connection nor listener (RFC 9293 3.10.7.1; requirements 2.2).

use crate::base::drop_reason::DropReason;
use crate::tcp::segment::{SegmentOut, reset_for};
use crate::wire::tcp::{Flags, Segment};

/// The reset to answer with, if any, and why the segment is thrown away. `may_reset` is asked before a reset is made: of a
/// flood most get none.
#[inline]
pub fn segment_arrives(
    segment: &Segment,
    may_reset: impl FnOnce() -> bool,
) -> (Option<SegmentOut>, DropReason) {
    if segment.flags.has(Flags::RST) {
        //= CLD-1
        return (None, DropReason::RstNoConnection);
    }
    //= CLD-2
    //= CLD-3
    //= CLD-4
    //= CLD-5
    let reset = if may_reset() { reset_for(segment) } else { None };
    (reset, DropReason::NoConnection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::seq::Seq;
    use crate::wire::tcp_options::{Options, Timestamps};

    #[test]
    fn a_stray_segment_is_answered_by_the_reset_of_the_rfc() {
        //= CLD-2
        //= CLD-3
        //= CLD-4
        //= TS-11
        //= VEC-FSM-11..12
        let syn = Segment { seq: Seq(100), flags: Flags::SYN, ..Segment::default() };
        let reset = segment_arrives(&syn, || true).0.unwrap();
        assert_eq!((reset.seq, reset.ack, reset.flags), (Seq(0), Seq(101), Flags::RST | Flags::ACK));

        let syn_fin = Segment { flags: Flags::SYN | Flags::FIN, text_len: 10, ..syn };
        assert_eq!(segment_arrives(&syn_fin, || true).0.unwrap().ack, Seq(112));

        let timestamps = Some(Timestamps { val: 77, ecr: 5 });
        let options = Options { timestamps, ..Options::default() };
        let ack =
            Segment { seq: Seq(7000), ack: Seq(5000), flags: Flags::ACK, options, ..Segment::default() };
        let reset = segment_arrives(&ack, || true).0.unwrap();
        assert_eq!((reset.seq, reset.ack, reset.flags), (Seq(5000), Seq(0), Flags::RST));
        assert_eq!(reset.options.timestamps, Some(Timestamps { val: 0, ecr: 77 }));
    }

    #[test]
    fn beyond_the_limit_nothing_is_answered() {
        //= CLD-5
        let syn = Segment { flags: Flags::SYN, ..Segment::default() };
        assert_eq!(segment_arrives(&syn, || false), (None, DropReason::NoConnection));
    }

    #[test]
    fn a_reset_is_never_answered() {
        //= CLD-1
        //= X-8
        for flags in [Flags::RST, Flags::RST | Flags::ACK, Flags::RST | Flags::SYN] {
            let segment = Segment { flags, ..Segment::default() };
            let asked = || panic!("a reset is not even asked for");
            assert_eq!(segment_arrives(&segment, asked), (None, DropReason::RstNoConnection));
        }
    }
}
