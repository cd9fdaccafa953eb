//! The ledgers: requests, counters of limits, last uses of keys, and the audit log.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use aivonx_ledgers::audit::{Entry, Who};
use aivonx_protocol::{
    audit::{Action, Outcome},
    limit::LimitName,
    privacy::Category,
};
use aivonx_store::{
    CounterRecord, Counts, SavedWindow,
    usage::{Calendar, Code, Part, Parties, UsageEntry, UsageName},
};
use uuid::Uuid;

use super::{AUDITED, DAY_OFFSET, KEY, ORGANIZATION, TIME, USER, acme, id};
use crate::Opened;

/// Four days of requests, with an hour between them.
pub(super) async fn fill(Opened { store, .. }: &Opened) {
    let log = store.usage_log(Calendar::new(DAY_OFFSET));
    let named = |part, id: &str, name: &str| {
        (Code::of(part, id), UsageName { part, id: id.to_owned(), name: name.to_owned() })
    };
    let (acme, beta, bob, key) = (acme(), id(ORGANIZATION, 2), id(USER, 3), id(KEY, 2));
    let names = [
        (Part::Organization, &*acme, "acme"),
        (Part::Organization, &beta, "beta"),
        (Part::User, &bob, "bob"),
        (Part::Key, &key, "ci"),
        (Part::Model, "llama3:8b", "llama3:8b"),
        (Part::Model, "qwen2", "qwen2"),
        (Part::Node, "plain", "plain"),
        (Part::Node, "bearer", "bearer"),
        (Part::Route, "/api/chat", "/api/chat"),
        (Part::Route, "/v1/embeddings", "/v1/embeddings"),
    ];
    let names: Vec<_> = names.into_iter().map(|(part, id, name)| named(part, id, name)).collect();
    let entry = |n: u64| {
        let code = |part, id: &str| if id.is_empty() { Code::NONE } else { Code::of(part, id) };
        let is_beta = n.is_multiple_of(3);
        let is_refused = n.is_multiple_of(7);
        UsageEntry {
            time: TIME + n * 3_600_000 * 2 + n,
            request: Uuid::from_u64_pair(TIME, n),
            parties: Parties {
                organization: code(Part::Organization, if is_beta { &beta } else { &acme }),
                user: code(Part::User, if is_beta { "" } else { &bob }),
                key: code(Part::Key, if n.is_multiple_of(2) { &key } else { "" }),
                model: code(Part::Model, "llama3:8b"),
                served: code(Part::Model, if n.is_multiple_of(5) { "qwen2" } else { "" }),
                node: code(Part::Node, ["plain", "bearer"][n as usize % 2]),
                route: code(Part::Route, ["/api/chat", "/v1/embeddings"][n as usize % 2]),
            },
            address: Some([192, 0, 2, n as u8].into()),
            times: if is_refused { 40 } else { 1 },
            prompt: (!is_refused).then_some(n * 100),
            output: (!is_refused && !n.is_multiple_of(4)).then_some(n * 7),
            estimated: n % 4 == 1,
            cost: n * 11,
            status: if is_refused { 429 } else { 200 },
            outcome: u8::from(is_refused),
            limit: is_refused.then_some(LimitName::InferenceDay),
            findings: if n.is_multiple_of(6) {
                BTreeMap::from([(Category::Email, 2)])
            } else {
                BTreeMap::new()
            },
            queued_ms: (!is_refused).then_some(3),
            total_ms: 2500 + n as u32,
        }
    };
    let entries: Vec<_> = (0..40).map(entry).collect();
    for (n, part) in entries.chunks(9).enumerate() {
        log.append(part.to_vec(), if n == 0 { names.clone() } else { Vec::new() }).await.unwrap();
    }
    let counters = |kind, id: String, used| {
        let window = |length: i64| SavedWindow {
            index: 20_759,
            age: length / 2,
            counts: Counts { requests: used, tokens: used * 100, spend: used * 7 },
        };
        CounterRecord {
            kind,
            id,
            saved: TIME,
            windows: [60_000, 3_600_000, 86_400_000, 2_678_400_000].map(window),
        }
    };
    let gone = counters(2, id(KEY, 9), 1);
    let records = vec![counters(0, acme, 50), counters(1, bob, 20), counters(2, key.clone(), 9), gone];
    store.limit_counters().save(records).await.unwrap();
    store.limit_counters().forget(vec![(2, id(KEY, 9))]).await.unwrap();
    let uses = BTreeSet::from([(key, TIME + 60_000), (id(KEY, 3), TIME + 8), (id(KEY, 1), TIME + 99)]);
    let uses = uses.into_iter().map(|(id, at)| (id, Some(at)));
    store.key_uses().save(uses.collect()).await.unwrap();
}

pub(super) async fn audit(Opened { audit, .. }: &Opened) {
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
    // The chain's first entry is the daemon's.
    for n in 1..AUDITED {
        let entry = match n % 4 {
            0 => Entry::new(Action::LoginFailed)
                .outcome(Outcome::Denied)
                .actor(Who::http(None, "mallory", address, Some("curl/8")))
                .via("POST /api/account/login")
                .request_id(Uuid::from_u64_pair(TIME, n.into())),
            1 => Entry::new(Action::Create)
                .actor(Who::control(Some(id(USER, 2)), "alice", 1000, 1000, Some(4711)))
                .organization_named(&acme(), "acme")
                .object("user", Some(&id(USER, n)), Some("bob"))
                .via("user.add")
                .detail("role", "member"),
            2 => Entry::new(Action::ConfigReload).outcome(Outcome::Failed).actor(Who::signal()),
            _ => Entry::new(Action::Update)
                .actor(Who::control(None, "root", 0, 0, None))
                .organization(Some(&id(ORGANIZATION, 2)))
                .object("node", None, Some("plain"))
                .detail("max_parallel", n),
        };
        audit.write(entry).await.unwrap();
    }
}
