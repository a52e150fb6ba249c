//! The kernel's TCP in place of ours, over loopback: counts on both sides, signals, and what it cannot do.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Ended, RunTime, end, is_refused, run, split, start};

/// A port that nobody has just now.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// A document, which keeps to its schema.
#[track_caller]
fn document(path: &Path) -> Value {
    let schema = serde_json::from_str(include_str!("../../docs/schema/run.schema.json")).unwrap();
    let document = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let wrong: Vec<_> =
        validator.iter_errors(&document).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    document
}

fn sum(counts: &Value) -> u64 {
    counts.as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum()
}

/// So many connections were begun and closed as planned, and nothing else happened.
#[track_caller]
fn all_closed(side: &Value, count: u64) {
    let account = &side["account"];
    assert_eq!((account["attempted"].as_u64(), sum(&account["closed"])), (Some(count), count), "{account:#}");
    assert_eq!((sum(&account["failed"]), sum(&account["broken"])), (0, 0), "{account:#}");
}

/// Waits until the program has written this.
#[track_caller]
fn wait_for(what: &str, run_time: &RunTime) {
    let started = Instant::now();
    while !fs::read_to_string(run_time.path().join("out")).unwrap().contains(what) {
        assert!(started.elapsed() < Duration::from_secs(30), "{what:?} does not come");
        thread::sleep(Duration::from_millis(2));
    }
}

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// Waits until nobody listens there.
#[track_caller]
fn listens_no_more(port: u16) {
    let started = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
        assert!(started.elapsed() < Duration::from_secs(30), "it goes on listening");
    }
}

/// A server on the kernel's sockets that is ready.
#[track_caller]
fn serve(options: &str, run_time: &RunTime) -> Child {
    let json = run_time.path().join("serve.json");
    let words = format!("serve --backend kernel --stats-interval 0 --json {} {options}", json.display());
    let child = start(&split(&words), run_time);
    // Behind what it was told, if anything.
    let at = options.split(' ').skip_while(|word| *word != "--addr").nth(1).unwrap_or("0.0.0.0/0");
    wait_for(&format!("ready kernel {}\n", at.split('/').next().unwrap()), run_time);
    child
}

#[test]
fn every_profile_of_bench_has_the_same_counts_on_both_sides() {
    for cores in ["1", "2"] {
        let run_time = RunTime::new();
        let json = run_time.path().join("bench.json");
        let line = format!(
            "bench --backend kernel --cores {cores} --profile open,open-close,crr,stream --connections 300 \
             --concurrency 8 --ramp 0 --duration 1m --stats-interval 0 --json {} --expect established=300 failed=0 broken=0",
            json.display()
        );
        let ended = run(&split(&line));
        assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
        let document = document(&json);
        assert_eq!(document["device"]["name"], "kernel");
        assert_eq!(document["device"]["driver"], "loopback");
        let runs = document["runs"].as_array().unwrap();
        let profiles: Vec<_> = runs.iter().map(|run| run["profile"].as_str().unwrap()).collect();
        assert_eq!(profiles, ["open", "open-close", "crr", "stream"]);
        for run in runs {
            all_closed(&run["client"], 300);
            all_closed(&run["server"], 300);
            assert!(run["client"]["cycles_per_connection"].as_f64().unwrap() > 0.0, "{run:#}");
            assert_eq!(run["expected"].as_array().unwrap().len(), 3);
        }
        assert_eq!(sum(&runs[0]["server"]["account"]["closed"]), 300, "resets that were planned");
        assert_eq!(runs[2]["client"]["account"]["replies"], 300);
        assert_eq!(runs[3]["client"]["account"]["requests"], 3_000);
    }
}

