//! A signed copy of the audit log.

use std::path::PathBuf;

use aivonx_protocol::audit::{self, ExportFormat};

use super::query;
use crate::{
    audit_copy::Exported,
    msg::{Effect, Export, NoExport, Ticket},
    render::text::{bytes, time},
    state::{
        Dialog, Model, Purpose,
        calls::Act,
        dialog::Text,
        form::{Field, Form, FormFor},
    },
    update::dialogs,
};

/// What is said while it is written.
const EXPORTING: &str = "Exporting the audit log";

/// Asks where to and what.
pub(super) fn form(model: &Model) -> Form {
    let day = time(model.now, &model.zone);
    let day = day.split(' ').next().unwrap_or_default();
    let formats =
        [("jsonl", "one object a line: can be verified entry by entry"), ("csv", "for spreadsheets")];
    let mut fields = vec![
        Field::text(
            "file",
            "To file",
            "new, readable by you alone; the signature goes beside it, with .sig",
            &format!("audit-{day}.jsonl"),
        )
        .required(),
        Field::choice("format", "Format", "", &formats, "jsonl"),
    ];
    fields.extend(query::fields(model));
    let intro = "A copy of these entries, signed, on this machine. What is left empty does not matter.";
    Form::new(FormFor::AuditExport, "Export the audit log", intro, fields)
}

/// Begins what the form says.
pub(in crate::update) fn send(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(filter) = query::read(model) else { return };
    let Some(Dialog::Form(form)) = model.dialogs.last_mut() else { return };
    let format = if form.value("format") == "csv" { ExportFormat::Csv } else { ExportFormat::Jsonl };
    let file = PathBuf::from(form.value("file"));
    let request = audit::Export { filter, format };
    let what = Act { doing: EXPORTING.into(), done: String::new(), reload: Vec::new() };
    let ticket = model.calls.begin(Purpose::Act(what), model.now);
    form.sent = Some(ticket);
    out.push(Effect::Export { ticket, export: Export { request, file, replace: false } });
}

/// Goes on although something has the name.
pub(in crate::update) fn replace(model: &mut Model, out: &mut Vec<Effect>, export: Export) {
    let what = Act { doing: EXPORTING.into(), done: String::new(), reload: Vec::new() };
    let ticket = model.calls.begin(Purpose::Act(what), model.now);
    out.push(Effect::Export { ticket, export: Export { replace: true, ..export } });
}

/// So much was written.
pub(in crate::update) fn exporting(model: &mut Model, ticket: Ticket, written: u64) {
    model.calls.say(ticket, format!("{EXPORTING}: {} written", bytes(written)));
}

/// It was written, or was not.
pub(in crate::update) fn exported(model: &mut Model, ticket: Ticket, result: Result<Exported, NoExport>) {
    if model.calls.end(ticket).is_none() {
        return;
    }
    match result {
        Ok(exported) => {
            super::super::answers::close(model, ticket);
            done(model, &exported);
        }
        Err(NoExport::There { path, export }) => {
            super::super::answers::close(model, ticket);
            let title = format!("Replace {}?", path.display());
            let lines = vec!["It is there already. What it holds is lost.".into()];
            dialogs::confirm(model, title, lines, "Replace it", None, Vec::new()).export = Some(*export);
        }
        Err(NoExport::Failed(why)) => match super::super::answers::form(model, ticket) {
            Some(form) => form.refuse(Some("file"), &why),
            None => model.warn(format!("{EXPORTING}: {why}")),
        },
    }
}

fn done(model: &mut Model, exported: &Exported) {
    let entries = match exported.entries {
        0 => "none: no entry is what was asked for".to_owned(),
        1 => format!("1, number {}", exported.first),
        many if exported.complete => {
            format!("{many}, {} to {}, without a gap", exported.first, exported.last)
        }
        many => format!("{many} of those from {} to {}", exported.first, exported.last),
    };
    let rows = [
        ("copy", exported.file.display().to_string()),
        ("signature", exported.signature.display().to_string()),
        ("entries", entries),
        ("size", bytes(exported.bytes)),
        ("sha256", exported.sha256.to_string()),
        ("signed with", exported.signer.to_string()),
        (
            "to prove it",
            format!(
                "aivonx audit verify --file {} --public-key {}",
                exported.file.display(),
                exported.signer
            ),
        ),
    ];
    let rows = rows.into_iter().map(|(label, value)| (label.to_owned(), value)).collect();
    let title = "The audit log was exported".to_owned();
    model.dialogs.push(Dialog::Text(Box::new(Text { title, rows, scroll: 0 })));
}
