//! How connections begin: SYN cookies on either side, refusals, a listener that has no room, both at once.

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use dpdk_tcp::engine::api::CloseReason;
use dpdk_tcp::engine::limits::Limits;
use dpdk_tcp::stats::counters::Counter;
use dpdk_tcp::tcp::arrives::listen::CookieMode;
use dpdk_tcp::tcp::outcome::Unreachable;

use super::app::{Conduct, OURS, THEIRS};
use super::host::Setup;
use super::options::Info;
use super::{PORT, Pair, Role, connect, exchange, expect_end, in_namespace, kernel, ours, setup, weather};
use crate::faults::Faults;
use crate::lab;
use crate::rig::{CLIENT, SERVER};
use crate::socket::{self, Dial};
use crate::text::Text;

const LEN: usize = 300_000;

/// A count of the kernel's, of this namespace.
#[track_caller]
fn kernel_number(file: &str, group: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(file).unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with(group));
    let (names, numbers) = (lines.next().unwrap(), lines.next().unwrap());
    let place = names.split(' ').position(|other| other == name).unwrap();
    numbers.split(' ').nth(place).unwrap().parse().unwrap()
}

#[track_caller]
fn kernel_count(name: &str) -> u64 {
    kernel_number("/proc/thread-self/net/netstat", "TcpExt:", name)
}

#[test]
fn a_kernel_connects_through_our_syn_cookies_and_keeps_its_options() {
    in_namespace("roles::opens::a_kernel_connects_through_our_syn_cookies_and_keeps_its_options", || {
        let conduct = Conduct::send(LEN);
        let plain = setup(conduct);
        let limits = Limits { syn_cookies: CookieMode::Always, ..plain.limits };
        let host = Setup { limits, ..setup(conduct) }.start();
        for number in 1..=5 {
            lab::set("net.ipv4.tcp_timestamps", if number == 1 { "0" } else { "1" });
            // An ACK that is lost would leave nothing: the kernel says no more until it has data to send.
            host.set_faults([Faults::default(); 2]);
            let pair = connect(&host, Role::Server, conduct, Dial::default());
            host.set_faults([weather(); 2]);
            let info = Info::of(&pair);
            // Without timestamps there is no place to remember the other options.
            let all = number > 1;
            assert_eq!((info.has("ts"), info.has("sack"), info.number("wscale").is_some()), (all, all, all));
            exchange(&host, &pair, LEN, LEN);
            assert_eq!(host.count(Counter::CookiesGood), number);
        }
        assert_eq!(host.count(Counter::Syn), 0);
        host.stop();
    });
}

#[test]
fn we_connect_through_the_kernel_s_syn_cookies() {
    in_namespace("roles::opens::we_connect_through_the_kernel_s_syn_cookies", || {
        let conduct = Conduct::send(LEN);
        let host = setup(conduct).start();
        lab::set("net.ipv4.tcp_syncookies", "2");
        for number in 1..=5 {
            // The kernel answers by a reset when the first segment that it sees again is not our first one.
            host.set_faults([Faults::default(); 2]);
            let pair = connect(&host, Role::Client, conduct, Dial::default());
            host.set_faults([weather(); 2]);
            let info = Info::of(&pair);
            assert!(info.has("ts") && info.has("sack") && info.number("wscale").is_some());
            exchange(&host, &pair, LEN, LEN);
            assert_eq!(kernel_count("SyncookiesRecv"), number);
        }
        host.stop();
    });
}

#[test]
fn a_port_without_a_listener_refuses_us() {
    in_namespace("roles::opens::a_port_without_a_listener_refuses_us", || {
        let host = setup(Conduct::IDLE).start();
        for _ in 0..3 {
            let started = Instant::now();
            let place = host.open(kernel(), Conduct::IDLE).unwrap();
            let seen = host.wait_closed(place, CloseReason::Refused);
            assert!(!seen.is_up && started.elapsed() < Duration::from_millis(900));
        }
        assert_eq!(host.count(Counter::Refused), 3);
        host.stop();
    });
}

#[test]
fn a_listener_without_room_lets_us_in_when_it_has_some() {
    in_namespace("roles::opens::a_listener_without_room_lets_us_in_when_it_has_some", || {
        const COUNT: usize = 8;
        let conduct = Conduct::send(LEN);
        let host = setup(conduct).start();
        lab::set("net.ipv4.tcp_syncookies", "0");
        // Four fit, and the SYNs of the others are dropped.
        let listener = socket::listen(kernel(), Dial::default(), 3).unwrap();
        socket::ping(SERVER, 1, b"hello").unwrap();
        host.open_together(COUNT, kernel(), conduct);
        let (first, _) = listener.accept().unwrap();
        // When the SYNs come again they find room for one, whose last ACK takes it; those of the others are dropped.
        // They believe to be connected, and send.
        thread::sleep(Duration::from_millis(2_500));
        assert!(host.count(Counter::SynRepeated) > 0 && kernel_count("TCPReqQFullDrop") > 0);
        assert_eq!(host.count(Counter::Established), COUNT as u64);
        let mut first = Some(first);
        for _ in 0..COUNT {
            let stream = first.take().unwrap_or_else(|| listener.accept().unwrap().0);
            stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            Text::new(OURS).expect(&stream, LEN);
            expect_end(&stream);
        }
        for place in 0..COUNT {
            host.wait_closed(place, CloseReason::Finished);
        }
        host.stop();
    });
}

