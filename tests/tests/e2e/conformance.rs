//! Every route of the table against asking the node itself: what a client gets through the gateway is what the node
//! says, byte for byte, but for the fields that are listed here.

use aivonx_tests::{
    fake::{Face, FakeNode, Fault, Kind},
    harness::{Answer, Client, Daemon, Request},
};
use aivonx_wire::api::route::{Action, COUNT_TOKENS, Forward, ROUTES, Route};
use serde_json::{Value, json};

/// Fields that may differ, and why.
const DIFFERENT: &[&str] = &[
    "date",              // each server's own
    "connection",        // of one hop
    "keep-alive",        // of one hop
    "transfer-encoding", // the framing is compared as bodies
    "x-request-id",      // the gateway's
    "x-aivonx-node",     // the gateway's
    "x-accel-buffering", // for the proxies in front of the gateway
    // Security fields, on every answer of the gateway.
    "x-content-type-options",
    "x-frame-options",
    "referrer-policy",
    "content-security-policy",
    "cache-control",
    "permissions-policy",
    "cross-origin-resource-policy",
    "cross-origin-opener-policy",
];

/// The key that the models of a list have beside the node's own: which node has it in memory.
const ADDED_TO_MODELS: &str = "node";

/// The one key that a node may get beside the client's, and whose effect the client does not see.
const ADDED: &str = "stream_options";

/// What a node without the route answers where the test makes it serve it: nothing that a gateway could have written.
const ODD: &str = "{\"odd\" : [1.50,  1e400, \"\\ud800\", \"\u{1f600}\"],\"input_tokens\":3 }\n";

/// What a node says that speaks: no text.
const SOUND: &[u8] = b"RIFF\xff\xfe\0\x80WAVE\xc3";

/// An error that is no text.
const NO_TEXT: Fault = Fault::Bytes(400, b"{\"error\":\"\xff\xc3\"}");

/// Forwarded routes that no request here is for.
const WITHOUT_REQUESTS: &[&str] = &["/v1/realtime"];

/// Errors of nodes, in forms that engines have.
const ERRORS: &[(u16, &str)] = &[
    (400, "{\"error\":\"invalid format: expected \\\"json\\\"\"}"),
    (
        400,
        "{\"object\":\"error\" , \"message\":\"context\\u2026\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}",
    ),
    (400, "no JSON"),
    (403, "{\"detail\":\"denied\"}"),
    (404, "{ \"error\" : {\"message\":\"The model `m` does not exist.\",\"code\":\"model_not_found\"}}  "),
    (413, ""),
    (
        422,
        "{\"detail\":[{\"loc\":[\"body\",\"x\"],\"msg\":\"field required\",\"ctx\":{\"n\":1e400,\"s\":\"\\ud800\"}}]}\r\n",
    ),
    (429, "{\"error\":{\"message\":\"slow down\"}}"),
    (500, "Internal Server Error"),
];

