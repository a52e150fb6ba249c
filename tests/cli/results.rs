//! Results that are judged: expectations, and two documents beside each other.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Ended, RunTime, is_refused, run, split};

/// A short bench between two loops in memory; not so short that it is over before anything is measured.
fn bench(options: &str) -> Ended {
    let line = "bench --link memory --cores 1 --profile crr --connections 10000 --concurrency 8 --ramp 0 --duration 1m \
                --time-wait 1ms --stats-interval 0 ";
    run(&split(&format!("{line}{options}")))
}

#[test]
fn the_exit_status_says_whether_all_held_that_was_expected() {
    let run_time = RunTime::new();
    let json = run_time.path().join("run.json");
    let held = bench(&format!("--json {} --expect established>=100% p99.syn<1m", json.display()));
    assert_eq!((held.status, held.err.as_str()), (Some(0), ""), "{}", held.out);
    assert!(held.out.contains("expected established>=100%  (100% (10,000 of 10,000)): held"), "{}", held.out);
    let document: Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    let expected = document["runs"][0]["expected"].as_array().unwrap();
    assert_eq!(
        (expected[0]["text"].as_str(), expected[1]["held"].as_bool()),
        (Some("established>=100%"), Some(true))
    );

    let failed = bench(&format!("--repeats 2 --json {} --expect established<10k", json.display()));
    assert_eq!(failed.status, Some(1), "{}", failed.out);
    let sentence =
        "2 of 2 expectations did not hold: of crr, 8 at a time, repeat 1: established<10k (10,000)";
    assert_eq!(failed.err, format!("dpdk-tcp: {sentence}\n"));
    assert_eq!(failed.out.matches(": failed\n").count(), 2, "{}", failed.out);
    assert!(json.exists(), "the results are written all the same");
}

/// The document with some figure of the client multiplied.
fn changed(document: &Value, figure: &str, factor: f64, path: &Path) {
    let mut document = document.clone();
    for run in document["runs"].as_array_mut().unwrap() {
        run["client"][figure] = (run["client"][figure].as_f64().unwrap() * factor).into();
    }
    fs::write(path, document.to_string()).unwrap();
}

#[test]
fn the_exit_status_says_whether_the_second_result_is_worse() {
    let run_time = RunTime::new();
    let file = |name: &str| run_time.path().join(name);
    let before = file("before.json");
    assert_eq!(bench(&format!("--repeats 3 --json {}", before.display())).status, Some(0));
    let document: Value = serde_json::from_slice(&fs::read(&before).unwrap()).unwrap();
    let (slower, better) = (file("slower.json"), file("better.json"));
    changed(&document, "packets_per_connection", 1.5, &slower);
    changed(&document, "packets_per_connection", 0.5, &better);
    let compare = |a: &PathBuf, b: &PathBuf, options: &str| {
        run(&split(&format!("compare {} {} {options}", a.display(), b.display())))
    };
    let same = compare(&before, &before, "");
    assert_eq!((same.status, same.err.as_str()), (Some(0), ""), "{}", same.out);
    assert!(same.out.contains("client connections_per_second"), "{}", same.out);
    assert_eq!(compare(&before, &better, "").status, Some(0));
    let worse = compare(&before, &slower, "");
    assert_eq!(worse.status, Some(1), "{}", worse.out);
    assert!(worse.out.contains("WORSE"), "{}", worse.out);
    assert!(worse.err.starts_with("dpdk-tcp: 1 of "), "{}", worse.err);
    assert_eq!(compare(&before, &slower, "--threshold 60%").status, Some(0), "within the threshold");
}

#[test]
fn results_that_cannot_be_compared_are_named() {
    let run_time = RunTime::new();
    let file = |name: &str, text: &str| {
        let path = run_time.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let head = r#"{"schema":"dpdk-tcp/run/1","command":[],"versions":{},"runs":[],
                   "machine":{"cpu":"","cpus":1,"tsc_hz":1,"kernel":"","pages":""},
                   "device":{"name":"","driver":"","mtu":0,"checksums":""}}"#;
    let (empty, newer) = (file("empty.json", head), file("newer.json", &head.replace("run/1", "run/2")));
    let (other, part) = (file("other.json", "{}"), file("part.json", r#"{"schema":"dpdk-tcp/run/1"}"#));
    for (second, cause) in [
        (newer, "newer.json: its format is `dpdk-tcp/run/2`"),
        (other, "other.json: it is no document of this program"),
        (part, "part.json: it breaks its own format"),
        ("/nowhere.json".to_owned(), "/nowhere.json cannot be read: No such file"),
        (empty.clone(), "the documents have no run with the same profile"),
    ] {
        is_refused(&["compare", &empty, &second], 2, cause);
    }
}
