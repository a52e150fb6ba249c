//! When acknowledgments leave, and the range of acknowledgments that are believed.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use crate::reach::{PEER_PORT, Peer, Seg, Setup, Told, World, seg};
use crate::states::{Reached, Start, reach, reach_with};

const ACK: Flags = Flags::ACK;

/// Text so far behind the peer's current number.
fn text_at(peer: &Peer, offset: u32, len: usize) -> Seg {
    Seg { seq: peer.seq + offset, ..peer.seg(ACK).text(&vec![b'x'; len]) }
}

/// A connection whose first segments, acknowledged at once, are past.
fn settled() -> Reached {
    let mut reached = reach(Start::BelowWrap, State::Established);
    for _ in 0..16 {
        reached.world.inject(&[reached.peer.seg(ACK).text(&[b'x'; 1_000])]);
        reached.peer.seq += 1_000;
        reached.world.one().ack(reached.peer.seq);
    }
    reached.world.told();
    reached
}

#[test]
fn a_lone_segment_is_acknowledged_late_and_every_second_one_at_once() {
    //= DACK-1
    //= DACK-2
    //= DACK-3
    //= SHLD-18
    //= SHLD-19
    //= MUST-40
    let mut reached = settled();
    let (world, peer) = (&mut reached.world, &reached.peer);
    world.inject(&[text_at(peer, 0, 1_000)]);
    world.silent();
    let late = world.watch_ms(500);
    assert_eq!(late.len(), 1);
    assert!((1..=200).contains(&late[0].0), "after {} ms", late[0].0);
    late[0].1.flags(ACK).ack(peer.seq + 1_000);
    world.inject(&[text_at(peer, 1_000, 1_460)]);
    world.silent();
    world.pass_ms(5);
    world.inject(&[text_at(peer, 2_460, 1_460)]);
    world.one().flags(ACK).ack(peer.seq + 3_920);
    assert!(world.watch_ms(1_000).is_empty(), "the timer was cancelled");
}

#[test]
fn what_leaves_carries_the_acknowledgment_that_waits() {
    //= DACK-4
    //= X-2
    let mut reached = settled();
    let (world, peer) = (&mut reached.world, &reached.peer);
    world.inject(&[text_at(peer, 0, 10)]);
    world.silent();
    world.call(|conn| assert_eq!(conn.send(b"answer"), 6));
    world.one().flags(ACK | Flags::PSH).ack(peer.seq + 10).text(b"answer");
    assert!(world.watch_ms(900).is_empty());
}

