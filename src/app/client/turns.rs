//! Whose turn it is: connections that wait for the ACK of their handshake to leave, that are parked until they are
//! drawn, and those that the end of the run is about.

use super::dialog::{Marks, Stage};
use super::{Client, DRAWN_MAX, ENDINGS_MAX, Ending, Order, PLACES};
use crate::base::prefetch::prefetch;
use crate::engine::api::{Conn, ConnId};

/// Time between two walks over the table at the end, in milliseconds.
const RESCAN_MS: u32 = 10;
/// Where for so long no connection was opened, those that wait for their turn are all that can be had.
const STALL_MS: u32 = 1_000;
/// Slots that are drawn for one turn at most (LIM-13): connections may have left them.
const DRAWS_MAX: u32 = 64;

impl Client {
    /// It goes on when the ACK of its handshake has left; there is a place for each slot.
    pub(super) fn await_acknowledgment(&mut self, index: u32) {
        self.rest(index, Stage::Acknowledging);
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
        let Some(dialog) = self.dialogs.get_mut(index as usize) else { return };
        dialog.stage = Stage::Parked;
        self.parked += 1;
        self.parked_at = self.tick;
        self.timers.rest(index, self.parked);
        if !dialog.marks.has(Marks::LISTED) {
            dialog.marks.set(Marks::LISTED);
            self.listed.push(index);
        }
    }

    /// Takes slots from the list ahead, and asks for what is known of their connections.
    pub(super) fn draw_ahead(&mut self) {
        while self.drawn.len() < DRAWN_MAX
            && let Some(index) = self.draw()
        {
            self.prefetch(index);
            self.drawn.push_back(index);
        }
    }

    /// Asks for the lines that whatever happens to a connection will touch.
    #[inline]
    pub(super) fn prefetch(&self, index: u32) {
        if let Some(dialog) = self.dialogs.get(index as usize) {
            prefetch(dialog);
        }
        self.timers.prefetch(index);
    }

    /// Any slot of the list: at a place that was chosen some draws before, so that its line is there now.
    fn draw(&mut self) -> Option<u32> {
        let listed = self.listed.len();
        if listed == 0 {
            return None;
        }
        let later = self.rng.below(listed);
        self.listed.prefetch(later);
        self.draws = self.draws.wrapping_add(1);
        let chosen = std::mem::replace(&mut self.places[self.draws % PLACES], later);
        let place = if chosen < listed { chosen } else { later };
        self.listed.take(place)
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
                // Those that were named in this pass have not been called yet.
                None if self.endings < ENDINGS_MAX => self.endings = 0,
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
        let is_stalled = self.parked > 0 && self.tick.since(self.parked_at) >= STALL_MS;
        if is_stalled && !self.is_full() {
            // They go on, and are opened again, without waiting for those that do not come.
            self.full = u64::from(self.parked);
        }
        // As many are let go as places for new ones are wanted; what is on its way already counts. Those that are
        // reset at the end are not called too: the resets of more than a few at a time have no room on the way.
        let wanted = match self.ending {
            Ending::Running => self.is_full(),
            Ending::Releasing { .. } | Ending::Waiting { .. } => true,
            Ending::Cutting { .. } => false,
        };
        if self.parked == 0 || self.moving() >= active || !wanted {
            return None;
        }
        for _ in 0..DRAWS_MAX {
            self.draw_ahead();
            let index = self.drawn.pop_front()?;
            let dialog = self.dialogs.get_mut(index as usize)?;
            dialog.marks.clear(Marks::LISTED);
            if dialog.stage == Stage::Parked {
                dialog.stage = Stage::Called;
                let generation = dialog.generation;
                self.parked -= 1;
                return Some(ConnId { index, generation });
            }
        }
        None
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
        self.level().saturating_sub(self.parked)
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
        u64::from(self.level()) >= self.full
    }
}
