//! Our host: a loop on a tap, in a thread of its own, behind faults; and the test's way to talk to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::dpdk::mempool::{Mempool, Returned};
use dpdk_tcp::dpdk::port::{self, Port, PortConfig};
use dpdk_tcp::dpdk::queue::Queue;
use dpdk_tcp::dpdk::tsc::TscClock;
use dpdk_tcp::engine::active::OpenError;
use dpdk_tcp::engine::api::{CloseReason, Conn};
use dpdk_tcp::engine::control::Control;
use dpdk_tcp::engine::host::Host as Stack;
use dpdk_tcp::engine::limits::Limits;
use dpdk_tcp::engine::shard::Shard;
use dpdk_tcp::engine::worker::{Pass, Worker};
use dpdk_tcp::inet::locals::Locals;
use dpdk_tcp::inet::route::Routes;
use dpdk_tcp::stats::counters::{Counter, Counters};
use dpdk_tcp::tcp::config::Config;
use dpdk_tcp::tcp::state::State;

use super::Pair;
use super::app::{Conduct, Log, OURS, Peer, Read, Seen, THEIRS};
use crate::child::{self, plan};
use crate::faults::{Faults, Faulty, Tally, Weather};
use crate::lab::{self, TAP};
use crate::rig::{self, CLIENT, SERVER};
use crate::socket;

/// Passes without work after which the loop rests, so that the kernel's end has a processor as well.
const IDLE_MAX: u32 = 500;
const REST: Duration = Duration::from_micros(50);

pub type Engine = Worker<Faulty<Queue>, Peer>;
type Command = Box<dyn FnOnce(&mut Engine) + Send>;

/// How a host is made.
pub struct Setup {
    pub limits: Limits,
    pub cfg: Config,
    /// What happens to every frame, each way.
    pub faults: Faults,
    pub seed: u64,
    pub mtu: u16,
    /// Where packets to other networks go.
    pub gateway: Option<Ipv4Addr>,
    /// Ports that are listened on, and what is done with connections to each.
    pub listen: Vec<(u16, Conduct)>,
}

/// Memory enough for every window: a share of it is not what these tests are about.
pub fn limits() -> Limits {
    Limits { buffers: 32 << 20, ..rig::limits() }
}

impl Setup {
    pub fn new(listen: &[(u16, Conduct)]) -> Setup {
        Setup {
            limits: limits(),
            cfg: Config::default().with_time_wait(Duration::from_secs(1)),
            faults: Faults::default(),
            seed: 1,
            mtu: 1_500,
            gateway: None,
            listen: listen.to_vec(),
        }
    }

    /// Starts it on a new tap of this thread's namespace, whose other end gets [`CLIENT`]'s address.
    #[track_caller]
    pub fn start(self) -> Host {
        // The tap's driver has the process told of every frame by a signal, which would interrupt system calls.
        socket::block_signals();
        let mtu = self.mtu;
        let (ready, is_ready) = channel();
        let thread = thread::spawn(move || run(self, &ready));
        let Ok(mut host) = is_ready.recv() else {
            thread.join().unwrap();
            panic!("it ended before it began");
        };
        host.thread = Some(thread);
        lab::run(&format!("ip address add {CLIENT}/24 dev {TAP}"));
        lab::run(&format!("ip link set {TAP} up mtu {mtu}"));
        host
    }
}

/// A running host.
pub struct Host {
    commands: Sender<Command>,
    log: Log,
    weather: Weather,
    counters: Arc<Counters>,
    thread: Option<JoinHandle<[Tally; 2]>>,
}

