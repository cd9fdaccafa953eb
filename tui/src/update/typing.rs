//! Keys that are no bindings: text for the line or the field being filled in.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tui_input::{Input, InputRequest};

use super::lines;
use crate::state::{Dialog, Model, form::Kind, secret_input::SecretInput};

/// Longest line, in characters.
const LONGEST: usize = 2000;

/// A key was typed.
pub(super) fn typed(model: &mut Model, event: &KeyEvent) {
    if let Some(lock) = &mut model.account.lock {
        if lock.sent.is_none() && hidden(&mut lock.password, event) {
            lock.fault = None;
        }
        return;
    }
    if let Some(line) = &mut model.line {
        if edit(&mut line.input, event) {
            lines::changed(model);
        }
        return;
    }
    match model.dialogs.last_mut() {
        Some(Dialog::Form(form)) if form.sent.is_none() => {
            let Some(field) = form.field() else { return };
            let changed = match &mut field.kind {
                Kind::Text(input) => {
                    let erases = matches!(event.code, KeyCode::Backspace | KeyCode::Delete);
                    let replaces = std::mem::take(&mut field.untouched) && (erases || is_character(event));
                    if replaces {
                        input.reset();
                    }
                    edit(input, event) || replaces
                }
                Kind::Secret(secret) | Kind::Code(secret) => hidden(secret, event),
                Kind::Choice { options, at } => {
                    let count = options.len().max(1);
                    match event.code {
                        KeyCode::Right | KeyCode::Char(' ') => *at = (*at + 1) % count,
                        KeyCode::Left => *at = (*at + count - 1) % count,
                        // A letter goes to the next option that begins with it.
                        KeyCode::Char(c) => {
                            let found = (1..=count).map(|step| (*at + step) % count);
                            let mut found = found.filter(|at| options[*at].0.starts_with(c));
                            *at = found.next().unwrap_or(*at);
                        }
                        _ => {}
                    }
                    true
                }
                Kind::Toggle(on) => {
                    match event.code {
                        KeyCode::Char(' ') | KeyCode::Left | KeyCode::Right => *on = !*on,
                        KeyCode::Char('y') => *on = true,
                        KeyCode::Char('n') => *on = false,
                        _ => {}
                    }
                    true
                }
            };
            if changed {
                field.error = None;
            }
        }
        Some(Dialog::Enrol(enrol)) if enrol.sent.is_none() => {
            // A code is made of digits: letters are keys.
            let letter = matches!(event.code, KeyCode::Char(c) if !c.is_ascii_digit());
            if !letter && hidden(&mut enrol.code, event) {
                enrol.fault = None;
            }
        }
        Some(Dialog::Confirm(confirm)) => {
            if let Some((_, input)) = &mut confirm.typed {
                edit(input, event);
            }
        }
        _ => {}
    }
}

/// A key for a secret; whether it changed.
pub(super) fn hidden(secret: &mut SecretInput, event: &KeyEvent) -> bool {
    let plain = !event.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    match event.code {
        KeyCode::Char('u') if !plain => secret.clear(),
        KeyCode::Char(c) if plain => secret.push(c),
        KeyCode::Backspace => secret.pop(),
        _ => return false,
    }
    true
}

/// Text was pasted: into a line or field, as if typed; line ends are blanks.
pub(super) fn pasted(model: &mut Model, text: &str) {
    let filling = model.line.is_some()
        || model.account.lock.is_some()
        || matches!(model.dialogs.last(), Some(Dialog::Form(_) | Dialog::Enrol(_)));
    // A name that has to be typed is typed.
    if !filling {
        return;
    }
    for c in text.trim_end_matches(['\r', '\n']).chars().take(LONGEST) {
        let c = if matches!(c, '\r' | '\n' | '\t') { ' ' } else { c };
        typed(model, &KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
    }
}

/// Whether it types a character.
fn is_character(event: &KeyEvent) -> bool {
    matches!(event.code, KeyCode::Char(c) if !c.is_control())
        && !event.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)
}

/// Whether the text changed.
fn edit(input: &mut Input, event: &KeyEvent) -> bool {
    use InputRequest as R;
    let control = event.modifiers.contains(KeyModifiers::CONTROL);
    let alt = event.modifiers.contains(KeyModifiers::ALT);
    let request = match event.code {
        KeyCode::Char('a') if control => R::GoToStart,
        KeyCode::Char('e') if control => R::GoToEnd,
        KeyCode::Char('u') if control => R::DeleteLine,
        KeyCode::Char('k') if control => R::DeleteTillEnd,
        KeyCode::Char('w') if control => R::DeletePrevWord,
        KeyCode::Char('b') if alt => R::GoToPrevWord,
        KeyCode::Char('f') if alt => R::GoToNextWord,
        KeyCode::Char(c) if is_character(event) => {
            if input.value().chars().count() >= LONGEST {
                return false;
            }
            R::InsertChar(c)
        }
        KeyCode::Backspace => R::DeletePrevChar,
        KeyCode::Delete => R::DeleteNextChar,
        KeyCode::Left if control => R::GoToPrevWord,
        KeyCode::Right if control => R::GoToNextWord,
        KeyCode::Left => R::GoToPrevChar,
        KeyCode::Right => R::GoToNextChar,
        KeyCode::Home => R::GoToStart,
        KeyCode::End => R::GoToEnd,
        _ => return false,
    };
    input.handle(request).is_some_and(|change| change.value)
}
