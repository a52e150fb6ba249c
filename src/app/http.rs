//! HTTP/1.1 and 1.0 (RFC 9110, RFC 9112) as far as a test of connections needs it: GET and HEAD are answered
//! with a prepared body, requests may be pipelined and cut anywhere, and the connection is kept or closed as
//! both versions say. An incomplete head is left with the connection, so that no buffer is needed here; all
//! that is remembered is how much content is still to be thrown away.

pub mod request;
pub mod responses;

#[cfg(test)]
mod tests;

use crate::engine::api::Conn;
use request::{Answer, Reuse};
use responses::Responses;

/// Why [`HttpConn::consume`] stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum End {
    /// More bytes are needed.
    Wait,
    /// An answer found no room; its request is left.
    NoRoom,
    /// The last answer closes the connection; what follows is of no interest.
    Close,
}

/// Whether connections may be kept after an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mode {
    /// As the client wishes.
    #[default]
    Serving,
    /// The program ends soon: none is kept.
    Draining,
}

/// What is remembered of one connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HttpConn {
    /// Octets of the last request's content that have not come yet.
    content_left: u64,
}

impl HttpConn {
    /// Takes whole requests from the front of `data` and has each one answered by `respond`, which says
    /// whether it could. Returns how many bytes were taken, and why no more. With `Mode::Draining` the first
    /// answer closes the connection.
    pub fn consume(
        &mut self,
        data: &[u8],
        mode: Mode,
        mut respond: impl FnMut(Answer) -> bool,
    ) -> (usize, End) {
        let mut rest = data;
        let end = loop {
            rest = skip_empty_lines(self.skip_content(rest));
            let Some(mut decision) = request::decide(rest) else { break End::Wait };
            if mode == Mode::Draining {
                decision.answer.reuse = Reuse::Close;
            }
            if !respond(decision.answer) {
                break End::NoRoom;
            }
            if decision.answer.reuse == Reuse::Close {
                rest = &[];
                break End::Close;
            }
            self.content_left = decision.content_len;
            rest = rest.get(decision.head_len..).unwrap_or_default();
        };
        (data.len() - rest.len(), end)
    }

    fn skip_content<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        let skipped = usize::try_from(self.content_left).unwrap_or(usize::MAX).min(data.len());
        self.content_left -= skipped as u64;
        data.get(skipped..).unwrap_or_default()
    }
}

/// Empty lines before a request do no harm (RFC 9112 2.2). Half of one is left.
fn skip_empty_lines(mut data: &[u8]) -> &[u8] {
    while let [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] = data {
        data = rest;
    }
    data
}

/// The end of an answer must not wait for the acknowledgment of the answer before (Nagle against delayed
/// ACKs).
pub(super) fn on_open(conn: &mut Conn<'_>) {
    conn.set_nodelay(true);
}

/// Answers what can be answered; calls `answered` for each answer that was queued.
pub(super) fn on_data(
    conn: &mut Conn<'_>,
    state: &mut HttpConn,
    (mode, responses): (Mode, &Responses),
    data: &[u8],
    mut answered: impl FnMut(Answer),
) -> usize {
    let (taken, end) = state.consume(data, mode, |answer| {
        let queued = conn.send_static(responses.bytes(answer));
        if queued {
            answered(answer);
        }
        queued
    });
    match end {
        // The rest of a request cannot come any more, and nobody waits for its answer. Only where nothing was
        // taken is it certain that all there is was offered: a head without an end is shorter than an offer.
        End::Wait if conn.peer_closed() && taken == 0 => {
            conn.finish();
            data.len()
        }
        End::Wait if conn.peer_closed() && taken < data.len() => {
            conn.resume();
            taken
        }
        End::Close => {
            conn.finish();
            taken
        }
        End::Wait | End::NoRoom => taken,
    }
}

/// Every request was answered before this is called.
pub(super) fn on_peer_close(conn: &mut Conn<'_>) {
    conn.finish();
}

/// The program ends: a connection between two requests is closed, any other after its next answer or when the
/// answer that is on its way has arrived.
pub(super) fn on_drain(conn: &mut Conn<'_>) {
    if conn.unread() == 0 && conn.unacknowledged() == 0 {
        conn.finish();
    }
}
