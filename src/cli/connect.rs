//! The command `connect` over DPDK: a client on each core that has a port from which a target can be reached.

use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use super::banner::{self, Banner};
use super::bench::max_rate::{self, Scope};
use super::bench::{Results, experiment};
use super::cores::{CoreRequest, CpuSet};
use super::desk::Desk;
use super::session::{self, Session};
use super::sink::{self, Sink};
use super::tables::{self, Needed};
use super::{Failure, machine, plan, verdict};
use crate::app::client::{Client, Order};
use crate::base::cycles::Cycles;
use crate::config::connect::ConnectOptions;
use crate::config::load::LoadOptions;
use crate::config::shape::Turns;
use crate::config::stack::StackOptions;
use crate::config::supply::{self, Supply};
use crate::config::targets::target_text;
use crate::dpdk::eal::Eal;
use crate::dpdk::lcore::{self, Job};
use crate::dpdk::queue::Queue;
use crate::engine::control::Control;
use crate::engine::limits::Limits;
use crate::engine::shard::Shard;
use crate::engine::worker::Worker;
use crate::inet::neighbour::NEIGHBOURS_MAX;
use crate::load::schedule::Share;
use crate::load::tuples::{Addresses, Target, Tuples};
use crate::measure::drive::{self, Signals};
use crate::measure::runner::Runner;
use crate::measure::side::{Engine, Readiness};
use crate::stats::counters::Counters;
use crate::stats::interval::Mailbox;
use crate::stats::latency::Latencies;
use crate::stats::losses::Losses;
use crate::telemetry::collect::{Facts, Plan as Collecting, Role, SidePlan};
use crate::telemetry::csv::RunId;
use crate::telemetry::figures::SideFacts;
use crate::telemetry::json;
use crate::telemetry::run::{Document, Run, SCHEMA};

/// Runs the command; `command` is the whole command line.
pub(super) fn run(
    eal_words: Vec<String>,
    options: &ConnectOptions,
    command: Vec<String>,
    cores: Option<&CoreRequest>,
    online: &CpuSet,
) -> Result<ExitCode, Failure> {
    let client = Started::open(eal_words, options, cores, online)?;
    let (mut run, latencies) = client.measure(&options.load)?;
    verdict::judge(&mut run, &options.expect, &latencies);
    let text = verdict::text(std::slice::from_ref(&run));
    client.close(Results { runs: vec![run], random_line: None, text, good: true }, command, online)
}

/// Searches for the highest rate that the targets take.
pub(super) fn search(
    eal_words: Vec<String>,
    options: &ConnectOptions,
    scope: &Scope,
    command: Vec<String>,
    cores: Option<&CoreRequest>,
    online: &CpuSet,
) -> Result<ExitCode, Failure> {
    let client = Started::open(eal_words, options, cores, online)?;
    let results = max_rate::search(
        scope,
        || client.desk.is_interrupted(),
        super::say,
        |rate, length| Ok(client.measure(&max_rate::trial(&options.load, rate, length))?.0),
    )?;
    client.close(results, command, online)
}

/// Ports that were started, and what is needed to measure over them.
struct Started<'a> {
    options: &'a ConnectOptions,
    desk: Desk,
    /// The document's, made before anything starts: nobody shall measure for an hour and have nowhere to write.
    eal: Eal,
    session: Session,
    ways: Ways,
    clock: Cycles,
}

impl<'a> Started<'a> {
    fn open(
        eal_words: Vec<String>,
        options: &'a ConnectOptions,
        cores: Option<&CoreRequest>,
        online: &CpuSet,
    ) -> Result<Started<'a>, Failure> {
        needed(options, &options.load, 1, 1).fits(&eal_words)?;
        let sink = Sink::open(&options.output, options.stats_interval)?;
        let desk = Desk::open(session::control_cpu(cores, online), Box::new(sink)).map_err(Failure::run)?;
        let eal = Eal::init(eal_words).map_err(Failure::run)?;
        let session = Session::open(&eal, &options.stack)?;
        let ways = Ways::of(&session, options)?;
        let clients = session.seats().filter(|seat| ways.at(seat.places).next().is_some()).count();
        needed(options, &options.load, session.loops(), clients).place(eal.has_hugepages())?;
        banner::print(&banner(&session, options, &ways, clients)?);
        Ok(Started { options, desk, eal, session, ways, clock: Cycles::start() })
    }

    /// Shows and writes what came out, and gives everything back.
    fn close(self, results: Results, command: Vec<String>, online: &CpuSet) -> Result<ExitCode, Failure> {
        let document = Document {
            schema: SCHEMA.to_owned(),
            command,
            versions: machine::versions(),
            machine: machine::machine(online.len(), self.clock.hz(), machine::pages(&self.eal)),
            device: self.session.device(),
            runs: results.runs,
            random_line: None,
            flatness: Vec::new(),
        };
        super::say(&format!("{}\n", results.text));
        self.session.close(self.eal)?;
        if let Some(path) = &self.options.output.json {
            json::write(&document, sink::create(path)?).map_err(Failure::run)?;
        }
        self.desk.finished()?;
        if results.good { verdict::held(&document.runs) } else { Ok(ExitCode::FAILURE) }
    }
}

