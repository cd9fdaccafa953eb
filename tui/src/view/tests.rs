//! What is seen, at the sizes terminals have.

use aivonx_protocol::user::Role;
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer, layout::Rect};

use crate::{
    msg::{Down, Msg},
    state::{
        Link, Model, Topic,
        testing::{connected, fail, fresh, full, full_as, press, press_all, type_text},
    },
    update::update,
};

fn drawn(model: &Model) -> Buffer {
    let (columns, rows) = model.size;
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| super::draw(frame, model)).unwrap();
    terminal.backend().buffer().clone()
}

/// The text of a part of the screen, without blanks at the ends of lines and blank lines at its end.
fn text(buffer: &Buffer, part: Rect) -> String {
    let line = |y: u16| {
        let line: String = (part.left()..part.right()).map(|x| buffer[(x, y)].symbol()).collect();
        line.trim_end().to_owned()
    };
    let lines: Vec<String> = (part.top()..part.bottom()).map(line).collect();
    lines.join("\n").trim_end_matches('\n').to_owned()
}

/// What a model looks like: all of the screen.
pub(crate) fn shot(model: &Model) -> String {
    let buffer = drawn(model);
    text(&buffer, buffer.area)
}

/// What a model looks like where something happens: the dialogs, if there are any, else what the screen is for; and
/// what is said or typed below it. The bars around are the same everywhere, and in a few whole frames.
pub(crate) fn pane(model: &mut Model) -> String {
    let buffer = drawn(model);
    let bottom = Rect { y: buffer.area.height - 2, height: 1, ..buffer.area };
    let banner = u16::from(!matches!(model.link, Link::Up { .. }));
    let mut part = Rect { y: 2, height: buffer.area.height - 4, ..buffer.area };
    let dialogs = std::mem::take(&mut model.dialogs);
    if model.account.lock.is_some() {
        part = buffer.area;
    } else if !dialogs.is_empty() {
        let under = drawn(model);
        let changed = |x: u16, y: u16| buffer[(x, y)] != under[(x, y)];
        let all = || (0..bottom.y).flat_map(|y| (0..buffer.area.width).map(move |x| (x, y)));
        let changed: Vec<_> = all().filter(|(x, y)| changed(*x, *y)).collect();
        let range = |of: fn(&(u16, u16)) -> u16| {
            let places = || changed.iter().map(of);
            places().min().unwrap_or(0)..places().max().unwrap_or(0) + 1
        };
        let (x, y) = (range(|place| place.0), range(|place| place.1));
        part = Rect { x: x.start, y: y.start, width: x.end - x.start, height: y.end - y.start };
    } else if banner > 0 {
        part = Rect { y: 1, height: part.height + 1, ..part };
    }
    model.dialogs = dialogs;
    let said = text(&buffer, bottom);
    let part = text(&buffer, part);
    if said.is_empty() || model.account.lock.is_some() { part } else { format!("{part}\n{said}") }
}

/// Carries out keys, and answers what they ask.
fn answered(model: &mut Model, keys: &str) {
    for key in keys.split(' ') {
        let effects = press(model, key);
        crate::state::testing::answer_all(model, effects);
    }
}

/// Draws a state at both sizes that everything has to look well at.
pub(crate) fn at_both_sizes(make: impl Fn(Model) -> Model, draw: fn(&mut Model) -> String) -> String {
    let shown = [(80, 24), (120, 40)].map(|(columns, rows)| {
        let mut model = make(full(columns, rows));
        format!("{columns}x{rows}\n{}", draw(&mut model))
    });
    shown.join("\n\n")
}

/// Snapshots of panes.
macro_rules! shots {
    ($name:ident, |$model:ident| $make:block) => {
        shots!($name, |$model| $make, crate::view::tests::pane);
    };
    ($name:ident, |$model:ident| $make:block, $draw:expr) => {
        #[test]
        fn $name() {
            #[allow(unused_mut, reason = "some states are made whole")]
            let shown = crate::view::tests::at_both_sizes(|mut $model| $make, $draw);
            insta::assert_snapshot!(stringify!($name), shown);
        }
    };
}

