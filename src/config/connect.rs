//! The options of `connect` as checked values: where to, from where, which load, on which stack.

use std::net::IpAddr;
use std::time::Duration;

use super::ConfigError;
use super::expect::Expectation;
use super::load::LoadOptions;
use super::output::Output;
use super::shape::{ShapeError, Turns};
use super::stack::{Backend, StackOptions};
use super::supply::{self, Supply};
use super::targets::{self, Sources};
use crate::load::tuples::{Addresses, Target};

/// Everything that `connect` can be told. [`ConnectOptions::checked`] has seen that it fits together and can work.
#[derive(Clone, PartialEq, Debug)]
pub struct ConnectOptions {
    /// TARGET: at least one, without a common endpoint.
    pub targets: Vec<Target>,
    /// `--source`.
    pub sources: Sources,
    /// What is done.
    pub load: LoadOptions,
    /// `--order`: which of the open connections goes on next.
    pub turns: Turns,
    /// Addresses, limits and settings of the stack.
    pub stack: StackOptions,
    /// `--backend`: whose TCP connects.
    pub backend: Backend,
    /// `--stats-interval`: time between reports; `None` reports only at the end.
    pub stats_interval: Option<Duration>,
    /// `--json`, `--csv`, `--hdr-log`.
    pub output: Output,
    /// `--expect`.
    pub expect: Vec<Expectation>,
}

impl ConnectOptions {
    /// Checks what concerns several options at once, and that the plan can work; before any device is known.
    ///
    /// # Errors
    /// Addresses, neighbours or files given twice, targets of our own, segments beyond the MTU, fewer slots or pairs
    /// of endpoints than the load needs, a random order of what does not wait, loopback addresses on a device, or
    /// what the kernel cannot do.
    pub fn checked(self) -> Result<Self, ConfigError> {
        self.output.check()?;
        self.load.check_backend(self.backend)?;
        if self.turns == Turns::Random && !self.holds_one_number() {
            return Err(ShapeError::RandomOrder.into());
        }
        if self.backend == Backend::Dpdk {
            self.load.imitate.check_mtu(self.stack.mtu)?;
            let sources = self.sources.addresses.iter();
            targets::refuse_loopback(self.targets.iter().map(|target| &target.addresses).chain(sources))?;
        }
        let own = self.stack.addresses.iter().filter_map(|own| match own.address {
            IpAddr::V4(address) => Some(Addresses::one(address)),
            IpAddr::V6(_) => None,
        });
        let ours: Vec<_> = own.chain(self.sources.addresses.iter().copied()).collect();
        targets::refuse_ourselves(&self.targets, &ours)?;
        supply::check_slots(&self.load, self.stack.max_connections)?;
        self.tuples()?;
        let stack = self.stack.checked(self.backend)?;
        Ok(ConnectOptions { stack, ..self })
    }

    /// The same number of connections are open all the time, and each goes on by itself.
    fn holds_one_number(&self) -> bool {
        let mut levels = self.load.schedule.stages.iter().map(|stage| (stage.rate, stage.concurrency));
        let first = levels.next();
        first.is_some_and(|(rate, level)| rate.is_none() && level.is_some())
            && levels.all(|level| Some(level) == first)
            && self.load.hold.is_none()
    }

    /// Pairs of endpoints that there are.
    pub fn supply(&self) -> Supply {
        // A port without an address gets one.
        let own = self.stack.addresses.len().max(1) as u64;
        Supply::of(&self.sources.addresses, own, self.sources.ports, &self.targets)
    }

    /// The banner's line on pairs of endpoints.
    ///
    /// # Errors
    /// There are too few.
    pub fn tuples(&self) -> Result<String, ConfigError> {
        supply::tuples(&self.load, self.supply(), self.stack.time_wait)
    }
}

/// What HTTP calls a target where nobody says so: its first address, and its port where it is not HTTP's own.
pub fn host_of(target: &Target) -> String {
    match target.ports.first {
        80 => target.addresses.first.to_string(),
        port => format!("{}:{port}", target.addresses.first),
    }
}

