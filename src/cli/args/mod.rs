//! Our own part of the command line, by clap: words in, a checked [`Command`] or what to print out. Never
//! ends the process and never touches EAL. How our words are told from EAL's is `cli::eal_args`'s; the ranges
//! of numbers are `config`'s.

mod bench;
mod compare;
mod connect;
mod explain;
mod given;
mod load;
mod serve;
mod stack;
mod wire;

use std::io;
use std::path::Path;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::app::Service;
use crate::config::bench::{BenchOptions, MaxRateOptions};
use crate::config::compare::CompareOptions;
use crate::config::connect::ConnectOptions;
use crate::config::serve::ServeOptions;
use explain::{explain, wrong_use};
use given::Given;

/// The first words that are ours, with which the line needs no `--`.
pub const COMMANDS: &[&str] = &["serve", "check", "connect", "bench", "compare"];

/// The options of `serve`, with the services that there are.
pub type Serve = ServeOptions<Service>;

/// What the user wants.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Serve until a signal or for a time.
    Serve(Serve),
    /// Say whether `serve` with these options would start here.
    Check(Serve),
    /// Open connections to other hosts and measure them.
    Connect(Box<ConnectOptions>),
    /// Run client and server in this process and measure both.
    Bench(BenchOptions),
    /// Search for the highest rate.
    MaxRate(MaxRateOptions),
    /// Compare two results.
    Compare(CompareOptions),
}

/// What a command depends on besides its words.
#[derive(Clone, Copy)]
pub struct Outside<'a> {
    /// CPUs that the process may use.
    pub cpus: usize,
    /// A number that the system drew, for commands that are given no `--seed`.
    pub seed: u64,
    /// Reads a file.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// The end of the program, before it has begun.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exit {
    /// Exit status: 0 for what was asked for (`--help`, `--version`), 2 for wrong use.
    pub status: u8,
    /// What to print, with its last line's end.
    pub text: String,
    /// Print to stdout; stderr otherwise.
    pub to_stdout: bool,
}

/// How EAL's words and ours stand beside each other.
macro_rules! parts {
    () => {
        "\
Words before `--` go to DPDK's environment layer (EAL): cores, devices, memory. Words after it are
ours: a command (`serve` where none is written) and its options. Where our command is the very
first word, there are no EAL options and no `--` is needed. `--help` and `--version` are ours on
both sides.

  dpdk-tcp -l 0-3                                        serve on cores 0 to 3, every port found
  dpdk-tcp -l 0 --vdev net_tap0 -- --addr 198.18.0.1/24  EAL's options, then serve's
  dpdk-tcp -l 0-3 -- check --max-connections 1M          would that start on these cores?
  dpdk-tcp -l 0 -- connect 198.18.0.2:80 --rate 10k      EAL's options, then a client's
  dpdk-tcp check                                         no EAL options, and so no `--`
  dpdk-tcp bench                                         the same: it makes EAL's options itself

EAL's own options: see \"EAL parameters\" in DPDK's documentation."
    };
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\n\n", parts!());

/// How numbers are written.
macro_rules! notations {
    () => {
        "\
Durations: us, ms, s, m, h, d; a bare number is seconds (60s, 250ms, 2m).
Counts and rates are decimal: k is 1,000, M is 1,000,000. Sizes are binary: k or KiB is 1,024
bytes, M or MiB is 1,048,576."
    };
}

const AFTER_SERVE: &str = concat!(notations!(), "\n\n", parts!());

const AFTER_CLIENT: &str = concat!(
    notations!(),
    "\n\n\
Exit status: 0 when the run was made and every --expect held, 1 when not, 2 for wrong use.",
    "\n\n",
    parts!()
);

/// A command's own page begins with its long description, not with its line in the list of commands.
const COMMAND_PAGE: &str = "{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

const SERVE_ABOUT: &str = "\
Serve TCP on every port that EAL found, until SIGINT, SIGTERM or --duration.";

const CHECK_ABOUT: &str = "\
Look whether `serve` would start here: hugepages, permissions, ports and drivers, cores, memory.
Prints a line a finding: OK, or what to type to mend it. Takes the options of `serve`, so that a
command line is tried by writing `check` in its place; they are checked just as `serve` does.";

const CONNECT_ABOUT: &str = "\
Open connections to TARGETs, measure each from its intended launch, and account for all of them.
With neither --rate nor --concurrency one connection follows another. A plan that cannot work,
for want of pairs of addresses and ports, is refused with its numbers.";

const BENCH_ABOUT: &str = "\
Client and server in this process: connections a second, and the cycles and packets that one costs
on either side, for each profile and concurrency. Needs neither a device nor root. Measures only
after the ramp and one TIME-WAIT have passed. `bench max-rate` searches for the highest rate.";

const MAX_RATE_ABOUT: &str = "\
Search for the highest rate at which no more connections fail than --loss-max and 99 of 100 are
established within --latency-max, of a server of ours in this process (self) or of TARGETs on the
wire; then say what limited it.";

const COMPARE_ABOUT: &str = "\
Compare two results of --json: the differences of medians, with confidence intervals over repeats.
Ends with status 1 where a run became worse for certain, by more than --threshold.";

#[derive(Parser)]
#[command(
    name = "dpdk-tcp",
    about = "A TCP endpoint on DPDK ports.",
    version = VERSION,
    propagate_version = true,
    disable_help_subcommand = true,
    override_usage = "dpdk-tcp [EAL options] [-- [COMMAND] [options]]\n       dpdk-tcp COMMAND [options]",
    after_help = parts!()
)]
struct Program {
    #[command(subcommand)]
    command: Words,
}

