//! Clients that do not read: what is ended is their answer and nothing beside it, and no node is blamed.

use aivonx_protocol::running;
use std::time::{Duration, Instant};

use aivonx_tests::{
    fake::{FakeNode, Kind},
    harness::{Client, Daemon, H2Client, Request},
    within,
};
use hyper::{Response, body::Incoming};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
};

/// Longest pauses of nodes and clients; the deadlines are looked at every quarter of a second.
const PAUSE: Duration = Duration::from_millis(500);

/// Tokens of an answer.
const TOKENS: usize = 800;

/// Most that a client takes of an answer it does not read.
const WINDOW: u32 = 10_000;

fn generate(model: &str) -> String {
    json!({"model": model, "prompt": "x", "options": {"num_predict": TOKENS}}).to_string()
}

/// A node whose answers, 16 MB each, fit into no buffer.
async fn flood() -> FakeNode {
    let node = FakeNode::start(Kind::Ollama, &["flood"]).await;
    node.with(|s| s.tokens = vec!["x".repeat(20_000)]);
    node
}

/// A node that sends its tokens one at a time, on request.
async fn step() -> FakeNode {
    let node = FakeNode::start(Kind::Ollama, &["step"]).await;
    node.gate();
    node
}

/// The record of a request for `model`, which has ended.
async fn record(daemon: &Daemon, model: &str) -> String {
    daemon.stderr().until(&format!(r"POST /api/generate 200 {model}[^\n]*")).await
}

/// Two answers over one connection: one that is not read, and one that is and goes on when the other is ended.
async fn beside_one_that_is_not_read(daemon: &Daemon, step: &FakeNode, end: impl AsyncFnOnce()) -> String {
    let mut client = H2Client::connect_with_window(daemon.address(), WINDOW).await;
    let unread = client.begin("POST", "/api/generate", &[], generate("flood")).await.unwrap();
    let read = begun(&mut client, step, &[]).await;
    end().await;
    let record = record(daemon, "flood").await;
    other_goes_on(daemon, &mut client, step, read).await;
    was_cut(unread).await;
    record
}

/// An answer of which one token has come.
async fn begun(client: &mut H2Client, step: &FakeNode, fields: &[(&str, &str)]) -> Response<Incoming> {
    step.release(1);
    let mut read = client.begin("POST", "/api/generate", fields, generate("step")).await.unwrap();
    H2Client::piece(&mut read).await.unwrap();
    read
}

/// An answer comes to its end, and its connection stays.
async fn other_goes_on(daemon: &Daemon, client: &mut H2Client, step: &FakeNode, read: Response<Incoming>) {
    step.open_gate();
    let (rest, cut) = H2Client::rest(read).await;
    assert_eq!(cut, None, "the other stream goes on");
    assert!(memchr::memmem::find(&rest, b"\"done\":true").is_some(), "{rest:?}");
    assert_eq!(client.ask("GET", "/health", &[], "").await.status, 200, "the connection stays");
    assert!(record(daemon, "step").await.contains("bytes_out"), "it is complete");
}

/// No more came of an answer than fitted, and then a reset.
async fn was_cut(unread: Response<Incoming>) {
    let (got, cut) = H2Client::rest(unread).await;
    assert!(got.len() <= WINDOW as usize && cut.is_some(), "{} {cut:?}", got.len());
}

/// Ends the one answer of `flood`.
async fn cancel(daemon: &Daemon) {
    let running = daemon.control().await.ask(running::List).await.unwrap();
    let unread =
        running.iter().find(|one| one.model.as_deref().is_some_and(|model| model.starts_with("flood")));
    daemon.aivonx().ok(&["running", "cancel", &unread.unwrap().id]).await;
}

#[tokio::test]
async fn ending_one_unread_stream_leaves_the_others_of_its_connection() {
    let (flood, step) = (flood().await, step().await);
    let daemon = Daemon::run(&[&flood, &step], "").await;
    let record = beside_one_that_is_not_read(&daemon, &step, async || cancel(&daemon).await).await;
    assert!(record.contains("outcome=ended") && record.contains("an administrator ended"), "{record}");
    let unread = daemon.stderr().text();
    assert!(!unread.contains("client_gone"), "{unread}");
}

