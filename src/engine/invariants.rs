//! What must hold for a whole shard between any two passes: its tables, lists and counts agree with its
//! connections. The loop never calls this; simulations, tests and the fuzz target do after every pass.

use thiserror::Error;

use super::api::ListenerId;
use super::shard::Shard;
use super::slot::{Origin, Owner, Slot};
use crate::base::time::Tick;
use crate::flow::table::Place;
use crate::tcp::state::State;

/// A rule that does not hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("slot {slot:?}: it does not hold that {rule}")]
pub struct Broken {
    /// The connection for which it does not hold; `None` for a rule about the whole shard.
    pub slot: Option<u32>,
    /// What should hold.
    pub rule: &'static str,
}

/// The first rule of several that does not hold.
fn first_broken(rules: &[(bool, &'static str)], slot: Option<u32>) -> Result<(), Broken> {
    match rules.iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(Broken { slot, rule }),
        None => Ok(()),
    }
}

impl Shard {
    /// Checks every connection, TIME-WAIT record and list.
    ///
    /// # Errors
    /// The first rule that does not hold.
    pub fn check_invariants(&self) -> Result<(), Broken> {
        let slots = || (0..self.slots()).filter_map(|index| self.slots.seen(index).map(|slot| (index, slot)));
        for (index, slot) in slots() {
            self.check_slot(index, &slot)?;
        }
        let count = |wanted: fn(&Slot) -> bool| slots().filter(|(_, slot)| wanted(slot)).count();
        let held = |slot: &Slot| slot.held.and_then(|place| self.reassemblies.get(place));
        let pieces = |slot: &Slot| {
            let queues = self.pool.pieces_in(&slot.outgoing) + self.pool.pieces_in(&slot.incoming);
            queues + held(slot).map_or(0, |held| held.pieces(&self.pool))
        };
        let rules = [
            //= TRN-13
            (
                self.table.len() + self.unread == self.slots.len() + self.time_wait.len(),
                "the index names each record once",
            ),
            (count(|slot| slot.unread) == self.unread as usize, "unread ones are counted"),
            (
                count(|slot| slot.owner == Owner::Nobody) == self.half_open as usize,
                "half-open ones are counted",
            ),
            (
                (0..self.slots()).all(|index| {
                    self.slots.key(index).is_some()
                        || ![&self.starved, &self.closing].iter().any(|list| list.contains(index))
                }),
                "only connections are on lists",
            ),
            (
                slots().map(|(_, slot)| pieces(&slot)).sum::<u32>()
                    == self.pool.chunks() - self.pool.free_chunks(),
                "every chunk in use belongs to a queue",
            ),
            (
                count(|slot| slot.held.is_some()) == self.reassemblies.len() as usize
                    && slots()
                        .all(|(_, slot)| slot.held.is_none() || held(&slot).is_some_and(|h| !h.is_empty())),
                "each place for held text belongs to a connection with a hole",
            ),
            (
                count(|slot| slot.recovery.is_some()) == self.recoveries.lent(),
                "each record lent belongs to a connection",
            ),
        ];
        first_broken(&rules, None)?;
        self.check_listeners()?;
        self.check_time_wait()
    }

    fn check_slot(&self, index: u32, slot: &Slot) -> Result<(), Broken> {
        if let Err(rule) = slot.tcb.invariants() {
            return Err(Broken { slot: Some(index), rule });
        }
        if let Some(Err(rule)) = self.recoveries.get(slot.recovery).map(|rec| rec.invariants(&slot.tcb)) {
            return Err(Broken { slot: Some(index), rule });
        }
        let state = slot.tcb.state();
        let deadline = slot.tcb.deadline();
        // What was due already when a call set it is looked at in the next tick.
        let next = self.now.tick().plus(1);
        let on_time = |at: Tick| {
            self.timers.armed_at(index).is_some_and(|armed| !at.before(armed) || !next.before(armed))
        };
        let rules = [
            (state != State::Listen, "a connection is not in LISTEN"),
            ((state == State::Closed) == slot.unread, "a connection in CLOSED has something to be read"),
            (!slot.unread || slot.has_more_to_tell(), "who has read everything is gone"),
            (
                (self.find(&slot.key) == Some(Place::Connection(index))) != slot.unread,
                "the index finds the connection",
            ),
            (!slot.tcb.owes() || self.owing.contains(index), "who owes is listed"),
            (
                deadline.is_none_or(on_time) || slot.tcb.owes() && self.slots.awake(index).is_none(),
                "it is looked at no later than its deadline",
            ),
            (
                matches!(state, State::SynSent | State::SynReceived)
                    || slot.tcb.queued() == slot.outgoing.len(),
                "the send queue is as long as the sequence numbers say",
            ),
            (slot.tcb.held() == slot.incoming.len(), "the window knows what is held"),
            (
                matches!(slot.owner, Owner::Nobody | Owner::Opener)
                    == matches!(state, State::SynSent | State::SynReceived),
                "the application has what is ESTABLISHED, and nothing else",
            ),
            (
                slot.owner != Owner::Finished || deadline.is_some() || slot.tcb.owes(),
                "what nobody waits for ends by a timer",
            ),
        ];
        first_broken(&rules, Some(index))
    }

    fn check_listeners(&self) -> Result<(), Broken> {
        for (number, listening) in self.listening.iter().enumerate() {
            let count = |owner| {
                let mine = (0..self.slots()).filter_map(|index| self.slots.seen(index));
                let through = Origin::Listener(ListenerId(number as u16));
                mine.filter(|slot| slot.origin == through && slot.owner == owner).count()
            };
            let rules = [
                (
                    count(Owner::Nobody) == listening.queues.half_open as usize,
                    "a listener counts its half-open",
                ),
                (count(Owner::Waiting) == listening.queues.waiting as usize, "a listener counts who waits"),
            ];
            first_broken(&rules, None)?;
        }
        Ok(())
    }

    fn check_time_wait(&self) -> Result<(), Broken> {
        let mut records = 0;
        for (index, record) in self.time_wait.records() {
            records += 1;
            let found = self.find(&record.key) == Some(Place::TimeWait(index));
            first_broken(&[(found, "the index finds the TIME-WAIT record")], None)?;
        }
        first_broken(&[(records == self.time_wait.len(), "TIME-WAIT records are counted")], None)
    }
}
