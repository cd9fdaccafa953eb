//! The real programs killed at random times in what moves the store about: the next run finishes it or does it again, and
//! nothing is ever worse than before. A few times each; as often as `AIVONX_TEST_KILLS` asks for.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, Request, binary},
    within,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tokio::process::Command;

/// What a store of the tests holds.
const USERS: usize = 12;
const REQUESTS: usize = 5;

fn kills(few: usize) -> usize {
    std::env::var("AIVONX_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(few)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copy(&path, &to);
        } else if path.is_file() {
            fs::copy(&path, to).unwrap();
        }
    }
}

/// A folder with a stopped daemon that has users, secrets, usage and an audit log, and its newest snapshot.
async fn base(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder).unwrap();
    let node = FakeNode::ollama().await;
    let mut daemon = Daemon::builder().folder(folder).config("").node(&node).start().await;
    for n in 0..USERS {
        daemon.aivonx().ok(&["user", "add", &format!("u{n}"), "--role", "auditor"]).await;
    }
    for _ in 0..REQUESTS {
        let body = json!({"model": "m", "stream": false, "messages": [{"role": "user", "content": "x"}]});
        daemon.ask(&Request::json("/api/chat", &body)).await.expect(200);
    }
    let taken = daemon.aivonx().json(&["snapshot", "create"]).await;
    assert!(daemon.stop().await.success());
    daemon.data().join("snapshots").join(taken["file"].as_str().unwrap())
}

/// Starts the daemon of `folder` and looks whether everything is there.
async fn check(folder: &Path, when: &str) -> Daemon {
    let daemon = Daemon::builder().folder(folder).config("").start_any().await;
    let aivonx = daemon.aivonx();
    let users = aivonx.json(&["user", "list"]).await;
    let names = users.as_array().unwrap().iter().filter(|user| {
        let name = user["name"].as_str().unwrap();
        name.strip_prefix('u').is_some_and(|n| n.parse::<usize>().is_ok())
    });
    assert_eq!(names.count(), USERS, "{when}");
    let verdict = aivonx.json(&["audit", "verify"]).await;
    assert!(verdict["intact"] == true && verdict["restarts"] == json!([]), "{when}: {verdict}");
    let usage = aivonx.json(&["usage", "show"]).await;
    assert_eq!(usage["total"]["requests"], REQUESTS, "{when}: {usage}");
    let validated = aivonx.run(&["secrets", "validate"]).await;
    assert!(!validated.stdout.contains("FAIL"), "{when}: {}", validated.stdout);
    daemon
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary("aivonxd"));
    command.args(arguments).kill_on_drop(true);
    command
}

async fn succeed(arguments: &[&str], when: &str) -> String {
    let output = within(when, command(arguments).output()).await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{when}: {out}{err}");
    out.into_owned()
}

/// Kills a command at a random time of those that it takes.
async fn kill(arguments: &[&str], took: Duration, random: &mut StdRng) {
    let mut child = command(arguments).stdout(std::process::Stdio::null()).spawn().unwrap();
    tokio::time::sleep(took.mul_f64(random.random_range(0.0..1.0))).await;
    child.kill().await.unwrap();
}

#[tokio::test]
async fn recover_is_finished_or_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let snapshot = base(&whole).await;
    let mut random = StdRng::seed_from_u64(1);
    let mut took = Duration::from_millis(200);
    for round in 0..kills(3) {
        let at = folder.path().join(format!("r{round}"));
        copy(&whole, &at);
        let (when, data) = (format!("kill {round}"), at.join("data"));
        let file = snapshot.file_name().unwrap().to_str().unwrap();
        let line = ["recover", "--dir", data.to_str().unwrap(), "--snapshot", file];
        kill(&line, took, &mut random).await;
        // In every second round the daemon opens the store before the command is repeated.
        if round % 2 == 1 {
            let mut daemon = check(&at, &when).await;
            assert!(daemon.stop().await.success(), "{when}");
        }
        let began = Instant::now();
        let said = succeed(&line, &when).await;
        took = began.elapsed();
        assert!(said.contains("what was there is kept in"), "{when}: {said}");
        let mut daemon = check(&at, &when).await;
        assert!(daemon.stop().await.success(), "{when}");
        assert!(!data.join("store.restoring").exists(), "{when}");
        fs::remove_dir_all(&at).unwrap();
    }
}

#[tokio::test]
async fn rekey_is_finished_or_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    base(&whole).await;
    let mut random = StdRng::seed_from_u64(2);
    let mut took = Duration::from_millis(300);
    for round in 0..kills(3) {
        let at = folder.path().join(format!("r{round}"));
        copy(&whole, &at);
        let (when, data) = (format!("kill {round}"), at.join("data"));
        let (old, new) = (data.join("master.key"), at.join("new.key"));
        aivonx_tests::harness::Aivonx::new(Path::new("/nonexistent"))
            .ok(&["secrets", "generate-key", "--out", new.to_str().unwrap()])
            .await;
        let [dir, old_key, new_key] = [&data, &old, &new].map(|path| path.to_str().unwrap());
        let line = ["rekey", "--dir", dir, "--old", old_key, "--new", new_key];
        kill(&line, took, &mut random).await;
        let began = Instant::now();
        succeed(&line, &when).await;
        took = began.elapsed();
        fs::rename(&new, &old).unwrap();
        let mut daemon = check(&at, &when).await;
        assert!(daemon.stop().await.success(), "{when}");
        fs::remove_dir_all(&at).unwrap();
    }
}

/// A daemon killed while it takes snapshots and rotates the keys.
#[tokio::test]
async fn snapshots_and_rotations_are_finished_or_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("at");
    base(&at).await;
    let mut random = StdRng::seed_from_u64(3);
    for round in 0..kills(3) {
        let when = format!("kill {round}");
        let mut daemon = check(&at, &when).await;
        let listed = daemon.aivonx().json(&["snapshot", "list"]).await;
        let listed = listed.as_array().unwrap();
        assert!(
            !listed.is_empty() && listed.iter().all(|one| one["problem"] == Value::Null),
            "{when}: {listed:?}"
        );
        for entry in fs::read_dir(daemon.data().join("snapshots")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name.ends_with(".snapshot"), "{when}: {name} is a leftover");
        }
        let mut working = Vec::new();
        for verb in [
            &["secrets", "rotate", "--yes"][..],
            &["snapshot", "create"],
            &["user", "add", "later", "--role", "auditor"],
        ] {
            working.push(daemon.aivonx().start(verb, std::process::Stdio::null()));
        }
        tokio::time::sleep(Duration::from_micros(random.random_range(0..120_000))).await;
        daemon.kill().await;
        for mut child in working {
            within("a command whose daemon is gone", child.wait()).await.unwrap();
        }
        daemon = check(&at, &when).await;
        daemon.aivonx().run(&["user", "remove", "later", "--yes"]).await;
        assert!(daemon.stop().await.success());
    }
}
