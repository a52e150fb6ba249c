//! A router between the program and its peer, and a link behind it that takes less than ours.

use std::io::Read;
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::CHARGEN;
use crate::lab::{self, Namespace, Program, server};
use crate::socket::Dial;

/// The router's interface to the peer, and the peer's to the router.
const NEAR: &str = "dveth0";
const FAR: &str = "dveth1";
/// More than any window holds.
const LEN: usize = 2_000_000;

/// The program, this namespace as its router, and a peer's namespace behind it on a link of which each end has its
/// own MTU.
fn serve_across(near_mtu: u16, far_mtu: u16) -> (Program, Namespace) {
    let program = lab::serve(&["--gateway", "198.18.0.2"]);
    lab::set("net.ipv4.ip_forward", "1");
    let peer = Namespace::new().expect("a second namespace");
    lab::run(&format!("ip link add {NEAR} type veth peer name {FAR} netns {}", peer.name()));
    lab::run(&format!("ip address add 198.18.1.1/24 dev {NEAR}"));
    lab::run(&format!("ip link set {NEAR} mtu {near_mtu} up"));
    peer.run(move || {
        lab::run(&format!("ip address add 198.18.1.2/24 dev {FAR}"));
        lab::run(&format!("ip link set {FAR} mtu {far_mtu} up"));
        // What it offers does not give away what its link takes.
        lab::run("ip route add default via 198.18.1.1 advmss 1460");
    });
    (program, peer)
}

fn connect(port: u16) -> TcpStream {
    Dial::default().connect(server(port)).unwrap()
}

/// Reads so many octets of chargen's after the first `from`; they are RFC 864's.
fn read_characters(mut stream: &TcpStream, from: usize, len: usize) {
    let mut text = vec![0; len];
    stream.read_exact(&mut text).unwrap();
    let wrong = (0..len).find(|at| text[*at] != super::data::character(from + *at));
    assert_eq!(wrong, None, "not RFC 864's text from here on");
}

#[test]
fn a_router_that_reports_its_mtu_is_believed() {
    //= PMTU-1
    //= MUST-54
    lab::in_namespace("kernel::paths::a_router_that_reports_its_mtu_is_believed", || {
        let (program, peer) = serve_across(1_280, 1_500);
        peer.run(|| {
            read_characters(&connect(CHARGEN), 0, LEN);
            read_characters(&connect(CHARGEN), 0, LEN);
        });
        let ended = program.stop();
        assert_eq!(ended.count("path_mtu_changed"), 1, "the second connection knew it\n{}", ended.out);
        assert_eq!((ended.count("black_holes"), ended.count("rto_expired")), (0, 0), "{}", ended.out);
    });
}

#[test]
fn a_link_that_swallows_large_packets_is_found_out() {
    //= PLPMTUD-6
    lab::in_namespace("kernel::paths::a_link_that_swallows_large_packets_is_found_out", || {
        let (program, peer) = serve_across(1_500, 1_280);
        peer.run(|| read_characters(&connect(CHARGEN), 0, LEN));
        let ended = program.stop();
        assert_eq!(ended.count("black_holes"), 1, "{}", ended.out);
    });
}

#[test]
fn a_connection_that_a_router_forbids_for_a_while_goes_on() {
    //= MUST-56
    //= ICMPR-4
    lab::in_namespace("kernel::paths::a_connection_that_a_router_forbids_for_a_while_goes_on", || {
        let (program, peer) = serve_across(1_500, 1_500);
        let (begun, waits) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                peer.run(move || {
                    let stream = connect(CHARGEN);
                    read_characters(&stream, 0, 1_000);
                    begun.send(()).unwrap();
                    read_characters(&stream, 1_000, 20 * LEN);
                });
            });
            waits.recv().unwrap();
            // The kernel answers each packet of ours with "administratively prohibited".
            lab::run("ip route add prohibit 198.18.1.2/32");
            thread::sleep(Duration::from_millis(200));
            lab::run("ip route del prohibit 198.18.1.2/32");
        });
        let ended = program.stop();
        let [heard, forbidden] = ["rto_expired", "unreachable"].map(|name| ended.count(name));
        assert!(heard > 0 && forbidden == 0, "{}", ended.out);
    });
}

#[test]
fn a_port_that_a_router_forbids_cannot_be_opened() {
    //= SHLD-26
    lab::in_namespace("kernel::paths::a_port_that_a_router_forbids_cannot_be_opened", || {
        let (program, peer) = serve_across(1_500, 1_500);
        lab::run("ip route add prohibit 198.18.1.2/32");
        peer.run(|| {
            let dial = Dial { patience: Some(Duration::from_secs(2)), ..Dial::default() };
            let failed = dial.connect(server(CHARGEN));
            assert!(failed.is_err(), "the SYN-ACK cannot have arrived");
        });
        let ended = program.stop();
        assert!(ended.count("unreachable") > 0, "{}", ended.out);
    });
}
