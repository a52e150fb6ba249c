//! Peers that break the rules, each in its own way. None of them stops the client: each connection ends in one place of
//! the account within its timeouts, and the closed loop goes on to the next.

use dpdk_tcp::app::client::{Order, Plan};
use dpdk_tcp::load::closing::Close;
use dpdk_tcp::load::talk::{Reply, Request, Talk};
use dpdk_tcp::stats::account::{Broken, Failed, Way};
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use super::lab::{ISS, Lab, Place, Scripted, back};
use super::{HTTP, plan};
use crate::expect::Sent;
use crate::reach::Seg;

pub const SYN: Flags = Flags::SYN;
pub const ACK: Flags = Flags::ACK;
pub const FIN: Flags = Flags::FIN;
pub const RST: Flags = Flags::RST;

/// Connections of a row, and how many of them at a time.
const ALL: u64 = 6;
const AT_ONCE: u32 = 3;
const CONNECT_MS: u32 = 200;
const REPLY_MS: u32 = 300;

pub const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const RAW: Talk = Talk { request: Request::Whole(b"say it"), reply: Reply::Octets(5), requests: 1 };
const UNTIL_CLOSE: Talk = Talk { reply: Reply::PeerClose, ..RAW };
const ECHO: Talk =
    Talk { request: Request::Payload { len: 40, seed: Some(9) }, reply: Reply::Same, requests: 1 };

/// What is sent, after how many microseconds.
pub type Answers = Vec<(u64, Vec<u8>)>;
type Hear = fn(&Sent, &mut Answers);

const fn failed(why: Failed) -> Place {
    Place::Failed(why)
}

const fn broken(why: Broken) -> Place {
    Place::Broken(why)
}

const fn closed(way: Way) -> Place {
    Place::Closed(way)
}

/// Runs a plan against a peer; every connection ends in the same place.
#[track_caller]
fn all_end(name: &str, plan: Plan, hear: Hear, place: Place) {
    let mut lab = Lab::new(plan);
    let mut peer = Scripted::new(hear);
    lab.run(&mut peer, 10_000);
    let rest = lab.longest_rest_us;
    let firsts = lab.latencies().of(dpdk_tcp::stats::latency::Phase::FirstByte).len();
    let tally = lab.quiet(peer);
    assert_eq!((tally.attempted, place.of(&tally)), (ALL, ALL), "{name}: not all {place:?} in {tally:?}");
    assert!(firsts <= ALL, "{name}: {firsts} first octets");
    // A millisecond for the tick that has begun, and one for the pause after a failure.
    let timeout = u64::from(CONNECT_MS.max(REPLY_MS) + 2) * 1_000;
    assert!(rest <= timeout || place == broken(Broken::Cut), "{name}: nothing for {rest} us");
}

pub fn short(talk: Talk, close: Close) -> Plan {
    let (connect_timeout_ms, reply_timeout_ms, drain_ms) = (CONNECT_MS, REPLY_MS, 1_000);
    Plan { connect_timeout_ms, reply_timeout_ms, drain_ms, ..plan(talk, close, AT_ONCE, ALL) }
}

pub fn say(answers: &mut Answers, segment: &Seg) {
    answers.push((0, segment.frame()));
}

/// The handshake, and what answers a FIN; what answers text is the caller's.
pub fn polite(sent: &Sent, answers: &mut Answers, text: impl FnOnce(&mut Answers)) {
    let flags = sent.segment.flags;
    if flags.has(SYN) {
        say(answers, &back(sent, SYN | ACK));
    } else if !sent.text.is_empty() {
        text(answers);
    } else if flags.has(FIN) {
        say(answers, &back(sent, FIN | ACK));
    }
}

/// A peer that answers requests by this text.
pub fn answers_with(sent: &Sent, answers: &mut Answers, text: &[u8]) {
    polite(sent, answers, |answers| {
        let mut reply = back(sent, ACK);
        for piece in text.chunks(500) {
            say(answers, &reply.clone().text(piece));
            reply.seq += piece.len() as u32;
        }
    });
}

