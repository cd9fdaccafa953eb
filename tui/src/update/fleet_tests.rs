//! What follows from keys and answers on nodes, models and jobs.

use aivonx_protocol::{
    Event, Fault, FaultKind, Reply, Request, WireSecret,
    job::{self, JobRequest, JobState},
    model::{self, ModelRequest},
    node::{self, Credential, NodeRequest, Probed},
    strategy::{self, Strategy, StrategyRequest},
    user::Role,
};

use super::update;
use crate::{
    msg::{Effect, Msg, Ticket},
    samples,
    state::{
        Dialog, Model, Screen,
        form::{Form, Probing},
        testing::{answer_all, call, full, full_as, press, press_all, refuse, reply, type_text},
    },
};

fn form(model: &Model) -> &Form {
    match model.dialogs.last() {
        Some(Dialog::Form(form)) => form,
        other => panic!("{other:?}"),
    }
}

fn probed(healthy: bool) -> Reply {
    Reply::Probed(Box::new(Probed {
        healthy,
        finding: "Ollama 0.14.0".into(),
        kind: None,
        version: None,
        models: Vec::new(),
        loaded: Vec::new(),
        latency_ms: None,
    }))
}

#[test]
fn a_new_address_is_asked_what_it_is_and_keys_go_on_meanwhile() {
    let mut model = full(80, 24);
    press_all(&mut model, "2 a");
    type_text(&mut model, "gpu9");
    assert!(press(&mut model, "tab").is_empty(), "a name is nothing to ask");
    assert!(press(&mut model, "ctrl-t").is_empty(), "without an address there is nobody to ask");
    type_text(&mut model, "http://10.0.0.9:11434");
    let effects = press(&mut model, "tab");
    let (ticket, Request::Node(NodeRequest::ProbeNew(node::ProbeNew(new)))) = call(&effects) else {
        panic!("{effects:?}")
    };
    assert_eq!((&*new.url, form(&model).at), ("http://10.0.0.9:11434", 2));
    // Asked again before it answered: the first question is given up.
    let effects = press(&mut model, "ctrl-t");
    assert_eq!(effects[0], Effect::Drop(ticket));
    let (again, _) = call(&effects);
    reply(&mut model, ticket, probed(true));
    assert!(matches!(form(&model).probe, Probing::Asked(_)));
    reply(&mut model, again, probed(true));
    assert!(matches!(&form(&model).probe, Probing::Found(found) if found.healthy));
    assert!(press_all(&mut model, "backtab tab").is_empty(), "the same address is not asked twice");
    // What is wrong with the question stands there too, and closes nothing.
    let effects = press(&mut model, "ctrl-t");
    let fault = Fault::new(FaultKind::Invalid, "url is a metadata address").field("url");
    refuse(&mut model, call(&effects).0, fault);
    assert!(matches!(&form(&model).probe, Probing::Refused(why) if why.contains("metadata")));
    // An answer for a form that is gone is nobody's.
    let effects = press(&mut model, "ctrl-t");
    press(&mut model, "esc");
    reply(&mut model, call(&effects).0, probed(true));
    assert!(model.dialogs.is_empty());
}

fn reading(effects: &[Effect]) -> (Ticket, &str) {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::ReadFile { ticket, what: _, path } => Some((*ticket, &**path)),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{effects:?}"))
}

