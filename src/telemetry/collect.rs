//! Gathers what all loops of a run hand over, puts together what belongs to the same moment, checks that it balances,
//! and makes the run's figures of it. What is measured is the difference between two moments that all loops share.

mod compared;

use std::collections::BTreeMap;
use std::ops::Range;

use thiserror::Error;

use compared::{Compared, Extent, Moment};

use super::figures::{self, Counting, Counts, Point, SideFacts};
use super::flood;
use super::joined;
use super::run::{Account, Run, Second, Side, Tables};
use super::stream;
use crate::load::schedule::Schedule;
use crate::stats::account::{Failed, Imbalance, Tally};
use crate::stats::counters::Counter;
use crate::stats::interval::Interval;
use crate::stats::latency::{Latencies, Phase};

/// One of both ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Role {
    /// It opens.
    Client,
    /// It listens.
    Server,
}

impl Role {
    /// Both, in order.
    pub const BOTH: [Role; 2] = [Role::Client, Role::Server];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Server => "server",
        }
    }
}

/// One side of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SidePlan {
    /// Its loops, numbered from 0.
    pub loops: u32,
    /// They run our engine, so that there are counters; otherwise they have an account alone.
    pub engine: bool,
}

/// What is going to be handed over.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Plan {
    /// What the client does; without stages everything is measured.
    pub schedule: Schedule,
    /// The client, where it is ours.
    pub client: Option<SidePlan>,
    /// The server, where it is ours.
    pub server: Option<SidePlan>,
    /// Clients reset as planned, so that a server counts that as closed.
    pub peer_resets: bool,
    /// The client floods: what is counted is SYNs.
    pub flood: bool,
}

impl Plan {
    /// One side, where it is ours.
    pub fn side(&self, role: Role) -> Option<SidePlan> {
        match role {
            Role::Client => self.client,
            Role::Server => self.server,
        }
    }

    /// The side whose connections are told of second by second.
    fn leading(&self) -> Role {
        if self.client.is_some() { Role::Client } else { Role::Server }
    }
}

/// What the loops do not know of a run.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Facts {
    /// What one connection was.
    pub profile: String,
    /// Connections at a time, in a closed loop.
    pub concurrency: Option<u64>,
    /// Launches a second, in an open loop.
    pub rate: Option<f64>,
    /// The number of this repeat, from 1.
    pub repeat: u32,
    /// Cores on which the loops ran; fewer than loops where several took turns.
    pub cores: u32,
    /// Cycles of the time stamp counter a second.
    pub tsc_hz: u64,
    /// TIME-WAIT in seconds.
    pub time_wait_s: f64,
    /// The shortest TIME-WAIT that an eviction left, in seconds.
    pub time_wait_shortened_s: Option<f64>,
    /// What the tables lay on.
    pub tables: Option<Tables>,
    /// Of a flood: nobody listened on the port.
    pub closed: bool,
    /// Bits of a stream's text that a loop copies and sums in a second.
    pub copied_bits_per_second: Option<f64>,
    /// Of the client.
    pub client: SideFacts,
    /// Of the server.
    pub server: SideFacts,
}

/// A run that cannot be trusted: a defect of this program.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum CollectError {
    /// A loop's own account.
    #[error("the account of {} loop {number} does not balance: {imbalance}", role.name())]
    Account {
        /// The side.
        role: Role,
        /// The loop.
        number: u32,
        /// What differs.
        imbalance: Imbalance,
    },
    /// A client's account and its engine's counters.
    #[error(
        "client loop {number} and its engine differ: {counted} {what} in its account, {engine} by the engine: please report it"
    )]
    Engine {
        /// The loop.
        number: u32,
        /// What differs.
        what: &'static str,
        /// In the account.
        counted: u64,
        /// By the engine's counters.
        engine: u64,
    },
    /// An engine's counters and its tables.
    #[error(
        "{} loop {number} began {begun} connections and ended {ended}, but has {left}: please report it",
        role.name()
    )]
    Table {
        /// The side.
        role: Role,
        /// The loop.
        number: u32,
        /// Connections begun, those included that it had at the start.
        begun: u64,
        /// Connections ended.
        ended: u64,
        /// Connections in its table.
        left: u64,
    },
    /// An interval of a loop that nobody announced.
    #[error("there is no {} loop {number}: please report it", role.name())]
    NoLoop {
        /// The side.
        role: Role,
        /// The loop.
        number: u32,
    },
}

