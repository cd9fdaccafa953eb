//! Models that clients make: files brought to a node, models made of them and of others, copies, and what is pushed.

use aivonx_protocol::{
    audit::{self, Action, AuditFilter},
    key::{self, KeyScope, NewKey},
};
use aivonx_tests::{
    fake::{FakeNode, Fault, Kind},
    harness::{Answer, Daemon, Request, new_key},
};
use serde_json::{Value, json};

const CONTENT: &[u8] = b"GGUF\x03\0\0\0 a small model";
/// Its SHA-256.
const DIGEST: &str = "sha256:cbfe21e196dfa3bf140ccb378865e2b52ed96a9f26ce8ae61327b87fb51a628e";
const OTHER: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

async fn blob(daemon: &Daemon, method: &str, digest: &str, content: &'static [u8]) -> Answer {
    daemon.ask(&Request::new(method, &format!("/api/blobs/{digest}")).body(content)).await
}

fn models(node: &FakeNode) -> Vec<String> {
    node.with(|state| state.models.iter().map(|model| model.name.clone()).collect())
}

#[tokio::test]
async fn a_model_is_made_where_its_files_are() {
    let nodes = [FakeNode::ollama().await, FakeNode::ollama().await];
    let daemon = Daemon::dev(&[&nodes[0], &nodes[1]]).await;
    let create = json!({"model": "mine", "files": {"a.gguf": DIGEST}});
    blob(&daemon, "HEAD", DIGEST, b"").await.expect(404);
    let refused = daemon.post("/api/create", &create).await.expect(409).json();
    assert!(refused["error"].as_str().unwrap().contains(DIGEST), "{refused}");
    // What has another digest than it is sent under is no node's.
    let differs = blob(&daemon, "POST", OTHER, CONTENT).await.expect(400).json();
    assert!(differs["error"].as_str().unwrap().contains("digest mismatch"), "{differs}");
    assert!(nodes.iter().all(|node| node.with(|state| state.blobs.is_empty())));
    blob(&daemon, "POST", DIGEST, CONTENT).await.expect(201);
    let uploads = daemon.aivonx().json(&["audit", "list", "--action", "model_upload"]).await.to_string();
    assert!(uploads.contains(DIGEST) && !uploads.contains(OTHER), "{uploads}");
    blob(&daemon, "HEAD", DIGEST, b"").await.expect(200);
    blob(&daemon, "HEAD", OTHER, b"").await.expect(404);
    for odd in ["sha256:00", "md5:x", "sha256:..%2f"] {
        assert!(matches!(blob(&daemon, "POST", odd, b"x").await.status, 400 | 404), "{odd}");
    }
    let lines = daemon.post("/api/create", &create).await.expect(200);
    assert_eq!(lines.field("content-type"), Some("application/x-ndjson"));
    assert_eq!(lines.lines().last().unwrap()["status"], "success");
    let has: Vec<bool> = nodes.iter().map(|node| models(node).contains(&"mine:latest".to_owned())).collect();
    let sent: Vec<bool> =
        nodes.iter().map(|node| node.with(|state| state.blobs.contains_key(DIGEST))).collect();
    assert!(has == sent && has[0] != has[1], "{has:?} {sent:?}");
    let chat = json!({"model": "mine", "messages": [], "stream": false});
    daemon.post("/api/chat", &chat).await.expect(200);
    // A file that is called what it is not.
    let wrong = json!({"model": "mine3", "files": {"a.safetensors": DIGEST}});
    let refused = daemon.post("/api/create", &wrong).await.expect(400).json();
    assert!(refused["error"].as_str().unwrap().contains("declared as safetensors"), "{refused}");
    // What one node has and what another has make no model.
    let both = json!({"model": "mine2", "files": {"a.gguf": DIGEST, "b.gguf": OTHER}});
    let refused = daemon.post("/api/create", &both).await.expect(409).json();
    assert!(refused["error"].as_str().unwrap().contains(OTHER), "{refused}");
}

