//! Options that say what a client does: the shape of its load, what one connection is, what its SYNs offer. Help
//! texts are broken by hand: a line that is printed has at most 100 columns.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::Outside;
use crate::config::ConfigError;
use crate::config::imitate::{self, Imitate, Wscale};
use crate::config::load::{self, Asked};
use crate::config::shape::{self, Hold, Shape};
use crate::config::talk::{self, Direction, Language, Profile};
use crate::config::{http_head, output, serve, stages};
use crate::load::closing::Closes;

/// When connections are launched.
#[derive(Args)]
pub(super) struct ShapeArgs {
    #[arg(long, value_name = "RATE", help_heading = "Load", value_parser = shape::rate)]
    #[arg(help = "Open loop: so many connections a second, 0.001 to 100M, however\n\
                  slow the answers are")]
    rate: Option<f64>,

    #[arg(long, value_name = "COUNT", help_heading = "Load", value_delimiter = ',')]
    #[arg(value_parser = shape::concurrency)]
    #[arg(help = "Closed loop: so many connections at a time, up to 64M; in bench\n\
                  also a list, one run each [default: 1, in bench 64]")]
    concurrency: Vec<u32>,

    #[arg(long, value_name = "DURATION", help_heading = "Load", num_args = 0..=1)]
    #[arg(default_missing_value = shape::HOLD_TO_THE_END, value_parser = shape::hold)]
    #[arg(help = "Keep each connection open for so long after its last reply;\n\
                  without a value until the end. --rate and --concurrency go\n\
                  together only with it")]
    hold: Option<Hold>,

    #[arg(long, value_name = "DURATION", help_heading = "Load", value_parser = shape::ramp)]
    #[arg(help = "Get there gradually within so long; not measured\n\
                  [default: 0s, in bench 500ms]")]
    ramp: Option<Duration>,

    #[arg(long, value_name = "DURATION", help_heading = "Load", value_parser = serve::duration)]
    #[arg(help = "Stay there for so long [default: 10s]")]
    duration: Option<Duration>,

    #[arg(long, value_name = "COUNT", help_heading = "Load", value_parser = shape::connections)]
    #[arg(help = "Stop after so many connections")]
    connections: Option<u64>,

    #[arg(long, value_name = "FILE", help_heading = "Load", value_parser = output::file)]
    #[arg(help = "Stages in TOML, instead of the options above: [[stage]] with\n\
                  rate, concurrency, ramp, duration")]
    stages: Option<PathBuf>,
}

impl ShapeArgs {
    /// The shape, with the stages read.
    pub(super) fn shape(self, outside: &Outside<'_>) -> Result<Shape, ConfigError> {
        let stages = match self.stages {
            None => Vec::new(),
            Some(path) => {
                let file = path.display().to_string();
                let text = (outside.read)(&path).map_err(|error| ConfigError::Unreadable {
                    option: "--stages",
                    file: file.clone(),
                    error: error.to_string(),
                })?;
                stages::read(&file, &text)?
            }
        };
        Ok(Shape {
            rate: self.rate,
            concurrency: self.concurrency,
            hold: self.hold,
            ramp: self.ramp,
            duration: self.duration,
            connections: self.connections,
            stages,
        })
    }
}

/// What one connection is, and what its SYN offers.
#[derive(Args)]
pub(super) struct TalkArgs {
    #[arg(long, value_name = "WHAT", help_heading = "Connections", value_delimiter = ',')]
    #[arg(value_parser = talk::profile)]
    #[arg(help = "What one connection is: open (handshake, then RST), open-close\n\
                  (handshake, then FINs), crr (open, request, reply, close) or\n\
                  stream (several requests, or bulk); in bench also flood (SYNs\n\
                  alone), and a list [default: crr, in bench\n\
                  open,open-close,crr]")]
    profile: Vec<Profile>,

