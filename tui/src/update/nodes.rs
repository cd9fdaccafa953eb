//! What can be done with nodes.

use std::collections::BTreeMap;

use aivonx_protocol::{
    Request, WireSecret, model,
    node::{
        self, AdminState, Credential, NewNode, Node, NodeChange, NodeKind, NodeRequest, NodeWake, Pool, Wake,
    },
};

use super::{act, dialogs, forms, reload, strategy};
use crate::{
    cli::node::wake,
    keymap::Do,
    msg::Effect,
    render::text::plural,
    state::{
        Model, Topic,
        calls::Act,
        form::{self, Field, Form, FormFile, FormFor},
        list::Rows as _,
    },
    time_arg,
};

/// A request, and what is said about it.
pub(super) type Prepared = Result<(Request, Act), String>;

/// A key of the screen's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    match does {
        Do::Add => forms::open(model, add_form()),
        Do::Edit => {
            if let Some(form) = model.nodes.list.chosen().map(edit_form) {
                forms::open(model, form);
            }
        }
        Do::Pull => {
            let names: Vec<String> =
                model.nodes.list.targets().into_iter().map(|node| node.name.clone()).collect();
            forms::open(model, pull_form(names, ""));
        }
        Do::Enable => state(model, out, AdminState::Enabled),
        Do::Drain => {
            let nodes = targets(model);
            match left_without(model, &nodes) {
                None => state(model, out, AdminState::Draining),
                Some(line) => {
                    let (Some(title), requests) =
                        asked("Drain", &nodes, |node| set(node, AdminState::Draining))
                    else {
                        return;
                    };
                    dialogs::confirm(model, title, vec![line], "Drain", None, requests);
                }
            }
        }
        Do::Disable => {
            let nodes = targets(model);
            let (Some(title), requests) = asked("Disable", &nodes, |node| set(node, AdminState::Disabled))
            else {
                return;
            };
            let mut lines =
                vec!["No requests go there and it is not checked until it is enabled again.".into()];
            lines.extend(left_without(model, &nodes));
            lines.extend(at_work(&nodes, "To let it finish first, drain it."));
            dialogs::confirm(model, title, lines, "Disable", None, requests);
        }
        Do::Remove => {
            let nodes = targets(model);
            let (Some(title), requests) = asked("Remove", &nodes, remove) else { return };
            let mut lines = vec!["The gateway forgets it: address, credential, labels.".into()];
            lines.extend(left_without(model, &nodes));
            lines.extend(at_work(&nodes, "They end at once. To let them finish, drain it first."));
            let typed = at_work(&nodes, "").map(|_| match &*nodes {
                [node] => node.name.clone(),
                _ => "remove".to_owned(),
            });
            dialogs::confirm(model, title, lines, "Remove", typed, requests);
        }
        Do::Check => {
            for node in targets(model) {
                let request = NodeRequest::Check(node::Check { node: node.id });
                let what = says(format!("Checking {}", node.name), node.name.clone());
                act(model, out, Request::Node(request), what);
            }
            model.nodes.list.unmark();
        }
        Do::Strategy => strategy::ask(model, out),
        Do::WakeUp => {
            for node in targets(model) {
                let done = wake::called(&node, "its line says");
                let what = says(format!("Waking {}", node.name), done);
                act(model, out, Request::from(node::WakeUp { node: node.id }), what);
            }
            model.nodes.list.unmark();
        }
        Do::Wake => {
            model.nodes.waking = model.nodes.list.chosen().map(|node| node.id.clone());
            reload(model, out, Topic::Wakes);
        }
        _ => {}
    }
}

fn targets(model: &Model) -> Vec<Node> {
    model.nodes.list.targets().into_iter().cloned().collect()
}

fn says(doing: String, done: String) -> Act {
    Act { doing, done, reload: Vec::new() }
}

fn set(node: &Node, state: AdminState) -> (Request, Act) {
    let (doing, done) = match state {
        AdminState::Enabled => ("Enabling", "is enabled"),
        AdminState::Draining => ("Draining", "is draining"),
        AdminState::Disabled => ("Disabling", "is disabled"),
    };
    let request = NodeRequest::SetState(node::SetState { node: node.id.clone(), revision: None, state });
    (Request::Node(request), says(format!("{doing} {}", node.name), format!("{} {done}", node.name)))
}

fn remove(node: &Node) -> (Request, Act) {
    let request = NodeRequest::Remove(node::Remove { node: node.id.clone(), revision: None });
    let what = Act {
        doing: format!("Removing {}", node.name),
        done: format!("{} is removed", node.name),
        reload: vec![Topic::Nodes, Topic::Status],
    };
    (Request::Node(request), what)
}

