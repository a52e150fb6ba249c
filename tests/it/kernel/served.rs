//! Our server against plain clients of `std`: requests cut anywhere, peers that are slow, half-closed, hostile or gone.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dpdk_tcp::app::Service;
use dpdk_tcp::kernel::server::{Serve, Server};
use dpdk_tcp::stats::account::{Broken, Tally, Way};
use nix::sys::socket::{setsockopt, sockopt};

use super::rig::{BODY, Clock, GET, GET_CLOSE, MS, REPLY, serve};

/// A server that runs in a thread of its own until it is told to drain.
struct Running {
    address: SocketAddr,
    drains: Arc<AtomicBool>,
    thread: JoinHandle<Tally>,
}

impl Running {
    fn start(service: Serve) -> Self {
        let (mut server, address) = serve(service);
        let drains = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&drains);
        let thread = thread::spawn(move || run(service, &mut server, &told));
        Running { address, drains, thread }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    /// Says that it drains, for 300 ms.
    fn drain(&self) {
        self.drains.store(true, Ordering::Relaxed);
    }

    /// The account when it has drained.
    fn end(self) -> Tally {
        self.drain();
        self.thread.join().unwrap()
    }
}

fn run(service: Serve, server: &mut Server, told: &AtomicBool) -> Tally {
    let clock = Clock::start();
    let mut drains = false;
    while !server.is_drained() {
        let _ = server.pass(clock.ns());
        let account = server.account();
        assert_eq!(account.check(), Ok(()));
        let kept = account.octets_received.saturating_sub(account.octets_sent);
        // No more is read than can be sent back.
        assert!(service != Serve::Echo || kept <= account.established * 65_536, "{kept}");
        if told.load(Ordering::Relaxed) && !drains {
            drains = true;
            server.drain(300 * MS);
            assert!(server.addresses().is_empty());
        }
    }
    *server.account()
}

fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut octets = Vec::new();
    stream.read_to_end(&mut octets).unwrap();
    octets
}

fn take(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut octets = vec![0; count];
    stream.read_exact(&mut octets).unwrap();
    octets
}

/// Octets of an answer with a body.
fn answer_len(server: &Running) -> usize {
    let mut stream = server.connect();
    stream.write_all(GET).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let answer = rest(&mut stream);
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n") && answer.len() > BODY);
    answer.len()
}

#[test]
fn each_service_of_the_engine_is_served() {
    let served = Service::ALL.map(Serve::from);
    assert_eq!(served, [Serve::Echo, Serve::Discard, Serve::Chargen, Serve::Http, Serve::Reply]);
}

