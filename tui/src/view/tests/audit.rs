//! The audit log, as it is seen in its states.

use aivonx_protocol::{Event, user::Role};

use super::*;
use crate::{
    audit_copy::Exported,
    msg::{Effect, NoExport, Ticket},
    samples,
    state::testing::answer_all,
};

/// The number of what these begin.
fn begun(effects: &[Effect]) -> Ticket {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Follow { ticket, .. } | Effect::Export { ticket, .. } | Effect::Anchors { ticket, .. } => {
            Some(*ticket)
        }
        _ => None,
    });
    found.unwrap()
}

shots!(audit_empty, |model| {
    press(&mut model, "8");
    let now = model.now;
    model.audit.list.set(Vec::new(), now);
    model
});
shots!(audit_failed, |model| {
    let (mut model, _) = connected(model.size.0, model.size.1, Some(Role::Auditor));
    press(&mut model, "8");
    model.calls.clear();
    fail(&mut model, Topic::Audit);
    model
});
shots!(audit_ascii, |model| {
    model.settings.theme = crate::theme::Theme::new(false, true, false);
    press_all(&mut model, "8 t");
    let drawn = shot(&model);
    assert!(drawn.is_ascii(), "{drawn}");
    model
});
shots!(audit_verifying, |model| {
    let effects = press_all(&mut model, "8 v");
    let ticket = begun(&effects);
    model.now += 3000;
    let events = vec![Event::AuditWalked { seq: 204_800, last: 1_234_567 }];
    update(&mut model, Msg::Events { ticket, events });
    model
});
shots!(audit_intact, |model| {
    let effects = press_all(&mut model, "8 v");
    let ticket = begun(&effects);
    let [intact, _] = samples::audit_verdicts();
    update(&mut model, Msg::Events { ticket, events: vec![Event::AuditVerdict(Box::new(intact))] });
    model
});
shots!(audit_broken, |model| {
    let effects = press_all(&mut model, "8 v");
    let ticket = begun(&effects);
    let [_, broken] = samples::audit_verdicts();
    update(&mut model, Msg::Events { ticket, events: vec![Event::AuditVerdict(Box::new(broken))] });
    model
});
shots!(audit_anchors, |model| {
    press_all(&mut model, "8 V");
    model
});
shots!(audit_export, |model| {
    press_all(&mut model, "8 x");
    model
});
shots!(audit_export_there, |model| {
    press_all(&mut model, "8 x");
    let effects = press(&mut model, "ctrl-s");
    let Some(Effect::Export { ticket, export }) = effects.into_iter().next() else { panic!() };
    let result = Err(NoExport::There { path: export.file.clone(), export: Box::new(export) });
    update(&mut model, Msg::Exported { ticket, result });
    model
});
shots!(audit_exported, |model| {
    press_all(&mut model, "8 x");
    let effects = press(&mut model, "ctrl-s");
    let ticket = begun(&effects);
    let (_, signed) = samples::audit_export(3, true);
    let file = format!("/home/alice/{}/audit.jsonl", samples::HOSTILE);
    update(&mut model, Msg::Exported { ticket, result: Ok(Exported::new(file.into(), &signed)) });
    model
});
shots!(audit_keys, |model| {
    let effects = press_all(&mut model, "8 p");
    answer_all(&mut model, effects);
    model
});
shots!(audit_checkpoint, |model| {
    let effects = press_all(&mut model, "8 c");
    answer_all(&mut model, effects);
    model
});