#[test]
fn client_and_server_serve_each_other_and_agree() {
    let run_time = RunTime::new();
    let [reply, echo, http] = [free_port(), free_port(), free_port()];
    let server =
        serve(&format!("--listen {reply}=reply --listen {echo}=echo --listen {http}=http"), &run_time);
    let loads = [
        (reply, "--profile crr --talk raw --connections 200 --concurrency 5"),
        (
            echo,
            "--profile stream --talk echo --verify --requests 3 --connections 50 --concurrency 10 --ttl 9 --dscp 46 --mss 1000",
        ),
        (http, "--profile crr --connections 70 --rate 1k --source 127.9.0.0/24 --window 64k"),
    ];
    for (port, load) in loads {
        let (json, count) =
            (run_time.path().join("connect.json"), &load[load.find("--connections ").unwrap() + 14..]);
        let count: u64 = split(count)[0].parse().unwrap();
        let line = format!(
            "connect 127.0.0.1:{port} --backend kernel --stats-interval 0 --duration 1m --json {} {load} --expect failed=0 broken=0",
            json.display()
        );
        let ended = run(&split(&line));
        assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
        let document = document(&json);
        all_closed(&document["runs"][0]["client"], count);
        assert!(document["runs"][0]["server"].is_null());
        assert!(document["runs"][0]["client"]["histograms"]["established"]["count"].as_u64() == Some(count));
    }
    interrupt(&server);
    let ended = end(server, &run_time);
    assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    let document = document(&run_time.path().join("serve.json"));
    let side = &document["runs"][0]["server"];
    all_closed(side, 320);
    assert_eq!(side["account"]["closed"]["fin"], 200, "reply closes first");
    assert_eq!(side["account"]["open"], 0);
    assert!(ended.out.contains("account of the server"), "{}", ended.out);
}

#[test]
fn a_signal_lets_what_is_open_finish_and_takes_nothing_more() {
    let (run_time, port) = (RunTime::new(), free_port());
    let server = serve(&format!("--listen {port}=echo --drain 1m"), &run_time);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut exchange = || {
        let mut back = [0; 5];
        stream.write_all(b"hello").unwrap();
        stream.read_exact(&mut back).unwrap();
        assert_eq!(&back, b"hello");
    };
    exchange();
    interrupt(&server);
    listens_no_more(port);
    exchange();
    drop(stream);
    let ended = end(server, &run_time);
    assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    let account = &document(&run_time.path().join("serve.json"))["runs"][0]["server"]["account"];
    assert_eq!((account["open"].as_u64(), sum(&account["failed"])), (Some(0), 0));
    assert!(account["octets_sent"].as_u64() == Some(10), "{account:#}");
}

#[test]
fn what_is_still_open_after_the_drain_is_cut_and_a_second_signal_waits_for_nothing() {
    let (run_time, port) = (RunTime::new(), free_port());
    let server = serve(&format!("--listen {port}=discard --duration 300ms --drain 50ms"), &run_time);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let ended = end(server, &run_time);
    assert_eq!(ended.status, Some(0), "{}{}", ended.out, ended.err);
    let account = &document(&run_time.path().join("serve.json"))["runs"][0]["server"]["account"];
    assert_eq!(account["broken"]["cut"], 1, "{account:#}");
    assert!(stream.read(&mut [0; 1]).is_err(), "it was reset");

    let (run_time, port) = (RunTime::new(), free_port());
    let server = serve(&format!("--listen {port}=discard --drain 1h"), &run_time);
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    interrupt(&server);
    listens_no_more(port);
    interrupt(&server);
    let ended = end(server, &run_time);
    assert_eq!(ended.status, Some(1), "{}", ended.out);
    assert_eq!(ended.err, "dpdk-tcp: left at a second signal, without an account\n");
    assert!(!ended.out.contains("account of the server"), "{}", ended.out);
    drop(stream);
}

