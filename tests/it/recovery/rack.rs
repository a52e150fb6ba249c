//! RACK with SACK (RFC 8985 6), PRR (RFC 6937).

use dpdk_tcp::stats::counters::Counter;

use super::lab::{Lab, MSS, SACK};
use crate::reach::Setup;
use dpdk_tcp::tcp::congestion::Algorithm;

#[test]
fn the_third_block_above_a_hole_sends_what_is_missing_at_once() {
    //= RACK-6
    //= RACK-8
    //= SR-5
    //= LT-1
    let mut lab = Lab::new(SACK);
    assert_eq!(lab.send(20), (0..10).collect::<Vec<_>>(), "the initial window");
    lab.world.pass_ms(100);
    assert_eq!(lab.ack(0, &[(1, 2)]), [10], "limited transmit");
    assert_eq!(lab.ack(0, &[(1, 3)]), [11], "limited transmit");
    assert_eq!(lab.ack(0, &[(1, 4)]), [0]);
    assert_eq!(lab.count(Counter::FastRecoveries), 1);
    assert_eq!(lab.count(Counter::LimitedTransmits), 2);
    assert_eq!(lab.count(Counter::RtoExpired), 0);
}

#[test]
fn recovery_sends_one_for_two_delivered_and_ends_at_half_the_window() {
    //= PRR-2
    //= SR-6
    //= CC-5
    let mut lab = Lab::new(SACK);
    lab.send(60);
    lab.world.pass_ms(100);
    let mut left = 0;
    for right in 2..=10 {
        left += lab.ack(0, &[(1, right)]).len();
    }
    // Ten were in flight, nine more were reported: two by limited transmit, the first again, and half of what
    // is delivered in recovery.
    assert!((5..=7).contains(&left), "{left} segments");
    lab.world.pass_ms(100);
    lab.ack(10, &[]);
    lab.world.pass_ms(50);
    // Everything else arrives, and the window is half of what was in flight.
    let rest = lab.sent();
    assert!(rest.is_empty());
    let mut flight = 0;
    for upto in 11..=12 {
        flight += lab.ack(upto, &[]).len();
    }
    assert!(flight <= 4, "{flight}");
    assert_eq!(lab.count(Counter::FastRecoveries), 1);
}

#[test]
fn two_holes_are_filled_in_one_recovery() {
    //= SR-4
    //= SR-6
    //= SACK-6
    let mut lab = Lab::new(SACK);
    lab.send(10);
    lab.world.pass_ms(100);
    let mut again = Vec::new();
    for blocks in [&[(1, 2)][..], &[(1, 3)], &[(4, 5), (1, 3)], &[(4, 6), (1, 3)], &[(4, 10), (1, 3)]] {
        again.extend(lab.ack(0, blocks));
    }
    assert_eq!(again, [0, 3]);
    assert!(lab.ack(3, &[(4, 10)]).is_empty(), "what was reported does not go again");
    lab.ack(10, &[]);
    assert!(lab.watch(5_000).is_empty());
    assert_eq!(lab.count(Counter::FastRecoveries), 1);
    assert_eq!(lab.count(Counter::Retransmissions), 2);
}

#[test]
fn a_segment_that_is_only_late_gets_a_quarter_of_a_round_trip() {
    //= RACK-5
    //= RACK-8
    // VEC-RACK-2.
    let mut lab = Lab::new(SACK);
    lab.send(10);
    lab.world.pass_ms(100);
    // Segment 1 arrives after 2: the network reorders.
    assert!(lab.ack(1, &[(2, 3)]).is_empty());
    assert!(lab.ack(3, &[]).is_empty());
    assert!(lab.ack(3, &[(4, 8)]).is_empty(), "four blocks above the hole, and still time");
    let seen = lab.watch(40);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].1, 3);
    assert!((24..=27).contains(&seen[0].0), "after {} ms", seen[0].0);
    assert_eq!(lab.count(Counter::RackTimers), 1);
}

#[test]
fn a_retransmission_that_is_lost_is_found_by_what_was_sent_after_it() {
    //= RACK-8
    //= RACK-10
    //= CC-12
    let mut lab = Lab::new(SACK);
    lab.send(40);
    lab.world.pass_ms(100);
    for right in 2..=10 {
        lab.ack(0, &[(1, right)]);
    }
    assert_eq!(lab.count(Counter::Retransmissions), 1);
    // New segments that were sent after the first retransmission arrive, a round trip later.
    lab.world.pass_ms(130);
    let mut again = lab.ack(0, &[(1, 13)]);
    again.extend(lab.ack(0, &[(1, 14)]));
    assert!(again.contains(&0), "{again:?}");
    assert_eq!(lab.count(Counter::RtoExpired), 0);
    assert_eq!(lab.count(Counter::Retransmissions), 2);
}

