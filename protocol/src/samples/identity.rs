//! Values of the samples: who may do what.

use std::collections::BTreeMap;

use crate::{
    WireSecret,
    account::{Identity, LoggedIn, Setup, TotpOffer},
    key::{Key, KeyChange, KeyQueueing, KeyScope, NewKey, NewSecretKey, Priority},
    lockout::Lockout,
    organization::{
        LimitProfile, NewOrganization, NodeAccess, NodeNetworks, Organization, OrganizationChange,
        PrivacyMode,
    },
    session::{NewSession, Session, SessionKind},
    user::{NewUser, ResetCode, Role, User, UserChange},
};

const NOW: u64 = 1_700_000_000_000;

pub(super) fn secret(text: &str) -> WireSecret {
    WireSecret::new(text.into())
}

pub(super) fn setup() -> Setup {
    Setup {
        username: "root".into(),
        password: secret("p"),
        no_totp: true,
        profile: Some(LimitProfile::Team),
        recover: false,
    }
}

pub(super) fn identity() -> Identity {
    Identity {
        user: Some("alice".into()),
        role: Some(Role::OrgAdmin),
        organization: Some("acme".into()),
        session: Some(session()),
        must_enrol: false,
        must_change_password: true,
        totp: true,
        backup_codes: 9,
        uid: 1000,
        set_up: true,
    }
}

pub(super) fn logged_in() -> LoggedIn {
    LoggedIn { identity: identity(), secret: secret("s"), expires: NOW + 43_200_000, idle_ms: 1_800_000 }
}

pub(super) fn totp_offer() -> TotpOffer {
    TotpOffer { secret: secret("JBSWY3DP"), uri: secret("otpauth://totp/aivonx:alice?secret=JBSWY3DP") }
}

pub(super) fn organization() -> Organization {
    Organization {
        id: "0190-org".into(),
        slug: "acme".into(),
        name: "Acme".into(),
        enabled: true,
        require_totp: false,
        models: vec!["llama3*".into()],
        nodes: NodeAccess::Exclusive,
        cloud_models: false,
        privacy: PrivacyMode::Redact,
        limit_profile: LimitProfile::Standard,
        users: 2,
        keys: 3,
        exclusive_nodes: 1,
        created: NOW,
        revision: 2,
    }
}

pub(super) fn node_networks() -> NodeNetworks {
    NodeNetworks { organization: "0190-org".into(), networks: vec!["10.0.0.0/8".into()] }
}

pub(super) fn new_organization() -> NewOrganization {
    NewOrganization {
        slug: "acme".into(),
        name: Some("Acme".into()),
        require_totp: true,
        models: vec!["llama3*".into()],
        nodes: NodeAccess::Labels(BTreeMap::from([("zone".into(), "b".into())])),
        cloud_models: true,
        privacy: Some(PrivacyMode::Block),
        limit_profile: Some(LimitProfile::Unlimited),
    }
}

pub(super) fn organization_change() -> OrganizationChange {
    OrganizationChange {
        slug: Some("acme2".into()),
        name: None,
        enabled: Some(false),
        require_totp: Some(true),
        models: Some(Vec::new()),
        nodes: Some(NodeAccess::Shared),
        cloud_models: Some(true),
        privacy: Some(PrivacyMode::Detect),
        limit_profile: None,
    }
}

pub(super) fn user() -> User {
    User {
        id: "0190-user".into(),
        name: "alice".into(),
        display_name: Some("Alice".into()),
        email: Some("alice@example.com".into()),
        role: Role::Member,
        organization: Some("acme".into()),
        enabled: true,
        totp: true,
        backup_codes: 10,
        must_change_password: false,
        last_login: Some(NOW),
        created: NOW,
        revision: 4,
    }
}

pub(super) fn new_user() -> NewUser {
    NewUser {
        name: "alice".into(),
        display_name: None,
        email: Some("alice@example.com".into()),
        role: Role::Operator,
        organization: Some("acme".into()),
        password: Some(secret("p")),
    }
}

pub(super) fn user_change() -> UserChange {
    UserChange {
        name: Some("alicia".into()),
        display_name: Some(None),
        email: Some(Some("a@example.com".into())),
        role: Some(Role::Auditor),
        organization: Some(None),
    }
}

pub(super) fn reset_code() -> ResetCode {
    ResetCode { code: secret("abcd-efgh"), expires: NOW + 3_600_000 }
}

pub(super) fn session() -> Session {
    Session {
        id: "0190-session".into(),
        kind: SessionKind::Control,
        user: "alice".into(),
        name: Some("backup".into()),
        role: Role::OrgAdmin,
        organization: Some("acme".into()),
        peer_uid: Some(1000),
        address: Some("192.0.2.7".into()),
        created: NOW,
        last_used: NOW + 60_000,
        expires: NOW + 43_200_000,
    }
}

pub(super) fn new_session() -> NewSession {
    NewSession { session: session(), secret: secret("s") }
}

pub(super) fn key() -> Key {
    Key {
        id: "0190-key".into(),
        name: "ci".into(),
        organization: Some("acme".into()),
        user: Some("alice".into()),
        prefix: "aivx_1a2b3c4".into(),
        scopes: vec![KeyScope::Infer],
        models: vec!["llama3*".into()],
        networks: vec!["192.0.2.0/24".into()],
        expires: Some(NOW + 1),
        revoked: Some(NOW + 2),
        grace_until: Some(NOW + 3),
        old_pepper: true,
        last_used: Some(NOW + 4),
        created: NOW,
        revision: 1,
    }
}

pub(super) fn key_queueing() -> KeyQueueing {
    KeyQueueing { key: "0190-key".into(), priority: Priority::High, keep_waiting: true }
}

pub(super) fn new_key() -> NewKey {
    NewKey {
        name: "ci".into(),
        organization: Some("acme".into()),
        user: None,
        scopes: vec![KeyScope::ModelsRead, KeyScope::ModelsWrite, KeyScope::AdminRead],
        models: Vec::new(),
        networks: vec!["2001:db8::/32".into()],
        expires: Some(NOW),
    }
}

pub(super) fn key_change() -> KeyChange {
    KeyChange {
        name: Some("ci2".into()),
        scopes: Some(vec![KeyScope::Infer]),
        models: None,
        networks: Some(Vec::new()),
        expires: Some(None),
    }
}

pub(super) fn new_secret_key() -> NewSecretKey {
    NewSecretKey { key: key(), secret: secret("aivx_s") }
}

pub(super) fn lockout() -> Lockout {
    Lockout {
        user: "alice".into(),
        address: "192.0.2.7".into(),
        failures: 5,
        last: NOW,
        locked_until: Some(NOW + 3_600_000),
    }
}
