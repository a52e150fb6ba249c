//! Neighbours come, are asked for, age and go.

use std::net::Ipv4Addr;

use super::*;

const MAC: Mac = Mac([2, 0, 0, 0, 0, 7]);

fn ip(n: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from(0xc612_0000 + n))
}

fn s(seconds: u64) -> Instant {
    Instant::from_millis(seconds * 1_000)
}

fn cache() -> Neighbours<u32> {
    Neighbours::new([7; 16])
}

fn mac_of(cache: &mut Neighbours<u32>, n: u32, progress: bool, now: Instant) -> Option<Mac> {
    cache.lookup(NeighbourIdx(0), 0, ip(n), || progress, now).map(|(_, mac)| mac)
}

fn asks(cache: &mut Neighbours<u32>, now: Instant) -> (Vec<Ask>, Vec<u32>) {
    let (mut asked, mut failed) = (Vec::new(), Vec::new());
    cache.poll(now, |ask| asked.push(ask), |frame| failed.push(frame));
    (asked, failed)
}

/// Whatever happens, what is found at once is what the general way finds, and both leave the same behind.
#[test]
fn a_neighbour_that_is_where_it_was_is_as_the_general_way_finds_it() {
    let mut rng = crate::base::rng::Rng::new(5);
    let (mut short, mut general) = (cache(), cache());
    let (mut now, mut known) = (s(1), 0);
    for round in 0..50_000 {
        let (who, interface) = (rng.below(6), rng.below(2) as u8);
        now = Instant(now.0 + u64::from(rng.below(2_000_000)));
        match rng.below(8) {
            0 => {
                let both = [&mut short, &mut general]
                    .map(|one| one.heard(interface, ip(who), MAC, Heard::AsksForUs, now).is_ok());
                assert_eq!(both[0], both[1]);
            }
            1 => assert_eq!(asks(&mut short, now), asks(&mut general, now), "{round}"),
            2 => assert_eq!(short.fix(0, ip(1), MAC), general.fix(0, ip(1), MAC)),
            _ => {
                let (hint, progress) = (NeighbourIdx(rng.below(4_096) as u16), rng.below(2) == 0);
                let hint = general.find(interface, ip(who)).filter(|_| rng.below(3) > 0).unwrap_or(hint);
                let found = short.lookup(hint, interface, ip(who), || progress, now);
                assert_eq!(found, general.look_up(hint, interface, ip(who), || progress, now), "{round}");
                known += u32::from(found.is_some());
                if found.is_none() {
                    assert_eq!(
                        short.resolve(interface, ip(who), round),
                        general.resolve(interface, ip(who), round)
                    );
                }
            }
        }
    }
    assert!(known > 10_000, "{known}");
}

#[test]
fn frames_wait_for_the_answer_and_the_newest_replace_the_oldest() {
    //= ARP-4
    let mut cache = cache();
    assert_eq!(mac_of(&mut cache, 2, false, s(1)), None);
    for frame in 0..3 {
        assert!(cache.resolve(0, ip(2), frame).is_empty());
    }
    assert_eq!(cache.resolve(0, ip(2), 3)[..], [0]);
    assert_eq!(asks(&mut cache, s(1)).0, [Ask { interface: 0, ip: ip(2), unicast: None }]);
    let waited = cache.heard(0, ip(2), MAC, Heard::Else, s(1)).unwrap();
    assert_eq!(waited[..], [1, 2, 3]);
    assert_eq!(mac_of(&mut cache, 2, false, s(2)), Some(MAC));
    let hint = cache.lookup(NeighbourIdx(0), 0, ip(2), || false, s(2)).unwrap().0;
    assert_eq!(cache.lookup(hint, 0, ip(2), || false, s(2)), Some((hint, MAC)));
    assert_eq!(cache.lookup(hint, 0, ip(3), || false, s(2)), None, "a hint is confirmed");
    assert_eq!(cache.lookup(hint, 1, ip(2), || false, s(2)), None, "on its interface");
}

#[test]
fn one_address_is_asked_for_once_a_second_and_three_times() {
    //= ARP-3
    let mut cache = cache();
    let _ = cache.resolve(0, ip(2), 9);
    let mut asked_at = Vec::new();
    let mut failed_at = None;
    for ms in 0..5_000 {
        let (asked, failed) = asks(&mut cache, Instant::from_millis(10_000 + ms));
        asked_at.extend(asked.iter().map(|_| ms));
        if failed == [9] {
            failed_at = Some(ms);
        }
    }
    assert_eq!((&asked_at[..], failed_at), (&[0, 1_000, 2_000][..], Some(3_000)));
    assert!(cache.is_empty());
}

