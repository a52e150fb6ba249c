//! What is said on one connection of a client: requests that go out, replies that are expected, and whether what came
//! is what was asked for. Knows neither sockets nor segments: octets in, verdicts out.

use super::http::{self, Progress};

/// What a request consists of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// These octets.
    Whole(&'static [u8]),
    /// So many octets of a payload: plain characters, or random ones that differ from connection to connection.
    Payload {
        /// How many.
        len: u64,
        /// Random by this seed; plain without it.
        seed: Option<u64>,
    },
}

/// When a reply is complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reply {
    /// There is none.
    None,
    /// After so many octets, whatever they are; what comes behind them is of no interest.
    Octets(u64),
    /// At the other end's FIN, after at least one octet.
    PeerClose,
    /// The request comes back: the same octets where they are random, as many where they are not.
    Same,
    /// An HTTP/1.1 response with a status below 400 is complete.
    Http,
}

/// What every connection of a client says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Talk {
    /// One request.
    pub request: Request,
    /// Its reply.
    pub reply: Reply,
    /// Requests a connection, one after the other; 0 says nothing at all.
    pub requests: u32,
}

impl Talk {
    /// Nothing is said.
    pub const SILENT: Talk = Talk { request: Request::Whole(&[]), reply: Reply::None, requests: 0 };

    /// Octets of one request.
    pub fn request_len(&self) -> u64 {
        match self.request {
            Request::Whole(octets) => octets.len() as u64,
            Request::Payload { len, .. } => len,
        }
    }

    /// The octets of a request from `at` on, or as many of them as stand somewhere in one piece; `None` where they differ
    /// from connection to connection.
    pub fn lent(&self, at: u64) -> Option<&'static [u8]> {
        match self.request {
            Request::Whole(octets) => octets.get(usize::try_from(at).ok()?..),
            Request::Payload { len, seed: None } => {
                let piece = LINES.as_flattened().get(at as usize % PLAIN.len()..)?;
                let left = usize::try_from(len.saturating_sub(at)).unwrap_or(usize::MAX);
                piece.get(..left.min(piece.len()))
            }
            Request::Payload { .. } => None,
        }
    }

    /// The request differs from connection to connection, by its number.
    pub const fn is_random(&self) -> bool {
        matches!(self.request, Request::Payload { seed: Some(_), .. })
    }

    /// Writes the octets of the payload from `at` on, for the connection with this number.
    pub fn fill(&self, number: u64, at: u64, place: &mut [u8]) {
        match self.request {
            Request::Whole(octets) => {
                let from = octets.get(usize::try_from(at).unwrap_or(usize::MAX)..).unwrap_or_default();
                place.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            }
            Request::Payload { seed, .. } => payload(seed.map(|seed| seed ^ mix(number)), at, place),
        }
    }

    /// Something is expected back for each request.
    pub fn is_answered(&self) -> bool {
        self.reply != Reply::None
    }

    /// What comes behind a complete reply is of no interest.
    pub fn ignores_the_rest(&self) -> bool {
        matches!(self.reply, Reply::Octets(_))
    }

    fn is_payload(&self, number: u64, at: u64, octets: &[u8]) -> bool {
        if !self.is_random() {
            return true;
        }
        let mut piece = [0u8; 256];
        octets.chunks(piece.len()).zip(0u64..).all(|(octets, n)| {
            let Some(expected) = piece.get_mut(..octets.len()) else { return false };
            self.fill(number, at + n * 256, expected);
            expected == octets
        })
    }
}

/// Plain characters: a line of 64, again and again.
const PLAIN: &[u8; 64] = b"dpdk-tcp measures connections 0123456789 ABCDEFGHIJKLMNOPQRSTUV\n";
/// 16 KiB of it, for requests that need no copy then: as many pieces as a connection takes fill a send buffer.
static LINES: [[u8; PLAIN.len()]; 256] = [*PLAIN; 256];

fn payload(seed: Option<u64>, at: u64, place: &mut [u8]) {
    let Some(seed) = seed else {
        let mut at = at as usize % PLAIN.len();
        let mut place = place;
        while !place.is_empty() {
            let from = PLAIN.get(at..).unwrap_or_default();
            let len = from.len().min(place.len());
            let (now, later) = place.split_at_mut(len);
            now.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
            (place, at) = (later, 0);
        }
        return;
    };
    let mut word = (u64::MAX, [0u8; 8]);
    for (octet, at) in place.iter_mut().zip(at..) {
        if word.0 != at / 8 {
            word = (at / 8, mix(seed.wrapping_add(at / 8)).to_le_bytes());
        }
        *octet = word.1[at as usize % 8];
    }
}

