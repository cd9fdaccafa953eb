//! What runs now, as it is seen.

use aivonx_protocol::user::Role;

use super::*;

shots!(requests, |model| {
    press(&mut model, "9");
    model
});
shots!(requests_empty, |model| {
    press(&mut model, "9");
    let now = model.now;
    model.requests.list.set(Vec::new(), now);
    model
});
shots!(requests_failed, |model| {
    let (mut model, _) = connected(model.size.0, model.size.1, Some(Role::Operator));
    press(&mut model, "9");
    model.calls.clear();
    fail(&mut model, Topic::Running);
    model
});
shots!(requests_old, |model| {
    press(&mut model, "9");
    model.now += 700_000;
    model
});
shots!(requests_not_permitted, |model| {
    let mut model = full_as(model.size.0, model.size.1, Role::Auditor);
    press_all(&mut model, "9 ctrl-d");
    model
});
shots!(requests_not_seen, |model| {
    let mut model = full_as(model.size.0, model.size.1, Role::OrgAdmin);
    press(&mut model, "9");
    model
});
shots!(request_detail, |model| {
    press_all(&mut model, "9 enter");
    model
});
shots!(request_detail_hostile, |model| {
    press_all(&mut model, "9 j enter");
    model
});
shots!(request_cancel, |model| {
    press_all(&mut model, "9 ctrl-d");
    model
});
shots!(requests_cancel, |model| {
    press_all(&mut model, "9 space space ctrl-d");
    model
});
shots!(requests_ascii, |model| {
    model.settings.theme = crate::theme::Theme::new(false, true, false);
    press_all(&mut model, "9 s s");
    let drawn = shot(&model);
    assert!(drawn.is_ascii(), "{drawn}");
    model
});
