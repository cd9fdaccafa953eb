use aivonx_protocol::session::SessionKind;
use aivonx_store::StoredTotp;

use super::*;
use crate::{
    Source,
    rig::{Rig, Tenant, actor, root, user_record},
};

fn new(name: &str, role: Role, organization: Option<&str>) -> NewUser {
    NewUser {
        name: name.into(),
        display_name: None,
        email: None,
        role,
        organization: organization.map(str::to_owned),
        password: None,
    }
}

fn session_record(user: &UserRecord) -> SessionRecord {
    SessionRecord {
        peer_uid: Some(1000),
        expires: now() + 3_600_000,
        ..SessionRecord::new(SessionKind::Control, user, [9; 32], now())
    }
}

async fn record(rig: &Rig, name: &str) -> UserRecord {
    rig.store().users().by_name(&TenantScope::All, None, name).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_user_is_added_with_a_password_that_follows_the_rules() {
    let (rig, ..) = Rig::with_two().await;
    let mut alice = new("alice", Role::Member, Some("a"));
    alice.password = Some(WireSecret::new("alice-alice-1".into()));
    let fault = rig.identity.add_user(&root(), alice.clone()).await.unwrap_err();
    assert_eq!((fault.kind, fault.field.as_deref()), (FaultKind::Invalid, Some("password")));
    assert!(fault.message.contains("user name"), "{fault}");
    alice.password = Some(WireSecret::new("correct horse battery staple".into()));
    let added = rig.identity.add_user(&root(), alice.clone()).await.unwrap();
    assert_eq!((added.organization.as_deref(), added.role), (Some("a"), Role::Member));
    assert!(!added.must_change_password && added.enabled && !added.totp);
    let stored = record(&rig, "alice").await;
    let verdict = rig
        .identity
        .hashers
        .at(&Source::Daemon)
        .verify(stored.password.as_deref(), alice.password.clone().unwrap());
    assert!(verdict.await.unwrap().ok);
    assert_eq!(rig.identity.add_user(&root(), alice).await.unwrap_err().kind, FaultKind::Conflict);
    assert!(rig.identity.hot().load().user_by_name("alice").is_some(), "at once");
}

#[tokio::test]
async fn fields_and_roles_are_checked_and_named() {
    let (rig, ..) = Rig::with_two().await;
    let member = || new("x", Role::Member, Some("a"));
    let cases = [
        (NewUser { name: "X".into(), ..member() }, "name"),
        (NewUser { display_name: Some("\u{1b}".into()), ..member() }, "display-name"),
        (NewUser { email: Some("x".into()), ..member() }, "email"),
        (new("x", Role::Superadmin, Some("a")), "org"),
        (new("x", Role::OrgAdmin, None), "org"),
        (new("x", Role::Member, None), "org"),
    ];
    for (wrong, field) in cases {
        let fault = rig.identity.add_user(&root(), wrong).await.unwrap_err();
        assert_eq!((fault.kind, fault.field.as_deref()), (FaultKind::Invalid, Some(field)), "{fault}");
        assert!(fault.hint.is_some());
    }
}

#[tokio::test]
async fn an_org_admin_manages_org_admins_and_members_of_its_own() {
    let (rig, a, b) = Rig::with_two().await;
    let identity = &rig.identity;
    for role in [Role::Superadmin, Role::Operator, Role::Auditor] {
        let fault = identity.add_user(&a.admin, new("x", role, None)).await.unwrap_err();
        assert_eq!((fault.kind, fault.field.as_deref()), (FaultKind::NotPermitted, Some("role")), "{role}");
    }
    // Its own organization is meant where none is named.
    let member = identity.add_user(&a.admin, new("m@a", Role::Member, None)).await.unwrap();
    assert_eq!(member.organization.as_deref(), Some("a"));
    identity.add_user(&a.admin, new("n@a", Role::OrgAdmin, Some("a"))).await.unwrap();
    rig.assert_foreign("organization", "b", identity.add_user(&a.admin, new("o", Role::Member, Some("b"))))
        .await;

    let promote = |role| UserChange { role: Some(role), ..UserChange::default() };
    identity.set_user(&a.admin, "m@a", None, promote(Role::OrgAdmin)).await.unwrap();
    for role in [Role::Operator, Role::Auditor] {
        let fault = identity.set_user(&a.admin, "m@a", None, promote(role)).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::NotPermitted, "{fault}");
    }
    let out = UserChange { organization: Some(None), ..UserChange::default() };
    assert_eq!(
        identity.set_user(&a.admin, "m@a", None, out).await.unwrap_err().kind,
        FaultKind::NotPermitted
    );
    let across = UserChange { organization: Some(Some(b.id.clone())), ..UserChange::default() };
    rig.assert_foreign("organization", &b.id, identity.set_user(&a.admin, "m@a", None, across)).await;

    // One of its organization who is above it is shown and not touched.
    rig.store().users().insert(user_record("op", Role::Operator, Some(&a.id))).await.unwrap();
    identity.user(&a.admin, "op").await.unwrap();
    let refused = |fault: Fault| assert_eq!(fault.kind, FaultKind::NotPermitted, "{fault}");
    refused(identity.set_user(&a.admin, "op", None, promote(Role::Member)).await.unwrap_err());
    refused(identity.set_user_enabled(&a.admin, "op", None, false).await.unwrap_err());
    refused(identity.remove_user(&a.admin, "op", None).await.unwrap_err());
    refused(identity.reset_password(&a.admin, "op").await.unwrap_err());
    refused(identity.reset_totp(&a.admin, "op").await.unwrap_err());
    refused(identity.end_sessions(&a.admin, "op", None).await.unwrap_err());
    assert_eq!(record(&rig, "op").await.revision, 1);
}