fn state(model: &mut Model, out: &mut Vec<Effect>, state: AdminState) {
    for node in targets(model) {
        let (request, what) = set(&node, state);
        act(model, out, request, what);
    }
    model.nodes.list.unmark();
}

/// The question about these nodes, and what is asked of the daemon for each.
fn asked(
    verb: &str,
    nodes: &[Node],
    request: impl Fn(&Node) -> (Request, Act),
) -> (Option<String>, Vec<(Request, Act)>) {
    let title = match nodes {
        [] => None,
        [node] => Some(format!("{verb} node {}?", node.name)),
        nodes => Some(format!("{verb} {}?", plural(nodes.len() as u64, "node"))),
    };
    (title, nodes.iter().map(request).collect())
}

/// What no active node is left for without these, if anything.
fn left_without(model: &Model, nodes: &[Node]) -> Option<String> {
    let serves = |node: &&Node| node.admin_state == AdminState::Enabled && node.pool != Pool::Standby;
    let is_one = |node: &&Node| nodes.iter().any(|one| one.id == node.id);
    let (going, staying): (Vec<&Node>, Vec<&Node>) =
        model.nodes.list.all().iter().filter(serves).partition(|node| is_one(node));
    let mut models: Vec<&String> = going.iter().flat_map(|node| &node.models).collect();
    models.retain(|name| !staying.iter().any(|node| node.models.contains(name)));
    models.sort_unstable();
    models.dedup();
    match &*models {
        _ if going.is_empty() => None,
        _ if staying.is_empty() => Some("Then no active node is left: nothing can be served.".to_owned()),
        [] => None,
        [one] => Some(format!("Then no active node has {one}.")),
        [first, rest @ ..] => {
            Some(format!("Then no active node has {first} and {}.", plural(rest.len() as u64, "more model")))
        }
    }
}

fn at_work(nodes: &[Node], advice: &str) -> Option<String> {
    let count: u64 = nodes.iter().map(|node| u64::from(node.active_requests)).sum();
    let verb = if count == 1 { "is" } else { "are" };
    (count > 0).then(|| format!("{} {verb} at work there now. {advice}", plural(count, "request")))
}

const KINDS: &[(&str, &str)] = &[
    ("find out", "ask the server what it is"),
    ("ollama", "Ollama: /api and /v1"),
    ("openai", "the OpenAI API only: /v1"),
];

const CA: &str = "PEM file on this machine with the CA to trust; empty: the system's";
const OTHER_CA: &str = "PEM file with the CA to trust; empty: as it is; none: the system's";

const FORCE: &str = "also if it does not answer, and link-local or metadata addresses";

fn credential_fields(options: &[(&str, &str)]) -> Vec<Field> {
    let about = "how the gateway proves itself to the node";
    vec![
        Field::choice("credential", "Credential", about, options, options[0].0),
        Field::secret("bearer", "Token", "sent as Authorization: Bearer")
            .required()
            .with("credential", &["bearer"]),
        Field::text("user", "User", "sent as Authorization: Basic", "")
            .required()
            .with("credential", &["basic"]),
        Field::secret("password", "Password", "it is not shown").required().with("credential", &["basic"]),
        Field::text("header", "Header", "its name, such as X-Api-Key", "")
            .required()
            .with("credential", &["header"]),
        Field::secret("value", "Value", "it is not shown").required().with("credential", &["header"]),
        Field::text("client_cert", "Cert file", "PEM, read here; shown to the node", "")
            .required()
            .with("credential", &["certificate"]),
        Field::text("client_key", "Key file", "PEM, without a passphrase", "")
            .required()
            .with("credential", &["certificate"]),
    ]
}

fn common(node: Option<&Node>) -> Vec<Field> {
    let labels = node.map(|node| written(&node.labels)).unwrap_or_default();
    let max = node.map_or(0, |node| node.max_parallel).to_string();
    let organization = node.and_then(|node| node.organization.clone()).unwrap_or_default();
    let server_name = node.and_then(|node| node.server_name.clone()).unwrap_or_default();
    vec![
        Field::text("max_parallel", "At once", "most requests at once; 0 is no limit", &max)
            .checked(form::number),
        Field::text("labels", "Labels", "KEY=VALUE, separated by blanks", &labels).checked(form::labels),
        Field::text("organization", "Org", "only this organization uses it; empty: all do", &organization),
        Field::text("ca", "CA file", if node.is_some() { OTHER_CA } else { CA }, ""),
        Field::text("server_name", "TLS name", "name in its certificate, if not the host's", &server_name),
        Field::toggle("force", "Force", FORCE, false),
    ]
}

