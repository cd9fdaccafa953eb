//! Snapshots and the callers found in them.

use std::{net::IpAddr, sync::Arc};

use aivonx_fleet::RoutingRules;
use aivonx_protocol::{key::KeyScope, organization::NodeAccess, session::SessionKind, user::Role};
use aivonx_store::{KeyRecord, OrganizationRecord, RetiringHash, UserRecord};

use super::*;
use crate::{
    Caller, NotKnown, RequiredActions,
    api_key::{self, Pepper},
    jwt::{Claims, Extent, TokenKey, Verifiers},
};

const NOW: UnixMillis = 1_800_000_000_000;
const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

fn material(peppers: &[(u32, [u8; 32])]) -> Material {
    let signer = TokenKey::generate().unwrap();
    Material {
        peppers: peppers.iter().map(|(number, pepper)| (*number, Pepper::new(pepper))).collect(),
        verifiers: Arc::new(Verifiers::new([&signer])),
        signer: Arc::new(signer),
    }
}

fn organization(enabled: bool) -> OrganizationRecord {
    OrganizationRecord {
        id: "o1".into(),
        enabled,
        created: NOW,
        revision: 1,
        ..OrganizationRecord::new("acme")
    }
}

fn user(enabled: bool, epoch: u64) -> UserRecord {
    UserRecord {
        id: "u1".into(),
        enabled,
        password_changed: NOW,
        epoch,
        created: NOW,
        revision: 1,
        ..UserRecord::new("alice", Role::Member, Some("o1"))
    }
}

fn key(secret: &str, number: u32, pepper: [u8; 32]) -> KeyRecord {
    KeyRecord {
        id: "k1".into(),
        organization: Some("o1".into()),
        user: Some("u1".into()),
        prefix: secret[..12].into(),
        created: NOW,
        revision: 1,
        ..KeyRecord::new("ci", (number, Pepper::new(&pepper).hash(secret)))
    }
}

fn session(epoch: u64) -> SessionRecord {
    SessionRecord {
        id: "s1".into(),
        kind: SessionKind::Http,
        user: "u1".into(),
        epoch,
        name: None,
        role: Role::Member,
        organization: Some("o1".into()),
        hash: [9; 32],
        previous: Vec::new(),
        peer_uid: None,
        address: None,
        user_agent: None,
        created: NOW,
        last_used: NOW,
        expires: NOW + 1000,
        idle_ms: 0,
        revision: 1,
    }
}

fn all(key: KeyRecord) -> Records {
    Records {
        organizations: vec![organization(true)],
        users: vec![user(true, 1)],
        keys: vec![key],
        sessions: vec![session(1)],
        ..Records::default()
    }
}

const PEPPER: [u8; 32] = [1; 32];

fn secret() -> String {
    api_key::generate().unwrap().expose().to_owned()
}

fn refused(snapshot: &Snapshot, secret: &str) -> NotKnown {
    Caller::of_key(snapshot, secret, HERE, NOW).map(|_| ()).unwrap_err()
}

#[test]
fn a_key_is_found_and_says_whom_it_is_of() {
    let secret = secret();
    let snapshot = Snapshot::build(all(key(&secret, 1, PEPPER)), material(&[(1, PEPPER)]), None);
    let (caller, renewal) = Caller::of_key(&snapshot, &secret, HERE, NOW).unwrap();
    assert_eq!(renewal, None);
    assert!(caller.may(KeyScope::Infer) && caller.may(KeyScope::ModelsRead));
    assert!(!caller.may(KeyScope::ModelsWrite) && !caller.may(KeyScope::AdminRead));
    let subject = caller.subject().unwrap();
    assert_eq!(subject.organization, Some(("o1".into(), "acme".into())));
    assert_eq!(subject.user, Some(("u1".into(), "alice".into())));
    assert_eq!(subject.key, Some(("k1".into(), "ci".into())));
    assert_eq!(snapshot.key("k1").unwrap().live.last_used(), Some(NOW));

    let mut typo = secret.clone().into_bytes();
    typo[20] = if typo[20] == b'a' { b'b' } else { b'a' };
    assert_eq!(refused(&snapshot, std::str::from_utf8(&typo).unwrap()), NotKnown::Mistyped);
    assert_eq!(refused(&snapshot, &self::secret()), NotKnown::Key);
}

