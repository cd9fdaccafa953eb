//! Which entries are wanted.

use aivonx_protocol::{
    Network,
    audit::{Action, AuditFilter, Outcome},
};
use jiff::{Timestamp, Zoned};

use super::super::reload;
use crate::{
    msg::Effect,
    render::text::time,
    state::{
        Dialog, Model, Topic,
        form::{Field, Form, FormFor},
        list::Rows as _,
    },
    time_arg,
};

/// The form that asks for certain entries.
pub(super) fn form(model: &Model) -> Form {
    let intro = "What is left empty does not matter.";
    Form::new(FormFor::AuditQuery, "Query the audit log", intro, fields(model))
}

/// Fields that say which entries, as they were last asked for.
pub(super) fn fields(model: &Model) -> Vec<Field> {
    let query = &model.audit.query;
    let at = |at: Option<u64>| at.map(|at| time(at, &model.zone)).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let actions = query.actions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let outcome = query.outcome.map_or("any", Outcome::as_str);
    let network = query.network.map(|network| network.to_string()).unwrap_or_default();
    let outcomes =
        [("any", ""), ("ok", "carried out"), ("denied", "refused"), ("failed", "tried and failed")];
    vec![
        Field::text("since", "Since", "2h, 14:30, today, 2026-11-22, \"2026-11-22 14:30\"", &at(query.since)),
        Field::text("until", "Until", "the same", &at(query.until)),
        Field::text("actor", "Who", "name or id of who did it", &text(&query.actor)),
        Field::text(
            "actions",
            "Actions",
            "login_failed, create, key_revoke, ... separated by blanks",
            &actions,
        )
        .checked(actions_check),
        Field::choice("outcome", "Outcome", "how it ended", &outcomes, outcome),
        Field::text("organization", "Org", "slug or id", &text(&query.organization)),
        Field::text(
            "object_kind",
            "On a",
            "node, user, key, organization, model, ...",
            &text(&query.object_kind),
        ),
        Field::text("object", "Named", "name or id of what it was done to", &text(&query.object)),
        Field::text("address", "From", "an address or a network, 192.0.2.0/24", &network)
            .checked(network_check),
    ]
}

fn actions_check(text: &str) -> Result<(), String> {
    actions(text).map(|_| ())
}

fn network_check(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Ok(())
    } else {
        text.parse::<Network>().map(drop).map_err(|error| error.to_string())
    }
}

fn actions(text: &str) -> Result<Vec<Action>, String> {
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    words.map(|word| word.parse::<Action>().map_err(|error| error.to_string())).collect()
}

/// What the fields of a form ask for; None after noting what is wrong with them.
pub(super) fn read(model: &mut Model) -> Option<AuditFilter> {
    let now = Timestamp::from_millisecond(i64::try_from(model.now).unwrap_or(0)).unwrap_or_default();
    let now: Zoned = now.to_zoned(model.zone.clone());
    let Some(Dialog::Form(form)) = model.dialogs.last_mut() else { return None };
    let mut times = [None, None];
    for (at, key) in times.iter_mut().zip(["since", "until"]) {
        if let Some(text) = form.given(key) {
            match time_arg::since(&text, &now) {
                Ok(millis) => *at = Some(millis),
                Err(why) => {
                    form.refuse(Some(key), &why);
                    return None;
                }
            }
        }
    }
    let [since, until] = times;
    Some(AuditFilter {
        since,
        until,
        actor: form.given("actor"),
        organization: form.given("organization"),
        actions: actions(&form.value("actions")).unwrap_or_default(),
        object_kind: form.given("object_kind"),
        object: form.given("object"),
        outcome: Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == form.value("outcome")),
        network: form.given("address").and_then(|text| text.parse().ok()),
    })
}

/// Takes the query of the form.
pub(in crate::update) fn send(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(query) = read(model) else { return };
    model.dialogs.pop();
    model.audit.query = query;
    model.audit.list.clear();
    model.audit.list.unmark();
    model.audit.next = None;
    out.extend(model.calls.give_up(Topic::AuditMore).into_iter().map(Effect::Drop));
    // What is followed is what is asked for.
    out.extend(model.audit.feed.take().map(Effect::Drop));
    reload(model, out, Topic::Audit);
    super::attend(model, out);
}