/// The limits of each of `loops` shards; a search's later trials may need more than its first.
fn limits(options: &ConnectOptions, load: &LoadOptions, loops: usize) -> Limits {
    let max_connections = options.stack.max_connections.max(supply::slots_needed(load));
    let records = supply::records_needed(load, options.supply().pairs(), options.stack.time_wait);
    let time_wait_max = options.stack.time_wait_max.max(records);
    let stack = StackOptions { max_connections, time_wait_max, ..options.stack.clone() };
    Limits { listeners: 0, closing_limited: false, ..plan::stack_limits(&stack, loops) }
}

/// What so many clients need, each with its share of what is meant for so many loops.
fn needed(options: &ConnectOptions, load: &LoadOptions, loops: usize, clients: usize) -> Needed<'static> {
    let limits = limits(options, load, loops);
    Needed {
        bytes: (limits.memory().total + own_memory(options, load, &limits)) * clients,
        loops: clients,
        connections: options.stack.max_connections,
        cure: plan::SMALLER,
    }
}

/// Bytes that the client of a shard with these limits takes by itself.
fn own_memory(options: &ConnectOptions, load: &LoadOptions, limits: &Limits) -> usize {
    Client::memory(&load.talk, order(options, load, Share::WHOLE), limits.slots() as usize)
}

/// In which order this part of the connections go on.
fn order(options: &ConnectOptions, load: &LoadOptions, share: Share) -> Order {
    match options.turns {
        Turns::Own => Order::Own,
        Turns::Random => Order::Random { active: active(load, share) },
    }
}

/// What one port leads to.
struct Way {
    place: usize,
    sources: Vec<Addresses>,
    targets: Vec<Target>,
    /// Targets are on the port's link, each a neighbour; otherwise behind a router.
    on_link: bool,
}

/// What all ports lead to.
struct Ways(Vec<Way>);

impl Ways {
    /// Each target belongs to the port in whose subnet it lies, or to the one that leads to the router.
    fn of(session: &Session, options: &ConnectOptions) -> Result<Ways, Failure> {
        let gateway = options.stack.gateway.and_then(|gateway| session.place_of(gateway));
        let mut ways: Vec<Way> = Vec::new();
        for target in &options.targets {
            let direct = session.place_of(IpAddr::V4(target.addresses.first));
            let place = direct.or(gateway).ok_or_else(|| {
                Failure::usage(format!(
                    "no port leads to {}: give one an address in its subnet with --addr, or a router with --gateway",
                    target_text(target)
                ))
            })?;
            let on_link = direct.is_some();
            match ways.iter_mut().find(|way| way.place == place && way.on_link == on_link) {
                Some(way) => way.targets.push(*target),
                None => {
                    let sources = sources(session, options, place);
                    ways.push(Way { place, sources, targets: vec![*target], on_link });
                }
            }
        }
        let hosts: u64 = ways
            .iter()
            .filter(|way| way.on_link)
            .flat_map(|way| &way.targets)
            .map(|target| u64::from(target.addresses.count))
            .sum();
        if hosts > NEIGHBOURS_MAX as u64 {
            return Err(Failure::usage(format!(
                "the targets are {hosts} hosts on our own links, and no more than {NEIGHBOURS_MAX} neighbours are \
                 remembered: give a smaller prefix, or put them behind a --gateway"
            )));
        }
        Ok(Ways(ways))
    }

    fn at<'a>(&'a self, places: &'a [usize]) -> impl Iterator<Item = &'a Way> {
        self.0.iter().filter(|way| places.contains(&way.place))
    }
}

