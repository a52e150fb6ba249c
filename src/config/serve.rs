//! The options of `serve` as checked values, their ranges and where the ranges come from. Which words they
//! are written with is `cli::args`'s business; which services exist is the applications' (`S`).

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use super::address::InterfaceAddr;
use super::bounds::{Bounds, HOUR_US, Notation};
use super::connection::KeepAlive;
use super::output::Output;
use super::stack::{Backend, StackOptions};
use super::{ConfigError, units};

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
    /// Addresses, limits and settings of the stack.
    pub stack: StackOptions,
    /// `--backend`: whose TCP serves.
    pub backend: Backend,
    /// `--listen`: at least one, at most [`LISTENERS_MAX`], no port twice.
    pub listen: Vec<Listen<S>>,
    /// `--http-body`: bytes of the body that http answers with.
    pub http_body: usize,
    /// `--reply-size`: octets of the answer of reply.
    pub reply_size: usize,
    /// `--backlog`: accept queue of each listener (LIM-2); the half-open queue follows from it (LIM-1).
    pub backlog: u32,
    /// `--syn-cookies`: what becomes of a SYN that finds the half-open queue full (LIS-8).
    pub syn_cookies: SynCookies,
    /// `--rst-rate`: resets sent without a connection (CLD-5, LIM-12).
    pub rst_rate: RateLimit,
    /// `--per-address`: connections of each remote address (LIM-3); `None` for any number.
    pub per_address: Option<u32>,
    /// `--receive-buffer`: octets that one connection may hold, its largest window (LIM-6).
    pub receive_buffer: u32,
    /// `--keep-alive`: when silent peers are asked whether they are there; `None` for never.
    pub keep_alive: Option<KeepAlive>,
    /// `--user-timeout`: how long a connection lives without progress (R2).
    pub user_timeout: Duration,
    /// `--duration`: serve for so long and end; `None` serves until a signal.
    pub duration: Option<Duration>,
    /// `--stats-interval`: time between reports; `None` reports only at the end.
    pub stats_interval: Option<Duration>,
    /// `--drain`: time that open connections have at the end before they are reset.
    pub drain: Duration,
    /// `--json`, `--csv`, `--hdr-log`.
    pub output: Output,
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
        _ => Err(ConfigError::word("a way to use SYN cookies", text, "auto, always or never")),
    }
}

impl<S> ServeOptions<S> {
    /// Checks what concerns several options at once, before any device is known.
    ///
    /// # Errors
    /// A port listened on twice, too many listeners, a neighbour, an address or a file given twice, a port of DPDK
    /// where the kernel serves.
    pub fn checked(self) -> Result<Self, ConfigError> {
        if self.listen.len() > LISTENERS_MAX {
            return Err(ConfigError::ListenersMax(self.listen.len()));
        }
        for (n, listen) in self.listen.iter().enumerate() {
            if self.listen.iter().skip(n + 1).any(|other| other.port == listen.port) {
                return Err(ConfigError::ListenTwice(listen.port));
            }
        }
        if self.backend == Backend::Kernel {
            let on_port = |own: &InterfaceAddr| own.port.clone().map(|port| (own.address, port));
            if let Some((address, port)) = self.stack.addresses.iter().find_map(on_port) {
                let known = "none with --backend kernel".to_owned();
                return Err(ConfigError::UnknownPort { address, port, known });
            }
        }
        let stack = self.stack.checked(self.backend)?;
        self.output.check()?;
        Ok(ServeOptions { stack, ..self })
    }
}

const BACKLOG: Bounds = Bounds::of("the backlog", Notation::Count, 1, 1 << 20, "4096");
const RST_RATE: Bounds = Bounds::of("the rate of resets", Notation::Count, 0, 100_000_000, "20000");
const DURATION: Bounds = Bounds::of("the duration", Notation::Duration, 1_000, 3_650 * 24 * HOUR_US, "60s");
/// A report takes some milliseconds to write and to read.
const STATS_INTERVAL: Bounds =
    Bounds::of("the interval", Notation::Duration, 10_000, 24 * HOUR_US, "1s").because(", or 0 for none");
const DRAIN: Bounds = Bounds::of("the time to drain", Notation::Duration, 0, HOUR_US, "5s");
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

/// Reads `--backlog`, 1 to 2^20.
///
/// # Errors
/// Not a count, or out of range.
pub fn backlog(text: &str) -> Result<u32, ConfigError> {
    BACKLOG.read(text)
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
        assert_eq!(backlog("64k"), Ok(64_000));
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(stats_interval("0"), Ok(Duration::ZERO));
        assert_eq!(stats_interval("100ms"), Ok(Duration::from_millis(100)));
        assert_eq!(drain("0"), Ok(Duration::ZERO));
        assert_eq!(http_body("0"), Ok(0));
        assert_eq!((reply_size("1"), reply_size("64k")), (Ok(1), Ok(65_536)));
    }

    #[test]
    fn numbers_outside_their_range_name_the_range_and_the_usual_value() {
        refused(backlog("0"), "must be 1 to 1048576");
        refused(rst_rate("1G"), "0 to 100000000");
        refused(duration("0"), "1ms to 3650d");
        refused(stats_interval("1ms"), "10ms to 1d, or 0 for none");
        refused(drain("2h"), "0s to 1h");
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
            stack: super::super::stack::tests::options(),
            backend: Backend::Dpdk,
            listen: vec![Listen { port: 7, service: true }],
            http_body: 0,
            reply_size: 1,
            backlog: 1,
            syn_cookies: SynCookies::Auto,
            rst_rate: RateLimit { per_second: 0, burst: 0 },
            per_address: None,
            receive_buffer: 1 << 18,
            keep_alive: None,
            user_timeout: Duration::from_secs(300),
            duration: None,
            stats_interval: None,
            drain: Duration::ZERO,
            output: Output::default(),
        }
    }

    #[test]
    fn options_that_contradict_each_other_are_refused() {
        assert!(options().checked().is_ok());
        let twice = vec![Listen { port: 7, service: true }, Listen { port: 7, service: false }];
        refused(ServeOptions { listen: twice, ..options() }.checked(), "TCP port 7 twice");
        let many = (1..=65).map(|port| Listen { port, service: true }).collect();
        refused(ServeOptions { listen: many, ..options() }.checked(), "at most 64 listeners");
        let mut kernel = ServeOptions { backend: Backend::Kernel, ..options() };
        kernel.stack.addresses = vec![super::super::address::interface("198.18.0.1/24@0").unwrap()];
        refused(kernel.checked(), "--addr 198.18.0.1@0 names a port that is not there; there are none");
        let json = Some("a.json".into());
        let output = Output { csv: json.clone(), json, hdr_log: None };
        refused(ServeOptions { output, ..options() }.checked(), "--csv and --json both name a.json");
    }
}
