//! One arriving segment, from the endpoints it names to what it did: the outcome is carried out here, and the
//! application is told.

use super::api::{Accept, App, ConnId, ListenerId};
use super::entry::{Bits, Form};
use super::listen::is_waiting;
use super::shard::{Doubt, SCRATCH, Shard};
use super::slot::{Origin, Owner};
use crate::base::bytes::CHUNK;
use crate::base::drop_reason::DropReason;
use crate::flow::key::Key;
use crate::flow::table::{Hint, Place};
use crate::stats::counters::Counter;
use crate::tcp::arrives::synchronized::Room;
use crate::tcp::outcome::{End, Outcome, Repair, Repairs, Soft, SynAgain};
use crate::tcp::state::State;
use crate::wire::tcp::Segment;

/// A segment on its way into the shard.
#[derive(Clone, Copy)]
pub(super) struct Arrived {
    pub key: Key,
    pub hash: u64,
    /// What the batched look-up found; only a hint.
    pub hint: Hint,
    pub segment: Segment,
}

impl Arrived {
    /// The segment's text, which begins here in its frame.
    pub fn text<'a>(&self, frame: &'a [u8], at: u16) -> &'a [u8] {
        let at = usize::from(at);
        frame.get(at..at + usize::from(self.segment.text_len)).unwrap_or_default()
    }
}

impl Shard {
    /// Processes one segment with its text.
    #[inline(always)]
    pub(super) fn segment_arrives<A: App>(&mut self, app: &mut A, arrived: &Arrived, text: &[u8]) {
        self.hashed = (arrived.key, arrived.hash);
        let found = match arrived.hint {
            Hint::At(place) if self.confirm(place, &arrived.key) => Some(place),
            Hint::Nowhere if self.table.added() == self.added_before_burst => None,
            // The burst's look-up may be older than a connection made by a segment before this one.
            _ => self.find_hashed(&arrived.key, arrived.hash),
        };
        match found {
            Some(Place::Connection(index)) => self.for_either(app, index, arrived, text),
            Some(Place::TimeWait(index)) => self.for_record(app, index, arrived),
            None => self.for_nobody(app, arrived, text),
        }
    }

    /// A segment for a connection, at rest or awake.
    #[inline(never)]
    fn for_either<A: App>(&mut self, app: &mut A, index: u32, arrived: &Arrived, text: &[u8]) {
        if !self.usual_segment(app, index, arrived, text) {
            self.for_connection(app, index, arrived, text);
        }
    }

    /// Looks a segment up ahead of its turn, and asks for what it will touch.
    #[inline]
    pub(super) fn hint(&self, hash: u64) -> Hint {
        let hint = self.table.hint(hash);
        match hint {
            Hint::At(Place::Connection(index)) => self.prefetch(index),
            Hint::At(Place::TimeWait(index)) => self.time_wait.prefetch(index),
            Hint::Nowhere | Hint::Elsewhere => {}
        }
        hint
    }

    /// The usual segment for a connection at rest is done where it is. False, with nothing done, for any other.
    fn usual_segment<A: App>(&mut self, app: &mut A, index: u32, arrived: &Arrived, text: &[u8]) -> bool {
        // What the application does not take of a text is kept by one that is awake.
        if !text.is_empty() && !self.slots.can_wake() {
            return false;
        }
        let octets = u32::try_from(self.receive_room(0)).unwrap_or(u32::MAX);
        let Some((entry, common, ctx)) = self.slots.resting(index) else { return false };
        // Who is over before its application knows of the peer's FIN is awake until it does.
        if entry.brief.state() == State::LastAck && entry.bits.has(Bits::PEER_CLOSED) {
            return false;
        }
        let accept_full = match (entry.brief.state(), entry.origin()) {
            (State::SynReceived, Origin::Listener(listener)) => {
                //= LIM-3
                self.per_address.is_full(entry.key.remote)
                    || self.listening.get(usize::from(listener.0)).is_none_or(|l| l.queues.is_full())
            }
            _ => false,
        };
        let room = Room { accept_full, octets };
        let Some(quick) = entry.brief.segment_arrives(&arrived.segment, room, common, ctx) else {
            return false;
        };
        self.counters.add(Counter::OctetsAcked, u64::from(quick.acked));
        if quick.finished {
            entry.pop(&mut self.pool, quick.acked);
            self.end(app, index, End::Finished);
            return true;
        }
        if quick.opened {
            self.opened(app, index);
        }
        if quick.acked > 0 {
            self.acknowledged(app, index, quick.acked);
        }
        if !text.is_empty() {
            self.counters.add(Counter::OctetsReceived, text.len() as u64);
            self.deliver(app, index, text);
        }
        if quick.peer_closed {
            self.note_peer_close(index);
        }
        self.after_callbacks(app, index);
        true
    }

