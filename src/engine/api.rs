//! What an application sees: callbacks of the [`App`] trait, and a connection in its hands as a [`Conn`].
//!
//! An application runs inside its shard's loop. It must not block, and it must not allocate after start. All
//! calls are answered at once; what they cause on the wire is paid at the end of the pass.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

pub use super::active::OpenError;
use super::entry::Form;
use super::shard::Shard;
use super::slot::{Origin, Owner};
use crate::base::time::Instant;
use crate::tcp::Ctx;
use crate::tcp::calls::{AfterClose, CallError};
pub use crate::tcp::outcome::{Soft, Unreachable};
pub use crate::tcp::settings::Settings;
pub use crate::tcp::state::State;
use crate::tcp::tcb::Tcb;

/// Names one connection of one shard for as long as it lives; a later connection in the same slot has another
/// generation. `index` is below [`Shard::slots`], so an application can keep its state in an array.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ConnId {
    /// The connection's slot.
    pub index: u32,
    /// Distinguishes the connections that used that slot, one after the other.
    pub generation: u32,
}

/// Names a listener of a shard, in the order in which they were added.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct ListenerId(pub u16);

/// What an application says to a connection that has become ESTABLISHED.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accept {
    /// It takes the connection.
    Take,
    /// Not now: the connection waits in the listener's accept queue and is offered again each pass.
    Later,
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// Both directions were closed and acknowledged.
    Finished,
    /// The peer reset it.
    Reset,
    /// The application, or the end of the program, aborted it.
    Aborted,
    /// The application abandoned it.
    Abandoned,
    /// Data or a FIN was not acknowledged within the user timeout (R2), or the peer never closed its side.
    TimedOut,
    /// The peer answered no keep-alive probe ([`Conn::set_keep_alive`]).
    Silent,
    /// Data arrived after the application had closed (RFC 9293 3.6.1, SHLD-3).
    DataAfterClose,
    /// An ICMP error says that the peer cannot be reached: it came before the connection was open and trying again
    /// is of no use, or nothing got through after it until time ran out (SHLD-26, ICMPR-5).
    Unreachable(Unreachable),
    /// The peer answered our SYN by a reset: nobody listens there.
    Refused,
}

/// Why a SYN could not leave our host.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Unsent {
    /// The device's pool had no frame.
    NoFrame,
    /// The device took no frames.
    TxFull,
}

