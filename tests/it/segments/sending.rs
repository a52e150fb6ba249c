//! What is sent when: Nagle, silly windows, PSH, segment sizes, the peer's window.

use dpdk_tcp::tcp::state::State;
use dpdk_tcp::wire::tcp::Flags;
use dpdk_tcp::wire::tcp_options::{Options, Timestamps};

use crate::reach::{PEER_PORT, Peer, Seg, World};
use crate::states::{Start, plain, reach};

const ACK: Flags = Flags::ACK;
const PSH_ACK: Flags = Flags(Flags::ACK.0 | Flags::PSH.0);

/// A connection whose peer offers `wnd`, and has never offered more than `max`.
fn offered(max: u16, wnd: u16) -> (World, Peer) {
    let mut world = World::new();
    let mut syn = crate::reach::seg(Flags::SYN, dpdk_tcp::wire::seq::Seq(0xffff_fc18), Default::default());
    (syn.options, syn.wnd) = (plain(), max);
    world.inject(&[syn.clone()]);
    let peer = Peer { port: PEER_PORT, seq: syn.seq + 1, ack: world.one().segment.seq + 1 };
    world.inject(&[peer.seg(ACK).wnd(wnd)]);
    world.silent();
    world.told();
    (world, peer)
}

fn write(world: &mut World, octets: usize) -> Vec<usize> {
    world.call(|conn| assert_eq!(conn.send(&vec![7; octets]), octets));
    world.sent().iter().map(|sent| sent.text.len()).collect()
}

fn acked(peer: &Peer, octets: u32, wnd: u16) -> Seg {
    Seg { ack: peer.ack + octets, ..peer.seg(ACK).wnd(wnd) }
}

#[test]
fn one_short_segment_is_in_flight_at_a_time() {
    //= SHLD-7
    //= NAG-1
    //= NAG-2
    //= VEC-NAG-1
    let (mut world, peer) = offered(0xffff, 0xffff);
    assert_eq!(write(&mut world, 100), [100]);
    assert_eq!(write(&mut world, 100), [0; 0]);
    assert_eq!(write(&mut world, 100), [0; 0]);
    world.inject(&[acked(&peer, 100, 0xffff)]);
    world.one().flags(PSH_ACK).seq(peer.ack + 100).text(&[7; 200]);
}

#[test]
fn a_short_end_follows_full_segments_by_minshall_and_holds_the_next_short_one() {
    //= NAG-2
    //= SHLD-28
    //= MUST-61
    //= VEC-NAG-2..3
    let (mut world, peer) = offered(0xffff, 0xffff);
    assert_eq!(write(&mut world, 3_000), [1_460, 1_460, 80]);
    assert_eq!(write(&mut world, 50), [0; 0]);
    world.inject(&[acked(&peer, 2_920, 0xffff)]);
    world.silent();
    world.inject(&[acked(&peer, 3_000, 0xffff)]);
    assert_eq!(world.one().text.len(), 50);
}

#[test]
fn without_nagle_short_segments_leave_at_once() {
    //= MUST-17
    //= NAG-3
    let (mut world, _) = offered(0xffff, 0xffff);
    assert_eq!(write(&mut world, 10), [10]);
    assert_eq!(write(&mut world, 20), [0; 0]);
    world.call(|conn| conn.set_nodelay(true));
    assert_eq!(world.one().text.len(), 20);
    assert_eq!(write(&mut world, 30), [30]);
    world.call(|conn| conn.set_nodelay(false));
    assert_eq!(write(&mut world, 40), [0; 0]);
}

#[test]
fn a_fin_is_never_held_nor_what_leaves_with_it() {
    //= NAG-4
    //= X-7
    //= CLW-6
    let (mut world, peer) = offered(0xffff, 0xffff);
    assert_eq!(write(&mut world, 10), [10]);
    assert_eq!(write(&mut world, 20), [0; 0]);
    world.call(|conn| conn.shutdown());
    world.one().flags(PSH_ACK | Flags::FIN).seq(peer.ack + 10).text(&[7; 20]);
}

#[test]
fn the_push_bit_stands_where_the_queue_ends() {
    //= MUST-61
    //= SHLD-27
    //= MUST-60
    let (mut world, _) = offered(0xffff, 0xffff);
    world.call(|conn| {
        assert_eq!(conn.send(&[1; 1_000]), 1_000);
        assert_eq!(conn.send(&[2; 1_000]), 1_000);
        assert_eq!(conn.send(&[3; 1_000]), 1_000);
    });
    let flags: Vec<_> = world.sent().iter().map(|sent| sent.segment.flags).collect();
    assert_eq!(flags, [ACK, ACK, PSH_ACK]);
}

#[test]
fn silly_windows_are_waited_for_and_half_of_the_largest_is_used() {
    //= MUST-38
    //= SWS-1
    //= SWS-2
    //= SWS-3
    //= TMR-10
    //= MUST-60
    //= ATK-29
    //= VEC-SWS-2
    // U=500 of D=5000 is held until the override timer; U=1460 and U=40000 are sent.
    let (mut world, peer) = offered(0xffff, 500);
    assert_eq!(write(&mut world, 5_000), [0; 0]);
    let overridden = world.watch_ms(1_000);
    assert_eq!(overridden[0].1.text.len(), 500);
    assert!((100..=1_000).contains(&overridden[0].0), "after {} ms", overridden[0].0);
    world.inject(&[acked(&peer, 500, 1_460)]);
    assert_eq!(world.one().text.len(), 1_460);
    let (mut world, _) = offered(0xffff, 40_000);
    assert!(write(&mut world, 33_000).iter().all(|octets| *octets == 1_460));
    //= VEC-SWS-3
    // A window never above 800, of which 400 are usable.
    let (mut world, _) = offered(800, 400);
    assert_eq!(write(&mut world, 1_000), [400]);
    // Even without Nagle a silly window is not used.
    let (mut world, _) = offered(0xffff, 500);
    world.call(|conn| conn.set_nodelay(true));
    assert_eq!(write(&mut world, 5_000), [0; 0]);
}