pub(super) fn add_form() -> Form {
    let mut fields = vec![
        Field::text("name", "Name", "lower case letters, digits, . _ -", "").required().checked(form::name),
        Field::text("url", "URL", "http://HOST:11434, or https://HOST/PREFIX", "")
            .required()
            .checked(form::url),
        Field::choice("kind", "Kind", "what it speaks", KINDS, "find out"),
    ];
    fields.extend(credential_fields(&[
        ("none", "nothing is sent"),
        ("bearer", "a token"),
        ("basic", "user and password"),
        ("header", "a header of its own"),
        ("certificate", "a client certificate"),
    ]));
    fields.extend(common(None));
    let intro = "The server is asked what it is once its URL is there; ctrl-t asks again.";
    Form::new(FormFor::AddNode, "Add a node", intro, fields)
}

fn edit_form(node: &Node) -> Form {
    let kind = if node.kind == NodeKind::Ollama { "ollama" } else { "openai" };
    let mut fields = vec![
        Field::text("name", "Name", "lower case letters, digits, . _ -", &node.name)
            .required()
            .checked(form::name),
        Field::text("url", "URL", "http://HOST:11434, or https://HOST/PREFIX", &node.url)
            .required()
            .checked(form::url),
        Field::choice("kind", "Kind", "what it speaks", &KINDS[1..], kind),
    ];
    fields.extend(credential_fields(&[
        ("keep", "as it is"),
        ("none", "nothing is sent any more"),
        ("bearer", "a token"),
        ("basic", "user and password"),
        ("header", "a header of its own"),
        ("certificate", "a client certificate"),
    ]));
    fields.extend(common(Some(node)));
    let purpose = FormFor::EditNode(node.id.clone(), node.revision);
    let intro = "ctrl-t asks the server what it is, without changing anything.";
    let mut form = Form::new(purpose, format!("Change node {}", node.name), intro, fields);
    form.asked.clone_from(&node.url);
    form
}

/// How nodes are woken: shown, and asked where somebody waits for it.
pub(super) fn wakes(model: &mut Model, all: Vec<NodeWake>) {
    model.nodes.wakes = all;
    // Not over what was opened meanwhile, nor while something is typed into the line below.
    let is_free = model.dialogs.is_empty() && model.line.is_none();
    let waking = model.nodes.waking.take().filter(|_| is_free);
    let node = waking.and_then(|id| model.nodes.list.all().iter().find(|node| node.id == id));
    if let Some(form) = node.map(|node| wake_form(node, model.nodes.wake(&node.id))) {
        forms::open(model, form);
    }
}

fn wake_form(node: &Node, known: Option<&NodeWake>) -> Form {
    let mac = known.map_or("", |wake| &wake.mac);
    let address = known.map_or("", |wake| &wake.address);
    let idle = known.map(|wake| format!("{}s", wake.idle_seconds)).unwrap_or_default();
    let fields = vec![
        Field::text(
            "wake",
            "MAC",
            "of its network card: aa:bb:cc:dd:ee:ff; empty: check it all the time",
            mac,
        ),
        Field::text("wake_at", "Sent to", "ADDRESS:PORT; empty: 255.255.255.255:9", address),
        Field::text(
            "wake_idle",
            "Idle for",
            "how long nobody asks it before it may sleep; empty: 10m",
            &idle,
        )
        .checked(|text| time_arg::span_argument(text).map(|_| ())),
    ];
    let intro = "While nobody asks it, it is left alone, so that its machine may sleep; a request wakes it.";
    Form::new(FormFor::Wake(node.id.clone()), format!("Let node {} sleep", node.name), intro, fields)
}

/// Says how the node is woken, as that form has it.
pub(super) fn set_wake(form: &Form, node: &str) -> Prepared {
    let idle = form.given("wake_idle").map(|text| time_arg::span_argument(&text)).transpose()?;
    let wake = form.given("wake").map(|mac| Wake {
        mac,
        address: form.given("wake_at"),
        idle_seconds: idle.map(|idle| idle.as_secs()),
    });
    let done =
        if wake.is_some() { "it may sleep, and is woken by a request" } else { "it is checked all the time" };
    let reload = vec![Topic::Wakes];
    let what = Act { doing: "Changing how it is woken".into(), done: done.into(), reload };
    Ok((Request::from(node::SetWake { node: node.to_owned(), wake }), what))
}

/// Asks what to pull, to which nodes.
pub(super) fn pull_form(names: Vec<String>, model: &str) -> Form {
    let about = "as in `ollama pull`; no tag is :latest";
    let fields = vec![
        Field::text("model", "Model", about, model).required(),
        Field::choice(
            "to",
            "To",
            "where it is pulled to",
            &[("chosen", ""), ("all", "every active node")],
            "chosen",
        ),
        Field::toggle("insecure", "Insecure", "allow a registry without TLS", false),
    ];
    let mut form = Form::new(FormFor::Pull(names.clone()), "Pull a model", "", fields);
    if let form::Kind::Choice { options, at } = &mut form.fields[1].kind {
        if names.is_empty() {
            *at = 1;
        }
        options[0].1 = names.join(", ");
    }
    form
}

