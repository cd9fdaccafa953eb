//! What becomes of the terminal, and of the console while there is no daemon.

use aivonx_tests::harness::{Aivonx, Console, Daemon};
use rustix::process::Signal;

use super::{console, ends_well};

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
    console.leave("let it finish what it has").await;
    let daemon = builder().start_any().await;
    console.until(&["connected again", "node1", "superadmin"]).await;
    assert!(!console.shown().contains("No connection"), "{}", console.shown());
    console.keys("q");
    ends_well(console).await;
    drop(daemon);
}

#[tokio::test]
async fn without_a_daemon_it_waits_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Aivonx::new(&folder.path().join("control.sock")).command(&[]);
    command.arg("--ascii");
    let mut console = Console::start(command, 80, 24);
    console.until(&["No connection", "no daemon is reachable"]).await;
    console.keys("q");
    ends_well(console).await;
}

#[tokio::test]
async fn a_storm_of_sizes_leaves_a_form_as_it_was() {
    let daemon = Daemon::builder().start_any().await;
    let mut console = console(&daemon, 80, 24);
    console.until(&["superadmin", "? help"]).await;
    console.keys("2");
    console.until(&["[2 Nodes]", "a add"]).await;
    console.keys("a");
    console.until(&["Add a node", "ctrl-s send"]).await;
    for (at, c) in "gpu-of-the-storm".chars().enumerate() {
        let at = u16::try_from(at).unwrap();
        console.resize(1 + at * 13 % 200, 1 + at * 7 % 60);
        console.keys(&c.to_string());
        console.resize(200 - at * 5, 3);
    }
    console.resize(80, 24);
    console.until(&["Add a node", "gpu-of-the-storm", "ctrl-s send"]).await;
    // A signal restores the terminal with a form open, too.
    console.signal(Signal::TERM);
    ends_well(console).await;
}
