//! PEM blocks: private keys, certificates and the like, whole.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::find::Found;
use aivonx_protocol::privacy::Category;

static BEGIN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("-----BEGIN "));
static END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("-----END "));

/// Longest label of a block.
const LABEL: usize = 64;

/// Base64 characters after a header without an end that make it a block that was cut off.
const CUT: usize = 16;

/// Finds every block in `text`.
pub(super) fn find(text: &[u8], out: &mut Vec<Found>) {
    let mut from = 0;
    // Once no end was found, none follows further on either: searching again would cost quadratic time.
    let mut endless = false;
    while let Some(at) = BEGIN.find(&text[from..]) {
        let start = from + at;
        from = start + BEGIN.needle().len();
        let Some(body) = dashes(text, from) else { continue };
        let end = if endless { None } else { END.find(&text[body..]) };
        endless = end.is_none();
        let end = match end {
            Some(at) => {
                let label = body + at + END.needle().len();
                Some(dashes(text, label).unwrap_or(label))
            }
            None => cut_off(text, body),
        };
        if let Some(end) = end {
            out.push(Found::new(start, end, Category::Key));
            from = end;
        }
    }
}

/// Whether base64 follows the header that `text` begins with; else it is prose about one.
pub(super) fn is_block(text: &[u8]) -> bool {
    dashes(text, BEGIN.needle().len()).is_none_or(|body| cut_off(text, body).is_some())
}

/// Behind the dashes that close a label.
fn dashes(text: &[u8], label: usize) -> Option<usize> {
    let rest = &text[label..text.len().min(label + LABEL)];
    memchr::memmem::find(rest, b"-----").map(|at| label + at + 5)
}

/// The end of the lines of base64 from `from` on.
fn cut_off(text: &[u8], from: usize) -> Option<usize> {
    let mut end = from;
    let mut characters = 0;
    for (at, byte) in text.iter().enumerate().skip(from) {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'=' => {
                characters += 1;
                end = at + 1;
            }
            b'\n' | b'\r' | b'\\' => {}
            _ => break,
        }
    }
    (characters >= CUT).then_some(end)
}
