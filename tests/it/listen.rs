//! Listeners that come and go while the loop runs (the OPEN call, passive; requirements 1.4, 2.14).

use std::net::IpAddr;

use dpdk_tcp::engine::api::ListenerId;
use dpdk_tcp::flow::listeners::ListenError;
use dpdk_tcp::tcp::settings::{Dscp, ForIp, Settings};
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use crate::reach::{OURS, PEER_PORT, PORT, Seg, Setup, Told, World, seg};
use crate::states::plain;

const SYN: Flags = Flags::SYN;
const ACK: Flags = Flags::ACK;
const SYN_ACK: Flags = Flags(SYN.0 | ACK.0);

/// A SYN to another port of ours.
fn syn_to(port: u16) -> Seg {
    Seg { ports: (PEER_PORT, port), options: plain(), ..seg(SYN, Seq(7), Seq(0)) }
}

#[test]
fn a_new_listener_touches_no_connection() {
    //= MUST-41
    //= CALL-1
    let mut world = World::new();
    let peer = world.establish(PEER_PORT);
    let (half, _) = world.half_open(PEER_PORT + 1, Seq(7), plain());
    world.inject(&[syn_to(81)]);
    world.one().flags(Flags::RST | ACK);
    // On the same port, for the address alone, and on another.
    world.worker.api().listen(Some(IpAddr::V4(OURS.into())), PORT, None).unwrap();
    let ip = ForIp { dscp: Dscp::new(10).unwrap(), ..ForIp::default() };
    world.worker.api().listen(None, 81, Some(Settings { ip, ..Settings::default() })).unwrap();
    assert_eq!(world.worker.api().listen(None, 81, None), Err(ListenError::InUse(81)));
    world.inject(&[half.seg(ACK)]);
    assert_eq!((world.state(PEER_PORT + 1), world.told()), (State::Established, vec![Told::Open]));
    world.inject(&[peer.seg(ACK).text(b"x")]);
    world.one().ack(peer.seq + 1);
    world.inject(&[syn_to(81)]);
    let syn_ack = world.one();
    syn_ack.flags(SYN_ACK);
    assert_eq!(syn_ack.tos, 10 << 2, "the listener's own settings");
}

#[test]
fn a_listener_that_is_closed_leaves_its_connections() {
    //= CALL-5
    let mut world = World::new();
    let peer = world.establish(PEER_PORT);
    let (half, _) = world.half_open(PEER_PORT + 1, Seq(7), plain());
    world.worker.api().stop_listening(ListenerId(0));
    world.inject(&[syn_to(PORT).from_port(PEER_PORT + 2)]);
    world.one().flags(Flags::RST | ACK);
    world.inject(&[peer.seg(ACK).text(b"x"), half.seg(ACK)]);
    world.one().ack(peer.seq + 1);
    assert_eq!(world.told(), [Told::Data(b"x".to_vec()), Told::Open]);
    // And again: nobody remembers the old one any more.
    assert_eq!(world.worker.api().listen(None, PORT, None), Ok(ListenerId(0)));
    world.establish(PEER_PORT + 3);
}

#[test]
fn a_listener_that_is_remembered_keeps_its_number() {
    //= CALL-1
    //= CALL-5
    let mut setup = Setup::default();
    setup.limits.listeners = 2;
    let mut world = World::with(setup);
    let (half, _) = world.half_open(PEER_PORT, Seq(7), plain());
    world.worker.api().stop_listening(ListenerId(0));
    world.worker.api().stop_listening(ListenerId(0));
    assert_eq!(world.worker.api().listen(None, PORT, None), Ok(ListenerId(1)));
    assert_eq!(world.worker.api().listen(None, 81, None), Err(ListenError::NoRoom));
    assert_eq!(world.worker.api().listen(None, 0, None), Err(ListenError::PortZero));
    let stranger = IpAddr::V4([198, 18, 0, 9].into());
    assert_eq!(world.worker.api().listen(Some(stranger), 81, None), Err(ListenError::NotOurs(stranger)));
    world.inject(&[half.seg(ACK)]);
    assert_eq!(world.told(), [Told::Open]);
    assert_eq!(world.worker.api().listen(None, 81, None), Ok(ListenerId(0)));
    world.inject(&[syn_to(81)]);
    world.one().flags(SYN_ACK);
}
