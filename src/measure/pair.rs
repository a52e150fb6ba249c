//! A client and a server of ours on both ends of one link, with tables sized from what the run plans: every way is
//! known from the start, so that nothing is asked for.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::flood::{FloodPlan, Flooder};
use super::side::Engine;
use crate::app::client::{Client, Plan};
use crate::app::http::responses::Responses;
use crate::app::tally::Tally;
use crate::app::{Service, Services};
use crate::base::hash::Secrets;
use crate::base::time::Instant;
use crate::engine::control::Control;
use crate::engine::host::{FixedNeighbour, Host};
use crate::engine::limits::Limits;
use crate::engine::shard::Shard;
use crate::engine::worker::Worker;
use crate::inet::locals::{LocalError, Locals};
use crate::inet::route::{RouteError, Routes};
use crate::link::QueuePair;
use crate::load::flood::{self, Beside, PlanError, Sources};
use crate::load::schedule::Schedule;
use crate::load::tuples::{Addresses, Ports, Target, Tuples};
use crate::stats::counters::Counters;
use crate::tcp::arrives::listen::CookieMode;
use crate::tcp::config::Config;
use crate::wire::ethernet::Mac;

/// The server's address.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
/// The port that it listens on.
pub const PORT: u16 = 80;
/// The port that nobody listens on.
pub const CLOSED_PORT: u16 = 81;
/// The client's own address, over which the server reaches all its sources.
const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 2);
const PREFIX: u8 = 24;
/// The first of the addresses from which the client opens.
const SOURCES: Ipv4Addr = Ipv4Addr::new(198, 19, 0, 1);
const SOURCES_PREFIX: u8 = 16;
/// Sources at most: what a shard's addresses are numbered with, without those of its own.
const SOURCES_MAX: u64 = 65_000;
/// Ports of the sources: of the connections beside a flood, and of the flood.
const BESIDE_PORTS: RangeInclusive<u16> = 1_024..=4_095;
const FLOOD_PORTS: RangeInclusive<u16> = 4_096..=u16::MAX;
/// Sources at least, so that a pair of endpoints rests for a while.
const SOURCES_MIN: u64 = 256;

/// What a pair of sides is made for.
#[derive(Clone)]
pub struct Spec {
    /// Connections at a time, at most.
    pub concurrency: u32,
    /// Connections a second that tables are made for.
    pub rate_max: f64,
    /// The protocol's settings, on both sides.
    pub config: Config,
    /// What http answers.
    pub responses: &'static Responses,
    /// What reply answers.
    pub reply: &'static [u8],
    /// What the server serves.
    pub service: Service,
    /// Frames that one call receives at most.
    pub burst: usize,
    /// Frames that one call sends at most.
    pub tx_burst: usize,
    /// How SYNs are answered.
    pub cookies: CookieMode,
    /// What a flood is against.
    pub flood: Flooded,
}

/// A server that is flooded: what stands beside the flood, and which port the SYNs are for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flooded {
    /// Established connections that it has all the time.
    pub beside: u32,
    /// Nobody listens on the port, and resets are limited as they usually are.
    pub closed: bool,
}

impl Spec {
    /// TIME-WAIT entries that the planned rate leaves, with a quarter to spare.
    pub fn time_wait_records(&self) -> u32 {
        let lasting = self.rate_max * f64::from(self.config.time_wait_ms) / 1e3;
        (lasting * 1.25).clamp(65_536.0, 2e8) as u32
    }

    /// Limits of either side: some room beside what is planned, so that none of them is what is measured.
    pub fn limits(&self) -> Limits {
        let talking = self.concurrency.saturating_add(self.concurrency / 4).saturating_add(4_096);
        let connections = talking.saturating_add(self.flood.beside);
        let usual = Limits::default();
        let unlimited = !self.flood.closed;
        Limits {
            connections,
            listeners: 1,
            closing_limited: false,
            backlog: 65_536.min(connections / 2),
            time_wait_max: self.time_wait_records(),
            syn_cookies: self.cookies,
            resets_per_second: if unlimited { 100_000_000 } else { usual.resets_per_second },
            reset_burst: if unlimited { 1_000_000 } else { usual.reset_burst },
            burst: self.burst,
            tx_burst: self.tx_burst,
            ..usual
        }
    }

    /// The client's addresses: twice as many pairs of endpoints as can be open or in TIME-WAIT.
    pub fn sources(&self) -> Addresses {
        let busy = u64::from(self.concurrency) + u64::from(self.time_wait_records());
        let count = (2 * busy).div_ceil(u64::from(Ports::EPHEMERAL.count())).clamp(SOURCES_MIN, SOURCES_MAX);
        Addresses { first: SOURCES, count: count as u32 }
    }

