//! `bench --backend kernel`: client and server on the kernel's sockets, over loopback, in turn on one thread or each on
//! its own.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::process::ExitCode;
use std::sync::Arc;

use super::netstat::Counts;
use super::{TIME_WAIT, client, descriptors, device, document, explain, marks, nanoseconds, options, places};
use super::{refuse_eal, refuse_to_tell, setting};
use crate::app::http::responses::Responses;
use crate::app::reply;
use crate::base::cycles::Cycles;
use crate::cli::bench::experiment::{BODY, reply_len, service};
use crate::cli::cores::CpuSet;
use crate::cli::desk::Desk;
use crate::cli::sink::Sink;
use crate::cli::{Failure, threads, verdict};
use crate::config::bench::BenchOptions;
use crate::config::load::LoadOptions;
use crate::config::supply;
use crate::kernel::client::Client;
use crate::kernel::server::{self, Server};
use crate::kernel::{Options, Source};
use crate::load::closing::Close;
use crate::load::tuples::{Addresses, Ports, Target, Tuples};
use crate::measure::drive::{self, Signals};
use crate::measure::runner::Runner;
use crate::measure::side::Side;
use crate::measure::sockets::{KernelClient, KernelServer};
use crate::stats::interval::Mailbox;
use crate::stats::latency::Latencies;
use crate::telemetry::collect::{Facts, Plan as Collecting, Role, SidePlan};
use crate::telemetry::csv::RunId;
use crate::telemetry::run::Run;

/// The first of the addresses from which the client opens.
const SOURCES: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);
/// Addresses at most: what fits below 127.2.0.0.
const SOURCES_MAX: u64 = 65_000;
/// Connections a second for which a closed loop has addresses: more than any core is known to reach.
const RATE_MAX: f64 = 250_000.0;
/// Ports that the kernel has for each address, where it does not tell.
const PORTS: u64 = 28_232;
/// Places of the server beside twice the client's: a connection that is over for the client may not be for it.
const SPARE: u64 = 1_024;

/// What all runs have in common.
struct Bench<'a> {
    options: &'a BenchOptions,
    clock: Cycles,
    desk: Desk,
    cpus: Vec<usize>,
    responses: &'static Responses,
}

type Ends = (Runner<KernelClient>, Runner<KernelServer>);

/// Runs the command; `command` is the whole command line.
///
/// # Errors
/// EAL's words, files or sockets that cannot be had, or an expectation that did not hold.
pub(in crate::cli) fn run(
    eal: &[String],
    options: &BenchOptions,
    command: Vec<String>,
    online: &CpuSet,
) -> Result<ExitCode, Failure> {
    refuse_eal("bench", eal)?;
    let sink = Sink::open(&options.output, options.stats_interval)?;
    let cpus: Vec<usize> = online.iter().map(|cpu| cpu as usize).collect();
    let desk = Desk::open(cpus.get(options.cores as usize).copied(), Box::new(sink)).map_err(Failure::run)?;
    let responses: &'static Responses = Box::leak(Box::new(Responses::new(BODY)));
    let bench = Bench { options, clock: Cycles::start(), desk, cpus, responses };
    let mut runs = Vec::new();
    for load in &options.loads {
        for repeat in 1..=options.repeats {
            if !bench.desk.is_interrupted() {
                let (mut run, latencies) = bench.one(load, repeat)?;
                verdict::judge(&mut run, &options.expect, &latencies);
                runs.push(run);
            }
        }
    }
    let mtu = std::fs::read_to_string("/sys/class/net/lo/mtu").unwrap_or_default();
    let device = device("loopback", mtu.trim().parse().unwrap_or(0));
    let document = document(command, online, &bench.clock, device, runs);
    verdict::show(&document.runs);
    verdict::conclude(&document, &options.output)
}

/// Addresses so that every connection finds a pair of endpoints while the earlier ones rest, with twice as many as that.
fn sources(load: &LoadOptions, at_a_time: u64) -> Addresses {
    let rate = load.schedule.rate_max().unwrap_or(RATE_MAX);
    let busy = at_a_time.saturating_add((rate * TIME_WAIT.as_secs_f64()) as u64);
    let count = (2 * busy).div_ceil(ports()).clamp(1, SOURCES_MAX);
    Addresses { first: SOURCES, count: places(count) }
}

/// Ports that the kernel chooses from.
fn ports() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = text.split_whitespace().filter_map(|end| end.parse::<u64>().ok());
    let range = ends.next().zip(ends.next()).and_then(|(first, last)| last.checked_sub(first));
    range.map_or(PORTS, |range| range + 1)
}

