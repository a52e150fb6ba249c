//! Tail loss probes (RFC 8985 7).

use dpdk_tcp::stats::counters::Counter;

use super::lab::{Lab, Offer, SACK};

#[test]
fn the_last_segment_goes_again_after_two_round_trips() {
    //= TLP-1
    //= TLP-2
    //= TLP-5
    //= TLP-6
    let mut lab = Lab::new(SACK);
    lab.send(3);
    let seen = lab.watch(900);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].1, 2, "the last one");
    assert!((200..=202).contains(&seen[0].0), "after {} ms", seen[0].0);
    assert_eq!(lab.count(Counter::TailProbes), 1);
    // Then the retransmission timer, a whole RTO after the probe.
    let seen = lab.watch(400);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].1, 0);
    assert!((300..=304).contains(&seen[0].0), "after {} ms", seen[0].0);
}

#[test]
fn a_segment_alone_waits_for_a_delayed_acknowledgment_too() {
    //= TLP-2
    //= TLP-3
    let mut lab = Lab::new(SACK);
    lab.send(1);
    let seen = lab.watch(450);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!((400..=402).contains(&seen[0].0), "after {} ms", seen[0].0);
}

#[test]
fn a_probe_sends_what_is_new_if_there_is_any() {
    //= TLP-5
    //= TLP-7
    let mut lab = Lab::new(SACK);
    assert_eq!(lab.send(20).len(), 10);
    let seen = lab.watch(250);
    assert_eq!(seen.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [10], "beyond the congestion window by one");
}

#[test]
fn a_loss_at_the_tail_that_the_probe_repairs_reduces_the_window() {
    //= TLP-8
    let mut lab = Lab::new(SACK);
    lab.send(10);
    lab.world.pass_ms(100);
    lab.ack(9, &[]);
    let seen = lab.watch(450);
    assert_eq!(seen.iter().map(|(_, n)| *n).collect::<Vec<_>>(), [9]);
    assert!(lab.ack(10, &[]).is_empty());
    lab.send(1);
    lab.ack(11, &[]);
    assert_eq!(lab.count(Counter::TailRepaired), 1);
}

#[test]
fn a_probe_that_came_twice_proves_that_nothing_was_lost() {
    //= TLP-8
    //= DSACK-5
    let mut lab = Lab::new(SACK);
    lab.send(10);
    lab.watch(250);
    assert_eq!(lab.count(Counter::TailProbes), 1);
    lab.ack(10, &[]);
    lab.ack(10, &[(9, 10)]);
    lab.send(1);
    lab.ack(11, &[]);
    assert_eq!(lab.count(Counter::TailRepaired), 0);
    assert_eq!(lab.count(Counter::DuplicatesReported), 1);
}

#[test]
fn one_probe_is_sent_until_a_round_trip_is_measured() {
    //= TLP-4
    let mut lab = Lab::new(SACK);
    lab.send(3);
    lab.watch(250);
    assert_eq!(lab.count(Counter::TailProbes), 1);
    // Only the probe is acknowledged, which measures nothing without timestamps.
    lab.ack(3, &[]);
    lab.send(2);
    let probes = lab.count(Counter::TailProbes);
    lab.watch(250);
    assert!(lab.count(Counter::TailProbes) <= probes + 1);
}

#[test]
fn there_are_no_probes_without_sack() {
    //= RACK-1
    let mut lab = Lab::new(Offer::default());
    lab.send(3);
    assert!(lab.watch(290).is_empty());
    assert_eq!(lab.count(Counter::TailProbes), 0);
}
