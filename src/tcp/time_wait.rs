//! TIME-WAIT: what is kept of a connection for 2 MSL, and what a segment does to it (requirements 2.13). The
//! record is all there is; no TCB, no buffer, no per-record limit.

use super::Ctx;
use super::config::Config;
use super::segment::SegmentOut;
use super::state::State;
use super::tcb::{Tcb, fact};
use super::{timestamps, window};
use crate::base::drop_reason::DropReason;
use crate::base::time::Tick;
use crate::wire::seq::Seq;
use crate::wire::tcp::{Flags, Segment};
use crate::wire::tcp_options::{Options, Timestamps};

/// The window by which segments are judged old or not (TMW-2: a constant).
const WINDOW: u32 = 65_535;

/// How a record takes what comes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// Timestamps were not in use.
    Plain,
    /// They were, and this is TS.Recent.
    Stamped(u32),
    /// The connection was abandoned: nothing is answered, and nothing opens it anew.
    Mute,
}

/// What TIME-WAIT remembers besides the endpoints and the deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeWait {
    /// SND.NXT: our FIN stood before it.
    pub snd_nxt: Seq,
    /// RCV.NXT: the peer's FIN stood before it.
    pub rcv_nxt: Seq,
    /// How it takes what comes.
    pub manner: Manner,
}

/// What is to be done with a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disposition {
    /// Nothing is answered.
    Ignore(DropReason),
    /// An acknowledgment, if the limit for such answers allows it.
    AckLimited(DropReason),
    /// An acknowledgment.
    Ack(DropReason),
    /// The peer repeats its FIN: an acknowledgment, and 2 MSL start again (TMW-3).
    Restart,
    /// A SYN that may open the connection anew (TMW-5).
    Reopen,
}

impl Tcb {
    /// Both FINs are acknowledged: 2 MSL begin (MUST-13).
    pub(super) fn enter_time_wait(&mut self, ctx: Ctx<'_>) {
        //= MUST-13
        //= TW-1
        self.enter(State::TimeWait);
        self.timers.waiting = super::tcb::Waiting::Nothing;
        // Nothing is left to be sent: only an acknowledgment can still be owed (CLG-2 owes none).
        self.owed.0 &= super::tcb::Owed::ACK;
        self.timers.ack_at = None;
        self.timers.pace_at = None;
        self.timers.life_at = Some(Tick::after_ms(ctx.now, ctx.cfg.time_wait_ms));
    }

    /// The peer repeats its FIN: 2 MSL begin again (TMW-3).
    pub fn restart_time_wait(&mut self, ctx: Ctx<'_>) {
        self.timers.life_at = Some(Tick::after_ms(ctx.now, ctx.cfg.time_wait_ms));
    }

    /// What has to be remembered of a connection in TIME-WAIT.
    pub fn time_wait(&self) -> TimeWait {
        let stamped = self.facts.has(fact::TIMESTAMPS);
        let manner = if stamped { Manner::Stamped(self.ts_recent) } else { Manner::Plain };
        TimeWait { snd_nxt: self.snd.nxt, rcv_nxt: self.rcv.nxt, manner }
    }
}

impl TimeWait {
    /// What is remembered of a connection that was abandoned.
    pub const MUTE: TimeWait = TimeWait { snd_nxt: Seq(0), rcv_nxt: Seq(0), manner: Manner::Mute };

    /// All of it as three words, and the number of the manner: 0 to 2.
    pub fn pack(self) -> ([u32; 3], u8) {
        let (recent, manner) = match self.manner {
            Manner::Plain => (0, 0),
            Manner::Stamped(recent) => (recent, 1),
            Manner::Mute => (0, 2),
        };
        ([self.snd_nxt.0, self.rcv_nxt.0, recent], manner)
    }

    /// From what [`TimeWait::pack`] made.
    pub fn unpack([snd_nxt, rcv_nxt, recent]: [u32; 3], manner: u8) -> TimeWait {
        let manner = match manner {
            0 => Manner::Plain,
            1 => Manner::Stamped(recent),
            _ => Manner::Mute,
        };
        TimeWait { snd_nxt: Seq(snd_nxt), rcv_nxt: Seq(rcv_nxt), manner }
    }

