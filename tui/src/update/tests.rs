//! What follows from keys and answers.

use aivonx_protocol::{
    Event, Fault, FaultKind, Reply, Request, WireSecret,
    account::{self, AccountRequest, LoggedIn},
    key, model,
    user::Role,
};

use super::update;
use crate::{
    keymap::{self, BINDINGS, Do, Scope},
    msg::{Down, Effect, Msg},
    samples,
    state::{
        Dialog, Link, Model, Screen,
        list::Rows as _,
        testing::{
            answer_all, call, connected, event, full, full_as, press, press_all, refuse, reply, type_text,
        },
    },
    view::tests::shot,
};

mod audit;
mod logs;
mod model_rules;
mod nodes;
mod requests;
mod security;

fn notice(model: &Model) -> &str {
    model.notice.as_ref().map_or("", |notice| &notice.text)
}

#[test]
fn a_verb_after_the_colon_shows_what_it_is_about() {
    let type_line = |model: &mut Model, line: &str| {
        press(model, ":");
        type_text(model, line);
        press(model, "enter");
    };
    for line in ["node set gpu1 --max-parallel 4", "node show gpu1"] {
        let mut model = full(80, 24);
        type_line(&mut model, line);
        assert_eq!(model.nodes.list.counts(), (1, 4), "{line}");
    }
    for (line, filter) in [
        ("block remove user:alice", Some("alice")),
        ("block remove key:ci --yes", Some("ci")),
        ("incident contain --user alice", None),
        ("incident contain alice", None),
        ("node set --max-parallel 4 gpu1", None),
    ] {
        let mut model = full(80, 24);
        type_line(&mut model, line);
        let found = model.rows_ref().and_then(|rows| rows.filter()).map(|filter| filter.text().to_owned());
        assert_eq!(found.as_deref(), filter, "{line}");
    }
}

#[test]
fn a_connection_asks_for_what_is_shown() {
    let (mut model, effects) = connected(80, 24, Some(Role::Operator));
    let asked: Vec<String> = effects
        .iter()
        .map(|effect| match effect {
            Effect::Call { request, .. } | Effect::Follow { request, .. } => request.name().to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(
        asked,
        ["daemon.status", "node.watch", "node.list", "daemon.pulse", "running.queued"],
        "an operator sees no keys"
    );
    // What is being asked for is not asked for again.
    assert_eq!(press(&mut model, "2"), []);
    assert_eq!(press(&mut model, "1"), []);
    press(&mut model, "2");
    answer_all(&mut model, effects);
    assert_eq!(model.nodes.list.counts(), (4, 4));
    assert_eq!(press(&mut model, "r").len(), 2);
}

#[test]
fn roles_and_read_only_are_told_why_not() {
    let mut auditor = full_as(80, 24, Role::Auditor);
    assert_eq!(press_all(&mut auditor, "2 a d ctrl-d").len(), 2, "only what is shown is asked for");
    assert!(notice(&auditor).contains("your role is auditor; this takes operator"), "{}", notice(&auditor));
    let mut looking = full(80, 24);
    looking.settings.read_only = true;
    press_all(&mut looking, "2 a");
    assert!(notice(&looking).contains("--read-only"));
    assert!(looking.dialogs.is_empty());
    let mut member = full_as(80, 24, Role::Member);
    assert!(
        press(&mut member, "2").iter().all(|effect| {
            matches!(effect, Effect::Call { request, .. } if request.name() != "node.list")
        })
    );
}

#[test]
fn a_login_with_two_factors() {
    let (mut model, _) = connected(80, 24, None);
    type_text(&mut model, "alice");
    press(&mut model, "enter");
    type_text(&mut model, "correct horse");
    let effects = press(&mut model, "enter");
    let (ticket, _) = call(&effects);
    refuse(&mut model, ticket, Fault::new(FaultKind::NotPermitted, "a code is needed").field("otp"));
    type_text(&mut model, "123456");
    let effects = press(&mut model, "enter");
    let (ticket, request) = call(&effects);
    let Request::Account(AccountRequest::Login(account::Login { username, password, otp })) = request else {
        panic!()
    };
    assert_eq!((&**username, password.expose()), ("alice", "correct horse"));
    assert_eq!(otp.as_ref().map(WireSecret::expose), Some("123456"));
    assert!(!format!("{effects:?}").contains("horse") && !format!("{model:?}").contains("horse"));
    let session = LoggedIn {
        identity: samples::identities().remove(0),
        secret: WireSecret::new("s".into()),
        expires: 1,
        idle_ms: 1,
    };
    let effects = reply(&mut model, ticket, Reply::LoggedIn(Box::new(session)));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Keep(_))));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Follow { .. })));
    assert!(model.dialogs.is_empty());
}

