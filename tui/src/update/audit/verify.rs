//! Walking the whole chain, with how far it is, and comparing it with published checkpoints.

use std::path::PathBuf;

use aivonx_protocol::{
    Event, Request,
    audit::{self, ANCHORS_MAX, AuditVerdict, Checkpoint},
};

use crate::{
    audit_verify::{WALKING, sentences, walked},
    msg::{Effect, Ticket},
    state::{
        Dialog, Model, Purpose,
        calls::Act,
        dialog::Text,
        form::{Field, Form, FormFor},
    },
};

/// Begins to walk.
pub(super) fn begin(model: &mut Model, out: &mut Vec<Effect>, anchors: Vec<Checkpoint>) {
    if model.audit.walk.is_some() {
        return;
    }
    let what = Act { doing: WALKING.into(), done: String::new(), reload: Vec::new() };
    let ticket = model.calls.begin(Purpose::Act(what), model.now);
    model.audit.walk = Some(ticket);
    out.push(Effect::Follow { ticket, request: Request::from(audit::Walk { anchors }) });
}

/// A step of the walk.
pub(in crate::update) fn event(model: &mut Model, ticket: Ticket, events: Vec<Event>) {
    for event in events {
        match event {
            Event::AuditWalked { seq, last } => {
                model.calls.say(ticket, walked(seq, last));
            }
            Event::AuditVerdict(verdict) => {
                model.calls.end(ticket);
                model.audit.walk = None;
                show(model, &verdict);
            }
            _ => {}
        }
    }
}

fn show(model: &mut Model, verdict: &AuditVerdict) {
    let mut rows: Vec<(String, String)> =
        sentences(verdict, &model.zone).into_iter().map(|(_, sentence)| (String::new(), sentence)).collect();
    if let Some((label, _)) = rows.first_mut() {
        *label = "verdict".to_owned();
    }
    if verdict.anchors_agreed == 0 && verdict.anchors_past == 0 && verdict.anchors_wrong.is_empty() {
        let more = "V compares it with checkpoints that were published, which nobody here can change.";
        rows.push(("more".to_owned(), more.to_owned()));
    }
    model.dialogs.push(Dialog::Text(Box::new(Text { title: "The audit log".into(), rows, scroll: 0 })));
}

/// Asks for the file with the published checkpoints.
pub(super) fn form() -> Form {
    let about = "the append-only file, or the journal as JSON (journalctl -o json ...)";
    Form::new(
        FormFor::AuditAnchors,
        "Verify against published checkpoints",
        "The log has to agree with every checkpoint in the file: one a line, as aivonx audit checkpoint prints \
         them, or journalctl -o json AIVONX_EVENT=audit_checkpoint.",
        vec![Field::text("file", "File", about, "").required()],
    )
}

/// Reads that file first.
pub(in crate::update) fn send(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(Dialog::Form(form)) = model.dialogs.last_mut() else { return };
    let file = PathBuf::from(form.value("file"));
    let ticket = model.calls.begin(Purpose::Work("Reading the checkpoints"), model.now);
    form.sent = Some(ticket);
    out.push(Effect::Anchors { ticket, file });
}

/// The file was read, or could not be.
pub(in crate::update) fn anchors(
    model: &mut Model,
    out: &mut Vec<Effect>,
    ticket: Ticket,
    result: Result<Vec<Checkpoint>, String>,
) {
    if model.calls.end(ticket).is_none() {
        return;
    }
    let result = result.and_then(|anchors| match anchors.len() {
        0..=ANCHORS_MAX => Ok(anchors),
        many => Err(format!("{many} checkpoints are too many here: aivonx audit verify --anchor takes them")),
    });
    match result {
        Ok(anchors) => {
            super::super::answers::close(model, ticket);
            begin(model, out, anchors);
        }
        Err(why) => {
            if let Some(form) = super::super::answers::form(model, ticket) {
                form.refuse(Some("file"), &why);
            }
        }
    }
}
