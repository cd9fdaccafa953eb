//! Answers of every dialect, cut at every place.

use aivonx_protocol::{
    organization::PrivacyMode,
    privacy::{AnswerMode, Category, PatternAction},
};
use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    super::{
        Privacy, Screening, Wanted,
        find::{Hint, find},
        pattern::{Pattern, of_words},
    },
    Rules, Screen, Stopped,
    text::Text,
};
use crate::api::{Pieces, route::Stream};

fn privacy(answers: AnswerMode) -> Screening {
    Privacy { answers, ..Privacy::OFF }.into()
}

/// What of an answer goes out, and how it ends.
fn screened(mode: AnswerMode, stream: Option<Stream>, chunks: &[&[u8]]) -> (Vec<u8>, Result<u64, Stopped>) {
    let mut screen = Screen::new(&privacy(mode), stream);
    let mut out = Pieces::default();
    let ended = chunks
        .iter()
        .try_for_each(|chunk| screen.pass(Bytes::copy_from_slice(chunk), &mut out))
        .and_then(|()| screen.finish(&mut out));
    let mut bytes = Vec::new();
    while let Some(piece) = out.pop(usize::MAX) {
        bytes.extend_from_slice(&piece);
    }
    (bytes, ended.map(|()| screen.findings().total()))
}

fn redacted(stream: Stream, text: &str) -> String {
    let (bytes, ended) = screened(AnswerMode::Redact, Some(stream), &[text.as_bytes()]);
    ended.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// How a dialect streams a text, token by token, and where the text is in what comes out.
struct Dialect {
    stream: Stream,
    begin: fn() -> String,
    token: fn(&str) -> String,
    end: fn() -> String,
    text: fn(&Value) -> Option<&str>,
}

fn sse(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn named(value: &Value) -> String {
    format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap())
}

const DIALECTS: [Dialect; 7] = [
    Dialect {
        stream: Stream::Ndjson,
        begin: String::new,
        token: |text| {
            format!(
                "{}\n",
                json!({"model": "m", "message": {"role": "assistant", "content": text}, "done": false})
            )
        },
        end: || {
            format!(
                "{}\n",
                json!({"model": "m", "message": {"role": "assistant", "content": ""}, "done": true, "total_duration": 5_043_500_667_u64})
            )
        },
        text: |value| value["message"]["content"].as_str(),
    },
    Dialect {
        stream: Stream::Ndjson,
        begin: String::new,
        token: |text| {
            format!(
                "{}\n",
                json!({"model": "m", "created_at": "2024-03-01T12:00:00.123456789Z", "response": text, "done": false})
            )
        },
        end: || format!("{}\n", json!({"response": "", "done": true})),
        text: |value| value["response"].as_str(),
    },
    Dialect {
        stream: Stream::Done,
        begin: String::new,
        token: |text| {
            sse(
                &json!({"id": "chatcmpl-1", "created": 1_700_000_000, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]}),
            )
        },
        end: || {
            sse(&json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
                + "data: [DONE]\n\n"
        },
        text: |value| value["choices"][0]["delta"]["content"].as_str(),
    },
    Dialect {
        stream: Stream::Done,
        begin: String::new,
        token: |text| sse(&json!({"choices": [{"text": text, "index": 0, "finish_reason": null}]})),
        end: || "data: [DONE]\n\n".into(),
        text: |value| value["choices"][0]["text"].as_str(),
    },
    Dialect {
        stream: Stream::Done,
        begin: String::new,
        token: |text| {
            sse(
                &json!({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}, "index": 0}]}),
            )
        },
        end: || "data: [DONE]\n\n".into(),
        text: |value| value["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"].as_str(),
    },
    Dialect {
        stream: Stream::Messages,
        begin: || {
            named(
                &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            )
        },
        token: |text| {
            named(
                &json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
            )
        },
        end: || {
            named(&json!({"type": "content_block_stop", "index": 0}))
                + &named(&json!({"type": "message_stop"}))
        },
        text: |value| value["delta"]["text"].as_str(),
    },
    Dialect {
        stream: Stream::Responses,
        begin: || named(&json!({"type": "response.created", "response": {"id": "resp_1"}})),
        token: |text| {
            named(
                &json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "msg_1", "delta": text}),
            )
        },
        end: || {
            named(&json!({"type": "response.completed", "response": {"id": "resp_1", "status": "completed"}}))
        },
        text: |value| value["delta"].as_str(),
    },
];

