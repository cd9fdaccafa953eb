//! Whether the heads that a client sends over HTTP/1 are framed beyond doubt (RFC 9112, 2.2 and 6.3). hyper takes lines
//! that end in LF alone, and lets chunks win over a length beside them without saying so; what reads the same bytes
//! otherwise, a proxy before the gateway perhaps, would see other requests.

/// As much of a line is looked at: the name and value of what frames a body fit in.
const LINE: usize = 64;

const CHUNKS: &[u8] = b"transfer-encoding";
const LENGTH: &[u8] = b"content-length";

/// Follows the requests of one connection.
#[derive(Debug, Default)]
pub(super) struct Framed {
    place: Place,
    /// How the line began whose end has not come, and the last byte of it.
    begun: Vec<u8>,
    last: Option<u8>,
    /// There was more of it than is kept.
    cut: bool,
    /// What was seen of the head so far.
    has_line: bool,
    chunks: bool,
    length: Option<u64>,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Head,
    /// So many bytes of a body are still to come.
    Body(u64),
    /// Nothing is answered after this.
    Over,
}

impl Framed {
    /// Takes what was read next. Returns whether a head that ends or goes on in it is in doubt.
    pub(super) fn is_in_doubt(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match &mut self.place {
                Place::Over => return false,
                Place::Body(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    bytes = &bytes[taken..];
                    *left -= taken as u64;
                    if *left == 0 {
                        self.place = Place::Head;
                    }
                }
                Place::Head => {
                    let Some(end) = memchr::memchr(b'\n', bytes) else {
                        self.keep(bytes);
                        return false;
                    };
                    if self.line(&bytes[..end]) {
                        self.place = Place::Over;
                        return true;
                    }
                    bytes = &bytes[end + 1..];
                }
            }
        }
        false
    }

    /// Keeps what is needed of a line whose end has not come.
    fn keep(&mut self, part: &[u8]) {
        let room = LINE.saturating_sub(self.begun.len()).min(part.len());
        self.begun.extend_from_slice(&part[..room]);
        self.cut |= room < part.len();
        self.last = part.last().copied().or(self.last);
    }

    /// Reads a line, without its LF. Returns whether the head is in doubt.
    fn line(&mut self, rest: &[u8]) -> bool {
        if rest.last().copied().or(self.last) != Some(b'\r') {
            return true;
        }
        if self.begun.is_empty() {
            return self.read(rest, rest.len() > LINE);
        }
        self.keep(rest);
        let line = std::mem::take(&mut self.begun);
        self.last = None;
        let cut = std::mem::take(&mut self.cut);
        self.read(&line, cut)
    }

    /// Reads a line that ends in CRLF, of which the value may be `cut`. Returns whether the head is in doubt.
    fn read(&mut self, line: &[u8], cut: bool) -> bool {
        if line == b"\r" {
            // Empty lines may come before a request.
            return std::mem::take(&mut self.has_line) && self.end();
        }
        self.has_line = true;
        if !matches!(line[0] | 0x20, b't' | b'c') {
            return false;
        }
        let Some(colon) = memchr::memchr(b':', line) else { return false };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.eq_ignore_ascii_case(CHUNKS) {
            self.chunks = true;
        } else if name.eq_ignore_ascii_case(LENGTH) {
            let number = std::str::from_utf8(value.trim_ascii()).ok().and_then(|text| text.parse().ok());
            // What is no number hyper refuses.
            self.length = Some(number.unwrap_or(u64::MAX));
        } else {
            return false;
        }
        // Where the body ends, and what is a head behind it, is not known without all of the value.
        cut
    }

    fn end(&mut self) -> bool {
        let (chunks, length) = (std::mem::take(&mut self.chunks), self.length.take());
        self.place = match length {
            // The last request of its connection.
            _ if chunks => Place::Over,
            Some(length) if length > 0 => Place::Body(length),
            _ => Place::Head,
        };
        chunks && length.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_read_otherwise_is_in_doubt_wherever_it_is_cut() {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for (text, wanted) in [
            (get.to_owned(), false),
            (format!("\r\n{get}{get}"), false),
            (format!("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\na\nb\n{get}"), false),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\na\n0\n\n".to_owned(), false),
            (format!("GET / HTTP/1.1\r\nX-Long: {}\r\n\r\n", "x".repeat(200)), false),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n".to_owned(), true),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n".to_owned(), true),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n".to_owned(), true),
            (format!("{get}GET / HTTP/1.1\r\nHost: a\n\n"), true),
            (format!("POST / HTTP/1.1\r\nContent-Length: {}4\r\n\r\na\nb\n", "0".repeat(60)), true),
            (format!("POST / HTTP/1.1\r\nContent-Length:{}4\r\n\r\nabcdGET /\n\n", " ".repeat(60)), true),
            (format!("POST / HTTP/1.1\r\nTransfer-Encoding: {}chunked\r\n\r\n", " ".repeat(60)), true),
            ("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\na\nb\nGET / HTTP/1.1\n\n".to_owned(), true),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), true),
            ("POST / HTTP/1.1\r\ntransfer-encoding:x\r\nCONTENT-LENGTH:0\r\n\r\n".to_owned(), true),
        ] {
            for size in 1..=text.len() {
                let mut framed = Framed::default();
                let found = text.as_bytes().chunks(size).any(|piece| framed.is_in_doubt(piece));
                assert_eq!(found, wanted, "{size} {text:?}");
            }
        }
    }
}