    #[arg(long, value_name = "HOW", help_heading = "Connections", value_parser = talk::closes)]
    #[arg(help = "How connections end: fin (we close first), peer (we wait for its\n\
                  FIN), rst, half-close (behind the request), abandon (without\n\
                  a word), or weights: fin=9,rst=1 [default: fin; for open rst;\n\
                  in bench for crr, and for raw without --reply-size, peer]")]
    close: Option<Closes>,

    #[arg(long, value_name = "LANGUAGE", help_heading = "Connections", value_parser = talk::language)]
    #[arg(help = "What is said: http, echo (the request comes back) or raw\n\
                  [default: http, in bench raw]")]
    talk: Option<Language>,

    #[arg(long, value_name = "SIZE", help_heading = "Connections", value_parser = talk::request_size)]
    #[arg(help = "Octets of a request; an HTTP head is filled up\n\
                  [default: 64, in bench 85; a head's own length]")]
    request_size: Option<u64>,

    #[arg(long, value_name = "SIZE", help_heading = "Connections", value_parser = talk::reply_size)]
    #[arg(help = "Octets of a reply, for raw [default: up to the peer's FIN, in\n\
                  bench 128]")]
    reply_size: Option<u64>,

    #[arg(long, value_name = "PATH", help_heading = "Connections", value_parser = http_head::path)]
    #[arg(help = "What HTTP gets [default: /]")]
    path: Option<String>,

    #[arg(long, value_name = "NAME", help_heading = "Connections", value_parser = http_head::host)]
    #[arg(help = "HTTP's Host [default: the first target]")]
    host: Option<String>,

    #[arg(long, value_name = "COUNT", help_heading = "Connections", value_parser = talk::requests)]
    #[arg(help = "Requests of a connection, for stream [default: 10]")]
    requests: Option<u32>,

    #[arg(long, value_name = "SIZE", help_heading = "Connections", value_parser = talk::bytes)]
    #[arg(help = "Instead of requests, so many bytes in bulk, for stream")]
    bytes: Option<u64>,

    #[arg(long, value_name = "WAY", help_heading = "Connections", value_parser = talk::direction)]
    #[arg(help = "Which way they go: up, down (behind a short request) or both\n\
                  (and come back) [default: up]")]
    direction: Option<Direction>,

    #[arg(long, value_name = "DURATION", help_heading = "Connections", value_parser = talk::think)]
    #[arg(help = "Time between a reply and what follows it [default: 0s]")]
    think: Option<Duration>,

    #[arg(long, help_heading = "Connections")]
    #[arg(help = "Send random octets and compare what comes back, for echo and\n\
                  --direction both")]
    verify: bool,

    #[arg(long, value_name = "NUMBER", help_heading = "Connections", value_parser = load::seed)]
    #[arg(help = "For whatever is drawn [default: the system's, printed]")]
    seed: Option<u64>,

    #[arg(long, value_name = "DURATION", help_heading = "Connections", default_value = "3s")]
    #[arg(value_parser = load::connect_timeout)]
    #[arg(help = "Give a connection up that is not established by\n\
                  then")]
    connect_timeout: Duration,

    #[arg(long, value_name = "DURATION", help_heading = "Connections", default_value = "10s")]
    #[arg(value_parser = load::reply_timeout)]
    #[arg(help = "Give a connection up whose reply, or FIN, has not come\n\
                  by then")]
    reply_timeout: Duration,

    #[command(flatten)]
    imitate: ImitateArgs,
}

/// What SYNs offer.
#[derive(Args)]
struct ImitateArgs {
    #[arg(long, value_name = "OCTETS", help_heading = "Imitation", value_parser = imitate::mss)]
    #[arg(help = "Largest segment that is asked for, 64 to 8960\n\
                  [default: what the MTU allows]")]
    mss: Option<u16>,

    #[arg(long, value_name = "SIZE", help_heading = "Imitation", value_parser = imitate::window)]
    #[arg(help = "Receive buffer, and so the window, 1k to 1G [default: 256k]")]
    window: Option<u32>,

    #[arg(long, value_name = "SHIFT", help_heading = "Imitation", value_parser = imitate::wscale)]
    #[arg(help = "The window's shift, 0 to 14, or none [default: as the window\n\
                  needs]")]
    wscale: Option<Wscale>,

    #[arg(long, help_heading = "Imitation", help = "Offer no timestamps")]
    no_timestamps: bool,

    #[arg(long, help_heading = "Imitation", help = "Offer no selective acknowledgments")]
    no_sack: bool,

    #[arg(long, help_heading = "Imitation", help = "Ask for explicit congestion notification")]
    ecn: bool,
}

impl TalkArgs {
    /// Both together with the shape.
    pub(super) fn asked(
        self,
        shape: Shape,
        drain: Duration,
        outside: &Outside<'_>,
    ) -> Result<Asked, ConfigError> {
        let imitate = Imitate {
            mss: self.imitate.mss,
            timestamps: !self.imitate.no_timestamps,
            sack: !self.imitate.no_sack,
            ecn: self.imitate.ecn,
            ..Imitate::default()
        };
        Ok(Asked {
            shape,
            talk: talk::Asked {
                profiles: self.profile,
                closes: self.close,
                language: self.talk,
                request_size: self.request_size,
                reply_size: self.reply_size,
                path: self.path,
                host: self.host,
                requests: self.requests,
                bytes: self.bytes,
                direction: self.direction,
                think: self.think,
                verify: self.verify,
            },
            connect_timeout: self.connect_timeout,
            reply_timeout: self.reply_timeout,
            drain,
            imitate: imitate.with_window(self.imitate.window, self.imitate.wscale.unwrap_or_default())?,
            seed: self.seed.unwrap_or(outside.seed),
        })
    }
}
