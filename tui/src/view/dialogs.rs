//! What stands before a screen.

use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
    widgets::{Paragraph, Widget as _},
};

use crate::{
    keymap::{self, Scope},
    render::{
        Table,
        cells::{fill, fit, width, wrap},
        text::{plural, safe},
    },
    state::{
        Dialog, Model,
        dialog::{Confirm, Reveal},
        form::{Field, Form, Kind, Probing},
    },
    theme::{Theme, Tone},
    widgets::{input, popup, rows},
};

/// Widest dialog, in columns inside.
const WIDEST: u16 = 72;

/// Draws one.
pub(super) fn draw(buffer: &mut Buffer, area: Rect, model: &Model, dialog: &Dialog) {
    match dialog {
        Dialog::Form(form) => draw_form(buffer, area, model, form),
        Dialog::Confirm(confirm) => draw_confirm(buffer, area, model, confirm),
        Dialog::Reveal(reveal) => draw_reveal(buffer, area, model, reveal),
        Dialog::Text(text) => {
            let lines = reading(model, area, dialog);
            draw_reading(buffer, area, model, &safe(&text.title), lines, text.scroll);
        }
        // Drawn over the frame, where its picture needs that.
        Dialog::Enrol(_) => {}
        Dialog::Help(scroll) => {
            let lines = reading(model, area, dialog);
            draw_reading(buffer, area, model, "Keys", lines, *scroll);
        }
    }
}

fn inside(area: Rect) -> u16 {
    area.width.saturating_sub(4)
}

fn draw_reading(
    buffer: &mut Buffer,
    area: Rect,
    model: &Model,
    title: &str,
    lines: Vec<Line<'static>>,
    scroll: usize,
) {
    let theme = model.settings.theme;
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let inner = popup::draw(buffer, area, (inside(area).min(100), rows), title, Tone::Accent, theme);
    let most = lines.len().saturating_sub(usize::from(inner.height));
    let from = scroll.min(most);
    Paragraph::new(lines.into_iter().skip(from).collect::<Vec<_>>()).render(inner, buffer);
    if most > 0 && inner.height > 0 {
        let more = format!(" {}/{} ", from + usize::from(inner.height), most + usize::from(inner.height));
        let x = inner.right().saturating_sub(u16::try_from(more.len()).unwrap_or(0));
        buffer.set_stringn(x, inner.bottom(), more, usize::from(inner.width), theme.style(Tone::Dim));
    }
}

/// How far the top dialog can be scrolled.
pub(super) fn most(model: &Model, area: Rect) -> usize {
    let Some(dialog) = model.dialogs.last() else { return 0 };
    reading(model, area, dialog).len().saturating_sub(usize::from(area.height.saturating_sub(2)))
}

fn reading(model: &Model, area: Rect, dialog: &Dialog) -> Vec<Line<'static>> {
    let theme = model.settings.theme;
    let room = inside(area).min(100);
    match dialog {
        Dialog::Text(text) => {
            let mut table = Table::pairs();
            for (label, value) in &text.rows {
                table.lines(label, value, Tone::Plain);
            }
            rows::lines(&table, room, theme)
        }
        Dialog::Help(_) => help(model, usize::from(room)),
        _ => Vec::new(),
    }
}

fn help(model: &Model, room: usize) -> Vec<Line<'static>> {
    let theme = model.settings.theme;
    let mut lines = Vec::new();
    let scopes = keymap::screen(model).iter().copied().chain([Scope::Always]);
    for scope in scopes {
        if !lines.is_empty() {
            lines.push(Line::default());
        }
        lines.push(Line::from(Span::styled(scope.title(), theme.style(Tone::Strong))));
        for binding in keymap::holding(&[scope]) {
            let denied = binding.right.and_then(|right| model.why_not(right));
            let mut text = binding.help.to_owned();
            if let Some(why) = &denied {
                text += &format!(" (not now: {why})");
            }
            let keys = fill(&binding.keys.join(" "), 16, false, theme.cut());
            for (at, part) in wrap(&text, room.saturating_sub(18)).into_iter().enumerate() {
                let keys = if at == 0 { keys.clone() } else { " ".repeat(16) };
                let tone = if denied.is_some() { Tone::Dim } else { Tone::Plain };
                lines.push(Line::from(vec![
                    Span::styled(keys, theme.style(Tone::Accent)),
                    Span::styled(format!("  {part}"), theme.style(tone)),
                ]));
            }
        }
    }
    lines.push(Line::default());
    lines.push(Line::from(Span::styled("After :", theme.style(Tone::Strong))));
    for (word, about) in crate::command::all() {
        lines.push(Line::from(vec![
            Span::styled(fill(&format!(":{word}"), 16, false, theme.cut()), theme.style(Tone::Accent)),
            Span::raw(format!("  {about}")),
        ]));
    }
    lines
}

