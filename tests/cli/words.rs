//! What is decided before EAL starts: help, versions, and wrong use.

use crate::{is_refused, run, split};

#[test]
fn help_and_version_need_neither_eal_nor_root() {
    for line in [
        "--help",
        "-h",
        "--version",
        "-V",
        "serve --help",
        "serve -h",
        "check --help",
        "-l 0 --help",
        "-l 0-1000 --help",
        "--vdev net_nope --help",
        "-l 0 -- --help",
        "-l 0 -- serve --help",
        "-l 0 -- check --help",
        "connect --help",
        "-l 0 -- connect --help",
        "bench --help",
        "bench max-rate --help",
        "-l 0 -- bench max-rate --help",
        "compare --help",
        "-l 0 --version",
        "-- --version",
    ] {
        let ended = run(&split(line));
        assert_eq!((ended.status, ended.err.as_str()), (Some(0), ""), "{line}");
        assert!(
            ended.out.contains("Words before `--` go to DPDK's environment layer"),
            "{line}: {}",
            ended.out
        );
        assert!(ended.out.ends_with('\n') && !ended.out.contains('\x1b'), "{line}: {}", ended.out);
    }
    assert!(run(&["--version"]).out.starts_with(concat!("dpdk-tcp ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[track_caller]
fn names(page: &str, options: &str) {
    let help = run(&[&split(page)[..], &["--help"]].concat()).out;
    for option in options.split_whitespace() {
        let ends = [" ", "\n"].map(|end| format!("--{option}{end}"));
        assert!(ends.iter().any(|end| help.contains(end)), "{page}: {option}: {help}");
    }
}

#[test]
fn help_names_every_option() {
    let stack = "addr gateway neighbour mtu max-connections time-wait time-wait-max burst tx-burst dad no-tso buffers \
                 send-buffer rto-min ttl dscp congestion backend stats-interval drain json csv hdr-log";
    names("serve", stack);
    names(
        "serve",
        "listen http-body reply-size backlog rst-rate duration per-address syn-cookies receive-buffer",
    );
    let talk = "profile close talk request-size reply-size path host requests bytes direction think verify seed \
                connect-timeout reply-timeout mss window wscale no-timestamps no-sack ecn expect";
    let shape = "rate concurrency hold ramp duration connections stages";
    let here = "link cores checksums";
    names("connect", stack);
    names("connect", talk);
    names("connect", shape);
    names("connect", "source");
    names("bench", talk);
    names("bench", shape);
    names("bench", here);
    names(
        "bench",
        "beside closed repeats time-wait burst tx-burst backend drain json csv hdr-log stats-interval",
    );
    names("bench max-rate", stack);
    names("bench max-rate", talk);
    names("bench max-rate", here);
    names("bench max-rate", "loss-max latency-max from to duration ramp source");
    names("compare", "confidence threshold");
}

#[test]
fn a_command_or_another_word_among_eal_s_options_is_refused() {
    for (line, part) in [
        ("-l 0 serve", "`serve` stands among EAL's options and `--` is missing before it: write `-- serve`"),
        ("-l 0 check", "write `-- check`"),
        ("--no-pci serve --addr 10.0.0.1/24", "write `-- serve`"),
        ("-l 0 connect 198.18.0.2:80", "write `-- connect`"),
        ("-l 0 bench", "write `-- bench`"),
        ("-l 0 compare a b", "write `-- compare`"),
        (
            "-l 0 word",
            "`word` is neither an EAL option nor a command: the commands are serve, check, connect, bench, compare",
        ),
        ("sevre", "`sevre` is neither"),
        ("-l", "`-l` needs a value"),
        ("--no-pci -l --", "`-l` needs a value"),
        ("--vdev", "`--vdev` needs a value"),
        ("-l 0 --no-huge --in-memory", "exclude one another: leave out `--in-memory`"),
    ] {
        is_refused(&split(line), 2, part);
    }
}

#[test]
fn a_core_list_is_refused_before_eal_sees_it() {
    for (line, part) in [
        ("-l 0-1000", "only CPU"),
        ("-l 0-1000", "use `-l 0"),
        ("-l 0-1000", "or let them share with `--lcores '(0-1000)@(0"),
        ("-l 1000", "the cores ask for CPU 1000"),
        ("-c 0", "`0` cannot be read as -c"),
        ("-c zz", "`zz` cannot be read as -c"),
        ("-l abc", "`abc` cannot be read as -l: write cores as in `-l 0-1`"),
        ("-l 0,,1", "cannot be read as -l"),
        ("-l -1", "cannot be read as -l"),
        ("--lcores (0-3)@1000", "the cores ask for CPU 1000"),
        ("--lcores 0@", "cannot be read as --lcores"),
        ("--lcores 0@0,0@0", "lcore 0 is placed twice"),
        ("--lcores 500@0", "lcore 500 is beyond EAL's 128"),
        ("-l 0 -c 1", "cores are given more than once (`-l` and `-c`)"),
        ("-l 0 --lcores 0", "cores are given more than once"),
        ("-l 0 --main-lcore 3", "`--main-lcore 3` is not among the lcores 0"),
    ] {
        is_refused(&split(line), 2, part);
        is_refused(&split(&format!("{line} -- serve --duration 1s")), 2, part);
    }
    is_refused(&["-c", &"f".repeat(200)], 2, "the cores ask for CPUs ");
}

#[test]
fn an_option_of_ours_that_is_wrong_names_itself_and_what_would_do() {
    for (line, part) in [
        ("--addr 1.2.3", "--addr 1.2.3: this is not ADDR/PREFIX"),
        ("--addr 10.0.0.1", "write it like 198.18.0.1/24"),
        ("--addr 10.0.0.0/24", "10.0.0.0 is the network address of its /24 subnet"),
        ("--addr 10.0.0.255/24", "10.0.0.255 is the broadcast address of its /24 subnet"),
        ("--addr 10.0.0.1/33", "the prefix length must be 1 to 32"),
        ("--addr 10.0.0.1/0", "the prefix length must be 1 to 32"),
        ("--addr 127.0.0.1/8", "127.0.0.1 is in 127.0.0.0/8 (loopback)"),
        ("--addr 224.0.0.1/24", "no host's own address"),
        ("--addr 0.0.0.1/24", "--addr 0.0.0.1/24: "),
        ("--addr fd00::1/64", "IPv6 is not served yet"),
        ("--addr 10.0.0.1/24 --addr 10.0.0.1/24", "the address 10.0.0.1 is given to two ports or twice"),
        ("--gateway word", "--gateway word: "),
        ("--gateway 255.255.255.255", "--gateway 255.255.255.255: "),
        ("--neighbour 10.0.0.2", "--neighbour 10.0.0.2: "),
        ("--neighbour 10.0.0.2=ff:ff:ff:ff:ff:ff", "take the address of one interface"),
        ("--neighbour 10.0.0.2=02:00:00:00:00:0g", "--neighbour"),
        ("--listen 80", "--listen 80: this is not PORT=SERVICE; write it like 80=http"),
        ("--listen 80=ftp", "'ftp' is not a service; take echo, discard, chargen, http or reply"),
        ("--listen 0=http", "'0' is not a TCP port"),
        ("--listen 65536=http", "'65536' is not a TCP port"),
        ("--listen 80=http --listen 80=echo", "--listen names TCP port 80 twice"),
        ("--mtu 68", "the MTU in bytes must be 576 to 9000"),
        ("--mtu 9001", "the usual value is 1500"),
        ("--max-connections 0", "must be 1 to 67108864"),
        ("--max-connections many", "--max-connections many: "),
        ("--backlog 0", "the backlog must be 1 to 1048576"),
        ("--time-wait 0", "TIME-WAIT must be 1ms to 1h"),
        ("--time-wait 60x", "'x' is not a unit"),
        ("--time-wait-max 0", "must be 1 to "),
        ("--rst-rate -1", "is not an option of ours"),
        ("--duration 0", "--duration 0: "),
        ("--stats-interval 1ms", "10ms to 1d, or 0 for none"),
        ("--drain 2h", "0s to 1h"),
        ("--burst 0", "the burst must be 1 to 64"),
        ("--burst 65", "the burst must be 1 to 64"),
        ("--http-body 1G", "0 to 256M"),
        ("--buffers 1", "1M to 1T"),
        ("--keep-alive 10m,30s,1", "the number of probes must be 2 to 255"),
        ("--keep-alive 1,2,3,4", "this is not IDLE[,INTERVAL[,PROBES]]; write it like 10m,30s,5"),
        ("--user-timeout 1ms", "the user timeout must be 1s to 12d"),
        ("--send-buffer 1", "the send buffer must be 1k to 1G"),
        ("--receive-buffer 1G", "the receive buffer must be 1k to 512M"),
        ("--per-address 0", "must be 1 to 67108864"),
        ("--ttl 0", "the time to live must be 1 to 255"),
        ("--dscp 64", "the Diffserv codepoint must be 0 to 63"),
        ("--congestion bbr", "take cubic or reno"),
        ("--vdev net_tap0", "EAL's options stand before `--`"),
        ("--backlogg 5", "perhaps --backlog is meant"),
        ("--mtu", "--mtu needs a value"),
        ("--mtu 1500 --mtu 1500", "--mtu is given twice"),
        ("word", "'word' is not a command"),
        ("serve word", "'word' is neither an option nor an option's value"),
        ("--dad serve", "the command 'serve' stands behind an option"),
        ("-- x", "'x' is neither an option nor an option's value"),
    ] {
        is_refused(&split(&format!("-l 0 --no-pci -- {line}")), 2, part);
    }
    is_refused(&["serve", "--mtu", "68"], 2, "--mtu 68");
    is_refused(&["check", "--mtu", "68"], 2, "--mtu 68");
}

#[test]
fn a_client_s_words_that_are_wrong_are_told_before_eal_starts() {
    for (line, part) in [
        ("-l 0 -- connect", "there is no TARGET to connect to"),
        ("connect 198.18.0.2", "TARGET 198.18.0.2: this is not ADDR:PORT"),
        ("connect 198.18.0.2:80 --rate 0", "the rate must be 0.001 to 100M"),
        (
            "connect 198.18.0.2:80 --rate 10k --hold 1m",
            "the load occupies 100,000 pairs of endpoints at a time",
        ),
        ("connect 198.18.0.2:80 --stages /nowhere", "--stages /nowhere: it cannot be read"),
        ("connect 198.18.0.2:80 --expect p99<1", "'p99' cannot be expected"),
        ("bench --profile crr,open,crr", "--profile names crr twice; leave one of the two out"),
        (
            "bench --expect established>=200%",
            "established cannot be 200% of all, and a share is at most 100%",
        ),
        ("bench --concurrency 0", "the number of connections at a time must be 1 to 67108864"),
        ("bench --addr 10.0.0.1/24", "--addr is not an option of ours"),
        (
            "bench --profile open,crr --beside 5",
            "--beside is for --profile flood; leave it out, or take that",
        ),
        ("bench --closed", "--closed is for --profile flood; leave it out, or take that profile"),
        ("bench --profile flood --beside 68M", "connections beside a flood must be 0 to 67108864"),
        (
            "connect 198.18.0.2:80 --beside 5",
            "--beside is not an option of ours here, but of bench; leave it out",
        ),
        (
            "bench max-rate self --closed",
            "--closed is not an option of ours here, but of bench; leave it out",
        ),
        ("bench max-rate", "needs what to measure"),
        ("compare a.json", "compare needs two files"),
        ("-l 0 -- compare a.json b.json", "compare takes no EAL options"),
        ("serve --backend kernel --mtu 1500", "--mtu is our stack's"),
        ("check --backend kernel", "--backend has no meaning for check"),
    ] {
        is_refused(&split(line), 2, part);
    }
}

#[test]
fn words_that_are_empty_or_not_text_are_refused_and_do_not_panic() {
    is_refused(&[""], 2, "is neither an EAL option nor a command");
    is_refused(&["serve", ""], 2, "dpdk-tcp: ");
    is_refused(&["serve", "--addr", ""], 2, "--addr");
    is_refused(&["serve", "--addr="], 2, "--addr");
}

#[cfg(unix)]
#[test]
fn words_that_are_no_utf_8_are_refused_and_do_not_panic() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let output = std::process::Command::new(env!("CARGO_BIN_EXE_dpdk-tcp"))
        .args([OsStr::new("serve"), OsStr::from_bytes(b"--addr=\xff\xfe")])
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.starts_with("dpdk-tcp: ") && !err.contains("panicked"), "{err}");
}

#[cfg(not(feature = "dpdk"))]
#[test]
fn a_program_without_devices_says_so() {
    is_refused(&["-l", "0"], 1, "built without devices");
}
