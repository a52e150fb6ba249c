//! Timers of a shard, or of an application: one entry for each connection, at its earliest deadline. Most deadlines are
//! some time away when they are set and never come up, since what they guard against does not happen. Such entries
//! wait in a queue first, in order of arrival, and what is known of each by itself is two bits: neither to come nor
//! to go fetches a line of its own. What is due before it would come to the end of the queue is on the wheel, and so is
//! what was looked at once and is not due yet.

use super::wheel::Wheel;
use crate::base::pages::{self, Table};
use crate::base::prefetch::prefetch;
use crate::base::ring::Ring;
use crate::base::time::Tick;

/// An entry is in the queue, and waited for.
const QUEUED: u64 = 1;
/// An entry is on the wheel.
const LINKED: u64 = 2;
/// Entries that one word of bits tells of.
const PER_WORD: usize = 32;
/// How long an entry is in the queue, in milliseconds. No longer than what is due first where a segment is not answered, so
/// that few have to be on the wheel.
pub const WAIT_MS: u32 = 200;
/// Entries that the queue has room for: some for each connection, since those that are forgotten stay until they would have
/// come up, and at most those of some million connections a second. What finds none is on the wheel.
const fn room_for(capacity: usize) -> usize {
    const ROOM_MAX: usize = 1 << 20;
    let room = capacity.saturating_mul(4);
    if room < ROOM_MAX { room } else { ROOM_MAX }
}
/// Of so many connections and more, most live longer than an entry is in the queue.
pub const REST_FROM: u32 = 32_768;
/// How far ahead in the queue the bits of an entry are asked for.
const AHEAD: usize = 8;
/// Stands for no entry.
const NONE: u32 = u32::MAX;

/// The timers. Entries are named by their connection's slot.
pub struct Timers {
    /// Those that were armed, the longest ago first, and when they are looked at. Some are not waited for any more.
    queue: Ring<(u32, Tick)>,
    /// Entries that there are.
    capacity: usize,
    /// Two bits for each entry.
    bits: Table<u64>,
    wheel: Wheel,
    /// Of so many connections, those for which nothing is due have no entry.
    rest_from: u32,
    /// When it was asked last who is due.
    now: Tick,
    /// An entry that most likely comes up soon behind the last one.
    ahead: u32,
}

impl Timers {
    /// Timers for `capacity` entries that begin at `now`; `rest_from` is the number of [`Timers::rest`].
    pub fn new(capacity: u32, now: Tick, rest_from: u32) -> Self {
        let capacity = capacity as usize;
        Timers {
            queue: Ring::new(room_for(capacity)),
            capacity,
            bits: pages::table(capacity.div_ceil(PER_WORD), |_| 0),
            wheel: Wheel::new(capacity as u32, now),
            rest_from,
            now,
            ahead: NONE,
        }
    }

    /// Bytes of memory for so many entries.
    pub const fn memory(capacity: usize) -> usize {
        Ring::<(u32, Tick)>::memory(room_for(capacity))
            + capacity * Wheel::node_bytes()
            + capacity.div_ceil(PER_WORD) * size_of::<u64>()
    }

    #[inline]
    fn word(&mut self, index: u32) -> Option<(&mut u64, u32)> {
        let at = Some(index as usize).filter(|index| *index < self.capacity)?;
        self.bits.get_mut(at / PER_WORD).map(|word| (word, index % PER_WORD as u32 * 2))
    }

    /// Clears a bit of an entry; false when it was not set.
    #[inline]
    fn take(&mut self, index: u32, bit: u64) -> bool {
        let Some((word, shift)) = self.word(index) else { return false };
        let was = *word >> shift & bit != 0;
        *word &= !(bit << shift);
        was
    }

    /// When an entry will be looked at; walks the queue.
    pub fn armed_at(&self, index: u32) -> Option<Tick> {
        let bits = self.bits.get(index as usize / PER_WORD)? >> (index % PER_WORD as u32 * 2);
        let mut queued = self.queue.iter().filter(|_| bits & QUEUED != 0);
        Tick::earliest(
            queued.find(|(other, _)| *other == index).map(|(_, at)| at),
            self.wheel.armed_at(index),
        )
    }

    /// Asks for the line that arming an entry touches.
    #[inline]
    pub fn prefetch(&self, index: u32) {
        self.bits.get(index as usize / PER_WORD).into_iter().for_each(prefetch);
    }

