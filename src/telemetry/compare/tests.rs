//! Documents whose differences are known.

use super::*;
use crate::telemetry::sample;

/// Repeats at 1,000 connections whose rates are `base` and up to 1 % more.
fn repeats(base: f64, count: u32) -> Document {
    let run = |n: u32| sample::run(1_000, n, base * (1.0 + 0.01 * f64::from(n * 7 % 10) / 10.0));
    sample::document((1..=count).map(run).collect())
}

fn row<'a>(comparison: &'a Comparison, role: Role, figure: &str) -> &'a Row {
    comparison.rows.iter().find(|row| row.role == role && row.figure == figure).unwrap()
}

#[test]
fn a_document_does_not_differ_from_itself() {
    let document = repeats(500_000.0, 5);
    let comparison = compare(&document, &document, &Options::default()).unwrap();
    assert!(!comparison.worse && comparison.alone.is_empty());
    assert_eq!(comparison.rows.len(), 3 + 10 + 3, "all figures of the client, and three of the server");
    for row in &comparison.rows {
        let (low, high) = row.interval.unwrap();
        assert!(low <= 0.0 && 0.0 <= high, "{row:?}");
        assert_eq!((row.difference, row.verdict), (0.0, Verdict::Same));
    }
}

#[test]
fn a_tenth_less_is_worse_and_a_tenth_more_is_better() {
    let (slow, fast) = (repeats(450_000.0, 7), repeats(500_000.0, 7));
    let worse = compare(&fast, &slow, &Options::default()).unwrap();
    let rate = row(&worse, Role::Client, "connections_per_second");
    assert!((rate.difference + 0.1).abs() < 1e-9 && rate.verdict == Verdict::Worse, "{rate:?}");
    let (low, high) = rate.interval.unwrap();
    assert!((-0.12..=-0.1).contains(&low) && (-0.1..-0.08).contains(&high), "{rate:?}");
    let cycles = row(&worse, Role::Server, "cycles_per_connection");
    assert!(cycles.difference > 0.1 && cycles.verdict == Verdict::Worse, "more cycles are worse: {cycles:?}");
    assert_eq!(row(&worse, Role::Client, "packets_per_connection").verdict, Verdict::Same);
    assert!(worse.worse);
    let better = compare(&slow, &fast, &Options::default()).unwrap();
    assert_eq!(row(&better, Role::Client, "connections_per_second").verdict, Verdict::Better);
    assert!(!better.worse);
}

#[test]
fn noise_and_small_differences_are_none() {
    // One slow repeat of five moves no median, and resampling often draws it.
    let steady = sample::document((1..=5).map(|n| sample::run(1_000, n, 500_000.0)).collect());
    let rates = [400_000.0, 520_000.0, 460_000.0, 500_000.0, 440_000.0];
    let noisy = (1..).zip(rates).map(|(n, rate)| sample::run(1_000, n, rate)).collect();
    let comparison = compare(&steady, &sample::document(noisy), &Options::default()).unwrap();
    let rate = row(&comparison, Role::Client, "connections_per_second");
    assert!((rate.difference + 0.08).abs() < 1e-9 && rate.verdict == Verdict::Same, "{rate:?}");
    let a_little = compare(&repeats(500_000.0, 5), &repeats(494_000.0, 5), &Options::default()).unwrap();
    assert!(!a_little.worse, "1.2 % is below the threshold");
    let strict = Options { threshold: 0.001, ..Options::default() };
    assert!(compare(&repeats(500_000.0, 5), &repeats(494_000.0, 5), &strict).unwrap().worse);
}

#[test]
fn a_single_repeat_has_no_interval_and_says_so() {
    let (a, b) = (repeats(500_000.0, 1), repeats(400_000.0, 1));
    let options = Options::default();
    let comparison = compare(&a, &b, &options).unwrap();
    let rate = row(&comparison, Role::Client, "connections_per_second");
    assert_eq!((rate.interval, rate.verdict), (None, Verdict::Worse));
    let text = comparison.text(&options);
    assert!(text.ends_with("A single repeat has no interval: its differences may be chance.\n"), "{text}");
}

