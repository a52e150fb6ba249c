//! ABORT: the connection is gone at once, and the peer is told where it can still matter.

use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::tcp::Flags;

use crate::reach::{PEER_PORT, Seg, Told};
use crate::states::{Start, reach};

const ACK: Flags = Flags::ACK;

#[test]
fn abort_resets_where_the_peer_may_still_send_and_forgets_elsewhere() {
    //= CALL-6
    //= CALL-8
    //= TRN-12
    //= TW-10
    //= ATK-45
    for start in Start::ALL {
        for (state, tells) in [
            (State::Established, true),
            (State::FinWait1, true),
            (State::FinWait2, true),
            (State::CloseWait, true),
            (State::Closing, false),
            (State::LastAck, false),
        ] {
            let mut reached = reach(start, state);
            reached.world.call(|conn| conn.abort());
            if tells {
                reached.world.one().flags(Flags::RST).seq(reached.peer.ack);
            }
            reached.world.silent();
            assert_eq!(reached.world.state(PEER_PORT), State::Closed, "{}", state.name());
            assert_eq!(reached.world.told(), [Told::Closed(CloseReason::Aborted)]);
            assert_eq!(reached.world.count(Counter::Aborted), 1);
            reached.world.assert_quiet();
        }
    }
}

#[test]
fn abort_throws_away_what_is_queued_both_ways() {
    //= CALL-6
    let mut reached = reach(Start::BelowWrap, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    world.probe.0.borrow_mut().take = Some(0);
    world.inject(&[peer.seg(ACK).text(&[1; 1_400])]);
    world.call(|conn| assert_eq!(conn.send(&[2; 100_000]), 100_000));
    let sent: usize = world.sent().iter().map(|sent| sent.text.len()).sum();
    world.call(|conn| conn.abort());
    world.one().flags(Flags::RST).seq(peer.ack + sent as u32);
    reached.world.assert_quiet();
}

#[test]
fn abort_within_a_callback_ends_it_there() {
    //= CALL-6
    for (at_open, at_data) in [(true, false), (false, true)] {
        let mut world = crate::reach::World::new();
        let (peer, _) = world.half_open(PEER_PORT, dpdk_tcp::wire::seq::Seq(9), crate::states::plain());
        if at_open {
            world.probe.0.borrow_mut().next = Some(Box::new(|conn| conn.abort()));
        }
        world.inject(&[peer.seg(ACK)]);
        if at_data {
            world.probe.0.borrow_mut().next = Some(Box::new(|conn| conn.abort()));
            world.inject(&[peer.seg(ACK | Flags::FIN).text(b"last words")]);
        }
        let last = world.sent().pop().unwrap();
        last.flags(Flags::RST).seq(peer.ack);
        assert_eq!(world.told().last(), Some(&Told::Closed(CloseReason::Aborted)));
        world.assert_quiet();
    }
}

#[test]
fn after_an_abort_the_port_is_free_and_late_segments_are_strays() {
    //= TW-10
    //= CLD-3
    let mut reached = reach(Start::Plain, State::Established);
    let (world, peer) = (&mut reached.world, reached.peer);
    world.call(|conn| conn.abort());
    world.one();
    let late = Seg { ..peer.seg(ACK).text(b"late") };
    world.inject(&[late]);
    world.one().flags(Flags::RST).seq(peer.ack);
    world.told();
    world.establish(PEER_PORT);
}
