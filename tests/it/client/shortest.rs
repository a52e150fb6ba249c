//! The client's side of a conversation of six packets: its request rides on the third ACK, and its FIN on the
//! acknowledgment of the reply.

use dpdk_tcp::engine::api::{CloseReason, Conn};
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::Options;

use crate::active::{LOCAL, SERVER, remote};
use crate::reach::{Seg, Told, World, seg};

const ACK: Flags = Flags::ACK;
const FIN: Flags = Flags::FIN;
const PSH: Flags = Flags::PSH;
const REQUEST: [u8; 85] = [b'r'; 85];
const REPLY: [u8; 256] = [b'y'; 256];

fn from_server(flags: Flags, seq: Seq, ack: Seq) -> Seg {
    let mut segment = seg(flags, seq, ack);
    segment.ports = (SERVER, LOCAL);
    segment
}

fn options(timestamps: bool) -> Options {
    let options = Options { mss: Some(1460), ..Options::default() };
    if timestamps { seg(ACK, Seq(0), Seq(0)).options(options).ts(7, 0).options } else { options }
}

/// What the application does at its next callback.
fn next(world: &World, act: impl FnOnce(&mut Conn<'_>) + 'static) {
    world.probe.0.borrow_mut().next = Some(Box::new(act));
}

/// The request has left on the third ACK; returns our SND.NXT.
fn requested(world: &mut World, timestamps: bool) -> Seq {
    world.worker.open(None, Some(LOCAL), remote()).unwrap();
    world.run();
    let syn = world.one();
    syn.flags(Flags::SYN);
    let iss = syn.segment.seq;
    next(world, |conn| assert_eq!(conn.send(&REQUEST), REQUEST.len()));
    world.inject(&[from_server(Flags::SYN | ACK, Seq(300), iss + 1).options(options(timestamps))]);
    world.one().flags(ACK | PSH).seq(iss + 1).ack(Seq(301)).text(&REQUEST);
    assert_eq!(world.told(), [Told::Connected]);
    iss + 86
}

fn reply(nxt: Seq, flags: Flags, timestamps: bool) -> Seg {
    let segment = from_server(flags, Seq(301), nxt).text(&REPLY);
    if timestamps { segment.ts(7, 0) } else { segment }
}

#[test]
fn the_reply_with_its_fin_is_answered_by_one_segment_wherever_the_application_finishes() {
    // On the data, or when it is told that the peer has closed.
    for (timestamps, early) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut world = World::new();
        let nxt = requested(&mut world, timestamps);
        // The first callback is for the acknowledgment of the request, the second for the data.
        next(&world, move |_| ());
        let probe = world.probe.clone();
        if early {
            next(&world, move |_| {
                probe.0.borrow_mut().next = Some(Box::new(|conn: &mut Conn<'_>| conn.finish()));
            });
        } else {
            next(&world, move |_| {
                let later = probe.clone();
                probe.0.borrow_mut().next = Some(Box::new(move |_| {
                    later.0.borrow_mut().next = Some(Box::new(|conn: &mut Conn<'_>| conn.finish()));
                }));
            });
        }
        world.inject(&[reply(nxt, ACK | FIN | PSH, timestamps)]);
        world.one().flags(ACK | FIN).seq(nxt).ack(Seq(558)).text(b"");
        let told = world.told();
        assert_eq!(&told[..2], [Told::Writable, Told::Data(REPLY.to_vec())]);
        assert_eq!(told.get(2), (!early).then_some(&Told::PeerClose));
        let last = from_server(ACK, Seq(558), nxt + 1);
        world.inject(&[if timestamps { last.ts(7, 0) } else { last }]);
        world.silent();
        assert_eq!(world.told(), [Told::Closed(CloseReason::Finished)]);
        assert_eq!((world.count(Counter::TxSegments), world.count(Counter::RxSegments)), (3, 3));
        world.assert_quiet();
    }
}

#[test]
fn a_client_that_only_closes_sends_its_fin_on_the_third_ack() {
    let mut world = World::new();
    world.worker.open(None, Some(LOCAL), remote()).unwrap();
    world.run();
    let iss = world.one().segment.seq;
    next(&world, |conn| conn.finish());
    world.inject(&[from_server(Flags::SYN | ACK, Seq(300), iss + 1)]);
    world.one().flags(ACK | FIN).seq(iss + 1).ack(Seq(301));
    // The server's FIN rides on its acknowledgment: one ACK is left, and TIME-WAIT is ours.
    world.inject(&[from_server(ACK | FIN, Seq(301), iss + 2)]);
    world.one().flags(ACK).seq(iss + 2).ack(Seq(302));
    assert_eq!((world.count(Counter::TxSegments), world.count(Counter::TimeWaitEntered)), (3, 1));
}

#[test]
fn a_request_waits_for_no_acknowledgment_where_the_reply_came_without_a_fin() {
    let mut world = World::new();
    let nxt = requested(&mut world, false);
    let probe = world.probe.clone();
    next(&world, move |_| {
        probe.0.borrow_mut().next = Some(Box::new(|conn: &mut Conn<'_>| conn.finish()));
    });
    world.inject(&[reply(nxt, ACK | PSH, false)]);
    // Who finishes on the data acknowledges it with the FIN.
    world.one().flags(ACK | FIN).seq(nxt).ack(Seq(557));
    let local = std::net::SocketAddr::new(std::net::IpAddr::V4(crate::reach::OURS.into()), LOCAL);
    assert_eq!(world.worker.shard().state_of(local, remote()), Some(State::FinWait1));
}