#[cfg(test)]
mod tests {
    use super::super::address::interface;
    use super::super::load::tests::{CONNECT, asked};
    use super::super::shape::Hold;
    use super::super::{shape, stack};
    use super::*;
    use crate::load::schedule::Stage;

    fn options() -> ConnectOptions {
        ConnectOptions {
            targets: vec![targets::target("198.18.0.2:80").unwrap()],
            sources: Sources::default(),
            load: asked().one("h", CONNECT).unwrap(),
            turns: Turns::Own,
            stack: stack::tests::options(),
            backend: Backend::Dpdk,
            stats_interval: None,
            output: Output::default(),
            expect: vec![],
        }
    }

    #[track_caller]
    fn refused(options: ConnectOptions, part: &str) {
        let error = options.checked().unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn a_plan_that_cannot_work_is_refused() {
        assert!(options().checked().is_ok());
        let source = targets::source("198.18.0.0/24").unwrap();
        refused(
            ConnectOptions { sources: targets::sources(&[source]).unwrap(), ..options() },
            "198.18.0.2 is an address of ours",
        );
        let mut own = options();
        own.stack.addresses = vec![interface("198.18.0.2/24").unwrap()];
        refused(own, "198.18.0.2 is an address of ours");
        let mut large = options();
        large.load.imitate.mss = Some(8_960);
        refused(large, "--mss 8960 does not fit");
        let home = vec![targets::target("127.0.0.1:80").unwrap()];
        refused(
            ConnectOptions { targets: home.clone(), ..options() },
            "127.0.0.1 is in 127.0.0.0/8 (loopback)",
        );
        let kernel = ConnectOptions { targets: home, backend: Backend::Kernel, ..options() };
        assert!(kernel.checked().is_ok());
        let mut many = asked();
        many.shape.concurrency = vec![shape::concurrency("2").unwrap()];
        let many = many.one("h", CONNECT).unwrap();
        refused(ConnectOptions { load: many.clone(), ..options() }, "--max-connections 1 is less than the 2");
        let mut drawn = ConnectOptions { turns: Turns::Random, ..options() };
        assert!(drawn.clone().checked().is_ok(), "one at a time is a closed loop");
        drawn.load.hold = Some(Hold::ToTheEnd);
        refused(drawn, "--order random draws among the open connections of a closed loop");
        let mut open = asked();
        open.shape.rate = Some(10.0);
        let open = open.one("h", CONNECT).unwrap();
        refused(ConnectOptions { load: open, turns: Turns::Random, ..options() }, "give one --concurrency");
        let mut stages = asked();
        let stage = |level| Stage { concurrency: Some(level), duration_ns: 1, ..Stage::default() };
        stages.shape.stages = vec![stage(1), stage(1)];
        let load = stages.clone().one("h", CONNECT).unwrap();
        assert!(ConnectOptions { load, turns: Turns::Random, ..options() }.checked().is_ok());
        stages.shape.stages[1] = stage(2);
        let load = stages.one("h", CONNECT).unwrap();
        refused(ConnectOptions { load, turns: Turns::Random, ..options() }, "the same number all the time");
        let port = targets::source("198.18.0.1:5000").unwrap();
        let mut few = ConnectOptions { load: many, sources: targets::sources(&[port]).unwrap(), ..options() };
        few.stack.max_connections = 2;
        refused(few, "there are only 1 = 1 source × 1 port × 1 target; use at least 1 source");
    }

    #[test]
    fn own_addresses_are_sources_where_none_are_given() {
        let mut options = options();
        options.stack.addresses =
            vec![interface("198.18.0.1/24").unwrap(), interface("198.18.1.1/24").unwrap()];
        assert_eq!(options.supply().sources, 2);
        assert!(
            options.tuples().unwrap().starts_with("tuples: 129,024 = 2 sources × 64,512 ports × 1 target")
        );
        assert_eq!(host_of(&options.targets[0]), "198.18.0.2");
        assert_eq!(host_of(&targets::target("198.18.0.2:8080-8081").unwrap()), "198.18.0.2:8080");
    }
}
