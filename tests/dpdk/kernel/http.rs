//! HTTP as clients speak it: kept and closed connections, both versions, pipelining, and what is not taken.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use super::{HTTP, connect, expect_end};
use crate::lab::{self, server};
use crate::socket::Dial;

/// An answer, cut into what matters.
struct Answer {
    status: u32,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn has(&self, field: &str) -> bool {
        self.head.lines().any(|line| line.eq_ignore_ascii_case(field))
    }
}

/// Reads one answer; `bodiless` is one to HEAD.
#[track_caller]
fn read_answer(mut from: &TcpStream, bodiless: bool) -> Answer {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        assert_eq!(from.read(&mut octet).unwrap(), 1, "no answer: {:?}", String::from_utf8_lossy(&head));
        head.push(octet[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let lengths: Vec<usize> = head
        .lines()
        .filter_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())
        .collect();
    assert_eq!(lengths.len(), 1, "{head}");
    let mut body = vec![0; if bodiless { 0 } else { lengths[0] }];
    from.read_exact(&mut body).unwrap();
    Answer { status, head, body }
}

#[track_caller]
fn ask(stream: &mut TcpStream, request: &str) -> Answer {
    stream.write_all(request.as_bytes()).unwrap();
    read_answer(stream, request.starts_with("HEAD"))
}

const GET: &str = "GET / HTTP/1.1\r\nHost: 198.18.0.1\r\n\r\n";

#[test]
fn a_connection_is_kept_or_closed_as_both_versions_say() {
    lab::in_namespace("kernel::http::a_connection_is_kept_or_closed_as_both_versions_say", || {
        let program = lab::serve(&[]);
        for (request, kept) in [
            (GET, true),
            ("GET /a/b?c HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true),
            ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", true),
            ("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
        ] {
            let mut stream = connect(HTTP);
            for _ in 0..if kept { 100 } else { 1 } {
                let answer = ask(&mut stream, request);
                assert_eq!(answer.status, 200, "{request}{}", answer.head);
                assert_eq!(answer.body.len(), if request.starts_with("HEAD") { 0 } else { 1_024 });
                assert_eq!(answer.has("Connection: close"), !kept, "{request}{}", answer.head);
                let said = request.contains("1.0") && kept;
                assert_eq!(answer.has("Connection: keep-alive"), said, "{request}{}", answer.head);
            }
            if !kept {
                expect_end(&stream);
            }
        }
        assert_eq!(program.stop().count("finished"), 6);
    });
}

#[test]
fn a_head_is_what_get_sends_without_the_body() {
    lab::in_namespace("kernel::http::a_head_is_what_get_sends_without_the_body", || {
        let program = lab::serve(&["--http-body", "70000"]);
        let mut stream = connect(HTTP);
        let get = ask(&mut stream, GET);
        let head = ask(&mut stream, &GET.replace("GET", "HEAD"));
        assert_eq!((get.head, get.body.len()), (head.head, 70_000));
        drop(stream);
        program.stop();
    });
}

#[test]
fn pipelined_requests_are_answered_in_order_however_they_are_cut() {
    lab::in_namespace("kernel::http::pipelined_requests_are_answered_in_order_however_they_are_cut", || {
        let program = lab::serve(&["--http-body", "100"]);
        let pair = format!("{GET}{}", GET.replace("GET", "HEAD"));
        let many = pair.repeat(60);
        for cut in [many.len(), 1_000, 17, 1] {
            let stream = connect(HTTP);
            stream.set_nodelay(true).unwrap();
            thread::scope(|scope| {
                scope.spawn(|| {
                    many.as_bytes().chunks(cut).for_each(|part| (&stream).write_all(part).unwrap())
                });
                for number in 0..120 {
                    let answer = read_answer(&stream, number % 2 == 1);
                    assert_eq!(answer.status, 200, "request {number} cut at {cut}");
                }
            });
            (&stream).write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            assert_eq!(read_answer(&stream, false).status, 200);
            expect_end(&stream);
        }
        program.stop();
    });
}

#[test]
fn what_is_not_taken_is_told_and_ends_the_connection() {
    lab::in_namespace("kernel::http::what_is_not_taken_is_told_and_ends_the_connection", || {
        let program = lab::serve(&[]);
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(9_000));
        for (request, status) in [
            ("nonsense\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", 400),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 405),
            ("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            (long.as_str(), 431),
        ] {
            let mut stream = connect(HTTP);
            let answer = ask(&mut stream, request);
            assert_eq!(answer.status, status, "{request}{}", answer.head);
            assert!(answer.has("Connection: close"), "{}", answer.head);
            assert_eq!(answer.has("Allow: GET, HEAD"), status == 405);
            expect_end(&stream);
        }
        assert_eq!(program.stop().count("finished"), 7);
    });
}

#[test]
fn a_large_body_arrives_whole_on_a_kept_connection() {
    lab::in_namespace("kernel::http::a_large_body_arrives_whole_on_a_kept_connection", || {
        let program = lab::serve(&["--http-body", "8M"]);
        let mut stream = connect(HTTP);
        let first = ask(&mut stream, GET).body;
        assert_eq!(first.len(), 8 << 20);
        // A connection that reads slowly at first, beside it.
        let slow = Dial { receive_buffer: Some(4_096), ..Dial::default() }.connect(server(HTTP)).unwrap();
        (&slow).write_all(GET.as_bytes()).unwrap();
        assert!(ask(&mut stream, GET).body == first);
        thread::sleep(Duration::from_millis(300));
        assert!(read_answer(&slow, false).body == first);
        drop((stream, slow));
        program.stop();
    });
}

#[test]
fn curl_keeps_a_connection_for_two_requests() {
    lab::in_namespace("kernel::http::curl_keeps_a_connection_for_two_requests", || {
        if lab::try_run("curl --version").is_none() {
            return println!("left out: there is no curl");
        }
        let program = lab::serve(&[]);
        let format = "%{http_code}_%{size_download}_%{num_connects}_";
        let url = "http://198.18.0.1/";
        let said = lab::run(&format!("curl -s -o /dev/null -o /dev/null -w {format} {url} {url}"));
        assert_eq!(said, "200_1024_1_200_1024_0_");
        assert_eq!(lab::run(&format!("curl -s -I -o /dev/null -w {format} -0 {url}")), "200_0_1_");
        program.stop();
    });
}
