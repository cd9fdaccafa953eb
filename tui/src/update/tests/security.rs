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
fn what_was_typed_outlives_the_question_and_a_refusal() {
    let mut model = at("incidents");
    model.security.findings.set(Vec::new(), samples::NOW);
    press(&mut model, "c");
    type_text(&mut model, "ci");
    press_all(&mut model, "ctrl-s n");
    let typed = |model: &Model| match model.dialogs.last() {
        Some(Dialog::Form(form)) => form.value("keys"),
        other => panic!("{other:?}"),
    };
    assert_eq!(typed(&model), "ci");
    press(&mut model, "ctrl-s");
    let (ticket, _) = call(&press(&mut model, "y"));
    refuse(&mut model, ticket, Fault::new(FaultKind::NotFound, "there is no key ci").field("keys"));
    assert_eq!(typed(&model), "ci");
    assert!(shot(&model).contains("there is no key ci"), "{}", shot(&model));
    press(&mut model, "ctrl-s");
    let (ticket, _) = call(&press(&mut model, "y"));
    reply(&mut model, ticket, Reply::Contained(Vec::new()));
    assert!(!model.dialogs.iter().any(|dialog| matches!(dialog, Dialog::Form(_))));
}

#[test]
fn a_secret_is_shut_off_and_not_shown() {
    let mut model = at("incidents");
    model.security.findings.set(Vec::new(), samples::NOW);
    press(&mut model, "c");
    type_text(&mut model, "aivx_1a2B3c4d5E6f7g8H9");
    press(&mut model, "ctrl-s");
    let Some(Dialog::Confirm(confirm)) = model.dialogs.last() else { panic!() };
    let said = format!("{} {}", confirm.title, confirm.lines.join(" "));
    assert!(said.contains("aivx_1a2B3c4…") && !said.contains("d5E6"), "{said}");
    let asked = asked(press(&mut model, "y"));
    assert!(matches!(&*asked, [Request::Incident(incident::IncidentRequest::Contain(one))]
        if one.keys == ["aivx_1a2B3c4d5E6f7g8H9"]));
    assert!(!format!("{:?}", model.calls.awaited()).contains("d5E6"));
}

#[test]
fn all_marked_findings_are_shut_off() {
    let mut model = at("incidents");
    let offers = |model: &Model| {
        let all = model.security.findings.all().iter();
        all.filter_map(|one| crate::cli::incident::offered(one.contain.as_deref()?)).collect::<Vec<_>>()
    };
    let offers = offers(&model);
    assert!(offers.len() > 1);
    let marks = model.security.findings.all().len();
    press(&mut model, "g");
    (0..marks).for_each(|_| drop(press(&mut model, "space")));
    press(&mut model, "c");
    let Some(Dialog::Form(form)) = model.dialogs.last() else { panic!() };
    for one in offers {
        for (key, names) in [("keys", one.keys), ("users", one.users), ("addresses", one.addresses)] {
            let words = form.words(key);
            for name in names {
                assert_eq!(words.iter().filter(|word| **word == name).count(), 1, "{key}: {name}");
            }
        }
    }
}

