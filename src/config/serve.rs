//! The options of `serve` as checked values, their ranges and where the ranges come from. Which words they
//! are written with is `cli::args`'s business; which services exist is the applications' (`S`).

use std::fmt::Display;
use std::net::IpAddr;
use std::num::NonZeroU8;
use std::str::FromStr;
use std::time::Duration;

use super::address::InterfaceAddr;
use super::connection::{Congestion, KeepAlive};
use super::{ConfigError, assign, units};
use crate::base::burst::BURST_MAX;

/// Most listeners that one process serves; an application keeps a fixed table of them.
pub const LISTENERS_MAX: usize = 64;

/// One `--listen PORT=SERVICE`. `S` is the application's own name of a service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listen<S> {
    /// The TCP port, 1 to 65535.
    pub port: u16,
    /// What is served there.
    pub service: S,
}

/// A rate limit: `per_second` on average and `burst` at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimit {
    /// Events a second.
    pub per_second: u32,
    /// Events at once.
    pub burst: u32,
}

/// Everything that `serve` can be told. Each value is within its range; [`ServeOptions::checked`] has seen
/// that they fit together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServeOptions<S> {
    /// `--addr`: to be given to ports by [`assign::assign`] when these are known.
    pub addresses: Vec<InterfaceAddr>,
    /// `--gateway`: where packets to other subnets go.
    pub gateway: Option<IpAddr>,
    /// `--neighbour`: entries that are never asked for and do not age.
    pub neighbours: Vec<(IpAddr, [u8; 6])>,
    /// `--dad`: probe for the addresses before they are used (RFC 5227 2.1).
    pub dad: bool,
    /// `--listen`: at least one, at most [`LISTENERS_MAX`], no port twice.
    pub listen: Vec<Listen<S>>,
    /// `--http-body`: bytes of the body that http answers with.
    pub http_body: usize,
    /// `--reply-size`: octets of the answer of reply.
    pub reply_size: usize,
    /// `--mtu`: largest IP packet in bytes.
    pub mtu: u16,
    /// `--no-tso`: no port cuts segments, also where it could.
    pub no_tso: bool,
    /// `--max-connections`: connections in all (LIM-4).
    pub max_connections: u32,
    /// `--backlog`: accept queue of each listener (LIM-2); the half-open queue follows from it (LIM-1).
    pub backlog: u32,
    /// `--time-wait`: 2 MSL.
    pub time_wait: Duration,
    /// `--time-wait-max`: connections in TIME-WAIT (LIM-7).
    pub time_wait_max: u32,
    /// `--syn-cookies`: what becomes of a SYN that finds the half-open queue full (LIS-8).
    pub syn_cookies: SynCookies,
    /// `--rst-rate`: resets sent without a connection (CLD-5, LIM-12).
    pub rst_rate: RateLimit,
    /// `--buffers`: bytes of memory for data queued by or for applications.
    pub buffers: u64,
    /// `--per-address`: connections of each remote address (LIM-3); `None` for any number.
    pub per_address: Option<u32>,
    /// `--send-buffer`: octets that one connection may have queued for sending (LIM-5).
    pub send_buffer: u32,
    /// `--receive-buffer`: octets that one connection may hold, its largest window (LIM-6).
    pub receive_buffer: u32,
    /// `--keep-alive`: when silent peers are asked whether they are there; `None` for never.
    pub keep_alive: Option<KeepAlive>,
    /// `--user-timeout`: how long a connection lives without progress (R2).
    pub user_timeout: Duration,
    /// `--rto-min`: the smallest retransmission timeout (RTO-4).
    pub rto_min: Duration,
    /// `--ttl`: time to live of TCP's packets.
    pub ttl: NonZeroU8,
    /// `--dscp`: Diffserv codepoint of connections' packets, 0 to 63.
    pub dscp: u8,
    /// `--congestion`: how connections' windows grow.
    pub congestion: Congestion,
    /// `--duration`: serve for so long and end; `None` serves until a signal.
    pub duration: Option<Duration>,
    /// `--stats-interval`: time between reports; `None` reports only at the end.
    pub stats_interval: Option<Duration>,
    /// `--drain`: time that open connections have at the end before they are reset.
    pub drain: Duration,
    /// `--burst`: frames asked for at once, 1 to [`BURST_MAX`].
    pub burst: usize,
}

