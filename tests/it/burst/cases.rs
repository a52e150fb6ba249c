//! Arrivals that meet within one burst in the most awkward ways.

use dpdk_tcp::tcp::time_wait::{Manner, TimeWait};
use dpdk_tcp::wire::tcp_options::Options;

use super::*;
use crate::reach::seg;

const A: u16 = 50_001;
const B: u16 = 50_002;
const ACK: Flags = Flags::ACK;

fn syn(port: u16, iss: u32) -> Seg {
    seg(Flags::SYN, Seq(iss), Seq(0))
        .from_port(port)
        .options(Options { mss: Some(1_000), ..Options::default() })
}

fn at(port: u16, seq: u32, ack: Seq) -> Seg {
    seg(ACK, Seq(seq), ack).from_port(port)
}

fn with(segment: Seg, flags: Flags) -> Seg {
    Seg { flags: segment.flags | flags, ..segment }
}

/// The ISS that the stack chooses in the first round after `ms`.
fn iss_after(ms: u64, port: u16) -> Seq {
    let mut rig = Rig::new(32);
    rig.wait(ms);
    rig.iss(port)
}

fn round(after_ms: u64, segments: Vec<Seg>) -> Round {
    Round { after_ms, segments }
}

/// Rounds that open a connection at 20 ms; the stack's SND.NXT. A peer cannot acknowledge a SYN-ACK before it was
/// sent, so the third ACK never shares a burst with the SYN.
fn open(port: u16, peer_iss: u32) -> (Vec<Round>, Seq) {
    let nxt = iss_after(10, port) + 1;
    (vec![round(10, vec![syn(port, peer_iss)]), round(10, vec![at(port, peer_iss + 1, nxt)])], nxt)
}

fn data(text: &[u8]) -> Event {
    Event::Data(text.to_vec())
}

#[test]
fn everything_after_the_syn_in_one_burst() {
    let nxt = iss_after(10, A) + 1;
    let fin = with(at(A, 107, nxt), Flags::FIN);
    let life = vec![at(A, 101, nxt), at(A, 101, nxt).text(b"helloC"), fin];
    let all = same_in_every_cut(&[round(10, vec![syn(A, 100)]), round(10, life)]);
    let end = &all[1];
    assert_eq!(end.states[&A], State::Closing);
    assert_eq!(end.events[&A], [Event::Open, data(b"helloC"), Event::PeerClose]);
    let text: Vec<u8> = end.seen[&A].text.values().copied().collect();
    assert_eq!(text, b"hello");
    assert_eq!(end.seen[&A].fins.len(), 1);
}

#[test]
fn a_reset_and_the_same_endpoints_again_in_one_burst() {
    //= TRN-12
    //= TRN-13
    let (mut rounds, nxt) = open(A, 100);
    let again = vec![
        with(at(A, 101, nxt), Flags::RST),
        syn(A, 9_000),
        // What is left of the first one means nothing to the second.
        at(A, 101, nxt).text(b"OLD"),
    ];
    rounds.push(round(20, again));
    rounds.push(round(10, vec![at(A, 9_001, iss_after(40, A) + 1).text(b"again")]));
    let all = same_in_every_cut(&rounds);
    let end = all.last().unwrap();
    assert_eq!(end.states[&A], State::Established);
    let closed = Event::Closed(CloseReason::Reset);
    assert_eq!(end.events[&A], [Event::Open, closed, Event::Open, data(b"again")]);
    assert_eq!(end.counts, (1, 0, 0));
}

#[test]
fn a_slot_goes_to_other_endpoints_within_one_burst() {
    //= CLD-3
    let (mut rounds, nxt) = open(A, 100);
    let late = at(A, 101, nxt).text(b"LATE");
    rounds.push(round(20, vec![with(at(A, 101, nxt), Flags::RST), syn(B, 500), late]));
    rounds.push(round(10, vec![at(B, 501, iss_after(40, B) + 1).text(b"new")]));
    let all = same_in_every_cut(&rounds);
    let end = all.last().unwrap();
    assert_eq!((end.states[&A], end.states[&B]), (State::Closed, State::Established));
    assert_eq!(all[2].seen[&A].resets, [(nxt.0, 0, Flags::RST.0)], "the late segment has no connection");
    assert_eq!(end.events[&B], [Event::Open, data(b"new")]);
}

