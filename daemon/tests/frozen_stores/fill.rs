//! What is put into a store that is to be frozen: something of everything.

mod ledgers;

use std::{collections::BTreeMap, time::Duration};

use aivonx_identity::key_material;
use aivonx_protocol::{
    WireSecret,
    key::KeyScope,
    limit::{Each, LimitName, LimitSetting},
    node::{AdminState, NodeKind},
    organization::{LimitProfile, NodeAccess, PrivacyMode},
    policy::{ContextSize, KeepAlive},
    privacy::Category,
    session::SessionKind,
    strategy::Strategy,
    user::Role,
};
use aivonx_store::{
    AliasRecord, FleetPrivacy, KeyRecord, LimitRecord, LimitSubject, LockoutRecord, NodeRecord,
    OrganizationRecord, PolicyRecord, PriceRecord, RetiringHash, SecretKind, SecretRecord, SessionRecord,
    StoredCredential, StoredReset, StoredTotp, UserRecord, secrets::Sealed, usage::DAY_MS,
};
use uuid::Uuid;

use super::super::Opened;

/// When limits' days begin.
pub(crate) const DAY_OFFSET: Duration = Duration::from_secs(5 * 3600);
/// Entries written to the audit log, the first of the chain counted: so few that none are counted together.
pub(crate) const AUDITED: u32 = 41;

/// A time at which all of it happened: 2026-11-02.
const TIME: u64 = 20_759 * DAY_MS;

pub(crate) async fn all(opened: &Opened) {
    settings(opened).await;
    organizations(opened).await;
    users(opened).await;
    nodes(opened).await;
    keys(opened).await;
    sessions(opened).await;
    secrets(opened).await;
    limits(opened).await;
    policies(opened).await;
    ledgers::fill(opened).await;
    ledgers::audit(opened).await;
    // Snapshots are taken by the close as well; this one is an older.
    opened.store.snapshot().await.unwrap();
}

fn id(noun: u32, n: u32) -> String {
    Uuid::from_u128(0x0193_0000_0000_7000_8000_0000_0000_0000 | (u128::from(noun) << 32) | u128::from(n))
        .to_string()
}

const ORGANIZATION: u32 = 1;
const USER: u32 = 2;
const NODE: u32 = 3;
const KEY: u32 = 4;
const SESSION: u32 = 5;

fn acme() -> String {
    id(ORGANIZATION, 1)
}

async fn settings(Opened { store, .. }: &Opened) {
    let settings = store.settings();
    settings.set_strategy(Strategy::LowestLatency).await.unwrap();
    settings.set_limit_profile(LimitProfile::Team).await.unwrap();
    let privacy =
        FleetPrivacy { mode: PrivacyMode::Detect, categories: vec![Category::Email, Category::Key] };
    settings.set_privacy(privacy).await.unwrap();
    settings.set_setup_used().await.unwrap();
    settings.keep_day_offset(DAY_OFFSET).await.unwrap();
}

async fn organizations(Opened { store, .. }: &Opened) {
    let organization = |n, slug: &str| OrganizationRecord {
        id: id(ORGANIZATION, n),
        slug: slug.into(),
        name: format!("{slug} & Söhne"),
        enabled: true,
        require_totp: false,
        models: Vec::new(),
        nodes: NodeAccess::Shared,
        cloud_models: false,
        privacy: PrivacyMode::Off,
        privacy_categories: Vec::new(),
        limit_profile: LimitProfile::Unlimited,
        created: TIME,
        revision: 0,
    };
    let labels = BTreeMap::from([("site".to_owned(), "west".to_owned())]);
    for record in [
        OrganizationRecord {
            require_totp: true,
            models: vec!["llama3*".into(), "qwen?".into()],
            nodes: NodeAccess::Labels(labels),
            cloud_models: true,
            privacy: PrivacyMode::Redact,
            privacy_categories: vec![Category::Ssn, Category::Card],
            limit_profile: LimitProfile::Standard,
            ..organization(1, "acme")
        },
        OrganizationRecord {
            enabled: false,
            nodes: NodeAccess::Exclusive,
            privacy: PrivacyMode::Block,
            limit_profile: LimitProfile::Team,
            ..organization(2, "beta")
        },
    ] {
        store.organizations().insert(record).await.unwrap();
    }
    store.placements().set_networks(&acme(), vec!["10.1.0.0/16".into(), "fd00::/8".into()]).await.unwrap();
}