/// When SYNs are answered by cookies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SynCookies {
    /// While the half-open queue is full, until it is half empty.
    #[default]
    Auto,
    /// Always: for tests and measurements.
    Always,
    /// Never: such a SYN is dropped.
    Never,
}

/// Reads `--syn-cookies`.
///
/// # Errors
/// Another word than the three.
pub fn syn_cookies(text: &str) -> Result<SynCookies, ConfigError> {
    match text {
        "auto" => Ok(SynCookies::Auto),
        "always" => Ok(SynCookies::Always),
        "never" => Ok(SynCookies::Never),
        _ => Err(ConfigError::SynCookies(text.to_owned())),
    }
}

impl<S> ServeOptions<S> {
    /// Checks what concerns several options at once, before any device is known.
    ///
    /// # Errors
    /// A port listened on twice, too many listeners, a neighbour or an address given twice.
    pub fn checked(self) -> Result<Self, ConfigError> {
        if self.listen.len() > LISTENERS_MAX {
            return Err(ConfigError::ListenersMax(self.listen.len()));
        }
        for (n, listen) in self.listen.iter().enumerate() {
            if self.listen.iter().skip(n + 1).any(|other| other.port == listen.port) {
                return Err(ConfigError::ListenTwice(listen.port));
            }
        }
        for (n, (address, _)) in self.neighbours.iter().enumerate() {
            if self.neighbours.iter().skip(n + 1).any(|(other, _)| other == address) {
                return Err(ConfigError::NeighbourTwice(*address));
            }
        }
        assign::refuse_repeated(self.addresses.iter().map(|address| address.address))?;
        Ok(self)
    }
}

/// How a number is written.
#[derive(Clone, Copy)]
pub(super) enum Notation {
    Count,
    Size,
    /// The number is microseconds.
    Duration,
}

/// The range of one number.
pub(super) struct Bounds {
    what: &'static str,
    notation: Notation,
    min: u64,
    max: u64,
    why: &'static str,
    usual: &'static str,
}

pub(super) const HOUR_US: u64 = 3_600_000_000;

impl Bounds {
    pub(super) const fn of(
        what: &'static str,
        notation: Notation,
        min: u64,
        max: u64,
        usual: &'static str,
    ) -> Self {
        Bounds { what, notation, min, max, why: "", usual }
    }

    const fn because(self, why: &'static str) -> Self {
        Bounds { why, ..self }
    }

    fn text(&self, value: u64) -> String {
        match self.notation {
            Notation::Count => value.to_string(),
            Notation::Size => units::size_text(value),
            Notation::Duration => units::duration_text(Duration::from_micros(value)),
        }
    }

    /// Reads a number within the range, in the target's type; the ranges below fit their types.
    pub(super) fn read<T: TryFrom<u64>>(&self, text: &str) -> Result<T, ConfigError> {
        let value = match self.notation {
            Notation::Count => units::count(text)?,
            Notation::Size => units::size(text)?,
            Notation::Duration => u64::try_from(units::duration(text)?.as_micros()).unwrap_or(u64::MAX),
        };
        let inside = if (self.min..=self.max).contains(&value) { T::try_from(value).ok() } else { None };
        inside.ok_or_else(|| ConfigError::Range {
            what: self.what,
            min: self.text(self.min),
            max: self.text(self.max),
            why: self.why,
            usual: self.usual,
        })
    }

    pub(super) fn read_duration(&self, text: &str) -> Result<Duration, ConfigError> {
        self.read::<u64>(text).map(Duration::from_micros)
    }
}

/// Each host must take packets of 576 bytes (RFC 1122 3.3.2), and a peer without an MSS option sends 536
/// bytes of data (RFC 9293 3.7.1). IPv4's floor of 68 bytes (RFC 791) is for links that forward fragments,
/// and would leave 28 bytes for TCP's data. 9000 is what "jumbo" devices agree on.
const MTU: Bounds = Bounds::of("the MTU in bytes", Notation::Count, 576, 9_000, "1500").because(
    ", because every host takes packets of 576 bytes (IPv4's own floor of 68 leaves no room for data)",
);

