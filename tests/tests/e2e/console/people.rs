//! Users and keys.

use aivonx_protocol::key::{self, KeyScope};
use aivonx_tests::{
    fake::FakeNode,
    harness::{Daemon, Request, new_key},
    within,
};
use serde_json::json;

use super::{console, console_at, ends_well, typed_secret, words};
use crate::otp::otp;

const PASSWORD: &str = "marked-walnut-harbour-moth";

#[tokio::test]
async fn a_user_is_added_and_logs_in_with_two_factors() {
    let daemon = Daemon::builder().config("").start_any().await;
    let mut admin = console(&daemon, 80, 24);
    admin.until(&["harness (superadmin)"]).await;
    admin.keys(":users\r");
    admin.until(&["[Users]", "harness"]).await;
    admin.keys("a");
    admin.until(&["Add a user", "ctrl-s send"]).await;
    // The letter chooses the role.
    admin.keys("alice\ta");
    admin.until(&["alice", "< auditor >"]).await;
    admin.keys("\x13");
    admin.until(&["A code for alice", "esc  close"]).await;
    let form = regex::Regex::new("^([a-z0-9]{4}-)+[a-z0-9]{4}$").unwrap();
    let code = words(&admin, |word| form.is_match(word)).remove(0);
    admin.leave(&code).await;
    admin.until(&["alice", "auditor", "e edit"]).await;

    let home = tempfile::tempdir().unwrap();
    let mut alice = console_at(&daemon, home.path(), &[]);
    alice.until(&["Log in", "Password"]).await;
    alice.keys(&format!("alice\r{code}\r"));
    // With the code a new password has to be set, and here a second factor, too.
    alice.until(&["Set your password", "Once more"]).await;
    alice.keys(&format!("{PASSWORD}\r{PASSWORD}\r"));
    alice.until(&["2. Type the code"]).await;
    let secret = typed_secret(&alice);
    alice.keys("000000\r");
    alice.until(&["! "]).await;
    alice.keys(&format!("{}\r", otp(&secret, 0)));
    alice.until(&["Your backup codes", "esc  close"]).await;
    alice.leave("Your backup codes").await;
    alice.until(&["alice (auditor)", "? help"]).await;
    alice.keys(":logout\r");
    alice.until(&["not logged in", "Password"]).await;
    alice.keys(&format!("alice\r{PASSWORD}\r"));
    alice.until(&["six digits of the authenticator"]).await;
    alice.keys(&format!("{}\r", otp(&secret, 1)));
    alice.until(&["alice (auditor)", "? help"]).await;
    alice.keys("q");
    ends_well(alice).await;
    admin.keys("r");
    admin.until(&["alice", "enabled       on"]).await;
    admin.keys("q");
    ends_well(admin).await;
}

#[tokio::test]
async fn a_key_that_is_revoked_ends_its_stream() {
    let node = FakeNode::ollama().await;
    let daemon = Daemon::builder().node(&node).arg("--access").arg("required").start().await;
    let new = new_key("ci", None, &[KeyScope::Infer]);
    let key = daemon.control().await.ask(key::Create(Box::new(new))).await.unwrap();
    node.gate();
    let mut client = daemon.client().await;
    let messages = json!([{"role": "user", "content": "hi"}]);
    let request = Request::json("/api/chat", &json!({"model": "m", "messages": messages}));
    client.send(&request.field("Authorization", &format!("Bearer {}", key.secret.expose()))).await;
    node.release(1);
    let head = client.head().await;
    client.piece().await.unwrap().unwrap();

    let mut console = console(&daemon, 80, 24);
    console.until(&["superadmin"]).await;
    console.keys(":keys\r");
    console.until(&["[Keys]", "ci", "valid"]).await;
    console.keys("\x04");
    console.until(&["Revoke key ci?", "It ends 1 running request: 1 being answered now."]).await;
    // Not what the key is called: nothing is done.
    console.keys("c\r");
    console.keys("i\r");
    console.until(&["revoked"]).await;
    let answer = within("the end of the stream", client.rest(head)).await;
    assert_eq!(answer.lines().pop().unwrap()["error"], "the credential was revoked");
    console.keys("q");
    ends_well(console).await;
    node.open_gate();
}
