//! Heads on the wire: writing a request's, reading an answer's.

use aivonx_fleet::Endpoint;
use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use smallvec::SmallVec;

use super::{Outgoing, framing::Framing};
use crate::headers::{to_client, to_node};

/// Largest head of an answer.
pub(super) const LARGEST: usize = 64 << 10;

/// Most fields in the head of an answer.
const FIELDS: usize = 100;

/// Fields of an answer that may reach a client.
const KEPT: usize = 4;

/// Fields that the gateway mostly adds to them.
const ADDED: usize = 8;

/// Most interim answers before the real one: a node sends one or two, an endless row of them keeps a thread busy.
const INTERIM: u8 = 16;

/// Appends the request's head as bytes.
pub(super) fn write(request: &Outgoing<'_>, endpoint: &Endpoint, out: &mut Vec<u8>) {
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(endpoint.prefix.as_bytes());
    out.extend_from_slice(request.path.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    to_node(request.client, request.received, endpoint, request.request_id, request.form, out);
    let length: usize = request.body.iter().map(bytes::Bytes::len).sum();
    if let Some(socket) = request.socket {
        return socket.write(out);
    }
    out.extend_from_slice(b"content-length: ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n\r\n");
}

/// The head of an answer.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) framing: Framing,
    /// The connection can serve another request after this answer.
    pub(super) keep: bool,
    /// The body is compressed, or coded otherwise, although that was not asked for.
    pub(super) coded: bool,
}

/// What is known of an answer before its head.
#[derive(Debug, Default)]
pub(super) struct Interim {
    /// Interim (1xx) answers that it has had.
    seen: u8,
    /// A websocket was asked for.
    switches: bool,
}

impl Interim {
    /// Of the answer to a request that asks for a websocket, or does not.
    pub(super) fn new(switches: bool) -> Self {
        Self { seen: 0, switches }
    }
}

/// Takes a head off the beginning of `buffer`, passing over interim answers and leaving out the fields that must not
/// reach a client. None if it is not complete yet; `interim` is to be kept until it is.
///
/// # Errors
/// What is not HTTP about it.
pub(super) fn read(buffer: &mut BytesMut, interim: &mut Interim) -> Result<Option<Head>, &'static str> {
    loop {
        if buffer.is_empty() {
            return Ok(None);
        }
        let mut fields = [const { std::mem::MaybeUninit::uninit() }; FIELDS];
        let mut parsed = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let length = match config.parse_response_with_uninit_headers(&mut parsed, buffer, &mut fields) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if buffer.len() > LARGEST => return Err("its head is too large"),
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err("its head has too many fields"),
            Err(_) => return Err("its head cannot be parsed"),
        };
        let code = parsed.code.unwrap_or_default();
        if code == 101 && !interim.switches {
            return Err("it switches protocols unasked");
        }
        if (100..200).contains(&code) && code != 101 {
            interim.seen += 1;
            if interim.seen > INTERIM {
                return Err("it sends interim answers without end");
            }
            buffer.advance(length);
            continue;
        }
        let status = StatusCode::from_u16(code).map_err(|_| "its status is no status")?;
        let one_one = parsed.version == Some(1);
        let base = buffer.as_ptr().addr();
        let mut hop = Hop::default();
        let mut kept: SmallVec<[(HeaderName, _); KEPT]> = SmallVec::new();
        for field in parsed.headers.iter() {
            let name =
                HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| "a field name is malformed")?;
            hop.read(&name, field.value)?;
            // Of a field that stands twice a client might heed the second where the gateway read the first.
            if to_client(&name, status) && kept.iter().all(|(other, _)| *other != name) {
                let start = field.value.as_ptr().addr() - base;
                kept.push((name, start..start + field.value.len()));
            }
        }
        if status == StatusCode::SWITCHING_PROTOCOLS
            && kept.iter().all(|(name, _)| *name != header::SEC_WEBSOCKET_ACCEPT)
        {
            return Err("it switches protocols without Sec-WebSocket-Accept");
        }
        let framing = hop.framing(status)?;
        let keep = hop.keeps(one_one) && framing != Framing::UntilClose;
        let coded = hop.coded;
        // Values share the bytes they came in.
        let bytes = buffer.split_to(length).freeze();
        let mut headers = HeaderMap::with_capacity(kept.len() + ADDED);
        for (name, span) in kept {
            let value = HeaderValue::from_maybe_shared(bytes.slice(span));
            headers.append(name, value.map_err(|_| "a field value is malformed")?);
        }
        return Ok(Some(Head { status, headers, framing, keep, coded }));
    }
}

/// What a head says of the connection and of the body's end, which is not passed on.
#[derive(Default)]
struct Hop<'a> {
    /// `Transfer-Encoding` fields, and whether one of them is not `chunked` alone.
    transfers: usize,
    not_chunked: bool,
    /// `Content-Encoding` names something.
    coded: bool,
    length: Option<&'a [u8]>,
    close: bool,
    keep_alive: bool,
}

impl<'a> Hop<'a> {
    fn read(&mut self, name: &HeaderName, value: &'a [u8]) -> Result<(), &'static str> {
        if *name == header::CONTENT_LENGTH {
            if self.length.is_some_and(|other| other != value) {
                return Err("it has different Content-Length fields");
            }
            self.length = Some(value);
        } else if *name == header::TRANSFER_ENCODING {
            self.transfers += 1;
            self.not_chunked |= !value.eq_ignore_ascii_case(b"chunked");
        } else if *name == header::CONTENT_ENCODING {
            self.coded |= !value.is_empty() && !value.eq_ignore_ascii_case(b"identity");
        } else if *name == header::CONNECTION {
            for option in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                if option.eq_ignore_ascii_case(b"close") {
                    self.close = true;
                } else if option.eq_ignore_ascii_case(b"keep-alive") {
                    self.keep_alive = true;
                }
            }
        }
        Ok(())
    }

