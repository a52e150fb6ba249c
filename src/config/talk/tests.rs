//! What is said and how it ends, option by option.

use super::*;

const THERE: Peer<'_> = Peer { is_ours: false, host: "198.18.0.2", seed: 7 };
const BENCH: Peer<'_> = Peer { is_ours: true, ..THERE };

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, ConfigError>, part: &str) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains(part), "{error}");
}

fn echo() -> Asked {
    Asked { language: Some(Language::Echo), ..Asked::default() }
}

fn raw() -> Asked {
    Asked { language: Some(Language::Raw), ..Asked::default() }
}

fn bulk(direction: Direction) -> Asked {
    Asked { bytes: Some(1_000), direction: Some(direction), ..Asked::default() }
}

fn closing(asked: Asked, close: &str) -> Asked {
    Asked { closes: Some(closes(close).unwrap()), ..asked }
}

fn payload(len: u64) -> Request {
    Request::Payload { len, seed: None }
}

#[test]
fn each_profile_has_its_own_talk_and_end() {
    let of = |profile, peer| {
        let (talk, closes) = Asked::default().of(profile, peer).unwrap();
        (talk.requests, talk.reply, closes.of(0))
    };
    assert_eq!(of(Profile::Open, THERE), (0, Reply::None, Close::Rst));
    assert_eq!(of(Profile::OpenClose, THERE), (0, Reply::None, Close::Fin));
    assert_eq!(of(Profile::Crr, THERE), (1, Reply::Http, Close::Fin));
    assert_eq!(of(Profile::Stream, THERE), (10, Reply::Http, Close::Fin));
    assert_eq!(of(Profile::Flood, BENCH), (0, Reply::None, Close::Abandon));
    assert_eq!(of(Profile::Crr, BENCH), (1, Reply::Octets(128), Close::Peer));
    assert_eq!(of(Profile::Open, BENCH), (0, Reply::None, Close::Rst));
    assert_eq!(of(Profile::Stream, BENCH), (10, Reply::Same, Close::Fin));
    let (talk, _) = Asked::default().of(Profile::Crr, BENCH).unwrap();
    assert_eq!(talk.request, payload(85));
}

#[test]
fn a_get_names_its_host_and_asks_to_close_where_the_peer_shall() {
    let text = |asked: Asked| {
        let (talk, _) = asked.of(Profile::Crr, THERE).unwrap();
        String::from_utf8(talk.lent(0).unwrap().to_vec()).unwrap()
    };
    let plain = text(Asked::default());
    assert!(plain.starts_with("GET / HTTP/1.1\r\nHost: 198.18.0.2\r\nUser-Agent: dpdk-tcp/"), "{plain}");
    assert!(plain.ends_with("\r\n\r\n") && !plain.contains("Connection"), "{plain}");
    assert!(text(closing(Asked::default(), "fin=9,peer=1")).contains("\r\nConnection: close\r\n"));
    let named = Asked {
        path: Some("/x".into()),
        host: Some("h".into()),
        request_size: Some(300),
        ..Asked::default()
    };
    let named = text(named);
    assert!(named.starts_with("GET /x HTTP/1.1\r\nHost: h\r\n") && named.len() == 300, "{named}");
    let short = Asked { request_size: Some(10), ..Asked::default() };
    refused(short.of(Profile::Crr, THERE), &format!("must be {} to 8192, because the head", plain.len()));
}

#[test]
fn replies_end_as_the_language_says() {
    let of = |asked: Asked| asked.of(Profile::Crr, THERE).map(|(talk, closes)| (talk, closes.of(0)));
    let talk = |request, reply| Talk { request, reply, requests: 1 };
    assert_eq!(of(echo()), Ok((talk(payload(64), Reply::Same), Close::Fin)));
    assert_eq!(of(raw()), Ok((talk(payload(64), Reply::PeerClose), Close::Peer)));
    let sized = Asked { request_size: Some(1), reply_size: Some(9), ..raw() };
    assert_eq!(of(sized), Ok((talk(payload(1), Reply::Octets(9)), Close::Fin)));
    refused(
        of(Asked { reply_size: Some(9), ..Asked::default() }),
        "the server says how long its response is",
    );
    refused(of(Asked { reply_size: Some(9), ..echo() }), "as long as what was sent");
    refused(of(Asked { path: Some("/".into()), ..raw() }), "--path is for --talk http");
    refused(of(Asked { host: Some("h".into()), ..echo() }), "--host is for --talk http");
    refused(raw().of(Profile::Stream, THERE), "add --reply-size, or take --requests 1");
    refused(raw().of(Profile::Stream, BENCH), "take --talk echo or http");
}

#[test]
fn bytes_go_one_way_or_both() {
    let of = |direction| bulk(direction).of(Profile::Stream, THERE).unwrap().0;
    assert_eq!(of(Direction::Up), Talk { request: payload(1_000), reply: Reply::None, requests: 1 });
    assert_eq!(of(Direction::Down), Talk { request: payload(64), reply: Reply::Octets(1_000), requests: 1 });
    assert_eq!(of(Direction::Both), Talk { request: payload(1_000), reply: Reply::Same, requests: 1 });
    let short = Asked { request_size: Some(3), ..bulk(Direction::Down) };
    assert_eq!(short.of(Profile::Stream, THERE).unwrap().0.request, payload(3));
    let beside = |asked: Asked, part: &str| refused(asked.of(Profile::Stream, THERE), part);
    beside(Asked { request_size: Some(3), ..bulk(Direction::Up) }, "--request-size has no place beside it");
    beside(Asked { requests: Some(3), ..bulk(Direction::Up) }, "--requests has no place");
    beside(Asked { language: Some(Language::Echo), ..bulk(Direction::Both) }, "--talk has no place");
    // The other profiles of a list are not changed by it.
    assert_eq!(bulk(Direction::Up).of(Profile::Crr, THERE).unwrap().0.reply, Reply::Http);
}

