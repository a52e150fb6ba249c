//! The program: its command line, what it checks before EAL starts, and the commands themselves.

pub mod args;
#[cfg(feature = "dpdk")]
mod banner;
mod bench;
pub mod check;
mod compare;
#[cfg(feature = "dpdk")]
mod connect;
pub mod cores;
mod desk;
pub mod eal_args;
mod gather;
mod kernel;
mod machine;
pub mod plan;
#[cfg(feature = "dpdk")]
mod serve;
#[cfg(feature = "dpdk")]
mod session;
mod sink;
mod tables;
mod threads;
mod verdict;
#[cfg(feature = "dpdk")]
mod watch;

use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::config::connect::ConnectOptions;
use crate::config::stack::Backend;
use args::{Command, Exit};
use cores::{CoreRequest, CpuSet};
use eal_args::Words;

/// A run that did not come to a good end: one sentence and an exit status.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    status: u8,
    sentence: String,
}

impl Failure {
    /// It failed at run time: status 1.
    pub fn run(why: impl Display) -> Self {
        Failure { status: 1, sentence: why.to_string() }
    }

    /// It was used wrongly: status 2.
    pub fn usage(why: impl Display) -> Self {
        Failure { status: 2, sentence: why.to_string() }
    }
}

/// Prints a block at once, so that whoever reads a pipe sees it.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    // Nobody listens any more: the run goes on.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Runs the program with its words (without its own name).
pub fn main(words: impl Iterator<Item = OsString>) -> ExitCode {
    let words: Result<Vec<String>, OsString> = words.map(OsString::into_string).collect();
    let not_text =
        |word| Failure::usage(format!("the word {word:?} is not UTF-8 text: write it with other characters"));
    match words.map_err(not_text).and_then(|words| dispatch(&words)) {
        Ok(code) => code,
        Err(failure) => {
            // Nobody reads it: there is nobody to tell.
            let _ = writeln!(io::stderr(), "dpdk-tcp: {}", failure.sentence);
            ExitCode::from(failure.status)
        }
    }
}

fn dispatch(words: &[String]) -> Result<ExitCode, Failure> {
    let (eal, ours) = match eal_args::split(words, args::COMMANDS).map_err(Failure::usage)? {
        Words::OursOnly(ours) => (Vec::new(), ours),
        Words::Split { eal, ours } => (eal, ours),
        Words::Help => (Vec::new(), vec!["--help".to_owned()]),
        Words::Version => (Vec::new(), vec!["--version".to_owned()]),
    };
    let online = online();
    let outside =
        args::Outside { cpus: online.iter().count(), seed: seed()?, read: &|path| fs::read_to_string(path) };
    let command = match args::parse(ours, &outside) {
        Ok(command) => command,
        Err(exit) => return Ok(print_exit(&exit)),
    };
    match command {
        Command::Check(options) => check(eal, &options),
        Command::Connect(options) if options.backend == Backend::Kernel => {
            kernel::connect(&eal, &options, command_line(words), &online)
        }
        Command::Connect(options) => connect(eal, &options, command_line(words), &online),
        Command::Bench(options) if options.backend == Backend::Kernel => {
            kernel::bench(&eal, &options, command_line(words), &online)
        }
        Command::Bench(options) => bench::run(eal, &options, command_line(words), &online),
        Command::MaxRate(options) => bench::max_rate::run(eal, &options, command_line(words), &online),
        Command::Compare(_) if !eal.is_empty() => {
            Err(Failure::usage("compare takes no EAL options, since it opens no device: leave them out"))
        }
        Command::Compare(options) => compare::run(&options),
        Command::Serve(options) if options.backend == Backend::Kernel => {
            kernel::serve(&eal, &options, command_line(words), &online)
        }
        Command::Serve(options) => {
            let request = requested(&eal, &online)?;
            serve(eal, &options, command_line(words), request.as_ref(), &online)
        }
    }
}

