//! Values of the samples: how the gateway does right now.

use crate::{
    limit::LimitName,
    pulse::{
        Alert, AlertKind, AlertPlace, Budget, BudgetOf, Busy, FIRST_BYTE_MS, Pulse, PulseSecond, PulseSum,
    },
};

const NOW: u64 = 1_700_000_000_000;

fn busy(name: &str, organization: Option<&str>) -> Busy {
    Busy {
        id: format!("0190-{name}"),
        name: name.into(),
        organization: organization.map(str::to_owned),
        requests: 7,
        errors: 1,
        tokens: 1500,
    }
}

pub(super) fn pulse() -> Pulse {
    let mut first_byte = vec![0; FIRST_BYTE_MS.len() + 1];
    first_byte[5] = 3;
    Pulse {
        now: NOW,
        organization: Some("acme".into()),
        lasted: 300,
        seconds: vec![PulseSecond {
            at: NOW / 1000,
            requests: 4,
            errors: 1,
            refused: 2,
            prompt_tokens: 300,
            output_tokens: 250,
            busy_ms: 1500,
            first_byte,
        }],
        minute: PulseSum {
            seconds: 60,
            requests: 4,
            errors: 1,
            refused: 2,
            prompt_tokens: 300,
            output_tokens: 250,
            first_byte_p50_ms: Some(150),
            first_byte_p95_ms: None,
        },
        active: 2,
        streams: 1,
        models: vec![busy("llama3:8b", None)],
        organizations: vec![busy("acme", None)],
        keys: vec![busy("ci", Some("acme"))],
        budgets: vec![Budget {
            of: BudgetOf::User,
            id: "0190-user".into(),
            name: "alice".into(),
            organization: Some("acme".into()),
            limit: LimitName::SpendDay,
            used: 9_000_000,
            allowed: 10_000_000,
            resets: NOW + 1,
        }],
        alerts: vec![Alert {
            kind: AlertKind::NodeDown,
            grave: true,
            text: "gpu3 does not answer: connection refused".into(),
            since: Some(NOW),
            place: AlertPlace::Nodes,
            object: Some("gpu3".into()),
            command: Some("aivonx node check gpu3".into()),
        }],
    }
}
