//! What can be done with models.

use aivonx_protocol::{
    Request,
    model::{self, Model as Known, ModelRequest},
};

use super::{act, dialogs, forms, nodes};
use crate::{
    keymap::Do,
    msg::Effect,
    state::{
        Dialog, Model, Topic,
        calls::Act,
        form::{self, Field, Form, FormFor},
        list::Rows as _,
        models::on,
    },
};

/// A key of the screen's own.
pub(super) fn carry_out(model: &mut Model, does: Do) {
    match does {
        Do::Left | Do::Right => {
            let names: Vec<String> =
                crate::view::node_columns(model).into_iter().map(str::to_owned).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            model.models.step(&names, does == Do::Right);
        }
        Do::Pull => {
            let name = model.models.list.chosen().map(|known| known.name.clone()).unwrap_or_default();
            let nodes = model.models.node.iter().cloned().collect();
            forms::open(model, nodes::pull_form(nodes, &name));
        }
        Do::Remove => remove(model),
        Do::Load => ask_load(model),
        Do::Unload => ask_unload(model),
        _ => {}
    }
}

/// What is acted on, in words: a model, or how many.
fn named(names: &[String]) -> String {
    match names {
        [one] => one.clone(),
        more => format!("{} models", more.len()),
    }
}

/// Asks how long the chosen models are to stay in memory.
fn ask_load(model: &mut Model) {
    let node = model.models.node.clone();
    let names: Vec<String> = model.models.list.targets().iter().map(|known| known.name.clone()).collect();
    if names.is_empty() {
        return;
    }
    let (title, intro) = match &node {
        Some(node) => (
            format!("Load {} on {node}", named(&names)),
            "Another model may have to make room for it there.".to_owned(),
        ),
        None => (
            format!("Load {} on every node that has it", named(&names)),
            "Other models may have to make room for it there. Left and right in the list choose one node."
                .to_owned(),
        ),
    };
    let about = "30m, 1h30m, seconds, -1 for ever; empty: as the node is used to";
    let fields = vec![Field::text("keep_alive", "Stays for", about, "").checked(form::keep_alive)];
    forms::open(model, Form::new(FormFor::Load(names, node), title, &intro, fields));
}

/// Loads the models of the form that is open: a job each.
pub(super) fn load(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(Dialog::Form(form)) = model.dialogs.pop() else { return };
    let FormFor::Load(names, node) = &form.purpose else { return };
    for name in names {
        let (name, node, keep_alive) = (name.clone(), node.clone(), form.given("keep_alive"));
        let what = on_memory("loading", &name);
        act(model, out, Request::from(model::Load { model: name, node, keep_alive }), what);
    }
    model.models.list.unmark();
}

fn on_memory(doing: &str, name: &str) -> Act {
    Act {
        doing: format!("Beginning {doing} {name}"),
        done: format!("{doing} {name}"),
        reload: vec![Topic::Jobs, Topic::Models],
    }
}

/// Asks whether the chosen models are to be taken out of memory.
fn ask_unload(model: &mut Model) {
    let node = model.models.node.clone();
    let held = |known: &&Known| {
        known.nodes.iter().any(|place| place.loaded && node.as_deref().is_none_or(|node| node == place.node))
    };
    let targets = model.models.list.targets();
    let names: Vec<String> = targets.into_iter().filter(held).map(|known| known.name.clone()).collect();
    let whose = match &node {
        Some(node) => format!("the memory of {node}"),
        None => "the memory of every node".to_owned(),
    };
    if names.is_empty() {
        return model.warn(format!("it is not in {whose}").replace("every node", "any node"));
    }
    let title = format!("Take {} out of {whose}?", named(&names));
    let lines = vec![
        "What is at work with it is done first.".to_owned(),
        "The next request for it waits until it is loaded again.".to_owned(),
    ];
    let requests = names
        .into_iter()
        .map(|name| {
            let what = on_memory("unloading", &name);
            (Request::from(model::Unload { model: name, node: node.clone() }), what)
        })
        .collect();
    dialogs::confirm(model, title, lines, "Unload", None, requests);
}

fn remove(model: &mut Model) {
    let node = model.models.node.clone();
    let known: Vec<_> = model.models.list.targets().into_iter().cloned().collect();
    let affected: Vec<_> =
        known.iter().filter(|known| node.as_deref().is_none_or(|node| on(known, node).is_some())).collect();
    let Some(first) = affected.first() else {
        if let Some(node) = &node {
            model.warn(format!("it is not on {node}"));
        }
        return;
    };
    let what = match &*affected {
        [one] => format!("model {}", one.name),
        more => format!("{} models", more.len()),
    };
    let mut lines = Vec::new();
    let loaded = affected
        .iter()
        .flat_map(|known| &known.nodes)
        .filter(|place| place.loaded && node.as_deref().is_none_or(|node| node == place.node));
    match (&node, loaded.count()) {
        (Some(node), _) => lines.push(format!("It is deleted from the disk of {node} alone.")),
        (None, _) => {
            let mut names: Vec<&str> =
                affected.iter().flat_map(|known| &known.nodes).map(|place| &*place.node).collect();
            names.sort_unstable();
            names.dedup();
            lines.push(format!("It is deleted from the disks of: {}.", names.join(", ")));
        }
    }
    lines.push("To have it again it must be pulled again.".into());
    let typed =
        node.is_none().then(|| if affected.len() == 1 { first.name.clone() } else { "remove".into() });
    let title = match &node {
        Some(node) => format!("Remove {what} from {node}?"),
        None => format!("Remove {what} from every node?"),
    };
    let requests = affected
        .iter()
        .map(|known| {
            let request =
                ModelRequest::Remove(model::Remove { model: known.name.clone(), node: node.clone() });
            let act = Act {
                doing: format!("Removing {}", known.name),
                done: format!("{} is removed", known.name),
                reload: vec![Topic::Models],
            };
            (Request::Model(request), act)
        })
        .collect();
    dialogs::confirm(model, title, lines, "Remove", typed, requests);
}
