//! Congestion marks, as the sender of the marked packets sees them: the peer's ECE (RFC 3168 6.1.2).

use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::Options;

use crate::reach::{PEER_PORT, Peer, Seg, Setup, World, seg};
use dpdk_tcp::tcp::congestion::Algorithm;

const ACK: Flags = Flags::ACK;
const ECE_ACK: Flags = Flags(Flags::ACK.0 | Flags::ECE.0);
const MSS: usize = 1_460;

/// A connection that agreed to ECN, with an initial window of ten segments.
fn connection() -> (World, Peer) {
    let mut world = reno();
    let options = Options { mss: Some(1_460), ..Options::default() };
    world.inject(&[seg(Flags::SYN | Flags::ECE | Flags::CWR, Seq(100), Seq(0)).options(options)]);
    let peer = Peer { port: PEER_PORT, seq: Seq(101), ack: world.one().segment.seq + 1 };
    world.inject(&[peer.seg(ACK)]);
    world.told();
    (world, peer)
}

fn write(world: &mut World, segments: usize) {
    world.call(|conn| assert_eq!(conn.send(&vec![7; segments * MSS]), segments * MSS));
}

/// Full segments sent, and which of them say that the window was reduced.
fn sent(world: &mut World) -> Vec<bool> {
    let sent = world.sent();
    assert!(sent.iter().all(|sent| sent.text.len() == MSS));
    sent.iter().map(|sent| sent.segment.flags.has(Flags::CWR)).collect()
}

/// The peer acknowledges so many segments more.
fn acknowledge(world: &mut World, peer: &mut Peer, segments: u32, flags: Flags) {
    peer.ack += segments * MSS as u32;
    let segment: Seg = peer.seg(flags);
    world.inject(&[segment]);
}

/// Reno, since its windows are plain numbers.
fn reno() -> World {
    let mut setup = Setup::default();
    setup.cfg.congestion = Algorithm::Reno;
    World::with(setup)
}

/// After two marks on single segments the window holds nothing.
fn held() -> (World, Peer) {
    let (mut world, mut peer) = connection();
    for cwr in [false, true] {
        write(&mut world, 1);
        assert_eq!(sent(&mut world), [cwr]);
        acknowledge(&mut world, &mut peer, 1, ECE_ACK);
        world.silent();
    }
    (world, peer)
}

#[test]
fn a_mark_halves_the_window_once_in_a_round_trip_and_is_answered() {
    //= ECN-8
    //= ECN-9
    let (mut world, mut peer) = connection();
    write(&mut world, 40);
    assert_eq!(sent(&mut world), [false; 10]);
    // Ten in flight: five are the window now, so that the next five acknowledged send nothing.
    for _ in 0..5 {
        acknowledge(&mut world, &mut peer, 1, ECE_ACK);
        world.silent();
    }
    for first in [true, false, false, false, false] {
        acknowledge(&mut world, &mut peer, 1, ECE_ACK);
        assert_eq!(sent(&mut world), [first], "one window, one reduction; the first new segment says so");
    }
    // A mark on what was sent since.
    acknowledge(&mut world, &mut peer, 1, ECE_ACK);
    world.silent();
    acknowledge(&mut world, &mut peer, 3, ACK);
    assert!(sent(&mut world)[0]);
}

#[test]
fn a_mark_on_the_last_of_a_flight_counts() {
    //= ECN-8
    let (mut world, mut peer) = connection();
    write(&mut world, 10);
    assert_eq!(sent(&mut world).len(), 10);
    acknowledge(&mut world, &mut peer, 10, ECE_ACK);
    write(&mut world, 10);
    assert_eq!(sent(&mut world), [true, false, false, false, false]);
}

#[test]
fn a_marked_handshake_reduces_nothing() {
    //= ECN-8
    let mut world = World::new();
    let options = Options { mss: Some(1_460), ..Options::default() };
    world.inject(&[seg(Flags::SYN | Flags::ECE | Flags::CWR, Seq(100), Seq(0)).options(options)]);
    let ack = world.one().segment.seq + 1;
    world.inject(&[seg(ECE_ACK, Seq(101), ack)]);
    write(&mut world, 20);
    assert_eq!(sent(&mut world), [false; 10]);
}

#[test]
fn a_mark_at_a_window_of_one_segment_stops_the_sender_until_the_timer() {
    //= ECN-10
    let (mut world, mut peer) = held();
    write(&mut world, 5);
    world.pass_ms(950);
    world.silent();
    // Neither an acknowledgment nor a window opens it.
    world.inject(&[peer.seg(ACK).wnd(50_000)]);
    world.silent();
    world.pass_ms(100);
    assert_eq!(sent(&mut world), [true], "one segment, and new text");
    acknowledge(&mut world, &mut peer, 1, ACK);
    assert_eq!(sent(&mut world), [false; 2], "slow start");
}

#[test]
fn a_sender_with_nothing_to_say_is_released_by_the_timer_too() {
    //= ECN-10
    let (mut world, _) = held();
    world.pass_ms(1_100);
    world.silent();
    write(&mut world, 5);
    assert_eq!(sent(&mut world), [true]);
}

#[test]
fn a_closed_window_does_not_keep_a_held_sender_from_ever_sending() {
    //= ECN-10
    let (mut world, mut peer) = held();
    world.inject(&[peer.seg(ACK).wnd(0)]);
    // Far longer than the user timeout: nothing is waited for.
    world.pass_ms(400_000);
    world.silent();
    write(&mut world, 1);
    world.inject(&[peer.seg(ACK).wnd(50_000)]);
    world.pass_ms(1_100);
    let segments = world.sent();
    assert_eq!(segments.last().map(|sent| sent.segment.seq), Some(peer.ack));
    peer.ack += MSS as u32;
    world.inject(&[peer.seg(ACK)]);
    world.silent();
}