#[test]
fn time_wait_begins_and_is_reopened_in_one_burst() {
    //= TMW-5
    //= ISN-6
    let (mut rounds, nxt) = open(A, 100);
    rounds.push(round(10, vec![at(A, 101, nxt).text(b"C")]));
    let fin = with(at(A, 102, nxt + 1), Flags::FIN);
    rounds.push(round(10, vec![fin.clone(), fin, syn(A, 5_000)]));
    let old = TimeWait { snd_nxt: nxt + 1, rcv_nxt: Seq(103), manner: Manner::Plain };
    let iss = old.next_iss(iss_after(40, A));
    rounds.push(round(10, vec![at(A, 5_001, iss + 1).text(b"hi")]));
    let all = same_in_every_cut(&rounds);
    let end = all.last().unwrap();
    assert_eq!((end.states[&A], end.counts), (State::Established, (1, 0, 0)));
    let said: Vec<u8> = end.seen[&A].text.values().copied().collect();
    assert_eq!((&said[..], all[3].seen[&A].syns.len()), (&b"hi"[..], 1));
    let finished = Event::Closed(CloseReason::Finished);
    assert_eq!(
        end.events[&A],
        [Event::Open, data(b"C"), Event::PeerClose, finished, Event::Open, data(b"hi")]
    );
}

#[test]
fn syns_that_meet_in_one_burst() {
    //= SYR-1
    //= SYR-3
    //= SYR-4
    let meet = vec![
        syn(A, 100),
        syn(A, 100),
        syn(A, 7_000_000),
        syn(B, 100),
        at(B, 101, iss_after(10, B) + 9),
        with(at(B, 101, Seq(0)), Flags::RST),
        syn(B, 200),
    ];
    let third = round(10, vec![at(A, 101, iss_after(10, A) + 1)]);
    let all = same_in_every_cut(&[round(10, meet), third]);
    let end = &all[1];
    assert_eq!((end.states[&A], end.states[&B]), (State::Established, State::SynReceived));
    assert_eq!(all[0].seen[&B].resets.len(), 1);
    assert_eq!(end.counts, (2, 1, 0));
}

#[test]
fn the_queue_of_slots_runs_out_within_one_burst() {
    //= LIM-1
    //= SYNC-1
    // Behind the third SYN each is answered by a cookie, which takes no slot.
    let syns = (0..30).map(|n| syn(50_000 + n, 100)).collect();
    let all = same_in_every_cut(&[round(10, syns), round(70_000, vec![])]);
    assert_eq!(all[0].seen.values().filter(|seen| !seen.syns.is_empty()).count(), 30);
    assert_eq!((all[0].counts, all[1].counts), ((3, 3, 0), (0, 0, 0)));
}

#[test]
fn acknowledgments_of_a_burst_merge_into_one_of_the_last_state() {
    //= MUST-58
    //= MUST-59
    //= PRE-13
    let (opening, nxt) = open(A, 100);
    let texts = round(10, (0..20).map(|n| at(A, 101 + 10 * n, nxt).text(b"0123456789")).collect());
    let acks = CUTS.map(|cut| {
        let mut rig = Rig::new(cut);
        opening.iter().for_each(|round| rig.play(round));
        rig.acks.clear();
        rig.play(&texts);
        assert_eq!(rig.acks.last(), Some(&(A, Seq(301))));
        rig.acks.len()
    });
    assert_eq!(acks[0], 1, "one for twenty segments");
    assert!(acks[1] >= acks[2] && acks[2] >= acks[3] && acks[1] > 1, "{acks:?}");
}

#[test]
fn duplicate_acknowledgments_are_never_merged_below_three() {
    //= COM-19
    //= CC-15
    //= CC-16
    let (opening, nxt) = open(A, 100);
    for count in [1, 2, 3, 5, 12] {
        let beyond_a_hole =
            round(10, (1..=count).map(|n| at(A, 101 + 10 * n, nxt).text(b"0123456789")).collect());
        for cut in CUTS {
            let mut rig = Rig::new(cut);
            opening.iter().for_each(|round| rig.play(round));
            rig.acks.clear();
            rig.play(&beyond_a_hole);
            let duplicates = rig.acks.iter().filter(|ack| **ack == (A, Seq(101))).count();
            assert!(duplicates >= count.min(3) as usize, "{duplicates} for {count} in bursts of {cut}");
            assert!(duplicates <= count as usize, "{duplicates} for {count} in bursts of {cut}");
        }
    }
}

#[test]
fn a_difference_is_seen() {
    // The comparison would be worth nothing if it could not fail.
    let (opening, nxt) = open(A, 100);
    let snapshot = |text: &[u8]| {
        let mut rig = Rig::new(7);
        opening.iter().for_each(|round| rig.play(round));
        rig.play(&round(10, vec![at(A, 101, nxt).text(text)]));
        rig.snapshot()
    };
    assert_eq!(snapshot(b"abc"), snapshot(b"abc"));
    assert_ne!(snapshot(b"abc"), snapshot(b"abd"));
    assert_ne!(snapshot(b"abc"), snapshot(b"ABC"));
    assert_ne!(snapshot(b"C"), snapshot(b"F"));
}
