//! Tests of probing and of the client under it.

use std::time::Duration;

use aivonx_protocol::{
    WireSecret,
    node::{Credential, NodeKind},
};
use tokio::net::TcpListener;

use super::{Found, ProbeError, ProbeLimits, probe};
use crate::{Endpoint, address::NodeUrl, endpoint::credential_header, testing::FakeNode};

const LIMITS: ProbeLimits = ProbeLimits { connect: Duration::from_secs(20), whole: Duration::from_secs(20) };

fn endpoint(url: &str) -> Endpoint {
    Endpoint::new(&NodeUrl::parse(url).unwrap(), None, None, false)
}

async fn ask(node: &FakeNode, kind: Option<NodeKind>) -> Result<Found, ProbeError> {
    probe(&endpoint(&node.url()), kind, LIMITS).await
}

#[tokio::test]
async fn finds_out_the_kind() {
    let ollama = FakeNode::ollama(&["m:latest", "n:8b"]).await;
    let found = ask(&ollama, None).await.unwrap();
    assert_eq!((found.kind, found.sight.version.as_deref()), (NodeKind::Ollama, Some("0.14.0")));
    assert_eq!(found.sight.models.len(), 2);
    assert!(found.round_trip > Duration::ZERO);

    let openai = FakeNode::openai(&["M"]).await;
    let found = ask(&openai, None).await.unwrap();
    assert_eq!((found.kind, &*found.sight.models[0].name), (NodeKind::Openai, "M"));

    for body in ["{}", r#"{"tags":["a"]}"#, r#"{"status":"starting"}"#] {
        let other = FakeNode::bare().await;
        for line in ["GET /api/version", "GET /api/tags", "GET /api/ps", "GET /v1/models"] {
            other.answer(line, 200, body);
        }
        let neither = ask(&other, None).await.unwrap_err();
        assert!(matches!(neither, ProbeError::Neither { .. }), "{body}: {neither}");
    }

    let neither = ask(&FakeNode::bare().await, None).await.unwrap_err();
    assert!(!neither.unreachable());
    assert!(neither.to_string().contains("/api/version answered 404"), "{neither}");
    assert!(neither.to_string().contains("/v1/models answered 404"), "{neither}");
}

