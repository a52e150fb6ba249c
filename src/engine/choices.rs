//! What an application may ask of a connection besides its bytes: its status, and its settings while it lives
//! (RFC 9293 3.9.1.6 to 3.9.1.9).

use std::num::NonZeroU8;

use super::api::{Conn, Unreachable, Unsent};
use super::slot::{Origin, Syn};
use crate::tcp::Ctx;
use crate::tcp::congestion::Algorithm;
use crate::tcp::settings::{Dscp, ForIp, KeepAlive, UserTimeout};
use crate::tcp::status::Status;
use crate::tcp::tcb::Tcb;

impl Conn<'_> {
    /// The connection as it is now (the STATUS call); `None` when it is gone.
    pub fn status(&self) -> Option<Status> {
        let slot = self.shard.slots.seen(self.index)?;
        Some(slot.tcb.status(self.shard.ctx()))
    }

    /// The last trouble on the way to the peer since something was acknowledged: what an ICMP error said, or that the
    /// next hop's MAC address was not found. `None` when there was none, or the connection is gone.
    pub fn soft_error(&self) -> Option<Unreachable> {
        self.shard.slots.seen(self.index)?.soft_error()
    }

    /// Why the SYN of a connection that is being opened has not left the host yet, once it should have. `None` when it
    /// has left, when it waits for the next hop's MAC address ([`Conn::soft_error`] says so), and for connections
    /// that are open or came through a listener.
    pub fn unsent(&self) -> Option<Unsent> {
        let slot = self.shard.slots.seen(self.index)?;
        if slot.origin != Origin::Active || !slot.opens() {
            return None;
        }
        let interface = usize::from(self.shard.locals.get(slot.key.local).interface);
        match slot.syn {
            Syn::Due | Syn::WithoutNeighbour => None,
            Syn::Kept(why) => Some(why),
            Syn::Queued(number) => {
                let left = self.shard.frames_left.get(interface).copied().unwrap_or(0);
                let waits = (left.wrapping_sub(number) as i32) <= 0;
                waits.then_some(Unsent::TxFull)
            }
        }
    }

    /// Something that it owes its peer, an ACK perhaps, has not been built yet: it is paid at the end of a pass, in which
    /// there may be no room for all.
    pub fn owes(&self) -> bool {
        self.shard.slots.owes(self.index)
    }

    fn set(&mut self, set: impl FnOnce(&mut Tcb, Ctx<'_>)) {
        let shard = &mut *self.shard;
        let ctx = Ctx { now: shard.now, cfg: &shard.cfg };
        if let Some(slot) = shard.slots.get_mut(self.index) {
            set(&mut slot.tcb, ctx);
        }
    }

    /// Sends small segments at once (true) or by Nagle's rule (false, the default; MUST-17).
    pub fn set_nodelay(&mut self, nodelay: bool) {
        self.set(|tcb, _| tcb.set_nodelay(nodelay));
    }

    /// Holds back what does not fill a segment (true), until the cork is taken out (false), which sends what is
    /// queued, or for 200 ms at most (NAG-5).
    pub fn set_cork(&mut self, corked: bool) {
        self.set(|tcb, _| tcb.set_cork(corked));
    }

    /// Switches keep-alive on, with its intervals, or off (`None`, the default; MUST-24, MUST-27).
    pub fn set_keep_alive(&mut self, keep_alive: Option<KeepAlive>) {
        self.set(|tcb, ctx| tcb.set_keep_alive(keep_alive, ctx));
    }

    /// Sets the user timeout (R2, MUST-21); `None` is the stack's own.
    pub fn set_user_timeout(&mut self, timeout: Option<UserTimeout>) {
        self.set(|tcb, ctx| tcb.set_user_timeout(timeout, ctx));
    }

    /// Sets the Diffserv field of what is sent from now on (MUST-48, SHLD-21). It should not be changed often: packets
    /// of different classes overtake one another (SHLD-23). The bits of ECN are not touched.
    pub fn set_dscp(&mut self, dscp: Dscp) {
        //= MUST-48
        self.set(|tcb, _| tcb.set_for_ip(ForIp { dscp, ..tcb.settings().ip }));
    }

    /// Sets the time to live of what is sent from now on (MUST-49).
    pub fn set_ttl(&mut self, ttl: NonZeroU8) {
        //= MUST-49
        self.set(|tcb, _| tcb.set_for_ip(ForIp { ttl, ..tcb.settings().ip }));
    }

    /// Sets how the congestion window grows, from the next time on that the connection begins to send.
    pub fn set_congestion(&mut self, algorithm: Algorithm) {
        self.set(|tcb, _| tcb.set_congestion(algorithm));
    }

    /// Switches [`super::api::App::on_trouble`] for this connection (SHLD-20); on by default.
    pub fn set_reports(&mut self, reports: bool) {
        self.set(|tcb, _| tcb.set_reports(reports));
    }

    /// Sets how many octets the connection may hold for the application, within what the window scale agreed at the
    /// beginning can offer. A window that was offered stays offered.
    pub fn set_receive_buffer(&mut self, octets: u32) {
        self.set(|tcb, _| tcb.set_receive_buffer(octets));
    }

    /// Sets how many octets [`Conn::send`] may queue. What is queued already stays.
    pub fn set_send_buffer(&mut self, octets: u32) {
        self.set(|tcb, _| tcb.set_send_buffer(octets));
    }
}