#[test]
fn a_lost_connection_leaves_everything_where_it_stood() {
    let mut model = full(80, 24);
    press_all(&mut model, "2 j j");
    let chosen = model.nodes.list.chosen_name();
    press(&mut model, "d");
    update(&mut model, Msg::Down(Down { why: "gone".into(), retry_ms: 4000 }));
    assert!(notice(&model).contains("look whether it was done"), "{}", notice(&model));
    assert!(shot(&model).contains("No connection"));
    let since = model.now;
    update(&mut model, Msg::Tick(since + 3000));
    update(&mut model, Msg::Down(Down { why: "still".into(), retry_ms: 4000 }));
    assert!(matches!(&model.link, Link::Down { since: kept, .. } if *kept == since), "{:?}", model.link);
    assert_eq!(model.nodes.list.chosen_name(), chosen);
    assert_eq!(press(&mut model, "r"), [Effect::Connect]);
    press(&mut model, "a");
    assert!(notice(&model).contains("not connected"));
    let (other, _) = connected(80, 24, Some(Role::Operator));
    let Link::Up { daemon, login, socket } = other.link else { panic!() };
    let up =
        crate::msg::Up { daemon, login, identity: other.identity, socket, may_set_up: true, refused: None };
    let effects = update(&mut model, Msg::Up(Box::new(up)));
    answer_all(&mut model, effects);
    assert_eq!((model.nodes.list.chosen_name(), model.screen), (chosen, Screen::Nodes));
}

#[test]
fn back_undoes_one_thing_at_a_time() {
    let mut model = full(80, 24);
    press_all(&mut model, "2 /");
    type_text(&mut model, "gpu");
    press_all(&mut model, "enter space enter");
    assert!(model.detail);
    for _ in 0..4 {
        press(&mut model, "esc");
    }
    assert_eq!((model.screen, model.nodes.list.marks()), (Screen::Overview, 0));
}

#[test]
fn commands_go_and_filter() {
    let mut model = full(80, 24);
    press(&mut model, ":");
    type_text(&mut model, "node gpu1");
    press(&mut model, "enter");
    assert_eq!((model.screen, model.nodes.list.counts().0), (Screen::Nodes, 1));
    press_all(&mut model, ": up");
    assert_eq!(model.line.as_ref().map(|line| line.input.value()), Some("node gpu1"));
    press(&mut model, "esc");
    press(&mut model, ":");
    type_text(&mut model, "ov");
    press_all(&mut model, "tab enter");
    assert_eq!(model.screen, Screen::Overview);
    press(&mut model, ":");
    type_text(&mut model, "q");
    assert_eq!(press(&mut model, "enter"), [Effect::Quit]);
}

#[test]
fn a_new_key_is_shown_once_with_a_line_that_works() {
    let mut model = full(80, 24);
    press_all(&mut model, "5 backtab a");
    type_text(&mut model, "ci");
    press(&mut model, "enter");
    type_text(&mut model, "acme");
    press_all(&mut model, "enter enter enter enter enter enter");
    type_text(&mut model, "90d");
    let effects = press(&mut model, "enter");
    let (ticket, request) = call(&effects);
    let Request::Key(aivonx_protocol::key::KeyRequest::Create(key::Create(new))) = request else {
        panic!("{request:?}")
    };
    assert_eq!((&*new.name, new.organization.as_deref()), ("ci", Some("acme")));
    assert_eq!(new.expires, Some(model.now + 90 * 86_400_000));
    let answer = samples::reply(request).unwrap();
    let Reply::NewKey(made) = &answer else { panic!() };
    let secret = made.secret.clone();
    reply(&mut model, ticket, answer);
    let shown = shot(&model);
    assert!(
        shown.contains(secret.expose()) && shown.contains("curl -N http://127.0.0.1:11435/api/chat"),
        "{shown}"
    );
    assert_eq!(press(&mut model, "c"), [Effect::Copy(secret.clone())]);
    press(&mut model, "esc");
    assert!(!shot(&model).contains(secret.expose()));
    assert!(!format!("{model:?}").contains(secret.expose()));
}

