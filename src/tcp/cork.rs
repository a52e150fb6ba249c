//! Cork (NAG-5): an application that writes in small pieces holds back what does not fill a segment, until it says
//! that it is done, or for 200 ms.

use super::Ctx;
use super::tcb::{Owed, Tcb, fact};
use crate::base::time::Tick;

/// Where a connection's cork is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cork {
    /// There is none.
    Off,
    /// Nothing is held back.
    On,
    /// Less than a segment is held back, until then at most.
    Holding(Tick),
    /// It was held back for long enough: what is queued leaves.
    Over,
}

impl Tcb {
    /// Corks the connection, or lets what is held back leave.
    pub fn set_cork(&mut self, corked: bool) {
        //= NAG-5
        match (corked, self.cork) {
            (true, Cork::Off) => self.cork = Cork::On,
            (true, _) => {}
            (false, _) => {
                self.cork = Cork::Off;
                self.owed.0 |= Owed::SEND;
            }
        }
    }

    /// A segment that is not full must wait. The last one before our FIN never does (NAG-4).
    pub(super) fn is_corked(&self) -> bool {
        matches!(self.cork, Cork::On | Cork::Holding(_)) && !self.facts.has(fact::FIN_QUEUED)
    }

    /// What could leave has left: the cork begins to count for the rest, or starts anew where there is none.
    pub(super) fn mind_cork(&mut self, ctx: Ctx<'_>) {
        if self.cork == Cork::Off {
            return;
        }
        self.cork = match (self.cork, self.unsent() > 0) {
            (Cork::On, true) => Cork::Holding(Tick::after_ms(ctx.now, ctx.cfg.override_ms)),
            (Cork::Holding(_) | Cork::Over, false) => Cork::On,
            (cork, _) => cork,
        };
    }

    /// When the cork lets go by itself.
    pub(super) fn cork_at(&self) -> Option<Tick> {
        match self.cork {
            Cork::Holding(at) => Some(at),
            Cork::Off | Cork::On | Cork::Over => None,
        }
    }

    /// The time that the cork may hold is over, if it is.
    pub(super) fn cork_timeout(&mut self, now: Tick) {
        //= NAG-5
        if self.cork_at().is_some_and(|at| at.is_due(now)) {
            self.cork = Cork::Over;
            self.owed.0 |= Owed::SEND;
        }
    }
}
