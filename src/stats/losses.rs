//! What a port lost, by the device's own account. Nobody in the loop saw these frames, so that no counter of a worker
//! can know of them.

/// Frames lost since the port was started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Losses {
    /// Frames lost because the receive queue was full.
    pub rx_missed: u64,
    /// Frames lost because the pool was empty.
    pub rx_no_frame: u64,
    /// Frames received in error.
    pub rx_errors: u64,
    /// Frames that could not be sent.
    pub tx_errors: u64,
}

impl Losses {
    /// Each kind with its name, its number and a sentence.
    pub fn each(&self) -> [(&'static str, u64, &'static str); 4] {
        [
            ("rx_missed", self.rx_missed, "Frames lost because the loop did not fetch them in time."),
            ("rx_no_frame", self.rx_no_frame, "Frames lost because the pool was empty."),
            ("rx_errors", self.rx_errors, "Frames that the device received in error."),
            ("tx_errors", self.tx_errors, "Frames that the device could not send."),
        ]
    }

    /// Adds what another port lost.
    pub fn add(&mut self, other: &Losses) {
        self.rx_missed += other.rx_missed;
        self.rx_no_frame += other.rx_no_frame;
        self.rx_errors += other.rx_errors;
        self.tx_errors += other.tx_errors;
    }

    /// What was lost since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Losses) -> Losses {
        Losses {
            rx_missed: self.rx_missed.saturating_sub(earlier.rx_missed),
            rx_no_frame: self.rx_no_frame.saturating_sub(earlier.rx_no_frame),
            rx_errors: self.rx_errors.saturating_sub(earlier.rx_errors),
            tx_errors: self.tx_errors.saturating_sub(earlier.tx_errors),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_never_falls_below_nothing() {
        let before = Losses { rx_missed: 5, tx_errors: 7, ..Losses::default() };
        let now = Losses { rx_missed: 9, ..Losses::default() };
        assert_eq!(now.since(&before), Losses { rx_missed: 4, ..Losses::default() });
        assert_eq!(now.each().map(|(_, n, _)| n), [9, 0, 0, 0]);
    }
}
