//! Every answer that http can give, written out once at start and kept for ever, head and body in one piece:
//! an answer is then one queue entry without a copy, taken whole or not at all.
//!
//! There is no `Date`: the loop has a monotonic clock only, and a server without a clock must not send one
//! (RFC 9110 6.6.1).

use super::request::{Answer, Reuse, Status};
use crate::app::chargen;

/// One answer as it goes out.
struct Prepared {
    whole: &'static [u8],
    head_len: usize,
}

impl Prepared {
    /// Writes an answer and keeps it for as long as the program runs.
    fn new(line: &str, fields: &str, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 {line}\r\n{fields}Content-Length: {}\r\n\r\n", body.len());
        let whole = [head.as_bytes(), body].concat();
        Prepared { whole: Box::leak(whole.into_boxed_slice()), head_len: head.len() }
    }
}

/// All answers.
pub struct Responses {
    implied: Prepared,
    said: Prepared,
    close: Prepared,
    bad_request: Prepared,
    method_not_allowed: Prepared,
    head_too_large: Prepared,
    version_not_supported: Prepared,
}

impl Responses {
    /// Writes all answers; the body of a 200 has `body_len` bytes of text and is kept three times. Meant to
    /// be called once, at start, and shared by all loops.
    pub fn new(body_len: usize) -> Self {
        let body: Vec<u8> = chargen::CYCLE.iter().copied().cycle().take(body_len).collect();
        let ok = |connection: &str| {
            Prepared::new("200 OK", &format!("{connection}Content-Type: text/plain\r\n"), &body)
        };
        let error = |line, fields: &str| Prepared::new(line, &format!("Connection: close\r\n{fields}"), b"");
        Responses {
            implied: ok(""),
            said: ok("Connection: keep-alive\r\n"),
            close: ok("Connection: close\r\n"),
            bad_request: error("400 Bad Request", ""),
            method_not_allowed: error("405 Method Not Allowed", "Allow: GET, HEAD\r\n"),
            head_too_large: error("431 Request Header Fields Too Large", ""),
            version_not_supported: error("505 HTTP Version Not Supported", ""),
        }
    }

    /// The bytes of an answer.
    pub fn bytes(&self, answer: Answer) -> &'static [u8] {
        let prepared = match (answer.status, answer.reuse) {
            (Status::Ok, Reuse::Implied) => &self.implied,
            (Status::Ok, Reuse::Said) => &self.said,
            (Status::Ok, Reuse::Close) => &self.close,
            (Status::BadRequest, _) => &self.bad_request,
            (Status::MethodNotAllowed, _) => &self.method_not_allowed,
            (Status::HeadTooLarge, _) => &self.head_too_large,
            (Status::VersionNotSupported, _) => &self.version_not_supported,
        };
        let whole = prepared.whole;
        if answer.head_only { whole.get(..prepared.head_len).unwrap_or(whole) } else { whole }
    }
}
