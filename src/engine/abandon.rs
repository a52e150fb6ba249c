//! Leaving a connection without a word, as a host does that loses its power: what its peer must cope with.

use super::api::{App, Conn};
use super::errors;
use super::shard::Shard;
use crate::base::time::Tick;
use crate::flow::table::Place;
use crate::tcp::outcome::End;
use crate::tcp::time_wait::{Manner, TimeWait};

impl Conn<'_> {
    /// The connection vanishes as if our host had: nothing is sent, now or later, not even what was queued. For the
    /// time of TIME-WAIT what its peer sends is thrown away, and nobody can open it anew. What leaves the host has
    /// left it: a frame that was given to the device before is not called back.
    pub fn abandon(&mut self) {
        let shard = &mut *self.shard;
        let Some(slot) = shard.slots.get_mut_to_end(self.index) else { return };
        shard.pool.clear(&mut slot.incoming);
        slot.peer_closed = false;
        slot.abandoned = true;
        slot.tcb.abandon();
        let key = slot.key;
        shard.replies.retain(|reply| reply.key != key);
    }
}

impl Shard {
    /// An abandoned connection becomes a record that answers nothing.
    pub(super) fn vanish<A: App>(&mut self, app: &mut A, index: u32) {
        let Some(key) = self.slots.key(index) else { return };
        let deadline = Tick::after_ms(self.now, self.cfg.time_wait_ms);
        self.record(index, &key, TimeWait::MUTE, deadline);
        self.release(app, index, End::Abandoned);
    }

    /// The segment in this frame of ours is one of an abandoned connection.
    pub(super) fn is_abandoned(&self, frame: &[u8]) -> bool {
        let place = errors::key_of(&self.locals, frame).and_then(|key| self.find(&key));
        let Some(Place::TimeWait(index)) = place else { return false };
        self.time_wait.get(index).is_some_and(|record| record.rest.manner == Manner::Mute)
    }
}
