//! One's own account as it is seen: set-up, second factor, lock.

use aivonx_protocol::{Fault, FaultKind, Reply, WireSecret, user::Role};
use ratatui::{
    buffer::{Buffer, Cell},
    layout::Rect,
    style::{Color, Modifier},
};

use super::tests::{shot, shots};
use crate::{
    render::qr::{self, Modules},
    samples::{offer, offer_to},
    state::{
        Dialog, Model,
        account::Enrol,
        testing::{
            answer_all, call, empty, full, full_as, not_set_up, press, press_all, refuse, reply, type_text,
        },
    },
    theme::Theme,
};

fn enrolling(mut model: Model) -> Model {
    model.dialogs.push(Dialog::Enrol(Box::new(Enrol::new(offer()))));
    model
}

shots!(set_up, |model| {
    let mut model = not_set_up(model.size.0, model.size.1, true);
    type_text(&mut model, "seven quiet lamps");
    press(&mut model, "enter");
    type_text(&mut model, "seven quiet lamp");
    press(&mut model, "ctrl-s");
    model
});
shots!(set_up_refused, |model| {
    let mut model = not_set_up(model.size.0, model.size.1, true);
    type_text(&mut model, "password1234");
    press(&mut model, "enter");
    type_text(&mut model, "password1234");
    press_all(&mut model, "enter right");
    let effects = press(&mut model, "ctrl-s");
    let (ticket, _) = call(&effects);
    let why = "the password is among the most common ones; choose another";
    refuse(&mut model, ticket, Fault::new(FaultKind::Invalid, why).field("password"));
    model
});
shots!(set_up_elsewhere, |model| { not_set_up(model.size.0, model.size.1, false) });
shots!(overview_not_set_up, |model| {
    let mut model = not_set_up(model.size.0, model.size.1, true);
    press(&mut model, "esc");
    model
});
shots!(overview_first_step, |model| {
    model.status = Some(empty());
    model
});
shots!(overview_try_it, |model| {
    let mut status = empty();
    (status.nodes_active, status.models) = (1, 2);
    model.status = Some(status);
    model
});
shots!(enrol_asks_for_the_password, |model| {
    let mut who = model.identity.clone().unwrap();
    (who.totp, who.must_enrol) = (false, true);
    model.identity = Some(who);
    press_all(&mut model, "1 enter");
    model
});
shots!(enrol, |model| {
    let mut model = enrolling(model);
    type_text(&mut model, "1234");
    model
});
shots!(enrol_refused, |model| {
    let mut model = enrolling(model);
    type_text(&mut model, "123456");
    let effects = press_all(&mut model, "c enter");
    let calls: Vec<_> = effects.into_iter().skip(1).collect();
    let (ticket, _) = call(&calls);
    let fault = Fault::new(FaultKind::NotPermitted, "the one-time code is wrong or was used before");
    refuse(&mut model, ticket, fault.field("otp").hint("Wait for the next code."));
    model
});
shots!(enrol_ascii, |model| {
    model.settings.theme = Theme::new(false, true, false);
    enrolling(model)
});
shots!(backup_codes, |model| {
    let mut model = enrolling(model);
    type_text(&mut model, "123456");
    let effects = press(&mut model, "enter");
    let (ticket, _) = call(&effects);
    let codes = (0..10).map(|n| WireSecret::new(format!("abcd{n}-efgh{n}"))).collect();
    reply(&mut model, ticket, Reply::BackupCodes(codes));
    model
});
shots!(second_factor, |model| {
    press(&mut model, ":");
    type_text(&mut model, "2fa");
    press(&mut model, "enter");
    model
});
shots!(password, |model| {
    press(&mut model, ":");
    type_text(&mut model, "password");
    press(&mut model, "enter");
    model
});
shots!(locked, |model| {
    press_all(&mut model, "2 ctrl-k");
    type_text(&mut model, "secret");
    model
});
shots!(locked_refused, |model| {
    press_all(&mut model, "2 ctrl-k x");
    let effects = press(&mut model, "enter");
    let (ticket, _) = call(&effects);
    refuse(&mut model, ticket, Fault::new(FaultKind::NotPermitted, "wrong name, password or code"));
    model
});
shots!(token, |model| {
    press_all(&mut model, "0 tab a");
    model
});
shots!(token_made, |model| {
    press_all(&mut model, "0 tab a");
    type_text(&mut model, "backup");
    let effects = press(&mut model, "ctrl-s");
    let (ticket, _) = call(&effects);
    let made = Reply::samples().into_iter().find(|reply| reply.name() == "new_session").unwrap();
    reply(&mut model, ticket, made);
    model
});
shots!(configuration, |model| {
    press(&mut model, ":");
    type_text(&mut model, "config");
    let effects = press(&mut model, "enter");
    let (ticket, _) = call(&effects);
    reply(&mut model, ticket, Reply::Config(crate::samples::settings()));
    model
});
shots!(configuration_not_permitted, |model| {
    let mut model = full_as(model.size.0, model.size.1, Role::Member);
    press(&mut model, ":");
    type_text(&mut model, "config");
    press(&mut model, "enter");
    model
});
shots!(key_made, |model| {
    press_all(&mut model, "5 tab tab a");
    type_text(&mut model, "ci");
    let effects = press(&mut model, "ctrl-s");
    answer_all(&mut model, effects);
    model
});

fn painted(model: &Model) -> Buffer {
    let area = Rect { x: 0, y: 0, width: model.size.0, height: model.size.1 };
    let mut buffer = Buffer::empty(area);
    super::paint(&mut buffer, area, model);
    buffer
}

