//! The receive window: what is offered, and that it is never taken back (RFC 9293 3.8.6, RFC 7323 2).

use super::config::Config;
use crate::wire::seq::Seq;

/// Largest shift (WS-5).
pub const SHIFT_MAX: u8 = 14;

/// The smallest shift with which the whole buffer can be offered (WS-8).
pub fn shift_for(buffer: u32) -> u8 {
    //= WS-8
    let bits = u32::BITS - buffer.leading_zeros();
    (bits.saturating_sub(u16::BITS) as u8).min(SHIFT_MAX)
}

/// The shift that we offer with this buffer (Rcv.Wind.Shift).
pub fn shift_of(buffer: u32, cfg: &Config) -> u8 {
    //= WS-5
    cfg.window_shift.map_or_else(|| shift_for(buffer), |shift| shift.min(SHIFT_MAX))
}

/// As much of a buffer as a window can offer, and at least as much as it can say.
pub fn within(buffer: u32, shift: u8) -> u32 {
    buffer.clamp(1 << shift, 0xffff << shift)
}

/// What a segment offers: the field for the header, and the right edge that the peer then knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Offer {
    /// The window field, scaled.
    pub field: u16,
    /// The number after the last octet that the peer may send.
    pub edge: Seq,
}

/// Offers `free` octets beyond `nxt`, given the edge offered before.
///
/// The edge moves only by `threshold` or more (SWS-4, SWS-5) and never back (SHLD-14). Rounding up keeps it
/// where it was, at the cost of fewer than 2^shift octets beyond the buffer (WS-11).
pub fn offer(nxt: Seq, edge: Seq, free: u32, threshold: u32, shift: u8) -> Offer {
    let offered = edge.since(nxt);
    let wanted = if free.saturating_sub(offered) >= threshold.max(1) { free } else { offered };
    //= WS-4
    let mut field = (wanted >> shift).min(0xffff);
    //= WS-11
    if field << shift < offered && field < 0xffff {
        field += 1;
    }
    Offer { field: field as u16, edge: edge.later(nxt + (field << shift)) }
}

/// The least move of the edge that is worth telling (SWS-4): min(buffer / 2, MSS).
pub fn threshold(buffer: u32, mss: u32) -> u32 {
    //= MUST-39
    (buffer / 2).min(mss)
}

/// The four-case acceptability test of RFC 9293 3.10.7.4, after trimming: a segment that covers the whole
/// window is accepted too (requirements 5.7).
pub fn acceptable(seq: Seq, len: u32, nxt: Seq, wnd: u32) -> bool {
    match (len, wnd) {
        (0, 0) => seq == nxt,
        (0, _) => seq.is_in(nxt, wnd),
        (_, 0) => false,
        _ => seq.is_in(nxt, wnd) || (nxt.since(seq) < len && seq.before(nxt)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shift_is_the_smallest_that_fits() {
        //= WS-8
        //= VEC-WS-2
        let rows = [
            (65_535, 0, 65_535),
            (65_536, 1, 32_768),
            (262_144, 3, 32_768),
            (1_048_576, 5, 32_768),
            (6_291_456, 7, 49_152),
            (16_777_216, 9, 32_768),
            (1_073_741_823, 14, 65_535),
        ];
        for (buffer, shift, field) in rows {
            assert_eq!((shift_for(buffer), buffer >> shift), (shift, field));
        }
    }

    #[test]
    fn a_shift_that_was_chosen_bounds_what_is_offered() {
        //= WS-5
        let chosen = |shift| Config { window_shift: shift, ..Config::default() };
        for (shift, offered) in [(None, 3), (Some(0), 0), (Some(7), 7), (Some(14), 14), (Some(99), 14)] {
            assert_eq!(shift_of(262_144, &chosen(shift)), offered);
        }
        assert_eq!([0, 2, 3, 14].map(|shift| within(262_144, shift)), [65_535, 262_140, 262_144, 262_144]);
        assert_eq!([0, 8, 14].map(|shift| within(1_000, shift)), [1_000, 1_000, 16_384]);
        assert_eq!(within(0, 0), 1);
    }

    #[test]
    fn an_offer_is_never_taken_back() {
        //= SHLD-14
        //= WS-9
        //= WS-11
        //= VEC-WS-3
        // Shift 7, free space up to 1300 all the time.
        let first = offer(Seq(1000), Seq(1000), 300, 1, 7);
        assert_eq!(first, Offer { field: 2, edge: Seq(1256) });
        let second = offer(Seq(1040), first.edge, 260, 1, 7);
        assert_eq!(second, Offer { field: 2, edge: Seq(1296) });
        let third = offer(Seq(1045), second.edge, 255, 1, 7);
        assert_eq!(third, Offer { field: 2, edge: Seq(1301) });
    }

    #[test]
    fn small_moves_are_not_offered() {
        //= MUST-39
        //= SWS-4
        //= SWS-5
        //= VEC-SWS-1
        for (buffer, mss, least) in [(16_384, 1460, 1460), (2_000, 1460, 1000), (65_536, 8960, 8960)] {
            assert_eq!(threshold(buffer, mss), least);
        }
        let closed = offer(Seq(1000), Seq(1000), 1459, 1460, 0);
        assert_eq!(closed, Offer { field: 0, edge: Seq(1000) });
        let open = offer(Seq(1000), Seq(1000), 1460, 1460, 0);
        assert_eq!(open, Offer { field: 1460, edge: Seq(2460) });
    }

    #[test]
    fn acceptability_follows_the_vectors() {
        //= COM-4
        //= VEC-ACC-1..3
        // (950,500) covers the window and is accepted after trimming.
        type Segments = &'static [(u32, u32)];
        let table: &[(u32, u32, Segments, Segments)] = &[
            (
                1000,
                100,
                &[(1000, 0), (1099, 0), (1099, 1), (999, 2), (900, 101), (1050, 200), (950, 500)],
                &[(1100, 0), (999, 0), (999, 1), (900, 100), (1100, 1)],
            ),
            (1000, 0, &[(1000, 0)], &[(1000, 1), (1001, 0), (999, 0), (999, 1)]),
            (
                0xffff_ffc0,
                0x80,
                &[(0xffff_ffc0, 0), (0x3f, 0), (0x3f, 1), (0x3f, 1000), (0xffff_ffbf, 2)],
                &[(0x40, 0), (0xffff_ffbf, 0)],
            ),
        ];
        for (nxt, wnd, accepted, refused) in table {
            for (seq, len) in *accepted {
                assert!(acceptable(Seq(*seq), *len, Seq(*nxt), *wnd), "{nxt:x} {wnd} {seq:x} {len}");
            }
            for (seq, len) in *refused {
                assert!(!acceptable(Seq(*seq), *len, Seq(*nxt), *wnd), "{nxt:x} {wnd} {seq:x} {len}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn the_right_edge_is_monotone(
            shift in 0u8..15, steps in proptest::collection::vec((0u32..5000, 0u32..300_000), 1..50)
        ) {
            //= TRN-14
            let mut nxt = Seq(0xffff_f000);
            let mut edge = nxt;
            for (arrived, free) in steps {
                nxt += arrived.min(edge.since(nxt));
                let o = offer(nxt, edge, free, 1460, shift);
                assert!(!o.edge.before(edge));
                assert!(nxt + (u32::from(o.field) << shift) == o.edge || o.field == 0xffff, "what the peer sees is what we accept");
                edge = o.edge;
            }
        }
    }
}
