use std::{sync::Arc, time::Duration};

use aivonx_config::StoreOptions;
use aivonx_domain::{AccessRecord, Outcome, TenantScope, access::Subject};
use aivonx_protocol::{
    limit::LimitName,
    privacy::Category,
    usage::{UsageBy, UsagePer, UsageRank, UsageRow},
};
use aivonx_store::{
    Store, StoreError,
    usage::{Code, DAY_MS, Part, Step},
};
use uuid::Uuid;

use super::*;

const EVER: (Option<u64>, Option<u64>) = (None, None);

fn subject(organization: Option<&str>, user: Option<&str>, key: Option<&str>) -> Arc<Subject> {
    let named = |text: &str| (Arc::from(format!("id-{text}")), Arc::from(text));
    Arc::new(Subject { organization: organization.map(named), user: user.map(named), key: key.map(named) })
}

fn done(subject: &Arc<Subject>, model: &str) -> AccessRecord {
    let mut record = AccessRecord::new(Uuid::now_v7(), [127, 0, 0, 1].into(), http::Method::POST);
    record.subject = Some(subject.clone());
    record.route = "/api/chat";
    record.model = Some(model.into());
    record.node = Some("gpu1".into());
    (record.status, record.outcome) = (200, Outcome::Complete);
    (record.prompt_tokens, record.output_tokens, record.cost) = (Some(10), Some(5), 30);
    record
}

fn refused(subject: &Arc<Subject>) -> AccessRecord {
    AccessRecord {
        status: 429,
        outcome: Outcome::Refused,
        limit: Some(LimitName::InferenceDay),
        node: None,
        prompt_tokens: None,
        output_tokens: None,
        cost: 0,
        ..done(subject, "m")
    }
}

/// Names of the rows, and what `of` says of each.
fn rows(report: &aivonx_protocol::usage::UsageReport, of: fn(&UsageRow) -> u64) -> Vec<(&str, u64)> {
    report.rows.iter().map(|row| (row.name.as_deref().unwrap_or("-"), of(row))).collect()
}

#[tokio::test]
async fn what_was_seen_is_reported_to_whom_it_concerns() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreOptions::default()).await.unwrap();
    let usage = Usage::open(&store, None, Bounds::none(), Calendar::UTC, Keep::default());
    let observe = usage.observer();
    let (alice, bob) =
        (subject(Some("acme"), Some("alice"), Some("ci")), subject(Some("acme"), Some("bob"), None));
    let other = subject(Some("other"), None, Some("bot"));
    let mut found = done(&alice, "m1");
    found.findings.add(Category::Email);
    found.served = Some("m2".into());
    observe(&[done(&alice, "m1"), done(&alice, "m1"), done(&bob, "m1"), found, done(&other, "m1")]);
    let mut anonymous = done(&alice, "m1");
    anonymous.subject = None;
    let strange = AccessRecord { outcome: Outcome::Refused, ..anonymous.clone() };
    let show = AccessRecord { route: "/api/show", ..done(&alice, "m1") };
    observe(&[anonymous, strange, show]);

    let acme = TenantScope::Organization("id-acme".into());
    let own = TenantScope::User { organization: Some("id-acme".into()), user: "id-alice".into() };
    let only = Only::default();
    let report = async |reach: &TenantScope, by| usage.report(reach, &only, EVER, by, None).await.unwrap();
    let all = report(&TenantScope::All, Some(UsageBy::Organization)).await;
    assert_eq!(rows(&all, |row| row.requests), [("acme", 4), ("other", 1), ("-", 1)]);
    assert_eq!((all.total.requests, all.total.prompt_tokens, all.total.spend), (6, 60, 180));
    assert_eq!(all.total.findings[&Category::Email], 1);
    let users = report(&acme, Some(UsageBy::User)).await;
    assert_eq!(rows(&users, |row| row.output_tokens), [("alice", 15), ("bob", 5)]);
    assert_eq!(users.rows[0].id.as_deref(), Some("id-alice"));
    assert_eq!(report(&acme, Some(UsageBy::Organization)).await.total.requests, 4);
    let models = report(&own, Some(UsageBy::Model)).await;
    assert_eq!(rows(&models, |row| row.requests), [("m1", 2), ("m2", 1)]);
    let foreign = Only { organization: Some("id-other".into()), ..Only::default() };
    assert_eq!(usage.report(&acme, &foreign, EVER, None, None).await.unwrap().total, UsageRow::default());

    let hours = usage.report(&acme, &only, EVER, None, Some(UsagePer::Hour)).await.unwrap();
    assert_eq!(hours.rows.iter().map(|row| row.requests).sum::<u64>(), 4);
    let top = usage.top(&TenantScope::All, &only, EVER, UsageBy::Key, UsageRank::Requests, 1).await.unwrap();
    assert_eq!((rows(&top, |row| row.requests), top.cut), (vec![("ci", 3)], true));
    let bound =
        usage.top(&TenantScope::All, &only, EVER, UsageBy::Key, UsageRank::Remaining, 9).await.unwrap();
    assert_eq!(bound.rows, [], "nobody has a limit here");

    let mut export = usage.export(&own, &only, None, None).await;
    let records = export.next().await.unwrap().unwrap();
    assert!(export.next().await.unwrap().is_none());
    assert!(
        records.len() == 3 && records.iter().all(|r| r.record.user.as_deref() == Some("alice")),
        "{records:?}"
    );
    assert_eq!((&*records[2].record.route, records[2].record.served.as_deref()), ("/api/chat", Some("m2")));
    let from = |network: &str| Only { network: Some(network.parse().unwrap()), ..Only::default() };
    for (network, requests) in [("127.0.0.0/8", 4), ("127.0.0.2", 0)] {
        let report = usage.report(&acme, &from(network), EVER, None, None).await.unwrap();
        assert_eq!(report.total.requests, requests, "{network}");
    }
    assert_eq!(records[0].address.as_deref(), Some("127.0.0.1"));
    let with_key = Only { key: Some("id-bot".into()), ..Only::default() };
    let mut export = usage.export(&TenantScope::All, &with_key, None, None).await;
    assert_eq!(export.next().await.unwrap().unwrap()[0].record.organization.as_deref(), Some("other"));
    usage.close().await;
}

