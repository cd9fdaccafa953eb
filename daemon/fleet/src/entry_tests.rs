use std::collections::BTreeMap;

use super::*;
use crate::address::NodeUrl;

const MINUTE: Duration = Duration::from_secs(60);

/// A node that may sleep after a minute, in the order of things before its first check.
fn sleeper() -> Entry {
    let url = NodeUrl::parse("http://gpu1").unwrap();
    let record = NodeRecord {
        id: "1".into(),
        name: "gpu1".into(),
        url: url.text.clone(),
        kind: NodeKind::Ollama,
        kind_assumed: false,
        admin_state: AdminState::Enabled,
        max_parallel: 0,
        labels: BTreeMap::new(),
        ca_pem: None,
        server_name: None,
        credential: aivonx_store::StoredCredential::None,
        forced: false,
        organization: None,
        created: now(),
        revision: 1,
    };
    let at = Prepared { endpoint: Arc::new(Endpoint::new(&url, None, None, false)), unusable: None };
    let mut entry = Entry::new(record, at);
    entry.set_wake(Some(NodeWakeRecord { idle_seconds: 60, ..NodeWakeRecord::default() }));
    entry
}

fn check(entry: &mut Entry, well: bool) -> Option<Moved> {
    let found = || Found {
        kind: NodeKind::Ollama,
        sight: Inventory::default(),
        round_trip: Duration::from_millis(1),
    };
    let health = Health { failures: 2, successes: 1, ..aivonx_config::Config::default().health };
    let result = if well { Ok(found()) } else { Err("no answer".to_owned()) };
    entry.checked(result, &health).map(|(moved, _)| moved)
}

#[test]
fn a_node_that_fails_its_checks_is_down_and_called_and_sleeps_only_when_nobody_asks_it() {
    let (mut entry, begun) = (sleeper(), Instant::now());
    assert!(entry.is_to_be_woken(begun).is_none(), "nobody knows yet that it is down");
    assert_eq!(check(&mut entry, false), Some(Moved::Absent));
    assert!(entry.is_to_be_woken(begun).is_some());
    assert!(entry.is_to_be_woken(begun).is_none(), "not with each check");
    assert_eq!(check(&mut entry, true), Some(Moved::Active));
    check(&mut entry, false);
    assert!(entry.is_to_be_woken(begun).is_none(), "it is still in use");
    assert_eq!(check(&mut entry, false), Some(Moved::Standby));
    assert!(entry.is_to_be_woken(begun).is_some());
    check(&mut entry, true);
    assert_eq!(entry.rests(begun + 2 * MINUTE).map(|(moved, _)| moved), Some(Moved::Asleep));
    check(&mut entry, false);
    assert!(entry.pool == Pool::Asleep && entry.is_to_be_woken(begun).is_none(), "a request calls it");
}

#[test]
fn a_node_that_was_called_in_vain_may_be_called_again_after_a_pause() {
    let (mut entry, begun) = (sleeper(), Instant::now());
    check(&mut entry, true);
    entry.rests(begun + 2 * MINUTE).unwrap();
    assert_eq!(entry.does_not_wake(begun), Some(Moved::Standby));
    assert!(entry.rests(begun + MINUTE).is_none());
    assert_eq!(entry.rests(begun + 6 * MINUTE).map(|(moved, _)| moved), Some(Moved::Asleep));
    // Of one that nobody knows anything of, nobody wants anything.
    let mut unknown = sleeper();
    unknown.called_in_vain = Some(begun);
    assert!(unknown.rests(begun + 6 * MINUTE).is_none());
}

#[test]
fn what_a_node_had_before_the_start_is_taken_in_for_the_same_server_alone() {
    for (url, kind, is_same) in [
        ("http://gpu1", NodeKind::Ollama, true),
        ("http://gpu2", NodeKind::Ollama, false),
        ("http://gpu1", NodeKind::Openai, false),
    ] {
        let mut entry = sleeper();
        entry.slept(KeptInventory { url: url.into(), kind, inventory: Arc::default() });
        assert_eq!((entry.sight.is_some(), entry.pool == Pool::Asleep), (is_same, is_same), "{url} {kind:?}");
    }
}
