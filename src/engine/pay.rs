//! Debts are paid at the end of a pass: answers first, then connections, as far as there are frames and room to
//! send them. The segments of one connection at a time are built in a place that is lent: it is large, and never moved.

use super::api::Unsent;
use super::emit;
use super::host::Host;
use super::limits::{CUTS_MAX, PAY_MAX};
use super::port::Port;
use super::shard::Shard;
use super::slot::Syn;
use crate::base::burst::Burst;
use crate::base::drop_reason::DropReason;
use crate::flow::key::Key;
use crate::link::QueuePair;
use crate::stats::counters::Counter;
use crate::tcp::Ctx;
use crate::tcp::output::Budget;
use crate::tcp::segment::SegmentOut;
use crate::tcp::settings::ForIp;

/// What of the loop a segment needs on its way out.
pub(super) struct Way<'a, Q: QueuePair> {
    pub ports: &'a mut [Port<Q>],
    pub host: &'a mut Host<Q::Frame>,
    pub shard: &'a mut Shard,
}

impl<Q: QueuePair> Way<'_, Q> {
    /// Pays what is owed; `segments` is the place for those of one connection.
    pub fn pay(mut self, segments: &mut Burst<SegmentOut>) {
        while let Some(reply) = self.shard.replies.pop_front() {
            if let Some((interface, frame)) = self.build(&reply.key, &reply.segment, reply.ip, None) {
                self.host.send_to(self.ports, self.shard, interface, reply.key.remote, frame);
            }
        }
        for _ in 0..PAY_MAX.min(self.shard.owing.len()) {
            let Some(index) = self.shard.owing.pop_front() else { return };
            // A port that takes nothing must not keep the others from paying.
            if !self.pay_one(index, segments) {
                self.shard.owing.push_back(index);
            }
        }
    }

    /// One connection pays. False when there was no room; it stays on the list then.
    fn pay_one(&mut self, index: u32, segments: &mut Burst<SegmentOut>) -> bool {
        let held = self.shard.held_blocks(index);
        let Some(slot) = self.shard.slots.get_mut(index) else { return true };
        if slot.recovery.is_none() && slot.tcb.wants_recovery() {
            self.shard.lend_recovery(index);
        }
        let Some(slot) = self.shard.slots.get_mut(index) else { return true };
        let key = slot.key;
        let interface = usize::from(self.shard.locals.get(key.local).interface);
        let Some(port) = self.ports.get_mut(interface) else { return true };
        let opens = slot.opens();
        let budget = match port.budget(&self.shard.counters) {
            Ok(budget) => budget,
            Err(why) => {
                slot.note_syn(Syn::Kept(why));
                return false;
            }
        };
        // A device makes only so many packets of a segment.
        let text_max = budget.text_max.min(slot.tcb.effective_mss().saturating_mul(CUTS_MAX));
        let budget = Budget { text_max, ..budget };
        let (una, ip) = (slot.tcb.snd.una, slot.tcb.settings().ip);
        segments.clear();
        let ctx = Ctx { now: self.shard.now, cfg: &self.shard.cfg };
        let record = self.shard.recoveries.get_mut(slot.recovery);
        slot.tcb.output(record, ctx, budget, &held, segments);
        if let Some(number) = slot.recovery {
            self.shard.recoveries.set_idle(number, slot.tcb.flight() == 0);
        }
        for segment in segments.iter() {
            let text = Some((index, segment.seq.since(una)));
            let built = self.build(&key, segment, ip, text);
            let number = self.ports.get(interface).map_or(0, |port| port.numbers().0);
            let syn = match built {
                None => Syn::Kept(Unsent::NoFrame),
                Some((interface, frame)) => {
                    let sent = self.host.send_for(self.ports, self.shard, interface, index, frame);
                    if sent { Syn::Queued(number) } else { Syn::WithoutNeighbour }
                }
            };
            if opens && let Some(slot) = self.shard.slots.get_mut(index) {
                slot.note_syn(syn);
            }
        }
        self.shard.settle(index);
        true
    }

    /// Builds a segment's frame, with text from the send queue of the connection in slot `text.0` at offset
    /// `text.1`.
    fn build(
        &mut self,
        key: &Key,
        segment: &SegmentOut,
        ip: ForIp,
        text: Option<(u32, u32)>,
    ) -> Option<(usize, Q::Frame)> {
        let local = self.shard.locals.get(key.local);
        let interface = usize::from(local.interface);
        let port = self.ports.get_mut(interface)?;
        let Some(mut frame) = port.alloc() else {
            self.shard.drop_one(DropReason::NoFrame);
            return None;
        };
        let caps = port.caps;
        let to = emit::Addressing {
            source_mac: port.mac(),
            source: local.v4(),
            destination: key.remote.to_be_bytes(),
            ports: (key.local_port, key.remote_port),
            ip,
        };
        let shard = &*self.shard;
        let fill = |at: usize, place: &mut [u8]| {
            if let Some((index, offset)) = text
                && let Some(slot) = shard.slots.get(index)
            {
                shard.pool.copy_out(&slot.outgoing, offset + at as u32, place);
            }
        };
        if !emit::segment(&mut frame, &caps, &to, segment, fill, || port.alloc()) {
            self.shard.drop_one(DropReason::NoFrame);
            return None;
        }
        if segment.repeated {
            self.shard.count(Counter::Retransmissions);
        }
        if segment.cut > 0 {
            self.shard.count(Counter::LargeSegments);
        }
        if segment.path_probe {
            self.shard.count(Counter::PathMtuProbes);
        }
        Some((interface, frame))
    }
}