#[tokio::test]
async fn a_flood_of_refusals_is_one_record() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreOptions::default()).await.unwrap();
    let usage = Usage::open(&store, None, Bounds::none(), Calendar::UTC, Keep::default());
    let (alice, bob) = (subject(Some("acme"), Some("alice"), None), subject(Some("acme"), Some("bob"), None));
    let model: Arc<str> = "m".into();
    let with = |of| AccessRecord { model: Some(model.clone()), ..refused(of) };
    usage.observer()(&vec![with(&alice); 5000]);
    usage.observer()(&[with(&bob)]);
    let only = Only::default();
    let mut export = usage.export(&TenantScope::All, &only, None, None).await;
    let mut records = export.next().await.unwrap().unwrap();
    records.sort_by_key(|request| request.record.requests);
    assert_eq!(records.iter().map(|request| request.record.requests).collect::<Vec<_>>(), [1, 5000]);
    assert_eq!((records[1].record.limit.as_deref(), records[1].record.status), (Some("inference.day"), 429));
    let report = usage.report(&TenantScope::All, &only, EVER, None, None).await.unwrap();
    assert_eq!((report.total.requests, report.total.refused, report.rows.len()), (0, 5001, 0));
}

#[tokio::test]
async fn refusals_keep_their_addresses_as_far_as_they_are_few() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreOptions::default()).await.unwrap();
    let usage = Usage::open(&store, None, Bounds::none(), Calendar::UTC, Keep::default());
    let one = refused(&subject(Some("acme"), Some("alice"), None));
    let from = |n: u16| AccessRecord { client: [0x2001, 0xdb8, 0, 0, 0, 0, 0, n].into(), ..one.clone() };
    // More addresses than kinds of refusals that are counted apart.
    let flood: Vec<_> = (0..10_000).map(from).collect();
    usage.observer()(&flood);
    let mut export = usage.export(&TenantScope::All, &Only::default(), None, None).await;
    let (mut apart, mut together) = (0, 0);
    while let Some(page) = export.next().await.unwrap() {
        for request in page {
            let count = if request.address.is_some() { &mut apart } else { &mut together };
            *count += request.record.requests;
        }
    }
    assert_eq!((apart + together, usage.health().lost), (10_000, 0));
    assert!(apart > 1000 && together > 1000, "{apart} {together}");
}