#[test]
fn handshakes_that_break_the_rules_time_out_or_are_refused() {
    let rows: [(&str, Hear, Failed); 7] = [
        ("nobody", |_, _| (), Failed::SynTimedOut),
        (
            "SYN-ACKs that acknowledge anything but the SYN",
            |sent, answers| {
                // The resets that they are answered by are not.
                for wrong in
                    [0, 2, u32::MAX, 1 << 31, 70_000].into_iter().filter(|_| sent.segment.flags == SYN)
                {
                    let mut answer = back(sent, SYN | ACK);
                    answer.ack = sent.segment.seq + wrong;
                    say(answers, &answer);
                }
            },
            Failed::SynTimedOut,
        ),
        (
            "resets without acceptable numbers",
            |sent, answers| {
                say(answers, &back(sent, RST));
                let mut wrong = back(sent, RST | ACK);
                for ack in [sent.segment.seq, sent.segment.seq + 2, Seq(0)] {
                    wrong.ack = ack;
                    say(answers, &wrong);
                }
            },
            Failed::SynTimedOut,
        ),
        (
            "a reset that acknowledges the SYN",
            |sent, answers| say(answers, &back(sent, RST | ACK)),
            Failed::Refused,
        ),
        (
            "data instead of an answer",
            |sent, answers| say(answers, &back(sent, ACK).text(OK)),
            Failed::SynTimedOut,
        ),
        (
            "a FIN instead of an answer",
            |sent, answers| say(answers, &back(sent, FIN | ACK)),
            Failed::SynTimedOut,
        ),
        (
            "no flags at all",
            |sent, answers| say(answers, &back(sent, Flags(0)).text(OK)),
            Failed::SynTimedOut,
        ),
    ];
    for (name, hear, why) in rows {
        all_end(name, short(HTTP, Close::Fin), hear, failed(why));
    }
}

#[test]
fn a_syn_that_crosses_ours_and_leads_nowhere_is_a_failure() {
    let rows: [(&str, Hear, Failed); 2] = [
        (
            "a SYN that crosses ours, and nothing after it",
            |sent, answers| {
                if sent.segment.flags == SYN {
                    say(answers, &back(sent, SYN));
                }
            },
            Failed::SynTimedOut,
        ),
        (
            "a SYN that crosses ours, and a reset",
            |sent, answers| {
                let crossing = sent.segment.flags == SYN;
                let mut answer = back(sent, if crossing { SYN } else { RST });
                answer.seq = if crossing { ISS } else { ISS + 1 };
                say(answers, &answer);
            },
            Failed::Refused,
        ),
    ];
    for (name, hear, why) in rows {
        all_end(name, short(HTTP, Close::Fin), hear, failed(why));
    }
}

#[test]
fn whatever_the_handshake_carries_a_sound_reply_is_a_reply() {
    let rows: [(&str, Talk, Hear); 5] = [
        ("both open at once", HTTP, |sent, answers| {
            // The SYN crosses ours; what follows is acknowledged.
            match sent.segment.flags {
                SYN => say(answers, &back(sent, SYN)),
                flags if flags.has(SYN) => {
                    let mut ack = back(sent, ACK);
                    ack.seq = ISS + 1;
                    say(answers, &ack);
                }
                _ => answers_with(sent, answers, OK),
            }
        }),
        ("a reply in pieces of one octet", HTTP, |sent, answers| {
            polite(sent, answers, |answers| {
                for (n, octet) in (0u32..).zip(OK) {
                    let mut piece = back(sent, ACK).text(&[*octet]);
                    piece.seq += n;
                    answers.push((u64::from(n) * 700, piece.frame()));
                }
            });
        }),
        ("overlapping pieces, and some outside of the window", HTTP, |sent, answers| {
            polite(sent, answers, |answers| {
                for (from, to) in [(20, 30), (2, 25), (0, 5), (40, OK.len()), (3, 41)] {
                    let mut piece = back(sent, ACK).text(&OK[from..to]);
                    piece.seq += from as u32;
                    say(answers, &piece);
                    for far in [1 << 20, 1 << 31, u32::MAX - 70_000] {
                        let mut outside = back(sent, ACK).text(b"outside");
                        outside.seq += far;
                        say(answers, &outside);
                    }
                }
            });
        }),
        ("a FIN with the reply, and data behind it", HTTP, |sent, answers| {
            polite(sent, answers, |answers| {
                say(answers, &back(sent, ACK | FIN).text(OK));
                let mut behind = back(sent, ACK).text(b"behind the end");
                behind.seq += OK.len() as u32 + 1;
                say(answers, &behind);
            });
        }),
        ("more than was asked for, which is of no interest", RAW, |sent, answers| {
            // Our FIN may come before all of it has been received, and the peer's stands behind it all the same.
            if sent.segment.flags.has(FIN) && sent.text.is_empty() {
                let mut end = back(sent, FIN | ACK);
                end.seq = ISS + 1 + 3_000;
                say(answers, &end);
            } else {
                answers_with(sent, answers, &[7; 3_000]);
            }
        }),
    ];
    for (name, talk, hear) in rows {
        all_end(name, short(talk, Close::Fin), hear, closed(Way::Fin));
    }
}

