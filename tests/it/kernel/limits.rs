//! Client and server where something runs out: endpoints, sockets, places in the accept queue, descriptors.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::os::fd::AsRawFd;
use std::process::Command;

use dpdk_tcp::kernel::client::{Client, Plan};
use dpdk_tcp::kernel::server::{self, Serve, Server, ServerError};
use dpdk_tcp::kernel::{Options, Source};
use dpdk_tcp::load::closing::Close;
use dpdk_tcp::load::talk::Talk;
use dpdk_tcp::load::tuples::Ports;
use dpdk_tcp::stats::account::{Broken, Failed, Way};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{Backlog, listen};

use super::rig::{
    CRR, MS, SECOND, all_closed, any_port, closed_loop, open_loop, plan, run, run_against, run_with, serve,
    tuples,
};

#[test]
fn a_pair_that_is_in_use_is_not_given_again() {
    let (mut server, target) = serve(Serve::Discard);
    let ports = Ports { first: 21_100, last: 21_102 };
    let mut plan = Plan {
        source: Source::Pair,
        tuples: tuples(target, Ipv4Addr::new(127, 7, 1, 1), 1, ports),
        ..plan(&open_loop(1_000.0, SECOND / 50), target, Talk::SILENT, Close::Rst)
    };
    plan.times.hold_ns = SECOND;
    let client = run_with(Client::new(plan).unwrap(), |now_ns, _| {
        let _ = server.pass(now_ns);
    });
    let account = client.account();
    assert_eq!((account.attempted, account.closed[Way::Rst as usize]), (20, 3));
    assert_eq!(account.failed[Failed::NoTuple as usize], 17);
}

#[test]
fn an_address_that_is_not_ours_is_no_tuple() {
    let (_server, target) = serve(Serve::Discard);
    let plan = Plan {
        source: Source::Address,
        tuples: tuples(target, Ipv4Addr::new(198, 18, 7, 7), 1, Ports::EPHEMERAL),
        ..plan(&closed_loop(10, 2), target, Talk::SILENT, Close::Rst)
    };
    super::rig::all_failed(run(plan).account(), Failed::NoTuple, 10);
}

#[test]
fn a_rate_that_cannot_be_kept_does_not_make_the_run_longer() {
    let (mut server, target) = serve(Serve::Discard);
    let mut plan = plan(&open_loop(50_000_000.0, SECOND / 50), target, Talk::SILENT, Close::Rst);
    plan.times.drain_ns = SECOND / 20;
    let account = *run_against(plan, &mut server).account();
    assert_eq!(account.attempted, 1_000_000);
    assert!(account.failed[Failed::Late as usize] > 500_000, "{account:?}");
}

#[test]
fn connections_beyond_the_client_s_places_fail() {
    let (mut server, target) = serve(Serve::Discard);
    let mut plan = plan(&open_loop(1_000.0, SECOND / 50), target, Talk::SILENT, Close::Fin);
    plan.times.hold_ns = SECOND;
    plan.sockets_max = 6;
    let client = run_against(plan, &mut server);
    assert_eq!(client.account().closed[Way::Fin as usize], 6);
    assert_eq!(client.account().failed[Failed::NoTcb as usize], 14);
}

#[test]
fn connections_beyond_the_server_s_places_wait_their_turn() {
    let mut server = Server::new(server::Plan {
        listen: &[(any_port(), Serve::Reply)],
        shared: false,
        backlog: u32::MAX,
        options: Options::default(),
        reply: &super::rig::REPLY,
        responses: Box::leak(Box::new(dpdk_tcp::app::http::responses::Responses::new(0))),
        sockets_max: 3,
    })
    .unwrap();
    let target = server.addresses()[0];
    let client =
        run_with(Client::new(plan(&closed_loop(200, 20), target, CRR, Close::Peer)).unwrap(), |now_ns, _| {
            let _ = server.pass(now_ns);
            assert!(server.connections() <= 3);
        });
    all_closed(client.account(), Way::Peer, 200);
    assert_eq!(server.accept_failures(), 0);
}

#[test]
fn a_full_accept_queue_answers_no_more_syns() {
    let listener = TcpListener::bind(any_port()).unwrap();
    listen(&listener, Backlog::new(0).unwrap()).unwrap();
    let target = listener.local_addr().unwrap();
    let mut plan = plan(&closed_loop(10, 10), target, CRR, Close::Fin);
    (plan.times.connect_ns, plan.times.reply_ns) = (300 * MS, 100 * MS);
    let client = run(plan);
    let account = client.account();
    assert_eq!(account.attempted, 10);
    // How many fit is the kernel's affair.
    assert!((1..=3).contains(&account.established), "{account:?}");
    assert_eq!(account.broken[Broken::ReplyTimedOut as usize], account.established);
    assert_eq!(account.failed[Failed::SynTimedOut as usize], 10 - account.established);
}

#[test]
fn a_port_is_taken_once_unless_loops_share_it() {
    let listen_at = |address: SocketAddr, shared| {
        Server::new(server::Plan {
            listen: &[(address, Serve::Echo)],
            shared,
            backlog: u32::MAX,
            options: Options::default(),
            reply: b"",
            responses: Box::leak(Box::new(dpdk_tcp::app::http::responses::Responses::new(0))),
            sockets_max: 1,
        })
    };
    let (server, address) = serve(Serve::Echo);
    let refused = listen_at(address, false).err().unwrap();
    assert!(matches!(refused, ServerError::Listen { address: at, .. } if at == address));
    assert!(refused.to_string().starts_with(&format!("{address}: ")), "{refused}");
    drop(server);
    let first = listen_at(any_port(), true).unwrap();
    assert!(listen_at(first.addresses()[0], true).is_ok());
    let elsewhere = SocketAddrV4::new(Ipv4Addr::new(198, 18, 7, 7), 0);
    assert!(listen_at(elsewhere.into(), true).is_err());
}

/// In a process of its own, since all tests of this one would run out of descriptors.
#[test]
fn who_has_no_descriptors_left_counts_that_and_goes_on() {
    const CHILD: &str = "DPDK_TCP_TEST_DESCRIPTORS";
    if std::env::var_os(CHILD).is_some() {
        return without_descriptors();
    }
    let name = "kernel::limits::who_has_no_descriptors_left_counts_that_and_goes_on";
    let mut child = Command::new(std::env::current_exe().unwrap());
    let output = child.args(["--exact", name, "--nocapture"]).env(CHILD, "1").output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

fn without_descriptors() {
    let (mut server, target) = serve(Serve::Reply);
    let mut plan = plan(&open_loop(1_000.0, SECOND / 5), target, CRR, Close::Peer);
    plan.times.hold_ns = 0;
    let client = Client::new(plan).unwrap();
    let lowest_free = TcpListener::bind(any_port()).unwrap().as_raw_fd() as u64;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // Ten for both ends together. The server sleeps at first, so that the client takes them all.
    setrlimit(Resource::RLIMIT_NOFILE, lowest_free + 10, hard).unwrap();
    let client = run_with(client, |now_ns, client| {
        if now_ns > 50 * MS {
            let _ = server.pass(now_ns);
        }
        if client.account().failed[Failed::NoTcb as usize] > 20 && server.accept_failures() > 0 {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
        }
    });
    let account = client.account();
    assert_eq!(account.attempted, 200);
    assert!(server.accept_failures() >= 1);
    assert!(account.failed[Failed::NoTcb as usize] >= 20, "{account:?}");
    assert_eq!(account.closed[Way::Peer as usize], 200 - account.failed[Failed::NoTcb as usize]);
    assert!(account.closed[Way::Peer as usize] >= 100, "{account:?}");
}
