//! The same client and the same server on the kernel's sockets (epoll), so that "n times the kernel" comes from one
//! program: [`crate::load`] decides what is launched and said, [`crate::stats`] counts it, here are only the sockets.
//! Both are driven in a busy loop by `pass`, never wait, and read no clock.

#![forbid(unsafe_code)]

pub mod client;
mod options;
pub mod server;
mod socket;
mod timers;

pub use options::{OptionError, Options};
pub use socket::{Source, raise_descriptors};

/// What a pass was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Pass {
    /// It received, sent, opened, closed or expired anything.
    Busy,
    /// Nothing happened.
    Idle,
}

impl Pass {
    fn of(work: usize) -> Self {
        if work > 0 { Pass::Busy } else { Pass::Idle }
    }
}

/// Octets that are written or read at a time.
const PIECE: usize = 64 * 1024;
/// Pieces of one connection in a pass, so that a fast stream does not keep the others waiting.
const PIECES_PER_PASS: usize = 8;
/// Events, and connections that go on without one, in a pass: few, since all of them have the pass's time.
const EVENTS_PER_PASS: usize = 64;

/// What an event names: a place, and whose it was when the event was asked for. A socket may be closed, and its
/// place given to another, while events of it still wait in the same batch.
fn token(index: u32, serial: u32) -> mio::Token {
    mio::Token((serial as usize) << 32 | index as usize)
}

/// Place and serial number of a token.
fn untoken(token: mio::Token) -> (u32, u32) {
    (token.0 as u32, (token.0 >> 32) as u32)
}

/// What is known of a socket's readiness: epoll tells only changes (edge-triggered).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Ready {
    readable: bool,
    writable: bool,
    /// The other end's FIN or reset is there: reading goes on until it is found, since no further change is told.
    hung_up: bool,
}

impl Ready {
    /// Adds what an event tells. An error is found by reading or writing.
    fn add(&mut self, event: &mio::event::Event) {
        let error = event.is_error();
        self.hung_up |= event.is_read_closed() || error;
        self.readable |= event.is_readable() || self.hung_up;
        self.writable |= event.is_writable() || error;
    }

    /// So many octets were read into a piece: what is not full has emptied the socket.
    fn was_read(&mut self, octets: usize) {
        self.readable = self.hung_up || octets == PIECE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        for (index, serial) in [(0, 0), (7, u32::MAX), (u32::MAX, 1)] {
            assert_eq!(untoken(token(index, serial)), (index, serial));
        }
    }

    #[test]
    fn reading_ends_with_a_piece_that_is_not_full_unless_the_other_end_has_closed() {
        let mut ready = Ready { readable: true, ..Ready::default() };
        ready.was_read(PIECE);
        assert!(ready.readable);
        ready.was_read(PIECE - 1);
        assert!(!ready.readable);
        ready.hung_up = true;
        ready.was_read(1);
        assert!(ready.readable);
    }
}
