//! Which version of HTTP a client speaks that agreed on none.

use tokio::{io::AsyncReadExt as _, net::TcpStream};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpVersion {
    One,
    Two,
}

/// How HTTP/2 with prior knowledge begins (RFC 9113, 3.4), as far as no other method does.
const PREFACE: &[u8; 14] = b"PRI * HTTP/2.0";

pub(crate) type Preface = [u8; PREFACE.len()];

/// Distinguishes HTTP/2 with prior knowledge from HTTP/1 by the `first` bytes. Mostly they are only peeked at; where
/// too few have come to decide, they are taken, so that the next ones, or the end, are noticed at once. Returns how
/// many were taken. The deadline is that of the first head: the ticker ends the connection.
pub(crate) async fn detect(stream: &mut TcpStream, first: &mut Preface) -> Option<(HttpVersion, usize)> {
    let seen = stream.peek(first).await.ok().filter(|seen| *seen > 0)?;
    if let Some(version) = tell(&first[..seen]) {
        return Some((version, 0));
    }
    let mut taken = 0;
    loop {
        // `P` alone can be a POST.
        taken += stream.read(&mut first[taken..]).await.ok().filter(|read| *read > 0)?;
        if let Some(version) = tell(&first[..taken]) {
            return Some((version, taken));
        }
    }
}

/// The version of a connection that begins with these bytes; None if more are needed.
fn tell(first: &[u8]) -> Option<HttpVersion> {
    if !PREFACE.starts_with(first) {
        return Some(HttpVersion::One);
    }
    (first.len() == PREFACE.len()).then_some(HttpVersion::Two)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_the_version() {
        for first in ["G", "GET / HTTP/1.1", "PO", "POST / HTTP/1.1", "PRI * HTTP/1.1", "\r\n", "p"] {
            assert_eq!(tell(first.as_bytes()), Some(HttpVersion::One), "{first}");
        }
        for first in ["P", "PR", "PRI * HTTP/2."] {
            assert_eq!(tell(first.as_bytes()), None, "{first}");
        }
        assert_eq!(tell(PREFACE), Some(HttpVersion::Two));
    }
}
