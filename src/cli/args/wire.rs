//! From words to a client on the wire: its load first, then the tables that the load needs.

use std::time::Duration;

use super::connect::SourceArgs;
use super::stack::StackArgs;
use crate::config::ConfigError;
use crate::config::connect::{ConnectOptions, host_of};
use crate::config::expect::Expectation;
use crate::config::load::Asked;
use crate::config::output::Output;
use crate::config::shape::{ShapeDefaults, Turns};
use crate::config::stack::Backend;
use crate::config::supply::{self, Supply};
use crate::config::targets;
use crate::load::tuples::Target;

/// What `connect` and `bench max-rate` say about a client.
pub(super) struct Parts {
    pub(super) targets: Vec<Target>,
    pub(super) source: SourceArgs,
    pub(super) asked: Asked,
    pub(super) turns: Turns,
    pub(super) defaults: ShapeDefaults,
    pub(super) stack: StackArgs,
    pub(super) backend: Backend,
    pub(super) stats_interval: Option<Duration>,
    pub(super) output: Output,
    pub(super) expect: Vec<Expectation>,
}

impl Parts {
    pub(super) fn checked(self) -> Result<ConnectOptions, ConfigError> {
        let targets = targets::targets(self.targets)?;
        let sources = targets::sources(&self.source.source)?;
        let host = targets.first().map(host_of).unwrap_or_default();
        let load = self.asked.one(&host, self.defaults)?;
        let own = self.stack.addresses().max(1) as u64;
        let pairs = Supply::of(&sources.addresses, own, sources.ports, &targets).pairs();
        let time_wait = self.stack.time_wait();
        let records = supply::records_needed(&load, pairs, time_wait);
        ConnectOptions {
            stack: self.stack.options(supply::slots_needed(&load), |_| records),
            targets,
            sources,
            load,
            turns: self.turns,
            backend: self.backend,
            stats_interval: self.stats_interval,
            output: self.output,
            expect: self.expect,
        }
        .checked()
    }
}