/// The sources of a port: those of `--source` that lie in its subnet, those that lie in none where it is the first with
/// a target, and without any its own addresses.
fn sources(session: &Session, options: &ConnectOptions, place: usize) -> Vec<Addresses> {
    let home =
        |range: &&Addresses| session.place_of(IpAddr::V4(range.first)).is_none_or(|other| other == place);
    let given: Vec<_> = options.sources.addresses.iter().filter(home).copied().collect();
    if !given.is_empty() {
        return given;
    }
    let own = session.addresses(place).filter_map(|(address, _)| match address {
        IpAddr::V4(address) => Some(Addresses::one(address)),
        IpAddr::V6(_) => None,
    });
    own.collect()
}

fn banner(
    session: &Session,
    options: &ConnectOptions,
    ways: &Ways,
    clients: usize,
) -> Result<Banner, Failure> {
    let limits = limits(options, &options.load, session.loops());
    let own = ("client itself", own_memory(options, &options.load, &limits), limits.slots());
    let mut memory = plan::memory_lines(&limits.memory(), own, &options.stack, clients, tables::resident());
    memory.push(session.pool_line());
    let targets: Vec<_> = options.targets.iter().map(target_text).collect();
    let mut lines = Vec::new();
    for way in &ways.0 {
        let supply = Supply::of(&way.sources, 0, options.sources.ports, &way.targets);
        lines.push(supply::tuples(&options.load, supply, options.stack.time_wait).map_err(Failure::usage)?);
    }
    let last = format!("{}; {}; seed {}", targets.join(" "), lines.join("; "), options.load.seed);
    Ok(Banner {
        dpdk: Eal::version(),
        ports: session.port_lines(),
        cores: session.core_lines(),
        memory,
        last: ("connect", last),
    })
}

type Readings = Arc<Mutex<Vec<Readiness>>>;

/// Queues that a loop had, by the places of their ports.
type Left = Arc<Mutex<Vec<(Vec<usize>, Vec<Queue>)>>>;

impl Started<'_> {
    /// Runs a load on all loops that lead to a target.
    fn measure(&self, load: &LoadOptions) -> Result<(Run, Latencies), Failure> {
        let (session, ways) = (&self.session, &self.ways);
        let seats: Vec<_> = session.seats().filter(|seat| ways.at(seat.places).next().is_some()).collect();
        let clients = seats.len() as u32;
        let (signals, readings, left) = (Arc::new(Signals::default()), Readings::default(), Left::default());
        let (mut jobs, mut mailboxes) = (Vec::new(), Vec::new());
        let losses = session.losses();
        needed(self.options, load, session.loops(), seats.len()).allow_hugetlb(self.eal.has_hugepages());
        for (index, seat) in (0..).zip(&seats) {
            let mailbox = Arc::new(Mailbox::new());
            let side = self.side(load, seat.places, Share { index, of: clients })?;
            let marks: Vec<u64> =
                load.schedule.measured().into_iter().flat_map(|range| [range.start, range.end]).collect();
            let mut runner = Runner::new(side, self.clock.clone(), &marks, mailbox.clone()).pausing();
            let (clock, signals, readings) = (self.clock.clone(), signals.clone(), readings.clone());
            let (left, places) = (left.clone(), seat.places.to_vec());
            let job: Job = Box::new(move || {
                let readiness = drive::client(&mut runner, &clock, &signals, u64::from(clients));
                readings.lock().unwrap_or_else(PoisonError::into_inner).push(readiness);
                runner.hand_over();
                let queues = runner.into_side().into_queues();
                left.lock().unwrap_or_else(PoisonError::into_inner).push((places, queues));
                0
            });
            jobs.push((seat.lcore, job));
            mailboxes.push((Role::Client, index, mailbox));
        }
        let collecting = Collecting {
            schedule: load.schedule.clone(),
            client: Some(SidePlan { loops: clients, engine: true }),
            ..Collecting::default()
        };
        let lie = tables::found();
        let reporting = self.desk.report(run_id(load), collecting, mailboxes, signals);
        let ended = lcore::launch(&self.eal, jobs).map_err(Failure::run);
        let gathered = reporting.finish();
        for (places, queues) in left.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            session.keep(&places, queues);
        }
        session::failures_of(&ended?)?;
        begun(&readings.lock().unwrap_or_else(PoisonError::into_inner))?;
        let collector = gathered
            .ok_or_else(|| Failure::run("the reporter ended before the run did: please report it"))?
            .map_err(Failure::run)?;
        let latencies = collector.latencies().clone();
        let facts = Facts { tables: lie, ..self.facts(load, clients, session.losses().since(&losses)) };
        Ok((collector.finish(&facts), latencies))
    }

    fn facts(&self, load: &LoadOptions, clients: u32, losses: Losses) -> Facts {
        let (id, options) = (run_id(load), self.options);
        let memory = limits(options, load, self.session.loops()).memory();
        Facts {
            profile: id.profile,
            concurrency: id.concurrency,
            rate: id.rate,
            repeat: 1,
            cores: clients,
            tsc_hz: self.clock.hz(),
            time_wait_s: options.stack.time_wait.as_secs_f64(),
            time_wait_shortened_s: None,
            tables: None,
            closed: false,
            copied_bits_per_second: None,
            client: SideFacts {
                bytes_per_connection: memory.per_connection as u64,
                bytes_per_time_wait: memory.per_time_wait as u64,
                floor_cycles_per_connection: None,
                losses,
            },
            server: SideFacts::default(),
        }
    }
}

