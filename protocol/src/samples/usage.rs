//! Values of the samples: usage.

use crate::{
    Network,
    privacy::Category,
    usage::{UsageBy, UsageFilter, UsageFrom, UsagePer, UsageRecord, UsageReport, UsageRow},
};

const NOW: u64 = 1_700_000_000_000;

pub(super) fn filter() -> UsageFilter {
    UsageFilter {
        since: Some(NOW),
        until: Some(NOW + 1),
        organization: Some("acme".into()),
        user: Some("alice".into()),
        key: Some("ci".into()),
        model: Some("llama3:8b".into()),
        node: Some("gpu1".into()),
        network: None,
    }
}

pub(super) fn network() -> Network {
    Network::around([192, 0, 2, 7].into(), 24)
}

fn row() -> UsageRow {
    UsageRow {
        time: Some(NOW),
        id: Some("0190-org".into()),
        name: Some("acme".into()),
        requests: 7,
        failed: 1,
        refused: 2,
        prompt_tokens: 1000,
        output_tokens: 500,
        estimated: 1,
        spend: 12_345,
        queued_ms: 9,
        total_ms: 70_000,
        findings: [(Category::Email, 3)].into(),
        requests_used: Some(7),
        requests_limit: Some(100),
        spend_used: Some(12_345),
        spend_limit: Some(10_000_000),
    }
}

pub(super) fn report() -> UsageReport {
    UsageReport {
        since: NOW,
        until: NOW + 1,
        by: Some(UsageBy::Organization),
        per: Some(UsagePer::Month),
        total: UsageRow { time: None, ..row() },
        rows: vec![row()],
        cut: true,
    }
}

pub(super) fn record() -> UsageRecord {
    UsageRecord {
        time: NOW,
        request_id: "0190-request".into(),
        organization_id: Some("0190-org".into()),
        organization: Some("acme".into()),
        user_id: Some("0190-user".into()),
        user: Some("alice".into()),
        key_id: Some("0190-key".into()),
        key: Some("ci".into()),
        model: Some("gpt-4o".into()),
        served: Some("llama3:8b".into()),
        node: Some("gpu1".into()),
        route: "/v1/chat/completions".into(),
        requests: 1,
        prompt_tokens: Some(1000),
        output_tokens: Some(500),
        estimated: true,
        spend: 12_345,
        status: 429,
        outcome: "refused".into(),
        limit: Some("inference.day".into()),
        findings: [(Category::Key, 1)].into(),
        queued_ms: Some(3),
        total_ms: 900,
    }
}

pub(super) fn from() -> UsageFrom {
    UsageFrom { record: record(), address: Some("192.0.2.7".into()) }
}
