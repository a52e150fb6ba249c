//! From EAL's last words to one sentence: which error it was, and what to do. Pure, so that each case seen is a
//! row of a test. EAL's error numbers tell little (22 for each wrong option, 0 for a second primary process):
//! the words are looked at first.

use super::error::{EalError, strerror};
use super::log::{LEVEL_ERROR, LEVEL_WARNING, Line};

/// Parts of lines that only repeat that there was a failure.
const EMPTY_WORDS: &[&str] = &[
    "FATAL:",
    "Invalid 'command line' arguments",
    "Error - exiting",
    "Bus (vdev) probe failed",
    "Bus (pci) probe failed",
    "failed to initialize",
    "Cannot init memory",
    "Cannot probe devices",
    "Failed to send start req to secondary",
    "Could not release memory subsystem data",
    "hugepages reported on node",
    "multiq qdisc",
    "Disabling rte flow support",
];

/// Why EAL did not start, from the lines of its log, from what it wrote past the log and from its error number.
pub(super) fn diagnose(log: &[Line], console: &str, number: i32) -> EalError {
    let past_the_log = console.lines().take_while(|line| !line.starts_with("Usage:"));
    let words: Vec<&str> = past_the_log.clone().chain(log.iter().map(|line| line.text.as_str())).collect();
    let find = |part: &str| words.iter().rev().find(|line| line.contains(part)).map(|line| plain(line));
    if let Some(option) = find("unrecognized option").or_else(|| find("invalid option -- ")) {
        return EalError::UnknownOption { option: unknown_option(&option) };
    }
    type Make = fn(String) -> EalError;
    let cases: [(&str, Make); 16] = [
        ("no mounted hugetlbfs", |reason| EalError::NoHugeMount { reason }),
        ("Not enough memory available", |reason| EalError::NotEnoughMemory { reason }),
        ("requires an argument", |reason| EalError::Options { reason }),
        ("invalid core list", |reason| EalError::Cores { reason }),
        ("invalid coremask", |reason| EalError::Cores { reason }),
        ("invalid parameter for --lcores", |reason| EalError::Cores { reason }),
        ("Main lcore is not enabled", |reason| EalError::Cores { reason }),
        ("main-lcore", |reason| EalError::Cores { reason }),
        ("Is another primary process running", |reason| EalError::SecondPrimary { reason }),
        ("for rte_mem_config", |reason| EalError::NoPrimary { reason }),
        ("Error creating '", |reason| EalError::RuntimeDirectory { reason }),
        ("Cannot create runtime directory", |reason| EalError::RuntimeDirectory { reason }),
        ("Permission denied", |reason| EalError::HugepagePermission { reason }),
        ("Cannot get hugepage information", |_| EalError::NoHugepages),
        ("Unable to parse device", |reason| EalError::UnknownDriver { device: quoted(&reason) }),
        ("already called initialization", |_| EalError::AlreadyStarted),
    ];
    for (part, make) in cases {
        if let Some(reason) = find(part) {
            return make(reason);
        }
    }
    // Past the log only the worst is written; the log's own chatter says nothing of a failure.
    let reason =
        last_words(log).or_else(|| past_the_log.filter(|line| says_something(line)).last().map(plain));
    let bad_options = words.iter().any(|line| line.contains("Invalid 'command line' arguments"));
    match reason {
        Some(reason) if bad_options => EalError::Options { reason },
        Some(reason) => EalError::Other { reason },
        None => EalError::Other { reason: strerror(number) },
    }
}

/// The last line that is an error and says something; else the last warning that does.
fn last_words(log: &[Line]) -> Option<String> {
    let last = |worst: u32| log.iter().rev().find(|line| line.level <= worst && says_something(&line.text));
    last(LEVEL_ERROR).or_else(|| last(LEVEL_WARNING)).map(|line| plain(&line.text))
}

