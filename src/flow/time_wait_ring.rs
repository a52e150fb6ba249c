//! Connections in TIME-WAIT: compact records in the order in which they expire. All wait equally long, so a
//! queue is enough; one that starts again (TMW-3) goes to its end. When there is no room the oldest goes before
//! its time, and how early is remembered (LIM-7).
//!
//! A record has no links to its neighbours: the queue is one of blocks, in which records stand in order. One that is
//! taken out before its time leaves a hole, and two blocks between the first and the last that together have no more
//! records than one can hold become one. So of any two neighbours between those more than half of the places are used,
//! whatever the order in which records go; where they go in order no place is lost. Each joining moves no more records
//! than a block has, and ends a block that as many entries began: for each record added, at most one is moved.
//! A deadline is kept as its distance from its block's first; a block ends where that would be more than 16 seconds.

use std::marker::PhantomData;

use arrayvec::ArrayVec;

use super::key::Key;
use crate::base::ids::LocalIdx;
use crate::base::pages::{self, Table};
use crate::base::prefetch::prefetch_at;
use crate::base::time::Tick;

mod blocks;

use blocks::{BLOCK, Blocks};

/// What the protocol remembers of a connection: three words, and one of three kinds.
pub trait Rest: Copy {
    /// As words and a kind below 3.
    fn pack(self) -> ([u32; 3], u8);
    /// From what [`Rest::pack`] made.
    fn unpack(words: [u32; 3], kind: u8) -> Self;
}

/// One connection in TIME-WAIT.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Record<R> {
    /// The endpoints.
    pub key: Key,
    /// What the protocol remembers.
    pub rest: R,
    /// When it may go.
    pub deadline: Tick,
}

/// A record as it is kept.
#[derive(Clone, Copy)]
#[repr(C)]
struct Cell {
    remote: u32,
    words: [u32; 3],
    remote_port: u16,
    local_port: u16,
    local: u16,
    /// The kind in the two highest bits, below them the deadline in milliseconds behind what the block's count from.
    when: u16,
}

const _: () = assert!(size_of::<Cell>() == 24);

const DELTA_BITS: u32 = 14;
const DELTA_MAX: u32 = (1 << DELTA_BITS) - 1;
/// Blocks that may stand side by side and not be full because their deadlines together are too far apart: two for each
/// time that a block can count, in a wait of an hour.
const APART: u32 = 2 * 3_600_000 / DELTA_MAX;
/// The kind of no record.
const HOLE: Cell =
    Cell { remote: 0, words: [0; 3], remote_port: 0, local_port: 0, local: 0, when: 3 << DELTA_BITS };

impl Cell {
    fn is_hole(&self) -> bool {
        self.when >> DELTA_BITS == 3
    }
}

/// All connections of a shard that are in TIME-WAIT.
pub struct TimeWaitRing<R> {
    cells: Table<Cell>,
    blocks: Blocks,
    len: u32,
    capacity: u32,
    rest: PhantomData<R>,
}

impl<R: Rest> TimeWaitRing<R> {
    /// Room for `capacity` records.
    pub fn new(capacity: u32) -> Self {
        let places = Self::places_for(capacity);
        TimeWaitRing {
            cells: pages::table(places as usize, |_| HOLE),
            blocks: Blocks::new(places / BLOCK),
            len: 0,
            capacity,
            rest: PhantomData,
        }
    }

    /// Records have numbers below this. The first block and the last are partly empty, and so may those be between
    /// which time goes on too far.
    pub fn places_for(capacity: u32) -> u32 {
        (capacity.div_ceil(BLOCK) + 2 + capacity.min(APART)) * BLOCK
    }

    /// Bytes of memory for so many records.
    pub fn memory(capacity: u32) -> usize {
        let places = Self::places_for(capacity);
        places as usize * size_of::<Cell>() + Blocks::memory(places / BLOCK)
    }

    /// Bytes for each of many records.
    pub const fn record_bytes() -> f64 {
        size_of::<Cell>() as f64 + Blocks::memory(1) as f64 / BLOCK as f64
    }