    /// Makes sure that `index` is looked at when `at` is due. An entry that would be looked at earlier anyway is left
    /// alone.
    #[inline(always)]
    pub fn arm(&mut self, index: u32, at: Tick) {
        let look = self.now.plus(WAIT_MS);
        let has_room = !self.queue.is_full();
        let Some((word, shift)) = self.word(index) else { return };
        let bits = *word >> shift;
        if !at.before(look) {
            if bits & QUEUED != 0 {
                return;
            }
            if bits & LINKED == 0 && has_room {
                *word |= QUEUED << shift;
                self.queue.push_back((index, look));
                return;
            }
        }
        *word |= LINKED << shift;
        self.wheel.arm(index, at);
    }

    /// Who was just looked at is looked at again when `at` is due. It does not wait in the queue a second time, so that
    /// what is far away costs two looks however far it is; and its older places in the queue mean nothing any more.
    pub fn look_again(&mut self, index: u32, at: Tick) {
        if let Some((word, shift)) = self.word(index) {
            *word |= LINKED << shift;
            self.wheel.arm(index, at);
        }
    }

    /// Nothing is due for `index`, one of so many connections. Of few, its entry stays for what is due next; of many it is
    /// forgotten, since it would come up for nothing when the connection's lines have long gone.
    #[inline]
    pub fn rest(&mut self, index: u32, connections: u32) {
        if connections >= self.rest_from {
            self.cancel(index);
        }
    }

    /// Forgets an entry.
    #[inline]
    pub fn cancel(&mut self, index: u32) {
        self.take(index, QUEUED);
        if self.take(index, LINKED) {
            self.wheel.cancel(index);
        }
    }

    /// Takes one entry that is to be looked at, or moves on to `now` and returns `None`. Also `None` when `moves` is used
    /// up, which counts down the entries that leave the queue and those that change level on the wheel: the rest comes
    /// next time (LIM-13).
    #[inline]
    pub fn pop_due(&mut self, now: Tick, moves: &mut usize) -> Option<u32> {
        //= LIM-13
        self.now = now;
        while let Some((index, _)) = self.queue.get(0).filter(|(_, at)| at.is_due(now)) {
            *moves = moves.checked_sub(1)?;
            self.queue.pop_front();
            self.ahead = self.queue.get(AHEAD).map_or(NONE, |(later, _)| later);
            self.prefetch(self.ahead);
            if self.take(index, QUEUED) {
                return Some(index);
            }
        }
        let index = self.wheel.pop_due(now, moves)?;
        self.ahead = self.wheel.ahead_of(index);
        self.take(index, LINKED);
        Some(index)
    }

