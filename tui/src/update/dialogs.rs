//! What follows from the keys of questions, secrets and things to read.

use aivonx_protocol::{Fault, Reply, Request, running};
use tui_input::Input;

use super::{act, audit};
use crate::{
    keymap::Do,
    msg::{Effect, Ticket},
    state::{
        Dialog, Model, Purpose,
        calls::Act,
        dialog::{Confirm, Ends, RequestsOf},
    },
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
    model.dialogs.push(Dialog::Confirm(Box::new(Confirm {
        title,
        lines,
        verb,
        typed,
        requests,
        ends: None,
        export: None,
    })));
}

/// Asks how much of theirs runs, to say so in the question that stands there.
pub(super) fn count(model: &mut Model, out: &mut Vec<Effect>, whose: RequestsOf) {
    if !model.is_up() {
        return;
    }
    let asked = model.calls.begin(Purpose::Count, model.now);
    out.push(Effect::Call { ticket: asked, request: Request::from(running::List) });
    if let Some(Dialog::Confirm(confirm)) = model.dialogs.last_mut() {
        confirm.ends = Some(Ends { whose, asked, count: None });
    }
}

/// What runs is known, or cannot be.
pub(super) fn counted(model: &mut Model, ticket: Ticket, result: Result<Reply, Fault>) {
    for dialog in &mut model.dialogs {
        let Dialog::Confirm(confirm) = dialog else { continue };
        let Some(ends) = &mut confirm.ends else { continue };
        if ends.asked == ticket {
            match &result {
                Ok(Reply::Running(running)) => ends.count = Some(ends.whose.count(running)),
                // The question stands without the number as well.
                _ => confirm.ends = None,
            }
        }
    }
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
            let export = confirm.export.take();
            model.dialogs.pop();
            if let Some(export) = export {
                audit::replace(model, out, export);
            }
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
