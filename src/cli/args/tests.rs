//! Command lines, and what becomes of them.

use std::num::NonZeroU8;
use std::time::Duration;

use super::*;
use crate::config::connection::Congestion;
use crate::config::output::Output;
use crate::config::serve::{Listen, RateLimit, SynCookies};
use crate::config::stack::{Backend, StackOptions};

mod client;

/// Two CPUs, the seed 77, and one file.
pub(in crate::cli) fn parse_words(words: Vec<String>) -> Result<Command, Exit> {
    let read = |path: &Path| match path.to_str() {
        Some("stages.toml") => Ok("[[stage]]\nrate = \"2k\"\nduration = \"3s\"\n".to_owned()),
        Some("wrong.toml") => Ok("[[stage]]\nrates = 1\n".to_owned()),
        _ => Err(io::Error::from(io::ErrorKind::NotFound)),
    };
    parse(words, &Outside { cpus: 2, seed: 77, read: &read })
}

fn parse_line(line: &str) -> Result<Command, Exit> {
    parse_words(line.split_whitespace().map(str::to_owned).collect())
}

#[track_caller]
fn serve_of(line: &str) -> Serve {
    match parse_line(line) {
        Ok(Command::Serve(options)) => options,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(line: &str, part: &str) {
    let exit = parse_line(line).unwrap_err();
    assert_eq!((exit.status, exit.to_stdout), (2, false), "{line}");
    assert!(exit.text.contains(part), "{line}: {}", exit.text);
    let sentence = exit.text.strip_suffix('\n').unwrap();
    assert!(sentence.starts_with("dpdk-tcp: ") && !sentence.contains('\n'), "{sentence}");
    assert!(!sentence.ends_with('.'), "{sentence}");
}

#[test]
fn without_any_word_the_command_is_serve_with_its_defaults() {
    let listen = |port, service| Listen { port, service };
    let expected = Serve {
        stack: StackOptions {
            addresses: vec![],
            gateway: None,
            neighbours: vec![],
            dad: false,
            mtu: 1_500,
            no_tso: false,
            max_connections: 262_144,
            time_wait: Duration::from_secs(60),
            time_wait_max: 4 * 262_144,
            buffers: 64 << 20,
            send_buffer: 256 << 10,
            rto_min: Duration::from_secs(1),
            ttl: NonZeroU8::new(64).unwrap(),
            dscp: 0,
            congestion: Congestion::Cubic,
            burst: 32,
            tx_burst: 32,
        },
        backend: Backend::Dpdk,
        listen: vec![
            listen(7, Service::Echo),
            listen(9, Service::Discard),
            listen(19, Service::Chargen),
            listen(80, Service::Http),
        ],
        http_body: 1_024,
        reply_size: 256,
        backlog: 4_096,
        syn_cookies: SynCookies::Auto,
        rst_rate: RateLimit { per_second: 20_000, burst: 4_000 },
        per_address: None,
        receive_buffer: 256 << 10,
        keep_alive: None,
        user_timeout: Duration::from_secs(300),
        duration: None,
        stats_interval: Some(Duration::from_secs(1)),
        drain: Duration::from_secs(5),
        output: Output::default(),
    };
    assert_eq!(serve_of(""), expected);
    assert_eq!(serve_of("serve"), expected);
    assert_eq!(parse_line("check"), Ok(Command::Check(expected)));
}

#[test]
fn every_option_reaches_its_field() {
    let options = serve_of(
        "--addr 10.0.0.1/24@1 --addr 10.0.1.1/24 --gateway 10.0.0.254 --neighbour 10.0.0.2=02:00:00:00:00:02 \
         --dad --listen 8080=http --listen 81=reply --http-body 64k --reply-size 1k --mtu 9000 --no-tso --max-connections 1M --backlog 1k \
         --time-wait 250ms --time-wait-max 5 --congestion reno --rst-rate 10 --buffers 1G --duration 1h \
         --stats-interval 0 --drain 0 --burst 7 --tx-burst 8 --json a.json --csv a.csv --hdr-log a.hlog",
    );
    let stack = &options.stack;
    assert_eq!(stack.addresses.len(), 2);
    assert_eq!(stack.addresses[0].port.as_deref(), Some("1"));
    assert_eq!(stack.gateway, Some("10.0.0.254".parse().unwrap()));
    assert_eq!(stack.neighbours, [("10.0.0.2".parse().unwrap(), [2, 0, 0, 0, 0, 2])]);
    assert!(stack.dad && stack.no_tso);
    let listen = |port, service| Listen { port, service };
    assert_eq!(options.listen, [listen(8_080, Service::Http), listen(81, Service::Reply)]);
    assert_eq!(options.reply_size, 1_024);
    assert_eq!((options.http_body, stack.mtu, stack.burst, stack.tx_burst), (65_536, 9_000, 7, 8));
    assert_eq!((stack.max_connections, options.backlog), (1_000_000, 1_000));
    assert_eq!((stack.time_wait, stack.time_wait_max), (Duration::from_millis(250), 5));
    assert_eq!(options.rst_rate, RateLimit { per_second: 10, burst: 2 });
    assert_eq!(stack.buffers, 1 << 30);
    assert_eq!(stack.congestion, Congestion::Reno);
    assert_eq!(options.duration, Some(Duration::from_secs(3_600)));
    assert_eq!((options.stats_interval, options.drain), (None, Duration::ZERO));
    let named = |name: &str| Some(name.into());
    let output = Output { csv: named("a.csv"), json: named("a.json"), hdr_log: named("a.hlog") };
    assert_eq!(options.output, output);
    assert_eq!(serve_of("--max-connections 10").stack.time_wait_max, 40);
    assert_eq!(serve_of("--backend kernel --listen 80=http").backend, Backend::Kernel);
}

#[test]
fn wrong_use_is_one_sentence_with_the_cause_and_the_cure() {
    for (line, part) in [
        ("--mtu 68", "--mtu 68: the MTU in bytes must be 576 to 9000"),
        ("--mtu=", "--mtu"),
        ("--mtu", "--mtu needs a value, as in --mtu <BYTES>"),
        ("--mtu 1500 --mtu 1500", "--mtu is given twice"),
        ("--addr ::1/64", "IPv6 is not served yet"),
        ("--addr", "--addr needs a value, as in --addr <ADDR/PREFIX[@PORT]>"),
        ("--listen 80=ftp", "--listen 80=ftp: 'ftp' is not a service"),
        ("--listen 80=http --listen 80=echo", "--listen names TCP port 80 twice"),
        ("--backlogg 5", "--backlogg is not an option of ours; perhaps --backlog is meant"),
        ("--vdev net_tap0", "EAL's options stand before `--`"),
        ("-l 0", "-l is not an option of ours"),
        ("serve extra", "'extra' is neither an option"),
        ("--dad serve", "the command 'serve' stands behind an option"),
        ("sevre", "'sevre' is not a command; take serve, check, connect, bench or compare, or write EAL's"),
        ("check --time-wait 2h", "TIME-WAIT must be 1ms to 1h; the usual value is 60s"),
        ("check --listen 7=echo --listen 7=echo", "leave one of the two out"),
        ("--dad=yes", "--dad"),
        ("--drain -5s", "-5 is not an option of ours"),
        ("--backend linux", "'linux' is not a TCP to run on; take dpdk or kernel"),
        (
            "--backend kernel --mtu 1500",
            "--mtu is our stack's, and --backend kernel is another; leave it out",
        ),
        ("--json a --csv a", "--csv and --json both name a"),
        ("check --backend kernel", "--backend has no meaning for check"),
    ] {
        refused(line, part);
    }
}

#[test]
fn help_and_version_say_how_the_parts_relate_within_100_columns() {
    for line in [
        "--help",
        "-h",
        "serve --help",
        "serve -h",
        "check --help",
        "connect --help",
        "bench --help",
        "bench max-rate --help",
        "compare --help",
        "--version",
        "-V",
        "serve --version",
        "bench --version",
    ] {
        let exit = parse_line(line).unwrap_err();
        assert_eq!((exit.status, exit.to_stdout), (0, true), "{line}");
        for part in
            ["Words before `--` go to DPDK's environment layer", "dpdk-tcp -l 0-3 ", "dpdk-tcp check "]
        {
            assert!(exit.text.contains(part), "{line}: {}", exit.text);
        }
        for text in exit.text.lines() {
            assert!(text.chars().count() <= 100, "{line}: {text}");
        }
    }
    let help = parse_line("serve --help").unwrap_err().text;
    for heading in ["\nAddresses:\n", "\nServices:\n", "\nLimits:\n", "\nRun:\n"] {
        assert!(help.contains(heading), "{help}");
    }
    assert!(parse_line("--version").unwrap_err().text.starts_with("dpdk-tcp "));
}

#[test]
fn the_commands_are_those_that_clap_knows() {
    use clap::CommandFactory;
    let program = Program::command();
    let known: Vec<&str> = program.get_subcommands().map(clap::Command::get_name).collect();
    assert_eq!(known, COMMANDS);
    program.debug_assert();
}

#[test]
fn what_is_refused_beside_another_option_are_options() {
    fn names(command: &clap::Command) -> Vec<String> {
        let own = command.get_arguments().filter_map(|arg| {
            let long = arg.get_long()?;
            // `Given` tells them by the names of their fields.
            assert_eq!(arg.get_id().as_str().replace('_', "-"), long);
            Some(long.to_owned())
        });
        own.chain(command.get_subcommands().flat_map(names)).collect()
    }
    let known = names(&Program::command());
    for refused in [given::OF_OUR_STACK, bench::OF_THE_WIRE, bench::OF_HERE].concat() {
        assert!(known.iter().any(|name| name == refused), "{refused}");
    }
}