#[tokio::test]
async fn a_large_blob_goes_through_in_pieces() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::builder().config("[limits]\nbody_bytes = \"1MiB\"").node(&node).start().await;
    let content = vec![0_u8; 3 << 20];
    let digest = "sha256:bbd05cf6097ac9b1f89ea29d2542c1b7b67ee46848393895f5a9e43fa1f621e5";
    for _ in 0..2 {
        let request = Request::new("POST", &format!("/api/blobs/{digest}")).body(content.clone());
        let status = daemon.ask(&request).await.status;
        assert!(matches!(status, 200 | 201), "{status}");
    }
    assert_eq!(node.with(|state| state.blobs[digest].len()), content.len());
}

#[tokio::test]
async fn an_upload_ends_with_its_client() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    node.fail_next(Fault::Status(404, "there is no such blob"));
    node.fail_next(Fault::Silence);
    let mut client = daemon.client().await;
    client.send(&Request::new("POST", &format!("/api/blobs/{DIGEST}")).body(CONTENT)).await;
    node.until_requests(2).await;
    client.reset();
    node.until_gone(1).await;
}

#[tokio::test]
async fn models_are_copied_made_of_others_and_pushed() {
    let nodes =
        [FakeNode::start(Kind::Ollama, &["m", "a"]).await, FakeNode::start(Kind::Ollama, &["m"]).await];
    let daemon = Daemon::dev(&[&nodes[0], &nodes[1]]).await;
    let copied = daemon.post("/api/copy", &json!({"source": "m", "destination": "mine"})).await.expect(200);
    assert_eq!(copied.text(), "");
    assert!(nodes.iter().all(|node| models(node).contains(&"mine:latest".to_owned())));
    daemon.post("/api/copy", &json!({"source": "none", "destination": "x"})).await.expect(404);
    daemon.post("/api/copy", &json!({"source": "m"})).await.expect(400);
    let made = json!({"name": "made", "from": "a", "system": "Hi", "stream": false});
    let answer = daemon.post("/api/create", &made).await.expect(200);
    assert_eq!(answer.json()["status"], "success");
    assert!(models(&nodes[0]).contains(&"made:latest".to_owned()), "{:?}", models(&nodes[0]));
    assert!(!models(&nodes[1]).contains(&"made:latest".to_owned()));
    let refused = daemon.post("/api/create", &json!({"model": "x", "from": "none"})).await.expect(409).json();
    assert!(refused["error"].as_str().unwrap().contains("none"), "{refused}");
    for body in [json!({"model": "x", "From": "m"}), json!({"model": "x", "modelfile": "FROM /etc/passwd"})] {
        daemon.post("/api/create", &body).await.expect(400);
    }
    let pushed = daemon.post("/api/push", &json!({"model": "mine"})).await.expect(200);
    assert_eq!(pushed.lines().last().unwrap()["status"], "success");
    let pushes = |node: &FakeNode| node.requests().iter().filter(|r| r.head.target() == "/api/push").count();
    assert_eq!(pushes(&nodes[0]) + pushes(&nodes[1]), 1);
    let control = daemon.control().await;
    for action in [Action::ModelCopy, Action::ModelCreate, Action::ModelPush] {
        let filter = AuditFilter { actions: vec![action], ..AuditFilter::default() };
        let page =
            control.ask(audit::List { filter, cursor: None, limit: 10, oldest_first: false }).await.unwrap();
        assert!(!page.entries.is_empty(), "{action}");
    }
    // The command line does the same.
    daemon.aivonx().ok(&["model", "copy", "m", "theirs", "--node", "node2"]).await;
    daemon.aivonx().ok(&["model", "create", "small", "--from", "m", "--parameter", "num_ctx=1024"]).await;
    daemon.aivonx().ok(&["model", "push", "theirs"]).await;
    assert!(models(&nodes[1]).contains(&"theirs:latest".to_owned()));
    let sent = nodes[0].requests().into_iter().rfind(|r| r.head.target() == "/api/create").unwrap().json();
    assert_eq!(sent["parameters"], json!({"num_ctx": 1024}));
}