/// SplitMix64's output function (Steele, Lea, Flood 2014).
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// What became of octets that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Heard {
    /// More is expected.
    Waiting,
    /// The reply is complete.
    Complete,
    /// These octets were not asked for.
    WrongData,
    /// The other end closed before the reply was complete.
    Short,
}

/// How far the talk on one connection has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Conversation {
    /// Requests that are over, replies included.
    done: u32,
    /// The reply to the current request is complete.
    complete: bool,
    /// Octets of the current request that were handed on.
    queued: u64,
    /// Octets of the current reply that came.
    got: u64,
    http: Progress,
}

impl Conversation {
    /// Octets of the current request that are still to be sent.
    pub fn to_send(&self, talk: &Talk) -> u64 {
        if self.done >= talk.requests { 0 } else { talk.request_len().saturating_sub(self.queued) }
    }

    /// Where in the current request the next octet to be sent is.
    pub fn sent(&self) -> u64 {
        self.queued
    }

    /// So many octets of the current request were handed on. True when the request is whole now.
    pub fn queued(&mut self, talk: &Talk, octets: u64) -> bool {
        self.queued += octets;
        self.queued >= talk.request_len()
    }

    /// Octets of the current reply that came so far.
    pub fn received(&self) -> u64 {
        self.got
    }

    /// Nothing of the first reply was taken yet: the next octet is the first of all, unless some wait to be taken.
    pub fn is_first(&self) -> bool {
        self.done == 0 && self.got == 0 && self.http == Progress::default()
    }

    /// The reply to the current request is complete, and so nothing more is expected for it.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Every request was made, and every reply is complete.
    pub fn is_over(&self, talk: &Talk) -> bool {
        self.done >= talk.requests || (self.complete && self.done + 1 >= talk.requests)
    }

    /// The current request is the last one.
    pub fn is_last(&self, talk: &Talk) -> bool {
        self.done + 1 >= talk.requests
    }

    /// The current request needed no reply, and has arrived.
    pub fn complete(&mut self) {
        self.complete = true;
    }

    /// Goes on to the next request; false when there is none.
    pub fn next(&mut self, talk: &Talk) -> bool {
        *self = Conversation { done: self.done + 1, ..Conversation::default() };
        self.done < talk.requests
    }

    /// Takes octets from the front of what arrived on the connection with this number; says how many, and what they
    /// mean. What is not taken is to be offered again with more behind it: only the head of an HTTP response.
    pub fn receive(&mut self, talk: &Talk, number: u64, octets: &[u8]) -> (usize, Heard) {
        let len = octets.len() as u64;
        if talk.requests == 0 {
            // Some servers speak first, and it is chance whether that comes before we close.
            self.got += len;
            return (octets.len(), Heard::Waiting);
        }
        if self.done >= talk.requests || talk.reply == Reply::None {
            return (octets.len(), Heard::WrongData);
        }
        let (taken, heard) = match talk.reply {
            Reply::None => (octets.len(), Heard::WrongData),
            Reply::PeerClose => (octets.len(), Heard::Waiting),
            Reply::Octets(all) if self.got + len >= all => (octets.len(), Heard::Complete),
            Reply::Octets(_) => (octets.len(), Heard::Waiting),
            Reply::Same if !self.is_echo(talk, number, octets) => (octets.len(), Heard::WrongData),
            Reply::Same if self.got + len == talk.request_len() => (octets.len(), Heard::Complete),
            Reply::Same => (octets.len(), Heard::Waiting),
            Reply::Http if self.complete => (octets.len(), Heard::WrongData),
            Reply::Http => {
                let (taken, state) = self.http.receive(octets);
                let heard = match state {
                    http::State::Waiting => Heard::Waiting,
                    http::State::Complete if taken == octets.len() => Heard::Complete,
                    http::State::Complete | http::State::Wrong => Heard::WrongData,
                };
                (taken, heard)
            }
        };
        self.got += taken as u64;
        self.complete |= heard == Heard::Complete;
        (taken, heard)
    }

    fn is_echo(&self, talk: &Talk, number: u64, octets: &[u8]) -> bool {
        // What was not sent yet cannot come back.
        self.got + octets.len() as u64 <= self.queued && talk.is_payload(number, self.got, octets)
    }

    /// The other end closed its direction.
    pub fn peer_closed(&mut self, talk: &Talk) -> Heard {
        if self.complete || self.done >= talk.requests {
            return Heard::Complete;
        }
        let whole = match talk.reply {
            Reply::None => self.queued >= talk.request_len(),
            Reply::PeerClose => self.got > 0,
            Reply::Http => self.http.ends_with_the_connection(),
            Reply::Octets(_) | Reply::Same => false,
        };
        self.complete = whole;
        if whole { Heard::Complete } else { Heard::Short }
    }
}

#[cfg(test)]
#[path = "talk/tests.rs"]
mod tests;
