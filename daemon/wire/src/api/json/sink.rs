//! What a scanner reports, and what it refuses.

/// Raw bytes kept of a key, string or number.
pub(super) const KEEP: usize = 1024;

/// Deepest nesting accepted. Go's decoder, which Ollama uses, stops at 10 000; no request needs more than this.
pub const MAX_DEPTH: usize = 512;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `{...}`
    Object,
    /// `[...]`
    Array,
    /// `"..."`
    String,
    /// A number.
    Number,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

/// The bytes of a key or string between its quotes, escapes not yet resolved; or those of a number.
#[derive(Debug, Clone, Copy)]
pub struct Raw<'a> {
    /// The bytes, at most 1024.
    pub bytes: &'a [u8],
    /// Whether there were more.
    pub cut: bool,
    /// How many there were.
    pub length: usize,
}

impl<'a> Raw<'a> {
    /// What lies in one piece.
    #[inline(always)]
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        let length = bytes.len();
        Self { bytes: &bytes[..length.min(KEEP)], cut: length > KEEP, length }
    }
}

/// Why a body is not JSON this gateway forwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A byte that cannot stand there.
    #[error("invalid JSON at byte {0}")]
    Syntax(usize),
    /// The body ended inside a value.
    #[error("the JSON body is cut off after {0} bytes")]
    Truncated(usize),
    /// Nested too deep.
    #[error("the JSON body is nested deeper than {MAX_DEPTH} levels")]
    Depth,
    /// Something follows the value.
    #[error("something follows the JSON value at byte {0}")]
    Trailing(usize),
}

/// Called for keys and values while the scanner passes them. `depth` is the number of containers around: the members of
/// the outermost object are at depth 1. Only depths up to [`Sink::TOLD`] are reported.
pub trait Sink {
    /// Deepest level that is reported. What lies deeper is passed over faster.
    const TOLD: usize = 2;
    /// What a sink refuses with.
    type Error: From<JsonError>;
    /// A key of an object.
    ///
    /// # Errors
    /// What the sink refuses.
    fn key(&mut self, depth: usize, key: Raw<'_>) -> Result<(), Self::Error>;
    /// A value begins at byte `at`. Returns whether its end is to be reported: that of an object or array always is.
    ///
    /// # Errors
    /// What the sink refuses.
    fn begin(&mut self, depth: usize, kind: Kind, at: usize) -> Result<bool, Self::Error>;
    /// A value ended before byte `end`; `raw` has the bytes of a string or number.
    ///
    /// # Errors
    /// What the sink refuses.
    fn end(&mut self, depth: usize, kind: Kind, end: usize, raw: Option<Raw<'_>>) -> Result<(), Self::Error>;
}

impl<S: Sink> Sink for &mut S {
    const TOLD: usize = S::TOLD;
    type Error = S::Error;

    #[inline(always)]
    fn key(&mut self, depth: usize, key: Raw<'_>) -> Result<(), S::Error> {
        S::key(self, depth, key)
    }

    #[inline(always)]
    fn begin(&mut self, depth: usize, kind: Kind, at: usize) -> Result<bool, S::Error> {
        S::begin(self, depth, kind, at)
    }

    #[inline(always)]
    fn end(&mut self, depth: usize, kind: Kind, end: usize, raw: Option<Raw<'_>>) -> Result<(), S::Error> {
        S::end(self, depth, kind, end, raw)
    }
}