#[test]
fn models_are_removed_from_one_node_or_all() {
    let mut model = full(120, 40);
    press_all(&mut model, "3 G right ctrl-d");
    assert_eq!(model.models.node.as_deref(), Some(samples::HOSTILE), "the first by name");
    press(&mut model, "right");
    assert_eq!(model.models.node.as_deref(), Some("gpu1"));
    press(&mut model, "ctrl-d");
    assert!(shot(&model).contains("from gpu1?"), "{}", shot(&model));
    let effects = press(&mut model, "y");
    let Request::Model(aivonx_protocol::model::ModelRequest::Remove(model::Remove { model: name, node })) =
        call(&effects).1
    else {
        panic!()
    };
    assert_eq!((&**name, node.as_deref()), ("qwen3:8b", Some("gpu1")));
    press_all(&mut model, "left left ctrl-d y enter");
    assert!(shot(&model).contains("type: qwen3:8b"), "from all nodes the name has to be typed");
}

#[test]
fn jobs_tell_their_speed() {
    let mut model = full(120, 40);
    let effects = press(&mut model, "4");
    answer_all(&mut model, effects);
    let mut jobs = samples::jobs();
    jobs[0].completed += 100_000_000;
    let now = model.now + 2000;
    let effects = update(&mut model, Msg::Tick(now));
    let ticket = effects
        .iter()
        .find_map(|effect| match effect {
            Effect::Call { ticket, request } if request.name() == "job.list" => Some(*ticket),
            _ => None,
        })
        .unwrap();
    reply(&mut model, ticket, Reply::Jobs(jobs));
    let shown = shot(&model);
    assert!(shown.contains("50.0 MB/s") && shown.contains("1m 6s"), "{shown}");
    press_all(&mut model, "G ctrl-d");
    let effects = press(&mut model, "y");
    assert!(matches!(call(&effects).1, Request::Job(aivonx_protocol::job::JobRequest::Cancel(_))));
}

#[test]
fn what_was_said_of_a_screen_stays_with_it() {
    let mut model = full(80, 24);
    press_all(&mut model, "2 n");
    assert!(notice(&model).contains("nothing to find"));
    press(&mut model, "2");
    assert!(!notice(&model).is_empty(), "it is the same screen");
    press(&mut model, "3");
    assert_eq!(notice(&model), "");
    press_all(&mut model, "n esc");
    assert_eq!((model.screen, notice(&model)), (Screen::Nodes, ""));
}

#[test]
fn nobody_there_asks_nothing() {
    let mut model = full(80, 24);
    model.settings.lock_after_ms = None;
    let start = model.now;
    assert!(!update(&mut model, Msg::Tick(start + 4000)).is_empty());
    model.calls.clear();
    assert!(update(&mut model, Msg::Tick(start + 700_000)).is_empty());
    press(&mut model, "1");
    model.calls.clear();
    assert!(!update(&mut model, Msg::Tick(start + 704_000)).is_empty());
}

#[test]
fn what_is_not_known_yet_is_not_changed_unasked() {
    use aivonx_protocol::organization::{HideUsage, OrganizationRequest};
    let mut model = full(80, 24);
    model.access.hidden_usage = None;
    model.access.networks = None;
    press(&mut model, "5");
    let acme = model.access.organizations.all().iter().find(|one| one.slug == "acme");
    let id = acme.unwrap().id.clone();
    model.access.organizations.choose(&id);
    press(&mut model, "e");
    let Some(Dialog::Form(form)) = model.dialogs.last() else { panic!() };
    assert!(form.fields.iter().all(|field| !["hide_usage", "node_networks"].contains(&field.key)));
    // It becomes known while the form is open.
    model.access.hidden_usage = Some(vec![id.clone()]);
    model.access.networks = Some([(id.clone(), vec!["10.0.0.0/8".to_owned()])].into());
    assert_eq!(press(&mut model, "ctrl-s"), []);
    assert!(shot(&model).contains("nothing was changed"), "{}", shot(&model));
    // And another is known when it is sent than when it was opened.
    press_all(&mut model, "esc e");
    model.access.hidden_usage = Some(Vec::new());
    assert_eq!(press(&mut model, "ctrl-s"), []);
    press_all(&mut model, "backtab space");
    let effects = press(&mut model, "ctrl-s");
    let wanted = HideUsage { organization: id, hidden: false };
    assert_eq!(*call(&effects).1, Request::Organization(OrganizationRequest::HideUsage(wanted)));
}

