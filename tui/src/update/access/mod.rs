//! What can be done with organizations, users and keys.

mod keys;
mod organizations;
mod users;

use aivonx_protocol::Request;

pub(super) use self::{
    keys::{add as add_key, change as change_key, rotate as rotate_key},
    organizations::{add as add_organization, change as change_organization},
    users::{add as add_user, change as change_user},
};
use super::{load, nodes::Prepared};
use crate::{
    keymap::Do,
    msg::Effect,
    state::{
        Model, Topic,
        access::Tab,
        calls::Act,
        form::{Form, FormFor},
    },
};

/// Asks for what the tab shows.
pub(super) fn refresh(model: &mut Model, out: &mut Vec<Effect>) {
    let topic = match model.access.tab {
        Tab::Organizations => Topic::Organizations,
        Tab::Users => Topic::Users,
        Tab::Keys => Topic::Keys,
    };
    load(model, out, topic);
    match topic {
        Topic::Organizations => {
            load(model, out, Topic::Networks);
            load(model, out, Topic::HiddenUsage);
        }
        Topic::Keys => load(model, out, Topic::DisabledKeys),
        _ => {}
    }
}

/// What follows if a form was taken.
pub(super) fn then(model: &Model, form: &Form) -> Vec<(Request, Act)> {
    match &form.purpose {
        FormFor::AddUser => users::then(form).into_iter().collect(),
        FormFor::EditOrganization(id, _) => organizations::then(model, form, id),
        _ => Vec::new(),
    }
}

/// A key of the screen's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    if matches!(does, Do::NextTab | Do::PreviousTab) {
        let at = Tab::ALL.iter().position(|tab| *tab == model.access.tab).unwrap_or(0);
        let step = if does == Do::NextTab { 1 } else { Tab::ALL.len() - 1 };
        model.access.tab = Tab::ALL[(at + step) % Tab::ALL.len()];
        model.detail = false;
        return refresh(model, out);
    }
    if does == Do::Limits {
        return super::usage::show(model, out);
    }
    match model.access.tab {
        Tab::Organizations => organizations::carry_out(model, out, does),
        Tab::Users => users::carry_out(model, out, does),
        Tab::Keys => keys::carry_out(model, out, does),
    }
}

/// Opens the form for a new key.
pub(super) fn make_key(model: &mut Model) {
    keys::make(model);
}

fn says(doing: String, done: String, reload: &[Topic]) -> Act {
    Act { doing, done, reload: reload.to_vec() }
}
