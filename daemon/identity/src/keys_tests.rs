use aivonx_protocol::organization::NodeAccess;
use aivonx_store::OrganizationRecord;

use super::*;
use crate::{
    Caller, NotKnown,
    rig::{Rig, Tenant, actor, root, user_record},
};

fn new(name: &str, organization: Option<&str>, user: Option<&str>) -> NewKey {
    NewKey {
        name: name.into(),
        organization: organization.map(str::to_owned),
        user: user.map(str::to_owned),
        scopes: vec![KeyScope::Infer],
        models: vec![],
        networks: vec![],
        expires: None,
    }
}

/// Whether the data path takes the secret now.
fn works(rig: &Rig, secret: &WireSecret) -> bool {
    let hot = rig.identity.hot().load();
    match Caller::of_key(&hot, secret.expose(), [127, 0, 0, 1].into(), now()) {
        Ok(_) => true,
        Err(NotKnown::Key | NotKnown::ShutOff) => false,
        Err(e) => panic!("{e}"),
    }
}

#[tokio::test]
async fn a_key_works_at_once_and_until_it_is_revoked() {
    let (rig, ..) = Rig::with_two().await;
    let identity = &rig.identity;
    let made = identity.create_key(&root(), new("ci", Some("a"), None)).await.unwrap();
    assert_eq!((made.key.organization.as_deref(), made.key.user.as_deref()), (Some("a"), None));
    assert!(made.secret.expose().starts_with(&made.key.prefix) && made.key.prefix.len() == 12);
    assert!(works(&rig, &made.secret));
    let shown = identity.key(&root(), Some("a"), "ci").await.unwrap();
    assert!(shown.last_used.is_some(), "it was used");
    assert_eq!(Key { last_used: None, ..shown }, Key { last_used: None, ..made.key.clone() });
    let stored = rig.store().keys().get(&TenantScope::All, &made.key.id).await.unwrap().unwrap();
    assert!(!format!("{stored:?}").contains(&made.secret.expose()[12..]));

    let revoked = identity.revoke_key(&root(), Some("a"), "ci").await.unwrap();
    assert!(revoked.revoked.is_some());
    assert!(!works(&rig, &made.secret), "at once");
    let again = identity.revoke_key(&root(), None, &made.key.id).await.unwrap();
    assert_eq!((again.revoked, again.revision), (revoked.revoked, revoked.revision));
    for fault in [
        identity.rotate_key(&root(), None, &made.key.id, 0).await.map(drop).unwrap_err(),
        identity
            .set_key(&root(), None, &made.key.id, None, KeyChange::default())
            .await
            .map(drop)
            .unwrap_err(),
    ] {
        assert_eq!(fault.kind, FaultKind::Conflict, "{fault}");
    }
    assert_eq!(identity.keys(&root(), None, None, false).await.unwrap(), []);
    assert_eq!(identity.keys(&root(), None, None, true).await.unwrap().len(), 1);
    // Its name is free.
    let next = identity.create_key(&root(), new("ci", Some("a"), None)).await.unwrap();
    assert_eq!(identity.key(&root(), Some("a"), "ci").await.unwrap().id, next.key.id);
}

#[tokio::test]
async fn a_rotated_key_works_for_its_grace_and_no_longer() {
    let (rig, ..) = Rig::with_two().await;
    let identity = &rig.identity;
    let first = identity.create_key(&root(), new("ci", Some("a"), None)).await.unwrap();
    let second = identity.rotate_key(&root(), Some("a"), "ci", 60_000).await.unwrap();
    assert_ne!(first.secret, second.secret);
    assert_ne!(first.key.prefix, second.key.prefix);
    assert!(second.key.grace_until.is_some_and(|until| until > now()));
    assert!(works(&rig, &first.secret) && works(&rig, &second.secret));
    // What is stored says when; the clock decides.
    let hot = identity.hot().load().clone();
    let later = now() + 60_001;
    let caller = |secret: &WireSecret| Caller::of_key(&hot, secret.expose(), [127, 0, 0, 1].into(), later);
    assert!(caller(&first.secret).is_err() && caller(&second.secret).is_ok());
    let third = identity.rotate_key(&root(), Some("a"), "ci", 60_000).await.unwrap();
    assert!(!works(&rig, &first.secret), "the grace of the grace is none");
    assert!(works(&rig, &second.secret) && works(&rig, &third.secret));
    let fourth = identity.rotate_key(&root(), Some("a"), "ci", 0).await.unwrap();
    assert_eq!(fourth.key.grace_until, None);
    assert!(!works(&rig, &third.secret) && works(&rig, &fourth.secret));
    let long = identity.rotate_key(&root(), Some("a"), "ci", GRACE_MAX + 1).await.unwrap_err();
    assert_eq!(long.field.as_deref(), Some("grace"));
    identity.revoke_key(&root(), Some("a"), "ci").await.unwrap();
    assert!(!works(&rig, &fourth.secret));
}