impl Dialect {
    /// A whole stream of the tokens.
    fn stream(&self, tokens: &[&str]) -> String {
        let tokens: String = tokens.iter().map(|token| (self.token)(token)).collect();
        (self.begin)() + &tokens + &(self.end)()
    }

    /// The text in a stream.
    fn read(&self, stream: &str) -> String {
        let lines = stream.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
        let objects = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
        objects.filter_map(|value| (self.text)(&value).map(str::to_owned)).collect()
    }
}

const TEXT: &str = "Write to bob@example.com or call 555-123-4567, card 4111 1111 1111 1111. ssn 123-45-6789, \
                    api_key = sk-1234567890abcdefghij1; that is all of it.";
const SAFE: &str = "Write to [REDACTED_EMAIL] or call [REDACTED_PHONE], card [REDACTED_CARD]. ssn [REDACTED_SSN], \
                    api_key = [REDACTED_KEY]; that is all of it.";

#[test]
fn findings_are_replaced_wherever_tokens_are_cut_in_every_dialect() {
    for dialect in &DIALECTS[..] {
        let json = (dialect.text)(
            &serde_json::from_str(
                "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"x\"}}]}}]}",
            )
            .unwrap(),
        )
        .is_some();
        let (text, safe) = if json {
            (format!("{{\"t\":\"{TEXT}\"}}"), format!("{{\"t\":\"{SAFE}\"}}"))
        } else {
            (TEXT.into(), SAFE.into())
        };
        for size in [1, 2, 3, 5, 8, 13, 40, 1000] {
            let tokens: Vec<_> =
                text.as_bytes().chunks(size).map(|t| std::str::from_utf8(t).unwrap()).collect();
            let stream = dialect.stream(&tokens);
            for cut in [1, 7, 64, 100_000] {
                let chunks: Vec<_> = stream.as_bytes().chunks(cut).collect();
                let (out, ended) = screened(AnswerMode::Redact, Some(dialect.stream), &chunks);
                assert_eq!(ended, Ok(5), "{stream}");
                assert_eq!(dialect.read(&String::from_utf8(out).unwrap()), safe, "{size} {cut}");
                let (out, ended) = screened(AnswerMode::Detect, Some(dialect.stream), &chunks);
                assert_eq!((out, ended), (stream.clone().into_bytes(), Ok(5)));
            }
        }
    }
}

#[test]
fn bytes_stay_where_nothing_is_found() {
    let prose = "In 2024, the gateway served 1,234 requests: see #42 or https://example.com/a?b=c. naïve “quotes” — 联系我们吧。\n";
    for dialect in &DIALECTS {
        let text = prose.repeat(40);
        let tokens: Vec<_> = text.split_inclusive(' ').collect();
        let spaced = dialect.stream(&tokens).replace("\"index\":0", "\"index\" : 0, \"zz\":[1,  2]");
        assert_eq!(redacted(dialect.stream, &spaced), spaced);
    }
    let odd = ": ping\r\n\r\nid: 7\r\ndata:{ \"choices\":[{\"delta\":{\"content\":\"a\\u0041\"}}]}\r\n\r\ndata: [DONE]\r\n\r\n";
    assert_eq!(redacted(Stream::Done, odd), odd);
}

#[test]
fn what_cannot_become_a_finding_waits_for_little() {
    for dialect in &DIALECTS {
        let mut screen = Screen::new(&privacy(AnswerMode::Redact), Some(dialect.stream));
        let (mut sent, mut got) = (String::new(), String::new());
        let prose = "It is 7 degrees in the shade, and nobody of them wants to go out before the sun is down again.\n";
        let mut pass = |token: &str, sent: &mut String, got: &mut String| {
            let mut out = Pieces::default();
            screen.pass((dialect.token)(token).into(), &mut out).unwrap();
            sent.push_str(token);
            while let Some(piece) = out.pop(usize::MAX) {
                got.push_str(&dialect.read(std::str::from_utf8(&piece).unwrap()));
            }
            assert!(sent.starts_with(&**got));
        };
        for token in prose.repeat(20).split_inclusive(' ') {
            pass(token, &mut sent, &mut got);
            assert!(sent.len() - got.len() <= 64, "{:?}", &sent[got.len()..]);
        }
        // Also where a token is long, and the end of it may be anything.
        pass(&format!("{}{}", prose.repeat(3), "x".repeat(300)), &mut sent, &mut got);
        assert!(sent.len() - got.len() <= 300, "{:?}", &sent[got.len()..]);
    }
}

