//! Our own part of the command line, by clap: words in, a checked [`Command`] or what to print out. Never
//! ends the process and never touches EAL. How our words are told from EAL's is `cli::eal_args`'s; the ranges
//! of numbers are `config::serve`'s.

use std::net::IpAddr;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand};

use crate::app::Service;
use crate::config::ConfigError;
use crate::config::address::{self, InterfaceAddr};
use crate::config::connection;
use crate::config::serve::{self, Listen, RateLimit, ServeOptions, SynCookies};

/// The first words that are ours, with which the line needs no `--`.
pub const COMMANDS: &[&str] = &["serve", "check"];

/// The options of `serve`, with the services that there are.
pub type Serve = ServeOptions<Service>;

/// What the user wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Serve until a signal or for a time.
    Serve(Serve),
    /// Say whether `serve` with these options would start here.
    Check(Serve),
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
  dpdk-tcp check                                         no EAL options, and so no `--`

EAL's own options: see \"EAL parameters\" in DPDK's documentation."
    };
}

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\n\n", parts!());

const AFTER_SERVE: &str = concat!(
    "\
Durations: us, ms, s, m, h, d; a bare number is seconds (60s, 250ms, 2m).
Counts are decimal: k is 1,000, M is 1,000,000. Sizes are binary: k or KiB is 1,024 bytes, M or
MiB is 1,048,576.",
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
    Serve(ServeArgs),
    #[command(
        display_name = "dpdk-tcp",
        about = "Look whether serve would start here, and say what is missing",
        before_help = CHECK_ABOUT,
        help_template = COMMAND_PAGE,
        override_usage = "dpdk-tcp [EAL options] -- check [options]\n       dpdk-tcp check [options]",
        after_help = AFTER_SERVE
    )]
    Check(ServeArgs),
}

/// Help texts are broken by hand: a line that is printed has at most 100 columns.
#[derive(Args)]
struct ServeArgs {
    #[arg(long = "addr", value_name = "ADDR/PREFIX[@PORT]", help_heading = "Addresses")]
    #[arg(value_parser = address::interface)]
    #[arg(help = "An address of ours; repeatable. The n-th one belongs to the\n\
                  n-th port, counted from 0, unless it names its port by index\n\
                  or device name [default for port n: 198.18.n.1/24]")]
    addresses: Vec<InterfaceAddr>,

    #[arg(long, value_name = "ADDR", help_heading = "Addresses", value_parser = address::gateway)]
    #[arg(help = "Router to other subnets [default: none, neighbours only]")]
    gateway: Option<IpAddr>,

    #[arg(long = "neighbour", value_name = "ADDR=MAC", help_heading = "Addresses")]
    #[arg(value_parser = address::neighbour)]
    #[arg(help = "A neighbour that need not be asked for by ARP; repeatable")]
    neighbours: Vec<(IpAddr, [u8; 6])>,

    #[arg(long, help_heading = "Addresses")]
    #[arg(help = "Probe whether an address is free before it is used (RFC 5227)")]
    dad: bool,

    #[arg(long, value_name = "BYTES", help_heading = "Addresses", default_value = "1500")]
    #[arg(value_parser = serve::mtu)]
    #[arg(help = "Largest IP packet, 576 to 9000")]
    mtu: u16,

    #[arg(long = "no-tso", help_heading = "Addresses")]
    #[arg(help = "Make every packet here, also where the port could cut large\n\
                  segments into packets")]
    no_tso: bool,

