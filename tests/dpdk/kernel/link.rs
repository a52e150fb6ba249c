//! What lies below and beside the data: pings, ARP, MTUs, and the options that both ends agree on.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

use super::{ECHO, Text, connect, echo};
use crate::lab::{self, SERVER, TAP, server};
use crate::socket::{self, Dial};

#[test]
fn pings_of_every_size_are_answered_with_their_own_data() {
    lab::in_namespace("kernel::link::pings_of_every_size_are_answered_with_their_own_data", || {
        let program = lab::serve(&[]);
        let text = Text::new(1);
        for (number, size) in [0, 1, 7, 56, 57, 1_000, 1_471, 1_472].into_iter().enumerate() {
            let data = &text.from(0)[..size];
            let answer = socket::ping(SERVER, number as u16, data).unwrap();
            assert!(answer == data, "{size} octets");
        }
        // One more does not fit into a packet.
        assert!(socket::ping(SERVER, 99, &text.from(0)[..1_473]).is_err());
        assert_eq!(program.stop().count("icmp_echo_answered"), 8);
    });
}

#[test]
fn a_peer_that_never_asked_for_our_address_is_asked_for_its_own() {
    //= ARP-4
    lab::in_namespace("kernel::link::a_peer_that_never_asked_for_our_address_is_asked_for_its_own", || {
        let device = format!("net_tap0,iface={TAP},mac=02:00:00:00:00:77");
        let mut program = lab::Program::start(&["-l", "0", "--vdev", &device], &[]);
        program.wait_for_line("ready");
        // With an entry that was given to it the kernel has no reason to ask, and we hear of its address from it
        // only when we ask.
        lab::run(&format!("ip link set {TAP} up"));
        lab::run(&format!("ip address add 198.18.0.2/24 dev {TAP}"));
        lab::run(&format!("ip neigh replace {SERVER} lladdr 02:00:00:00:00:77 nud permanent dev {TAP}"));
        echo(&connect(ECHO), 1, 10_000);
        let ended = program.stop();
        assert!(ended.count("arp_requests_sent") >= 1, "{}", ended.out);
        assert_eq!(
            (ended.count("arp_requests_answered"), ended.count("retransmissions")),
            (0, 0),
            "{}",
            ended.out
        );
    });
}

#[test]
fn a_neighbour_that_was_given_is_not_asked_for() {
    lab::in_namespace("kernel::link::a_neighbour_that_was_given_is_not_asked_for", || {
        let device = format!("net_tap0,iface={TAP},mac=02:00:00:00:00:77");
        // The kernel's end of a tap has the port's MAC address.
        let ours = ["--neighbour", "198.18.0.2=02:00:00:00:00:77"];
        let mut program = lab::Program::start(&["-l", "0", "--vdev", &device], &ours);
        program.wait_for_line("ready");
        lab::run(&format!("ip link set {TAP} up"));
        lab::run(&format!("ip address add 198.18.0.2/24 dev {TAP}"));
        lab::run(&format!("ip neigh replace {SERVER} lladdr 02:00:00:00:00:77 nud permanent dev {TAP}"));
        echo(&connect(ECHO), 1, 10_000);
        assert_eq!(program.stop().count("arp_requests_sent"), 0);
    });
}

#[test]
fn a_peer_whose_neighbours_are_flushed_finds_us_again() {
    lab::in_namespace("kernel::link::a_peer_whose_neighbours_are_flushed_finds_us_again", || {
        let program = lab::serve(&[]);
        for number in 0..5 {
            lab::run(&format!("ip neigh flush dev {TAP}"));
            echo(&connect(ECHO), number, 1_000);
        }
        assert!(program.stop().count("arp_requests_answered") >= 5);
    });
}

#[test]
fn every_address_of_a_port_is_served() {
    lab::in_namespace("kernel::link::every_address_of_a_port_is_served", || {
        let device = format!("net_tap0,iface={TAP}");
        let ours = ["--addr", "10.9.0.1/16", "--addr", "10.9.7.7/16@net_tap0", "--addr", "10.10.0.1/16@0"];
        let mut program = lab::Program::start(&["-l", "0", "--vdev", &device], &ours);
        program.wait_for_line("ready net_tap0 10.10.0.1");
        lab::run(&format!("ip link set {TAP} up"));
        lab::run(&format!("ip address add 10.9.0.2/16 dev {TAP}"));
        lab::run(&format!("ip address add 10.10.0.2/16 dev {TAP}"));
        for ip in [[10, 9, 0, 1], [10, 9, 7, 7], [10, 10, 0, 1]] {
            let stream = Dial::default().connect(SocketAddr::from((ip, ECHO))).unwrap();
            echo(&stream, 1, 10_000);
            socket::ping(Ipv4Addr::from(ip), 1, b"hello").unwrap();
        }
        let lines = program.out();
        assert_eq!(lines.lines().filter(|line| line.starts_with("ready net_tap0 10.")).count(), 3, "{lines}");
        program.stop();
    });
}

