//! Tests of the queue of TIME-WAIT records: it does what a list sorted by deadlines does.

use std::collections::VecDeque;

use super::*;
use crate::base::rng::Rng;

#[derive(Clone, Copy, PartialEq, Debug)]
struct Words(u32);

impl Rest for Words {
    fn pack(self) -> ([u32; 3], u8) {
        ([self.0, !self.0, 7], (self.0 % 3) as u8)
    }

    fn unpack(words: [u32; 3], kind: u8) -> Self {
        assert_eq!((words[1], words[2], u32::from(kind)), (!words[0], 7, words[0] % 3));
        Words(words[0])
    }
}

fn key(n: u32) -> Key {
    Key { remote: n, remote_port: n as u16, local_port: 80, local: LocalIdx(1) }
}

fn unmoved(_: &Key, _: u32, _: u32) {
    panic!("no record moves")
}

fn drain(ring: &mut TimeWaitRing<Words>, now: u32) -> Vec<u32> {
    std::iter::from_fn(|| {
        let (index, _) = ring.due(Tick(now)).next()?;
        ring.remove(index, unmoved).map(|record| record.rest.0)
    })
    .collect()
}

#[test]
fn records_leave_in_the_order_of_their_deadlines() {
    //= TMW-3
    //= TMW-10
    let mut ring = TimeWaitRing::new(4);
    let indices: Vec<_> =
        (0..4).map(|n| ring.push(key(n), Words(n), Tick(100 + n), unmoved).unwrap()).collect();
    assert!(ring.push(key(9), Words(9), Tick(104), unmoved).is_err());
    assert_eq!(drain(&mut ring, 99), [0; 0]);
    let due = |now| {
        ring.due(Tick(now))
            .filter_map(|(index, _)| ring.get(index))
            .map(|record| record.rest.0)
            .collect::<Vec<_>>()
    };
    assert_eq!((due(99), due(101), due(200)), (vec![], vec![0, 1], vec![0, 1, 2, 3]));
    let first = ring.remove(indices[0], unmoved).unwrap();
    assert_eq!(first, Record { key: key(0), rest: Words(0), deadline: Tick(100) });
    ring.push(first.key, first.rest, Tick(110), unmoved).unwrap();
    assert_eq!(ring.remove(indices[2], unmoved).unwrap().rest, Words(2));
    assert_eq!(drain(&mut ring, 109), [1, 3]);
    assert_eq!((ring.len(), ring.deadline()), (1, Some(Tick(110))));
    assert_eq!(drain(&mut ring, 110), [0]);
    assert!(ring.is_empty() && ring.oldest().is_none());
    ring.push(key(1), Words(5), Tick(200), unmoved).unwrap();
    assert_eq!(drain(&mut ring, 200), [5]);
}

#[test]
fn a_record_takes_so_many_bytes() {
    assert_eq!(TimeWaitRing::<Words>::record_bytes(), 24.25);
    let apart = APART as usize * 1_552;
    assert_eq!(TimeWaitRing::<Words>::memory(50_000_000), 781_252 * 1_552 + apart);
    assert!(apart < 700_000 && TimeWaitRing::<Words>::memory(1) == 4 * 1_552);
}

/// A queue, and beside it a list of what must be in it, in order, by name; what is in the queue is found by number, as
/// the index does.
struct Both {
    ring: TimeWaitRing<Words>,
    model: VecDeque<(u32, Tick)>,
    numbers: Vec<u32>,
    added: u32,
    moved: u32,
}

impl Both {
    fn new(capacity: u32) -> Self {
        let ring = TimeWaitRing::new(capacity);
        Both { ring, model: VecDeque::new(), numbers: Vec::new(), added: 0, moved: 0 }
    }

    /// Moves that the queue tells of.
    fn note<'a>(numbers: &'a mut [u32], moved: &'a mut u32) -> impl FnMut(&Key, u32, u32) + 'a {
        |key, old, new| {
            let number = &mut numbers[key.remote as usize];
            assert_eq!(std::mem::replace(number, new), old);
            *moved += 1;
        }
    }

    fn push(&mut self, name: u32, at: Tick) -> bool {
        let note = Self::note(&mut self.numbers, &mut self.moved);
        let Ok(index) = self.ring.push(key(name), Words(name), at, note) else { return false };
        if name as usize == self.numbers.len() {
            self.numbers.push(index);
        }
        self.numbers[name as usize] = index;
        self.model.push_back((name, at));
        self.added += 1;
        true
    }

    fn remove(&mut self, at: usize) -> (u32, Tick) {
        let (name, deadline) = self.model.remove(at).unwrap();
        let index = self.numbers[name as usize];
        let note = Self::note(&mut self.numbers, &mut self.moved);
        let record = self.ring.remove(index, note).unwrap();
        assert_eq!((record.key, record.rest), (key(name), Words(name)));
        assert_eq!(record.deadline, deadline);
        assert!(self.ring.get(index).is_none_or(|other| other.key != key(name)));
        (name, deadline)
    }

