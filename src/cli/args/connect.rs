//! The words of `connect`.

use std::time::Duration;

use clap::Args;

use super::given::Given;
use super::load::{ShapeArgs, TalkArgs};
use super::stack::{BackendArgs, ExpectArgs, OutputArgs, RunArgs, StackArgs};
use super::{Outside, wire};
use crate::config::ConfigError;
use crate::config::connect::ConnectOptions;
use crate::config::shape::{self, ShapeDefaults, Turns};
use crate::config::targets::{self, Source};
use crate::load::tuples::Target;

/// Nothing is measured before the load is there, and it is there at once.
const DEFAULTS: ShapeDefaults =
    ShapeDefaults { concurrency: 1, ramp: Duration::ZERO, warm_up: Duration::ZERO };

#[derive(Args)]
pub(super) struct ConnectArgs {
    #[arg(value_name = "TARGET", value_parser = targets::target)]
    #[arg(help = "Where to: ADDR:PORT, ADDR:PORT-PORT or PREFIX/LEN:PORT[-PORT];\n\
                  several are taken in turn")]
    targets: Vec<Target>,

    #[command(flatten)]
    source: SourceArgs,

    #[command(flatten)]
    shape: ShapeArgs,

    #[arg(long, value_name = "WHOSE", help_heading = "Load", value_parser = shape::order)]
    #[arg(default_value = "own", hide_default_value = true)]
    #[arg(help = "With --concurrency, which of the open connections goes on next:\n\
                  own, each at once, or random, any [default: own]")]
    order: Turns,

    #[command(flatten)]
    talk: TalkArgs,

    #[command(flatten)]
    stack: StackArgs,

    #[command(flatten)]
    backend: BackendArgs,

    #[command(flatten)]
    run: RunArgs,

    #[command(flatten)]
    output: OutputArgs,

    #[command(flatten)]
    expect: ExpectArgs,
}

/// Where connections come from.
#[derive(Args)]
pub(super) struct SourceArgs {
    #[arg(long, value_name = "ADDR|PREFIX/LEN[:PORT-PORT]", help_heading = "Addresses")]
    #[arg(value_parser = targets::source)]
    #[arg(help = "Where connections come from; repeatable. These addresses are\n\
                  ours as well, and share one range of ports\n\
                  [default: the port's own address, ports 1024-65535]")]
    pub(super) source: Vec<Source>,
}

impl ConnectArgs {
    pub(super) fn checked(self, given: &Given, outside: &Outside<'_>) -> Result<ConnectOptions, ConfigError> {
        given.refuse_with(self.backend.backend, &[])?;
        let asked = self.talk.asked(self.shape.shape(outside)?, self.run.drain, outside)?;
        let parts = wire::Parts {
            targets: self.targets,
            source: self.source,
            asked,
            turns: self.order,
            defaults: DEFAULTS,
            stack: self.stack,
            backend: self.backend.backend,
            stats_interval: self.run.stats_interval(),
            output: self.output.output(),
            expect: self.expect.expect,
        };
        parts.checked()
    }
}
