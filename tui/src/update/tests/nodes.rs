//! Nodes: followed, added, changed, drained, removed.

use aivonx_protocol::node::{self, AdminState, NodeChange, NodeRequest, Probe};

use super::*;

#[test]
fn nodes_follow_their_events() {
    let (mut model, effects) = connected(80, 24, Some(Role::Operator));
    let feed = effects.iter().find_map(|effect| match effect {
        Effect::Follow { ticket, .. } => Some(*ticket),
        _ => None,
    });
    let ticket = feed.unwrap();
    let mut node = samples::nodes().remove(0);
    let events = vec![Event::Node(Box::new(node.clone())), Event::Node(Box::new(samples::nodes().remove(1)))];
    update(&mut model, Msg::Events { ticket, events });
    node.active_requests = 8;
    node.last_check = node.last_check.map(|at| at + 5000);
    update(&mut model, Msg::Events { ticket, events: vec![Event::Node(Box::new(node.clone()))] });
    assert_eq!(model.nodes.list.counts().0, 2);
    assert_eq!(model.nodes.list.all()[0].active_requests, 8);
    assert_eq!(model.nodes.trend(&node.id).count(), 2);
    update(&mut model, Msg::Events { ticket, events: vec![Event::NodeRemoved(node.id.clone())] });
    // A feed that was given up says nothing any more.
    update(&mut model, Msg::Events { ticket: ticket + 100, events: vec![Event::Node(Box::new(node))] });
    assert_eq!(model.nodes.list.counts().0, 1);
}

#[test]
fn the_form_for_waking_waits_no_longer_than_its_screen() {
    let wakes = || Request::from(node::Wakes { node: None }).sample_reply().unwrap();
    let key = keymap::BINDINGS.iter().find(|one| one.does == Do::Wake).unwrap().keys[0];
    // Refused: what comes later opens nothing.
    let mut model = full(80, 24);
    let effects = press_all(&mut model, &format!("2 g {key}"));
    let ticket = asked(&effects, "node.wakes");
    refuse(&mut model, ticket, Fault::new(FaultKind::Unavailable, "the store does not answer"));
    assert_eq!(model.nodes.waking, None);
    // Another screen, something that was opened meanwhile, or a line that is being typed.
    for meanwhile in ["1", "?", ":", "/"] {
        let mut model = full(80, 24);
        let effects = press_all(&mut model, &format!("2 g {key}"));
        press(&mut model, meanwhile);
        let open = model.dialogs.len();
        reply(&mut model, asked(&effects, "node.wakes"), wakes());
        assert_eq!(model.dialogs.len(), open, "{meanwhile}");
    }
}

