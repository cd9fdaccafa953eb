//! What follows from the keys of questions, secrets and things to read.

use aivonx_protocol::Request;
use tui_input::Input;

use super::act;
use crate::{
    keymap::Do,
    model::{Dialog, Model, calls::Act, dialog::Confirm},
    msg::Effect,
};

/// Asks before something that is hard to undo.
pub(super) fn confirm(
    model: &mut Model,
    title: String,
    lines: Vec<String>,
    verb: &'static str,
    typed: Option<String>,
    requests: Vec<(Request, Act)>,
) {
    let typed = typed.map(|wanted| (wanted, Input::default()));
    model.dialogs.push(Dialog::Confirm(Box::new(Confirm { title, lines, verb, typed, requests })));
}

/// A key of the dialog's own.
pub(super) fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    let page = crate::view::page(model.size);
    let scrolled = |at: usize| match does {
        Do::Up => at.saturating_sub(1),
        Do::Down => at.saturating_add(1),
        Do::PageUp => at.saturating_sub(page),
        Do::PageDown => at.saturating_add(page),
        Do::First => 0,
        Do::Last => usize::MAX,
        _ => at,
    };
    let most = crate::view::most(model);
    match (does, model.dialogs.last_mut()) {
        (Do::Cancel, _) => {
            model.dialogs.pop();
        }
        (Do::Yes, Some(Dialog::Confirm(confirm))) => {
            if !confirm.is_typed() {
                return;
            }
            let requests = std::mem::take(&mut confirm.requests);
            model.dialogs.pop();
            for (request, what) in requests {
                act(model, out, request, what);
            }
        }
        (Do::Copy, Some(Dialog::Reveal(reveal))) => {
            reveal.copied = true;
            out.push(Effect::Copy(reveal.secret.clone()));
        }
        (Do::CopyLine, Some(Dialog::Reveal(reveal))) => {
            if let Some(line) = reveal.command_line() {
                reveal.copied = true;
                out.push(Effect::Copy(line));
            }
        }
        (_, Some(Dialog::Text(text))) => text.scroll = scrolled(text.scroll).min(most),
        (_, Some(Dialog::Help(scroll))) => *scroll = scrolled(*scroll).min(most),
        _ => {}
    }
}
