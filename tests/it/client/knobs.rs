//! Settings by which we look like another host (`tcp::config::Config`).

use dpdk_tcp::engine::api::Conn;
use dpdk_tcp::tcp::arrives::listen::CookieMode;
use dpdk_tcp::tcp::config::Config;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::{Options, Timestamps};

use crate::active::{LOCAL, SERVER, remote};
use crate::expect::Sent;
use crate::reach::{Peer, Setup, World, seg};

const SYN: Flags = Flags::SYN;
const ACK: Flags = Flags::ACK;

/// What a peer offers that can everything.
fn everything() -> Options {
    Options {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some(Timestamps { val: 9, ecr: 0 }),
        ..Options::default()
    }
}

fn world(change: impl FnOnce(&mut Config)) -> World {
    let mut setup = Setup::default();
    change(&mut setup.cfg);
    World::with(setup)
}

/// Our SYN with these settings.
fn syn(world: &mut World) -> Sent {
    let id = world.worker.open(None, Some(LOCAL), remote()).unwrap();
    world.probe.0.borrow_mut().conn = Some(id);
    world.run();
    world.one()
}

/// The connection is open, with a peer that can everything.
fn connect(world: &mut World) -> Sent {
    let syn = syn(world);
    let mut answer = seg(SYN | ACK, Seq(300), syn.segment.seq + 1).options(everything());
    answer.ports = (SERVER, LOCAL);
    world.inject(&[answer]);
    world.one()
}

#[test]
fn a_syn_offers_what_it_is_set_to_offer_and_nothing_else() {
    //= OPT-7
    type Change = fn(&mut Config);
    let all = |options: &Options| {
        let Options { mss, window_scale, sack_permitted, timestamps, .. } = *options;
        (mss, window_scale, sack_permitted, timestamps.is_some())
    };
    let rows: [(Change, _); 8] = [
        (|_| (), (Some(1460), Some(3), true, true)),
        (|cfg| cfg.timestamps = false, (Some(1460), Some(3), true, false)),
        (|cfg| cfg.sack = false, (Some(1460), Some(3), false, true)),
        (|cfg| cfg.window_scale = false, (Some(1460), None, true, true)),
        (|cfg| cfg.window_shift = Some(9), (Some(1460), Some(9), true, true)),
        (|cfg| cfg.window_shift = Some(0), (Some(1460), Some(0), true, true)),
        (|cfg| cfg.mss_max = Some(1_000), (Some(1_000), Some(3), true, true)),
        (|cfg| cfg.mss_max = Some(9_000), (Some(1460), Some(3), true, true)),
    ];
    for (change, expected) in rows {
        let mut world = world(change);
        let syn = syn(&mut world);
        assert_eq!(all(&syn.segment.options), expected);
        syn.flags(SYN);
        assert_eq!(syn.segment.wnd, 0xffff);
    }
}

#[test]
fn ecn_is_asked_for_only_on_demand() {
    //= ECN-1
    for (ask, flags) in [(false, SYN), (true, SYN | Flags::ECE | Flags::CWR)] {
        let mut world = world(|cfg| cfg.ecn_ask = ask);
        syn(&mut world).flags(flags);
    }
}

#[test]
fn no_segment_is_larger_than_the_largest_that_was_asked_for() {
    //= MUST-16
    let mut world = world(|cfg| cfg.mss_max = Some(536));
    connect(&mut world);
    world.call(|conn| assert_eq!(conn.send(&[7; 2_000]), 2_000));
    let sent = world.sent();
    assert!(sent.iter().all(|sent| sent.text.len() <= 524), "{sent:?}");
    assert_eq!(sent[0].text.len(), 524, "536 with the timestamps");
}

#[test]
fn windows_are_those_that_the_shift_can_express() {
    //= WS-4
    //= WS-5
    // Shift, buffer, and the window field when the connection is open.
    for (shift, buffer, field) in [
        (0, 256 << 10, 0xffff),
        (1, 256 << 10, 0xffff),
        (3, 256 << 10, 0x8000),
        (7, 256 << 10, 2_048),
        (14, 256 << 10, 16),
        (8, 16 << 10, 64),
    ] {
        let mut world = world(|cfg| (cfg.window_shift, cfg.receive_buffer) = (Some(shift), buffer));
        let ack = connect(&mut world);
        assert_eq!(ack.segment.wnd, field, "shift {shift}, buffer {buffer}");
        let mut offered = 0;
        world.call(|conn| offered = conn.status().unwrap().receive_window);
        assert!(offered <= u32::from(field) << shift, "{offered} of {field} << {shift}");
    }
}

/// A listener's answer to a SYN that offers everything, by memory and by cookie.
#[test]
fn listeners_are_set_by_the_same_settings() {
    for syn_cookies in [CookieMode::Never, CookieMode::Always] {
        let mut setup = Setup::default();
        (setup.cfg.mss_max, setup.cfg.window_shift) = (Some(700), Some(11));
        setup.limits.syn_cookies = syn_cookies;
        let mut world = World::with(setup);
        world.inject(&[seg(SYN, Seq(9), Seq(0)).options(everything())]);
        let options = world.one().segment.options;
        assert_eq!((options.mss, options.window_scale), (Some(700), Some(11)));
    }
}

#[test]
fn a_shift_that_is_too_coarse_for_the_buffer_does_not_stop_the_peer() {
    let mut world = world(|cfg| (cfg.window_shift, cfg.receive_buffer) = (Some(14), 2_000));
    let ack = connect(&mut world);
    let mut peer = Peer { port: SERVER, seq: Seq(301), ack: ack.segment.seq };
    world.told();
    // More than a window of it, while the application takes everything.
    for n in 0..40u8 {
        let mut data = peer.seg(ACK).text(&[n; 1_000]).ts(9, ack.segment.options.timestamps.unwrap().val);
        data.ports = (SERVER, LOCAL);
        world.inject(&[data]);
        peer.seq += 1_000;
        let window = world.sent().last().map(|sent| u32::from(sent.segment.wnd) << 14);
        assert!(window.is_none_or(|window| window >= 1_000), "{n}: {window:?}");
    }
    world.call(|conn: &mut Conn<'_>| conn.set_receive_buffer(1));
    let mut data = peer.seg(ACK).text(&[1; 1_000]).ts(9, ack.segment.options.timestamps.unwrap().val);
    data.ports = (SERVER, LOCAL);
    world.inject(&[data]);
    world.pass_ms(50);
    assert!(world.sent().last().is_some_and(|sent| sent.segment.wnd > 0));
}
