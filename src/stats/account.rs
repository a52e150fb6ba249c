//! The account of a client's connections: how many were attempted, what became of each, and whether it balances.
//! One writer, the loop or thread that opens the connections; it is read as a [`Tally`].

use std::fmt;

use thiserror::Error;

macro_rules! reasons {
    ($(#[$about:meta])* $kind:ident { $($variant:ident = $name:literal, $sentence:literal;)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[repr(u8)]
        pub enum $kind {
            $(#[doc = $sentence] $variant,)*
        }

        impl $kind {
            /// All of them, in order.
            pub const ALL: &'static [$kind] = &[$($kind::$variant,)*];
            const COUNT: usize = Self::ALL.len();

            /// Its name in reports, in lower case with underscores.
            pub const fn name(self) -> &'static str {
                match self { $($kind::$variant => $name,)* }
            }

            /// One sentence for people.
            pub const fn sentence(self) -> &'static str {
                match self { $($kind::$variant => $sentence,)* }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

reasons! {
    /// Why a connection failed before it was established.
    Failed {
        NoTuple = "no_tuple", "No pair of endpoints was free: all were open or in TIME-WAIT.";
        NoTcb = "no_tcb", "Every connection slot was in use.";
        Late = "not_launched", "It was due, but the client was so far behind that the run was over before.";
        NoFrame = "no_frame", "Its SYN never left: the pool of frames was empty.";
        TxFull = "tx_full", "Its SYN never left: the device took nothing.";
        Neighbour = "neighbour_unresolved", "Nobody answered ARP for the next hop.";
        SynTimedOut = "syn_timeout", "Nobody answered its SYNs in time.";
        Refused = "refused", "The other end answered its SYN by a reset.";
        Unreachable = "unreachable", "An ICMP error said that the target cannot be reached.";
        Cut = "cut", "We gave it up at the end of the run.";
        Else = "other", "The system refused it for another reason.";
    }
}

reasons! {
    /// How an established connection came to the end that was planned for it.
    Way {
        Fin = "fin", "We closed first, by FIN.";
        Peer = "peer", "The other end closed first, by FIN.";
        Rst = "rst", "We reset it, as planned.";
        HalfClose = "half_close", "We closed our direction before the reply came.";
        Abandon = "abandon", "We left it without a word, as planned.";
    }
}

reasons! {
    /// Why an established connection came to another end.
    Broken {
        Reset = "reset", "The other end reset it.";
        RetransmissionTimedOut = "retransmission_timeout", "What was sent was never acknowledged.";
        ReplyTimedOut = "reply_timeout", "The reply, or the other end's FIN, did not come in time.";
        WrongData = "wrong_data", "What came was not what was asked for.";
        ShortReply = "short_reply", "The other end closed before its reply was complete.";
        Unreachable = "unreachable", "An ICMP error said that the other end cannot be reached any more.";
        Cut = "cut", "It was still open when the drain's time was over, and was reset.";
        Else = "other", "The system ended it for another reason.";
    }
}

/// Counts so far. `in_flight` and `open` are levels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Connections that were begun, or would have been had anything been free.
    pub attempted: u64,
    /// Those that became ESTABLISHED.
    pub established: u64,
    /// Those that failed before, by [`Failed`].
    pub failed: [u64; Failed::COUNT],
    /// Established ones that ended as planned, by [`Way`].
    pub closed: [u64; Way::COUNT],
    /// Established ones that ended otherwise, by [`Broken`].
    pub broken: [u64; Broken::COUNT],
    /// Being opened now.
    pub in_flight: u64,
    /// Established and not over.
    pub open: u64,
    /// Requests that were sent whole.
    pub requests: u64,
    /// Replies that were complete.
    pub replies: u64,
    /// Octets of data sent.
    pub octets_sent: u64,
    /// Octets of data received.
    pub octets_received: u64,
}

/// An account that does not balance: a defect of this program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Imbalance {
    /// attempted = established + failed + in flight.
    #[error(
        "{attempted} attempted, but {established} established + {failed} failed + {in_flight} in flight: please report it"
    )]
    Attempted {
        /// As counted.
        attempted: u64,
        /// As counted.
        established: u64,
        /// All reasons.
        failed: u64,
        /// As counted.
        in_flight: u64,
    },
    /// established = closed + broken + open.
    #[error(
        "{established} established, but {closed} closed + {broken} broken + {open} open: please report it"
    )]
    Established {
        /// As counted.
        established: u64,
        /// All ways.
        closed: u64,
        /// All reasons.
        broken: u64,
        /// As counted.
        open: u64,
    },
}

impl Tally {
    /// A connection is begun.
    pub fn attempt(&mut self) {
        self.attempted += 1;
        self.in_flight += 1;
    }

