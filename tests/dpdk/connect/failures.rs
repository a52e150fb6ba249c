//! What goes wrong: nobody there, nobody listening, a server that goes away, a user who stops it, sums that a veth
//! leaves to nobody. The run ends when it says, and its account balances.

use std::time::{Duration, Instant};

use super::peer::{self, End, Server};
use super::{Client, PORT, TARGET, connect, count, named};
use crate::lab::{self, Program, TAP};

/// Ends of a veth.
const NEAR: &str = "dveth0";
const FAR: &str = "dveth1";

#[test]
fn a_neighbour_that_nobody_answers_for_is_named_and_nothing_starts() {
    lab::in_namespace(
        "connect::failures::a_neighbour_that_nobody_answers_for_is_named_and_nothing_starts",
        || {
            super::tap();
            let server = Server::start(&[PORT], peer::echo);
            let targets = [TARGET, "198.18.0.99:7000"];
            let words = [&["connect"], &targets[..], &["--talk", "echo"]].concat();
            let device = format!("net_tap0,iface={TAP}");
            let ended = Program::start(&["-l", "0", "--vdev", &device], &words).end();
            assert_eq!(ended.status.code(), Some(1), "{}{}", ended.out, ended.err);
            assert!(ended.err.contains("198.18.0.99") && ended.err.contains("ARP"), "{}", ended.err);
            assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
            assert_eq!(server.accepted(), 0);
        },
    );
}

#[test]
fn a_port_where_nobody_listens_refuses_every_connection() {
    lab::in_namespace("connect::failures::a_port_where_nobody_listens_refuses_every_connection", || {
        super::tap();
        let left = connect(&[TARGET, "--connections", "50", "--concurrency", "4"]);
        let account = left.account();
        assert_eq!((account.attempted, account.established), (50, 0));
        assert_eq!(account.failed, named(&[("refused", 50)]));
    });
}

#[test]
fn a_syn_that_nobody_answers_fails_in_its_time() {
    lab::in_namespace("connect::failures::a_syn_that_nobody_answers_fails_in_its_time", || {
        super::tap();
        // The kernel knows of no way back: it has answered ARP, and says nothing else.
        lab::run("ip route add blackhole 198.18.0.77/32");
        let source = ["--source", "198.18.0.77", "--neighbour", "198.18.0.2=02:00:00:00:00:77"];
        let shape = [TARGET, "--connections", "8", "--concurrency", "4", "--connect-timeout", "200ms"];
        let left = connect(&[&shape[..], &source].concat());
        assert_eq!(left.account().failed, named(&[("syn_timeout", 8)]));
    });
}

#[test]
fn a_server_that_is_killed_leaves_a_balanced_account_and_the_run_ends_in_time() {
    lab::in_namespace(
        "connect::failures::a_server_that_is_killed_leaves_a_balanced_account_and_the_run_ends_in_time",
        || {
            super::tap();
            let server = Server::start(&[PORT], peer::slow_echo);
            let shape = [TARGET, "--talk", "echo", "--profile", "stream", "--requests", "20"];
            let started = Instant::now();
            let client = Client::start(&[&shape[..], &["--rate", "200", "--duration", "2s"]].concat());
            lab::wait_until("connections", || server.accepted() > 100);
            server.kill();
            let left = client.end();
            assert!(started.elapsed() < Duration::from_secs(10));
            let account = left.account();
            assert!(account.attempted.abs_diff(400) <= 1, "{account:?}");
            assert!(account.failed["refused"] > 0 && account.broken["reset"] > 0, "{account:?}");
            assert_eq!((account.failed.len(), account.broken.len()), (1, 1), "{account:?}");
        },
    );
}

#[test]
fn a_link_that_goes_down_ends_nothing_before_its_time() {
    lab::in_namespace("connect::failures::a_link_that_goes_down_ends_nothing_before_its_time", || {
        super::tap();
        let server = Server::start(&[PORT], peer::echo);
        let timeouts = ["--connect-timeout", "300ms", "--reply-timeout", "300ms"];
        let shape = [TARGET, "--talk", "echo", "--rate", "200", "--duration", "1500ms"];
        let client = Client::start(&[&shape[..], &timeouts].concat());
        lab::wait_until("connections", || server.accepted() > 50);
        lab::run(&format!("ip link set {TAP} down"));
        let left = client.end();
        let account = left.account();
        assert!(account.attempted.abs_diff(300) <= 1, "{account:?}");
        assert!(account.failed_all() > 0 && account.closed_all() > 0, "{account:?}");
    });
}

