//! What follows from a key.

use aivonx_protocol::WireSecret;
use crossterm::event::{KeyEvent, KeyEventKind};

use super::{
    access, account, audit, dialogs, forms, jobs, lines, load, logs, models, nodes, overview, refresh,
    requests, security, typing, usage,
};
use crate::{
    keymap::{self, Do},
    msg::Effect,
    state::{Dialog, Model, Purpose, Screen, Topic, line::LineKind},
};

/// Farthest that details are scrolled, in lines; what is drawn ends where they do.
const DETAILS_MOST: usize = 400;

/// A key was pressed.
pub(super) fn pressed(model: &mut Model, out: &mut Vec<Effect>, event: &KeyEvent) {
    if event.kind == KeyEventKind::Release {
        return;
    }
    model.last_key = model.now;
    let Some(binding) = keymap::find(model, event) else {
        typing::typed(model, event);
        return;
    };
    if model.account.lock.is_some() {
        return account::locked(model, out, binding.does);
    }
    if let Some(why) = binding.right.and_then(|right| model.why_not(right)) {
        model.warn(format!("{}: {why}", binding.help));
        return;
    }
    carry_out(model, out, binding.does);
    // Another line may be in the details now.
    usage::follow(model, out);
    jobs::attend(model, out);
}

fn carry_out(model: &mut Model, out: &mut Vec<Effect>, does: Do) {
    match does {
        Do::Quit => return out.push(Effect::Quit),
        Do::Redraw => return out.push(Effect::Redraw),
        Do::Suspend => return out.push(Effect::Suspend),
        _ => {}
    }
    if model.line.is_some() {
        return lines::carry_out(model, out, does);
    }
    match model.dialogs.last() {
        Some(Dialog::Form(_)) => return forms::carry_out(model, out, does),
        Some(Dialog::Enrol(_)) => return account::carry_out(model, out, does),
        Some(_) => return dialogs::carry_out(model, out, does),
        None => {}
    }
    let page = isize::try_from(crate::view::page(model.size)).unwrap_or(isize::MAX);
    let half = crate::view::page(model.size).div_ceil(2);
    if !matches!(does, Do::PageUp | Do::PageDown) {
        model.detail_scroll = 0;
    }
    match does {
        Do::Go(screen) => go(model, out, screen),
        Do::NextScreen => {
            let at = Screen::ALL.iter().position(|screen| *screen == model.screen).unwrap_or(0);
            go(model, out, Screen::ALL[(at + 1) % Screen::ALL.len()]);
        }
        Do::Command => lines::open(model, LineKind::Command),
        Do::Filter => lines::open(model, LineKind::Filter),
        Do::Help => model.dialogs.push(Dialog::Help(0)),
        Do::Back => back(model, out),
        Do::Lock => account::lock(model),
        Do::Refresh if !model.is_up() => out.push(Effect::Connect),
        Do::Refresh => refresh(model, out),
        Do::Up => rows(model, |rows| rows.go(-1)),
        Do::Down => rows(model, |rows| rows.go(1)),
        Do::PageUp if model.detail => model.detail_scroll = model.detail_scroll.saturating_sub(half),
        Do::PageDown if model.detail => {
            model.detail_scroll = (model.detail_scroll + half).min(DETAILS_MOST);
        }
        Do::PageUp => rows(model, |rows| rows.go(-page)),
        Do::PageDown => rows(model, |rows| rows.go(page)),
        Do::First => rows(model, |rows| rows.first()),
        Do::Last => rows(model, |rows| rows.last()),
        Do::Sort => {
            let seen = crate::view::columns(model);
            rows(model, |rows| rows.sort(&seen));
        }
        Do::Reverse => rows(model, |rows| rows.reverse()),
        Do::Mark => rows(model, |rows| rows.mark()),
        Do::Next | Do::Previous => {
            let found = model.rows().is_some_and(|rows| rows.find(does == Do::Next));
            if !found {
                model.warn("nothing to find; / begins a search");
            }
        }
        Do::Yank => {
            if let Some(name) = model.rows_ref().and_then(crate::state::list::Rows::chosen_name) {
                model.tell(format!("copied {name}"));
                out.push(Effect::Copy(WireSecret::new(name)));
            }
        }
        Do::Open if model.screen == Screen::Usage => usage::open(model),
        Do::Open => {
            model.detail = model.rows_ref().is_some_and(|rows| rows.counts().0 > 0);
            if model.screen == Screen::Nodes {
                load(model, out, Topic::Wakes);
            }
        }
        other => match model.screen {
            Screen::Overview => overview::carry_out(model, out, other),
            Screen::Nodes => nodes::carry_out(model, out, other),
            Screen::Models => models::carry_out(model, out, other),
            Screen::Jobs => jobs::carry_out(model, other),
            Screen::Access => access::carry_out(model, out, other),
            Screen::Usage => usage::carry_out(model, out, other),
            Screen::Logs => logs::carry_out(model, out, other),
            Screen::Audit => audit::carry_out(model, out, other),
            Screen::Requests => requests::carry_out(model, out, other),
            Screen::Security => security::carry_out(model, out, other),
        },
    }
}

fn rows(model: &mut Model, act: impl FnOnce(&mut dyn crate::state::list::Rows)) {
    if let Some(rows) = model.rows() {
        act(rows);
    }
}

/// Goes to a screen.
pub(super) fn go(model: &mut Model, out: &mut Vec<Effect>, screen: Screen) {
    if screen != model.screen {
        model.trail.retain(|before| *before != model.screen);
        model.trail.push(model.screen);
        model.screen = screen;
        model.detail = false;
        // They were about what stood there.
        (model.notice, model.nodes.waking) = (None, None);
    }
    refresh(model, out);
}

/// Closes what is open, gives up what runs, shows all rows again, leaves the screen: the first of these that
/// there is.
fn back(model: &mut Model, out: &mut Vec<Effect>) {
    if let Some((ticket, doing, _)) = model.calls.awaited() {
        let doing = doing.to_owned();
        let text = match model.calls.end(ticket) {
            Some(Purpose::Work(_)) => format!("{doing}: given up"),
            given_up => {
                if let Some(Purpose::Each(each)) = given_up {
                    dialogs::interrupted(model, &each, "Given up");
                    for topic in each.now.reload {
                        load(model, out, topic);
                    }
                }
                format!("{doing}: given up; what had begun at the daemon goes on there")
            }
        };
        if model.audit.walk == Some(ticket) {
            model.audit.walk = None;
        }
        out.push(Effect::Drop(ticket));
        model.tell(text);
        return;
    }
    if model.detail && !model.is_patterns() {
        model.detail = false;
        return;
    }
    if let Some(rows) = model.rows() {
        if rows.filter().is_some() {
            rows.set_filter(None);
            return;
        }
        if rows.marks() > 0 {
            rows.unmark();
            return;
        }
    }
    if model.is_patterns() {
        model.usage.shows_patterns = false;
        return;
    }
    if let Some(before) = model.trail.pop() {
        model.screen = before;
        model.notice = None;
        refresh(model, out);
    }
}
