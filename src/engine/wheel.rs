//! Timers of a shard: a hierarchical wheel of four levels (Varghese and Lauck 1987), the lowest with 1,024 slots, so that
//! most timers, which are within a second, change their level seldom, and the others with 256. One tick a millisecond, and
//! one entry per connection at its earliest deadline. An entry that moves later stays where it is and is looked at again
//! when it expires.

use crate::base::pages::{self, Table};
use crate::base::prefetch::prefetch;
use crate::base::time::Tick;

const NONE: u32 = u32::MAX;
/// What stands behind an entry that is not armed.
const IDLE: u32 = u32::MAX - 1;
const LEVELS: usize = 4;
/// Slots of the lowest level, and of each other one; the bits of a tick that they tell apart.
const LOWEST: usize = 1 << LOWEST_BITS;
const SLOTS: usize = 1 << BITS;
const LOWEST_BITS: u32 = 10;
const BITS: u32 = 8;
/// How far ahead entries are asked for that are to be looked at. Each names the next, so that they could not be fetched
/// one after the other while others are worked on.
const AHEAD: usize = 8;

/// The lowest bit of a tick that a level tells apart.
const fn shift(level: usize) -> u32 {
    if level == 0 { 0 } else { LOWEST_BITS + BITS * (level as u32 - 1) }
}

/// The slot of a level that a tick belongs to.
const fn slot_of(level: usize, at: Tick) -> usize {
    let at = (at.0 >> shift(level)) as usize;
    if level == 0 { at % LOWEST } else { LOWEST + (level - 1) * SLOTS + at % SLOTS }
}

/// In which list an entry is need not be kept: it follows from its time and the current one, see [`Wheel::list_of`].
#[derive(Clone, Copy)]
struct Node {
    /// The next entry of the list; `IDLE` when the entry is in none.
    next: u32,
    prev: u32,
    at: Tick,
    /// The entry that was linked [`AHEAD`] entries before this one: most likely it comes so many behind it, and can be
    /// asked for when this one goes. Only a hint.
    ahead: u32,
}

const _: () = assert!(size_of::<Node>() == 16);

impl Node {
    fn is_armed(&self) -> bool {
        self.next != IDLE
    }
}

/// The wheel. Entries are named by their connection's slot.
pub struct Wheel {
    nodes: Table<Node>,
    heads: Vec<u32>,
    /// One bit per slot of the lowest level, so that empty milliseconds cost nothing.
    occupied: [u64; LOWEST / 64],
    /// The next tick to be looked at.
    current: Tick,
    armed: u32,
    /// The entries that were linked last, by the number of links modulo [`AHEAD`].
    recent: [u32; AHEAD],
    links: usize,
}

impl Wheel {
    /// A wheel for `capacity` entries that begins at `now`.
    pub fn new(capacity: u32, now: Tick) -> Self {
        let idle = Node { next: IDLE, prev: NONE, at: Tick(0), ahead: NONE };
        Wheel {
            nodes: pages::table(capacity as usize, |_| idle),
            heads: vec![NONE; LOWEST + (LEVELS - 1) * SLOTS],
            occupied: [0; LOWEST / 64],
            current: now,
            armed: 0,
            recent: [NONE; AHEAD],
            links: 0,
        }
    }

    /// Bytes per entry.
    pub const fn node_bytes() -> usize {
        size_of::<Node>()
    }

    /// Entries that are armed.
    pub fn armed(&self) -> u32 {
        self.armed
    }

    /// When an entry will be looked at.
    pub fn armed_at(&self, index: u32) -> Option<Tick> {
        self.nodes.get(index as usize).filter(|node| node.is_armed()).map(|node| node.at)
    }

    /// Asks for the line that an entry stands on.
    #[inline]
    pub fn prefetch(&self, index: u32) {
        if let Some(node) = self.nodes.get(index as usize) {
            prefetch(node);
        }
    }

    /// Makes sure that `index` is looked at when `at` is due. An entry that would be looked at earlier anyway
    /// is left alone.
    #[inline]
    pub fn arm(&mut self, index: u32, at: Tick) {
        let Some(node) = self.nodes.get(index as usize) else { return };
        if node.is_armed() {
            if !at.before(node.at) {
                return;
            }
            self.cancel(index);
        }
        self.link(index, at);
    }

    /// The slot for a tick: the level is that of the highest bits in which it differs from the current one.
    fn home_of(&self, at: Tick) -> usize {
        let differs = at.0 ^ self.current.0;
        let level = (1..LEVELS).take_while(|level| differs >> shift(*level) != 0).count();
        slot_of(level, at)
    }

    #[inline(never)]
    fn link(&mut self, index: u32, at: Tick) {
        let at = if at.before(self.current) { self.current } else { at };
        let home = self.home_of(at);
        let Some(head) = self.heads.get_mut(home) else { return };
        let next = std::mem::replace(head, index);
        let ahead = std::mem::replace(&mut self.recent[self.links % AHEAD], index);
        self.links = self.links.wrapping_add(1);
        if let Some(node) = self.nodes.get_mut(index as usize) {
            *node = Node { next, prev: NONE, at, ahead };
        }
        if let Some(after) = self.nodes.get_mut(next as usize) {
            after.prev = index;
        }
        if home < LOWEST {
            self.occupied[home / 64] |= 1 << (home % 64);
        }
        self.armed += 1;
    }

