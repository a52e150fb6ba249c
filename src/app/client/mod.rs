//! The client: an application that opens connections by a schedule, talks on them, closes them as it was told, and
//! accounts for each. Everything that it decides stands in `load`; here it is joined with the engine's callbacks.
//! Time is what [`Client::at`] was told before the pass, so that latencies are finer than the engine's microseconds.

mod dialog;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use self::dialog::{Dialog, Stage, Verdict, ended, failed, timed_out};
use crate::base::rng::Rng;
use crate::base::time::{Instant, Tick};
use crate::engine::api::{Accept, Api, App, CloseReason, Conn, ConnId, ListenerId, OpenError};
use crate::engine::wheel::Wheel;
use crate::load::closing::{Close, Closes};
use crate::load::schedule::{Launch, Launches, Schedule, Share};
use crate::load::talk::{Heard, Talk};
use crate::load::tuples::Tuples;
use crate::stats::account::{Broken, Failed, Tally, Way};
use crate::stats::latency::{Latencies, Phase};

/// Launches in one pass at most (LIM-13); the rest comes in the next one, with the launch times that it had.
const LAUNCHES_MAX: u32 = 64;
/// Pairs of endpoints that are tried for one connection before it fails for want of one.
const TUPLES_TRIED_MAX: u32 = 16;
/// How long a closed loop waits after a connection that failed here, in nanoseconds: the next would fail too.
const PAUSE_NS: u64 = 1_000_000;
/// Timers that change their level in one pass (LIM-13).
const MOVES_MAX: usize = 1_024;
/// Octets of a payload that are made at once.
const PIECE: usize = 4_096;

/// In which order connections go on once they are ESTABLISHED.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// Each at once.
    Own,
    /// In random order, so that the tables are not walked in the order of creation: of those that there are, all but
    /// `active` are open and wait for their turn to make their request, or to be closed where they say nothing.
    Random {
        /// Connections that are being opened, talk or close.
        active: u32,
    },
}

/// What the client does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// When connections are launched.
    pub schedule: Schedule,
    /// This loop's part of them.
    pub share: Share,
    /// What is said on each.
    pub talk: Talk,
    /// How each is closed.
    pub closes: Closes,
    /// Time for a SYN to be answered, in milliseconds.
    pub connect_timeout_ms: u32,
    /// Time without a reply, or without the other end's FIN, in milliseconds.
    pub reply_timeout_ms: u32,
    /// Time between a reply and the next request or the close, in milliseconds.
    pub think_ms: u32,
    /// How long a connection that has said everything stays open; until the end of the run where it is
    /// `u32::MAX`.
    pub hold_ms: u32,
    /// Time for connections to finish when the last was launched, in milliseconds; then they are reset.
    pub drain_ms: u32,
    /// In which order they go on.
    pub order: Order,
    /// What random choices follow from.
    pub seed: u64,
}

/// The end of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    /// Connections are still launched.
    Running,
    /// Those that wait are let go, slot by slot; what is left at the tick is reset.
    Releasing { from: u32, cut_at: Tick },
    /// Connections finish by themselves.
    Waiting { cut_at: Tick },
    /// What is left is reset, slot by slot.
    Cutting { from: u32 },
}

/// One loop's client.
pub struct Client {
    plan: Plan,
    launches: Launches,
    tuples: Tuples,
    dialogs: Box<[Dialog]>,
    timers: Wheel,
    moves: usize,
    /// Slots of the parked connections, in no order.
    parked: Vec<u32>,
    /// Slots of connections that say nothing and whose handshake's last ACK leaves in this pass, oldest first.
    acknowledging: VecDeque<u32>,
    /// So many of them have sent it.
    acknowledged: usize,
    rng: Rng,
    ending: Ending,
    now_ns: u64,
    tick: Tick,
    paused_until_ns: u64,
    tally: Tally,
    piece: Box<[u8]>,
    latencies: Latencies,
    started: bool,
}