    /// Records now.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// There is no record.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a record at the end of the queue. `moved` is told of records that get another number thereby: their keys,
    /// the old numbers and the new ones.
    ///
    /// # Errors
    /// There is no room; make some by removing the oldest, more than one if need be.
    pub fn push(
        &mut self,
        key: Key,
        rest: R,
        deadline: Tick,
        moved: impl FnMut(&Key, u32, u32),
    ) -> Result<u32, R> {
        let begins = self.blocks.last_is_full() || self.delta(self.blocks.newest(), deadline).is_none();
        if self.len >= self.capacity || begins && !self.begin_block(moved) {
            return Err(rest);
        }
        let Some(index) = self.blocks.take_place(deadline) else { return Err(rest) };
        let delta = self.delta(index / BLOCK, deadline).unwrap_or(DELTA_MAX);
        let (words, kind) = rest.pack();
        let Some(cell) = self.cells.get_mut(index as usize) else { return Err(rest) };
        *cell = Cell {
            remote: key.remote,
            words,
            remote_port: key.remote_port,
            local_port: key.local_port,
            local: key.local.0,
            when: u16::from(kind) << DELTA_BITS | delta as u16,
        };
        self.len += 1;
        Ok(index)
    }

    /// Opens a block at the end; the one that was the last stands between others now.
    fn begin_block(&mut self, moved: impl FnMut(&Key, u32, u32)) -> bool {
        let before = self.blocks.newest();
        let begun = self.blocks.begin();
        if begun {
            self.join(before, moved);
        }
        begun
    }

    /// How far a deadline is behind what a block's deadlines count from; `None` if it is too far. One that is before
    /// that is put off until then: who came before it has to go first.
    fn delta(&self, block: u32, at: Tick) -> Option<u32> {
        let Some(base) = self.blocks.base(block) else { return Some(0) };
        Some(at.since(base)).filter(|delta| *delta <= DELTA_MAX)
    }

    fn deadline_of(&self, index: u32, cell: &Cell) -> Tick {
        self.blocks.base(index / BLOCK).unwrap_or_default().plus(u32::from(cell.when) & DELTA_MAX)
    }

    /// Asks for the lines that a record stands in.
    #[inline]
    pub fn prefetch(&self, index: u32) {
        if let Some(cell) = self.cells.get(index as usize) {
            prefetch_at(cell, 0);
            prefetch_at(cell, size_of::<Cell>());
        }
    }

    /// A record.
    #[inline]
    pub fn get(&self, index: u32) -> Option<Record<R>> {
        let cell = self.cells.get(index as usize).filter(|cell| !cell.is_hole())?;
        Some(Record {
            key: key_of(cell),
            rest: R::unpack(cell.words, (cell.when >> DELTA_BITS) as u8),
            deadline: self.deadline_of(index, cell),
        })
    }

    /// A record with this number has this key.
    #[inline]
    pub fn holds(&self, index: u32, key: &Key) -> bool {
        self.cells.get(index as usize).is_some_and(|cell| !cell.is_hole() && key_of(cell) == *key)
    }

    /// The records that are due, the oldest first: their numbers and endpoints.
    pub fn due(&self, now: Tick) -> impl Iterator<Item = (u32, Key)> {
        self.cells()
            .take_while(move |(base, (_, cell))| base.plus(u32::from(cell.when) & DELTA_MAX).is_due(now))
            .map(|(_, (index, cell))| (index, key_of(cell)))
    }

    /// All records, the oldest first, each with its number.
    pub fn records(&self) -> impl Iterator<Item = (u32, Record<R>)> {
        self.cells().filter_map(|(_, (index, _))| self.get(index).map(|record| (index, record)))
    }

