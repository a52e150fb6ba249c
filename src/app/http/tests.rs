//! Requests as text, and what must be answered: whole, cut at every byte, pipelined, and at random.

use proptest::prelude::*;

use super::request::{Answer, HEAD_MAX, Reuse, Status};
use super::responses::Responses;
use super::{End, HttpConn, Mode};

const OK: (Status, bool, Reuse) = (Status::Ok, false, Reuse::Implied);
const OK_SAID: (Status, bool, Reuse) = (Status::Ok, false, Reuse::Said);
const OK_CLOSE: (Status, bool, Reuse) = (Status::Ok, false, Reuse::Close);
const HEAD_OK: (Status, bool, Reuse) = (Status::Ok, true, Reuse::Implied);
const BAD: (Status, bool, Reuse) = (Status::BadRequest, false, Reuse::Close);
const METHOD: (Status, bool, Reuse) = (Status::MethodNotAllowed, false, Reuse::Close);
const LARGE: (Status, bool, Reuse) = (Status::HeadTooLarge, false, Reuse::Close);
const VERSION: (Status, bool, Reuse) = (Status::VersionNotSupported, false, Reuse::Close);

/// A connection with its held bytes, as the engine keeps them.
#[derive(Default)]
struct Peer {
    state: HttpConn,
    mode: Mode,
    held: Vec<u8>,
    answers: Vec<Answer>,
    closed: bool,
}

impl Peer {
    /// Bytes arrive; `room` answers can be queued. Returns why http stopped.
    fn arrive(&mut self, bytes: &[u8], mut room: usize) -> End {
        assert!(!self.closed, "nothing is offered after the end");
        self.held.extend_from_slice(bytes);
        let answers = &mut self.answers;
        let (taken, end) = self.state.consume(&self.held, self.mode, |answer| {
            let fits = room > 0;
            if fits {
                room -= 1;
                answers.push(answer);
            }
            fits
        });
        self.held.drain(..taken);
        self.closed = end == End::Close;
        if self.closed {
            assert!(self.held.is_empty(), "everything is taken at the end");
        }
        end
    }

    fn outcome(self) -> (Vec<Answer>, bool, Vec<u8>) {
        (self.answers, self.closed, self.held)
    }
}

fn in_one_piece(input: &[u8]) -> (Vec<Answer>, bool, Vec<u8>) {
    let mut peer = Peer::default();
    let _ = peer.arrive(input, usize::MAX);
    peer.outcome()
}

fn in_pieces(pieces: &[&[u8]]) -> (Vec<Answer>, bool, Vec<u8>) {
    let mut peer = Peer::default();
    for piece in pieces {
        if !peer.closed {
            let _ = peer.arrive(piece, usize::MAX);
        }
    }
    peer.outcome()
}

/// The answers to `input`, which must be the same however it is cut.
#[track_caller]
fn answers(input: &str) -> Vec<(Status, bool, Reuse)> {
    let input = input.as_bytes();
    let whole = in_one_piece(input);
    for cut in 0..=input.len() {
        let (front, back) = input.split_at(cut);
        assert_eq!(in_pieces(&[front, back]), whole, "cut at {cut}");
    }
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(in_pieces(&bytes), whole, "byte by byte");
    whole.0.iter().map(|answer| (answer.status, answer.head_only, answer.reuse)).collect()
}

#[test]
fn requests_are_answered_as_their_version_and_connection_options_say() {
    for (input, expected) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", OK),
        ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", HEAD_OK),
        ("GET http://a/b HTTP/1.1\r\nhost:a:80\r\n\r\n", OK),
        ("GET /?q=%20 HTTP/1.1\nHOST:\n\n", OK),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", OK_CLOSE),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, ,CLOSE\r\n\r\n", OK_CLOSE),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nconnection:\tClose \r\n\r\n", OK_CLOSE),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n", OK_CLOSE),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", OK),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n", OK),
        ("GET / HTTP/1.0\r\n\r\n", OK_CLOSE),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", OK_SAID),
        ("GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n", OK_CLOSE),
        ("\r\n\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", OK),
    ] {
        assert_eq!(answers(input), [expected], "{input:?}");
    }
}

