//! A segment for a connection in SYN-RECEIVED or any synchronized state (RFC 9293 3.10.7.4; requirements 2.5
//! to 2.12): the steps, in the RFC's order. TIME-WAIT has its own file, `tcp::time_wait`.

use super::steps::Arrival;
use crate::base::drop_reason::DropReason;
use crate::tcp::Ctx;
use crate::tcp::outcome::Outcome;
use crate::tcp::recovery::Recovery;
use crate::tcp::state::State;
use crate::tcp::tcb::Tcb;
use crate::wire::tcp::Segment;

/// What the rest of the stack says about taking more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Room {
    /// The listener's accept queue takes no further connection (SYR-10).
    pub accept_full: bool,
    /// Octets that could be held if the application took none.
    pub octets: u32,
}

impl Tcb {
    /// One segment arrives. `rec` is the connection's record of what is in flight, if it has one. What the
    /// connection then owes is paid by [`Tcb::output`].
    pub fn segment_arrives(
        &mut self,
        segment: &Segment,
        room: Room,
        rec: Option<&mut Recovery>,
        ctx: Ctx<'_>,
    ) -> Outcome {
        let mut arrival =
            Arrival { seg: *segment, room, ctx, rec, out: Outcome::default(), text_at: 0, refused: None };
        let verdict = match self.state() {
            State::SynSent => self.syn_sent(&mut arrival),
            _ => self.walk(&mut arrival),
        };
        arrival.out.dropped = verdict.err().or(arrival.refused);
        arrival.out
    }

    /// The steps. Each may end the processing by naming the reason.
    fn walk(&mut self, arrival: &mut Arrival<'_>) -> Result<(), DropReason> {
        if !(arrival.ctx.cfg.prediction && self.predicts(arrival)) {
            self.check_timestamps(arrival)?;
            self.check_rst(arrival)?;
            if self.state() == State::Closed {
                return Ok(());
            }
            self.check_syn(arrival)?;
            self.check_sequence(arrival)?;
        }
        self.check_ack(arrival)?;
        if self.state() == State::Closed {
            return Ok(());
        }
        self.read(arrival)
    }

    /// What the segment carries: urgent pointer, text, FIN.
    pub(super) fn read(&mut self, arrival: &mut Arrival<'_>) -> Result<(), DropReason> {
        self.check_urg(arrival);
        self.process_text(arrival)?;
        self.check_fin(arrival)
    }
}
