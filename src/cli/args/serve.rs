//! The words of `serve` and `check`.

use std::time::Duration;

use clap::Args;

use super::Serve;
use super::given::Given;
use super::stack::{BackendArgs, OutputArgs, RunArgs, StackArgs};
use crate::app::Service;
use crate::config::connection::{self, KeepAlive};
use crate::config::serve::{self, Listen, RateLimit, ServeOptions, SynCookies};
use crate::config::{ConfigError, stack};

const MAX_CONNECTIONS: u32 = 262_144;

/// Help texts are broken by hand: a line that is printed has at most 100 columns.
#[derive(Args)]
pub(super) struct ServeArgs {
    #[arg(
        long = "listen",
        value_name = "PORT=SERVICE",
        help_heading = "Services",
        hide_default_value = true
    )]
    #[arg(default_values = ["7=echo", "9=discard", "19=chargen", "80=http"])]
    #[arg(value_parser = serve::listen::<Service>)]
    #[arg(help = "What to serve on a TCP port: echo, discard, chargen, http or reply;\n\
                  repeatable, and replaces the whole default list\n\
                  [default: 7=echo 9=discard 19=chargen 80=http]")]
    listen: Vec<Listen<Service>>,

    #[arg(long, value_name = "SIZE", help_heading = "Services", default_value = "1k")]
    #[arg(value_parser = serve::http_body)]
    #[arg(help = "Body of http's answers, up to 256M")]
    http_body: usize,

    #[arg(long, value_name = "SIZE", help_heading = "Services", default_value = "256")]
    #[arg(value_parser = serve::reply_size)]
    #[arg(help = "Octets of reply's answer, 1 to 64k")]
    reply_size: usize,

    #[arg(long, value_name = "COUNT", help_heading = "Limits", default_value = "4096")]
    #[arg(value_parser = serve::backlog)]
    #[arg(help = "Connections that may wait at one listener")]
    backlog: u32,

    #[arg(long, value_name = "COUNT", help_heading = "Limits", value_parser = connection::per_address)]
    #[arg(help = "Connections of each remote address [default: any number]")]
    per_address: Option<u32>,

    #[arg(long, value_name = "SIZE", help_heading = "Connections", default_value = "256k")]
    #[arg(value_parser = connection::receive_buffer)]
    #[arg(help = "Largest receive window of a connection, 1k to 512M")]
    receive_buffer: u32,

    #[arg(long, value_name = "IDLE[,INTERVAL[,PROBES]]", help_heading = "Connections")]
    #[arg(value_parser = connection::keep_alive)]
    #[arg(help = "Ask a peer that was silent for IDLE whether it is there, every\n\
                  INTERVAL (75s), and give it up after PROBES (9) without an\n\
                  answer [default: never]")]
    keep_alive: Option<KeepAlive>,

    #[arg(long, value_name = "DURATION", help_heading = "Connections", default_value = "5m")]
    #[arg(value_parser = connection::user_timeout)]
    #[arg(help = "Give a connection up when what was sent is not acknowledged for\n\
                  so long, 1s to 12d")]
    user_timeout: Duration,

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

    #[command(flatten)]
    stack: StackArgs,

    #[command(flatten)]
    backend: BackendArgs,

    #[command(flatten)]
    run: RunArgs,

    #[command(flatten)]
    output: OutputArgs,
}

impl ServeArgs {
    pub(super) fn checked(self, given: &Given) -> Result<Serve, ConfigError> {
        // The kernel listens where it is told.
        given.refuse_with(self.backend.backend, &["addr"])?;
        ServeOptions {
            stack: self.stack.options(MAX_CONNECTIONS, stack::time_wait_max_default),
            backend: self.backend.backend,
            listen: self.listen,
            http_body: self.http_body,
            reply_size: self.reply_size,
            backlog: self.backlog,
            syn_cookies: self.syn_cookies,
            rst_rate: self.rst_rate,
            per_address: self.per_address,
            receive_buffer: self.receive_buffer,
            keep_alive: self.keep_alive,
            user_timeout: self.user_timeout,
            duration: self.duration,
            stats_interval: self.run.stats_interval(),
            drain: self.run.drain,
            output: self.output.output(),
        }
        .checked()
    }

    /// For `check`, which looks for what our stack needs.
    pub(super) fn checked_for_check(self, given: &Given) -> Result<Serve, ConfigError> {
        given.refuse(&["backend"], "has no meaning for check, which looks for what DPDK needs")?;
        self.checked(given)
    }
}
