//! Replacing the keys that secrets are kept under: online, killed in the middle, and the master key offline.

use aivonx_protocol::secrets;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
};

use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, binary},
    within,
};
use serde_json::{Value, json};

const MARK: &str = "MARKED-ROTATED";

/// A node that takes nothing without the bearer token of its name.
async fn locked(name: &str) -> FakeNode {
    let node = FakeNode::ollama().await;
    node.with(|s| s.wants = Some(("authorization".to_owned(), format!("Bearer {MARK}-{name}"))));
    node
}

/// A daemon in `folder` that has been given a node like any other.
async fn start(folder: &Path) -> (Daemon, FakeNode) {
    let open = FakeNode::ollama().await;
    let daemon = Daemon::builder().folder(folder).node(&open).start().await;
    (daemon, open)
}

async fn add(daemon: &Daemon, name: &str, node: &FakeNode) {
    let secret = format!("{MARK}-{name}");
    let url = node.url();
    let line = ["node", "add", name, &url, "--bearer-file", "-", "--kind", "ollama"];
    let added = daemon.aivonx().run_with_input(&line, &secret).await;
    assert_eq!(added.code, 0, "{}", added.stderr);
}

/// All of `names` answer, which they do with their own credential alone.
async fn all_active(daemon: &Daemon, names: &[&str]) {
    daemon
        .until_nodes("nodes that take their credential", |nodes| {
            names.iter().all(|name| nodes.iter().any(|n| n["name"] == **name && n["pool"] == "active"))
        })
        .await;
}

async fn status(daemon: &Daemon) -> Value {
    daemon.aivonx().json(&["secrets", "status"]).await
}

fn numbers(status: &Value) -> Vec<u64> {
    status["data_keys"].as_array().unwrap().iter().map(|key| key["number"].as_u64().unwrap()).collect()
}

async fn aivonxd(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(binary("aivonxd"));
    command.args(arguments).kill_on_drop(true);
    within("aivonxd's end", command.output()).await.unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Files under `folder` that have `needle` in them.
fn containing(folder: &Path, needle: &[u8], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            containing(&path, needle, found);
        } else if let Ok(bytes) = fs::read(&path)
            && bytes.windows(needle.len()).any(|window| window == needle)
        {
            found.push(path);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_replaced_while_nodes_are_edited_and_asked() {
    let (a, b) = (locked("a").await, locked("b").await);
    let folder = tempfile::tempdir().unwrap();
    let (mut daemon, _open) = start(folder.path()).await;
    add(&daemon, "a", &a).await;
    add(&daemon, "b", &b).await;
    all_active(&daemon, &["a", "b"]).await;

    let editor = daemon.aivonx();
    let edits = tokio::spawn(async move {
        for edit in 1..=12 {
            editor.ok(&["node", "set", "a", "--label", &format!("edit={edit}")]).await;
            let secret = format!("{MARK}-b");
            let set = editor.run_with_input(&["node", "set", "b", "--bearer-file", "-"], &secret).await;
            assert_eq!(set.code, 0, "{}", set.stderr);
        }
    });
    let mut rotations = 0;
    while !edits.is_finished() {
        let job = daemon.aivonx().json(&["secrets", "rotate", "--yes"]).await;
        assert_eq!((&job["kind"], &job["state"]), (&json!("rotate"), &json!("done")), "{job}");
        let parts = job["targets"].as_array().unwrap();
        let credentials = parts.iter().find(|part| part["node"] == "node credentials").unwrap();
        // An edit that comes in between seals b's credential under the new key by itself; a's is only relabelled.
        assert!(credentials["completed"].as_u64().unwrap() >= 1, "{job}");
        rotations += 1;
    }
    edits.await.unwrap();
    let last = daemon.aivonx().json(&["secrets", "rotate", "--yes"]).await;
    let parts = last["targets"].as_array().unwrap();
    let credentials = parts.iter().find(|part| part["node"] == "node credentials").unwrap();
    assert_eq!(credentials["completed"], 2, "{last}");
    rotations += 1;
    assert!(rotations > 1);
    let node = daemon.aivonx().json(&["node", "show", "a"]).await;
    assert_eq!(node["labels"]["edit"], "12", "no edit is lost");
    let shown = status(&daemon).await;
    assert_eq!(numbers(&shown), [rotations + 1]);
    assert_eq!(shown["unfinished"], false);
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "x"}]});
    for _ in 0..4 {
        daemon.post("/api/chat", &chat).await.expect(200);
    }
    assert!(daemon.stop().await.success());
    let daemon = Daemon::builder().folder(folder.path()).start_any().await;
    all_active(&daemon, &["a", "b"]).await;
    // The snapshot of the orderly end needs the present key alone.
    let shown = status(&daemon).await;
    assert_eq!(shown["snapshots"][0]["retired"], json!([]), "{shown}");
    let mut found = Vec::new();
    containing(folder.path(), MARK.as_bytes(), &mut found);
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn killed_in_the_middle_it_is_finished_at_the_next_start() {
    let node = locked("a").await;
    let folder = tempfile::tempdir().unwrap();
    let (mut daemon, _open) = start(folder.path()).await;
    for n in 0..20 {
        // The same server under other names: what matters is that there is something to encrypt.
        let url = format!("{}/{n}", node.url());
        let line = ["node", "add", &format!("x{n}"), &url, "--bearer-file", "-", "--kind", "ollama"];
        assert_eq!(daemon.aivonx().run_with_input(&line, &format!("{MARK}-{n}")).await.code, 0);
    }
    add(&daemon, "a", &node).await;
    for round in 0_u64..6 {
        let control = daemon.control().await;
        let peppers = round % 2 == 0;
        let rotation = tokio::spawn(async move {
            control.ask(secrets::Rotate { peppers, signing: true, deadline_ms: None }).await
        });
        // Somewhere in it, another place every time: nothing here can wait for a place.
        tokio::time::sleep(std::time::Duration::from_micros(700 * round * round)).await;
        daemon.kill().await;
        // It may have been answered before the end, or not.
        let _ = rotation.await.unwrap();
        daemon = Daemon::builder().folder(folder.path()).start_any().await;
        within("the end of the rotation", async { while status(&daemon).await["unfinished"] == true {} })
            .await;
        all_active(&daemon, &["a"]).await;
        let shown = status(&daemon).await;
        assert_eq!(numbers(&shown).len(), 1, "{shown}");
        let checks = daemon.aivonx().run(&["secrets", "validate", "--output", "json"]).await;
        let checks: Value = serde_json::from_str(&checks.stdout).unwrap();
        let opens = checks.as_array().unwrap().iter().find(|check| check["name"] == "opens").unwrap();
        assert_eq!(opens["outcome"], "ok", "{checks}");
    }
    let job = daemon.aivonx().json(&["secrets", "rotate", "--yes"]).await;
    assert_eq!(job["state"], "done", "{job}");
}

