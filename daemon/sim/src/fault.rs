//! How a node can fail.

/// One way to fail. Steps are counted from the first of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Resets the connection after reading the request.
    ResetBeforeHead,
    /// Closes the connection in order after reading the request.
    CloseBeforeHead,
    /// Closes without a byte if the request is not the connection's first; else answers.
    CloseIfReused,
    /// Sends so many steps, then resets.
    ResetAfter(usize),
    /// Sends so many steps, then closes without the end of the body.
    CloseAfter(usize),
    /// Sends so many steps, then ends the body in order: the terminator is missing.
    EndAfter(usize),
    /// Sends so many steps, then nothing more until the client goes.
    StallAfter(usize),
    /// Never answers.
    Silence,
    /// Sends so many steps, then a line or event that says something failed, in the form of the dialect.
    ErrorAfter(usize),
    /// Answers with this status and body.
    Status(u16, &'static str),
    /// The same, with a body that need not be text.
    Bytes(u16, &'static [u8]),
    /// Sends the head byte by byte.
    SlowHead,
    /// Sends something that is not HTTP.
    Garbage,
    /// Sends a head larger than any reader should take.
    HugeHead(usize),
    /// Sends one line of so many bytes without a line end, then goes on.
    LongLine(usize),
    /// Promises so many bytes more than it sends, then closes.
    LengthTooLong(usize),
    /// Promises so many bytes fewer than it sends.
    LengthTooShort(usize),
    /// Breaks the framing of the second chunk.
    BadChunk,
    /// Sends `100 Continue` and `103 Early Hints` before its answer.
    Interim,
    /// Answers 200 with this body as JSON.
    Body(&'static str),
    /// Answers 200 with these server-sent events.
    Events(String),
    /// Answers with a redirect to elsewhere.
    Redirect(&'static str),
    /// Answers with this status and closes before it reads the body, most of which is still to come.
    Early(u16),
    /// Sends interim answers for as long as they are taken.
    EndlessInterim,
}

/// How health checks fare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnHealth {
    /// Well.
    Well,
    /// They fail.
    Fail(Fault),
}
