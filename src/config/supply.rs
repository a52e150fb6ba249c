//! Whether a plan can work: pairs of endpoints that there are against those that a load occupies, and the tables that
//! it needs. Only what is certain beforehand counts; how long a handshake or a reply takes is not.

use std::time::Duration;

use thiserror::Error;

use super::ConfigError;
use super::load::LoadOptions;
use super::shape::Hold;
use super::stack::CONNECTIONS_MAX;
use super::talk::Profile;
use super::units::duration_text;
use crate::base::text::thousands;
use crate::load::closing::Close;
use crate::load::schedule::Stage;
use crate::load::tuples::{Addresses, Ports, Target};

/// Slots that an open loop gets for connections that take longer than anybody hopes.
const SLOTS_FOR_STALLS: u64 = 1 << 20;
/// TIME-WAIT records of a client that seldom closes first, and of a closed loop, whose rate nobody knows.
const RECORDS: std::ops::RangeInclusive<u64> = 1_024..=1 << 20;

/// A plan that cannot work.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum SupplyError {
    /// Too few pairs of endpoints.
    #[error(
        "the load occupies {} pairs of endpoints at a time ({why}), and there are only {}; \
         use at least {} source address(es) (--source) with all ports, or more targets",
        thousands(*.needed),
        .supply.text(),
        thousands(*.sources)
    )]
    Tuples {
        /// Pairs in use at a time.
        needed: u64,
        /// Where that comes from.
        why: String,
        /// Pairs there are.
        supply: Supply,
        /// Source addresses that would do.
        sources: u64,
    },
    /// Too few slots.
    #[error(
        "--max-connections {given} is less than the {} connections that the load holds at a time; \
         leave it out, or give that many",
        thousands(*.needed)
    )]
    Slots {
        /// What was given.
        given: u32,
        /// Connections at a time.
        needed: u64,
    },
}

/// Pairs of endpoints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Supply {
    /// Source addresses.
    pub sources: u64,
    /// Ports of each.
    pub ports: u64,
    /// Target addresses times their ports.
    pub targets: u64,
}

impl Supply {
    /// What there is between these; `own` is the number of the ports' own addresses, used where `sources` is empty.
    pub fn of(sources: &[Addresses], own: u64, ports: Ports, targets: &[Target]) -> Self {
        let given: u64 = sources.iter().map(|source| u64::from(source.count)).sum();
        Supply {
            sources: if sources.is_empty() { own } else { given },
            ports: u64::from(ports.count()),
            targets: targets
                .iter()
                .map(|target| u64::from(target.addresses.count) * u64::from(target.ports.count()))
                .sum(),
        }
    }

    /// How many there are.
    pub fn pairs(&self) -> u64 {
        self.sources.saturating_mul(self.ports).saturating_mul(self.targets)
    }

    /// The product, as people reckon.
    fn text(&self) -> String {
        let of = |n: u64, what: &str| format!("{} {what}{}", thousands(n), if n == 1 { "" } else { "s" });
        let (sources, ports) = (of(self.sources, "source"), of(self.ports, "port"));
        format!("{} = {sources} × {ports} × {}", thousands(self.pairs()), of(self.targets, "target"))
    }
}

/// Pairs that a load occupies at a time, at least.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Demand {
    /// Those of open connections.
    open: u64,
    /// Those in TIME-WAIT here that cannot be used again.
    resting: u64,
}

/// The time that a connection is open for certain; `None` where it stays until the end.
fn life(load: &LoadOptions) -> Option<Duration> {
    let thinking = load.think.saturating_mul(load.talk.requests);
    match load.hold {
        Some(Hold::ToTheEnd) => None,
        Some(Hold::For(hold)) => Some(hold.saturating_add(thinking)),
        None => Some(thinking),
    }
}

/// Events in a time, rounded up.
fn within(rate: f64, time: Duration) -> u64 {
    (rate * time.as_secs_f64()).ceil() as u64
}

/// Of all connections, the share that leaves TIME-WAIT here: we send the first FIN.
fn first_fins(load: &LoadOptions) -> f64 {
    if load.profile == Profile::Flood {
        return 0.0;
    }
    let ours = |(close, _): &(Close, u32)| matches!(close, Close::Fin | Close::HalfClose);
    let sum: u64 = load.closes.weights().filter(ours).map(|(_, weight)| u64::from(weight)).sum();
    sum as f64 / f64::from(load.closes.sum().max(1))
}

/// Connections open at a time in a stage, if each lasts so long.
fn open_in(stage: &Stage, life: Duration) -> u64 {
    let by_rate = stage.rate.map(|rate| within(rate, life).max(1));
    let by_level = stage.concurrency.map(u64::from);
    by_rate.into_iter().chain(by_level).min().unwrap_or(0)
}