#[tokio::test]
async fn the_master_key_is_changed_offline() {
    let node = locked("a").await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (mut daemon, _open) = start(folder.path()).await;
    add(&daemon, "a", &node).await;
    all_active(&daemon, &["a"]).await;
    let (new, other) = (path("new.key"), path("other.key"));
    for file in [&new, &other] {
        daemon.aivonx().ok(&["secrets", "generate-key", "--out", file]).await;
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let again = daemon.aivonx().run(&["secrets", "generate-key", "--out", &new]).await;
    assert!(again.code == 1 && again.stderr.contains("never overwritten"), "{}", again.stderr);

    let dir = daemon.data().to_str().unwrap().to_owned();
    let in_use = format!("{dir}/master.key");
    let old = path("old.key");
    fs::copy(&in_use, &old).unwrap();
    let rekey = ["rekey", "--dir", &dir, "--old", &old, "--new", &new];
    let refused = aivonxd(&rekey).await;
    assert!(!refused.status.success() && said(&refused).contains("in use"), "{}", said(&refused));
    assert!(daemon.stop().await.success());

    let wrong = aivonxd(&["rekey", "--dir", &dir, "--old", &other, "--new", &new]).await;
    assert!(!wrong.status.success() && said(&wrong).contains("other.key"), "{}", said(&wrong));
    let daemon = Daemon::builder().folder(folder.path()).start_any().await;
    all_active(&daemon, &["a"]).await;
    let mut daemon = daemon;
    assert!(daemon.stop().await.success());

    // Killed at some points of it, it can be repeated.
    for delay in [0, 15, 40] {
        let mut command = tokio::process::Command::new(binary("aivonxd"));
        let mut child = command.args(rekey).kill_on_drop(true).spawn().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(delay)).await;
        child.kill().await.ok();
    }
    let done = aivonxd(&rekey).await;
    let text = said(&done);
    assert!(done.status.success() && text.contains("under the new master key"), "{text}");
    assert!(text.contains(&in_use) && text.contains("secrets rotate"), "{text}");
    let repeated = aivonxd(&rekey).await;
    assert!(said(&repeated).contains("already"), "{}", said(&repeated));

    // The old key opens nothing any more.
    let start = ["dev", "--dir", &dir, "--listen", "127.0.0.1:0"];
    let refused = aivonxd(&start).await;
    assert!(!refused.status.success() && said(&refused).contains("is not the one"), "{}", said(&refused));
    fs::copy(&new, &in_use).unwrap();
    let mut daemon = Daemon::builder().folder(folder.path()).start_any().await;
    all_active(&daemon, &["a"]).await;
    let shown = status(&daemon).await;
    let snapshots = shown["snapshots"].as_array().unwrap();
    assert!(!snapshots.is_empty() && snapshots.iter().all(|s| s["problem"].is_null()), "{shown}");
    daemon.aivonx().ok(&["secrets", "rotate", "--yes"]).await;
    assert!(daemon.stop().await.success());

    // Nor does it open a snapshot; the new one does.
    let oldest = snapshots.last().unwrap()["file"].as_str().unwrap();
    let file = format!("{dir}/snapshots/{oldest}");
    let restored = aivonxd(&["recover", "--dir", &dir, "--snapshot", &file]).await;
    assert!(restored.status.success(), "{}", said(&restored));
    let daemon = Daemon::builder().folder(folder.path()).start_any().await;
    all_active(&daemon, &["a"]).await;
    for key in [&old, &new] {
        let text = fs::read_to_string(key).unwrap();
        let mut found = Vec::new();
        containing(&daemon.data().join("store"), text.trim().as_bytes(), &mut found);
        containing(&daemon.data().join("snapshots"), text.trim().as_bytes(), &mut found);
        assert!(found.is_empty(), "{found:?}");
    }
}

