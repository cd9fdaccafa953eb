use aivonx_protocol::{
    Request,
    daemon::{self, DaemonRequest},
    pulse::{Alert, AlertKind, AlertPlace, Pulse},
    user::Role,
};

use crate::{
    msg::{Effect, Msg},
    samples::{self, NOW},
    state::{
        Dialog, Model, Screen, access,
        list::Rows as _,
        security,
        testing::{answer_all, connected, full, press, press_all},
        usage,
    },
    update::update,
};

/// Sees these alerts alone.
fn alerted(alerts: Vec<Alert>) -> Model {
    let mut model = full(80, 24);
    model.overview.heard(Pulse { alerts, budgets: Vec::new(), ..samples::pulse() }, NOW);
    model
}

fn alert(place: AlertPlace, object: &str) -> Alert {
    Alert {
        kind: AlertKind::Secrets,
        grave: true,
        text: "something".into(),
        since: None,
        place,
        object: Some(object.into()),
        command: Some("aivonx config show".into()),
    }
}

fn pulses(effects: &[Effect]) -> Vec<Option<u64>> {
    let since = |effect: &Effect| match effect {
        Effect::Call { request: Request::Daemon(DaemonRequest::Pulse(daemon::Pulse { since })), .. } => {
            Some(*since)
        }
        _ => None,
    };
    effects.iter().filter_map(since).collect()
}

#[test]
fn each_alert_leads_to_its_row() {
    let cases = [
        (AlertPlace::Nodes, "gpu2", Screen::Nodes),
        (AlertPlace::Jobs, "", Screen::Jobs),
        (AlertPlace::Keys, "", Screen::Access),
        (AlertPlace::Log, "", Screen::Logs),
        (AlertPlace::Audit, "", Screen::Audit),
        (AlertPlace::Lockouts, "root", Screen::Security),
        (AlertPlace::Secrets, "opens", Screen::Security),
        (AlertPlace::Elsewhere, "", Screen::Overview),
    ];
    for (place, object, screen) in cases {
        let mut model = alerted(vec![alert(AlertPlace::Elsewhere, "first"), alert(place, object)]);
        let effects = press_all(&mut model, "j j enter");
        answer_all(&mut model, effects);
        assert_eq!(model.screen, screen, "{place:?}");
        match place {
            AlertPlace::Nodes => {
                assert_eq!(model.nodes.list.chosen_name().as_deref(), Some("gpu2"));
                assert!(model.detail, "why it is down stands there in full");
            }
            AlertPlace::Lockouts => assert_eq!(model.security.tab, security::Tab::Lockouts),
            AlertPlace::Secrets => assert_eq!(model.security.tab, security::Tab::Secrets),
            AlertPlace::Keys => assert_eq!(model.access.tab, access::Tab::Keys),
            AlertPlace::Elsewhere => {
                let said = &model.notice.as_ref().unwrap().text;
                assert!(said.contains("aivonx config show"), "{said}");
            }
            _ => {}
        }
        // Back to where one came from, on the same line.
        if screen != Screen::Overview {
            press_all(&mut model, "esc esc");
            assert_eq!(model.screen, Screen::Overview, "{place:?}");
            assert_eq!(model.overview.concerns.list.at(), 1);
        }
    }
}

#[test]
fn what_is_filtered_away_is_found_all_the_same() {
    let mut model = alerted(vec![alert(AlertPlace::Nodes, "gpu2")]);
    press_all(&mut model, "2 /");
    crate::state::testing::type_text(&mut model, "gpu1");
    press_all(&mut model, "enter 1 enter");
    assert_eq!(model.nodes.list.chosen_name().as_deref(), Some("gpu2"));
}

#[test]
fn attempts_at_others_records_lead_to_their_entries() {
    let one = Alert { kind: AlertKind::CrossOrganization, ..alert(AlertPlace::Audit, "") };
    let mut model = alerted(vec![one]);
    press(&mut model, "enter");
    assert_eq!(model.screen, Screen::Audit);
    assert_eq!(model.audit.list.filter().unwrap().text(), "action:cross_org_denied");
}

#[test]
fn a_budget_leads_to_whose_it_is() {
    let mut model = full(80, 24);
    let effects = press_all(&mut model, "G enter");
    answer_all(&mut model, effects);
    assert_eq!((model.screen, model.usage.tab), (Screen::Usage, usage::Tab::Users));
    assert!(model.is_limits(), "its limits stand there, to be changed");
    assert!(matches!(&model.usage.open, Some(usage::OpenLimits::One { name, .. }) if name == "alice"));
}

/// The first thing to do comes first: enter does it until a line is picked.
#[test]
fn the_next_step_goes_before_alerts() {
    let mut model = alerted(vec![alert(AlertPlace::Lockouts, "root")]);
    if let Some(status) = &mut model.status {
        status.nodes_active = 0;
        status.nodes_standby = 0;
        status.nodes_draining = 0;
        status.nodes_disabled = 0;
    }
    press(&mut model, "enter");
    assert_eq!(model.screen, Screen::Nodes);
    assert!(matches!(model.dialogs.last(), Some(Dialog::Form(_))));
    press(&mut model, "esc");
    press_all(&mut model, "1 j enter");
    assert_eq!(model.screen, Screen::Security);
}

#[test]
fn it_is_asked_each_second_while_somebody_looks() {
    let (mut model, effects) = connected(80, 24, Some(Role::Operator));
    assert_eq!(pulses(&effects), [None], "at first all of the window");
    answer_all(&mut model, effects);
    let effects = update(&mut model, Msg::Tick(NOW + 1000));
    assert_eq!(pulses(&effects), [Some(NOW / 1000)], "then what has changed");
    // While it is not answered it is not asked again.
    assert!(pulses(&update(&mut model, Msg::Tick(NOW + 2000))).is_empty());
    answer_all(&mut model, effects);
    press(&mut model, "2");
    assert!(pulses(&update(&mut model, Msg::Tick(NOW + 3000))).is_empty(), "nor for another screen");
    assert_eq!(pulses(&press(&mut model, "1")).len(), 1);
    model.calls.clear();
    assert!(pulses(&update(&mut model, Msg::Tick(NOW + 3_600_000))).is_empty(), "nor with nobody there");
}

#[test]
fn who_may_not_see_it_does_not_ask() {
    let (_, effects) = connected(80, 24, Some(Role::Member));
    assert!(pulses(&effects).is_empty());
}
