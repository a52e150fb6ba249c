//! One side's figures: what its loops counted, as accounts, rates and cycles a connection.

use std::collections::BTreeMap;

use hdrhistogram::Histogram as Recorded;

use super::run::{Account, Histogram, Side};
use crate::stats::account::{Broken, Failed, Tally, Way};
use crate::stats::counters::Counter;
use crate::stats::interval::{Interval, STAGES, Work};
use crate::stats::latency::{Latencies, Phase};
use crate::stats::snapshot::Snapshot;
use crate::stats::syns::Syns;

/// The percentiles that a document has.
pub const PERCENTILES: [f64; 6] = [50.0, 90.0, 99.0, 99.9, 99.99, 99.999];

/// Counters of ends that a server's account calls failed.
const FAILED: [Counter; 3] = [Counter::HalfOpenExpired, Counter::HalfOpenReset, Counter::HalfOpenAborted];
/// Counters of ends that a server's account calls broken, besides resets.
const BROKEN: [Counter; 4] =
    [Counter::Aborted, Counter::TimedOut, Counter::Silent, Counter::FinWait2TimedOut];

/// Who knows what became of a side's connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counting {
    /// The loop's own account.
    Tally {
        /// As below; only of a server.
        peer_resets: bool,
    },
    /// The engine's counters: a server, whose application sees only what came so far as to be accepted.
    Counters {
        /// The clients' resets are what was planned, and close a connection.
        peer_resets: bool,
    },
}

/// Counts of one or several loops at one moment.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Point {
    /// Nanoseconds on the run's clock; the mean of several loops.
    pub to_ns: u64,
    /// The client's account.
    pub account: Tally,
    /// A flood's SYNs.
    pub syns: Syns,
    /// The engine's counters.
    pub counters: Snapshot,
    /// Cycles.
    pub work: Work,
    /// Connections at that moment.
    pub connections: u64,
    /// TIME-WAIT records at that moment.
    pub time_wait: u64,
}

impl Point {
    /// What a loop handed over.
    pub fn of(interval: &Interval) -> Point {
        Point {
            to_ns: interval.to_ns,
            account: interval.account,
            syns: interval.syns,
            counters: interval.counters.clone(),
            work: interval.work,
            connections: u64::from(interval.connections),
            time_wait: u64::from(interval.time_wait),
        }
    }

    /// Several loops together.
    pub fn sum<'a>(points: impl Iterator<Item = &'a Point>) -> Point {
        let mut all = Point::default();
        let (mut count, mut to_ns) = (0u128, 0u128);
        for point in points {
            count += 1;
            to_ns += u128::from(point.to_ns);
            all.account = all.account.plus(&point.account);
            all.syns = all.syns.plus(&point.syns);
            all.counters.add(&point.counters);
            all.work = all.work.plus(&point.work);
            all.connections += point.connections;
            all.time_wait += point.time_wait;
        }
        all.to_ns = u64::try_from(to_ns / count.max(1)).unwrap_or(u64::MAX);
        all
    }

    /// What was counted since `earlier`; time and levels are those of now.
    #[must_use]
    pub fn since(&self, earlier: &Point) -> Point {
        Point {
            account: self.account.since(&earlier.account),
            syns: self.syns.since(&earlier.syns),
            counters: self.counters.since(&earlier.counters),
            work: self.work.since(&earlier.work),
            ..self.clone()
        }
    }

    /// Both lengths of time together: counts are added, levels are the other's.
    #[must_use]
    pub fn then(&self, later: &Point) -> Point {
        let sum = Point::sum([self, later].into_iter());
        let account = Tally { in_flight: later.account.in_flight, open: later.account.open, ..sum.account };
        Point { account, connections: later.connections, time_wait: later.time_wait, ..sum }
    }

    /// What became of its connections.
    pub fn account(&self, counting: Counting) -> Account {
        match counting {
            Counting::Tally { peer_resets } => of_tally(&self.account, peer_resets),
            Counting::Counters { peer_resets } => of_counters(&self.counters, peer_resets),
        }
    }

    /// Connections that began by the engine's counters, and those that ended.
    pub fn begun_and_ended(&self) -> (u64, u64) {
        let sum = |all: &[Counter]| all.iter().map(|counter| self.counters.get(*counter)).sum::<u64>();
        let begun = [Counter::Syn, Counter::CookiesGood, Counter::SynSent];
        let unopened = [Counter::Refused, Counter::SynTimedOut, Counter::Unreachable, Counter::SynAborted];
        let opened = [Counter::Finished, Counter::ResetByPeer];
        let abandoned = named(&self.counters, "abandoned").unwrap_or(0);
        (sum(&begun), sum(&unopened) + sum(&opened) + sum(&FAILED) + sum(&BROKEN) + abandoned)
    }
}

