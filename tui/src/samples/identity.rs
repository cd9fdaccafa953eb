//! Records for the tests of tables: who may do what.

use std::collections::BTreeMap;

use aivonx_protocol::{
    account::Identity,
    block::{Block, BlockOf},
    incident::{Finding, FindingKind},
    key::{Key, KeyScope},
    lockout::Lockout,
    organization::{LimitProfile, NodeAccess, Organization, PrivacyMode},
    route::{RouteAccess, RouteGroup},
    session::{Session, SessionKind},
    snapshot::{Snapshot, SnapshotContents},
    user::{Role, User},
};

use super::{HOSTILE, NOW};

pub(crate) fn sessions() -> Vec<Session> {
    let login = Session {
        id: "0195f2a0-0000-7000-8000-0000000000a1".into(),
        kind: SessionKind::Control,
        user: "root".into(),
        name: None,
        role: Role::Superadmin,
        organization: None,
        peer_uid: Some(1000),
        address: None,
        created: NOW - 190_000,
        last_used: NOW - 60_000,
        expires: NOW + 43_010_000,
    };
    let token = Session {
        id: "0195f2a0-0000-7000-8000-0000000000a2".into(),
        kind: SessionKind::Token,
        name: Some("backup".into()),
        role: Role::Auditor,
        peer_uid: None,
        expires: NOW + 90 * 86_400_000,
        ..login.clone()
    };
    let http = Session {
        id: "0195f2a0-0000-7000-8000-0000000000a3".into(),
        kind: SessionKind::Http,
        user: "alice".into(),
        role: Role::Member,
        organization: Some("acme".into()),
        address: Some(HOSTILE.into()),
        ..login.clone()
    };
    vec![login, token, http]
}

pub(crate) fn identities() -> Vec<Identity> {
    let root = Identity {
        user: Some("root".into()),
        role: Some(Role::Superadmin),
        organization: None,
        session: Some(sessions().remove(0)),
        must_enrol: false,
        must_change_password: false,
        totp: true,
        backup_codes: 9,
        uid: 1000,
        set_up: true,
    };
    let alice = Identity {
        user: Some("alice".into()),
        role: Some(Role::OrgAdmin),
        organization: Some("acme".into()),
        session: Some(sessions().remove(1)),
        must_enrol: true,
        must_change_password: true,
        totp: false,
        ..root.clone()
    };
    let own = Identity { user: None, session: None, totp: false, set_up: false, ..root.clone() };
    let nobody = Identity { role: None, set_up: true, ..own.clone() };
    vec![root, alice, own, nobody]
}

pub(crate) fn organizations() -> Vec<Organization> {
    let acme = Organization {
        id: "0195f2a0-0000-7000-8000-0000000000b1".into(),
        slug: "acme".into(),
        name: "Acme Corporation".into(),
        enabled: true,
        require_totp: true,
        models: vec!["llama3*".into(), "qwen3:8b".into()],
        nodes: NodeAccess::Labels(BTreeMap::from([("rack".into(), "b2".into())])),
        cloud_models: false,
        privacy: PrivacyMode::Redact,
        limit_profile: LimitProfile::Standard,
        users: 12,
        keys: 3,
        exclusive_nodes: 1,
        created: NOW - 86_400_000,
        revision: 4,
    };
    let hostile = Organization {
        slug: "globex".into(),
        name: HOSTILE.into(),
        enabled: false,
        require_totp: false,
        models: Vec::new(),
        nodes: NodeAccess::Exclusive,
        cloud_models: true,
        privacy: PrivacyMode::Off,
        limit_profile: LimitProfile::Unlimited,
        users: 0,
        keys: 0,
        exclusive_nodes: 0,
        ..acme.clone()
    };
    vec![acme, hostile]
}

pub(crate) fn users() -> Vec<User> {
    let root = User {
        id: "0195f2a0-0000-7000-8000-0000000000c1".into(),
        name: "root".into(),
        display_name: None,
        email: None,
        role: Role::Superadmin,
        organization: None,
        enabled: true,
        totp: true,
        backup_codes: 10,
        must_change_password: false,
        last_login: Some(NOW - 190_000),
        created: NOW - 86_400_000,
        revision: 2,
    };
    let alice = User {
        name: "alice".into(),
        display_name: Some("Alice Example".into()),
        email: Some("alice@example.com".into()),
        role: Role::OrgAdmin,
        organization: Some("acme".into()),
        totp: false,
        must_change_password: true,
        last_login: None,
        ..root.clone()
    };
    let hostile = User {
        name: "mallory.with-a-long-name@department.example.org".into(),
        display_name: Some(HOSTILE.into()),
        email: Some(HOSTILE.into()),
        role: Role::Member,
        organization: Some("acme".into()),
        enabled: false,
        ..root.clone()
    };
    vec![root, alice, hostile]
}