/// A moment that all loops have reached.
#[derive(Clone, Debug)]
pub struct Ready {
    /// What happened since the moment before.
    pub second: Second,
    /// Nanoseconds on the run's clock: the moment before.
    pub from_ns: u64,
    /// This moment.
    pub to_ns: u64,
    /// Latencies of measured connections that were recorded in between, of all loops.
    pub latencies: Latencies,
}

/// One loop.
#[derive(Clone, Debug, Default)]
struct Loop {
    /// What it had counted when the run's clock started.
    base: Point,
    /// The last that it handed over, without the base.
    last: Point,
    mark_ns: u64,
    ended: bool,
}

/// What came for one mark.
#[derive(Clone, Debug, Default)]
struct Pending {
    points: BTreeMap<(usize, u32), Point>,
    latencies: Latencies,
}

/// A time that is measured.
#[derive(Clone, Debug)]
struct Measured {
    range: Range<u64>,
    first: Option<Moment>,
    last: Option<Moment>,
}

/// Samples of levels.
#[derive(Clone, Copy, Debug, Default)]
struct Levels {
    samples: u64,
    /// Sums of connections and TIME-WAIT records of each side.
    sums: [[u64; 2]; 2],
}

/// Gathers intervals.
#[derive(Debug)]
pub struct Collector {
    plan: Plan,
    loops: [Vec<Loop>; 2],
    pending: BTreeMap<u64, Pending>,
    measured: Vec<Measured>,
    levels: Levels,
    now: Moment,
    mark_ns: u64,
    stopped_ns: u64,
    latencies: Latencies,
    series: Vec<Second>,
}

impl Collector {
    /// A collector for a run whose clock starts at 0.
    pub fn new(plan: Plan) -> Self {
        let loops =
            |side: Option<SidePlan>| vec![Loop::default(); side.map_or(0, |side| side.loops as usize)];
        let ranges = if plan.schedule.stages.is_empty() {
            std::iter::once(0..u64::MAX).collect()
        } else {
            plan.schedule.measured()
        };
        let mut collector = Collector {
            loops: [loops(plan.client), loops(plan.server)],
            plan,
            pending: BTreeMap::new(),
            measured: ranges.into_iter().map(|range| Measured { range, first: None, last: None }).collect(),
            levels: Levels::default(),
            now: Moment::default(),
            mark_ns: 0,
            stopped_ns: u64::MAX,
            latencies: Latencies::default(),
            series: Vec::new(),
        };
        collector.measure(0);
        collector
    }

    /// Takes what a loop handed over. One with mark 0 says what it had counted before the run. Returns the moments that
    /// all loops have reached by it.
    ///
    /// # Errors
    /// It does not balance, or there is no such loop.
    pub fn add(&mut self, role: Role, number: u32, interval: &Interval) -> Result<Vec<Ready>, CollectError> {
        let whole = Point::of(interval);
        whole.account.check().map_err(|imbalance| CollectError::Account { role, number, imbalance })?;
        let side = role as usize;
        let engine = self.plan.side(role).is_some_and(|side| side.engine);
        let one = self.loops[side].get_mut(number as usize).ok_or(CollectError::NoLoop { role, number })?;
        if interval.mark_ns == 0 {
            // An account has connections alone, and all of them are the run's: a server may have met the first ones
            // before it noticed that the run had begun.
            one.base = if engine { whole } else { Point { account: Tally::default(), ..whole } };
            return Ok(Vec::new());
        }
        let point = whole.since(&one.base);
        if engine {
            same_as_table(role, number, &one.base, &point)?;
        }
        if engine && role == Role::Client {
            same_as_engine(number, &point)?;
        }
        one.last = point.clone();
        one.mark_ns = interval.mark_ns;
        let pending = self.pending.entry(interval.mark_ns).or_default();
        pending.points.insert((side, number), point);
        pending.latencies.add(&interval.latencies);
        Ok(self.settle())
    }