/// How a route is held to its node.
enum Held {
    /// Each of these bodies, in every way to stream that the route has, is answered as by the node.
    Bodies(Vec<Value>),
    /// So is a form with a file.
    Form,
    /// What the gateway makes of one node's list at this path is what the node lists.
    List(&'static str),
    /// It is compared elsewhere, or has no counterpart on a node.
    Elsewhere,
}

/// How `route` is held to its node. A new route does not pass before it has an answer here.
fn held(route: &Route) -> Held {
    Held::Bodies(match route.pattern {
        "/api/chat" | "/api/proxy/chat" => chats(),
        "/api/generate" | "/api/proxy/generate" => vec![
            json!({"model": "m", "prompt": "Why?"}),
            json!({"model": "M", "prompt": "Why?", "options": {"num_predict": 2, "seed": 1}}),
            json!({"model": "m:latest", "prompt": "x", "format": "json"}),
            json!({"model": "m"}),
        ],
        "/api/embed" | "/api/proxy/embed" => {
            vec![json!({"model": "m", "input": ["a b", "c"]}), json!({"model": "m", "input": "a"})]
        }
        "/api/embeddings" | "/api/proxy/embeddings" => vec![json!({"model": "m", "prompt": "a"})],
        "/api/show" => vec![json!({"model": "m"}), json!({"name": "m", "verbose": true})],
        "/v1/chat/completions" => openai_chats(),
        "/v1/completions" => vec![
            json!({"model": "m", "prompt": "Why?"}),
            json!({"model": "m", "prompt": "Why?", "max_tokens": 3, "stream_options": {"include_usage": true}}),
            json!({"model": "m", "prompt": "fn a(", "suffix": "}"}),
        ],
        "/v1/responses" => vec![
            json!({"model": "m", "input": "Why?"}),
            json!({"model": "m", "input": "Why?", "max_output_tokens": 2}),
        ],
        "/v1/messages" => vec![
            json!({"model": "m", "max_tokens": 100, "messages": said("Why?")}),
            json!({"model": "m", "max_tokens": 3, "messages": said("Why?")}),
            json!({"model": "m", "max_tokens": 100, "messages": said("Why?"), "tools": [{"name": "w"}]}),
        ],
        "/v1/embeddings" => vec![
            json!({"model": "m", "input": ["a b", "c"]}),
            json!({"model": "m", "input": "a", "encoding_format": "base64"}),
            json!({"model": "m"}),
        ],
        "/v1/messages/count_tokens" => vec![json!({"model": "m", "messages": said("Why?")})],
        "/v1/rerank" | "/v2/rerank" | "/rerank" | "/v1/reranking" | "/reranking" => {
            vec![json!({"model": "m", "query": "a", "documents": ["b"], "top_n": 1})]
        }
        "/v1/score" | "/score" => vec![json!({"model": "m", "text_1": "a", "text_2": "b"})],
        "/tokenize" => vec![json!({"model": "m", "content": "a"})],
        "/detokenize" => vec![json!({"model": "m", "tokens": [1, 2]})],
        "/infill" => vec![json!({"model": "m", "input_prefix": "a", "input_suffix": "b"})],
        "/v1/audio/speech" => vec![json!({"model": "m", "input": "Hi", "voice": "alloy"})],
        "/v1/images/generations" => vec![json!({"model": "m", "prompt": "a cat"})],
        "/v1/audio/transcriptions" | "/v1/audio/translations" | "/v1/images/edits" => return Held::Form,
        "/" | "/api/version" | "/api/tags" | "/api/ps" | "/v1/models" => return Held::List(route.pattern),
        "/v1/models/:model" => return Held::List("/v1/models/m"),
        // In `sockets.rs` and `responses.rs`.
        "/v1/realtime" | "/v1/responses/:id" => return Held::Elsewhere,
        // In `jobs.rs`, `models.rs` and `load_engines.rs`: they are done on several nodes at once.
        "/api/pull" | "/api/delete" | "/api/copy" | "/api/create" | "/api/push" | "/api/blobs/:digest" => {
            return Held::Elsewhere;
        }
        // They are about the gateway itself.
        "/health" | "/api/health" | "/ready" | "/metrics" | "/api/status" => return Held::Elsewhere,
        "/api/proxy" | "/api/proxy/state" | "/api/proxy/active-requests" => return Held::Elsewhere,
        "/api/account/login"
        | "/api/account/refresh"
        | "/api/account/logout"
        | "/api/account/me"
        | "/api/account/password"
        | "/api/account/password/reset"
        | "/api/account/totp"
        | "/api/account/keys"
        | "/api/account/keys/:id"
        | "/api/account/usage" => return Held::Elsewhere,
        _ if matches!(route.action, Action::Never(_)) => return Held::Elsewhere,
        pattern => panic!("say here how {pattern} is held to its node, or where else it is"),
    })
}

fn said(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

fn tool() -> Value {
    json!({"type": "function", "function": {"name": "weather", "description": "", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}}}})
}

fn chats() -> Vec<Value> {
    let schema =
        json!({"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"]});
    let picture = |data: &str| json!([{"role": "user", "content": "x", "images": [data]}]);
    vec![
        json!({"model": "m", "messages": said("Why is the sky blue?")}),
        json!({"model": "m", "messages": said("Why?"), "tools": [tool()]}),
        json!({"model": "m", "messages": said("Why?"), "think": true}),
        json!({"model": "m", "messages": said("Why?"), "format": schema}),
        json!({"model": "m", "messages": picture("aGk=")}),
        json!({"model": "m", "messages": picture("!")}),
        json!({"model": "m", "messages": []}),
    ]
}

