use aivonx_limits::{Ask, Output, Price};
use aivonx_protocol::{
    key::{KeyScope, NewKey},
    limit::{LimitLevel, LimitName, LimitSource},
};
use aivonx_store::LimitValues;

use super::*;
use crate::{
    Caller, Snapshot,
    rig::{Rig, Tenant, actor, root, user_record},
};

fn values(pairs: &[(&str, Option<u64>)]) -> Vec<LimitValue> {
    pairs.iter().map(|(name, limit)| LimitValue { name: name.parse().unwrap(), limit: *limit }).collect()
}

fn organization(name: &str) -> LimitTarget {
    LimitTarget::Organization { organization: name.into() }
}

fn user(name: &str) -> LimitTarget {
    LimitTarget::User { user: name.into() }
}

/// The id of a new key `ci`.
async fn key(rig: &Rig, tenant: &Tenant, user: Option<&str>) -> String {
    let new = NewKey {
        name: "ci".into(),
        organization: Some(tenant.slug.clone()),
        user: user.map(str::to_owned),
        scopes: vec![KeyScope::Infer],
        models: vec![],
        networks: vec![],
        expires: None,
    };
    rig.identity.create_key(&root(), new).await.unwrap().key.id
}

fn cap(limits: &Limits, level: LimitLevel, name: &str) -> (Option<u64>, LimitSource) {
    let name: LimitSetting = name.parse().unwrap();
    let found = limits.limits.iter().find(|limit| limit.level == level && limit.name == name);
    let found = found.unwrap_or_else(|| panic!("there is no {name} in {limits:?}"));
    (found.limit, found.source)
}

async fn standard(rig: &Rig, tenant: &Tenant) {
    let set =
        rig.identity.set_limit_profile(&root(), Some(&tenant.slug), LimitProfile::Standard, false).await;
    assert_eq!(set.unwrap().profile, LimitProfile::Standard);
}

#[tokio::test]
async fn limits_are_set_shown_and_taken_back() {
    let (rig, a, _) = Rig::with_two().await;
    let (identity, root) = (&rig.identity, root());
    standard(&rig, &a).await;
    let shown = identity.limits(&root, &organization("a")).await.unwrap();
    assert_eq!(
        (shown.level, shown.name.as_deref(), shown.revision),
        (LimitLevel::Organization, Some("a"), 0)
    );
    assert_eq!(cap(&shown, LimitLevel::Organization, "inference.day"), (Some(1000), LimitSource::Profile));

    let three = values(&[("inference.day", Some(3)), ("user.spend.day", None)]);
    let set = identity.set_limits(&root, &organization(&a.id), Some(0), three.clone()).await.unwrap();
    assert_eq!(set.revision, 1);
    assert_eq!(cap(&set, LimitLevel::Organization, "inference.day"), (Some(3), LimitSource::Organization));
    let stale = identity.set_limits(&root, &organization("a"), Some(0), three.clone()).await.unwrap_err();
    assert_eq!(stale.kind, FaultKind::Conflict);

    // A member sees its own, and what its organization has in all.
    let own = identity.limits(&a.member, &LimitTarget::Own).await.unwrap();
    assert_eq!((own.level, own.name.as_deref()), (LimitLevel::User, Some("a-member")));
    assert_eq!(cap(&own, LimitLevel::User, "inference.day"), (Some(100), LimitSource::Profile));
    assert_eq!(cap(&own, LimitLevel::User, "spend.day"), (None, LimitSource::Organization));
    assert_eq!(cap(&own, LimitLevel::Organization, "inference.day").0, Some(3));

    let names = vec!["inference.day".parse().unwrap()];
    let unset = identity.unset_limits(&root, &organization("a"), None, names).await.unwrap();
    assert_eq!(cap(&unset, LimitLevel::Organization, "inference.day"), (Some(1000), LimitSource::Profile));
    assert_eq!(cap(&unset, LimitLevel::Organization, "user.spend.day"), (None, LimitSource::Organization));
    let all = identity.unset_limits(&root, &organization("a"), None, vec![]).await.unwrap();
    assert_eq!(cap(&all, LimitLevel::Organization, "user.spend.day").1, LimitSource::Profile);
}

