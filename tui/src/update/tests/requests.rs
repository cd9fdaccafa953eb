//! What runs now: looked at, followed, ended.

use aivonx_protocol::running;

use super::*;

fn asked(effects: &[Effect]) -> Vec<&'static str> {
    let name = |effect: &Effect| match effect {
        Effect::Call { request, .. } | Effect::Follow { request, .. } => Some(request.name()),
        _ => None,
    };
    effects.iter().filter_map(name).collect()
}

#[test]
fn it_is_looked_at_every_second_while_it_is_shown() {
    let mut model = full(80, 24);
    let effects = press(&mut model, "9");
    assert!(asked(&effects).contains(&"running.list"));
    // One that has not been answered is not asked again.
    let start = model.now;
    assert!(!asked(&update(&mut model, Msg::Tick(start + 1000))).contains(&"running.list"));
    answer_all(&mut model, effects);
    assert!(asked(&update(&mut model, Msg::Tick(start + 2000))).contains(&"running.list"));
    model.calls.clear();
    // Nobody there asks nothing, and sees how old it is.
    assert!(!asked(&update(&mut model, Msg::Tick(start + 700_000))).contains(&"running.list"));
    model.account.lock = None;
    assert!(shot(&model).contains("as of 11m"), "{}", shot(&model));
    press(&mut model, "1");
    model.calls.clear();
    assert!(!asked(&update(&mut model, Msg::Tick(start + 701_000))).contains(&"running.list"));
}

#[test]
fn one_is_ended_or_the_marked_ones() {
    let mut model = full(80, 24);
    let effects = press(&mut model, "9");
    answer_all(&mut model, effects);
    press(&mut model, "ctrl-d");
    let shown = shot(&model);
    assert!(shown.contains("Cancel the request of 10.0.0.9 for llama3:8b?"), "{shown}");
    assert!(shown.contains("stops after 321 tokens") && shown.contains("key ci of acme"), "{shown}");
    let first = samples::running().remove(0).id;
    let effects = press(&mut model, "y");
    let (ticket, request) = call(&effects);
    assert_eq!(*request, Request::from(running::Cancel { id: first.clone() }));
    let effects = reply(&mut model, ticket, Reply::Done(()));
    assert_eq!(notice(&model), format!("request {first} ends"));
    assert_eq!(asked(&effects), ["running.list"]);
    let effects = press_all(&mut model, "space space ctrl-d y");
    assert_eq!(asked(&effects), ["running.cancel", "running.cancel"]);
    // One that has just ended by itself is no surprise.
    let tickets: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Call { ticket, .. } => Some(*ticket),
            _ => None,
        })
        .collect();
    refuse(&mut model, tickets[0], Fault::new(FaultKind::NotFound, "no request 'x' is running"));
    assert!(notice(&model).contains("no request 'x' is running"));
    for (role, may) in [(Role::Auditor, false), (Role::OrgAdmin, false), (Role::Operator, true)] {
        let mut model = full_as(80, 24, role);
        press_all(&mut model, "9 ctrl-d");
        assert_eq!(model.dialogs.len(), usize::from(may), "{role}: {}", notice(&model));
    }
}

#[test]
fn from_a_request_to_its_log_and_what_it_belongs_to() {
    let mut model = full(120, 40);
    let effects = press_all(&mut model, "9 i");
    assert!(asked(&effects).contains(&"log.follow"));
    let id = samples::running().remove(0).id;
    let ticket = model.logs.feed.unwrap();
    let events = [("r", "another"), ("request_id", &*id)].map(|(key, value)| {
        let mut event = samples::events().remove(0);
        event.fields.push((key.into(), value.into()));
        Event::Log(event)
    });
    update(&mut model, Msg::Events { ticket, events: events.to_vec() });
    assert_eq!((model.screen, model.logs.counts()), (Screen::Logs, (1, 2)));
    press_all(&mut model, "esc esc");
    assert_eq!(model.screen, Screen::Requests);
    press(&mut model, "o");
    assert_eq!((model.screen, model.nodes.list.chosen_name().as_deref()), (Screen::Nodes, Some("gpu1")));
    press_all(&mut model, "esc esc K");
    assert_eq!((model.screen, model.access.tab), (Screen::Access, crate::state::access::Tab::Keys));
    press_all(&mut model, "esc esc j K");
    assert_eq!(model.screen, Screen::Requests);
    assert!(notice(&model).contains("no key"), "{}", notice(&model));
}

#[test]
fn it_is_sorted_and_filtered_by_what_is_shown() {
    let mut model = full(120, 40);
    press_all(&mut model, "9 /");
    type_text(&mut model, "tokens:>100 org:acme age:>60 phase:answering");
    press(&mut model, "enter");
    assert_eq!(model.requests.list.counts(), (1, 3));
    press(&mut model, "esc");
    press_all(&mut model, "s s s s");
    assert_eq!(model.requests.list.shown(0).map(|one| one.tokens), Some(321), "the most first");
    assert!(shot(&model).contains("TOKENS▲"), "{}", shot(&model));
}

#[test]
fn it_is_sorted_by_columns_that_are_seen() {
    let mut model = full(80, 24);
    press(&mut model, "9");
    for _ in 0..12 {
        press(&mut model, "s");
        assert!(shot(&model).contains('▲'), "{}", shot(&model));
    }
    // What a resize hides still sorts, and is named.
    model.size = (160, 40);
    while model.requests.list.order().0 != 10 {
        press(&mut model, "s");
    }
    assert!(shot(&model).contains("ROUTE▲"), "{}", shot(&model));
    model.size = (80, 24);
    assert!(shot(&model).contains("3, by route ─"), "{}", shot(&model));
    press(&mut model, "s");
    assert!(shot(&model).contains("AGE▲"), "{}", shot(&model));
}

#[test]
fn its_client_is_blocked() {
    let mut model = full(80, 24);
    let effects = press(&mut model, "9");
    answer_all(&mut model, effects);
    let effects = press_all(&mut model, "b ctrl-s");
    let target = samples::running().remove(0).client;
    let wanted = aivonx_protocol::block::Add { target, lasts_ms: None, reason: String::new() };
    assert_eq!(call(&effects).1, &Request::from(wanted));
}