async fn users(Opened { store, vault, .. }: &Opened) {
    let user = |n, name: &str, role| UserRecord {
        id: id(USER, n),
        name: name.into(),
        display_name: None,
        email: None,
        role,
        organization: None,
        enabled: true,
        password: None,
        password_changed: 0,
        must_change_password: false,
        totp: None,
        totp_exempt: false,
        backup_codes: Vec::new(),
        reset: None,
        epoch: 1,
        last_login: None,
        created: TIME,
        revision: 0,
    };
    let shared = WireSecret::new("JBSWY3DPEHPK3PXP".to_owned());
    let totp = vault.seal("user", &id(USER, 2), &shared).unwrap();
    for record in [
        UserRecord { last_login: Some(TIME + 5), totp_exempt: true, ..user(1, "root", Role::Superadmin) },
        UserRecord {
            display_name: Some("Alice Ünlü".into()),
            email: Some("alice@acme.example".into()),
            organization: Some(acme()),
            password: Some("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaGhhc2hoYXNoaGFzaA".into()),
            password_changed: TIME + 1,
            totp: Some(StoredTotp { secret: totp, confirmed: true, last_step: 59_600_000 }),
            backup_codes: vec!["code-hash-1".into(), "code-hash-2".into()],
            epoch: 7,
            ..user(2, "alice", Role::OrgAdmin)
        },
        UserRecord {
            organization: Some(acme()),
            must_change_password: true,
            reset: Some(StoredReset { hash: "reset-hash".into(), expires: TIME + 3_600_000 }),
            ..user(3, "bob", Role::Member)
        },
        UserRecord { enabled: false, ..user(4, "olga", Role::Operator) },
        UserRecord { organization: Some(id(ORGANIZATION, 2)), ..user(5, "audit", Role::Auditor) },
    ] {
        store.users().insert(record).await.unwrap();
    }
    // One that was changed has a revision of its own.
    let reach = aivonx_domain::TenantScope::All;
    store.users().update(&reach, &id(USER, 3), Some(1), |bob| bob.epoch = 2).await.unwrap();
}

async fn nodes(Opened { store, vault, .. }: &Opened) {
    let sealed = |n, text: &str| -> Sealed {
        vault.seal("node", &id(NODE, n), &WireSecret::new(text.to_owned())).unwrap()
    };
    let node = |n, name: &str| NodeRecord {
        id: id(NODE, n),
        name: name.into(),
        url: format!("http://{name}.example:11434"),
        kind: NodeKind::Ollama,
        kind_assumed: false,
        admin_state: AdminState::Enabled,
        max_parallel: 4,
        labels: BTreeMap::new(),
        ca_pem: None,
        server_name: None,
        credential: StoredCredential::None,
        forced: false,
        organization: None,
        created: TIME,
        revision: 0,
    };
    let header = StoredCredential::Header { name: "x-api-key".into(), value: sealed(4, "header-secret") };
    let basic = StoredCredential::Basic { user: "gateway".into(), password: sealed(3, "basic-secret") };
    for record in [
        node(1, "plain"),
        NodeRecord {
            url: "https://bearer.example/base".into(),
            kind: NodeKind::Openai,
            kind_assumed: true,
            labels: BTreeMap::from([("site".into(), "west".into()), ("gpu".into(), "h100".into())]),
            ca_pem: Some("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".into()),
            server_name: Some("inside.example".into()),
            credential: StoredCredential::Bearer(sealed(2, "bearer-secret")),
            ..node(2, "bearer")
        },
        NodeRecord { admin_state: AdminState::Draining, credential: basic, forced: true, ..node(3, "basic") },
    ] {
        store.nodes().insert(record).await.unwrap();
    }
    // As an operator of the organization adds one, which notes where it was placed.
    let placed = NodeRecord {
        admin_state: AdminState::Disabled,
        credential: header,
        organization: Some(acme()),
        ..node(4, "header")
    };
    store.nodes().place(placed, true).await.unwrap();
}

async fn keys(Opened { store, .. }: &Opened) {
    let key = |n: u8, name: &str| KeyRecord {
        id: id(KEY, n.into()),
        name: name.into(),
        organization: None,
        user: None,
        prefix: format!("avx_{name}"),
        pepper: 1,
        hash: [n; 32],
        retiring: None,
        scopes: vec![KeyScope::Infer],
        models: Vec::new(),
        networks: Vec::new(),
        expires: None,
        revoked: None,
        created: TIME,
        created_by: None,
        revision: 0,
    };
    for record in [
        key(1, "fleet"),
        KeyRecord {
            organization: Some(acme()),
            user: Some(id(USER, 3)),
            retiring: Some(RetiringHash { pepper: 1, hash: [9; 32], until: TIME + 86_400_000 }),
            scopes: vec![KeyScope::ModelsRead, KeyScope::ModelsWrite, KeyScope::AdminRead],
            models: vec!["llama3*".into()],
            networks: vec!["192.0.2.0/24".into()],
            expires: Some(TIME + 90 * DAY_MS),
            created_by: Some(id(USER, 2)),
            ..key(2, "ci")
        },
        KeyRecord { organization: Some(acme()), revoked: Some(TIME + 9), ..key(3, "old") },
    ] {
        store.keys().insert(record).await.unwrap();
    }
}