#[test]
fn peers_behind_a_gateway_are_reached_through_it() {
    lab::in_namespace("kernel::link::peers_behind_a_gateway_are_reached_through_it", || {
        let program = lab::serve(&["--gateway", "198.18.0.2"]);
        lab::run("ip address add 203.0.113.9/32 dev lo");
        let dial = Dial { from: Some(Ipv4Addr::new(203, 0, 113, 9)), ..Dial::default() };
        echo(&dial.connect(server(ECHO)).unwrap(), 1, 100_000);
        program.stop();
    });
}

/// What `ss` says of the kernel's only connection, if there is an `ss`.
fn seen_by_ss() -> Option<String> {
    let output = lab::try_run("ss -teinH state established")?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn timestamps_sack_and_window_scaling_are_used_when_both_ends_want_them() {
    //= TS-1
    //= OPT-9
    lab::in_namespace(
        "kernel::link::timestamps_sack_and_window_scaling_are_used_when_both_ends_want_them",
        || {
            let program = lab::serve(&[]);
            for number in 0..8u64 {
                let on = |bit: u64| number >> bit & 1 == 1;
                let switch = |bit| if on(bit) { "1" } else { "0" };
                lab::set("net.ipv4.tcp_timestamps", switch(0));
                lab::set("net.ipv4.tcp_sack", switch(1));
                lab::set("net.ipv4.tcp_window_scaling", switch(2));
                let mut stream = connect(ECHO);
                stream.write_all(b"x").unwrap();
                Text::of(b'x').expect(&stream, 1);
                if let Some(seen) = seen_by_ss() {
                    let words: Vec<&str> = seen.split_whitespace().collect();
                    let has = |word: &str| words.iter().any(|one| one.split(':').next() == Some(word));
                    assert_eq!((has("ts"), has("sack"), has("wscale")), (on(0), on(1), on(2)), "{seen}");
                } else {
                    println!("there is no ss: the options are not looked at");
                }
                echo(&stream, number, 500_000);
            }
            assert_eq!(program.stop().count("finished"), 8);
        },
    );
}

#[test]
fn a_peer_that_wants_congestion_notification_gets_it() {
    lab::in_namespace("kernel::link::a_peer_that_wants_congestion_notification_gets_it", || {
        let program = lab::serve(&[]);
        lab::set("net.ipv4.tcp_ecn", "1");
        let mut stream = connect(ECHO);
        stream.write_all(b"x").unwrap();
        if let Some(seen) = seen_by_ss() {
            assert!(seen.split_whitespace().any(|word| word == "ecn" || word == "ecnseen"), "{seen}");
        }
        Text::of(b'x').expect(&stream, 1);
        echo(&stream, 1, 500_000);
        program.stop();
    });
}

#[test]
fn the_smaller_mtu_of_both_ends_is_kept_to() {
    //= MUST-14
    lab::in_namespace("kernel::link::the_smaller_mtu_of_both_ends_is_kept_to", || {
        for (own, kernels) in [(576, 576), (1_500, 576), (576, 1_500), (1_400, 1_500)] {
            let program = lab::serve(&["--mtu", &own.to_string()]);
            lab::run(&format!("ip link set {TAP} mtu {kernels}"));
            let mut stream = connect(ECHO);
            stream.write_all(b"x").unwrap();
            Text::of(b'x').expect(&stream, 1);
            if let Some(seen) = seen_by_ss() {
                let mss = seen.split_whitespace().find_map(|word| word.strip_prefix("mss:")).unwrap();
                let mss: usize = mss.parse().unwrap();
                assert!(mss + 40 <= own.min(kernels), "{seen}");
            }
            echo(&stream, own as u64, 300_000);
            let ended = program.stop();
            assert_eq!((ended.count("retransmissions"), ended.count("finished")), (0, 1), "{}", ended.out);
        }
    });
}

#[test]
fn a_link_that_goes_down_and_comes_up_again_is_told_each_time() {
    lab::in_namespace("kernel::link::a_link_that_goes_down_and_comes_up_again_is_told_each_time", || {
        let mut program = lab::serve(&[]);
        echo(&connect(ECHO), 1, 1_000);
        lab::run(&format!("ip link set {TAP} down"));
        program.wait_for_line("link net_tap0 down");
        lab::run(&format!("ip link set {TAP} up"));
        program.wait_for_line("link net_tap0 up");
        echo(&connect(ECHO), 2, 1_000);
        let ended = program.stop();
        let told = ended.out.lines().filter(|line| line.starts_with("link ")).count();
        assert_eq!(told, 2, "{}", ended.out);
    });
}
