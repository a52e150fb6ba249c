//! Opening actively: SYN-SENT and what leads out of it (requirements 2.4, 2.14, 2.15).

use std::net::{IpAddr, SocketAddr};

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::engine::active::OpenError;
use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::Options;

use crate::expect::Sent;
use crate::reach::{OURS, PEERS, Seg, Told, World, seg};

const SYN: Flags = Flags::SYN;
const ACK: Flags = Flags::ACK;
const RST: Flags = Flags::RST;
const SYN_ACK: Flags = Flags(SYN.0 | ACK.0);
pub const SERVER: u16 = 8080;
pub const LOCAL: u16 = 50_000;

pub fn remote() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(PEERS.into()), SERVER)
}

/// A world whose stack has sent a SYN to the peer.
pub fn syn_sent() -> (World, Sent) {
    let mut world = World::new();
    let id = world.worker.open(None, Some(LOCAL), remote()).unwrap();
    world.probe.0.borrow_mut().conn = Some(id);
    world.run();
    let syn = world.one();
    syn.flags(SYN).ack(Seq(0));
    assert_eq!(state(&world), State::SynSent);
    (world, syn)
}

fn state(world: &World) -> State {
    let local = SocketAddr::new(IpAddr::V4(OURS.into()), LOCAL);
    world.worker.shard().state_of(local, remote()).unwrap_or(State::Closed)
}

/// A segment from the server.
fn from_server(flags: Flags, seq: Seq, ack: Seq) -> Seg {
    let mut segment = seg(flags, seq, ack);
    segment.ports = (SERVER, LOCAL);
    segment
}

#[test]
fn a_syn_offers_everything_and_the_answer_establishes() {
    //= SYS-7
    //= MUST-14
    //= WS-2
    //= OPT-7
    //= VEC-FSM-1
    // With us as A.
    let (mut world, syn) = syn_sent();
    let options = syn.segment.options;
    assert_eq!((options.mss, options.window_scale, options.sack_permitted), (Some(1460), Some(3), true));
    assert_eq!(options.timestamps.map(|ts| ts.ecr), Some(0));
    let iss = syn.segment.seq;
    world.inject(&[from_server(SYN_ACK, Seq(300), iss + 1)]);
    world.one().flags(ACK).seq(iss + 1).ack(Seq(301));
    assert_eq!((state(&world), world.told()), (State::Established, vec![Told::Connected]));
    assert_eq!(world.count(Counter::Established), 1);
}

#[test]
fn text_and_fin_on_the_answer_are_read() {
    //= SYS-8
    let (mut world, syn) = syn_sent();
    let answer = from_server(SYN_ACK | Flags::FIN, Seq(300), syn.segment.seq + 1).text(b"hello");
    world.inject(&[answer]);
    world.one().flags(ACK).ack(Seq(307));
    assert_eq!(world.told(), [Told::Connected, Told::Data(b"hello".to_vec()), Told::PeerClose]);
    assert_eq!(state(&world), State::CloseWait);
}

#[test]
fn options_that_were_not_agreed_are_not_used() {
    //= SYS-12
    //= WS-1
    let (mut world, syn) = syn_sent();
    world.inject(&[from_server(SYN_ACK, Seq(300), syn.segment.seq + 1).wnd(1_000)]);
    let ack = world.one();
    assert_eq!(ack.segment.options, Options::default());
    assert_eq!(ack.segment.wnd, 0xffff, "no scaling");
}

#[test]
fn wrong_acknowledgments_and_stray_segments_change_nothing() {
    //= SYS-1
    //= SYS-2
    //= SYS-4
    //= SYS-10
    let (mut world, syn) = syn_sent();
    let iss = syn.segment.seq;
    for ack in [iss, iss + 2, iss - 1] {
        world.inject(&[from_server(SYN_ACK, Seq(300), ack)]);
        world.one().flags(RST).seq(ack);
        world.inject(&[from_server(RST | ACK, Seq(300), ack)]);
        world.silent();
    }
    for flags in [RST, Flags(0), Flags::FIN, ACK] {
        world.inject(&[from_server(flags, Seq(300), if flags == ACK { iss + 1 } else { Seq(0) })]);
        world.silent();
    }
    assert_eq!((state(&world), world.told()), (State::SynSent, vec![]));
    assert_eq!((world.dropped(DropReason::AckInHandshake), world.dropped(DropReason::NoSyn)), (6, 3));
}

#[test]
fn a_reset_with_our_acknowledgment_refuses() {
    //= SYS-3
    //= SYS-6
    let (mut world, syn) = syn_sent();
    world.inject(&[from_server(RST | ACK, Seq(7), syn.segment.seq + 1)]);
    world.silent();
    assert_eq!(world.told(), [Told::Closed(CloseReason::Refused)]);
    assert_eq!(world.count(Counter::Refused), 1);
    world.assert_quiet();
}