    /// How the body is framed (RFC 9112, 6.3). Anything two readers could disagree about is refused.
    fn framing(&self, status: StatusCode) -> Result<Framing, &'static str> {
        if self.transfers > 0 {
            if self.length.is_some() {
                return Err("it has both Transfer-Encoding and Content-Length");
            }
            let chunked = self.transfers == 1 && !self.not_chunked;
            return if chunked {
                Ok(Framing::chunked())
            } else {
                Err("its Transfer-Encoding is not chunked")
            };
        }
        if matches!(
            status,
            StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        ) {
            return Ok(Framing::Length(0));
        }
        let Some(digits) = self.length else { return Ok(Framing::UntilClose) };
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err("its Content-Length is not a number");
        }
        let text = std::str::from_utf8(digits).unwrap_or_default();
        text.parse().map(Framing::Length).map_err(|_| "its Content-Length is too large")
    }

    /// Whether the connection can serve another request.
    fn keeps(&self, one_one: bool) -> bool {
        if one_one { !self.close } else { self.keep_alive }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use http::StatusCode;
    use proptest::prelude::*;

    use super::{Framing, INTERIM, Interim};

    fn read(buffer: &mut BytesMut) -> Result<Option<super::Head>, &'static str> {
        super::read(buffer, &mut Interim::default())
    }

    fn head(text: &str) -> Result<Option<super::Head>, &'static str> {
        read(&mut BytesMut::from(text.as_bytes()))
    }

    #[test]
    fn reads_heads_and_passes_over_interim_ones() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n\
                    HTTP/1.1 200 OK\r\nContent-Length: 12\r\nX: y\r\n\r\nrest";
        let mut buffer = BytesMut::from(text.as_bytes());
        let head = read(&mut buffer).unwrap().unwrap();
        assert_eq!((head.status, head.framing, head.keep), (StatusCode::OK, Framing::Length(12), true));
        assert_eq!(&buffer[..], b"rest");
        assert!(read(&mut BytesMut::from(&b"HTTP/1.1 200 OK\r\nCon"[..])).unwrap().is_none());
    }

    #[test]
    fn interim_answers_have_an_end_however_they_come() {
        let one = "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
        let most = usize::from(INTERIM);
        let last = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
        assert!(head(&(one.repeat(most) + last)).unwrap().is_some());
        assert!(head(&(one.repeat(most + 1) + last)).is_err());
        let mut interim = Interim::default();
        let mut each = (0..=most).map(|_| super::read(&mut BytesMut::from(one), &mut interim).is_err());
        assert_eq!(each.position(|refused| refused), Some(most));
    }

    #[test]
    fn only_what_is_the_clients_business_passes() {
        let fields = "Connection: content-length, content-type, close\r\nSet-Cookie: a=b\r\nX-Hop: 1\r\n\
            Location: http://elsewhere/\r\nRefresh: 0\r\nLink: <x>\r\nClear-Site-Data: \"*\"\r\nServer: uvicorn\r\n\
            X-Aivonx-Model: other\r\nX-RateLimit-Limit: 5\r\nVary: *\r\nContent-Length: 3\r\nRetry-After: 9\r\n\
            Content-Type: application/json\r\nContent-Type: text/html\r\nOpenai-Processing-Ms: 7\r\n\r\n";
        let left = |status: &str| {
            let head = head(&format!("HTTP/1.1 {status}\r\n{fields}")).unwrap().unwrap();
            assert_eq!((head.framing, head.keep, head.coded), (Framing::Length(3), false, false));
            assert_eq!(head.headers["content-type"], "application/json");
            let mut left: Vec<_> = head.headers.keys().map(|n| n.as_str().to_owned()).collect();
            left.sort_unstable();
            left
        };
        assert_eq!(left("200 OK"), ["content-type", "openai-processing-ms"]);
        assert_eq!(left("503 Busy"), ["content-type", "openai-processing-ms", "retry-after"]);
    }

    #[test]
    fn a_coded_body_is_noticed() {
        let coded = |value: &str| {
            let text = format!("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-encoding: {value}\r\n\r\n");
            head(&text).unwrap().unwrap().coded
        };
        assert!(["gzip", "GZIP", "br, identity", "zstd"].into_iter().all(coded));
        assert!(!["identity", "Identity", ""].into_iter().any(coded));
    }

    #[test]
    fn framing_that_could_be_read_two_ways_is_refused() {
        for fields in [
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: +5",
            "Content-Length: 5, 5",
            "Content-Length: 99999999999999999999999",
        ] {
            assert!(head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n")).is_err(), "{fields}");
        }
        for bad in
            ["HTTP/2 200 OK\r\n\r\n", "hello\r\n\r\n", "HTTP/1.1 99 x\r\n\r\n", "HTTP/1.1 101 S\r\n\r\n"]
        {
            assert!(head(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn connections_are_kept_as_the_node_says() {
        let kept = |text: &str| head(text).unwrap().unwrap().keep;
        assert!(kept("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        assert!(!kept("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nConnection: x, Close\r\n\r\n"));
        assert!(!kept("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"));
        assert!(kept("HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: Keep-Alive\r\n\r\n"));
        assert!(!kept("HTTP/1.1 200 OK\r\n\r\n"));
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut text = b"HTTP/1.1 200 OK\r\n".to_vec();
            text.extend(bytes);
            let _ = read(&mut BytesMut::from(&text[..]));
        }
    }
}
