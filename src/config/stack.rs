//! The options that every command with a stack of ours takes: which addresses it has, what it may hold, and how its
//! connections behave. Which words they are written with is `cli::args`'s business.

use std::net::IpAddr;
use std::num::NonZeroU8;
use std::time::Duration;

use super::address::InterfaceAddr;
use super::bounds::{Bounds, HOUR_US, Notation};
use super::connection::Congestion;
use super::{ConfigError, address, assign};
use crate::base::burst::BURST_MAX;

/// Whose TCP it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Backend {
    /// Ours, over DPDK's ports.
    #[default]
    Dpdk,
    /// The kernel's, over its sockets: to compare with.
    Kernel,
}

/// Reads `--backend`.
///
/// # Errors
/// Another word than the two.
pub fn backend(text: &str) -> Result<Backend, ConfigError> {
    match text {
        "dpdk" => Ok(Backend::Dpdk),
        "kernel" => Ok(Backend::Kernel),
        _ => Err(ConfigError::word("a TCP to run on", text, "dpdk or kernel")),
    }
}

/// A stack of ours. Each value is within its range; [`StackOptions::checked`] has seen that they fit together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StackOptions {
    /// `--addr`: to be given to ports by [`assign::assign`] when these are known.
    pub addresses: Vec<InterfaceAddr>,
    /// `--gateway`: where packets to other subnets go.
    pub gateway: Option<IpAddr>,
    /// `--neighbour`: entries that are never asked for and do not age.
    pub neighbours: Vec<(IpAddr, [u8; 6])>,
    /// `--dad`: probe for the addresses before they are used (RFC 5227 2.1).
    pub dad: bool,
    /// `--mtu`: largest IP packet in bytes.
    pub mtu: u16,
    /// `--no-tso`: no port cuts segments, also where it could.
    pub no_tso: bool,
    /// `--max-connections`: connections in all (LIM-4).
    pub max_connections: u32,
    /// `--time-wait`: 2 MSL.
    pub time_wait: Duration,
    /// `--time-wait-max`: connections in TIME-WAIT (LIM-7).
    pub time_wait_max: u32,
    /// `--buffers`: bytes of memory for data queued by or for applications.
    pub buffers: u64,
    /// `--send-buffer`: octets that one connection may have queued for sending (LIM-5).
    pub send_buffer: u32,
    /// `--rto-min`: the smallest retransmission timeout (RTO-4).
    pub rto_min: Duration,
    /// `--ttl`: time to live of TCP's packets.
    pub ttl: NonZeroU8,
    /// `--dscp`: Diffserv codepoint of connections' packets, 0 to 63.
    pub dscp: u8,
    /// `--congestion`: how connections' windows grow.
    pub congestion: Congestion,
    /// `--burst`: frames asked for at once, 1 to [`BURST_MAX`].
    pub burst: usize,
    /// `--tx-burst`: from so many waiting frames on they are handed over at once, 1 to [`BURST_MAX`].
    pub tx_burst: usize,
}

