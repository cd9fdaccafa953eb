//! What follows from what happens: the only place where the model changes. Nothing here waits for anything;
//! what takes time is asked of the runtime as an [`Effect`].

mod access;
mod account;
mod answers;
#[cfg(test)]
mod any;
mod audit;
#[cfg(test)]
mod coverage;
mod dialogs;
#[cfg(test)]
mod fleet_tests;
mod forms;
mod jobs;
mod keys;
mod lines;
mod login;
mod logs;
mod model_rules;
pub(crate) mod models;
mod nodes;
mod overview;
mod probe;
mod requests;
mod security;
mod steps;
mod strategy;
#[cfg(test)]
mod tests;
mod typing;
mod usage;

use aivonx_protocol::{
    Event, Fault, Request, block, check, daemon,
    handshake::Login,
    job,
    key::{self, KeyRequest},
    lockout, model, node,
    organization::{self, OrganizationRequest},
    running, secrets, snapshot, user,
};

use crate::{
    msg::{Effect, Msg, Up},
    state::{Dialog, Link, Model, Purpose, Right, Screen, Topic, calls::Act, list::Load},
};

/// How often the daemon is asked how it does, milliseconds.
const STATUS_EVERY: u64 = 2000;
/// After how long without a key nothing is asked any more, milliseconds: then the daemon's own rule about
/// unused sessions counts.
const UNATTENDED: u64 = 600_000;
/// How long a sentence stays, milliseconds.
const NOTICE_STAYS: u64 = 10_000;

/// Carries out what happened; what is to be done about it.
pub(crate) fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let mut out = Vec::new();
    let effects = &mut out;
    match msg {
        Msg::Key(event) => keys::pressed(model, effects, &event),
        Msg::Paste(text) => {
            model.last_key = model.now;
            // It may be a password.
            typing::pasted(model, &zeroize::Zeroizing::new(text));
        }
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
            let nodes = model.node_feed == Some(ticket);
            let log = model.logs.feed == Some(ticket);
            let job = model.jobs.feed.as_ref().is_some_and(|(feed, _)| *feed == ticket);
            if model.audit.walk == Some(ticket) {
                audit::walked(model, ticket, events);
            } else if model.audit.feed == Some(ticket) {
                audit::followed(model, events);
            } else if log {
                logs::events(model, effects, ticket, events);
            } else if nodes {
                events.into_iter().for_each(|event| node_event(model, event));
            } else if job {
                events.into_iter().for_each(|event| job_event(model, event));
            }
        }
        Msg::Ended { ticket, result } => ended(model, effects, ticket, result.err()),
        Msg::Anchors { ticket, result } => audit::anchors(model, effects, ticket, result),
        Msg::Exporting { ticket, written } => audit::exporting(model, ticket, written),
        Msg::Exported { ticket, result } => audit::exported(model, ticket, result),
        Msg::Reported { ticket, result } => security::reported(model, ticket, result),
        Msg::Past { ticket, result } => logs::past(model, ticket, result),
        Msg::Search => model.logs.search(),
        Msg::File { ticket, result } => probe::was_read(model, effects, ticket, result),
        Msg::Told { text, bad } => {
            if bad {
                model.warn(text);
            } else {
                model.tell(text);
            }
        }
    }
    logs::after(model, effects);
    out
}

