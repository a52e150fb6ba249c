//! Our client against plain servers of `std`, friendly and hostile: what two of our own would both get wrong shows here.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use dpdk_tcp::kernel::Source;
use dpdk_tcp::kernel::client::{Client, Plan};
use dpdk_tcp::load::closing::Close;
use dpdk_tcp::load::talk::{Reply, Request, Talk};
use dpdk_tcp::load::tuples::Ports;
use dpdk_tcp::stats::account::{Broken, Failed, Way};
use dpdk_tcp::stats::latency::Phase;
use nix::sys::socket::{setsockopt, sockopt};

use super::rig::{
    CRR, GET, MS, REPLY, REQUEST, SECOND, all_broken, all_closed, all_failed, any_port, closed_loop, plan,
    run, run_with, tuples,
};

const COUNT: u64 = 30;
const HTTP: Talk = Talk { request: Request::Whole(GET), reply: Reply::Http, requests: 1 };
const ECHO: Talk =
    Talk { request: Request::Payload { len: 50_000, seed: Some(3) }, reply: Reply::Same, requests: 1 };

/// A listener whose connections are each served by `act` in a thread of their own.
fn server(act: impl Fn(&mut TcpStream) + Send + Clone + 'static) -> SocketAddr {
    let listener = TcpListener::bind(any_port()).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, act) = (stream.unwrap(), act.clone());
            thread::spawn(move || act(&mut stream));
        }
    });
    address
}

/// Reads so many octets; fewer at the end or after a reset.
fn take(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut octets = Vec::new();
    let _ = stream.take(count as u64).read_to_end(&mut octets);
    octets
}

/// Reads up to the other end's FIN.
fn until_closed(stream: &mut TcpStream) -> bool {
    stream.read_to_end(&mut Vec::new()).is_ok()
}

/// Lets a stream end by a reset when it is dropped.
fn will_reset(stream: &TcpStream) {
    setsockopt(stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
}

#[test]
fn each_close_is_seen_by_a_plain_server() {
    for (close, way) in [
        (Close::Fin, Way::Fin),
        (Close::Peer, Way::Peer),
        (Close::Rst, Way::Rst),
        (Close::HalfClose, Way::HalfClose),
    ] {
        let (seen, sees) = mpsc::channel();
        let target = server(move |stream| {
            assert_eq!(take(stream, REQUEST.len()), REQUEST);
            if close == Close::HalfClose {
                seen.send(until_closed(stream)).unwrap();
            }
            stream.write_all(&REPLY).unwrap();
            if close == Close::Peer {
                stream.shutdown(std::net::Shutdown::Write).unwrap();
            }
            if close != Close::HalfClose {
                seen.send(until_closed(stream)).unwrap();
            }
        });
        let client = run(plan(&closed_loop(COUNT, 5), target, CRR, close));
        all_closed(client.account(), way, COUNT);
        for _ in 0..COUNT {
            let by_fin = sees.recv_timeout(Duration::from_secs(10)).unwrap();
            assert_eq!(by_fin, close != Close::Rst, "{close:?}");
        }
    }
}

#[test]
fn a_server_that_closes_at_once_is_what_a_silent_client_waits_for() {
    let target = server(|_| {});
    let client = run(plan(&closed_loop(COUNT, 5), target, Talk::SILENT, Close::Peer));
    all_closed(client.account(), Way::Peer, COUNT);
}

#[test]
fn an_echo_in_pieces_is_compared_octet_by_octet() {
    let echo = |wrong_at: usize| {
        server(move |stream| {
            let mut octets = take(stream, 50_000);
            if let Some(octet) = octets.get_mut(wrong_at) {
                *octet ^= 1;
            }
            for piece in octets.chunks(777) {
                if stream.write_all(piece).is_err() {
                    return;
                }
            }
            until_closed(stream);
        })
    };
    let client = run(plan(&closed_loop(COUNT, 5), echo(usize::MAX), ECHO, Close::Fin));
    all_closed(client.account(), Way::Fin, COUNT);
    let client = run(plan(&closed_loop(COUNT, 5), echo(49_999), ECHO, Close::Fin));
    all_broken(client.account(), Broken::WrongData, COUNT);
}

#[test]
fn an_http_response_may_come_octet_by_octet_and_end_with_the_connection() {
    let pieces = |response: &'static [u8], closes: bool| {
        server(move |stream| {
            stream.set_nodelay(true).unwrap();
            take(stream, GET.len());
            for octet in response {
                stream.write_all(&[*octet]).unwrap();
            }
            if !closes {
                until_closed(stream);
            }
        })
    };
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let mut client = run(plan(&closed_loop(COUNT, 5), pieces(chunked, false), HTTP, Close::Fin));
    all_closed(client.account(), Way::Fin, COUNT);
    let (first, last) =
        (client.latencies().of(Phase::FirstByte).len(), client.latencies().of(Phase::LastByte).len());
    assert_eq!((first, last, client.account().replies), (COUNT, COUNT, COUNT));
    let client =
        run(plan(&closed_loop(COUNT, 5), pieces(b"HTTP/1.0 200 OK\r\n\r\nhello", true), HTTP, Close::Fin));
    all_closed(client.account(), Way::Peer, COUNT);
    assert_eq!(client.account().replies, COUNT);
}

