//! What follows from what happens: the only place where the model changes. Nothing here waits for anything;
//! what takes time is asked of the runtime as an [`Effect`].

mod answers;
mod dialogs;
mod forms;
mod keys;
mod lines;
mod login;
mod nodes;
#[cfg(test)]
mod tests;
mod typing;

use aivonx_protocol::{
    Event, Fault, Request, account::AccountRequest, daemon::DaemonRequest, handshake::Login,
    node::NodeRequest,
};

use crate::{
    model::{Dialog, Link, Model, Purpose, Right, Screen, Topic, calls::Act, list::Load},
    msg::{Effect, Msg, Up},
};

/// How often the daemon is asked how it does, milliseconds.
const STATUS_EVERY: u64 = 2000;
/// How long a sentence stays, milliseconds.
const NOTICE_STAYS: u64 = 10_000;

/// Carries out what happened; what is to be done about it.
pub(crate) fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let mut out = Vec::new();
    let effects = &mut out;
    match msg {
        Msg::Key(event) => keys::pressed(model, effects, &event),
        Msg::Paste(text) => typing::pasted(model, &text),
        Msg::Resize(columns, rows) => model.size = (columns, rows),
        Msg::Tick(now) => tick(model, effects, now),
        Msg::Up(up) => connected(model, effects, *up),
        Msg::Down(down) => {
            let since = match &model.link {
                Link::Down { since, .. } => *since,
                Link::Connecting | Link::Up { .. } => model.now,
            };
            model.link = Link::Down { why: down.why, since, retry: model.now + down.retry_ms };
            disconnected(model);
        }
        Msg::Answer { ticket, result } => answers::answered(model, effects, ticket, result),
        Msg::Events { ticket, events } => {
            if model.node_feed == Some(ticket) {
                for event in events {
                    node_event(model, event);
                }
            }
        }
        Msg::Ended { ticket, result } => ended(model, ticket, result.err()),
        Msg::Told { text, bad } => {
            if bad {
                model.warn(text);
            } else {
                model.tell(text);
            }
        }
    }
    out
}

fn tick(model: &mut Model, out: &mut Vec<Effect>, now: u64) {
    let before = model.now;
    model.now = now;
    if model.notice.as_ref().is_some_and(|notice| now.saturating_sub(notice.since) > NOTICE_STAYS) {
        model.notice = None;
    }
    if model.is_up() && now / STATUS_EVERY != before / STATUS_EVERY {
        load(model, out, Topic::Status);
    }
}

fn connected(model: &mut Model, out: &mut Vec<Effect>, up: Up) {
    let again = matches!(model.link, Link::Down { .. });
    let unknown = up.identity.is_none() && up.login == Login::NotNeeded;
    model.identity = up.identity;
    model.link = Link::Up { daemon: up.daemon, login: up.login, socket: up.socket };
    if again {
        model.tell("connected again");
    }
    if let Some(why) = up.refused {
        model.warn(why);
    }
    load(model, out, Topic::Status);
    if unknown {
        load(model, out, Topic::Identity);
    } else {
        known(model, out);
    }
}

/// It is known who the connection is for: what there is to see is asked for, or a login.
fn known(model: &mut Model, out: &mut Vec<Effect>) {
    let Link::Up { login, .. } = &model.link else { return };
    if *login == Login::Needed && model.identity.as_ref().is_none_or(|who| who.role.is_none()) {
        login::ask(model);
        return;
    }
    if model.node_feed.is_none() && model.why_not(Right::NodesRead).is_none() {
        let ticket = model.calls.ticket();
        model.node_feed = Some(ticket);
        out.push(Effect::Follow { ticket, request: Request::Node(NodeRequest::Watch) });
        load(model, out, Topic::Nodes);
    }
    refresh(model, out);
}

/// Nothing comes any more; what is shown stays.
fn disconnected(model: &mut Model) {
    model.node_feed = None;
    let awaited = model.calls.clear();
    for dialog in &mut model.dialogs {
        if let Dialog::Form(form) = dialog
            && form.sent.is_some()
        {
            form.refuse(
                None,
                "the connection ended before the answer; look whether it was done before you repeat it",
            );
        }
    }
    if let Some(doing) = awaited {
        model.warn(format!("{doing}: the connection ended before the answer; look whether it was done"));
    }
}

fn ended(model: &mut Model, ticket: u64, fault: Option<Fault>) {
    if model.node_feed == Some(ticket) {
        model.node_feed = None;
        if let Some(fault) = fault
            && model.is_up()
        {
            model.warn(format!("the nodes are not followed any more: {}", fault.message));
        }
    }
}

fn node_event(model: &mut Model, event: Event) {
    match event {
        Event::Node(node) => {
            model.nodes.note(&node);
            model.nodes.list.put(*node, model.now);
        }
        Event::NodeRemoved(id) => {
            model.nodes.forget(&id);
            model.nodes.list.remove(&id);
        }
        _ => {}
    }
}

/// Asks for something to show, unless it is being asked for or may not be seen.
fn load(model: &mut Model, out: &mut Vec<Effect>, topic: Topic) {
    if !model.is_up() || model.calls.loads(topic) {
        return;
    }
    let (right, request) = match topic {
        Topic::Status => (Right::Status, Request::Daemon(DaemonRequest::Status)),
        Topic::Identity => (Right::Status, Request::Account(AccountRequest::Whoami)),
        Topic::Nodes => (Right::NodesRead, Request::Node(NodeRequest::List)),
    };
    if model.why_not(right).is_some() {
        return;
    }
    let ticket = model.calls.begin(Purpose::Load(topic), model.now);
    out.push(Effect::Call { ticket, request });
}

/// Asks for what the screen shows.
fn refresh(model: &mut Model, out: &mut Vec<Effect>) {
    load(model, out, Topic::Status);
    match model.screen {
        Screen::Overview => {}
        Screen::Nodes => load(model, out, Topic::Nodes),
    }
}

/// Something could not be had.
fn failed(model: &mut Model, topic: Topic, fault: Fault) {
    match topic {
        Topic::Nodes => model.nodes.list.load = Load::Failed(fault),
        Topic::Status | Topic::Identity => model.warn(fault.message),
    }
}

/// Asks the daemon to do something.
fn act(model: &mut Model, out: &mut Vec<Effect>, request: Request, act: Act) -> u64 {
    let ticket = model.calls.begin(Purpose::Act(act), model.now);
    out.push(Effect::Call { ticket, request });
    ticket
}
