//! The price of a random line of a table too large for any cache, fetched while others are on their way: what a loop pays
//! at least for each line of a connection that it has not seen for long, so that what many connections cost more can
//! be told in lines.

use std::hint::black_box;

use crate::base::cycles::Cycles;
use crate::base::pages;
use crate::base::prefetch::prefetch;

/// Bytes of a line.
const LINE: usize = 64;
/// Lines that are on their way at a time. Among 3 GB on huge pages 8 came to 49 to 56 cycles a line, 16 to 40 to 52, 32 to
/// 39 to 46, and 64 to no less; in bursts of 32, the next begun when the last is used up, it was a third more.
pub const AHEAD: usize = 32;
/// Lines of a round, a multiple of those, and rounds: short ones, so that most of them pass without anything else on the CPU.
const LINES: u64 = 20_000;
const ROUNDS: u64 = 201;

#[repr(align(64))]
struct Line([u64; LINE / 8]);

/// Lines that were all touched.
pub struct Arena(Vec<Line>);

impl Arena {
    /// Of so many bytes, on the pages of all large tables; at least a line.
    pub fn new(bytes: usize) -> Arena {
        Arena(pages::table((bytes / LINE).max(1), |n| Line([n as u64; LINE / 8])))
    }

    /// Its size.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.0[..])
    }

    /// TSC cycles a line, the median of all rounds.
    pub fn price(&self, clock: &Cycles) -> f64 {
        let mut cycles: Vec<f64> = (0..ROUNDS)
            .map(|round| {
                let begun = clock.now();
                black_box(self.fetch(round * LINES));
                clock.now().saturating_sub(begun) as f64 / LINES as f64
            })
            .collect();
        cycles.sort_by(f64::total_cmp);
        cycles.get(cycles.len() / 2).copied().unwrap_or(0.0)
    }

    /// Uses as many random lines as a round has, and asks for another one behind each.
    fn fetch(&self, first: u64) -> u64 {
        let mut waiting: [Option<&Line>; AHEAD] = std::array::from_fn(|n| self.ask(first + n as u64));
        let mut next = first + AHEAD as u64;
        let mut sum = 0u64;
        for _ in 0..LINES / AHEAD as u64 {
            // The oldest first.
            for line in &mut waiting {
                sum = sum.wrapping_add(line.map_or(0, |line| line.0[3]));
                *line = self.ask(next);
                next += 1;
            }
        }
        sum
    }

    /// Asks for the line of a number. Its place follows from the number alone: none waits for another line.
    fn ask(&self, number: u64) -> Option<&Line> {
        let line = self.0.get(self.place(number))?;
        prefetch(line);
        Some(line)
    }

    /// A place that jumps about with its number: the high bits of a hash of it (splitmix64), spread over all lines.
    fn place(&self, number: u64) -> usize {
        let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(mixed ^ (mixed >> 31)) * self.0.len() as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_all_over_the_arena_and_hardly_ever_the_same() {
        let arena = Arena::new(64 << 20);
        assert_eq!((arena.bytes(), arena.0.len()), (64 << 20, 1 << 20));
        let places: std::collections::HashSet<_> = (0..LINES).map(|number| arena.place(number)).collect();
        // Of so many drawn out of a million about one in a hundred comes again.
        assert!(places.len() as u64 > LINES * 97 / 100, "{}", places.len());
        let parts: std::collections::HashSet<_> = places.iter().map(|place| place >> 10).collect();
        assert_eq!(parts.len(), 1_024, "every part of it is visited");
        assert!(places.iter().all(|place| *place < arena.0.len()));
    }

    #[test]
    fn a_round_uses_the_lines_that_it_says() {
        let arena = Arena::new(1 << 20);
        let wanted = (100..100 + LINES).fold(0u64, |sum, number| sum + arena.place(number) as u64);
        assert_eq!(arena.fetch(100), wanted, "each line holds its number");
        assert!(Arena::new(0).price(&Cycles::start()) > 0.0, "a single line has a price too");
    }
}
