//! Launch times against their sums.

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn open(rate: f64, ramp_ns: u64, duration_ns: u64) -> Stage {
    Stage { rate: Some(rate), concurrency: None, ramp_ns, duration_ns }
}

fn closed(concurrency: u32, ramp_ns: u64, duration_ns: u64) -> Stage {
    Stage { rate: None, concurrency: Some(concurrency), ramp_ns, duration_ns }
}

fn one(stage: Stage) -> Schedule {
    Schedule { stages: vec![stage], ..Schedule::default() }
}

/// All launches of an open loop that is looked at every `step_ns`.
fn launches(schedule: &Schedule, share: Share, step_ns: u64) -> Vec<Launch> {
    let mut all = Vec::new();
    let mut given = Launches::new(schedule, share);
    let mut now = 0;
    while !given.is_over(now) {
        while let Some(launch) = given.next(now, 0) {
            all.push(launch);
        }
        now += step_ns;
    }
    all
}

#[test]
fn a_steady_rate_launches_evenly_and_exactly_so_often() {
    for rate in [1.0, 3.0, 7.0, 1_000.0, 99_999.0] {
        let all = launches(&one(open(rate, 0, 10 * SECOND)), Share::WHOLE, 10_000_000);
        assert_eq!(all.len(), 10 * rate as usize, "{rate}");
        for launch in &all {
            let exact = launch.number as f64 * 1e9 / rate;
            assert!((launch.intended_ns as f64 - exact).abs() <= 2.0 && launch.measured, "{launch:?}");
        }
    }
}

#[test]
fn a_ramp_launches_half_as_often_and_is_not_measured() {
    let all = launches(&one(open(1_000.0, 2 * SECOND, SECOND)), Share::WHOLE, 1_000_000);
    assert_eq!(all.len(), 2_000);
    assert_eq!(all.iter().filter(|launch| launch.measured).count(), 1_000);
    let first_half = all.iter().filter(|launch| launch.intended_ns < SECOND).count();
    assert!((249..=251).contains(&first_half), "{first_half}");
}

#[test]
fn a_stall_moves_no_launch() {
    let mut given = Launches::new(&one(open(1_000.0, 0, SECOND)), Share::WHOLE);
    assert!(given.next(0, 0).is_some() && given.next(0, 0).is_none());
    let after: Vec<_> = std::iter::from_fn(|| given.next(200_000_000, 0)).collect();
    assert_eq!(after.len(), 200);
    assert_eq!(after.iter().map(|l| l.intended_ns).max(), Some(200_000_000));
    // Those that were due before the end leave even when it has passed.
    let late: Vec<_> = std::iter::from_fn(|| given.next(3 * SECOND, 0)).collect();
    assert_eq!(late.len(), 799);
    assert!(given.is_over(3 * SECOND));
}

#[test]
fn loops_share_the_launches() {
    let schedule = Schedule { connections: Some(1_001), ..one(open(1_000.0, SECOND, 2 * SECOND)) };
    let whole: Vec<_> = launches(&schedule, Share::WHOLE, 1_000_000).iter().map(|l| l.intended_ns).collect();
    let mut parts: Vec<_> = (0..3)
        .flat_map(|index| launches(&schedule, Share { index, of: 3 }, 1_000_000))
        .map(|launch| launch.intended_ns)
        .collect();
    parts.sort_unstable();
    assert_eq!(parts.len(), 1_001);
    assert_eq!(parts[..990], whole[..990]);
}

#[test]
fn a_closed_loop_holds_its_number_along_the_ramp() {
    let schedule = one(closed(100, SECOND, SECOND));
    let mut given = Launches::new(&schedule, Share::WHOLE);
    let mut level = 0;
    let mut fill = |now, level: &mut u32| {
        while given.next(now, *level).is_some() {
            *level += 1;
        }
        *level
    };
    assert_eq!(fill(0, &mut level), 0);
    assert_eq!(fill(SECOND / 2, &mut level), 50);
    assert_eq!(fill(SECOND, &mut level), 100);
    level -= 7;
    assert_eq!(fill(SECOND + 1, &mut level), 100);
    level -= 7;
    assert_eq!(fill(2 * SECOND, &mut level), 93, "the time is over");
}

#[test]
fn a_cap_puts_off_what_comes_after_it() {
    let stage = Stage { concurrency: Some(10), ..open(1_000.0, 0, 10 * SECOND) };
    let mut given = Launches::new(&one(stage), Share::WHOLE);
    let mut level = 0;
    while given.next(SECOND, level).is_some() {
        level += 1;
    }
    assert_eq!(level, 10);
    assert!(given.next(2 * SECOND, 10).is_none());
    // One ends: one is launched, and the others keep their distance of a millisecond.
    assert!(given.next(2 * SECOND, 9).is_some());
    assert!(given.next(2 * SECOND, 9).is_none());
    assert!(given.next(2 * SECOND + 1_000_000, 9).is_some());
}

