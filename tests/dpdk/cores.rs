//! Cores that run jobs, and the clock.

use std::thread;
use std::time::{Duration, Instant};

use dpdk_tcp::dpdk::error::LaunchError;
use dpdk_tcp::dpdk::lcore::{self, Ended, Job};
use dpdk_tcp::dpdk::tsc::TscClock;

use crate::child;

fn job(f: impl FnOnce() -> i32 + Send + 'static) -> Job {
    Box::new(f)
}

#[test]
fn jobs_run_on_their_cores_and_a_panic_is_a_result() {
    child::run("cores::jobs_run_on_their_cores_and_a_panic_is_a_result", || {
        let eal = child::eal(&["--lcores", "2@0,5@0,7@0"]);
        let found = lcore::lcores(&eal);
        let ids: Vec<_> = found.iter().map(|lcore| (lcore.id, lcore.main, lcore.cpus.clone())).collect();
        assert_eq!(ids, [(2, true, vec![0]), (5, false, vec![0]), (7, false, vec![0])]);
        let own = thread::current().id();
        let jobs = vec![
            (5, job(move || i32::from(thread::current().id() == own))),
            (2, job(move || 10 + i32::from(thread::current().id() == own))),
            (7, job(|| panic!("a planted panic"))),
        ];
        let ended = lcore::launch(&eal, jobs).unwrap();
        let planted = Ended::Panicked("a planted panic".to_owned());
        assert_eq!(ended, [(5, Ended::With(0)), (2, Ended::With(11)), (7, planted)]);
        // A core is free again after its job, a panic included.
        assert_eq!(lcore::launch(&eal, vec![(7, job(|| 3))]).unwrap(), [(7, Ended::With(3))]);
    });
}

#[test]
fn jobs_for_wrong_cores_are_refused_before_any_runs() {
    child::run("cores::jobs_for_wrong_cores_are_refused_before_any_runs", || {
        let eal = child::eal(&["-l", "0"]);
        let never = || job(|| panic!("must not run"));
        let wrong = |jobs| lcore::launch(&eal, jobs).unwrap_err();
        assert_eq!(wrong(vec![(0, never()), (9, never())]), LaunchError::NoSuchLcore(9));
        assert_eq!(wrong(vec![(0, never()), (0, never())]), LaunchError::Twice(0));
        let elsewhere = thread::scope(|scope| {
            scope.spawn(|| lcore::launch(&eal, vec![(0, never())]).unwrap_err()).join().unwrap()
        });
        assert_eq!(elsewhere, LaunchError::NotMain);
    });
}

#[test]
fn the_clock_agrees_with_the_systems() {
    child::run("cores::the_clock_agrees_with_the_systems", || {
        let eal = child::eal(&["-l", "0"]);
        let (system, clock) = (Instant::now(), TscClock::new(&eal));
        thread::sleep(Duration::from_millis(200));
        let (passed, shown) = (system.elapsed().as_micros() as f64, clock.now().micros() as f64);
        assert!((shown / passed - 1.0).abs() < 0.02, "{shown} us on the clock, {passed} us passed");
    });
}
