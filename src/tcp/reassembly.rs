//! Text that came before its turn (RFC 9293 3.10.7.4, SHLD-31): ranges above RCV.NXT with their octets, in order
//! and never overlapping. The octet received first wins (ATK-32). Bounded: a number of ranges, and the pool's
//! memory; what costs too much is not held, and the peer sends it again.

use arrayvec::ArrayVec;

use crate::base::bytes::{Pool, Queue};
use crate::wire::seq::Seq;
use crate::wire::tcp_options::SackBlocks;

/// Most ranges of one connection (ATK-13).
pub const RANGES_MAX: usize = 32;

#[derive(Clone, Copy, Debug)]
struct Range {
    start: Seq,
    octets: Queue,
    /// When it last grew or was sent again; the larger the later.
    touched: u32,
}

impl Range {
    fn end(&self) -> Seq {
        self.start + self.octets.len()
    }
}

/// What became of a segment that was to be held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Inserted {
    /// Octets that are held now and were not before.
    pub octets: u32,
    /// The first part of the segment that was held already.
    pub duplicate: Option<(Seq, Seq)>,
    /// Octets that found no place.
    pub refused: u32,
}

/// The ranges of one connection, and the peer's FIN if it came before its turn.
#[derive(Debug, Default)]
pub struct Reassembly {
    ranges: ArrayVec<Range, RANGES_MAX>,
    fin: Option<Seq>,
    clock: u32,
}

impl Reassembly {
    /// Nothing is held.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty() && self.fin.is_none()
    }

    /// Octets that are held.
    pub fn octets(&self) -> u32 {
        self.ranges.iter().map(|range| range.octets.len()).sum()
    }

    /// Pieces of the pool that are in use for it.
    pub fn pieces(&self, pool: &Pool) -> u32 {
        self.ranges.iter().map(|range| pool.pieces_in(&range.octets)).sum()
    }

    /// Remembers where the peer's FIN stands (COM-22).
    pub fn hold_fin(&mut self, at: Seq) {
        //= COM-22
        self.fin.get_or_insert(at);
    }

    /// The peer's FIN stands at `nxt`: everything before it has come.
    pub fn fin_is_at(&self, nxt: Seq) -> bool {
        self.fin == Some(nxt)
    }

    /// Holds the parts of `text` that are not held yet.
    pub fn insert(&mut self, pool: &mut Pool, seq: Seq, text: &[u8]) -> Inserted {
        //= SHLD-31
        //= COM-19
        //= X-5
        //= ATK-32
        let end = seq + text.len() as u32;
        let mut done = Inserted { octets: 0, duplicate: None, refused: 0 };
        let mut at = seq;
        while at.before(end) {
            let next = self.ranges.iter().position(|range| range.end().after(at));
            let (upto, held) = match next.and_then(|n| self.ranges.get(n)) {
                Some(range) if range.start.at_or_before(at) => (range.end().earlier(end), true),
                Some(range) => (range.start.earlier(end), false),
                None => (end, false),
            };
            if held {
                done.duplicate.get_or_insert((at, upto));
            } else {
                let place = next.unwrap_or(self.ranges.len());
                let piece = text.get(at.since(seq) as usize..upto.since(seq) as usize).unwrap_or_default();
                let taken = self.add(pool, place, at, piece);
                done.octets += taken;
                done.refused += piece.len() as u32 - taken;
            }
            at = upto;
        }
        self.coalesce(pool);
        self.touch(seq, end);
        done
    }

    /// Adds a piece at its place. All or nothing, so that ranges have no holes.
    fn add(&mut self, pool: &mut Pool, place: usize, start: Seq, piece: &[u8]) -> u32 {
        if pool.room() < piece.len() {
            return 0;
        }
        if let Some(before) = place.checked_sub(1).and_then(|n| self.ranges.get_mut(n))
            && before.end() == start
        {
            return pool.push(&mut before.octets, piece) as u32;
        }
        if self.ranges.is_full() && !self.drop_farthest(pool, place) {
            return 0;
        }
        let mut octets = Queue::default();
        let taken = pool.push(&mut octets, piece) as u32;
        self.ranges.insert(place.min(self.ranges.len()), Range { start, octets, touched: self.clock });
        taken
    }

    /// Makes room by giving up the range farthest from its turn, unless the new one would be that.
    fn drop_farthest(&mut self, pool: &mut Pool, place: usize) -> bool {
        //= ATK-13
        if place >= self.ranges.len() {
            return false;
        }
        if let Some(mut farthest) = self.ranges.pop() {
            pool.clear(&mut farthest.octets);
        }
        true
    }

    /// Joins ranges that touch.
    fn coalesce(&mut self, pool: &mut Pool) {
        let mut at = 1;
        while at < self.ranges.len() {
            let touches = match (self.ranges.get(at - 1), self.ranges.get(at)) {
                (Some(before), Some(range)) => before.end() == range.start,
                _ => false,
            };
            if !touches {
                at += 1;
                continue;
            }
            let mut range = self.ranges.remove(at);
            if let Some(before) = self.ranges.get_mut(at - 1) {
                pool.join(&mut before.octets, &mut range.octets);
                before.touched = before.touched.max(range.touched);
            }
        }
    }

    /// The range with the segment is the one to be reported first (SACK-4).
    fn touch(&mut self, seq: Seq, end: Seq) {
        self.clock = self.clock.wrapping_add(1);
        let clock = self.clock;
        let with = self.ranges.iter_mut().find(|range| range.start.before(end) && range.end().after(seq));
        if let Some(range) = with {
            range.touched = clock;
        }
    }

    /// Takes the octets whose turn it is, now that everything before `nxt` has come; what had come twice is cut.
    pub fn take(&mut self, pool: &mut Pool, nxt: Seq) -> Option<Queue> {
        while let Some(first) = self.ranges.first()
            && first.start.at_or_before(nxt)
        {
            let mut range = self.ranges.remove(0);
            pool.pop(&mut range.octets, nxt.since(range.start));
            if !range.octets.is_empty() {
                return Some(range.octets);
            }
        }
        None
    }

    /// The ranges, those touched last first (SACK-4, SACK-5).
    pub fn blocks(&self, blocks: &mut SackBlocks) {
        //= SACK-3
        //= SACK-4
        //= SACK-5
        let mut before = u32::MAX;
        for _ in 0..SackBlocks::MAX {
            let older = self.ranges.iter().filter(|range| range.touched < before);
            let Some(range) = older.max_by_key(|range| range.touched) else { return };
            before = range.touched;
            blocks.push(range.start, range.end());
        }
    }

    /// Gives everything up.
    pub fn clear(&mut self, pool: &mut Pool) {
        for range in &mut self.ranges {
            pool.clear(&mut range.octets);
        }
        self.ranges.clear();
        self.fin = None;
    }
}

#[cfg(test)]
#[path = "reassembly/tests.rs"]
mod tests;
