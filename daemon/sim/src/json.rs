//! JSON as a Go server writes it, and the fields of a request.

use serde_json::Value;

/// `text` as a JSON string, with `<`, `>` and `&` escaped as Go's encoder does.
pub(crate) fn quote(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

/// A string field, or nothing.
pub(crate) fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// A boolean field with its default.
pub(crate) fn flag(body: &Value, key: &str, default: bool) -> bool {
    body.get(key).and_then(Value::as_bool).unwrap_or(default)
}

/// The first of the tools that a chat offers.
pub(crate) fn first_tool(body: &Value) -> Option<&Value> {
    body.get("tools")?.as_array()?.first()
}

/// Words in a prompt, or in a list of messages.
pub(crate) fn words(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.split_whitespace().count() as u64,
        Value::Array(items) => items.iter().map(words).sum(),
        Value::Object(fields) => fields.values().map(words).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_written_as_go_writes_them() {
        assert_eq!(quote("a<b> & \"c\"\n"), r#""a\u003cb\u003e \u0026 \"c\"\n""#);
    }
}
