//! Attacks and confusion (requirements, section 4) that a passive opener meets.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;

use crate::reach::{PEER_PORT, Peer, Seg, Setup, Told, World, seg};
use crate::states::{Start, plain, reach};

const ACK: Flags = Flags::ACK;

/// The connection still carries a byte each way.
#[track_caller]
fn lives(world: &mut World, peer: &Peer) {
    world.sent();
    world.told();
    world.inject(&[peer.seg(ACK).text(b"?")]);
    assert_eq!(world.told(), [Told::Data(b"?".to_vec())]);
    world.sent();
    world.call(|conn| assert_eq!(conn.send(b"!"), 1));
    world.one().seq(peer.ack).ack(peer.seq + 1).text(b"!");
}

#[test]
fn a_sweep_of_resets_at_steps_of_the_window_ends_nothing() {
    //= ATK-4
    //= BA-1
    //= BA-11
    //= ATK-45
    let mut reached = reach(Start::BelowWrap, State::Established);
    let (world, peer) = (&mut reached.world, reached.peer);
    for step in 0..65_537u32 {
        let seq = Seq(step.wrapping_mul(65_535).wrapping_add(77));
        if seq != peer.seq {
            world.send_frame(&seg(Flags::RST, seq, Seq(0)).frame());
        }
        if step % 32 == 31 {
            world.pass();
        }
    }
    assert!(world.sent().len() <= 10);
    let near = world.dropped(DropReason::RstNotExact);
    assert!((1..=2).contains(&near), "the window was hit {near} times");
    lives(world, &peer);
}

#[test]
fn a_flood_of_syns_draws_a_challenge_for_each_slot_allowed() {
    //= ATK-5
    //= ATK-22
    //= BA-2
    //= BA-9
    //= COM-7
    let mut reached = reach(Start::Plain, State::Established);
    let (world, peer) = (&mut reached.world, reached.peer);
    let mut answers = 0;
    for n in 0..1_000u32 {
        world.inject(&[seg(Flags::SYN, Seq(n.wrapping_mul(0x9e37_79b9)), Seq(0))]);
        let sent = world.sent();
        assert!(sent.iter().all(|sent| (sent.segment.flags, sent.segment.ack) == (ACK, peer.seq)));
        answers += sent.len();
        world.pass_ms(10);
    }
    assert!((20..=30).contains(&answers), "{answers} challenge ACKs in ten seconds");
    lives(world, &peer);
}

#[test]
fn ten_challenges_in_five_seconds_and_no_more() {
    //= BA-9
    //= COM-6
    //= VEC-BA-1
    let mut reached = reach(Start::Plain, State::Established);
    let (world, peer) = (&mut reached.world, reached.peer);
    let near = Seg { seq: peer.seq + 100, ..peer.seg(Flags::RST) };
    let mut answers = 0;
    for _ in 0..25 {
        world.inject(std::slice::from_ref(&near));
        answers += world.sent().len();
        world.pass_ms(40);
    }
    assert_eq!((answers, world.dropped(DropReason::RstNotExact)), (10, 25));
    assert_eq!(world.count(Counter::ChallengeAcks), 10);
    world.pass_ms(5_000);
    world.inject(&[near]);
    world.one().flags(ACK).seq(peer.ack).ack(peer.seq);
}

/// A world in which all connections together may draw 20 challenge ACKs a second, with 60 connections.
fn challenged_together() -> (World, Vec<Peer>) {
    let mut setup = Setup::default();
    setup.limits.challenges_per_second = 20;
    let mut world = World::with(setup);
    let open = |world: &mut World, port| {
        let (peer, _) = world.half_open(port, Seq(9), plain());
        world.inject(&[peer.seg(ACK)]);
        peer
    };
    let peers = (1..=60).map(|port| open(&mut world, port)).collect();
    (world, peers)
}

fn challenge_all(world: &mut World, peers: &[Peer]) -> usize {
    for peer in peers {
        world.inject(&[Seg { seq: peer.seq + 5, ..peer.seg(Flags::RST) }]);
    }
    world.sent().len()
}

