//! SEND and RECEIVE in every state, and what an application learns of the end.

use std::sync::Arc;

use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::tcp::Flags;

use crate::reach::{OURS, PEER_PORT, PEERS, Seg, Setup, Told, World};
use crate::states::{Start, reach};

const ACK: Flags = Flags::ACK;
const FIN_ACK: Flags = Flags(Flags::ACK.0 | Flags::FIN.0);

#[test]
fn send_takes_bytes_only_while_our_direction_is_open() {
    //= CALL-3
    //= CALL-7
    for (state, takes) in [
        (State::Established, true),
        (State::CloseWait, true),
        (State::FinWait1, false),
        (State::FinWait2, false),
        (State::Closing, false),
        (State::LastAck, false),
    ] {
        let mut reached = reach(Start::AtWrap, state);
        reached.world.call(move |conn| {
            assert_eq!(conn.state(), state);
            assert_eq!(conn.room() > 0, takes, "{}", state.name());
            assert_eq!(conn.send(b"four"), if takes { 4 } else { 0 });
            assert_eq!(conn.send_static(b"four"), takes);
        });
        let sent = reached.world.sent();
        assert_eq!(!sent.is_empty(), takes, "{}", state.name());
        if takes {
            sent[0].seq(reached.peer.ack).ack(reached.peer.seq);
        }
    }
}

#[test]
fn a_writer_is_stopped_by_its_buffer_and_woken_by_acknowledgments() {
    //= CALL-3
    //= COM-13
    //= LIM-5
    //= ATK-43
    let mut setup = Setup::default();
    setup.limits.send_buffer = 10_000;
    let mut world = World::with(setup);
    let peer = world.establish(PEER_PORT);
    world.call(|conn| {
        assert_eq!(conn.send(&[1; 12_000]), 10_000);
        assert_eq!((conn.send(&[1; 10]), conn.room(), conn.unacknowledged()), (0, 0, 10_000));
    });
    assert_eq!(world.sent().iter().map(|sent| sent.text.len()).sum::<usize>(), 10_000);
    world.inject(&[Seg { ack: peer.ack + 4_000, ..peer.seg(ACK) }]);
    assert_eq!(world.told(), [Told::Writable]);
    world.call(|conn| assert_eq!((conn.room(), conn.unacknowledged()), (4_000, 6_000)));
}

