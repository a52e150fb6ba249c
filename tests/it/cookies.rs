//! SYN cookies: a full half-open queue takes no memory, and a peer that answers gets its connection all the same.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::arrives::listen::CookieMode;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::{Options, Timestamps};

use crate::reach::{PEER_PORT, Peer, Seg, Setup, Told, World, seg};

const ACK: Flags = Flags::ACK;
const SYN: Flags = Flags::SYN;

fn world(mode: CookieMode) -> World {
    let mut setup = Setup::default();
    setup.limits.syn_cookies = mode;
    World::with(setup)
}

fn offer() -> Options {
    Options {
        mss: Some(1460),
        window_scale: Some(7),
        sack_permitted: true,
        timestamps: Some(Timestamps { val: 5_000, ecr: 0 }),
        ..Options::default()
    }
}

/// SYN and the cookie that answers it.
fn cookie(world: &mut World, options: Options) -> (Peer, Options) {
    world.inject(&[seg(SYN, Seq(900), Seq(0)).options(options)]);
    let syn_ack = world.one();
    syn_ack.flags(SYN | ACK).ack(Seq(901));
    (Peer { port: PEER_PORT, seq: Seq(901), ack: syn_ack.segment.seq + 1 }, syn_ack.segment.options)
}

#[test]
fn a_cookie_takes_no_memory_and_its_ack_opens_with_all_options() {
    //= SYNC-1
    //= SYNC-5
    //= SYNC-6
    //= CLD-6
    //= LIS-3
    let mut world = world(CookieMode::Always);
    let (peer, options) = cookie(&mut world, offer());
    assert_eq!((options.mss, options.window_scale, options.sack_permitted), (Some(1460), Some(3), true));
    assert_eq!((world.worker.shard().connections(), world.state(PEER_PORT)), (0, State::Closed));
    let echo = options.timestamps.unwrap().val;
    world.inject(&[peer.seg(ACK).ts(5_001, echo).wnd(1_000).text(b"hello")]);
    assert_eq!(world.told(), [Told::Open, Told::Data(b"hello".to_vec())]);
    let ack = world.one();
    ack.flags(ACK).seq(peer.ack).ack(peer.seq + 5);
    assert_eq!(ack.segment.options.timestamps.map(|ts| ts.ecr), Some(5_001));
    assert_eq!((world.count(Counter::CookiesSent), world.count(Counter::CookiesGood)), (1, 1));
    // The peer's window was scaled: far more than 1000 octets may go.
    world.call(|conn| assert_eq!(conn.send(&[7; 20_000]), 20_000));
    let sent: usize = world.sent().iter().map(|sent| sent.text.len()).sum();
    assert!(sent > 10_000, "{sent}");
}

#[test]
fn without_timestamps_only_the_segment_size_survives() {
    //= SYNC-4
    //= SYNC-5
    let mut world = world(CookieMode::Always);
    let (peer, options) = cookie(&mut world, Options { timestamps: None, mss: Some(1_000), ..offer() });
    assert_eq!((options.window_scale, options.sack_permitted, options.timestamps), (None, false, None));
    world.inject(&[peer.seg(ACK)]);
    assert_eq!((world.state(PEER_PORT), world.told()), (State::Established, vec![Told::Open]));
    world.call(|conn| assert_eq!(conn.send(&[7; 2_000]), 2_000));
    assert_eq!(world.sent()[0].text.len(), 536);
}

#[test]
fn a_full_queue_answers_by_cookies_and_real_clients_still_connect() {
    //= ATK-1
    //= LIS-8
    //= SYNQ-4
    let mut world = world(CookieMode::Auto);
    let flood = |n: u32| -> Seg {
        let mut syn = seg(SYN, Seq(n), Seq(0)).from_port(1_024 + (n % 60_000) as u16);
        syn.source = [198, 18, 0, 3 + (n / 60_000) as u8];
        syn
    };
    for n in 0..2_000 {
        world.send_frame(&flood(n).frame());
        world.worker.pass(world.clock.now());
        world.drain_frames();
    }
    let (half_open, most) = (world.worker.shard().half_open(), world.setup_limits().half_open_total());
    assert!(half_open <= most, "{half_open} half-open entries of {most}");
    assert!(world.count(Counter::CookiesSent) > 1_900 && world.dropped(DropReason::SynQueueFull) == 0);
    let (peer, options) = cookie(&mut world, offer());
    world.inject(&[peer.seg(ACK).ts(5_001, options.timestamps.unwrap().val)]);
    assert_eq!(world.state(PEER_PORT), State::Established);
}

#[test]
fn without_cookies_a_full_queue_drops_the_syn() {
    //= LIS-8
    //= SYNQ-7
    let mut world = world(CookieMode::Never);
    for n in 0..100 {
        world.inject(&[seg(SYN, Seq(n), Seq(0)).from_port(1_024 + n as u16)]);
    }
    assert!(world.dropped(DropReason::SynQueueFull) > 0 && world.count(Counter::CookiesSent) == 0);
}

#[test]
fn forged_acknowledgments_open_nothing() {
    //= ATK-2
    //= SYNC-9
    let mut world = world(CookieMode::Always);
    let (peer, _) = cookie(&mut world, offer());
    for wrong in [peer.ack + (2 << 27), peer.ack - (9 << 27), peer.ack + (16 << 27)] {
        let forged = Peer { ack: wrong, ..peer };
        world.inject(&[forged.seg(ACK)]);
        world.one().flags(Flags::RST).seq(wrong);
    }
    assert_eq!((world.dropped(DropReason::CookieInvalid), world.told()), (3, vec![]));
    world.pass_ms(129_000);
    world.inject(&[peer.seg(ACK)]);
    world.one().flags(Flags::RST);
    assert_eq!(world.dropped(DropReason::ListenAck), 1, "nobody asks for cookies any more");
    world.assert_quiet();
}

#[test]
fn a_segment_that_overtakes_the_one_with_the_cookie_does_not_end_the_connection() {
    let mut world = world(CookieMode::Always);
    let (peer, options) = cookie(&mut world, offer());
    let echo = options.timestamps.unwrap().val;
    let segment = |at: u32, text: &[u8]| {
        let mut segment = peer.seg(ACK).ts(5_001, echo).text(text);
        segment.seq += at;
        segment
    };
    world.inject(&[segment(5, b" late")]);
    world.silent();
    assert_eq!((world.dropped(DropReason::CookieAhead), world.told()), (1, vec![]));
    world.inject(&[segment(0, b"early"), segment(5, b" late")]);
    assert_eq!(world.told(), [Told::Open, Told::Data(b"early".to_vec()), Told::Data(b" late".to_vec())]);
}
