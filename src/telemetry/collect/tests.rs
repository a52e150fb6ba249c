//! Intervals made by hand, as two loops of each side would hand them over.

use super::*;
use crate::base::drop_reason::DropReason;
use crate::load::schedule::Stage;
use crate::stats::account::{Broken, Way};
use crate::stats::counters::Counters;
use crate::stats::interval::Work;
use crate::stats::losses::Losses;
use crate::stats::snapshot::Snapshot;

const SECOND: u64 = 1_000_000_000;

/// A second of ramp, one of warm-up, two that are measured.
fn schedule() -> Schedule {
    let stage = Stage { rate: Some(100.0), concurrency: None, ramp_ns: SECOND, duration_ns: 2 * SECOND };
    Schedule { stages: vec![stage], warm_up_ns: SECOND, connections: None }
}

fn plan(client_loops: u32, server_loops: u32) -> Plan {
    let side = |loops| (loops > 0).then_some(SidePlan { loops, engine: true });
    Plan { schedule: schedule(), client: side(client_loops), server: side(server_loops), ..Plan::default() }
}

fn snapshot(counts: &[(Counter, u64)], drops: &[(DropReason, u64)]) -> Snapshot {
    let counters = Counters::default();
    counts.iter().for_each(|(counter, n)| counters.add(*counter, *n));
    for (reason, n) in drops {
        (0..*n).for_each(|_| counters.drop_one(*reason));
    }
    Snapshot::of(std::iter::once(&counters))
}

/// A client that closed `n` connections by `mark` seconds, with six packets and 500 busy cycles each.
fn client(mark: u64, n: u64) -> Interval {
    let mut interval = Interval { to_ns: mark * SECOND, mark_ns: mark * SECOND, ..Interval::default() };
    interval.account.attempted = n;
    interval.account.established = n;
    interval.account.closed[Way::Fin as usize] = n;
    interval.counters = snapshot(
        &[
            (Counter::SynSent, n),
            (Counter::Established, n),
            (Counter::Finished, n),
            (Counter::RxSegments, 3 * n),
            (Counter::TxSegments, 3 * n),
            (Counter::RxFrames, 3 * n),
            (Counter::TxFrames, 3 * n),
        ],
        &[],
    );
    interval.work = Work { busy_cycles: 500 * n, idle_cycles: 500 * n, ..Work::default() };
    interval
}

fn server(mark: u64, n: u64) -> Interval {
    let mut interval = client(mark, n);
    interval.account = crate::stats::account::Tally::default();
    interval.counters = snapshot(
        &[
            (Counter::Syn, n),
            (Counter::Established, n),
            (Counter::Finished, n),
            (Counter::RxFrames, 3 * n),
            (Counter::TxFrames, 3 * n),
        ],
        &[],
    );
    interval
}

fn facts() -> Facts {
    Facts { profile: "crr".to_owned(), repeat: 1, cores: 2, tsc_hz: 1_000_000, ..Facts::default() }
}

#[test]
fn ramp_warm_up_and_drain_stand_outside_the_figures() {
    let mut collector = Collector::new(plan(1, 0));
    // Fast where it is not measured, and 100 a second where it is.
    for (mark, n) in [(1, 1_000), (2, 2_000), (3, 2_100), (4, 2_200), (5, 5_000)] {
        let ready = collector.add(Role::Client, 0, &client(mark, n)).unwrap();
        assert_eq!(ready.len(), 1);
    }
    let run = collector.finish(&facts());
    let phases: Vec<_> = run.series.iter().map(|second| second.phase.as_str()).collect();
    assert_eq!(phases, ["ramp", "warm-up", "measure", "measure", "drain"]);
    let side = run.client.unwrap();
    assert_eq!((run.duration_s, run.warm_up_s), (2.0, 2.0));
    assert_eq!((side.closed, side.connections_per_second), (200, 100.0));
    assert_eq!((side.cycles_per_connection, side.packets_per_connection), (500.0, 6.0));
    assert_eq!(side.account.closed_all(), 5_000, "the account is of the whole run");
    assert_eq!(run.series[2].connections_per_second, 100.0);
    assert!(run.server.is_none() && run.warnings.is_empty(), "{:?}", run.warnings);
}

