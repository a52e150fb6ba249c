//! `serve --backend kernel`: the services on the kernel's sockets, until a signal or for a time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use super::netstat::Counts;
use super::{TIME_WAIT, descriptors, device, document, explain, marks, nanoseconds, options, places};
use super::{refuse_eal, refuse_to_tell, setting};
use crate::app::http::responses::Responses;
use crate::app::reply;
use crate::base::cycles::Cycles;
use crate::base::text::thousands;
use crate::cli::args::Serve as Asked;
use crate::cli::cores::CpuSet;
use crate::cli::desk::Desk;
use crate::cli::sink::Sink;
use crate::cli::{Failure, say, threads, verdict};
use crate::kernel::server::{Plan, Serve, Server};
use crate::load::schedule::{Schedule, Stage};
use crate::measure::drive::{self, Signals};
use crate::measure::runner::Runner;
use crate::measure::sockets::{KernelServer, KernelService};
use crate::stats::interval::Mailbox;
use crate::telemetry::collect::{Collector, Facts, Plan as Collecting, Role, SidePlan};
use crate::telemetry::csv::RunId;

/// What its run is called.
const NAME: &str = "serve";

/// Runs the command; `command` is the whole command line.
///
/// # Errors
/// EAL's words, files or sockets that cannot be had.
pub(in crate::cli) fn run(
    eal: &[String],
    asked: &Asked,
    command: Vec<String>,
    online: &CpuSet,
) -> Result<ExitCode, Failure> {
    refuse_eal(NAME, eal)?;
    let sink = Sink::open(&asked.output, asked.stats_interval)?;
    // Who runs the other end on this machine may choose CPUs for both (taskset); we do not.
    let desk = Desk::open(None, Box::new(sink)).map_err(Failure::run)?;
    let clock = Cycles::start();
    let before = Counts::now();
    let server = server(asked)?;
    let signals = Arc::new(Signals::default());
    let (collector, unaccepted) = measure(asked, server, &clock, &desk, &signals)?;
    refuse_to_tell(&signals)?;
    let counts = Counts::now().since(&before);
    let facts = Facts {
        profile: NAME.to_owned(),
        repeat: 1,
        cores: 1,
        tsc_hz: clock.hz(),
        time_wait_s: TIME_WAIT.as_secs_f64(),
        time_wait_shortened_s: counts.time_wait_shortened_s(),
        ..Facts::default()
    };
    let mut run = collector.finish(&facts);
    explain(&mut run, &counts);
    if unaccepted > 0 {
        run.warnings.push(format!(
            "server: {} times the kernel had no descriptor or memory for a connection that waited, or it was gone \
             already: raise the hard limit of open files (ulimit -Hn).",
            thousands(unaccepted)
        ));
    }
    let document = document(command, online, &clock, device("sockets", 0), vec![run]);
    verdict::show(&document.runs);
    verdict::conclude(&document, &asked.output)
}

/// Where it listens: at all addresses, where none are given.
fn addresses(asked: &Asked) -> Vec<IpAddr> {
    let given: Vec<_> = asked.stack.addresses.iter().map(|own| own.address).collect();
    if given.is_empty() { vec![IpAddr::V4(Ipv4Addr::UNSPECIFIED)] } else { given }
}

fn server(asked: &Asked) -> Result<Server, Failure> {
    let wanted = u64::from(asked.stack.max_connections);
    let sockets = descriptors(wanted, 1)?;
    let at = |address: IpAddr| {
        asked
            .listen
            .iter()
            .map(move |listen| (SocketAddr::new(address, listen.port), Serve::from(listen.service)))
    };
    let listen: Vec<_> = addresses(asked).into_iter().flat_map(at).collect();
    let plan = Plan {
        listen: &listen,
        shared: false,
        backlog: asked.backlog,
        options: options(None, asked.stack.ttl.get(), asked.stack.dscp)?,
        // Every connection sends them, for as long as the program runs.
        reply: Box::leak(reply::text(asked.reply_size).into_boxed_slice()),
        responses: Box::leak(Box::new(Responses::new(asked.http_body))),
        sockets_max: places(sockets),
    };
    let server =
        Server::new(plan).map_err(|error| Failure::run(format!("the kernel does not listen at {error}")))?;
    say_limits(sockets, wanted, u64::from(asked.backlog));
    Ok(server)
}

/// Where the kernel's limits are below ours.
fn say_limits(sockets: u64, wanted: u64, backlog: u64) {
    if sockets < wanted {
        say(&format!(
            "the limit of open files allows {} connections of {}: raise the hard one (ulimit -Hn) for more\n",
            thousands(sockets),
            thousands(wanted)
        ));
    }
    if let Some(most) = setting("core/somaxconn").filter(|most| *most < backlog) {
        say(&format!(
            "the kernel lets {} connections wait at a listener, not {}: raise net.core.somaxconn for more\n",
            thousands(most),
            thousands(backlog)
        ));
    }
}

/// Serves, and says how often a connection could not be accepted.
fn measure(
    asked: &Asked,
    server: Server,
    clock: &Cycles,
    desk: &Desk,
    signals: &Arc<Signals>,
) -> Result<(Collector, u64), Failure> {
    let until_ns = asked.duration.map(nanoseconds);
    let stage = until_ns.map(|duration_ns| Stage { duration_ns, ..Stage::default() });
    let schedule = Schedule { stages: stage.into_iter().collect(), ..Schedule::default() };
    let side = KernelService::new(KernelServer::new(server, nanoseconds(asked.drain)), until_ns);
    let mailbox = Arc::new(Mailbox::new());
    let mut runner = Runner::new(side, clock.clone(), &marks(&schedule), mailbox.clone());
    let collecting =
        Collecting { schedule, server: Some(SidePlan { loops: 1, engine: false }), ..Collecting::default() };
    let id = RunId { profile: NAME.to_owned(), concurrency: None, rate: None, repeat: 1 };
    let boxes = vec![(Role::Server, 0, mailbox)];
    // From here on a signal drains: whoever waits for `ready` may send one.
    let reporting = desk.report(id, collecting, boxes, signals.clone());
    let ready: String = addresses(asked).iter().map(|address| format!("ready kernel {address}\n")).collect();
    say(&ready);
    let job = || {
        drive::client(&mut runner, clock, signals, 1);
        runner.hand_over();
    };
    let ended = threads::run(vec![Box::new(job)], &[]);
    let gathered = reporting.finish();
    ended?;
    let collector = gathered
        .ok_or_else(|| Failure::run("the reporter ended before the run did: please report it"))?
        .map_err(Failure::run)?;
    Ok((collector, runner.side().server().accept_failures()))
}
