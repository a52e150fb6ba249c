//! The program itself on devices without a kernel behind them: which core serves which port, and how it ends.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::child;
use crate::lab::{Ended, Program, wait_until};

#[test]
fn a_device_that_gives_only_nonsense_is_served_for_its_time() {
    let started = Instant::now();
    let program = Program::start(&["-l", "0", "--vdev", "net_null0"], &["--duration", "1s"]);
    let ended = program.end();
    assert!(started.elapsed() >= Duration::from_secs(1));
    ended.assert_clean();
    assert!(ended.out.contains("ready net_null0 198.18.0.1\n"), "{}", ended.out);
    all_dropped_by_name(&ended);
}

/// The device gives out frames of the pool as they are: of zeros, or with what was in them when they were sent,
/// which is our own announcement. Nothing of it is of use, and every frame has its reason.
#[track_caller]
fn all_dropped_by_name(ended: &Ended) {
    assert!(ended.count("ether_type") > 1_000, "{}", ended.out);
    let reasons = ["ether_type", "arp_echo", "arp_not_ours"].map(|reason| ended.count(reason));
    assert_eq!(reasons.iter().sum::<u64>(), ended.count("rx_frames"), "{}", ended.out);
}

/// The lines of the banner about cores.
fn cores(out: &str) -> Vec<&str> {
    let lines = out.lines().take_while(|line| !line.starts_with("ready "));
    lines.filter_map(|line| line.trim_start().strip_prefix("core")).map(str::trim_start).collect()
}

#[test]
fn one_core_serves_two_ports() {
    let devices = ["--vdev", "net_null0", "--vdev", "net_null1"];
    let ours = ["--duration", "300ms", "--addr", "10.1.0.1/24@1"];
    let ended = Program::start(&[&["-l", "0"], &devices[..]].concat(), &ours).end();
    ended.assert_clean();
    assert_eq!(cores(&ended.out), ["0 (CPU 0) polls net_null0, net_null1"]);
    for ready in ["ready net_null0 198.18.0.1\n", "ready net_null1 10.1.0.1\n"] {
        assert!(ended.out.contains(ready), "{}", ended.out);
    }
}

#[test]
fn each_of_two_cores_serves_a_port_and_a_third_one_idles() {
    let devices = ["--vdev", "net_null0", "--vdev", "net_null1"];
    let lcores = ["--lcores", "(0-2)@0", "--main-lcore", "1"];
    let ended = Program::start(&[&lcores[..], &devices[..]].concat(), &["--duration", "1s"]).end();
    ended.assert_clean();
    let cores = cores(&ended.out);
    assert_eq!(cores[..2], ["0 (CPU 0) polls net_null0", "1 (CPU 0) polls net_null1"]);
    assert!(cores[2].starts_with("2 (CPU 0) idles: "), "{}", ended.out);
    assert!(ended.out.contains("ready net_null0 198.18.0.1\n"), "{}", ended.out);
    assert!(ended.out.contains("ready net_null1 198.18.1.1\n"), "{}", ended.out);
    assert!(ended.out.contains("on 2 loops"), "{}", ended.out);
}

#[test]
fn the_main_core_may_idle_while_others_serve() {
    let lcores = ["--lcores", "0@0,3@0,5@0", "--main-lcore", "5", "--vdev", "net_null0"];
    let mut program = Program::start(&lcores, &[]);
    program.wait_for_line("ready net_null0");
    let ended = program.stop();
    assert_eq!(cores(&ended.out)[0], "0 (CPU 0) polls net_null0");
    assert_eq!(cores(&ended.out).len(), 3);
}

/// A server for so many connections and records once it is ready, its resident memory, and what it says.
fn ready_and_resident(count: &str) -> (u64, String) {
    let eal = ["-l", "0", "--vdev", "net_null0"];
    let mut program = Program::start(&eal, &["--max-connections", count, "--time-wait-max", count]);
    program.wait_for_line("ready net_null0");
    let resident = program.resident();
    (resident, program.stop().out)
}

#[test]
fn the_plan_in_the_banner_agrees_with_the_resident_size() {
    // EAL and the program are larger than all connections in the smallest.
    for count in ["10k", "100k", "1M"] {
        let (resident, out) = ready_and_resident(count);
        let (before, _) = out.split_once(" MiB in all").unwrap();
        let planned = before.rsplit(' ').next().unwrap().parse::<u64>().unwrap() << 20;
        let ratio = resident as f64 / planned as f64;
        assert!((0.98..=1.02).contains(&ratio), "{count}: {ratio} {out}");
    }
}

#[test]
fn tables_lie_on_hugetlb_where_twice_as_much_is_free() {
    // 140 MiB, with a page more for each table.
    const WANTED: u64 = 140 << 20;
    // Other tests may have them, for a while.
    for _ in 0..10 {
        if child::free_hugetlb() < 3 * WANTED {
            return println!("there are too few hugepages");
        }
        let (_, out) = ready_and_resident("1k");
        let lie = out.lines().find_map(|line| line.trim().strip_prefix("memory   tables on ")).unwrap();
        if lie.starts_with("hugetlb (100 %") {
            return;
        }
    }
    panic!("enough hugepages were free ten times, and tables never lay on them");
}

#[test]
fn an_address_of_another_port_is_wrong_use() {
    for (address, part) in [
        ("10.0.0.1/24@5", "names a port that is not there; there are 0 (net_null0)"),
        ("10.0.0.1/24@net_tap0", "names a port that is not there; there are 0 (net_null0)"),
    ] {
        let ended = Program::start(&["-l", "0", "--vdev", "net_null0"], &["--addr", address]).end();
        assert_eq!((ended.status.code(), ended.out.as_str()), (Some(2), ""), "{}", ended.err);
        assert!(ended.err.starts_with("dpdk-tcp: ") && ended.err.contains(part), "{}", ended.err);
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    }
}

#[test]
fn a_gateway_or_neighbour_beside_no_port_is_wrong_use() {
    for (option, value) in [("--gateway", "10.0.0.1"), ("--neighbour", "10.0.0.1=02:00:00:00:00:01")] {
        let ended = Program::start(&["-l", "0", "--vdev", "net_null0"], &[option, value]).end();
        assert_eq!(ended.status.code(), Some(2), "{}", ended.err);
        assert!(
            ended.err.contains(option) && ended.err.contains("10.0.0.1 lies in no port's subnet"),
            "{}",
            ended.err
        );
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
    }
}

#[test]
fn a_run_whose_reader_goes_away_ends_in_good_order() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_dpdk-tcp"))
        .args(child::options(&["-l", "0", "--vdev", "net_null0", "--no-shconf"]))
        .args(["--", "--duration", "500ms", "--stats-interval", "10ms"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Nobody reads what it says from now on.
    drop(child.stdout.take());
    let mut status = None;
    wait_until("its end", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    let errors = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    assert_eq!((status.unwrap().code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn a_silent_port_beside_a_loud_one_is_served_as_well() {
    let devices = ["--vdev", "net_null0,no-rx=1", "--vdev", "net_null1,size=1500"];
    let ended = Program::start(&[&["-l", "0"], &devices[..]].concat(), &["--duration", "500ms"]).end();
    ended.assert_clean();
    all_dropped_by_name(&ended);
}
