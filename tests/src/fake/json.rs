//! JSON as a Go server writes it.

use serde_json::Value;

/// `text` as a JSON string, with `<`, `>` and `&` escaped as Go's encoder does.
pub(super) fn quote(text: &str) -> String {
    let quoted = serde_json::to_string(text).expect("a string is JSON");
    quoted.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// A string field, or nothing.
pub(super) fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A boolean field with its default.
pub(super) fn flag(body: &Value, key: &str, default: bool) -> bool {
    body.get(key).and_then(Value::as_bool).unwrap_or(default)
}

/// Words in a prompt or in a list of messages: the fake's idea of a token.
pub(super) fn count(value: &Value) -> usize {
    match value {
        Value::String(text) => text.split_whitespace().count(),
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum(),
        _ => 0,
    }
}
