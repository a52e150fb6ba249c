//! What an application chooses for its connections, and what it may know of them (requirements 1.12, 1.13, 2.14).

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU8;

use dpdk_tcp::tcp::congestion::Algorithm;
use dpdk_tcp::tcp::settings::{Dscp, ForIp, KeepAlive, RECEIVE_BUFFER_MAX, Settings, UserTimeout};
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::tcp::status::Status;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::Options;

use crate::expect::Sent;
use crate::reach::{PEER_PORT, PEERS, Seg, Setup, World, seg};
use crate::states::{Start, plain, reach};

const ACK: Flags = Flags::ACK;
const SYN: Flags = Flags::SYN;

fn ttl(value: u8) -> NonZeroU8 {
    NonZeroU8::new(value).unwrap()
}

/// Expedited forwarding, and a TTL of 3.
fn marked() -> Settings {
    Settings { ip: ForIp { dscp: Dscp::new(46).unwrap(), ttl: ttl(3) }, ..Settings::default() }
}

#[track_caller]
fn carries(sent: &[Sent], tos: u8, ttl: u8) {
    assert!(!sent.is_empty());
    assert!(sent.iter().all(|sent| (sent.tos, sent.ttl) == (tos, ttl)), "{sent:#?}");
}

fn status(world: &mut World) -> Status {
    let mut status = None;
    let out = &mut status;
    world.call(|conn| *out = conn.status());
    status.unwrap()
}

#[test]
fn every_segment_of_a_connection_carries_its_diffserv_field_and_ttl() {
    //= MUST-48
    //= MUST-49
    //= SHLD-22
    let mut setup = Setup::default();
    setup.cfg.settings = marked();
    let mut world = World::with(setup);
    let (peer, syn_ack) = world.half_open(PEER_PORT, Seq(7), plain());
    carries(&[syn_ack], 46 << 2, 3);
    world.pass_ms(1_100);
    carries(&world.sent(), 46 << 2, 3);
    world.inject(&[peer.seg(ACK).text(b"x")]);
    carries(&world.sent(), 46 << 2, 3);
    world.call(|conn| assert_eq!(conn.send(b"y"), 1));
    carries(&world.sent(), 46 << 2, 3);
    world.call(|conn| conn.abort());
    let reset = world.sent();
    reset[0].flags(Flags::RST);
    carries(&reset, 46 << 2, 3);
}

#[test]
fn a_syn_and_a_cookie_carry_them_too() {
    //= MUST-48
    //= MUST-49
    let mut world = World::new();
    let remote = SocketAddr::new(IpAddr::V4(PEERS.into()), 8_080);
    world.worker.api().open_with(None, None, remote, marked()).unwrap();
    world.run();
    carries(&world.sent(), 46 << 2, 3);
    let mut setup = Setup::default();
    setup.cfg.settings = marked();
    setup.limits.syn_cookies = dpdk_tcp::tcp::arrives::listen::CookieMode::Always;
    let mut world = World::with(setup);
    world.inject(&[seg(SYN, Seq(7), Seq(0)).options(plain())]);
    let syn_ack = world.one();
    carries(std::slice::from_ref(&syn_ack), 46 << 2, 3);
    world.inject(&[seg(ACK, Seq(8), syn_ack.segment.seq + 1).text(b"x")]);
    carries(&world.sent(), 46 << 2, 3);
}

#[test]
fn they_change_during_the_connection_and_leave_ecn_alone() {
    //= SHLD-21
    //= SHLD-22
    //= ECN-11
    //= ECN-3
    let mut world = World::new();
    let (peer, syn_ack) = {
        let mut syn = seg(SYN | Flags::ECE | Flags::CWR, Seq(7), Seq(0));
        syn.options = plain();
        world.inject(&[syn]);
        let syn_ack = world.one();
        (crate::reach::Peer { port: PEER_PORT, seq: Seq(8), ack: syn_ack.segment.seq + 1 }, syn_ack)
    };
    carries(&[syn_ack], 0, 64);
    world.inject(&[peer.seg(ACK)]);
    world.call(|conn| assert_eq!(conn.send(b"a"), 1));
    carries(&world.sent(), 0b10, 64);
    world.call(|conn| {
        conn.set_nodelay(true);
        conn.set_dscp(Dscp::new(63).unwrap());
        conn.set_ttl(ttl(255));
        assert_eq!(conn.send(b"b"), 1);
    });
    carries(&world.sent(), 0xfc | 0b10, 255);
    assert_eq!((Dscp::new(64), Dscp::new(255)), (None, None));
}

