//! Ollama model names, normalised for comparison only: what is forwarded is what the client wrote.
//!
//! `[HOST/][NAMESPACE/]MODEL[:TAG]`; the tag is what follows the last `:` after the last `/`, `latest` if
//! absent; the default host is `registry.ollama.ai`, the default namespace `library`; case does not count, nor do
//! white space around it and a last `:local`, which asks for the model on the node itself.

use std::borrow::Cow;

/// The form of `name` under which two spellings of one model compare equal. Names of `openai` nodes are
/// compared exactly and never pass through here.
#[must_use]
pub fn normalize(name: &str) -> Cow<'_, str> {
    let (stripped, tagged) = take_apart(name);
    if tagged && stripped.len() == name.len() && !name.bytes().any(|b| b.is_ascii_uppercase()) {
        return Cow::Borrowed(name);
    }
    let mut owned = stripped.to_ascii_lowercase();
    if !tagged {
        owned.push_str(LATEST);
    }
    Cow::Owned(owned)
}

/// A pattern in the form in which names are compared: of two that mean the same it is the same.
#[must_use]
pub fn normalize_pattern(pattern: &str) -> Cow<'_, str> {
    // The tag that a trailing star covers must not be added.
    match pattern.strip_suffix('*') {
        Some(_) => Cow::Owned(strip_defaults(pattern).to_ascii_lowercase()),
        None => normalize(pattern),
    }
}

/// The tag of a name that has none.
pub const LATEST: &str = ":latest";

/// The name without the default registry and namespace, and whether it has a tag.
#[must_use]
pub fn take_apart(name: &str) -> (&str, bool) {
    let name = without_local(name.trim());
    // Byte by byte: names are short.
    match name.bytes().rposition(|b| b == b'/') {
        None => (name, name.bytes().any(|b| b == b':')),
        Some(slash) => (strip_defaults(name), name.bytes().skip(slash).any(|b| b == b':')),
    }
}

/// The name without a last `:local`.
fn without_local(name: &str) -> &str {
    const LOCAL: &str = ":local";
    match name.split_at_checked(name.len().saturating_sub(LOCAL.len())) {
        Some((before, end)) if end.eq_ignore_ascii_case(LOCAL) => before,
        _ => name,
    }
}

/// The name without the default registry and namespace.
fn strip_defaults(name: &str) -> &str {
    let name = strip_prefix_ignore_case(name, "registry.ollama.ai/").unwrap_or(name);
    strip_prefix_ignore_case(name, "library/").unwrap_or(name)
}

fn strip_prefix_ignore_case<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let head = name.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &name[prefix.len()..])
}