#[test]
fn a_signal_ends_a_client_with_an_account_that_balances() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (run_time, port) = (RunTime::new(), listener.local_addr().unwrap().port());
    let json = run_time.path().join("connect.json");
    let line = format!(
        "connect 127.0.0.1:{port} --backend kernel --profile open-close --concurrency 4 --hold --duration 1h \
         --drain 50ms --json {}",
        json.display()
    );
    let client = start(&split(&line), &run_time);
    let streams: Vec<_> = (0..4).map(|_| listener.accept().unwrap()).collect();
    interrupt(&client);
    let ended = end(client, &run_time);
    assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    let account = &document(&json)["runs"][0]["client"]["account"];
    // Nobody answered their FINs.
    assert_eq!(
        (account["attempted"].as_u64(), account["broken"]["cut"].as_u64()),
        (Some(4), Some(4)),
        "{account:#}"
    );
    drop(streams);
}

#[test]
fn a_target_that_refuses_is_counted_and_fails_what_was_expected() {
    let run_time = RunTime::new();
    let line = format!(
        "connect 127.0.0.1:{} --backend kernel --connections 20 --stats-interval 0 --expect established>=99% failed=20",
        free_port()
    );
    let Ended { status, out, err } = end(start(&split(&line), &run_time), &run_time);
    assert_eq!(status, Some(1), "{out}{err}");
    assert_eq!(err, "dpdk-tcp: 1 of 2 expectations did not hold: established>=99% (0% (0 of 20))\n", "{out}");
    assert!(out.contains("failed: refused                           20"), "{out}");
    assert!(out.contains("expected failed=20  (20): held"), "{out}");
}

#[test]
fn an_address_of_the_loopback_s_is_one_to_listen_at() {
    let (run_time, port) = (RunTime::new(), free_port());
    let server = serve(&format!("--addr 127.0.0.9/32 --duration 20s --listen {port}=echo"), &run_time);
    let there = TcpStream::connect((Ipv4Addr::new(127, 0, 0, 9), port));
    let elsewhere = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    assert!(there.is_ok() && elsewhere.is_err(), "{there:?} {elsewhere:?}");
    drop(there);
    interrupt(&server);
    let ended = end(server, &run_time);
    assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
}

#[test]
fn what_the_kernel_cannot_do_is_refused_before_anything_begins() {
    for (line, part) in [
        ("bench --backend kernel --profile flood", "--profile flood is our stack's"),
        (
            "bench --backend kernel --time-wait 1s",
            "--time-wait is our stack's, and --backend kernel is another",
        ),
        (
            "connect 127.0.0.1:80 --backend kernel --close abandon",
            "a kernel socket cannot be left without a word",
        ),
        ("connect 127.0.0.1:80 --backend kernel --no-sack", "--no-sack is our stack's"),
        ("connect 127.0.0.1:80", "127.0.0.1 is in 127.0.0.0/8 (loopback)"),
        ("serve --backend kernel --addr 198.18.0.1/24@0", "names a port that is not there"),
        ("-l 0 -- bench --backend kernel", "bench --backend kernel takes no EAL options"),
        ("-l 0 -- connect 127.0.0.1:80 --backend kernel", "connect --backend kernel takes no EAL options"),
        ("-l 0 -- serve --backend kernel", "serve --backend kernel takes no EAL options"),
    ] {
        is_refused(&split(line), 2, part);
    }
}

#[test]
fn what_the_system_does_not_give_is_one_sentence() {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = format!("serve --backend kernel --listen {port}=echo");
    is_refused(&split(&taken), 1, &format!("the kernel does not listen at 0.0.0.0:{port}: Address"));
    let large = "bench --backend kernel --window 1023M";
    is_refused(&split(large), 1, "raise net.core.rmem_max, or ask for less");
    let small = "bench --backend kernel --mss 64";
    is_refused(&split(small), 1, "the kernel does not take this largest segment: EINVAL");
    let few = format!(
        "ulimit -n 400 && exec {} bench --backend kernel --concurrency 300",
        env!("CARGO_BIN_EXE_dpdk-tcp")
    );
    let output = Command::new("sh").args(["-c", &few]).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(
        err.contains("the load has 600 sockets at a time, and this process may have 208: raise"),
        "{err}"
    );
}
