use serde_json::{Value, json};

use super::{
    super::{Request, Translator, Wishes, request},
    Api, about,
};
use crate::api::Pieces;

fn sent(client: Api, node: Api, body: &Value) -> Value {
    match request(client, node, true, &about(), body.to_string().as_bytes()) {
        Ok(Request::Send(_, body, _)) => serde_json::from_slice(&body).unwrap(),
        other => panic!("{body}: {other:?}"),
    }
}

fn refused(client: Api, node: Api, body: &Value) -> String {
    request(client, node, true, &about(), body.to_string().as_bytes()).unwrap_err().to_string()
}

fn with_effort(effort: &str) -> Value {
    let messages = json!([{"role": "user", "content": "x"}]);
    json!({"model": "m", "max_tokens": 1, "messages": messages, "output_config": {"effort": effort}})
}

/// A turn with everything that Claude Code sends.
fn messages() -> Value {
    json!({
        "model": "m", "max_tokens": 512, "stream": true, "temperature": 1, "stop_sequences": ["END"],
        "metadata": {"user_id": "u"}, "context_management": {"edits": []}, "thinking": {"type": "enabled", "budget_tokens": 100},
        "system": [{"type": "text", "text": "You are", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "here."}],
        "tools": [{"name": "ls", "description": "lists", "input_schema": {"type": "object", "properties": {"z": {}, "a": {}}}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": ""},
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "t1", "name": "ls", "input": {"path": "/"}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [
                    {"type": "text", "text": "a b"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}]},
                {"type": "text", "text": "And?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "aG8="}}]},
        ],
    })
}

#[test]
fn messages_become_a_chat_of_openai() {
    assert_eq!(
        sent(Api::Messages, Api::Chat, &messages()),
        json!({
            "model": "m", "stream": true, "stream_options": {"include_usage": true},
            "max_tokens": 512, "temperature": 1, "stop": ["END"], "tool_choice": "auto", "parallel_tool_calls": false,
            "tools": [{"type": "function", "function": {"name": "ls", "description": "lists",
                "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}}}],
            "messages": [
                {"role": "system", "content": "You are\n\nhere."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "reasoning_content": "hm", "content": "Let me see.", "tool_calls": [
                    {"id": "t1", "type": "function", "function": {"name": "ls", "arguments": "{\"path\":\"/\"}"}}]},
                {"role": "tool", "tool_call_id": "t1", "content": "a b"},
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
                {"role": "user", "content": [{"type": "text", "text": "And?"},
                    {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,aG8="}}]},
            ],
        })
    );
}

#[test]
fn messages_become_a_chat_of_ollama() {
    assert_eq!(
        sent(Api::Messages, Api::OllamaChat, &messages()),
        json!({
            "model": "m", "stream": true,
            "options": {"num_predict": 512, "temperature": 1, "stop": ["END"]},
            "tools": [{"type": "function", "function": {"name": "ls", "description": "lists",
                "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}}}],
            "messages": [
                {"role": "system", "content": "You are\n\nhere."},
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "thinking": "hm", "content": "Let me see.", "tool_calls": [
                    {"id": "t1", "function": {"name": "ls", "arguments": {"path": "/"}}}]},
                {"role": "tool", "tool_name": "ls", "tool_call_id": "t1", "content": "a b", "images": ["aGk="]},
                {"role": "user", "content": "And?", "images": ["aG8="]},
            ],
        })
    );
}

#[test]
fn schemas_keep_the_order_of_their_keys() {
    let body = br#"{"model":"m","messages":[{"role":"user","content":"x"}],"format":{"type":"object","properties":{"z":{},"a":{}}}}"#;
    let Ok(Request::Send(_, sent, _)) = request(Api::OllamaChat, Api::Chat, false, &about(), body) else {
        panic!()
    };
    let sent = String::from_utf8(sent).unwrap();
    assert!(sent.contains(r#""schema":{"type":"object","properties":{"z":{},"a":{}}}"#), "{sent}");
}

#[test]
fn a_chat_of_ollama_becomes_one_of_openai() {
    let body = json!({
        "model": "m", "keep_alive": "5m", "think": "low", "format": "json",
        "options": {"num_ctx": 4096, "num_predict": -1, "top_k": 3, "repeat_penalty": 1.1, "stop": []},
        "tools": [{"type": "function", "function": {"name": "w", "parameters": {"type": "object"}}}],
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "look", "images": ["/9j/4AA"]},
            {"role": "assistant", "content": "", "tool_calls": [
                {"function": {"name": "w", "arguments": {"c": "A"}}}, {"function": {"name": "v", "arguments": {}}}]},
            {"role": "tool", "tool_name": "v", "content": "2"},
            {"role": "tool", "tool_name": "w", "content": "1"},
        ],
    });
    assert_eq!(
        sent(Api::OllamaChat, Api::Chat, &body),
        json!({
            "model": "m", "stream": true, "stream_options": {"include_usage": true}, "reasoning_effort": "low",
            "response_format": {"type": "json_object"}, "top_k": 3, "repeat_penalty": 1.1, "repetition_penalty": 1.1,
            "tools": [{"type": "function", "function": {"name": "w", "parameters": {"type": "object"}}}],
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": [{"type": "text", "text": "look"},
                    {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/4AA"}}]},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": "call_0", "type": "function", "function": {"name": "w", "arguments": "{\"c\":\"A\"}"}},
                    {"id": "call_1", "type": "function", "function": {"name": "v", "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "call_1", "content": "2"},
                {"role": "tool", "tool_call_id": "call_0", "content": "1"},
            ],
        })
    );
    let think = |think: bool| {
        let body = json!({"model": "m", "prompt": "x", "system": "s", "think": think, "stream": false});
        sent(Api::OllamaGenerate, Api::Chat, &body)
    };
    assert_eq!(
        think(false),
        json!({"model": "m", "stream": false, "chat_template_kwargs": {"enable_thinking": false}, "messages": [
            {"role": "system", "content": "s"}, {"role": "user", "content": "x"}]})
    );
    assert_eq!(think(true)["chat_template_kwargs"]["enable_thinking"], true);
    let hint = with_effort("max");
    assert_eq!(sent(Api::Messages, Api::Chat, &hint)["reasoning_effort"], "high");
    assert_eq!(sent(Api::Messages, Api::OllamaChat, &hint)["think"], Value::Null);
}

#[test]
fn a_raw_prompt_is_completed_as_it_is() {
    let body = json!({"model": "m", "prompt": "<|fim_prefix|>a", "raw": true, "system": "s", "options": {"stop": ["b"]}});
    let sent = request(Api::OllamaGenerate, Api::Chat, true, &about(), body.to_string().as_bytes());
    let Ok(Request::Send(Api::Completions, sent, _)) = sent else { panic!("{sent:?}") };
    assert_eq!(
        serde_json::from_slice::<Value>(&sent).unwrap(),
        json!({"model": "m", "prompt": "<|fim_prefix|>a", "stream": true, "stop": ["b"],
            "stream_options": {"include_usage": true}})
    );
}

#[test]
fn responses_become_a_chat() {
    let body = json!({
        "model": "m", "instructions": "be", "store": false, "include": [], "max_output_tokens": 9,
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}},
        "tools": [{"type": "function", "name": "w", "parameters": {"type": "object"}, "strict": false}],
        "tool_choice": "auto",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": "data:image/png;base64,aGk="}]},
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "well"}]},
            {"type": "function_call", "call_id": "c1", "name": "w", "arguments": "{\"a\":1}"},
            {"type": "function_call_output", "call_id": "c1", "output": "7"},
        ],
    });
    assert_eq!(
        sent(Api::Responses, Api::Chat, &body),
        json!({
            "model": "m", "stream": false, "max_tokens": 9, "reasoning_effort": "low", "tool_choice": "auto",
            "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": true}},
            "tools": [{"type": "function", "function": {"name": "w", "parameters": {"type": "object"}, "strict": false}}],
            "messages": [
                {"role": "system", "content": "be"},
                {"role": "user", "content": [{"type": "text", "text": "x"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]},
                {"role": "assistant", "reasoning_content": "hm", "content": "well", "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "w", "arguments": "{\"a\":1}"}}]},
                {"role": "tool", "tool_call_id": "c1", "content": "7"},
            ],
        })
    );
    let native = sent(Api::Responses, Api::OllamaChat, &body);
    assert_eq!((&native["format"], &native["think"]), (&json!({"type": "object"}), &json!("low")));
    assert_eq!(native["messages"][2]["tool_calls"][0]["function"]["arguments"], json!({"a": 1}));
}

#[test]
fn a_chat_of_openai_becomes_one_of_ollama() {
    let body = json!({
        "model": "m", "max_completion_tokens": 7, "stop": "END", "seed": 3, "stream_options": {"include_usage": true},
        "messages": [
            {"role": "developer", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "w", "arguments": "no JSON"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "1"},
        ],
    });
    assert_eq!(
        sent(Api::Chat, Api::OllamaChat, &body),
        json!({
            "model": "m", "stream": false, "options": {"num_predict": 7, "seed": 3, "stop": ["END"]},
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": "a\nb"},
                {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "function": {"name": "w", "arguments": {}}}]},
                {"role": "tool", "tool_name": "w", "tool_call_id": "c", "content": "1"},
            ],
        })
    );
}

