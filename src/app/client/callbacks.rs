//! What the engine tells the client, and what follows.

use super::dialog::{Dialog, Stage, Verdict, ended, failed};
use super::{Client, ENDINGS_MAX, Ending, LAUNCHES_MAX, MOVES_MAX};
use crate::base::time::Instant;
use crate::engine::api::{Accept, Api, App, CloseReason, Conn, ConnId, ListenerId};
use crate::load::closing::Close;
use crate::load::talk::Heard;
use crate::stats::account::{Broken, Way};
use crate::stats::latency::Phase;

impl App for Client {
    fn next_due(&mut self, now: Instant) -> Option<ConnId> {
        self.tick = now.tick();
        if let Some(id) =
            self.next_to_end().or_else(|| self.next_acknowledged()).or_else(|| self.next_parked())
        {
            return Some(id);
        }
        while let Some(index) = self.timers.pop_due(self.tick, &mut self.moves) {
            let Some(dialog) = self.dialogs.get(index as usize).filter(|d| d.stage != Stage::Free) else {
                continue;
            };
            if dialog.deadline.is_due(self.tick) {
                return Some(ConnId { index, generation: dialog.generation });
            }
            self.timers.arm(index, dialog.deadline);
        }
        None
    }

    fn on_due(&mut self, conn: &mut Conn<'_>) {
        let tick = self.tick;
        let Some((_, dialog)) = self.dialog(conn) else { return };
        let (stage, is_due) = (dialog.stage, dialog.deadline.is_due(tick));
        // Who has sent something has our ACK, whatever we owe for it since.
        let heard = dialog.heard;
        match (self.ending, stage) {
            (Ending::Cutting { .. }, _) => self.give_up(conn, Broken::Cut),
            (_, Stage::Called) => self.start(conn),
            (_, Stage::Acknowledged) if conn.owes() && !heard => self.await_acknowledgment(conn.id().index),
            (_, Stage::Acknowledged) => self.take_turn(conn),
            (Ending::Releasing { .. } | Ending::Waiting { .. }, Stage::Holding) => self.close(conn),
            _ if !is_due => {}
            (_, Stage::Thinking) => self.go_on(conn),
            (_, Stage::Holding) => self.close(conn),
            (_, Stage::Opening | Stage::Talking | Stage::AwaitingPeer | Stage::Closing) => {
                self.give_up(conn, Broken::ReplyTimedOut);
            }
            (_, Stage::Free | Stage::Parked | Stage::Acknowledging) => {}
        }
    }

    fn poll(&mut self, api: &mut Api<'_>) {
        self.tick = api.now().tick();
        self.moves = MOVES_MAX;
        self.acknowledged = self.acknowledging.len();
        self.endings = ENDINGS_MAX;
        if !self.started {
            return;
        }
        for _ in 0..LAUNCHES_MAX {
            if self.now_ns < self.paused_until_ns && self.launches.next_ns().is_none() {
                break;
            }
            if !self.may_launch() {
                break;
            }
            let level = self.level();
            let Some(launch) = self.launches.next(self.now_ns, level) else { break };
            self.open(api, launch);
        }
        self.tally.miss(self.launches.give_up(self.now_ns, u64::from(self.plan.drain_ms) * 1_000_000));
        if self.ending == Ending::Running && self.launches.is_over(self.now_ns) && !self.is_held() {
            let cut_at = self.tick.plus(self.plan.drain_ms.saturating_add(1));
            self.ending = Ending::Releasing { from: 0, cut_at };
        }
    }

    fn on_connected(&mut self, conn: &mut Conn<'_>) {
        let Some((index, _)) = self.dialog(conn) else { return };
        self.tally.establish();
        self.record(index, Phase::Syn, |dialog| dialog.intended_ns);
        self.record(index, Phase::Established, |dialog| dialog.intended_ns);
        if self.plan.talk.requests == 0 {
            self.await_acknowledgment(index);
        } else {
            self.take_turn(conn);
        }
    }

    /// A client listens nowhere.
    fn on_open(&mut self, conn: &mut Conn<'_>, _listener: ListenerId) -> Accept {
        conn.abort();
        Accept::Take
    }

