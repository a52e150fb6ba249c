//! Options that several commands share: the stack's own, reports, results. Help texts are broken by hand: a line that
//! is printed has at most 100 columns.

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::config::address::{self, InterfaceAddr};
use crate::config::connection::{self, Congestion};
use crate::config::expect::{self, Expectation};
use crate::config::output::{self, Output};
use crate::config::serve;
use crate::config::stack::{self, Backend, StackOptions};

/// A stack of ours on ports that EAL found.
#[derive(Args)]
pub(super) struct StackArgs {
    #[arg(long, value_name = "ADDR/PREFIX[@PORT]", help_heading = "Addresses")]
    #[arg(value_parser = address::interface)]
    #[arg(help = "An address of ours; repeatable. The n-th one belongs to the\n\
                  n-th port, counted from 0, unless it names its port by index\n\
                  or device name [default for port n: 198.18.n.1/24]")]
    addr: Vec<InterfaceAddr>,

    #[arg(long, value_name = "ADDR", help_heading = "Addresses", value_parser = address::gateway)]
    #[arg(help = "Router to other subnets [default: none, neighbours only]")]
    gateway: Option<IpAddr>,

    #[arg(long, value_name = "ADDR=MAC", help_heading = "Addresses")]
    #[arg(value_parser = address::neighbour)]
    #[arg(help = "A neighbour that need not be asked for by ARP; repeatable")]
    neighbour: Vec<(IpAddr, [u8; 6])>,

    #[arg(long, help_heading = "Addresses")]
    #[arg(help = "Probe whether an address is free before it is used (RFC 5227)")]
    dad: bool,

    #[arg(long, value_name = "BYTES", help_heading = "Addresses", default_value = "1500")]
    #[arg(value_parser = stack::mtu)]
    #[arg(help = "Largest IP packet, 576 to 9000")]
    mtu: u16,

    #[arg(long, help_heading = "Addresses")]
    #[arg(help = "Make every packet here, also where the port could cut large\n\
                  segments into packets")]
    no_tso: bool,

