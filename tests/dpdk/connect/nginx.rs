//! nginx, as Debian packs it, as the server: its own counts against ours.

use std::cell::Cell;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};

use super::{Left, Scratch, connect};
use crate::lab;

/// Where it counts for itself.
const STATUS: u16 = 8_081;

/// nginx in this namespace, on port 80.
struct Nginx {
    child: Child,
    scratch: Scratch,
    /// Connections of our own questions.
    asked: Cell<u64>,
}

const CONFIG: &str = "
daemon off;
master_process off;
pid DIR/pid;
error_log DIR/errors;
events { worker_connections 4096; }
http {
    log_format ours '$connection $request_method $status $body_bytes_sent';
    access_log DIR/accesses ours;
    keepalive_requests 1000;
    client_body_temp_path DIR/body;
    proxy_temp_path DIR/proxy;
    fastcgi_temp_path DIR/fastcgi;
    uwsgi_temp_path DIR/uwsgi;
    scgi_temp_path DIR/scgi;
    server {
        listen 80 backlog=4096;
        location / { return 200 'hello from nginx\\n'; }
        location = /file { alias DIR/file; }
    }
    server {
        listen 127.0.0.1:STATUS;
        location / { access_log off; stub_status; }
    }
}
";

impl Nginx {
    /// `None` where it is not installed; that is said.
    fn start(test: &str) -> Option<Nginx> {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
        let Some(program) = program.iter().find(|path| fs::exists(path).unwrap_or(false)) else {
            println!("{test} is left out: it needs nginx (Debian's package nginx-light)");
            return None;
        };
        let scratch = Scratch::new();
        // Its worker may be another user.
        fs::write(scratch.file("file"), vec![b'f'; 100_000]).unwrap();
        let dir = scratch.file("");
        let config = CONFIG.replace("DIR/", &dir).replace("STATUS", &STATUS.to_string());
        fs::write(scratch.file("config"), config).unwrap();
        let child = Command::new(program)
            .args(["-p", &dir, "-e", &scratch.file("errors"), "-c", &scratch.file("config")])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Nginx { child, scratch, asked: Cell::new(1) };
        lab::wait_until("nginx", || TcpStream::connect((Ipv4Addr::LOCALHOST, STATUS)).is_ok());
        Some(nginx)
    }

    /// Connections that it accepted so far, those for such questions left out, and those that are open besides this.
    fn counts(&self) -> (u64, u64) {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, STATUS)).unwrap();
        self.asked.set(self.asked.get() + 1);
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let number = |behind: &str| -> u64 {
            let (_, rest) = text.split_once(behind).unwrap();
            rest.split_whitespace().next().unwrap().parse().unwrap()
        };
        (number("requests") - self.asked.get(), number("Active connections:") - 1)
    }

    /// Runs a client, and says how many connections nginx accepted from it and how many requests it logged with
    /// status 200.
    #[track_caller]
    fn run(&self, ours: &[&str]) -> (Left, u64, u64) {
        let ((accepted, _), logged) = (self.counts(), self.logged());
        let left = connect(&[&["198.18.0.2:80", "--concurrency", "4"], ours].concat());
        lab::wait_until("nginx to see the ends", || self.counts().1 == 0);
        (left, self.counts().0 - accepted, self.logged() - logged)
    }

    fn logged(&self) -> u64 {
        let text = fs::read_to_string(self.scratch.file("accesses")).unwrap_or_default();
        text.lines().filter(|line| line.split(' ').nth(2) == Some("200")).count() as u64
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// So many connections with so many requests in all, none of which fails, at both ends.
#[track_caller]
fn same(nginx: &Nginx, ours: &[&str], way: &str, connections: u64, requests: u64) -> Left {
    let number = connections.to_string();
    let (left, accepted, logged) = nginx.run(&[ours, &["--connections", &number]].concat());
    left.assert_closed(connections, &[(way, connections)]);
    assert_eq!((accepted, logged), (connections, requests), "{ours:?}");
    assert_eq!(left.account().replies, requests, "{ours:?}");
    left
}

#[test]
fn every_profile_and_nginx_count_the_same() {
    lab::in_namespace("connect::nginx::every_profile_and_nginx_count_the_same", || {
        super::tap();
        let Some(nginx) = Nginx::start("connect::nginx") else { return };
        same(&nginx, &["--profile", "open"], "rst", 200, 0);
        same(&nginx, &["--profile", "open-close"], "fin", 200, 0);
        same(&nginx, &[], "fin", 200, 200);
        same(&nginx, &["--close", "peer"], "peer", 100, 100);
        same(&nginx, &["--close", "rst"], "rst", 100, 100);
        same(&nginx, &["--profile", "stream", "--requests", "25"], "fin", 20, 500);
        let file = same(&nginx, &["--path", "/file"], "fin", 20, 20);
        assert!(file.account().octets_received > 20 * 100_000);
        // Its answer does not wait for our FIN, which comes behind the request.
        same(&nginx, &["--close", "half-close"], "half_close", 50, 50);
    });
}

#[test]
fn nginx_holds_what_a_closed_loop_holds() {
    lab::in_namespace("connect::nginx::nginx_holds_what_a_closed_loop_holds", || {
        super::tap();
        let Some(nginx) = Nginx::start("connect::nginx") else { return };
        let ours = ["198.18.0.2:80", "--concurrency", "100", "--duration", "1s", "--hold"];
        let client = super::Client::start(&ours);
        lab::wait_until("100 connections at nginx", || nginx.counts().1 == 100);
        client.end().assert_closed(100, &[("fin", 100)]);
        assert_eq!((nginx.counts().0, nginx.logged()), (100, 100));
    });
}
