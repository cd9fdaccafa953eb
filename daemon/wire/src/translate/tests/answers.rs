use std::{sync::Arc, time::Instant};

use http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    super::{About, Translator, Wishes},
    Api, about,
};
use crate::api::Pieces;

/// A stream of chat completions as vLLM writes it.
const OPENAI: &str = concat!(
    ": ping\r\n\r\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"hm\"}}]}\r\n\r\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Wörld\"}}]}\n\n",
    "data:{\"choices\":[{\"index\":0,\"delta\":{\"content\":\" \\\"!\\\"\"},\"finish_reason\":null}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"t1\",\"function\":{\"name\":\"w\",\"arguments\":\"\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"a\\\":\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1}\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: {\"choices\":[],\ndata: \"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4,\"prompt_tokens_details\":{\"cached_tokens\":2}}}\n\n",
    "data: [DONE]\n\n",
);

/// The same of Ollama.
const OLLAMA: &str = concat!(
    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\",\"thinking\":\"hm\"},\"done\":false}\n",
    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"Wörld\"},\"done\":false}\n",
    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\" \\\"!\\\"\"},\"done\":false}\n",
    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"t1\",\"function\":{\"name\":\"w\",\"arguments\":{\"a\":1}}}]},\"done\":false}\n",
    "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":9,\"eval_count\":4}\n",
);

const CLIENTS: [Api; 6] =
    [Api::Messages, Api::Responses, Api::Chat, Api::Completions, Api::OllamaChat, Api::OllamaGenerate];

#[test]
fn what_was_written_before_comes_out_once_the_answer_is_over() {
    let (mut written, mut out) = (Pieces::default(), Pieces::default());
    written.push("{\"a\":1}".into());
    let mut translator = Translator::written(Api::Chat, about(), written);
    translator.pass(b"{}", &mut out);
    assert!(out.is_empty());
    assert_eq!(translator.finish(&mut out), Ok(()));
    assert_eq!((out.pop(usize::MAX).as_deref(), out.is_empty()), (Some(&b"{\"a\":1}"[..]), true));
    assert_eq!(translator.content_type(), "application/json; charset=utf-8");
}

fn stream(client: Api, node: Api, pieces: &[&[u8]]) -> (String, bool) {
    let mut translator =
        Translator::stream(client, node, about(), Wishes { usage: true, ..Wishes::default() });
    let mut out = Pieces::default();
    for piece in pieces {
        translator.pass(piece, &mut out);
    }
    let done = translator.finish(&mut out).is_ok();
    let all: Vec<_> = std::iter::from_fn(|| out.pop(usize::MAX)).collect();
    (String::from_utf8(all.concat()).unwrap(), done)
}

fn whole(client: Api, node: Api, object: &Value) -> Value {
    let mut translator = Translator::whole(client, node, about(), Wishes::default());
    serde_json::from_str(&finished(&mut translator, &object.to_string())).unwrap()
}

/// What becomes of an answer that comes in two pieces.
fn finished(translator: &mut Translator, text: &str) -> String {
    let mut out = Pieces::default();
    let (first, rest) = text.as_bytes().split_at(text.len() / 2);
    translator.pass(first, &mut out);
    translator.pass(rest, &mut out);
    translator.finish(&mut out).unwrap();
    let all: Vec<_> = std::iter::from_fn(|| out.pop(usize::MAX)).collect();
    String::from_utf8(all.concat()).unwrap()
}

