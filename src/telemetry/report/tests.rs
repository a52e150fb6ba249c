//! Reports of made-up runs.

use super::*;
use crate::telemetry::sample;

fn widest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or(0)
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "`{line}` is missing in\n{text}");
}

#[test]
fn repeats_come_to_a_median_and_what_lies_around_it() {
    let runs = [(1, 500_000.0), (2, 520_000.0), (3, 505_000.0)].map(|(n, rate)| sample::run(1_000, n, rate));
    let text = report(&runs, &[], false);
    has(&text, "crr, 1,000 at a time, 3 repeats of 2 s after 2 s of warm-up, on 2 cores");
    has(
        &text,
        "  505,000 connections/s (median; 500,000 to 520,000, 4.0 % of it; the figures below are of repeat 3)",
    );
    has(&text, "  TIME-WAIT of 1 s shortened to 0.5 s at worst (4 entries evicted)");
    has(&text, "                                              client                server");
    has(&text, "  connections/s                              505,000               505,000");
    has(&text, "  floor, and the ratio to it              990, 4.00x            743, 4.00x");
    has(&text, "    cycles in other                              4.0                   4.0");
    has(&text, "    cycles in idle                             600.0                 600.0");
    assert_eq!(text.matches("shortened to 0.5 s instead").count(), 1, "a warning is said once:\n{text}");
    assert!(widest(&text) <= COLUMNS, "{} columns:\n{text}", widest(&text));
}

#[test]
fn latencies_have_units_and_go_up_to_the_largest() {
    let text = report(&[sample::run(1, 1, 1_000.0)], &[], false);
    has(
        &text,
        "  latency            samples       p50       p90       p99     p99.9    p99.99   p99.999       max",
    );
    has(
        &text,
        "  syn              2,000,000  10.00 µs  20.00 µs  40.00 µs  80.00 µs  160.0 µs  320.0 µs  400.0 µs",
    );
    has(
        &text,
        "  closed           2,000,000  50.00 µs  100.0 µs  200.0 µs  400.0 µs  800.0 µs  1.600 ms  2.000 ms",
    );
}

#[test]
fn the_account_is_of_all_repeats_and_gives_a_sentence_for_each_reason() {
    let runs = [1, 2].map(|n| sample::run(1_000, n, 500_000.0));
    let text = report(&runs, &[], false);
    has(&text, "  account of the client, ramp and drain included, of all repeats");
    has(
        &text,
        "    failed: no_tuple                          40  No pair of endpoints was free: all were open or in",
    );
    has(&text, "                                                  TIME-WAIT.");
    has(&text, "    broken: reset                             80  The other end reset it.");
    has(&text, "    closed: finished                   6,000,000  Connections closed by FINs both ways.");
    has(
        &text,
        "    server: rx_missed                         14  Frames lost because the loop did not fetch them in",
    );
    assert!(!text.contains("failed: refused"), "{text}");
}

#[test]
fn a_sweep_has_a_table_with_a_line_for_each_concurrency() {
    let mut runs = vec![sample::run(1_000, 1, 500_000.0), sample::run(1_000_000, 1, 250_000.0)];
    // Another profile between them, which ran at one concurrency alone.
    runs.insert(1, Run { profile: "open".to_owned(), ..sample::run(1_000, 1, 900_000.0) });
    let once = report(&runs[..2], &[], false);
    assert!(!once.contains("by connections at a time"), "{once}");
    runs[2].server = None;
    let text = report(&runs, &[], false);
    assert_eq!(text.matches("by connections at a time").count(), 1, "{text}");
    has(&text, "crr by connections at a time");
    has(
        &text,
        "        1,000        500,000        -        4,000     4.00        3,000     4.00    80.00 µs",
    );
    has(
        &text,
        "    1,000,000        250,000        -        8,000     4.00            -        -    80.00 µs",
    );
    assert!(widest(&text) <= COLUMNS, "{text}");
}

#[test]
fn expectations_say_what_was_measured() {
    let verdicts = [
        Verdict { text: "p99.syn<2ms".to_owned(), held: true, actual: "40.00 µs".to_owned() },
        Verdict { text: "established>=99.99%".to_owned(), held: false, actual: "99.98 %".to_owned() },
    ];
    let text = report(&[], &verdicts, false);
    assert_eq!(
        text,
        "expected p99.syn<2ms  (40.00 µs): held\nexpected established>=99.99%  (99.98 %): failed\n"
    );
}

