//! From a load to a run: tables sized by what is planned, a service that answers what is asked, and the lengths of the
//! frames that a conversation takes. Pure.

use std::time::Duration;

use super::duel::Experiment;
use super::floor::Frames;
use crate::app::Service;
use crate::app::client::{Order, Plan};
use crate::app::http::responses::Responses;
use crate::app::reply;
use crate::cli::plan;
use crate::config::bench::BenchOptions;
use crate::config::load::LoadOptions;
use crate::config::shape::Hold;
use crate::config::talk::Profile;
use crate::load::closing::Close;
use crate::load::schedule::Share;
use crate::load::talk::{Reply, Talk};
use crate::measure::pair::{Flooded, Spec};
use crate::tcp::arrives::listen::CookieMode;
use crate::tcp::config::Config;

/// Connections that are being opened, talk or close at a time; what is open beyond waits for its turn.
pub(in crate::cli) const ACTIVE_MAX: u32 = 256;
/// Connections a second that a closed loop's tables are made for: more than any core is known to reach.
const RATE_MAX: f64 = 3e6;
/// Time for each connection of a closed loop to be opened before anything is measured, and to be closed behind it, in
/// nanoseconds: more than it takes on a machine that is busy with something else too. The second is only a limit.
const FILLING_NS: u64 = 5_000;
const CLOSING_NS: u64 = 20_000;
/// Octets of a reply where nobody says.
const REPLY: u64 = 256;
/// Octets of the body of http's answers.
pub(in crate::cli) const BODY: usize = 1_024;
/// Connections that a flood's server has room for, beside those that stand there before: it opens none.
const FLOODED: u32 = ACTIVE_MAX;
/// SYNs of a flood of a closed port for each that a loop answers in the floor's place: one in so many paces it.
const SYNS_A_RESET: usize = 32;
/// Headers of a frame: Ethernet, IPv4, TCP; and with the options of a SYN, or with timestamps.
const PLAIN: u64 = 54;
const SYN: u64 = 74;
const STAMPED: u64 = 66;

/// What all runs of a bench have in common.
pub(super) struct Common {
    pub burst: usize,
    pub tx_burst: usize,
    pub cores: u32,
    pub time_wait: Duration,
    /// What floods are against.
    pub flooded: Flooded,
    pub responses: &'static Responses,
}

impl Common {
    /// As was asked for, with http's answers.
    pub fn new(options: &BenchOptions) -> Self {
        Common {
            burst: options.burst,
            tx_burst: options.tx_burst,
            cores: options.cores,
            time_wait: options.time_wait,
            flooded: Flooded { beside: options.beside, closed: options.closed },
            responses: Box::leak(Box::new(Responses::new(BODY))),
        }
    }
}

/// Milliseconds, rounded up.
pub(in crate::cli) fn milliseconds(time: Duration) -> u32 {
    u32::try_from(time.as_micros().div_ceil(1_000)).unwrap_or(u32::MAX)
}

/// What a client does for a load.
pub(in crate::cli) fn client(load: &LoadOptions, share: Share, order: Order) -> Plan {
    Plan {
        schedule: load.schedule.clone(),
        share,
        talk: load.talk,
        closes: load.closes.clone(),
        connect_timeout_ms: milliseconds(load.connect_timeout),
        reply_timeout_ms: milliseconds(load.reply_timeout),
        think_ms: milliseconds(load.think),
        hold_ms: match load.hold {
            None => 0,
            Some(Hold::For(time)) => milliseconds(time).min(u32::MAX - 1),
            Some(Hold::ToTheEnd) => u32::MAX,
        },
        drain_ms: milliseconds(load.drain),
        order,
        seed: load.seed,
    }
}

