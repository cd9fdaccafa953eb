//! What can be done with the audit log.

use aivonx_protocol::{
    Request,
    audit::{Action, AuditFilter, AuditRequest, AuditVerdict, Outcome},
};
use jiff::{Timestamp, Zoned};

use super::{act, forms, reload};
use crate::{
    keymap::Do,
    model::{
        Dialog, Model, Purpose, Topic,
        calls::Act,
        dialog::Text,
        form::{Field, Form, FormFor},
    },
    msg::Effect,
    render::text::{count, plural, time},
    when,
};

/// Entries asked for at a time.
const PAGE: u32 = 200;

/// What is asked for at first, or again.
pub(super) fn newest(model: &Model) -> Request {
    Request::Audit(AuditRequest::List {
        filter: model.audit.query.clone(),
        cursor: None,
        limit: PAGE,
        oldest_first: false,
    })
}

/// A key of the screen's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    match does {
        Do::More => {
            let Some(cursor) = model.audit.next else { return model.tell("these are all") };
            if model.calls.loads(Topic::AuditMore) || !model.is_up() {
                return;
            }
            let ticket = model.calls.begin(Purpose::Load(Topic::AuditMore), model.now);
            let filter = model.audit.query.clone();
            let request =
                AuditRequest::List { filter, cursor: Some(cursor), limit: PAGE, oldest_first: false };
            out.push(Effect::Call { ticket, request: Request::Audit(request) });
        }
        Do::Query => {
            let form = query_form(model);
            forms::open(model, form);
        }
        Do::Verify => {
            let what =
                Act { doing: "Verifying the audit log".into(), done: "verified".into(), reload: Vec::new() };
            act(model, out, Request::Audit(AuditRequest::Verify { anchors: Vec::new() }), what);
        }
        _ => {}
    }
}

fn query_form(model: &Model) -> Form {
    let query = &model.audit.query;
    let at = |at: Option<u64>| at.map(|at| time(at, &model.zone)).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let actions = query.actions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let outcome = query.outcome.map_or("any", Outcome::as_str);
    let outcomes =
        [("any", ""), ("ok", "carried out"), ("denied", "refused"), ("failed", "tried and failed")];
    Form::new(
        FormFor::AuditQuery,
        "Query the audit log",
        "What is left empty does not matter.",
        vec![
            Field::text(
                "since",
                "Since",
                "2h, 3d, today, 2026-11-22, \"2026-11-22 14:30\"",
                &at(query.since),
            ),
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
        ],
    )
}

fn actions_check(text: &str) -> Result<(), String> {
    actions(text).map(|_| ())
}

fn actions(text: &str) -> Result<Vec<Action>, String> {
    let words = text.split([' ', ',']).filter(|word| !word.is_empty());
    words.map(|word| word.parse::<Action>().map_err(|error| error.to_string())).collect()
}

/// Takes the query of this form.
pub(super) fn query(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(Dialog::Form(form)) = model.dialogs.last_mut() else { return };
    let now = Timestamp::from_millisecond(i64::try_from(model.now).unwrap_or(0)).unwrap_or_default();
    let now: Zoned = now.to_zoned(model.zone.clone());
    let mut times = [None, None];
    for (at, key) in times.iter_mut().zip(["since", "until"]) {
        if let Some(text) = form.given(key) {
            match when::since(&text, &now) {
                Ok(millis) => *at = Some(millis),
                Err(why) => return form.refuse(Some(key), &why),
            }
        }
    }
    let [since, until] = times;
    let query = AuditFilter {
        since,
        until,
        actor: form.given("actor"),
        organization: form.given("organization"),
        actions: actions(&form.value("actions")).unwrap_or_default(),
        object_kind: form.given("object_kind"),
        object: form.given("object"),
        outcome: Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == form.value("outcome")),
    };
    model.dialogs.pop();
    model.audit.query = query;
    model.audit.list.clear();
    model.audit.next = None;
    out.extend(model.calls.give_up(Topic::AuditMore).into_iter().map(Effect::Drop));
    reload(model, out, Topic::Audit);
}

/// Shows what verifying found.
pub(super) fn verdict(model: &mut Model, verdict: &AuditVerdict) {
    let mut rows = Vec::new();
    let mut row = |label: &str, value: String| rows.push((label.to_owned(), value));
    row(
        "verdict",
        if verdict.intact { "intact: nothing was changed or cut out" } else { "NOT INTACT" }.into(),
    );
    if let Some(found) = &verdict.found {
        row("found", found.to_string());
    }
    for restart in &verdict.restarts {
        let at = time(restart.time, &model.zone);
        row("begins anew", format!("at entry {} ({at}): {}", restart.seq, restart.reason));
    }
    row("entries", format!("{}, {} to {}", count(verdict.entries), verdict.first, verdict.last));
    row("checkpoints", count(verdict.checkpoints));
    row("signed up to", format!("entry {}", verdict.signed_through));
    let tail = verdict.last.saturating_sub(verdict.signed_through);
    if tail > 0 {
        row(
            "not covered",
            format!(
                "the last {}: chained, but could still be cut",
                plural(tail, "entry").replace("entrys", "entries")
            ),
        );
    }
    if let Some(at) = verdict.retained_from {
        row("removed by age", format!("what was signed before {}", time(at, &model.zone)));
    }
    row("against anchors", "aivonx audit verify --anchor FILE compares with published checkpoints".into());
    row("took", format!("{} ms", count(verdict.took_ms)));
    model.dialogs.push(Dialog::Text(Box::new(Text { title: "The audit log".into(), rows, scroll: 0 })));
}