    /// A loop hands nothing over any more: what it counted stays as it is. Returns the moments that waited for it.
    pub fn ended(&mut self, role: Role, number: u32) -> Vec<Ready> {
        if let Some(one) = self.loops[role as usize].get_mut(number as usize) {
            one.ended = true;
        }
        self.settle()
    }

    /// The client launches nothing after `at_ns`, before its schedule's end: what follows is not measured. To be called
    /// before intervals of later moments are handed over.
    pub fn stop(&mut self, at_ns: u64) {
        self.stopped_ns = self.stopped_ns.min(at_ns);
    }

    /// The account of all client loops so far.
    pub fn client(&self) -> Account {
        self.total(Role::Client).account(self.counting(Role::Client))
    }

    /// The account of all server loops so far.
    pub fn server(&self) -> Account {
        self.total(Role::Server).account(self.counting(Role::Server))
    }

    /// Latencies of measured connections so far, of the moments that all loops have reached.
    pub fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// The run's figures, when all loops have handed over their last interval.
    pub fn finish(self, facts: &Facts) -> Run {
        self.results(facts).0
    }

    /// The run's figures, and the latencies behind them, whose every percentile can still be told.
    pub fn results(mut self, facts: &Facts) -> (Run, Latencies) {
        self.loops.iter_mut().flatten().for_each(|one| one.ended = true);
        self.settle();
        let Compared { points: measured, seconds, of } = self.compared();
        let mut run = Run {
            profile: facts.profile.clone(),
            concurrency: facts.concurrency,
            rate: facts.rate,
            repeat: facts.repeat,
            cores: facts.cores,
            warm_up_s: self.warm_up_s(),
            time_wait_s: facts.time_wait_s,
            time_wait_shortened_s: facts.time_wait_shortened_s,
            tables: facts.tables.clone(),
            ..Run::default()
        };
        if of == Extent::All {
            run.warm_up_s = 0.0;
        }
        run.warnings.extend(of.sentence().map(str::to_owned));
        let totals = Role::BOTH.map(|role| self.total(role));
        run.duration_s = seconds[self.plan.leading() as usize];
        run.client = self.side(Role::Client, &measured, seconds, &totals, &facts.client);
        run.server = self.side(Role::Server, &measured, seconds, &totals, &facts.server);
        if self.plan.flood {
            let floor_cycles = facts.server.floor_cycles_per_connection;
            let closed = facts.closed;
            let counted =
                flood::Counted { measured: &measured, seconds, totals: &totals, floor_cycles, closed };
            run.flood = Some(flood::figures(&counted));
        }
        if facts.profile == "stream" {
            let [client, server] =
                Role::BOTH.map(|role| measured[role as usize].account(self.counting(role)));
            let server = self.plan.server.map(|_| (&server, seconds[1]));
            run.stream = Some(stream::figures((&client, seconds[0]), server, facts.copied_bits_per_second));
        }
        let both = joined::Both { plan: &self.plan, facts, totals: &totals, measured: &measured, seconds };
        joined::complete(&mut run, &both);
        run.series = self.series;
        (run, self.latencies)
    }

    fn side(
        &self,
        role: Role,
        measured: &[Point; 2],
        seconds: [f64; 2],
        totals: &[Point; 2],
        facts: &SideFacts,
    ) -> Option<Side> {
        self.plan.side(role)?;
        let at = role as usize;
        let samples = self.levels.samples.max(1) as f64;
        let counts = Counts {
            counting: self.counting(role),
            measured: &measured[at],
            seconds: seconds[at],
            all: &totals[at],
            levels: self.levels.sums[at].map(|sum| sum as f64 / samples),
            latencies: (role == Role::Client).then_some(&self.latencies),
        };
        let mut side = figures::side(&counts, facts);
        if self.plan.flood {
            // What is told of each connection has no meaning where there is none.
            side.stages.clear();
            side.floor_cycles_per_connection = None;
        }
        Some(side)
    }

