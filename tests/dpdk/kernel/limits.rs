//! Limits that are reached: connections, TIME-WAIT records, memory for data. What is beyond waits or goes, and
//! the report says so.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use super::{ECHO, HTTP, Text, connect, echo};
use crate::lab::{self, server};
use crate::socket::Dial;

/// Whether the program still answers on this connection.
fn answers(mut stream: &TcpStream) -> bool {
    let mut answer = [0; 5];
    stream.write_all(b"hello").and_then(|()| stream.read_exact(&mut answer)).is_ok() && answer == *b"hello"
}

#[test]
fn connections_beyond_the_most_wait_until_there_is_room() {
    //= LIM-4
    lab::in_namespace("kernel::limits::connections_beyond_the_most_wait_until_there_is_room", || {
        let program = lab::serve(&["--max-connections", "20"]);
        let mut open: Vec<TcpStream> = (0..20).map(|_| connect(ECHO)).collect();
        assert!(open.iter().all(answers));
        let beyond = TcpStream::connect_timeout(&server(ECHO), Duration::from_millis(500));
        assert!(beyond.is_err(), "a connection beyond the most");
        assert!(open.iter().all(answers));
        thread::scope(|scope| {
            // Its SYN finds no place, is repeated, and finds the one that has become free in the meantime.
            let late = scope.spawn(|| connect(ECHO));
            thread::sleep(Duration::from_millis(300));
            open.pop();
            open.push(late.join().unwrap());
        });
        assert!(open.iter().all(answers));
        drop(open);
        let ended = program.stop();
        assert_eq!((ended.count("established"), ended.count("finished")), (21, 21), "{}", ended.out);
        assert!(ended.count("no_tcb") >= 2, "{}", ended.out);
        assert!(ended.out.contains("give a larger --max-connections"), "{}", ended.out);
    });
}

#[test]
fn a_full_table_of_time_wait_loses_the_oldest_and_says_so() {
    //= LIM-7
    lab::in_namespace("kernel::limits::a_full_table_of_time_wait_loses_the_oldest_and_says_so", || {
        let program = lab::serve(&["--time-wait-max", "10"]);
        for _ in 0..100 {
            let mut stream = connect(HTTP);
            stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
        }
        let ended = program.stop();
        assert_eq!(ended.count("time_wait_entered"), 100, "{}", ended.out);
        assert_eq!(ended.count("time_wait_evicted"), 90, "{}", ended.out);
        let told =
            ended.out.lines().find(|line| line.contains("TIME-WAIT was shortened to 0.")).unwrap_or("");
        assert!(told.contains("instead of 60.0s") && told.contains("--time-wait-max"), "{}", ended.out);
    });
}

/// The kernel has its port again when our last ACK has come.
fn connect_when_the_port_is_free(port: u16) -> TcpStream {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        match Dial::default().connect(server(port)) {
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(10));
            }
            result => return result.unwrap(),
        }
    }
}

#[test]
fn a_pair_of_ports_in_time_wait_may_be_used_again_by_a_newer_connection() {
    //= TMW-5
    lab::in_namespace(
        "kernel::limits::a_pair_of_ports_in_time_wait_may_be_used_again_by_a_newer_connection",
        || {
            let program = lab::serve(&[]);
            // One port of the kernel's, so that every connection is the same pair.
            lab::set("net.ipv4.ip_local_port_range", "40000 40000");
            for _ in 0..10 {
                let mut stream = connect_when_the_port_is_free(HTTP);
                stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
                stream.read_to_end(&mut Vec::new()).unwrap();
                drop(stream);
                // The clock of the timestamps must not stand still.
                thread::sleep(Duration::from_millis(10));
            }
            let ended = program.stop();
            assert_eq!(ended.count("time_wait_reopened"), 9, "{}", ended.out);
            assert_eq!(ended.count("established"), 10, "{}", ended.out);
        },
    );
}

#[test]
fn without_memory_for_data_the_peers_wait_and_nothing_is_lost() {
    lab::in_namespace("kernel::limits::without_memory_for_data_the_peers_wait_and_nothing_is_lost", || {
        let program = lab::serve(&["--buffers", "1M"]);
        let streams: Vec<TcpStream> = (0..6).map(|_| connect(ECHO)).collect();
        let texts: Vec<Text> = (0..6).map(Text::new).collect();
        thread::scope(|scope| {
            for (stream, text) in streams.iter().zip(&texts) {
                scope.spawn(|| text.send(stream, 1_500_000));
            }
            // All the memory is full of what nobody reads.
            thread::sleep(Duration::from_millis(500));
            for (stream, text) in streams.iter().zip(&texts) {
                scope.spawn(|| text.expect(stream, 1_500_000));
            }
        });
        drop(streams);
        echo(&connect(ECHO), 9, 100_000);
        assert_eq!(program.stop().count("finished"), 7);
    });
}
