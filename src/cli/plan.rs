//! From options to a plan: which loop serves which port, what each shard may hold, what memory that takes. Pure.

use std::time::Duration;

use crate::app::{Service, Services, timed};
use crate::cli::args::Serve;
use crate::config::connection::Congestion;
use crate::config::imitate::{Imitate, Wscale};
use crate::config::serve::SynCookies;
use crate::config::stack::StackOptions;
use crate::engine::limits::{Limits, MemoryPlan};
use crate::tcp::arrives::listen::CookieMode;
use crate::tcp::config::Config;
use crate::tcp::congestion::Algorithm;
use crate::tcp::settings::{Dscp, ForIp, KeepAlive, Settings};

/// Which port (by place in the list of ports) is served by which core (by place in the list of cores).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cores {
    /// For each core the ports that it serves.
    pub ports: Vec<Vec<usize>>,
}

impl Cores {
    /// One loop a port, ports dealt out in turn; with more cores than ports the rest idles.
    pub fn deal(cores: usize, ports: usize) -> Self {
        let mut dealt = vec![Vec::new(); cores];
        for port in 0..ports {
            if let Some(core) = dealt.get_mut(port % cores.max(1)) {
                core.push(port);
            }
        }
        Cores { ports: dealt }
    }

    /// Loops that serve at least one port.
    pub fn busy(&self) -> usize {
        self.ports.iter().filter(|ports| !ports.is_empty()).count()
    }
}

/// A loop's share of a limit for all, rounded up.
fn share(all: u32, loops: usize) -> u32 {
    all.div_ceil(u32::try_from(loops.max(1)).unwrap_or(u32::MAX))
}

/// The limits of each of `loops` shards.
pub fn limits(options: &Serve, loops: usize) -> Limits {
    Limits {
        listeners: u16::try_from(options.listen.len()).unwrap_or(u16::MAX),
        backlog: options.backlog,
        per_address: options.per_address,
        resets_per_second: share(options.rst_rate.per_second, loops),
        reset_burst: share(options.rst_rate.burst, loops),
        syn_cookies: match options.syn_cookies {
            SynCookies::Auto => CookieMode::Auto,
            SynCookies::Always => CookieMode::Always,
            SynCookies::Never => CookieMode::Never,
        },
        ..stack_limits(&options.stack, loops)
    }
}

/// What every stack of ours is limited by, in each of `loops` shards.
pub fn stack_limits(stack: &StackOptions, loops: usize) -> Limits {
    Limits {
        connections: share(stack.max_connections, loops),
        send_buffer: stack.send_buffer,
        time_wait_max: share(stack.time_wait_max, loops),
        buffers: usize::try_from(stack.buffers).unwrap_or(usize::MAX) / loops.max(1),
        burst: stack.burst,
        tx_burst: stack.tx_burst,
        ..Limits::default()
    }
}

/// The protocol's settings.
pub fn config(options: &Serve) -> Config {
    let keep_alive = options.keep_alive.and_then(|asked| {
        KeepAlive::new(milliseconds(asked.idle), milliseconds(asked.interval), asked.probes)
    });
    let stack = stack_config(&options.stack);
    Config {
        receive_buffer: options.receive_buffer,
        user_timeout_ms: milliseconds(options.user_timeout),
        settings: Settings { keep_alive, ..stack.settings },
        ..stack
    }
}

/// The protocol's settings that every stack of ours has.
pub fn stack_config(stack: &StackOptions) -> Config {
    let ip = ForIp { dscp: Dscp::new(stack.dscp).unwrap_or_default(), ttl: stack.ttl };
    Config {
        congestion: match stack.congestion {
            Congestion::Cubic => Algorithm::Cubic,
            Congestion::Reno => Algorithm::Reno,
        },
        //= RTO-4
        rto_min_ms: milliseconds(stack.rto_min),
        settings: Settings { ip, ..Settings::default() },
        ..Config::default().with_time_wait(stack.time_wait)
    }
}

/// What a client's SYNs offer.
pub fn imitate(offers: &Imitate, config: &mut Config) {
    config.mss_max = offers.mss;
    config.receive_buffer = offers.window;
    config.window_scale = offers.wscale != Wscale::No;
    config.window_shift = match offers.wscale {
        Wscale::Shift(shift) => Some(shift),
        Wscale::Fitting | Wscale::No => None,
    };
    config.timestamps = offers.timestamps;
    config.sack = offers.sack;
    config.ecn_ask = offers.ecn;
}

fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// The services, in the order of their listeners.
pub fn served(options: &Serve) -> Vec<Service> {
    options.listen.iter().map(|listen| listen.service).collect()
}