    fn note_peer_close(&mut self, index: u32) {
        if let Some(mut form) = self.slots.form(index) {
            form.set_peer_closed(true);
            form.set_resume(true);
        }
    }

    pub(super) fn for_connection<A: App>(&mut self, app: &mut A, index: u32, arrived: &Arrived, text: &[u8]) {
        let Some(slot) = self.slots.get_mut(index) else { return self.drop_one(DropReason::NoPlace) };
        if slot.tcb.state() == State::TimeWait {
            return self.in_time_wait_with_slot(app, index, arrived);
        }
        let accept_full = match (slot.tcb.state(), slot.origin) {
            (State::SynReceived, Origin::Listener(listener)) => {
                //= LIM-3
                self.per_address.is_full(slot.key.remote)
                    || self.listening.get(usize::from(listener.0)).is_none_or(|l| l.queues.is_full())
            }
            _ => false,
        };
        let unread = slot.incoming.len();
        let octets = u32::try_from(self.receive_room(unread)).unwrap_or(u32::MAX);
        let ctx = crate::tcp::Ctx { now: self.now, cfg: &self.cfg };
        let Some(slot) = self.slots.get_mut(index) else { return };
        let room = Room { accept_full, octets };
        let record = self.recoveries.get_mut(slot.recovery);
        let out = slot.tcb.segment_arrives(&arrived.segment, room, record, ctx);
        if let Some(number) = slot.recovery {
            self.recoveries.set_idle(number, slot.tcb.flight() == 0);
        }
        let new = text.get(usize::from(out.text_at)..usize::from(out.text_at) + usize::from(out.text_len));
        self.carry_out(app, index, arrived.key, &out, new.unwrap_or_default());
    }

    /// Octets that a connection which queues so many for sending may add. Beyond half of the memory it gets no
    /// more than the least, so that peers which do not read leave room for what arrives.
    pub(super) fn share_left(&self, octets: u32) -> usize {
        let (room, all) = (self.pool.room(), self.pool.chunks() as usize * CHUNK);
        share(room.saturating_sub(all / 2), all).min(room).saturating_sub(octets as usize)
    }

    /// Octets of in-order text for which there will be memory if the application takes none of it. A quarter of
    /// all is for sending only: what was read can then always be answered, and so be forgotten. A connection
    /// whose application leaves text lying may keep no more than a share of what is still free, so that many of
    /// them cannot starve the rest (ATK-12): `unread` octets lie.
    fn receive_room(&self, unread: u32) -> usize {
        //= ATK-12
        //= LIM-6
        let free = self.pool.room().saturating_sub(self.pool.chunks() as usize / 4 * CHUNK);
        if unread == 0 {
            return free;
        }
        let all = self.pool.chunks() as usize * CHUNK;
        share(free, all).min(free).saturating_sub(unread as usize)
    }

    /// Does what an event's outcome says, in the order in which an application should learn of it.
    pub(super) fn carry_out<A: App>(
        &mut self,
        app: &mut A,
        index: u32,
        key: Key,
        out: &Outcome,
        text: &[u8],
    ) {
        self.count_outcome(out);
        if let Some(news) = out.path_mtu {
            self.note_path(&key, news);
        }
        if let Some(segment) = out.reply {
            let ip = self.slots.get_mut(index).map_or(self.cfg.settings.ip, |slot| slot.tcb.settings().ip);
            self.reply(key, segment, ip);
        }
        if let Some(end) = out.end {
            return self.end(app, index, end);
        }
        if out.challenge
            && self.challenge_allowed()
            && let Some(slot) = self.slots.get_mut(index)
        {
            slot.tcb.grant_challenge();
        }
        if out.opened {
            self.opened(app, index);
        }
        if out.acked > 0 {
            self.acknowledged(app, index, out.acked);
        }
        if out.urgent {
            let in_order = if out.hold_at.is_none() { text.len() } else { 0 };
            self.announce_urgent(app, index, in_order as u32);
        }
        match out.hold_at {
            Some(at) => self.hold(index, at, text),
            None if !text.is_empty() => {
                self.counters.add(Counter::OctetsReceived, text.len() as u64);
                self.deliver(app, index, text);
            }
            None => {}
        }
        if let Some(at) = out.hold_fin {
            self.hold_fin(index, at);
        }
        self.fill(index);
        if let Some(trouble) = out.soft {
            self.report(app, index, trouble);
        }
        if out.peer_closed {
            self.note_peer_close(index);
        }
        self.after_callbacks(app, index);
    }

