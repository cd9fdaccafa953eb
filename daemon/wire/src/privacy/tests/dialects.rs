//! What is searched of each dialect's bodies, and what is not.

use aivonx_protocol::{organization::PrivacyMode, privacy::Category};

use super::{privacy, redact, redacted};
use crate::{
    api::Edits,
    privacy::{Blocked, body::Unsearchable, screen},
};

#[test]
fn every_prompt_of_every_dialect_is_searched() {
    for body in [
        r#"{"model":"m","prompt":"@","system":"x","options":{"num_ctx":8192}}"#,
        r#"{"model":"m","system":"@"}"#,
        r#"{"model":"m","suffix":"@","raw":true}"#,
        r#"{"model":"m","template":"@"}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"@"}]}"#,
        r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"@"}]}]}"#,
        r#"{"model":"m","messages":[{"role":"tool","tool_name":"x","content":"@"}]}"#,
        r#"{"model":"m","messages":[{"role":"assistant","thinking":"@"}]}"#,
        r#"{"model":"m","messages":[{"tool_calls":[{"function":{"name":"f","arguments":{"to":"@"}}}]}]}"#,
        r#"{"model":"m","messages":[{"tool_calls":[{"id":"c","function":{"arguments":"{\"to\":\"@\"}"}}]}]}"#,
        r#"{"model":"m","tools":[{"type":"function","function":{"name":"f","description":"@"}}]}"#,
        r#"{"model":"m","input":"@"}"#,
        r#"{"model":"m","input":["x","@"]}"#,
        r#"{"model":"m","prompt":["x","@"]}"#,
        r#"{"model":"m","instructions":"@","input":[]}"#,
        r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"@"}]}]}"#,
        r#"{"model":"m","input":[{"type":"function_call_output","call_id":"c","output":"@"}]}"#,
        r#"{"model":"m","system":[{"type":"text","text":"@"}]}"#,
        r#"{"model":"m","messages":[{"content":[{"type":"tool_use","id":"t","input":{"role":"@"}}]}]}"#,
        r#"{"model":"m","messages":[{"content":[{"type":"tool_result","content":[{"text":"@"}]}]}]}"#,
        r#"{"model":"m","messages":[{"content":[{"source":{"type":"text","data":"@"}}]}]}"#,
        r#"{"model":"m","user":"@"}"#,
        r#"{"model":"m","metadata":{"user_id":"@"}}"#,
        r#"{"model":"m","stop":["@"]}"#,
        r#"{"model":"m","format":{"properties":{"x":{"description":"@"}}}}"#,
        r#"{"model":"m","messages":[{"role":"@","content":""}]}"#,
        r#"{"model":"m","messages":[{"content":[{"image_url":{"url":"https://@/x.png"}}]}]}"#,
        r#"{"model":"m","messages":[{"tool_calls":[{"function":{"arguments":{"@":1}}}]}]}"#,
        r#"{"model":"m","Prompt":"@"}"#,
    ] {
        let sent = body.replace('@', "bob@example.com");
        assert_eq!(redact(&sent), body.replace('@', "[REDACTED_EMAIL]"), "{body}");
        let escaped = body.replace('@', r"b\u006fb\u0040example\u002ecom");
        // Inside a string of JSON an escape is escaped itself.
        let escaped = if body.contains("\\\"") { escaped.replace("\\u", "\\\\u") } else { escaped };
        assert_eq!(redact(&escaped), body.replace('@', "[REDACTED_EMAIL]"), "{body}");
    }
}

