//! Values of the samples: model policy.

use crate::policy::{Alias, ContextSize, KeepAlive, Policy, PolicyChange};

const NOW: u64 = 1_700_000_000_000;

pub(super) fn policy() -> Policy {
    Policy {
        id: "0190-policy".into(),
        organization: Some("acme".into()),
        model: "llama3*".into(),
        keep_alive: Some(KeepAlive { value: "30m".into(), force: false }),
        num_ctx: Some(ContextSize { tokens: 8192, force: true }),
        output_max: Some(4096),
        created: NOW,
        revision: 2,
    }
}

pub(super) fn change() -> PolicyChange {
    PolicyChange {
        keep_alive: Some(Some(KeepAlive { value: "-1".into(), force: true })),
        num_ctx: Some(Some(ContextSize { tokens: 8192, force: false })),
        output_max: Some(None),
    }
}

pub(super) fn alias() -> Alias {
    Alias {
        id: "0190-alias".into(),
        organization: None,
        alias: "gpt-4o".into(),
        models: vec!["llama3.3:70b".into(), "llama3.1:8b".into()],
        created: NOW,
        revision: 1,
    }
}
