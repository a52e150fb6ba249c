//! The clock of the loops: the CPU's time stamp counter, turned into microseconds by one multiplication. One
//! clock is copied to all loops, so that their times agree.

use crate::base::cycles::Scale;
use crate::base::time::Instant;

use super::eal::Eal;

/// A clock. Copies are the same clock and may be read on any core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TscClock {
    scale: Scale,
}

impl TscClock {
    /// A clock whose origin is now.
    pub fn new(_eal: &Eal) -> TscClock {
        // SAFETY: EAL is started, which has measured the counter's frequency.
        let hz = unsafe { dpdk_sys::dt_tsc_hz() };
        TscClock { scale: Scale::new(cycles(), hz) }
    }

    /// The time now. Never runs backwards on one core.
    pub fn now(&self) -> Instant {
        self.at(cycles())
    }

    /// The time at which the counter stood at `cycles`; the origin for counts before it.
    pub const fn at(&self, cycles: u64) -> Instant {
        self.scale.at(cycles)
    }

    /// A number of cycles in microseconds, rounded down.
    pub const fn to_us(&self, cycles: u64) -> u64 {
        self.scale.to_us(cycles)
    }

    /// A number of cycles in nanoseconds, rounded down.
    pub const fn to_ns(&self, cycles: u64) -> u64 {
        self.scale.to_ns(cycles)
    }

    /// Cycles a second.
    pub const fn hz(&self) -> u64 {
        self.scale.hz()
    }

    /// What cycles are in time.
    pub const fn scale(&self) -> Scale {
        self.scale
    }
}

/// The time stamp counter.
pub fn cycles() -> u64 {
    // SAFETY: reads a register of the CPU.
    unsafe { dpdk_sys::dt_rdtsc() }
}
