//! Debts are paid at the end of a pass: answers first, then connections, as far as there are frames and room to
//! send them. Segments are built in places that are kept from one connection to the next: they are large, and never moved.

use super::api::Unsent;
use super::emit::{self, Addressing};
use super::held::held_blocks;
use super::host::{Host, NextHop};
use super::limits::{CUTS_MAX, PAY_MAX};
use super::port::Port;
use super::shard::{Reply, Shard};
use super::slot::Syn;
use crate::base::burst::Burst;
use crate::base::bytes::{Pool, Queue};
use crate::base::drop_reason::DropReason;
use crate::base::ids::NeighbourIdx;
use crate::flow::key::Key;
use crate::inet::locals::Local;
use crate::link::QueuePair;
use crate::stats::counters::{Counter, Counters};
use crate::tcp::Ctx;
use crate::tcp::output::Budget;
use crate::tcp::segment::SegmentOut;
use crate::tcp::settings::ForIp;
use crate::tcp::tcb::quick::Paid;
use crate::wire::ethernet::Mac;
use crate::wire::seq::Seq;
use crate::wire::tcp_options::SackBlocks;

/// A connection that got forward within this time confirms its neighbour (ARP-8). One that has only sent its SYN did not.
const PROGRESS_MS: u32 = 60_000;

/// So many connections ahead of the one that pays, what the next will touch is asked for: they may have waited for long.
const PAY_AHEAD: usize = 8;
/// Where no more than so many owe, it is this pass that made them, and their lines are at hand.
const PAY_WARM: usize = 128;

/// What of the loop a segment needs on its way out.
pub(super) struct Way<'a, Q: QueuePair> {
    pub ports: &'a mut [Port<Q>],
    pub host: &'a mut Host<Q::Frame>,
    pub shard: &'a mut Shard,
}

