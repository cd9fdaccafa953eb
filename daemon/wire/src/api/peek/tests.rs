use bytes::Bytes;
use proptest::prelude::*;

use super::{Peek, PeekError, PromptSize, prompt_size};
use crate::api::route::{Action, Forward, find};

/// The route of `path`, as it is forwarded.
pub(super) fn route(path: &str) -> Forward {
    let Action::Forward(forward) = find(path).unwrap().0.action else { panic!("{path} is not forwarded") };
    forward
}

pub(super) fn read(body: &str) -> Result<Box<Peek>, PeekError> {
    Peek::read(&[Bytes::copy_from_slice(body.as_bytes())])
}

#[test]
fn reads_what_is_governed() {
    let peek = read(r#"{"model":"a/b:c","stream":false,"messages":[{"model":"x","stream":true}]}"#).unwrap();
    assert_eq!(peek.model(false), Some("a/b:c"));
    assert_eq!(peek.stream, Some(false));
    let peek = read(r#"{"name":"old","model":""}"#).unwrap();
    assert_eq!(peek.model(true), Some("old"));
    assert_eq!(peek.model(false), None);
    assert_eq!(read(r#"{"model":"m","stream":null}"#).unwrap().stream, None);
    assert_eq!(read("{\"mod\\u0065l\":\"\\u006d\"}").unwrap().model(false), Some("m"));
}

#[test]
fn refuses_repeated_and_miscased_keys() {
    for body in [r#"{"model":"a","model":"b"}"#, r#"{"model":"a","\u006dodel":"b"}"#] {
        assert_eq!(read(body), Err(PeekError::Repeated("model")), "{body}");
    }
    let twice = r#"{"options":{"num_ctx":1,"x":[],"num_\u0063tx":2}}"#;
    assert_eq!(read(twice), Err(PeekError::Repeated("num_ctx")));
    for (body, name) in [
        (r#"{"Model":"a"}"#, "model"),
        (r#"{"model":"a","STREAM":false}"#, "stream"),
        ("{\"\u{17f}tream\":false}", "stream"),
        ("{\"\\u017ftream\":false}", "stream"),
        ("{\"\u{212a}eep_alive\":0}", "keep_alive"),
        (r#"{"stream_options":{"Include_Usage":true}}"#, "include_usage"),
        (r#"{"options":{"Num_Ctx":1}}"#, "num_ctx"),
        (r#"{"options":{"num_predict":1,"NUM_PREDICT":2}}"#, "num_predict"),
    ] {
        assert!(matches!(read(body), Err(PeekError::Miscased(_, n)) if n == name), "{body}");
    }
    assert!(read(r#"{"model":"a","modelx":1,"strea":2,"Temperature":1}"#).is_ok());
}

#[test]
fn refuses_wrong_types_and_shapes() {
    for body in [r#"{"model":1}"#, r#"{"stream":"true"}"#, r#"{"stream_options":[]}"#, "[]", "1", "", "  "] {
        assert!(read(body).is_err(), "{body}");
    }
    let long = format!(r#"{{"model":"{}"}}"#, "x".repeat(2000));
    assert_eq!(read(&long), Err(PeekError::Long("model")));
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(
        prop::sample::select(b"{}[]\",:\\mdelstrua0-.u \xc5\xbf_optinf".to_vec()), 0..60)) {
        let _ = Peek::read(&[Bytes::from(bytes)]);
    }
}

#[test]
fn characters_of_the_prompt_are_counted_exactly() {
    let image = "QUJD".repeat(40);
    for (body, want) in [
        (r#"{"model":"m","prompt":"abc"}"#.to_owned(), 3),
        ("{\"prompt\":\"a\\n\\u00e9\\ud83d\\ude00\\ud83dx\\\"\u{e9}\u{1f600}\"}".to_owned(), 9),
        (r#"{"messages":[{"role":"user","content":[{"type":"text","text":"hello"}]}]}"#.to_owned(), 5),
        (r#"{"messages":[{"role":"a role that is a whole story"}]}"#.to_owned(), 28),
        (r#"{"messages":[{"role":"xxxxxxxxxxxxxxxx"},{"role":"assistant","type":"y"}]}"#.to_owned(), 17),
        (
            format!(
                r#"{{"messages":[{{"arguments":{{"role":"user","data":"{image}","a":[12,{{"url":"{image}"}}]}}}}]}}"#
            ),
            338,
        ),
        (
            format!(
                r#"{{"messages":[{{"content":[{{"input":{{"images":["{image}",-1.5]}}}},{{"type":"text"}}]}}]}}"#
            ),
            170,
        ),
        (format!(r#"{{"messages":[{{"arguments":[],"images":["{image}"]}}]}}"#), 0),
        // Base64 of text, what only looks like base64, and files.
        (format!(r#"{{"messages":[{{"data":"{image}"}}]}}"#), 160),
        (format!(r#"{{"messages":[{{"data":"{}"}}]}}"#, "x".repeat(100)), 100),
        (format!(r#"{{"messages":[{{"url":"data:text/plain;base64,{image}"}}]}}"#), 183),
        (format!(r#"{{"messages":[{{"url":"data:image/png,{image}"}}]}}"#), 175),
        (format!(r#"{{"messages":[{{"url":"{image}"}}]}}"#), 160),
        (format!(r#"{{"messages":[{{"data":"iVBORw0KGgoA{image}"}}]}}"#), 0),
        (format!(r#"{{"messages":[{{"file_data":"data:application/pdf;base64,JVBERi0x{image}"}}]}}"#), 0),
        (format!(r#"{{"prompt":"x","images":["{image}"]}}"#), 1),
        (format!(r#"{{"messages":[{{"data":"{image} and prose"}}]}}"#), 170),
        (format!(r#"{{"messages":[{{"text":"{image}"}}]}}"#), 160),
        (format!(r#"{{"tools":[{{"{image}":1}}]}}"#), 160),
        (r#"{"input":[1,2,3],"options":{"stop":["abc"]}}"#.to_owned(), 12),
        (r#"{"prompt":"#.to_owned(), 0),
    ] {
        for cut in 0..=body.len() {
            let bytes = Bytes::copy_from_slice(body.as_bytes());
            let segments = [bytes.slice(..cut), bytes.slice(cut..)];
            assert_eq!(prompt_size(&segments).chars, want, "{body} cut at {cut}");
        }
    }
    let url = format!(r#"{{"messages":[{{"image_url":{{"url":"data:image\/png;base64,{image}"}}}}]}}"#);
    assert_eq!(prompt_size(&[Bytes::from(url)]), PromptSize::default());
}

#[test]
fn what_is_only_named_is_counted_apart() {
    for (body, want) in [
        (
            r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"http://h/a.png"}}]}]}"#,
            32 << 10,
        ),
        (r#"{"messages":[{"content":[{"image_url":"http://a"},{"source":{"url":"http://b"}}]}]}"#, 64 << 10),
        (r#"{"input":"hi","previous_response_id":"resp_1"}"#, 1 << 20),
        (r#"{"messages":[{"content":"url"}],"user":{"url":1}}"#, 0),
    ] {
        assert_eq!(prompt_size(&[Bytes::copy_from_slice(body.as_bytes())]).named, want, "{body}");
    }
}

proptest! {
    #[test]
    fn no_prompt_has_more_characters_than_is_told_for_nothing(
        text in ".*", input in prop::collection::vec(any::<u32>(), 0..20), number: i32,
        cut in any::<prop::sample::Index>()
    ) {
        let body = serde_json::json!({
            "prompt": text, "input": input, "messages": [{"content": text, "arguments": {text.clone(): number}}]
        });
        let bytes = Bytes::from(body.to_string());
        let cut = cut.index(bytes.len());
        let segments = [bytes.slice(..cut), bytes.slice(cut..)];
        let exact = prompt_size(&segments).chars;
        prop_assert!(exact <= Peek::read(&segments).unwrap().prompt_at_most());
        let mut chars = 2 * text.chars().count() + 4 * input.len() + number.to_string().len();
        chars += serde_json::Value::from(text).to_string().len() - 2;
        prop_assert_eq!(exact, chars as u64);
    }
}
