//! A client and a server that take turns on one thread, and what plans have in common.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use dpdk_tcp::app::http::responses::Responses;
use dpdk_tcp::kernel::client::{Client, Plan, Times};
use dpdk_tcp::kernel::server::{self, Serve, Server};
use dpdk_tcp::kernel::{Options, Pass, Source};
use dpdk_tcp::load::closing::{Close, Closes};
use dpdk_tcp::load::schedule::{Launches, Schedule, Share, Stage};
use dpdk_tcp::load::talk::{Reply, Request, Talk};
use dpdk_tcp::load::tuples::{Addresses, Ports, Target, Tuples};
use dpdk_tcp::stats::account::{Broken, Failed, Tally, Way};

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1_000 * MS;
/// A test that takes longer than this is stuck.
const PATIENCE: Duration = Duration::from_secs(30);

pub const REQUEST: &[u8; 85] = &[b'?'; 85];
pub static REPLY: [u8; 300] = [b'!'; 300];
pub const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
pub const GET_CLOSE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
/// Octets of http's body.
pub const BODY: usize = 5_000;

/// Request and reply of a fixed length.
pub const CRR: Talk = Talk { request: Request::Whole(REQUEST), reply: Reply::Octets(300), requests: 1 };

/// `count` connections, `level` at a time.
pub fn closed_loop(count: u64, level: u32) -> Schedule {
    let stage = Stage { concurrency: Some(level), duration_ns: 60 * SECOND, ..Stage::default() };
    Schedule { stages: vec![stage], connections: Some(count), ..Schedule::default() }
}

/// `rate` connections a second for some time.
pub fn open_loop(rate: f64, duration_ns: u64) -> Schedule {
    let stage = Stage { rate: Some(rate), duration_ns, ..Stage::default() };
    Schedule { stages: vec![stage], ..Schedule::default() }
}

pub fn times() -> Times {
    Times { connect_ns: 10 * SECOND, reply_ns: 10 * SECOND, think_ns: 0, hold_ns: 0, drain_ns: 10 * SECOND }
}

/// Tuples to one target, from some consecutive addresses.
pub fn tuples(target: SocketAddr, first: Ipv4Addr, count: u32, ports: Ports) -> Tuples {
    let SocketAddr::V4(target) = target else { panic!("{target} is not IPv4") };
    let to = Target { addresses: Addresses::one(*target.ip()), ports: Ports::one(target.port()) };
    Tuples::new(&[Addresses { first, count }], ports, &[to], 0)
}

pub fn plan(schedule: &Schedule, target: SocketAddr, talk: Talk, close: Close) -> Plan {
    Plan {
        launches: Launches::new(schedule, Share::WHOLE),
        tuples: tuples(target, Ipv4Addr::UNSPECIFIED, 1, Ports::EPHEMERAL),
        source: Source::Kernel,
        options: Options::default(),
        talk,
        closes: Closes::only(close),
        times: times(),
        sockets_max: 1_000,
    }
}

/// An endpoint on which the kernel chooses the port.
pub fn any_port() -> SocketAddr {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into()
}

/// A server with one service, and where it is.
pub fn serve(serve: Serve) -> (Server, SocketAddr) {
    let server = Server::new(server::Plan {
        listen: &[(any_port(), serve)],
        shared: false,
        backlog: u32::MAX,
        options: Options::default(),
        reply: &REPLY,
        responses: Box::leak(Box::new(Responses::new(BODY))),
        sockets_max: 1_000,
    });
    let server = server.unwrap();
    let address = server.addresses()[0];
    (server, address)
}

/// The run's clock.
pub struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Clock(Instant::now())
    }

    pub fn ns(&self) -> u64 {
        let elapsed = self.0.elapsed();
        assert!(elapsed < PATIENCE, "stuck");
        elapsed.as_nanos() as u64
    }
}

/// Runs a client to its end, together with what else has to run; checks its account after each pass.
#[track_caller]
pub fn run_with(mut client: Client, mut also: impl FnMut(u64, &Client)) -> Client {
    let clock = Clock::start();
    while !client.is_done() {
        let now_ns = clock.ns();
        let pass = client.pass(now_ns);
        assert_eq!(client.account().check(), Ok(()));
        let level = client.account().in_flight + client.account().open;
        assert_eq!(u64::from(client.connections()), level);
        also(now_ns, &client);
        if pass == Pass::Idle {
            std::thread::yield_now();
        }
    }
    assert_eq!(client.connections(), 0);
    client
}

/// Runs a client against somebody else.
#[track_caller]
pub fn run(plan: Plan) -> Client {
    run_with(Client::new(plan).unwrap(), |_, _| {})
}

/// Runs a client against our server, until both have nothing left.
#[track_caller]
pub fn run_against(plan: Plan, server: &mut Server) -> Client {
    let client = run_with(Client::new(plan).unwrap(), |now_ns, _| {
        let _ = server.pass(now_ns);
        assert_eq!(server.account().check(), Ok(()));
    });
    server.drain(SECOND);
    let clock = Clock::start();
    while !server.is_drained() {
        let _ = server.pass(clock.ns());
    }
    assert_eq!(server.account().check(), Ok(()));
    client
}

/// Exactly so many ended in this way, and nothing else happened.
#[track_caller]
pub fn all_closed(account: &Tally, way: Way, count: u64) {
    assert_eq!(account.closed[way as usize], count, "{account:?}");
    assert_eq!((account.attempted, account.established, account.closed_all()), (count, count, count));
}

/// Exactly so many were lost for this reason, and nothing else happened.
#[track_caller]
pub fn all_broken(account: &Tally, why: Broken, count: u64) {
    assert_eq!(account.broken[why as usize], count, "{account:?}");
    assert_eq!((account.attempted, account.established, account.broken_all()), (count, count, count));
}

/// Exactly so many failed for this reason, and nothing else happened.
#[track_caller]
pub fn all_failed(account: &Tally, why: Failed, count: u64) {
    assert_eq!(account.failed[why as usize], count, "{account:?}");
    assert_eq!((account.attempted, account.established, account.failed_all()), (count, 0, count));
}
