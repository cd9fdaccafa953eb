//! Starting, reloading, stopping, starting again.

use aivonx_protocol::daemon;
use aivonx_tests::{
    fake::{FakeNode, Fault},
    harness::{Daemon, Request, binary},
};
use rustix::process::Signal;
use serde_json::json;

fn stream(path: &str) -> Request {
    let messages = json!([{"role": "user", "content": "hi"}]);
    Request::json(path, &json!({"model": "m", "stream": true, "messages": messages, "max_tokens": 99}))
}

#[tokio::test]
async fn a_stream_finishes_while_the_daemon_stops() {
    let node = FakeNode::ollama().await;
    let mut daemon = Daemon::dev(&[&node]).await;
    let mut idle = daemon.client().await;
    idle.ask(&Request::get("/api/tags")).await.expect(200);
    node.gate();
    let mut client = daemon.client().await;
    client.send(&stream("/api/chat")).await;
    node.release(1);
    let head = client.head().await;
    daemon.signal(Signal::TERM);
    // An idle connection is closed, and nothing new is taken in.
    idle.closed().await;
    node.open_gate();
    let answer = client.rest(head).await;
    assert_eq!(answer.lines().last().unwrap()["done"], true, "{}", answer.text());
    assert!(daemon.ended().await.success());
    assert!(tokio::net::TcpStream::connect(daemon.address()).await.is_err());
    assert!(!daemon.socket().exists(), "the control socket is removed");
}

#[tokio::test]
async fn streams_still_running_after_the_grace_end_with_the_dialects_error() {
    let node = FakeNode::ollama().await;
    let mut daemon = Daemon::run(&[&node], "[timeouts]\nshutdown_grace = \"1s\"\n").await;
    let mut clients = Vec::new();
    for path in ["/api/chat", "/v1/chat/completions", "/v1/messages"] {
        node.fail_next(Fault::StallAfter(2));
        let mut client = daemon.client().await;
        client.send(&stream(path)).await;
        let head = client.head().await;
        client.piece().await.unwrap().unwrap();
        clients.push((path, client, head));
    }
    daemon.signal(Signal::TERM);
    for (path, mut client, head) in clients {
        let answer = client.rest(head).await;
        assert!(answer.text().contains("\"error\""), "{path}: {}", answer.text());
        assert!(answer.text().ends_with('\n'), "{path}: {}", answer.text());
    }
    assert!(daemon.ended().await.success());
    node.until_gone(3).await;
}

#[tokio::test]
async fn a_pull_still_running_after_the_grace_ends_with_an_error_line() {
    let node = FakeNode::ollama().await;
    let mut daemon = Daemon::run(&[&node], "[timeouts]\nshutdown_grace = \"1s\"\n").await;
    node.gate();
    let mut client = daemon.client().await;
    client.send(&Request::json("/api/pull", &json!({"model": "new"}))).await;
    node.release(2);
    let head = client.head().await;
    client.piece().await.unwrap().unwrap();
    daemon.signal(Signal::TERM);
    let answer = client.rest(head).await;
    assert_eq!(answer.cut, None, "{}", answer.text());
    assert!(answer.lines().last().unwrap()["error"].is_string(), "{}", answer.text());
    assert!(daemon.ended().await.success());
}

#[tokio::test]
async fn while_draining_it_is_not_ready() {
    let node = FakeNode::ollama().await;
    let mut daemon = Daemon::dev(&[&node]).await;
    node.gate();
    // A second request on a connection that is already open is refused or closed, never left hanging.
    let mut other = daemon.client().await;
    let mut client = daemon.client().await;
    client.send(&stream("/api/chat")).await;
    node.release(1);
    let head = client.head().await;
    daemon.signal(Signal::TERM);
    let control = daemon.control().await;
    aivonx_tests::within("draining", async {
        while !control.ask(daemon::GetStatus).await.unwrap().draining {}
    })
    .await;
    other.send(&Request::get("/ready")).await;
    if let Some(head) = other.try_head().await {
        assert_eq!(head.status(), 503);
    }
    node.open_gate();
    client.rest(head).await;
    assert!(daemon.ended().await.success());
}

#[tokio::test]
async fn a_control_socket_that_was_removed_is_made_anew_on_sighup() {
    let mut daemon = Daemon::run(&[], "").await;
    std::fs::remove_file(daemon.socket()).unwrap();
    daemon.signal(Signal::HUP);
    daemon.stderr().until(r"(the control socket had been removed and is made anew)").await;
    assert_eq!(daemon.aivonx().json(&["status"]).await["mode"], "run");
    assert!(daemon.stop().await.success());
    assert!(!daemon.socket().exists());
}

#[tokio::test]
async fn a_missing_master_key_is_asked_for_and_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::builder().folder(folder.path()).start_any().await;
    assert!(daemon.stop().await.success());
    let key = daemon.data().join("master.key");
    let aside = folder.path().join("kept.key");
    std::fs::rename(&key, &aside).unwrap();
    let refused = tokio::process::Command::new(binary("aivonxd"))
        .args(["dev", "--listen", "127.0.0.1:0", "--dir"])
        .arg(daemon.data())
        .output();
    let refused = aivonx_tests::within("a refusal", refused).await.unwrap();
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains(key.to_str().unwrap()), "{said}");
    assert!(said.contains("is missing") && said.contains("backup"), "{said}");
    assert!(!key.exists());
    std::fs::rename(&aside, &key).unwrap();
    Daemon::builder().folder(folder.path()).start_any().await;
}