#[test]
fn what_is_structure_stays() {
    let key = "aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zC";
    let png =
        format!("iVBORw0KGgoAAAANSUhEUgAA{}", "4111111111111111/+aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zC".repeat(9));
    for body in [
        r#"{"model":"bob@example.com"}"#.to_owned(),
        format!(r#"{{"model":"hf.co/x/y:{key}"}}"#),
        format!(r#"{{"messages":[{{"images":["{png}"]}}]}}"#),
        format!(
            r#"{{"messages":[{{"content":[{{"image_url":{{"url":"data:image/png;base64,{png}"}}}}]}}]}}"#
        ),
        format!(r#"{{"messages":[{{"content":[{{"source":{{"type":"base64","data":"{png}"}}}}]}}]}}"#),
        format!(
            r#"{{"messages":[{{"tool_calls":[{{"id":"call_{key}"}}]}},{{"tool_call_id":"call_{key}"}}]}}"#
        ),
        format!(r#"{{"messages":[{{"content":[{{"type":"thinking","signature":"{}"}}]}}]}}"#, key.repeat(4)),
        r#"{"options":{"seed":4111111111111112},"seed":1234567890123456,"max_tokens":2125550147,"num_ctx":131072}"#
            .to_owned(),
        r#"{"format":"json","messages":[{"role":"user","type":"input_text"},{"type":"web_search_20250305"}]}"#.to_owned(),
        r#"{"stop_token_ids":[128001,128009],"logit_bias":{"128001":-100},"zz":[1,2],"temperature":1.50e0}"#.to_owned(),
    ] {
        assert_eq!(redact(&body), body);
    }
    // But an id is no place to hide in.
    assert_eq!(
        redact(r#"{"messages":[{"id":"bob@example.com"}]}"#),
        r#"{"messages":[{"id":"[REDACTED_EMAIL]"}]}"#
    );
    assert_eq!(
        redact(concat!(r#"{"messages":[{"data":"AKIA"#, r#"IOSFODNN7EXAMPLE"}]}"#)),
        r#"{"messages":[{"data":"[REDACTED_KEY]"}]}"#
    );
}

#[test]
fn arguments_stay_json() {
    for (sent, wanted) in [
        // A number in arguments becomes a string.
        (
            r#"{"x":{"arguments":{"card":4111111111111111}}}"#,
            r#"{"x":{"arguments":{"card":"[REDACTED_CARD]"}}}"#,
        ),
        (
            r#"{"x":{"arguments":"{\"card\": 4111111111111111, \"n\": 1}"}}"#,
            r#"{"x":{"arguments":"{\"card\": \"[REDACTED_CARD]\", \"n\": 1}"}}"#,
        ),
        (
            r#"{"x":"[{\"y\":\"{\\\"card\\\":4111111111111111}\"}]"}"#,
            r#"{"x":"[{\"y\":\"{\\\"card\\\":\\\"[REDACTED_CARD]\\\"}\"}]"}"#,
        ),
        (r#"{"x":{"ssn":123456789,"n":123456789}}"#, r#"{"x":{"ssn":"[REDACTED_SSN]","n":123456789}}"#),
        (r#"{"x":{"phone_number":"2125550147"}}"#, r#"{"x":{"phone_number":"[REDACTED_PHONE]"}}"#),
        (r#"{"x":"{broken 4111111111111111}"}"#, r#"{"x":"{broken [REDACTED_CARD]}"}"#),
        (r#"{"x":"[4111111111111111"}"#, r#"{"x":"[[REDACTED_CARD]"}"#),
        // No escape of JSON: text after all.
        (r#"{"x":"{\"a\":\"\\q bob@example.com\"}"}"#, r#"{"x":"{\"a\":\"\\q [REDACTED_EMAIL]\"}"}"#),
    ] {
        assert_eq!(redact(sent), wanted);
    }
}

#[test]
fn escapes_and_surrogates_are_read_as_nodes_read_them() {
    for (sent, wanted) in [
        (
            r#"{"x":"\ud83d\ude00bob\u0040example.com\ud83d\ude00"}"#,
            r#"{"x":"\ud83d\ude00[REDACTED_EMAIL]\ud83d\ude00"}"#,
        ),
        (r#"{"x":"\ud83d bob@example\u002Ecom \ude00"}"#, r#"{"x":"\ud83d [REDACTED_EMAIL] \ude00"}"#),
        (r#"{"x":"j\u00f6rg@example.com"}"#, r#"{"x":"[REDACTED_EMAIL]"}"#),
        (r#"{"x":"a\nbob@example.com\tb\/c"}"#, r#"{"x":"a\n[REDACTED_EMAIL]\tb\/c"}"#),
        (r#"{"x":"\u0034111\u00a01111\u00201111-1112"}"#, r#"{"x":"\u0034111\u00a01111\u00201111-1112"}"#),
        (r#"{"x":"\u0034111\u00a01111\u00201111 1111"}"#, r#"{"x":"[REDACTED_CARD]"}"#),
        (
            r#"{"x":"-----BEGIN PRIVATE KEY-----\nMIIB\nAAAA\n-----END PRIVATE KEY-----\n."}"#,
            r#"{"x":"[REDACTED_KEY]\n."}"#,
        ),
    ] {
        assert_eq!(redact(sent), wanted);
    }
}

fn refused(body: &str) -> Unsearchable {
    match redacted(body) {
        Err(Blocked::Unsearchable(why)) => why,
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn what_cannot_be_searched_is_refused() {
    use Unsearchable as U;
    assert_eq!(refused(r#"{"context":[1,2,3]}"#), U::Tokens("context"));
    assert_eq!(refused(r#"{"cont\u0065xt":[1]}"#), U::Tokens("context"));
    assert_eq!(refused(r#"{"input":[[1,2],[3]]}"#), U::Tokens("input"));
    assert_eq!(refused(r#"{"prompt":[1]}"#), U::Tokens("prompt"));
    assert!(matches!(refused(r#"{"x":"C:\qqqqqqqqq"}"#), U::Malformed(_)));
    assert_eq!(refused(r#"{"messages":[{"data":"JVBERi0xLjQKJeLjz9MK"}]}"#), U::Document);
    let mut deep = r#"[\"bob@example.com\"]"#.replace('\\', "");
    for _ in 0..8 {
        deep = format!("[{}]", serde_json::Value::String(deep));
    }
    assert_eq!(refused(&format!(r#"{{"x":{deep}}}"#)), U::Level);
    let mut edits = Edits::default();
    let bad = b"{\"x\":\"bob\xff@example.com\"}";
    assert_eq!(
        screen(&privacy(PrivacyMode::Redact), bad, &mut edits),
        Err(Blocked::Unsearchable(Unsearchable::Encoding))
    );
    // To look at it is not to refuse it.
    for body in [r#"{"context":[1,2,3]}"#, r#"{"x":"C:\q"}"#] {
        assert_eq!(screen(&privacy(PrivacyMode::Detect), body.as_bytes(), &mut edits).unwrap().total(), 0);
    }
    assert_eq!(redact(r#"{"context":[],"prompt":null}"#), r#"{"context":[],"prompt":null}"#);
}

#[test]
fn modes_differ_in_what_is_done() {
    let body = br#"{"prompt":"bob@example.com 4111111111111111 bob@example.com"}"#;
    let run = |mode| {
        let mut edits = Edits::default();
        (screen(&privacy(mode), body, &mut edits), edits.is_empty())
    };
    assert!(matches!(run(PrivacyMode::Off), (Ok(found), true) if found.total() == 0));
    let (found, unchanged) = run(PrivacyMode::Detect);
    let found = found.unwrap();
    assert_eq!((found.of(Category::Email), found.of(Category::Card), unchanged), (2, 1, true));
    assert!(matches!(run(PrivacyMode::Redact), (Ok(same), false) if same == found));
    let (blocked, unchanged) = run(PrivacyMode::Block);
    let why = blocked.unwrap_err();
    assert_eq!((why.clone(), unchanged), (Blocked::Found(found), true));
    assert_eq!(why.to_string(), "the prompt contains email, card; remove it and try again");
}
