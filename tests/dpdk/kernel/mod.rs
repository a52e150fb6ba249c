//! The program as it is, and the Linux kernel as its peer on a tap: what an ordinary host can do with it, with
//! ordinary sockets.

mod data;
mod ends;
mod http;
mod limits;
mod link;
mod opens;
mod paths;

use std::io::{ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::thread;

use crate::lab::server;
use crate::socket::Dial;
use crate::text::Text;

/// Ports of the default services.
const ECHO: u16 = 7;
const DISCARD: u16 = 9;
const CHARGEN: u16 = 19;
const HTTP: u16 = 80;

/// A connection to one of the program's ports.
#[track_caller]
fn connect(port: u16) -> TcpStream {
    Dial::default().connect(server(port)).unwrap()
}

/// Nothing comes but the peer's FIN.
#[track_caller]
fn expect_end(mut from: &TcpStream) {
    let mut rest = [0; 64];
    let count = from.read(&mut rest).unwrap();
    assert_eq!(count, 0, "{:?}", &rest[..count]);
}

/// The peer has reset the connection, or does so soon.
#[track_caller]
fn expect_reset(mut from: &TcpStream) {
    let mut buffer = [0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => panic!("a FIN instead of a reset"),
            Ok(_) => {}
            Err(error) => return assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

/// Sends `len` octets through echo and compares what comes back, both at once; then both directions end.
#[track_caller]
fn echo(stream: &TcpStream, number: u64, len: usize) {
    let text = Text::new(number);
    thread::scope(|scope| {
        scope.spawn(|| {
            text.send(stream, len);
            stream.shutdown(Shutdown::Write).unwrap();
        });
        text.expect(stream, len);
        expect_end(stream);
    });
}
