//! Character generator (RFC 864): lines of 72 printable characters, each line one character further, until
//! the peer closes; what arrives is thrown away. The text is one static cycle that is queued without a copy,
//! again and again, so a connection needs neither memory nor state.

use crate::engine::api::Conn;

/// Printable ASCII characters, the space included.
const CHARACTERS: usize = 95;
/// Characters in a line, without its CR and LF.
const LINE: usize = 72;
/// Octets after which the text repeats: a line for each character to begin with.
const CYCLE_LEN: usize = CHARACTERS * (LINE + 2);

/// The whole text. It begins with the line that begins with a space, as in the RFC's example.
pub static CYCLE: [u8; CYCLE_LEN] = cycle();

const fn cycle() -> [u8; CYCLE_LEN] {
    let mut text = [0; CYCLE_LEN];
    let mut line = 0;
    while line < CHARACTERS {
        let start = line * (LINE + 2);
        let mut column = 0;
        while column < LINE {
            text[start + column] = b' ' + ((line + column) % CHARACTERS) as u8;
            column += 1;
        }
        text[start + LINE] = b'\r';
        text[start + LINE + 1] = b'\n';
        line += 1;
    }
    text
}

/// Queues whole cycles until the connection takes no more: 16 pieces, 112 KB, are ahead of the peer at most.
pub(super) fn generate(conn: &mut Conn<'_>) {
    while conn.send_static(&CYCLE) {}
}

/// Takes everything.
pub(super) fn on_data(data: &[u8]) -> usize {
    data.len()
}

/// A peer that closes wants no more: our FIN follows what is queued.
pub(super) fn on_peer_close(conn: &mut Conn<'_>) {
    conn.finish();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_72_characters_and_each_begins_one_character_later() {
        let text = std::str::from_utf8(&CYCLE).unwrap();
        let lines: Vec<&str> = text.split_terminator("\r\n").collect();
        assert_eq!(lines.len(), 95);
        assert_eq!(lines[0], " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg");
        for (n, line) in lines.iter().enumerate() {
            assert_eq!(line.len(), 72);
            let next = lines[(n + 1) % 95];
            assert_eq!(line[1..], next[..71], "line {n}");
        }
        assert_eq!(lines[94].as_bytes()[0], b'~');
    }
}