#[test]
fn durations_are_those_of_the_clock_and_not_of_the_marks() {
    let mut collector = Collector::new(plan(1, 0));
    for (mark, late_ns, n) in [(1, 0, 0), (2, 100_000_000, 0), (3, 0, 90), (4, 350_000_000, 225)] {
        let mut interval = client(mark, n);
        interval.to_ns += late_ns;
        collector.add(Role::Client, 0, &interval).unwrap();
    }
    let run = collector.finish(&facts());
    assert!((run.duration_s - 2.25).abs() < 1e-9);
    assert!((run.client.unwrap().connections_per_second - 100.0).abs() < 1e-9);
}

#[test]
fn a_moment_is_ready_when_the_last_loop_has_reached_it() {
    let mut collector = Collector::new(plan(2, 1));
    let mut one = client(1, 10);
    one.latencies.record(Phase::Established, 1_000_000);
    let mut two = client(1, 20);
    two.latencies.record(Phase::Established, 3_000_000);
    assert!(collector.add(Role::Client, 1, &one).unwrap().is_empty());
    assert!(collector.add(Role::Client, 1, &client(2, 30)).unwrap().is_empty());
    assert!(collector.add(Role::Server, 0, &server(1, 30)).unwrap().is_empty());
    let ready = collector.add(Role::Client, 0, &two).unwrap();
    let [ready] = &ready[..] else { panic!("{ready:?}") };
    assert_eq!(
        (ready.second.attempted, ready.second.closed, ready.from_ns, ready.to_ns),
        (30, 30, 0, SECOND)
    );
    assert_eq!(ready.latencies.of(Phase::Established).len(), 2);
    assert!(ready.second.established_p99_ns >= 2_990_000, "{:?}", ready.second);
    assert_eq!((ready.second.client_busy, ready.second.server_busy), (Some(0.5), Some(0.5)));
}

#[test]
fn a_loop_that_has_ended_keeps_nobody_waiting() {
    let mut collector = Collector::new(plan(2, 0));
    collector.add(Role::Client, 0, &client(1, 10)).unwrap();
    collector.add(Role::Client, 1, &client(1, 10)).unwrap();
    assert!(collector.add(Role::Client, 0, &client(2, 30)).unwrap().is_empty());
    let ready = collector.ended(Role::Client, 1);
    assert_eq!(ready.iter().map(|ready| ready.second.closed).collect::<Vec<_>>(), [20]);
    assert_eq!(collector.client().closed_all(), 40);
}

#[test]
fn a_mark_that_a_loop_left_out_is_joined_to_the_next() {
    let mut collector = Collector::new(plan(2, 0));
    let mut first = client(1, 10);
    first.latencies.record(Phase::Syn, 5);
    collector.add(Role::Client, 0, &first).unwrap();
    collector.add(Role::Client, 0, &client(2, 30)).unwrap();
    let ready = collector.add(Role::Client, 1, &client(2, 5)).unwrap();
    let [ready] = &ready[..] else { panic!("{ready:?}") };
    assert_eq!((ready.second.closed, ready.latencies.of(Phase::Syn).len()), (35, 1));
}

#[test]
fn what_was_counted_before_the_run_is_left_out() {
    let mut collector = Collector::new(plan(0, 1));
    let mut before = server(0, 70);
    before.to_ns = 0;
    assert!(collector.add(Role::Server, 0, &before).unwrap().is_empty());
    collector.add(Role::Server, 0, &server(1, 100)).unwrap();
    assert_eq!(collector.server().attempted, 30);
}

#[test]
fn a_run_without_a_schedule_is_measured_from_its_start() {
    let mut collector = Collector::new(Plan { schedule: Schedule::default(), ..plan(0, 1) });
    collector.add(Role::Server, 0, &server(1, 100)).unwrap();
    collector.add(Role::Server, 0, &server(2, 200)).unwrap();
    let run = collector.finish(&facts());
    assert!(run.series.iter().all(|second| second.phase == "measure"));
    assert_eq!((run.duration_s, run.server.unwrap().connections_per_second), (2.0, 100.0));
}

