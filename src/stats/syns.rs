//! What became of the SYNs of a flood, of which nothing is remembered: there are counts, and no connections.

/// Counts so far, of whoever floods.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Syns {
    /// SYNs that the device has taken.
    pub sent: u64,
    /// SYN-ACKs that acknowledge the SYN of their endpoints.
    pub answered: u64,
    /// Resets that do.
    pub refused: u64,
    /// Other segments that came back.
    pub wrong: u64,
}

impl Syns {
    /// SYNs for which nothing has come back.
    pub fn unanswered(&self) -> u64 {
        self.sent.saturating_sub(self.answered + self.refused)
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Syns) -> Syns {
        self.with(other, u64::saturating_add)
    }

    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Syns) -> Syns {
        self.with(earlier, u64::saturating_sub)
    }

    fn with(&self, other: &Syns, op: fn(u64, u64) -> u64) -> Syns {
        Syns {
            sent: op(self.sent, other.sent),
            answered: op(self.answered, other.answered),
            refused: op(self.refused, other.refused),
            wrong: op(self.wrong, other.wrong),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_answered_is_no_longer_waited_for() {
        let now = Syns { sent: 10, answered: 6, refused: 1, wrong: 5 };
        assert_eq!(now.unanswered(), 3);
        assert_eq!(now.plus(&now).since(&now), now);
        // A SYN-ACK that was sent again counts again.
        assert_eq!(Syns { answered: 11, ..now }.unanswered(), 0);
    }
}