#[test]
fn stages_follow_one_another() {
    let schedule = Schedule {
        stages: vec![open(100.0, 0, SECOND), open(300.0, SECOND, SECOND), closed(5, 0, SECOND)],
        warm_up_ns: SECOND,
        connections: None,
    };
    let all = launches(
        &Schedule { stages: schedule.stages[..2].to_vec(), ..schedule.clone() },
        Share::WHOLE,
        1_000,
    );
    assert_eq!(all.len(), 100 + 100 + 200 + 300);
    assert_eq!(all.iter().filter(|launch| launch.measured).count(), 100 + 300);
    assert_eq!(schedule.measured(), [SECOND..2 * SECOND, 3 * SECOND..4 * SECOND, 4 * SECOND..5 * SECOND]);
    assert_eq!(
        (schedule.end_ns(), schedule.rate_max(), schedule.concurrency_max()),
        (5 * SECOND, Some(300.0), None)
    );
    let mut given = Launches::new(&schedule, Share::WHOLE);
    assert_eq!(given.end_ns(), schedule.end_ns());
    while given.next(4 * SECOND, 0).is_some_and(|launch| launch.number < 699) {}
    let held: Vec<_> = (0..).map_while(|level| given.next(4 * SECOND + 5, level)).collect();
    assert_eq!(held.len(), 5);
    assert!(held.iter().all(|launch| launch.measured && launch.intended_ns == 4 * SECOND + 5));
}

proptest! {
    #[test]
    fn any_rate_launches_rate_times_duration(
        rate in 0.5f64..2e6, ramp_ms in 0u64..500, duration_ms in 1u64..300, of in 1u32..5, step in 1u64..50,
    ) {
        let schedule = one(open(rate, ramp_ms * 1_000_000, duration_ms * 1_000_000));
        let count: usize = (0..of)
            .map(|index| launches(&schedule, Share { index, of }, step * 1_000_000).len())
            .sum();
        let exact = rate * (ramp_ms as f64 / 2.0 + duration_ms as f64) / 1e3;
        prop_assert!((count as f64 - exact).abs() <= 1.0, "{count} {exact}");
    }

    #[test]
    fn parts_make_the_whole(all in any::<u64>(), of in 1u32..100) {
        let sum: u128 = (0..of).map(|index| u128::from(Share { index, of }.part(all))).sum();
        prop_assert_eq!(sum, u128::from(all));
    }
}

#[test]
fn launches_are_known_where_a_rate_or_a_number_says_so() {
    let (open, closed) = (open(100.0, SECOND, 2 * SECOND), closed(5, 0, SECOND));
    let launches = |stages: &[Stage], connections| {
        Schedule { stages: stages.to_vec(), connections, ..Schedule::default() }.launches()
    };
    assert_eq!(launches(&[open], None), Some(250));
    assert_eq!(launches(&[open], Some(7)), Some(7));
    assert_eq!((launches(&[closed], None), launches(&[closed], Some(7))), (None, Some(7)));
    assert_eq!(launches(&[open, closed], None), None);
}

#[test]
fn what_is_due_is_what_would_have_been_launched() {
    let stages = vec![open(300.0, SECOND, SECOND), open(100.0, 2 * SECOND, SECOND)];
    let schedule = Schedule { stages, warm_up_ns: SECOND / 2, connections: None };
    let all = launches(&schedule, Share::WHOLE, 1_000_000);
    let dues = Dues::new(&schedule);
    for now in (0..7 * SECOND).step_by(9_999_991) {
        let launched = all.iter().filter(|launch| launch.intended_ns <= now).count() as u64;
        assert!(dues.by(now).abs_diff(launched) <= 1, "{} {launched} at {now}", dues.by(now));
    }
    assert_eq!(dues.by(u64::MAX), all.len() as u64);
    assert_eq!((dues.is_over(schedule.end_ns() - 1), dues.is_over(schedule.end_ns())), (false, true));
    let few = Dues::new(&Schedule { connections: Some(5), ..schedule });
    assert_eq!((few.by(0), few.by(SECOND), few.by(u64::MAX)), (1, 5, 5));
}

#[test]
fn without_a_rate_everything_is_due_at_once() {
    let dues = Dues::new(&one(closed(5, SECOND, SECOND)));
    assert_eq!((dues.by(0), dues.is_over(2 * SECOND - 1), dues.is_over(2 * SECOND)), (u64::MAX, false, true));
    let few = Dues::new(&Schedule { connections: Some(7), ..one(closed(5, 0, SECOND)) });
    assert_eq!(few.by(0), 7);
}

#[test]
fn a_loop_that_is_too_far_behind_gives_up_and_each_launch_is_either_made_or_missed() {
    for (of, connections) in [(1, None), (3, None), (3, Some(400))] {
        let schedule = Schedule { connections, ..one(open(1_000.0, 0, SECOND)) };
        let (mut made, mut missed) = (0, 0);
        for index in 0..of {
            let mut given = Launches::new(&schedule, Share { index, of });
            for _ in 0..100 {
                made += u64::from(given.next(SECOND, 0).is_some());
            }
            assert_eq!(given.give_up(3 * SECOND - 1, 2 * SECOND), 0, "there is still time");
            missed += given.give_up(3 * SECOND, 2 * SECOND);
            assert!(given.is_over(3 * SECOND) && given.next(3 * SECOND, 0).is_none());
            assert_eq!(given.give_up(4 * SECOND, 2 * SECOND), 0, "told once");
        }
        assert_eq!((made, made + missed), (100 * u64::from(of), connections.unwrap_or(1_000)));
    }
}

#[test]
fn who_has_launched_all_in_time_gives_nothing_up() {
    let mut given = Launches::new(&one(open(1_000.0, 0, SECOND)), Share::WHOLE);
    while given.next(SECOND, 0).is_some() {}
    assert_eq!((given.count(), given.give_up(u64::MAX, 0)), (1_000, 0));
    let mut closed = Launches::new(&one(closed(5, 0, SECOND)), Share::WHOLE);
    assert_eq!(closed.give_up(u64::MAX, 0), 0, "a closed loop owes nothing");
}
