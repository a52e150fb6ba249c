//! Sequence numbers: 32 bits that wrap. They have no order, only "before" and "after" (SEQ-1), and are never
//! compared as plain integers. Two numbers exactly 2^31 apart are neither before nor after each other.

use std::ops::{Add, AddAssign, Sub};

const HALF: u32 = 1 << 31;

/// A sequence or acknowledgment number (RFC 9293 3.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
#[repr(transparent)]
pub struct Seq(pub u32);

impl Seq {
    /// Strictly before `other`.
    pub const fn before(self, other: Seq) -> bool {
        let distance = other.0.wrapping_sub(self.0);
        distance != 0 && distance < HALF
    }

    /// Strictly after `other`.
    pub const fn after(self, other: Seq) -> bool {
        other.before(self)
    }

    /// Equal to or before `other`.
    pub const fn at_or_before(self, other: Seq) -> bool {
        other.0.wrapping_sub(self.0) < HALF
    }

    /// Equal to or after `other`.
    pub const fn at_or_after(self, other: Seq) -> bool {
        other.at_or_before(self)
    }

    /// Octets from `earlier` up to this number, modulo 2^32.
    pub const fn since(self, earlier: Seq) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Inside `[left, left + len)` (SEQ-2).
    pub const fn is_in(self, left: Seq, len: u32) -> bool {
        self.since(left) < len
    }

    /// The later of two numbers.
    #[must_use]
    pub const fn later(self, other: Seq) -> Seq {
        if self.before(other) { other } else { self }
    }

    /// The earlier of two numbers.
    #[must_use]
    pub const fn earlier(self, other: Seq) -> Seq {
        if other.before(self) { other } else { self }
    }
}

impl Add<u32> for Seq {
    type Output = Seq;

    fn add(self, octets: u32) -> Seq {
        Seq(self.0.wrapping_add(octets))
    }
}

impl AddAssign<u32> for Seq {
    fn add_assign(&mut self, octets: u32) {
        *self = *self + octets;
    }
}

impl Sub<u32> for Seq {
    type Output = Seq;

    fn sub(self, octets: u32) -> Seq {
        Seq(self.0.wrapping_sub(octets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows: a, b, a before b, b before a.
    #[test]
    fn comparison_is_serial() {
        //= SEQ-1
        //= VEC-SEQ-1..9
        let rows = [
            (0x0000_0000, 0x0000_0001, true, false),
            (0xffff_ffff, 0x0000_0000, true, false),
            (0xffff_fff0, 0x0000_0010, true, false),
            (0x0000_0000, 0x7fff_ffff, true, false),
            (0x8000_0000, 0xffff_ffff, true, false),
            (0x0000_0000, 0x8000_0001, false, true),
            (0x0000_0005, 0x0000_0005, false, false),
            (0x0000_0000, 0x8000_0000, false, false),
            (0x7fff_ffff, 0xffff_ffff, false, false),
        ];
        for (a, b, before, after) in rows {
            let (a, b) = (Seq(a), Seq(b));
            assert_eq!((a.before(b), b.before(a)), (before, after), "{a:?} {b:?}");
            assert_eq!((b.after(a), a.after(b)), (before, after), "{a:?} {b:?}");
        }
    }

    #[test]
    fn a_window_is_tested_by_distance() {
        //= SEQ-2
        let left = Seq(0xffff_ffc0);
        assert!(left.is_in(left, 1) && Seq(0x3f).is_in(left, 0x80));
        assert!(!Seq(0x40).is_in(left, 0x80) && !(left - 1).is_in(left, 0x80) && !left.is_in(left, 0));
    }
}