/// A response with this head and this body.
fn response(head: &str, body: &[u8]) -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\n", head.as_bytes(), b"\r\n", body].concat()
}

#[test]
fn http_that_is_none_is_wrong_data() {
    let rows: [(&str, Hear); 14] = [
        ("a head of 20 KB", |sent, answers| {
            answers_with(sent, answers, &response(&format!("A: {}\r\n", "x".repeat(20_000)), b""));
        }),
        ("a head of 20 KB without an end", |sent, answers| {
            answers_with(sent, answers, format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(20_000)).as_bytes());
        }),
        ("a hundred headers", |sent, answers| {
            answers_with(sent, answers, &response(&"A: b\r\n".repeat(100), b""));
        }),
        ("another protocol", |sent, answers| answers_with(sent, answers, b"220 mail.example ESMTP\r\n")),
        ("an error", |sent, answers| {
            answers_with(sent, answers, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        }),
        ("a length that is less than the body", |sent, answers| {
            answers_with(sent, answers, &response("Content-Length: 4\r\n", b"hello"));
        }),
        ("a length that is no number", |sent, answers| {
            answers_with(sent, answers, &response("Content-Length: five\r\n", b"hello"));
        }),
        ("a length with a sign", |sent, answers| {
            answers_with(sent, answers, &response("Content-Length: +5\r\n", b"hello"));
        }),
        ("a length below nothing", |sent, answers| {
            answers_with(sent, answers, &response("Content-Length: -1\r\n", b"hello"));
        }),
        ("a length beyond all numbers", |sent, answers| {
            answers_with(sent, answers, &response("Content-Length: 99999999999999999999\r\n", b"hello"));
        }),
        ("two lengths", |sent, answers| {
            answers_with(sent, answers, &response("Content-Length: 5\r\nContent-Length: 6\r\n", b"hello"));
        }),
        ("chunks that are none", |sent, answers| {
            answers_with(sent, answers, &response("Transfer-Encoding: chunked\r\n", b"xyz\r\nhello\r\n"));
        }),
        ("a chunk longer than all numbers", |sent, answers| {
            let chunk = b"ffffffffffffffffffff\r\nhello";
            answers_with(sent, answers, &response("Transfer-Encoding: chunked\r\n", chunk));
        }),
        ("a chunk with an extension without an end", |sent, answers| {
            let chunk = [b"5;a=".as_slice(), &[b'x'; 20_000]].concat();
            answers_with(sent, answers, &response("Transfer-Encoding: chunked\r\n", &chunk));
        }),
    ];
    for (name, hear) in rows {
        all_end(name, short(HTTP, Close::Fin), hear, broken(Broken::WrongData));
    }
}

#[test]
fn replies_that_are_not_the_requests_echo_are_wrong_data() {
    let rows: [(&str, Talk, Hear); 3] = [
        ("an echo with a wrong octet", ECHO, |sent, answers| {
            let mut text = sent.text.clone();
            text.iter_mut().skip(30).take(1).for_each(|octet| *octet ^= 1);
            answers_with(sent, answers, &text);
        }),
        ("an echo and one octet more", ECHO, |sent, answers| {
            answers_with(sent, answers, &[&sent.text[..], b"!"].concat());
        }),
        ("an answer to nothing", Talk { reply: Reply::None, ..RAW }, |sent, answers| {
            let mut answer = back(sent, if sent.segment.flags.has(SYN) { SYN | ACK } else { ACK });
            if !sent.text.is_empty() {
                // Before it acknowledges what was sent, and the connection is closed.
                answer.ack = sent.segment.seq;
                answer.text = b"what?".to_vec();
            }
            say(answers, &answer);
        }),
    ];
    for (name, talk, hear) in rows {
        all_end(name, short(talk, Close::Fin), hear, broken(Broken::WrongData));
    }
}

