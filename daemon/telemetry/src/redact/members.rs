//! JSON inside texts: `node said: {"error":{"api_key":"..."}}`. Members named like secrets lose their value, at
//! any depth, also where the JSON stands inside a string of other JSON and its quotes are escaped, and where the
//! text was cut in the middle of it.
//!
//! Nothing here needs the text to *be* JSON. A quote with `r` backslashes before it is as deep as `r + 1` has
//! zeros at its end in binary: 0 in a text, 1 (`\"`) in a string inside it, 3 (`\\\"`) in a string inside that.
//! A string ends with the next quote that is as deep as the one it begins with, or less deep: then what is around
//! it ends too.

use std::{borrow::Cow, ops::Range};

use memchr::memchr;

use super::{names::hides, shapes::REDACTED};

/// Masks the values in `text`, from byte `start` on. Text without any is left untouched and unallocated, and
/// text without quotes is not looked at further.
pub(crate) fn mask(text: &mut String, start: usize) {
    let Some(tail) = text.get(start..) else { return };
    if memchr(b'"', tail.as_bytes()).is_none() || memchr(b':', tail.as_bytes()).is_none() {
        return;
    }
    if let Some(masked) = masked(tail) {
        text.truncate(start);
        text.push_str(&masked);
    }
}

/// The text with its values masked; None if there are none.
fn masked(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    while let Some(open) = quote(text, at) {
        at = open.end;
        let Some((name, after)) = member(text, open) else { continue };
        at = name.end;
        if !hides(&plain(&text[name])) {
            continue;
        }
        let (found, next) = value(text, after, open.depth);
        at = next.max(at);
        if let Some((hide, quoted)) = found {
            out.push_str(&text[copied..hide.start]);
            if quoted {
                out.push_str(REDACTED);
            } else {
                let escape = "\\".repeat((1 << open.depth) - 1);
                out.extend([&escape, "\"", REDACTED, &escape, "\""]);
            }
            copied = hide.end;
        }
    }
    if copied == 0 {
        return None;
    }
    out.push_str(&text[copied..]);
    Some(out)
}

/// A quote in a text.
#[derive(Debug, Clone, Copy)]
struct Quote {
    /// Where it begins, with as many backslashes as its depth takes.
    begin: usize,
    /// Behind it.
    end: usize,
    depth: u32,
}

/// The next quote that stands at `from` or later.
fn quote(text: &str, from: usize) -> Option<Quote> {
    let bytes = text.as_bytes();
    let at = from + memchr(b'"', bytes.get(from..)?)?;
    let backslashes = bytes[from..at].iter().rev().take_while(|byte| **byte == b'\\').count();
    // No text is so long that this is 32 or more.
    let depth = (backslashes + 1).trailing_zeros();
    Some(Quote { begin: at - ((1 << depth) - 1), end: at + 1, depth })
}

/// Where a string ends that began before `from` at `depth`. None if the text ends first.
fn close(text: &str, from: usize, depth: u32) -> Option<Quote> {
    let mut at = from;
    loop {
        let quote = quote(text, at)?;
        if quote.depth <= depth {
            return Some(quote);
        }
        at = quote.end;
    }
}

/// The name of the member whose name begins with `open`, and where its value begins. None if none does.
fn member(text: &str, open: Quote) -> Option<(Range<usize>, usize)> {
    let end = close(text, open.end, open.depth).filter(|end| end.depth == open.depth)?;
    let colon = blanks(text, end.end, open.depth);
    if text.as_bytes().get(colon) != Some(&b':') {
        return None;
    }
    Some((open.end..end.begin, blanks(text, colon + 1, open.depth)))
}

/// Behind the blanks at `at`, which inside of strings are escaped.
fn blanks(text: &str, mut at: usize, depth: u32) -> usize {
    let bytes = text.as_bytes();
    loop {
        match bytes.get(at) {
            Some(b' ' | b'\t' | b'\n' | b'\r') => at += 1,
            Some(b'\\') if depth > 0 => {
                let letter = at + bytes[at..].iter().take_while(|byte| **byte == b'\\').count();
                if !matches!(bytes.get(letter), Some(b'n' | b't' | b'r')) {
                    return at;
                }
                at = letter + 1;
            }
            _ => return at,
        }
    }
}

