//! Logging in, locking the screen, and the end of a session.

use aivonx_tests::{
    fake::FakeNode,
    harness::{ADMIN, ADMIN_PASSWORD, Daemon},
};

use super::{console, console_at, ends_well};

#[tokio::test]
async fn a_locked_screen_opens_with_the_password() {
    let daemon = Daemon::builder().config("").start_any().await;
    let home = tempfile::tempdir().unwrap();
    let mut console = console_at(&daemon, home.path(), &[]);
    console.until(&["Log in", "Password"]).await;
    console.keys(&format!("{ADMIN}\r{ADMIN_PASSWORD}\r"));
    console.until(&["harness (superadmin)", "gateway", "? help"]).await;
    console.keys(":lock\r");
    console.until(&["Locked", "Logged in as harness"]).await;
    for hidden in ["gateway", "1 Overview", "superadmin"] {
        assert!(!console.shown().contains(hidden), "{}", console.shown());
    }
    // Keys of the screen behind do nothing, and are no password.
    console.keys("2q\r");
    console.until(&["! "]).await;
    assert!(!console.shown().contains("Nodes"), "{}", console.shown());
    console.keys(&format!("{ADMIN_PASSWORD}\r"));
    console.until(&["[1 Overview]", "gateway", "? help"]).await;
    // A console that was locked when it was left does not open unlocked.
    console.keys("\x0b");
    console.until(&["Locked"]).await;
    console.keys("\x03");
    ends_well(console).await;
    let mut console = console_at(&daemon, home.path(), &[]);
    console.until(&["Log in", "not logged in"]).await;
    console.keys("\x03");
    ends_well(console).await;
}

#[tokio::test]
async fn a_screen_that_nobody_touches_locks_itself() {
    let daemon = Daemon::builder().config("").start_any().await;
    let home = tempfile::tempdir().unwrap();
    let mut console = console_at(&daemon, home.path(), &["--lock-after", "1s"]);
    console.until(&["Log in", "Password"]).await;
    console.keys(&format!("{ADMIN}\r{ADMIN_PASSWORD}\r"));
    console.until(&["Locked", "Logged in as harness"]).await;
    console.keys("\x03");
    ends_well(console).await;
}

#[tokio::test]
async fn without_a_login_there_is_no_lock_and_it_says_why() {
    let daemon = Daemon::builder().start_any().await;
    let mut console = console(&daemon, 80, 24);
    console.until(&["superadmin", "? help"]).await;
    console.keys(":lock\r");
    console.until(&["no lock: you are here by your uid, so there is no password to open it with"]).await;
    console.keys("q");
    ends_well(console).await;
}

#[tokio::test]
async fn a_session_that_ends_leads_to_the_login_and_back() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::run(&[&node], "").await;
    let home = tempfile::tempdir().unwrap();
    let mut console = console_at(&daemon, home.path(), &[]);
    console.until(&["Log in", "Password"]).await;
    console.keys(&format!("{ADMIN}\r{ADMIN_PASSWORD}\r"));
    console.until(&["harness (superadmin)", "? help"]).await;
    console.keys("2");
    console.until(&["[2 Nodes]", "n0", "e edit"]).await;
    daemon.aivonx().ok(&["user", "logout", ADMIN]).await;
    console.until(&["Log in", "not logged in"]).await;
    console.keys(&format!("{ADMIN_PASSWORD}\r"));
    console.until(&["harness (superadmin)", "[2 Nodes]", "n0", "e edit"]).await;
    console.keys("q");
    ends_well(console).await;
}
