//! TIME-WAIT: reopening by RFC 6191, the full table, and what must not disturb it.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::{Options, Timestamps};

use crate::reach::{PEER_PORT, Peer, Seg, Setup, Told, World, seg};
use crate::states::{Start, plain, reach};

const ACK: Flags = Flags::ACK;
const FIN_ACK: Flags = Flags(Flags::ACK.0 | Flags::FIN.0);
const SYN_ACK: Flags = Flags(Flags::ACK.0 | Flags::SYN.0);

fn stamped(val: u32) -> Options {
    Options { timestamps: Some(Timestamps { val, ecr: 0 }), ..plain() }
}

/// Leads a connection from `port` through both FINs, we first; returns the peer's last numbers.
fn closed_by_us(world: &mut World, port: u16, options: Options) -> Peer {
    let (mut peer, _) = world.half_open(port, Seq(0xffff_fff0), options);
    let stamp = |segment: Seg| Seg {
        options: Options { timestamps: options.timestamps, ..Options::default() },
        ..segment
    };
    world.inject(&[stamp(peer.seg(ACK))]);
    world.call(|conn| conn.shutdown());
    world.one().flags(FIN_ACK);
    peer.ack += 1;
    world.inject(&[stamp(peer.seg(FIN_ACK))]);
    world.one().flags(ACK);
    peer.seq += 1;
    assert_eq!(world.state(port), State::TimeWait);
    world.told();
    peer
}

#[test]
fn a_syn_reopens_by_timestamp_or_by_number() {
    //= TW-3
    //= TW-4
    //= TW-5
    //= TW-6
    //= TW-7
    //= TMW-5
    //= TMW-6
    //= MAY-2
    //= SHLD-4
    //= ISN-6
    //= ATK-18
    // Timestamps of the old and of the new connection, the SYN's number from RCV.NXT, reopened, answered else.
    for (old, new, at, reopens, answered) in [
        (Some(50), Some(51), -5_000i64, true, true),
        (Some(50), Some(50), 0, true, true),
        (Some(50), Some(50), -1, false, false),
        (Some(50), Some(49), 900, false, false),
        (Some(50), None, 0, true, true),
        (Some(50), None, -1, false, true),
        (None, Some(1), -5_000, true, true),
        (None, None, 0, true, true),
        (None, None, -1, false, true),
        (Some(5), Some(0xffff_fff0), 900, false, false),
        (Some(0xffff_fff0), Some(5), -5_000, true, true),
    ] {
        let mut world = World::new();
        let peer = closed_by_us(&mut world, PEER_PORT, old.map_or(plain(), stamped));
        world.pass_ms(10);
        let syn = seg(Flags::SYN, peer.seq + at as u32, Seq(0)).options(new.map_or(plain(), stamped));
        world.inject(std::slice::from_ref(&syn));
        let case = format!("{old:?} {new:?} {at}");
        let sent = world.sent();
        assert_eq!(!sent.is_empty(), answered, "{case}");
        assert_eq!(world.count(Counter::TimeWaitReopened), u64::from(reopens), "{case}");
        if !reopens {
            assert!(
                sent.iter().all(|sent| sent.segment.flags == ACK && sent.segment.seq == peer.ack),
                "{case}"
            );
            assert_eq!(
                (world.state(PEER_PORT), world.dropped(DropReason::TimeWaitSyn)),
                (State::TimeWait, 1)
            );
            continue;
        }
        sent[0].flags(SYN_ACK).ack(syn.seq + 1);
        assert!(sent[0].segment.seq.after(peer.ack), "{case}: the ISS is above the old SND.NXT");
        let mut third = seg(ACK, syn.seq + 1, sent[0].segment.seq + 1);
        third.options.timestamps = syn.options.timestamps;
        world.inject(&[third]);
        assert_eq!((world.state(PEER_PORT), world.told()), (State::Established, vec![Told::Open]), "{case}");
    }
}

#[test]
fn old_segments_of_the_old_connection_stay_out_of_the_new_one() {
    //= ATK-18
    //= TW-8
    let mut world = World::new();
    let old = closed_by_us(&mut world, PEER_PORT, plain());
    world.inject(&[seg(Flags::SYN, old.seq + 70_000, Seq(0)).options(plain())]);
    let syn_ack = world.one();
    let new = Peer { port: PEER_PORT, seq: old.seq + 70_001, ack: syn_ack.segment.seq + 1 };
    // An old acknowledgment does not complete the new handshake, an old reset does not end it.
    world.inject(&[old.seg(ACK).text(b"ghost"), old.seg(Flags::RST)]);
    world.sent();
    assert_eq!(world.state(PEER_PORT), State::SynReceived);
    world.inject(&[new.seg(ACK)]);
    world.inject(&[old.seg(FIN_ACK).text(b"ghost")]);
    assert_eq!((world.state(PEER_PORT), world.told()), (State::Established, vec![Told::Open]));
}

#[test]
fn a_syn_without_room_leaves_the_record_alone() {
    //= TMW-5
    //= LIS-8
    let mut setup = Setup::default();
    setup.limits.backlog = 1;
    let mut world = World::with(setup);
    let old = closed_by_us(&mut world, PEER_PORT, plain());
    world.probe.0.borrow_mut().refuse = true;
    let (waiting, _) = world.half_open(7, Seq(1), plain());
    world.inject(&[waiting.seg(ACK)]);
    world.inject(&[seg(Flags::SYN, old.seq + 100, Seq(0))]);
    world.silent();
    assert_eq!((world.state(PEER_PORT), world.dropped(DropReason::AcceptQueueFull)), (State::TimeWait, 1));
}

