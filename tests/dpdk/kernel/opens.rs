//! Connections that open and close: many, short ones, at once, from many addresses; resets; closed ports.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{CHARGEN, ECHO, HTTP, connect, echo, expect_end};
use crate::lab::{self, server};
use crate::socket::{self, Dial};

#[test]
fn connections_that_say_nothing_open_and_close() {
    lab::in_namespace("kernel::opens::connections_that_say_nothing_open_and_close", || {
        let program = lab::serve(&[]);
        for _ in 0..50 {
            drop(connect(ECHO));
            let stream = connect(HTTP);
            stream.shutdown(Shutdown::Write).unwrap();
            expect_end(&stream);
        }
        let ended = program.stop();
        assert_eq!(
            (ended.count("syn"), ended.count("established"), ended.count("finished")),
            (100, 100, 100)
        );
    });
}

/// One short connection, closed by the program first or by its peer first.
fn visit(from: Ipv4Addr, number: u32) -> std::io::Result<()> {
    let dial = Dial { from: Some(from), ..Dial::default() };
    let mut answer = Vec::new();
    if number.is_multiple_of(2) {
        let mut stream = dial.connect(server(HTTP))?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        stream.read_to_end(&mut answer)?;
        assert!(answer.starts_with(b"HTTP/1.1 200 ") && answer.len() > 1_024);
    } else {
        let mut stream = dial.connect(server(ECHO))?;
        let question = number.to_be_bytes();
        stream.write_all(&question)?;
        stream.shutdown(Shutdown::Write)?;
        stream.read_to_end(&mut answer)?;
        assert_eq!(answer, question);
    }
    Ok(())
}

#[test]
fn of_20000_short_connections_from_many_sockets_none_fails() {
    lab::in_namespace("kernel::opens::of_20000_short_connections_from_many_sockets_none_fails", || {
        const EACH: u32 = 2_500;
        let program = lab::serve(&["--time-wait", "2s"]);
        lab::set("net.ipv4.ip_local_port_range", "1024 65535");
        lab::set("net.ipv4.tcp_tw_reuse", "1");
        thread::scope(|scope| {
            for last in 2..10 {
                scope.spawn(move || {
                    let from = Ipv4Addr::new(198, 18, 0, last);
                    for number in 0..EACH {
                        visit(from, number)
                            .unwrap_or_else(|error| panic!("connection {number} from {from}: {error}"));
                    }
                });
            }
        });
        let ended = program.stop();
        assert_eq!((ended.count("established"), ended.count("finished")), (20_000, 20_000), "{}", ended.out);
        assert_eq!(ended.count("time_wait_entered"), 10_000, "{}", ended.out);
        assert_eq!(ended.count("reset_by_peer") + ended.count("aborted") + ended.count("timed_out"), 0);
    });
}

#[test]
fn many_connections_at_once_are_all_open_and_each_gets_its_own_data() {
    lab::in_namespace(
        "kernel::opens::many_connections_at_once_are_all_open_and_each_gets_its_own_data",
        || {
            const THREADS: usize = 16;
            const EACH: usize = 40;
            let mut program = lab::serve(&["--stats-interval", "100ms"]);
            let barrier = std::sync::Barrier::new(THREADS + 1);
            thread::scope(|scope| {
                for number in 0..THREADS {
                    let barrier = &barrier;
                    scope.spawn(move || {
                        let streams: Vec<TcpStream> = (0..EACH).map(|_| connect(ECHO)).collect();
                        barrier.wait();
                        barrier.wait();
                        for (place, mut stream) in streams.iter().enumerate() {
                            stream.write_all(&[number as u8, place as u8]).unwrap();
                        }
                        for (place, mut stream) in streams.iter().enumerate() {
                            let mut answer = [0; 2];
                            stream.read_exact(&mut answer).unwrap();
                            assert_eq!(answer, [number as u8, place as u8]);
                        }
                    });
                }
                barrier.wait();
                lab::wait_until("a report of all connections", || program.out().contains("  open 640  "));
                barrier.wait();
            });
            program.wait_for_line("ready");
            assert_eq!(program.stop().count("finished"), 640);
        },
    );
}

#[test]
fn a_burst_of_connects_beyond_the_backlog_is_served_in_the_end() {
    //= LIS-8
    lab::in_namespace("kernel::opens::a_burst_of_connects_beyond_the_backlog_is_served_in_the_end", || {
        let program = lab::serve(&["--backlog", "1"]);
        let served = AtomicU32::new(0);
        thread::scope(|scope| {
            for number in 0..200 {
                let served = &served;
                scope.spawn(move || {
                    echo(&connect(ECHO), number, 10);
                    served.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        assert_eq!(served.into_inner(), 200);
        assert_eq!(program.stop().count("finished"), 200);
    });
}

#[test]
fn a_close_with_linger_0_is_counted_as_a_reset() {
    lab::in_namespace("kernel::opens::a_close_with_linger_0_is_counted_as_a_reset", || {
        let program = lab::serve(&[]);
        for number in 0..30 {
            let mut stream = connect([ECHO, HTTP, CHARGEN][number % 3]);
            if number % 2 == 0 {
                stream.write_all(b"some words").unwrap();
                thread::sleep(Duration::from_millis(2));
            }
            socket::reset_on_close(&stream);
        }
        echo(&connect(ECHO), 1, 1_000);
        let ended = program.stop();
        assert_eq!((ended.count("reset_by_peer"), ended.count("finished")), (30, 1), "{}", ended.out);
    });
}

#[test]
fn every_closed_port_refuses_at_once() {
    //= CLD-3
    lab::in_namespace("kernel::opens::every_closed_port_refuses_at_once", || {
        let program = lab::serve(&["--listen", "7=echo", "--listen", "600=discard"]);
        let mut open = Vec::new();
        for port in (1..=1_500).chain(64_000..65_500) {
            let started = Instant::now();
            match Dial::default().connect(server(port)) {
                Ok(_) => open.push(port),
                Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "port {port}: {error}"),
            }
            // A SYN that got no answer would have been repeated after a second.
            assert!(started.elapsed() < Duration::from_millis(900), "port {port}");
        }
        assert_eq!(open, [7, 600]);
        let ended = program.stop();
        assert_eq!((ended.count("no_connection"), ended.count("rst_sent")), (2_998, 2_998), "{}", ended.out);
    });
}

#[test]
fn resets_beyond_their_rate_are_not_sent() {
    //= CLD-5
    lab::in_namespace("kernel::opens::resets_beyond_their_rate_are_not_sent", || {
        let program = lab::serve(&["--rst-rate", "10"]);
        let refused = (100..110).filter(|port| {
            let tried = TcpStream::connect_timeout(&server(*port), Duration::from_millis(200));
            tried.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        });
        let refused = refused.count();
        // A fifth at once, and one every 100 ms: one or two in the time that each silence takes.
        assert!((2..10).contains(&refused), "{refused}");
        echo(&connect(ECHO), 1, 1_000);
        let ended = program.stop();
        assert!(ended.count("rst_rate_limited") > 0, "{}", ended.out);
    });
}
