//! What the ledger keeps of a finished request.

use std::{sync::Arc, time::Duration};

use aivonx_protocol::{UnixMillis, key::KeyScope, limit::LimitName, usage::UsageRecord};
use uuid::Uuid;

use super::Whose;
use crate::{
    api::route::{self, Need},
    telemetry::{
        AccessRecord, Outcome,
        access::{Findings, Subject},
    },
};

/// A finished request.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) time: UnixMillis,
    pub(super) request: Uuid,
    pub(super) subject: Option<Arc<Subject>>,
    pub(super) model: Option<Arc<str>>,
    pub(super) served: Option<Arc<str>>,
    pub(super) node: Option<Arc<str>>,
    pub(super) route: &'static str,
    pub(super) prompt: Option<u64>,
    pub(super) output: Option<u64>,
    pub(super) estimated: bool,
    pub(super) cost: u64,
    pub(super) status: u16,
    pub(super) outcome: Outcome,
    pub(super) limit: Option<LimitName>,
    pub(super) findings: Findings,
    pub(super) queued: Option<Duration>,
    pub(super) total: Duration,
}

impl Seen {
    /// None if it is not one for the ledger: not inference, or refused before anyone was known.
    pub(super) fn of(record: &AccessRecord, now: UnixMillis) -> Option<Self> {
        if record.subject.is_none() && record.outcome == Outcome::Refused {
            return None;
        }
        let (route, _) = route::find(record.route)?;
        if route.need() != Need::Scope(KeyScope::Infer) {
            return None;
        }
        Some(Self {
            time: now,
            request: record.request_id,
            subject: record.subject.clone(),
            model: record.model.clone(),
            served: record.served.clone(),
            node: record.node.clone(),
            route: record.route,
            prompt: record.prompt_tokens,
            output: record.output_tokens,
            estimated: record.estimated,
            cost: record.cost,
            status: record.status,
            outcome: record.outcome,
            limit: record.limit,
            findings: record.findings,
            queued: record.queued,
            total: record.duration,
        })
    }

    /// As those who follow are told of it.
    pub(super) fn live(&self) -> (Whose, UsageRecord) {
        let subject = self.subject.as_deref();
        let organization = subject.and_then(|s| s.organization.as_ref());
        let user = subject.and_then(|s| s.user.as_ref());
        let key = subject.and_then(|s| s.key.as_ref());
        let id = |named: Option<&(Arc<str>, Arc<str>)>| named.map(|(id, _)| id.to_string());
        let name = |named: Option<&(Arc<str>, Arc<str>)>| named.map(|(_, name)| name.to_string());
        let text = |text: &Option<Arc<str>>| text.as_ref().map(ToString::to_string);
        let record = UsageRecord {
            time: self.time,
            request_id: self.request.to_string(),
            organization_id: id(organization),
            organization: name(organization),
            user_id: id(user),
            user: name(user),
            key_id: id(key),
            key: name(key),
            model: text(&self.model),
            served: text(&self.served),
            node: text(&self.node),
            route: self.route.to_owned(),
            requests: 1,
            prompt_tokens: self.prompt,
            output_tokens: self.output,
            estimated: self.estimated,
            spend: self.cost,
            status: self.status,
            outcome: self.outcome.name().to_owned(),
            limit: self.limit.map(|limit| limit.name().to_owned()),
            findings: self.findings.each().collect(),
            queued_ms: self.queued.map(millis),
            total_ms: millis(self.total),
        };
        let whose = (organization.map(|(id, _)| id.clone()), user.map(|(id, _)| id.clone()));
        (whose, record)
    }
}

/// Whole milliseconds.
pub(super) fn millis(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}
