//! What a client remembers of one connection, and how the engine's words for an end are accounted for.

use crate::base::prefetch::prefetch;
use crate::base::time::Tick;
use crate::engine::api::{CloseReason, ConnId, Unreachable, Unsent};
use crate::engine::timers::Timers;
use crate::load::closing::Close;
use crate::load::talk::Conversation;
use crate::stats::account::{Broken, Failed, Way};

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Stage {
    /// There is none in this slot.
    #[default]
    Free,
    /// It is being opened.
    Opening,
    /// A request is on its way out, or its reply on its way in.
    Talking,
    /// Between a reply and what follows.
    Thinking,
    /// Everything is said; it stays open for a while.
    Holding,
    /// It is open and waits for its turn.
    Parked,
    /// Its turn has come.
    Called,
    /// It says nothing, and the ACK that completes its handshake is on its way out.
    Acknowledging,
    /// It has left.
    Acknowledged,
    /// Everything is said; the other end is to close first.
    AwaitingPeer,
    /// We have closed it; the other end has not.
    Closing,
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// It is to be closed so; once it is closed by FINs: `Fin` where ours was first, `Peer` where it was not.
    Planned(Close),
    /// It is known before.
    Known(Verdict),
}

/// How a connection is accounted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Failed(Failed),
    Closed(Way),
    Broken(Broken),
}

/// What is true of a connection, and of its slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Marks(u8);

impl Marks {
    /// The first octet has come.
    pub const HEARD: Marks = Marks(1);
    /// The other end has closed its direction.
    pub const PEER_CLOSED: Marks = Marks(2);
    /// The slot is on the list of the parked ones, if only because a connection was there that has left it.
    pub const LISTED: Marks = Marks(4);
    /// What the next connection in the slot inherits.
    const OF_SLOT: Marks = Marks::LISTED;

    pub const fn has(self, mark: Marks) -> bool {
        self.0 & mark.0 != 0
    }

    pub const fn set(&mut self, mark: Marks) {
        self.0 |= mark.0;
    }

    pub const fn clear(&mut self, mark: Marks) {
        self.0 &= !mark.0;
    }
}

/// Stands for the launch of a connection that is not measured.
pub(super) const UNMEASURED: u64 = u64::MAX;

/// One connection: a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
pub(super) struct Dialog {
    /// [`UNMEASURED`] where nobody wants to know.
    pub intended_ns: u64,
    /// When the first FIN was sent or came; 0 before.
    pub fin_ns: u64,
    pub conversation: Conversation,
    pub generation: u32,
    /// When its timer is due, in a stage that has one.
    pub deadline: Tick,
    pub stage: Stage,
    pub marks: Marks,
    pub end: End,
}

const _: () = assert!(size_of::<Dialog>() == 64);

impl Default for Dialog {
    fn default() -> Self {
        Dialog {
            intended_ns: UNMEASURED,
            fin_ns: 0,
            conversation: Conversation::default(),
            generation: 0,
            deadline: Tick(0),
            stage: Stage::Free,
            marks: Marks::default(),
            end: End::Planned(Close::Fin),
        }
    }
}

impl Dialog {
    /// A connection in this one's slot.
    #[must_use]
    pub fn succeeded_by(&self, next: Dialog) -> Dialog {
        let marks = Marks(self.marks.0 & Marks::OF_SLOT.0 | next.marks.0);
        Dialog { marks, ..next }
    }
}

impl Stage {
    /// Something happens in it when its deadline is due.
    pub fn is_timed(self) -> bool {
        !matches!(self, Stage::Free | Stage::Parked | Stage::Acknowledging)
    }
}

/// The next connection whose deadline is due, in a stage that has one. Entries that come up too early, or for a
/// connection that is gone, are moved to where its slot's next deadline is, or left out.
pub(super) fn next_timed(
    dialogs: &mut [Dialog],
    timers: &mut Timers,
    now: Tick,
    moves: &mut usize,
) -> Option<ConnId> {
    while let Some(index) = timers.pop_due(now, moves) {
        if let Some(later) = dialogs.get(timers.ahead() as usize) {
            prefetch(later);
        }
        let Some(dialog) = dialogs.get_mut(index as usize) else { continue };
        if !dialog.stage.is_timed() {
            continue;
        }
        let at = dialog.deadline;
        if at.is_due(now) {
            return Some(ConnId { index, generation: dialog.generation });
        }
        timers.look_again(index, at);
    }
    None
}