/// Snapshots of whole frames.
macro_rules! frames {
    ($name:ident, |$model:ident| $make:block) => {
        shots!($name, |$model| $make, |model| shot(model));
    };
}

pub(crate) use shots;

frames!(overview, |model| { model });
shots!(overview_demo, |model| {
    model.settings.demo = Some(([127, 0, 0, 1], 41_233).into());
    model
});
shots!(overview_waiting, |model| { fresh(model.size.0, model.size.1) });
frames!(nodes, |model| {
    press(&mut model, "2");
    model
});
shots!(nodes_empty, |model| {
    press(&mut model, "2");
    let now = model.now;
    model.nodes.list.set(Vec::new(), now);
    model
});
shots!(nodes_waiting, |model| {
    let (mut model, _) = connected(model.size.0, model.size.1, Some(Role::Operator));
    press(&mut model, "2");
    model
});
shots!(nodes_failed, |model| {
    let (mut model, _) = connected(model.size.0, model.size.1, Some(Role::Operator));
    press(&mut model, "2");
    model.calls.clear();
    fail(&mut model, Topic::Nodes);
    model
});
shots!(nodes_not_permitted, |model| {
    let mut model = full_as(model.size.0, model.size.1, Role::Member);
    press(&mut model, "2");
    model
});
shots!(nodes_read_only, |model| {
    model.settings.read_only = true;
    press_all(&mut model, "2 a");
    model
});
shots!(node_detail, |model| {
    press_all(&mut model, "2 j j enter");
    model
});
shots!(node_detail_hostile, |model| {
    press_all(&mut model, "2 g enter");
    model
});
shots!(nodes_filtered, |model| {
    press_all(&mut model, "2 space /");
    type_text(&mut model, "gpu state:standby");
    press(&mut model, "enter");
    model
});
shots!(filter_typed_wrong, |model| {
    press_all(&mut model, "2 /");
    type_text(&mut model, "(");
    model
});
shots!(node_add, |model| {
    press_all(&mut model, "2 a");
    type_text(&mut model, "GPU 1");
    press(&mut model, "tab");
    type_text(&mut model, "http://10.0.0.5:11434");
    press_all(&mut model, "tab tab right right");
    model
});
shots!(node_edit, |model| {
    press_all(&mut model, "2 j e");
    model
});
shots!(node_remove, |model| {
    press_all(&mut model, "2 j ctrl-d");
    model
});
shots!(node_disable, |model| {
    press_all(&mut model, "2 j space space x");
    model
});
shots!(node_pull, |model| {
    press_all(&mut model, "2 j p");
    model
});
shots!(help, |model| {
    press_all(&mut model, "2 ?");
    model
});
shots!(command, |model| {
    press(&mut model, ":");
    type_text(&mut model, "no");
    model
});
shots!(command_unknown, |model| {
    press(&mut model, ":");
    type_text(&mut model, "nod");
    press(&mut model, "enter");
    model
});
shots!(login, |model| {
    let (mut model, _) = connected(model.size.0, model.size.1, None);
    type_text(&mut model, "alice");
    press(&mut model, "enter");
    type_text(&mut model, "secret");
    model
});
shots!(no_connection, |model| {
    press(&mut model, "2");
    let why = "no daemon is reachable. Tried:\n  /run/aivonx/control.sock: nobody listens".into();
    update(&mut model, Msg::Down(Down { why, retry_ms: 4000 }));
    model
});
shots!(ascii, |model| {
    model.settings.theme = crate::theme::Theme::new(false, true, false);
    press_all(&mut model, "2 space ctrl-d");
    let drawn = shot(&model);
    assert!(drawn.is_ascii(), "{drawn}");
    model
});

