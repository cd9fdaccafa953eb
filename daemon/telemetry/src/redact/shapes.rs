//! Credentials that are known by their form alone, wherever they stand.

use std::sync::LazyLock;

use regex::Regex;

/// What stands in place of a hidden value.
pub const REDACTED: &str = "[REDACTED]";

/// Keys and tokens of ours, of the best-known makers, and JSON Web Tokens.
static SHAPES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    // The pattern is tested below; were it wrong, the other guards remain.
    Regex::new(
        r"\b(?:aivx_|aivt_|sk-|hf_|ghp_)[A-Za-z0-9_-]{16,}|\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_.-]{10,}",
    )
    .ok()
});

/// Shorter texts hold none.
const SHORTEST: usize = 19;

/// Masks those in `text` from byte `start` on. Text without any is left untouched and unallocated.
pub(super) fn mask(text: &mut String, start: usize) {
    let Some(tail) = text.get(start..).filter(|tail| tail.len() >= SHORTEST) else { return };
    let Some(shapes) = SHAPES.as_ref().filter(|shapes| shapes.is_match(tail)) else { return };
    let masked = shapes.replace_all(tail, REDACTED).into_owned();
    text.truncate(start);
    text.push_str(&masked);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_long_enough_and_stands_alone() {
        for (text, want) in [
            (concat!("aivx", "_0123456789abcdefghij"), "[REDACTED]"),
            (concat!("it sent hf", "_0123456789abcdef, and"), "it sent [REDACTED], and"),
            (concat!("eyJ", "hbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.c2ln"), "[REDACTED]"),
            ("sk-0123456789abcde", "sk-0123456789abcde"),
            ("a task-force-of-many-people of sk-8", "a task-force-of-many-people of sk-8"),
            ("", ""),
        ] {
            let mut got = format!("before {text}");
            mask(&mut got, "before ".len());
            assert_eq!(got, format!("before {want}"));
        }
    }
}