impl StackOptions {
    /// Checks what concerns several options at once, before any device is known.
    ///
    /// # Errors
    /// A neighbour or an address given twice, or an address of the loopback's on a port of DPDK.
    pub fn checked(self, backend: Backend) -> Result<Self, ConfigError> {
        for own in &self.addresses {
            if let IpAddr::V4(address) = own.address
                && backend == Backend::Dpdk
            {
                address::host(address)?;
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

/// Each host must take packets of 576 bytes (RFC 1122 3.3.2), and a peer without an MSS option sends 536
/// bytes of data (RFC 9293 3.7.1). IPv4's floor of 68 bytes (RFC 791) is for links that forward fragments,
/// and would leave 28 bytes for TCP's data. 9000 is what "jumbo" devices agree on.
const MTU: Bounds = Bounds::of("the MTU in bytes", Notation::Count, 576, 9_000, "1500").because(
    ", because every host takes packets of 576 bytes (IPv4's own floor of 68 leaves no room for data)",
);

/// Slots are numbered with 32 bits; 2^26 of them are tens of gigabytes.
pub const CONNECTIONS_MAX: u64 = 1 << 26;
const MAX_CONNECTIONS: Bounds =
    Bounds::of("the number of connections", Notation::Count, 1, CONNECTIONS_MAX, "262144");
/// Timers have ticks of a millisecond.
const TIME_WAIT: Bounds = Bounds::of("TIME-WAIT", Notation::Duration, 1_000, HOUR_US, "60s");
const TIME_WAIT_MAX: Bounds = Bounds::of(
    "the number of connections in TIME-WAIT",
    Notation::Count,
    1,
    4 * CONNECTIONS_MAX,
    "4 times --max-connections",
);
const BURST: Bounds = Bounds::of("the burst", Notation::Count, 1, BURST_MAX as u64, "32");
const TX_BURST: Bounds = Bounds::of("the burst to send", Notation::Count, 1, BURST_MAX as u64, "32");
const BUFFERS: Bounds = Bounds::of("the memory for buffers", Notation::Size, 1 << 20, 1 << 40, "64M");

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

/// Reads `--burst`, 1 to [`BURST_MAX`] frames.
///
/// # Errors
/// Not a count, or out of range.
pub fn burst(text: &str) -> Result<usize, ConfigError> {
    BURST.read(text)
}

/// Reads `--tx-burst`, 1 to [`BURST_MAX`] frames.
///
/// # Errors
/// Not a count, or out of range.
pub fn tx_burst(text: &str) -> Result<usize, ConfigError> {
    TX_BURST.read(text)
}

/// Reads `--buffers`, 1 MiB to 1 TiB.
///
/// # Errors
/// Not a size, or out of range.
pub fn buffers(text: &str) -> Result<u64, ConfigError> {
    BUFFERS.read(text)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[track_caller]
    fn refused<T: std::fmt::Debug>(result: Result<T, ConfigError>, part: &str) {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    pub(crate) fn options() -> StackOptions {
        StackOptions {
            addresses: vec![],
            gateway: None,
            neighbours: vec![],
            dad: false,
            mtu: 1_500,
            no_tso: false,
            max_connections: 1,
            time_wait: Duration::from_secs(60),
            time_wait_max: time_wait_max_default(1),
            buffers: 1 << 20,
            send_buffer: 1 << 18,
            rto_min: Duration::from_secs(1),
            ttl: NonZeroU8::MAX,
            dscp: 0,
            congestion: Congestion::Cubic,
            burst: 32,
            tx_burst: 32,
        }
    }

    #[test]
    fn numbers_within_their_range_are_taken() {
        assert_eq!(mtu("576"), Ok(576));
        assert_eq!(mtu("9000"), Ok(9_000));
        assert_eq!(max_connections("1M"), Ok(1_000_000));
        assert_eq!(time_wait("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(time_wait("1h"), Ok(Duration::from_secs(3_600)));
        assert_eq!(time_wait_max("268435456"), Ok(1 << 28));
        assert_eq!((burst("64"), tx_burst("64")), (Ok(64), Ok(64)));
        assert_eq!(buffers("64M"), Ok(64 << 20));
        assert_eq!((backend("dpdk"), backend("kernel")), (Ok(Backend::Dpdk), Ok(Backend::Kernel)));
    }

    #[test]
    fn numbers_outside_their_range_name_the_range_and_the_usual_value() {
        refused(mtu("68"), "the MTU in bytes must be 576 to 9000, because every host takes");
        refused(mtu("9001"), "the usual value is 1500");
        refused(mtu("70000"), "576 to 9000");
        refused(max_connections("0"), "must be 1 to 67108864");
        refused(time_wait("0"), "TIME-WAIT must be 1ms to 1h; the usual value is 60s");
        refused(time_wait("61m"), "1ms to 1h");
        refused(time_wait("60x"), "'x' is not a unit");
        refused(time_wait_max("0"), "4 times --max-connections");
        refused(burst("65"), "1 to 64");
        refused(burst("0"), "1 to 64");
        refused(tx_burst("65"), "the burst to send must be 1 to 64; the usual value is 32");
        refused(buffers("1k"), "1M to 1T");
        refused(backend("linux"), "'linux' is not a TCP to run on; take dpdk or kernel");
    }

    #[test]
    fn addresses_and_neighbours_are_given_once() {
        assert!(options().checked(Backend::Dpdk).is_ok());
        let host: IpAddr = "198.18.0.2".parse().unwrap();
        let twice = vec![(host, [2, 0, 0, 0, 0, 1]), (host, [2, 0, 0, 0, 0, 2])];
        refused(StackOptions { neighbours: twice, ..options() }.checked(Backend::Dpdk), "198.18.0.2 twice");
        let own = InterfaceAddr { address: host, prefix: 24, port: None };
        let twice = vec![own.clone(), InterfaceAddr { port: Some("1".into()), ..own }];
        refused(StackOptions { addresses: twice, ..options() }.checked(Backend::Dpdk), "every --addr");
        let loopback = vec![address::interface("127.0.0.9/32").unwrap()];
        let loopback = StackOptions { addresses: loopback, ..options() };
        assert!(loopback.clone().checked(Backend::Kernel).is_ok());
        refused(loopback.checked(Backend::Dpdk), "127.0.0.9 is in 127.0.0.0/8 (loopback)");
    }
}
