//! Between the border's words for checksums and DPDK's flags. Pure.

use dpdk_sys::{
    DT_PORT_RX_IPV4_CKSUM, DT_PORT_RX_TCP_CKSUM, DT_PORT_TX_IPV4_CKSUM, DT_PORT_TX_MULTI_SEGS,
    DT_PORT_TX_TCP_CKSUM, DT_PORT_TX_TCP_TSO, DT_RX_IP_CKSUM_BAD, DT_RX_IP_CKSUM_GOOD, DT_RX_IP_CKSUM_MASK,
    DT_RX_L4_CKSUM_BAD, DT_RX_L4_CKSUM_GOOD, DT_RX_L4_CKSUM_MASK, DT_TX_IP_CKSUM, DT_TX_IPV4, DT_TX_IPV6,
    DT_TX_L3_LEN_SHIFT, DT_TX_L4_LEN_SHIFT, DT_TX_TCP_CKSUM, DT_TX_TCP_SEG, DT_TX_TSO_SEGSZ_SHIFT,
};

use crate::link::{RxChecksums, TxOffload, Verdict};

/// What a port must offer, together, to cut large segments: they lie in several buffers, and each packet gets sums
/// of its own.
const CUTTING: u64 =
    DT_PORT_TX_TCP_TSO | DT_PORT_TX_MULTI_SEGS | DT_PORT_TX_IPV4_CKSUM | DT_PORT_TX_TCP_CKSUM;

/// The work that a port takes over: checksums, and cutting large segments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offloads {
    /// `RTE_ETH_RX_OFFLOAD_*` flags.
    pub rx: u64,
    /// `RTE_ETH_TX_OFFLOAD_*` flags.
    pub tx: u64,
}

impl Offloads {
    /// What is wanted of what a port offers.
    pub const fn within(rx_offered: u64, tx_offered: u64) -> Offloads {
        let cutting = if tx_offered & CUTTING == CUTTING { CUTTING } else { 0 };
        Offloads {
            rx: rx_offered & (DT_PORT_RX_IPV4_CKSUM | DT_PORT_RX_TCP_CKSUM),
            tx: tx_offered & (DT_PORT_TX_IPV4_CKSUM | DT_PORT_TX_TCP_CKSUM) | cutting,
        }
    }

    /// The same, but every packet is made by us.
    pub const fn without_tso(self) -> Offloads {
        Offloads { tx: self.tx & !(DT_PORT_TX_TCP_TSO | DT_PORT_TX_MULTI_SEGS), ..self }
    }

    /// The port cuts large segments.
    pub const fn tso(self) -> bool {
        self.tx & DT_PORT_TX_TCP_TSO != 0
    }

    /// The port verifies checksums of frames received.
    pub const fn rx_checksum(self) -> bool {
        self.rx != 0
    }

    /// The port sums IPv4 headers of frames sent.
    pub const fn tx_ip_checksum(self) -> bool {
        self.tx & DT_PORT_TX_IPV4_CKSUM != 0
    }

    /// The port sums TCP segments sent.
    pub const fn tx_tcp_checksum(self) -> bool {
        self.tx & DT_PORT_TX_TCP_CKSUM != 0
    }

    /// For people: `rx ip+tcp, tx ip+tcp checksums, tso`, or `none`.
    pub fn describe(self) -> String {
        let both = |ip: bool, tcp: bool| match (ip, tcp) {
            (true, true) => "ip+tcp",
            (true, false) => "ip",
            (false, true) => "tcp",
            (false, false) => "none",
        };
        let rx = both(self.rx & DT_PORT_RX_IPV4_CKSUM != 0, self.rx & DT_PORT_RX_TCP_CKSUM != 0);
        let tx = both(self.tx_ip_checksum(), self.tx_tcp_checksum());
        if self == Offloads::default() {
            return "none".to_owned();
        }
        format!("rx {rx}, tx {tx} checksums{}", if self.tso() { ", tso" } else { "" })
    }
}

/// The device's verdicts in a received frame's flags. Both bits of a pair mean that the sum in the frame is
/// not filled in but the content was verified otherwise (it came from the same host), which is as good.
pub const fn rx_verdicts(flags: u64) -> RxChecksums {
    const fn verdict(flags: u64, mask: u64, bad: u64) -> Verdict {
        let found = flags & mask;
        if found == 0 {
            Verdict::Unknown
        } else if found == bad {
            Verdict::Bad
        } else {
            Verdict::Good
        }
    }
    RxChecksums {
        ip: verdict(flags, DT_RX_IP_CKSUM_MASK, DT_RX_IP_CKSUM_BAD),
        l4: verdict(flags, DT_RX_L4_CKSUM_MASK, DT_RX_L4_CKSUM_BAD),
    }
}