#[test]
fn latencies_are_compared_phase_by_phase() {
    let (a, mut b) = (repeats(500_000.0, 3), repeats(500_000.0, 3));
    for run in &mut b.runs {
        let syn = run.client.as_mut().unwrap().histograms.get_mut("syn").unwrap();
        *syn.percentiles.get_mut("99").unwrap() *= 2;
    }
    let comparison = compare(&a, &b, &Options::default()).unwrap();
    let worse: Vec<_> = comparison.rows.iter().filter(|row| row.verdict == Verdict::Worse).collect();
    let [p99] = worse[..] else { panic!("{worse:?}") };
    assert_eq!((p99.figure.as_str(), p99.a, p99.b, p99.difference), ("p99.syn", 40e3, 80e3, 1.0));
}

#[test]
fn runs_are_matched_by_profile_and_load() {
    let mut a = repeats(500_000.0, 2);
    a.runs.push(sample::run(50_000, 1, 300_000.0));
    let mut b = repeats(500_000.0, 2);
    b.runs.push(Run { profile: "open".to_owned(), ..sample::run(1_000, 1, 900_000.0) });
    b.runs.push(Run { rate: Some(1e6), concurrency: None, ..sample::run(1_000, 1, 900_000.0) });
    let comparison = compare(&a, &b, &Options::default()).unwrap();
    assert_eq!(comparison.rows.len(), 16);
    assert_eq!(
        comparison.alone,
        [
            "only the first document has crr, 50,000 at a time",
            "only the second document has open, 1,000 at a time",
            "only the second document has crr, 1,000,000/s"
        ]
    );
    let other = sample::document(vec![sample::run(7, 1, 1.0)]);
    assert_eq!(compare(&a, &other, &Options::default()), Err(CompareError::NothingInCommon));
}

#[test]
fn a_side_that_only_one_document_has_is_left_out() {
    let (a, mut b) = (repeats(500_000.0, 2), repeats(500_000.0, 2));
    b.runs.iter_mut().for_each(|run| run.server = None);
    let comparison = compare(&a, &b, &Options::default()).unwrap();
    assert!(comparison.rows.iter().all(|row| row.role == Role::Client));
}

#[test]
fn an_unknown_format_is_refused_in_one_sentence() {
    let good = repeats(1.0, 1);
    let other = Document { schema: "x/2".to_owned(), ..good.clone() };
    let why = compare(&good, &other, &Options::default()).unwrap_err().to_string();
    assert_eq!(why, "the second document's format is `x/2`, and only `dpdk-tcp/run/1` can be compared");
}

#[test]
fn the_table_is_aligned_and_fits() {
    let options = Options { confidence: 0.995, ..Options::default() };
    let comparison = compare(&repeats(500_000.0, 5), &repeats(5_000.0, 5), &options).unwrap();
    let text = comparison.text(&options);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "crr, 1,000 at a time");
    assert!(lines[1].ends_with("first      second    change     99.5 % interval"), "{text}");
    let rate = "  client connections_per_second    502,500       5,025   -99.0 %      -99.0 to -99.0  WORSE";
    assert!(lines.contains(&rate), "{text}");
    assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS), "{text}");
    assert!(text.contains("  client p50.syn                  10.00 µs    10.00 µs     0.0 %"), "{text}");
}

#[test]
fn floods_are_compared_by_their_syns() {
    let document = |rate| sample::document((1..=3).map(|n| sample::flood(n, rate)).collect());
    let comparison = compare(&document(1e6), &document(0.8e6), &Options::default()).unwrap();
    let answered = row(&comparison, Role::Server, "answered_per_second");
    assert!((answered.difference + 0.2).abs() < 1e-9 && answered.verdict == Verdict::Worse, "{answered:?}");
    assert_eq!(row(&comparison, Role::Server, "cycles_per_syn").verdict, Verdict::Worse);
    assert_eq!(comparison.rows.len(), 2, "{:?}", comparison.rows);
}

#[test]
fn a_figure_that_one_document_did_not_count_is_left_out() {
    let ours = repeats(500_000.0, 3);
    let mut kernel = repeats(20_000.0, 3);
    for side in kernel.runs.iter_mut().flat_map(|run| run.client.iter_mut().chain(run.server.iter_mut())) {
        side.packets_per_connection = 0.0;
    }
    for (a, b) in [(&ours, &kernel), (&kernel, &ours)] {
        let comparison = compare(a, b, &Options::default()).unwrap();
        assert!(comparison.rows.iter().all(|row| row.figure != "packets_per_connection"));
        assert!(comparison.rows.iter().any(|row| row.figure == "connections_per_second"));
    }
}