fn tick(model: &mut Model, out: &mut Vec<Effect>, now: u64) {
    let before = model.now;
    model.now = now;
    if model.notice.as_ref().is_some_and(|notice| now.saturating_sub(notice.since) > NOTICE_STAYS) {
        model.notice = None;
    }
    // Asking on and on would keep the session of somebody who went away alive.
    account::tick(model);
    let attended = now.saturating_sub(model.last_key) < UNATTENDED && model.account.lock.is_none();
    if attended && model.screen == Screen::Requests {
        load(model, out, Topic::Running);
        load(model, out, Topic::Queued);
    }
    if attended && model.is_up() && model.screen == Screen::Overview && now / 1000 != before / 1000 {
        load(model, out, Topic::Pulse);
        load(model, out, Topic::Queued);
    }
    if attended && model.is_up() && now / STATUS_EVERY != before / STATUS_EVERY {
        load(model, out, Topic::Status);
        // These have no feed.
        match model.screen {
            Screen::Jobs => load(model, out, Topic::Jobs),
            Screen::Models => models::look(model, out),
            Screen::Usage | Screen::Access => usage::tick(model, out),
            _ if model.jobs.running() => load(model, out, Topic::Jobs),
            _ => {}
        }
    }
}

fn connected(model: &mut Model, out: &mut Vec<Effect>, up: Up) {
    let again = matches!(model.link, Link::Down { .. });
    let unknown = up.identity.is_none() && up.login == Login::NotNeeded;
    model.account.may_set_up = up.may_set_up;
    login::seen(model, up.identity.as_ref());
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
    let login = *login;
    if login != Login::NotNeeded && model.identity.as_ref().is_none_or(|who| who.role.is_none()) {
        if model.account.lock.take().is_some() {
            // Behind the lock stood what only its owner may see.
            model.forget();
            model.dialogs.clear();
        }
        if login == Login::Setup {
            account::set_up(model);
        } else {
            login::ask(model);
        }
        return;
    }
    if model.node_feed.is_none() && model.why_not(Right::NodesRead).is_none() {
        let ticket = model.calls.ticket();
        model.node_feed = Some(ticket);
        out.push(Effect::Follow { ticket, request: Request::from(node::Watch) });
        load(model, out, Topic::Nodes);
    }
    refresh(model, out);
    account::settle(model, out);
}

/// Nothing comes any more; what is shown stays.
fn disconnected(model: &mut Model) {
    model.node_feed = None;
    model.nodes.waking = None;
    model.logs.feed = None;
    model.jobs.feed = None;
    (model.audit.feed, model.audit.walk) = (None, None);
    let (awaited, several) = model.calls.clear();
    for each in several {
        dialogs::interrupted(model, &each, "The connection ended");
    }
    for dialog in &mut model.dialogs {
        if let Dialog::Form(form) = dialog
            && form.sent.is_some()
        {
            form.refuse(
                None,
                "the connection ended before the answer; look whether it was done before you repeat it",
            );
        }
        if let Dialog::Enrol(enrol) = dialog {
            enrol.sent = None;
        }
    }
    if let Some(lock) = &mut model.account.lock {
        lock.sent = None;
    }
    if let Some(doing) = awaited {
        model.warn(format!("{doing}: the connection ended before the answer; look whether it was done"));
    }
}

fn ended(model: &mut Model, out: &mut Vec<Effect>, ticket: u64, fault: Option<Fault>) {
    if fault.as_ref().is_some_and(|fault| fault.kind == aivonx_protocol::FaultKind::NotPermitted) {
        // It may be the session that is over.
        load(model, out, Topic::Identity);
    }
    if model.jobs.feed.as_ref().is_some_and(|(feed, _)| *feed == ticket) {
        // It ends with the job.
        model.jobs.feed = None;
        load(model, out, Topic::Jobs);
    } else if model.node_feed == Some(ticket) {
        model.node_feed = None;
        if let Some(fault) = fault
            && model.is_up()
        {
            model.warn(format!("the nodes are not followed any more: {}", fault.message));
        }
    } else if model.audit.feed == Some(ticket) || model.audit.walk == Some(ticket) {
        audit::ended(model, ticket, fault);
    } else if model.logs.feed == Some(ticket) {
        model.logs.feed = None;
        if let Some(fault) = fault
            && model.is_up()
        {
            model.warn(format!("the log is not followed any more: {}", fault.message));
        }
    }
}

