//! How long closing may take: FIN-WAIT-2 after a full close, 2 MSL, the FIN's own retransmission.

use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::tcp::Flags;

use crate::reach::{PEER_PORT, Seg, Told};
use crate::states::{Start, reach};

const ACK: Flags = Flags::ACK;
const FIN_ACK: Flags = Flags(Flags::ACK.0 | Flags::FIN.0);

#[test]
fn a_fin_goes_again_until_it_is_acknowledged() {
    //= LAK-3
    //= FW1-2
    //= CLG-3
    for (state, next) in [
        (State::FinWait1, State::FinWait2),
        (State::Closing, State::TimeWait),
        (State::LastAck, State::Closed),
    ] {
        let mut reached = reach(Start::AtWrap, state);
        let seen = reached.world.watch_ms(3_500);
        assert_eq!(seen.len(), 2);
        for (_, fin) in &seen {
            fin.flags(FIN_ACK).seq(reached.peer.ack - 1).ack(reached.peer.seq);
        }
        reached.world.inject(&[reached.peer.seg(ACK)]);
        assert_eq!(reached.world.state(PEER_PORT), next);
        assert!(reached.world.watch_ms(20_000).is_empty());
    }
}

#[test]
fn a_half_closed_connection_waits_for_the_peer_for_ever() {
    //= FW2-3
    let mut reached = reach(Start::Plain, State::FinWait2);
    assert!(reached.world.watch_ms(100_000_000).is_empty());
    reached.world.inject(&[reached.peer.seg(ACK).text(b"still here")]);
    reached.world.one().ack(reached.peer.seq + 10);
    assert_eq!(reached.world.told(), [Told::Data(b"still here".to_vec())]);
}

#[test]
fn a_connection_that_nobody_reads_leaves_fin_wait_2_after_a_minute() {
    //= FW2-6
    //= TMR-11
    //= ATK-14
    for when in ["before the FIN", "after the FIN"] {
        for finish in [false, true] {
            let mut reached = reach(
                Start::BelowWrap,
                if when == "before the FIN" { State::Established } else { State::FinWait2 },
            );
            reached.world.call(move |conn| if finish { conn.finish() } else { conn.close() });
            if when == "before the FIN" {
                reached.world.one().flags(FIN_ACK);
                let ack = reached.peer.ack + 1;
                reached.world.inject(&[Seg { ack, ..reached.peer.seg(ACK) }]);
            }
            assert_eq!(reached.world.state(PEER_PORT), State::FinWait2);
            assert!(reached.world.watch_ms(59_900).is_empty());
            assert_eq!(reached.world.state(PEER_PORT), State::FinWait2, "{when}");
            reached.world.watch_ms(200);
            assert_eq!(reached.world.state(PEER_PORT), State::Closed, "{when}");
            assert_eq!(reached.world.told(), [Told::Closed(CloseReason::TimedOut)]);
            reached.world.assert_quiet();
        }
    }
}

#[test]
fn two_msl_are_a_minute_and_start_again_with_each_fin() {
    //= TW-1
    //= MUST-13
    //= TMR-6
    //= TMW-3
    //= TMW-10
    //= TMW-2
    //= VEC-FSM-9
    let mut reached = reach(Start::AtWrap, State::TimeWait);
    reached.world.watch_ms(40_000);
    let fin = Seg { seq: reached.peer.seq - 1, ..reached.peer.seg(FIN_ACK) };
    reached.world.inject(&[fin]);
    reached.world.one().flags(ACK).seq(reached.peer.ack).ack(reached.peer.seq);
    reached.world.watch_ms(40_000);
    assert_eq!(reached.world.state(PEER_PORT), State::TimeWait);
    // Neither old segments nor a FIN without ACK start it again.
    let old = Seg { seq: reached.peer.seq - 1, ..reached.peer.seg(Flags::FIN) };
    reached.world.inject(&[Seg { seq: reached.peer.seq - 50, ..reached.peer.seg(ACK) }, old]);
    reached.world.sent();
    reached.world.watch_ms(19_900);
    assert_eq!(reached.world.state(PEER_PORT), State::TimeWait);
    assert!(reached.world.watch_ms(200).is_empty());
    assert_eq!(reached.world.state(PEER_PORT), State::Closed);
    reached.world.assert_quiet();
}
