//! What is in flight, as runs of octets that share a fate: when they were sent, whether once or again, whether the
//! peer has them, whether they are taken for lost (RFC 2018 5, RFC 8985 5.2). Bounded: what does not fit makes the
//! record coarser, never wrong. Times become later, and marks of the peer's are forgotten, which are advice.

use std::ops::Range;

use arrayvec::ArrayVec;

use crate::wire::seq::Seq;

/// Runs that a scoreboard tells apart. A hole takes two, and a window's worth of sending some thirty (see
/// [`Scoreboard::append`]), so that this is enough for some fifty holes.
pub const RUNS: usize = 128;

/// Runs that SACK blocks leave free for what is sent.
const SPARE: usize = 8;

/// The octets from the end of the run before to `end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    end: Seq,
    sent_us: u32,
    marks: u8,
}

const SACKED: u8 = 1;
const LOST: u8 = 2;
const REPEATED: u8 = 4;

impl Run {
    const fn has(&self, marks: u8) -> bool {
        self.marks & marks != 0
    }
}

/// Octets with one fate: a run, or a part of one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The first octet.
    pub start: Seq,
    /// The number after the last octet.
    pub end: Seq,
    /// When it was sent last, in microseconds modulo 2^32.
    pub sent_us: u32,
    /// It was sent more than once.
    pub repeated: bool,
}

impl Piece {
    /// Octets.
    pub fn len(&self) -> u32 {
        self.end.since(self.start)
    }

    /// There are no octets.
    pub fn is_empty(&self) -> bool {
        self.end == self.start
    }
}

/// The scoreboard of one connection.
#[derive(Clone, Debug, Default)]
pub struct Scoreboard {
    start: Seq,
    runs: ArrayVec<Run, RUNS>,
    sacked: u32,
    lost: u32,
}

impl Scoreboard {
    /// Forgets everything; what is sent next begins at `start`.
    pub fn reset(&mut self, start: Seq) {
        self.start = start;
        self.runs.clear();
        self.sacked = 0;
        self.lost = 0;
    }

    /// Octets that the peer said it has.
    pub fn sacked(&self) -> u32 {
        self.sacked
    }

    /// Octets taken for lost and not sent again since.
    pub fn lost(&self) -> u32 {
        self.lost
    }

    /// The number after the last octet sent.
    pub fn end(&self) -> Seq {
        self.runs.last().map_or(self.start, |run| run.end)
    }

    /// Octets that are believed to be on their way: neither delivered nor lost (SR-3).
    pub fn pipe(&self) -> u32 {
        //= SR-3
        self.end().since(self.start).saturating_sub(self.sacked + self.lost)
    }

    /// The oldest octet is one that the peer said it had: it has thrown it away since (SACK-9).
    pub fn is_reneged(&self) -> bool {
        self.runs.first().is_some_and(|run| run.has(SACKED))
    }

    /// New octets up to `end` leave now. Those that left in the same `quantum_us` share a run.
    pub fn append(&mut self, end: Seq, now_us: u32, quantum_us: u32) {
        let quantum = quantum_us.max(1);
        if let Some(last) = self.runs.last_mut()
            && last.marks == 0
            && last.sent_us / quantum == now_us / quantum
        {
            last.end = end;
            last.sent_us = now_us;
            return;
        }
        self.make_room(1, true);
        let _ = self.runs.try_push(Run { end, sent_us: now_us, marks: 0 });
    }

    /// `[from, to)` leaves again now.
    pub fn sent_again(&mut self, from: Seq, to: Seq, now_us: u32) {
        self.make_room(2, true);
        let range = self.range(from, to);
        let first = range.start;
        for at in range {
            let len = self.piece(at).len();
            if let Some(run) = self.runs.get_mut(at) {
                self.lost -= if run.has(LOST) { len } else { 0 };
                run.marks = (run.marks & SACKED) | REPEATED;
                run.sent_us = now_us;
            }
        }
        self.join_around(first);
    }