#[tokio::test]
async fn validate_says_line_by_line_what_is_wrong() {
    let node = locked("a").await;
    let folder = tempfile::tempdir().unwrap();
    let (daemon, _open) = start(folder.path()).await;
    add(&daemon, "a", &node).await;
    all_active(&daemon, &["a"]).await;
    let fine = daemon.aivonx().run(&["secrets", "validate"]).await;
    assert_eq!(fine.code, 0, "{}{}", fine.stdout, fine.stderr);
    let line = |text: &str, name: &str| {
        let found = text.lines().find(|line| line.split_whitespace().nth(1) == Some(name));
        found.unwrap_or_else(|| panic!("no check {name}: {text}")).to_owned()
    };
    for name in ["present", "private", "form", "opens", "distinct", "age", "rotation", "snapshots", "nodes"] {
        assert!(line(&fine.stdout, name).starts_with("ok"), "{}", fine.stdout);
    }
    assert!(line(&fine.stdout, "elsewhere").starts_with("warn"), "{}", fine.stdout);

    let key = daemon.data().join("master.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    node.with(|s| s.wants = Some(("authorization".to_owned(), "Bearer another".to_owned())));
    daemon.aivonx().run(&["node", "check", "a"]).await;
    let wrong = daemon.aivonx().run(&["secrets", "validate"]).await;
    assert_eq!(wrong.code, 1, "{}", wrong.stdout);
    assert!(line(&wrong.stdout, "private").starts_with("FAIL"), "{}", wrong.stdout);
    assert!(line(&wrong.stdout, "nodes").contains("a ("), "{}", wrong.stdout);
    let text = fs::read_to_string(&key).unwrap();
    assert!(!wrong.stdout.contains(text.trim()));
}

/// Root changes the key and puts a snapshot back, of a daemon that runs as another user: nothing of the store may then
/// be root's.
#[tokio::test]
async fn rekey_and_recover_by_root_leave_the_files_to_the_daemons_user() {
    use std::os::unix::fs::{MetadataExt as _, chown};
    const DAEMON: u32 = 61_234;
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    fn each(folder: &Path, see: &mut impl FnMut(&Path)) {
        see(folder);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { each(&path, see) } else { see(&path) }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut daemon, _open) = start(folder.path()).await;
    assert!(daemon.stop().await.success());
    let (old, new) = (folder.path().join("old.key"), folder.path().join("new.key"));
    fs::rename(daemon.data().join("master.key"), &old).unwrap();
    daemon.aivonx().ok(&["secrets", "generate-key", "--out", new.to_str().unwrap()]).await;
    each(daemon.data(), &mut |path| chown(path, Some(DAEMON), Some(DAEMON)).unwrap());
    // The keys stay root's, as those that systemd hands over are.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let dir = daemon.data().to_str().unwrap().to_owned();
    let line = ["rekey", "--dir", &dir, "--old", old.to_str().unwrap(), "--new", new.to_str().unwrap()];
    let done = aivonxd(&line).await;
    assert!(done.status.success(), "{}", said(&done));
    let is_the_daemons = |path: &Path| {
        let meta = fs::metadata(path).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (DAEMON, DAEMON), "{}", path.display());
    };
    each(daemon.data(), &mut |path| is_the_daemons(path));

    // A copy that only root may read.
    let kept = fs::read_dir(daemon.data().join("snapshots")).unwrap().next().unwrap().unwrap().path();
    let copied = folder.path().join("copied.snapshot");
    fs::copy(kept, &copied).unwrap();
    fs::set_permissions(&copied, fs::Permissions::from_mode(0o600)).unwrap();
    let done = aivonxd(&["recover", "--dir", &dir, "--snapshot", copied.to_str().unwrap()]).await;
    assert!(done.status.success(), "{}", said(&done));
    each(daemon.data(), &mut |path| is_the_daemons(path));
}
