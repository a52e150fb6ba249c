//! What one connection of a load is, as options: its profile, what is said on it, and who closes. Octets and verdicts
//! are `load::talk`'s, the weights of the ways to close `load::closing`'s.

use std::time::Duration;

use thiserror::Error;

use super::bounds::{Bounds, HOUR_US, Notation};
use super::{ConfigError, http_head};
use crate::load::closing::{Close, Closes};
use crate::load::talk::{Reply, Request, Talk};

/// Octets of a payload where nobody says so: to other hosts, and in bench, where a request is as long as a short GET.
const PAYLOAD: u64 = 64;
const PAYLOAD_IN_BENCH: u64 = 85;
/// Octets of a reply in bench: it fits into the segment that carries the FIN.
const REPLY_IN_BENCH: u64 = 128;
/// Requests of a stream.
const REQUESTS: u32 = 10;

/// What one connection is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Profile {
    /// A handshake, then a reset.
    Open,
    /// A handshake and the exchange of FINs.
    OpenClose,
    /// Open, request, reply, close.
    Crr,
    /// Several requests on a connection, or bytes in bulk.
    Stream,
    /// SYNs alone; bench's.
    Flood,
}

impl Profile {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Profile::Open => "open",
            Profile::OpenClose => "open-close",
            Profile::Crr => "crr",
            Profile::Stream => "stream",
            Profile::Flood => "flood",
        }
    }

    /// Whether anything is said.
    pub const fn talks(self) -> bool {
        matches!(self, Profile::Crr | Profile::Stream)
    }
}

/// What is spoken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// GET and its response.
    Http,
    /// What was sent comes back.
    Echo,
    /// Any octets, and so many or as many as come.
    Raw,
}

/// Which way bytes go in bulk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From us.
    Up,
    /// To us.
    Down,
    /// From us, and back again.
    Both,
}

/// Options on what is said that do not go together.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum TalkError {
    /// Several profiles where there is one run.
    #[error("--profile takes one word here; a list is for bench, which runs one after the other")]
    OneProfile,
    /// A profile twice in a list.
    #[error("--profile names {} twice; leave one of the two out, or take --repeats 2 to run it twice", .0.name())]
    ProfileTwice(Profile),
    /// A flood outside of bench.
    #[error("--profile flood is bench's, where both ends are ours; take open, open-close, crr or stream")]
    Flood,
    /// A flood by the kernel.
    #[error(
        "--profile flood is our stack's: the kernel opens whole connections; take open, or --backend dpdk"
    )]
    FloodOfKernel,
    /// Something to say where nothing is said.
    #[error("{0} is about what is said, and these profiles say nothing; leave it out, or take crr or stream")]
    Silent(&'static str),
    /// An option of a profile that was not asked for.
    #[error("{0} is for --profile stream; leave it out, or take that profile")]
    NoStream(&'static str),
    /// An option of HTTP in another language.
    #[error("{0} is for --talk http; leave it out, or take that")]
    NotHttp(&'static str),
    /// A way for bytes that are not there.
    #[error("--direction says which way --bytes go; add --bytes, or leave it out")]
    DirectionAlone,
    /// Bulk and something else.
    #[error("--bytes says all that is sent, so that {0} has no place beside it; leave one of the two out")]
    BesideBytes(&'static str),
    /// A reply whose length follows from elsewhere.
    #[error("--reply-size is for --talk raw: {0}; leave it out")]
    ReplySize(&'static str),
    /// Nothing to compare.
    #[error(
        "--verify compares what comes back with what was sent, and nothing comes back here; leave it out, or take \
         --talk echo, or --bytes with --direction both"
    )]
    Verify,
    /// A reply that ends with the connection, and then another request.
    #[error(
        "a reply without --reply-size ends with the connection, so that there is no second request; \
         add --reply-size, or take --requests 1"
    )]
    EndlessReply,
    /// Raw requests one after the other, to our own server.
    #[error(
        "--talk raw has no partner in bench for --profile stream, whose server answers the first request of a \
         connection alone; take --talk echo or http, or --bytes"
    )]
    RawStream,
    /// The size of an HTTP request.
    #[error("--request-size must be {min} to {max}, because the head alone takes {min} octets", max = http_head::LEN_MAX)]
    HeadLen {
        /// As short as it can be.
        min: usize,
    },
    /// A way to close that cannot happen.
    #[error("--close {}: {why}", .close.name())]
    Close {
        /// The way.
        close: Close,
        /// Why not, and what to do.
        why: &'static str,
    },
    /// An option on connections where there are SYNs alone.
    #[error("{0} has no meaning in a flood, whose SYNs are all alike and open nothing; leave it out")]
    NotInFlood(&'static str),
    /// A search for what a flood shows by itself.
    #[error(
        "a flood goes as fast as it is answered, so that there is no rate to search for; use bench --profile flood"
    )]
    FloodSearch,
    /// The same way twice.
    #[error("this names {} twice; leave one of the two out", .0.name())]
    CloseTwice(Close),
    /// No way is ever taken.
    #[error("these weights must add up to 1 to 4294967295; write them like fin=9,rst=1")]
    Weights,
}

