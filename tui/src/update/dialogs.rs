//! What follows from the keys of questions, secrets and things to read.

use aivonx_protocol::{Fault, Reply, Request, running};
use tui_input::Input;

use super::{act, answers, audit, forms, load};
use crate::{
    keymap::Do,
    msg::{Effect, Ticket},
    state::{
        Dialog, Model, Purpose,
        calls::{Act, Each},
        dialog::{Confirm, Ends, Order, RequestsOf, Text},
    },
};

/// Asks before something that is hard to undo; the question, for what else it needs.
pub(super) fn confirm<'m>(
    model: &'m mut Model,
    title: String,
    lines: Vec<String>,
    verb: &'static str,
    typed: Option<String>,
    requests: Vec<(Request, Act)>,
) -> &'m mut Confirm {
    let typed = typed.map(|wanted| (wanted, Input::default()));
    let order = Order::Together;
    let confirm = Confirm { title, lines, verb, typed, requests, order, ends: None, export: None };
    model.dialogs.push(Dialog::Confirm(Box::new(confirm)));
    match model.dialogs.last_mut() {
        Some(Dialog::Confirm(confirm)) => confirm,
        _ => unreachable!("it was pushed right before"),
    }
}

/// Goes on with the next of several, or says what became of them.
fn each(model: &mut Model, out: &mut Vec<Effect>, mut each: Each) {
    if let Some((request, what)) = each.left.pop_front() {
        each.now = what;
        let ticket = model.calls.begin(Purpose::Each(Box::new(each)), model.now);
        out.push(Effect::Call { ticket, request });
        return;
    }
    for topic in each.now.reload {
        load(model, out, topic);
    }
    match (&*each.failed, each.done) {
        ([], 1) => model.tell(each.now.done),
        ([], done) => model.tell(format!("all {done} are done")),
        (failed, done) => {
            let rows = vec![("done".to_owned(), done.to_string()), ("failed".to_owned(), failed.join("\n"))];
            below(model, format!("{done} done, {} failed", failed.len()), rows);
        }
    }
}

/// Shows something to read once what is open is closed.
fn below(model: &mut Model, title: String, rows: Vec<(String, String)>) {
    model.dialogs.insert(0, Dialog::Text(Box::new(Text { title, rows, scroll: 0 })));
}

/// Says what became of several that are given up after `why`: the one that was being done has no answer.
pub(super) fn interrupted(model: &mut Model, each: &Each, why: &str) {
    let left: Vec<&str> = each.left.iter().map(|(_, what)| &*what.doing).collect();
    if each.done == 0 && each.failed.is_empty() && left.is_empty() {
        return;
    }
    let rows = [
        ("done", each.done.to_string()),
        ("failed", each.failed.join("\n")),
        ("unknown", each.now.doing.clone()),
        ("not begun", left.join("\n")),
    ];
    let rows = rows.into_iter().filter(|(_, value)| !value.is_empty());
    let title = format!(
        "{why}: {} done, {} failed, 1 unknown, {} not begun",
        each.done,
        each.failed.len(),
        left.len()
    );
    below(model, title, rows.map(|(name, value)| (name.to_owned(), value)).collect());
}

/// One of several was answered.
pub(super) fn each_answered(
    model: &mut Model,
    out: &mut Vec<Effect>,
    mut all: Each,
    result: Result<Reply, Fault>,
) {
    match result {
        Ok(_) => all.done += 1,
        Err(fault) => all.failed.push(format!("{}: {}", all.now.doing, answers::said(&fault))),
    }
    each(model, out, all);
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
            let (order, export) = (confirm.order, confirm.export.take());
            model.dialogs.pop();
            if let Some(export) = export {
                audit::replace(model, out, export);
            }
            match order {
                Order::Together => {
                    for (request, what) in requests {
                        act(model, out, request, what);
                    }
                }
                Order::Form => {
                    let mut requests = requests.into_iter();
                    if let Some((request, what)) = requests.next() {
                        forms::submit(model, out, request, what, requests.collect());
                    }
                }
                Order::Each => {
                    model.dialogs.pop();
                    each(model, out, Each { left: requests.into(), ..Each::default() });
                }
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