/// Counters by name, so that a side without some of them has figures all the same.
fn named(counters: &Snapshot, name: &str) -> Option<u64> {
    let counter = Counter::ALL.iter().find(|counter| counter.name() == name)?;
    Some(counters.get(*counter))
}

/// Those that are not zero.
fn present(all: impl Iterator<Item = (&'static str, u64)>) -> BTreeMap<String, u64> {
    all.filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_owned(), n)).collect()
}

fn of_tally(tally: &Tally, peer_resets: bool) -> Account {
    let failed = Failed::ALL.iter().map(|why| why.name()).zip(tally.failed);
    let mut closed: Vec<_> = Way::ALL.iter().map(|way| way.name()).zip(tally.closed).collect();
    let is_planned = |why: Broken| peer_resets && why == Broken::Reset;
    let ends = || Broken::ALL.iter().copied().zip(tally.broken);
    let broken = ends().filter(|(why, _)| !is_planned(*why)).map(|(why, n)| (why.name(), n));
    // As a server's engine calls them.
    let planned = ends().filter(|(why, _)| is_planned(*why));
    closed.extend(planned.map(|(_, n)| (Counter::ResetByPeer.name(), n)));
    Account {
        attempted: tally.attempted,
        established: tally.established,
        in_flight: tally.in_flight,
        open: tally.open,
        failed: present(failed),
        closed: present(closed.into_iter()),
        broken: present(broken),
        requests: tally.requests,
        replies: tally.replies,
        octets_sent: tally.octets_sent,
        octets_received: tally.octets_received,
    }
}

fn of_counters(counters: &Snapshot, peer_resets: bool) -> Account {
    let count = |counter: &Counter| (counter.name(), counters.get(*counter));
    let abandoned = ("abandoned", named(counters, "abandoned").unwrap_or(0));
    let resets = std::iter::once(count(&Counter::ResetByPeer));
    let mut closed = present([count(&Counter::Finished), abandoned].into_iter());
    let mut broken = present(BROKEN.iter().map(count));
    let resets = present(resets);
    if peer_resets {
        closed.extend(resets)
    } else {
        broken.extend(resets)
    }
    let mut account = Account {
        attempted: counters.get(Counter::Syn) + counters.get(Counter::CookiesGood),
        established: counters.get(Counter::Established),
        failed: present(FAILED.iter().map(count)),
        closed,
        broken,
        octets_sent: counters.get(Counter::OctetsAcked),
        octets_received: counters.get(Counter::OctetsReceived),
        ..Account::default()
    };
    account.in_flight = account.attempted.saturating_sub(account.established + account.failed_all());
    account.open = account.established.saturating_sub(account.closed_all() + account.broken_all());
    account
}

/// What is known of a side besides what its loops counted.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SideFacts {
    /// Bytes of memory for each connection.
    pub bytes_per_connection: u64,
    /// Bytes of memory for each TIME-WAIT entry.
    pub bytes_per_time_wait: u64,
    /// Cycles of the same frames when a loop only moves them.
    pub floor_cycles_per_connection: Option<f64>,
    /// What its device lost in the whole run.
    pub losses: crate::stats::losses::Losses,
}

/// What a side counted, and over which time.
pub(super) struct Counts<'a> {
    pub counting: Counting,
    /// In the measured time.
    pub measured: &'a Point,
    /// Its length.
    pub seconds: f64,
    /// Up to the end of the drain.
    pub all: &'a Point,
    /// Connections and TIME-WAIT records, on average.
    pub levels: [f64; 2],
    pub latencies: Option<&'a Latencies>,
}

/// `a / b`, or 0 where there is nothing to divide by: a document has no infinities.
pub(super) fn per(a: f64, b: f64) -> f64 {
    if b > 0.0 { a / b } else { 0.0 }
}

