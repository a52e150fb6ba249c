//! Rows for reports, probes and black holes.

use super::*;

const T0: Instant = Instant::from_millis(10_000);
const TEXT: u16 = 1_448;
const OVERHEAD: u16 = 52;

fn later(ms: u64) -> Instant {
    Instant::from_millis(10_000 + ms)
}

/// A path of 1500 bytes with timestamps; full segments have 1448 octets.
fn fresh(known: u16) -> PathMtu {
    let mut path = PathMtu::new(1_500, known, mss::IPV4_HEADER, T0);
    path.agree(Some(1_460), 12, T0, &Config::default());
    path
}

/// A full segment was sent and acknowledged.
fn proven() -> PathMtu {
    let mut path = fresh(1_500);
    path.sent(Seq(1_448), TEXT);
    assert!(!path.acknowledged(Seq(1_448), T0, &Config::default()));
    path
}

fn report(path: &mut PathMtu, mtu: u16) -> Change {
    let report = Report { mtu, seq: Seq(1_448), len: 1_500, timed_out: false };
    path.reported(report, T0, &Config::default())
}

#[test]
fn a_router_that_does_not_tell_means_the_next_lower_plateau() {
    //= PMTU-4
    for (len, plateau) in [
        (65_535, 32_000),
        (9_000, 8_166),
        (1_500, 1_492),
        (1_492, 1_006),
        (1_006, 508),
        (69, 68),
        (68, 68),
        (20, 68),
    ] {
        assert_eq!(plateau_below(len), plateau, "{len}");
    }
    let mut path = fresh(1_500);
    path.sent(Seq(1_448), TEXT);
    assert_eq!(report(&mut path, 0), Change::Reported);
    assert_eq!((path.current(), path.text()), (1_492, 1_440));
    let mut small = fresh(1_500);
    small.sent(Seq(900), 900);
    let told = Report { mtu: 0, seq: Seq(0), len: 1_500, timed_out: false };
    assert_eq!(small.reported(told, T0, &Config::default()), Change::Reported);
    assert_eq!(small.current(), 552, "the plateau below what was really sent, at least the floor");
}

#[test]
fn a_report_counts_at_once_only_above_what_was_acknowledged() {
    //= PMTU-1
    //= PMTU-2
    //= PMTU-7
    // Sent 1500; acknowledged nothing, or 1500.
    for (told, first, proved) in [
        (1_600, Change::Nothing, Change::Nothing),
        (1_500, Change::Nothing, Change::Nothing),
        (1_499, Change::Reported, Change::Held),
        (552, Change::Reported, Change::Held),
        (68, Change::Reported, Change::Held),
        (1, Change::Reported, Change::Held),
    ] {
        let mut path = fresh(1_500);
        path.sent(Seq(1_448), TEXT);
        assert_eq!(report(&mut path, told), first, "{told}");
        let mtu = if first == Change::Reported { told.max(552) } else { 1_500 };
        assert_eq!(path.current(), mtu, "{told}");
        let mut path = proven();
        path.sent(Seq(2_896), TEXT);
        assert_eq!(report(&mut path, told), proved, "{told}");
        assert_eq!(path.current(), 1_500, "{told}");
    }
}

#[test]
fn a_report_larger_than_anything_sent_is_discarded() {
    //= PMTU-7
    let mut path = fresh(1_500);
    path.sent(Seq(600), 600);
    assert_eq!(report(&mut path, 653), Change::Nothing);
    assert_eq!(report(&mut path, 652), Change::Reported);
}