#[test]
fn embeddings_are_asked_for() {
    let body = json!({"model": "m", "input": ["a", "b"], "truncate": true, "dimensions": 3, "keep_alive": 0});
    assert_eq!(
        sent(Api::OllamaEmbed, Api::Embeddings, &body),
        json!({"model": "m", "input": ["a", "b"], "dimensions": 3, "encoding_format": "float"})
    );
    let body = json!({"model": "m", "prompt": "a"});
    assert_eq!(
        sent(Api::OllamaEmbeddings, Api::Embeddings, &body),
        json!({"model": "m", "input": "a", "encoding_format": "float"})
    );
    let body = json!({"model": "m", "input": "a", "encoding_format": "base64"});
    assert_eq!(sent(Api::Embeddings, Api::OllamaEmbed, &body), json!({"model": "m", "input": "a"}));
    let wishes = |client, body: &Value| match request(
        client,
        Api::OllamaEmbed,
        true,
        &about(),
        body.to_string().as_bytes(),
    ) {
        Ok(Request::Send(_, _, wishes)) => wishes,
        other => panic!("{other:?}"),
    };
    assert_eq!(wishes(Api::Embeddings, &body), Wishes { base64: true, ..Wishes::default() });
}

#[test]
fn what_a_response_repeats_is_kept_of_its_request() {
    let tools = json!([{"type": "function", "name": "w", "parameters": {"type": "object"}}]);
    let body = json!({"model": "m", "input": "x", "tools": tools, "tool_choice": "required",
        "parallel_tool_calls": false, "top_p": null, "metadata": {"k": "x".repeat(100_000)}});
    let asked = request(Api::Responses, Api::Chat, true, &about(), body.to_string().as_bytes());
    let Ok(Request::Send(_, _, wishes)) = asked else { panic!("{asked:?}") };
    let mut translator = Translator::whole(Api::Responses, Api::Chat, about(), wishes);
    let mut out = Pieces::default();
    translator.pass(br#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"#, &mut out);
    assert!(translator.finish(&mut out).is_ok());
    let answer: Vec<u8> = std::iter::from_fn(|| out.pop(usize::MAX)).flatten().collect();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((&answer["tools"], &answer["tool_choice"]), (&tools, &json!("required")));
    // What is not there is as ever, and so is what is too long to be kept.
    assert_eq!((&answer["parallel_tool_calls"], &answer["metadata"]), (&json!(false), &json!({})));
    let kept = |tools: usize, metadata: usize| {
        let body = json!({"model": "m", "input": "x", "top_p": 1,
            "tools": [{"type": "function", "name": "w", "description": "x".repeat(tools)}],
            "metadata": {"k": "x".repeat(metadata)}});
        let asked = request(Api::Responses, Api::Chat, true, &about(), body.to_string().as_bytes());
        let Ok(Request::Send(_, _, wishes)) = asked else { panic!("{asked:?}") };
        wishes.asked.unwrap().iter().map(|(name, _)| *name).collect::<Vec<_>>()
    };
    assert_eq!(kept(40_000, 20_000), ["top_p", "tools", "metadata"]);
    assert_eq!(kept(40_000, 40_000), ["top_p", "tools"], "all together are bounded");
}

#[test]
fn an_empty_prompt_has_an_answer_of_its_own() {
    for (body, reason) in [
        (json!({"model": "m", "prompt": ""}), "load"),
        (json!({"model": "m", "system": "s", "keep_alive": -1}), "load"),
        (json!({"model": "m", "keep_alive": 0}), "unload"),
        (json!({"model": "m", "keep_alive": 0.0}), "unload"),
        (json!({"model": "m", "keep_alive": "0h0m"}), "unload"),
    ] {
        let answer = request(Api::OllamaGenerate, Api::Chat, false, &about(), body.to_string().as_bytes());
        let Ok(Request::Answer(answer)) = answer else { panic!("{answer:?}") };
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(
            (&answer["done"], &answer["done_reason"], &answer["response"]),
            (&json!(true), &json!(reason), &json!(""))
        );
    }
}

#[test]
fn a_prompt_to_complete_becomes_a_chat() {
    let body = json!({"model": "m", "prompt": ["Why?"], "max_tokens": 3, "seed": 7, "stop": "END", "echo": false,
        "n": 1, "best_of": 1, "user": "u", "suffix": null});
    assert_eq!(
        sent(Api::Completions, Api::OllamaChat, &body),
        json!({"model": "m", "stream": false, "messages": [{"role": "user", "content": "Why?"}],
            "options": {"num_predict": 3, "seed": 7, "stop": ["END"]}})
    );
    assert_eq!(
        sent(Api::Completions, Api::Chat, &body)["messages"],
        json!([{"role": "user", "content": "Why?"}])
    );
    for (name, value) in [
        ("suffix", json!("}")),
        ("echo", json!(true)),
        ("n", json!(2)),
        ("best_of", json!(3)),
        ("logprobs", json!(5)),
        ("prompt", json!(["a", "b"])),
        ("prompt", json!([1, 2])),
        ("prompt[0]", json!([1])),
    ] {
        let mut body = body.clone();
        body[name.split('[').next().unwrap()] = value;
        let refused = refused(Api::Completions, Api::OllamaChat, &body);
        assert!(refused.starts_with(&format!("'{name}' cannot be translated")), "{name}: {refused}");
    }
}

#[test]
fn what_has_no_counterpart_is_refused_by_name() {
    let user = |content: Value| json!({"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": content}]});
    let with = |name: &str, value: Value| {
        let mut body = user("x".into());
        body["input"] = "x".into();
        body[name] = value;
        body
    };
    let document = json!([{"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": ""}}]);
    for (client, node, body, name) in [
        (Api::Messages, Api::Chat, with("mcp_servers", json!([{"name": "x"}])), "'mcp_servers'"),
        (
            Api::Messages,
            Api::Chat,
            with("tools", json!([{"type": "web_search_20250305", "name": "w"}])),
            "'tools[0].type' of 'web_search_20250305'",
        ),
        (Api::Messages, Api::Chat, user(document), "'messages[0].content[0].source.type' of 'base64'"),
        (Api::Messages, Api::OllamaChat, with("tool_choice", json!({"type": "any"})), "'tool_choice'"),
        (
            Api::Messages,
            Api::OllamaChat,
            user(json!([{"type": "image", "source": {"type": "url", "url": "http://x/"}}])),
            "'messages[0]: the URL of an image'",
        ),
        (Api::OllamaGenerate, Api::Chat, with("suffix", json!("x")), "'suffix'"),
        (Api::Responses, Api::Chat, with("previous_response_id", json!("r")), "'previous_response_id'"),
        (
            Api::Responses,
            Api::Chat,
            with("tools", json!([{"type": "web_search"}])),
            "'tools[0].type' of 'web_search'",
        ),
        (Api::Chat, Api::OllamaChat, with("n", json!(2)), "'n'"),
        (Api::Chat, Api::OllamaChat, with("web_search_options", json!({})), "'web_search_options'"),
        (Api::Chat, Api::OllamaChat, with("modalities", json!(["text", "audio"])), "'modalities'"),
        (Api::Chat, Api::OllamaChat, with("logit_bias", json!({"1": 2})), "'logit_bias'"),
        (Api::Embeddings, Api::OllamaEmbed, with("input", json!([1, 2])), "'input'"),
    ] {
        let refused = refused(client, node, &body);
        assert!(refused.starts_with(name) && refused.contains("cannot be translated"), "{name}: {refused}");
    }
    for (body, says) in [
        (json!({"model": "m", "messages": 7}), "'messages' is not a list"),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": 7}]}),
            "'messages[0].content' is not a string or a list of blocks",
        ),
        (json!({"model": "m", "messages": [], "max_tokens": "secret"}), "'max_tokens' is not a number"),
    ] {
        assert_eq!(refused(Api::Messages, Api::Chat, &body), says);
    }
}

