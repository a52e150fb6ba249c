//! Trials with one thing wrong each.

use super::*;
use crate::telemetry::run::Loss;
use crate::telemetry::sample;

const LIMITS: Limits = Limits { loss_max: 0.0001, latency_max_ns: 100_000 };

/// Nothing is wrong with it: `established` has 80 µs, both cores have time.
fn good(rate: f64) -> Run {
    let mut run = sample::run(1, 1, rate);
    (run.concurrency, run.rate) = (None, Some(rate));
    run.losses.clear();
    for side in [&mut run.client, &mut run.server].into_iter().flatten() {
        (side.busy_share, side.account.attempted) = (0.5, 1_000_000);
        side.account.failed.clear();
        side.account.broken.clear();
        side.dropped.clear();
    }
    run
}

fn client(run: &mut Run) -> &mut Side {
    run.client.as_mut().unwrap()
}

fn failed(run: &Run) -> Vec<String> {
    let trial = judge(run, Purpose::Grow, LIMITS);
    assert!(!trial.held, "{trial:?}");
    trial.limited_by
}

#[test]
fn a_trial_holds_up_to_its_limits_and_no_further() {
    let mut run = good(1e5);
    let limits = Limits { latency_max_ns: 80_000, ..LIMITS };
    client(&mut run).account.broken.insert("reset".to_owned(), 100);
    let trial = judge(&run, Purpose::Confirm, limits);
    let wanted = Trial {
        purpose: "confirm".to_owned(),
        held: true,
        loss: 0.0001,
        established_p99_ns: Some(80_000),
        limited_by: Vec::new(),
    };
    assert_eq!(trial, wanted);
    assert!(!judge(&run, Purpose::Grow, Limits { latency_max_ns: 79_999, ..limits }).held);
    client(&mut run).account.failed.insert("refused".to_owned(), 1);
    assert!(!judge(&run, Purpose::Grow, limits).held);
}

#[test]
fn what_limited_it_is_named() {
    let slow = |change: fn(&mut Run)| {
        let mut run = good(1e5);
        client(&mut run)
            .histograms
            .get_mut("established")
            .unwrap()
            .percentiles
            .insert("99".to_owned(), 5_000_000);
        change(&mut run);
        failed(&run)
    };
    let waited = slow(|_| {});
    assert!(
        waited.len() == 1 && waited[0].contains("within 5.000 ms although no core was busy"),
        "{waited:?}"
    );
    let server = slow(|run| run.server.as_mut().unwrap().busy_share = 0.95);
    assert_eq!(server, ["The server's core was busy 95.0 % of its time."]);
    let near = slow(|run| client(run).busy_share = 1.0);
    assert!(near.len() == 1 && near[0].starts_with("The client's core was busy 100.0 %"), "{near:?}");
    let shared = slow(|run| {
        run.cores = 1;
        let cycles = run.server.as_ref().unwrap().cycles_per_connection + client(run).cycles_per_connection;
        client(run).elapsed_cycles_per_connection = cycles * 1.01;
    });
    assert_eq!(shared, ["The core that both sides share was busy 99.0 % of its time."]);
    let missed = slow(|run| {
        let loss =
            |reason: &str, count| Loss { place: "server".to_owned(), reason: reason.to_owned(), count };
        run.losses = vec![loss("rx_missed", 12), loss("arp_not_ours", 1)];
    });
    assert!(
        missed.len() == 1 && missed[0].starts_with("server: 12 frames lost by rx_missed: Frames"),
        "{missed:?}"
    );
    let alone = slow(|run| {
        run.server = None;
        client(run).dropped.insert("no_frame".to_owned(), 3);
    });
    assert!(alone.len() == 1 && alone[0].starts_with("client: 3 frames lost by no_frame: "), "{alone:?}");
}

#[test]
fn failures_are_named_with_their_sentence_and_nothing_at_all_is_no_success() {
    let mut run = good(1e5);
    client(&mut run).account.failed.insert("no_tcb".to_owned(), 5_000);
    assert_eq!(failed(&run), ["5,000 failed by no_tcb: Every connection slot was in use."]);
    let mut run = good(1e5);
    client(&mut run).histograms.clear();
    assert_eq!(failed(&run), ["No connection was established in the measured time."]);
}

fn tried(mut run: Run, purpose: Purpose) -> Run {
    run.trial = Some(judge(&run, purpose, LIMITS));
    run
}

#[test]
fn a_trial_is_a_line() {
    let run = tried(good(54_321.0), Purpose::Bisect);
    assert_eq!(
        line(7, &run),
        "trial 7   bisect         54,321/s  held    loss 0.0000 %  established p99 80.00 µs  client busy 50 %  \
         server busy 50 %\n"
    );
}

#[test]
fn an_outcome_names_the_rate_and_what_limited_the_next() {
    let mut bad = good(55_000.0);
    bad.server.as_mut().unwrap().busy_share = 0.99;
    client(&mut bad).account.failed.insert("syn_timeout".to_owned(), 9_000);
    let runs = [
        tried(good(54_000.0), Purpose::Bisect),
        tried(bad, Purpose::Bisect),
        tried(good(54_000.0), Purpose::Confirm),
    ];
    let found = Next::Found { rate: 54_000.0, failed: Some(55_000.0) };
    let text = outcome(found, &runs, LIMITS);
    assert_eq!(
        text,
        "highest rate: 54,000/s (loss 0.0000 %, established p99 80.00 µs, in 2 s)\n\
         within: loss up to 0.0100 %, established p99 up to 100.0 µs\n\
         limited by, at 55,000/s: The server's core was busy 99.0 % of its time.\n\
         limited by, at 55,000/s: 9,000 failed by syn_timeout: Nobody answered its SYNs in time.\n"
    );
    let to = outcome(Next::Found { rate: 54_000.0, failed: None }, &runs[..1], LIMITS);
    assert!(to.contains("limited by: --to, which was reached"), "{to}");
    let nothing = outcome(Next::Nothing, &runs[1..2], LIMITS);
    assert!(nothing.starts_with("highest rate: none, since --from did not hold"), "{nothing}");
    assert!(nothing.contains("at 55,000/s: The server's core"), "{nothing}");
    let next = Next::Try { rate: 1.0, purpose: Purpose::Grow };
    assert!(outcome(next, &runs, LIMITS).contains("interrupted"));
}
