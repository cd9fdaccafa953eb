//! Backups: made while requests are served, restored elsewhere and in place, and never believed if anything is wrong.

use std::{fs, process::Output};

use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, Request, binary},
    within,
};
use serde_json::{Value, json};

async fn restore(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(binary("aivonxd"));
    let output = command.arg("restore").args(arguments).kill_on_drop(true).output();
    within("restore", output).await.unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What an administrator sees of a gateway that must come back.
async fn seen(daemon: &Daemon) -> Value {
    let aivonx = daemon.aivonx();
    let without = |mut list: Value, field: &str| {
        list.as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(|one| drop(one.as_object_mut().unwrap().remove(field)));
        list
    };
    json!({
        "orgs": aivonx.json(&["org", "list"]).await,
        "users": without(aivonx.json(&["user", "list"]).await, "last_login"),
        "keys": without(aivonx.json(&["key", "list"]).await, "last_used"),
        "nodes": daemon.nodes().await.iter().map(|node| json!([node["name"], node["url"]])).collect::<Vec<_>>(),
    })
}

struct Made {
    folder: tempfile::TempDir,
    _node: FakeNode,
    daemon: Daemon,
    key: String,
}

impl Made {
    async fn new() -> Self {
        let node = FakeNode::ollama().await;
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("at");
        fs::create_dir(&at).unwrap();
        let daemon = Daemon::builder().folder(&at).node(&node).start().await;
        let aivonx = daemon.aivonx();
        aivonx.ok(&["org", "add", "acme"]).await;
        aivonx.ok(&["user", "add", "ann", "--org", "acme"]).await;
        let key = aivonx.json(&["key", "create", "app", "--org", "acme", "--user", "ann"]).await;
        let key = key["secret"].as_str().unwrap().to_owned();
        // What is sealed under the master key must open again.
        let name = daemon.nodes().await[0]["name"].as_str().unwrap().to_owned();
        let set = aivonx.run_with_input(&["node", "set", &name, "--bearer-file", "-"], "s3cret").await;
        assert_eq!(set.code, 0, "{}", set.stderr);
        node.with(|s| s.wants = Some(("authorization".to_owned(), "Bearer s3cret".to_owned())));
        Self { folder, _node: node, daemon, key }
    }

    async fn chat(&self, daemon: &Daemon, status: u16) {
        let body = json!({"model": "m", "stream": false, "messages": [{"role": "user", "content": "hi"}]});
        let request =
            Request::json("/api/chat", &body).field("authorization", &format!("Bearer {}", self.key));
        daemon.ask(&request).await.expect(status);
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn what_is_restored_elsewhere_is_the_same_gateway() {
    let mut made = Made::new().await;
    made.chat(&made.daemon, 200).await;
    let before = seen(&made.daemon).await;
    let aivonx = made.daemon.aivonx();
    let phrase = made.at("phrase");
    fs::write(&phrase, "correct horse battery staple\n").unwrap();
    let file = made.at("moved.backup");
    // While requests are served and changes made.
    let (_, told) = tokio::join!(made.chat(&made.daemon, 200), async {
        aivonx.ok(&["backup", "create", "--to", &file, "--passphrase-file", &phrase]).await
    });
    assert!(told.contains("moved.backup") && told.contains("passphrase"), "{told}");
    let whole = aivonx.ok(&["backup", "verify", &file]).await;
    assert!(whole.contains("is whole"), "{whole}");
    let key = aivonx.json(&["audit", "key"]).await[0]["key"].as_str().unwrap().to_owned();
    aivonx.ok(&["backup", "verify", &file, "--public-key", &key]).await;
    let entries = aivonx.json(&["audit", "verify"]).await["last"].as_u64().unwrap();
    assert!(made.daemon.stop().await.success());

    let elsewhere = made.folder.path().join("elsewhere");
    let place = elsewhere.join(made.daemon.data().strip_prefix(made.daemon.folder()).unwrap());
    fs::create_dir_all(&place).unwrap();
    let data = place.to_str().unwrap().to_owned();
    for (arguments, why) in [
        (vec![file.as_str(), "--dir", &data], "sealed with a passphrase"),
        (vec![file.as_str(), "--dir", &data, "--passphrase-file", &file], "cannot read"),
    ] {
        let refused = restore(&arguments).await;
        assert!(!refused.status.success() && said(&refused).contains(why), "{}", said(&refused));
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "nothing was left");
    }
    fs::write(made.at("wrong"), "incorrect horse battery staple\n").unwrap();
    let refused = restore(&[&file, "--dir", &data, "--passphrase-file", &made.at("wrong")]).await;
    assert!(
        !refused.status.success() && said(&refused).contains("the passphrase is wrong"),
        "{}",
        said(&refused)
    );
    let checked = restore(&[&file, "--dir", &data, "--passphrase-file", &phrase, "--check"]).await;
    assert!(checked.status.success() && said(&checked).contains("could be restored"), "{}", said(&checked));
    let restored = restore(&[&file, "--dir", &data, "--passphrase-file", &phrase]).await;
    assert!(restored.status.success(), "{}", said(&restored));
    assert!(said(&restored).contains("audit log: whole"), "{}", said(&restored));

    let daemon = Daemon::builder().folder(&elsewhere).start_any().await;
    assert_eq!(seen(&daemon).await, before);
    made.chat(&daemon, 200).await;
    let verdict = daemon.aivonx().json(&["audit", "verify"]).await;
    assert_eq!(verdict["intact"], true);
    assert!(verdict["last"].as_u64().unwrap() >= entries - 3, "the chain goes on");
}

#[tokio::test]
async fn a_restoration_that_was_interrupted_is_done_again_before_anything_is_served() {
    let mut made = Made::new().await;
    let before = seen(&made.daemon).await;
    let aivonx = made.daemon.aivonx();
    let kept = aivonx.json(&["backup", "create"]).await["file"].as_str().unwrap().to_owned();
    let verified = aivonx.ok(&["backup", "verify", &kept]).await;
    assert!(verified.contains("is whole") && verified.contains("master key"), "{verified}");
    assert!(aivonx.ok(&["status"]).await.contains("backup"));
    aivonx.ok(&["org", "add", "later"]).await;
    let data = made.daemon.data().to_str().unwrap().to_owned();
    let refused = restore(&[&kept, "--dir", &data]).await;
    assert!(said(&refused).contains("stop the daemon first"), "{}", said(&refused));
    assert!(made.daemon.stop().await.success());
    // As a power cut in the middle leaves it.
    fs::write(made.daemon.data().join("RESTORING"), "").unwrap();
    let mut command = tokio::process::Command::new(binary("aivonxd"));
    let started =
        within("the start", command.args(["dev", "--dir", &data, "--listen", "127.0.0.1:0"]).output()).await;
    let told = said(&started.unwrap());
    assert!(told.contains("aivonxd restore FILE"), "{told}");
    let restored = restore(&[&kept, "--dir", &data]).await;
    assert!(restored.status.success() && said(&restored).contains("kept in"), "{}", said(&restored));
    let mut daemon = Daemon::builder().folder(made.daemon.folder()).start_any().await;
    assert_eq!(seen(&daemon).await, before);
    made.chat(&daemon, 200).await;
    // And back again, by the command that was printed.
    assert!(daemon.stop().await.success());
    put_back(&restored).await;
    let daemon = Daemon::builder().folder(made.daemon.folder()).start_any().await;
    assert!(daemon.aivonx().ok(&["org", "list"]).await.contains("later"));
}

/// Types the command by which `restored` says that what was there is put back. Returns the directory that it goes to.
async fn put_back(restored: &Output) -> String {
    let said = said(restored);
    let typed = said.lines().find_map(|line| line.strip_prefix("to put its settings back: ")).unwrap();
    let (typed, dir) = match typed.strip_prefix("mkdir -m 700 ").and_then(|typed| typed.split_once(" && ")) {
        Some((dir, typed)) => {
            fs::create_dir(dir).unwrap();
            (typed, dir.to_owned())
        }
        None => (typed, String::new()),
    };
    let mut words = typed.split(' ');
    assert_eq!(words.next(), Some("aivonxd"), "{said}");
    let mut command = tokio::process::Command::new(binary("aivonxd"));
    let done = within("recover", command.args(words).output()).await.unwrap();
    assert!(done.status.success(), "{typed}: {}", self::said(&done));
    dir
}

#[tokio::test]
async fn what_another_gateways_backup_took_the_place_of_is_put_back_elsewhere() {
    let made = Made::new().await;
    let file = made.at("b");
    let phrase = made.at("phrase");
    fs::write(&phrase, "correct horse battery staple\n").unwrap();
    made.daemon.aivonx().ok(&["backup", "create", "--to", &file, "--passphrase-file", &phrase]).await;
    let mut other = Made::new().await;
    assert!(other.daemon.stop().await.success());
    let data = other.daemon.data().to_str().unwrap().to_owned();
    let restored = restore(&[&file, "--dir", &data, "--passphrase-file", &phrase]).await;
    assert!(restored.status.success(), "{}", said(&restored));
    assert_eq!(put_back(&restored).await, format!("{data}.before"));
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_words() {
    let made = Made::new().await;
    let aivonx = made.daemon.aivonx();
    let file = made.at("b");
    fs::write(&file, "mine").unwrap();
    for (arguments, why) in [
        (vec!["backup", "create", "--to", &file], "is there already"),
        (vec!["backup", "create", "--to", "x", "--recipient", "abc"], "no recipient's key"),
        (vec!["backup", "create", "--passphrase"], "--to"),
        (vec!["backup", "verify", "nothing.backup"], "there is no backup"),
        (vec!["backup", "verify", &file], "not a backup of aivonx"),
    ] {
        let refused = aivonx.run(&arguments).await;
        let told = format!("{}{}", refused.stdout, refused.stderr);
        assert!(refused.code != 0 && told.contains(why), "{arguments:?}: {told}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    let private = made.at("private");
    let recipient = aivonx.json(&["backup", "generate-key", "--out", &private]).await;
    let sealed = made.at("sealed");
    aivonx
        .ok(&["backup", "create", "--to", &sealed, "--recipient", recipient["recipient"].as_str().unwrap()])
        .await;
    fs::create_dir(made.at("new")).unwrap();
    let checked = restore(&[&sealed, "--dir", &made.at("new"), "--private-key", &private, "--check"]).await;
    assert!(checked.status.success(), "{}", said(&checked));
}
