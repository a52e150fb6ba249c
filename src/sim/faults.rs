//! What a wire may do to a frame: lose it, alone or with its neighbours, send it twice, flip a bit, delay it so
//! that others overtake it, make it queue for its turn; and when it does nothing at all.

use crate::base::rng::Rng;
use crate::base::time::Instant;

/// Faults of one direction. All zero is a perfect wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// Frames lost independently of each other, in parts per million.
    pub loss_ppm: u32,
    /// Frames with which a burst of losses begins, in parts per million (the good state of Gilbert's model).
    pub burst_ppm: u32,
    /// Mean length of a burst of losses, in frames; 0 and 1 are a single one.
    pub burst_frames: u32,
    /// Frames that arrive twice, in parts per million.
    pub duplicate_ppm: u32,
    /// Frames with one bit flipped, in parts per million.
    pub corrupt_ppm: u32,
    /// Time on the wire, in microseconds.
    pub delay_us: u32,
    /// Up to so many microseconds more, chosen anew for each frame: frames overtake each other.
    pub jitter_us: u32,
    /// Frames that are held back, in parts per million, so that those behind overtake them.
    pub reorder_ppm: u32,
    /// For how many microseconds they are.
    pub reorder_us: u32,
    /// Frames on the wire at once; what comes on top is lost. 0 is no limit.
    pub capacity: usize,
    /// The largest packet that gets through, in bytes without the Ethernet header. 0 is no limit.
    pub mtu: u16,
    /// Whoever sends a larger one is told so by ICMP, as by a router.
    pub tells_mtu: bool,
    /// Bits a second that the wire takes; 0 is no limit. Frames wait for their turn.
    pub bits_per_s: u64,
    /// The longest wait for a turn, in microseconds; a frame that would wait longer is lost (tail drop).
    pub queue_us: u32,
    /// When nothing gets through.
    pub outages: Spells,
    /// When nothing comes out, but is held until the spell is over.
    pub holds: Spells,
    /// When the sender's pool has no frame.
    pub shortages: Spells,
    /// When the sender's ring takes no frame.
    pub stalls: Spells,
}

/// Spells that come again and again: one of `for_us` at the end of each period of `every_us` microseconds.
/// All zero is never.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spells {
    /// From the beginning of one spell to that of the next, in microseconds.
    pub every_us: u32,
    /// How long each lasts, in microseconds.
    pub for_us: u32,
}

impl Spells {
    /// A spell lasts at `now`.
    pub fn are_on(self, now: Instant) -> bool {
        self.last_until(now).is_some()
    }

    /// The end of the spell that lasts at `now`.
    pub fn last_until(self, now: Instant) -> Option<Instant> {
        let every = u64::from(self.every_us);
        let at = now.micros().checked_rem(every)?;
        (at + u64::from(self.for_us) >= every).then_some(Instant(now.micros() - at + every))
    }
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
        let mut first = delay();
        let second = delay();
        if self.reorder_ppm > 0 && rng.chance_ppm(self.reorder_ppm) {
            first += self.reorder_us;
        }
        Fate { copies: [(!lost).then_some(first), (!lost && twice).then_some(second)], flip }
    }

    /// Whether a burst of losses goes on or begins with the next frame.
    pub(super) fn is_in_burst(&self, was: bool, rng: &mut Rng) -> bool {
        match (self.burst_ppm, was) {
            (0, _) => false,
            (ppm, false) => rng.chance_ppm(ppm),
            (_, true) => !rng.chance_ppm(1_000_000 / self.burst_frames.max(1)),
        }
    }

    /// How long the wire is busy with a frame of `bytes` bytes, in microseconds.
    pub(super) fn busy_us(&self, bytes: usize) -> u64 {
        (bytes as u64 * 8_000_000).checked_div(self.bits_per_s).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_come_at_the_end_of_each_period() {
        let spells = Spells { every_us: 100, for_us: 10 };
        let on: Vec<_> = (0..300).filter(|us| spells.are_on(Instant(*us))).collect();
        let expected: Vec<_> = [90..100, 190..200, 290..300].into_iter().flatten().collect();
        assert_eq!(on, expected);
        assert!(!Spells::default().are_on(Instant(0)));
        assert_eq!(spells.last_until(Instant(195)), Some(Instant(200)));
    }

    #[test]
    fn bursts_have_their_mean_length_and_frequency() {
        let faults = Faults { burst_ppm: 10_000, burst_frames: 5, ..Faults::default() };
        let mut rng = Rng::new(1);
        let (mut lost, mut bursts, mut bad) = (0u32, 0u32, false);
        for _ in 0..1_000_000 {
            let next = faults.is_in_burst(bad, &mut rng);
            bursts += u32::from(next && !bad);
            lost += u32::from(next);
            bad = next;
        }
        let mean = f64::from(lost) / f64::from(bursts);
        assert!((4.8..5.2).contains(&mean), "{mean}");
        assert!((9_000..10_500).contains(&bursts), "{bursts}");
    }
}