impl Client {
    /// A client for a shard with `slots` connections. Allocates all it needs.
    pub fn new(plan: Plan, tuples: Tuples, slots: u32, now: Instant) -> Client {
        Client {
            launches: Launches::new(&plan.schedule, plan.share),
            dialogs: vec![Dialog::default(); slots as usize].into(),
            timers: Wheel::new(slots, now.tick()),
            moves: MOVES_MAX,
            parked: Vec::with_capacity(if plan.order == Order::Own { 0 } else { slots as usize }),
            acknowledging: VecDeque::with_capacity(if plan.talk.requests > 0 { 0 } else { slots as usize }),
            acknowledged: 0,
            rng: Rng::new(plan.seed),
            ending: Ending::Running,
            now_ns: 0,
            tick: now.tick(),
            paused_until_ns: 0,
            tally: Tally::default(),
            piece: vec![0; PIECE].into(),
            latencies: Latencies::default(),
            started: false,
            plan,
            tuples,
        }
    }

    /// Bytes of memory for each connection.
    pub const fn bytes_per_connection() -> usize {
        size_of::<Dialog>() + Wheel::node_bytes() + size_of::<u32>()
    }

    /// Tells the time of the pass that follows, in nanoseconds on the run's clock. The first time begins the run:
    /// nothing is launched before.
    pub fn at(&mut self, now_ns: u64) {
        self.started = true;
        self.now_ns = now_ns;
    }

    /// Latencies since they were last taken out, to be exchanged for empty ones.
    pub fn latencies(&mut self) -> &mut Latencies {
        &mut self.latencies
    }

    /// Launches nothing more; what is open is brought to an end as planned.
    pub fn stop(&mut self) {
        self.launches.stop();
    }

    /// The account so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Nothing will be launched any more, and nothing is open.
    pub fn is_done(&self) -> bool {
        self.ending != Ending::Running && self.tally.in_flight + self.tally.open == 0
    }

    fn level(&self) -> u32 {
        (self.tally.in_flight + self.tally.open) as u32
    }

    /// Opens one connection, from the first pair of endpoints that is free.
    fn open(&mut self, api: &mut Api<'_>, launch: Launch) {
        self.tally.attempt();
        let mut error = OpenError::NoPort;
        for _ in 0..TUPLES_TRIED_MAX {
            let Some(tuple) = self.tuples.next() else { break };
            let (local, remote) = (IpAddr::V4(tuple.source), SocketAddr::V4(tuple.target));
            match api.open(Some(local), Some(tuple.source_port), remote) {
                Ok(id) => return self.begin(id, launch),
                Err(why) => error = why,
            }
            if !matches!(error, OpenError::Exists | OpenError::TimeWait) {
                break;
            }
        }
        self.paused_until_ns = self.now_ns + PAUSE_NS;
        self.tally.fail(match error {
            OpenError::Exists | OpenError::TimeWait | OpenError::NoPort => Failed::NoTuple,
            OpenError::NoTcb => Failed::NoTcb,
            OpenError::InvalidRemote(_) | OpenError::NoLocalAddress(_) => Failed::Else,
        });
    }

    fn begin(&mut self, id: ConnId, launch: Launch) {
        let close = self.plan.closes.of(launch.number);
        let deadline = self.tick.plus(self.plan.connect_timeout_ms.saturating_add(1));
        if let Some(dialog) = self.dialogs.get_mut(id.index as usize) {
            *dialog = Dialog {
                number: launch.number,
                intended_ns: launch.intended_ns,
                generation: id.generation,
                deadline,
                stage: Stage::Opening,
                close,
                measured: launch.measured,
                ..Dialog::default()
            };
            self.timers.arm(id.index, deadline);
        }
    }

    fn dialog(&mut self, conn: &Conn<'_>) -> Option<(u32, &mut Dialog)> {
        let index = conn.id().index;
        self.dialogs.get_mut(index as usize).filter(|d| d.stage != Stage::Free).map(|d| (index, d))
    }

    fn record(&mut self, index: u32, phase: Phase, since_ns: impl Fn(&Dialog) -> u64) {
        if let Some(dialog) = self.dialogs.get(index as usize).filter(|dialog| dialog.measured) {
            self.latencies.record(phase, self.now_ns.saturating_sub(since_ns(dialog)));
        }
    }

    /// Puts a connection into a stage that may last for so long.
    fn enter(&mut self, index: u32, stage: Stage, at_most_ms: u32) {
        let Some(dialog) = self.dialogs.get_mut(index as usize) else { return };
        dialog.stage = stage;
        dialog.deadline = self.tick.plus(at_most_ms.saturating_add(1).min(1 << 30));
        self.timers.arm(index, dialog.deadline);
    }

