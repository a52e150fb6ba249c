//! The results of a measurement as a document: what `--json` writes and `compare` reads. Its fields are described in
//! docs/schema/run.schema.json; whoever changes one changes [`SCHEMA`] and that file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Name and version of the document's format.
pub const SCHEMA: &str = "dpdk-tcp/run/1";

/// What most documents have none of is left out of them.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Everything that one command measured.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// The command line, word by word.
    pub command: Vec<String>,
    /// Programs and libraries with their versions.
    pub versions: BTreeMap<String, String>,
    /// Where it ran.
    pub machine: Machine,
    /// What carried the frames.
    pub device: Device,
    /// One entry a run, ordered by concurrency, profile, repeat.
    pub runs: Vec<Run>,
    /// What a random line of a large table costs here, where it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_line: Option<RandomLine>,
    /// What more connections at a time cost, one entry for each profile that ran with several numbers of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flatness: Vec<Flatness>,
}

/// The machine.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The CPU's model name.
    pub cpu: String,
    /// CPUs online.
    pub cpus: u32,
    /// Cycles of the time stamp counter a second.
    pub tsc_hz: u64,
    /// The kernel's release.
    pub kernel: String,
    /// `hugetlb 2 MiB`, `4 KiB`...: the pages under frames. Those under tables are told of each run.
    pub pages: String,
}

/// The device, or the link between both sides.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Device {
    /// Its name: `net_ring`, `memory`, `kernel`, `net_tap0`...
    pub name: String,
    /// Its driver.
    pub driver: String,
    /// Largest IP packet in bytes.
    pub mtu: u32,
    /// `software`, or what the device does.
    pub checksums: String,
}

/// One measurement.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// What one connection was: `open`, `open-close`, `crr`, `stream`, `flood`.
    pub profile: String,
    /// Connections at a time, in a closed loop.
    pub concurrency: Option<u64>,
    /// Launches a second, in an open loop.
    pub rate: Option<f64>,
    /// The number of this repeat, from 1.
    pub repeat: u32,
    /// Cores on which the loops ran.
    pub cores: u32,
    /// Seconds that were measured; ramp, warm-up and drain stand outside.
    pub duration_s: f64,
    /// Seconds of ramp and warm-up before.
    pub warm_up_s: f64,
    /// TIME-WAIT in seconds, and whether entries had to go earlier.
    pub time_wait_s: f64,
    /// The shortest TIME-WAIT that an eviction left, if any was evicted.
    pub time_wait_shortened_s: Option<f64>,
    /// What the tables lay on, where the system says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<Tables>,
    /// Second by second, ramp and drain included.
    pub series: Vec<Second>,
    /// The side that opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Side>,
    /// The side that listens, where it is ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Side>,
    /// Of a flood, which has no connections: what became of its SYNs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flood: Option<Flood>,
    /// Of a stream: how much text it carried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Stream>,
    /// Of a search for the highest rate: what this trial was for, and what it showed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// What it was expected to show, and whether it did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expected: Vec<Verdict>,
    /// Where connections were lost between both accounts, where both sides are ours.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Loss>,
    /// Sentences on what limits or distorts the figures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What tables lie on: those of all sides that are ours, data that waits to be sent included.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Tables {
    /// `transparent huge pages`, `hugetlb`, both, or `small pages`.
    pub pages: String,
    /// Bytes of those that are large enough for huge pages: from 1 MiB on, hugetlb's in whole pages.
    pub bytes: u64,
    /// The share of them that lies on huge pages, 0 to 1.
    pub huge_share: f64,
}

/// What a random line costs while others are on their way, on one core.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct RandomLine {
    /// Cycles a line, the median of short rounds.
    pub cycles: f64,
    /// Lines that were on their way at a time.
    pub ahead: u32,
    /// Bytes among which it lies: as many as the largest tables of the command had.
    pub bytes: u64,
    /// What they lie on, where the system says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<Tables>,
}

/// What a connection costs more where there are many, of both sides together, the floor left out.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Flatness {
    /// What one connection was.
    pub profile: String,
    /// The least connections at a time.
    pub least: u64,
    /// The most.
    pub most: u64,
    /// Busy cycles less floor a connection, at the most less at the least.
    pub cycles_per_connection: f64,
    /// So many random lines cost as much; null where their price is not known.
    pub random_lines: Option<f64>,
}

