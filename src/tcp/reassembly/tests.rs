//! Text before its turn.

use proptest::prelude::*;

use super::*;
use crate::base::bytes::CHUNK;

fn blocks(held: &Reassembly) -> Vec<(u32, u32)> {
    let mut blocks = SackBlocks::default();
    held.blocks(&mut blocks);
    blocks.as_slice().iter().map(|(left, right)| (left.0, right.0)).collect()
}

fn insert(held: &mut Reassembly, pool: &mut Pool, seq: u32, octets: usize) -> Inserted {
    held.insert(pool, Seq(seq), &vec![7; octets])
}

#[test]
fn blocks_are_reported_as_rfc_2018_shows() {
    //= SACK-3
    //= SACK-4
    //= SACK-5
    //= VEC-SACK-1
    let mut pool = Pool::new(1 << 20);
    let mut held = Reassembly::default();
    for right in 1..=7 {
        insert(&mut held, &mut pool, 5_000 + 500 * right, 500);
        assert_eq!(blocks(&held), [(5_500, 5_500 + 500 * right)]);
    }
    held.clear(&mut pool);
    //= VEC-SACK-2..3
    insert(&mut held, &mut pool, 6_000, 500);
    insert(&mut held, &mut pool, 7_000, 500);
    assert_eq!(blocks(&held), [(7_000, 7_500), (6_000, 6_500)]);
    insert(&mut held, &mut pool, 8_000, 500);
    assert_eq!(blocks(&held), [(8_000, 8_500), (7_000, 7_500), (6_000, 6_500)]);
    insert(&mut held, &mut pool, 6_500, 500);
    assert_eq!(blocks(&held), [(6_000, 7_500), (8_000, 8_500)]);
    let mut run = held.take(&mut pool, Seq(6_000)).unwrap();
    assert_eq!((run.len(), blocks(&held)), (1_500, vec![(8_000, 8_500)]));
    pool.clear(&mut run);
    held.clear(&mut pool);
    assert_eq!(pool.free_chunks(), pool.chunks());
}

#[test]
fn what_is_held_already_is_named_and_moves_to_the_front() {
    //= DSACK-2
    //= DSACK-4
    //= VEC-DSACK-3
    // 4500-5499 held, 5000-5499 again.
    let mut pool = Pool::new(1 << 20);
    let mut held = Reassembly::default();
    insert(&mut held, &mut pool, 4_500, 1_000);
    insert(&mut held, &mut pool, 7_000, 100);
    let again = insert(&mut held, &mut pool, 5_000, 500);
    assert_eq!(again, Inserted { octets: 0, duplicate: Some((Seq(5_000), Seq(5_500))), refused: 0 });
    assert_eq!(blocks(&held), [(4_500, 5_500), (7_000, 7_100)]);
    let partly = insert(&mut held, &mut pool, 5_400, 200);
    assert_eq!(partly, Inserted { octets: 100, duplicate: Some((Seq(5_400), Seq(5_500))), refused: 0 });
}

#[test]
fn one_octet_in_every_second_place_costs_a_bounded_amount() {
    //= ATK-13
    let mut pool = Pool::new(1 << 20);
    let mut held = Reassembly::default();
    for n in 0..10_000 {
        insert(&mut held, &mut pool, 1_001 + 2 * n, 1);
    }
    assert_eq!(held.ranges.len(), RANGES_MAX);
    assert!((pool.chunks() - pool.free_chunks()) as usize <= RANGES_MAX);
    assert_eq!(held.octets(), RANGES_MAX as u32);
    // What is nearer to its turn takes the place of what is farther.
    assert_eq!(insert(&mut held, &mut pool, 999, 1).octets, 1);
    assert_eq!(held.ranges.len(), RANGES_MAX);
    assert_eq!(held.ranges[0].start, Seq(999));
}

#[test]
fn without_memory_nothing_is_held() {
    let mut pool = Pool::new(2 * CHUNK);
    let mut held = Reassembly::default();
    assert_eq!(insert(&mut held, &mut pool, 100, 3 * CHUNK).refused as usize, 3 * CHUNK);
    assert!(held.is_empty());
    assert_eq!(insert(&mut held, &mut pool, 100, CHUNK).refused, 0);
}

proptest! {
    /// Any segments in any order: the octets that come out are those that came first, and all of them.
    #[test]
    fn the_octet_received_first_wins(
        base in any::<u32>(),
        segments in proptest::collection::vec((0u32..400, 1usize..80, any::<u8>()), 1..60),
    ) {
        //= ATK-32
        //= X-5
        //= ATK-45
        let mut pool = Pool::new(1 << 20);
        let mut held = Reassembly::default();
        let mut model: Vec<Option<u8>> = vec![None; 500];
        for (offset, len, value) in segments {
            // Offset 0 would be in order: what is held lies above.
            let at = offset as usize + 1;
            let bytes = vec![value; len];
            let before = held.octets();
            let done = held.insert(&mut pool, Seq(base) + at as u32, &bytes);
            prop_assert_eq!(held.octets(), before + done.octets);
            if done.refused > 0 {
                // Full: the model cannot follow which range went.
                held.clear(&mut pool);
                model.fill(None);
                continue;
            }
            for place in &mut model[at..at + len] {
                place.get_or_insert(value);
            }
            prop_assume!(held.octets() as usize == model.iter().flatten().count());
            prop_assert!(held.ranges.windows(2).all(|w| w[0].end().before(w[1].start)));
        }
        let mut nxt = 1;
        while nxt < model.len() {
            if model[nxt].is_none() {
                nxt += 1;
                continue;
            }
            let Some(mut run) = held.take(&mut pool, Seq(base) + nxt as u32) else { break };
            let mut bytes = vec![0; run.len() as usize];
            pool.copy_out(&run, 0, &mut bytes);
            let expected: Vec<u8> = model[nxt..nxt + bytes.len()].iter().map(|b| b.unwrap()).collect();
            prop_assert_eq!(&bytes, &expected);
            nxt += bytes.len();
            pool.clear(&mut run);
        }
        prop_assert!(held.is_empty());
        prop_assert_eq!(pool.free_chunks(), pool.chunks());
    }
}
