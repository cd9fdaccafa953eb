//! What may not enter the log: judged by the name of a detail, and by what is inside a text.
//!
//! The first line are types: a secret has no `Display`, so it cannot be given as a detail at all.

use aivonx_telemetry::redact;

pub(super) use aivonx_telemetry::redact::names::hides as is_hidden;

/// What stands in place of a hidden value.
pub(super) const REDACTED: &str = redact::REDACTED;

/// A detail's name in its one spelling.
pub(super) fn name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    name.chars().take(40).map(plain).collect()
}

/// Masks credentials inside `text`, as the log does.
pub(super) fn scrub(mut text: String) -> String {
    redact::scrub(&mut text, 0);
    text
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
            r#"["acme/aivx_0123456789abcdefghij"]"#,
        ] {
            assert!(scrub(format!("it sent {text} here")).contains(REDACTED), "{text}");
        }
        assert_eq!(scrub("a task-force of sk-8".into()), "a task-force of sk-8");
    }
}
