//! The last guard before text enters the log: fields named like secrets lose their value, in events of other crates too,
//! and credentials inside other text are masked.
//!
//! It is a net under the rules, not a licence: secrets are types that do not print, and prompts are never
//! given to an event in the first place.

mod members;
pub mod names;
mod shapes;

pub use self::shapes::REDACTED;

use aivonx_wire::privacy::find::{Hint, find};

use aivonx_protocol::privacy::Category;
use memchr::memmem;

/// What a field's name says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redaction {
    /// A name of ours whose values cannot carry a credential: taken as it is.
    Plain,
    /// Unknown: credentials inside it are masked.
    Scrub,
    /// Hidden whole.
    Hide,
}

/// Judges a field by its name. The common names are decided without a search: every event passes here.
pub(crate) fn judge(name: &str) -> Redaction {
    match name {
        "node" | "model" | "request_id" | "client" | "client_request_id" | "status" | "event" | "method"
        | "route" | "outcome" | "retries" | "bytes_in" | "bytes_out" | "chunks" | "predicted_ms"
        | "first_byte_ms" | "duration_ms" | "prompt_tokens" | "output_tokens" | "uid" | "pid" | "job"
        | "listen" => Redaction::Plain,
        name if names::hides(name) => Redaction::Hide,
        _ => Redaction::Scrub,
    }
}

/// Masks credentials in `text` from byte `start` on: members of JSON that are named like secrets, what follows
/// `Bearer ` or `Basic `, the user information of URLs, and what has the form of a key or token of ours or of a
/// well-known maker, or follows a word that says that it is one. Text without any is left untouched and unallocated.
pub fn scrub(text: &mut String, start: usize) {
    members::mask(text, start);
    // Without their first letter, which is written either way; capitals throughout are rare, and cheap.
    for tails in [["earer ", "EARER "], ["asic ", "ASIC "]] {
        mask_after(text, start, tails);
    }
    mask_userinfo(text, start);
    shapes::mask(text, start);
    mask_found(text, start);
}

/// Masks what a prompt would be searched for, too.
fn mask_found(text: &mut String, start: usize) {
    let Some(tail) = text.get(start..) else { return };
    let mut found = Vec::new();
    find(tail.as_bytes(), [Category::Key].as_slice().into(), Hint { named: true, ..Hint::FORMS }, &mut found);
    for found in found.iter().rev() {
        let range = start + found.start..start + found.end;
        // Findings are whole characters; a log is no place to rely on it.
        if text.is_char_boundary(range.start) && text.is_char_boundary(range.end) {
            text.replace_range(range, REDACTED);
        }
    }
}

/// Shortest run of credential characters after a scheme that is taken for a credential: `basic check` is
/// English.
const CREDENTIAL_MIN: usize = 8;

/// Masks what follows either tail; both are equally long.
fn mask_after(text: &mut String, start: usize, tails: [&str; 2]) {
    let mut from = start;
    while let Some(at) =
        tails.iter().filter_map(|t| memmem::find(&text.as_bytes()[from..], t.as_bytes())).min()
    {
        let begin = from + at + tails[0].len();
        let end = begin + text[begin..].find(|c| !credential_char(c)).unwrap_or(text.len() - begin);
        from = begin;
        if end - begin >= CREDENTIAL_MIN {
            text.replace_range(begin..end, REDACTED);
            from += REDACTED.len();
        }
    }
}

fn credential_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '+' | '/' | '=' | ':')
}

fn mask_userinfo(text: &mut String, start: usize) {
    let mut from = start;
    while let Some(i) = memmem::find(&text.as_bytes()[from..], b"://") {
        let begin = from + i + 3;
        let authority_end = begin
            + text[begin..]
                .find(|c: char| matches!(c, '/' | '?' | '#' | '"' | '\'') || c.is_whitespace())
                .unwrap_or(text.len() - begin);
        from = match text[begin..authority_end].rfind('@') {
            Some(at) if at > 0 && &text[begin..begin + at] != REDACTED => {
                text.replace_range(begin..begin + at, REDACTED);
                begin + REDACTED.len()
            }
            _ => begin,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_our_own_is_not_looked_at() {
        for (name, verdict) in
            [("prompt_tokens", Redaction::Plain), ("api_key", Redaction::Hide), ("error", Redaction::Scrub)]
        {
            assert_eq!(judge(name), verdict, "{name}");
        }
    }

    #[test]
    fn credentials_in_text_are_masked() {
        let cases = [
            (
                "sent Authorization: Bearer abc.def-ghi_123 to gpu1",
                "sent Authorization: Bearer [REDACTED] to gpu1",
            ),
            ("bearer sk-0123456789", "bearer [REDACTED]"),
            ("BASIC dXNlcjpwYXNz==, then", "BASIC [REDACTED], then"),
            ("a basic check of the bearer of news", "a basic check of the bearer of news"),
            ("GET http://user:pw@10.0.0.1:11434/x failed", "GET http://[REDACTED]@10.0.0.1:11434/x failed"),
            ("https://tok@h and https://h/@x", "https://[REDACTED]@h and https://h/@x"),
            ("Bearer aaaaaaaaaa Bearer bbbbbbbbbb", "Bearer [REDACTED] Bearer [REDACTED]"),
            ("Bearer ü, Bearer ", "Bearer ü, Bearer "),
            (concat!("key sk", "-0123456789abcdefghij: no"), "key [REDACTED]: no"),
            (r#"said {"token":"x","a":"b"}"#, r#"said {"token":"[REDACTED]","a":"b"}"#),
            (
                "sent Authorization: Token 9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b",
                "sent Authorization: Token [REDACTED]",
            ),
            ("the key is 9944b09199c62bcf9418ad846dd0e4bb, no", "the key is [REDACTED], no"),
            (concat!("glpat-", "x9Yz8Wv7Ut6Sr5Qp4On3"), "[REDACTED]"),
            ("token 9944b09\u{200b}199c62bcf9418ad846dd0e4bb", "token [REDACTED]"),
            ("digest 9944b09199c62bcf9418ad846dd0e4bb", "digest 9944b09199c62bcf9418ad846dd0e4bb"),
            ("nothing here", "nothing here"),
        ];
        for (text, want) in cases {
            let mut got = format!("pre://a@b {text}");
            scrub(&mut got, "pre://a@b ".len());
            assert_eq!(got, format!("pre://a@b {want}"));
        }
    }
}
