//! HTTP/1.1 as the load generator and the fake node speak it: fixed texts and one incremental reader.

use anyhow::{Context as _, bail, ensure};
use memchr::memmem;

/// A line of a streamed answer as Ollama writes it. All lines have this length.
pub(crate) const LINE: &str = concat!(
    r#"{"model":"bench:latest","created_at":"2026-11-22T09:41:07.123456789Z","#,
    r#""message":{"role":"assistant","content":" token"},"done":false}"#,
    "\n"
);

/// The last line of a streamed answer.
pub(crate) const LAST_LINE: &str = concat!(
    r#"{"model":"bench:latest","created_at":"2026-11-22T09:41:07.123456789Z","#,
    r#""message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","#,
    r#""total_duration":5181000000,"load_duration":21000000,"prompt_eval_count":26,"#,
    r#""prompt_eval_duration":130000000,"eval_count":298,"eval_duration":4799000000}"#,
    "\n"
);

/// The answer to a request with `"stream":false`, about 400 bytes.
pub(crate) const ANSWER: &str = concat!(
    r#"{"model":"bench:latest","created_at":"2026-11-22T09:41:07.123456789Z","#,
    r#""message":{"role":"assistant","content":"The sky is blue because of how air scatters "#,
    r#"sunlight: short waves go every way."},"done":true,"done_reason":"stop","#,
    r#""total_duration":5181000000,"load_duration":21000000,"prompt_eval_count":26,"#,
    r#""prompt_eval_duration":130000000,"eval_count":298,"eval_duration":4799000000}"#
);

/// What a request asks of the fake node: all of it stands in the first bytes of the body, in members that
/// Ollama knows, so that a proxy sees an ordinary chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wish {
    /// Answer line by line.
    pub(crate) stream: bool,
    /// Lines before the last one (`num_predict`).
    pub(crate) lines: u64,
    /// Time between lines in milliseconds (`seed`); 0 is full speed.
    pub(crate) pace_ms: u64,
    /// Keep the stream open after the lines instead of ending it (`num_keep` 1).
    pub(crate) hold: bool,
}

impl Wish {
    /// One JSON object at once.
    pub(crate) const UNARY: Self = Self { stream: false, lines: 0, pace_ms: 0, hold: false };