    fn counting(&self, role: Role) -> Counting {
        match (role, self.plan.server) {
            (Role::Server, Some(SidePlan { engine: true, .. })) => {
                Counting::Counters { peer_resets: self.plan.peer_resets }
            }
            (Role::Server, _) => Counting::Tally { peer_resets: self.plan.peer_resets },
            (Role::Client, _) => Counting::Tally { peer_resets: false },
        }
    }

    fn total(&self, role: Role) -> Point {
        Point::sum(self.loops[role as usize].iter().map(|one| &one.last))
    }

    /// What was counted in the measured time by each side. Where that has no two moments it is all the time, or of a run
    /// that was interrupted what there is behind ramp and warm-up.
    fn compared(&self) -> Compared {
        let mut all: Option<Compared> = None;
        for measured in &self.measured {
            let (Some(first), Some(last)) = (&measured.first, &measured.last) else { continue };
            let next = Compared::between(first, last);
            all = Some(match all {
                None => next,
                Some(before) => before.then(&next),
            });
        }
        let end = || Moment { sides: Role::BOTH.map(|role| self.total(role)) };
        let begun = || self.measured.iter().find_map(|measured| measured.first.as_ref());
        match all {
            Some(all) => all,
            None if self.stopped_ns == u64::MAX => {
                Compared { of: Extent::All, ..Compared::between(&Moment::default(), &end()) }
            }
            None => match begun() {
                Some(first) => Compared { of: Extent::Begun, ..Compared::between(first, &end()) },
                None => Compared::default(),
            },
        }
    }

    fn warm_up_s(&self) -> f64 {
        let first = self.measured.first().map_or(0, |measured| measured.range.start);
        first as f64 / 1e9
    }

    /// Puts together what all loops have reached.
    fn settle(&mut self) -> Vec<Ready> {
        let reached = self.loops.iter().flatten().filter(|one| !one.ended).map(|one| one.mark_ns).min();
        let reached = reached.unwrap_or(u64::MAX);
        let mut ready = Vec::new();
        while let Some(entry) = self.pending.first_entry().filter(|entry| *entry.key() <= reached) {
            let (mark_ns, pending) = entry.remove_entry();
            match self.moment(&pending) {
                Some(moment) => ready.push(self.reach(mark_ns, moment, pending.latencies)),
                // A loop left this mark out: its latencies belong to the next one.
                None => match self.pending.first_entry() {
                    Some(mut next) => next.get_mut().latencies.add(&pending.latencies),
                    None => self.latencies.add(&pending.latencies),
                },
            }
        }
        ready
    }

    /// All loops at one mark; `None` when one of them left it out.
    fn moment(&self, pending: &Pending) -> Option<Moment> {
        let mut sides = [Point::default(), Point::default()];
        for (at, (side, into)) in self.loops.iter().zip(&mut sides).enumerate() {
            let mut points = Vec::with_capacity(side.len());
            for (number, one) in (0u32..).zip(side) {
                let given = pending.points.get(&(at, number));
                points.push(given.or_else(|| one.ended.then_some(&one.last))?);
            }
            *into = Point::sum(points.into_iter());
        }
        Some(Moment { sides })
    }

    fn reach(&mut self, mark_ns: u64, moment: Moment, latencies: Latencies) -> Ready {
        let before = std::mem::replace(&mut self.now, moment);
        let at = self.plan.leading() as usize;
        let (from_ns, to_ns) = (before.sides[at].to_ns, self.now.sides[at].to_ns);
        let phase = self.phase(self.mark_ns.midpoint(mark_ns));
        let second = self.second(&before, phase, &latencies);
        self.latencies.add(&latencies);
        self.mark_ns = mark_ns;
        self.measure(mark_ns);
        self.series.push(second.clone());
        Ready { second, from_ns, to_ns, latencies }
    }

