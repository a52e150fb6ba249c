//! The hosts of a world, each with its own loop, on one switch in virtual time: whoever has something to do runs,
//! then time passes until somebody has. After each pass the host's shard is checked.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::base::hash::Secrets;
use dpdk_tcp::base::time::{Instant, Tick};
use dpdk_tcp::engine::active::OpenError;
use dpdk_tcp::engine::control::Control;
use dpdk_tcp::engine::host::Host;
use dpdk_tcp::engine::shard::Shard;
use dpdk_tcp::engine::worker::{Pass, Worker};
use dpdk_tcp::inet::locals::Locals;
use dpdk_tcp::inet::route::Routes;
use dpdk_tcp::link::Caps;
use dpdk_tcp::sim::clock::SimClock;
use dpdk_tcp::sim::faults::Faults;
use dpdk_tcp::sim::frame::FramePool;
use dpdk_tcp::sim::world::{Plug, World};
use dpdk_tcp::stats::counters::{Counter, Counters};
use dpdk_tcp::stats::snapshot::Snapshot;
use dpdk_tcp::wire::ethernet::Mac;

use super::actor::{Actor, address};
use super::coverage::Coverage;
use super::hostile::Hostile;
use super::ledger::{Ledger, Place};
use super::plan::{HostPlan, Kind, LISTENED, Plan};
use crate::reach;

/// The longest step of virtual time of a host with connections, so that its housekeeping is not kept waiting.
const STEP_US: u64 = 500_000;
/// The same without any.
const IDLE_STEP_US: u64 = 10_000_000;
/// How long a pass takes that did something.
const PASS_US: u64 = 20;
/// Virtual time after which a world must be over: longer than every timer and its back-off together.
const PATIENCE_US: u64 = 4 * 3_600_000_000;
/// Who found no place tries again after so long.
const RETRY_US: u64 = 700_000;
/// How often silent talks are looked for.
const LOOK_US: u64 = 20_000_000;

/// One host.
struct Member {
    worker: Worker<Plug, Actor>,
    counters: Arc<Counters>,
    pool: FramePool,
    /// When it has something to do by itself.
    next: Instant,
    /// Its last pass is not over before.
    busy_until: Instant,
}

/// A world that runs.
pub struct Fleet {
    pub world: World,
    pub ledger: Rc<RefCell<Ledger>>,
    clock: SimClock,
    pool: FramePool,
    members: Vec<Member>,
    hostile: Option<Hostile>,
    /// Talks that are to begin, and when.
    to_open: Vec<(Instant, Place)>,
    next_look: Instant,
    /// Shards are not checked after each pass: that takes the longer the more is queued.
    pub unchecked: bool,
}

pub fn mac(host: usize) -> [u8; 6] {
    let [a, b] = (host as u16).to_be_bytes();
    [2, 0, 0, 1, a, b]
}

/// The port of a host; one that cuts large segments, or one that does nothing.
fn caps(host: usize, mtu: u16, cuts: bool) -> Caps {
    let of = if cuts { reach::caps_with_tso } else { reach::caps };
    of(Mac(mac(host)), mtu)
}

/// A host on the switch.
fn member(
    number: usize,
    plan: &HostPlan,
    seed: u64,
    ledger: &Rc<RefCell<Ledger>>,
    world: &World,
    now: Instant,
) -> Member {
    let seed = seed.wrapping_mul(1_009).wrapping_add(number as u64);
    let pool = FramePool::sized(plan.frames, usize::from(plan.mtu) + 18);
    let mut plug = world.plug(caps(number, plan.mtu, plan.cuts), address(number), &pool, plan.faults, seed);
    plug.tx_room = plan.tx_room;
    let secrets = Secrets::from_seed(seed);
    let mut locals = Locals::default();
    locals.add(IpAddr::V4(address(number).into()), 16, 0).unwrap();
    let counters = Arc::new(Counters::default());
    let host = Host::new(&locals, Routes::default(), &[], false, &secrets, now);
    let mut shard = Shard::new(plan.limits.clone(), plan.cfg.clone(), secrets, locals, counters.clone(), now);
    for port in LISTENED {
        shard.listen(None, port).unwrap();
    }
    let actor = Actor::new(number, shard.slots(), ledger.clone());
    let worker = Worker::new(vec![plug], host, shard, actor, Arc::new(Control::default()));
    Member { worker, counters, pool, next: now, busy_until: now }
}

