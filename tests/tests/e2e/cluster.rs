//! Several gateways over one PostgreSQL database: what one changes holds at all, and none stops the others.

use std::time::{Duration, Instant};

use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, Request},
    within,
};
use serde_json::json;

use crate::database::{chat, configured, done, postgres::PostgresServer, refused};

/// Until a change at one member is in force at the others: looked at on a machine that does nothing else, where
/// `AIVONX_TEST_REVOCATIONS` says how often.
const IN_FORCE: Duration = Duration::from_secs(1);

struct Cluster {
    server: PostgresServer,
    folder: tempfile::TempDir,
}

impl Cluster {
    /// None where there is no PostgreSQL.
    async fn new() -> Option<Self> {
        let this = Self { server: PostgresServer::start()?, folder: tempfile::tempdir().unwrap() };
        let file = configured(&this.folder.path().join("migrate"), &this.config("migrate"));
        done(&["migrate", "--apply", "--owner", "owner", "--config", &file]).await;
        Some(this)
    }

    fn config(&self, member: &str) -> String {
        let key = self.folder.path().join("master.key");
        format!(
            "[cluster]\npostgres = \"{}\"\nmember = \"{member}\"\n[secrets]\nmaster_key = \"{}\"\n",
            self.server.url("aivonx"),
            key.display()
        )
    }

    async fn member(&self, name: &str) -> Daemon {
        let at = self.folder.path().join(name);
        std::fs::create_dir_all(&at).unwrap();
        Daemon::builder().folder(&at).config(&self.config(name)).mode("required").start().await
    }
}

fn with(request: Request, secret: &str) -> Request {
    request.field("authorization", &format!("Bearer {secret}"))
}

/// Asks until the answer has this status; how long that took.
async fn until_status(daemon: &Daemon, secret: &str, status: u16) -> Duration {
    let began = Instant::now();
    within("the status", async {
        while daemon.ask(&with(chat(), secret)).await.status != status {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    began.elapsed()
}

async fn ask(daemon: &Daemon, secret: &str) -> u16 {
    daemon.ask(&with(chat(), secret)).await.status
}

async fn key(daemon: &Daemon, name: &str) -> String {
    let made = daemon.aivonx().json(&["key", "create", name]).await;
    made["secret"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_member_changes_is_in_force_at_all() {
    let Some(cluster) = Cluster::new().await else { return };
    let node = FakeNode::ollama().await;
    let a = cluster.member("a").await;
    let (b, mut c) = (cluster.member("b").await, cluster.member("c").await);
    a.aivonx().ok(&["node", "add", "gpu1", &node.url()]).await;
    b.until_active(1).await;
    c.until_active(1).await;
    node.gate();
    let wanted = std::env::var("AIVONX_TEST_REVOCATIONS").ok().map(|text| text.parse().unwrap());
    for round in 0..wanted.unwrap_or(20) {
        let name = format!("k{round}");
        let secret = key(&a, &name).await;
        let body = json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
        let mut client = b.client().await;
        within("the key is known", async {
            while b.ask(&with(Request::get("/api/tags"), &secret)).await.status != 200 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        client.send(&with(Request::json("/api/chat", &body), &secret)).await;
        node.release(1);
        let head = client.head().await;
        client.piece().await.unwrap().unwrap();
        let began = Instant::now();
        a.aivonx().ok(&["key", "revoke", &name, "-y"]).await;
        let answer = within("the end of the stream", client.rest(head)).await;
        let took = began.elapsed();
        assert_eq!(answer.lines().pop().unwrap()["error"], "the credential was revoked");
        let refused = until_status(&c, &secret, 401).await;
        if wanted.is_some() {
            assert!(refused < IN_FORCE, "{refused:?}");
            assert!(took < IN_FORCE * 2, "{took:?}, with the command");
        }
    }
    node.open_gate();

    // One that dies, whether in its turn or not, stops nobody for longer than the turn lasts.
    c.kill().await;
    cluster.server.sql(
        "aivonx",
        "UPDATE aivonx.writer SET turn = 'its', until = clock_timestamp() + interval '5 seconds'",
    );
    within("the turn of one that died ends", key(&b, "later")).await;
    let shown = a.aivonx().json(&["cluster", "status"]).await;
    assert_eq!(shown["members"].as_array().unwrap().len(), 3, "{shown}");

    // A member that is fenced ends, and is refused from then on.
    let mut b = b;
    a.aivonx().ok(&["cluster", "fence", "b", "--yes"]).await;
    assert!(!b.ended().await.success());
    assert!(b.stderr().text().contains("was fenced"), "{}", b.stderr().text());
    let file = cluster.folder.path().join("b/aivonxd.toml").display().to_string();
    assert!(refused(&["run", "--config", &file]).await.contains("was fenced"));
    key(&a, "last").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_over_all_members_together_and_each_has_its_own_audit_log() {
    let Some(cluster) = Cluster::new().await else { return };
    let node = FakeNode::ollama().await;
    let (a, b) = (cluster.member("a").await, cluster.member("b").await);
    a.aivonx().ok(&["node", "add", "gpu1", &node.url()]).await;
    a.until_active(1).await;
    b.until_active(1).await;
    let secret = key(&a, "shared").await;
    a.aivonx().ok(&["limit", "set", "--key", "shared", "inference.day=30"]).await;
    let is_limited = async || {
        let shown = b.aivonx().json(&["limit", "show", "--key", "shared"]).await;
        let limits = shown["limits"].as_array().unwrap().clone();
        limits.iter().any(|limit| limit["name"] == "inference.day" && limit["limit"] == 30)
    };
    within("the key and its limit are known", async {
        while b.ask(&with(Request::get("/api/tags"), &secret)).await.status != 200 || !is_limited().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let asked = |daemon| futures_util::future::join_all((0..30).map(|_| ask(daemon, &secret)));
    let (at_a, at_b) = tokio::join!(asked(&a), asked(&b));
    let statuses: Vec<u16> = at_a.into_iter().chain(at_b).collect();
    let mut served = statuses.iter().filter(|status| **status == 200).count();
    assert!(served <= 30, "{statuses:?}");
    // On a busy machine some may have been told to come again; all of the limit can be used, and no more.
    within("the limit is used up", async {
        while served < 30 {
            served += usize::from(ask(&a, &secret).await == 200);
        }
    })
    .await;
    assert_eq!([ask(&a, &secret).await, ask(&b, &secret).await], [429, 429]);
    for member in [&a, &b] {
        member.aivonx().ok(&["audit", "verify"]).await;
        assert!(!member.stderr().text().contains("audit_broken"), "{}", member.stderr().text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_with_another_master_key_is_refused() {
    let Some(cluster) = Cluster::new().await else { return };
    let _a = cluster.member("a").await;
    let other = cluster.config("other").replace("master.key", "other.key");
    let file = configured(&cluster.folder.path().join("other"), &other);
    let why = refused(&["run", "--config", &file]).await;
    assert!(why.contains("master key"), "{why}");
}
