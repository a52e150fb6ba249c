//! The blocks that a queue of records is made of, in order: how many records each has, which come next to it, and
//! which are free. Knows nothing of the records themselves.

use crate::base::pages::{self, Table};
use crate::base::time::Tick;

/// Places of a block.
pub(super) const BLOCK: u32 = 64;
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Block {
    older: u32,
    /// The next block of the queue, or the next free one.
    newer: u32,
    /// What deadlines in it count from.
    base: Tick,
    records: u32,
}

const _: () = assert!(size_of::<Block>() == 16);

/// A queue of one block or more, and free ones.
pub(super) struct Blocks {
    blocks: Table<Block>,
    oldest: u32,
    newest: u32,
    free: u32,
    /// No record of the oldest block stands before this place of it.
    first: u32,
    /// The first place of the newest block that was not given out yet.
    next: u32,
}

impl Blocks {
    /// A queue of one empty block, and all others free.
    pub fn new(count: u32) -> Self {
        let block = |at: usize| {
            let newer = if at == 0 || at + 1 == count as usize { NONE } else { at as u32 + 1 };
            Block { older: NONE, newer, base: Tick(0), records: 0 }
        };
        let free = if count > 1 { 1 } else { NONE };
        Blocks { blocks: pages::table(count as usize, block), oldest: 0, newest: 0, free, first: 0, next: 0 }
    }

    /// Bytes of memory for so many blocks.
    pub const fn memory(count: u32) -> usize {
        count as usize * size_of::<Block>()
    }

    fn get(&self, block: u32) -> Option<&Block> {
        self.blocks.get(block as usize)
    }

    fn get_mut(&mut self, block: u32) -> Option<&mut Block> {
        self.blocks.get_mut(block as usize)
    }

    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// The block in which the queue begins, and the place in it before which no record stands.
    pub fn front(&self) -> (u32, u32) {
        (self.oldest, self.first)
    }

    /// No record of the oldest block stands before this place any more.
    pub fn set_first(&mut self, place: u32) {
        self.first = place;
    }

    /// The block behind one in the queue.
    pub fn newer(&self, block: u32) -> Option<u32> {
        self.get(block).map(|found| found.newer).filter(|newer| *newer != NONE)
    }

    /// What deadlines in a block count from; nothing yet in an empty one.
    pub fn base(&self, block: u32) -> Option<Tick> {
        self.get(block).filter(|found| found.records > 0).map(|found| found.base)
    }

    /// Every place of the newest block was given out.
    pub fn last_is_full(&self) -> bool {
        self.next == BLOCK
    }

    /// Gives out a place at the end, for a record that is due at `at`; `None` if the newest block has none left.
    pub fn take_place(&mut self, at: Tick) -> Option<u32> {
        let (newest, place) = (self.newest, self.next);
        if place == BLOCK {
            return None;
        }
        let block = self.get_mut(newest)?;
        if block.records == 0 {
            block.base = at;
        }
        block.records += 1;
        self.next += 1;
        Some(newest * BLOCK + place)
    }

    /// A free block becomes the newest; false when there is none.
    pub fn begin(&mut self) -> bool {
        let (begun, before) = (self.free, self.newest);
        let Some(block) = self.get_mut(begun) else { return false };
        let free = block.newer;
        *block = Block { older: before, newer: NONE, base: Tick(0), records: 0 };
        if let Some(block) = self.get_mut(before) {
            block.newer = begun;
        }
        (self.free, self.newest, self.next) = (free, begun, 0);
        true
    }

    /// A record left a block, which ends if that was its last one.
    pub fn leave(&mut self, block: u32) {
        let Some(found) = self.get_mut(block) else { return };
        found.records -= 1;
        if found.records == 0 {
            self.end(block);
        }
    }

    /// An empty block leaves the queue; the newest stays, and begins anew.
    fn end(&mut self, block: u32) {
        if block == self.oldest {
            self.first = 0;
        }
        if block == self.newest {
            self.next = 0;
            return;
        }
        let free = self.free;
        let Some(found) = self.get_mut(block) else { return };
        let Block { older, newer, .. } =
            std::mem::replace(found, Block { older: NONE, newer: free, base: Tick(0), records: 0 });
        self.free = block;
        match self.get_mut(older) {
            Some(found) => found.newer = newer,
            None => self.oldest = newer,
        }
        if let Some(found) = self.get_mut(newer) {
            found.older = older;
        }
    }

    /// A block with each of those next to it, the older of both first, if together they have no more records than one can
    /// hold. The first of the queue is none of them, since it empties by itself, and neither is the last, which fills.
    pub fn joinable(&self, block: u32) -> [Option<(u32, u32)>; 2] {
        let between = |block: u32| block != self.oldest && block != self.newest;
        let records = |block: u32| self.get(block).filter(|_| between(block)).map(|found| found.records);
        let fit = |(a, b): &(u32, u32)| records(*a).zip(records(*b)).is_some_and(|(a, b)| a + b <= BLOCK);
        let (older, newer) = self.get(block).map_or((NONE, NONE), |found| (found.older, found.newer));
        [(older, block), (block, newer)].map(|pair| Some(pair).filter(fit))
    }

    /// All records of `from` are in `into` now, and their deadlines count from `base`.
    pub fn joined(&mut self, into: u32, from: u32, base: Tick) {
        let moved = self.get_mut(from).map_or(0, |found| std::mem::take(&mut found.records));
        if let Some(found) = self.get_mut(into) {
            found.records += moved;
            found.base = base;
        }
        self.end(from);
    }

    /// The rules that hold between any two calls, for tests: what each block has, and that neighbours are joined.
    #[cfg(test)]
    pub fn check(&self, records_in: impl Fn(u32) -> u32, may_join: impl Fn(u32, u32) -> bool) {
        let order: Vec<_> = std::iter::successors(Some(self.oldest), |block| self.newer(*block)).collect();
        assert_eq!(order.last(), Some(&self.newest));
        for (at, block) in order.iter().enumerate() {
            let found = self.get(*block).unwrap();
            assert_eq!(found.records, records_in(*block), "records of block {block} of {order:?}");
            assert!(found.records > 0 || *block == self.newest, "an empty block ends");
            assert_eq!(found.older, if at == 0 { NONE } else { order[at - 1] });
            let apart = self.joinable(*block).into_iter().flatten().all(|(a, b)| !may_join(a, b));
            assert!(apart, "neighbours that fit into one are joined");
        }
        let free =
            std::iter::successors(Some(self.free).filter(|free| *free != NONE), |block| self.newer(*block));
        assert_eq!(
            order.len() + free.inspect(|block| assert_eq!(records_in(*block), 0)).count(),
            self.blocks.len()
        );
    }
}
