//! Whose turn it is: connections that wait for the ACK of their handshake to leave, that are parked until they are
//! drawn, and those that the end of the run is about.

use super::dialog::Stage;
use super::{Client, Ending, Order};
use crate::engine::api::{Conn, ConnId};

/// Time between two walks over the table at the end, in milliseconds.
const RESCAN_MS: u32 = 10;

impl Client {
    /// It goes on when the ACK of its handshake has left; there is a place for each slot.
    pub(super) fn await_acknowledgment(&mut self, index: u32) {
        self.enter(index, Stage::Acknowledging, u32::MAX);
        self.acknowledging.push_back(index);
    }

    /// It is open: its turn has come, or it waits for it.
    pub(super) fn take_turn(&mut self, conn: &mut Conn<'_>) {
        if self.plan.order == Order::Own || self.ending != Ending::Running {
            self.start(conn);
        } else {
            self.park(conn.id().index);
        }
    }

    /// Lets an open connection wait for its turn.
    pub(super) fn park(&mut self, index: u32) {
        self.enter(index, Stage::Parked, u32::MAX);
        if let Some(dialog) = self.dialogs.get_mut(index as usize) {
            dialog.place = self.parked.len() as u32;
            self.parked.push(index);
        }
    }

    /// Takes a connection out of the parked ones.
    pub(super) fn unpark(&mut self, index: u32) {
        let Some(place) = self.dialogs.get(index as usize).map(|dialog| dialog.place as usize) else {
            return;
        };
        if self.parked.get(place) == Some(&index) {
            self.parked.swap_remove(place);
            if let Some(moved) =
                self.parked.get(place).and_then(|moved| self.dialogs.get_mut(*moved as usize))
            {
                moved.place = place as u32;
            }
        }
    }

    /// The next connection of those in slots `from` on that is in such a stage, and the slot behind it.
    fn next_in(&self, from: u32, wanted: impl Fn(Stage) -> bool) -> Option<(ConnId, u32)> {
        let rest = self.dialogs.get(from as usize..)?;
        let at = rest.iter().position(|dialog| wanted(dialog.stage))? as u32 + from;
        let generation = self.dialogs.get(at as usize)?.generation;
        Some((ConnId { index: at, generation }, at + 1))
    }

    /// One that the end of the run is about; few in a pass, since what they send has to leave.
    pub(super) fn next_to_end(&mut self) -> Option<ConnId> {
        let found = if self.endings > 0 { self.find_to_end() } else { None };
        self.endings -= u32::from(found.is_some());
        found
    }

    fn find_to_end(&mut self) -> Option<ConnId> {
        match self.ending {
            Ending::Releasing { from, cut_at } => match self.next_in(from, |stage| stage == Stage::Holding) {
                Some((id, from)) => {
                    self.ending = Ending::Releasing { from, cut_at };
                    return Some(id);
                }
                None => self.ending = Ending::Waiting { cut_at },
            },
            Ending::Waiting { cut_at } if cut_at.is_due(self.tick) => {
                self.ending = Ending::Cutting { from: 0 }
            }
            Ending::Cutting { from } => match self.next_in(from, |stage| stage != Stage::Free) {
                Some((id, from)) => {
                    self.ending = Ending::Cutting { from };
                    return Some(id);
                }
                // One may have come back since; the whole table is not walked in each pass.
                None => self.ending = Ending::Waiting { cut_at: self.tick.plus(RESCAN_MS) },
            },
            Ending::Running | Ending::Waiting { .. } => {}
        }
        None
    }

    /// One of the parked, where more connections wait than are meant to.
    pub(super) fn next_parked(&mut self) -> Option<ConnId> {
        let Order::Random { active } = self.plan.order else { return None };
        let parked = self.parked.len() as u32;
        // As many are let go as places for new ones are wanted; what is on its way already counts. Those that are
        // reset at the end are not called too: the resets of more than a few at a time have no room on the way.
        let wanted = match self.ending {
            Ending::Running => self.is_full(),
            Ending::Releasing { .. } | Ending::Waiting { .. } => true,
            Ending::Cutting { .. } => false,
        };
        if parked == 0 || self.moving() >= active || !wanted {
            return None;
        }
        let chosen = *self.parked.get(self.rng.below(parked) as usize)?;
        self.unpark(chosen);
        let generation = self.dialogs.get(chosen as usize)?.generation;
        if let Some(dialog) = self.dialogs.get_mut(chosen as usize) {
            dialog.stage = Stage::Called;
        }
        Some(ConnId { index: chosen, generation })
    }

    /// One whose handshake is complete on the wire too: what follows, a reset perhaps, must not come before the ACK.
    pub(super) fn next_acknowledged(&mut self) -> Option<ConnId> {
        while self.acknowledged > 0
            && let Some(index) = self.acknowledging.pop_front()
        {
            self.acknowledged -= 1;
            let dialog = self.dialogs.get_mut(index as usize)?;
            if dialog.stage == Stage::Acknowledging {
                dialog.stage = Stage::Acknowledged;
                return Some(ConnId { index, generation: dialog.generation });
            }
        }
        None
    }

    /// Connections that are being opened, talk or close.
    fn moving(&self) -> u32 {
        self.level().saturating_sub(self.parked.len() as u32)
    }

    /// In random order no more are on the move than are meant to be.
    pub(super) fn may_launch(&self) -> bool {
        match self.plan.order {
            Order::Own => true,
            Order::Random { active } => self.moving() < active,
        }
    }

    /// The loop holds as many connections as it is meant to.
    pub(super) fn is_full(&self) -> bool {
        let all = self.plan.schedule.concurrency_max().map_or(0, u64::from);
        u64::from(self.level()) >= self.plan.share.part(all)
    }
}