#[test]
fn bytes_keep_their_order_through_loss_and_repetition() {
    //= RTO-7
    //= COM-13
    //= MUST-45
    let mut reached = reach(Start::BelowWrap, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    let data: Vec<u8> = (0..20_000u32).map(|n| (n * n / 7) as u8).collect();
    let sending = data.clone();
    world.call(move |conn| assert_eq!(conn.send(&sending), 20_000));
    let mut received: Vec<u8> = Vec::new();
    let mut count = 0;
    for _ in 0..200 {
        let sent = world.sent();
        let sent = if sent.is_empty() {
            world.watch_ms(3_000).into_iter().map(|(_, sent)| sent).collect()
        } else {
            sent
        };
        for segment in sent {
            count += 1;
            assert_eq!((segment.source, segment.destination), (OURS, PEERS));
            let at = segment.segment.seq.since(peer.ack) as usize;
            assert_eq!(segment.text, data[at..at + segment.text.len()], "octets at {at}");
            if at == received.len() && count % 5 != 0 {
                received.extend(&segment.text);
            }
        }
        world.inject(&[Seg { ack: peer.ack + received.len() as u32, ..peer.seg(ACK) }]);
    }
    assert_eq!(received, data);
    world.call(|conn| assert_eq!(conn.unacknowledged(), 0));
}

#[test]
fn the_end_of_the_stream_is_told_after_its_last_byte_and_apart_from_a_reset() {
    //= MUST-12
    //= CALL-4
    //= EST-1
    //= COM-21
    let mut reached = reach(Start::BelowWrap, State::Established);
    reached.world.probe.0.borrow_mut().take = Some(0);
    reached.world.inject(&[reached.peer.seg(FIN_ACK).text(b"rest")]);
    reached.world.call(|conn| assert!(conn.peer_closed() && conn.unread() == 4));
    reached.world.told();
    reached.world.probe.0.borrow_mut().take = None;
    reached.world.call(|conn| conn.resume());
    assert!(reached.world.told().contains(&Told::Data(b"rest".to_vec())));
    reached.world.call(|conn| assert!(conn.unread() == 0 && conn.send(b"answer") == 6));

    let mut reached = reach(Start::BelowWrap, State::Established);
    reached.world.probe.0.borrow_mut().take = Some(0);
    reached.world.inject(&[reached.peer.seg(ACK).text(b"lost")]);
    reached.world.told();
    let reset = reached.peer.seg(Flags::RST);
    reached.world.inject(&[Seg { seq: reset.seq + 4, ..reset }]);
    assert_eq!(reached.world.told(), [Told::Closed(CloseReason::Reset)]);
    reached.world.assert_quiet();
}

#[test]
fn a_name_of_the_past_names_nothing() {
    //= TRN-12
    let mut reached = reach(Start::Plain, State::Established);
    let old = reached.world.probe.0.borrow().conn.unwrap();
    reached.world.inject(&[reached.peer.seg(Flags::RST)]);
    reached.world.told();
    reached.world.establish(PEER_PORT);
    let new = reached.world.probe.0.borrow().conn.unwrap();
    assert_eq!(old.index, new.index, "the slot is used again");
    assert!(!reached.world.worker.call(old, |conn| conn.abort()));
    assert_eq!(reached.world.state(PEER_PORT), State::Established);
}

#[test]
fn frames_that_the_application_shares_are_its_own_again_when_they_were_acknowledged() {
    //= CALL-3
    //= LIM-5
    let mut setup = Setup::default();
    setup.limits.send_buffer = 5_000;
    let mut world = World::with(setup);
    let peer = world.establish(PEER_PORT);
    let frames: Vec<Arc<[u8]>> = (0..4u8).map(|n| Arc::from(vec![n; 2_000])).collect();
    let shares = |frames: &[Arc<[u8]>]| frames.iter().map(Arc::strong_count).collect::<Vec<_>>();
    let given = frames.clone();
    world.call(move |conn| {
        assert!(conn.send_shared(&given[0]) && conn.send_shared(&given[1]));
        assert_eq!(conn.send(b"between"), 7);
        assert!(!conn.send_shared(&given[2]), "the send buffer is full");
    });
    assert_eq!(shares(&frames), [2, 2, 1, 1]);
    let whole = [&[0; 2_000][..], &[1; 2_000], b"between"].concat();
    let first: Vec<u8> = world.sent().into_iter().flat_map(|sent| sent.text).collect();
    assert_eq!(first, whole[..first.len()]);
    assert_eq!(world.worker.shard().buffers_in_use(), 3, "a place for each piece, and none for its octets");
    world.inject(&[Seg { ack: peer.ack + 1_999, ..peer.seg(ACK) }]);
    assert_eq!(shares(&frames), [2, 2, 1, 1]);
    world.inject(&[Seg { ack: peer.ack + 2_000, ..peer.seg(ACK) }]);
    assert_eq!(shares(&frames), [1, 2, 1, 1]);
    // What was lost goes again out of the same frame.
    world.sent();
    world.pass_ms(1_100);
    world.sent()[0].seq(peer.ack + 2_000).text(&whole[2_000..3_460]);
    world.inject(&[Seg { ack: peer.ack + 4_007, ..peer.seg(ACK) }]);
    assert_eq!(shares(&frames), [1, 1, 1, 1]);
    let given = frames.clone();
    world.call(move |conn| assert!(conn.send_shared(&given[3])));
    assert_eq!(shares(&frames)[3], 2);
    world.call(|conn| conn.abort());
    assert_eq!(shares(&frames), [1, 1, 1, 1], "an end gives them back too");
}