fn openai_chats() -> Vec<Value> {
    vec![
        json!({"model": "m", "messages": said("Hi, \u{1f600}")}),
        json!({"model": "m", "messages": said("Why?"), "stream_options": {"include_usage": true}}),
        json!({"model": "m", "messages": said("Why?"), "stream_options": {"include_usage": false}}),
        json!({"model": "m", "messages": said("Why?"), "tools": [tool()]}),
        json!({"model": "m", "messages": said("Why?"), "max_completion_tokens": 2, "unknown": [1.0, null]}),
    ]
}

fn form(path: &str) -> Request {
    let (field, name, content) = match path {
        "/v1/images/edits" => ("image", "a.png", &b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..]),
        _ => ("file", "a.wav", &b"RIFF....WAVEfmt "[..]),
    };
    let head = format!(
        "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n\
         --XX\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\r\n"
    );
    let body = [head.as_bytes(), content, b"\r\n--XX--\r\n"].concat();
    Request::new("POST", path).field("content-type", "multipart/form-data; boundary=XX").body(body)
}

/// The requests that hold a route to its node.
fn requests(route: &Route, forward: &Forward) -> Vec<Request> {
    let bodies = match held(route) {
        Held::Form => return vec![form(route.pattern)],
        Held::Bodies(bodies) => bodies,
        Held::List(_) | Held::Elsewhere => return Vec::new(),
    };
    let streams = [None, Some(true), Some(false)];
    let ways = if forward.stream_default.is_some() { &streams[..] } else { &streams[..1] };
    let each = bodies.iter().flat_map(|body| {
        ways.iter().map(|way| {
            let mut body = body.clone();
            if let Some(stream) = way {
                body["stream"] = json!(stream);
            }
            Request::json(route.pattern, &body)
        })
    });
    each.collect()
}

fn fields(answer: &Answer) -> Vec<(String, String)> {
    let fields = answer.head.fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let mut fields: Vec<_> = fields.filter(|(name, _)| !DIFFERENT.contains(&name.as_str())).collect();
    fields.sort();
    fields
}

/// A node, and a gateway in front of it.
struct Pair {
    node: FakeNode,
    daemon: Daemon,
}

impl Pair {
    async fn new(node: FakeNode) -> Self {
        // So that the lists have something in memory.
        let load = Request::json("/api/generate", &json!({"model": "m"}));
        Client::connect(node.address()).await.ask(&load).await;
        let daemon = Daemon::dev(&[&node]).await;
        Self { node, daemon }
    }

    async fn ask(&self, request: &Request, path: &str, fault: Option<&Fault>) -> [Answer; 2] {
        fault.into_iter().for_each(|fault| self.node.fail_next(fault.clone()));
        let direct = Client::connect(self.node.address()).await.ask(&request.clone().at(path)).await;
        fault.into_iter().for_each(|fault| self.node.fail_next(fault.clone()));
        [direct, self.daemon.ask(request).await]
    }

    /// Asks the node and the gateway, and compares what they answer and what the node got.
    async fn hold(&self, request: &Request, forward: &Forward, fault: Option<&Fault>) {
        let what = format!("{request:?} with {fault:?}");
        let [direct, through] = self.ask(request, forward.path, fault).await;
        assert_eq!(through.status, direct.status, "{what}: {}", through.text());
        assert_eq!(fields(&through), fields(&direct), "{what}");
        assert_eq!(through.body, direct.body, "{what}");
        assert_eq!(through.cut, None, "{what}");
        let sent = self.node.requests();
        let [.., asked, got] = &sent[..] else { panic!("{what}: {sent:?}") };
        assert_eq!((got.head.method(), got.head.target()), ("POST", forward.path), "{what}");
        // Forms are written anew: `uploads.rs`.
        if forward.form.is_none() && got.body != asked.body {
            let mut body = got.json();
            assert!(forward.ask_usage && body["stream"] == true, "{what}: the node got {body}");
            let mut client: Value = asked.json();
            for body in [&mut body, &mut client] {
                body.as_object_mut().unwrap().remove(ADDED);
            }
            assert_eq!(body, client, "{what}");
        }
    }