#[test]
fn many_calls_are_joined_to_their_outcomes_at_once() {
    const CALLS: usize = 100_000;
    let call = |_| json!({"function": {"name": "w", "arguments": {}}});
    for (id, name) in [(true, false), (false, true), (false, false)] {
        let outcome = |n: usize| {
            let mut message = json!({"role": "tool", "content": "x"});
            if id {
                // From behind, so that each is the last to be found.
                message["tool_call_id"] = format!("call_{}", CALLS - 1 - n).into();
            }
            if name {
                message["tool_name"] = "w".into();
            }
            message
        };
        let first = json!({"role": "assistant", "tool_calls": (0..CALLS).map(call).collect::<Value>()});
        let messages: Value = std::iter::once(first).chain((0..CALLS).map(outcome)).collect();
        let body = json!({"model": "m", "stream": false, "messages": messages});
        let begun = std::time::Instant::now();
        let sent = sent(Api::OllamaChat, Api::Chat, &body);
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
        let last = if id { 0 } else { CALLS - 1 };
        assert_eq!(sent["messages"][CALLS]["tool_call_id"], format!("call_{last}"));
    }
}

#[test]
fn outcomes_belong_to_the_oldest_call_that_fits() {
    let call = |name: &str| json!({"function": {"name": name, "arguments": {}}});
    let body = json!({"model": "m", "stream": false, "messages": [
        {"role": "assistant", "tool_calls": [call("a"), call("b"), call("a"), call("b")]},
        {"role": "tool", "tool_name": "b", "content": "1"},
        {"role": "tool", "content": "2"},
        {"role": "tool", "content": "3"},
        {"role": "tool", "tool_name": "b", "content": "4"},
        {"role": "tool", "tool_name": "a", "content": "5"},
    ]});
    let sent = sent(Api::OllamaChat, Api::Chat, &body);
    let ids: Vec<&str> =
        (1..6).map(|at| sent["messages"][at]["tool_call_id"].as_str().unwrap_or_default()).collect();
    assert_eq!(ids, ["call_1", "call_0", "call_2", "call_3", ""]);
}