/// An expectation and what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Verdict {
    /// As it was given: `p99.syn<2ms`.
    pub text: String,
    /// It held.
    pub held: bool,
    /// What was measured instead, or as well.
    pub actual: String,
}

/// A second of a run.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Second {
    /// Its end, in seconds since the clock started.
    pub at_s: f64,
    /// How long it was, in seconds.
    pub len_s: f64,
    /// `ramp`, `warm-up`, `measure` or `drain`.
    pub phase: String,
    /// Connections attempted in it.
    pub attempted: u64,
    /// Established in it.
    pub established: u64,
    /// Closed in it, as planned.
    pub closed: u64,
    /// Failed in it, before or after they were established.
    pub failed: u64,
    /// Being opened at its end.
    pub in_flight: u64,
    /// Open at its end.
    pub open: u64,
    /// Connections closed a second.
    pub connections_per_second: f64,
    /// Median of launch to ESTABLISHED in it, in nanoseconds; 0 without any.
    pub established_p50_ns: u64,
    /// 99th percentile of the same.
    pub established_p99_ns: u64,
    /// SYNs sent in it, in a flood.
    pub syns: Option<u64>,
    /// SYNs answered in it, in a flood; those that were refused too.
    pub answered: Option<u64>,
    /// The client's share of busy cycles, 0 to 1, where it is ours.
    pub client_busy: Option<f64>,
    /// The server's, where it is ours.
    pub server_busy: Option<f64>,
}

/// One side's figures, over the measured time unless said otherwise.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Side {
    /// Connections that became ESTABLISHED.
    pub established: u64,
    /// Connections that were closed.
    pub closed: u64,
    /// `closed` a second.
    pub connections_per_second: f64,
    /// Busy cycles a closed connection.
    pub cycles_per_connection: f64,
    /// Cycles that passed on this side's cores for each closed connection; where both sides take turns on one core,
    /// those of both. What the busy cycles come to at saturation.
    pub elapsed_cycles_per_connection: f64,
    /// Cycles that the same frames cost when a loop only moves them; measured in the same command.
    pub floor_cycles_per_connection: Option<f64>,
    /// Frames received and sent a closed connection, ARP left out.
    pub packets_per_connection: f64,
    /// Busy cycles in all cycles of this side's loops, 0 to 1.
    pub busy_share: f64,
    /// Cycles a closed connection in each stage, `idle` included.
    pub stages: BTreeMap<String, f64>,
    /// Frames that one call received, on average.
    pub rx_batch: f64,
    /// Frames that one call sent, on average.
    pub tx_batch: f64,
    /// Bytes of memory for each connection, and each TIME-WAIT entry.
    pub bytes_per_connection: u64,
    /// Bytes of memory for each TIME-WAIT entry.
    pub bytes_per_time_wait: u64,
    /// Segments with data or FIN, and SYNs and SYN-ACKs, that were sent again.
    pub retransmitted: u64,
    /// TIME-WAIT entries that had to go before their time, in the whole run.
    pub time_wait_evicted: u64,
    /// Connections at a time, on average over the samples of the measured time.
    pub connections: f64,
    /// TIME-WAIT entries, likewise.
    pub time_wait: f64,
    /// All connections of the whole run, drain included.
    pub account: Account,
    /// Frames and segments that were dropped in the whole run, by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dropped: BTreeMap<String, u64>,
    /// Latencies by phase, of connections whose launch was meant to be in the measured time; empty on a server.
    pub histograms: BTreeMap<String, Histogram>,
}

/// What became of a flood's SYNs, in the measured time unless said otherwise.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Flood {
    /// Nobody listened on the port.
    #[serde(default, skip_serializing_if = "is_default")]
    pub closed: bool,
    /// Connections that the server had all the time beside it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub beside: u64,
    /// SYNs sent.
    pub syns: u64,
    /// SYN-ACKs that came back and acknowledge their SYN.
    pub answered: u64,
    /// `syns` a second.
    pub syns_per_second: f64,
    /// `answered` a second.
    pub answered_per_second: f64,
    /// Those answered in those sent, in the whole run, drain included.
    pub answered_share: f64,
    /// The server's busy cycles a SYN that it answered, refused or left without an answer by intent.
    pub cycles_per_syn: f64,
    /// Cycles that passed on the server's core for each of them; where both sides take turns, those of both.
    pub elapsed_cycles_per_syn: f64,
    /// Cycles that frames of the same lengths cost a server that only moves them; measured in the same command. Of a
    /// closed port it answers one in 32.
    pub floor_cycles_per_syn: Option<f64>,
    /// The server's cycles a SYN, of those above, in each stage, `idle` included.
    pub stages: BTreeMap<String, f64>,
    /// The whole run, drain included.
    pub account: FloodAccount,
}

