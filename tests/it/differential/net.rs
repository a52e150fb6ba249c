//! A client and the stack on one wire, driven from event to event.

use std::sync::{Arc, OnceLock};

use dpdk_tcp::app::http::responses::Responses;
use dpdk_tcp::app::tally::Tally;
use dpdk_tcp::app::{Service, Services};
use dpdk_tcp::base::time::Instant;
use dpdk_tcp::engine::control::Control;
use dpdk_tcp::engine::worker::{Pass, Worker};
use dpdk_tcp::sim::faults::Faults;
use dpdk_tcp::sim::frame::FramePool;
use dpdk_tcp::sim::pair::{End, SimClock};
use dpdk_tcp::sim::pcap::Pcap;
use dpdk_tcp::stats::counters::Counters;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;

use super::task::{Plan, Task};
use crate::no_alloc::counted;
use crate::reach::{Setup, Stack};
use crate::smol::{Client, Habits};

const PORTS: [u16; 4] = [7, 9, 19, 80];
const SERVICES: [Service; 4] = [Service::Echo, Service::Discard, Service::Chargen, Service::Http];
/// Bodies that http can be asked to serve.
pub const BODIES: [usize; 3] = [0, 512, 20_000];
/// Virtual time after which whoever is still there is stuck: longer than every timer and its back-off.
const PATIENCE_US: u64 = 7_200_000_000;
/// The longest step of virtual time, so that ARP and the drain are not kept waiting.
const STEP_US: u64 = 100_000;
/// The first local port of the client.
const CLIENT_PORT: u16 = 40_000;

/// The terms on which two hosts meet.
pub struct Terms {
    pub setup: Setup,
    pub habits: Habits,
    /// Connections that are open at once.
    pub at_once: usize,
    /// Each port of the client is used so often.
    pub port_uses: usize,
    /// Size of http's bodies.
    pub body: usize,
}

impl Terms {
    /// A wire without faults, and plenty of everything.
    pub fn perfect(seed: u64) -> Terms {
        let setup = Setup { seed, fixed: false, ..Setup::default() };
        let habits = Habits {
            receive_buffer: 16_384,
            send_buffer: 16_384,
            timestamps: true,
            nagle: true,
            ack_delay_ms: 10,
        };
        Terms { setup, habits, at_once: 8, port_uses: 1, body: 512 }
    }
}

fn responses(body: usize) -> &'static Responses {
    static ALL: OnceLock<[Responses; 3]> = OnceLock::new();
    let all = ALL.get_or_init(|| BODIES.map(Responses::new));
    &all[BODIES.iter().position(|len| *len == body).unwrap()]
}

struct Running {
    handle: SocketHandle,
    port: u16,
    task: Task,
}

/// Both hosts.
pub struct Net {
    clock: SimClock,
    pool: FramePool,
    worker: Worker<End, Services>,
    pub counters: Arc<Counters>,
    control: Arc<Control>,
    client: Client,
    responses: &'static Responses,
    at_once: usize,
    port_uses: usize,
    plans: std::vec::IntoIter<Plan>,
    started: usize,
    running: Vec<Running>,
    /// Sockets in TIME-WAIT, with their ports.
    lingering: Vec<(SocketHandle, u16)>,
    capturing: bool,
}

impl Net {
    /// Two hosts, of whom one wants to carry out `plans`.
    pub fn new(terms: Terms, plans: Vec<Plan>) -> Net {
        let Terms { setup, habits, at_once, port_uses, body } = terms;
        let responses = responses(body);
        let tally = Arc::new(Tally::default());
        let services = |slots: u32| Services::new(&SERVICES, slots as usize, responses, tally);
        let Stack { clock, pool, worker, peer, counters, control } = setup.stack(&PORTS, services);
        let client = Client::new(peer, habits, setup.seed, clock.now());
        Net {
            clock,
            pool,
            worker,
            counters,
            control,
            client,
            responses,
            at_once,
            port_uses,
            plans: plans.into_iter(),
            started: 0,
            running: Vec::new(),
            lingering: Vec::new(),
            capturing: false,
        }
    }

    /// Keeps a copy of every frame. It costs memory, so that allocations are not counted any more.
    pub fn start_capture(&mut self) {
        self.client.end().start_capture();
        self.capturing = true;
    }

    /// What was captured.
    pub fn take_capture(&self) -> Option<Pcap> {
        self.client.end().take_capture()
    }

    /// Changes the faults of what our host sends.
    pub fn set_faults_of_ours(&self, faults: Faults) {
        self.client.end().set_faults_of_other(faults);
    }

