//! What made-up clients used in the days before, as entries of the usage ledger.

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
};

use aivonx_domain::Outcome;
use aivonx_store::{
    StoreError, UsageLog,
    usage::{Code, Part, Parties, UsageEntry, UsageName},
};
use serde::Deserialize;
use uuid::Uuid;

/// Requests of one day.
#[derive(Debug, Deserialize)]
pub(super) struct Used {
    /// Milliseconds since the epoch.
    time: u64,
    /// Id and slug.
    organization: (String, String),
    /// Id and name.
    user: Option<(String, String)>,
    /// Id and name.
    key: (String, String),
    model: String,
    node: Option<String>,
    requests: u32,
    /// Tokens.
    prompt: u64,
    /// Tokens.
    output: u64,
    /// Millionths of a US dollar.
    cost: u64,
    status: u16,
}

/// Writes it down.
///
/// # Errors
/// The store fails.
pub(super) async fn write(log: &UsageLog, all: Vec<Used>) -> Result<(), StoreError> {
    let mut names = HashMap::new();
    let mut code = |part, id: &str, name: &str| {
        let code = Code::of(part, id);
        names.insert(code, UsageName { part, id: id.to_owned(), name: name.to_owned() });
        code
    };
    let mut entry = |used: Used| UsageEntry {
        time: used.time,
        request: Uuid::now_v7(),
        parties: Parties {
            organization: code(Part::Organization, &used.organization.0, &used.organization.1),
            user: used.user.map_or(Code::NONE, |(id, name)| code(Part::User, &id, &name)),
            key: code(Part::Key, &used.key.0, &used.key.1),
            model: code(Part::Model, &used.model, &used.model),
            served: Code::NONE,
            node: used.node.map_or(Code::NONE, |node| code(Part::Node, &node, &node)),
            route: code(Part::Route, "/api/chat", "/api/chat"),
        },
        address: Some(Ipv4Addr::LOCALHOST.into()),
        times: used.requests,
        prompt: Some(used.prompt),
        output: Some(used.output),
        estimated: false,
        cost: used.cost,
        status: used.status,
        outcome: Outcome::Complete as u8,
        limit: None,
        findings: BTreeMap::new(),
        queued_ms: Some(used.requests / 10),
        total_ms: used.requests.saturating_mul(1800),
    };
    let entries = all.into_iter().map(&mut entry).collect();
    log.append(entries, names.into_iter().collect()).await
}
