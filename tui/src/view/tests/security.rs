//! Blocks, what looks like an attack, and whether the gateway is set up safely.

use aivonx_protocol::user::Role;

use super::*;
use crate::{incident_report::Report, msg::Reported};

shots!(blocks, |model| {
    press_all(&mut model, "0 backtab backtab backtab");
    model
});
shots!(blocks_empty, |model| {
    press_all(&mut model, "0 backtab backtab backtab");
    let now = model.now;
    model.security.blocks.set(Vec::new(), now);
    model
});
shots!(block_add, |model| {
    press_all(&mut model, "0 backtab backtab backtab a");
    model
});
shots!(block_remove, |model| {
    press_all(&mut model, "0 backtab backtab backtab ctrl-d");
    model
});
frames!(incidents, |model| {
    press_all(&mut model, "0 backtab backtab");
    model
});
shots!(incidents_not_permitted, |model| {
    let mut model = full_as(model.size.0, model.size.1, Role::OrgAdmin);
    press_all(&mut model, "0 backtab backtab c");
    model
});
shots!(incident_detail, |model| {
    press_all(&mut model, "0 backtab backtab G enter");
    model
});
shots!(incident_contain, |model| {
    press_all(&mut model, "0 backtab backtab G c");
    model
});
shots!(incident_contain_confirm, |model| {
    press_all(&mut model, "0 backtab backtab G c down down down down space ctrl-s");
    model
});
shots!(incident_contained, |model| {
    answered(&mut model, "0 backtab backtab g c ctrl-s y");
    model
});
shots!(incident_reset, |model| {
    answered(&mut model, "0 backtab backtab t right ctrl-s");
    model
});
shots!(incident_report, |model| {
    press_all(&mut model, "0 backtab backtab x");
    model
});
shots!(incident_report_shown, |model| {
    let effects = press_all(&mut model, "0 backtab backtab x ctrl-s");
    let ticket = effects.iter().find_map(|effect| match effect {
        crate::msg::Effect::Report { ticket, .. } => Some(*ticket),
        _ => None,
    });
    let (ticket, report) = (ticket.expect("it is asked for"), Report::default());
    let zone = model.zone.clone();
    let shown = Reported::Shown(report.title(&zone), report.sections(&zone));
    update(&mut model, Msg::Reported { ticket, result: Ok(shown) });
    model
});
shots!(setup_checks, |model| {
    press_all(&mut model, "0 backtab");
    model
});
shots!(setup_isolation, |model| {
    press_all(&mut model, "0 backtab i");
    model
});