#[tokio::test]
async fn a_name_that_is_taken_elsewhere_is_told_like_any_other() {
    let (rig, a, b) = Rig::with_two().await;
    let identity = &rig.identity;
    let plain = |fault: Fault, name: &str| {
        assert_eq!((fault.kind, fault.field.as_deref()), (FaultKind::Invalid, Some("name")), "{fault}");
        fault.to_string().replace(name, "NAME")
    };
    identity.add_user(&root(), new("in-b@b", Role::Member, Some("b"))).await.unwrap();
    let mut told = Vec::new();
    for name in ["b-member", "nobody", "in-b@b", "nobody@b", "x@nowhere"] {
        let added = identity.add_user(&a.admin, new(name, Role::Member, None)).await;
        told.push(plain(added.unwrap_err(), name));
        let change = UserChange { name: Some(name.into()), ..UserChange::default() };
        told.push(plain(identity.set_user(&a.admin, "a-member", None, change).await.unwrap_err(), name));
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("end in @a"), "{told:?}");
    let alice = identity.add_user(&a.admin, new("alice@a", Role::Member, None)).await.unwrap();
    let taken = identity.add_user(&a.admin, new("alice@a", Role::Member, None)).await.unwrap_err();
    assert_eq!(taken.kind, FaultKind::Conflict);
    // Nobody else has names of that form, so none of them can be taken.
    let fault = identity.add_user(&root(), new("bob@a", Role::Member, Some("b"))).await.unwrap_err();
    plain(fault, "bob@a");
    let away = UserChange { organization: Some(Some(b.id.clone())), ..UserChange::default() };
    let fault = identity.set_user(&root(), &alice.id, None, away.clone()).await.unwrap_err();
    plain(fault, "alice@a");
    let away = UserChange { name: Some("alice".into()), ..away };
    identity.set_user(&root(), &alice.id, None, away).await.unwrap();
    // What is no organization is part of a name, such as an address.
    identity.add_user(&root(), new("carol@example.org", Role::Member, Some("b"))).await.unwrap();
}

/// Every function, from the actors of one tenant against a user of another and one of the fleet.
async fn assert_isolated(rig: &Rig, a: &Tenant, victim: &UserRecord) {
    let identity = &rig.identity;
    let session = rig.store().sessions().insert(session_record(victim)).await.unwrap();
    let before = record(rig, &victim.name).await;
    for actor in a.actors() {
        let seen = identity.users(actor, None, None).await.unwrap();
        assert!(seen.iter().all(|user| user.id != victim.id));
        for asked in [victim.name.as_str(), victim.id.as_str()] {
            rig.assert_foreign("user", asked, identity.user(actor, asked)).await;
            let change = UserChange { email: Some(None), ..UserChange::default() };
            rig.assert_foreign("user", asked, identity.set_user(actor, asked, Some(77), change)).await;
            rig.assert_foreign("user", asked, identity.set_user_enabled(actor, asked, None, false)).await;
            rig.assert_foreign("user", asked, identity.remove_user(actor, asked, None)).await;
            rig.assert_foreign("user", asked, identity.reset_password(actor, asked)).await;
            rig.assert_foreign("user", asked, identity.reset_totp(actor, asked)).await;
            rig.assert_foreign("user", asked, identity.user_sessions(actor, asked)).await;
            rig.assert_foreign("user", asked, identity.end_sessions(actor, asked, None)).await;
        }
    }
    // Their session under one's own name.
    let ending = identity.end_sessions(&a.admin, "a-member", Some(&session.id));
    rig.assert_foreign("session", &session.id, ending).await;
    assert_eq!(record(rig, &victim.name).await, before);
    assert_eq!(rig.store().sessions().get(&TenantScope::All, &session.id).await.unwrap(), Some(session));
}

