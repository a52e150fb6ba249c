//! Every place of the account once: each reason for a failure, each way to close and each other end is provoked by one
//! connection and counted by one. A new one does not compile before it has a world here, or a reason to have none.

use std::cell::Cell;
use std::rc::Rc;

use dpdk_tcp::app::client::Plan;
use dpdk_tcp::load::closing::Close;
use dpdk_tcp::load::schedule::{Schedule, Stage};
use dpdk_tcp::load::talk::{Reply, Request, Talk};
use dpdk_tcp::load::tuples::{Addresses, Ports, Target, Tuples};
use dpdk_tcp::sim::faults::Spells;
use dpdk_tcp::stats::account::{Broken, Failed, Way};

use super::hostile::{ACK, Answers, FIN, OK, RST, SYN, answers_with, polite, say};
use super::lab::{ISS, Lab, Place, Scripted, back, setup, tuples};
use super::{HTTP, plan};
use crate::expect::Sent;
use crate::icmp_errors::{Quote, error_with};
use crate::reach::{PEERS, PORT, Seg, Setup};

/// Always.
const ON: Spells = Spells { every_us: u32::MAX, for_us: u32::MAX };
const RAW: Talk = Talk { request: Request::Whole(b"hello"), reply: Reply::Octets(5), requests: 1 };

type Hear = Box<dyn FnMut(&Sent, &mut Answers)>;

/// A client, whom it meets, and how many connections it attempts.
struct Case {
    lab: Lab,
    hear: Hear,
    attempts: u64,
}

impl Case {
    fn new(plan: Plan, hear: impl FnMut(&Sent, &mut Answers) + 'static) -> Case {
        Case { lab: Lab::new(plan), hear: Box::new(hear), attempts: 1 }
    }

    fn with(plan: Plan, hear: fn(&Sent, &mut Answers), change: impl FnOnce(&mut Setup)) -> Case {
        let mut setup = setup();
        change(&mut setup);
        Case { lab: Lab::with(plan, &setup, tuples(Ports::EPHEMERAL)), ..Case::new(plan_of_none(), hear) }
    }

    /// To its end: one connection stands in this place.
    #[track_caller]
    fn ends(mut self, place: Place) {
        let mut peer = Scripted::new(self.hear);
        self.lab.run(&mut peer, 30_000);
        let tally = self.lab.quiet(peer);
        assert_eq!((tally.attempted, place.of(&tally)), (self.attempts, 1), "{place:?}: {tally:?}");
        let all = tally.failed_all() + tally.closed_all() + tally.broken_all();
        // What else there is ended as planned, or, where the end waits for nobody, was cut.
        let cut = tally.failed[Failed::Cut as usize] + tally.broken[Broken::Cut as usize];
        let cut = if place == Place::Failed(Failed::Late) { cut } else { 0 };
        let planned = tally.closed_all() + cut + u64::from(!matches!(place, Place::Closed(_)));
        assert_eq!((all, planned), (self.attempts, self.attempts), "{place:?}: {tally:?}");
    }
}

fn plan_of_none() -> Plan {
    plan(Talk::SILENT, Close::Rst, 1, 0)
}

fn one(talk: Talk, close: Close) -> Plan {
    Plan { connect_timeout_ms: 500, reply_timeout_ms: 2_000, ..plan(talk, close, 1, 1) }
}

fn nobody(_: &Sent, _: &mut Answers) {}

fn server(sent: &Sent, answers: &mut Answers) {
    answers_with(sent, answers, OK);
}

/// The handshake, and nothing more.
fn mute(sent: &Sent, answers: &mut Answers) {
    if sent.segment.flags.has(SYN) {
        say(answers, &back(sent, SYN | ACK));
    }
}

/// A router reports that what was sent could not be delivered.
fn report(code: u8, sent: &Sent, answers: &mut Answers) {
    answers.push((0, error_with(3, code, 0, &Quote::of(sent).bytes())));
}