fn asked(effects: &[Effect], name: &str) -> crate::msg::Ticket {
    let found = effects.iter().find_map(|effect| match effect {
        Effect::Call { ticket, request } if request.name() == name => Some(*ticket),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("{effects:?}"))
}

#[test]
fn a_node_is_added_with_what_was_filled_in() {
    let mut model = full(80, 24);
    press_all(&mut model, "2 a");
    type_text(&mut model, "gpu9");
    press(&mut model, "enter");
    type_text(&mut model, "10.0.0.9");
    // The field says what is wrong with it before anything is sent.
    assert_eq!(press(&mut model, "ctrl-s"), []);
    assert!(shot(&model).contains("http://HOST"), "{}", shot(&model));
    press(&mut model, "ctrl-u");
    type_text(&mut model, "http://10.0.0.9:11434");
    press_all(&mut model, "enter enter b enter");
    type_text(&mut model, "s3cret");
    let effects = press(&mut model, "ctrl-s");
    let (ticket, request) = call(&effects);
    let Request::Node(NodeRequest::Add(node::Add(new))) = request else { panic!("{request:?}") };
    assert_eq!((&*new.name, &*new.url, new.kind, new.force), ("gpu9", "http://10.0.0.9:11434", None, false));
    let bearer = WireSecret::new("s3cret".into());
    assert_eq!(new.credential, aivonx_protocol::node::Credential::Bearer(bearer));
    assert!(shot(&model).contains("Asking http://10.0.0.9:11434"), "{}", shot(&model));
    // A refusal goes to its field, and what was filled in stays.
    let fault = Fault::new(FaultKind::Conflict, "there is a node gpu9").field("name");
    refuse(&mut model, ticket, fault);
    assert!(shot(&model).contains("there is a node gpu9"));
    type_text(&mut model, "b");
    let effects = press(&mut model, "ctrl-s");
    let (ticket, request) = call(&effects);
    assert!(matches!(request, Request::Node(NodeRequest::Add(node::Add(new))) if new.name == "gpu9b"));
    let node = samples::nodes().remove(0);
    let probe = Probe { node, finding: "Ollama 0.13.2 with 2 models".into(), healthy: true };
    reply(&mut model, ticket, Reply::Probe(Box::new(probe)));
    assert!(model.dialogs.is_empty());
    assert_eq!(notice(&model), "added gpu9b: Ollama 0.13.2 with 2 models");
    assert_eq!(model.nodes.list.chosen_name().as_deref(), Some("gpu1"));
}

#[test]
fn only_what_was_changed_is_sent() {
    let mut model = full(80, 24);
    press_all(&mut model, "2 j e");
    assert_eq!(press(&mut model, "ctrl-s"), []);
    assert!(shot(&model).contains("nothing was changed"));
    press(&mut model, "end");
    type_text(&mut model, "x");
    let effects = press(&mut model, "ctrl-s");
    let change = NodeChange { name: Some("gpu1x".into()), ..NodeChange::default() };
    let (_, request) = call(&effects);
    let id = samples::nodes()[0].id.clone();
    let expected = NodeRequest::Set(node::Set { node: id, revision: Some(3), change: Box::new(change) });
    assert_eq!(*request, Request::Node(expected));
    // The first esc gives the call up, the second the form.
    assert!(matches!(*press(&mut model, "esc"), [Effect::Drop(_)]));
    assert_eq!((press(&mut model, "esc"), model.dialogs.len()), (vec![], 0));
}

#[test]
fn draining_several_asks_nothing() {
    let mut model = full(80, 24);
    let mut other = samples::nodes().remove(1);
    other.admin_state = AdminState::Enabled;
    model.nodes.list.put(other, samples::NOW);
    press_all(&mut model, "2 g j space space");
    let effects = press(&mut model, "d");
    let states = effects.iter().filter(|effect| {
        matches!(effect, Effect::Call { request: Request::Node(NodeRequest::SetState(node::SetState { state, .. })), .. }
            if *state == AdminState::Draining)
    });
    assert_eq!((states.count(), effects.len(), model.nodes.list.marks()), (2, 2, 0));
}

#[test]
fn leaving_no_active_node_asks() {
    let mut model = full(80, 24);
    press_all(&mut model, "2 g j");
    assert_eq!(press(&mut model, "d"), []);
    assert!(shot(&model).contains("no active node is left"), "{}", shot(&model));
    let effects = press(&mut model, "y");
    assert!(matches!(call(&effects).1, Request::Node(NodeRequest::SetState(_))), "{effects:?}");
    // Another is left, which lacks a model.
    let mut other = samples::nodes().remove(1);
    (other.admin_state, other.models) = (AdminState::Enabled, vec!["qwen3:8b".into()]);
    model.nodes.list.put(other, samples::NOW);
    assert_eq!(press(&mut model, "d"), []);
    assert!(shot(&model).contains("no active node has llama3.3:70b"), "{}", shot(&model));
}

#[test]
fn what_is_typed_takes_the_place_of_what_stands_there() {
    let name = |model: &Model| match &model.dialogs[..] {
        [Dialog::Form(form)] => form.value("name"),
        other => panic!("{other:?}"),
    };
    let mut model = full(80, 24);
    press_all(&mut model, "2 g j e");
    assert_eq!(name(&model), "gpu1");
    type_text(&mut model, "a1");
    assert_eq!(name(&model), "a1");
    // Who goes there with an arrow goes on with it.
    press_all(&mut model, "esc e end");
    type_text(&mut model, "x");
    assert_eq!(name(&model), "gpu1x");
    // It looks like what is chosen elsewhere, and is erased like that.
    for key in ["backspace", "del"] {
        press_all(&mut model, &format!("esc e {key}"));
        assert_eq!(name(&model), "", "{key}");
    }
}

#[test]
fn what_ends_requests_wants_the_name_typed() {
    let mut model = full(80, 24);
    press_all(&mut model, "2 g j");
    assert_eq!(model.nodes.list.chosen_name().as_deref(), Some("gpu1"));
    press(&mut model, "ctrl-d");
    assert!(shot(&model).contains("3 requests are at work there now"), "{}", shot(&model));
    assert_eq!(press_all(&mut model, "y enter"), []);
    press(&mut model, "backspace");
    type_text(&mut model, "gpu1");
    let effects = press(&mut model, "enter");
    assert!(matches!(call(&effects).1, Request::Node(NodeRequest::Remove(_))));
    // One that does nothing is removed with a key.
    press_all(&mut model, "j ctrl-d");
    assert_eq!(model.nodes.list.chosen_name().as_deref(), Some("gpu2"));
    let effects = press(&mut model, "y");
    assert!(matches!(call(&effects).1, Request::Node(NodeRequest::Remove(_))));
}
