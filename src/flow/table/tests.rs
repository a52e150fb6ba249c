//! Tests of the index: it behaves as a map does, however full it is and however hashes collide.

use super::super::bucket::SLOTS;
use super::*;
use crate::base::rng::Rng;
use std::collections::HashMap;

fn place(number: u32) -> Place {
    if number.is_multiple_of(3) { Place::TimeWait(number) } else { Place::Connection(number) }
}

#[track_caller]
fn behaves_like_a_map(entries: u32, places: u32, mut hash: impl FnMut(&mut Rng) -> u64) {
    let mut rng = Rng::new(u64::from(entries));
    let mut table = Table::new(entries, places);
    let mut model: HashMap<u32, u64> = HashMap::new();
    for step in 0..20_000 {
        let number = rng.below(entries);
        let place = place(number);
        if let Some(hash) = model.remove(&number) {
            assert_eq!(table.find(hash, |found| found == place), Some(place));
            if step % 7 == 0 {
                let other = Place::Connection(places - 1 - number);
                assert!(!table.replace(hash, place, Place::TimeWait(places.next_power_of_two())));
                assert!(table.replace(hash, place, other) && table.replace(hash, other, place));
            }
            assert!(table.remove(hash, place) && !table.remove(hash, place));
            assert_eq!(table.find(hash, |found| found == place), None);
            assert!(!table.replace(hash, place, place));
        } else {
            let hash = hash(&mut rng);
            table.insert(hash, place).unwrap();
            for hash in [hash, rng.next_u64()] {
                match table.hint(hash) {
                    Hint::At(place) => assert_eq!(table.find(hash, |found| found == place), Some(place)),
                    Hint::Nowhere => assert_eq!(table.find(hash, |_| true), None),
                    Hint::Elsewhere => {}
                }
            }
            model.insert(number, hash);
        }
        assert_eq!(table.len() as usize, model.len());
    }
    for (number, hash) in model {
        assert!(table.remove(hash, place(number)));
    }
    assert!(table.is_empty() && table.buckets.iter().all(|bucket| *bucket == Bucket::EMPTY));
}

#[test]
fn the_table_behaves_like_a_map_when_full_and_when_hashes_collide() {
    for bits in [64, 9, 4] {
        for places in [512, 1 << 24, 1 << 31] {
            behaves_like_a_map(200, places, |rng| rng.next_u64() >> (64 - bits));
            behaves_like_a_map(200, places, |rng| rng.next_u64() << (64 - bits));
        }
    }
    behaves_like_a_map(1, 2, |_| 7);
    behaves_like_a_map(3_333, 10_000, Rng::next_u64);
}

#[test]
fn a_table_refuses_only_when_every_place_is_taken() {
    let mut rng = Rng::new(1);
    for entries in [1, 9, 100, 1_000] {
        let mut table = Table::new(entries, 1 << 20);
        let all = (table.buckets.len() * SLOTS) as u32;
        assert!(all >= entries && table.buckets.len() * size_of::<Bucket>() == Table::memory(entries));
        let hashes: Vec<_> = (0..all).map(|_| rng.next_u64()).collect();
        for (number, hash) in (0..).zip(&hashes) {
            table.insert(*hash, Place::Connection(number)).unwrap();
        }
        assert_eq!(table.insert(7, Place::Connection(all)), Err(Place::Connection(all)));
        for (number, hash) in (0..).zip(&hashes) {
            assert!(table.find(*hash, |place| place == Place::Connection(number)).is_some());
        }
        assert!(table.remove(hashes[0], Place::Connection(0)));
        table.insert(7, Place::Connection(all)).unwrap();
        assert_eq!(table.len(), all);
    }
}

#[test]
fn a_place_beyond_those_it_was_made_for_is_refused_and_never_taken_for_another() {
    let mut table = Table::new(100, 64);
    table.insert(5, Place::Connection(63)).unwrap();
    for beyond in [64, 127, 128, u32::MAX] {
        assert!(table.insert(5, Place::Connection(beyond)).is_err());
        assert!(table.insert(5, Place::TimeWait(beyond)).is_err());
        assert!(!table.remove(5, Place::Connection(beyond)));
    }
    assert_eq!((table.len(), table.hint(5)), (1, Hint::At(Place::Connection(63))));
}

#[test]
fn other_keys_entries_are_seldom_taken_for_ones_own() {
    // Ten million places leave seven bits of the hash in an entry's value, fifteen with the tag.
    let mut table = Table::new(10_000, 10_000_000);
    let mut rng = Rng::new(9);
    (0..10_000).for_each(|number| table.insert(rng.next_u64(), Place::Connection(number)).unwrap());
    let tries = 1_000_000;
    let taken = (0..tries).filter(|_| matches!(table.hint(rng.next_u64()), Hint::At(_))).count();
    // Eight entries or so in 2^15.
    assert!((100..600).contains(&taken), "{taken} of {tries}");
}
