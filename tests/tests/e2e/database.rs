//! Settings in PostgreSQL: kept over restarts of either side, by one gateway, and moved there and back.

#[expect(unreachable_pub, reason = "the store's own tests have it in a module that others see")]
#[path = "../../../daemon/store/src/testing/postgres.rs"]
pub(crate) mod postgres;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Output};

use aivonx_tests::{
    fake::FakeNode,
    harness::{Aivonx, Daemon, Request, binary},
    within,
};
use serde_json::{Value, json};

use postgres::PostgresServer;

async fn aivonxd(arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(binary("aivonxd"));
    within("aivonxd", command.args(arguments).kill_on_drop(true).output()).await.unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub(crate) async fn done(arguments: &[&str]) -> String {
    let output = aivonxd(arguments).await;
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

/// Why it does not.
pub(crate) async fn refused(arguments: &[&str]) -> String {
    let output = aivonxd(arguments).await;
    assert!(!output.status.success(), "{arguments:?}: {}", said(&output));
    said(&output)
}

/// A gateway's folder with a configuration, before its first start.
pub(crate) fn configured(folder: &Path, extra: &str) -> String {
    fs::create_dir(folder).unwrap();
    let file = folder.join("aivonxd.toml");
    let at = folder.display();
    let text = format!(
        "data_dir = \"{at}/data\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n[control]\nsocket = \"{at}/control.sock\"\ngroup = \"\"\n{extra}"
    );
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// What an administrator sees.
async fn seen(daemon: &Daemon) -> Value {
    let aivonx = daemon.aivonx();
    let mut all = json!({
        "users": aivonx.json(&["user", "list"]).await,
        "keys": aivonx.json(&["key", "list"]).await,
        "nodes": daemon.nodes().await.iter().map(|node| json!([node["id"], node["name"], node["url"]])).collect::<Vec<_>>(),
    });
    // A login of the harness changes its user.
    for (noun, field) in [("users", "last_login"), ("users", "revision"), ("keys", "last_used")] {
        all[noun]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(|one| drop(one.as_object_mut().unwrap().remove(field)));
    }
    all
}

async fn add_some(daemon: &Daemon) {
    daemon.aivonx().ok(&["org", "add", "base"]).await;
    daemon.aivonx().ok(&["user", "add", "ann", "--org", "base"]).await;
    daemon.aivonx().ok(&["key", "create", "app", "--org", "base", "--user", "ann"]).await;
}

pub(crate) fn chat() -> Request {
    let body = json!({"model": "m", "stream": false, "messages": [{"role": "user", "content": "hi"}]});
    Request::json("/api/chat", &body)
}

fn pause() -> tokio::time::Sleep {
    tokio::time::sleep(std::time::Duration::from_millis(100))
}

#[tokio::test(flavor = "multi_thread")]
async fn one_gateway_keeps_its_settings_and_serves_while_the_database_is_away() {
    let Some(server) = PostgresServer::start() else { return };
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let cluster = format!("[cluster]\npostgres = \"{}\"\n", server.url("aivonx"));
    let first = configured(&folder.path().join("first"), &cluster);
    let why = refused(&["run", "--config", &first]).await;
    assert!(why.contains("aivonxd migrate --apply"), "{why}");
    refused(&["migrate", "--check", "--config", &first]).await;
    let sql = done(&["migrate", "--print", "--config", &first]).await;
    assert!(sql.contains("GRANT SELECT, INSERT, UPDATE, DELETE ON aivonx.record TO \"aivonx\""), "{sql}");
    done(&["migrate", "--apply", "--owner", "owner", "--config", &first]).await;
    done(&["migrate", "--check", "--config", &first]).await;

    let at = folder.path().join("at");
    fs::create_dir(&at).unwrap();
    let mut daemon = Daemon::builder().folder(&at).config(&cluster).node(&node).start().await;
    add_some(&daemon).await;
    daemon.ask(&chat()).await.expect(200);
    let before = seen(&daemon).await;
    assert!(!daemon.data().join("store").exists());
    let checks = daemon.aivonx().run(&["check"]).await.stdout;
    assert!(checks.contains("the PostgreSQL database aivonx at"), "{checks}");
    assert!(checks.contains("it may read and write data, and nothing else"), "{checks}");
    // A second one that lacks the master key.
    let why = refused(&["run", "--config", &first]).await;
    assert!(why.contains("master key"), "{why}");

    assert!(daemon.stop().await.success());
    daemon = Daemon::builder().folder(&at).config(&cluster).start().await;
    daemon.until_active(1).await;
    assert_eq!(seen(&daemon).await, before);
    // One that was killed comes back at once, and waits for a database that is not there yet.
    daemon.kill().await;
    server.stop();
    let aivonx = Aivonx::new(daemon.socket());
    (daemon, ()) = tokio::join!(Daemon::builder().folder(&at).config(&cluster).start(), async {
        within("it waits", async {
            while !aivonx.run(&["status"]).await.stderr.contains("waits for its database") {
                pause().await;
            }
        })
        .await;
        server.begin();
    });
    daemon.until_active(1).await;
    assert_eq!(seen(&daemon).await, before);

    // The database goes away and comes back.
    server.stop();
    daemon.ask(&chat()).await.expect(200);
    let ran = daemon.aivonx().run(&["org", "add", "late"]).await;
    assert!(ran.code != 0 && ran.stderr.contains("the PostgreSQL database aivonx at"), "{}", ran.stderr);
    daemon.ask(&chat()).await.expect(200);
    server.begin();
    within("changes are taken again", async {
        while daemon.aivonx().run(&["org", "add", "acme"]).await.code != 0 {
            pause().await;
        }
    })
    .await;
    daemon.ask(&chat()).await.expect(200);

    // A copy of its data directory takes over by force: this one ends.
    let copied = configured(&folder.path().join("copied"), &cluster);
    let status = std::process::Command::new("cp")
        .args([
            "-a",
            &at.join("data").display().to_string(),
            &folder.path().join("copied").display().to_string(),
        ])
        .status();
    assert!(status.unwrap().success());
    let taken = done(&["takeover", "--force", "--config", &copied]).await;
    assert!(taken.contains("users 2"), "{taken}");
    let status = daemon.ended().await;
    assert!(!status.success());
    assert!(
        daemon.stderr().text().contains("may not write the settings any more"),
        "{}",
        daemon.stderr().text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_counted_in_the_database_and_hold_over_a_restart() {
    let Some(server) = PostgresServer::start() else { return };
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let cluster = format!(
        "[cluster]\npostgres = \"{}\"\nslice_renew = \"1s\"\nslice_expires = \"2s\"\n",
        server.url("aivonx")
    );
    let file = configured(&folder.path().join("file"), &cluster);
    done(&["migrate", "--apply", "--owner", "owner", "--config", &file]).await;
    let at = folder.path().join("at");
    fs::create_dir(&at).unwrap();
    let mut daemon = Daemon::builder().folder(&at).config(&cluster).node(&node).start().await;
    let aivonx = daemon.aivonx();
    aivonx.ok(&["org", "add", "base"]).await;
    aivonx.ok(&["user", "add", "ann", "--org", "base"]).await;
    let key = aivonx.json(&["key", "create", "app", "--org", "base", "--user", "ann"]).await;
    let bearer = format!("Bearer {}", key["secret"].as_str().unwrap());
    let request = || chat().field("authorization", &bearer);
    aivonx.ok(&["limit", "set", "--user", "ann", "inference.day=3"]).await;
    for _ in 0..3 {
        daemon.ask(&request()).await.expect(200);
    }
    let refused = daemon.ask(&request()).await;
    assert_eq!((refused.status, &refused.json()["used"]), (429, &json!(3)), "{}", refused.text());
    let shown = aivonx.json(&["limit", "show", "--user", "ann"]).await;
    let limits = shown["limits"].as_array().unwrap();
    let day =
        limits.iter().find(|limit| limit["name"] == "inference.day" && limit["level"] == "user").unwrap();
    assert_eq!(day["used"], 3, "{day}");
    let books = "SELECT sum(used + leased) FROM aivonx.budget WHERE kind = 1 AND name = 'inference.day'";
    assert_eq!(server.sql("aivonx", books), "3");

    assert!(daemon.stop().await.success());
    let daemon = Daemon::builder().folder(&at).config(&cluster).start().await;
    daemon.until_active(1).await;
    assert_eq!(daemon.ask(&request()).await.status, 429);
    daemon.aivonx().ok(&["limit", "set", "--user", "ann", "inference.day=5"]).await;
    daemon.ask(&request()).await.expect(200);
    // With the database away it is not known whether there is more.
    server.stop();
    let refused = daemon.ask(&request()).await;
    assert_eq!((refused.status, refused.field("retry-after")), (429, Some("1")), "{}", refused.text());
    assert!(refused.text().contains("cannot get more at the moment"), "{}", refused.text());
    server.begin();
    within("the rest is granted", async {
        while daemon.ask(&request()).await.status != 200 {
            pause().await;
        }
    })
    .await;
    assert_eq!(daemon.ask(&request()).await.json()["used"], 5);
    assert_eq!(server.sql("aivonx", books), "5");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_server_is_checked_and_the_password_is_shown_to_nobody() {
    const PASSWORD: &str = "eleven grey herons at dusk";
    let Some(server) = PostgresServer::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    for dir in ["ca", "other"] {
        done(&["gen-cert", "--dir", &path(dir), "localhost"]).await;
    }
    server.sql("postgres", &format!("ALTER ROLE aivonx PASSWORD '{PASSWORD}'"));
    server.stop();
    let cert = server.put("server.crt", &fs::read(path("ca/cert.pem")).unwrap());
    let key = server.put("server.key", &fs::read(path("ca/key.pem")).unwrap());
    server.put("pg_hba.conf", b"local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n");
    // It takes no port of the kernel's choice.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    server.begin_with(&format!(
        "-c listen_addresses=127.0.0.1 -c port={port} -c ssl=on -c ssl_cert_file={} -c ssl_key_file={}",
        cert.display(),
        key.display()
    ));
    let (good, wrong) = (path("password"), path("wrong"));
    for (file, password) in [(&good, PASSWORD), (&wrong, "another")] {
        fs::write(file, password).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let mut number = 0;
    let mut asked = async |host: &str, ca: &str, password: &str| {
        number += 1;
        let url =
            format!("postgresql://aivonx@{host}:{port}/aivonx?sslmode=verify-full&sslrootcert={}", path(ca));
        let cluster = format!("[cluster]\npostgres = \"{url}\"\npassword_file = \"{password}\"\n");
        let file = configured(&folder.path().join(number.to_string()), &cluster);
        let why = refused(&["migrate", "--check", "--config", &file]).await;
        assert!(!why.contains("herons") && !why.contains("another"), "{why}");
        why
    };
    // Nothing but the tables is missing.
    let why = asked("localhost", "ca/ca.pem", &good).await;
    assert!(why.contains("the tables are not there"), "{why}");
    let why = asked("localhost", "ca/ca.pem", &wrong).await;
    assert!(why.contains("password authentication failed"), "{why}");
    let why = asked("127.0.0.1", "ca/ca.pem", &good).await;
    assert!(why.contains("certificate"), "another name than the certificate's: {why}");
    let why = asked("localhost", "other/ca.pem", &good).await;
    assert!(why.contains("certificate"), "another authority: {why}");
    fs::set_permissions(&good, fs::Permissions::from_mode(0o644)).unwrap();
    let why = asked("localhost", "ca/ca.pem", &good).await;
    assert!(why.contains("chmod 0600"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_moved_there_and_back() {
    let Some(server) = PostgresServer::start() else { return };
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("at");
    fs::create_dir(&at).unwrap();
    let cluster = format!("[cluster]\npostgres = \"{}\"\n", server.url("aivonx"));
    let file = at.join("aivonxd.toml").display().to_string();
    let mut daemon = Daemon::builder().folder(&at).config("").node(&node).start().await;
    add_some(&daemon).await;
    let before = seen(&daemon).await;
    assert!(daemon.stop().await.success());

    let why = refused(&["move", "--from", "sled", "--to", "postgres", "--config", &file]).await;
    assert!(why.contains("under [cluster]"), "{why}");
    let with = format!("{}\n{cluster}", fs::read_to_string(&file).unwrap());
    fs::write(&file, &with).unwrap();
    done(&["migrate", "--apply", "--owner", "owner", "--config", &file]).await;
    let why = refused(&["run", "--config", &file]).await;
    assert!(why.contains("aivonxd move --from sled --to postgres"), "{why}");
    let moved = done(&["move", "--from", "sled", "--to", "postgres", "--config", &file]).await;
    assert!(moved.contains("each record compared") && moved.contains("keys 1"), "{moved}");
    daemon = Daemon::builder().folder(&at).config(&cluster).start().await;
    daemon.until_active(1).await;
    assert_eq!(seen(&daemon).await, before);
    daemon.ask(&chat()).await.expect(200);
    assert!(daemon.stop().await.success());

    fs::write(&file, &with).unwrap();
    done(&["move", "--from", "postgres", "--to", "sled", "--config", &file]).await;
    let why = refused(&["run", "--config", &file]).await;
    assert!(why.contains("are in its embedded store"), "{why}");
    daemon = Daemon::builder().folder(&at).config("").start().await;
    daemon.until_active(1).await;
    assert_eq!(seen(&daemon).await, before);
}