#[test]
fn a_burst_is_processed_whole_and_acknowledged_once() {
    //= MUST-58
    //= MUST-59
    //= PRE-13
    //= CC-16
    let mut reached = reach_with(Setup::in_bursts(), Start::AtWrap.numbers().1, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    let burst: Vec<_> = (0..20).map(|n| text_at(peer, n * 100, 100)).collect();
    world.inject(&burst);
    world.one().flags(ACK).ack(peer.seq + 2_000);
    // Text, FIN and the acknowledgment of our own data in one burst: one answer with the last state.
    world.call(|conn| assert_eq!(conn.send(b"data"), 4));
    world.one();
    let mut fin = text_at(peer, 2_100, 50);
    (fin.flags, fin.ack) = (ACK | Flags::FIN, peer.ack + 4);
    world.told();
    world.inject(&[text_at(peer, 2_000, 100), fin]);
    world.one().flags(ACK).seq(peer.ack + 4).ack(peer.seq + 2_151);
    assert_eq!(world.state(PEER_PORT), State::CloseWait);
    assert_eq!(world.told().last(), Some(&Told::PeerClose));
}

#[test]
fn each_segment_behind_a_hole_draws_a_duplicate_of_its_own() {
    //= COM-19
    //= CC-15
    //= MAY-13
    //= MUST-58
    let mut reached = settled();
    let (world, peer) = (&mut reached.world, &reached.peer);
    world.inject(&[text_at(peer, 100, 100), text_at(peer, 200, 100), text_at(peer, 300, 100)]);
    let sent = world.sent();
    assert_eq!(sent.len(), 3, "a sender counts three");
    for duplicate in &sent {
        duplicate.flags(ACK).ack(peer.seq);
        assert_eq!(duplicate.segment.wnd, sent[0].segment.wnd, "a duplicate has the same window");
    }
    assert_eq!((world.dropped(DropReason::OutOfOrder), world.told()), (0, vec![]));
    world.inject(&[text_at(peer, 0, 100)]);
    //= EST-6
    world.one().flags(ACK).ack(peer.seq + 400);
}

#[test]
fn a_retransmission_is_acknowledged_at_once_each_time() {
    //= EST-7
    //= DACK-2
    //= BA-12
    let mut reached = settled();
    let (world, peer) = (&mut reached.world, &reached.peer);
    for _ in 0..5 {
        world.inject(&[Seg { seq: peer.seq - 1_000, ..text_at(peer, 0, 1_000) }]);
        world.one().flags(ACK).ack(peer.seq);
    }
    assert_eq!(world.dropped(DropReason::DataDuplicate), 5);
}

#[test]
fn a_fin_is_acknowledged_at_once() {
    //= COM-21
    //= EST-9
    //= DACK-2
    let mut reached = settled();
    let (world, peer) = (&mut reached.world, &reached.peer);
    world.inject(&[peer.seg(ACK | Flags::FIN)]);
    world.one().flags(ACK).ack(peer.seq + 1);
}

#[test]
fn acknowledgments_are_believed_within_the_window_that_the_peer_ever_offered() {
    //= BA-6
    //= BA-7
    //= BA-8
    //= COM-10
    //= COM-11
    //= COM-15
    //= MAY-12
    //= ATK-6
    //= ATK-38
    //= VEC-ACC-4
    // Relative to ISS: ISS = 0, SND.UNA = 100, SND.NXT = 600, MAX.SND.WND = 300 (and, for the lower
    // limit of the window, SND.UNA = 1000).
    for (una, ack, believed) in [
        (100u32, -100i64, false),
        (100, 0, false),
        (100, 1, true),
        (100, 100, true),
        (100, 101, true),
        (100, 400, true),
        (100, 401, false),
        (1_000, 699, false),
        (1_000, 700, true),
        (1_000, 1_300, true),
        (1_000, 1_301, false),
    ] {
        let world = &mut World::with(Start::BelowWrap.setup());
        let syn = seg(Flags::SYN, Seq(0xffff_fc18), Seq(0)).wnd(300).options(crate::states::plain());
        world.inject(&[syn]);
        let iss = world.one().segment.seq;
        let peer = Peer { port: PEER_PORT, seq: Seq(0xffff_fc19), ack: iss + 1 };
        world.inject(&[peer.seg(ACK).wnd(300)]);
        let mut at = 1;
        while at < una {
            let step = (una - at).min(300);
            world.call(|conn| assert_eq!(conn.send(&vec![1; step as usize]), step as usize));
            world.sent();
            at += step;
            let ack = Seg { ack: iss + at, ..peer.seg(ACK).wnd(300) };
            world.inject(&[ack]);
        }
        world.call(|conn| assert_eq!(conn.send(&[2; 300]), 300));
        assert_eq!(world.one().text.len(), 300);
        world.told();
        let text = Seg { ack: iss + ack as u32, ..peer.seg(ACK).text(b"blind").wnd(300) };
        world.inject(&[text]);
        let told = world.told().contains(&Told::Data(b"blind".to_vec()));
        assert_eq!(told, believed, "SND.UNA {una}, SEG.ACK {ack}");
        let expected = if believed { peer.seq + 5 } else { peer.seq };
        world.one().flags(ACK).ack(expected);
    }
}

#[test]
fn an_acknowledgment_ahead_of_what_was_sent_grows_nothing() {
    //= ATK-8
    //= COM-11
    let mut reached = reach(Start::Plain, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    world.call(|conn| assert_eq!(conn.send(&[0; 60_000]), 60_000));
    let flight: usize = world.sent().iter().map(|sent| sent.text.len()).sum();
    assert_eq!(flight, 14_600);
    let early = Seg { ack: peer.ack + 30_000, ..peer.seg(ACK) };
    world.inject(&[early]);
    world.one().flags(ACK).seq(peer.ack + 14_600);
    assert_eq!(world.dropped(DropReason::AckUnsent), 1);
}

#[test]
fn a_window_update_is_no_duplicate_and_sends() {
    //= EST-8
    //= COM-16
    let mut world = World::new();
    let (peer, _) = world.establish_with(crate::states::plain(), 1_460);
    world.call(|conn| assert_eq!(conn.send(&[0; 5_000]), 5_000));
    assert_eq!(world.one().text.len(), 1_460);
    world.inject(&[peer.seg(ACK).wnd(4_380)]);
    assert_eq!(world.sent().len(), 2);
    // An older segment does not take it back (WL1, WL2).
    world.inject(&[Seg { ack: peer.ack + 1_460, ..peer.seg(ACK).wnd(60_000) }]);
    assert_eq!(world.sent().iter().map(|sent| sent.text.len()).sum::<usize>(), 620);
    world.inject(&[peer.seg(ACK).wnd(1)]);
    world.call(|conn| assert_eq!(conn.send(&[0; 1_460]), 1_460));
    assert_eq!(world.one().text.len(), 1_460);
}
