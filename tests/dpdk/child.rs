//! Runs a test's body in a process of its own, and what the bodies share.

use std::env;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use dpdk_tcp::dpdk::eal::Eal;
use dpdk_tcp::dpdk::mempool::PoolPlan;

/// Names the test whose body is to run, in the environment of the process that runs it.
const MARK: &str = "DPDK_TCP_TEST_BODY";
/// How many seconds a body may take, in the environment of whoever lets it do more than usual.
const TIME: &str = "DPDK_TCP_TEST_SECONDS";
const TIME_USUAL: Duration = Duration::from_secs(60);

/// Runs `body` in another process with the test's full name, behind the words of `wrapper`, and returns what it
/// wrote. `None` in that other process, once the body has run there.
#[track_caller]
pub fn run_behind(wrapper: &[&str], name: &str, body: fn()) -> Option<String> {
    if env::var(MARK).as_deref() == Ok(name) {
        body();
        return None;
    }
    let own = env::current_exe().unwrap().to_string_lossy().into_owned();
    let mut words: Vec<&str> = wrapper.to_vec();
    words.extend([own.as_str(), "--exact", name, "--nocapture", "--test-threads=1"]);
    let file =
        env::temp_dir().join(format!("dpdk-tcp-{}-{}.txt", std::process::id(), name.replace(':', "-")));
    let output = fs::File::create(&file).unwrap();
    // EAL's own files go where they can be taken away afterwards, all of them.
    let run_time = file.with_extension("d");
    fs::create_dir(&run_time).unwrap();
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .env(MARK, name)
        .env("RUNTIME_DIRECTORY", &run_time)
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .spawn()
        .unwrap();
    let time_max = env::var(TIME).map_or(TIME_USUAL, |words| Duration::from_secs(words.parse().unwrap()));
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > time_max {
            child.kill().unwrap();
            break child.wait().unwrap();
        }
        thread::sleep(Duration::from_millis(10));
    };
    let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
    fs::remove_file(&file).unwrap();
    fs::remove_dir_all(&run_time).unwrap();
    assert!(status.success(), "{name} ended with {status}:\n{text}");
    assert!(text.contains("1 passed"), "{name} is not the full name of a test:\n{text}");
    Some(text)
}

/// Runs `body` in another process with the test's full name.
#[track_caller]
pub fn run(name: &str, body: fn()) -> Option<String> {
    run_behind(&[], name, body)
}

/// Whether the test may make a network namespace; says so where it may not.
pub fn can_make_namespaces(name: &str) -> bool {
    let tried = Command::new("unshare").args(["-n", "true"]).stderr(Stdio::null()).status();
    let possible = tried.is_ok_and(|status| status.success());
    if !possible {
        println!("{name} is left out: it needs root, to make a network namespace");
    }
    possible
}

/// Bytes of hugetlb's pages of 2 MiB that nobody has.
pub fn free_hugetlb() -> u64 {
    let text = fs::read_to_string("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages");
    text.ok().and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0) << 21
}

/// EAL's options for a test, and then `more`: memory of pages where enough of them are free.
pub fn options(more: &[&str]) -> Vec<String> {
    let memory: &[&str] = if free_hugetlb() >= 320 << 20 {
        &["--in-memory", "-m", "128"]
    } else {
        &["--no-huge", "--no-shconf", "-m", "256"]
    };
    let common = ["--no-pci", "--no-telemetry"];
    common.iter().chain(memory).chain(more).map(|word| (*word).to_owned()).collect()
}

/// EAL with the options of [`options`].
#[track_caller]
pub fn eal(more: &[&str]) -> Eal {
    match Eal::init(options(more)) {
        Ok(eal) => eal,
        Err(cause) => panic!("{cause}"),
    }
}

/// A pool for a port or two.
pub const fn plan() -> PoolPlan {
    PoolPlan { descriptors: 4_096, queues: 2, lcores: 2, in_flight: 1_024, mtu: 1_500 }
}