    /// TS.Recent, where timestamps were in use.
    pub fn ts_recent(&self) -> Option<u32> {
        match self.manner {
            Manner::Stamped(recent) => Some(recent),
            Manner::Plain | Manner::Mute => None,
        }
    }

    /// Decides about a segment for the old connection.
    pub fn segment_arrives(&self, seg: &Segment, cfg: &Config) -> Disposition {
        if self.manner == Manner::Mute {
            return Disposition::Ignore(DropReason::Abandoned);
        }
        if seg.flags.has(Flags::RST) {
            //= TMW-1
            //= TW-9
            return Disposition::Ignore(DropReason::TimeWaitRst);
        }
        if seg.flags.has(Flags::SYN) {
            return self.syn_arrives(seg, cfg);
        }
        if let Some(recent) = self.ts_recent() {
            match seg.options.timestamps {
                //= COM-1
                None => return Disposition::Ignore(DropReason::TimestampMissing),
                //= COM-2
                Some(ts) if timestamps::older(ts.val, recent) => {
                    return Disposition::AckLimited(DropReason::Paws);
                }
                Some(_) => {}
            }
        }
        if seg.flags.has(Flags::FIN | Flags::ACK) && seg.end() == self.rcv_nxt {
            //= TMW-3
            return Disposition::Restart;
        }
        if !window::acceptable(seg.seq, seg.len(), self.rcv_nxt, WINDOW) {
            //= TMW-2
            return Disposition::AckLimited(DropReason::TimeWaitOld);
        }
        if !seg.flags.has(Flags::ACK) {
            return Disposition::Ignore(DropReason::NoAck);
        }
        //= TMW-4
        if seg.is_empty() {
            Disposition::Ignore(DropReason::TimeWaitOld)
        } else {
            Disposition::Ack(DropReason::TimeWaitOld)
        }
    }

    /// A SYN: may it open the connection anew (RFC 6191 2)?
    fn syn_arrives(&self, seg: &Segment, cfg: &Config) -> Disposition {
        if seg.flags.has(Flags::ACK) {
            return Disposition::AckLimited(DropReason::TimeWaitSyn);
        }
        //= TW-8
        let beyond = seg.seq.after(self.rcv_nxt - 1);
        let new = seg.options.timestamps.filter(|_| cfg.timestamps).map(|ts| ts.val);
        let (honour, refusal) = match (self.ts_recent(), new) {
            //= TW-3
            //= TW-4
            (Some(old), Some(new)) => (
                timestamps::older(old, new) || (old == new && beyond),
                Disposition::Ignore(DropReason::TimeWaitSyn),
            ),
            //= TW-6
            (None, Some(_)) => (true, Disposition::Ignore(DropReason::TimeWaitSyn)),
            //= TW-5
            //= TW-7
            (_, None) => (beyond, Disposition::AckLimited(DropReason::TimeWaitSyn)),
        };
        //= TMW-5
        //= TMW-6
        if honour { Disposition::Reopen } else { refusal }
    }

    /// The acknowledgment that answers old segments: R-ACK.
    pub fn ack(&self, ts_offset: u32, ctx: Ctx<'_>) -> SegmentOut {
        let timestamps = self
            .ts_recent()
            .map(|recent| Timestamps { val: timestamps::clock(ctx.now, ts_offset), ecr: recent });
        SegmentOut {
            seq: self.snd_nxt,
            ack: self.rcv_nxt,
            flags: Flags::ACK,
            wnd: WINDOW as u16,
            options: Options { timestamps, ..Options::default() },
            ..SegmentOut::default()
        }
    }

