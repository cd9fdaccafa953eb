//! `aivonx check`.

use std::{collections::HashMap, fs, os::unix::fs::PermissionsExt as _};

use aivonx_tests::{fake::FakeNode, harness::Daemon, within};

/// Outcome and fix by what was looked at, and the exit code.
async fn checked(daemon: &Daemon) -> (HashMap<String, (String, String)>, i32) {
    let ran = daemon.aivonx().run(&["check", "--output", "json"]).await;
    let checks: Vec<serde_json::Value> = serde_json::from_str(&ran.stdout).expect("checks");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let found = checks.iter().map(|check| {
        let outcome = text(&check["outcome"]);
        assert_eq!(outcome == "ok", check["fix"].is_null(), "{check}");
        (text(&check["name"]), (outcome, text(&check["fix"])))
    });
    (found.collect(), ran.code)
}

#[tokio::test]
async fn what_is_open_to_others_fails_with_its_cure() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "").await;
    let (checks, code) = checked(&daemon).await;
    for name in [
        "secrets opens",
        "data directory",
        "control socket",
        "plain listeners",
        "audit log",
        "disk",
        "plain nodes",
    ] {
        assert_eq!(checks[name].0, "ok", "{name}: {checks:?}");
    }
    assert_eq!(checks["backup"].0, "warn");
    assert_eq!(code, i32::from(checks.values().any(|(outcome, _)| outcome == "fail")));

    daemon.aivonx().ok(&["backup", "create"]).await;
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(daemon.data(), open).expect("a mode");
    let (checks, code) = checked(&daemon).await;
    assert_eq!(checks["backup"].0, "ok");
    let fix = format!("chmod 0700 {}", daemon.data().display());
    assert_eq!(checks["data directory"], ("fail".to_owned(), fix));
    assert_eq!(code, 1);
    let shown = daemon.aivonx().run(&["check"]).await;
    assert!(shown.stdout.contains("FAIL  data directory"), "{}", shown.stdout);
}

#[tokio::test]
async fn organizations_are_kept_apart_on_a_running_gateway() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "").await;
    let aivonx = daemon.aivonx();
    aivonx.ok(&["org", "add", "isolation-check-a"]).await;
    for _ in 0..2 {
        let ran = aivonx.run(&["check", "--isolation"]).await;
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        for role in ["operator", "auditor", "org-admin", "member", "control", "changes", "cleanup"] {
            assert!(ran.stdout.contains(&format!("ok    isolation {role}")), "{}", ran.stdout);
        }
    }
    // It is no incident, and no alarm.
    let metrics = daemon.get("/metrics").await.expect(200).text();
    assert!(metrics.contains("aivonx_cross_organization_attempts_total 0"), "{metrics}");
    let report = aivonx.ok(&["incident", "report"]).await;
    assert_eq!(report.matches("isolation check ran").count(), 2, "{report}");
    assert!(!report.contains("isolation-check-b"), "{report}");
    // Nothing of it is left, also of one whose caller left.
    let mut left = aivonx.start(&["check", "--isolation"], std::process::Stdio::null());
    daemon.stderr().until("isolation-check-a").await;
    // It may have ended by itself.
    let _ = left.start_kill();
    within("the end of the check", async {
        loop {
            let orgs = aivonx.json(&["org", "list"]).await;
            if orgs.as_array().is_some_and(|all| all.len() == 1) {
                return;
            }
        }
    })
    .await;
    assert_eq!(aivonx.json(&["node", "list"]).await.as_array().map(Vec::len), Some(1));
}
