//! Every profile against every kind of plain server: the same counts at both ends, and nothing fails.

use super::peer::{self, ANSWER, End, REQUEST, Service};
use super::{Left, against, count, octets};
use crate::lab;

/// So many connections, of which each ends like this at the server, and by this name at the client.
#[track_caller]
fn run(service: Service, ours: &[&str], connections: u64, end: End, way: &str) -> Left {
    let number = connections.to_string();
    let words = [ours, &["--concurrency", "4", "--connections", &number]].concat();
    let (left, seen) = against(service, &words);
    left.assert_closed(connections, &[(way, connections)]);
    assert_eq!(seen.len() as u64, connections);
    assert_eq!(count(&seen, end), connections, "{ours:?} {seen:?}");
    // What was reset may have been under way.
    if end != End::TheirReset {
        assert_eq!(octets(&seen), left.account().octets_sent, "{ours:?}");
    }
    left
}

/// How many requests and replies there were.
fn talks(left: &Left) -> (u64, u64) {
    (left.account().requests, left.account().replies)
}

#[test]
fn connections_that_say_nothing_open_and_close() {
    lab::in_namespace("connect::profiles::connections_that_say_nothing_open_and_close", || {
        super::tap();
        let open = run(peer::discard, &["--profile", "open"], 200, End::TheirReset, "rst");
        assert_eq!(talks(&open), (0, 0));
        run(peer::discard, &["--profile", "open-close"], 200, End::TheirFin, "fin");
        run(peer::discard, &["--profile", "open-close", "--close", "rst"], 50, End::TheirReset, "rst");
        run(peer::close, &["--profile", "open-close", "--close", "peer"], 50, End::OurFin, "peer");
        run(peer::chargen, &["--profile", "open"], 50, End::TheirReset, "rst");
    });
}

#[test]
fn one_request_is_asked_and_answered() {
    lab::in_namespace("connect::profiles::one_request_is_asked_and_answered", || {
        super::tap();
        let echo = run(peer::echo, &["--talk", "echo"], 200, End::TheirFin, "fin");
        assert_eq!(talks(&echo), (200, 200));
        assert_eq!(echo.account().octets_received, 200 * REQUEST as u64);
        let verified = ["--talk", "echo", "--verify", "--request-size", "10000"];
        let verified = run(peer::echo, &verified, 50, End::TheirFin, "fin");
        assert_eq!(verified.account().octets_received, 500_000);
        let raw = ["--talk", "raw", "--reply-size", "200"];
        let raw = run(peer::answer, &raw, 200, End::TheirFin, "fin");
        assert_eq!(raw.account().octets_received, 200 * ANSWER as u64);
        let http = run(peer::http, &[], 100, End::TheirFin, "fin");
        assert_eq!(talks(&http), (100, 100));
        run(peer::http, &["--close", "peer"], 50, End::OurFin, "peer");
        run(peer::http_to_the_end, &[], 50, End::OurFin, "peer");
    });
}

#[test]
fn streams_ask_again_and_again() {
    lab::in_namespace("connect::profiles::streams_ask_again_and_again", || {
        super::tap();
        let stream = ["--profile", "stream", "--requests", "20"];
        let http = run(peer::http, &stream, 20, End::TheirFin, "fin");
        assert_eq!(talks(&http), (400, 400));
        let echo = [&stream[..], &["--talk", "echo", "--verify"]].concat();
        let echo = run(peer::echo, &echo, 20, End::TheirFin, "fin");
        assert_eq!(echo.account().octets_received, 400 * REQUEST as u64);
        let raw = [&stream[..], &["--talk", "raw", "--reply-size", "200", "--think", "1ms"]].concat();
        let raw = run(peer::answer, &raw, 20, End::TheirFin, "fin");
        assert_eq!(talks(&raw), (400, 400));
    });
}

#[test]
fn bulk_goes_up_down_and_both_ways() {
    lab::in_namespace("connect::profiles::bulk_goes_up_down_and_both_ways", || {
        super::tap();
        let stream = ["--profile", "stream", "--bytes", "1M", "--direction"];
        let up = run(peer::discard, &[&stream[..], &["up"]].concat(), 8, End::TheirFin, "fin");
        assert_eq!(up.account().octets_sent, 8 << 20);
        let both = [&stream[..], &["both", "--verify"]].concat();
        let both = run(peer::echo, &both, 8, End::TheirFin, "fin");
        assert_eq!((both.account().octets_sent, both.account().octets_received), (8 << 20, 8 << 20));
        // A server that never stops talking is reset when it has said enough.
        let words = [&stream[..], &["down", "--close", "rst"]].concat();
        let down = run(peer::chargen, &words, 8, End::TheirReset, "rst");
        assert!(down.account().octets_received >= 8 << 20, "{:?}", down.account());
    });
}

#[test]
fn other_octets_than_were_sent_are_wrong_data() {
    lab::in_namespace("connect::profiles::other_octets_than_were_sent_are_wrong_data", || {
        super::tap();
        let words = ["--talk", "echo", "--verify", "--connections", "20"];
        let (left, seen) = against(peer::lie, &words);
        assert_eq!(left.account().broken, super::named(&[("wrong_data", 20)]));
        assert_eq!(count(&seen, End::TheirReset), 20);
    });
}
