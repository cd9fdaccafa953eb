//! What can be done with models.

use aivonx_protocol::{
    Request,
    model::{self, Model as Known, ModelRequest},
};

use super::{act, dialogs, forms, load as look_at, model_rules, nodes, nodes::Prepared};
use crate::{
    cli::model::{definition, parameter},
    keymap::Do,
    msg::Effect,
    state::{
        Dialog, Model, Topic,
        calls::Act,
        form::{self, Field, Form, FormFor},
        list::Rows as _,
        models::{Tab, on},
    },
};

/// Asks for what the tab shows.
pub(super) fn look(model: &mut Model, out: &mut Vec<Effect>) {
    let topics: &[Topic] = match model.models.tab {
        Tab::Models => &[Topic::Models, Topic::Drifts, Topic::Jobs, Topic::Kept],
        Tab::Kept => &[Topic::Kept],
        Tab::Strategies => &[Topic::ModelStrategies],
        Tab::Restrictions => &[Topic::Restrictions],
    };
    for topic in topics {
        look_at(model, out, *topic);
    }
}

/// A key of the screen's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    match does {
        Do::NextTab | Do::PreviousTab => {
            let at = Tab::ALL.iter().position(|tab| *tab == model.models.tab).unwrap_or(0);
            let step = if does == Do::NextTab { 1 } else { Tab::ALL.len() - 1 };
            model.models.tab = Tab::ALL[(at + step) % Tab::ALL.len()];
            model.detail = false;
            look(model, out);
        }
        _ if model.models.tab != Tab::Models => model_rules::carry_out(model, does),
        Do::Keep => {
            if let Some(name) = model.models.list.chosen().map(|known| known.name.clone()) {
                model_rules::keep(model, &name);
            }
        }
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
        Do::CopyModel => ask(model, copy_form),
        Do::Add => ask(model, create_form),
        Do::Push => ask(model, push_form),
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
        let what = begins("loading", &name);
        act(model, out, Request::from(model::Load { model: name, node, keep_alive }), what);
    }
    model.models.list.unmark();
}

/// Asks for what is to be done with the chosen model, on the chosen node or on all.
fn ask(model: &mut Model, form: impl Fn(String, Option<String>) -> Form) {
    if let Some(name) = model.models.list.chosen().map(|known| known.name.clone()) {
        let form = form(name, model.models.node.clone());
        forms::open(model, form);
    }
}

/// Where something is done with a model, in words.
fn place(node: Option<&str>) -> String {
    let every = "On every node that has it. Left and right in the list choose one node.";
    node.map_or_else(|| every.to_owned(), |node| format!("On {node} alone."))
}

fn copy_form(name: String, node: Option<String>) -> Form {
    let fields = vec![Field::text("destination", "Name", "its other name; no tag is :latest", "").required()];
    let (title, intro) = (format!("Copy {name}"), place(node.as_deref()));
    Form::new(FormFor::CopyModel(name, node), title, &intro, fields)
}

pub(super) fn copy(form: &Form, name: &str, node: &Option<String>) -> Prepared {
    let destination = form.value("destination");
    let request = model::Copy { model: name.to_owned(), destination, node: node.clone() };
    Ok((Request::from(request), begins("copying", name)))
}

fn create_form(from: String, node: Option<String>) -> Form {
    let about = "such as num_ctx=8192 temperature=0.2; empty: as they are";
    let fields = vec![
        Field::text("model", "Name", "of the new model; no tag is :latest", "").required(),
        Field::text("system", "System", "its system prompt; empty: as it is", ""),
        Field::text("parameters", "Parameters", about, ""),
    ];
    let (title, intro) = (format!("Make a model out of {from}"), place(node.as_deref()));
    Form::new(FormFor::CreateModel(from, node), title, &intro, fields)
}

pub(super) fn create(form: &Form, from: &str, node: &Option<String>) -> Prepared {
    let parameters = form.words("parameters");
    let parameters = parameters.iter().map(|word| parameter(word)).collect::<Result<Vec<_>, _>>()?;
    let texts = [("system", form.given("system"))];
    let definition = definition(from.to_owned(), texts, parameters);
    let model = form.value("model");
    let what = begins("creating", &model);
    Ok((Request::from(model::Create { model, definition, nodes: node.iter().cloned().collect() }), what))
}

fn push_form(name: String, node: Option<String>) -> Form {
    let fields = vec![Field::toggle("insecure", "Insecure", "allow a registry without TLS", false)];
    let from = node.as_deref().unwrap_or("a node that has it");
    let intro = format!("From {from}, to the registry that its name says, under its namespace there.");
    Form::new(FormFor::PushModel(name.clone(), node), format!("Push {name}"), &intro, fields)
}

pub(super) fn push(form: &Form, name: &str, node: &Option<String>) -> (Request, Act) {
    let insecure = form.is_on("insecure");
    let request = model::Push { model: name.to_owned(), node: node.clone(), insecure };
    (Request::from(request), begins("pushing", name))
}

fn begins(doing: &str, name: &str) -> Act {
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
            let what = begins("unloading", &name);
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