    #[arg(
        long = "listen",
        value_name = "PORT=SERVICE",
        help_heading = "Services",
        hide_default_value = true
    )]
    #[arg(default_values = ["7=echo", "9=discard", "19=chargen", "80=http"])]
    #[arg(value_parser = serve::listen::<Service>)]
    #[arg(help = "What to serve on a TCP port: echo, discard, chargen or http;\n\
                  repeatable, and replaces the whole default list\n\
                  [default: 7=echo 9=discard 19=chargen 80=http]")]
    listen: Vec<Listen<Service>>,

    #[arg(long, value_name = "SIZE", help_heading = "Services", default_value = "1k")]
    #[arg(value_parser = serve::http_body)]
    #[arg(help = "Body of http's answers, up to 256M")]
    http_body: usize,

    #[arg(long, value_name = "COUNT", help_heading = "Limits", default_value = "262144")]
    #[arg(value_parser = serve::max_connections)]
    #[arg(help = "Connections in all; memory is taken at start")]
    max_connections: u32,

    #[arg(long, value_name = "COUNT", help_heading = "Limits", default_value = "4096")]
    #[arg(value_parser = serve::backlog)]
    #[arg(help = "Connections that may wait at one listener")]
    backlog: u32,

    #[arg(long, value_name = "SIZE", help_heading = "Limits", default_value = "64M")]
    #[arg(value_parser = serve::buffers)]
    #[arg(help = "Memory for data queued by or for services, 1M to 1T")]
    buffers: u64,

    #[arg(long, value_name = "COUNT", help_heading = "Limits", value_parser = connection::per_address)]
    #[arg(help = "Connections of each remote address [default: any number]")]
    per_address: Option<u32>,

    #[arg(long, value_name = "SIZE", help_heading = "Connections", default_value = "256k")]
    #[arg(value_parser = connection::send_buffer)]
    #[arg(help = "Data that one connection may have queued for sending, 1k to 1G")]
    send_buffer: u32,

    #[arg(long, value_name = "SIZE", help_heading = "Connections", default_value = "256k")]
    #[arg(value_parser = connection::receive_buffer)]
    #[arg(help = "Largest receive window of a connection, 1k to 512M")]
    receive_buffer: u32,

    #[arg(long, value_name = "IDLE[,INTERVAL[,PROBES]]", help_heading = "Connections")]
    #[arg(value_parser = connection::keep_alive)]
    #[arg(help = "Ask a peer that was silent for IDLE whether it is there, every\n\
                  INTERVAL (75s), and give it up after PROBES (9) without an\n\
                  answer [default: never]")]
    keep_alive: Option<connection::KeepAlive>,

    #[arg(long, value_name = "DURATION", help_heading = "Connections", default_value = "5m")]
    #[arg(value_parser = connection::user_timeout)]
    #[arg(help = "Give a connection up when what was sent is not acknowledged for\n\
                  so long, 1s to 12d")]
    user_timeout: Duration,

    #[arg(long, value_name = "DURATION", help_heading = "Connections", default_value = "1s")]
    #[arg(value_parser = connection::rto_min)]
    #[arg(help = "Smallest retransmission timeout, 10ms to 1m; other hosts take\n\
                  200ms")]
    rto_min: Duration,

    #[arg(long, value_name = "HOPS", help_heading = "Connections", default_value = "64")]
    #[arg(value_parser = connection::ttl)]
    #[arg(help = "Time to live of packets, 1 to 255")]
    ttl: std::num::NonZeroU8,

    #[arg(long, value_name = "CODE", help_heading = "Connections", default_value = "0")]
    #[arg(value_parser = connection::dscp)]
    #[arg(help = "Diffserv codepoint of packets, 0 to 63")]
    dscp: u8,

    #[arg(long, value_name = "HOW", help_heading = "Connections", default_value = "cubic")]
    #[arg(value_parser = connection::congestion)]
    #[arg(help = "How windows grow: cubic or reno")]
    congestion: connection::Congestion,

    #[arg(long, value_name = "DURATION", help_heading = "Limits", default_value = "60s")]
    #[arg(value_parser = serve::time_wait)]
    #[arg(help = "How long TIME-WAIT lasts (2 MSL), 1ms to 1h")]
    time_wait: Duration,

    #[arg(long, value_name = "COUNT", help_heading = "Limits", value_parser = serve::time_wait_max)]
    #[arg(help = "Connections in TIME-WAIT; beyond, the oldest end early and are\n\
                  counted [default: 4 times --max-connections]")]
    time_wait_max: Option<u32>,

    #[arg(long, value_name = "WHEN", help_heading = "Limits", default_value = "auto")]
    #[arg(value_parser = serve::syn_cookies)]
    #[arg(help = "Answer SYNs without remembering them: auto, while the half-open\n\
                  queue is full; always, to measure; never: such SYNs\n\
                  are dropped")]
    syn_cookies: SynCookies,

    #[arg(long, value_name = "COUNT", help_heading = "Limits", default_value = "20000")]
    #[arg(value_parser = serve::rst_rate)]
    #[arg(help = "Resets a second to segments without a connection, a fifth of\n\
                  it at once; 0 sends none")]
    rst_rate: RateLimit,

    #[arg(long, value_name = "DURATION", help_heading = "Run", value_parser = serve::duration)]
    #[arg(help = "Serve for so long [default: until a signal]")]
    duration: Option<Duration>,

    #[arg(long, value_name = "DURATION", help_heading = "Run", default_value = "1s")]
    #[arg(value_parser = serve::stats_interval)]
    #[arg(help = "Time between reports; 0 reports only at the end")]
    stats_interval: Duration,

    #[arg(long, value_name = "DURATION", help_heading = "Run", default_value = "5s")]
    #[arg(value_parser = serve::drain)]
    #[arg(help = "At the end, wait so long for open connections to finish;\n\
                  then reset them")]
    drain: Duration,

    #[arg(long, value_name = "COUNT", help_heading = "Run", default_value = "32")]
    #[arg(value_parser = serve::burst)]
    #[arg(help = "Frames asked of a port at once, 1 to 64")]
    burst: usize,
}

