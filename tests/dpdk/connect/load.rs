//! The shape of the load, as the server sees it: how many at a time, how many in all, and when.

use std::fs;

use super::peer::{self, End, Server};
use super::{Client, PORT, Scratch, TARGET, against, connect, count};
use crate::lab;

#[test]
fn a_closed_loop_holds_exactly_as_many_connections_as_it_was_told() {
    lab::in_namespace(
        "connect::load::a_closed_loop_holds_exactly_as_many_connections_as_it_was_told",
        || {
            super::tap();
            let server = Server::start(&[PORT], peer::slow_echo);
            let ours = [TARGET, "--talk", "echo", "--concurrency", "24", "--connections", "240"];
            let left = connect(&ours);
            left.assert_closed(240, &[("fin", 240)]);
            assert_eq!((server.most(), server.accepted()), (24, 240));
            assert_eq!(server.stop(0).len(), 240);
        },
    );
}

#[test]
fn in_random_order_connections_wait_open_for_their_turn() {
    lab::in_namespace("connect::load::in_random_order_connections_wait_open_for_their_turn", || {
        super::tap();
        // Half of them are open after the first second.
        let closed_in_the_first_second = |order| {
            let load = ["--concurrency", "300", "--ramp", "2s", "--duration", "1s", "--order", order];
            let (left, seen) = against(peer::echo, &[&["--talk", "echo"], &load[..]].concat());
            let attempted = left.account().attempted;
            left.assert_closed(attempted, &[("fin", attempted)]);
            assert_eq!(count(&seen, End::TheirFin), attempted);
            assert!(attempted > 300, "{attempted}");
            left.series()[0].closed
        };
        assert_eq!(closed_in_the_first_second("random"), 0);
        assert!(closed_in_the_first_second("own") > 100);
    });
}

#[test]
fn held_connections_are_all_open_at_the_server_until_the_end() {
    lab::in_namespace("connect::load::held_connections_are_all_open_at_the_server_until_the_end", || {
        super::tap();
        let server = Server::start(&[PORT], peer::echo);
        let ours = [TARGET, "--talk", "echo", "--concurrency", "50", "--duration", "1500ms", "--hold"];
        let client = Client::start(&ours);
        lab::wait_until("50 connections", || server.level() == 50);
        let left = client.end();
        left.assert_closed(50, &[("fin", 50)]);
        assert_eq!((server.most(), server.accepted()), (50, 50));
        let measured: Vec<_> = left.series().iter().filter(|second| second.phase == "measure").collect();
        assert!(!measured.is_empty() && measured.iter().all(|second| second.open == 50), "{measured:?}");
        assert_eq!(count(&server.stop(0), End::TheirFin), 50);
    });
}

#[test]
fn connections_are_held_for_as_long_as_they_should() {
    lab::in_namespace("connect::load::connections_are_held_for_as_long_as_they_should", || {
        super::tap();
        let ours = ["--talk", "echo", "--concurrency", "5", "--duration", "1s", "--hold", "200ms"];
        let (left, seen) = against(peer::echo, &ours);
        // Five places, and in each no more than five one after the other.
        let attempted = left.account().attempted;
        assert!((10..=25).contains(&attempted), "{attempted}");
        left.assert_closed(attempted, &[("fin", attempted)]);
        assert_eq!(seen.len() as u64, attempted);
    });
}

#[test]
fn an_open_loop_attempts_rate_times_duration_to_one() {
    lab::in_namespace("connect::load::an_open_loop_attempts_rate_times_duration_to_one", || {
        super::tap();
        for (rate, duration, expected) in [("400", "1s", 400), ("37.5", "800ms", 30)] {
            let ours = ["--talk", "echo", "--rate", rate, "--duration", duration];
            let (left, seen) = against(peer::echo, &ours);
            let attempted = left.account().attempted;
            assert!(attempted.abs_diff(expected) <= 1, "{attempted} instead of {expected}");
            left.assert_closed(attempted, &[("fin", attempted)]);
            assert_eq!(seen.len() as u64, attempted);
        }
    });
}

#[test]
fn a_rate_fills_up_to_a_number_that_is_held() {
    lab::in_namespace("connect::load::a_rate_fills_up_to_a_number_that_is_held", || {
        super::tap();
        let server = Server::start(&[PORT], peer::echo);
        let shape = ["--rate", "100", "--concurrency", "30", "--duration", "1s", "--hold"];
        let left = connect(&[&[TARGET, "--talk", "echo"], &shape[..]].concat());
        left.assert_closed(30, &[("fin", 30)]);
        assert_eq!((server.most(), server.accepted()), (30, 30));
    });
}

#[test]
fn stages_follow_each_other() {
    lab::in_namespace("connect::load::stages_follow_each_other", || {
        super::tap();
        let scratch = Scratch::new();
        let file = scratch.file("stages.toml");
        let stages = |text: &str| {
            fs::write(&file, text).unwrap();
            let server = Server::start(&[PORT], peer::slow_echo);
            let left = connect(&[TARGET, "--talk", "echo", "--stages", &file]);
            let accepted = server.accepted();
            left.assert_closed(accepted, &[("fin", accepted)]);
            (accepted, server.most(), left)
        };
        // 100 × 0.5 s, a ramp from 100 to 300 in 0.5 s, and 300 × 0.5 s.
        let open = "[[stage]]\nrate = 100\nduration = \"500ms\"\n\n\
                    [[stage]]\nrate = \"300\"\nramp = \"500ms\"\nduration = \"500ms\"\n";
        let (accepted, _, left) = stages(open);
        assert!(accepted.abs_diff(50 + 100 + 150) <= 1, "{accepted}");
        assert_eq!(left.run().rate, Some(300.0));
        let closed = "[[stage]]\nconcurrency = 4\nduration = \"300ms\"\n\n\
                      [[stage]]\nconcurrency = 12\nduration = \"300ms\"\n";
        let (_, most, left) = stages(closed);
        assert_eq!((most, left.run().concurrency), (12, Some(12)));
    });
}

#[test]
fn a_drain_that_is_over_resets_what_is_left() {
    lab::in_namespace("connect::load::a_drain_that_is_over_resets_what_is_left", || {
        super::tap();
        let shape = ["--concurrency", "10", "--duration", "200ms", "--drain", "200ms"];
        let words = [&["--talk", "echo", "--reply-timeout", "1m"], &shape[..]].concat();
        let (left, seen) = against(peer::discard, &words);
        assert_eq!(left.account().broken, super::named(&[("cut", 10)]));
        assert_eq!(count(&seen, End::TheirReset), 10);
    });
}

#[test]
fn a_reply_that_does_not_come_in_time_breaks_the_connection() {
    lab::in_namespace("connect::load::a_reply_that_does_not_come_in_time_breaks_the_connection", || {
        super::tap();
        let words = ["--talk", "echo", "--reply-timeout", "50ms", "--connections", "10"];
        let (left, seen) = against(peer::discard, &words);
        assert_eq!(left.account().broken, super::named(&[("reply_timeout", 10)]));
        assert_eq!(count(&seen, End::TheirReset), 10);
    });
}
