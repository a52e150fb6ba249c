//! Owning an address (RFC 5227): announcing it, defending it, and, where that is asked for, probing first
//! whether somebody has it already.

use crate::base::rng::Rng;
use crate::base::time::Instant;

const PROBE_WAIT_US: u32 = 1_000_000;
const PROBES: u8 = 3;
const PROBE_MIN_US: u64 = 1_000_000;
const PROBE_MAX_US: u32 = 2_000_000;
const ANNOUNCE_WAIT_US: u64 = 2_000_000;
const ANNOUNCEMENTS: u8 = 2;
const ANNOUNCE_INTERVAL_US: u64 = 2_000_000;
const DEFEND_INTERVAL_US: u64 = 10_000_000;

/// What is to be broadcast for an address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Say {
    /// "Does anybody have it?": an ARP request with sender address 0.
    Probe,
    /// "I have it": an ARP request for the address itself.
    Announce,
}

/// What another's claim to the address means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Conflict {
    /// It is ours, and we say so.
    Defend,
    /// It is ours, and we said so less than ten seconds ago.
    Silent,
    /// We were still asking: the address is not used.
    Lost,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Hosts that are switched on together must not all probe together (RFC 5227 2.1.1).
    Waiting,
    Probing {
        left: u8,
    },
    Announcing {
        left: u8,
    },
    Owned,
    Lost,
}

/// The claim to one address.
#[derive(Clone, Debug)]
pub struct Claim {
    state: State,
    next: Instant,
    defended: Option<Instant>,
}

impl Claim {
    /// A claim from `now` on. With `probe_first` the address is used only when nobody objected (RFC 5227
    /// 2.1); without it is used and announced at once.
    pub fn new(probe_first: bool, now: Instant) -> Self {
        let state = if probe_first { State::Waiting } else { State::Announcing { left: ANNOUNCEMENTS } };
        Claim { state, next: now, defended: None }
    }

    /// The address is in use by us.
    pub fn is_ours(&self) -> bool {
        matches!(self.state, State::Announcing { .. } | State::Owned)
    }

    /// Somebody else has the address.
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// What is due now.
    pub fn poll(&mut self, now: Instant, rng: &mut Rng) -> Option<Say> {
        //= ARP-7
        if now < self.next {
            return None;
        }
        match self.state {
            State::Waiting => {
                self.next = Instant(now.0 + u64::from(rng.below(PROBE_WAIT_US)));
                self.state = State::Probing { left: PROBES };
                None
            }
            State::Probing { left: 0 } => {
                self.state = State::Announcing { left: ANNOUNCEMENTS };
                self.poll(now, rng)
            }
            State::Probing { left } => {
                let jitter = u64::from(rng.below(PROBE_MAX_US - PROBE_MIN_US as u32));
                let wait = if left > 1 { PROBE_MIN_US + jitter } else { ANNOUNCE_WAIT_US };
                self.next = Instant(now.0 + wait);
                self.state = State::Probing { left: left - 1 };
                Some(Say::Probe)
            }
            State::Announcing { left } => {
                self.next = Instant(now.0 + ANNOUNCE_INTERVAL_US);
                self.state = if left > 1 { State::Announcing { left: left - 1 } } else { State::Owned };
                Some(Say::Announce)
            }
            State::Owned | State::Lost => None,
        }
    }

    /// Another host claims the address, or probes for it while we do.
    pub fn conflict(&mut self, now: Instant) -> Conflict {
        //= ARP-7
        if matches!(self.state, State::Waiting | State::Probing { .. } | State::Lost) {
            self.state = State::Lost;
            return Conflict::Lost;
        }
        if self.defended.is_some_and(|at| now.since_us(at) < DEFEND_INTERVAL_US) {
            return Conflict::Silent;
        }
        self.defended = Some(now);
        Conflict::Defend
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sayings(mut claim: Claim, seconds: u64) -> Vec<(u64, Say)> {
        let mut rng = Rng::new(1);
        (0..seconds * 1_000)
            .filter_map(|ms| claim.poll(Instant::from_millis(ms), &mut rng).map(|say| (ms, say)))
            .collect()
    }

    #[test]
    fn an_address_is_announced_twice_two_seconds_apart() {
        //= ARP-7
        let said = sayings(Claim::new(false, Instant::ZERO), 20);
        assert_eq!(said, [(0, Say::Announce), (2_000, Say::Announce)]);
        assert!(Claim::new(false, Instant::ZERO).is_ours());
    }

    #[test]
    fn with_probing_three_probes_and_a_wait_come_first() {
        //= ARP-7
        let said = sayings(Claim::new(true, Instant::ZERO), 20);
        let what: Vec<_> = said.iter().map(|(_, say)| *say).collect();
        assert_eq!(what, [Say::Probe, Say::Probe, Say::Probe, Say::Announce, Say::Announce]);
        assert!((1..=1_001).contains(&said[0].0), "the first probe waits up to a second");
        for pair in said[..3].windows(2) {
            assert!((1_000..=2_001).contains(&(pair[1].0 - pair[0].0)));
        }
        assert_eq!((said[3].0 - said[2].0, said[4].0 - said[3].0), (2_000, 2_000));
    }

    #[test]
    fn an_address_in_use_is_given_up_while_probing_and_defended_later() {
        //= ARP-7
        let mut probing = Claim::new(true, Instant::ZERO);
        assert!(!probing.is_ours());
        assert_eq!(probing.conflict(Instant::ZERO), Conflict::Lost);
        assert!(probing.is_lost() && probing.poll(Instant::from_millis(9_000), &mut Rng::new(1)).is_none());

        let mut owned = Claim::new(false, Instant::ZERO);
        let at = |s: u64| Instant::from_millis(s * 1_000);
        assert_eq!(owned.conflict(at(1)), Conflict::Defend);
        assert_eq!(owned.conflict(at(10)), Conflict::Silent);
        assert_eq!(owned.conflict(at(11)), Conflict::Defend);
        assert!(owned.is_ours());
    }
}
