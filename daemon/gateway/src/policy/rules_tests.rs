use aivonx_protocol::{
    organization::NodeAccess,
    policy::{ContextSize, KeepAlive},
};
use aivonx_wire::api::{
    Peek,
    peek::Changes,
    route::{Action, find},
};
use bytes::Bytes;

use super::*;

fn policy(organization: Option<&str>, model: &str) -> PolicyRecord {
    PolicyRecord {
        id: model.into(),
        organization: organization.map(str::to_owned),
        model: model.into(),
        normal: Globs::normal(model).into(),
        keep_alive: None,
        num_ctx: None,
        output_max: None,
        created: 0,
        revision: 1,
    }
}

fn ctx(organization: Option<&str>, model: &str, tokens: u32, force: bool) -> PolicyRecord {
    PolicyRecord { num_ctx: Some(ContextSize { tokens, force }), ..policy(organization, model) }
}

fn alias(organization: Option<&str>, alias: &str, models: &[&str]) -> AliasRecord {
    AliasRecord {
        id: alias.into(),
        organization: organization.map(str::to_owned),
        alias: alias.into(),
        normal: model_name::normalize(alias).into_owned(),
        models: models.iter().map(|model| (*model).to_owned()).collect(),
        created: 0,
        revision: 1,
    }
}

fn models(rules: &Rules, organization: Option<&str>, asked: &str, eligible: &RoutingRules) -> Vec<String> {
    let plan = rules.plan(organization, asked, eligible);
    plan.into_iter().flat_map(|plan| plan.candidates).map(|c| c.model.to_string()).collect()
}

/// What is written for `model`, of a body that sets nothing itself.
fn context(rules: &Rules, organization: Option<&str>, model: &str, body: &str) -> Option<u64> {
    let peek = Peek::read(&[Bytes::copy_from_slice(body.as_bytes())]).unwrap();
    let plan = rules.plan(organization, model, &RoutingRules::ALL)?;
    plan.candidates[0].changes(&peek, None).num_ctx
}

#[test]
fn nothing_configured_is_nothing() {
    assert!(Rules::new(vec![], vec![]).is_none());
    let rules = Rules::new(vec![ctx(None, "llama*", 1, true)], vec![]).unwrap();
    assert!(rules.plan(None, "qwen3", &RoutingRules::ALL).is_none());
}