#[tokio::test]
async fn fields_are_checked_and_named() {
    let (rig, ..) = Rig::with_two().await;
    let base = || new("x", Some("a"), None);
    let cases = [
        (NewKey { name: "X".into(), ..base() }, "name"),
        (NewKey { scopes: vec![], ..base() }, "scope"),
        (NewKey { models: vec![" ".into()], ..base() }, "models"),
        (NewKey { networks: vec!["here".into()], ..base() }, "networks"),
        (NewKey { expires: Some(1), ..base() }, "expires"),
    ];
    for (wrong, field) in cases {
        let fault = rig.identity.create_key(&root(), wrong).await.unwrap_err();
        assert_eq!((fault.kind, fault.field.as_deref()), (FaultKind::Invalid, Some(field)), "{fault}");
        assert!(fault.hint.is_some());
    }
    let fault = rig.identity.key(&root(), None, "nothing").await.unwrap_err();
    assert!(fault.hint.is_some_and(|hint| hint.contains("key list")));
}

#[tokio::test]
async fn a_key_is_changed_within_what_its_maker_may() {
    let (rig, a, _b) = Rig::with_two().await;
    let identity = &rig.identity;
    let made = identity.create_key(&a.admin, new("ci", None, None)).await.unwrap();
    assert_eq!(made.key.organization.as_deref(), Some("a"));
    let change = KeyChange {
        name: Some("ci-2".into()),
        models: Some(vec!["qwen3*".into()]),
        networks: Some(vec!["127.0.0.1/8".into()]),
        expires: Some(Some(now() + 60_000)),
        scopes: Some(vec![KeyScope::ModelsRead, KeyScope::Infer, KeyScope::Infer]),
    };
    let changed = identity.set_key(&a.admin, None, "ci", Some(1), change.clone()).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.networks[0].as_str()), ("ci-2", "127.0.0.0/8"));
    assert_eq!(changed.scopes, [KeyScope::Infer, KeyScope::ModelsRead]);
    let stale = identity.set_key(&a.admin, None, "ci-2", Some(1), change).await.unwrap_err();
    assert_eq!(stale.kind, FaultKind::Conflict);
    let scopes = |scope| KeyChange { scopes: Some(vec![scope]), ..KeyChange::default() };
    for scope in [KeyScope::ModelsWrite, KeyScope::AdminRead] {
        let fault = identity.set_key(&a.admin, None, "ci-2", None, scopes(scope)).await.unwrap_err();
        assert_eq!((fault.kind, fault.field.as_deref()), (FaultKind::NotPermitted, Some("scope")), "{fault}");
        // What a superadmin gave is not loosened, nor its secret handed out.
        identity.set_key(&root(), Some("a"), "ci-2", None, scopes(scope)).await.unwrap();
        let loosen = KeyChange { networks: Some(vec![]), ..KeyChange::default() };
        let fault = identity.set_key(&a.admin, None, "ci-2", None, loosen).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::NotPermitted);
        let fault = identity.rotate_key(&a.admin, None, "ci-2", 0).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::NotPermitted);
    }
    // Ending it is always allowed.
    identity.revoke_key(&a.admin, None, "ci-2").await.unwrap();
    // With nodes of its own the organization may manage models.
    let exclusive = |o: &mut OrganizationRecord| o.nodes = NodeAccess::Exclusive;
    rig.store().organizations().update(&TenantScope::All, &a.id, None, exclusive).await.unwrap();
    let writing = NewKey { scopes: vec![KeyScope::ModelsWrite], ..new("w", None, None) };
    identity.create_key(&a.admin, writing.clone()).await.unwrap();
    let fault = identity.create_key(&a.member, writing).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::NotPermitted);
}

