//! How a run begins and ends: what it prints, signals under load, patience, and what open connections see.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{CHARGEN, DISCARD, ECHO, HTTP, Text, connect, echo, expect_end, expect_reset};
use crate::lab::{self, server};
use crate::socket::Dial;

#[test]
fn a_run_says_what_it_is_and_how_it_goes() {
    lab::in_namespace("kernel::ends::a_run_says_what_it_is_and_how_it_goes", || {
        let mut program = lab::serve(&["--stats-interval", "100ms", "--listen", "7=echo"]);
        let before = program.out();
        let lines: Vec<&str> = before.lines().collect();
        assert!(lines[0].starts_with("dpdk-tcp ") && lines[0].contains(" on DPDK "), "{before}");
        for (subject, part) in [
            ("port", "198.18.0.1/24, net_tap0 "),
            ("core", "0 (CPU 0) polls net_tap0"),
            ("memory", "bytes a connection"),
            ("services", "7=echo"),
        ] {
            let found = lines.iter().find(|line| line.trim_start().starts_with(subject)).unwrap();
            assert!(found.contains(part), "{before}");
        }
        let stream = connect(ECHO);
        lab::wait_until("a report", || program.out().contains("  open 1  half-open 0  time-wait 0"));
        let report = program.out();
        assert!(
            report.contains("s  opened ") && report.contains(" Mbit/s  resets 0  retransmitted 0"),
            "{report}"
        );
        drop(stream);
        program.wait_for_line("ready");
        let ended = program.stop();
        assert_eq!(ended.out.lines().filter(|line| line.starts_with("ready ")).count(), 1);
        for line in ended.out.lines() {
            assert!(line.len() <= 200, "{line}");
        }
    });
}

/// Connections of all kinds, until told to stop. Errors are what a program that ends causes.
fn load(stop: &AtomicBool, number: u64, visits: &AtomicU32) {
    let text = Text::new(number);
    let mut buffer = vec![0; 64 << 10];
    while !stop.load(Ordering::Relaxed) {
        let port = [ECHO, HTTP, CHARGEN, DISCARD][number as usize % 4];
        let dial = Dial { patience: Some(Duration::from_millis(500)), ..Dial::default() };
        let Ok(mut stream) = dial.connect(server(port)) else { continue };
        let asked = match port {
            HTTP => stream.write_all(&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20)),
            _ => stream.write_all(&text.from(0)[..10_000]),
        };
        if asked.is_ok() && port != DISCARD {
            let _ = stream.read(&mut buffer);
        }
        visits.fetch_add(1, Ordering::Relaxed);
    }
}

#[track_caller]
fn ends_under_load(ours: &[&str], before_the_end: fn(&lab::Program)) -> lab::Ended {
    let program = lab::serve(ours);
    let (stop, visits) = (AtomicBool::new(false), AtomicU32::new(0));
    let started = Instant::now();
    thread::scope(|scope| {
        for number in 0..8 {
            let (stop, visits) = (&stop, &visits);
            scope.spawn(move || load(stop, number, visits));
        }
        lab::wait_until("a load", || visits.load(Ordering::Relaxed) > 200);
        before_the_end(&program);
        let ended = program.end();
        stop.store(true, Ordering::Relaxed);
        assert!(started.elapsed() < Duration::from_secs(15));
        ended
    })
}

#[test]
fn a_signal_under_load_ends_in_good_order() {
    lab::in_namespace("kernel::ends::a_signal_under_load_ends_in_good_order", || {
        for signal in [libc::SIGTERM, libc::SIGINT] {
            let ended = match signal {
                libc::SIGINT => ends_under_load(&[], |program| program.signal(libc::SIGINT)),
                _ => ends_under_load(&["--drain", "500ms"], |program| program.signal(libc::SIGTERM)),
            };
            ended.assert_clean();
            assert!(ended.count("established") > 200, "{}", ended.out);
        }
    });
}

#[test]
fn the_given_duration_ends_a_run_under_load() {
    lab::in_namespace("kernel::ends::the_given_duration_ends_a_run_under_load", || {
        let ended = ends_under_load(&["--duration", "2s", "--drain", "1s"], |_| {});
        ended.assert_clean();
        let after = ended.out.split_once("account after ").unwrap().1.split('s').next().unwrap();
        let after: f64 = after.parse().unwrap();
        assert!((2.0..4.5).contains(&after), "{after}");
    });
}