#[test]
fn a_run_that_is_stopped_is_measured_up_to_there() {
    let mut collector = Collector::new(plan(1, 0));
    for (mark, n) in [(1, 0), (2, 0), (3, 100)] {
        collector.add(Role::Client, 0, &client(mark, n)).unwrap();
    }
    collector.stop(3 * SECOND + 1);
    collector.add(Role::Client, 0, &client(4, 9_000)).unwrap();
    let run = collector.finish(&facts());
    assert_eq!((run.duration_s, run.client.unwrap().closed), (1.0, 100));
    assert_eq!(run.series[3].phase, "drain");
}

#[test]
fn what_comes_before_the_measured_time_is_never_a_part_of_an_interrupted_run_s() {
    // Measured from 2 s on.
    let mut soon = Collector::new(plan(1, 0));
    for (mark, n) in [(1, 0), (2, 100)] {
        soon.add(Role::Client, 0, &client(mark, n)).unwrap();
    }
    soon.stop(2 * SECOND + 1);
    soon.add(Role::Client, 0, &client(3, 150)).unwrap();
    let run = soon.finish(&facts());
    assert_eq!((run.duration_s, run.warm_up_s, run.client.unwrap().closed), (1.0, 2.0, 50));
    assert!(run.warnings[0].contains("interrupted early"), "{:?}", run.warnings);
    let mut before = Collector::new(plan(1, 0));
    before.add(Role::Client, 0, &client(1, 100)).unwrap();
    before.stop(SECOND + 1);
    before.add(Role::Client, 0, &client(2, 150)).unwrap();
    let run = before.finish(&facts());
    let side = run.client.unwrap();
    assert_eq!((run.duration_s, side.closed, side.connections_per_second), (0.0, 0, 0.0));
    assert_eq!(side.account.closed_all(), 150, "the account is of all of it");
    assert!(run.warnings[0].contains("nothing was measured"), "{:?}", run.warnings);
}

#[test]
fn a_run_that_is_too_short_says_so() {
    let mut collector = Collector::new(plan(1, 0));
    collector.add(Role::Client, 0, &client(1, 50)).unwrap();
    let run = collector.finish(&facts());
    assert_eq!((run.duration_s, run.client.unwrap().closed), (1.0, 50));
    assert!(run.warnings[0].contains("over before"), "{:?}", run.warnings);
}

#[test]
fn several_measured_times_are_added_up() {
    let mut plan = plan(1, 0);
    plan.schedule.stages.push(plan.schedule.stages[0]);
    let mut collector = Collector::new(plan);
    // 2..4 and 5..7 are measured; the ramp between them is not.
    for (mark, n) in [(2, 0), (3, 10), (4, 20), (5, 500), (6, 530), (7, 560)] {
        let mut interval = client(mark, n);
        interval.time_wait = 8;
        collector.add(Role::Client, 0, &interval).unwrap();
    }
    let run = collector.finish(&facts());
    let side = run.client.unwrap();
    assert_eq!((run.duration_s, side.closed, side.time_wait), (4.0, 80, 8.0));
    assert_eq!(run.series[3].phase, "ramp");
}

#[test]
fn an_account_that_does_not_balance_is_an_error() {
    let mut wrong = client(1, 10);
    wrong.account.attempted = 11;
    let error = Collector::new(plan(1, 0)).add(Role::Client, 0, &wrong).unwrap_err();
    assert!(error.to_string().contains("client loop 0 does not balance: 11 attempted"), "{error}");
    let error = Collector::new(plan(1, 0)).add(Role::Client, 7, &client(1, 1)).unwrap_err();
    assert_eq!(error, CollectError::NoLoop { role: Role::Client, number: 7 });
}

