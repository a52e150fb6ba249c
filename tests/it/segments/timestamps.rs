//! Timestamps and PAWS (RFC 7323), as a passive opener meets them.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::tcp::config::Config;
use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::seq::Seq;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::{Options, Timestamps};

use crate::reach::{PEER_PORT, Peer, Seg, Setup, Told, World, seg};
use crate::states::plain;

const ACK: Flags = Flags::ACK;

fn offering(val: u32) -> Options {
    Options { timestamps: Some(Timestamps { val, ecr: 0 }), ..plain() }
}

/// A connection with timestamps, TS.Recent as the SYN said.
fn stamped(val: u32) -> (World, Peer) {
    let mut world = World::new();
    let (peer, syn_ack) = world.establish_with(offering(val), 0xffff);
    assert_eq!(syn_ack.segment.options.timestamps.map(|ts| ts.ecr), Some(val));
    (world, peer)
}

fn echo(world: &mut World) -> u32 {
    world.one().segment.options.timestamps.expect("timestamps").ecr
}

#[test]
fn timestamps_are_used_when_both_want_them() {
    //= TS-1
    //= TS-3
    //= TS-5
    let (mut world, peer) = stamped(100);
    world.call(|conn| assert_eq!(conn.send(b"x"), 1));
    assert_eq!(echo(&mut world), 100);
    world.call(|conn| conn.abort());
    let reset = world.one();
    reset.flags(Flags::RST).seq(peer.ack + 1);
    assert!(reset.segment.options.timestamps.is_some());

    let mut world = World::new();
    let (peer, syn_ack) = world.establish_with(plain(), 0xffff);
    assert_eq!(syn_ack.segment.options.timestamps, None);
    world.inject(&[peer.seg(ACK).text(b"a").ts(5, 6)]);
    assert_eq!(
        (world.one().segment.options.timestamps, world.told()),
        (None, vec![Told::Data(b"a".to_vec())])
    );

    let cfg = Config { timestamps: false, ..Config::default() };
    let mut world = World::with(Setup { cfg, ..Setup::default() });
    let (_, syn_ack) = world.half_open(PEER_PORT, Seq(7), offering(9));
    assert_eq!(syn_ack.segment.options.timestamps, None);
}

#[test]
fn a_segment_that_lost_its_timestamp_is_dropped_silently() {
    //= COM-1
    //= TS-6
    let (mut world, peer) = stamped(100);
    world.inject(&[peer.seg(ACK).text(b"bare")]);
    world.silent();
    assert_eq!((world.dropped(DropReason::TimestampMissing), world.told()), (1, vec![]));
    // A restarted peer must be challenged, with or without timestamps; and its reset needs none.
    world.inject(&[seg(Flags::SYN, peer.seq + 4_000, Seq(0))]);
    world.one().flags(ACK).seq(peer.ack).ack(peer.seq);
    world.inject(&[peer.seg(Flags::RST)]);
    assert_eq!(world.state(PEER_PORT), State::Closed);
}

#[test]
fn older_timestamps_are_refused_by_the_vectors() {
    //= PAWS-1
    //= PAWS-2
    //= COM-2
    //= ATK-45
    //= VEC-PAWS-1..7
    for (recent, val, accepted) in [
        (0x64, 0x64, true),
        (0x64, 0x65, true),
        (0x64, 0x63, false),
        (0xffff_fff0, 5, true),
        (5, 0xffff_fff0, false),
        (0, 0x7fff_ffff, true),
        (0, 0x8000_0001, false),
    ] {
        let (mut world, peer) = stamped(recent);
        world.inject(&[peer.seg(ACK).text(b"text").ts(val, 0)]);
        let answer = world.one();
        answer.flags(ACK).seq(peer.ack).ack(peer.seq + if accepted { 4 } else { 0 });
        let expected = if accepted { val } else { recent };
        assert_eq!(answer.segment.options.timestamps.map(|ts| ts.ecr), Some(expected), "{recent:x} {val:x}");
        assert_eq!(world.dropped(DropReason::Paws), u64::from(!accepted));
        assert_eq!(world.told().len(), usize::from(accepted));
    }
}

#[test]
fn paws_comes_before_the_window_test_and_spares_resets() {
    //= PAWS-1
    //= TS-12
    //= DBT-15
    let (mut world, peer) = stamped(100);
    let old = Seg { seq: peer.seq + 100_000, ..peer.seg(ACK | Flags::FIN).text(b"x").ts(99, 0) };
    world.inject(&[old]);
    world.one().flags(ACK);
    assert_eq!((world.dropped(DropReason::Paws), world.dropped(DropReason::OutsideWindow)), (1, 0));
    // A SYN with an old timestamp is answered too.
    world.pass_ms(600);
    world.inject(&[seg(Flags::SYN, peer.seq, Seq(0)).ts(1, 0)]);
    world.one().flags(ACK).ack(peer.seq);
    world.inject(&[peer.seg(Flags::RST).ts(1, 0)]);
    assert_eq!(world.state(PEER_PORT), State::Closed);
}