#[tokio::test]
async fn memory_is_bounded_while_the_store_does_not_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreOptions::default()).await.unwrap();
    let usage = Usage::open(&store, None, Bounds::none(), Calendar::UTC, Keep::default());
    store.close().await.unwrap();
    let alice = subject(Some("acme"), Some("alice"), None);
    let batch = vec![done(&alice, "m"); 100_000];
    let rounds = gather::WAITING_MAX / batch.len() + 2;
    for _ in 0..rounds {
        usage.observer()(&batch);
        usage.flush().await;
    }
    assert_eq!(usage.health().lost, (rounds * batch.len() - gather::WAITING_MAX) as u64);
    let failed = usage.report(&TenantScope::All, &Only::default(), EVER, None, None).await;
    assert!(matches!(failed, Err(UsageError::Store(StoreError::Closed))));
    // What is still there at the end is lost as well.
    usage.close().await;
    assert_eq!(usage.health().lost, (rounds * batch.len()) as u64);
}

#[tokio::test]
async fn rows_say_what_is_left_of_the_day() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreOptions::default()).await.unwrap();
    let bounds = Bounds::new(|by, id| {
        let used = match (by, id) {
            (UsageBy::User, "id-alice") => 2,
            (UsageBy::User, "id-bob") => 9,
            (UsageBy::Organization, "id-acme") => 50,
            _ => return None,
        };
        let requests_limit = Some(10).filter(|_| by == UsageBy::User);
        Some(Bound { requests_used: used, requests_limit, spend_used: used * 30, spend_limit: None })
    });
    let usage = Usage::open(&store, None, bounds, Calendar::UTC, Keep::default());
    for user in ["alice", "bob", "carol"] {
        usage.observer()(&[done(&subject(Some("acme"), Some(user), None), "m")]);
    }
    let acme = TenantScope::Organization("id-acme".into());
    let only = Only::default();
    let top = usage.top(&acme, &only, EVER, UsageBy::User, UsageRank::Remaining, 9).await.unwrap();
    assert_eq!(rows(&top, |row| row.requests_used.unwrap()), [("bob", 9), ("alice", 2)]);
    assert_eq!((top.rows[0].remaining(), top.total.requests_used), (Some(100), Some(50)));
    assert_eq!((top.total.requests_limit, top.total.spend_used), (None, Some(1500)));
    let bob = TenantScope::User { organization: Some("id-acme".into()), user: "id-bob".into() };
    let own = usage.report(&bob, &only, EVER, None, None).await.unwrap();
    assert_eq!(
        (own.total.requests, own.total.requests_used, own.total.requests_limit),
        (1, Some(9), Some(10))
    );
    let by_model = usage.report(&bob, &only, EVER, Some(UsageBy::Model), None).await.unwrap();
    assert_eq!(by_model.rows[0].requests_used, None);
    // What the others of its organization use is not a member's business.
    let by_organization = usage.report(&bob, &only, EVER, Some(UsageBy::Organization), None).await.unwrap();
    let row = &by_organization.rows[0];
    assert_eq!((row.requests, row.requests_used, row.spend_used), (1, None, None));
    let foreign = Only { user: Some("id-alice".into()), ..Only::default() };
    assert_eq!(usage.report(&bob, &foreign, EVER, None, None).await.unwrap().total, UsageRow::default());
}

#[tokio::test]
async fn names_are_those_they_last_had() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreOptions::default()).await.unwrap();
    let usage = Usage::open(&store, None, Bounds::none(), Calendar::UTC, Keep::default());
    let named =
        |name: &str| Arc::new(Subject { key: Some(("id".into(), name.into())), ..Subject::default() });
    for name in ["old", "new"] {
        usage.observer()(&[done(&named(name), "m")]);
        usage.flush().await;
    }
    let only = Only::default();
    let report = usage.report(&TenantScope::All, &only, EVER, Some(UsageBy::Key), None).await.unwrap();
    assert_eq!(rows(&report, |row| row.requests), [("new", 2)]);
}