/// Slots are numbered with 32 bits; 2^26 of them are tens of gigabytes.
const MAX_CONNECTIONS: Bounds =
    Bounds::of("the number of connections", Notation::Count, 1, 1 << 26, "262144");
const BACKLOG: Bounds = Bounds::of("the backlog", Notation::Count, 1, 1 << 20, "4096");
/// Timers have ticks of a millisecond.
const TIME_WAIT: Bounds = Bounds::of("TIME-WAIT", Notation::Duration, 1_000, HOUR_US, "60s");
const TIME_WAIT_MAX: Bounds = Bounds::of(
    "the number of connections in TIME-WAIT",
    Notation::Count,
    1,
    4 * MAX_CONNECTIONS.max,
    "4 times --max-connections",
);
const RST_RATE: Bounds = Bounds::of("the rate of resets", Notation::Count, 0, 100_000_000, "20000");
const DURATION: Bounds = Bounds::of("the duration", Notation::Duration, 1_000, 3_650 * 24 * HOUR_US, "60s");
/// A report takes some milliseconds to write and to read.
const STATS_INTERVAL: Bounds =
    Bounds::of("the interval", Notation::Duration, 10_000, 24 * HOUR_US, "1s").because(", or 0 for none");
const DRAIN: Bounds = Bounds::of("the time to drain", Notation::Duration, 0, HOUR_US, "5s");
const BURST: Bounds = Bounds::of("the burst", Notation::Count, 1, BURST_MAX as u64, "32");
const BUFFERS: Bounds = Bounds::of("the memory for buffers", Notation::Size, 1 << 20, 1 << 40, "64M");
/// A body is prepared once a way to answer, so that an answer is one piece without a copy.
const HTTP_BODY: Bounds = Bounds::of("the body", Notation::Size, 0, 1 << 28, "1k");

/// An answer is meant to be one segment, or a few.
const REPLY_SIZE: Bounds = Bounds::of("the size of the reply", Notation::Size, 1, 1 << 16, "256");

/// Reads `--listen PORT=SERVICE`.
///
/// # Errors
/// Not of that form, a port out of range, or an unknown service.
pub fn listen<S: FromStr<Err: Display>>(text: &str) -> Result<Listen<S>, ConfigError> {
    let form = ConfigError::Form { form: "PORT=SERVICE", example: "80=http" };
    let (number, name) = text.split_once('=').ok_or(form)?;
    let port = match number.trim().parse::<u16>() {
        Ok(port) if port != 0 => port,
        _ => return Err(ConfigError::TcpPort { text: number.to_owned() }),
    };
    let service = name.trim().parse().map_err(|error: S::Err| ConfigError::Service(error.to_string()))?;
    Ok(Listen { port, service })
}

/// Reads `--mtu`, 576 to 9000 bytes.
///
/// # Errors
/// Not a count, or out of range.
pub fn mtu(text: &str) -> Result<u16, ConfigError> {
    MTU.read(text)
}

/// Reads `--max-connections`, 1 to 2^26.
///
/// # Errors
/// Not a count, or out of range.
pub fn max_connections(text: &str) -> Result<u32, ConfigError> {
    MAX_CONNECTIONS.read(text)
}

/// Reads `--backlog`, 1 to 2^20.
///
/// # Errors
/// Not a count, or out of range.
pub fn backlog(text: &str) -> Result<u32, ConfigError> {
    BACKLOG.read(text)
}

/// Reads `--time-wait`, a millisecond to an hour.
///
/// # Errors
/// Not a duration, or out of range.
pub fn time_wait(text: &str) -> Result<Duration, ConfigError> {
    TIME_WAIT.read_duration(text)
}

/// Reads `--time-wait-max`, 1 to 2^28.
///
/// # Errors
/// Not a count, or out of range.
pub fn time_wait_max(text: &str) -> Result<u32, ConfigError> {
    TIME_WAIT_MAX.read(text)
}