#[test]
fn nagle_s_rule_is_a_setting_of_listener_opener_and_connection() {
    //= MUST-17
    //= SHLD-7
    for nodelay in [false, true] {
        let mut setup = Setup::default();
        setup.cfg.settings.nodelay = nodelay;
        let mut world = World::with(setup);
        world.establish(PEER_PORT);
        world.call(|conn| assert_eq!(conn.send(b"a"), 1));
        world.call(|conn| assert_eq!(conn.send(b"b"), 1));
        assert_eq!(world.sent().len(), 1 + usize::from(nodelay));
    }
}

#[test]
fn a_cork_holds_small_segments_until_it_is_out() {
    //= NAG-5
    let mut reached = reach(Start::BelowWrap, State::Established);
    let world = &mut reached.world;
    world.call(|conn| {
        conn.set_nodelay(true);
        conn.set_cork(true);
        assert_eq!(conn.send(&[1; 100]), 100);
    });
    world.silent();
    world.call(|conn| assert_eq!(conn.send(&[2; 1_500]), 1_500));
    let full = world.sent();
    assert_eq!(full.iter().map(|sent| sent.text.len()).collect::<Vec<_>>(), [1_460]);
    world.pass_ms(100);
    world.silent();
    world.call(|conn| conn.set_cork(false));
    world.one().text(&[2; 140]);
}

#[test]
fn a_cork_holds_for_200_ms_at_most_and_each_time_anew() {
    //= NAG-5
    for in_flight in [0, 1_460] {
        let mut reached = reach(Start::Plain, State::Established);
        let (world, peer) = (&mut reached.world, &mut reached.peer);
        world.call(|conn| {
            conn.set_cork(true);
            assert_eq!(conn.send(&vec![7; in_flight + 10]), in_flight + 10);
        });
        assert_eq!(world.sent().len(), in_flight / 1_460);
        for _ in 0..2 {
            let seen = world.watch_ms(300);
            assert_eq!(seen.len(), 1, "{in_flight} in flight");
            assert!((199..=203).contains(&seen[0].0), "after {} ms", seen[0].0);
            seen[0].1.flags(ACK | Flags::PSH);
            peer.ack = seen[0].1.segment.seq + seen[0].1.text.len() as u32;
            world.inject(&[peer.seg(ACK)]);
            world.call(|conn| assert_eq!(conn.send(&[8; 10]), 10));
            world.silent();
        }
    }
}

#[test]
fn a_cork_never_holds_the_last_data_before_a_fin() {
    //= NAG-4
    //= NAG-5
    let mut reached = reach(Start::AtWrap, State::Established);
    let world = &mut reached.world;
    world.call(|conn| {
        conn.set_cork(true);
        assert_eq!(conn.send(b"bye"), 3);
        conn.shutdown();
    });
    world.one().flags(ACK | Flags::PSH | Flags::FIN).text(b"bye");
}

#[test]
fn buffers_are_settings_of_a_connection() {
    //= LIM-5
    //= LIM-6
    //= WS-8
    let mut setup = Setup::default();
    setup.cfg.settings.receive_buffer = Some(1 << 20);
    setup.cfg.settings.send_buffer = Some(1_000);
    let mut world = World::with(setup);
    let options = Options { window_scale: Some(2), ..plain() };
    let (peer, syn_ack) = world.establish_with(options, 0xffff);
    assert_eq!((syn_ack.segment.options.window_scale, syn_ack.segment.wnd), (Some(5), 0xffff));
    world.inject(&[peer.seg(ACK).text(b"x")]);
    assert_eq!(u32::from(world.one().segment.wnd) << 5, 1 << 20);
    world.call(|conn| {
        assert_eq!(conn.room(), 1_000);
        assert_eq!(conn.send(&[7; 2_000]), 1_000);
        conn.set_send_buffer(3_000);
        assert_eq!(conn.send(&[7; 3_000]), 2_000);
    });
    // More than the shift can offer is not kept.
    world.call(|conn| conn.set_receive_buffer(u32::MAX));
    assert_eq!(status(&mut world).settings.receive_buffer, Some(0xffff << 5));
    assert_eq!(RECEIVE_BUFFER_MAX, 1_073_725_440);
}