#[tokio::test]
async fn removing_a_node_leaves_the_streams_of_others() {
    let (flood, step) = (flood().await, step().await);
    let daemon = Daemon::run(&[&flood, &step], "").await;
    let remove = async || {
        daemon.aivonx().ok(&["node", "remove", "n0", "--yes"]).await;
    };
    let record = beside_one_that_is_not_read(&daemon, &step, remove).await;
    assert!(record.contains("outcome=ended") && record.contains("the node was removed"), "{record}");
}

#[tokio::test]
async fn revoking_a_key_leaves_the_streams_of_others() {
    let (flood, step) = (flood().await, step().await);
    let builder = Daemon::builder().config("").mode("required");
    let daemon = builder.node(&flood).node(&step).start().await;
    let secret = async |name: &str| {
        let made = daemon.aivonx().json(&["key", "create", name]).await;
        format!("Bearer {}", made["secret"].as_str().unwrap())
    };
    let (lost, kept) = (secret("lost").await, secret("kept").await);

    let mut client = H2Client::connect_with_window(daemon.address(), WINDOW).await;
    let fields = [("authorization", &*lost)];
    let unread = client.begin("POST", "/api/generate", &fields, generate("flood")).await.unwrap();
    let read = begun(&mut client, &step, &[("authorization", &kept)]).await;
    daemon.aivonx().ok(&["key", "revoke", "lost", "--yes"]).await;
    let record = record(&daemon, "flood").await;
    other_goes_on(&daemon, &mut client, &step, read).await;
    was_cut(unread).await;
    assert!(record.contains("outcome=ended") && record.contains("the credential was revoked"), "{record}");
}

#[tokio::test]
async fn the_deadline_of_an_unread_stream_ends_it_alone() {
    let (flood, step) = (flood().await, step().await);
    let daemon = Daemon::run(&[&flood, &step], "[timeouts]\ntotal = \"5s\"\n").await;
    let mut client = H2Client::connect_with_window(daemon.address(), WINDOW).await;
    let unread = client.begin("POST", "/api/generate", &[], generate("flood")).await.unwrap();
    // Its own deadline is far away when that of the other has passed.
    flood.until_gone(1).await;
    let read = begun(&mut client, &step, &[]).await;
    let record = record(&daemon, "flood").await;
    other_goes_on(&daemon, &mut client, &step, read).await;
    was_cut(unread).await;
    assert!(record.contains("outcome=timed_out"), "{record}");
    assert!(record.contains("the answer took longer than the gateway allows"), "{record}");
}

#[tokio::test]
async fn a_node_is_left_at_once_and_its_client_still_gets_the_last_words() {
    let flood = flood().await;
    let daemon = Daemon::run(&[&flood], "").await;
    let last = |body: &[u8]| String::from_utf8_lossy(body).lines().last().map(str::to_owned);
    let error = "an administrator ended the request";

    let mut one = daemon.client().await;
    one.send(&Request::post("/api/generate", generate("flood"))).await;
    let head = one.head().await;
    cancel(&daemon).await;
    flood.until_gone(1).await;
    let answer = one.rest(head).await;
    assert_eq!(answer.cut, None);
    assert!(last(&answer.body).unwrap().contains(error));

    let mut two = H2Client::connect_with_window(daemon.address(), WINDOW).await;
    let answer = two.begin("POST", "/api/generate", &[], generate("flood")).await.unwrap();
    cancel(&daemon).await;
    flood.until_gone(2).await;
    let (body, cut) = H2Client::rest(answer).await;
    assert_eq!(cut, None);
    assert!(last(&body).unwrap().contains(error));
}

#[tokio::test]
async fn a_stream_that_nobody_reads_is_let_go_alone() {
    let (flood, step) = (flood().await, step().await);
    let config = format!("[timeouts]\nclient_idle = \"{}ms\"\n", PAUSE.as_millis());
    let daemon = Daemon::run(&[&flood, &step], &config).await;
    let record = beside_one_that_is_not_read(&daemon, &step, async || ()).await;
    assert!(record.contains("outcome=client_stalled"), "{record}");
    assert!(record.contains("the client stopped reading the answer"), "{record}");
    assert!(daemon.nodes().await.iter().all(|node| node["pool"] == "active"), "no node is blamed");
}

