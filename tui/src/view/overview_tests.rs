//! The overview as it is seen.

use aivonx_protocol::{Reply, pulse::Pulse, user::Role};

use super::tests::{pane, shot, shots};
use crate::{
    samples::{self, NOW},
    state::{
        Model, Topic,
        testing::{connected, fail, full, full_as, press, press_all},
    },
    theme::Theme,
};

/// The same model with another pulse.
fn told(mut model: Model, pulse: Pulse) -> Model {
    let now = model.now;
    model.overview = crate::state::overview::Overview::default();
    model.overview.heard(pulse, now);
    model
}

/// A gateway that has just been started.
fn nothing() -> Pulse {
    Pulse {
        lasted: 3,
        seconds: Vec::new(),
        minute: aivonx_protocol::pulse::PulseSum { seconds: 3, ..Default::default() },
        active: 0,
        streams: 0,
        models: Vec::new(),
        organizations: Vec::new(),
        keys: Vec::new(),
        budgets: Vec::new(),
        alerts: Vec::new(),
        ..samples::pulse()
    }
}

shots!(overview_quiet, |model| { told(model, nothing()) });
shots!(overview_picked, |model| {
    press_all(&mut model, "j j j j j");
    model
});
shots!(overview_many_alerts, |model| {
    let mut pulse = samples::pulse();
    let one = pulse.alerts[0].clone();
    for number in 3..20 {
        let object = Some(format!("gpu{number}"));
        pulse.alerts.push(aivonx_protocol::pulse::Alert { object, ..one.clone() });
    }
    let mut model = told(model, pulse);
    press_all(&mut model, "G");
    model
});
shots!(overview_hostile, |model| { told(model, samples::hostile_pulse()) });
shots!(overview_failed, |model| {
    let (mut model, effects) = connected(model.size.0, model.size.1, Some(Role::Operator));
    crate::state::testing::answer_all(&mut model, effects);
    model.overview = crate::state::overview::Overview::default();
    fail(&mut model, Topic::Pulse);
    model
});
shots!(overview_of_member, |model| { full_as(model.size.0, model.size.1, Role::Member) });
shots!(overview_of_tenant, |model| {
    let mut model = full_as(model.size.0, model.size.1, Role::OrgAdmin);
    if let Some(who) = &mut model.identity {
        who.organization = Some("acme".into());
    }
    let mut pulse = samples::pulse();
    pulse.organization = Some("acme".into());
    pulse.organizations.truncate(1);
    pulse.alerts.truncate(1);
    told(model, pulse)
});
shots!(overview_ascii, |model| {
    model.settings.theme = Theme::new(false, true, false);
    press(&mut model, "j");
    let drawn = shot(&model);
    assert!(drawn.is_ascii(), "{drawn}");
    model
});

/// At small and large sizes there is what counts, and room is used.
#[test]
fn overview_at_other_sizes() {
    let shown = [(60, 15), (200, 60)].map(|(columns, rows)| pane(&mut full(columns, rows)));
    insta::assert_snapshot!(shown.join("\n\n"));
}

/// No name takes over the terminal, and no size is too small.
#[test]
fn overview_at_any_size() {
    for (columns, rows) in [(20, 6), (24, 8), (40, 10), (60, 15), (71, 20), (109, 24), (110, 24), (300, 100)]
    {
        let drawn = shot(&told(full(columns, rows), samples::hostile_pulse()));
        assert!(!drawn.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{drawn}");
        shot(&told(full(columns, rows), nothing()));
    }
}

/// A second later there is more to see.
#[test]
fn overview_moves() {
    let mut model = full(80, 24);
    let before = shot(&model);
    let mut pulse = samples::pulse();
    pulse.now = NOW + 1000;
    pulse.seconds = vec![aivonx_protocol::pulse::PulseSecond {
        at: NOW / 1000 + 1,
        requests: 90,
        output_tokens: 9000,
        ..Default::default()
    }];
    let effects = crate::update::update(&mut model, crate::msg::Msg::Tick(NOW + 1000));
    let asked = effects.iter().find_map(|effect| match effect {
        crate::msg::Effect::Call { ticket, request } if request.name() == "daemon.pulse" => Some(*ticket),
        _ => None,
    });
    crate::state::testing::reply(&mut model, asked.unwrap(), Reply::Pulse(Box::new(pulse)));
    let after = shot(&model);
    assert_ne!(before, after);
}
