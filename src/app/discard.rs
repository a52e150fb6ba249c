//! Discard (RFC 863): what arrives is thrown away, nothing is ever sent. Must not keep state of its own.

use crate::engine::api::Conn;

/// Takes everything.
pub(super) fn on_data(data: &[u8]) -> usize {
    data.len()
}

/// The peer has said everything; there is nothing to answer.
pub(super) fn on_peer_close(conn: &mut Conn<'_>) {
    conn.finish();
}