#[tokio::test]
async fn a_short_answer_that_nobody_takes_is_let_go() {
    let node = FakeNode::start(Kind::Ollama, &["flood"]).await;
    let config = format!("[timeouts]\nclient_idle = \"{}ms\"\n", PAUSE.as_millis());
    let daemon = Daemon::run(&[&node], &config).await;
    let mut client = H2Client::connect_with_window(daemon.address(), 0).await;
    for stream in [true, false] {
        let asked = json!({"model": "flood", "prompt": "x", "stream": stream}).to_string();
        let unread = client.begin("POST", "/api/generate", &[], asked).await.unwrap();
        let (got, cut) = H2Client::rest(unread).await;
        assert!(got.is_empty() && cut.is_some(), "{got:?} {cut:?}");
    }
    let twice = r"(?s)outcome=client_stalled.*outcome=client_stalled";
    daemon.stderr().until(twice).await;
}

#[tokio::test]
async fn a_client_may_pause_longer_than_a_node() {
    let flood = flood().await;
    // The fake node makes up an answer of megabytes before it sends any of it, and all of its answers wait meanwhile.
    let idle = Duration::from_secs(2);
    let config = format!("[timeouts]\nidle = \"{}ms\"\n", idle.as_millis());
    let daemon = Daemon::run(&[&flood], &config).await;
    let mut one = daemon.client().await;
    one.send(&Request::post("/api/generate", generate("flood"))).await;
    let head = one.head().await;
    let mut two = H2Client::connect_with_window(daemon.address(), WINDOW).await;
    let answer = two.begin("POST", "/api/generate", &[], generate("flood")).await.unwrap();
    // The pause itself is what is tested.
    tokio::time::sleep(idle * 2).await;
    let first = one.rest(head).await;
    assert_eq!((first.cut.as_deref(), first.lines().len()), (None, TOKENS + 1));
    let (rest, cut) = H2Client::rest(answer).await;
    assert_eq!((cut, memchr::memchr_iter(b'\n', &rest).count()), (None, TOKENS + 1));
}

#[tokio::test]
async fn an_http_1_client_that_stops_reading_is_let_go() {
    let flood = flood().await;
    let config = format!("[timeouts]\nclient_idle = \"{}ms\"\n", PAUSE.as_millis());
    let daemon = Daemon::run(&[&flood], &config).await;
    let mut client = daemon.client().await;
    client.send(&Request::post("/api/generate", generate("flood"))).await;
    client.head().await;
    let record = record(&daemon, "flood").await;
    assert!(record.contains("outcome=client_stalled"), "{record}");
    assert!(record.contains("the client stopped reading the answer"), "{record}");
    assert_eq!(daemon.nodes().await[0]["pool"], "active");
    daemon.until_idle().await;
}

/// A client's pauses between bits of an answer, and how long it goes on so.
const SLOWLY: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(8);

#[tokio::test]
async fn a_client_that_reads_slowly_but_steadily_is_not_let_go() {
    let flood = flood().await;
    let daemon = Daemon::run(&[&flood], "[timeouts]\nclient_idle = \"3s\"\n").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut one = socket.connect(daemon.address()).await.unwrap();
    one.write_all(&Request::post("/api/generate", generate("flood")).bytes(daemon.address())).await.unwrap();
    // Windows are opened by halves.
    let mut two = H2Client::connect_with_window(daemon.address(), 1000).await;
    let mut answer = two.begin("POST", "/api/generate", &[], generate("flood")).await.unwrap();

    let begin = Instant::now();
    let by_socket = async {
        let mut bit = [0; 4096];
        while begin.elapsed() < LONG {
            tokio::time::sleep(SLOWLY).await;
            within("some bytes", one.read_exact(&mut bit)).await.expect("the connection goes on");
        }
    };
    let by_window = async {
        while begin.elapsed() < LONG {
            tokio::time::sleep(SLOWLY).await;
            H2Client::piece(&mut answer).await.expect("the stream goes on");
        }
    };
    tokio::join!(by_socket, by_window);
    assert_eq!(daemon.control().await.ask(running::List).await.unwrap().len(), 2);
    // Now they stop.
    daemon.stderr().until(r"(?s)outcome=client_stalled.*outcome=client_stalled").await;
}