#[test]
fn blocks_that_cannot_be_true_are_ignored() {
    //= SACK-10
    //= ATK-10
    let mut lab = Lab::new(SACK);
    lab.send(10);
    lab.world.pass_ms(100);
    for blocks in [&[(5, 11)][..], &[(6, 5)], &[(5, 5)], &[(12, 14)], &[(u32::MAX / MSS - 5, 9)]] {
        assert!(lab.ack(0, blocks).is_empty(), "{blocks:?}");
    }
    assert_eq!(lab.count(Counter::FastRecoveries), 0);
    // The others in the same option count.
    assert_eq!(lab.ack(0, &[(8, 14), (3, 6)]), [0]);
    assert_eq!(lab.count(Counter::FastRecoveries), 1, "three segments above the hole");
}

#[test]
fn a_peer_that_throws_away_what_it_reported_gets_it_again() {
    //= SACK-8
    //= SACK-9
    let mut lab = Lab::new(SACK);
    lab.send(10);
    lab.world.pass_ms(100);
    lab.ack(0, &[(1, 2)]);
    // It acknowledges up to what it had reported, and no further.
    let again = lab.ack(1, &[]);
    assert_eq!(again, [1]);
    assert_eq!(lab.count(Counter::Reneged), 1);
    let mut upto = 2;
    while upto < 10 {
        lab.world.pass_ms(100);
        lab.ack(upto, &[]);
        upto += 1;
    }
    lab.ack(10, &[]);
    assert!(lab.watch(5_000).is_empty());
}

#[test]
fn after_a_timeout_what_was_reported_is_not_sent_again() {
    //= SACK-8
    //= RACK-9
    let mut lab = Lab::new(SACK);
    lab.send(3);
    lab.world.pass_ms(100);
    lab.ack(0, &[(1, 2)]);
    let seen: Vec<u32> = lab.watch(1_100).iter().map(|(_, n)| *n).collect();
    // The only block is no proof of loss for the first before the timer, which sends the first.
    assert!(seen.contains(&0), "{seen:?}");
    lab.world.pass_ms(10);
    let more = lab.ack(2, &[]);
    assert!(!more.contains(&1), "{more:?}");
}

#[test]
fn what_was_sent_above_holes_that_closed_is_no_limited_transmit_of_a_later_loss() {
    //= CC-5
    let mut setup = Setup::default();
    setup.cfg.congestion = Algorithm::Reno;
    setup.limits.buffers = 64 << 20;
    setup.limits.send_buffer = 1 << 20;
    let mut lab = Lab::with(setup, SACK);
    let (mut una, mut last) = (0, lab.send(100).len() as u32);
    // Each second segment is reported before the one below it: nothing is lost.
    for _ in 0..2 {
        lab.world.pass_ms(100);
        let end = last;
        for hole in (una..end - 1).step_by(2) {
            last += lab.ack(hole, &[(hole + 1, hole + 2)]).len() as u32;
        }
        una = end;
        last += lab.ack(una, &[]).len() as u32;
    }
    lab.world.pass_ms(100);
    assert_eq!(lab.count(Counter::FastRecoveries), 0);
    // Now the first is.
    last += lab.ack(una, &[(una + 1, una + 5)]).len() as u32;
    let again = lab.watch(60);
    assert_eq!(again.first().map(|(_, n)| *n), Some(una), "{again:?}");
    assert_eq!(lab.count(Counter::FastRecoveries), 1);
    lab.ack(last, &[]);
    let mut window = 0;
    lab.world.call(|conn| window = conn.status().map_or(0, |status| status.congestion_window));
    assert!(window > 8 * MSS, "half of {} segments, not {window}", last - una);
}

#[test]
fn what_a_timer_finds_lost_goes_again_as_acknowledgments_allow() {
    //= PRR-3
    //= PRR-4
    let mut lab = Lab::new(SACK);
    assert_eq!(lab.send(10).len(), 10);
    lab.world.pass_ms(100);
    assert!(lab.ack(0, &[(9, 10)]).is_empty());
    let again = lab.watch(60);
    assert_eq!(lab.count(Counter::RackTimers), 1);
    assert_eq!(again.len(), 1, "{again:?}");
}
