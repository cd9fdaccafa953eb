//! Attacks: seen, shut off, reported.

use std::path::PathBuf;

use aivonx_protocol::{block, incident, user};

use super::*;

/// On the tab of this name.
fn at(tab: &str) -> Model {
    let mut model = full(80, 24);
    press(&mut model, ":");
    type_text(&mut model, tab);
    let effects = press(&mut model, "enter");
    answer_all(&mut model, effects);
    model
}

fn asked(effects: Vec<Effect>) -> Vec<Request> {
    let request = |effect| match effect {
        Effect::Call { request, .. } => Some(request),
        _ => None,
    };
    effects.into_iter().filter_map(request).collect()
}

#[test]
fn a_finding_is_shut_off_as_it_offers() {
    let mut model = at("incidents");
    // Sorted by kind: the login from a new address comes last.
    press_all(&mut model, "G c");
    let form = shot(&model);
    assert!(form.contains("alice") && form.contains("198.51.100.4"), "{form}");
    assert!(asked(press(&mut model, "ctrl-s")).is_empty());
    let question = shot(&model);
    assert!(question.contains("Shut off alice, 198.51.100.4?"), "{question}");
    assert!(question.contains("User alice: disabled, sessions ended"), "{question}");
    assert!(question.contains("Address 198.51.100.4: blocked until unblocked"), "{question}");
    let wanted = incident::Contain {
        keys: Vec::new(),
        users: vec!["alice".into()],
        organizations: Vec::new(),
        addresses: vec!["198.51.100.4".into()],
        revoke: false,
        lasts_ms: None,
        reason: String::new(),
    };
    let effects = press(&mut model, "y");
    assert_eq!(call(&effects).1, &Request::from(wanted));
    answer_all(&mut model, effects);
    let done = shot(&model);
    assert!(
        done.contains("Contained the user alice") && done.contains("To undo: aivonx user enable"),
        "{done}"
    );
}

#[test]
fn what_cannot_be_undone_is_typed() {
    let mut model = at("incidents");
    press_all(&mut model, "g c");
    type_text(&mut model, "ci");
    press_all(&mut model, "down down down down space ctrl-s");
    assert!(shot(&model).contains("Key ci: revoked for good"), "{}", shot(&model));
    assert!(asked(press(&mut model, "enter")).is_empty());
    type_text(&mut model, "revoke");
    let asked = asked(press(&mut model, "enter"));
    assert!(matches!(&*asked, [Request::Incident(incident::IncidentRequest::Contain(one))] if one.revoke));
}

#[test]
fn nobody_is_shut_off_unnamed() {
    let mut model = at("incidents");
    model.security.findings.set(Vec::new(), samples::NOW);
    press_all(&mut model, "c ctrl-s");
    assert!(shot(&model).contains("name a key, a user, an organization or an address"), "{}", shot(&model));
}

#[test]
fn second_factors_are_taken_away_but_ones_own() {
    let mut model = at("incidents");
    let with = model.access.users.all().iter().filter(|one| one.totp && one.name != "root");
    let wanted: Vec<_> = with.map(|one| Request::from(user::ResetTotp { user: one.id.clone() })).collect();
    assert!(!wanted.is_empty());
    press_all(&mut model, "t right ctrl-s");
    assert!(shot(&model).contains("To go on, type: everyone"), "{}", shot(&model));
    type_text(&mut model, "everyone");
    assert_eq!(asked(press(&mut model, "enter")), wanted);

    press(&mut model, "t");
    type_text(&mut model, "x");
    press(&mut model, "tab");
    type_text(&mut model, "nowhere");
    press(&mut model, "ctrl-s");
    assert!(shot(&model).contains("there is no organization nowhere"), "{}", shot(&model));
}

#[test]
fn a_report_is_shown_or_written() {
    let mut model = at("incidents");
    let effects = press_all(&mut model, "x ctrl-s");
    assert!(
        matches!(&*effects, [Effect::Report { since, file: None, .. }] if *since == model.now - 86_400_000),
        "{effects:?}"
    );
    let Effect::Report { ticket, .. } = effects[0] else { panic!() };
    update(&mut model, Msg::Reported { ticket, result: Err("the store does not answer".into()) });
    assert!(shot(&model).contains("the store does not answer"), "{}", shot(&model));
    press(&mut model, "tab");
    type_text(&mut model, "out.md");
    let effects = press(&mut model, "ctrl-s");
    let [Effect::Report { ticket, file: Some(file), .. }] = &*effects else { panic!("{effects:?}") };
    assert_eq!(*file, PathBuf::from("out.md"));
    let result = Ok(crate::msg::Reported::Written("/tmp/out.md".into()));
    update(&mut model, Msg::Reported { ticket: *ticket, result });
    assert_eq!(notice(&model), "the report is in /tmp/out.md");
    assert!(model.dialogs.is_empty());
}

#[test]
fn a_block_is_removed_by_what_it_is_of() {
    let mut model = at("blocks");
    press_all(&mut model, "space space ctrl-d");
    let wanted = |target: &str| Request::from(block::Remove { target: target.into() });
    assert_eq!(asked(press(&mut model, "y")), [wanted("192.0.2.0/24"), wanted("user:0190-user")]);
}

#[test]
fn after_everything_was_replaced_it_is_said_what_must_follow() {
    let mut model = at("incidents");
    press(&mut model, "R");
    press_all(&mut model, "tab tab tab");
    type_text(&mut model, "rotate");
    let effects = press(&mut model, "ctrl-s");
    let (ticket, request) = call(&effects);
    let all =
        aivonx_protocol::secrets::Rotate { peppers: true, signing: true, deadline_ms: Some(30 * 86_400_000) };
    assert_eq!(request, &Request::from(all));
    let job = aivonx_protocol::job::Job {
        kind: aivonx_protocol::job::JobKind::Rotate,
        ..samples::jobs().remove(0)
    };
    reply(&mut model, ticket, Reply::Job(Box::new(job)));
    assert!(shot(&model).contains("aivonxd rekey --old OLD --new NEW"), "{}", shot(&model));
}