/// A side's figures, but for those that need the other side.
pub(super) fn side(counts: &Counts<'_>, facts: &SideFacts) -> Side {
    let Counts { measured, all, seconds, .. } = *counts;
    let account = measured.account(counts.counting);
    let closed = account.closed_all() as f64;
    let counters = &measured.counters;
    let packets = counters.get(Counter::RxSegments) + counters.get(Counter::TxSegments);
    let [rx_batch, tx_batch] = batches(measured);
    Side {
        established: account.established,
        closed: account.closed_all(),
        connections_per_second: per(closed, seconds),
        cycles_per_connection: per(measured.work.busy_cycles as f64, closed),
        elapsed_cycles_per_connection: 0.0,
        floor_cycles_per_connection: facts.floor_cycles_per_connection,
        packets_per_connection: per(packets as f64, closed),
        busy_share: measured.work.busy_share(),
        stages: stages(&measured.work, closed),
        rx_batch,
        tx_batch,
        bytes_per_connection: facts.bytes_per_connection,
        bytes_per_time_wait: facts.bytes_per_time_wait,
        retransmitted: retransmitted(counters),
        time_wait_evicted: all.counters.get(Counter::TimeWaitEvicted),
        connections: counts.levels[0],
        time_wait: counts.levels[1],
        account: all.account(counts.counting),
        dropped: all.counters.drops().map(|(reason, n)| (reason.name().to_owned(), n)).collect(),
        histograms: counts.latencies.map(histograms).unwrap_or_default(),
    }
}

/// Segments that went again, the handshake's included.
fn retransmitted(counters: &Snapshot) -> u64 {
    [Counter::Retransmissions, Counter::SynRepeated, Counter::SynAckRepeated]
        .iter()
        .map(|counter| counters.get(*counter))
        .sum()
}

/// Frames that one call received, and that one call sent; frames a busy pass where calls are not counted.
fn batches(point: &Point) -> [f64; 2] {
    let passes = point.work.busy_passes;
    let batch = |frames: Counter, calls: &str| {
        let calls = named(&point.counters, calls).unwrap_or(passes);
        per(point.counters.get(frames) as f64, calls as f64)
    };
    [batch(Counter::RxFrames, "rx_bursts"), batch(Counter::TxFrames, "tx_bursts")]
}

/// Cycles a unit of work in each stage: the shares of the passes that were timed, of all busy cycles.
pub(super) fn stages(work: &Work, units: f64) -> BTreeMap<String, f64> {
    let mut stages = BTreeMap::new();
    let scale = per(work.busy_cycles as f64, work.timed_cycles as f64);
    if scale > 0.0 {
        let in_stages: u64 = work.stages.iter().sum();
        let between = work.timed_cycles.saturating_sub(in_stages);
        // Who has no stages is not told of each.
        let told = STAGES.iter().zip(work.stages).filter(|_| in_stages > 0);
        for (name, cycles) in told.chain([(&"other", between)]) {
            stages.insert((*name).to_owned(), per(cycles as f64 * scale, units));
        }
    }
    stages.insert("idle".to_owned(), per(work.idle_cycles as f64, units));
    stages
}

/// The histograms of phases that happened.
fn histograms(latencies: &Latencies) -> BTreeMap<String, Histogram> {
    let all = Phase::ALL.iter().map(|phase| (phase.name().to_owned(), latencies.of(*phase)));
    all.filter(|(_, recorded)| !recorded.is_empty())
        .map(|(name, recorded)| (name, histogram(&recorded)))
        .collect()
}