fn written(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

fn labels(form: &Form) -> BTreeMap<String, String> {
    let words = form.words("labels").into_iter();
    words
        .filter_map(|word| word.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect()
}

/// What is sent; None leaves it as it is.
fn credential(form: &Form) -> Option<Credential> {
    let secret = |key: &str| form.secret(key).unwrap_or_else(|| WireSecret::new(String::new()));
    match &*form.value("credential") {
        "none" => Some(Credential::None),
        "bearer" => Some(Credential::Bearer(secret("bearer"))),
        "basic" => Some(Credential::Basic { user: form.value("user"), password: secret("password") }),
        "header" => Some(Credential::Header { name: form.value("header"), value: secret("value") }),
        "certificate" => {
            let read = |what| form.contents(what).cloned().unwrap_or_else(|| WireSecret::new(String::new()));
            Some(Credential::Certificate {
                chain_pem: read(FormFile::ClientCert).expose().to_owned(),
                key_pem: read(FormFile::ClientKey),
                header: None,
            })
        }
        _ => None,
    }
}

fn kind(form: &Form) -> Option<NodeKind> {
    match &*form.value("kind") {
        "ollama" => Some(NodeKind::Ollama),
        "openai" => Some(NodeKind::Openai),
        _ => None,
    }
}

/// The node of this form.
pub(super) fn new_node(form: &Form) -> NewNode {
    NewNode {
        name: form.value("name"),
        url: form.value("url"),
        kind: kind(form),
        credential: credential(form).unwrap_or(Credential::None),
        ca_pem: form.certificates(),
        server_name: form.given("server_name"),
        max_parallel: form.value("max_parallel").parse().unwrap_or(0),
        labels: labels(form),
        force: form.is_on("force"),
        organization: form.given("organization"),
    }
}

/// Adds the node of this form.
pub(super) fn add(form: &Form) -> Prepared {
    let new = new_node(form);
    let name = new.name.clone();
    let what = Act {
        doing: format!("Asking {} what it is", new.url),
        done: format!("added {name}"),
        reload: vec![Topic::Status],
    };
    Ok((Request::from(node::Add(Box::new(new))), what))
}

/// What the form changes in the node.
///
/// # Errors
/// The node is not there any more.
pub(super) fn node_change(model: &Model, form: &Form, id: &str) -> Result<NodeChange, String> {
    let known = model.nodes.list.all().iter().find(|node| node.id == id);
    let node = known.ok_or_else(|| "the node was removed meanwhile".to_owned())?;
    let differs = |key: &str, before: &str| Some(form.value(key)).filter(|value| value != before);
    let optional = |key: &str, before: &Option<String>| Some(form.given(key)).filter(|value| value != before);
    let wanted = labels(form);
    let gone = node.labels.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key.clone(), None));
    let new = wanted
        .iter()
        .filter(|(key, value)| node.labels.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), Some(value.clone())));
    Ok(NodeChange {
        name: differs("name", &node.name),
        url: differs("url", &node.url),
        kind: kind(form).filter(|kind| *kind != node.kind),
        credential: credential(form),
        ca_pem: match &*form.value("ca") {
            "" => None,
            form::NO_CA => Some(None),
            _ => form.certificates().map(Some),
        },
        server_name: optional("server_name", &node.server_name),
        max_parallel: form.value("max_parallel").parse().ok().filter(|max| *max != node.max_parallel),
        labels: gone.chain(new).collect(),
        force: form.is_on("force"),
        organization: optional("organization", &node.organization),
    })
}

/// Changes what the form changes in the node.
pub(super) fn change(model: &Model, form: &Form, id: &str, revision: u64) -> Prepared {
    let change = node_change(model, form, id)?;
    let name = form.value("name");
    if change == (NodeChange { force: change.force, ..NodeChange::default() }) {
        return Err("nothing was changed".into());
    }
    let request = NodeRequest::Set(node::Set {
        node: id.to_owned(),
        revision: Some(revision),
        change: Box::new(change),
    });
    Ok((Request::Node(request), says(format!("Changing {name}"), format!("{name} is changed"))))
}

/// Pulls the model of this form.
pub(super) fn pull(form: &Form, nodes: &[String]) -> Prepared {
    let model = form.value("model");
    let nodes = if form.value("to") == "all" { Vec::new() } else { nodes.to_vec() };
    let what = says(format!("Beginning to pull {model}"), format!("pulling {model}"));
    let insecure = form.is_on("insecure");
    Ok((Request::from(model::Pull { model, nodes, insecure }), what))
}
