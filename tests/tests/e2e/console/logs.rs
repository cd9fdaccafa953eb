//! The log, under load.

use std::time::Duration;

use aivonx_tests::{
    fake::{FakeNode, Fault},
    harness::{Console, Daemon, Request},
    within,
};
use serde_json::{Value, json};

use super::{console, ends_well};

/// How many events the daemon has logged.
async fn logged(daemon: &Daemon) -> u64 {
    let text = daemon.aivonx().ok(&["logs", "-n", "1", "--output", "json"]).await;
    let event: Value = serde_json::from_str(text.trim()).unwrap();
    event["seq"].as_u64().unwrap()
}

/// How many events the console says that it has, and how many were dropped on the way.
fn counted(console: &Console) -> Option<(u64, u64)> {
    let shown = console.shown();
    let heading = shown.lines().find(|line| line.contains("Log, "))?;
    let numbers = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok();
    let (state, count) = heading.split_once("above")?.1.split_once(':')?;
    let dropped = state.split_once(" dropped").and_then(|(dropped, _)| numbers(dropped));
    Some((numbers(count.split('/').next()?)?, dropped.unwrap_or(0)))
}

/// The line that keys act on.
fn chosen(console: &Console) -> String {
    let shown = console.shown();
    shown.lines().find(|line| line.starts_with('>')).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn under_load_nothing_is_lost_uncounted_and_the_place_is_kept() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    let mut console = console(&daemon, 120, 40);
    console.until(&["superadmin"]).await;
    console.keys("7");
    console.until(&["Log, following", "the gateway serves"]).await;
    // Stands still while thousands come.
    console.keys("k");
    console.until(&["PAUSED"]).await;
    let place = chosen(&console);
    let body = Request::json("/api/show", &json!({"model": "m"}));
    let clients = (0..4).map(|_| async {
        let mut client = daemon.client().await;
        for _ in 0..1000 {
            client.ask(&body).await.expect(200);
        }
    });
    futures_util::future::join_all(clients).await;
    daemon.until_idle().await;
    within("every event shown or counted", async {
        loop {
            let logged = logged(&daemon).await;
            match counted(&console) {
                // A line says where some were dropped.
                Some((shown, 0)) if shown == logged && logged > 4000 => return,
                Some((shown, dropped)) if dropped > 0 && shown + dropped > logged => return,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await;
    assert_eq!(chosen(&console), place);
    assert!(!place.is_empty());
    node.fail_next(Fault::Status(500, r#"{"error":"out of memory"}"#));
    daemon.ask(&Request::json("/api/generate", &json!({"model": "m"}))).await.expect(500);
    console.keys("f");
    console.until(&["Log, following", "POST /api/generate 500"]).await;
    console.keys("/status:>=500 node:node1\r");
    console.until(&["info and above: 1 of"]).await;
    console.keys("\r");
    console.until(&["(esc: back", "request_id", "status"]).await;
    console.leave("(esc: back").await;
    console.until(&["info and above: 1 of"]).await;
    // There is no journal: the notice says so, and where the log is.
    console.keys("m");
    console.until(&["older ones went to its standard error"]).await;
    console.keys("q");
    ends_well(console).await;
}
