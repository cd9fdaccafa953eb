//! What can be done with requests that run.

use aivonx_protocol::{
    Request,
    running::{self, Running},
};

use super::{dialogs, keys, logs, security};
use crate::{
    filter::Filter,
    keymap::Do,
    msg::Effect,
    nouns::running::whose,
    render::text::plural,
    state::{Model, Screen, Topic, access::Tab, calls::Act},
};

/// A key of the screen's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    match does {
        Do::Remove => cancel(model),
        Do::Request => {
            let Some(id) = model.requests.list.chosen().map(|request| request.id.clone()) else { return };
            logs::follow_request(model, out, &id);
        }
        Do::Block => {
            let Some(client) = model.requests.list.chosen().map(|request| request.client.clone()) else {
                return;
            };
            security::blocks::add(model, &client);
        }
        Do::ToNode | Do::ToKey | Do::ToOrganization => leave(model, out, does),
        _ => {}
    }
}

/// Shows what the chosen request has to do with.
fn leave(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    let Some(request) = model.requests.list.chosen() else { return };
    let (what, name) = match does {
        Do::ToNode => ("node", &request.node),
        Do::ToKey => ("key", &request.key),
        _ => ("organization", &request.organization),
    };
    let Some(name) = name.clone() else {
        return model.warn(format!("this request has no {what}"));
    };
    let screen = match does {
        Do::ToNode => Screen::Nodes,
        _ => {
            model.access.tab = if does == Do::ToKey { Tab::Keys } else { Tab::Organizations };
            Screen::Access
        }
    };
    keys::go(model, out, screen);
    let exact = format!("^{}$", regex::escape(&name));
    // With blanks in it, it is one word only in quotes.
    let exact = if name.contains(char::is_whitespace) { format!("\"{name}\"") } else { exact };
    if let (Ok(filter), Some(rows)) = (Filter::parse(&exact), model.rows()) {
        rows.set_filter(filter);
    }
}

fn cancel(model: &mut Model) {
    let targets: Vec<&Running> = model.requests.list.targets();
    let begun = targets.iter().filter(|request| request.tokens > 0).count();
    let (title, consequence) = match &*targets {
        [] => return,
        [one] => {
            let on = one.model.as_deref().map(|model| format!(" for {model}")).unwrap_or_default();
            let whose = whose(one).map(|whose| format!(", {whose}")).unwrap_or_default();
            let answer = if one.tokens > 0 {
                format!("Its answer stops after {}.", plural(one.tokens, "token"))
            } else {
                "It gets no answer.".to_owned()
            };
            (
                format!("Cancel the request of {}{on}?", one.client),
                format!(
                    "Its client ({}{whose}) is told that an administrator ended it. {answer}",
                    one.client
                ),
            )
        }
        all => {
            let cut = match begun {
                0 => "None of them has begun to be answered.".to_owned(),
                begun => format!("{begun} of them lose the rest of an answer that has begun."),
            };
            (
                format!("Cancel {} requests?", all.len()),
                format!("Their clients are told that an administrator ended them. {cut}"),
            )
        }
    };
    let requests = targets
        .iter()
        .map(|request| {
            let act = Act {
                doing: format!("Cancelling request {}", request.id),
                done: format!("request {} ends", request.id),
                reload: vec![Topic::Running],
            };
            (Request::from(running::Cancel { id: request.id.clone() }), act)
        })
        .collect();
    dialogs::confirm(model, title, vec![consequence], "End it", None, requests);
}
