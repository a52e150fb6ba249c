//! Opening connections (the OPEN call, active; RFC 9293 3.9.1.1).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use thiserror::Error;

use super::admit::New;
use super::api::ConnId;
use super::shard::Shard;
use super::slot::{Origin, Owner};
use super::slots::Known;
use crate::base::ids::LocalIdx;
use crate::flow::key::Key;
use crate::flow::table::Place;
use crate::flow::time_wait_ring::Record;
use crate::stats::counters::Counter;
use crate::tcp::settings::Settings;
use crate::tcp::tcb::Tcb;
use crate::tcp::tcb::brief::Brief;
use crate::tcp::time_wait::TimeWait;
use crate::wire::ipv4;

/// Why a connection cannot be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum OpenError {
    /// The remote endpoint cannot be a host's (MUST-46).
    #[error("{0} cannot be connected to; give a host's address and a port")]
    InvalidRemote(SocketAddr),
    /// The local address is none of ours, or no address of ours leads there.
    #[error("no address of ours can be used to reach {0}")]
    NoLocalAddress(SocketAddr),
    /// The connection exists.
    #[error("connection already exists")]
    Exists,
    /// The connection is in TIME-WAIT, and timestamps do not guarantee the order (TMW-9).
    #[error("the last connection between these endpoints is in TIME-WAIT")]
    TimeWait,
    /// No source port is free (LIM-16).
    #[error("address not available: no source port is free")]
    NoPort,
    /// Every slot is in use (LIM-4).
    #[error("insufficient resources: every connection slot is in use")]
    NoTcb,
}

/// What stands in the way of a tuple.
enum Tuple {
    Free,
    Old(u32, TimeWait),
    Taken(OpenError),
}

impl Shard {
    /// Opens a connection, with the stack's settings or with its own; the SYN leaves at the end of the pass.
    pub(super) fn open_active(
        &mut self,
        local: Option<IpAddr>,
        local_port: Option<u16>,
        remote: SocketAddr,
        settings: Option<Settings>,
    ) -> Result<ConnId, OpenError> {
        //= CALL-2
        //= MUST-46
        let IpAddr::V4(remote_ip) = remote.ip() else { return Err(OpenError::InvalidRemote(remote)) };
        if !self.may_be_opened(remote_ip) || remote.port() == 0 {
            return Err(OpenError::InvalidRemote(remote));
        }
        let local = self.choose_local(local, remote)?;
        let key = Key { remote: u32::from(remote_ip), remote_port: remote.port(), local_port: 0, local };
        let port = match local_port {
            Some(port) => port,
            None => self.choose_port(&key)?,
        };
        let key = Key { local_port: port, ..key };
        let hash = self.hash(&key);
        let old = match self.tuple(&key, hash) {
            Tuple::Taken(error) => return Err(error),
            Tuple::Free => None,
            Tuple::Old(record, rest) => {
                //= TMW-9
                self.drop_record(record);
                self.count(Counter::TimeWaitOpened);
                Some(rest)
            }
        };
        let opened = self.slots.len() - self.half_open;
        if opened >= self.limits.connections {
            return Err(OpenError::NoTcb);
        }
        let known = match settings {
            Some(settings) => self.slots.known(&settings, Known::DEFAULT),
            None => Some(Known::DEFAULT),
        };
        let seed = self.seed(&key, old, settings.as_ref().unwrap_or(&self.cfg.settings));
        let (origin, owner) = (Origin::Active, Owner::Opener);
        let id = if let Some(known) = known.filter(|_| Brief::may_open(&seed)) {
            let brief = Brief::open_active(&seed, self.ctx());
            self.insert(key, hash, New::Brief(brief, known), origin, owner)
        } else {
            let whole = Tcb::open_active(seed, self.ctx());
            self.insert(key, hash, New::Whole(&whole), origin, owner)
        };
        let id = id.ok_or(OpenError::NoTcb)?;
        self.count(Counter::SynSent);
        Ok(id)
    }

    pub(super) fn may_be_opened(&self, remote: Ipv4Addr) -> bool {
        let octets = remote.octets();
        ipv4::may_be_a_source(octets)
            && !self.locals.is_directed_broadcast(octets)
            && self.locals.find_v4(octets).is_none()
    }

    /// The given address if it is ours, or the one in the remote's subnet, or the first (MUST-43, MUST-44). Only who
    /// names an address of a range gets it.
    fn choose_local(&self, local: Option<IpAddr>, remote: SocketAddr) -> Result<LocalIdx, OpenError> {
        //= MUST-43
        //= MUST-44
        let mut all = self.locals.primary();
        let found = match local {
            Some(IpAddr::V4(wanted)) => self.locals.find_v4(wanted.octets()),
            Some(IpAddr::V6(_)) => None,
            None => {
                let on_link = all.clone().find(|(_, local)| local.is_on_link(remote.ip()));
                on_link.or_else(|| all.next()).map(|(number, _)| number)
            }
        };
        found.ok_or(OpenError::NoLocalAddress(remote))
    }

    fn choose_port(&mut self, key: &Key) -> Result<u16, OpenError> {
        let local = self.locals.get(key.local).v4();
        let first = self.source_ports.sequence(&local, &key.remote.to_be_bytes(), key.remote_port);
        let chosen = first.clone().enumerate().find(|(_, port)| {
            let listened = self.listeners.find(key.local, *port).is_some();
            let key = Key { local_port: *port, ..*key };
            !listened && !matches!(self.tuple(&key, self.hash(&key)), Tuple::Taken(_))
        });
        let (tried, port) = chosen.ok_or(OpenError::NoPort)?;
        self.source_ports.used(&first, tried as u32 + 1);
        Ok(port)
    }

    /// Whether a tuple can be opened now.
    fn tuple(&self, key: &Key, hash: u64) -> Tuple {
        match self.find_hashed(key, hash) {
            None => Tuple::Free,
            Some(Place::Connection(_)) => Tuple::Taken(OpenError::Exists),
            Some(Place::TimeWait(index)) => match self.time_wait.get(index) {
                None => Tuple::Free,
                Some(record) if self.may_reopen(&record) => Tuple::Old(index, record.rest),
                Some(_) => Tuple::Taken(OpenError::TimeWait),
            },
        }
    }

    /// Our timestamps in the new connection will be later than the last in the old one: both use them, and more
    /// than a tick of TIME-WAIT has passed (TMW-9, TS-10).
    fn may_reopen(&self, record: &Record<TimeWait>) -> bool {
        let left_ms = record.deadline.since(self.now.tick());
        let ticked = left_ms.saturating_add(1) < self.cfg.time_wait_ms;
        record.rest.ts_recent().is_some() && self.cfg.timestamps && ticked
    }
}