#[test]
fn replies_that_end_too_early_are_short() {
    let rows: [(&str, Talk, Hear); 5] = [
        ("a length that is more than the body", HTTP, |sent, answers| {
            polite(sent, answers, |answers| {
                say(answers, &back(sent, ACK | FIN).text(&response("Content-Length: 6\r\n", b"hello")));
            });
        }),
        ("half a head", HTTP, |sent, answers| {
            polite(sent, answers, |answers| say(answers, &back(sent, ACK | FIN).text(&OK[..20])));
        }),
        ("chunks without the last", HTTP, |sent, answers| {
            let text = response("Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n");
            polite(sent, answers, |answers| say(answers, &back(sent, ACK | FIN).text(&text)));
        }),
        ("nothing at all", UNTIL_CLOSE, |sent, answers| {
            polite(sent, answers, |answers| say(answers, &back(sent, ACK | FIN)));
        }),
        ("a FIN with the SYN-ACK", HTTP, |sent, answers| {
            if sent.segment.flags.has(SYN) {
                say(answers, &back(sent, SYN | ACK | FIN));
            }
        }),
    ];
    for (name, talk, hear) in rows {
        all_end(name, short(talk, Close::Peer), hear, broken(Broken::ShortReply));
    }
}

#[test]
fn peers_that_let_us_wait_for_ever_time_out() {
    let rows: [(&str, Talk, Close, Hear); 7] = [
        ("a handshake and silence", HTTP, Close::Fin, |sent, answers| {
            if sent.segment.flags.has(SYN) {
                say(answers, &back(sent, SYN | ACK));
            }
        }),
        ("a window of nothing", HTTP, Close::Fin, |sent, answers| {
            let flags = if sent.segment.flags.has(SYN) { SYN | ACK } else { ACK };
            let mut answer = back(sent, flags).wnd(0);
            // Probes of the window are not taken.
            answer.ack = answer.ack - sent.text.len() as u32;
            say(answers, &answer);
        }),
        ("acknowledgments of what was never sent", HTTP, Close::Fin, |sent, answers| {
            let mut answer = back(sent, if sent.segment.flags.has(SYN) { SYN | ACK } else { ACK });
            if !sent.segment.flags.has(SYN) {
                answer.ack += 5_000;
            }
            say(answers, &answer);
        }),
        ("acknowledgments and nothing else", HTTP, Close::Fin, |sent, answers| {
            polite(sent, answers, |answers| say(answers, &back(sent, ACK)));
        }),
        ("the reply, and no answer to the FIN", HTTP, Close::Fin, |sent, answers| {
            if !sent.segment.flags.has(FIN) {
                answers_with(sent, answers, OK);
            }
        }),
        ("the reply, and no FIN of its own", RAW, Close::Peer, |sent, answers| {
            answers_with(sent, answers, b"hello");
        }),
        ("an answer to the request, and none to the half-close", HTTP, Close::HalfClose, |sent, answers| {
            let flags = if sent.segment.flags.has(SYN) { SYN | ACK } else { ACK };
            let text: &[u8] = if sent.text.is_empty() { b"" } else { OK };
            if !sent.text.is_empty() || flags.has(SYN) {
                say(answers, &back(sent, flags).text(text));
            }
        }),
    ];
    for (name, talk, close, hear) in rows {
        all_end(name, short(talk, close), hear, broken(Broken::ReplyTimedOut));
    }
}

/// An ACK for each of ours, and more of the reply with it.
fn endless(sent: &Sent, answers: &mut Answers, head: &[u8], more: &[u8]) {
    if sent.segment.flags.has(SYN) {
        return say(answers, &back(sent, SYN | ACK));
    }
    let reply = back(sent, ACK);
    let begins = reply.seq == ISS + 1;
    if !begins || !sent.text.is_empty() {
        answers.push((5_000, reply.text(if begins { head } else { more }).frame()));
    }
}