/// What was opened was ended, and the like; for a host on which nothing is open any more.
fn balance(snapshot: &Snapshot) -> Result<(), &'static str> {
    use Counter::*;
    let sum = |counters: &[Counter]| counters.iter().map(|counter| snapshot.get(*counter)).sum::<u64>();
    let established_ends = [Finished, ResetByPeer, Aborted, Abandoned, TimedOut, FinWait2TimedOut, Silent];
    let active_ends = [Refused, SynTimedOut, SynAborted, Unreachable];
    let half_open_ends = [HalfOpenExpired, HalfOpenReset, HalfOpenAborted];
    let before_tcp: u64 = BEFORE_TCP.iter().map(|reason| snapshot.dropped(*reason)).sum();
    let rules = [
        (sum(&[Established]) == sum(&established_ends), "what became ESTABLISHED ended"),
        (
            sum(&[Syn, CookiesGood, SynSent])
                == sum(&[Established]) + sum(&active_ends) + sum(&half_open_ends),
            "what began became ESTABLISHED or ended",
        ),
        (
            sum(&[TimeWaitEntered])
                == sum(&[TimeWaitExpired, TimeWaitReopened, TimeWaitOpened, TimeWaitEvicted]),
            "TIME-WAIT ended",
        ),
        (sum(&[RxSegments]) + before_tcp <= sum(&[RxFrames]), "every frame is one thing"),
        (
            sum(&[Retransmissions]) <= sum(&[TxSegments]) + before_the_wire(snapshot) + ASKED_FOR,
            "what is sent again is sent",
        ),
    ];
    rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(*rule))
}

/// Frames that may still wait for neighbours, or in a ring that takes nothing, when a world is over.
const ASKED_FOR: u64 = 12 + 64;

/// Segments that were built and did not get as far as the wire.
fn before_the_wire(snapshot: &Snapshot) -> u64 {
    use DropReason::*;
    let reasons = [TxFull, NoRoute, NeighbourQueueFull, NeighbourUnresolved];
    reasons.iter().map(|reason| snapshot.dropped(*reason)).sum()
}

/// Why a frame is dropped before it is known to be a TCP segment.
const BEFORE_TCP: [DropReason; 14] = [
    DropReason::FrameTooShort,
    DropReason::EtherNotOurs,
    DropReason::EtherType,
    DropReason::IpTruncated,
    DropReason::IpVersion,
    DropReason::IpChecksum,
    DropReason::IpNotOurs,
    DropReason::IpGroupDestination,
    DropReason::IpInvalidSource,
    DropReason::IpSourceRoute,
    DropReason::TcpMalformed,
    DropReason::TcpChecksum,
    DropReason::TcpChecksumPartial,
    DropReason::TcpPortZero,
];

/// Who is shown everything; he is in the place behind the hosts.
fn hostile(plan: &Plan, world: &World, pool: &FramePool, now: Instant) -> Option<Hostile> {
    if plan.hostile == 0 {
        return None;
    }
    let number = 5_000;
    let plug = world.plug(caps(number, 9_000, false), address(number), pool, Faults::default(), plan.seed);
    world.show_to(plug.place());
    Some(Hostile::new(plug, plan, now))
}

impl Fleet {
    pub fn new(plan: Plan) -> Fleet {
        let clock = SimClock::default();
        let now = Instant(plan.start_us);
        clock.advance_to(now);
        let many = plan.hosts.len() > 40;
        let largest = plan.hosts.iter().map(|host| host.mtu).max().unwrap_or(0);
        let copies = if many { 4_096 } else { 1_024 };
        let pool = FramePool::sized(copies, usize::from(largest) + 18);
        let world = World::new(&clock, &pool, many);
        let ledger = Rc::new(RefCell::new(Ledger::new(plan.clone())));
        let each = plan.hosts.iter().enumerate();
        let members = each.map(|(n, host)| member(n, host, plan.seed, &ledger, &world, now)).collect();
        let hostile = hostile(&plan, &world, &pool, now);
        let mut fleet = Fleet {
            world,
            ledger,
            clock,
            pool,
            members,
            hostile,
            to_open: Vec::new(),
            next_look: Instant(now.0 + LOOK_US),
            unchecked: false,
        };
        for (number, talk) in plan.talks.iter().enumerate().filter(|(_, talk)| !talk.follows) {
            fleet.begin(number, talk.kind, Instant(now.0 + talk.starts_us));
        }
        fleet
    }

