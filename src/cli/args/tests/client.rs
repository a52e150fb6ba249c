//! Command lines of `connect`, `bench` and `compare`.

use std::time::Duration;

use super::super::*;
use super::{parse_line, refused};
use crate::config::bench::{Against, Checksums, Link};
use crate::config::imitate::{Imitate, Wscale};
use crate::config::shape::Hold;
use crate::config::stack::Backend;
use crate::config::talk::Profile;
use crate::config::targets::{addresses_text, target_text};
use crate::load::closing::Close;
use crate::load::schedule::Stage;
use crate::load::talk::{Reply, Request};

const SECOND: u64 = 1_000_000_000;

#[track_caller]
fn connect(line: &str) -> ConnectOptions {
    match parse_line(&format!("connect {line}")) {
        Ok(Command::Connect(options)) => *options,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn bench(line: &str) -> BenchOptions {
    match parse_line(&format!("bench {line}")) {
        Ok(Command::Bench(options)) => options,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn max_rate(line: &str) -> MaxRateOptions {
    match parse_line(&format!("bench max-rate {line}")) {
        Ok(Command::MaxRate(options)) => options,
        other => panic!("{other:?}"),
    }
}

#[test]
fn connect_needs_only_a_target() {
    let options = connect("198.18.0.2:80");
    assert_eq!(options.targets.iter().map(target_text).collect::<Vec<_>>(), ["198.18.0.2:80"]);
    let stage = Stage { concurrency: Some(1), duration_ns: 10 * SECOND, ..Stage::default() };
    assert_eq!((options.load.schedule.stages, options.load.schedule.warm_up_ns), (vec![stage], 0));
    assert_eq!((options.load.profile, options.load.talk.reply), (Profile::Crr, Reply::Http));
    assert_eq!((options.load.closes.of(0), options.load.seed), (Close::Fin, 77));
    assert_eq!(options.load.connect_timeout, Duration::from_secs(3));
    assert_eq!(options.load.reply_timeout, Duration::from_secs(10));
    assert_eq!((options.load.imitate, options.load.hold), (Imitate::default(), None));
    assert_eq!((options.stack.max_connections, options.stack.time_wait_max), (1, 64_512));
    assert_eq!((options.backend, options.stats_interval), (Backend::Dpdk, Some(Duration::from_secs(1))));
}

#[test]
fn every_option_of_connect_reaches_its_field() {
    let options = connect(
        "198.18.0.2:80-81 198.18.2.0/30:90 --source 198.18.1.0/24:2000-2999 --source 198.18.3.1 --rate 1.5k \
         --concurrency 2k --hold 1s --ramp 1s --duration 1m --connections 9k --profile stream --close fin=9,rst=1 \
         --talk echo --request-size 100 --requests 3 --think 5ms --verify --seed 5 --connect-timeout 1s \
         --reply-timeout 2s --drain 3s --mss 536 --window 64k --wscale 3 --no-timestamps --no-sack --ecn --ttl 3 \
         --dscp 46 --time-wait 1s --time-wait-max 7k --max-connections 3k --stats-interval 0 --csv a.csv \
         --expect established>=99.99% p99.syn<2ms --expect failed=0 --addr 198.18.0.1/24 --rto-min 200ms",
    );
    let targets: Vec<_> = options.targets.iter().map(target_text).collect();
    assert_eq!(targets, ["198.18.0.2:80-81", "198.18.2.1-198.18.2.2:90"]);
    let sources: Vec<_> = options.sources.addresses.iter().map(addresses_text).collect();
    assert_eq!(sources, ["198.18.1.1-198.18.1.254", "198.18.3.1"]);
    let load = options.load;
    let stage =
        Stage { rate: Some(1_500.0), concurrency: Some(2_000), ramp_ns: SECOND, duration_ns: 60 * SECOND };
    assert_eq!((load.schedule.stages, load.schedule.connections), (vec![stage], Some(9_000)));
    assert_eq!((load.profile, load.hold), (Profile::Stream, Some(Hold::For(Duration::from_secs(1)))));
    assert_eq!((load.talk.requests, load.talk.reply), (3, Reply::Same));
    assert_eq!(load.talk.request, Request::Payload { len: 100, seed: Some(5) });
    assert_eq!(load.closes.weights().collect::<Vec<_>>(), [(Close::Fin, 9), (Close::Rst, 1)]);
    assert_eq!((load.think, load.drain), (Duration::from_millis(5), Duration::from_secs(3)));
    assert_eq!((load.connect_timeout, load.reply_timeout), (Duration::from_secs(1), Duration::from_secs(2)));
    let imitate = Imitate {
        mss: Some(536),
        window: 64 << 10,
        window_given: true,
        wscale: Wscale::Shift(3),
        timestamps: false,
        sack: false,
        ecn: true,
    };
    assert_eq!((load.imitate, load.seed), (imitate, 5));
    assert_eq!((options.stack.ttl.get(), options.stack.dscp), (3, 46));
    assert_eq!((options.stack.max_connections, options.stack.time_wait_max), (3_000, 7_000));
    assert_eq!(options.stack.rto_min, Duration::from_millis(200));
    let expected: Vec<_> = options.expect.iter().map(ToString::to_string).collect();
    assert_eq!(expected, ["established>=99.99%", "p99.syn<2ms", "failed=0"]);
    assert_eq!((options.output.csv, options.stats_interval), (Some("a.csv".into()), None));
}

#[test]
fn a_file_of_stages_is_read_and_hold_lasts_to_the_end_without_a_value() {
    let stage = Stage { rate: Some(2_000.0), duration_ns: 3 * SECOND, ..Stage::default() };
    assert_eq!(connect("198.18.0.2:80 --stages stages.toml").load.schedule.stages, [stage]);
    let held = connect("198.18.0.2:80 --hold --rate 10 --concurrency 5 --duration 1s");
    assert_eq!(held.load.hold, Some(Hold::ToTheEnd));
    assert_eq!(connect("198.18.0.2:80 --concurrency 7 --hold").load.hold, Some(Hold::ToTheEnd));
}

#[test]
fn wrong_use_of_connect_is_one_sentence_with_the_cause_and_the_cure() {
    for (line, part) in [
        ("", "there is no TARGET to connect to; write one like 198.18.0.2:80"),
        ("198.18.0.2", "TARGET 198.18.0.2: this is not ADDR:PORT or PREFIX/LEN:PORT-PORT"),
        ("[fd00::1]:80", "TARGET [fd00::1]:80: IPv6 is not served yet"),
        ("198.18.0.2:80 198.18.0.0/24:80", "have endpoints in common"),
        ("198.18.0.2:80 --source 198.18.0.0/24", "198.18.0.2 is an address of ours"),
        ("198.18.0.2:80 --addr 198.18.0.2/24", "198.18.0.2 is an address of ours"),
        ("198.18.0.2:80 --source", "--source needs a value, as in --source <ADDR|PREFIX/LEN[:PORT-PORT]>"),
        ("198.18.0.2:80 --rate 1 --concurrency 1", "--rate and --concurrency exclude one another"),
        ("198.18.0.2:80 --concurrency 1,2", "--concurrency takes one number here"),
        ("198.18.0.2:80 --profile crr,open", "--profile takes one word here"),
        ("198.18.0.2:80 --profile flood", "--profile flood is bench's"),
        ("--hold 198.18.0.2:80", "write the targets first"),
        ("--expect established=1 198.18.0.2:80", "--expect 198.18.0.2:80: this expects nothing"),
        ("198.18.0.2:80 --concurrency 100k", "use at least 2 source address(es)"),
        ("198.18.0.2:80 --concurrency 9 --max-connections 8", "--max-connections 8 is less than the 9"),
        ("198.18.0.2:80 --stages none.toml", "--stages none.toml: it cannot be read (entity not found)"),
        ("198.18.0.2:80 --stages wrong.toml", "wrong.toml, line 2: 'rates' is not a stage's"),
        ("198.18.0.2:80 --stages stages.toml --rate 1", "--stages says itself what --rate would"),
        ("198.18.0.2:80 --profile open --talk echo", "--talk is about what is said"),
        ("198.18.0.2:80 --talk echo --close peer", "--close peer: a server that sends back"),
        ("198.18.0.2:80 --verify", "--verify compares what comes back"),
        ("198.18.0.2:80 --mss 1461", "--mss 1461 does not fit into packets of --mtu 1500"),
        ("198.18.0.2:80 --window 1M --wscale none", "at most 65535"),
        ("198.18.0.2:80 --backend kernel --ecn", "--ecn is our stack's, and --backend kernel is another"),
        ("198.18.0.2:80 --backend kernel --time-wait 1s", "--time-wait is our stack's"),
        ("198.18.0.2:80 --listen 80=http", "--listen is not an option of ours"),
    ] {
        refused(&format!("connect {line}"), part);
    }
    assert_eq!(connect("198.18.0.2:80 --backend kernel --source 198.18.0.1").backend, Backend::Kernel);
}

#[test]
fn bench_needs_no_words_at_all() {
    let options = bench("");
    let profiles: Vec<_> = options.loads.iter().map(|load| load.profile).collect();
    assert_eq!(profiles, [Profile::Open, Profile::OpenClose, Profile::Crr]);
    let stage =
        Stage { concurrency: Some(64), ramp_ns: SECOND / 2, duration_ns: 10 * SECOND, ..Stage::default() };
    for load in &options.loads {
        assert_eq!((&load.schedule.stages[..], load.schedule.warm_up_ns), (&[stage][..], SECOND));
    }
    let crr = &options.loads[2];
    assert_eq!(
        (crr.closes.of(0), crr.talk.request_len(), crr.talk.reply),
        (Close::Peer, 85, Reply::Octets(128))
    );
    assert_eq!((options.link, options.cores, options.repeats), (Link::Ring, 2, 1));
    assert_eq!((options.checksums, options.backend), (Checksums::Software, Backend::Dpdk));
    assert_eq!((options.time_wait, options.burst, options.tx_burst), (Duration::from_secs(1), 32, 32));
    let read = |_: &Path| Ok(String::new());
    let alone = parse(vec!["bench".to_owned()], &Outside { cpus: 1, seed: 1, read: &read });
    assert!(matches!(alone, Ok(Command::Bench(BenchOptions { cores: 1, .. }))));
}

#[test]
fn every_option_of_bench_reaches_its_field() {
    let options = bench(
        "--concurrency 1k,10k --profile crr,flood --link memory --cores 1 --repeats 5 --time-wait 250ms \
         --checksums marked --burst 16 --tx-burst 8 --duration 2s --ramp 0 --talk http --close fin --json a.json",
    );
    let order: Vec<_> = options.loads.iter().map(|l| (l.schedule.concurrency_max(), l.profile)).collect();
    let wanted = [(Some(1_000), Profile::Crr), (Some(1_000), Profile::Flood), (Some(10_000), Profile::Crr)];
    assert_eq!(order, wanted);
    let first = &options.loads[0];
    assert_eq!(
        (first.schedule.measured()[0].start, first.schedule.end_ns()),
        (SECOND / 4, SECOND / 4 + 2 * SECOND)
    );
    assert_eq!((first.talk.reply, first.closes.of(0)), (Reply::Http, Close::Fin));
    assert_eq!((options.link, options.cores, options.repeats), (Link::Memory, 1, 5));
    assert_eq!((options.checksums, options.burst, options.tx_burst), (Checksums::Marked, 16, 8));
    assert_eq!(options.output.json, Some("a.json".into()));
    let kernel = bench("--backend kernel --rate 1k");
    assert_eq!((kernel.backend, kernel.loads[0].schedule.rate_max()), (Backend::Kernel, Some(1_000.0)));
}

#[test]
fn a_search_is_of_ourselves_or_of_others() {
    let own = max_rate("self");
    let Against::Ourselves(options) = own.against else { panic!() };
    let stage =
        Stage { rate: Some(1_000.0), ramp_ns: SECOND / 2, duration_ns: 2 * SECOND, ..Stage::default() };
    assert_eq!((options.loads.len(), &options.loads[0].schedule.stages[..]), (1, &[stage][..]));
    assert_eq!((options.loads[0].closes.of(0), options.loads[0].schedule.warm_up_ns), (Close::Peer, SECOND));
    assert_eq!((own.loss_max, own.latency_max), (0.0001, Duration::from_millis(1)));
    assert_eq!((own.from, own.to), (1_000.0, 1e8));
    let others = max_rate(
        "198.18.0.2:80 198.18.0.3:80 --source 198.18.0.7 --from 10 --to 20k --loss-max 1% --latency-max 5ms \
         --profile open-close --duration 1s --ramp 1s",
    );
    let Against::Others(options) = others.against else { panic!() };
    assert_eq!((options.targets.len(), options.sources.addresses.len()), (2, 1));
    assert_eq!((options.load.profile, options.load.schedule.rate_max()), (Profile::OpenClose, Some(10.0)));
    assert_eq!((others.loss_max, others.latency_max, others.to), (0.01, Duration::from_millis(5), 20_000.0));
    assert_eq!(max_rate("198.18.0.2:80").latency_max, Duration::from_millis(10));
}

#[test]
fn wrong_use_of_bench_is_one_sentence_with_the_cause_and_the_cure() {
    for (line, part) in [
        ("bench --max-connections 5", "--max-connections is not an option of ours"),
        ("bench extra", "'extra' is neither an option nor an option's value; leave it out"),
        ("bench --cores 3", "the number of cores must be 1 to 2"),
        ("bench --profile flood --concurrency 5", "--concurrency has no meaning in a flood"),
        ("bench max-rate self --profile flood", "no rate to search for; use bench --profile flood"),
        ("bench --profile flood --backend kernel", "--profile flood is our stack's"),
        ("bench --profile flood --close fin", "--close has no meaning in a flood"),
        ("bench --profile open --request-size 5", "--request-size is about what is said"),
        ("bench --close peer", "--close peer: bench's server closes behind its reply"),
        ("bench --rate 5 --concurrency 1,2", "exclude one another"),
        ("bench --backend kernel --link memory", "--link is our stack's, and --backend kernel is another"),
        ("bench --cores 1 max-rate self", "max-rate stands behind an option; write it right after bench"),
        ("bench max-rate", "bench max-rate needs what to measure: TARGETs such as 198.18.0.2:80, or self"),
        ("bench max-rate self 198.18.0.2:80", "'self' is our own server and stands alone"),
        ("bench max-rate 198.18.0.2", "this is not ADDR:PORT"),
        (
            "bench max-rate self --gateway 198.18.0.1",
            "--gateway is for targets on the wire, and self is none",
        ),
        ("bench max-rate 198.18.0.2:80 --cores 1", "--cores is for both ends in one process, as with self"),
        ("bench max-rate self --from 5k --to 5k", "--from 5k is not below --to 5k; give a lower one"),
        ("bench max-rate self --profile crr,open", "--profile takes one word here"),
        ("bench max-rate self --rate 5", "--rate is not an option of ours"),
        (
            "compare",
            "compare needs two files with results, as in `compare before.json after.json`, and was given 0",
        ),
        ("compare a.json b.json c.json", "was given 3"),
        ("compare a.json b.json --confidence 5%", "the confidence must be 50% to 99.99%"),
    ] {
        refused(line, part);
    }
}

#[test]
fn compare_takes_two_files() {
    let options = CompareOptions { before: "a".into(), after: "b".into(), confidence: 0.95, threshold: 0.05 };
    assert_eq!(parse_line("compare a b"), Ok(Command::Compare(options.clone())));
    let options = CompareOptions { confidence: 0.99, threshold: 0.01, ..options };
    assert_eq!(parse_line("compare a b --confidence 99% --threshold 1%"), Ok(Command::Compare(options)));
}