/// The default of `--time-wait-max` (LIM-7).
pub const fn time_wait_max_default(max_connections: u32) -> u32 {
    max_connections.saturating_mul(4)
}

/// Reads `--rst-rate`, 0 (never) to 100M a second; `/s` may follow. A fifth of it may go out at once, as
/// LIM-12 has it (20000 a second, 4000 at once).
///
/// # Errors
/// Not a count, or out of range.
pub fn rst_rate(text: &str) -> Result<RateLimit, ConfigError> {
    let per_second: u32 = RST_RATE.read(text.strip_suffix("/s").unwrap_or(text))?;
    Ok(RateLimit { per_second, burst: per_second.div_ceil(5) })
}

/// Reads `--duration`, a millisecond to ten years.
///
/// # Errors
/// Not a duration, or out of range.
pub fn duration(text: &str) -> Result<Duration, ConfigError> {
    DURATION.read_duration(text)
}

/// Reads `--stats-interval`, 10 ms to a day; zero stands for none.
///
/// # Errors
/// Not a duration, or out of range.
pub fn stats_interval(text: &str) -> Result<Duration, ConfigError> {
    if units::duration(text)?.is_zero() {
        return Ok(Duration::ZERO);
    }
    STATS_INTERVAL.read_duration(text)
}

/// Reads `--drain`, 0 (reset at once) to an hour.
///
/// # Errors
/// Not a duration, or out of range.
pub fn drain(text: &str) -> Result<Duration, ConfigError> {
    DRAIN.read_duration(text)
}

/// Reads `--burst`, 1 to [`BURST_MAX`] frames.
///
/// # Errors
/// Not a count, or out of range.
pub fn burst(text: &str) -> Result<usize, ConfigError> {
    BURST.read(text)
}

/// Reads `--buffers`, 1 MiB to 1 TiB.
///
/// # Errors
/// Not a size, or out of range.
pub fn buffers(text: &str) -> Result<u64, ConfigError> {
    BUFFERS.read(text)
}

/// Reads `--http-body`, 0 to 256 MiB.
///
/// # Errors
/// Not a size, or out of range.
pub fn http_body(text: &str) -> Result<usize, ConfigError> {
    HTTP_BODY.read(text)
}

