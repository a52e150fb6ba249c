//! `bench` as a user runs it, over the link in memory and on one core: counts, documents and exit statuses. How fast
//! anything is says nothing here.

use serde_json::Value;

use crate::{Ended, RunTime, end, split, start};

/// Short, and without a report a second.
const SHORT: &str =
    "--link memory --cores 1 --time-wait 50ms --ramp 20ms --duration 200ms --stats-interval 0";

/// Runs the program, and reads the document that it wrote, which keeps to its schema.
#[track_caller]
fn measured(line: &str) -> (Ended, Value) {
    let run_time = RunTime::new();
    let json = run_time.path().join("results.json");
    let words = format!("{line} {SHORT} --json {}", json.display());
    let ended = end(start(&split(&words), &run_time), &run_time);
    assert_eq!(ended.err, "", "{}", ended.out);
    let document = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    let schema = serde_json::from_str(include_str!("../../docs/schema/run.schema.json")).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let wrong: Vec<_> =
        validator.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    (ended, document)
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

#[test]
fn every_syn_of_a_flood_is_answered_and_both_ends_agree() {
    for (pace, repeats) in [("", 1), ("--rate 20k --repeats 2", 2)] {
        let (ended, document) = measured(&format!("bench --profile flood {pace}"));
        assert_eq!(ended.status, Some(0), "{}", ended.out);
        assert!(ended.out.contains("SYNs answered/s") && ended.out.contains("100.0000 %"), "{}", ended.out);
        assert!(ended.out.contains("all frames are back"), "{}", ended.out);
        let runs = document["runs"].as_array().unwrap();
        assert_eq!(runs.len(), repeats);
        for run in runs {
            let (flood, account) = (&run["flood"], &run["flood"]["account"]);
            let sent = count(&account["syns"]);
            assert!(sent > 0 && count(&flood["syns"]) > 0);
            assert_eq!((count(&account["answered"]), count(&account["answered_by_server"])), (sent, sent));
            assert_eq!((count(&account["unanswered"]), count(&account["wrong"])), (0, 0));
            assert_eq!(flood["answered_share"], 1.0);
            assert!(flood["cycles_per_syn"].as_f64().unwrap() > 0.0);
            assert!(flood["floor_cycles_per_syn"].as_f64().unwrap() > 0.0);
            for side in ["client", "server"] {
                assert_eq!((&run[side]["established"], &run[side]["connections"]), (&0.into(), &0.0.into()));
            }
            assert!(run.get("losses").is_none(), "{run}");
        }
    }
}

#[test]
fn a_flood_at_a_rate_sends_what_is_due() {
    let (_, document) = measured("bench --profile flood --rate 10k");
    // Half of the ramp's 20 ms, 50 of warm-up, 200 that are measured.
    let sent = count(&document["runs"][0]["flood"]["account"]["syns"]);
    assert!(sent.abs_diff(2_600) <= 1, "{sent}");
    assert_eq!(
        (&document["runs"][0]["rate"], &document["runs"][0]["concurrency"]),
        (&10e3.into(), &Value::Null)
    );
}

#[test]
fn a_flood_beside_another_profile_runs_once() {
    let (ended, document) = measured("bench --profile open,flood --concurrency 1,8");
    assert_eq!(ended.status, Some(0), "{}", ended.out);
    let runs = document["runs"].as_array().unwrap();
    let profiles: Vec<_> = runs.iter().map(|run| run["profile"].as_str().unwrap()).collect();
    assert_eq!(profiles, ["open", "flood", "open"]);
    assert!(runs[0].get("flood").is_none() && runs[0]["series"][0]["syns"].is_null());
}

#[test]
fn a_stream_s_text_is_told_beside_that_of_a_loop_where_it_goes_one_way() {
    for (direction, is_one_way) in [("up", true), ("down", true), ("both", false)] {
        let words = format!("bench --profile stream --bytes 100k --concurrency 1 --direction {direction}");
        let (ended, document) = measured(&words);
        assert_eq!(ended.status, Some(0), "{}", ended.out);
        assert!(ended.out.contains(" Gbit/s of text"), "{}", ended.out);
        assert_eq!(ended.out.contains("of a loop that copies and sums it"), is_one_way, "{}", ended.out);
        let stream = &document["runs"][0]["stream"];
        let [bits, copied, ratio] =
            ["bits_per_second", "copied_bits_per_second", "ratio_to_copies"].map(|key| stream[key].as_f64());
        assert!(bits.unwrap() > 0.0, "{stream}");
        assert_eq!((copied.is_some(), ratio), (is_one_way, copied.map(|copied| bits.unwrap() / copied)));
    }
}

#[test]
fn a_search_up_to_a_low_rate_names_that_rate_as_its_limit() {
    let (ended, document) = measured("bench max-rate self --from 1k --to 4k --latency-max 1h --loss-max 50%");
    assert_eq!(ended.status, Some(0), "{}", ended.out);
    assert!(ended.out.contains("\nhighest rate: 4,000/s"), "{}", ended.out);
    assert!(ended.out.contains("\nlimited by: --to, which was reached"), "{}", ended.out);
    let runs = document["runs"].as_array().unwrap();
    let tried: Vec<_> = runs
        .iter()
        .map(|run| {
            let trial = &run["trial"];
            assert_eq!(trial["held"], true, "{trial}");
            (run["rate"].as_f64().unwrap(), trial["purpose"].as_str().unwrap(), count(&run["repeat"]))
        })
        .collect();
    let wanted = [(1e3, "grow", 1), (2e3, "grow", 1), (4e3, "grow", 1), (4e3, "confirm", 2)];
    assert_eq!(tried, wanted);
    assert_eq!(ended.out.lines().filter(|line| line.starts_with("trial ")).count(), runs.len());
    // Half of the ramp, the warm-up, and twice the duration: 10 + 50 + 400 ms.
    let confirmed = &runs[3]["client"]["account"];
    assert!(count(&confirmed["attempted"]).abs_diff(1_840) <= 1, "{confirmed}");
}

#[test]
fn where_not_even_the_lowest_rate_holds_the_status_says_so() {
    // All of them still think when the run is over, and are cut.
    let (ended, document) = measured(
        "bench max-rate self --from 500 --latency-max 1h --talk echo --close fin --think 1m --drain 0",
    );
    assert_eq!(ended.status, Some(1), "{}", ended.out);
    assert!(ended.out.contains("\nhighest rate: none, since --from did not hold"), "{}", ended.out);
    assert!(ended.out.contains(" broke by cut: It was still open when the drain"), "{}", ended.out);
    let runs = document["runs"].as_array().unwrap();
    assert_eq!((runs.len(), &runs[0]["trial"]["held"]), (1, &false.into()));
}

#[test]
fn results_that_cannot_be_written_are_told_before_the_run_and_those_of_before_stay_until_its_end() {
    let run_time = RunTime::new();
    let json = run_time.path().join("results.json");
    std::fs::write(&json, "of before").unwrap();
    // The log has no place: nothing is run, for an hour or at all.
    let words =
        format!("bench --link memory --duration 1h --json {} --hdr-log /nowhere/at/all", json.display());
    let ended = end(start(&split(&words), &run_time), &run_time);
    assert_eq!(ended.status, Some(1), "{}", ended.out);
    assert!(ended.err.contains("/nowhere/at/all cannot be written"), "{}", ended.err);
    assert_eq!(std::fs::read_to_string(&json).unwrap(), "of before");
    let ended =
        end(start(&split("bench --link memory --duration 1h --json /nowhere/x"), &run_time), &run_time);
    assert_eq!(ended.status, Some(1), "{}", ended.out);
    assert!(ended.err.contains("/nowhere/x cannot be written"), "{}", ended.err);
}

#[test]
fn connections_stand_beside_a_flood_to_its_end_and_every_frame_comes_back() {
    let (ended, document) = measured("bench --profile flood --beside 20k --repeats 2");
    assert_eq!(ended.status, Some(0), "{}", ended.out);
    assert!(ended.out.contains("flood beside 20,000 connections, "), "{}", ended.out);
    assert!(ended.out.contains("all frames are back"), "{}", ended.out);
    for run in document["runs"].as_array().unwrap() {
        assert_eq!((&run["flood"]["beside"], &run["server"]["connections"]), (&20_000.into(), &20e3.into()));
        let account = &run["flood"]["account"];
        assert_eq!(count(&account["answered"]), count(&account["syns"]), "{account}");
        assert_eq!(count(&account["answered_by_server"]), count(&account["syns"]), "{account}");
        assert!(run.get("losses").is_none() && !run.to_string().contains("were lost"), "{run}");
    }
}

#[test]
fn a_closed_port_refuses_some_and_drops_the_rest_and_all_are_accounted_for() {
    for beside in ["", "--beside 5k"] {
        let (ended, document) = measured(&format!("bench --profile flood --closed {beside}"));
        assert_eq!(ended.status, Some(0), "{}", ended.out);
        assert!(ended.out.contains("flood of a closed port") && ended.out.contains("all frames are back"));
        let run = &document["runs"][0];
        let (flood, account) = (&run["flood"], &run["flood"]["account"]);
        assert_eq!((&flood["closed"], &account["answered"]), (&true.into(), &0.into()));
        let [sent, refused, dropped] = ["syns", "refused", "dropped"].map(|key| count(&account[key]));
        assert!(refused > 0 && dropped > 0, "{account}");
        assert_eq!((refused + dropped, &account["unanswered"]), (sent, &0.into()), "{account}");
        assert_eq!(account["refused"], account["refused_by_server"]);
        assert!(flood["cycles_per_syn"].as_f64() > flood["floor_cycles_per_syn"].as_f64(), "{flood}");
        assert!(run.get("losses").is_none() && !run.to_string().contains("were lost"), "{run}");
    }
}

#[test]
fn a_sweep_says_what_many_connections_cost_more_and_how_many_random_lines_that_is() {
    let (ended, document) = measured("bench --profile open,crr --concurrency 1k,8");
    assert_eq!(ended.status, Some(0), "{}", ended.out);
    assert!(ended.out.contains("\na random line, others in flight: "), "{}", ended.out);
    assert!(ended.out.contains("\ncrr, 1,000 at a time beside 8: "), "{}", ended.out);
    let line = &document["random_line"];
    let cycles = line["cycles"].as_f64().unwrap();
    assert!(cycles > 0.0 && count(&line["bytes"]) > 1 << 20, "{line}");
    let flatness = document["flatness"].as_array().unwrap();
    let profiles: Vec<_> = flatness.iter().map(|flat| flat["profile"].as_str().unwrap()).collect();
    assert_eq!(profiles, ["open", "crr"]);
    for flat in flatness {
        assert_eq!((count(&flat["least"]), count(&flat["most"])), (8, 1_000));
        let [more, lines] = ["cycles_per_connection", "random_lines"].map(|key| flat[key].as_f64().unwrap());
        assert!((more - lines * cycles).abs() < 1e-6 * more.abs().max(1.0), "{flat}");
    }
    // Linux says what lies on which pages.
    if cfg!(target_os = "linux") {
        assert!(ended.out.contains("\n  tables on "), "{}", ended.out);
        for tables in [&document["runs"][0]["tables"], &line["tables"]] {
            assert!(count(&tables["bytes"]) > 1 << 20, "{tables}");
        }
    }
}