    /// Until every plan is carried out.
    pub fn run(&mut self) {
        let end = Instant(self.clock.now().0 + PATIENCE_US);
        loop {
            self.start();
            self.turn();
            if self.running.is_empty() && self.plans.len() == 0 {
                return;
            }
            if self.clock.now() > end {
                let stuck: Vec<_> = self.running.iter().map(|one| (one.port, one.task.progress())).collect();
                panic!("stuck: {stuck:#?}");
            }
        }
    }

    /// For so long, or until every plan is carried out.
    pub fn run_for_us(&mut self, us: u64) {
        let end = Instant(self.clock.now().0 + us);
        while self.clock.now() < end && !(self.running.is_empty() && self.plans.len() == 0) {
            self.start();
            self.turn();
        }
    }

    /// Connects as often as is allowed now.
    fn start(&mut self) {
        while self.running.len() < self.at_once {
            let port = CLIENT_PORT + (self.started / self.port_uses) as u16;
            let in_use =
                self.running.iter().map(|one| one.port).chain(self.lingering.iter().map(|one| one.1));
            if in_use.into_iter().any(|used| used == port) {
                return;
            }
            let Some(plan) = self.plans.next() else { return };
            let task = Task::new(plan, self.started, self.responses);
            let handle = self.client.connect(port, plan.port());
            self.running.push(Running { handle, port, task });
            self.started += 1;
        }
    }

    /// Both hosts do what they can now; then time passes until something happens.
    fn turn(&mut self) {
        let now = self.clock.now();
        self.client.poll(now);
        self.step_all();
        self.client.poll(now);
        self.lingering.retain(|(handle, _)| {
            let closed = self.client.socket(*handle).state() == State::Closed;
            if closed {
                self.client.remove(*handle);
            }
            !closed
        });
        let pass = self.pass();
        self.advance(pass);
    }

    /// Every connection of the client does what it can now.
    fn step_all(&mut self) {
        let client = &mut self.client;
        let lingering = &mut self.lingering;
        self.running.retain_mut(|one| {
            let over = one.task.step(client.socket(one.handle));
            if over {
                lingering.push((one.handle, one.port));
            }
            !over
        });
    }

    /// One pass of our loop: it allocates nothing, and leaves everything in order.
    fn pass(&mut self) -> Pass {
        let now = self.clock.now();
        let worker = &mut self.worker;
        let (pass, allocations) = counted(|| worker.pass(now));
        assert!(allocations == 0 || self.capturing, "{allocations} allocations in a pass at {now:?}");
        self.worker.shard().check_invariants().unwrap();
        pass
    }

    fn advance(&mut self, pass: Pass) {
        let now = self.clock.now();
        if pass == Pass::Busy {
            return self.clock.advance_to(Instant(now.0 + 20));
        }
        let timer = self.worker.shard().next_deadline();
        let timer = timer.map(|at| Instant((now.millis() + u64::from(at.since(now.tick()))) * 1_000));
        let next = [self.client.end().next_arrival(), timer, self.client.next(now)];
        let next = next.into_iter().flatten().min().unwrap_or(Instant(u64::MAX));
        self.clock.advance_to(Instant(next.0.clamp(now.0 + 20, now.0 + STEP_US)));
    }

    /// Everything ends by its own timers: no connection, record, buffer or frame is left (TRN-12).
    pub fn assert_quiet(mut self) {
        //= TRN-12
        let end = Instant(self.clock.now().0 + PATIENCE_US);
        let busy =
            |net: &Net| net.worker.shard().index_len() > 0 || net.client.end().next_arrival().is_some();
        while busy(&self) {
            self.turn();
            assert!(self.clock.now() < end, "something never ends");
        }
        let shard = self.worker.shard();
        assert_eq!((shard.connections(), shard.half_open(), shard.in_time_wait()), (0, 0, 0));
        assert_eq!(shard.buffers_in_use(), 0, "buffers");
        drop(self.worker);
        drop(self.client);
        assert_eq!(self.pool.in_use(), 0, "frames");
    }

    /// The end of the program under load: what is open is finished or reset, and the loop says so.
    pub fn drain(&mut self, patience_us: u64) {
        self.control.drain(patience_us);
        let end = Instant(self.clock.now().0 + patience_us + 2_000_000);
        while !self.control.is_drained() {
            self.pass();
            self.clock.advance_to(Instant(self.clock.now().0 + 500));
            self.client.poll(self.clock.now());
            assert!(self.clock.now() < end, "the drain never ends");
        }
        assert_eq!(self.worker.shard().connections(), 0);
    }
}