#[tokio::test]
async fn followers_are_told_of_what_they_may_see() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreOptions::default()).await.unwrap();
    let usage = Usage::open(&store, None, Bounds::none(), Calendar::UTC, Keep::default());
    let (acme, other) =
        (subject(Some("acme"), Some("alice"), None), subject(Some("other"), Some("eve"), None));
    let mut follow = usage.follow(TenantScope::Organization("id-acme".into()), Only::default());
    usage.observer()(&[done(&other, "m"), done(&acme, "m1"), done(&acme, "m2")]);
    let Some(Followed::Records(records)) = follow.next().await else { panic!("nothing") };
    assert_eq!(records.iter().map(|r| r.record.model.as_deref().unwrap()).collect::<Vec<_>>(), ["m1", "m2"]);
    for _ in 0..BEHIND + 10 {
        usage.observer()(&[done(&acme, "m")]);
    }
    assert_eq!(follow.next().await, Some(Followed::Missed(10)));
}

#[tokio::test]
async fn a_day_is_the_limits_day() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreOptions::default()).await.unwrap();
    // One that begins an hour from now: what is used now is of the day that began 23 hours ago.
    let next = aivonx_domain::now() % DAY_MS + 3_600_000;
    let calendar = Calendar::new(Duration::from_millis(next % DAY_MS));
    let usage = Usage::open(&store, None, Bounds::none(), calendar, Keep::default());
    let alice = subject(Some("acme"), Some("alice"), None);
    usage.observer()(&[done(&alice, "m")]);
    let only = Only::default();
    let days = usage.report(&TenantScope::All, &only, EVER, None, Some(UsagePer::Day)).await.unwrap();
    let begin = calendar.begin(Step::Day, aivonx_domain::now());
    assert_eq!(days.rows.iter().map(|row| (row.time, row.requests)).collect::<Vec<_>>(), [(Some(begin), 1)]);
    assert_eq!((begin - next % DAY_MS) % DAY_MS, 0);
    let top = usage.top(&TenantScope::All, &only, EVER, UsageBy::User, UsageRank::Requests, 9).await.unwrap();
    assert_eq!((top.since, top.rows.len()), (begin, 1));
    usage.close().await;
}

#[tokio::test]
async fn names_go_with_the_last_that_needs_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), &StoreOptions::default()).await.unwrap();
    let usage = Usage::open(&store, None, Bounds::none(), Calendar::UTC, Keep::default());
    let log = &usage.inner.log;
    let codes = ["old", "both", "new"].map(|name| Code::of(Part::Model, name));
    let named = async || {
        let names = log.names(codes.to_vec()).await.unwrap();
        let mut names: Vec<_> = names.into_values().map(|name| name.name).collect();
        names.sort();
        names
    };
    let alice = subject(None, Some("alice"), None);
    let with =
        |model, served: Option<&str>| AccessRecord { served: served.map(Into::into), ..done(&alice, model) };
    usage.observer()(&[with("both", Some("old"))]);
    usage.flush().await;
    let now = aivonx_domain::now();
    let later = |days: u32| now + u64::from(days) * DAY_MS;
    // Nothing has gone yet.
    retention::round(&usage.inner, now).await.unwrap();
    assert_eq!(named().await, ["both", "old"]);
    // The file that is added to stays until there is another.
    let old = later(Keep::default().records + 2);
    retention::round(&usage.inner, old).await.unwrap();
    assert_eq!(named().await, ["both", "old"]);
    usage.observer()(&[with("new", None)]);
    usage.flush().await;
    // The requests are gone: what was asked for is in them alone, what served in the sums as well.
    retention::round(&usage.inner, old).await.unwrap();
    assert_eq!(named().await, ["new", "old"]);
    // It is remembered once more when it is needed once more.
    usage.observer()(&[with("both", None)]);
    usage.flush().await;
    assert_eq!(named().await, ["both", "new", "old"]);
    // What is stored while it is looked for is kept, though nothing that is left needs it.
    usage.inner.ask(writer::Job::Watch).await.unwrap();
    usage.observer()(&[with("new", None)]);
    usage.flush().await;
    usage.inner.ask(|done| writer::Job::Forget(codes.to_vec(), done)).await.unwrap();
    assert_eq!(named().await, ["new"]);
}