#[tokio::test]
async fn what_a_third_party_runs_is_not_made_where_that_is_not_allowed() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "").await;
    let infer = daemon.tenant("acme").await;
    let new = new_key("writer", Some("acme"), &[KeyScope::ModelsWrite]);
    let made = daemon.control().await.ask(key::Create(Box::new(new))).await.unwrap();
    let ask = async |key: &str, path: &str, body: &Value| {
        daemon.ask(&Request::json(path, body).field("x-api-key", key)).await
    };
    let bodies = [
        ("/api/create", json!({"model": "mine", "from": "gpt-oss:120b-cloud"})),
        ("/api/create", json!({"model": "mine", "from": "m", "remote_host": "https://ollama.com"})),
        ("/api/create", json!({"model": "mine:cloud", "from": "m"})),
        ("/api/copy", json!({"source": "gpt-oss:120b-cloud", "destination": "mine"})),
        ("/api/copy", json!({"source": "m", "destination": "mine:8b-cloud"})),
        ("/api/pull", json!({"model": "gpt-oss:120b-cloud"})),
    ];
    for (path, body) in &bodies {
        let refused = ask(made.secret.expose(), path, body).await.expect(403).json();
        let words = refused["error"].as_str().unwrap().to_owned();
        assert!(words.contains("third party") || words.contains("cloud"), "{path} {body}: {words}");
        ask(&infer, path, body).await.expect(403);
    }
    ask(&infer, &format!("/api/blobs/{OTHER}"), &json!({})).await.expect(403);
    // Nor is one made where the organization has no node: a client is not to try that again.
    for (path, body) in
        [("/api/create", json!({"model": "mine", "from": "m"})), ("/api/pull", json!({"model": "m"}))]
    {
        let refused = ask(made.secret.expose(), path, &body).await.expect(403).json();
        assert!(refused["error"].as_str().unwrap().contains("no node of its own"), "{path}: {refused}");
    }
    assert!(node.requests().iter().all(|sent| sent.head.target() != "/api/create"));
}

#[tokio::test]
async fn who_may_not_use_all_models_makes_them_of_files_of_its_own() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[], "").await;
    let key = async |organization: &str, models: &[&str]| {
        let new = NewKey {
            models: models.iter().map(ToString::to_string).collect(),
            ..new_key(&format!("writer{}", models.len()), Some(organization), &[KeyScope::ModelsWrite])
        };
        daemon.control().await.ask(key::Create(Box::new(new))).await.unwrap().secret.expose().to_owned()
    };
    daemon.tenant("acme").await;
    daemon.aivonx().ok(&["node", "add", "own", &node.url(), "--org", "acme"]).await;
    daemon.until_active(1).await;
    let (bounded, free) = (key("acme", &["mine*"]).await, key("acme", &[]).await);
    // The file of a model that is on the node, by whatever way it came there.
    let hex: String = DIGEST.trim_start_matches("sha256:").into();
    node.with(|state| state.blobs.insert(DIGEST.into(), CONTENT.into()));
    let blob = async |key: &str, method: &str, content: &'static [u8]| {
        let request = Request::new(method, &format!("/api/blobs/sha256-{}", hex.to_uppercase()));
        daemon.ask(&request.field("x-api-key", key).body(content)).await
    };
    let create = async |key: &str, part: &str| {
        let body = json!({"model": "mine", part: {"a.gguf": DIGEST}});
        daemon.ask(&Request::json("/api/create", &body).field("x-api-key", key)).await
    };
    for part in ["files", "adapters"] {
        let refused = create(&bounded, part).await.expect(404).json();
        let words = refused["error"].as_str().unwrap();
        assert!(words.contains(DIGEST) && words.contains("/api/blobs/"), "{words}");
    }
    // To send less than all of it shows nothing, though the node would take it.
    blob(&bounded, "HEAD", b"").await.expect(404);
    blob(&free, "HEAD", b"").await.expect(200);
    blob(&bounded, "POST", b"").await.expect(400);
    create(&bounded, "files").await.expect(404);
    assert!(node.requests().iter().all(|sent| sent.head.target() != "/api/create"));
    blob(&bounded, "POST", CONTENT).await.expect(200);
    blob(&bounded, "HEAD", b"").await.expect(200);
    create(&bounded, "files").await.expect(200);
    assert!(models(&node).contains(&"mine:latest".to_owned()));
    create(&free, "adapters").await.expect(200);
}