fn open(load: &LoadOptions, life: Duration) -> u64 {
    let most = load.schedule.stages.iter().map(|stage| open_in(stage, life)).max().unwrap_or(0);
    most.min(load.schedule.launches().unwrap_or(u64::MAX))
}

fn demand(load: &LoadOptions, time_wait: Duration) -> Demand {
    let life = life(load).unwrap_or(Duration::from_nanos(load.schedule.end_ns()));
    let launches = load.schedule.launches().unwrap_or(u64::MAX);
    let open = open(load, life);
    //= TMW-9
    // With timestamps an old pair can be used again at once.
    let rests = if load.imitate.timestamps { 0.0 } else { first_fins(load) };
    let resting = within(load.schedule.rate_max().unwrap_or(0.0) * rests, time_wait);
    Demand { open, resting: resting.min(launches.saturating_sub(open)) }
}

/// Whether there are enough pairs for a load; the line that says so.
///
/// # Errors
/// [`SupplyError::Tuples`]: there are too few for what is certain.
pub fn tuples(load: &LoadOptions, supply: Supply, time_wait: Duration) -> Result<String, ConfigError> {
    let demand = demand(load, time_wait);
    let needed = demand.open.saturating_add(demand.resting);
    if needed > supply.pairs() {
        let resting = match demand.resting {
            0 => String::new(),
            n => format!(
                ", and {} for {} in TIME-WAIT, which without timestamps gives none back",
                thousands(n),
                duration_text(time_wait)
            ),
        };
        let why = format!("{} open{resting}", thousands(demand.open));
        let each = supply.targets.saturating_mul(u64::from(Ports::EPHEMERAL.count())).max(1);
        return Err(SupplyError::Tuples { needed, why, supply, sources: needed.div_ceil(each) }.into());
    }
    let free = supply.pairs() - demand.resting;
    let enough = match load.schedule.rate_max() {
        Some(rate) => format!(
            "{} a second while each lasts no longer than {:.3?}",
            thousands(rate.ceil() as u64),
            Duration::try_from_secs_f64(free as f64 / rate).unwrap_or(Duration::MAX)
        ),
        None => format!("{} at a time", thousands(demand.open)),
    };
    let unknown = load.schedule.rate_max().is_none() && !load.imitate.timestamps && first_fins(load) > 0.0;
    let but = match unknown {
        true => format!(
            "; without timestamps each rests for {} in TIME-WAIT, so that more than {} a second find none",
            duration_text(time_wait),
            thousands(((free - demand.open) as f64 / time_wait.as_secs_f64() / first_fins(load)) as u64)
        ),
        false => String::new(),
    };
    Ok(format!("tuples: {}, enough for {enough}{but}", supply.text()))
}

/// The slots that a client needs, where nobody says so.
///
/// A closed loop needs its concurrency: a connection counts until its slot is free. An open loop's connections last at
/// worst the time to connect, the time to reply and to think for each request, and the time to hold; the rate times
/// that is what a server that answers nothing would take. That is no more than a million unless even the time that
/// is certain (hold, think) asks for it, nor more than the launches in all. 1 to 2^26.
pub fn slots_needed(load: &LoadOptions) -> u32 {
    let certain = life(load).unwrap_or(Duration::from_nanos(load.schedule.end_ns()));
    let replies = load.reply_timeout.saturating_mul(load.talk.requests.max(1));
    let worst = certain.saturating_add(load.connect_timeout).saturating_add(replies);
    let needed = open(load, certain).max(open(load, worst).min(SLOTS_FOR_STALLS));
    u32::try_from(needed.clamp(1, CONNECTIONS_MAX)).unwrap_or(1)
}

/// Refuses fewer slots than a load certainly holds.
///
/// # Errors
/// [`SupplyError::Slots`].
pub fn check_slots(load: &LoadOptions, given: u32) -> Result<(), ConfigError> {
    let needed = demand(load, Duration::ZERO).open;
    if u64::from(given) < needed { Err(SupplyError::Slots { given, needed }.into()) } else { Ok(()) }
}

/// The TIME-WAIT records that a client needs, where nobody says so: for an open loop the connections that it closes
/// first within one TIME-WAIT, for a closed loop a million; no more than there are pairs, each of which has one at
/// most, and never less than a few, since both ends may close at once.
pub fn records_needed(load: &LoadOptions, pairs: u64, time_wait: Duration) -> u32 {
    let fins = first_fins(load);
    let needed = match load.schedule.rate_max() {
        _ if fins == 0.0 => *RECORDS.start(),
        Some(rate) => within(rate * fins, time_wait).max(*RECORDS.start()),
        None => *RECORDS.end(),
    };
    u32::try_from(needed.min(pairs).clamp(1, 4 * CONNECTIONS_MAX)).unwrap_or(1)
}

#[cfg(test)]
mod tests;