#[tokio::test]
async fn an_unread_answer_that_is_ended_is_recorded_as_ended() {
    let flood = flood().await;
    let mut daemon = Daemon::run(&[&flood], "[timeouts]\nshutdown_grace = \"0\"\n").await;
    let mut client = daemon.client().await;
    client.send(&Request::post("/api/generate", generate("flood"))).await;
    client.head().await;
    let running = daemon.control().await.ask(running::List).await.unwrap();
    daemon.aivonx().ok(&["running", "cancel", &running[0].id]).await;
    let record = record(&daemon, "flood").await;
    assert!(record.contains("outcome=ended") && record.contains("an administrator ended"), "{record}");

    let mut one = daemon.client().await;
    one.send(&Request::post("/api/generate", generate("flood"))).await;
    one.head().await;
    let mut two = H2Client::connect_with_window(daemon.address(), WINDOW).await;
    let _unread = two.begin("POST", "/api/generate", &[], generate("flood")).await.unwrap();
    daemon.stop().await;
    let ended = daemon.stderr().text().matches("error=\"the gateway is shutting down\"").count();
    assert_eq!(ended, 2, "{}", daemon.stderr().text());
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_a_nodes_answer_too() {
    let node = FakeNode::start(Kind::Ollama, &["flood"]).await;
    let config = format!("[timeouts]\nkeep_alive = \"{}ms\"\n", PAUSE.as_millis());
    let daemon = Daemon::run(&[&node], &config).await;
    let mut one = daemon.client().await;
    one.ask(&Request::post("/api/generate", generate_short())).await.expect(200);
    one.closed().await;
    let mut two = H2Client::connect(daemon.address()).await;
    assert_eq!(two.ask("POST", "/api/generate", &[], generate_short()).await.cut, None);
    two.closed().await;
}

#[tokio::test]
async fn an_answer_of_the_gateway_itself_does_not_wait_for_ever() {
    let daemon = Daemon::run(&[], &format!("[timeouts]\nkeep_alive = \"{}ms\"\n", PAUSE.as_millis())).await;
    // A window into which nothing fits.
    for path in ["/health", "/v1/models", "/nowhere", "/api/chat"] {
        let mut client = H2Client::connect_with_window(daemon.address(), 0).await;
        let unread = client.begin("GET", path, &[], "").await.unwrap();
        let (got, cut) = H2Client::rest(unread).await;
        assert!(got.is_empty() && cut.is_some(), "{path}: {got:?} {cut:?}");
        client.closed().await;
    }
    // Questions without end, and nobody who reads the answers.
    let mut client = tokio::net::TcpStream::connect(daemon.address()).await.unwrap();
    let many = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1000);
    let asked = within("the connection to be broken off", async {
        loop {
            if let Err(e) = client.write_all(many.as_bytes()).await {
                return e;
            }
        }
    });
    asked.await;
    assert_eq!(daemon.get("/health").await.status, 200);
}

/// Answers read to their end, as the others in this file must not be.
#[tokio::test]
async fn clients_that_read_are_served_as_ever() {
    let node = FakeNode::start(Kind::Ollama, &["flood"]).await;
    let config = "[timeouts]\nclient_idle = \"10ms\"\nkeep_alive = \"10ms\"\nidle = \"10s\"\n";
    let daemon = Daemon::run(&[&node], config).await;
    // The client reads, and it is the node that is waited for.
    node.delay(PAUSE / 2);
    let mut client = H2Client::connect(daemon.address()).await;
    let answer = client.ask("POST", "/api/generate", &[], generate_short()).await;
    assert_eq!(answer.cut, None);
    let mut client: Client = daemon.client().await;
    let answer = client.ask(&Request::post("/api/generate", generate_short())).await;
    assert_eq!(answer.cut, None);
    let last: Value = answer.lines().pop().unwrap();
    assert_eq!(last["done"], true);
}

fn generate_short() -> String {
    json!({"model": "flood", "prompt": "x", "options": {"num_predict": 4}}).to_string()
}
