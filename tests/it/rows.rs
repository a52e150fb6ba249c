//! Requirements that need only a few lines each.

use dpdk_tcp::tcp::config::Config;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::{Options, Timestamps};

use crate::reach::{PEER_PORT, Peer, Seg, Setup, Told, World, seg};

const ACK: Flags = Flags::ACK;

/// A connection whose peer offered these options.
fn with_options(world: &mut World, options: Options) -> Peer {
    let (peer, _) = world.half_open(PEER_PORT, Seq(1_000), options);
    let third = peer.seg(ACK);
    let third = if options.timestamps.is_some() { third.ts(1, 0) } else { third };
    world.inject(&[third]);
    assert_eq!(world.told(), [Told::Open]);
    peer
}

fn sent_octets(world: &mut World) -> usize {
    world.sent().iter().map(|sent| sent.text.len()).sum()
}

#[test]
fn defaults_are_those_of_the_standards() {
    //= UT-2
    //= X-11
    //= X-15
    let cfg = Config::default();
    assert_eq!((cfg.user_timeout_ms, cfg.time_wait_ms), (300_000, 60_000));
}

#[test]
fn a_window_field_is_unsigned() {
    //= MUST-1
    let mut setup = Setup::default();
    setup.limits.buffers = 16 << 20;
    let mut world = World::with(setup);
    let mut peer = with_options(&mut world, Options { mss: Some(1_460), ..Options::default() });
    world.call(|conn| assert_eq!(conn.send(&[1; 200_000]), 200_000));
    // Far more than 32767 octets are in flight once the congestion window allows.
    for _ in 0..3 {
        for sent in world.sent() {
            peer.ack += sent.text.len() as u32;
            world.inject(&[peer.seg(ACK)]);
        }
    }
    let in_flight = sent_octets(&mut world);
    assert!((40_000..=65_535).contains(&in_flight), "{in_flight}");
}

#[test]
fn the_congestion_window_is_no_scaled_one() {
    //= WS-12
    let mut world = World::new();
    let scaled = Options { mss: Some(1_460), window_scale: Some(7), ..Options::default() };
    with_options(&mut world, scaled);
    world.call(|conn| assert_eq!(conn.send(&[1; 100_000]), 100_000));
    assert_eq!(sent_octets(&mut world), 14_600);
}

#[test]
fn the_mss_is_told_always_and_follows_the_interface() {
    //= MAY-3
    //= MSS-2
    //= MUST-67
    for (mtu, mss) in [(576, 536), (1_500, 1_460), (9_000, 8_960)] {
        let mut world = World::with(Setup { mtu, ..Setup::default() });
        let (_, syn_ack) =
            world.half_open(PEER_PORT, Seq(1), Options { mss: Some(100), ..Options::default() });
        assert_eq!(syn_ack.segment.options.mss, Some(mss), "nothing that would have to be reassembled");
        //= SYN-2
        assert!(syn_ack.text.is_empty());
    }
}

#[test]
fn acknowledgments_free_data_in_close_wait() {
    //= CLW-2
    let mut world = World::new();
    let mut peer = world.establish(PEER_PORT);
    world.inject(&[peer.seg(ACK | Flags::FIN)]);
    peer.seq += 1;
    assert_eq!(world.state(PEER_PORT), State::CloseWait);
    world.call(|conn| assert_eq!(conn.send(&[1; 20_000]), 20_000));
    let first = sent_octets(&mut world);
    peer.ack += first as u32;
    world.inject(&[peer.seg(ACK)]);
    assert_eq!(sent_octets(&mut world), 20_000 - first, "the rest follows");
    world.call(|conn| assert_eq!(conn.unacknowledged(), 20_000 - first));
    assert_eq!(world.state(PEER_PORT), State::CloseWait);
}

#[test]
fn held_text_is_not_tested_for_its_age_again() {
    //= PAWS-4
    let mut world = World::new();
    let peer = with_options(
        &mut world,
        Options { mss: Some(1_460), timestamps: Some(Timestamps { val: 1, ecr: 0 }), ..Options::default() },
    );
    let beyond = Seg { seq: peer.seq + 3, ..peer.seg(ACK).text(b"def") };
    world.inject(&[beyond.ts(10, 0)]);
    world.inject(&[peer.seg(ACK).text(b"abc").ts(20, 0)]);
    let told = world.told();
    let octets: Vec<u8> = told
        .iter()
        .flat_map(|told| if let Told::Data(data) = told { data.clone() } else { vec![] })
        .collect();
    assert_eq!(octets, b"abcdef", "{told:?}");
}

#[test]
fn packets_are_marked_only_where_ecn_was_agreed_to() {
    //= ECN-4
    //= SHLD-8
    for (asked, mark) in [(Flags(0), 0), (Flags::ECE, 0), (Flags::ECE | Flags::CWR, 0b10)] {
        let mut world = World::new();
        let syn = Seg { flags: Flags::SYN | asked, ..seg(Flags::SYN, Seq(1), Seq(0)) };
        world.inject(&[syn]);
        let syn_ack = world.one();
        assert_eq!(syn_ack.segment.flags.has(Flags::ECE), mark != 0);
        world.inject(&[seg(ACK, Seq(2), syn_ack.segment.seq + 1)]);
        world.told();
        world.call(|conn| assert_eq!(conn.send(b"text"), 4));
        assert_eq!(world.one().tos & 0b11, mark, "a SYN with {asked:?}");
    }
}