    /// The places of all records, the oldest first, with what their deadlines count from and their numbers.
    fn cells(&self) -> impl Iterator<Item = (Tick, (u32, &Cell))> {
        let front = Some(self.blocks.front()).filter(|_| !self.is_empty());
        let parts =
            std::iter::successors(front, |(block, _)| self.blocks.newer(*block).map(|next| (next, 0)));
        parts.flat_map(|(block, place)| {
            let (begin, end) = (block * BLOCK + place, (block + 1) * BLOCK);
            let base = self.blocks.base(block).unwrap_or_default();
            let cells = self.cells.get(begin as usize..end as usize).unwrap_or_default();
            (begin..end).zip(cells).filter(|(_, cell)| !cell.is_hole()).map(move |found| (base, found))
        })
    }

    /// The number of the oldest record.
    pub fn oldest(&self) -> Option<u32> {
        self.cells().next().map(|(_, (index, _))| index)
    }

    /// When the next record is due.
    pub fn deadline(&self) -> Option<Tick> {
        self.oldest().and_then(|index| self.get(index)).map(|record| record.deadline)
    }

    /// Removes a record; `moved` as for [`TimeWaitRing::push`]. No other moves where the oldest goes.
    pub fn remove(&mut self, index: u32, moved: impl FnMut(&Key, u32, u32)) -> Option<Record<R>> {
        let record = self.get(index)?;
        self.forget(index, moved);
        Some(record)
    }

    /// As [`TimeWaitRing::remove`], where nobody asks what the record was.
    pub fn forget(&mut self, index: u32, moved: impl FnMut(&Key, u32, u32)) {
        let Some(cell) = self.cells.get_mut(index as usize).filter(|cell| !cell.is_hole()) else { return };
        *cell = HOLE;
        self.len -= 1;
        let block = index / BLOCK;
        let first = block == self.blocks.front().0;
        self.blocks.leave(block);
        if !first {
            // The first block empties by itself.
            return self.join(block, moved);
        }
        if let Some(oldest) = self.oldest().filter(|oldest| oldest / BLOCK == self.blocks.front().0) {
            self.blocks.set_first(oldest % BLOCK);
        }
    }

    /// Joins a block with the one before it or the one behind it, if one of them has room for both.
    fn join(&mut self, block: u32, mut moved: impl FnMut(&Key, u32, u32)) {
        let mut pairs = self.blocks.joinable(block).into_iter().flatten();
        pairs.find(|(into, from)| self.join_two(*into, *from, &mut moved));
    }

    /// Joins two neighbours; false when their deadlines together are too far apart.
    fn join_two(&mut self, into: u32, from: u32, moved: &mut impl FnMut(&Key, u32, u32)) -> bool {
        let records: ArrayVec<(u32, Cell, Tick), { BLOCK as usize }> = [into, from]
            .into_iter()
            .flat_map(|block| block * BLOCK..(block + 1) * BLOCK)
            .filter_map(|index| self.cells.get(index as usize).map(|cell| (index, *cell)))
            .filter(|(_, cell)| !cell.is_hole())
            .map(|(index, cell)| (index, cell, self.deadline_of(index, &cell)))
            .take(BLOCK as usize)
            .collect();
        let Some((_, _, base)) = records.first().copied() else { return false };
        if records.iter().any(|(_, _, at)| at.since(base) > DELTA_MAX) {
            return false;
        }
        for (to, (index, cell, at)) in (into * BLOCK..).zip(&records) {
            if let Some(old) = self.cells.get_mut(*index as usize) {
                *old = HOLE;
            }
            if let Some(new) = self.cells.get_mut(to as usize) {
                *new = Cell { when: cell.when & !(DELTA_MAX as u16) | at.since(base) as u16, ..*cell };
            }
            if *index != to {
                moved(&key_of(cell), *index, to);
            }
        }
        self.blocks.joined(into, from, base);
        true
    }
}

fn key_of(cell: &Cell) -> Key {
    Key {
        remote: cell.remote,
        remote_port: cell.remote_port,
        local_port: cell.local_port,
        local: LocalIdx(cell.local),
    }
}

#[cfg(test)]
mod tests;