#[test]
fn what_speaks_against_a_key_is_heard() {
    let secret = secret();
    let refuse = |change: fn(&mut Records)| {
        let mut records = all(key(&secret, 1, PEPPER));
        change(&mut records);
        refused(&Snapshot::build(records, material(&[(1, PEPPER)]), None), &secret)
    };
    assert_eq!(refuse(|r| r.keys[0].revoked = Some(NOW)), NotKnown::ShutOff);
    assert_eq!(refuse(|r| r.keys[0].expires = Some(NOW)), NotKnown::ShutOff);
    assert_eq!(refuse(|r| r.organizations[0].enabled = false), NotKnown::ShutOff);
    assert_eq!(refuse(|r| r.organizations.clear()), NotKnown::ShutOff);
    assert_eq!(refuse(|r| r.users[0].enabled = false), NotKnown::ShutOff);
    assert_eq!(refuse(|r| r.users.clear()), NotKnown::ShutOff);
    assert_eq!(refuse(|r| r.keys[0].networks = vec!["198.51.100.0/24".into()]), NotKnown::Network);

    // An IPv4 client on a dual-stack listener is still an IPv4 client.
    let mut records = all(key(&secret, 1, PEPPER));
    records.keys[0].networks = vec!["192.0.2.0/24".into()];
    let snapshot = Snapshot::build(records, material(&[(1, PEPPER)]), None);
    let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
    assert!(Caller::of_key(&snapshot, &secret, mapped, NOW).is_ok());

    // A network that cannot be read opens nothing.
    let mut records = all(key(&secret, 1, PEPPER));
    records.keys[0].networks = vec!["damaged".into()];
    let snapshot = Snapshot::build(records, material(&[(1, PEPPER)]), None);
    let (caller, _) = Caller::of_key(&snapshot, &secret, HERE, NOW).unwrap();
    assert!(KeyScope::ALL.into_iter().all(|scope| !caller.may(scope)));
}

#[test]
fn a_rotated_secret_lives_until_its_grace_ends() {
    let (old, new) = (secret(), secret());
    let mut record = key(&new, 1, PEPPER);
    record.retiring =
        Some(RetiringHash { pepper: 1, hash: Pepper::new(&PEPPER).hash(&old), until: NOW + 10 });
    let snapshot = Snapshot::build(all(record), material(&[(1, PEPPER)]), None);
    for secret in [&old, &new] {
        assert!(Caller::of_key(&snapshot, secret, HERE, NOW + 9).is_ok());
    }
    assert!(Caller::of_key(&snapshot, &old, HERE, NOW + 10).is_err());
    assert!(Caller::of_key(&snapshot, &new, HERE, NOW + 10).is_ok());
}

#[test]
fn a_key_under_an_old_pepper_is_to_be_renewed() {
    let secret = secret();
    let newest = [2; 32];
    let material = material(&[(2, newest), (1, PEPPER)]);
    let snapshot = Snapshot::build(all(key(&secret, 1, PEPPER)), material, None);
    let (_, renewal) = Caller::of_key(&snapshot, &secret, HERE, NOW).unwrap();
    let renewal = renewal.unwrap();
    assert_eq!((&*renewal.key, renewal.found, renewal.pepper), ("k1", 1, 2));
    assert_eq!(renewal.hash, Pepper::new(&newest).hash(&secret));
}

#[test]
fn what_runs_ends_with_what_it_runs_under() {
    let secret = secret();
    let begin = || {
        let snapshot = Snapshot::build(all(key(&secret, 1, PEPPER)), material(&[(1, PEPPER)]), None);
        let (by_key, _) = Caller::of_key(&snapshot, &secret, HERE, NOW).unwrap();
        let by_user = Caller::User {
            user: snapshot.user("u1").unwrap().clone(),
            session: "s1".into(),
            extent: Extent::Full,
        };
        (snapshot, by_key, by_user)
    };
    let then = |change: fn(&mut Records)| {
        let (old, by_key, by_user) = begin();
        let mut records = all(key(&secret, 1, PEPPER));
        change(&mut records);
        let new = Snapshot::build(records, old.material.clone(), Some(&old));
        old.withdraw_for(&new);
        (by_key.ended(), by_user.ended())
    };
    assert_eq!(then(|_| {}), (false, false));
    assert_eq!(then(|r| r.keys[0].revoked = Some(NOW)), (true, false));
    assert_eq!(then(|r| r.keys.clear()), (true, false));
    assert_eq!(then(|r| r.users[0].enabled = false), (true, true));
    assert_eq!(then(|r| r.organizations[0].enabled = false), (true, true));
    // A new password ends the sessions, not what the user's keys do.
    assert_eq!(then(|r| r.users[0].epoch = 2), (false, true));
    // A new secret with grace, a new name, other scopes: nothing is withdrawn.
    assert_eq!(then(|r| r.keys[0].name = "ci2".into()), (false, false));
}

#[test]
fn what_was_withdrawn_and_comes_back_is_new() {
    let secret = secret();
    let first = Snapshot::build(all(key(&secret, 1, PEPPER)), material(&[(1, PEPPER)]), None);
    let (running, _) = Caller::of_key(&first, &secret, HERE, NOW).unwrap();
    let mut records = all(key(&secret, 1, PEPPER));
    records.organizations[0].enabled = false;
    let second = Snapshot::build(records, first.material.clone(), Some(&first));
    first.withdraw_for(&second);
    let third = Snapshot::build(all(key(&secret, 1, PEPPER)), first.material.clone(), Some(&second));
    second.withdraw_for(&third);
    let (again, _) = Caller::of_key(&third, &secret, HERE, NOW).unwrap();
    assert!(running.ended() && !again.ended());
}