    /// Everything before `una` is acknowledged. Tells `each` what was not known to be delivered before, in
    /// order, and returns how many octets that is.
    pub fn acknowledge(&mut self, una: Seq, mut each: impl FnMut(Piece)) -> u32 {
        let (mut delivered, mut gone) = (0, 0);
        let mut start = self.start;
        for run in &self.runs {
            if !start.before(una) {
                break;
            }
            let piece =
                Piece { start, end: run.end.earlier(una), sent_us: run.sent_us, repeated: run.has(REPEATED) };
            if run.has(SACKED) {
                self.sacked -= piece.len();
            } else {
                self.lost -= if run.has(LOST) { piece.len() } else { 0 };
                delivered += piece.len();
                each(piece);
            }
            gone += usize::from(run.end.at_or_before(una));
            start = run.end;
        }
        self.runs.drain(..gone);
        self.start = self.start.later(una);
        delivered
    }

    /// The peer has `[left, right)`. Tells `each` what was not known to be delivered before, in order, and
    /// returns how many octets that is.
    pub fn sack(&mut self, left: Seq, right: Seq, mut each: impl FnMut(Piece)) -> u32 {
        //= SACK-11
        let (left, right) = (left.later(self.start), right.earlier(self.end()));
        if !left.before(right) || !self.make_room(2 + SPARE, false) {
            return 0;
        }
        let range = self.range(left, right);
        let first = range.start;
        let mut delivered = 0;
        for at in range {
            let piece = self.piece(at);
            if let Some(run) = self.runs.get_mut(at).filter(|run| !run.has(SACKED)) {
                self.lost -= if run.has(LOST) { piece.len() } else { 0 };
                self.sacked += piece.len();
                run.marks = (run.marks & REPEATED) | SACKED;
                delivered += piece.len();
                each(piece);
            }
        }
        self.join_around(first);
        delivered
    }

    /// Takes for lost what the peer has not, has not been taken for lost before, and `is_lost`. Returns how
    /// many octets that is, and whether any of them had been sent again.
    pub fn lose(&mut self, mut is_lost: impl FnMut(Piece) -> bool) -> Loss {
        let mut loss = Loss::default();
        for at in 0..self.runs.len() {
            let piece = self.piece(at);
            let Some(run) = self.runs.get_mut(at) else { break };
            if !run.has(SACKED | LOST) && is_lost(piece) {
                run.marks |= LOST;
                self.lost += piece.len();
                loss.octets += piece.len();
                loss.repeated |= piece.repeated;
            }
        }
        loss
    }

    /// Takes the first `octets` of what is in flight for lost.
    pub fn lose_first(&mut self, octets: u32) -> Loss {
        self.make_room(2, true);
        let to = self.start + octets;
        let _ = self.range(self.start, to);
        self.lose(|piece| piece.start.before(to))
    }

    /// Takes `[from, to)` for lost, as far as the peer has it not.
    pub fn lose_range(&mut self, from: Seq, to: Seq) -> Loss {
        self.make_room(2, true);
        let _ = self.range(from, to);
        self.lose(|piece| piece.start.at_or_after(from) && piece.start.before(to))
    }

    /// Nothing is lost after all.
    pub fn nothing_lost(&mut self) {
        self.lost = 0;
        self.runs.iter_mut().for_each(|run| run.marks &= !LOST);
    }

    /// The peer has nothing above the first hole after all.
    pub fn nothing_sacked(&mut self) {
        self.sacked = 0;
        self.runs.iter_mut().for_each(|run| run.marks &= !SACKED);
    }

    /// The first octets taken for lost.
    pub fn first_lost(&self) -> Option<Piece> {
        if self.lost == 0 {
            return None;
        }
        let at = self.runs.iter().position(|run| run.has(LOST))?;
        Some(self.piece(at))
    }

    /// The run in which `seq` lies.
    pub fn around(&self, seq: Seq) -> Option<Piece> {
        let at = self.runs.partition_point(|run| run.end.at_or_before(seq));
        (at < self.runs.len()).then(|| self.piece(at))
    }

    /// Run number `at`; nothing beyond the last one.
    fn piece(&self, at: usize) -> Piece {
        let start =
            at.checked_sub(1).and_then(|before| self.runs.get(before)).map_or(self.start, |run| run.end);
        let run = self.runs.get(at).copied().unwrap_or(Run { end: start, sent_us: 0, marks: 0 });
        Piece { start, end: run.end, sent_us: run.sent_us, repeated: run.has(REPEATED) }
    }

    /// The runs that make up `[from, to)`, cut out for it. There must be room for two more.
    fn range(&mut self, from: Seq, to: Seq) -> Range<usize> {
        let (from, to) = (from.later(self.start), to.earlier(self.end()));
        if !from.before(to) {
            return 0..0;
        }
        self.cut(from)..self.cut(to)
    }