    /// An entry that most likely comes up some entries behind the one that came up last; beyond the capacity where none is
    /// known. Only a hint.
    pub fn ahead(&self) -> u32 {
        self.ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn every_entry_is_looked_at_no_later_than_its_earliest_deadline() {
        //= RTO-14
        for (start, room) in [(0, 1_000), (u32::MAX - 70_000, 1_000), (5, 20)] {
            let (mut rng, mut now) = (Rng::new(u64::from(start)), Tick(start));
            let mut timers = Timers { queue: Ring::new(room), ..Timers::new(300, now, 0) };
            let mut model: Vec<Option<Tick>> = vec![None; 300];
            for _ in 0..30_000 {
                let index = rng.below(300);
                match rng.below(8) {
                    0 => {
                        timers.cancel(index);
                        model[index as usize] = None;
                        assert_eq!(timers.armed_at(index), None);
                    }
                    1..6 => {
                        let bits = 1 + rng.below(20);
                        let at = now.plus(1 + rng.below(1 << bits));
                        timers.arm(index, at);
                        model[index as usize] = Tick::earliest(model[index as usize], Some(at));
                    }
                    _ => {
                        let bits = 1 + rng.below(10);
                        now = now.plus(rng.below(1 << bits));
                        let mut moves = usize::MAX;
                        while let Some(index) = timers.pop_due(now, &mut moves) {
                            // As whoever is looked at too early does.
                            let at = &mut model[index as usize];
                            *at = at.filter(|at| !at.is_due(now));
                            at.iter_mut().for_each(|at| timers.look_again(index, *at));
                        }
                        assert!(
                            !model.iter().flatten().any(|at| at.is_due(now)),
                            "all that was due has come"
                        );
                    }
                }
                assert!(timers.queue.len() <= room);
                let at = model[index as usize];
                assert!(at.is_none_or(|at| timers.armed_at(index).is_some_and(|look| !at.before(look))));
            }
        }
    }

    #[test]
    fn what_is_forgotten_in_time_never_comes_up() {
        let mut timers = Timers { queue: Ring::new(300), ..Timers::new(10, Tick(0), 0) };
        for ms in 0..1_000 {
            let index = ms % 10;
            timers.arm(index, Tick(ms + 500));
            timers.cancel(index);
            assert_eq!(timers.pop_due(Tick(ms), &mut 50), None);
            assert!(timers.queue.len() <= 201 && timers.wheel.armed() == 0, "there is room again");
        }
        // Where the queue is full, the wheel does it.
        for n in 0..200 {
            timers.cancel(n % 10);
            timers.arm(n % 10, Tick(2_000));
        }
        assert!(timers.queue.len() == 300 && timers.wheel.armed() == 10);
        timers.arm(10, Tick(2_000));
        let due: Vec<_> = std::iter::from_fn(|| timers.pop_due(Tick(2_000), &mut 500)).collect();
        assert_eq!(due.len(), 10);
    }

    #[test]
    fn a_pass_lets_only_so_many_out_of_the_queue() {
        //= LIM-13
        //= ATK-44
        let mut timers = Timers::new(1_000, Tick(0), 0);
        (0..1_000).for_each(|n| timers.arm(n, Tick(WAIT_MS)));
        (0..500).for_each(|n| timers.cancel(n));
        let mut came = 0;
        for pass in 1..=100 {
            let mut moves = 10;
            while timers.pop_due(Tick(500), &mut moves).is_some() {
                came += 1;
            }
            assert_eq!(came, (pass * 10_usize).saturating_sub(500), "after {pass} passes");
        }
    }

    #[test]
    fn an_earlier_deadline_comes_onto_the_wheel() {
        let mut timers = Timers::new(4, Tick(0), 0);
        timers.arm(1, Tick(WAIT_MS + 50));
        timers.arm(1, Tick(30));
        assert_eq!(timers.armed_at(1), Some(Tick(30)));
        assert_eq!((timers.pop_due(Tick(29), &mut 9), timers.pop_due(Tick(30), &mut 9)), (None, Some(1)));
        assert!(timers.armed_at(1).is_some_and(|at| at.is_due(Tick(WAIT_MS))));
        assert_eq!(timers.pop_due(Tick(WAIT_MS), &mut 9), Some(1));
        assert_eq!((timers.pop_due(Tick(1_000), &mut 9), timers.armed_at(1)), (None, None));
    }

    /// Looks at what is due up to `until`, and lets all that is not due at `far` be looked at again then.
    fn looks(timers: &mut Timers, from: u32, until: u32, far: Tick) -> usize {
        let mut looks = 0;
        for now in (from..until).map(Tick) {
            while let Some(index) = timers.pop_due(now, &mut 10_000) {
                looks += 1;
                if !far.is_due(now) {
                    timers.look_again(index, far);
                }
            }
        }
        looks
    }

    #[test]
    fn what_is_far_away_is_looked_at_twice() {
        let (mut timers, far) = (Timers::new(100, Tick(0), 0), Tick(7_200_000));
        (0..100).for_each(|n| timers.arm(n, far));
        assert_eq!(looks(&mut timers, 0, 7_100_000, far), 100);
        assert!(timers.queue.is_empty() && timers.wheel.armed() == 100);
        assert_eq!(looks(&mut timers, 7_100_000, 7_200_001, far), 100);
    }

    #[test]
    fn who_is_forgotten_and_armed_again_all_the_time_is_not_looked_at_more_often() {
        let (mut timers, mut all) = (Timers::new(1_000, Tick(0), 0), 0);
        for now in 0..10_000 {
            timers.cancel(7);
            timers.arm(7, Tick(now + 5_000));
            all += looks(&mut timers, now, now + 1, Tick(now + 5_000));
            assert!(timers.queue.len() <= 1 + WAIT_MS as usize);
        }
        assert!(all <= 10_000, "{all} looks");
    }

    #[test]
    fn of_many_who_waits_for_nothing_has_no_entry() {
        for (connections, rests) in [(9, false), (10, true), (11, true)] {
            let mut timers = Timers::new(20, Tick(0), 10);
            timers.arm(3, Tick(500));
            timers.arm(4, Tick(20));
            (3..5).for_each(|n| timers.rest(n, connections));
            assert_eq!((timers.armed_at(3).is_none(), timers.armed_at(4).is_none()), (rests, rests));
            timers.arm(3, Tick(90));
            assert_eq!(timers.armed_at(3), Some(Tick(90)), "what is due later is not forgotten with it");
        }
    }
}
