//! Asking the server in a form what it is, and reading the files that it names.

use aivonx_protocol::{
    Fault, FaultKind, Reply, Request, WireSecret,
    node::{self, NodeRequest},
};

use super::{answers::said, forms, nodes};
use crate::{
    msg::{Effect, Ticket},
    state::{
        Dialog, Model, Purpose,
        form::{After, Form, FormFor, Probing},
    },
};

fn form(model: &mut Model) -> Option<&mut Form> {
    match model.dialogs.last_mut() {
        Some(Dialog::Form(form)) if form.is_of_node() && form.sent.is_none() => Some(form),
        _ => None,
    }
}

/// Asks, because somebody wants to know.
pub(super) fn ask(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(form) = form(model) else { return };
    let Some(at) = form.fields.iter().position(|field| field.key == "url") else { return };
    if !form.fields[at].validate() {
        form.at = at;
        return;
    }
    begin(model, out);
}

/// Asks, because there is a new address.
pub(super) fn left_field(model: &mut Model, out: &mut Vec<Effect>, key: &str) {
    let Some(form) = form(model).filter(|_| key == "url") else { return };
    let at = form.fields.iter().position(|field| field.key == "url");
    let good = at.is_some_and(|at| form.fields[at].error.is_none());
    let url = form.value("url");
    if good && !url.is_empty() && url != form.asked {
        begin(model, out);
    }
}

fn begin(model: &mut Model, out: &mut Vec<Effect>) {
    if read(model, out, After::Probe) || !model.is_up() {
        return;
    }
    let Some(Dialog::Form(form)) = model.dialogs.last() else { return };
    let request = match &form.purpose {
        FormFor::AddNode => Ok(NodeRequest::ProbeNew(node::ProbeNew(Box::new(nodes::new_node(form))))),
        FormFor::EditNode(id, _) => nodes::node_change(model, form, id).map(|change| {
            NodeRequest::ProbeChange(node::ProbeChange { node: id.clone(), change: Box::new(change) })
        }),
        _ => return,
    };
    let now = model.now;
    let Some(Dialog::Form(form)) = model.dialogs.last_mut() else { return };
    if let Probing::Asked(before) = form.probe {
        model.calls.end(before);
        out.push(Effect::Drop(before));
    }
    form.asked = form.value("url");
    form.probe = match request {
        Ok(request) => {
            let ticket = model.calls.begin(Purpose::Probe, now);
            out.push(Effect::Call { ticket, request: Request::Node(request) });
            Probing::Asked(ticket)
        }
        Err(why) => Probing::Refused(why),
    };
    read_again(form);
}

/// The server, or the daemon, answered.
pub(super) fn answered(model: &mut Model, ticket: Ticket, result: Result<Reply, Fault>) {
    let forms = model.dialogs.iter_mut().filter_map(|dialog| match dialog {
        Dialog::Form(form) if form.probe == Probing::Asked(ticket) => Some(form),
        _ => None,
    });
    for form in forms {
        form.probe = match &result {
            Ok(Reply::Probed(probed)) => Probing::Found(probed.clone()),
            Ok(other) => {
                let fault = Fault::new(FaultKind::Internal, format!("it was answered with {}", other.name()));
                Probing::Refused(said(&fault))
            }
            Err(fault) => Probing::Refused(said(fault)),
        };
        read_again(form);
    }
}

/// After a refusal its files are read anew: they may be what is put right.
fn read_again(form: &mut Form) {
    let refused = match &form.probe {
        Probing::Refused(_) => true,
        Probing::Found(found) => !found.healthy,
        Probing::Not | Probing::Asked(_) => false,
    };
    if refused {
        form.files.clear();
    }
}

/// Has the files of the form read, if they are not; whether one is waited for.
pub(super) fn read(model: &mut Model, out: &mut Vec<Effect>, after: After) -> bool {
    let ticket = model.calls.ticket();
    let Some(form) = form(model) else { return false };
    let Some((what, path)) = form.unread() else { return false };
    form.reading = Some((ticket, what, path.clone(), after));
    out.push(Effect::ReadFile { ticket, what, path });
    true
}

/// A file was read.
pub(super) fn was_read(
    model: &mut Model,
    out: &mut Vec<Effect>,
    ticket: Ticket,
    result: Result<WireSecret, String>,
) {
    let Some(form) = form(model) else { return };
    let Some((_, what, path, after)) = form.reading.take_if(|(asked, ..)| *asked == ticket) else { return };
    match result {
        Ok(text) => {
            form.files.retain(|(of, ..)| *of != what);
            form.files.push((what, path, text));
        }
        Err(why) => return form.refuse(Some(what.key()), &why),
    }
    match after {
        After::Send => forms::send(model, out),
        After::Probe => begin(model, out),
    }
}
