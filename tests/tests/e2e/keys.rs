//! `aivonx key ...` where something goes wrong: the output, the client's memory, the daemon.

use std::{fs::File, io, process::Stdio};

use aivonx_tests::{
    fake::FakeNode,
    harness::{ADMIN, ADMIN_PASSWORD, Aivonx, Daemon, Request},
    within,
};
use serde_json::{Value, json};

/// How a command ends whose standard output is this.
async fn into(aivonx: &Aivonx, arguments: &[&str], output: impl Into<Stdio>) -> (i32, String) {
    let mut command = aivonx.command(arguments);
    let child = command.stdout(output).spawn().unwrap();
    let ended = within("aivonx", child.wait_with_output()).await.unwrap();
    (ended.status.code().unwrap_or(-1), String::from_utf8(ended.stderr).unwrap())
}

fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// A pipe that nobody reads.
fn broken() -> io::PipeWriter {
    io::pipe().unwrap().1
}

async fn valid(aivonx: &Aivonx, noun: &str) -> Vec<String> {
    let all = aivonx.json(&[noun, "list"]).await;
    all.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_secret_that_reaches_nobody_opens_nothing() {
    let daemon = Daemon::run(&[], "").await;
    // Tokens make no tokens.
    let password = daemon.folder().join("password");
    std::fs::write(&password, ADMIN_PASSWORD).unwrap();
    let aivonx = daemon.aivonx().home(daemon.folder());
    aivonx.ok(&["login", "--username", ADMIN, "--password-file", password.to_str().unwrap()]).await;
    let before = valid(&aivonx, "token").await;
    for format in ["table", "json"] {
        for noun in ["key", "token"] {
            let make = [noun, "create", "lost", "--output", format];
            for output in [Stdio::from(full()), Stdio::from(broken())] {
                let (code, said) = into(&aivonx, &make, output).await;
                assert_eq!(code, 1, "{said}");
                assert!(said.contains("standard output") && said.contains("revoked again"), "{said}");
            }
            let (code, said) = into(&aivonx, &make, Stdio::null()).await;
            assert!(code == 2 && said.contains("nothing was done"), "{said}");
        }
    }
    // As the shell closes it.
    let mut closed = tokio::process::Command::new("sh");
    let inner = aivonx.command(&["key", "create", "lost"]);
    closed.args(["-c", "exec \"$0\" key create lost >&-"]).arg(inner.as_std().get_program());
    for (name, value) in inner.as_std().get_envs() {
        closed.env(name, value.unwrap());
    }
    let said = within("sh", closed.output()).await.unwrap();
    assert_eq!(said.status.code(), Some(2), "{said:?}");
    assert_eq!(valid(&aivonx, "key").await, [""; 0]);
    assert_eq!(valid(&aivonx, "token").await, before);

    // What a file has is not lost.
    let file = daemon.folder().join("kept.key");
    let (code, _) =
        into(&aivonx, &["key", "create", "kept", "--secret-file", file.to_str().unwrap()], full()).await;
    assert_eq!(code, 1);
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("aivx_"));
    assert_eq!(valid(&aivonx, "key").await, ["kept"]);

    // Revoking a rotated key would end what still uses the old secret: another can be had.
    let (code, said) = into(&aivonx, &["key", "rotate", "kept"], full()).await;
    assert!(code == 1 && said.contains("the old one works until"), "{said}");
    assert!(said.contains("aivonx key rotate "), "{said}");
    assert_eq!(valid(&aivonx, "key").await, ["kept"]);

    aivonx.ok(&["org", "add", "acme"]).await;
    aivonx.ok(&["user", "add", "bob", "--org", "acme"]).await;
    let (code, said) = into(&aivonx, &["user", "reset-password", "bob", "-y"], full()).await;
    assert!(code == 1 && said.contains("aivonx user reset-password bob"), "{said}");
    let (code, said) = into(&aivonx, &["user", "add", "carol", "--org", "acme"], full()).await;
    assert!(code == 1 && said.contains("The user carol exists now, without a password"), "{said}");
    assert!(said.contains("aivonx user reset-password carol"), "{said}");
}

#[tokio::test]
async fn a_full_disk_is_found_before_there_is_a_secret() {
    let daemon = Daemon::run(&[], "").await;
    let (aivonx, file) = (daemon.aivonx(), daemon.folder().join("secret"));
    // Files of no more than nothing: as on a full disk, a write fails.
    let program = aivonx.command(&[]).as_std().get_program().to_owned();
    let mut limited = tokio::process::Command::new("sh");
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" key create lost --secret-file \"$1\"";
    limited.args(["-c", script]).arg(program).arg(&file).stdout(Stdio::piped()).stderr(Stdio::piped());
    for (name, value) in aivonx.command(&[]).as_std().get_envs() {
        limited.env(name, value.unwrap());
    }
    let said = within("sh", limited.output()).await.unwrap();
    assert_eq!(said.status.code(), Some(1), "{said:?}");
    assert!(!file.exists() && valid(&aivonx, "key").await.is_empty());
}

