//! The options of `serve` that are settings of each connection, with their ranges.

use std::num::NonZeroU8;
use std::time::Duration;

use super::ConfigError;
use super::bounds::{Bounds, HOUR_US, Notation};

const PER_ADDRESS: Bounds =
    Bounds::of("the number of connections of an address", Notation::Count, 1, 1 << 26, "1000");
const SEND_BUFFER: Bounds = Bounds::of("the send buffer", Notation::Size, 1 << 10, 1 << 30, "256k");
/// The largest window is 65535 << 14, a little below a gigabyte (RFC 7323 2.2).
const RECEIVE_BUFFER: Bounds = Bounds::of("the receive buffer", Notation::Size, 1 << 10, 1 << 29, "256k");
/// Timers compare ticks of a millisecond within 2^31 of them.
const TIMER_MAX_US: u64 = 12 * 24 * HOUR_US;
const KEEP_ALIVE_IDLE: Bounds =
    Bounds::of("the silence before a probe", Notation::Duration, 1_000_000, TIMER_MAX_US, "2h");
const KEEP_ALIVE_INTERVAL: Bounds =
    Bounds::of("the time between probes", Notation::Duration, 1_000_000, TIMER_MAX_US, "75s");
/// One that was lost means nothing (RFC 9293 3.8.4, MUST-29).
const KEEP_ALIVE_PROBES: Bounds = Bounds::of("the number of probes", Notation::Count, 2, 255, "9");
const USER_TIMEOUT: Bounds =
    Bounds::of("the user timeout", Notation::Duration, 1_000_000, TIMER_MAX_US, "5m");
/// RFC 6298 2.4 says 1 s; hosts that are deployed take 200 ms (RTO-4).
const RTO_MIN: Bounds = Bounds::of("the smallest timeout", Notation::Duration, 10_000, 60_000_000, "1s");
const TTL: Bounds = Bounds::of("the time to live", Notation::Count, 1, 255, "64");
const DSCP: Bounds = Bounds::of("the Diffserv codepoint", Notation::Count, 0, 63, "0");
/// When a silent peer is asked whether it is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeepAlive {
    /// Silence before the first probe.
    pub idle: Duration,
    /// Time between probes.
    pub interval: Duration,
    /// Probes without an answer after which the connection is over; 2 to 255.
    pub probes: u8,
}

/// How a connection's window grows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Congestion {
    /// RFC 9438.
    #[default]
    Cubic,
    /// RFC 5681.
    Reno,
}

/// Reads `--congestion`.
///
/// # Errors
/// Another word than the two.
pub fn congestion(text: &str) -> Result<Congestion, ConfigError> {
    match text {
        "cubic" => Ok(Congestion::Cubic),
        "reno" => Ok(Congestion::Reno),
        _ => Err(ConfigError::word("a way for windows to grow", text, "cubic or reno")),
    }
}

/// Reads `--per-address`, 1 to 2^26.
///
/// # Errors
/// Not a count, or out of range.
pub fn per_address(text: &str) -> Result<u32, ConfigError> {
    PER_ADDRESS.read(text)
}

/// Reads `--send-buffer`, 1 KiB to 1 GiB.
///
/// # Errors
/// Not a size, or out of range.
pub fn send_buffer(text: &str) -> Result<u32, ConfigError> {
    SEND_BUFFER.read(text)
}

/// Reads `--receive-buffer`, 1 KiB to 512 MiB.
///
/// # Errors
/// Not a size, or out of range.
pub fn receive_buffer(text: &str) -> Result<u32, ConfigError> {
    RECEIVE_BUFFER.read(text)
}

/// Reads `--keep-alive IDLE[,INTERVAL[,PROBES]]`; what is left out is 75 s and 9 (KA-2).
///
/// # Errors
/// A part that is not what it should be, out of its range, or one too many.
pub fn keep_alive(text: &str) -> Result<KeepAlive, ConfigError> {
    let mut parts = text.split(',');
    let idle = KEEP_ALIVE_IDLE.read_duration(parts.next().unwrap_or_default())?;
    let interval = KEEP_ALIVE_INTERVAL.read_duration(parts.next().unwrap_or("75s"))?;
    let probes = KEEP_ALIVE_PROBES.read(parts.next().unwrap_or("9"))?;
    match parts.next() {
        None => Ok(KeepAlive { idle, interval, probes }),
        Some(_) => Err(ConfigError::Form { form: "IDLE[,INTERVAL[,PROBES]]", example: "10m,30s,5" }),
    }
}

/// Reads `--user-timeout`, a second to 12 days.
///
/// # Errors
/// Not a duration, or out of range.
pub fn user_timeout(text: &str) -> Result<Duration, ConfigError> {
    USER_TIMEOUT.read_duration(text)
}

/// Reads `--rto-min`, 10 ms to a minute.
///
/// # Errors
/// Not a duration, or out of range.
pub fn rto_min(text: &str) -> Result<Duration, ConfigError> {
    RTO_MIN.read_duration(text)
}

/// Reads `--ttl`, 1 to 255.
///
/// # Errors
/// Not a count, or out of range.
pub fn ttl(text: &str) -> Result<NonZeroU8, ConfigError> {
    // The range begins at 1.
    TTL.read(text).map(|hops: u8| NonZeroU8::new(hops).unwrap_or(NonZeroU8::MIN))
}

/// Reads `--dscp`, 0 to 63.
///
/// # Errors
/// Not a count, or out of range.
pub fn dscp(text: &str) -> Result<u8, ConfigError> {
    DSCP.read(text)
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
    fn settings_of_connections_have_ranges_too() {
        //= MUST-27
        //= MUST-29
        assert_eq!((per_address("10"), send_buffer("64k")), (Ok(10), Ok(64 << 10)));
        assert_eq!((receive_buffer("512M"), dscp("46")), (Ok(512 << 20), Ok(46)));
        assert_eq!(
            (ttl("255").map(NonZeroU8::get), user_timeout("2m")),
            (Ok(255), Ok(Duration::from_secs(120)))
        );
        let seconds = |idle, interval, probes| {
            Ok(KeepAlive { idle: Duration::from_secs(idle), interval: Duration::from_secs(interval), probes })
        };
        assert_eq!(keep_alive("2h"), seconds(7_200, 75, 9));
        assert_eq!(keep_alive("10m,30s,5"), seconds(600, 30, 5));
        refused(keep_alive("10m,30s,1"), "2 to 255");
        refused(keep_alive("0"), "1s to 12d");
        refused(keep_alive("2h,1s,2,3"), "IDLE[,INTERVAL[,PROBES]]");
        refused(keep_alive("2h,"), "this is not a duration");
        assert_eq!(congestion("reno"), Ok(Congestion::Reno));
        refused(congestion("bbr"), "cubic or reno");
        refused(ttl("0"), "1 to 255");
        refused(dscp("64"), "0 to 63");
        refused(receive_buffer("1G"), "1k to 512M");
        refused(send_buffer("1"), "1k to 1G");
        refused(user_timeout("1ms"), "1s to 12d; the usual value is 5m");
        refused(per_address("0"), "1 to 67108864");
    }
}