#[test]
fn only_what_begins_at_the_last_acknowledgment_moves_ts_recent() {
    //= COM-12
    //= TS-7
    //= ATK-28
    //= VEC-PAWS-10
    // Stored at the left edge, kept at a hole.
    let (mut world, peer) = stamped(10);
    let hole = Seg { seq: peer.seq + 1, ..peer.seg(ACK).text(b"x").ts(20, 0) };
    world.inject(&[hole]);
    assert_eq!(echo(&mut world), 10);
    world.inject(&[peer.seg(ACK).text(b"x").ts(20, 0)]);
    assert_eq!(echo(&mut world), 20);
    // Outside the window, with an impossible acknowledgment, on a challenged SYN: nothing is learned.
    let poison = 0x7000_0000;
    let outside = Seg { seq: peer.seq + 100_000, ..peer.seg(ACK).text(b"x").ts(poison, 0) };
    let unsent = Seg { ack: peer.ack + 50, ..peer.seg(ACK).text(b"x").ts(poison, 0) };
    let syn = peer.seg(Flags::SYN).ts(poison, 0);
    let near = Seg { seq: peer.seq + 9, ..peer.seg(Flags::RST).ts(poison, 0) };
    for forged in [outside, unsent, syn, near] {
        world.inject(&[forged]);
        assert_eq!(echo(&mut world), 20);
    }
    // A segment that is partly old began before what was acknowledged.
    world.inject(&[peer.seg(ACK).text(b"xyz").ts(30, 0)]);
    assert_eq!(echo(&mut world), 30);
}

#[test]
fn a_delayed_acknowledgment_echoes_the_oldest() {
    //= TS-7
    //= VEC-PAWS-11
    // One ACK for A(1), B(2), C(3).
    let mut world = World::with(Setup::in_bursts());
    let (peer, _) = world.establish_with(offering(0), 0xffff);
    let text = |n: u32| Seg { seq: peer.seq + n, ..peer.seg(ACK).text(b"x").ts(n + 1, 0) };
    world.inject(&[text(0), text(1), text(2)]);
    let ack = world.one();
    ack.ack(peer.seq + 3);
    assert_eq!(ack.segment.options.timestamps.map(|ts| ts.ecr), Some(1));
}

#[test]
fn a_hole_echoes_the_last_in_order_and_what_fills_it_itself() {
    //= TS-7
    //= VEC-PAWS-12
    // A(1), a hole at B, C(3) held, B(2) fills; then E(5) held and D(4) fills.
    let (mut world, peer) = stamped(0);
    let text = |n: u32, val| Seg { seq: peer.seq + n, ..peer.seg(ACK).text(b"x").ts(val, 0) };
    for (segment, ack, expected) in
        [(text(0, 1), 1, 1), (text(2, 3), 1, 1), (text(1, 2), 3, 2), (text(4, 5), 3, 2), (text(3, 4), 5, 4)]
    {
        world.inject(&[segment]);
        let sent = world.one();
        sent.ack(peer.seq + ack);
        assert_eq!(sent.segment.options.timestamps.map(|ts| ts.ecr), Some(expected));
    }
}

#[test]
fn after_24_days_of_silence_a_timestamp_proves_nothing() {
    //= PAWS-3
    //= PAWS-6
    //= VEC-PAWS-9
    // At 24 days and beyond 24.86 days: there the clock of 1 ms itself changes its sign.
    for (days, hours, accepted) in
        [(23, 0, false), (24, 1, true), (25, 0, true), (30, 0, true), (52, 0, true)]
    {
        let (mut world, peer) = stamped(1_000);
        world.idle_hours(days * 24 + hours);
        world.inject(&[peer.seg(ACK).text(b"text").ts(999, 0)]);
        let answer = world.one();
        answer.ack(peer.seq + if accepted { 4 } else { 0 });
        let ecr = answer.segment.options.timestamps.map(|ts| ts.ecr);
        assert_eq!(ecr, Some(if accepted { 999 } else { 1_000 }), "{days} days");
    }
}

#[test]
fn our_clock_runs_in_milliseconds_from_a_secret_offset() {
    //= TS-4
    //= TS-9
    //= TS-10
    let (mut world, peer) = stamped(5);
    let mut values = Vec::new();
    for _ in 0..3 {
        world.inject(&[peer.seg(ACK).text(b"").wnd(9).ts(5, 0)]);
        world.inject(&[Seg { seq: peer.seq - 1, ..peer.seg(ACK).text(b"x").ts(5, 0) }]);
        values.push(world.one().segment.options.timestamps.unwrap().val);
        world.pass_ms(250);
    }
    assert_eq!((values[1].wrapping_sub(values[0]), values[2].wrapping_sub(values[1])), (250, 250));
    let uptime_ms = (world.clock.now().0 / 1_000) as u32;
    assert!(values[2].abs_diff(uptime_ms) > 100_000, "not the uptime");
}
