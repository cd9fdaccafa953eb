//! What is written into a body, and what is read of governed numbers.

use bytes::Bytes;
use proptest::prelude::*;

use super::{Changes, Output, Peek, PeekError};
use crate::api::{
    Edits,
    peek::tests::{read, route},
};

const NATIVE: [&str; 4] = ["/api/chat", "/api/generate", "/api/embed", "/api/embeddings"];
const ROUTES: [&str; 10] = [
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
    "/api/show",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
];

fn with_usage(body: &str, cut: usize) -> Option<String> {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let segments = [bytes.slice(..cut), bytes.slice(cut..)];
    let mut edits = Edits::default();
    let peek = Peek::read(&segments).unwrap();
    let changes = Changes { usage: true, ..Changes::default() };
    peek.write(&route("/v1/chat/completions"), &changes, &mut edits);
    assert_eq!(edits.is_empty(), peek.asks_usage());
    (!edits.is_empty()).then(|| String::from_utf8(edits.apply(&segments).concat()).unwrap())
}

#[test]
fn usage_is_spliced_in_wherever_the_segments_are_cut() {
    for (body, want) in [
        (r#" {"model":"m"}"#, r#" {"stream_options":{"include_usage":true},"model":"m"}"#),
        (r#"{}"#, r#"{"stream_options":{"include_usage":true}}"#),
        (r#"{"stream_options":null ,"a":1}"#, r#"{"stream_options":{"include_usage":true} ,"a":1}"#),
        (r#"{"stream_options":{ }}"#, r#"{"stream_options":{"include_usage":true }}"#),
        (r#"{"stream_options":{"x":1}}"#, r#"{"stream_options":{"include_usage":true,"x":1}}"#),
        (
            r#"{"stream_options":{"x":[{}],"include_usage":false}}"#,
            r#"{"stream_options":{"x":[{}],"include_usage":true}}"#,
        ),
    ] {
        for cut in 0..=body.len() {
            assert_eq!(with_usage(body, cut).as_deref(), Some(want), "{body} cut at {cut}");
        }
    }
    assert_eq!(with_usage(r#"{"stream_options":{"include_usage":true}}"#, 3), None);
}

fn written(path: &str, body: &str, changes: &Changes<'_>) -> String {
    let segments = [Bytes::copy_from_slice(body.as_bytes())];
    let mut edits = Edits::default();
    Peek::read(&segments).unwrap().write(&route(path), changes, &mut edits);
    String::from_utf8(edits.apply(&segments).concat()).unwrap()
}

const EVERYTHING: Changes<'_> = Changes {
    model: Some("served:70b"),
    keep_alive: Some("\"30m\""),
    num_ctx: Some(8192),
    pinned: false,
    output: Some(64),
    endless_zero: false,
    usage: false,
};

#[test]
fn every_dialect_gets_its_own_keys_and_no_others() {
    for (path, body, want) in [
        (
            "/api/chat",
            r#"{"model":"m"}"#,
            r#"{"keep_alive":"30m","options":{"num_ctx":8192,"num_predict":64},"model":"served:70b"}"#,
        ),
        (
            "/api/generate",
            r#"{"keep_alive": 5 ,"model":"m","options":{"seed":1, "num_predict" : -1}}"#,
            r#"{"keep_alive": "30m" ,"model":"served:70b","options":{"num_ctx":8192,"seed":1, "num_predict" : 64}}"#,
        ),
        (
            "/api/embed",
            r#"{"model":"m","options":null,"keep_alive":null}"#,
            r#"{"model":"served:70b","options":{"num_ctx":8192},"keep_alive":"30m"}"#,
        ),
        (
            "/api/embeddings",
            r#"{"model":"m","options":{ }}"#,
            r#"{"keep_alive":"30m","model":"served:70b","options":{"num_ctx":8192 }}"#,
        ),
        ("/api/show", r#"{"name":"m","verbose":true}"#, r#"{"name":"served:70b","verbose":true}"#),
        ("/api/show", r#"{"model":"","name":"m"}"#, r#"{"model":"","name":"served:70b"}"#),
        ("/api/show", r#"{"model":"m","name":"x"}"#, r#"{"model":"served:70b","name":"x"}"#),
        ("/v1/chat/completions", r#"{"model":"m"}"#, r#"{"max_tokens":64,"model":"served:70b"}"#),
        (
            "/v1/chat/completions",
            r#"{"model":"m","max_completion_tokens":100,"keep_alive":0}"#,
            r#"{"max_tokens":64,"model":"served:70b","max_completion_tokens":64,"keep_alive":0}"#,
        ),
        (
            "/v1/completions",
            r#"{"model":"m","max_tokens":null,"max_completion_tokens":7}"#,
            r#"{"model":"served:70b","max_tokens":7,"max_completion_tokens":7}"#,
        ),
        ("/v1/embeddings", r#"{"model":"m","input":"x"}"#, r#"{"model":"served:70b","input":"x"}"#),
        (
            "/v1/responses",
            r#"{"model":"m","max_output_tokens":64}"#,
            r#"{"model":"served:70b","max_output_tokens":64}"#,
        ),
        ("/v1/messages", r#"{"model":"m","max_tokens":1e3}"#, r#"{"model":"served:70b","max_tokens":64}"#),
    ] {
        assert_eq!(written(path, body, &EVERYTHING), want, "{path} {body}");
    }
    let name = Changes { model: Some("a\"\\b"), ..Changes::default() };
    assert_eq!(written("/api/chat", r#"{"model":"m"}"#, &name), r#"{"model":"a\"\\b"}"#);
}

#[test]
fn every_word_for_the_end_of_an_answer_is_bound() {
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"] {
        let own = match route(path).output {
            Output::Key(name) => name,
            other => panic!("{other:?}"),
        };
        for word in [
            "n_predict",
            "num_predict",
            "max_new_tokens",
            "max_completion_tokens",
            "max_output_tokens",
            "max_tokens_to_sample",
            "max_length",
        ] {
            if word == own {
                continue;
            }
            for (value, want) in [("1000", 64), ("-1", 64), ("0", 0), ("1e9", 64), ("null", 64), ("5", 5)] {
                let body = format!(r#"{{"model":"m","{word}":{value}}}"#);
                let most = if want == 0 { 64 } else { want };
                let want = format!(r#"{{"{own}":{most},"model":"served:70b","{word}":{want}}}"#);
                assert_eq!(written(path, &body, &EVERYTHING), want, "{path}");
            }
        }
        let body = format!(r#"{{"{own}":8,"n_predict":200,"min_tokens":5000,"options":{{"n_predict":-1}}}}"#);
        let want = format!(r#"{{"{own}":8,"n_predict":64,"min_tokens":64,"options":{{"n_predict":64}}}}"#);
        let changes = Changes { model: None, ..EVERYTHING };
        assert_eq!(written(path, &body, &changes), want, "{path}");
        // Bounds of a part, and from below.
        for (key, value, bound) in [
            ("min_new_tokens", "900", "8"),
            ("min_length", "900", "8"),
            ("thinking", r#"{"type":"enabled", "budget_tokens": 9000}"#, r#"{"type":"disabled"}"#),
            ("thinking", r#"{"type":"enabled","budget_tokens":8}"#, r#"{"type":"disabled"}"#),
            ("thinking", r#"{"budget_tokens":7}"#, r#"{"budget_tokens":7}"#),
            ("reasoning", r#"{"effort":"high","max_tokens":9e3}"#, r#"{"effort":"high","max_tokens":null}"#),
            ("reasoning", r#"{"max_tokens":null,"num_ctx":9}"#, r#"{"max_tokens":null,"num_ctx":9}"#),
            ("thinking", r#"{"type":"disabled"}"#, r#"{"type":"disabled"}"#),
            ("thinking", r#"["budget_tokens"]"#, r#"["budget_tokens"]"#),
        ] {
            let body = format!(r#"{{"{own}":8,"{key}":{value}}}"#);
            assert_eq!(written(path, &body, &changes), format!(r#"{{"{own}":8,"{key}":{bound}}}"#), "{path}");
            assert_eq!(read(&body).unwrap().output_limit(&route(path)), Some(8), "{path} {body}");
        }
        // What asks for little is left alone, and nothing is made more of.
        let body = format!(r#"{{"{own}":8,"min_tokens":0,"n":2}}"#);
        assert_eq!(written(path, &body, &changes), body, "{path}");
    }
    for body in [
        r#"{"n_predict":"9"}"#,
        r#"{"n_cmpl":"9"}"#,
        r#"{"best_of":[]}"#,
        r#"{"options":{"n_predict":{}}}"#,
        r#"{"num_beams":"9"}"#,
        r#"{"thinking":{"budget_tokens":"9"}}"#,
    ] {
        let refused = read(body).unwrap().check(&route("/v1/chat/completions"));
        assert!(matches!(refused, Err(PeekError::Type(..))), "{body}");
    }
    for body in [
        r#"{"n_predict":9,"n_predict":1}"#,
        r#"{"N_Predict":9}"#,
        r#"{"n_\u0063mpl":1,"n_cmpl":1}"#,
        r#"{"thinking":{"budget_tokens":9,"budget_tokens":1}}"#,
        r#"{"Thinking":{"budget_tokens":9}}"#,
        r#"{"thinking":{"Budget_Tokens":9}}"#,
    ] {
        assert!(read(body).is_err(), "{body}");
    }
}

#[test]
fn a_budget_of_thinking_stays_below_the_bound_of_the_answer() {
    for (most, asked, budget, want) in [
        (4096, 8000, 6000, Some(4095)),
        (4096, 9000, 4096, Some(4095)),
        (4096, 4000, 4000, Some(3999)),
        (4096, 8000, 4095, Some(4095)),
        (4096, 8000, 1024, Some(1024)),
        (1025, 8000, 2000, Some(1024)),
        (1024, 8000, 1024, None),
        (16, 8000, 6000, None),
        (4096, 1000, 1024, None),
    ] {
        let changes = Changes { output: Some(most), ..Changes::default() };
        let bound = most.min(asked);
        let of = |key: &str, most: u64, value: String| format!(r#"{{"max_tokens":{most},"{key}":{value}}}"#);
        let thinking = |budget| format!(r#"{{"type":"enabled","budget_tokens":{budget}}}"#);
        let wanted = want.map_or(r#"{"type":"disabled"}"#.to_owned(), thinking);
        let body = of("thinking", asked, thinking(budget));
        assert_eq!(written("/v1/messages", &body, &changes), of("thinking", bound, wanted), "{body} {most}");
        let reasoning = |budget: String| format!(r#"{{"max_tokens":{budget}}}"#);
        let wanted = reasoning(want.map_or("null".to_owned(), |budget| budget.to_string()));
        let body = of("reasoning", asked, reasoning(budget.to_string()));
        let kept = written("/v1/chat/completions", &body, &changes);
        assert_eq!(kept, of("reasoning", bound, wanted), "{body} {most}");
    }
}

#[test]
fn an_answer_without_a_token_stays_one_where_the_node_makes_none() {
    let bound = Changes { output: Some(16), ..Changes::default() };
    let endless = Changes { endless_zero: true, ..bound };
    for (path, body) in [
        ("/v1/completions", r#"{"echo":true,"max_tokens":N}"#),
        ("/v1/chat/completions", r#"{"max_tokens":N,"n_predict":N}"#),
        ("/api/chat", r#"{"options":{"num_predict":N}}"#),
    ] {
        let of = |n: &str| body.replace('N', n);
        assert_eq!(written(path, &of("0"), &bound), of("0"), "{path}");
        // Ollama's runner takes it as no bound.
        assert_eq!(written(path, &of("0"), &endless), of("1"), "{path}");
        assert_eq!(written(path, &of("0"), &Changes::default()), of("0"), "{path}");
    }
}

#[test]
fn what_makes_no_answer_may_have_words_of_its_own() {
    let body = r#"{"model":"m","parameters":{"num_ctx":8192},"background":true}"#;
    assert_eq!(read(body).unwrap().check(&route("/api/show")), Ok(()));
    for path in ["/api/chat", "/api/embed", "/v1/embeddings"] {
        assert!(read(body).unwrap().check(&route(path)).is_err(), "{path}");
    }
}

#[test]
fn words_written_together_are_no_way_round() {
    for (body, name) in [
        (r#"{"maxTokens":900}"#, "max_tokens"),
        (r#"{"maxCompletionTokens":900}"#, "max_completion_tokens"),
        (r#"{"Max-Tokens":900}"#, "max_tokens"),
        (r#"{"bestOf":9}"#, "best_of"),
        (r#"{"extraBody":{}}"#, "extra_body"),
        (r#"{"numGpu":0}"#, "num_gpu"),
        (r#"{"options":{"numCtx":9}}"#, "num_ctx"),
        (r#"{"thinking":{"budgetTokens":9}}"#, "budget_tokens"),
    ] {
        assert!(matches!(read(body), Err(PeekError::Miscased(_, known)) if known == name), "{body}");
    }
    assert!(read(r#"{"model":"m","topP":1,"maxTokensPerImage":3}"#).is_ok());
}

#[test]
fn options_of_the_runner_are_dropped_beside_the_others_too() {
    let changes = Changes { num_ctx: Some(4096), pinned: true, ..Changes::default() };
    for (body, want) in [
        (r#"{"num_gpu":0,"model":"m"}"#, r#"{"num_gpu":null,"model":"m"}"#),
        (
            r#"{"model":"m", "num_ctx" : 9 , "seed":1,"num_thread":[1] }"#,
            r#"{"model":"m", "num_ctx" : 4096 , "seed":1,"num_thread":null }"#,
        ),
        (r#"{"num_ctx":null}"#, r#"{"num_ctx":4096}"#),
        (r#"{"model":"m","use_mmap":{"num_ctx":1}}"#, r#"{"model":"m","use_mmap":null}"#),
        (r#"{"model":"m","x":{"num_ctx":1}}"#, r#"{"model":"m","x":{"num_ctx":1}}"#),
        (
            r#"{"main_gpu":1,"options":{"num_gpu":0},"model":"m"}"#,
            r#"{"main_gpu":null,"options":{"num_ctx":4096},"model":"m"}"#,
        ),
    ] {
        for path in ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"] {
            assert_eq!(written(path, body, &changes), want, "{path}");
        }
        // Nobody reads them there, or forces anything.
        assert_eq!(written("/api/show", body, &changes), body);
        assert_eq!(written("/v1/chat/completions", body, &Changes { pinned: false, ..changes }), body);
    }
    assert!(read(r#"{"num_gpu":1,"num_gpu":2}"#).is_err());
    assert!(read(r#"{"num_gpu":1,"Num_GPU":2}"#).is_err());
}

#[test]
fn nothing_may_take_the_place_of_what_was_checked() {
    let check = |body: &str| read(body).unwrap().check(&route("/v1/chat/completions"));
    for (key, value) in [
        ("extra_body", r#"{"model":"dear"}"#),
        ("fallbacks", r#"["dear"]"#),
        ("context_window_fallbacks", "[]"),
        ("content_policy_fallbacks", "[]"),
        ("models", r#"["dear"]"#),
        ("model_list", "[{}]"),
        ("parameters", r#"{"max_new_tokens":900}"#),
        ("sampling_params", r#"{"max_new_tokens":900,"n":9}"#),
        ("generation_config", r#"{"max_length":900}"#),
        ("auto_max_new_tokens", "true"),
    ] {
        assert_eq!(check(&format!(r#"{{"model":"m","{key}":{value}}}"#)), Err(PeekError::Replaced(key)));
        assert_eq!(check(&format!(r#"{{"model":"m","{key}":null,"x":{{"{key}":1}}}}"#)), Ok(()));
    }
    assert_eq!(check(r#"{"model":"m","auto_max_new_tokens":false,"background":false}"#), Ok(()));
    for later in ["true", "1", r#""true""#] {
        assert_eq!(check(&format!(r#"{{"model":"m","background":{later}}}"#)), Err(PeekError::Background));
    }
}

#[test]
fn more_answers_than_anybody_needs_are_refused() {
    let check = |path: &str, body: &str| read(body).unwrap().check(&route(path));
    for word in ["n", "n_cmpl", "num_return_sequences", "best_of", "num_beams", "beam_width"] {
        for (value, want) in [
            ("128", Ok(())),
            ("-5", Ok(())),
            ("null", Ok(())),
            ("129", Err(PeekError::Many(word, 129))),
            ("1e3", Err(PeekError::Many(word, 1000))),
            ("1e400", Err(PeekError::Many(word, i64::MAX.unsigned_abs()))),
        ] {
            let body = format!(r#"{{"n":2,"{word}":{value}}}"#).replace(r#""n":2,"n""#, r#""n""#);
            for path in ["/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"] {
                assert_eq!(check(path, &body), want, "{path} {body}");
            }
            // Nobody reads it there.
            assert_eq!(check("/api/chat", &body), Ok(()), "{body}");
        }
    }
}

#[test]
fn a_pinned_context_keeps_the_model_as_it_is_loaded() {
    let changes = Changes { num_ctx: Some(4096), pinned: true, ..Changes::default() };
    for (options, want) in [
        (r#"{"num_gpu":0,"seed":1}"#, r#"{"num_ctx":4096,"seed":1}"#),
        (r#"{"seed":1, "num_gpu" : 0 , "num_ctx":9,"top_k":2 }"#, r#"{"num_ctx":4096,"seed":1,"top_k":2 }"#),
        (r#"{ "num_ctx":9,"num_batch":1,"use_mmap":false,"main_gpu":3}"#, r#"{"num_ctx":4096}"#),
        (r#"{"numa":{"a":[1,2]},"low_vram":"x","num_thread":null}"#, r#"{"num_ctx":4096}"#),
        // Nothing but the size of the context: as ever.
        (r#"{"seed":1,"num_ctx":9}"#, r#"{"seed":1,"num_ctx":4096}"#),
        (r#"{"seed":1}"#, r#"{"num_ctx":4096,"seed":1}"#),
        (r#"{}"#, r#"{"num_ctx":4096}"#),
        ("null", r#"{"num_ctx":4096}"#),
    ] {
        let of = |options: &str| format!(r#"{{"model":"m","options":{options}}}"#);
        for path in ["/api/chat", "/api/embed"] {
            assert_eq!(written(path, &of(options), &changes), of(want), "{path} {options}");
        }
        // A server with OpenAI's API may hand them on, but needs none.
        let wanted = if options.contains("num_") || options.contains("numa") { want } else { options };
        assert_eq!(written("/v1/chat/completions", &of(options), &changes), of(wanted), "{options}");
        let free = Changes { pinned: false, ..changes };
        let kept = written("/api/chat", &of(options), &free);
        assert_eq!(kept.contains("num_gpu"), options.contains("num_gpu"), "{kept}");
    }
    assert!(read(r#"{"options":{"num_gpu":1,"Num_GPU":2}}"#).is_err());
}

#[test]
fn the_limit_of_the_output_is_read_by_whatever_name() {
    let limit = |path: &str, body: &str| read(body).unwrap().output_limit(&route(path));
    let body =
        r#"{"max_tokens":1,"max_completion_tokens":2,"max_output_tokens":3,"options":{"num_predict":4}}"#;
    for (path, want) in ROUTES.iter().zip([4, 4, 0, 0, 0, 4, 4, 0, 4, 4]) {
        assert_eq!(limit(path, body), Some(want), "{path}");
    }
    let endless = r#"{"max_tokens":8,"n_predict":-1,"min_tokens":3}"#;
    assert_eq!(limit("/v1/chat/completions", endless), None);
    assert_eq!(
        limit("/v1/chat/completions", r#"{"max_tokens":8,"n_predict":null,"min_tokens":30}"#),
        Some(8)
    );
    for unbounded in ["-1", "0", "null", "-2", "0.5"] {
        let body = format!(r#"{{"max_tokens":{unbounded},"options":{{"num_predict":{unbounded}}}}}"#);
        for path in ["/api/chat", "/v1/chat/completions", "/v1/messages"] {
            assert_eq!(limit(path, &body), None, "{path} {unbounded}");
        }
    }
    let most = u64::try_from(i64::MAX).unwrap();
    assert_eq!(limit("/v1/messages", r#"{"max_tokens":1e2}"#), Some(100));
    assert_eq!(limit("/v1/messages", r#"{"max_tokens":1e300}"#), Some(most));
    assert_eq!(limit("/v1/messages", r#"{"max_tokens":99999999999999999999999}"#), Some(most));
}

#[test]
fn numbers_that_are_none_are_refused_where_they_mean_something() {
    let check = |path: &str, body: &str| read(body).unwrap().check(&route(path));
    for (path, body) in [
        ("/api/chat", r#"{"options":{"num_ctx":"8192"}}"#),
        ("/api/embed", r#"{"options":{"num_ctx":[1]}}"#),
        ("/api/generate", r#"{"options":{"num_predict":true}}"#),
        ("/api/generate", r#"{"options":[]}"#),
        ("/v1/chat/completions", r#"{"max_tokens":"5"}"#),
        ("/v1/chat/completions", r#"{"max_completion_tokens":{}}"#),
        ("/v1/completions", r#"{"n":"5"}"#),
        ("/v1/messages", r#"{"max_tokens":"5"}"#),
        ("/v1/messages", r#"{"max_tokens":0.0000000000000000000000000000000000000001}"#),
        ("/v1/responses", r#"{"max_output_tokens":false}"#),
    ] {
        assert!(matches!(check(path, body), Err(PeekError::Type(..))), "{path} {body}");
        // Keys of other routes.
        assert_eq!(check("/v1/embeddings", body), Ok(()), "{path} {body}");
    }
}

#[test]
fn answers_are_counted() {
    let made = |path: &str, body: &str| {
        let (peek, route) = (read(body).unwrap(), route(path));
        (peek.answers(&route), peek.made(&route))
    };
    for (path, body, want) in [
        ("/v1/chat/completions", r#"{"n":3,"prompt":["a","b"]}"#, (3, 3)),
        ("/v1/completions", r#"{"n":3,"prompt":["a","b"]}"#, (6, 6)),
        ("/v1/completions", r#"{"prompt":[[1,2],[3]]}"#, (2, 2)),
        ("/v1/completions", r#"{"prompt":[1,2,3]}"#, (1, 1)),
        ("/v1/completions", r#"{"n":0,"prompt":"a"}"#, (1, 1)),
        ("/v1/chat/completions", r#"{"n":2,"n_cmpl":5,"best_of":4}"#, (5, 5)),
        ("/v1/chat/completions", r#"{"n":2,"num_return_sequences":3}"#, (3, 3)),
        ("/v1/chat/completions", r#"{"n":4,"use_beam_search":true}"#, (4, 4)),
        // Not all of these come back.
        ("/v1/completions", r#"{"best_of":4,"prompt":["a","b"]}"#, (2, 8)),
        ("/v1/chat/completions", r#"{"n":2,"best_of":5,"num_beams":3}"#, (2, 5)),
        ("/v1/messages", r#"{"beam_width":6}"#, (1, 6)),
        ("/v1/responses", r#"{"n_cmpl":5}"#, (5, 5)),
        ("/v1/embeddings", r#"{"n":5,"best_of":5}"#, (1, 1)),
        ("/api/generate", r#"{"n":3,"best_of":5}"#, (1, 1)),
    ] {
        assert_eq!(made(path, body), want, "{path} {body}");
    }
}

proptest! {
    #[test]
    fn what_is_written_stands_there_once_and_the_rest_stays(
        members in prop::collection::btree_map(prop::sample::select(vec![
            "name", "options", "keep_alive", "max_tokens", "max_completion_tokens", "max_output_tokens",
            "n_predict", "min_tokens", "n", "prompt", "seed", "stream_options", "temperature", "max_length",
            "thinking", "num_gpu", "use_mmap",
        ]), prop::sample::select(vec!["null", "1", "{}", " { } ", r#"{"num_ctx":1}"#,
            r#"{"num_predict":-1,"seed":2}"#, r#"{"num_ctx":null , "num_predict":7}"#, r#""x""#,
            r#"{"num_gpu":1,"seed":2 ,"use_mmap":{}, "n_predict":9}"#, r#"{ "stop":[],"num_ctx":7 , "numa":"x"}"#,
        ]), 0..8),
        at in 0usize..8, path in prop::sample::select(ROUTES.to_vec()),
        keep_alive: bool, num_ctx in prop::option::of(1i64..1 << 20), output in prop::option::of(1u64..1 << 20),
        usage: bool, pinned: bool,
    ) {
        let mut list: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        list.insert(at.min(list.len()), r#""model":"m""#.to_owned());
        let body = format!("{{{}}}", list.join(" ,"));
        let route = route(path);
        let segments = [Bytes::from(body)];
        let Ok(peek) = Peek::read(&segments) else { return Ok(()) };
        prop_assume!(peek.check(&route).is_ok());
        let changes = Changes {
            model: Some("s"),
            keep_alive: keep_alive.then_some("\"1h\""),
            num_ctx: num_ctx.map(i64::unsigned_abs),
            pinned,
            output,
            endless_zero: false,
            usage,
        };
        let mut edits = Edits::default();
        peek.write(&route, &changes, &mut edits);
        let after = [Bytes::from(edits.apply(&segments).concat())];
        // Valid, no key twice, and what was written is what is read.
        let again = Peek::read(&after).unwrap();
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&after[0]).is_ok());
        prop_assert_eq!(again.model(false), Some("s"));
        let native = NATIVE.contains(&path);
        let pins = pinned && num_ctx.is_some() && route.openai && peek.reloads();
        prop_assert_eq!(again.num_ctx(), num_ctx.filter(|_| native || pins).or(peek.num_ctx()));
        if again.output_limit(&route) != Some(0) {
            let before = peek.output_limit(&route);
            prop_assert_eq!(again.output_limit(&route), output.into_iter().chain(before).min());
        }
        prop_assert_eq!(again.asks_usage(), usage || peek.asks_usage());
        // The rest as it was.
        let plain = |bytes: &Bytes| {
            let mut value: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            let outer = value.as_object_mut().unwrap();
            outer.remove("model");
            if usage {
                outer.remove("stream_options");
            }
            let bound = output.is_some() && route.output != Output::Nothing;
            if bound {
                for key in [
                    "max_tokens", "max_completion_tokens", "max_output_tokens", "n_predict", "min_tokens",
                    "max_length",
                ] {
                    outer.remove(key);
                }
            }
            if native {
                outer.remove("keep_alive");
            }
            if route.openai && pinned && num_ctx.is_some() {
                for key in ["num_gpu", "use_mmap", "num_ctx"] {
                    outer.remove(key);
                }
            }
            if let Some(serde_json::Value::Object(mut inner)) = outer.remove("options").filter(|o| native || o.is_object()) {
                if native || pins {
                    inner.remove("num_ctx");
                }
                if bound {
                    inner.remove("num_predict");
                    inner.remove("n_predict");
                }
                if (native || pins) && pinned && num_ctx.is_some() {
                    inner.retain(|key, _| !matches!(key.as_str(), "num_gpu" | "use_mmap" | "numa"));
                }
                if !inner.is_empty() {
                    outer.insert("options".into(), inner.into());
                }
            }
            value
        };
        prop_assert_eq!(plain(&segments[0]), plain(&after[0]));
        // Writing the same once more changes nothing.
        let mut twice = Edits::default();
        again.write(&route, &changes, &mut twice);
        prop_assert_eq!(twice.apply(&after).concat(), after[0].to_vec());
    }
}