/// What was said about connections; `None` where nothing was.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asked {
    /// `--profile`, in bench several; empty where nothing was said.
    pub profiles: Vec<Profile>,
    /// `--close`.
    pub closes: Option<Closes>,
    /// `--talk`.
    pub language: Option<Language>,
    /// `--request-size`, in octets.
    pub request_size: Option<u64>,
    /// `--reply-size`, in octets.
    pub reply_size: Option<u64>,
    /// `--path`.
    pub path: Option<String>,
    /// `--host`.
    pub host: Option<String>,
    /// `--requests`.
    pub requests: Option<u32>,
    /// `--bytes`.
    pub bytes: Option<u64>,
    /// `--direction`.
    pub direction: Option<Direction>,
    /// `--think`.
    pub think: Option<Duration>,
    /// `--verify`.
    pub verify: bool,
}

/// Where connections go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer<'a> {
    /// The server is ours, in the same process: bench.
    pub is_ours: bool,
    /// What HTTP calls it where nobody says so.
    pub host: &'a str,
    /// For random payloads.
    pub seed: u64,
}

impl Asked {
    /// Whether every option has a profile that it is for.
    ///
    /// # Errors
    /// One has none.
    pub fn check(&self, profiles: &[Profile]) -> Result<(), ConfigError> {
        let has_stream = profiles.contains(&Profile::Stream);
        let for_stream = [
            ("--requests", self.requests.is_some()),
            ("--bytes", self.bytes.is_some()),
            ("--direction", self.direction.is_some()),
        ];
        if let Some(option) = first(&for_stream).filter(|_| !has_stream) {
            return Err(TalkError::NoStream(option).into());
        }
        let for_talk = [
            ("--talk", self.language.is_some()),
            ("--request-size", self.request_size.is_some()),
            ("--reply-size", self.reply_size.is_some()),
            ("--path", self.path.is_some()),
            ("--host", self.host.is_some()),
            ("--think", self.think.is_some()),
            ("--verify", self.verify),
        ];
        if let Some(option) = first(&for_talk).filter(|_| !profiles.iter().any(|profile| profile.talks())) {
            return Err(TalkError::Silent(option).into());
        }
        if self.direction.is_some() && self.bytes.is_none() {
            return Err(TalkError::DirectionAlone.into());
        }
        if self.closes.is_some() && profiles.iter().all(|profile| *profile == Profile::Flood) {
            return Err(TalkError::NotInFlood("--close").into());
        }
        Ok(())
    }

    /// What a connection of one profile says, and how it is closed.
    ///
    /// # Errors
    /// Options that do not go together.
    pub fn of(&self, profile: Profile, peer: Peer<'_>) -> Result<(Talk, Closes), ConfigError> {
        let bulk = self.bytes.filter(|_| profile == Profile::Stream);
        let language = self.language.unwrap_or(match profile {
            _ if !peer.is_ours => Language::Http,
            // What answers one request after the other.
            Profile::Stream => Language::Echo,
            _ => Language::Raw,
        });
        if peer.is_ours && profile == Profile::Stream && self.language == Some(Language::Raw) {
            return Err(TalkError::RawStream.into());
        }
        let closes = self.closes.clone().unwrap_or_else(|| self.default_closes(profile, language, peer));
        let talk = match (profile, bulk) {
            (Profile::Open | Profile::OpenClose | Profile::Flood, _) => Talk::SILENT,
            (_, Some(bytes)) => self.bulk(bytes, peer)?,
            (Profile::Crr, None) => self.conversation(language, 1, &closes, peer)?,
            (Profile::Stream, None) => {
                self.conversation(language, self.requests.unwrap_or(REQUESTS), &closes, peer)?
            }
        };
        if profile != Profile::Flood {
            check_closes(&closes, &talk, peer)?;
        }
        Ok((talk, closes))
    }

    fn default_closes(&self, profile: Profile, language: Language, peer: Peer<'_>) -> Closes {
        let ends_with_connection = language == Language::Raw && self.reply_size.is_none();
        Closes::only(match profile {
            Profile::Open => Close::Rst,
            Profile::Flood => Close::Abandon,
            Profile::Crr if language == Language::Echo => Close::Fin,
            Profile::Crr if peer.is_ours || ends_with_connection => Close::Peer,
            Profile::OpenClose | Profile::Crr | Profile::Stream => Close::Fin,
        })
    }

