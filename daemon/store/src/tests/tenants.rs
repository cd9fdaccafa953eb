//! Records of tenants: reach, references, contents, the last superadmin.

use aivonx_protocol::{
    key::KeyScope,
    organization::{LimitProfile, NodeAccess, PrivacyMode},
    session::SessionKind,
    user::Role,
};

use super::*;
use aivonx_domain::TenantScope;

pub(crate) fn organization(slug: &str) -> OrganizationRecord {
    OrganizationRecord::new(slug)
}

pub(crate) fn user(name: &str, role: Role, organization: Option<&str>) -> UserRecord {
    UserRecord::new(name, role, organization)
}

pub(crate) fn key(name: &str, organization: Option<&str>, user: Option<&str>) -> KeyRecord {
    KeyRecord {
        organization: organization.map(str::to_owned),
        user: user.map(str::to_owned),
        prefix: "aivx_0123456".into(),
        ..KeyRecord::new(name, (1, [7; 32]))
    }
}

pub(crate) fn session(user: &UserRecord) -> SessionRecord {
    SessionRecord {
        epoch: 0,
        peer_uid: Some(1000),
        expires: 1,
        ..SessionRecord::new(SessionKind::Control, user, [9; 32], 0)
    }
}

/// Two organizations with an org-admin, a member, a key of the organization, a key and a session of the
/// member, and a node each; and a superadmin.
struct Two {
    store: Store,
    _dir: tempfile::TempDir,
    a: Tenant,
    b: Tenant,
    root: UserRecord,
}

struct Tenant {
    organization: OrganizationRecord,
    member: UserRecord,
    key: KeyRecord,
    own_key: KeyRecord,
    session: SessionRecord,
    node: NodeRecord,
}

impl Tenant {
    async fn new(store: &Store, slug: &str) -> Self {
        let organization = store.organizations().insert(organization(slug)).await.unwrap();
        let id = Some(organization.id.as_str());
        store.users().insert(user(&format!("{slug}-admin"), Role::OrgAdmin, id)).await.unwrap();
        let member = store.users().insert(user(&format!("{slug}-member"), Role::Member, id)).await.unwrap();
        let exclusive =
            NodeRecord { organization: Some(organization.id.clone()), ..node(&format!("{slug}-gpu")) };
        Self {
            key: store.keys().insert(key("ci", id, None)).await.unwrap(),
            own_key: store.keys().insert(key("laptop", id, Some(&member.id))).await.unwrap(),
            session: store.sessions().insert(session(&member)).await.unwrap(),
            node: store.nodes().insert(exclusive).await.unwrap(),
            member,
            organization,
        }
    }

    fn reach(&self) -> TenantScope {
        TenantScope::Organization(self.organization.id.clone())
    }

    fn member_reach(&self) -> TenantScope {
        TenantScope::User { organization: Some(self.organization.id.clone()), user: self.member.id.clone() }
    }
}

async fn two() -> Two {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let root = store.users().insert(user("root", Role::Superadmin, None)).await.unwrap();
    let (a, b) = (Tenant::new(&store, "a").await, Tenant::new(&store, "b").await);
    Two { store, _dir: dir, a, b, root }
}