/// However much there is to say.
#[test]
fn what_a_question_asks_for_is_in_sight() {
    let mut model = at("incidents");
    model.security.findings.set(Vec::new(), samples::NOW);
    press(&mut model, "c");
    for name in ["a-rather-long-name-", "user-", "organization-", "192.0.2."] {
        let all: Vec<String> = (0..60).map(|n| format!("{name}{n}")).collect();
        type_text(&mut model, &all.join(" "));
        press(&mut model, "down");
    }
    press(&mut model, "ctrl-s");
    let shown = shot(&model);
    assert!(shown.contains("y  Shut off") && shown.contains("more line"), "{shown}");
    press_all(&mut model, "n space ctrl-s");
    type_text(&mut model, "rev");
    let shown = shot(&model);
    assert!(shown.contains("To go on, type: revoke") && shown.contains("> rev"), "{shown}");
    assert!(shown.contains("enter  Shut off"), "{shown}");
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
    let effects = press(&mut model, "t");
    // Users that are being asked for may be others than those known.
    press_all(&mut model, "right ctrl-s");
    assert!(shot(&model).contains("not known yet"), "{}", shot(&model));
    answer_all(&mut model, effects);
    press(&mut model, "ctrl-s");
    assert!(shot(&model).contains("To go on, type: everyone"), "{}", shot(&model));
    type_text(&mut model, "everyone");
    // One after the other; what fails is said at the end.
    let mut effects = press(&mut model, "enter");
    assert!(model.dialogs.is_empty());
    for (at, wanted) in wanted.iter().enumerate() {
        let (ticket, request) = call(&effects);
        assert_eq!(request, wanted);
        effects = match at {
            0 => refuse(&mut model, ticket, Fault::new(FaultKind::Unavailable, "busy")),
            _ => reply(&mut model, ticket, Reply::Done(())),
        };
    }
    assert!(shot(&model).contains("busy"), "{}", shot(&model));
    assert!(shot(&model).contains(&format!("{} done, 1 failed", wanted.len() - 1)), "{}", shot(&model));
    answer_all(&mut model, effects);
    press(&mut model, "esc");

    let effects = press(&mut model, "t");
    answer_all(&mut model, effects);
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

#[test]
fn verbs_of_the_shell_are_answered_with_the_key_that_does_them() {
    for (typed, answer) in [
        ("block remove 192.0.2.7", "remove: press ctrl-d here (unblock)"),
        ("block add 192.0.2.7", "add: press a here"),
        ("incident contain --key ci", "contain: press c here"),
        ("block nonsense", ""),
    ] {
        let model = at(typed);
        match answer {
            "" => assert!(model.notice.is_none(), "{typed}"),
            answer => assert!(notice(&model).starts_with(answer), "{typed}: {}", notice(&model)),
        }
    }
}

#[test]
fn what_looks_like_an_attack_is_looked_for_since_another_time() {
    let mut model = at("incidents");
    press(&mut model, "d");
    press(&mut model, "ctrl-u");
    type_text(&mut model, "soon");
    assert!(asked(press(&mut model, "ctrl-s")).is_empty());
    press(&mut model, "ctrl-u");
    type_text(&mut model, "2h");
    let wanted = Request::from(incident::Detect { since: Some(model.now - 7_200_000) });
    assert_eq!(asked(press(&mut model, "ctrl-s")), std::slice::from_ref(&wanted));
    assert!(model.dialogs.is_empty());
    model.calls = Default::default();
    assert!(asked(press(&mut model, "r")).contains(&wanted), "it stays");
}

/// Second factors are being taken away from everyone: the first failed, the second is under way.
fn taking_away() -> Model {
    let mut model = at("incidents");
    let mut users = model.access.users.all().to_vec();
    let one = users.iter().find(|one| one.totp && one.name != "root").unwrap().clone();
    users.retain(|one| !one.totp);
    users.extend(["ada", "bob", "cyd"].map(|name| user::User {
        id: name.into(),
        name: name.into(),
        ..one.clone()
    }));
    let effects = press(&mut model, "t");
    answer_all(&mut model, effects);
    model.access.users.set(users, samples::NOW);
    press_all(&mut model, "right ctrl-s");
    type_text(&mut model, "everyone");
    let effects = press(&mut model, "enter");
    let (ticket, _) = call(&effects);
    refuse(&mut model, ticket, Fault::new(FaultKind::Unavailable, "busy"));
    model
}

#[test]
fn of_several_that_are_given_up_it_is_said_what_became_of_each() {
    let outcome = "0 done, 1 failed, 1 unknown, 1 not begun";
    let mut model = taking_away();
    press(&mut model, "esc");
    let shown = shot(&model);
    assert!(shown.contains(&format!("Given up: {outcome}")) && shown.contains("busy"), "{shown}");

    let mut model = taking_away();
    update(&mut model, Msg::Down(Down { why: "gone".into(), retry_ms: 1000 }));
    let shown = shot(&model);
    assert!(shown.contains(&format!("The connection ended: {outcome}")), "{shown}");
}

#[test]
fn the_end_of_several_waits_below_what_was_opened_meanwhile() {
    let mut model = taking_away();
    press(&mut model, "?");
    for _ in 0..2 {
        let ticket = model.calls.awaited().unwrap().0;
        reply(&mut model, ticket, Reply::Done(()));
    }
    assert!(matches!(model.dialogs[..], [Dialog::Text(_), Dialog::Help(_)]), "{:?}", model.dialogs);
    press(&mut model, "esc");
    assert!(shot(&model).contains("2 done, 1 failed"), "{}", shot(&model));
}
