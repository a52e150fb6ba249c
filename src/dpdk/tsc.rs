//! The clock of the loops: the CPU's time stamp counter, turned into microseconds by one multiplication. The
//! counters of all cores run together on any machine that DPDK is worth running on (invariant TSC), so one
//! clock is copied to all loops and their times agree.

use crate::base::time::Instant;

use super::eal::Eal;

/// A clock. Copies are the same clock and may be read on any core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TscClock {
    /// The counter at the clock's origin.
    origin: u64,
    /// Microseconds per cycle, times 2^64.
    scale: u64,
    hz: u64,
}

impl TscClock {
    /// A clock whose origin is now.
    pub fn new(_eal: &Eal) -> TscClock {
        // SAFETY: EAL is started, which has measured the counter's frequency.
        let hz = unsafe { dpdk_sys::dt_tsc_hz() };
        TscClock::with(cycles(), hz)
    }

    /// A clock for a counter of `hz` cycles a second. Counters of less than 1 MHz are taken for 1 MHz.
    const fn with(origin: u64, hz: u64) -> TscClock {
        let hz = if hz > 1_000_000 { hz } else { 1_000_001 };
        // Below 2^64 since hz is above 10^6. Rounded up, so that whole seconds do not fall short of themselves;
        // the clock is fast by less than hz / 10^6 / 2^64, which is a microsecond in more than 10,000 years.
        let scale = (1_000_000u128 << 64).div_ceil(hz as u128) as u64;
        TscClock { origin, scale, hz }
    }

    /// The time now. Never runs backwards on one core.
    pub fn now(&self) -> Instant {
        self.at(cycles())
    }

    /// The time at which the counter stood at `cycles`; the origin for counts before it.
    pub const fn at(&self, cycles: u64) -> Instant {
        Instant(self.to_us(cycles.saturating_sub(self.origin)))
    }

    /// A number of cycles in microseconds, rounded down.
    pub const fn to_us(&self, cycles: u64) -> u64 {
        ((cycles as u128 * self.scale as u128) >> 64) as u64
    }

    /// Cycles a second.
    pub const fn hz(&self) -> u64 {
        self.hz
    }
}

/// The time stamp counter.
pub fn cycles() -> u64 {
    // SAFETY: reads a register of the CPU.
    unsafe { dpdk_sys::dt_rdtsc() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR_S: u64 = 365 * 86_400;

    #[test]
    fn the_clock_is_exact_for_years() {
        for hz in [1_000_001, 1_700_000_000, 2_699_999_573, 2_700_000_000, 5_123_456_789] {
            let clock = TscClock::with(77, hz);
            for seconds in [0, 1, 60, 86_400, YEAR_S, 30 * YEAR_S] {
                assert_eq!(clock.at(77 + hz * seconds), Instant(seconds * 1_000_000), "{hz} Hz, {seconds} s");
            }
            for cycles in [1, 2_699, 2_700, 123_456_789, hz - 1, hz * YEAR_S + 4_321] {
                let exact = (u128::from(cycles) * 1_000_000 / u128::from(hz)) as u64;
                let shown = clock.to_us(cycles);
                assert!(shown == exact || shown == exact + 1, "{cycles} at {hz} Hz: {shown}, not {exact}");
            }
        }
    }

    #[test]
    fn time_never_runs_backwards() {
        let clock = TscClock::with(1_000, 2_700_000_000);
        assert_eq!(clock.at(0), Instant::ZERO);
        let times: Vec<_> = (0..100_000u64).map(|step| clock.at(900 + step * 13)).collect();
        assert!(times.is_sorted());
    }
}
