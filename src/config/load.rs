//! A load as options: its shape, what one connection is, and how long anything is waited for.

use std::time::Duration;

use super::ConfigError;
use super::bounds::{Bounds, HOUR_US, Notation};
use super::imitate::Imitate;
use super::shape::{Hold, Shape, ShapeDefaults, ShapeError};
use super::stack::Backend;
use super::talk::{self, Peer, Profile, TalkError};
use crate::load::closing::{Close, Closes};
use crate::load::schedule::Schedule;
use crate::load::talk::Talk;

/// The load of one run. Each value is within its range, and they fit together.
#[derive(Clone, PartialEq, Debug)]
pub struct LoadOptions {
    /// `--profile`: what one connection is.
    pub profile: Profile,
    /// `--rate`, `--concurrency`, `--ramp`, `--duration`, `--connections`, `--stages`.
    pub schedule: Schedule,
    /// What is said on a connection.
    pub talk: Talk,
    /// `--close`: how connections end.
    pub closes: Closes,
    /// `--hold`: how long a connection stays open after its last reply, before it is closed.
    pub hold: Option<Hold>,
    /// `--think`: time between a reply and what follows it, the next request or the end.
    pub think: Duration,
    /// `--connect-timeout`: a connection that is not established by then has failed.
    pub connect_timeout: Duration,
    /// `--reply-timeout`: a reply, or the other end's FIN, that has not come by then is given up.
    pub reply_timeout: Duration,
    /// `--drain`: time that open connections have at the end before they are reset.
    pub drain: Duration,
    /// What our SYNs offer.
    pub imitate: Imitate,
    /// `--seed`, or what the system gave: for payloads and whatever else is drawn.
    pub seed: u64,
}

impl LoadOptions {
    /// Whether this TCP can do it.
    ///
    /// # Errors
    /// The kernel's, which sends no SYN without a connection and leaves nobody without a word.
    pub fn check_backend(&self, backend: Backend) -> Result<(), ConfigError> {
        if backend == Backend::Dpdk {
            return Ok(());
        }
        if self.profile == Profile::Flood {
            return Err(TalkError::FloodOfKernel.into());
        }
        if self.closes.has(Close::Abandon) {
            let why = "a kernel socket cannot be left without a word; take rst, or --backend dpdk";
            return Err(TalkError::Close { close: Close::Abandon, why }.into());
        }
        Ok(())
    }
}

/// What was said about a load.
#[derive(Clone, PartialEq, Debug)]
pub struct Asked {
    /// Its shape.
    pub shape: Shape,
    /// Its connections.
    pub talk: talk::Asked,
    /// `--connect-timeout`.
    pub connect_timeout: Duration,
    /// `--reply-timeout`.
    pub reply_timeout: Duration,
    /// `--drain`.
    pub drain: Duration,
    /// What SYNs offer.
    pub imitate: Imitate,
    /// `--seed`, or what the system gave.
    pub seed: u64,
}

impl Asked {
    /// The load of a command that runs one. `host` is what HTTP calls the target.
    ///
    /// # Errors
    /// Options that do not go together; several profiles or concurrencies.
    pub fn one(self, host: &str, defaults: ShapeDefaults) -> Result<LoadOptions, ConfigError> {
        self.refuse_lists()?;
        if self.talk.profiles.contains(&Profile::Flood) {
            return Err(TalkError::Flood.into());
        }
        let peer = Peer { is_ours: false, host, seed: self.seed };
        self.first(Profile::Crr, peer, defaults)
    }

    /// The load of a command that runs one, against a server of ours.
    ///
    /// # Errors
    /// Options that do not go together; several profiles or concurrencies.
    pub fn one_of_ours(self, host: &str, defaults: ShapeDefaults) -> Result<LoadOptions, ConfigError> {
        self.refuse_lists()?;
        if self.talk.profiles.contains(&Profile::Flood) {
            return Err(TalkError::FloodSearch.into());
        }
        let peer = Peer { is_ours: true, host, seed: self.seed };
        self.first(Profile::Crr, peer, defaults)
    }

    /// The loads of bench, whose server is ours: by concurrency, and for each by profile, in the order in which they
    /// were written.
    ///
    /// # Errors
    /// Options that do not go together, in any of the runs.
    pub fn each(self, host: &str, defaults: ShapeDefaults) -> Result<Vec<LoadOptions>, ConfigError> {
        if let Some(twice) = repeated(&self.talk.profiles) {
            return Err(TalkError::ProfileTwice(twice).into());
        }
        if let Some(twice) = repeated(&self.shape.concurrency) {
            return Err(ShapeError::ConcurrencyTwice(twice).into());
        }
        let peer = Peer { is_ours: true, host, seed: self.seed };
        self.loads(&[Profile::Open, Profile::OpenClose, Profile::Crr], peer, defaults)
    }

