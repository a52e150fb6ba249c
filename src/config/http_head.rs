//! The head of a GET (RFC 9112 3), as long as it is wanted.

use super::ConfigError;

/// Octets of a head at most: servers read no longer ones.
pub const LEN_MAX: usize = 8_192;

/// A header line that fills a head up, without its filling.
const PADDING: &str = "Padding: \r\n";

/// A head that can be filled up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// Without the empty line at its end.
    lines: String,
}

/// A GET of a path, which asks the server to close behind its response, or to keep the connection, as HTTP/1.1 does
/// by itself.
pub(super) fn get(path: &str, host: &str, close: bool) -> Head {
    let connection = if close { "Connection: close\r\n" } else { "" };
    let agent = concat!("User-Agent: dpdk-tcp/", env!("CARGO_PKG_VERSION"));
    Head { lines: format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{connection}{agent}") }
}

impl Head {
    /// As short as it can be.
    pub(super) fn len(&self) -> usize {
        self.lines.len() + 4
    }

    /// Exactly so many octets; `None` where that is too few or too many.
    pub(super) fn padded(self, len: usize) -> Option<Vec<u8>> {
        let missing = len.checked_sub(self.len()).filter(|_| len <= LEN_MAX.max(self.len()))?;
        let head = match missing.checked_sub(PADDING.len()) {
            Some(fill) => format!("{}\r\nPadding: {}\r\n\r\n", self.lines, "x".repeat(fill)),
            // Too little for a line of its own: the name of the program, which stands last, grows.
            None => format!("{}{}\r\n\r\n", self.lines, "x".repeat(missing)),
        };
        Some(head.into_bytes())
    }
}

/// Reads `--path`: begins with `/`; visible characters of ASCII.
///
/// # Errors
/// Not of that form.
pub fn path(text: &str) -> Result<String, ConfigError> {
    if text.starts_with('/') && is_visible(text) {
        return Ok(text.to_owned());
    }
    Err(ConfigError::Form { form: "a path of visible characters that begins with /", example: "/index.html" })
}

/// Reads `--host`: visible characters of ASCII.
///
/// # Errors
/// Not of that form.
pub fn host(text: &str) -> Result<String, ConfigError> {
    if !text.is_empty() && is_visible(text) {
        return Ok(text.to_owned());
    }
    Err(ConfigError::Form { form: "a host's name in visible characters", example: "www.example.org" })
}

fn is_visible(text: &str) -> bool {
    text.len() <= LEN_MAX / 2 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_has_every_length_from_its_own_on() {
        let head = get("/a?b", "example.org", false);
        let min = head.len();
        for len in min..min + 40 {
            let text = head.clone().padded(len).unwrap();
            assert_eq!(text.len(), len);
            let mut headers = [httparse::EMPTY_HEADER; 4];
            let mut request = httparse::Request::new(&mut headers);
            assert!(matches!(request.parse(&text), Ok(httparse::Status::Complete(used)) if used == len));
            assert_eq!((request.method, request.path), (Some("GET"), Some("/a?b")));
            assert_eq!((request.headers[0].name, request.headers[0].value), ("Host", &b"example.org"[..]));
        }
        assert_eq!((head.clone().padded(min - 1), head.clone().padded(LEN_MAX + 1)), (None, None));
        assert_eq!(head.padded(LEN_MAX).map(|text| text.len()), Some(LEN_MAX));
    }

    #[test]
    fn a_server_is_asked_to_close_or_not() {
        let text = |close| String::from_utf8(get("/", "h", close).padded(200).unwrap()).unwrap();
        assert!(text(true).contains("\r\nConnection: close\r\n") && !text(false).contains("Connection"));
    }

    #[test]
    fn paths_and_names_cannot_break_the_head() {
        assert_eq!(
            (path("/a/b?c=d"), host("example.org:8080")),
            (Ok("/a/b?c=d".into()), Ok("example.org:8080".into()))
        );
        for text in ["", "index.html", "/a b", "/a\r\nHost: x", "/\u{e4}"] {
            assert!(path(text).unwrap_err().to_string().contains("write it like /index.html"), "{text}");
        }
        for text in ["", "a b", "a\r\n"] {
            assert!(host(text).unwrap_err().to_string().contains("a host's name"), "{text}");
        }
    }
}