/// Bytes that the services of a shard with these limits take, with their stopwatches where results are written.
pub fn services_memory(options: &Serve, limits: &Limits) -> usize {
    let slots = limits.slots() as usize;
    let stopwatches = if options.output.is_wanted() { timed::memory(slots) } else { 0 };
    Services::memory(&served(options), slots) + stopwatches
}

/// What makes a stack smaller.
pub const SMALLER: &str = "give a smaller --max-connections, --time-wait-max or --buffers";

/// Lines for the banner on the memory of all shards, and of the application beside each, which takes so many bytes for
/// so many slots; so many bytes are `resident` before any of it is.
pub fn memory_lines(
    plan: &MemoryPlan,
    (application, bytes, slots): (&str, usize, u32),
    stack: &StackOptions,
    loops: usize,
    resident: Option<u64>,
) -> Vec<String> {
    let loops = loops.max(1);
    let tables = ((plan.total + bytes) * loops) as u64;
    let all = resident.map(|before| {
        format!("; {} MiB in all, with frames and the program", (tables + before).div_ceil(1 << 20))
    });
    vec![
        format!(
            "{} bytes a connection ({} of them), {} a half-open entry, {} a TIME-WAIT entry ({} of them)",
            plan.per_connection,
            stack.max_connections,
            plan.per_half_open,
            plan.per_time_wait,
            stack.time_wait_max
        ),
        format!(
            "{} MiB for data, {} MiB in tables on {} {}{}",
            (plan.buffers * loops) >> 20,
            tables.div_ceil(1 << 20),
            loops,
            if loops == 1 { "loop" } else { "loops" },
            all.unwrap_or_default()
        ),
        format!(
            "{} bytes more a connection for the {application}, in these tables too",
            bytes.div_ceil(slots.max(1) as usize)
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Command;
    use crate::cli::args::tests::parse_words;

    #[test]
    fn ports_are_dealt_out_and_surplus_cores_idle() {
        assert_eq!(Cores::deal(4, 1).ports, [vec![0], vec![], vec![], vec![]]);
        assert_eq!(Cores::deal(1, 3).ports, [vec![0, 1, 2]]);
        assert_eq!(Cores::deal(2, 3).ports, [vec![0, 2], vec![1]]);
        assert_eq!((Cores::deal(4, 2).busy(), Cores::deal(2, 3).busy()), (2, 2));
    }

    #[test]
    fn settings_of_connections_arrive() {
        //= MUST-27
        //= MUST-48
        //= MUST-49
        let line = "--keep-alive 10m,30s,5 --user-timeout 2m --ttl 3 --dscp 46 --receive-buffer 1M --send-buffer 2k --congestion reno --rto-min 200ms";
        let Ok(Command::Serve(options)) = parse_words(line.split(' ').map(str::to_owned).collect()) else {
            panic!()
        };
        let config = config(&options);
        assert_eq!(config.settings.keep_alive, KeepAlive::new(600_000, 30_000, 5));
        assert_eq!((config.user_timeout_ms, config.receive_buffer), (120_000, 1 << 20));
        assert_eq!(config.rto_min_ms, 200);
        assert_eq!(config.congestion, Algorithm::Reno);
        let ip = config.settings.ip;
        assert_eq!((ip.ttl.get(), Some(ip.dscp)), (3, Dscp::new(46)));
        assert_eq!(limits(&options, 1).send_buffer, 2 << 10);
        let Ok(Command::Serve(options)) = parse_words(Vec::new()) else { panic!() };
        let (ours, theirs) = (super::config(&options), Config::default());
        assert_eq!(ours.congestion, theirs.congestion);
        assert_eq!((ours.settings, ours.user_timeout_ms), (theirs.settings, theirs.user_timeout_ms));
        assert_eq!(
            (ours.receive_buffer, limits(&options, 1).send_buffer),
            (theirs.receive_buffer, 256 << 10)
        );
    }

    #[test]
    fn limits_for_all_are_shared_out() {
        let Ok(Command::Serve(options)) = parse_words(vec!["--max-connections".into(), "1001".into()]) else {
            panic!()
        };
        let limits = limits(&options, 2);
        assert_eq!((limits.connections, limits.time_wait_max), (501, 2_002));
        let lines = |resident| {
            memory_lines(&limits.memory(), ("services", 9_000, 1_000), &options.stack, 2, resident)
        };
        let tables = 2 * (limits.memory().total as u64 + 9_000);
        let all = (tables + (50 << 20)).div_ceil(1 << 20);
        assert!(
            lines(None)[0].contains("1001 of them") && lines(None)[1].ends_with(" on 2 loops"),
            "{:?}",
            lines(None)
        );
        assert!(
            lines(Some(50 << 20))[1].ends_with(&format!("; {all} MiB in all, with frames and the program"))
        );
        assert_eq!(lines(None)[2], "9 bytes more a connection for the services, in these tables too");
    }
}
