//! Values of the samples: model policy.

use crate::policy::{
    Alias, AliasShares, ContextSize, KeepAlive, ModelAccess, Policy, PolicyChange, Share, Weighted,
};

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

pub(super) fn weighted() -> Vec<Weighted> {
    let weighted = |model: &str, weight| Weighted { model: model.into(), weight };
    vec![weighted("llama3.3:70b", 90), weighted("llama3.1:8b", 10)]
}

pub(super) fn shares() -> AliasShares {
    let share = |Weighted { model, weight }| Share {
        model,
        weight,
        requests: 70_000,
        errors: 3,
        first_byte_ms: Some(250.5),
        duration_ms: Some(4_000.0),
    };
    let shares = weighted().into_iter().map(share).collect();
    AliasShares { organization: Some("acme".into()), alias: "gpt-4o".into(), weighted: true, shares }
}

pub(super) fn access() -> ModelAccess {
    ModelAccess {
        model: "llama3*".into(),
        only: vec!["acme".into()],
        deny: vec!["lab".into()],
        created: 1_700_000_000_000,
        revision: 2,
    }
}
