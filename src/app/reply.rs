//! Reply: the first data of a connection is answered by a text of a fixed size and our FIN, in one segment where they
//! fit into one; whatever else comes is thrown away until the peer closes. The shortest useful conversation, for
//! measuring connections. Must not keep state of its own.

use super::chargen;
use crate::engine::api::Conn;

/// The size of the answer, in octets, where nothing else is asked for.
pub(super) const LEN: usize = 256;

/// An answer of `len` octets: an HTTP response whose content fills them, or plain characters where there is no room
/// for its head.
pub fn text(len: usize) -> Vec<u8> {
    let mut text = head(len).unwrap_or_default();
    let characters = chargen::CYCLE.iter().copied().cycle();
    text.extend(characters.take(len.saturating_sub(text.len())));
    text
}

/// The head of a response that has `len` octets in all, if it has room.
fn head(len: usize) -> Option<Vec<u8>> {
    const BEGIN: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: ";
    const END: &str = "\r\n\r\n";
    let room = len.checked_sub(BEGIN.len() + END.len())?;
    // A content of 10 octets has no length of one digit, and one of 9 none of two but with a zero before it.
    let (digits, content) = (1..=room).find_map(|digits| {
        let content = room - digits;
        let fits =
            u32::try_from(digits).ok().and_then(|n| 10usize.checked_pow(n)).is_none_or(|end| content < end);
        fits.then_some((digits, content))
    })?;
    Some(format!("{BEGIN}{content:0digits$}{END}").into_bytes())
}

/// The first data: the answer and the end. What is not queued for want of memory is tried again.
pub(super) fn on_data(conn: &mut Conn<'_>, answer: &'static [u8], data: &[u8]) -> usize {
    if !conn.send_static(answer) {
        return 0;
    }
    conn.finish();
    data.len()
}

/// The peer has asked nothing; there is nothing to answer.
pub(super) fn on_peer_close(conn: &mut Conn<'_>) {
    conn.finish();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_is_met_and_from_the_least_on_that_has_room_it_is_a_whole_response() {
        let mut plain = 0;
        for len in (0..2_000).chain([9_999, 10_059, 10_060, 65_535, 65_536]) {
            let text = text(len);
            assert_eq!(text.len(), len);
            let text = std::str::from_utf8(&text).unwrap();
            let Some((head, content)) = text.split_once("\r\n\r\n") else {
                plain = len;
                continue;
            };
            let mut lines = head.lines();
            assert_eq!(lines.next(), Some("HTTP/1.1 200 OK"));
            assert_eq!(lines.next(), Some("Connection: close"));
            let length = lines.next().and_then(|line| line.strip_prefix("Content-Length: ")).unwrap();
            assert_eq!(length.parse(), Ok(content.len()), "{len}: {head}");
        }
        assert_eq!(plain, 56, "56 octets and a digit are the least");
        assert_eq!(text(3), b" !\"");
    }
}