#[test]
fn a_neighbour_ages_is_asked_by_unicast_and_used_meanwhile() {
    //= ARP-3
    //= ARP-8
    let mut cache = cache();
    cache.heard(0, ip(2), MAC, Heard::AsksForUs, s(10)).unwrap();
    assert_eq!(mac_of(&mut cache, 2, false, s(69)), Some(MAC));
    assert!(asks(&mut cache, s(69)).0.is_empty());
    assert_eq!(mac_of(&mut cache, 2, true, s(75)), Some(MAC));
    assert!(asks(&mut cache, s(75)).0.is_empty(), "progress confirms");
    assert_eq!(mac_of(&mut cache, 2, false, s(140)), Some(MAC));
    assert_eq!(asks(&mut cache, s(140)).0, [Ask { interface: 0, ip: ip(2), unicast: Some(MAC) }]);
    cache.heard(0, ip(2), MAC, Heard::Else, s(141)).unwrap();
    assert!(asks(&mut cache, s(142)).0.is_empty());
    assert_eq!(mac_of(&mut cache, 2, false, s(300)), Some(MAC));
    (300..304).for_each(|t| drop(asks(&mut cache, s(t))));
    assert_eq!(mac_of(&mut cache, 2, false, s(304)), None, "no answer to three requests");
}

#[test]
fn unsolicited_replies_create_nothing() {
    //= ARP-2
    //= ARP-6
    let mut cache = cache();
    assert_eq!(cache.heard(0, ip(2), MAC, Heard::Else, s(1)), Err(DropReason::ArpUnsolicited));
    assert!(cache.is_empty());
    cache.heard(0, ip(2), MAC, Heard::AsksForUs, s(1)).unwrap();
    let other = Mac([2, 9, 9, 9, 9, 9]);
    cache.heard(0, ip(2), other, Heard::Else, s(1)).unwrap();
    assert_eq!(mac_of(&mut cache, 2, false, s(1)), Some(other), "known ones are updated");
}

#[test]
fn a_fixed_neighbour_is_neither_changed_nor_asked_for() {
    let mut cache = cache();
    assert!(cache.fix(0, ip(2), MAC));
    cache.heard(0, ip(2), Mac([2, 9, 9, 9, 9, 9]), Heard::Else, s(1)).unwrap();
    assert_eq!(mac_of(&mut cache, 2, false, s(9_999)), Some(MAC));
    assert!(asks(&mut cache, s(9_999)).0.is_empty());
}

#[test]
fn a_scan_of_addresses_pushes_out_itself_and_no_known_neighbour() {
    //= ATK-34
    //= LIM-10
    let mut cache = cache();
    for n in 0..100 {
        cache.heard(0, ip(n), MAC, Heard::AsksForUs, s(1)).unwrap();
    }
    let mut lost = 0;
    for n in 1_000..3_000 {
        lost += cache.resolve(0, ip(n), n).len();
    }
    assert_eq!(lost, 2_000 - UNRESOLVED_MAX);
    assert_eq!(asks(&mut cache, s(2)).0.len(), UNRESOLVED_MAX);
    assert!((0..100).all(|n| mac_of(&mut cache, n, false, s(2)) == Some(MAC)));
}

#[test]
fn the_cache_is_bounded() {
    //= LIM-10
    let mut cache = cache();
    let placed = (0..20_000).filter(|n| cache.heard(0, ip(*n), MAC, Heard::AsksForUs, s(1)).is_ok()).count();
    assert!(cache.len() <= NEIGHBOURS_MAX && placed > NEIGHBOURS_MAX);
}

#[test]
fn progress_ends_the_asking() {
    //= ARP-8
    let mut cache = cache();
    cache.heard(0, ip(2), MAC, Heard::AsksForUs, s(10)).unwrap();
    assert_eq!(mac_of(&mut cache, 2, false, s(80)), Some(MAC));
    assert_eq!(asks(&mut cache, s(80)).0.len(), 1);
    assert_eq!(mac_of(&mut cache, 2, true, s(81)), Some(MAC));
    assert!((81..90).all(|t| asks(&mut cache, s(t)).0.is_empty()));
    assert_eq!(mac_of(&mut cache, 2, false, s(90)), Some(MAC));
}

/// As many neighbours as there is room for, of which we send to the first `used`.
fn full(used: u32) -> Neighbours<u32> {
    let mut cache = cache();
    let all = NEIGHBOURS_MAX as u32;
    for n in 0..all {
        assert!(cache.heard(0, ip(n), MAC, Heard::AsksForUs, s(1)).is_ok());
        assert!(n >= used || mac_of(&mut cache, n, false, s(1)).is_some());
    }
    assert_eq!(cache.len(), NEIGHBOURS_MAX);
    cache
}

