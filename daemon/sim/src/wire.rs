//! HTTP/1.1 by hand: heads, lines and chunks over a byte stream, strict about framing and about nothing
//! else, so that both sides can also be made to misbehave.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A request or response head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// First line, without its line end.
    pub start: String,
    /// Fields in order, names as written.
    pub fields: Vec<(String, String)>,
    /// The exact bytes, with the blank line.
    pub raw: Bytes,
}

impl Head {
    /// Splits a head; bytes that are not UTF-8 are replaced (look at [`Head::raw`] for those).
    #[must_use]
    pub fn parse(raw: Bytes) -> Self {
        let text = String::from_utf8_lossy(&raw).into_owned();
        let mut lines = text.split("\r\n");
        let start = lines.next().unwrap_or_default().to_owned();
        let fields = lines
            .filter(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap_or((line, ""));
                (name.to_owned(), value.trim().to_owned())
            })
            .collect();
        Self { start, fields, raw }
    }

    /// The first value of `name`, compared without case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// Every value of `name`.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// Method of a request.
    #[must_use]
    pub fn method(&self) -> &str {
        self.start.split(' ').next().unwrap_or_default()
    }

    /// Target of a request, as sent.
    #[must_use]
    pub fn target(&self) -> &str {
        self.start.split(' ').nth(1).unwrap_or_default()
    }

    /// Status of a response; 0 if the first line has none.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
    }

    fn chunked(&self) -> bool {
        self.all("transfer-encoding").iter().any(|v| v.to_ascii_lowercase().contains("chunked"))
    }

    fn length(&self) -> Option<usize> {
        self.get("content-length").and_then(|v| v.parse().ok())
    }
}

/// How a body is delimited, and how much of it is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Nothing left.
    Done,
    /// So many bytes.
    Length(usize),
    /// Chunks up to the empty one.
    Chunked,
    /// Up to the end of the connection.
    Close,
}

impl Framing {
    /// Of a request with this head.
    #[must_use]
    pub fn of_request(head: &Head) -> Self {
        if head.chunked() { Self::Chunked } else { head.length().map_or(Self::Done, Self::Length) }
    }

    /// Of the response with this head to a request with `method`.
    #[must_use]
    pub fn of_response(head: &Head, method: &str) -> Self {
        match head.status() {
            _ if method == "HEAD" => Self::Done,
            100..=199 | 204 | 304 => Self::Done,
            _ if head.chunked() => Self::Chunked,
            _ => head.length().map_or(Self::Close, Self::Length),
        }
    }
}

/// Longest head that is read, bytes.
const HEAD_MAX: usize = 1 << 20;

/// A connection with what was read too much.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    buffer: BytesMut,
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, what.to_owned())
}

impl Wire {
    /// Takes over a connection.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).ok();
        Self { stream, buffer: BytesMut::new() }
    }

    /// Connects.
    ///
    /// # Errors
    /// As connecting does.
    pub async fn connect(address: std::net::SocketAddr) -> io::Result<Self> {
        Ok(Self::new(TcpStream::connect(address).await?))
    }

    /// The socket.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Closes with a reset instead of an orderly end.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(std::time::Duration::ZERO)).ok();
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// As writing does.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads more; 0 is the end.
    ///
    /// # Errors
    /// As reading does.
    pub async fn fill(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.buffer).await
    }

    /// Waits until the peer has closed or reset the connection; bytes it still sends are kept.
    pub async fn gone(&mut self) {
        while !matches!(self.fill().await, Ok(0) | Err(_)) {}
    }

    /// Reads a head; None if the connection ended before its first byte.
    ///
    /// # Errors
    /// If it ends within a head, or the head is longer than a megabyte.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                return Ok(Some(Head::parse(self.buffer.split_to(at + 4).freeze())));
            }
            if self.buffer.len() > HEAD_MAX {
                return Err(io::Error::other("the head does not end"));
            }
            if self.fill().await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(broken("end within a head")) };
            }
        }
    }

    async fn line(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line = self.buffer.split_to(at).freeze();
                self.buffer.advance(2);
                return Ok(line);
            }
            if self.fill().await? == 0 {
                return Err(broken("end within a line"));
            }
        }
    }

    pub(crate) async fn exactly(&mut self, count: usize) -> io::Result<Bytes> {
        while self.buffer.len() < count {
            if self.fill().await? == 0 {
                return Err(broken("end within a body"));
            }
        }
        Ok(self.buffer.split_to(count).freeze())
    }

    /// The next piece of a body: a chunk as framed, or what has arrived of the rest. None at its end.
    ///
    /// # Errors
    /// If the connection ends before the body does, or a chunk is malformed.
    pub async fn piece(&mut self, framing: &mut Framing) -> io::Result<Option<Bytes>> {
        match framing {
            Framing::Done | Framing::Length(0) => Ok(None),
            Framing::Length(left) => {
                if self.buffer.is_empty() && self.fill().await? == 0 {
                    return Err(broken("end within a body"));
                }
                let count = self.buffer.len().min(*left);
                *left -= count;
                Ok(Some(self.buffer.split_to(count).freeze()))
            }
            Framing::Close => {
                if self.buffer.is_empty() && self.fill().await? == 0 {
                    return Ok(None);
                }
                Ok(Some(self.buffer.split().freeze()))
            }
            Framing::Chunked => {
                let line = self.line().await?;
                let text = String::from_utf8_lossy(&line);
                let size = usize::from_str_radix(text.split(';').next().unwrap_or_default().trim(), 16)
                    .map_err(|_| io::Error::other(format!("bad chunk size {text:?}")))?;
                if size == 0 {
                    while !self.line().await?.is_empty() {}
                    *framing = Framing::Done;
                    return Ok(None);
                }
                let chunk = self.exactly(size).await?;
                self.exactly(2).await?;
                Ok(Some(chunk))
            }
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// As [`Wire::piece`].
    pub async fn body(&mut self, mut framing: Framing) -> io::Result<Bytes> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.piece(&mut framing).await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }
}