#[test]
fn all_connections_together_have_a_limit_whose_level_is_not_to_be_read() {
    //= LIM-11
    //= BA-10
    //= ATK-22
    //= ATK-23
    let (mut world, peers) = challenged_together();
    let first = challenge_all(&mut world, &peers);
    assert!((10..=20).contains(&first), "{first}");
    assert_eq!(world.count(Counter::ChallengeLimited), 60 - first as u64);
    world.pass_ms(1_000);
    assert!(challenge_all(&mut world, &peers) <= 20);
    // After a long quiet nobody is refused.
    for _ in 0..20 {
        world.pass_ms(6_000);
        assert_eq!(challenge_all(&mut world, &peers[..5]), 5);
        world.pass_ms(6_000);
        challenge_all(&mut world, &peers);
    }
}

#[test]
fn blind_text_and_fins_are_not_delivered() {
    //= ATK-6
    //= COM-10
    //= COM-11
    let mut reached = reach(Start::AtWrap, State::Established);
    let (world, peer) = (&mut reached.world, reached.peer);
    for n in 1..2_000u32 {
        let ack = peer.ack + n.wrapping_mul(0x0020_0001);
        let flags = if n % 2 == 0 { ACK } else { ACK | Flags::FIN };
        world.inject(&[Seg { ack, ..peer.seg(flags).text(b"evil") }]);
    }
    assert_eq!((world.told(), world.state(PEER_PORT)), (vec![], State::Established));
    lives(world, &peer);
}

#[test]
fn confused_ends_exchange_at_most_two_acknowledgments_a_second() {
    //= ATK-36
    //= BA-12
    let mut reached = reach(Start::Plain, State::Established);
    let (world, peer) = (&mut reached.world, reached.peer);
    // The peer, whose numbers are shifted, answers each of our acknowledgments at once.
    let shifted = Seg { seq: peer.seq + 1_000_000, ack: peer.ack + 500_000, ..peer.seg(ACK) };
    let inside = Seg { seq: peer.seq, ..shifted.clone() };
    let mut answers = 0;
    for n in 0..10_000 {
        world.inject(std::slice::from_ref(if n % 2 == 0 { &shifted } else { &inside }));
        answers += world.sent().len();
        world.pass_ms(1);
    }
    assert!((18..=21).contains(&answers), "{answers} answers in ten seconds");
    lives(world, &peer);
}

#[test]
fn a_restarted_peer_is_challenged_and_its_reset_ends_the_old_connection() {
    //= BA-3
    //= EST-3
    //= COM-5
    //= VEC-FSM-4
    // With us as B.
    let mut reached = reach(Start::BelowWrap, State::Established);
    let (world, peer) = (&mut reached.world, reached.peer);
    let syn = seg(Flags::SYN, peer.seq + 300, Seq(0)).options(plain());
    world.inject(std::slice::from_ref(&syn));
    let challenge = world.one();
    challenge.flags(ACK).seq(peer.ack).ack(peer.seq);
    world.inject(&[seg(Flags::RST, challenge.segment.ack, Seq(0))]);
    assert_eq!(
        (world.state(PEER_PORT), world.told()),
        (State::Closed, vec![Told::Closed(CloseReason::Reset)])
    );
    world.inject(std::slice::from_ref(&syn));
    world.one().flags(Flags::SYN | ACK).ack(syn.seq + 1);
}

#[test]
fn data_for_a_restarted_peer_ends_in_its_reset() {
    //= COM-5
    //= VEC-FSM-5
    // With us as B.
    let mut reached = reach(Start::AtHalf, State::Established);
    let (world, peer) = (&mut reached.world, reached.peer);
    world.call(|conn| assert_eq!(conn.send(b"hello?"), 6));
    let data = world.one();
    world.inject(&[seg(Flags::RST, data.segment.ack, Seq(0))]);
    assert_eq!((world.state(PEER_PORT), peer.seq), (State::Closed, data.segment.ack));
    reached.world.told();
    reached.world.assert_quiet();
}

