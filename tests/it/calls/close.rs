//! CLOSE in every state; half-close, full close, simultaneous close.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::tcp::Flags;

use crate::reach::{PEER_PORT, Seg, Told, World};
use crate::states::{Start, reach};

const ACK: Flags = Flags::ACK;
const FIN_ACK: Flags = Flags(Flags::ACK.0 | Flags::FIN.0);
const PSH_ACK: Flags = Flags(Flags::ACK.0 | Flags::PSH.0);

#[test]
fn close_moves_each_state_as_the_rfc_says_and_only_once() {
    //= CALL-5
    //= CALL-7
    //= CLW-6
    //= ATK-45
    for start in Start::ALL {
        for (state, next) in [
            (State::Established, State::FinWait1),
            (State::CloseWait, State::LastAck),
            (State::FinWait1, State::FinWait1),
            (State::FinWait2, State::FinWait2),
            (State::Closing, State::Closing),
            (State::LastAck, State::LastAck),
        ] {
            for kind in 0..3 {
                let mut reached = reach(start, state);
                reached.world.call(move |conn| match kind {
                    0 => conn.shutdown(),
                    1 => conn.finish(),
                    _ => conn.close(),
                });
                if next == state {
                    reached.world.silent();
                } else {
                    reached.world.one().flags(FIN_ACK).seq(reached.peer.ack).ack(reached.peer.seq);
                }
                reached.world.call(|conn| conn.shutdown());
                reached.world.silent();
                assert_eq!(reached.world.state(PEER_PORT), next, "{} after {kind}", state.name());
            }
        }
    }
}

