//! Tenants do not see each other: on the control socket, in streams, over HTTP, by name, by id, in bulk.

mod http;
mod placement;
mod streams;
mod world;

use aivonx_protocol::{
    Client as Control, FaultKind,
    audit::{Action, AuditFilter},
    client::ClientError,
    key::{KeyChange, KeyScope},
    limit::{LimitName, LimitSetting, LimitTarget, LimitValue},
    log::LogFilter,
    node::{AdminState, NodeChange},
    organization::{LimitProfile, OrganizationChange},
    usage::UsageFilter,
    user::{NewUser, Role, UserChange},
};
use aivonx_tests::within;

use self::world::{Ids, World, new_key, new_node};

const STANDARD: LimitProfile = LimitProfile::Standard;

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
        ("node.show", outcome(&asked, c.node_show(node).await)),
        ("node.set", outcome(&asked, c.node_set(node, None, change).await)),
        ("node.set_state", outcome(&asked, c.node_set_state(node, None, AdminState::Disabled).await)),
        ("node.check", outcome(&asked, c.node_check(node).await)),
        ("node.remove", o(c.node_remove(node, None).await)),
        (
            "node.add for it",
            outcome(&asked, c.node_add(new_node("mine", "http://127.0.0.1:9", Some(org))).await),
        ),
        ("model.pull", outcome(&asked, c.model_pull("m", vec![node.into()], false).await)),
        (
            "node.probe for it",
            outcome(&asked, c.node_probe(new_node("", "http://127.0.0.1:9", Some(org))).await),
        ),
        ("node.probe_change", outcome(&asked, c.node_probe_change(node, NodeChange::default()).await)),
        ("model.load", outcome(&asked, c.model_load("m", Some(node.into()), None).await)),
        ("model.unload", outcome(&asked, c.model_unload("m", Some(node.into())).await)),
        ("model.remove", outcome(&asked, c.model_remove("m", Some(node.into())).await)),
        ("job.show", outcome(&asked, c.job_show(job).await)),
        ("job.cancel", outcome(&asked, c.job_cancel(job).await)),
        (
            "job.follow",
            o(match c.job_follow(job).await {
                Ok(stream) => follow(stream).await,
                Err(error) => Err(error),
            }),
        ),
        ("log.recent of it", outcome(&asked, c.log_recent(filter.clone(), 10).await)),
        (
            "log.follow of it",
            o(match c.log_follow(filter, 10).await {
                Ok(stream) => follow(stream).await,
                Err(error) => Err(error),
            }),
        ),
        ("organization.show", outcome(&asked, c.organization_show(org).await)),
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
        ("organization.show", outcome(&asked, c.organization_show(org).await)),
        ("organization.set", outcome(&asked, c.organization_set(org, None, name).await)),
        ("user.list of it", outcome(&asked, c.user_list(in_org(), None).await)),
        ("user.show", outcome(&asked, c.user_show(user).await)),
        ("user.set", outcome(&asked, c.user_set(user, None, email).await)),
        ("user.set_enabled", outcome(&asked, c.user_set_enabled(user, None, false).await)),
        ("user.reset_password", outcome(&asked, c.user_reset_password(user).await)),
        ("user.reset_totp", outcome(&asked, c.user_reset_totp(user).await)),
        ("user.sessions", outcome(&asked, c.user_sessions(user).await)),
        ("user.logout", outcome(&asked, c.user_logout(user, None).await)),
        ("user.remove", outcome(&asked, c.user_remove(user, None).await)),
        ("user.add to it", outcome(&asked, c.user_add(into).await)),
        ("key.list of it", outcome(&asked, c.key_list(in_org(), None, true).await)),
        ("key.list of its user", outcome(&asked, c.key_list(None, Some(user.into()), true).await)),
        ("key.show in it", outcome(&asked, c.key_show(in_org(), key).await)),
        ("key.show", outcome(&asked, c.key_show(None, key).await)),
        ("key.set", outcome(&asked, c.key_set(None, key, None, scopes()).await)),
        ("key.set in it", outcome(&asked, c.key_set(in_org(), key, None, scopes()).await)),
        ("key.rotate", outcome(&asked, c.key_rotate(None, key, 0).await)),
        ("key.revoke", outcome(&asked, c.key_revoke(None, key).await)),
        ("limit.show of it", outcome(&asked, c.limit_show(of_org()).await)),
        ("limit.show of its user", outcome(&asked, c.limit_show(of_user()).await)),
        ("limit.show of its key", outcome(&asked, c.limit_show(of_key(in_org())).await)),
        ("limit.show of a key", outcome(&asked, c.limit_show(of_key(None)).await)),
        ("limit.set of it", outcome(&asked, c.limit_set(of_org(), None, one()).await)),
        ("limit.set of its user", outcome(&asked, c.limit_set(of_user(), None, one()).await)),
        ("limit.set of its key", outcome(&asked, c.limit_set(of_key(in_org()), None, one()).await)),
        ("limit.unset of it", outcome(&asked, c.limit_unset(of_org(), None, Vec::new()).await)),
        ("limit.unset of its user", outcome(&asked, c.limit_unset(of_user(), None, Vec::new()).await)),
        ("limit.unpriced of it", outcome(&asked, c.limit_unpriced(of_org()).await)),
        ("limit.unpriced of its user", outcome(&asked, c.limit_unpriced(of_user()).await)),
        ("limit.profile of it", outcome(&asked, c.limit_set_profile(in_org(), STANDARD, true).await)),
        (
            "usage.report of it",
            outcome(&asked, c.usage_report(usage(in_org(), None, None), None, None).await),
        ),
        (
            "usage.report of its user",
            outcome(&asked, c.usage_report(usage(None, Some(user), None), None, None).await),
        ),
        (
            "usage.report of its key",
            outcome(&asked, c.usage_report(usage(None, None, Some(key)), None, None).await),
        ),
        ("key.create for its user", outcome(&asked, c.key_create(for_user).await)),
        ("key.create in it", outcome(&asked, c.key_create(for_org).await)),
    ]
}