#[test]
fn a_window_that_shrinks_stops_new_data_but_not_the_connection() {
    //= SHLD-15
    //= SHLD-16
    //= SHLD-17
    //= MUST-34
    //= ATK-29
    let (mut world, peer) = offered(0xffff, 5_840);
    assert_eq!(write(&mut world, 8_000), [1_460; 4]);
    world.inject(&[acked(&peer, 1_460, 1_000)]);
    world.silent();
    // The oldest goes again within what is left; nothing new does.
    let again = world.watch_ms(1_500);
    assert_eq!(again.len(), 1);
    again[0].1.seq(peer.ack + 1_460);
    assert_eq!(again[0].1.text.len(), 1_000);
    world.inject(&[acked(&peer, 5_840, 60_000)]);
    assert_eq!(world.sent().iter().map(|sent| sent.text.len()).sum::<usize>(), 2_160);
    assert_eq!(world.state(PEER_PORT), State::Established);
}

#[test]
fn a_window_that_flaps_between_zero_and_one_draws_no_stream_of_tinygrams() {
    //= ATK-29
    //= ZWP-1
    //= SWS-1
    let (mut world, peer) = offered(10_000, 10_000);
    assert_eq!(write(&mut world, 1_460), [1_460]);
    let mut sent = 0;
    world.call(|conn| assert_eq!(conn.send(&[1; 10_000]), 10_000));
    world.sent();
    for n in 0..200u32 {
        world.inject(&[acked(&peer, 1_460, (n % 2) as u16)]);
        world.pass_ms(1);
        sent += world.sent().len();
    }
    assert!(sent <= 3, "{sent} segments in 200 ms");
}

#[test]
fn segments_are_as_long_as_both_sides_and_the_options_allow() {
    //= MUST-14
    //= MUST-15
    //= MUST-16
    //= MUST-65
    //= SHLD-5
    //= MSS-4
    //= MSS-5
    //= OPT-9
    //= ATK-10
    let stamps = Some(Timestamps { val: 1, ecr: 0 });
    for (mss, timestamps, expected) in [
        (Some(1_460), None, 1_460),
        (Some(1_460), stamps, 1_448),
        (Some(9_000), None, 1_460),
        (Some(536), stamps, 524),
        (Some(1), None, 48),
        (None, None, 536),
        (Some(0), None, 536),
    ] {
        let mut world = World::new();
        let options = Options { mss, timestamps, ..Options::default() };
        let (_, syn_ack) = world.establish_with(options, 0xffff);
        assert_eq!(syn_ack.segment.options.mss, Some(1_460));
        world.call(|conn| assert!(conn.send(&[1; 3_000]) > 0));
        let sent = world.sent();
        assert_eq!(sent[0].text.len(), expected, "{mss:?}");
        assert!(sent.iter().all(|sent| sent.text.len() <= expected && sent.segment.options.mss.is_none()));
    }
}

#[test]
fn acknowledgments_open_the_congestion_window_by_octets() {
    //= CC-1
    //= CC-2
    //= CC-14
    //= IW-1
    //= ATK-9
    let mut reached = reach(Start::BelowWrap, State::Established);
    let (world, peer) = (&mut reached.world, &reached.peer);
    let flight = write(world, 100_000);
    assert_eq!(flight, [1_460; 10]);
    for part in 1..=146 {
        world.inject(&[acked(peer, part * 10, 0xffff)]);
    }
    let more: usize = world.sent().iter().map(|sent| sent.text.len()).sum();
    assert_eq!(more, 2_920, "one segment acknowledged, one grown");
}

#[test]
fn windows_grow_by_what_was_in_flight_however_acknowledgments_are_cut_into_bursts() {
    //= CWV-1
    //= CC-2
    let mss = 1_460;
    for burst in [1, 2, 64] {
        let (mut world, peer) = offered(0xffff, 0xffff);
        let mut flight = write(&mut world, 120_000).len() as u32;
        let mut done = 0;
        for expected in [20, 40] {
            let acks: Vec<Seg> = (1..=flight).map(|n| acked(&peer, (done + n) * mss, 0xffff)).collect();
            acks.chunks(burst).for_each(|acks| world.inject(acks));
            done += flight;
            flight = world.sent().len() as u32;
            assert_eq!(flight, expected, "bursts of {burst}");
        }
    }
}

#[test]
fn requests_of_a_segment_leave_the_window_as_it_is() {
    //= CWV-1
    let (mut world, peer) = offered(0xffff, 0xffff);
    for n in 1..=50 {
        assert_eq!(write(&mut world, 1_460), [1_460]);
        world.inject(&[acked(&peer, n * 1_460, 0xffff)]);
    }
    assert_eq!(write(&mut world, 80_000).len(), 10);
}