#[test]
fn crossing_syns_make_one_connection() {
    //= MUST-10
    //= MUST-11
    //= SYS-9
    //= SYR-8
    //= TRN-13
    //= VEC-FSM-2
    //= ATK-41
    let (mut world, syn) = syn_sent();
    let iss = syn.segment.seq;
    world.inject(&[from_server(SYN, Seq(300), Seq(0))]);
    world.one().flags(SYN_ACK).seq(iss).ack(Seq(301));
    assert_eq!((state(&world), world.told()), (State::SynReceived, Vec::new()));
    world.inject(&[from_server(SYN_ACK, Seq(300), iss + 1)]);
    world.one().flags(ACK).seq(iss + 1).ack(Seq(301));
    assert_eq!((state(&world), world.told()), (State::Established, vec![Told::Connected]));
    assert_eq!((world.worker.shard().connections(), world.worker.shard().index_len()), (1, 1));
}

#[test]
fn a_reset_after_crossing_syns_refuses() {
    //= SYR-2
    let (mut world, _) = syn_sent();
    world.inject(&[from_server(SYN, Seq(300), Seq(0))]);
    world.one().flags(SYN_ACK);
    world.inject(&[from_server(RST, Seq(301), Seq(0))]);
    assert_eq!(world.told(), [Told::Closed(CloseReason::Refused)]);
    world.assert_quiet();
}

#[test]
fn a_syn_is_repeated_for_more_than_three_minutes() {
    //= MUST-22
    //= MUST-23
    //= TMR-2
    //= UT-3
    //= VEC-SYN-1
    let (mut world, syn) = syn_sent();
    let mut seen = Vec::new();
    for second in 1..=243u32 {
        world.pass_ms(1_000);
        for again in world.sent() {
            again.flags(SYN).seq(syn.segment.seq);
            seen.push(second);
        }
    }
    assert_eq!(seen, [1, 3, 7, 15, 31, 63, 123, 183]);
    assert_eq!(world.told(), [Told::Closed(CloseReason::TimedOut)]);
    assert_eq!(world.count(Counter::SynTimedOut), 1);
    world.assert_quiet();
}

#[test]
fn closing_before_the_answer_forgets_the_connection() {
    //= CALL-5
    //= CALL-6
    for abort in [false, true] {
        let (mut world, _) = syn_sent();
        world.call(|conn| if abort { conn.abort() } else { conn.shutdown() });
        world.silent();
        assert_eq!(world.told(), [Told::Closed(CloseReason::Aborted)]);
        world.assert_quiet();
    }
}

#[test]
fn impossible_opens_send_nothing() {
    //= MUST-46
    //= MUST-43
    //= X-13
    let (mut world, _) = syn_sent();
    let to = |ip: [u8; 4], port| SocketAddr::new(IpAddr::V4(ip.into()), port);
    for remote in
        [to([255; 4], 80), to([224, 0, 0, 1], 80), to([198, 18, 0, 255], 80), to(OURS, 80), to(PEERS, 0)]
    {
        assert_eq!(world.worker.open(None, None, remote), Err(OpenError::InvalidRemote(remote)));
    }
    assert_eq!(world.worker.open(None, Some(LOCAL), remote()), Err(OpenError::Exists));
    let foreign = Some(IpAddr::V4([198, 18, 0, 77].into()));
    assert_eq!(world.worker.open(foreign, None, remote()), Err(OpenError::NoLocalAddress(remote())));
    world.run();
    world.silent();
}

#[test]
fn a_tuple_in_time_wait_is_reopened_only_with_timestamps() {
    //= TMW-9
    //= ISN-6
    for timestamps in [false, true] {
        let (mut world, syn) = syn_sent();
        let iss = syn.segment.seq;
        let ts = |segment: Seg| if timestamps { segment.ts(77, 0) } else { segment };
        world.inject(&[ts(from_server(SYN_ACK, Seq(300), iss + 1))]);
        world.call(|conn| conn.finish());
        world.inject(&[ts(from_server(ACK | Flags::FIN, Seq(301), iss + 2))]);
        assert_eq!(state(&world), State::TimeWait);
        world.sent();
        world.pass_ms(5);
        let again = world.worker.open(None, Some(LOCAL), remote());
        world.run();
        if timestamps {
            assert!(again.is_ok() && world.one().segment.seq.after(iss + 2));
        } else {
            assert_eq!(again, Err(OpenError::TimeWait));
            world.silent();
        }
    }
}
