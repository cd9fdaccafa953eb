//! What can be done on the overview: the next step, or going where the chosen line leads.

use aivonx_protocol::{
    pulse::{AlertKind, AlertPlace, BudgetOf},
    usage::UsageBy,
};

use super::{keys, steps};
use crate::{
    filter::Filter,
    keymap::Do,
    msg::Effect,
    nouns::Noun,
    state::{
        Model, Screen, access,
        list::{List, Rows as _},
        overview::What,
        security, usage,
    },
};

/// A key of the screen's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    if does != Do::NextStep {
        return;
    }
    let step = crate::state::steps::next(model).is_some();
    if step && !model.overview.concerns.picked {
        return steps::carry_out(model, out);
    }
    open(model, out);
}

/// Goes where the chosen line leads, to the row it is about.
fn open(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(concern) = model.overview.concerns.chosen().cloned() else { return };
    let Some(screen) = concern.screen() else {
        if let What::Alert(alert) = &concern.what {
            let helps = alert.command.as_ref().map(|command| format!(" See: {command}")).unwrap_or_default();
            model.tell(format!("It is for whoever runs the gateway, in its configuration.{helps}"));
        }
        return;
    };
    match &concern.what {
        What::Alert(alert) => {
            let object = alert.object.as_deref();
            match alert.place {
                AlertPlace::Lockouts => {
                    model.security.tab = security::Tab::Lockouts;
                    choose(&mut model.security.lockouts, object);
                }
                AlertPlace::Secrets => {
                    model.security.tab = security::Tab::Secrets;
                    choose(&mut model.security.checks, object);
                }
                AlertPlace::Nodes => choose(&mut model.nodes.list, object),
                AlertPlace::Keys => model.access.tab = access::Tab::Keys,
                AlertPlace::Audit if alert.kind == AlertKind::CrossOrganization => {
                    // A word of the audit log's own: it parses.
                    if let Ok(filter) = Filter::parse("action:cross_org_denied") {
                        model.audit.list.set_filter(filter);
                    }
                }
                AlertPlace::Elsewhere | AlertPlace::Jobs | AlertPlace::Log | AlertPlace::Audit => {}
            }
        }
        What::Budget(budget) => {
            let (tab, by) = match budget.of {
                BudgetOf::Organization => (usage::Tab::Organizations, UsageBy::Organization),
                BudgetOf::User => (usage::Tab::Users, UsageBy::User),
                BudgetOf::Key => (usage::Tab::Keys, UsageBy::Key),
            };
            let (id, name) = (budget.id.clone(), budget.name.clone());
            model.usage.tab = tab;
            let list = match budget.of {
                BudgetOf::Organization => &mut model.usage.organizations,
                BudgetOf::User => &mut model.usage.users,
                BudgetOf::Key => &mut model.usage.keys,
            };
            choose(list, Some(&name));
            keys::go(model, out, screen);
            // Its limits, to be changed there.
            model.usage.open = Some(usage::OpenLimits::One { by, id, name });
            model.detail = true;
            return;
        }
    }
    keys::go(model, out, screen);
    if screen == Screen::Nodes && model.nodes.list.chosen().is_some() {
        // Why it is down stands in full there.
        model.detail = true;
    }
}

/// Chooses the row of this name, now or as soon as it is there; nothing is hidden from it.
fn choose<T: Noun>(list: &mut List<T>, name: Option<&str>) {
    list.set_filter(None);
    if let Some(name) = name {
        list.want(name);
    }
}

#[cfg(test)]
#[path = "overview_tests.rs"]
mod tests;
