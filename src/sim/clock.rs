//! Virtual time: it passes when somebody says so.

use std::cell::Cell;
use std::rc::Rc;

use crate::base::time::Instant;

/// Virtual time, common to all who hold it.
#[derive(Clone, Default)]
pub struct SimClock(Rc<Cell<Instant>>);

impl SimClock {
    /// The time.
    pub fn now(&self) -> Instant {
        self.0.get()
    }

    /// Lets time pass up to `now`; never back.
    pub fn advance_to(&self, now: Instant) {
        self.0.set(self.now().max(now));
    }
}