frames!(models, |model| {
    press_all(&mut model, "3 right right");
    model
});
shots!(model_detail, |model| {
    press_all(&mut model, "3 G enter");
    model
});
shots!(model_remove, |model| {
    press_all(&mut model, "3 G ctrl-d");
    model
});
shots!(models_empty, |model| {
    press(&mut model, "3");
    let now = model.now;
    model.models.list.set(Vec::new(), now);
    model
});
frames!(jobs, |model| {
    press(&mut model, "4");
    model
});
shots!(job_detail, |model| {
    press_all(&mut model, "4 G enter");
    model
});
shots!(job_cancel, |model| {
    press_all(&mut model, "4 ctrl-d");
    model
});
frames!(logs, |model| {
    press(&mut model, "7");
    let ticket = model.logs.feed.unwrap();
    let events = crate::samples::events().into_iter().map(aivonx_protocol::Event::Log).collect();
    update(&mut model, Msg::Events { ticket, events });
    press_all(&mut model, "k /");
    type_text(&mut model, "node|error");
    press(&mut model, "enter");
    model
});
shots!(log_wrapped, |model| {
    press(&mut model, "7");
    let ticket = model.logs.feed.unwrap();
    let mut events = crate::samples::events();
    events[0].message = "a long sentence that goes on and on ".repeat(6);
    let events = events.into_iter().map(aivonx_protocol::Event::Log).collect();
    update(&mut model, Msg::Events { ticket, events });
    press(&mut model, "w");
    model
});
shots!(log_event, |model| {
    press(&mut model, "7");
    let ticket = model.logs.feed.unwrap();
    let events = crate::samples::events().into_iter().map(aivonx_protocol::Event::Log).collect();
    update(&mut model, Msg::Events { ticket, events });
    press_all(&mut model, "k enter");
    model
});
shots!(logs_empty, |model| {
    press(&mut model, "7");
    model
});
shots!(audit, |model| {
    press(&mut model, "8");
    model
});
shots!(audit_entry, |model| {
    press_all(&mut model, "8 j enter");
    model
});
shots!(audit_query, |model| {
    press_all(&mut model, "8 f");
    model
});
shots!(audit_not_permitted, |model| {
    let mut model = full_as(model.size.0, model.size.1, Role::OrgAdmin);
    press(&mut model, "8");
    model
});
shots!(lockouts, |model| {
    press(&mut model, "0");
    model
});
shots!(sessions, |model| {
    let effects = press_all(&mut model, "0 tab");
    crate::state::testing::answer_all(&mut model, effects);
    model
});
shots!(secrets, |model| {
    let effects = press_all(&mut model, "0 tab tab");
    crate::state::testing::answer_all(&mut model, effects);
    model
});
shots!(secrets_rotate, |model| {
    press_all(&mut model, "0 tab tab R");
    model
});

mod access;
mod audit;
mod logs;
mod requests;
mod security;
mod usage;

/// Other sizes are not pictured; they have to work.
#[test]
fn every_size_is_drawn() {
    for (columns, rows) in [(0, 0), (1, 1), (10, 3), (20, 6), (21, 7), (60, 15), (200, 60), (500, 5)] {
        let mut model = full(80, 24);
        model.size = (columns, rows);
        for keys in [
            "1",
            "2",
            "3",
            "4",
            "5",
            "6",
            "7",
            "8",
            "9",
            "9 enter",
            "9 ctrl-d",
            "0",
            "5 tab",
            "0 tab",
            "0 backtab",
            "0 backtab c",
            "6 enter",
            "6 o",
            "6 backtab e",
            "8 v",
            "2 enter",
            "2 a",
            "2 ctrl-d",
            "2 ?",
            ":",
            "2 /",
            "2 j e",
        ] {
            press_all(&mut model, "esc esc esc");
            press_all(&mut model, keys);
            if columns > 0 && rows > 0 {
                shot(&model);
            }
        }
    }
}

/// On a small screen there is still what counts.
#[test]
fn sixty_by_fifteen() {
    let mut model = full(60, 15);
    press(&mut model, "2");
    let list = pane(&mut model);
    press(&mut model, "a");
    insta::assert_snapshot!(format!("{list}\n\n{}", pane(&mut model)));
}