#[test]
fn hostile_replies_are_each_counted_for_what_they_are() {
    let answer = |octets: &'static [u8]| {
        server(move |stream| {
            take(stream, REQUEST.len().min(GET.len()));
            // The client may have gone in the middle.
            let _ = stream.write_all(octets);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            until_closed(stream);
        })
    };
    let http: [(&[u8], Broken); 5] = [
        (b"220 mail.example ready\r\n", Broken::WrongData),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", Broken::WrongData),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", Broken::ShortReply),
        (b"HTTP/1.1 200 OK\r\nContent-", Broken::ShortReply),
        (&[b'H'; 40_000], Broken::WrongData),
    ];
    for (response, why) in http {
        let client = run(plan(&closed_loop(COUNT, 5), answer(response), HTTP, Close::Fin));
        all_broken(client.account(), why, COUNT);
    }
    let client = run(plan(&closed_loop(COUNT, 5), answer(&[1; 299]), CRR, Close::Fin));
    all_broken(client.account(), Broken::ShortReply, COUNT);
}

#[test]
fn octets_that_nobody_asked_for_are_wrong() {
    let target = server(|stream| {
        let _ = stream.write_all(b"unasked");
        until_closed(stream);
    });
    let client = run(plan(&closed_loop(COUNT, 5), target, ECHO, Close::Fin));
    all_broken(client.account(), Broken::WrongData, COUNT);
    // Whoever says nothing lets a server speak first, and hears it or not.
    let client = run(plan(&closed_loop(COUNT, 5), target, Talk::SILENT, Close::Fin));
    all_closed(client.account(), Way::Fin, COUNT);
}

#[test]
fn a_reset_is_counted_whenever_it_comes() {
    let at_once = server(|stream| will_reset(stream));
    let client = run(plan(&closed_loop(COUNT, 5), at_once, CRR, Close::Fin));
    all_broken(client.account(), Broken::Reset, COUNT);
    let after_request = server(|stream| {
        take(stream, REQUEST.len());
        will_reset(stream);
    });
    let client = run(plan(&closed_loop(COUNT, 5), after_request, CRR, Close::Fin));
    all_broken(client.account(), Broken::Reset, COUNT);
    let after_our_fin = server(|stream| {
        take(stream, REQUEST.len());
        stream.write_all(&REPLY).unwrap();
        until_closed(stream);
        will_reset(stream);
    });
    let client = run(plan(&closed_loop(COUNT, 5), after_our_fin, CRR, Close::Fin));
    all_broken(client.account(), Broken::Reset, COUNT);
}

#[test]
fn who_never_answers_or_never_closes_is_given_up() {
    // Connections are opened by the kernel, and nobody accepts them.
    let listener = TcpListener::bind(any_port()).unwrap();
    let mut silent = plan(&closed_loop(COUNT, 10), listener.local_addr().unwrap(), CRR, Close::Fin);
    silent.times.reply_ns = 50 * MS;
    all_broken(run(silent).account(), Broken::ReplyTimedOut, COUNT);

    // One answers, and then neither closes nor lets go.
    let answers = server(|stream| {
        take(stream, REQUEST.len());
        stream.write_all(&REPLY).unwrap();
        until_closed(stream);
        thread::sleep(Duration::from_secs(5));
    });
    for close in [Close::Fin, Close::Peer] {
        let mut plan = plan(&closed_loop(COUNT, 10), answers, CRR, close);
        plan.times.reply_ns = 50 * MS;
        let client = run(plan);
        all_broken(client.account(), Broken::ReplyTimedOut, COUNT);
        assert_eq!(client.account().replies, COUNT);
    }
}

#[test]
fn who_answers_slowly_is_not_given_up_while_octets_come() {
    let target = server(|stream| {
        take(stream, REQUEST.len());
        for piece in REPLY.chunks(30) {
            thread::sleep(Duration::from_millis(30));
            stream.write_all(piece).unwrap();
        }
        until_closed(stream);
    });
    let mut plan = plan(&closed_loop(5, 5), target, CRR, Close::Fin);
    plan.times.reply_ns = 200 * MS;
    all_closed(run(plan).account(), Way::Fin, 5);
}

