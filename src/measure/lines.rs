//! The price of a random line of a table too large for any cache, fetched while others are on their way: what a loop pays
//! at least for each line of a connection that it has not seen for long, so that what many connections cost more can
//! be told in lines.

use std::hint::black_box;

use crate::base::cycles::Cycles;
use crate::base::pages::{self, Table};
use crate::base::prefetch::prefetch;
use crate::base::rng::Rng;

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
pub struct Lines(Table<Line>);

impl Lines {
    /// Of so many bytes, on the pages of all large tables; at least a line.
    pub fn new(bytes: usize) -> Lines {
        Lines(pages::table((bytes / LINE).max(1), |n| Line([n as u64; LINE / 8])))
    }

    /// Its size.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.0[..])
    }

    /// TSC cycles a line, the median of all rounds.
    pub fn price(&self, clock: &Cycles) -> f64 {
        let mut rng = Rng::new(1);
        let mut cycles: Vec<f64> = (0..ROUNDS)
            .map(|_| {
                let begun = clock.now();
                black_box(self.fetch(&mut rng));
                clock.now().saturating_sub(begun) as f64 / LINES as f64
            })
            .collect();
        cycles.sort_by(f64::total_cmp);
        cycles.get(cycles.len() / 2).copied().unwrap_or(0.0)
    }

    /// Uses as many random lines as a round has, and asks for another one behind each.
    fn fetch(&self, rng: &mut Rng) -> u64 {
        let mut waiting: [Option<&Line>; AHEAD] = std::array::from_fn(|_| self.ask(rng));
        let mut sum = 0u64;
        for _ in 0..LINES / AHEAD as u64 {
            // The oldest first.
            for line in &mut waiting {
                sum = sum.wrapping_add(line.map_or(0, |line| line.0[3]));
                *line = self.ask(rng);
            }
        }
        sum
    }

    /// Asks for any line. Its place follows from the number of those before it alone: none waits for another line.
    fn ask(&self, rng: &mut Rng) -> Option<&Line> {
        let line = self.0.get(rng.below(self.0.len() as u32) as usize)?;
        prefetch(line);
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_uses_the_lines_that_it_says() {
        let lines = Lines::new(1 << 20);
        assert_eq!((lines.bytes(), lines.0.len()), (1 << 20, 1 << 14));
        let mut again = Rng::new(7);
        let wanted = (0..LINES).fold(0, |sum, _| sum + u64::from(again.below(1 << 14)));
        assert_eq!(lines.fetch(&mut Rng::new(7)), wanted, "each line holds its number");
        assert!(Lines::new(0).price(&Cycles::start()) > 0.0, "a single line has a price too");
    }
}