#[tokio::test]
async fn a_key_is_revoked_by_what_is_known_of_it() {
    let daemon = Daemon::run(&[], "").await;
    let aivonx = daemon.aivonx();
    for org in ["acme", "beta"] {
        aivonx.ok(&["org", "add", org]).await;
    }
    let make = async |name: &str, org: &str| {
        let made = aivonx.json(&["key", "create", name, "--org", org]).await;
        ["id", "prefix", "secret"].map(|field| made[field].as_str().unwrap().to_owned())
    };
    let revoked = async |id: &str| aivonx.json(&["key", "show", id]).await["revoked"] != Value::Null;

    let [id, ..] = make("laptop", "acme").await;
    aivonx.ok(&["key", "revoke", "laptop", "-y"]).await;
    assert!(revoked(&id).await);
    let [id, prefix, _] = make("laptop", "acme").await;
    aivonx.ok(&["key", "revoke", &format!("{prefix}…"), "-y"]).await;
    assert!(revoked(&id).await);
    let [id, _, secret] = make("laptop", "acme").await;
    let ran = aivonx.run_with_input(&["key", "revoke", "-", "-y"], &format!("{secret}\n")).await;
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(revoked(&id).await);
    let [id, _, secret] = make("laptop", "acme").await;
    let ran = aivonx.run(&["key", "revoke", &secret, "-y"]).await;
    assert!(ran.code == 0 && ran.stderr.contains("history"), "{}", ran.stderr);
    assert!(revoked(&id).await);

    let (acme, beta) = (make("ci", "acme").await, make("ci", "beta").await);
    let ran = aivonx.run(&["key", "revoke", "ci", "-y"]).await;
    assert_eq!(ran.code, 1);
    for [id, prefix, _] in [&acme, &beta] {
        assert!(ran.stderr.contains(id) && ran.stderr.contains(prefix), "{}", ran.stderr);
        assert!(!revoked(id).await);
    }
    // As completion offers them.
    let offered = aivonx.ok(&["complete", "--", "key", "revoke", ""]).await;
    let names: Vec<&str> = offered.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names, ["acme/ci", "beta/ci"]);
    aivonx.ok(&["key", "revoke", names[1], "-y"]).await;
    assert!(!revoked(&acme[0]).await && revoked(&beta[0]).await);

    // Neither the log nor the audit log has a secret that was asked for in vain.
    let [_, _, foreign] = make("other", "acme").await;
    let [gone, typo] = [format!("{}x", &foreign[..53]), foreign[..30].to_owned()];
    for wrong in [&gone, &typo] {
        let ran = aivonx.run(&["key", "revoke", wrong, "--org", "beta", "-y"]).await;
        assert!(ran.code == 1 && !ran.stderr.contains(&foreign[12..30]), "{}", ran.stderr);
    }
    let ran = aivonx.run(&["key", "revoke", &foreign, "--org", "beta", "-y"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let audit = aivonx.ok(&["audit", "list", "--output", "json"]).await;
    assert!(audit.contains(&foreign[..12]) && !audit.contains(&foreign[12..30]), "{audit}");
}

#[tokio::test]
async fn when_a_key_was_used_is_known_after_its_end_and_a_restart() {
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::builder().folder(folder.path()).node(&node).start().await;
    let aivonx = daemon.aivonx();
    let mut used = Vec::new();
    for name in ["good", "bad"] {
        let made = aivonx.json(&["key", "create", name]).await;
        let secret = format!("Bearer {}", made["secret"].as_str().unwrap());
        let request = Request::json("/api/generate", &json!({"model": "m", "prompt": "one"}));
        daemon.ask(&request.field("authorization", &secret)).await.expect(200);
        used.push(aivonx.json(&["key", "show", name]).await["last_used"].clone());
    }
    assert!(used.iter().all(Value::is_u64), "{used:?}");
    let revoked = aivonx.json(&["key", "revoke", "bad", "-y"]).await;
    assert_eq!(revoked["last_used"], used[1]);
    daemon.stop().await;
    let daemon = Daemon::builder().folder(folder.path()).start_any().await;
    for (name, used) in ["good", "bad"].into_iter().zip(used) {
        assert_eq!(daemon.aivonx().json(&["key", "show", name]).await["last_used"], used, "{name}");
    }
}

#[tokio::test]
async fn the_log_is_searched_as_it_is_printed() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::dev(&[&node]).await;
    daemon.ask(&Request::json("/api/generate", &json!({"model": "nope"}))).await.expect(404);
    let aivonx = daemon.aivonx();
    let printed = within("the refusal", async {
        loop {
            let lines = aivonx.ok(&["logs", "-n", "1000"]).await;
            if let Some(line) = lines.lines().find(|line| line.contains("status=404")) {
                return line.to_owned();
            }
        }
    })
    .await;
    for word in printed.split(' ').filter(|word| !word.is_empty()) {
        let mut pattern = String::new();
        for c in word.chars() {
            if !c.is_ascii_alphanumeric() {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        let found = aivonx.ok(&["logs", "-n", "1000", "-g", &pattern]).await;
        assert!(found.lines().any(|line| line == printed), "{word} of {printed}: {found}");
    }
    assert_eq!(aivonx.ok(&["logs", "-n", "1000", "-g", "status=404"]).await.lines().count(), 1);
    assert_eq!(aivonx.ok(&["logs", "-n", "1000", "-g", "status=405"]).await, "");
}
