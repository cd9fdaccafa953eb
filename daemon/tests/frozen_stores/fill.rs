//! What is put into a store that is to be frozen: something of everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use aivonx_identity::key_material;
use aivonx_ledgers::audit::{Entry, Who};
use aivonx_protocol::{
    WireSecret,
    audit::{Action, Outcome},
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
use aivonx_store::Counts;
use aivonx_store::{
    AliasRecord, CounterRecord, FleetPrivacy, KeyRecord, LimitRecord, LimitSubject, LockoutRecord,
    NodeRecord, OrganizationRecord, PolicyRecord, PriceRecord, RetiringHash, SavedWindow, SecretKind,
    SecretRecord, SessionRecord, StoredCredential, StoredReset, StoredTotp, UserRecord,
    secrets::Sealed,
    usage::{Calendar, Code, DAY_MS, Part, Parties, UsageEntry, UsageName},
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
    ledgers(opened).await;
    audit(opened).await;
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
    let reach = aivonx_domain::Reach::All;
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

/// Four days of requests, with an hour between them.
async fn ledgers(Opened { store, .. }: &Opened) {
    let log = store.usage_log(Calendar::new(DAY_OFFSET));
    let named = |part, id: &str, name: &str| {
        (Code::of(part, id), UsageName { part, id: id.to_owned(), name: name.to_owned() })
    };
    let (acme, beta, bob, key) = (acme(), id(ORGANIZATION, 2), id(USER, 3), id(KEY, 2));
    let names = [
        (Part::Organization, &*acme, "acme"),
        (Part::Organization, &beta, "beta"),
        (Part::User, &bob, "bob"),
        (Part::Key, &key, "ci"),
        (Part::Model, "llama3:8b", "llama3:8b"),
        (Part::Model, "qwen2", "qwen2"),
        (Part::Node, "plain", "plain"),
        (Part::Node, "bearer", "bearer"),
        (Part::Route, "/api/chat", "/api/chat"),
        (Part::Route, "/v1/embeddings", "/v1/embeddings"),
    ];
    let names: Vec<_> = names.into_iter().map(|(part, id, name)| named(part, id, name)).collect();
    let entry = |n: u64| {
        let code = |part, id: &str| if id.is_empty() { Code::NONE } else { Code::of(part, id) };
        let is_beta = n.is_multiple_of(3);
        let is_refused = n.is_multiple_of(7);
        UsageEntry {
            time: TIME + n * 3_600_000 * 2 + n,
            request: Uuid::from_u64_pair(TIME, n),
            parties: Parties {
                organization: code(Part::Organization, if is_beta { &beta } else { &acme }),
                user: code(Part::User, if is_beta { "" } else { &bob }),
                key: code(Part::Key, if n.is_multiple_of(2) { &key } else { "" }),
                model: code(Part::Model, "llama3:8b"),
                served: code(Part::Model, if n.is_multiple_of(5) { "qwen2" } else { "" }),
                node: code(Part::Node, ["plain", "bearer"][n as usize % 2]),
                route: code(Part::Route, ["/api/chat", "/v1/embeddings"][n as usize % 2]),
            },
            address: Some([192, 0, 2, n as u8].into()),
            times: if is_refused { 40 } else { 1 },
            prompt: (!is_refused).then_some(n * 100),
            output: (!is_refused && !n.is_multiple_of(4)).then_some(n * 7),
            estimated: n % 4 == 1,
            cost: n * 11,
            status: if is_refused { 429 } else { 200 },
            outcome: u8::from(is_refused),
            limit: is_refused.then_some(LimitName::InferenceDay),
            findings: if n.is_multiple_of(6) {
                BTreeMap::from([(Category::Email, 2)])
            } else {
                BTreeMap::new()
            },
            queued_ms: (!is_refused).then_some(3),
            total_ms: 2500 + n as u32,
        }
    };
    let entries: Vec<_> = (0..40).map(entry).collect();
    for (n, part) in entries.chunks(9).enumerate() {
        log.append(part.to_vec(), if n == 0 { names.clone() } else { Vec::new() }).await.unwrap();
    }
    let counters = |kind, id: String, used| {
        let window = |length: i64| SavedWindow {
            index: 20_759,
            age: length / 2,
            counts: Counts { requests: used, tokens: used * 100, spend: used * 7 },
        };
        CounterRecord {
            kind,
            id,
            saved: TIME,
            windows: [60_000, 3_600_000, 86_400_000, 2_678_400_000].map(window),
        }
    };
    let gone = counters(2, id(KEY, 9), 1);
    let records = vec![counters(0, acme, 50), counters(1, bob, 20), counters(2, key.clone(), 9), gone];
    store.limit_counters().save(records).await.unwrap();
    store.limit_counters().forget(vec![(2, id(KEY, 9))]).await.unwrap();
    let uses = BTreeSet::from([(key, TIME + 60_000), (id(KEY, 3), TIME + 8), (id(KEY, 1), TIME + 99)]);
    let uses = uses.into_iter().map(|(id, at)| (id, Some(at)));
    store.key_uses().save(uses.collect()).await.unwrap();
}

async fn audit(Opened { audit, .. }: &Opened) {
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 9));
    // The chain's first entry is the daemon's.
    for n in 1..AUDITED {
        let entry = match n % 4 {
            0 => Entry::new(Action::LoginFailed)
                .outcome(Outcome::Denied)
                .actor(Who::http(None, "mallory", address, Some("curl/8")))
                .via("POST /api/account/login")
                .request_id(Uuid::from_u64_pair(TIME, n.into())),
            1 => Entry::new(Action::Create)
                .actor(Who::control(Some(id(USER, 2)), "alice", 1000, 1000, Some(4711)))
                .organization_named(&acme(), "acme")
                .object("user", Some(&id(USER, n)), Some("bob"))
                .via("user.add")
                .detail("role", "member"),
            2 => Entry::new(Action::ConfigReload).outcome(Outcome::Failed).actor(Who::signal()),
            _ => Entry::new(Action::Update)
                .actor(Who::control(None, "root", 0, 0, None))
                .organization(Some(&id(ORGANIZATION, 2)))
                .object("node", None, Some("plain"))
                .detail("max_parallel", n),
        };
        audit.write(entry).await.unwrap();
    }
}