/// Every function of the repository of `R`, from the reach of one tenant against the record of another.
async fn assert_isolated<R: Record + std::fmt::Debug>(records: Records<R>, reach: &TenantScope, foreign: &R) {
    let noun = R::COLLECTION.as_str();
    let id = foreign.id();
    let refused = |done: Result<(), StoreError>, asked: &str| {
        let error = done.unwrap_err();
        let missing = StoreError::NotFound { noun, id: asked.to_owned() };
        assert!(matches!(error, StoreError::Foreign { .. }), "{noun}: {error:?}");
        assert_eq!(Fault::from(error), Fault::from(missing), "it reads as if there were none");
    };
    assert!(records.list(reach).await.unwrap().iter().all(|record| record.id() != id), "{noun}");
    refused(records.get(reach, id).await.map(drop), id);
    refused(records.find(reach, None, id).await.map(drop), id);
    if let Some((organization, name)) = foreign.name() {
        refused(records.by_name(reach, organization, name).await.map(drop), name);
        refused(records.find(reach, organization, name).await.map(drop), name);
    }
    refused(records.update(reach, id, None, |_| panic!("must not run")).await.map(drop), id);
    refused(records.try_update(reach, id, Some(99), |_| panic!("must not run")).await.map(drop), id);
    refused(records.remove(reach, id, None).await.map(drop), id);
    refused(records.remove(reach, id, Some(99)).await.map(drop), id);
    assert_eq!(records.get(&TenantScope::All, id).await.unwrap().as_ref(), Some(foreign), "{noun}");
}

#[tokio::test]
async fn no_function_reaches_into_another_tenant() {
    let two = two().await;
    let (store, a, b) = (&two.store, &two.a, &two.b);
    for reach in [a.reach(), a.member_reach()] {
        assert_isolated(store.organizations(), &reach, &b.organization).await;
        assert_isolated(store.users(), &reach, &b.member).await;
        assert_isolated(store.users(), &reach, &two.root).await;
        assert_isolated(store.keys(), &reach, &b.key).await;
        assert_isolated(store.keys(), &reach, &b.own_key).await;
        assert_isolated(store.sessions(), &reach, &b.session).await;
        assert_isolated(Records::<NodeRecord>::new(store.clone()), &reach, &b.node).await;
    }
    // A member does not reach what is the organization's.
    assert_isolated(store.keys(), &a.member_reach(), &a.key).await;
    assert_isolated(store.organizations(), &a.member_reach(), &a.organization).await;
    let foreign = store.organizations().remove_with_contents(&a.reach(), &b.organization.id, None).await;
    assert!(matches!(foreign, Err(StoreError::Foreign { .. })));
}

#[tokio::test]
async fn lists_hold_what_is_within_reach() {
    let two = two().await;
    let names = |users: Vec<UserRecord>| users.into_iter().map(|user| user.name).collect::<Vec<_>>();
    let users = two.store.users();
    assert_eq!(
        names(users.list(&TenantScope::All).await.unwrap()),
        ["a-admin", "a-member", "b-admin", "b-member", "root"]
    );
    assert_eq!(names(users.list(&two.a.reach()).await.unwrap()), ["a-admin", "a-member"]);
    assert_eq!(names(users.list(&two.a.member_reach()).await.unwrap()), ["a-member"]);
    assert_eq!(two.store.keys().list(&two.a.reach()).await.unwrap().len(), 2);
    assert_eq!(two.store.keys().list(&two.a.member_reach()).await.unwrap(), [two.a.own_key]);
    assert_eq!(two.store.sessions().list(&two.b.reach()).await.unwrap(), [two.b.session]);
}

#[tokio::test]
async fn a_change_cannot_move_a_record_out_of_reach() {
    let two = two().await;
    let other = two.b.organization.id.clone();
    let moved = two
        .store
        .users()
        .update(&two.a.reach(), &two.a.member.id, None, move |user| user.organization = Some(other))
        .await;
    assert!(matches!(moved, Err(StoreError::Foreign { .. })));
    assert_eq!(two.store.users().get(&TenantScope::All, &two.a.member.id).await.unwrap(), Some(two.a.member));
}

