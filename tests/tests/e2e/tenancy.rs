//! Tenants do not see each other: on the control socket, in streams, over HTTP, by name, by id, in bulk.

mod http;
mod placement;
mod streams;
mod world;

use aivonx_protocol::{
    Client as Control, FaultKind, account,
    audit::{self, Action, AuditFilter},
    client::ClientError,
    job,
    key::{self, KeyChange, KeyScope},
    limit::{self, LimitName, LimitSetting, LimitTarget, LimitValue},
    lockout,
    log::{self, LogFilter},
    model,
    node::{self, AdminState, NodeChange},
    operation::Call,
    organization::{self, LimitProfile, OrganizationChange},
    strategy, token,
    usage::{self, UsageFilter},
    user::{self, NewUser, Role, UserChange},
};
use aivonx_tests::within;

use self::world::{Ids, World, new_key, new_node};

const STANDARD: LimitProfile = LimitProfile::Standard;

/// What an operation came to, beside what it is called here.
async fn told<O: Call>(
    c: &Control,
    asked: &[&str],
    name: &'static str,
    operation: O,
) -> (&'static str, Result<(), (FaultKind, String)>) {
    (name, outcome(asked, c.ask(operation).await))
}

/// What a call came to: nothing to see, or the fault in words with `asked` taken out of it.
fn outcome<T>(asked: &[&str], result: Result<T, ClientError>) -> Result<(), (FaultKind, String)> {
    match result {
        Ok(_) => Ok(()),
        Err(ClientError::Fault(fault)) => {
            let mut text = format!("{} / {:?} / {:?}", fault.message, fault.field, fault.hint);
            for asked in asked {
                text = text.replace(asked, "X");
            }
            Err((fault.kind, text))
        }
        Err(error) => panic!("{error}"),
    }
}

