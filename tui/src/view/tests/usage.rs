//! Usage, limits, prices and policies, as they are seen in their states.

use aivonx_protocol::limit::Unpriced;

use super::*;

shots!(usage, |model| {
    press(&mut model, "6");
    model
});
shots!(usage_waiting, |model| {
    let (mut model, _) = connected(model.size.0, model.size.1, Some(Role::Auditor));
    press(&mut model, "6");
    model
});
shots!(usage_empty, |model| {
    press(&mut model, "6");
    let now = model.now;
    model.usage.organizations.set(Vec::new(), now);
    model.usage.report = None;
    model
});
shots!(usage_failed, |model| {
    let (mut model, _) = connected(model.size.0, model.size.1, Some(Role::Auditor));
    press(&mut model, "6");
    model.calls.clear();
    fail(&mut model, Topic::Usage);
    model
});
shots!(usage_not_permitted, |model| {
    let mut model = full_as(model.size.0, model.size.1, Role::Member);
    press_all(&mut model, "6 backtab");
    model
});
shots!(usage_of_member, |model| {
    let mut model = full_as(model.size.0, model.size.1, Role::Member);
    press(&mut model, "6");
    answered(&mut model, "o e");
    model
});
shots!(usage_users, |model| {
    press_all(&mut model, "6 tab");
    model
});
shots!(usage_keys, |model| {
    press_all(&mut model, "6 tab tab s");
    model
});
shots!(usage_models, |model| {
    press_all(&mut model, "6 tab tab tab");
    model
});
shots!(usage_node_detail, |model| {
    answered(&mut model, "6 tab tab tab tab G enter c");
    model
});
shots!(usage_ascii, |model| {
    model.settings.theme = crate::theme::Theme::new(false, true, false);
    press(&mut model, "6");
    answered(&mut model, "enter");
    let drawn = shot(&model);
    assert!(drawn.is_ascii(), "{drawn}");
    model
});
shots!(limits, |model| {
    answered(&mut model, "6 j enter j");
    model
});
shots!(limits_hostile, |model| {
    answered(&mut model, "6 tab tab g enter p c c");
    model
});
shots!(limits_failed, |model| {
    press_all(&mut model, "6 enter");
    model.calls.clear();
    fail(&mut model, Topic::Limits);
    model
});
shots!(limits_of_operator, |model| {
    let mut model = full_as(model.size.0, model.size.1, Role::Operator);
    answered(&mut model, "6 enter");
    model
});
shots!(limits_of_fleet, |model| {
    answered(&mut model, "6 o p p");
    model
});
shots!(limit_set, |model| {
    answered(&mut model, "6 j enter e ctrl-u");
    type_text(&mut model, "inference.day=many");
    press(&mut model, "ctrl-s");
    model
});
shots!(limit_set_below_use, |model| {
    answered(&mut model, "6 j enter e ctrl-u");
    type_text(&mut model, "inference.day=9");
    press(&mut model, "ctrl-s");
    model
});
shots!(limits_unset, |model| {
    answered(&mut model, "6 j enter ctrl-d");
    model
});
shots!(limit_profile, |model| {
    answered(&mut model, "6 j enter f");
    model
});
shots!(limit_profile_confirm, |model| {
    answered(&mut model, "6 j enter f right ctrl-s");
    model
});
shots!(privacy, |model| {
    answered(&mut model, "6 j enter v");
    model
});
shots!(privacy_tried, |model| {
    answered(&mut model, "6 j enter t");
    type_text(&mut model, "mail alice@example.com");
    answered(&mut model, "enter");
    model
});
shots!(prices, |model| {
    press_all(&mut model, "6 tab tab tab tab tab");
    model
});
shots!(price_set, |model| {
    press_all(&mut model, "6 tab tab tab tab tab a");
    type_text(&mut model, "llama3*");
    press(&mut model, "tab");
    type_text(&mut model, "a little");
    press(&mut model, "tab");
    model
});
shots!(price_removed, |model| {
    press_all(&mut model, "6 tab tab tab tab tab ctrl-d");
    model
});
shots!(policies, |model| {
    press_all(&mut model, "6 backtab backtab");
    model
});
shots!(policy_detail, |model| {
    press_all(&mut model, "6 backtab backtab G enter");
    model
});
shots!(policy_edit, |model| {
    press_all(&mut model, "6 backtab backtab e");
    model
});
shots!(aliases, |model| {
    press_all(&mut model, "6 backtab");
    model
});
shots!(alias_add, |model| {
    press_all(&mut model, "6 backtab a");
    model
});
shots!(aliases_empty, |model| {
    press_all(&mut model, "6 backtab");
    let now = model.now;
    model.usage.aliases.set(Vec::new(), now);
    model
});

#[test]
fn usage_at_sixty_by_fifteen() {
    let mut model = full(60, 15);
    press(&mut model, "6");
    let list = pane(&mut model);
    answered(&mut model, "j enter");
    insta::assert_snapshot!(format!("{list}\n\n{}", pane(&mut model)));
}

#[test]
fn a_limit_on_money_that_cannot_hold_is_said() {
    let mut model = full(100, 30);
    answered(&mut model, "6 j enter");
    assert!(!shot(&model).contains("no price"));
    let found = Unpriced { models: vec!["qwen3:8b".to_owned()], all: false };
    model.usage.unpriced = Some(found);
    let drawn = shot(&model);
    assert!(drawn.contains("no price, so this limit cannot hold: spend.day for qwen3:8b"), "{drawn}");

    let mut model = full(80, 24);
    answered(&mut model, "6 j enter");
    let models = ["one", "two", "three"].map(|name| format!("{name}-of-a-family-with-a-long-name:70b"));
    model.usage.unpriced = Some(Unpriced { models: models.to_vec(), all: false });
    let drawn = shot(&model);
    assert!(models.iter().all(|name| drawn.contains(name)), "{drawn}");
}
shots!(patterns, |model| {
    answered(&mut model, "6 j enter w");
    model
});
shots!(pattern_add, |model| {
    answered(&mut model, "6 j enter w a");
    model
});
shots!(pattern_remove, |model| {
    answered(&mut model, "6 j enter w ctrl-d");
    model
});
