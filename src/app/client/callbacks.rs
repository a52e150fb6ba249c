//! What the engine tells the client, and what follows.

use super::dialog::{Dialog, End, Marks, Stage, UNMEASURED, Verdict, ended, failed, next_timed};
use super::{Client, ENDINGS_MAX, Ending, FRAMES_OF_ONE, LAUNCHES_MAX, MOVES_MAX};
use crate::base::time::Instant;
use crate::engine::api::{Accept, Api, App, CloseReason, Conn, ConnId, ListenerId};
use crate::load::closing::Close;
use crate::load::talk::Heard;
use crate::stats::account::{Broken, Way};
use crate::stats::latency::Phase;

impl App for Client {
    #[inline]
    fn expect(&self, index: u32) {
        self.prefetch(index);
    }

    fn next_due(&mut self, now: Instant) -> Option<ConnId> {
        self.tick = now.tick();
        if let Some(id) =
            self.next_to_end().or_else(|| self.next_acknowledged()).or_else(|| self.next_parked())
        {
            return Some(id);
        }
        next_timed(&mut self.dialogs, &mut self.timers, self.tick, &mut self.moves)
    }

    fn on_due(&mut self, conn: &mut Conn<'_>) {
        let tick = self.tick;
        let Some((_, dialog)) = self.dialog(conn) else { return };
        let (stage, is_due) = (dialog.stage, dialog.deadline.is_due(tick));
        // Who has sent something has our ACK, whatever we owe for it since.
        let heard = dialog.marks.has(Marks::HEARD);
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
        // Who is behind its rate must not lose what comes for connections that it has opened.
        let is_behind = api.backlog() > 0 && self.launches.next_ns().is_some();
        let most = if is_behind { api.backlog() / FRAMES_OF_ONE } else { LAUNCHES_MAX };
        for _ in 0..most {
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
        self.draw_ahead();
    }

    fn on_connected(&mut self, conn: &mut Conn<'_>) {
        let Some((index, dialog)) = self.dialog(conn) else { return };
        let intended_ns = dialog.intended_ns;
        self.tally.establish();
        self.record(Phase::Syn, intended_ns);
        self.record(Phase::Established, intended_ns);
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
        let index = conn.id().index;
        let Client { plan, dialogs, numbers, tick, .. } = self;
        let known = dialogs.get_mut(index as usize).filter(|dialog| dialog.stage != Stage::Free);
        let (talk, Some(dialog)) = (&plan.talk, known) else { return data.len() };
        if dialog.stage == Stage::Talking {
            dialog.deadline = tick.plus(plan.reply_timeout_ms.saturating_add(1));
        }
        let is_first = !dialog.marks.has(Marks::HEARD);
        dialog.marks.set(Marks::HEARD);
        let is_over = dialog.conversation.is_complete() && talk.ignores_the_rest();
        let (taken, heard) = match dialog.stage {
            // It waits for its turn: nothing was asked yet.
            Stage::Parked => (data.len(), Heard::WrongData),
            _ if is_over => (data.len(), Heard::Waiting),
            _ => {
                let number = numbers.get(index as usize).copied().unwrap_or(0);
                dialog.conversation.receive(talk, number, data)
            }
        };
        let intended_ns = dialog.intended_ns;
        self.tally.octets_received += taken as u64;
        if is_first {
            self.record(Phase::FirstByte, intended_ns);
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
        let deadline = self.tick.plus(self.plan.reply_timeout_ms.saturating_add(1));
        let index = conn.id().index;
        let known = |dialog: &&mut Dialog| dialog.stage == Stage::Talking;
        let Some(dialog) = self.dialogs.get_mut(index as usize).filter(known) else { return };
        if self.plan.talk.requests == 0 {
            return;
        }
        dialog.deadline = deadline;
        if dialog.conversation.to_send(&self.plan.talk) > 0 {
            self.send(conn);
        }
        let Some(dialog) = self.dialogs.get_mut(index as usize) else { return };
        let talk = &self.plan.talk;
        if !talk.is_answered() && dialog.conversation.to_send(talk) == 0 && conn.unacknowledged() == 0 {
            // What was sent has arrived: nothing else is waited for.
            dialog.conversation.complete();
            self.replied(conn);
        }
    }

    fn on_peer_close(&mut self, conn: &mut Conn<'_>) {
        let (holds_for_ever, now_ns) = (self.holds_for_ever(), self.now_ns.max(1));
        let index = conn.id().index;
        let Client { plan, dialogs, .. } = self;
        let known = dialogs.get_mut(index as usize).filter(|dialog| dialog.stage != Stage::Free);
        let (talk, Some(dialog)) = (&plan.talk, known) else { return };
        dialog.marks.set(Marks::PEER_CLOSED);
        if dialog.fin_ns == 0 {
            dialog.fin_ns = now_ns;
        }
        match dialog.stage {
            Stage::Talking => self.reply_ended(conn),
            Stage::Thinking if !dialog.conversation.is_over(talk) => self.give_up(conn, Broken::ShortReply),
            // Those that wait for their turn go on waiting, and are closed then.
            Stage::Holding if holds_for_ever => {}
            Stage::Thinking | Stage::Holding | Stage::AwaitingPeer => self.close(conn),
            Stage::Parked => {
                dialog.stage = Stage::Called;
                self.parked -= 1;
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
        let stage = std::mem::replace(&mut dialog.stage, Stage::Free);
        let Dialog { end, intended_ns, fin_ns, .. } = *dialog;
        if stage == Stage::Parked {
            self.parked -= 1;
        }
        let verdict = match end {
            End::Known(verdict) => verdict,
            End::Planned(_) if stage == Stage::Opening => Verdict::Failed(failed(reason)),
            End::Planned(Close::HalfClose) => ended(reason, Way::HalfClose),
            End::Planned(Close::Fin) => ended(reason, Way::Fin),
            End::Planned(_) => ended(reason, Way::Peer),
        };
        match verdict {
            Verdict::Failed(why) => self.tally.fail(why),
            Verdict::Broken(why) => self.tally.lose(why),
            Verdict::Closed(way) => self.tally.close(way),
        }
        if intended_ns != UNMEASURED && fin_ns > 0 && reason == CloseReason::Finished {
            self.latencies.record(Phase::Closed, self.now_ns.saturating_sub(fin_ns));
        }
    }
}
