//! What stands above and below every screen.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    text::{Line, Span},
    widgets::Widget as _,
};

use crate::{
    keymap::{self, Do},
    render::{
        cells::{fit, width},
        text::{safe, span},
    },
    state::{Link, Model, Screen, line::LineKind},
    theme::Tone,
    widgets::input,
};

/// The user and the gateway; the screens; and a notice while there is no connection.
pub(super) fn top(buffer: &mut Buffer, area: Rect, model: &Model) {
    let theme = model.settings.theme;
    let line = Rect { height: 1, ..area };
    buffer.set_style(line, theme.style(Tone::Bar));
    let room = usize::from(area.width);
    let right = format!("{} ", standing(model));
    let left =
        fit(&format!(" aivonx  {}", gateway(model)), room.saturating_sub(width(&right) + 1), theme.cut());
    buffer.set_stringn(area.x, area.y, &left, room, theme.style(Tone::Bar));
    let from = room.saturating_sub(width(&right));
    buffer.set_stringn(
        area.x + u16::try_from(from).unwrap_or(0),
        area.y,
        &right,
        room,
        theme.style(Tone::Bar),
    );
    tabs(buffer, Rect { y: area.y + 1, height: 1, ..area }, model);
    if area.height > 2 {
        let line = Rect { y: area.y + 2, height: 1, ..area };
        let style = theme.style(Tone::Bad);
        buffer.set_stringn(line.x, line.y, fit(&banner(model), room, theme.cut()), room, style);
    }
}

fn gateway(model: &Model) -> String {
    // Whose gateway it is matters more than its version, and so does how to reach it.
    if let Some(address) = model.settings.demo {
        return format!("demo  curl http://{address}/v1/models");
    }
    match (&model.link, &model.status) {
        (Link::Up { daemon, .. }, Some(status)) => format!("{} {}", safe(daemon), safe(&status.mode)),
        (Link::Up { daemon, .. }, None) => safe(daemon),
        _ => String::new(),
    }
}

fn standing(model: &Model) -> String {
    let read_only = if model.settings.read_only { "read-only  " } else { "" };
    let who = match (&model.link, &model.identity) {
        (Link::Up { .. }, Some(who)) => match (&who.user, who.role) {
            (Some(user), Some(role)) => match &who.organization {
                Some(organization) => format!("{} ({role} of {})", safe(user), safe(organization)),
                None => format!("{} ({role})", safe(user)),
            },
            (None, Some(role)) => format!("uid {} ({role})", who.uid),
            (_, None) => "not logged in".to_owned(),
        },
        (Link::Up { .. }, None) => "not logged in".to_owned(),
        (Link::Connecting, _) => "connecting".to_owned(),
        (Link::Down { .. }, _) => "not connected".to_owned(),
    };
    format!("{read_only}{who}")
}

fn banner(model: &Model) -> String {
    match &model.link {
        Link::Down { why, since, retry } => {
            let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
            let wait = retry.saturating_sub(model.now).div_ceil(1000);
            let again = if wait == 0 { "trying now".to_owned() } else { format!("again in {wait} s") };
            let lost = span(model.now.saturating_sub(*since));
            format!("! No connection for {lost}, {again} (r: now): {}", safe(&why))
        }
        Link::Connecting => "Connecting".to_owned(),
        Link::Up { .. } => String::new(),
    }
}

/// The screens: with their names, else with short ones, else the numbers alone, as there is room. The one at hand
/// has its name.
fn tabs(buffer: &mut Buffer, area: Rect, model: &Model) {
    let theme = model.settings.theme;
    let text = |screen: Screen, name: fn(Screen) -> &'static str| {
        if screen == model.screen {
            return format!("[{} {}]", screen.key(), screen.title());
        }
        format!(" {} {}", screen.key(), name(screen)).trim_end().to_owned()
    };
    let names: [fn(Screen) -> &'static str; 3] = [Screen::title, Screen::short, |_| ""];
    let fits = |name: &fn(Screen) -> &'static str| {
        let all: usize = Screen::ALL.into_iter().map(|screen| width(&text(screen, *name))).sum();
        all <= usize::from(area.width)
    };
    let name = names.into_iter().find(fits).unwrap_or(names[2]);
    let spans = Screen::ALL.into_iter().map(|screen| {
        let denied = model.is_up() && model.why_not(screen.right()).is_some();
        let tone = match (screen == model.screen, denied) {
            (true, _) => Tone::Strong,
            (false, true) => Tone::Dim,
            (false, false) => Tone::Plain,
        };
        Span::styled(text(screen, name), theme.style(tone))
    });
    Line::from_iter(spans).render(area, buffer);
}

