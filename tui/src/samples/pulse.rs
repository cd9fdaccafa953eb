//! How a busy gateway does.

use aivonx_protocol::{
    limit::LimitName,
    pulse::{
        Alert, AlertKind, AlertPlace, Budget, BudgetOf, Busy, FIRST_BYTE_MS, Pulse, PulseSecond, PulseSum,
    },
};

use super::{HOSTILE, NOW};

/// Five minutes in which it had more and more to do, with some failures.
fn seconds() -> Vec<PulseSecond> {
    let end = NOW / 1000;
    (0..300_u32)
        .map(|at| {
            let requests = 2 + at / 25 + at % 3;
            let mut first_byte = vec![0; FIRST_BYTE_MS.len() + 1];
            first_byte[5] = requests;
            first_byte[8] = u32::from(at % 7 == 0);
            PulseSecond {
                at: end - 299 + u64::from(at),
                requests,
                errors: u32::from(at % 40 == 0),
                refused: u32::from(at % 25 == 0),
                prompt_tokens: u64::from(requests) * 210,
                output_tokens: u64::from(requests) * 48 + u64::from(at % 11),
                busy_ms: u64::from(requests) * 900,
                first_byte,
            }
        })
        .collect()
}

fn busy(name: &str, organization: Option<&str>, requests: u64, tokens: u64) -> Busy {
    let organization = organization.map(str::to_owned);
    Busy {
        id: format!("id of {name}"),
        name: name.into(),
        organization,
        requests,
        errors: requests / 90,
        tokens,
    }
}

fn alert(kind: AlertKind, text: &str, place: AlertPlace) -> Alert {
    Alert { kind, grave: false, text: text.into(), since: None, place, object: None, command: None }
}

pub(crate) fn alerts() -> Vec<Alert> {
    vec![
        Alert {
            grave: true,
            since: Some(NOW - 260_000),
            object: Some("gpu2".into()),
            command: Some("aivonx node check gpu2".into()),
            ..alert(
                AlertKind::NodeDown,
                "gpu2 does not answer: connection refused (os error 111) at http://10.0.0.6:11434/api/tags",
                AlertPlace::Nodes,
            )
        },
        alert(
            AlertKind::CrossOrganization,
            "3 attempts within the hour to reach another organization's records",
            AlertPlace::Audit,
        ),
        Alert {
            since: Some(NOW - 1_900_000),
            object: Some("root".into()),
            ..alert(
                AlertKind::Locked,
                "root is locked from 203.0.113.9 after 5 failed logins",
                AlertPlace::Lockouts,
            )
        },
        Alert {
            command: Some("aivonx config show".into()),
            ..alert(
                AlertKind::Exposed,
                "everyone who can reach a listener may use the gateway (access.mode = \"open\")",
                AlertPlace::Elsewhere,
            )
        },
    ]
}

fn budget(of: BudgetOf, name: &str, limit: LimitName, used: u64, allowed: u64) -> Budget {
    let organization = (of != BudgetOf::Organization).then(|| "acme".to_owned());
    let id = format!("id of {name}");
    Budget { of, id, name: name.into(), organization, limit, used, allowed, resets: NOW + 9_000_000 }
}

/// A busy gateway with some trouble.
pub(crate) fn pulse() -> Pulse {
    Pulse {
        now: NOW,
        organization: None,
        lasted: 300,
        seconds: seconds(),
        minute: PulseSum {
            seconds: 60,
            requests: 811,
            errors: 2,
            refused: 3,
            prompt_tokens: 170_310,
            output_tokens: 39_220,
            first_byte_p50_ms: Some(181),
            first_byte_p95_ms: Some(1240),
        },
        active: 15,
        streams: 12,
        models: vec![
            busy("qwen3:8b", None, 1800, 422_000),
            busy("llama3.3:70b", None, 420, 180_500),
            busy("nomic-embed-text:latest", None, 90, 12_040),
        ],
        organizations: vec![busy("acme", None, 1900, 500_100), busy("initech", None, 410, 114_440)],
        keys: vec![
            busy("ci", Some("acme"), 1400, 390_000),
            busy("notebook-of-somebody-with-a-long-name", Some("initech"), 410, 114_440),
            busy("web", Some("acme"), 500, 110_100),
        ],
        budgets: vec![
            budget(BudgetOf::Organization, "acme", LimitName::SpendDay, 104_000_000, 100_000_000),
            budget(BudgetOf::User, "alice", LimitName::InferenceDay, 86, 100),
        ],
        alerts: alerts(),
    }
}

/// One whose names want to take over the terminal.
pub(crate) fn hostile_pulse() -> Pulse {
    let mut pulse = pulse();
    for busy in pulse.models.iter_mut().chain(&mut pulse.organizations).chain(&mut pulse.keys) {
        busy.name = HOSTILE.repeat(3);
        busy.organization = busy.organization.as_ref().map(|_| HOSTILE.into());
    }
    for alert in &mut pulse.alerts {
        alert.text = format!("{HOSTILE} does not answer: {}", HOSTILE.repeat(4));
        alert.object = Some(HOSTILE.into());
    }
    for budget in &mut pulse.budgets {
        budget.name = HOSTILE.into();
        budget.organization = Some("模型".repeat(30));
    }
    pulse
}