    /// What is about connections has no meaning where there is nothing but a flood.
    fn check_flood(&self) -> Result<(), ConfigError> {
        let (imitate, usual) = (&self.imitate, Imitate::default());
        let said = [
            ("--concurrency", !self.shape.concurrency.is_empty()),
            ("concurrency in --stages", self.shape.stages.iter().any(|stage| stage.concurrency.is_some())),
            ("--hold", self.shape.hold.is_some()),
            ("--mss", imitate.mss != usual.mss),
            ("--window", imitate.window != usual.window),
            ("--wscale", imitate.wscale != usual.wscale),
            ("--no-timestamps", imitate.timestamps != usual.timestamps),
            ("--no-sack", imitate.sack != usual.sack),
            ("--ecn", imitate.ecn != usual.ecn),
        ];
        match said.into_iter().find(|(_, said)| *said) {
            Some((option, _)) => Err(TalkError::NotInFlood(option).into()),
            None => Ok(()),
        }
    }

    fn refuse_lists(&self) -> Result<(), ConfigError> {
        if self.talk.profiles.len() > 1 {
            return Err(TalkError::OneProfile.into());
        }
        if self.shape.concurrency.len() > 1 {
            return Err(ShapeError::OneConcurrency.into());
        }
        Ok(())
    }

    fn first(self, usual: Profile, peer: Peer<'_>, by: ShapeDefaults) -> Result<LoadOptions, ConfigError> {
        let loads = self.loads(&[usual], peer, by)?;
        // There is one for each concurrency and profile, and so at least one.
        loads.into_iter().next().ok_or_else(|| ShapeError::OneConcurrency.into())
    }

    fn loads(
        self,
        usual: &[Profile],
        peer: Peer<'_>,
        defaults: ShapeDefaults,
    ) -> Result<Vec<LoadOptions>, ConfigError> {
        let profiles = if self.talk.profiles.is_empty() { usual } else { &self.talk.profiles[..] };
        self.talk.check(profiles)?;
        if profiles.iter().all(|profile| *profile == Profile::Flood) {
            self.check_flood()?;
        }
        let mut loads = Vec::new();
        for (nth, schedule) in self.shape.schedules(defaults)?.into_iter().enumerate() {
            // A flood is the same for each number of connections.
            let wanted = |profile: &&Profile| nth == 0 || **profile != Profile::Flood;
            for profile in profiles.iter().filter(wanted) {
                let (talk, closes) = self.talk.of(*profile, peer)?;
                loads.push(LoadOptions {
                    profile: *profile,
                    schedule: schedule.clone(),
                    talk,
                    closes,
                    hold: self.shape.hold,
                    think: self.talk.think.unwrap_or_default(),
                    connect_timeout: self.connect_timeout,
                    reply_timeout: self.reply_timeout,
                    drain: self.drain,
                    imitate: self.imitate,
                    seed: self.seed,
                });
            }
        }
        Ok(loads)
    }
}

/// The first that stands in a list a second time.
fn repeated<T: Copy + PartialEq>(list: &[T]) -> Option<T> {
    list.iter()
        .enumerate()
        .find(|(n, one)| list.iter().take(*n).any(|before| before == *one))
        .map(|(_, one)| *one)
}

/// A run has to end when it says, which MUST-23's three minutes would not let it.
const CONNECT_TIMEOUT: Bounds = Bounds::of("the time to connect", Notation::Duration, 1_000, HOUR_US, "3s");
const REPLY_TIMEOUT: Bounds = Bounds::of("the time to reply", Notation::Duration, 1_000, 24 * HOUR_US, "10s");
const SEED: Bounds = Bounds::of("the seed", Notation::Count, 0, u64::MAX, "1");

/// Reads `--connect-timeout`, a millisecond to an hour.
///
/// # Errors
/// Not a duration, or out of range.
pub fn connect_timeout(text: &str) -> Result<Duration, ConfigError> {
    CONNECT_TIMEOUT.read_duration(text)
}

/// Reads `--reply-timeout`, a millisecond to a day.
///
/// # Errors
/// Not a duration, or out of range.
pub fn reply_timeout(text: &str) -> Result<Duration, ConfigError> {
    REPLY_TIMEOUT.read_duration(text)
}

