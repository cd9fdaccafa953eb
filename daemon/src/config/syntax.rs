//! What the TOML parser complains about, in the form of our own mistakes.

use aivonx_protocol::Untrusted;
use toml::de::Error;

use super::{
    load::Find,
    mistake::{line_of, quote},
};

/// The parser's errors, one a line: after the first on a line the rest is guesswork.
pub(super) fn mistakes(text: &str, errors: &[Error]) -> Vec<Find> {
    let mut finds: Vec<Find> = errors.iter().map(|error| find(text, error)).collect();
    finds.sort_by_key(|find| find.span.start);
    finds.dedup_by_key(|find| line_of(text, find.span.start));
    finds
}

fn find(text: &str, error: &Error) -> Find {
    let span = error.span().unwrap_or(0..0);
    let (what, expected) = match error.message().split_once(", expected ") {
        Some((what, expected)) => (what, Some(expected)),
        None => (error.message(), None),
    };
    let escaped = |text: &str| Untrusted::new(text).to_string();
    if what == "duplicate key" {
        let name = text.get(span.clone()).unwrap_or_default();
        return Find {
            span,
            what: format!("{} is given a second time", quote(name)),
            accepted: None,
            fix: Some("keep one of them".into()),
        };
    }
    Find { span, what: format!("syntax: {}", escaped(what)), accepted: expected.map(escaped), fix: None }
}