    fn bulk(&self, bytes: u64, peer: Peer<'_>) -> Result<Talk, ConfigError> {
        let direction = self.direction.unwrap_or(Direction::Up);
        let beside = [
            ("--talk", self.language.is_some()),
            ("--requests", self.requests.is_some()),
            ("--request-size", self.request_size.is_some() && direction != Direction::Down),
            ("--reply-size", self.reply_size.is_some()),
            ("--path", self.path.is_some()),
            ("--host", self.host.is_some()),
        ];
        if let Some(option) = first(&beside) {
            return Err(TalkError::BesideBytes(option).into());
        }
        if self.verify && direction != Direction::Both {
            return Err(TalkError::Verify.into());
        }
        let seed = self.verify.then_some(peer.seed);
        let (len, reply) = match direction {
            Direction::Up => (bytes, Reply::None),
            Direction::Down => (self.payload(peer), Reply::Octets(bytes)),
            Direction::Both => (bytes, Reply::Same),
        };
        Ok(Talk { request: Request::Payload { len, seed }, reply, requests: 1 })
    }

    fn payload(&self, peer: Peer<'_>) -> u64 {
        self.request_size.unwrap_or(if peer.is_ours { PAYLOAD_IN_BENCH } else { PAYLOAD })
    }

    fn conversation(
        &self,
        language: Language,
        requests: u32,
        closes: &Closes,
        peer: Peer<'_>,
    ) -> Result<Talk, ConfigError> {
        let for_http = [("--path", self.path.is_some()), ("--host", self.host.is_some())];
        if let Some(option) = first(&for_http).filter(|_| language != Language::Http) {
            return Err(TalkError::NotHttp(option).into());
        }
        if self.verify && language != Language::Echo {
            return Err(TalkError::Verify.into());
        }
        let payload = |seed| Request::Payload { len: self.payload(peer), seed };
        let (request, reply) = match (language, self.reply_size) {
            (Language::Http, Some(_)) => {
                return Err(TalkError::ReplySize("the server says how long its response is").into());
            }
            (Language::Echo, Some(_)) => {
                return Err(TalkError::ReplySize("what comes back is as long as what was sent").into());
            }
            (Language::Http, None) => (self.head(requests, closes, peer)?, Reply::Http),
            (Language::Echo, None) => (payload(self.verify.then_some(peer.seed)), Reply::Same),
            (Language::Raw, Some(octets)) => (payload(None), Reply::Octets(octets)),
            (Language::Raw, None) if peer.is_ours => (payload(None), Reply::Octets(REPLY_IN_BENCH)),
            (Language::Raw, None) if requests > 1 => return Err(TalkError::EndlessReply.into()),
            (Language::Raw, None) => (payload(None), Reply::PeerClose),
        };
        Ok(Talk { request, reply, requests })
    }

    fn head(&self, requests: u32, closes: &Closes, peer: Peer<'_>) -> Result<Request, ConfigError> {
        let asks_to_close = closes.has(Close::Peer);
        if asks_to_close && requests > 1 {
            let why = "each request of a connection is the same, and one that asks the server to close would be \
                       its last; take fin, or --requests 1";
            return Err(TalkError::Close { close: Close::Peer, why }.into());
        }
        let path = self.path.as_deref().unwrap_or("/");
        let host = self.host.as_deref().unwrap_or(peer.host);
        let head = http_head::get(path, host, asks_to_close);
        let size = self.request_size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        let min = head.len();
        let head = head.padded(size.unwrap_or(min)).ok_or(TalkError::HeadLen { min })?;
        // Every connection sends it, for as long as the program runs.
        Ok(Request::Whole(Box::leak(head.into_boxed_slice())))
    }
}

