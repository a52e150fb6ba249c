//! Packet scripts: whole conversations, told line by line in `tests/it/scripts` (docs/TESTING.md has the
//! language). Each runs with numbers far from any wrap and just before it, and with bursts of one.
//! `DPDK_TCP_SCRIPT=name` runs those whose name contains it.

mod parse;
mod run;

use std::net::IpAddr;

use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::tcp::arrives::listen::CookieMode;
use dpdk_tcp::tcp::isn;
use dpdk_tcp::wire::seq::Seq;

use crate::reach::{OURS, PEERS, Setup};
use crate::tidy::source::{Source, texts};
use parse::{Call, Event, Script};
use run::{ACTIVE_PORTS, PASSIVE_PORTS, Run};

/// How a script is run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Way {
    /// Our ISS, at most 125 below the wanted one, and the peer's.
    iss: (Seq, Seq),
    burst: usize,
}

const WAYS: [Way; 3] = [
    Way { iss: (Seq(0x1234_5678), Seq(5_000)), burst: 32 },
    Way { iss: (Seq(0xffff_fff0), Seq(0xffff_fc18)), burst: 32 },
    Way { iss: (Seq(0x7fff_fff0), Seq(0x7fff_fc18)), burst: 1 },
];

/// Every script of the tree.
pub fn scripts() -> Vec<Source> {
    texts(&["tests/it/scripts"], "pkt")
}

fn set(setup: &mut Setup, name: &str, value: &str) -> Result<(), String> {
    let number = || value.parse::<u32>().map_err(|_| format!("`{value}` is no number"));
    let switch = || match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("`{value}` is neither on nor off")),
    };
    let cfg = &mut setup.cfg;
    match name {
        "timestamps" => cfg.timestamps = switch()?,
        "sack" => cfg.sack = switch()?,
        "window-scale" => cfg.window_scale = switch()?,
        "ecn" => cfg.ecn = switch()?,
        "ecn-ask" => cfg.ecn_ask = switch()?,
        "receive-buffer" => cfg.receive_buffer = number()?,
        "rto-min" => cfg.rto_min_ms = number()?,
        "mtu" => setup.mtu = number()? as u16,
        "burst" => setup.limits.burst = number()? as usize,
        "backlog" => setup.limits.backlog = number()?,
        "cookies" => {
            setup.limits.syn_cookies = match value {
                "auto" => CookieMode::Auto,
                "always" => CookieMode::Always,
                "never" => CookieMode::Never,
                _ => return Err(format!("`{value}` is no way of sending cookies")),
            }
        }
        _ => return Err(format!("there is no setting `{name}`")),
    }
    Ok(())
}

/// A clock that makes our ISS for `ports` the wanted one, as closely as whole milliseconds allow.
fn clock(seed: u64, wanted: Seq, ports: (u16, u16)) -> u64 {
    let key = Secrets::from_seed(seed).isn;
    let (local, remote) = ((IpAddr::V4(OURS.into()), ports.1), (IpAddr::V4(PEERS.into()), ports.0));
    let hashed = isn::initial(&key, Instant::ZERO, local, remote);
    4 * (u64::from(wanted.since(hashed)) + (1 << 32)) / 1_000 * 1_000
}

/// Runs a script one way; the error names file, line, what was expected and what was found.
fn run(source: &Source, way: Way) -> Result<(), String> {
    let tell = |(line, wrong): (usize, String)| {
        let told = source.text.lines().nth(line - 1).unwrap_or_default().trim();
        format!("{}:{line} ({way:?})\n  line     {told}\n  {wrong}", source.path)
    };
    let script = parse::parse(&source.text).map_err(tell)?;
    let active = script.steps.iter().any(|step| step.event == Event::Call(Call::Open));
    let ports = if active { ACTIVE_PORTS } else { PASSIVE_PORTS };
    let mut setup = setup(&script, way).map_err(tell)?;
    setup.start_us = clock(setup.seed, way.iss.0, ports);
    Run::new(setup, way.iss.1, ports).all(&script).map_err(tell)
}

fn setup(script: &Script, way: Way) -> Result<Setup, (usize, String)> {
    let mut setup = Setup::default();
    setup.limits.burst = way.burst;
    for (line, name, value) in &script.settings {
        set(&mut setup, name, value).map_err(|wrong| (*line, wrong))?;
    }
    Ok(setup)
}

/// Says which script ran when something panicked.
struct Running<'a>(&'a str, Way);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("while {} ran ({:?})", self.0, self.1);
        }
    }
}