/// An application: what is told to it of connections. Each connection that was taken or opened ends with exactly
/// one [`App::on_closed`].
pub trait App {
    /// Called once a pass, so that the application can open connections.
    fn poll(&mut self, _api: &mut Api<'_>) {}

    /// Something arrives soon for the connection with this [`ConnId::index`]: an application that keeps much can ask for
    /// the lines of it ([`crate::base::prefetch`]). Nothing may depend on it.
    fn expect(&self, _index: u32) {}

    /// The next connection that the application wants to be called back for now, if there is one; it must not name
    /// the same one again and again. Asked before [`App::poll`] until there is none, up to 256 times a pass, and for
    /// several before the first of them is called back.
    fn next_due(&mut self, _now: Instant) -> Option<ConnId> {
        None
    }

    /// The connection that [`App::next_due`] named, in whatever state it is. Not called when it is gone.
    fn on_due(&mut self, _conn: &mut Conn<'_>) {}

    /// A connection that the application opened became ESTABLISHED.
    fn on_connected(&mut self, _conn: &mut Conn<'_>) {}

    /// A connection became ESTABLISHED.
    fn on_open(&mut self, conn: &mut Conn<'_>, listener: ListenerId) -> Accept;

    /// Bytes arrived in order. Returns how many of them (from the front) the application has taken. The rest
    /// is kept, closes the receive window as it grows, and is offered again, from its oldest byte, when more
    /// data or the peer's FIN arrives, after [`App::on_writable`] and after [`Conn::resume`]. At least 16 KiB
    /// of it, or all there is, are offered in one piece.
    fn on_data(&mut self, conn: &mut Conn<'_>, data: &[u8]) -> usize;

    /// The peer acknowledged data, so that [`Conn::send`] has room again; or the shard has memory again for a
    /// connection to which it had to refuse some.
    fn on_writable(&mut self, conn: &mut Conn<'_>);

    /// The peer has closed its direction (MUST-12: a FIN), and all its data has been taken; or what is left
    /// ([`Conn::unread`]) was offered, nothing was taken, and nothing is under way that could make room.
    fn on_peer_close(&mut self, conn: &mut Conn<'_>);

    /// The peer announced urgent data, or more of it (MUST-32). [`Conn::urgent`] says how much is left.
    fn on_urgent(&mut self, _conn: &mut Conn<'_>) {}

    /// The connection is in trouble, and goes on all the same (MUST-47, SHLD-9, SHLD-25): the ERROR report of RFC
    /// 9293 3.9.1.8. Also told while the application opens the connection.
    fn on_trouble(&mut self, _conn: &mut Conn<'_>, _trouble: Soft) {}

    /// The program ends soon: what is open should be brought to an end. The default finishes at once.
    fn on_drain(&mut self, conn: &mut Conn<'_>) {
        conn.finish();
    }

    /// The connection is over (MUST-12: [`CloseReason`] tells a FIN from a RST). `id` names nothing any more.
    fn on_closed(&mut self, id: ConnId, reason: CloseReason);
}

/// The shard, while the application is polled.
pub struct Api<'a> {
    pub(super) shard: &'a mut Shard,
}

impl Api<'_> {
    /// The time of this pass.
    pub fn now(&self) -> Instant {
        self.shard.now
    }

    /// Connections now, half-open ones included, TIME-WAIT not.
    pub fn connections(&self) -> u32 {
        self.shard.connections()
    }

    /// Opens a connection (the OPEN call, active). Without a local address the one next to the remote address is
    /// taken (MUST-44), without a local port a free one is chosen (RFC 6056). [`App::on_connected`] or
    /// [`App::on_closed`] follows.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing was sent then.
    pub fn open(
        &mut self,
        local: Option<IpAddr>,
        local_port: Option<u16>,
        remote: SocketAddr,
    ) -> Result<ConnId, OpenError> {
        self.shard.open_active(local, local_port, remote, None)
    }

    /// Frames that this pass received from ports which had as many as were asked for, at least 32, and may have more: who
    /// opens connections then, faster than what comes for them is worked on, makes the device lose frames. 0 where none had.
    pub fn backlog(&self) -> u32 {
        self.shard.backlog
    }

    /// Connections between these endpoints, a local and a remote one each, will be opened soon: what that will look at can be
    /// fetched meanwhile. Nothing depends on it.
    pub fn expect(&self, pairs: impl Iterator<Item = (SocketAddr, SocketAddr)>) {
        self.shard.expect_open(pairs);
    }

    /// As [`Api::open`], with settings of its own.
    ///
    /// # Errors
    /// See [`OpenError`]; nothing was sent then.
    pub fn open_with(
        &mut self,
        local: Option<IpAddr>,
        local_port: Option<u16>,
        remote: SocketAddr,
        settings: Settings,
    ) -> Result<ConnId, OpenError> {
        self.shard.open_active(local, local_port, remote, Some(settings))
    }
}

/// One connection, during a callback.
pub struct Conn<'a> {
    pub(super) shard: &'a mut Shard,
    pub(super) index: u32,
}

impl Conn<'_> {
    /// The connection's name.
    pub fn id(&self) -> ConnId {
        let generation = self.shard.slots.generation(self.index).unwrap_or(0);
        ConnId { index: self.index, generation }
    }

    /// The time of this pass.
    pub fn now(&self) -> Instant {
        self.shard.now
    }

    /// The listener that the connection came through; `None` if the application opened it.
    pub fn listener(&self) -> Option<ListenerId> {
        match self.shard.slots.origin(self.index)? {
            Origin::Listener(listener) => Some(listener),
            Origin::Active => None,
        }
    }

    /// The connection's state (the STATUS call, CALL-7).
    pub fn state(&self) -> State {
        self.shard.slots.state(self.index).unwrap_or(State::Closed)
    }

    /// The local address and port.
    pub fn local(&self) -> SocketAddr {
        let key = self.shard.slots.key(self.index);
        let (ip, port) = key.map_or((IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), |key| {
            (self.shard.local_addr(key.local), key.local_port)
        });
        SocketAddr::new(ip, port)
    }

    /// The remote address and port.
    pub fn remote(&self) -> SocketAddr {
        let (ip, port) = self.shard.slots.key(self.index).map_or((0, 0), |key| (key.remote, key.remote_port));
        SocketAddr::new(IpAddr::V4(ip.into()), port)
    }

    /// Queues bytes to be sent; returns how many were taken. Fewer than given when the connection's send
    /// buffer (LIM-5) or the shard's memory is full; 0 after the sending direction was closed.
    pub fn send(&mut self, data: &[u8]) -> usize {
        let fits = data.len().min(self.room());
        let shard = &mut *self.shard;
        // Fewer than all is told to those who feed the starved.
        if fits == data.len()
            && let Some((entry, ..)) = shard.slots.resting(self.index)
            && entry.queue_copy(&mut shard.pool, data)
        {
            return fits;
        }
        self.queue(data, Tcb::send)
    }

    /// As [`Conn::send`], and the peer is told that what was taken is urgent, even through a closed window. The mark
    /// is one place in the stream, not a message of its own; new applications should not use it (SHLD-13, RFC 6093).
    pub fn send_urgent(&mut self, data: &[u8]) -> usize {
        //= MUST-30
        self.queue(data, Tcb::send_urgent)
    }

    fn queue(&mut self, data: &[u8], send: fn(&mut Tcb, u32) -> Result<(), CallError>) -> usize {
        let wanted = data.len().min(self.own_room());
        let fits = data.len().min(self.room());
        let shard = &mut *self.shard;
        let Some(slot) = shard.slots.get_mut(self.index) else {
            shard.starve(self.index);
            return 0;
        };
        let taken = shard.pool.push(&mut slot.outgoing, data.get(..fits).unwrap_or_default());
        if taken < wanted {
            shard.starve(self.index);
        }
        let Some(slot) = shard.slots.get_mut(self.index) else { return 0 };
        match send(&mut slot.tcb, taken as u32) {
            Ok(()) => taken,
            // Not reached: room() is 0 whenever the call is refused.
            Err(_) => 0,
        }
    }

    /// Queues bytes that live for ever, without a copy. All are taken or none: false when 16 pieces are
    /// already queued, or 2^30 octets would be, or the sending direction was closed.
    #[must_use]
    pub fn send_static(&mut self, data: &'static [u8]) -> bool {
        let Ok(len) = u32::try_from(data.len()) else { return false };
        let shard = &mut *self.shard;
        if let Some((entry, ..)) = shard.slots.resting(self.index)
            && entry.queue_static(&mut shard.pool, data)
        {
            return true;
        }
        let Some(slot) = shard.slots.get_mut(self.index) else {
            shard.starve(self.index);
            return false;
        };
        if !slot.tcb.may_send(len) {
            return false;
        }
        if shard.pool.push_static(&mut slot.outgoing, data) {
            return slot.tcb.send(len).is_ok();
        }
        if shard.pool.free_chunks() == 0 {
            shard.starve(self.index);
        }
        false
    }

    /// Queues bytes that the application shares, without a copy: a frame of its own, which is its own again (the only
    /// share) when all of it was acknowledged or the connection has ended. All are taken or none: false when the
    /// send buffer (LIM-5) is full, 64 pieces are already queued, or the sending direction was closed; what is larger
    /// than the send buffer is taken when nothing is queued.
    #[must_use]
    pub fn send_shared(&mut self, data: &Arc<[u8]>) -> bool {
        //= LIM-5
        let room = self.own_room();
        let shard = &mut *self.shard;
        let Some(slot) = shard.slots.get_mut(self.index) else {
            shard.starve(self.index);
            return false;
        };
        let Ok(len) = u32::try_from(data.len()) else { return false };
        if !slot.tcb.may_send(len) || (data.len() > room && !slot.outgoing.is_empty()) {
            return false;
        }
        if shard.pool.push_shared(&mut slot.outgoing, data.clone()) {
            return slot.tcb.send(len).is_ok();
        }
        if shard.pool.free_chunks() == 0 {
            shard.starve(self.index);
        }
        false
    }

    /// True when the peer's FIN has arrived in order: nothing will be added to what the application has not
    /// taken yet.
    pub fn peer_closed(&self) -> bool {
        self.shard.slots.peer_closed(self.index)
    }

    /// Octets that [`Conn::send`] would take now.
    pub fn room(&self) -> usize {
        //= LIM-5
        //= ATK-12
        let queued = self.shard.slots.outgoing(self.index).copied();
        self.own_room().min(self.shard.share_left(queued))
    }

    /// What the connection's own limits leave.
    fn own_room(&self) -> usize {
        let slots = &self.shard.slots;
        if !slots.may_send(self.index) {
            return 0;
        }
        let limit = slots.settings(self.index).send_buffer.unwrap_or(self.shard.limits.send_buffer);
        limit.saturating_sub(slots.outgoing(self.index).len()) as usize
    }

    /// Octets queued and not yet acknowledged.
    pub fn unacknowledged(&self) -> usize {
        self.shard.slots.outgoing(self.index).len() as usize
    }

    /// Octets that were offered and not taken.
    pub fn unread(&self) -> usize {
        self.shard.slots.unread(self.index) as usize
    }

    /// Closes our direction: a FIN after what is queued. The peer may go on sending (half-close).
    pub fn shutdown(&mut self) {
        //= MAY-1
        self.close_with(AfterClose::Deliver);
    }

    /// Closes for good: a FIN after what is queued; whatever the peer still sends is acknowledged and thrown
    /// away. `on_data` and `on_peer_close` are not called any more.
    pub fn finish(&mut self) {
        self.close_with(AfterClose::Discard);
    }

    /// The CLOSE call with nobody left to read: as [`Conn::finish`], but data that is unread or arrives later
    /// is answered by a reset, so that the peer knows it was lost (RFC 9293 3.6.1, SHLD-3).
    pub fn close(&mut self) {
        //= SHLD-3
        if self.shard.slots.unread(self.index) > 0 {
            return self.abort();
        }
        self.close_with(AfterClose::Reset);
    }

    fn close_with(&mut self, after: AfterClose) {
        let shard = &mut *self.shard;
        if let Some((entry, ..)) = shard.slots.resting(self.index)
            && entry.brief.close(after)
        {
            if after != AfterClose::Deliver && entry.bits.owner() == Owner::Taken {
                Form::Rests(entry).set_owner(Owner::Finished);
                shard.note_closing(self.index);
            }
            return;
        }
        let ctx = Ctx { now: shard.now, cfg: &shard.cfg };
        // Without a place for what a close has to remember, the connection is reset.
        let Some(slot) = shard.slots.get_mut(self.index) else { return self.abort() };
        // A second CLOSE is no error here (CALL-5): the application may not know that the peer was faster.
        let _ = slot.tcb.close(after, ctx);
        if after != AfterClose::Deliver {
            shard.pool.clear(&mut slot.incoming);
            slot.tcb.set_held(0);
            if slot.owner == Owner::Taken {
                slot.owner = Owner::Finished;
                shard.note_closing(self.index);
            }
        }
    }

    /// Resets the connection (the ABORT call).
    pub fn abort(&mut self) {
        //= CALL-6
        let shard = &mut *self.shard;
        let ctx = Ctx { now: shard.now, cfg: &shard.cfg };
        let Some(slot) = shard.slots.get_mut_to_end(self.index) else { return };
        shard.pool.clear(&mut slot.incoming);
        slot.peer_closed = false;
        let (key, ip) = (slot.key, slot.tcb.settings().ip);
        let (reset, _) = slot.tcb.abort(ctx);
        if let Some(reset) = reset {
            shard.tell(key, reset, ip);
        }
    }

    /// Asks for what [`App::on_data`] left to be offered again in this pass.
    pub fn resume(&mut self) {
        if let Some(slot) = self.shard.slots.get_mut(self.index) {
            slot.resume = true;
        }
    }

    /// Octets up to the end of urgent data that the application has not read yet; `None` when there is none
    /// (MUST-33).
    pub fn urgent(&self) -> Option<u32> {
        self.shard.slots.awake(self.index).and_then(|slot| slot.tcb.urgent())
    }
}
