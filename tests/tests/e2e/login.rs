//! Who is at the control socket, and how they get in: set-up, login, lockout, sessions.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use aivonx_protocol::{
    ClientError, FaultKind, WireSecret, account,
    log::{self, LogFilter},
    token,
    user::{self, Role},
};
use aivonx_tests::{
    harness::{ADMIN, ADMIN_PASSWORD, Aivonx, Builder, Daemon, Ran, new_user},
    within,
};

const PASSWORD: &str = "kettle-orbit-ninety-fjord";
const OPTIONAL: &str = "two_factor = \"optional\"";

/// A directory that stays as long as the test.
fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("aivonx-login-").tempdir().unwrap()
}

fn in_folder(folder: &Path) -> Builder {
    Daemon::builder().config("").access(OPTIONAL).folder(folder)
}

/// A file with a password, as `--password-file` wants it.
fn password_file(folder: &Path, name: &str, password: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, format!("{password}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

async fn login(aivonx: &Aivonx, user: &str, file: &Path) -> Ran {
    aivonx.run(&["login", "--username", user, "--password-file", file.to_str().unwrap()]).await
}

/// An auditor called alice, added by the administrator.
async fn add_alice(daemon: &Daemon) {
    let new = new_user("alice", Role::Auditor, None, Some(PASSWORD));
    daemon.control().await.ask(user::Add(Box::new(new))).await.expect("a user");
}

/// Alice, who is added and logs in with a home of her own, and the file with her password.
async fn logged_in(daemon: &Daemon, folder: &Path) -> (Aivonx, PathBuf) {
    add_alice(daemon).await;
    let home = folder.join("home");
    std::fs::create_dir(&home).unwrap();
    let file = password_file(folder, "password", PASSWORD);
    let alice = daemon.aivonx().home(&home);
    assert_eq!(login(&alice, "alice", &file).await.code, 0);
    (alice, file)
}

#[tokio::test]
async fn run_is_set_up_once_and_then_everyone_logs_in() {
    let folder = folder();
    let daemon = in_folder(folder.path()).not_set_up().start_any().await;
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let aivonx = daemon.aivonx().home(&home);
    let file = password_file(folder.path(), "password", PASSWORD);
    let file = file.to_str().unwrap();

    // Nothing but health, over HTTP and over the socket.
    assert_eq!(daemon.get("/health").await.status, 200);
    assert_ne!(daemon.get("/api/tags").await.status, 200);
    let status = aivonx.json(&["status"]).await;
    assert_eq!((&status["set_up"], &status["data_dir"]), (&false.into(), &"".into()));
    assert!(!status.to_string().contains("127.0.0.1"), "a stranger is told where it listens: {status}");
    let refused = aivonx.run(&["node", "list"]).await;
    assert!(refused.code != 0 && refused.stderr.contains("setup"), "{refused:?}");
    assert_ne!(login(&aivonx, "root", Path::new(file)).await.code, 0);

    let arguments = ["setup", "--username", "root", "--password-file", file, "--no-totp"];
    aivonx.ok(&arguments).await;
    assert_eq!(daemon.get("/api/tags").await.status, 200);
    aivonx.ok(&["node", "list"]).await;
    let again = aivonx.run(&arguments).await;
    assert!(again.code != 0 && again.stderr.contains("set up"), "{again:?}");

    aivonx.ok(&["logout"]).await;
    let refused = aivonx.run(&["node", "list"]).await;
    assert!(refused.code != 0 && refused.stderr.contains("aivonx login"), "{refused:?}");
    assert_eq!(login(&aivonx, "root", Path::new(file)).await.code, 0);
    assert_eq!(aivonx.json(&["whoami"]).await["user"], "root");
    aivonx.ok(&["node", "list"]).await;
}

#[tokio::test]
async fn five_failures_lock_a_restart_keeps_it_and_an_administrator_lifts_it() {
    let folder = folder();
    let mut daemon = in_folder(folder.path()).start_any().await;
    add_alice(&daemon).await;
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let right = password_file(folder.path(), "right", PASSWORD);
    let wrong = password_file(folder.path(), "wrong", "lantern-orbit-eleven-creek");
    let alice = daemon.aivonx().home(&home);
    let mut said = Vec::new();
    for _ in 0..5 {
        let refused = login(&alice, "alice", &wrong).await;
        assert_ne!(refused.code, 0);
        said.push(refused.stderr);
    }
    // An unknown user gets the same answer.
    let nobody = login(&alice, "nobody", &wrong).await;
    assert_eq!(nobody.stderr, said[0], "who exists can be told");
    let locked = login(&alice, "alice", &right).await;
    assert!(locked.code != 0 && locked.stderr.contains("too many"), "{locked:?}");

    assert!(daemon.stop().await.success());
    let daemon = in_folder(folder.path()).start_any().await;
    let alice = daemon.aivonx().home(&home);
    assert_ne!(login(&alice, "alice", &right).await.code, 0, "a restart lifted the lock");
    let list = daemon.aivonx().json(&["lockout", "list"]).await;
    assert_eq!((&list[0]["user"], &list[0]["failures"]), (&"alice".into(), &5.into()), "{list}");
    daemon.aivonx().ok(&["lockout", "clear", "alice"]).await;
    assert_eq!(login(&alice, "alice", &right).await.code, 0);

    let log = daemon.aivonx().ok(&["audit", "list", "-n", "200"]).await;
    for action in ["login_failed", "lockout", "lockout_cleared", "setup", "create"] {
        assert!(log.contains(action), "{action} is not recorded:\n{log}");
    }
    for place in [log, daemon.stderr().text()] {
        assert!(!place.contains(PASSWORD) && !place.contains(ADMIN_PASSWORD), "a password was written down");
    }
}

#[tokio::test]
async fn a_session_survives_a_restart_and_ends_with_its_user() {
    let folder = folder();
    let mut daemon = in_folder(folder.path()).start_any().await;
    add_alice(&daemon).await;
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let file = password_file(folder.path(), "password", PASSWORD);
    assert_eq!(login(&daemon.aivonx().home(&home), "alice", &file).await.code, 0);
    assert!(daemon.stop().await.success());
    let daemon = in_folder(folder.path()).start_any().await;
    let alice = daemon.aivonx().home(&home);
    assert_eq!(alice.json(&["whoami"]).await["user"], "alice");
    alice.ok(&["node", "list"]).await;
    let refused = alice.run(&["node", "add", "n1", "http://127.0.0.1:1"]).await;
    assert!(refused.code != 0 && refused.stderr.contains("auditor"), "{refused:?}");

    // What she follows ends with her.
    let client = daemon.control_as_stranger().await;
    client
        .ask(account::Login {
            username: "alice".into(),
            password: WireSecret::new(PASSWORD.into()),
            otp: None,
        })
        .await
        .expect("a login");
    let mut events =
        client.follow(log::Follow { filter: LogFilter::default(), lines: 0 }).await.expect("a stream");
    daemon
        .control()
        .await
        .ask(user::SetEnabled { user: "alice".into(), revision: None, enabled: false })
        .await
        .expect("disabled");
    let end = within("the end of the stream", async {
        loop {
            match events.next().await {
                Some(Ok(_)) => {}
                other => break other,
            }
        }
    })
    .await;
    match end {
        Some(Err(ClientError::Fault(fault))) => assert_eq!(fault.kind, FaultKind::NotPermitted),
        other => panic!("{other:?}"),
    }
    assert_ne!(alice.run(&["node", "list"]).await.code, 0);
    assert_ne!(login(&alice, "alice", &file).await.code, 0, "a disabled user logged in");
}

#[tokio::test]
async fn who_must_enrol_can_do_nothing_else() {
    let folder = folder();
    let daemon = Daemon::builder().config("").folder(folder.path()).start_any().await;
    add_alice(&daemon).await;
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let alice = daemon.aivonx().home(&home);
    let file = password_file(folder.path(), "password", PASSWORD);
    assert_eq!(login(&alice, "alice", &file).await.code, 0);
    assert_eq!(alice.json(&["whoami"]).await["must_enrol"], true);
    let refused = alice.run(&["node", "list"]).await;
    assert!(refused.code != 0 && refused.stderr.contains("aivonx totp enable"), "{refused:?}");
}

#[tokio::test]
async fn a_session_is_its_uids_alone_and_a_token_is_not() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: no other user to try it as");
        return;
    }
    let daemon = Daemon::builder().config("").start_any().await;
    let control = daemon.control_as_stranger().await;
    let begun = control
        .ask(account::Login {
            username: ADMIN.to_owned(),
            password: WireSecret::new(ADMIN_PASSWORD.into()),
            otp: None,
        })
        .await
        .expect("a login");
    let token = control
        .ask(token::Create { name: "for-others".into(), role: None, lasts_ms: 60_000 })
        .await
        .expect("a token");
    // Let somebody else at the socket.
    std::fs::set_permissions(daemon.folder(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(daemon.socket(), std::fs::Permissions::from_mode(0o666)).unwrap();
    let as_nobody = async |secret: &WireSecret| {
        let aivonx = Aivonx::new(daemon.socket()).token(secret.expose());
        let mut command = aivonx.command(&["node", "list"]);
        command.uid(65534).gid(65534);
        within("aivonx", command.output()).await.expect("aivonx starts")
    };
    let refused = as_nobody(&begun.secret).await;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("another user"), "{said}");
    assert!(!said.contains(begun.secret.expose()));
    let allowed = as_nobody(&token.secret).await;
    assert!(allowed.status.success(), "{}", String::from_utf8_lossy(&allowed.stderr));
}

#[tokio::test]
async fn a_user_holds_a_share_of_the_control_socket_and_no_more() {
    let folder = folder();
    let daemon = in_folder(folder.path()).start_any().await;
    add_alice(&daemon).await;
    let mut held = Vec::new();
    let refused = loop {
        let alice = daemon.control_as_stranger().await;
        match alice
            .ask(account::Login {
                username: "alice".into(),
                password: WireSecret::new(PASSWORD.into()),
                otp: None,
            })
            .await
        {
            Ok(_) => held.push(alice),
            Err(error) => break error,
        }
    };
    assert_eq!(held.len(), 8, "{refused}");
    assert!(refused.to_string().contains("too many connections of alice"), "{refused}");
    // Connections without a login keep nobody out either, and ending her sessions frees her places.
    let mut strangers = Vec::new();
    for _ in 0..100 {
        strangers.push(daemon.control_as_stranger().await);
    }
    daemon.control().await.ask(user::Logout { user: "alice".into(), session: None }).await.unwrap();
    within("a place", async {
        loop {
            let alice = daemon.control_as_stranger().await;
            match alice
                .ask(account::Login {
                    username: "alice".into(),
                    password: WireSecret::new(PASSWORD.into()),
                    otp: None,
                })
                .await
            {
                Ok(_) => break,
                Err(ClientError::Fault(fault)) if fault.kind == FaultKind::Unavailable => {}
                Err(other) => panic!("{other}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_blocked_user_is_shut_off_until_the_block_ends() {
    let folder = folder();
    let daemon = in_folder(folder.path()).start_any().await;
    let (alice, file) = logged_in(&daemon, folder.path()).await;
    alice.ok(&["node", "list"]).await;
    // What an auditor may not is refused, although there is nothing to do.
    let refused = alice.run(&["incident", "reset-2fa", "--all", "--yes"]).await;
    assert!(refused.code == 4 && refused.stderr.contains("may not"), "{refused:?}");
    let mut follows = alice.start(&["logs", "--follow"], std::process::Stdio::piped());

    daemon.aivonx().ok(&["block", "add", "user:alice"]).await;
    assert!(!within("the end of what was followed", follows.wait()).await.unwrap().success());
    for _ in 0..2 {
        let refused = alice.run(&["node", "list"]).await;
        assert!(refused.code == 4 && refused.stderr.contains("you are blocked"), "{refused:?}");
        // Nor with a new session.
        let refused = login(&alice, "alice", &file).await;
        assert!(refused.code == 4 && refused.stderr.contains("you are blocked"), "{refused:?}");
    }
    let refused = alice.run(&["incident", "reset-2fa", "--all", "--yes"]).await;
    assert!(refused.code == 4 && refused.stderr.contains("you are blocked"), "{refused:?}");
    let own = daemon.aivonx().run(&["block", "add", &format!("user:{ADMIN}")]).await;
    assert!(own.code != 0 && own.stderr.contains("locked out"), "{own:?}");
    daemon.aivonx().ok(&["block", "remove", "user:alice"]).await;
    alice.ok(&["node", "list"]).await;
}

#[tokio::test]
async fn a_blocked_user_ends_a_session_for_good() {
    let folder = folder();
    let daemon = in_folder(folder.path()).start_any().await;
    let (alice, _) = logged_in(&daemon, folder.path()).await;
    daemon.aivonx().ok(&["block", "add", "user:alice"]).await;
    let said = alice.ok(&["logout"]).await;
    assert!(said.contains("Logged out."), "{said:?}");
    let left = daemon.control().await.ask(user::Sessions { user: "alice".into() }).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}