#[derive(Subcommand)]
enum Words {
    #[command(
        display_name = "dpdk-tcp",
        about = "Serve TCP on every port; the command where none is written",
        before_help = SERVE_ABOUT,
        help_template = COMMAND_PAGE,
        override_usage = "dpdk-tcp [EAL options] -- [serve] [options]\n       dpdk-tcp serve [options]",
        after_help = AFTER_SERVE
    )]
    Serve(serve::ServeArgs),
    #[command(
        display_name = "dpdk-tcp",
        about = "Look whether serve would start here, and say what is missing",
        before_help = CHECK_ABOUT,
        help_template = COMMAND_PAGE,
        override_usage = "dpdk-tcp [EAL options] -- check [options]\n       dpdk-tcp check [options]",
        after_help = AFTER_SERVE
    )]
    Check(serve::ServeArgs),
    #[command(
        display_name = "dpdk-tcp",
        about = "Open connections to other hosts and measure them",
        before_help = CONNECT_ABOUT,
        help_template = COMMAND_PAGE,
        override_usage = "dpdk-tcp [EAL options] -- connect TARGET... [options]\n       \
                          dpdk-tcp connect TARGET... [options]",
        after_help = AFTER_CLIENT
    )]
    Connect(Box<connect::ConnectArgs>),
    #[command(
        display_name = "dpdk-tcp",
        about = "Measure client and server of ours against each other, without a device",
        before_help = BENCH_ABOUT,
        help_template = COMMAND_PAGE,
        override_usage = "dpdk-tcp [EAL options] -- bench [options]\n       dpdk-tcp bench [options]\n       \
                          dpdk-tcp bench max-rate self|TARGET... [options]",
        after_help = AFTER_CLIENT
    )]
    Bench(Box<bench::BenchWords>),
    #[command(
        display_name = "dpdk-tcp",
        about = "Compare two results, and say whether something became worse",
        before_help = COMPARE_ABOUT,
        help_template = COMMAND_PAGE,
        override_usage = "dpdk-tcp compare BEFORE.json AFTER.json [options]",
        after_help = parts!()
    )]
    Compare(compare::CompareArgs),
}

/// Reads our part of the command line: the words after `--`, or all of them where the first is a command.
/// Without a command, and with words that begin with an option, the command is `serve`.
///
/// # Errors
/// [`Exit`] says what to print and how to end: the help or version that was asked for, or one sentence on
/// what is wrong and a line that says where to look.
pub fn parse(words: Vec<String>, outside: &Outside<'_>) -> Result<Command, Exit> {
    let ours = ["-h", "--help", "-V", "--version"];
    let first = words.first().map(String::as_str);
    let implied = first.is_none_or(|word| word.starts_with('-') && !ours.contains(&word));
    let line = ["dpdk-tcp"].into_iter().chain(implied.then_some("serve")).map(str::to_owned);
    let command = first.filter(|word| COMMANDS.contains(word)).map(str::to_owned);
    let matches = Program::command().try_get_matches_from(line.chain(words));
    let (matches, parsed) = matches
        .and_then(|matches| Program::from_arg_matches(&matches).map(|parsed| (matches, parsed)))
        .map_err(|error| explain(&error, command.as_deref()))?;
    let given = Given::of(&matches);
    let checked = match parsed.command {
        Words::Serve(args) => args.checked(&given).map(Command::Serve),
        Words::Check(args) => args.checked_for_check(&given).map(Command::Check),
        Words::Connect(args) => args.checked(&given, outside).map(Box::new).map(Command::Connect),
        Words::Bench(args) => args.checked(&given, outside),
        Words::Compare(args) => args.checked().map(Command::Compare),
    };
    checked.map_err(|error| wrong_use(&error.to_string()))
}

#[cfg(test)]
pub(in crate::cli) mod tests;