#[tokio::test]
async fn no_function_reaches_into_another_tenant() {
    let (rig, a, b) = Rig::with_two().await;
    let fleet = rig.store().users().insert(user_record("fleet", Role::Auditor, None)).await.unwrap();
    assert_isolated(&rig, &a, &record(&rig, "b-member").await).await;
    assert_isolated(&rig, &a, &fleet).await;
    let identity = &rig.identity;
    for actor in a.actors() {
        rig.assert_foreign("organization", &b.slug, identity.users(actor, Some(&b.slug), None)).await;
    }
    // A member does not reach its colleagues either.
    rig.assert_foreign("user", "a-admin", identity.user(&a.member, "a-admin")).await;
    let names = |users: Vec<User>| users.into_iter().map(|user| user.name).collect::<Vec<_>>();
    assert_eq!(names(identity.users(&a.member, None, None).await.unwrap()), ["a-member"]);
    assert_eq!(names(identity.users(&a.admin, Some("a"), None).await.unwrap()), ["a-admin", "a-member"]);
    let auditor = actor(Some(&fleet.id), Role::Auditor, None);
    assert_eq!(identity.users(&auditor, None, None).await.unwrap().len(), 5);
    assert_eq!(names(identity.users(&auditor, Some("b"), None).await.unwrap()), ["b-admin", "b-member"]);
    let members = identity.users(&auditor, None, Some(Role::Member)).await.unwrap();
    assert_eq!(names(members), ["a-member", "b-member"]);
    // A forged id is missing, and nobody's.
    let before = rig.cross_org_denied();
    let forged = "0190f0f0-0000-7000-8000-000000000000";
    let fault = identity.user(&a.admin, forged).await.unwrap_err();
    assert_eq!(fault.message, format!("there is no user \"{forged}\""));
    assert_eq!(rig.cross_org_denied(), before);
}

#[tokio::test]
async fn what_is_taken_away_ends_the_sessions() {
    let (rig, _a, _b) = Rig::with_two().await;
    let identity = &rig.identity;
    let log_in = async || {
        let user = record(&rig, "a-member").await;
        for _ in 0..2 {
            rig.store().sessions().insert(session_record(&user)).await.unwrap();
        }
        assert_eq!(identity.user_sessions(&root(), "a-member").await.unwrap().len(), 2);
    };
    let ended = async || assert_eq!(identity.user_sessions(&root(), "a-member").await.unwrap(), []);

    log_in().await;
    identity.reset_totp(&root(), "a-member").await.unwrap();
    ended().await;
    log_in().await;
    identity.reset_password(&root(), "a-member").await.unwrap();
    ended().await;
    log_in().await;
    let change = UserChange { role: Some(Role::OrgAdmin), ..UserChange::default() };
    identity.set_user(&root(), "a-member", None, change).await.unwrap();
    ended().await;
    log_in().await;
    let change = UserChange { display_name: Some(Some("A".into())), ..UserChange::default() };
    identity.set_user(&root(), "a-member", None, change).await.unwrap();
    assert_eq!(identity.user_sessions(&root(), "a-member").await.unwrap().len(), 2, "that is no reason");
    let one = identity.user_sessions(&root(), "a-member").await.unwrap().remove(0);
    assert_eq!((one.user.as_str(), one.organization.as_deref()), ("a-member", Some("a")));
    assert_eq!(identity.end_sessions(&root(), "a-member", Some(&one.id)).await.unwrap(), 1);
    let gone = identity.end_sessions(&root(), "a-member", Some(&one.id)).await.unwrap_err();
    assert_eq!(gone.kind, FaultKind::NotFound);
    assert_eq!(identity.end_sessions(&root(), "a-member", None).await.unwrap(), 1);
    ended().await;
    log_in().await;
    identity.set_user_enabled(&root(), "a-member", None, false).await.unwrap();
    ended().await;
    assert!(!identity.hot().load().user_by_name("a-member").unwrap().enabled, "at once");
    assert_eq!(rig.store().sessions().list(&TenantScope::All).await.unwrap(), []);
}

