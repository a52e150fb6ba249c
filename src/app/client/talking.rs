//! What is done on one connection, from its first request to its close.

use super::dialog::{End, Marks, Stage, Verdict, timed_out};
use super::{Client, Ending, PIECE};
use crate::engine::api::Conn;
use crate::load::closing::Close;
use crate::load::talk::{Heard, Talk};
use crate::stats::account::{Broken, Failed, Way};
use crate::stats::latency::Phase;

/// Writes the octets of a request from `at` on, piece by piece; returns how many of the `left` were taken.
fn write(conn: &mut Conn<'_>, talk: &Talk, number: u64, at: u64, left: u64, piece: &mut [u8]) -> u64 {
    let mut sent = 0;
    while left > sent {
        // One octet at least is offered, so that the engine knows who waits where it has no memory.
        let len = PIECE.min((left - sent) as usize).min(conn.room().max(1));
        let Some(piece) = piece.get_mut(..len) else { break };
        talk.fill(number, at + sent, piece);
        let taken = conn.send(piece);
        sent += taken as u64;
        if taken < len {
            break;
        }
    }
    sent
}

/// Pieces up to this length are lent without a look at the send buffer.
const SHORT: usize = 4 * 1_024;

/// Queues the octets of a request that is the same on every connection; returns how many were taken. They are lent as far
/// as whole pieces go into the send buffer, and written where that is too small for several, or takes more pieces than
/// can be lent.
fn lend(conn: &mut Conn<'_>, talk: &Talk, at: u64, left: u64, piece: &mut [u8]) -> u64 {
    let mut sent = 0;
    while sent < left {
        let Some(lent) = talk.lent(at + sent) else { break };
        let (room, queued) =
            if lent.len() > SHORT { (conn.room(), conn.unacknowledged()) } else { (SHORT, 0) };
        if lent.len() > SHORT && room + queued < 4 * lent.len() {
            return sent + write(conn, talk, 0, at + sent, left - sent, piece);
        }
        if room < lent.len() {
            break;
        }
        if !conn.send_static(lent) {
            return sent + write(conn, talk, 0, at + sent, left - sent, piece);
        }
        sent += lent.len() as u64;
    }
    sent
}

impl Client {
    /// Sends what there is room for of the current request.
    pub(super) fn send(&mut self, conn: &mut Conn<'_>) {
        let index = conn.id().index;
        let Client { plan, dialogs, numbers, piece, tally, .. } = self;
        let Some(dialog) = dialogs.get_mut(index as usize).filter(|dialog| dialog.stage != Stage::Free)
        else {
            return;
        };
        let (talk, conversation) = (&plan.talk, &mut dialog.conversation);
        let left = conversation.to_send(talk);
        if left == 0 {
            return;
        }
        let at = conversation.sent();
        let sent = if talk.is_random() {
            let number = numbers.get(index as usize).copied().unwrap_or(0);
            write(conn, talk, number, at, left, piece)
        } else {
            lend(conn, talk, at, left, piece)
        };
        tally.octets_sent += sent;
        if conversation.queued(talk, sent) {
            tally.requests += 1;
            if dialog.end == End::Planned(Close::HalfClose) && conversation.is_last(talk) {
                self.note_fin(index);
                conn.shutdown();
            }
        }
    }

    pub(super) fn note_fin(&mut self, index: u32) {
        if let Some(dialog) = self.dialogs.get_mut(index as usize).filter(|dialog| dialog.fin_ns == 0) {
            dialog.fin_ns = self.now_ns.max(1);
        }
    }

    /// The current reply is complete.
    pub(super) fn replied(&mut self, conn: &mut Conn<'_>) {
        self.tally.replies += 1;
        let index = conn.id().index;
        let Some(dialog) = self.dialogs.get(index as usize) else { return };
        if dialog.conversation.is_over(&self.plan.talk) {
            self.record(Phase::LastByte, dialog.intended_ns);
        }
        if self.plan.think_ms > 0 {
            self.enter(index, Stage::Thinking, self.plan.think_ms);
        } else {
            self.go_on(conn);
        }
    }