    /// The ISS of a new connection between the same endpoints: above everything the old one sent (ISN-6).
    pub fn next_iss(&self, generated: Seq) -> Seq {
        //= ISN-6
        if generated.after(self.snd_nxt) { generated } else { self.snd_nxt + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: TimeWait = TimeWait { snd_nxt: Seq(101), rcv_nxt: Seq(301), manner: Manner::Plain };
    const OLD_TS: TimeWait = TimeWait { manner: Manner::Stamped(50), ..OLD };

    fn seg(seq: u32, flags: Flags, ts: Option<u32>) -> Segment {
        let timestamps = ts.map(|val| Timestamps { val, ecr: 0 });
        let options = Options { timestamps, ..Options::default() };
        Segment { seq: Seq(seq), ack: Seq(101), flags, options, ..Segment::default() }
    }

    #[test]
    fn a_syn_reopens_as_rfc_6191_says() {
        //= TW-3
        //= TW-4
        //= TW-5
        //= TW-6
        //= TW-7
        //= TW-8
        let syn = Flags::SYN;
        let silent = Disposition::Ignore(DropReason::TimeWaitSyn);
        let ack = Disposition::AckLimited(DropReason::TimeWaitSyn);
        let rows = [
            ("TW-3 newer timestamp", OLD_TS, seg(5, syn, Some(51)), Disposition::Reopen),
            ("TW-4 equal, beyond", OLD_TS, seg(301, syn, Some(50)), Disposition::Reopen),
            ("TW-4 equal, at the FIN", OLD_TS, seg(300, syn, Some(50)), silent),
            ("older timestamp", OLD_TS, seg(900, syn, Some(49)), silent),
            ("TW-5 beyond", OLD_TS, seg(301, syn, None), Disposition::Reopen),
            ("TW-5 not beyond", OLD_TS, seg(300, syn, None), ack),
            ("TW-6", OLD, seg(5, syn, Some(1)), Disposition::Reopen),
            ("TW-7 beyond", OLD, seg(301, syn, None), Disposition::Reopen),
            ("TW-7 not beyond", OLD, seg(300, syn, None), ack),
            ("SYN-ACK", OLD, seg(900, syn | Flags::ACK, None), ack),
        ];
        for (name, old, segment, expected) in rows {
            assert_eq!(old.segment_arrives(&segment, &Config::default()), expected, "{name}");
        }
    }

    #[test]
    fn old_segments_are_answered_or_ignored() {
        //= TMW-1
        //= TMW-2
        //= TMW-3
        //= TMW-4
        let fin = Flags::FIN | Flags::ACK;
        let rows = [
            ("exact RST", seg(301, Flags::RST, None), Disposition::Ignore(DropReason::TimeWaitRst)),
            ("FIN again", seg(300, fin, None), Disposition::Restart),
            ("old ACK", seg(255, Flags::ACK, None), Disposition::AckLimited(DropReason::TimeWaitOld)),
            ("pure ACK", seg(301, Flags::ACK, None), Disposition::Ignore(DropReason::TimeWaitOld)),
            ("no ACK", seg(301, Flags(0), None), Disposition::Ignore(DropReason::NoAck)),
        ];
        for (name, segment, expected) in rows {
            assert_eq!(OLD.segment_arrives(&segment, &Config::default()), expected, "{name}");
        }
        let text = Segment { text_len: 5, ..seg(301, Flags::ACK, None) };
        assert_eq!(OLD.segment_arrives(&text, &Config::default()), Disposition::Ack(DropReason::TimeWaitOld));
        let paws = seg(301, fin, Some(49));
        assert_eq!(
            OLD_TS.segment_arrives(&paws, &Config::default()),
            Disposition::AckLimited(DropReason::Paws)
        );
        let missing = seg(301, fin, None);
        assert_eq!(
            OLD_TS.segment_arrives(&missing, &Config::default()),
            Disposition::Ignore(DropReason::TimestampMissing)
        );
    }

    #[test]
    fn an_abandoned_connection_is_deaf_and_takes_no_more_room() {
        let (fin, syn) = (Flags::FIN | Flags::ACK, Flags::SYN);
        for flags in [Flags::RST, fin, Flags::ACK, Flags(0), syn, syn | Flags::ACK] {
            for ts in [None, Some(7)] {
                let answer = TimeWait::MUTE.segment_arrives(&seg(900, flags, ts), &Config::default());
                assert_eq!(answer, Disposition::Ignore(DropReason::Abandoned), "{flags:?}");
            }
        }
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        for old in [OLD, OLD_TS, TimeWait::MUTE] {
            let (words, manner) = old.pack();
            assert!(manner < 3 && TimeWait::unpack(words, manner) == old, "{old:?}");
        }
    }

    #[test]
    fn a_new_incarnation_starts_above_the_old_one() {
        //= ISN-6
        assert_eq!(OLD.next_iss(Seq(500)), Seq(500));
        assert_eq!(OLD.next_iss(Seq(101)), Seq(102));
        assert_eq!(OLD.next_iss(Seq(0xffff_0000)), Seq(102));
    }
}
