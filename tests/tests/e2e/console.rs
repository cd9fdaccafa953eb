//! The console, at a terminal, with the real daemon.

use aivonx_tests::{
    fake::FakeNode,
    harness::{Console, Daemon},
};
use rustix::process::Signal;

fn console(daemon: &Daemon, columns: u16, rows: u16) -> Console {
    Console::start(daemon.aivonx().command(&[]), columns, rows)
}

#[tokio::test]
async fn a_node_is_added_seen_and_removed() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::builder().node_url("http://127.0.0.1:1").start_any().await;
    let mut console = console(&daemon, 80, 24);
    console.until(&["1 Overview", "superadmin", "1 standby"]).await;
    console.keys("2");
    console.until(&["[2 Nodes]", "node1"]).await;
    console.keys("a");
    console.until(&["Add a node"]).await;
    console.keys("fake\t");
    console.keys(&node.url());
    // ctrl-s sends.
    console.keys("\x13");
    // Its line may come before the form goes: keys are the list's once its own are offered.
    console.until(&["Nodes 2", "active", "e edit", &node.url()]).await;
    console.keys("?");
    console.until(&["let it finish what it has"]).await;
    console.keys("\x1b");
    console.until(&["Nodes 2", "e edit"]).await;
    console.keys("/fake\r");
    console.until(&["Nodes 1 of 2"]).await;
    console.keys("d");
    console.until(&["draining"]).await;
    // ctrl-d removes, after a question.
    console.keys("\x04");
    console.until(&["Remove node fake?"]).await;
    console.keys("y");
    console.until(&["fake is removed"]).await;
    console.keys("q");
    let (status, restored) = console.end().await;
    assert!(status.success() && restored, "{status:?} {restored}");
    let names = daemon.aivonx().json(&["node", "list"]).await;
    assert_eq!(names.as_array().map(Vec::len), Some(1), "{names}");
}

#[tokio::test]
async fn every_screen_shows_something() {
    let daemon = Daemon::builder().start_any().await;
    let mut console = console(&daemon, 120, 40);
    for (key, shown) in [
        ("3", "There is no model"),
        ("4", "Nothing goes on"),
        ("5", "There is no organization"),
        ("7", "Log, following"),
        ("8", "chain_start"),
        ("0", "nobody is locked out"),
        ("1", "gateway"),
    ] {
        console.keys(key);
        console.until(&[&format!("[{key} "), shown]).await;
    }
    // However fast the size changes, the last one is drawn.
    for columns in 61..100 {
        console.resize(columns, 20);
    }
    console.resize(60, 15);
    console.until(&["[1 Overview]", "quit"]).await;
    console.keys(":q\r");
    let (status, restored) = console.end().await;
    assert!(status.success() && restored, "{status:?} {restored}");
}

#[tokio::test]
async fn a_signal_restores_the_terminal() {
    let daemon = Daemon::builder().start_any().await;
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut console = console(&daemon, 80, 24);
        console.until(&["superadmin"]).await;
        console.signal(signal);
        let (status, restored) = console.end().await;
        assert!(status.success() && restored, "{signal:?}: {status:?} {restored}");
    }
}

#[tokio::test]
async fn a_daemon_that_restarts_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let builder = || Daemon::builder().folder(folder.path()).node_url("http://127.0.0.1:1");
    let mut daemon = builder().start_any().await;
    let mut console = console(&daemon, 80, 24);
    console.keys("2");
    console.until(&["[2 Nodes]", "node1"]).await;
    daemon.kill().await;
    console.until(&["No connection", "node1"]).await;
    // Leaving works without a daemon, and so does the rest that needs none.
    console.keys("?");
    console.until(&["Keys"]).await;
    console.keys("\x1b");
    let daemon = builder().start_any().await;
    console.until(&["connected again", "node1", "superadmin"]).await;
    assert!(!console.shown().contains("No connection"), "{}", console.shown());
    console.keys("q");
    let (status, restored) = console.end().await;
    assert!(status.success() && restored, "{status:?} {restored}");
    drop(daemon);
}

#[tokio::test]
async fn without_a_daemon_it_waits_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = aivonx_tests::harness::Aivonx::new(&folder.path().join("control.sock")).command(&[]);
    command.arg("--ascii");
    let mut console = Console::start(command, 80, 24);
    console.until(&["No connection", "no daemon is reachable"]).await;
    console.keys("q");
    let (status, restored) = console.end().await;
    assert!(status.success() && restored, "{status:?} {restored}");
}