fn run_id(load: &LoadOptions) -> RunId {
    RunId {
        profile: load.profile.name().to_owned(),
        concurrency: load.schedule.concurrency_max().map(u64::from),
        rate: load.schedule.rate_max(),
        repeat: 1,
    }
}

impl Started<'_> {
    /// The client of one loop.
    fn side(
        &self,
        load: &LoadOptions,
        places: &[usize],
        share: Share,
    ) -> Result<Engine<Queue, Client>, Failure> {
        let (session, options, now) = (&self.session, self.options, self.clock.instant());
        let counters = Arc::new(Counters::default());
        let mine = || self.ways.at(places);
        let all: Vec<Addresses> = mine().flat_map(|way| way.sources.clone()).collect();
        let ground = session.ground(places, &options.stack, &all, &counters, now)?;
        let mut config = plan::stack_config(&options.stack);
        config.settings.nodelay = true;
        plan::imitate(&load.imitate, &mut config);
        let start = load.seed as u32;
        let tuples = mine().map(|way| Tuples::new(&way.sources, options.sources.ports, &way.targets, start));
        let tuples = Tuples::join(tuples.collect());
        let limits = limits(options, load, session.loops());
        let shard = Shard::new(limits, config, ground.secrets, ground.locals, counters.clone(), now);
        let plan = experiment::client(load, share, order(options, load, share));
        let client = Client::new(plan, tuples, shard.slots(), now);
        let control = Arc::new(Control::default());
        let worker = Worker::new(ground.queues, ground.host, shard, client, control);
        let hops = mine().flat_map(|way| {
            let each = way.targets.iter().flat_map(|target| {
                let count = if way.on_link { target.addresses.count } else { 1 };
                (0..count).map(|n| IpAddr::V4(target.addresses.get(n)))
            });
            each.collect::<Vec<_>>()
        });
        Ok(Engine::new(worker, counters).towards(hops.collect()))
    }
}

/// Connections of a loop that are on the move at a time, where the others wait for their turn.
fn active(load: &LoadOptions, share: Share) -> u32 {
    let all = share.part(load.schedule.concurrency_max().map_or(0, u64::from));
    u32::try_from(all).unwrap_or(u32::MAX).clamp(1, experiment::ACTIVE_MAX)
}

/// Whether all loops could begin; the first that could not says why.
fn begun(readings: &[Readiness]) -> Result<(), Failure> {
    let worst = readings.iter().find(|one| !matches!(one, Readiness::Ready | Readiness::Waiting));
    match worst.or(readings.first()) {
        Some(Readiness::Ready) => Ok(()),
        Some(Readiness::Lost) => Err(Failure::run(
            "an address is used by another host already: give this one another --addr, or leave out --dad",
        )),
        Some(Readiness::Unresolved(address)) => Err(Failure::run(format!(
            "nobody on the link says that {address}, or the router on the way to it, is his (ARP): look whether the \
             host is up and in the same network, or name its MAC address with --neighbour"
        ))),
        Some(Readiness::NoRoute(address)) => Err(Failure::usage(format!(
            "no way leads to {address}: give a port an address in its subnet with --addr, or a router with --gateway"
        ))),
        // Nobody floods here.
        Some(Readiness::Unopened { open, wanted }) => Err(Failure::run(format!(
            "{open} connections were open before the run, and not {wanted}: please report it"
        ))),
        Some(Readiness::Waiting) | None => Err(Failure::run("interrupted before the clock started")),
    }
}