    fn begin(&mut self, talk: usize, kind: Kind, at: Instant) {
        self.to_open.push((at, (talk, 0)));
        if kind == Kind::Simultaneous {
            self.to_open.push((at, (talk, 1)));
        }
    }

    /// Talks that were over already may let others begin.
    fn let_follow(&mut self, over_before: &[bool]) {
        let now = self.clock.now();
        for number in 1..over_before.len() {
            let talk = self.ledger.borrow().plan.talks[number];
            let free = !over_before[number - 1] && self.ledger.borrow().is_over(number - 1);
            if talk.follows && free && self.ledger.borrow_mut().may_follow(number) {
                self.begin(number, talk.kind, Instant(now.0 + talk.starts_us));
            }
        }
    }

    /// Until every talk is over and every host is quiet.
    pub fn run(&mut self) {
        let end = Instant(self.clock.now().0 + PATIENCE_US);
        let mut over = self.over();
        while over.contains(&false) || !self.is_quiet() {
            self.turn();
            let now_over = self.over();
            if now_over != over {
                self.let_follow(&over);
                over = self.over();
            }
            assert!(self.clock.now() < end, "the world never ends: {}", self.unfinished());
        }
        self.ledger.borrow().check();
    }

    /// Until the second side of the first talk has so many octets. Returns when that was.
    pub fn run_until_received(&mut self, octets: u64) -> Instant {
        while self.ledger.borrow().logs[0][1].received < octets {
            self.turn();
        }
        self.clock.now()
    }

    /// What a host has counted so far.
    pub fn counted(&self, host: usize, counter: Counter) -> u64 {
        self.members[host].counters.get(counter)
    }

    fn over(&self) -> Vec<bool> {
        let ledger = self.ledger.borrow();
        (0..ledger.logs.len()).map(|talk| ledger.is_over(talk)).collect()
    }

    fn unfinished(&self) -> String {
        let ledger = self.ledger.borrow();
        let open = (0..ledger.logs.len()).filter(|talk| !ledger.is_over(*talk));
        open.map(|talk| ledger.story(talk)).collect()
    }

    fn is_quiet(&self) -> bool {
        let quiet = |(place, member): (usize, &Member)| {
            member.worker.shard().index_len() == 0 && self.world.next_arrival(place).is_none()
        };
        let nothing_to_see = self.world.next_arrival(self.members.len()).is_none();
        nothing_to_see && self.members.iter().enumerate().all(quiet)
    }

    /// Everybody who has something to do now does it; then time passes.
    fn turn(&mut self) {
        let now = self.clock.now();
        self.ledger.borrow_mut().now = now;
        self.hand_out_openings(now);
        for host in 0..self.members.len() {
            if self.next_of(host) <= now {
                self.run_host(host, now);
            }
        }
        let seen = self.world.next_arrival(self.members.len());
        if let Some(hostile) = &mut self.hostile
            && hostile.next().min(seen.unwrap_or(Instant(u64::MAX))) <= now
        {
            hostile.run(now);
        }
        if now >= self.next_look {
            self.next_look = Instant(now.0 + LOOK_US);
            self.look_for_silence();
        }
        let hosts = (0..self.members.len()).map(|host| self.next_of(host));
        let openings = self.to_open.iter().map(|(at, _)| *at);
        let hostile = self.hostile.as_ref().map(Hostile::next);
        let next = hosts.chain(openings).chain(hostile).min().unwrap_or(now);
        self.clock.advance_to(Instant(next.0.max(now.0 + 1)));
    }

    /// When a host runs next: by its own timers, its application's or because a frame arrives, but not before
    /// its last pass is over.
    fn next_of(&self, host: usize) -> Instant {
        let member = &self.members[host];
        let wake = self.ledger.borrow().next_wake(host);
        let next = [Some(member.next), wake, self.world.next_arrival(host)].into_iter().flatten().min();
        next.unwrap_or(member.next).max(member.busy_until)
    }

