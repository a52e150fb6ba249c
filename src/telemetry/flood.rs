//! The figures of a flood: there are no connections, and what is counted is SYNs.

use super::collect::Role;
use super::figures::{Point, per, stages};
use super::run::{Flood, FloodAccount};
use super::text::thousands;
use crate::base::drop_reason::DropReason;
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
    /// Nobody listened on the port.
    pub closed: bool,
}

/// What a server's engine made of SYNs.
struct Made {
    answered: u64,
    refused: u64,
    dropped: u64,
}

impl Made {
    fn by(server: &Point) -> Made {
        let count = |counter| server.counters.get(counter);
        Made {
            answered: count(Counter::CookiesSent) + count(Counter::Syn),
            refused: count(Counter::RstSent),
            dropped: server.counters.dropped(DropReason::RstRateLimited),
        }
    }
}

/// The figures, but for the cycles that passed.
pub(super) fn figures(counted: &Counted<'_>) -> Flood {
    let [client, server] = counted.measured;
    let Syns { sent, answered, .. } = client.syns;
    let all = counted.totals[Role::Client as usize].syns;
    let seconds = counted.seconds[Role::Client as usize];
    // The server's cycles belong to what it did in its own time, which is not quite the client's.
    let made = Made::by(server);
    let by_server = (made.answered + made.refused + made.dropped) as f64;
    let in_all = Made::by(&counted.totals[Role::Server as usize]);
    Flood {
        closed: counted.closed,
        beside: counted.totals[Role::Server as usize].connections,
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
            dropped: in_all.dropped,
            unanswered: all.unanswered().saturating_sub(in_all.dropped),
            wrong: all.wrong,
            answered_by_server: in_all.answered,
            refused_by_server: in_all.refused,
        },
    }
}

/// Both ends count other answers, or some SYNs came to nothing, and by more than what was lost.
pub(super) fn unexplained(account: &FloodAccount, lost: u64) -> Option<String> {
    let FloodAccount { answered, answered_by_server, refused, refused_by_server, unanswered, .. } = *account;
    let differ = |what: &str, by_server: u64, came: u64| {
        (came.abs_diff(by_server) > lost).then(|| {
            format!(
                "The server {what} {} SYNs and {} answers came, but only {} frames were lost in between.",
                thousands(by_server),
                thousands(came),
                thousands(lost)
            )
        })
    };
    let answers = || differ("answered", answered_by_server, answered);
    let resets = || differ("refused", refused_by_server, refused);
    let silence = || {
        (unanswered > lost).then(|| {
            format!(
                "Nothing came back for {} SYNs, but only {} frames were lost.",
                thousands(unanswered),
                thousands(lost)
            )
        })
    };
    answers().or_else(resets).or_else(silence)
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
        let counted = Counted {
            measured: &measured,
            seconds: [0.5, 0.5],
            totals: &totals,
            floor_cycles: Some(100.0),
            closed: false,
        };
        let flood = figures(&counted);
        assert_eq!((flood.syns, flood.answered), (1_000, 990));
        assert_eq!((flood.syns_per_second, flood.answered_per_second), (2_000.0, 1_980.0));
        assert_eq!((flood.answered_share, flood.cycles_per_syn), (0.75, 300.0));
        assert_eq!((flood.stages["rx"], flood.stages["process"], flood.stages["tx"]), (100.0, 150.0, 50.0));
        assert_eq!((flood.account.unanswered, flood.account.answered_by_server), (1_000, 3_100));
        let account = FloodAccount { unanswered: 0, ..flood.account };
        assert!(unexplained(&account, 100).is_none());
        let sentence = unexplained(&account, 99).unwrap();
        assert!(sentence.contains("answered 3,100 SYNs and 3,000 answers came, but only 99"), "{sentence}");
    }

    #[test]
    fn what_a_closed_port_dropped_is_in_the_account_and_in_the_cycles() {
        let totals =
            [Point { syns: Syns { sent: 1_000, refused: 40, ..Syns::default() }, ..Point::default() }, {
                let counters = Counters::default();
                counters.add(Counter::RstSent, 40);
                (0..955).for_each(|_| counters.drop_one(DropReason::RstRateLimited));
                let work = Work { busy_cycles: 99_500, ..Work::default() };
                let counters = Snapshot::of(std::iter::once(&counters));
                Point { counters, work, connections: 7, ..Point::default() }
            }];
        let counted = Counted {
            measured: &totals,
            seconds: [1.0; 2],
            totals: &totals,
            floor_cycles: None,
            closed: true,
        };
        let flood = figures(&counted);
        assert_eq!((flood.cycles_per_syn, flood.beside, flood.closed), (100.0, 7, true));
        let account = &flood.account;
        let parts = [account.answered, account.refused, account.dropped, account.unanswered];
        assert_eq!(parts, [0, 40, 955, 5]);
        assert_eq!(parts.iter().sum::<u64>(), account.syns);
        assert!(unexplained(account, 5).is_none());
        let sentence = unexplained(account, 4).unwrap();
        assert!(sentence.starts_with("Nothing came back for 5 SYNs, but only 4 frames"), "{sentence}");
        let other = FloodAccount { refused_by_server: 46, ..account.clone() };
        assert!(unexplained(&other, 5).unwrap().contains("refused 46 SYNs and 40 answers came"));
    }

    #[test]
    fn a_flood_of_nothing_has_no_infinities() {
        let none = [Point::default(), Point::default()];
        let counted =
            Counted { measured: &none, seconds: [0.0; 2], totals: &none, floor_cycles: None, closed: false };
        let flood = figures(&counted);
        let figures = [flood.answered_per_second, flood.answered_share, flood.cycles_per_syn];
        assert_eq!(figures, [0.0; 3]);
    }
}