#[tokio::test]
async fn names_of_keys_are_unique_in_their_organization_until_revoked() {
    let two = two().await;
    let keys = two.store.keys();
    let a = Some(two.a.organization.id.as_str());
    let taken = keys.insert(key("ci", a, None)).await.unwrap_err();
    assert!(matches!(taken, StoreError::NameTaken { .. }));
    keys.insert(key("ci", None, None)).await.unwrap();
    assert_eq!(keys.by_name(&TenantScope::All, a, "ci").await.unwrap().unwrap().id, two.a.key.id);
    let revoked =
        keys.update(&TenantScope::All, &two.a.key.id, None, |key| key.revoked = Some(5)).await.unwrap();
    assert_eq!(keys.by_name(&TenantScope::All, a, "ci").await.unwrap(), None);
    let next = keys.insert(key("ci", a, None)).await.unwrap();
    assert_eq!(keys.by_name(&TenantScope::All, a, "ci").await.unwrap().unwrap().id, next.id);
    assert_eq!(keys.get(&TenantScope::All, &revoked.id).await.unwrap(), Some(revoked));
}

#[tokio::test]
async fn references_hold() {
    let two = two().await;
    let (keys, users) = (two.store.keys(), two.store.users());
    let a = Some(two.a.organization.id.as_str());
    // A user of another organization does not count.
    let crossing = keys.insert(key("x", a, Some(&two.b.member.id))).await.unwrap_err();
    assert!(matches!(crossing, StoreError::Foreign { noun: "user", .. }), "{crossing:?}");
    let missing = keys.insert(key("x", a, Some("nobody"))).await.unwrap_err();
    assert!(matches!(missing, StoreError::NotFound { noun: "user", .. }));
    let fleet_user = keys.insert(key("x", a, Some(&two.root.id))).await.unwrap_err();
    assert!(matches!(fleet_user, StoreError::Foreign { .. }));
    let b = two.b.organization.id.clone();
    let moved =
        keys.update(&TenantScope::All, &two.a.own_key.id, None, |key| key.organization = Some(b)).await;
    assert!(matches!(moved, Err(StoreError::Foreign { .. })));
    let nowhere = users.insert(user("x", Role::Member, Some("nowhere"))).await.unwrap_err();
    assert!(matches!(nowhere, StoreError::NotFound { noun: "organization", .. }));
}

#[tokio::test]
async fn a_user_goes_with_its_keys_and_sessions() {
    let two = two().await;
    let mut feed = two.store.subscribe();
    two.store.users().remove(&two.a.reach(), &two.a.member.id, Some(1)).await.unwrap();
    assert_eq!(two.store.keys().list(&two.a.reach()).await.unwrap(), [two.a.key]);
    assert_eq!(two.store.sessions().list(&TenantScope::All).await.unwrap(), [two.b.session]);
    let told: Vec<Change> = std::iter::from_fn(|| feed.try_recv().ok()).collect();
    let gone = |collection, id: &str| Change { collection, id: id.to_owned(), revision: 0 };
    assert_eq!(
        told,
        [
            gone(Collection::Key, &two.a.own_key.id),
            gone(Collection::Session, &two.a.session.id),
            gone(Collection::User, &two.a.member.id)
        ]
    );
    two.store.verify().await.unwrap();
}

#[tokio::test]
async fn a_user_who_moves_takes_nothing_along() {
    let two = two().await;
    let b = two.b.organization.id.clone();
    let users = two.store.users();
    users
        .update(&TenantScope::All, &two.a.member.id, None, |user| user.organization = Some(b))
        .await
        .unwrap();
    let left = two.store.keys().get(&two.a.reach(), &two.a.own_key.id).await.unwrap().unwrap();
    assert!(left.revoked.is_some());
    assert_eq!(
        two.store.sessions().list(&TenantScope::All).await.unwrap(),
        std::slice::from_ref(&two.b.session)
    );
    let names = users.list(&two.b.reach()).await.unwrap().into_iter().map(|user| user.name);
    assert_eq!(names.collect::<Vec<_>>(), ["a-member", "b-admin", "b-member"]);
    // What is left of it goes with the user all the same.
    users.remove(&TenantScope::All, &two.a.member.id, None).await.unwrap();
    assert_eq!(two.store.keys().get(&TenantScope::All, &left.id).await.unwrap(), None);
}