#[test]
fn colour_comes_only_when_it_is_asked_for() {
    let runs = [sample::run(1_000, 1, 500_000.0)];
    let verdict = [Verdict { text: "x".to_owned(), held: false, actual: "y".to_owned() }];
    let plain = report(&runs, &verdict, false);
    assert!(!plain.contains('\x1b'), "{plain}");
    let painted = report(&runs, &verdict, true);
    assert!(painted.contains("\x1b[31mfailed\x1b[0m"), "{painted}");
    let mut bare = painted;
    for code in ["1", "31", "32", "33", "0"] {
        bare = bare.replace(&format!("\x1b[{code}m"), "");
    }
    assert_eq!(bare, plain, "colour moves nothing");
}

#[test]
fn a_server_alone_is_reported_too() {
    let mut run = sample::run(5, 1, 100.0);
    (run.client, run.concurrency, run.rate) = (None, None, Some(99.5));
    run.time_wait_shortened_s = None;
    run.warnings.clear();
    run.losses.clear();
    let text = report(&[run], &[], false);
    has(&text, "crr, 99.5/s, measured for 2 s after 2 s of warm-up, on 2 cores");
    has(&text, "  TIME-WAIT of 1 s honoured");
    has(&text, "                                              server");
    assert!(!text.contains("latency") && !text.contains("client"), "{text}");
}

#[test]
fn a_flood_is_told_in_syns_and_of_connections_nothing_is_invented() {
    let text = report(&[sample::flood(1, 1e6), sample::flood(2, 1.01e6)], &[], false);
    has(&text, "flood, 2 repeats of 2 s after 2 s of warm-up, on 2 cores");
    assert!(text.contains("\n  1,005,000 SYNs answered/s (median; 1,000,000 to 1,010,000"), "{text}");
    has(&text, "  answered                                 99.9750 %");
    has(&text, "  server's busy cycles a SYN                   1,000");
    has(&text, "  floor, and the ratio to it              250, 4.00x");
    has(&text, "  busy cycles less the floor                     750");
    has(&text, "    cycles in process                          300.0");
    has(&text, "  busy share                                  50.0 %                99.0 %");
    has(&text, "    sent                               8,000,000");
    has(
        &text,
        "    unanswered                             2,000  Nothing had come back by the end of the drain.",
    );
    has(
        &text,
        "    server: rx_missed                         14  Frames lost because the loop did not fetch them in",
    );
    assert!(!text.contains("connection") && !text.contains("TIME-WAIT"), "{text}");
    assert!(widest(&text) <= COLUMNS, "{text}");
}

#[test]
fn a_flood_of_a_closed_port_is_told_by_what_was_sent_and_its_account_names_what_was_dropped() {
    let text = report(&[sample::closed_flood()], &[], false);
    has(
        &text,
        "flood of a closed port beside 1,000,000 connections, measured for 2 s after 2 s of warm-up, on 2",
    );
    has(&text, "  1,000,250 SYNs/s");
    has(&text, "  tables on transparent huge pages (94 % of 3,973 MiB)");
    has(&text, "    refused                               80,000  By a reset that acknowledges them.");
    has(&text, "    refused, says the server              80,000");
    has(
        &text,
        "    dropped: rst_rate_limited          3,919,000  The limit of resets a second was reached (CLD-5).",
    );
    assert!(!text.contains("SYNs answered/s"), "{text}");
    assert!(widest(&text) <= COLUMNS, "{text}");
}

#[test]
fn small_pages_have_no_share_of_huge_ones() {
    let small = Tables { pages: "small pages".to_owned(), bytes: 5 << 20, huge_share: 0.0 };
    assert_eq!(small.text(), "small pages (5 MiB)");
}

#[test]
fn floods_against_other_servers_do_not_repeat_each_other() {
    let (open, closed) = (sample::flood(1, 1e6), sample::closed_flood());
    assert!(open.repeats(&sample::flood(2, 2e6)) && !open.repeats(&closed) && closed.repeats(&closed));
}

#[test]
fn a_stream_s_text_stands_beside_that_of_a_loop() {
    let mut run = sample::stream(21.136e9);
    has(
        &report(std::slice::from_ref(&run), &[], false),
        "  21.14 Gbit/s of text, 0.50 of the 42.27 of a loop that copies and sums it",
    );
    let stream = run.stream.as_mut().unwrap();
    (stream.copied_bits_per_second, stream.ratio_to_copies) = (None, None);
    has(&report(&[run], &[], false), "  21.14 Gbit/s of text");
}
