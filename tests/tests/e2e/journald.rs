//! The daemon and a real journald, in a mount namespace of their own.

use std::process::{Command, Stdio};

use aivonx_tests::{
    fake::FakeNode,
    harness::{Aivonx, Console, Daemon, Request},
    within,
};
use serde_json::{Value, json};

/// Mounts a journal of its own over the machine's and starts journald on it, then runs the test.
const SCRIPT: &str = r#"
    set -eu
    journald=/lib/systemd/systemd-journald
    [ -x $journald ] || journald=/usr/lib/systemd/systemd-journald
    [ -x $journald ] && command -v journalctl >/dev/null || { echo 'needs systemd-journald' >&2; exit 77; }
    mkdir -p /run/systemd/journal /run/log/journal
    mount -t tmpfs tmpfs /run/systemd/journal && mount -t tmpfs tmpfs /run/log/journal \
        || { echo 'cannot mount tmpfs' >&2; exit 77; }
    [ ! -d /var/log/journal ] || mount -t tmpfs tmpfs /var/log/journal
    $journald >&2 & J=$!
    trap 'kill $J; wait $J || true' EXIT
    for _ in $(seq 200); do [ -S /run/systemd/journal/socket ] && break; kill -0 $J || exit 77; sleep .1; done
    "$TEST" --exact "$INNER" --ignored --nocapture >&2
"#;

#[test]
fn the_journal_has_every_event_with_its_fields() {
    let namespace = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private"]).args(arguments);
        command
    };
    if !namespace(&["true"]).output().is_ok_and(|ran| ran.status.success()) {
        eprintln!("SKIPPED: needs unshare(1) and the right to make mount namespaces");
        return;
    }
    let ran = namespace(&["bash", "-c", SCRIPT])
        .env("TEST", std::env::current_exe().unwrap())
        .env("INNER", "journald::inner")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&ran.stderr);
    if ran.status.code() == Some(77) {
        eprintln!("SKIPPED: {stderr}");
        return;
    }
    assert!(ran.status.success(), "{stderr}");
}

