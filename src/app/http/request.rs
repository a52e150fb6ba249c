//! What one request head says (RFC 9110, RFC 9112): how long it is, how many octets of content follow it, and
//! which answer it gets. Pure: bytes in, a decision out. The grammar is `httparse`'s; here stands what it
//! means. The decision depends on the head's bytes alone and never on how many bytes after or before it have
//! arrived.
//!
//! Not taken: content with a transfer coding (the answer is 400 and the connection ends, RFC 9112 6.3),
//! methods other than GET and HEAD (405), and minor versions above 1.1, which the parser does not know (505).

use std::mem::MaybeUninit;

use httparse::{Error, Header, Request, Status as Parsed};

/// Most octets of a request head, from the request line to the empty line (431 beyond).
pub const HEAD_MAX: usize = 8 * 1024;

/// Most header fields in a head (431 beyond).
const FIELDS_MAX: usize = 64;

/// The status of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Status {
    /// 200.
    Ok,
    /// 400.
    BadRequest,
    /// 405.
    MethodNotAllowed,
    /// 431.
    HeadTooLarge,
    /// 505.
    VersionNotSupported,
}

impl Status {
    /// Every status, in order.
    pub const ALL: [Status; 5] = [
        Status::Ok,
        Status::BadRequest,
        Status::MethodNotAllowed,
        Status::HeadTooLarge,
        Status::VersionNotSupported,
    ];
}

/// What becomes of the connection after an answer, and what the answer says about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Reuse {
    /// It stays open, as HTTP/1.1 takes for granted.
    Implied,
    /// It stays open, which an HTTP/1.0 client has asked for and is told.
    Said,
    /// It is closed, and the answer says so.
    Close,
}

/// One answer, as a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Its status.
    pub status: Status,
    /// The request was HEAD: no body.
    pub head_only: bool,
    /// What becomes of the connection.
    pub reuse: Reuse,
}

impl Answer {
    const fn error(status: Status) -> Self {
        Answer { status, head_only: false, reuse: Reuse::Close }
    }
}

/// A whole head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Octets of the head. Of no meaning when the connection is closed after the answer.
    pub head_len: usize,
    /// Octets of content that follow the head and are to be thrown away.
    pub content_len: u64,
    /// The answer.
    pub answer: Answer,
}

/// Decides the request at the front of `bytes`; `None` when more bytes are needed to do so.
pub fn decide(bytes: &[u8]) -> Option<Decision> {
    let head = bytes.get(..HEAD_MAX).unwrap_or(bytes);
    let mut fields = [const { MaybeUninit::<Header<'_>>::uninit() }; FIELDS_MAX];
    let mut request = Request::new(&mut []);
    let status = match request.parse_with_uninit_headers(head, &mut fields) {
        Ok(Parsed::Complete(head_len)) => return Some(accept(&request, head_len)),
        Ok(Parsed::Partial) if head.len() < HEAD_MAX => return None,
        Ok(Parsed::Partial) | Err(Error::TooManyHeaders) => Status::HeadTooLarge,
        Err(Error::Version) => refuse_version(head)?,
        Err(_) => Status::BadRequest,
    };
    Some(Decision { head_len: 0, content_len: 0, answer: Answer::error(status) })
}

/// The parser knows HTTP/1.0 and HTTP/1.1 and calls everything else wrong, even before all of it is there.
/// What has the form of a version is one that we do not serve (505); `None` while that cannot be told.
fn refuse_version(head: &[u8]) -> Option<Status> {
    let version = head.splitn(3, |byte| *byte == b' ').nth(2)?;
    let form = b"HTTP/0.0";
    for (place, expected) in form.iter().enumerate() {
        let fits = match version.get(place) {
            None if head.len() < HEAD_MAX => return None,
            None => return Some(Status::HeadTooLarge),
            Some(byte) if *expected == b'0' => byte.is_ascii_digit(),
            Some(byte) => byte == expected,
        };
        if !fits {
            return Some(Status::BadRequest);
        }
    }
    Some(Status::VersionNotSupported)
}

/// What the fields of a head say, as far as it matters here.
#[derive(Default)]
struct Fields {
    hosts: u32,
    host_bad: bool,
    content_len: Option<u64>,
    content_len_bad: bool,
    transfer_coding: bool,
    close: bool,
    keep_alive: bool,
    expects: bool,
}

impl Fields {
    fn read(headers: &[Header<'_>]) -> Self {
        let mut fields = Fields::default();
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("host") {
                fields.hosts += 1;
                fields.host_bad |= !header.value.iter().all(|byte| is_host_byte(*byte));
            } else if is("connection") {
                for option in list(header.value) {
                    fields.close |= option.eq_ignore_ascii_case(b"close");
                    fields.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            } else if is("content-length") {
                fields.content_length(header.value);
            } else if is("transfer-encoding") {
                fields.transfer_coding = true;
            } else if is("expect") {
                fields.expects = true;
            }
        }
        fields
    }

    /// The same length several times, in one line or in several, is one length; anything else is an error,
    /// since the next request would begin at a place that others see elsewhere (RFC 9112 6.3).
    fn content_length(&mut self, value: &[u8]) {
        for text in value.split(|byte| *byte == b',') {
            let number = decimal(text.trim_ascii());
            self.content_len_bad |=
                number.is_none() || self.content_len.is_some_and(|len| Some(len) != number);
            self.content_len = self.content_len.or(number);
        }
    }
}

fn accept(request: &Request<'_, '_>, head_len: usize) -> Decision {
    let fields = Fields::read(request.headers);
    let method = request.method.unwrap_or_default();
    let (get, head) = (method == "GET", method == "HEAD");
    let target = request.path.unwrap_or_default();
    let old = request.version == Some(0);

    let host_wrong = fields.hosts > 1 || fields.host_bad || (fields.hosts == 0 && !old);
    let framing_wrong = fields.content_len_bad
        || (fields.transfer_coding && (fields.content_len.is_some() || old || get || head));
    // GET and HEAD take a path or a whole URI (RFC 9112 3.2).
    let target_wrong = (get || head) && !target.starts_with('/') && !target.contains("://");

    let status = if host_wrong || framing_wrong || target_wrong {
        Status::BadRequest
    } else if get || head {
        Status::Ok
    } else {
        Status::MethodNotAllowed
    };
    let content_len = fields.content_len.unwrap_or(0);
    let reuse = match status {
        // Who waits for "100 Continue" may or may not send the content after another answer, so that nobody
        // can tell where the next request begins (RFC 9110 10.1.1).
        Status::Ok if fields.close || (fields.expects && content_len > 0) => Reuse::Close,
        Status::Ok if !old => Reuse::Implied,
        Status::Ok if fields.keep_alive => Reuse::Said,
        _ => Reuse::Close,
    };
    Decision { head_len, content_len, answer: Answer { status, head_only: head, reuse } }
}

/// The elements of a comma-separated list; empty ones do no harm (RFC 9110 5.6.1).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Digits only, and no more than 64 bits of them.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// What `uri-host [":" port]` is made of (RFC 3986 3.2.2 and 3.2.3).
fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
}