#[test]
fn certificates_are_read_before_the_form_is_sent() {
    let mut model = full(80, 24);
    press_all(&mut model, "2 g j e");
    let at = form(&model).fields.iter().position(|field| field.key == "ca").unwrap();
    while form(&model).at != at {
        press(&mut model, "tab");
    }
    type_text(&mut model, "/etc/ca.pem");
    let effects = press(&mut model, "ctrl-s");
    let (ticket, path) = reading(&effects);
    assert_eq!((path, effects.len()), ("/etc/ca.pem", 1));
    update(&mut model, Msg::File { ticket, result: Err("it is no file".into()) });
    assert_eq!(form(&model).fields[at].error.as_deref(), Some("it is no file"));
    let effects = press(&mut model, "ctrl-s");
    let (ticket, _) = reading(&effects);
    // Of an older question.
    assert!(update(&mut model, Msg::File { ticket: ticket + 99, result: Ok(text("x")) }).is_empty());
    let effects = update(&mut model, Msg::File { ticket, result: Ok(text("PEM")) });
    let Request::Node(NodeRequest::Set(node::Set { change, .. })) = call(&effects).1 else {
        panic!("{effects:?}")
    };
    assert_eq!(change.ca_pem, Some(Some("PEM".into())));
    // What was refused may have been put right in the file, and so may what a probe did not like.
    let sent = call(&effects).0;
    refuse(&mut model, sent, Fault::new(FaultKind::Invalid, "ca is not a usable certificate").field("ca"));
    let effects = press(&mut model, "ctrl-t");
    let (ticket, _) = reading(&effects);
    let effects = update(&mut model, Msg::File { ticket, result: Ok(text("OTHER")) });
    let asked = call(&effects).0;
    reply(&mut model, asked, probed(false));
    let effects = press(&mut model, "ctrl-s");
    let (ticket, _) = reading(&effects);
    let effects = update(&mut model, Msg::File { ticket, result: Ok(text("RIGHT")) });
    let Request::Node(NodeRequest::Set(node::Set { change, .. })) = call(&effects).1 else {
        panic!("{effects:?}")
    };
    assert_eq!(change.ca_pem, Some(Some("RIGHT".into())));
    // And one's own are given up with a word.
    press_all(&mut model, "esc esc");
    press_all(&mut model, "e");
    while form(&model).at != at {
        press(&mut model, "tab");
    }
    type_text(&mut model, "none");
    let effects = press(&mut model, "ctrl-s");
    let Request::Node(NodeRequest::Set(node::Set { change, .. })) = call(&effects).1 else {
        panic!("{effects:?}")
    };
    assert_eq!(change.ca_pem, Some(None));
}

fn text(text: &str) -> WireSecret {
    WireSecret::new(text.into())
}

#[test]
fn a_client_certificate_is_read_with_its_key() {
    let mut model = full(80, 24);
    press_all(&mut model, "2 g j e");
    while form(&model).fields[form(&model).at].key != "credential" {
        press(&mut model, "tab");
    }
    while form(&model).value("credential") != "certificate" {
        press(&mut model, "right");
    }
    press(&mut model, "tab");
    type_text(&mut model, "/etc/own.pem");
    press(&mut model, "tab");
    type_text(&mut model, "/etc/own.key");
    let effects = press(&mut model, "ctrl-s");
    let (ticket, path) = reading(&effects);
    assert_eq!(path, "/etc/own.pem");
    let effects = update(&mut model, Msg::File { ticket, result: Ok(text("CHAIN")) });
    let (ticket, path) = reading(&effects);
    assert_eq!(path, "/etc/own.key");
    let effects = update(&mut model, Msg::File { ticket, result: Ok(text("KEY")) });
    assert!(!format!("{effects:?}").contains("KEY"));
    let Request::Node(NodeRequest::Set(node::Set { change, .. })) = call(&effects).1 else {
        panic!("{effects:?}")
    };
    let given = Credential::Certificate { chain_pem: "CHAIN".into(), key_pem: text("KEY"), header: None };
    assert_eq!(change.credential, Some(given));
}

#[test]
fn the_strategy_is_shown_and_set_by_those_who_may() {
    let mut model = full(80, 24);
    let effects = press_all(&mut model, "2 t");
    answer_all(&mut model, effects);
    assert_eq!(form(&model).value("strategy"), "least_active");
    press(&mut model, "right");
    let effects = press(&mut model, "ctrl-s");
    let (ticket, Request::Strategy(StrategyRequest::Set(strategy::Set(Strategy::LowestLatency)))) =
        call(&effects)
    else {
        panic!("{effects:?}")
    };
    reply(&mut model, ticket, Reply::Strategy(Strategy::LowestLatency));
    assert!(model.dialogs.is_empty());
    assert!(model.notice.as_ref().unwrap().text.contains("lowest average latency"));

    let mut model = full_as(80, 24, Role::Auditor);
    let effects = press_all(&mut model, "2 t");
    answer_all(&mut model, effects);
    assert!(model.dialogs.is_empty());
    let said = &model.notice.as_ref().unwrap().text;
    assert!(said.contains("fewest requests") && said.contains("your role"), "{said}");
}