/// What was last said, or what is being typed; and the keys.
pub(super) fn bottom(buffer: &mut Buffer, area: Rect, model: &Model) {
    let theme = model.settings.theme;
    let room = usize::from(area.width);
    if let Some(line) = &model.line {
        buffer.set_string(area.x, area.y, line.sign(), theme.style(Tone::Accent));
        let place = Rect { x: area.x + 1, width: area.width - 1, height: 1, ..area };
        input::draw(buffer, place, &line.input, true, theme);
        let aside = match (&line.fault, line.kind) {
            (Some(fault), _) => fault.clone(),
            (None, LineKind::Filter) => String::new(),
            (None, LineKind::Command) => {
                let found = crate::command::completions(line.input.value());
                found.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(" ")
            }
        };
        let from = width(line.input.value()) + 4;
        if from < room {
            let tone = if line.fault.is_some() { Tone::Bad } else { Tone::Dim };
            let text = fit(&safe(&aside), room - from, theme.cut());
            let x = area.x + u16::try_from(from).unwrap_or(0);
            buffer.set_stringn(x, area.y, text, room - from, theme.style(tone));
        }
    } else if let Some((_, doing, since)) = model.calls.awaited() {
        let waited = span(model.now.saturating_sub(since));
        let text = format!("{} ... {waited} (esc gives up)", safe(doing));
        buffer.set_stringn(area.x, area.y, fit(&text, room, theme.cut()), room, theme.style(Tone::Accent));
    } else if let Some(notice) = &model.notice {
        let sign = if notice.bad { "! " } else { "" };
        let text = fit(&format!("{sign}{}", safe(&notice.text)), room, theme.cut());
        let tone = if notice.bad { Tone::Bad } else { Tone::Good };
        buffer.set_stringn(area.x, area.y, text, room, theme.style(tone));
    }
    hints(buffer, Rect { y: area.y + 1, height: 1, ..area }, model);
}

/// As many keys as fit; help and the way out always.
fn hints(buffer: &mut Buffer, area: Rect, model: &Model) {
    let theme = model.settings.theme;
    let bindings = keymap::holding(&keymap::scopes(model));
    let table = model.rows_ref().is_none_or(|rows| rows.is_table());
    let idle = |does: Do| !table && matches!(does, Do::Sort | Do::Mark);
    let hinted: Vec<_> =
        bindings.into_iter().filter(|binding| !binding.hint.is_empty() && !idle(binding.does)).collect();
    let always = |does: Do| matches!(does, Do::Help | Do::Quit | Do::Cancel);
    let size = |keys: &str, hint: &str| width(keys) + 1 + width(hint) + 2;
    let mut left: usize = usize::from(area.width);
    for binding in hinted.iter().filter(|binding| always(binding.does)) {
        left = left.saturating_sub(size(binding.keys[0], binding.hint));
    }
    let mut spans = Vec::new();
    for binding in hinted {
        let wide = size(binding.keys[0], binding.hint);
        if !always(binding.does) {
            if wide > left {
                continue;
            }
            left -= wide;
        }
        let denied = binding.right.is_some_and(|right| model.why_not(right).is_some());
        let (key, word) = if denied { (Tone::Dim, Tone::Dim) } else { (Tone::Accent, Tone::Plain) };
        spans.push(Span::styled(binding.keys[0], theme.style(key)));
        spans.push(Span::styled(format!(" {}  ", binding.hint), theme.style(word)));
    }
    Line::from(spans).render(area, buffer);
}

/// A line with what a list is of, how many there are, and how it is looked at.
pub(super) fn heading(buffer: &mut Buffer, area: Rect, model: &Model, what: &str) {
    let theme = model.settings.theme;
    let mut text = format!("{} {what}", theme.rule());
    if let Some(rows) = model.rows_ref() {
        let (shown, all) = rows.counts();
        if shown == all {
            text += &format!(" {all}");
        } else {
            text += &format!(" {shown} of {all}");
        }
        if rows.marks() > 0 {
            text += &format!(", {} marked", rows.marks());
        }
        // A hidden column has no arrow above it. The first is the order that everybody expects.
        let told = |at: &usize| *at > 0 && all > 0 && !super::columns(model).contains(at);
        if let Some(sorted) = rows.sorted().filter(told) {
            text += &format!(", by {}", rows.columns()[sorted].title.to_lowercase());
        }
        if let Some(filter) = rows.filter() {
            text += &format!("  /{}", safe(filter.text()));
        }
    }
    text.push(' ');
    let room = usize::from(area.width);
    let text = fit(&text, room, theme.cut());
    let rule = theme.rule().repeat(room.saturating_sub(width(&text)));
    buffer.set_stringn(area.x, area.y, format!("{text}{rule}"), room, theme.style(Tone::Strong));
}
