//! Models for tests, and hands that press keys.

use aivonx_protocol::{Fault, FaultKind, Reply, account::Identity, handshake::Login, user::Role};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use jiff::tz::TimeZone;

use super::{Model, Purpose, Screen, Settings, Topic};
use crate::{
    msg::{Effect, Msg, Ticket, Up},
    samples::{self, NOW},
    theme::Theme,
    update::update,
};

/// A model that knows nothing yet.
pub(crate) fn fresh(columns: u16, rows: u16) -> Model {
    let theme = Theme::new(true, false, false);
    let settings = Settings { read_only: false, theme, lock_after_ms: Some(600_000), demo: None };
    Model::new(settings, NOW, TimeZone::UTC, (columns, rows))
}

/// One whose connection stands, for somebody of this role; nothing was answered yet.
pub(crate) fn connected(columns: u16, rows: u16, role: Option<Role>) -> (Model, Vec<Effect>) {
    let mut model = fresh(columns, rows);
    let identity = Identity { role, ..samples::identities().remove(0) };
    let up = Up {
        daemon: "aivonxd 0.1.0".into(),
        login: Login::Needed,
        identity: role.map(|_| identity),
        socket: "/run/aivonx/control.sock".into(),
        refused: None,
        may_set_up: true,
    };
    let effects = update(&mut model, Msg::Up(Box::new(up)));
    (model, effects)
}

/// A model that has received every sample.
pub(crate) fn full(columns: u16, rows: u16) -> Model {
    full_as(columns, rows, Role::Superadmin)
}

/// The same for this role.
pub(crate) fn full_as(columns: u16, rows: u16, role: Role) -> Model {
    let (mut model, effects) = connected(columns, rows, Some(role));
    answer_all(&mut model, effects);
    for screen in Screen::ALL {
        // The tabs of those that have some, too.
        let tabs = match screen {
            Screen::Usage => crate::state::usage::Tab::ALL.len(),
            Screen::Models => crate::state::models::Tab::ALL.len(),
            Screen::Security => crate::state::security::Tab::ALL.len(),
            _ => 3,
        };
        for key in std::iter::once(screen.key()).chain(std::iter::repeat_n("tab", tabs)) {
            let effects = press(&mut model, key);
            answer_all(&mut model, effects);
        }
    }
    let effects = press(&mut model, "1");
    answer_all(&mut model, effects);
    model.trail.clear();
    model
}

/// One whose daemon has no administrator yet, which the caller may change or not.
pub(crate) fn not_set_up(columns: u16, rows: u16, may_set_up: bool) -> Model {
    let mut model = fresh(columns, rows);
    let up = Up {
        daemon: "aivonxd 0.1.0".into(),
        login: Login::Setup,
        identity: None,
        socket: "/run/aivonx/control.sock".into(),
        refused: None,
        may_set_up,
    };
    let effects = update(&mut model, Msg::Up(Box::new(up)));
    let (ticket, _) = call(&effects);
    let status = aivonx_protocol::daemon::Status { set_up: false, ..empty() };
    reply(&mut model, ticket, Reply::Status(Box::new(status)));
    model
}

/// The status of a gateway that has nothing yet.
pub(crate) fn empty() -> aivonx_protocol::daemon::Status {
    aivonx_protocol::daemon::Status {
        access: "required".into(),
        nodes_active: 0,
        nodes_standby: 0,
        nodes_draining: 0,
        nodes_disabled: 0,
        models: 0,
        active_requests: 0,
        requests_total: 0,
        warnings: Vec::new(),
        ..samples::status()
    }
}

/// Presses a key as the list of bindings spells it.
pub(crate) fn press(model: &mut Model, key: &str) -> Vec<Effect> {
    update(model, Msg::Key(event(key)))
}

/// Types text.
pub(crate) fn type_text(model: &mut Model, text: &str) {
    for c in text.chars() {
        update(model, Msg::Key(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)));
    }
}

/// Presses several keys, separated by blanks; what they want done.
pub(crate) fn press_all(model: &mut Model, keys: &str) -> Vec<Effect> {
    keys.split(' ').flat_map(|key| press(model, key)).collect()
}

/// The key of this name.
pub(crate) fn event(name: &str) -> KeyEvent {
    let (modifiers, base) = match name.strip_prefix("ctrl-") {
        Some(base) => (KeyModifiers::CONTROL, base),
        None => (KeyModifiers::NONE, name),
    };
    let code = match base {
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "backtab" => KeyCode::BackTab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "pgup" => KeyCode::PageUp,
        "pgdn" => KeyCode::PageDown,
        "del" => KeyCode::Delete,
        "backspace" => KeyCode::Backspace,
        "space" => KeyCode::Char(' '),
        other => KeyCode::Char(other.chars().next().unwrap()),
    };
    KeyEvent::new(code, modifiers)
}

/// Answers every call among these with a sample, and those that follow from it.
pub(crate) fn answer_all(model: &mut Model, mut effects: Vec<Effect>) {
    while let Some(effect) = effects.pop() {
        if let Effect::Call { ticket, request } = effect
            && let Some(reply) = samples::reply(&request)
        {
            effects.extend(update(model, Msg::Answer { ticket, result: Ok(reply) }));
        }
    }
}

/// The one call among these.
pub(crate) fn call(effects: &[Effect]) -> (Ticket, &aivonx_protocol::Request) {
    let mut calls = effects.iter().filter_map(|effect| match effect {
        Effect::Call { ticket, request } => Some((*ticket, request)),
        _ => None,
    });
    let call = calls.next().unwrap_or_else(|| panic!("no call among {effects:?}"));
    assert!(calls.next().is_none(), "more than one call among {effects:?}");
    call
}

/// Answers a call with a fault.
pub(crate) fn refuse(model: &mut Model, ticket: Ticket, fault: Fault) -> Vec<Effect> {
    update(model, Msg::Answer { ticket, result: Err(fault) })
}

/// Answers a call.
pub(crate) fn reply(model: &mut Model, ticket: Ticket, reply: Reply) -> Vec<Effect> {
    update(model, Msg::Answer { ticket, result: Ok(reply) })
}

/// Lets something that was asked for fail.
pub(crate) fn fail(model: &mut Model, topic: Topic) {
    let ticket = model.calls.begin(Purpose::Load(topic), model.now);
    let fault = Fault::new(FaultKind::Unavailable, "the store does not answer").hint("See: aivonx logs");
    refuse(model, ticket, fault);
}