#[test]
fn marked_models_are_loaded_and_unloaded_where_the_column_says() {
    let mut model = full(80, 24);
    model.screen = Screen::Models;
    let names = crate::view::node_columns(&model).into_iter().map(str::to_owned).collect::<Vec<_>>();
    let gpu1 = names.iter().position(|name| name == "gpu1").unwrap();
    for _ in 0..=gpu1 {
        press(&mut model, "right");
    }
    press_all(&mut model, "g space space space L");
    type_text(&mut model, "1x");
    assert!(press(&mut model, "ctrl-s").is_empty(), "that is no time");
    press(&mut model, "ctrl-u");
    type_text(&mut model, "-1");
    let effects = press(&mut model, "ctrl-s");
    let loads: Vec<_> = effects
        .iter()
        .map(|effect| match effect {
            Effect::Call {
                request: Request::Model(ModelRequest::Load(model::Load { node, keep_alive, .. })),
                ..
            } => (node.as_deref(), keep_alive.as_deref()),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(loads, [(Some("gpu1"), Some("-1")); 3]);
    assert!(model.dialogs.is_empty());
    // Only what is in memory can be taken out of it.
    press_all(&mut model, "esc esc esc g space space space U");
    let effects = press(&mut model, "y");
    let Request::Model(ModelRequest::Unload(model::Unload { model: name, node })) = call(&effects).1 else {
        panic!()
    };
    assert_eq!((&**name, node.as_deref()), ("qwen3:8b", Some("gpu1")));
    press_all(&mut model, "esc esc");
    press_all(&mut model, "g j U");
    assert!(model.dialogs.is_empty() && model.notice.as_ref().is_some_and(|notice| notice.bad));
}

#[test]
fn the_job_that_is_looked_at_is_followed_to_its_end() {
    let mut model = full(80, 24);
    let effects = press_all(&mut model, "4 G enter");
    let feed = |effects: &[Effect]| {
        effects.iter().find_map(|effect| match effect {
            Effect::Follow { ticket, request: Request::Job(JobRequest::Follow(job::Follow { job })) } => {
                Some((*ticket, job.clone()))
            }
            _ => None,
        })
    };
    let (ticket, job) = feed(&effects).unwrap();
    assert_eq!(job, "j12");
    let mut step = samples::jobs().remove(0);
    step.targets[0].status = "verifying".into();
    update(&mut model, Msg::Events { ticket, events: vec![Event::Job(Box::new(step.clone()))] });
    assert!(model.jobs.steps("j12").any(|(_, text)| text == "gpu1: verifying"));
    assert!(model.jobs.steps("j11").next().is_some(), "what was said of others stays");
    (step.state, step.ended) = (JobState::Done, Some(model.now));
    update(&mut model, Msg::Events { ticket, events: vec![Event::Job(Box::new(step))] });
    update(&mut model, Msg::Ended { ticket, result: Ok(()) });
    assert_eq!(model.jobs.feed, None);
    assert!(feed(&press(&mut model, "j")).is_none(), "it is over");
    // Another screen follows nothing.
    let mut model = full(80, 24);
    let (ticket, _) = feed(&press_all(&mut model, "4 G enter")).unwrap();
    assert!(press(&mut model, "2").contains(&Effect::Drop(ticket)));
}

#[test]
fn latency_is_noted_once_a_check() {
    let mut model = full(80, 24);
    let mut node = samples::nodes().remove(0);
    let before = model.nodes.trend(&node.id).len();
    node.active_requests += 1;
    let ticket = model.node_feed.unwrap();
    update(&mut model, Msg::Events { ticket, events: vec![Event::Node(Box::new(node.clone()))] });
    assert_eq!(model.nodes.trend(&node.id).len(), before);
    node.last_check = node.last_check.map(|at| at + 5000);
    update(&mut model, Msg::Events { ticket, events: vec![Event::Node(Box::new(node.clone()))] });
    assert_eq!(model.nodes.trend(&node.id).len(), before + 1);
}

/// What a job does not know of itself it cannot be sorted by.
#[test]
fn jobs_are_sorted_by_how_far_they_are_not_by_their_speed() {
    let mut model = full(160, 40);
    press(&mut model, "4");
    let mut seen = Vec::new();
    for _ in 0..10 {
        press(&mut model, "s");
        seen.push(model.jobs.list.order().0);
    }
    assert_eq!(seen, [7, 0, 1, 2, 3, 4, 5, 7, 0, 1]);
}