type Outcomes = Vec<(&'static str, Result<(), (FaultKind, String)>)>;

/// Everything an operator can do to the things that `ids` name.
async fn operate(c: &Control, ids: &Ids) -> Outcomes {
    let (node, job, org) = (&*ids.node, &*ids.job, &*ids.organization);
    let asked = [node, job, org];
    let o = |result| outcome(&asked, result);
    let change = NodeChange { max_parallel: Some(1), ..NodeChange::default() };
    let filter = LogFilter { organization: Some(org.into()), ..LogFilter::default() };
    let follow = async |mut stream: aivonx_protocol::client::EventStream| {
        within("an event", stream.next()).await.expect("an end with a reason").map(drop)
    };
    vec![
        told(c, &asked, "node.show", node::Show { node: node.to_owned() }).await,
        told(
            c,
            &asked,
            "node.set",
            node::Set { node: node.to_owned(), revision: None, change: Box::new(change) },
        )
        .await,
        told(
            c,
            &asked,
            "node.set_state",
            node::SetState { node: node.to_owned(), revision: None, state: AdminState::Disabled },
        )
        .await,
        told(c, &asked, "node.check", node::Check { node: node.to_owned() }).await,
        told(c, &asked, "node.remove", node::Remove { node: node.to_owned(), revision: None }).await,
        told(
            c,
            &asked,
            "node.add for it",
            node::Add(Box::new(new_node("mine", "http://127.0.0.1:9", Some(org)))),
        )
        .await,
        told(
            c,
            &asked,
            "model.pull",
            model::Pull { model: "m".into(), nodes: vec![node.into()], insecure: false },
        )
        .await,
        told(
            c,
            &asked,
            "node.probe for it",
            node::ProbeNew(Box::new(new_node("", "http://127.0.0.1:9", Some(org)))),
        )
        .await,
        told(
            c,
            &asked,
            "node.probe_change",
            node::ProbeChange { node: node.to_owned(), change: Box::new(NodeChange::default()) },
        )
        .await,
        told(
            c,
            &asked,
            "model.load",
            model::Load { model: "m".into(), node: Some(node.into()), keep_alive: None },
        )
        .await,
        told(c, &asked, "model.unload", model::Unload { model: "m".into(), node: Some(node.into()) }).await,
        told(c, &asked, "model.remove", model::Remove { model: "m".into(), node: Some(node.into()) }).await,
        told(c, &asked, "job.show", job::Show { job: job.to_owned() }).await,
        told(c, &asked, "job.cancel", job::Cancel { job: job.to_owned() }).await,
        (
            "job.follow",
            o(match c.follow(job::Follow { job: job.to_owned() }).await {
                Ok(stream) => follow(stream).await,
                Err(error) => Err(error),
            }),
        ),
        told(c, &asked, "log.recent of it", log::Recent { filter: filter.clone(), lines: 10 }).await,
        (
            "log.follow of it",
            o(match c.follow(log::Follow { filter, lines: 10 }).await {
                Ok(stream) => follow(stream).await,
                Err(error) => Err(error),
            }),
        ),
        told(c, &asked, "organization.show", organization::Show { organization: org.to_owned() }).await,
    ]
}

/// Everything an organization's administrator can do to the things that `ids` name.
async fn administer(c: &Control, ids: &Ids) -> Outcomes {
    let (user, key, org) = (&*ids.user, &*ids.key, &*ids.organization);
    let asked = [user, key, org];
    let in_org = || Some(org.to_owned());
    let email = UserChange { email: Some(None), ..UserChange::default() };
    let usage = |organization, user: Option<&str>, key: Option<&str>| UsageFilter {
        organization,
        user: user.map(str::to_owned),
        key: key.map(str::to_owned),
        ..UsageFilter::default()
    };
    let scopes = || KeyChange { scopes: Some(vec![KeyScope::Infer]), ..KeyChange::default() };
    let name = OrganizationChange { name: Some("taken over".into()), ..OrganizationChange::default() };
    let into = NewUser {
        name: "intruder".into(),
        display_name: None,
        email: None,
        role: Role::Member,
        organization: in_org(),
        password: None,
    };
    let mut for_user = new_key("borrowed", Some("acme"), &[KeyScope::Infer]);
    for_user.user = Some(user.to_owned());
    let of_org = || LimitTarget::Organization { organization: org.to_owned() };
    let of_user = || LimitTarget::User { user: user.to_owned() };
    let of_key = |organization| LimitTarget::Key { organization, key: key.to_owned() };
    let one = || vec![LimitValue { name: LimitSetting::bare(LimitName::InferenceDay), limit: Some(1) }];
    let for_org = new_key("planted", Some(org), &[KeyScope::Infer]);
    vec![
        told(c, &asked, "organization.show", organization::Show { organization: org.to_owned() }).await,
        told(
            c,
            &asked,
            "organization.set",
            organization::Set { organization: org.to_owned(), revision: None, change: Box::new(name) },
        )
        .await,
        told(c, &asked, "user.list of it", user::List { organization: in_org(), role: None }).await,
        told(c, &asked, "user.show", user::Show { user: user.to_owned() }).await,
        told(
            c,
            &asked,
            "user.set",
            user::Set { user: user.to_owned(), revision: None, change: Box::new(email) },
        )
        .await,
        told(
            c,
            &asked,
            "user.set_enabled",
            user::SetEnabled { user: user.to_owned(), revision: None, enabled: false },
        )
        .await,
        told(c, &asked, "user.reset_password", user::ResetPassword { user: user.to_owned() }).await,
        told(c, &asked, "user.reset_totp", user::ResetTotp { user: user.to_owned() }).await,
        told(c, &asked, "user.sessions", user::Sessions { user: user.to_owned() }).await,
        told(c, &asked, "user.logout", user::Logout { user: user.to_owned(), session: None }).await,
        told(c, &asked, "user.remove", user::Remove { user: user.to_owned(), revision: None }).await,
        told(c, &asked, "user.add to it", user::Add(Box::new(into))).await,
        told(c, &asked, "key.list of it", key::List { organization: in_org(), user: None, all: true }).await,
        told(
            c,
            &asked,
            "key.list of its user",
            key::List { organization: None, user: Some(user.into()), all: true },
        )
        .await,
        told(c, &asked, "key.show in it", key::Show { organization: in_org(), key: key.to_owned() }).await,
        told(c, &asked, "key.show", key::Show { organization: None, key: key.to_owned() }).await,
        told(
            c,
            &asked,
            "key.set",
            key::Set { organization: None, key: key.to_owned(), revision: None, change: Box::new(scopes()) },
        )
        .await,
        told(
            c,
            &asked,
            "key.set in it",
            key::Set {
                organization: in_org(),
                key: key.to_owned(),
                revision: None,
                change: Box::new(scopes()),
            },
        )
        .await,
        told(c, &asked, "key.rotate", key::Rotate { organization: None, key: key.to_owned(), grace_ms: 0 })
            .await,
        told(c, &asked, "key.revoke", key::Revoke { organization: None, key: key.to_owned() }).await,
        told(c, &asked, "limit.show of it", limit::Show { target: of_org() }).await,
        told(c, &asked, "limit.show of its user", limit::Show { target: of_user() }).await,
        told(c, &asked, "limit.show of its key", limit::Show { target: of_key(in_org()) }).await,
        told(c, &asked, "limit.show of a key", limit::Show { target: of_key(None) }).await,
        told(c, &asked, "limit.set of it", limit::Set { target: of_org(), revision: None, values: one() })
            .await,
        told(
            c,
            &asked,
            "limit.set of its user",
            limit::Set { target: of_user(), revision: None, values: one() },
        )
        .await,
        told(
            c,
            &asked,
            "limit.set of its key",
            limit::Set { target: of_key(in_org()), revision: None, values: one() },
        )
        .await,
        told(
            c,
            &asked,
            "limit.unset of it",
            limit::Unset { target: of_org(), revision: None, names: Vec::new() },
        )
        .await,
        told(
            c,
            &asked,
            "limit.unset of its user",
            limit::Unset { target: of_user(), revision: None, names: Vec::new() },
        )
        .await,
        told(c, &asked, "limit.unpriced of it", limit::FindUnpriced { target: of_org() }).await,
        told(c, &asked, "limit.unpriced of its user", limit::FindUnpriced { target: of_user() }).await,
        told(
            c,
            &asked,
            "limit.profile of it",
            limit::SetProfile { organization: in_org(), profile: STANDARD, reset: true },
        )
        .await,
        told(
            c,
            &asked,
            "usage.report of it",
            usage::Report { filter: usage(in_org(), None, None), by: None, per: None },
        )
        .await,
        told(
            c,
            &asked,
            "usage.report of its user",
            usage::Report { filter: usage(None, Some(user), None), by: None, per: None },
        )
        .await,
        told(
            c,
            &asked,
            "usage.report of its key",
            usage::Report { filter: usage(None, None, Some(key)), by: None, per: None },
        )
        .await,
        told(c, &asked, "key.create for its user", key::Create(Box::new(for_user))).await,
        told(c, &asked, "key.create in it", key::Create(Box::new(for_org))).await,
    ]
}

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