fn draw_form(buffer: &mut Buffer, area: Rect, model: &Model, form: &Form) {
    let theme = model.settings.theme;
    let columns = inside(area).min(WIDEST);
    let label = form.fields.iter().map(|field| width(field.label)).max().unwrap_or(0);
    let intro = wrap(&form.intro, usize::from(columns));
    let intro = if form.intro.is_empty() { Vec::new() } else { intro };
    let broken = |text: &str| {
        let safe: Vec<String> = text.split('\n').map(safe).collect();
        wrap(&safe.join("\n"), usize::from(columns))
    };
    let mut below_fields: Vec<(String, Tone)> = Vec::new();
    for (text, tone) in probed(form, theme) {
        // A node's own words are one line: line breaks in them are escaped.
        let lines = wrap(&safe(&text), usize::from(columns));
        below_fields.extend(lines.into_iter().take(3).map(|line| (line, tone)));
    }
    let fault = form.fault.as_deref().map(broken).unwrap_or_default();
    below_fields.extend(fault.into_iter().map(|line| (line, Tone::Bad)));
    let shown: Vec<usize> = (0..form.fields.len()).filter(|at| form.shows(*at)).collect();
    let fault_rows = below_fields.len();
    let wanted = intro.len() + shown.len() + 2 + fault_rows;
    let rows = u16::try_from(wanted).unwrap_or(u16::MAX);
    let inner = popup::draw(buffer, area, (columns, rows), &safe(&form.title), Tone::Accent, theme);
    let room = usize::from(inner.width);
    let mut y = inner.y;
    // Where it does not fit, the fields come first.
    let spare = usize::from(inner.height).saturating_sub(shown.len() + 1 + fault_rows);
    for line in intro.iter().take(spare) {
        buffer.set_stringn(inner.x, y, line, room, theme.style(Tone::Dim));
        y += 1;
    }
    let below = 1 + u16::try_from(fault_rows).unwrap_or(0);
    let space = usize::from(inner.bottom().saturating_sub(y).saturating_sub(below)).max(1);
    let at = shown.iter().position(|at| *at == form.at).unwrap_or(0);
    let from = crate::widgets::grid::offset(shown.len(), at, space);
    for at in shown.iter().skip(from).take(space) {
        let field = &form.fields[*at];
        let active = *at == form.at && form.sent.is_none();
        let sign = if active { "> " } else { "  " };
        let tone = if active { Tone::Accent } else { Tone::Dim };
        let name = format!("{sign}{}  ", fill(field.label, label, false, theme.cut()));
        buffer.set_stringn(inner.x, y, &name, room, theme.style(tone));
        let x = inner.x + u16::try_from(width(&name)).unwrap_or(0).min(inner.width);
        let mut place = Rect { x, y, width: inner.right() - x, height: 1 };
        if let Some(error) = &field.error {
            // What is wrong stands behind what was typed, in half of the room.
            let half = (place.width / 2).max(1);
            let text = fit(&format!("! {}", safe(error)), usize::from(half), theme.cut());
            let x = place.x + (place.width - half);
            buffer.set_stringn(x, y, text, usize::from(half), theme.style(Tone::Bad));
            place.width -= half;
            place.width = place.width.saturating_sub(1);
        }
        draw_value(buffer, place, field, active, model);
        y += 1;
    }
    y = inner.bottom().saturating_sub(below);
    let (text, tone) = match (form.sent, form.fields.get(form.at)) {
        (Some(_), _) => {
            let doing = model.calls.awaited().map_or("Sent", |(_, doing, _)| doing);
            (format!("{} ... (esc gives up)", safe(doing)), Tone::Accent)
        }
        (None, Some(field)) => match (&field.error, &field.kind) {
            (Some(error), _) => (format!("! {}", safe(error)), Tone::Bad),
            (None, Kind::Choice { options, at }) => {
                let more = options.get(*at).map(|(_, more)| safe(more)).unwrap_or_default();
                let about = if more.is_empty() { field.about.to_owned() } else { more };
                (format!("{about} (left, right)"), Tone::Dim)
            }
            (None, Kind::Toggle(_)) => (format!("{} (space)", field.about), Tone::Dim),
            (None, _) => (field.about.to_owned(), Tone::Dim),
        },
        (None, None) => (String::new(), Tone::Dim),
    };
    if inner.height > 0 {
        buffer.set_stringn(inner.x, y, fit(&text, room, theme.cut()), room, theme.style(tone));
    }
    for ((line, tone), y) in below_fields.iter().zip(y + 1..inner.bottom()) {
        buffer.set_stringn(inner.x, y, line, room, theme.style(*tone));
    }
}

