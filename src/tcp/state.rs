//! The eleven states of RFC 9293 3.3.2 and which may follow which (section 2.16 of the requirements).

/// A connection's state. Reports use the RFC's names (SEED-20).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[repr(u8)]
pub enum State {
    /// No connection.
    Closed,
    /// Waiting for a SYN from anyone.
    Listen,
    /// SYN sent, waiting for the peer's.
    SynSent,
    /// SYNs both ways, waiting for the acknowledgment of ours.
    SynReceived,
    /// Data flows.
    Established,
    /// We have closed; our FIN is not acknowledged.
    FinWait1,
    /// Our FIN is acknowledged; waiting for the peer's.
    FinWait2,
    /// The peer has closed; our application has not.
    CloseWait,
    /// Both FINs are out, ours is not acknowledged.
    Closing,
    /// The peer closed first; our FIN is not acknowledged.
    LastAck,
    /// Both FINs acknowledged; 2 MSL so that old segments die.
    TimeWait,
}

use State::{
    CloseWait, Closed, Closing, Established, FinWait1, FinWait2, LastAck, Listen, SynReceived, SynSent,
    TimeWait,
};

impl State {
    /// All states, in the order of the enumeration.
    pub const ALL: [State; 11] = [
        Closed,
        Listen,
        SynSent,
        SynReceived,
        Established,
        FinWait1,
        FinWait2,
        CloseWait,
        Closing,
        LastAck,
        TimeWait,
    ];

    /// The RFC's name.
    pub const fn name(self) -> &'static str {
        match self {
            Closed => "CLOSED",
            Listen => "LISTEN",
            SynSent => "SYN-SENT",
            SynReceived => "SYN-RECEIVED",
            Established => "ESTABLISHED",
            FinWait1 => "FIN-WAIT-1",
            FinWait2 => "FIN-WAIT-2",
            CloseWait => "CLOSE-WAIT",
            Closing => "CLOSING",
            LastAck => "LAST-ACK",
            TimeWait => "TIME-WAIT",
        }
    }

    /// The states that may follow this one.
    pub const fn next(self) -> &'static [State] {
        match self {
            //= TRN-1
            Closed => &[Listen, SynSent],
            //= TRN-2
            Listen => &[SynReceived, SynSent, Closed],
            //= TRN-3
            SynSent => &[Established, SynReceived, Closed],
            //= TRN-4
            SynReceived => &[Established, FinWait1, CloseWait, Listen, Closed],
            //= TRN-5
            Established => &[FinWait1, CloseWait, Closed],
            //= TRN-6
            FinWait1 => &[FinWait2, Closing, TimeWait, Closed],
            //= TRN-7
            FinWait2 => &[TimeWait, Closed],
            //= TRN-8
            CloseWait => &[LastAck, Closed],
            //= TRN-9
            Closing => &[TimeWait, Closed],
            //= TRN-10
            LastAck => &[Closed],
            //= TRN-11
            TimeWait => &[Closed, SynReceived, SynSent],
        }
    }

    /// `next` may follow this state.
    pub fn may_become(self, next: State) -> bool {
        self.next().contains(&next)
    }

    /// Both SYNs are acknowledged (RFC 9293 3.3.2).
    pub const fn is_synchronized(self) -> bool {
        !matches!(self, Closed | Listen | SynSent | SynReceived)
    }

    /// Text and FIN of the peer are still to come.
    pub const fn receives(self) -> bool {
        matches!(self, Established | FinWait1 | FinWait2)
    }

    /// The application may still send.
    pub const fn sends(self) -> bool {
        matches!(self, SynSent | SynReceived | Established | CloseWait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table, as text that a reviewer can compare with the requirements' section 2.16.
    #[test]
    fn the_transition_table_is_the_agreed_one() {
        let mut table = String::new();
        for state in State::ALL {
            let next: Vec<_> = state.next().iter().map(|n| n.name()).collect();
            table += &format!("{} -> {}\n", state.name(), next.join(" "));
        }
        let expected = "\
CLOSED -> LISTEN SYN-SENT
LISTEN -> SYN-RECEIVED SYN-SENT CLOSED
SYN-SENT -> ESTABLISHED SYN-RECEIVED CLOSED
SYN-RECEIVED -> ESTABLISHED FIN-WAIT-1 CLOSE-WAIT LISTEN CLOSED
ESTABLISHED -> FIN-WAIT-1 CLOSE-WAIT CLOSED
FIN-WAIT-1 -> FIN-WAIT-2 CLOSING TIME-WAIT CLOSED
FIN-WAIT-2 -> TIME-WAIT CLOSED
CLOSE-WAIT -> LAST-ACK CLOSED
CLOSING -> TIME-WAIT CLOSED
LAST-ACK -> CLOSED
TIME-WAIT -> CLOSED SYN-RECEIVED SYN-SENT
";
        assert_eq!(table, expected);
    }
}