/// The flags and the lengths field that ask a port to complete a frame; both 0 when nothing is asked.
pub const fn tx_request(offload: TxOffload) -> (u64, u64) {
    if !offload.ip_checksum && !offload.tcp_checksum {
        return (0, 0);
    }
    let mut flags = if offload.ipv6 { DT_TX_IPV6 } else { DT_TX_IPV4 };
    if offload.ip_checksum && !offload.ipv6 {
        flags |= DT_TX_IP_CKSUM;
    }
    if offload.tcp_checksum {
        flags |= DT_TX_TCP_CKSUM;
    }
    if offload.cut > 0 {
        flags |= DT_TX_TCP_SEG;
    }
    let lengths = offload.l2_len as u64
        | (offload.l3_len as u64) << DT_TX_L3_LEN_SHIFT
        | (offload.l4_len as u64) << DT_TX_L4_LEN_SHIFT
        | (offload.cut as u64) << DT_TX_TSO_SEGSZ_SHIFT;
    (flags, lengths)
}

/// The flags of a frame whose requests for sums were carried out and verified by a receiving device.
pub const fn done(flags: u64) -> u64 {
    let mut verdicts = 0;
    if flags & DT_TX_IP_CKSUM != 0 {
        verdicts |= DT_RX_IP_CKSUM_GOOD;
    }
    // The request is a number in some bits of the flags, not a bit of its own.
    if flags & DT_TX_TCP_CKSUM == DT_TX_TCP_CKSUM {
        verdicts |= DT_RX_L4_CKSUM_GOOD;
    }
    flags & !(DT_TX_IP_CKSUM | DT_TX_TCP_CKSUM | DT_TX_IPV4 | DT_TX_IPV6) | verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_counts_as_verified_and_nothing_else() {
        let ask = TxOffload { ip_checksum: true, tcp_checksum: true, ..TxOffload::default() };
        let good = RxChecksums { ip: Verdict::Good, l4: Verdict::Good };
        assert_eq!(rx_verdicts(done(tx_request(ask).0)), good);
        let only_ip = TxOffload { tcp_checksum: false, ..ask };
        assert_eq!(rx_verdicts(done(tx_request(only_ip).0)).l4, Verdict::Unknown);
        assert_eq!(done(0), 0);
    }

    #[test]
    fn verdicts_follow_the_flags() {
        let both = |ip, l4| RxChecksums { ip, l4 };
        assert_eq!(rx_verdicts(0), RxChecksums::default());
        assert_eq!(rx_verdicts(DT_RX_IP_CKSUM_GOOD), both(Verdict::Good, Verdict::Unknown));
        assert_eq!(rx_verdicts(DT_RX_IP_CKSUM_GOOD | DT_RX_L4_CKSUM_BAD), both(Verdict::Good, Verdict::Bad));
        assert_eq!(rx_verdicts(DT_RX_IP_CKSUM_BAD | DT_RX_L4_CKSUM_GOOD), both(Verdict::Bad, Verdict::Good));
        assert_eq!(
            rx_verdicts(DT_RX_IP_CKSUM_MASK | DT_RX_L4_CKSUM_MASK),
            both(Verdict::Good, Verdict::Good)
        );
    }

    #[test]
    fn nothing_is_asked_unless_a_checksum_is() {
        let lengths = TxOffload { l2_len: 14, l3_len: 20, l4_len: 32, ..TxOffload::default() };
        assert_eq!(tx_request(lengths), (0, 0));
    }

    #[test]
    fn lengths_and_flags_go_where_the_device_looks() {
        let all = TxOffload {
            l2_len: 14,
            l3_len: 20,
            l4_len: 32,
            ip_checksum: true,
            tcp_checksum: true,
            ..TxOffload::default()
        };
        let (flags, lengths) = tx_request(all);
        assert_eq!(flags, DT_TX_IPV4 | DT_TX_IP_CKSUM | DT_TX_TCP_CKSUM);
        assert_eq!(lengths, 14 | 20 << 7 | 32 << 16);
        let (flags, lengths) = tx_request(TxOffload { cut: 1_448, ..all });
        assert_eq!(flags, DT_TX_IPV4 | DT_TX_IP_CKSUM | DT_TX_TCP_CKSUM | DT_TX_TCP_SEG);
        assert_eq!(lengths, 14 | 20 << 7 | 32 << 16 | 1_448 << 24);
        let (flags, _) = tx_request(TxOffload { ipv6: true, ..all });
        assert_eq!(flags, DT_TX_IPV6 | DT_TX_TCP_CKSUM);
    }

    #[test]
    fn only_what_is_offered_is_taken() {
        let taken = Offloads::within(u64::MAX, DT_PORT_TX_IPV4_CKSUM | 1 << 40);
        assert!(taken.rx_checksum() && taken.tx_ip_checksum() && !taken.tx_tcp_checksum());
        assert_eq!(taken.describe(), "rx ip+tcp, tx ip checksums");
        let all = Offloads::within(u64::MAX, u64::MAX);
        assert!(all.tso() && !all.without_tso().tso() && all.without_tso().tx_tcp_checksum());
        assert_eq!(all.describe(), "rx ip+tcp, tx ip+tcp checksums, tso");
        // Without several buffers or either sum there is no cutting.
        for lacking in [DT_PORT_TX_MULTI_SEGS, DT_PORT_TX_IPV4_CKSUM, DT_PORT_TX_TCP_CKSUM] {
            assert!(!Offloads::within(0, !lacking).tso());
        }
        assert_eq!(Offloads::within(0, 0).describe(), "none");
    }
}
