//! Our engine as the server and as the client of the Linux kernel, over a tap and through a network that loses,
//! holds back, doubles and corrupts frames. The engine runs in the test's own process, so that it can open
//! connections, and every octet of both directions is compared.

mod app;
mod bulk;
mod crowd;
mod ends;
mod host;
mod mtu;
mod opens;
mod options;
mod own;
mod windows;

use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use dpdk_tcp::engine::api::CloseReason;

use crate::child;
use crate::faults::Faults;
use crate::lab;
use crate::rig::{CLIENT, SERVER};
use crate::socket::{self, Dial};
use crate::text::Text;
use app::{Conduct, OURS, THEIRS};
use host::{Host, Setup};

/// The port of whoever is the server.
const PORT: u16 = 7_000;

/// How long a socket of the kernel's waits for anything.
const PATIENCE: Duration = Duration::from_secs(40);

/// Runs the body in a process and a network namespace of its own, or says why not. Prints the lines with
/// measurements, those that begin with `# `.
fn in_namespace(name: &str, body: fn()) {
    if child::can_make_namespaces(name) {
        let text = child::run_behind(&["unshare", "-n"], name, body).unwrap_or_default();
        for (_, line) in text.lines().filter_map(|line| line.split_once("# ")) {
            println!("{name}: {line}");
        }
    }
}

/// Makes the namespace a plain one: loopback, no IPv6. First thing in a body.
fn plain() {
    lab::run("ip link set lo up");
    lab::set("net.ipv6.conf.all.disable_ipv6", "1");
    lab::set("net.ipv6.conf.default.disable_ipv6", "1");
}

/// The address of the server when the kernel is it.
fn kernel() -> SocketAddr {
    SocketAddr::from((CLIENT, PORT))
}

/// Our address when we are the server.
fn ours() -> SocketAddr {
    SocketAddr::from((SERVER, PORT))
}

/// Who listens and who connects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Role {
    Server,
    Client,
}

const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// A connection between us and the kernel: its place in our log, and the kernel's socket.
struct Pair {
    place: usize,
    stream: TcpStream,
}

/// Connects, with us in this role. As a server we do what the host was told at its start to do on [`PORT`];
/// `conduct` must be the same.
#[track_caller]
fn connect(host: &Host, role: Role, conduct: Conduct, dial: Dial) -> Pair {
    let place = host.begun();
    let congestion = dial.congestion.or(Some("cubic"));
    let dial = Dial { patience: Some(PATIENCE), congestion, ..dial };
    let stream = match role {
        Role::Server => dial.connect(ours()).unwrap(),
        Role::Client => {
            let listener = socket::listen(kernel(), dial, 8).unwrap();
            assert_eq!(host.open(kernel(), conduct), Ok(place));
            let (stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            stream
        }
    };
    host.wait(place, "a connection", |seen| seen.is_up);
    Pair { place, stream }
}

/// A host for either role, in a plain namespace.
fn setup(conduct: Conduct) -> Setup {
    plain();
    Setup::new(&[(PORT, conduct)])
}

/// Nothing comes but our FIN.
#[track_caller]
fn expect_end(mut from: &TcpStream) {
    let mut rest = [0; 64];
    let count = from.read(&mut rest).unwrap();
    assert_eq!(count, 0, "{:?}", &rest[..count]);
}

/// A network that loses every hundredth frame, holds as many back, and doubles and corrupts a few.
fn weather() -> Faults {
    Faults {
        loss_ppm: 10_000,
        duplicate_ppm: 2_000,
        corrupt_ppm: 2_000,
        hold_ppm: 10_000,
        hold_us: 2_000,
        mark_ppm: 0,
    }
}

/// Sends a text and its end to us while ours is read, and waits for the end on both sides. We are to have sent
/// `ours` octets and received `theirs`.
#[track_caller]
fn exchange(host: &Host, pair: &Pair, ours: usize, theirs: usize) {
    exchange_and(host, pair, ours, theirs, || ());
}

/// The same, with a look at something when all data is sent and ours is read, before the kernel closes.
#[track_caller]
fn exchange_and<T>(host: &Host, pair: &Pair, ours: usize, theirs: usize, look: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        scope.spawn(|| {
            Text::new(THEIRS).send(&pair.stream, theirs);
        });
        Text::new(OURS).expect(&pair.stream, ours);
    });
    let seen = look();
    pair.stream.shutdown(Shutdown::Write).unwrap();
    expect_end(&pair.stream);
    let told = host.wait_closed(pair.place, CloseReason::Finished);
    assert_eq!((told.sent, told.received, told.wrong_at), (ours, theirs, None));
    seen
}