    fn hand_out_openings(&mut self, now: Instant) {
        let (due, later) = self.to_open.drain(..).partition(|(at, _)| *at <= now);
        self.to_open = later;
        let due: Vec<(Instant, Place)> = due;
        for (_, place) in due {
            let host = self.ledger.borrow().plan.talks[place.0].hosts[place.1];
            self.members[host].worker.app_mut().to_open.push(place);
            self.members[host].next = now;
        }
    }

    /// One pass of a host, what its application does between passes, and what must hold afterwards.
    fn run_host(&mut self, host: usize, now: Instant) {
        let member = &mut self.members[host];
        let mut pass = member.worker.pass(now);
        for (place, id) in std::mem::take(&mut member.worker.app_mut().opened) {
            let ledger = &self.ledger;
            member.worker.call(id, |conn| ledger.borrow_mut().opened(place, conn));
        }
        for (place, error) in std::mem::take(&mut member.worker.app_mut().refused) {
            assert!(
                matches!(error, OpenError::TimeWait | OpenError::NoTcb | OpenError::Exists),
                "{place:?}: {error}"
            );
            self.to_open.push((Instant(now.0 + RETRY_US), place));
        }
        loop {
            let Some(place) = self.ledger.borrow_mut().due(host) else { break };
            let Some(id) = self.ledger.borrow().logs[place.0][place.1].id else { continue };
            let ledger = &self.ledger;
            let is_it = member.worker.app().place(id) == Some(place);
            if is_it {
                member.worker.call(id, |conn| {
                    ledger.borrow_mut().act(place, conn);
                    conn.resume();
                });
                pass = Pass::Busy;
            }
        }
        let shard = member.worker.shard();
        if !self.unchecked
            && let Err(broken) = shard.check_invariants()
        {
            panic!("host {host}: {broken}");
        }
        let timer = shard
            .next_deadline()
            .map(|at: Tick| Instant((now.millis() + u64::from(at.since(now.tick()))) * 1_000));
        let step = if shard.index_len() > 0 { STEP_US } else { IDLE_STEP_US };
        let idle = Instant(now.0 + step);
        member.busy_until = Instant(now.0 + PASS_US);
        member.next = match pass {
            Pass::Busy => member.busy_until,
            Pass::Idle => timer.unwrap_or(idle).min(idle),
        };
    }

    fn look_for_silence(&mut self) {
        let gone = self.ledger.borrow_mut().abandon();
        for (host, id) in gone {
            self.members[host].worker.call(id, |conn| conn.abort());
            self.members[host].next = self.clock.now();
        }
    }

    /// Everything is over: no connection, record, buffer or frame is left, and all accounts balance (TRN-12).
    pub fn assert_quiet(self, coverage: &mut Coverage) {
        //= TRN-12
        for (host, member) in self.members.iter().enumerate() {
            let shard = member.worker.shard();
            let snapshot = Snapshot::of(std::iter::once(&*member.counters));
            let named = Counter::ALL.iter().map(|counter| (counter.name(), snapshot.get(*counter)));
            let named: Vec<_> = named.filter(|(_, count)| *count > 0).collect();
            balance(&snapshot).unwrap_or_else(|wrong| panic!("host {host}: {wrong}: {named:?}"));
            let left = (shard.connections(), shard.half_open(), shard.in_time_wait(), shard.index_len());
            assert_eq!(left, (0, 0, 0, 0), "host {host}: connections, half-open, TIME-WAIT, index");
            assert_eq!(shard.buffers_in_use(), 0, "host {host}: buffers");
            coverage.add(&member.counters, shard.transitions());
        }
        let account = self.world.account();
        assert!(account.is_balanced(), "{account:?}");
        for (host, member) in self.members.into_iter().enumerate() {
            let Member { worker, pool, .. } = member;
            drop(worker);
            assert_eq!(pool.in_use(), 0, "host {host}: frames");
        }
        drop(self.hostile);
        assert_eq!(self.pool.in_use(), 0, "copies of frames");
    }
}
