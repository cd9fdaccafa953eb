//! What may not enter the log: judged by the name of a detail, and by what is inside a text.
//!
//! The first line are types: a secret has no `Display`, so it cannot be given as a detail at all.

use std::sync::LazyLock;

use regex::Regex;

use crate::telemetry::redact;
pub(super) use crate::telemetry::redact::names::hides as is_hidden;

/// What stands in place of a hidden value.
pub(super) const REDACTED: &str = redact::REDACTED;

/// A detail's name in its one spelling.
pub(super) fn name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    name.chars().take(40).map(plain).collect()
}

/// Masks credentials inside `text`: members of JSON that are named like secrets, what follows `Bearer` and `Basic`,
/// in URLs, and anything that has the form of a key or token of ours or of a well-known maker.
pub(super) fn scrub(mut text: String) -> String {
    static SHAPES: LazyLock<Option<Regex>> = LazyLock::new(|| {
        // The pattern is tested below; were it wrong, the other guards remain.
        Regex::new(
            r"\b(?:aivx_|aivt_|sk-|hf_|ghp_)[A-Za-z0-9_-]{16,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_.-]{10,}",
        )
        .ok()
    });
    redact::scrub(&mut text, 0);
    match SHAPES.as_ref() {
        Some(shapes) if shapes.is_match(&text) => shapes.replace_all(&text, REDACTED).into_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_credentials_are_masked() {
        for text in [
            "aivx_0123456789abcdefghij",
            "sk-0123456789abcdefghij",
            "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl",
            "Bearer abcdefghijkl",
        ] {
            assert!(scrub(format!("it sent {text} here")).contains(REDACTED), "{text}");
        }
        assert_eq!(scrub("a task-force of sk-8".into()), "a task-force of sk-8");
    }
}