fn objects(stream: &str) -> Vec<Value> {
    let data = stream.lines().map(|line| line.strip_prefix("data: ").unwrap_or(line));
    data.filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_stream_is_the_same_wherever_it_is_cut() {
    for (node, text) in [(Api::Chat, OPENAI), (Api::OllamaChat, OLLAMA)] {
        for client in CLIENTS {
            let (all, done) = stream(client, node, &[text.as_bytes()]);
            assert!(done, "{client:?}");
            for at in 0..text.len() {
                let (first, rest) = text.as_bytes().split_at(at);
                assert_eq!(stream(client, node, &[first, rest]).0, all, "{client:?} cut at {at}");
            }
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(stream(client, node, &bytes).0, all, "{client:?}");
        }
    }
}

#[test]
fn what_comes_behind_what_cannot_be_read_is_not_read() {
    for client in CLIENTS {
        let (all, done) = stream(client, Api::OllamaChat, &[b"data:\r[0]\r"]);
        assert!(!done && all.contains("could not be read"), "{client:?}: {all}");
    }
}

proptest! {
    #[test]
    fn no_stream_is_too_odd(pieces in prop::collection::vec("(data: ?)?(\\{\"choices\":|\\{\"message\":)?[\\[\\]{}\",:a-z0-9 \r\n]{0,40}", 0..6)) {
        let pieces: Vec<&[u8]> = pieces.iter().map(String::as_bytes).collect();
        for client in CLIENTS {
            for node in [Api::Chat, Api::OllamaChat] {
                let (all, done) = stream(client, node, &pieces);
                prop_assert!(!all.is_empty());
                prop_assert_eq!(done, !all.contains("could not be read"));
                let bytes: Vec<&[u8]> = pieces.iter().flat_map(|piece| piece.chunks(1)).collect();
                prop_assert_eq!(stream(client, node, &bytes).0, all);
            }
        }
    }
}

#[test]
fn a_stream_becomes_anthropics() {
    for (node, text) in [(Api::Chat, OPENAI), (Api::OllamaChat, OLLAMA)] {
        let events = objects(&stream(Api::Messages, node, &[text.as_bytes()]).0);
        let kinds: Vec<&str> = events
            .iter()
            .map(|event| event["delta"]["type"].as_str().or(event["type"].as_str()).unwrap())
            .filter(|kind| *kind != "input_json_delta")
            .collect();
        assert_eq!(
            kinds,
            [
                "message_start",
                "content_block_start",
                "thinking_delta",
                "content_block_stop",
                "content_block_start",
                "text_delta",
                "text_delta",
                "content_block_stop",
                "content_block_start",
                "content_block_stop",
                "message_delta",
                "message_stop",
            ]
        );
        assert_eq!(events[0]["message"]["model"], "m");
        let call = events.iter().find(|event| event["content_block"]["type"] == "tool_use").unwrap();
        assert_eq!(call["content_block"], json!({"type": "tool_use", "id": "t1", "name": "w", "input": {}}));
        assert_eq!(call["index"], 2);
        let arguments: String =
            events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
        assert_eq!(arguments, r#"{"a":1}"#);
        let last = &events[events.len() - 2];
        assert_eq!(last["delta"]["stop_reason"], "tool_use");
        let usage = &last["usage"];
        let prompt =
            usage["input_tokens"].as_u64().unwrap() + usage["cache_read_input_tokens"].as_u64().unwrap();
        assert_eq!((prompt, &usage["output_tokens"]), (9, &json!(4)));
    }
}

#[test]
fn a_stream_becomes_ollamas() {
    let lines = objects(&stream(Api::OllamaChat, Api::Chat, &[OPENAI.as_bytes()]).0);
    let said: Vec<Value> = lines.iter().map(|line| line["message"].clone()).collect();
    assert_eq!(
        said,
        [
            json!({"role": "assistant", "content": "", "thinking": "hm"}),
            json!({"role": "assistant", "content": "Wörld"}),
            json!({"role": "assistant", "content": " \"!\""}),
            json!({"role": "assistant", "content": "", "tool_calls": [
                {"id": "t1", "function": {"index": 0, "name": "w", "arguments": {"a": 1}}}]}),
            json!({"role": "assistant", "content": ""}),
        ]
    );
    let last = lines.last().unwrap();
    assert_eq!(
        [&last["done"], &last["done_reason"], &last["prompt_eval_count"], &last["eval_count"]],
        [&json!(true), &json!("stop"), &json!(9), &json!(4)]
    );
    let lines = objects(&stream(Api::OllamaGenerate, Api::Chat, &[OPENAI.as_bytes()]).0);
    assert_eq!((&lines[1]["response"], &lines[1]["done"]), (&json!("Wörld"), &json!(false)));
}

#[test]
fn a_stream_becomes_responses() {
    let events = objects(&stream(Api::Responses, Api::Chat, &[OPENAI.as_bytes()]).0);
    let numbers: Vec<u64> = events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.completed");
    let response = &last["response"];
    let kinds: Vec<&Value> =
        response["output"].as_array().unwrap().iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["reasoning", "message", "function_call"]);
    assert_eq!(response["output"][1]["content"][0]["text"], "Wörld \"!\"");
    assert_eq!(
        (&response["output"][2]["call_id"], &response["output"][2]["arguments"]),
        (&json!("t1"), &json!("{\"a\":1}"))
    );
    assert_eq!(
        (&response["usage"]["input_tokens"], &response["usage"]["total_tokens"]),
        (&json!(9), &json!(13))
    );
    let deltas: String = events
        .iter()
        .filter(|event| event["type"] == "response.output_text.delta")
        .filter_map(|event| event["delta"].as_str())
        .collect();
    assert_eq!(deltas, "Wörld \"!\"");
}

#[test]
fn a_stream_becomes_a_chat_of_openai() {
    let (text, _) = stream(Api::Chat, Api::OllamaChat, &[OLLAMA.as_bytes()]);
    assert!(text.ends_with("data: [DONE]\n\n"));
    let chunks = objects(&text);
    let calls = &chunks.iter().find(|chunk| chunk["choices"][0]["delta"]["tool_calls"].is_array()).unwrap();
    assert_eq!(calls["choices"][0]["delta"]["tool_calls"][0]["id"], "t1");
    let [.., finish, usage] = &chunks[..] else { panic!() };
    assert_eq!(finish["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!((&usage["choices"], &usage["usage"]["total_tokens"]), (&json!([]), &json!(13)));
}

#[test]
fn the_text_that_stopped_an_answer_is_named_where_the_node_names_it() {
    for (node, want) in [
        (json!({"stop_reason": "END"}), json!(["stop_sequence", "END"])),
        (json!({"matched_stop": "END"}), json!(["stop_sequence", "END"])),
        (json!({"stop_reason": 128_001}), json!(["end_turn", null])),
        (json!({"stop_reason": null}), json!(["end_turn", null])),
        (json!({"stop_reason": "END", "finish_reason": "length"}), json!(["max_tokens", null])),
    ] {
        let mut choice = json!({"index": 0, "finish_reason": "stop", "message": {"content": "Hi"}});
        choice.as_object_mut().unwrap().extend(node.as_object().unwrap().clone());
        let object = json!({"choices": [choice]}).to_string();
        let unnamed = if want[0] == "max_tokens" { want.clone() } else { json!(["end_turn", null]) };
        for (stops, want) in [(Some(vec!["x", "END"]), &want), (Some(vec!["x"]), &unnamed), (None, &unnamed)]
        {
            let stops: Option<Vec<String>> = stops.map(|stops| stops.into_iter().map(String::from).collect());
            let wishes = Wishes { stops: stops.map(Arc::from), ..Wishes::default() };
            let mut translator = Translator::whole(Api::Messages, Api::Chat, about(), wishes.clone());
            let message: Value = serde_json::from_str(&finished(&mut translator, &object)).unwrap();
            assert_eq!(json!([message["stop_reason"], message["stop_sequence"]]), *want, "{node}");
            let mut translator = Translator::stream(Api::Messages, Api::Chat, about(), wishes);
            let events = finished(&mut translator, &format!("data: {object}\n\ndata: [DONE]\n\n"));
            let events = objects(&events);
            let delta = events.iter().find(|event| event["type"] == "message_delta").unwrap();
            assert_eq!(
                json!([delta["delta"]["stop_reason"], delta["delta"]["stop_sequence"]]),
                *want,
                "{node}"
            );
        }
    }
}

#[test]
fn a_stream_becomes_a_completion() {
    for (node, text) in [(Api::Chat, OPENAI), (Api::OllamaChat, OLLAMA)] {
        let (all, _) = stream(Api::Completions, node, &[text.as_bytes()]);
        assert!(all.ends_with("data: [DONE]\n\n"), "{all}");
        let chunks = objects(&all);
        assert!(chunks.iter().all(|chunk| chunk["object"] == "text_completion" && chunk["id"] == "cmpl-r1"));
        let texts: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
        assert_eq!(texts, "Wörld \"!\"", "{all}");
        let usage = chunks.last().unwrap();
        assert_eq!((&usage["choices"], &usage["usage"]["total_tokens"]), (&json!([]), &json!(13)));
    }
}

#[test]
fn an_answer_in_one_piece_is_translated() {
    let openai = json!({"id": "x", "choices": [{"index": 0, "finish_reason": "length", "message": {
        "role": "assistant", "content": "Hi", "reasoning": "hm", "tool_calls": []}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2}});
    let ollama = json!({"model": "m", "message": {"role": "assistant", "content": "Hi", "thinking": "hm"},
        "done": true, "done_reason": "length", "prompt_eval_count": 5, "eval_count": 2});
    for (node, object) in [(Api::Chat, openai), (Api::OllamaChat, ollama)] {
        let message = whole(Api::Messages, node, &object);
        assert_eq!(message["content"][1], json!({"type": "text", "text": "Hi"}));
        assert_eq!(
            (&message["stop_reason"], &message["usage"]["input_tokens"]),
            (&json!("max_tokens"), &json!(5))
        );
        let response = whole(Api::Responses, node, &object);
        assert_eq!(
            (&response["status"], &response["output"][1]["role"]),
            (&json!("incomplete"), &json!("assistant"))
        );
        let line = whole(Api::OllamaChat, node, &object);
        assert_eq!((&line["message"]["thinking"], &line["done_reason"]), (&json!("hm"), &json!("length")));
        assert_eq!(whole(Api::OllamaGenerate, node, &object)["response"], "Hi");
        let chat = whole(Api::Chat, node, &object);
        assert_eq!(
            chat["choices"][0]["message"],
            json!({"role": "assistant", "content": "Hi", "reasoning": "hm"})
        );
        assert_eq!(chat["usage"]["completion_tokens"], 2);
    }
}

#[test]
fn odd_members_cost_nobody_the_answer() {
    let openai = json!({"choices": [7, {"finish_reason": "stop", "message": {"role": "assistant", "content":
        [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}], "tool_calls": ["?"]}}],
        "usage": {"prompt_tokens": "5", "completion_tokens": 2.0, "prompt_tokens_details": []}, "timings": 1});
    let ollama = json!({"message": {"content": "Hi", "tool_calls": {}}, "done": true, "done_reason": 5,
        "prompt_eval_count": 5.0, "eval_count": "2", "eval_duration": -1});
    for (node, object) in [(Api::Chat, openai), (Api::OllamaChat, ollama)] {
        let message = whole(Api::Messages, node, &object);
        assert_eq!(message["content"], json!([{"type": "text", "text": "Hi"}]));
        let usage = (&message["usage"]["input_tokens"], &message["usage"]["output_tokens"]);
        assert_eq!(usage, (&json!(5), &json!(2)));
    }
    let chunks = "data: ping\n\ndata: {\"choices\":[{\"delta\":{\"content\":[{\"text\":\"Hi\"}],\"tool_calls\":\
        [{\"id\":1,\"function\":{\"name\":\"f\",\"arguments\":{\"a\":1}}}]}}]}\n\n\
        data: {\"choices\":[{\"finish_reason\":5,\"delta\":null}],\"usage\":{\"prompt_tokens\":3.0}}\n\ndata: [DONE]\n\n";
    let (all, done) = stream(Api::OllamaChat, Api::Chat, &[chunks.as_bytes()]);
    let lines = objects(&all);
    assert!(done && lines[0]["message"]["content"] == "Hi", "{all}");
    assert!(all.contains(r#""arguments":{"a":1}"#) && all.contains(r#""prompt_eval_count":3"#), "{all}");
}

#[test]
fn pieces_are_counted_where_the_node_does_not_count() {
    let text = "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":\"stop\"}]}\n\n";
    let lines = objects(&stream(Api::OllamaChat, Api::Chat, &[text.as_bytes()]).0);
    assert_eq!((&lines[2]["done"], &lines[2]["eval_count"]), (&json!(true), &json!(2)));
    assert_eq!(lines[2]["prompt_eval_count"], 7, "the prompt is estimated");
}

#[test]
fn what_a_node_did_not_count_of_an_answer_in_one_piece_is_estimated() {
    let openai = json!({"choices": [{"message": {"content": "Hi there!"}, "finish_reason": "stop"}]});
    let ollama = json!({"message": {"content": "Hi there!"}, "done": true});
    let (vectors, embeddings) = (json!({"data": [{"embedding": [1]}]}), json!({"embeddings": [[1]]}));
    for (client, node, answer, prompt, output) in [
        (Api::Messages, Api::Chat, &openai, "/usage/input_tokens", "/usage/output_tokens"),
        (Api::Messages, Api::OllamaChat, &ollama, "/usage/input_tokens", "/usage/output_tokens"),
        (Api::Responses, Api::Chat, &openai, "/usage/input_tokens", "/usage/output_tokens"),
        (Api::OllamaChat, Api::Chat, &openai, "/prompt_eval_count", "/eval_count"),
        (Api::Chat, Api::OllamaChat, &ollama, "/usage/prompt_tokens", "/usage/completion_tokens"),
        (Api::OllamaEmbed, Api::Embeddings, &vectors, "/prompt_eval_count", ""),
        (Api::Embeddings, Api::OllamaEmbed, &embeddings, "/usage/prompt_tokens", ""),
    ] {
        let mut translator = Translator::whole(client, node, about(), Wishes::default());
        let said: Value = serde_json::from_str(&finished(&mut translator, &answer.to_string())).unwrap();
        assert!(translator.is_estimated(), "{client:?} of {node:?}");
        assert_eq!(said.pointer(prompt), Some(&json!(7)), "{client:?} of {node:?}: {said}");
        if !output.is_empty() {
            assert_eq!(said.pointer(output), Some(&json!(3)), "{client:?} of {node:?}: {said}");
        }
    }
    let counted = json!({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}});
    let mut translator = Translator::whole(Api::Messages, Api::Chat, about(), Wishes::default());
    finished(&mut translator, &counted.to_string());
    assert!(!translator.is_estimated());
}

#[test]
fn a_line_of_ollama_says_how_long_the_work_took() {
    let openai = json!({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2}, "timings": {"prompt_ms": 1.5, "predicted_ms": 20.0}});
    let about = About { begun: Some(Instant::now()), ..about() };
    let mut translator = Translator::whole(Api::OllamaChat, Api::Chat, about, Wishes::default());
    let mut out = Pieces::default();
    translator.pass(openai.to_string().as_bytes(), &mut out);
    translator.finish(&mut out).unwrap();
    let line: Value = serde_json::from_slice(&out.pop(usize::MAX).unwrap()).unwrap();
    assert_eq!(
        (&line["prompt_eval_duration"], &line["eval_duration"]),
        (&json!(1_500_000), &json!(20_000_000))
    );
    assert!(line["total_duration"].as_u64().unwrap() > 0);
}

#[test]
fn a_completion_becomes_a_generation() {
    let text = "data: {\"choices\":[{\"index\":0,\"text\":\"a\"}]}\n\ndata: {\"choices\":[{\"text\":\"\",\"finish_reason\":\"length\"}]}\n\ndata: [DONE]\n\n";
    let lines = objects(&stream(Api::OllamaGenerate, Api::Completions, &[text.as_bytes()]).0);
    assert_eq!((&lines[0]["response"], &lines[1]["done_reason"]), (&json!("a"), &json!("length")));
}

#[test]
fn calls_have_ids_whatever_the_node_says() {
    let object = json!({"message": {"content": "", "tool_calls": [{"function": {"name": "w", "arguments": {"a": 1.50}}}]}, "done": true});
    let message = whole(Api::Messages, Api::OllamaChat, &object);
    assert_eq!(
        message["content"],
        json!([{"type": "tool_use", "id": "call_r1_0", "name": "w", "input": {"a": 1.5}}])
    );
    assert_eq!(message["stop_reason"], "tool_use");
}

/// A stream in which two calls are written at the same time, and a third follows on them.
fn interleaved() -> String {
    let calls =
        |calls: Value| format!("data: {}\n\n", json!({"choices": [{"delta": {"tool_calls": calls}}]}));
    let head =
        |at: usize| json!({"index": at, "id": format!("t{at}"), "function": {"name": "w", "arguments": ""}});
    let piece = |at: usize, text: &str| json!({"index": at, "function": {"arguments": text}});
    [
        calls(json!([head(0), head(1)])),
        calls(json!([piece(0, "{\"a\":"), piece(1, "{\"b\":")])),
        calls(json!([piece(1, "2}"), piece(0, "1}")])),
        calls(json!([head(2), piece(2, "{\"c\":3}")])),
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\ndata: [DONE]\n\n"
            .to_owned(),
    ]
    .concat()
}

#[test]
fn calls_that_are_written_at_the_same_time_keep_their_arguments() {
    let text = interleaved();
    let events = objects(&stream(Api::Messages, Api::Chat, &[text.as_bytes()]).0);
    let mut blocks: Vec<(String, String)> = Vec::new();
    for event in &events {
        if event["type"] == "content_block_start" {
            assert_eq!(event["index"], blocks.len());
            blocks.push((event["content_block"]["id"].as_str().unwrap().to_owned(), String::new()));
        } else if let Some(piece) = event["delta"]["partial_json"].as_str() {
            assert_eq!(event["index"], blocks.len() - 1);
            blocks.last_mut().unwrap().1.push_str(piece);
        }
    }
    let want = [("t0", "{\"a\":1}"), ("t1", "{\"b\":2}"), ("t2", "{\"c\":3}")]
        .map(|(id, text)| (id.into(), text.into()));
    assert_eq!(blocks, want);
    let events = objects(&stream(Api::Responses, Api::Chat, &[text.as_bytes()]).0);
    let output = events.last().unwrap()["response"]["output"].as_array().unwrap().clone();
    let calls: Vec<(String, String)> = output
        .iter()
        .map(|item| (item["call_id"].as_str().unwrap().into(), item["arguments"].as_str().unwrap().into()))
        .collect();
    assert_eq!(calls, want);
}

#[test]
fn a_call_behind_a_whole_one_is_not_held_back() {
    for client in [Api::Messages, Api::Responses] {
        let mut translator = Translator::stream(client, Api::Chat, about(), Wishes::default());
        let mut out = Pieces::default();
        for at in 0..2 {
            let call = json!({"index": at, "id": format!("t{at}"), "function": {"name": "w", "arguments": "{\"a\":1}"}});
            let chunk = json!({"choices": [{"delta": {"tool_calls": [call]}}]});
            translator.pass(format!("data: {chunk}\n\n").as_bytes(), &mut out);
        }
        let written: Vec<_> = std::iter::from_fn(|| out.pop(usize::MAX)).collect();
        let written = String::from_utf8(written.concat()).unwrap();
        assert!(written.contains("\"t0\"") && written.contains("\"t1\""), "{client:?}: {written}");
    }
}

#[test]
fn vectors_are_translated() {
    let openai = json!({"data": [{"index": 1, "embedding": [3.0]}, {"index": 0, "embedding": [1.5, -2]}],
        "usage": {"prompt_tokens": 5, "total_tokens": 5}});
    assert_eq!(
        whole(Api::OllamaEmbed, Api::Embeddings, &openai),
        json!({"model": "m", "embeddings": [[1.5, -2], [3.0]], "prompt_eval_count": 5})
    );
    assert_eq!(whole(Api::OllamaEmbeddings, Api::Embeddings, &openai), json!({"embedding": [1.5, -2]}));
    let ollama = json!({"model": "m", "embeddings": [[1.5, -2]], "prompt_eval_count": 5});
    let list = whole(Api::Embeddings, Api::OllamaEmbed, &ollama);
    assert_eq!(list["data"], json!([{"object": "embedding", "embedding": [1.5, -2], "index": 0}]));
    let wishes = Wishes { base64: true, ..Wishes::default() };
    let mut translator = Translator::whole(Api::Embeddings, Api::OllamaEmbed, about(), wishes);
    let mut out = Pieces::default();
    translator.pass(ollama.to_string().as_bytes(), &mut out);
    translator.finish(&mut out).unwrap();
    let list: Value = serde_json::from_slice(&out.pop(usize::MAX).unwrap()).unwrap();
    assert_eq!(list["data"][0]["embedding"], "AADAPwAAAMA=");
}

#[test]
fn errors_come_in_the_clients_dialect() {
    for (client, want) in [
        (Api::Messages, r#"event: error"#),
        (Api::Responses, r#"data: {"error":{"#),
        (Api::OllamaChat, r#"{"error":"runner died"}"#),
    ] {
        for (node, text) in [
            (
                Api::Chat,
                "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {\"error\":{\"message\":\"runner died\"}}\n\n",
            ),
            (
                Api::Chat,
                "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\nevent: error\ndata: {\"message\":\"runner died\"}\n\n",
            ),
            (
                Api::OllamaChat,
                "{\"message\":{\"content\":\"a\"},\"done\":false}\n{\"error\":\"runner died\"}\n",
            ),
        ] {
            let (all, _) = stream(client, node, &[text.as_bytes()]);
            let at = all.find(want).unwrap_or_else(|| panic!("{client:?}: {all}"));
            assert!(all[at..].contains("runner died"), "{all}");
            assert!(!all.contains("message_stop") && !all.contains("completed\""), "{all}");
        }
    }
    let error = |client, body: &str| {
        let mut translator = Translator::error(client, about(), StatusCode::NOT_FOUND);
        let mut out = Pieces::default();
        translator.pass(body.as_bytes(), &mut out);
        translator.finish(&mut out).unwrap();
        serde_json::from_slice::<Value>(&out.pop(usize::MAX).unwrap()).unwrap()
    };
    let openai = r#"{"error":{"message":"no such model","type":"x"}}"#;
    assert_eq!(error(Api::OllamaChat, openai), json!({"error": "no such model"}));
    let anthropic = error(Api::Messages, r#"{"error":"no such model"}"#);
    assert_eq!(anthropic["error"], json!({"type": "not_found_error", "message": "no such model"}));
    assert_eq!(error(Api::OllamaChat, "<html>"), json!({"error": "the node answered 404"}));
}

#[test]
fn what_is_no_answer_is_said_to_be_none() {
    let (all, done) = stream(Api::Messages, Api::Chat, &[b"data: {\"choices\":7\n\n"]);
    assert!(!done && all.contains("could not be read"), "{all}");
    for (client, node) in
        [(Api::Messages, Api::Chat), (Api::Chat, Api::OllamaChat), (Api::OllamaEmbed, Api::Embeddings)]
    {
        for text in ["<html>", "", "[7]", "7", "{\"object\":\"list\"}", "{\"choices\":", "{\"message\":"] {
            let mut translator = Translator::whole(client, node, about(), Wishes::default());
            let mut out = Pieces::default();
            translator.pass(text.as_bytes(), &mut out);
            assert!(translator.finish(&mut out).is_err() && out.is_empty(), "{client:?} {text}");
        }
    }
}
