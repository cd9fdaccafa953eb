//! The keys whose meaning the gateway relies on, and how a node would read their spellings.

use super::PeekError;
use crate::api::{escape::unescape, json::Raw};

/// Keys of the outermost object. ASCII, so that folding is simple.
pub(super) const GOVERNED: [&str; 26] = [
    "model",
    "name",
    "stream",
    "stream_options",
    "messages",
    "prompt",
    "options",
    "keep_alive",
    "input",
    "system",
    "suffix",
    "template",
    "context",
    "raw",
    "images",
    "tools",
    "format",
    "think",
    "instructions",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "n",
    "source",
    "insecure",
    "previous_response_id",
];

pub(super) const MODEL: usize = 0;
pub(super) const NAME: usize = 1;
pub(super) const STREAM: usize = 2;
pub(super) const STREAM_OPTIONS: usize = 3;
pub(super) const PROMPT: usize = 5;
pub(super) const OPTIONS: usize = 6;
pub(super) const KEEP_ALIVE: usize = 7;
pub(super) const INPUT: usize = 8;
pub(super) const CONTEXT: usize = 12;
pub(super) const MAX_TOKENS: usize = 19;
pub(super) const MAX_COMPLETION_TOKENS: usize = 20;
pub(super) const MAX_OUTPUT_TOKENS: usize = 21;
pub(super) const N: usize = 22;
pub(super) const INSECURE: usize = 24;

/// Keys inside `options`.
pub(super) const INNER: [&str; 2] = ["num_ctx", "num_predict"];

pub(super) const NUM_CTX: usize = 0;
pub(super) const NUM_PREDICT: usize = 1;

/// Which of `names` this key is, if any.
///
/// # Errors
/// [`PeekError::Miscased`] if it is one of them only to a reader that folds case.
pub(super) fn which(names: &[&'static str], key: Raw<'_>) -> Result<Option<usize>, PeekError> {
    if let Some(at) = names.iter().position(|name| name.as_bytes() == key.bytes) {
        return Ok(Some(at));
    }
    for (at, name) in names.iter().enumerate() {
        if matches_folded(key, name)? {
            return Ok(Some(at));
        }
    }
    Ok(None)
}

/// Whether `key` is `name` exactly (escapes resolved).
///
/// # Errors
/// If it is `name` only to a reader that folds case.
pub(super) fn matches_folded(key: Raw<'_>, name: &'static str) -> Result<bool, PeekError> {
    if key.bytes == name.as_bytes() {
        return Ok(true);
    }
    // A folded spelling has as many characters as the name, each of at most six bytes as an escape.
    if key.cut || key.bytes.len() < name.len() || key.bytes.len() > name.len() * 6 {
        return Ok(false);
    }
    // Plain ASCII of the right length decides without resolving anything.
    if key.bytes.len() > name.len() && key.bytes.is_ascii() && !key.bytes.contains(&b'\\') {
        return Ok(false);
    }
    let Some(plain) = unescape(key.bytes) else { return Ok(false) };
    if plain == name {
        return Ok(true);
    }
    if plain.chars().map(fold).eq(name.chars()) {
        return Err(PeekError::Miscased(plain, name));
    }
    Ok(false)
}

/// Unicode simple folding, as far as it can end in an ASCII letter: besides upper case only the long s and
/// the Kelvin sign.
fn fold(c: char) -> char {
    match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    }
}
