//! Where the response to a GET ends (RFC 9112 6): by Content-Length, by chunks, or with the connection. The head is
//! read by `httparse`; of the body only the length is looked at.

use httparse::Status;

/// Headers of a response at most; one with more is not understood.
const HEADERS_MAX: usize = 64;
/// Octets of a head, or of a line of the chunked coding, are fewer: a connection offers at least so many in one piece.
const HEAD_MAX: usize = 16 * 1024;

/// How far a response has come. Small and without an alignment of its own: there is one for each connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    at: At,
    /// So many octets of the body, or of a chunk, are missing.
    left: [u8; 8],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum At {
    #[default]
    Head,
    Body,
    ChunkSize,
    Chunk,
    /// The line's end behind a chunk.
    ChunkEnd,
    Trailer,
    UntilClose,
}

impl At {
    /// In the midst of it, with so many octets missing.
    const fn with(self, left: u64) -> Progress {
        Progress { at: self, left: left.to_ne_bytes() }
    }

    const fn begin(self) -> Progress {
        self.with(0)
    }
}

/// What octets led to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// More is expected.
    Waiting,
    /// The response is complete; octets that were not taken do not belong to it.
    Complete,
    /// It is no HTTP response, or its status is 400 or more.
    Wrong,
}

/// What the next part of a response is.
enum Part {
    /// So many octets were used; go on so.
    Next(usize, Progress),
    /// The rest must come first.
    More,
    Complete(usize),
    Wrong,
}

impl Progress {
    /// Takes octets of a response; says how many, and where that leads. An incomplete head or line of the chunked
    /// coding is not taken.
    pub fn receive(&mut self, octets: &[u8]) -> (usize, State) {
        let mut taken = 0;
        loop {
            let rest = octets.get(taken..).unwrap_or_default();
            match self.part(rest) {
                Part::Next(used, next) => {
                    taken += used;
                    *self = next;
                    if taken == octets.len() && next != At::Body.begin() {
                        return (taken, State::Waiting);
                    }
                }
                Part::More if rest.len() >= HEAD_MAX => return (octets.len(), State::Wrong),
                Part::More => return (taken, State::Waiting),
                Part::Complete(used) => return (taken + used, State::Complete),
                Part::Wrong => return (octets.len(), State::Wrong),
            }
        }
    }

    /// The body has no length of its own: what came is all of it when the connection ends.
    pub fn ends_with_the_connection(self) -> bool {
        self.at == At::UntilClose
    }

    fn part(self, rest: &[u8]) -> Part {
        let (len, left) = (rest.len() as u64, u64::from_ne_bytes(self.left));
        match self.at {
            At::Head => head(rest),
            At::Body if len >= left => Part::Complete(left as usize),
            At::Body => Part::Next(rest.len(), At::Body.with(left - len)),
            At::ChunkSize => match httparse::parse_chunk_size(rest) {
                Ok(Status::Complete((used, 0))) => Part::Next(used, At::Trailer.begin()),
                Ok(Status::Complete((used, size))) => Part::Next(used, At::Chunk.with(size)),
                Ok(Status::Partial) => Part::More,
                Err(_) => Part::Wrong,
            },
            At::Chunk if len >= left => Part::Next(left as usize, At::ChunkEnd.begin()),
            At::Chunk => Part::Next(rest.len(), At::Chunk.with(left - len)),
            At::ChunkEnd => match rest {
                [b'\r', b'\n', ..] => Part::Next(2, At::ChunkSize.begin()),
                [] | [b'\r'] => Part::More,
                _ => Part::Wrong,
            },
            At::Trailer => match rest.iter().position(|octet| *octet == b'\n') {
                Some(end) if matches!(rest.get(..end), Some(b"" | b"\r")) => Part::Complete(end + 1),
                Some(end) => Part::Next(end + 1, At::Trailer.begin()),
                None => Part::More,
            },
            At::UntilClose => Part::Next(rest.len(), At::UntilClose.begin()),
        }
    }
}

