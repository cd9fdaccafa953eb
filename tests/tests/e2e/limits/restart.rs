//! Counters outlive the process.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use aivonx_tests::{
    fake::FakeNode,
    harness::{Client, Daemon},
};
use serde_json::json;

use super::{ORGANIZATION, builder, chat, set, used, within};

async fn ask(daemon: &Daemon, key: &str) -> u16 {
    daemon.ask(&chat(false).field("Authorization", &format!("Bearer {key}"))).await.status
}

#[tokio::test]
async fn an_orderly_restart_loses_nothing() {
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = builder("").folder(folder.path()).node(&node).start().await;
    let key = daemon.tenant(ORGANIZATION).await;
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
    let key = daemon.tenant(ORGANIZATION).await;
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

#[tokio::test]
async fn kill_9_under_load_costs_at_most_the_last_second() {
    const CLIENTS: usize = 16;
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let log = "[log]\nlevel = \"info,limits=debug\"\n";
    let mut daemon = builder(log).folder(folder.path()).node(&node).start().await;
    let key = daemon.tenant(ORGANIZATION).await;
    set(&daemon, &["--org", "acme"], &["inference.day=1000000"]).await;
    let (asked, done) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let request = chat(false).field("Authorization", &format!("Bearer {key}"));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (asked, done) = (asked.clone(), done.clone());
            let (address, request) = (daemon.address(), request.clone());
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                loop {
                    asked.fetch_add(1, SeqCst);
                    client.send(&request).await;
                    // The daemon is gone.
                    let Some(head) = client.try_head().await else { return };
                    let answer = client.rest(head).await;
                    if answer.cut.is_some() {
                        return;
                    }
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    done.fetch_add(1, SeqCst);
                }
            })
        })
        .collect();
    let reached = async |count: u64| {
        within("requests", async {
            while done.load(SeqCst) < count {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await;
    };
    reached(100).await;
    // What the ledger has reported is written.
    let told = daemon.aivonx().json(&["usage", "show"]).await["total"]["requests"].as_u64().unwrap();
    // The next save may have begun before now, the one after it has not: with its end all of this is on the disk.
    let saves = || daemon.stderr().text().matches("counters of limits saved").count();
    let (before, sure) = (saves(), done.load(SeqCst));
    within("two saves", async {
        while saves() < before + 2 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    // In the middle of it.
    reached(done.load(SeqCst) + 20).await;
    daemon.kill().await;
    for client in clients {
        client.await.unwrap();
    }
    let (asked, done) = (asked.load(SeqCst), done.load(SeqCst));

    let daemon = builder(log).folder(folder.path()).start_any().await;
    daemon.until_active(1).await;
    let kept = used(&daemon, "inference.day").await.as_u64().unwrap();
    assert!((sure..=asked).contains(&kept), "{kept} of {done} to {asked} requests, {sure} of them saved");
    // What is left of a budget is what was not used of it, but for those that are lost.
    set(&daemon, &["--org", "acme"], &[&format!("inference.day={}", kept + 5)]).await;
    let more = (0..40).map(|_| ask(&daemon, &key));
    let answers = futures_util::future::join_all(more).await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 5, "{answers:?}");
    assert!(answers.iter().all(|status| matches!(status, 200 | 429)), "{answers:?}");
    // The ledger is whole: its days are the sums of its requests, and each of these has its tokens.
    let of = async |per: &str| {
        let total = daemon.aivonx().json(&["usage", "show", "--per", per]).await["total"].clone();
        let number = |name: &str| total[name].as_u64().unwrap();
        (number("requests"), number("output_tokens"))
    };
    let (requests, output) = within("the last records' way to the ledger", async {
        loop {
            let days = of("day").await;
            if of("hour").await == days {
                return days;
            }
        }
    })
    .await;
    assert!((told..=asked + 5).contains(&requests) && told >= 1, "{told} {requests} {asked}");
    assert_eq!(output, requests * 6);
}