    /// After a reply and the time to think: the next request, or the end.
    pub(super) fn go_on(&mut self, conn: &mut Conn<'_>) {
        let talk = self.plan.talk;
        let Some((index, dialog)) = self.dialog(conn) else { return };
        if !dialog.conversation.is_over(&talk) && dialog.conversation.next(&talk) {
            if dialog.marks.has(Marks::PEER_CLOSED) {
                return self.give_up(conn, Broken::ShortReply);
            }
            self.enter(index, Stage::Talking, self.plan.reply_timeout_ms);
            return self.send(conn);
        }
        let is_left = dialog.marks.has(Marks::PEER_CLOSED) && !self.holds_for_ever();
        if self.plan.hold_ms > 0 && self.ending == Ending::Running && !is_left {
            self.enter(index, Stage::Holding, self.plan.hold_ms);
        } else {
            self.close(conn);
        }
    }

    /// It is open, and it is its turn.
    pub(super) fn start(&mut self, conn: &mut Conn<'_>) {
        let index = conn.id().index;
        if self.plan.talk.requests > 0 {
            self.enter(index, Stage::Talking, self.plan.reply_timeout_ms);
            self.send(conn);
            if self.dialog(conn).is_some_and(|(_, dialog)| dialog.marks.has(Marks::PEER_CLOSED)) {
                self.reply_ended(conn);
            }
        } else {
            self.go_on(conn);
        }
    }

    /// The other end has closed, and nothing will be added to the current reply.
    pub(super) fn reply_ended(&mut self, conn: &mut Conn<'_>) {
        let talk = self.plan.talk;
        let Some((_, dialog)) = self.dialog(conn) else { return };
        let was_complete = dialog.conversation.is_complete();
        match dialog.conversation.peer_closed(&talk) {
            Heard::Complete if !was_complete => self.replied(conn),
            Heard::Complete => self.go_on(conn),
            Heard::Waiting | Heard::WrongData | Heard::Short => self.give_up(conn, Broken::ShortReply),
        }
    }

    /// What has said everything stays open until the end of the run, whatever the other end does.
    pub(super) fn holds_for_ever(&self) -> bool {
        self.plan.hold_ms == u32::MAX
    }

    /// Everything is said: the connection is closed as it was meant to be.
    pub(super) fn close(&mut self, conn: &mut Conn<'_>) {
        let Some((index, dialog)) = self.dialog(conn) else { return };
        let peer_closed = dialog.marks.has(Marks::PEER_CLOSED);
        let End::Planned(close) = dialog.end else { return };
        match close {
            Close::Rst => {
                dialog.end = End::Known(Verdict::Closed(Way::Rst));
                conn.abort();
            }
            Close::Abandon => conn.abandon(),
            Close::Fin | Close::Peer | Close::HalfClose if peer_closed || close == Close::Fin => {
                dialog.end = End::Planned(match close {
                    Close::HalfClose => close,
                    _ if !peer_closed && dialog.fin_ns == 0 => Close::Fin,
                    _ => Close::Peer,
                });
                self.note_fin(index);
                self.enter(index, Stage::Closing, self.plan.reply_timeout_ms);
                conn.finish();
            }
            Close::Fin | Close::Peer => self.enter(index, Stage::AwaitingPeer, self.plan.reply_timeout_ms),
            Close::HalfClose => {
                self.note_fin(index);
                conn.shutdown();
                self.enter(index, Stage::AwaitingPeer, self.plan.reply_timeout_ms);
            }
        }
    }

    /// Resets a connection that did not go as planned.
    pub(super) fn give_up(&mut self, conn: &mut Conn<'_>, why: Broken) {
        let Some((_, dialog)) = self.dialog(conn) else { return };
        let verdict = match dialog.stage {
            Stage::Opening if why == Broken::Cut => Verdict::Failed(Failed::Cut),
            Stage::Opening => Verdict::Failed(timed_out(conn.unsent(), conn.soft_error())),
            _ => Verdict::Broken(why),
        };
        dialog.end = End::Known(verdict);
        conn.abort();
    }
}