    fn on_data(&mut self, conn: &mut Conn<'_>, data: &[u8]) -> usize {
        let talk = self.plan.talk;
        let reply_timeout_ms = self.plan.reply_timeout_ms;
        let deadline = self.tick.plus(reply_timeout_ms.saturating_add(1));
        let Some((index, dialog)) = self.dialog(conn) else { return data.len() };
        if dialog.stage == Stage::Talking {
            dialog.deadline = deadline;
        }
        let is_first = !std::mem::replace(&mut dialog.heard, true);
        let is_over = dialog.conversation.is_complete() && talk.ignores_the_rest();
        let (taken, heard) = match dialog.stage {
            // It waits for its turn: nothing was asked yet.
            Stage::Parked => (data.len(), Heard::WrongData),
            _ if is_over => (data.len(), Heard::Waiting),
            _ => dialog.conversation.receive(&talk, dialog.number, data),
        };
        self.tally.octets_received += taken as u64;
        if is_first {
            self.record(index, Phase::FirstByte, |dialog| dialog.intended_ns);
        }
        match heard {
            Heard::Waiting => {}
            Heard::Complete => self.replied(conn),
            Heard::WrongData => self.give_up(conn, Broken::WrongData),
            Heard::Short => self.give_up(conn, Broken::ShortReply),
        }
        taken
    }

    fn on_writable(&mut self, conn: &mut Conn<'_>) {
        let talk = self.plan.talk;
        let deadline = self.tick.plus(self.plan.reply_timeout_ms.saturating_add(1));
        let Some((_, dialog)) = self.dialog(conn) else { return };
        if dialog.stage != Stage::Talking || talk.requests == 0 {
            return;
        }
        dialog.deadline = deadline;
        self.send(conn);
        let Some((_, dialog)) = self.dialog(conn) else { return };
        if !talk.is_answered() && dialog.conversation.to_send(&talk) == 0 && conn.unacknowledged() == 0 {
            // What was sent has arrived: nothing else is waited for.
            dialog.conversation.complete();
            self.replied(conn);
        }
    }

    fn on_peer_close(&mut self, conn: &mut Conn<'_>) {
        let talk = self.plan.talk;
        let Some((index, dialog)) = self.dialog(conn) else { return };
        dialog.peer_closed = true;
        self.note_fin(index);
        let holds_for_ever = self.holds_for_ever();
        let Some((_, dialog)) = self.dialog(conn) else { return };
        match dialog.stage {
            Stage::Talking => self.reply_ended(conn),
            Stage::Thinking if !dialog.conversation.is_over(&talk) => self.give_up(conn, Broken::ShortReply),
            // Those that wait for their turn go on waiting, and are closed then.
            Stage::Holding if holds_for_ever => {}
            Stage::Thinking | Stage::Holding | Stage::AwaitingPeer => self.close(conn),
            Stage::Parked => {
                self.unpark(index);
                self.start(conn);
            }
            Stage::Acknowledging
            | Stage::Acknowledged
            | Stage::Called
            | Stage::Free
            | Stage::Opening
            | Stage::Closing => {}
        }
    }

    fn on_drain(&mut self, conn: &mut Conn<'_>) {
        self.stop();
        self.give_up(conn, Broken::Cut);
    }

    fn on_closed(&mut self, id: ConnId, reason: CloseReason) {
        let known = |dialog: &&mut Dialog| dialog.stage != Stage::Free && dialog.generation == id.generation;
        let Some(dialog) = self.dialogs.get_mut(id.index as usize).filter(known) else { return };
        let copy = *dialog;
        dialog.stage = Stage::Free;
        if copy.stage == Stage::Parked {
            self.unpark(id.index);
        }
        let way = match copy.close {
            Close::HalfClose => Way::HalfClose,
            _ if copy.ours_first => Way::Fin,
            _ => Way::Peer,
        };
        let verdict = copy.verdict.unwrap_or_else(|| match copy.stage {
            Stage::Opening => Verdict::Failed(failed(reason)),
            _ => ended(reason, way),
        });
        match verdict {
            Verdict::Failed(why) => self.tally.fail(why),
            Verdict::Broken(why) => self.tally.lose(why),
            Verdict::Closed(way) => self.tally.close(way),
        }
        if copy.measured && copy.fin_ns > 0 && reason == CloseReason::Finished {
            self.latencies.record(Phase::Closed, self.now_ns.saturating_sub(copy.fin_ns));
        }
    }
}