impl<Q: QueuePair> Way<'_, Q> {
    /// Pays what is owed; `segments` is the place for those of one connection.
    pub fn pay(mut self, segments: &mut Burst<SegmentOut>) {
        if !self.shard.replies.is_empty() {
            self.answer_all();
        }
        let mut segment = SegmentOut::default();
        for _ in 0..PAY_MAX.min(self.shard.owing.len()) {
            let Some(index) = self.shard.owing.pop_front() else { return };
            if self.shard.owing.len() > PAY_WARM
                && let Some(later) = self.shard.owing.ahead(PAY_AHEAD)
            {
                self.shard.prefetch(later);
            }
            // A port that takes nothing must not keep the others from paying.
            if !self.pay_one(index, &mut segment, segments) {
                self.shard.owing.push_back(index);
            }
        }
    }

    #[inline(never)]
    fn answer_all(&mut self) {
        let mut replies = std::mem::take(&mut self.shard.replies);
        for reply in &replies {
            self.answer(reply);
        }
        replies.clear();
        self.shard.replies = replies;
    }

    #[inline(always)]
    fn answer(&mut self, reply: &Reply) {
        let Reply { key, segment, ip } = reply;
        let shard = &*self.shard;
        let local = shard.locals.get(key.local);
        let interface = usize::from(local.interface);
        let none = NeighbourIdx::default();
        let hop = self.host.next_hop(&shard.locals, shard.now, interface, key.remote, none, || false);
        let Some(port) = self.ports.get_mut(interface) else { return };
        let to = addressing(key, &local, port.mac(), hop.mac(), *ip);
        match (frame_of(port, &to, segment, |_| {}), hop) {
            (Some(frame), NextHop::Known(..)) => port.send_segment(frame, segment.flags, &shard.counters),
            (Some(frame), hop) => self.host.keep(shard, interface, hop, frame),
            (None, _) => shard.counters.drop_one(DropReason::NoFrame),
        }
    }

    /// One connection pays. False when there was no room; it stays on the list then. `segment` is the place for that of
    /// one at rest, which is kept from one to the next.
    #[inline(always)]
    fn pay_one(&mut self, index: u32, segment: &mut SegmentOut, segments: &mut Burst<SegmentOut>) -> bool {
        let Shard { slots, locals, counters, pool, now, .. } = &mut *self.shard;
        let Some((entry, common, ctx)) = slots.resting(index) else {
            return self.pay_awake(index, segments);
        };
        let (key, opens) = (entry.key, entry.opens());
        let local = locals.get(key.local);
        let interface = usize::from(local.interface);
        let Some(port) = self.ports.get_mut(interface) else { return true };
        if let Err(why) = port.make_ready(counters) {
            return self.pay_later(index, why);
        }
        let Some(paid) = entry.brief.output(common, ctx, segment) else {
            return self.pay_awake(index, segments);
        };
        // All of it is paid, or will be when it is sent.
        let deadline = entry.brief.deadline();
        match paid {
            Paid::Nothing => {}
            Paid::One => {
                let progress = || !opens && entry.brief.progressed_within(PROGRESS_MS, ctx);
                let hop = self.host.next_hop(locals, *now, interface, key.remote, entry.neighbour, progress);
                let to = addressing(&key, &local, port.mac(), hop.mac(), common.settings.ip);
                if let NextHop::Known(place, _) = hop {
                    entry.neighbour = place;
                }
                let text = |place: &mut [u8]| {
                    pool.copy_piece(entry.link, segment.seq.since(entry.brief.una()), place);
                };
                let frame = frame_of(port, &to, segment, text);
                if opens {
                    entry.note_syn(match (&frame, hop) {
                        (None, _) => Syn::Kept(Unsent::NoFrame),
                        (Some(_), NextHop::Known(..)) => Syn::Queued(port.numbers().0),
                        (Some(_), _) => Syn::WithoutNeighbour,
                    });
                }
                match (frame, hop) {
                    (Some(frame), NextHop::Known(..)) => port.send_segment(frame, segment.flags, counters),
                    (Some(frame), hop) => self.host.keep(self.shard, interface, hop, frame),
                    (None, _) => counters.drop_one(DropReason::NoFrame),
                }
                if opens {
                    segment.forget_syn();
                }
            }
        }
        match deadline {
            Some(at) => self.shard.timers.arm(index, at),
            None => self.shard.timers.rest(index, self.shard.slots.len()),
        }
        true
    }

    /// There is no room for what a connection has to say.
    #[cold]
    fn pay_later(&mut self, index: u32, why: Unsent) -> bool {
        if let Some(mut form) = self.shard.slots.form(index) {
            form.note_syn(Syn::Kept(why));
        }
        self.stays(index)
    }

    /// A connection stays on the list. Its timers run all the same.
    fn stays(&mut self, index: u32) -> bool {
        if let Some(at) = self.shard.slots.deadline(index) {
            self.shard.timers.arm(index, at);
        }
        false
    }

    /// As [`Way::pay_one`] for one that is awake, or has to wake for it.
    #[inline(never)]
    fn pay_awake(&mut self, index: u32, segments: &mut Burst<SegmentOut>) -> bool {
        let Some(key) = self.shard.slots.key(index) else { return true };
        let local = self.shard.locals.get(key.local);
        let Some(port) = self.ports.get_mut(usize::from(local.interface)) else { return true };
        let budget = match port.budget(&self.shard.counters) {
            Ok(budget) => budget,
            Err(why) => return self.pay_later(index, why),
        };
        // Who finds no place to wake stays on the list.
        if self.shard.slots.get_mut(index).is_none() {
            return self.stays(index);
        }
        let Some(slot) = self.shard.slots.get_mut(index) else { return false };
        if slot.recovery.is_none() && slot.tcb.wants_recovery() {
            self.shard.lend_recovery(index);
        }
        let Shard { slots, pool, reassemblies, recoveries, cfg, now, .. } = &mut *self.shard;
        let Some(slot) = slots.get_mut(index) else { return true };
        // A device makes only so many packets of a segment.
        let text_max = budget.text_max.min(slot.tcb.effective_mss().saturating_mul(CUTS_MAX));
        let budget = Budget { text_max, ..budget };
        let una = slot.tcb.snd.una;
        segments.clear();
        let held = slot.held.map(|place| held_blocks(reassemblies, place));
        let held = held.as_ref().unwrap_or(&SackBlocks::NONE);
        let record = recoveries.get_mut(slot.recovery);
        let ctx = Ctx { now: *now, cfg };
        slot.tcb.output(record, ctx, budget, held, segments);
        if let Some(number) = slot.recovery {
            recoveries.set_idle(number, slot.tcb.flight() == 0);
        }
        if !segments.is_empty() {
            let sender = Sender {
                key,
                ip: slot.tcb.settings().ip,
                queue: slot.outgoing,
                una,
                opens: slot.opens(),
                neighbour: slot.neighbour,
            };
            // What follows is found from there.
            if let Some(last) = segments.last().filter(|last| last.text_len > 0) {
                pool.seek(&mut slot.outgoing, last.seq.since(una));
            }
            self.send(index, &local, &sender, segments);
        }
        self.shard.settle(index);
        true
    }

    /// Sends segments of one connection.
    fn send(&mut self, index: u32, local: &Local, sender: &Sender, segments: &[SegmentOut]) {
        let interface = usize::from(local.interface);
        let Sender { key, opens, neighbour, .. } = *sender;
        let shard = &*self.shard;
        let progress = || !opens && shard.slots.progressed_within(index, PROGRESS_MS);
        let hop = self.host.next_hop(&shard.locals, shard.now, interface, key.remote, neighbour, progress);
        let Some(port) = self.ports.get_mut(interface) else { return };
        let to = addressing(&key, local, port.mac(), hop.mac(), sender.ip);
        let (mut first, mut queue) = (Syn::Due, sender.queue);
        for segment in segments {
            let offset = segment.seq.since(sender.una);
            if segment.text_len > 0 && segments.len() > 1 {
                shard.pool.seek(&mut queue, offset);
            }
            let text = (&queue, offset);
            let syn = match build(port, &shard.pool, &shard.counters, &to, segment, text) {
                None => Syn::Kept(Unsent::NoFrame),
                Some(frame) if matches!(hop, NextHop::Known(..)) => {
                    let number = port.numbers().0;
                    port.send_segment(frame, segment.flags, &shard.counters);
                    Syn::Queued(number)
                }
                Some(frame) => {
                    self.host.keep(shard, interface, hop, frame);
                    Syn::WithoutNeighbour
                }
            };
            first = if first == Syn::Due { syn } else { first };
        }
        let place = if let NextHop::Known(place, _) = hop { place } else { neighbour };
        if (opens || place != neighbour)
            && let Some(mut form) = self.shard.slots.form(index)
        {
            form.set_neighbour(place);
            if opens {
                form.note_syn(first);
            }
        }
    }
}