#[test]
fn a_run_that_goes_on_ends_the_answer() {
    for dialect in &DIALECTS {
        let stream = dialect.stream(&vec!["abcdefgh"; 600]);
        let (out, ended) = screened(AnswerMode::Redact, Some(dialect.stream), &[stream.as_bytes()]);
        assert_eq!(ended, Err(Stopped::Held));
        assert_eq!(dialect.read(&String::from_utf8(out).unwrap()), "");
        assert!(screened(AnswerMode::Detect, Some(dialect.stream), &[stream.as_bytes()]).1.is_ok());
    }
}

#[test]
fn answers_are_apart_and_a_text_that_another_follows_is_judged() {
    let token =
        |choice: u64, text: &str| sse(&json!({"choices": [{"index": choice, "delta": {"content": text}}]}));
    let tokens = [(0, "123-"), (1, "x 45-"), (0, "45-"), (1, "6 "), (0, "6789 ok"), (1, "7 ok")];
    let stream: String = tokens.iter().map(|(choice, text)| token(*choice, text)).collect();
    let out = redacted(Stream::Done, &stream);
    assert!(out.contains("[REDACTED_SSN]") && !out.contains("6789") && out.contains("x 45-"), "{out}");

    let said = |name: &str, text: &str| sse(&json!({"choices": [{"index": 0, "delta": {name: text}}]}));
    let mut screen = Screen::new(&privacy(AnswerMode::Redact), Some(Stream::Done));
    let mut out = Pieces::default();
    screen.pass(said("reasoning_content", "it is 42").into(), &mut out).unwrap();
    assert!(out.is_empty());
    for _ in 0..20 {
        screen.pass(said("content", "The answer. ").into(), &mut out).unwrap();
    }
    assert!(!out.is_empty(), "the reasoning is over");
}

#[test]
fn what_repeats_a_text_says_no_more_than_it() {
    let logprobs = json!({"content": [{"token": "bob@example.com", "logprob": -0.1, "top_logprobs": []}]});
    let event = |content: &str| {
        sse(
            &json!({"choices": [{"index": 0, "delta": {"content": content}, "logprobs": logprobs, "finish_reason": "stop"}]}),
        )
    };
    let out = redacted(Stream::Done, &event("bob@example.com"));
    assert!(out.contains("\"logprobs\":null") && !out.contains("bob"), "{out}");
    let last = "{\"response\":\"bob@example.com\",\"done\":true,\"context\":[1,2,3]}\n";
    assert_eq!(
        redacted(Stream::Ndjson, last),
        "{\"response\":\"[REDACTED_EMAIL]\",\"done\":true,\"context\":[]}\n"
    );
    let (done, full) = ("response.output_text.done", "bob@example.com");
    let stream = [("response.output_text.delta", "delta"), (done, "text")]
        .map(|(kind, name)| named(&json!({"type": kind, "output_index": 0, name: full})))
        .concat();
    let (out, found) = screened(AnswerMode::Redact, Some(Stream::Responses), &[stream.as_bytes()]);
    let out = String::from_utf8(out).unwrap();
    assert!(!out.contains("bob") && out.matches("[REDACTED_EMAIL]").count() == 2, "{out}");
    assert_eq!(found, Ok(1), "counted once");
}

#[test]
fn calls_of_tools_are_searched_and_stay_json() {
    let native = "{\"message\":{\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":\"mail\",\"arguments\":\
                  {\"to\":\"bob@example.com\",\"card\":4111111111111111}}}]},\"done\":false}\n";
    let out = redacted(Stream::Ndjson, native);
    let value: Value = serde_json::from_str(&out).unwrap();
    let arguments = &value["message"]["tool_calls"][0]["function"]["arguments"];
    assert_eq!(*arguments, json!({"to": "[REDACTED_EMAIL]", "card": "[REDACTED_CARD]"}));
    // Numbers of arguments that come piece by piece.
    let dialect = &DIALECTS[4];
    let tokens = ["{\"card\": 4111", "111111111", "111, \"to\": \"bob@exam", "ple.com\"}"];
    let arguments = dialect.read(&redacted(dialect.stream, &dialect.stream(&tokens)));
    assert_eq!(arguments, "{\"card\": \"[REDACTED_CARD]\", \"to\": \"[REDACTED_EMAIL]\"}");
}

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