#[test]
fn a_closed_port_refuses() {
    let target = TcpListener::bind(any_port()).unwrap().local_addr().unwrap();
    let client = run(plan(&closed_loop(COUNT, 5), target, CRR, Close::Fin));
    all_failed(client.account(), Failed::Refused, COUNT);
}

#[test]
fn a_broadcast_address_cannot_be_reached() {
    let target = SocketAddr::from(([127, 255, 255, 255], 80));
    let client = run(plan(&closed_loop(COUNT, 5), target, CRR, Close::Fin));
    all_failed(client.account(), Failed::Unreachable, COUNT);
}

#[test]
fn a_server_that_is_killed_leaves_a_balanced_account() {
    let listener = TcpListener::bind(any_port()).unwrap();
    let target = listener.local_addr().unwrap();
    let (kill, killed) = mpsc::channel::<()>();
    let server = thread::spawn(move || {
        listener.set_nonblocking(true).unwrap();
        let mut streams = Vec::new();
        // Every other one is answered; none is closed before the end comes for all.
        while killed.try_recv() == Err(mpsc::TryRecvError::Empty) {
            if let Ok((mut stream, _)) = listener.accept() {
                stream.set_nonblocking(false).unwrap();
                if streams.len() % 2 == 0 {
                    take(&mut stream, REQUEST.len());
                    stream.write_all(&REPLY).unwrap();
                }
                streams.push(stream);
            }
        }
    });
    let mut kill = Some(kill);
    let client = Client::new(plan(&closed_loop(500, 50), target, CRR, Close::Peer)).unwrap();
    let client = run_with(client, |_, client| {
        if client.account().replies >= 20 {
            kill.take();
        }
    });
    server.join().unwrap();
    let account = client.account();
    assert_eq!(account.attempted, 500);
    assert!(account.failed[Failed::Refused as usize] >= 400, "{account:?}");
    assert!(account.closed[Way::Peer as usize] >= 20, "{account:?}");
    assert!(
        account.broken[Broken::Reset as usize] >= 20,
        "unread requests are answered by resets: {account:?}"
    );
}

#[test]
fn what_is_left_after_the_drain_is_reset() {
    let (seen, sees) = mpsc::channel();
    let target = server(move |stream| seen.send(until_closed(stream)).unwrap());
    let mut plan = plan(&closed_loop(1_000, 10), target, CRR, Close::Fin);
    plan.times.drain_ns = 100 * MS;
    let mut client = Client::new(plan).unwrap();
    let clock = super::rig::Clock::start();
    while client.account().established < 10 {
        let _ = client.pass(clock.ns());
    }
    client.stop();
    let client = run_with(client, |now_ns, _| assert!(now_ns < SECOND));
    all_broken(client.account(), Broken::Cut, 10);
    for _ in 0..10 {
        assert!(!sees.recv_timeout(Duration::from_secs(10)).unwrap(), "by a reset");
    }
}

#[test]
fn connections_come_from_the_addresses_and_ports_that_were_asked_for() {
    let first = Ipv4Addr::new(127, 7, 0, 5);
    for (source, ports) in
        [(Source::Address, Ports::EPHEMERAL), (Source::Pair, Ports { first: 21_000, last: 21_007 })]
    {
        let (seen, sees) = mpsc::channel();
        let target = server(move |stream| {
            seen.send(stream.peer_addr().unwrap()).unwrap();
            take(stream, REQUEST.len());
            stream.write_all(&REPLY).unwrap();
        });
        let plan = Plan {
            source,
            tuples: tuples(target, first, 4, ports),
            ..plan(&closed_loop(32, 4), target, CRR, Close::Peer)
        };
        all_closed(run(plan).account(), Way::Peer, 32);
        let mut peers: Vec<_> =
            (0..32).map(|_| sees.recv_timeout(Duration::from_secs(10)).unwrap()).collect();
        peers.sort_unstable();
        peers.dedup();
        assert_eq!(peers.len(), 32, "each pair once");
        for n in 0..4u8 {
            let from = |peer: &&SocketAddr| peer.ip() == Ipv4Addr::new(127, 7, 0, 5 + n);
            assert_eq!(peers.iter().filter(from).count(), 8);
        }
        if source == Source::Pair {
            assert!(peers.iter().all(|peer| (21_000..=21_007).contains(&peer.port())));
        }
    }
}
