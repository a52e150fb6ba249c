//! Law 5 on devices: once they run, loops ask nothing of an allocator, neither Rust's nor C's. What is counted,
//! and that it is counted, is `malloc`'s.

#![allow(unsafe_code, reason = "a call into C that allocates")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use dpdk_tcp::base::burst::Burst;
use dpdk_tcp::dpdk::cable::create_ring_pair;
use dpdk_tcp::dpdk::lcore::{self, Ended, Job};
use dpdk_tcp::dpdk::mbuf::Mbuf;
use dpdk_tcp::dpdk::mempool::{Mempool, Returned};
use dpdk_tcp::dpdk::queue::Queue;
use dpdk_tcp::engine::api::{Accept, Api, App, CloseReason, Conn, ConnId, ListenerId};
use dpdk_tcp::link::{Caps, QueuePair};
use dpdk_tcp::stats::counters::{Counter, Counters};
use dpdk_tcp::tcp::config::Config;

use crate::child::{self, plan};
use crate::malloc::{self, Calls};
use crate::rig::{self, CLIENT, Ends, Loop, Plan, SERVER};
use crate::socket::{self, Dial};

const LOAD: Duration = Duration::from_secs(2);

#[test]
fn calls_of_both_allocators_are_seen_and_told_apart() {
    let ((), rust) = malloc::calls(|| drop(std::hint::black_box(Box::new(7))));
    assert_eq!(rust, Calls { rust: 2, c: 0 });
    let ((), c) = malloc::calls(|| {
        // SAFETY: a string that ends in a zero byte is copied; the copy is freed once.
        unsafe { libc::free(std::hint::black_box(libc::strdup(c"words".as_ptr())).cast()) }
    });
    assert_eq!(c, Calls { rust: 0, c: 2 });
}

#[test]
fn calls_from_within_dpdk_are_seen() {
    child::run("no_alloc::calls_from_within_dpdk_are_seen", || {
        let eal = child::eal(&["-l", "0"]);
        let (made, calls) = malloc::calls(|| create_ring_pair(&eal, "seen", 64));
        made.unwrap();
        assert!(calls.c > 0, "{calls:?}");
    });
}

/// A queue that loses some of what arrives, so that timers expire and segments go again.
struct Lossy {
    queue: Queue,
    /// Frames since the last one that was lost.
    count: u32,
}

impl QueuePair for Lossy {
    type Frame = Mbuf;

    fn caps(&self) -> Caps {
        self.queue.caps()
    }

    fn rx_burst(&mut self, frames: &mut Burst<Mbuf>, limit: usize) {
        self.queue.rx_burst(frames, limit);
        self.count += frames.len() as u32;
        if self.count >= 307 {
            self.count = 0;
            let lost = frames.remove(0);
            self.queue.recycle(lost);
        }
    }

    fn tx_burst(&mut self, frames: &mut Burst<Mbuf>) {
        self.queue.tx_burst(frames);
    }

    fn stock(&mut self, wanted: usize) -> usize {
        self.queue.stock(wanted)
    }

    fn alloc(&mut self) -> Option<Mbuf> {
        self.queue.alloc()
    }

    fn recycle(&mut self, frame: Mbuf) {
        self.queue.recycle(frame);
    }
}

/// Opens and ends connections of every kind, one after the other, many at once.
struct Visitor {
    open: u32,
    number: u64,
    /// Allocates on every connection, as no application may.
    careless: Option<Vec<u64>>,
}

impl App for Visitor {
    fn poll(&mut self, api: &mut Api<'_>) {
        while self.open < 100 {
            let port = [7, 9, 19, 80, 81][(self.number % 5) as usize];
            if api.open(None, None, SocketAddr::from((SERVER, port))).is_err() {
                return;
            }
            self.number += 1;
            self.open += 1;
        }
    }