#[test]
fn what_is_held_counts_when_its_segment_times_out_and_not_when_it_is_acknowledged() {
    //= PMTU-7
    let cfg = Config::default();
    let held = || {
        let mut path = proven();
        path.sent(Seq(2_896), TEXT);
        path.sent(Seq(4_344), TEXT);
        assert_eq!(report(&mut path, 1_280), Change::Held);
        path
    };
    let mut out = held();
    assert_eq!(out.timed_out(Seq(0), 1_448, 1, T0, &cfg), Change::Nothing, "another segment");
    assert_eq!(out.timed_out(Seq(1_448), 1_448, 1, T0, &cfg), Change::Reported);
    assert_eq!((out.current(), out.creeps()), (1_280, true));
    let mut acked = held();
    acked.acknowledged(Seq(2_896), T0, &cfg);
    assert_eq!(acked.timed_out(Seq(2_896), 1_448, 1, T0, &cfg), Change::Nothing);
    let mut late = held();
    let again = Report { mtu: 1_280, seq: Seq(1_448), len: 1_500, timed_out: true };
    assert_eq!(late.reported(again, T0, &cfg), Change::Reported);
}

#[test]
fn a_storm_lowers_once_and_the_next_hop_lowers_again() {
    //= PMTU-5
    let mut path = fresh(1_500);
    path.sent(Seq(1_448), TEXT);
    assert_eq!(report(&mut path, 1_400), Change::Reported);
    for mtu in [1_400, 1_450, 1_300, 1_000] {
        assert_eq!(report(&mut path, mtu), Change::Nothing, "{mtu} about the packets of before");
    }
    let second_hop = Report { mtu: 1_300, seq: Seq(0), len: 1_400, timed_out: false };
    assert_eq!(path.reported(second_hop, T0, &Config::default()), Change::Reported);
    assert_eq!(path.current(), 1_300);
}

#[test]
fn a_black_hole_leads_to_1024_and_then_halves_down_to_the_floor() {
    //= PLPMTUD-6
    let cfg = Config::default();
    let mut path = proven();
    for expiries in [1, 2] {
        assert_eq!(path.timed_out(Seq(1_448), 1_448, expiries, T0, &cfg), Change::Nothing);
    }
    let mut small = path;
    assert_eq!(small.timed_out(Seq(1_448), 972, 3, T0, &cfg), Change::Nothing, "1024 bytes were no problem");
    for (expiries, text, mtu) in [(3, 1_448, 1_024), (4, 972, 552)] {
        assert_eq!(path.timed_out(Seq(1_448), text, expiries, T0, &cfg), Change::BlackHole);
        assert_eq!(path.current(), mtu);
    }
    assert_eq!(path.timed_out(Seq(1_448), 500, 5, T0, &cfg), Change::Nothing);
    let mut narrow = PathMtu::new(1_500, 1_500, mss::IPV4_HEADER, T0);
    narrow.agree(Some(900), 12, T0, &cfg);
    narrow.sent(Seq(888), 888);
    assert_eq!(narrow.timed_out(Seq(0), 888, 5, T0, &cfg), Change::Nothing, "never larger than 1024");
    let deep = Config { path_mtu_min: 68, ..cfg };
    let mut path = proven();
    let seen: Vec<_> = (3..8)
        .map(|expiries| {
            let text = u32::from(path.text());
            let _ = path.timed_out(Seq(1_448), text, expiries, T0, &deep);
            path.current()
        })
        .collect();
    assert_eq!(seen, [1_024, 512, 256, 128, 68]);
}

#[test]
fn after_ten_minutes_the_ceiling_is_tried() {
    //= PMTU-3
    //= PLPMTUD-7
    let cfg = Config::default();
    let mut path = fresh(1_280);
    assert_eq!((path.current(), path.text()), (1_280, 1_228), "what another connection found out");
    assert_eq!(path.probe_text(later(599_999), &cfg), None);
    assert_eq!(path.probe_text(later(600_000), &cfg), Some(TEXT));
    path.sent(Seq(1_448), TEXT);
    assert_eq!(path.probe_in_flight(), Some((Seq(0), TEXT)));
    assert_eq!(path.probe_text(later(600_001), &cfg), None, "one at a time");
    assert!(path.acknowledged(Seq(1_448), later(600_100), &cfg));
    assert_eq!((path.current(), path.text()), (1_500, TEXT));
    assert_eq!(path.probe_text(later(90_000_000), &cfg), None, "nothing is left to be tried");
}

