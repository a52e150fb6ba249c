//! What happened in the worlds that were run, and what has to have happened, so that quiet worlds cannot pass.

use dpdk_tcp::base::drop_reason::DropReason;
use dpdk_tcp::stats::counters::{Counter, Counters};
use dpdk_tcp::stats::snapshot::Snapshot;
use dpdk_tcp::tcp::path::Transitions;
use dpdk_tcp::tcp::state::State;

/// What all hosts of all worlds saw.
#[derive(Default)]
pub struct Coverage {
    events: Vec<u64>,
    drops: Vec<u64>,
    transitions: Vec<u64>,
}

fn add(sums: &mut Vec<u64>, values: impl Iterator<Item = u64>) {
    let values: Vec<_> = values.collect();
    sums.resize(values.len(), 0);
    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
}

fn pairs() -> impl Iterator<Item = (State, State)> {
    State::ALL.into_iter().flat_map(|from| State::ALL.into_iter().map(move |to| (from, to)))
}

impl Coverage {
    /// Adds what one host saw.
    pub fn add(&mut self, counters: &Counters, transitions: &Transitions) {
        let snapshot = Snapshot::of(std::iter::once(counters));
        add(&mut self.events, Counter::ALL.iter().map(|counter| snapshot.get(*counter)));
        add(&mut self.drops, DropReason::ALL.iter().map(|reason| snapshot.dropped(*reason)));
        add(&mut self.transitions, pairs().map(|(from, to)| u64::from(transitions.get(from, to))));
    }

    /// Adds what other worlds saw.
    pub fn merge(&mut self, other: &Coverage) {
        add(&mut self.events, other.events.iter().copied());
        add(&mut self.drops, other.drops.iter().copied());
        add(&mut self.transitions, other.transitions.iter().copied());
    }

    pub fn event(&self, counter: Counter) -> u64 {
        self.events.get(counter as usize).copied().unwrap_or(0)
    }

    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.drops.get(reason as usize).copied().unwrap_or(0)
    }

    /// All of it, for people.
    pub fn table(&self) -> String {
        let events = Counter::ALL.iter().map(|c| format!("{:32} {}\n", c.name(), self.event(*c)));
        let drops = DropReason::ALL.iter().map(|r| format!("drop {:27} {}\n", r.name(), self.dropped(*r)));
        let transitions = pairs().zip(&self.transitions).filter(|((from, to), _)| from.may_become(*to));
        let transitions =
            transitions.map(|((from, to), n)| format!("{:>13} -> {:13} {n}\n", from.name(), to.name()));
        events.chain(drops).chain(transitions).collect()
    }
}

/// How often each thing has to have happened.
const LEAST: u64 = 10;

/// Drops that no pair of hosts on this network can bring about, and why.
const NOT_HERE: &[(DropReason, &str)] = &[
    (DropReason::Abandoned, "no talk is abandoned"),
    (DropReason::FrameChained, "frames of the simulation are in one piece"),
    (
        DropReason::NoPlace,
        "in a world there is a place for each connection to wake; tests of limits have too few",
    ),
    (DropReason::TcpChecksumPartial, "ports of the simulation sum what they send"),
    (DropReason::TxRefused, "no port of the simulation refuses a frame that it asked for"),
];

/// Transitions that no connection makes in one step here, and what stands for them instead.
const IN_OTHER_WORDS: &[(State, State, Instead)] = &[
    // A listener is no connection. It is there from the start, stays when one of its half-open connections ends,
    // and no call sends through it (RFC 9293 3.10.2 leaves that to the implementation).
    (State::Closed, State::Listen, Instead::Nothing),
    (State::Listen, State::Closed, Instead::Nothing),
    (State::Listen, State::SynSent, Instead::Nothing),
    (State::SynReceived, State::Listen, Instead::Counted(Counter::HalfOpenReset)),
    // The acknowledgment comes first and the FIN behind it, also when one segment brings both.
    (State::SynReceived, State::FinWait1, Instead::Via(State::Established)),
    (State::SynReceived, State::CloseWait, Instead::Via(State::Established)),
    (State::FinWait1, State::TimeWait, Instead::Via(State::FinWait2)),
    // TIME-WAIT is a record without a connection.
    (State::TimeWait, State::Closed, Instead::Counted(Counter::TimeWaitExpired)),
    (State::TimeWait, State::SynReceived, Instead::Counted(Counter::TimeWaitReopened)),
    (State::TimeWait, State::SynSent, Instead::Counted(Counter::TimeWaitOpened)),
];