impl ServeArgs {
    fn checked(self) -> Result<Serve, ConfigError> {
        let default = serve::time_wait_max_default(self.max_connections);
        ServeOptions {
            addresses: self.addresses,
            gateway: self.gateway,
            neighbours: self.neighbours,
            dad: self.dad,
            listen: self.listen,
            http_body: self.http_body,
            mtu: self.mtu,
            no_tso: self.no_tso,
            max_connections: self.max_connections,
            backlog: self.backlog,
            time_wait: self.time_wait,
            time_wait_max: self.time_wait_max.unwrap_or(default),
            syn_cookies: self.syn_cookies,
            rst_rate: self.rst_rate,
            buffers: self.buffers,
            per_address: self.per_address,
            send_buffer: self.send_buffer,
            receive_buffer: self.receive_buffer,
            keep_alive: self.keep_alive,
            user_timeout: self.user_timeout,
            rto_min: self.rto_min,
            ttl: self.ttl,
            dscp: self.dscp,
            congestion: self.congestion,
            duration: self.duration,
            stats_interval: Some(self.stats_interval).filter(|interval| !interval.is_zero()),
            drain: self.drain,
            burst: self.burst,
        }
        .checked()
    }
}

/// Reads our part of the command line: the words after `--`, or all of them where the first is a command.
/// Without a command, and with words that begin with an option, the command is `serve`.
///
/// # Errors
/// [`Exit`] says what to print and how to end: the help or version that was asked for, or one sentence on
/// what is wrong and a line that says where to look.
pub fn parse(words: Vec<String>) -> Result<Command, Exit> {
    let ours = ["-h", "--help", "-V", "--version"];
    let first = words.first().map(String::as_str);
    let implied = first.is_none_or(|word| word.starts_with('-') && !ours.contains(&word));
    let line = ["dpdk-tcp"].into_iter().chain(implied.then_some("serve")).map(str::to_owned);
    let command = first.filter(|word| COMMANDS.contains(word)).map(str::to_owned);
    let parsed =
        Program::try_parse_from(line.chain(words)).map_err(|error| explain(&error, command.as_deref()))?;
    let checked = match parsed.command {
        Words::Serve(args) => args.checked().map(Command::Serve),
        Words::Check(args) => args.checked().map(Command::Check),
    };
    checked.map_err(|error| wrong_use(&error.to_string()))
}

/// Wrong use: status 2, and one sentence that says what is wrong and what to do.
fn wrong_use(sentence: &str) -> Exit {
    Exit { status: 2, text: format!("dpdk-tcp: {sentence}\n"), to_stdout: false }
}

fn explain(error: &clap::Error, command: Option<&str>) -> Exit {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return Exit { status: 0, text: error.to_string(), to_stdout: true };
    }
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.as_str(),
        _ => "",
    };
    let argument = context(ContextKind::InvalidArg);
    // The option without what stands for its value: `--mtu <BYTES>`.
    let option = argument.split(' ').next().unwrap_or(argument);
    let sentence = match error.kind() {
        ErrorKind::ValueValidation => {
            let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            format!("{option} {}: {reason}", context(ContextKind::InvalidValue))
        }
        ErrorKind::InvalidValue => format!("{option} needs a value, as in {}", argument.replace("...", "")),
        ErrorKind::ArgumentConflict => format!("{option} is given twice; leave one of the two out"),
        ErrorKind::UnknownArgument if COMMANDS.contains(&argument) => {
            format!("the command '{argument}' stands behind an option; write it first, right after `--`")
        }
        ErrorKind::UnknownArgument if !argument.starts_with('-') => {
            format!("'{argument}' is neither an option nor an option's value; leave it out")
        }
        ErrorKind::UnknownArgument => match context(ContextKind::SuggestedArg) {
            "" => format!("{option} is not an option of ours; EAL's options stand before `--`"),
            similar => format!("{option} is not an option of ours; perhaps {similar} is meant"),
        },
        ErrorKind::InvalidSubcommand => {
            let word = context(ContextKind::InvalidSubcommand);
            format!(
                "'{word}' is not a command; take {}, or write EAL's options before `--`",
                COMMANDS.join(" or ")
            )
        }
        _ => {
            let words = error.to_string();
            let first = words.lines().next().unwrap_or_default().trim_start_matches("error: ");
            format!("{first}; `dpdk-tcp {} --help` lists the options", command.unwrap_or("serve"))
        }
    };
    wrong_use(&sentence)
}

#[cfg(test)]
#[path = "args/tests.rs"]
mod tests;
