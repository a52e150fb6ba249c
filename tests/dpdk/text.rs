//! Octets to send, and the comparison of each with what comes: stronger than any sum, and as cheap.

use std::io::{Read, Write};
use std::net::TcpStream;

/// Octets that do not repeat for a while and differ from number to number.
pub struct Text {
    cycle: Vec<u8>,
}

impl Text {
    /// Longer than any window, and no multiple of anything.
    const CYCLE: usize = 1_000_003;

    pub fn new(number: u64) -> Text {
        let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let cycle = (0..Text::CYCLE).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as u8
        });
        Text { cycle: cycle.collect() }
    }

    /// The same octet for ever.
    pub fn of(octet: u8) -> Text {
        Text { cycle: vec![octet; Text::CYCLE] }
    }

    /// Some of the octets from `at` on.
    pub fn from(&self, at: usize) -> &[u8] {
        &self.cycle[at % Text::CYCLE..]
    }

    /// The first place at which `data` is not the text from `at` on.
    pub fn differs(&self, mut at: usize, mut data: &[u8]) -> Option<usize> {
        while !data.is_empty() {
            let part = self.from(at);
            let len = part.len().min(data.len());
            if part[..len] != data[..len] {
                return (0..len).find(|place| part[*place] != data[*place]).map(|place| at + place);
            }
            (at, data) = (at + len, &data[len..]);
        }
        None
    }

    /// Writes the first `len` octets.
    #[track_caller]
    pub fn send(&self, mut to: &TcpStream, len: usize) {
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
    pub fn expect(&self, mut from: &TcpStream, len: usize) {
        let mut buffer = vec![0; 64 << 10];
        let mut at = 0;
        while at < len {
            let limit = buffer.len().min(len - at);
            let count = from.read(&mut buffer[..limit]).unwrap();
            assert!(count > 0, "the end came after {at} of {len} octets");
            assert_eq!(self.differs(at, &buffer[..count]), None, "other octets from here on");
            at += count;
        }
    }
}