#[test]
fn what_is_not_taken_is_answered_by_its_status_and_closes() {
    for (input, expected) in [
        // RFC 9112 3.2: exactly one Host, and a valid one.
        ("GET / HTTP/1.1\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", BAD),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", BAD),
        // RFC 9112 3.2: forms of the target.
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        // RFC 9112 2.2, 5.1, 5.2: grammar.
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("GET /\r\n\r\n", BAD),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", BAD),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", BAD),
        ("\r\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD),
        ("\u{16}\u{3}\u{1}\u{2}", BAD),
        // RFC 9110 15.5.6.
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", METHOD),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", METHOD),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", METHOD),
        ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", METHOD),
        ("get / HTTP/1.1\r\nHost: a\r\n\r\n", METHOD),
        // RFC 9110 15.6.6.
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", VERSION),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VERSION),
        ("\r\nGET / HTTP/0.9\r\n\r\n", VERSION),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", VERSION),
        ("GET / HTTP/x.1\r\nHost: a\r\n\r\n", BAD),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", BAD),
        ("GET / FTP\r\n\r\n", BAD),
    ] {
        assert_eq!(answers(input), [expected], "{input:?}");
    }
    let head = answers("HEAD / HTTP/1.1\r\n\r\n");
    assert_eq!(head, [(Status::BadRequest, true, Reuse::Close)]);
}

//= RFC9112 6.3
#[test]
fn content_is_skipped_by_its_length_and_refused_without_a_sure_one() {
    let next = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    for length in ["Content-Length: 5", "Content-Length: 5, 5", "Content-Length: 5\r\ncontent-length:  005"] {
        let input = format!("GET / HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\nGET /{next}");
        assert_eq!(answers(&input), [OK, HEAD_OK], "{length}");
    }
    for (fields, expected) in [
        ("Content-Length: 5\r\nContent-Length: 6", BAD),
        ("Content-Length: 5, 6", BAD),
        ("Content-Length: 5,", BAD),
        ("Content-Length:", BAD),
        ("Content-Length: +5", BAD),
        ("Content-Length: -1", BAD),
        ("Content-Length: 0x5", BAD),
        ("Content-Length: 18446744073709551616", BAD),
        ("Transfer-Encoding: chunked", BAD),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", BAD),
        ("Transfer-Encoding: gzip", BAD),
        ("Expect: 100-continue\r\nContent-Length: 5", OK_CLOSE),
        ("Expect: 100-continue", OK),
        ("Content-Length: 18446744073709551615", OK),
    ] {
        let input = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
        assert_eq!(answers(&input), [expected], "{fields}");
    }
    assert_eq!(answers("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), [BAD]);
}

#[test]
fn pipelined_requests_are_answered_in_order_until_one_closes() {
    let (get, head) = ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answers(&format!("{get}{head}{get}\r\n{get}")), [OK, HEAD_OK, OK, OK]);
    assert_eq!(answers(&format!("{get}TRACE / HTTP/1.1\r\nHost: a\r\n\r\n{get}")), [OK, METHOD]);
    assert_eq!(answers(&format!("{get}GET / HTTP/1.0\r\n\r\n{get}")), [OK, OK_CLOSE]);
    assert_eq!(answers(&format!("{get}GET / HTTP/1.1\r\n")), [OK]);
}

#[test]
fn a_head_of_8_kib_is_taken_and_a_longer_one_is_not_however_it_is_cut() {
    let head = |len: usize| {
        let (front, back) = ("GET / HTTP/1.1\r\nHost: a\r\nX: ", "\r\n\r\n");
        format!("{front}{}{back}", "x".repeat(len - front.len() - back.len()))
    };
    for (input, expected) in [
        (head(HEAD_MAX), OK),
        (head(HEAD_MAX + 1), LARGE),
        (format!("\r\n\r\n{}", head(HEAD_MAX)), OK),
        (format!("GET /{}", "x".repeat(HEAD_MAX)), LARGE),
        (format!("GET /{} HTTP", "x".repeat(HEAD_MAX - 10)), LARGE),
        (format!("GET /{} HTTP/2.0\r\n", "x".repeat(HEAD_MAX - 10)), LARGE),
    ] {
        let whole = in_one_piece(input.as_bytes());
        let statuses: Vec<_> = whole.0.iter().map(|a| (a.status, a.head_only, a.reuse)).collect();
        assert_eq!(statuses, if input.len() < HEAD_MAX { vec![] } else { vec![expected] });
        for size in [1_000, 1_460, 4_096, HEAD_MAX - 1, HEAD_MAX] {
            let pieces: Vec<&[u8]> = input.as_bytes().chunks(size).collect();
            assert_eq!(in_pieces(&pieces), whole, "{size}");
        }
    }
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(count - 1));
    assert_eq!(answers(&fields(64)), [OK]);
    assert_eq!(answers(&fields(65)), [LARGE]);
}

