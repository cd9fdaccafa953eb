//! JSON that is safe to show on a terminal: what could move a cursor or hide text is `\uXXXX`.

use std::fmt::Write as _;

use aivonx_protocol::Untrusted;
use serde::Serialize;

/// `value` on several lines.
///
/// # Errors
/// As serde_json's.
pub fn pretty<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(value).map(|text| escape(&text))
}

/// `value` on one line.
///
/// # Errors
/// As serde_json's.
pub fn line<T: Serialize>(value: &T) -> Result<String, serde_json::Error> {
    serde_json::to_string(value).map(|text| escape(&text))
}

/// Escapes hostile characters. serde_json leaves them only inside strings (it escapes C0 itself, and its own
/// line breaks are the only ones left), where an escape means the same.
fn escape(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && Untrusted::is_hostile(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_survives_the_round_trip_unseen() {
        let text = "a\u{1b}[2J\u{9b}1m\u{202e}b\u{200b}\u{e0041}\n\"é模";
        for shown in [line(&text).unwrap(), pretty(&[text]).unwrap()] {
            assert!(!shown.chars().any(|c| c != '\n' && Untrusted::is_hostile(c)), "{shown}");
            assert!(shown.contains("é模"));
            let back: serde_json::Value = serde_json::from_str(&shown).unwrap();
            assert!(back == text || back[0] == text);
        }
    }
}
