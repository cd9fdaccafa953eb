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

/// So many bytes behind a header that are of no lines of a block are prose about one.
const PROSE: usize = 64;

/// Longest name in a line `Name: value` of a block.
const NAME: usize = 32;

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
        let prose = prose(&text[..end.map_or(text.len(), |end| body + end)], body);
        if let Some((end, behind)) = end.zip(prose) {
            from = body + end;
            // What of a block stands behind the prose.
            if let Some(start) = run(&text[..from], behind) {
                let label = from + END.needle().len();
                from = dashes(text, label).unwrap_or(label);
                out.push(Found::new(start, from, Category::Key));
            }
        }
        let end = if prose.is_some() { None } else { end };
        let end = match end {
            Some(at) => {
                let label = body + at + END.needle().len();
                Some(dashes(text, label).unwrap_or(label))
            }
            None => cut_off(text, body),
        };
        if let Some(end) = end {
            out.push(Found::new(start, end, Category::Key));
            from = from.max(end);
        }
    }
}

/// Whether base64 follows the header that `text` begins with; else it is prose about one.
pub(super) fn is_block(text: &[u8]) -> bool {
    dashes(text, BEGIN.needle().len()).is_none_or(|body| cut_off(text, body).is_some())
}

/// Where a block begins that may go on behind the text, whose header is at `start`; None if it is prose about one.
pub(super) fn open(text: &[u8], start: usize) -> Option<usize> {
    let label = start + BEGIN.needle().len();
    match dashes(text, label) {
        None => (text.len() < label + LABEL).then_some(start),
        Some(body) => {
            // Its end may have begun.
            let begun = || text.len().saturating_sub(END.needle().len()).max(body);
            let settled = END.find(&text[body..]).map_or_else(begun, |end| body + end);
            prose(&text[..settled], body).map_or(Some(start), |behind| run(text, behind))
        }
    }
}

/// Where prose has gone on for long enough behind the lines of a block that begin at `body`.
fn prose(text: &[u8], body: usize) -> Option<usize> {
    let mut at = body;
    loop {
        let line = &text[at..];
        let line = &line[..memchr::memchr2(b'\n', b'\r', line).unwrap_or(line.len())];
        let name = line.iter().take(NAME).position(|byte| *byte == b':').unwrap_or(0);
        let header =
            name > 0 && line[..name].iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
        if !header && !line.iter().all(is_base64) {
            let near = text.get(at..at + PROSE)?;
            return (!near.windows(CUT).any(|run| run.iter().all(is_base64))).then_some(at + PROSE);
        }
        at += line.len() + 1;
        if at >= text.len() {
            return None;
        }
    }
}

/// Where base64 begins from `from` on.
fn run(text: &[u8], from: usize) -> Option<usize> {
    let at = text.get(from..)?.windows(CUT).position(|run| run.iter().all(is_base64))?;
    Some(from + at)
}

fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
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

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        find(text.as_bytes(), &mut found);
        found.iter().map(|one| &text[one.start..one.end]).collect()
    }

    #[test]
    fn prose_about_blocks_is_none_and_a_block_behind_it_is() {
        let prose =
            "-----BEGIN PRIVATE KEY----- stands before a key, and behind it that it is over, so they say: ";
        let end = "-----END PRIVATE KEY-----";
        assert!(found(&format!("{prose}{end}")).is_empty());
        assert!(found(&format!("{prose}and so on.")).is_empty());
        let key = format!("MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n{end}");
        assert_eq!(found(&format!("{prose}{key}")), [&key]);
        let block = format!("-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\n\n{key}");
        assert_eq!(found(&format!("{prose}{block} and {block}")), [&*key, &*block]);
        let quoted = format!(
            "-----BEGIN X-----\n> MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n> {}\n{end}",
            "ab cd ".repeat(20)
        );
        assert_eq!(found(&quoted), [&quoted]);
    }
}