#[test]
fn a_second_signal_leaves_at_once_with_status_1() {
    lab::in_namespace("kernel::ends::a_second_signal_leaves_at_once_with_status_1", || {
        let program = lab::serve(&["--drain", "1h"]);
        let streams: Vec<TcpStream> = (0..20).map(|_| connect(ECHO)).collect();
        program.signal(libc::SIGTERM);
        // It takes nobody any more, and waits for those there are.
        lab::wait_until("a refusal", || Dial::default().connect(server(ECHO)).is_err());
        thread::sleep(Duration::from_millis(200));
        let second = Instant::now();
        program.signal(libc::SIGTERM);
        let ended = program.end();
        assert!(second.elapsed() < Duration::from_secs(3), "{:?}", second.elapsed());
        assert_eq!(ended.status.code(), Some(1), "{}{}", ended.out, ended.err);
        let lines: Vec<&str> = ended.err.lines().collect();
        assert_eq!(lines.len(), 1, "{}", ended.err);
        assert!(lines[0].starts_with("dpdk-tcp: ") && lines[0].contains("second signal"), "{}", ended.err);
        drop(streams);
    });
}

#[test]
fn connections_may_finish_while_the_program_drains() {
    lab::in_namespace("kernel::ends::connections_may_finish_while_the_program_drains", || {
        let program = lab::serve(&["--drain", "1m", "--http-body", "4M"]);
        let between = connect(HTTP);
        let mut asking = connect(HTTP);
        asking.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").unwrap();
        let mut loading =
            Dial { receive_buffer: Some(4_096), ..Dial::default() }.connect(server(HTTP)).unwrap();
        loading.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let (echoing, text) = (connect(ECHO), Text::new(1));
        text.send(&echoing, 100);
        text.expect(&echoing, 100);
        thread::sleep(Duration::from_millis(50));
        program.signal(libc::SIGTERM);
        // Between two requests: closed. Within one: answered, and closed then. Echo's peers end it.
        expect_end(&between);
        drop(between);
        lab::wait_until("a refusal", || Dial::default().connect(server(HTTP)).is_err());
        asking.write_all(b"\r\n").unwrap();
        let mut answer = Vec::new();
        asking.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.len() > 4 << 20);
        drop(asking);
        echo(&echoing, 2, 10_000);
        drop(echoing);
        // An answer that was on its way arrives, and its connection is closed then.
        let mut answer = Vec::new();
        loading.read_to_end(&mut answer).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.len() > 4 << 20);
        drop(loading);
        let ended = program.end();
        ended.assert_clean();
        assert_eq!(ended.count("finished"), 4, "{}", ended.out);
    });
}

#[test]
fn what_is_open_when_patience_is_over_is_reset() {
    lab::in_namespace("kernel::ends::what_is_open_when_patience_is_over_is_reset", || {
        let program = lab::serve(&["--drain", "300ms"]);
        let streams: Vec<TcpStream> = [ECHO, DISCARD, CHARGEN].into_iter().map(connect).collect();
        // Closed by the peer, which reads nothing: our FIN waits behind data, and is lost with it.
        let deaf = Dial { receive_buffer: Some(4_096), ..Dial::default() }.connect(server(ECHO)).unwrap();
        Text::new(1).send(&deaf, 50_000);
        deaf.shutdown(Shutdown::Write).unwrap();
        thread::sleep(Duration::from_millis(200));
        let started = Instant::now();
        program.signal(libc::SIGTERM);
        streams.iter().for_each(expect_reset);
        expect_reset(&deaf);
        assert!(started.elapsed() >= Duration::from_millis(290), "{:?}", started.elapsed());
        let ended = program.end();
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        ended.assert_clean();
        assert_eq!((ended.count("aborted"), ended.count("rst_sent")), (4, 4), "{}", ended.out);
    });
}

#[test]
fn with_no_patience_at_all_everything_is_reset_at_once() {
    lab::in_namespace("kernel::ends::with_no_patience_at_all_everything_is_reset_at_once", || {
        // More at once than the limit for resets to strangers allows.
        let program = lab::serve(&["--drain", "0", "--rst-rate", "10"]);
        let streams: Vec<TcpStream> = (0..3_000).map(|_| connect(ECHO)).collect();
        let started = Instant::now();
        program.signal(libc::SIGTERM);
        streams.iter().for_each(expect_reset);
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        let ended = program.end();
        ended.assert_clean();
        assert_eq!((ended.count("aborted"), ended.count("rst_sent")), (3_000, 3_000), "{}", ended.out);
    });
}