/// What is to be hidden of the value at `at`, and whether quotes stand around it already; and where to go on.
fn value(text: &str, at: usize, depth: u32) -> (Option<(Range<usize>, bool)>, usize) {
    let bytes = text.as_bytes();
    let backslashes = bytes[at..].iter().take_while(|byte| **byte == b'\\').count();
    if bytes.get(at + backslashes) == Some(&b'"') {
        let begin = at + backslashes + 1;
        if (backslashes + 1).trailing_zeros() != depth {
            // What is around it ends here.
            return (None, at);
        }
        let (end, next) = close(text, begin, depth).map_or((text.len(), text.len()), |end| {
            (end.begin, if end.depth == depth { end.end } else { end.begin })
        });
        let shown = begin == end || &text[begin..end] == REDACTED;
        return ((!shown).then_some((begin..end, true)), next);
    }
    let end = match bytes.get(at) {
        Some(b'{' | b'[') => closed(text, at, depth),
        _ => {
            let ends =
                |byte: &u8| matches!(byte, b',' | b'}' | b']' | b'"' | b'\\') || byte.is_ascii_whitespace();
            at + bytes[at..].iter().position(ends).unwrap_or(bytes.len() - at)
        }
    };
    let shown = matches!(&text[at..end], "" | "true" | "false" | "null");
    ((!shown).then_some((at..end, false)), end)
}

/// Behind the object or array that begins at `at`, or where what is around it ends first.
fn closed(text: &str, mut at: usize, depth: u32) -> usize {
    let bytes = text.as_bytes();
    let mut open = 0usize;
    while let Some(found) = bytes[at..].iter().position(|b| matches!(b, b'{' | b'[' | b'}' | b']' | b'"')) {
        let here = at + found;
        match bytes[here] {
            b'{' | b'[' => open += 1,
            b'}' | b']' => open -= 1,
            _ => {
                let Some(begin) = quote(text, at) else { return text.len() };
                if begin.depth < depth {
                    return begin.begin;
                }
                match close(text, begin.end, begin.depth) {
                    Some(end) if end.depth >= depth => at = end.end,
                    Some(end) => return end.begin,
                    None => return text.len(),
                }
                continue;
            }
        }
        at = here + 1;
        if open == 0 {
            return at;
        }
    }
    text.len()
}