#[tokio::test]
async fn only_a_proper_answer_is_healthy() {
    let node = FakeNode::ollama(&["m"]).await;
    let bad = [
        ("GET /api/tags", 404, "", "answered 404"),
        ("GET /api/tags", 200, "<html>hello</html>", "it is HTML"),
        ("GET /api/tags", 200, r#"{"models":{}}"#, "something else"),
        ("GET /api/version", 200, "ok", "something else"),
        ("GET /api/tags", 200, r#"{"models":"Bearer hush-hush"}"#, "string \"Bearer [REDACTED]\""),
        ("GET /api/version", 401, "", "credential"),
        ("GET /api/version", 403, "", "credential"),
        ("GET /api/version", 301, "", "redirects are not followed"),
        ("GET /api/version", 503, "", "503"),
        ("GET /api/tags", 500, "", "/api/tags answered 500"),
    ];
    for (line, status, body, reason) in bad {
        node.become_ollama(&["m"]);
        assert!(ask(&node, Some(NodeKind::Ollama)).await.is_ok());
        node.answer(line, status, body);
        let error = ask(&node, Some(NodeKind::Ollama)).await.unwrap_err();
        assert!(error.to_string().contains(reason), "{line}: {error}");
        assert_eq!(error.wants_credential(), matches!(status, 401 | 403));
    }
    for (status, body) in
        [(404, ""), (405, ""), (500, ""), (501, "{}"), (200, "[]"), (200, r#"{"models":[{"size":7}]}"#)]
    {
        node.become_ollama(&["m"]);
        node.answer("GET /api/ps", status, body);
        let found = ask(&node, None).await.unwrap();
        assert_eq!((found.kind, found.sight.loaded.len()), (NodeKind::Ollama, 0), "{status} {body}");
    }
}

#[tokio::test]
async fn an_ollama_without_a_version_is_one_all_the_same() {
    let node = FakeNode::ollama(&["m"]).await;
    // Where it fails, OpenAI's API beside it does not make another server of it.
    for status in [500, 504, 429] {
        node.answer("GET /api/version", status, "");
        node.answer("GET /v1/models", 200, r#"{"data":[{"id":"m"}]}"#);
        for kind in [Some(NodeKind::Ollama), None] {
            let found = ask(&node, kind).await.unwrap();
            assert_eq!((found.kind, found.sight.version), (NodeKind::Ollama, None), "{status} {kind:?}");
        }
    }
    // What the lists say is what matters where it fails.
    node.answer("GET /api/version", 500, "");
    node.answer("GET /v1/models", 404, "");
    for (status, says) in [(401, "credential"), (404, "/api/tags answered 404")] {
        node.answer("GET /api/tags", status, "");
        for kind in [Some(NodeKind::Ollama), None] {
            let error = ask(&node, kind).await.unwrap_err();
            assert!(error.to_string().contains(says) && !error.is_odd(), "{status} {kind:?}: {error}");
            assert_eq!(error.wants_credential(), status == 401, "{kind:?}: {error}");
        }
    }
    node.become_ollama(&["m"]);
    node.answer("GET /api/version", 404, "");
    node.answer("GET /v1/models", 404, "");
    for kind in [Some(NodeKind::Ollama), None] {
        let found = ask(&node, kind).await.unwrap();
        assert_eq!(
            (found.kind, found.sight.version, found.sight.models.len()),
            (NodeKind::Ollama, None, 1),
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn no_single_answer_decides_what_a_server_is() {
    const MISSING: (u16, &str) = (404, "404 page not found\n");
    const DETAIL: (u16, &str) = (404, r#"{"detail":"Not Found"}"#);
    const LOADING: (u16, &str) =
        (503, r#"{"error":{"message":"Loading model","type":"unavailable_error","code":503}}"#);
    // What each answers to /api/version, /api/tags and /v1/models, and the name of its model.
    for (server, version, tags, models, model) in [
        (
            "llama-swap",
            (200, r#"{"version":"219","commit":"0bdb372","build_date":"2026-08-22"}"#),
            MISSING,
            r#"{"object":"list","data":[{"id":"qwen3-8b","object":"model","created":1,"owned_by":"llama-swap","name":"Qwen 3"}]}"#,
            "qwen3-8b",
        ),
        (
            "LM Studio",
            (200, r#"{"error":"Unexpected endpoint or method. (GET /api/version). Returning 200 anyway"}"#),
            (200, r#"{"error":"Unexpected endpoint or method. (GET /api/tags). Returning 200 anyway"}"#),
            r#"{"data":[{"id":"qwen/qwen3-8b","object":"model","owned_by":"organization_owner"}],"object":"list"}"#,
            "qwen/qwen3-8b",
        ),
        (
            "Lemonade",
            MISSING,
            MISSING,
            r#"{"data":[{"checkpoint":"x:Q4_K_M","created":1,"id":"X-GGUF","labels":["vision"],"object":"model","recipe":"llamacpp","recipe_options":{},"size":65.3}],"object":"list"}"#,
            "X-GGUF",
        ),
        (
            "vLLM",
            DETAIL,
            DETAIL,
            r#"{"object":"list","data":[{"id":"org/M","object":"model","created":1,"owned_by":"vllm","root":"org/M","parent":null,"max_model_len":4096,"permission":[{"id":"p","allow_view":true}]}]}"#,
            "org/M",
        ),
        (
            "llama.cpp",
            LOADING,
            (
                200,
                r#"{"models":[{"name":"/srv/x.gguf","model":"/srv/x.gguf","size":"","details":{"family":""}}]}"#,
            ),
            r#"{"models":[{"name":"/srv/x.gguf","modified_at":"","size":""}],"object":"list","data":[{"id":"/srv/x.gguf","object":"model","created":1,"owned_by":"llamacpp","meta":null}]}"#,
            "/srv/x.gguf",
        ),
        (
            "LocalAI",
            (404, r#"{"error":{"code":404,"message":"Not Found","type":""}}"#),
            MISSING,
            r#"{"object":"list","data":[{"id":"phi-2","object":"model"},{"object":"model"}]}"#,
            "phi-2",
        ),
        (
            "LiteLLM",
            DETAIL,
            DETAIL,
            r#"{"data":[{"id":"lite/smol","object":"model","created":1677610602,"owned_by":"openai"}],"object":"list"}"#,
            "lite/smol",
        ),
        (
            "TGI",
            MISSING,
            MISSING,
            r#"{"object":"list","data":[{"id":"org/M","object":"model","created":0,"owned_by":"org/M"}]}"#,
            "org/M",
        ),
        (
            "Jan",
            (404, "Not Found"),
            (404, "Not Found"),
            r#"{"object":"list","data":[{"id":"jan-v1","model":"jan-v1-q4","object":"model","size":4800000000.5}]}"#,
            "jan-v1",
        ),
        (
            "GPUStack",
            (405, r#"{"code":405,"reason":"Method Not Allowed"}"#),
            (405, ""),
            r#"{"data":[{"id":"qwen3","object":"model","created":1,"owned_by":"gpustack","meta":{"n_ctx":8192}}],"object":"list"}"#,
            "qwen3",
        ),
    ] {
        let node = FakeNode::bare().await;
        node.answer("GET /api/version", version.0, version.1);
        node.answer("GET /api/tags", tags.0, tags.1);
        node.answer("GET /v1/models", 200, models);
        let found = ask(&node, None).await.unwrap();
        assert_eq!((found.kind, &*found.sight.models[0].name), (NodeKind::Openai, model), "{server}");
    }
    // KoboldCpp speaks Ollama's API, too, with fields of its own.
    let node = FakeNode::bare().await;
    node.answer("GET /api/version", 200, r#"{"version":"0.7.0"}"#);
    node.answer("GET /api/tags", 200, r#"{"models":[{"name":"koboldcpp","model":"koboldcpp:latest","modified_at":"2024-07-19T15:26:55.6122841+08:00","size":394998579,"digest":"b5dc5e784f2a3ee1582373093acf69a2f4e2ac1710b253a001712b86a61f88bb"}]}"#);
    assert_eq!(ask(&node, None).await.unwrap().kind, NodeKind::Ollama);
}

#[tokio::test]
async fn what_only_starts_is_no_wrong_server() {
    for status in [502, 503] {
        let node = FakeNode::bare().await;
        for route in ["GET /api/version", "GET /api/tags", "GET /v1/models"] {
            node.answer(route, status, "{}");
        }
        let error = ask(&node, None).await.unwrap_err();
        assert!(error.is_starting() && !error.unreachable(), "{error}");
    }
    let neither = ask(&FakeNode::bare().await, None).await.unwrap_err();
    assert!(!neither.is_starting() && !neither.is_odd());
    let node = FakeNode::ollama(&["m"]).await;
    node.answer("GET /api/tags", 500, "");
    let error = ask(&node, None).await.unwrap_err();
    assert!(error.is_odd(), "it is taken in once that is over: {error}");
}

#[tokio::test]
async fn says_what_is_wrong_with_a_connection() {
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let error = probe(&endpoint(&refused), None, LIMITS).await.unwrap_err();
    assert!(error.unreachable());
    assert!(error.to_string().contains("cannot connect"), "{error}");

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let limits = ProbeLimits { whole: Duration::from_millis(50), ..LIMITS };
    let url = format!("http://{}", silent.local_addr().unwrap());
    let error = probe(&endpoint(&url), None, limits).await.unwrap_err();
    assert!(error.unreachable() && error.to_string().contains("no answer within 0.05 s"), "{error}");

    let error = probe(&endpoint("http://169.254.169.254"), None, LIMITS).await.unwrap_err();
    assert!(error.to_string().contains("--force"), "{error}");
}

#[tokio::test]
async fn sends_the_credential_below_the_prefix() {
    let node = FakeNode::bare().await;
    node.answer("GET /gpu/api/version", 200, r#"{"version":"0.9.0"}"#);
    node.answer("GET /gpu/api/tags", 200, r#"{"models":[]}"#);
    let url = NodeUrl::parse(&format!("{}/gpu/", node.url())).unwrap();
    let credential = credential_header(&Credential::Bearer(WireSecret::new("s3cret".into()))).unwrap();
    let endpoint = Endpoint::new(&url, None, credential, false);
    assert!(probe(&endpoint, None, LIMITS).await.is_ok());
    let asked = node.asked("GET /gpu/api/tags");
    assert_eq!(asked[0].headers["authorization"], "Bearer s3cret");
    assert_eq!(asked[0].headers["host"], node.address.to_string().as_str());
}

#[tokio::test]
async fn an_address_that_ends_in_api_is_named_as_the_mistake() {
    let node = FakeNode::ollama(&["m"]).await;
    for kind in [None, Some(NodeKind::Ollama)] {
        let error = probe(&endpoint(&format!("{}/api/", node.url())), kind, LIMITS).await.unwrap_err();
        assert!(error.to_string().contains("leave it out"), "{error}");
    }
    // Some servers have OpenAI's API there.
    let node = FakeNode::bare().await;
    let url = format!("{}/api", node.url());
    let error = probe(&endpoint(&url), Some(NodeKind::Openai), LIMITS).await.unwrap_err();
    assert!(!error.to_string().contains("leave it out"), "{error}");
    node.answer("GET /api/v1/models", 200, r#"{"data":[{"id":"m"}]}"#);
    assert!(probe(&endpoint(&url), None, LIMITS).await.is_ok());
}
