//! Conversations, octet by octet.

use super::*;

fn random(len: u64) -> Talk {
    Talk { request: Request::Payload { len, seed: Some(9) }, reply: Reply::Same, requests: 2 }
}

fn octets(talk: &Talk, number: u64) -> Vec<u8> {
    let mut all = vec![0; talk.request_len() as usize];
    talk.fill(number, 0, &mut all);
    all
}

#[test]
fn a_payload_is_the_same_in_whatever_pieces_it_is_written() {
    for seed in [None, Some(5)] {
        let talk = Talk { request: Request::Payload { len: 1_000, seed }, ..random(0) };
        let whole = octets(&talk, 3);
        for piece in [1, 7, 64, 999] {
            let mut again = vec![0; 1_000];
            for (n, place) in again.chunks_mut(piece).enumerate() {
                talk.fill(3, (n * piece) as u64, place);
            }
            assert_eq!(again, whole, "{seed:?} {piece}");
        }
        assert_eq!(octets(&talk, 4) == whole, seed.is_none(), "random ones differ by connection");
    }
}

#[test]
fn a_plain_payload_is_lent_in_pieces_that_are_what_would_be_written() {
    let of = |len, seed| Talk { request: Request::Payload { len, seed }, ..random(0) };
    for len in [0, 1, 63, 64, 65, 1_460, 16_384, 16_385, 50_000] {
        let (talk, mut lent) = (of(len, None), Vec::<u8>::new());
        while let Some(piece) = talk.lent(lent.len() as u64).filter(|piece| !piece.is_empty()) {
            lent.extend(piece);
        }
        assert_eq!(lent, octets(&talk, 3), "{len}");
    }
    // From anywhere, and never more than there is.
    let talk = of(20_000, None);
    for at in [1, 65, 16_383, 19_999] {
        let piece = talk.lent(at).unwrap();
        let at = at as usize;
        assert_eq!(piece, &octets(&talk, 3)[at..at + piece.len()]);
    }
    assert_eq!(of(u64::MAX, None).lent(64).map(<[u8]>::len), Some(16_384));
    assert_eq!(of(64, Some(9)).lent(0), None);
}

#[test]
fn an_echo_is_compared_octet_by_octet() {
    let talk = random(500);
    let text = octets(&talk, 1);
    for piece in [1, 13, 500] {
        let mut conversation = Conversation::default();
        assert!(conversation.queued(&talk, 500));
        for (n, part) in text.chunks(piece).enumerate() {
            let last = (n + 1) * piece >= 500;
            let wanted = if last { Heard::Complete } else { Heard::Waiting };
            assert_eq!(conversation.receive(&talk, 1, part), (part.len(), wanted));
        }
        assert!(conversation.is_complete() && !conversation.is_over(&talk));
        assert!(conversation.next(&talk) && conversation.to_send(&talk) == 500);
    }
    for wrong_at in [0, 255, 256, 499] {
        let mut wrong = text.clone();
        wrong[wrong_at] ^= 1;
        let mut conversation = Conversation::default();
        let _ = conversation.queued(&talk, 500);
        assert_eq!(conversation.receive(&talk, 1, &wrong).1, Heard::WrongData, "{wrong_at}");
    }
    let mut conversation = Conversation::default();
    let _ = conversation.queued(&talk, 10);
    assert_eq!(conversation.receive(&talk, 1, &text[..11]).1, Heard::WrongData, "before it was sent");
}

#[test]
fn replies_end_as_they_should() {
    let with = |reply| Talk { request: Request::Whole(b"hello"), reply, requests: 1 };
    let heard = |reply, data: &[u8]| {
        let (talk, mut conversation) = (with(reply), Conversation::default());
        assert!(conversation.is_first() && conversation.to_send(&talk) == 5);
        assert!(conversation.queued(&talk, 5));
        let heard = if data.is_empty() { Heard::Waiting } else { conversation.receive(&talk, 0, data).1 };
        (heard, conversation.peer_closed(&talk))
    };
    assert_eq!(heard(Reply::Octets(3), b"ab"), (Heard::Waiting, Heard::Short));
    assert_eq!(heard(Reply::Octets(3), b"abcdef"), (Heard::Complete, Heard::Complete));
    assert_eq!(heard(Reply::PeerClose, b"x"), (Heard::Waiting, Heard::Complete));
    assert_eq!(heard(Reply::PeerClose, b""), (Heard::Waiting, Heard::Short));
    assert_eq!(heard(Reply::None, b""), (Heard::Waiting, Heard::Complete));
    assert_eq!(heard(Reply::None, b"x").0, Heard::WrongData);
    assert_eq!(heard(Reply::Http, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").0, Heard::Complete);
    assert_eq!(heard(Reply::Http, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy").0, Heard::WrongData);
    assert_eq!(heard(Reply::Http, b"HTTP/1.1 200 OK\r\n"), (Heard::Waiting, Heard::Short));
    assert_eq!(heard(Reply::Http, b"HTTP/1.0 200 OK\r\n\r\nabc"), (Heard::Waiting, Heard::Complete));
}

#[test]
fn a_silent_talk_expects_nothing_and_lets_the_other_end_speak() {
    let mut conversation = Conversation::default();
    assert!(conversation.is_over(&Talk::SILENT) && conversation.to_send(&Talk::SILENT) == 0);
    assert_eq!(conversation.peer_closed(&Talk::SILENT), Heard::Complete);
    assert_eq!(conversation.receive(&Talk::SILENT, 0, b"220 "), (4, Heard::Waiting));
    assert!(!conversation.is_first() && conversation.received() == 4);
}