/// What the journal has under these matches, asked until there is something.
async fn journal(matches: &[&str]) -> Vec<Value> {
    within(&format!("{matches:?} in the journal"), async {
        loop {
            Command::new("journalctl").arg("--sync").status().unwrap();
            let ran = Command::new("journalctl")
                .args(["-D", "/run/log/journal", "-t", "aivonxd", "-o", "json", "--no-pager", "--all"])
                .args(matches)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let text = String::from_utf8(ran.stdout).unwrap();
            let found: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            if !found.is_empty() {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await
}

#[tokio::test]
#[ignore = "run by the_journal_has_every_event_with_its_fields"]
async fn inner() {
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let builder = || Daemon::builder().folder(folder.path()).config("[log]\ntarget = \"journald\"\n");
    let mut daemon = builder().node(&node).start().await;
    let answer = daemon.ask(&Request::json("/api/show", &json!({"model": "m"}))).await.expect(200);
    let id = answer.field("x-request-id").unwrap().to_owned();

    let requests = journal(&["AIVONX_NODE=n0", &format!("AIVONX_REQUEST_ID={id}")]).await;
    let [request] = &*requests else { panic!("{requests:?}") };
    for (field, value) in [
        ("AIVONX_STATUS", "200"),
        ("AIVONX_MODEL", "m:latest"),
        ("AIVONX_ROUTE", "/api/show"),
        ("AIVONX_TARGET", "access"),
        ("SYSLOG_IDENTIFIER", "aivonxd"),
        ("PRIORITY", "6"),
    ] {
        assert_eq!(request[field], value, "{field}: {request}");
    }

    // A wrong password: the event that bans are made from.
    let login = json!({"username": "mallory", "password": "not the password"});
    daemon.ask(&Request::json("/api/account/login", &login)).await.expect(401);
    let failed = journal(&["AIVONX_EVENT=login_failed"]).await;
    assert_eq!(failed[0]["MESSAGE"], "login_failed from 127.0.0.1 by mallory: denied", "{failed:?}");
    assert_eq!(failed[0]["PRIORITY"], "4");
    let same = journal(&[&format!("MESSAGE_ID={}", failed[0]["MESSAGE_ID"].as_str().unwrap())]).await;
    assert_eq!(same.len(), failed.len());
    assert_eq!(journal(&["AIVONX_EVENT=start"]).await[0]["MESSAGE_ID"].as_str().map(str::len), Some(32));

    ban_reads(failed[0]["MESSAGE"].as_str().unwrap());

    // Another life of the daemon has the first one's events from the journal alone.
    daemon.stop().await;
    let daemon = builder().start().await;
    let older = |aivonx: Aivonx, id: String| async move {
        aivonx.ok(&["logs", "--since", "1h", "--node", "n0", "--grep", &id, "--output", "json"]).await
    };
    let text = older(daemon.aivonx(), id.clone()).await;
    let event: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text:?}"));
    assert_eq!(event["seq"], 0, "not from memory: {event}");
    assert!(event["fields"].to_string().contains(&id), "{event}");
    let text = daemon.aivonx().ok(&["logs", "--since", "1h"]).await;
    assert!(text.contains("login_failed from 127.0.0.1 by mallory"), "{text}");

    // The console goes there from what the daemon holds.
    let mut console = Console::start(daemon.aivonx().command(&[]), 120, 40);
    console.keys("7");
    console.until(&["Log, following", "m older"]).await;
    console.keys("/by mallory\r");
    console.until(&["No event passes the filter"]).await;
    console.keys("m");
    console.until(&["login_failed from 127.0.0.1 by mallory", "from the journal"]).await;
    console.keys(":time 30m\r");
    console.until(&["login_failed from 127.0.0.1 by mallory", "f follows the newest again"]).await;
    console.keys("q");
    assert!(console.end().await.0.success());
}

/// What fail2ban reads from the journal, and the address it would ban.
fn banned(message: &str) -> Option<String> {
    let filter = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/fail2ban/aivonxd.filter.conf");
    let filter = std::fs::read_to_string(filter).unwrap();
    let lines = filter.lines().map(|line| line.trim_start_matches("failregex =").trim());
    lines.filter(|line| line.starts_with('^')).find_map(|line| {
        let expression = line
            .replace("%(__prefix_line)s", r"(?:\S+ )?aivonxd\[\d+\]: ")
            .replace("<ADDR>", r"(?P<addr>[0-9a-fA-F:.]+)");
        let expression = regex::Regex::new(&expression).unwrap();
        Some(expression.captures(&format!("host aivonxd[7]: {message}"))?["addr"].to_owned())
    })
}

fn ban_reads(message: &str) {
    assert_eq!(banned(message).as_deref(), Some("127.0.0.1"), "{message}");
}

/// The name of a failed login is untrusted text: it must neither get others banned nor keep its sender from it.
#[tokio::test]
async fn the_fail2ban_filter_reads_the_address_and_not_the_name() {
    let daemon = Daemon::run(&[], "").await;
    for name in ["mallory", "x from 192.0.2.9 by y: denied", "login_failed from 192.0.2.9 by y", "a\nb"] {
        let login = json!({"username": name, "password": "not the password"});
        daemon.ask(&Request::json("/api/account/login", &login)).await.expect(401);
    }
    let messages = within("four refusals in memory", async {
        loop {
            let text =
                daemon.aivonx().ok(&["logs", "-n", "100", "--level", "warn", "--output", "json"]).await;
            let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let failed =
                events.filter(|event| event["fields"].to_string().contains(r#"["event","login_failed"]"#));
            let messages: Vec<String> =
                failed.map(|event| event["message"].as_str().unwrap().to_owned()).collect();
            if messages.len() == 4 {
                return messages;
            }
        }
    })
    .await;
    for message in messages {
        ban_reads(&message);
    }
    assert_eq!(banned("login_failed by x from 192.0.2.9 by y: denied"), None, "at the control socket");
    for name in ["alice", "anonymous", "unknown"] {
        assert_eq!(banned(&format!("denied from 192.0.2.9 by {name}: denied")), None, "{name}");
    }
}

#[tokio::test]
async fn the_fail2ban_filter_reads_where_refused_keys_come_from() {
    let daemon = Daemon::builder().config("").mode("required").start().await;
    let guess = Request::get("/api/tags").field("Authorization", "Bearer aivx_guess");
    daemon.ask(&guess).await.expect(401);
    daemon.stderr().until("denied from 127.0.0.1 by unknown credential: denied").await;
    ban_reads("denied from 127.0.0.1 by unknown credential: denied");
}