#[tokio::test]
async fn nodes_and_strategy_survive_a_restart() {
    let (a, b) = (FakeNode::ollama().await, FakeNode::ollama().await);
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::builder().folder(folder.path()).node(&a).start().await;
    daemon.aivonx().ok(&["node", "add", "second", &b.url(), "--label", "k=v", "--max-parallel", "2"]).await;
    daemon.aivonx().ok(&["node", "disable", "node1"]).await;
    daemon.aivonx().ok(&["strategy", "set", "lowest_latency"]).await;
    let status = daemon.aivonx().json(&["status"]).await;
    let second = Daemon::builder().folder(folder.path());
    // A second daemon on the same directory is refused, and says why.
    let refused = tokio::process::Command::new(binary("aivonxd"))
        .args(["dev", "--listen", "127.0.0.1:0", "--dir"])
        .arg(daemon.data())
        .output()
        .await
        .unwrap();
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("another") || said.contains("in use") || said.contains("already"), "{said}");
    assert!(daemon.stop().await.success());
    let daemon = second.start_any().await;
    daemon.until_active(1).await;
    let nodes = daemon.nodes().await;
    let names: Vec<_> = nodes.iter().map(|n| (n["name"].clone(), n["admin_state"].clone())).collect();
    assert_eq!(names, [(json!("node1"), json!("disabled")), (json!("second"), json!("enabled"))]);
    assert_eq!((&nodes[1]["labels"], &nodes[1]["max_parallel"]), (&json!({"k": "v"}), &json!(2)));
    let after = daemon.aivonx().json(&["status"]).await;
    assert_eq!((&after["daemon_id"], &after["strategy"]), (&status["daemon_id"], &json!("lowest_latency")));
    daemon
        .post("/api/chat", &json!({"model": "m", "messages": [{"role": "user", "content": "x"}]}))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_reload_takes_what_is_safe_and_refuses_mistakes() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "[proxy]\nnode_header = true\n").await;
    let ask = || Request::json("/api/show", &json!({"model": "m"}));
    assert!(daemon.ask(&ask()).await.field("x-aivonx-node").is_some());
    let file = daemon.config_file();
    let old = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, old.replace("node_header = true", "node_header = false")).unwrap();
    daemon.signal(Signal::HUP);
    aivonx_tests::within("the reload", async {
        while daemon.ask(&ask()).await.field("x-aivonx-node").is_some() {}
    })
    .await;
    std::fs::write(&file, old.replace("node_header = true", "node_hedder = true\nretries = 9")).unwrap();
    let ran = daemon.aivonx().run(&["config", "reload"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(
        ran.stderr.contains("node_hedder") && ran.stderr.contains("node_header"),
        "did you mean: {}",
        ran.stderr
    );
    assert!(ran.stderr.contains("retries"), "every mistake is listed: {}", ran.stderr);
    assert!(daemon.ask(&ask()).await.field("x-aivonx-node").is_none(), "nothing changed");
    std::fs::write(&file, old.replace("[proxy]", "[store]\nsnapshots = 3\n[proxy]")).unwrap();
    let done = daemon.aivonx().json(&["config", "reload"]).await;
    assert!(done["applied"].to_string().contains("node_header"), "{done}");
}

#[tokio::test]
async fn a_configuration_is_checked_with_every_mistake_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    std::fs::write(
        &file,
        "[timeouts]\nconect = \"5s\"\nidle = \"soon\"\n[[listen]]\naddress = \"nowhere\"\n[proxy]\nretries = 999\n",
    )
    .unwrap();
    let check = |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(binary("aivonxd"));
        command.arg("check").args(arguments);
        command
    };
    let output = check(&["--config", file.to_str().unwrap()]).output().await.unwrap();
    assert!(!output.status.success());
    let said =
        String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    for part in ["bad.toml:2:", "bad.toml:3:", "bad.toml:5:", "bad.toml:7:", "connect", "^"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let output = check(&["--print-default"]).output().await.unwrap();
    assert!(output.status.success());
    let default = folder.path().join("default.toml");
    std::fs::write(&default, &output.stdout).unwrap();
    let output = check(&["--config", default.to_str().unwrap()]).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_program_tells_what_it_is_made_of() {
    let crates = async |program: &str| {
        let mut command = tokio::process::Command::new(binary("aivonxd"));
        command.args(["version", "--dependencies"]).arg(binary(program));
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let (daemon, terminal) = (crates("aivonxd").await, crates("aivonx").await);
    for (list, linked, absent) in [(daemon, "sled ", "ratatui "), (terminal, "ratatui ", "sled ")] {
        assert!(list.lines().any(|line| line.starts_with(linked)), "{list}");
        assert!(!list.lines().any(|line| line.starts_with(absent)), "{list}");
    }
}

#[tokio::test]
async fn dev_refuses_addresses_others_can_reach() {
    let folder = tempfile::tempdir().unwrap();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let output = tokio::process::Command::new(binary("aivonxd"))
            .args(["dev", "--listen", address, "--dir"])
            .arg(folder.path())
            .output()
            .await
            .unwrap();
        assert!(!output.status.success(), "{address}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("loopback"), "{address}");
    }
}