#[test]
fn a_signal_lets_open_connections_finish() {
    lab::in_namespace("connect::failures::a_signal_lets_open_connections_finish", || {
        super::tap();
        let server = Server::start(&[PORT], peer::slow_echo);
        let ours = [TARGET, "--talk", "echo", "--concurrency", "10", "--duration", "1m"];
        let client = Client::start(&ours);
        lab::wait_until("connections", || server.accepted() > 50);
        client.program.signal(libc::SIGINT);
        let left = client.end();
        let account = left.account();
        assert_eq!(account.closed, named(&[("fin", account.attempted)]), "{account:?}");
        assert_eq!(account.attempted, server.accepted());
        assert_eq!(server.stop(0).len() as u64, account.attempted);
    });
}

#[test]
fn a_second_signal_leaves_at_once() {
    lab::in_namespace("connect::failures::a_second_signal_leaves_at_once", || {
        super::tap();
        let server = Server::start(&[PORT], peer::discard);
        let shape = ["--concurrency", "10", "--duration", "1m", "--drain", "1m", "--reply-timeout", "1m"];
        let client = Client::start(&[&[TARGET, "--talk", "echo"], &shape[..]].concat());
        lab::wait_until("connections", || server.level() == 10);
        client.program.signal(libc::SIGINT);
        std::thread::sleep(Duration::from_millis(200));
        client.program.signal(libc::SIGINT);
        let ended = client.program.end();
        assert_eq!(ended.status.code(), Some(1), "{}{}", ended.out, ended.err);
        assert!(ended.err.contains("a second signal"), "{}", ended.err);
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        assert!(ended.out.contains("all frames are back"), "{}", ended.out);
        // Nobody has told the server.
        assert_eq!(count(&server.stop(10), End::Left), 10);
    });
}

#[test]
fn a_signal_before_the_clock_starts_starts_nothing() {
    lab::in_namespace("connect::failures::a_signal_before_the_clock_starts_starts_nothing", || {
        super::tap();
        let device = format!("net_tap0,iface={TAP}");
        let words = ["connect", "198.18.0.99:7000"];
        let mut program = Program::start(&["-l", "0", "--vdev", &device], &words);
        program.wait_for_line("  connect");
        program.signal(libc::SIGTERM);
        let ended = program.end();
        assert_eq!(ended.status.code(), Some(1), "{}{}", ended.out, ended.err);
        assert!(ended.err.contains("interrupted before the clock started"), "{}", ended.err);
    });
}

/// A client on one end of a veth, the kernel with its offloads on the other.
#[track_caller]
fn over_a_veth(ours: &[&str]) -> super::Left {
    let device = format!("net_af_packet0,iface={NEAR}");
    Client::on(&device, &[&[TARGET, "--talk", "echo"], ours].concat()).end()
}

#[test]
fn sums_that_a_veth_leaves_open_are_told_of_once_with_the_cure() {
    lab::in_namespace(
        "connect::failures::sums_that_a_veth_leaves_open_are_told_of_once_with_the_cure",
        || {
            lab::run(&format!("ip link add {NEAR} type veth peer name {FAR}"));
            lab::run(&format!("ip link set {NEAR} up"));
            lab::run(&format!("ip address add 198.18.0.2/24 dev {FAR}"));
            lab::run(&format!("ip link set {FAR} up"));
            let server = Server::start(&[PORT], peer::echo);
            let left = over_a_veth(&["--connections", "3", "--connect-timeout", "200ms"]);
            assert_eq!(left.account().failed, named(&[("syn_timeout", 3)]));
            assert!(left.client().dropped["tcp_checksum_partial"] > 0);
            // The report breaks its lines.
            let words: Vec<_> = left.ended.out.split_whitespace().collect();
            let cure = "`ethtool -K IFACE tx off tso off gso off`";
            assert_eq!(words.join(" ").matches(cure).count(), 1, "{}", left.ended.out);
            let cured = lab::try_run(&format!("ethtool -K {FAR} tx off tso off gso off"));
            if cured.is_none() {
                return println!("there is no ethtool: the cure is not tried");
            }
            let left = over_a_veth(&["--connections", "30"]);
            left.assert_closed(30, &[("fin", 30)]);
            assert!(!left.ended.out.contains("ethtool"), "{}", left.ended.out);
            // The kernel has not seen the ends of those that failed.
            drop(server);
        },
    );
}