/// The text of streams, in the measured time.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Stream {
    /// Bits of text a second, both ways together.
    pub bits_per_second: f64,
    /// Bits a second of a loop that copies and sums as much text into the same frames and moves them over the same link;
    /// measured in the same command, where text goes one way.
    pub copied_bits_per_second: Option<f64>,
    /// The former divided by the latter.
    pub ratio_to_copies: Option<f64>,
}

/// All SYNs of a run: syns = answered + refused + dropped + unanswered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct FloodAccount {
    /// SYNs sent.
    pub syns: u64,
    /// Answered by a SYN-ACK that acknowledges them.
    pub answered: u64,
    /// Answered by a reset that does.
    pub refused: u64,
    /// Not answered by intent: the server had sent as many resets as it may a second (`rst_rate_limited`).
    #[serde(default, skip_serializing_if = "is_default")]
    pub dropped: u64,
    /// Not answered by the end of the drain.
    pub unanswered: u64,
    /// Segments that came back and answer no SYN.
    pub wrong: u64,
    /// SYNs that the server says it answered.
    pub answered_by_server: u64,
    /// SYNs that the server says it refused.
    #[serde(default, skip_serializing_if = "is_default")]
    pub refused_by_server: u64,
}

/// One trial of a search for the highest rate.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Trial {
    /// `grow`, `bisect` or `confirm`.
    pub purpose: String,
    /// It stayed within the limits.
    pub held: bool,
    /// Connections that failed or broke, as a share of those attempted, drain included.
    pub loss: f64,
    /// What 99 of 100 connections were established within, in nanoseconds; null where none was.
    pub established_p99_ns: Option<u64>,
    /// Sentences on what limited it; empty where it held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limited_by: Vec<String>,
}

/// All connections of a run: attempted = established + failed + in_flight, established = closed + broken + open.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Account {
    /// Connections begun; on a server, SYNs that opened a half-open entry and cookies that came back.
    pub attempted: u64,
    /// Those that became ESTABLISHED.
    pub established: u64,
    /// Being opened at the end.
    pub in_flight: u64,
    /// Open at the end.
    pub open: u64,
    /// Those that failed before, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Those that ended as planned, by way.
    pub closed: BTreeMap<String, u64>,
    /// Those that ended otherwise, by reason.
    pub broken: BTreeMap<String, u64>,
    /// Requests that were sent; 0 on a server, which knows only octets.
    pub requests: u64,
    /// Replies that were complete; 0 on a server.
    pub replies: u64,
    /// Octets of data sent; on a server, those that were acknowledged.
    pub octets_sent: u64,
    /// Octets of data received.
    pub octets_received: u64,
}

/// Latencies in nanoseconds.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Histogram {
    /// Samples.
    pub count: u64,
    /// The least.
    pub minimum: u64,
    /// Their mean.
    pub mean: f64,
    /// The largest.
    pub maximum: u64,
    /// Values at percentiles: `50`, `90`, `99`, `99.9`, `99.99`, `99.999`.
    pub percentiles: BTreeMap<String, u64>,
}

/// Connections or frames that one side gave away and the other did not see, and where they went.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Loss {
    /// Where: `client`, `link`, `server`.
    pub place: String,
    /// Why: a drop reason's name, `rx_missed`...
    pub reason: String,
    /// How many.
    pub count: u64,
}

impl Side {
    /// Whether its frames and segments were counted: the kernel's are not.
    pub fn counts_segments(&self) -> bool {
        self.packets_per_connection > 0.0
    }
}

impl Flood {
    /// The SYNs that its rate is of: those answered, or all where none is meant to be.
    pub fn units(&self) -> u64 {
        if self.closed { self.syns } else { self.answered }
    }

    /// Those in a second.
    pub fn units_per_second(&self) -> f64 {
        if self.closed { self.syns_per_second } else { self.answered_per_second }
    }
}

impl Account {
    /// Those that failed, for any reason.
    pub fn failed_all(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Those that ended as planned.
    pub fn closed_all(&self) -> u64 {
        self.closed.values().sum()
    }

    /// Those that ended otherwise.
    pub fn broken_all(&self) -> u64 {
        self.broken.values().sum()
    }
}