    /// Lets a run begin at `seq`, and says which.
    fn cut(&mut self, seq: Seq) -> usize {
        let at = self.runs.partition_point(|run| run.end.at_or_before(seq));
        let piece = self.piece(at);
        if piece.is_empty() || piece.start == seq {
            return at;
        }
        if let Some(run) = self.runs.get(at).copied() {
            let _ = self.runs.try_insert(at, Run { end: seq, ..run });
        }
        at + 1
    }

    /// Joins delivered runs from `at` on, and with the one before: their times do not matter any more. Joins
    /// others that are alike in all.
    fn join_around(&mut self, at: usize) {
        let mut at = at.saturating_sub(1);
        for _ in 0..4 {
            let (Some(one), Some(next)) = (self.runs.get(at), self.runs.get(at + 1)) else { return };
            let alike = one.marks == next.marks && (one.has(SACKED) || one.sent_us == next.sent_us);
            if alike || (one.has(SACKED) && next.has(SACKED)) {
                self.join(at);
            } else {
                at += 1;
            }
        }
    }

    /// Makes one run of two neighbours. It has the marks that both have, and the later time.
    fn join(&mut self, at: usize) {
        let (one, next) = (self.piece(at), self.piece(at + 1));
        if at + 1 >= self.runs.len() {
            return;
        }
        let gone = self.runs.remove(at);
        if let Some(run) = self.runs.get_mut(at) {
            let lost =
                if gone.has(LOST) { one.len() } else { 0 } + if run.has(LOST) { next.len() } else { 0 };
            let sacked =
                if gone.has(SACKED) { one.len() } else { 0 } + if run.has(SACKED) { next.len() } else { 0 };
            let repeated = (gone.marks | run.marks) & REPEATED;
            run.marks = (gone.marks & run.marks) | repeated;
            if is_later(gone.sent_us, run.sent_us) {
                run.sent_us = gone.sent_us;
            }
            let len = one.len() + next.len();
            self.lost = self.lost - lost + if run.has(LOST) { len } else { 0 };
            self.sacked = self.sacked - sacked + if run.has(SACKED) { len } else { 0 };
        }
    }

    /// Sees to it that `wanted` more runs fit, by joining those that differ least. Unless `force`d, only such
    /// as have the same marks.
    fn make_room(&mut self, wanted: usize, force: bool) -> bool {
        while RUNS - self.runs.len() < wanted {
            let pairs = self.runs.windows(2).enumerate();
            let alike = pairs
                .filter_map(|(at, pair)| match pair {
                    [one, next] if one.marks == next.marks => {
                        let gap = next.sent_us.wrapping_sub(one.sent_us);
                        Some((gap.min(gap.wrapping_neg()), at))
                    }
                    _ => None,
                })
                .min();
            let shortest = || (0..self.runs.len() - 1).min_by_key(|at| self.piece(*at).len());
            match alike.map(|(_, at)| at).or_else(|| if force { shortest() } else { None }) {
                Some(at) => self.join(at),
                None => return false,
            }
        }
        true
    }

    /// What no event may ever break; for tests.
    ///
    /// # Errors
    /// The name of the broken rule.
    pub fn invariants(&self) -> Result<(), &'static str> {
        let sum = |mark: u8| -> u32 {
            (0..self.runs.len())
                .filter(|at| self.runs.get(*at).is_some_and(|run| run.has(mark)))
                .map(|at| self.piece(at).len())
                .sum()
        };
        let rules = [
            (sum(SACKED) == self.sacked, "delivered octets are counted"),
            (sum(LOST) == self.lost, "lost octets are counted"),
            (!self.runs.iter().any(|run| run.has(SACKED) && run.has(LOST)), "what is delivered is not lost"),
            ((0..self.runs.len()).all(|at| !self.piece(at).is_empty()), "no run is empty"),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(rule))
    }
}

/// What [`Scoreboard::lose`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Loss {
    /// Octets newly taken for lost.
    pub octets: u32,
    /// Some of them had been sent again already.
    pub repeated: bool,
}

/// `a` is later than `b`, both in microseconds modulo 2^32.
pub fn is_later(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

#[cfg(test)]
mod tests;
