//! Tenants do not see each other: on the control socket, in streams, over HTTP, by name, by id, in bulk.

mod calls;
mod http;
mod placement;
mod streams;
mod world;

use aivonx_protocol::{
    FaultKind, account,
    audit::{self, Action, AuditFilter},
    job,
    key::{self, KeyScope},
    lockout, model,
    node::{self, AdminState, NodeChange},
    organization::LimitProfile,
    strategy, token,
    user::{self, Role, UserChange},
};
use aivonx_tests::within;

use self::{
    calls::{Outcomes, administer, operate, outcome},
    world::{Ids, World, new_key},
};

const STANDARD: LimitProfile = LimitProfile::Standard;

/// That every call on what is another's was answered as on what is not there.
fn alike(who: &str, foreign: Outcomes, missing: Outcomes) {
    for ((call, foreign), (_, missing)) in foreign.into_iter().zip(missing) {
        assert_eq!(foreign, missing, "{who}: {call}");
        // Without the permission for it, both are refused with the same words.
        let (kind, text) = foreign.expect_err(call);
        assert!(matches!(kind, FaultKind::NotFound | FaultKind::NotPermitted), "{who}: {call}: {text}");
    }
}

#[tokio::test]
async fn forged_names_and_ids_are_answered_like_missing_ones_and_audited() {
    let world = World::new().await;
    let (names, ids, nothing) = (world.names(), world.ids(), Ids::nothing());
    for who in ["acme-operator", "acme-auditor", "acme-admin", "acme-member"] {
        let control = world.log_in(who).await;
        for foreign in [&names, &ids] {
            alike(who, operate(&control, foreign).await, operate(&control, &nothing).await);
            alike(who, administer(&control, foreign).await, administer(&control, &nothing).await);
        }
    }
    // Shared nodes are nobody's: no tenant changes them.
    let operator = world.log_in("acme-operator").await;
    let shared = Ids { node: "commons".into(), ..Ids::nothing() };
    alike("shared", operate(&operator, &shared).await, operate(&operator, &nothing).await);

    // None of it left a trace but in the audit log.
    assert_eq!(world.state().await, world.before);
    let filter = AuditFilter { actions: vec![Action::CrossOrgDenied], ..AuditFilter::default() };
    let mut denied = world.root.follow(audit::Follow { filter, lines: 1000 }).await.unwrap();
    let mut missing = std::collections::BTreeSet::from(["acme-operator", "acme-admin"]);
    while !missing.is_empty() {
        let event = within("the denials", denied.next()).await.unwrap().unwrap();
        let aivonx_protocol::Event::Audit(entry) = event else { continue };
        missing.remove(&*entry.actor.name);
        assert_eq!(entry.organization.as_ref().unwrap().id, world.acme_id);
    }
}

#[tokio::test]
async fn lists_hold_what_is_ones_own() {
    let world = World::new().await;
    for who in ["acme-operator", "acme-auditor", "acme-admin", "acme-member"] {
        let control = world.log_in(who).await;
        let everything = world.everything_listed(&control).await;
        for foreign in world.foreign_words() {
            assert!(!everything.contains(&foreign), "{who} hears of {foreign}: {everything}");
        }
    }
    // The same lists do hold them for the fleet's own people: the check above is worth something.
    let everything = world.everything_listed(&world.root).await;
    for word in world.foreign_words() {
        assert!(everything.contains(&word), "{word}");
    }
    let admin = world.log_in("acme-admin").await;
    let users: Vec<_> = admin
        .ask(user::List { organization: None, role: None })
        .await
        .unwrap()
        .into_iter()
        .map(|u| u.name)
        .collect();
    assert_eq!(users, ["acme-admin", "acme-auditor", "acme-member", "acme-operator"]);
    let operator = world.log_in("acme-operator").await;
    let nodes: Vec<_> = operator.ask(node::List).await.unwrap().into_iter().map(|n| n.name).collect();
    assert_eq!(nodes, ["anvil"]);
    assert_eq!(operator.ask(job::List).await.unwrap().len(), 1);
}

#[tokio::test]
async fn audit_entries_are_read_by_those_they_belong_to() {
    let world = World::new().await;
    let all = world
        .root
        .ask(audit::List { filter: AuditFilter::default(), cursor: None, limit: 1000, oldest_first: true })
        .await
        .unwrap()
        .entries;
    let foreign =
        all.iter().find(|e| e.organization.as_ref().is_some_and(|o| o.id == world.other_id)).unwrap();
    let fleets = all.iter().find(|e| e.organization.is_none()).unwrap();
    let auditor = world.log_in("acme-auditor").await;
    let own = auditor
        .ask(audit::List { filter: AuditFilter::default(), cursor: None, limit: 1000, oldest_first: true })
        .await
        .unwrap()
        .entries;
    assert!(!own.is_empty());
    assert!(own.iter().all(|e| e.organization.as_ref().is_some_and(|o| o.id == world.acme_id)), "{own:#?}");
    let seq = |n: u64| async move { (n.to_string(), n) };
    for entry in [foreign, fleets] {
        let (asked, n) = seq(entry.seq).await;
        let (nothing, far) = seq(999_999).await;
        let foreign = outcome(&[&asked], auditor.ask(audit::Show { seq: n }).await);
        let missing = outcome(&[&nothing], auditor.ask(audit::Show { seq: far }).await);
        assert_eq!(foreign, missing);
        assert!(foreign.is_err());
    }
    assert_eq!(auditor.ask(audit::Show { seq: own[0].seq }).await.unwrap().seq, own[0].seq);
    for organization in [&*world.other_id, "other"] {
        let filter = AuditFilter { organization: Some(organization.into()), ..AuditFilter::default() };
        let found = auditor.ask(audit::List { filter, cursor: None, limit: 10, oldest_first: true }).await;
        assert!(found.is_err() || found.unwrap().entries.is_empty());
    }
}