#[test]
fn an_access_token_is_worth_what_its_user_and_session_are() {
    let secret = secret();
    let claims = Claims {
        iss: "d".into(),
        aud: crate::jwt::AUDIENCE.into(),
        sub: "u1".into(),
        org: Some("o1".into()),
        role: Role::Superadmin,
        epoch: 1,
        sid: "s1".into(),
        ext: Extent::Full,
        iat: NOW / 1000,
        exp: NOW / 1000 + 900,
        jti: "j".into(),
    };
    let of = |change: fn(&mut Records), claims: &Claims, now| {
        let mut records = all(key(&secret, 1, PEPPER));
        change(&mut records);
        let snapshot = Snapshot::build(records, material(&[(1, PEPPER)]), None);
        Caller::of_claims(&snapshot, claims, false, now)
    };
    let caller = of(|_| {}, &claims, NOW).unwrap();
    // The record's role has the say, not the token's.
    assert!(caller.may(KeyScope::Infer) && !caller.may(KeyScope::ModelsWrite));
    // And what the user owes now, not what it did when the token was made.
    let limited = Claims { ext: Extent::Enrol, ..claims.clone() };
    assert!(of(|_| {}, &limited, NOW).unwrap().may(KeyScope::Infer));
    for claims in [&claims, &limited] {
        let demanded = of(|r| r.organizations[0].require_totp = true, claims, NOW).unwrap();
        assert!(!demanded.may(KeyScope::Infer));
    }
    for change in [
        (|r| r.users[0].epoch = 2) as fn(&mut Records),
        |r| r.users[0].enabled = false,
        |r| r.users.clear(),
        |r| r.organizations[0].enabled = false,
        |r| r.sessions.clear(),
        |r| r.sessions[0].user = "u2".into(),
        |r| r.sessions[0].expires = NOW,
    ] {
        assert!(matches!(of(change, &claims, NOW), Err(NotKnown::Revoked)));
    }
    assert!(matches!(of(|_| {}, &claims, NOW + 900_000), Err(NotKnown::Token(_))));
}

#[test]
fn an_access_token_is_limited_as_soon_as_its_user_owes_something() {
    let owes = |change: fn(&mut Records), demanded| {
        let mut records = all(key(&secret(), 1, PEPPER));
        change(&mut records);
        Snapshot::build(records, material(&[(1, PEPPER)]), None).user("u1").unwrap().owed(demanded)
    };
    let (nothing, enrol) =
        (RequiredActions::default(), RequiredActions { enrol: true, ..RequiredActions::default() });
    let enrolled = |r: &mut Records| {
        let secret = aivonx_store::secrets::Sealed { key: 1, nonce: [0; 12], ciphertext: Vec::new() };
        r.users[0].totp = Some(aivonx_store::StoredTotp { secret, confirmed: true, last_step: 0 });
    };
    assert_eq!((owes(|_| (), false), owes(|_| (), true)), (nothing, enrol));
    assert_eq!(owes(|r| r.users[0].totp_exempt = true, true), nothing);
    assert_eq!(owes(|r| r.organizations[0].require_totp = true, false), enrol);
    assert_eq!(owes(enrolled, true), nothing);
    assert!(owes(|r| r.users[0].must_change_password = true, false).password);
}

#[test]
fn it_is_set_up_once_there_is_a_superadmin() {
    let mut records = Records { users: vec![user(true, 1)], ..Records::default() };
    assert!(!Snapshot::build(records, material(&[(1, PEPPER)]), None).is_set_up());
    records = Records {
        users: vec![UserRecord { role: Role::Superadmin, organization: None, ..user(true, 1) }],
        ..Records::default()
    };
    let snapshot = Snapshot::build(records, material(&[(1, PEPPER)]), None);
    assert!(snapshot.is_set_up());
    assert_eq!(snapshot.user_by_name("alice").unwrap().role, Role::Superadmin);
}

/// What a key may use, given whose it is and who made it, `maker` having this role in no organization.
fn eligible(change: impl FnOnce(&mut KeyRecord), maker: Role) -> RoutingRules {
    let secret = secret();
    let mut record = key(&secret, 1, PEPPER);
    record.user = None;
    change(&mut record);
    let mut records = all(record);
    records.users.push(UserRecord {
        id: "maker".into(),
        name: "maker".into(),
        role: maker,
        organization: None,
        ..user(true, 1)
    });
    let snapshot = Snapshot::build(records, material(&[(1, PEPPER)]), None);
    Caller::of_key(&snapshot, &secret, HERE, NOW).unwrap().0.eligible().clone()
}

