//! Organizations, users and keys, as they are seen in their states.

use super::*;

shots!(organizations, |model| {
    press(&mut model, "5");
    model
});
shots!(organization_detail, |model| {
    answered(&mut model, "5 enter");
    model
});
shots!(organization_add, |model| {
    press_all(&mut model, "5 a");
    model
});
shots!(organization_remove, |model| {
    press_all(&mut model, "5 ctrl-d");
    model
});
shots!(users, |model| {
    press_all(&mut model, "5 tab");
    model
});
shots!(user_detail, |model| {
    answered(&mut model, "5 tab j enter");
    model
});
shots!(user_add, |model| {
    press_all(&mut model, "5 tab a");
    model
});
shots!(user_reset, |model| {
    press_all(&mut model, "5 tab p");
    model
});
shots!(keys, |model| {
    press_all(&mut model, "5 tab tab");
    model
});
shots!(key_detail, |model| {
    answered(&mut model, "5 tab tab j enter");
    model
});
shots!(key_add, |model| {
    press_all(&mut model, "5 tab tab a");
    model
});
shots!(key_rotated, |model| {
    press_all(&mut model, "5 tab tab R");
    let effects = press(&mut model, "ctrl-s");
    crate::state::testing::answer_all(&mut model, effects);
    model
});
shots!(people_not_permitted, |model| {
    let mut model = full_as(model.size.0, model.size.1, Role::Operator);
    press_all(&mut model, "5 tab");
    model
});