/// The first option that was given.
fn first(options: &[(&'static str, bool)]) -> Option<&'static str> {
    options.iter().find(|(_, given)| *given).map(|(option, _)| *option)
}

/// Whether a connection can come to each of these ends.
fn check_closes(closes: &Closes, talk: &Talk, peer: Peer<'_>) -> Result<(), ConfigError> {
    let silent = talk.requests == 0;
    let wrong = [
        (
            Close::HalfClose,
            silent,
            "it stands behind a request, and nothing is asked with this profile; take fin",
        ),
        (
            Close::Peer,
            talk.reply == Reply::Same,
            "a server that sends back what it gets closes only behind us; take fin, half-close, rst or abandon",
        ),
        (
            Close::Peer,
            peer.is_ours && talk.reply == Reply::None,
            "bench's server closes behind its reply, and there is none with this profile; take fin",
        ),
        (
            Close::Fin,
            talk.reply == Reply::PeerClose,
            "without --reply-size the reply ends where the other end closes; add --reply-size, or take peer",
        ),
    ];
    match wrong.into_iter().find(|(close, applies, _)| *applies && closes.has(*close)) {
        Some((close, _, why)) => Err(TalkError::Close { close, why }.into()),
        None => Ok(()),
    }
}

/// A terabyte in a connection takes minutes on the fastest links.
const PAYLOAD_MAX: u64 = 1 << 40;
const REQUEST_SIZE: Bounds = Bounds::of("a request", Notation::Size, 1, PAYLOAD_MAX, "64");
const REPLY_SIZE: Bounds = Bounds::of("a reply", Notation::Size, 1, PAYLOAD_MAX, "1k");
const BYTES: Bounds = Bounds::of("the number of bytes", Notation::Size, 1, PAYLOAD_MAX, "1M");
const REQUESTS_RANGE: Bounds =
    Bounds::of("the number of requests a connection", Notation::Count, 1, 1 << 31, "10");
const THINK: Bounds = Bounds::of("the time to think", Notation::Duration, 0, 24 * HOUR_US, "10ms");

/// Reads one word of `--profile`.
///
/// # Errors
/// Another word than the five.
pub fn profile(text: &str) -> Result<Profile, ConfigError> {
    let all = [Profile::Open, Profile::OpenClose, Profile::Crr, Profile::Stream, Profile::Flood];
    let found = all.into_iter().find(|profile| profile.name() == text);
    found.ok_or_else(|| {
        ConfigError::word("a profile", text, "open, open-close, crr or stream, or in bench flood")
    })
}

/// Reads `--talk`.
///
/// # Errors
/// Another word than the three.
pub fn language(text: &str) -> Result<Language, ConfigError> {
    match text {
        "http" => Ok(Language::Http),
        "echo" => Ok(Language::Echo),
        "raw" => Ok(Language::Raw),
        _ => Err(ConfigError::word("something to talk", text, "http, echo or raw")),
    }
}

/// Reads `--direction`.
///
/// # Errors
/// Another word than the three.
pub fn direction(text: &str) -> Result<Direction, ConfigError> {
    match text {
        "up" => Ok(Direction::Up),
        "down" => Ok(Direction::Down),
        "both" => Ok(Direction::Both),
        _ => Err(ConfigError::word("a direction", text, "up, down or both")),
    }
}

/// Reads `--close`: a way to close, or several with weights, `fin=9,rst=1`.
///
/// # Errors
/// A way that does not exist or is named twice, or weights that choose none.
pub fn closes(text: &str) -> Result<Closes, ConfigError> {
    let mut weights: Vec<(Close, u32)> = Vec::new();
    for part in text.split(',') {
        let (name, weight) = part.split_once('=').unwrap_or((part, "1"));
        let close = Close::ALL.into_iter().find(|close| close.name() == name).ok_or_else(|| {
            ConfigError::word("a way to close", name, "fin, peer, rst, half-close or abandon")
        })?;
        if weights.iter().any(|(other, _)| *other == close) {
            return Err(TalkError::CloseTwice(close).into());
        }
        weights.push((close, u32::try_from(super::units::count(weight)?).map_err(|_| TalkError::Weights)?));
    }
    match weights[..] {
        [(only, 1..)] => Ok(Closes::only(only)),
        _ => Closes::weighted(&weights).ok_or_else(|| TalkError::Weights.into()),
    }
}

/// Reads `--request-size`, 1 octet to 1 TiB.
///
/// # Errors
/// Not a size, or out of range.
pub fn request_size(text: &str) -> Result<u64, ConfigError> {
    REQUEST_SIZE.read(text)
}

/// Reads `--reply-size`, 1 octet to 1 TiB.
///
/// # Errors
/// Not a size, or out of range.
pub fn reply_size(text: &str) -> Result<u64, ConfigError> {
    REPLY_SIZE.read(text)
}

/// Reads `--bytes`, 1 to 1 TiB.
///
/// # Errors
/// Not a size, or out of range.
pub fn bytes(text: &str) -> Result<u64, ConfigError> {
    BYTES.read(text)
}

/// Reads `--requests`, 1 to 2^31.
///
/// # Errors
/// Not a count, or out of range.
pub fn requests(text: &str) -> Result<u32, ConfigError> {
    REQUESTS_RANGE.read(text)
}

/// Reads `--think`, 0 to a day.
///
/// # Errors
/// Not a duration, or out of range.
pub fn think(text: &str) -> Result<Duration, ConfigError> {
    THINK.read_duration(text)
}

#[cfg(test)]
mod tests;