#[test]
fn only_what_comes_back_can_be_compared() {
    let verify = |asked: Asked, profile| Asked { verify: true, ..asked }.of(profile, THERE);
    let random = Request::Payload { len: 64, seed: Some(7) };
    assert_eq!(verify(echo(), Profile::Crr).unwrap().0.request, random);
    let (talk, _) = verify(bulk(Direction::Both), Profile::Stream).unwrap();
    assert_eq!(talk.request, Request::Payload { len: 1_000, seed: Some(7) });
    for asked in [Asked::default(), raw()] {
        refused(verify(asked, Profile::Crr), "--verify compares what comes back with what was sent");
    }
    for direction in [Direction::Up, Direction::Down] {
        refused(verify(bulk(direction), Profile::Stream), "--direction both");
    }
}

#[test]
fn an_end_that_cannot_come_is_refused() {
    let with = |asked: Asked, close: &str, profile, peer| closing(asked, close).of(profile, peer);
    refused(with(echo(), "peer", Profile::Crr, THERE), "--close peer: a server that sends back");
    refused(with(bulk(Direction::Both), "fin=1,peer=1", Profile::Stream, THERE), "closes only behind us");
    refused(with(raw(), "fin", Profile::Crr, THERE), "--close fin: without --reply-size");
    refused(with(Asked::default(), "half-close", Profile::Open, THERE), "nothing is asked");
    refused(with(Asked::default(), "peer", Profile::OpenClose, BENCH), "closes behind its reply");
    refused(with(bulk(Direction::Up), "peer", Profile::Stream, BENCH), "closes behind its reply");
    refused(with(Asked::default(), "peer", Profile::Stream, THERE), "would be its last");
    for (close, profile) in
        [("peer", Profile::OpenClose), ("fin", Profile::Open), ("half-close", Profile::Crr)]
    {
        assert!(with(Asked::default(), close, profile, THERE).is_ok(), "{close}");
    }
    let one = Asked { requests: Some(1), ..Asked::default() };
    assert!(with(one, "peer", Profile::Stream, THERE).is_ok());
}

#[test]
fn an_option_without_a_profile_for_it_is_refused() {
    let silent = [Profile::Open, Profile::OpenClose];
    let check = |asked: Asked, profiles: &[Profile], part: &str| refused(asked.check(profiles), part);
    check(echo(), &silent, "--talk is about what is said, and these profiles say nothing");
    check(Asked { verify: true, ..Asked::default() }, &silent, "--verify is about what is said");
    check(Asked { think: Some(Duration::ZERO), ..Asked::default() }, &[Profile::Flood], "--think is about");
    check(
        Asked { requests: Some(3), ..Asked::default() },
        &[Profile::Crr],
        "--requests is for --profile stream",
    );
    check(bulk(Direction::Up), &[Profile::Crr], "--bytes is for --profile stream");
    check(Asked { bytes: None, ..bulk(Direction::Up) }, &[Profile::Stream], "add --bytes");
    check(closing(Asked::default(), "fin"), &[Profile::Flood], "--close has no meaning in a flood");
    assert_eq!(echo().check(&[Profile::Open, Profile::Crr]), Ok(()));
    assert_eq!(closing(Asked::default(), "fin").check(&[Profile::Flood, Profile::Crr]), Ok(()));
}

#[test]
fn words_and_weights_are_read() {
    assert_eq!(closes("half-close"), Ok(Closes::only(Close::HalfClose)));
    let weights = closes("fin=9,rst=1k").unwrap();
    assert_eq!(weights.weights().collect::<Vec<_>>(), [(Close::Fin, 9), (Close::Rst, 1_000)]);
    refused(closes("fin=0"), "must add up to 1 to 4294967295");
    refused(closes("fin=5G"), "must add up to");
    refused(closes("fin,fin"), "names fin twice");
    refused(closes("fins"), "'fins' is not a way to close; take fin, peer, rst, half-close or abandon");
    refused(closes("fin=x"), "not a count");
    assert_eq!((profile("open-close"), language("raw")), (Ok(Profile::OpenClose), Ok(Language::Raw)));
    refused(
        profile("udp"),
        "'udp' is not a profile; take open, open-close, crr or stream, or in bench flood",
    );
    refused(language("smtp"), "take http, echo or raw");
    assert_eq!(direction("both"), Ok(Direction::Both));
    refused(direction("left"), "take up, down or both");
    assert_eq!((request_size("1k"), reply_size("1M"), bytes("1G")), (Ok(1 << 10), Ok(1 << 20), Ok(1 << 30)));
    assert_eq!((requests("1k"), think("0")), (Ok(1_000), Ok(Duration::ZERO)));
    refused(request_size("0"), "1 to 1T");
    refused(reply_size("0"), "1 to 1T");
    refused(bytes("2T"), "1 to 1T");
    refused(requests("0"), "1 to 2147483648");
    refused(think("25h"), "0s to 1d");
}

proptest::proptest! {
    #[test]
    fn any_way_to_close_is_read_or_refused_without_a_panic(text in "(fin|rst|peer|=|,|[0-9kG]){0,12}|.{0,12}") {
        let _ = closes(&text);
    }
}
