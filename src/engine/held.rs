//! Text that came before its turn: where connections keep it, and what happens when the hole before it is filled.

use super::shard::Shard;
use super::slot::Owner;
use crate::base::bytes::CHUNK;
use crate::base::drop_reason::DropReason;
use crate::base::slab::Slab;
use crate::stats::counters::Counter;
use crate::tcp::Ctx;
use crate::tcp::reassembly::Reassembly;
use crate::wire::seq::Seq;
use crate::wire::tcp_options::SackBlocks;

impl Shard {
    /// The connection's place for such text; a new one if there is room for it.
    fn place_for_held(&mut self, index: u32) -> Option<u32> {
        let slot = self.slots.get_mut(index)?;
        if slot.held.is_none() {
            slot.held = self.reassemblies.insert(Reassembly::default()).ok();
        }
        slot.held
    }

    /// Keeps text that came before its turn, as long as half of the memory is free: what waits for holes must
    /// never leave too little for the text that fills them.
    pub(super) fn hold(&mut self, index: u32, at: Seq, text: &[u8]) {
        //= LIM-6
        //= SACK-7
        // What is kept, and so reported, stays until its turn comes or the connection ends.
        let spare = self.pool.room() > self.pool.chunks() as usize / 2 * CHUNK + text.len();
        let wanted = spare && self.slots.get_mut(index).is_some_and(|slot| slot.owner != Owner::Finished);
        let place = if wanted { self.place_for_held(index) } else { None };
        let Some(held) = place.and_then(|place| self.reassemblies.get_mut(place)) else {
            return self.drop_one(DropReason::OutOfOrder);
        };
        let done = held.insert(&mut self.pool, at, text);
        self.counters.add(Counter::OctetsHeld, u64::from(done.octets));
        if done.refused > 0 {
            self.drop_one(DropReason::OutOfOrder);
        }
        if let (Some(octets), Some(slot)) = (done.duplicate, self.slots.get_mut(index)) {
            slot.tcb.note_duplicate(octets);
        }
    }

    /// Remembers a FIN that came before its turn.
    pub(super) fn hold_fin(&mut self, index: u32, at: Seq) {
        match self.place_for_held(index).and_then(|place| self.reassemblies.get_mut(place)) {
            Some(held) => held.hold_fin(at),
            None => self.drop_one(DropReason::OutOfOrder),
        }
    }

    /// Gives what is held its turn, if everything before it has come.
    pub(super) fn fill(&mut self, index: u32) {
        let ctx = Ctx { now: self.now, cfg: &self.cfg };
        let Some(slot) = self.slots.get_mut(index) else { return };
        let Some(place) = slot.held else { return };
        let Some(held) = self.reassemblies.get_mut(place) else { return };
        if slot.tcb.peer_closed() {
            //= COM-20
            // Whatever stands behind the FIN was never part of the stream.
            held.clear(&mut self.pool);
        }
        while let Some(mut run) = held.take(&mut self.pool, slot.tcb.rcv.nxt) {
            slot.tcb.fill(run.len());
            if slot.owner == Owner::Finished {
                self.pool.clear(&mut run);
                continue;
            }
            self.counters.add(Counter::OctetsReceived, u64::from(run.len()));
            self.pool.join(&mut slot.incoming, &mut run);
            slot.tcb.set_held(slot.incoming.len());
            slot.resume = true;
        }
        if held.fin_is_at(slot.tcb.rcv.nxt) {
            slot.tcb.fill_fin(ctx);
            slot.peer_closed = true;
            slot.resume = true;
            held.clear(&mut self.pool);
        }
        if held.is_empty() {
            slot.held = None;
            self.reassemblies.remove(place);
        }
    }

    /// Gives up what a connection holds.
    pub(super) fn forget_held(&mut self, place: Option<u32>) {
        if let Some(mut held) = place.and_then(|place| self.reassemblies.remove(place)) {
            held.clear(&mut self.pool);
        }
    }
}

/// The blocks that the acknowledgments of a connection report whose text is kept in this place.
pub(super) fn held_blocks(reassemblies: &Slab<Reassembly>, place: u32) -> SackBlocks {
    let mut blocks = SackBlocks::NONE;
    if let Some(held) = reassemblies.get(place) {
        held.blocks(&mut blocks);
    }
    blocks
}
