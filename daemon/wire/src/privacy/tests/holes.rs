//! What passes for something else: numbers that are none, data that is text, text that is spelled otherwise.

use aivonx_protocol::organization::PrivacyMode;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{privacy, redact, redacted};
use crate::privacy::{Blocked, body::Unsearchable, redact_text};

fn text(text: &str) -> String {
    redact_text(&privacy(PrivacyMode::Redact), text).unwrap().0
}

#[test]
fn only_what_is_json_is_taken_apart_as_json() {
    for (sent, wanted) in [
        ("[123-45-6789]", "[[REDACTED_SSN]]"),
        ("[4111-1111-1111-1111, 5500-0000-0000-0004]", "[[REDACTED_CARD], [REDACTED_CARD]]"),
        (
            r#"{"ssn": 123-45-6789, "phone": 555-123-4567}"#,
            r#"{"ssn": [REDACTED_SSN], "phone": [REDACTED_PHONE]}"#,
        ),
        ("[4111111111111111, NaN]", "[[REDACTED_CARD], NaN]"),
        ("[4111111111111111.0, Infinity]", "[[REDACTED_CARD].0, Infinity]"),
        ("{'card': 4111111111111111}", "{'card': [REDACTED_CARD]}"),
        ("{\"a\": 4111111111111111e0, // x\n}", "{\"a\": [REDACTED_CARD]e0, // x\n}"),
        ("[+4111111111111111,]", "[+[REDACTED_CARD],]"),
        ("{\"a\":1}\n{\"a\":4111111111111111}", "{\"a\":1}\n{\"a\":[REDACTED_CARD]}"),
        // Escapes of what a lenient reader takes for JSON.
        (r#"{"a": NaN, "b": "bob\u0040example.com"}"#, r#"{"a": NaN, "b": "[REDACTED_EMAIL]"}"#),
        (
            r#"{"a": NaN, "b": "{\"c\": \"call\\n555-123-4567\"}"}"#,
            r#"{"a": NaN, "b": "{\"c\": \"call\\n[REDACTED_PHONE]\"}"}"#,
        ),
        (r#""bob\u0040example.com""#, r#""[REDACTED_EMAIL]""#),
        // Numbers alone.
        ("4111111111111111.0", "[REDACTED_CARD].0"),
        ("-4111111111111111", "-[REDACTED_CARD]"),
        ("4111111111111111e0", "[REDACTED_CARD]e0"),
        (" 4.111111111111111e15", " [REDACTED_CARD]"),
    ] {
        assert_eq!(text(sent), wanted, "{sent}");
    }
}

#[test]
fn numbers_of_json_are_searched_by_their_worth() {
    for number in [
        "4111111111111111",
        "-4111111111111111",
        "4111111111111111.0",
        "4111111111111111.25",
        "4111111111111111e0",
        "4.111111111111111E+15",
        "41111111111111110e-1",
        // What a strict node refuses another may read.
        "4111-1111-1111-1111",
        "04111111111111111",
    ] {
        for body in
            [r#"{"x":@}"#, r#"{"messages":[{"tool_calls":[{"function":{"arguments":{"a":[{"b":@}]}}}]}]}"#]
        {
            assert_eq!(
                redact(&body.replace('@', number)),
                body.replace('@', "\"[REDACTED_CARD]\""),
                "{number}"
            );
        }
        let strict = serde_json::from_str::<Value>(number).is_ok();
        let inner = redact(&json!({"x": format!("{{\"a\":{number}}}")}).to_string());
        let inner: Value = serde_json::from_str(&inner).unwrap();
        let inner = inner["x"].as_str().unwrap();
        assert!(inner.contains("[REDACTED_CARD]") && !inner.contains("4111"), "{inner}");
        assert_eq!(serde_json::from_str::<Value>(inner).is_ok(), strict, "{inner}");
    }
    assert_eq!(redact(r#"{"x":{"ssn":-123456789.0}}"#), r#"{"x":{"ssn":"[REDACTED_SSN]"}}"#);
    assert_eq!(redact(r#"{"x":{"s\u0073n":123456789}}"#), r#"{"x":{"s\u0073n":"[REDACTED_SSN]"}}"#);
    assert_eq!(redact(r#"{"x":{"ss\u006E":"123456789"}}"#), r#"{"x":{"ss\u006E":"[REDACTED_SSN]"}}"#);
    assert_eq!(redact(r#"{"x":{"ssn":123-45-6789}}"#), r#"{"x":{"ssn":"[REDACTED_SSN]"}}"#);
    let body = r#"{"x":[0.4111111111111111,1e300,1.7e12]}"#;
    assert_eq!(redact(body), body);
}

#[test]
fn numbers_of_an_array_are_searched_together() {
    let four = r#"["[REDACTED_CARD]", "[REDACTED_CARD]","[REDACTED_CARD]","[REDACTED_CARD]"]"#;
    for (sent, wanted) in [
        ("[4111, 1111,1111,1111]", four.to_owned()),
        (r#"["4111", 1111,"1111",1111]"#, four.to_owned()),
        ("[12,4111,1111,1111,1111,12]", format!("[12,{},12]", ["\"[REDACTED_CARD]\""; 4].join(","))),
        ("[4,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", format!("[{}]", ["\"[REDACTED_CARD]\""; 16].join(","))),
        (r#"["41111111","11111111"]"#, r#"["[REDACTED_CARD]","[REDACTED_CARD]"]"#.to_owned()),
        (r#"[12,"4111111111111111",12]"#, r#"[12,"[REDACTED_CARD]",12]"#.to_owned()),
        ("[123,45,6789]", format!("[{}]", ["\"[REDACTED_SSN]\""; 3].join(","))),
        // Codes of characters.
        ("[98,111,98,64,101,120,46,99,111]", format!("[{}]", ["\"[REDACTED_EMAIL]\""; 9].join(","))),
        (
            "[[1,2,3],[555,10],{\"a\":4111},1111,1111,1111]",
            "[[1,2,3],[555,10],{\"a\":4111},1111,1111,1111]".to_owned(),
        ),
        ("[0,0,0,1,0,640,480,3,0]", "[0,0,0,1,0,640,480,3,0]".to_owned()),
    ] {
        let body =
            |list: &str| format!(r#"{{"messages":[{{"tool_calls":[{{"arguments":{{"a":{list}}}}}]}}]}}"#);
        assert_eq!(redact(&body(sent)), body(&wanted));
        let inside = |list: &str| json!({"x": list}).to_string();
        assert_eq!(redact(&inside(sent)), inside(&wanted));
    }
}

#[test]
fn the_words_of_an_api_are_no_place_to_hide_in() {
    for key in ["role", "type", "format", "object", "keep_alive"] {
        for (secret, marker) in [
            ("4111-1111-1111-1111", "[REDACTED_CARD]"),
            ("123-45-6789", "[REDACTED_SSN]"),
            ("aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zC", "[REDACTED_KEY]"),
        ] {
            for body in
                [format!(r#"{{"{key}":"@"}}"#), format!(r#"{{"messages":[{{"{key}":"@","content":"x"}}]}}"#)]
            {
                assert_eq!(redact(&body.replace('@', secret)), body.replace('@', marker));
            }
        }
    }
}

fn refused(body: &str) -> Unsearchable {
    match redacted(body) {
        Err(Blocked::Unsearchable(why)) => why,
        other => panic!("{body}: {other:?}"),
    }
}

#[test]
fn tokens_and_vectors_in_place_of_text_are_refused_wherever_they_stand() {
    use Unsearchable::Tokens as T;
    for (body, name) in [
        (r#"{"messages":[{"role":"user","content":[1,2,3]}]}"#, "content"),
        (r#"{"messages":[{"role":"user","Content":[1,2,3]}]}"#, "content"),
        (r#"{"messages":[{"content":[{"type":"text","text":[1]}]}]}"#, "text"),
        (r#"{"messages":[1,2]}"#, "messages"),
        (r#"{"system":[1,2]}"#, "system"),
        (r#"{"prompt":[12,"x",13]}"#, "prompt"),
        (r#"{"prompt":{"prompt_token_ids":[1]}}"#, "prompt_token_ids"),
        (r#"{"prompt_token_ids":[1,2,3]}"#, "prompt_token_ids"),
        (r#"{"input_ids":[[1,2,3]]}"#, "input_ids"),
        (r#"{"input":[{"content":[1]}]}"#, "content"),
        (r#"{"prompt":"","prompt_embeds":"QUJDREVGR0hJSktMTU5P"}"#, "prompt_embeds"),
        (r#"{"prompt_embeds":[[0.25,1.5]]}"#, "prompt_embeds"),
        (r#"{"input_embeds":{"data":[0.25]}}"#, "input_embeds"),
    ] {
        assert_eq!(refused(body), T(name), "{body}");
    }
    for body in [
        r#"{"messages":[{"tool_calls":[{"function":{"arguments":{"content":[1,2,3]}}}]}]}"#,
        r#"{"tools":[{"function":{"parameters":{"properties":{"text":{"enum":[1,2,3]}}}}}]}"#,
        r#"{"format":{"properties":{"content":{"enum":[1,2,3]}}}}"#,
    ] {
        assert_eq!(redact(body), body);
    }
}

#[test]
fn data_is_searched_unless_it_is_an_image_or_sound() {
    let part = |key: &str, value: &str| json!({"messages": [{"content": [{key: value}]}]}).to_string();
    for (key, sent, wanted) in [
        ("data", "4111111111111111\n5500000000000004", "[REDACTED_CARD]\n[REDACTED_CARD]".to_owned()),
        (
            "data",
            &"4111111111111111\n5500000000000004\n".repeat(5),
            "[REDACTED_CARD]\n[REDACTED_CARD]\n".repeat(5),
        ),
        ("url", "data:text/plain,ssn%20123%2D45%2D6789", "data:text/plain,ssn%20[REDACTED_SSN]".to_owned()),
        (
            "url",
            "https://x.example/?mail=bob%40example.com&a=1",
            "https://x.example/?mail=[REDACTED_EMAIL]&a=1".to_owned(),
        ),
        // Text in base64 is put back into it.
        ("data", &STANDARD.encode("mail bob@example.com"), STANDARD.encode("mail [REDACTED_EMAIL]")),
        (
            "file_data",
            &format!("data:text/plain;base64,{}", STANDARD.encode("[123-45-6789]")),
            format!("data:text/plain;base64,{}", STANDARD.encode("[[REDACTED_SSN]]")),
        ),
        ("data", &STANDARD.encode("nothing of note is in it"), STANDARD.encode("nothing of note is in it")),
        // Under any other key, too, and more than once.
        (
            "text",
            &STANDARD.encode("4111111111111111 ".repeat(20)),
            STANDARD.encode("[REDACTED_CARD] ".repeat(20)),
        ),
        ("url", &STANDARD.encode("123-45-6789 ".repeat(20)), STANDARD.encode("[REDACTED_SSN] ".repeat(20))),
        (
            "text",
            &STANDARD.encode(STANDARD.encode("123-45-6789 ".repeat(20))),
            STANDARD.encode(STANDARD.encode("[REDACTED_SSN] ".repeat(20))),
        ),
        // Shorter than what is taken for data.
        ("data", "aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zC", "[REDACTED_KEY]".to_owned()),
        ("signature", &"4111111111111111\n".repeat(5), "[REDACTED_CARD]\n".repeat(5)),
    ] {
        assert_eq!(redact(&part(key, sent)), part(key, &wanted), "{key} {sent}");
    }
    let image = format!("iVBORw0KGgoAAAANSUhEUgAA{}", "4111111111111111/+aB3dE6gH9jK2".repeat(9));
    for (key, sent) in [
        ("data", image.clone()),
        ("url", format!("data:image/png;base64,{image}")),
        // Sound without a head.
        ("data", STANDARD.encode((0..6000u32).map(|n| ((n * n * 7) >> 3) as u8 | 0x80).collect::<Vec<_>>())),
    ] {
        let body = part(key, &sent);
        assert_eq!(redact(&body), body);
    }
    for (key, sent) in [
        ("data", STANDARD.encode("%PDF-1.4 whatever it is")),
        ("data", STANDARD.encode("\0\u{1}\u{2} the mail is bob@example.com \0")),
        ("url", "data:;base64,Ym9iQGV4YW1w%62GUuY29t".to_owned()),
        (
            "data",
            STANDARD.encode(
                "bob"
                    .encode_utf16()
                    .chain("@example.com".encode_utf16())
                    .flat_map(u16::to_le_bytes)
                    .collect::<Vec<_>>(),
            ),
        ),
    ] {
        assert_eq!(refused(&part(key, &sent)), Unsearchable::Document, "{sent}");
    }
}

#[test]
fn what_is_spelled_otherwise_is_found() {
    for (sent, wanted) in [
        (
            "bob\u{200b}@example.com 4111\u{200b}1111\u{200b}1111\u{200b}1111",
            "[REDACTED_EMAIL] [REDACTED_CARD]",
        ),
        ("41\u{ad}11\u{2060}1111111\u{feff}11111", "[REDACTED_CARD]"),
        ("123\u{200b}-45-6789 and 123\u{200b}45\u{200b}6789", "[REDACTED_SSN] and [REDACTED_SSN]"),
        (
            "４１１１１１１１１１１１１１１１ 123－45－6789 bob＠example．com",
            "[REDACTED_CARD] [REDACTED_SSN] [REDACTED_EMAIL]",
        ),
        ("٤١١١ ١١١١ ١١١١ ١١١١", "[REDACTED_CARD]"),
        ("𝟺𝟷𝟷𝟷𝟷𝟷𝟷𝟷𝟷𝟷𝟷𝟷𝟷𝟷𝟷𝟷", "[REDACTED_CARD]"),
        ("4\u{336}1\u{336}11111111111111", "[REDACTED_CARD]"),
        ("иван@example.com, bob@пример.рф", "[REDACTED_EMAIL], [REDACTED_EMAIL]"),
        ("用户@例子.公司", "[REDACTED_EMAIL]"),
        ("4111.1111.1111.1111 4111/1111/1111/1111", "[REDACTED_CARD] [REDACTED_CARD]"),
        ("4111 - 1111 - 1111 - 1111", "[REDACTED_CARD]"),
        (
            "4111111111111111/123 and 4111111111111111-5500000000000004",
            "[REDACTED_CARD]/123 and [REDACTED_CARD]-[REDACTED_CARD]",
        ),
        ("123.45.6789, 123/45/6789; 123 45 6789", "[REDACTED_SSN], [REDACTED_SSN]; [REDACTED_SSN]"),
        ("555/123/4567 or 555.123.4567", "[REDACTED_PHONE] or [REDACTED_PHONE]"),
        ("bob%40example.com bob&#64;example.com", "[REDACTED_EMAIL] [REDACTED_EMAIL]"),
        ("bob\\@example.com 123\\-45\\-6789", "[REDACTED_EMAIL] [REDACTED_SSN]"),
        ("4111\u{0}1111\u{1}11111111", "[REDACTED_CARD]"),
    ] {
        assert_eq!(text(sent), wanted, "{sent}");
        let body = |text: &str| json!({"messages": [{"content": text}]});
        let out: Value = serde_json::from_str(&redact(&body(sent).to_string())).unwrap();
        assert_eq!(out, body(wanted), "{sent}");
    }
}

#[test]
fn tmp_bearer() {
    for name in ["Bearer ", "content"] {
        for value in [
            "0123456789abcdefdXNlcjpwdw==4111 1111 1111 1111",
            "Bearer 0123456789abcdefdXNlcjpwdw==4111 1111 1111 1111",
        ] {
            for body in [
                json!({"messages": [{"content": {name: value}}]}),
                json!({"messages": [{"content": [{name: [value]}]}]}),
                json!({"messages": [{"content": {"arguments": {name: value}}}]}),
                json!({"messages": [{"content": [name, value]}]}),
            ] {
                let once = redact(&body.to_string());
                println!("{body} -> {once} -> {}", redact(&once));
            }
        }
    }
}