/// The only pair of endpoints is in TIME-WAIT, and without timestamps TMW-9 does not give it back. `syns` counts.
fn no_tuple(syns: Rc<Cell<u64>>) -> Case {
    let mut setup = setup();
    setup.cfg.timestamps = false;
    let plan = plan(HTTP, Close::Fin, 1, 2);
    let hear = move |sent: &Sent, answers: &mut Answers| {
        syns.set(syns.get() + u64::from(sent.segment.flags.has(SYN)));
        server(sent, answers);
    };
    let lab = Lab::with(plan, &setup, tuples(Ports::one(1_024)));
    Case { lab, hear: Box::new(hear), attempts: 2 }
}

/// One more launch is due at once than two passes make, and nobody waits at the end.
fn late() -> Case {
    let attempts = 2 * 64 + 1;
    let stage = Stage { rate: Some(attempts as f64 * 1e9), duration_ns: 1, ..Stage::default() };
    let schedule = Schedule { stages: vec![stage], ..Schedule::default() };
    let plan = Plan { schedule, drain_ms: 0, ..plan_of_none() };
    Case { attempts, ..Case::with(plan, server, |setup| setup.limits.connections = 2 * 64) }
}

fn failing(why: Failed) -> Case {
    let plan = one(HTTP, Close::Fin);
    match why {
        Failed::NoTuple => no_tuple(Rc::default()),
        Failed::NoTcb => {
            let two = super::plan(HTTP, Close::Fin, 2, 2);
            Case { attempts: 2, ..Case::with(two, server, |setup| setup.limits.connections = 1) }
        }
        Failed::Late => late(),
        Failed::NoFrame => Case::with(plan, nobody, |setup| setup.faults[0].shortages = ON),
        Failed::TxFull => Case::with(plan, nobody, |setup| setup.faults[0].stalls = ON),
        Failed::Neighbour => {
            let patient = Plan { connect_timeout_ms: 4_000, ..plan };
            Case::with(patient, nobody, |setup| setup.fixed = false)
        }
        Failed::SynTimedOut => Case::new(plan, nobody),
        Failed::Refused => Case::new(plan, |sent, answers| say(answers, &back(sent, RST | ACK))),
        Failed::Unreachable => Case::new(plan, |sent, answers| report(3, sent, answers)),
        Failed::Cut => {
            let short = Plan { connect_timeout_ms: 20_000, drain_ms: 300, ..plan };
            Case::new(short, nobody)
        }
        Failed::Else => {
            // None of our addresses.
            let source = Addresses::one([198, 18, 0, 77].into());
            let target = Target { addresses: Addresses::one(PEERS.into()), ports: Ports::one(PORT) };
            let tuples = Tuples::new(&[source], Ports::EPHEMERAL, &[target], 0);
            Case { lab: Lab::with(plan, &setup(), tuples), ..Case::new(plan_of_none(), nobody) }
        }
    }
}

fn closing(way: Way) -> Case {
    match way {
        Way::Fin => Case::new(one(HTTP, Close::Fin), server),
        Way::Rst => Case::new(one(HTTP, Close::Rst), server),
        Way::HalfClose => Case::new(one(HTTP, Close::HalfClose), |sent, answers| {
            let flags = if sent.segment.flags.has(SYN) { SYN } else { FIN };
            if flags == SYN || !sent.text.is_empty() {
                let text: &[u8] = if flags == SYN { b"" } else { OK };
                say(answers, &back(sent, flags | ACK).text(text));
            }
        }),
        Way::Abandon => Case::new(one(HTTP, Close::Abandon), server),
        Way::Peer => Case::new(one(HTTP, Close::Peer), |sent, answers| {
            polite(sent, answers, |answers| say(answers, &back(sent, FIN | ACK).text(OK)));
        }),
    }
}

