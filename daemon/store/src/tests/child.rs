//! A store in a process of its own, which can be killed and may hang: this test binary, started again.

use std::{
    io::Read as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::*;

const ROLE: &str = "AIVONX_TEST_STORE_ROLE";
const DIR: &str = "AIVONX_TEST_STORE_DIR";

/// Starts this test binary as `role` on `dir`.
pub(super) fn start(role: &str, dir: &Path) -> Child {
    start_until(role, dir, None)
}

/// As [`start`], until after so many steps.
pub(super) fn start_until(role: &str, dir: &Path, end_at: Option<usize>) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::child::as_child", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(DIR, dir)
        .envs(end_at.map(|step| (END_AT, step.to_string())))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// What came of opening a store in a child.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The nodes found, as `name/revision`.
    Opened(Vec<String>),
    /// The error's text.
    Refused(String),
}

/// Opens `dir` in a child. Panics if that neither opens nor refuses within the deadline.
pub(super) fn try_open(dir: &Path) -> Outcome {
    let mut child = start("open", dir);
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        text
    });
    // Ten seconds is the promise; starting the process on a loaded machine is not part of it.
    let deadline = Instant::now() + Duration::from_secs(30);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("neither opened nor refused: {}", reader.join().unwrap());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let text = reader.join().unwrap();
    let answer = |tag: &str| text.split_once(tag).map(|(_, rest)| rest.trim().to_owned());
    if let Some(names) = answer("OPENED:") {
        return Outcome::Opened(names.split_whitespace().map(str::to_owned).collect());
    }
    Outcome::Refused(answer("REFUSED:").unwrap_or_else(|| panic!("no answer: {text}")))
}

/// Not a test: what the child does. Without the variables it does nothing.
#[test]
fn as_child() {
    let (Ok(role), Ok(dir)) = (std::env::var(ROLE), std::env::var(DIR)) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let dir = Path::new(&dir);
    runtime.block_on(async {
        match role.as_str() {
            "open" => match Store::open(dir, &options()).await {
                Ok(store) => {
                    let nodes = store.nodes().list().await.unwrap();
                    let shown: Vec<_> = nodes.iter().map(|n| format!("{}/{}", n.name, n.revision)).collect();
                    store.close().await.unwrap();
                    println!("OPENED:{}", shown.join(" "));
                }
                Err(e) => println!("REFUSED:{e}"),
            },
            "write" => super::kill::write_for_ever(dir).await,
            role if super::interrupted::ROLES.contains(&role) => super::interrupted::work(role, dir).await,
            other => panic!("unknown role {other}"),
        }
    });
    // A hung thread of the storage engine must not keep the process.
    std::process::exit(0);
}
