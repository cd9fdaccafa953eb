//! Answers in one piece.

use aivonx_protocol::{
    organization::PrivacyMode,
    privacy::{AnswerMode, Category},
};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    super::{
        super::{
            Privacy,
            body::{Edit, apply},
        },
        Screen, Stopped,
    },
    SAFE, TEXT, screened,
};
use crate::api::Pieces;

#[test]
fn an_answer_in_one_piece_is_searched_whole() {
    let body = json!({"id": "chatcmpl-1", "created": 1_700_000_000, "choices": [{"message": {"role": "assistant",
        "content": TEXT, "tool_calls": [{"function": {"arguments": "{\"to\":\"bob@example.com\"}"}}]}}],
        "usage": {"total_tokens": 4_111_111_111_111_111_u64}});
    let text = body.to_string();
    let chunks: Vec<_> = text.as_bytes().chunks(17).collect();
    let (out, found) = screened(AnswerMode::Redact, None, &chunks);
    let mut wanted = body.clone();
    wanted["choices"][0]["message"]["content"] = SAFE.into();
    wanted["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] =
        "{\"to\":\"[REDACTED_EMAIL]\"}".into();
    assert_eq!((serde_json::from_slice::<Value>(&out).unwrap(), found), (wanted, Ok(6)));
    let (out, found) = screened(AnswerMode::Detect, None, &chunks);
    assert_eq!((out, found), (text.into_bytes(), Ok(6)));
    let plain =
        "{ \"response\":\"nothing of note\" , \"context\":[1,2,3],\"eval_count\":4111111111111111 }\n";
    let (out, _) = screened(AnswerMode::Redact, None, &[plain.as_bytes()]);
    assert_eq!(String::from_utf8(out).unwrap(), plain);
    for (plain, wanted) in [
        ("bob@example.com", "[REDACTED_EMAIL]"),
        ("nina@example.com", "[REDACTED_EMAIL]"),
        ("4111-1111-1111-1111", "[REDACTED_CARD]"),
        (" 4111111111111111\n", " [REDACTED_CARD]\n"),
        ("thanks", "thanks"),
        ("null and void", "null and void"),
        ("{\"total\":4111-1111-1111-1111}", "{\"total\":[REDACTED_CARD]}"),
        ("{\"said\":thanks to nina@example.com}", "{\"said\":thanks to [REDACTED_EMAIL]}"),
    ] {
        let (out, ended) = screened(AnswerMode::Redact, None, &[plain.as_bytes()]);
        assert!(ended.is_ok(), "{plain}: {ended:?}");
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
    }
    assert_eq!(screened(AnswerMode::Redact, None, &[b"\xff\xfe"]).1, Err(Stopped::Unsearchable));
}

#[test]
fn only_what_is_wanted_is_looked_for() {
    let privacy =
        Privacy { answers: AnswerMode::Redact, ..Privacy::new(PrivacyMode::Off, &[Category::Card]) };
    let mut screen = Screen::new(&privacy.into(), None);
    let mut out = Pieces::default();
    screen
        .pass(Bytes::from_static(b"{\"response\":\"bob@example.com 4111 1111 1111 1111\"}"), &mut out)
        .unwrap();
    screen.finish(&mut out).unwrap();
    assert_eq!(out.pop(usize::MAX).unwrap(), "{\"response\":\"bob@example.com [REDACTED_CARD]\"}");
}

#[test]
fn edits_over_each_other_leave_nothing_of_either() {
    let edit = |range, text: &'static str| Edit { range, text: text.into() };
    assert_eq!(apply(b"0123456789", &[edit(2..6, "A"), edit(4..5, "B"), edit(5..8, "C")]), b"01ABC89");
    assert_eq!(apply(b"01", &[edit(1..9, "A"), edit(12..14, "B")]), b"0AB");
}