#[test]
fn a_lost_probe_halves_what_is_left_to_search() {
    //= PLPMTUD-1
    //= PLPMTUD-2
    //= PLPMTUD-4
    //= PMTU-3
    let cfg = Config::default();
    // The path takes 1400 bytes and says nothing.
    let mut path = fresh(1_024);
    let (mut now, mut end, mut tried) = (600_000, 0, Vec::new());
    while let Some(text) = path.probe_text(later(now), &cfg) {
        let len = text + OVERHEAD;
        tried.push(len);
        end += u32::from(text);
        path.sent(Seq(end), text);
        if len <= 1_400 {
            assert!(path.acknowledged(Seq(end), later(now), &cfg));
            assert_eq!(path.probe_text(later(now + 119_999), &cfg), None, "not at once after an increase");
            now += 120_000;
        } else {
            path.probe_lost(700, later(now), &cfg);
            assert_eq!(path.probe_text(later(now + 699), &cfg), None, "nor after a loss");
            now += 700;
        }
    }
    assert_eq!(tried, [1_500, 1_262, 1_381, 1_440, 1_410, 1_395, 1_402]);
    assert_eq!(path.current(), 1_395, "as near as is worth a probe");
    assert_eq!(path.probe_text(later(now + 599_000), &cfg), None);
    assert_eq!(path.probe_text(later(now + 600_000), &cfg), Some(TEXT), "and all of it again");
}

#[test]
fn a_report_about_a_probe_names_the_next_size() {
    //= PMTU-1
    let cfg = Config::default();
    for (told, next) in [(1_400, Some(1_400)), (1_024, None), (1_600, None)] {
        let mut path = fresh(1_024);
        assert_eq!(path.probe_text(later(600_000), &cfg), Some(TEXT));
        path.sent(Seq(1_448), TEXT);
        let report = Report { mtu: told, seq: Seq(0), len: 1_500, timed_out: false };
        let change = path.reported(report, later(600_010), &cfg);
        assert_eq!(change, if told < 1_500 { Change::ProbeFailed } else { Change::Nothing });
        assert_eq!(path.current(), 1_024, "a report never raises");
        assert_eq!(path.probe_text(later(720_010), &cfg).map(|text| text + OVERHEAD), next, "{told}");
    }
}

#[test]
fn a_probe_lost_among_others_is_tried_again() {
    //= PLPMTUD-5
    let cfg = Config::default();
    let mut path = fresh(1_024);
    assert_eq!(path.probe_text(later(600_000), &cfg), Some(TEXT));
    path.sent(Seq(1_448), TEXT);
    path.probe_inconclusive(700, later(600_100));
    assert_eq!(path.probe_text(later(600_799), &cfg), None);
    assert_eq!(path.probe_text(later(600_800), &cfg), Some(TEXT));
}

#[test]
fn an_outage_that_was_no_black_hole_costs_one_probe() {
    //= PLPMTUD-6
    let cfg = Config::default();
    let mut path = proven();
    path.sent(Seq(2_896), TEXT);
    assert_eq!(path.timed_out(Seq(1_448), 1_448, 3, T0, &cfg), Change::BlackHole);
    assert_eq!(path.timed_out(Seq(1_448), 972, 4, T0, &cfg), Change::BlackHole);
    path.acknowledged(Seq(2_896), T0, &cfg);
    assert_eq!(path.probe_text(T0, &cfg), Some(TEXT));
    path.sent(Seq(4_344), TEXT);
    assert!(path.acknowledged(Seq(4_344), T0, &cfg));
    assert_eq!(path.current(), 1_500);
}

#[test]
fn the_peers_size_is_the_ceiling() {
    //= PLPMTUD-2
    let mut path = PathMtu::new(9_000, 9_000, mss::IPV4_HEADER, T0);
    path.agree(Some(1_460), 12, T0, &Config::default());
    assert_eq!((path.current(), path.text()), (1_500, TEXT));
    let mut path = PathMtu::new(9_000, 1_280, mss::IPV4_HEADER, T0);
    path.agree(Some(536), 0, T0, &Config::default());
    assert_eq!((path.current(), path.text()), (576, 536));
    assert_eq!(path.probe_text(later(90_000_000), &Config::default()), None);
}