pub(crate) fn keys() -> Vec<Key> {
    let ci = Key {
        id: "0195f2a0-0000-7000-8000-0000000000d1".into(),
        name: "ci".into(),
        organization: Some("acme".into()),
        user: Some("alice".into()),
        prefix: "aivx_1a2b3c4".into(),
        scopes: vec![KeyScope::Infer],
        models: Vec::new(),
        networks: Vec::new(),
        expires: Some(NOW + 90 * 86_400_000),
        revoked: None,
        grace_until: None,
        old_pepper: false,
        last_used: Some(NOW - 60_000),
        created: NOW - 86_400_000,
        revision: 1,
    };
    let rotating = Key {
        name: "metrics-of-the-whole-fleet".into(),
        organization: None,
        user: None,
        scopes: vec![KeyScope::ModelsRead, KeyScope::AdminRead],
        models: vec!["llama3*".into()],
        networks: vec!["192.0.2.0/24".into(), "2001:db8::/32".into()],
        expires: None,
        grace_until: Some(NOW + 3_600_000),
        old_pepper: true,
        last_used: None,
        ..ci.clone()
    };
    let revoked = Key { name: "old".into(), revoked: Some(NOW - 1000), ..ci.clone() };
    let expired = Key { name: "older".into(), expires: Some(NOW - 1000), ..ci.clone() };
    vec![ci, rotating, revoked, expired]
}

pub(crate) fn blocks() -> Vec<Block> {
    let address = Block {
        of: BlockOf::Address,
        target: "192.0.2.0/24".into(),
        id: "192.0.2.0/24".into(),
        reason: "guesses keys".into(),
        until: Some(NOW + 3_540_000),
        created: NOW - 60_000,
        revision: 1,
    };
    let hostile = Block {
        of: BlockOf::User,
        target: HOSTILE.into(),
        id: "0190-user".into(),
        reason: HOSTILE.into(),
        until: None,
        ..address.clone()
    };
    vec![address, hostile]
}

pub(crate) fn findings() -> Vec<Finding> {
    let address = Finding {
        kind: FindingKind::RefusedCredentials,
        subject: "192.0.2.7".into(),
        count: 300,
        usual: 2,
        first: Some(NOW - 3_600_000),
        last: Some(NOW - 60_000),
        finding: "300 keys or tokens from 192.0.2.7 were refused".into(),
        contain: Some("aivonx incident contain --address 192.0.2.7".into()),
    };
    let user = Finding {
        kind: FindingKind::FirstSeenAddress,
        subject: "198.51.100.4 alice".into(),
        count: 1,
        usual: 0,
        finding: "a login from an address not seen before: 198.51.100.4 alice".into(),
        contain: Some("aivonx incident contain --user alice --address 198.51.100.4".into()),
        ..address.clone()
    };
    let hostile = Finding {
        kind: FindingKind::UsageSpike,
        subject: HOSTILE.into(),
        finding: format!("the key {HOSTILE} asked 900 times"),
        first: None,
        last: None,
        contain: None,
        ..address.clone()
    };
    vec![address, user, hostile]
}

pub(crate) fn routes() -> Vec<RouteAccess> {
    let access = |group, access: &str, route: &str| RouteAccess {
        listener: "127.0.0.1:11435".into(),
        group,
        access: access.into(),
        routes: vec![route.into()],
    };
    vec![access(RouteGroup::Inference, "infer", "POST /api/chat"), access(RouteGroup::Open, HOSTILE, HOSTILE)]
}

pub(crate) fn lockouts() -> Vec<Lockout> {
    let alice = Lockout {
        user: "alice".into(),
        address: "192.0.2.7".into(),
        failures: 5,
        last: NOW - 60_000,
        locked_until: Some(NOW + 3_540_000),
    };
    let hostile = Lockout {
        user: HOSTILE.into(),
        address: "2001:db8:1:2::/64".into(),
        failures: 1,
        locked_until: None,
        ..alice.clone()
    };
    vec![alice, hostile]
}

pub(crate) fn snapshots() -> Vec<Snapshot> {
    let contents = |all: &[(&str, u64)]| {
        all.iter().map(|(kind, count)| SnapshotContents { kind: (*kind).to_owned(), count: *count }).collect()
    };
    let newest = Snapshot {
        file: "20261121T223134.000Z-1042.snapshot".into(),
        bytes: 348_160,
        taken: Some(NOW - 7_200_000),
        change: Some(1042),
        behind: Some(17),
        contents: contents(&[
            ("nodes", 3),
            ("organizations", 2),
            ("users", 12),
            ("keys", 40),
            ("aliases", 0),
        ]),
        problem: None,
    };
    let damaged = Snapshot {
        file: "20261121T213134.000Z-1001.snapshot".into(),
        bytes: 346_000,
        taken: None,
        change: None,
        behind: None,
        contents: Vec::new(),
        problem: Some("its digest does not match: it is cut off or was changed".into()),
    };
    let oldest = Snapshot {
        file: "20261121T203134.000Z-900.snapshot".into(),
        taken: Some(NOW - 14_400_000),
        change: Some(900),
        behind: Some(159),
        ..newest.clone()
    };
    vec![newest, damaged, oldest]
}

/// A second factor as the daemon offers it, for somebody with a name of so many letters.
pub(crate) fn offer_to(letters: usize) -> aivonx_protocol::account::TotpOffer {
    let secret = concat!("GEZDGNBVGY3TQOJQ", "GEZDGNBVGY3TQOJQ");
    let name = "a.long_name-".repeat(6).split_at(letters).0.to_owned();
    let uri = format!(
        "otpauth://totp/aivonx:{name}?secret={secret}&issuer=aivonx&algorithm=SHA1&digits=6&period=30"
    );
    let secret = aivonx_protocol::WireSecret::new(secret.into());
    aivonx_protocol::account::TotpOffer { secret, uri: aivonx_protocol::WireSecret::new(uri) }
}

/// The same for a usual name.
pub(crate) fn offer() -> aivonx_protocol::account::TotpOffer {
    offer_to(5)
}