#[test]
fn a_true_reset_behind_a_loss_costs_one_round_trip_more() {
    //= BA-4
    //= COM-6
    //= VEC-FSM-10
    let mut reached = reach(Start::Plain, State::Established);
    let (world, peer) = (&mut reached.world, reached.peer);
    world.inject(&[Seg { seq: peer.seq + 100, ..peer.seg(Flags::RST) }]);
    let challenge = world.one();
    challenge.flags(ACK).seq(peer.ack).ack(peer.seq);
    world.inject(&[seg(Flags::RST, challenge.segment.ack, Seq(0))]);
    assert_eq!(world.state(PEER_PORT), State::Closed);
}

#[test]
fn floods_of_strays_open_nothing_and_are_answered_within_the_limit() {
    //= ATK-2
    //= ATK-3
    //= CLD-1
    //= LIS-1
    //= LIS-2
    let mut setup = Setup::default();
    (setup.limits.resets_per_second, setup.limits.reset_burst) = (10, 10);
    let mut world = World::with(setup);
    for n in 0..3_000u32 {
        let flags = [ACK, ACK | Flags::FIN, ACK | Flags::SYN, Flags::RST, Flags::FIN][n as usize % 5];
        let numbers = (Seq(n.wrapping_mul(0x1234_5671)), Seq(n.wrapping_mul(0x0765_4321)));
        let port = 1_024 + n as u16;
        world.send_frame(&seg(flags, numbers.0, numbers.1).from_port(port).frame());
        if n % 32 == 31 {
            world.run();
        }
    }
    world.run();
    assert_eq!(world.sent().len(), 10);
    assert_eq!(world.told(), []);
    world.assert_quiet();
}

#[test]
fn one_forged_syn_draws_at_most_six_packets() {
    //= ATK-16
    //= SYNQ-8
    let mut world = World::new();
    let syn = seg(Flags::SYN, Seq(1), Seq(0)).options(plain());
    let in_bytes = syn.frame().len();
    world.inject(&[syn]);
    let first = world.drain_frames();
    let seen = world.watch_ms(1_000_000);
    assert_eq!((first.len(), seen.len()), (1, 5));
    assert!(first[0].len() <= in_bytes.max(60), "no longer than the SYN with its options");
    world.assert_quiet();
}

#[test]
fn initial_numbers_grow_by_the_clock_and_differ_by_the_endpoints() {
    //= MUST-8
    //= SHLD-1
    //= ATK-7
    let mut world = World::new();
    let iss = |world: &mut World, port: u16| {
        let (peer, _) = world.half_open(port, Seq(100), plain());
        world.inject(&[peer.seg(Flags::RST)]);
        peer.ack - 1
    };
    let first = iss(&mut world, PEER_PORT);
    world.pass_ms(1_000);
    let second = iss(&mut world, PEER_PORT);
    assert_eq!(second.since(first), 250_000);
    let mut high_bits: Vec<_> = (1..=256).map(|port| iss(&mut world, port).0 >> 24).collect();
    high_bits.sort_unstable();
    high_bits.dedup();
    assert!(high_bits.len() > 120, "{} different high octets of 256", high_bits.len());
}

#[test]
fn held_connections_do_not_keep_new_ones_out() {
    //= ATK-12
    //= MUST-37
    let mut world = World::new();
    for port in 1..=40 {
        let (peer, _) = world.half_open(port, Seq(100), plain());
        world.inject(&[peer.seg(ACK).wnd(0)]);
        world.call(|conn| assert_eq!(conn.send(&[0; 10_000]), 10_000));
    }
    world.sent();
    world.told();
    let peer = world.establish(PEER_PORT);
    lives(&mut world, &peer);
}

#[test]
fn identifications_of_packets_tell_nothing_about_traffic() {
    //= ATK-40
    //= IP4-10
    let mut reached = reach(Start::Plain, State::Established);
    let world = &mut reached.world;
    // Short ones: of those that it cuts a device may choose the numbers.
    world.call(|conn| assert_eq!(conn.send(&[7; 100]), 100));
    for n in 1..4 {
        world.inject(&[seg(Flags::SYN, Seq(1), Seq(0)).from_port(PEER_PORT + n)]);
    }
    let frames = world.drain_frames();
    assert!(frames.len() >= 4, "{}", frames.len());
    assert!(frames.iter().all(|frame| frame[18..20] == [0, 0] && frame[20] & 0x40 != 0), "DF, and no number");
}