#[derive(Clone, Copy)]
enum Instead {
    Nothing,
    Counted(Counter),
    Via(State),
}

/// Timers and ways of recovery: each must have been at work.
const MODES: &[Counter] = &[
    // Timers.
    Counter::SynRepeated,
    Counter::SynAckRepeated,
    Counter::RtoExpired,
    Counter::TailProbes,
    Counter::RackTimers,
    Counter::Probes,
    Counter::OverridesExpired,
    Counter::AcksDelayed,
    Counter::FinWait2TimedOut,
    Counter::TimeWaitExpired,
    Counter::TimedOut,
    Counter::HalfOpenExpired,
    Counter::SynTimedOut,
    // Recovery.
    Counter::FastRecoveries,
    Counter::LimitedTransmits,
    Counter::RackLosses,
    Counter::PrrGrants,
    Counter::TailRepaired,
    Counter::ForwardRtos,
    Counter::ForwardRtoUndone,
    Counter::EifelUndone,
    Counter::DuplicateUndone,
    Counter::DuplicatesReported,
    // The rest of what a bad network brings about.
    Counter::KeepAlives,
    Counter::Silent,
    Counter::PathMtuChanged,
    Counter::PathMtuHeld,
    Counter::BlackHoles,
    Counter::CookiesGood,
    Counter::TimeWaitReopened,
    Counter::TimeWaitOpened,
    Counter::TimeWaitEvicted,
    Counter::ChallengeAcks,
    Counter::ChallengeLimited,
    Counter::Refused,
    Counter::SynAborted,
    Counter::OctetsHeld,
];

impl Coverage {
    fn transition(&self, from: State, to: State) -> u64 {
        let place = pairs().position(|pair| pair == (from, to));
        place.and_then(|place| self.transitions.get(place)).copied().unwrap_or(0)
    }

    fn transitions_missing(&self) -> impl Iterator<Item = String> {
        let legal = pairs().filter(|(from, to)| from.may_become(*to));
        legal.filter_map(|(from, to)| {
            let instead = IN_OTHER_WORDS.iter().find(|row| (row.0, row.1) == (from, to));
            let count = self.transition(from, to)
                + match instead.map(|row| row.2) {
                    None => 0,
                    Some(Instead::Nothing) => LEAST,
                    Some(Instead::Counted(counter)) => self.event(counter),
                    Some(Instead::Via(state)) => self.transition(from, state).min(self.transition(state, to)),
                };
            (count < LEAST).then(|| format!("{} -> {}: {count}", from.name(), to.name()))
        })
    }

    /// Everything that has to happen did. Transitions are known in debug builds only.
    pub fn check(&self) {
        let drops = DropReason::ALL.iter().filter(|reason| {
            self.dropped(**reason) < LEAST && !NOT_HERE.iter().any(|(other, _)| other == *reason)
        });
        let drops = drops.map(|reason| format!("{}: {}", reason.name(), self.dropped(*reason)));
        let modes = MODES.iter().filter(|counter| self.event(**counter) < LEAST);
        let modes = modes.map(|counter| format!("{}: {}", counter.name(), self.event(*counter)));
        let mut missing: Vec<_> = drops.chain(modes).collect();
        if cfg!(debug_assertions) {
            missing.extend(self.transitions_missing());
        }
        assert!(missing.is_empty(), "too quiet: {missing:#?}\n{}", self.table());
    }
}