#[test]
fn an_account_that_its_engine_contradicts_is_an_error() {
    // A tuple that was not there is no SYN; a SYN that timed out is one.
    let with = |syn_sent: u64| {
        let mut interval = client(1, 10);
        interval.account.attempted += 2;
        interval.account.failed[Failed::NoTuple as usize] = 1;
        interval.account.failed[Failed::SynTimedOut as usize] = 1;
        interval
            .counters
            .add(&snapshot(&[(Counter::SynSent, syn_sent), (Counter::SynTimedOut, syn_sent)], &[]));
        Collector::new(plan(1, 0)).add(Role::Client, 0, &interval).map(|ready| ready.len())
    };
    assert_eq!(with(1), Ok(1));
    let wrong = CollectError::Engine { number: 0, what: "opened", counted: 11, engine: 12 };
    assert_eq!(with(2), Err(wrong));
}

#[test]
fn a_connection_that_left_no_trace_is_an_error() {
    let mut lost = server(1, 10);
    lost.counters.add(&snapshot(&[(Counter::Syn, 1)], &[]));
    let error = Collector::new(plan(0, 1)).add(Role::Server, 0, &lost).unwrap_err();
    assert!(
        error.to_string().contains("server loop 0 began 11 connections and ended 10, but has 0"),
        "{error}"
    );
    lost.connections = 1;
    assert!(Collector::new(plan(0, 1)).add(Role::Server, 0, &lost).is_ok());
}

/// Two sides, three frames of the client's lost: one by the server's device, one by the server, one by nobody.
#[test]
fn both_accounts_say_where_frames_were_lost() {
    let mut collector = Collector::new(plan(1, 1));
    let mut ours = client(1, 10);
    ours.counters.add(&snapshot(&[(Counter::TxFrames, 3)], &[]));
    let mut theirs = server(1, 10);
    theirs.counters.add(&snapshot(&[(Counter::RxFrames, 1)], &[(DropReason::SynQueueFull, 1)]));
    collector.add(Role::Client, 0, &ours).unwrap();
    collector.add(Role::Server, 0, &theirs).unwrap();
    let mut facts = facts();
    facts.server.losses = Losses { rx_missed: 1, ..Losses::default() };
    let run = collector.finish(&facts);
    let losses: Vec<_> = run.losses.iter().map(|l| (l.place.as_str(), l.reason.as_str(), l.count)).collect();
    assert_eq!(
        losses,
        [("server", "rx_missed", 1), ("server", "syn_queue_full", 1), ("link", "client_to_server", 1)]
    );
    assert!(run.warnings.iter().any(|w| w.starts_with("server: 1 syn_queue_full")), "{:?}", run.warnings);
}

#[test]
fn sides_that_differ_by_more_than_was_lost_are_warned_of() {
    let mut collector = Collector::new(plan(1, 1));
    collector.add(Role::Client, 0, &client(1, 10)).unwrap();
    let mut theirs = server(1, 9);
    theirs.counters.add(&snapshot(&[(Counter::RxFrames, 3), (Counter::TxFrames, 3)], &[]));
    collector.add(Role::Server, 0, &theirs).unwrap();
    let run = collector.finish(&facts());
    assert!(run.losses.is_empty(), "{:?}", run.losses);
    let sentence = "established 10 connections and the server 9, but only 0 frames";
    assert!(run.warnings.iter().any(|warning| warning.contains(sentence)), "{:?}", run.warnings);
}

#[test]
fn at_saturation_busy_cycles_that_did_not_pass_are_warned_of() {
    let run = |busy_cycles: u64, cores: u32, tsc_hz: u64| {
        let mut collector = Collector::new(plan(1, 1));
        for mark in 1..=4 {
            let mut ours = client(mark, 100 * mark);
            ours.work = Work { busy_cycles: mark * busy_cycles, ..Work::default() };
            let mut theirs = server(mark, 100 * mark);
            theirs.work = ours.work;
            collector.add(Role::Client, 0, &ours).unwrap();
            collector.add(Role::Server, 0, &theirs).unwrap();
        }
        collector.finish(&Facts { cores, tsc_hz, ..facts() })
    };
    let each = run(1_000_000, 2, 1_000_000);
    assert_eq!(each.client.as_ref().unwrap().elapsed_cycles_per_connection, 10_000.0);
    assert_eq!(each.client.unwrap().cycles_per_connection, 10_000.0);
    assert_eq!(each.warnings, [""; 0]);
    assert_eq!(run(800_000, 2, 1_000_000).warnings.len(), 2, "a fifth is missing on both sides");
    assert_eq!(run(500_000, 1, 1_000_000).warnings, [""; 0], "both take turns on one core");
    assert_eq!(run(400_000, 1, 1_000_000).warnings.len(), 1);
}