    #[arg(long, value_name = "COUNT", help_heading = "Limits", value_parser = stack::max_connections)]
    #[arg(help = "Connections in all; memory is taken at start\n\
                  [default: 262144, or what a client's load needs]")]
    max_connections: Option<u32>,

    #[arg(long, value_name = "SIZE", help_heading = "Limits", default_value = "64M")]
    #[arg(value_parser = stack::buffers)]
    #[arg(help = "Memory for data queued by or for applications,\n\
                  1M to 1T")]
    buffers: u64,

    #[arg(long, value_name = "COUNT", help_heading = "Limits", value_parser = stack::time_wait_max)]
    #[arg(help = "Connections in TIME-WAIT; beyond, the oldest end early and are\n\
                  counted [default: 4 times --max-connections, or what a\n\
                  client's load needs]")]
    time_wait_max: Option<u32>,

    #[command(flatten)]
    pub(super) time_wait: TimeWaitArgs,

    #[arg(long, value_name = "SIZE", help_heading = "Connections", default_value = "256k")]
    #[arg(value_parser = connection::send_buffer)]
    #[arg(help = "Data that one connection may have queued for sending,\n\
                  1k to 1G")]
    send_buffer: u32,

    #[arg(long, value_name = "DURATION", help_heading = "Connections", default_value = "1s")]
    #[arg(value_parser = connection::rto_min)]
    #[arg(help = "Smallest retransmission timeout, 10ms to 1m; other hosts take\n\
                  200ms")]
    rto_min: Duration,

    #[arg(long, value_name = "HOPS", help_heading = "Connections", default_value = "64")]
    #[arg(value_parser = connection::ttl)]
    #[arg(help = "Time to live of packets, 1 to 255")]
    ttl: NonZeroU8,

    #[arg(long, value_name = "CODE", help_heading = "Connections", default_value = "0")]
    #[arg(value_parser = connection::dscp)]
    #[arg(help = "Diffserv codepoint of packets, 0 to 63")]
    dscp: u8,

    #[arg(long, value_name = "HOW", help_heading = "Connections", default_value = "cubic")]
    #[arg(value_parser = connection::congestion)]
    #[arg(help = "How windows grow: cubic or reno")]
    congestion: Congestion,

    #[command(flatten)]
    pub(super) burst: BurstArgs,
}

impl StackArgs {
    /// 2 MSL; a minute where nobody says so.
    pub(super) fn time_wait(&self) -> Duration {
        self.time_wait.or(Duration::from_secs(60))
    }

    /// The stack, with these connections and TIME-WAIT records where nobody says so; the records follow from the
    /// connections.
    pub(super) fn options(self, connections: u32, records: impl Fn(u32) -> u32) -> StackOptions {
        let max_connections = self.max_connections.unwrap_or(connections);
        StackOptions {
            max_connections,
            time_wait: self.time_wait(),
            time_wait_max: self.time_wait_max.unwrap_or_else(|| records(max_connections)),
            addresses: self.addr,
            gateway: self.gateway,
            neighbours: self.neighbour,
            dad: self.dad,
            mtu: self.mtu,
            no_tso: self.no_tso,
            buffers: self.buffers,
            send_buffer: self.send_buffer,
            rto_min: self.rto_min,
            ttl: self.ttl,
            dscp: self.dscp,
            congestion: self.congestion,
            burst: self.burst.burst,
            tx_burst: self.burst.tx_burst,
        }
    }

    /// How many addresses of ours were given.
    pub(super) fn addresses(&self) -> usize {
        self.addr.len()
    }
}

/// How long connections rest.
#[derive(Args)]
pub(super) struct TimeWaitArgs {
    #[arg(long, value_name = "DURATION", help_heading = "Limits", value_parser = stack::time_wait)]
    #[arg(help = "How long TIME-WAIT lasts (2 MSL), 1ms to 1h\n\
                  [default: 60s, in bench 1s]")]
    time_wait: Option<Duration>,
}

impl TimeWaitArgs {
    /// What was said, or this.
    pub(super) fn or(&self, default: Duration) -> Duration {
        self.time_wait.unwrap_or(default)
    }
}

/// How much is asked for, and handed over, at once.
#[derive(Args)]
pub(super) struct BurstArgs {
    #[arg(long, value_name = "COUNT", help_heading = "Run", default_value = "32")]
    #[arg(value_parser = stack::burst)]
    #[arg(help = "Frames asked of a port at once, 1 to 64")]
    pub(super) burst: usize,

    #[arg(long, value_name = "COUNT", help_heading = "Run", default_value = "32")]
    #[arg(value_parser = stack::tx_burst)]
    #[arg(help = "Frames handed to a port at once, 1 to 64; fewer at the end of a\n\
                  pass, since none waits for others")]
    pub(super) tx_burst: usize,
}

/// Whose TCP it is.
#[derive(Args)]
pub(super) struct BackendArgs {
    #[arg(long, value_name = "WHOSE", help_heading = "Run", default_value = "dpdk")]
    #[arg(value_parser = stack::backend)]
    #[arg(help = "Whose TCP it is: dpdk, ours over its ports; kernel, the system's\n\
                  over its sockets, to compare with")]
    pub(super) backend: Backend,
}

/// How a run is reported and ended.
#[derive(Args)]
pub(super) struct RunArgs {
    #[arg(long, value_name = "DURATION", help_heading = "Run", default_value = "1s")]
    #[arg(value_parser = serve::stats_interval)]
    #[arg(help = "Time between reports; 0 reports only at the end")]
    stats_interval: Duration,

    #[arg(long, value_name = "DURATION", help_heading = "Run", default_value = "5s")]
    #[arg(value_parser = serve::drain)]
    #[arg(help = "At the end, wait so long for open connections to finish;\n\
                  then reset them")]
    pub(super) drain: Duration,
}

impl RunArgs {
    /// Time between reports, if there are any.
    pub(super) fn stats_interval(&self) -> Option<Duration> {
        Some(self.stats_interval).filter(|interval| !interval.is_zero())
    }
}

/// Files of results.
#[derive(Args)]
pub(super) struct OutputArgs {
    #[arg(long, value_name = "FILE", help_heading = "Results", value_parser = output::file)]
    #[arg(help = "Write all results, by docs/schema/run.schema.json")]
    json: Option<PathBuf>,

    #[arg(long, value_name = "FILE", help_heading = "Results", value_parser = output::file)]
    #[arg(help = "Write a line a second")]
    csv: Option<PathBuf>,

    #[arg(long, value_name = "FILE", help_heading = "Results", value_parser = output::file)]
    #[arg(help = "Write latencies second by second, as an HdrHistogram log (V2)")]
    hdr_log: Option<PathBuf>,
}

impl OutputArgs {
    /// The files.
    pub(super) fn output(self) -> Output {
        Output { csv: self.csv, json: self.json, hdr_log: self.hdr_log }
    }
}

/// What a run has to show.
#[derive(Args)]
pub(super) struct ExpectArgs {
    #[arg(long, value_name = "WHAT", help_heading = "Results", num_args = 1..)]
    #[arg(value_parser = expect::expectation)]
    #[arg(help = "End with status 1 unless this holds, as in\n\
                  --expect 'established>=99.99%' 'p99.syn<2ms'; established,\n\
                  failed, broken (counts, or a share in percent), rate,\n\
                  retransmitted, cycles (a connection), and pN, max or mean\n\
                  of syn, established, first_byte, last_byte, closed")]
    pub(super) expect: Vec<Expectation>,
}
