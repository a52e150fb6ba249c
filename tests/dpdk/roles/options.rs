//! Every combination of options that the kernel can be told to use: what was agreed, as the kernel sees it, and
//! whether data comes through with it.

use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::config::Config;

use super::app::Conduct;
use super::host::{Host, Setup};
use super::{Pair, ROLES, Role, connect, exchange, exchange_and, in_namespace, setup, weather};
use crate::faults::Faults;
use crate::lab;
use crate::socket::Dial;

const LEN: usize = 300_000;

/// What the kernel is told to use.
#[derive(Clone, Copy, Debug)]
struct Options {
    sack: bool,
    timestamps: bool,
    window_scaling: bool,
    /// 0 never, 1 asks, 2 agrees.
    ecn: u8,
    congestion: &'static str,
}

const USUAL: Options =
    Options { sack: true, timestamps: true, window_scaling: true, ecn: 2, congestion: "cubic" };

impl Options {
    fn set(self) {
        for (name, on) in
            [("sack", self.sack), ("timestamps", self.timestamps), ("window_scaling", self.window_scaling)]
        {
            lab::set(&format!("net.ipv4.tcp_{name}"), if on { "1" } else { "0" });
        }
        lab::set("net.ipv4.tcp_ecn", &self.ecn.to_string());
    }
}

/// What `ss` says of the kernel's end of a connection.
pub struct Info {
    words: Vec<String>,
}

impl Info {
    /// Of the connection of which the kernel's end is this.
    #[track_caller]
    pub fn of(pair: &Pair) -> Info {
        let (own, peer) = (pair.stream.local_addr().unwrap(), pair.stream.peer_addr().unwrap());
        let text = lab::run(&format!("ss -tinoHO src {own} dst {peer}"));
        assert_eq!(text.lines().count(), 1, "{own} {peer}: {text}");
        Info { words: text.split_whitespace().map(str::to_owned).collect() }
    }

    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|other| other == word)
    }

    /// The number behind `name:`, the first of two.
    pub fn number(&self, name: &str) -> Option<u64> {
        let word = self.words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix(':'))?;
        word.split([',', '/']).next()?.parse().ok()
    }
}

#[track_caller]
fn agrees(host: &Host, role: Role, conduct: Conduct, options: Options, ecn: bool) {
    options.set();
    let dial = Dial { congestion: Some(options.congestion), ..Dial::default() };
    let pair = connect(host, role, conduct, dial);
    let info = Info::of(&pair);
    let found = (info.has("sack"), info.has("ts"), info.number("wscale").is_some(), info.has("ecn"));
    let wanted = (options.sack, options.timestamps, options.window_scaling, ecn);
    assert_eq!(found, wanted, "{role:?} {options:?}: {:?}", info.words);
    assert!(info.has(options.congestion), "{:?}", info.words);
    let mss = if options.timestamps { 1_448 } else { 1_460 };
    assert_eq!(info.number("mss"), Some(mss), "{:?}", info.words);
    if let Some(shift) = info.number("wscale") {
        //= RFC 7323 2.3: the smallest shift with which our buffer can be announced.
        let buffer = Config::default().receive_buffer;
        assert!(buffer >> shift <= 0xffff && (shift == 0 || buffer >> (shift - 1) > 0xffff), "{shift}");
    }
    exchange(host, &pair, LEN, LEN);
}

fn every_combination(role: Role) {
    let conduct = Conduct::send(LEN);
    let host = Setup { faults: weather(), ..setup(conduct) }.start();
    for bits in 0..8 {
        let (sack, timestamps, window_scaling) = (bits & 1 == 0, bits & 2 == 0, bits & 4 == 0);
        for congestion in ["cubic", "reno"] {
            let options = Options { sack, timestamps, window_scaling, congestion, ..USUAL };
            agrees(&host, role, conduct, options, false);
        }
    }
    host.stop();
}

#[test]
fn a_kernel_as_client_gets_the_options_that_it_asks_for() {
    in_namespace("roles::options::a_kernel_as_client_gets_the_options_that_it_asks_for", || {
        every_combination(Role::Server);
    });
}

#[test]
fn a_kernel_as_server_gets_the_options_that_it_grants() {
    in_namespace("roles::options::a_kernel_as_server_gets_the_options_that_it_grants", || {
        every_combination(Role::Client);
    });
}

#[test]
fn ecn_is_used_when_both_want_it() {
    in_namespace("roles::options::ecn_is_used_when_both_want_it", || {
        let conduct = Conduct::send(LEN);
        let cfg = Config { ecn_ask: true, ..setup(conduct).cfg };
        let host = Setup { faults: weather(), cfg, ..setup(conduct) }.start();
        for (role, ecn, agreed) in [
            (Role::Server, 1, true),
            (Role::Server, 2, false),
            (Role::Server, 0, false),
            (Role::Client, 1, true),
            (Role::Client, 2, true),
            (Role::Client, 0, false),
        ] {
            agrees(&host, role, conduct, Options { ecn, ..USUAL }, agreed);
        }
        host.stop();
    });
}

#[test]
fn marks_are_echoed_and_answered_by_both_ends() {
    //= ECN-8
    //= ECN-9
    in_namespace("roles::options::marks_are_echoed_and_answered_by_both_ends", || {
        const LEN: usize = 5_000_000;
        let conduct = Conduct::send(LEN);
        let cfg = Config { ecn_ask: true, ..setup(conduct).cfg };
        // Nothing is lost: whoever reduces its window does so because of a mark.
        let faults = Faults { mark_ppm: 10_000, ..Faults::default() };
        let host = Setup { faults, cfg, ..setup(conduct) }.start();
        Options { ecn: 1, ..USUAL }.set();
        for role in ROLES {
            let pair = connect(&host, role, conduct, Dial::default());
            let info = exchange_and(&host, &pair, LEN, LEN, || Info::of(&pair));
            assert!(info.has("ecnseen") && info.number("delivered_ce") > Some(0), "{:?}", info.words);
        }
        for tally in host.stop() {
            // Again and again, and once in a round trip at most.
            assert!(tally.marked > 20 && tally.reduced > 6, "{tally:?}");
            assert!(tally.reduced <= 2 * tally.marked, "{tally:?}");
        }
    });
}

#[test]
fn a_side_that_refuses_an_option_is_not_sent_it() {
    in_namespace("roles::options::a_side_that_refuses_an_option_is_not_sent_it", || {
        let conduct = Conduct::send(LEN);
        let plain = setup(conduct);
        let cfg = Config { sack: false, timestamps: false, window_scale: false, ecn: false, ..plain.cfg };
        let host = Setup { faults: weather(), cfg, ..setup(conduct) }.start();
        for role in ROLES {
            Options { ecn: 1, ..USUAL }.set();
            let pair = connect(&host, role, conduct, Dial::default());
            let info = Info::of(&pair);
            for word in ["sack", "ts", "ecn"] {
                assert!(!info.has(word), "{role:?} {word}: {:?}", info.words);
            }
            assert_eq!((info.number("wscale"), info.number("mss")), (None, Some(1_460)), "{:?}", info.words);
            exchange(&host, &pair, LEN, LEN);
        }
        assert_eq!(host.count(Counter::Finished), 2);
        host.stop();
    });
}
