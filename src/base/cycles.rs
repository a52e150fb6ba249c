//! The CPU's cycle counter: the arithmetic of a clock that is made of one, and a counter that needs no device. The
//! counters of all cores run together on any machine worth measuring on (invariant TSC), so that copies of one
//! clock agree wherever they are read.

use quanta::Clock;

use super::time::Instant;

/// Bits behind the point of [`Scale::per_ns`]: a thousand nanoseconds a cycle, the most there are, just fit.
const NS_BITS: u32 = 54;

/// What a counter's cycles are in time. Pure: the counter is an argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scale {
    /// The counter at the clock's origin.
    origin: u64,
    /// Microseconds per cycle, times 2^64.
    per_us: u64,
    /// Nanoseconds per cycle, times 2^54.
    per_ns: u64,
    hz: u64,
}

impl Scale {
    /// For a counter of `hz` cycles a second that stands at `origin` when the clock begins. Counters of less than
    /// 1 MHz are taken for 1 MHz.
    pub const fn new(origin: u64, hz: u64) -> Scale {
        let hz = if hz > 1_000_000 { hz } else { 1_000_001 };
        // Both fit since hz is above 10^6, and both are rounded up, so that whole seconds do not fall short of
        // themselves. Microseconds are fast by less than hz / 10^6 / 2^64: one in more than 10,000 years;
        // nanoseconds by less than one in 2^54 cycles, which are 41 days of 5 GHz.
        let per_us = (1_000_000u128 << 64).div_ceil(hz as u128) as u64;
        let per_ns = (1_000_000_000u128 << NS_BITS).div_ceil(hz as u128) as u64;
        Scale { origin, per_us, per_ns, hz }
    }

    /// The time at which the counter stood at `cycles`; the origin for counts before it.
    pub const fn at(&self, cycles: u64) -> Instant {
        Instant(self.to_us(cycles.saturating_sub(self.origin)))
    }

    /// A number of cycles in microseconds, rounded down.
    pub const fn to_us(&self, cycles: u64) -> u64 {
        ((cycles as u128 * self.per_us as u128) >> 64) as u64
    }

    /// A number of cycles in nanoseconds, rounded down.
    pub const fn to_ns(&self, cycles: u64) -> u64 {
        ((cycles as u128 * self.per_ns as u128) >> NS_BITS) as u64
    }

    /// Cycles a second.
    pub const fn hz(&self) -> u64 {
        self.hz
    }
}

/// The CPU's counter, for loops without DPDK. Where the machine has none that can be relied on, it counts the
/// nanoseconds of the system's monotonic clock, and [`Cycles::hz`] is 10^9.
#[derive(Clone, Debug)]
pub struct Cycles {
    counter: Clock,
    scale: Scale,
}

impl Cycles {
    /// Starts a clock whose origin is now. The first in a process measures the counter against the system's
    /// clock, which takes at most 200 ms. Clocks that are to agree are clones of one.
    pub fn start() -> Cycles {
        /// Some minutes: long enough for the quotient, and no counter's whole range.
        const SPAN: u64 = 1 << 40;
        let counter = Clock::new();
        let span_ns = counter.delta_as_nanos(0, SPAN).max(1);
        let hz = u128::from(SPAN) * 1_000_000_000 / u128::from(span_ns);
        let scale = Scale::new(counter.raw(), u64::try_from(hz).unwrap_or(u64::MAX));
        Cycles { counter, scale }
    }

    /// The counter now. Never runs backwards on one core.
    #[inline]
    pub fn now(&self) -> u64 {
        self.counter.raw()
    }

    /// The time now.
    #[inline]
    pub fn instant(&self) -> Instant {
        self.scale.at(self.now())
    }

    /// Cycles a second.
    pub fn hz(&self) -> u64 {
        self.scale.hz()
    }

    /// What cycles are in time.
    pub fn scale(&self) -> Scale {
        self.scale
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const YEAR_S: u64 = 365 * 86_400;
    const RATES: [u64; 6] =
        [1_000_001, 1_000_000_000, 1_700_000_000, 2_699_999_573, 2_700_000_000, 5_123_456_789];

    #[test]
    fn the_clock_is_exact_for_years() {
        for hz in RATES {
            let scale = Scale::new(77, hz);
            for seconds in [0, 1, 60, 86_400, YEAR_S, 30 * YEAR_S] {
                assert_eq!(scale.at(77 + hz * seconds), Instant(seconds * 1_000_000), "{hz} Hz, {seconds} s");
            }
            for cycles in [1, 2_699, 2_700, 123_456_789, hz - 1, hz * YEAR_S + 4_321] {
                let exact = (u128::from(cycles) * 1_000_000 / u128::from(hz)) as u64;
                let shown = scale.to_us(cycles);
                assert!(shown == exact || shown == exact + 1, "{cycles} at {hz} Hz: {shown}, not {exact}");
            }
        }
    }

    #[test]
    fn nanoseconds_are_exact_for_weeks() {
        for hz in RATES {
            let scale = Scale::new(0, hz);
            for seconds in [0, 1, 60, 86_400, 30 * 86_400] {
                assert_eq!(scale.to_ns(hz * seconds), seconds * 1_000_000_000, "{hz} Hz, {seconds} s");
            }
            for cycles in [1, 3, 2_699, 2_700, 123_456_789, hz - 1, hz * 40 * 86_400 + 4_321] {
                let exact = (u128::from(cycles) * 1_000_000_000 / u128::from(hz)) as u64;
                let shown = scale.to_ns(cycles);
                assert!(shown == exact || shown == exact + 1, "{cycles} at {hz} Hz: {shown}, not {exact}");
            }
        }
    }

    #[test]
    fn a_counter_that_is_too_slow_is_taken_for_one_megahertz() {
        for hz in [0, 1, 1_000_000] {
            assert_eq!(Scale::new(5, hz), Scale::new(5, 1_000_001));
        }
    }

    #[test]
    fn time_never_runs_backwards() {
        let scale = Scale::new(1_000, 2_700_000_000);
        assert_eq!(scale.at(0), Instant::ZERO);
        let times: Vec<_> = (0..100_000u64).map(|step| scale.at(900 + step * 13)).collect();
        assert!(times.is_sorted());
    }

    #[test]
    fn the_counter_agrees_with_the_systems_clock() {
        let cycles = Cycles::start();
        let counts: Vec<_> = (0..1_000).map(|_| cycles.now()).collect();
        assert!(counts.is_sorted());
        let (system, from) = (std::time::Instant::now(), cycles.now());
        std::thread::sleep(Duration::from_millis(100));
        let (passed, counted) = (system.elapsed().as_nanos() as f64, cycles.now() - from);
        let shown = cycles.scale().to_ns(counted) as f64;
        assert!((shown / passed - 1.0).abs() < 0.03, "{shown} ns counted, {passed} ns passed");
        let (a, b) = (cycles.instant(), cycles.clone().instant());
        assert!(a <= b && a.micros() >= 100_000, "clones have one origin");
    }
}