/// What the server in the form said of itself.
fn probed(form: &Form, theme: Theme) -> Vec<(String, Tone)> {
    match &form.probe {
        Probing::Not => Vec::new(),
        Probing::Asked(_) => vec![(format!("Asking {} what it is ...", form.asked), Tone::Accent)],
        Probing::Refused(why) => vec![(format!("{} {why}", theme.sign("×", "x")), Tone::Bad)],
        Probing::Found(found) if !found.healthy => {
            vec![(format!("{} {}", theme.sign("×", "x"), found.finding), Tone::Bad)]
        }
        Probing::Found(found) => {
            let sign = theme.sign("✓", "+");
            let mut lines = vec![(format!("{sign} {}", found.finding), Tone::Good)];
            if !found.models.is_empty() {
                lines.push((format!("models: {}", found.models.join(", ")), Tone::Dim));
            }
            lines
        }
    }
}

fn draw_value(buffer: &mut Buffer, place: Rect, field: &Field, active: bool, model: &Model) {
    let theme = model.settings.theme;
    let room = usize::from(place.width);
    let style = theme.style(if active { Tone::Strong } else { Tone::Plain });
    match &field.kind {
        Kind::Text(text) => {
            input::draw(buffer, place, text, active, theme);
            if active && field.untouched {
                // As a selection is, which goes when something is typed.
                let shown = u16::try_from(width(text.value())).unwrap_or(u16::MAX).min(place.width);
                let selected = Style::new().add_modifier(Modifier::REVERSED);
                buffer.set_style(Rect { width: shown, height: 1, ..place }, selected);
            }
        }
        Kind::Secret(secret) => input::hidden(buffer, place, secret.len(), active, theme),
        Kind::Code(code) => input::seen(buffer, place, code.text(), active, theme),
        Kind::Choice { options, at } => {
            let word = options.get(*at).map(|(word, _)| safe(word)).unwrap_or_default();
            buffer.set_stringn(place.x, place.y, fit(&format!("< {word} >"), room, theme.cut()), room, style);
        }
        Kind::Toggle(on) => {
            let text = if *on { "[x] yes" } else { "[ ] no" };
            buffer.set_stringn(place.x, place.y, text, room, style);
        }
    }
}

