//! SEND and RECEIVE in every state, and what an application learns of the end.

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