/// The experiment that a load is.
pub(super) fn of(load: &LoadOptions, common: &Common) -> Experiment {
    let concurrency =
        load.schedule.concurrency_max().unwrap_or_else(|| crate::config::supply::slots_needed(load));
    let order = match load.schedule.rate_max() {
        None if load.hold.is_none() => Order::Random { active: concurrency.min(ACTIVE_MAX) },
        _ => Order::Own,
    };
    let flood = load.profile == Profile::Flood;
    let concurrency = if flood { FLOODED } else { concurrency };
    let flooded = if flood { common.flooded } else { Flooded::default() };
    let reply = reply_len(&load.talk);
    let spec = Spec {
        concurrency,
        rate_max: if flood { 0.0 } else { load.schedule.rate_max().map_or(RATE_MAX, |rate| rate * 1.25) },
        config: config(load, common.time_wait),
        responses: common.responses,
        reply: Box::leak(reply::text(reply as usize).into_boxed_slice()),
        service: service(load),
        burst: common.burst,
        tx_burst: common.tx_burst,
        // Half-open entries are not what a flood measures.
        cookies: if flood { CookieMode::Always } else { CookieMode::Auto },
        flood: flooded,
    };
    let mut plan = client(load, Share::WHOLE, order);
    let is_closed = load.schedule.rate_max().is_none() && load.profile != Profile::Flood;
    if is_closed {
        let all = u64::from(concurrency);
        plan.schedule.warm_up_ns = plan.schedule.warm_up_ns.saturating_add(all * FILLING_NS);
        plan.drain_ms = plan.drain_ms.saturating_add((all * CLOSING_NS / 1_000_000) as u32);
    }
    Experiment {
        plan,
        frames: if flooded.closed {
            Some(unanswered())
        } else {
            frames(load, reply, concurrency > ACTIVE_MAX)
        },
        spec,
        cores: common.cores,
        peer_resets: load.closes.has(Close::Rst),
        flood,
    }
}

/// The protocol's settings, on both sides but for what the client imitates.
fn config(load: &LoadOptions, time_wait: Duration) -> Config {
    let mut config = Config::default().with_time_wait(time_wait);
    config.settings.nodelay = true;
    plan::imitate(&load.imitate, &mut config);
    config
}

/// Octets of a reply.
pub(in crate::cli) fn reply_len(talk: &Talk) -> u64 {
    match talk.reply {
        Reply::Octets(len) => len.clamp(1, 64 << 10),
        _ => REPLY,
    }
}

/// Who answers what this load asks.
pub(in crate::cli) fn service(load: &LoadOptions) -> Service {
    match load.talk.reply {
        _ if !load.profile.talks() => Service::Discard,
        Reply::None => Service::Discard,
        Reply::Same => Service::Echo,
        Reply::Http => Service::Http,
        Reply::Octets(_) if load.profile == Profile::Stream => Service::Chargen,
        Reply::Octets(_) | Reply::PeerClose => Service::Reply,
    }
}

/// SYNs that come to nothing, but for one reset.
fn unanswered() -> Frames {
    let mut answers = vec![0; SYNS_A_RESET];
    if let Some(last) = answers.last_mut() {
        *last = PLAIN as u16;
    }
    Frames::Conversations([vec![SYN as u16; SYNS_A_RESET], answers])
}

/// What a loop moves in the stack's place: the frames of a conversation with their lengths, or those of a stream that goes
/// one way. Where connections wait for their turn the handshake's last ACK is a frame of its own.
fn frames(load: &LoadOptions, reply: u64, waits: bool) -> Option<Frames> {
    let request = load.talk.request_len();
    if load.profile == Profile::Flood {
        return Some(Frames::Conversations([vec![SYN as u16], vec![SYN as u16]]));
    }
    if load.profile == Profile::Stream {
        return match load.talk.reply {
            Reply::None => Some(Frames::Copies { up: true }),
            Reply::Octets(_) => Some(Frames::Copies { up: false }),
            Reply::Same | Reply::PeerClose | Reply::Http => None,
        };
    }
    if load.closes.weights().count() > 1 || request > 1_400 || reply > 1_400 {
        return None;
    }
    let (first, first_answer): (&[u64], &[u64]) =
        if waits { (&[SYN, STAMPED], &[SYN, 0]) } else { (&[SYN], &[SYN]) };
    let close = load.closes.of(0);
    let (rest, answers): (Vec<u64>, Vec<u64>) = match (load.profile, close) {
        (Profile::Open, Close::Rst) if waits => (vec![PLAIN + 12], vec![0]),
        (Profile::Open, Close::Rst) => (vec![STAMPED, PLAIN + 12], vec![0, 0]),
        (Profile::OpenClose, Close::Fin) if waits => (vec![STAMPED, STAMPED], vec![STAMPED, 0]),
        (Profile::OpenClose, Close::Fin) => (vec![STAMPED, STAMPED, STAMPED], vec![0, STAMPED, 0]),
        (Profile::Crr, Close::Peer) if load.talk.reply != Reply::Http => {
            (vec![STAMPED + request, STAMPED], vec![STAMPED + reply, STAMPED])
        }
        _ => return None,
    };
    let join =
        |first: &[u64], rest: Vec<u64>| first.iter().copied().chain(rest).map(|len| len as u16).collect();
    Some(Frames::Conversations([join(first, rest), join(first_answer, answers)]))
}
