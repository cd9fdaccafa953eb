//! What the ledger keeps of a finished request.

use std::{net::IpAddr, sync::Arc, time::Duration};

use aivonx_domain::{AccessRecord, Findings, Outcome, access::Subject};
use aivonx_protocol::{
    UnixMillis,
    limit::LimitName,
    usage::{UsageFrom, UsageRecord},
};
use aivonx_wire::api::route;
use uuid::Uuid;

use super::Whose;

/// What requests are about: who asked, for what, and who answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct About {
    pub(super) subject: Option<Arc<Subject>>,
    pub(super) model: Option<Arc<str>>,
    pub(super) served: Option<Arc<str>>,
    pub(super) node: Option<Arc<str>>,
    pub(super) route: &'static str,
}

impl About {
    pub(super) fn of(record: &AccessRecord) -> Self {
        Self {
            subject: record.subject.clone(),
            model: record.model.clone(),
            served: record.served.clone(),
            node: record.node.clone(),
            route: record.route,
        }
    }
}

/// A finished request, or refusals that are alike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) time: UnixMillis,
    pub(super) request: Uuid,
    /// Of the client.
    pub(super) address: Option<IpAddr>,
    /// Place of its [`About`] among those of the group.
    pub(super) about: u32,
    /// How many are alike.
    pub(super) times: u32,
    pub(super) prompt: Option<u64>,
    pub(super) output: Option<u64>,
    pub(super) estimated: bool,
    pub(super) cost: u64,
    pub(super) status: u16,
    pub(super) outcome: Outcome,
    pub(super) limit: Option<LimitName>,
    pub(super) findings: Findings,
    pub(super) queued_ms: Option<u32>,
    pub(super) total_ms: u32,
}

/// Whether a request is one for the ledger: inference, and not refused before anyone was known.
pub(super) fn counts(record: &AccessRecord) -> bool {
    (record.subject.is_some() || record.outcome != Outcome::Refused)
        && route::find(record.route).is_some_and(|(route, _)| route.metered())
}

impl Seen {
    pub(super) fn of(record: &AccessRecord, now: UnixMillis, about: u32) -> Self {
        Self {
            time: now,
            request: record.request_id,
            address: Some(record.client),
            about,
            times: 1,
            prompt: record.prompt_tokens,
            output: record.output_tokens,
            estimated: record.estimated,
            cost: record.cost,
            status: record.status,
            outcome: record.outcome,
            limit: record.limit,
            findings: record.found(),
            queued_ms: record.queued.map(millis),
            total_ms: millis(record.duration),
        }
    }
}

/// A request as followers of usage get it.
pub(super) fn live(record: &AccessRecord, now: UnixMillis) -> (Whose, UsageFrom) {
    let organization = record.organization();
    let user = record.subject.as_ref().and_then(|s| s.user.as_ref());
    let key = record.key();
    let id = |named: Option<&(Arc<str>, Arc<str>)>| named.map(|(id, _)| id.to_string());
    let name = |named: Option<&(Arc<str>, Arc<str>)>| named.map(|(_, name)| name.to_string());
    let text = |text: &Option<Arc<str>>| text.as_ref().map(ToString::to_string);
    let told = UsageRecord {
        time: now,
        request_id: record.request_id.to_string(),
        organization_id: id(organization),
        organization: name(organization),
        user_id: id(user),
        user: name(user),
        key_id: id(key),
        key: name(key),
        model: text(&record.model),
        served: text(&record.served),
        node: text(&record.node),
        route: record.route.to_owned(),
        requests: 1,
        prompt_tokens: record.prompt_tokens,
        output_tokens: record.output_tokens,
        estimated: record.estimated,
        spend: record.cost,
        status: record.status,
        outcome: record.outcome.name().to_owned(),
        limit: record.limit.map(|limit| limit.name().to_owned()),
        findings: record.found().each().collect(),
        queued_ms: record.queued.map(millis),
        total_ms: millis(record.duration),
    };
    let whose = (organization.map(|(id, _)| id.clone()), user.map(|(id, _)| id.clone()));
    (whose, UsageFrom { record: told, address: Some(record.client.to_string()) })
}

/// Whole milliseconds.
fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}