    fn second(&self, before: &Moment, phase: &str, latencies: &Latencies) -> Second {
        let role = self.plan.leading();
        let at = role as usize;
        let counting = self.counting(role);
        let (was, is) = (&before.sides[at], &self.now.sides[at]);
        let (earlier, now) = (was.account(counting), is.account(counting));
        let added = |of: fn(&Account) -> u64| of(&now).saturating_sub(of(&earlier));
        let len_s = is.to_ns.saturating_sub(was.to_ns) as f64 / 1e9;
        let busy = |role: Role| {
            let at = role as usize;
            let work = self.now.sides[at].work.since(&before.sides[at].work);
            self.plan.side(role).map(|_| work.busy_share())
        };
        let established = latencies.of(Phase::Established);
        let syns = self.plan.flood.then(|| is.syns.since(&was.syns));
        Second {
            at_s: is.to_ns as f64 / 1e9,
            len_s,
            phase: phase.to_owned(),
            attempted: added(|account| account.attempted),
            established: added(|account| account.established),
            closed: added(Account::closed_all),
            failed: added(|account| account.failed_all() + account.broken_all()),
            in_flight: now.in_flight,
            open: now.open,
            connections_per_second: figures::per(added(Account::closed_all) as f64, len_s),
            established_p50_ns: established.value_at_percentile(50.0),
            established_p99_ns: established.value_at_percentile(99.0),
            syns: syns.map(|syns| syns.sent),
            answered: syns.map(|syns| syns.answered + syns.refused),
            client_busy: busy(Role::Client),
            server_busy: busy(Role::Server),
        }
    }

    /// In which part of the schedule a time lies.
    fn phase(&self, at_ns: u64) -> &'static str {
        let schedule = &self.plan.schedule;
        let end_ns = if schedule.stages.is_empty() { u64::MAX } else { schedule.end_ns() };
        if at_ns >= end_ns.min(self.stopped_ns) {
            return "drain";
        }
        if self.measured.iter().any(|measured| measured.range.contains(&at_ns)) {
            return "measure";
        }
        let ramp_ns = schedule.stages.first().map_or(0, |stage| stage.ramp_ns);
        let warm = ramp_ns..ramp_ns.saturating_add(schedule.warm_up_ns);
        if warm.contains(&at_ns) { "warm-up" } else { "ramp" }
    }

    /// The moment belongs to the measured times that have begun and not ended at its mark.
    fn measure(&mut self, mark_ns: u64) {
        let mut inside = false;
        for measured in &mut self.measured {
            let end_ns = measured.range.end.min(self.stopped_ns);
            if measured.range.start > mark_ns || mark_ns > end_ns {
                continue;
            }
            inside = true;
            if measured.first.is_none() {
                measured.first = Some(self.now.clone());
            } else {
                measured.last = Some(self.now.clone());
            }
        }
        // At mark 0 nothing has begun: that is no sample.
        if inside && mark_ns > 0 {
            self.levels.samples += 1;
            for (sums, side) in self.levels.sums.iter_mut().zip(&self.now.sides) {
                sums[0] += side.connections;
                sums[1] += side.time_wait;
            }
        }
    }
}

/// What began and did not end is in the engine's table.
fn same_as_table(role: Role, number: u32, base: &Point, point: &Point) -> Result<(), CollectError> {
    let (begun, ended) = point.begun_and_ended();
    let (begun, left) = (begun + base.connections, point.connections);
    if begun == ended + left { Ok(()) } else { Err(CollectError::Table { role, number, begun, ended, left }) }
}

/// The client's account is about the same connections as its engine's counters.
fn same_as_engine(number: u32, point: &Point) -> Result<(), CollectError> {
    let failed = |why: Failed| point.account.failed.get(why as usize).copied().unwrap_or(0);
    let account = &point.account;
    let never_opened = [Failed::NoTuple, Failed::NoTcb, Failed::Late].map(failed);
    let opened = account.attempted.saturating_sub(never_opened.iter().sum());
    let pairs =
        [("opened", opened, Counter::SynSent), ("established", account.established, Counter::Established)];
    for (what, counted, counter) in pairs {
        let engine = point.counters.get(counter);
        if counted != engine {
            return Err(CollectError::Engine { number, what, counted, engine });
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "collect/tests.rs"]
mod tests;
