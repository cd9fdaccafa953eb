//! Usage: of a team, of nobody, and of somebody hostile.

use aivonx_protocol::{
    privacy::Category,
    usage::{UsageBy, UsageFrom, UsagePer, UsageRecord, UsageReport, UsageRow},
};

use super::{HOSTILE, NOW};

const DAY: u64 = 86_400_000;

pub(crate) fn usage_report() -> UsageReport {
    let acme = UsageRow {
        time: Some(NOW - NOW % DAY),
        id: Some("0195f2a0-0000-7000-8000-0000000000a1".into()),
        name: Some("acme".into()),
        requests: 12_345,
        failed: 7,
        refused: 320,
        prompt_tokens: 98_765_432,
        output_tokens: 4_567_890,
        estimated: 12,
        spend: 81_254_300,
        queued_ms: 70_000,
        total_ms: 12_345 * 1850,
        findings: [(Category::Email, 17), (Category::Key, 1)].into(),
        requests_used: Some(970),
        requests_limit: Some(1000),
        spend_used: Some(81_254_300),
        spend_limit: Some(100_000_000),
    };
    let nobody = UsageRow {
        time: Some(NOW - NOW % DAY),
        requests: 3,
        prompt_tokens: 30,
        output_tokens: 15,
        ..UsageRow::default()
    };
    let hostile = UsageRow { id: Some(HOSTILE.into()), name: Some(HOSTILE.into()), ..nobody.clone() };
    UsageReport {
        since: NOW - NOW % DAY,
        until: NOW,
        by: Some(UsageBy::Organization),
        per: None,
        total: UsageRow { time: None, id: None, name: None, ..acme.clone() },
        rows: vec![acme, nobody, hostile],
        cut: false,
    }
}

/// Sums as the console asks for them: of those that the other samples name, and of somebody hostile.
pub(crate) fn usage_by(by: UsageBy) -> UsageReport {
    let report = usage_report();
    let [acme, nobody, hostile] = &report.rows[..] else { return report };
    let named = |id: &str, name: &str, row: &UsageRow| UsageRow {
        id: Some(id.into()),
        name: Some(name.into()),
        time: None,
        ..row.clone()
    };
    let unbound = |row: UsageRow| UsageRow {
        requests_used: None,
        requests_limit: None,
        spend_used: None,
        spend_limit: None,
        ..row
    };
    let hostile = UsageRow {
        time: None,
        requests_used: Some(3),
        requests_limit: Some(2),
        spend_used: Some(0),
        spend_limit: None,
        ..hostile.clone()
    };
    let nobody = UsageRow { time: None, ..nobody.clone() };
    let rows = match by {
        UsageBy::Organization => {
            vec![named("0195f2a0-0000-7000-8000-0000000000b1", "acme", acme), nobody, hostile]
        }
        UsageBy::User => vec![named("0195f2a0-0000-7000-8000-0000000000c1", "root", acme), nobody, hostile],
        UsageBy::Key => vec![named("0195f2a0-0000-7000-8000-0000000000d1", "ci", acme), nobody, hostile],
        UsageBy::Model => {
            vec![
                unbound(named("llama3.3:70b", "llama3.3:70b", acme)),
                unbound(named("qwen3:8b", "qwen3:8b", &nobody)),
            ]
        }
        UsageBy::Node => {
            vec![unbound(named("gpu1", "gpu1", acme)), unbound(named(HOSTILE, HOSTILE, &nobody))]
        }
    };
    let total = unbound(UsageRow { id: None, name: None, time: None, ..acme.clone() });
    UsageReport { by: Some(by), rows, total, ..report }
}

/// How one used it, step by step, with some in which it rested.
pub(crate) fn usage_steps(per: UsagePer, begins: &[u64]) -> UsageReport {
    let report = usage_report();
    let rows = begins.iter().enumerate().filter(|(at, _)| at % 7 < 5).map(|(at, begin)| {
        let at = at as u64;
        UsageRow {
            time: Some(*begin),
            requests: 40 * at + (at * 7919) % 613,
            prompt_tokens: 100_000 * at,
            output_tokens: 7000 * at,
            spend: 250_000 * at,
            ..UsageRow::default()
        }
    });
    let rows: Vec<UsageRow> = rows.collect();
    UsageReport { by: None, per: Some(per), rows, ..report }
}

pub(crate) fn usage_records() -> Vec<UsageFrom> {
    let plain = UsageRecord {
        time: NOW,
        request_id: "0195f2a0-0000-7000-8000-0000000000b1".into(),
        organization_id: Some("0195f2a0-0000-7000-8000-0000000000a1".into()),
        organization: Some("acme".into()),
        user_id: Some("0195f2a0-0000-7000-8000-0000000000a2".into()),
        user: Some("alice".into()),
        key_id: Some("0195f2a0-0000-7000-8000-0000000000a3".into()),
        key: Some("ci".into()),
        model: Some("gpt-4o".into()),
        served: Some("llama3.3:70b".into()),
        node: Some("gpu1".into()),
        route: "/v1/chat/completions".into(),
        requests: 1,
        prompt_tokens: Some(1200),
        output_tokens: Some(340),
        estimated: false,
        spend: 2140,
        status: 200,
        outcome: "complete".into(),
        limit: None,
        findings: [(Category::Email, 1)].into(),
        queued_ms: Some(1),
        total_ms: 4210,
    };
    let refused = UsageRecord {
        served: None,
        node: None,
        requests: 40,
        prompt_tokens: None,
        output_tokens: None,
        spend: 0,
        status: 429,
        outcome: "refused".into(),
        limit: Some("inference.day".into()),
        queued_ms: None,
        total_ms: 0,
        ..plain.clone()
    };
    let hostile = UsageRecord {
        organization: Some(HOSTILE.into()),
        user: None,
        key: Some(HOSTILE.into()),
        model: Some(HOSTILE.into()),
        served: None,
        node: Some(HOSTILE.into()),
        status: 502,
        outcome: "node_failed".into(),
        ..plain.clone()
    };
    let from = |record, address: Option<&str>| UsageFrom { record, address: address.map(Into::into) };
    vec![from(plain, Some("192.0.2.7")), from(refused, None), from(hostile, Some("2001:db8::7"))]
}