#[tokio::test]
async fn a_member_has_keys_of_its_own_only() {
    let (rig, a, _b) = Rig::with_two().await;
    let identity = &rig.identity;
    let own = identity.create_key(&a.member, new("laptop", None, None)).await.unwrap();
    let named = (own.key.user.as_deref(), own.key.organization.as_deref());
    assert_eq!(named, (Some("a-member"), Some("a")));
    identity.create_key(&a.member, new("phone", Some("a"), Some("a-member"))).await.unwrap();
    for asked in ["a-admin", "b-member"] {
        let making = identity.create_key(&a.member, new("x", None, Some(asked)));
        rig.assert_foreign("user", asked, making).await;
    }
    identity.create_key(&a.admin, new("ci", None, None)).await.unwrap();
    let seen = identity.keys(&a.member, None, None, true).await.unwrap();
    assert_eq!(seen.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["laptop", "phone"]);
    rig.assert_foreign("key", "ci", identity.key(&a.member, None, "ci")).await;
    rig.assert_foreign("key", "ci", identity.revoke_key(&a.member, None, "ci")).await;
    identity.revoke_key(&a.member, None, "laptop").await.unwrap();
    assert!(!works(&rig, &own.secret));
}

#[tokio::test]
async fn a_member_has_so_many_keys() {
    let (rig, a, _b) = Rig::with_two().await;
    for n in 0..MEMBER_KEYS {
        let record = KeyRecord {
            organization: Some(a.id.clone()),
            user: a.member.user.clone(),
            ..KeyRecord::new(&format!("k{n}"), (1, [u8::try_from(n).unwrap(); 32]))
        };
        rig.store().keys().insert(record).await.unwrap();
    }
    let fault = rig.identity.create_key(&a.member, new("more", None, None)).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Conflict);
    rig.identity.create_key(&a.admin, new("more", None, None)).await.unwrap();
    rig.identity.revoke_key(&a.member, None, "k0").await.unwrap();
    rig.identity.create_key(&a.member, new("less", None, None)).await.unwrap();
}

#[tokio::test]
async fn a_key_names_no_user_of_another_organization() {
    let (rig, a, b) = Rig::with_two().await;
    let identity = &rig.identity;
    let id = b.member.user.clone().unwrap();
    rig.store().users().insert(user_record("fleet", Role::Auditor, None)).await.unwrap();
    for asked in ["b-member", id.as_str(), "fleet"] {
        rig.assert_foreign("user", asked, identity.create_key(&a.admin, new("x", None, Some(asked)))).await;
        // Nor does a superadmin bind one tenant's user to another's key.
        rig.assert_foreign("user", asked, identity.create_key(&root(), new("x", Some("a"), Some(asked))))
            .await;
    }
    let before = rig.cross_org_denied();
    let missing = identity.create_key(&a.admin, new("x", None, Some("nobody"))).await.unwrap_err();
    assert_eq!(missing.message, "there is no user \"nobody\"");
    assert_eq!(rig.cross_org_denied(), before);
    // Without an organization the user's own is meant.
    let made = identity.create_key(&root(), new("x", None, Some("b-member"))).await.unwrap();
    assert_eq!(made.key.organization.as_deref(), Some("b"));
    let fleet = identity.create_key(&root(), new("y", None, Some("fleet"))).await.unwrap();
    assert_eq!(fleet.key.organization, None);
}

/// Every function, from the actors of one tenant against a key of another or of the fleet.
async fn assert_isolated(rig: &Rig, a: &Tenant, key: &Key, secret: &WireSecret) {
    let identity = &rig.identity;
    let id = key.id.as_str();
    for actor in a.actors() {
        assert!(identity.keys(actor, None, None, true).await.unwrap().iter().all(|seen| seen.id != id));
        rig.assert_foreign("key", id, identity.key(actor, None, id)).await;
        rig.assert_foreign("key", id, identity.key(actor, Some("a"), id)).await;
        let change = KeyChange { networks: Some(vec![]), ..KeyChange::default() };
        rig.assert_foreign("key", id, identity.set_key(actor, None, id, Some(9), change)).await;
        rig.assert_foreign("key", id, identity.rotate_key(actor, None, id, 0)).await;
        rig.assert_foreign("key", id, identity.revoke_key(actor, None, id)).await;
        if let Some(other) = &key.organization {
            let change = KeyChange { networks: Some(vec![]), ..KeyChange::default() };
            let (noun, name) = ("organization", key.name.as_str());
            rig.assert_foreign(noun, other, identity.keys(actor, Some(other), None, true)).await;
            rig.assert_foreign(noun, other, identity.create_key(actor, new("x", Some(other), None))).await;
            rig.assert_foreign(noun, other, identity.key(actor, Some(other), name)).await;
            rig.assert_foreign(noun, other, identity.set_key(actor, Some(other), name, None, change)).await;
            rig.assert_foreign(noun, other, identity.rotate_key(actor, Some(other), name, 0)).await;
            rig.assert_foreign(noun, other, identity.revoke_key(actor, Some(other), name)).await;
        }
    }
    assert!(works(rig, secret));
    assert_eq!(rig.store().keys().get(&TenantScope::All, id).await.unwrap().unwrap().revision, 1);
}