/// Why a connection that was never established ended.
pub(super) fn failed(reason: CloseReason) -> Failed {
    match reason {
        CloseReason::Refused | CloseReason::Reset => Failed::Refused,
        CloseReason::TimedOut | CloseReason::Silent => Failed::SynTimedOut,
        CloseReason::Unreachable(why) => unreachable(why),
        CloseReason::Aborted => Failed::Cut,
        CloseReason::Finished | CloseReason::DataAfterClose | CloseReason::Abandoned => Failed::Else,
    }
}

fn unreachable(why: Unreachable) -> Failed {
    if why == Unreachable::Neighbour { Failed::Neighbour } else { Failed::Unreachable }
}

/// Why a connection could not be opened within the client's own time.
pub(super) fn timed_out(unsent: Option<Unsent>, soft: Option<Unreachable>) -> Failed {
    match (unsent, soft) {
        (Some(Unsent::NoFrame), _) => Failed::NoFrame,
        (Some(Unsent::TxFull), _) => Failed::TxFull,
        (None, Some(why)) => unreachable(why),
        (None, None) => Failed::SynTimedOut,
    }
}

/// How an established connection ended that nobody had a verdict on.
pub(super) fn ended(reason: CloseReason, way: Way) -> Verdict {
    match reason {
        CloseReason::Finished => Verdict::Closed(way),
        CloseReason::Abandoned => Verdict::Closed(Way::Abandon),
        CloseReason::Reset | CloseReason::Refused => Verdict::Broken(Broken::Reset),
        CloseReason::TimedOut | CloseReason::Silent => Verdict::Broken(Broken::RetransmissionTimedOut),
        CloseReason::Unreachable(_) => Verdict::Broken(Broken::Unreachable),
        CloseReason::Aborted => Verdict::Broken(Broken::Cut),
        CloseReason::DataAfterClose => Verdict::Broken(Broken::WrongData),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// What is due at a time, whatever became of the entries of the wheel.
    fn due(dialogs: &[Dialog], now: Tick) -> Vec<u32> {
        let is_due = |(_, d): &(u32, &Dialog)| d.stage.is_timed() && d.deadline.is_due(now);
        (0..).zip(dialogs).filter(is_due).map(|(index, _)| index).collect()
    }

    #[test]
    fn every_deadline_is_told_once_and_on_time_whatever_was_armed_before() {
        for start in [1, u32::MAX - 9_000] {
            let (mut rng, mut now) = (Rng::new(u64::from(start)), Tick(start));
            let mut dialogs = [Dialog::default(); 40];
            let mut timers = Timers::new(40, now, 1);
            for generation in 0..20_000 {
                let index = rng.below(40);
                let dialog = &mut dialogs[index as usize];
                let bits = rng.below(13);
                let at = now.plus(1 + rng.below(1 << bits));
                match rng.below(6) {
                    0 => dialog.stage = Stage::Free,
                    1 => {
                        dialog.stage = Stage::Parked;
                        timers.rest(index, generation % 2);
                    }
                    2 => *dialog = dialog.succeeded_by(Dialog { generation, ..Dialog::default() }),
                    3 | 4 => {
                        dialog.stage = Stage::Talking;
                        dialog.deadline = at;
                        timers.arm(index, at);
                    }
                    _ => {
                        now = at;
                        let expected = due(&dialogs, now);
                        let (mut told, mut moves) = (Vec::new(), usize::MAX);
                        while let Some(id) = next_timed(&mut dialogs, &mut timers, now, &mut moves) {
                            assert_eq!(id.generation, dialogs[id.index as usize].generation);
                            let dialog = &mut dialogs[id.index as usize];
                            (dialog.stage, dialog.deadline) = (Stage::Closing, now.plus(1 << 20));
                            timers.arm(id.index, dialog.deadline);
                            told.push(id.index);
                        }
                        told.sort_unstable();
                        assert_eq!(told, expected);
                    }
                }
                for (index, dialog) in (0..).zip(&dialogs).filter(|(_, dialog)| dialog.stage.is_timed()) {
                    let at = timers.armed_at(index);
                    assert!(at.is_some_and(|at| !dialog.deadline.before(at)), "looked at no later than due");
                }
            }
        }
    }
}
