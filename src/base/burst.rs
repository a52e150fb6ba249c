//! What one call moves: a short, fixed array of things that costs no allocation.

use arrayvec::ArrayVec;

/// Most frames that one call can move. The number actually asked for is a setting (`--burst`).
pub const BURST_MAX: usize = 64;

/// Up to [`BURST_MAX`] things in order.
pub type Burst<T> = ArrayVec<T, BURST_MAX>;