fn job_event(model: &mut Model, event: Event) {
    if let Event::Job(job) = event {
        model.jobs.put(*job, model.now);
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
        Topic::Status => (Right::Status, Request::from(daemon::GetStatus)),
        Topic::Pulse => {
            let since = model.overview.since();
            (Right::NodesRead, Request::from(daemon::Pulse { since }))
        }
        Topic::Identity => (Right::Status, Request::from(aivonx_protocol::account::Whoami)),
        Topic::Nodes => (Right::NodesRead, Request::from(node::List)),
        Topic::Models => (Right::ModelsRead, Request::from(model::List)),
        Topic::Drifts => (Right::ModelsRead, Request::from(model::Drifts)),
        Topic::Strategy => (Right::NodesRead, Request::from(aivonx_protocol::strategy::Show)),
        Topic::Kept => (Right::ModelsRead, Request::from(model::Placements)),
        Topic::ModelStrategies => (Right::NodesRead, Request::from(aivonx_protocol::strategy::ShowModels)),
        Topic::Restrictions => (Right::PolicyRead, Request::from(aivonx_protocol::policy::Access)),
        Topic::Wakes => (Right::NodesRead, Request::from(node::Wakes { node: None })),
        Topic::Jobs => (Right::JobsRead, Request::from(job::List)),
        Topic::Organizations => (Right::OrganizationsRead, Request::from(organization::List)),
        Topic::Networks => {
            let request = OrganizationRequest::Networks(organization::Networks { organization: None });
            (Right::OrganizationsRead, Request::Organization(request))
        }
        Topic::HiddenUsage => (Right::OrganizationsRead, Request::from(organization::HiddenUsage)),
        Topic::Users => (Right::UsersRead, Request::from(user::List { organization: None, role: None })),
        Topic::Keys => {
            let request = KeyRequest::List(key::List { organization: None, user: None, all: true });
            (Right::KeysRead, Request::Key(request))
        }
        Topic::DisabledKeys => (Right::KeysRead, Request::from(key::Disabled)),
        Topic::Audit | Topic::AuditMore => (Right::AuditRead, audit::newest(model)),
        Topic::Running => (Right::RunningRead, Request::from(running::List)),
        Topic::Queued => (Right::RunningRead, Request::from(running::Queue)),
        Topic::Lockouts => (Right::LockoutsRead, Request::from(lockout::List { all: true })),
        Topic::Sessions => match security::sessions(model) {
            Some(request) => (Right::Own, request),
            // Without a user there is no session.
            None => return model.security.sessions.set(Vec::new(), model.now),
        },
        Topic::Secrets => (Right::SecretsRead, Request::from(secrets::Status)),
        Topic::Checks => (Right::SecretsRead, Request::from(secrets::Validate)),
        Topic::Snapshots => (Right::SnapshotsRead, Request::from(snapshot::List)),
        Topic::NewestSnapshot => (Right::SnapshotsRead, Request::from(snapshot::Newest)),
        Topic::Blocks => (Right::BlocksRead, Request::from(block::List)),
        Topic::Findings => (Right::AuditVerify, Request::from(security::detect(model))),
        Topic::Setup => (Right::SecretsRead, Request::from(check::Run)),
        Topic::Usage
        | Topic::Steps
        | Topic::Limits
        | Topic::Unpriced
        | Topic::Profiles
        | Topic::Prices
        | Topic::Policies
        | Topic::Aliases
        | Topic::Privacy
        | Topic::Answers
        | Topic::Patterns => match usage::request(model, topic) {
            Some(asked) => asked,
            None => return,
        },
    };
    if model.why_not(right).is_some() {
        return;
    }
    let ticket = model.calls.begin(Purpose::Load(topic), model.now);
    out.push(Effect::Call { ticket, request });
}

/// The same, where what is being asked for is not what is wanted any more.
fn reload(model: &mut Model, out: &mut Vec<Effect>, topic: Topic) {
    out.extend(model.calls.give_up(topic).into_iter().map(Effect::Drop));
    load(model, out, topic);
}

