//! What is done on one connection, from its first request to its close.

use super::dialog::{Stage, Verdict, timed_out};
use super::{Client, Ending, PIECE};
use crate::engine::api::Conn;
use crate::load::closing::Close;
use crate::load::talk::Heard;
use crate::stats::account::{Broken, Failed, Way};
use crate::stats::latency::Phase;

impl Client {
    /// Sends what there is room for of the current request.
    pub(super) fn send(&mut self, conn: &mut Conn<'_>) {
        let talk = self.plan.talk;
        let Some((index, dialog)) = self.dialog(conn) else { return };
        let (number, mut conversation) = (dialog.number, dialog.conversation);
        let mut left = conversation.to_send(&talk);
        if left == 0 {
            return;
        }
        let mut sent = 0;
        if let Some(whole) = talk.whole_request() {
            if conversation.sent() == 0 && conn.send_static(whole) {
                sent = left;
            }
        } else {
            while left > sent {
                // One octet at least is offered, so that the engine knows who waits where it has no memory.
                let len = PIECE.min((left - sent) as usize).min(conn.room().max(1));
                let Some(piece) = self.piece.get_mut(..len) else { break };
                talk.fill(number, conversation.sent() + sent, piece);
                let taken = conn.send(piece);
                sent += taken as u64;
                if taken < len {
                    break;
                }
            }
        }
        left -= sent;
        self.tally.octets_sent += sent;
        let _ = conversation.queued(&talk, sent);
        let (mut half_close, mut last) = (false, false);
        if let Some(dialog) = self.dialogs.get_mut(index as usize) {
            dialog.conversation = conversation;
            half_close = dialog.close == Close::HalfClose;
            last = conversation.is_last(&talk);
        }
        if left == 0 {
            self.tally.requests += 1;
            if half_close && last {
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
        let talk = self.plan.talk;
        let Some((index, dialog)) = self.dialog(conn) else { return };
        if dialog.conversation.is_over(&talk) {
            self.record(index, Phase::LastByte, |dialog| dialog.intended_ns);
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
            if dialog.peer_closed {
                return self.give_up(conn, Broken::ShortReply);
            }
            self.enter(index, Stage::Talking, self.plan.reply_timeout_ms);
            return self.send(conn);
        }
        let is_left = dialog.peer_closed && !self.holds_for_ever();
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
            if self.dialog(conn).is_some_and(|(_, dialog)| dialog.peer_closed) {
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
        let (close, peer_closed) = (dialog.close, dialog.peer_closed);
        match close {
            Close::Rst => {
                dialog.verdict = Some(Verdict::Closed(Way::Rst));
                conn.abort();
            }
            Close::Abandon => conn.abandon(),
            Close::Fin | Close::Peer | Close::HalfClose if peer_closed || close == Close::Fin => {
                dialog.ours_first = !peer_closed && dialog.fin_ns == 0;
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
        dialog.verdict = Some(verdict);
        conn.abort();
    }
}