impl Host {
    /// Lets the loop do something between two passes.
    #[track_caller]
    pub fn ask<T: Send + 'static>(&self, what: impl FnOnce(&mut Engine) -> T + Send + 'static) -> T {
        let (answer, answered) = channel();
        let command: Command = Box::new(move |engine| {
            let _ = answer.send(what(engine));
        });
        self.commands.send(command).expect("the loop has ended");
        answered.recv().expect("the loop has ended")
    }

    /// Opens a connection; its place in the log.
    pub fn open(&self, to: SocketAddr, conduct: Conduct) -> Result<usize, OpenError> {
        self.ask(move |engine| {
            let id = engine.open(None, None, to)?;
            Ok(engine.app_mut().begin(id, conduct))
        })
    }

    /// Opens so many at once: their SYNs leave together.
    pub fn open_together(&self, count: usize, to: SocketAddr, conduct: Conduct) -> Vec<usize> {
        self.ask(move |engine| {
            let open = |_| {
                let id = engine.open(None, None, to).unwrap();
                engine.app_mut().begin(id, conduct)
            };
            (0..count).map(open).collect()
        })
    }

    /// Opens one from a port of the test's choice.
    pub fn open_from(&self, port: u16, to: SocketAddr, conduct: Conduct) -> Result<usize, OpenError> {
        self.ask(move |engine| {
            let id = engine.open(None, Some(port), to)?;
            Ok(engine.app_mut().begin(id, conduct))
        })
    }

    /// The state of our end of a connection.
    #[track_caller]
    pub fn state(&self, pair: &Pair) -> Option<State> {
        let (remote, local) = (pair.stream.local_addr().unwrap(), pair.stream.peer_addr().unwrap());
        self.ask(move |engine| engine.shard().state_of(local, remote))
    }

    /// Octets that have arrived and were not taken.
    #[track_caller]
    pub fn unread(&self, place: usize) -> usize {
        let (answer, answered) = channel();
        self.call(place, move |conn| answer.send(conn.unread()).unwrap());
        answered.recv().unwrap()
    }

    /// Makes a call for a connection, as its application would.
    #[track_caller]
    pub fn call(&self, place: usize, call: impl FnOnce(&mut Conn<'_>) + Send + 'static) {
        let id = self.seen(place).id;
        assert!(self.ask(move |engine| engine.call(id, call)), "there is no such connection any more");
    }

    /// Changes what is done with what arrives.
    #[track_caller]
    pub fn read(&self, place: usize, read: Read) {
        self.ask(move |engine| engine.app_mut().read(place, read));
        self.call(place, |conn| conn.resume());
    }

    /// What has happened to a connection so far.
    #[track_caller]
    pub fn seen(&self, place: usize) -> Seen {
        self.log.lock().unwrap()[place]
    }

    /// How many connections there have been.
    pub fn begun(&self) -> usize {
        self.log.lock().unwrap().len()
    }

    /// Waits until what has happened to a connection is as wanted.
    #[track_caller]
    pub fn wait(&self, place: usize, what: &str, wanted: impl Fn(&Seen) -> bool) -> Seen {
        lab::wait_until(what, || self.begun() > place && wanted(&self.seen(place)));
        self.seen(place)
    }

    /// Waits for a connection's end.
    #[track_caller]
    pub fn wait_closed(&self, place: usize, reason: CloseReason) -> Seen {
        let seen = self.wait(place, "an end", |seen| seen.closed.is_some());
        assert_eq!(seen.closed, Some(reason), "{seen:?}");
        seen
    }

    /// Changes what happens to frames that we receive, and to those that we send.
    pub fn set_faults(&self, faults: [Faults; 2]) {
        *self.weather.lock().unwrap() = faults;
    }

    pub fn count(&self, counter: Counter) -> u64 {
        self.counters.get(counter)
    }

    /// Ends the loop. No connection may be left, and every frame must be back in the pool.
    #[track_caller]
    pub fn stop(mut self) -> [Tally; 2] {
        lab::wait_until("the end of all connections", || {
            self.ask(|engine| engine.shard().connections()) == 0
        });
        let thread = self.thread.take().unwrap();
        drop(self);
        thread.join().unwrap()
    }
}

/// One EAL thread that floats over all processors: tests run beside each other.
fn lcores() -> String {
    let last = thread::available_parallelism().map_or(1, usize::from) - 1;
    if last == 0 { "0".to_owned() } else { format!("0@(0-{last})") }
}

