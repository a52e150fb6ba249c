//! What an application sees: callbacks of the [`App`] trait, and a connection in its hands as a [`Conn`].
//!
//! An application runs inside its shard's loop. It must not block, and it must not allocate after start. All
//! calls are answered at once; what they cause on the wire is paid at the end of the pass.

use std::net::SocketAddr;

use super::shard::Shard;

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
    /// Data or a FIN was not acknowledged within the user timeout (R2), or the peer never closed its side.
    TimedOut,
    /// Data arrived after the application had closed (RFC 9293 3.6.1, SHLD-3).
    DataAfterClose,
}

/// An application: what is told to it of connections. Each connection that was taken ends with exactly one
/// [`App::on_closed`].
pub trait App {
    /// A connection became ESTABLISHED.
    fn on_open(&mut self, conn: &mut Conn<'_>, listener: ListenerId) -> Accept;

    /// Bytes arrived in order. Returns how many of them (from the front) the application has taken. The rest
    /// is kept, closes the receive window as it grows, and is offered again, from its oldest byte, when more
    /// data or the peer's FIN arrives, after [`App::on_writable`] and after [`Conn::resume`]. At least 16 KiB
    /// of it, or all there is, are offered in one piece.
    fn on_data(&mut self, conn: &mut Conn<'_>, data: &[u8]) -> usize;

    /// The peer acknowledged data, so that [`Conn::send`] has room again.
    fn on_writable(&mut self, conn: &mut Conn<'_>);

    /// The peer has closed its direction, and all its data has been delivered (MUST-12: a FIN).
    fn on_peer_close(&mut self, conn: &mut Conn<'_>);

    /// The peer announced urgent data, or more of it (MUST-32). [`Conn::urgent`] says how much is left.
    fn on_urgent(&mut self, _conn: &mut Conn<'_>) {}

    /// The connection is over (MUST-12: [`CloseReason`] tells a FIN from a RST). `id` names nothing any more.
    fn on_closed(&mut self, id: ConnId, reason: CloseReason);
}

/// One connection, during a callback.
pub struct Conn<'a> {
    pub(super) shard: &'a mut Shard,
    pub(super) index: u32,
}

impl Conn<'_> {
    /// The connection's name.
    pub fn id(&self) -> ConnId {
        todo!()
    }

    /// The local address and port.
    pub fn local(&self) -> SocketAddr {
        todo!()
    }

    /// The remote address and port.
    pub fn remote(&self) -> SocketAddr {
        todo!()
    }

    /// Queues bytes to be sent; returns how many were taken. Fewer than given when the connection's send
    /// buffer (LIM-5) or the shard's memory is full; 0 after the sending direction was closed.
    pub fn send(&mut self, _data: &[u8]) -> usize {
        todo!()
    }

    /// Queues bytes that live for ever, without a copy. All are taken or none: false when 16 pieces are
    /// already queued, or 2^30 octets would be, or the sending direction was closed.
    #[must_use]
    pub fn send_static(&mut self, _data: &'static [u8]) -> bool {
        todo!()
    }

    /// True when the peer's FIN has arrived in order: nothing will be added to what the application has not
    /// taken yet.
    pub fn peer_closed(&self) -> bool {
        todo!()
    }

    /// Octets that [`Conn::send`] would take now.
    pub fn room(&self) -> usize {
        todo!()
    }

    /// Octets queued and not yet acknowledged.
    pub fn unacknowledged(&self) -> usize {
        todo!()
    }

    /// Sends small segments at once (true) or by Nagle's rule (false, the default; MUST-17).
    pub fn set_nodelay(&mut self, _nodelay: bool) {
        todo!()
    }

    /// Closes our direction: a FIN after what is queued. The peer may go on sending (half-close).
    pub fn shutdown(&mut self) {
        todo!()
    }

    /// Closes for good: a FIN after what is queued; whatever the peer still sends is acknowledged and thrown
    /// away. `on_data` and `on_peer_close` are not called any more.
    pub fn finish(&mut self) {
        todo!()
    }

    /// The CLOSE call with nobody left to read: as [`Conn::finish`], but data that is unread or arrives later
    /// is answered by a reset, so that the peer knows it was lost (RFC 9293 3.6.1, SHLD-3).
    pub fn close(&mut self) {
        todo!()
    }

    /// Resets the connection (the ABORT call).
    pub fn abort(&mut self) {
        todo!()
    }

    /// Asks for what [`App::on_data`] left to be offered again in this pass.
    pub fn resume(&mut self) {
        todo!()
    }

    /// Octets up to the end of urgent data that the application has not read yet; `None` when there is none
    /// (MUST-33).
    pub fn urgent(&self) -> Option<u32> {
        todo!()
    }
}