/// Models in which the bindings of each scope hold.
fn holding(scope: Scope) -> Model {
    let mut model = full(80, 24);
    match scope {
        Scope::Always | Scope::Everywhere | Scope::Overview => {}
        Scope::Enrol => {
            model.dialogs.push(Dialog::Enrol(Box::new(crate::state::account::Enrol::new(samples::offer()))))
        }
        Scope::Lock => drop(press(&mut model, "ctrl-k")),
        Scope::List | Scope::Nodes => drop(press(&mut model, "2")),
        Scope::Models | Scope::ModelTabs => drop(press(&mut model, "3")),
        Scope::Kept => drop(press_all(&mut model, "3 tab")),
        Scope::ModelStrategies => drop(press_all(&mut model, "3 tab tab")),
        Scope::Restrictions => drop(press_all(&mut model, "3 backtab")),
        Scope::Jobs => drop(press(&mut model, "4")),
        Scope::Access | Scope::Organizations => drop(press(&mut model, "5")),
        Scope::Users => drop(press_all(&mut model, "5 tab")),
        Scope::Keys => drop(press_all(&mut model, "5 backtab")),
        Scope::Usage => drop(press(&mut model, "6")),
        Scope::Limits | Scope::Chart => {
            let effects = press_all(&mut model, "6 enter");
            answer_all(&mut model, effects);
        }
        Scope::Patterns => {
            let effects = press_all(&mut model, "6 enter w");
            answer_all(&mut model, effects);
        }
        Scope::Prices => drop(press_all(&mut model, "6 backtab backtab backtab")),
        Scope::Policies => drop(press_all(&mut model, "6 backtab")),
        Scope::Logs => drop(press(&mut model, "7")),
        Scope::Audit => drop(press(&mut model, "8")),
        Scope::Requests => drop(press(&mut model, "9")),
        Scope::Security | Scope::Lockouts => drop(press(&mut model, "0")),
        Scope::Sessions => drop(press_all(&mut model, "0 tab")),
        Scope::Secrets => drop(press_all(&mut model, "0 tab tab")),
        Scope::Snapshots => drop(press_all(&mut model, "0 tab tab tab")),
        Scope::Blocks => drop(press_all(&mut model, "0 backtab backtab backtab")),
        Scope::Incidents => drop(press_all(&mut model, "0 backtab backtab")),
        Scope::Check => drop(press_all(&mut model, "0 backtab")),
        Scope::Form | Scope::NodeForm => drop(press_all(&mut model, "2 a")),
        Scope::Confirm => drop(press_all(&mut model, "2 x")),
        Scope::Typed => drop(press_all(&mut model, "2 g j ctrl-d")),
        Scope::Reveal => model.dialogs.push(Dialog::Reveal(Box::new(crate::state::dialog::Reveal {
            title: "t".into(),
            lines: vec![],
            secret: WireSecret::new("s".into()),
            command: None,
            copied: false,
        }))),
        Scope::Text => drop(press(&mut model, "?")),
        Scope::Command => drop(press(&mut model, ":")),
        Scope::Filter => drop(press_all(&mut model, "2 /")),
    }
    model
}

#[test]
fn every_binding_is_reachable_and_described() {
    for binding in BINDINGS {
        let model = holding(binding.scope);
        assert!(keymap::scopes(&model).contains(&binding.scope), "{binding:?}");
        assert!(!binding.help.is_empty() && !binding.keys.is_empty(), "{binding:?}");
        for key in binding.keys {
            let found = keymap::find(&model, &event(key));
            let found = found.unwrap_or_else(|| panic!("{key} is not found for {binding:?}"));
            assert!(
                std::ptr::eq(found, binding),
                "{key} does {:?} instead of {:?}",
                found.does,
                binding.does
            );
            // Carried out; the result does not matter here.
            let mut model = holding(binding.scope);
            press(&mut model, key);
            shot(&model);
        }
    }
    for screen in Screen::ALL {
        let leads = BINDINGS.iter().any(|b| b.does == Do::Go(screen) && b.keys == [screen.key()]);
        assert!(leads, "no key leads to {screen:?}");
    }
}

#[test]
fn quitting_always_works() {
    for binding in BINDINGS {
        let mut model = holding(binding.scope);
        if binding.scope == Scope::Lock {
            // Here it ends the session, too; the second time it does not wait for that.
            assert_eq!(press(&mut model, "ctrl-c").len(), 2);
        }
        assert_eq!(press(&mut model, "ctrl-c"), [Effect::Quit], "{:?}", binding.scope);
    }
}
