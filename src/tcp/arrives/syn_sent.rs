//! A segment for a connection in SYN-SENT (RFC 9293 3.10.7.3; requirements 2.4): acknowledgment, reset, SYN, rest.

use super::steps::Arrival;
use crate::base::drop_reason::DropReason;
use crate::tcp::outcome::End;
use crate::tcp::segment::reset_for;
use crate::tcp::state::State;
use crate::tcp::tcb::{Owed, Tcb, fact};
use crate::wire::tcp::Flags;

/// What the acknowledgment field says about our SYN.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ack {
    Absent,
    Good,
    Wrong,
}

impl Tcb {
    /// The steps of SYN-SENT.
    pub(super) fn syn_sent(&mut self, a: &mut Arrival<'_>) -> Result<(), DropReason> {
        let covers = a.seg.ack.after(self.snd.una) && a.seg.ack.at_or_before(self.snd.nxt);
        let ack = match (a.seg.flags.has(Flags::ACK), covers) {
            (false, _) => Ack::Absent,
            (true, true) => Ack::Good,
            (true, false) => Ack::Wrong,
        };
        if ack == Ack::Wrong {
            //= SYS-1
            //= SYS-2
            a.out.reply = reset_for(&a.seg);
            return Err(DropReason::AckInHandshake);
        }
        if a.seg.flags.has(Flags::RST) {
            return self.refused(a, ack);
        }
        if !a.seg.flags.has(Flags::SYN) {
            //= SYS-10
            //= X-6
            return Err(DropReason::NoSyn);
        }
        let syn = a.seg;
        self.take_syn(&syn, a.ctx);
        match ack {
            Ack::Good => self.answered(a),
            _ => {
                //= SYS-9
                //= MUST-10
                self.enter(State::SynReceived);
                self.owed.0 |= Owed::SYN;
                Ok(())
            }
        }
    }

    /// A reset counts only with an acknowledgment of our SYN.
    fn refused(&mut self, a: &mut Arrival<'_>, ack: Ack) -> Result<(), DropReason> {
        if ack == Ack::Absent {
            //= SYS-4
            return Err(DropReason::RstNoConnection);
        }
        if self.facts.has(fact::ECN) {
            //= SYS-5
            //= ECN-5
            self.facts.clear(fact::ECN | fact::TIMING);
            self.owed.0 |= Owed::SYN;
            return Err(DropReason::EcnRefused);
        }
        //= SYS-3
        //= SYS-6
        self.end(End::Refused, &mut a.out);
        Ok(())
    }

    /// The SYN-ACK: ESTABLISHED at once, and whatever else it carries is read (SYS-7, SYS-8).
    fn answered(&mut self, a: &mut Arrival<'_>) -> Result<(), DropReason> {
        //= SYS-7
        self.rcv.edge = self.rcv.nxt + self.receive_buffer.min(0xffff);
        self.become_established(a);
        self.acknowledge(a);
        self.arm(None, true, a.ctx);
        self.snd.wl2 = a.seg.ack;
        self.owe_ack();
        //= SYS-8
        a.seg.seq = self.rcv.nxt;
        a.seg.flags = a.seg.flags.without(Flags::SYN);
        self.check_sequence(a)?;
        self.read(a)
    }
}
