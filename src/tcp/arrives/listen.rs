//! A segment for a listener (RFC 9293 3.10.7.2; requirements 2.3). Decides only; creates nothing.

use crate::base::drop_reason::DropReason;
use crate::base::time::Instant;
use crate::tcp::segment::{SegmentOut, reset_for};
use crate::tcp::syn_cookie::GOOD_FOR_US;
use crate::wire::tcp::{Flags, Segment};

/// When SYN cookies are sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CookieMode {
    /// When the half-open queue is full, until it is half empty again (SYNC-1).
    #[default]
    Auto,
    /// For every SYN: for tests and measurements.
    Always,
    /// Never: a SYN that finds the queue full is dropped.
    Never,
}

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
    /// When SYN cookies are sent.
    pub cookies: CookieMode,
    /// The half-open queue was full and is not half empty yet.
    pub pressed: bool,
    /// When the last cookie was sent.
    pub cookie_sent: Option<Instant>,
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
    /// A SYN cookie is answered.
    Cookie,
    /// The acknowledgment may be that of a SYN cookie.
    Prove,
}

impl Listener {
    /// The listener's accept queue is full (LIS-9, SYR-10).
    pub fn is_full(&self) -> bool {
        self.waiting >= self.backlog
    }

    /// A SYN finds the half-open queue full; `others_full` says the same of all listeners together.
    fn press(&mut self, others_full: bool) -> bool {
        let full = self.half_open >= self.half_open_max || others_full;
        self.pressed = full || self.pressed && self.half_open > self.half_open_max / 2;
        full
    }

    /// Decides about a segment. `others_full`: the half-open queues of all listeners together are full.
    pub fn segment_arrives(&mut self, segment: &Segment, others_full: bool, now: Instant) -> Disposition {
        if segment.flags.has(Flags::RST) {
            //= LIS-1
            return Disposition::Ignore(DropReason::ListenRst);
        }
        if segment.flags.has(Flags::ACK) {
            return self.ack_arrives(segment, now);
        }
        if !segment.flags.has(Flags::SYN) {
            //= LIS-12
            return Disposition::Ignore(DropReason::ListenOther);
        }
        if self.is_full() {
            //= LIS-9
            return Disposition::Ignore(DropReason::AcceptQueueFull);
        }
        let full = self.press(others_full);
        match self.cookies {
            //= SYNC-1
            CookieMode::Always => Disposition::Cookie,
            CookieMode::Auto if self.pressed => Disposition::Cookie,
            //= LIS-8
            //= SYNQ-7
            CookieMode::Never if full => Disposition::Ignore(DropReason::SynQueueFull),
            //= LIS-4
            CookieMode::Auto | CookieMode::Never => Disposition::Open,
        }
    }

    /// An acknowledgment without a connection: a cookie's, while there can be any, or a stray one.
    fn ack_arrives(&self, segment: &Segment, now: Instant) -> Disposition {
        //= LIS-3
        //= SYNC-7
        let possible = self.cookie_sent.is_some_and(|at| now.since_us(at) < GOOD_FOR_US);
        if possible && !segment.flags.has(Flags::SYN) {
            return Disposition::Prove;
        }
        //= LIS-2
        reset_for(segment).map_or(Disposition::Ignore(DropReason::ListenAck), |reset| {
            Disposition::Reset(reset, DropReason::ListenAck)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::seq::Seq;

    const NOW: Instant = Instant(1_000_000_000);
    const ROOMY: Listener = Listener {
        half_open: 0,
        half_open_max: 8,
        waiting: 0,
        backlog: 4,
        open: true,
        cookies: CookieMode::Never,
        pressed: false,
        cookie_sent: None,
    };

    fn decides(mut listener: Listener, segment: &Segment) -> Disposition {
        listener.segment_arrives(segment, false, NOW)
    }

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
            assert_eq!(decides(ROOMY, &segment(flags)), expected, "{flags:?}");
        }
        for flags in [Flags::ACK, Flags::ACK | Flags::SYN, Flags::ACK | fin] {
            let found = decides(ROOMY, &segment(flags));
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
        assert_eq!(decides(half_open, &syn), Disposition::Ignore(DropReason::SynQueueFull));
        let waiting = Listener { waiting: 4, ..ROOMY };
        assert_eq!(decides(waiting, &syn), Disposition::Ignore(DropReason::AcceptQueueFull));
    }

    #[test]
    fn cookies_begin_when_the_queue_is_full_and_end_when_it_is_half_empty() {
        //= SYNC-1
        //= LIS-8
        let syn = segment(Flags::SYN);
        let mut listener = Listener { cookies: CookieMode::Auto, ..ROOMY };
        let mut with = |half_open| {
            listener.half_open = half_open;
            listener.segment_arrives(&syn, false, NOW)
        };
        let seen: Vec<_> = [7, 8, 7, 5, 4, 7].into_iter().map(&mut with).collect();
        use Disposition::{Cookie, Open};
        assert_eq!(seen, [Open, Cookie, Cookie, Cookie, Open, Open]);
        assert_eq!(Listener { cookies: CookieMode::Auto, ..ROOMY }.segment_arrives(&syn, true, NOW), Cookie);
        assert_eq!(decides(Listener { cookies: CookieMode::Always, ..ROOMY }, &syn), Cookie);
    }

    #[test]
    fn acknowledgments_are_tested_only_for_two_minutes_after_a_cookie() {
        //= LIS-3
        //= SYNC-7
        let ack = segment(Flags::ACK);
        let sent_at = |us| Listener { cookie_sent: Some(Instant(us)), ..ROOMY };
        assert_eq!(decides(sent_at(NOW.0 - 127_000_000), &ack), Disposition::Prove);
        for listener in [ROOMY, sent_at(NOW.0 - 128_000_000)] {
            assert!(matches!(decides(listener, &ack), Disposition::Reset(..)));
        }
        let syn_ack = segment(Flags::ACK | Flags::SYN);
        assert!(matches!(decides(sent_at(NOW.0), &syn_ack), Disposition::Reset(..)));
    }
}
