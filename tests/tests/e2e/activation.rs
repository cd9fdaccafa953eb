//! Sockets that systemd opens and keeps while the daemon is started anew.

use std::{
    net::TcpListener,
    os::{fd::OwnedFd, unix::net::UnixListener},
    process::Output,
};

use aivonx_tests::{
    fake::FakeNode,
    harness::{Client, Daemon, Request, binary},
};

fn list() -> Request {
    Request::get("/api/tags")
}

#[tokio::test]
async fn a_restart_refuses_nobody() {
    let node = FakeNode::ollama().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let daemon = || {
        Daemon::builder().folder(folder.path()).config("[proxy]\nthreads = 3\n").inherits(&socket).start_any()
    };
    let mut first = daemon().await;
    assert_eq!(first.address(), address);
    first.aivonx().ok(&["node", "add", "gpu1", &node.url()]).await;
    first.until_active(1).await;
    // Every thread serves the one socket, and none waits for another.
    let mut clients = Vec::new();
    for _ in 0..24 {
        let mut client = first.client().await;
        client.send(&list()).await;
        clients.push(client);
    }
    for mut client in clients {
        let head = client.head().await;
        client.rest(head).await.expect(200);
    }
    assert!(first.stop().await.success());

    // Nobody is there, and nobody is refused.
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let mut client = Client::connect(address).await;
        client.send(&list()).await;
        waiting.push(client);
    }
    let second = daemon().await;
    for mut client in waiting {
        let head = client.head().await;
        client.rest(head).await.expect(200);
    }
    second.until_active(1).await;
}

/// Runs the daemon with `passed` and a configuration that listens at `listen`, to its end.
async fn refused(passed: OwnedFd, listen: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let (file, dir) = (folder.path().join("aivonxd.toml"), folder.path().display());
    let config = format!(
        "data_dir = \"{dir}/data\"\n[[listen]]\naddress = \"{listen}\"\n[control]\nsocket = \"{dir}/control.sock\"\n\
         group = \"\"\n"
    );
    std::fs::write(&file, config).unwrap();
    let ran = tokio::process::Command::new("sh")
        .args(["-c", "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" run --config \"$1\""])
        .arg(binary("aivonxd"))
        .arg(file)
        .stdin(passed)
        .kill_on_drop(true)
        .output();
    aivonx_tests::within("the daemon's end", ran).await.unwrap()
}

#[tokio::test]
async fn a_socket_that_is_not_configured_is_a_clear_error() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let unix = UnixListener::bind(folder.path().join("s")).unwrap();
    let cases: [(OwnedFd, &[&str]); 2] = [
        (socket.into(), &[&address, "127.0.0.1:0", "systemctl edit aivonxd.socket", "disable --now"]),
        (unix.into(), &["only TCP addresses", "ListenStream="]),
    ];
    for (passed, parts) in cases {
        let output = refused(passed, "127.0.0.1:0").await;
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[tokio::test]
async fn sockets_meant_for_another_process_are_left_alone() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let daemon = Daemon::builder().env("LISTEN_PID", "1").env("LISTEN_FDS", "1").start_any().await;
    assert_ne!(daemon.address(), socket.local_addr().unwrap());
    daemon.get("/health").await.expect(200);
}

#[tokio::test]
async fn the_master_key_may_be_a_credential() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let credentials = folder.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    let key = credentials.join("aivonx-master-key");
    let made = tokio::process::Command::new(binary("aivonx"))
        .args(["secrets", "generate-key", "--out"])
        .arg(&key)
        .output()
        .await
        .unwrap();
    assert!(made.status.success());
    // With an access list for the daemon's user, the mask shows as the group's rights.
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o440)).unwrap();
    let daemon = Daemon::builder()
        .folder(folder.path())
        .config("")
        .env("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap())
        .start_any()
        .await;
    assert!(!daemon.data().join("master.key").exists(), "no other key was made");
    let checks = daemon.aivonx().json(&["secrets", "validate"]).await;
    assert!(!checks.to_string().contains("fail"), "{checks}");
    assert!(checks.to_string().contains("aivonx-master-key"), "{checks}");
}

/// Waits until a notification to systemd, which is us, contains `part`.
async fn told(socket: &tokio::net::UnixDatagram, part: &str) -> String {
    let mut buffer = vec![0; 4096];
    aivonx_tests::within(part, async {
        loop {
            let length = socket.recv(&mut buffer).await.unwrap();
            let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if message.lines().any(|line| line.starts_with(part)) {
                return message;
            }
        }
    })
    .await
}

#[tokio::test]
async fn systemd_is_told_of_every_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let systemd = tokio::net::UnixDatagram::bind(&path).unwrap();
    let mut daemon = Daemon::builder()
        .folder(folder.path())
        .config("")
        .env("NOTIFY_SOCKET", path.to_str().unwrap())
        // Half of it is four ticks of the data plane's threads.
        .env("WATCHDOG_USEC", "2000000")
        .start_any()
        .await;
    // More time is asked for before the store is opened.
    told(&systemd, "EXTEND_TIMEOUT_USEC=").await;
    let ready = told(&systemd, "READY=1").await;
    assert!(ready.contains(&format!("STATUS=serving on {}", daemon.address())), "{ready}");
    told(&systemd, "WATCHDOG=1").await;
    daemon.signal(rustix::process::Signal::HUP);
    let reloading = told(&systemd, "RELOADING=1").await;
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    told(&systemd, "READY=1").await;
    told(&systemd, "WATCHDOG=1").await;
    daemon.signal(rustix::process::Signal::TERM);
    told(&systemd, "STOPPING=1").await;
    told(&systemd, "EXTEND_TIMEOUT_USEC=").await;
    assert!(daemon.ended().await.success());
}
