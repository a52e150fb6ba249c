//! The congestion window besides losses: idle times, marks.

use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::wire::tcp::Flags;

use super::lab::{Lab, Offer, SACK};
use crate::reach::Setup;
use dpdk_tcp::tcp::congestion::Algorithm;

#[test]
fn after_an_idle_time_longer_than_the_timeout_the_window_is_the_initial_one() {
    //= CC-13
    let mut setup = Setup::default();
    setup.cfg.congestion = Algorithm::Reno;
    setup.limits.buffers = 64 << 20;
    setup.limits.send_buffer = 1 << 20;
    let mut lab = Lab::with(setup, SACK);
    let mut left = lab.send(40).len() as u32;
    for upto in 1..=40 {
        left += lab.ack(upto, &[]).len() as u32;
    }
    assert_eq!(left, 40);
    lab.world.pass_ms(100);
    let window = lab.send(40).len() + lab.watch(150).len();
    assert!(window > 20, "it has grown: {window}");
    (41..=80).for_each(|upto| drop(lab.ack(upto, &[])));
    lab.world.pass_ms(5_000);
    assert_eq!(lab.send(40).len(), 10);
}

/// A flight of ten segments loses its first, which is repaired: how many are in flight then.
fn flight_after_a_loss(algorithm: Algorithm) -> u32 {
    let mut setup = Setup::default();
    setup.cfg.congestion = algorithm;
    let mut lab = Lab::with(setup, SACK);
    let mut left = lab.send(60).len() as u32;
    assert_eq!(left, 10);
    lab.world.pass_ms(100);
    let mut new = |lab: &mut Lab, upto, blocks: &[(u32, u32)]| {
        left += lab.ack(upto, blocks).iter().filter(|n| **n >= 10).count() as u32;
        left
    };
    // Its acknowledgment covers all that was sent when the loss was found, and ends recovery.
    let point = (2..=10).map(|right| new(&mut lab, 0, &[(1, right)])).max().unwrap();
    assert_eq!(lab.count(Counter::FastRecoveries), 1);
    new(&mut lab, point, &[]) - point
}

#[test]
fn recovery_ends_with_the_window_that_the_algorithm_left() {
    //= CUBIC-7
    //= CC-5
    //= PRR-2
    assert_eq!(flight_after_a_loss(Algorithm::Cubic), 7);
    assert_eq!(flight_after_a_loss(Algorithm::Reno), 5);
}

#[test]
fn a_mark_with_a_window_of_one_segment_waits_for_the_timer() {
    //= ECN-8
    //= ECN-10
    let mut lab = Lab::new(Offer { sack: true, timestamps: false, ecn: true });
    lab.send(40);
    // A timeout leaves a window of one segment.
    lab.watch(1_400);
    assert!(lab.count(Counter::RtoExpired) >= 1);
    let mut seg = lab.ack_of(10, &[], None);
    seg.flags = seg.flags | Flags::ECE;
    // Everything in flight is acknowledged, with a mark.
    lab.world.inject(&[seg]);
    let at_once = lab.sent();
    assert!(at_once.len() <= 2, "{at_once:?}");
}

#[test]
fn a_large_window_without_acknowledgments_to_clock_it_is_spread_over_a_round_trip() {
    //= PACE-1
    let mut setup = Setup::default();
    setup.cfg.congestion = Algorithm::Reno;
    setup.limits.buffers = 64 << 20;
    setup.limits.send_buffer = 1 << 20;
    let mut lab = Lab::with(setup, SACK);
    lab.send(40);
    lab.world.pass_ms(100);
    (1..=40).for_each(|upto| drop(lab.ack(upto, &[])));
    // Idle, but not for so long that the window falls.
    lab.world.pass_ms(200);
    let at_once = lab.send(30).len();
    assert!((10..=15).contains(&at_once), "the initial window: {at_once}");
    let rest = lab.watch(120);
    assert_eq!(at_once + rest.len(), 30);
    let largest = (0..120).map(|ms| rest.iter().filter(|(at, _)| *at == ms).count()).max();
    assert!(largest <= Some(2), "{rest:?}");
    assert!(rest.last().unwrap().0 > 30, "{rest:?}");
}