#[test]
fn a_side_on_kernel_sockets_has_an_account_alone() {
    let side = Some(SidePlan { loops: 1, engine: false });
    let mut collector = Collector::new(Plan { client: side, server: side, ..plan(0, 0) });
    let mut interval = client(1, 10);
    interval.counters = Snapshot::default();
    interval.account.established += 1;
    interval.account.attempted += 1;
    interval.account.broken[Broken::Reset as usize] = 1;
    for role in Role::BOTH {
        collector.add(role, 0, &interval).unwrap();
    }
    let run = collector.finish(&facts());
    let server = run.server.unwrap();
    assert_eq!((server.account.established, server.account.broken_all()), (11, 1));
    assert_eq!((server.packets_per_connection, run.losses.len()), (0.0, 0));
}

#[test]
fn a_flood_s_syns_are_counted_and_no_connections_are() {
    let flooding = Some(SidePlan { loops: 1, engine: false });
    let mut collector = Collector::new(Plan { client: flooding, flood: true, ..plan(0, 1) });
    for (mark, sent) in [(1, 1_000), (2, 2_000), (3, 2_300), (4, 2_600), (5, 2_600)] {
        let mut near = Interval { to_ns: mark * SECOND, mark_ns: mark * SECOND, ..Interval::default() };
        near.syns.sent = sent;
        near.syns.answered = sent - 10 * (5 - mark);
        let frames = [(Counter::TxFrames, sent), (Counter::RxFrames, near.syns.answered)];
        let mut far = Interval {
            work: Work { busy_cycles: 400 * sent, idle_cycles: 400 * sent, ..Work::default() },
            ..near.clone()
        };
        near.counters = snapshot(&frames, &[]);
        far.syns = crate::stats::syns::Syns::default();
        let taken = [(Counter::RxFrames, sent), (Counter::TxFrames, sent), (Counter::CookiesSent, sent)];
        far.counters = snapshot(&taken, &[]);
        collector.add(Role::Client, 0, &near).unwrap();
        collector.add(Role::Server, 0, &far).unwrap();
    }
    let run = collector.finish(&facts());
    let flood = run.flood.unwrap();
    assert_eq!((flood.syns, flood.answered, flood.syns_per_second), (600, 620, 300.0));
    assert_eq!((flood.cycles_per_syn, flood.answered_share), (400.0, 1.0));
    assert!((flood.elapsed_cycles_per_syn - 2e6 / 620.0).abs() < 1e-9, "{flood:?}");
    assert_eq!((run.series[2].syns, run.series[2].answered), (Some(300), Some(310)));
    let client = run.client.unwrap();
    assert_eq!((client.established, client.account.attempted, client.stages.len()), (0, 0, 0));
    assert!(run.losses.is_empty() && run.warnings.is_empty(), "{:?} {:?}", run.losses, run.warnings);
}

#[test]
fn what_a_server_accepted_before_it_noticed_the_beginning_is_the_run_s() {
    let kernel = SidePlan { loops: 1, engine: false };
    let mut collector = Collector::new(Plan { server: Some(kernel), ..plan(0, 0) });
    let at = |mark: u64, accepted: u64, closed: u64| {
        let mut interval = Interval { to_ns: mark * SECOND, mark_ns: mark * SECOND, ..Interval::default() };
        (interval.account.attempted, interval.account.established) = (accepted, accepted);
        interval.account.closed[Way::Peer as usize] = closed;
        interval.account.open = accepted - closed;
        interval
    };
    collector.add(Role::Server, 0, &at(0, 7, 0)).unwrap();
    collector.add(Role::Server, 0, &at(1, 20, 20)).unwrap();
    let account = collector.finish(&facts()).server.unwrap().account;
    assert_eq!((account.attempted, account.established, account.closed_all(), account.open), (20, 20, 20, 0));
}
