//! What follows from the keys of a form.

use aivonx_protocol::Request;

use super::{access, account, audit, login, model_rules, models, nodes, probe, security, strategy, usage};
use crate::{
    keymap::Do,
    msg::Effect,
    state::{
        Dialog, Model, Purpose,
        calls::Act,
        form::{After, Form, FormFor},
    },
};

/// Opens a form.
pub(super) fn open(model: &mut Model, form: Form) {
    model.dialogs.push(Dialog::Form(Box::new(form)));
}

/// A key of the form's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    let Some(Dialog::Form(form)) = model.dialogs.last_mut() else { return };
    if does == Do::Cancel {
        match form.sent.take() {
            // The first time it gives up what runs.
            Some(ticket) => {
                form.fault = Some("given up; what had begun at the daemon goes on there".into());
                model.calls.end(ticket);
                out.push(Effect::Drop(ticket));
            }
            None => {
                model.dialogs.pop();
            }
        }
        return;
    }
    if form.sent.is_some() {
        return;
    }
    let last = form.is_last();
    match does {
        Do::NextField | Do::PreviousField => {
            let key = form.field().map(|field| {
                field.validate();
                field.key
            });
            form.step(does == Do::NextField);
            probe::left_field(model, out, key.unwrap_or_default());
        }
        Do::Enter if !last => {
            let valid = form.field().map(|field| (field.validate(), field.key));
            let (good, key) = valid.unwrap_or((true, ""));
            if good {
                form.step(true);
                probe::left_field(model, out, key);
            }
        }
        Do::Enter | Do::Submit => {
            form.fault = None;
            if form.validate() {
                send(model, out);
            }
        }
        Do::Probe => probe::ask(model, out),
        _ => {}
    }
}

/// Sends the form, as it is.
pub(super) fn send(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(Dialog::Form(form)) = model.dialogs.last() else { return };
    if !model.is_up() && form.purpose != FormFor::AuditQuery {
        return refuse(model, "there is no connection to the daemon now");
    }
    if probe::read(model, out, After::Send) {
        return;
    }
    let Some(Dialog::Form(form)) = model.dialogs.last() else { return };
    let then = access::then(model, form);
    let prepared = match &form.purpose {
        FormFor::Login => return login::send(model, out),
        FormFor::AddNode => nodes::add(form),
        FormFor::EditNode(id, revision) => nodes::change(model, form, id, *revision),
        FormFor::Pull(nodes) => nodes::pull(form, nodes),
        FormFor::Load(..) => return models::load(model, out),
        FormFor::CopyModel(name, node) => models::copy(form, name, node),
        FormFor::CreateModel(from, node) => models::create(form, from, node),
        FormFor::PushModel(name, node) => Ok(models::push(form, name, node)),
        FormFor::Strategy => strategy::set(form),
        FormFor::Model(what, known) => model_rules::prepared(form, *what, known.as_deref()),
        FormFor::Wake(node) => nodes::set_wake(form, node),
        FormFor::AddOrganization => access::add_organization(form),
        FormFor::EditOrganization(id, revision) => access::change_organization(model, form, id, *revision),
        FormFor::AddUser => access::add_user(form),
        FormFor::EditUser(id, revision) => access::change_user(model, form, id, *revision),
        FormFor::AddKey => access::add_key(model, form),
        FormFor::EditKey(id, revision) => access::change_key(model, form, id, *revision),
        FormFor::RotateKey(id, organization) => access::rotate_key(form, id, organization.as_deref()),
        FormFor::AuditQuery => return audit::query(model, out),
        FormFor::AuditExport => return audit::export(model, out),
        FormFor::AuditAnchors => return audit::verify_against(model, out),
        FormFor::Usage(_) => match usage::prepared(model, out) {
            Some(prepared) => prepared,
            None => return,
        },
        FormFor::SetUp | FormFor::Password | FormFor::Enrol | FormFor::SecondFactor | FormFor::Redeem => {
            return account::send(model, out);
        }
        FormFor::Token => security::make_token(form),
        FormFor::RotateSecrets => security::rotate(form),
        FormFor::Security(what) => match security::prepared(model, out, *what) {
            Some(prepared) => prepared,
            None => return,
        },
    };
    match prepared {
        Err(why) => refuse(model, &why),
        Ok((request, what)) => submit(model, out, request, what, then),
    }
}

/// Sends this for the form that stands there, and what follows if it is done.
pub(super) fn submit(
    model: &mut Model,
    out: &mut Vec<Effect>,
    request: Request,
    what: Act,
    then: Vec<(Request, Act)>,
) {
    let purpose = if then.is_empty() { Purpose::Act(what) } else { Purpose::Chain(what, then) };
    let ticket = model.calls.begin(purpose, model.now);
    out.push(Effect::Call { ticket, request });
    if let Some(Dialog::Form(form)) = model.dialogs.last_mut() {
        form.sent = Some(ticket);
    }
}

/// The same at a field.
pub(super) fn refuse_at(model: &mut Model, field: &str, why: &str) {
    if let Some(Dialog::Form(form)) = model.dialogs.last_mut() {
        form.refuse(Some(field), why);
    }
}

fn refuse(model: &mut Model, why: &str) {
    if let Some(Dialog::Form(form)) = model.dialogs.last_mut() {
        form.refuse(None, why);
    }
}
