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
        ("GET /api/ps", 500, "", "/api/ps answered 500"),
    ];
    for (line, status, body, reason) in bad {
        node.become_ollama(&["m"]);
        assert!(ask(&node, Some(NodeKind::Ollama)).await.is_ok());
        node.answer(line, status, body);
        let error = ask(&node, Some(NodeKind::Ollama)).await.unwrap_err();
        assert!(error.to_string().contains(reason), "{line}: {error}");
        assert_eq!(error.wants_credential(), matches!(status, 401 | 403));
    }
    node.become_ollama(&["m"]);
    node.answer("GET /api/ps", 404, "");
    assert!(ask(&node, None).await.is_ok(), "old versions have no /api/ps");
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
