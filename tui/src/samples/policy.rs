//! Model policies and aliases.

use aivonx_protocol::policy::{Alias, ContextSize, KeepAlive, Policy};

use super::{HOSTILE, NOW};

pub(crate) fn policies() -> Vec<Policy> {
    let fleet = Policy {
        id: "0195f2a0-0000-7000-8000-0000000000e1".into(),
        organization: None,
        model: "*".into(),
        keep_alive: Some(KeepAlive { value: "1h30m".into(), force: false }),
        num_ctx: Some(ContextSize { tokens: 8192, force: true }),
        output_max: None,
        created: NOW - 1000,
        revision: 1,
    };
    let acme = Policy {
        organization: Some("acme".into()),
        model: "llama3.3:70b".into(),
        keep_alive: Some(KeepAlive { value: "-1".into(), force: true }),
        num_ctx: None,
        output_max: Some(4096),
        ..fleet.clone()
    };
    let hostile = Policy { model: HOSTILE.into(), num_ctx: None, ..acme.clone() };
    vec![fleet, acme, hostile]
}

pub(crate) fn aliases() -> Vec<Alias> {
    let fleet = Alias {
        id: "0195f2a0-0000-7000-8000-0000000000f1".into(),
        organization: None,
        alias: "gpt-4o".into(),
        models: vec!["llama3.3:70b".into(), "llama3.1:8b".into()],
        created: NOW - 1000,
        revision: 1,
    };
    let acme = Alias { organization: Some("acme".into()), models: vec![HOSTILE.into()], ..fleet.clone() };
    vec![fleet, acme]
}
