//! What a line of an answer says to the meter, found without parsing it: most lines say nothing.

use std::sync::LazyLock;

use memchr::memmem;

use crate::api::route::Stream;

static USAGE: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("\"usage\""));
static DONE: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new("\"done\""));

/// Whether these lines have a `done` that is true.
pub(super) fn has_done(lines: &[u8]) -> bool {
    has_member(lines, &DONE, b't')
}

/// Whether these lines have a `usage` that is not null.
pub(super) fn has_usage(lines: &[u8]) -> bool {
    has_member(lines, &USAGE, b'{')
}

/// Whether a member of some object in these lines has a value that begins with `first`. Text cannot be
/// mistaken for it: its quotes are escaped.
fn has_member(lines: &[u8], key: &memmem::Finder<'_>, first: u8) -> bool {
    key.find_iter(lines).any(|at| {
        let value = lines[at + key.needle().len()..].trim_ascii_start().strip_prefix(b":");
        value.is_some_and(|v| v.trim_ascii_start().first() == Some(&first))
    })
}

/// How many lines end here. In blocks whose count fits a byte, which the compiler turns into vector instructions.
pub(super) fn line_ends(text: &[u8]) -> u64 {
    text.chunks(255)
        .map(|block| u64::from(block.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>()))
        .sum()
}

/// Whether one of these lines ends a stream of `kind`.
pub(super) fn terminator(kind: Stream, lines: &[u8]) -> bool {
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', lines).chain([lines.len()]) {
        if ends_stream(kind, &lines[start..end]) {
            return true;
        }
        start = end + 1;
    }
    false
}

fn ends_stream(kind: Stream, line: &[u8]) -> bool {
    let field = |name: &[u8]| line.strip_prefix(name).map(<[u8]>::trim_ascii);
    match kind {
        Stream::Done => field(b"data:").is_some_and(|d| d == b"[DONE]" || d.starts_with(b"{\"error\"")),
        Stream::Responses => {
            field(b"event:").is_some_and(|e| {
                matches!(e, b"response.completed" | b"response.failed" | b"response.incomplete" | b"error")
            }) || field(b"data:").is_some_and(|d| d.starts_with(b"{\"error\""))
        }
        _ => field(b"event:").is_some_and(|e| matches!(e, b"message_stop" | b"error")),
    }
}
