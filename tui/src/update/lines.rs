//! What follows from the line after `:` or `/`.

use super::{account, keys, login, logs, security, strategy};
use crate::{
    command::{self, Command, Place, Verb, Word},
    filter::Filter,
    keymap::{self, Do},
    msg::Effect,
    state::{Dialog, LineInput, Model, Screen, line::LineKind},
};

/// Begins a line.
pub(super) fn open(model: &mut Model, kind: LineKind) {
    let text = match kind {
        LineKind::Command => String::new(),
        // A filter that stands is what one most likely wants to change.
        LineKind::Filter => model
            .rows_ref()
            .and_then(|rows| rows.filter())
            .map(|filter| filter.text().to_owned())
            .unwrap_or_default(),
    };
    model.line = Some(LineInput::new(kind, &text));
}

/// A key of the line's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    let Some(line) = &mut model.line else { return };
    match does {
        Do::Cancel => {
            if line.kind == LineKind::Filter
                && let Some(rows) = model.rows()
            {
                rows.set_filter(None);
            }
            model.line = None;
        }
        Do::Accept => accept(model, out),
        Do::Complete => complete(line),
        Do::Older | Do::Newer => {
            let found = if does == Do::Older { model.history.older() } else { model.history.newer() };
            if let Some(text) = found {
                line.input = text.to_owned().into();
                line.completing = None;
            }
        }
        _ => {}
    }
}

/// The line was changed: a filter is tried at once.
pub(super) fn changed(model: &mut Model) {
    let Some(line) = &mut model.line else { return };
    line.completing = None;
    line.fault = None;
    if line.kind == LineKind::Filter {
        match Filter::parse(line.input.value()) {
            Ok(filter) => {
                if let Some(rows) = model.rows() {
                    rows.set_filter(filter);
                }
            }
            Err(why) => line.fault = Some(why),
        }
    }
}

fn accept(model: &mut Model, out: &mut Vec<Effect>) {
    let Some(line) = &mut model.line else { return };
    if line.kind == LineKind::Filter {
        if line.fault.is_none() {
            model.line = None;
        }
        return;
    }
    let typed = line.input.value().to_owned();
    match command::parse(&typed) {
        Err(why) => line.fault = Some(why),
        Ok(command) => {
            model.history.keep(&typed);
            model.line = None;
            match command {
                None => {}
                Some(Command::Go(place, filter)) => go(model, out, place, filter.as_deref()),
                Some(Command::Verb(place, verb)) => {
                    go(model, out, place, subject(&verb));
                    how(model, &verb);
                }
                Some(Command::Time(text)) => logs::go_to(model, out, &text),
                Some(Command::Word(Word::Quit)) => out.push(Effect::Quit),
                Some(Command::Word(Word::Help)) => model.dialogs.push(Dialog::Help(0)),
                Some(Command::Word(Word::Login)) => login::ask(model),
                Some(Command::Word(Word::Logout)) => login::leave(model, out),
                Some(Command::Word(Word::SetUp)) => account::set_up(model),
                Some(Command::Word(Word::Redeem)) => account::redeem(model, "", None),
                Some(Command::Word(Word::Password)) => account::password(model),
                Some(Command::Word(Word::Factor)) => account::factor(model, out),
                Some(Command::Word(Word::Lock)) => account::lock(model),
                Some(Command::Word(Word::Token)) => security::ask_token(model),
                Some(Command::Word(Word::Config)) => security::config(model, out),
                Some(Command::Word(Word::Strategy)) => strategy::ask(model, out),
                Some(Command::Word(Word::Reload)) => security::reload_config(model, out),
            }
        }
    }
}

/// What the verb is about, as the rows show it: its first argument, unless that is an option or names nothing there.
fn subject(verb: &Verb) -> Option<&str> {
    if matches!(&*verb.name, "add" | "create" | "contain" | "detect" | "report") {
        return None;
    }
    let first = verb.rest.split_whitespace().next().filter(|word| !word.starts_with('-'))?;
    Some(first.strip_prefix("user:").or_else(|| first.strip_prefix("key:")).unwrap_or(first))
}

fn go(model: &mut Model, out: &mut Vec<Effect>, place: Place, filter: Option<&str>) {
    let screen = match place {
        Place::Screen(screen) => screen,
        Place::Access(tab) => {
            model.access.tab = tab;
            Screen::Access
        }
        Place::Models(tab) => {
            model.models.tab = tab;
            model.detail = false;
            Screen::Models
        }
        Place::Usage(tab) => {
            model.usage.tab = tab;
            model.usage.open = None;
            Screen::Usage
        }
        Place::Security(tab) => {
            model.security.tab = tab;
            Screen::Security
        }
    };
    keys::go(model, out, screen);
    match filter.filter(|text| !text.is_empty()).map(Filter::parse) {
        Some(Ok(filter)) => {
            if let Some(rows) = model.rows() {
                rows.set_filter(filter);
            }
        }
        Some(Err(why)) => model.warn(why),
        None => {}
    }
}

/// Says which key does what a verb of the shell does.
fn how(model: &mut Model, verb: &Verb) {
    if verb.name == "list" {
        return;
    }
    let holding = keymap::holding(keymap::screen(model));
    let key = verb.does().and_then(|does| holding.into_iter().find(|binding| binding.does == does));
    let Verb { noun, name, rest } = verb;
    let line = format!("aivonx {noun} {name} {rest}");
    match key {
        Some(binding) => model.tell(format!("{name}: press {} here ({})", binding.keys[0], binding.help)),
        None => model.tell(format!("{name}: ? shows the keys here; or in a shell: {}", line.trim_end())),
    }
}

fn complete(line: &mut LineInput) {
    let (typed, turn) = match line.completing.take() {
        Some((typed, turn)) => (typed, turn + 1),
        None => (line.input.value().to_owned(), 0),
    };
    let found = command::completions(&typed);
    if let Some((word, _)) = found.get(turn % found.len().max(1)) {
        line.input = (*word).to_owned().into();
    }
    line.fault = None;
    line.completing = Some((typed, turn));
}