#[test]
fn the_most_particular_policy_decides_and_the_fleet_may_force() {
    let rules = Rules::new(
        vec![
            ctx(None, "*", 1, false),
            ctx(None, "llama*", 2, false),
            ctx(None, "llama3.3:70b", 3, false),
            ctx(None, "forced*", 4, true),
            ctx(Some("acme"), "*", 5, false),
            ctx(Some("acme"), "mine*", 6, true),
        ],
        vec![],
    )
    .unwrap();
    let (empty, sets) = (r#"{"model":"m"}"#, r#"{"options":{"num_ctx":99}}"#);
    for (organization, model, body, want) in [
        (None, "qwen3", empty, Some(1)),
        (None, "Llama3.1", empty, Some(2)),
        (None, "library/llama3.3:70B", empty, Some(3)),
        (None, "llama3.3:70b", sets, None),
        (None, "forced", sets, Some(4)),
        (Some("acme"), "qwen3", empty, Some(5)),
        (Some("acme"), "llama3.3:70b", empty, Some(5)),
        (Some("acme"), "forced", empty, Some(4)),
        (Some("acme"), "mine", sets, Some(6)),
        (Some("other"), "mine", empty, Some(1)),
    ] {
        assert_eq!(context(&rules, organization, model, body), want, "{organization:?} {model} {body}");
    }
}

#[test]
fn of_bounds_the_tightest_holds() {
    let most =
        |organization, model, most| PolicyRecord { output_max: Some(most), ..policy(organization, model) };
    let rules = Rules::new(
        vec![most(None, "*", 1000), most(None, "llama*", 2000), most(Some("acme"), "llama*", 500)],
        vec![alias(None, "both", &["llama3", "qwen3"]), alias(Some("acme"), "both", &["llama3", "qwen3"])],
    )
    .unwrap();
    let limit = |organization, asked, client| {
        rules.plan(organization, asked, &RoutingRules::ALL).unwrap().output_limit(client)
    };
    assert_eq!(limit(None, "llama3", None), Some(1000));
    assert_eq!(limit(Some("acme"), "llama3", None), Some(500));
    assert_eq!(limit(Some("acme"), "llama3", Some(20)), Some(20));
    // Whichever is served, it is not more.
    assert_eq!(limit(Some("acme"), "both", None), Some(1000));
    let open = Rules::new(vec![most(None, "llama*", 7)], vec![alias(None, "both", &["llama3", "qwen3"])]);
    assert_eq!(open.unwrap().plan(None, "both", &RoutingRules::ALL).unwrap().output_limit(None), None);
}

#[test]
fn an_organization_has_its_own_aliases() {
    let rules = Rules::new(
        vec![],
        vec![
            alias(None, "gpt-4o", &["llama3.3:70b", "llama3.1:8b"]),
            alias(Some("acme"), "gpt-4o", &["qwen3:32b"]),
            alias(Some("acme"), "own", &["qwen3:32b"]),
        ],
    )
    .unwrap();
    let all = &RoutingRules::ALL;
    assert_eq!(models(&rules, None, "GPT-4o:latest", all), ["llama3.3:70b", "llama3.1:8b"]);
    assert_eq!(models(&rules, Some("other"), "gpt-4o", all), ["llama3.3:70b", "llama3.1:8b"]);
    assert_eq!(models(&rules, Some("acme"), "gpt-4o", all), ["qwen3:32b"]);
    assert!(models(&rules, Some("other"), "own", all).is_empty());
    assert!(rules.plan(Some("other"), "own", all).is_none());
    let mut seen: Vec<&str> = rules.aliases(Some("acme")).map(|(_, alias)| &*alias.name).collect();
    seen.sort_unstable();
    assert_eq!(seen, ["gpt-4o", "own"]);
}

/// A list of allowed models applies through an alias to the name of the model or of the alias; but an organization's
/// own alias cannot lead out of its own list.
#[test]
fn lists_of_models_hold_through_aliases() {
    let rules = Rules::new(
        vec![],
        vec![
            alias(None, "gpt-4o", &["llama3.3:70b", "llama3.1:8b"]),
            alias(Some("acme"), "llama3.1:8b", &["secret:70b"]),
        ],
    )
    .unwrap();
    let of = |list: &[&str]| {
        let list: Vec<String> = list.iter().map(|model| (*model).to_owned()).collect();
        RoutingRules::of("acme", &NodeAccess::Shared, &list, true)
    };
    let acme = Some("acme");
    assert_eq!(models(&rules, acme, "gpt-4o", &of(&[])), ["llama3.3:70b", "llama3.1:8b"]);
    assert_eq!(models(&rules, acme, "gpt-4o", &of(&["llama3.1:8b"])), ["llama3.1:8b"]);
    assert_eq!(models(&rules, acme, "gpt-4o", &of(&["gpt-4o"])), ["llama3.3:70b", "llama3.1:8b"]);
    assert!(models(&rules, acme, "gpt-4o", &of(&["qwen3"])).is_empty());
    assert!(rules.plan(acme, "gpt-4o", &of(&["qwen3"])).is_some());
    assert!(models(&rules, acme, "llama3.1:8b", &of(&["llama3.1:8b"])).is_empty());
    assert_eq!(models(&rules, acme, "llama3.1:8b", &of(&["llama*", "secret*"])), ["secret:70b"]);
    // A key's list is its organization's business.
    let key = of(&["llama3*"]).narrowed(&["gpt-4o".into()]);
    assert_eq!(models(&rules, acme, "gpt-4o", &key), ["llama3.3:70b", "llama3.1:8b"]);
    assert!(models(&rules, acme, "gpt-4o", &of(&["gpt-4o"]).narrowed(&["qwen3".into()])).is_empty());
}

#[test]
fn what_the_client_set_stays_unless_forced() {
    let keep = |value: &str, force| PolicyRecord {
        keep_alive: Some(KeepAlive { value: value.into(), force }),
        ..policy(None, "m")
    };
    let Action::Forward(route) = find("/api/chat").unwrap().0.action else { panic!("not forwarded") };
    for (force, body, want) in [
        (false, r#"{"model":"m"}"#, Some("-1")),
        (false, r#"{"model":"m","keep_alive":null}"#, Some("-1")),
        (false, r#"{"model":"m","keep_alive":"5m"}"#, None),
        (true, r#"{"model":"m","keep_alive":"5m"}"#, Some("-1")),
        (true, r#"{"model":"m","keep_alive":0}"#, Some("-1")),
    ] {
        let rules = Rules::new(vec![keep("-1", force)], vec![]).unwrap();
        let peek = Peek::read(&[Bytes::copy_from_slice(body.as_bytes())]).unwrap();
        peek.check(&route).unwrap();
        let plan = rules.plan(None, "m", &RoutingRules::ALL).unwrap();
        let changes = plan.candidates[0].changes(&peek, Some(9));
        assert_eq!(changes, Changes { keep_alive: want, output: Some(9), ..Changes::default() }, "{body}");
    }
    assert_eq!(json_of_duration("1h30m"), "\"1h30m\"");
}