    /// A route that no node of the kind serves is served otherwise, or refused so that nobody tries it again.
    async fn hold_unserved(&self, route: &Route, request: &Request) {
        let answer = self.daemon.ask(request).await;
        let otherwise = ["x-aivonx-translated", "x-aivonx-estimated"];
        if otherwise.iter().any(|name| answer.field(name).is_some()) {
            assert!(!answer.expect(200).body.is_empty(), "{request:?}");
        } else {
            let answer = answer.expect(501);
            assert_eq!(answer.field("x-should-retry"), Some("false"), "{}", route.pattern);
            assert!(answer.json()["error"].is_object() || answer.json()["error"].is_string());
        }
    }

    async fn hold_list(&self, path: &str) {
        let [direct, through] = self.ask(&Request::get(path), path, None).await;
        assert_eq!(
            (through.status, kind_of_list(&through), list(&through)),
            (direct.status, kind_of_list(&direct), list(&direct)),
            "{path}"
        );
    }
}

/// A list is written anew, so that its length, charset and the order of its keys are its own.
fn list(answer: &Answer) -> Value {
    let text = answer.text();
    let mut value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    let models = value.get_mut("models").and_then(Value::as_array_mut).into_iter().flatten();
    for model in models.filter_map(Value::as_object_mut) {
        model.remove(ADDED_TO_MODELS);
    }
    value
}

fn kind_of_list(answer: &Answer) -> Option<&str> {
    answer.field("content-type")?.split(';').next()
}

async fn every_route(node: FakeNode, kind: Kind) {
    let pair = Pair::new(node).await;
    // First, for what follows changes what is in memory.
    for route in ROUTES {
        match held(route) {
            Held::List(path) if path.starts_with("/v1") || kind == Kind::Ollama => pair.hold_list(path).await,
            _ => {}
        }
    }
    for route in ROUTES {
        let Action::Forward(forward) = &route.action else { continue };
        let requests = requests(route, forward);
        assert_eq!(requests.is_empty(), WITHOUT_REQUESTS.contains(&route.pattern), "{}", route.pattern);
        let serves = if kind == Kind::Ollama { forward.ollama.is_some() } else { forward.openai };
        if !serves {
            if let Some(request) = requests.first() {
                pair.hold_unserved(route, request).await;
            }
            continue;
        }
        // A scripted node has none of these by itself.
        let speaks = route.pattern == "/v1/audio/speech";
        let odd = || if speaks { Fault::Bytes(200, SOUND) } else { Fault::Body(ODD) };
        let fault = forward.optional.then(odd);
        for request in &requests {
            pair.hold(request, forward, fault.as_ref()).await;
        }
        for request in requests.iter().take(3) {
            // What a node fails to count is estimated.
            let passed = |status: u16| forward.path != COUNT_TOKENS || !matches!(status, 429 | 500);
            for (status, body) in ERRORS.iter().filter(|(status, _)| passed(*status)) {
                pair.hold(request, forward, Some(&Fault::Status(*status, body))).await;
            }
            pair.hold(request, forward, Some(&NO_TEXT)).await;
        }
    }
    assert_eq!(pair.daemon.nodes().await[0]["active_requests"], 0);
}

#[tokio::test]
async fn ollama_answers_through_the_gateway_as_by_itself() {
    every_route(FakeNode::ollama().await, Kind::Ollama).await;
}

#[tokio::test]
async fn an_openai_server_answers_through_the_gateway_as_by_itself() {
    every_route(FakeNode::openai().await, Kind::Openai).await;
}

#[tokio::test]
async fn llama_cpps_router_answers_through_the_gateway_as_by_itself() {
    let node = FakeNode::openai().await;
    node.with(|state| state.face = Some(Face::Router));
    every_route(node, Kind::Openai).await;
}
