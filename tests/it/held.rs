//! Text before its turn: held, reported by SACK and D-SACK, delivered once and in order.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::Options;

use crate::reach::{PEER_PORT, Peer, Seg, Told, World};

const ACK: Flags = Flags::ACK;
const FIN: Flags = Flags::FIN;

/// An established connection with SACK, the peer's first octet numbered 1000.
fn with_sack() -> (World, Peer) {
    let mut world = World::new();
    let options = Options { mss: Some(1460), sack_permitted: true, ..Options::default() };
    let (peer, syn_ack) = world.half_open(PEER_PORT, Seq(999), options);
    assert!(syn_ack.segment.options.sack_permitted);
    world.inject(&[peer.seg(ACK)]);
    world.sent();
    world.told();
    (world, peer)
}

/// 500 octets at `seq`, each the number's hundreds.
fn piece(peer: &Peer, seq: u32, len: usize) -> Seg {
    let mut segment = peer.seg(ACK).text(&vec![(seq / 100) as u8; len]);
    segment.seq = Seq(seq);
    segment
}

/// The acknowledgment and blocks of the one answer.
#[track_caller]
fn answer(world: &mut World) -> (u32, Vec<(u32, u32)>) {
    let sent = world.one();
    let blocks = sent.segment.options.sack.as_slice().iter().map(|(l, r)| (l.0, r.0)).collect();
    (sent.segment.ack.0, blocks)
}

#[test]
fn holes_are_reported_newest_first_and_filled_runs_delivered() {
    //= SHLD-31
    //= SACK-3
    //= SACK-4
    //= SACK-5
    //= COM-19
    //= EST-6
    //= CC-15
    //= VEC-SACK-2..3
    // Moved down by 4000.
    let (mut world, peer) = with_sack();
    let mut arrive = |seq| {
        world.inject(&[piece(&peer, seq, 500)]);
        answer(&mut world)
    };
    assert_eq!(arrive(1_000), (1_500, vec![]));
    assert_eq!(arrive(2_000), (1_500, vec![(2_000, 2_500)]));
    assert_eq!(arrive(3_000), (1_500, vec![(3_000, 3_500), (2_000, 2_500)]));
    assert_eq!(arrive(4_000), (1_500, vec![(4_000, 4_500), (3_000, 3_500), (2_000, 2_500)]));
    assert_eq!(arrive(2_500), (1_500, vec![(2_000, 3_500), (4_000, 4_500)]));
    assert_eq!(arrive(1_500), (3_500, vec![(4_000, 4_500)]));
    assert_eq!(arrive(3_500), (4_500, vec![]));
    let data: Vec<u8> = world
        .told()
        .iter()
        .flat_map(|t| match t {
            Told::Data(d) => d.clone(),
            _ => vec![],
        })
        .collect();
    let expected: Vec<u8> = (1_000..4_500).map(|n: u32| (n / 500 * 5) as u8).collect();
    assert_eq!(data, expected);
}

#[test]
fn duplicates_are_reported_once() {
    //= DSACK-1
    //= DSACK-2
    //= DSACK-4
    let (mut world, peer) = with_sack();
    world.inject(&[piece(&peer, 1_000, 1_000)]);
    world.sent();
    //= VEC-DSACK-1
    world.inject(&[piece(&peer, 1_000, 500)]);
    assert_eq!(answer(&mut world), (2_000, vec![(1_000, 1_500)]));
    //= VEC-DSACK-2
    world.inject(&[piece(&peer, 2_500, 500)]);
    assert_eq!(answer(&mut world), (2_000, vec![(2_500, 3_000)]));
    world.inject(&[piece(&peer, 1_000, 500)]);
    assert_eq!(answer(&mut world), (2_000, vec![(1_000, 1_500), (2_500, 3_000)]));
    //= VEC-DSACK-3
    world.inject(&[piece(&peer, 3_000, 500)]);
    assert_eq!(answer(&mut world), (2_000, vec![(2_500, 3_500)]));
    world.inject(&[piece(&peer, 3_000, 500)]);
    assert_eq!(answer(&mut world), (2_000, vec![(3_000, 3_500), (2_500, 3_500)]));
}

#[test]
fn a_segment_that_is_partly_old_reports_its_old_part() {
    //= DSACK-4
    //= VEC-DSACK-4
    let (mut world, peer) = with_sack();
    world.inject(&[piece(&peer, 2_000, 500)]);
    world.inject(&[piece(&peer, 1_000, 500)]);
    let sent = world.sent();
    assert_eq!(sent[1].segment.options.sack.as_slice(), [(Seq(2_000), Seq(2_500))]);
    world.inject(&[piece(&peer, 1_000, 1_000)]);
    assert_eq!(answer(&mut world), (2_500, vec![(1_000, 1_500)]));
}

#[test]
fn without_sack_holes_draw_plain_duplicates_and_text_is_held_all_the_same() {
    //= SACK-1
    //= SHLD-31
    let mut world = World::new();
    let peer = world.establish(PEER_PORT);
    let mut ahead = peer.seg(ACK).text(b"world");
    ahead.seq = peer.seq + 5;
    world.inject(&[ahead]);
    let duplicate = world.one();
    duplicate.flags(ACK).ack(peer.seq);
    assert!(duplicate.segment.options.sack.is_empty());
    world.inject(&[peer.seg(ACK).text(b"hello")]);
    world.one().flags(ACK).ack(peer.seq + 10);
    assert_eq!(world.told(), [Told::Data(b"hello".to_vec()), Told::Data(b"world".to_vec())]);
}

#[test]
fn a_fin_behind_a_hole_waits_for_it() {
    //= COM-22
    let (mut world, peer) = with_sack();
    let mut fin = piece(&peer, 1_500, 500);
    fin.flags = ACK | FIN;
    world.inject(&[fin]);
    assert_eq!(answer(&mut world), (1_000, vec![(1_500, 2_000)]));
    assert_eq!((world.state(PEER_PORT), world.told()), (State::Established, vec![]));
    world.inject(&[piece(&peer, 1_000, 500)]);
    assert_eq!(answer(&mut world), (2_001, vec![]));
    assert_eq!(world.state(PEER_PORT), State::CloseWait);
    assert_eq!(world.told().last(), Some(&Told::PeerClose));
}

#[test]
fn the_first_copy_of_an_octet_wins() {
    //= ATK-32
    //= X-5
    let (mut world, peer) = with_sack();
    let at = |seq, text: &[u8]| {
        let mut segment = peer.seg(ACK).text(text);
        segment.seq = Seq(seq);
        segment
    };
    world.inject(&[at(1_003, b"def"), at(1_001, b"XXXXXXXX"), at(1_000, b"a")]);
    let data: Vec<u8> = world
        .told()
        .iter()
        .flat_map(|t| match t {
            Told::Data(d) => d.clone(),
            _ => vec![],
        })
        .collect();
    assert_eq!(data, b"aXXdefXXX");
}

#[test]
fn holding_is_bounded_and_leaves_nothing() {
    //= ATK-13
    //= LIM-6
    let (mut world, peer) = with_sack();
    for n in 0..500 {
        world.inject(&[piece(&peer, 1_001 + 2 * n, 1)]);
    }
    assert!(world.worker.shard().buffers_in_use() <= 32);
    assert!(world.dropped(DropReason::OutOfOrder) >= 400);
    let mut reset = peer.seg(Flags::RST);
    reset.seq = Seq(1_000);
    world.inject(&[reset]);
    world.assert_quiet();
}
