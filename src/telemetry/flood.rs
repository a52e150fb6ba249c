//! The figures of a flood: there are no connections, and what is counted is SYNs.

use super::collect::Role;
use super::figures::{Point, per, stages};
use super::run::{Flood, FloodAccount};
use super::text::thousands;
use crate::stats::counters::Counter;
use crate::stats::syns::Syns;

/// What was counted.
pub(super) struct Counted<'a> {
    /// Of both sides, in the measured time.
    pub measured: &'a [Point; 2],
    /// Its length for each.
    pub seconds: [f64; 2],
    /// Of both sides, up to the end of the drain.
    pub totals: &'a [Point; 2],
    /// Cycles of the same frames when a loop only moves them, on the server's side.
    pub floor_cycles: Option<f64>,
}

/// SYNs that a server's engine answered.
fn answered_by_engine(server: &Point) -> u64 {
    [Counter::CookiesSent, Counter::Syn].iter().map(|counter| server.counters.get(*counter)).sum()
}

/// The figures, but for the cycles that passed.
pub(super) fn figures(counted: &Counted<'_>) -> Flood {
    let [client, server] = counted.measured;
    let Syns { sent, answered, .. } = client.syns;
    let all = counted.totals[Role::Client as usize].syns;
    let seconds = counted.seconds[Role::Client as usize];
    // The server's cycles belong to what it answered in its own time, which is not quite the client's.
    let by_server = answered_by_engine(server) as f64;
    Flood {
        syns: sent,
        answered,
        syns_per_second: per(sent as f64, seconds),
        answered_per_second: per(answered as f64, seconds),
        answered_share: per(all.answered as f64, all.sent as f64),
        cycles_per_syn: per(server.work.busy_cycles as f64, by_server),
        elapsed_cycles_per_syn: 0.0,
        floor_cycles_per_syn: counted.floor_cycles,
        stages: stages(&server.work, by_server),
        account: FloodAccount {
            syns: all.sent,
            answered: all.answered,
            refused: all.refused,
            unanswered: all.unanswered(),
            wrong: all.wrong,
            answered_by_server: answered_by_engine(&counted.totals[Role::Server as usize]),
        },
    }
}

/// Both ends count other answers, and by more than what was lost.
pub(super) fn unexplained(account: &FloodAccount, lost: u64) -> Option<String> {
    let FloodAccount { answered, answered_by_server, .. } = *account;
    (answered.abs_diff(answered_by_server) > lost).then(|| {
        format!(
            "The server answered {} SYNs and {} answers came, but only {} frames were lost in between.",
            thousands(answered_by_server),
            thousands(answered),
            thousands(lost)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::counters::Counters;
    use crate::stats::interval::Work;
    use crate::stats::snapshot::Snapshot;

    fn client(sent: u64, answered: u64) -> Point {
        Point { syns: Syns { sent, answered, ..Syns::default() }, ..Point::default() }
    }

    fn server(cookies: u64) -> Point {
        let counters = Counters::default();
        counters.add(Counter::CookiesSent, cookies);
        let work = Work {
            busy_cycles: 300 * cookies,
            timed_cycles: 30,
            stages: [10, 0, 0, 15, 0, 0, 5],
            ..Work::default()
        };
        Point { counters: Snapshot::of(std::iter::once(&counters)), work, ..Point::default() }
    }

    #[test]
    fn rates_are_of_the_measured_time_and_shares_of_all_of_it() {
        let measured = [client(1_000, 990), server(1_000)];
        let totals = [client(4_000, 3_000), server(3_100)];
        let counted =
            Counted { measured: &measured, seconds: [0.5, 0.5], totals: &totals, floor_cycles: Some(100.0) };
        let flood = figures(&counted);
        assert_eq!((flood.syns, flood.answered), (1_000, 990));
        assert_eq!((flood.syns_per_second, flood.answered_per_second), (2_000.0, 1_980.0));
        assert_eq!((flood.answered_share, flood.cycles_per_syn), (0.75, 300.0));
        assert_eq!((flood.stages["rx"], flood.stages["process"], flood.stages["tx"]), (100.0, 150.0, 50.0));
        assert_eq!((flood.account.unanswered, flood.account.answered_by_server), (1_000, 3_100));
        assert!(unexplained(&flood.account, 100).is_none());
        let sentence = unexplained(&flood.account, 99).unwrap();
        assert!(sentence.contains("answered 3,100 SYNs and 3,000 answers came, but only 99"), "{sentence}");
    }

    #[test]
    fn a_flood_of_nothing_has_no_infinities() {
        let none = [Point::default(), Point::default()];
        let counted = Counted { measured: &none, seconds: [0.0; 2], totals: &none, floor_cycles: None };
        let flood = figures(&counted);
        let figures = [flood.answered_per_second, flood.answered_share, flood.cycles_per_syn];
        assert_eq!(figures, [0.0; 3]);
    }
}