    /// Forgets an entry.
    pub fn cancel(&mut self, index: u32) {
        let Some(node) = self.nodes.get_mut(index as usize) else { return };
        if !node.is_armed() {
            return;
        }
        let Node { next, prev, at, .. } = std::mem::replace(node, Node { next: IDLE, ..*node });
        if let Some(after) = self.nodes.get_mut(next as usize) {
            after.prev = prev;
        }
        match self.nodes.get_mut(prev as usize) {
            Some(before) => before.next = next,
            None => self.behead(index, at, next),
        }
        self.armed -= 1;
    }

    /// The first of a list leaves it; `next` is the new first.
    fn behead(&mut self, index: u32, at: Tick, next: u32) {
        let home = self.list_of(index, at);
        let Some(head) = self.heads.get_mut(home) else { return };
        *head = next;
        if home < LOWEST && next == NONE {
            self.occupied[home / 64] &= !(1 << (home % 64));
        }
    }

    /// The list that begins with an entry: that for its time, since entries change level as the current time goes on.
    /// Only those of a turn that begins now may not all have done so yet; they are where the turn was.
    fn list_of(&self, index: u32, at: Tick) -> usize {
        let turn = |level: usize| slot_of(level, self.current);
        let mut begun = (1..LEVELS).map(turn).filter(|home| self.heads.get(*home) == Some(&index));
        begun.next().unwrap_or_else(|| self.home_of(at))
    }

    /// Takes one entry that is due, or moves on to `now` and returns `None`. Also `None` when `moves`, which
    /// counts down the entries that change level, is used up: a whole turn's entries may change level at once, and
    /// then the rest comes next time (LIM-13).
    pub fn pop_due(&mut self, now: Tick, moves: &mut usize) -> Option<u32> {
        //= LIM-13
        if self.armed == 0 && self.current.is_due(now) {
            self.current = now.plus(1);
        }
        while self.current.is_due(now) {
            if !self.cascade(moves) {
                return None;
            }
            let slot = slot_of(0, self.current);
            let head = self.heads[slot];
            if head != NONE {
                self.prefetch(self.ahead_of(head));
                self.cancel(head);
                return Some(head);
            }
            self.advance(now);
        }
        None
    }

    /// An entry that most likely comes up some entries behind this one; beyond the capacity where none is known. Only a
    /// hint.
    pub fn ahead_of(&self, index: u32) -> u32 {
        self.nodes.get(index as usize).map_or(NONE, |node| node.ahead)
    }

    /// Goes to the next tick that has entries in this turn of the lowest level, to the next turn, or past `now`.
    fn advance(&mut self, now: Tick) {
        let turn_left = LOWEST as u32 - self.current.0 % LOWEST as u32;
        let due_left = now.since(self.current) + 1;
        let step = self.next_occupied().unwrap_or(turn_left).min(due_left).max(1);
        self.current = self.current.plus(step);
    }

    /// Ticks from the current one to the next with entries in the same turn of the lowest level.
    fn next_occupied(&self) -> Option<u32> {
        let from = slot_of(0, self.current) + 1;
        let mut word = from / 64;
        let mut bits = self.occupied.get(word)? & (u64::MAX << (from % 64));
        while bits == 0 {
            word += 1;
            bits = *self.occupied.get(word)?;
        }
        let slot = word * 64 + bits.trailing_zeros() as usize;
        Some((slot - from) as u32 + 1)
    }

