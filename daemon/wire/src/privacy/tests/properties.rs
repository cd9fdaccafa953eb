//! For random bodies: JSON stays JSON, only texts with findings change, and a second pass finds nothing.

use std::sync::LazyLock;

use aivonx_protocol::organization::PrivacyMode;
use proptest::prelude::*;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::{privacy, redact, redacted};
use crate::privacy::redact_text;

/// Pieces that are findings, nearly, or the seams between.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "bob@example.com", "a@b.co", "4111 1111 1111 1111", "4111111111111111", "555-123-4567", "+1 555 123 4567",
            "123-45-6789", "sk-1234567890abcdefghij1", concat!("ghp", "_16C7e42F292c6912E7710c838347Ae178B4a"), "ssn 123456789",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3", "aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zC",
            "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "[REDACTED_EMAIL]", "[REDACTED_", "phone",
            "api_key=", "0123456789abcdef", "01 99 00 12 34", "020 7946 0958", "(555)", "git", "Bearer ", "ext. 5",
            "+44 20 7946", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY", "=", "/", "jörg", "password: ",
            "Summer2024!", "hunter22", "://", "token", "value=", "is ", "Basic ", "dXNlcjpwdw==", ";x=", "联系", "\u{1f600}",
        ]).prop_map(str::to_owned),
        3 => prop::sample::select(vec![
            " ", "-", ".", "@", "_", ",", ":", "\"", "\\", "\n", "(", ")", "+", "x", "1", "55", "123", "4567", "]", "[",
        ]).prop_map(str::to_owned),
        1 => "[ -~]{0,12}",
        1 => "\\PC{0,4}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(piece(), 0..10).prop_map(|pieces| pieces.concat())
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::String),
        1 => any::<i32>().prop_map(Value::from),
        1 => Just(json!(4111111111111111u64)),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop_oneof![
            3 => prop::sample::select(vec![
                "content", "role", "type", "arguments", "input", "id", "name", "text", "url", "phone", "api_key",
                "password", "value",
            ]).prop_map(str::to_owned),
            1 => text(),
        ];
        prop_oneof![
            2 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            3 => prop::collection::vec((key, inner.clone()), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
            // JSON in a string.
            1 => inner.prop_map(|value| Value::String(value.to_string())),
        ]
    })
}

/// Writes a value with escapes where none are needed, now and then.
fn spell(value: &Value, escapes: &mut impl Iterator<Item = u8>, out: &mut String) {
    match value {
        Value::String(text) => quote(text, escapes, out),
        Value::Array(list) => {
            out.push('[');
            for (n, item) in list.iter().enumerate() {
                out.push_str(if n > 0 { " , " } else { "" });
                spell(item, escapes, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (n, (key, item)) in members.iter().enumerate() {
                out.push_str(if n > 0 { ",\n" } else { "" });
                quote(key, escapes, out);
                out.push_str(": ");
                spell(item, escapes, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn quote(text: &str, escapes: &mut impl Iterator<Item = u8>, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        let escaped = escapes.next().unwrap_or(1).is_multiple_of(4);
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if escaped || c.is_control() => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Whether two values are the same but for strings and keys that carry a marker, and numbers that became one.
fn same_outside(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::String(a), Value::String(b)) => a == b || b.contains("[REDACTED_"),
        (Value::Number(_), Value::String(b)) => b.starts_with("[REDACTED_"),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_outside(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let mut kept = a.iter().filter(|(key, _)| b.contains_key(*key));
            kept.all(|(key, value)| {
                same_outside(value, &b[key]) || b.keys().any(|k| k.contains("[REDACTED_"))
            }) && b.keys().all(|key| a.contains_key(key) || key.contains("[REDACTED_"))
        }
        (a, b) => a == b,
    }
}

/// Whether a social security number is glued to a letter: a word that begins behind it is one only once a marker stands
/// there, and says what follows it.
fn is_glued(text: &str) -> bool {
    static GLUED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\p{Alphabetic}\d{3}-\d{2}-\d{4}|\d{3}-\d{2}-\d{4}\p{Alphabetic}").unwrap()
    });
    GLUED.is_match(text)
}

proptest! {
    #[test]
    fn a_text_passes_the_second_time(text in text()) {
        prop_assume!(!is_glued(&text));
        let (once, first) = redact_text(&privacy(PrivacyMode::Redact), &text).unwrap();
        let (twice, second) = redact_text(&privacy(PrivacyMode::Redact), &once).unwrap();
        prop_assert_eq!((&twice, second.total()), (&once, 0), "{}", text);
        prop_assert_eq!(first.total() == 0, once == text);
    }

    #[test]
    fn json_stays_json_and_passes_the_second_time(
        content in value(),
        escapes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let body = json!({"model": "m", "stream": false, "messages": [{"role": "user", "content": content}]});
        let mut spelled = String::new();
        spell(&body, &mut escapes.into_iter(), &mut spelled);
        prop_assume!(!is_glued(&body.to_string()));
        // A document in base64 may come about by chance.
        let Ok((once, findings)) = redacted(&spelled) else { return Ok(()) };
        let before: Value = serde_json::from_str(&spelled).unwrap();
        let after: Value = serde_json::from_str(&once).map_err(|e| TestCaseError::fail(format!("{e}: {once}")))?;
        prop_assert!(same_outside(&before, &after), "{} became {}", spelled, once);
        prop_assert_eq!(findings.total() == 0, once == spelled);
        prop_assert_eq!(redact(&once), once.clone(), "of {}", spelled);
    }

    #[test]
    fn bytes_outside_of_findings_stay(before in "[a-z \\\\n]{0,40}", after in "[a-z ]{0,40}", cut in 0usize..8) {
        let _ = cut;
        let before = before.replace('\\', "\\n");
        let body = format!("{{ \"messages\" :[{{\"content\":\"{before} bob\\u0040example.com {after}\"}}],\t\"x\":1.0e2}}");
        let wanted = format!("{{ \"messages\" :[{{\"content\":\"{before} [REDACTED_EMAIL] {after}\"}}],\t\"x\":1.0e2}}");
        prop_assert_eq!(redact(&body), wanted);
    }

    #[test]
    fn nothing_panics(bytes in prop::collection::vec(
        prop::sample::select(b"{}[]\",:\\u0041@.-+=/_ 123456789abcdefXYZeyJsk()\xc3\xa4".to_vec()), 0..200)) {
        let mut edits = crate::api::Edits::default();
        let _ = crate::privacy::screen(&privacy(PrivacyMode::Redact), &bytes, &mut edits);
        let _ = crate::privacy::screen(&privacy(PrivacyMode::Detect), &bytes, &mut edits);
        let mut found = Vec::new();
        crate::privacy::find::find(&bytes, crate::privacy::Wanted::ALL, Default::default(), &mut found);
    }
}