/// Pieces that are findings, nearly, or the seams between.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "bob@example.com", "a@b.co", "4111 1111 1111 1111", "4111111111111111", "555-123-4567", "+1 555 123 4567",
            "123-45-6789", "sk-1234567890abcdefghij1", "ssn 123456789", "123456789 is my ssn",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3", "aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zC",
            "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "phone", "api_key=", "0123456789abcdef",
            "01 99 00 12 34", "(555) 123-4567 ext. 5", "git", "Bearer ", "wJalrXUtnFEMI/K7MDENG/bPxRfiCY", "jörg@exämple.de",
            "password: ", "Summer2024!", "hunter22", "postgres://app:s3cr(t@db/x", "bob\\u0040example.com",
            "bob&#64;example.com", "４１１１１１１１１１１１１１１１", "the password is ", "联系bob@example.com谢谢",
            "4111\n1111\n1111\n1111", "token ", "x123-45-6789x", "2024-123-45-6789-1", "Ym9iQGV4YW1wbGUuY29tIGlzIG1pbmU=",
        ]).prop_map(str::to_owned),
        4 => prop::sample::select(vec![
            " ", "-", ".", "@", "_", ",", ":", "\"", "\n", "(", ")", "+", "x", "1", "55", "123", " and then ", " some words of prose ",
        ]).prop_map(str::to_owned),
        1 => "[ -~]{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What a text holds as a whole is held back, however it is cut.
    #[test]
    fn nothing_of_a_finding_is_judged_to_be_none(
        pieces in prop::collection::vec(piece(), 0..12),
        sizes in prop::collection::vec(1usize..12, 1..8),
    ) {
        let whole = pieces.concat();
        let rules = Rules::of(&privacy(AnswerMode::Redact));
        let mut found = Vec::new();
        find(whole.as_bytes(), Wanted::ALL, Hint::default(), &mut found);
        let (mut text, mut findings, mut covered) = (Text::new(false), Default::default(), Vec::new());
        let (mut rest, mut n) = (whole.as_str(), 0);
        while !rest.is_empty() {
            // What a string of JSON holds is whole characters.
            let mut size = sizes[n % sizes.len()].min(rest.len());
            while !rest.is_char_boundary(size) {
                size += 1;
            }
            let (piece, more) = rest.split_at(size);
            text.push(piece.as_bytes());
            prop_assert!(text.judge(&rules, false, &mut findings).is_ok());
            (rest, n) = (more, n + 1);
        }
        prop_assert!(text.judge(&rules, true, &mut findings).is_ok());
        covered.extend(text.marks(0, whole.len()).map(|mark| mark.start..mark.end));
        for one in &found {
            for at in one.start..one.end {
                prop_assert!(
                    covered.iter().any(|range| range.contains(&at)),
                    "{:?} of {:?} at {at} in {:?}", &whole[one.start..one.end], one.category, whole
                );
            }
        }
    }

    /// Any cut of the bytes and of the tokens gives the same text.
    #[test]
    fn cuts_change_nothing(
        at in prop::collection::btree_set(1usize..TEXT.len(), 0..20),
        bytes in prop::collection::vec(1usize..80, 1..10),
        dialect in 0usize..4,
    ) {
        let mut ends: Vec<_> = at.into_iter().collect();
        ends.push(TEXT.len());
        let mut from = 0;
        let tokens: Vec<_> = ends.into_iter().map(|end| &TEXT[std::mem::replace(&mut from, end)..end]).collect();
        let stream = DIALECTS[dialect].stream(&tokens);
        let (mut rest, mut chunks, mut n) = (stream.as_bytes(), Vec::new(), 0);
        while !rest.is_empty() {
            let (chunk, more) = rest.split_at(bytes[n % bytes.len()].min(rest.len()));
            chunks.push(chunk);
            (rest, n) = (more, n + 1);
        }
        let (out, _) = screened(AnswerMode::Redact, Some(DIALECTS[dialect].stream), &chunks);
        prop_assert_eq!(DIALECTS[dialect].read(&String::from_utf8(out).unwrap()), SAFE);
    }
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