/// The first words of a driver that fails, warnings included: what comes after is only that its callers failed,
/// too. Where the driver has none, EAL's own errors.
pub(super) fn first_words(log: &[Line]) -> Option<String> {
    let of_eal = |line: &Line| line.text.starts_with("EAL: ") || line.text.starts_with("TELEMETRY: ");
    let telling =
        |worst: u32| log.iter().filter(move |line| line.level <= worst && says_something(&line.text));
    let first = telling(LEVEL_WARNING).find(|line| !of_eal(line)).or_else(|| telling(LEVEL_ERROR).next());
    first.map(|line| plain(&line.text))
}

/// Why a device that was asked for did not appear: its driver's words before EAL gave it up, and what to do.
pub(super) fn device_absent(log: &[Line], device: &str) -> EalError {
    let given_up = format!("failed to initialize {device} device");
    let end = log.iter().position(|line| line.text.contains(&given_up)).unwrap_or(log.len());
    // What stands before belongs to the devices before it.
    let before = log.get(..end).unwrap_or_default();
    let last = before.iter().rposition(|line| line.text.contains("failed to initialize"));
    let own = before.get(last.map_or(0, |place| place + 1)..).unwrap_or_default();
    let reason = first_words(own).unwrap_or_else(|| "its driver gave no reason".to_owned());
    EalError::DeviceAbsent { device: device.to_owned(), cure: device_cure(device, &reason), reason }
}

fn device_cure(device: &str, reason: &str) -> &'static str {
    if reason.contains("Operation not permitted") || reason.contains("Permission denied") {
        "run as root or with CAP_NET_ADMIN and CAP_NET_RAW, or inside `unshare -r -n` with RUNTIME_DIRECTORY set"
    } else if reason.contains("/dev/net/tun") {
        "load the kernel's tun module with `modprobe tun`"
    } else if ["No such device", "ioctl", "interface"].iter().any(|part| reason.contains(part)) {
        "look whether the interface named by `iface=` exists and whether its name has at most 15 characters"
    } else if device.starts_with("net_memif") {
        "look at `role=`, `id=` and `socket=`, and whether the other end runs with the opposite role"
    } else {
        "look at the device's arguments in the guide of its driver"
    }
}

fn says_something(line: &str) -> bool {
    !line.trim().is_empty() && !EMPTY_WORDS.iter().any(|part| line.contains(part))
}

/// The line without the name of the part of EAL that wrote it.
fn plain(line: &str) -> String {
    let line = line.trim();
    line.strip_prefix("EAL: ").unwrap_or(line).trim_end_matches(['.', '!']).to_owned()
}

/// What stands in the first pair of single quotes.
fn quoted(line: &str) -> String {
    line.split('\'').nth(1).unwrap_or(line).to_owned()
}