#[tokio::test]
async fn an_organization_goes_empty_or_with_its_contents() {
    let two = two().await;
    let organizations = two.store.organizations();
    let id = &two.a.organization.id;
    let error = organizations.remove(&TenantScope::All, id, None).await.unwrap_err();
    assert!(matches!(&error, StoreError::NotEmpty { users: 2, keys: 2, nodes: 1, .. }), "{error:?}");
    let (removed, contents) =
        organizations.remove_with_contents(&TenantScope::All, id, Some(1)).await.unwrap();
    assert_eq!(removed.slug, "a");
    assert_eq!(contents, Contents { users: 2, keys: 2, sessions: 1, nodes: 1 });
    assert_eq!(two.store.users().list(&two.a.reach()).await.unwrap(), []);
    assert_eq!(two.store.keys().list(&TenantScope::All).await.unwrap().len(), 2);
    let node = two.store.nodes().get(&two.a.node.id).await.unwrap().unwrap();
    assert_eq!((node.organization, node.admin_state), (None, AdminState::Disabled));
    two.store.verify().await.unwrap();
    organizations.insert(organization("a")).await.unwrap();
}

#[tokio::test]
async fn the_last_superadmin_stays() {
    let two = two().await;
    let (users, id) = (two.store.users(), two.root.id.as_str());
    let last = |done: Result<UserRecord, StoreError>| {
        assert!(matches!(done, Err(StoreError::LastSuperadmin { name }) if name == "root"));
    };
    last(users.remove(&TenantScope::All, id, None).await);
    last(users.update(&TenantScope::All, id, None, |user| user.enabled = false).await);
    last(users.update(&TenantScope::All, id, None, |user| user.role = Role::Auditor).await);
    users.update(&TenantScope::All, id, None, |user| user.epoch += 1).await.unwrap();
    // One that is disabled is no help.
    let second = UserRecord { enabled: false, ..user("second", Role::Superadmin, None) };
    let second = users.insert(second).await.unwrap();
    last(users.remove(&TenantScope::All, id, None).await);
    users.update(&TenantScope::All, &second.id, None, |user| user.enabled = true).await.unwrap();
    users.remove(&TenantScope::All, id, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_superadmins_cannot_remove_each_other_at_once() {
    let two = two().await;
    let users = two.store.users();
    let second = users.insert(user("second", Role::Superadmin, None)).await.unwrap();
    let (one, other) = tokio::join!(
        users.remove(&TenantScope::All, &two.root.id, None),
        users.update(&TenantScope::All, &second.id, None, |user| user.role = Role::Member)
    );
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
}

#[tokio::test]
async fn records_that_count_up_are_added_changed_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let id = LockoutRecord::id_of("alice", Some("192.0.2.1"));
    let fail = |old: Option<LockoutRecord>| {
        let mut record = old.unwrap_or(LockoutRecord {
            id: String::new(),
            user: "alice".into(),
            address: Some("192.0.2.1".into()),
            failures: 0,
            created: 5,
            last: 0,
            locked_until: None,
            revision: 0,
        });
        record.failures += 1;
        Some(record)
    };
    store.lockouts().alter(&id, fail).await.unwrap();
    let twice = store.lockouts().alter(&id, fail).await.unwrap().unwrap();
    assert_eq!((twice.failures, twice.revision, twice.created), (2, 2, 5));
    assert_eq!(store.lockouts().list(&TenantScope::All).await.unwrap(), [twice]);
    assert_eq!(store.lockouts().alter(&id, |_| None).await.unwrap(), None);
    assert_eq!(store.lockouts().list(&TenantScope::All).await.unwrap(), []);
    store.lockouts().alter(&id, |_| None).await.unwrap();
}

#[tokio::test]
async fn a_refused_change_stores_nothing() {
    let two = two().await;
    let fault = Fault::new(aivonx_protocol::FaultKind::Invalid, "no");
    let refusal = fault.clone();
    let users = two.store.users();
    let refused = users.try_update(&TenantScope::All, &two.root.id, None, move |user| {
        user.name = "other".into();
        Err(refusal)
    });
    let error = refused.await.unwrap_err();
    assert!(error.is_refusal());
    assert_eq!(Fault::from(error), fault);
    assert_eq!(two.store.users().get(&TenantScope::All, &two.root.id).await.unwrap(), Some(two.root));
}

/// As [`super::records::the_stored_form_is_the_frozen_one`], for the records of tenants.
#[test]
fn the_stored_forms_are_the_frozen_ones() {
    use crate::secrets::Sealed;
    let sealed = || Sealed { key: 1, nonce: [7; 12], ciphertext: vec![1, 2, 3] };
    let id = || "0190-a".to_owned();
    let organization = OrganizationRecord {
        id: id(),
        require_totp: true,
        models: vec!["llama*".into()],
        nodes: NodeAccess::Labels(BTreeMap::from([("site".into(), "west".into())])),
        privacy: PrivacyMode::Block,
        privacy_categories: Vec::new(),
        limit_profile: LimitProfile::Team,
        created: 1_700_000_000_000,
        revision: 3,
        ..organization("acme")
    };
    let user = UserRecord {
        id: id(),
        display_name: Some("Alice".into()),
        email: Some("alice@example.com".into()),
        password: Some("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA".into()),
        password_changed: 4,
        must_change_password: true,
        totp: Some(StoredTotp { secret: sealed(), confirmed: true, last_step: 9 }),
        totp_exempt: false,
        backup_codes: vec!["00ff".into()],
        reset: Some(StoredReset { hash: "0a".into(), expires: 5 }),
        epoch: 2,
        last_login: Some(6),
        created: 1_700_000_000_000,
        revision: 3,
        ..user("alice", Role::OrgAdmin, Some("0190-o"))
    };
    let key = KeyRecord {
        id: id(),
        retiring: Some(RetiringHash { pepper: 1, hash: [8; 32], until: 7 }),
        scopes: vec![KeyScope::Infer, KeyScope::ModelsRead, KeyScope::ModelsWrite, KeyScope::AdminRead],
        models: vec!["*".into()],
        networks: vec!["192.0.2.0/24".into()],
        expires: Some(8),
        revoked: Some(9),
        created: 1_700_000_000_000,
        created_by: Some("0190-c".into()),
        revision: 3,
        ..key("ci", Some("0190-o"), Some("0190-u"))
    };
    let session = SessionRecord {
        id: id(),
        kind: SessionKind::Http,
        name: Some("script".into()),
        previous: vec![[1; 32]],
        address: Some("192.0.2.1".into()),
        user_agent: Some("curl/8".into()),
        created: 1_700_000_000_000,
        last_used: 5,
        expires: 6,
        idle_ms: 7,
        revision: 3,
        ..session(&user)
    };
    let lockout = LockoutRecord {
        id: LockoutRecord::id_of("alice", Some("192.0.2.1")),
        user: "alice".into(),
        address: Some("192.0.2.1".into()),
        failures: 5,
        created: 1,
        last: 2,
        locked_until: Some(3),
        revision: 4,
    };
    let secret = SecretRecord {
        id: id(),
        kind: SecretKind::AuditSigning,
        number: 2,
        sealed: sealed(),
        created: 1_700_000_000_000,
        retire_at: Some(5),
        revision: 3,
    };
    let forms = [form(&organization), form(&user), form(&key), form(&session), form(&lockout), form(&secret)]
        .join("\n");
    assert_eq!(forms, include_str!("tenants-v1.hex").trim(), "\n{forms}\n");
}

fn form<R: Record + std::fmt::Debug>(record: &R) -> String {
    let tree = R::TREES.record;
    let key = record.id().as_bytes();
    let bytes = codec::encode(tree.name(), key, tree.version(), record).unwrap();
    assert_eq!(&codec::decode::<R>(tree.name(), key, tree.version(), &bytes).unwrap(), record);
    format!("{} {}", tree.name(), hex::encode(bytes))
}
