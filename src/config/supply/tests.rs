//! Plans that work and plans that cannot, with their numbers.

use super::super::imitate::Imitate;
use super::super::load::tests::{CONNECT, asked};
use super::super::shape::Shape;
use super::super::{shape, talk, targets};
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

fn load(rate: Option<&str>, concurrency: Option<&str>, hold: Option<&str>, close: &str) -> LoadOptions {
    let mut asked = asked();
    asked.shape = Shape {
        rate: rate.map(|text| shape::rate(text).unwrap()),
        concurrency: concurrency.iter().map(|text| shape::concurrency(text).unwrap()).collect(),
        hold: hold.map(|text| shape::hold(text).unwrap()),
        ..Shape::default()
    };
    asked.talk.closes = Some(talk::closes(close).unwrap());
    asked.one("h", CONNECT).unwrap()
}

fn without_timestamps(load: LoadOptions) -> LoadOptions {
    LoadOptions { imitate: Imitate { timestamps: false, ..load.imitate }, ..load }
}

fn supply(sources: &[&str], target: &str) -> Supply {
    let sources: Vec<_> = sources.iter().map(|text| targets::source(text).unwrap()).collect();
    let sources = targets::sources(&sources).unwrap();
    Supply::of(&sources.addresses, 1, sources.ports, &[targets::target(target).unwrap()])
}

fn one() -> Supply {
    supply(&[], "198.18.0.2:80")
}

#[test]
fn pairs_are_a_product() {
    assert_eq!(one(), Supply { sources: 1, ports: 64_512, targets: 1 });
    let many = supply(&["198.18.1.0/24:5000-5009", "198.18.2.1"], "198.18.0.0/30:80-82");
    assert_eq!((many, many.pairs()), (Supply { sources: 255, ports: 10, targets: 6 }, 15_300));
}

#[test]
fn a_closed_loop_occupies_its_concurrency() {
    let line = tuples(&load(None, Some("1k"), None, "fin"), one(), MINUTE).unwrap();
    assert_eq!(line, "tuples: 64,512 = 1 source × 64,512 ports × 1 target, enough for 1,000 at a time");
    let error = tuples(&load(None, Some("100k"), None, "fin"), one(), MINUTE).unwrap_err().to_string();
    let wanted = "the load occupies 100,000 pairs of endpoints at a time (100,000 open), and there are only \
                  64,512 = 1 source × 64,512 ports × 1 target; use at least 2 source address(es)";
    assert!(error.starts_with(wanted), "{error}");
    assert!(tuples(&load(None, Some("100k"), None, "fin"), supply(&[], "198.18.0.2:80-81"), MINUTE).is_ok());
}

#[test]
fn without_timestamps_time_wait_takes_pairs_away() {
    let closed = without_timestamps(load(None, Some("512"), None, "fin"));
    let line = tuples(&closed, one(), MINUTE).unwrap();
    assert!(
        line.ends_with("each rests for 60s in TIME-WAIT, so that more than 1,066 a second find none"),
        "{line}"
    );
    let open = |rate, close| tuples(&without_timestamps(load(Some(rate), None, None, close)), one(), MINUTE);
    // Ten seconds of 10,000 a second are 100,000 launches, all of which still rest at the end.
    let error = open("10k", "fin").unwrap_err().to_string();
    assert!(
        error.contains("occupies 100,000 pairs") && error.contains("99,999 for 60s in TIME-WAIT"),
        "{error}"
    );
    assert!(error.contains("use at least 2 source address(es)"), "{error}");
    for (rate, close) in [("1k", "fin"), ("10k", "peer"), ("10k", "rst"), ("5k", "fin=1,rst=1")] {
        assert!(open(rate, close).is_ok(), "{rate} {close}");
    }
    assert!(
        tuples(&load(Some("10k"), None, None, "fin"), one(), MINUTE).is_ok(),
        "timestamps give them back"
    );
}

#[test]
fn an_open_loop_occupies_its_rate_times_what_is_known_of_a_life() {
    let line = tuples(&load(Some("10k"), None, None, "fin"), one(), MINUTE).unwrap();
    assert!(line.ends_with("enough for 10,000 a second while each lasts no longer than 6.451s"), "{line}");
    let error = tuples(&load(Some("10k"), None, Some("7s"), "fin"), one(), MINUTE).unwrap_err().to_string();
    assert!(error.contains("occupies 70,000 pairs of endpoints at a time (70,000 open)"), "{error}");
    let to_the_end = load(Some("10k"), None, Some("end"), "fin");
    assert!(tuples(&to_the_end, one(), MINUTE).unwrap_err().to_string().contains("occupies 100,000 pairs"));
    let capped = load(Some("10k"), Some("5k"), Some("end"), "fin");
    assert!(tuples(&capped, one(), MINUTE).is_ok());
    let few = Some(64_512);
    let schedule = crate::load::schedule::Schedule { connections: few, ..to_the_end.schedule.clone() };
    assert!(tuples(&LoadOptions { schedule, ..to_the_end }, one(), MINUTE).is_ok());
}

#[test]
fn slots_follow_from_the_longest_life() {
    assert_eq!(slots_needed(&load(None, None, None, "fin")), 1);
    assert_eq!(slots_needed(&load(None, Some("10M"), None, "fin")), 10_000_000);
    // 3 s to connect and 10 s to reply; ten seconds at that rate are the launches in all.
    assert_eq!(slots_needed(&load(Some("100"), None, None, "fin")), 1_000);
    let long = |rate| {
        let mut load = load(Some(rate), None, None, "fin");
        load.schedule.stages[0].duration_ns = 3_600_000_000_000;
        load
    };
    assert_eq!(slots_needed(&long("100")), 1_300);
    assert_eq!(slots_needed(&long("1M")), 1 << 20);
    let held = LoadOptions { hold: Some(Hold::For(MINUTE)), ..long("100k") };
    assert_eq!(slots_needed(&held), 6_000_000);
    assert_eq!(slots_needed(&LoadOptions { hold: Some(Hold::ToTheEnd), ..long("1M") }), 1 << 26);
}

#[test]
fn fewer_slots_than_are_held_are_refused() {
    let load = load(None, Some("64"), None, "fin");
    assert_eq!(check_slots(&load, 64), Ok(()));
    let error = check_slots(&load, 63).unwrap_err().to_string();
    assert!(error.contains("--max-connections 63 is less than the 64 connections"), "{error}");
}

#[test]
fn records_follow_from_first_fins_within_one_time_wait() {
    let records = |load: &LoadOptions| records_needed(load, 64_512, MINUTE);
    assert_eq!(records(&load(None, None, None, "fin")), 64_512);
    assert_eq!(records(&load(None, None, None, "rst")), 1_024);
    assert_eq!(records(&load(Some("100"), None, None, "fin")), 6_000);
    assert_eq!(records(&load(Some("100"), None, None, "fin=1,peer=1")), 3_000);
    assert_eq!(records(&load(Some("100k"), None, None, "half-close")), 64_512);
    assert_eq!(records_needed(&load(None, None, None, "fin"), 10, MINUTE), 10);
    assert_eq!(records_needed(&load(None, None, None, "fin"), u64::MAX, MINUTE), 1 << 20);
}