#[test]
fn echo_gives_back_all_even_to_a_reader_that_comes_late() {
    let server = Running::start(Serve::Echo);
    let mut stream = server.connect();
    let text: Vec<u8> = (0..20_000_000u32).map(|n| (n / 7) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let sent = text.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    // By then the buffers between here and there are full.
    thread::sleep(Duration::from_millis(200));
    assert!(rest(&mut stream) == text);
    writing.join().unwrap();
    let account = server.end();
    assert_eq!((account.octets_received, account.octets_sent), (20_000_000, 20_000_000));
    assert_eq!((account.established, account.closed[Way::Peer as usize]), (1, 1));
}

#[test]
fn discard_says_nothing_and_chargen_never_ends() {
    let server = Running::start(Serve::Discard);
    let mut stream = server.connect();
    stream.write_all(&[7; 100_000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert!(rest(&mut stream).is_empty());
    assert_eq!(server.end().octets_received, 100_000);

    let server = Running::start(Serve::Chargen);
    let mut stream = server.connect();
    let text = take(&mut stream, 10_000_000);
    assert!(text.starts_with(b" !\"#$%&'()*+,-./0123456789"));
    let lines: Vec<_> = text.split(|octet| *octet == b'\n').collect();
    let (_, whole) = lines.split_last().unwrap();
    assert!(whole.iter().all(|line| line.len() == 73 && line.ends_with(b"\r")));
    assert!(whole.windows(96).all(|lines| lines[0] == lines[95]));
    stream.shutdown(Shutdown::Write).unwrap();
    rest(&mut stream);
    assert_eq!(server.end().closed[Way::Peer as usize], 1);
}

#[test]
fn reply_answers_the_first_data_once_and_takes_what_comes_late() {
    let server = Running::start(Serve::Reply);
    let mut stream = server.connect();
    stream.write_all(b"a").unwrap();
    assert_eq!(take(&mut stream, REPLY.len()), REPLY);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "its FIN follows at once");
    stream.write_all(&[b'b'; 3_000_000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    // Who says nothing and closes is not answered.
    let mut silent = server.connect();
    silent.shutdown(Shutdown::Write).unwrap();
    assert!(rest(&mut silent).is_empty());
    drop(stream);
    let account = server.end();
    assert_eq!((account.octets_received, account.octets_sent), (3_000_001, REPLY.len() as u64));
    assert_eq!(account.closed[Way::Fin as usize], 1);
    assert_eq!(account.closed[Way::Peer as usize], 1);
    assert_eq!((account.requests, account.replies), (1, 1));
}

#[test]
fn http_requests_are_answered_pipelined_and_cut_anywhere() {
    let server = Running::start(Serve::Http);
    let len = answer_len(&server);
    let mut stream = server.connect();
    stream.write_all(&GET.repeat(50)).unwrap();
    assert_eq!(take(&mut stream, 50 * len).len(), 50 * len);
    stream.set_nodelay(true).unwrap();
    for octet in GET {
        stream.write_all(&[*octet]).unwrap();
    }
    assert!(take(&mut stream, len).starts_with(b"HTTP/1.1 200 OK\r\n"));
    // The last ones come with the FIN, and half of another.
    stream.write_all(&[&GET.repeat(20), &GET[..10]].concat()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut stream).len(), 20 * len);
    let account = server.end();
    assert_eq!((account.requests, account.replies), (72, 72));
    assert_eq!(account.closed[Way::Peer as usize], 2);
}

#[test]
fn http_closes_when_it_is_asked_to_or_does_not_understand() {
    let server = Running::start(Serve::Http);
    let cases: [(&[u8], &[u8]); 2] = [(GET_CLOSE, b"HTTP/1.1 200"), (b"nonsense\r\n\r\n", b"HTTP/1.1 400")];
    for (request, status) in cases {
        let mut stream = server.connect();
        stream.write_all(request).unwrap();
        // What comes behind is thrown away, and no reason for a reset.
        stream.write_all(&GET.repeat(10)).unwrap();
        assert!(rest(&mut stream).starts_with(status));
    }
    assert_eq!(server.end().closed[Way::Fin as usize], 2);
}

#[test]
fn peers_that_reset_harm_nobody() {
    for service in [Serve::Echo, Serve::Discard, Serve::Chargen, Serve::Http, Serve::Reply] {
        let server = Running::start(service);
        for n in 0..50 {
            let mut stream = server.connect();
            if n % 2 == 0 {
                stream.write_all(b"GET / HT").unwrap();
            }
            setsockopt(&stream, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
        }
        let account = server.end();
        assert_eq!(account.established, 50, "{service:?}");
        assert_eq!(account.broken[Broken::Reset as usize], 50, "{service:?} {account:?}");
    }
}

#[test]
fn a_drain_lets_services_end_as_they_can_and_resets_the_rest() {
    let http = Running::start(Serve::Http);
    let len = answer_len(&http);
    let mut between = http.connect();
    between.write_all(GET).unwrap();
    take(&mut between, len);
    let mut within = http.connect();
    within.write_all(&GET[..10]).unwrap();
    thread::sleep(Duration::from_millis(100));
    http.drain();
    assert!(rest(&mut between).is_empty(), "it is closed between two requests");
    within.write_all(&GET[10..]).unwrap();
    let last = rest(&mut within);
    assert!(String::from_utf8_lossy(&last).contains("Connection: close"));
    drop((between, within));
    let account = http.end();
    assert_eq!((account.established, account.closed_all()), (3, 3));

    let chargen = Running::start(Serve::Chargen);
    let mut stream = chargen.connect();
    take(&mut stream, 1_000_000);
    chargen.drain();
    rest(&mut stream);
    drop(stream);
    assert_eq!(chargen.end().closed[Way::Fin as usize], 1);

    let echo = Running::start(Serve::Echo);
    let mut stream = echo.connect();
    stream.write_all(b"hello").unwrap();
    assert_eq!(take(&mut stream, 5), b"hello");
    let address = echo.address;
    assert_eq!(echo.end().broken[Broken::Cut as usize], 1, "patience is over");
    assert!(stream.read(&mut [0]).is_err(), "by a reset");
    assert!(TcpStream::connect(address).is_err());
}
