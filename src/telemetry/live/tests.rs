//! Seconds as they are shown.

use super::*;
use crate::telemetry::sample;

fn second(at: u32, rate: f64) -> Second {
    let phase = if at < 3 { "ramp" } else { "measure" };
    let first = sample::run(1_000, 1, rate).series.remove(0);
    Second { at_s: f64::from(at), phase: phase.to_owned(), ..first }
}

fn terminal(columns: usize) -> Screen {
    Screen::Terminal { columns }
}

#[test]
fn a_file_gets_one_line_a_second() {
    let mut live = Live::new(Screen::Lines, "crr", Some(10.0));
    let text: String = (2..4).map(|at| live.second(&second(at, 500_000.0))).collect();
    assert_eq!(
        text,
        "    2.0s  ramp     500,000/s  opened 500,005  open 985  in flight 15  failed 5  \
         established p50 20.00 µs  p99 80.00 µs  client busy 75 %  server busy 50 %\n    \
         3.0s  measure  500,000/s  opened 500,005  open 985  in flight 15  failed 5  \
         established p50 20.00 µs  p99 80.00 µs  client busy 75 %  server busy 50 %\n"
    );
    let quiet = Second { established_p50_ns: 0, established_p99_ns: 0, server_busy: None, ..second(1, 0.0) };
    assert!(live.second(&quiet).ends_with("failed 5  client busy 75 %\n"));
}

#[test]
fn a_terminal_gets_a_block_that_is_drawn_again_in_place() {
    let mut live = Live::new(terminal(100), "crr, 1,000 at a time", Some(10.0));
    let first = live.second(&second(1, 250_000.0));
    assert_eq!(
        first,
        "\r\x1b[2Kcrr, 1,000 at a time  ███░░░░░░░░░░░░░░░░░░░░░░░░░░░  1.0 of 10.0 s  ramp\n\
         \r\x1b[2K       250,000 connections/s  █\n\
         \r\x1b[2K  open 985  in flight 15  failed 5 (5 in all)\n\
         \r\x1b[2K  established p50 20.00 µs  p99 80.00 µs  client busy 75 %  server busy 50 %\n"
    );
    let again = live.second(&second(2, 500_000.0));
    assert!(again.starts_with("\x1b[4A\r\x1b[2K"), "{again:?}");
    assert!(again.contains("500,000 connections/s  ▅█\n"), "{again:?}");
    assert!(again.contains("failed 5 (10 in all)"), "{again:?}");
    live.leave();
    assert!(!live.second(&second(3, 1.0)).contains("\x1b[4A"), "what was printed below stays");
}

#[test]
fn the_sparkline_tells_of_the_last_thirty_seconds() {
    let mut live = Live::new(terminal(100), "crr", None);
    let mut last = String::new();
    // The first second was the fastest; it scrolls out.
    for at in 0..31 {
        last = live.second(&second(at, if at == 0 { 8_000.0 } else { 1_000.0 }));
    }
    assert!(last.contains(&format!("  {}\n", "█".repeat(30))), "{last:?}");
    let mut still = Live::new(terminal(100), "crr", None);
    assert!(still.second(&second(1, 0.0)).contains("/s  ▁\n"), "nothing at all is a low line");
}

#[test]
fn no_line_is_longer_than_the_terminal() {
    for columns in [10, 40, 79] {
        let mut live = Live::new(terminal(columns), "crr, 10,000,000 at a time", Some(3_600.0));
        let text = live.second(&second(1, 500_000.0));
        let bare = text.replace("\r\x1b[2K", "");
        assert!(bare.lines().all(|line| line.chars().count() <= columns), "{bare}");
        assert_eq!(bare.lines().count(), 4);
    }
}

#[test]
fn progress_ends_with_the_schedule_and_is_left_out_where_no_end_is_known() {
    let mut live = Live::new(terminal(100), "crr", Some(4.0));
    let over = live.second(&second(9, 1.0));
    assert!(over.contains(&format!("crr  {}  4.0 of 4.0 s", "█".repeat(BAR))), "{over:?}");
    let mut endless = Live::new(terminal(100), "serve", None);
    assert!(endless.second(&second(9, 1.0)).contains("serve  measure  9.0 s\n"));
}

#[test]
fn a_flood_tells_of_syns() {
    let second = sample::flood(1, 1_000.0).series.remove(0);
    let line = Live::new(Screen::Lines, "flood", None).second(&second);
    assert_eq!(
        line,
        "    1.0s  ramp     1,000/s  SYNs sent 1,500  answered 1,000  client busy 75 %  server busy 50 %\n"
    );
    let block = Live::new(terminal(100), "flood", None).second(&second);
    assert!(block.contains("         1,000 SYNs answered/s  █\n"), "{block:?}");
    assert!(block.contains("  SYNs sent 1,500  answered 1,000\n"), "{block:?}");
}