    /// A call from outside the loop's own events.
    pub(super) fn call<A: App>(
        &mut self,
        app: &mut A,
        id: super::api::ConnId,
        call: impl FnOnce(&mut super::api::Conn<'_>),
    ) -> bool {
        let there = self.slots.generation(id.index) == Some(id.generation);
        if there {
            call(&mut self.conn(id.index));
            self.after_callbacks(app, id.index);
        }
        there
    }

    /// What callbacks may have left to do, and what waited for them.
    #[inline(always)]
    pub(super) fn after_callbacks<A: App>(&mut self, app: &mut A, index: u32) {
        if !self.settle_resting(index) {
            self.after_more(app, index);
        }
    }

    /// One at rest keeps nothing that could be offered: unless its application has to be told of the peer's FIN, or it
    /// becomes a record, it only settles as in [`Shard::settle`]. False, with nothing done, for others.
    #[inline(always)]
    fn settle_resting(&mut self, index: u32) -> bool {
        let connections = self.slots.len();
        let Some(Form::Rests(entry)) = self.slots.form(index) else { return false };
        if entry.brief.state() == State::TimeWait || entry.bits.has(Bits::PEER_CLOSED) {
            return false;
        }
        entry.bits.set(Bits::RESUME, false);
        if entry.brief.owes() {
            self.owing.push_back(index);
            return true;
        }
        match entry.brief.deadline() {
            Some(at) => self.timers.arm(index, at),
            None => self.timers.rest(index, connections),
        }
        true
    }

    /// As [`Shard::after_callbacks`], of any connection.
    #[inline(never)]
    fn after_more<A: App>(&mut self, app: &mut A, index: u32) {
        self.offer_again(app, index);
        self.tell_peer_close(app, index);
        if let Some(Form::Awake(slot)) = self.slots.form(index)
            && slot.tcb.state() == State::Closed
        {
            match slot.unread {
                true if slot.has_more_to_tell() => return,
                true => return self.release(app, index, End::Finished),
                false if slot.abandoned => return self.vanish(app, index),
                false => return self.finish(app, index, End::Aborted),
            }
        }
        self.compact(app, index);
        self.settle(index);
    }

    fn count_outcome(&self, out: &Outcome) {
        if let Some(reason) = out.dropped {
            self.drop_one(reason);
        }
        match out.syn_again {
            Some(SynAgain::Syn) => self.count(Counter::SynRepeated),
            Some(SynAgain::SynAck) => self.count(Counter::SynAckRepeated),
            Some(SynAgain::SynRepeated) => self.count(Counter::SynAckAnswered),
            None => {}
        }
        if out.rto {
            self.count(Counter::RtoExpired);
        }
        if out.probe {
            self.count(Counter::Probes);
        }
        if out.keep_alive {
            self.count(Counter::KeepAlives);
        }
        if out.override_expired {
            self.count(Counter::OverridesExpired);
        }
        if out.ack_delayed {
            self.count(Counter::AcksDelayed);
        }
        if !out.repairs.is_empty() {
            self.count_repairs(out.repairs);
        }
        self.counters.add(Counter::OctetsAcked, u64::from(out.acked));
    }

    /// Urgent data is announced before the text that came with its pointer, and that may hold all of it (RFC 9293
    /// 3.10.7.4: the sixth step, before the seventh). RCV.NXT counts that text already.
    fn announce_urgent<A: App>(&mut self, app: &mut A, index: u32, in_order: u32) {
        //= MUST-32
        if !self.hears(index) {
            return;
        }
        if let Some(slot) = self.slots.get_mut(index) {
            slot.tcb.set_held(slot.incoming.len() + in_order);
        }
        app.on_urgent(&mut self.conn(index));
        if let Some(slot) = self.slots.get_mut(index) {
            slot.tcb.set_held(slot.incoming.len());
        }
    }

    fn count_repairs(&self, repairs: Repairs) {
        for repair in Repair::ALL.into_iter().filter(|repair| repairs.has(*repair)) {
            self.count(match repair {
                Repair::RackLoss => Counter::RackLosses,
                Repair::RackTimer => Counter::RackTimers,
                Repair::FastRecovery => Counter::FastRecoveries,
                Repair::LimitedTransmit => Counter::LimitedTransmits,
                Repair::Prr => Counter::PrrGrants,
                Repair::TailProbe => Counter::TailProbes,
                Repair::TailRepaired => Counter::TailRepaired,
                Repair::ForwardRto => Counter::ForwardRtos,
                Repair::ForwardRtoUndo => Counter::ForwardRtoUndone,
                Repair::EifelUndo => Counter::EifelUndone,
                Repair::DuplicateUndo => Counter::DuplicateUndone,
                Repair::DuplicateReported => Counter::DuplicatesReported,
                Repair::Reneged => Counter::Reneged,
            });
        }
    }

    /// The application has the connection and has not ended it.
    fn hears(&mut self, index: u32) -> bool {
        self.slots.form(index).is_some_and(|form| form.hears())
    }

    /// Tells the application of a soft error, if it has the connection or opens it and wants to know; and, beyond R1,
    /// the lower layer.
    pub(super) fn report<A: App>(&mut self, app: &mut A, index: u32, trouble: Soft) {
        //= MUST-47
        //= SHLD-9
        //= SHLD-20
        let Some(slot) = self.slots.get_mut(index) else { return };
        if trouble == Soft::Retransmitting && !self.doubts.is_full() {
            let interface = self.locals.get(slot.key.local).interface;
            self.doubts.push(Doubt { interface, remote: slot.key.remote, neighbour: slot.neighbour });
        }
        if slot.tcb.settings().reports && (slot.owner == Owner::Opener || slot.hears()) {
            app.on_trouble(&mut self.conn(index), trouble);
        }
    }

    /// The handshake is complete: the application that opened is told, or is offered the connection.
    fn opened<A: App>(&mut self, app: &mut A, index: u32) {
        self.count(Counter::Established);
        let Some(mut form) = self.slots.form(index) else { return };
        form.forget_syn();
        let generation = form.generation();
        let listener = match form.origin() {
            // The application may have ended it for good after the SYNs had crossed.
            Origin::Active if form.is_forsaken() => return form.set_owner(Owner::Finished),
            Origin::Active => {
                form.set_owner(Owner::Taken);
                return app.on_connected(&mut self.conn(index));
            }
            Origin::Listener(listener) => listener,
        };
        form.set_owner(Owner::Waiting);
        self.half_open -= 1;
        self.count_address(index);
        let Some(listening) = self.listening.get_mut(usize::from(listener.0)) else { return };
        listening.queues.half_open -= 1;
        listening.queues.waiting += 1;
        let first = listening.waiting.is_empty();
        if !first || self.offer(app, index, listener) == Accept::Later {
            self.enqueue(listener, ConnId { index, generation });
        }
    }

    /// Offers a connection to the application.
    pub(super) fn offer<A: App>(&mut self, app: &mut A, index: u32, listener: ListenerId) -> Accept {
        // During the call it is the application's, so that calls on it mean what they always mean.
        self.hand_over(index, Owner::Waiting, Owner::Taken);
        let answer = app.on_open(&mut self.conn(index), listener);
        if answer == Accept::Later {
            self.hand_over(index, Owner::Taken, Owner::Waiting);
        } else {
            if let Some(mut form) = self.slots.form(index) {
                // What arrived while the connection waited was never offered.
                form.set_resume(true);
            }
            if let Some(listening) = self.listening.get_mut(usize::from(listener.0)) {
                listening.queues.waiting -= 1;
            }
        }
        answer
    }

    fn hand_over(&mut self, index: u32, from: Owner, to: Owner) {
        if let Some(mut form) = self.slots.form(index)
            && form.owner() == from
        {
            form.set_owner(to);
        }
    }

    /// Puts a connection into its accept queue. Those that are gone make room first, so that the queue never
    /// grows beyond what it was made for.
    fn enqueue(&mut self, listener: ListenerId, id: super::api::ConnId) {
        let Some(listening) = self.listening.get_mut(usize::from(listener.0)) else { return };
        if listening.waiting.len() == listening.waiting.capacity() {
            let slots = &self.slots;
            listening.waiting.retain(|id| is_waiting(slots, *id));
        }
        if listening.waiting.len() < listening.waiting.capacity() {
            listening.waiting.push_back(id);
        }
    }

    /// Data was acknowledged: it leaves the queue, and there is room again.
    fn acknowledged<A: App>(&mut self, app: &mut A, index: u32, octets: u32) {
        let Some(mut form) = self.slots.form(index) else { return };
        form.pop(&mut self.pool, octets);
        if form.hears() {
            form.set_resume(true);
            app.on_writable(&mut self.conn(index));
        }
    }

    /// New in-order bytes: to the application if nothing waits before them, else behind what waits.
    fn deliver<A: App>(&mut self, app: &mut A, index: u32, text: &[u8]) {
        let Some(form) = self.slots.form(index) else { return };
        let behind = matches!(&form, Form::Awake(slot) if !slot.incoming.is_empty());
        let mut taken = 0;
        if form.hears() && !behind {
            taken = app.on_data(&mut self.conn(index), text).min(text.len());
        }
        if taken == text.len() {
            return;
        }
        let Some(slot) = self.slots.get_mut(index) else { return };
        if slot.owner == Owner::Finished || slot.tcb.state() == State::Closed {
            return;
        }
        let rest = text.get(taken..).unwrap_or_default();
        // `Room::octets` made sure of the memory before the text was accepted.
        self.pool.push(&mut slot.incoming, rest);
        slot.resume |= behind;
        slot.tcb.set_held(slot.incoming.len());
    }

    /// Offers what the application did not take before, as long as it takes some.
    fn offer_again<A: App>(&mut self, app: &mut A, index: u32) {
        loop {
            let slot = match self.slots.form(index) {
                None => return,
                // One at rest has nothing to offer.
                Some(mut rests @ Form::Rests(_)) => return rests.set_resume(false),
                Some(Form::Awake(slot)) => slot,
            };
            let wanted = slot.resume && slot.hears() && !slot.incoming.is_empty();
            slot.resume = false;
            if !wanted {
                return;
            }
            let mut scratch = std::mem::take(&mut self.scratch);
            let queue = slot.incoming;
            let count = self.pool.copy_out(&queue, 0, &mut scratch);
            let bytes = scratch.get(..count).unwrap_or_default();
            let taken = app.on_data(&mut self.conn(index), bytes).min(count);
            self.scratch = scratch;
            self.taken_from_queue(index, taken);
            if taken == 0 {
                return;
            }
            if let Some(slot) = self.slots.get_mut(index) {
                slot.resume = true;
            }
        }
    }

    fn taken_from_queue(&mut self, index: u32, taken: usize) {
        let Some(slot) = self.slots.get_mut(index) else { return };
        self.pool.pop(&mut slot.incoming, taken as u32);
        slot.tcb.set_held(slot.incoming.len());
    }

    /// The peer's FIN is told when everything before it was taken, or when the application, offered the rest,
    /// takes nothing and has nothing under way that could change its mind.
    fn tell_peer_close<A: App>(&mut self, app: &mut A, index: u32) {
        //= MUST-12
        let Some(mut form) = self.slots.form(index) else { return };
        if !form.peer_closed() || form.owner() == Owner::Waiting {
            return;
        }
        if let Form::Awake(slot) = &form
            && !slot.incoming.is_empty()
            && (!slot.outgoing.is_empty() || self.starved.contains(index))
        {
            return;
        }
        form.set_peer_closed(false);
        if form.hears() {
            app.on_peer_close(&mut self.conn(index));
        }
    }
}

/// What one connection may keep of the memory, for each direction, in octets: an eighth of all while all is free,
/// and falling with the square of what is free, so that n connections which never give anything back leave
/// 1/(1 + n/8) of it to the others. Always two chunks: an answer must be possible.
fn share(free: usize, all: usize) -> usize {
    (free / 8).saturating_mul(free).checked_div(all).unwrap_or(0).max(2 * CHUNK)
}

const _: () = assert!(SCRATCH >= 16 * 1024, "applications are promised so many contiguous bytes");