fn head(rest: &[u8]) -> Part {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let (used, status) = match (response.parse(rest), response.code) {
        (Ok(Status::Complete(used)), Some(status)) => (used, status),
        (Ok(Status::Partial), _) => return Part::More,
        _ => return Part::Wrong,
    };
    let all = |name: &'static str| {
        response.headers.iter().filter(move |h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value)
    };
    let lengths = || all("content-length");
    match status {
        // 101 would change the protocol, which nobody asked for.
        100 | 102..=199 => Part::Next(used, At::Head.begin()),
        204 | 304 => Part::Complete(used),
        101 | 400.. => Part::Wrong,
        _ => match (all("transfer-encoding").next(), lengths().next()) {
            (Some(coding), _) if coding.trim_ascii().eq_ignore_ascii_case(b"chunked") => {
                Part::Next(used, At::ChunkSize.begin())
            }
            (Some(_), _) => Part::Wrong,
            (None, Some(first)) => match length(first).filter(|_| lengths().all(|other| other == first)) {
                Some(length) => Part::Next(used, At::Body.with(length)),
                None => Part::Wrong,
            },
            (None, None) => Part::Next(used, At::UntilClose.begin()),
        },
    }
}

/// What a Content-Length says: digits and nothing else (RFC 9110 8.6).
fn length(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    let text = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
    text?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offers a response in pieces, as a connection would; how it ends and what was left.
    fn receive(response: &[u8], piece: usize) -> (State, usize, Progress) {
        let (mut progress, mut waiting, mut at) = (Progress::default(), Vec::new(), 0);
        while at < response.len() {
            let end = response.len().min(at + piece);
            waiting.extend_from_slice(&response[at..end]);
            at = end;
            let (taken, state) = progress.receive(&waiting);
            waiting.drain(..taken);
            if state != State::Waiting {
                return (state, waiting.len() + response.len() - at, progress);
            }
        }
        (State::Waiting, waiting.len(), progress)
    }

    #[test]
    fn a_response_ends_where_its_head_says_in_whatever_pieces_it_comes() {
        let cases: [(&[u8], State, usize); 9] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", State::Complete, 0),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", State::Complete, 0),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length:1\r\n\r\nx", State::Complete, 0),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;a=b\r\n!\r\n0\r\nA: b\r\n\r\n",
                State::Complete,
                0,
            ),
            (b"HTTP/1.1 204 No Content\r\n\r\n", State::Complete, 0),
            (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", State::Wrong, 0),
            (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", State::Wrong, 0),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", State::Wrong, 2),
            (b"220 mail.example ready\r\n", State::Wrong, 0),
        ];
        for (response, wanted, _) in cases {
            for piece in [1, 2, 3, 7, 1_000] {
                let (state, left, _) = receive(response, piece);
                assert_eq!(state, wanted, "{} in pieces of {piece}", String::from_utf8_lossy(response));
                if state == State::Complete {
                    assert_eq!(left, 0);
                }
            }
        }
    }

    #[test]
    fn what_follows_a_response_is_left() {
        let (state, left, _) = receive(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP", 100);
        assert_eq!((state, left), (State::Complete, 4));
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let (state, left, progress) = receive(b"HTTP/1.0 200 OK\r\n\r\nas long as it takes", 4);
        assert_eq!((state, left), (State::Waiting, 0));
        assert!(progress.ends_with_the_connection());
        let (_, _, progress) = receive(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", 100);
        assert!(!progress.ends_with_the_connection());
    }

    #[test]
    fn a_head_without_an_end_is_given_up() {
        let endless = [b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &[b'x'; 20_000]].concat();
        assert_eq!(receive(&endless, 1_460).0, State::Wrong);
    }

    proptest::proptest! {
        #[test]
        fn any_octets_are_read_without_a_panic(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let with_head = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(), &octets].concat();
            for piece in [1, 5, 300] {
                let _ = (receive(&octets, piece), receive(&with_head, piece));
            }
        }
    }
}
