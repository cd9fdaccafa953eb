//! From a gateway that knows nobody to a chat that streams, with keys alone.

use aivonx_tests::{
    fake::{FakeNode, Kind},
    harness::{Daemon, Request},
};

use super::{console_at, ends_well, typed_secret, words};
use crate::otp::otp;

const PASSWORD: &str = "marked-kettle-orbit-ninety";

/// A `curl` line as it stands on the screen, broken at blanks: where it goes to, the credential, the body.
fn curl(shown: &str) -> (String, String, String, String) {
    let lines: Vec<&str> = shown.lines().map(|line| line.trim_matches(['│', ' '])).collect();
    let from = lines.iter().position(|line| line.starts_with("curl ")).expect("a line to try");
    let to = lines[from..].iter().position(|line| line.is_empty()).expect("its end") + from;
    let line = lines[from..to].join(" ");
    let form = r"^curl -N http://([^/ ]+)(/\S+) -H 'Authorization: (\S+ \S+)' -d '(.+)'$";
    let parts = regex::Regex::new(form).unwrap().captures(&line).unwrap_or_else(|| panic!("{line}"));
    (parts[1].to_owned(), parts[2].to_owned(), parts[3].to_owned(), parts[4].to_owned())
}

#[tokio::test]
async fn it_leads_from_nobody_to_a_chat_that_streams() {
    let node = FakeNode::start(Kind::Ollama, &[]).await;
    let builder = Daemon::builder().config("").access("").mode("required").not_set_up();
    let daemon = builder.start_any().await;
    let home = tempfile::tempdir().unwrap();
    let mut console = console_at(&daemon, home.path(), &[]);
    // The form stands there by itself, and its name is good as it is.
    console.until(&["Set up the gateway", "Once more"]).await;
    console.keys(&format!("{PASSWORD}\r{PASSWORD}\x13"));
    console.until(&["2. Type the code"]).await;
    let secret = typed_secret(&console);
    console.keys(&format!("{}\r", otp(&secret, 0)));
    console.until(&["Your backup codes", "esc  close"]).await;
    let form = regex::Regex::new("^([a-z0-9]{4}-)+[a-z0-9]{4}$").unwrap();
    assert_eq!(words(&console, |word| form.is_match(word)).len(), 10, "{}", console.shown());
    console.keys("c");
    console.leave("Your backup codes").await;
    console.until(&["admin (superadmin)", "Add a node: a server", "enter  does it"]).await;
    console.keys("\r");
    console.until(&["Name", "ctrl-s send"]).await;
    console.keys(&format!("gpu1\t{}\x13", node.url()));
    console.until(&["[2 Nodes]", "e edit", "gpu1", "active"]).await;
    console.keys("1");
    console.until(&["Have the nodes pull a model", "enter  does it"]).await;
    console.keys("\r");
    console.until(&["Pull a model", "ctrl-s send"]).await;
    console.keys("m:latest\x13");
    console.until(&["[3 Models]", "? help"]).await;
    console.keys("1");
    console.until(&["Make a key: what clients", "enter  does it"]).await;
    console.keys("\r");
    console.until(&["Its secret is shown once", "ctrl-s send"]).await;
    console.keys("ci\x13");
    console.until(&["The secret of key ci", "esc  close"]).await;
    let (address, path, credential, body) = curl(&console.shown());
    let key = words(&console, |word| word.starts_with("aivx_")).remove(0);
    assert_eq!((&address, &credential), (&daemon.address().to_string(), &format!("Bearer {key}")));

    // As curl sends it: what it says of the body is not true, and does not matter.
    let request = Request::new("POST", &path).body(body);
    let request = request.field("Content-Type", "application/x-www-form-urlencoded");
    node.gate();
    let mut client = daemon.client().await;
    client.send(&request.field("Authorization", &credential)).await;
    node.release(1);
    let head = client.head().await;
    assert_eq!(head.status(), 200);
    // It streams: there is a first piece while the node has not gone on.
    let piece = client.piece().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&piece).contains("\"done\":false"), "{piece:?}");
    node.open_gate();
    let answer = client.rest(head).await;
    assert_eq!(answer.lines().pop().unwrap()["done"], true);

    console.leave("This is the only time").await;
    console.until(&["[5 Access]", "ci", "valid", "? help"]).await;
    console.keys("q");
    ends_well(console).await;
}