    /// Sends what there is room for of the current request.
    fn send(&mut self, conn: &mut Conn<'_>) {
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
                let len = PIECE.min((left - sent) as usize).min(conn.room());
                let Some(piece) = self.piece.get_mut(..len).filter(|piece| !piece.is_empty()) else { break };
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

    fn note_fin(&mut self, index: u32) {
        if let Some(dialog) = self.dialogs.get_mut(index as usize).filter(|dialog| dialog.fin_ns == 0) {
            dialog.fin_ns = self.now_ns.max(1);
        }
    }

    /// The current reply is complete.
    fn replied(&mut self, conn: &mut Conn<'_>) {
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
    fn go_on(&mut self, conn: &mut Conn<'_>) {
        let talk = self.plan.talk;
        let Some((index, dialog)) = self.dialog(conn) else { return };
        if !dialog.conversation.is_over(&talk) && dialog.conversation.next(&talk) {
            if dialog.peer_closed {
                return self.give_up(conn, Broken::ShortReply);
            }
            self.enter(index, Stage::Talking, self.plan.reply_timeout_ms);
            return self.send(conn);
        }
        if self.plan.hold_ms > 0 && self.ending == Ending::Running {
            self.enter(index, Stage::Holding, self.plan.hold_ms);
        } else {
            self.close(conn);
        }
    }

    /// It is open, and it is its turn.
    fn start(&mut self, conn: &mut Conn<'_>) {
        let index = conn.id().index;
        if self.plan.talk.requests > 0 {
            self.enter(index, Stage::Talking, self.plan.reply_timeout_ms);
            self.send(conn);
        } else {
            self.go_on(conn);
        }
    }

    /// It goes on when the ACK of its handshake has left; there is a place for each slot.
    fn await_acknowledgment(&mut self, index: u32) {
        self.enter(index, Stage::Acknowledging, u32::MAX);
        self.acknowledging.push_back(index);
    }

    /// It is open: its turn has come, or it waits for it.
    fn take_turn(&mut self, conn: &mut Conn<'_>) {
        if self.plan.order == Order::Own || self.ending != Ending::Running {
            self.start(conn);
        } else {
            self.park(conn.id().index);
        }
    }

    /// Lets an open connection wait for its turn.
    fn park(&mut self, index: u32) {
        self.enter(index, Stage::Parked, u32::MAX);
        if let Some(dialog) = self.dialogs.get_mut(index as usize) {
            dialog.place = self.parked.len() as u32;
            self.parked.push(index);
        }
    }

    /// Takes a connection out of the parked ones.
    fn unpark(&mut self, index: u32) {
        let Some(place) = self.dialogs.get(index as usize).map(|dialog| dialog.place as usize) else {
            return;
        };
        if self.parked.get(place) == Some(&index) {
            self.parked.swap_remove(place);
            if let Some(moved) =
                self.parked.get(place).and_then(|moved| self.dialogs.get_mut(*moved as usize))
            {
                moved.place = place as u32;
            }
        }
    }

    /// Everything is said: the connection is closed as it was meant to be.
    fn close(&mut self, conn: &mut Conn<'_>) {
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
    fn give_up(&mut self, conn: &mut Conn<'_>, why: Broken) {
        let Some((_, dialog)) = self.dialog(conn) else { return };
        let verdict = match dialog.stage {
            Stage::Opening if why == Broken::Cut => Verdict::Failed(Failed::Cut),
            Stage::Opening => Verdict::Failed(timed_out(conn.unsent(), conn.soft_error())),
            _ => Verdict::Broken(why),
        };
        dialog.verdict = Some(verdict);
        conn.abort();
    }

    /// The next connection of those in slots `from` on, and the slot behind it.
    fn next_used(&self, from: u32) -> Option<(ConnId, u32)> {
        let rest = self.dialogs.get(from as usize..)?;
        let at = rest.iter().position(|dialog| dialog.stage != Stage::Free)? as u32 + from;
        let generation = self.dialogs.get(at as usize)?.generation;
        Some((ConnId { index: at, generation }, at + 1))
    }

    /// One that the end of the run is about.
    fn next_to_end(&mut self) -> Option<ConnId> {
        match self.ending {
            Ending::Releasing { from, cut_at } => match self.next_used(from) {
                Some((id, from)) => {
                    self.ending = Ending::Releasing { from, cut_at };
                    return Some(id);
                }
                None => self.ending = Ending::Waiting { cut_at },
            },
            Ending::Waiting { cut_at } if cut_at.is_due(self.tick) => {
                self.ending = Ending::Cutting { from: 0 }
            }
            Ending::Cutting { from } => match self.next_used(from) {
                Some((id, from)) => {
                    self.ending = Ending::Cutting { from };
                    return Some(id);
                }
                None => self.ending = Ending::Cutting { from: 0 },
            },
            Ending::Running | Ending::Waiting { .. } => {}
        }
        None
    }

    /// One of the parked, where more connections wait than are meant to.
    fn next_parked(&mut self) -> Option<ConnId> {
        let Order::Random { active } = self.plan.order else { return None };
        let parked = self.parked.len() as u32;
        // As many are let go as places for new ones are wanted; what is on its way already counts.
        let moving = self.level().saturating_sub(parked);
        if parked == 0 || moving >= active || !self.is_full() {
            return None;
        }
        let chosen = *self.parked.get(self.rng.below(parked) as usize)?;
        self.unpark(chosen);
        let generation = self.dialogs.get(chosen as usize)?.generation;
        if let Some(dialog) = self.dialogs.get_mut(chosen as usize) {
            dialog.stage = Stage::Called;
        }
        Some(ConnId { index: chosen, generation })
    }

    /// One whose handshake is complete on the wire too: what follows, a reset perhaps, must not come before the ACK.
    fn next_acknowledged(&mut self) -> Option<ConnId> {
        while self.acknowledged > 0
            && let Some(index) = self.acknowledging.pop_front()
        {
            self.acknowledged -= 1;
            let dialog = self.dialogs.get_mut(index as usize)?;
            if dialog.stage == Stage::Acknowledging {
                dialog.stage = Stage::Acknowledged;
                return Some(ConnId { index, generation: dialog.generation });
            }
        }
        None
    }

    /// The loop holds as many connections as it is meant to.
    fn is_full(&self) -> bool {
        let all = self.plan.schedule.concurrency_max().map_or(0, u64::from);
        u64::from(self.level()) >= self.plan.share.part(all)
    }
}

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
        let Some((_, dialog)) = self.dialog(conn) else { return };
        let (stage, is_due) = (dialog.stage, dialog.deadline.is_due(self.tick));
        match (self.ending, stage) {
            (Ending::Cutting { .. }, _) => self.give_up(conn, Broken::Cut),
            (_, Stage::Called) => self.start(conn),
            (_, Stage::Acknowledged) if conn.owes() => self.await_acknowledgment(conn.id().index),
            (_, Stage::Acknowledged) => self.take_turn(conn),
            (Ending::Releasing { .. } | Ending::Waiting { .. }, Stage::Parked) => {
                let index = conn.id().index;
                self.unpark(index);
                self.start(conn);
            }
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
        if !self.started {
            return;
        }
        for _ in 0..LAUNCHES_MAX {
            if self.now_ns < self.paused_until_ns && self.launches.next_ns().is_none() {
                break;
            }
            let level = self.level();
            let Some(launch) = self.launches.next(self.now_ns, level) else { break };
            self.open(api, launch);
        }
        if self.ending == Ending::Running && self.launches.is_over(self.now_ns) {
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
        let first = dialog.conversation.is_first();
        let is_over = dialog.conversation.is_complete() && talk.ignores_the_rest();
        let (taken, heard) = match is_over {
            true => (data.len(), Heard::Waiting),
            false => dialog.conversation.receive(&talk, dialog.number, data),
        };
        self.tally.octets_received += taken as u64;
        if first {
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
        let holds_for_ever = self.plan.hold_ms == u32::MAX;
        let Some((_, dialog)) = self.dialog(conn) else { return };
        match dialog.stage {
            Stage::Talking => {
                let was_complete = dialog.conversation.is_complete();
                match dialog.conversation.peer_closed(&talk) {
                    Heard::Complete if !was_complete => self.replied(conn),
                    Heard::Complete => self.go_on(conn),
                    _ => self.give_up(conn, Broken::ShortReply),
                }
            }
            Stage::Thinking if !dialog.conversation.is_over(&talk) => self.give_up(conn, Broken::ShortReply),
            // Those that wait for their turn go on waiting, and are closed then.
            Stage::Holding if holds_for_ever => {}
            Stage::Thinking | Stage::Holding | Stage::AwaitingPeer => self.close(conn),
            Stage::Parked => {
                self.unpark(index);
                self.start(conn);
                self.on_peer_close(conn);
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
