//! What a wire may do to a frame: lose it, send it twice, flip a bit, delay it so that others overtake it.

use crate::base::rng::Rng;

/// Faults of one direction. All zero is a perfect wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// Frames lost, in parts per million.
    pub loss_ppm: u32,
    /// Frames that arrive twice, in parts per million.
    pub duplicate_ppm: u32,
    /// Frames with one bit flipped, in parts per million.
    pub corrupt_ppm: u32,
    /// Time on the wire, in microseconds.
    pub delay_us: u32,
    /// Up to so many microseconds more, chosen anew for each frame: frames overtake each other.
    pub jitter_us: u32,
    /// Frames on the wire at once; what comes on top is lost. 0 is no limit.
    pub capacity: usize,
}

/// What happens to one frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fate {
    /// Delays of its copies, in microseconds; none at all when it is lost.
    pub copies: [Option<u32>; 2],
    /// The bit to flip, counted modulo the frame's bits.
    pub flip: Option<u32>,
}

impl Faults {
    /// Draws one frame's fate.
    pub fn fate(&self, rng: &mut Rng) -> Fate {
        let lost = rng.chance_ppm(self.loss_ppm);
        let twice = rng.chance_ppm(self.duplicate_ppm);
        let flip = rng.chance_ppm(self.corrupt_ppm).then(|| rng.below(u32::MAX));
        let mut delay = || self.delay_us + rng.below(self.jitter_us.saturating_add(1));
        let first = delay();
        let second = delay();
        Fate { copies: [(!lost).then_some(first), (!lost && twice).then_some(second)], flip }
    }
}