#[test]
fn strangers_that_ask_push_out_no_neighbour_that_we_send_to() {
    //= ATK-34
    let mut cache = full(1_000);
    for n in 10_000..50_000 {
        let _ = cache.heard(0, ip(n), MAC, Heard::AsksForUs, s(2));
    }
    assert!(cache.len() <= NEIGHBOURS_MAX);
    assert!((0..1_000).all(|n| mac_of(&mut cache, n, false, s(3)) == Some(MAC)));
}

#[test]
fn a_full_cache_makes_room_for_whom_we_want_to_send_to() {
    //= LIM-10
    for used in [0, NEIGHBOURS_MAX as u32] {
        let mut cache = full(used);
        for n in 10_000..10_100 {
            assert!(cache.resolve(0, ip(n), n).len() <= 1);
            assert_eq!(cache.heard(0, ip(n), MAC, Heard::Else, s(2)).unwrap()[..], [n]);
            assert_eq!(mac_of(&mut cache, n, false, s(2)), Some(MAC));
        }
        assert!(cache.len() <= NEIGHBOURS_MAX);
    }
}

#[test]
fn in_a_cache_full_of_neighbours_in_use_the_oldest_unresolved_goes_first() {
    //= LIM-10
    let used = NEIGHBOURS_MAX as u32;
    let mut cache = full(used);
    assert!(cache.resolve(0, ip(10_000), 1).is_empty());
    assert_eq!(cache.resolve(0, ip(10_001), 2)[..], [1]);
    let known = (0..used).filter(|n| mac_of(&mut cache, *n, false, s(2)).is_some()).count();
    assert_eq!(known, NEIGHBOURS_MAX - 1);
}

#[test]
fn a_neighbour_that_nobody_looks_up_gives_its_place_back() {
    //= ARP-3
    let mut cache = full(0);
    assert!(cache.fix(0, ip(0), MAC));
    for ms in 0..1_000 {
        let _ = asks(&mut cache, Instant::from_millis(122_000 + ms));
    }
    assert_eq!(cache.len(), 1, "only the fixed one is left");
}

#[test]
fn a_neighbour_that_was_given_up_is_not_asked_for_again_within_a_second() {
    //= ARP-3
    let mut cache = cache();
    let _ = cache.resolve(0, ip(2), 9);
    assert_eq!(asks(&mut cache, s(10)).0.len(), 1);
    for n in 1_000..1_000 + UNRESOLVED_MAX as u32 {
        let _ = cache.resolve(0, ip(n), n);
    }
    let _ = cache.resolve(0, ip(2), 10);
    let asked = |cache: &mut Neighbours<u32>, ms| {
        asks(cache, Instant::from_millis(ms)).0.iter().filter(|ask| ask.ip == ip(2)).count()
    };
    assert_eq!(asked(&mut cache, 10_999), 0);
    assert_eq!(asked(&mut cache, 11_000), 1);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever happens, every frame is waiting or was given back, once, and the books are right.
    #[test]
    fn no_frame_is_lost_and_none_doubled(
        steps in proptest::collection::vec((0u8..8, 0u32..400, 0u32..3_000), 1..2_000)
    ) {
        let mut cache = cache();
        let (mut now, mut given, mut back) = (Instant::from_millis(1), 0u32, Vec::new());
        for (kind, n, pause_ms) in steps {
            match kind {
                0..=2 => {
                    if mac_of(&mut cache, n, false, now).is_none() {
                        back.extend(cache.resolve(0, ip(n), given));
                        given += 1;
                    }
                }
                3 => back.extend(cache.heard(0, ip(n), MAC, Heard::Else, now).into_iter().flatten()),
                4 => back.extend(cache.heard(0, ip(n), MAC, Heard::AsksForUs, now).into_iter().flatten()),
                5 => drop(mac_of(&mut cache, n, true, now)),
                _ => {
                    now = Instant(now.0 + u64::from(pause_ms) * 1_000);
                    back.extend(asks(&mut cache, now).1);
                }
            }
            let taken = cache.entries.iter().filter(|entry| entry.state != State::Free).count();
            assert_eq!(taken, cache.len());
            let mut places: Vec<_> = cache.asked.iter().map(|(index, _)| index.0).collect();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), cache.asked.len());
            assert!(places.iter().all(|at| matches!(
                cache.entries[usize::from(*at)].state,
                State::Incomplete { .. } | State::Probing { .. }
            )));
        }
        back.extend(cache.asked.iter().flat_map(|(_, waiting)| waiting.iter().copied()));
        back.sort_unstable();
        assert_eq!(back, (0..given).collect::<Vec<_>>());
    }
}