/// Whether the two halves of a cell are dark to a camera, the upper first, on a background that is light or not.
fn dark(cell: &Cell, light: bool) -> Option<(bool, bool)> {
    let colour = |colour: Color, own: bool| match colour {
        Color::Black => Some(true),
        Color::White => Some(false),
        Color::Reset => Some(own),
        _ => None,
    };
    // The terminal's own colours: on a dark background its foreground is light.
    let (mut fore, mut back) = (colour(cell.fg, light)?, colour(cell.bg, !light)?);
    if cell.modifier.contains(Modifier::REVERSED) {
        (fore, back) = (back, fore);
    }
    match cell.symbol() {
        "█" => Some((fore, fore)),
        "▀" => Some((fore, back)),
        "▄" => Some((back, fore)),
        " " => Some((back, back)),
        _ => None,
    }
}

/// Looks for the code in what was drawn, as a camera does: by its modules, with a light margin of two around.
fn found(buffer: &Buffer, code: &Modules, theme: Theme, light: bool) -> bool {
    let side = code.side();
    let (wide, high) = if theme.is_ascii() { (2, 1) } else { (1, 2) };
    let dark_at = |x: usize, y: usize| {
        let cell = buffer.cell((u16::try_from(x).ok()?, u16::try_from(y / high).ok()?))?;
        let (upper, lower) = dark(cell, light)?;
        Some(if y.is_multiple_of(high) { upper } else { lower })
    };
    let (columns, rows) = (usize::from(buffer.area.width), usize::from(buffer.area.height));
    (0..=columns.saturating_sub(side * wide)).any(|left| {
        (0..=rows.saturating_sub(side.div_ceil(high))).any(|top| {
            (0..side).all(|y| {
                (0..side).all(|x| dark_at(left + x * wide, top * high + y) == Some(code.is_dark(x, y)))
            })
        })
    })
}

#[test]
fn the_picture_is_the_code() {
    let themes = [
        Theme::new(true, false, false),
        Theme::new(true, false, true),
        Theme::new(false, false, false),
        Theme::new(false, false, true),
        Theme::new(true, true, false),
        Theme::new(false, true, false),
        Theme::new(false, true, true),
    ];
    for theme in themes {
        for letters in [5, 63] {
            for (columns, rows) in [(80, 24), (120, 40), (200, 60)] {
                let mut model = full(columns, rows);
                model.settings.theme = theme;
                let offer = offer_to(letters);
                let code = Modules::of(&qr::short(offer.uri.expose())).unwrap();
                let secret = offer.secret.expose().chunks(4).join(" ");
                model.dialogs.push(Dialog::Enrol(Box::new(Enrol::new(offer))));
                let buffer = painted(&model);
                // Two columns and a row for a module of ASCII: only a large screen has room for that.
                let side = u16::try_from(code.side()).unwrap();
                let fits = !theme.is_ascii() || (side * 2 + 32 <= columns && side <= rows);
                assert!(fits || (columns, rows) != (200, 60));
                assert_eq!(
                    found(&buffer, &code, theme, theme.is_light()),
                    fits,
                    "{theme:?} {columns}x{rows}, {letters} letters"
                );
                // With or without a code on the screen, the secret can be typed.
                let shown = shot(&model);
                assert!(secret.split(' ').all(|four| shown.contains(four)), "{shown}");
                assert!(shown.contains("   >"), "{shown}");
            }
        }
    }
}

/// A terminal that says nothing of its background is taken for a dark one: a key puts that right.
#[test]
fn the_picture_can_be_turned_round() {
    for (ascii, columns, rows) in [(false, 80, 24), (false, 120, 40), (true, 200, 60)] {
        let mut model = full(columns, rows);
        model.settings.theme = Theme::new(false, ascii, false);
        let offer = offer_to(5);
        let code = Modules::of(&qr::short(offer.uri.expose())).unwrap();
        model.dialogs.push(Dialog::Enrol(Box::new(Enrol::new(offer))));
        assert!(shot(&model).contains("for a dark"), "{}", shot(&model));
        assert!(!found(&painted(&model), &code, model.settings.theme, true));
        press(&mut model, "i");
        assert!(shot(&model).contains("for a light"), "{}", shot(&model));
        assert!(found(&painted(&model), &code, model.settings.theme, true));
        // With colours both are right, and nothing is said.
        model.settings.theme = Theme::new(true, ascii, false);
        assert!(found(&painted(&model), &code, model.settings.theme, true), "{}", shot(&model));
        assert!(!shot(&model).contains("invert"));
    }
}

/// Strings in pieces of so many characters.
trait Chunks {
    fn chunks(&self, size: usize) -> Vec<String>;
}

impl Chunks for str {
    fn chunks(&self, size: usize) -> Vec<String> {
        self.chars().collect::<Vec<_>>().chunks(size).map(|piece| piece.iter().collect()).collect()
    }
}

#[test]
fn a_locked_screen_shows_nothing_of_what_stood_there() {
    let mut model = full(120, 40);
    press_all(&mut model, "5 tab tab a");
    type_text(&mut model, "ci");
    let effects = press(&mut model, "ctrl-s");
    answer_all(&mut model, effects);
    let before = shot(&model);
    assert!(before.contains("aivx_s"), "{before}");
    press(&mut model, "ctrl-k");
    // A dialog takes the keys before the list of bindings does: the lock comes from the clock there.
    let later = model.now + 600_000;
    crate::update::update(&mut model, crate::msg::Msg::Tick(later));
    let locked = shot(&model);
    for word in ["aivx_s", "acme", "gateway", "Nodes", "Access"] {
        assert!(!locked.contains(word), "{locked}");
    }
    assert!(locked.contains("Locked") && locked.contains("root"), "{locked}");
    for size in [(1, 1), (10, 3), (20, 6), (60, 15)] {
        model.size = size;
        shot(&model);
    }
}
