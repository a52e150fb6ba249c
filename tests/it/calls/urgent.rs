//! Urgent data that we send (RFC 9293 3.8.5, RFC 6093).

use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::tcp::Flags;

use crate::reach::Seg;
use crate::states::{Start, reach};

const ACK: Flags = Flags::ACK;
const URG_ACK: Flags = Flags(ACK.0 | Flags::URG.0);

#[test]
fn the_pointer_names_the_octet_after_the_urgent_data() {
    //= MUST-30
    //= MUST-62
    //= URG-1
    for start in Start::ALL {
        let mut reached = reach(start, State::Established);
        let (world, peer) = (&mut reached.world, &reached.peer);
        world.call(|conn| {
            conn.set_nodelay(true);
            assert_eq!(conn.send(b"abc"), 3);
            assert_eq!(conn.send_urgent(b"!"), 1);
            assert_eq!(conn.send(b"def"), 3);
        });
        let sent = world.one();
        sent.flags(URG_ACK | Flags::PSH).seq(peer.ack).text(b"abc!def");
        assert_eq!(sent.segment.up, 4);
        // Behind the mark nothing is urgent.
        world.call(|conn| assert_eq!(conn.send(b"ghi"), 3));
        let behind = world.one();
        behind.flags(ACK | Flags::PSH).text(b"ghi");
        assert_eq!(behind.segment.up, 0);
        // What goes again says it again, until it is acknowledged.
        let again = world.watch_ms(1_100);
        again[0].1.seq(peer.ack).flags(URG_ACK | Flags::PSH);
        world.inject(&[Seg { ack: peer.ack + 10, ..peer.seg(ACK) }]);
        world.sent();
        world.inject(&[peer.seg(ACK).text(b"x")]);
        assert!(world.sent().iter().all(|sent| !sent.segment.flags.has(Flags::URG)));
    }
}

#[test]
fn a_mark_beyond_the_field_is_told_as_far_as_it_goes() {
    //= URG-2
    //= MUST-31
    let mut reached = reach(Start::BelowWrap, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    world.call(|conn| {
        assert_eq!(conn.send(&[7; 100_000]), 100_000);
        assert_eq!(conn.send_urgent(&[8; 100]), 100);
    });
    let sent = world.sent();
    assert!(sent.len() > 5 && sent.iter().all(|sent| sent.segment.up == 0xffff));
    let mut at = peer.ack;
    let mut last = None;
    for _ in 0..60 {
        let all = world.watch_ms(50);
        at = at.later(
            all.iter().map(|(_, sent)| sent.segment.seq + sent.text.len() as u32).fold(at, |a, b| a.later(b)),
        );
        if let Some((_, sent)) = all.last() {
            last = Some((sent.segment.seq, sent.segment.up));
        }
        world.inject(&[Seg { ack: at.later(sent.last().unwrap().segment.seq + 1_460), ..peer.seg(ACK) }]);
        for one in world.sent() {
            at = at.later(one.segment.seq + one.text.len() as u32);
            last = Some((one.segment.seq, one.segment.up));
        }
    }
    let (seq, up) = last.unwrap();
    assert_eq!(seq + u32::from(up), peer.ack + 100_100, "the mark stands still");
}

#[test]
fn a_closed_window_does_not_keep_it_back() {
    //= MUST-30
    //= MUST-66
    let mut reached = reach(Start::Plain, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    world.inject(&[peer.seg(ACK).wnd(0)]);
    world.call(|conn| assert_eq!(conn.send_urgent(b"hurry"), 5));
    let sent = world.one();
    sent.flags(URG_ACK).seq(peer.ack).text(b"");
    assert_eq!(sent.segment.up, 5);
}
