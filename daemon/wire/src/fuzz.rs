//! What a fuzzer runs with the bytes that it comes up with. Tests run the same with those that are kept below
//! `tests/fuzz/corpus`.

use aivonx_protocol::organization::PrivacyMode;
use bytes::Bytes;

use crate::{
    api::{Edits, Peek, references},
    privacy::{Blocked, Privacy, Screening, redact_text, screen},
};

/// The scan of a body: what it takes is JSON, and the same however it lies in memory.
///
/// # Panics
/// It is not.
pub fn json(bytes: &[u8]) {
    let in_one = [Bytes::copy_from_slice(bytes)];
    let (begin, rest) = bytes.split_at(bytes.len() / 2);
    let in_two = [Bytes::copy_from_slice(begin), Bytes::copy_from_slice(rest)];
    let (whole, split) = (Peek::read(&in_one), Peek::read(&in_two));
    assert_eq!(format!("{whole:?}"), format!("{split:?}"));
    let named = |segments: &[Bytes]| references::first(segments, true, |address, _| Some(address.to_owned()));
    assert_eq!(named(&in_one), named(&in_two));
    if whole.is_ok()
        && let Ok(text) = std::str::from_utf8(bytes)
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text)
    {
        // It goes less deep.
        assert!(error.to_string().contains("recursion limit"), "what is taken is no JSON: {error}");
    }
}

/// Personal data and credentials are replaced: nothing is left for a second look, and a body stays JSON.
///
/// # Panics
/// Something is left.
pub fn redactor(bytes: &[u8]) {
    let screening = &Screening::from(Privacy::new(PrivacyMode::Redact, &[]));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok((once, _)) = redact_text(screening, text) {
        let (twice, found) = redact_text(screening, &once).expect("what was redacted can be searched");
        assert!(twice == once, "{found:?} was left");
    }
    let body = serde_json::json!({"model": "m", "prompt": text}).to_string();
    let mut edits = Edits::default();
    match screen(screening, body.as_bytes(), &mut edits) {
        Ok(_) => {
            let out = edits.apply(&[Bytes::from(body)]).concat();
            serde_json::from_slice::<serde_json::Value>(&out).expect("a body stays JSON");
        }
        Err(Blocked::Found(_) | Blocked::Refused(..)) => panic!("that is for another mode"),
        Err(Blocked::Unsearchable(_)) => {}
    }
}

#[cfg(test)]
mod tests {
    use aivonx_protocol::fuzz::kept;

    #[test]
    fn what_was_kept_passes() {
        kept("json").iter().for_each(|bytes| super::json(bytes));
        kept("redactor").iter().for_each(|bytes| super::redactor(bytes));
    }
}
