//! Segments to be sent, as values: what the header will say and which octets go with it. Bytes are laid out
//! elsewhere.

use crate::wire::seq::Seq;
use crate::wire::tcp::{Flags, Segment};
use crate::wire::tcp_options::{Options, Timestamps};

/// A segment to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SegmentOut {
    /// SEG.SEQ; also the number of the first octet of text.
    pub seq: Seq,
    /// SEG.ACK; 0 without the ACK bit.
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// The window field as it goes into the header.
    pub wnd: u16,
    /// The urgent pointer; 0 without the URG bit.
    pub up: u16,
    /// Octets of text, to be taken from the send queue at `seq`.
    pub text_len: u16,
    /// Octets of text of each packet that a device makes of this segment; 0 when it is one packet. The text is
    /// then more than one packet's, and new.
    pub cut: u16,
    /// The text was sent before.
    pub repeated: bool,
    /// The packet is larger than the path's MTU so far, to find out whether it arrives (PLPMTUD-1).
    pub path_probe: bool,
    /// The packet may be marked ECT(0) (ECN-3).
    pub ect: bool,
    /// Options.
    pub options: Options,
}

impl SegmentOut {
    /// Says no more what only a SYN says.
    #[inline]
    pub fn forget_syn(&mut self) {
        (self.options.mss, self.options.window_scale, self.options.sack_permitted) = (None, None, false);
    }
}

/// The reset that answers `segment` where there is no connection, or where the connection refuses it
/// (R-RST1, R-RST0). `None` for a reset: those are never answered.
pub fn reset_for(segment: &Segment) -> Option<SegmentOut> {
    if segment.flags.has(Flags::RST) {
        return None;
    }
    //= TS-11
    let timestamps = segment.options.timestamps.map(|ts| Timestamps { val: 0, ecr: ts.val });
    let options = Options { timestamps, ..Options::default() };
    let reset = if segment.flags.has(Flags::ACK) {
        SegmentOut { seq: segment.ack, flags: Flags::RST, options, ..SegmentOut::default() }
    } else {
        SegmentOut { ack: segment.end(), flags: Flags::RST | Flags::ACK, options, ..SegmentOut::default() }
    };
    Some(reset)
}