#[test]
fn without_a_listener_a_reopening_syn_is_reset() {
    //= TMW-7
    let mut world = World::new();
    let old = closed_by_us(&mut world, PEER_PORT, plain());
    world.control.drain(1_000_000);
    world.pass_ms(3);
    let syn = seg(Flags::SYN, old.seq + 100, Seq(0));
    world.inject(&[Seg { seq: old.seq - 1, ..syn.clone() }]);
    world.one().flags(ACK).seq(old.ack).ack(old.seq);
    world.inject(&[syn]);
    world.one().flags(Flags::RST | ACK).ack(old.seq + 101);
    world.assert_quiet();
}

#[test]
fn a_full_table_lets_the_oldest_go_and_says_how_early() {
    //= TW-2
    //= LIM-7
    let mut setup = Setup::default();
    setup.limits.time_wait_max = 3;
    let mut world = World::with(setup);
    for port in 1..=3 {
        closed_by_us(&mut world, port, plain());
        world.pass_ms(1_000);
    }
    assert_eq!(
        (world.count(Counter::TimeWaitEvicted), world.worker.shard().time_wait_shortened_ms()),
        (0, None)
    );
    closed_by_us(&mut world, 4, plain());
    assert_eq!(world.count(Counter::TimeWaitEvicted), 1);
    assert_eq!(
        (world.state(1), world.state(2), world.state(4)),
        (State::Closed, State::TimeWait, State::TimeWait)
    );
    let shortened = world.worker.shard().time_wait_shortened_ms().unwrap();
    assert!((3_000..=3_010).contains(&shortened), "{shortened} ms instead of a minute");
    world.pass_ms(2);
    assert_eq!(world.control.gauges().time_wait_shortened_ms, Some(shortened));
    // A record that started again is not the oldest any more.
    let fin = seg(FIN_ACK, Seq(0xffff_fff1), Seq(0)).from_port(2);
    world.inject(&[fin]);
    world.one().flags(ACK);
    closed_by_us(&mut world, 5, plain());
    assert_eq!((world.state(2), world.state(3)), (State::TimeWait, State::Closed));
    world.sent();
    world.watch_ms(61_000);
    world.assert_quiet();
}

#[test]
fn a_record_answers_with_its_timestamps() {
    //= TMW-2
    //= TMW-3
    //= TS-3
    //= COM-2
    let mut world = World::new();
    let peer = closed_by_us(&mut world, PEER_PORT, stamped(70));
    let fin = Seg { seq: peer.seq - 1, ..peer.seg(FIN_ACK) };
    world.inject(&[fin.clone().ts(71, 0)]);
    assert_eq!(world.one().segment.options.timestamps.map(|ts| ts.ecr), Some(70));
    world.inject(&[fin.clone().ts(69, 0)]);
    world.one().flags(ACK).seq(peer.ack).ack(peer.seq);
    assert_eq!(world.dropped(DropReason::Paws), 1);
    world.inject(&[fin]);
    world.silent();
    assert_eq!(world.dropped(DropReason::TimestampMissing), 1);
}

#[test]
fn an_old_segment_and_its_reset_do_not_assassinate() {
    //= TMW-1
    //= TMW-2
    //= TW-9
    //= ATK-17
    //= VEC-FSM-8
    let mut reached = reach(Start::BelowWrap, State::TimeWait);
    let old = Seg { seq: reached.peer.seq - 46, ack: reached.peer.ack - 68, ..reached.peer.seg(ACK) };
    reached.world.inject(&[old]);
    let answer = reached.world.one();
    answer.flags(ACK).seq(reached.peer.ack).ack(reached.peer.seq);
    reached.world.inject(&[seg(Flags::RST, answer.segment.ack, Seq(0))]);
    reached.world.silent();
    assert_eq!(reached.world.state(PEER_PORT), State::TimeWait);
    assert!(reached.world.watch_ms(59_000).is_empty());
    assert_eq!(reached.world.state(PEER_PORT), State::TimeWait);
}

#[test]
fn a_connection_that_waits_for_its_reader_obeys_the_same_rules() {
    //= TMW-3
    //= TMW-5
    //= TW-2
    // The application has not taken what arrived before the FIN: the connection is in TIME-WAIT without a record.
    let mut reached = reach(Start::AtWrap, State::FinWait2);
    let (world, peer) = (&mut reached.world, &mut reached.peer);
    world.probe.0.borrow_mut().take = Some(0);
    world.inject(&[peer.seg(FIN_ACK).text(b"unread")]);
    peer.seq += 7;
    world.one().flags(ACK).ack(peer.seq);
    assert_eq!((world.state(PEER_PORT), world.worker.shard().in_time_wait()), (State::TimeWait, 0));
    world.inject(&[Seg { seq: peer.seq - 1, ..peer.seg(FIN_ACK) }]);
    world.one().flags(ACK).seq(peer.ack).ack(peer.seq);
    world.inject(&[peer.seg(Flags::RST)]);
    world.silent();
    world.told();
    world.probe.0.borrow_mut().take = None;
    world.call(|conn| {
        assert_eq!(conn.unread(), 6);
        conn.resume();
    });
    assert_eq!(world.told().first(), Some(&Told::Data(b"unread".to_vec())));
    assert_eq!(world.worker.shard().in_time_wait(), 1);
    world.inject(&[seg(Flags::SYN, peer.seq, Seq(0))]);
    world.one().flags(SYN_ACK);
}
