//! Points in time as the stack sees them: microseconds of a monotonic clock, and the millisecond ticks that
//! timers are kept in. No clock is read here; `now` is always an argument (law 6).

use std::time::Duration;

/// A point on the monotonic clock, in microseconds since an origin that is common to all cores.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Hash)]
pub struct Instant(pub u64);

impl Instant {
    /// The clock's origin.
    pub const ZERO: Instant = Instant(0);

    /// The instant `ms` milliseconds after the origin.
    pub const fn from_millis(ms: u64) -> Self {
        Instant(ms * 1_000)
    }

    /// Microseconds since the origin.
    pub const fn micros(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the origin, rounded down.
    pub const fn millis(self) -> u64 {
        self.0 / 1_000
    }

    /// The timer tick that contains this instant (1 ms, RTO-14). Wraps after 49.7 days.
    pub const fn tick(self) -> Tick {
        Tick((self.0 / 1_000) as u32)
    }

    /// Time passed since `earlier`, in microseconds; 0 if `earlier` is later.
    pub const fn since_us(self, earlier: Instant) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::ops::Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, delay: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX)))
    }
}

/// A millisecond of the monotonic clock modulo 2^32. Compared serially, so delays must stay below 24.8 days.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Tick(pub u32);

impl Tick {
    /// The tick by which a delay of `ms` milliseconds that starts within `now` has surely passed: never
    /// early, late by at most one tick (RTO-14).
    pub const fn after_ms(now: Instant, ms: u32) -> Tick {
        Tick(((now.0 + ms as u64 * 1_000).div_ceil(1_000)) as u32)
    }

    /// True when this tick is strictly before `other`.
    pub const fn before(self, other: Tick) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// True when a timer set to this tick is due at `now`.
    pub const fn is_due(self, now: Tick) -> bool {
        !now.before(self)
    }

    /// Milliseconds from `earlier` to this tick; negative differences count as zero.
    pub const fn since(self, earlier: Tick) -> u32 {
        if self.before(earlier) { 0 } else { self.0.wrapping_sub(earlier.0) }
    }

    /// This tick moved by `ms` milliseconds.
    pub const fn plus(self, ms: u32) -> Tick {
        Tick(self.0.wrapping_add(ms))
    }

    /// The earlier of two optional ticks.
    pub const fn earliest(a: Option<Tick>, b: Option<Tick>) -> Option<Tick> {
        match (a, b) {
            (Some(x), Some(y)) => Some(if y.before(x) { y } else { x }),
            (Some(x), None) => Some(x),
            (None, y) => y,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_never_early_and_late_by_at_most_a_tick() {
        for us in [0, 1, 999, 1_000, 1_001, 123_456] {
            let now = Instant(us);
            for ms in [0, 1, 40, 1_000] {
                let due_us = u64::from(Tick::after_ms(now, ms).0) * 1_000;
                let exact = us + u64::from(ms) * 1_000;
                assert!(due_us >= exact && due_us < exact + 1_000, "{us} + {ms} ms is due at {due_us}");
            }
        }
    }

    #[test]
    fn ticks_compare_across_the_wrap() {
        let late = Tick(u32::MAX - 1);
        let wrapped = late.plus(10);
        assert!(late.before(wrapped) && !wrapped.before(late));
        assert_eq!(wrapped.since(late), 10);
        assert_eq!(late.since(wrapped), 0);
        assert_eq!(Tick::earliest(Some(wrapped), Some(late)), Some(late));
    }
}
