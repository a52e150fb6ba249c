//! ICMP errors on their way to the connection they are about (MUST-54), and what is remembered of a path.

use super::api::App;
use super::shard::Shard;
use crate::base::drop_reason::DropReason;
use crate::base::ids::LocalIdx;
use crate::flow::key::Key;
use crate::flow::table::Place;
use crate::inet::locals::Locals;
use crate::stats::counters::Counter;
use crate::tcp::icmp::IcmpError;
use crate::tcp::outcome::PathNews;
use crate::wire::ethernet;
use crate::wire::icmp_error::{Cause, Quoted, Unreachable};

/// An error about a segment that was sent from one of our addresses.
#[derive(Clone, Copy)]
pub(super) struct Reported {
    pub key: Key,
    pub error: IcmpError,
}

impl Reported {
    /// What arrived at `local`, from which the quoted packet was sent: the quoted tuple is ours turned round.
    pub fn new(local: LocalIdx, cause: Cause, quoted: &Quoted) -> Reported {
        //= ICMPR-1
        let key = Key {
            remote: u32::from_be_bytes(quoted.destination),
            remote_port: quoted.ports.1,
            local_port: quoted.ports.0,
            local,
        };
        Reported { key, error: IcmpError { cause, seq: quoted.seq, len: quoted.len } }
    }
}

/// Our own packet in this frame could not be sent: what a router would report to its connection (RFC 1122
/// 3.3.1.6, 4.2.3.9). `None` for frames of which no connection needs to know.
pub(super) fn undelivered(locals: &Locals, frame: &[u8], why: Unreachable) -> Option<Reported> {
    let (_, packet) = ethernet::parse(frame)?;
    let quoted = Quoted::parse_v4(packet).ok()?;
    let local = locals.find_v4(quoted.source)?;
    Some(Reported::new(local, Cause::Unreachable(why), &quoted))
}

/// The connection whose segment is in this frame of ours.
pub(super) fn key_of(locals: &Locals, frame: &[u8]) -> Option<Key> {
    undelivered(locals, frame, Unreachable::Neighbour).map(|reported| reported.key)
}

impl Shard {
    /// An ICMP error. Records in TIME-WAIT and SYN cookies have nothing in flight, and so nothing to heed.
    pub(super) fn icmp_arrives<A: App>(&mut self, app: &mut A, reported: &Reported) {
        //= MUST-54
        let Some(Place::Connection(index)) = self.find(&reported.key) else {
            return self.drop_one(DropReason::IcmpNoConnection);
        };
        if self.slots.get_mut(index).is_some_and(|slot| slot.tcb.wants_recovery_on_timeout()) {
            // What is in flight may have to go again in more pieces than it was.
            self.lend_recovery(index);
        }
        let ctx = crate::tcp::Ctx { now: self.now, cfg: &self.cfg };
        let Some(slot) = self.slots.get_mut(index) else { return };
        let record = self.recoveries.get_mut(slot.recovery);
        let out = slot.tcb.icmp_arrives(&reported.error, record, ctx);
        self.carry_out(app, index, reported.key, &out, &[]);
    }

    /// Remembers and counts what became known of the path.
    pub(super) fn note_path(&mut self, key: &Key, news: PathNews) {
        let (counter, mtu) = match news {
            PathNews::Mtu(mtu) => (Counter::PathMtuChanged, Some(mtu)),
            PathNews::BlackHole(mtu) => (Counter::BlackHoles, Some(mtu)),
            PathNews::Held => (Counter::PathMtuHeld, None),
        };
        self.count(counter);
        if let Some(mtu) = mtu {
            self.path_mtus.note(key.remote, mtu, self.now);
        }
    }
}
