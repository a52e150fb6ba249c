//! Losses that were none: F-RTO (RFC 5682), Eifel (RFC 3522), D-SACK (RFC 2883, 3708).

use dpdk_tcp::stats::counters::Counter;

use super::lab::{Lab, Offer, SACK};

const PLAIN: Offer = Offer { sack: false, timestamps: false, ecn: false };

#[test]
fn acknowledgments_of_what_was_not_sent_again_take_a_timeout_back() {
    //= FRTO-1
    //= FRTO-2
    for offer in [PLAIN, SACK] {
        let mut lab = Lab::new(offer);
        lab.send(40);
        // A delay that is longer than the RTO.
        lab.watch(1_200);
        assert_eq!(lab.count(Counter::RtoExpired), 1);
        let sent = lab.count(Counter::Retransmissions);
        // The first acknowledgments of the first transmissions come after all.
        let first = lab.ack(1, &[]);
        assert!(first.iter().all(|n| *n >= 10), "only new ones: {first:?}");
        assert!((1..=2).contains(&first.len()), "{first:?}");
        assert_eq!(lab.count(Counter::ForwardRtos), 1);
        let second = lab.ack(2, &[]);
        assert_eq!(lab.count(Counter::ForwardRtoUndone), 1);
        assert!(second.iter().all(|n| *n >= 10), "{second:?}");
        for upto in 3..=10 {
            let more = lab.ack(upto, &[]);
            assert!(more.iter().all(|n| *n >= 10), "{more:?}");
        }
        assert_eq!(lab.count(Counter::Retransmissions), sent);
    }
}

#[test]
fn a_duplicate_after_the_first_acknowledgment_makes_the_timeout_a_real_one() {
    //= FRTO-2
    let mut lab = Lab::new(PLAIN);
    lab.send(40);
    lab.watch(1_200);
    let first = lab.ack(1, &[]);
    assert!(first.iter().all(|n| *n >= 10), "{first:?}");
    let second = lab.ack(1, &[]);
    assert_eq!(lab.count(Counter::ForwardRtoUndone), 0);
    assert!(second.contains(&1), "{second:?}");
}

#[test]
fn an_acknowledgment_of_everything_says_nothing_about_the_timeout() {
    //= FRTO-1
    //= FRTO-4
    let mut lab = Lab::new(PLAIN);
    lab.send(10);
    lab.watch(1_200);
    lab.ack(10, &[]);
    lab.send(5);
    lab.ack(15, &[]);
    assert_eq!(lab.count(Counter::ForwardRtos), 0);
    assert_eq!(lab.count(Counter::ForwardRtoUndone), 0);
}

#[test]
fn the_echo_of_an_older_timestamp_takes_a_loss_back() {
    //= EIFEL-1
    //= EIFEL-2
    let mut lab = Lab::new(Offer { sack: true, timestamps: true, ecn: false });
    lab.world.call(|conn| assert_eq!(conn.send(&[7; 20_000]), 20_000));
    let first = lab.world.sent();
    let echo = first[0].segment.options.timestamps.unwrap().val;
    lab.world.pass_ms(100);
    // Segments are reordered so far that recovery begins.
    for right in 2..=4 {
        let seg = lab.ack_of(0, &[(1, right)], Some(1));
        lab.world.inject(&[seg]);
    }
    assert_eq!(lab.count(Counter::FastRecoveries), 1);
    assert_eq!(lab.count(Counter::Retransmissions), 1);
    lab.sent();
    lab.world.pass_ms(5);
    // Then the first arrives, and the acknowledgment echoes its first transmission.
    let seg = lab.ack_of(4, &[], Some(echo));
    lab.world.inject(&[seg]);
    assert_eq!(lab.count(Counter::EifelUndone), 1);
    assert!(lab.sent().len() >= 2, "the window is what it was");
    // With the echo of the retransmission it would have been a loss: see `a_loss_is_a_loss`.
}

#[test]
fn a_loss_is_a_loss_if_the_retransmission_was_answered() {
    //= EIFEL-1
    let mut lab = Lab::new(Offer { sack: true, timestamps: true, ecn: false });
    lab.world.call(|conn| assert_eq!(conn.send(&[7; 20_000]), 20_000));
    lab.world.sent();
    lab.world.pass_ms(100);
    for right in 2..=4 {
        let seg = lab.ack_of(0, &[(1, right)], Some(1));
        lab.world.inject(&[seg]);
    }
    let again = lab.world.sent();
    let again = again.iter().find(|s| s.segment.seq == lab.base).unwrap();
    let echo = again.segment.options.timestamps.unwrap().val;
    lab.world.pass_ms(100);
    let seg = lab.ack_of(4, &[], Some(echo));
    lab.world.inject(&[seg]);
    assert_eq!(lab.count(Counter::EifelUndone), 0);
}

#[test]
fn a_report_that_all_that_went_again_came_twice_takes_a_loss_back() {
    //= DSACK-3
    //= DSACK-5
    let mut lab = Lab::new(SACK);
    lab.send(40);
    lab.world.pass_ms(100);
    for right in 2..=4 {
        lab.ack(0, &[(1, right)]);
    }
    assert_eq!(lab.count(Counter::Retransmissions), 1);
    lab.world.pass_ms(10);
    lab.ack(4, &[]);
    lab.world.pass_ms(10);
    lab.ack(4, &[(0, 1)]);
    assert_eq!(lab.count(Counter::DuplicatesReported), 1);
    assert_eq!(lab.count(Counter::DuplicateUndone), 1);
}

#[test]
fn a_duplicate_within_a_reported_block_is_recognised() {
    //= DSACK-3
    let mut lab = Lab::new(SACK);
    lab.send(10);
    lab.world.pass_ms(100);
    lab.ack(0, &[(5, 6), (4, 7)]);
    assert_eq!(lab.count(Counter::DuplicatesReported), 1);
    lab.ack(0, &[(8, 9), (4, 7)]);
    assert_eq!(lab.count(Counter::DuplicatesReported), 1);
}

#[test]
fn what_was_lost_goes_again_at_once_where_nothing_new_may_be_sent_to_find_out() {
    //= FRTO-1
    //= FRTO-2
    let mut lab = Lab::new(PLAIN);
    // A second short segment waits for the acknowledgment of the first (Nagle).
    lab.world.call(|conn| {
        assert_eq!(conn.send(&[7; 8_005]), 8_005);
        assert_eq!(conn.send(b"more"), 4);
    });
    let seen = lab.watch(1_500);
    assert_eq!(lab.count(Counter::RtoExpired), 1, "{seen:?}");
    let again = lab.ack(1, &[]);
    assert!(again.contains(&1), "{again:?}");
}
