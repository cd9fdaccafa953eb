//! Answers that come piece by piece.

use aivonx_protocol::privacy::AnswerMode;
use serde_json::{Value, json};

use super::{
    super::{Screen, Stopped},
    DIALECTS, SAFE, TEXT, named, privacy, redacted, screened, sse,
};
use crate::api::{Pieces, route::Stream};

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
fn what_stands_for_a_word_of_the_api_and_is_none_is_searched() {
    for (name, word) in [
        ("done_reason", "load"),
        ("stop_reason", "max_tokens"),
        ("status", "in_progress"),
        ("service_tier", "flex"),
        ("role", "assistant"),
        ("type", "response.output_text.delta"),
        ("object", "chat.completion.chunk"),
    ] {
        let line = |value: &str| format!("{{\"{name}\":\"{value}\",\"done\":false}}\n");
        assert_eq!(redacted(Stream::Ndjson, &line(word)), line(word));
        assert_eq!(redacted(Stream::Ndjson, &line("bob@example.com")), line("[REDACTED_EMAIL]"), "{name}");
    }
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

#[test]
fn what_stands_beside_the_data_of_an_event_is_searched_too() {
    let event = "id: 7\nevent: bob@example.com\ndata: {\"type\":\"x\"}\n: for jane@example.org\n\n";
    let safe = "id: 7\nevent: [REDACTED_EMAIL]\ndata: {\"type\":\"x\"}\n: for [REDACTED_EMAIL]\n\n";
    assert_eq!(redacted(Stream::Done, event), safe);
}

#[test]
fn a_byte_order_mark_does_not_hide_what_follows() {
    let object = "{\"choices\":[{\"delta\":{\"content\":\"bob\\u0040example.com\"}}]}";
    for (stream, text) in [
        (Stream::Done, format!("\u{feff}data: {object}\n\n")),
        (Stream::Ndjson, format!("\u{feff}{object}\n")),
    ] {
        assert!(redacted(stream, &text).contains("\"[REDACTED_EMAIL]\""), "{text}");
    }
    let whole = format!("\u{feff}{object}");
    let (bytes, _) = screened(AnswerMode::Redact, None, &[whole.as_bytes()]);
    assert!(String::from_utf8(bytes).unwrap().contains("\"[REDACTED_EMAIL]\""));
}
