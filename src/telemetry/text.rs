//! Reports for people: a block every interval, and the final account.

use std::fmt::Write;
use std::time::Duration;

use crate::base::drop_reason::DropReason;
pub use crate::base::text::thousands;
use crate::stats::counters::Counter;
use crate::stats::losses::Losses;
use crate::stats::snapshot::Snapshot;

/// Fill levels of all shards together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Levels {
    /// Connections, half-open ones left out.
    pub open: u64,
    /// Half-open connections.
    pub half_open: u64,
    /// TIME-WAIT records.
    pub time_wait: u64,
    /// To how many milliseconds TIME-WAIT was shortened at worst, if it was.
    pub time_wait_shortened_ms: Option<u32>,
}

fn per_second(n: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(1e-3);
    thousands((n as f64 / seconds).round() as u64)
}

/// The block of one interval: `change` happened in the last `elapsed`, `age` after the start.
pub fn interval(age: Duration, elapsed: Duration, change: &Snapshot, levels: Levels) -> String {
    let rate = |counter| per_second(change.get(counter), elapsed);
    let mbit = |counter| change.get(counter) as f64 * 8.0 / 1e6 / elapsed.as_secs_f64().max(1e-3);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{:>7.1}s  opened {}/s  closed {}/s  open {}  half-open {}  time-wait {}",
        age.as_secs_f64(),
        rate(Counter::Established),
        rate(Counter::Finished),
        thousands(levels.open),
        thousands(levels.half_open),
        thousands(levels.time_wait),
    );
    let _ = writeln!(
        text,
        "          rx {}/s {:.1} Mbit/s  tx {}/s {:.1} Mbit/s  resets {}  retransmitted {}",
        rate(Counter::RxFrames),
        mbit(Counter::RxBytes),
        rate(Counter::TxFrames),
        mbit(Counter::TxBytes),
        thousands(change.get(Counter::ResetByPeer) + change.get(Counter::RstSent)),
        thousands(change.get(Counter::Retransmissions)),
    );
    let drops: Vec<_> =
        change.drops().map(|(reason, n)| format!("{} {}", reason.name(), thousands(n))).collect();
    if !drops.is_empty() {
        let _ = writeln!(text, "          dropped: {}", drops.join("  "));
    }
    text
}

/// What a port lost in an interval, as a line of its block; nothing when it lost nothing.
pub fn port_lost(port: &str, change: &Losses) -> String {
    let lost: Vec<_> = change
        .each()
        .into_iter()
        .filter(|(_, n, _)| *n > 0)
        .map(|(name, n, _)| format!("{name} {}", thousands(n)))
        .collect();
    if lost.is_empty() { String::new() } else { format!("          {port} lost: {}\n", lost.join("  ")) }
}

/// What a port lost in all, as lines of the account, and what to do about it.
pub fn port_account(port: &str, all: &Losses) -> String {
    let mut text = String::new();
    for (name, n, sentence) in all.each().into_iter().filter(|(_, n, _)| *n > 0) {
        let _ = writeln!(text, "  {:<24} {:>15}  {sentence}", format!("{port} {name}"), thousands(n));
    }
    if all.rx_missed > 0 {
        let _ = writeln!(
            text,
            "  {port} was not emptied in time: give its loop a core of its own, or fewer ports."
        );
    }
    text
}

/// The final account.
pub fn account(age: Duration, all: &Snapshot, levels: Levels, time_wait: Duration) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "account after {:.1}s", age.as_secs_f64());
    for counter in Counter::ALL {
        let n = all.get(*counter);
        if n > 0 {
            let _ = writeln!(text, "  {:<24} {:>15}  {}", counter.name(), thousands(n), counter.sentence());
        }
    }
    let _ = writeln!(
        text,
        "  {:<24} {:>15}  Connections and half-open ones that are left.",
        "open",
        thousands(levels.open + levels.half_open)
    );
    for (reason, n) in all.drops() {
        let _ = writeln!(text, "  dropped {:<16} {:>15}  {}", reason.name(), thousands(n), reason.sentence());
    }
    if let Some(ms) = levels.time_wait_shortened_ms {
        let _ = writeln!(
            text,
            "  TIME-WAIT was shortened to {:.1}s instead of {:.1}s: give a larger --time-wait-max.",
            f64::from(ms) / 1e3,
            time_wait.as_secs_f64()
        );
    }
    text
}

/// A sentence for what an operator can mend, where the counters show it.
pub fn advice(all: &Snapshot) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut advise = |reason: DropReason, cure: &str| {
        let n = all.dropped(reason);
        if n > 0 {
            sentences.push(format!("{} {}: {cure}", thousands(n), reason.name()));
        }
    };
    advise(DropReason::NoTcb, "every connection slot was in use; give a larger --max-connections.");
    advise(DropReason::SynQueueFull, "the half-open queue was full; give a larger --backlog.");
    advise(DropReason::AcceptQueueFull, "the accept queue was full; give a larger --backlog.");
    advise(DropReason::NoBuffer, "the memory for data was used up; give a larger --buffers.");
    advise(DropReason::TcpChecksum, "checksums were wrong; something on the way damages frames.");
    advise(
        DropReason::TcpChecksumPartial,
        "checksums were left to a device that does not sum; `ethtool -K IFACE tx off tso off gso off` on the peer's \
         interface (a veth's other end) makes them whole.",
    );
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::counters::Counters;

    #[test]
    fn a_port_s_losses_are_named_and_nothing_is_said_of_none() {
        let none = Losses::default();
        assert_eq!(
            (port_lost("net_tap0", &none), port_account("net_tap0", &none)),
            (String::new(), String::new())
        );
        let some = Losses { rx_missed: 1_200, tx_errors: 3, ..none };
        assert_eq!(port_lost("net_tap0", &some), "          net_tap0 lost: rx_missed 1,200  tx_errors 3\n");
        let text = port_account("net_tap0", &some);
        assert!(
            text.contains("net_tap0 rx_missed") && text.contains("1,200") && text.contains("a core"),
            "{text}"
        );
    }

    #[test]
    fn a_block_names_rates_levels_and_drops() {
        let counters = Counters::default();
        counters.add(Counter::Established, 2_000);
        counters.drop_one(DropReason::SynQueueFull);
        let change = Snapshot::of(std::iter::once(&counters));
        let levels = Levels { open: 12, half_open: 3, time_wait: 4_000, time_wait_shortened_ms: Some(1_500) };
        let text = interval(Duration::from_secs(9), Duration::from_millis(500), &change, levels);
        assert!(text.contains("9.0s  opened 4,000/s") && text.contains("time-wait 4,000"), "{text}");
        assert!(text.contains("dropped: syn_queue_full 1"), "{text}");
        let text = account(Duration::from_secs(9), &change, levels, Duration::from_secs(60));
        assert!(
            text.contains("established") && text.contains("shortened to 1.5s instead of 60.0s"),
            "{text}"
        );
        assert!(advice(&change)[0].contains("--backlog"));
    }

    #[test]
    fn partial_checksums_are_told_from_damage_with_the_line_that_cures_them() {
        let told = |reason| {
            let counters = Counters::default();
            counters.drop_one(reason);
            advice(&Snapshot::of(std::iter::once(&counters)))
        };
        let partial = told(DropReason::TcpChecksumPartial);
        assert!(partial.len() == 1 && partial[0].contains("`ethtool -K IFACE tx off tso off gso off`"));
        let damaged = told(DropReason::TcpChecksum);
        assert!(damaged.len() == 1 && !damaged[0].contains("ethtool"), "{damaged:?}");
    }
}