/// A name without its escapes.
fn plain(name: &str) -> Cow<'_, str> {
    if !name.contains('\\') {
        return Cow::Borrowed(name);
    }
    let mut plain = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        rest = rest[at..].trim_start_matches('\\');
        let code = rest.strip_prefix('u').and_then(|hex| hex.get(..4));
        if let Some(code) = code.and_then(|hex| u32::from_str_radix(hex, 16).ok()) {
            plain.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            rest = &rest[5..];
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn masked(text: &str) -> String {
        let mut out = format!("before {text}");
        mask(&mut out, "before ".len());
        out.strip_prefix("before ").unwrap().to_owned()
    }

    #[test]
    fn members_named_like_secrets_lose_their_value() {
        for (text, want) in [
            (
                r#"node said: {"error":{"api_key":"hush"}}"#,
                r#"node said: {"error":{"api_key":"[REDACTED]"}}"#,
            ),
            (r#"{"a":1,"Token" : "hush" ,"b":2}"#, r#"{"a":1,"Token" : "[REDACTED]" ,"b":2}"#),
            (r#"{"total_tokens":12,"token":12}"#, r#"{"total_tokens":12,"token":"[REDACTED]"}"#),
            (r#"{"secret":{"a":["}",{"b":"\"]"}]},"c":"d"}"#, r#"{"secret":"[REDACTED]","c":"d"}"#),
            (r#"{"keys":[{"key":"hush"}]}"#, r#"{"keys":[{"key":"[REDACTED]"}]}"#),
            (r#"{"password":"a\"hush","b":"c"}"#, r#"{"password":"[REDACTED]","b":"c"}"#),
            (r#"{"password":"hush\\","b":"c"}"#, r#"{"password":"[REDACTED]","b":"c"}"#),
            (r#"{"password":null,"key":true,"cookie":""}"#, r#"{"password":null,"key":true,"cookie":""}"#),
            (r#"{"pass\u0077ord":"hush"}"#, r#"{"pass\u0077ord":"[REDACTED]"}"#),
            // Cut short.
            (r#"{"api_key":"hus"#, r#"{"api_key":"[REDACTED]"#),
            (r#"{"secret":{"a":"hus…"#, r#"{"secret":"[REDACTED]""#),
            (r#"{"api_key":"#, r#"{"api_key":"#),
            // One level down, and two, and pretty.
            (
                r#"{"error":"it said {\"api_key\":\"hush\"} then"}"#,
                r#"{"error":"it said {\"api_key\":\"[REDACTED]\"} then"}"#,
            ),
            (r#""{\n  \"key\":\n \"hush\"}""#, r#""{\n  \"key\":\n \"[REDACTED]\"}""#),
            (
                r#""{\"a\":\"{\\\"key\\\":\\\"hush\\\"}\"}""#,
                r#""{\"a\":\"{\\\"key\\\":\\\"[REDACTED]\\\"}\"}""#,
            ),
            (r#"{"a":"{\"key\":123}","b":1}"#, r#"{"a":"{\"key\":\"[REDACTED]\"}","b":1}"#),
            (r#"{"a":"{\"key\":\"hu","b":"c"}"#, r#"{"a":"{\"key\":\"[REDACTED]","b":"c"}"#),
            (r#"{"a":"{\"key\":[1,\"hu","b":"c"}"#, r#"{"a":"{\"key\":\"[REDACTED]\"","b":"c"}"#),
            // Not members.
            (r#"the "key": is it"#, r#"the "key": "[REDACTED]" it"#),
            (
                r#"{"type":"token","message":"no key: given"}"#,
                r#"{"type":"token","message":"no key: given"}"#,
            ),
            (r#"say "key", "token""#, r#"say "key", "token""#),
        ] {
            assert_eq!(masked(text), want);
        }
    }

    /// JSON with names of both kinds; the values of the sensitive ones, and nothing else, are marked.
    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<i32>().prop_map(|n| json!(n)),
            "[a-z\"\\\\{}:, \n]{0,8}".prop_map(|text| json!(text)),
        ];
        leaf.prop_recursive(4, 40, 4, |inner| {
            let name = prop_oneof![
                Just("api_key"),
                Just("PassWord"),
                Just("total_tokens"),
                Just("message"),
                Just("x\"y"),
                Just("")
            ];
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                proptest::collection::vec((name, inner.clone()), 0..4).prop_map(|list| Value::Object(
                    list.into_iter().map(|(n, v)| (n.to_owned(), v)).collect()
                )),
                inner.prop_map(|value| json!(value.to_string())),
            ]
        })
    }

    /// What is to become of it.
    fn expected(value: &Value) -> Value {
        match value {
            Value::Array(list) => list.iter().map(expected).collect(),
            Value::Object(map) => map
                .iter()
                .map(|(name, value)| {
                    let shown = matches!(value, Value::Null | Value::Bool(_)) || value == "";
                    let value = if hides(name) && !shown { json!(REDACTED) } else { expected(value) };
                    (name.clone(), value)
                })
                .collect(),
            Value::String(text) => {
                let inner = serde_json::from_str::<Value>(text).ok();
                let inner = inner.map(|inner| (inner.to_string(), inner));
                match inner {
                    Some((whole, inner)) if whole == *text => json!(expected(&inner).to_string()),
                    _ => value.clone(),
                }
            }
            _ => value.clone(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        #[test]
        fn json_keeps_its_form_at_any_depth(value in any_json()) {
            let text = format!("node said: {value}");
            prop_assert_eq!(masked(&text), format!("node said: {}", expected(&value)));
        }

        #[test]
        fn whatever_it_is_it_neither_panics_nor_changes_twice(
            text in prop_oneof![
                any::<String>(),
                "(\"|\\\\|\\\\\"|:|,|\\{|\\}|\\[|\\]|key|é|1| |n){0,40}",
                "([{\\[]\"a\":)?\\\\{0,3}\"(api_key|token|a)\\\\{0,3}\": ?\\\\{0,3}[\"{\\[0-9]?[a-z\"\\\\}]{0,12}",
            ],
        ) {
            let once = masked(&text);
            prop_assert_eq!(masked(&once), once.clone());
            let mut both = text;
            super::super::scrub(&mut both, 0);
            let once = both.clone();
            super::super::scrub(&mut both, 0);
            prop_assert_eq!(both, once);
        }

        #[test]
        fn texts_without_such_names_stay_as_they_are(
            text in "(\"|\\\\|\\\\\"|:|,|\\{|\\}|\\[|\\]|message|count|é|1| |\n){0,60}",
        ) {
            prop_assert_eq!(masked(&text), text);
        }
    }

    #[test]
    fn hostile_texts_take_no_longer_than_others() {
        for part in ["\"", "\\\"", "{\"key\":", "[\"a\",", "\"key\":{\"", "\\", "\"key\":\\"] {
            let text = part.repeat(200_000 / part.len());
            assert_eq!(masked(&masked(&text)), masked(&text));
        }
        // Ever deeper.
        let deep: String = (0..17).map(|depth| "\\".repeat((1 << depth) - 1) + "\"key").collect();
        assert_eq!(masked(&deep), deep);
    }
}
