//! Which options stand on the command line, so that those without a meaning beside another are refused and none is
//! taken and ignored.

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::config::ConfigError;
use crate::config::stack::Backend;

/// What stands on the command line. Options have the names of their fields.
pub(super) struct Given(Vec<String>);

/// What the kernel decides by itself, or by settings of the whole machine. What its sockets can be told is not
/// among it.
pub(super) const OF_OUR_STACK: &[&str] = &[
    "addr",
    "gateway",
    "neighbour",
    "dad",
    "mtu",
    "no-tso",
    "buffers",
    "time-wait",
    "time-wait-max",
    "send-buffer",
    "receive-buffer",
    "rto-min",
    "congestion",
    "burst",
    "tx-burst",
    "per-address",
    "keep-alive",
    "user-timeout",
    "syn-cookies",
    "rst-rate",
    "link",
    "checksums",
    "wscale",
    "no-timestamps",
    "no-sack",
    "ecn",
    "order",
];

impl Given {
    /// Of the program's matches: those of its command, and of the command's own.
    pub(super) fn of(matches: &ArgMatches) -> Self {
        let mut names = Vec::new();
        let mut level = Some(matches);
        while let Some(matches) = level {
            let given = |id: &&clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
            names.extend(matches.ids().filter(given).map(|id| id.as_str().replace('_', "-")));
            level = matches.subcommand().map(|(_, matches)| matches);
        }
        Given(names)
    }

    /// Refuses the first of these options that was given.
    pub(super) fn refuse(&self, options: &[&str], why: &'static str) -> Result<(), ConfigError> {
        match options.iter().find(|option| self.0.iter().any(|given| given == *option)) {
            Some(option) => Err(ConfigError::Misplaced { option: (*option).to_owned(), why }),
            None => Ok(()),
        }
    }

    /// Refuses what another TCP than ours does not take, but for what the command `takes` all the same.
    pub(super) fn refuse_with(&self, backend: Backend, takes: &[&str]) -> Result<(), ConfigError> {
        match backend {
            Backend::Dpdk => Ok(()),
            Backend::Kernel => {
                let refused: Vec<_> =
                    OF_OUR_STACK.iter().copied().filter(|option| !takes.contains(option)).collect();
                self.refuse(&refused, "is our stack's, and --backend kernel is another")
            }
        }
    }
}
