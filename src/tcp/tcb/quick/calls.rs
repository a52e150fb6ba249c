//! SEND and CLOSE on a connection that is kept in brief.

use super::super::brief::Brief;
use super::super::{Owed, fact};
use crate::tcp::calls::{AfterClose, QUEUE_MAX};
use crate::tcp::state::State;

impl Brief {
    /// Whether [`Brief::send`] would take so many octets.
    pub fn may_send(&self, octets: u32) -> bool {
        let open = matches!(self.state(), State::Established | State::CloseWait);
        open && !self.facts.has(fact::FIN_QUEUED) && octets <= QUEUE_MAX.saturating_sub(self.queued())
    }

    /// As [`crate::tcp::tcb::Tcb::may_send`].
    pub fn may_queue(&self, octets: u32) -> bool {
        self.state().sends()
            && !self.facts.has(fact::FIN_QUEUED)
            && octets <= QUEUE_MAX.saturating_sub(self.queued())
    }

    /// SEND: so many octets are queued. False, with nothing done, where [`Brief::may_send`] says so.
    pub fn send(&mut self, octets: u32) -> bool {
        //= CALL-3
        let may = self.may_send(octets);
        if may {
            self.end += octets;
            self.owed.0 |= Owed::SEND;
        }
        may
    }

    /// CLOSE: a FIN follows what is queued. False, with nothing done, where that is not all it does.
    pub fn close(&mut self, after: AfterClose) -> bool {
        //= CALL-5
        let next = match self.state() {
            State::Established => State::FinWait1,
            State::CloseWait => State::LastAck,
            _ => return false,
        };
        match after {
            AfterClose::Deliver => {}
            AfterClose::Discard => self.facts.set(fact::DISCARDS),
            AfterClose::Reset => self.facts.set(fact::DEAF),
        }
        self.enter(next);
        //= X-7
        self.facts.set(fact::FIN_QUEUED);
        self.owed.0 |= Owed::SEND;
        true
    }
}