#[tokio::test]
async fn bulk_operations_stop_at_the_border() {
    let world = World::new().await;
    let operator = world.log_in("acme-operator").await;
    let pulled =
        operator.ask(model::Pull { model: "bulk".into(), nodes: Vec::new(), insecure: false }).await.unwrap();
    let targets: Vec<_> = pulled.targets.iter().map(|t| &*t.node).collect();
    assert_eq!(targets, ["anvil"]);
    operator.ask(job::Cancel { job: pulled.id.clone() }).await.unwrap();
    // Every node has it; one is acme's.
    let removed = operator.ask(model::Remove { model: "everywhere".into(), node: None }).await.unwrap();
    assert_eq!((removed.removed.as_slice(), removed.failed.len()), (&["anvil".to_owned()][..], 0));
    for node in [&world.osprey, &world.commons] {
        assert!(node.requests().iter().all(|r| !r.head.start.contains("/api/delete")));
    }

    // Failures of both organizations' people, of which one's administrator forgets "all".
    for who in ["acme-member", "other-member"] {
        let stranger = world.daemon.control_as_stranger().await;
        let wrong = aivonx_protocol::WireSecret::new("wrong".into());
        assert!(
            stranger
                .ask(account::Login { username: who.to_owned(), password: wrong, otp: None })
                .await
                .is_err()
        );
    }
    let admin = world.log_in("acme-admin").await;
    let seen: Vec<_> =
        admin.ask(lockout::List { all: true }).await.unwrap().into_iter().map(|l| l.user).collect();
    assert_eq!(seen, ["acme-member"]);
    let clear = async |user: &str| {
        outcome(&[user], admin.ask(lockout::Clear { user: Some(user.into()), address: None }).await)
    };
    assert_eq!(clear("other-member").await, clear("nobody-here").await);
    admin.ask(lockout::Clear { user: None, address: None }).await.unwrap();
    let left = world.root.ask(lockout::List { all: true }).await.unwrap();
    assert!(left.iter().any(|l| l.user == "other-member") && !left.iter().any(|l| l.user == "acme-member"));
}

#[tokio::test]
async fn nobody_moves_across_or_grants_beyond_themselves() {
    let world = World::new().await;
    let admin = world.log_in("acme-admin").await;
    let change = |role: Option<Role>, organization: Option<Option<&str>>| UserChange {
        role,
        organization: organization.map(|o| o.map(str::to_owned)),
        ..UserChange::default()
    };
    for change in [
        change(None, Some(Some("other"))),
        change(None, Some(None)),
        change(Some(Role::Superadmin), None),
        change(Some(Role::Superadmin), Some(None)),
    ] {
        for user in ["acme-member", "acme-admin"] {
            assert!(
                admin
                    .ask(user::Set {
                        user: user.to_owned(),
                        revision: None,
                        change: Box::new(change.clone())
                    })
                    .await
                    .is_err(),
                "{user} {change:?}"
            );
        }
    }
    let mut fleets = new_key("fleets", None, &[KeyScope::AdminRead]);
    if let Ok(made) = admin.ask(key::Create(Box::new(fleets.clone()))).await {
        assert_eq!(made.key.organization.as_deref(), Some("acme"), "no key of the fleet's");
    }
    fleets.name = "theirs".into();
    fleets.organization = Some("other".into());
    assert!(admin.ask(key::Create(Box::new(fleets))).await.is_err());
    let operator = world.log_in("acme-operator").await;
    for organization in [None, Some("other".to_owned())] {
        let change = NodeChange { organization: Some(organization), ..NodeChange::default() };
        assert!(
            operator
                .ask(node::Set { node: "anvil".into(), revision: None, change: Box::new(change) })
                .await
                .is_err()
        );
    }
    assert!(operator.ask(strategy::Set(aivonx_protocol::strategy::Strategy::LowestLatency)).await.is_err());
    // A token is worth no more than who made it.
    let token = operator.ask(token::Create { name: "t".into(), role: None, lasts_ms: 60_000 }).await.unwrap();
    let script = world.daemon.control_as_stranger().await;
    script.ask(account::Resume { secret: token.secret }).await.unwrap();
    assert_eq!(script.ask(node::List).await.unwrap().len(), 1);
    assert!(script.ask(node::Show { node: "osprey".into() }).await.is_err());

    // A node that is assigned elsewhere is gone for its old owner.
    let to_other = NodeChange { organization: Some(Some("other".into())), ..NodeChange::default() };
    world
        .root
        .ask(node::Set { node: "anvil".into(), revision: None, change: Box::new(to_other) })
        .await
        .unwrap();
    assert!(operator.ask(node::List).await.unwrap().is_empty());
    assert!(
        operator
            .ask(node::SetState { node: "anvil".into(), revision: None, state: AdminState::Disabled })
            .await
            .is_err()
    );
    let theirs = world.log_in("other-operator").await;
    assert_eq!(
        theirs.ask(node::Show { node: "anvil".into() }).await.unwrap().organization.as_deref(),
        Some("other")
    );
}