#[test]
fn a_key_may_do_no_more_than_who_answers_for_it_may_now() {
    use KeyScope::{AdminRead, Infer, ModelsRead, ModelsWrite};
    let of = |change: fn(&mut Records), role, bound: bool, exclusive: bool| {
        let secret = secret();
        let mut records = all(key(&secret, 1, PEPPER));
        (records.keys[0].scopes, records.keys[0].created_by) = (KeyScope::ALL.to_vec(), Some("u1".into()));
        records.users[0].role = role;
        if !bound {
            (records.users[0].organization, records.keys[0].organization) = (None, None);
        }
        if exclusive {
            records.organizations[0].nodes = NodeAccess::Exclusive;
        }
        change(&mut records);
        let snapshot = Snapshot::build(records, material(&[(1, PEPPER)]), None);
        let (caller, _) = Caller::of_key(&snapshot, &secret, HERE, NOW).unwrap();
        KeyScope::ALL.into_iter().filter(|scope| caller.may(*scope)).collect::<Vec<_>>()
    };
    let fleets = |role| of(|_| (), role, false, false);
    assert_eq!(fleets(Role::Superadmin), KeyScope::ALL);
    assert_eq!(fleets(Role::Operator), KeyScope::ALL);
    assert_eq!(fleets(Role::Auditor), [Infer, ModelsRead, AdminRead]);
    assert_eq!(fleets(Role::Member), [Infer, ModelsRead]);
    let acmes = |role, exclusive| of(|_| (), role, true, exclusive);
    for role in [Role::Operator, Role::OrgAdmin] {
        assert_eq!(acmes(role, true), [Infer, ModelsRead, ModelsWrite], "{role}");
        assert_eq!(acmes(role, false), [Infer, ModelsRead], "{role}");
    }
    assert_eq!(acmes(Role::Member, true), [Infer, ModelsRead]);

    // A key without a user is limited by its creator, as long as that one exists.
    let nobodys = |r: &mut Records| r.keys[0].user = None;
    assert_eq!(of(nobodys, Role::Superadmin, false, false), KeyScope::ALL);
    assert_eq!(of(nobodys, Role::Auditor, false, false), [Infer, ModelsRead, AdminRead]);
    assert_eq!(of(nobodys, Role::Member, true, true), [Infer, ModelsRead]);
    let gone = |r: &mut Records| (r.keys[0].user, r.keys[0].created_by) = (None, Some("gone".into()));
    assert_eq!(of(gone, Role::Superadmin, false, false), [Infer, ModelsRead]);
    assert_eq!(of(gone, Role::Member, true, true), [Infer, ModelsRead, ModelsWrite]);
    let disabled = |r: &mut Records| (r.keys[0].user, r.users[0].enabled) = (None, false);
    assert_eq!(of(disabled, Role::Superadmin, false, false), [Infer, ModelsRead]);
    let elsewhere = |r: &mut Records| (r.keys[0].user, r.keys[0].organization) = (None, None);
    assert_eq!(of(elsewhere, Role::Operator, true, true), [Infer, ModelsRead]);
    let before = |r: &mut Records| (r.keys[0].user, r.keys[0].created_by) = (None, None);
    assert_eq!(of(before, Role::Member, true, false), KeyScope::ALL);
}

#[test]
fn a_key_may_use_no_more_than_its_organization_and_its_maker() {
    let acme = RoutingRules::of("o1", &NodeAccess::Shared, &[], false);
    let by = |maker: &str| Some(maker.to_owned());
    assert_eq!(eligible(|_| (), Role::Superadmin), acme);
    assert_eq!(eligible(|k| k.created_by = by("maker"), Role::Superadmin), acme, "whoever made it");
    assert_eq!(eligible(|k| k.models = vec!["m*".into()], Role::Superadmin), acme.narrowed(&["m*".into()]));
    let fleets = |created_by: Option<String>, role| {
        eligible(|k| (k.organization, k.created_by) = (None, created_by), role)
    };
    assert_eq!(fleets(by("maker"), Role::Superadmin), RoutingRules::ALL);
    assert_eq!(fleets(by("maker"), Role::Member), RoutingRules::SHARED);
    assert_eq!(fleets(by("gone"), Role::Superadmin), RoutingRules::SHARED);
    assert_eq!(fleets(None, Role::Member), RoutingRules::ALL, "made before there was an administrator");
    let own = |role| eligible(|k| (k.organization, k.user) = (None, by("maker")), role);
    assert_eq!((own(Role::Member), own(Role::Superadmin)), (RoutingRules::SHARED, RoutingRules::ALL));
    assert_eq!(Caller::Anonymous(None).eligible(), &RoutingRules::SHARED);
}