/// The option out of `prog: unrecognized option '--x'` or `prog: invalid option -- 'x'`.
fn unknown_option(line: &str) -> String {
    let name = quoted(line);
    if name.starts_with('-') { name } else { format!("-{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(texts: &[&str]) -> Vec<Line> {
        texts.iter().map(|text| Line { level: LEVEL_ERROR, text: (*text).to_owned() }).collect()
    }

    #[track_caller]
    fn says(lines: &[&str], console: &str, number: i32, wanted: &[&str]) {
        let sentence = diagnose(&log(lines), console, number).to_string();
        for part in wanted {
            assert!(sentence.contains(part), "{part:?} is missing in: {sentence}");
        }
        assert!(!sentence.contains('\n'), "{sentence}");
    }

    #[test]
    fn each_known_failure_names_its_cure() {
        says(
            &["EAL: Cannot get hugepage information."],
            "EAL: FATAL: Cannot get hugepage information.\n",
            13,
            &["no hugepages", "scripts/hugepages"],
        );
        says(
            &["EAL: 1024 hugepages of size 2097152 reserved, but no mounted hugetlbfs found for that size"],
            "EAL: FATAL: Cannot get hugepage information.\n",
            13,
            &["no hugetlbfs is mounted", "--in-memory"],
        );
        says(
            &[
                "EAL: Not enough memory available! Requested: 100000MB, available: 2048MB",
                "EAL: Cannot init memory",
            ],
            "",
            12,
            &["100000MB", "-m MEGABYTES"],
        );
        says(
            &[
                "EAL: get_seg_fd(): open '/dev/hugepages/nbmap_0' failed: Permission denied",
                "EAL: Cannot init memory",
            ],
            "",
            12,
            &["may not be used by this user", "--in-memory"],
        );
        says(
            &["EAL: Cannot create lock on '/var/run/dpdk/two/config'. Is another primary process running?"],
            "",
            0,
            &["another DPDK program", "--file-prefix"],
        );
        says(&["EAL: Cannot open '/var/run/dpdk/t3/config' for rte_mem_config"], "", 0, &["--proc-type"]);
        says(&["EAL: Error creating '/var/run/dpdk/rte': Permission denied"], "", 22, &["RUNTIME_DIRECTORY"]);
        says(&["EAL: Unable to parse device 'net_nope'"], "EAL: FATAL: Cannot init\n", 19, &["`net_nope`"]);
        says(&["EAL: already called initialization."], "", 114, &["only once"]);
    }

    #[test]
    fn wrong_options_are_told_from_wrong_cores() {
        let fatal = "EAL: FATAL: Invalid 'command line' arguments.";
        says(
            &[
                "EAL: lcore 2 unavailable",
                "EAL: invalid core list, please check specified cores are part of 0-1",
                fatal,
            ],
            "Usage: dpdk-tcp [options]\n lots\n",
            22,
            &["refuses the core list", "part of 0-1"],
        );
        says(
            &[fatal],
            "dpdk-tcp: unrecognized option '--addr'\nUsage: x\n",
            22,
            &["no option `--addr`", "after `--`"],
        );
        let console = "dpdk-tcp: option requires an argument -- 'l'\n\nUsage: x\n";
        says(
            &["EAL: Detected NUMA nodes: 1", fatal],
            console,
            22,
            &["refuses its options", "requires an argument"],
        );
        says(&["EAL: Main lcore is not enabled for DPDK", fatal], "", 22, &["refuses the core list"]);
        says(&[fatal], "dpdk-tcp: invalid option -- 'q'\nUsage: x\n", 22, &["no option `-q`"]);
        says(
            &["EAL: invalid parameters for --iova-mode", fatal],
            "",
            22,
            &["refuses its options", "--iova-mode"],
        );
    }

    #[test]
    fn without_any_words_the_error_number_speaks() {
        says(&[], "", 12, &["Cannot allocate memory"]);
        says(
            &[],
            "EAL: FATAL: Invalid 'command line' arguments.\nUsage: x\n -l lots\n",
            22,
            &["Invalid argument"],
        );
    }

    #[test]
    fn an_absent_device_gets_the_first_words_of_its_own_driver() {
        let lines = log(&[
            "EAL: No free 1048576 kB hugepages reported on node 0",
            "EAL: something of EAL's own",
            "tun_alloc(): Unable to set TUNSETIFF for a: Operation not permitted",
            "eth_dev_tap_create(): TAP Unable to initialize net_tap0",
            "EAL: vdev_probe(): failed to initialize net_tap0 device",
            "memif: bad role",
            "EAL: vdev_probe(): failed to initialize net_memif0 device",
            "EAL: Bus (vdev) probe failed.",
        ]);
        let tap = device_absent(&lines, "net_tap0").to_string();
        assert!(
            tap.contains("`net_tap0`") && tap.contains("TUNSETIFF") && tap.contains("CAP_NET_ADMIN"),
            "{tap}"
        );
        let memif = device_absent(&lines, "net_memif0").to_string();
        assert!(memif.contains("bad role") && memif.contains("role="), "{memif}");
        let other = device_absent(&lines, "net_pcap3").to_string();
        assert!(other.contains("no reason"), "{other}");
        let chatter = Line { level: LEVEL_WARNING + 2, text: "EAL: Selected IOVA mode 'VA'".to_owned() };
        let silent = device_absent(&[chatter], "net_null0").to_string();
        assert!(silent.contains("no reason"), "{silent}");
    }
}
