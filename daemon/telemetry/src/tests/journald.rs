use std::{
    fs,
    os::unix::net::UnixDatagram,
    sync::{Arc, atomic::Ordering},
};

use super::{
    super::{
        hub::Hub,
        journald::{Journald, SOCKET},
        messages::id_of,
    },
    LONG, Rig, in_namespace,
};

/// A journald of the test's own, in a mount namespace of its own.
#[test]
fn a_real_journald_finds_events_by_field() {
    let before = "journald=/lib/systemd/systemd-journald
        [ -x $journald ] || journald=/usr/lib/systemd/systemd-journald
        [ -x $journald ] && command -v journalctl >/dev/null || { echo 'needs systemd-journald' >&2; exit 77; }
        mkdir -p /run/systemd/journal /run/log/journal
        # The catalog as it would be installed, alone.
        [ -d /usr/lib/systemd/catalog ] && [ -d /var/lib/systemd ] || { echo 'needs a catalog' >&2; exit 77; }
        mkdir -p /var/lib/systemd/catalog
        mount --bind \"$CATALOG\" /usr/lib/systemd/catalog && mount -t tmpfs tmpfs /var/lib/systemd/catalog \\
            || { echo 'cannot mount the catalog' >&2; exit 77; }
        journalctl --update-catalog
        mount -t tmpfs tmpfs /run/systemd/journal && mount -t tmpfs tmpfs /run/log/journal \\
            || { echo 'cannot mount tmpfs' >&2; exit 77; }
        $journald >&2 & J=$!
        trap 'kill $J; wait $J || true' EXIT
        for _ in $(seq 200); do [ -S /run/systemd/journal/socket ] && break; kill -0 $J || exit 77; sleep .1; done";
    let after = "journalctl --sync
        journalctl -D /run/log/journal -t aivonxd AIVONX_NODE=gpu1 -o json --no-pager --all
        echo --
        journalctl -D /run/log/journal -t aivonxd MESSAGE_ID=$STANDBY -x --no-pager";
    let Some(out) = in_namespace(before, "journald::inner_events", after) else { return };
    let (out, explained) = out.split_once("--\n").unwrap();
    let events: Vec<serde_json::Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let shown: Vec<_> =
        events.iter().map(|e| (&e["PRIORITY"], &e["AIVONX_STATUS"], &e["AIVONX_EVENT"])).collect();
    assert_eq!(events.len(), 4, "{shown:?}");
    let want = [("3", "node_standby"), ("4", "slow"), ("6", "up"), ("6", "large")];
    for (event, (priority, name)) in events.iter().zip(want) {
        assert_eq!(event["PRIORITY"], priority);
        assert_eq!(event["AIVONX_EVENT"], name);
        assert_eq!(event["SYSLOG_IDENTIFIER"], "aivonxd");
    }
    assert_eq!(events[0]["MESSAGE"], "node \\u{1b}[31m is down");
    assert_eq!(events[0]["MESSAGE_ID"], id_of("node_standby").unwrap());
    assert_eq!(events[1]["MESSAGE_ID"], serde_json::Value::Null);
    assert!(explained.contains("aivonx node check gpu1"), "journalctl -x: {explained}");
    assert!(explained.contains("it is on fire"), "journalctl -x: {explained}");
    assert_eq!(events[0]["AIVONX_MODEL"], "llama3.2:latest");
    assert_eq!(events[0]["AIVONX_REQUEST_ID"], "r-1");
    assert_eq!(events[0]["AIVONX_STATUS"], "502");
    assert_eq!(events[0]["AIVONX_OTHER"], "healthy=false place=\"rack 3\"");
    assert_eq!(events[0]["AIVONX_TARGET"], "telemetry::tests::journald");
    let time = events[0]["AIVONX_TIME"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let received: i64 = events[0]["__REALTIME_TIMESTAMP"].as_str().unwrap().parse().unwrap();
    assert!((0..=60_000_000).contains(&(received - time.as_microsecond())), "{time} {received}");
    assert!(events[3]["MESSAGE"].as_str().unwrap().len() > 8000);
}

#[test]
#[ignore = "run by a_real_journald_finds_events_by_field"]
fn inner_events() {
    let sink = Box::new(Journald::open().unwrap());
    let rig = Rig::with_sink("debug", sink, Hub::default(), Arc::default());
    tracing::dispatcher::with_default(&rig.dispatch, || {
        tracing::error!(
            node = "gpu1",
            model = "llama3.2:latest",
            request_id = "r-1",
            status = 502,
            event = "node_standby",
            reason = "it is on fire",
            healthy = false,
            place = "rack 3",
            "node \u{1b}[31m is down"
        );
        tracing::warn!(node = "gpu1", event = "slow", "slow");
        tracing::info!(node = "gpu2", event = "up", "another node");
        tracing::info!(node = "gpu1", event = "up", "up");
        tracing::info!(node = "gpu1", event = "large", "{}", "\u{1b}".repeat(8000));
    });
    assert!(rig.queue.flush(LONG));
    assert_eq!(rig.queue.losses().write.load(Ordering::Relaxed), 0);
}

/// A journald that is restarted, and one that stays away, played by the test.
#[test]
fn a_restart_loses_nothing_and_an_absence_is_counted() {
    let before = "mkdir -p /run/systemd/journal
        mount -t tmpfs tmpfs /run/systemd/journal || { echo 'cannot mount tmpfs' >&2; exit 77; }";
    in_namespace(before, "journald::inner_restart", "");
}

#[test]
#[ignore = "run by a_restart_loses_nothing_and_an_absence_is_counted"]
fn inner_restart() {
    let bind = || {
        let journal = UnixDatagram::bind(SOCKET).unwrap();
        journal.set_read_timeout(Some(LONG)).unwrap();
        journal
    };
    let receive = |journal: &UnixDatagram| {
        let mut buffer = vec![0; 1 << 20];
        let n = journal.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..n]).into_owned()
    };
    let journal = bind();
    let hub = Hub::default();
    hub.name_sink("journald");
    let rig = Rig::with_sink("trace", Box::new(Journald::open().unwrap()), hub, Arc::default());
    let lost = || rig.queue.losses().write.load(Ordering::Relaxed);
    assert_eq!(receive(&journal), "", "tracing-journald's own trial");
    tracing::dispatcher::with_default(&rig.dispatch, || {
        tracing::debug!("fine print");
        tracing::trace!("finer print");
    });
    for print in ["fine print", "finer print"] {
        let event = receive(&journal);
        assert!(event.contains(print) && event.contains("PRIORITY\n\u{1}\0\0\0\0\0\0\x007\n"), "{event:?}");
    }
    // Its socket goes and comes back.
    drop(journal);
    tracing::dispatcher::with_default(&rig.dispatch, || tracing::error!("refused"));
    fs::remove_file(SOCKET).unwrap();
    tracing::dispatcher::with_default(&rig.dispatch, || tracing::error!("not found"));
    let journal = bind();
    assert!(receive(&journal).contains("refused"));
    assert!(receive(&journal).contains("not found"));
    assert!(rig.queue.flush(LONG));
    assert_eq!(lost(), 0);
    // It stays away: the event and the notice of its loss.
    drop(journal);
    tracing::dispatcher::with_default(&rig.dispatch, || tracing::error!("lost"));
    assert!(rig.queue.flush(LONG));
    assert_eq!(lost(), 2);
    fs::remove_file(SOCKET).unwrap();
    let journal = bind();
    tracing::dispatcher::with_default(&rig.dispatch, || tracing::error!("found"));
    assert!(receive(&journal).contains("found"));
}