async fn sessions(Opened { store, .. }: &Opened) {
    let session = |n: u8, kind| SessionRecord {
        id: id(SESSION, n.into()),
        kind,
        user: id(USER, 1),
        epoch: 1,
        name: None,
        role: Role::Superadmin,
        organization: None,
        hash: [n; 32],
        previous: Vec::new(),
        peer_uid: None,
        address: None,
        user_agent: None,
        created: TIME,
        last_used: TIME + 1,
        expires: TIME + 365 * DAY_MS,
        idle_ms: 3_600_000,
        revision: 0,
    };
    for record in [
        SessionRecord { peer_uid: Some(1000), ..session(1, SessionKind::Control) },
        SessionRecord { name: Some("backup".into()), role: Role::Auditor, ..session(2, SessionKind::Token) },
        SessionRecord {
            user: id(USER, 2),
            epoch: 7,
            role: Role::OrgAdmin,
            organization: Some(acme()),
            previous: vec![[7; 32], [8; 32]],
            address: Some("192.0.2.7".into()),
            user_agent: Some("curl/8".into()),
            ..session(3, SessionKind::Http)
        },
    ] {
        store.sessions().insert(record).await.unwrap();
    }
    for (address, locked_until) in [(None, None), (Some("192.0.2.9"), Some(TIME + 900_000))] {
        let record = LockoutRecord {
            id: LockoutRecord::id_of("bob", address),
            user: "bob".into(),
            address: address.map(Into::into),
            failures: 5,
            created: TIME,
            last: TIME + 4,
            locked_until,
            revision: 0,
        };
        store.lockouts().insert(record).await.unwrap();
    }
}

async fn secrets(Opened { store, vault, .. }: &Opened) {
    // The daemon's own, and one that a rotation left behind.
    key_material::load(store, vault, TIME).await.unwrap();
    let old = key_material::generate(SecretKind::Pepper).unwrap();
    let record = SecretRecord {
        id: "pepper-7".into(),
        kind: SecretKind::Pepper,
        number: 7,
        sealed: vault.seal(key_material::SEALED_IN, "pepper-7", &old).unwrap(),
        created: TIME,
        retire_at: Some(TIME + DAY_MS),
        revision: 0,
    };
    store.secrets().insert(record).await.unwrap();
}

async fn limits(Opened { store, .. }: &Opened) {
    let own = |name| LimitSetting { name, each: Each::Itself };
    let subjects = [
        LimitSubject::Fleet,
        LimitSubject::Organization { id: acme() },
        LimitSubject::User { id: id(USER, 3), organization: Some(acme()) },
        LimitSubject::Key { id: id(KEY, 2), organization: Some(acme()), user: Some(id(USER, 3)) },
    ];
    for (n, subject) in (1..).zip(subjects) {
        let record = LimitRecord {
            granted: BTreeMap::from([
                (own(LimitName::InferenceDay), Some(n * 1000)),
                (LimitSetting::of_user(LimitName::UserHour), None),
            ]),
            own: BTreeMap::from([(own(LimitName::BurstMinute), Some(n))]),
            created: TIME,
            ..LimitRecord::new(subject)
        };
        store.limits().insert(record).await.unwrap();
    }
    for (pattern, prompt, output) in [("llama3*", 150_000, 600_000), ("*", 0, 1)] {
        let record = PriceRecord {
            id: pattern.into(),
            model: pattern.to_uppercase(),
            prompt,
            output,
            created: TIME,
            revision: 0,
        };
        store.prices().insert(record).await.unwrap();
    }
}

async fn policies(Opened { store, .. }: &Opened) {
    for (n, organization) in [(1, None), (2, Some(acme()))] {
        let policy = PolicyRecord {
            id: id(6, n),
            organization: organization.clone(),
            model: "Llama3*".into(),
            normal: "llama3*".into(),
            keep_alive: Some(KeepAlive { value: "30m".into(), force: n == 1 }),
            num_ctx: Some(ContextSize { tokens: 8192, force: n == 2 }),
            output_max: organization.is_some().then_some(512),
            created: TIME,
            revision: 0,
        };
        store.policies().insert(policy).await.unwrap();
        let alias = AliasRecord {
            id: id(7, n),
            organization,
            alias: "GPT-4".into(),
            normal: "gpt-4:latest".into(),
            models: vec!["llama3:8b".into(), "qwen2".into()],
            created: TIME,
            revision: 0,
        };
        store.aliases().insert(alias).await.unwrap();
    }
}