#[test]
fn a_buffer_that_grows_is_offered_and_one_that_shrinks_takes_nothing_back() {
    //= SHLD-14
    //= WS-11
    let mut setup = Setup::default();
    setup.cfg.receive_buffer = 10_000;
    let mut world = World::with(setup);
    let peer = world.establish(PEER_PORT);
    world.call(|conn| conn.set_receive_buffer(60_000));
    assert_eq!(world.one().segment.wnd, 60_000);
    world.call(|conn| conn.set_receive_buffer(5_000));
    world.silent();
    world.inject(&[peer.seg(ACK).text(&[7; 1_000])]);
    let ack = world.one();
    assert_eq!((ack.segment.ack, ack.segment.wnd), (peer.seq + 1_000, 59_000), "the edge stays");
}

#[test]
fn status_says_how_the_connection_stands() {
    //= CALL-7
    let mut world = World::new();
    let options = Options { window_scale: Some(2), sack_permitted: true, ..plain() };
    let (peer, _) = world.establish_with(options, 1_000);
    world.probe.0.borrow_mut().take = Some(0);
    world.inject(&[peer.seg(ACK).text(b"abc").wnd(1_000)]);
    world.call(|conn| {
        conn.set_user_timeout(Some(UserTimeout::AfterMs(7_000)));
        conn.set_keep_alive(Some(KeepAlive::default()));
        assert_eq!(conn.send(&[7; 6_000]), 6_000);
    });
    let before = status(&mut world);
    assert_eq!((before.state, before.send_window, before.mss), (State::Established, 4_000, 1_460));
    assert_eq!((before.unacknowledged, before.unsent, before.unread), (6_000, 6_000 - 2 * 1_460, 3));
    assert_eq!((before.sack, before.timestamps, before.ecn), (true, false, false));
    assert_eq!((before.window_shifts, before.user_timeout_ms), (Some((2, 3)), Some(7_000)));
    assert_eq!(before.settings.keep_alive, Some(KeepAlive::default()));
    assert!(before.deadline.is_some() && before.congestion_window >= 14_600 && before.urgent.is_none());
    assert_eq!((before.expiries, before.retransmission_timeout_ms), (0, 1_000));
    world.watch_ms(1_500);
    let after = status(&mut world);
    assert_eq!((after.expiries, after.retransmission_timeout_ms), (1, 2_000));
    world.inject(&[Seg { seq: peer.seq + 3, ack: peer.ack + 2_920, ..peer.seg(ACK).wnd(0) }]);
    let acked = status(&mut world);
    assert_eq!((acked.send_window, acked.unacknowledged, acked.unsent), (0, 3_080, 3_080));
    world.call(|conn| {
        conn.abort();
        assert_eq!(conn.status().map(|status| status.state), Some(State::Closed));
    });
}

/// Congestion windows of a sender that loses a segment and gets on; `ours` is the stack's way, `own` the connection's.
fn windows(ours: Algorithm, own: Option<Algorithm>) -> Vec<u32> {
    let mut setup = Setup::default();
    setup.cfg.congestion = ours;
    let mut world = World::with(setup);
    let (peer, _) = world.establish_with(plain(), 0xffff);
    world.call(|conn| {
        own.into_iter().for_each(|algorithm| conn.set_congestion(algorithm));
        assert_eq!(conn.send(&[7; 40 * 1_460]), 40 * 1_460);
    });
    let mut seen = Vec::new();
    for acked in [0, 0, 0, 0, 10, 14, 18, 22, 26, 30] {
        world.inject(&[Seg { ack: peer.ack + acked * 1_460, ..peer.seg(ACK) }]);
        world.sent();
        seen.push(status(&mut world).congestion_window);
    }
    seen
}

#[test]
fn each_connection_may_choose_how_its_window_grows() {
    //= MAY-18
    let (cubic, reno) = (windows(Algorithm::Cubic, None), windows(Algorithm::Reno, None));
    assert_ne!(cubic, reno, "the trial tells them apart");
    assert_eq!(windows(Algorithm::Cubic, Some(Algorithm::Reno)), reno);
    assert_eq!(windows(Algorithm::Reno, Some(Algorithm::Cubic)), cubic);
}
