//! The commands over the kernel's sockets: the same loads, services, measurement and reports, on another TCP.

mod bench;
mod connect;
mod netstat;
mod serve;

pub(super) use bench::run as bench;
pub(super) use connect::run as connect;
pub(super) use serve::run as serve;

use std::fs;
use std::time::Duration;

use super::cores::CpuSet;
use super::{Failure, machine};
use crate::base::cycles::Cycles;
use crate::base::text::thousands;
use crate::config::load::LoadOptions;
use crate::config::shape::Hold;
use crate::kernel::client::{Plan, Times};
use crate::kernel::{Options, Source, raise_descriptors};
use crate::load::schedule::{Launches, Schedule, Share};
use crate::load::tuples::Tuples;
use crate::measure::drive::Signals;
use crate::stats::account::Failed;
use crate::telemetry::run::{Device, Document, Run, SCHEMA};
use netstat::Counts;

/// Descriptors that the program has besides those of connections: files, epoll, listeners.
const OWN_DESCRIPTORS: u64 = 192;
/// How long the kernel keeps a pair of endpoints in TIME-WAIT (its TCP_TIMEWAIT_LEN).
const TIME_WAIT: Duration = Duration::from_secs(60);

/// EAL's words have nobody to read them.
fn refuse_eal(command: &str, eal: &[String]) -> Result<(), Failure> {
    if eal.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "{command} --backend kernel takes no EAL options, since it opens no device: leave them out"
    )))
}

/// Raises the limit of descriptors: how many connections there may be, up to those that are wanted.
///
/// # Errors
/// Less than the load needs for certain.
fn descriptors(wanted: u64, needed: u64) -> Result<u64, Failure> {
    let limit = raise_descriptors(wanted.saturating_add(OWN_DESCRIPTORS)).map_err(|error| {
        Failure::run(format!("the limit of open files cannot be raised: {error}; raise it with ulimit -n"))
    })?;
    let left = limit.saturating_sub(OWN_DESCRIPTORS);
    if left < needed {
        return Err(Failure::run(format!(
            "the load has {} sockets at a time, and this process may have {}: raise the hard limit of open files \
             (ulimit -Hn), or ask for fewer connections",
            thousands(needed),
            thousands(left)
        )));
    }
    Ok(left.min(wanted))
}

/// A second signal leaves at once, and then nothing of the run is told.
///
/// # Errors
/// It came.
fn refuse_to_tell(signals: &Signals) -> Result<(), Failure> {
    if signals.must_leave() {
        Err(Failure::run("left at a second signal, without an account"))
    } else {
        Ok(())
    }
}

/// As many places, or all that can be numbered.
fn places(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The moments at which what is measured begins and ends.
fn marks(schedule: &Schedule) -> Vec<u64> {
    schedule.measured().into_iter().flat_map(|range| [range.start, range.end]).collect()
}

/// What a client does for a load.
fn client(load: &LoadOptions, tuples: Tuples, source: Source, options: Options, sockets_max: u32) -> Plan {
    Plan {
        launches: Launches::new(&load.schedule, Share::WHOLE),
        tuples,
        source,
        options,
        talk: load.talk,
        closes: load.closes.clone(),
        times: Times {
            connect_ns: nanoseconds(load.connect_timeout),
            reply_ns: nanoseconds(load.reply_timeout),
            think_ns: nanoseconds(load.think),
            hold_ns: match load.hold {
                None => 0,
                Some(Hold::For(time)) => nanoseconds(time),
                Some(Hold::ToTheEnd) => u64::MAX,
            },
            drain_ns: nanoseconds(load.drain),
        },
        sockets_max,
    }
}

/// What sockets are told of a load's imitation, and of packets' fields where the kernel's own differ.
fn options(load: Option<&LoadOptions>, ttl: u8, dscp: u8) -> Result<Options, Failure> {
    let imitate = load.map(|load| load.imitate);
    let options = Options {
        ttl: Some(ttl).filter(|ttl| setting("ipv4/ip_default_ttl") != Some(u64::from(*ttl))),
        dscp: Some(dscp).filter(|dscp| *dscp > 0),
        mss: imitate.and_then(|imitate| imitate.mss),
        receive_buffer: imitate.filter(|imitate| imitate.window_given).map(|imitate| imitate.window),
    };
    options.check().map_err(Failure::run)?;
    Ok(options)
}

/// A number among the kernel's settings of the network.
fn setting(name: &str) -> Option<u64> {
    fs::read_to_string(format!("/proc/sys/net/{name}")).ok()?.trim().parse().ok()
}

/// Writes into a run what the kernel counted besides in the meantime, and what that means for the figures.
fn explain(run: &mut Run, counts: &Counts) {
    run.warnings.extend(counts.sentences());
    let Some(client) = &run.client else { return };
    let failed = |why: Failed| client.account.failed.get(why.name()).copied().unwrap_or(0);
    let pairs = failed(Failed::NoTuple);
    if pairs > 0 {
        run.warnings.push(format!(
            "client: {} connections found no pair of endpoints: the kernel keeps each for {} s in TIME-WAIT, and \
             takes its own ports from net.ipv4.ip_local_port_range; give more addresses with --source.",
            thousands(pairs),
            TIME_WAIT.as_secs()
        ));
    }
    let sockets = failed(Failed::NoTcb);
    if sockets > 0 {
        run.warnings.push(format!(
            "client: {} connections found no socket: raise the hard limit of open files (ulimit -Hn), or \
             --max-connections.",
            thousands(sockets)
        ));
    }
}

/// All of a command's results.
fn document(
    command: Vec<String>,
    online: &CpuSet,
    clock: &Cycles,
    device: Device,
    runs: Vec<Run>,
) -> Document {
    Document {
        schema: SCHEMA.to_owned(),
        command,
        versions: machine::versions(),
        machine: machine::machine(online.len(), clock.hz(), "4 KiB".to_owned()),
        device,
        runs,
        random_line: None,
        flatness: Vec::new(),
    }
}

/// The kernel as a device; `driver` is what carries its packets, and `mtu` how large they may be, or 0 where that is
/// each route's affair.
fn device(driver: &str, mtu: u32) -> Device {
    Device { name: "kernel".to_owned(), driver: driver.to_owned(), mtu, checksums: "the kernel's".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::run::Side;

    #[test]
    fn a_load_that_needs_more_sockets_than_there_may_be_is_refused() {
        assert_eq!(descriptors(10, 10), Ok(10));
        let Err(Failure { status: 1, sentence }) = descriptors(u64::MAX, u64::MAX) else { panic!() };
        assert!(
            sentence.starts_with("the load has 18,446,744,073,709,551,615 sockets at a time"),
            "{sentence}"
        );
        assert!(sentence.contains("raise the hard limit of open files (ulimit -Hn)"), "{sentence}");
    }

    #[test]
    fn what_failed_for_want_of_something_is_explained() {
        let mut client = Side::default();
        client.account.failed.insert("no_tuple".to_owned(), 1_200);
        let mut run = Run { client: Some(client), ..Run::default() };
        explain(&mut run, &Counts::default());
        let [sentence] = &run.warnings[..] else { panic!("{:?}", run.warnings) };
        assert!(sentence.starts_with("client: 1,200 connections found no pair of endpoints"), "{sentence}");
        let mut well = Run { client: Some(Side::default()), ..Run::default() };
        explain(&mut well, &Counts::default());
        assert!(well.warnings.is_empty());
    }
}
