//! What a port tells of itself while it runs: its link, its counts, and a line for people.

use std::fmt;

use crate::dpdk::offload::Offloads;
use crate::stats::losses::Losses;

/// The state of a port's link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Link {
    /// Frames can pass.
    pub up: bool,
    /// In Mbit/s; `u32::MAX` when unknown.
    pub speed_mbps: u32,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.up, self.speed_mbps) {
            (false, _) => write!(f, "down"),
            (true, 0 | u32::MAX) => write!(f, "up"),
            (true, mbps) if mbps % 1_000 == 0 => write!(f, "up {} Gbit/s", mbps / 1_000),
            (true, mbps) => write!(f, "up {mbps} Mbit/s"),
        }
    }
}

/// A device's own counts since it was started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PortStats {
    /// Frames received.
    pub rx_frames: u64,
    /// Frames sent.
    pub tx_frames: u64,
    /// Bytes received; some virtual devices do not count them.
    pub rx_bytes: u64,
    /// Bytes sent; some virtual devices do not count them.
    pub tx_bytes: u64,
    /// Frames that got lost.
    pub losses: Losses,
}

/// A line on a port for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Description {
    pub(super) name: String,
    pub(super) driver: String,
    pub(super) mac: [u8; 6],
    pub(super) mtu: u16,
    pub(super) link: Link,
    pub(super) offloads: Offloads,
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.mac;
        write!(f, "{} ({}) {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}, ", self.name, self.driver)?;
        write!(f, "mtu {}, link {}, offloads {}", self.mtu, self.link, self.offloads.describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_described_in_one_line() {
        let mut line = Description {
            name: "net_tap0".to_owned(),
            driver: "net_tap".to_owned(),
            mac: [2, 0x64, 0x74, 0x61, 0x70, 0],
            mtu: 1_500,
            link: Link { up: true, speed_mbps: 10_000 },
            offloads: Offloads::within(u64::MAX, u64::MAX),
        };
        assert_eq!(
            line.to_string(),
            "net_tap0 (net_tap) 02:64:74:61:70:00, mtu 1500, link up 10 Gbit/s, offloads rx ip+tcp, tx ip+tcp checksums, tso"
        );
        line.link = Link { up: false, speed_mbps: 0 };
        line.offloads = Offloads::default();
        assert!(line.to_string().ends_with("link down, offloads none"), "{line}");
    }
}