/// Who sends segments: what of a connection stands in their headers or decides on their way.
struct Sender {
    key: Key,
    ip: ForIp,
    /// The send queue, which begins at `una`.
    queue: Queue,
    una: Seq,
    /// Our SYN was neither acknowledged nor refused.
    opens: bool,
    /// Where the neighbour's MAC address was found last.
    neighbour: NeighbourIdx,
}

fn addressing(key: &Key, local: &Local, source_mac: Mac, next_hop: Mac, ip: ForIp) -> Addressing {
    Addressing {
        next_hop,
        source_mac,
        source: local.v4(),
        destination: key.remote.to_be_bytes(),
        ports: (key.local_port, key.remote_port),
        ip,
    }
}

/// Builds a segment's frame, with text from a send queue at an offset.
#[inline(never)]
fn build<Q: QueuePair>(
    port: &mut Port<Q>,
    pool: &Pool,
    counters: &Counters,
    to: &Addressing,
    segment: &SegmentOut,
    (queue, offset): (&Queue, u32),
) -> Option<Q::Frame> {
    let fill = |at: usize, place: &mut [u8]| {
        pool.copy_out(queue, offset + at as u32, place);
    };
    let frame = if segment.cut == 0 {
        frame_of(port, to, segment, |place| fill(0, place))
    } else {
        let caps = port.caps;
        port.alloc().and_then(|mut frame| {
            emit::large(&mut frame, &caps, to, segment, fill, || port.alloc()).then_some(frame)
        })
    };
    if frame.is_none() {
        counters.drop_one(DropReason::NoFrame);
        return None;
    }
    if segment.repeated || segment.cut > 0 || segment.path_probe {
        count_special(counters, segment);
    }
    frame
}

/// The frame of a segment that is one packet; `None` where there is none, or it has too little room.
#[inline(always)]
fn frame_of<Q: QueuePair>(
    port: &mut Port<Q>,
    to: &Addressing,
    segment: &SegmentOut,
    text: impl FnOnce(&mut [u8]),
) -> Option<Q::Frame> {
    let mut frame = port.alloc()?;
    emit::segment(&mut frame, &port.caps, to, segment, text).then_some(frame)
}

#[cold]
fn count_special(counters: &Counters, segment: &SegmentOut) {
    counters.add(Counter::Retransmissions, u64::from(segment.repeated));
    counters.add(Counter::LargeSegments, u64::from(segment.cut > 0));
    counters.add(Counter::PathMtuProbes, u64::from(segment.path_probe));
}