#[test]
fn replies_that_never_end_are_cut_by_the_drain() {
    let rows: [(&str, Talk, Hear); 5] = [
        ("a body", HTTP, |sent, answers| {
            endless(sent, answers, b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", &[b'x'; 500]);
        }),
        ("a body without a length", HTTP, |sent, answers| {
            endless(sent, answers, b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 500]);
        }),
        ("chunks", HTTP, |sent, answers| {
            endless(sent, answers, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n");
        }),
        ("trailers", HTTP, |sent, answers| {
            endless(
                sent,
                answers,
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
                b"a: b\r\n",
            );
        }),
        ("whatever comes until the end", UNTIL_CLOSE, |sent, answers| {
            endless(sent, answers, b"once upon a time", b"and then");
        }),
    ];
    for (name, talk, hear) in rows {
        let mut plan = short(talk, Close::Peer);
        plan.schedule.stages[0].concurrency = Some(ALL as u32);
        all_end(name, plan, hear, broken(Broken::Cut));
    }
}

#[test]
fn a_reset_in_the_middle_of_any_state_is_counted_once() {
    let plans = [
        (Talk::SILENT, Close::Fin, b"".as_slice()),
        (Talk::SILENT, Close::Peer, b""),
        (HTTP, Close::Fin, OK),
        (HTTP, Close::HalfClose, OK),
        (RAW, Close::Peer, b"hello"),
        (Talk { requests: 3, ..HTTP }, Close::Fin, OK),
    ];
    for (talk, close, reply) in plans {
        for at in 1..12 {
            let mut lab = Lab::new(short(talk, close));
            let mut heard = std::collections::BTreeMap::new();
            let mut peer = Scripted::new(|sent: &Sent, answers: &mut Answers| {
                let segments = heard.entry(sent.ports.0).or_insert(0);
                *segments += 1;
                let flags = sent.segment.flags;
                if *segments == at {
                    return say(answers, &back(sent, if flags == SYN { RST | ACK } else { RST }));
                }
                answers_with(sent, answers, reply);
            });
            lab.run(&mut peer, 10_000);
            let tally = lab.quiet(peer);
            assert_eq!(tally.attempted, ALL, "{close:?}, {at}");
            if at == 1 {
                assert_eq!(tally.failed[Failed::Refused as usize], ALL, "{tally:?}");
            }
            let reset = tally.broken[Broken::Reset as usize];
            assert!(at != 2 || reset == ALL, "{talk:?}, {close:?}: {tally:?}");
        }
    }
}

#[test]
fn a_peer_that_closes_or_speaks_before_its_turn_stops_nobody() {
    // Connections wait for their turn; the peer does not.
    let closes: Hear = |sent, answers| {
        polite(sent, answers, |answers| say(answers, &back(sent, FIN | ACK)));
        if !sent.segment.flags.has(SYN | FIN) && sent.text.is_empty() && sent.segment.ack == ISS + 1 {
            answers.push((3_000, back(sent, ACK | FIN).frame()));
        }
    };
    let speaks: Hear = |sent, answers| {
        if sent.segment.flags.has(SYN) {
            say(answers, &back(sent, SYN | ACK).text(OK));
        } else if sent.segment.flags.has(FIN) {
            say(answers, &back(sent, FIN | ACK));
        }
    };
    for order in [Order::Own, Order::Random { active: 1 }] {
        for hold_ms in [0, 10, u32::MAX] {
            for (talk, close) in [
                (Talk::SILENT, Close::Rst),
                (Talk::SILENT, Close::Abandon),
                (Talk::SILENT, Close::Fin),
                (Talk::SILENT, Close::Peer),
                (HTTP, Close::Fin),
                (HTTP, Close::Rst),
                (RAW, Close::Abandon),
            ] {
                for (hear, it_closes) in [(closes, true), (speaks, false)] {
                    let mut plan = Plan { order, hold_ms, ..short(talk, close) };
                    plan.schedule.stages[0].duration_ns = 200_000_000;
                    let mut lab = Lab::new(plan);
                    let mut peer = Scripted::new(hear);
                    lab.run(&mut peer, 5_000);
                    let tally = lab.quiet(peer);
                    // What is said unasked is no FIN: whoever waits for one waits until the reply is overdue.
                    let waits = close == Close::Peer && !it_closes;
                    let least = if hold_ms == u32::MAX || waits { u64::from(AT_ONCE) } else { ALL };
                    assert!(tally.attempted >= least, "{order:?}, {hold_ms}, {talk:?}, {close:?}: {tally:?}");
                }
            }
        }
    }
}
