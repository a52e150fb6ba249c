//! What the kernel's TCP counts of all programs in this network namespace, and what that means for a measurement.
//! Pure, but for the reading.

use std::fs;

use super::setting;
use crate::base::text::thousands;

/// Counts so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    /// Handshakes that found a full accept queue.
    pub listen_overflows: u64,
    /// Connections that found no room for their TIME-WAIT.
    pub time_wait_overflows: u64,
    /// Segments that were sent again.
    pub retransmitted: u64,
}

impl Counts {
    /// Those of now; zeros where the kernel does not tell.
    pub fn now() -> Counts {
        let text = |name| fs::read_to_string(name).unwrap_or_default();
        Counts::read(&text("/proc/net/netstat"), &text("/proc/net/snmp"))
    }

    /// From the texts of /proc/net/netstat and /proc/net/snmp.
    fn read(netstat: &str, snmp: &str) -> Counts {
        let of = |text, table, name| count(text, table, name).unwrap_or(0);
        Counts {
            listen_overflows: of(netstat, "TcpExt:", "ListenOverflows"),
            time_wait_overflows: of(netstat, "TcpExt:", "TCPTimeWaitOverflow"),
            retransmitted: of(snmp, "Tcp:", "RetransSegs"),
        }
    }

    /// What was counted since.
    pub fn since(&self, earlier: &Counts) -> Counts {
        Counts {
            listen_overflows: self.listen_overflows.saturating_sub(earlier.listen_overflows),
            time_wait_overflows: self.time_wait_overflows.saturating_sub(earlier.time_wait_overflows),
            retransmitted: self.retransmitted.saturating_sub(earlier.retransmitted),
        }
    }

    /// The shortest TIME-WAIT, in seconds, where it was not what it should be: none at all.
    pub fn time_wait_shortened_s(&self) -> Option<f64> {
        (self.time_wait_overflows > 0).then_some(0.0)
    }

    /// What it means.
    pub fn sentences(&self) -> Vec<String> {
        let limit = |name| setting(name).map_or("its limit".to_owned(), thousands);
        let mut sentences = Vec::new();
        if self.time_wait_overflows > 0 {
            sentences.push(format!(
                "kernel: {} connections had no TIME-WAIT, since {} have one already (net.ipv4.tcp_max_tw_buckets).",
                thousands(self.time_wait_overflows),
                limit("ipv4/tcp_max_tw_buckets")
            ));
        }
        if self.listen_overflows > 0 {
            sentences.push(format!(
                "kernel: {} handshakes found {} connections waiting to be accepted (net.core.somaxconn, --backlog), \
                 and were tried again later.",
                thousands(self.listen_overflows),
                limit("core/somaxconn")
            ));
        }
        if self.retransmitted > 0 {
            sentences.push(format!(
                "kernel: {} segments were sent again, by all programs of this network namespace.",
                thousands(self.retransmitted)
            ));
        }
        sentences
    }
}

/// A number of a table whose first line has names and whose second has values.
fn count(text: &str, table: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(table));
    let (names, values) = (lines.next()?, lines.next()?);
    let at = names.split_whitespace().position(|found| found == name)?;
    values.split_whitespace().nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETSTAT: &str = "TcpExt: SyncookiesSent ListenOverflows TCPTimeWaitOverflow\nTcpExt: 1 2 3\n\
                           IpExt: ListenOverflows\nIpExt: 9\n";
    const SNMP: &str = "Ip: RetransSegs\nIp: 7\nTcp: InSegs RetransSegs\nTcp: 5 4\n";

    #[test]
    fn counts_are_found_by_table_and_name() {
        let counts = Counts::read(NETSTAT, SNMP);
        assert_eq!(counts, Counts { listen_overflows: 2, time_wait_overflows: 3, retransmitted: 4 });
        assert_eq!(
            Counts::read("TcpExt: ListenOverflows\n", "Tcp: RetransSegs\nTcp: x\n"),
            Counts::default()
        );
        let later = Counts { time_wait_overflows: 5, ..counts };
        assert_eq!(later.since(&counts), Counts { time_wait_overflows: 2, ..Counts::default() });
    }

    #[test]
    fn nothing_is_said_where_nothing_happened() {
        assert!(Counts::default().sentences().is_empty());
        assert_eq!(Counts::default().time_wait_shortened_s(), None);
        let all = Counts { listen_overflows: 1_000, time_wait_overflows: 2, retransmitted: 3 };
        let sentences = all.sentences();
        assert!(sentences[0].starts_with("kernel: 2 connections had no TIME-WAIT"), "{sentences:?}");
        assert!(sentences[1].starts_with("kernel: 1,000 handshakes found "), "{sentences:?}");
        assert_eq!((sentences.len(), all.time_wait_shortened_s()), (3, Some(0.0)));
    }
}