/// That every call on what is another's was answered as on what is not there.
fn alike(who: &str, foreign: Outcomes, missing: Outcomes) {
    for ((call, foreign), (_, missing)) in foreign.into_iter().zip(missing) {
        assert_eq!(foreign, missing, "{who}: {call}");
        // Those who may not do it at all are told so, alike.
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
    let mut denied = world.root.audit_follow(filter, 1000).await.unwrap();
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
    let users: Vec<_> = admin.user_list(None, None).await.unwrap().into_iter().map(|u| u.name).collect();
    assert_eq!(users, ["acme-admin", "acme-auditor", "acme-member", "acme-operator"]);
    let operator = world.log_in("acme-operator").await;
    let nodes: Vec<_> = operator.node_list().await.unwrap().into_iter().map(|n| n.name).collect();
    assert_eq!(nodes, ["anvil"]);
    assert_eq!(operator.job_list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn audit_entries_are_read_by_those_they_belong_to() {
    let world = World::new().await;
    let all = world.root.audit_list(AuditFilter::default(), None, 1000, true).await.unwrap().entries;
    let foreign =
        all.iter().find(|e| e.organization.as_ref().is_some_and(|o| o.id == world.other_id)).unwrap();
    let fleets = all.iter().find(|e| e.organization.is_none()).unwrap();
    let auditor = world.log_in("acme-auditor").await;
    let own = auditor.audit_list(AuditFilter::default(), None, 1000, true).await.unwrap().entries;
    assert!(!own.is_empty());
    assert!(own.iter().all(|e| e.organization.as_ref().is_some_and(|o| o.id == world.acme_id)), "{own:#?}");
    let seq = |n: u64| async move { (n.to_string(), n) };
    for entry in [foreign, fleets] {
        let (asked, n) = seq(entry.seq).await;
        let (nothing, far) = seq(999_999).await;
        let foreign = outcome(&[&asked], auditor.audit_show(n).await);
        let missing = outcome(&[&nothing], auditor.audit_show(far).await);
        assert_eq!(foreign, missing);
        assert!(foreign.is_err());
    }
    assert_eq!(auditor.audit_show(own[0].seq).await.unwrap().seq, own[0].seq);
    for organization in [&*world.other_id, "other"] {
        let filter = AuditFilter { organization: Some(organization.into()), ..AuditFilter::default() };
        let found = auditor.audit_list(filter, None, 10, true).await;
        assert!(found.is_err() || found.unwrap().entries.is_empty());
    }
}

#[tokio::test]
async fn bulk_operations_stop_at_the_border() {
    let world = World::new().await;
    let operator = world.log_in("acme-operator").await;
    let pulled = operator.model_pull("bulk", Vec::new(), false).await.unwrap();
    let targets: Vec<_> = pulled.targets.iter().map(|t| &*t.node).collect();
    assert_eq!(targets, ["anvil"]);
    operator.job_cancel(&pulled.id).await.unwrap();
    // Every node has it; one is acme's.
    let removed = operator.model_remove("everywhere", None).await.unwrap();
    assert_eq!((removed.removed.as_slice(), removed.failed.len()), (&["anvil".to_owned()][..], 0));
    for node in [&world.osprey, &world.commons] {
        assert!(node.requests().iter().all(|r| !r.head.start.contains("/api/delete")));
    }

    // Failures of both organizations' people, of which one's administrator forgets "all".
    for who in ["acme-member", "other-member"] {
        let stranger = world.daemon.control_as_stranger().await;
        let wrong = aivonx_protocol::WireSecret::new("wrong".into());
        assert!(stranger.login(who, wrong, None).await.is_err());
    }
    let admin = world.log_in("acme-admin").await;
    let seen: Vec<_> = admin.lockout_list(true).await.unwrap().into_iter().map(|l| l.user).collect();
    assert_eq!(seen, ["acme-member"]);
    let clear = async |user: &str| outcome(&[user], admin.lockout_clear(Some(user.into()), None).await);
    assert_eq!(clear("other-member").await, clear("nobody-here").await);
    admin.lockout_clear(None, None).await.unwrap();
    let left = world.root.lockout_list(true).await.unwrap();
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
            assert!(admin.user_set(user, None, change.clone()).await.is_err(), "{user} {change:?}");
        }
    }
    let mut fleets = new_key("fleets", None, &[KeyScope::AdminRead]);
    if let Ok(made) = admin.key_create(fleets.clone()).await {
        assert_eq!(made.key.organization.as_deref(), Some("acme"), "no key of the fleet's");
    }
    fleets.name = "theirs".into();
    fleets.organization = Some("other".into());
    assert!(admin.key_create(fleets).await.is_err());
    let operator = world.log_in("acme-operator").await;
    for organization in [None, Some("other".to_owned())] {
        let change = NodeChange { organization: Some(organization), ..NodeChange::default() };
        assert!(operator.node_set("anvil", None, change).await.is_err());
    }
    assert!(operator.strategy_set(aivonx_protocol::strategy::Strategy::LowestLatency).await.is_err());
    // A token is worth no more than who made it.
    let token = operator.token_create("t", None, 60_000).await.unwrap();
    let script = world.daemon.control_as_stranger().await;
    script.resume(token.secret).await.unwrap();
    assert_eq!(script.node_list().await.unwrap().len(), 1);
    assert!(script.node_show("osprey").await.is_err());

    // A node that is assigned elsewhere is gone for its old owner.
    let to_other = NodeChange { organization: Some(Some("other".into())), ..NodeChange::default() };
    world.root.node_set("anvil", None, to_other).await.unwrap();
    assert!(operator.node_list().await.unwrap().is_empty());
    assert!(operator.node_set_state("anvil", None, AdminState::Disabled).await.is_err());
    let theirs = world.log_in("other-operator").await;
    assert_eq!(theirs.node_show("anvil").await.unwrap().organization.as_deref(), Some("other"));
}
