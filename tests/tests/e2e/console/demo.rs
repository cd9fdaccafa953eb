//! `aivonx demo`: something to see at once, and nothing left behind.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use aivonx_protocol::{client::Client, daemon, node};
use aivonx_tests::{
    harness::{Aivonx, Console},
    within,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A demo that has a place for temporary files, and one for a user's own, to itself.
struct Stage {
    temporary: TempDir,
    own: TempDir,
}

impl Stage {
    fn new() -> Self {
        Self { temporary: tempfile::tempdir().unwrap(), own: tempfile::tempdir().unwrap() }
    }

    fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut all = vec!["demo"];
        all.extend(arguments);
        // A socket and a token of the user's own are none of its business.
        let mut command = Aivonx::new(Path::new("/nonexistent/control.sock")).token("avx_none").command(&all);
        command.env("TMPDIR", self.temporary.path());
        for name in ["HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"] {
            command.env(name, self.own.path());
        }
        command
    }

    fn console(&self, arguments: &[&str]) -> Console {
        Console::start(self.command(arguments), 80, 24)
    }

    /// The directory of the demo.
    fn folder(&self) -> PathBuf {
        let mut all = fs::read_dir(self.temporary.path()).unwrap();
        all.next().expect("a directory").unwrap().path()
    }

    /// Its daemon.
    fn daemon(&self) -> Option<Pid> {
        let name = self.temporary.path().to_str().unwrap();
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let mut ours = processes.filter(|process| {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            line.contains(name) && line.contains("--until-eof")
        });
        let pid = ours.next()?.file_name().to_str()?.parse().ok()?;
        Pid::from_raw(pid)
    }

    async fn until_no_daemon(&self) {
        within("the daemon's end", async {
            while self.daemon().is_some() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }

    fn assert_clean(&self) {
        assert_eq!(self.daemon(), None, "no process");
        for folder in [&self.temporary, &self.own] {
            let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }
}

#[tokio::test]
async fn it_moves_shows_every_screen_and_leaves_nothing_behind() {
    let stage = Stage::new();
    let mut console = stage.console(&[]);
    console.until(&["demo", "curl http://127.0.0.1:", "superadmin", "[1 Overview]"]).await;
    let socket = stage.folder().join("data/control.sock");
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(fs::metadata(stage.folder()).unwrap().permissions().mode() & 0o7777, 0o700);
    // It moves by itself: nobody has asked anything.
    let client = Client::connect(&socket, "tests").await.unwrap();
    within("traffic", async {
        while client.ask(daemon::GetStatus).await.unwrap().requests_total < 5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert!(client.ask(node::List).await.unwrap().iter().all(|node| node.simulated));
    drop(client);
    let tabs = console.shown().lines().nth(1).unwrap_or_default().to_owned();
    let digits: Vec<char> = "234567890".chars().filter(|digit| tabs.contains(*digit)).collect();
    assert!(digits.len() >= 8, "{tabs}");
    for digit in digits.into_iter().chain(['1']) {
        console.keys(&digit.to_string());
        console.until(&[&format!("[{digit} "), "demo"]).await;
    }
    console.keys("2");
    console.until(&["sim1", "sim2", "sim3"]).await;
    console.keys("q");
    super::ends_well(console).await;
    stage.assert_clean();
}

#[tokio::test]
async fn signals_end_it_as_q_does() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let stage = Stage::new();
        let mut console = stage.console(&["--nodes", "1", "--no-traffic"]);
        console.until(&["demo", "superadmin"]).await;
        console.signal(signal);
        super::ends_well(console).await;
        stage.assert_clean();
    }
}

#[tokio::test]
async fn its_gateway_ends_with_it_even_if_it_is_killed() {
    let stage = Stage::new();
    let mut console = stage.console(&["--nodes", "2"]);
    console.until(&["demo", "superadmin"]).await;
    assert!(stage.daemon().is_some());
    let left = stage.folder();
    console.signal(Signal::KILL);
    stage.until_no_daemon().await;
    drop(console);
    // What it could not remove, the next one does.
    assert!(left.exists());
    let mut next = stage.console(&["--nodes", "1", "--no-traffic"]);
    next.until(&["demo", "superadmin"]).await;
    assert!(!left.exists());
    next.keys("q");
    super::ends_well(next).await;
    stage.assert_clean();
}

#[tokio::test]
async fn a_gateway_that_dies_ends_it_and_says_so() {
    let stage = Stage::new();
    let mut console = stage.console(&["--nodes", "1", "--no-traffic"]);
    console.until(&["demo", "superadmin"]).await;
    kill_process(stage.daemon().expect("a daemon"), Signal::KILL).unwrap();
    console.until(&["the gateway of the demo has ended", "last words", "the gateway serves"]).await;
    let (status, restored) = console.end().await;
    assert!(status.code() == Some(1) && restored, "{status:?} {restored}");
    stage.assert_clean();
}

#[tokio::test]
async fn without_a_terminal_it_says_what_to_do() {
    let stage = Stage::new();
    let ran = stage.command(&[]).output().await.unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(said.contains("needs a terminal") && said.contains("aivonxd dev --simulate"), "{said}");
    stage.assert_clean();
}

#[tokio::test]
async fn a_gateway_that_does_not_start_is_told_with_its_last_words() {
    let stage = Stage::new();
    // Too long for the address of a socket.
    let deep = stage.temporary.path().join("d".repeat(120));
    fs::create_dir(&deep).unwrap();
    let mut command = stage.command(&[]);
    command.env("TMPDIR", &deep);
    let mut console = Console::start(command, 120, 24);
    console.until(&["the gateway of the demo has ended", "last words"]).await;
    let (status, restored) = console.end().await;
    assert!(status.code() == Some(1) && restored, "{status:?} {restored}");
    assert_eq!(fs::read_dir(&deep).unwrap().count(), 0);
}