    /// Reads the wish out of a body's first bytes.
    pub(crate) fn read(body: &[u8]) -> Self {
        let number = |name: &str| -> u64 {
            let Some(at) = memmem::find(body, name.as_bytes()) else { return 0 };
            let digits = body[at + name.len()..].iter().take_while(|byte| byte.is_ascii_digit());
            digits.fold(0, |value, digit| value * 10 + u64::from(digit - b'0'))
        };
        Self {
            stream: memmem::find(body, br#""stream":false"#).is_none(),
            lines: number(r#""num_predict":"#),
            pace_ms: number(r#""seed":"#),
            hold: number(r#""num_keep":"#) == 1,
        }
    }

    /// A whole chat request with this wish, whose user message is `content` (already JSON) and which carries
    /// `images` (a JSON array) if there are any. `secret` is the key it is sent with.
    pub(crate) fn request(self, content: &str, images: Option<&str>, secret: Option<&str>) -> Vec<u8> {
        let images = images.map_or(String::new(), |images| format!(r#","images":{images}"#));
        let body = format!(
            concat!(
                r#"{{"model":"bench","stream":{},"options":{{"num_predict":{},"seed":{},"num_keep":{},"#,
                r#""temperature":0.7}},"messages":[{{"role":"system","content":"You are terse."}},"#,
                r#"{{"role":"user","content":"{}"{}}}]}}"#
            ),
            self.stream,
            self.lines,
            self.pace_ms,
            u8::from(self.hold),
            content,
            images
        );
        let head = format!(
            "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nUser-Agent: ollama-python/0.6.1\r\n\
             Accept: application/json\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n",
            secret.map_or(String::new(), |secret| format!("Authorization: Bearer {secret}\r\n")),
            body.len()
        );
        [head.into_bytes(), body.into_bytes()].concat()
    }
}

/// Which end a [`Reader`] reads for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Reads requests.
    Node,
    /// Reads answers.
    Client,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Head,
    Sized(u64),
    ChunkSize { size: u64, extension: bool },
    ChunkData(u64),
    ChunkEnd(u8),
    Trailer { line: u32 },
    Done,
}

/// Reads one message after the other, each in any number of pieces. A piece never spans two messages, as nobody here
/// pipelines.
#[derive(Debug)]
pub(crate) struct Reader {
    side: Side,
    state: State,
    head: Vec<u8>,
    /// Bytes of body so far, without the framing.
    pub(crate) payload: u64,
    /// The body's first bytes (requests only).
    pub(crate) start: Vec<u8>,
}

/// A request's body is kept up to here.
const START: usize = 256;
/// Longest head taken.
const HEAD: usize = 16 << 10;

impl Reader {
    /// A reader before the first byte of a message.
    pub(crate) fn new(side: Side) -> Self {
        Self { side, state: State::Head, head: Vec::with_capacity(512), payload: 0, start: Vec::new() }
    }

    /// Makes ready for the next message.
    pub(crate) fn reset(&mut self) {
        self.state = State::Head;
        self.head.clear();
        self.start.clear();
        self.payload = 0;
    }

    /// The message's first line and fields.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Takes the next piece; true when the message is complete.
    pub(crate) fn feed(&mut self, mut piece: &[u8]) -> anyhow::Result<bool> {
        while !piece.is_empty() {
            piece = self.step(piece)?;
        }
        Ok(matches!(self.state, State::Done))
    }

    fn step<'a>(&mut self, piece: &'a [u8]) -> anyhow::Result<&'a [u8]> {
        match &mut self.state {
            State::Head => return self.take_head(piece),
            State::Done => bail!("{} bytes after the end of a message", piece.len()),
            State::Sized(left) | State::ChunkData(left) => {
                let take = piece.len().min(usize::try_from(*left)?);
                *left -= take as u64;
                let rest = *left;
                let keep = take.min(START.saturating_sub(self.start.len()));
                if self.side == Side::Node && keep > 0 {
                    self.start.extend_from_slice(&piece[..keep]);
                }
                self.payload += take as u64;
                if rest == 0 {
                    self.state = match self.state {
                        State::Sized(_) => State::Done,
                        _ => State::ChunkEnd(2),
                    };
                }
                return Ok(&piece[take..]);
            }
            State::ChunkSize { size, extension } => match piece[0] {
                b'\n' if *size == 0 => self.state = State::Trailer { line: 0 },
                b'\n' => self.state = State::ChunkData(*size),
                b';' => *extension = true,
                b'\r' => {}
                _ if *extension => {}
                digit => {
                    let value = (digit as char).to_digit(16).context("a chunk size is not hexadecimal")?;
                    ensure!(*size < 1 << 48, "a chunk size is out of range");
                    *size = *size * 16 + u64::from(value);
                }
            },
            State::ChunkEnd(left) => {
                *left -= 1;
                if *left == 0 {
                    ensure!(piece[0] == b'\n', "a chunk is longer than its size");
                    self.state = State::ChunkSize { size: 0, extension: false };
                }
            }
            State::Trailer { line } => match piece[0] {
                b'\n' if *line == 0 => self.state = State::Done,
                b'\n' => *line = 0,
                b'\r' => {}
                _ => *line += 1,
            },
        }
        Ok(&piece[1..])
    }

    fn take_head<'a>(&mut self, piece: &'a [u8]) -> anyhow::Result<&'a [u8]> {
        let before = self.head.len();
        self.head.extend_from_slice(piece);
        let Some(end) = memmem::find(&self.head, b"\r\n\r\n").map(|at| at + 4) else {
            ensure!(self.head.len() < HEAD, "a head is longer than {HEAD} bytes");
            return Ok(&[]);
        };
        self.head.truncate(end);
        self.state = self.framing()?;
        Ok(&piece[end - before..])
    }

    fn framing(&self) -> anyhow::Result<State> {
        for line in self.head.split(|byte| *byte == b'\n').skip(1) {
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"content-length") {
                let length = std::str::from_utf8(value)?.parse()?;
                return Ok(if length == 0 { State::Done } else { State::Sized(length) });
            }
            if name.eq_ignore_ascii_case(b"transfer-encoding") {
                ensure!(value.eq_ignore_ascii_case(b"chunked"), "an unknown transfer encoding");
                return Ok(State::ChunkSize { size: 0, extension: false });
            }
        }
        ensure!(self.side == Side::Node, "an answer without length: {}", self.head.escape_ascii());
        Ok(State::Done)
    }

    /// Fails unless the head just read is a 200.
    pub(crate) fn expect_ok(&self) -> anyhow::Result<()> {
        if !self.head.starts_with(b"HTTP/1.1 200 ") {
            bail!("not answered with 200: {}", self.head.escape_ascii());
        }
        Ok(())
    }
}
