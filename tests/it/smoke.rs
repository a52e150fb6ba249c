//! One whole connection.

use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::tcp::Flags;

use crate::reach::{PEER_PORT, Told, World};

const ACK: Flags = Flags::ACK;

#[test]
fn a_connection_lives_from_syn_to_time_wait_and_leaves_nothing() {
    //= VEC-FSM-1
    //= VEC-FSM-6
    // With us as A.
    let mut world = World::new();
    let mut peer = world.establish(PEER_PORT);
    world.inject(&[peer.seg(ACK | Flags::PSH).text(b"hello")]);
    assert_eq!(world.told(), [Told::Data(b"hello".to_vec())]);
    peer.seq += 5;
    world.one().flags(ACK).ack(peer.seq);

    world.call(|conn| {
        assert_eq!(conn.send(b"world"), 5);
        conn.shutdown();
    });
    world.one().flags(ACK | Flags::PSH | Flags::FIN).seq(peer.ack).text(b"world");
    assert_eq!(world.state(PEER_PORT), State::FinWait1);
    peer.ack += 6;
    world.inject(&[peer.seg(ACK)]);
    assert_eq!(world.state(PEER_PORT), State::FinWait2);
    world.inject(&[peer.seg(ACK | Flags::FIN)]);
    world.one().flags(ACK).seq(peer.ack).ack(peer.seq + 1);
    assert_eq!(world.state(PEER_PORT), State::TimeWait);
    assert_eq!(world.told(), [Told::Writable, Told::PeerClose, Told::Closed(CloseReason::Finished)]);
    world.pass_ms(60_001);
    assert_eq!(world.state(PEER_PORT), State::Closed);
    world.assert_quiet();
}
