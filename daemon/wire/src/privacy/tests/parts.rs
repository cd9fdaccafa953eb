//! What is spread over several values, stands in base64 within others, or passes for a parameter or for state.

use aivonx_protocol::{organization::PrivacyMode, privacy::Category};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE},
};
use serde_json::{Value, json};

use super::{privacy, redact, redacted};
use crate::privacy::{Blocked, body::Unsearchable, redact_text};

const SECRET: &str = "my ssn is 123-45-6789 and my card is 4111111111111111";
const CLEAN: &str = "my ssn is [REDACTED_SSN] and my card is [REDACTED_CARD]";

fn refused(body: &str) -> Unsearchable {
    match redacted(body) {
        Err(Blocked::Unsearchable(why)) => why,
        other => panic!("{body}: {other:?}"),
    }
}

fn message(content: &str) -> String {
    format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":{content}}},{{"role":"user","content":"x"}}]}}"#
    )
}

#[test]
fn digits_spread_over_the_values_of_a_message_are_read_together() {
    const C: &str = "[REDACTED_CARD]";
    for (sent, wanted) in [
        (
            r#"[{"type":"text","text":"4111"},{"type":"text","text":"1111 1111 1111"}]"#,
            r#"[{"type":"text","text":"@"},{"type":"text","text":"@"}]"#,
        ),
        (
            r#"[{"type":"text","text":"my card is 411111"},{"type":"text","text":"1111111111, bill it"}]"#,
            r#"[{"type":"text","text":"my card is @"},{"type":"text","text":"@, bill it"}]"#,
        ),
        (
            r#"[{"text":"mail bob@example.com or 4\u00311\u0031 1111"},{"text":"\u00311\u00311 1111"}]"#,
            r#"[{"text":"mail [REDACTED_EMAIL] or @"},{"text":"@"}]"#,
        ),
        (r#"{"a":"4111","b":"1111","c":"1111","d":"1111"}"#, r#"{"a":"@","b":"@","c":"@","d":"@"}"#),
        (
            r#"{"a":4111,"b":1111,"c":1111,"d":1111,"cvv":123}"#,
            r#"{"a":"@","b":"@","c":"@","d":"@","cvv":123}"#,
        ),
        (r#"{"first":"4111 1111","last":"1111-1111"}"#, r#"{"first":"@","last":"@"}"#),
        (
            r#"{"x":[{"n":"4111"},{"n":"1111"},{"n":"1111"},{"n":"1111"}]}"#,
            r#"{"x":[{"n":"@"},{"n":"@"},{"n":"@"},{"n":"@"}]}"#,
        ),
        (r#"["4111 1111","1111 1111"]"#, r#"["@","@"]"#),
        (r#""{\"a\":\"4111\",\"b\":\"1111 1111 1111\"}""#, r#""{\"a\":\"@\",\"b\":\"@\"}""#),
    ] {
        assert_eq!(redact(&message(sent)), message(&wanted.replace('@', C)), "{sent}");
        let (once, findings) = redacted(&message(sent)).unwrap();
        assert_eq!((redact(&once), findings.of(Category::Card)), (once, 1));
    }
    for sent in [
        r#"[{"x":2100,"y":1200,"w":3000,"h":1000},{"x":4111,"y":1111,"w":1111,"h":1111},{"x":4111,"y":1111,"w":1111,"h":1}]"#,
        r#"{"a":"4111","b":"text","c":"1111 1111 1111"}"#,
        r#"{"a":"4111","b":"1111","c":"1111","d":"1112"}"#,
        r#"{"zip":"45044","year":"2024","month":"05","id":"1234"}"#,
        r#"{"enum":["41","42","43","44","45","46","47","48","49","50"]}"#,
        r#"[{"a":"card4111"},{"a":"1111 1111 1111"}]"#,
        r#"{"a":4111,"b":0.5,"c":1111,"d":1111,"e":1111}"#,
    ] {
        assert_eq!(redact(&message(sent)), message(sent));
    }
    // Of two messages.
    let two = r#"{"messages":[{"role":"user","content":"4111"},{"role":"user","content":"1111 1111 1111"}]}"#;
    assert_eq!(redact(two), two);
}

#[test]
fn base64_within_a_text_is_looked_into() {
    let text = |text: &str| redact_text(&privacy(PrivacyMode::Redact), text).unwrap().0;
    let wide: Vec<u8> = SECRET.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let wider: Vec<u8> = SECRET.chars().flat_map(|c| (c as u32).to_be_bytes()).collect();
    for encoded in [
        STANDARD.encode(SECRET),
        STANDARD_NO_PAD.encode("123-45-6789!"),
        URL_SAFE.encode(format!("{SECRET}>>>???")),
        STANDARD.encode(&wide),
        STANDARD.encode(wider),
        STANDARD.encode(STANDARD.encode(SECRET)),
        STANDARD.encode(r"{x: 'bob\u0040example.com'}"),
        STANDARD.encode([b"\xe9\xe8\xff".as_slice(), SECRET.as_bytes()].concat()),
    ] {
        for (before, behind) in [
            ("decode this: ", " thanks"),
            ("see data:text/plain;base64,", ", then bob"),
            ("x = b'", "'"),
            ("mail bob@example.com and\n", "\n"),
        ] {
            let out = text(&format!("{before}{encoded}{behind}"));
            assert!(out.contains("[REDACTED_") && !out.contains(&encoded[..12]), "{out}");
            assert!(out.ends_with(behind), "{out}");
        }
    }
    // In groups, as a whole.
    let encoded = STANDARD.encode(SECRET);
    let groups = |by: &str| {
        encoded.as_bytes().chunks(8).map(|c| std::str::from_utf8(c).unwrap()).collect::<Vec<_>>().join(by)
    };
    for by in [" ", "\t", "\n", " \n "] {
        assert_eq!(text(&groups(by)), STANDARD.encode(CLEAN), "{by:?}");
        let body = json!({"messages": [{"content": [{"source": {"type": "base64", "data": groups(by)}}]}]})
            .to_string();
        let out: Value = serde_json::from_str(&redact(&body)).unwrap();
        assert_eq!(out["messages"][0]["content"][0]["source"]["data"], STANDARD.encode(CLEAN), "{by:?}");
    }
    for text_ in [
        "the file src/components/UserProfile2/IndexPage.test.tsx and getUserByIdAndOrganization2",
        "commit 8fcc39c9948852d4cde9c4a89f17de859dc200dc of TheQuickBrownFoxJumpsOverTheLazyDog",
        &format!("nothing is in {}", STANDARD.encode("nothing of note is in this, ".repeat(9))),
        "\"integrity\": \"sha512-v2kDEe57lecTulaDIuNTPy3Ry4gLGJ6Z1O3vE1krgXZNrsQ+LFTGHVxVjcXPs17LhbZVGedAJv8XZ1tvj5FvSg==\"",
    ] {
        assert_eq!(text(text_), text_);
    }
}

#[test]
fn data_is_not_believed_to_be_an_image_or_state() {
    let part = |part: Value| json!({"messages": [{"content": [part]}]}).to_string();
    let png = [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".as_slice(), SECRET.as_bytes()].concat();
    let jpeg = [
        b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01".as_slice(),
        &[0x80; 90],
        b"\xff\xfe by bob.smith@example.com \xff\xd9",
    ]
    .concat();
    for bytes in [&png, &jpeg] {
        let data = STANDARD.encode(bytes);
        for body in [
            part(
                json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}),
            ),
            part(json!({"image_url": {"url": format!("data:image/png;base64,{data}")}})),
            json!({"messages": [{"images": [data]}]}).to_string(),
        ] {
            assert_eq!(refused(&body), Unsearchable::Document, "{body}");
        }
    }
    // What is said to be text is, or it cannot be searched.
    for media_type in ["text/plain", "application/json", "application/xml; charset=utf-8", "TEXT/csv"] {
        let source =
            |data: &str| part(json!({"source": {"type": "base64", "media_type": media_type, "data": data}}));
        assert_eq!(redact(&source(&STANDARD.encode(SECRET))), source(&STANDARD.encode(CLEAN)));
        let later = |data: &str| format!(r#"{{"x":{{"data":"{data}","mime_type":"{media_type}"}}}}"#);
        for data in
            [b"GIF89a\x01\0\x01\0\x80\0\0\xff".as_slice(), b"\x78\x9c\x4b\x4c\x4a\x06\0\x02\x4d\x01\x27"]
        {
            let data = STANDARD.encode(data);
            assert_eq!(refused(&source(&data)), Unsearchable::Document);
            assert_eq!(refused(&later(&data)), Unsearchable::Document);
            assert_eq!(
                refused(&part(json!({"url": format!("data:{media_type};base64,{data}")}))),
                Unsearchable::Document
            );
        }
    }
    // Short data.
    for bytes in [b"\xe9123-45-6789\xe9".as_slice(), b"\xff4111111111111111"] {
        assert_eq!(refused(&part(json!({"data": STANDARD.encode(bytes)}))), Unsearchable::Document);
    }
    // State of a model's maker, and what only stands in its place.
    for key in ["signature", "thought_signature", "encrypted_content"] {
        let state = |value: &str| part(json!({key: value}));
        let long = format!("{SECRET}, ").repeat(3);
        assert_eq!(
            redact(&state(&STANDARD.encode(&long))),
            state(&STANDARD.encode(format!("{CLEAN}, ").repeat(3)))
        );
        assert_eq!(redact(&state(SECRET)), state(CLEAN));
        let hidden: Vec<u8> = [&[0x12, 0xf3, 0x9c, 0x80].repeat(16), SECRET.as_bytes(), &[0x9c; 40]].concat();
        assert_eq!(refused(&state(&STANDARD.encode(hidden))), Unsearchable::Document);
        for kept in [
            STANDARD.encode((0..300u32).map(|n| ((n * n * 31) >> 3) as u8 | 0x81).collect::<Vec<_>>()),
            format!(
                "gAAAAA{}",
                "BkX3l5pQ7rT9vW1yZ3bC5dE6fG7hI8jK9lM0nO1pQ2rS3tU4vW5xY6zA7bC8dE9fG0h2Qx".repeat(3)
            ),
        ] {
            assert_eq!(redact(&state(&kept)), state(&kept));
        }
    }
}

#[test]
fn parameters_are_no_place_to_hide_in() {
    let out = redact(
        r#"{"seed":4111111111111111,"options":{"seed":4111111111111111.0},"max_tokens":4111111111111111}"#,
    );
    let read: Value = serde_json::from_str(&out).unwrap();
    // Another seed does as well; always the same one.
    let seed = read["seed"].as_u64().unwrap();
    assert!(seed < 1 << 20 && read["options"]["seed"].as_u64() == Some(seed), "{out}");
    assert_eq!(read["max_tokens"], "[REDACTED_CARD]");
    assert_eq!(
        redact(r#"{"options":{"x":[4111,1111,1111,1111],"stop":["123-45-6789"]}}"#),
        r#"{"options":{"x":["[REDACTED_CARD]","[REDACTED_CARD]","[REDACTED_CARD]","[REDACTED_CARD]"],"stop":["[REDACTED_SSN]"]}}"#
    );
    let kept =
        r#"{"options":{"x":[0.1,0.2],"seed":1234567890123456789},"stop_token_ids":[4111,1111,1111,1111]}"#;
    assert_eq!(redact(kept), kept);
    use Unsearchable::Tokens as T;
    for (body, name) in [
        (format!(r#"{{"input_ids":"{}"}}"#, "AAAA".repeat(40)), "input_ids"),
        (
            format!(r#"{{"promptTokenIds":"{}"}}"#, STANDARD.encode([7, 0, 0, 0, 9, 1, 0, 0])),
            "prompt_token_ids",
        ),
        (r#"{"tokens":"AAECAwQFBgc="}"#.to_owned(), "tokens"),
        (r#"{"prompt-embeds":[[0.25]]}"#.to_owned(), "prompt_embeds"),
        (r#"{"x":{"tokenIds":[1,2,3]}}"#.to_owned(), "token_ids"),
        (r#"{"suffix_token_ids":[1]}"#.to_owned(), "token_ids"),
    ] {
        assert_eq!(refused(&body), T(name), "{body}");
    }
    let kept = r#"{"tokens":"a few words of text","stop_token_ids":[1,2]}"#;
    assert_eq!(redact(kept), kept);
}
