//! Echo (RFC 862): what arrives goes back, octet for octet. What finds no room is left with the connection,
//! so that a peer that does not read closes its own window. Must not keep state of its own.

use crate::engine::api::Conn;

/// An answer to a short line must not wait for the acknowledgment of the line before (Nagle against delayed
/// ACKs), and the peer has already decided how the data is cut.
pub(super) fn on_open(conn: &mut Conn<'_>) {
    conn.set_nodelay(true);
}

/// Sends back as much as there is room for.
pub(super) fn on_data(conn: &mut Conn<'_>, data: &[u8]) -> usize {
    conn.send(data)
}

/// Everything was sent back: our FIN may follow it. Data that found no memory at all is lost, and a reset tells.
pub(super) fn on_peer_close(conn: &mut Conn<'_>) {
    if conn.unread() == 0 { conn.finish() } else { conn.abort() }
}