#[test]
fn every_script_holds() {
    let wanted = std::env::var("DPDK_TCP_SCRIPT").unwrap_or_default();
    let mut wrong = Vec::new();
    for source in scripts().iter().filter(|source| source.path.contains(&wanted)) {
        for way in WAYS {
            let _running = Running(&source.path, way);
            if let Err(error) = run(source, way) {
                wrong.push(error);
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{} scripts do not hold:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_script_is_named_by_a_requirement_that_it_cites() {
    let all = scripts();
    assert!(all.len() >= 50, "{} scripts", all.len());
    for source in &all {
        let name = source.path.rsplit('/').next().unwrap_or_default();
        let mut cited = source.text.lines().filter_map(|line| line.strip_prefix("# = "));
        assert!(cited.any(|id| name.starts_with(&format!("{}-", id.trim().to_lowercase()))), "{name}");
        let first = source.text.lines().next().unwrap_or_default();
        assert!(first.starts_with("# ") && !first.starts_with("# = "), "{name} says first what it tells");
    }
}

const GOOD: &str = "peer SYN 0 mss 1460\nus SYN,ACK 0 ack 1 mss 1460\npeer ACK 1 ack 1\ntold open\npeer ACK 1+5 ack 1\n\
    us ACK 1 ack 6\ntold data 5\n";

#[test]
fn a_script_that_is_not_true_is_found_with_its_line() {
    let found = |text: &str| run(&Source::new("x.pkt", text), WAYS[0]).err().unwrap_or_default();
    assert_eq!(found(GOOD), "");
    for (from, to, line, says) in [
        ("ack 6", "ack 7", 6, "differs in SEG.ACK"),
        ("us ACK 1 ack 6\n", "", 6, "before this line, nothing is expected"),
        ("us ACK 1 ack 6\ntold data 5\n", "told data 5\n", 6, "after the last line, before this line"),
        ("mss 1460\npeer", "no mss\npeer", 2, "differs in MSS"),
        ("told data 5", "told data 6", 7, "found    data 5"),
        ("told data 5", "", 6, "the application was told data 5"),
        ("told data 5", "told data 5\nstate CLOSE-WAIT", 8, "found    ESTABLISHED"),
        ("told data 5", "told data 5\ntold peer-close", 8, "found    nothing"),
        ("told data 5", "told data 5\n+1000 us ACK 1 ack 6", 8, "silence until"),
        ("told data 5", "told data 5\ndropped paws", 8, "expected dropped paws"),
        ("told data 5", "told data 5\ncount established 2", 8, "found    1"),
        ("peer ACK 1+5", "+5 silence\npeer ACK 2+5", 7, "differs in SEG.ACK"),
        ("told data 5", "told data 5\ncall send 10\n+1..5 us PSH,ACK 1+10 ack 6", 9, "too early"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert!(text != GOOD, "{from}");
        let error = found(&text);
        assert!(error.starts_with(&format!("x.pkt:{line} ")) && error.contains(says), "{from}: {error}");
    }
}

#[test]
fn a_line_that_cannot_be_read_is_found() {
    for (line, says) in [
        ("peer SYN", "needs control bits"),
        ("peer SYM 0", "no control bit"),
        ("peer ACK 0", "come together"),
        ("peer SYN 0 ack 1", "come together"),
        ("peer SYN 0 mss", "needs a value"),
        ("peer SYN 0 mss 65536", "no number that fits"),
        ("peer SYN 0 fresh", "has no `fresh`"),
        ("peer ACK 0 ack 1 sack 5", "no block"),
        ("peer SYN 0 no wnd", "no option"),
        ("also ACK 0 ack 0", "follows a segment"),
        ("+5 also ACK 0 ack 0", "follows a segment"),
        ("+7..3 silence", "ends before it begins"),
        ("silence", "nobody knows"),
        ("+5", "nothing happens"),
        ("call nothing", "no call"),
        ("call nodelay maybe", "neither on nor off"),
        ("told nothing", "nobody is told"),
        ("set mtu", "a name and a value"),
        ("set tea on", "no setting"),
        ("set sack maybe", "neither on nor off"),
        ("call open\nset mtu 576", "come before everything else"),
        ("count tea 1", "no counter"),
        ("state", "one word"),
    ] {
        let error = run(&Source::new("x.pkt", line), WAYS[0]).err().unwrap_or_default();
        assert!(error.contains(says), "{line}: {error}");
    }
}
