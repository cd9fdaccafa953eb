//! Everything that a store holds, as JSON; secrets opened.

use std::collections::BTreeMap;

use aivonx_domain::TenantScope;
use aivonx_ledgers::usage::{Bounds, Keep, Only, Usage};
use aivonx_protocol::audit::{Action, AuditFilter};
use aivonx_store::{
    Record, Records, Store,
    secrets::{Sealed, Vault},
    usage::{Calendar, Group, Part, Piece, Step, Wanted},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::super::Opened;

pub(crate) async fn all(Opened { store, vault, audit }: &Opened) -> Value {
    json!({
        "records": records(store, vault).await,
        "audit": entries(audit).await,
        "usage": usage(store).await,
        "counters": counters(store).await,
    })
}

fn value(of: impl Serialize) -> Value {
    serde_json::to_value(of).unwrap()
}

/// What is in snapshots too.
pub(crate) async fn records(store: &Store, vault: &Vault) -> Value {
    let settings = store.settings();
    let data_keys = store.data_keys().list().await.unwrap();
    let day_offset = settings.keep_day_offset(super::fill::DAY_OFFSET).await.unwrap();
    assert_eq!(day_offset, None, "the offset of the day is another than it was");
    json!({
        "node": noun(store.nodes().within(), "node", vault).await,
        "organization": noun(&store.organizations(), "organization", vault).await,
        "user": noun(&store.users(), "user", vault).await,
        "key": noun(&store.keys(), "key", vault).await,
        "session": noun(&store.sessions(), "session", vault).await,
        "lockout": noun(&store.lockouts(), "lockout", vault).await,
        "secret": noun(&store.secrets(), "secret", vault).await,
        "limit": noun(&store.limits(), "limit", vault).await,
        "price": noun(&store.prices(), "price", vault).await,
        "policy": noun(&store.policies(), "policy", vault).await,
        "alias": noun(&store.aliases(), "alias", vault).await,
        "placement": noun(&store.placements(), "placement", vault).await,
        "data_key": value(data_keys),
        "setting": {
            "daemon_id": settings.daemon_id(),
            "strategy": value(settings.strategy().await.unwrap()),
            "limit_profile": value(settings.limit_profile().await.unwrap()),
            "privacy": value(settings.privacy().await.unwrap()),
            "setup_used": settings.setup_used().await.unwrap(),
        },
    })
}

async fn noun<R: Record>(records: &Records<R>, tree: &str, vault: &Vault) -> Value {
    let mut found = Vec::new();
    for record in records.list(&TenantScope::All).await.unwrap() {
        // The indexes lead to it too.
        if let Some((organization, name)) = record.name() {
            let named = records.by_name(&TenantScope::All, organization, name).await.unwrap();
            assert_eq!(value(named), value(&record), "{tree} {name}");
        }
        if let Some(user) = record.user() {
            let reach =
                TenantScope::User { organization: record.organization().map(Into::into), user: user.into() };
            assert!(records.list(&reach).await.unwrap().iter().any(|own| own.id() == record.id()), "{tree}");
        }
        found.push(open(value(&record), tree, record.id(), vault));
    }
    value(found)
}

/// `record` with what is sealed in it opened.
fn open(record: Value, tree: &str, id: &str, vault: &Vault) -> Value {
    if let Ok(sealed) = serde_json::from_value::<Sealed>(record.clone()) {
        return json!({ "secret": vault.open_sealed(tree, id, &sealed).unwrap().expose() });
    }
    match record {
        Value::Object(fields) => {
            fields.into_iter().map(|(name, field)| (name, open(field, tree, id, vault))).collect()
        }
        other => other,
    }
}

/// The audit log up to [`super::fill::AUDITED`] entries; what the daemon adds when it opens it comes behind.
async fn entries(audit: &aivonx_ledgers::audit::Audit) -> Value {
    let list = async |filter, limit, oldest| {
        value(audit.list(&TenantScope::All, filter, None, limit, oldest).await.unwrap().entries)
    };
    let by_actor = AuditFilter { actor: Some("alice".into()), ..AuditFilter::default() };
    let logins = AuditFilter { actions: vec![Action::LoginFailed], ..AuditFilter::default() };
    json!({
        "entries": list(AuditFilter::default(), super::fill::AUDITED, true).await,
        "by_actor": list(by_actor, 1000, true).await,
        "logins": list(logins, 1000, false).await,
    })
}

async fn usage(store: &Store) -> Value {
    let calendar = Calendar::new(super::fill::DAY_OFFSET);
    let log = store.usage_log(calendar);
    let usage = Usage::open(store, None, Bounds::none(), calendar, Keep::default());
    let mut export = usage.export(&TenantScope::All, &Only::default(), None, None).await;
    let mut records = Vec::new();
    while let Some(page) = export.next().await.unwrap() {
        records.extend(page.into_iter().map(|request| {
            let mut record = value(request.record);
            record["address"] = value(request.address);
            record
        }));
    }
    usage.close().await;
    let mut days = BTreeMap::new();
    for part in [Part::Organization, Part::User, Part::Key, Part::Model, Part::Node] {
        let group = Group { by: Some(part), per: Some(Step::Day) };
        let summed =
            log.sum(Wanted::default(), vec![Piece::Days(0..u32::MAX)], group, 1000).await.unwrap().groups;
        let names = log.names(summed.keys().map(|(_, code)| *code).collect()).await.unwrap();
        for ((day, code), sums) in summed {
            let name = names.get(&code).map_or("nobody", |name| &name.id);
            days.insert(format!("{} {part:?} {name}", day.unwrap()), value(sums));
        }
    }
    json!({ "requests": value(records), "days": value(days) })
}

async fn counters(store: &Store) -> Value {
    let limits = store.limit_counters().load().await.unwrap();
    let limits: BTreeMap<_, _> = limits
        .into_iter()
        .map(Result::unwrap)
        .map(|record| (format!("{} {}", record.kind, record.id), record))
        .collect();
    let key_uses: BTreeMap<_, _> = store.key_uses().load().await.unwrap().into_iter().collect();
    json!({ "limits": value(limits), "key_uses": value(key_uses) })
}