/// With patterns of the organization's own, and nothing else.
fn own(patterns: Vec<Pattern>) -> Screening {
    Screening { privacy: Privacy::OFF, own: Some(patterns.into()) }
}

#[test]
fn own_patterns_are_looked_for_over_cut_tokens() {
    let pattern =
        |name, expression: &str, action| Pattern::new(name, expression, "[OWN \"x\"]", action).unwrap();
    let redact = own(vec![pattern("staff", "E-[0-9]{3,6}", PatternAction::Redact)]);
    let text = "Ask E-123456 or E-1234, not E-12; and bob@example.com. ";
    for dialect in &DIALECTS[..4] {
        for size in [1, 3, 7, 100] {
            let tokens: Vec<_> =
                text.as_bytes().chunks(size).map(|t| std::str::from_utf8(t).unwrap()).collect();
            let mut screen = Screen::new(&redact, Some(dialect.stream));
            let mut out = Pieces::default();
            screen.pass(dialect.stream(&tokens).into(), &mut out).unwrap();
            screen.finish(&mut out).unwrap();
            let got: Vec<u8> = std::iter::from_fn(|| out.pop(usize::MAX)).flatten().collect();
            assert_eq!(
                dialect.read(&String::from_utf8(got).unwrap()),
                "Ask [OWN \"x\"] or [OWN \"x\"], not E-12; and bob@example.com. "
            );
            assert_eq!(screen.findings().of(Category::Pattern), 2);
        }
    }
    let refuse = own(vec![pattern("project", &of_words(&["falcon".into()]), PatternAction::Refuse)]);
    for dialect in &DIALECTS[..4] {
        let mut screen = Screen::new(&refuse, Some(dialect.stream));
        let mut out = Pieces::default();
        let stream = dialect.stream(&["The fal", "con", " has", " landed"]);
        assert_eq!(screen.pass(stream.into(), &mut out), Err(Stopped::Refused));
        let got: Vec<u8> = std::iter::from_fn(|| out.pop(usize::MAX)).flatten().collect();
        assert!(!String::from_utf8(got).unwrap().contains("fal"));
    }
    let mut whole = Screen::new(&refuse, None);
    let mut out = Pieces::default();
    whole.pass(Bytes::from_static(b"{\"response\":\"the Falcon\"}"), &mut out).unwrap();
    assert_eq!(whole.finish(&mut out), Err(Stopped::Refused));
    assert!(out.is_empty());
}

#[test]
fn a_finding_that_is_passed_in_part_already_waits_for_its_end() {
    let dialect = &DIALECTS[0];
    let rule = "E-[0-9]{1,3}( or E-[0-9]{1,3}){0,9}";
    let redact = own(vec![Pattern::new("staff", rule, "[OWN]", PatternAction::Redact).unwrap()]);
    let redact = Screening { privacy: Privacy { answers: AnswerMode::Redact, ..Privacy::OFF }, ..redact };
    let text = "-----BEGIN PRIVATE KEY----- ".to_owned()
        + &"On and on. ".repeat(600)
        + "E-1 or E-12 or bob@example.com -----END PRIVATE KEY----- and on.";
    let tokens: Vec<_> = text.split_inclusive("").collect();
    let mut screen = Screen::new(&redact, Some(dialect.stream));
    let mut out = Pieces::default();
    screen.pass(dialect.stream(&tokens).into(), &mut out).unwrap();
    screen.finish(&mut out).unwrap();
    let got: Vec<u8> = std::iter::from_fn(|| out.pop(usize::MAX)).flatten().collect();
    let got = dialect.read(&String::from_utf8(got).unwrap());
    let end = &got[got.len() - 60..];
    assert!(!end.contains("E-1") && !end.contains("bob") && end.ends_with(" and on."), "{end}");
    assert!(screen.findings().total() <= 4, "{:?}", screen.findings());
}

#[test]
fn edits_over_each_other_leave_nothing_of_either() {
    use super::super::body::{Edit, apply};
    let edit = |range, text: &'static str| Edit { range, text: text.into() };
    assert_eq!(apply(b"0123456789", &[edit(2..6, "A"), edit(4..5, "B"), edit(5..8, "C")]), b"01ABC89");
    assert_eq!(apply(b"01", &[edit(1..9, "A"), edit(12..14, "B")]), b"0AB");
}

