//! Work that is undone again: entries leave something and come back to it, a block of them at a time, and both are
//! timed. What leaves comes back much later, so that it is as cold as it would be.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Entries of a block: enough that a look at the clock costs nothing.
const BLOCK: u32 = 250;
/// Blocks that are out at a time, where there are enough: their lines fill any L2.
const OUT: u32 = 128;
/// From one entry to the next: no divisor in common with the numbers of entries, so that all come before one comes
/// again.
const STRIDE: u64 = 7_919;

/// Which of `all` entries are out.
pub struct Blocks {
    all: u32,
    at: u64,
    out: VecDeque<Vec<u32>>,
}

impl Blocks {
    /// None is.
    pub fn new(all: u32) -> Blocks {
        Blocks { all, at: 0, out: VecDeque::new() }
    }

    /// The time that `leave` takes, and that `come` takes, for `count` entries; whole blocks are done.
    pub fn in_turn<T>(
        &mut self,
        on: &mut T,
        count: u64,
        leave: impl Fn(&mut T, u32),
        mut come: impl FnMut(&mut T, u32),
    ) -> [Duration; 2] {
        let out = OUT.min(self.all / BLOCK / 2) as usize;
        while self.out.len() < out {
            let block = self.next();
            block.iter().for_each(|n| leave(on, *n));
            self.out.push_back(block);
        }
        let mut spent = [Duration::ZERO; 2];
        let blocks = count.div_ceil(BLOCK.into());
        for _ in 0..blocks {
            let (leaving, coming) = (self.next(), self.out.pop_front().unwrap());
            let begun = Instant::now();
            leaving.iter().for_each(|n| leave(on, *n));
            let between = Instant::now();
            coming.iter().for_each(|n| come(on, *n));
            spent[0] += between - begun;
            spent[1] += between.elapsed();
            self.out.push_back(leaving);
        }
        spent.map(|spent| spent.mul_f64(count as f64 / (blocks * u64::from(BLOCK)) as f64))
    }

    /// Brings back all that are out.
    pub fn back<T>(&mut self, on: &mut T, mut come: impl FnMut(&mut T, u32)) {
        self.out.drain(..).flatten().for_each(|n| come(on, n));
    }

    fn next(&mut self) -> Vec<u32> {
        let block = self.at..self.at + u64::from(BLOCK);
        self.at = block.end;
        block.map(|n| (n * STRIDE % u64::from(self.all)) as u32).collect()
    }
}
