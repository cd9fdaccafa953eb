use std::{path::Path, sync::Arc};

use super::{
    super::{hub::Hub, journald},
    LONG, Rig, in_namespace,
};

/// A journald of the test's own, in a mount namespace of its own.
#[test]
fn a_real_journald_finds_events_by_field() {
    let before = "journald=/lib/systemd/systemd-journald
        [ -x $journald ] || journald=/usr/lib/systemd/systemd-journald
        [ -x $journald ] && command -v journalctl >/dev/null || { echo 'needs systemd-journald' >&2; exit 77; }
        mkdir -p /run/systemd/journal /run/log/journal
        mount -t tmpfs tmpfs /run/systemd/journal && mount -t tmpfs tmpfs /run/log/journal \\
            || { echo 'cannot mount tmpfs' >&2; exit 77; }
        $journald >&2 & J=$!
        trap 'kill $J; wait $J || true' EXIT
        for _ in $(seq 200); do [ -S /run/systemd/journal/socket ] && break; kill -0 $J || exit 77; sleep .1; done";
    let after = "journalctl --sync
        journalctl -D /run/log/journal -t aivonxd AIVONX_NODE=gpu1 -o json --no-pager --all";
    let Some(out) = in_namespace(before, "journald::inner_events", after) else { return };
    let events: Vec<serde_json::Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let shown: Vec<_> =
        events.iter().map(|e| (&e["PRIORITY"], &e["AIVONX_STATUS"], &e["AIVONX_EVENT"])).collect();
    assert_eq!(events.len(), 4, "{shown:?}");
    let want = [("3", "node_down"), ("4", "slow"), ("6", "up"), ("6", "large")];
    for (event, (priority, name)) in events.iter().zip(want) {
        assert_eq!(event["PRIORITY"], priority);
        assert_eq!(event["AIVONX_EVENT"], name);
        assert_eq!(event["SYSLOG_IDENTIFIER"], "aivonxd");
    }
    assert_eq!(events[0]["MESSAGE"], "node \\u{1b}[31m is down");
    assert_eq!(events[0]["AIVONX_MODEL"], "llama3.2:latest");
    assert_eq!(events[0]["AIVONX_REQUEST_ID"], "r-1");
    assert_eq!(events[0]["AIVONX_STATUS"], "502");
    assert!(events[3]["MESSAGE"].as_str().unwrap().len() > 8000);
}

#[test]
#[ignore = "run by a_real_journald_finds_events_by_field"]
fn inner_events() {
    let sink = Box::new(journald::Journald::open(Path::new(journald::SOCKET)).unwrap());
    let rig = Rig::with_sink("debug", sink, Hub::default(), Arc::default());
    tracing::dispatcher::with_default(&rig.dispatch, || {
        tracing::error!(
            node = "gpu1",
            model = "llama3.2:latest",
            request_id = "r-1",
            status = 502,
            event = "node_down",
            "node \u{1b}[31m is down"
        );
        tracing::warn!(node = "gpu1", event = "slow", "slow");
        tracing::info!(node = "gpu2", event = "up", "another node");
        tracing::info!(node = "gpu1", event = "up", "up");
        tracing::info!(node = "gpu1", event = "large", "{}", "\u{1b}".repeat(8000));
    });
    assert!(rig.pipe.flush(LONG));
    assert_eq!(rig.pipe.losses().write.load(std::sync::atomic::Ordering::Relaxed), 0);
}