/// Reads `--seed`: any number of 64 bits.
///
/// # Errors
/// Not a count.
pub fn seed(text: &str) -> Result<u64, ConfigError> {
    SEED.read(text)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) const CONNECT: ShapeDefaults =
        ShapeDefaults { concurrency: 1, ramp: Duration::ZERO, warm_up: Duration::ZERO };

    pub(crate) fn asked() -> Asked {
        Asked {
            shape: Shape::default(),
            talk: talk::Asked::default(),
            connect_timeout: Duration::from_secs(3),
            reply_timeout: Duration::from_secs(10),
            drain: Duration::from_secs(5),
            imitate: Imitate::default(),
            seed: 9,
        }
    }

    fn with(profiles: &[Profile], concurrency: &[u32]) -> Asked {
        let mut asked = asked();
        asked.talk.profiles = profiles.to_vec();
        asked.shape.concurrency = concurrency.to_vec();
        asked
    }

    #[test]
    fn runs_are_ordered_by_concurrency_and_profile() {
        let loads = with(&[Profile::Crr, Profile::Flood], &[1, 20]).each("h", CONNECT).unwrap();
        let order: Vec<_> = loads.iter().map(|l| (l.schedule.concurrency_max(), l.profile)).collect();
        let wanted = [(Some(1), Profile::Crr), (Some(1), Profile::Flood), (Some(20), Profile::Crr)];
        assert_eq!(order, wanted, "a flood has no concurrency and runs once");
        let usual: Vec<_> = asked().each("h", CONNECT).unwrap().iter().map(|load| load.profile).collect();
        assert_eq!(usual, [Profile::Open, Profile::OpenClose, Profile::Crr]);
    }

    #[test]
    fn a_list_names_nothing_twice() {
        for (asked, part) in [
            (with(&[Profile::Crr, Profile::Open, Profile::Crr], &[]), "--profile names crr twice"),
            (with(&[], &[8, 64, 8]), "--concurrency names 8 twice; leave one of the two out"),
        ] {
            let error = asked.each("h", CONNECT).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_command_with_one_run_takes_no_lists_and_no_flood() {
        let load = asked().one("h", CONNECT).unwrap();
        assert_eq!((load.profile, load.think, load.hold), (Profile::Crr, Duration::ZERO, None));
        for (asked, part) in [
            (with(&[Profile::Crr, Profile::Open], &[]), "--profile takes one word here"),
            (with(&[], &[1, 2]), "--concurrency takes one number here"),
            (with(&[Profile::Flood], &[]), "--profile flood is bench's"),
        ] {
            let error = asked.one("h", CONNECT).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        let error = with(&[Profile::Flood], &[]).one_of_ours("h", CONNECT).unwrap_err().to_string();
        assert!(error.contains("use bench --profile flood"), "{error}");
    }

    #[test]
    fn a_flood_alone_takes_nothing_that_is_about_connections() {
        let refused = |change: fn(&mut Asked), option: &str| {
            let mut flood = with(&[Profile::Flood], &[]);
            change(&mut flood);
            let mut mixed = flood.clone();
            mixed.talk.profiles.push(Profile::Crr);
            assert!(mixed.each("h", CONNECT).is_ok(), "{option} is for the other profile");
            let error = flood.each("h", CONNECT).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{option} has no meaning in a flood")), "{error}");
        };
        refused(|asked| asked.shape.concurrency = vec![64], "--concurrency");
        refused(|asked| asked.shape.hold = Some(Hold::ToTheEnd), "--hold");
        refused(|asked| asked.imitate.mss = Some(500), "--mss");
        refused(|asked| asked.imitate.ecn = true, "--ecn");
        refused(|asked| asked.imitate.timestamps = false, "--no-timestamps");
        let mut paced = with(&[Profile::Flood], &[]);
        paced.shape.rate = Some(5.0);
        assert_eq!(paced.each("h", CONNECT).unwrap()[0].schedule.rate_max(), Some(5.0));
    }

    #[test]
    fn what_the_kernel_cannot_do_is_refused() {
        let flood = with(&[Profile::Flood], &[]).each("h", CONNECT).unwrap().remove(0);
        let mut abandon = asked();
        abandon.talk.closes = Closes::weighted(&[(Close::Fin, 1), (Close::Abandon, 1)]);
        let abandon = abandon.one("h", CONNECT).unwrap();
        for (load, part) in
            [(flood, "--profile flood is our stack's"), (abandon, "--close abandon: a kernel socket")]
        {
            assert_eq!(load.check_backend(Backend::Dpdk), Ok(()));
            let error = load.check_backend(Backend::Kernel).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(asked().one("h", CONNECT).unwrap().check_backend(Backend::Kernel), Ok(()));
    }

    #[test]
    fn times_and_seeds_have_ranges() {
        assert_eq!(connect_timeout("3s"), Ok(Duration::from_secs(3)));
        assert_eq!((reply_timeout("1d"), seed("0")), (Ok(Duration::from_secs(86_400)), Ok(0)));
        assert!(
            connect_timeout("0").unwrap_err().to_string().contains("the time to connect must be 1ms to 1h")
        );
        assert!(reply_timeout("2d").unwrap_err().to_string().contains("1ms to 1d"));
        assert!(seed("x").unwrap_err().to_string().contains("not a count"));
    }
}