#[test]
fn the_fin_follows_everything_that_is_queued() {
    //= CALL-5
    //= X-7
    //= NAG-4
    let mut reached = reach(Start::BelowWrap, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    world.call(|conn| {
        assert_eq!(conn.send(&[1; 30_000]), 30_000);
        conn.shutdown();
        assert_eq!((conn.room(), conn.send(b"too late")), (0, 0));
        assert!(!conn.send_static(b"too late"));
    });
    let mut received = 0;
    let mut fins = 0;
    for _ in 0..20 {
        for sent in world.sent() {
            assert_eq!(sent.segment.seq, peer.ack + received);
            received += sent.text.len() as u32;
            fins += u32::from(sent.segment.flags.has(Flags::FIN));
            assert!(fins == 0 || received == 30_000, "nothing follows the FIN");
        }
        world.inject(&[Seg { ack: peer.ack + received + fins, ..peer.seg(ACK) }]);
    }
    assert_eq!((received, fins, world.state(PEER_PORT)), (30_000, 1, State::FinWait2));
}

#[test]
fn a_half_closed_connection_still_receives_and_the_other_half_still_sends() {
    //= MAY-1
    //= FW1-7
    //= FW2-3
    //= CLW-3
    let mut reached = reach(Start::AtWrap, State::FinWait2);
    let (world, peer) = (&mut reached.world, &reached.peer);
    for n in 0..5u32 {
        world.inject(&[Seg { seq: peer.seq + n * 100, ..peer.seg(PSH_ACK).text(&[b'x'; 100]) }]);
        world.one().flags(ACK).seq(peer.ack).ack(peer.seq + n * 100 + 100);
    }
    assert_eq!(world.told().len(), 5);
    let mut reached = reach(Start::AtWrap, State::CloseWait);
    let (world, peer) = (&mut reached.world, &reached.peer);
    for n in 0..5u32 {
        world.call(|conn| assert_eq!(conn.send(&[b'y'; 100]), 100));
        world.one().flags(PSH_ACK).seq(peer.ack + n * 100).ack(peer.seq);
        world.inject(&[Seg { ack: peer.ack + n * 100 + 100, ..peer.seg(ACK) }]);
    }
    world.call(|conn| conn.shutdown());
    world.one().flags(FIN_ACK);
    world.inject(&[Seg { ack: peer.ack + 501, ..peer.seg(ACK) }]);
    assert_eq!(world.told().last(), Some(&Told::Closed(CloseReason::Finished)));
    reached.world.assert_quiet();
}

#[test]
fn fins_that_cross_end_in_time_wait() {
    //= FW1-4
    //= CLG-2
    //= VEC-FSM-7
    // With us as A.
    for start in Start::ALL {
        let mut reached = reach(start, State::FinWait1);
        let (world, peer) = (&mut reached.world, &reached.peer);
        let fin = Seg { ack: peer.ack - 1, ..peer.seg(FIN_ACK) };
        world.inject(&[fin]);
        world.one().flags(ACK).seq(peer.ack).ack(peer.seq + 1);
        assert_eq!(world.state(PEER_PORT), State::Closing);
        world.inject(&[Seg { seq: peer.seq + 1, ..peer.seg(ACK) }]);
        world.silent();
        assert_eq!(world.state(PEER_PORT), State::TimeWait);
        world.watch_ms(60_100);
        reached.world.assert_quiet();
    }
}

#[test]
fn we_close_second_and_keep_nothing() {
    //= EST-9
    //= CLW-6
    //= LAK-2
    //= VEC-FSM-6
    // With us as B.
    let mut reached = reach(Start::AtHalf, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    world.inject(&[peer.seg(FIN_ACK)]);
    world.one().flags(ACK).seq(peer.ack).ack(peer.seq + 1);
    world.call(|conn| {
        assert!(conn.peer_closed());
        conn.shutdown();
    });
    world.one().flags(FIN_ACK).seq(peer.ack).ack(peer.seq + 1);
    world.inject(&[Seg { seq: peer.seq + 1, ack: peer.ack + 1, ..peer.seg(ACK) }]);
    world.silent();
    assert_eq!(world.told(), [Told::PeerClose, Told::Closed(CloseReason::Finished)]);
    reached.world.assert_quiet();
}

#[test]
fn an_application_that_closes_on_the_peer_s_fin_answers_in_one_segment() {
    //= MUST-58
    //= CLW-6
    let mut reached = reach(Start::BelowWrap, State::Established);
    reached.world.probe.0.borrow_mut().next = None;
    let (world, peer) = (&mut reached.world, &reached.peer);
    world.probe.0.borrow_mut().next = Some(Box::new(|conn| conn.shutdown()));
    world.inject(&[peer.seg(FIN_ACK)]);
    world.one().flags(FIN_ACK).seq(peer.ack).ack(peer.seq + 1);
    assert_eq!(world.state(PEER_PORT), State::LastAck);
}

#[test]
fn closing_with_unread_data_resets() {
    //= SHLD-3
    for state in [State::Established, State::FinWait1, State::FinWait2] {
        let mut reached = reach(Start::BelowWrap, state);
        let (world, peer) = (&mut reached.world, &reached.peer);
        world.probe.0.borrow_mut().take = Some(0);
        world.inject(&[peer.seg(ACK).text(b"unread")]);
        world.sent();
        world.call(|conn| conn.close());
        world.one().flags(Flags::RST).seq(peer.ack);
        assert_eq!(world.told().last(), Some(&Told::Closed(CloseReason::Aborted)));
        reached.world.assert_quiet();
    }
}

fn closed_for_good(state: State, finish: bool) -> (World, crate::reach::Peer) {
    let mut reached = reach(Start::BelowWrap, State::Established);
    reached.world.call(move |conn| if finish { conn.finish() } else { conn.close() });
    reached.world.one().flags(FIN_ACK);
    let mut peer = reached.peer;
    if state == State::FinWait2 {
        peer.ack += 1;
        reached.world.inject(&[peer.seg(ACK)]);
    }
    assert_eq!(reached.world.state(PEER_PORT), state);
    (reached.world, peer)
}

#[test]
fn data_after_a_full_close_is_reset_where_the_peer_expects_it() {
    //= SHLD-3
    //= FW1-6
    //= FW2-5
    //= EST-12
    for state in [State::FinWait1, State::FinWait2] {
        // Old data is no new data, and a FIN alone is welcome.
        let (mut world, peer) = closed_for_good(state, false);
        world.inject(&[Seg { seq: peer.seq - 5, ..peer.seg(ACK).text(b"12345") }]);
        world.one().flags(ACK);
        let text = Seg { seq: peer.seq - 2, ..peer.seg(FIN_ACK).text(b"12345") };
        world.inject(&[text]);
        let reset = world.one();
        reset.flags(Flags::RST).seq(peer.ack);
        assert_eq!(world.dropped(DropReason::DataAfterClose), 1);
        assert_eq!(world.told(), [Told::Closed(CloseReason::DataAfterClose)]);
        world.assert_quiet();
        let (mut world, peer) = closed_for_good(state, false);
        world.inject(&[peer.seg(FIN_ACK)]);
        world.one().flags(ACK).ack(peer.seq + 1);
        assert_eq!(world.told().last().is_some(), state == State::FinWait2);
    }
}

#[test]
fn data_after_finish_is_acknowledged_and_thrown_away() {
    //= FW2-6
    let (mut world, peer) = closed_for_good(State::FinWait2, true);
    for n in 0..300u32 {
        world.inject(&[Seg { seq: peer.seq + n * 1_000, ..peer.seg(ACK).text(&[0; 1_000]) }]);
    }
    world.pass_ms(100);
    let last = world.sent().pop().unwrap();
    last.flags(ACK).ack(peer.seq + 300_000);
    assert!(last.segment.wnd > 60_000, "the window stays open");
    assert_eq!((world.told(), world.worker.shard().buffers_in_use()), (vec![], 0));
    world.inject(&[Seg { seq: peer.seq + 300_000, ..peer.seg(FIN_ACK) }]);
    assert_eq!(world.told(), [Told::Closed(CloseReason::Finished)]);
}
