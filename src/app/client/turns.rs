//! Whose turn it is: connections that wait for the ACK of their handshake to leave, that are parked until they are
//! drawn, and those that the end of the run is about.

use super::dialog::Stage;
use super::{Client, Ending, Order};
use crate::engine::api::{Conn, ConnId};

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

    /// The next connection of those in slots `from` on, and the slot behind it.
    pub(super) fn next_used(&self, from: u32) -> Option<(ConnId, u32)> {
        let rest = self.dialogs.get(from as usize..)?;
        let at = rest.iter().position(|dialog| dialog.stage != Stage::Free)? as u32 + from;
        let generation = self.dialogs.get(at as usize)?.generation;
        Some((ConnId { index: at, generation }, at + 1))
    }

    /// One that the end of the run is about.
    pub(super) fn next_to_end(&mut self) -> Option<ConnId> {
        match self.ending {
            Ending::Releasing { from, cut_at } => match self.next_used(from) {
                Some((id, from)) => {
                    self.ending = Ending::Releasing { from, cut_at };
                    return Some(id);
                }
                None => self.ending = Ending::Waiting { cut_at },
            },
            Ending::Waiting { cut_at } if cut_at.is_due(self.tick) => {
                self.ending = Ending::Cutting { from: 0 }
            }
            Ending::Cutting { from } => match self.next_used(from) {
                Some((id, from)) => {
                    self.ending = Ending::Cutting { from };
                    return Some(id);
                }
                None => self.ending = Ending::Cutting { from: 0 },
            },
            Ending::Running | Ending::Waiting { .. } => {}
        }
        None
    }

    /// One of the parked, where more connections wait than are meant to.
    pub(super) fn next_parked(&mut self) -> Option<ConnId> {
        let Order::Random { active } = self.plan.order else { return None };
        let parked = self.parked.len() as u32;
        // As many are let go as places for new ones are wanted; what is on its way already counts.
        let moving = self.level().saturating_sub(parked);
        if parked == 0 || moving >= active || !self.is_full() {
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

    /// The loop holds as many connections as it is meant to.
    pub(super) fn is_full(&self) -> bool {
        let all = self.plan.schedule.concurrency_max().map_or(0, u64::from);
        u64::from(self.level()) >= self.plan.share.part(all)
    }
}