    /// A connection that was begun failed.
    pub fn fail(&mut self, why: Failed) {
        self.failed[why as usize] += 1;
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Connections that were due were never begun.
    pub fn miss(&mut self, count: u64) {
        self.attempted += count;
        self.failed[Failed::Late as usize] += count;
    }

    /// A connection that was begun is ESTABLISHED.
    pub fn establish(&mut self) {
        self.established += 1;
        self.in_flight = self.in_flight.saturating_sub(1);
        self.open += 1;
    }

    /// An established connection ended as planned.
    pub fn close(&mut self, way: Way) {
        self.closed[way as usize] += 1;
        self.open = self.open.saturating_sub(1);
    }

    /// An established connection ended otherwise.
    pub fn lose(&mut self, why: Broken) {
        self.broken[why as usize] += 1;
        self.open = self.open.saturating_sub(1);
    }

    /// Those that failed, for any reason.
    pub fn failed_all(&self) -> u64 {
        self.failed.iter().sum()
    }

    /// Those that ended as planned.
    pub fn closed_all(&self) -> u64 {
        self.closed.iter().sum()
    }

    /// Those that ended otherwise.
    pub fn broken_all(&self) -> u64 {
        self.broken.iter().sum()
    }

    /// Whether it balances.
    ///
    /// # Errors
    /// It does not.
    pub fn check(&self) -> Result<(), Imbalance> {
        let (attempted, established) = (self.attempted, self.established);
        let (failed, in_flight) = (self.failed_all(), self.in_flight);
        if attempted != established + failed + in_flight {
            return Err(Imbalance::Attempted { attempted, established, failed, in_flight });
        }
        let (closed, broken, open) = (self.closed_all(), self.broken_all(), self.open);
        if established != closed + broken + open {
            return Err(Imbalance::Established { established, closed, broken, open });
        }
        Ok(())
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Tally) -> Tally {
        self.with(other, u64::saturating_add)
    }

    /// What was added since `earlier`; the levels are those of now.
    #[must_use]
    pub fn since(&self, earlier: &Tally) -> Tally {
        Tally { in_flight: self.in_flight, open: self.open, ..self.with(earlier, u64::saturating_sub) }
    }

    fn with(&self, other: &Tally, op: fn(u64, u64) -> u64) -> Tally {
        fn all<const N: usize>(a: &[u64; N], b: &[u64; N], op: fn(u64, u64) -> u64) -> [u64; N] {
            std::array::from_fn(|i| op(a[i], b[i]))
        }
        Tally {
            attempted: op(self.attempted, other.attempted),
            established: op(self.established, other.established),
            failed: all(&self.failed, &other.failed, op),
            closed: all(&self.closed, &other.closed, op),
            broken: all(&self.broken, &other.broken, op),
            in_flight: op(self.in_flight, other.in_flight),
            open: op(self.open, other.open),
            requests: op(self.requests, other.requests),
            replies: op(self.replies, other.replies),
            octets_sent: op(self.octets_sent, other.octets_sent),
            octets_received: op(self.octets_received, other.octets_received),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_stands_in_one_place_of_the_account() {
        let mut tally = Tally::default();
        for _ in 0..10 {
            tally.attempt();
        }
        Failed::ALL.iter().take(3).for_each(|why| tally.fail(*why));
        for _ in 0..6 {
            tally.establish();
        }
        tally.close(Way::Fin);
        tally.close(Way::Rst);
        tally.lose(Broken::Reset);
        assert_eq!(tally.check(), Ok(()));
        assert_eq!((tally.in_flight, tally.open), (1, 3));
        assert_eq!((tally.failed_all(), tally.closed_all(), tally.broken_all()), (3, 2, 1));
        let twice = tally.plus(&tally);
        assert_eq!((twice.check(), twice.attempted, twice.open), (Ok(()), 20, 6));
        assert_eq!(twice.since(&tally).attempted, 10);
    }

    #[test]
    fn a_connection_that_is_counted_twice_is_found() {
        let mut tally = Tally::default();
        tally.attempt();
        tally.establish();
        tally.close(Way::Fin);
        tally.close(Way::Fin);
        assert!(matches!(tally.check(), Err(Imbalance::Established { closed: 2, .. })));
        tally.fail(Failed::Cut);
        let sentence = tally.check().unwrap_err().to_string();
        assert!(sentence.contains("1 attempted, but 1 established + 1 failed + 0 in flight"), "{sentence}");
    }

    #[test]
    fn names_are_told_apart() {
        let mut names: Vec<_> = Failed::ALL.iter().map(|why| why.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Failed::COUNT);
        assert_eq!(Way::HalfClose.to_string(), "half_close");
        assert!(Broken::ALL.iter().all(|why| why.sentence().ends_with('.')));
    }
}