#[test]
fn a_chat_with_nothing_but_a_system_message_is_answered_by_the_model() {
    let body =
        json!({"model": "m", "stream": false, "messages": [{"role": "system", "content": "Greet me."}]});
    assert_eq!(sent(Api::OllamaChat, Api::Chat, &body)["messages"][0]["content"], "Greet me.");
    let idle =
        request(Api::OllamaChat, Api::Chat, false, &about(), br#"{"model":"m","messages":[]}"#).unwrap();
    assert!(matches!(idle, Request::Answer(_)));
}

#[test]
fn that_a_tool_failed_is_said_in_its_result() {
    let result = |content: Value, is_error: bool| {
        let body = json!({"model": "m", "max_tokens": 1, "messages": [
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "w", "input": {}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": content, "is_error": is_error}]}]});
        sent(Api::Messages, Api::Chat, &body)["messages"][1]["content"].clone()
    };
    assert_eq!(result("no such file".into(), true), "Error: no such file");
    assert_eq!(
        result(json!([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]), true),
        "Error: a\nb"
    );
    assert_eq!(result(json!([]), true), "Error");
    assert_eq!(result("fine".into(), false), "fine");
}

#[test]
fn nothing_stands_between_the_calls_of_a_response_and_their_outcomes() {
    let call = |id: &str| json!({"type": "function_call", "call_id": id, "name": "w", "arguments": "{}"});
    let outcome = |id: &str| json!({"type": "function_call_output", "call_id": id, "output": "1"});
    let said = |text: &str| json!({"type": "message", "role": "assistant", "content": text});
    let thought = json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]});
    let body = json!({"model": "m", "stream": false, "input": [
        said("first"), call("c1"), said("then"), thought, call("c2"), outcome("c1"), outcome("c2"), said("done")]});
    let sent = sent(Api::Responses, Api::Chat, &body);
    let roles: Vec<&str> = (0..4).map(|at| sent["messages"][at]["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["assistant", "tool", "tool", "assistant"]);
    let turn = &sent["messages"][0];
    assert_eq!((&turn["content"], &turn["reasoning_content"]), (&json!("first\nthen"), &json!("hm")));
    assert_eq!(turn["tool_calls"].as_array().unwrap().len(), 2);
}

#[test]
fn images_in_urls_are_found_however_their_scheme_is_written() {
    for url in ["data:image/png;base64,aGk=", "DATA:image/png;BASE64,aGk="] {
        let body = json!({"model": "m", "stream": false, "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]});
        assert_eq!(
            sent(Api::Chat, Api::OllamaChat, &body)["messages"][0]["images"],
            json!(["aGk="]),
            "{url}"
        );
    }
}
