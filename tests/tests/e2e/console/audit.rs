//! The audit log: verified, and written to a file.

use std::{fs, os::unix::fs::PermissionsExt as _};

use aivonx_tests::harness::Daemon;

use super::{console, ends_well};

#[tokio::test]
async fn a_copy_is_written_proven_and_replaced_only_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::builder().start_any().await;
    let mut console = console(&daemon, 100, 30);
    console.until(&["superadmin"]).await;
    console.keys("8");
    console.until(&["[8 Audit]", "chain_start", "v verify"]).await;
    console.keys("v");
    console.until(&["The audit log is intact."]).await;
    console.leave("The audit log is intact.").await;
    console.until(&["v verify"]).await;
    let file = folder.path().join("copy.jsonl");
    for round in 0..2 {
        console.keys("x");
        console.until(&["Export the audit log", "audit-20"]).await;
        // ctrl-u empties the line, ctrl-s sends.
        console.keys("\x15");
        console.keys(&file.display().to_string());
        console.keys("\x13");
        if round == 1 {
            console.until(&["It is there already"]).await;
            console.keys("y");
        }
        console.until(&["The audit log was exported", "to prove it"]).await;
        console.leave("to prove it").await;
        console.until(&["v verify"]).await;
        for path in [file.clone(), folder.path().join("copy.jsonl.sig")] {
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
        }
        let signature: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(folder.path().join("copy.jsonl.sig")).unwrap()).unwrap();
        let path = file.to_str().unwrap();
        let key = signature["signer"].as_str().unwrap();
        daemon.aivonx().ok(&["audit", "verify", "--file", path, "--public-key", key]).await;
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left");
    console.keys("q");
    ends_well(console).await;
}
