//! The program as it is, and the Linux kernel as its peer on a tap: what an ordinary host can do with it, with
//! ordinary sockets.

mod data;
mod ends;
mod http;
mod limits;
mod link;
mod opens;
mod paths;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use crate::lab::server;
use crate::socket::Dial;

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

/// Octets that do not repeat for a while and differ from number to number.
struct Text {
    cycle: Vec<u8>,
}

impl Text {
    /// Longer than any window, and no multiple of anything.
    const CYCLE: usize = 1_000_003;

    fn new(number: u64) -> Text {
        let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let cycle = (0..Text::CYCLE).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        });
        Text { cycle: cycle.collect() }
    }

    /// Some of the octets from `at` on.
    fn from(&self, at: usize) -> &[u8] {
        &self.cycle[at % Text::CYCLE..]
    }

    /// Writes the first `len` octets.
    #[track_caller]
    fn send(&self, mut to: &TcpStream, len: usize) {
        let mut at = 0;
        while at < len {
            let part = self.from(at);
            let part = &part[..part.len().min(len - at).min(64 << 10)];
            to.write_all(part).unwrap();
            at += part.len();
        }
    }

    /// Reads the first `len` octets and compares each.
    #[track_caller]
    fn expect(&self, mut from: &TcpStream, len: usize) {
        let mut buffer = vec![0; 64 << 10];
        let mut at = 0;
        while at < len {
            let limit = buffer.len().min(len - at).min(Text::CYCLE - at % Text::CYCLE);
            let count = from.read(&mut buffer[..limit]).unwrap();
            assert!(count > 0, "the end came after {at} of {len} octets");
            assert!(
                buffer[..count] == self.from(at)[..count],
                "other octets between {at} and {}",
                at + count
            );
            at += count;
        }
    }
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