#[test]
fn numbers_of_tokens_are_left_out_where_their_text_is_replaced() {
    let stream = "data: {\"choices\":[{\"index\":0,\"text\":\"bob@example.com \",\"token_ids\":[1,2,3]}]}\n\ndata: [DONE]\n\n";
    let wanted = "data: {\"choices\":[{\"index\":0,\"text\":\"[REDACTED_EMAIL] \",\"token_ids\":[]}]}\n\ndata: [DONE]\n\n";
    assert_eq!(redacted(Stream::Done, stream), wanted);
    let pieces = "{\"content\":\"bob@example.com\",\"tokens\":[1,2],\"input\":{\"tokens\":[3]}}";
    let (out, _) = screened(AnswerMode::Redact, None, &[pieces.as_bytes()]);
    let wanted = "{\"content\":\"[REDACTED_EMAIL]\",\"tokens\":[],\"input\":{\"tokens\":[3]}}";
    assert_eq!(String::from_utf8(out).unwrap(), wanted);
    // What is no number is searched.
    let pieces = "{\"tokens\":[\"bob@example.com\"]}";
    let (out, _) = screened(AnswerMode::Redact, None, &[pieces.as_bytes()]);
    assert_eq!(String::from_utf8(out).unwrap(), "{\"tokens\":[\"[REDACTED_EMAIL]\"]}");
}

#[test]
fn text_of_speech_is_read_as_one() {
    for kind in ["transcript.text.delta", "response.audio_transcript.delta"] {
        let event = |text| sse(&json!({"type": kind, "delta": text}));
        let stream = event("bob@exam") + &event("ple.com is") + "data: [DONE]\n\n";
        assert_eq!(
            redacted(Stream::Done, &stream).replace("\"\"", "").matches("REDACTED_EMAIL").count(),
            1,
            "{kind}"
        );
    }
}

#[test]
fn objects_of_many_texts_or_values_end_the_answer_and_nothing_takes_long() {
    let choices: Vec<String> =
        (0..20_000).map(|n| format!("{{\"index\":{n},\"delta\":{{\"content\":\"a\"}}}}")).collect();
    let stream = format!("data: {{\"choices\":[{}]}}\n\n", choices.join(","));
    let (_, ended) = screened(AnswerMode::Redact, Some(Stream::Done), &[stream.as_bytes()]);
    assert_eq!(ended, Err(Stopped::Held));
    let (out, ended) = screened(AnswerMode::Detect, Some(Stream::Done), &[stream.as_bytes()]);
    assert_eq!((out, ended), (stream.into_bytes(), Ok(0)));
    let many = format!("{{\"response\":[{}0]}}", "0,".repeat(1 << 18));
    let (_, ended) = screened(AnswerMode::Redact, Some(Stream::Ndjson), &[many.as_bytes()]);
    assert_eq!(ended, Err(Stopped::Unsearchable));
    assert_eq!(screened(AnswerMode::Redact, None, &[many.as_bytes()]).1, Err(Stopped::Unsearchable));
    // Probabilities of tokens are many, and not looked at.
    let echo = format!("{{\"response\":\"a\",\"logprobs\":[{}0]}}", "0,".repeat(1 << 18));
    assert_eq!(screened(AnswerMode::Redact, None, &[echo.as_bytes()]).1, Ok(0));
    let lines = "data: x\n".repeat(40_000) + "\n";
    let chunks: Vec<_> = lines.as_bytes().chunks(7).collect();
    assert_eq!(screened(AnswerMode::Redact, Some(Stream::Done), &chunks).1, Ok(0));
}

#[test]
fn prose_about_a_block_goes_on_and_a_block_does_not() {
    let dialect = &DIALECTS[0];
    let prose = "A key begins with -----BEGIN PRIVATE KEY----- and so it goes. ".to_owned()
        + &"On and on. ".repeat(600);
    let tokens: Vec<_> = prose.split_inclusive(' ').collect();
    assert_eq!(dialect.read(&redacted(dialect.stream, &dialect.stream(&tokens))), prose);
    let lines = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n".repeat(200);
    let stream = dialect.stream(&["-----BEGIN PRIVATE KEY-----\n", &lines]);
    let (out, ended) = screened(AnswerMode::Redact, Some(dialect.stream), &[stream.as_bytes()]);
    assert_eq!((dialect.read(&String::from_utf8(out).unwrap()), ended), (String::new(), Err(Stopped::Held)));
}