fn draw_confirm(buffer: &mut Buffer, area: Rect, model: &Model, confirm: &Confirm) {
    let theme = model.settings.theme;
    let columns = inside(area).min(WIDEST);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for sentence in &confirm.lines {
        lines.extend(wrap(&safe(sentence), usize::from(columns)).into_iter().map(Line::from));
    }
    if let Some(ends) = &confirm.ends {
        let (text, tone) = match ends.count {
            None => ("Looking what runs now ...".to_owned(), Tone::Dim),
            Some((0, _)) => ("Nothing that it would end runs now.".to_owned(), Tone::Plain),
            Some((all, answering)) => {
                let all = plural(all, "running request");
                (format!("It ends {all}: {answering} being answered now."), Tone::Bad)
            }
        };
        let parts = wrap(&text, usize::from(columns));
        lines.extend(parts.into_iter().map(|part| Line::from(Span::styled(part, theme.style(tone)))));
    }
    let mut prompt = vec![Line::default()];
    match &confirm.typed {
        Some((wanted, _)) => {
            prompt.push(Line::from(format!("To go on, type: {}", safe(wanted))));
            prompt.push(Line::default());
            let tone = if confirm.is_typed() { Tone::Bad } else { Tone::Dim };
            prompt.push(Line::from(vec![
                Span::styled(format!("enter  {}", confirm.verb), theme.style(tone)),
                Span::raw("    esc  leave it"),
            ]));
        }
        None => prompt.push(Line::from(vec![
            Span::styled(format!("y  {}", confirm.verb), theme.style(Tone::Bad)),
            Span::raw("    n  leave it"),
        ])),
    }
    let rows = u16::try_from(lines.len() + prompt.len()).unwrap_or(u16::MAX);
    let inner = popup::draw(buffer, area, (columns, rows), &safe(&confirm.title), Tone::Bad, theme);
    // What is to be answered stands there in any case.
    let asked = u16::try_from(prompt.len()).unwrap_or(u16::MAX).min(inner.height);
    let space = usize::from(inner.height - asked);
    if lines.len() > space {
        let left = lines.len() - space.saturating_sub(1);
        lines.truncate(space.saturating_sub(1));
        lines.push(Line::from(format!("... and {}", plural(left as u64, "more line"))));
    }
    Paragraph::new(lines).render(Rect { height: inner.height - asked, ..inner }, buffer);
    let prompt_area = Rect { y: inner.bottom() - asked, height: asked, ..inner };
    Paragraph::new(prompt).render(prompt_area, buffer);
    if let Some((_, text)) = &confirm.typed {
        // Below what is to be typed.
        let y = prompt_area.y + 2;
        if y < inner.bottom() {
            buffer.set_string(inner.x, y, ">", theme.style(Tone::Accent));
            let place = Rect { x: inner.x + 2, y, width: inner.width.saturating_sub(2), height: 1 };
            input::draw(buffer, place, text, true, theme);
        }
    }
}

fn draw_reveal(buffer: &mut Buffer, area: Rect, model: &Model, reveal: &Reveal) {
    let theme = model.settings.theme;
    let columns = inside(area).min(96);
    let mut lines: Vec<Line<'static>> = Vec::new();
    for sentence in &reveal.lines {
        lines.extend(wrap(&safe(sentence), usize::from(columns)).into_iter().map(Line::from));
    }
    lines.push(Line::default());
    for secret in reveal.secret.expose().split('\n') {
        // Broken, not cut: it has to be read off.
        for part in wrap(&safe(secret), usize::from(columns.saturating_sub(2))) {
            lines.push(Line::from(Span::styled(format!("  {part}"), theme.style(Tone::Strong))));
        }
    }
    if let Some(command) = reveal.command_line() {
        lines.push(Line::default());
        for part in wrap(&safe(command.expose()), usize::from(columns.saturating_sub(2))) {
            lines.push(Line::from(Span::styled(format!("  {part}"), theme.style(Tone::Accent))));
        }
    }
    lines.push(Line::default());
    let copied = if reveal.copied { "copied, if your terminal lets it" } else { "c  copy" };
    let line = if reveal.command.is_some() { "    l  copy the line" } else { "" };
    lines.push(Line::from(format!("{copied}{line}    esc  close; it is not shown again")));
    let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let inner = popup::draw(buffer, area, (columns, rows), &safe(&reveal.title), Tone::Warn, theme);
    Paragraph::new(lines).render(inner, buffer);
}