fn run(setup: Setup, ready: &Sender<Host>) -> [Tally; 2] {
    socket::allow_signals();
    let device = format!("net_tap0,iface={TAP}");
    let eal = child::eal(&["--lcores", &lcores(), "--vdev", &device]);
    let pool = Mempool::create(&eal, "roles", &plan(), -1).unwrap();
    let info = port::find(&eal, "net_tap0").unwrap();
    // Checksums are the engine's: faults must come between them and the device.
    let config = PortConfig { offloads: false, mtu: Some(setup.mtu), ..PortConfig::default() };
    let mut port = Port::configure(&eal, &info, config, &pool).unwrap();
    port.start().unwrap();
    let clock = TscClock::new(&eal);
    let counters = Arc::new(Counters::default());
    let weather: Weather = Arc::new(Mutex::new([setup.faults; 2]));
    let queue = port.queue(0, counters.clone()).unwrap();
    let queue = Faulty::new(queue, weather.clone(), clock, setup.seed);
    let log = Log::default();
    let plan = Plan {
        address: SERVER,
        gateway: setup.gateway,
        limits: setup.limits,
        cfg: setup.cfg,
        listen: setup.listen,
        texts: [OURS, THEIRS],
    };
    let mut engine = plan.build(queue, &log, &counters, clock);
    let (commands, asked) = channel();
    ready.send(Host { commands, log, weather, counters, thread: None }).unwrap();
    turn(&mut engine, clock, &asked);
    let mut queues = engine.into_queues();
    let queue = queues.pop().unwrap();
    let tallies = queue.tallies();
    drop(queue.into_inner());
    port.close().unwrap();
    assert_eq!(pool.check_returned(), Ok(Returned::All));
    tallies
}

/// What an engine is made with, besides its queue.
pub struct Plan {
    pub address: Ipv4Addr,
    pub gateway: Option<Ipv4Addr>,
    pub limits: Limits,
    pub cfg: Config,
    pub listen: Vec<(u16, Conduct)>,
    /// The text that its connections send, and the one that they expect.
    pub texts: [u64; 2],
}

impl Plan {
    pub fn build(self, queue: Faulty<Queue>, log: &Log, counters: &Arc<Counters>, clock: TscClock) -> Engine {
        let mut locals = Locals::default();
        locals.add(IpAddr::V4(self.address), 24, 0).unwrap();
        let route = |gateway| Routes::with_gateway(IpAddr::V4(gateway), &locals).unwrap();
        let routes = self.gateway.map(route).unwrap_or_default();
        let secrets = Secrets::random().unwrap();
        let stack = Stack::new(&locals, routes, &[], false, &secrets, clock.now());
        let mut shard = Shard::new(self.limits, self.cfg, secrets, locals, counters.clone(), clock.now());
        for (port, _) in &self.listen {
            shard.listen(None, *port).unwrap();
        }
        let conducts = self.listen.iter().map(|(_, conduct)| *conduct).collect();
        let app = Peer::new(shard.slots(), conducts, log.clone(), self.texts);
        Worker::new(vec![queue], stack, shard, app, Arc::<Control>::default())
    }
}

/// Passes, until nobody is there any more who could ask for something.
fn turn(engine: &mut Engine, clock: TscClock, asked: &Receiver<Command>) {
    let (mut idle, mut number) = (0, 0u32);
    loop {
        match asked.try_recv() {
            Ok(command) => command(engine),
            Err(std::sync::mpsc::TryRecvError::Disconnected) => break,
            Err(std::sync::mpsc::TryRecvError::Empty) => {}
        }
        number = number.wrapping_add(1);
        if number.is_multiple_of(256) {
            engine.shard().check_invariants().unwrap();
        }
        match engine.pass(clock.now()) {
            Pass::Busy => idle = 0,
            Pass::Idle if idle < IDLE_MAX => idle += 1,
            Pass::Idle => thread::sleep(REST),
        }
    }
    engine.shard().check_invariants().unwrap();
}