    fn check(&self) {
        let ring = &self.ring;
        assert_eq!(ring.len() as usize, self.model.len());
        let all: Vec<_> = ring.records().map(|(index, record)| (record.key.remote, index)).collect();
        let expected: Vec<_> =
            self.model.iter().map(|(name, _)| (*name, self.numbers[*name as usize])).collect();
        assert_eq!(all, expected);
        for (name, at) in &self.model {
            let index = self.numbers[*name as usize];
            assert!(ring.holds(index, &key(*name)) && !ring.holds(index, &key(name + 1)));
            assert_eq!(ring.get(index).unwrap().deadline, *at);
        }
        let cells = |block: u32| &ring.cells[(block * BLOCK) as usize..((block + 1) * BLOCK) as usize];
        let live = |block| cells(block).iter().filter(|cell| !cell.is_hole()).count() as u32;
        let ends = |a: u32, b: u32| {
            let record = |offset| ring.get(a * BLOCK + offset).map(|record| record.deadline);
            let first = (0..BLOCK).find_map(record).unwrap();
            let last = (0..BLOCK).rev().find_map(|offset| ring.get(b * BLOCK + offset)).unwrap().deadline;
            last.since(first) <= DELTA_MAX
        };
        ring.blocks.check(live, ends);
        assert!(self.moved <= self.added, "{} of {} moved", self.moved, self.added);
    }
}

/// Records come, expire, are taken out at random places and start again, under a clock that wraps.
fn behaves_like_a_sorted_list(capacity: u32, wait_ms: u32, step_ms: u32, start: u32) {
    let mut rng = Rng::new(u64::from(capacity ^ wait_ms));
    let mut both = Both::new(capacity);
    let mut now = Tick(start);
    let mut names = 0;
    for turn in 0..6_000u32 {
        // Times in which many are taken out, times in which few are.
        let takes = if turn / 500 % 2 == 0 { 1 } else { 9 };
        match rng.below(20) {
            0 => now = now.plus(rng.below(step_ms * 20)),
            n if n <= takes && !both.model.is_empty() => {
                both.remove(rng.below(both.model.len() as u32) as usize);
            }
            10 if !both.model.is_empty() => {
                let (name, _) = both.remove(rng.below(both.model.len() as u32) as usize);
                while !both.push(name, now.plus(wait_ms)) {
                    both.remove(0);
                }
            }
            _ => {
                while !both.push(names, now.plus(wait_ms)) {
                    let places = both.ring.len() + 2 * BLOCK;
                    assert!(places * 2 > capacity, "{} of {capacity}", both.ring.len());
                    both.remove(0);
                }
                names += 1;
                now = now.plus(rng.below(step_ms));
            }
        }
        let due: Vec<_> = both.ring.due(now).map(|(_, key)| key.remote).collect();
        for name in due {
            assert_eq!(both.model.front().map(|(name, _)| *name), Some(name));
            let moved = both.moved;
            both.remove(0);
            assert_eq!(both.moved, moved, "none moves where the oldest goes");
        }
        assert!(both.model.front().is_none_or(|(_, at)| now.before(*at)), "what is due has gone");
        both.check();
    }
}

#[test]
fn the_queue_behaves_like_a_sorted_list() {
    //= TMW-3
    //= TMW-10
    //= LIM-7
    behaves_like_a_sorted_list(1, 60_000, 100, 0);
    behaves_like_a_sorted_list(40, 60_000, 3_000, u32::MAX - 100_000);
    behaves_like_a_sorted_list(300, 1_000, 10, u32::MAX - 2_000);
    behaves_like_a_sorted_list(1_000, 3_600_000, 5_000, 77);
    behaves_like_a_sorted_list(1_000, 1, 3, 5);
}

#[test]
fn where_records_leave_in_order_every_place_is_used_and_none_moves() {
    //= LIM-7
    for capacity in [1, 63, 64, 65, 200] {
        let mut ring = TimeWaitRing::new(capacity);
        for n in 0..2_000 {
            if ring.push(key(n), Words(n), Tick(n), unmoved).is_err() {
                assert_eq!(ring.len(), capacity);
                ring.remove(ring.oldest().unwrap(), unmoved).unwrap();
                ring.push(key(n), Words(n), Tick(n), unmoved).unwrap();
            }
        }
    }
}

#[test]
fn sparse_blocks_are_joined_until_more_than_half_of_their_places_are_used() {
    //= ATK-18
    let mut both = Both::new(3_200);
    (0..3_200).for_each(|n| assert!(both.push(n, Tick(n))));
    // One of each block stays; then there is room for as many again as were taken out, less two blocks.
    for at in 0..50 {
        for _ in 0..63 {
            both.remove(at);
            both.check();
        }
    }
    assert!((3_200..6_200).all(|n| both.push(n, Tick(n))));
    both.check();
    assert!(both.moved > 1_000, "{}", both.moved);
}

#[test]
fn a_deadline_before_those_of_its_block_is_put_off_and_never_early() {
    let mut ring = TimeWaitRing::new(9);
    for (n, at) in [(0, 500), (1, 400), (2, 600)] {
        ring.push(key(n), Words(n), Tick(at), unmoved).unwrap();
    }
    assert_eq!((drain(&mut ring, 499), drain(&mut ring, 500)), (vec![], vec![0, 1]));
    assert_eq!(ring.deadline(), Some(Tick(600)));
}

#[test]
fn deadlines_far_apart_do_not_share_a_block() {
    let mut both = Both::new(50);
    let mut at = Tick(u32::MAX - 500_000);
    for n in 0..20 {
        assert!(both.push(n, at));
        both.check();
        // The clock stood still for five minutes.
        at = at.plus(300_000);
        if n >= 2 {
            both.remove(0);
        }
    }
}
