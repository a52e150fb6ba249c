//! The command `connect` over a tap, with servers on the kernel's sockets at the other end: accounts of both ends are
//! compared, so that an error that our client and our server had in common cannot hide.

mod closes;
mod failures;
mod hostile;
mod knobs;
mod load;
mod nginx;
mod output;
mod peer;
mod profiles;
mod sources;

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use dpdk_tcp::telemetry::json;
use dpdk_tcp::telemetry::run::{Account, Document, Run, Second, Side};

use self::peer::{End, Seen, Server, Service};
use crate::lab::{self, Ended, Program, TAP};

/// The kernel's address, and the client's.
const PEER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
const OWN: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The port of the servers here.
const PORT: u16 = 7_000;
const TARGET: &str = "198.18.0.2:7000";
/// Always the same, so that the kernel knows the next client of a test too.
const MAC: &str = "02:00:00:00:00:77";

/// Makes the tap before the client comes, so that the kernel's end has its addresses and is up.
fn tap() {
    lab::run(&format!("ip tuntap add dev {TAP} mode tap multi_queue"));
    lab::run(&format!("ip address add {PEER}/24 dev {TAP}"));
    lab::run(&format!("ip link set {TAP} up"));
}

/// A directory that goes with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        let dir = std::env::temp_dir().join(lab::unique("dpdk-tcp-connect-"));
        fs::create_dir(&dir).unwrap();
        Scratch(dir)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The client, running.
struct Client {
    program: Program,
    scratch: Scratch,
}

/// What a client left behind.
struct Left {
    document: Document,
    ended: Ended,
}

impl Client {
    /// Starts it on the tap.
    fn start(ours: &[&str]) -> Client {
        Client::on(&format!("net_tap0,iface={TAP},mac={MAC}"), ours)
    }

    fn on(device: &str, ours: &[&str]) -> Client {
        let scratch = Scratch::new();
        let json = scratch.file("run.json");
        let words = [&["connect"], ours, &["--json", &json]].concat();
        let program = Program::start(&["-l", "0", "--vdev", device], &words);
        Client { program, scratch }
    }

    /// Waits for its good end.
    #[track_caller]
    fn end(self) -> Left {
        let ended = self.program.end();
        assert_eq!(ended.status.code(), Some(0), "{}{}", ended.out, ended.err);
        assert_eq!(ended.err, "", "{}", ended.out);
        assert!(ended.out.contains("all frames are back"), "{}", ended.out);
        let text = fs::read(self.scratch.file("run.json")).unwrap();
        let document = json::read(&text).unwrap();
        assert_eq!(document.runs.len(), 1);
        let left = Left { document, ended };
        assert_balanced(left.account());
        left
    }
}

/// attempted = established + failed + in flight, established = closed + broken + open, and nothing is left.
#[track_caller]
fn assert_balanced(account: &Account) {
    assert_eq!((account.in_flight, account.open), (0, 0), "{account:?}");
    assert_eq!(account.attempted, account.established + account.failed_all(), "{account:?}");
    assert_eq!(account.established, account.closed_all() + account.broken_all(), "{account:?}");
}

impl Left {
    fn run(&self) -> &Run {
        &self.document.runs[0]
    }

    fn client(&self) -> &Side {
        self.run().client.as_ref().unwrap()
    }

    fn account(&self) -> &Account {
        &self.client().account
    }

    fn series(&self) -> &[Second] {
        &self.run().series
    }

    /// All connections that were attempted, `count`, ended in these ways.
    #[track_caller]
    fn assert_closed(&self, count: u64, ways: &[(&str, u64)]) {
        let account = self.account();
        assert_eq!((account.attempted, account.established), (count, count), "{account:?}");
        assert_eq!(account.closed, named(ways), "{account:?}");
        assert_eq!((account.failed_all(), account.broken_all()), (0, 0), "{account:?}");
    }
}

/// Counts by name.
fn named(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

/// Runs the client to its good end.
#[track_caller]
fn connect(ours: &[&str]) -> Left {
    Client::start(ours).end()
}

/// Runs the client against a server, which must end with nothing left.
#[track_caller]
fn against(service: Service, ours: &[&str]) -> (Left, Vec<Seen>) {
    let server = Server::start(&[PORT], service);
    let left = connect(&[&[TARGET], ours].concat());
    // A connection that says nothing may be over for us before the server's program takes it.
    let established = left.account().established;
    lab::wait_until("the server takes what was opened", || server.accepted() >= established);
    let accepted = server.accepted();
    let seen = server.stop(0);
    assert_eq!(accepted, seen.len() as u64);
    (left, seen)
}

/// So many connections ended in this way.
fn count(seen: &[Seen], end: End) -> u64 {
    seen.iter().filter(|one| one.end == end).count() as u64
}

/// Octets that the server received.
fn octets(seen: &[Seen]) -> u64 {
    seen.iter().map(|one| one.octets).sum()
}
