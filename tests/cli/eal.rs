//! EAL's failures, as the program tells them: what could not be known before it started.

#![allow(unsafe_code, reason = "signals")]

use std::thread;
use std::time::Duration;

use crate::{RunTime, end, is_refused, run, split, start};

/// Options that leave hugepages and other programs' files alone.
const QUIETLY: &str = "-l 0 --no-pci --no-telemetry --no-huge --no-shconf -m 256";

#[track_caller]
fn refused(line: &str, status: i32, part: &str) {
    is_refused(&split(&format!("{QUIETLY} {line}")), status, part);
}

#[test]
fn a_run_without_any_port_fails_and_names_two_ways_to_one() {
    refused("", 1, "EAL found no port: bind a network card with scripts/bind, or give a virtual device");
    refused("--", 1, "EAL found no port");
    refused("-- serve", 1, "EAL found no port");
}

#[test]
fn a_device_that_does_not_appear_is_named() {
    refused("--vdev net_nope", 1, "no driver takes the device `net_nope`");
    let long = "abcdefghijklmnopqrst";
    refused(&format!("--vdev net_tap0,iface={long}"), 1, "the device `net_tap0` did not appear");
    refused("--vdev net_null0,nonsense=1", 1, "the device `net_null0` did not appear");
    refused("--vdev net_null0 --vdev net_pcap0,rx_pcap=/nowhere", 1, "the device `net_pcap0` did not appear");
}

#[test]
fn an_option_that_eal_refuses_is_told_in_one_sentence() {
    refused("--addr 10.0.0.1/24", 1, "EAL has no option `--addr`: our own options stand after `--`");
    refused("--iova-mode xy", 1, "invalid parameters for --iova-mode");
    refused("-n 0", 1, "EAL refuses its options");
}

#[test]
fn memory_that_is_not_there_is_told_in_one_sentence() {
    let line = "-l 0 --no-pci --no-telemetry --in-memory -m 4000000 --vdev net_null0";
    let ended = run(&split(line));
    assert_eq!((ended.status, ended.err.lines().count()), (Some(1), 1), "{}", ended.err);
    // Whether pages are reserved here or not.
    assert!(ended.err.contains("memory") || ended.err.contains("hugepages"), "{}", ended.err);
    assert!(ended.err.contains("scripts/hugepages"), "{}", ended.err);
    let many = "--vdev net_null0 -- --max-connections 64M --time-wait-max 256M --buffers 1T";
    refused(many, 1, "MB are available: give a smaller --max-connections");
    let frames = "-l 0 --no-pci --no-telemetry --no-huge --no-shconf -m 4 --vdev net_null0";
    is_refused(&split(frames), 1, "the pool `frames` of ");
}

#[test]
fn addresses_that_fit_no_port_are_wrong_use() {
    refused(
        "--vdev net_null0 -- --addr 10.0.0.1/24 --addr 10.0.1.1/24",
        2,
        "there are 2 addresses for 1 port(s)",
    );
    let both = "--vdev net_null0 --vdev net_null1 -- --addr 10.0.0.1/24 --addr 10.0.0.2/24";
    refused(both, 2, "lie in one subnet");
    refused("--vdev net_null0 -- --gateway 198.18.0.1", 2, "--gateway 198.18.0.1 is an address of ours");
    refused("--vdev net_null0 -- --gateway 198.18.0.255", 2, "broadcast address");
}

#[test]
fn a_second_primary_on_the_same_prefix_is_refused_and_the_first_goes_on() {
    let run_time = RunTime::new();
    let line = "-l 0 --no-pci --no-telemetry --no-huge -m 256 --file-prefix twice --vdev net_null0";
    let words = [&split(line)[..], &["--", "--duration", "3s"]].concat();
    let first = start(&words, &run_time);
    // Its lock is taken while EAL starts; the second looks for it after that.
    thread::sleep(Duration::from_millis(1_500));
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_dpdk-tcp"))
        .args(&words)
        .env("RUNTIME_DIRECTORY", run_time.path())
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&second.stderr);
    assert_eq!((second.status.code(), err.lines().count()), (Some(1), 1), "{err}");
    assert!(err.contains("another DPDK program runs with the same file prefix"), "{err}");
    let ended = end(first, &run_time);
    assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{}", ended.out);
    assert!(ended.out.contains("all frames are back"), "{}", ended.out);
}

#[test]
fn a_signal_while_eal_starts_ends_the_program() {
    let run_time = RunTime::new();
    // Waits for a primary process that never comes.
    let line = "-l 0 --no-pci --no-telemetry --in-memory -m 64 --proc-type secondary";
    let child = start(&split(line), &run_time);
    thread::sleep(Duration::from_millis(700));
    let id = libc::pid_t::try_from(child.id()).unwrap();
    // SAFETY: takes two numbers; the process is a child that nobody has waited for.
    unsafe { libc::kill(id, libc::SIGTERM) };
    let ended = end(child, &run_time);
    assert_ne!(ended.status, Some(0), "{}", ended.err);
    assert_eq!(ended.out, "");
}