#[tokio::test]
async fn a_reset_takes_the_password_and_gives_a_code_for_an_hour() {
    let (rig, ..) = Rig::with_two().await;
    let users = rig.store().users();
    let id = record(&rig, "a-member").await.id;
    users.update(&TenantScope::All, &id, None, |user| user.password = Some("phc".into())).await.unwrap();
    let reset = rig.identity.reset_password(&root(), "a-member").await.unwrap();
    let stored = record(&rig, "a-member").await;
    assert_eq!(stored.password, None);
    let kept = stored.reset.unwrap();
    assert_eq!(kept.expires, reset.expires);
    assert!(reset.expires > now() + RESET_LASTS - 60_000 && reset.expires <= now() + RESET_LASTS);
    let hashes = [kept.hash.clone()];
    assert_eq!(backup_code::find(Purpose::Reset, &id, &hashes, reset.code.expose()), Some(0));
    assert!(!kept.hash.contains(reset.code.expose()));
    // The second replaces the first.
    let again = rig.identity.reset_password(&root(), "a-member").await.unwrap();
    let hashes = [record(&rig, "a-member").await.reset.unwrap().hash];
    assert_eq!(backup_code::find(Purpose::Reset, &id, &hashes, reset.code.expose()), None);
    assert_eq!(backup_code::find(Purpose::Reset, &id, &hashes, again.code.expose()), Some(0));
}

#[tokio::test]
async fn a_second_factor_is_taken_away_with_its_backup_codes() {
    let (rig, ..) = Rig::with_two().await;
    let id = record(&rig, "a-member").await.id;
    let secret = rig.stand.vault.seal("user", &id, &WireSecret::new("x".into())).unwrap();
    let given = move |user: &mut UserRecord| {
        user.totp = Some(StoredTotp { secret, confirmed: true, last_step: 0 });
        user.backup_codes = vec!["a".into(), "b".into()];
    };
    rig.store().users().update(&TenantScope::All, &id, None, given).await.unwrap();
    let shown = rig.identity.user(&root(), "a-member").await.unwrap();
    assert_eq!((shown.totp, shown.backup_codes), (true, 2));
    let shown = rig.identity.reset_totp(&root(), "a-member").await.unwrap();
    assert_eq!((shown.totp, shown.backup_codes), (false, 0));
}

#[tokio::test]
async fn the_last_superadmin_stays() {
    let (rig, ..) = Rig::with_two().await;
    let identity = &rig.identity;
    identity.add_user(&root(), new("boss", Role::Superadmin, None)).await.unwrap();
    let last = |fault: Fault| {
        assert_eq!(fault.kind, FaultKind::Conflict);
        assert!(fault.message.contains("last enabled superadmin"), "{fault}");
    };
    let demote = || UserChange { role: Some(Role::Auditor), ..UserChange::default() };
    last(identity.remove_user(&root(), "boss", None).await.unwrap_err());
    last(identity.set_user_enabled(&root(), "boss", None, false).await.unwrap_err());
    last(identity.set_user(&root(), "boss", None, demote()).await.unwrap_err());
    identity.add_user(&root(), new("deputy", Role::Superadmin, None)).await.unwrap();
    identity.set_user(&root(), "boss", None, demote()).await.unwrap();
    last(identity.remove_user(&root(), "deputy", None).await.unwrap_err());
}

#[tokio::test]
async fn a_change_against_an_old_revision_is_a_conflict() {
    let (rig, ..) = Rig::with_two().await;
    let identity = &rig.identity;
    let change = || UserChange { email: Some(Some("a@example.com".into())), ..UserChange::default() };
    let changed = identity.set_user(&root(), "a-member", Some(1), change()).await.unwrap();
    assert_eq!((changed.email.as_deref(), changed.revision), (Some("a@example.com"), 2));
    let conflict = |fault: Fault| assert_eq!(fault.field.as_deref(), Some("revision"), "{fault}");
    conflict(identity.set_user(&root(), "a-member", Some(1), change()).await.unwrap_err());
    conflict(identity.set_user_enabled(&root(), "a-member", Some(1), false).await.unwrap_err());
    conflict(identity.remove_user(&root(), "a-member", Some(1)).await.unwrap_err());
    identity.remove_user(&root(), "a-member", Some(2)).await.unwrap();
    assert_eq!(identity.user(&root(), "a-member").await.unwrap_err().kind, FaultKind::NotFound);
}

#[tokio::test]
async fn many_changes_at_once_are_all_made() {
    let (rig, ..) = Rig::with_two().await;
    let adding = (0..20).map(|n| {
        let identity = rig.identity.clone();
        tokio::spawn(async move {
            identity.add_user(&root(), new(&format!("u{n}"), Role::Member, Some("a"))).await
        })
    });
    for added in adding.collect::<Vec<_>>() {
        added.await.unwrap().unwrap();
    }
    let removing = (0..20).map(|n| {
        let identity = rig.identity.clone();
        tokio::spawn(async move { identity.remove_user(&root(), &format!("u{n}"), None).await })
    });
    for removed in removing.collect::<Vec<_>>() {
        removed.await.unwrap().unwrap();
    }
    assert_eq!(rig.identity.users(&root(), Some("a"), None).await.unwrap().len(), 2);
}