fn histogram(recorded: &Recorded<u64>) -> Histogram {
    let at = |p: &f64| (p.to_string(), recorded.value_at_percentile(*p).min(recorded.max()));
    Histogram {
        count: recorded.len(),
        minimum: recorded.min(),
        mean: recorded.mean(),
        maximum: recorded.max(),
        percentiles: PERCENTILES.iter().map(at).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::counters::Counters;

    fn point(counts: &[(Counter, u64)]) -> Point {
        let counters = Counters::default();
        counts.iter().for_each(|(counter, n)| counters.add(*counter, *n));
        Point { counters: Snapshot::of(std::iter::once(&counters)), ..Point::default() }
    }

    #[test]
    fn a_server_s_account_follows_from_its_counters_and_balances() {
        let server = point(&[
            (Counter::Syn, 90),
            (Counter::CookiesGood, 10),
            (Counter::Established, 93),
            (Counter::HalfOpenExpired, 2),
            (Counter::HalfOpenReset, 1),
            (Counter::Finished, 80),
            (Counter::ResetByPeer, 5),
            (Counter::TimedOut, 1),
            (Counter::OctetsAcked, 700),
        ]);
        let account = server.account(Counting::Counters { peer_resets: false });
        assert_eq!((account.attempted, account.established), (100, 93));
        assert_eq!((account.failed_all(), account.in_flight), (3, 4));
        assert_eq!((account.closed_all(), account.broken_all(), account.open), (80, 6, 7));
        assert_eq!(account.octets_sent, 700);
        let planned = server.account(Counting::Counters { peer_resets: true });
        assert_eq!((planned.closed_all(), planned.broken_all(), planned.open), (85, 1, 7));
        assert_eq!(server.begun_and_ended(), (100, 89));
    }

    #[test]
    fn a_server_s_own_account_calls_planned_resets_closed() {
        let mut point = Point::default();
        (point.account.attempted, point.account.established) = (9, 9);
        point.account.closed[Way::Peer as usize] = 2;
        point.account.broken[Broken::Reset as usize] = 5;
        point.account.broken[Broken::Cut as usize] = 1;
        point.account.open = 1;
        let account = point.account(Counting::Tally { peer_resets: false });
        assert_eq!((account.closed_all(), account.broken_all(), account.open), (2, 6, 1));
        let planned = point.account(Counting::Tally { peer_resets: true });
        assert_eq!((planned.closed_all(), planned.broken_all(), planned.open), (7, 1, 1));
        assert_eq!(planned.closed["reset_by_peer"], 5);
    }

    #[test]
    fn stages_are_scaled_from_timed_passes_to_all_of_them() {
        let work = Work {
            busy_cycles: 1_000,
            idle_cycles: 500,
            timed_cycles: 100,
            stages: [10, 20, 0, 40, 0, 20, 5],
            ..Work::default()
        };
        let stages = stages(&work, 10.0);
        assert_eq!(stages["process"], 40.0);
        assert_eq!(stages["other"], 5.0);
        assert_eq!(stages["idle"], 50.0);
        let busy: f64 = stages.iter().filter(|(name, _)| *name != "idle").map(|(_, n)| n).sum();
        assert!((busy - 100.0).abs() < 1e-9, "the stages are all busy cycles: {busy}");
        let untimed = Work { timed_cycles: 0, stages: [0; STAGES.len()], ..work };
        assert_eq!(super::stages(&untimed, 10.0).len(), 1);
        let without = Work { stages: [0; STAGES.len()], ..work };
        let all: Vec<_> = super::stages(&without, 10.0).into_iter().collect();
        assert_eq!(all, [("idle".to_owned(), 50.0), ("other".to_owned(), 100.0)]);
    }

    #[test]
    fn figures_are_for_each_connection_that_was_closed() {
        let mut measured = point(&[
            (Counter::RxSegments, 300),
            (Counter::TxSegments, 300),
            (Counter::Retransmissions, 1),
            (Counter::SynRepeated, 2),
            (Counter::SynAckRepeated, 3),
        ]);
        measured.account.closed[Way::Fin as usize] = 100;
        measured.account.broken[Broken::Reset as usize] = 7;
        measured.work = Work { busy_cycles: 50_000, idle_cycles: 50_000, ..Work::default() };
        let mut latencies = Latencies::default();
        (1..=1_000).for_each(|us| latencies.record(Phase::Syn, us * 1_000));
        let counts = Counts {
            counting: Counting::Tally { peer_resets: false },
            measured: &measured,
            seconds: 0.5,
            all: &measured,
            levels: [3.0, 4.0],
            latencies: Some(&latencies),
        };
        let side = side(&counts, &SideFacts { bytes_per_connection: 256, ..SideFacts::default() });
        assert_eq!((side.closed, side.connections_per_second), (100, 200.0));
        assert_eq!((side.cycles_per_connection, side.busy_share), (500.0, 0.5));
        assert_eq!((side.packets_per_connection, side.retransmitted), (6.0, 6));
        assert_eq!((side.connections, side.time_wait, side.bytes_per_connection), (3.0, 4.0, 256));
        assert_eq!(side.histograms.keys().collect::<Vec<_>>(), ["syn"]);
        let syn = &side.histograms["syn"];
        assert_eq!((syn.count, syn.percentiles.len()), (1_000, PERCENTILES.len()));
        assert!((syn.percentiles["99"] as f64 - 990e3).abs() < 1_000.0, "{syn:?}");
        assert!(syn.percentiles["99.999"] <= syn.maximum);
    }

    #[test]
    fn nothing_closed_makes_no_infinities() {
        let nothing = Point { work: Work { busy_cycles: 5, ..Work::default() }, ..Point::default() };
        let counts = Counts {
            counting: Counting::Tally { peer_resets: false },
            measured: &nothing,
            seconds: 0.0,
            all: &nothing,
            levels: [0.0; 2],
            latencies: None,
        };
        let side = side(&counts, &SideFacts::default());
        let figures = [side.cycles_per_connection, side.connections_per_second, side.rx_batch];
        assert_eq!(figures, [0.0; 3]);
        assert!(side.stages.values().all(|cycles| cycles.is_finite()));
    }
}
