//! Fast retransmit and recovery without SACK (RFC 5681 3.2, RFC 6582, RFC 3042).

use dpdk_tcp::stats::counters::Counter;

use super::lab::{Lab, Offer};

#[test]
fn two_duplicates_let_new_segments_go_and_the_third_the_lost_one() {
    //= LT-1
    //= CC-8
    //= CC-9
    // VEC-LT-1 with the initial window of ten.
    let mut lab = Lab::new(Offer::default());
    assert_eq!(lab.send(40).len(), 10);
    lab.world.pass_ms(100);
    assert_eq!(lab.ack(0, &[]), [10]);
    assert_eq!(lab.ack(0, &[]), [11]);
    assert_eq!(lab.ack(0, &[]), [0]);
    assert_eq!(lab.count(Counter::FastRecoveries), 1);
    assert_eq!(lab.count(Counter::LimitedTransmits), 2);
}

#[test]
fn further_duplicates_inflate_the_window_and_new_data_deflates_it() {
    //= CC-10
    //= CC-11
    //= NR-3
    let mut lab = Lab::new(Offer::default());
    lab.send(60);
    lab.world.pass_ms(100);
    (0..3).for_each(|_| drop(lab.ack(0, &[])));
    // SSTHRESH is five of ten (limited transmit left out); 12 are in flight. A window of 5 + 3 + n lets new
    // ones go from the fifth further duplicate on.
    let more: Vec<usize> = (0..6).map(|_| lab.ack(0, &[]).len()).collect();
    assert_eq!(more, [0, 0, 0, 0, 1, 1]);
    // The retransmission fills the hole: everything that was in flight at the time is acknowledged.
    let burst = lab.ack(12, &[]);
    assert!(burst.len() <= 3, "{burst:?}");
    assert_eq!(lab.count(Counter::Retransmissions), 1);
    assert!(lab.ack(13, &[]).len() <= 2);
}

#[test]
fn a_partial_acknowledgment_sends_the_next_hole() {
    //= NR-2
    let mut lab = Lab::new(Offer::default());
    lab.send(10);
    lab.world.pass_ms(100);
    (0..2).for_each(|_| assert!(lab.ack(0, &[]).is_empty()));
    assert_eq!(lab.ack(0, &[]), [0]);
    assert!(lab.ack(0, &[]).is_empty());
    assert_eq!(lab.ack(4, &[]), [4], "one more was lost");
    assert_eq!(lab.ack(7, &[]), [7], "and another");
    assert!(lab.ack(10, &[]).is_empty());
    assert_eq!(lab.count(Counter::FastRecoveries), 1);
    assert_eq!(lab.count(Counter::RtoExpired), 0);
}

#[test]
fn duplicates_of_the_same_window_begin_no_second_recovery() {
    //= NR-1
    //= NR-4
    let mut lab = Lab::new(Offer::default());
    lab.send(10);
    // A timeout: the first goes again, and all of it is acknowledged in the end.
    let seen = lab.watch(1_500);
    assert_eq!(seen[0].1, 0);
    assert!(lab.count(Counter::RtoExpired) >= 1);
    lab.ack(10, &[]);
    lab.send(10);
    let before = lab.count(Counter::FastRecoveries);
    (0..5).for_each(|_| drop(lab.ack(10, &[])));
    assert_eq!(lab.count(Counter::FastRecoveries), before, "they may be echoes of what was sent again");
    lab.ack(11, &[]);
    (0..5).for_each(|_| drop(lab.ack(11, &[])));
    assert_eq!(lab.count(Counter::FastRecoveries), before + 1);
}

#[test]
fn what_is_no_duplicate_is_not_counted_as_one() {
    //= CC-9
    let mut lab = Lab::new(Offer::default());
    lab.send(10);
    lab.world.pass_ms(100);
    for n in 0..6 {
        // Text, or another window.
        let seg = lab.ack_of(0, &[], None);
        let seg = if n % 2 == 0 { seg.wnd(60_000 + n) } else { seg.wnd(60_000 + n).text(b"x") };
        lab.world.inject(&[seg]);
    }
    assert_eq!(lab.count(Counter::FastRecoveries), 0);
    assert_eq!(lab.count(Counter::Retransmissions), 0);
}

#[test]
fn a_partial_acknowledgment_sends_the_next_hole_though_duplicates_were_lost() {
    //= NR-2
    let mut lab = Lab::new(Offer::default());
    lab.send(10);
    lab.world.pass_ms(100);
    (0..2).for_each(|_| assert!(lab.ack(0, &[]).is_empty()));
    assert_eq!(lab.ack(0, &[]), [0]);
    // No more duplicates came through: the window looks full.
    lab.world.pass_ms(100);
    assert_eq!(lab.ack(1, &[]), [1]);
    assert_eq!(lab.count(Counter::RtoExpired), 0);
}