fn breaking(why: Broken) -> Result<Case, &'static str> {
    let plan = one(HTTP, Close::Fin);
    let patient = Plan { reply_timeout_ms: 20_000, ..plan.clone() };
    Ok(match why {
        Broken::Reset => Case::new(plan, |sent, answers| {
            polite(sent, answers, |answers| say(answers, &back(sent, RST)));
        }),
        Broken::RetransmissionTimedOut => {
            Case::with(patient, mute, |setup| setup.cfg.user_timeout_ms = 3_000)
        }
        // It has replied, and never closes.
        Broken::ReplyTimedOut => Case::new(one(RAW, Close::Peer), |sent, answers| {
            polite(sent, answers, |answers| say(answers, &back(sent, ACK).text(b"hello")));
        }),
        Broken::WrongData => Case::new(plan, |sent, answers| answers_with(sent, answers, b"GARBAGE\r\n")),
        Broken::ShortReply => Case::new(plan, |sent, answers| {
            polite(sent, answers, |answers| say(answers, &back(sent, FIN | ACK).text(&OK[..30])));
        }),
        Broken::Unreachable => Case::with(
            patient,
            |sent, answers| polite(sent, answers, |answers| report(1, sent, answers)),
            |setup| setup.cfg.user_timeout_ms = 3_000,
        ),
        Broken::Cut => Case::new(Plan { drain_ms: 300, ..patient }, mute),
        Broken::Else => return Err("the engine gives a reason for every end; the kernel's client does not"),
    })
}

#[test]
fn each_reason_for_a_failure_is_provoked_once_and_counted_once() {
    Failed::ALL.iter().for_each(|why| failing(*why).ends(Place::Failed(*why)));
}

#[test]
fn each_way_to_close_is_gone_once_and_counted_once() {
    Way::ALL.iter().for_each(|way| closing(*way).ends(Place::Closed(*way)));
}

#[test]
fn each_other_end_is_provoked_once_and_counted_once() {
    let mut elsewhere = Vec::new();
    for why in Broken::ALL {
        match breaking(*why) {
            Ok(case) => case.ends(Place::Broken(*why)),
            Err(reason) => elsewhere.push((*why, reason)),
        }
    }
    assert!(matches!(elsewhere[..], [(Broken::Else, _)]), "{elsewhere:?}");
}

#[test]
fn a_pair_of_endpoints_in_time_wait_is_no_tuple_and_no_syn() {
    //= TMW-9
    let syns = Rc::new(Cell::new(0));
    no_tuple(syns.clone()).ends(Place::Failed(Failed::NoTuple));
    assert_eq!(syns.get(), 1);
}

#[test]
fn a_request_that_found_no_memory_is_sent_when_there_is_some() {
    // Forty requests of 20,000 octets at a time, and memory for less than one of them.
    let talk =
        Talk { request: Request::Payload { len: 20_000, seed: None }, reply: Reply::None, requests: 1 };
    let mut setup = setup();
    setup.limits.buffers = 8 << 10;
    let plan = Plan { reply_timeout_ms: 2_000, ..plan(talk, Close::Fin, 40, 120) };
    let mut lab = Lab::with(plan, &setup, tuples(Ports::EPHEMERAL));
    let mut peer = Scripted::new(|sent: &Sent, answers: &mut Answers| {
        let mut all = Answers::new();
        polite(sent, &mut all, |all| say(all, &back(sent, ACK)));
        answers.extend(all.into_iter().map(|(_, frame)| (2_000, frame)));
    });
    lab.run(&mut peer, 60_000);
    let tally = lab.quiet(peer);
    assert_eq!((tally.closed[Way::Fin as usize], tally.octets_sent), (120, 120 * 20_000), "{tally:?}");
}

#[test]
fn a_peer_that_talks_without_end_does_not_keep_a_silent_connection_open() {
    // An acknowledgment draws the next two segments, so that one is owed again whenever the client looks.
    let sent_so_far = Cell::new(0u32);
    let mut peer = Scripted::new(move |sent: &Sent, answers: &mut Answers| {
        if sent.segment.flags.has(SYN) {
            sent_so_far.set(0);
            return say(answers, &back(sent, SYN | ACK));
        }
        if !sent.segment.flags.has(RST) {
            let segment = back(sent, ACK);
            for _ in 0..2 {
                let seq = ISS + 1 + 500 * sent_so_far.replace(sent_so_far.get() + 1);
                say(answers, &Seg { seq, text: vec![b'x'; 500], ..segment.clone() });
            }
        }
    });
    let mut lab = Lab::new(plan(Talk::SILENT, Close::Rst, 1, 3));
    lab.run(&mut peer, 2_000);
    let tally = lab.quiet(peer);
    assert_eq!((tally.attempted, tally.closed[Way::Rst as usize]), (3, 3), "{tally:?}");
}