    /// Where a new turn of a level begins, the entries of the level above go down, as far as `moves` allows. True
    /// when all have: none comes back, since what is due within this turn belongs on the levels below.
    fn cascade(&mut self, moves: &mut usize) -> bool {
        for level in 1..LEVELS {
            if !self.current.0.is_multiple_of(1 << shift(level)) {
                break;
            }
            let home = slot_of(level, self.current);
            while let Some(node) = self.nodes.get(self.heads[home] as usize) {
                let (index, at) = (self.heads[home], node.at);
                let Some(left) = moves.checked_sub(1) else { return false };
                *moves = left;
                self.prefetch(self.ahead_of(index));
                self.cancel(index);
                self.link(index, at);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn due(wheel: &mut Wheel, now: Tick) -> Vec<u32> {
        let mut moves = usize::MAX;
        let mut found: Vec<_> = std::iter::from_fn(|| wheel.pop_due(now, &mut moves)).collect();
        found.sort_unstable();
        found
    }

    /// Every armed entry is in the list that is found for it, every list is linked both ways.
    fn check(wheel: &Wheel) {
        let mut seen = 0;
        for (home, head) in wheel.heads.iter().enumerate() {
            let (mut before, mut index) = (NONE, *head);
            while let Some(node) = wheel.nodes.get(index as usize) {
                assert!(node.is_armed() && node.prev == before);
                seen += 1;
                (before, index) = (index, node.next);
            }
            assert_eq!(index, NONE);
            assert!(*head == NONE || wheel.list_of(*head, wheel.nodes[*head as usize].at) == home);
            let marked = home < LOWEST && wheel.occupied[home / 64] >> (home % 64) & 1 == 1;
            assert_eq!(marked, home < LOWEST && *head != NONE);
        }
        assert_eq!(seen, wheel.armed());
        assert_eq!(wheel.nodes.iter().filter(|node| node.is_armed()).count() as u32, seen);
    }

    /// Of any length that comes to the highest level.
    fn some_delay(rng: &mut Rng) -> u32 {
        let bits = 1 + rng.below(27);
        rng.below(1 << bits)
    }

    #[test]
    fn every_list_is_found_again_while_entries_change_level_a_few_at_a_time() {
        //= LIM-13
        for start in [0, u32::MAX - 300_000] {
            let mut rng = Rng::new(u64::from(start) + 1);
            let mut now = Tick(start);
            let mut wheel = Wheel::new(300, now);
            let mut model: Vec<Option<Tick>> = vec![None; 300];
            for _ in 0..20_000 {
                let index = rng.below(300);
                match rng.below(6) {
                    0 => {
                        wheel.cancel(index);
                        model[index as usize] = None;
                    }
                    1..4 => {
                        let at = now.plus(1 + some_delay(&mut rng));
                        wheel.arm(index, at);
                        model[index as usize] = Tick::earliest(model[index as usize], Some(at));
                    }
                    _ => {
                        let bits = 1 + rng.below(10);
                        now = now.plus(rng.below(1 << bits));
                        let mut moves = rng.below(6) as usize;
                        while let Some(index) = wheel.pop_due(now, &mut moves) {
                            let at = model[index as usize].take();
                            assert!(at.is_some_and(|at| at.is_due(now)), "due and armed");
                        }
                        if moves > 0 {
                            let due = |at: &Option<Tick>| at.is_some_and(|at| at.is_due(now));
                            assert!(!model.iter().any(due), "all that was due has come");
                        }
                    }
                }
                check(&wheel);
            }
            let armed = model.iter().flatten().count();
            assert_eq!(wheel.armed() as usize, armed);
            assert_eq!(due(&mut wheel, now.plus(1 << 28)).len(), armed, "and the rest comes later");
        }
    }

    #[test]
    fn every_entry_expires_once_and_on_time() {
        //= RTO-14
        for start in [0, 12_345, u32::MAX - 70_000] {
            let mut rng = Rng::new(u64::from(start));
            let mut now = Tick(start);
            let mut wheel = Wheel::new(500, now);
            let mut model: Vec<Option<Tick>> = vec![None; 500];
            for _ in 0..4_000 {
                let index = rng.below(500);
                match rng.below(8) {
                    0 => {
                        wheel.cancel(index);
                        model[index as usize] = None;
                    }
                    1..6 => {
                        let at = now.plus(1 + some_delay(&mut rng));
                        wheel.arm(index, at);
                        let kept = &mut model[index as usize];
                        *kept = Tick::earliest(*kept, Some(at));
                    }
                    _ => {
                        let bits = if rng.below(20) == 0 { 1 + rng.below(27) } else { 1 + rng.below(14) };
                        now = now.plus(rng.below(1 << bits));
                        let expected: Vec<_> = (0..500u32)
                            .filter(|i| model[*i as usize].is_some_and(|at| at.is_due(now)))
                            .collect();
                        let found = due(&mut wheel, now);
                        assert_eq!(found, expected, "at {now:?}");
                        found.iter().for_each(|i| model[*i as usize] = None);
                    }
                }
                assert_eq!(wheel.armed() as usize, model.iter().flatten().count());
            }
        }
    }

    #[test]
    fn entries_that_change_level_together_do_so_a_few_at_a_time_and_none_is_lost() {
        //= LIM-13
        //= ATK-44
        // All within one slot of the second level, and one slot of the third.
        for first in [2 * LOWEST as u32, 3 << shift(2)] {
            let mut wheel = Wheel::new(1_000, Tick(1));
            (0..1_000).for_each(|n| wheel.arm(n, Tick(first + n % 200)));
            let now = Tick(first + 200);
            let (mut seen, mut calls) = (0, 0);
            while wheel.armed() > 0 {
                let mut moves = 10;
                calls += 1;
                while wheel.pop_due(now, &mut moves).is_some() {
                    seen += 1;
                }
                if calls == 50 {
                    // Meanwhile others come and go.
                    wheel.cancel(0);
                    wheel.cancel(999);
                    wheel.arm(0, Tick(first + 7));
                }
            }
            assert_eq!(seen, 999, "each but the one that was cancelled");
            assert!(calls >= 100, "in {calls} passes");
        }
    }

    #[test]
    fn an_entry_in_the_past_expires_at_the_next_look() {
        let mut wheel = Wheel::new(2, Tick(100));
        assert!(due(&mut wheel, Tick(100)).is_empty());
        wheel.arm(0, Tick(50));
        assert_eq!(due(&mut wheel, Tick(101)), [0]);
        assert_eq!(wheel.armed(), 0);
    }
}