impl Bench<'_> {
    /// One run, its figures, and the latencies behind them.
    fn one(&self, load: &LoadOptions, repeat: u32) -> Result<(Run, Latencies), Failure> {
        let before = Counts::now();
        let mailboxes = [Arc::new(Mailbox::new()), Arc::new(Mailbox::new())];
        let (mut client, mut server) = self.ends(load, &mailboxes)?;
        let (concurrency, rate) = (load.schedule.concurrency_max().map(u64::from), load.schedule.rate_max());
        let id = RunId { profile: load.profile.name().to_owned(), concurrency, rate, repeat };
        let side = Some(SidePlan { loops: 1, engine: false });
        let collecting = Collecting {
            schedule: load.schedule.clone(),
            client: side,
            server: side,
            peer_resets: load.closes.has(Close::Rst),
            ..Collecting::default()
        };
        let signals = Arc::new(Signals::default());
        let [to_client, to_server] = mailboxes;
        let boxes = vec![(Role::Client, 0, to_client), (Role::Server, 0, to_server)];
        let reporting = self.desk.report(id, collecting, boxes, signals.clone());
        let ended = self.drive(&mut client, &mut server, &signals);
        let gathered = reporting.finish();
        ended?;
        refuse_to_tell(&signals)?;
        let collector = gathered
            .ok_or_else(|| Failure::run("the reporter ended before the run did: please report it"))?
            .map_err(Failure::run)?;
        let counts = Counts::now().since(&before);
        let facts = Facts {
            profile: load.profile.name().to_owned(),
            concurrency,
            rate,
            repeat,
            cores: self.options.cores,
            tsc_hz: self.clock.hz(),
            time_wait_s: TIME_WAIT.as_secs_f64(),
            time_wait_shortened_s: counts.time_wait_shortened_s(),
            ..Facts::default()
        };
        let (mut run, latencies) = collector.results(&facts);
        explain(&mut run, &counts);
        Ok((run, latencies))
    }

    /// Both ends: the server listens where the kernel chooses.
    fn ends(&self, load: &LoadOptions, mailboxes: &[Arc<Mailbox>; 2]) -> Result<Ends, Failure> {
        let at_a_time = load.schedule.concurrency_max();
        let client_max = u64::from(at_a_time.unwrap_or_else(|| supply::slots_needed(load)));
        let needed = 2 * at_a_time.map_or(1, u64::from);
        let sockets = descriptors(3 * client_max + SPARE, needed)?;
        let client_max = client_max.min(sockets / 2);
        let server = Server::new(server::Plan {
            listen: &[(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into(), service(load).into())],
            shared: false,
            backlog: u32::MAX,
            options: Options::default(),
            reply: Box::leak(reply::text(reply_len(&load.talk) as usize).into_boxed_slice()),
            responses: self.responses,
            sockets_max: places(sockets - client_max),
        })
        .map_err(Failure::run)?;
        let target = match server.addresses().first() {
            Some(SocketAddr::V4(address)) => {
                Target { addresses: Addresses::one(*address.ip()), ports: Ports::one(address.port()) }
            }
            _ => return Err(Failure::run("the server has no address: please report it")),
        };
        let tuples = Tuples::new(&[sources(load, client_max)], Ports::EPHEMERAL, &[target], 0);
        let told = options(Some(load), ttl(), 0)?;
        let plan = client(load, tuples, Source::Address, told, places(client_max));
        let client = KernelClient(Client::new(plan).map_err(Failure::run)?);
        let server = KernelServer::new(server, nanoseconds(load.drain));
        let marks = marks(&load.schedule);
        let [near, far] = mailboxes;
        Ok((
            Runner::new(client, self.clock.clone(), &marks, near.clone()),
            Runner::new(server, self.clock.clone(), &marks, far.clone()),
        ))
    }

    fn drive(
        &self,
        client: &mut Runner<KernelClient>,
        server: &mut Runner<KernelServer>,
        signals: &Signals,
    ) -> Result<(), Failure> {
        let clock = &self.clock;
        let jobs: Vec<threads::Job<'_>> = if self.options.cores > 1 {
            let near = || {
                drive::client(client, clock, signals, 1);
                client.hand_over();
            };
            let far = || {
                drive::server(server, clock, signals, 1);
                empty(server, clock, signals);
                server.hand_over();
            };
            vec![Box::new(near), Box::new(far)]
        } else {
            vec![Box::new(|| {
                drive::in_turn(client, server, clock, signals);
                empty(server, clock, signals);
                client.hand_over();
                server.hand_over();
            })]
        };
        threads::run(jobs, &self.cpus)
    }
}

/// The kernel's own time to live, which nobody changes here.
fn ttl() -> u8 {
    setting("ipv4/ip_default_ttl").and_then(|ttl| u8::try_from(ttl).ok()).unwrap_or(64)
}

/// What the client left waiting to be accepted is accepted, and ends.
fn empty(server: &mut Runner<KernelServer>, clock: &Cycles, signals: &Signals) {
    server.side().stop();
    let mut at = clock.now();
    while !server.side().is_done() && !signals.must_leave() {
        at = server.turn(at);
    }
}