/// Reads `--reply-size`, 1 to 65536 octets.
///
/// # Errors
/// Not a size, or out of range.
pub fn reply_size(text: &str) -> Result<usize, ConfigError> {
    REPLY_SIZE.read(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused<T: std::fmt::Debug>(result: Result<T, ConfigError>, part: &str) {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn numbers_within_their_range_are_taken() {
        assert_eq!(mtu("576"), Ok(576));
        assert_eq!(mtu("9000"), Ok(9_000));
        assert_eq!(max_connections("1M"), Ok(1_000_000));
        assert_eq!(backlog("64k"), Ok(64_000));
        assert_eq!(time_wait("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(time_wait("1h"), Ok(Duration::from_secs(3_600)));
        assert_eq!(time_wait_max("268435456"), Ok(1 << 28));
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(stats_interval("0"), Ok(Duration::ZERO));
        assert_eq!(stats_interval("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(drain("0"), Ok(Duration::ZERO));
        assert_eq!(burst("64"), Ok(64));
        assert_eq!(buffers("64M"), Ok(64 << 20));
        assert_eq!(http_body("0"), Ok(0));
        assert_eq!((reply_size("1"), reply_size("64k")), (Ok(1), Ok(65_536)));
    }

    #[test]
    fn numbers_outside_their_range_name_the_range_and_the_usual_value() {
        refused(mtu("68"), "the MTU in bytes must be 576 to 9000, because every host takes");
        refused(mtu("9001"), "the usual value is 1500");
        refused(mtu("70000"), "576 to 9000");
        refused(max_connections("0"), "must be 1 to 67108864");
        refused(backlog("0"), "must be 1 to 1048576");
        refused(time_wait("0"), "TIME-WAIT must be 1ms to 1h; the usual value is 60s");
        refused(time_wait("61m"), "1ms to 1h");
        refused(time_wait("60x"), "'x' is not a unit");
        refused(time_wait_max("0"), "4 times --max-connections");
        refused(rst_rate("1G"), "0 to 100000000");
        refused(duration("0"), "1ms to 3650d");
        refused(stats_interval("1ms"), "10ms to 1d, or 0 for none");
        refused(drain("2h"), "0s to 1h");
        refused(burst("65"), "1 to 64");
        refused(burst("0"), "1 to 64");
        refused(buffers("1k"), "1M to 1T");
        refused(http_body("1G"), "0 to 256M");
        refused(reply_size("0"), "the size of the reply must be 1 to 64k; the usual value is 256");
        refused(reply_size("65537"), "1 to 64k");
    }

    //= LIM-12
    #[test]
    fn a_fifth_of_the_rate_of_resets_may_go_out_at_once() {
        assert_eq!(rst_rate("20000"), Ok(RateLimit { per_second: 20_000, burst: 4_000 }));
        assert_eq!(rst_rate("20k/s"), Ok(RateLimit { per_second: 20_000, burst: 4_000 }));
        assert_eq!(rst_rate("1"), Ok(RateLimit { per_second: 1, burst: 1 }));
        assert_eq!(rst_rate("0"), Ok(RateLimit { per_second: 0, burst: 0 }));
    }

    #[test]
    fn cookies_are_one_of_three_words() {
        assert_eq!(syn_cookies("always"), Ok(SynCookies::Always));
        refused(syn_cookies("yes"), "auto, always or never");
    }

    #[test]
    fn a_listener_is_a_port_and_a_service() {
        // Any type that is read from a word will do for a service.
        assert_eq!(listen::<bool>("80=true"), Ok(Listen { port: 80, service: true }));
        assert_eq!(listen::<bool>("65535=false").unwrap().port, 65_535);
        refused(listen::<bool>("80"), "not PORT=SERVICE");
        refused(listen::<bool>("0=true"), "'0' is not a TCP port");
        refused(listen::<bool>("65536=true"), "1 to 65535");
        refused(listen::<bool>("http=true"), "'http' is not a TCP port");
        refused(listen::<bool>("80=maybe"), "provided string");
    }

    fn options() -> ServeOptions<bool> {
        ServeOptions {
            addresses: vec![],
            gateway: None,
            neighbours: vec![],
            dad: false,
            listen: vec![Listen { port: 7, service: true }],
            http_body: 0,
            reply_size: 1,
            mtu: 1_500,
            no_tso: false,
            max_connections: 1,
            backlog: 1,
            time_wait: Duration::from_secs(60),
            time_wait_max: time_wait_max_default(1),
            syn_cookies: SynCookies::Auto,
            congestion: Congestion::Cubic,
            rst_rate: RateLimit { per_second: 0, burst: 0 },
            buffers: 1 << 20,
            per_address: None,
            send_buffer: 1 << 18,
            receive_buffer: 1 << 18,
            keep_alive: None,
            user_timeout: Duration::from_secs(300),
            rto_min: Duration::from_secs(1),
            ttl: NonZeroU8::MAX,
            dscp: 0,
            duration: None,
            stats_interval: None,
            drain: Duration::ZERO,
            burst: 32,
        }
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        assert!(options().checked().is_ok());
        let twice = vec![Listen { port: 7, service: true }, Listen { port: 7, service: false }];
        refused(ServeOptions { listen: twice, ..options() }.checked(), "TCP port 7 twice");
        let many = (1..=65).map(|port| Listen { port, service: true }).collect();
        refused(ServeOptions { listen: many, ..options() }.checked(), "at most 64 listeners");
        let host: IpAddr = "198.18.0.2".parse().unwrap();
        let twice = vec![(host, [2, 0, 0, 0, 0, 1]), (host, [2, 0, 0, 0, 0, 2])];
        refused(ServeOptions { neighbours: twice, ..options() }.checked(), "198.18.0.2 twice");
        let own = InterfaceAddr { address: host, prefix: 24, port: None };
        let twice = vec![own.clone(), InterfaceAddr { port: Some("1".into()), ..own }];
        refused(ServeOptions { addresses: twice, ..options() }.checked(), "every --addr");
    }
}