#[test]
fn a_listener_that_resets_when_it_has_no_room_is_told_as_a_reset_or_a_refusal() {
    in_namespace(
        "roles::opens::a_listener_that_resets_when_it_has_no_room_is_told_as_a_reset_or_a_refusal",
        || {
            let host = setup(Conduct::IDLE).start();
            lab::set("net.ipv4.tcp_abort_on_overflow", "1");
            lab::set("net.ipv4.tcp_syncookies", "0");
            let listener = socket::listen(kernel(), Dial::default(), 3).unwrap();
            // Addresses are known before.
            socket::ping(SERVER, 1, b"hello").unwrap();
            let places = host.open_together(8, kernel(), Conduct::IDLE);
            // Four fit. When the other SYNs come again they find room for one, and the last ACKs that then do not are
            // answered by resets.
            let first = listener.accept().unwrap();
            lab::wait_until("a reset", || {
                places.iter().any(|place| host.seen(*place).closed == Some(CloseReason::Reset))
            });
            socket::reset_on_close(&first.0);
            drop((listener, first));
            for place in places {
                let seen = host.wait(place, "an end", |seen| seen.closed.is_some());
                let closed = seen.closed.unwrap();
                assert!(matches!(closed, CloseReason::Reset | CloseReason::Refused), "{seen:?}");
            }
            host.stop();
        },
    );
}

#[test]
fn both_may_open_at_once_and_get_one_connection() {
    //= MUST-10
    in_namespace("roles::opens::both_may_open_at_once_and_get_one_connection", || {
        plain_host_of_both();
    });
}

fn plain_host_of_both() {
    let conduct = Conduct::send(LEN);
    super::plain();
    // A long wire: both SYNs are on it at once.
    let slow = Faults { hold_ppm: 1_000_000, hold_us: 200_000, ..Faults::default() };
    let host = Setup::new(&[]).start();
    // Addresses are known before.
    socket::ping(SERVER, 1, b"hello").unwrap();
    host.set_faults([slow; 2]);
    let dial = Dial { from: Some(CLIENT), from_port: PORT, ..Dial::default() };
    let stream = thread::scope(|scope| {
        let dialling = scope.spawn(move || dial.connect(ours()));
        assert_eq!(host.open_from(PORT, kernel(), conduct), Ok(0));
        dialling.join().unwrap().unwrap()
    });
    host.wait(0, "a connection", |seen| seen.is_up);
    host.set_faults([weather(); 2]);
    assert_eq!(host.count(Counter::Established), 1);
    exchange(&host, &Pair { place: 0, stream }, LEN, LEN);
    assert_eq!(host.begun(), 1);
    host.stop();
}

#[test]
fn a_kernel_that_is_refused_and_one_that_is_not_may_come_from_one_port() {
    in_namespace("roles::opens::a_kernel_that_is_refused_and_one_that_is_not_may_come_from_one_port", || {
        let host = setup(Conduct::ECHO).start();
        let dial = Dial { from: Some(CLIENT), from_port: 40_000, ..Dial::default() };
        let nobody = SocketAddr::from((SERVER, PORT + 1));
        assert_eq!(dial.connect(nobody).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let mut stream = dial.connect(ours()).unwrap();
        stream.write_all(&Text::new(THEIRS).from(0)[..100]).unwrap();
        Text::new(THEIRS).expect(&stream, 100);
        stream.shutdown(Shutdown::Write).unwrap();
        expect_end(&stream);
        host.wait_closed(0, CloseReason::Finished);
        host.stop();
    });
}

#[test]
fn an_attempt_ends_when_a_router_forbids_it_and_goes_on_when_the_way_is_only_missing() {
    //= MUST-56
    //= SHLD-26
    in_namespace(
        "roles::opens::an_attempt_ends_when_a_router_forbids_it_and_goes_on_when_the_way_is_only_missing",
        || {
            let conduct = Conduct::send(LEN);
            let host = Setup { gateway: Some(CLIENT), ..setup(conduct) }.start();
            lab::set("net.ipv4.ip_forward", "1");
            let far = SocketAddr::from(([198, 18, 1, 2], PORT));
            let any = SocketAddr::from(([0, 0, 0, 0], PORT));
            let listener = socket::listen(any, Dial::default(), 8).unwrap();
            lab::run("ip route add prohibit 198.18.1.0/24");
            let forbidden = host.open(far, conduct).unwrap();
            host.wait_closed(forbidden, CloseReason::Unreachable(Unreachable::Prohibited));

            lab::run("ip route replace unreachable 198.18.1.0/24");
            let before = unreachable_sent();
            let missing = host.open(far, conduct).unwrap();
            lab::wait_until("a message", || unreachable_sent() > before);
            thread::sleep(Duration::from_millis(100));
            assert_eq!((host.seen(missing).is_up, host.seen(missing).closed), (false, None));
            // The way is there, and the SYN comes again.
            lab::run("ip address add 198.18.1.2/32 dev lo");
            let (stream, _) = listener.accept().unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            Text::new(OURS).expect(&stream, LEN);
            expect_end(&stream);
            host.wait_closed(missing, CloseReason::Finished);
            host.stop();
        },
    );
}

/// ICMP messages of the kind "destination unreachable" that the kernel has sent.
#[track_caller]
fn unreachable_sent() -> u64 {
    kernel_number("/proc/thread-self/net/snmp", "Icmp:", "OutDestUnreachs")
}