/// Asks for what the screen shows.
fn refresh(model: &mut Model, out: &mut Vec<Effect>) {
    load(model, out, Topic::Status);
    match model.screen {
        Screen::Overview => {
            load(model, out, Topic::Pulse);
            load(model, out, Topic::Queued);
            // Whether there is a key at all decides what to do next.
            if model.access.keys.load == Load::Waiting {
                load(model, out, Topic::Keys);
                load(model, out, Topic::DisabledKeys);
            }
        }
        Screen::Nodes => {
            load(model, out, Topic::Nodes);
            if model.detail {
                load(model, out, Topic::Wakes);
            }
        }
        Screen::Models => {
            models::look(model, out);
            load(model, out, Topic::Nodes);
        }
        Screen::Jobs => load(model, out, Topic::Jobs),
        Screen::Access => access::refresh(model, out),
        Screen::Usage => usage::refresh(model, out),
        Screen::Logs => {}
        Screen::Audit => load(model, out, Topic::Audit),
        Screen::Requests => {
            load(model, out, Topic::Running);
            load(model, out, Topic::Queued);
        }
        Screen::Security => security::refresh(model, out),
    }
    logs::attend(model, out);
    audit::attend(model, out);
    usage::attend(model, out);
    jobs::attend(model, out);
}

/// Something could not be had.
fn failed(model: &mut Model, topic: Topic, fault: Fault) {
    if topic == Topic::Wakes {
        model.nodes.waking = None;
    }
    match topic {
        Topic::Pulse => model.overview.load = Load::Failed(fault),
        Topic::Nodes => model.nodes.list.load = Load::Failed(fault),
        Topic::Models => model.models.list.load = Load::Failed(fault),
        Topic::Kept => model.models.kept.load = Load::Failed(fault),
        Topic::ModelStrategies => model.models.strategies.load = Load::Failed(fault),
        Topic::Restrictions => model.models.restrictions.load = Load::Failed(fault),
        Topic::Jobs => model.jobs.list.load = Load::Failed(fault),
        Topic::Organizations => model.access.organizations.load = Load::Failed(fault),
        Topic::Users => model.access.users.load = Load::Failed(fault),
        Topic::Keys => model.access.keys.load = Load::Failed(fault),
        Topic::Audit => model.audit.list.load = Load::Failed(fault),
        Topic::Running => model.requests.list.load = Load::Failed(fault),
        Topic::Lockouts => model.security.lockouts.load = Load::Failed(fault),
        Topic::Sessions => model.security.sessions.load = Load::Failed(fault),
        Topic::Checks => model.security.checks.load = Load::Failed(fault),
        Topic::Snapshots => model.security.snapshots.load = Load::Failed(fault),
        Topic::Blocks => model.security.blocks.load = Load::Failed(fault),
        Topic::Findings => model.security.findings.load = Load::Failed(fault),
        Topic::Setup => model.security.setup.load = Load::Failed(fault),
        Topic::Usage
        | Topic::Steps
        | Topic::Limits
        | Topic::Unpriced
        | Topic::Profiles
        | Topic::Prices
        | Topic::Policies
        | Topic::Aliases
        | Topic::Privacy
        | Topic::Answers
        | Topic::Patterns => usage::failed(model, topic, fault),
        Topic::Status
        | Topic::Identity
        | Topic::Strategy
        | Topic::Wakes
        | Topic::Drifts
        | Topic::Networks
        | Topic::HiddenUsage
        | Topic::DisabledKeys
        | Topic::Queued
        | Topic::AuditMore
        | Topic::Secrets
        | Topic::NewestSnapshot => model.warn(fault.message),
    }
}

/// Asks the daemon to do something.
fn act(model: &mut Model, out: &mut Vec<Effect>, request: Request, act: Act) -> u64 {
    let ticket = model.calls.begin(Purpose::Act(act), model.now);
    out.push(Effect::Call { ticket, request });
    ticket
}