#[test]
fn a_request_whose_answer_finds_no_room_is_left_and_answered_later() {
    let requests = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab".repeat(5);
    let mut peer = Peer::default();
    assert_eq!(peer.arrive(requests.as_bytes(), 2), End::NoRoom);
    assert_eq!((peer.answers.len(), peer.held.len()), (2, requests.len() / 5 * 3));
    assert_eq!(peer.arrive(b"", 0), End::NoRoom);
    assert_eq!(peer.arrive(b"", 2), End::NoRoom);
    assert_eq!(peer.arrive(b"", 2), End::Wait);
    assert_eq!((peer.answers.len(), peer.held.len()), (5, 0));

    // An answer that closes needs room as well.
    let mut peer = Peer::default();
    assert_eq!(peer.arrive(b"GET / HTTP/1.0\r\n\r\n", 0), End::NoRoom);
    assert_eq!(peer.arrive(b"", 1), End::Close);
}

#[test]
fn responses_have_the_length_they_say_and_head_has_no_body() {
    let responses = Responses::new(100);
    let text = |(status, head_only, reuse)| {
        std::str::from_utf8(responses.bytes(Answer { status, head_only, reuse })).unwrap()
    };
    let (head, body) = text(OK).split_once("\r\n\r\n").unwrap();
    assert_eq!(head, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100");
    assert_eq!(body.len(), 100);
    assert_eq!(text(HEAD_OK), format!("{head}\r\n\r\n"));
    assert!(text(OK_SAID).contains("\r\nConnection: keep-alive\r\n"));
    assert!(text(OK_CLOSE).contains("\r\nConnection: close\r\n"));
    assert!(text(METHOD).contains("\r\nAllow: GET, HEAD\r\n"));
    for (error, line) in [(BAD, "400 "), (METHOD, "405 "), (LARGE, "431 "), (VERSION, "505 ")] {
        assert!(text(error).starts_with(&format!("HTTP/1.1 {line}")), "{line}");
        assert!(text(error).ends_with("\r\nContent-Length: 0\r\n\r\n"), "{line}");
        assert!(text(error).contains("\r\nConnection: close\r\n"), "{line}");
    }
    assert!(
        responses.bytes(Answer { status: Status::Ok, head_only: false, reuse: Reuse::Implied }).len() > 100
    );
    assert_eq!(
        Responses::new(0).bytes(Answer { status: Status::Ok, head_only: false, reuse: Reuse::Close }),
        {
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
                .as_bytes()
        }
    );
}

/// Pieces of requests, so that random input gets beyond the first byte.
fn requests() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET ",
        "/ ",
        "HTTP/1.1\r\n",
        "HTTP/1.0\r\n",
        "HTTP/2.0\r\n",
        "Host: a\r\n",
        "Content-Length: 7\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Connection: close\r\n",
        "Connection: keep-alive\r\n",
        "\r\n",
        "\r",
        "\n",
        ":",
        " ",
        "x",
    ]);
    let word = prop_oneof![
        8 => words.prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_bytes_give_the_same_answers_however_they_are_cut(
        input in requests(),
        cuts in prop::collection::vec(1usize..40, 0..20),
    ) {
        let whole = in_one_piece(&input);
        let mut pieces: Vec<&[u8]> = Vec::new();
        let mut rest = input.as_slice();
        for cut in cuts {
            let (front, back) = rest.split_at(cut.min(rest.len()));
            pieces.push(front);
            rest = back;
        }
        pieces.push(rest);
        prop_assert_eq!(in_pieces(&pieces), whole);
    }

    #[test]
    fn any_bytes_are_answered_or_waited_for(
        input in prop::collection::vec(any::<u8>(), 0..600),
        room in 0usize..3,
    ) {
        let mut peer = Peer::default();
        let end = peer.arrive(&input, room);
        // Waiting is for a head that is not complete, and such a head is bounded.
        prop_assert!(end != End::Wait || peer.held.len() < HEAD_MAX);
        prop_assert!(end != End::NoRoom || (peer.answers.len() == room && !peer.held.is_empty()));
    }
}

#[test]
fn the_first_answer_of_a_draining_server_closes() {
    let mut peer = Peer { mode: Mode::Draining, ..Peer::default() };
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(peer.arrive(&[request, &request[..]].concat(), 9), End::Close);
    let reuse: Vec<_> = peer.answers.iter().map(|answer| answer.reuse).collect();
    assert_eq!(reuse, [Reuse::Close]);
}