    /// The pairs of endpoints that the client opens.
    pub fn tuples(&self) -> Tuples {
        let target = Target { addresses: Addresses::one(SERVER), ports: Ports::one(PORT) };
        Tuples::new(&[self.sources()], Ports::EPHEMERAL, &[target], 0)
    }
}

/// A side cannot be built.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PairError {
    /// Its addresses.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// Its ways.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The flood.
    #[error(transparent)]
    Flood(#[from] PlanError),
    /// Its listener.
    #[error("the listener cannot be added: {0}")]
    Listen(String),
}

/// The server's side. `peer` is the MAC address at the other end.
///
/// # Errors
/// See [`PairError`].
pub fn server<Q: QueuePair>(
    queue: Q,
    peer: Mac,
    spec: &Spec,
    counters: &Arc<Counters>,
    now: Instant,
    secrets: Secrets,
) -> Result<Engine<Q, Services>, PairError> {
    let mut locals = Locals::default();
    locals.add(IpAddr::V4(SERVER), PREFIX, 0)?;
    let routes = Routes::with_gateway(IpAddr::V4(CLIENT), &locals)?;
    let neighbour = FixedNeighbour { interface: 0, ip: IpAddr::V4(CLIENT), mac: peer };
    let host = Host::new(&locals, routes, &[neighbour], false, &secrets, now);
    let mut shard = Shard::new(spec.limits(), spec.config.clone(), secrets, locals, counters.clone(), now);
    shard.listen(None, PORT).map_err(|error| PairError::Listen(error.to_string()))?;
    let app =
        Services::new(&[spec.service], shard.slots() as usize, spec.responses, Arc::new(Tally::default()))
            .with_reply(spec.reply);
    let worker = Worker::new(vec![queue], host, shard, app, Arc::new(Control::default()));
    Ok(Engine::new(worker, counters.clone()).keeping(spec.flood.beside))
}

/// The client's side. `peer` is the MAC address at the other end.
///
/// # Errors
/// See [`PairError`].
pub fn client<Q: QueuePair>(
    queue: Q,
    peer: Mac,
    spec: &Spec,
    plan: Plan,
    counters: &Arc<Counters>,
    now: Instant,
    secrets: Secrets,
) -> Result<Engine<Q, Client>, PairError> {
    let mut locals = Locals::default();
    locals.add(IpAddr::V4(CLIENT), PREFIX, 0)?;
    let sources = spec.sources();
    locals.add_range(IpAddr::V4(sources.first), sources.count, SOURCES_PREFIX, 0)?;
    let neighbour = FixedNeighbour { interface: 0, ip: IpAddr::V4(SERVER), mac: peer };
    let host = Host::new(&locals, Routes::default(), &[neighbour], false, &secrets, now);
    let limits = Limits { listeners: 0, ..spec.limits() };
    let shard = Shard::new(limits, spec.config.clone(), secrets, locals, counters.clone(), now);
    let app = Client::new(plan, spec.tuples(), shard.slots(), now);
    let worker = Worker::new(vec![queue], host, shard, app, Arc::new(Control::default()));
    Ok(Engine::new(worker, counters.clone()).towards(vec![IpAddr::V4(SERVER)]))
}

/// A flood in the client's place, from all sources that there are. `peer` is the MAC address at the other end;
/// `counters` are this side's and the server's.
///
/// # Errors
/// See [`PairError`].
pub fn flooder<Q: QueuePair>(
    queue: Q,
    peer: Mac,
    spec: &Spec,
    schedule: &Schedule,
    [drain_ns, seed]: [u64; 2],
    counters: &[Arc<Counters>; 2],
) -> Result<Flooder<Q>, PairError> {
    let Flooded { beside, closed } = spec.flood;
    let port = if closed { CLOSED_PORT } else { PORT };
    let beside = Beside { count: u64::from(beside), port: PORT, ports: BESIDE_PORTS };
    let plan = FloodPlan {
        target: flood::Target { address: SERVER.octets(), port, mac: peer },
        sources: Sources { first: SOURCES.octets(), addresses: SOURCES_MAX as u32, ports: FLOOD_PORTS },
        beside: (beside.count > 0).then_some(beside),
        schedule: schedule.clone(),
        drain_ns,
        burst: spec.burst,
        seed,
    };
    Ok(Flooder::new(queue, &plan, counters.clone())?)
}
