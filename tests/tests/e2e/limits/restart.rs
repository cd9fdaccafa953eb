//! Counters outlive the process.

use aivonx_tests::{fake::FakeNode, harness::Daemon};
use serde_json::json;

use super::{builder, chat, found, set, used, within};

async fn ask(daemon: &Daemon, key: &str) -> u16 {
    daemon.ask(&chat(false).field("Authorization", &format!("Bearer {key}"))).await.status
}

#[tokio::test]
async fn an_orderly_restart_loses_nothing() {
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = builder("").folder(folder.path()).node(&node).start().await;
    let key = found(&daemon).await;
    set(&daemon, &["--org", "acme"], &["inference.day=3"]).await;
    for _ in 0..2 {
        assert_eq!(ask(&daemon, &key).await, 200);
    }
    assert!(daemon.stop().await.success());
    let daemon = builder("").folder(folder.path()).start_any().await;
    daemon.until_active(1).await;
    assert_eq!(used(&daemon, "inference.day").await, json!(2));
    assert_eq!(ask(&daemon, &key).await, 200);
    assert_eq!(ask(&daemon, &key).await, 429);
}

#[tokio::test]
async fn kill_9_loses_only_what_was_not_saved_yet() {
    const SAVED: &str = "counters of limits saved";
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let log = "[log]\nlevel = \"info,limits=debug\"\n";
    let mut daemon = builder(log).folder(folder.path()).node(&node).start().await;
    let key = found(&daemon).await;
    set(&daemon, &["--org", "acme"], &["inference.day=4"]).await;
    for _ in 0..2 {
        assert_eq!(ask(&daemon, &key).await, 200);
    }
    let saved = || daemon.stderr().text().matches(SAVED).count();
    // What was being saved just then may lack the second; what is saved for the third has it.
    for _ in 0..2 {
        let before = saved();
        within("the counters' way to the disk", async {
            while saved() == before {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await;
        assert_eq!(ask(&daemon, &key).await, 200);
    }
    daemon.kill().await;
    let daemon = builder(log).folder(folder.path()).start_any().await;
    daemon.until_active(1).await;
    let kept = used(&daemon, "inference.day").await.as_u64().unwrap();
    assert!((3..=4).contains(&kept), "{kept}");
    let mut more = 0;
    while ask(&daemon, &key).await == 200 {
        more += 1;
    }
    assert_eq!(kept + more, 4);
}