/// The command line, for documents.
fn command_line(words: &[String]) -> Vec<String> {
    std::iter::once("dpdk-tcp".to_owned()).chain(words.iter().cloned()).collect()
}

/// A number that nobody chose.
fn seed() -> Result<u64, Failure> {
    getrandom::u64().map_err(|error| {
        Failure::run(format!("the system gives no random numbers ({error}): look at /dev/urandom"))
    })
}

fn print_exit(exit: &Exit) -> ExitCode {
    let text = exit.text.as_bytes();
    // Nobody reads it: there is nobody to tell.
    let _ = if exit.to_stdout { io::stdout().write_all(text) } else { io::stderr().write_all(text) };
    ExitCode::from(exit.status)
}

/// The CPUs that are online.
fn online() -> CpuSet {
    let text = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    CpuSet::parse(&text).unwrap_or_else(|_| {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        (0..count as u32).collect()
    })
}

fn check(eal: Vec<String>, options: &args::Serve) -> Result<ExitCode, Failure> {
    let limits = plan::limits(options, 1);
    let needed = limits.memory().total + plan::services_memory(options, &limits);
    let asked = check::Asked {
        eal,
        max_connections: u64::from(options.stack.max_connections),
        mtu: options.stack.mtu,
        needed_bytes: needed as u64,
    };
    let facts = check::Facts::gather(Path::new("/"), &|name| std::env::var(name).ok());
    let findings = check::findings(&facts, &asked);
    check::print(&findings, &mut io::stdout().lock()).map_err(Failure::run)?;
    Ok(ExitCode::from(check::exit_status(&findings)))
}

#[cfg(feature = "dpdk")]
fn connect(
    eal: Vec<String>,
    options: &ConnectOptions,
    command: Vec<String>,
    online: &CpuSet,
) -> Result<ExitCode, Failure> {
    let request = requested(&eal, online)?;
    connect::run(eal, options, command, request.as_ref(), online)
}

#[cfg(feature = "dpdk")]
fn search(
    eal: Vec<String>,
    options: &ConnectOptions,
    scope: &bench::max_rate::Scope,
    command: Vec<String>,
    online: &CpuSet,
) -> Result<ExitCode, Failure> {
    let request = requested(&eal, online)?;
    connect::search(eal, options, scope, command, request.as_ref(), online)
}

#[cfg(not(feature = "dpdk"))]
fn search(
    eal: Vec<String>,
    options: &ConnectOptions,
    _scope: &bench::max_rate::Scope,
    command: Vec<String>,
    online: &CpuSet,
) -> Result<ExitCode, Failure> {
    connect(eal, options, command, online)
}

#[cfg(not(feature = "dpdk"))]
fn connect(
    _eal: Vec<String>,
    _options: &ConnectOptions,
    _command: Vec<String>,
    _online: &CpuSet,
) -> Result<ExitCode, Failure> {
    Err(Failure::run("this program was built without devices: build it with the feature `dpdk`"))
}

/// The cores that EAL's words ask for, which must be there.
fn requested(eal: &[String], online: &CpuSet) -> Result<Option<CoreRequest>, Failure> {
    let request = cores::request(eal).map_err(Failure::usage)?;
    if let Some(request) = &request {
        request.check(online).map_err(Failure::usage)?;
    }
    Ok(request)
}

#[cfg(feature = "dpdk")]
fn serve(
    eal: Vec<String>,
    options: &args::Serve,
    command: Vec<String>,
    cores: Option<&CoreRequest>,
    online: &CpuSet,
) -> Result<ExitCode, Failure> {
    serve::run(eal, options, command, cores, online)
}

#[cfg(not(feature = "dpdk"))]
fn serve(
    _eal: Vec<String>,
    _options: &args::Serve,
    _command: Vec<String>,
    _cores: Option<&CoreRequest>,
    _online: &CpuSet,
) -> Result<ExitCode, Failure> {
    Err(Failure::run("this program was built without devices: build it with the feature `dpdk`"))
}
