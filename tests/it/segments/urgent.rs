//! The urgent pointer (RFC 6093): a mark in the stream, nothing else.

use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::tcp::Flags;

use crate::reach::{PEER_PORT, Seg, Told};
use crate::states::{Reached, Start, reach};

const URG_ACK: Flags = Flags(Flags::ACK.0 | Flags::URG.0);

fn urgent(reached: &Reached, offset: u32, text: &[u8], up: u16) -> Seg {
    let segment = reached.peer.seg(URG_ACK).text(text);
    Seg { seq: segment.seq + offset, up, ..segment }
}

fn left(reached: &mut Reached) -> Option<u32> {
    let mut left = None;
    let out = &mut left;
    reached.world.call(|conn| *out = conn.urgent());
    left
}

#[test]
fn the_pointer_announces_what_is_to_come_and_only_moves_forward() {
    //= COM-17
    //= MUST-30
    //= MUST-31
    //= MUST-32
    //= MUST-33
    //= MUST-62
    //= URG-1
    //= URG-3
    //= URG-4
    //= ATK-30
    let mut reached = reach(Start::BelowWrap, State::Established);
    let first = urgent(&reached, 0, b"0123456789", 2_000);
    reached.world.inject(&[first]);
    assert_eq!(reached.world.told(), [Told::Urgent(2_000), Told::Data(b"0123456789".to_vec())]);
    assert_eq!(left(&mut reached), Some(1_990));
    for (offset, up, told) in [(10, 0, None), (10, 1_000, None), (10, 1_990, None), (10, 1_991, Some(1_991))]
    {
        let segment = urgent(&reached, offset, b"", up);
        reached.world.inject(&[segment]);
        let expected: Vec<_> = told.map(Told::Urgent).into_iter().collect();
        assert_eq!(reached.world.told(), expected, "pointer {up}");
    }
    let plain = reached.peer.seg(Flags::ACK).text(&[7; 1_400]);
    reached.world.inject(&[Seg { seq: plain.seq + 10, ..plain.clone() }]);
    assert_eq!(left(&mut reached), Some(591));
    reached.world.inject(&[Seg { seq: plain.seq + 1_410, ..plain }]);
    assert_eq!(left(&mut reached), None);
}

#[test]
fn urgent_data_that_the_application_has_not_read_is_still_ahead() {
    //= MUST-33
    let mut reached = reach(Start::AtWrap, State::Established);
    reached.world.probe.0.borrow_mut().take = Some(0);
    let segment = urgent(&reached, 0, b"0123456789", 10);
    reached.world.inject(&[segment]);
    assert!(reached.world.told().contains(&Told::Urgent(10)));
    assert_eq!(left(&mut reached), Some(10));
    reached.world.probe.0.borrow_mut().take = None;
    reached.world.call(|conn| conn.resume());
    assert_eq!(left(&mut reached), None);
}

#[test]
fn the_pointer_is_ignored_without_its_bit_and_after_the_fin() {
    //= COM-17
    //= HDR-6
    //= CLW-5
    let mut reached = reach(Start::Plain, State::Established);
    let segment = Seg { flags: Flags::ACK, ..urgent(&reached, 0, b"x", 500) };
    reached.world.inject(&[segment]);
    assert_eq!(left(&mut reached), None);
    for state in [State::CloseWait, State::LastAck, State::Closing] {
        let mut reached = reach(Start::Plain, state);
        let segment = Seg { ack: reached.peer.ack - 1, ..urgent(&reached, 0, b"", 500) };
        reached.world.inject(&[segment]);
        assert_eq!((reached.world.told(), reached.world.state(PEER_PORT)), (vec![], state));
    }
    let mut reached = reach(Start::Plain, State::FinWait2);
    let segment = urgent(&reached, 0, b"", 500);
    reached.world.inject(&[segment]);
    assert_eq!(reached.world.told(), [Told::Urgent(500)]);
}

#[test]
fn the_pointer_may_come_with_the_rest_of_the_text_and_its_fin() {
    //= COM-17
    //= COM-21
    //= MUST-32
    //= MUST-33
    let last = Flags(URG_ACK.0 | Flags::FIN.0);
    for start in Start::ALL {
        let mut reached = reach(start, State::Established);
        let segment = Seg { flags: last, ..urgent(&reached, 0, b"0123456789", 6) };
        reached.world.inject(&[segment]);
        assert_eq!(
            reached.world.told(),
            [Told::Urgent(6), Told::Data(b"0123456789".to_vec()), Told::PeerClose],
            "{start:?}"
        );
        assert_eq!(left(&mut reached), None);

        // Behind a hole, and read only later: the FIN is not counted as an octet, before nor after its turn.
        let mut reached = reach(start, State::Established);
        reached.world.probe.0.borrow_mut().take = Some(0);
        let segment = Seg { flags: last, ..urgent(&reached, 5, b"56789", 4) };
        reached.world.inject(&[segment]);
        assert_eq!((reached.world.told(), left(&mut reached)), (vec![Told::Urgent(9)], Some(9)), "{start:?}");
        let segment = reached.peer.seg(Flags::ACK).text(b"01234");
        reached.world.inject(&[segment]);
        assert_eq!(reached.world.state(PEER_PORT), State::CloseWait);
        assert_eq!(left(&mut reached), Some(9), "{start:?}");
        reached.world.probe.0.borrow_mut().take = None;
        reached.world.call(|conn| conn.resume());
        assert_eq!(left(&mut reached), None);
    }
}