#[tokio::test]
async fn the_fleets_values_hold_everywhere_else() {
    let (rig, a, _) = Rig::with_two().await;
    let (identity, root) = (&rig.identity, root());
    let set = values(&[("burst.minute", Some(20)), ("login.hour", Some(30))]);
    let fleet = identity.set_limits(&root, &LimitTarget::Own, None, set).await.unwrap();
    assert_eq!((fleet.level, fleet.id.as_deref()), (LimitLevel::Fleet, None));
    assert_eq!(cap(&fleet, LimitLevel::Fleet, "login.hour"), (Some(30), LimitSource::Fleet));
    let shown = identity.limits(&root, &organization("a")).await.unwrap();
    assert_eq!(cap(&shown, LimitLevel::Organization, "burst.minute"), (Some(20), LimitSource::Fleet));
    let fleet = identity.set_limit_profile(&root, None, LimitProfile::Team, true).await.unwrap();
    assert_eq!(fleet.profile, LimitProfile::Team);
    assert_eq!(cap(&fleet, LimitLevel::Fleet, "burst.minute"), (Some(600), LimitSource::Profile));
    let profiles = identity.limit_profiles(&a.admin).await.unwrap();
    assert_eq!(profiles.iter().map(|info| info.fleet).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(profiles[2].organizations, ["a"], "the own one alone");
}

#[tokio::test]
async fn an_administrator_of_an_organization_only_tightens() {
    let (rig, a, _) = Rig::with_two().await;
    let (identity, root) = (&rig.identity, root());
    standard(&rig, &a).await;
    let refused = |done: Result<Limits, Fault>, kind| {
        let fault = done.unwrap_err();
        assert_eq!(fault.kind, kind, "{fault}");
        assert!(fault.hint.is_some(), "{fault}");
    };
    for (target, name, limit) in [
        (LimitTarget::Own, "inference.day", Some(1001)),
        (organization("a"), "inference.day", None),
        (organization("a"), "user.inference.day", Some(101)),
        (organization("a"), "burst.minute", Some(11)),
        (user("a-member"), "inference.day", Some(101)),
        (user("a-member"), "spend.day", None),
    ] {
        refused(
            identity.set_limits(&a.admin, &target, None, values(&[(name, limit)])).await,
            FaultKind::NotPermitted,
        );
    }
    // Downwards it is free, and up again to what it was given.
    for limit in [10, 1000] {
        let set = values(&[("inference.day", Some(limit)), ("key.inference.day", Some(5))]);
        let set = identity.set_limits(&a.admin, &LimitTarget::Own, None, set).await.unwrap();
        assert_eq!(cap(&set, LimitLevel::Organization, "inference.day").0, Some(limit));
    }
    // Some get more than the others.
    let less = values(&[("user.inference.day", Some(20))]);
    identity.set_limits(&a.admin, &organization("a"), None, less).await.unwrap();
    let more = values(&[("inference.day", Some(80))]);
    let more = identity.set_limits(&a.admin, &user("a-member"), None, more).await.unwrap();
    assert_eq!(cap(&more, LimitLevel::User, "inference.day"), (Some(80), LimitSource::UserAdmin));

    // What a superadmin sets is the most there is, at once, and cannot be taken back.
    let granted = values(&[("inference.day", Some(50))]);
    identity.set_limits(&root, &user("a-member"), None, granted).await.unwrap();
    let names = vec!["inference.day".parse().unwrap()];
    refused(identity.unset_limits(&a.admin, &user("a-member"), None, names).await, FaultKind::NotPermitted);
    let all = identity.unset_limits(&a.admin, &user("a-member"), None, vec![]).await.unwrap();
    assert_eq!(cap(&all, LimitLevel::User, "inference.day"), (Some(50), LimitSource::User));

    // A profile that is tighter than its own it may choose; the fleet's values are not its own.
    refused(
        identity.set_limit_profile(&a.admin, Some("a"), LimitProfile::Team, false).await,
        FaultKind::NotPermitted,
    );
    refused(
        identity.set_limit_profile(&a.admin, None, LimitProfile::Standard, false).await,
        FaultKind::NotPermitted,
    );
    // Nor may one bound to it say so of a user above.
    let auditor = user_record("a-auditor", Role::Auditor, Some(&a.id));
    rig.store().users().insert(auditor).await.unwrap();
    refused(
        identity.set_limits(&a.admin, &user("a-auditor"), None, values(&[("concurrent", Some(1))])).await,
        FaultKind::NotPermitted,
    );
}

/// What was answered holds for the next request: the snapshot has it, and what was used stays.
#[tokio::test]
async fn what_is_set_is_in_force_at_once() {
    use aivonx_limits::{Clock, Kind, Limits as Engine};
    let (rig, a, _) = Rig::with_two().await;
    let id = key(&rig, &a, None).await;
    let (identity, store) = (&rig.identity, rig.store());
    let clock = Clock::system(std::time::Duration::ZERO);
    let engine = Engine::open(store.clone(), identity.accounts().clone(), clock).await.unwrap();
    identity.count_with(&engine);
    let hot = |name: LimitName| {
        let hot = identity.hot().load();
        let member = hot.user_by_name("a-member").unwrap().level.caps.of(name);
        [
            hot.organization(&a.id).unwrap().level.caps.of(name),
            member,
            hot.key(&id).unwrap().level.caps.of(name),
        ]
    };
    assert_eq!(hot(LimitName::InferenceDay), [None, None, None]);
    standard(&rig, &a).await;
    assert_eq!(hot(LimitName::InferenceDay), [Some(1000), Some(100), Some(100)]);
    assert_eq!(hot(LimitName::BurstMinute), [None, Some(10), Some(10)], "of each, not of all together");
    assert_eq!(hot(LimitName::LoginHour), [None, None, None]);
    let account = identity.hot().load().organization(&a.id).unwrap().level.account.clone();
    let set = values(&[("inference.day", Some(3)), ("key.inference.day", Some(2))]);
    identity.set_limits(&root(), &organization("a"), None, set).await.unwrap();
    assert_eq!(hot(LimitName::InferenceDay), [Some(3), Some(100), Some(2)]);
    let now = identity.hot().load().organization(&a.id).unwrap().level.account.clone();
    assert!(std::sync::Arc::ptr_eq(&account, &now), "the count goes on");

    assert_eq!(engine.fleet().of(LimitName::LoginHour), None);
    identity.set_limit_profile(&root(), None, LimitProfile::Standard, false).await.unwrap();
    assert_eq!(engine.fleet().of(LimitName::LoginHour), Some(10));
    assert_eq!(engine.fleet().of(LimitName::PromptChars), Some(10_000));

    let ask = Ask { prompt: 5, output: Output::Nothing, price: Price::FREE };
    let levels = |hot: &Snapshot| hot.key(&id).unwrap().clone();
    let running = engine.reserve(Caller::Key(levels(&identity.hot().load())).levels(), &ask).await.unwrap();
    let used = |limits: &Limits, level, name: &str| {
        let name: LimitSetting = name.parse().unwrap();
        let found = limits.limits.iter().find(|limit| limit.level == level && limit.name == name).unwrap();
        (found.used, found.resets)
    };
    let target = LimitTarget::Key { organization: None, key: id.clone() };
    let shown = identity.limits(&root(), &target).await.unwrap();
    let resets = Some(engine.usage_of(Kind::Key, &id).day_ends);
    assert_eq!(used(&shown, LimitLevel::Key, "inference.day"), (Some(1), resets));
    assert_eq!(used(&shown, LimitLevel::Key, "concurrent"), (Some(1), None));
    assert_eq!(used(&shown, LimitLevel::Organization, "inference.day"), (Some(1), resets));
    drop(running);
    let own = identity.limits(&a.member, &LimitTarget::Own).await.unwrap();
    assert_eq!(used(&own, LimitLevel::User, "inference.day"), (Some(0), resets));
    assert_eq!(
        used(&own, LimitLevel::Organization, "inference.day"),
        (None, None),
        "not a member's business"
    );
}

#[tokio::test]
async fn only_what_fits_can_be_set() {
    let (rig, a, _) = Rig::with_two().await;
    let key = key(&rig, &a, None).await;
    let of_key = || LimitTarget::Key { organization: Some("a".into()), key: "ci".into() };
    for (target, name, limit) in [
        (organization("a"), "login.hour", Some(1)),
        (user("a-member"), "anonymous.hour", Some(1)),
        (of_key(), "token.hour", Some(1)),
        (of_key(), "user.inference.day", Some(1)),
        (organization("a"), "inference.day", Some(u64::MAX)),
    ] {
        let fault =
            rig.identity.set_limits(&root(), &target, None, values(&[(name, limit)])).await.unwrap_err();
        assert_eq!(
            (fault.kind, fault.field.as_deref()),
            (FaultKind::Invalid, Some("limit")),
            "{name}: {fault}"
        );
    }
    let nothing = rig.identity.set_limits(&root(), &organization("a"), None, vec![]).await.unwrap_err();
    assert_eq!(nothing.kind, FaultKind::Invalid);
    // A prefix that says what the target says already makes no difference.
    for name in ["inference.day", "key.inference.day"] {
        let set =
            rig.identity.set_limits(&root(), &of_key(), None, values(&[(name, Some(4))])).await.unwrap();
        assert_eq!(cap(&set, LimitLevel::Key, "inference.day"), (Some(4), LimitSource::Key));
        assert_eq!(set.id.as_deref(), Some(key.as_str()));
    }
    let set = values(&[("user.inference.day", Some(6))]);
    let set = rig.identity.set_limits(&root(), &user("a-member"), None, set).await.unwrap();
    assert_eq!(cap(&set, LimitLevel::User, "inference.day"), (Some(6), LimitSource::User));
}

#[tokio::test]
async fn tenants_do_not_reach_each_others_limits() {
    let (rig, a, b) = Rig::with_two().await;
    let identity = &rig.identity;
    let key = key(&rig, &b, None).await;
    let one = || values(&[("inference.day", Some(1))]);
    let b_member = b.member.user.clone().unwrap();
    for (noun, asked, target) in [
        ("organization", "b", organization("b")),
        ("organization", &*b.id, organization(&b.id)),
        ("user", "b-member", user("b-member")),
        ("user", &*b_member, user(&b_member)),
        ("key", &*key, LimitTarget::Key { organization: None, key: key.clone() }),
    ] {
        rig.assert_foreign(noun, asked, identity.limits(&a.admin, &target)).await;
        rig.assert_foreign(noun, asked, identity.set_limits(&a.admin, &target, None, one())).await;
        rig.assert_foreign(noun, asked, identity.unset_limits(&a.admin, &target, None, vec![])).await;
        if noun != "organization" {
            rig.assert_foreign(noun, asked, identity.limits(&a.member, &target)).await;
        }
    }
    let profile = identity.set_limit_profile(&a.admin, Some("b"), LimitProfile::Standard, true);
    rig.assert_foreign("organization", "b", profile).await;
    // Within one organization a member sees itself alone, and not the whole.
    rig.assert_foreign("user", "a-admin", identity.limits(&a.member, &user("a-admin"))).await;
    let whole = identity.limits(&a.member, &organization("a")).await.unwrap_err();
    assert_eq!(whole.kind, FaultKind::NotPermitted);
    assert_eq!(rig.store().limits().list(&TenantScope::All).await.unwrap(), [], "nothing was set");
    // An auditor of the fleet sees all of them.
    let auditor = actor(None, Role::Auditor, None);
    assert_eq!(
        identity.limits(&auditor, &user("b-member")).await.unwrap().organization.as_deref(),
        Some("b")
    );
}

#[tokio::test]
async fn limits_go_with_what_they_are_set_on() {
    let (rig, a, b) = Rig::with_two().await;
    let (store, member) = (rig.store(), a.member.user.clone().unwrap());
    let key = key(&rig, &a, Some(&member)).await;
    let of_key = LimitTarget::Key { organization: None, key: key.clone() };
    for target in [organization("a"), user("a-member"), of_key] {
        let set = values(&[("inference.day", Some(9))]);
        rig.identity.set_limits(&root(), &target, None, set).await.unwrap();
    }
    let own = values(&[("tokens.day", Some(5))]);
    rig.identity.set_limits(&a.admin, &user("a-member"), None, own).await.unwrap();

    // A user who moves keeps the limits that a superadmin set, and none that the former organization set.
    store
        .users()
        .update(&TenantScope::All, &member, None, {
            let b = b.id.clone();
            move |user| user.organization = Some(b)
        })
        .await
        .unwrap();
    let moved = store.limits().get(&TenantScope::Organization(b.id.clone()), &member).await.unwrap().unwrap();
    assert_eq!((moved.granted.len(), moved.own), (1, LimitValues::new()));

    store.users().remove(&TenantScope::All, &member, None).await.unwrap();
    let left: Vec<String> =
        store.limits().list(&TenantScope::All).await.unwrap().into_iter().map(|l| l.id).collect();
    assert_eq!(left, std::slice::from_ref(&a.id));
    store.organizations().remove_with_contents(&TenantScope::All, &a.id, None).await.unwrap();
    assert_eq!(store.limits().list(&TenantScope::All).await.unwrap(), []);
    store.verify().await.unwrap();
    // And nothing can be set on what is gone.
    let subject = LimitSubject::Organization { id: a.id.clone() };
    let limits = store.limits();
    let late = limits.revise(&TenantScope::All, subject, None, |record| {
        record.granted.insert("inference.day".parse().unwrap(), Some(1));
        Ok(())
    });
    assert!(late.await.is_err());
}