#[tokio::test]
async fn no_function_reaches_into_another_tenant() {
    let (rig, a, _b) = Rig::with_two().await;
    let identity = &rig.identity;
    let tenant = identity.create_key(&root(), new("ci", Some("b"), None)).await.unwrap();
    let member = identity.create_key(&root(), new("laptop", Some("b"), Some("b-member"))).await.unwrap();
    let fleet = identity.create_key(&root(), new("fleet", None, None)).await.unwrap();
    for made in [&tenant, &member, &fleet] {
        assert_isolated(&rig, &a, &made.key, &made.secret).await;
    }
    rig.assert_foreign("user", "b-member", identity.keys(&a.admin, None, Some("b-member"), true)).await;
    // The same name in the own organization is another key, and not found before it is there.
    let before = rig.cross_org_denied();
    let fault = identity.key(&a.admin, None, "ci").await.unwrap_err();
    assert_eq!(fault.message, "there is no key \"ci\"");
    let own = identity.create_key(&a.admin, new("ci", None, None)).await.unwrap();
    assert_eq!(identity.key(&a.admin, None, "ci").await.unwrap().id, own.key.id);
    assert_eq!(rig.cross_org_denied(), before);
    // A key of one organization is not found under another's name, by those who see both.
    let fault = identity.key(&root(), Some("a"), &tenant.key.id).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::NotFound);
    let auditor = actor(Some("x"), Role::Auditor, None);
    assert_eq!(identity.keys(&auditor, None, None, false).await.unwrap().len(), 4);
    assert_eq!(identity.keys(&auditor, Some("b"), None, false).await.unwrap().len(), 2);
    assert_eq!(identity.keys(&auditor, None, Some("b-member"), false).await.unwrap().len(), 1);
}

#[tokio::test]
async fn keys_end_with_their_user_and_organization() {
    let (rig, ..) = Rig::with_two().await;
    let identity = &rig.identity;
    let member = identity.create_key(&root(), new("m", Some("a"), Some("a-member"))).await.unwrap();
    let tenant = identity.create_key(&root(), new("t", Some("a"), None)).await.unwrap();
    identity.set_user_enabled(&root(), "a-member", None, false).await.unwrap();
    assert!(!works(&rig, &member.secret) && works(&rig, &tenant.secret));
    identity.set_user_enabled(&root(), "a-member", None, true).await.unwrap();
    assert!(works(&rig, &member.secret));
    let disable = |enabled| aivonx_protocol::organization::OrganizationChange {
        enabled: Some(enabled),
        ..Default::default()
    };
    identity.set_organization(&root(), "a", None, disable(false)).await.unwrap();
    assert!(!works(&rig, &member.secret) && !works(&rig, &tenant.secret));
    identity.set_organization(&root(), "a", None, disable(true)).await.unwrap();
    let change =
        aivonx_protocol::user::UserChange { organization: Some(Some("b".into())), ..Default::default() };
    identity.set_user(&root(), "a-member", None, change).await.unwrap();
    assert!(!works(&rig, &member.secret) && works(&rig, &tenant.secret));
    identity.remove_user(&root(), "a-member", None).await.unwrap();
    assert_eq!(identity.key(&root(), None, &member.key.id).await.unwrap_err().kind, FaultKind::NotFound);
    identity.remove_organization(&root(), "a", None, true).await.unwrap();
    assert!(!works(&rig, &tenant.secret));
}