    fn on_connected(&mut self, conn: &mut Conn<'_>) {
        if let Some(careless) = &mut self.careless {
            *careless = vec![self.number];
        }
        if conn.remote().port() == 80 {
            conn.send(b"GET / HTTP/1.0\r\n\r\n");
        } else {
            conn.send(&[7; 3_000]);
        }
        if self.number.is_multiple_of(11) {
            conn.abort();
        } else if ![19, 80].contains(&conn.remote().port()) {
            conn.shutdown();
        }
    }

    fn on_open(&mut self, _conn: &mut Conn<'_>, _listener: ListenerId) -> Accept {
        Accept::Take
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, data: &[u8]) -> usize {
        if conn.remote().port() == 19 {
            // Before all has come, which is more than it sends at once.
            if self.number.is_multiple_of(2) { conn.abort() } else { conn.finish() }
        }
        data.len()
    }

    fn on_writable(&mut self, _conn: &mut Conn<'_>) {}

    fn on_peer_close(&mut self, conn: &mut Conn<'_>) {
        conn.finish();
    }

    fn on_closed(&mut self, _id: ConnId, _reason: CloseReason) {
        self.open -= 1;
    }
}

/// Runs a loop until `stop`, from its very first pass on under the eyes of the counter.
fn job<Q, A>(mut run: Loop<Q, A>, stop: &Arc<AtomicBool>, to: &mpsc::Sender<Calls>) -> Job
where
    Q: QueuePair<Frame = Mbuf> + Send + 'static,
    A: App + Send + 'static,
{
    let (stop, to) = (stop.clone(), to.clone());
    Box::new(move || {
        let ((), calls) = malloc::calls(|| {
            while !stop.load(Ordering::Relaxed) {
                run.worker.pass(run.clock.now());
            }
        });
        to.send(calls).unwrap();
        0
    })
}

/// What both loops of a cable asked of the allocators, and what the server counted.
fn load_on_a_cable(careless: Option<Vec<u64>>) -> (Vec<Calls>, Arc<Counters>) {
    let stop = Arc::new(AtomicBool::new(false));
    // Before EAL pins this thread, so that it runs wherever there is room.
    let (timer_stop, (go, started)) = (stop.clone(), mpsc::channel());
    let timer = thread::spawn(move || {
        let _: Result<(), _> = started.recv();
        thread::sleep(LOAD);
        timer_stop.store(true, Ordering::Relaxed);
    });
    let ends = Ends::new(child::eal(&["--lcores", "(0,1)"]), 1_024);
    let cfg = || Config::default().with_time_wait(Duration::from_millis(100));
    let [(a, a_counters), (b, b_counters)] = [ends.queue(0), ends.queue(1)];
    let server = Plan { cfg: cfg(), ..Plan::of(SERVER) };
    let server = server.serve(&ends.eal, Lossy { queue: a, count: 0 }, a_counters.clone());
    let client = Plan { cfg: cfg(), ..Plan::of(CLIENT) };
    let visitor = |_| Visitor { open: 0, number: 0, careless };
    let client = client.build(&ends.eal, b, b_counters, &[], visitor);
    let (to, calls) = mpsc::channel();
    let jobs = vec![(0, job(server, &stop, &to)), (1, job(client, &stop, &to))];
    go.send(()).unwrap();
    let ended = lcore::launch(&ends.eal, jobs).unwrap();
    assert_eq!(ended, [(0, Ended::With(0)), (1, Ended::With(0))]);
    timer.join().unwrap();
    drop(to);
    ends.close();
    (calls.iter().collect(), a_counters)
}

#[test]
fn loops_on_a_cable_allocate_nothing_whatever_happens() {
    child::run("no_alloc::loops_on_a_cable_allocate_nothing_whatever_happens", || {
        let (calls, counters) = load_on_a_cable(None);
        assert_eq!(calls, [Calls::default(); 2]);
        // All of this has happened meanwhile.
        for counter in [
            Counter::Established,
            Counter::Finished,
            Counter::ResetByPeer,
            Counter::RstSent,
            Counter::TimeWaitEntered,
            Counter::TailProbes,
            Counter::Retransmissions,
        ] {
            assert!(counters.get(counter) > 0, "no {}", counter.name());
        }
        assert!(counters.get(Counter::Established) > 300, "{}", counters.get(Counter::Established));
    });
}

#[test]
fn an_application_that_allocates_is_found() {
    child::run("no_alloc::an_application_that_allocates_is_found", || {
        let (calls, _) = load_on_a_cable(Some(Vec::new()));
        assert_eq!(calls.iter().filter(|calls| **calls == Calls::default()).count(), 1, "{calls:?}");
        assert!(calls.iter().any(|calls| calls.rust > 300 && calls.c == 0), "{calls:?}");
    });
}

/// The kernel as a client, until told to stop. Returns how often it came.
fn visits(stop: &AtomicBool) -> u64 {
    let mut visits = 0;
    let mut text = vec![0; 20_000];
    while !stop.load(Ordering::Relaxed) {
        let port = [7, 9, 19, 80, 81][visits as usize % 5];
        // Also what asks when the loop has just ended gives up soon.
        let dial = Dial { patience: Some(Duration::from_millis(500)), ..Dial::default() };
        let Ok(mut stream) = dial.connect(SocketAddr::from((SERVER, port))) else {
            visits += 1;
            continue;
        };
        let asked = if port == 80 { &b"GET / HTTP/1.0\r\n\r\n"[..] } else { &[b'x'; 10_000][..] };
        let _ = stream.write_all(asked);
        let _ = stream.read(&mut text[..if port == 9 { 0 } else { 20_000 }]);
        match visits % 3 {
            0 => socket::reset_on_close(&stream),
            1 => drop(stream.shutdown(Shutdown::Write)),
            _ => {}
        }
        visits += 1;
    }
    visits
}

#[test]
fn a_loop_on_a_tap_allocates_nothing_while_the_kernel_comes_and_goes() {
    const NAME: &str = "no_alloc::a_loop_on_a_tap_allocates_nothing_while_the_kernel_comes_and_goes";
    if !child::can_make_namespaces(NAME) {
        return;
    }
    child::run_behind(&["unshare", "-n"], NAME, || {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        // Before EAL pins this thread, so that it runs wherever there is room.
        let ((go, ready), client_stop, client_count) = (mpsc::channel(), stop.clone(), count.clone());
        let client = thread::spawn(move || {
            let _: Result<(), _> = ready.recv();
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| client_count.fetch_add(visits(&client_stop), Ordering::Relaxed));
                }
                thread::sleep(LOAD);
                client_stop.store(true, Ordering::Relaxed);
            });
        });
        let eal = child::eal(&["-l", "0", "--vdev", "net_tap0,iface=dttest0"]);
        let pool = Mempool::create(&eal, "tap", &plan(), -1).unwrap();
        let port = rig::open(&eal, "net_tap0", &pool);
        for words in ["address add 198.18.0.2/24 dev dttest0", "link set dttest0 up"] {
            assert!(Command::new("ip").args(words.split(' ')).status().unwrap().success(), "ip {words}");
        }
        let counters = Arc::new(Counters::default());
        let queue = port.queue(0, counters.clone()).unwrap();
        let cfg = Config::default().with_time_wait(Duration::from_millis(100));
        let run = Plan { cfg, ..Plan::of(SERVER) }.serve(&eal, queue, counters.clone());
        let (to, calls) = mpsc::channel();
        go.send(()).unwrap();
        lcore::launch(&eal, vec![(0, job(run, &stop, &to))]).unwrap();
        client.join().unwrap();
        assert_eq!(calls.recv(), Ok(Calls::default()));
        assert!(count.load(Ordering::Relaxed) > 200, "{count:?}");
        assert!(counters.get(Counter::Finished) > 20 && counters.get(Counter::ResetByPeer) > 20);
        port.close().unwrap();
        assert_eq!(pool.check_returned(), Ok(Returned::All));
    });
}
